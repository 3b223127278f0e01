"""How long ingestion and training take from nothing: whole scripts on a scratch copy."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from risk.config import HOME, Config, PipelineError
from risk.files import utc_now

# Every folder that a script writes to; what it only reads stays where it is.
WRITTEN = "output_folder_path output_model_path prod_deployment_path state_path log_path".split()


def fresh_times(config: Config) -> dict[str, dict[str, float | str]]:
    """The seconds of both; nothing of the project is written."""
    with tempfile.TemporaryDirectory(prefix="risk-fresh-") as scratch:
        settings = json.loads(config.path.read_text(encoding="utf-8-sig"))
        settings |= {
            "input_folder_path": str(config.input_folder),
            "test_data_path": str(config.test_folder),
            **{key: str(Path(scratch, key)) for key in WRITTEN},
        }
        copy = Path(scratch, "config.json")
        copy.write_text(json.dumps(settings), encoding="utf-8")
        found: dict[str, dict[str, float | str]] = {}
        for stage in ("ingestion", "training"):
            started = time.perf_counter()
            command = [sys.executable, str(HOME / f"{stage}.py"), "--config", str(copy)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                why = done.stderr.strip()[-500:]
                raise PipelineError(f"{stage}.py fails on a scratch copy: {why}")
            seconds = round(time.perf_counter() - started, 3)
            found[stage] = {"seconds": seconds, "measured_at": utc_now()}
        return found

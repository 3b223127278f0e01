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

WRITTEN = (
    "output_folder_path",
    "output_model_path",
    "prod_deployment_path",
    "state_path",
    "log_path",
)


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
        return {stage: _timed_script(stage, copy) for stage in ("ingestion", "training")}


def _timed_script(stage: str, config_path: Path) -> dict[str, float | str]:
    started = time.perf_counter()
    command = [sys.executable, str(HOME / f"{stage}.py"), "--config", str(config_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise PipelineError(f"{stage}.py fails on a scratch copy: {done.stderr.strip()[-500:]}")
    return {"seconds": round(time.perf_counter() - started, 3), "measured_at": utc_now()}

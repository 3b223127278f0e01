"""Real customers over a year: what each policy of redeploying would have served them.

    python examples/replay_customers.py

Builds the 13 month-end files of examples/customers.py in a scratch folder and walks through them
as if each run had happened then; a label is known three months later. The table is printed, the
charts are put into models/example/replay/.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MONTHS_TO_A_LABEL = 3


def settings(folder: Path) -> dict[str, str]:
    """A configuration that reads the folder and writes charts below models/example/ alone."""
    return {
        "input_folder_path": f"{folder}/files",
        "output_folder_path": f"{folder}/ingesteddata",
        "test_data_path": f"{folder}/testdata",
        "output_model_path": str(ROOT / "models" / "example"),
        "prod_deployment_path": f"{folder}/production",
        "state_path": f"{folder}/state",
        "log_path": f"{folder}/logs",
    }


def run(script: str, *words: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / script), *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run("examples/customers.py", f"{folder}/files")
        (folder / "config.json").write_text(json.dumps(settings(folder)), encoding="utf-8")
        replay = ("--replay", f"{folder}/files", "--label-delay", str(MONTHS_TO_A_LABEL))
        run("fullprocess.py", "--config", f"{folder}/config.json", *replay)


if __name__ == "__main__":
    main()

"""Shows three ticks on a copy of the example data: one that keeps, one that waits, one that redeploys.

    python examples/demo.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STABLE = ["2026-05-31", "2026-06-30", "2026-07-31"]
SETTINGS = {
    "input_folder_path": "sourcedata/",
    "output_folder_path": "ingesteddata/",
    "test_data_path": "testdata/",
    "output_model_path": "models/",
    "prod_deployment_path": "production_deployment/",
    "port": 9,
}


def source(date: str) -> list[str]:
    """The lines of one month's file."""
    return (ROOT / "sourcedata" / f"clients_{date}.csv").read_text(encoding="utf-8").splitlines()


def add(folder: Path, date: str, lines: list[str]) -> None:
    """Put one file where the pipeline looks for new ones, an hour old: nobody writes to it any more."""
    import os

    path = folder / "sourcedata" / f"clients_{date}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (hour_ago, hour_ago))


def tick(folder: Path, title: str) -> None:
    """Run the driver once, as cron would, and show what it said."""
    print(f"\n{title}", flush=True)
    command = [sys.executable, str(ROOT / "fullprocess.py"), "--config", str(folder / "config.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    print("  " + (done.stdout or done.stderr).splitlines()[0])
    if done.returncode:
        raise SystemExit(done.stderr)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="risk-demo-") as scratch:
        folder = Path(scratch)
        (folder / "config.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        (folder / "testdata").mkdir()
        (folder / "testdata" / "testdata.csv").write_bytes((ROOT / "testdata/testdata.csv").read_bytes())
        for date in STABLE:
            add(folder, date, source(date))
        tick(folder, "Three months of labelled rows, no model yet: the first one is trained and deployed.")
        tick(folder, "Ten minutes later, nothing has changed: the tick ends at once.")
        add(folder, "2026-08-31", source("2026-08-31"))
        tick(folder, "August is like the months before: the deployed model is as good as ever and stays.")
        newest = source("2026-10-31")
        add(folder, "2026-09-15", [newest[0], *(line for line in newest if line.endswith(","))])
        tick(folder, "Current clients without a label: they are listed by risk, the model waits to be judged.")
        add(folder, "2026-09-30", source("2026-09-30"))
        tick(folder, "In September the world has changed: the model fails on the new rows and is replaced.")


if __name__ == "__main__":
    main()

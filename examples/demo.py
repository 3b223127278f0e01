"""Shows runs on a copy of the example data: one keeps the model, one waits, one redeploys.

python examples/demo.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STABLE = ("2026-05-31", "2026-06-30", "2026-07-31")
SETTINGS = {
    "input_folder_path": "sourcedata/",
    "output_folder_path": "ingesteddata/",
    "test_data_path": "testdata/",
    "output_model_path": "models/",
    "prod_deployment_path": "production_deployment/",
    "port": 9,  # nobody serves there: the calls are tried and fail, which ends no run
}


def month(date: str) -> list[str]:
    """The lines of one month's file, its header first."""
    return (ROOT / "sourcedata" / f"clients_{date}.csv").read_text(encoding="utf-8").splitlines()


def add(folder: Path, date: str, lines: list[str]) -> None:
    """Put a file where the pipeline looks, an hour old: nobody writes to it any more."""
    path = folder / "sourcedata" / f"clients_{date}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (hour_ago, hour_ago))


def run_driver(folder: Path, title: str) -> None:
    """Run the driver once, as cron would, and show what it said."""
    print(f"\n{title}", flush=True)
    script, settings = str(ROOT / "fullprocess.py"), str(folder / "config.json")
    done = subprocess.run(
        [sys.executable, script, "--config", settings],
        env={**os.environ, "PIP_NO_INDEX": "1"},  # no look at what is outdated
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    print(f"  {done.stdout.splitlines()[0]}")


def start(folder: Path) -> None:
    """A project of its own: settings, test data, three months and a half of labelled rows."""
    (folder / "config.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    (folder / "testdata").mkdir()
    test_data = (ROOT / "testdata" / "testdata.csv").read_bytes()
    (folder / "testdata" / "testdata.csv").write_bytes(test_data)
    for date in STABLE:
        add(folder, date, month(date))
    add(folder, "2026-08-15", august()[0])


def august() -> tuple[list[str], list[str]]:
    """The lines of August's file in two halves, each with the header."""
    header, *rows = month("2026-08-31")
    middle = len(rows) // 2
    return [header, *rows[:middle]], [header, *rows[middle:]]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="risk-demo-") as scratch:
        folder = Path(scratch)
        start(folder)
        run_driver(folder, "Labelled rows and no model yet: the first is trained and deployed.")
        run_driver(folder, "Ten minutes later nothing has changed: the run ends at once.")
        add(folder, "2026-08-31", august()[1])
        run_driver(
            folder, "More of the same world: nothing is better than the deployed model; it stays."
        )
        header, *rows = month("2026-10-31")
        add(folder, "2026-09-15", [header, *(row for row in rows if row.endswith(","))])
        run_driver(folder, "Clients without a label: listed by risk, the model waits to be judged.")
        add(folder, "2026-09-30", month("2026-09-30"))
        run_driver(folder, "In September the world has changed: the model fails and is replaced.")


if __name__ == "__main__":
    main()

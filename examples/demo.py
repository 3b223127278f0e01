"""Shows a company’s first months, export by export: what a run makes of each, on a copy.

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
STORY = {
    "2026-04-30": "April: the first export. Nobody has left yet, so that nothing can be learned.",
    "2026-05-31": "May: 46 accounts have left since. The first model, and the first list.",
    "2026-06-30": "June: who left of May’s list is known, and the model is judged by it.",
    "2026-07-31": "July: another month of the same world.",
    "2026-08-31": "August: nothing is better than the deployed model.",
    "2026-09-30": "September: a competitor goes after large accounts; a model of this month wins.",
    "2026-10-31": "October: the new model holds.",
}


def add(folder: Path, date: str) -> None:
    """Put a month's export where the pipeline looks, an hour old: nobody writes to it any more."""
    path = folder / "sourcedata" / f"accounts_{date}.csv"
    path.write_bytes((ROOT / "sourcedata" / path.name).read_bytes())
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
    """A project of its own with the example's settings, and no file yet."""
    settings = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    # Port 9: nobody serves there; the calls are tried and fail, which ends no run.
    (folder / "config.json").write_text(json.dumps(settings | {"port": 9}), encoding="utf-8")
    (folder / "sourcedata").mkdir()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="risk-demo-") as scratch:
        folder = Path(scratch)
        start(folder)
        for date, title in STORY.items():
            add(folder, date)
            run_driver(folder, title)
        run_driver(folder, "Ten minutes later nothing has changed: the run ends at once.")


if __name__ == "__main__":
    main()

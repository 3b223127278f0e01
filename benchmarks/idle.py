"""What an idle run of the driver costs beside starting Python: whole processes, in turn.

    python benchmarks/idle.py [--runs 12]

143 of a day's 144 runs are idle. CPU seconds of the cheapest of so many processes each: others may
be busy on the machine, and nothing makes a process cheaper than it is.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=12)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        config = _deployed(Path(folder))
        idle, bare = [], []
        for _ in range(runs):
            idle.append(_cpu_seconds(str(ROOT / "fullprocess.py"), "--config", config))
            bare.append(_cpu_seconds("-c", "pass"))
    ratio = min(idle) / min(bare)
    print(f"an idle run {min(idle):.3f} s, a bare python {min(bare):.3f} s: {ratio:.2f} times")


def _deployed(folder: Path) -> str:
    """The config of a project whose next run is idle."""
    lines = ["corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited"]
    lines += [
        f"client{at},{at % 17},{100 + at},{at % 9 + 1},{int(at % 17 < 6)}" for at in range(200)
    ]
    for name in ("sourcedata/clients.csv", "testdata/testdata.csv"):
        path = folder / name
        path.parent.mkdir()
        path.write_text("\n".join([*lines, ""]))
        os.utime(path, (0, 0))  # a file of just now would count as still being written
    config = folder / "config.json"
    config.write_text((ROOT / "config.json").read_text())
    for _ in range(2):
        _cpu_seconds(str(ROOT / "fullprocess.py"), "--config", str(config))
    return str(config)


def _cpu_seconds(*command: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

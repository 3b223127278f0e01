"""Made-up projects of any size, and what a process costs: for the benchmarks of speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"
SEED = 7


def run_code(script: Path) -> str:
    """Code that runs the script on the project in its first argument."""
    return f"""
import runpy, sys
sys.argv = [{script.name!r}, "--config", sys.argv[1] + "/config.json"]
runpy.run_path({str(script)!r}, run_name="__main__")
"""


def make_rows(first: int, rows: int, labelled: float = 0.765) -> list[str]:
    """Lines of made-up clients, a fiftieth of them twice; labelled: the share with a label."""
    import numpy as np

    draw = np.random.default_rng([SEED, first])
    unique = rows - rows // 50
    month = draw.poisson(60, unique)
    year = (month * 12 * draw.uniform(0.5, 1.5, unique)).astype(int)
    size = np.exp(draw.normal(4, 1.2, unique)).astype(int) + 1
    odds = -1.6 - (month - 60) / 9 + 0.35 * (np.log(size) - 4) - 0.5 * (year / 720 - 1)
    leaves = (draw.random(unique) < 1 / (1 + np.exp(-odds))).astype(int).astype(str)
    left = np.where(draw.random(unique) < labelled, leaves, "")
    columns = (month.tolist(), year.tolist(), size.tolist(), left.tolist())
    lines = [
        f"Company {first + at:08d} Ltd,{a},{b},{c},{d}\n"
        for at, (a, b, c, d) in enumerate(zip(*columns, strict=True))
    ]
    return lines + [lines[at] for at in draw.integers(0, unique, rows - unique)]


def make_project(folder: Path, rows: int, files: int) -> None:
    """A project with so many rows in so many files."""
    for name in ("in", "test"):
        (folder / name).mkdir(parents=True)
    names = {
        "input_folder_path": "in",
        "output_folder_path": "out",
        "test_data_path": "test",
        "output_model_path": "models",
        "prod_deployment_path": "production",
        "state_path": "state",
        "log_path": "logs",
    }
    (folder / "config.json").write_text(json.dumps(names))
    for number in range(files):
        part = rows // files
        add_file(folder, f"part{number:05d}", make_rows(number * part, part))


def add_file(folder: Path, name: str, lines: list[str]) -> None:
    path = folder / "in" / f"{name}.csv"
    path.write_text(HEADER + "".join(lines))
    os.utime(path, (time.time() - 3600,) * 2)  # a young file is looked at twice, a second apart


def cost(code: str, folder: Path) -> tuple[float, float]:
    """(processor seconds, megabytes at the highest) of a process that runs the code."""
    # In a process between: what this one has waited for does not count.
    wait = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], "
        "check=True, stdout=subprocess.DEVNULL); u = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1000)"
    )
    found = subprocess.run(
        [sys.executable, "-c", wait, code, str(folder)], check=True, capture_output=True, text=True
    )
    seconds, memory = map(float, found.stdout.split())
    return seconds, memory

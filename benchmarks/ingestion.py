"""What reading a million rows costs beside the plain way, and how it grows.

    python benchmarks/ingestion.py                        200,000 rows, a minute
    python benchmarks/ingestion.py --rows 1000000         what docs/speed.md shows
    python benchmarks/ingestion.py --grow 10000 10000000  the growth table

The plain way is what anybody would write: pandas reads the files, drops the duplicates, writes one.
Both run as processes of their own, one after the other, round by round: what is shown is the ratio
of the medians of their processor time, and the memory at its highest.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from beside.made_up import ROOT, add_file, cost, make_project, make_rows, run_code

NEW = 10_000

PLAIN = """
import glob, sys
import pandas as pd
rows = pd.concat([pd.read_csv(path) for path in sorted(glob.glob(sys.argv[1] + "/in/*.csv"))])
rows.drop_duplicates().to_csv(sys.argv[1] + "/plain.csv", index=False)
"""
# Nothing is checked, nothing synced: no reader that polars makes can be faster.
FLOOR = """
import glob, sys
import polars as pl
pl.read_csv(sorted(glob.glob(sys.argv[1] + "/in/*.csv"))).write_csv(sys.argv[1] + "/floor.csv")
"""
INGEST = run_code(ROOT / "ingestion.py")


def forget_all(folder: Path) -> None:
    for name in ("out", "state", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)


def compare(rows: int, files: int, rounds: int) -> None:
    """Both ways round by round, and new rows on those that are there."""
    costs: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("plain", "floor", "first", "new")
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "project"
        make_project(folder, rows, files)
        for round_ in range(rounds):
            costs["plain"].append(cost(PLAIN, folder))
            costs["floor"].append(cost(FLOOR, folder))
            forget_all(folder)
            costs["first"].append(cost(INGEST, folder))
            add_file(folder, "later", make_rows(10 * rows + round_ * NEW, NEW))
            costs["new"].append(cost(INGEST, folder))
            (folder / "in" / "later.csv").unlink()
    medians = {
        name: [statistics.median(column) for column in zip(*found, strict=True)]
        for name, found in costs.items()
    }
    plain, memory = medians["plain"]
    words = {
        "plain": "pandas: read, drop_duplicates, to_csv",
        "floor": "polars: read, write, nothing checked",
        "first": "ingestion.py, the first time",
        "new": f"ingestion.py, {NEW:,} new rows",
    }
    print(f"{rows:,} rows in {files} files, medians of {rounds} rounds, processor seconds")
    for name, (seconds, most) in medians.items():
        print(
            f"  {words[name]:40} {seconds:7.2f} s  {plain / seconds:5.1f}x as fast as plain"
            f"  {most:6.0f} MB, {most / memory:.2f} of plain"
        )


def grow(sizes: list[int]) -> None:
    """Time for a row and memory, from few rows to many."""
    print(f"{'rows':>12} {'seconds':>9} {'us a row':>9} {'MB':>7} {'bytes a row':>12}")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "project"
            make_project(folder, rows, max(1, rows // 1_000_000) * 10)
            seconds, memory = cost(INGEST, folder)
        print(
            f"{rows:12,} {seconds:9.2f} {1e6 * seconds / rows:9.2f} {memory:7.0f} "
            f"{1e6 * memory / rows:12.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--grow", type=int, nargs="+", metavar="ROWS")
    chosen = parser.parse_args()
    if chosen.grow:
        grow(chosen.grow)
    else:
        compare(chosen.rows, chosen.files, chosen.rounds)


if __name__ == "__main__":
    main()

"""What training and a run with new rows cost beside the plain way.

    python benchmarks/training.py                  100,000 rows
    python benchmarks/training.py --rows 1000000   what docs/speed.md shows

The plain ways are what anybody would write: pandas reads finaldata.csv, scikit-learn fits a
logistic regression, or boosted trees. The run is fullprocess.py with 10,000 new labelled rows, from
reading them to list and report. All are processes of their own, in turn, round by round.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from beside.made_up import ROOT, add_file, cost, make_project, make_rows, run_code

NEW = 10_000
READ = """
import sys
import pandas as pd
rows = pd.read_csv(sys.argv[1] + "/out/finaldata.csv").dropna()
features, labels = rows.iloc[:, 1:4], rows.iloc[:, 4]
"""
LOGISTIC = (
    READ
    + """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels)
"""
)
TREES = (
    READ
    + """
from sklearn.ensemble import HistGradientBoostingClassifier
HistGradientBoostingClassifier().fit(features, labels)
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    steps = {
        "pandas + logistic regression": LOGISTIC,
        "pandas + boosted trees": TREES,
        "training.py": run_code(ROOT / "training.py"),
        "reporting.py": run_code(ROOT / "reporting.py"),
        f"fullprocess.py with {NEW:,} new labelled rows": run_code(ROOT / "fullprocess.py"),
    }
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made"
        make_project(made, chosen.rows, 10)
        add_file(made, "../test/testdata", make_rows(20 * chosen.rows, 3000, labelled=1.0))
        cost(run_code(ROOT / "fullprocess.py"), made)
        for _ in range(chosen.rounds):
            folder = Path(scratch) / "project"  # a copy each round: a run changes what is there
            shutil.copytree(made, folder, symlinks=True)
            add_file(folder, "later", make_rows(10 * chosen.rows, NEW, labelled=1.0))
            for name in [*list(steps)[:2], list(steps)[4], *list(steps)[2:4]]:
                costs[name].append(cost(steps[name], folder))
            shutil.rmtree(folder)
    print(f"{chosen.rows:,} rows, medians of {chosen.rounds} rounds, processor seconds")
    for name, found in costs.items():
        seconds, memory = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"  {name:46} {seconds:7.2f} s {memory:6.0f} MB")


if __name__ == "__main__":
    main()

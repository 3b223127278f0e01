"""Few clients: CRM tables of 400 rows, about 36 of whom left, through --init and the real driver.

    python benchmarks/few_clients.py [--tables 20] [--seed 500]

For as many tables with a signal as without: whether anybody is called, and the list's AUC against
who left of the clients without a label, beside a plain logistic regression on the logarithms of the
sizes. Sizes go over three decades; what drives leaving takes turns between four kinds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).resolve().parent.parent
ROWS, LABELLED, RATE = 800, 400, 0.09
SIZES = ["Employees", "Seats", "Logins last month", "Logins last year"]


def table(seed: int, *, signal: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """(a CRM's table, who leaves); its second half has no label in the file."""
    rng = np.random.default_rng(seed)
    employees = np.maximum(1, np.exp(rng.normal(4, 1.5, ROWS))).round()
    share = np.clip(np.exp(rng.normal(-1.2, 0.7, ROWS)), 0.02, 1)
    seats = np.maximum(1, employees * share).round()
    habit, mood = np.exp(rng.normal(2, 0.6, ROWS)), rng.normal(0, 0.7, ROWS)
    month = rng.poisson(seats * habit * np.exp(mood))
    year = rng.poisson(12 * seats * habit)
    fall, size = np.log((month + 1) / (year / 12 + 1)), np.log(employees / 55)
    drive = [
        -1.8 * fall - 0.5 * size,
        -1.2 * np.log((month + 1) / (seats + 1)),
        1.2 * (fall < -0.7) - 0.6 * size,
        -0.02 * np.minimum(month / seats, 60) - fall,
    ][seed % 4]
    log_odds = 1.3 * (drive - drive.mean()) / drive.std() if signal else np.zeros(ROWS)
    shifts = np.linspace(-8, 2, 201)
    rates = [np.mean(1 / (1 + np.exp(-(log_odds + shift)))) for shift in shifts]
    shift = shifts[np.argmin(np.abs(np.array(rates) - RATE))]
    left = (rng.random(ROWS) < 1 / (1 + np.exp(-(log_odds + shift)))).astype(int)
    segment = np.select([employees < 100, employees < 1000], ["SMB", "Mid-market"], "Enterprise")
    columns = dict(zip(SIZES, (employees, seats, month, year), strict=True))
    frame = pd.DataFrame({"Account ID": [f"A{at}" for at in range(ROWS)], "Segment": segment})
    return frame.assign(**{name: cells.astype(int) for name, cells in columns.items()}), left


def by_hand(frame: pd.DataFrame, left: np.ndarray) -> np.ndarray:
    """The risks of the second half by a plain regression on logarithms of the first."""
    logs = np.log1p(frame[SIZES].to_numpy(float))
    segments = [(frame["Segment"] == word).to_numpy(float) for word in ("SMB", "Mid-market")]
    X = np.column_stack([logs, *segments])
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    return plain.fit(X[:LABELLED], left[:LABELLED]).predict_proba(X[LABELLED:])[:, 1]


def list_of(frame: pd.DataFrame, left: np.ndarray) -> tuple[int, np.ndarray]:
    """(how many are called, the risks of the second half) by the product."""
    words = ["Yes" if one else "No" for one in left[:LABELLED]] + [""] * (ROWS - LABELLED)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "crm_2026-10-31.csv"
        frame.assign(Churned=words).to_csv(file, index=False)
        project = Path(scratch) / "project"
        run("ingestion.py", "--init", str(project), str(file))
        run("fullprocess.py", "--config", str(project / "config.json"), "--now")
        clients = json.loads((project / "models/clients_at_risk.json").read_text())["clients"]
    risks = {client["client"]: client["risk"] for client in clients}
    called = sum(client["call"] for client in clients)
    return called, np.array([risks[name] for name in frame["Account ID"][LABELLED:]])


def run(*words: str) -> None:
    command = [sys.executable, str(ROOT / words[0]), *words[1:]]
    offline = os.environ | {"PIP_NO_INDEX": "1"}
    subprocess.run(command, check=True, env=offline, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=20)
    parser.add_argument("--seed", type=int, default=500)
    chosen = parser.parse_args()
    for signal in (True, False):
        nobody, ours, plain = 0, [], []
        for seed in range(chosen.seed, chosen.seed + chosen.tables):
            frame, left = table(seed, signal=signal)
            called, risks = list_of(frame, left)
            nobody += not called
            ours.append(roc_auc_score(left[LABELLED:], risks))
            plain.append(roc_auc_score(left[LABELLED:], by_hand(frame, left)))
        print(
            f"{'a signal' if signal else 'no signal'}: nobody to call {nobody} of "
            f"{chosen.tables}; mean AUC of the list {np.mean(ours):.3f}, of logarithms by hand "
            f"{np.mean(plain):.3f} (seeds {chosen.seed} to {chosen.seed + chosen.tables - 1})",
            flush=True,
        )


if __name__ == "__main__":
    main()

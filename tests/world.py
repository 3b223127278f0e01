"""Made-up clients whose world can change, and runs on them: for the tests of what is decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from conftest import Project
from driver import new_project, run_driver

from risk.config import Outcome
from risk.decide.state import DecisionState, read_decision_state
from risk.record.history import Entry, entries

HEADER = "client,orders,visits,exited"
COLUMNS = {"id": "client", "target": "exited", "features": ["orders", "visits"]}
FIRST_ROWS = 600
SETTINGS: dict[str, Any] = {"port": 9, "columns": COLUMNS}


def clients(
    n: int, seed: int, *, flip: bool = False, level: float = 0.0, prefix: str = "c"
) -> list[str]:
    """n CSV lines; few orders go with an exit (flip: many), visits a little; level: more exits."""
    rng = np.random.default_rng(seed)
    orders, visits = rng.normal(size=(2, n))
    log_odds = (1.5 if flip else -1.5) * orders - 0.7 * visits - 0.4 + level
    exited = rng.random(n) < 1 / (1 + np.exp(-log_odds))
    return [f"{prefix}{at},{orders[at]:.4f},{visits[at]:.4f},{int(exited[at])}" for at in range(n)]


def unlabelled(rows: list[str]) -> list[str]:
    return [row.rpartition(",")[0] + "," for row in rows]


def world(folder: Path, **settings: Any) -> Project:
    """A project with test data and one file of the old world, nothing run yet."""
    made = new_project(folder, **SETTINGS | settings)
    made.write("testdata/testdata.csv", clients(300, 99), header=HEADER)
    give(made, "2026-01-31", clients(FIRST_ROWS, 1))
    return made


def settings(project: Project, **changed: Any) -> None:
    project.configure(**SETTINGS | changed)


def give(project: Project, name: str, rows: list[str]) -> None:
    """A file in the input folder; its name dates the rows."""
    project.write(f"sourcedata/{name}.csv", rows, header=HEADER)


def run_after(project: Project, name: str, rows: list[str]) -> Outcome:
    """A run after this file has come."""
    give(project, name, rows)
    return run_driver(project)


def state_of(project: Project) -> DecisionState:
    found = read_decision_state(project.config)
    assert found is not None
    return found


def history(project: Project) -> list[Entry]:
    return entries(project.config)


def action(said: Outcome) -> str:
    """What the evaluation did, "" where there was nothing to decide."""
    return str(said.data["evidence"].get("action", ""))

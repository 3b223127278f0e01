"""A made-up past as the pipeline writes it: outcomes, decisions, runs, drift, a failure."""

from __future__ import annotations

import json
from typing import Any

from conftest import Project

from risk.decide.decision import ChallengerEvidence
from risk.files import StateFile
from risk.model.measures import wilson
from risk.record.history import Entry, record
from risk.record.outcomes import CAVEAT
from risk.run import run_log
from risk.run.record import marker_file

NAMES = ("Corvane Logistics", "Tarnfield Foods", "Nobody & Sons", "<b>Bold</b> Hotels")


# ---------------------------------------------------------------- outcomes


def share(left: int, n: int) -> dict[str, Any]:
    return {
        "n": n,
        "left": left,
        "share": left / n if n else None,
        "interval": wilson(left, n) if n else None,
    }


def group(hits: int, listed: int, misses: int, others: int) -> dict[str, Any]:
    """As outcomes.json has it: of the listed so many hits, of the others so many misses."""
    left, n = hits + misses, listed + others
    return {
        "n": n,
        "clients": n - 12,
        "left": left,
        "listed": share(hits, listed),
        "not_listed": share(misses, others),
        "at_random": share(left, n),
        "hits": hits,
        "false_alarms": listed - hits,
        "misses": misses,
        "rightly_not_listed": others - misses,
        "sentence": "as a test has it",
    }


def said(name: str, rank: int, *, contacted: bool = False) -> dict[str, Any]:
    return {
        "client": name,
        "date": "2026-06-30",
        "predicted_at": "2026-07-01T07:00:04Z",
        "risk": 0.12 + 0.1 * (rank < 10),
        "rank": rank,
        "of": 800,
        "contacted": contacted,
    }


def outcomes(**more: Any) -> dict[str, Any]:
    """112 of 180 listed left, 1,190 of the 4,021 others."""
    bins = [
        {"n": 400, "risk": risk, "left": left, "interval": wilson(400 * left, 400)}
        for risk, left in ((0.1, 0.11), (0.25, 0.24), (0.4, 0.52), (0.62, 0.6))
    ]
    reached = [
        {
            "share": part,
            "called": round(4201 * part),
            "left": left,
            "precision": left / (4201 * part),
            "precision_interval": [0.5, 0.7],
            "recall": left / 1302,
            "recall_interval": [left / 1302 - 0.02, left / 1302 + 0.02],
            "lift": 1.9,
            "lift_interval": [1.6, 2.1],
            "at_random": {"precision": 0.31, "recall": part},
        }
        for part, left in ((0.05, 130), (0.1, 247), (0.2, 442), (0.3, 612), (0.5, 898))
    ]
    return {
        "format": 1,
        "made_at": "2026-11-24T07:00:06Z",
        "data_version": 9,
        "least": 30,
        "known": 4201,
        "waiting": 410,
        "from": "2026-01-31",
        "to": "2026-06-30",
        "enough": True,
        "why": "",
        "all": group(112, 180, 1190, 4021),
        "contacted": group(55, 96, 0, 0),
        "not_contacted": group(57, 84, 1190, 4021),
        "caveat": CAVEAT,
        "brier": {"value": 0.171, "base_rate": 0.214},
        "calibration": {
            "slope": {"value": 0.93, "interval": [0.8, 1.1]},
            "intercept": {"value": 0.0, "interval": [-0.1, 0.1]},
            "bins": bins,
        },
        "cumulative_gains": reached,
        "misses": [said(name, 300 + at) for at, name in enumerate(NAMES)],
        "false_alarms": [
            said(name, 2 + at, contacted=at % 2 == 0) for at, name in enumerate(NAMES[:3])
        ],
        **more,
    }


def too_few(known: int = 12) -> dict[str, Any]:
    """What is written before there are enough."""
    nothing = dict.fromkeys(
        ("all", "contacted", "not_contacted", "caveat", "brier", "calibration", "cumulative_gains")
    )
    return {
        **outcomes(known=known, enough=False, why="12 outcomes so far"),
        **nothing,
        "misses": [],
        "false_alarms": [],
    }


def write_outcomes(project: Project, found: dict[str, Any]) -> None:
    project.config.outcomes.write_text(json.dumps(found))


# ---------------------------------------------------------------- decisions


def bet(name: str, e_value: float, threshold: float, **more: Any) -> ChallengerEvidence:
    """What the rows say for a challenger: since the last deployment where rows_needed is given."""
    alone = "rows_needed" not in more
    return ChallengerEvidence(name, e_value, threshold, 0.171, 0.1843, alone=alone, **more)


def entry(number: int, **changed: Any) -> Entry:
    """An evaluation that kept version 1; number makes its key, its day and its data version."""
    day = f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}"
    usual: dict[str, Any] = {
        "key": f"evaluation {number}",
        "at": f"{day}T07:00:00Z",
        "data_version": number,
        "policy": "fast",
        "verdict": "keep",
        "action": "none",
        "reason": f"evidence {1 + number} of the 10 needed",
        "rows": 250,
        "exits": 80,
        "before": 1,
        "after": 1,
        "evidence": (
            bet("challenger", 1.0 + number, 10.0, rows_needed=1500),
            bet("newest rows", 0.3, 20.0),
        ),
        "details": {"guards": ["250 new labelled rows (50 needed)"], "champion_sha256": "ab" * 32},
    }
    return Entry(**{**usual, **changed})


PAST = (
    entry(
        0,
        verdict="deploy",
        action="first",
        before=None,
        after=1,
        evidence=(),
        rows=0,
        exits=0,
        reason="the first model: there was none to compare with",
    ),
    entry(1),
    entry(2),
    entry(3),
    entry(
        4,
        verdict="deploy",
        action="promote",
        after=2,
        reason="the challenger is better",
        evidence=(bet("challenger", 12.4, 10.0, rows_needed=0),),
    ),
    entry(
        5,
        verdict="by hand",
        action="rollback by hand",
        before=2,
        after=1,
        evidence=(),
        rows=0,
        exits=0,
        reason="version 1 is deployed again",
    ),
    entry(
        6,
        verdict="by hand",
        action="release hold",
        before=None,
        after=1,
        evidence=(),
        rows=0,
        exits=0,
        reason="version 1 may be replaced again",
    ),
    entry(
        7,
        verdict="data issue",
        reason="activity: 1,000 times as large as before",
        evidence=(),
        rows=0,
        exits=0,
    ),
    entry(
        8,
        evidence=(
            bet("challenger", 3.07, 10.0, rows_needed=1512),
            bet("<i>version 2</i>", 25.0, 60.0),
        ),
    ),
)


def write_past(project: Project, *entries: Entry) -> None:
    """These entries and no others."""
    project.config.history.unlink(missing_ok=True)
    for one in entries or PAST:
        record(project.config, one)


# ---------------------------------------------------------------- runs


def write_run_log(project: Project, now: float, changed: dict[int, int] | None = None) -> None:
    """Nine days of idle runs up to now; changed: so many slots ago -> what it came to instead."""
    path, last = project.config.run_log, int(now // run_log.SECONDS)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    run_log.begin(path)
    for ago in range(9 * run_log.A_DAY, -1, -1):
        kind = (changed or {}).get(ago, run_log.IDLE)
        if kind != run_log.NONE:
            run_log.note(path, kind, (last - ago) * run_log.SECONDS, (last - ago) * run_log.SECONDS)


def write_marker(project: Project, **changed: Any) -> None:
    marker = {
        "started": "2026-11-24T07:00:00Z",
        "finished": "2026-11-24T07:00:07Z",
        "failed": None,
        "stage": "apicalls",
        "outcome": "kept",
        "reason": "no news",
        "paused": False,
        "failure": {
            "stage": "ingestion",
            "error": "sourcedata/x.csv: permission denied",
            "at": "2026-11-19T02:10:00Z",
            "runs": 3,
            "over": "2026-11-19T02:40:00Z",
        },
    }
    project.config.state_folder.mkdir(exist_ok=True)
    marker_file(project.config).write({**marker, **changed})


def drift_row(name: str, state: str, effect: float) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "number",
        "state": state,
        "effect": effect,
        "effect_name": "distance",
        "p": 0.0004,
        "n": 1362,
        "since": "2026-11-03T07:00Z",
        "sentence": "values above 3 were 11 % of the reference's 2,000, now 19 %",
    }


def write_drift(project: Project, *rows: dict[str, Any]) -> None:
    told = list(rows) or [
        drift_row("open tickets", "alert", 0.31),
        drift_row("activity", "watching", 0.03),
        *(drift_row(f"column {at}", "steady", 0.01) for at in range(12)),
    ]
    evaluation = {
        "measured_at": "2026-11-24T07:00:03Z",
        "model_version": 1,
        "data_version": 1,
        "rows": told,
    }
    StateFile(project.config.drift_state, 1).write({"evaluation": evaluation})


def write_all(project: Project, now: float) -> None:
    """A project with a past on every page."""
    write_outcomes(project, outcomes())
    write_marker(project)
    write_past(project)
    write_drift(project)
    write_run_log(project, now, {3: run_log.WORKED, 30: run_log.BROKEN, 200: run_log.NONE})
    project.config.heartbeat.touch()

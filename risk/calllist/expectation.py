"""What the list is expected to reach, from its risks and what is known of their calibration."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from risk.calllist.expected import doubts, expected, line_of, sentence
from risk.config import Config, PipelineError
from risk.drift.state import last_evaluation
from risk.record.history import entries

PAST_LOOKS = 40
UNUSUAL = ": unusual value,"
CONCEPT = ("calibration", "labels")


def expectation_of(
    config: Config, listing: dict[str, Any], score: dict[str, Any]
) -> dict[str, Any] | None:
    """The list's expected measures with their bands, what speaks against them, both in words.

    score: what the release says of its calibration. None for a list without clients.
    """
    clients = listing["clients"]
    if not clients:
        return None
    past = past_levels(config)
    found = expected(
        np.array([client["risk"] for client in clients]),
        np.array([client["call"] for client in clients]),
        line_of(score["calibration"], past),
    )
    against = doubts(
        found,
        outside=share_outside(clients),
        alarm=concept_alarm(config, listing["model_version"]),
        past=len(past),
        n=score["n"],
        calibration=score["calibration"],
    )
    return {**asdict(found), "doubts": against, "sentence": sentence(found, against)}


def past_levels(config: Config) -> list[dict[str, Any]]:
    """How far the level lay from the risks at each look that kept it, the newest last."""
    try:
        looks = entries(config, PAST_LOOKS)
    except PipelineError:  # it will be told where decisions are shown
        return []
    found = (look.details.get("calibration_in_the_large") for look in looks)
    return [one for one in found if one]


def share_outside(clients: list[dict[str, Any]]) -> float:
    """The share of clients who have a value outside the range of the training rows."""
    return sum(any(UNUSUAL in note for note in c["notes"]) for c in clients) / len(clients)


def concept_alarm(config: Config, version: int) -> bool:
    """Whether the watch has seen labels that the risks do not explain any more."""
    last = last_evaluation(config)
    return last.model_version == version and any(row.kind in CONCEPT for row in last.alerts)

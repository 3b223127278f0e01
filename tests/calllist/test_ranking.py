"""Whether the model can tell leavers from stayers, where the test data are older than the world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import world
from driver import run_driver

from risk.calllist.ranking import auc_interval_of
from risk.decide.comparison import _predicted_before
from risk.decide.judgement import NEWEST, Batch, Judgement
from risk.record.history import last_decision


def test_test_data_of_before_a_change_do_not_keep_everybody_off_the_call_list(
    tmp_path: Path,
) -> None:
    made = world.world(tmp_path)
    run_driver(made)
    said = world.run_after(made, "2026-02-28", world.clients(500, 2, flip=True, prefix="d"))
    manifest = made.json("production_deployment/manifest.json")
    listing = made.json("models/clients_at_risk.json")

    assert world.action(said) == "switch"
    assert manifest["auc_interval"][0] < 0.5
    last = last_decision(made.config)
    assert last is not None and last.details["auc_interval"][0] > 0.6
    assert auc_interval_of(made.config, manifest) == last.details["auc_interval"]
    assert listing["cut"]["called"] > 0


def test_an_evaluation_of_another_version_says_nothing_of_this_one(tmp_path: Path) -> None:
    made = world.world(tmp_path)
    run_driver(made)
    world.run_after(made, "2026-02-28", world.clients(500, 2, flip=True, prefix="d"))
    other = made.json("production_deployment/manifest.json") | {"version": 9}

    assert auc_interval_of(made.config, other) == other["auc_interval"]


@pytest.mark.parametrize(
    ("action", "target", "who"),
    [
        ("none", "", "deployed"),
        ("promote", "challenger", "challenger"),
        ("scheduled retrain", "challenger", "challenger"),
        ("switch", NEWEST, "cross_fitted"),
        ("revert", "version 1", "former"),
    ],
)
def test_what_is_served_next_is_judged_by_what_it_said_unseen(
    action: str, target: str, who: str
) -> None:
    names = ("deployed", "challenger", "cross_fitted", "former")
    said: dict[str, Any] = {name: np.array([at]) for at, name in enumerate(names)}
    batch = Batch(
        np.array([1]),
        said["deployed"],
        [],
        [],
        {"challenger": said["challenger"]},
        {"version 1": said["former"]},
        said["cross_fitted"],
        np.array([0]),
    )

    assert _predicted_before(batch, Judgement(action, target, "", (), {})) is said[who]


def test_an_evaluation_that_a_data_issue_pauses_leaves_the_call_list_as_long_as_it_was(
    tmp_path: Path,
) -> None:
    made = world.world(tmp_path)
    run_driver(made)
    world.run_after(made, "2026-02-28", world.clients(500, 2, flip=True, prefix="d"))
    cells = [row.split(",") for row in world.clients(300, 3, flip=True, prefix="e")]
    wrong = [",".join([c, str(1000 * float(orders)), *rest]) for c, orders, *rest in cells]
    said = world.run_after(made, "2026-03-31", wrong)

    assert said.data["outcome"] == "data issue"
    assert made.json("models/clients_at_risk.json")["cut"]["called"] > 0

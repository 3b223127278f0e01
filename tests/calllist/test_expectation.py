"""What the list is expected to reach: in the list, in words, with what speaks against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import world
from conftest import Project
from driver import run_driver
from listed import call_list
from past import drift_row, write_drift

from risk.calllist import expected as expectation
from risk.calllist.types import load_list
from risk.data.snapshot import read_snapshot
from risk.model.deployed import read_deployed


@pytest.fixture
def started(tmp_path: Path) -> Project:
    """A model of 600 rows and 200 clients without a label."""
    made = world.world(tmp_path)
    run_driver(made)
    world.run_after(made, "2026-02-28", world.unlabelled(world.clients(200, 2, prefix="d")))
    return made


def listed(project: Project) -> dict[str, Any]:
    return project.json("models/clients_at_risk.json")


def test_the_list_says_what_it_is_expected_to_reach(started: Project) -> None:
    found = listed(started)["expected"]
    called = [c["risk"] for c in listed(started)["clients"] if c["call"]]

    assert (found["n"], found["called"]) == (200, 20)
    assert found["found"]["low"] <= sum(called) <= found["found"]["high"]
    assert 0.5 < found["precision"]["low"] < found["precision"]["value"] < 1
    assert found["sentence"].startswith("of the 20 called, ")
    assert found["sentence"] in started.run("diagnostics.py").stdout
    assert any("0 evaluations so far" in words for words in found["caveats"])


def test_what_was_expected_comes_true(started: Project) -> None:
    """The same clients' labels, from the made-up world: of the called so many left."""
    truth = {row.split(",")[0]: int(row[-1]) for row in world.clients(200, 2, prefix="d")}
    found = listed(started)
    left = sum(truth[c["client"]] for c in found["clients"] if c["call"])

    assert found["expected"]["found"]["low"] <= left <= found["expected"]["found"]["high"]
    everybody = found["expected"]["exits"]
    assert everybody["low"] <= sum(truth.values()) <= everybody["high"]


def test_each_evaluation_keeps_its_calibration_in_the_large(started: Project) -> None:
    world.run_after(started, "2026-03-31", world.clients(200, 3, level=2.0, prefix="e"))
    shifts = expectation.past_shifts(started.config)

    assert len(shifts) == 1
    assert shifts[0]["n"] == 200 and 1.0 < shifts[0]["intercept"] < 3.0


def test_clients_outside_the_range_of_training_raise_a_doubt(started: Project) -> None:
    rows = [f"x{at},9{at},0.1," for at in range(60)]
    world.run_after(started, "2026-03-31", rows)
    found = listed(started)

    assert expectation._share_outside(load_list(started.config)) == pytest.approx(60 / 260)
    assert any("outside the range of training" in words for words in found["expected"]["caveats"])


def test_a_list_without_clients_expects_nothing(started: Project) -> None:
    snapshot, deployed = read_snapshot(started.config), read_deployed(started.config)
    empty = call_list()

    assert expectation.with_expectation(started.config, empty, snapshot, deployed) == empty


def test_the_cut_says_the_same_number_as_the_expectation(tmp_path: Path) -> None:
    """Also the profit: by the very risks that the number of leavers is of."""
    made = world.world(tmp_path, contact_cost=20, client_value=100, success_rate=0.5, capacity=15)
    run_driver(made)
    world.run_after(made, "2026-02-28", world.unlabelled(world.clients(200, 2, prefix="d")))
    cut, found = listed(made)["cut"], listed(made)["expected"]

    assert cut["expected_leavers"] == pytest.approx(found["found"]["value"], abs=1e-4)
    at_random = found["exits"]["value"] * found["called"] / found["n"]
    assert cut["expected_leavers_at_random"] == pytest.approx(at_random, abs=1e-4)
    profit = 0.5 * 100 * found["found"]["value"] - 20 * found["called"]
    assert cut["expected_profit"] == pytest.approx(profit, abs=0.01)


def test_known_outcomes_weigh_in_and_not_the_older_test_rows(started: Project) -> None:
    """Twice as many leave as before: the next list expects them, whatever the test rows say."""
    later = world.clients(200, 2, level=1.2, prefix="d")
    world.settings(started, policy="never")
    world.give(started, "2026-02-28 again", later)
    world.give(started, "2026-03-31", world.unlabelled(world.clients(200, 3, prefix="e")))
    run_driver(started)
    found, clients_of = listed(started)["expected"], listed(started)["clients"]

    called = sum(c["risk"] for c in clients_of if c["call"])
    assert found["found"]["value"] > called + 1
    assert found["exits"]["value"] > sum(c["risk"] for c in clients_of) * 1.2
    assert any("on the newest outcomes the risks were not" in one for one in found["caveats"])


@pytest.mark.parametrize(
    ("kind", "state", "version", "alarmed"),
    [
        ("labels", "alert", 1, True),
        ("calibration", "alert", 1, True),
        ("number", "alert", 1, False),
        ("labels", "watching", 1, False),
        ("labels", "alert", 2, False),
    ],
)
def test_only_labels_that_the_deployed_risks_do_not_explain_are_an_alarm(
    started: Project, kind: str, state: str, version: int, alarmed: bool
) -> None:
    write_drift(started, {**drift_row("a row", state, 0.1), "kind": kind})

    assert expectation._concept_alarm(started.config, version) is alarmed

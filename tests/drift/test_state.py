"""The drift monitor in a run: the release's reference, state and table, and data quality issues."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest
import world
from conftest import Project
from driver import copy_of, run_driver

from risk.config import PipelineError
from risk.drift import state
from risk.drift.monitor import DriftRow
from risk.drift.quality import DataQualityIssue
from risk.files import with_checksum
from risk.releases import Manifest, OpenRelease, pause_for, read_deployment, release_hold


def scaled(rows: list[str], factor: float) -> list[str]:
    """The rows with their orders in another unit."""
    cells = [row.split(",") for row in rows]
    return [",".join([one[0], str(float(one[1]) * factor), *one[2:]]) for one in cells]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A first model of 600 rows; copy it before changing it."""
    made = world.world(tmp_path_factory.mktemp("first"))
    run_driver(made)
    return made


@pytest.fixture
def started(first_run: Project, tmp_path: Path) -> Project:
    return copy_of(first_run, tmp_path)


def reference_in(project: Project) -> dict[str, Any]:
    """The deployed release's reference, without the model that it came with."""
    with OpenRelease(project.config) as release:
        found = json.loads(release.verified("reference.json"))
    return {key: found[key] for key in ("drift", "quality")}


def drift_rows(project: Project) -> dict[str, DriftRow]:
    return {row.name: row for row in state.last_evaluation(project.config).rows}


def test_the_release_carries_a_reference_of_the_rows_known_at_its_deployment(
    started: Project,
) -> None:
    reference = reference_in(started)

    assert reference["drift"]["rows"] == world.FIRST_ROWS
    assert set(reference["drift"]["columns"]) == {"orders", "visits"}
    assert reference["quality"]["columns"]["orders"]["rows"] == world.FIRST_ROWS


def test_a_recalibration_keeps_the_reference_and_the_counts_of_its_base_model(
    started: Project,
) -> None:
    before = reference_in(started)
    run = world.run_after(started, "2026-02-28", world.clients(60, 2, level=1.5, prefix="d"))

    assert (world.action(run), run.data["release"]) == ("recalibrate", 2)
    assert reference_in(started) == before
    assert drift_rows(started)["orders"].n == 60


def test_a_shift_is_reported_at_once_and_alerts_when_it_lasts(started: Project) -> None:
    first = world.run_after(started, "2026-02-10", higher(2))
    after_one = drift_rows(started)["visits"].state
    second = world.run_after(started, "2026-02-20", higher(3))
    row = drift_rows(started)["visits"]

    assert after_one == "watching"
    assert row.state == "alert"
    assert row.p < 1e-6 and row.effect > 0.3
    assert "alert: visits: " in second.text and "alert: visits" not in first.text


def higher(seed: int) -> list[str]:
    """40 clients without a label, their visits two deviations higher."""
    rows = world.unlabelled(world.clients(40, seed, prefix=f"n{seed}-"))
    cells = [row.split(",") for row in rows]
    return [",".join([c, orders, str(float(visits) + 2), ""]) for c, orders, visits, _ in cells]


def test_the_history_has_a_row_for_each_evaluation_and_column(started: Project) -> None:
    world.run_after(started, "2026-02-10", higher(2))
    world.run_after(started, "2026-02-20", higher(3))

    with sqlite3.connect(started.config.history) as history:
        found = history.execute(
            "SELECT data_version, n, state FROM drift WHERE name = 'visits' ORDER BY data_version"
        ).fetchall()
    assert found[-2:] == [(2, 40, "watching"), (3, 80, "alert")]


def test_an_evaluation_cut_off_before_its_state_is_written_is_done_again_the_same(
    started: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.give(started, "2026-02-10", higher(2))
    with monkeypatch.context() as patched:
        patched.setattr(
            state, "save_state", lambda *_: (_ for _ in ()).throw(OSError(5, "cut off"))
        )
        with pytest.raises(Exception, match="cut off"):
            run_driver(started)
    again = run_driver(started)

    assert drift_rows(started)["visits"].n == 40
    assert again.data["outcome"] == "wait"
    with sqlite3.connect(started.config.history) as history:
        query = "SELECT count(*) FROM drift WHERE name = 'visits' AND data_version = 2"
        assert history.execute(query).fetchone() == (1,)


def test_the_same_rows_are_never_counted_twice(started: Project) -> None:
    world.run_after(started, "2026-02-10", higher(2))
    before = started.json("state/drift.json")
    run_driver(started)

    assert started.json("state/drift.json") == before


def test_a_new_base_model_is_monitored_from_the_beginning(started: Project) -> None:
    run = world.run_after(started, "2026-02-28", world.clients(300, 2, prefix="d"))

    assert world.action(run) == "scheduled retrain"
    assert {row.state for row in drift_rows(started).values()} == {"no data"}
    assert state.last_evaluation(started.config).model_version == 2


def test_diagnostics_show_the_table_worst_first(started: Project) -> None:
    assert "no data" in started.run("diagnostics.py", "--drift").stdout
    world.run_after(started, "2026-02-10", higher(2))
    run = started.run("diagnostics.py", "--drift").stdout.splitlines()
    rows = json.loads(started.run("diagnostics.py", "--drift", "--json").stdout)["rows"]

    assert "against the rows of model version 1" in run[0]
    assert run[2].split()[:2] == [rows[0]["state"], rows[0]["name"]] == ["watching", "visits"]
    assert any(line.startswith("watching: visits: ") for line in run)


def test_diagnostics_before_the_first_run_say_so(tmp_path: Path) -> None:
    run = world.world(tmp_path).run("diagnostics.py", "--drift").stdout

    assert run == "the drift monitor has not evaluated yet; run fullprocess.py\n"


def test_a_state_of_a_newer_version_is_refused(started: Project) -> None:
    started.config.drift_state.write_text(json.dumps(with_checksum({"format": 2})))

    with pytest.raises(PipelineError, match=r"drift\.json was written by a newer version"):
        state.last_evaluation(started.config)


def test_a_column_in_another_unit_holds_the_deployment(started: Project) -> None:
    run = world.run_after(started, "2026-02-28", scaled(world.clients(300, 2, prefix="d"), 1000.0))

    assert run.data["outcome"] == "data issue"
    assert run.data["release"] == 1
    assert run.text.startswith(
        "paused by a data quality issue: orders: the values are about 1,000 times"
    )
    assert "2026-02-28.csv" in run.data["reason"]
    assert world.history(started)[-1].verdict == "data issue"
    assert world.state_of(started).comparison.counters.evaluations == 0
    assert "data quality issue" in started.run("fullprocess.py", "--explain").stdout
    assert started.run("fullprocess.py").stdout.startswith("idle: ")


def test_a_corrected_file_is_learned_from_and_no_longer_holds(started: Project) -> None:
    rows = world.clients(300, 2, prefix="d")
    world.run_after(started, "2026-02-28", scaled(rows, 1000.0))
    run = world.run_after(started, "2026-02-28", rows)

    assert run.data["outcome"] != "data issue"
    assert started.json("state/deployment.json")["paused"] == ""
    third = world.run_after(started, "2026-03-31", world.clients(300, 3, prefix="e"))
    assert third.data["outcome"] in ("keep", "deploy")


def test_an_issue_that_a_person_takes_as_it_is_holds_no_longer_in_later_files_either(
    started: Project,
) -> None:
    world.run_after(started, "2026-02-28", scaled(world.clients(300, 2, prefix="d"), 1000.0))
    reported = started.run("deployment.py", "--release-hold").stdout
    after = run_driver(started)

    assert "the new values of orders are taken as they are" in reported
    assert after.data["outcome"] in ("keep", "deploy")
    if after.data["release"] == 1:
        later = world.run_after(
            started, "2026-03-31", scaled(world.clients(90, 3, prefix="e"), 1e3)
        )
        assert later.data["outcome"] != "data issue"


@pytest.mark.parametrize("policy", ["raw", "always", "never"])
def test_the_plain_policies_are_held_by_an_issue_too(tmp_path: Path, policy: str) -> None:
    made = world.world(tmp_path, policy=policy)
    run_driver(made)
    run = world.run_after(made, "2026-02-28", scaled(world.clients(300, 2, prefix="d"), 1000.0))

    assert run.data["outcome"] == "data issue"
    assert run.data["release"] == 1


def test_a_version_held_by_hand_stays_held_by_hand(started: Project) -> None:
    started.run("training.py")
    started.run("scoring.py")
    started.run("deployment.py")
    run = world.run_after(started, "2026-02-28", scaled(world.clients(300, 2, prefix="d"), 1000.0))

    assert run.data["outcome"] == "paused"
    assert started.json("state/deployment.json")["paused"] == "by hand"


def test_a_dry_run_reports_the_issue_and_notes_nothing(started: Project) -> None:
    world.give(started, "2026-02-28", scaled(world.clients(300, 2, prefix="d"), 1000.0))
    run = started.run("fullprocess.py", "--dry-run").stdout

    assert run.startswith("would be paused by a data quality issue: orders: ")
    assert started.json("state/deployment.json")["paused"] == ""


def test_only_what_was_accepted_for_this_base_model_is_taken_as_it_is(started: Project) -> None:
    key = DataQualityIssue("unit", ("orders",), "a.csv", "", 9, holds=True).key
    pause_for(started.config, [key])
    release_hold(started.config)
    with OpenRelease(started.config) as release:
        now = read_deployment(started.config)
        of_another = release.manifest | {"base_model": 7}
        assert now.accepted_in(release.manifest) == (key,)
        assert now.accepted_in(cast(Manifest, of_another)) == ()

"""Looks through the real driver: what they bet on, what they deploy, what they leave."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import ROOT, Project
from driver import copy_of, run_driver, run_fully, version
from mixed import contributions
from world import (
    FIRST_ROWS,
    HEADER,
    action,
    clients,
    give,
    history,
    run_after,
    settings,
    state_of,
    unlabelled,
    world,
)

import risk.decide.evaluation
from ingestion import ingest
from risk.config import Outcome, PipelineError
from risk.data.holdout import Holdout
from risk.decide.comparison import ComparisonResult as LookOutcome
from risk.decide.comparison import forecast, start_comparison
from risk.decide.evaluation import _guard
from risk.decide.forecasts import read_forecasts
from risk.decide.judgement import Judgement
from risk.model.candidates import Candidates, LabelledRows
from risk.model.logistic import expit
from risk.model.model import Model
from risk.model.terms import Linear
from risk.releases import kept_releases
from scoring import score
from training import train

NEW_RANKING = ("promote", "switch", "revert", "roll back")
FEATURES = ["orders", "visits"]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """After the first run, under the default policy; never used itself, only copied."""
    made = world(tmp_path_factory.mktemp("evaluations") / "first")
    assert action(run_driver(made)) == "first"
    return made


@pytest.fixture
def started(first: Project, tmp_path: Path) -> Project:
    return copy_of(first, tmp_path)


@pytest.fixture
def certified(started: Project) -> Project:
    """The same under "certified": its champion changes by proof alone."""
    settings(started, policy="certified")
    return started


@dataclass
class Walk:
    """A project after several runs, and what each said."""

    project: Project
    said: list[Outcome]

    @property
    def actions(self) -> list[str]:
        return [action(one) for one in self.said]


@pytest.fixture(scope="session")
def walk(first: Project, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """The old world twice, other levels, another world for two files, and the old one again."""
    project = copy_of(first, tmp_path_factory.mktemp("walk"))
    files: list[dict[str, Any]] = [{}, {}, {"level": 1.2}, {"flip": True}, {"flip": True}, {}]
    said = [
        run_after(project, f"2026-0{month}-28", clients(400, month, **kind))
        for month, kind in enumerate(files, 2)
    ]
    return Walk(project, said)


@pytest.fixture
def walked(walk: Walk, tmp_path: Path) -> Project:
    return copy_of(walk.project, tmp_path)


def table(n: int, seed: int, **kind: Any) -> dict[str, list[Any]]:
    rows = [row.split(",") for row in clients(n, seed, **kind)]
    return {name: [float(row[at]) for row in rows] for at, name in enumerate(FEATURES, 1)}


def contest_of(project: Project) -> Any:
    return project.json("state/evidence.json")["comparison"]


def digests(project: Project, *folders: str) -> dict[str, str]:
    """Every file below these folders, links followed, by its digest."""
    found = [p for folder in folders for p in sorted((project.folder / folder).rglob("*"))]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in found if p.is_file()}


def test_too_few_rows_wait_saying_what_is_missing_and_are_judged_with_the_next(
    started: Project,
) -> None:
    before = contest_of(started)
    stays = [row[:-1] + "0" for row in clients(9, 3)]
    exits = [row[:-1] + "1" for row in clients(3, 4, prefix="d")]

    waited = run_after(started, "2026-02-28", stays + exits)
    waiting = contest_of(started)
    again = run_after(started, "2026-03-28", clients(20, 5))
    judged = run_after(started, "2026-04-28", clients(60, 6))

    assert waited.text.splitlines()[0] == (
        "waited: 12 labelled rows not judged yet, evidence needs "
        "12 of 50 rows, 3 of 10 exits, 9 of 10 stays"
    )
    assert again.text.startswith("waited: 32 labelled rows not judged yet")
    assert waiting == before  # no model has learned from them
    assert judged.data["evidence"]["rows"] == 92
    assert contest_of(started)["counters"]["rows"] == FIRST_ROWS + 92
    assert [entry.rows for entry in history(started)] == [0, 92]


def test_fifty_rows_without_ten_exits_wait(started: Project) -> None:
    rows = [row[:-1] + "0" for row in clients(60, 3)]

    said = run_after(started, "2026-02-28", rows)

    assert "evidence needs 0 of 10 exits" in said.text.splitlines()[0]


def test_nothing_changes_the_ranking_while_nothing_is_wrong(started: Project) -> None:
    said = [
        run_after(started, f"2026-0{month}-28", clients(300, 10 + month)) for month in range(2, 7)
    ]

    assert not set(map(action, said)) & set(NEW_RANKING)


def test_an_abrupt_change_is_answered_within_two_files(walk: Walk) -> None:
    assert {"promote", "switch"} & set(walk.actions[3:5])
    rows = clients(400, 55, flip=True)
    exited = np.array([int(row[-1]) for row in rows])
    risks = release_model(walk.project, after(walk, 4)).probabilities(table(400, 55, flip=True))
    assert np.mean((risks - exited) ** 2) < 0.21  # knowing the shares alone: .24


def test_the_former_champion_comes_back_with_its_world(walk: Walk) -> None:
    assert walk.actions[5] == "revert"
    manifest = walk.project.json("production_deployment/manifest.json")
    assert manifest["action"] == "revert"
    assert manifest["base_model"] in (1, 2, 3)
    assert state_of(walk.project).comparison.name == f"version {manifest['base_model']}"


def after(walk: Walk, at: int) -> int:
    """The version that was deployed after this run of the walk."""
    return int(walk.said[at].data["release"])


def release_model(project: Project, number: int) -> Model:
    folder = project.folder / f"production_deployment/releases/{number:06d}"
    return Model.from_bytes((folder / "model.json").read_bytes())


def test_the_manifest_carries_the_evaluation_its_action_the_recalibration_and_the_ranking(
    walk: Walk,
) -> None:
    evaluations = {entry.after: entry for entry in history(walk.project)}
    for release in kept_releases(walk.project.config):
        manifest, entry = release.manifest, evaluations[release.version]
        if release.version > 1:
            assert f"evaluation {manifest['evaluation']}" == entry.key
            assert manifest["action"] == entry.action
            assert set(manifest["recalibration"]) == {"intercept", "slope"}
            assert list(manifest["recalibration"].values()) == entry.details["recalibration"]
            new = entry.action in ("promote", "switch", "scheduled retrain")
            assert (manifest["base_model"] is None) == new


def test_a_recalibration_moves_the_percentages_and_leaves_the_order_of_the_clients(
    walk: Walk,
) -> None:
    assert walk.actions[2] == "recalibrate"
    manifests = {
        release.version: release.manifest for release in kept_releases(walk.project.config)
    }
    number, rows = after(walk, 2), table(500, 77)
    ranking, recalibration = manifests[number]["base_model"], manifests[number]["recalibration"]
    old = release_model(walk.project, ranking).log_odds(rows)
    new = release_model(walk.project, number).log_odds(rows)
    assert ranking < number
    assert np.argsort(old).tolist() == np.argsort(new).tolist()
    assert float(np.mean(expit(new) - expit(old))) > 0.03
    before = manifests[ranking]["recalibration"]
    bare = (old - before["intercept"]) / before["slope"]
    assert np.abs(recalibration["intercept"] + recalibration["slope"] * bare - new).max() < 1e-9


UNPICKLED = """
import json, pickle, sys
import pandas as pd
rows = pd.DataFrame(json.load(sys.stdin))
found = [pickle.load(open(p, "rb")).predict_proba(rows)[:, 1].tolist() for p in sys.argv[1:]]
print(json.dumps(found))
"""


def test_pickle_json_model_and_reasons_of_every_release_agree(walk: Walk) -> None:
    kept, rows = kept_releases(walk.project.config), table(200, 78)
    paths = [str(release.folder / "trainedmodel.pkl") for release in kept]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNPICKLED, *paths],
        input=json.dumps(rows),
        text=True,
        capture_output=True,
        cwd=ROOT,
        check=True,
    )

    assert {r.manifest.get("action") for r in kept} >= {"recalibrate", "switch", "revert"}
    for release, risks in zip(kept, json.loads(done.stdout), strict=True):
        model = release_model(walk.project, release.version)
        assert np.abs(model.probabilities(rows) - risks).max() < 1e-12
        summed = model.intercept + sum(contributions(model, rows))
        assert np.abs(expit(summed) - risks).max() < 1e-12


def test_every_evaluation_is_in_the_history_once_with_what_it_deployed(walk: Walk) -> None:
    found = history(walk.project)

    assert [entry.action for entry in found] == ["first", *walk.actions]
    assert len({entry.key for entry in found}) == len(found)
    assert [entry.after for entry in found[1:]] == [one.data["release"] for one in walk.said]
    assert [entry.before for entry in found[1:]] == [entry.after for entry in found[:-1]]
    assert state_of(walk.project).due is None
    last = walk.project.json("state/decision.json")
    assert (last["key"], last["after"]) == (found[-1].key, found[-1].after)


def test_certified_deploys_nothing_without_proof_and_a_clear_change_is_proof(
    certified: Project,
) -> None:
    quiet = [run_after(certified, f"2026-0{m}-28", clients(300, 20 + m)) for m in (2, 3)]
    undisturbed = version(certified)
    loud = [run_after(certified, f"2026-0{m}-28", clients(300, 20 + m, flip=True)) for m in (4, 5)]

    assert [action(one) for one in quiet] == ["none", "none"]
    assert undisturbed == 1
    assert "promote" in [action(one) for one in loud]
    entry = next(entry for entry in history(certified) if entry.action == "promote")
    assert max(one.e_value / one.threshold for one in entry.evidence) >= 1
    assert certified.json("production_deployment/manifest.json")["action"] == "promote"


def said_in(project: Project, name: str, rows: list[str]) -> tuple[Outcome, dict[str, Any]]:
    """(a run with this file, what the models had said of the rows that were judged in it)."""
    told: dict[str, Any] = {}

    def spy(comparison: Any, candidates: Any, newest: Any, said: Any) -> Any:
        told.update(
            said=said, present=comparison, raw=candidates.known.rows(newest), rows=newest.size
        )
        return risk.decide.comparison.compare(comparison, candidates, newest, said)

    with mock.patch.object(risk.decide.evaluation, "compare", spy):
        return run_after(project, name, rows), told


def raw_of(rows: list[str]) -> dict[str, np.ndarray]:
    cells = [row.split(",") for row in rows]
    return {name: np.array([float(c[at]) for c in cells]) for at, name in enumerate(FEATURES, 1)}


@pytest.mark.parametrize("policy", ["fast", "certified"])
def test_labels_that_come_later_are_judged_by_what_was_said_when_the_rows_came(
    started: Project, policy: str
) -> None:
    settings(started, policy=policy)
    rows = clients(80, 31, prefix="late")
    waited = run_after(started, "2026-02-28/now", unlabelled(rows))
    then = state_of(started)
    kept = read_forecasts(started.config, then)
    run_after(started, "2026-03-28", clients(60, 32))  # the models learn from these meanwhile

    said, told = said_in(started, "2026-02-28/labels", rows)

    assert waited.text.startswith("waited: 80 new rows without a label to judge by")
    assert kept.height == 80
    expected = forecast(then.comparison, raw_of(rows), 80)
    assert {name: values.tolist() for name, values in told["said"].items()} == {
        name: pytest.approx(values.tolist(), abs=1e-12) for name, values in expected.items()
    }
    present = forecast(told["present"], raw_of(rows), 80)
    rival = next(name for name in present if name.startswith("rival"))
    assert np.abs(present[rival] - expected[rival]).max() > 1e-3  # else this could not fail
    assert said.data["evidence"]["rows"] == 80
    assert said.data["evidence"]["details"]["forecasts_judged"] == 80
    assert not list((started.folder / "state").glob("forecasts-*"))  # nothing is open any more


def test_a_row_is_forecast_once_also_when_it_comes_with_labels_that_are_judged(
    certified: Project,
) -> None:
    waiting = unlabelled(clients(40, 51, prefix="open"))

    run_after(certified, "2026-02-28", [*clients(60, 52), *waiting])
    first = read_forecasts(certified.config, state_of(certified))
    run_after(certified, "2026-03-28", clients(60, 53))
    second = read_forecasts(certified.config, state_of(certified))

    assert (first.height, state_of(certified).comparison.counters.evaluations) == (40, 2)
    assert second.equals(first)


def test_without_a_date_the_clients_next_labelled_row_is_judged_by_what_was_said_before(
    certified: Project,
) -> None:
    then_rows = clients(70, 41, prefix="u")
    run_after(certified, "now", unlabelled(then_rows))
    then = state_of(certified)
    later_rows = clients(70, 42, prefix="u")  # the same clients, other values by now

    said, told = said_in(certified, "labels", later_rows)

    assert said.data["evidence"]["details"]["forecasts_judged"] == 70
    expected = forecast(then.comparison, raw_of(then_rows), 70)["deployed"]
    assert told["said"]["deployed"].tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_labels_within_the_horizon_are_forecast_when_they_come_and_judged_when_mature(
    tmp_path: Path,
) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    project = world(tmp_path, policy="certified", horizon_days=5)
    run_driver(project)
    young = today - datetime.timedelta(days=2)
    rows = clients(60, 51)
    immature = run_after(project, str(young), rows)
    then = state_of(project)
    kept = read_forecasts(project.config, then).height
    idle = run_driver(project).data["outcome"]

    told: dict[str, Any] = {}

    def spy(comparison: Any, candidates: Any, newest: Any, said: Any) -> Any:
        told.update(said)
        return risk.decide.comparison.compare(comparison, candidates, newest, said)

    later = today + datetime.timedelta(days=4)
    with (
        mock.patch("risk.data.labels.today", return_value=later),
        mock.patch.object(risk.decide.evaluation, "compare", spy),
    ):
        matured = run_fully(project)

    assert immature.text.startswith("waited: 60 new rows without a")
    assert (kept, idle) == (60, "idle")
    assert matured.data["evidence"]["rows"] == 60
    assert matured.data["evidence"]["details"]["forecasts_judged"] == 60
    expected = forecast(then.comparison, raw_of(rows), 60)["deployed"]
    assert told["deployed"].tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_forecasts_that_are_lost_are_made_by_the_present_models(certified: Project) -> None:
    rows = clients(80, 31, prefix="late")
    run_after(certified, "2026-02-28/now", unlabelled(rows))
    for path in (certified.folder / "state").glob("forecasts-*"):
        path.write_bytes(b"PAR1")

    said = run_after(certified, "2026-02-28/labels", rows)

    assert said.data["evidence"]["rows"] == 80
    assert said.data["evidence"]["details"]["forecasts_judged"] == 0


def test_an_erased_client_is_in_no_forecast(certified: Project) -> None:
    run_after(certified, "2026-02-28", unlabelled(clients(5, 31, prefix="gone")))
    before = read_forecasts(certified.config, state_of(certified))["_client"].to_list()

    certified.run("ingestion.py", "--erase", "gone3")

    left = read_forecasts(certified.config, state_of(certified))["_client"].to_list()
    assert left == [name for name in before if name != "gone3"] and len(left) == 4


@pytest.mark.parametrize(
    ("second", "rows"),
    [
        (clients(80, 61), 80),  # the same clients on another date
        (clients(80, 61) + clients(80, 62), 80),  # each twice in a file
        (clients(80, 61) + clients(40, 63, prefix="d"), 120),
    ],
)
def test_a_client_is_bet_on_once_a_period(certified: Project, second: list[str], rows: int) -> None:
    said = run_after(certified, "2026-02-28", second)

    assert said.data["evidence"]["rows"] == rows
    assert sum(
        martingale.rows
        for martingale in state_of(certified).comparison.counters.martingales.values()
    ) == (rows * len(said.data["evidence"]["evidence"]))


def test_a_client_and_date_that_was_bet_on_is_not_bet_on_again(certified: Project) -> None:
    run_after(certified, "2026-02-28/one", clients(80, 61))
    corrected = clients(80, 62)  # the same clients and date, other values

    said = run_after(certified, "2026-02-28/two", corrected + clients(60, 63, prefix="d"))

    assert said.data["evidence"]["rows"] == 60


def test_without_dates_a_client_is_bet_on_once_for_each_champion(certified: Project) -> None:
    run_after(certified, "one", clients(80, 61))

    said = run_after(certified, "two", clients(100, 62) + clients(60, 63, prefix="d"))

    assert said.data["evidence"]["rows"] == 80  # 20 clients that are new, 60 others


def test_rows_of_a_replaced_file_are_learned_from_and_never_bet_on(certified: Project) -> None:
    give(certified, "2026-01-31", clients(FIRST_ROWS, 1, flip=True))
    replaced = run_driver(certified)

    said = run_after(certified, "2026-02-28", clients(60, 71))

    assert replaced.text.splitlines()[0] == "kept: no new labelled rows to judge by"
    assert said.data["evidence"]["rows"] == 60
    assert state_of(certified).comparison.counters.rows == FIRST_ROWS + 60


def test_a_rollback_begins_the_evidence_anew_and_bets_on_no_row_that_a_rival_has_seen(
    walked: Project,
) -> None:
    before, last = version(walked), state_of(walked)
    kept = [release.version for release in kept_releases(walked.config)]

    walked.run("deployment.py", "--rollback", str(kept[0]))
    held = run_after(walked, "2026-08-28", clients(60, 81))
    walked.run("deployment.py", "--release-hold")
    judged = run_driver(walked)

    assert held.data["outcome"] == "paused"
    assert judged.data["evidence"]["rows"] == 60  # those that came meanwhile, none before
    now = state_of(walked)
    assert now.comparison.counters.evaluations == 1
    assert (
        last.comparison.name in now.comparison.former or last.comparison.name == now.comparison.name
    )
    assert [(e.verdict, e.action, e.before, e.after) for e in history(walked)[-3:-1]] == [
        ("by hand", "rollback by hand", before, kept[0]),
        ("by hand", "release hold", None, kept[0]),
    ]


def test_a_deployment_by_hand_pauses_and_the_model_before_it_is_a_former_champion(
    started: Project,
) -> None:
    run_after(started, "2026-02-28", clients(60, 91))
    last = state_of(started)
    train(started.config)
    score(started.config)
    started.run("deployment.py")
    number = version(started)
    held = run_after(started, "2026-03-28", clients(60, 92))
    started.run("deployment.py", "--release-hold")
    judged = run_driver(started)

    assert held.data["outcome"] == "paused" and f"version {number} was chosen by hand" in held.text
    assert judged.data["evidence"]["rows"] == 60
    assert judged.data["evidence"]["details"]["base_model"] == f"version {number}"
    assert last.comparison.name in state_of(started).comparison.former
    assert [e.action for e in history(started)][-3:-1] == ["deployment by hand", "release hold"]


def test_a_model_of_other_features_by_hand_leaves_no_former_champion(started: Project) -> None:
    other = {"id": "client", "target": "exited", "features": ["visits"]}
    settings(started, columns=other)
    ingest(started.config, again=True)
    train(started.config)
    score(started.config)
    started.run("deployment.py")
    started.run("deployment.py", "--release-hold")

    said = run_after(started, "2026-02-28", clients(60, 93))

    assert said.data["evidence"]["rows"] == 60
    assert state_of(started).comparison.former.keys() <= {"version 2"}


def line(intercept: float, slope: float) -> Model:
    """A model of the orders alone."""
    term = Linear("orders", low=-9.0, high=9.0, fill=0.0, slope=slope)
    return Model(dict.fromkeys(FEATURES, "number"), intercept, [term])


GOOD, BAD, FAIR = line(-0.4, -1.5), line(-0.4, 1.5), line(-0.4, -0.9)


def guarded(project: Project, refit: Model, flip: bool) -> tuple[LookOutcome, str]:
    """The guard's answer to a swap from GOOD; FAIR was judged; flip: in the new rows."""
    rows = clients(200, 7, flip=flip)
    cells = [row.split(",") for row in rows]
    known = LabelledRows(
        "default",
        dict.fromkeys(FEATURES, "number"),
        pd.DataFrame({n: [float(c[at]) for c in cells] for at, n in enumerate(FEATURES, 1)}),
        np.array([int(c[3]) for c in cells]),
        np.array([c[0] for c in cells]),
        np.zeros(200, dtype=np.int64),
    )
    candidates = Candidates(known)
    comparison = start_comparison("fast", GOOD, "version 1", candidates, {})
    comparison = replace(comparison, recalibration=(0.0, 1.0))
    judgement = Judgement("promote", "challenger", "it is better", (), {})
    new = replace(comparison, champion=refit, name="version 2")
    outcome = LookOutcome(new, judgement, "promote", refit, FAIR, comparison)
    present = replace(state_of(project), comparison=comparison)
    return _guard(present, outcome, candidates, np.arange(200), Holdout(project.config))


def test_a_refit_that_does_worse_on_test_data_gives_way_to_the_model_that_was_judged(
    started: Project,
) -> None:
    outcome, why = guarded(started, BAD, flip=False)

    assert outcome.comparison.champion == FAIR and outcome.model is not None
    assert outcome.comparison.former.keys() == {"version 1"}
    assert why == (
        "the refit does worse than the deployed model on the test data, so that the model that "
        "was judged is deployed instead"
    )


def test_a_refit_that_new_rows_show_to_be_better_outweighs_older_test_data(
    started: Project,
) -> None:
    outcome, why = guarded(started, BAD, flip=True)

    assert (outcome.comparison.champion, why) == (BAD, "")


def test_a_refit_that_is_no_worse_passes(started: Project) -> None:
    outcome, why = guarded(started, GOOD, flip=True)

    assert (outcome.comparison.champion, why) == (GOOD, "")


def test_without_test_data_new_rows_out_of_fold_speak_alone(started: Project) -> None:
    (started.folder / "testdata/testdata.csv").unlink()
    passed, silent = guarded(started, BAD, flip=True)

    with mock.patch.object(
        risk.decide.evaluation,
        "_out_of_fold",
        lambda *_: (np.tile([0.0, 1.0], 50), np.tile([0.1, 0.9], 50), np.tile([0.9, 0.2], 50)),
    ):
        refused, why = guarded(started, BAD, flip=True)

    assert (passed.comparison.champion, silent) == (BAD, "")
    assert refused.comparison.champion == FAIR and "on new rows out of fold" in why


def test_a_judged_model_that_is_deployed_says_which_rows_it_learned_from(
    started: Project,
) -> None:
    real = risk.decide.evaluation._guard

    def refuse(*given: Any) -> Any:
        with mock.patch.object(
            risk.decide.evaluation,
            "_is_worse",
            lambda y, p, q: p is not q and _asked.append(1) is None and len(_asked) == 1,
        ):
            return real(*given)

    _asked: list[int] = []
    with mock.patch.object(risk.decide.evaluation, "_guard", refuse):
        said = run_after(started, "2026-02-28", clients(500, 95))
    if action(said) not in ("scheduled retrain", "promote"):
        pytest.fail(f"the rows no longer call for another model: {said.text}")

    manifest = started.json("production_deployment/manifest.json")
    assert "the refit does worse" in said.text
    assert (manifest["rows"], manifest["data_version"]) == (FIRST_ROWS, 2)


def test_a_dry_run_takes_rows_in_and_changes_nothing_else(started: Project) -> None:
    give(started, "2026-02-28", clients(300, 12, flip=True))
    folders = ("models", "production_deployment", "state")
    before = digests(started, *folders)

    dry = json.loads(started.run("fullprocess.py", "--dry-run", "--json").stdout)
    words = started.run("fullprocess.py", "--dry-run").stdout
    after_it = digests(started, *folders)
    said = run_driver(started)

    changed = {
        name for name in before.keys() | after_it.keys() if before.get(name) != after_it.get(name)
    }
    assert {Path(name).name for name in changed} <= {"lock"}
    assert dry["verdict"] == said.data["outcome"] == "deploy"
    assert dry["reason"] == said.data["reason"]
    assert words.startswith(f"would deploy: {dry['reason']}\n")
    expected = {key: value for key, value in said.data["evidence"].items() if key != "details"}
    assert {key: dry["evidence"][key] for key in expected} == json.loads(json.dumps(expected))


def test_a_dry_run_before_anything_is_deployed(tmp_path: Path) -> None:
    project = world(tmp_path)

    said = project.run("fullprocess.py", "--dry-run").stdout

    assert said.startswith("would deploy: the first model: there was none to compare with\n")
    assert version(project) is None and not (project.folder / "state/history.sqlite").exists()


def test_history_and_explanation_are_words_and_change_no_file(walked: Project) -> None:
    everything = ("models", "production_deployment", "state", "ingesteddata", "logs")
    before = digests(walked, *everything)

    told = {
        option: walked.run("fullprocess.py", *option.split()).stdout
        for option in ("--explain", "--history", "--explain --json", "--history --json")
    }

    assert digests(walked, *everything) == before
    last = history(walked)[-1]
    explained = told["--explain"].splitlines()
    assert explained[0] == (
        f"{last.at}: reverted (policy fast, {last.rows} labelled rows, {last.exits} exits)"
    )
    assert last.reason in told["--explain"] and "challenger" in told["--explain"]
    shown = told["--history"].splitlines()
    assert shown[0].split() == ["when", "what", "version", "rows", "evidence", "why"]
    assert len(shown) == 1 + len(history(walked)) and max(map(len, shown)) <= 120
    assert json.loads(told["--explain --json"])["key"] == last.key
    assert [e["key"] for e in json.loads(told["--history --json"])["history"]] == [
        entry.key for entry in history(walked)
    ]


def test_before_the_first_decision_there_is_nothing_to_explain(tmp_path: Path) -> None:
    project = world(tmp_path)

    for option in ("--explain", "--history"):
        assert project.run("fullprocess.py", option).stdout == "nothing was decided yet\n"


def test_policies_can_be_changed_and_changed_back(started: Project) -> None:
    said, served = [], []
    for month, policy in enumerate(["certified", "raw", "never", "fast", "certified"], 2):
        settings(started, policy=policy)
        said.append(run_after(started, f"2026-0{month}-28", clients(60, 100 + month)))
        served.append(state_of(started).comparison.policy)

    assert [one.data["evidence"].get("rows", 0) for one in said] == [60, 60, 60, 180, 60]
    assert served == ["certified", "certified", "certified", "fast", "certified"]
    assert [entry.policy for entry in history(started)] == [
        "fast",
        "certified",
        "raw",
        "never",
        "fast",
        "certified",
    ]
    assert state_of(started).comparison.counters.evaluations == 1  # begun anew with each policy


def test_another_recipe_begins_the_evidence_anew_once(started: Project) -> None:
    settings(started, model="original")

    for month in (2, 3):
        run_after(started, f"2026-0{month}-28", clients(60, 110 + month))

    assert state_of(started).comparison.counters.evaluations == 2


@pytest.mark.parametrize("damage", ["deleted", "cut", "changed", "not JSON", "an older layout"])
def test_evidence_that_is_lost_begins_anew_and_the_deployment_stays(
    started: Project, damage: str
) -> None:
    run_after(started, "2026-02-28", clients(60, 120))
    number, path = version(started), started.folder / "state/evidence.json"
    whole = json.loads(path.read_bytes())
    match damage:
        case "deleted":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-40])
        case "changed":
            path.write_text(json.dumps(whole | {"proven": not whole["proven"]}))
        case "not JSON":
            path.write_bytes(b"\xff\x00")
        case "an older layout":
            del whole["recipe"]
            path.write_text(json.dumps(risk.files.with_checksum(whole)))

    said = run_after(started, "2026-03-28", clients(60, 121))

    assert said.data["evidence"]["before"] == number
    assert state_of(started).comparison.counters.evaluations == 1
    assert version(started) in (number, (number or 0) + 1)


def test_evidence_of_a_newer_version_is_refused_in_a_sentence(started: Project) -> None:
    path = started.folder / "state/evidence.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"format": 2}))
    give(started, "2026-02-28", clients(60, 120))

    with pytest.raises(PipelineError, match=r"evidence.json was written by a newer version"):
        run_driver(started)
    done = started.run("deployment.py", check=False)
    assert "was written by a newer version of this software; update the software" in done.stderr
    assert version(started) == 1


def test_the_evidence_outlives_the_logs(started: Project) -> None:
    run_after(started, "2026-02-28", clients(60, 120))
    shutil.rmtree(started.folder / "logs")

    run_after(started, "2026-03-28", clients(60, 121))

    assert state_of(started).comparison.counters.evaluations == 2


def test_a_horizon_that_is_shortened_within_a_day_is_an_evaluation_of_its_own(
    started: Project,
) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    settings(started, horizon_days=5)
    give(started, str(today - datetime.timedelta(days=3)), clients(60, 131))
    run_after(started, "2026-02-28", clients(60, 130))
    settings(started, horizon_days=1)

    said = run_driver(started)

    assert said.data["evidence"]["rows"] == 60
    assert len(history(started)) == 3


def test_a_first_model_is_provisional_until_it_beats_the_base_rate(started: Project) -> None:
    said = [run_after(started, f"2026-0{m}-28", clients(60, 140 + m)) for m in (2, 3, 4)]

    provisional = [one.data["evidence"]["details"]["provisional"] for one in said]
    assert provisional[-1] is False
    assert provisional == sorted(provisional, reverse=True)


def test_a_model_that_does_worse_than_the_base_rate_alarms_and_stays(certified: Project) -> None:
    said = run_after(certified, "2026-02-28", clients(300, 150, flip=True))

    alarm = said.data["evidence"]["details"]["alarm"]
    assert alarm.startswith("alarm: version 1 does worse than the share of exits alone (Brier 0.")
    assert said.data["evidence"]["details"]["provisional"] is True
    log = certified.text("logs/fullprocess.log").splitlines()
    # A long line goes on below, behind another stamp.
    plain = " ".join(" ".join(line.partition("Z ")[2] for line in log).split())
    assert alarm in said.text and alarm in plain
    assert (action(said), version(certified)) == ("none", 1)


def test_rows_ingested_by_hand_are_looked_at_by_the_next_run(started: Project) -> None:
    give(started, "2026-02-28", clients(60, 160))
    ingest(started.config)

    assert run_driver(started).data["evidence"]["rows"] == 60


def test_the_evidence_is_of_plain_numbers_and_small(walk: Walk) -> None:
    assert (walk.project.folder / "state/evidence.json").stat().st_size < 100_000
    assert pl.DataFrame([entry.evidence[0] for entry in history(walk.project)[1:]]).height == 6
    assert HEADER.split(",")[1:3] == list(state_of(walk.project).comparison.champion.columns)

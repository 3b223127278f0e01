"""Clients who stayed: the model was trained on them, so their risk is by one that was not."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Project, client_rows
from driver import copy_of, first_deployed, undrawn

import reporting
from ingestion import ingest
from risk.calllist.held_out import held_out_risks
from risk.calllist.types import load_list
from risk.data.snapshot import read_snapshot, training_rows
from risk.data.starter import start
from risk.model import fit as fitting
from risk.releases import OpenRelease
from risk.run.doctor import listed_clients

FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
KEPT = "models/out_of_fold.json"


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Deployed on 120 labelled undated rows, nothing else ingested."""
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def report(project: Project) -> dict[str, Any]:
    """The list as reporting.py writes it now."""
    with undrawn():
        reporting.report(project.config)
    return project.json("models/clients_at_risk.json")


def more(project: Project, rows: list[str], name: str = "sourcedata/more.csv") -> dict[str, Any]:
    project.write(name, rows)
    ingest(project.config)
    return report(project)


def risks(listing: dict[str, Any]) -> dict[str, float]:
    """The risks of the clients of the input; those of the test data (client3_) are listed too."""
    found = {client["client"]: client["risk"] for client in listing["clients"]}
    return {name: risk for name, risk in found.items() if not name.startswith("client3_")}


def unseen_risks(project: Project) -> dict[str, float]:
    """Each training row's risk by the recipe's own folds, by client."""
    rows = training_rows(project.config, read_snapshot(project.config))
    found = fitting.out_of_fold("default", rows.columns, rows.features, rows.labels, rows.clients)
    return dict(zip(rows.clients, found.tolist(), strict=True))


def own_risks(project: Project, cells: list[list[float | None]]) -> np.ndarray:
    model = pickle.loads((project.folder / "production_deployment/trainedmodel.pkl").read_bytes())
    return model.predict_proba(pd.DataFrame(cells, columns=FEATURES, dtype=float))[:, 1]


def counted_fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each out-of-fold round from now on."""
    rounds: list[int] = []
    real = fitting.out_of_fold

    def counting(name: str, columns: Any, X: Any, y: Any, groups: Any) -> Any:
        rounds.append(len(y))
        return real(name, columns, X, y, groups)

    monkeypatch.setattr(fitting, "out_of_fold", counting)
    return rounds


def test_those_who_stayed_have_the_risks_of_the_recipes_own_folds(deployed: Project) -> None:
    expected, finaldata = (
        unseen_risks(deployed),
        pd.read_csv(deployed.folder / "ingesteddata/finaldata.csv"),
    )

    listing = report(deployed)

    found = risks(listing)
    assert set(found) == set(finaldata[finaldata["exited"] == 0]["corporation"])
    assert found == {name: round(expected[name], 6) for name in found}
    own = own_risks(deployed, finaldata[FEATURES].to_numpy().tolist())
    trained = dict(zip(finaldata["corporation"], own, strict=True))
    assert max(abs(found[name] - trained[name]) for name in found) > 0.005
    assert listing["basis"] == "stayed"
    assert "by a model that did not see the client" in listing["note"]


def test_the_list_of_those_who_stayed_is_in_the_order_of_these_risks(deployed: Project) -> None:
    clients = report(deployed)["clients"]

    found = [client["risk"] for client in clients]
    assert found == sorted(found, reverse=True)
    calls = [client["call"] for client in clients]
    assert sum(calls) == round(len(clients) / 10) and all(calls[: sum(calls)])


def test_a_row_newer_than_the_training_is_scored_by_the_model_itself(deployed: Project) -> None:
    listing = more(deployed, ["brand new,1,600,30,0", "gone at once,1,600,30,1"])

    found = risks(listing)
    assert "gone at once" not in found and listing["basis"] == "stayed"
    assert found["brand new"] == pytest.approx(own_risks(deployed, [[1, 600, 30]])[0], abs=5.1e-7)
    rest = {name: risk for name, risk in found.items() if name != "brand new"}
    assert rest == pytest.approx(json_risks(deployed, rest), abs=5.1e-7)


def json_risks(project: Project, names: dict[str, float]) -> dict[str, float]:
    """The kept out-of-fold risks of these clients, whose rows are the first of finaldata.csv."""
    clients = pd.read_csv(project.folder / "ingesteddata/finaldata.csv")["corporation"].tolist()
    kept = project.json(KEPT)["risks"]
    return {name: kept[clients.index(name)] for name in names}


def test_they_are_kept_until_the_rows_or_the_model_change(
    deployed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deployed.folder / KEPT).unlink()
    rounds = counted_fits(monkeypatch)

    first = report(deployed)
    again = report(deployed)
    newer = more(deployed, ["brand new,1,600,30,0"])
    assert rounds == [120] and risks(first) == risks(again)
    assert risks(newer).items() >= risks(first).items()

    for script in ("training.py", "scoring.py", "deployment.py"):
        deployed.run(script)
    report(deployed)
    assert rounds == [120, 121]


@pytest.mark.parametrize("damage", [
    "", "{}", "[]", '{"format": 2, "key": [], "risks": []}', '{"format": 1, "key": ["x", "y"]}',
])  # fmt: skip
def test_a_damaged_or_foreign_record_is_made_anew(
    deployed: Project, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    before = report(deployed)
    (deployed.folder / KEPT).write_text(damage)
    rounds = counted_fits(monkeypatch)

    assert risks(report(deployed)) == risks(before) and rounds == [120]
    assert len(deployed.json(KEPT)["risks"]) == 120


def test_an_erased_client_takes_part_in_no_fold(
    deployed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = counted_fits(monkeypatch)
    deployed.write("sourcedata/one.csv", client_rows(59, seed=1))
    ingest(deployed.config)

    found = risks(report(deployed))

    assert rounds == [119] and "client1_59" not in found
    assert set(found) < set(unseen_risks(deployed))


def test_rows_that_were_sent_again_with_the_same_clients_are_not_scored_by_a_model_that_saw_them(
    deployed: Project,
) -> None:
    """one.csv comes again, longer: its rows are newer than the training, and were trained on."""
    deployed.write("sourcedata/one.csv", [*client_rows(60, seed=1), "added,1,600,30,0"])
    ingest(deployed.config)

    found = risks(report(deployed))

    expected = unseen_risks(deployed)
    assert found == {name: round(expected[name], 6) for name in found} and "added" in found


def test_where_labels_resolved_every_unlabelled_row_the_risks_are_out_of_fold_too(
    deployed: Project,
) -> None:
    """The unlabelled rows are still in the store; the list is of those who stayed all the same."""
    opened = more(deployed, ["opened,1,600,30,"])
    listing = more(deployed, ["opened,2,600,30,0"], "sourcedata/resolved.csv")

    assert opened["basis"] == "unlabelled" and set(risks(opened)) == {"opened"}
    assert listing["basis"] == "stayed"
    expected, found = unseen_risks_of_first(deployed), risks(listing)
    assert {name: found[name] for name in expected} == expected and "opened" in found


def unseen_risks_of_first(project: Project) -> dict[str, float]:
    """The out-of-fold risks of the clients who stayed among the first 120 rows."""
    frame = pd.read_csv(project.folder / "ingesteddata/finaldata.csv")[:120]
    found = fitting.out_of_fold(
        "default", dict.fromkeys(FEATURES, "number"), frame[FEATURES].astype(float),
        frame["exited"].to_numpy(int), frame["corporation"].to_numpy(),
    )  # fmt: skip
    named = zip(frame["corporation"], frame["exited"], found.tolist(), strict=True)
    return {client: round(risk, 6) for client, left, risk in named if not left}


def test_a_list_of_unlabelled_clients_needs_none(
    deployed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deployed.folder / KEPT).unlink(missing_ok=True)
    rounds = counted_fits(monkeypatch)

    more(deployed, ["open,1,600,30,"])

    assert rounds == [] and not (deployed.folder / KEPT).exists()


def test_a_row_whose_horizon_had_not_passed_at_the_training_is_scored_by_the_model(
    deployed: Project,
) -> None:
    columns = {"date": "day"}
    deployed.configure(port=9, horizon_days=30, columns=columns)
    header = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited,day"
    old = [f"{row},2020-01-31" for row in client_rows(60, seed=1)]
    young = pd.Timestamp.now("UTC").strftime("%Y-%m-%d")
    deployed.write("sourcedata/one.csv", [*old, f"young,1,600,30,0,{young}"], header=header)
    (deployed.folder / "sourcedata/two.csv").unlink()
    (deployed.folder / "testdata/testdata.csv").unlink()
    deployed.run("ingestion.py", "--rebuild", "--drop-missing")
    for script in ("training.py", "scoring.py", "deployment.py"):
        deployed.run(script)

    found = risks(report(deployed))

    assert len(deployed.json(KEPT)["risks"]) == 60
    assert found["young"] == pytest.approx(own_risks(deployed, [[1, 600, 30]])[0], abs=5.1e-7)


def test_the_doctor_finds_the_list_sound_and_writes_nothing(deployed: Project) -> None:
    report(deployed)
    (deployed.folder / KEPT).unlink()

    said = listed_clients(deployed.config)

    assert said.endswith(" clients") and not (deployed.folder / KEPT).exists()


def test_without_the_word_to_keep_them_they_are_made_and_not_written(deployed: Project) -> None:
    (deployed.folder / KEPT).unlink(missing_ok=True)
    with OpenRelease(deployed.config) as release:
        manifest = release.manifest

    found = held_out_risks(deployed.config, read_snapshot(deployed.config), manifest)

    assert sorted(found) == list(range(120)) and not (deployed.folder / KEPT).exists()
    assert json.dumps(found)  # plain numbers: what is kept is JSON


def test_clients_set_aside_for_the_test_are_listed_as_well(tmp_path: Path) -> None:
    rows = [f"c{at};{at % 17};{at * 7 % 23};{('Yes', 'No', 'No')[at % 3]}" for at in range(240)]
    table = tmp_path / "clients_2026-09-30.csv"
    table.write_text("\n".join(["customer_id;visits;seats;churned", *rows, ""]))
    start(tmp_path / "own", [table])
    project = Project.__new__(Project)
    project.folder = tmp_path / "own"
    for stage in ("ingestion", "training", "scoring", "deployment", "reporting"):
        project.run(f"{stage}.py")
    listed = load_list(project.config).clients
    test = (project.folder / "testdata/testdata.csv").read_text().splitlines()[1:]
    aside = {line.split(";")[0] for line in test if line.endswith("No")}

    stayed = {row.split(";")[0] for row in rows if row.endswith("No")}
    assert {one.client for one in listed} == stayed
    assert len(aside) == 32 and aside < stayed
    assert listed_clients(project.config) == f"{len(stayed)} clients"

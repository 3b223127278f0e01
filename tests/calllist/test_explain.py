"""One client, or a file of rows, explained: what is said, to whom it adds up, who is meant."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import HEADER, Project, client_rows
from driver import copy_of, first_deployed, undrawn

import diagnostics
import reporting
from ingestion import ingest
from risk.calllist.explain import explain_rows, explained_csv
from risk.config import PipelineError
from risk.model.model import Model
from risk.model.reasons import points
from risk.model.terms import Levels, Linear
from risk.releases import OpenRelease

FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def come(project: Project, rows: list[str], name: str) -> None:
    """These rows come in and the list is written anew."""
    project.write(name, rows)
    ingest(project.config)
    with undrawn():
        reporting.report(project.config)


def told(project: Project, client: str) -> dict[str, Any]:
    return diagnostics.show_client(project.config, client).data


def own_risk(project: Project, *cells: float | None) -> float:
    model = pickle.loads((project.folder / "production_deployment/trainedmodel.pkl").read_bytes())
    frame = pd.DataFrame([cells], columns=FEATURES, dtype=float)
    return model.predict_proba(frame)[0, 1]


# ---------------------------------------------------------------- one client


def test_a_client_is_told_with_risk_place_reasons_and_history(deployed: Project) -> None:
    come(deployed, ["Acme,90,900,40,"], "sourcedata/2025-01-31.csv")
    come(deployed, ["Acme,5,900,40,", "other,80,900,40,"], "sourcedata/2025-02-28.csv")

    found = told(deployed, "Acme")

    now, before = own_risk(deployed, 5, 900, 40), own_risk(deployed, 90, 900, 40)
    assert found["risk"] == pytest.approx(now, abs=5.1e-7) and now > before
    assert [(h["date"], h["left"]) for h in found["history"]] == [
        ("2025-01-31", None), ("2025-02-28", None)]  # fmt: skip
    assert [h["risk"] for h in found["history"]] == pytest.approx([before, now], abs=1e-12)
    assert found["listed"] == {
        "rank": 1, "risk": found["risk"], "band": "high", "call": True, "of": 2}  # fmt: skip
    assert found["reasons"][0]["text"].startswith("lastmonth activity 5 (usually ")
    assert found["model_version"] == 1 and found["reasons"][0]["points"] > 0


def test_the_text_is_for_a_person_and_blames_nothing(deployed: Project) -> None:
    come(deployed, ["Acme,90,900,40,0"], "sourcedata/2025-01-31.csv")
    come(deployed, ["Acme,5,900,40,", "other,80,900,40,"], "sourcedata/2025-02-28.csv")

    said = deployed.run("diagnostics.py", "--client", "Acme").stdout

    lines = said.splitlines()
    now, before = own_risk(deployed, 5, 900, 40), own_risk(deployed, 90, 900, 40)
    assert lines[0].startswith(f"Acme: risk {now:.0%} by model version 1; the average client's is ")
    assert lines[1] == "rank 1 of 2 on the list: high, to be called"
    assert lines[2] == "goes together with a higher risk"
    assert lines[3].startswith("  lastmonth activity 5 (usually ") and lines[3].endswith(" points")
    assert lines[-2:] == [
        f"  2025-01-31  {before:4.0%}  stayed",
        f"  2025-02-28  {now:4.0%}  not known yet",
    ]
    assert "because" not in said


def test_the_json_is_the_same_story(deployed: Project) -> None:
    done = deployed.run("diagnostics.py", "--client", "client1_3", "--json")

    assert json.loads(done.stdout)["risk"] == told(deployed, "client1_3")["risk"]


def test_a_client_that_left_is_told_as_one(deployed: Project) -> None:
    come(deployed, ["Acme,5,900,40,"], "sourcedata/2025-01-31.csv")
    come(deployed, ["Acme,5,900,40,1", "other,1,2,3,"], "sourcedata/2025-02-28.csv")

    done = diagnostics.show_client(deployed.config, "Acme")

    assert done.data["listed"] is None and done.data["history"][-1]["left"] == 1
    assert "not on the list: the last row says that the client left" in done.text
    assert done.text.splitlines()[-1].endswith("  left")


def test_a_client_of_few_values_is_told_why_it_is_not_called(deployed: Project) -> None:
    come(deployed, ["Acme,5,,,", "other,80,900,40,"], "sourcedata/2025-01-31.csv")

    text = diagnostics.show_client(deployed.config, "Acme").text

    assert "on the list: not enough data, not to be called" in text
    assert "note: 2 of 3 values are missing" in text


def test_a_label_supersedes_the_unlabelled_row_of_its_date_in_the_history(
    deployed: Project,
) -> None:
    come(deployed, ["Acme,5,900,40,1"], "sourcedata/2025-01-31.csv")
    come(deployed, ["Acme,6,900,40,"], "sourcedata/again 2025-01-31.csv")

    found = told(deployed, "Acme")

    assert [h["left"] for h in found["history"]] == [1] and found["listed"] is None


def test_undated_rows_are_a_history_in_the_order_they_came(deployed: Project) -> None:
    come(deployed, ["Acme,5,900,40,"], "sourcedata/a.csv")
    come(deployed, ["Acme,6,900,40,0"], "sourcedata/b.csv")

    history = told(deployed, "Acme")["history"]

    assert [(h["date"], h["left"]) for h in history] == [("", None), ("", 0)]


def test_one_who_stayed_has_the_risk_of_the_list(deployed: Project) -> None:
    """It is by a model that did not see the client; the deployed one's own is in the history."""
    listed = deployed.json("models/clients_at_risk.json")["clients"][0]

    found = told(deployed, listed["client"])

    assert found["risk"] == listed["risk"] and found["listed"]["rank"] == 1
    assert found["history"][-1]["risk"] != found["risk"]


@pytest.mark.parametrize("changed", [{"model_version": 9}, {"data_version": 1}, None])
def test_without_a_list_of_this_model_and_these_rows_the_models_own_risk_is_told(
    deployed: Project, changed: dict[str, int] | None
) -> None:
    come(deployed, ["Acme,5,900,40,"], "sourcedata/2025-01-31.csv")
    path = deployed.folder / "models/clients_at_risk.json"
    listing = json.loads(path.read_text())
    path.unlink()
    if changed:
        path.write_text(json.dumps(listing | changed))

    done = diagnostics.show_client(deployed.config, "Acme")

    assert done.data["listed"] is None
    assert done.data["risk"] == pytest.approx(own_risk(deployed, 5, 900, 40), abs=1e-12)
    assert "there is no list of this model and the present rows; run reporting.py" in done.text


def test_one_who_stayed_is_not_on_a_list_of_clients_without_a_label(deployed: Project) -> None:
    come(deployed, ["Acme,5,900,40,"], "sourcedata/2025-01-31.csv")
    stayed = next(row for row in client_rows(60, seed=1) if row.endswith(",0"))

    said = diagnostics.show_client(deployed.config, stayed.partition(",")[0]).text

    assert "not on the list, which holds clients without a label" in said


@pytest.mark.parametrize(("asked", "first"), [
    ("Alganex Travl", "Alganex Travel"),
    ("travel", "Alganex Travel"),
    ("TRAVEL", "Alganex Travel"),
    (" Alganex Travel", "Alganex Travel"),
    ("Mueller", 'Müller, "Söhne"'),
])  # fmt: skip
def test_an_unknown_name_is_answered_with_the_nearest(
    deployed: Project, asked: str, first: str
) -> None:
    names = ["Alganex Travel", '"Müller, ""Söhne"""', "TRAVIS"]
    come(deployed, [f"{name},1,2,3," for name in names], "sourcedata/names.csv")

    done = deployed.run("diagnostics.py", "--client", asked, check=False)

    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: no client {asked!r}; the nearest names: {first}")


@pytest.mark.parametrize("asked", ["", "  ", "∅"])
def test_a_name_without_a_likeness_still_gets_an_answer(deployed: Project, asked: str) -> None:
    with pytest.raises(PipelineError, match="the nearest names: client"):
        told(deployed, asked)


# ---------------------------------------------------------------- a file


def file_csv(project: Project, rows: list[str], header: str = HEADER) -> tuple[pd.DataFrame, Path]:
    """The output of --file, as pandas reads it, and the file."""
    path = project.write("mine.csv", rows, header=header)
    said = project.run("diagnostics.py", "--file", str(path)).stdout
    return pd.read_csv(io.StringIO(said), dtype={"client": str}, keep_default_na=False), path


def test_a_file_comes_back_in_its_order_with_the_pickles_risks(deployed: Project) -> None:
    rows = [row.rpartition(",")[0] for row in client_rows(60, seed=9)]
    names = ['"=cmd, ""x"""', "TRUE", "007"]
    rows += [f"{name},{at},600,30" for at, name in enumerate(names)] + ["blank,,,"]

    found, path = file_csv(deployed, rows, HEADER.rpartition(",")[0])

    model = pickle.loads((deployed.folder / "production_deployment/trainedmodel.pkl").read_bytes())
    risks = model.predict_proba(pd.read_csv(path)[FEATURES])[:, 1]
    assert found["client"].tolist()[-4:] == ['\'=cmd, "x"', "TRUE", "007", "blank"]
    assert np.abs(found["risk"].to_numpy() - risks).max() <= 5e-7
    assert found["prediction"].tolist() == (risks >= 0.5).astype(int).tolist()
    assert list(found)[3:] == ["reason_1", "reason_2", "reason_3", "against", "notes"]


def test_the_reasons_of_a_file_are_those_of_the_list(deployed: Project) -> None:
    come(deployed, ["Acme,5,900,40,"], "sourcedata/2025-01-31.csv")
    path = deployed.folder / "models/clients_at_risk.csv"
    with open(path, newline="", encoding="utf-8-sig") as file:
        listed = next(csv.DictReader(file))

    found, _ = file_csv(deployed, ["Acme,5,900,40,"])

    row = found.iloc[0].to_dict()
    for name in ("client", "reason_1", "reason_2", "reason_3", "against", "notes"):
        assert str(row[name]) == listed[name]


def test_a_value_outside_the_training_range_is_named_with_what_it_counts_as(
    deployed: Project,
) -> None:
    found, _ = file_csv(deployed, ["Acme,5,900,40,", "giant,5,900,1000000,"])

    assert found["notes"][0] == ""
    said = found["notes"][1]
    assert said.startswith("number of employees 1,000,000: unusual value, counted as ")
    counted = float(said.rpartition(" ")[2].replace(",", ""))
    assert own_risk(deployed, 5, 900, 1e6) == pytest.approx(
        own_risk(deployed, 5, 900, counted), abs=1e-3)  # fmt: skip


def test_shown_and_hidden_points_add_up_to_the_distance_from_the_average(
    deployed: Project,
) -> None:
    with OpenRelease(deployed.config) as release:
        model = Model.from_bytes(release.verified("model.json"))
    table = {"lastmonth_activity": [5.0, None], "lastyear_activity": [900.0, 9e9],
             "number_of_employees": [40.0, 1.0]}  # fmt: skip

    _, amounts, risks = points(model, table)

    average = 1 / (1 + np.exp(-model.intercept))
    assert amounts.sum(axis=1) == pytest.approx(100 * (risks - average), abs=1e-9)
    for row, said in enumerate(explain_rows(model, table)):
        shown = [reason.points for reason in said.reasons]
        ups = sorted((a for a in amounts[row] if a >= 2), reverse=True)[:3]
        downs = sorted(a for a in amounts[row] if a <= -2)[:1]
        assert shown == pytest.approx([*ups, *downs], abs=0.05)


FORMULA = Model(
    columns={"=cmd()": "number", "plain": "text"},
    intercept=0.0,
    terms=[
        Linear("=cmd()", low=0.0, high=9.0, fill=0.0, slope=1.0),
        Levels("plain", ("=1+1",), rest=True, values=(1.0,)),
    ],
)


def test_no_cell_of_a_reason_is_run_by_a_spreadsheet() -> None:
    said = explained_csv(FORMULA, {"=cmd()": [9.0], "plain": ["=1+1"]}, ["@you"])

    row = next(csv.DictReader(io.StringIO(said)))
    assert row["client"] == "'@you" and row["reason_1"].startswith("'=cmd() 9")
    assert row["reason_2"].startswith("plain =1+1")
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())

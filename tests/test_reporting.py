"""The picture and the list: their numbers, their order, who is in them, and how names survive."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from conftest import Project, client_rows
from driver import copy_of, first_deployed
from PIL import Image
from sklearn.metrics import confusion_matrix

import reporting
from ingestion import ingest
from risk.artifacts import OpenRelease
from risk.model import portable
from risk.report.clients import csv_of, harmless
from risk.report.doctor import is_whole_png
from risk.report.figures import share_text

FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited"
NOW = "sourcedata/2030-01-31.csv"
LIST_HEADER = (
    "rank,client,risk,date,model_version,band,call,reason_1,reason_2,reason_3,against,notes"
)


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def confusion(project: Project) -> dict[str, Any]:
    with OpenRelease(project.config) as release:
        model = portable.parse(release.verified("model.json"))
        stored = json.loads(release.verified("latestscore.json"))
    return reporting.confusion_of(project.config, model, stored)


def cells(found: dict[str, Any]) -> list[list[int]]:
    return [
        [found["true_negative"], found["false_positive"]],
        [found["false_negative"], found["true_positive"]],
    ]


def pickled_risks(project: Project, frame: pd.DataFrame) -> np.ndarray:
    model = pickle.loads((project.folder / "production_deployment/trainedmodel.pkl").read_bytes())
    return model.predict_proba(frame[FEATURES])[:, 1]


def listed(project: Project, rows: list[str], name: str = NOW) -> list[dict[str, str]]:
    """The lines of clients_at_risk.csv after these rows came in."""
    project.write(name, rows)
    ingest(project.config)
    with mock.patch("reporting.picture", return_value=b""):
        reporting.report(project.config)
    return lines(project)


def lines(project: Project) -> list[dict[str, str]]:
    with open(project.folder / "models/clients_at_risk.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(found: list[dict[str, str]]) -> list[str]:
    return [line["client"] for line in found]


# ---------------------------------------------------------------- the picture


def test_the_four_counts_are_those_of_scikit_learn(deployed: Project) -> None:
    test = pd.read_csv(deployed.folder / "testdata/testdata.csv")
    expected = confusion_matrix(test["exited"], pickled_risks(deployed, test) >= 0.5)

    found = confusion(deployed)

    assert cells(found) == expected.tolist()
    assert (found["n"], found["threshold"], found["basis"]) == (80, 0.5, "test rows")


def test_without_test_data_the_counts_are_those_of_the_score(deployed: Project) -> None:
    (deployed.folder / "testdata/testdata.csv").unlink()
    for script in ("training.py", "scoring.py", "deployment.py"):
        deployed.run(script)
    score = deployed.json("production_deployment/latestscore.json")

    found = confusion(deployed)

    assert score["basis"] == "cross-validation" and found["n"] == 120
    assert cells(found) == cells(score) and np.sum(cells(found)) == 120
    assert found["basis"] == "training rows, by cross-validation"


def test_the_picture_is_a_whole_png_of_a_size_to_be_read(deployed: Project) -> None:
    deployed.run("reporting.py")

    raw = (deployed.folder / "models/confusion_matrix.png").read_bytes()
    with Image.open(io.BytesIO(raw)) as picture:
        picture.load()
        assert picture.format == "PNG" and picture.size == (1080, 840)
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20)) > 100
    assert is_whole_png(raw) and len(raw) > 50_000


COUNTS = {"true_negative": 300, "false_positive": 57, "false_negative": 31, "true_positive": 62}
ABOUT = {"n": 450, "threshold": 0.5, "basis": "test rows"}


def drawn_texts(
    counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> dict[str, set[tuple[float, float]]]:
    """Every text in the picture and where it stands; fails where one reaches beyond its edge."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    figures: list[Figure] = []
    monkeypatch.setattr("risk.report.figures.png", lambda figure: figures.append(figure) or b"")
    reporting.picture({**COUNTS, **ABOUT, **counts}, 123456)
    figure = figures[0]
    figure.draw_without_rendering()
    found = [t for t in figure.findobj(Text) if t.get_text()]
    edge = figure.bbox
    for text in found:
        box = text.get_window_extent()
        assert edge.x0 <= box.x0 and box.x1 <= edge.x1, text.get_text()
        assert edge.y0 <= box.y0 and box.y1 <= edge.y1, text.get_text()
    places: dict[str, set[tuple[float, float]]] = {}
    for text in found:
        places.setdefault(text.get_text(), set()).add(text.get_position())
    return places


@pytest.mark.parametrize("counts", [
    {},
    {"true_negative": 1, "false_positive": 1, "false_negative": 1, "true_positive": 2, "n": 5},
    {"true_negative": 1234567, "false_positive": 345678, "false_negative": 1234567,
     "true_positive": 1234567, "n": 4049379},
    {"true_negative": 5, "false_positive": 0, "false_negative": 0, "true_positive": 0, "n": 5},
])  # fmt: skip
def test_the_picture_says_counts_shares_threshold_rows_and_version(
    counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {**COUNTS, **ABOUT, **counts}

    said = drawn_texts(counts, monkeypatch)

    for at, name in enumerate(COUNTS):
        assert (at % 2 + 0.5, at // 2 + 0.38) in said[f"{shown[name]:,}"]
    left = shown["true_positive"] + shown["false_negative"]
    warned = shown["true_positive"] + shown["false_positive"]
    assert (
        f"Found {shown['true_positive']:,} of {left:,} clients who left\n"
        f"{shown['false_positive']:,} of {warned:,} warnings were false alarms"
    ) in said
    assert f"model version 123456, n = {shown['n']:,} test rows" in said
    assert any("50%" in text for text in said)


@pytest.mark.parametrize(("count", "whole", "text"), [
    (1, 4, "25% of the row"),
    (0, 4, "0% of the row"),
    (4, 4, "100% of the row"),
    (1, 1000, "under 1% of the row"),
    (999, 1000, "over 99% of the row"),
    (0, 0, "no client in this row"),
])  # fmt: skip
def test_shares_never_round_some_to_none_nor_most_to_all(count: int, whole: int, text: str) -> None:
    assert share_text(count, whole) == text


# ---------------------------------------------------------------- who is in the list


def test_the_list_holds_current_clients_alone(deployed: Project) -> None:
    found = listed(deployed, ["here,1,600,30,", "gone,1,600,30,1", "stayed,1,600,30,0"])

    assert names(found) == ["here"]
    assert found[0]["date"] == "2030-01-31" and found[0]["model_version"] == "1"
    assert deployed.json("models/clients_at_risk.json")["basis"] == "unlabelled"


def test_a_client_whose_last_row_is_an_exit_is_never_listed(deployed: Project) -> None:
    deployed.write("sourcedata/2030-02-28.csv", ["left later,1,600,30,1"])

    found = listed(deployed, ["left later,1,600,30,", "still here,1,600,30,"])

    assert names(found) == ["still here"]


def test_a_label_supersedes_the_unlabelled_row_of_its_date(deployed: Project) -> None:
    deployed.write("sourcedata/labels 2030-01-31.csv", ["known,2,500,40,1", "staying,2,500,40,0"])

    found = listed(deployed, ["known,2,500,40,", "staying,2,500,40,", "open,2,500,40,"])

    assert names(found) == ["open"]


def test_a_client_is_listed_once_with_its_last_row(deployed: Project) -> None:
    deployed.write("sourcedata/2030-03-31.csv", ["twice,9,900,90,"])

    found = listed(deployed, ["twice,1,600,30,"])

    frame = pd.DataFrame([[9, 900, 90]], columns=FEATURES)
    assert [(line["client"], line["date"]) for line in found] == [("twice", "2030-03-31")]
    assert float(found[0]["risk"]) == pytest.approx(pickled_risks(deployed, frame)[0], abs=1e-6)


def test_where_no_row_is_unlabelled_those_who_stayed_are_listed_and_it_is_said(
    deployed: Project,
) -> None:
    said = reporting.report(deployed.config)

    rows = pd.read_csv(deployed.folder / "ingesteddata/finaldata.csv")
    stayed = set(rows[rows["exited"] == 0]["corporation"])
    assert set(names(lines(deployed))) == stayed
    assert said.data["basis"] == "stayed" and "by a model that did not see the client" in said.text


def test_without_any_current_client_the_list_is_its_header(deployed: Project) -> None:
    deployed.configure(port=9)
    (deployed.folder / "sourcedata/two.csv").unlink()
    exits = [row[:-1] + "1" for row in client_rows(60, seed=1)]
    deployed.write("sourcedata/one.csv", exits)
    ingest(deployed.config, again=True)

    reporting.report(deployed.config)

    assert deployed.text("models/clients_at_risk.csv") == LIST_HEADER + "\n"


# ---------------------------------------------------------------- order and numbers


def test_the_highest_risk_is_first_and_equal_risks_are_in_the_order_of_names(
    deployed: Project,
) -> None:
    rows = [f"{name},1,600,30," for name in ("b", "B", "ä", "a")]
    rows += ["safe,500,600,30,", "safest,600,600,30,"]

    found = listed(deployed, rows)

    risks = [float(line["risk"]) for line in found]
    assert risks == sorted(risks, reverse=True)
    assert names(found)[:4] == ["B", "a", "b", "ä"] and len(set(risks[:4])) == 1
    assert [line["rank"] for line in found] == list("123456")


def test_risks_are_those_of_the_pickled_model_and_the_json_equals_the_csv(
    deployed: Project,
) -> None:
    unlabelled = [row[:-1] for row in client_rows(50, seed=8, prefix="now")]
    found = listed(deployed, [*unlabelled, "blank,,,,"])

    frame = pd.read_csv(io.StringIO("\n".join([HEADER, *unlabelled, "blank,,,,"])))
    risks = dict(zip(frame["corporation"], pickled_risks(deployed, frame), strict=True))
    assert len(found) == 51
    for line in found:
        assert float(line["risk"]) == pytest.approx(risks[line["client"]], abs=5.1e-7)
    listing = deployed.json("models/clients_at_risk.json")
    plain = ("rank", "client", "risk", "date", "band")
    shown = [{key: str(c[key]) for key in plain} for c in listing["clients"]]
    assert shown == [{key: line[key] for key in plain} for line in found]
    assert csv_of(listing) == deployed.text("models/clients_at_risk.csv")


def test_the_list_shows_owner_and_value_where_the_config_names_them(deployed: Project) -> None:
    columns = {"owner": "manager", "value": "lastyear_activity"}
    deployed.configure(port=9, columns=columns)
    ingest(deployed.config, again=True)
    deployed.write(
        NOW,
        ["one,1,600,30,=cmd(),", "two,1,,30,Ann,"],
        header=(
            "corporation,lastmonth_activity,lastyear_activity,number_of_employees,manager,exited"
        ),
    )
    ingest(deployed.config)

    reporting.report(deployed.config)

    shown = {line["client"]: (line["owner"], line["value"]) for line in lines(deployed)}
    assert shown == {"one": ("'=cmd()", "600.0"), "two": ("Ann", "")}


# ---------------------------------------------------------------- names


NAMES = [
    'Müller, "Söhne" & Co', "O'Brien; Sons", "株式会社テスト", "😀 emoji", "x" * 200,
    "ﷺ right to left", "two  spaces", "NULL", "nan", "None", "0", "1e5", "007", "true",
    "-", "a=b", "+49", '"', ",", "'=1",
]  # fmt: skip


def test_names_survive_the_whole_way(deployed: Project) -> None:
    quoted = [name.replace('"', '""') for name in NAMES]

    found = listed(deployed, [f'"{name}",1,600,30,' for name in quoted])

    clients = deployed.json("models/clients_at_risk.json")["clients"]
    assert [c["client"] for c in clients] == sorted(NAMES)
    assert names(found) == [f"'{n}" if n in ("-", "+49") else n for n in sorted(NAMES)]


@pytest.mark.parametrize("cell", [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0", "＝1+1", "＠x",
])  # fmt: skip
def test_no_text_is_run_by_a_spreadsheet(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["a=1", "1-1", "'=1", "", None, -1, -0.5, 3])
def test_what_a_spreadsheet_does_not_run_stays_as_it_is(cell: Any) -> None:
    assert harmless(cell) == cell and type(harmless(cell)) is type(cell)


# ---------------------------------------------------------------- refusals


def test_reporting_without_a_deployment_says_what_to_type(project: Project) -> None:
    project.run("ingestion.py")

    done = project.run("reporting.py", check=False)

    assert done.returncode == 1 and done.stderr.startswith("error: nothing is deployed")
    assert not (project.folder / "models/clients_at_risk.csv").exists()


def test_a_damaged_release_is_not_reported_on(deployed: Project) -> None:
    path = deployed.folder / "production_deployment/releases/000001/model.json"
    path.write_bytes(path.read_bytes().replace(b'"intercept": ', b'"intercept": 1'))
    before = deployed.text("models/clients_at_risk.csv")

    done = deployed.run("reporting.py", check=False)

    assert done.returncode == 1 and "model.json does not match its digest" in done.stderr
    assert deployed.text("models/clients_at_risk.csv") == before

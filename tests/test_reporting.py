"""The picture and the list: their numbers, their order, who is in them, and how names survive."""

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
from conftest import Project, client_rows
from driver import copy_of, first_deployed, undrawn
from listed import call_list, listed_client
from PIL import Image
from sklearn.metrics import confusion_matrix

import reporting
from ingestion import ingest
from risk.calllist.ranking import settings_of
from risk.calllist.types import csv_text, load_list
from risk.config import Outcome
from risk.data.holdout import Holdout
from risk.model.model import Model
from risk.model.reasons import Reason
from risk.releases import OpenRelease
from risk.report.figures import share_text
from risk.run.doctor import is_whole_png
from risk.run.summary import summary

FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited"
NOW = "sourcedata/2025-01-31.csv"
LIST_HEADER = (
    "rank,client,risk,date,model_version,band,call,reason_1,reason_2,reason_3,against,notes,change"
)


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def confusion(project: Project) -> dict[str, Any]:
    with OpenRelease(project.config) as release:
        model = Model.from_bytes(release.verified("model.json"))
        stored = json.loads(release.verified("latestscore.json"))
    labels, risks = reporting.tested(model, Holdout(project.config))
    return reporting.confusion_of(labels, risks, stored)


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
    with undrawn():
        reporting.report(project.config)
    return lines(project)


def lines(project: Project) -> list[dict[str, str]]:
    with open(
        project.folder / "models/clients_at_risk.csv", newline="", encoding="utf-8-sig"
    ) as file:
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


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_matrix_is_of_the_lists_own_cut(deployed: Project, share: float) -> None:
    with OpenRelease(deployed.config) as release:
        model = Model.from_bytes(release.verified("model.json"))
        stored = json.loads(release.verified("latestscore.json"))
    labels, risks = reporting.tested(model, Holdout(deployed.config))
    found = reporting.confusion_of(labels, risks, stored, share)

    assert found["true_positive"] + found["false_positive"] == round(80 * share)
    assert f"the riskiest {share:.0%}, as the list does" in found["says"]
    # Without test rows the counts of the score at the nearest share.
    kept = reporting.confusion_of(labels[:0], risks[:0], stored, share)
    near = next(gain for gain in stored["cumulative_gains"] if gain["share"] >= share)
    assert kept["true_positive"] + kept["false_positive"] == near["called"]
    assert np.sum(cells(kept)) == stored["n"] and kept["true_positive"] == near["left"]


def test_the_picture_is_a_whole_png_of_a_size_to_be_read(deployed: Project) -> None:
    deployed.run("reporting.py")

    raw = (deployed.folder / "models/confusion_matrix.png").read_bytes()
    with Image.open(io.BytesIO(raw)) as picture:
        picture.load()
        assert picture.format == "PNG" and picture.size == (1080, 840)
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20)) > 100
    assert is_whole_png(raw) and len(raw) > 50_000


COUNTS = {"true_negative": 300, "false_positive": 57, "false_negative": 31, "true_positive": 62}
ABOUT = {"n": 450, "threshold": 0.5, "basis": "test rows", "says": "it warns of 50% or more"}


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
    assert found[0]["date"] == "2025-01-31" and found[0]["model_version"] == "1"
    assert deployed.json("models/clients_at_risk.json")["basis"] == "unlabelled"


def test_a_client_whose_last_row_is_an_exit_is_never_listed(deployed: Project) -> None:
    deployed.write("sourcedata/2025-02-28.csv", ["left later,1,600,30,1"])

    found = listed(deployed, ["left later,1,600,30,", "still here,1,600,30,"])

    assert names(found) == ["still here"]


@pytest.mark.parametrize("name", ["a 2025-01-31.csv", "z 2025-01-31.csv"])
def test_a_label_supersedes_the_unlabelled_row_of_its_date_whichever_came_first(
    deployed: Project, name: str
) -> None:
    labels = ["known,2,500,40,1", "staying,3,500,40,0"]
    unlabelled = ["known,2,500,40,", "staying,2,500,40,", "open,2,500,40,"]
    first, second = (labels, unlabelled) if name < "b" else (unlabelled, labels)
    listed(deployed, [*first, "before,2,500,40,"], f"sourcedata/{name}")

    found = listed(deployed, second, "sourcedata/m 2025-01-31.csv")

    assert sorted(names(found)) == ["before", "open"]


@pytest.mark.parametrize(("second", "current"), [
    ("Acme,6,500,40,0", []),
    ("Acme,6,500,40,1", []),
    ("other,6,500,40,0", ["Acme"]),
])  # fmt: skip
def test_an_undated_row_is_open_until_the_clients_next_row_has_a_label(
    deployed: Project, second: str, current: list[str]
) -> None:
    listed(deployed, ["Acme,5,500,40,", "open,5,500,40,"], "sourcedata/undated.csv")

    found = listed(deployed, [second], "sourcedata/undated later.csv")

    assert sorted(names(found)) == sorted([*current, "open"])


def test_a_client_that_left_is_not_listed_for_earlier_rows_of_other_files(
    deployed: Project,
) -> None:
    files = {"2025-03-31": ",1", "2025-01-31": ",", "2025-02-28": ",", "2024-12-31": ",0"}
    for day, end in files.items():
        row = f"Gone,5,{600 + len(day)},3{end}"
        found = listed(deployed, [row, f"open,1,600,30{end}"[:-1]], f"sourcedata/{day}.csv")

    assert names(found) == ["open"] and found[0]["date"] == "2025-03-31"


def test_rows_that_come_again_without_a_label_do_not_bring_a_client_back(
    deployed: Project,
) -> None:
    listed(deployed, ["Gone,5,600,30,1", "open,1,600,30,"])

    found = listed(deployed, ["Gone,5,600,30,"], "sourcedata/again 2025-01-31.csv")

    assert names(found) == ["open"]


def test_a_client_is_listed_once_with_its_last_row(deployed: Project) -> None:
    deployed.write("sourcedata/2025-03-31.csv", ["twice,9,900,90,"])

    found = listed(deployed, ["twice,1,600,30,"])

    frame = pd.DataFrame([[9, 900, 90]], columns=FEATURES)
    assert [(line["client"], line["date"]) for line in found] == [("twice", "2025-03-31")]
    assert float(found[0]["risk"]) == pytest.approx(pickled_risks(deployed, frame)[0], abs=1e-6)


def test_where_no_row_is_unlabelled_those_who_stayed_are_listed_and_it_is_said(
    deployed: Project,
) -> None:
    said = reporting.report(deployed.config)

    rows = pd.read_csv(deployed.folder / "ingesteddata/finaldata.csv")
    rows = pd.concat([rows, pd.read_csv(deployed.folder / "testdata/testdata.csv")])
    stayed = set(rows[rows["exited"] == 0]["corporation"])
    assert set(names(lines(deployed))) == stayed
    assert (
        said.data["basis"] == "stayed" and "by a model that did not see the client" in said.details
    )


def test_without_any_current_client_the_list_is_its_header(deployed: Project) -> None:
    deployed.configure(port=9)
    (deployed.folder / "sourcedata/two.csv").unlink()
    exits = [row[:-1] + "1" for row in client_rows(60, seed=1)]
    deployed.write("sourcedata/one.csv", exits)
    (deployed.folder / "testdata/testdata.csv").unlink()  # else its clients who stayed are listed
    ingest(deployed.config, again=True, drop=True)

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
    typed = load_list(deployed.config)
    assert typed.to_csv() == deployed.text("models/clients_at_risk.csv")
    assert typed.to_json() == deployed.text("models/clients_at_risk.json")
    assert typed.settings == settings_of(deployed.config)


@pytest.mark.parametrize("changed", [
    {"capacity": 3}, {"contact_cost": 1}, {"client_value": 9}, {"success_rate": 0.5},
    {"columns": {"owner": "manager"}}, {"columns": {"value": "fees"}},
])  # fmt: skip
def test_what_cuts_or_widens_the_list_is_among_its_settings(
    project: Project, changed: dict[str, Any]
) -> None:
    before = settings_of(project.config)

    assert settings_of(project.configure(**changed)) != before


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


# ---------------------------------------------------------------- whom to call, and why


def test_the_list_has_band_call_points_and_reasons_in_csv_as_in_json(deployed: Project) -> None:
    rows = [row[:-1] for row in client_rows(50, seed=8, prefix="now")]

    found = listed(deployed, [*rows, "blank,,,5,", "giant,1,600,9999999,"])

    clients = deployed.json("models/clients_at_risk.json")["clients"]
    for line, client in zip(found, clients, strict=True):
        up = [r for r in client["reasons"] if r["points"] > 0]
        down = [r for r in client["reasons"] if r["points"] < 0]
        assert len(up) <= 3 and len(down) <= 1 and [*up, *down] == client["reasons"]
        shown = [line[f"reason_{n}"] for n in (1, 2, 3)]
        assert shown == [*(f"{r['text']}: {r['points']:+.1f} points" for r in up),
                         *[""] * (3 - len(up))]  # fmt: skip
        assert line["against"] == "".join(f"{r['text']}: {r['points']:+.1f} points" for r in down)
        assert line["notes"] == "; ".join(client["notes"])
        assert (line["call"] == "yes") == client["call"] == (int(line["rank"]) <= 5)
    notes = {client["client"]: client["notes"] for client in clients}
    bands = {client["client"]: client["band"] for client in clients}
    assert notes["blank"] == ["2 of 3 values are missing"]
    assert not any(client["call"] for client in clients if client["client"] == "blank")
    assert bands.pop("blank") == "not enough data"
    assert notes["giant"][-1].startswith(
        "number of employees 9,999,999: unusual value, counted as ")  # fmt: skip


def test_the_bands_follow_from_call_and_average_and_are_counted(deployed: Project) -> None:
    listed(deployed, [row[:-1] for row in client_rows(50, seed=8, prefix="now")])

    listing = deployed.json("models/clients_at_risk.json")
    with OpenRelease(deployed.config) as release:
        intercept = Model.from_bytes(release.verified("model.json")).intercept
    assert listing["average_risk"] == pytest.approx(1 / (1 + np.exp(-intercept)), abs=5.1e-7)
    for c in listing["clients"]:
        raised = "raised" if c["risk"] >= 1.5 * listing["average_risk"] else "low"
        assert c["band"] == ("high" if c["call"] else raised)
    found = [c["band"] for c in listing["clients"]]
    assert listing["bands"] == {
        word: found.count(word) for word in ("high", "raised", "low", "not enough data")
    }
    assert listing["bands"]["high"] == listing["cut"]["called"] == 5


def test_a_model_that_cannot_rank_places_nobody_and_says_why(deployed: Project) -> None:
    rng = np.random.default_rng(5)
    # So many test rows that they judge alone: with fewer the training rows are asked too.
    guesses = [row[:-1] + str(rng.integers(2)) for row in client_rows(400, seed=3)]
    deployed.write("testdata/testdata.csv", guesses)
    for script in ("scoring.py", "deployment.py"):
        deployed.run(script)

    found = listed(deployed, [row[:-1] for row in client_rows(20, seed=8, prefix="now")])

    low, high = deployed.json("production_deployment/manifest.json")["auc_interval"]
    assert low < 0.5 < high and {line["band"] for line in found} == {"not enough data"}
    assert {line["notes"] for line in found} == {
        f"the model cannot tell who leaves from who stays yet: its AUC lies between {low:.2f} and "
        f"{high:.2f}, and 0.5 is a guess"
    }
    assert {line["call"] for line in found} == {"no"}
    risks = [float(line["risk"]) for line in found]
    assert risks == sorted(risks, reverse=True) and risks[0] > risks[-1]
    listing = deployed.json("models/clients_at_risk.json")
    why = f"{found[0]['notes']}; the list is in the order of risk all the same"
    assert (listing["cut"]["called"], listing["cut"]["how"]) == (0, why)
    report = reporting.report(deployed.config)
    assert f"nobody to call: {why}" in report.details
    assert "Nobody to call of 20 clients" in report.text
    told = summary(deployed.config, report, deployed.json("models/latestscore.json"))
    plain = "The list cannot be relied on yet: the model cannot tell who leaves from who stays yet."
    assert plain in told and "AUC" not in told


def test_a_client_of_few_values_keeps_its_rank_and_is_not_called(deployed: Project) -> None:
    deployed.configure(port=9, capacity=4)
    rows = [row[:-1] for row in client_rows(20, seed=8, prefix="now")]

    found = listed(deployed, [*rows, "riskiest,1,,,"])

    by_name = {line["client"]: line for line in found}
    blank = by_name["riskiest"]
    assert int(blank["rank"]) <= 4 and blank["call"] == "no"
    assert blank["band"] == "not enough data"
    assert blank["notes"].startswith("2 of 3 values are missing")
    others = [line for line in found if line is not blank]
    assert [line["call"] for line in others] == ["yes"] * 4 + ["no"] * 16
    assert {line["band"] == "high" for line in found if line["call"] == "yes"} == {True}
    cut = deployed.json("models/clients_at_risk.json")["cut"]
    assert cut["how"] == "the 4 with the highest risk; 1 without enough data left out"
    told = summary(deployed.config, Outcome("kept"), deployed.json("models/latestscore.json"))
    names = [line.split()[2] for line in told.splitlines()[1:5]]
    assert names == [line["client"] for line in others[:4]]


@pytest.mark.parametrize(("capacity", "calls"), [(0, 2), (1, 1), (7, 7), (500, 20)])
def test_the_capacity_cuts_the_list_and_the_report_says_what_it_brings(
    deployed: Project, capacity: int, calls: int
) -> None:
    deployed.configure(port=9, capacity=capacity)
    found = listed(deployed, [row[:-1] for row in client_rows(20, seed=8, prefix="now")])

    said = reporting.report(deployed.config).details

    assert [line["call"] for line in found] == ["yes"] * calls + ["no"] * (20 - calls)
    assert f"{calls} of 20 to call: the {calls} with the highest risk\n" in said
    expected = load_list(deployed.config).expected
    leave, drawn = expected.found, expected.exits.value * calls / 20
    assert (
        f"of the {calls} called, {leave.value:.0f} are expected to leave ({leave.low:.0f} to "
        f"{leave.high:.0f}), of as many picked at random {drawn:.0f}, of all 20 clients "
    ) in said


def test_the_cut_says_what_the_same_share_of_the_test_rows_reaches(deployed: Project) -> None:
    deployed.configure(port=9, capacity=5)
    listed(deployed, [row[:-1] for row in client_rows(20, seed=8, prefix="now")])

    cut = deployed.json("models/clients_at_risk.json")["cut"]

    test = pd.read_csv(deployed.folder / "testdata/testdata.csv")
    order = np.argsort(-pickled_risks(deployed, test), kind="stable")[:20]  # a quarter of 80
    left = int(test["exited"].to_numpy()[order].sum())
    found = cut["cumulative_gains"]
    assert (found["share"], found["called"], found["left"]) == (0.25, 20, left)
    assert found["precision"] == left / 20
    assert found["recall"] == left / test["exited"].sum()
    low, high = found["precision_interval"]
    assert low < found["precision"] < high and found["at_random"]["recall"] == 0.25
    (low, high), recall = found["recall_interval"], found["recall"]
    assert (
        f"of 100 who left, {100 * recall:.0f} were called ({100 * low:.0f} to {100 * high:.0f}), "
        "at random 25"
    ) in reporting.report(deployed.config).details
    (deployed.folder / "testdata/testdata.csv").unlink()
    reporting.report(deployed.config)
    assert deployed.json("models/clients_at_risk.json")["cut"]["cumulative_gains"] is None


def test_money_makes_the_cut_and_each_client_has_its_profit(deployed: Project) -> None:
    deployed.configure(port=9, contact_cost=30, client_value=200, success_rate=0.25)
    found = listed(deployed, [row[:-1] for row in client_rows(20, seed=8, prefix="now")])

    said = reporting.report(deployed.config).details

    profits = [0.25 * 200 * float(line["risk"]) - 30 for line in found]
    assert [float(line["profit"]) for line in found] == pytest.approx(profits, abs=1e-4)
    assert [line["call"] == "yes" for line in found] == [profit > 0 for profit in profits]
    # By the calibrated risks, as the number of leavers beside it: not the sum of the column.
    cut = deployed.json("models/clients_at_risk.json")["cut"]
    total = cut["expected_profit"]
    assert total == pytest.approx(50 * cut["expected_leavers"] - 30 * cut["called"], abs=0.01)
    assert 0 < total and f"expected profit of the calls {total:,.2f}, of as many at " in said
    assert list(found[0])[5:8] == ["profit", "band", "call"]
    reached = deployed.json("models/clients_at_risk.json")["cut"]["cumulative_gains"]
    earned = 100 * (0.25 * 200 * reached["left"] - 30 * reached["called"]) / 80
    assert reached["profit"]["per_100_clients"] == pytest.approx(earned)
    assert f"such calls earn {earned:,.2f} per 100 clients (95 % " in said


def test_where_no_call_pays_nobody_is_called_and_the_report_says_so(deployed: Project) -> None:
    deployed.configure(port=9, contact_cost=300, client_value=200, success_rate=0.25)
    found = listed(deployed, [row[:-1] for row in client_rows(20, seed=8, prefix="now")])

    said = reporting.report(deployed.config).details

    assert {line["call"] for line in found} == {"no"}
    assert "nobody to call: no call is expected to bring more than it costs" in said
    listing = deployed.json("models/clients_at_risk.json")
    assert listing["cut"]["called"] == listing["bands"]["high"] == 0


def test_a_value_column_weighs_the_calls_and_its_gaps_count_as_the_configured_worth(
    deployed: Project,
) -> None:
    columns = {"value": "lastyear_activity"}
    deployed.configure(port=9, columns=columns, contact_cost=10, client_value=50, success_rate=0.5)
    ingest(deployed.config, again=True)

    found = listed(deployed, ["dear,500,4000,30,", "cheap,1,4,30,", "unknown,1,,30,"])

    worth = {"dear": 4000, "cheap": 4, "unknown": 50}
    for line in found:
        profit = 0.5 * float(line["risk"]) * worth[line["client"]] - 10
        assert float(line["profit"]) == pytest.approx(profit, abs=1e-3)
        assert (line["call"] == "yes") == (profit > 0)


# ---------------------------------------------------------------- the score of such a list


def test_the_score_says_what_a_list_reaches_how_sure_that_is_and_what_it_earns(
    deployed: Project,
) -> None:
    deployed.configure(port=9, contact_cost=30, client_value=200, success_rate=0.25)

    said = deployed.run("scoring.py", "-v").stdout

    score = deployed.json("models/latestscore.json")
    assert "\nmost profitable: calls to the riskiest " in said
    low, high = score["auc_interval"]
    assert 0.5 < low < score["auc"] < high < 1
    assert [entry["share"] for entry in score["cumulative_gains"]] == [0.05, 0.1, 0.2, 0.3, 0.5]
    for entry in score["cumulative_gains"]:
        for name in ("precision", "recall", "lift"):
            low, high = entry[f"{name}_interval"]
            assert low <= entry[name] <= high and low < high
    line = score["calibration"]["slope"]
    assert line["interval"][0] < line["value"] < line["interval"][1]
    best = {entry["share"]: entry for entry in score["cumulative_gains"]}[score["profit"]["share"]]
    earned = 100 * (0.25 * 200 * best["left"] - 30 * best["called"]) / 80
    assert score["profit"]["per_100_clients"] == pytest.approx(earned)
    low, high = score["profit"]["interval"]
    assert low < earned < high and score["profit"]["at_random"] < earned


@pytest.mark.parametrize(("value", "worth"), [(0, "lastyear_activity"), (200, ""), (0, "")])
def test_a_value_column_counts_by_its_mean_where_no_worth_is_configured(
    deployed: Project, value: float, worth: str
) -> None:
    columns = {"columns": {"value": worth}} if worth else {}
    deployed.configure(port=9, contact_cost=30, client_value=value, success_rate=0.25, **columns)
    ingest(deployed.config, again=True)
    if columns:
        deployed.run("training.py")

    deployed.run("scoring.py")

    score = deployed.json("models/latestscore.json")
    mean = pd.read_csv(deployed.folder / "ingesteddata/finaldata.csv")["lastyear_activity"].mean()
    known = {"lastyear_activity": mean}.get(worth, value)
    assert ("profit" in score) == bool(known)
    if known:
        best = {entry["share"]: entry for entry in score["cumulative_gains"]}[
            score["profit"]["share"]
        ]
        earned = 100 * (0.25 * known * best["left"] - 30 * best["called"]) / 80
        assert score["profit"]["per_100_clients"] == pytest.approx(earned, abs=1e-3)


# ---------------------------------------------------------------- names


NAMES = [
    'Müller, "Söhne" & Co', "O'Brien; Sons", "株式会社テスト", "😀 emoji", "x" * 200,
    "ﷺ right to left", "two  spaces", "Null", "Nan", "0", "1e5", "007", "true",
    "-x", "a=b", "+49", '"', ",", "'=1",
]  # fmt: skip


def test_names_survive_the_whole_way(deployed: Project) -> None:
    quoted = [name.replace('"', '""') for name in NAMES]

    found = listed(deployed, [f'"{name}",1,600,30,' for name in quoted])

    clients = deployed.json("models/clients_at_risk.json")["clients"]
    assert [c["client"] for c in clients] == sorted(NAMES)
    assert names(found) == [f"'{n}" if n in ("-x", "+49") else n for n in sorted(NAMES)]


@pytest.mark.parametrize("cell", [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0", "＝1+1", "＠x",
])  # fmt: skip
def test_no_text_is_run_by_a_spreadsheet(cell: str) -> None:
    assert csv_text([[cell]]).lstrip('"').startswith(f"'{cell}")


def test_no_cell_of_the_list_is_run_by_a_spreadsheet() -> None:
    """A column whose name is a formula begins a reason and a note."""
    reasons = (Reason(3.0, "=cmd() 9", ()), Reason(-2.0, "+x 1", ()))
    notes = ("=cmd() 9: unusual value, counted as 3",)
    client = listed_client("@a", owner="-o", value=-2, reasons=reasons, notes=notes)

    said = call_list(client, shown=("owner", "value")).to_csv()

    row = next(csv.DictReader(io.StringIO(said)))
    assert row["reason_1"] == "'=cmd() 9: +3.0 points" and row["against"] == "'+x 1: -2.0 points"
    assert row["notes"] == "'=cmd() 9: unusual value, counted as 3"
    assert (row["client"], row["owner"], row["value"]) == ("'@a", "'-o", "-2")


@pytest.mark.parametrize("cell", ["a=1", "1-1", "'=1", "", None, -1, -0.5, 3])
def test_what_a_spreadsheet_does_not_run_stays_as_it_is(cell: Any) -> None:
    text = "" if cell is None else str(cell)

    assert csv_text([["x", cell]]) == f"x,{text}\n"


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

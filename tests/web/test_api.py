"""The API's answers: every endpoint, every way to name data, every documented status."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import HEADER, ROOT, Project, client_rows
from past import write_marker
from serving import ONE_ROW, deployed_copy, list_clients

from app import create_app
from risk import __version__
from risk.model.model import Model
from risk.record.contacts import newest_contacts
from risk.releases import DATA_QUALITY, Deployment, write_deployment
from risk.run.packages import NEVER_ASKED, Outdated, packages_file
from risk.script import stage_times
from risk.web import api, deployed
from risk.web.api import ROUTES
from risk.web.request import FORM, LOCATIONS

NOTE = {"client": "Beta", "state": "contacted"}
DOCUMENT = json.loads((ROOT / "static" / "openapi.json").read_text())
SEEN: set[tuple[str, str, str]] = set()
FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A deployed project that no test here changes."""
    return deployed_copy(tmp_path_factory)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A deployed project for the test alone."""
    return deployed_copy(tmp_path_factory)


def caller(project: Project) -> Any:
    """A function that calls the API in this process and holds the answer against openapi.json."""
    client = create_app(project.config).test_client()

    def call(method: str, url: str, **more: Any) -> Any:
        response = client.open(url, method=method, **more)
        documented(method, url.partition("?")[0], response)
        return response

    return call


@pytest.fixture(scope="module")
def call(shared: Project) -> Iterator[Any]:
    yield caller(shared)


def documented(method: str, path: str, response: Any) -> None:
    """The status is in openapi.json, and the answer has the fields it requires and no others."""
    operation = DOCUMENT["paths"].get(path, {}).get(method.lower())
    if operation is None:
        assert response.status_code in (200, 401, 404, 405)
        return
    status = str(response.status_code)
    SEEN.add((method, path, status))
    described = operation["responses"][status]
    described = resolved(described)
    assert response.mimetype in described["content"]
    if response.mimetype == "application/json":
        schema = resolved(described["content"]["application/json"]["schema"])
        parts = [resolved(part) for part in schema.get("allOf", [schema])]
        required = {name for part in parts for name in part.get("required", [])}
        known = {name for part in parts for name in part.get("properties", {})}
        given = set(response.get_json())
        assert required <= given and (given <= known or not known), (given, known)


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def error(response: Any, status: int) -> dict[str, Any]:
    """The error of a response that must have this status."""
    assert response.status_code == status, response.get_data(as_text=True)
    found = response.get_json()["error"]
    assert all(found[key] for key in ("code", "message", "hint"))
    return found


# ---------------------------------------------------------------- predictions


def expected(project: Project, rows: pd.DataFrame) -> np.ndarray:
    with open(project.config.production_folder / "trainedmodel.pkl", "rb") as file:
        return pickle.load(file).predict_proba(rows[FEATURES])[:, 1]


def test_predictions_equal_those_of_the_deployed_pickle(shared: Project, call: Any) -> None:
    answer = call("GET", "/prediction").get_json()
    rows = pd.read_csv(shared.folder / "testdata/testdata.csv")
    risk = expected(shared, rows)
    assert np.abs(np.array(answer["probabilities"]) - risk).max() <= 1e-12
    assert answer["predictions"] == (risk >= 0.5).astype(int).tolist()
    assert len(set(answer["predictions"])) == 2
    assert answer["clients"] == rows["corporation"].tolist()
    assert (answer["rows"], answer["file"], answer["model_version"]) == (
        80,
        "testdata/testdata.csv",
        1,
    )


@pytest.mark.parametrize("name", LOCATIONS)
@pytest.mark.parametrize("where", ["query", "form", "multipart", "json", "get with a json body"])
def test_every_name_for_the_file_is_understood_everywhere(call: Any, name: str, where: str) -> None:
    place = "sourcedata/one.csv"
    shape: dict[str, tuple[str, str, dict[str, Any]]] = {
        "query": ("GET", f"/prediction?{name}={place}", {}),
        "form": ("POST", "/prediction", {"data": {name: place}}),
        "multipart": (
            "POST",
            "/prediction",
            {"data": {name: place}, "content_type": "multipart/form-data"},
        ),
        "json": ("POST", "/prediction", {"json": {name: place}}),
        "get with a json body": ("GET", "/prediction", {"json": {name: place}}),
    }
    method, url, more = shape[where]
    answer = call(method, url, **more).get_json()
    assert (answer["file"], answer["rows"]) == (place, 60)


@pytest.mark.parametrize(
    "body",
    [
        {"json": "sourcedata/one.csv"},
        {"json": "/sourcedata/one.csv"},
        {"json": "./sourcedata/../sourcedata/one.csv"},
        {"data": b'{"filepath": "sourcedata/one.csv"}'},
        {"data": b'{"filepath": "sourcedata/one.csv"}', "content_type": FORM},
        {"data": b'{"filepath": "sourcedata/one.csv"}', "content_type": "text/plain"},
        {"json": {"path": "sourcedata/one.csv", "file": None}},
        {"json": {"path": "sourcedata/one.csv", "filename": "sourcedata/one.csv"}},
    ],
)
def test_a_location_is_understood_in_each_shape_that_clients_send(
    call: Any, body: dict[str, Any]
) -> None:
    assert call("POST", "/prediction", **body).get_json()["file"] == "sourcedata/one.csv"


def test_an_absolute_location_inside_an_allowed_folder_is_read(shared: Project, call: Any) -> None:
    place = shared.folder / "sourcedata" / "two.csv"
    assert call("GET", f"/prediction?path={place}").get_json()["file"] == "sourcedata/two.csv"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"content_type": "application/json"},
        {"json": None},
        {"json": {}},
        {"data": b" \n"},
        {"json": {"filename": None}},
        {"data": {}, "content_type": FORM},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_location_the_test_file_is_scored(
    call: Any, method: str, more: dict[str, Any]
) -> None:
    answer = call(method, "/prediction", **more).get_json()
    assert (answer["file"], answer["rows"]) == ("testdata/testdata.csv", 80)


def test_several_test_files_are_scored_as_one(own: Project) -> None:
    own.write("testdata/a/more.csv", client_rows(5, seed=9))
    answer = caller(own)("GET", "/prediction").get_json()
    assert (answer["file"], answer["rows"]) == ("testdata", 85)
    assert answer["clients"][:5] == [f"client9_{at}" for at in range(5)]


def test_practice_data_and_configured_folders_may_be_named(own: Project, tmp_path: Path) -> None:
    own.write("practicedata/p.csv", client_rows(3, seed=5))
    (tmp_path / "else.csv").write_text("\n".join([HEADER, *client_rows(4, seed=6)]))
    own.configure(allowed_paths=[str(tmp_path)])
    call = caller(own)
    assert call("GET", "/prediction?file=practicedata/p.csv").get_json()["rows"] == 3
    assert call("GET", f"/prediction?file={tmp_path}/else.csv").get_json()["rows"] == 4


CSV_BODY = b"number_of_employees,lastyear_activity,lastmonth_activity\n30,540,12\n31,,\n"


@pytest.mark.parametrize(
    "kind",
    [
        "text/csv",
        "text/csv; charset=utf-8",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        None,
    ],
)
def test_a_csv_body_is_read_whatever_type_its_sender_gives(
    shared: Project, call: Any, kind: str | None
) -> None:
    answer = call("POST", "/prediction", data=CSV_BODY, content_type=kind).get_json()
    risk = expected(shared, pd.read_csv(io.BytesIO(CSV_BODY)))
    assert np.abs(np.array(answer["probabilities"]) - risk).max() <= 1e-12
    assert answer["file"] is None and "clients" not in answer


def test_an_uploaded_file_is_scored(call: Any) -> None:
    answer = call(
        "POST", "/prediction", data={"any": (io.BytesIO(CSV_BODY), "mine.csv")}
    ).get_json()
    assert answer["rows"] == 2


def test_json_rows_are_scored_by_the_rules_of_a_csv_cell(shared: Project, call: Any) -> None:
    rows = [
        {
            "lastmonth_activity": 12,
            "lastyear_activity": 540.0,
            "number_of_employees": " 30 ",
            "corporation": 7,
        },
        {"lastmonth_activity": "1e1", "lastyear_activity": None, "other": [1], "exited": "what"},
        {"number_of_employees": 0},
    ]
    answer = call("POST", "/prediction", json={"rows": rows}).get_json()
    nan = float("nan")
    table = pd.DataFrame([[12, 540, 30], [10, nan, nan], [nan, nan, 0]], columns=FEATURES)
    assert np.abs(np.array(answer["probabilities"]) - expected(shared, table)).max() <= 1e-12
    assert answer["clients"] == ["7", None, None]


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        (
            {"lastmonth_activity": True},
            "lastmonth_activity",
            "true or false, not a number or a text",
        ),
        ({"lastmonth_activity": float("nan")}, "lastmonth_activity", "not finite"),
        ({"lastmonth_activity": float("inf")}, "lastmonth_activity", "not finite"),
        ({"lastmonth_activity": 10**400}, "lastmonth_activity", "not finite"),
        ({"lastmonth_activity": -1}, "lastmonth_activity", "below 0"),
        ({"lastmonth_activity": "many"}, "lastmonth_activity", "not a number"),
        ({"lastmonth_activity": [1]}, "lastmonth_activity", "a list or an object, not one value"),
        ({"lastmonth_activity": {}}, "lastmonth_activity", "a list or an object, not one value"),
        ({"lastmonth_activity": 1, "corporation": "a\0b"}, "corporation", "control character"),
        ({"exited": 1}, "", "none of the model's columns is given"),
        ({"lastmonth_activity": None}, "", "none of the model's columns is given"),
        ([1], "", "not an object of columns and values"),
        (None, "", "not an object of columns and values"),
    ],
)
def test_a_bad_json_row_is_named_by_row_column_and_rule(
    call: Any, row: Any, column: str, rule: str
) -> None:
    found = error(call("POST", "/prediction", json={"rows": [*ONE_ROW["rows"], row]}), 422)
    fault = found["faults"][0]
    assert (fault["row"], fault["column"], fault["rule"]) == (2, column, rule)


def test_the_first_ten_bad_lines_of_a_file_are_named(own: Project) -> None:
    lines = [f"c{at},{'x' if at % 2 else at},5,5,0" for at in range(40)]
    own.write("sourcedata/bad.csv", lines)
    found = error(caller(own)("GET", "/prediction?file=sourcedata/bad.csv"), 422)
    assert [fault["line"] for fault in found["faults"]] == list(range(3, 23, 2))
    assert found["faults"][0] == {
        "line": 3,
        "column": "lastmonth_activity",
        "rule": "not a number",
        "value": "x",
    }
    assert found["message"] == "line 3, lastmonth_activity: not a number (x)"
    assert found["hint"].startswith("20 faults in 40 rows")


def test_a_label_or_a_date_that_is_no_good_does_not_hinder_a_prediction(call: Any) -> None:
    body = HEADER.replace("exited", "Exited") + "\nA,1,2,3,seven\n"
    assert call("POST", "/prediction", data=body).get_json()["clients"] == ["A"]


def test_features_changed_in_the_config_do_not_break_the_deployed_model(own: Project) -> None:
    before = caller(own)("POST", "/prediction", json=ONE_ROW).get_json()
    own.configure(columns={"features": ["lastmonth_activity", "brand_new"], "date": "day"})
    after = caller(own)("POST", "/prediction", json=ONE_ROW).get_json()
    assert before == after


BAD_CALLS: list[tuple[str, dict[str, Any], int, str]] = [
    ("?filename=no.csv", {}, 404, "no_such_file"),
    ("?filename=", {}, 400, "bad_location"),
    ("?fielname=testdata/testdata.csv", {}, 400, "unknown_parameter"),
    ("?file=sourcedata/one.csv&path=sourcedata/two.csv", {}, 400, "ambiguous"),
    ("?file=sourcedata/one.csv", {"json": ONE_ROW}, 400, "ambiguous"),
    ("", {"json": {"filenmae": "x"}}, 400, "unknown_name"),
    ("", {"data": {"filenmae": "x"}}, 400, "unknown_name"),
    ("", {"data": {"filenmae": "x"}, "content_type": "multipart/form-data"}, 400, "unknown_name"),
    ("", {"data": b"x", "content_type": "multipart/form-data"}, 400, "unknown_name"),
    ("", {"json": {"filename": 5}}, 400, "bad_location"),
    ("", {"json": [1]}, 400, "bad_location"),
    ("", {"data": "{", "content_type": "application/json"}, 400, "bad_json"),
    ("", {"data": b"[" * 200_000, "content_type": "application/json"}, 400, "bad_json"),
    ("", {"data": b"\xff\xfe\x00", "content_type": "application/json"}, 400, "bad_json"),
    ("", {"data": b"<a/>", "content_type": "application/xml"}, 415, "unsupported_type"),
    ("", {"json": {"rows": {}}}, 422, "bad_rows"),
    ("", {"json": {"rows": []}}, 422, "no_rows"),
    ("", {"data": f"{HEADER}\n"}, 422, "no_rows"),
    ("", {"data": "a,b\n1,2\n"}, 422, "unreadable"),
    ("", {"data": b"\x1f\x8b\x08" + bytes(50)}, 422, "unreadable"),
    ("", {"data": b"a," * 40_000 + b"\n1\n"}, 422, "unreadable"),
    ("", {"data": {"file": (io.BytesIO(b""), "empty.csv")}}, 422, "unreadable"),
]


@pytest.mark.parametrize(("query", "more", "status", "code"), BAD_CALLS)
def test_a_bad_call_gets_its_status_and_a_hint(
    call: Any, query: str, more: dict[str, Any], status: int, code: str
) -> None:
    if "data" in more and isinstance(more["data"], dict) and "file" in more["data"]:
        more = {"data": {"file": (io.BytesIO(b""), "empty.csv")}}
    assert error(call("POST", f"/prediction{query}", **more), status)["code"] == code


def test_numbers_that_cancel_to_nothing_are_refused(
    shared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = caller(shared)
    assert call("GET", "/health").status_code == 200
    monkeypatch.setattr(Model, "log_odds", lambda self, table: np.array([0.0, float("nan")]))
    rows = ONE_ROW["rows"] * 2
    found = error(call("POST", "/prediction", json={"rows": rows}), 422)
    assert found["message"] == "row 2: its numbers are too large together"


# ---------------------------------------------------------------- limits


def test_more_rows_than_allowed_are_refused_before_they_are_read(own: Project) -> None:
    own.configure(max_rows=80)
    call = caller(own)
    assert call("GET", "/prediction").status_code == 200
    for more in (
        {"data": "\n".join([HEADER, *client_rows(81)])},
        {"json": {"rows": [{}] * 81}},
        {"data": b"\n" * 200 + b"a"},
    ):
        assert error(call("POST", "/prediction", **more), 413)["code"] == "too_many_rows"


def test_two_test_files_together_may_not_exceed_the_rows_either(own: Project) -> None:
    own.configure(max_rows=80)
    own.write("testdata/more.csv", client_rows(1, seed=9))
    assert error(caller(own)("GET", "/prediction"), 413)["code"] == "too_many_rows"


def test_a_body_or_a_file_over_the_limit_is_refused(own: Project) -> None:
    size = (own.folder / "testdata/testdata.csv").stat().st_size
    own.configure(max_body_mb=size / 1e6)
    call = caller(own)
    assert call("GET", "/prediction").status_code == 200
    own.write("sourcedata/big.csv", (own.folder / "testdata/testdata.csv").read_bytes() + b"\n")
    assert error(call("GET", "/prediction?file=sourcedata/big.csv"), 413)["code"] == "too_large"
    assert "MB" in error(call("POST", "/prediction", data=bytes(size + 1)), 413)["hint"]


def test_a_full_house_is_told_to_come_again_and_the_next_call_is_answered(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "SLOT_SECONDS", 0.01)
    own.configure(max_predictions=1)
    inner: list[Any] = []
    call = caller(own)
    probabilities = Model.probabilities

    def slow(model: Model, table: Any) -> Any:
        if not inner:
            inner.append(None)
            inner.append(call("POST", "/prediction", json=ONE_ROW))
        return probabilities(model, table)

    own_release = call("GET", "/health")
    monkeypatch.setattr(Model, "probabilities", slow)
    assert own_release.status_code == 200
    assert call("POST", "/prediction", json=ONE_ROW).status_code == 200
    assert error(inner[1], 429)["code"] == "busy"
    assert inner[1].headers["Retry-After"] == "1"
    assert call("POST", "/prediction", json=ONE_ROW).status_code == 200


# ---------------------------------------------------------------- the other endpoints


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_score_is_what_scoring_wrote(shared: Project, call: Any, method: str) -> None:
    answer = call(method, "/scoring").get_json()
    written = shared.json("models/latestscore.json")
    for name in (
        "f1",
        "f1_interval",
        "n",
        "auc",
        "brier",
        "log_loss",
        "precision",
        "recall",
        "basis",
        "everybody_exits",
        "base_rate",
    ):
        assert answer[name] == written[name], name
    assert answer["basis"] == "test data" and 0 < answer["f1"] < 1


def test_the_score_follows_the_test_data_and_is_written_nowhere(own: Project) -> None:
    call = caller(own)
    before = call("GET", "/scoring").get_json()
    own.write("testdata/testdata.csv", client_rows(50, seed=11, flip=True))
    after = call("GET", "/scoring").get_json()
    assert (before["n"], after["n"]) == (80, 50)
    assert after["f1"] < before["f1"] == own.json("models/latestscore.json")["f1"]


def test_without_a_labelled_test_row_the_deployed_score_is_told_with_its_basis(
    own: Project,
) -> None:
    own.write("testdata/testdata.csv", [row[:-1] for row in client_rows(80, seed=3)])
    own.run("scoring.py")
    own.run("deployment.py")
    answer = caller(own)("GET", "/scoring").get_json()
    written = own.json("production_deployment/latestscore.json")
    assert (answer["basis"], answer["f1"], answer["model_version"]) == (
        "cross-validation",
        written["f1"],
        2,
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_statistics_are_those_of_the_ingested_rows(
    shared: Project, call: Any, method: str
) -> None:
    answer = call(method, "/summarystats").get_json()
    data = pd.read_csv(shared.folder / "ingesteddata/finaldata.csv")
    assert answer["rows"] == len(data) == 120
    assert set(answer["columns"]) == {*FEATURES, "exited"}
    for name, found in answer["columns"].items():
        want = (data[name].mean(), data[name].median(), data[name].std())
        assert [found[key] for key in ("mean", "median", "std")] == pytest.approx(want)
        assert found["count"] == 120


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_diagnostics_are_the_last_measurements(own: Project, method: str) -> None:
    numpy = Outdated(package="numpy", version="1", latest="2", type="wheel")
    known = NEVER_ASKED | {"status": "known", "reason": "", "outdated": [numpy]}
    packages_file(own.config).write(known | {"measured_at": "2026-11-01T00:00:00Z"})
    answer = caller(own)(method, "/diagnostics").get_json()
    for name in ("ingestion", "training"):
        kept = stage_times(own.config)[name]
        expected = {"seconds": kept["seconds"], "measured_at": kept["measured_at"]}
        assert answer["timings"][name] == expected
    assert answer["missing_percent"] == dict.fromkeys(["corporation", *FEATURES, "exited"], 0.0)
    assert answer["packages"]["outdated"][0]["latest"] == "2"


def test_packages_that_were_never_looked_up_are_unknown(shared: Project, call: Any) -> None:
    assert call("GET", "/diagnostics").get_json()["packages"]["status"] == "unknown"


LISTED = [
    {"client": "=HYPERLINK()", "risk": 0.9, "owner": "+Ann", "value": -5.5},
    {"client": "Alganex Travel", "risk": 0.8, "owner": "Bo", "value": 7},
    {"client": 'Quote "and", comma', "risk": 0.5, "owner": None, "value": None},
    {"client": "<script>", "risk": 0.1, "owner": "\tC", "value": 1},
]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    project = deployed_copy(tmp_path_factory)
    list_clients(project, LISTED, version=7)
    return caller(project)


@pytest.mark.parametrize(
    ("query", "ranks"),
    [
        ("", [1, 2, 3, 4]),
        ("?top=2", [1, 2]),
        ("?top=9", [1, 2, 3, 4]),
        ("?min_risk=0.5", [1, 2, 3]),
        ("?min_risk=.51&top=1", [1]),
        ("?q=TRAVEL", [2]),
        ("?q=%22", [3]),
        ("?q=nobody", []),
        ("?min_risk=1", []),
        ("?format=json", [1, 2, 3, 4]),
        ("?owner=Bo", [2]),
        ("?owner=bo", []),
        ("?owner=%2BAnn", [1]),
        ("?owner=", [3]),
        ("?min_value=1", [2, 4]),
        ("?min_value=-5.5", [1, 2, 4]),
        ("?min_value=1e9", []),
        ("?min_value=0&min_risk=.2", [2]),
        ("?owner=Bo&q=travel&min_risk=.8&min_value=7&top=1", [2]),
    ],
)
def test_the_list_is_filtered(listed: Any, query: str, ranks: list[int]) -> None:
    answer = listed("GET", f"/clients{query}").get_json()
    assert [client["rank"] for client in answer["clients"]] == ranks
    assert answer["total"] == answer["shown"] == len(ranks)


@pytest.mark.parametrize(
    ("query", "ranks", "total", "page", "pages"),
    [
        ("?per_page=3", [1, 2, 3], 4, 1, 2),
        ("?per_page=3&page=2", [4], 4, 2, 2),
        ("?per_page=3&page=3", [], 4, 3, 2),
        ("?per_page=3&page=999999999", [], 4, 999999999, 2),
        ("?page=1", [1, 2, 3, 4], 4, 1, 1),
        ("?per_page=1000", [1, 2, 3, 4], 4, 1, 1),
        ("?top=3&per_page=2&page=2", [3], 3, 2, 2),
        ("?min_value=0&per_page=1&page=2", [4], 2, 2, 2),
        ("?q=nobody&page=1", [], 0, 1, 0),
    ],
)
def test_the_list_comes_by_page(
    listed: Any, query: str, ranks: list[int], total: int, page: int, pages: int
) -> None:
    answer = listed("GET", f"/clients{query}").get_json()
    assert [client["rank"] for client in answer["clients"]] == ranks
    assert (answer["total"], answer["page"], answer["pages"]) == (total, page, pages)
    assert answer["shown"] == len(ranks)
    as_csv = listed("GET", f"/clients{query}&format=csv").get_data(as_text=True)
    assert [int(row["rank"]) for row in csv.DictReader(io.StringIO(as_csv))] == ranks


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?owner=Bo", "columns.owner"),
        ("?owner=", "columns.owner"),
        ("?min_value=1", "columns.value"),
    ],
)
def test_a_filter_by_a_column_that_the_config_does_not_name_is_refused(
    call: Any, query: str, said: str
) -> None:
    assert said in error(call("GET", f"/clients{query}"), 400)["hint"]


def test_the_list_that_reporting_makes_comes_whole(own: Project) -> None:
    own.write("sourcedata/2025-01-31.csv", ["Acme,5,900,40,", "blank,,,4,", "giant,9,900,1e9,"])
    own.run("ingestion.py")
    own.run("reporting.py")
    made = own.json("models/clients_at_risk.json")

    answer = caller(own)("GET", "/clients").get_json()

    for name in (*api.LIST_FACTS, "clients", "model_version"):
        assert answer[name] == made[name], name
    schema = DOCUMENT["components"]["schemas"]["Clients"]["properties"]
    described = schema["clients"]["items"]["properties"]
    assert {key for client in made["clients"] for key in client} <= set(described)
    assert set(made["cut"]) <= set(schema["cut"]["properties"])
    reach = set(schema["cut"]["properties"]["cumulative_gains"]["properties"])
    found = set(made["cut"]["cumulative_gains"])
    assert found == reach - {"profit"}  # only where a client has a worth
    assert set(made["bands"]) == set(described["band"]["enum"])


def test_the_list_belongs_to_the_model_that_made_it(listed: Any) -> None:
    response = listed("GET", "/clients")
    assert response.headers["X-Model-Version"] == "7"
    assert response.get_json()["model_version"] == 7
    assert response.get_json()["data_date"] == "2026-10-31"


@pytest.mark.parametrize(
    "query",
    [
        "?top=0",
        "?top=" + "0" * 5000 + "1",  # int() refuses so many digits by an error of its own
        "?top=-1",
        "?top=",
        "?top=two",
        "?top=1.5",
        "?top=\u0663",
        f"?top={'9' * 5000}",
        "?min_risk=2",
        "?min_risk=-0.1",
        "?min_risk=nan",
        "?min_risk=",
        "?format=xml",
        "?format=",
        "?tpo=3",
        "?min_value=",
        "?min_value=much",
        "?min_value=nan",
        "?min_value=inf",
        "?page=0",
        "?page=-1",
        "?page=",
        "?page=1.0",
        "?per_page=0",
        "?per_page=1001",
        "?per_page=all",
        "?page=two&format=csv",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(listed: Any, query: str) -> None:
    error(listed("GET", f"/clients{query}"), 400)


@pytest.mark.parametrize(("query", "headers"), [("?format=csv", {}), ("", {"Accept": "text/csv"})])
def test_the_csv_holds_no_formula_and_reads_back(
    listed: Any, query: str, headers: dict[str, str]
) -> None:
    response = listed("GET", f"/clients{query}", headers=headers)
    rows = list(csv.reader(io.StringIO(response.get_data(as_text=True))))
    assert rows[0][:7] == ["rank", "client", "risk", "date", "model_version", "owner", "value"]
    assert rows[1][:7] == ["1", "'=HYPERLINK()", "0.9", "2026-10-31", "7", "'+Ann", "-5.5"]
    assert [row[1] for row in rows[2:]] == ["Alganex Travel", 'Quote "and", comma', "<script>"]
    assert rows[4][5] == "'\tC"
    assert response.headers["X-Model-Version"] == "7"


def test_json_is_what_a_browser_or_curl_gets(listed: Any) -> None:
    for accept in (
        "*/*",
        "text/html,application/json;q=0.9,*/*;q=0.8",
        "application/json, text/csv",
    ):
        assert listed("GET", "/clients", headers={"Accept": accept}).mimetype == "application/json"


def test_a_long_list_is_cut_in_json_and_whole_in_csv(own: Project) -> None:
    list_clients(own, [{"client": f"c{at}", "risk": 1 - at / 3000} for at in range(1500)])
    call = caller(own)
    answer = call("GET", "/clients").get_json()
    assert (answer["total"], answer["shown"], len(answer["clients"])) == (1500, 1000, 1000)
    assert call("GET", "/clients?format=csv").get_data().count(b"\n") == 1501


def test_a_list_written_anew_is_served_at_once(own: Project) -> None:
    call = caller(own)
    assert call("GET", "/clients").get_json()["total"] == 2
    list_clients(own, LISTED, version=2)
    answer = call("GET", "/clients").get_json()
    assert (answer["total"], answer["model_version"]) == (4, 2)


def test_health_tells_ready_from_not(own: Project) -> None:
    call = caller(own)
    ready = {"status": "ok", "version": __version__, "model_version": 1}
    assert call("GET", "/health").get_json() == ready
    model = own.config.production_folder / "current" / "model.json"
    whole = model.read_bytes()
    model.write_bytes(whole.replace(b"intercept", b"intercepT"))
    os.utime(own.config.production_folder / "current" / "manifest.json")
    assert call("GET", "/health").get_json()["status"] == "damaged deployment"
    (own.config.production_folder / "current").unlink()
    response = call("GET", "/health")
    assert (response.status_code, response.get_json()["status"]) == (503, "no deployment")
    assert str(own.folder) not in response.get_data(as_text=True)


def test_metrics_have_the_numbers_an_alarm_needs(own: Project) -> None:
    own.config.heartbeat.touch()
    lines = caller(own)("GET", "/metrics").get_data(as_text=True).splitlines()
    found = dict(line.split() for line in lines if not line.startswith("#"))
    score = own.json("models/latestscore.json")["f1"]
    assert found["risk_model_version"] == "1" and float(found["risk_model_f1"]) == score
    assert (found["risk_deployed"], found["risk_store_rows"], found["risk_clients_listed"]) == (
        "1",
        "120",
        "2",
    )
    assert 0 <= float(found["risk_last_good_run_age_seconds"]) < 60
    assert float(found["risk_model_deployed_timestamp_seconds"]) > 1.7e9
    assert all(name.startswith("risk_") for name in found)


def samples(text: str) -> dict[str, float]:
    """Name with labels -> value; every name is announced by HELP and TYPE before its values."""
    known: dict[str, str] = {}
    found = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            about = line.split(" ", 3)
            assert about[2] not in known and about[3]
            known[about[2]] = ""
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("gauge", "counter", "histogram") and known[name] == ""
            known[name] = kind
        else:
            name, _, value = line.rpartition(" ")
            bare = name.partition("{")[0]
            whole = re.sub("_(bucket|sum|count)$", "", bare)
            assert known.get(bare) in ("gauge", "counter") or known[whole] == "histogram"
            assert name not in found
            found[name] = float(value)
    return found


def metrics(call: Any) -> dict[str, float]:
    return samples(call("GET", "/metrics").get_data(as_text=True))


def test_metrics_tell_of_failures_drift_issues_holds_and_outcomes(own: Project) -> None:
    state = own.json("ingesteddata/state.json")
    first = next(iter(state["files"].values()))
    first |= {"quarantined": 3, "refusal": {"why": "no table"}}
    own.config.store_state.write_text(json.dumps(state))
    outcomes = {"format": 1, "known": 40, "waiting": 7, "enough": False, "misread": ""}
    own.config.outcomes.write_text(json.dumps(outcomes))
    failed = {"stage": "training", "error": "no disk", "at": "2026-01-01T00:00:00Z"}
    write_marker(own, failed=failed, finished=None, failure=failed | {"runs": 2})
    issues = (("unit", ("orders",)),)
    write_deployment(own.config, Deployment(current=1, paused=DATA_QUALITY, issues=issues))
    found = metrics(caller(own))
    assert {name: found[f"risk_{name}"] for name in (
        *("last_run_failed", "failed_runs", "quarantined_rows", "refused_files"),
        *("data_quality_issues", "outcomes_known", "outcomes_waiting", "clients_called"),
        *("drift_alerts", "late_after_seconds"),
    )} == {
        "last_run_failed": 1, "failed_runs": 3, "quarantined_rows": 3, "refused_files": 1,
        "data_quality_issues": 1, "outcomes_known": 40, "outcomes_waiting": 7,
        "clients_called": 2, "drift_alerts": 0, "late_after_seconds": 1500,
    }  # fmt: skip
    assert found['risk_deployment_paused{reason="data_quality"}'] == 1
    assert found['risk_deployment_paused{reason="by_hand"}'] == 0
    own.configure(run_every_minutes="by hand")
    assert "risk_late_after_seconds" not in metrics(caller(own))


def test_metrics_count_calls_and_their_seconds_by_address(own: Project) -> None:
    call = caller(own)
    for path in ("/clients", "/clients?top=0", "/nowhere", "/also/nowhere", "/static/page.css"):
        call("GET", path)
    found = metrics(call)
    counted = {name: n for name, n in found.items() if name.startswith("risk_http_requests_total")}
    assert counted == {
        'risk_http_requests_total{path="/clients",code="2xx"}': 1,
        'risk_http_requests_total{path="/clients",code="4xx"}': 1,
        'risk_http_requests_total{path="/static/<name>",code="2xx"}': 1,
        'risk_http_requests_total{path="other",code="4xx"}': 2,
    }
    seconds = 'risk_http_request_duration_seconds_{}{{path="/clients"{}}}'
    assert found[seconds.format("count", "")] == found[seconds.format("bucket", ',le="+Inf"')] == 2
    assert 0 < found[seconds.format("sum", "")] < 60
    assert metrics(call)['risk_http_requests_total{path="/metrics",code="2xx"}'] == 1


def test_metrics_without_a_deployment_say_so(own: Project) -> None:
    (own.config.production_folder / "current").unlink()
    text = caller(own)("GET", "/metrics").get_data(as_text=True)
    assert (
        "risk_deployed 0\n" in text
        and "risk_model_version" not in text
        and "risk_store_rows 120" in text
    )


def test_the_index_lists_every_endpoint(call: Any) -> None:
    assert set(call("GET", "/").get_json()["endpoints"]) == set(DOCUMENT["paths"])


# ---------------------------------------------------------------- which release answers


def test_a_new_release_answers_the_next_call(own: Project) -> None:
    call = caller(own)
    assert call("GET", "/scoring").get_json()["model_version"] == 1
    own.run("deployment.py")
    for path in ("/prediction", "/scoring", "/summarystats", "/diagnostics", "/health"):
        response = call("GET", path)
        assert (response.get_json()["model_version"], response.headers["X-Model-Version"]) == (
            2,
            "2",
        )


def test_a_release_that_goes_while_it_is_read_is_read_again(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, seen = deployed._loaded, []

    def overtaken(config: Any) -> Any:
        seen.append(None)
        if len(seen) == 1:
            own.run("deployment.py")
            raise deployed.PipelineError("manifest.json is missing")
        return loaded(config)

    monkeypatch.setattr(deployed, "_loaded", overtaken)
    assert caller(own)("GET", "/health").get_json()["model_version"] == 2


@pytest.mark.parametrize("name", ["model.json", "manifest.json", "latestscore.json"])
def test_a_damaged_new_release_is_not_covered_by_the_old_one(own: Project, name: str) -> None:
    call = caller(own)
    assert call("POST", "/prediction", json=ONE_ROW).status_code == 200
    own.run("deployment.py")
    path = own.config.production_folder / "current" / name
    path.write_bytes(path.read_bytes()[:-20])
    for endpoint in ("/prediction", "/scoring"):
        found = error(call("POST", endpoint, json=ONE_ROW), 503)
        assert "damaged" in found["message"] and "doctor" in found["hint"]
    own.run("deployment.py", "--rollback", "1")
    assert call("POST", "/prediction", json=ONE_ROW).get_json()["model_version"] == 1


@pytest.mark.parametrize("path", ["/prediction", "/scoring", "/summarystats", "/diagnostics"])
def test_before_the_first_deployment_the_hint_says_what_to_run(tmp_path: Path, path: str) -> None:
    found = error(caller(Project(tmp_path))("GET", path), 503)
    assert "nothing is deployed in production_deployment" in found["message"]
    assert "fullprocess.py" in found["hint"]


@pytest.mark.parametrize(
    ("path", "file", "hint"),
    [
        ("/summarystats", "ingesteddata/summary.json", "ingestion.py"),
        ("/clients", "models/clients_at_risk.json", "reporting.py"),
    ],
)
@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"format": 2}'])
def test_what_a_stage_has_not_written_is_asked_for_by_name(
    own: Project, path: str, file: str, hint: str, content: str | None
) -> None:
    (own.folder / file).unlink()
    if content is not None:
        (own.folder / file).write_text(content)
    assert hint in error(caller(own)("GET", path), 503)["hint"]


def test_a_test_file_that_cannot_be_understood_is_no_fault_of_the_server(own: Project) -> None:
    own.write("testdata/testdata.csv", b"a,b\n1,2\n")
    call = caller(own)
    assert "testdata/testdata.csv" in error(call("GET", "/scoring"), 503)["message"]
    error(call("GET", "/prediction"), 422)
    (own.folder / "testdata/testdata.csv").unlink()
    assert call("GET", "/prediction").status_code == 200  # the newest input file, then


# ---------------------------------------------------------------- who may ask


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer s3cret-ü", 200),
        ("bearer s3cret-ü", 200),
        ("Bearer wrong", 401),
        ("Bearer ", 401),
        ("Bearer s3cret", 401),
        (basic("s3cret-ü"), 200),
        (basic("no"), 401),
        ("Basic !!!", 401),
        ("s3cret-ü", 401),
        ("Digest username=s3cret-ü", 401),
    ],
)
def test_a_token_guards_everything_but_health(
    shared: Project, monkeypatch: pytest.MonkeyPatch, header: str | None, status: int
) -> None:
    monkeypatch.setenv("RISK_API_TOKEN", "s3cret-ü")
    call = caller(shared)
    sent = {} if header is None else {"Authorization": header.encode().decode("latin-1")}
    for path in ROUTES:
        response = call("GET", path, headers=sent)
        assert response.status_code == (200 if path == "/health" else status), path
        if response.status_code == 401:
            error(response, 401)
            assert [v.split()[0] for v in response.headers.getlist("WWW-Authenticate")] == [
                "Basic",
                "Bearer",
            ]
    assert call("GET", "/nowhere", headers=sent).status_code == (401 if status == 401 else 404)


@pytest.mark.parametrize(
    ("secret", "reads", "writes", "by"),
    [
        ("ann-s-token", 200, 200, "Ann"),
        ("grafana-token", 200, 403, ""),
        ("one-for-all", 200, 200, ""),
        ("Ann", 401, 401, ""),
        ("ann-s-toke", 401, 401, ""),
    ],
)
def test_tokens_have_names_and_some_may_only_read(
    own: Project,
    monkeypatch: pytest.MonkeyPatch,
    secret: str,
    reads: int,
    writes: int,
    by: str,
) -> None:
    monkeypatch.setenv("RISK_API_TOKEN", "one-for-all")
    monkeypatch.setenv("RISK_API_TOKENS", "Ann=ann-s-token  crm=the-crm-token==")
    monkeypatch.setenv("RISK_READ_TOKENS", "grafana=grafana-token")
    call, shown = caller(own), {"Authorization": f"Bearer {secret}"}
    for path in ("/metrics", "/clients", "/scoring"):
        assert call("GET", path, headers=shown).status_code == reads
    assert call("POST", "/prediction", headers=shown).status_code == reads
    response = call("POST", "/contacts", json=NOTE, headers=shown)
    assert response.status_code == writes
    if writes == 200:
        assert response.get_json()["contact"]["by"] == by
    if writes == 403:
        assert error(response, 403)["code"] == "read_only"
        assert newest_contacts(own.config) == {}


def test_who_notes_for_another_is_named_beside(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISK_API_TOKENS", "crm=the-crm-token==")
    call, shown = caller(own), {"Authorization": "Bearer the-crm-token=="}
    call("POST", "/contacts", json=NOTE | {"by": "Bob"}, headers=shown)
    assert newest_contacts(own.config)["Beta"].by == "Bob (crm)"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("RISK_API_TOKENS", "Ann=12345678 1234567890", "entry 2"),
        ("RISK_READ_TOKENS", "wall=short", "entry 1 is no token"),
        ("RISK_READ_TOKENS", "wall=in=the=middle", "entry 1 is no token"),
        ("RISK_API_TOKENS", "=12345678", "entry 1 has no name"),
        ("RISK_API_TOKENS", "Ann=12345678 Bob=12345678", "stands there twice"),
    ],
)
def test_tokens_that_cannot_be_meant_are_refused_at_start_and_never_shown(
    own: Project, variable: str, value: str, said: str
) -> None:
    done = own.run("app.py", "--port", "0", check=False, **{variable: value})
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {variable}") or said == "stands there twice"
    assert said in done.stderr and "1234" not in done.stderr and done.stderr.count("\n") == 1


# ---------------------------------------------------------------- contacts


def test_a_note_by_the_api_is_kept_as_one_by_the_form_is(own: Project) -> None:
    call, day = caller(own), f"{datetime.now(UTC).date() + timedelta(days=9)}"
    sent = {"client": "Alganex Travel", "state": "snoozed", "until": day, "by": "Ann", "note": "x"}
    kept = call("POST", "/contacts", json=sent).get_json()["contact"]
    assert {key: kept[key] for key in sent} == sent
    assert call("GET", "/contacts").get_json()["contacts"] == [kept]
    call("POST", "/contacts", json={"client": "Alganex Travel", "state": "open", "until": None})
    assert call("GET", "/contacts").get_json()["rows"] == 0
    past = call("GET", "/contacts?client=Alganex+Travel").get_json()["contacts"]
    assert [one["state"] for one in past] == ["snoozed", "open"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (NOTE | {"state": "snoozed"}, 422, "until: a snooze needs the day on which it is over"),
        (NOTE | {"until": "2099-01-01"}, 422, "until: only snoozed has a date"),
        (NOTE | {"client": "beta ltd"}, 404, "no client is called 'beta ltd'"),
        (NOTE | {"at": "2026-01-01"}, 400, "knows no entry: at"),
        (NOTE | {"note": 7}, 400, "a note is an object of texts"),
        ([NOTE], 400, "a note is an object of texts"),
        ({}, 404, "no client is called ''"),
    ],
)
def test_a_note_that_is_no_good_is_refused_and_not_kept(
    own: Project, body: Any, status: int, said: str
) -> None:
    found = error(caller(own)("POST", "/contacts", json=body), status)
    assert said in found["message"]
    assert newest_contacts(own.config) == {}


def test_no_page_of_another_site_can_note(own: Project) -> None:
    call, text = caller(own), json.dumps(NOTE)
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        error(call("POST", "/contacts", data=text, content_type=kind), 415)
    for header in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        error(call("POST", "/contacts", json=NOTE, headers=header), 403)
    assert newest_contacts(own.config) == {}


# ---------------------------------------------------------------- every answer


def test_every_answer_has_the_security_headers_and_errors_have_one_shape(call: Any) -> None:
    for method, path in [
        *(("GET", path) for path in ROUTES),
        ("GET", "/nowhere"),
        ("PUT", "/scoring"),
        ("POST", "/clients"),
        ("GET", "/prediction?file=no"),
        ("OPTIONS", "/prediction"),
        ("HEAD", "/scoring"),
        ("PATCH", "/"),
    ]:
        response = call(method, path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert (
            response.headers["Content-Security-Policy"]
            == "default-src 'none'; frame-ancestors 'none'"
        )
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
        if response.status_code >= 400:
            assert set(error(response, response.status_code)) == {"code", "message", "hint"}
        else:
            assert response.headers["X-Model-Version"] == "1"
            assert (
                method == "HEAD"
                or response.mimetype != "application/json"
                or path == "/openapi.json"
                or (response.get_json()["model_version"] == 1)
            )


def test_a_wrong_method_is_told_the_right_ones(call: Any) -> None:
    response = call("DELETE", "/clients")
    error(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_slashes_never_redirect(shared: Project) -> None:
    client = create_app(shared.config).test_client()
    for path in ("/scoring/", "//scoring"):
        answer = client.get("/", environ_overrides={"PATH_INFO": path})
        assert (answer.status_code, answer.get_json()["n"]) == (200, 80)


def test_a_fault_of_ours_is_one_json_line_and_a_log_entry(
    shared: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Model, "probabilities", lambda self, table: {}[0])
    client = create_app(shared.config).test_client()
    response = client.post("/prediction", json=ONE_ROW)
    assert error(response, 500)["code"] == "internal"
    assert "KeyError" in caplog.text and "KeyError" not in response.get_data(as_text=True)


# ---------------------------------------------------------------- openapi.json tells the truth


def test_openapi_and_the_changes_name_the_version() -> None:
    newest = re.search(r"^## ([0-9]\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert DOCUMENT["info"]["version"] == __version__
    assert newest and newest[1] == __version__


def test_the_document_and_the_application_name_the_same_endpoints() -> None:
    described = {
        path: {method.upper() for method in operations}
        for path, operations in DOCUMENT["paths"].items()
    }
    assert described == {path: set(methods) for path, (_, methods, _) in ROUTES.items()}


def test_the_document_and_the_application_name_the_same_parameters() -> None:
    def named(path: str, method: str) -> list[str]:
        return [resolved(p)["name"] for p in DOCUMENT["paths"][path][method].get("parameters", [])]

    assert named("/prediction", "get") == named("/prediction", "post") == list(LOCATIONS)
    assert named("/clients", "get") == list(api.CLIENT_FILTERS)
    assert list(DOCUMENT["components"]["schemas"]["Location"]["properties"]) == list(LOCATIONS)
    assert not any(
        named(path, method)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
        if path not in ("/prediction", "/clients", "/contacts")
    )


def test_every_documented_status_can_be_had(
    own: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SEEN.clear()
    monkeypatch.setattr(api, "SLOT_SECONDS", 0.0)
    provoke(caller(own), own, ok=True)
    provoke(caller(Project(tmp_path)), own, ok=False)
    monkeypatch.setattr(api.threading, "BoundedSemaphore", lambda _: Taken())
    full = caller(own)
    monkeypatch.setenv("RISK_API_TOKEN", "t")
    stranger = caller(own)
    for method in ("GET", "POST"):
        full(method, "/prediction")
    for path, (_, methods, _) in ROUTES.items():
        for method in methods:
            stranger(method, path)
    promised = {
        (method.upper(), path, status)
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    assert promised == SEEN


class Taken:
    """A house without a free place."""

    def acquire(self, timeout: float) -> bool:
        return False


def provoke(call: Any, project: Project, *, ok: bool) -> None:
    """Call every endpoint; where a model is deployed, also wrongly."""
    (project.folder / "sourcedata" / "pickled.csv").write_bytes(b"\x80\x04.")
    (project.folder / "sourcedata" / "bad.csv").write_bytes(b"a\n1\n")
    (project.folder / "sourcedata" / "many.csv").write_bytes(
        f"{HEADER}\n".encode() + b"\n" * 200_000 + b"a"
    )
    wrong = (
        "file=no",
        "what=1",
        "file=sourcedata/pickled.csv",
        "file=sourcedata/bad.csv",
        "file=sourcedata/many.csv",
    )
    for path, (_, methods, _) in ROUTES.items():
        for method in methods:
            call(method, path)
            for query in wrong if ok and path == "/prediction" else ():
                call(method, f"{path}?{query}")
    if ok:
        call("GET", "/clients?top=0")
        call("GET", "/contacts?since=1")
        for body in (NOTE, NOTE | {"who": 1}, NOTE | {"client": "Nobody"}, NOTE | {"state": "?"}):
            call("POST", "/contacts", json=body)
        call("POST", "/contacts", data=b"{" * 20_000_000, content_type="application/json")
        call("POST", "/contacts", json=NOTE, headers={"Origin": "http://evil.example"})
        project.config.score_history.unlink()
        project.config.score_history.mkdir()
        call("GET", "/contacts")
        call("POST", "/contacts", json=NOTE)
        project.config.score_history.rmdir()


# ---------------------------------------------------------------- what a serving process costs


def test_the_serving_process_never_loads_a_heavy_library(own: Project) -> None:
    own.configure(columns={"features": dict.fromkeys(FEATURES, "number")})
    code = f"""
import json, sys
from app import create_app
from risk.config import load
client = create_app(load({str(own.folder / "config.json")!r})).test_client()
for path in {list(ROUTES)!r}:
    assert client.get(path).status_code == 200, path
assert client.post("/prediction", json={ONE_ROW!r}).status_code == 200
assert client.get("/clients?format=csv").status_code == 200
assert client.get("/prediction?file=../x").status_code == 404
heavy = {{"pandas", "sklearn", "matplotlib", "seaborn", "scipy", "polars", "requests", "pickle5"}}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        text=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize("module", ["app", "wsgi", "apicalls"])
def test_importing_does_nothing(tmp_path: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"],
        text=True,
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "RISK_CONFIG": str(tmp_path / "none.json"),
        },
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []

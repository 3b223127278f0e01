"""The list as spreadsheets open it: named clients, the company's own style, an Excel file."""

from __future__ import annotations

import datetime
from pathlib import Path

import polars as pl
import pytest
from conftest import Project
from driver import new_project, run_driver

from app import create_app
from risk.calllist import ranking, sheets
from risk.calllist.ranking import client_list
from risk.calllist.types import load_list
from risk.data.snapshot import read_snapshot
from risk.model.deployed import read_deployed

COLUMNS = {
    "id": "Nr",
    "name": "Firma",
    "target": "left",
    "value": "Umsatz",
    "show": ["Renewal", "Link"],
    "features": {"visits": "number"},
    "formats": {"Umsatz": "1.234,5", "visits": "1234,5"},
}
HEADER = "Nr;Firma;Umsatz;visits;Renewal;Link;left"


def row(at: int, left: str) -> str:
    link = "javascript:alert(1)" if at == 3 else f"https://crm.example.com/{at}"
    return f"K{at:03d};Müller & Söhne {at};1.{at:03d},50;{at % 23};2027-01-31;{link};{left}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = new_project(tmp_path_factory.mktemp("sheets"), columns=COLUMNS)
    (made.folder / "testdata" / "testdata.csv").unlink()
    known = [row(at, str(int(at % 23 < 6))) for at in range(100, 400)]
    made.write(
        "sourcedata/2026-09-30.csv", [*known, *(row(at, "") for at in range(40))], header=HEADER
    )
    run_driver(made)
    return made


def test_the_csv_is_in_the_company_s_own_style(project: Project) -> None:
    raw = (project.folder / "models/clients_at_risk.csv").read_bytes()
    head, first, *_ = raw.decode("utf-8-sig").splitlines()

    assert raw.startswith(b"\xef\xbb\xbf")
    assert head.startswith("rank;client;name;risk;") and head.endswith(";Renewal;Link")
    assert ";Müller & Söhne " in first
    assert first.split(";")[3].startswith("0,")


def test_the_sheet_has_numbers_percent_and_dates(project: Project) -> None:
    path = project.folder / "models/clients_at_risk.xlsx"
    sheet = pl.read_excel(path)

    assert sheet.height == 40
    assert sheet.columns[:5] == ["rank", "client", "name", "risk", "date"]
    assert sheet["date"].to_list() == [datetime.date(2026, 9, 30)] * 40
    assert sheet["risk"].dtype == pl.Float64
    assert sheet["Renewal"].to_list() == [datetime.date(2027, 1, 31)] * 40
    assert sheet["Link"].to_list().count("javascript:alert(1)") == 1


def test_the_sheet_is_the_same_for_the_same_list(project: Project) -> None:
    path = project.folder / "models/clients_at_risk.xlsx"
    before = path.read_bytes()
    project.run("reporting.py")

    assert path.read_bytes() == before


def test_of_many_clients_the_sheet_has_those_to_call_and_the_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = load_list(project.config)
    last = listing.clients[-1].rank
    called = [c.call or c.rank == last for c in listing.clients]  # one behind the first, too
    monkeypatch.setattr(sheets, "SHEET_ROWS", 6)
    sheet = pl.read_excel(sheets.sheet_file(listing.with_columns(call=called)))

    assert sheet["rank"].to_list() == [1, 2, 3, 4, 5, 6, last]
    assert sheet["call"].to_list()[-1] == "yes"


def test_reasons_stand_with_those_to_call_and_the_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, snapshot = project.config, read_snapshot(project.config)
    whole = client_list(config, snapshot, read_deployed(config), {})
    monkeypatch.setattr(ranking, "WITH_REASONS", 6)
    found = client_list(config, snapshot, read_deployed(config), {})

    shown = [c.call or c.rank <= 6 for c in found.clients]
    assert 6 <= sum(shown) < 40
    assert [c.reasons if show else () for c, show in zip(whole.clients, shown, strict=True)] == [
        c.reasons for c in found.clients
    ]
    assert any(c.reasons for c, show in zip(whole.clients, shown, strict=True) if not show)


def test_people_read_the_name_and_the_id_stands_beside_it(project: Project) -> None:
    listing = load_list(project.config)
    first = listing.clients[0]
    client = create_app(project.config).test_client()
    browser = {"Accept": "text/html"}
    page = client.get(f"/client?name={first.client}").get_data(as_text=True)

    assert first.name is not None
    shown = first.name.replace("&", "&amp;")
    assert f">{shown}</a>" in client.get("/?band=all", headers=browser).get_data(as_text=True)
    assert f"<bdi>{shown}</bdi>" in page
    assert f", {first.client}" in page
    assert 'href="https://crm.example.com/' in page
    assert (
        f"{first.name} is client {first.client}: risk"
        in project.run("diagnostics.py", "--client", first.name).stdout
    )


def test_no_link_of_a_cell_runs_anything(project: Project) -> None:
    page = create_app(project.config).test_client().get("/client?name=K003").get_data(as_text=True)

    assert 'href="javascript:' not in page
    assert "javascript:alert(1)" in page


def test_a_client_is_found_by_its_name(project: Project) -> None:
    first = load_list(project.config).clients[0]
    client = create_app(project.config).test_client()

    for asked in (first.name, first.client):
        page = client.get("/client", query_string={"name": asked}).get_data(as_text=True)
        assert f", {first.client}" in page
    found = client.get("/clients", query_string={"q": str(first.name).upper()}).get_json()
    assert [one["client"] for one in found["clients"]] == [first.client]


def test_without_a_name_column_nothing_is_added(tmp_path: Path) -> None:
    made = new_project(tmp_path / "plain")
    made.write("sourcedata/one.csv", [f"c{at},{at},{at * 9},5,{at % 2}" for at in range(60)])
    run_driver(made)
    head = made.text("models/clients_at_risk.csv").splitlines()[0]

    assert head.startswith("rank,client,risk,date,model_version,band,call")

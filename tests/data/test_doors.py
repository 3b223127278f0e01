"""One rule in every door: input, test files, a finaldata.csv by hand, --file and /prediction."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import HEADER, Project, client_rows
from test_ingestion import quarantined

from ingestion import ingest
from risk.data import holdout
from risk.data.snapshot import read_snapshot
from risk.data.state import read_store_state
from tests.sheets import xlsx

COLUMNS = {
    "id": "Customer ID",
    "name": "Name",
    "date": "As of",
    "features": {"Logins": "number", "Revenue": "number", "Region": "text"},
    "target": "Churned",
    "target_values": {"Yes": 1, "No": 0},
    "owner": "Manager",
    "show": ["Renewal"],
    "formats": {"Revenue": "1.234,5", "As of": "dd.mm.yyyy"},
}
NAMES = ["Customer ID", "Name", "As of", "Logins", "Revenue", "Region", "Manager", "Renewal"]
NAMES += ["Churned"]
ROWS = [
    ["1000", "Müller", "31.01.2026", "39", "25.629,26", "NA", "Ann", "01.06.2026", "No"],
    ["1001", "Schröder", "31.01.2026", "NULL", "1.200,00 €", "EMEA", "-", "", "Yes"],
    ["1002", "Jäger", "31.01.2026", "7", "(972,52)", "n/a", "Bo", "01.07.2026", ""],
]
FINAL = [
    "Customer ID,Name,Renewal,As of,Logins,Revenue,Region,Manager,Churned",
    "1000,Müller,01.06.2026,2026-01-31,39,25629.26,NA,Ann,0",
    "1001,Schröder,,2026-01-31,,1200,EMEA,,1",
    "1002,Jäger,01.07.2026,2026-01-31,7,-972.52,,Bo,",
]


def text(mark: str = ";", encoding: str = "utf-8") -> bytes:
    rows = [[f'"{cell}"' if mark in cell else cell for cell in row] for row in (NAMES, *ROWS)]
    return "\r\n".join([*(mark.join(row) for row in rows), ""]).encode(encoding)


def frame() -> bytes:
    out = io.BytesIO()
    pl.DataFrame(dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))).write_parquet(
        out
    )
    return out.getvalue()


FORMS = {
    "semicolons.csv": text(),
    "commas.csv": text(","),
    "tabs.tsv": text("\t"),
    "cp1252.txt": text(encoding="cp1252"),
    "utf16.csv": text("\t", "utf-16"),
    "packed.csv.gz": gzip.compress(text()),
    "sheet.xlsx": xlsx(["Clients of January"], [], NAMES, *ROWS),
    "frame.parquet": frame(),
    "lines.jsonl": "".join(
        json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS
    ).encode(),
}


def crm(folder: Path, **columns: Any) -> Project:
    return Project(folder, columns=COLUMNS | columns)


@pytest.mark.parametrize("file", FORMS)
def test_every_form_gives_the_same_rows_of_the_store(tmp_path: Path, file: str) -> None:
    own = crm(tmp_path)
    own.write(f"sourcedata/{file}", FORMS[file])
    outcome = ingest(own.config)
    assert own.text("ingesteddata/finaldata.csv").splitlines() == FINAL, outcome.text
    assert quarantined(own) == []
    entry = read_store_state(own.config)["files"][file]
    assert entry["decimal"] == ","
    assert entry["delimiter"] == {"semicolons.csv": ";", "tabs.tsv": "\t"}.get(
        file, entry["delimiter"]
    )


def test_a_second_month_may_be_written_otherwise_and_repeated_rows_still_count_once(
    tmp_path: Path,
) -> None:
    own = crm(tmp_path)
    for file, data in FORMS.items():
        own.write(f"sourcedata/{file}", data)
    assert ingest(own.config).data["duplicates"] == 3 * (len(FORMS) - 1)
    assert own.text("ingesteddata/finaldata.csv").splitlines() == FINAL


@pytest.mark.parametrize("file", FORMS)
def test_test_files_are_read_by_the_same_rules_and_count_each_row_once(
    tmp_path: Path, file: str
) -> None:
    own = crm(tmp_path)
    own.write(f"testdata/{file}", FORMS[file])
    own.write("testdata/three_times.csv", text() + b"".join(text().splitlines(True)[1:]) * 2)
    rows = holdout.TestRows(own.config, {"Logins": "number", "Revenue": "number", "Region": "text"})
    assert rows.table["Revenue"] == [25629.26, 1200.0, -972.52]
    assert rows.labelled()[1].tolist() == [0, 1]
    assert (rows.repeated, rows.bad) == (9, 0)


@pytest.mark.parametrize("data", [text(), text(","), xlsx(NAMES, *ROWS)], ids=["; ", ",", "xlsx"])
def test_a_finaldata_put_there_by_hand_is_read_by_the_same_rules(
    tmp_path: Path, data: bytes
) -> None:
    own = crm(tmp_path)
    own.write("ingesteddata/finaldata.csv", data)
    rows = read_snapshot(own.config).rows
    assert rows["Revenue"].to_list() == [25629.26, 1200.0, -972.52]
    assert rows["Region"].to_list() == ["NA", "EMEA", None]


@pytest.mark.parametrize(
    ("column", "form", "known"),
    [("Revenue", "1,5", "1234.5, 1,234.5"), ("As of", "1.234,5", "yyyy-mm-dd, yyyy/mm/dd")],
)
def test_a_form_that_a_column_cannot_have_is_refused_with_those_it_can(
    tmp_path: Path, column: str, form: str, known: str
) -> None:
    own = crm(tmp_path, formats={column: form})
    said = own.run("ingestion.py", check=False).stderr
    assert f"columns.formats: {form!r} is no form that {column!r} can have" in said
    assert known in said


def test_a_bad_cell_is_its_rows_error_and_erasing_finds_it_in_any_form(tmp_path: Path) -> None:
    own = crm(tmp_path)
    bad = [*ROWS[0][:4], "12.5", *ROWS[0][5:]]
    own.write("sourcedata/a.xlsx", xlsx(NAMES, bad, *ROWS[1:]))
    own.write("sourcedata/b.csv", text().replace(b"25.629,26", b"25.629.26"))
    ingest(own.config)
    row = "1000,Müller,31.01.2026,39,12.5,NA,Ann,01.06.2026,No"
    assert quarantined(own) == [
        ["a.xlsx", "2", "Revenue", "not a number like 1.234,5", "12.5", row],
        ["b.csv", "2", "Revenue", "not a number like 1.234,5", "25.629.26"]
        + [row.replace(",", ";").replace("12.5", "25.629.26")],
    ]
    said = own.run("ingestion.py", "--erase", "1000").stdout
    assert "sourcedata/a.xlsx, sourcedata/b.csv" in said
    assert [line[4:] for line in quarantined(own)] == [["", ""]] * 2


def test_totals_are_set_aside_and_count_neither_as_bad_nor_as_rows_of_a_client(
    tmp_path: Path,
) -> None:
    own = Project(tmp_path)
    rows = client_rows(20, seed=1)
    own.write("sourcedata/a.csv", [*rows, *["Total,1,2,3,"] * 12, "", "Exported 20 records"])
    outcome = ingest(own.config)
    assert outcome.data["accepted"] == 20
    assert outcome.data["quarantined"] == 13
    assert {line[3] for line in quarantined(own)} == {"a totals row", "a line below the table"}
    assert read_store_state(own.config)["notes"] == {
        "a.csv": [
            "line 22 and 11 more set aside: a totals row",
            "line 35 set aside: a line below the table",
        ]
    }


def test_a_header_written_in_another_way_is_read_and_told(tmp_path: Path) -> None:
    own = crm(tmp_path)
    own.write("sourcedata/a.csv", text().replace(b"Customer ID", b"customer_id"))
    assert "a.csv: 'customer_id' read as 'Customer ID'" in ingest(own.config).data["notes"]
    assert own.text("ingesteddata/finaldata.csv").splitlines() == FINAL


def test_a_date_in_a_name_that_could_be_two_leaves_the_rows_undated_and_is_told(
    tmp_path: Path,
) -> None:
    own = Project(tmp_path)
    own.write("sourcedata/clients_03-04-2026.csv", client_rows(3, seed=1))
    (note,) = ingest(own.config).data["notes"]
    assert "may be 2026-03-04 or 2026-04-03, so it is neither" in note
    assert read_snapshot(own.config).rows["_date"].to_list() == [None] * 3


def test_more_cells_than_the_header_has_names_are_told_as_what_they_are(tmp_path: Path) -> None:
    own = Project(tmp_path)
    own.write("sourcedata/a.csv", [f"{row},x" for row in client_rows(12, seed=1)])
    (note,) = ingest(own.config).data["notes"]
    assert "every row has 6 cells, the header 5: give each column a name" in note


UPLOADS = ["clients.csv", "clients.xlsx", "clients.parquet", "clients.csv.gz"]


def upload(name: str) -> bytes:
    names, row = HEADER.split(",")[:4], ["Acme", "12", "540", "30"]
    if name.endswith(".xlsx"):
        return xlsx(names, row)
    if name.endswith(".parquet"):
        out = io.BytesIO()
        pl.DataFrame({n: [cell] for n, cell in zip(names, row, strict=True)}).write_parquet(out)
        return out.getvalue()
    data = ";".join(names) + "\n" + ";".join(row) + "\n"
    return gzip.compress(data.encode()) if name.endswith(".gz") else data.encode()


@pytest.mark.parametrize("name", UPLOADS)
def test_prediction_and_file_read_every_form(deployed: Project, name: str) -> None:
    from app import create_app

    call = create_app(deployed.config).test_client()
    body = {"rows": [dict(zip(HEADER.split(",")[:4], ["Acme", 12, 540, 30], strict=True))]}
    wanted = call.post("/prediction", json=body).get_json()["probabilities"]
    data = upload(name)
    sent = call.post("/prediction", data={"file": (io.BytesIO(data), name)})
    raw = call.post("/prediction", data=data, content_type="application/octet-stream")
    path = deployed.write(f"testdata/{name}", data)
    there = call.post("/prediction", json={"filename": f"testdata/{name}"})
    for response in (sent, raw, there):
        assert response.get_json()["probabilities"] == wanted
    said = deployed.run("diagnostics.py", "--file", str(path), "--json")
    assert json.loads(said.stdout)["probabilities"] == wanted

"""--init: little tables of many shapes, each guessed right or refused with what to do."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import HEADER, ROOT, client_rows, real_data

from ingestion import ingest
from risk.config import PipelineError, load
from risk.data.cells import Hints, Unsure
from risk.data.guess import Export, guess, held_out
from risk.data.snapshot import read_snapshot
from risk.data.starter import Wanted, start
from risk.data.tables import ANY, read_table


def init(tmp_path: Path, text: str | bytes, name: str = "table.csv") -> dict[str, Any]:
    """The data of --init on this table; the folder is tmp_path/mine."""
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    # Dated, since a file without a date in its name gets that of its last change.
    return start(tmp_path / "mine", [file], Wanted(as_of="2026-10-31")).data


def rows_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


# ------------------------------------------------------------ tables of many shapes

SAAS = "customer_id,name,plan,seats,mrr,region,churned\n" + "".join(
    f"{1000 + at},Firm {at},{('basic', 'pro')[at % 2]},{at * 7 % 11},{at * 9.5},{'NSEW'[at % 4]},"
    f"{('Yes', 'No', 'No')[at % 3]}\n"
    for at in range(30)
)
BANK = "RowNumber,CustomerId,Surname,CreditScore,Gender,Tenure,Balance,Exited\n" + "".join(
    f"{at + 1},{15600000 + at * 37},Name{at},{600 + at % 7},{'FM'[at % 2]},{at % 10},{at}00.5,"
    f"{at % 4 // 3}\n"
    for at in range(24)
)
GERMAN = "Firma;Umsatz;Mitarbeiter;Gekuendigt\n" + "".join(
    f"Müller {at};{at},5;{at * 3};{('ja', 'nein')[at % 2]}\n" for at in range(25)
)
TABS = "account\tvisits\tcancelled\n" + "".join(
    f"a{at}\t{at * 3}\t{('true', 'false')[at % 2]}\n" for at in range(22)
)
PIPES = "client|used|left\n" + "".join(
    f"c{at}|{at % 5}|{('1.0', '0.0')[at % 2]}\n" for at in range(22)
)
STATUS = "member_no,age,status,note\n" + "".join(
    f"{900 + at},{20 + at}.5,{('Active', 'Churned', 'Joined')[at % 3]},remark number {at}\n"
    for at in range(24)
)
MONTHLY = "customer,month,orders,exited\n" + "".join(
    f"c{client},2026-{month:02d},{client + month},{('0', '0', '1', '')[(client + month) % 4]}\n"
    for client in range(10)
    for month in range(1, 5)
)
SIGNUPS = "id,signup_date,exit_date,reason,spend,churn\n" + "".join(
    f"{at},2025-01-{at % 28 + 1:02d},{'2026-01-01' * (at % 2)},"
    f"{('price', 'service')[at // 2 % 2] * (at % 2)},{at * 2},{at % 2}\n"
    for at in range(20, 50)
)
UNNAMED = "company,size,gone\n" + "".join(
    f"f{at},{at * 5 % 13},{('y', 'n')[at % 2]}\n" for at in range(20)
)
ACTIVE = "user,logins,is_active\n" + "".join(f"u{at},{at * 3},{at % 2}\n" for at in range(20))
CONSTANT = "customer id,country,empty,days,left\n" + "".join(
    f"x{at},NL,,{at - 4},{at % 2}\n" for at in range(9)
)

GUESSES: dict[str, tuple[str, dict[str, Any]]] = {
    "a subscription business": (
        SAAS,
        {
            "id": "customer_id",
            "target": "churned",
            "target_values": {"No": 0, "Yes": 1},
            "name": "name",
            "value": "mrr",
            "features": {"plan": "text", "seats": "number", "region": "text"},
            "non_negative": ["seats"],
        },
    ),
    "a bank": (
        BANK,
        {
            "id": "CustomerId",
            "target": "Exited",
            "left_out": {"RowNumber", "Surname"},
            "features": {
                "CreditScore": "number",
                "Gender": "text",
                "Tenure": "number",
                "Balance": "number",
            },
            "non_negative": ["Tenure"],
        },
    ),
    "semicolons, a decimal comma and words of another language": (
        GERMAN,
        {
            "id": "Firma",
            "target": "Gekuendigt",
            "target_values": {"ja": 1, "nein": 0},
            "features": {"Mitarbeiter": "number"},
            "value": "Umsatz",
            "formats": {"Umsatz": "1234,5", "Mitarbeiter": "1234,5"},
            "non_negative": ["Mitarbeiter"],
        },
    ),
    "tabs and true or false": (
        TABS,
        {
            "id": "account",
            "target": "cancelled",
            "target_values": {"false": 0, "true": 1},
            "features": {"visits": "number"},
            "non_negative": ["visits"],
        },
    ),
    "pipes and labels with a point": (
        PIPES,
        {
            "id": "client",
            "target": "left",
            "features": {"used": "number"},
        },
    ),
    "a status in words": (
        STATUS,
        {
            "id": "member_no",
            "target": "status",
            "left_out": {"note"},
            "target_values": {"Active": 0, "Churned": 1, "Joined": 0},
            "non_negative": [],
            "features": {"age": "number"},
        },
    ),
    "a table over months": (
        MONTHLY,
        {"id": "customer", "target": "exited", "date": "month", "features": {"orders": "number"}},
    ),
    "dates and a reason that come with the exit": (
        SIGNUPS,
        {
            "id": "id",
            "target": "churn",
            "features": {"spend": "number"},
            "left_out": {"exit_date", "reason"},
            "show": ["signup_date"],
        },
    ),
    "a target known by its two values": (
        UNNAMED,
        {
            "id": "company",
            "target": "gone",
            "target_values": {"n": 0, "y": 1},
            "features": {"size": "number"},
            "non_negative": ["size"],
        },
    ),
    "a target that says who stayed": (
        ACTIVE,
        {
            "id": "user",
            "target": "is_active",
            "target_values": {"0": 1, "1": 0},
            "features": {"logins": "number"},
        },
    ),
    "columns that say nothing": (
        CONSTANT,
        {
            "id": "customer id",
            "target": "left",
            "features": {"days": "number"},
            "non_negative": [],
            "left_out": {"country", "empty"},
        },
    ),
    "the original's five columns": (
        "\n".join([HEADER, *client_rows(30), ""]),
        {
            "id": "corporation",
            "target": "exited",
            "features": dict.fromkeys(HEADER.split(",")[1:4], "number"),
            "non_negative": HEADER.split(",")[1:4],
        },
    ),
}


@pytest.mark.parametrize(("text", "wanted"), GUESSES.values(), ids=GUESSES)
def test_the_columns_of_a_table_are_guessed(
    tmp_path: Path, text: str, wanted: dict[str, Any]
) -> None:
    found = init(tmp_path, text)
    columns = found["settings"]["columns"]
    told = columns | {"left_out": set(found["left_out"]), "csv": found["settings"].get("csv")}
    defaults = {"left_out": set(), "csv": None}
    assert {key: told.get(key) for key in wanted | defaults} == defaults | wanted
    assert set(columns) - {"id", "target", "features", "non_negative"} <= set(wanted)
    assert found["notes"] == []


@pytest.mark.parametrize(("text", "wanted"), GUESSES.values(), ids=GUESSES)
def test_what_was_made_ingests_without_a_row_set_aside(
    tmp_path: Path, text: str, wanted: dict[str, Any]
) -> None:
    found = init(tmp_path, text)
    outcome = ingest(load(found["config"]))
    assert (outcome.data["quarantined"], outcome.data["duplicates"]) == (0, 0)
    stored = read_snapshot(load(found["config"]))
    labels = stored.rows[stored.target]
    assert stored.rows.height == text.count("\n") - 1 - found["test_rows"]
    assert (labels.null_count(), set(labels.drop_nulls())) == (found["current"], {0, 1})


def test_latin_1_cells_keep_their_bytes(tmp_path: Path) -> None:
    data = GERMAN.encode("cp1252")
    found = init(tmp_path, data)
    assert found["settings"]["csv"]["encoding"] == "cp1252"
    made = [
        (tmp_path / "mine" / name).read_bytes()
        for name in ("sourcedata/table_2026-10-31.csv", "testdata/testdata.csv")
    ]
    lines = Counter(data.splitlines()[1:])
    assert Counter(line for text in made for line in text.splitlines()[1:]) == lines


def test_the_cells_keep_their_text_and_every_row_is_in_one_of_the_two(tmp_path: Path) -> None:
    text = (
        "customer,spend,churn\r\n"
        + "".join(f'"c, {at}", 0{at}.50 ,{at % 2}.0\r\n' for at in range(25))
        + '"new, 1",1,\r\n'
    )
    init(tmp_path, b"\xef\xbb\xbf" + text.encode())
    source = rows_of(tmp_path / "mine/sourcedata/table_2026-10-31.csv")
    test = rows_of(tmp_path / "mine/testdata/testdata.csv")
    assert source[0] == test[0] == "customer,spend,churn"
    assert sorted(source[1:] + test[1:]) == sorted(text.splitlines()[1:])
    assert '"new, 1",1,' in source


def test_rows_that_cannot_be_used_are_left_for_quarantine_and_said(tmp_path: Path) -> None:
    text = UNNAMED + "broken,line\n,5,y\nf99,many,n\n"
    found = init(tmp_path, text)
    assert found["notes"] == [
        "3 rows will be set aside by ingestion, the first on line 18 "
        "(2 cells where the header has 3)"
    ]
    outcome = ingest(load(found["config"]))
    assert outcome.data["quarantined"] == 3


# ------------------------------------------------------------ the part that is set aside


def split(labels: list[int | None], clients: list[str] | None = None) -> tuple[Counter, Counter]:
    """Labels (kept, set aside)."""
    named = clients or [f"c{at}" for at in range(len(labels))]
    aside = held_out(named, labels)
    return (
        Counter(label for at, label in enumerate(labels) if at not in aside),
        Counter(labels[at] for at in aside),
    )


@pytest.mark.parametrize(
    ("exits", "stays", "aside"),
    [
        (10, 10, (2, 2)),
        (50, 150, (10, 30)),
        (4, 20, (1, 4)),
        (5, 995, (1, 199)),
        (3, 30, (0, 0)),
        (9, 10, (0, 0)),
        (0, 40, (0, 0)),
        (30, 3, (0, 0)),
    ],
)
def test_a_fifth_of_either_kind_is_set_aside_or_nothing(
    exits: int, stays: int, aside: tuple
) -> None:
    _, found = split([1] * exits + [0] * stays + [None] * 7)
    assert (found[1], found[0], found[None]) == (*aside, 0)


def test_a_client_is_on_one_side_only() -> None:
    clients = [f"c{at % 30}" for at in range(300)]
    labels: list[int | None] = [int(at % 30 < 10 and at > 200) for at in range(300)]
    aside = held_out(clients, labels)
    assert {clients[at] for at in aside}.isdisjoint(
        clients[at] for at in range(300) if at not in aside
    )
    assert 50 <= len(aside) <= 70


def test_the_same_table_gives_the_same_split_whatever_its_order() -> None:
    clients, labels = [f"c{at}" for at in range(60)], [at % 3 // 2 for at in range(60)]
    aside = {clients[at] for at in held_out(clients, labels)}
    order = np.random.default_rng(0).permutation(60)
    mixed = [clients[at] for at in order]
    assert {mixed[at] for at in held_out(mixed, [labels[at] for at in order])} == aside


# ------------------------------------------------------------ what is refused

REFUSED = {
    "empty": (b"", "the file is empty"),
    "one column": (b"a\n1\n", "needs a client column"),
    "two columns": (b"id,left\n1,1\n", "needs a client column"),
    "a workbook": (b"PK\x03\x04...", "save it as CSV"),
    "no header": (b"17,3,1\n18,4,0\n", "must name the columns"),
    "a repeated name": (b"id,a,a,left\n1,2,3,1\n", "names 'a' twice"),
    "nothing that says who left": (
        b"id,colour,size\n1,red,3\n2,blue,4\n3,green,5\n",
        "no column says for sure who left",
    ),
    "two values that could mean anything": (
        b"id,tier,size\n1,gold,3\n2,silver,4\n3,gold,5\n",
        r"'tier' \(gold, silver\).*; type --target COLUMN",
    ),
    "two columns that could say so": (
        b"id,a,b,x\n1,1,0,5\n2,0,1,6\n3,1,1,7\n",
        r"'a' \(1, 0\); 'b' \(0, 1\).*; type --target COLUMN",
    ),
    "a target in unknown words": (
        b"id,status,x\n1,gold,3\n2,lead,4\n",
        r"'status' \(gold, lead\).*; type --target COLUMN",
    ),
    "no client": (b"size,exited,b\n2,1,3\n2,0,3\n2,1,3\n", "no column names the client"),
    "nothing to learn from": (
        b"id,exited,b\n1,1,3\n2,0,3\n3,1,3\n",
        "no column is left to learn from",
    ),
    "an open quote": (b'id,exited,b\n1,1,"3\n2,0,3\n', "opened on line 2"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_cannot_be_understood_is_refused_and_leaves_nothing(
    tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        init(tmp_path, data)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_table_of_bad_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="12 of 32 rows are bad, the first on line 22"):
        init(tmp_path, UNNAMED + "broken,line\n" * 12)
    assert not (tmp_path / "mine").exists()


def test_a_folder_that_holds_something_is_left(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/own.txt").write_text("mine")
    with pytest.raises(PipelineError, match="is not empty; name a new folder"):
        init(tmp_path, UNNAMED)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["own.txt"]


def test_an_empty_folder_is_filled_and_a_deep_one_made(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    init(tmp_path, UNNAMED)
    assert load(tmp_path / "mine/config.json").columns.id == "company"
    start(tmp_path / "a/b/c", [tmp_path / "table.csv"])
    assert sorted(p.name for p in (tmp_path / "a/b").iterdir()) == ["c"]


def test_the_folder_one_stands_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="give the new folder a name"):
        start(Path(), [tmp_path / "table.csv"])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"cannot read .*none\.csv: No such file or directory"):
        start(tmp_path / "mine", [tmp_path / "none.csv"])


def test_what_a_killed_start_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".tmp-mine/sourcedata").mkdir(parents=True)
    (tmp_path / ".tmp-mine/sourcedata/old.csv").write_text("x")
    init(tmp_path, UNNAMED)
    assert [p.name for p in (tmp_path / "mine/sourcedata").iterdir()] == ["table_2026-10-31.csv"]
    assert not (tmp_path / ".tmp-mine").exists()


# ------------------------------------------------------------ through the whole chain


def thirty_rows() -> str:
    """30 clients of a gym: who rarely comes leaves; four have no label yet."""
    rng = np.random.default_rng(7)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\n")
    writer.writerow(["Member ID", "Full name", "Plan", "Visits per month", "Fee", "Has left"])
    for at in range(30):
        visits = int(rng.integers(0, 12))
        said = "" if at >= 26 else ("Yes" if (visits < 5) != (rng.random() < 0.15) else "No")
        writer.writerow(
            [
                f"G-{at:03d}",
                f"Person {at}",
                ("single", "family")[at % 2],
                visits,
                f"{19 + at % 3},90",
                said,
            ]
        )
    return out.getvalue()


def test_thirty_rows_of_another_company_get_through_the_whole_chain(tmp_path: Path) -> None:
    table = tmp_path / "gym members.csv"
    table.write_text(thirty_rows())
    folder = tmp_path / "our gym"
    done = subprocess.run(
        [
            "/usr/bin/env",
            "-i",
            sys.executable,
            "-W",
            "error",
            str(ROOT / "ingestion.py"),
            "--init",
            str(folder),
            str(table),
        ],
        cwd="/",
        text=True,
        capture_output=True,
        check=True,
    )
    assert re.search("^  Member ID +client ", done.stdout, re.MULTILINE)
    assert re.search("^  Full name +name ", done.stdout, re.MULTILINE)
    assert "Has left: No = 0, Yes = 1 (1 left, 0 stayed)\n" in done.stdout
    assert "without)" in done.stdout
    (command,) = [line.strip() for line in done.stdout.splitlines() if ".py --config" in line]
    stages = ("ingestion.py", "training.py", "scoring.py", "deployment.py", "reporting.py")
    for stage in stages:
        subprocess.run(
            command.removesuffix(" --summary").replace("fullprocess.py", stage),
            shell=True,
            cwd="/",
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
        )
    rows = rows_of(folder / "ingesteddata/finaldata.csv")
    test = rows_of(folder / "testdata/testdata.csv")
    assert len(rows) - 1 + len(test) - 1 == 30
    assert rows[0] == "Member ID,Full name,Plan,Visits per month,Fee,Has left"
    assert 0 <= float((folder / "models/latestscore.txt").read_text()) <= 1
    manifest = json.loads((folder / "production_deployment/manifest.json").read_text())
    assert manifest["version"] == 1
    made = (folder / "models/clients_at_risk.csv").read_text("utf-8-sig")
    listed = list(csv.DictReader(io.StringIO(made), delimiter=";"))
    assert {cell for line in listed for cell in line.values() if cell.startswith("G-")} == {
        "G-026",
        "G-027",
        "G-028",
        "G-029",
    }


def test_a_real_table_with_categories_is_guessed_and_ingested(tmp_path: Path) -> None:
    found = start(tmp_path / "mine", [real_data("telco", "telco_churn.csv")]).data
    features = found["settings"]["columns"]["features"]
    assert (len(features), list(features.values()).count("text")) == (19, 10)
    outcome = ingest(load(found["config"]))
    assert outcome.data["accepted"] + found["test_rows"] == 7043
    assert found["test_rows"] == 1409


def test_reading_a_table_guesses_nothing_from_the_columns_order() -> None:
    head, *rows = (line.split(",") for line in SAAS.splitlines())
    for turn in range(len(head)):
        turned = [row[turn:] + row[:turn] for row in (head, *rows)]
        data = "\n".join(",".join(row) for row in turned).encode()
        found = guess([Export("a.csv", read_table(data, "a.csv", ANY))], Hints())
        roles = (found.id, found.target.name, found.named("name"), found.named("left out"))
        assert roles == ("customer_id", "churned", ["name"], [])


def test_a_folder_of_exports_and_outcomes_makes_a_project_of_both(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    rows = [f"A{at},{at % 7},{at % 5},{{}}" for at in range(60)]
    for day, left in (("2026-01-31", 0), ("2026-02-28", 12), ("2026-03-31", 20)):
        lines = [row.format("Yes" if at < left else "No") for at, row in enumerate(rows)]
        text = "\n".join(["account,seats,logins,churned", *lines, ""])
        (exports / f"accounts_{day}.csv").write_text(text)
    told = "\n".join(["account,churned", *(f"A{at},No" for at in range(20, 60)), "A21,Yes", ""])
    (exports / "outcomes_2026-04-30.csv").write_text(told)

    start(tmp_path / "p", [exports])

    made = sorted(path.name for path in (tmp_path / "p" / "sourcedata").iterdir())
    assert made[-1] == "outcomes_2026-04-30.csv" and len(made) == 4
    (exports / "outcomes_2026-04-30.csv").write_text("account,seats\nA1,3\n")
    with pytest.raises(Unsure, match="it has account, seats alone; a file of outcomes has"):
        start(tmp_path / "q", [exports])

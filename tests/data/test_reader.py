"""The definition of a valid row: a matrix of files, each with its verdict."""

from __future__ import annotations

import contextlib
import csv
import datetime
import gzip
import json
import math
import pickle
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from conftest import FIVE, HEADER
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.config import load
from risk.data.filedates import date_in_path, read_path_date
from risk.data.labels import current_clients, mature, next_maturity, usable_labels
from risk.data.reader import Reading, nearest, numeric_counts, read_rows
from risk.data.schema import (
    NUMBER,
    TARGET,
    TEXT,
    Column,
    Schema,
    infer_kinds,
    printable,
    schema_of,
)
from risk.data.tables import ANY, Refused, read_table
from risk.data.values import MISSING, NUMERIC, parse_date, parse_number

SCHEMA = Schema(
    (
        Column("corporation", "id", TEXT),
        *(Column(name, "feature", NUMBER, non_negative=True) for name in HEADER.split(",")[1:4]),
        Column("exited", "target", TARGET),
    )
)
GOOD = ["a,1,2,3,0", "b,4,5,6,1", "c,7,8,9,"]


def table(*rows: str, header: str = HEADER, end: str = "\n") -> bytes:
    return end.join([header, *rows, ""]).encode()


def reading(tmp_path: Path, data: bytes, **entries: object) -> Reading:
    """The file as read by a config with these entries."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(FIVE | entries))
    config = load(path)
    schema = schema_of(config)
    with contextlib.suppress(Refused):
        table = read_table(data, "clients.csv", config.csv, schema.names)
        schema = schema_of(config, infer_kinds(schema, numeric_counts(table, schema)))
    return read_rows(data, "clients.csv", schema, config.csv)


ACCEPTED = {
    "plain": (table(*GOOD), 3),
    "carriage returns": (table(*GOOD, end="\r\n"), 3),
    "byte order mark": (b"\xef\xbb\xbf" + table(*GOOD), 3),
    "no newline at the end": (table(*GOOD)[:-1], 3),
    "empty lines": (table("", GOOD[0], "", "", GOOD[1]), 2),
    "header only": (table(), 0),
    "header without a newline": (HEADER.encode(), 0),
    "quoted cells": (table('"a, b",1,2,3,0', '"say ""hi""",1,2,3,1'), 2),
    "a quote inside a bare cell": (table('5" pipes,1,2,3,0'), 1),
    "spaces around cells": (table(" a , 1 ,\t2, 3 , 1 "), 1),
    "reordered columns": (table("0,3,2,1,a", header=",".join(reversed(HEADER.split(",")))), 1),
    "extra columns": (table("a,1,2,3,0,x", header=HEADER + ",note"), 1),
    "an extra column twice": (table("a,1,2,3,0,x,y", header=HEADER + ",note,note"), 1),
    "a trailing comma in every line": (table("a,1,2,3,0,", header=HEADER + ","), 1),
    "missing features": (table("a,,,,1"), 1),
    "no target column": (table("a,1,2,3", header=HEADER.removesuffix(",exited")), 1),
    "numbers that are missing": (table("a,NA,-,NULL,0", "b,nan,?,n/a,NA"), 2),
    "labels with a point": (table("a,1,2,3,1.0", "b,1,2,3,0.0", "c,1,2,3,1e0"), 3),
    "scientific numbers": (table("a,1e3,2.5E-1,+3,0", "b,.5,5.,1e308,1"), 2),
    "minus zero": (table("a,-0,-0.0,0,0"), 1),
    "leading zeros": (table("a,007,1,1,0"), 1),
    "nine bad rows of ten": (table("d,1,2,3,0", *["e,x,2,3,0"] * 9), 1),
    "ten bad rows of a hundred": (table(*["d,1,2,3,0"] * 90, *["e,x,2,3,0"] * 10), 90),
    "gzip": (gzip.compress(table(*GOOD)), 3),
    "utf-16": (table(*GOOD).decode().encode("utf-16"), 3),
    "utf-16 without a mark": (table(*GOOD).decode().encode("utf-16-le"), 3),
    "old line ends": (table(*GOOD, end="\r"), 3),
    "doubled carriage returns": (table(*GOOD, end="\r\r\n"), 3),
    "semicolons": (table(*GOOD).replace(b",", b";"), 3),
    "tabs": (table(*GOOD).replace(b",", b"\t"), 3),
    "rows without a cell": (table(*GOOD, ",,,,", "   "), 3),
    "a name in other case": (table(*GOOD, header=HEADER.replace("exited", "Exited")), 3),
    "a name with spaces": (
        table(*GOOD, header=HEADER.replace("lastyear_activity", "Last Year Activity")),
        3,
    ),
    "a cell over two lines": (table('"a\nb",1,2,3,0'), 1),
    "other scripts": (table("株式会社,1,2,3,0", "Æther ÅS,1,2,3,1"), 2),
}


@pytest.mark.parametrize(("data", "accepted"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_readable_file_gives_its_good_rows(tmp_path: Path, data: bytes, accepted: int) -> None:
    found = reading(tmp_path, data)
    assert found.refused == ""
    assert found.accepted == accepted


FAULTS = {
    "empty id": (",1,2,3,0", "corporation", "empty id", ""),
    "blank id": ('" ",1,2,3,0', "corporation", "empty id", ""),
    "text": ("x,many,2,3,0", "lastmonth_activity", "not a number", "many"),
    "an id that stands for none": ("NULL,1,2,3,0", "corporation", "no id", "NULL"),
    "infinity": ("x,1,inf,3,0", "lastyear_activity", "not a number", "inf"),
    "too large": ("x,1,1e309,3,0", "lastyear_activity", "not finite", "1e309"),
    "hexadecimal": ("x,1,2,0x10,0", "number_of_employees", "not a number", "0x10"),
    "underscore": ("x,1_000,2,3,0", "lastmonth_activity", "not a number", "1_000"),
    "thousands": ('x,"1,000",2,3,0', "lastmonth_activity", "not a number", "1,000"),
    "other digits": ("x,١,2,3,0", "lastmonth_activity", "not a number", "١"),
    "a space inside": ("x,1 000,2,3,0", "lastmonth_activity", "not a number", "1 000"),
    "negative": ("x,1,-2,3,0", "lastyear_activity", "below 0", "-2"),
    "label 7": ("x,1,2,3,7", "exited", "not 0, 1 or empty", "7"),
    "label .5": ("x,1,2,3,0.5", "exited", "not 0, 1 or empty", "0.5"),
    "label yes": ("x,1,2,3,yes", "exited", "not 0, 1 or empty", "yes"),
    "short row": ("x,1,2", "", "3 cells where the header has 5", ""),
    "long row": ("x,1,2,3,0,", "", "6 cells where the header has 5", ""),
    "stray quote": ('"x"y,1,2,3,0', "", "a stray quote", ""),
    "carriage return": ("x\ry,1,2,3,0", "", "a lone carriage return", ""),
    "nul": ("x\0y,1,2,3,0", "corporation", "control character", "x\0y"),
    "line separator": ("x\u2028y,1,2,3,0", "corporation", "control character", "x\u2028y"),
    "endless cell": (f"{'x' * 140_000},1,2,3,0", "", "a cell of over 100,000 characters", ""),
}


@pytest.mark.parametrize(("row", "column", "rule", "value"), FAULTS.values(), ids=FAULTS)
def test_a_bad_row_is_a_fault_with_its_line_and_the_rows_around_it_stay(
    tmp_path: Path, row: str, column: str, rule: str, value: str
) -> None:
    found = reading(tmp_path, table("a,1,2,3,0", "", row, "b,4,5,6,1"))
    (fault,) = found.errors
    assert (fault.line, fault.column, fault.rule, fault.value) == (4, column, rule, value)
    assert fault.raw == row[:2000]
    assert found.values["corporation"] == ["a", "b"]
    assert (found.lines, found.rows, found.refused) == ([2, 5], 3, "")


def test_an_undecodable_byte_is_a_fault_of_its_row_alone(tmp_path: Path) -> None:
    found = reading(tmp_path, table("a,1,2,3,0") + b"caf\xe9,1,2,3,0\nb,1,2,3,0\n")
    assert [(f.line, f.column, f.rule) for f in found.errors] == [
        (3, "corporation", "not in the file's encoding")
    ]
    assert found.values["corporation"] == ["a", "b"]


REFUSED = {
    "empty": (b"", "the file is empty"),
    "newlines only": (b"\n\r\n\n", "the file is empty"),
    "zip or spreadsheet": (b"PK\x03\x04" + table(*GOOD), "spreadsheet"),
    "old spreadsheet": (b"\xd0\xcf\x11\xe0", "spreadsheet"),
    "pickle": (pickle.dumps({"a": 1}), "pickle"),
    "parquet": (b"PAR1xxxx", "Parquet"),
    "pdf": (b"%PDF-1.7", "PDF"),
    "no header": (table(*GOOD[1:], header=GOOD[0]), "'corporation' is missing"),
    "a missing feature": (
        table("a,1,2,0", header="corporation,lastmonth_activity,lastyear_activity,exited"),
        "'number_of_employees' is missing",
    ),
    "a feature that two names may mean": (
        table(
            "a,1,2,3,4,0",
            header=HEADER.replace("number_of", "Number_of") + ",NUMBER OF EMPLOYEES",
        ),
        "is 'Number_of_employees' meant?",
    ),
    "a target that is nearly named": (
        table(*GOOD, header=HEADER.replace("exited", "exited_flag")),
        "is 'exited_flag' meant?",
    ),
    "a repeated feature": (
        table("a,1,2,3,0,4", header=HEADER + ",lastyear_activity"),
        "names 'lastyear_activity' twice",
    ),
    "a repeated target": (table("a,1,2,3,0,1", header=HEADER + ",exited"), "names 'exited' twice"),
    "an open quote": (
        table("a,1,2,3,0", '"b,1,2,3,0', "c,1,2,3,0"),
        "opened on line 3 is not closed",
    ),
    "an open quote at the end": (
        table("a,1,2,3,0", '"b,1,2,3,0'),
        "opened on line 3 is not closed",
    ),
    "a quote open in the header": (
        table(*GOOD, header=f'"{HEADER}'),
        "header on line 1 cannot be split",
    ),
    "ten bad rows of ninety-nine": (
        table(*["d,1,2,3,0"] * 89, *["e,x,2,3,0"] * 10),
        "10 of 99 rows are bad, the first on line 91 (lastmonth_activity: not a number)",
    ),
    "nothing but bad rows": (table(*["x,y"] * 12), "every row has 2 cells, the header 5"),
    "json": (b'{"corporation": 1}\n', "is missing"),
    "html": (b"<!DOCTYPE html>\n<html></html>\n", "is missing"),
    "random bytes": (bytes(range(128, 160)) * 20, "is missing"),
    "steering characters in the header": (b"\x1b[31mred,b\n1,2\n", "\\x1b[31mred"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_cannot_be_understood_is_refused_with_a_reason(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    found = reading(tmp_path, data)
    assert reason in found.refused
    assert found.accepted == 0
    assert found.values == {}
    assert found.refused.isprintable()


def test_the_hint_never_names_a_column_that_has_a_part_already(tmp_path: Path) -> None:
    columns = {"features": ["orders_1", "orders_2"]}
    found = reading(tmp_path, table("a,1,0", header="corporation,orders_1,exited"), columns=columns)
    assert "'orders_2' is missing" in found.refused
    assert "meant" not in found.refused


def test_ignored_and_absent_columns_are_named(tmp_path: Path) -> None:
    header = HEADER.removesuffix(",exited") + ",note"
    found = reading(tmp_path, table("a,1,2,3,hello", header=header))
    assert (found.ignored, found.absent) == (["note"], ["exited"])
    assert found.values["exited"] == [None]


def test_numbers_and_labels_come_back_as_values(tmp_path: Path) -> None:
    found = reading(tmp_path, table("a,1.50,2e2,-0,1.0", "b,,.5,7,"))
    assert found.values == {
        "corporation": ["a", "b"],
        "lastmonth_activity": [1.5, None],
        "lastyear_activity": [200.0, 0.5],
        "number_of_employees": [0.0, 7.0],
        "exited": [1, None],
    }
    assert math.copysign(1, found.values["number_of_employees"][0]) == 1  # type: ignore[arg-type]


def test_a_decimal_comma_and_semicolons_are_read_where_the_config_says_so(tmp_path: Path) -> None:
    data = "\n".join([HEADER.replace(",", ";"), "a;1,5;2;3;1,0", "b;1.5;2;3;0"]).encode()
    found = reading(tmp_path, data, csv={"delimiter": ";", "decimal": ","})
    assert found.values["lastmonth_activity"] == [1.5]
    assert [(f.line, f.rule, f.value) for f in found.errors] == [
        (3, "not a number like 1234,5", "1.5")
    ]


def test_latin_1_is_read_where_the_config_says_so(tmp_path: Path) -> None:
    data = table("café,1,2,3,0").decode().encode("latin-1")
    assert reading(tmp_path, data, csv={"encoding": "latin-1"}).values["corporation"] == ["café"]
    assert reading(tmp_path, data).errors[0].rule == "not in the file's encoding"


def test_a_byte_order_mark_is_no_part_of_a_name_in_any_encoding(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + table("a,1,2,3,0")
    assert reading(tmp_path, data, csv={"encoding": "latin-1"}).accepted == 1


def test_the_targets_own_words_are_the_only_ones(tmp_path: Path) -> None:
    columns = {"target_values": {"Yes": 1, "No": 0}}
    found = reading(
        tmp_path, table("a,1,2,3,Yes", "b,1,2,3,No", "c,1,2,3,", "d,1,2,3,1"), columns=columns
    )
    assert found.values["exited"] == [1, 0, None]
    assert [(f.line, f.rule) for f in found.errors] == [(5, "not one of No, Yes or empty")]


@pytest.mark.parametrize(
    ("words", "left", "stayed", "values"),
    [
        ({}, "TRUE", "falsch", [1, 0]),
        ({"true": 1, "false": 0}, "WAHR", "FALSCH", [1, 0]),
        # A column that says who is still there.
        ({"TRUE": 0, "FALSE": 1}, "faux", "Vrai", [1, 0]),
        ({"Yes": 1, "No": 0}, "TRUE", "FALSE", []),
    ],
)
def test_true_and_false_mean_the_same_however_a_file_writes_them(
    tmp_path: Path, words: dict[str, int], left: str, stayed: str, values: list[int]
) -> None:
    columns = {"target_values": words} if words else {}
    found = reading(tmp_path, table(f"a,1,2,3,{left}", f"b,1,2,3,{stayed}"), columns=columns)
    assert found.values["exited"] == values


def test_texts_are_features_where_nine_of_ten_cells_are_no_numbers(tmp_path: Path) -> None:
    columns = {"features": ["plan", "use"]}
    rows = [f"c{at},basic,{at},0" for at in range(9)]
    found = reading(
        tmp_path, table(*rows, "x,,many,1", header="corporation,plan,use,exited"), columns=columns
    )
    assert found.values["plan"] == ["basic"] * 9
    assert [(f.column, f.value) for f in found.errors] == [("use", "many")]


def test_a_declared_kind_is_not_inferred(tmp_path: Path) -> None:
    columns = {"features": {"code": "text", "use": "number"}}
    found = reading(
        tmp_path,
        table("a,007,1,0", "b,8,x,1", header="corporation,code,use,exited"),
        columns=columns,
    )
    assert found.values["code"] == ["007"]
    assert found.errors[0].column == "use"


def test_a_date_column_is_read_and_an_empty_one_is_a_fault(tmp_path: Path) -> None:
    data = table(
        "2026-01-31,a,1,2,3,0",
        "2026-02,b,1,2,3,0",
        ",c,1,2,3,0",
        "31.1.2026,d,1,2,3,0",
        header="day," + HEADER,
    )
    found = reading(tmp_path, data, columns={"date": "day"})
    assert found.values["day"] == ["2026-01-31", "2026-02-28"]
    assert [(f.line, f.rule) for f in found.errors] == [
        (4, "empty date"),
        (5, "not a date like 2026-01-31"),
    ]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-01-31", "2026-01-31"),
        ("20260131", "2026-01-31"),
        ("2026-02", "2026-02-28"),
        ("2024-02", "2024-02-29"),
        ("2026-12", "2026-12-31"),
        ("2026-01-31T07:00:00Z", "2026-01-31"),
        ("2026-01-31 07:00:00.5", "2026-01-31"),
    ],
)
def test_dates_are_read_as_days_and_months_as_their_last(text: str, date: str) -> None:
    assert parse_date(text) == date


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30",
        "2026-13",
        "2026-00",
        "0000-01-01",
        "26-01-31",
        "2026-1-31",
        "20261301",
        "9999-12",
        "2026-01-31x",
        "31/01/2026",
        "٢٠٢٦-01-31",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="date"):
        parse_date(text)


@pytest.mark.parametrize(
    ("path", "date"),
    [
        ("clients_2026-10-31.csv", "2026-10-31"),
        ("clients_20261031.csv", "2026-10-31"),
        ("clients_2026-02.csv", "2026-02-28"),
        ("2026-01-31/clients.csv", "2026-01-31"),
        ("2025-12-31/clients_2026-01-31.csv", "2026-01-31"),
        ("2026-01-01_2026-01-31.csv", "2026-01-31"),
        ("2025/2026-03/x.csv", "2026-03-31"),
        ("clients.csv", None),
        ("order_12026103199.csv", None),
        ("clients_2026-13-45.csv", None),
        ("v3_1899-01-01.csv", None),
        ("clients_2026.csv", "2026-12-31"),
        ("2026-03/clients_2026.csv", "2026-03-31"),
        ("2026_01.csv", "2026-01-31"),
        ("202601.csv", "2026-01-31"),
        ("2026Q1.csv", "2026-03-31"),
        ("Q1 2026.xlsx", "2026-03-31"),
        ("2026-W05.csv", "2026-02-01"),
        ("Jan 2026.csv", "2026-01-31"),
        ("January_2026.csv", "2026-01-31"),
        ("Kunden März 2026.xlsx", "2026-03-31"),
        ("décembre-2025.csv", "2025-12-31"),
        ("31Jan2026.csv", "2026-01-31"),
        ("31.01.2026.csv", "2026-01-31"),
        ("31-01-2026.csv", "2026-01-31"),
        ("01-31-2026.csv", "2026-01-31"),
        ("05-05-2026.csv", "2026-05-05"),
        ("03-04-2026.csv", None),
        ("export_20260131_120503.csv", "2026-01-31"),
        ("clients 2026-01-31 (2).csv", "2026-01-31"),
    ],
)
def test_the_date_in_a_path_is_the_last_of_its_name_or_nearest_folder(
    path: str, date: str | None
) -> None:
    assert date_in_path(path) == date


def test_a_date_in_a_name_that_could_be_two_is_told_and_is_neither() -> None:
    found = read_path_date("clients_03-04-2026.csv")
    assert found.date is None
    assert "2026-03-04 or 2026-04-03" in found.doubt


@pytest.mark.parametrize(
    ("name", "names", "found"),
    [
        ("exited", ["Exited"], "Exited"),
        ("exited", ["ex-ited"], "ex-ited"),
        ("exited", ["exted"], "exted"),
        ("exited", ["number_of_employees", "note"], None),
        ("exited", ["", "---"], None),
    ],
)
def test_a_name_that_is_nearly_right_is_found(
    name: str, names: list[str], found: str | None
) -> None:
    assert nearest(name, names) == found


def test_what_would_steer_a_terminal_is_escaped() -> None:
    assert printable("a\x1b[31m\nb\x9b\u202e\udce9é") == "a\\x1b[31m\\nb\\x9b\\u202e\\udce9é"


CELL = st.one_of(
    st.from_regex(r"[+-]?[0-9]{0,25}\.?[0-9]{0,25}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.floats().map(repr),
    st.text(alphabet="0123456789.,eE+-_xnaif ٣\t\"'\x00\u2028", max_size=8),
)


@settings(max_examples=200, deadline=None)
@given(CELL)
def test_an_accepted_number_is_exactly_what_its_text_says(text: str) -> None:
    try:
        value = parse_number(text.strip(" \t"))
    except ValueError:
        return
    if value is None:
        assert text.strip(" \t") in MISSING
    elif NUMERIC.fullmatch(text.strip(" \t")):  # others are dressed, as 5- and + 5
        assert value == float(text)
        assert math.isfinite(value)
        assert Decimal(text.strip(" \t")).is_finite()


ROW = st.one_of(
    st.lists(CELL, min_size=4, max_size=6).map(",".join),
    st.tuples(
        st.sampled_from("abc"),
        st.integers(-5, 99),
        st.integers(0, 99),
        st.just(3),
        st.sampled_from(["0", "1", "", "2"]),
    ).map(lambda cells: ",".join(map(str, cells))),
    st.just(""),
).filter(lambda line: not set(line) & set("\n\r") and line.count('"') % 2 == 0)


def has_cells(row: str) -> bool:
    try:
        return any(next(csv.reader([row], skipinitialspace=True, strict=True), []))
    except csv.Error:
        return True


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=20), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_line_is_an_accepted_row_or_a_fault(rows: list[str], end: str, closed: bool) -> None:
    data = end.join([HEADER, *rows, *([""] if closed else [])]).encode()
    found = read_rows(data, "clients.csv", SCHEMA, ANY, limit=False)
    filled = [number for number, row in enumerate(rows, start=2) if has_cells(row)]
    if not found.refused:
        assert found.rows == len(filled)
        assert sorted([*found.lines, *(fault.line for fault in found.set_aside)]) == filled
        for number, employees in zip(found.lines, found.values["number_of_employees"], strict=True):
            text = next(csv.reader([rows[number - 2]]))[3].strip(" \t")
            assert employees == parse_number(text)


# ------------------------------------------------------------ rows for the stages


def frame(rows: list[tuple[str, str | None, int | None]]) -> pl.DataFrame:
    """(client, date, label) rows as the store hands them out."""
    made = pl.DataFrame(
        rows,
        schema=["corporation", "_date", "exited"],
        orient="row",
        schema_overrides={"exited": pl.Int8, "_date": pl.String},
    )
    dated = pl.col("_date").str.to_date("%Y-%m-%d")
    return made.with_columns(dated, _position=pl.lit(0, pl.Int64))


DAY = datetime.date(2026, 3, 10)


@pytest.mark.parametrize(
    ("horizon", "known"),
    [
        (0, ["a", "b", "c", "d"]),
        (8, ["a", "b", "d"]),
        (9, ["a", "d"]),
        (10, ["a", "d"]),
        (68, ["d"]),
    ],
)
def test_a_label_is_used_only_after_its_horizon(horizon: int, known: list[str]) -> None:
    rows = frame(
        [
            ("a", "2026-01-01", 1),
            ("b", "2026-03-01", 0),
            ("c", "2026-04-01", 1),
            ("d", None, 1),
            ("e", "2026-01-01", None),
        ]
    )
    found = rows.filter(usable_labels(rows, SCHEMA, horizon, DAY))
    assert found["corporation"].to_list() == known


def test_the_next_maturity_is_the_first_day_on_which_a_label_more_may_be_used() -> None:
    rows = frame([("a", "2026-01-01", 1), ("b", "2026-03-05", 0), ("c", "2026-03-01", None)])
    assert next_maturity(rows, SCHEMA, 30, DAY) == "2026-04-05"
    day = datetime.date(2026, 4, 5)
    assert mature(rows, 30, day).to_list() == [True, True, True]
    assert mature(rows, 30, day - datetime.timedelta(days=1))[1] is False
    assert next_maturity(rows, SCHEMA, 30, day) == ""
    assert next_maturity(rows, SCHEMA, 0, DAY) == ""


CURRENT = {
    "an unlabelled row is a current client": ([("a", "2026-01-31", None)], ["a"], "unlabelled"),
    "a label of the same date supersedes it": (
        [("a", "2026-01-31", None), ("a", "2026-01-31", 1), ("b", "2026-01-31", None)],
        ["b"],
        "unlabelled",
    ),
    "so does one that came before it": (
        [("a", "2026-01-31", 0), ("a", "2026-01-31", None), ("b", "2026-01-31", None)],
        ["b"],
        "unlabelled",
    ),
    "a label of an earlier date does not": (
        [("a", "2025-12-31", 0), ("a", "2026-01-31", None)],
        ["a"],
        "unlabelled",
    ),
    "a later label does": (
        [("a", "2025-12-31", None), ("a", "2026-01-31", 1), ("b", "2026-01-31", None)],
        ["b"],
        "unlabelled",
    ),
    "without dates the later row counts": (
        [("a", None, None), ("a", None, 1), ("b", None, 0), ("b", None, None)],
        ["b"],
        "unlabelled",
    ),
    "only the last row of a client counts": (
        [("a", "2026-02-28", None), ("a", "2026-01-31", None)],
        ["a"],
        "unlabelled",
    ),
    "without unlabelled rows those that stayed": (
        [
            ("a", "2026-01-31", 0),
            ("b", "2026-01-31", 1),
            ("c", "2025-01-31", 1),
            ("c", "2026-01-31", 0),
        ],
        ["a", "c"],
        "stayed",
    ),
    "also where every unlabelled row is superseded": (
        [("a", "2026-01-31", None), ("a", "2026-01-31", 0)],
        ["a"],
        "stayed",
    ),
}


@pytest.mark.parametrize(("rows", "clients", "basis"), CURRENT.values(), ids=CURRENT)
def test_current_clients(rows: list, clients: list[str], basis: str) -> None:
    found, said = current_clients(frame(rows), SCHEMA)
    assert (found["corporation"].to_list(), said) == (clients, basis)


def test_the_last_row_of_a_client_is_the_one_of_its_last_date() -> None:
    rows = frame([("a", "2026-02-28", None), ("a", "2026-01-31", None)])
    found, _ = current_clients(rows, SCHEMA)
    assert found["_date"].to_list() == [datetime.date(2026, 2, 28)]


def test_a_kind_that_no_cell_tells_stays_open() -> None:
    columns = tuple(replace(c, kind=None) if c.part == "feature" else c for c in SCHEMA.columns)
    schema = replace(SCHEMA, columns=columns)
    counts = numeric_counts(read_table(table("a,,x,3,0", "b,,y,4,0"), "", ANY), schema)
    assert infer_kinds(schema, counts) == {
        "lastmonth_activity": None,
        "lastyear_activity": "text",
        "number_of_employees": "number",
    }

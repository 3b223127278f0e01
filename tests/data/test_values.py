"""What people write into a cell is the value they mean, by the form of its column."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from risk.data.schema import Column, Schema
from risk.data.values import (
    DATE_FORMS,
    FORMS,
    NUMBER_FORMS,
    Raw,
    Rule,
    date_form,
    date_parser,
    number_form,
    number_parser,
    plain_cell,
)

# A sheet's moments have no zone; this is what one comes as.
MORNING = datetime.datetime.fromisoformat("2026-01-31T07:05:00")


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("1234.5", "1234.5", 1234.5),
        ("-0", "1234.5", 0.0),
        ("$1200", "1234.5", 1200),
        ("12%", "1234.5", 12),
        ("12 %", "1234.5", 12),
        ("(12.5)", "1234.5", -12.5),
        ("-$5", "1234.5", -5),
        ("CHF 12", "1234.5", 12),
        ("\u221212", "1234.5", -12),
        ("1,234.50", "1,234.5", 1234.5),
        ("$1,200", "1,234.5", 1200),
        ("(1,200)", "1,234.5", -1200),
        ("12,34,567.5", "1,234.5", 1234567.5),
        ("972.52", "1,234.5", 972.52),
        ("1.234,50", "1.234,5", 1234.5),
        ("1.234", "1.234,5", 1234),
        ("€ 1.234,50", "1.234,5", 1234.5),
        ("1.234,50-", "1.234,5", -1234.5),
        ("R$ 1.200,00", "1.234,5", 1200),
        ("1.234,-", "1.234,5", 1234),
        ("1.234,– €", "1.234,5", 1234),
        ("($1,200.50)", "1,234.5", -1200.5),
        ("USD 1,200.50", "1,234.5", 1200.5),
        ("12,5 %", "1.234,5", 12.5),
        ("972,52", "1.234,5", 972.52),
        ("12,5", "1234,5", 12.5),
        ("1 234,5", "1 234,5", 1234.5),
        ("1\u202f234,50 €", "1 234,5", 1234.5),
        ("1'234.50", "1'234.5", 1234.5),
        ("1’234.50 CHF", "1'234.5", 1234.5),
        (1234.5, "1.234,5", 1234.5),
        (7, "1.234,5", 7),
        *[(word, form, None) for word in ("", "NA", "n/a", "-", "#N/A") for form in NUMBER_FORMS],
        (None, "1234.5", None),
        (float("nan"), "1234.5", None),
    ],
)
def test_a_number_is_read_by_its_columns_form(text: Raw, form: str, value: float | None) -> None:
    assert number_parser(form)(text) == value


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1,234", "1234.5"),
        ("1 234", "1234.5"),
        ("12,5", "1,234.5"),
        ("1,23", "1,234.5"),
        ("12.5", "1.234,5"),
        ("1.234.5", "1.234,5"),
        ("1.234", "1234,5"),
        ("(12", "1234.5"),
        ("(-12)", "1234.5"),
        ("12 units", "1234.5"),
        ("1_000", "1234.5"),
        ("0x10", "1234.5"),
        ("inf", "1234.5"),
        # Patterns with many spaces to share out must not be tried on long texts.
        (f"({' ' * 50_000}x", "1234.5"),
        (f"1{' ' * 50_000}x", "1 234,5"),
        ("1e309", "1234.5"),
        (True, "1234.5"),
        (datetime.date(2026, 1, 31), "1234.5"),
    ],
)
def test_what_is_no_number_of_the_form_breaks_the_rule(text: Raw, form: str) -> None:
    with pytest.raises(Rule, match=r"not a number|not finite"):
        number_parser(form)(text)


@pytest.mark.parametrize(
    ("texts", "decimal", "form", "others"),
    [
        (["1.5", "2"], "", "1234.5", ()),
        (["39%", "7%"], "", "1234.5", ()),
        (["25,629.26", "972.52"], "", "1,234.5", ()),
        (["25.629,26", "972,52"], "", "1.234,5", ()),
        (["12,5", "3,75"], "", "1234,5", ()),
        (["1 234", "12,5"], "", "1 234,5", ()),
        (["1'234.50", "3"], "", "1'234.5", ()),
        (["1.234", "5.678"], "", "1234.5", ("1.234,5",)),
        (["1.234", "5.678"], ",", "1.234,5", ("1234.5",)),
        (["1,234", "5,678"], "", "1,234.5", ("1234,5",)),
        (["1,234", "5,678", "0,5"], "", "1234,5", ()),
        (["NA", "", "-", "3"], "", "1234.5", ()),
        (["1"] * 9 + ["many"], "", "1234.5", ()),
        (["1"] * 8 + ["many", "few"], "", "", ()),
        (["EMEA", "APAC"], "", "", ()),
        ([1.5, 2, None], ",", "1234.5", ()),
    ],
)
def test_the_form_of_numbers_is_found_and_doubt_is_told(
    texts: list[Raw], decimal: str, form: str, others: tuple[str, ...]
) -> None:
    found = number_form(texts, decimal)
    assert (found.form, found.others) == (form, others)


DATES = [
    ("2026-01-31", "yyyy-mm-dd", "2026-01-31"),
    ("20260131", "yyyy-mm-dd", "2026-01-31"),
    ("2026-02", "yyyy-mm-dd", "2026-02-28"),
    ("2026-01-31T07:00:00+01:00", "yyyy-mm-dd", "2026-01-31"),
    ("2026-01-31 00:00:00.0000000 +00:00", "yyyy-mm-dd", "2026-01-31"),
    ("2026/1/31", "yyyy/mm/dd", "2026-01-31"),
    ("31.01.2026", "dd.mm.yyyy", "2026-01-31"),
    ("31.1.26 14:03", "dd.mm.yyyy", "2026-01-31"),
    ("31/01/2026", "dd/mm/yyyy", "2026-01-31"),
    ("1/31/26 2:03 PM", "mm/dd/yyyy", "2026-01-31"),
    ("31-01-2026", "dd-mm-yyyy", "2026-01-31"),
    ("31-JAN-26", "dd mmm yyyy", "2026-01-31"),
    ("31. Januar 2026", "dd mmm yyyy", "2026-01-31"),
    ("31 de janeiro de 2026", "dd mmm yyyy", "2026-01-31"),
    ("Jan 31, 2026", "mmm dd, yyyy", "2026-01-31"),
    ("Jan-26", "mmm-yy", "2026-01-31"),
    ("févr. 2026", "mmm yyyy", "2026-02-28"),
    ("März 2026", "mmm yyyy", "2026-03-31"),
    ("2026Q1", "yyyy-qn", "2026-03-31"),
    ("Q4 2025", "yyyy-qn", "2025-12-31"),
    ("2026-W05", "yyyy-wnn", "2026-02-01"),
    ("01/2026", "mm/yyyy", "2026-01-31"),
    ("202601", "yyyymm", "2026-01-31"),
]


@pytest.mark.parametrize(("text", "form", "day"), DATES)
def test_a_date_is_read_by_its_columns_form_which_is_found(text: str, form: str, day: str) -> None:
    assert date_form([text, text]).form == form
    assert date_parser(form)(text) == day


def test_the_typed_dates_of_a_sheet_need_no_form_and_its_numbers_one() -> None:
    parse = date_parser("dd.mm.yyyy")
    assert parse(MORNING) == parse(datetime.date(2026, 1, 31))
    assert date_parser("excel")(46053.0) == date_parser("excel")("46053") == "2026-01-31"
    assert date_form(["46053"]).form == ""
    assert date_form([46053.0], serials=True).form == "excel"
    with pytest.raises(Rule, match="not a date"):
        parse(46053)


@pytest.mark.parametrize(
    ("texts", "form", "others"),
    [
        (["01/02/2026", "03/04/2026"], "dd/mm/yyyy", ("mm/dd/yyyy",)),
        (["01/02/2026", "13/04/2026"], "dd/mm/yyyy", ()),
        (["01/02/2026", "01/31/2026"], "mm/dd/yyyy", ()),
        (["01/01/2026", "02/02/2026"], "dd/mm/yyyy", ()),
        (["31.01.2026", "", "NA"], "dd.mm.yyyy", ()),
        (["31.01.2026", "soon"], "", ()),
    ],
)
def test_the_form_of_dates_fits_every_cell_and_doubt_is_told(
    texts: list[str], form: str, others: tuple[str, ...]
) -> None:
    found = date_form(texts)
    assert (found.form, found.others) == (form, others)


@pytest.mark.parametrize("form", DATE_FORMS)
@pytest.mark.parametrize("text", ["", "NA", "99.99.9999", "soon", "2026-13-45"])
def test_what_is_no_date_breaks_the_rule_in_every_form(text: str, form: str) -> None:
    with pytest.raises(Rule, match="empty date" if text in ("", "NA") else "not a date like"):
        date_parser(form)(text)


@pytest.mark.parametrize(
    ("text", "kind", "missing"),
    [
        ("", "text", True),
        ("NULL", "number", True),
        ("NULL", "text", True),
        ("NA", "number", True),
        ("NA", "target", True),
        ("NA", "id", True),
        ("NA", "text", False),
        ("None", "text", False),
        ("None", "date", True),
        ("—", "owner", True),
        ("0", "number", False),
    ],
)
def test_the_words_for_missing_depend_on_the_kind(text: str, kind: str, missing: bool) -> None:
    part = kind if kind in ("id", "target", "owner", "date") else "feature"
    column = Column("x", part, {"id": "text", "owner": "text"}.get(kind, kind))
    try:
        value = Schema((column,)).parser(column)(text)
    except Rule as rule:  # without an id or a date a row is none
        value = None
        assert str(rule) in ("empty id", "no id", "empty date")
    assert (value is None) is missing


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" a \t", "a"),
        ("called\r\nno answer", "called no answer"),
        (1000.0, "1000"),
        (1234.5, "1234.5"),
        (True, "true"),
        (None, ""),
        (float("nan"), ""),
        (datetime.datetime.fromisoformat("2026-01-31T00:00"), "2026-01-31"),
        (MORNING, "2026-01-31 07:05:00"),
    ],
)
def test_any_cell_has_one_text(raw: Raw, text: str) -> None:
    assert plain_cell(raw) == text


def test_the_docs_have_every_form() -> None:
    text = (ROOT / "docs" / "your-data.md").read_text()

    assert [form for form in FORMS if f"`{form}`" not in text] == []


def test_the_picture_of_a_sheet_is_the_scripts(tmp_path: Path) -> None:
    picture = tmp_path / "sheet.svg"
    script = ROOT / "examples/sheet_picture.py"
    subprocess.run([sys.executable, str(script), str(picture)], check=True)
    assert picture.read_bytes() == (ROOT / "docs/your-data.svg").read_bytes()

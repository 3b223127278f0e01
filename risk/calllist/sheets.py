"""The list for spreadsheets: a CSV as the company's own files are written, and a sheet."""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping
from typing import Any

from risk.calllist.types import CallList
from risk.data.state import Entry

WIDEST, NARROWEST = 60, 8  # characters of a column
SHEET_ROWS = 10_000  # 230,000 would take 17 s and a spreadsheet as long to open
PERCENT = ("risk",)
DATES = ("date",)
LONGEST_LINK = 2000  # Excel takes 2,079 characters
FIXED = datetime.datetime(2000, 1, 1)  # noqa: DTZ001  a sheet's times have no zone


def written_style(files: Mapping[str, Entry]) -> tuple[str, str]:
    """(delimiter, decimal sign) of the newest file that was accepted, comma and point without one.

    A semicolon or a comma: what else files have is not opened by a double click.
    """
    taken = [entry for entry in files.values() if entry["verdict"] == "accepted"]
    newest = max(taken, key=lambda entry: (entry["data_version"], entry["file"]), default=None)
    if newest and newest.get("decimal") == ",":
        return ";", ","
    return (";" if newest and newest.get("delimiter") == ";" else ","), "."


def csv_file(listing: CallList) -> bytes:
    """clients_at_risk.csv; without the mark at its start Excel takes it for a local code page."""
    return listing.to_csv(*listing.written).encode("utf-8-sig")


def sheet_file(listing: CallList) -> bytes:
    """clients_at_risk.xlsx: one sheet, its header frozen, percent and dates as such.

    Of more than SHEET_ROWS clients those to call and the first: the CSV has all of them.
    The same list gives the same bytes: the file says no time of its making.
    """
    import xlsxwriter

    columns = listing.spread()
    head = [name for name, _ in columns]
    places = [at for at, call in enumerate(listing.column("call")) if call or at < SHEET_ROWS]
    rows = [[cells[at] for _, cells in columns] for at in places]
    out = io.BytesIO()
    # A text that begins like a formula stays a text, and no text becomes a link by itself.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(out, options)
    book.set_properties({"created": FIXED})
    sheet = book.add_worksheet("Clients at risk")
    bold = book.add_format({"bold": True, "bottom": 1})
    forms = {
        "percent": book.add_format({"num_format": "0 %"}),
        "date": book.add_format({"num_format": "yyyy-mm-dd"}),
    }
    sheet.write_row(0, 0, [str(name).replace("_", " ") for name in head], bold)
    details = {head.index(name) for name in listing.details}
    for at, row in enumerate(rows, 1):
        for place, cell in enumerate(row):
            _write(sheet, at, place, str(head[place]), cell, forms, shown=place in details)
    for place, name in enumerate(head):
        widths = [len(str(row[place] or "")) for row in rows[:200]]
        wide = min(max([len(str(name)), NARROWEST, *widths]), WIDEST)
        sheet.set_column(place, place, 11 if name in (*PERCENT, *DATES) else wide + 1)
    sheet.freeze_panes(1, 3 if "name" in listing.shown else 2)
    sheet.autofilter(0, 0, max(len(rows), 1), len(head) - 1)
    book.close()
    return out.getvalue()


def _write(
    sheet: Any, row: int, place: int, name: str, cell: Any, forms: dict[str, Any], *, shown: bool
) -> None:
    """One cell as what it is; shown: it is of a column that passes through as its file had it."""
    if cell is None or cell == "":
        return
    if name in PERCENT:
        sheet.write_number(row, place, cell, forms["percent"])
    elif (name in DATES or shown) and (day := _day_of(cell)):
        sheet.write_datetime(row, place, day, forms["date"])
    elif isinstance(cell, (int, float)) and not isinstance(cell, bool):
        sheet.write_number(row, place, cell)
    elif shown and cell.startswith(("https://", "http://")) and len(cell) < LONGEST_LINK:
        sheet.write_url(row, place, cell)
    else:
        sheet.write_string(row, place, cell)


def _day_of(text: str) -> datetime.datetime | None:
    """The day that the text is; None for any other, digits without hyphens too."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007  a sheet has no zones
    except ValueError:
        return None

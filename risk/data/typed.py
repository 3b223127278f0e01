"""Files whose cells have types -> rows: .xlsx, Parquet and JSON lines, read by polars."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from risk.data.decoding import Refused, decode
from risk.data.values import Raw

if TYPE_CHECKING:
    import polars as pl

TypedRows = list[tuple[int, list[Raw]]]


def read_sheet(data: bytes, sheet: str, most_bytes: int) -> tuple[TypedRows, list[str]]:
    """(the rows of one sheet by their numbers in it, sentences for a person).

    sheet: its name, "" for the first.
    """
    import fastexcel

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            size = sum(part.file_size for part in packed.infolist())
    except zipfile.BadZipFile:
        raise Refused("this is a damaged spreadsheet or zip; save it as CSV") from None
    if size > most_bytes:
        raise Refused(f"unpacked it would take {size / 1e6:,.0f} MB; save it as CSV")
    try:
        book = fastexcel.read_excel(data)
        names = book.sheet_names
        if not names:
            raise Refused("the file has no sheet")
        if sheet and sheet not in names:
            raise Refused(f"there is no sheet {sheet!r}; it has {', '.join(names)[:200]}")
        chosen = sheet or names[0]
        rows = _cells(book, chosen)
    except fastexcel.FastExcelError as error:
        what = str(error).partition("\n")[0]
        raise Refused(f"it cannot be read as a spreadsheet ({what}); save it as CSV") from None
    others = [name for name in names if name != chosen]
    notes = [f"the sheet {chosen!r} was read, not {', '.join(others)[:200]}"] if others else []
    return rows, notes


def _cells(book: Any, sheet: str) -> TypedRows:
    """A cell is what it is read as: as text alone, or as a number, a date or true and false too."""

    def load(kind: str) -> pl.DataFrame:
        # As one kind each: left to itself the library makes a mixed column text.
        loaded = book.load_sheet(sheet, header_row=None, skip_rows=0, dtypes=kind)
        frame: pl.DataFrame = loaded.to_polars()
        return frame

    texts = load("string")
    numbers, moments, flags = load("float"), load("datetime"), load("boolean")
    columns: list[list[Raw]] = []
    for at in range(texts.width):
        parts = (frame[:, at].to_list() for frame in (texts, numbers, moments, flags))
        columns.append([_cell(*cell) for cell in zip(*parts, strict=True)])
    return [(number, list(row)) for number, row in enumerate(zip(*columns, strict=True), 1)]


def _cell(text: str | None, number: float | None, moment: Any, flag: bool | None) -> Raw:
    if text is None:
        return None
    # A text that looks like a number comes as one, but never as true or false.
    if flag is None:
        return moment if moment is not None and number is None else text
    return number if text not in ("true", "false") else flag


def read_parquet(data: bytes, most_bytes: int) -> tuple[list[str], TypedRows]:
    """(the columns' names, the rows from number 2 on, as if the names stood in row 1)."""
    names, frame = parquet_frame(data, most_bytes)
    rows = enumerate(frame.rows(), 2)
    return names, [(number, [plain_raw(cell) for cell in row]) for number, row in rows]


def parquet_frame(data: bytes, most_bytes: int) -> tuple[list[str], pl.DataFrame]:
    """(the columns' names, the table)."""
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - polars raises what its reader does
        what = str(error).partition("\n")[0]
        raise Refused(f"it cannot be read as Parquet ({what[:200]})") from None
    if frame.estimated_size() > most_bytes:
        raise Refused(f"unpacked it takes {frame.estimated_size() / 1e6:,.0f} MB; split it")
    return frame.columns, frame


def plain_raw(cell: Any) -> Raw:
    """What a cell of another system may hold, as one of ours."""
    import datetime
    from decimal import Decimal

    if cell is None or isinstance(cell, (str, bool, int, float, datetime.date)):
        return cell
    return float(cell) if isinstance(cell, Decimal) else str(cell)


def read_json_lines(data: bytes) -> tuple[list[str], TypedRows]:
    """(every name in order of its first line, the rows by line); a list of objects is one too."""
    text = decode(data, "utf-8").text
    rows: list[tuple[int, Any]] = []
    try:
        if text.lstrip().startswith("["):
            rows = list(enumerate(json.loads(text), 1))
        for number, line in enumerate(text.split("\n") if not rows else [], 1):
            if line.strip():
                rows.append((number, json.loads(line)))
    except (ValueError, RecursionError) as error:
        where = f"line {len(rows) + 1}" if rows else "its beginning"
        raise Refused(f"it is not JSON lines at {where} ({error})") from None
    if not all(isinstance(row, dict) for _, row in rows):
        raise Refused('every line must be one object like {"column": value}')
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    return names, [(number, [_json(row.get(n)) for n in names]) for number, row in rows]


def _json(cell: Any) -> Raw:
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, (list, dict)) else cell

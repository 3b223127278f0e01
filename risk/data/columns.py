"""A large file's bytes -> its rows by columns: what the row reader gives, at a tenth of the time.

The row reader (tables, reader, schema) stays the definition of a valid row. polars parts the lines
that are plain and turns the cells that are plain into values; what is not is left to the row
reader: a cell, a line, or the whole file. A test compares both on files made up at random.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, cast

from risk.config import Csv
from risk.data.asides import TOTAL_PART, TOTAL_WORDS, NotEnough, Rows, find_asides
from risk.data.columnvalues import ColumnTable, number_values, read_values
from risk.data.decoding import Decoded, Refused, decode
from risk.data.lines import DELIMITERS, Layout, dialect, find_layout, unwrap
from risk.data.reader import (
    Reading,
    find_places,
    numeric_counts,
    read_rows,
    rows_of,
    says_kind,
)
from risk.data.schema import Schema
from risk.data.tables import (
    MAX_COLUMNS,
    MOST_BYTES,
    TEXTS,
    file_kind,
    note_asides,
    read_table,
    unpack,
)
from risk.data.typed import parquet_frame, plain_raw
from risk.data.values import (
    Raw,
    is_numeric,
    plain_cell,
)

if TYPE_CHECKING:
    import polars as pl

LEAST_BYTES = 50_000  # below it polars would cost more than it saves
HEAD_LINES, FILLED_LINES = 2000, 1000  # by these the layout is found, as by the whole file
FIRST_ROWS, LAST_ROWS = 80, 300  # by these it is found what is no row of the table
LONGEST_CELL = 100_000  # csv refuses 131,072 characters


def read_columns(
    data: bytes,
    file: str,
    schema: Schema,
    style: Csv,
    *,
    limit: bool = True,
    outcomes: bool = False,
) -> Reading:
    """What read_rows() gives of the file, its values as series where that was possible."""
    table = column_table(data, file, style, schema)
    if table is None:
        return read_rows(data, file, schema, style, limit=limit, outcomes=outcomes)
    return rows_of(table, schema, limit=limit, outcomes=outcomes, read=read_values)


# ------------------------------------------------------------ lines and cells


def column_table(data: bytes, file: str, style: Csv, schema: Schema) -> ColumnTable | None:
    """The table in the bytes; None where the row reader has to look at the file."""
    if len(data) < LEAST_BYTES:
        return None
    try:
        if data.startswith(b"PAR1"):
            table = _typed_table(data, style)
        elif file_kind(file) in TEXTS:
            table = _parted_table(data, style, schema)
        else:
            return None
        return table and _without_asides(table)
    except (Refused, NotEnough):
        return None  # the row reader says why, or has all the rows to find out


def _parted_table(data: bytes, style: Csv, schema: Schema) -> ColumnTable | None:
    found = _decoded(data, style.encoding)
    layout = found and _layout(found[0].text, style, schema)
    if not found or not layout or layout.delimiter not in DELIMITERS:
        return None
    decoded, raw = found
    width, start = len(layout.names), layout.head + layout.height
    if not 2 <= width <= MAX_COLUMNS:
        return None
    body = _after_lines(raw, start)
    parted = _parted(body, layout.delimiter, width)
    if parted is None:
        return None
    cells, at, odd = parted
    table = ColumnTable(
        replace(style, delimiter=layout.delimiter, encoding=decoded.encoding),
        layout.names,
        [(start + 1 + number, row) for number, row in odd],
        layout.head + 1,
        cells=cells,
        numbers=at + (start + 1),
        notes=[decoded.note] if decoded.note else [],
        text=decoded.text,
    )
    return _without_empty(table) if cells.height > len(odd) else None


def _typed_table(data: bytes, style: Csv) -> ColumnTable | None:
    """The table in a Parquet file; None where a column is of a kind that is not read as it is."""
    import polars as pl

    names, frame = parquet_frame(data, MOST_BYTES)
    kinds = (pl.String, pl.Boolean, pl.Date, pl.Datetime)
    plain = all(
        kind.is_integer() or kind.is_float() or kind.base_type() in kinds for kind in frame.dtypes
    )
    if not plain or not 1 <= frame.width <= MAX_COLUMNS:
        return None
    cells = frame.rename({name: str(place) for place, name in enumerate(names)})
    numbers = pl.int_range(2, cells.height + 2, eager=True, dtype=pl.Int32)
    return ColumnTable(replace(style, delimiter=","), names, [], cells=cells, numbers=numbers)


def _decoded(data: bytes, encoding: str) -> tuple[Decoded, bytes] | None:
    """(the text, its bytes with plain line ends) where no line needs a second look."""
    if data.startswith(b"\x1f\x8b"):
        data = unpack(data, MOST_BYTES)
    decoded = decode(data, encoding)
    try:
        raw = decoded.text.encode()
    except UnicodeEncodeError:  # bytes that are no letters
        return None
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    # A lone carriage return, a rule between the lines, escaped quotes.
    if b"\n" not in raw or any(mark in raw for mark in (b"\r", b"\0", b"---", b'\\"')):
        return None
    return decoded, raw


def _layout(text: str, style: Csv, schema: Schema) -> Layout | None:
    """The layout of the first lines, which is that of the file; None where they may be too few."""
    end = -1
    for _ in range(HEAD_LINES):
        end = text.find("\n", end + 1)
        if end < 0:
            break
    lines = [line.rstrip("\r") for line in (text if end < 0 else text[:end]).split("\n")]
    filled = sum(bool(line.strip(" ,;\t|")) for line in lines)
    if (end >= 0 and filled < FILLED_LINES) or unwrap(lines) is not None:
        return None
    layout = find_layout(lines, style.delimiter, schema.names)
    # With a second delimiter, or lines above the header, there is something to say.
    return None if layout.head or layout.tie else layout


def _after_lines(raw: bytes, lines: int) -> bytes:
    """The bytes behind so many lines, with a line end at the end."""
    end = 0
    for _ in range(lines):
        end = raw.find(b"\n", end) + 1
    body = raw[end:]
    return body if body.endswith(b"\n") else body + b"\n"


_Parted = tuple["pl.DataFrame", "pl.Series", Rows]  # whole rows, their places, the other rows


def _parted(body: bytes, delimiter: str, width: int) -> _Parted | None:
    """The lines as cells; places count the lines of the body from 0."""
    import polars as pl

    quoted, rows = b'"' in body, body.count(b"\n")
    lines = pl.Series(body.decode().split("\n")[:-1], dtype=pl.String) if quoted else None
    if lines is not None and not lines.str.contains(_quoted_line(delimiter)).all():
        return None  # a cell over several lines, or a lost quote
    cells = _split(body, delimiter, width, quoted=quoted)
    # No row has more cells, or polars says so, and none fewer: by the sum of the delimiters.
    marks = body.count(delimiter.encode())
    if cells is not None and cells.height == rows:
        inside = _inside(cells, delimiter) if quoted else 0
        if marks - inside == (width - 1) * rows:
            return cells, pl.int_range(rows, eager=True, dtype=pl.Int32), []
    if lines is None:
        lines = pl.Series(body.decode().split("\n")[:-1], dtype=pl.String)
    bare = lines.str.replace_all('"(?:[^"]|"")*"', "") if quoted else lines
    good = bare.str.count_matches(delimiter, literal=True) == width - 1
    cells = _split(("\n".join(lines.filter(good)) + "\n").encode(), delimiter, width, quoted=quoted)
    if cells is None or cells.height != good.sum():
        return None
    at = pl.int_range(lines.len(), eager=True, dtype=pl.Int32)
    odd = at.filter(~good)
    read = csv.reader(lines.filter(~good).to_list(), dialect(delimiter))
    try:
        others = cast(Rows, list(zip(odd.to_list(), read, strict=True)))
    except csv.Error:
        return None
    return cells, at.filter(good), [row for row in others if any(row[1])]


def _quoted_line(delimiter: str) -> str:
    mark = re.escape(delimiter)
    cell = rf'(?:[^"{mark}]*|"(?:[^"]|"")*")'
    return rf"^{cell}(?:{mark}{cell})*$"


def _inside(cells: pl.DataFrame, delimiter: str) -> int:
    """How many delimiters stand in quoted cells."""
    import polars as pl

    counts = cells.select(pl.all().str.count_matches(delimiter, literal=True).sum())
    return sum(counts.row(0))


def _split(body: bytes, delimiter: str, width: int, *, quoted: bool) -> pl.DataFrame | None:
    """The cells of lines of this width as texts; None where polars finds any other."""
    import polars as pl

    try:
        cells = pl.read_csv(
            body,
            has_header=False,
            separator=delimiter,
            quote_char='"' if quoted else None,
            schema={str(place): pl.String for place in range(width)},
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError:
        return None
    longest = cells.select(pl.max_horizontal(pl.all().str.len_bytes().max())).item()
    return None if (longest or 0) > LONGEST_CELL else cells


def _without_empty(table: ColumnTable) -> ColumnTable:
    """Without the rows whose cells are all empty."""
    import polars as pl

    bare = (_bare(table.cells["0"]) == "").arg_true()
    if not bare.len():
        return table
    blank = pl.all_horizontal(pl.all().str.strip_chars_start(" ") == "")
    empty = bare.filter(table.cells[bare].select(blank).to_series())
    return _without(table, empty)


def _without(table: ColumnTable, places: pl.Series) -> ColumnTable:
    import polars as pl

    if places.len():
        at = pl.int_range(table.cells.height, eager=True, dtype=pl.UInt32)
        keep = ~at.is_in(places.cast(pl.UInt32).implode())
        table.cells, table.numbers = table.cells.filter(keep), table.numbers.filter(keep)
    return table


def _without_asides(table: ColumnTable) -> ColumnTable | None:
    """Without what is no row of the table; None where most rows are of another width."""
    height = table.cells.height
    some = {*range(min(FIRST_ROWS, height)), *range(max(0, height - LAST_ROWS), height)}
    some |= set(_may_be_aside(table))
    places = sorted(some)
    numbers = table.numbers.gather(places).to_list()
    excerpt: Rows = [
        (n, list(row)) for n, row in zip(numbers, _plain_rows(table, places), strict=True)
    ]
    excerpt = sorted([*excerpt, *table.rows], key=lambda row: row[0])
    found = {
        excerpt[at][0]: rule for at, rule in find_asides(table.names, excerpt, excerpt=True).items()
    }
    if found:
        note_asides(table, found)
        table.rows = [row for row in table.rows if row[0] not in found]
        table = _without(table, table.numbers.is_in(list(found)).arg_true())
    return table


def _plain_rows(table: ColumnTable, places: list[int]) -> Iterator[list[Raw]]:
    """The cells of these rows as csv has them: without spaces at their beginning."""
    import polars as pl

    rows = table.cells[places]
    if table.text:
        rows = rows.select(pl.all().str.strip_chars_start(" "))
    return ([plain_raw(cell) for cell in row] for row in rows.rows())


def _may_be_aside(table: ColumnTable) -> list[int]:
    """Places of rows amidst the table that may be a header again, or a total."""
    import polars as pl

    found = []
    for place in range(min(3, len(table.names))):
        cells = table.cells[str(place)]
        if cells.dtype != pl.String:
            continue
        words = _bare(cells) if table.text else cells
        if place == 0:
            found.append((words == table.names[0]).arg_true())
        if cells.cast(pl.Int64, strict=False).null_count():  # no word stands among whole numbers
            found.append(words.is_in(sorted(TOTAL_WORDS)).arg_true())
            found.append(words.str.contains(TOTAL_PART.pattern).arg_true())
    return list(chain.from_iterable(places.to_list() for places in found))


def _bare(cells: pl.Series) -> pl.Series:
    """The cells without spaces at their beginning, as csv gives them."""
    # Nearly no file has one: to look costs a tenth of the stripping.
    return cells.str.strip_chars_start(" ") if cells.str.starts_with(" ").any() else cells


def numeric_counts_of(
    data: bytes, file: str, schema: Schema, style: Csv
) -> dict[str, tuple[int, int]]:
    """(filled, numeric) cells of each feature whose kind is open and that the file has."""
    table = column_table(data, file, style, schema)
    if table is None:
        return numeric_counts(read_table(data, file, style, schema.names), schema)
    counts, places = {}, find_places(table.names, schema.names)
    for column in schema.features:
        if column.kind is None and column.name in places:
            cells, form = table.cells[str(places[column.name])], schema.number_form(column)
            values, doubt = number_values(cells, form, -math.inf)
            sure = values.len() - values.null_count()
            doubtful = cells.filter(doubt)
            raws = _bare(doubtful) if table.text else map(plain_raw, doubtful)
            filled = [cell for cell in raws if says_kind(plain_cell(cell))]
            numeric = sum(is_numeric(cell, form) for cell in filled)
            counts[column.name] = sure + len(filled), sure + numeric
    return counts

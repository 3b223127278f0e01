"""A large file's bytes -> its rows by columns: what the row reader gives, at a tenth of the time.

The row reader (tables, reader, schema) stays the definition of a valid row. polars parts the lines
that are plain and turns the cells that are plain into values; what is not is left to the row
reader: a cell, a line, or the whole file. A test compares both on files made up at random.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, cast

from risk.config import Csv
from risk.data.asides import TOTAL_PART, TOTAL_WORDS, NotEnough, Rows, find_asides
from risk.data.decoding import Decoded, Refused, decode
from risk.data.frames import frame_types
from risk.data.lines import DELIMITERS, Layout, dialect, find_layout, unwrap
from risk.data.plausibility import wrong_dates
from risk.data.reader import (
    Fault,
    Reading,
    fault_error,
    find_places,
    numeric_counts,
    read_rows,
    rows_of,
    says_kind,
    width_fault,
)
from risk.data.schema import DATE, NUMBER, TARGET, Cell, Column, Schema
from risk.data.tables import (
    MAX_COLUMNS,
    MOST_BYTES,
    TEXTS,
    Table,
    file_kind,
    note_asides,
    read_table,
    unpack,
)
from risk.data.values import (
    ISO_DAY,
    LONGEST,
    MISSING,
    MISSING_TEXT,
    NUMBER_FORMS,
    Raw,
    Rule,
    is_numeric,
    number_pattern,
    plain_cell,
)

if TYPE_CHECKING:
    import polars as pl

LEAST_BYTES = 50_000  # below it polars would cost more than it saves
HEAD_LINES, FILLED_LINES = 2000, 1000  # by these the layout is found, as by the whole file
FIRST_ROWS, LAST_ROWS = 80, 300  # by these it is found what is no row of the table
LONGEST_CELL = 100_000  # csv refuses 131,072 characters
# As _parse_text has them: what is left of a control character after the spaces are stripped.
CONTROL = r"[\x00-\x1f\x7f\u{85}\u{2028}\u{2029}]"


@dataclass
class ColumnTable(Table):
    """A table whose whole rows are columns of texts; `rows` has those of another width alone.

    cells: the columns "0", "1", ...; numbers: the rows' line numbers; text: all of the file.
    """

    cells: pl.DataFrame = field(kw_only=True)
    numbers: pl.Series = field(kw_only=True)
    text: str = field(kw_only=True)

    @property
    def height(self) -> int:
        return len(self.rows) + self.cells.height

    @cached_property
    def _lines(self) -> list[str]:
        return [line.rstrip("\r") for line in self.text.split("\n")]

    def raw(self, number: int) -> str:
        return self._lines[number - 1]


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
    return rows_of(table, schema, limit=limit, outcomes=outcomes, read=_read_values)


# ------------------------------------------------------------ lines and cells


def column_table(data: bytes, file: str, style: Csv, schema: Schema) -> ColumnTable | None:
    """The table in the bytes; None where the row reader has to look at the file."""
    if len(data) < LEAST_BYTES or file_kind(file) not in TEXTS:
        return None
    try:
        table = _parted_table(data, style, schema)
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

    rows = table.cells[places].select(pl.all().str.strip_chars_start(" "))
    return (list(row) for row in rows.rows())


def _may_be_aside(table: ColumnTable) -> list[int]:
    """Places of rows amidst the table that may be a header again, or a total."""
    import polars as pl

    found = [(_bare(table.cells["0"]) == table.names[0]).arg_true()]
    for place in range(min(3, len(table.names))):
        cells = table.cells[str(place)]
        if cells.cast(pl.Int64, strict=False).null_count():  # no word stands among whole numbers
            words = _bare(cells)
            found.append(words.is_in(sorted(TOTAL_WORDS)).arg_true())
            found.append(words.str.contains(TOTAL_PART.pattern).arg_true())
    return list(chain.from_iterable(places.to_list() for places in found))


def _bare(cells: pl.Series) -> pl.Series:
    """The cells without spaces at their beginning, as csv gives them."""
    # Nearly no file has one: to look costs a tenth of the stripping.
    return cells.str.strip_chars_start(" ") if cells.str.starts_with(" ").any() else cells


# ------------------------------------------------------------ values


def _read_values(table: Table, places: dict[str, int], schema: Schema, reading: Reading) -> None:
    """Every whole row's values by column; a row that breaks a rule is an error."""
    import polars as pl

    assert isinstance(table, ColumnTable)
    width = len(table.names)
    for number, row in table.rows:
        reading.errors.append(fault_error(table, number, width_fault(row, width)))
    faults: dict[int, Fault] = {}
    types, height = frame_types(schema), table.cells.height
    values: dict[str, pl.Series] = {}
    for column in schema.columns:
        if column.name in places:
            cells = table.cells[str(places[column.name])]
            values[column.name] = _values(cells, column, schema, types[column.name], faults)
        else:
            values[column.name] = pl.repeat(None, height, dtype=types[column.name], eager=True)
    numbers = table.numbers
    reading.errors += [fault_error(table, numbers[at], fault) for at, fault in faults.items()]
    reading.errors.sort(key=lambda error: error.line)
    if faults:
        keep = ~pl.int_range(height, eager=True).is_in(list(faults))
        numbers = numbers.filter(keep)
        values = {name: cells.filter(keep) for name, cells in values.items()}
    reading.lines, reading.values = numbers, dict(values)


def _values(
    cells: pl.Series,
    column: Column,
    schema: Schema,
    kind: type[pl.DataType],
    faults: dict[int, Fault],
) -> pl.Series:
    """The column's values; cells that need a closer look by the parser, each different one once."""
    import polars as pl

    if column.kind in (DATE, TARGET):
        values = pl.repeat(None, cells.len(), dtype=kind, eager=True)
        doubt = pl.repeat(True, cells.len(), eager=True)
    elif column.kind in (NUMBER, None):
        low = 0.0 if column.non_negative else -math.inf
        values, doubt = _plain_numbers(cells, schema.number_form(column), low)
    else:
        values, doubt = _texts(cells, is_id=column.part == "id")
    at = doubt.arg_true()
    if at.len():
        parsed, wrong = _parse_each(cells.gather(at), schema.parser(column), kind)
        values = parsed if at.len() == cells.len() else values.scatter(at, parsed)
        for place in wrong.arg_true().to_list():
            cell = cells[int(at[place])]
            faults.setdefault(
                int(at[place]), (column.name, _rule(cell, schema.parser(column)), plain_cell(cell))
            )
    if column.kind == DATE:
        counts = Counter(dict(values.drop_nulls().value_counts().iter_rows()))
        wrong_days = wrong_dates(counts, column.form or ISO_DAY)
        for place in values.is_in(list(wrong_days)).arg_true() if wrong_days else ():
            faults.setdefault(
                place, (column.name, wrong_days[values[place]], plain_cell(cells[place]))
            )
    return values


def _rule(cell: Raw, parse: Callable[[Raw], Cell]) -> str:
    try:
        parse(cell)
    except Rule as rule:
        return str(rule)
    raise AssertionError(f"{cell!r} breaks no rule")


def _parse_each(
    cells: pl.Series, parse: Callable[[Raw], Cell], kind: type[pl.DataType]
) -> tuple[pl.Series, pl.Series]:
    """(the values by the parser, None where it raises; where it raises)."""
    import polars as pl

    different = cells.unique()
    values: list[Cell] = []
    wrong: list[bool] = []
    for cell in different.to_list():
        try:
            values.append(parse(cell))
            wrong.append(False)
        except Rule:
            values.append(None)
            wrong.append(True)
    value = cells.replace_strict(different, pl.Series(values, dtype=kind), return_dtype=kind)
    if not any(wrong):
        return value, pl.repeat(False, cells.len(), eager=True)
    return value, cells.is_in(different.filter(pl.Series(wrong)).implode())


def _texts(cells: pl.Series, *, is_id: bool) -> tuple[pl.Series, pl.Series]:
    """(the texts, which cells are for the parser)."""
    import polars as pl

    texts = cells.str.strip_chars()
    missing = texts.is_in(sorted(MISSING if is_id else MISSING_TEXT))
    doubt = texts.str.contains(CONTROL)
    if is_id:
        return texts, doubt | missing
    return texts.to_frame("0").select(pl.when(~missing).then("0")).to_series(), doubt


def _plain_numbers(cells: pl.Series, form: str, low: float) -> tuple[pl.Series, pl.Series]:
    """(the numbers, which cells are for the parser): whole ones first, then those of the form."""
    import polars as pl

    whole = cells.cast(pl.Int64, strict=False)
    values, other = whole.cast(pl.Float64), whole.is_null() & (cells != "")
    if other.any():
        at = other.arg_true()
        values = values.scatter(at, _decimals(cells.gather(at), form))
        other = values.is_null() & (cells != "")
    if low > -math.inf:
        other |= (values < low).fill_null(False)
    return values, other


def _decimals(cells: pl.Series, form: str) -> pl.Series:
    """The numbers of this form, with a currency or % beside them; None for any other cell."""
    import polars as pl

    group, decimal = NUMBER_FORMS[form]
    pattern = rf"^([+-]?) *[$€£]? *({number_pattern(*NUMBER_FORMS[form])}) *[$€£%]?$"
    text = pl.col("0").str.strip_chars()
    body = text.str.extract(pattern, 2)
    body = body.str.replace_all(group, "", literal=True) if group else body
    found = pl.concat_str(
        text.str.extract(pattern, 1), body.str.replace(decimal, ".", literal=True)
    )
    value = found.cast(pl.Float64, strict=False)
    usable = (text.str.len_chars() <= LONGEST) & value.is_finite()
    # -0 and 0 are one value: they must be one duplicate.
    return (
        cells.alias("0")
        .to_frame()
        .select(pl.when(usable & (value == 0)).then(0.0).when(usable).then(value))
        .to_series()
    )


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
            values, doubt = _plain_numbers(cells, form, -math.inf)
            sure = values.len() - values.null_count()
            filled = [cell for cell in _bare(cells.filter(doubt)) if says_kind(plain_cell(cell))]
            numeric = sum(is_numeric(cell, form) for cell in filled)
            counts[column.name] = sure + len(filled), sure + numeric
    return counts

"""Files -> rows or quarantine. The line reader here is the definition of a valid row."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from risk.config import Csv
from risk.data.schema import UNPRINTABLE, Cell, Column, Schema, printable, usual_form
from risk.data.values import Raw, Rule, is_numeric

MAX_BAD_SHARE, MAX_BAD_ROWS = 0.10, 10
MAX_COLUMNS = 10_000
DELIMITERS = ";\t|,"
UTF8_MARK = b"\xef\xbb\xbf"
SIGNATURES = {
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"PK\x03\x04": "a zip or a spreadsheet; save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet; save it as CSV",
    **{bytes([0x80, protocol]): "a pickle; save it as CSV" for protocol in (2, 3, 4, 5)},
    b"PAR1": "Parquet; save it as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
    b"%PDF": "a PDF; save the table as CSV",
}


@dataclass(frozen=True)
class RowError:
    """Why one row is set aside; its line counts the header as line 1, raw is the whole line."""

    line: int
    column: str
    rule: str
    value: str
    raw: str


@dataclass
class Reading:
    """One file as read: `rows` data lines = accepted + errors; `refused` says why none counts.

    ignored: header names that no part of the config asks for; absent: columns that may be missing
    and are.
    """

    rows: int = 0
    lines: list[int] = field(default_factory=list)
    values: dict[str, list[Cell]] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    refused: str = ""

    @property
    def accepted(self) -> int:
        return 0 if self.refused else len(self.lines)

    @property
    def first_error(self) -> str:
        """`line 7 (orders: not a number)`, for the first of the rows that are set aside."""
        error = self.errors[0]
        return f"line {error.line} ({': '.join(filter(None, [error.column, error.rule]))})"


class Refused(Exception):
    """The file as a whole cannot be understood; the text says why and what to do."""


def read_rows(
    data: bytes,
    schema: Schema,
    style: Csv,
    needed: frozenset[str] = frozenset({"id"}),
    limit: bool = True,
) -> Reading:
    """Every line of the file as a valid row or an error.

    needed: the parts that must be there besides the features and a date ("id", "target").
    limit: refuse the file when more than 10 % and at least 10 of its rows are bad.
    """
    reading = Reading()
    try:
        lines = text_lines(data, style)
        # For a refusal before any line is split; otherwise counted anew.
        reading.rows = max(0, sum(map(bool, lines)) - 1)
        header = _parse_header(lines, schema, style, needed)
        reading.ignored = [name for name in header.names if name not in schema.names]
        reading.absent = [name for name in schema.names if name not in header.places]
        _read_lines(lines, header, schema, style, reading)
        bad = len(reading.errors)
        # Ten at least: one bad row of three must not refuse a small file.
        if limit and bad >= MAX_BAD_ROWS and bad > MAX_BAD_SHARE * reading.rows:
            raise Refused(
                f"{bad} of {reading.rows} rows are bad, the first on {reading.first_error}"
            )
    except Refused as refusal:
        reading.refused = printable(str(refusal))
        reading.lines, reading.values = [], {}
    return reading


def text_lines(data: bytes, style: Csv) -> list[str]:
    """The file's lines without their ends; undecodable bytes stay marked for their row's error."""
    for signature, what in SIGNATURES.items():
        if data.startswith(signature):
            raise Refused(f"this is {what}")
    text = data.removeprefix(UTF8_MARK).decode(style.encoding, "surrogateescape")
    if "\n" not in text and "\r" in text:
        raise Refused("lines end in a lone carriage return; save the file with ordinary line ends")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


@dataclass(frozen=True)
class Header:
    """The file's column names, where each kept column stands, and the header's line (from 0)."""

    names: list[str]
    places: dict[str, int]
    line: int


def header_names(lines: list[str], style: Csv) -> tuple[int, list[str]]:
    """(where the first line that is not blank stands, the names in it)."""
    at = next((number for number, line in enumerate(lines) if line.strip()), None)
    if at is None:
        raise Refused("the file is empty")
    try:
        return at, [name.strip() for name in next(csv.reader([lines[at]], dialect(style)))]
    except csv.Error as error:
        raise Refused(f"the header on line {at + 1} cannot be split: {error}") from None


def _parse_header(lines: list[str], schema: Schema, style: Csv, needed: frozenset[str]) -> Header:
    """The header, if it names every column that is needed; Refused with a hint if not."""
    at, names = header_names(lines, style)
    if len(names) > MAX_COLUMNS:
        raise Refused(f"the header has {len(names)} columns, more than {MAX_COLUMNS}")
    repeated = sorted({name for name in schema.names if names.count(name) > 1})
    if repeated:
        raise Refused(f"the header names {repeated[0]!r} twice")
    for column in schema.columns:
        if column.name not in names:
            _check_absent(column, names, schema, needed)
    places = {name: names.index(name) for name in schema.names if name in names}
    return Header(names, places, at)


def _check_absent(column: Column, names: list[str], schema: Schema, needed: frozenset[str]) -> None:
    """Refuse a header without this column, unless it may be absent and no name is near it."""
    near = nearest(column.name, [name for name in names if name not in schema.names])
    hint = f"; is {near!r} meant? rename it, or name it in config.json" if near else ""
    if column.part in needed or column.part in ("feature", "date"):
        # A header that is one name may be one that another delimiter would split.
        other = next((d for d in DELIMITERS if d in names[0]), None) if len(names) == 1 else None
        if other:
            hint = f'; set "csv": {{"delimiter": {json.dumps(other)}}} in config.json'
        shown = ", ".join(names)[:200]
        raise Refused(f"the column {column.name!r} is missing (the header reads: {shown}){hint}")
    if column.part != "id" and near:
        raise Refused(f"the column {column.name!r} is missing{hint}")


def nearest(name: str, names: list[str]) -> str | None:
    """The header's name that most likely means this one: `Exited`, `exited_flag`, `exted`."""
    # Backwards, so that of names that read alike the first one stays.
    plain = {plain_text(other): other for other in reversed(names) if plain_text(other)}
    if plain_text(name) in plain:
        return plain[plain_text(name)]
    near = difflib.get_close_matches(plain_text(name), plain, n=1, cutoff=0.75)
    return plain[near[0]] if near else None


def plain_text(name: str) -> str:
    """The letters and digits alone, in small letters."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def dialect(style: Csv) -> type[csv.Dialect]:
    """How one line is split into cells: a quote that is not closed is an error, never a guess."""

    class Strict(csv.excel):
        delimiter = style.delimiter
        strict = True

    return Strict


def records(lines: list[str], start: int, style: Csv) -> Iterator[tuple[int, list[str] | str]]:
    """(line number, cells) for each line that is not empty; a text says why it cannot be split.

    A line is a record: a quote that stays open would swallow good rows behind it, so that the file
    is refused.
    """
    reader = csv.reader(iter(lines[start:]), dialect(style))
    number = start
    while True:
        before = reader.line_num
        try:
            cells: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = _why(str(error))
        # csv reads on where a quote is open: then it has taken more than the one line.
        if reader.line_num - before != 1 or cells == _OPEN:
            raise Refused(
                f"a quote opened on line {number + 1} is not closed on that line "
                "(a cell with a line break, or a lost quote)"
            )
        number += 1
        if cells != []:
            yield number, cells


_OPEN = "a quote that is not closed"


def _why(error: str) -> str:
    """csv's message in the words of a rule."""
    if "unexpected end of data" in error:
        return _OPEN
    if "field larger than" in error:
        return "a cell of over 100,000 characters"
    return "a lone carriage return" if "new-line character" in error else "a stray quote"


Parsers = list[tuple[str, int, Callable[[Raw], Cell]]]


def _read_lines(
    lines: list[str], header: Header, schema: Schema, style: Csv, reading: Reading
) -> None:
    kept = [column for column in schema.columns if column.name in header.places]
    parsers: Parsers = [(c.name, header.places[c.name], schema.parser(c)) for c in kept]
    width, rows = len(header.names), []
    for number, cells in records(lines, header.line + 1, style):
        row = _parsed(cells, parsers, width)
        if isinstance(row, list):
            rows.append(row)
            reading.lines.append(number)
        else:
            column, rule, value = row
            raw = lines[number - 1]  # cut: a cell may have 100,000 characters
            reading.errors.append(RowError(number, column, rule, value[:200], raw[:2000]))
    columns = zip(*rows, strict=True) if rows else [[] for _ in kept]
    reading.rows = len(reading.lines) + len(reading.errors)
    reading.values = {c.name: list(v) for c, v in zip(kept, columns, strict=True)}
    for name in reading.absent:
        reading.values[name] = [None] * len(rows)


def _parsed(
    cells: list[str] | str, parsers: Parsers, width: int
) -> list[Cell] | tuple[str, str, str]:
    """The row's values; or where it breaks a rule, (the column, the rule, what stands there)."""
    if isinstance(cells, str):
        return "", cells, ""
    if len(cells) != width:
        return "", f"{len(cells)} cells where the header has {width}", ""
    values: list[Cell] = []
    for name, place, parse in parsers:
        text = cells[place].strip(" \t")
        try:
            values.append(parse(text))
        except Rule as rule:
            return name, str(rule), text
    return values


def numeric_counts(data: bytes, schema: Schema, style: Csv) -> dict[str, tuple[int, int]]:
    """(filled, numeric) cells of each feature whose kind is open; {} for a file that is refused."""
    wanted = [column for column in schema.features if column.kind is None]
    try:
        lines = text_lines(data, style)
        header = _parse_header(lines, schema, style, frozenset({"id"}))
        counts = {column.name: (0, 0) for column in wanted}
        for _, cells in records(lines, header.line + 1, style):
            if isinstance(cells, str) or len(cells) != len(header.names):
                continue
            for name, (filled, numeric) in counts.items():
                text = cells[header.places[name]].strip(" \t")
                if text and not UNPRINTABLE.search(text):
                    counts[name] = filled + 1, numeric + is_numeric(text, usual_form(style.decimal))
    except Refused:
        return {}
    return counts

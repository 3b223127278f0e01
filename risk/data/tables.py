"""A file's bytes and name -> a table: the one reader for every door into the product."""

from __future__ import annotations

import csv
import io
import zlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePath

from risk.config import Csv
from risk.data.asides import RowError, Rows, find_asides
from risk.data.decoding import Refused, decode
from risk.data.lines import find_layout, fold, plain_quotes, split_records, text_lines, unwrap
from risk.data.typed import TypedRows, read_json_lines, read_parquet, read_sheet
from risk.data.values import Raw, is_numeric, plain_cell

__all__ = [
    "Raw",
    "Refused",
    "RowError",
    "Table",
    "file_kind",
    "is_readable",
    "read_table",
    "unpack",
]

TEXTS = (".csv", ".tsv", ".txt", ".tab")
SUFFIXES = (*TEXTS, ".xlsx", ".xlsm", ".parquet", ".jsonl", ".ndjson")
MOST_BYTES = 2_000_000_000  # unpacked
MAX_COLUMNS = 10_000
ANY = Csv("", "", ".", "")  # nothing said: found in each file


def is_readable(name: str) -> bool:
    """Whether files named so are read, packed by gzip or not."""
    return file_kind(name) in SUFFIXES


def file_kind(name: str) -> str:
    """The suffix that says what the file is: .csv for clients.CSV.gz."""
    return PurePath(name.lower().removesuffix(".gz")).suffix


@dataclass
class Table:
    """A file as it was written: its columns, and its rows by line (or row of the sheet).

    style: how this file is written, as far as was found. rows: (number, cells); a text in place of
    the cells says why the line cannot be split. A row of another width than the header's is there
    too. aside: what is no row of the table, such as totals. notes: sentences for a person.
    header: the number of the header's line.
    """

    style: Csv
    names: list[str]
    rows: Rows
    header: int = 1
    aside: list[RowError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lines: list[str] | None = None
    ends: dict[int, int] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def raw(self, number: int) -> str:
        """The line as it stood in the file; a row of cells as a line of CSV."""
        if self.lines is not None:
            return "\n".join(self.lines[number - 1 : self.ends.get(number, number)])
        if number == self.header:
            return csv_line(list(self.names), self.style.delimiter)
        return csv_line(self._cells[number], self.style.delimiter)

    @cached_property
    def _cells(self) -> dict[int, list[Raw]]:
        """The rows by number, of a file without lines: such have cells."""
        return {number: cells for number, cells in self.rows if isinstance(cells, list)}

    def column(self, name: str) -> list[Raw]:
        """The cells of one column, of the whole rows."""
        place, width = self.names.index(name), len(self.names)
        return [
            cells[place]
            for _, cells in self.rows
            if isinstance(cells, list) and len(cells) == width
        ]


def csv_line(cells: list[Raw], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="").writerow(map(plain_cell, cells))
    return out.getvalue()


def read_table(
    data: bytes,
    file: str,
    style: Csv,
    known: Collection[str] = (),
    most_bytes: int = MOST_BYTES,
) -> Table:
    """The table in the bytes; Refused where they hold none.

    file: its name, for the suffix. style: what config.json says of files, "" for what is found in
    each. known: columns that it should have, by which delimiter and header are found.
    """
    if data.startswith(b"\x1f\x8b"):
        data = unpack(data, most_bytes)
    if data.startswith(b"PK\x03\x04"):
        rows, notes = read_sheet(data, style.sheet, most_bytes)
        table = _table_of_sheet(rows, style, known)
        table.notes = notes + table.notes
    elif data.startswith(b"PAR1") or file_kind(file) in (".jsonl", ".ndjson"):
        packed = data.startswith(b"PAR1")
        names, rows = read_parquet(data, most_bytes) if packed else read_json_lines(data)
        table = Table(replace(style, delimiter=","), names, list(rows), header=int(packed))
    else:
        table = _table_of_text(data, style, known)
    if len(table.names) > MAX_COLUMNS:
        raise Refused(f"the header has {len(table.names)} columns, more than {MAX_COLUMNS}")
    _fit_width(table)
    _set_aside(table)
    return table


def unpack(data: bytes, most_bytes: int) -> bytes:
    """What gzip packed, every part of it."""
    found, rest = b"", data
    try:
        while rest.startswith(b"\x1f\x8b"):
            part = zlib.decompressobj(wbits=31)
            found += part.decompress(rest, most_bytes - len(found) + 1)
            if len(found) > most_bytes:
                raise Refused(f"unpacked it would take over {most_bytes / 1e6:,.0f} MB; split it")
            if not part.eof:
                raise Refused("it is cut off: gzip's end is missing; copy it again")
            rest = part.unused_data
    except zlib.error as error:
        raise Refused(f"it cannot be unpacked by gzip ({error}); copy it again") from None
    return found


def _table_of_text(data: bytes, style: Csv, known: Collection[str]) -> Table:
    decoded = decode(data, style.encoding)
    lines = text_lines(decoded.text)
    notes = [decoded.note] if decoded.note else []
    lines_read = plain_quotes(lines) if '\\"' in decoded.text else lines
    bare = unwrap(lines_read)
    if bare is not None:
        notes.append("each line stands in quotes as a whole; they were taken off")
    plain = bare or lines_read
    layout = find_layout(plain, style.delimiter, known)
    if layout.tie:
        notes.append(f"the cells are parted by {layout.delimiter!r}; {layout.tie!r} fits as well")
    start = layout.head + layout.height
    above = sum(bool(line.strip(" ,;\t")) for line in plain[: layout.head])
    if above and not (above == 1 and plain[0].lower().lstrip('"').startswith("sep=")):
        notes.append(f"the header stands on line {layout.head + 1}; what is above it is left out")
    text = decoded.text
    simple = '"' not in text and ("\r" not in text or not any("\r" in line for line in lines))
    width = len(layout.names)
    rows, ends = split_records(plain, start, layout.delimiter, width, plain=simple)
    found = replace(style, delimiter=layout.delimiter, encoding=decoded.encoding)
    cells: Rows = list(rows)
    head = layout.head + 1
    ends |= {head: start} if layout.height > 1 else {}
    return Table(found, layout.names, cells, head, notes=notes, lines=lines, ends=ends)


def _table_of_sheet(rows: TypedRows, style: Csv, known: Collection[str]) -> Table:
    """The header is the row that names most of the known columns, else the first that is full."""
    filled = [(number, cells) for number, cells in rows if any(c not in (None, "") for c in cells)]
    if not filled:
        raise Refused("the sheet is empty")
    wanted, widest = {fold(name) for name in known}, max(len(cells) for _, cells in filled)
    hits = [len(wanted & {fold(plain_cell(c)) for c in cells}) for _, cells in filled[:30]]
    full = [
        at
        for at, (_, cells) in enumerate(filled[:30])
        if sum(c not in (None, "") for c in cells) >= 0.6 * widest
        and not any(is_numeric(c) for c in cells if c is not None)
    ]
    at = hits.index(max(hits)) if max(hits) else next(iter(full), 0)
    number, cells = filled[at]
    names = [" ".join(plain_cell(cell).split()) for cell in cells]
    notes = [f"the header stands in row {number}; what is above it is left out"] if at else []
    below: Rows = list(filled[at + 1 :])
    return Table(replace(style, delimiter=","), names, below, number, notes=notes)


def _fit_width(table: Table) -> None:
    """Give the rows the header's width where all of them miss it in the same way."""
    rows = [cells for _, cells in table.rows if isinstance(cells, list)]
    width = len(table.names)
    usual = Counter(map(len, rows)).most_common(1)
    if not rows or usual[0][0] == width or usual[0][1] <= 0.5 * len(rows):
        return
    many = usual[0][0]
    same = [cells for cells in rows if len(cells) == many]
    if many > width and not any(cell for cells in same for cell in cells[width:]):
        for cells in same:
            del cells[width:]
        table.notes.append(f"every row has {many} cells, the header {width}; the last are empty")
    elif many < width and not any(table.names[many:]):
        table.names = table.names[:many]
        for cells in rows:
            if len(cells) == width and not any(cells[many:]):
                del cells[many:]
    elif many == width + 1 and _number_rows(same):
        table.names = ["", *table.names]
        table.notes.append(
            f"every row has {many} cells, the header {width}; the first numbers the rows"
        )


def _number_rows(rows: list[list[Raw]]) -> bool:
    """Whether the first cells count the rows, as R's row names do."""
    firsts = [plain_cell(cells[0]) for cells in rows]
    return firsts == [str(at) for at in range(1, len(rows) + 1)]


def _set_aside(table: Table) -> None:
    """Take out of the rows what is no row of the table."""
    found = find_asides(table.names, table.rows)
    if found:
        note_asides(table, {table.rows[at][0]: rule for at, rule in found.items()})
        table.rows = [row for at, row in enumerate(table.rows) if at not in found]


def note_asides(table: Table, found: dict[int, str]) -> None:
    """Keep what is set aside, and say so. found: line -> why."""
    for number, rule in sorted(found.items()):
        table.aside.append(RowError(number, "", rule, "", table.raw(number)[:2000]))
    rules = Counter(error.rule for error in table.aside)
    for rule, times in rules.items():
        first = next(error.line for error in table.aside if error.rule == rule)
        rest = f" and {times - 1} more" if times > 1 else ""
        table.notes.append(f"line {first}{rest} set aside: {rule}")

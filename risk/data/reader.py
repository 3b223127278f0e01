"""Files -> rows or quarantine. The row reader here is the definition of a valid row."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from risk.config import Csv
from risk.data.asides import RowError
from risk.data.decoding import Refused
from risk.data.lines import fold
from risk.data.plausibility import wrong_dates
from risk.data.schema import DATE, NUMBER, UNPRINTABLE, Cell, Column, Schema, printable
from risk.data.tables import MOST_BYTES, Table, read_table
from risk.data.values import (
    ISO_DAY,
    MISSING,
    Raw,
    Rule,
    date_form,
    is_numeric,
    number_form,
    plain_cell,
)

if TYPE_CHECKING:
    import polars as pl

MAX_BAD_SHARE, MAX_BAD_ROWS = 0.10, 10
Fault = tuple[str, str, str]  # the column, the rule, what stands there


@dataclass
class Reading:
    """One file as read: `rows` = accepted + errors + aside; `refused` says why none counts.

    aside: rows that are none of the table, as totals. ignored: header names that no part of the
    config asks for; absent: columns that may be missing and are. style: how the file is written.
    outcomes: whether it holds clients and outcomes alone, no feature. values: by column, lists or,
    of a large file, polars series.
    """

    rows: int = 0
    lines: list[int] | pl.Series = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    aside: list[RowError] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    style: Csv | None = None
    outcomes: bool = False
    refused: str = ""

    @property
    def accepted(self) -> int:
        return 0 if self.refused else len(self.lines)

    def different(self, name: str) -> set[Cell]:
        """The different values of a column, none where it is absent."""
        values = self.values.get(name, [])
        return set(values) if isinstance(values, list) else set(values.unique())

    def keep(self, places: list[int]) -> None:
        """Keep the rows at these places alone."""
        self.lines = _at(self.lines, places)
        self.values = {name: _at(cells, places) for name, cells in self.values.items()}

    @property
    def first_error(self) -> str:
        """`line 7 (orders: not a number)`, for the first of the rows that are set aside."""
        error = self.errors[0]
        return f"line {error.line} ({': '.join(filter(None, [error.column, error.rule]))})"

    @property
    def set_aside(self) -> list[RowError]:
        """Every row that does not count, by line."""
        return sorted([*self.errors, *self.aside], key=lambda error: error.line)


def _at(cells: Any, places: list[int]) -> Any:
    return [cells[at] for at in places] if isinstance(cells, list) else cells.gather(places)


ReadValues = Callable[[Table, dict[str, int], Schema, Reading], None]


def too_many_bad(errors: int, rows: int) -> bool:
    """Whether so many rows are bad that the file is refused: over a tenth, and at least ten."""
    # Ten at least: one bad row of three must not refuse a small file.
    return errors >= MAX_BAD_ROWS and errors > MAX_BAD_SHARE * rows


def read_rows(
    data: bytes,
    file: str,
    schema: Schema,
    style: Csv,
    needed: frozenset[str] = frozenset({"id"}),
    limit: bool = True,
    most_bytes: int = MOST_BYTES,
    outcomes: bool = False,
) -> Reading:
    """Every row of the file as a valid row or an error.

    file: its name. needed: the parts that must be there besides the features and a date ("id",
    "target"). limit: refuse the file where too many rows are bad. most_bytes: unpacked. outcomes:
    whether a file of clients and outcomes alone is read too.
    """
    try:
        table = read_table(data, file, style, schema.names, most_bytes)
    except Refused as refusal:
        rows = max(0, sum(1 for line in data.splitlines() if line) - 1)
        return Reading(rows, refused=printable(str(refusal)))
    return rows_of(table, schema, needed, limit, outcomes)


def rows_of(
    table: Table,
    schema: Schema,
    needed: frozenset[str] = frozenset({"id"}),
    limit: bool = True,
    outcomes: bool = False,
    read: ReadValues | None = None,
) -> Reading:
    """The same of a table that is read already. read: what fills the reading from such tables."""
    reading = Reading(table.height + len(table.aside), aside=table.aside, style=table.style)
    reading.notes += table.notes
    try:
        reading.outcomes = outcomes
        places = _places(table.names, schema, needed, reading)
        (read or _read_columns)(table, places, schema, reading)
        _refuse_other_width(reading)
        if limit and too_many_bad(len(reading.errors), reading.rows - len(reading.aside)):
            raise Refused(
                f"{len(reading.errors)} of {reading.rows - len(reading.aside)} rows are bad, the "
                f"first on {reading.first_error}{_form_hint(reading, schema)}"
            )
    except Refused as refusal:
        sheet = next((f"; {note}" for note in table.notes if note.startswith("the sheet ")), "")
        reading.refused = printable(f"{refusal}{sheet}")
        reading.lines, reading.values = [], {}
    return reading


def _refuse_other_width(reading: Reading) -> None:
    """Where every row misses the header's width in the same way, the header is what is wrong."""
    rules = {error.rule for error in reading.errors}
    if len(rules) == 1 and " cells where the header has " in min(rules) and not len(reading.lines):
        cells, _, wanted = min(rules).partition(" cells where the header has ")
        raise Refused(
            f"every row has {cells} cells, the header {wanted}: give each column a name there and "
            "each row a cell for it"
        )


def find_places(names: Sequence[str], wanted: Iterable[str]) -> dict[str, int]:
    """Wanted name -> where the header has it: exactly, else alone but for case and spaces."""
    wanted = list(wanted)
    exact = {name: names.index(name) for name in wanted if name in names}
    free = [name for name in names if name not in exact]
    folded = [fold(name) for name in free]
    lacking = [name for name in wanted if name not in exact]
    for name in lacking:
        near = [place for place, other in enumerate(folded) if other == fold(name) != ""]
        if len(near) == 1 == sum(fold(other) == fold(name) for other in lacking):
            exact[name] = names.index(free[near[0]])
    return exact


def _places(
    names: list[str], schema: Schema, needed: frozenset[str], reading: Reading
) -> dict[str, int]:
    """Column -> its place, if the header has all that are needed; Refused with a hint if not."""
    repeated = sorted({name for name in schema.names if names.count(name) > 1})
    if repeated:
        raise Refused(f"the header names {repeated[0]!r} twice")
    places = find_places(names, schema.names)
    taken = {names[place] for place in places.values()}
    reading.outcomes = reading.outcomes and _holds_outcomes(names, places, schema)
    for column in schema.columns:
        if column.name not in places:
            if not reading.outcomes:
                _check_absent(column, names, taken, needed)
        elif (written := names[places[column.name]]) != column.name:
            reading.notes.append(f"{written!r} read as {column.name!r}")
    reading.ignored = [name for name in names if name and name not in taken]
    reading.absent = [name for name in schema.names if name not in places]
    return places


def _holds_outcomes(names: list[str], places: dict[str, int], schema: Schema) -> bool:
    """Whether the file tells of clients and what became of them, and of nothing to learn from."""
    there = {column.part for column in schema.columns if column.name in places}
    free = [name for at, name in enumerate(names) if at not in places.values()]
    near = any(nearest(column.name, free) for column in schema.features)
    return {"id", "target"} <= there and "feature" not in there and not near


def _check_absent(
    column: Column, names: list[str], taken: set[str], needed: frozenset[str]
) -> None:
    """Refuse a header without this column, unless it may be absent and no name is near it."""
    near = nearest(column.name, [name for name in names if name not in taken])
    hint = f"; is {near!r} meant? rename it, or name it in config.json" if near else ""
    if column.part in needed or column.part in ("feature", "date"):
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


def _read_columns(table: Table, places: dict[str, int], schema: Schema, reading: Reading) -> None:
    """Every whole row's values by column; a row that breaks a rule is an error."""
    width, numbers, rows = len(table.names), list[int](), list[list[Raw]]()
    for number, cells in table.rows:
        if isinstance(cells, list) and len(cells) == width:
            numbers.append(number)
            rows.append(cells)
        else:
            reading.errors.append(fault_error(table, number, width_fault(cells, width)))
    faults: dict[int, Fault] = {}
    for column in schema.columns:
        if column.name in places:
            cells = [row[places[column.name]] for row in rows]
            values = schema.plain_values(column, cells) or _parsed(
                cells, column.name, schema.parser(column), faults
            )
            if column.kind == DATE:
                _check_dates(cells, values, column, faults)
        else:
            values = [None] * len(rows)
        reading.values[column.name] = values
    reading.errors += [fault_error(table, numbers[at], fault) for at, fault in faults.items()]
    reading.errors.sort(key=lambda error: error.line)
    reading.lines = numbers
    if faults:
        reading.keep([at for at in range(len(rows)) if at not in faults])


def _check_dates(
    cells: list[Raw], values: list[Cell], column: Column, faults: dict[int, Fault]
) -> None:
    """Dates that can be read and cannot be are faults of their rows."""
    wrong = wrong_dates(values, column.form or ISO_DAY)  # type: ignore[arg-type]
    for at, date in enumerate(values) if wrong else ():
        if date in wrong:
            faults.setdefault(at, (column.name, wrong[date], plain_cell(cells[at])))


def width_fault(cells: list[Raw] | str, width: int) -> Fault:
    """What is wrong with a row of another width, or one that cannot be split."""
    wide = f"{len(cells)} cells where the header has {width}"
    return "", cells if isinstance(cells, str) else wide, ""


def fault_error(table: Table, number: int, fault: Fault) -> RowError:
    column, rule, value = fault
    raw = table.raw(number)  # cut: a cell may have 100,000 characters
    return RowError(number, column, rule, value[:200], raw[:2000])


def _parsed(
    cells: list[Raw], name: str, parse: Callable[[Raw], Cell], faults: dict[int, Fault]
) -> list[Cell]:
    """The column's values; what breaks a rule goes to the faults, the first of each row."""
    try:
        if set(map(type, cells)) == {str}:  # True and 1 would be one of a set
            known = {cell: parse(cell) for cell in set(cells)}
            return [known[cell] for cell in cells]
        return list(map(parse, cells))
    except Rule:
        values: list[Cell] = []
    for at, cell in enumerate(cells):
        try:
            values.append(parse(cell))
        except Rule as rule:
            values.append(None)
            faults.setdefault(at, (name, str(rule), plain_cell(cell)))
    return values


def _form_hint(reading: Reading, schema: Schema) -> str:
    """What to write into config.json where the bad cells have another form of number or date."""
    name = reading.errors[0].column
    column = next((column for column in schema.columns if column.name == name), None)
    texts = [error.value for error in reading.errors if error.column == name]
    if column is None or column.kind not in (NUMBER, "date"):
        return ""
    found = number_form(texts) if column.kind == NUMBER else date_form(texts)
    if not found.form or not found.fits:
        return ""
    return f'; where they are written {found.form}, set "formats": {{"{name}": "{found.form}"}}'


def says_kind(text: str) -> bool:
    return text not in MISSING and not UNPRINTABLE.search(text)


def numeric_counts(table: Table, schema: Schema) -> dict[str, tuple[int, int]]:
    """(filled, numeric) cells of each feature whose kind is open and that the table has."""
    places = find_places(table.names, schema.names)
    counts = {}
    for column in schema.features:
        if column.kind is None and column.name in places:
            form = schema.number_form(column)
            cells = table.column(table.names[places[column.name]])
            filled = [cell for cell in cells if says_kind(plain_cell(cell))]
            counts[column.name] = len(filled), sum(is_numeric(cell, form) for cell in filled)
    return counts

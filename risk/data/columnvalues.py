"""Columns of cells -> columns of values: those that are plain at once, the others by the parser.

What `schema.parser` makes of a cell is right; here it is made of most cells by expressions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from risk.data.frames import frame_types
from risk.data.plausibility import wrong_dates
from risk.data.reader import Fault, Reading, fault_error, width_fault
from risk.data.schema import DATE, NUMBER, TARGET, Cell, Column, Schema
from risk.data.tables import Table, csv_line
from risk.data.typed import plain_raw
from risk.data.values import (
    ISO_DAY,
    LONGEST,
    MISSING,
    MISSING_TEXT,
    NUMBER_FORMS,
    NUMERIC,
    Raw,
    Rule,
    number_pattern,
    plain_cell,
)

if TYPE_CHECKING:
    import polars as pl

# As _parse_text has them: what is left of a control character after the spaces are stripped.
CONTROL = r"[\x00-\x1f\x7f\u{85}\u{2028}\u{2029}]"


@dataclass
class ColumnTable(Table):
    """A table whose whole rows are columns; `rows` has those of another width alone.

    cells: the columns "0", "1", ...; numbers: the rows' line numbers; text: all of the file, ""
    where its cells have types.
    """

    cells: pl.DataFrame = field(kw_only=True)
    numbers: pl.Series = field(kw_only=True)
    text: str = field(kw_only=True, default="")

    @property
    def height(self) -> int:
        return len(self.rows) + self.cells.height

    @cached_property
    def _lines(self) -> list[str]:
        return [line.rstrip("\r") for line in self.text.split("\n")]

    def raw(self, number: int) -> str:
        if self.text:
            return self._lines[number - 1]
        if number == self.header:
            return csv_line(list(self.names))
        row = self.cells.row(int((self.numbers == number).arg_true()[0]))
        return csv_line([plain_raw(cell) for cell in row])


def read_values(table: Table, places: dict[str, int], schema: Schema, reading: Reading) -> None:
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

    if column.kind in (DATE, TARGET):
        values, doubt = _all_in_doubt(cells, kind)
    elif column.kind in (NUMBER, None):
        low = 0.0 if column.non_negative else -math.inf
        values, doubt = number_values(cells, schema.number_form(column), low)
    else:
        values, doubt = _texts(cells, is_id=column.part == "id")
    at = doubt.arg_true()
    if at.len():
        parsed, wrong = _parse_each(cells.gather(at), schema.parser(column), kind)
        values = parsed if at.len() == cells.len() else values.scatter(at, parsed)
        for place in wrong.arg_true().to_list():
            cell = plain_raw(cells[int(at[place])])
            faults.setdefault(
                int(at[place]), (column.name, _rule(cell, schema.parser(column)), plain_cell(cell))
            )
    if column.kind == DATE:
        counts = Counter(dict(values.drop_nulls().value_counts().iter_rows()))
        wrong_days = wrong_dates(counts, column.form or ISO_DAY)
        for place in values.is_in(list(wrong_days)).arg_true() if wrong_days else ():
            faults.setdefault(
                place, (column.name, wrong_days[values[place]], plain_cell(plain_raw(cells[place])))
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
            values.append(parse(plain_raw(cell)))
            wrong.append(False)
        except Rule:
            values.append(None)
            wrong.append(True)
    value = cells.replace_strict(different, pl.Series(values, dtype=kind), return_dtype=kind)
    if not any(wrong):
        return value, pl.repeat(False, cells.len(), eager=True)
    return value, cells.is_in(different.filter(pl.Series(wrong)).implode(), nulls_equal=True)


def _texts(cells: pl.Series, *, is_id: bool) -> tuple[pl.Series, pl.Series]:
    """(the texts, which cells are for the parser)."""
    import polars as pl

    if cells.dtype.is_integer():
        cells = cells.cast(pl.String)
    if cells.dtype != pl.String:
        return _all_in_doubt(cells, pl.String)
    texts = cells.str.strip_chars()
    missing = texts.is_in(sorted(MISSING if is_id else MISSING_TEXT))
    doubt = texts.str.contains(CONTROL)
    if is_id:
        return texts, (doubt | missing).fill_null(True)
    return texts.to_frame("0").select(pl.when(~missing).then("0")).to_series(), doubt


def _all_in_doubt(cells: pl.Series, kind: type[pl.DataType]) -> tuple[pl.Series, pl.Series]:
    """(no values, all cells for the parser)."""
    import polars as pl

    nothing = pl.repeat(None, cells.len(), dtype=kind, eager=True)
    return nothing, pl.repeat(True, cells.len(), eager=True)


def number_values(cells: pl.Series, form: str, low: float) -> tuple[pl.Series, pl.Series]:
    """(the numbers, which cells are for the parser)."""
    import polars as pl

    if cells.dtype == pl.String:
        return _plain_numbers(cells, form, low)
    if not (cells.dtype.is_integer() or cells.dtype.is_float()):
        return _all_in_doubt(cells, pl.Float64)
    numbers = cells.cast(pl.Float64).fill_nan(None)
    found = _where(numbers, pl.col("0").is_finite() & (pl.col("0") >= low), pl.col("0"))
    return found, found.is_null() & numbers.is_not_null()


def _plain_numbers(cells: pl.Series, form: str, low: float) -> tuple[pl.Series, pl.Series]:
    """(the numbers, which cells are for the parser): whole ones first, then those of the form."""
    import polars as pl

    whole = cells.cast(pl.Int64, strict=False)
    values, other = whole.cast(pl.Float64), whole.is_null() & (cells != "")
    ways = [_fractions, _decimals] if NUMBER_FORMS[form][1] == "." else [_decimals]
    for numbers in ways:  # the one for most cells first: it takes a fifth of the other's time
        if other.any():
            at = other.arg_true()
            values = values.scatter(at, numbers(cells.gather(at), form))
            other = values.is_null() & (cells != "")
    if low > -math.inf:
        other |= (values < low).fill_null(False)
    return values, other


def _fractions(cells: pl.Series, _: str) -> pl.Series:
    """The numbers with a point and nothing beside them; None for any other cell."""
    import polars as pl

    value = pl.col("0").cast(pl.Float64, strict=False)
    usable = pl.col("0").str.contains(f"^(?:{NUMERIC.pattern})$") & value.is_finite()
    return _where(cells, usable, value)


def _where(cells: pl.Series, usable: pl.Expr, value: pl.Expr) -> pl.Series:
    """The usable values; -0 and 0 are one value, since they must be one duplicate."""
    import polars as pl

    plain = pl.when(usable & (value == 0)).then(0.0).when(usable).then(value)
    return cells.to_frame("0").select(plain).to_series()


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
    return _where(cells, usable, value)

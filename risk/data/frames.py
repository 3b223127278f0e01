"""Rows as polars frames: the types of a segment, a file's accepted rows, and rows as CSV."""

from __future__ import annotations

import datetime
import io
from typing import TYPE_CHECKING

from risk.data.reader import Reading
from risk.data.schema import DATE, NUMBER, TARGET, TEXT, Schema

if TYPE_CHECKING:
    import polars as pl


def frame_types(schema: Schema) -> dict[str, type[pl.DataType]]:
    """The polars types of a segment; a feature of unknown kind is all missing, held as a number."""
    import polars as pl

    types = {
        NUMBER: pl.Float64,
        TEXT: pl.String,
        DATE: pl.String,
        TARGET: pl.Int8,
        None: pl.Float64,
    }
    kept: dict[str, type[pl.DataType]] = {
        column.name: types[column.kind] for column in schema.columns
    }
    return kept | {"_date": pl.Date, "_line": pl.Int32, "_duplicate": pl.Boolean}


def frame_of(reading: Reading, schema: Schema, path_date: str | None) -> pl.DataFrame:
    """The accepted rows as a frame; the date column's date, else the path's."""
    import polars as pl

    types = frame_types(schema)
    # Those of a large file are series of these types already.
    columns = {name: pl.Series(name, reading.values[name], types[name]) for name in schema.names}
    dated = schema.named("date")
    dates = (
        columns[dated].str.to_date("%Y-%m-%d")
        if dated and dated not in reading.absent
        else pl.Series(
            [datetime.date.fromisoformat(path_date) if path_date else None] * len(reading.lines),
            dtype=pl.Date,
        )
    )
    return pl.DataFrame(
        {**columns, "_date": dates, "_line": pl.Series(reading.lines, dtype=pl.Int32)}
    )


def csv_bytes(rows: pl.DataFrame, schema: Schema, *, header: bool) -> bytes:
    """Rows as CSV: whole numbers without a point, others as the shortest text of that value."""
    import polars as pl

    numbers = [column.name for column in schema.columns if column.kind in (NUMBER, None)]
    # Below 1e15 every whole number is a double of its own, written without an exponent.
    whole = {
        name: (pl.col(name) == pl.col(name).round(0)) & (pl.col(name).abs() < 1e15)
        for name in numbers
    }
    # Where all are whole, which most columns are, they are written as such at once.
    alike = rows.select(pl.lit(True), *(whole[name].all().alias(name) for name in numbers)).row(
        0, named=True
    )
    shown = []
    for name in schema.names:
        cell = pl.col(name)
        if name in whole:
            # Not strict: every cell is cast, those that are no whole number too.
            integer = cell.cast(pl.Int64, strict=False)
            mixed = (
                pl.when(whole[name]).then(integer.cast(pl.String)).otherwise(cell.cast(pl.String))
            )
            cell = integer if alike[name] else mixed
        shown.append(cell.alias(name))
    out = io.BytesIO()
    rows.select(shown).write_csv(out, include_header=header)
    return out.getvalue()

"""The test data: rows that are never trained on, read by the same rules as the input."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import Config, PipelineError
from risk.data import labels
from risk.data.filedates import date_in_path
from risk.data.frames import frame_types
from risk.data.reader import Reading, read_rows
from risk.data.schema import Schema, schema_of
from risk.data.tables import is_readable
from risk.files import refuse_unreadable, sha256

if TYPE_CHECKING:
    import polars as pl

    from risk.data.snapshot import Snapshot


def test_files(config: Config) -> list[Path]:
    """The tables in the test data's folder, sorted by path."""
    root = config.test_folder
    if not root.is_dir():
        return []
    places = os.walk(root, onerror=refuse_unreadable)
    paths = [Path(place, name) for place, _, names in places for name in names]
    found = {p.relative_to(root): p for p in paths if is_readable(p.name) and p.is_file()}
    shown = [below for below in found if not any(part.startswith(".") for part in below.parts)]
    return [found[below] for below in sorted(shown, key=Path.as_posix)]


def _readable(config: Config, schema: Schema, name: str, data: bytes) -> Reading:
    # No limit: bad rows refuse no test file, the score counts them.
    reading = read_rows(data, name, schema, config.csv, limit=False)
    if reading.refused:
        where = f"test file {config.shown(config.test_folder)}/{name}"
        raise PipelineError(f"{where}: {reading.refused}")
    return reading


class TestRows:
    """All test files as one table, with the digest that says which test data a score belongs to."""

    def __init__(self, config: Config, columns: dict[str, str]) -> None:
        schema = schema_of(config, dict(columns))
        contents = [
            (p.relative_to(config.test_folder).as_posix(), p.read_bytes())
            for p in test_files(config)
        ]
        # By names and contents in a fixed order: the same files give the same digest anywhere.
        self.sha256 = sha256(
            "".join(f"{name} {sha256(data)}\n" for name, data in contents).encode()
        )
        readings = [(name, _readable(config, schema, name, data)) for name, data in contents]
        self.files = [name for name, _ in contents]
        self.bad = sum(len(reading.errors) for _, reading in readings)
        column = schema.named("date")
        read = [
            (*row, row[schema.names.index(column)] if column else date_in_path(name))
            for name, reading in readings
            for row in zip(*reading.values.values(), strict=True)
        ]
        # A row counts once, as in the input: repeated ones would make the interval too narrow.
        rows = list(dict.fromkeys(read))
        self.repeated = len(read) - len(rows)
        *cells, dates = zip(*rows, strict=True) if rows else [()] * (len(schema.names) + 1)
        self.table: dict[str, list[Any]] = {
            name: list(found) for name, found in zip(schema.names, cells, strict=True)
        }
        # The rows that lie horizon_days back; undated ones always may be judged.
        limit = str(labels.today() - datetime.timedelta(days=config.horizon_days))
        self.dates = list(dates)
        self.mature = [not config.horizon_days or not d or str(d) < limit for d in dates]
        self.client, self.target = schema.named("id"), schema.named("target")

    def labelled(self) -> tuple[dict[str, list[Any]], np.ndarray]:
        """(rows with a label that may be used today, their labels)."""
        judged = zip(self.table[self.target], self.mature, strict=True)
        keep = [at for at, (label, mature) in enumerate(judged) if mature and label is not None]
        rows = {name: [cells[at] for at in keep] for name, cells in self.table.items()}
        return rows, np.array(rows[self.target], dtype=np.int64)


def with_clients_held_back(
    current: pl.DataFrame, rows: TestRows, snapshot: Snapshot
) -> pl.DataFrame:
    """Clients who stayed, those of the test rows among them: who is nowhere in the input and whose
    newest test row says that it stayed. They have no _row."""
    import polars as pl

    types = frame_types(snapshot.schema)
    columns = [pl.Series(name, cells, types[name]) for name, cells in rows.table.items()]
    texts = pl.Series("_date", [date or None for date in rows.dates], pl.String)
    tested = pl.DataFrame([*columns, texts.str.to_date("%Y-%m-%d")])
    known = pl.col(rows.client).is_in(snapshot.rows[rows.client].implode())
    newest = (
        tested.filter(~known)
        .sort("_date", nulls_last=False, maintain_order=True)
        .unique(rows.client, keep="last", maintain_order=True)
    )
    stayed = newest.filter(pl.col(rows.target) == 0)
    return pl.concat([current, stayed], how="diagonal") if stayed.height else current


class Holdout:
    """The test rows of a run: read when first asked for, and for the same columns only once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._read: dict[tuple[tuple[str, str], ...], TestRows] = {}

    def rows(self, columns: dict[str, str]) -> TestRows:
        """The test rows by the columns and kinds of a model."""
        key = tuple(sorted(columns.items()))
        if key not in self._read:
            self._read[key] = TestRows(self._config, columns)
        return self._read[key]

"""The ingested rows at one moment, read once and handed on: rows, labels, current clients."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import Config, PipelineError
from risk.data import labels
from risk.data.frames import frame_of
from risk.data.previous import earlier_names, with_earlier
from risk.data.reader import Reading, numeric_counts, rows_of
from risk.data.schema import NUMBER, Schema, infer_kinds, schema_of
from risk.data.state import Entry
from risk.data.status import StatusLabels, make_labels
from risk.data.store import Store, tagged
from risk.data.tables import Refused, read_table
from risk.files import file_sha256

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@dataclass(frozen=True)
class DataVersion:
    """How far the data go: the store's data version, the day, the horizon by which labels counted
    then.

    next_maturity: seconds since 1970 when the next waiting label may be used, 0 if none waits.
    """

    number: int
    day: str
    horizon_days: int
    next_maturity: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment.

    rows: those of finaldata.csv in its order, with _date, _data_version, _replaced, _position, the
    place of their file, and _label_version, the data version since which their label is known; of
    a status those of clients alone, with labels made. repeated: the rows that equal an earlier one.
    files: what the store knows of each file, {} for a finaldata.csv that was put there by hand.
    status: what labels were made of, None where they are given.
    """

    rows: pl.DataFrame
    repeated: pl.DataFrame
    schema: Schema
    version: DataVersion
    files: dict[str, Entry]
    finaldata: Path
    status: StatusLabels | None = None

    @property
    def client(self) -> str:
        """The column with the client's name."""
        return self.schema.named("id")

    @property
    def target(self) -> str:
        """The column with the label."""
        return self.schema.named("target")

    @cached_property
    def usable(self) -> pl.Series:
        """Which rows have a label that may be used now."""
        day = datetime.date.fromisoformat(self.version.day)
        return labels.usable_labels(self.rows, self.schema, self.version.horizon_days, day)

    @cached_property
    def known(self) -> pl.DataFrame:
        """Those rows."""
        return self.rows.filter(self.usable)

    @property
    def labels(self) -> np.ndarray:
        """Their labels, shape (n,)."""
        return self.known[self.target].to_numpy().astype(np.int64)

    @cached_property
    def current(self) -> tuple[pl.DataFrame, str]:
        """(the current clients' rows, the basis for saying so); _row is their place in `rows`."""
        import polars as pl

        if self.status is not None:
            return self.rows.with_row_index("_row").filter(pl.col("_is_current")), "unlabelled"
        return labels.current_clients(self.rows.with_row_index("_row"), self.schema)

    @property
    def window_ends(self) -> pl.Series:
        """Of a status, the date by which each known row's outcome was there."""
        return self.known["_window_end"]

    @cached_property
    def names(self) -> dict[str, str]:
        """Client -> how people call it, by its newest row; {} without a column that says so."""
        column = self.schema.named("name")
        if not column:
            return {}
        rows = [self.rows, self.status.events] if self.status else [self.rows]
        known = [frame.select("_date", self.client, column).drop_nulls(column) for frame in rows]
        pairs = sorted((str(day), *pair) for frame in known for day, *pair in frame.rows())
        return {client: name for _, client, name in pairs}

    @cached_property
    def sha256(self) -> str:
        """The digest of finaldata.csv."""
        return file_sha256(self.finaldata)

    def files_after(self, data_version: int) -> dict[str, pl.DataFrame]:
        """File -> all its rows, repeated ones too, for the files that came after the version."""
        import polars as pl

        late = sorted(
            (entry["position"], file)
            for file, entry in self.files.items()
            if entry.get("segment") and entry["data_version"] > data_version
        )
        return {
            file: pl.concat(
                frame.filter(pl.col("_position") == position).select(self.schema.names)
                for frame in (self.rows, self.repeated)
            )
            for position, file in late
        }


def read_snapshot(config: Config) -> Snapshot:
    """The rows as ingestion.py left them; data version 0 for a finaldata.csv put there by hand."""
    import polars as pl

    store = Store.open(config)
    if store.state["schema_signature"]:
        store.refuse_unfinished()
        schema, number, files = store.schema, store.data_version, store.files
        rows = store.rows(repeated=True)
    elif store.files and not config.finaldata.exists():
        raise PipelineError(
            f"no file was accepted yet; {config.quarantine} says why; mend the files or the "
            "settings and run ingestion.py"
        )
    else:
        rows, schema = _rows_by_hand(config)
        number, files = 0, {}
    # The data quality checks look at whole files, so that repeated rows are kept apart.
    repeated, rows = rows.filter(pl.col("_duplicate")), rows.filter(~pl.col("_duplicate"))
    outcome_files = {e["position"] for e in files.values() if e.get("outcomes")}
    status = None
    if config.labels == "status":
        status = _status_labels(config, rows, schema, outcome_files)
        rows, has_left = status.rows, (pl.col(schema.named("target")) == 1).fill_null(False)
        repeated = repeated.filter(~has_left)
    else:
        rows = labels.with_outcomes(rows, schema, outcome_files)
    day, horizon = labels.today(), config.horizon_days
    waiting = labels.next_maturity(rows, schema, horizon, day)
    matures = datetime.datetime.fromisoformat(f"{waiting}T00:00:00Z").timestamp() if waiting else 0
    version = DataVersion(number, str(day), horizon, matures)
    rows, repeated = rows.drop("_duplicate"), repeated.drop("_duplicate")
    if config.model != "original":
        numbers = [name for name, kind in feature_kinds(schema).items() if kind == NUMBER]
        rows = with_earlier(rows, schema.named("id"), numbers)
    return Snapshot(rows, repeated, schema, version, files, config.finaldata, status)


def _status_labels(
    config: Config, rows: pl.DataFrame, schema: Schema, outcome_files: set[int]
) -> StatusLabels:
    return make_labels(
        rows,
        schema.named("id"),
        schema.named("target"),
        window_days=config.label_window_days,
        vanished=config.vanished,
        outcome_files=outcome_files,
    )


def _rows_by_hand(config: Config) -> tuple[pl.DataFrame, Schema]:
    """(the rows of a finaldata.csv that ingestion.py did not write, their schema)."""
    import polars as pl

    try:
        data = config.finaldata.read_bytes()
    except FileNotFoundError:
        raise PipelineError(f"no rows at {config.finaldata}; run ingestion.py first") from None
    schema, reading = schema_of(config), Reading()
    try:
        table = read_table(data, config.finaldata.name, config.csv, schema.names)
        schema = schema_of(config, infer_kinds(schema, numeric_counts(table, schema)))
        reading = rows_of(table, schema)
    except Refused as refusal:
        reading.refused = str(refusal)
    # No quarantine for a file that ingestion.py did not write: its first bad row ends the run.
    for error in reading.errors[:1]:
        where = f"line {error.line}, {error.column}".rstrip(", ")
        reading.refused = reading.refused or f"{where}: {error.rule} ({error.value!r})"
    if reading.refused:
        raise PipelineError(f"{config.finaldata}: {reading.refused}")
    rows = frame_of(reading, schema, None).with_columns(pl.lit(False).alias("_duplicate"))
    return tagged(rows, 0, 0, False), schema


def new_since(rows: pl.DataFrame, then: DataVersion) -> pl.Series:
    """Which labels were not known yet, or not mature yet, at that data version."""
    late = rows["_label_version"] > then.number  # by version, not by date: files may come late
    if not then.horizon_days or not then.day:
        return late
    day = datetime.date.fromisoformat(then.day)
    return late | ~labels.mature(rows, then.horizon_days, day)


@dataclass(frozen=True)
class TrainingRows:
    """The labelled rows as the recipe takes them, and where they came from."""

    features: pd.DataFrame
    labels: np.ndarray
    clients: np.ndarray
    columns: dict[str, str]
    lineage: dict[str, Any]


def training_rows(config: Config, snapshot: Snapshot) -> TrainingRows:
    """The rows whose label is known and mature, superseded and unlabelled ones left out."""
    known, columns = snapshot.known, feature_kinds(snapshot.schema)
    return TrainingRows(
        features_of(known, columns),
        snapshot.labels,
        known[snapshot.client].to_numpy(),
        columns,
        lineage_of(config, snapshot, known),
    )


def lineage_of(config: Config, snapshot: Snapshot, used: pl.DataFrame) -> dict[str, Any]:
    """By which recipe, of which rows, known when: of a model trained on these labelled rows."""
    exits = int(used[snapshot.target].sum())
    return {
        "recipe": config.model,
        "rows": used.height,
        "exits": exits,
        "base_rate": exits / used.height if used.height else None,
        "data_version": snapshot.version.number,
        "day": snapshot.version.day,
        "horizon_days": snapshot.version.horizon_days,
        "labels": config.labels,
        # Of the whole file, though not all rows were used: it says which rows were there.
        "data_sha256": snapshot.sha256,
        "last_date": str(used["_date"].max() or ""),
    }


def refuse_other_features(config: Config, columns: dict[str, str]) -> None:
    """PipelineError where a model's features are no longer those of config.json."""
    declared = config.columns.kinds
    other = sorted(set(columns) ^ set(config.columns.features))
    other += sorted(
        name for name in declared.keys() & columns.keys() if declared[name] != columns[name]
    )
    if other:
        raise PipelineError(
            f"the model was trained with other features than {config.path} has now ({other[0]!r}); "
            "run training.py again"
        )


def feature_kinds(schema: Schema) -> dict[str, str]:
    """Feature names and kinds; one that has never had a value counts as a number without any."""
    return {column.name: column.kind or NUMBER for column in schema.features}


def features_of(rows: pl.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """The features of rows, and with them what the rows have of their earlier values."""
    earlier = [name for name in earlier_names(columns) if name in rows.columns]
    return pandas_of(rows.select(*columns, *earlier))


def pandas_of(frame: Any) -> pd.DataFrame:
    """A polars frame as pandas, without pyarrow: float64 with nan, texts as objects with None."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: frame[name].to_numpy()
            if frame[name].dtype.is_numeric()
            else pd.Series(frame[name].to_list(), dtype=object)
            for name in frame.columns
        }
    )

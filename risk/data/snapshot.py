"""The ingested rows at one moment: all of them, the labelled ones, and how far the data go."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import Config, PipelineError
from risk.data.schema import NUMBER, Schema
from risk.data.store import labelled, mature, next_maturity, stored_rows, today, usable_labels
from risk.files import file_sha256

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@dataclass(frozen=True)
class TrainingRows:
    """The labelled rows as the recipe takes them, and where they came from."""

    features: pd.DataFrame
    labels: np.ndarray
    clients: np.ndarray
    columns: dict[str, str]
    lineage: dict[str, Any]


def training_rows(config: Config) -> TrainingRows:
    """The rows whose label is known and mature today, superseded and unlabelled ones left out."""
    rows, schema, data_version = stored_rows(config)
    known = labelled(rows, schema, config.horizon_days, today())
    columns = feature_kinds(schema)
    labels = known[schema.named("target")].to_numpy().astype(np.int64)
    lineage = lineage_of(config, known, schema, data_version)
    return TrainingRows(
        pandas_of(known.select(list(columns))),
        labels,
        known[schema.named("id")].to_numpy(),
        columns,
        lineage,
    )


def lineage_of(
    config: Config, known: pl.DataFrame, schema: Schema, data_version: int
) -> dict[str, Any]:
    """Where a model comes from that is trained on these labelled rows today."""
    labels = known[schema.named("target")]
    exits = int(labels.sum())
    return {
        "recipe": config.model,
        "rows": known.height,
        "exits": exits,
        "base_rate": exits / known.height if known.height else None,
        "data_version": data_version,
        "day": str(today()),
        "horizon_days": config.horizon_days,
        "data_sha256": file_sha256(config.finaldata),
        "last_date": str(known["_date"].max() or ""),
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
    """The store as a look sees it: all rows, which have a usable label, those, how far they go."""

    rows: pl.DataFrame
    usable: pl.Series
    known: pl.DataFrame
    schema: Schema
    stand: DataVersion

    @property
    def client(self) -> str:
        return self.schema.named("id")

    @property
    def labels(self) -> np.ndarray:
        return self.known[self.schema.named("target")].to_numpy().astype(np.int64)


def read_snapshot(config: Config) -> Snapshot:
    rows, schema, data_version = stored_rows(config)
    day, horizon = today(), config.horizon_days
    usable = usable_labels(rows, schema, horizon, day)
    waiting = next_maturity(rows, schema, horizon, day)
    stand = DataVersion(data_version, str(day), horizon, _seconds_of(waiting))
    return Snapshot(rows, usable, rows.filter(usable), schema, stand)


def new_since(rows: pl.DataFrame, stand: DataVersion) -> pl.Series:
    """Which labelled rows were not there yet, or not mature yet, when the data stood there."""
    late = rows["_data_version"] > stand.number
    if not stand.horizon_days or not stand.day:
        return late
    return late | ~mature(rows, stand.horizon_days, datetime.date.fromisoformat(stand.day))


def _seconds_of(day: str) -> float:
    """Midnight UTC of the day in seconds since 1970, 0 for no day."""
    return datetime.datetime.fromisoformat(f"{day}T00:00:00Z").timestamp() if day else 0.0

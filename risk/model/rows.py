"""Ingested rows as the recipe takes them: features in pandas, labels in numpy, and lineage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from risk.artifacts import file_sha256
from risk.config import Config, PipelineError
from risk.data.schema import NUMBER, Schema
from risk.data.store import labelled, stored_rows, today

if TYPE_CHECKING:
    import numpy as np
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
    import numpy as np

    rows, schema, tick = stored_rows(config)
    known = labelled(rows, schema, config.horizon_days, today())
    columns = feature_kinds(schema)
    labels = known[schema.named("target")].to_numpy().astype(np.int64)
    lineage = lineage_of(config, known, schema, tick)
    return TrainingRows(
        pandas_of(known.select(list(columns))),
        labels,
        known[schema.named("id")].to_numpy(),
        columns,
        lineage,
    )


def lineage_of(config: Config, known: pl.DataFrame, schema: Schema, tick: int) -> dict[str, Any]:
    """Where a model comes from that is trained on these labelled rows today."""
    labels = known[schema.named("target")]
    exits = int(labels.sum())
    return {
        "recipe": config.model,
        "rows": known.height,
        "exits": exits,
        "base_rate": exits / known.height if known.height else None,
        "tick": tick,
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

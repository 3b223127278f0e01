"""What the models predicted of rows whose labels are still to come, kept until these are there.

A row is judged by what was predicted when it came, not by a model that may have learned from it
since. One file beside the decision state, which names it: a new one is whole before the state is.
"""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from risk.config import Config
from risk.data.snapshot import Snapshot
from risk.decide.comparison import Comparison, Forecasts, forecast
from risk.decide.state import DecisionState, read_decision_state, write_decision_state
from risk.drift.release import model_inputs
from risk.files import sha256, write_atomic
from risk.model.model import Model

if TYPE_CHECKING:
    import polars as pl


def predicted_of(
    config: Config, table: Snapshot, state: DecisionState, fresh: np.ndarray
) -> tuple[Forecasts, int]:
    """(what the models predicted of labelled rows before the labels, of how many it was kept).

    The kept forecasts where the row came without its label and the champion is still the same;
    else what the models of the last evaluation predict: they too were fixed before the labels came.
    """
    rows, champion = table.known[fresh], state.comparison.champion
    found = forecast(state.comparison, model_inputs(rows, champion), fresh.size)
    kept = read_forecasts(config, state)
    at, place = _matched(rows, table.client, kept, digest_of(champion))
    for name in found.keys() & set(kept.columns):
        then = kept[name].gather(place).to_numpy()
        is_kept = np.isfinite(then)  # a model that came later has predicted nothing then
        found[name][at[is_kept]] = then[is_kept]
    return found, int(at.size)


def _matched(
    rows: pl.DataFrame, client: str, kept: pl.DataFrame, champion: str
) -> tuple[np.ndarray, np.ndarray]:
    """(places of rows, places of their forecasts under this champion).

    A row's forecast is that of the same client and date; of undated ones the client's earliest.
    """
    import polars as pl

    ours = kept.with_row_index("_place").filter(pl.col("champion") == champion)
    ours = ours.unique(["_client", "_date"], keep="first", maintain_order=True)
    wanted = rows.select(pl.col(client).cast(pl.String).alias("_client"), "_date", "_data_version")
    found = wanted.with_row_index("_at").join(
        ours.select("_client", "_date", "_place", pl.col("_data_version").alias("_predicted")),
        on=["_client", "_date"],
        nulls_equal=True,
    )
    found = found.filter(
        pl.col("_date").is_not_null() | (pl.col("_predicted") < pl.col("_data_version"))
    )
    at, place = (found[name].to_numpy().astype(np.int64) for name in ("_at", "_place"))
    return at, place


def commit_state(
    config: Config, table: Snapshot, before: DecisionState, after: DecisionState
) -> DecisionState:
    """Write the state with its forecasts: those that are still open, and of the rows new to it."""
    import polars as pl

    open_rows = table.rows.filter(~table.usable)
    # Without those of rows that were taken out of the store.
    pairs = open_rows.select(pl.col(table.client).cast(pl.String).alias("_client"), "_date")
    kept = read_forecasts(config, before).join(
        pairs.unique(), on=["_client", "_date"], how="semi", nulls_equal=True
    )
    new = open_rows.filter(pl.col("_data_version") > before.forecast_until)
    made = _forecast_rows(after.comparison, new, table)
    # An empty one would hand on columns of models that are gone.
    frames = [frame for frame in (kept, made) if frame.height] or [made]
    waiting = _still_open(pl.concat(frames, how="diagonal"), table)
    until, name = table.version.number, None
    if waiting.height:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")
        name = f"forecasts-{until}-{now}.parquet"
        write_atomic(config.state_folder / name, _parquet(waiting))
    after = replace(after, forecast_until=until, forecasts_file=name)
    write_decision_state(config, after)
    for path in config.state_folder.glob("forecasts-*.parquet"):
        if path.name != name:  # only now: until the state was written it named the old one
            path.unlink()
    return after


def keep_forecasts(config: Config, table: Snapshot, state: DecisionState) -> None:
    """Commit forecasts of rows that came without a usable label, where there are new ones."""
    stored = read_decision_state(config)
    is_kept = stored is not None and stored.evaluation == state.evaluation
    if not is_kept or table.version.number > state.forecast_until:
        commit_state(config, table, state, state)


def forget_forecasts(config: Config, client: str) -> None:
    """Take one client out of the kept forecasts, for good."""
    import polars as pl

    for path in sorted(config.state_folder.glob("forecasts-*.parquet")):
        try:
            kept = pl.read_parquet(path)
        except pl.exceptions.PolarsError:
            path.unlink()  # unreadable to us, but perhaps not to somebody who looks for the client
            continue
        others = kept.filter(pl.col("_client") != client)
        if others.height < kept.height:
            write_atomic(path, _parquet(others))


def read_forecasts(config: Config, state: DecisionState) -> pl.DataFrame:
    """The kept forecasts: _client, _date, _data_version, champion (its digest), and log-odds."""
    import polars as pl

    keys = {"_client": pl.String, "_date": pl.Date, "_data_version": pl.Int64}
    empty = pl.DataFrame(schema=keys | {"champion": pl.String})
    if state.forecasts_file is None:
        return empty
    try:
        return pl.read_parquet(config.state_folder / state.forecasts_file)
    except (OSError, pl.exceptions.PolarsError):
        return empty  # lost: the present models speak instead, also fixed before the labels


def digest_of(model: Model) -> str:
    """What tells one base model from another: its terms and intercept."""
    terms = [term.to_json() for term in model.terms]
    return sha256(json.dumps([model.intercept, terms], sort_keys=True).encode())


def _still_open(kept: pl.DataFrame, table: Snapshot) -> pl.DataFrame:
    """The forecasts whose label is still to come: a label of the same client and date ends them,
    of undated ones any later label of the client."""
    import polars as pl

    client, end = pl.col(table.client).cast(pl.String), pl.col("_data_version")
    labels = table.known.select(client.alias("_client"), "_date", end.alias("_end"))
    ends = labels.group_by("_client", "_date").max()
    found = kept.join(ends, on=["_client", "_date"], how="left", nulls_equal=True)
    dated, end = pl.col("_date").is_not_null(), pl.col("_end")
    over = end.is_not_null() & (dated | (end > pl.col("_data_version")))
    return found.filter(~over).drop("_end")


def _forecast_rows(comparison: Comparison, rows: pl.DataFrame, table: Snapshot) -> pl.DataFrame:
    import polars as pl

    found = forecast(comparison, model_inputs(rows, comparison.champion), rows.height)
    head = rows.select(
        pl.col(table.client).cast(pl.String).alias("_client"),
        "_date",
        "_data_version",
        pl.lit(digest_of(comparison.champion)).alias("champion"),
    )
    return head.with_columns([pl.Series(name, values) for name, values in found.items()])


def _parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out, compression="zstd")
    return out.getvalue()

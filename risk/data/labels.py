"""Which labels may be used on a day, and which rows are those of the current clients."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from risk.data.schema import Schema


FEW = 50


def today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def mature(rows: pl.DataFrame, horizon_days: int, day: datetime.date) -> pl.Series:
    """Which labels may be used on the day: t + horizon lies behind it; undated ones always."""
    import polars as pl

    if not horizon_days:  # labels are final as they come
        return pl.repeat(True, rows.height, eager=True)
    limit = day - datetime.timedelta(days=horizon_days)
    return (rows["_date"] < limit).fill_null(True)


def usable_labels(
    rows: pl.DataFrame, schema: Schema, horizon_days: int, day: datetime.date
) -> pl.Series:
    """Which rows may be trained on or judged on the day: their label is known and mature."""
    return rows[schema.named("target")].is_not_null() & mature(rows, horizon_days, day)


def with_outcomes(
    rows: pl.DataFrame, schema: Schema, outcome_files: Collection[int]
) -> pl.DataFrame:
    """The rows with what files of outcomes alone say of them: each outcome is that of its client's
    newest row before it that waits for a label. _label_version: since when a label is known."""
    import polars as pl

    client, target = schema.named("id"), schema.named("target")
    rows = rows.with_columns(_label_version=pl.col("_data_version"))
    is_outcome = pl.col("_position").is_in(list(outcome_files))
    outcomes = rows.filter(is_outcome, pl.col(target).is_not_null())
    rows = rows.filter(~is_outcome)
    if not outcomes.height:
        return rows
    # An undated outcome or row is of any time.
    rows = rows.with_row_index("_at")
    waits = rows.filter(pl.col(target).is_null()).select("_at", client, own=pl.col("_date"))
    said = outcomes.select(client, "_date", "_data_version", label=pl.col(target))
    pairs = said.join(waits, on=client).filter((pl.col("own") <= pl.col("_date")).fill_null(True))
    newest = pairs.sort("own", "_at").group_by(client, "_date", maintain_order=True).last()
    found = newest.sort("_data_version").group_by("_at", maintain_order=True).first()
    rows = rows.join(found.select("_at", "label", since="_data_version"), on="_at", how="left")
    return (
        rows.sort("_at")
        .with_columns(
            pl.coalesce(target, "label").alias(target),
            pl.coalesce("since", "_label_version").alias("_label_version"),
        )
        .drop("_at", "label", "since")
    )


def next_maturity(rows: pl.DataFrame, schema: Schema, horizon_days: int, day: datetime.date) -> str:
    """The first later day on which another label may be used, "" if none waits."""
    waiting = rows.filter(
        rows[schema.named("target")].is_not_null() & ~mature(rows, horizon_days, day)
    )
    first = waiting["_date"].min()
    return str(first + datetime.timedelta(days=horizon_days + 1)) if first else ""  # type: ignore[operator]


def is_few(unlabelled: int, stayed: int) -> bool:
    """Whether so few rows without a label are gaps in an export and no list of their own.

    Up to a fiftieth: an export's blank cells are that few, those that are to be judged more.
    """
    return 0 < FEW * unlabelled <= stayed


def current_clients(rows: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, str]:
    """Each client's last row where it is a current client's, and the basis for saying so.

    "unlabelled": the last row (by date, then order) has no label and no labelled twin.
    "stayed": there is no such client, or only a few in files full of those whose last row says
    that the client stayed; these and the few.
    """
    import polars as pl

    client, target = schema.named("id"), schema.named("target")
    ordered = rows.with_row_index("_order").sort(
        "_date", "_order", nulls_last=False, maintain_order=True
    )
    # A label supersedes the unlabelled rows of its client and date; undated ones are no twins.
    known = pl.col(target).is_not_null().any().over(client, "_date")
    twin = known & pl.col(target).is_null() & pl.col("_date").is_not_null()
    last = (
        ordered.filter(~twin).unique(client, keep="last", maintain_order=True).sort("_order")
    ).drop("_order")
    unlabelled = last.filter(pl.col(target).is_null())
    if not unlabelled.height:
        return last.filter(pl.col(target) == 0), "stayed"
    # A gap stands in a file of labels. However few have a file of their own, or are newer than
    # every label, they are the ones that are to be judged.
    newest, files = unlabelled["_date"].max(), unlabelled["_position"].unique()
    beside = last.filter(pl.col(target) == 0, pl.col("_position").is_in(files.implode()))
    if newest is not None:
        beside = beside.filter((pl.col("_date") >= newest).fill_null(True))
    if is_few(unlabelled.height, beside.height):
        return last.filter((pl.col(target) == 0).fill_null(True)), "stayed"
    return unlabelled, "unlabelled"

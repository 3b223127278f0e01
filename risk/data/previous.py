"""What a client's earlier rows had: for each number its value before, and the mean of all before.

The columns stand beside those of the rows; a first observation and an undated row have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

PREVIOUS_DATE = "date (previous)"


def previous_name(column: str) -> str:
    return f"{column} (previous)"


def mean_name(column: str) -> str:
    return f"{column} (mean before)"


def earlier_names(columns: Iterable[str]) -> tuple[str, ...]:
    """The names of all that is known of these columns' earlier values."""
    return tuple(name for one in columns for name in (previous_name(one), mean_name(one)))


def with_earlier(rows: pl.DataFrame, client: str, numbers: Sequence[str]) -> pl.DataFrame:
    """The rows with the earlier values of these columns, and PREVIOUS_DATE as days since 1970; as
    they are where no client has two dates.

    rows: with _date; of several rows of a client and date the last one is what it had then.
    """
    import polars as pl

    names = (PREVIOUS_DATE, *earlier_names(numbers))
    dated = rows.filter(pl.col("_date").is_not_null()).select(client, "_date", *numbers)
    clients = dated[client].n_unique()
    # One of the company's own columns may have such a name: that one stays.
    if not numbers or clients == dated.height or set(names) & set(rows.columns):
        return rows
    known = dated.group_by(client, "_date", maintain_order=True).last().sort(client, "_date")
    if clients == known.height:
        return rows
    follows = pl.col(client) == pl.col(client).shift(1)
    days = pl.col("_date").to_physical().cast(pl.Float64).shift(1)
    found = [pl.when(follows).then(days).alias(PREVIOUS_DATE)]
    for name in numbers:
        value = pl.col(name).cast(pl.Float64)
        count = value.is_not_null().cast(pl.Float64).cum_sum().over(client)
        total = value.fill_null(0.0).cum_sum().over(client)
        found.append(pl.when(follows).then(value.shift(1)).alias(previous_name(name)))
        mean = (total / count).shift(1).fill_nan(None)
        found.append(pl.when(follows).then(mean).alias(mean_name(name)))
    earlier = known.select(client, "_date", *found)
    return rows.join(earlier, on=[client, "_date"], how="left", maintain_order="left")


def earlier_values(
    table: Mapping[str, Sequence[Any]], rows: pl.DataFrame, client: str, numbers: Sequence[str]
) -> dict[str, list[float | None]]:
    """PREVIOUS_DATE and the earlier values of rows that somebody sends, from the stored ones.

    table: the sent rows as columns, the client's id among them. A sent row that equals its client's
    newest stored one is that one; any other came after it. None for unknown clients.
    """
    import polars as pl

    names, ids = (PREVIOUS_DATE, *earlier_names(numbers)), table[client]
    found: dict[str, list[float | None]] = {name: [None] * len(ids) for name in names}
    own = rows.filter(pl.col("_date").is_not_null(), pl.col(client).is_in({i for i in ids if i}))
    if PREVIOUS_DATE not in rows.columns or not own.height:
        return found
    days = pl.col("_date").to_physical().cast(pl.Float64).alias("_day")
    means = [pl.col(name).mean().alias(f"_mean {name}") for name in numbers]
    newest = own.sort("_date", maintain_order=True).group_by(client).agg(pl.all().last(), *means)
    known = {row[client]: row for row in newest.with_columns(days).iter_rows(named=True)}
    for at, one in enumerate(ids):
        last = known.get(one)
        if last is None:
            continue
        is_last = all(table[name][at] == last[name] for name in numbers)
        found[PREVIOUS_DATE][at] = last[PREVIOUS_DATE if is_last else "_day"]
        for name in numbers:
            was, mean = previous_name(name), mean_name(name)
            found[was][at] = last[was] if is_last else last[name]
            found[mean][at] = last[mean] if is_last else last[f"_mean {name}"]
    return found

"""What speaks against labels that are given: outcomes that come under a later date.

With "given" a row's own target is the row's own label. An export that says who has left by its date
puts the outcome of a listed client under the next date, where it is never counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from risk.config import Config
from risk.data.movements import MEASURED_AFTER, measured_after_leaving
from risk.data.snapshot import Snapshot
from risk.script import script_command
from risk.words import amount

if TYPE_CHECKING:
    import polars as pl

SHARE_AGAIN = 0.5  # of who left, so many in the next file as left again: nobody leaves twice


def late_outcomes(snapshot: Snapshot) -> int:
    """Clients whose outcome is under a later date than the row that waits for it: a row without a
    label before one with, or a client who stayed by one date and has left by a later one where most
    who left stand in the next file as left again."""
    import polars as pl

    client, target = snapshot.client, snapshot.target
    dated = snapshot.rows.filter(pl.col("_date").is_not_null()).select(client, "_date", target)
    if dated["_date"].n_unique() < 2:
        return 0
    by_client = dated.group_by(client).agg(
        waits=pl.col("_date").filter(pl.col(target).is_null()).min(),
        stayed=pl.col("_date").filter(pl.col(target) == 0).min(),
        known=pl.col("_date").filter(pl.col(target).is_not_null()).max(),
        left=pl.col("_date").filter(pl.col(target) == 1).max(),
    )
    waiting = (pl.col("waits") < pl.col("known")).fill_null(False)
    moved = (pl.col("stayed") < pl.col("left")).fill_null(False) & _moves_as_a_status(
        dated, client, target
    )
    return by_client.filter(waiting | moved).height


def _moves_as_a_status(dated: pl.DataFrame, client: str, target: str) -> bool:
    """Whether most of those who left stand in the next file again, as left."""
    import polars as pl

    days = dated["_date"].unique().sort()
    following = pl.DataFrame({"_date": days[:-1], "_next": days[1:]})
    left = dated.filter(pl.col(target) == 1).select(client, "_date").unique()
    earlier = left.join(following, on="_date")
    again = earlier.join(left.rename({"_date": "_next"}), on=[client, "_next"], how="semi")
    return earlier.height > 0 and again.height > SHARE_AGAIN * earlier.height


def misread_sentence(config: Config, snapshot: Snapshot) -> str:
    """That outcomes come under a later date, with the command that mends it; "" where none does."""
    if config.labels != "given":
        return ""
    late = late_outcomes(snapshot)
    if not late:
        return ""
    clients = amount(late, "client")
    have = "has its outcome" if late == 1 else "have their outcome"
    mend = script_command("ingestion.py", config.path, "--labels", "status")
    return (
        f"{clients} {have} under a later date than the row it is of, where it never counts; if "
        f"{snapshot.target!r} says who has left by a row's date, type `{mend}`"
    )


def measured_after_words(config: Config, snapshot: Snapshot) -> str:
    """That a feature looks as if it was measured after the clients had left, with what mends it;
    "" where none does."""
    if config.labels != "given":
        return ""
    known = snapshot.known
    leak = measured_after_leaving(
        (known[name] for name in config.columns.features), known[snapshot.target]
    )
    if not leak:
        return ""
    mend = script_command("ingestion.py", config.path, "--labels", "status")
    return (
        f"{leak}: {MEASURED_AFTER}. If {snapshot.target!r} says who has left by a row's date, give "
        f"the files of two months or more and type `{mend}`; else take the column out of the "
        "features"
    )

"""Labels made from a status: rows that say who has left by their date -> who left in the window.

An observation is a client's row at its date, while it is a client; its label says whether the
client left within the label window after that date. A row that says "left" is an event: nobody is
trained on it, scored or listed by it, since its features are those of after the leaving.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

# A snapshot is partial, a region is missing say, where three times as many clients as usual are
# in it no more, and .15 of them more; until three pairs of snapshots were compared .1 is usual.
PARTIAL_FACTOR, PARTIAL_MORE, USUAL_SHARE, LEAST_PAIRS = 3.0, 0.15, 0.1, 3
USUAL_DAYS = 30  # the distance between snapshots while there is one


class PartialSnapshot(NamedTuple):
    """A date whose files lack far more of the clients before than files usually do."""

    date: datetime.date
    data_version: int
    missing: int
    of: int


@dataclass(frozen=True)
class StatusLabels:
    """What the rows of a status say.

    rows: the observations in their order, their target made anew (1 left, 0 stayed, None not known
    yet), _label_version the data version since which it is known, _window_end the date at which its
    window ended (None while it has not), _is_current whether it is the row of a current client.
    events: the rows of clients who had left. outcomes: how many rows of outcome files there are.
    window_days: how long after its date a leaving counts.
    """

    rows: pl.DataFrame
    events: pl.DataFrame
    outcomes: int
    window_days: int
    partial: tuple[PartialSnapshot, ...]

    def counts(self, target: str) -> dict[str, int]:
        """How many rows are what; observations = left + stayed + waiting, current among them."""
        labels = self.rows[target]
        left = int(labels.sum() or 0)
        return {
            "observations": self.rows.height,
            "left": left,
            "stayed": self.rows.height - labels.null_count() - left,
            "waiting": labels.null_count(),
            "current": int(self.rows["_is_current"].sum()),
            "events": self.events.height,
            "outcomes": self.outcomes,
        }


def counts_words(counts: Mapping[str, int], window_days: int) -> str:
    """The counts of StatusLabels as a sentence."""
    n = {name: f"{number:,}" for name, number in counts.items()}
    words = (
        f"labels made from the status: {n['observations']} rows of clients ({n['left']} left "
        f"within {window_days} days, {n['stayed']} stayed, {n['waiting']} not known yet), "
        f"{n['events']} rows of clients who had left"
    )
    if counts["outcomes"]:
        words += f", {n['outcomes']} rows of outcome files"
    return f"{words}; {n['current']} current clients"


def make_labels(
    rows: pl.DataFrame,
    client: str,
    target: str,
    *,
    window_days: int = 0,
    vanished: str = "unknown",
    outcome_files: Collection[int] = (),
) -> StatusLabels:
    """The labels of rows whose target says who has left by the row's date.

    rows: with _date, _data_version and _position. window_days: 0 for the usual distance between
    snapshots, so that the next one tells. vanished: "left" where who is in no later file has left.
    outcome_files: positions of the files that hold clients and outcomes alone.
    """
    import polars as pl

    is_outcome = pl.col("_position").is_in(list(outcome_files))
    has_left = (pl.col(target) == 1).fill_null(False)
    exports, outcomes = rows.filter(~is_outcome), rows.filter(is_outcome)
    seen = _dated(rows.filter(~has_left), client)
    left = _leavings(_dated(rows.filter(has_left), client), seen, client)
    snapshots = Snapshots.of(_dated(exports, client), _dated(exports.filter(~has_left), client))
    window = window_days or snapshots.usual_days
    found = _observations(exports.filter(~has_left), client, left)
    found = snapshots.with_window(found, window)
    found = _with_next(found, left, client, "_left")
    found = _with_next(found, seen, client, "_seen", after="_end")
    found = found.join(snapshots.vanished(client), on=[client, "_date"], how="left")
    found = found.join(_reported(found, outcomes, client, target), on="_at", how="left")
    label, since = _label(found, vanished=vanished == "left")
    made = found.with_columns(
        label.cast(rows.schema[target]).alias(target),
        since.alias("_label_version"),
        pl.col("_end").alias("_window_end"),
        snapshots.is_current(client, found).alias("_is_current"),
    ).sort("_at")
    made = made.select(*rows.columns, "_label_version", "_window_end", "_is_current")
    events = exports.filter(has_left)
    return StatusLabels(made, events, outcomes.height, window, snapshots.partial)


def _dated(rows: pl.DataFrame, client: str) -> pl.DataFrame:
    """Client and _date once, since the first data version that had them, by date."""
    import polars as pl

    dated = rows.filter(pl.col("_date").is_not_null())
    return dated.group_by(client, "_date").agg(_since=pl.col("_data_version").min()).sort("_date")


def _leavings(left: pl.DataFrame, seen: pl.DataFrame, client: str) -> pl.DataFrame:
    """The dates at which clients had left; the day after where an earlier file had it as a client
    on the very date, so that it is what came of that row."""
    import polars as pl

    earlier = seen.rename({"_since": "_seen_since"})
    found = left.join(earlier, on=[client, "_date"], how="left")
    after = (pl.col("_seen_since") < pl.col("_since")).fill_null(False)
    days = pl.col("_date") + pl.duration(days=after.cast(pl.Int64))
    return found.select(client, days.alias("_date"), "_since").sort("_date")


def _observations(rows: pl.DataFrame, client: str, left: pl.DataFrame) -> pl.DataFrame:
    """The rows of clients, numbered in _at; a file that says both of a client says left."""
    return rows.with_row_index("_at").join(left, on=[client, "_date"], how="anti")


def _with_next(
    found: pl.DataFrame, others: pl.DataFrame, client: str, name: str, after: str = ""
) -> pl.DataFrame:
    """With the first of `others` of the same client after _date, or at or after another column:
    its date under `name`, and its data version."""
    key = after or "_date"
    named = others.rename({"_date": name, "_since": f"{name}_since"})
    return found.sort(key, nulls_last=True).join_asof(
        named,
        left_on=key,
        right_on=name,
        by=client,
        strategy="forward",
        allow_exact_matches=bool(after),
        check_sortedness=False,
        coalesce=False,
    )


def _reported(
    found: pl.DataFrame, outcomes: pl.DataFrame, client: str, target: str
) -> pl.DataFrame:
    """What outcome files say of a client's newest observation at or before their date: _at,
    _reported and _reported_since.

    Files that name leavers alone are left to the window: without those who stayed they would make
    a month of leavers only.
    """
    import polars as pl

    known = outcomes.filter(pl.col(target).is_not_null())
    both = pl.col(target).n_unique().over("_position") == 2
    own = known.filter(both).select(
        client, pl.col("_date").alias("_on"), pl.col(target).alias("_reported"), "_data_version"
    )
    matched = own.sort("_on", nulls_last=True).join_asof(
        found.select(client, "_date", "_at").sort("_date", nulls_last=True),
        left_on="_on",
        right_on="_date",
        by=client,
        strategy="backward",
        check_sortedness=False,
    )
    matched = matched.filter(pl.col("_at").is_not_null()).sort("_data_version")
    return matched.group_by("_at", maintain_order=True).agg(
        pl.col("_reported").last(), _reported_since=pl.col("_data_version").first()
    )


def _label(found: pl.DataFrame, *, vanished: bool) -> tuple[pl.Expr, pl.Expr]:
    """(the label, the data version since which it is known), as expressions on `found`.

    Nothing is known before the window's end: else its leavers would be known for months before
    those who stay, and a model would learn that everybody leaves.
    """
    import polars as pl

    ended = pl.col("_end").is_not_null()
    left = ended & (pl.col("_left") <= pl.col("_end")).fill_null(False)
    gone = ended & pl.lit(vanished) & (pl.col("_gone") <= pl.col("_end")).fill_null(False)
    stayed = ended & pl.col("_seen").is_not_null()
    reported = pl.col("_reported")
    label = (
        pl.when(left)
        .then(1)
        .when(reported.is_not_null())
        .then(reported)
        .when(gone)
        .then(1)
        .when(stayed)
        .then(0)
        .otherwise(None)
    )
    end = pl.col("_end_since")
    made = (
        pl.when(left)
        .then(pl.max_horizontal("_left_since", end))
        .when(gone)
        .then(pl.max_horizontal("_gone_since", end))
        .otherwise(pl.max_horizontal("_seen_since", end))
    )
    # What a report said first is known since then, unless a later leaving overrules it.
    overruled = left & (reported != 1).fill_null(False)
    since = pl.when(reported.is_not_null() & ~overruled).then("_reported_since").otherwise(made)
    return label, pl.max_horizontal(since, "_data_version")


@dataclass(frozen=True)
class Snapshots:
    """The dates of the exports, one row each by date, and who was seen as a client at which.

    days: _date, _since (the data version from which on it can be relied on), _whole (whether it
    lacks no more clients than files usually do). seen: client, _date, _since.
    """

    days: pl.DataFrame
    present: pl.DataFrame
    seen: pl.DataFrame
    usual_days: int
    partial: tuple[PartialSnapshot, ...]

    @classmethod
    def of(cls, present: pl.DataFrame, seen: pl.DataFrame) -> Snapshots:
        """present: all rows by client and date, those of clients who had left too."""
        import polars as pl

        days = present.group_by("_date").agg(_since=pl.col("_since").max()).sort("_date")
        client = present.columns[0]
        steps = days["_date"].diff().drop_nulls().dt.total_days()
        usual = max(1, round(float(steps.median() or USUAL_DAYS))) if steps.len() else USUAL_DAYS  # type: ignore[arg-type]
        days = _with_missing(days, present, seen, client)
        is_partial = pl.col("_suspect") & ~pl.col("_confirmed")
        # A wave is believed when the snapshot after it has them neither.
        late = pl.when("_suspect").then(pl.col("_since").shift(-1)).otherwise("_since")
        days = days.with_columns(_whole=~is_partial, _since=pl.coalesce(late, "_since"))
        told = days.filter(~pl.col("_whole")).select("_date", "_since", "_missing", "_of")
        partial = tuple(PartialSnapshot(*row) for row in told.rows())
        return cls(days, present, seen, usual, partial)

    def with_window(self, found: pl.DataFrame, window: int) -> pl.DataFrame:
        """With the end of each observation's window in _end: the first whole snapshot that is not
        clearly before _date + window, None while there is none; and its data version."""
        import polars as pl

        # Half a step early is in time: the month end 89 days later ends a window of 90.
        early = datetime.timedelta(days=min(window, self.usual_days) // 2)
        wanted = pl.col("_date") + datetime.timedelta(days=window) - early
        ends = self.days.filter("_whole").select(
            pl.col("_date").alias("_end"), pl.col("_since").alias("_end_since")
        )
        dated = found.with_columns(wanted.alias("_wanted"))
        return dated.sort("_wanted", nulls_last=True).join_asof(
            ends,
            left_on="_wanted",
            right_on="_end",
            strategy="forward",
            check_sortedness=False,
            coalesce=False,
        )

    def vanished(self, client: str) -> pl.DataFrame:
        """Client, _date, and the first whole snapshot after it that the client is not in, in _gone;
        None where it is in all of them."""
        import polars as pl

        whole = self.days.filter("_whole").select("_date", "_since")
        after = self.seen.select(client, "_date").join_asof(
            whole.rename({"_date": "_next", "_since": "_gone_since"}),
            left_on="_date",
            right_on="_next",
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
            coalesce=False,
        )
        there = self.present.select(
            client, pl.col("_date").alias("_next"), pl.lit(True).alias("_there")
        )
        after = after.join(there, on=[client, "_next"], how="left")
        gone = pl.col("_next").is_not_null() & pl.col("_there").is_null()
        own = [
            pl.when(gone).then(name).otherwise(None).backward_fill().over(client)
            for name in ("_next", "_gone_since")
        ]
        return after.sort(client, "_date").select(
            client, "_date", own[0].alias("_gone"), own[1].alias("_gone_since")
        )

    def is_current(self, client: str, found: pl.DataFrame) -> pl.Expr:
        """Whether an observation is its client's newest, of the newest whole snapshot or later, and
        nothing says that the client has left since."""
        import polars as pl

        whole = self.days.filter("_whole")["_date"].max()
        newest = pl.col("_at") == pl.col("_at").sort_by("_date", "_at").last().over(client)
        left = pl.col("_left").is_not_null()
        return ((pl.col("_date") >= pl.lit(whole)) & newest & ~left).fill_null(False)


def _with_missing(
    days: pl.DataFrame, present: pl.DataFrame, seen: pl.DataFrame, client: str
) -> pl.DataFrame:
    """With how many clients of the snapshot before each lacks: _missing of _of, whether that is
    far more than usual (_suspect), and whether most stayed away afterwards (_confirmed)."""
    import polars as pl

    pairs = days.select(pl.col("_date").alias("_before"), pl.col("_date").shift(-1).alias("_date"))
    was = seen.select(client, pl.col("_date").alias("_before")).join(pairs, on="_before")
    was = was.filter(pl.col("_date").is_not_null())
    here = present.select(client, "_date", pl.lit(True).alias("_here"))
    was = was.join(here, on=[client, "_date"], how="left")
    last = present.group_by(client).agg(_last=pl.col("_date").max())
    was = was.join(last, on=client, how="left")
    missing = pl.col("_here").is_null()
    sums = was.group_by("_date").agg(
        _of=pl.len(),
        _missing=missing.sum(),
        _back=(missing & (pl.col("_last") > pl.col("_date"))).sum(),
    )
    found = days.join(sums, on="_date", how="left").sort("_date")
    found = found.with_columns(pl.col("_of", "_missing", "_back").fill_null(0))
    share = found["_missing"] / found["_of"].replace(0, 1)
    known = share.filter(found["_of"] > 0)
    usual = float(known.median() or 0.0) if known.len() >= LEAST_PAIRS else USUAL_SHARE  # type: ignore[arg-type]
    suspect = share > max(PARTIAL_FACTOR * usual, usual + PARTIAL_MORE)
    is_last = found["_date"] == found["_date"].max()
    confirmed = ~is_last & (2 * found["_back"] < found["_missing"])
    return found.with_columns(_suspect=suspect, _confirmed=confirmed)

"""What came true of what the lists predicted: the score history joined to the labels.

The risk and the rank of a row are those of its first score, fixed before anything was known; it was
listed if any list before the label called the client. A row that arrived with its label was never
predicted, and does not count. What is claimed has its n, a 95 % interval and dates; nothing is
claimed before `least_outcomes` outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

import numpy as np

from risk.config import Config
from risk.data.misread import misread_sentence
from risk.data.snapshot import Snapshot
from risk.data.status import counts_words
from risk.files import utc_now
from risk.model.measures import Calibration, Gain, brier, calibration, cumulative_gains, wilson
from risk.record.contacts import first_contacts
from risk.record.scores import frame_of_rows, score_history, scorings
from risk.words import in_percent, percents

if TYPE_CHECKING:
    import polars as pl

FORMAT = 1
MOST_NAMES = 10
CAVEAT = (
    "calls change outcomes: a client who was called and stayed may be a success and no false alarm"
)


class _ShareLeft(TypedDict):
    """Of n rows so many left; share and its 95 % interval are None without rows."""

    n: int
    left: int
    share: float | None
    interval: list[float] | None


class _RandomShare(TypedDict):
    """The share that would have left of as many clients picked at random on each date."""

    n: int
    share: float
    interval: list[float]


class _GroupOutcomes(TypedDict):
    """What came of some rows. clients: how many different ones they are of."""

    n: int
    clients: int
    left: int
    listed: _ShareLeft
    not_listed: _ShareLeft
    at_random: _RandomShare
    hits: int
    false_alarms: int
    misses: int
    rightly_not_listed: int
    sentence: str


class _KnownOutcome(TypedDict):
    """One client whose outcome is known. of: how many clients the list had."""

    client: str
    name: NotRequired[str]
    date: str
    predicted_at: str
    risk: float
    rank: int
    of: int
    contacted: bool


_Span = TypedDict("_Span", {"from": str, "to": str})  # "from" is no name of a class's field


class Outcomes(_Span):
    """outcomes.json. known, waiting: rows with and without a label yet. While there are not
    `enough`, what is claimed of them is None and `why` is given. labels: what rows are what, where
    labels are made from a status. misread: that outcomes come under a later date, and what to type.
    """

    format: int
    made_at: str
    data_version: int
    least: int
    known: int
    waiting: int
    enough: bool
    why: str
    all: _GroupOutcomes | None
    contacted: _GroupOutcomes | None
    not_contacted: _GroupOutcomes | None
    caveat: str | None
    brier: dict[str, float] | None
    calibration: Calibration | None
    cumulative_gains: list[Gain] | None
    misses: list[_KnownOutcome]
    false_alarms: list[_KnownOutcome]
    labels: str
    misread: str


_NOTHING: Outcomes = {
    "format": FORMAT,
    "made_at": "",
    "data_version": 0,
    "least": 0,
    "known": 0,
    "waiting": 0,
    "from": "",
    "to": "",
    "enough": False,
    "why": "no outcome of a listed client is known yet",
    "all": None,
    "contacted": None,
    "not_contacted": None,
    "caveat": None,
    "brier": None,
    "calibration": None,
    "cumulative_gains": None,
    "misses": [],
    "false_alarms": [],
    "labels": "",
    "misread": "",
}


def parse_outcomes(body: Mapping[str, Any]) -> Outcomes:
    """What outcomes.json says; of an empty body that nothing is known."""
    return cast(Outcomes, {**_NOTHING, **body})


def outcomes_of(config: Config, snapshot: Snapshot) -> Outcomes:
    """All that is known of what the lists predicted, by the labels of the snapshot."""
    import polars as pl

    labels = snapshot.known.select(
        pl.col(snapshot.client).alias("client"),
        pl.col("_date").cast(pl.String).fill_null("").alias("date"),
        pl.col("_label_version").alias("arrived"),
        pl.col(snapshot.target).cast(pl.Int64).alias("left"),
    )
    files = sorted((f["data_version"], f.get("ingested_at", "")) for f in snapshot.files.values())
    known, waiting = join_labels(_predictions(config), labels)
    arrived = dict(files)  # of one data version when the last file was read
    known = mark_contacted(known, first_contacts(config), arrived)
    if snapshot.names:
        names = [snapshot.names.get(client, client) for client in known["client"]]
        known = known.with_columns(pl.Series("name", names, pl.String))
    found = claims(known, waiting, config.least_outcomes)
    status = snapshot.status
    return {
        **found,
        "made_at": utc_now(),
        "data_version": snapshot.version.number,
        "labels": counts_words(status.counts(snapshot.target), status.window_days)
        if status
        else "",
        "misread": misread_sentence(config, snapshot),
    }


def _predictions(config: Config) -> pl.DataFrame:
    """The scores of rows without a label, the oldest first, and what is known of their scorings.

    The first of each row, and every one that called the client. A list of clients who stayed has
    none: its rows have their label.
    """
    import polars as pl

    past = [scoring for scoring in scorings(config) if scoring.basis == "unlabelled"]
    about = {
        "scoring": pl.Series([one.number for one in past], dtype=pl.Int64),
        "data_version": pl.Series([one.data_version for one in past], dtype=pl.Int64),
        "at": pl.Series([one.at for one in past], dtype=pl.String),
        "of": pl.Series([one.clients for one in past], dtype=pl.Int64),
    }
    names = ("client", "date", "scoring", "risk", "rank", "called")
    query = f"SELECT {', '.join(names)} FROM scores WHERE first OR called ORDER BY scoring"
    # What a scoring says of all its clients is joined here: as cells it takes half of the time.
    rows = frame_of_rows(score_history(config).read(query), names)
    rows = rows.join(pl.DataFrame(about), on="scoring", maintain_order="left")
    return rows.with_columns(pl.col("called").cast(pl.Int64))


def join_labels(scores: pl.DataFrame, labels: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """(for every label that came later than a score of its row the first such score, `called` if
    any of them did, and `left`; how many rows wait for their label).

    labels: client, date, arrived (in which data version), left.

    An undated client's next label ends what was predicted of it so far; later scores wait for
    another.
    """
    import polars as pl

    # A label that was corrected within one data version counts as it is now.
    latest = labels.unique(["client", "date", "arrived"], keep="last", maintain_order=True)
    found = scores.sort("data_version", "scoring").join_asof(
        latest.sort("arrived"),
        left_on="data_version",
        right_on="arrived",
        by=["client", "date"],
        strategy="forward",
        allow_exact_matches=False,  # a label of the same data version was known to the list
        check_sortedness=False,
    )
    came, row = found["left"].is_not_null(), ["client", "date", "arrived"]
    known = found.filter(came).with_columns(pl.col("called").max().over(row))
    known = known.unique(row, keep="first", maintain_order=True).sort("date", "client", "scoring")
    return known, found.filter(~came).select("client", "date").unique().height


def mark_contacted(
    known: pl.DataFrame, first: dict[str, str], arrived: dict[int, str]
) -> pl.DataFrame:
    """The rows with `contacted`: whether anybody had called the client before the label came.

    However long before: those who were not called are to be untouched.
    """
    import polars as pl

    now = utc_now()
    marks = [
        # Before the files with the label were read: what came after cannot have changed it.
        client in first and first[client] < (arrived.get(data_version) or now)
        for client, data_version in zip(known["client"], known["arrived"], strict=True)
    ]
    return known.with_columns(pl.Series("contacted", marks, pl.Boolean))


def claims(known: pl.DataFrame, waiting: int, least: int) -> Outcomes:
    """All that is claimed of the known outcomes, or why nothing is yet."""
    dates = [date for date in known["date"] if date]
    unclaimed: Outcomes = {
        **_NOTHING,
        "least": least,
        "known": known.height,
        "waiting": waiting,
        "from": min(dates, default=""),
        "to": max(dates, default=""),
    }
    if known.height < least:
        why = "no list has named a client before its outcome was known"
        if known.height:
            why = f"{known.height:,} outcomes so far; nothing is claimed before {least:,}"
        elif waiting:
            why = f"no outcome is known yet of the {waiting:,} rows that were on a list"
        return {**unclaimed, "why": why}
    left, risks = known["left"].to_numpy(), known["risk"].to_numpy()
    # By the place on the list of its day: a share of the clients is called on each.
    places = 1 - (known["rank"].to_numpy() - 1) / known["of"].to_numpy()
    base_rate = brier(left, np.full(left.size, left.mean()))
    return {
        **unclaimed,
        "enough": True,
        "why": "",
        "all": group_figures(known),
        "contacted": group_figures(known.filter(known["contacted"])),
        "not_contacted": group_figures(known.filter(~known["contacted"])),
        "caveat": CAVEAT,
        "brier": {"value": brier(left, risks), "base_rate": base_rate},
        "calibration": calibration(left, risks),
        "cumulative_gains": cumulative_gains(left, places),
        "misses": _newest_clients(known, left=1, called=0),
        "false_alarms": _newest_clients(known, left=0, called=1),
    }


def group_figures(known: pl.DataFrame) -> _GroupOutcomes | None:
    """The counts and shares of these rows; None where there are none."""
    if not known.height:
        return None
    left = known["left"].to_numpy().astype(bool)
    called = known["called"].to_numpy().astype(bool)
    # Equal values as equal whole numbers, ten times as fast to compare as texts.
    clients, dates = (
        known[name].rank("dense").to_numpy().astype(np.int64) for name in ("client", "date")
    )
    listed, others = (share_left(left[part], clients[part]) for part in (called, ~called))
    drawn = random_figures(left, called, clients, dates)
    sentence = "none of these clients was on the call list"
    if listed["share"] is not None and listed["interval"] is not None:
        sentence = (
            f"of 100 clients we listed, {in_percent(listed['share'])} left "
            f"({percents(listed['interval'])}); of 100 picked at random, "
            f"{in_percent(drawn['share'])} would have ({percents(drawn['interval'])})"
        )
    return {
        "n": int(left.size),
        "clients": known["client"].n_unique(),
        "left": int(left.sum()),
        "listed": listed,
        "not_listed": others,
        "at_random": drawn,
        "hits": int(np.sum(left & called)),
        "false_alarms": int(np.sum(~left & called)),
        "misses": int(np.sum(left & ~called)),
        "rightly_not_listed": int(np.sum(~left & ~called)),
        "sentence": sentence,
    }


def share_left(left: np.ndarray, clients: np.ndarray) -> _ShareLeft:
    """How many rows, how many left, the share and its 95 % interval (None without rows)."""
    if not left.size:
        return {"n": 0, "left": 0, "share": None, "interval": None}
    # Wilson's interval of the same share of fewer rows: those that count as independent.
    share, rows = float(left.mean()), effective_rows(left, clients)
    interval = wilson(share * rows, rows)
    return {"n": int(left.size), "left": int(left.sum()), "share": share, "interval": interval}


def effective_rows(left: np.ndarray, clients: np.ndarray) -> float:
    """As how many independent rows these count, since a client's rows tell much the same.

    By the variance between clients; never more than there are.
    """
    _, own = np.unique(clients, return_inverse=True)
    share, several = left.mean(), int(own.max()) + 1
    single = share * (1 - share) * left.size
    if not single:
        return float(several)
    between = float(np.sum(np.bincount(own, weights=left - share) ** 2))
    return float(np.clip(left.size * single / between if between else left.size, 1, left.size))


def random_figures(
    left: np.ndarray, called: np.ndarray, clients: np.ndarray, dates: np.ndarray
) -> _RandomShare:
    """What as many clients drawn by lot on each date would have come to."""
    _, of = np.unique(dates, return_inverse=True)
    # By date, since on a bad date a draw by lot would have met more who leave, too.
    rates = np.bincount(of, weights=left) / np.bincount(of)
    drawn = np.bincount(of, weights=called)
    share = float((drawn * rates).sum() / drawn.sum()) if drawn.sum() else float(left.mean())
    # Clients are drawn as they are, with their repeated rows: the interval is as wide as theirs.
    rows = effective_rows(left, clients)
    return {"n": int(left.size), "share": share, "interval": wilson(share * rows, rows)}


def _newest_clients(known: pl.DataFrame, *, left: int, called: int) -> list[_KnownOutcome]:
    """The last such clients, the newest date first, by rank where dates are equal."""
    found = known.filter((known["left"] == left) & (known["called"] == called))
    found = found.sort(["date", "scoring", "rank"], descending=[True, True, False])
    found = found.head(MOST_NAMES).rename({"at": "predicted_at"})
    columns = [name for name in _KnownOutcome.__annotations__ if name in found.columns]
    clients: Any = found.select(columns).to_dicts()
    return list[_KnownOutcome](clients)

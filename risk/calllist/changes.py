"""The list beside earlier ones: each client's change and history, who is new, who is off.

A move is split exactly: the new row's risk by the old model less the old risk is the data's part,
the rest the new model's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from risk.calllist.types import CallList, Change, ListSnapshot, Move, OffList
from risk.config import Config, PipelineError
from risk.data.schema import Schema
from risk.data.snapshot import Snapshot, feature_kinds
from risk.files import sha256
from risk.model.deployed import Deployed
from risk.model.model import Model
from risk.record.contacts import newest_contacts
from risk.record.scores import (
    Scoring,
    record_scores,
    risks_in,
    scored_frame,
    scores_in,
    scores_of,
    scoring_of,
    scorings,
)
from risk.releases import kept_releases
from risk.words import STEADY_BELOW

if TYPE_CHECKING:
    import polars as pl

SNAPSHOTS, MOST_MOVES = 12, 10


@dataclass(frozen=True)
class Present:
    """The list as a scoring among those before it.

    scored: what it says of its clients; scores: their scores, both in its order. past: the scorings
    before, oldest first. before: the scores of the last of them. kept: whether the score history
    has this scoring already.
    """

    scoring: Scoring
    scored: pl.DataFrame
    scores: pl.DataFrame
    past: list[Scoring]
    before: pl.DataFrame
    kept: bool


def present_of(
    config: Config, listing: CallList, snapshot: Snapshot, deployed: Deployed
) -> Present:
    """The list, made of this snapshot by this release, as a scoring."""
    import polars as pl

    past, column = scorings(config), listing.column
    own = ("client", "date", "risk", "rank", "band")
    reasons = [tuple((reason.points, reason.text) for reason in r) for r in column("reasons")]
    scored = scored_frame(
        {name: column(name) for name in own} | {"called": column("call"), "reasons": reasons}
    )
    scoring = scoring_of(
        scored,
        past,
        data_version=listing.data_version,
        data_date=listing.data_date,
        at=listing.scored_at,
        model_version=listing.model_version,
        model=deployed.sha256,
        basis=listing.basis,
    )
    # The list that was recorded last, made again: compared with those before itself.
    if past and scoring is past[-1]:
        kept = scores_in(config, scoring.number)
        kept = scored.select("client").join(kept, on="client", how="left", maintain_order="left")
        return Present(scoring, scored, kept, past[:-1], kept.clear(), True)
    before = scores_in(config, past[-1].number if past else 0)
    formers = scored.select("client", former="risk")
    if not past:
        formers = formers.clear()
    elif past[-1].model != scoring.model:  # by the same model all of a move is the data's
        model = _kept_model(config, past[-1], snapshot.schema, deployed)
        formers = _former_risks(model, past[-1], before, snapshot)
    scores = scores_of(scored, scoring.number, before, formers.cast({"former": pl.Float64}))
    return Present(scoring, scored, scores, past, before, False)


def record_list(config: Config, present: Present) -> None:
    """Record the scoring, unless the score history has it already; with the lock held."""
    if not present.kept:
        last = present.past[-1] if present.past else None
        scoring, scores, scored = present.scoring, present.scores, present.scored
        record_scores(config, scoring, scores, scored, last, present.before)


def _former_risks(
    model: Model | None, last: Scoring, before: pl.DataFrame, snapshot: Snapshot
) -> pl.DataFrame:
    """client, former: the risk of its present row by the model of the last scoring, None: not
    known.

    A row that was there at the last scoring has the risk that was shown. A row that came since is
    new to that model, but where it replaces another and has a label it may not be.
    """
    import polars as pl

    current, basis = snapshot.current
    risks: list[float | None] = [None] * current.height
    if model is not None:
        table = model.table(current)
        # Six digits, as the list has them: else a row that did not change would seem to move.
        risks = [round(risk, 6) for risk in model.probabilities(table).tolist()]
    rows = current.select(
        pl.col(snapshot.client).alias("client"),
        pl.col("_date").cast(pl.String).fill_null("").alias("date"),
        (pl.col("_data_version") <= last.data_version).alias("early"),
        ((pl.col("_data_version") > 0) & ~pl.col("_replaced")).alias("once"),
        pl.col("_replaced"),
        pl.Series("former", risks, pl.Float64),
    )
    shown = before.select("client", "date", shown="risk")
    rows = rows.join(shown, on=["client", "date"], how="left", maintain_order="left")
    stood = pl.col("shown").is_not_null() & pl.col("early") & pl.col("once")
    unseen = pl.lit(basis == "unlabelled") | ~(pl.col("_replaced") | pl.col("early"))
    found = pl.when(stood).then("shown").when(unseen).then("former")
    return rows.select("client", found.alias("former"))


def _kept_model(
    config: Config, scoring: Scoring, schema: Schema, deployed: Deployed
) -> Model | None:
    """The model of an earlier scoring; None if no kept release has it or its columns are others."""
    kinds = feature_kinds(schema)
    if deployed.former and deployed.former.sha256 == scoring.model:
        former = deployed.former.model
        return former if former.columns.items() <= kinds.items() else None
    for release in reversed(kept_releases(config)):
        if release.manifest["files"]["model.json"] != scoring.model:
            continue
        try:
            raw = (release.folder / "model.json").read_bytes()
            model = Model.from_bytes(raw) if sha256(raw) == scoring.model else None
        except (OSError, PipelineError):
            continue  # a damaged former release costs the split of the moves, never the list
        if model and model.columns.items() <= kinds.items():
            return model
    return None


def with_changes(
    config: Config, listing: CallList, present: Present, snapshot: Snapshot
) -> CallList:
    """The list with every client's change, history and contact, and who is new, off and moved."""
    base = base_of(present.past, present.scoring)
    then = present.before if base else present.before.clear()
    if base and (present.kept or base is not present.past[-1]):
        then = scores_in(config, base.number)
    shown = snapshots_of([*present.past, present.scoring])
    contacts = newest_contacts(config)
    listing = listing.with_columns(
        change=changes_of(base.day if base else "", then, present.scores),
        # The present risks are those of the list: its scoring is recorded after it is written.
        history=histories([risks_in(config, s.number) for s in shown[:-1]], present.scores),
        contact=[contacts.get(client) for client in listing.column("client")],
    )
    called = then.filter("called").sort("rank")  # by the place that people saw
    return replace(
        listing,
        since=base.day if base else None,
        snapshots=tuple(ListSnapshot(s.day, s.at, s.model_version) for s in shown),
        new=newly_called(listing, set(called["client"])) if base else (),
        off=_no_longer_called(listing, called, snapshot),
        moves=_largest_moves(listing),
    )


def base_of(past: list[Scoring], present: Scoring) -> Scoring | None:
    """What the list is compared with: the last snapshot of an earlier date (of undated rows: of an
    earlier data version), else the first scoring; None where there is none."""
    if present.data_date:
        earlier = [scoring for scoring in past if scoring.data_date < present.data_date]
    else:
        earlier = [scoring for scoring in past if scoring.data_version < present.data_version]
    return earlier[-1] if earlier else past[0] if past else None


def snapshots_of(kept: list[Scoring]) -> list[Scoring]:
    """The last scoring of each date (of undated rows: of each data version), the last twelve."""
    last: dict[str | int, Scoring] = {}
    for scoring in kept:
        key = scoring.data_date or scoring.data_version
        last.pop(key, None)  # so that a later scoring of an early date stands at its own time
        last[key] = scoring
    return list(last.values())[-SNAPSHOTS:]


def changes_of(since: str, then: pl.DataFrame, now: pl.DataFrame) -> list[Change | None]:
    """The move of each client of now in whole percentage points, and the data's and the model's
    part, which add up; None for one who was not there.

    What rounding adds to the sum is halved between them, so that a part of nothing is no point.
    """
    import polars as pl

    old = then.select("client", pl.col("risk", "chain", "shift").name.prefix("old_"))
    both = now.join(old, on="client", how="left", maintain_order="left")
    new, before = both["risk"].to_numpy(), both["old_risk"].to_numpy()
    points = np.rint(100 * new) - np.rint(100 * before)  # as in_percent(): halves to the even one
    model = both["shift"].to_numpy() - both["old_shift"].to_numpy()
    data = new - before - model
    own = np.rint(100 * data + (points - 100 * (data + model)) / 2)
    split = (both["chain"] == both["old_chain"]).fill_null(False)
    made: dict[tuple[float, float | None], Change] = {}  # a few hundred of all clients'
    found: list[Change | None] = []
    for move, part, known in zip(points.tolist(), own.tolist(), split, strict=True):
        if move != move:  # nan: not there then
            found.append(None)
            continue
        key = move, part if known else None
        if key not in made:
            rest = (int(part), int(move) - int(part)) if known else (None, None)
            made[key] = Change(since, int(move), *rest)
        found.append(made[key])
    return found


def histories(past: list[pl.DataFrame], now: pl.DataFrame) -> list[tuple[int | None, ...]]:
    """Each client's risks of the scorings (client, risk) and of now in whole percents, from the
    first that the client was in; None for a gap."""
    import polars as pl

    risks = now.select("client", "risk")
    for number, scoring in enumerate(past):
        own = scoring.select("client", pl.col("risk").alias(str(number)))
        risks = risks.join(own, on="client", how="left", maintain_order="left")
    columns = [*map(str, range(len(past))), "risk"]
    # 100 x risk by halves to the even one, as in_percent() has it.
    percents = (np.rint(100 * risks[name].to_numpy()) for name in columns)
    whole = (pl.Series(c).fill_nan(None).cast(pl.Int64).to_list() for c in percents)
    rows = list(zip(*whole, strict=True))
    return [row if row[0] is not None else _from_first(row) for row in rows]


def _from_first(row: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return row[next(at for at, percent in enumerate(row) if percent is not None) :]


def newly_called(listing: CallList, before: set[str]) -> tuple[str, ...]:
    """Who is on the call list and was not then, by rank."""
    return tuple(client.client for client in listing.called if client.client not in before)


def _no_longer_called(
    listing: CallList, then: pl.DataFrame, snapshot: Snapshot
) -> tuple[OffList, ...]:
    """Who of these, called then, is not on the call list, in their order, and what became of
    them."""
    import polars as pl

    called = {client.client for client in listing.called}
    off = then.filter(~pl.col("client").is_in(list(called)))
    client, target = snapshot.client, snapshot.target
    own = snapshot.rows.filter(
        pl.col(client).is_in(off["client"].implode()) & pl.col(target).is_not_null()
    )
    own = own.sort("_date", nulls_last=False, maintain_order=True)
    labels = dict(zip(own[client], own[target], strict=True))  # the newest of each client
    words = {None: "gone", 0: "stayed", 1: "left"}
    return tuple(
        OffList(
            name,
            rank,
            risk,
            "open" if name in listing.by_name else words[labels.get(name)],
            snapshot.names.get(name, ""),
        )
        for name, rank, risk in off.select("client", "rank", "risk").rows()
    )


def _largest_moves(listing: CallList) -> tuple[Move, ...]:
    """The clients that moved most, the largest first, and by rank where they moved alike."""
    moved = [
        Move(client, rank, risk, change.points, change.data, change.model)
        for client, rank, risk, change in zip(
            *(listing.column(name) for name in ("client", "rank", "risk", "change")), strict=True
        )
        if change and abs(change.points) >= STEADY_BELOW
    ]
    return tuple(sorted(moved, key=lambda move: (-abs(move.points), move.rank))[:MOST_MOVES])

"""The list beside earlier ones: each client's change and history, who is new, who is off.

A move is split exactly: the new row's risk by the old model less the old risk is the data's part,
the rest the new model's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from risk.calllist.types import CallList, Change, ListSnapshot, Move, OffList
from risk.config import Config, PipelineError
from risk.data.schema import Schema
from risk.data.snapshot import Snapshot, feature_kinds
from risk.files import sha256
from risk.model.deployed import Deployed
from risk.model.model import Model
from risk.record.contacts import newest_contacts
from risk.record.scores import (
    Score,
    ScoredClient,
    Scoring,
    record_scores,
    risks_in,
    scores_in,
    scores_of,
    scoring_of,
    scorings,
    split_move,
)
from risk.releases import kept_releases
from risk.words import STEADY_BELOW, in_percent

SNAPSHOTS, MOST_MOVES = 12, 10


@dataclass(frozen=True)
class Present:
    """The list as a scoring among those before it.

    past: the scorings before, oldest first. before: the scores of the last of them. kept: whether
    the score history has this scoring already.
    """

    scoring: Scoring
    scored: list[ScoredClient]
    scores: dict[str, Score]
    past: list[Scoring]
    before: dict[str, Score]
    kept: bool


def present_of(
    config: Config, listing: CallList, snapshot: Snapshot, deployed: Deployed
) -> Present:
    """The list, made of this snapshot by this release, as a scoring."""
    past = scorings(config)
    scored = [
        ScoredClient(
            c.client, c.date, c.risk, c.rank, c.band, c.call,
            tuple((reason.points, reason.text) for reason in c.reasons),
        )
        for c in listing.clients
    ]  # fmt: skip
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
        return Present(scoring, scored, kept, past[:-1], {}, True)
    before = scores_in(config, past[-1].number) if past else {}
    formers: dict[str, float | None] = {}
    if past and past[-1].model == scoring.model:
        # By the same model the present risk is both: all of a move is the data's.
        formers = {client.client: client.risk for client in listing.clients}
    elif past:
        model = _kept_model(config, past[-1], snapshot.schema, deployed)
        formers = _former_risks(model, past[-1], before, snapshot)
    scores = scores_of(scored, scoring.number, before, formers)
    return Present(scoring, scored, scores, past, before, False)


def record_list(config: Config, present: Present) -> None:
    """Record the scoring, unless the score history has it already; with the lock held."""
    if not present.kept:
        last = present.past[-1] if present.past else None
        scoring, scores, scored = present.scoring, present.scores, present.scored
        record_scores(config, scoring, scores, scored, last, present.before)


def _former_risks(
    model: Model | None, last: Scoring, before: dict[str, Score], snapshot: Snapshot
) -> dict[str, float | None]:
    """Client -> the risk of its present row by the model of the last scoring, None: not known.

    A row that was there at the last scoring has the risk that was shown. A row that came since is
    new to that model, but where it replaces another and has a label it may not be.
    """
    current, basis = snapshot.current
    risks: list[float | None] = [None] * current.height
    if model is not None:
        table = model.table(current)
        # Six digits, as the list has them: else a row that did not change would seem to move.
        risks = [round(risk, 6) for risk in model.probabilities(table).tolist()]
    found: dict[str, float | None] = {}
    columns = [current[name] for name in (snapshot.client, "_date", "_data_version", "_replaced")]
    for name, date, data_version, replaced, risk in zip(*columns, risks, strict=True):
        score, old = before.get(name), 0 < data_version <= last.data_version and not replaced
        if score and old and score.date == str(date or ""):
            found[name] = score.risk
        else:
            unseen = basis == "unlabelled" or not (replaced or data_version <= last.data_version)
            found[name] = risk if unseen else None
    return found


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
    then = scores_in(config, base.number) if base else {}
    shown = snapshots_of([*present.past, present.scoring])
    # The present risks are those of the list: its scoring is recorded after the list is written.
    risks = [risks_in(config, scoring.number) for scoring in shown[:-1]]
    contacts = newest_contacts(config)
    changes = {
        name: change_of(base.day, old, present.scores[name])
        for name, old in then.items()
        if base and name in present.scores
    }
    clients = listing.clients
    listing = listing.with_columns(
        change=[changes.get(c.client) for c in clients],
        history=[history([*(past.get(c.client) for past in risks), c.risk]) for c in clients],
        contact=[contacts.get(c.client) for c in clients],
    )
    return replace(
        listing,
        since=base.day if base else None,
        snapshots=tuple(ListSnapshot(s.day, s.at, s.model_version) for s in shown),
        new=newly_called(listing, then) if base else (),
        off=_no_longer_called(listing, then, snapshot),
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


def change_of(since: str, old: Score, new: Score) -> Change:
    """The move in whole percentage points, and the data's and the model's part, which add up.

    What rounding adds to the sum is halved between them, so that a part of nothing is no point.
    """
    points, split = in_percent(new.risk) - in_percent(old.risk), split_move(old, new)
    if split is None:
        return Change(since, points, None, None)
    data, model = split
    own = round(100 * data + (points - 100 * (data + model)) / 2)
    return Change(since, points, own, points - own)


def history(risks: list[float | None]) -> tuple[int | None, ...]:
    """Whole percents from the first snapshot on that the client was in, None for a gap."""
    first = next(at for at, risk in enumerate(risks) if risk is not None)
    return tuple(None if risk is None else in_percent(risk) for risk in risks[first:])


def newly_called(listing: CallList, then: dict[str, Score]) -> tuple[str, ...]:
    """Who is on the call list and was not then, by rank."""
    before = {name for name, score in then.items() if score.called}
    return tuple(client.client for client in listing.called if client.client not in before)


def _no_longer_called(
    listing: CallList, then: dict[str, Score], snapshot: Snapshot
) -> tuple[OffList, ...]:
    """Who was on the call list then and is not, by the rank then, and what became of them."""
    import polars as pl

    called = {client.client for client in listing.called}
    off = [name for name, score in then.items() if score.called and name not in called]
    off.sort(key=lambda name: then[name].rank)  # by the place that people saw
    client, target = snapshot.client, snapshot.target
    own = snapshot.rows.filter(pl.col(client).is_in(off) & pl.col(target).is_not_null())
    own = own.sort("_date", nulls_last=False, maintain_order=True)
    labels = dict(zip(own[client], own[target], strict=True))  # the newest of each client
    words = {None: "gone", 0: "stayed", 1: "left"}
    became = ["open" if name in listing.by_name else words[labels.get(name)] for name in off]
    return tuple(
        OffList(n, then[n].rank, then[n].risk, b, snapshot.names.get(n, ""))
        for n, b in zip(off, became, strict=True)
    )


def _largest_moves(listing: CallList) -> tuple[Move, ...]:
    """The clients that moved most, the largest first, and by rank where they moved alike."""
    moved = [
        Move(c.client, c.rank, c.risk, c.change.points, c.change.data, c.change.model)
        for c in listing.clients
        if c.change and abs(c.change.points) >= STEADY_BELOW
    ]
    return tuple(sorted(moved, key=lambda move: (-abs(move.points), move.rank))[:MOST_MOVES])

"""The list beside what was told before: each client's change and history, who is new, who is off.

A move is split exactly: the new row's risk by the old model less the old risk is the data's part,
the rest the new model's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from risk.config import Config, PipelineError
from risk.data.schema import Schema
from risk.data.snapshot import Snapshot, feature_kinds
from risk.files import sha256
from risk.model.deployed import Deployed
from risk.model.model import Model
from risk.record.contacts import contact_json, newest_contacts
from risk.record.scores import (
    Score,
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

if TYPE_CHECKING:
    pass

SNAPSHOTS, MOST_MOVES, LEAST_MOVE = 12, 10, 5
ADDED = ("change", "history", "contact")


@dataclass(frozen=True)
class Present:
    """The list as a scoring among those before it.

    past: the scorings before, oldest first. before: the scores of the last of them. kept: whether
    the ledger has this scoring already.
    """

    scoring: Scoring
    scores: dict[str, Score]
    past: list[Scoring]
    before: dict[str, Score]
    kept: bool


def present_of(
    config: Config, listing: dict[str, Any], snapshot: Snapshot, deployed: Deployed
) -> Present:
    """The list, made of this snapshot by this release, as a scoring."""
    past = scorings(config)
    scoring = scoring_of(listing, deployed.sha256, past)
    if past and scoring is past[-1]:
        return Present(scoring, scores_in(config, scoring.number), past[:-1], {}, True)
    before = scores_in(config, past[-1].number) if past else {}
    formers: dict[str, float | None] = {}
    if past and past[-1].model == scoring.model:
        formers = {client["client"]: client["risk"] for client in listing["clients"]}
    elif past:
        model = _kept_model(config, past[-1], snapshot.schema, deployed)
        formers = _former_risks(model, past[-1], before, snapshot)
    scores = scores_of(listing, scoring.number, before, formers)
    return Present(scoring, scores, past, before, False)


def keep(config: Config, present: Present, listing: dict[str, Any]) -> None:
    """Record the scoring, unless the ledger has it already; with the lock held."""
    if not present.kept:
        last = present.past[-1] if present.past else None
        record_scores(config, present.scoring, present.scores, listing, last, present.before)


# ---------------------------------------------------------------- the former model


def _former_risks(
    model: Model | None, last: Scoring, before: dict[str, Score], snapshot: Snapshot
) -> dict[str, float | None]:
    """Client -> the risk of its present row by the model of the last scoring, None: not known.

    A row that was there at the last scoring has the risk that was told. A row that came since is
    new to that model, but where it replaces another and has a label it may not be.
    """
    current, basis = snapshot.current
    names = current[snapshot.client].to_list()
    risks: list[float | None] = [None] * len(names)
    if model is not None:
        table = {name: current[name].to_list() for name in model.columns}
        risks = [round(risk, 6) for risk in model.probabilities(table).tolist()]
    found: dict[str, float | None] = {}
    came = zip(
        names, current["_date"], current["_data_version"], current["_replaced"], risks, strict=True
    )
    for name, date, data_version, replaced, risk in came:
        told, old = before.get(name), 0 < data_version <= last.data_version and not replaced
        if told and old and told.date == str(date or ""):
            found[name] = told.risk
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
            continue
        if model and model.columns.items() <= kinds.items():
            return model
    return None


# ---------------------------------------------------------------- what the list says of it


def add_changes(
    config: Config, listing: dict[str, Any], present: Present, snapshot: Snapshot
) -> None:
    """Give every client its change, history and contact, and the list who is new, off and moved."""
    base = base_of(present.past, present.scoring)
    then = scores_in(config, base.number) if base else {}
    shown = snapshots_of([*present.past, present.scoring])
    risks = [risks_in(config, scoring.number) for scoring in shown[:-1]]
    contacts = newest_contacts(config)
    since = base.day if base else None
    for client in listing["clients"]:
        name = client["client"]
        moved = move(then[name], present.scores[name]) if name in then else None
        client["change"] = {"since": since, **moved} if moved else None
        client["history"] = history([*(told.get(name) for told in risks), client["risk"]])
        client["contact"] = contact_json(contacts.get(name))
    listing["since"] = since
    listing["snapshots"] = [
        {"date": s.day, "at": s.at, "model_version": s.model_version} for s in shown
    ]
    listing["new"] = newly_called(listing["clients"], then) if base else []
    listing["off"] = _no_longer_called(listing["clients"], then, snapshot)
    listing["moves"] = _largest_moves(listing["clients"])


def base_of(past: list[Scoring], present: Scoring) -> Scoring | None:
    """What the list is compared with: the last snapshot of an earlier date (of undated rows: of an
    earlier tick), else the first scoring; None where there is none."""
    dated = bool(present.data_date)
    earlier = [
        scoring
        for scoring in past
        if (
            scoring.data_date < present.data_date
            if dated
            else scoring.data_version < present.data_version
        )
    ]
    return earlier[-1] if earlier else past[0] if past else None


def snapshots_of(told: list[Scoring]) -> list[Scoring]:
    """The last scoring of each data date (of undated rows: of each tick), the last twelve."""
    last: dict[str | int, Scoring] = {}
    for scoring in told:
        key = scoring.data_date or scoring.data_version
        last.pop(key, None)
        last[key] = scoring
    return list(last.values())[-SNAPSHOTS:]


def percent(risk: float) -> int:
    """The risk as people are shown it."""
    return round(100 * risk)


def move(old: Score, new: Score) -> dict[str, Any]:
    """The move in whole percentage points, and the data's and the model's part, which add up.

    What rounding adds to the sum is halved between them, so that a part of nothing is no point.
    """
    points, split = percent(new.risk) - percent(old.risk), split_move(old, new)
    if split is None:
        return {"points": points, "data": None, "model": None}
    data, model = split
    whole = round(100 * data + (points - 100 * (data + model)) / 2)
    return {"points": points, "data": whole, "model": points - whole}


def history(risks: list[float | None]) -> list[int | None]:
    """Whole percents from the first snapshot on that the client was in, None for a gap."""
    first = next(at for at, risk in enumerate(risks) if risk is not None)
    return [None if risk is None else percent(risk) for risk in risks[first:]]


def newly_called(clients: list[dict[str, Any]], then: dict[str, Score]) -> list[str]:
    """Who is on the call list and was not then, by rank."""
    called = {name for name, score in then.items() if score.called}
    return [c["client"] for c in clients if c["call"] and c["client"] not in called]


def _no_longer_called(
    clients: list[dict[str, Any]], then: dict[str, Score], snapshot: Snapshot
) -> list[dict[str, Any]]:
    """Who was on the call list then and is not, by the rank then, and what became of them."""
    called = {client["client"] for client in clients if client["call"]}
    off = [name for name, score in then.items() if score.called and name not in called]
    off.sort(key=lambda name: then[name].rank)
    became = _became_of(off, {client["client"] for client in clients}, snapshot)
    return [
        {
            "client": name,
            "rank": then[name].rank,
            "risk": then[name].risk,
            "became": became[name],
        }
        for name in off
    ]


def _became_of(names: list[str], current: set[str], snapshot: Snapshot) -> dict[str, str]:
    """What became of each: open (still a current client), left, stayed, or gone (no rows)."""
    import polars as pl

    client, target = snapshot.client, snapshot.target
    own = snapshot.rows.filter(pl.col(client).is_in(names) & pl.col(target).is_not_null())
    own = own.sort("_date", nulls_last=False, maintain_order=True)
    labels = dict(zip(own[client], own[target], strict=True))
    words = {None: "gone", 0: "stayed", 1: "left"}
    return {name: "open" if name in current else words[labels.get(name)] for name in names}


def _largest_moves(clients: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The clients that moved most, the largest first, and by rank where they moved alike."""
    moved = [c for c in clients if c["change"] and abs(c["change"]["points"]) >= LEAST_MOVE]
    moved.sort(key=lambda c: (-abs(c["change"]["points"]), c["rank"]))
    return [
        {
            **{key: c[key] for key in ("client", "rank", "risk")},
            **{key: c["change"][key] for key in ("points", "data", "model")},
        }
        for c in moved[:MOST_MOVES]
    ]

"""The champion, those who would replace it, and what each says of a row; one look at new labels.

The same steps decide at a tick and in a replay: forecasts of rows, then a look when their labels
are known. Nothing here reads or writes a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from risk.decide.decision import NONE, RECALIBRATE, REVERT, ROLL_BACK
from risk.decide.evidence import (
    IDENTITY,
    NEWEST,
    RULE,
    Batch,
    Counters,
    Judgement,
    Recalibration,
    Rule,
    after_deployment,
    ensemble_weights,
    judge_certified,
    judge_fast,
    mean_recalibration,
    recalibrations,
)
from risk.model.candidates import Candidates, cross_fitted
from risk.model.ensemble import recalibrate, weighted_mean
from risk.model.model import Model

Raw = dict[str, np.ndarray]
Forecasts = dict[str, np.ndarray]
FAST_CANDIDATES = ("all", "half")
CERTIFIED_CHALLENGERS = {"all past": "all", "last file": "last", "last three files": "last3"}
RECALIBRATED = "recalibrated"


@dataclass(frozen=True)
class Comparison:
    """What a decision compares, fixed until the next look.

    champion: the deployed ranking, without a layer. name: what it is called when it is a former
    one. layer: what is laid over it as it is served. own: its layers. experts: models by name, each
    with its layers. former: earlier champions by name, the newest first. terms: the experts'.
    """

    policy: str
    champion: Model
    name: str
    standing: Counters
    layer: Recalibration = IDENTITY
    own: tuple[Recalibration, Recalibration] = (IDENTITY, IDENTITY)
    experts: dict[str, Model] = field(default_factory=dict)
    layers: dict[str, tuple[Recalibration, Recalibration]] = field(default_factory=dict)
    former: dict[str, Model] = field(default_factory=dict)
    terms: tuple[Any, ...] = ()

    @property
    def served(self) -> Model:
        return recalibrate(self.champion, self.layer)

    @property
    def challenger(self) -> Model:
        """The blend of all experts' layers by their scores."""
        return weighted_ensemble(self.experts, self.layers, self.standing)


@dataclass(frozen=True)
class ComparisonResult:
    """What a look ends with: the contest from now on, why, and the model to deploy, if any.

    action: the judgement's, or "layer" where only the champion's layer moved. judged: the model
    that was bet on, for the case that the refit in `model` is refused. refitted: the contest with
    its experts fitted anew, before any deployment. seen: log-odds of the judged rows by what is
    served from now on, as it was before it saw them. Shape (n,).
    """

    contest: Comparison
    judgement: Judgement
    action: str
    model: Model | None
    judged: Model | None
    refitted: Comparison
    seen: np.ndarray = field(default_factory=lambda: np.empty(0), compare=False)


def start_comparison(
    policy: str,
    champion: Model,
    name: str,
    experts: Candidates,
    former: dict[str, Model],
    rule: Rule = RULE,
) -> Comparison:
    """A contest about a champion that was just deployed, however it came there.

    It is served as it is until a look has seen rows that are new to it: on the rows that it was
    fitted to, a layer would take back what the ridge holds.
    """
    rows = experts.known.labels.size
    new = Comparison(policy, champion, name, Counters(rows=rows, rows_then=rows), former=former)
    return replace(refit(new, experts, rule), layer=IDENTITY)


def weighted_ensemble(
    experts: dict[str, Model],
    layers: dict[str, tuple[Recalibration, Recalibration]],
    standing: Counters,
) -> Model:
    """The weighted mean of the experts' layers: one model of their common terms."""
    shares = ensemble_weights(standing.experts)
    models = [recalibrate(experts[name], layer) for name in experts for layer in layers[name]]
    return weighted_mean(models, shares)


def forecast(contest: Comparison, raw: Raw, rows: int) -> Forecasts:
    """What every model says of the rows, as log-odds: {name: shape (n,)}."""
    base = contest.champion.log_odds_of(raw, rows)
    said = {"served": _recalibrate(base, contest.layer)}
    said |= {f"own {n}": _recalibrate(base, layer) for n, layer in enumerate(contest.own)}
    for name, model in contest.experts.items():
        found = model.log_odds_of(raw, rows)
        said |= {
            f"{name} {n}": _recalibrate(found, layer)
            for n, layer in enumerate(contest.layers[name])
        }
    said |= {
        f"former {name}": model.log_odds_of(raw, rows) for name, model in contest.former.items()
    }
    return said | _challengers_of(contest, said)


def _recalibrate(log_odds: np.ndarray, layer: Recalibration) -> np.ndarray:
    return layer[0] + layer[1] * log_odds


def _challengers_of(contest: Comparison, said: Forecasts) -> Forecasts:
    """The rivals that are bet on, by the names of the evidence."""
    if contest.policy == "certified":
        found = {
            f"rival {name}": said[f"{expert} 0"] for name, expert in CERTIFIED_CHALLENGERS.items()
        }
        return found | {f"rival {RECALIBRATED}": said["own 1"]}
    shares = ensemble_weights(contest.standing.experts)
    mean = sum(
        share * said[key] for share, key in zip(shares, candidate_keys(contest), strict=True)
    )
    return {"rival challenger": np.asarray(mean)}


def candidate_keys(contest: Comparison) -> list[str]:
    """The experts' layers, in the order of their scores."""
    return [f"{name} {n}" for name in contest.experts for n in (0, 1)]


def batch_of(
    contest: Comparison,
    y: np.ndarray,
    said: Forecasts,
    clients: np.ndarray,
    crossed: np.ndarray | None,
) -> Batch:
    """The rows with what was said of them; all rows of a client are in one half."""
    rivals = {key[6:]: said[key] for key in said if key.startswith("rival ")}
    former = {key[7:]: said[key] for key in said if key.startswith("former ")}
    experts = [said[key] for key in candidate_keys(contest)] if contest.policy == "fast" else []
    own = [said["own 0"], said["own 1"]]
    halves = folds_of(clients)
    return Batch(y, said["served"], own, experts, rivals, former, crossed, halves)


def folds_of(clients: np.ndarray) -> np.ndarray:
    """0 or 1 for each row, by a seeded lot of its client. Shape (n,)."""
    different, at = np.unique(clients.astype(str), return_inverse=True)
    order = np.random.default_rng([7, different.size]).permutation(different.size)
    return (order % 2)[at]


def compare(
    contest: Comparison, experts: Candidates, newest: np.ndarray, said: Forecasts, rule: Rule = RULE
) -> ComparisonResult:
    """One look: the models fixed before are judged, then all are fitted anew, these rows included.

    experts: of all labelled rows, the newest included. newest: the rows that are bet on, one of a
    client and period. said: what forecasts() said of them before their labels were known.
    """
    known = experts.known
    y, clients = known.labels[newest], known.clients[newest]
    half = folds_of(clients)
    fits = contest.policy == "fast" and contest.terms and newest.size >= rule.halves_rows
    cross = cross_fitted(list(contest.terms), known, newest, half) if fits else None
    batch = batch_of(contest, y, said, clients, cross)
    step = judge_fast if contest.policy == "fast" else judge_certified
    standing, judgement = step(contest.standing, batch, rule)
    standing = replace(standing, rows=known.labels.size)
    outcome = apply_judgement(
        replace(contest, standing=standing), contest, judgement, experts, rule
    )
    return replace(outcome, seen=predicted_before(batch, judgement))


def predicted_before(batch: Batch, judgement: Judgement) -> np.ndarray:
    """What the model that is served from now on said of these rows without having seen them."""
    known = {**batch.challengers, **batch.former, NEWEST: batch.crossed}
    said = known.get(judgement.target) if judgement.action != NONE else None
    return batch.served if said is None else said


def apply_judgement(
    after: Comparison, before: Comparison, judgement: Judgement, experts: Candidates, rule: Rule
) -> ComparisonResult:
    """What the judgement makes of the contest."""
    fresh = refit(after, experts, rule)
    if judgement.action == NONE:
        model = fresh.served if fresh.layer != after.layer else None
        return ComparisonResult(
            fresh, judgement, RECALIBRATE if model else NONE, model, None, fresh
        )
    model, judged = model_to_deploy(fresh, before, judgement, experts)
    new = promote(fresh, model, judgement, experts, rule)
    return ComparisonResult(new, judgement, judgement.action, new.served, judged, fresh)


def model_to_deploy(
    fresh: Comparison, before: Comparison, judgement: Judgement, experts: Candidates
) -> tuple[Model, Model | None]:
    """(the model to deploy, the one that was bet on where that is another and can be deployed)."""
    target = judgement.target
    if target in before.former:
        return before.former[target], None
    if target == NEWEST:
        return experts.model("last"), None
    if before.policy == "fast":
        return fresh.challenger, before.challenger
    if target == RECALIBRATED:
        return recalibrate(before.champion, fresh.own[1]), recalibrate(
            before.champion, before.own[1]
        )
    return experts.model(CERTIFIED_CHALLENGERS[target]), before.experts[
        CERTIFIED_CHALLENGERS[target]
    ]


def promote(
    contest: Comparison, model: Model, judgement: Judgement, experts: Candidates, rule: Rule
) -> Comparison:
    """The contest with a new champion; the old one joins the former ones."""
    former = {contest.name: contest.champion} | {
        name: earlier
        for name, earlier in contest.former.items()
        if name not in (contest.name, judgement.target)
    }
    kept = dict(list(former.items())[: rule.former if contest.policy == "fast" else 1])
    standing = after_deployment(contest.standing, judgement.action)
    new = replace(contest, champion=model, layer=IDENTITY, former=kept, standing=standing)
    if judgement.action in (REVERT, ROLL_BACK):
        new = replace(new, name=judgement.target)
    return _refit_recalibrations(new, experts, rule)


def refit(contest: Comparison, experts: Candidates, rule: Rule) -> Comparison:
    """The contest with every expert fitted on all rows, and every layer on the newest."""
    names = FAST_CANDIDATES if contest.policy == "fast" else tuple(CERTIFIED_CHALLENGERS.values())
    scores = contest.standing.experts or (0.0,) * (2 * len(names))
    new = replace(
        contest,
        experts={name: experts.model(name) for name in names},
        terms=tuple(experts.terms),
        standing=replace(contest.standing, experts=scores),
    )
    return _refit_recalibrations(new, experts, rule)


def _refit_recalibrations(contest: Comparison, experts: Candidates, rule: Rule) -> Comparison:
    """The layers fitted on the newest rows; "certified" serves its champion as it was proven."""
    known = experts.known
    rows = newest_rows(known.ages, rule.layer_rows)
    raw, y = known.rows(rows), known.labels[rows]

    def on(model: Model) -> tuple[Recalibration, Recalibration]:
        return recalibrations(model.log_odds_of(raw, rows.size), y, rule)

    own = on(contest.champion)
    layer = mean_recalibration(own, contest.standing.own) if contest.policy == "fast" else IDENTITY
    layers = {name: on(model) for name, model in contest.experts.items()}
    return replace(contest, own=own, layer=visibly_moved(contest.layer, layer), layers=layers)


def visibly_moved(old: Recalibration, new: Recalibration) -> Recalibration:
    """The new layer, the old one where nobody would see a difference (.02 in log-odds)."""
    return old if max(abs(old[0] - new[0]), abs(old[1] - new[1])) < 0.02 else new


def newest_rows(ages: np.ndarray, least: int) -> np.ndarray:
    """The rows of the newest looks, as many looks as it takes to have so many rows."""
    for age in range(int(ages.max(initial=0)) + 1):
        rows = np.flatnonzero(ages <= age)
        if rows.size >= least:
            return rows
    return np.arange(ages.size)

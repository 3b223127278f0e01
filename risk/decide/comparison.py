"""The champion, those who would replace it, and what each predicts; one evaluation of new labels.

The same steps decide in a run and in a replay: forecasts of rows, then an evaluation when their
labels are known. Nothing here reads or writes a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from risk.decide.decision import NONE, RECALIBRATE, REVERT, ROLL_BACK
from risk.decide.evidence import (
    IDENTITY,
    RULE,
    Recalibration,
    Rule,
    ensemble_weights,
    mean_recalibration,
    recalibrations,
)
from risk.decide.judgement import (
    NEWEST,
    Batch,
    Counters,
    Judgement,
    after_deployment,
    judge_certified,
    judge_fast,
)
from risk.model.candidates import Candidates, cross_fitted
from risk.model.design import DesignTerm
from risk.model.ensemble import recalibrate, weighted_mean
from risk.model.model import Model
from risk.model.terms import Raw

Forecasts = dict[str, np.ndarray]
_FAST_CANDIDATES = ("all", "half")  # "half": weights that halve with every evaluation
_CERTIFIED_CHALLENGERS = {"all past": "all", "last file": "last", "last three files": "last3"}
_RECALIBRATED = "recalibrated"
_VISIBLE = 0.02  # in log-odds; half a percentage point at most, which nobody would see


@dataclass(frozen=True)
class Comparison:
    """What a decision compares, fixed until the next evaluation.

    champion: the deployed base model, without recalibration. name: what it is called when it is a
    former one. recalibration: what the deployed model lays over it. champion_recalibrations: none
    and the one of the newest rows; recalibrations: the same of each candidate model. former:
    earlier champions by name, the newest first. terms: those that the candidates have in common.
    """

    policy: str
    champion: Model
    name: str
    counters: Counters
    recalibration: Recalibration = IDENTITY
    champion_recalibrations: tuple[Recalibration, Recalibration] = (IDENTITY, IDENTITY)
    candidates: dict[str, Model] = field(default_factory=dict)
    recalibrations: dict[str, tuple[Recalibration, Recalibration]] = field(default_factory=dict)
    former: dict[str, Model] = field(default_factory=dict)
    terms: tuple[DesignTerm, ...] = ()

    @property
    def deployed(self) -> Model:
        return recalibrate(self.champion, self.recalibration)

    @property
    def challenger(self) -> Model:
        """The weighted ensemble of the candidates, as they are and recalibrated, as one model."""
        models = [
            recalibrate(model, one)
            for name, model in self.candidates.items()
            for one in self.recalibrations[name]
        ]
        return weighted_mean(models, ensemble_weights(self.counters.candidate_scores))

    @property
    def candidate_keys(self) -> list[str]:
        """The names of the candidates' forecasts, in the order of their scores."""
        return [f"{name} {n}" for name in self.candidates for n in (0, 1)]


@dataclass(frozen=True)
class ComparisonResult:
    """What an evaluation ends with: the comparison from now on, and the model to deploy, if any.

    action: the judgement's, or "recalibrate" where only the champion's recalibration moved. judged:
    the model that was bet on, for the case that the refit in `model` is refused. refit: the
    comparison with its candidates fitted anew, before any deployment. out_of_sample: log-odds of
    the judged rows by the model deployed from now on, as it was before it saw them. Shape (n,).
    """

    comparison: Comparison
    judgement: Judgement
    action: str
    model: Model | None
    judged: Model | None
    refit: Comparison
    out_of_sample: np.ndarray = field(default_factory=lambda: np.empty(0), compare=False)


def start_comparison(
    policy: str,
    champion: Model,
    name: str,
    candidates: Candidates,
    former: dict[str, Model],
    rule: Rule = RULE,
) -> Comparison:
    """A comparison about a champion that was just deployed, however it came there.

    It stays as it is until an evaluation has rows that are new to it: on the rows that it was
    fitted to, a recalibration would take back what the ridge regularises.
    """
    rows = candidates.known.labels.size
    counters = Counters(rows=rows, rows_at_deployment=rows)
    new = Comparison(policy, champion, name, counters, former=former)
    return replace(refit(new, candidates, rule), recalibration=IDENTITY)


def forecast(comparison: Comparison, raw: Raw, rows: int) -> Forecasts:
    """What every model says of the rows, as log-odds: {name: shape (n,)}."""
    base = comparison.champion.log_odds_of(raw, rows)
    a, c = comparison.recalibration
    found = {"deployed": a + c * base}
    for n, (a, c) in enumerate(comparison.champion_recalibrations):
        found[f"champion {n}"] = a + c * base
    for name, model in comparison.candidates.items():
        base = model.log_odds_of(raw, rows)
        for n, (a, c) in enumerate(comparison.recalibrations[name]):
            found[f"{name} {n}"] = a + c * base
    for name, model in comparison.former.items():
        found[f"former {name}"] = model.log_odds_of(raw, rows)
    # Those that are bet on, by the names of the evidence.
    if comparison.policy == "certified":
        for name, key in _CERTIFIED_CHALLENGERS.items():
            found[f"rival {name}"] = found[f"{key} 0"]
        return found | {f"rival {_RECALIBRATED}": found["champion 1"]}
    shares, keys = ensemble_weights(comparison.counters.candidate_scores), comparison.candidate_keys
    mean = sum(share * found[key] for share, key in zip(shares, keys, strict=True))
    return found | {"rival challenger": np.asarray(mean)}


def _batch_of(
    comparison: Comparison,
    y: np.ndarray,
    predicted: Forecasts,
    clients: np.ndarray,
    cross_fitted: np.ndarray | None,
) -> Batch:
    """The rows with what was predicted of them; all rows of a client are in one fold."""
    keys = comparison.candidate_keys if comparison.policy == "fast" else []
    return Batch(
        labels=y,
        deployed=predicted["deployed"],
        champion=[predicted["champion 0"], predicted["champion 1"]],
        candidates=[predicted[key] for key in keys],
        challengers={key[6:]: predicted[key] for key in predicted if key.startswith("rival ")},
        former={key[7:]: predicted[key] for key in predicted if key.startswith("former ")},
        cross_fitted=cross_fitted,
        folds=folds_of(clients),
    )


def folds_of(clients: np.ndarray) -> np.ndarray:
    """0 or 1 for each row, by a seeded lot of its client. Shape (n,)."""
    different, at = np.unique(clients.astype(str), return_inverse=True)
    # Seeded: a run that is repeated after a crash has to come to the same verdict.
    order = np.random.default_rng([7, different.size]).permutation(different.size)
    return (order % 2)[at]


def compare(
    comparison: Comparison,
    candidates: Candidates,
    newest: np.ndarray,
    predicted: Forecasts,
    rule: Rule = RULE,
) -> ComparisonResult:
    """One evaluation: the models fixed before are judged, then all are fitted anew with these rows.

    candidates: of all labelled rows, the newest included. newest: the rows that are bet on, one of
    a client and period. predicted: what forecast() gave for them before their labels were known.
    """
    known = candidates.known
    y, clients = known.labels[newest], known.clients[newest]
    fast = comparison.policy == "fast"
    cross = None
    if fast and comparison.terms and newest.size >= rule.fold_rows:
        cross = cross_fitted(list(comparison.terms), known, newest, folds_of(clients))
    batch = _batch_of(comparison, y, predicted, clients, cross)
    counters, judgement = (judge_fast if fast else judge_certified)(
        comparison.counters, batch, rule
    )
    after = replace(comparison, counters=replace(counters, rows=known.labels.size))
    result = _apply_judgement(after, comparison, judgement, candidates, rule)
    return replace(result, out_of_sample=_predicted_before(batch, judgement))


def _predicted_before(batch: Batch, judgement: Judgement) -> np.ndarray:
    """What the model deployed from now on predicted of these rows without having seen them."""
    known = {**batch.challengers, **batch.former, NEWEST: batch.cross_fitted}
    found = known.get(judgement.target) if judgement.action != NONE else None
    return batch.deployed if found is None else found


def _apply_judgement(
    after: Comparison, before: Comparison, judgement: Judgement, candidates: Candidates, rule: Rule
) -> ComparisonResult:
    """What the judgement makes of the comparison."""
    fresh = refit(after, candidates, rule)
    if judgement.action == NONE:
        model = fresh.deployed if fresh.recalibration != after.recalibration else None
        action = RECALIBRATE if model else NONE
        return ComparisonResult(fresh, judgement, action, model, None, fresh)
    model, judged = model_to_deploy(fresh, before, judgement, candidates)
    new = promote(fresh, model, judgement, candidates, rule)
    return ComparisonResult(new, judgement, judgement.action, new.deployed, judged, fresh)


def model_to_deploy(
    fresh: Comparison, before: Comparison, judgement: Judgement, candidates: Candidates
) -> tuple[Model, Model | None]:
    """(the model to deploy, the one that was bet on where that is another and can be deployed)."""
    target = judgement.target
    if target in before.former:
        return before.former[target], None
    if target == NEWEST:
        return candidates.model("last"), None
    if before.policy == "fast":
        return fresh.challenger, before.challenger
    if target == _RECALIBRATED:
        new, old = fresh.champion_recalibrations[1], before.champion_recalibrations[1]
        return recalibrate(before.champion, new), recalibrate(before.champion, old)
    key = _CERTIFIED_CHALLENGERS[target]
    return candidates.model(key), before.candidates[key]


def promote(
    comparison: Comparison, model: Model, judgement: Judgement, candidates: Candidates, rule: Rule
) -> Comparison:
    """The comparison with a new champion; the old one joins the former ones."""
    former = {comparison.name: comparison.champion} | {
        name: earlier
        for name, earlier in comparison.former.items()
        if name not in (comparison.name, judgement.target)
    }
    most = rule.former if comparison.policy == "fast" else 1  # each more is another bet at 5 %
    new = replace(
        comparison,
        champion=model,
        recalibration=IDENTITY,
        former=dict(list(former.items())[:most]),
        counters=after_deployment(comparison.counters, judgement.action),
    )
    if judgement.action in (REVERT, ROLL_BACK):
        new = replace(new, name=judgement.target)
    return _refit_recalibrations(new, candidates, rule)


def refit(comparison: Comparison, candidates: Candidates, rule: Rule) -> Comparison:
    """The comparison with every candidate fitted on all rows, and recalibrated on the newest."""
    fast = comparison.policy == "fast"
    names = _FAST_CANDIDATES if fast else tuple(_CERTIFIED_CHALLENGERS.values())
    scores = comparison.counters.candidate_scores or (0.0,) * (2 * len(names))
    new = replace(
        comparison,
        candidates={name: candidates.model(name) for name in names},
        terms=tuple(candidates.terms),
        counters=replace(comparison.counters, candidate_scores=scores),
    )
    return _refit_recalibrations(new, candidates, rule)


def _refit_recalibrations(comparison: Comparison, candidates: Candidates, rule: Rule) -> Comparison:
    """The comparison, recalibrated; "certified" deploys its champion just as it was proven."""
    known = candidates.known
    rows = _newest_rows(known.ages, rule.recalibration_rows)
    raw, y = known.rows(rows), known.labels[rows]

    def on(model: Model) -> tuple[Recalibration, Recalibration]:
        return recalibrations(model.log_odds_of(raw, rows.size), y, rule)

    champion, new = on(comparison.champion), IDENTITY
    if comparison.policy == "fast":
        new = mean_recalibration(champion, comparison.counters.champion_scores)
    return replace(
        comparison,
        recalibration=_visibly_moved(comparison.recalibration, new),
        champion_recalibrations=champion,
        recalibrations={name: on(model) for name, model in comparison.candidates.items()},
    )


def _visibly_moved(old: Recalibration, new: Recalibration) -> Recalibration:
    """The new recalibration, the old one where nobody would see a difference."""
    return old if max(abs(old[0] - new[0]), abs(old[1] - new[1])) < _VISIBLE else new


def _newest_rows(ages: np.ndarray, least: int) -> np.ndarray:
    """The rows of the newest evaluations, of as many as it takes to have so many rows."""
    for age in range(int(ages.max(initial=0)) + 1):
        rows = np.flatnonzero(ages <= age)
        if rows.size >= least:
            return rows
    return np.arange(ages.size)

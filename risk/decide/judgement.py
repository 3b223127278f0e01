"""What the rows say is to be done: the rules "fast" and "certified", each a table of cases.

Pure: the counters so far and a batch of rows go in, the counters after it and a judgement come out.
Each constant of the rules is in evidence.Rule, each reason for one in docs/decisions.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from risk.decide.decision import (
    NONE,
    PROMOTE,
    REVERT,
    ROLL_BACK,
    SCHEDULED,
    SWITCH,
    ChallengerEvidence,
    Details,
    leading,
)
from risk.decide.evidence import (
    RULE,
    Martingale,
    Rule,
    bet,
    gain_in_ranking,
    recentre,
    risks,
    update_scores,
)
from risk.model.measures import brier

NEWEST = "newest rows"
# What a deployment says of how the world moves: a revert takes the switch before it away.
_MOVES = {PROMOTE: 1, ROLL_BACK: 1, SWITCH: 1, REVERT: -1}


@dataclass(frozen=True)
class Counters:
    """The small state between two evaluations.

    candidate_scores, champion_scores: of each model as it is and recalibrated. martingales: by
    challenger. evaluations, deployments: since the first model. rows: labelled rows used;
    rows_at_deployment: then. promotions: deployments that evidence called for, switches among them
    ("certified" asks for more after each, "fast" for less).
    """

    candidate_scores: tuple[float, ...] = ()
    champion_scores: tuple[float, ...] = (0.0, 0.0)
    martingales: dict[str, Martingale] = field(default_factory=dict)
    evaluations: int = 0
    deployments: int = 0
    rows: int = 0
    rows_at_deployment: int = 0
    promotions: int = 0


@dataclass(frozen=True)
class Batch:
    """Labelled rows with what each model predicted beforehand, as log-odds of shape (n,).

    deployed: the champion as it was deployed. champion, candidates: as they are and recalibrated.
    challengers: by name. former: former champions by name. cross_fitted: by models each fitted on
    one fold of these very rows and asked about the other; folds: which of the two a row is in.
    """

    labels: np.ndarray
    deployed: np.ndarray
    champion: list[np.ndarray]
    candidates: list[np.ndarray]
    challengers: dict[str, np.ndarray]
    former: dict[str, np.ndarray] = field(default_factory=dict)
    cross_fitted: np.ndarray | None = None
    folds: np.ndarray | None = None


@dataclass(frozen=True)
class Judgement:
    """What the rows say is to be done: the action, which model, why, and every number behind it.

    action: one of decision.py's; target: the name of the model that it is done with.
    """

    action: str
    target: str
    reason: str
    evidence: tuple[ChallengerEvidence, ...]
    details: Details


def rows_lacking(rows: int, exits: int, rule: Rule = RULE) -> str:
    """What the rows still lack to be evidence, "" if they are enough."""
    needs = (
        (rows, rule.least_rows, "rows"),
        (exits, rule.least_class, "exits"),
        (rows - exits, rule.least_class, "stays"),
    )
    return ", ".join(f"{has:,} of {least} {noun}" for has, least, noun in needs if has < least)


def judge_fast(counters: Counters, batch: Batch, rule: Rule = RULE) -> tuple[Counters, Judgement]:
    """The counters with these rows, and what the rule "fast" does about them."""
    y, p, q = batch.labels, risks(batch.deployed), risks(batch.challengers["challenger"])
    martingale = bet(counters.martingales.get("challenger", Martingale()), y, p, q)
    scores = update_scores(counters.candidate_scores, batch.candidates, y, rule)
    after = _after_rows(counters, batch, {"challenger": martingale}, rule)
    after = replace(after, candidate_scores=scores)
    main = _evidence_about("challenger", martingale, _promotion_threshold(after, rule), y, p, q)
    others, ranking = _evidence_alone(batch, rule), gain_in_ranking(y, p, q)
    action, target, reason = _fast_action(after, main, others, ranking, rule)
    details = Details(rows_since_deployment=martingale.rows, ranking_gain_at_most=ranking)
    return after, Judgement(action, target, reason, (main, *others), details)


def _after_rows(
    counters: Counters, batch: Batch, martingales: dict[str, Martingale], rule: Rule
) -> Counters:
    """The counters after one more evaluation."""
    scores = update_scores(counters.champion_scores, batch.champion, batch.labels, rule)
    return replace(
        counters,
        champion_scores=scores,
        martingales=martingales,
        evaluations=counters.evaluations + 1,
        rows=counters.rows + batch.labels.size,
    )


def _evidence_about(
    name: str,
    martingale: Martingale,
    threshold: float,
    y: np.ndarray,
    p: np.ndarray,
    q: np.ndarray,
    alone: bool = False,
) -> ChallengerEvidence:
    """One model against the champion, in numbers."""
    e_value = math.exp(min(martingale.log_e_value, 700.0))  # more is no float any more
    needed = None if alone else martingale.rows_needed(threshold)
    return ChallengerEvidence(name, e_value, threshold, brier(y, q), brier(y, p), needed, alone)


def _evidence_alone(batch: Batch, rule: Rule) -> list[ChallengerEvidence]:
    """What these rows alone say for each former champion and for the fit on these rows.

    Both sides are first moved to the mean of these rows, which a recalibration follows anyway; the
    fit on these rows is there already.
    """
    y, folds = batch.labels, batch.folds
    if folds is None:
        return []
    p = risks(recentre(batch.deployed, y, folds, rule.prior))
    rivals = {name: recentre(one, y, folds, rule.prior) for name, one in batch.former.items()}
    if batch.cross_fitted is not None and y.size >= rule.fold_rows:
        rivals[NEWEST] = batch.cross_fitted
    # So many are bet on at once: the chance that any of them is chosen wrongly is to stay alpha.
    threshold, found = (1 + len(batch.former)) / rule.alpha, []
    for name, log_odds in rivals.items():
        q = risks(log_odds)
        own = bet(Martingale(), y, p, q)
        found.append(_evidence_about(name, own, threshold, y, p, q, alone=True))
    return found


def _fast_action(
    counters: Counters,
    main: ChallengerEvidence,
    others: list[ChallengerEvidence],
    ranking: float,
    rule: Rule,
) -> tuple[str, str, str]:
    """(action, target, reason) of "fast"."""
    sure = [one for one in others if one.is_reached and one.gain > rule.switch_gain]
    if sure:
        best = max(sure, key=lambda one: one.gain - rule.switch_lead * (one.name == NEWEST))
        newest = best.name == NEWEST
        return (
            SWITCH if newest else REVERT,
            best.name,
            f"on these rows {'a model of these rows alone' if newest else best.name} is better by "
            f"{best.gain:.3f} Brier, with evidence {_amount(best.e_value)} of the "
            f"{best.threshold:.0f} needed",
        )
    evidence = f"evidence {_amount(main.e_value)} of the {main.threshold:g} needed"
    if ranking < 0:  # even the upper end of the interval: surely worse
        return NONE, "", f"the challenger ranks worse than the deployed model ({evidence})"
    if main.is_reached:
        return PROMOTE, "challenger", f"the challenger is better: {evidence}"
    if _has_grown(counters, main.e_value, rule):
        return (
            SCHEDULED,
            "challenger",
            f"the labelled rows grew from {counters.rows_at_deployment:,} to {counters.rows:,} and "
            f"nothing speaks against a model of all of them ({evidence})",
        )
    return NONE, "", f"{evidence} that the challenger is better; {_rows_still_needed(main)}"


def _promotion_threshold(counters: Counters, rule: Rule = RULE) -> float:
    """What a promotion must reach: less after each one or switch: they show that this world moves.

    The whole again where it would be too soon after the last deployments.
    """
    moves = 0 if _is_too_soon(counters, rule) else counters.promotions
    return rule.thresholds[min(moves, len(rule.thresholds) - 1)]


def _is_too_soon(counters: Counters, rule: Rule) -> bool:
    """Whether more than half of the evaluations would have deployed."""
    return counters.deployments + 1 > rule.deployed_share * (
        counters.evaluations + rule.deployed_start
    )


def _has_grown(counters: Counters, evidence: float, rule: Rule) -> bool:
    """Whether the rows alone promise a better model, and it is not too soon after the last ones.

    A fit on n rows errs by about a constant / n: what 1/n has fallen by is what rows have gained.
    """
    then, now = max(counters.rows_at_deployment, 1), counters.rows
    more = now >= rule.retrain_growth * then or 1 / then - 1 / now >= rule.retrain_step
    return more and evidence >= rule.retrain_evidence and not _is_too_soon(counters, rule)


def _amount(evidence: float) -> str:
    """Evidence for a person: beyond a million no digit says anything."""
    return "over a million" if evidence > 1e6 else f"{evidence:,.2f}"


def _rows_still_needed(one: ChallengerEvidence) -> str:
    """How many rows more, for a person."""
    rows = one.rows_needed
    if rows is None:
        return "no evidence for it so far"
    return f"about {rows:,} rows more ({round(rows / 2.5):,} to {round(rows * 2.5):,})"


def judge_certified(
    counters: Counters, batch: Batch, rule: Rule = RULE
) -> tuple[Counters, Judgement]:
    """The same by the rule whose false promotions have a proven limit."""
    y, p = batch.labels, risks(batch.deployed)
    rivals = batch.challengers | batch.former
    martingales: dict[str, Martingale] = {}
    found: list[ChallengerEvidence] = []
    for name, log_odds in rivals.items():
        q = risks(log_odds)
        threshold = _certified_threshold(counters.promotions, len(batch.challengers), rule)
        # To roll back has a limit of alpha of its own for each former champion.
        threshold = 1 / rule.alpha if name in batch.former else threshold
        before = counters.martingales.get(name, Martingale())
        martingales[name] = one = bet(before, y, p, q, rule.margin)
        found.append(_evidence_about(name, one, threshold, y, p, q))
    best = leading(found)
    assert best is not None  # there is always a challenger
    ranking = gain_in_ranking(y, p, risks(rivals[best.name]))
    action, target, reason = _certified_action(best, ranking, batch)
    rows = martingales[best.name].rows
    details = Details(rows_since_deployment=rows, ranking_gain_at_most=ranking)
    after = _after_rows(counters, batch, martingales, rule)
    return after, Judgement(action, target, reason, tuple(found), details)


def _certified_threshold(promotions: int, challengers: int, rule: Rule = RULE) -> float:
    """What the next promotion must reach: challengers / alpha_j; the alpha_j add up to alpha."""
    return challengers / (rule.alpha * 6 / (math.pi**2 * (promotions + 1) ** 2))


def _certified_action(
    best: ChallengerEvidence, ranking: float, batch: Batch
) -> tuple[str, str, str]:
    evidence = f"evidence {_amount(best.e_value)} of the {best.threshold:,.0f} needed"
    if not best.is_reached:
        return NONE, "", f"{best.name}: {evidence}; {_rows_still_needed(best)}"
    if ranking < 0:
        return NONE, "", f"{best.name} ranks worse than the deployed model ({evidence})"
    action = ROLL_BACK if best.name in batch.former else PROMOTE
    return action, best.name, f"{best.name} is better: {evidence}"


def after_deployment(counters: Counters, action: str) -> Counters:
    """The counters of a new champion: no martingale yet, scored as the challenger was.

    After a switch the model as it is and its recalibration begin alike: the rows have said nothing
    yet of a recalibration on them.
    """
    scores = (0.0, 0.0)
    if counters.candidate_scores and action in (PROMOTE, SCHEDULED):
        # As they are and recalibrated by turns; the better of each kind speaks for the champion.
        plain, recalibrated = counters.candidate_scores[0::2], counters.candidate_scores[1::2]
        scores = (min(plain), min(recalibrated))
    return replace(
        counters,
        champion_scores=scores,
        martingales={},
        deployments=counters.deployments + 1,
        rows_at_deployment=counters.rows,
        promotions=max(counters.promotions + _MOVES.get(action, 0), 0),
    )

"""The arithmetic of evidence: betting scores, e-values, recalibrations and scores of models.

All on arrays; p is the deployed risk, q a challenger's, both fixed before the label y was known;
n rows; the models' risks come as log-odds.

    betting score     log(1 + k / ((p+q)(2-p-q)) ((p-y)^2 - (q-y)^2))   more where q was nearer
    test martingale   b[k] = sum of the scores since the last deployment, for each k (its log)
    e-value           E = mean over k of exp b[k]
    recalibration     (a, c) of a + c x log-odds: (0, 1), and the one fitted on the newest
                      evaluations' rows, at least 300, regularised towards (0, 1)
    score             of a candidate or recalibration: old / 2 + 2 min(100, n) x Brier on the rows
    weights           exp(-score), normalised; the ensemble is the weighted mean of log-odds

While no challenger is better than the champion, E grows above 1/alpha with a chance of at most
alpha, however often one looks (Ville's inequality): that is the promise of "certified". "fast" asks
for less evidence and is measured by replay instead (docs/decisions.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

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
    Shift,
)
from risk.model.logistic import expit, logit
from risk.model.measures import ONE_SIDED, brier, placements
from risk.model.newton import regularised_fit

FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 1.0)
IDENTITY = (0.0, 1.0)
NEWEST = "newest rows"
# What a deployment says of how the world moves: a revert takes the switch before it away.
MOVES = {PROMOTE: 1, ROLL_BACK: 1, SWITCH: 1, REVERT: -1}
LEAST_RISK = 1e-6
SHIFT_PRIOR = 1.0
# A row that is wrong at log-odds of 40 would else outweigh all others in a fit.
WIDEST = 15.0
LEAST_SLOPE = 0.05  # a smaller one would turn the ranking around, or flatten it
Recalibration = tuple[float, float]
LogWealth = tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """The constants, each with its reason in docs/decisions.md."""

    alpha: float = 0.05  # chance of a false promotion by "certified"
    thresholds: tuple[float, ...] = (10.0, 3.0, 1.0)  # of "fast", after 0, 1, 2 promotions
    switch_gain: float = 0.01  # Brier; a switch for less is noise of one file
    switch_lead: float = 0.005  # by which a fit on these rows must beat a former champion
    margin: float = 0.001  # Brier; "certified" ignores what nobody would notice
    cap: int = 100  # rows of one file are alike: it counts as so many at most
    forget: float = 0.5  # of a score at each evaluation
    prior: float = 10.0  # precision of a recalibration's prior
    recalibration_rows: int = 300
    former: int = 2  # champions kept to go back to
    least_rows: int = 50
    least_class: int = 10
    fold_rows: int = 150  # less is too few for two fits on a fold each
    retrain_growth: float = 1.5
    retrain_step: float = 1 / 6000  # of 1 / rows, which the error of a fit falls with
    retrain_evidence: float = 0.3  # less speaks against a scheduled retrain
    deployed_share: float = 0.5  # of the evaluations may deploy
    deployed_start: int = 2  # evaluations that a first model has to its credit


RULE = Rule()


@dataclass(frozen=True)
class Martingale:
    """The test martingale of one challenger against the champion, and moments of d.

    log_wealth: its logarithm for each fraction. d: in each row the champion's squared error minus
    the challenger's (and minus the margin, where one is asked for).
    """

    log_wealth: LogWealth = (0.0,) * len(FRACTIONS)
    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, scores: np.ndarray, d: np.ndarray) -> Martingale:
        """With the betting scores of more rows, shape (fractions,), and their d, shape (n,)."""
        log_wealth = tuple((np.array(self.log_wealth) + scores).tolist())
        total, squares = self.total + float(d.sum()), self.squares + float(d @ d)
        return Martingale(log_wealth, self.rows + d.size, total, squares)

    @property
    def log_e_value(self) -> float:
        return log_mean_exp(np.array(self.log_wealth))

    def rows_needed(self, threshold: float) -> int | None:
        """About how many rows more until E reaches the threshold, None without evidence for it.

        (ln threshold - ln E) 2 v / g^2, with mean g and variance v of d; at least 100.
        """
        if self.rows < 2 or self.total <= 0:
            return None
        mean = self.total / self.rows
        variance = max(self.squares / self.rows - mean**2, 0.0)
        lacking = max(math.log(threshold) - self.log_e_value, 0.0)
        return max(round(lacking * 2 * variance / mean**2), 100)


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


def risks(log_odds: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), kept 1e-6 away from 0 and 1. Shape of log_odds."""
    return np.clip(expit(log_odds), LEAST_RISK, 1 - LEAST_RISK)


def log_mean_exp(values: np.ndarray) -> float:
    peak = float(values.max())
    return peak + math.log(float(np.mean(np.exp(values - peak))))


def betting_scores(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Summed log gains of betting on q against p, for each fraction. Shape (fractions,)."""
    edge = ((p - y) ** 2 - (q - y) ** 2) / ((p + q) * (2 - p - q))
    return np.log1p(np.outer(FRACTIONS, edge)).sum(axis=1)


def betting_scores_by_margin(
    y: np.ndarray, p: np.ndarray, q: np.ndarray, margin: float
) -> np.ndarray:
    """The same where q must be nearer by a margin: d = (p-y)^2 - (q-y)^2 - margin.

    The stake is capped so that no row can cost more than 95 % of the wealth. Shape (fractions,).
    """
    d = (p - y) ** 2 - (q - y) ** 2 - margin
    most_lost = np.abs(p - q) * np.maximum(p + q, 2 - p - q) + margin
    highest = 0.95 / np.maximum(most_lost, LEAST_RISK)
    stake = np.minimum(np.outer(FRACTIONS, 1 / ((p + q) * (2 - p - q))), highest)
    return np.log1p(stake * d).sum(axis=1)


def bet(
    martingale: Martingale, y: np.ndarray, p: np.ndarray, q: np.ndarray, margin: float | None = None
) -> Martingale:
    """The martingale with these rows; margin: by which q must be nearer, if one is asked for."""
    d = (p - y) ** 2 - (q - y) ** 2
    if margin is None:
        return martingale.plus(betting_scores(y, p, q), d)
    return martingale.plus(betting_scores_by_margin(y, p, q, margin), d - margin)


def gain_in_ranking(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """The upper end of what q may rank better than p: one-sided 95 % of the AUC's difference.

    By DeLong's variance of the paired difference; 1 where a class has fewer than two rows.
    """
    exits, stays = y == 1, y == 0
    if min(exits.sum(), stays.sum()) < 2:
        return 1.0
    above = placements(q[exits], q[stays]) - placements(p[exits], p[stays])
    below = placements(p[stays], p[exits]) - placements(q[stays], q[exits])
    error = (above.var(ddof=1) / above.size + below.var(ddof=1) / below.size) ** 0.5
    return float(above.mean() + ONE_SIDED * error)


def fit_recalibration(log_odds: np.ndarray, y: np.ndarray, prior: float) -> Recalibration:
    """(a, c) of the best a + c x log_odds on these rows, regularised towards (0, 1) by the prior.

    A recalibration moves percentages and keeps the ranking: c is at least .05.
    """
    x = np.clip(log_odds, -WIDEST, WIDEST)
    a, c = regularised_fit(x[:, None], y, IDENTITY, prior)
    if c < LEAST_SLOPE:
        return fit_shift(LEAST_SLOPE * x, y, prior), LEAST_SLOPE
    return float(a), float(c)


def recalibrations(
    log_odds: np.ndarray, y: np.ndarray, rule: Rule = RULE
) -> tuple[Recalibration, Recalibration]:
    """A model as it is and recalibrated on the newest rows; as it is where these are too few."""
    if y.size < rule.recalibration_rows:
        return IDENTITY, IDENTITY
    return IDENTITY, fit_recalibration(log_odds, y, rule.prior)


def recentre(log_odds: np.ndarray, y: np.ndarray, folds: np.ndarray, prior: float) -> np.ndarray:
    """Log-odds moved to the mean of these rows: each fold by what the other fold shows.

    Rows of one file share an effect of that file; two models that are both moved by it are
    compared by what they know beyond it.
    """
    moved = np.array(log_odds, dtype=np.float64)
    for fold in (0, 1):
        fitted, asked = folds != fold, folds == fold
        moved[asked] += fit_shift(log_odds[fitted], y[fitted], prior)
    return moved


def fit_shift(log_odds: np.ndarray, y: np.ndarray, prior: float) -> float:
    """The a of the best a + log_odds on these rows, regularised towards 0."""
    x = np.clip(log_odds, -WIDEST, WIDEST)
    return float(regularised_fit(np.empty((x.size, 0)), y, (0.0,), prior, offset=x)[0])


def update_scores(
    scores: tuple[float, ...], predicted: list[np.ndarray], y: np.ndarray, rule: Rule
) -> tuple[float, ...]:
    """Each score with these rows; rows of a file are alike, so that it counts as 100 at most."""
    rows = 2 * min(rule.cap, y.size)
    return tuple(
        rule.forget * old + rows * brier(y, risks(x))
        for old, x in zip(scores, predicted, strict=True)
    )


def ensemble_weights(scores: tuple[float, ...]) -> np.ndarray:
    """Shares of the ensemble, summing to 1, by exp(-score). Shape (scores,)."""
    relative = np.exp(-(np.array(scores) - min(scores)))
    return relative / relative.sum()


def mean_recalibration(
    recalibrations: tuple[Recalibration, ...], scores: tuple[float, ...]
) -> Recalibration:
    """The weighted ensemble of one model's recalibrations, which is a recalibration again."""
    a, c = ensemble_weights(scores) @ np.array(recalibrations)
    return float(a), float(c)


def rows_lacking(rows: int, exits: int, rule: Rule = RULE) -> str:
    """What the rows still lack to be evidence, "" if they are enough."""
    lacks = [
        f"{found:,} of {least} {noun}"
        for found, least, noun in (
            (rows, rule.least_rows, "rows"),
            (exits, rule.least_class, "exits"),
            (rows - exits, rule.least_class, "stays"),
        )
        if found < least
    ]
    return ", ".join(lacks)


def judge_fast(counters: Counters, batch: Batch, rule: Rule = RULE) -> tuple[Counters, Judgement]:
    """The counters with these rows, and what the rule "fast" does about them."""
    y, p, q = batch.labels, risks(batch.deployed), risks(batch.challengers["challenger"])
    martingale = bet(counters.martingales.get("challenger", Martingale()), y, p, q)
    after = replace(
        counters,
        candidate_scores=update_scores(counters.candidate_scores, batch.candidates, y, rule),
        champion_scores=update_scores(counters.champion_scores, batch.champion, y, rule),
        martingales={"challenger": martingale},
        evaluations=counters.evaluations + 1,
        rows=counters.rows + y.size,
    )
    threshold = promotion_threshold(after, rule)
    needed = martingale.rows_needed(threshold)
    main = _evidence_about(
        "challenger", martingale.log_e_value, threshold, y, p, q, rows_needed=needed
    )
    others, ranking = evidence_alone(batch, rule), gain_in_ranking(y, p, q)
    action, target, reason = _fast_action(after, main, others, ranking, rule)
    details = Details(rows_since_deployment=martingale.rows, ranking_gain_at_most=ranking)
    return after, Judgement(action, target, reason, (main, *others), details)


def _evidence_about(
    name: str,
    log_e_value: float,
    threshold: float,
    y: np.ndarray,
    p: np.ndarray,
    q: np.ndarray,
    **more: Any,
) -> ChallengerEvidence:
    """One model against the champion, in numbers."""
    e_value = math.exp(min(log_e_value, 700.0))  # more is no float any more
    return ChallengerEvidence(name, e_value, threshold, brier(y, q), brier(y, p), **more)


def evidence_alone(batch: Batch, rule: Rule) -> list[ChallengerEvidence]:
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
    threshold, found = (1 + len(batch.former)) / rule.alpha, []
    for name, log_odds in rivals.items():
        q = risks(log_odds)
        log_e_value = log_mean_exp(betting_scores(y, p, q))
        found.append(_evidence_about(name, log_e_value, threshold, y, p, q, alone=True))
    return found


def _fast_action(
    counters: Counters,
    main: ChallengerEvidence,
    others: list[ChallengerEvidence],
    ranking: float,
    rule: Rule,
) -> tuple[str, str, str]:
    """(action, target, reason) of "fast"."""
    switch = _best_switch(others, rule)
    if switch:
        what = "a model of these rows alone" if switch.name == NEWEST else switch.name
        return (
            SWITCH if switch.name == NEWEST else REVERT,
            switch.name,
            f"on these rows {what} is better by {switch.gain:.3f} Brier, with evidence "
            f"{_amount(switch.e_value)} of the {switch.threshold:.0f} needed",
        )
    evidence = f"evidence {_amount(main.e_value)} of the {main.threshold:g} needed"
    if ranking < 0:
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
    return NONE, "", f"{evidence} that the challenger is better; {rows_still_needed(main)}"


def promotion_threshold(counters: Counters, rule: Rule = RULE) -> float:
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


def _best_switch(others: list[ChallengerEvidence], rule: Rule) -> ChallengerEvidence | None:
    """The model to switch or revert to, if one has the evidence and gains enough to be worth it."""
    sure = [one for one in others if one.is_reached and one.gain > rule.switch_gain]
    return max(
        sure, key=lambda one: one.gain - rule.switch_lead * (one.name == NEWEST), default=None
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


def rows_still_needed(one: ChallengerEvidence) -> str:
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
        threshold = certified_threshold(counters.promotions, len(batch.challengers), rule)
        threshold = 1 / rule.alpha if name in batch.former else threshold
        before = counters.martingales.get(name, Martingale())
        martingales[name] = one = bet(before, y, p, q, rule.margin)
        needed = one.rows_needed(threshold)
        about = _evidence_about(name, one.log_e_value, threshold, y, p, q, rows_needed=needed)
        found.append(about)
    after = replace(
        counters,
        champion_scores=update_scores(counters.champion_scores, batch.champion, y, rule),
        martingales=martingales,
        evaluations=counters.evaluations + 1,
        rows=counters.rows + y.size,
    )
    best = max(found, key=lambda one: one.e_value / one.threshold)
    ranking = gain_in_ranking(y, p, risks(rivals[best.name]))
    action, target, reason = _certified_action(best, ranking, batch)
    rows = martingales[best.name].rows
    details = Details(rows_since_deployment=rows, ranking_gain_at_most=ranking)
    return after, Judgement(action, target, reason, tuple(found), details)


def certified_threshold(promotions: int, challengers: int, rule: Rule = RULE) -> float:
    """What the next promotion must reach: challengers / alpha_j; the alpha_j add up to alpha."""
    return challengers / (rule.alpha * 6 / (math.pi**2 * (promotions + 1) ** 2))


def _certified_action(
    best: ChallengerEvidence, ranking: float, batch: Batch
) -> tuple[str, str, str]:
    evidence = f"evidence {_amount(best.e_value)} of the {best.threshold:,.0f} needed"
    if not best.is_reached:
        return NONE, "", f"{best.name}: {evidence}; {rows_still_needed(best)}"
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
        plain, recalibrated = counters.candidate_scores[0::2], counters.candidate_scores[1::2]
        scores = (min(plain), min(recalibrated))
    return replace(
        counters,
        champion_scores=scores,
        martingales={},
        deployments=counters.deployments + 1,
        rows_at_deployment=counters.rows,
        promotions=max(counters.promotions + MOVES.get(action, 0), 0),
    )


def calibration_in_the_large(risks: np.ndarray, labels: np.ndarray) -> Shift:
    """How far the outcomes lay from the risks as they were deployed.

    intercept: the best a of a + log-odds (regularised as by one observation, so that a file of one
    class alone has one), error: its standard error, n: rows.
    """
    x = log_odds_of_risks(risks)
    shift = fit_shift(x, labels, SHIFT_PRIOR)
    q = expit(x + shift)
    error = float((SHIFT_PRIOR + np.sum(q * (1 - q))) ** -0.5)
    return {"intercept": shift, "error": error, "n": int(labels.size)}


def log_odds_of_risks(risks: np.ndarray) -> np.ndarray:
    return np.clip(logit(risks), -WIDEST, WIDEST)

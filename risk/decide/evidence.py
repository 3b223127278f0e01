"""Retrain and redeploy? The rule: bets on labelled rows that no model had seen, and what they earn.

Everything here is arithmetic on arrays and one small state. p is the served risk, q a challenger's,
both fixed before the label y was known; n rows; the models' risks come as log-odds.

    one row's bet     log(1 + k / ((p+q)(2-p-q)) ((p-y)^2 - (q-y)^2))      gains where q was nearer
    wealth            b[k] = sum of the bets since the last deployment, for each fraction k
    evidence          E = mean over k of exp b[k]
    layer             (a, c) of a + c x log-odds: (0, 1), and the one fitted on the newest looks'
                      rows, at least 300, held to (0, 1) as by a prior of precision 10
    score             of an expert or layer: old / 2 + 2 min(100, n) x its Brier on the rows
    weights           exp(-score), normalised; a blend is the weighted mean of log-odds

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
)
from risk.model.logistic import expit, logit
from risk.model.measures import ONE_SIDED, brier, placements
from risk.model.newton import regularised_fit

FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 1.0)
IDENTITY = (0.0, 1.0)
NEWEST = "newest rows"
# What a deployment says of how the world moves: a way back takes the jump before it away.
MOVES = {PROMOTE: 1, ROLL_BACK: 1, SWITCH: 1, REVERT: -1}
LEAST_RISK = 1e-6
SHIFT_PRIOR = 1.0
WIDEST = 15.0  # log-odds beyond are counted as that when a layer or a level is fitted
LEAST_SLOPE = 0.05
Recalibration = tuple[float, float]
LogWealth = tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """The constants, each with its reason in docs/decisions.md."""

    alpha: float = 0.05
    bars: tuple[float, ...] = (10.0, 3.0, 1.0)
    gap: float = 0.01
    lead: float = 0.005
    margin: float = 0.001
    cap: int = 100
    forget: float = 0.5
    prior: float = 10.0
    layer_rows: int = 300
    former: int = 2
    least_rows: int = 50
    least_class: int = 10
    halves_rows: int = 150
    grow: float = 1.5
    grow_step: float = 1 / 6000
    grow_evidence: float = 0.3
    grow_share: float = 0.5
    grow_start: int = 2


RULE = Rule()


@dataclass(frozen=True)
class Martingale:
    """What one challenger has earned against the champion: wealth, and moments of d.

    d: the champion's squared error minus the challenger's (and minus the margin, where one is
    asked for), in each row.
    """

    wealth: LogWealth = (0.0,) * len(FRACTIONS)
    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, bets: np.ndarray, d: np.ndarray) -> Martingale:
        """With the bets of more rows, shape (fractions,), and their d, shape (n,)."""
        wealth = tuple((np.array(self.wealth) + bets).tolist())
        total, squares = self.total + float(d.sum()), self.squares + float(d @ d)
        return Martingale(wealth, self.rows + d.size, total, squares)

    @property
    def log_evidence(self) -> float:
        return log_mean_exp(np.array(self.wealth))

    def rows_needed(self, limit: float) -> int | None:
        """About how many rows more until E reaches the limit, None without evidence for it.

        (ln limit - ln E) 2 v / g^2, with mean g and variance v of d; at least 100.
        """
        if self.rows < 2 or self.total <= 0:
            return None
        mean = self.total / self.rows
        variance = max(self.squares / self.rows - mean**2, 0.0)
        missing = max(math.log(limit) - self.log_evidence, 0.0)
        return max(round(missing * 2 * variance / mean**2), 100)


@dataclass(frozen=True)
class Counters:
    """The small state between two looks.

    experts, own: scores of the experts' layers and of the champion's. stakes: by challenger.
    looks, deployments: since the first model. rows: labelled rows used; rows_then: at deployment.
    swaps: deployments that evidence called for, jumps among them ("certified" asks for more after
    each, "fast" for less).
    """

    experts: tuple[float, ...] = ()
    own: tuple[float, ...] = (0.0, 0.0)
    stakes: dict[str, Martingale] = field(default_factory=dict)
    looks: int = 0
    deployments: int = 0
    rows: int = 0
    rows_then: int = 0
    swaps: int = 0


@dataclass(frozen=True)
class Batch:
    """Labelled rows with what each model had said of them beforehand, as log-odds of shape (n,).

    served: the champion as it was served. own: its layers. experts: every expert's layers.
    challengers: by name. former: former champions by name. crossed: by models each fitted on one
    half of these very rows and asked about the other; halves: which half a row is in.
    """

    labels: np.ndarray
    served: np.ndarray
    own: list[np.ndarray]
    experts: list[np.ndarray]
    challengers: dict[str, np.ndarray]
    former: dict[str, np.ndarray] = field(default_factory=dict)
    crossed: np.ndarray | None = None
    halves: np.ndarray | None = None


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


# ---------------------------------------------------------------- bets


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


def bet(stakes: Martingale, y: np.ndarray, p: np.ndarray, q: np.ndarray) -> Martingale:
    return stakes.plus(betting_scores(y, p, q), (p - y) ** 2 - (q - y) ** 2)


def _bet_by_margin(
    stakes: Martingale, y: np.ndarray, p: np.ndarray, q: np.ndarray, rule: Rule
) -> Martingale:
    gains = betting_scores_by_margin(y, p, q, rule.margin)
    return stakes.plus(gains, (p - y) ** 2 - (q - y) ** 2 - rule.margin)


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


# ---------------------------------------------------------------- layers, scores, blends


def fit_recalibration(log_odds: np.ndarray, y: np.ndarray, prior: float) -> Recalibration:
    """(a, c) of the best a + c x log_odds on these rows; both are held to (0, 1) by the prior.

    A layer moves levels and keeps the ranking: c is at least .05.
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
    return IDENTITY, fit_recalibration(
        log_odds, y, rule.prior
    ) if y.size >= rule.layer_rows else IDENTITY


def recentre(log_odds: np.ndarray, y: np.ndarray, halves: np.ndarray, prior: float) -> np.ndarray:
    """Log-odds moved to the level of these rows: each half by what the other half shows.

    Rows of one file share an effect of that file; two models put on its level are compared by what
    they know beyond it.
    """
    moved = np.array(log_odds, dtype=np.float64)
    for half in (0, 1):
        seen, asked = halves != half, halves == half
        moved[asked] += fit_shift(log_odds[seen], y[seen], prior)
    return moved


def fit_shift(log_odds: np.ndarray, y: np.ndarray, prior: float) -> float:
    """The a of the best a + log_odds on these rows, held to 0 by the prior."""
    x = np.clip(log_odds, -WIDEST, WIDEST)
    return float(regularised_fit(np.empty((x.size, 0)), y, (0.0,), prior, offset=x)[0])


def update_scores(
    scores: tuple[float, ...], said: list[np.ndarray], y: np.ndarray, rule: Rule
) -> tuple[float, ...]:
    """Each score with these rows; rows of a file are alike, so that it counts as 100 at most."""
    rows = 2 * min(rule.cap, y.size)
    return tuple(
        rule.forget * old + rows * brier(y, risks(x)) for old, x in zip(scores, said, strict=True)
    )


def ensemble_weights(scores: tuple[float, ...]) -> np.ndarray:
    """Shares of a blend, summing to 1, by exp(-score). Shape (scores,)."""
    relative = np.exp(-(np.array(scores) - min(scores)))
    return relative / relative.sum()


def mean_recalibration(
    layers: tuple[Recalibration, ...], scores: tuple[float, ...]
) -> Recalibration:
    """The blend of one model's layers, which is a layer again."""
    a, c = ensemble_weights(scores) @ np.array(layers)
    return float(a), float(c)


# ---------------------------------------------------------------- the guard


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


# ---------------------------------------------------------------- "fast"


def judge_fast(standing: Counters, batch: Batch, rule: Rule = RULE) -> tuple[Counters, Judgement]:
    """The standing with these rows, and what the rule "fast" does about them."""
    y, p, q = batch.labels, risks(batch.served), risks(batch.challengers["challenger"])
    stakes = bet(standing.stakes.get("challenger", Martingale()), y, p, q)
    after = replace(
        standing,
        experts=update_scores(standing.experts, batch.experts, y, rule),
        own=update_scores(standing.own, batch.own, y, rule),
        stakes={"challenger": stakes},
        looks=standing.looks + 1,
        rows=standing.rows + y.size,
    )
    bar = promotion_threshold(after, rule)
    needed = stakes.rows_needed(bar)
    main = _evidence_about("challenger", stakes.log_evidence, bar, y, p, q, rows_needed=needed)
    leaps, ranking = switches(batch, rule), gain_in_ranking(y, p, q)
    action, target, reason = _fast_action(after, main, leaps, ranking, rule)
    details = Details(rows_since_deployment=stakes.rows, ranking_gain_at_most=ranking)
    return after, Judgement(action, target, reason, (main, *leaps), details)


def _evidence_about(
    name: str,
    log_evidence: float,
    threshold: float,
    y: np.ndarray,
    p: np.ndarray,
    q: np.ndarray,
    **more: Any,
) -> ChallengerEvidence:
    """One model against the champion, in numbers."""
    e_value = math.exp(min(log_evidence, 700.0))  # more is no float any more
    return ChallengerEvidence(name, e_value, threshold, brier(y, q), brier(y, p), **more)


def switches(batch: Batch, rule: Rule) -> list[ChallengerEvidence]:
    """What these rows alone say for each former champion and for the fit on these rows.

    Both sides are first put on the level of these rows, which the layer follows anyway; the fit on
    these rows is there already.
    """
    y, halves = batch.labels, batch.halves
    if halves is None:
        return []
    p = risks(recentre(batch.served, y, halves, rule.prior))
    rivals = {name: recentre(said, y, halves, rule.prior) for name, said in batch.former.items()}
    if batch.crossed is not None and y.size >= rule.halves_rows:
        rivals[NEWEST] = batch.crossed
    limit, found = (1 + len(batch.former)) / rule.alpha, []
    for name, said in rivals.items():
        q = risks(said)
        log_evidence = log_mean_exp(betting_scores(y, p, q))
        found.append(_evidence_about(name, log_evidence, limit, y, p, q, alone=True))
    return found


def _fast_action(
    standing: Counters,
    main: ChallengerEvidence,
    leaps: list[ChallengerEvidence],
    ranking: float,
    rule: Rule,
) -> tuple[str, str, str]:
    """(action, target, reason) of "fast"."""
    leap = _best_switch(leaps, rule)
    if leap:
        what = "a model of these rows alone" if leap.name == NEWEST else leap.name
        return (
            SWITCH if leap.name == NEWEST else REVERT,
            leap.name,
            f"on these rows {what} is better by {leap.gain:.3f} Brier, with evidence "
            f"{_amount(leap.e_value)} of the {leap.threshold:.0f} needed",
        )
    evidence = f"evidence {_amount(main.e_value)} of the {main.threshold:g} needed"
    if ranking < 0:
        return NONE, "", f"the challenger ranks worse than the deployed model ({evidence})"
    if main.is_reached:
        return PROMOTE, "challenger", f"the challenger is better: {evidence}"
    if _has_grown(standing, main.e_value, rule):
        return (
            SCHEDULED,
            "challenger",
            f"the labelled rows grew from {standing.rows_then:,} to {standing.rows:,} and nothing "
            f"speaks against a model of all of them ({evidence})",
        )
    return NONE, "", f"{evidence} that the challenger is better; {rows_still_needed(main)}"


def promotion_threshold(standing: Counters, rule: Rule = RULE) -> float:
    """What a swap must reach: less after each swap or jump, which show that this world moves.

    The whole again where it would be too soon after the last deployments.
    """
    moves = 0 if _is_too_soon(standing, rule) else standing.swaps
    return rule.bars[min(moves, len(rule.bars) - 1)]


def _is_too_soon(standing: Counters, rule: Rule) -> bool:
    """Whether more than half of the looks would have deployed."""
    return standing.deployments + 1 > rule.grow_share * (standing.looks + rule.grow_start)


def _best_switch(leaps: list[ChallengerEvidence], rule: Rule) -> ChallengerEvidence | None:
    """The model to jump to, if one has the evidence and gains enough to be worth it.

    The fit on these rows must beat a former champion by a lead.
    """
    sure = [one for one in leaps if one.is_reached and one.gain > rule.gap]
    return max(sure, key=lambda one: one.gain - rule.lead * (one.name == NEWEST), default=None)


def _has_grown(standing: Counters, evidence: float, rule: Rule) -> bool:
    """Whether the rows alone promise a better model, and it is not too soon after the last ones.

    A fit on n rows errs by about a constant / n: what 1/n has fallen by is what rows have gained.
    """
    then, now = max(standing.rows_then, 1), standing.rows
    more = now >= rule.grow * then or 1 / then - 1 / now >= rule.grow_step
    return more and evidence >= rule.grow_evidence and not _is_too_soon(standing, rule)


def _amount(evidence: float) -> str:
    """Evidence for a person: beyond a million no digit says anything."""
    return "over a million" if evidence > 1e6 else f"{evidence:,.2f}"


def rows_still_needed(one: ChallengerEvidence) -> str:
    """How many rows more, for a person."""
    rows = one.rows_needed
    if rows is None:
        return "no evidence for it so far"
    return f"about {rows:,} rows more ({round(rows / 2.5):,} to {round(rows * 2.5):,})"


# ---------------------------------------------------------------- "certified"


def judge_certified(
    standing: Counters, batch: Batch, rule: Rule = RULE
) -> tuple[Counters, Judgement]:
    """The same by the rule whose false swaps have a proven limit."""
    y, p = batch.labels, risks(batch.served)
    rivals = batch.challengers | batch.former
    stakes: dict[str, Martingale] = {}
    found: list[ChallengerEvidence] = []
    for name, said in rivals.items():
        q = risks(said)
        limit = certified_threshold(standing.swaps, len(batch.challengers), rule)
        limit = 1 / rule.alpha if name in batch.former else limit
        stakes[name] = one = _bet_by_margin(standing.stakes.get(name, Martingale()), y, p, q, rule)
        needed = one.rows_needed(limit)
        about = _evidence_about(name, one.log_evidence, limit, y, p, q, rows_needed=needed)
        found.append(about)
    after = replace(
        standing,
        own=update_scores(standing.own, batch.own, y, rule),
        stakes=stakes,
        looks=standing.looks + 1,
        rows=standing.rows + y.size,
    )
    best = max(found, key=lambda one: one.e_value / one.threshold)
    ranking = gain_in_ranking(y, p, risks(rivals[best.name]))
    action, target, reason = _certified_action(best, ranking, batch)
    rows = stakes[best.name].rows
    details = Details(rows_since_deployment=rows, ranking_gain_at_most=ranking)
    return after, Judgement(action, target, reason, tuple(found), details)


def certified_threshold(swaps: int, challengers: int, rule: Rule = RULE) -> float:
    """What E must reach for the next swap: challengers / alpha_j; the alpha_j add up to alpha."""
    return challengers / (rule.alpha * 6 / (math.pi**2 * (swaps + 1) ** 2))


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


# ---------------------------------------------------------------- after a deployment


def after_deployment(standing: Counters, action: str) -> Counters:
    """The standing of a new champion: no bets yet, its layers scored as the challenger's were.

    After a jump both layers begin alike: the rows have said nothing yet of a layer on them.
    """
    own = (0.0, 0.0)
    if standing.experts and action in (PROMOTE, SCHEDULED):
        plain, recalibrated = standing.experts[0::2], standing.experts[1::2]
        own = (min(plain), min(recalibrated))
    return replace(
        standing,
        own=own,
        stakes={},
        deployments=standing.deployments + 1,
        rows_then=standing.rows,
        swaps=max(standing.swaps + MOVES.get(action, 0), 0),
    )


def calibration_in_the_large(risks: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What a look has to keep for line_of(): how far the level lay from the risks as served.

    intercept: the best a of a + log-odds (held to 0 as by one observation, so that a file of one
    class alone has one), error: its standard error, n: rows.
    """
    x = log_odds_of_risks(risks)
    shift = fit_shift(x, labels, SHIFT_PRIOR)
    q = expit(x + shift)
    error = float((SHIFT_PRIOR + np.sum(q * (1 - q))) ** -0.5)
    return {"intercept": shift, "error": error, "n": int(labels.size)}


def log_odds_of_risks(risks: np.ndarray) -> np.ndarray:
    return np.clip(logit(risks), -WIDEST, WIDEST)

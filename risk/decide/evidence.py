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
from dataclasses import dataclass

import numpy as np

from risk.decide.decision import Shift
from risk.model.logistic import expit, logit
from risk.model.measures import ONE_SIDED, brier, placements
from risk.model.newton import regularised_fit

# Stakes from timid to bold: which one wins most depends on how much better q is, unknown before.
_FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 1.0)
IDENTITY = (0.0, 1.0)
_LEAST_RISK = 1e-6  # at 0 or 1 a betting score would divide by 0
_SHIFT_PRIOR = 1.0
# A row that is wrong at log-odds of 40 would else outweigh all others in a fit.
_WIDEST = 15.0
_LEAST_SLOPE = 0.05  # a smaller one would turn the ranking around, or flatten it
Recalibration = tuple[float, float]
LogWealth = tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """The constants, each with its reason in docs/decisions.md."""

    alpha: float = 0.05  # chance of a false promotion by "certified"
    # Of "fast", after 0, 1, 2 promotions. With a first one of 3, 14 of 60 runs in which nothing was
    # wrong replaced their model, from 8 on none; the lower ones halve the loss in gradual drift.
    thresholds: tuple[float, ...] = (10.0, 3.0, 1.0)
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

    log_wealth: LogWealth = (0.0,) * len(_FRACTIONS)
    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

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
        variance = max(self.squares / self.rows - mean**2, 0.0)  # rounding can make it negative
        lacking = max(math.log(threshold) - self.log_e_value, 0.0)
        return max(round(lacking * 2 * variance / mean**2), 100)


def risks(log_odds: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), kept 1e-6 away from 0 and 1. Shape of log_odds."""
    return np.clip(expit(log_odds), _LEAST_RISK, 1 - _LEAST_RISK)


def log_mean_exp(values: np.ndarray) -> float:
    peak = float(values.max())  # taken out first: exp(710) is no float any more
    return peak + math.log(float(np.mean(np.exp(values - peak))))


def betting_scores(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Summed log gains of betting on q against p, for each fraction. Shape (fractions,)."""
    edge = ((p - y) ** 2 - (q - y) ** 2) / ((p + q) * (2 - p - q))
    return np.log1p(np.outer(_FRACTIONS, edge)).sum(axis=1)


def _betting_scores_by_margin(
    y: np.ndarray, p: np.ndarray, q: np.ndarray, margin: float
) -> np.ndarray:
    """The same where q must be nearer by a margin: d = (p-y)^2 - (q-y)^2 - margin.

    The stake is capped so that no row can cost more than 95 % of the wealth. Shape (fractions,).
    """
    d = (p - y) ** 2 - (q - y) ** 2 - margin
    most_lost = np.abs(p - q) * np.maximum(p + q, 2 - p - q) + margin
    highest = 0.95 / np.maximum(most_lost, _LEAST_RISK)
    stake = np.minimum(np.outer(_FRACTIONS, 1 / ((p + q) * (2 - p - q))), highest)
    return np.log1p(stake * d).sum(axis=1)


def bet(
    martingale: Martingale, y: np.ndarray, p: np.ndarray, q: np.ndarray, margin: float | None = None
) -> Martingale:
    """The martingale with these rows; margin: by which q must be nearer, if one is asked for."""
    d = (p - y) ** 2 - (q - y) ** 2
    if margin is None:
        scores = betting_scores(y, p, q)
    else:
        scores, d = _betting_scores_by_margin(y, p, q, margin), d - margin
    log_wealth = tuple((np.array(martingale.log_wealth) + scores).tolist())
    total, squares = martingale.total + float(d.sum()), martingale.squares + float(d @ d)
    return Martingale(log_wealth, martingale.rows + d.size, total, squares)


def gain_in_ranking(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """The upper end of what q may rank better than p: one-sided 95 % of the AUC's difference.

    By DeLong's variance of the paired difference; 1 where a class has fewer than two rows.
    """
    exits, stays = y == 1, y == 0
    if min(exits.sum(), stays.sum()) < 2:  # no variance: nothing speaks against q
        return 1.0
    above = placements(q[exits], q[stays]) - placements(p[exits], p[stays])
    below = placements(p[stays], p[exits]) - placements(q[stays], q[exits])
    error = (above.var(ddof=1) / above.size + below.var(ddof=1) / below.size) ** 0.5
    return float(above.mean() + ONE_SIDED * error)


def _fit_recalibration(log_odds: np.ndarray, y: np.ndarray, prior: float) -> Recalibration:
    """(a, c) of the best a + c x log_odds on these rows, regularised towards (0, 1) by the prior.

    A recalibration moves percentages and keeps the ranking: c is at least .05.
    """
    x = np.clip(log_odds, -_WIDEST, _WIDEST)
    a, c = regularised_fit(x[:, None], y, IDENTITY, prior)  # the prior keeps a pure class finite
    if c < _LEAST_SLOPE:
        return _fit_shift(_LEAST_SLOPE * x, y, prior), _LEAST_SLOPE
    return float(a), float(c)


def recalibrations(
    log_odds: np.ndarray, y: np.ndarray, rule: Rule = RULE
) -> tuple[Recalibration, Recalibration]:
    """A model as it is and recalibrated on the newest rows; as it is where these are too few."""
    if y.size < rule.recalibration_rows:
        return IDENTITY, IDENTITY
    return IDENTITY, _fit_recalibration(log_odds, y, rule.prior)


def recentre(log_odds: np.ndarray, y: np.ndarray, folds: np.ndarray, prior: float) -> np.ndarray:
    """Log-odds moved to the mean of these rows: each fold by what the other fold shows.

    Rows of one file share an effect of that file; two models that are both moved by it are
    compared by what they know beyond it.
    """
    # Halves the loss to the better naive rule under pure file effects (Brier .0022 to .0010).
    moved = np.array(log_odds, dtype=np.float64)
    for fold in (0, 1):
        fitted, asked = folds != fold, folds == fold
        moved[asked] += _fit_shift(log_odds[fitted], y[fitted], prior)
    return moved


def _fit_shift(log_odds: np.ndarray, y: np.ndarray, prior: float) -> float:
    """The a of the best a + log_odds on these rows, regularised towards 0."""
    x = np.clip(log_odds, -_WIDEST, _WIDEST)
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
    relative = np.exp(-(np.array(scores) - min(scores)))  # the best is 1, so that none overflows
    return relative / relative.sum()


def mean_recalibration(
    recalibrations: tuple[Recalibration, ...], scores: tuple[float, ...]
) -> Recalibration:
    """The weighted ensemble of one model's recalibrations, which is a recalibration again."""
    a, c = ensemble_weights(scores) @ np.array(recalibrations)
    return float(a), float(c)


def calibration_in_the_large(risks: np.ndarray, labels: np.ndarray) -> Shift:
    """How far the outcomes lay from the risks as they were deployed.

    intercept: the best a of a + log-odds (regularised as by one observation, so that a file of one
    class alone has one), error: its standard error, n: rows.
    """
    x = log_odds_of_risks(risks)
    shift = _fit_shift(x, labels, _SHIFT_PRIOR)
    q = expit(x + shift)
    error = float((_SHIFT_PRIOR + np.sum(q * (1 - q))) ** -0.5)
    return {"intercept": shift, "error": error, "n": int(labels.size)}


def log_odds_of_risks(risks: np.ndarray) -> np.ndarray:
    return np.clip(logit(risks), -_WIDEST, _WIDEST)

"""How good predictions are, by numpy alone: F1, AUC, Brier, calibration, what a list reaches.

Every share and area has its 95 % interval beside it. Start at `measure`.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from risk.model.logistic import expit, logit
from risk.model.newton import regularised_fit, sums

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
THRESHOLD = 0.5  # of the original: from here a risk is called an exit
Z95 = 1.959963984540054
ONE_SIDED = 1.645  # the normal quantile of a one-sided 95 %
_BINS, _LEAST_IN_BIN = 10, 10  # tenths, as people know them; fewer in a bin say nothing
_EPSILON = float(np.finfo(np.float64).eps)


class Estimate(TypedDict):
    value: float
    interval: list[float]


class RiskBin(TypedDict):
    """Clients of about equal risk: their mean risk beside the share that left."""

    n: int
    risk: float
    left: float
    interval: list[float]


class Calibration(TypedDict):
    """How risks and outcomes agree: slope and intercept on the log-odds (1 and 0 are right), None
    where there is no best line, and the risks in bins."""

    slope: Estimate | None
    intercept: Estimate | None
    bins: list[RiskBin]


class Gain(TypedDict):
    """What calling a share of the clients reaches, the highest risks first; None where unknown."""

    share: float
    called: int
    left: int
    precision: float
    precision_interval: list[float]
    recall: float | None
    recall_interval: list[float]
    lift: float | None
    lift_interval: list[float] | None
    at_random: dict[str, float]


class Confusion(TypedDict):
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class Measures(Confusion):
    """What the score file says of a model's risks, beside everybody called and one risk for all."""

    n: int
    exits: int
    threshold: float
    f1: float
    f1_interval: list[float]
    precision: float | None
    recall: float | None
    auc: float | None
    auc_interval: list[float] | None
    brier: float
    log_loss: float
    everybody_exits: dict[str, float]
    base_rate: dict[str, float]
    calibration: Calibration
    cumulative_gains: list[Gain]


def measure(y: np.ndarray, p: np.ndarray, base_rate: float) -> Measures:
    """Every measure of the risks p on labels y, beside two dummies.

    base_rate: the share of exits among the training rows, the risk that knows nothing of a client.
    """
    called = (p >= THRESHOLD).astype(int)
    c = confusion_counts(y, called)
    everybody, flat = np.ones(y.size, dtype=int), np.full(y.size, base_rate)
    return {
        "n": int(y.size),
        "exits": int(np.sum(y == 1)),
        "threshold": THRESHOLD,
        "f1": f1(y, called),
        "f1_interval": list(f1_interval(y, called)),
        **c,
        "precision": _part_of(c["true_positive"], c["false_positive"]),
        "recall": _part_of(c["true_positive"], c["false_negative"]),
        "auc": auc(y, p),
        "auc_interval": auc_interval(y, p),
        "brier": brier(y, p),
        "log_loss": log_loss(y, p),
        "everybody_exits": {"f1": f1(y, everybody)},
        "base_rate": {
            "risk": base_rate,
            "f1": f1(y, (flat >= THRESHOLD).astype(int)),
            "brier": brier(y, flat),
            "log_loss": log_loss(y, flat),
        },
        "calibration": calibration(y, p),
        "cumulative_gains": cumulative_gains(y, p),
    }


def _part_of(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None


def confusion_counts(y: np.ndarray, called: np.ndarray) -> Confusion:
    """The confusion counts of labels and 0/1 predictions."""
    return {
        "true_positive": int(np.sum((y == 1) & (called == 1))),
        "false_positive": int(np.sum((y == 0) & (called == 1))),
        "false_negative": int(np.sum((y == 1) & (called == 0))),
        "true_negative": int(np.sum((y == 0) & (called == 0))),
    }


def f1(y: np.ndarray, called: np.ndarray) -> float:
    """2 tp / (2 tp + fp + fn); 0 where there is nothing to find and nothing was called."""
    c = confusion_counts(y, called)
    wrong = c["false_positive"] + c["false_negative"]
    return 2 * c["true_positive"] / (2 * c["true_positive"] + wrong) if c["true_positive"] else 0.0


def f1_interval(y: np.ndarray, called: np.ndarray) -> tuple[float, float]:
    """A 95 % interval of F1; (0, 1) where there is nothing to find and nothing was called.

    Of the rows that are an exit, called one, or both, tp are both: a binomial share s, for which
    Wilson's interval holds also at 0 and 1 and for few rows, and F1 = 2 s / (1 + s).
    """
    c = confusion_counts(y, called)
    hits = c["true_positive"]
    low, high = wilson(hits, hits + c["false_positive"] + c["false_negative"])
    return 2 * low / (1 + low), 2 * high / (1 + high)


def auc(y: np.ndarray, score: np.ndarray) -> float | None:
    """The chance that an exit scores above a stay (ties half); None with one class only."""
    exits = int(np.sum(y == 1))
    if exits in (0, y.size):
        return None
    _, at, sizes = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[at]
    return float((ranks[y == 1].sum() - exits * (exits + 1) / 2) / (exits * (y.size - exits)))


def placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each score the share of the others below it, ties half: DeLong's. Shape of scores."""
    ordered = np.sort(others)
    low, high = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (low + high) / (2 * others.size)


def brier(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.mean((p - y) ** 2))


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """Mean negative log likelihood in nats; p is kept the smallest step away from 0 and 1."""
    p = np.clip(p, _EPSILON, 1 - _EPSILON)
    return float(-np.mean(np.where(y == 1, np.log(p), np.log1p(-p))))


def wilson(hits: float, rows: float) -> list[float]:
    """A 95 % interval of a share; [0, 1] without rows. Rows that count as fewer may be a part."""
    if not rows:
        return [0.0, 1.0]
    share, shrink = hits / rows, 1 + Z95**2 / rows
    middle = (share + Z95**2 / (2 * rows)) / shrink
    half = Z95 * (share * (1 - share) / rows + (Z95 / (2 * rows)) ** 2) ** 0.5 / shrink
    return [max(middle - half, 0.0), min(middle + half, 1.0)]


def auc_interval(y: np.ndarray, score: np.ndarray) -> list[float] | None:
    """A 95 % interval of the AUC (DeLong's variance on the logit scale); None with one class only.

    Perfect order has no variance to show; there the interval reaches down by the rule of three.
    """
    area = auc(y, score)
    if area is None:
        return None
    exits, stays = score[y == 1], score[y == 0]
    if min(exits.size, stays.size) < 2:
        return [0.0, 1.0]
    if area in (0.0, 1.0):
        # Perfect order has no variance; the rule of three says how far it may still be from true.
        far = min(1.0, 3.0 / min(exits.size, stays.size))
        return [1.0 - far, 1.0] if area else [0.0, far]
    above, below = placements(exits, stays), 1.0 - placements(stays, exits)
    error = (above.var(ddof=1) / exits.size + below.var(ddof=1) / stays.size) ** 0.5
    centre, half = logit(np.array(area)), Z95 * error / (area * (1 - area))
    return [float(expit(centre + side * half)) for side in (-1, 1)]


def calibration(y: np.ndarray, p: np.ndarray) -> Calibration:
    """How risks and outcomes agree: slope and intercept on the log-odds with 95 % intervals
    (1 and 0 are right), and in tenths of the rows the mean risk beside the share that left."""
    found: Calibration = {"slope": None, "intercept": None, "bins": _reliability(y, p)}
    z = logit(p)
    if not (0 < np.sum(y) < y.size and z.std() > 0):
        return found
    Z = z[:, None]
    weights = regularised_fit(Z, y, (0.0, 1.0), 0.0)
    _, gradient, hessian = sums(Z, y, weights)
    # Classes that z tells apart (all but ties) have no best line: each step then is as long as
    # the last, however little it gains, and the curvature vanishes.
    if np.linalg.cond(hessian) > 1e12 or np.abs(np.linalg.solve(hessian, gradient)).max() > 1e-6:
        return found
    errors = Z95 * np.sqrt(np.diag(np.linalg.inv(hessian)))
    intercept, slope = (
        Estimate(value=float(w), interval=[float(w - e), float(w + e)])
        for w, e in zip(weights, errors, strict=True)
    )
    return {**found, "slope": slope, "intercept": intercept}


def _reliability(y: np.ndarray, p: np.ndarray) -> list[RiskBin]:
    """Up to ten groups of about equal rows: n, mean risk, share that left and its interval."""
    # Groups of equal rows and not of equal width: most risks are low, and wide bins would be empty.
    groups = int(np.clip(y.size // _LEAST_IN_BIN, 1, _BINS))
    return [
        {
            "n": int(part.size),
            "risk": float(p[part].mean()),
            "left": float(y[part].mean()),
            "interval": wilson(int(y[part].sum()), part.size),
        }
        for part in np.array_split(np.argsort(p, kind="stable"), groups)
        if part.size
    ]


def cumulative_gains(
    y: np.ndarray, p: np.ndarray, shares: tuple[float, ...] = SHARES
) -> list[Gain]:
    """For each share of the clients called, highest risk first: precision, recall and lift with
    95 % intervals, beside what calling as many at random would reach."""
    order, exits = np.argsort(-p, kind="stable"), int(np.sum(y == 1))
    rate = exits / y.size if y.size else 0.0
    found: list[Gain] = []
    for share in shares:
        called = max(1, round(share * y.size))
        hits = int(y[order[:called]].sum())
        precision = wilson(hits, called)
        found.append(
            {
                "share": share,
                "called": called,
                "left": hits,
                "precision": hits / called,
                "precision_interval": precision,
                "recall": hits / exits if exits else None,
                "recall_interval": wilson(hits, exits),
                "lift": hits / called / rate if rate else None,
                "lift_interval": [end / rate for end in precision] if rate else None,
                "at_random": {"precision": rate, "recall": called / y.size},
            }
        )
    return found

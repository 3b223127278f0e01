"""How good predictions are: F1, AUC, Brier, log loss and their like, by numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

THRESHOLD = 0.5
Z95 = 1.959963984540054
ONE_SIDED = 1.645  # the normal quantile of a one-sided 95 %
EPSILON = float(np.finfo(np.float64).eps)


def counts(y: np.ndarray, called: np.ndarray) -> dict[str, int]:
    """The confusion counts of labels and 0/1 predictions."""
    return {
        "true_positive": int(np.sum((y == 1) & (called == 1))),
        "false_positive": int(np.sum((y == 0) & (called == 1))),
        "false_negative": int(np.sum((y == 1) & (called == 0))),
        "true_negative": int(np.sum((y == 0) & (called == 0))),
    }


def f1(y: np.ndarray, called: np.ndarray) -> float:
    """2 tp / (2 tp + fp + fn); 0 where there is nothing to find and nothing was called."""
    c = counts(y, called)
    wrong = c["false_positive"] + c["false_negative"]
    return 2 * c["true_positive"] / (2 * c["true_positive"] + wrong) if c["true_positive"] else 0.0


def f1_interval(y: np.ndarray, called: np.ndarray) -> tuple[float, float]:
    """A 95 % interval of F1; (0, 1) where there is nothing to find and nothing was called.

    Of the rows that are an exit, called one, or both, tp are both: a binomial share s, for which
    Wilson's interval holds also at 0 and 1 and for few rows, and F1 = 2 s / (1 + s).
    """
    c = counts(y, called)
    found = c["true_positive"]
    rows = found + c["false_positive"] + c["false_negative"]
    if not rows:
        return 0.0, 1.0
    share, shrink = found / rows, 1 + Z95**2 / rows
    middle = (share + Z95**2 / (2 * rows)) / shrink
    reach = Z95 * (share * (1 - share) / rows + (Z95 / (2 * rows)) ** 2) ** 0.5 / shrink
    low, high = max(middle - reach, 0.0), min(middle + reach, 1.0)
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
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return float(-np.mean(np.where(y == 1, np.log(p), np.log1p(-p))))


def measures(y: np.ndarray, p: np.ndarray, base_rate: float) -> dict[str, Any]:
    """Everything that the score file says of probabilities p on labels y, beside two dummies.

    base_rate: the share of exits among the training rows, the risk that knows nothing of a client.
    """
    called = (p >= THRESHOLD).astype(int)
    c = counts(y, called)
    low, high = f1_interval(y, called)
    everybody, flat = np.ones(y.size, dtype=int), np.full(y.size, base_rate)
    return {
        "n": int(y.size),
        "exits": int(np.sum(y == 1)),
        "threshold": THRESHOLD,
        "f1": f1(y, called),
        "f1_interval": [low, high],
        **c,
        "precision": _share(c["true_positive"], c["false_positive"]),
        "recall": _share(c["true_positive"], c["false_negative"]),
        "auc": auc(y, p),
        "brier": brier(y, p),
        "log_loss": log_loss(y, p),
        "everybody_exits": {"f1": f1(y, everybody)},
        "base_rate": {
            "risk": base_rate,
            "f1": f1(y, (flat >= THRESHOLD).astype(int)),
            "brier": brier(y, flat),
            "log_loss": log_loss(y, flat),
        },
    }


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None

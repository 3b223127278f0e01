"""What the drift monitor found, a sentence each: how it was in the reference, how it is now."""

from __future__ import annotations

import numpy as np

from risk.drift.reference import LEAST_ROWS, ColumnReference, Reference
from risk.model.profile import value_text
from risk.words import percent


def drift_sentence(
    kind: str,
    name: str,
    reference: Reference,
    then: np.ndarray,
    now: np.ndarray,
    mean_risks: tuple[float, float],
) -> str:
    """One sentence. then, now: the counts of its urns, shape (G, K); mean_risks: (then, now)."""
    if then.sum() < LEAST_ROWS:
        return f"the reference has only {then.sum():,.0f} rows to compare with"
    if not now.sum():
        return f"no row has come to compare with the reference's {then.sum():,.0f}"
    if kind in ("risk", "number"):
        column = reference["risk"] if kind == "risk" else reference["columns"][name]
        return _of_number(then[0], now[0], column)
    if kind == "text":
        return _of_text(then[0], now[0], reference["columns"][name]["levels"])
    # The second bin's share: of rows without a value, or of exits.
    was, is_now = (float(x[..., 1].sum() / max(x.sum(), 1e-9)) for x in (then, now))
    if kind in ("missing", "exits"):
        return _of_share(
            "missing was" if kind == "missing" else "exits were", was, is_now, then, now
        )
    if kind == "calibration":
        return (
            f"the mean risk was {percent(mean_risks[0])} where {percent(was)} left (reference, "
            f"{then.sum():,.0f}), now {percent(mean_risks[1])} where {percent(is_now)} leave "
            f"(newest {now.sum():,.0f})"
        )
    return _of_labels(then, now, reference["labels"]["cuts"])


def _of_share(subject: str, was: float, is_now: float, then: np.ndarray, now: np.ndarray) -> str:
    return (
        f"{subject} {percent(was)} of the reference's {then.sum():,.0f}, "
        f"now {percent(is_now)} of the newest {now.sum():,.0f}"
    )


def _of_number(then: np.ndarray, now: np.ndarray, column: ColumnReference) -> str:
    """The share above the cut at which both differ most."""
    bins = len(column["counts"])
    above = [1 - np.cumsum(counts[:bins])[:-1] / counts.sum() for counts in (then, now)]
    at = int(np.argmax(np.abs(above[0] - above[1])))
    cuts = [column["least"], *column["cuts"], column["most"]]
    if at == 0:
        words, parts = f"values below {value_text(cuts[0])} were", [1 - part[0] for part in above]
    else:
        words, parts = f"values above {value_text(cuts[at])} were", [part[at] for part in above]
    return _of_share(words, float(parts[0]), float(parts[1]), then, now)


def _of_text(then: np.ndarray, now: np.ndarray, levels: list[str]) -> str:
    """The level whose share differs most."""
    shares = [counts[: len(levels) + 1] / counts.sum() for counts in (then, now)]
    at = int(np.argmax(np.abs(shares[0] - shares[1])))
    subject = f"{levels[at]} was" if at < len(levels) else "other levels than those known were"
    return _of_share(subject, float(shares[0][at]), float(shares[1][at]), then, now)


def _of_labels(then: np.ndarray, now: np.ndarray, cuts: list[float]) -> str:
    """The quarter of the risk in which the exits differ most, among those with rows."""
    exits = [counts[:, 1] / np.maximum(counts.sum(axis=1), 1e-9) for counts in (then, now)]
    weight = np.sqrt(now.sum(axis=1)) * (then.sum(axis=1) > 0)
    at = int(np.argmax(np.abs(exits[0] - exits[1]) * weight))
    edges = ["0", *(f"{cut:.2f}" for cut in cuts), "1"]
    subject = f"at a risk of {edges[at]} to {edges[at + 1]} exits were"
    return _of_share(subject, float(exits[0][at]), float(exits[1][at]), then[at], now[at])

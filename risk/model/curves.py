"""ROC and precision-recall as curves with pointwise 95 % bands, from labels and risks.

A band is the wider one, at each point, of 300 seeded resamples within each class and of Wilson's
interval of the point's own share: resamples of a perfect order all look alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import numpy as np

from risk.model.measures import wilson

_CurveOf = Callable[[np.ndarray, np.ndarray], np.ndarray]
_GRID = np.linspace(0.0, 1.0, 51)
_MOST_GROUPS = 400  # of neighbouring risks: a million rows cost what 400 do
_RESAMPLES, _SEED = 300, 0
_LEAST_FOR_BAND = 10  # of the smaller class; resamples of fewer are the same few rows again


class Band(TypedDict):
    """A curve on the grid; its ends None where too few rows give none."""

    value: list[float]
    low: list[float] | None
    high: list[float] | None


class Curves(TypedDict):
    n: int
    exits: int
    grid: list[float]
    roc: Band
    precision: Band


def curves(labels: np.ndarray, risks: np.ndarray) -> Curves | None:
    """Both curves on one grid, `low` and `high` None where too few rows; None with one class only.

    roc: at each share of stayers called, the share of leavers called. precision: at each share of
    leavers called, the share of the called that left.
    """
    left, stayed = _groups_of_risk(labels, risks)
    if not left.sum() or not stayed.sum():
        return None
    roc, precision = _roc(left, stayed), _precision(left, stayed)
    called = np.maximum(_GRID * left.sum() / np.maximum(precision, 1e-9), 1)
    leavers = np.full(_GRID.size, left.sum())
    return {
        "n": int(labels.size),
        "exits": int(left.sum()),
        "grid": _GRID.tolist(),
        "roc": _band_around(roc, left, stayed, _roc, leavers),
        "precision": _band_around(precision, left, stayed, _precision, called),
    }


def _groups_of_risk(labels: np.ndarray, risks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(how many left, how many stayed) of each group of equal or neighbouring risks, highest first.

    Shape (G,) each, G at most 400.
    """
    levels, own = np.unique(-risks, return_inverse=True)
    if levels.size > _MOST_GROUPS:
        order = np.argsort(-risks, kind="stable")
        ranks = np.empty(risks.size, dtype=np.int64)
        ranks[order] = np.arange(risks.size) * _MOST_GROUPS // risks.size
        # Equal risks are never parted: a level goes where its first row goes.
        first = np.full(levels.size, _MOST_GROUPS)
        np.minimum.at(first, own, ranks)
        own = first[own]
    groups = int(own.max()) + 1 if own.size else 0
    sizes = np.bincount(own, minlength=groups)
    left = np.bincount(own, weights=labels, minlength=groups).astype(np.int64)
    kept = sizes > 0
    return left[kept], (sizes - left)[kept]


def _roc(left: np.ndarray, stayed: np.ndarray) -> np.ndarray:
    """The share of leavers called at each share of stayers called on the grid."""
    false, true = (np.concatenate([[0.0], np.cumsum(part) / part.sum()]) for part in (stayed, left))
    return np.interp(_GRID, false, true)


def _precision(left: np.ndarray, stayed: np.ndarray) -> np.ndarray:
    """The share of the called that left at each share of leavers called on the grid.

    Between two groups both counts grow evenly, as if equal risks were called in turn by lot.
    """
    true = np.concatenate([[0.0], np.cumsum(left)])
    false = np.concatenate([[0.0], np.cumsum(stayed)])
    steps = np.flatnonzero(np.diff(true) > 0)
    wanted = _GRID * true[-1]
    at = np.clip(np.searchsorted(true[steps + 1], wanted, side="left"), 0, steps.size - 1)
    start, end = steps[at], steps[at] + 1
    part = np.clip((wanted - true[start]) / (true[end] - true[start]), 0.0, 1.0)
    wrong = false[start] + part * (false[end] - false[start])
    first = left[steps[0]] / (left[steps[0]] + stayed[: steps[0] + 1].sum())
    return np.where(wanted > 0, wanted / np.maximum(wanted + wrong, 1e-12), first)


def _band_around(
    value: np.ndarray, left: np.ndarray, stayed: np.ndarray, curve: _CurveOf, rows: np.ndarray
) -> Band:
    """The curve with its pointwise 95 % band; rows: how many each point is a share of."""
    if min(left.sum(), stayed.sum()) < _LEAST_FOR_BAND:
        return {"value": value.tolist(), "low": None, "high": None}
    rng = np.random.default_rng(_SEED)
    drawn = [
        rng.multinomial(int(part.sum()), part / part.sum(), _RESAMPLES) for part in (left, stayed)
    ]
    found = np.array([curve(one, other) for one, other in zip(*drawn, strict=True)])
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    least, most = np.transpose(
        [wilson(share * n, n) for share, n in zip(value.tolist(), rows.tolist(), strict=True)]
    )
    return {
        "value": value.tolist(),
        "low": np.minimum(np.minimum(low, least), value).tolist(),
        "high": np.maximum(np.maximum(high, most), value).tolist(),
    }

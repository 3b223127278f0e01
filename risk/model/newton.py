"""Logistic regression by Newton's method: the one solver of the tree.

`regularised_fit` is for a few weights on one array (a recalibration, a calibration line), `ridge`
for the many weights of a model: sums over parts of the rows, in two threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

_STEPS, _HALVINGS = 50, 60  # from certain and wrong a whole step is more than 1e6 times too long
_CLOSE = 1e-6
_EXACT = 1e-12  # a last step of so small a gain leaves an error far below it
_THREADS = 2
_PART_ROWS = 4_000  # few enough that two threads always both have some
_MADE_ROWS = 20_000  # the design matrix of so many rows stays in the cache
_BLOCK_ROWS = 1000  # x 130 columns x 8 bytes: a megabyte, which stays in the cache
Sums = tuple[float, np.ndarray, np.ndarray]


def log_odds_of(Z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """weights[0] + Z @ weights[1:]. Shape (n,)."""
    return weights[0] + Z @ weights[1:]


def sums(
    Z: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    counts: np.ndarray | None = None,
    offset: np.ndarray | float = 0.0,
) -> Sums:
    """(loss, gradient, Hessian) of these rows alone: those of several chunks add up.

    counts: how often each row counts, once where None. offset: added to the log-odds. Shape (n,).
    """
    eta = log_odds_of(Z, weights) + offset
    small = np.exp(-np.abs(eta))
    risk = np.where(eta >= 0, 1.0, small) / (1.0 + small)
    losses = np.log1p(small) + np.maximum(eta, 0.0) - y * eta
    wrong, bend = risk - y, risk * (1.0 - risk)
    if counts is not None:
        losses, wrong, bend = counts * losses, counts * wrong, counts * bend
    gradient = np.concatenate([[wrong.sum()], wrong @ Z])
    return float(losses.sum()), gradient, _hessian_of(Z, np.sqrt(bend))


def _hessian_of(Z: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """The sum of roots^2 x z z' over rows z = (1, columns): by blocks that stay in the cache.

    A product of a block with its own transpose is symmetric, which halves the work: on 100,000 x
    130 this takes half the time of one product over all rows.
    """
    width = Z.shape[1] + 1
    total, block = np.zeros((width, width)), np.empty((min(_BLOCK_ROWS, len(Z)), width))
    for first in range(0, len(Z), _BLOCK_ROWS):
        root = roots[first : first + _BLOCK_ROWS]
        weighted = block[: root.size]
        weighted[:, 0] = root
        np.multiply(Z[first : first + _BLOCK_ROWS], root[:, None], out=weighted[:, 1:])
        total += weighted.T @ weighted
    return total


def ridge(
    Z: np.ndarray | Callable[[slice], np.ndarray],
    y: np.ndarray,
    start: np.ndarray | None = None,
    counts: np.ndarray | None = None,
) -> np.ndarray:
    """Weights, intercept first, that minimise summed log loss + |slopes|^2 / 2.

    Z: the design matrix, or what makes the rows of a slice of it, anew for each step: memory is
    then that of two parts. start: weights nearby, passed over where they are of other columns.
    """
    from concurrent.futures import ThreadPoolExecutor

    part = Z if callable(Z) else Z.__getitem__
    size = part(slice(0)).shape[1] + 1
    if start is None or len(start) != size:  # the model that knows only the share of exits
        share = np.clip(np.average(y, weights=counts), 1e-6, 1 - 1e-6)  # of one class: not infinite
        start = np.append(np.log(share / (1 - share)), np.zeros(size - 1))
    rows = _MADE_ROWS if callable(Z) else _PART_ROWS
    parts = [slice(first, first + rows) for first in range(0, len(y), rows)]
    # What the last step leaves is about its gain's square over the rows of the rarer class: a
    # millionth of each is 1e-12 of log loss for each of them, which moves a weight by some 1e-6.
    exits, total = (y.sum(), y.size) if counts is None else (counts @ y, counts.sum())
    close = _CLOSE * max(1.0, float(min(exits, total - exits)))
    with ThreadPoolExecutor(_THREADS) as pool:  # numpy lets go of the interpreter while it works
        each = pool.map if len(parts) > 1 else map

        def sums_at(weights: np.ndarray) -> Sums:
            def sums_of(rows: slice) -> Sums:
                return sums(part(rows), y[rows], weights, None if counts is None else counts[rows])

            # In the order of the parts, whichever thread ends first: the same rows, the same model.
            return reduce(
                lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2]), each(sums_of, parts)
            )

        return _minimise(sums_at, start, close, np.zeros(size), np.append(0.0, np.ones(size - 1)))


def regularised_fit(
    Z: np.ndarray,
    y: np.ndarray,
    centre: tuple[float, ...],
    precision: float,
    offset: np.ndarray | float = 0.0,
) -> np.ndarray:
    """The w, intercept first, with the least log loss of offset + w[0] + Z @ w[1:], plus
    precision / 2 x |w - centre|^2. Shape of centre."""
    w = np.array(centre, dtype=np.float64)
    return _minimise(
        lambda w: sums(Z, y, w, offset=offset), w, _EXACT, w, np.full(w.size, precision)
    )


def _minimise(
    sums_at: Callable[[np.ndarray], Sums],
    weights: np.ndarray,
    close: float,
    centre: np.ndarray,
    precision: np.ndarray,
) -> np.ndarray:
    """Newton steps until one gains under `close`, halved while they do not lower the objective.

    Whole steps never settle where many risks are near 0 or 1 and wrong, as they are after the
    world has changed. precision: how strongly each weight is held to its centre.
    """

    def objective(w: np.ndarray) -> Sums:
        loss, gradient, hessian = sums_at(w)
        away = w - centre
        penalty = 0.5 * float(precision @ away**2)
        return loss + penalty, gradient + precision * away, hessian + np.diag(precision)

    value, slope, bend = objective(weights)
    for _ in range(_STEPS):
        # 1e-9: without it two equal columns that nothing holds are a singular matrix
        step = np.linalg.solve(bend + 1e-9 * np.eye(slope.size), slope)
        if float(slope @ step) < close:
            return weights - step
        before = value
        for _ in range(_HALVINGS):
            tried = weights - step
            value, slope, bend = objective(tried)
            if value <= before * (1 + 1e-12):  # equal but for rounding
                break
            step = step / 2
        weights = tried
    return weights

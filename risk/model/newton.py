"""Ridge logistic regression by Newton's method, in one piece or over chunks of rows that add up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

STEPS = 30
CLOSE = 1e-6
Chunk = tuple[np.ndarray, np.ndarray]


def log_odds_of(Z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """weights[0] + Z @ weights[1:]. Shape (n,)."""
    return weights[0] + Z @ weights[1:]


def sums(Z: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(loss, gradient, Hessian) of these rows alone: those of several chunks add up."""
    eta = log_odds_of(Z, weights)
    small = np.exp(-np.abs(eta))
    risk = np.where(eta >= 0, 1.0, small) / (1.0 + small)
    loss = float(np.sum(np.log1p(small) + np.maximum(eta, 0.0) - y * eta))
    wrong, spread = risk - y, risk * (1.0 - risk)
    weighted = Z * spread[:, None]
    gradient = np.concatenate([[wrong.sum()], wrong @ Z])
    hessian = np.empty((len(weights), len(weights)))
    hessian[0, 0] = spread.sum()
    hessian[0, 1:] = hessian[1:, 0] = weighted.sum(axis=0)
    hessian[1:, 1:] = weighted.T @ Z
    return loss, gradient, hessian


def ridge(Z: np.ndarray, y: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Weights, intercept first, that minimise summed log loss + |slopes|^2 / 2."""
    if start is None or len(start) != Z.shape[1] + 1:
        start = null_weights(y, Z.shape[1])
    return minimise(lambda weights: sums(Z, y, weights), start)


def null_weights(y: np.ndarray, columns: int) -> np.ndarray:
    """The model that knows only the share of exits."""
    share = np.clip(np.mean(y), 1e-6, 1 - 1e-6)
    return np.concatenate([[np.log(share / (1 - share))], np.zeros(columns)])


def ridge_in_chunks(chunks: Callable[[], Iterable[Chunk]], start: np.ndarray) -> np.ndarray:
    """The same for rows that come in chunks, each time from the start; memory is one chunk's."""

    def total(weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        parts = [sums(Z, y, weights) for Z, y in chunks()]
        losses, gradients, hessians = zip(*parts, strict=True)
        return sum(losses), sum(gradients), sum(hessians)  # type: ignore[return-value]

    return minimise(total, start)


def minimise(
    sums_at: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]], weights: np.ndarray
) -> np.ndarray:
    """Newton steps, halved while they do not lower the objective, until one gains nothing."""
    hold = np.concatenate([[0.0], np.ones(len(weights) - 1)])
    loss, gradient, hessian = sums_at(weights)
    for _ in range(STEPS):
        slope = gradient + hold * weights
        step = np.linalg.solve(hessian + np.diag(hold + 1e-9), slope)
        if float(slope @ step) < CLOSE:
            return weights - step
        before = loss + 0.5 * float(hold @ weights**2)
        for _ in range(20):
            tried = weights - step
            loss, gradient, hessian = sums_at(tried)
            if loss + 0.5 * float(hold @ tried**2) <= before:
                break
            step = step / 2
        weights = tried
    return weights

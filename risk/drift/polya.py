"""From counts: evidence that new rows are not drawn as the reference was, and how far apart.

The test is of the Polya urn (Dirichlet-multinomial). An urn holds one ball per row counted so far,
coloured by the row's bin. While nothing is wrong the reference's rows and the new ones are
exchangeable, so that the next row's bin has the chance of its colour in the urn that holds them
all. Alternatives are urns that begin as something weaker than the reference, or as the reference
tilted, and forget.

    chance of counts n, in one order   prod_k a_k (a_k+1) .. (a_k+n_k-1)  /  A (A+1) .. (A+n-1)
    ratio of an evaluation             the alternative's chance / the one of the urn with all rows
    value after it                     (value before + stake) x ratio

The ratio's expectation is 1 while nothing is wrong: the value is a test martingale but for the
stakes, and exceeds s times their sum with a chance of at most 1/s, however often one evaluates.
That the reference is small needs no further thought: its urn moves with the new rows.

Shapes: J alternatives, U urns, K bins; a bin that an urn has not is 0 in its start.
"""

from __future__ import annotations

import numpy as np

LEAST_LOG = -700.0
MOST_LOG = 60.0  # a value beyond e^60 says nothing more, and would take years to be lost again
SHIFT = 8  # Stirling's series is good for large numbers only: at x + 8 to 1e-12
SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)


def log_gamma(x: np.ndarray) -> np.ndarray:
    """The logarithm of the gamma function of positive numbers: Stirling's series at x + 8. Exact
    to about 1e-12."""
    product = np.ones_like(x)
    for step in range(SHIFT):
        product = product * (x + step)
    y = x + SHIFT
    inverse = 1 / y
    square = inverse * inverse
    tail = np.zeros_like(y)
    for factor in reversed(SERIES):
        tail = tail * square + factor
    half_log = 0.9189385332046727  # log(2 pi) / 2
    return (y - 0.5) * np.log(y) - y + half_log + tail * inverse - np.log(product)


def _log_rising(start: np.ndarray, n: np.ndarray) -> np.ndarray:
    """log(start (start+1) .. (start+n-1)) elementwise, 0 where n is 0."""
    some = n > 0
    start, n = np.broadcast_arrays(np.where(some, start, 1.0), n)
    found = np.zeros(start.shape)
    some = np.broadcast_to(some, start.shape)
    at = np.maximum(start[some], 1e-9)
    found[some] = log_gamma(at + n[some]) - log_gamma(at)
    return found


def log_probability(start: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The log of the chance of the counts' rows, in one order, by an urn. Shape (..., U)."""
    top = _log_rising(start, counts).sum(axis=-1)
    return top - _log_rising(start.sum(axis=-1), counts.sum(axis=-1))


def log_ratios(counts: np.ndarray, whole: np.ndarray, alternatives: np.ndarray) -> np.ndarray:
    """Each alternative's log ratio for each urn: shape (J, U), 0 where a urn has no new row.

    counts, shape (U, K): the new rows. whole, shape (U, K): the reference and all rows before.
    alternatives, shape (J, U, K).
    """
    found = np.zeros(alternatives.shape[:2])
    at = np.flatnonzero(counts.sum(axis=1))
    if at.size:
        # Urns without a new row are most of them in a small run, and log_gamma is what costs.
        null = log_probability(whole[at], counts[at])
        found[:, at] = log_probability(alternatives[:, at], counts[at]) - null
    return found


def next_log_values(log_values: np.ndarray, stakes: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """The log of (value + stake) x ratio, held between e^-700 and e^60. Shape of ratios."""
    with np.errstate(divide="ignore"):
        staked = np.logaddexp(log_values, np.log(stakes))
    return np.clip(staked + ratios, LEAST_LOG, MOST_LOG)


def log_sum(log_values: np.ndarray) -> np.ndarray:
    """The log of the sum over the alternatives (first axis)."""
    peak = log_values.max(axis=0)
    return peak + np.log(np.exp(log_values - peak).sum(axis=0))


def tilt(shares: np.ndarray, scores: np.ndarray, strength: float) -> np.ndarray:
    """The shares with each bin times exp(strength x score), adding up to 1 again."""
    moved = shares * np.exp(strength * scores)
    return moved / np.maximum(moved.sum(axis=-1, keepdims=True), 1e-300)


def squared_distance(then: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon divergence in bits of two counts' shares, in [0, 1]. Shape (U,)."""
    p = then / np.maximum(then.sum(axis=-1, keepdims=True), 1e-300)
    q = now / np.maximum(now.sum(axis=-1, keepdims=True), 1e-300)
    middle = np.maximum((p + q) / 2, 1e-300)
    bits = (
        (part * np.log2(np.where(part > 0, part / middle, 1.0))).sum(axis=-1) for part in (p, q)
    )
    return np.clip(sum(bits) / 2, 0.0, 1.0)


def excess_distance(then: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The same less what chance alone gives two samples of these sizes, at least 0. Shape (U,).

    Chance gives (bins - 1) / (8 ln 2) (1/n + 1/N): without it 30 rows in 10 bins would always
    look as far off as a real shift of half a standard deviation.
    """
    bins = ((then + now) > 1).sum(axis=-1)
    n, reference = now.sum(axis=-1), then.sum(axis=-1)
    both = 1 / np.maximum(n, 1e-9) + 1 / np.maximum(reference, 1e-9)
    chance = np.maximum(bins - 1, 0) / (8 * np.log(2)) * both
    distance = np.maximum(squared_distance(then, now) - chance, 0.0)
    return np.where((n > 0) & (reference > 0), distance, 0.0)

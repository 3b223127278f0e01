"""Which terms of one column the training rows propose: lines, curves, blanks and levels."""

from __future__ import annotations

from collections import Counter

import numpy as np

from risk.model.design import deviation
from risk.model.terms import NARROWEST, Blank, Curve, Levels, Linear, Log, Rank, Raw, Term

_MIN_BLANKS = 5  # fewer say nothing, and the flag would be a column for a handful of rows
_ROWS_PER_PIECE, _MOST_PIECES = 25, 8  # of the rarer class; 16 pieces were worse on real tables
# More levels make model.json longer than people read; a level of a few rows is their noise.
_MOST_LEVELS, _LEVEL_ROWS, _LEVEL_SHARE = 50, 10, 0.0005
_QUANTILE_ROWS = 200_000
_RANK_STEPS = 20
WIDEST = float(np.finfo(np.float64).max / 4)  # differences of two clipped numbers stay finite


def plain_terms(raw: Raw, numbers: tuple[str, ...], texts: tuple[str, ...]) -> list[Term]:
    """The small-data recipe: a line for every number, the commonest levels of every text.

    Numbers are clipped to the training 1-99 % range and filled by the median; five or more blanks
    add a flag. A text's 50 commonest levels, blank being one, have a column each; any other level
    adds nothing but their absence. Constant columns give no term.
    """
    terms: list[Term | None] = []
    for name in numbers:
        terms += [_linear_of(name, raw[name]), _blank_of(name, raw[name])]
    terms += [_commonest_levels(name, raw[name]) for name in texts]
    return [term for term in terms if term]


def main_effects(
    raw: Raw, numbers: tuple[str, ...], texts: tuple[str, ...], smaller: int
) -> list[Term]:
    """A curve for every number and the frequent levels of every text; smaller: the rarer class."""
    pieces = int(np.clip(smaller // _ROWS_PER_PIECE, 3, _MOST_PIECES))
    terms: list[Term | None] = []
    for name in numbers:
        terms += [_curve_of(name, raw[name], pieces), _blank_of(name, raw[name])]
    terms += [_frequent_levels(name, raw[name]) for name in texts]
    return [term for term in terms if term]


def log_of(name: str, values: np.ndarray) -> Term | None:
    """The number by its signed logarithm; None where it is constant."""
    line = _linear_of(name, values)
    return line and Log(name, line.low, line.high, line.fill)


def rank_of(name: str, values: np.ndarray) -> Term | None:
    """The number by its place among the rows; None where it is constant."""
    line = _linear_of(name, values)
    if line is None:
        return None
    known = np.clip(thin(values[np.isfinite(values)]), line.low, line.high)
    shares = np.linspace(0, 1, _RANK_STEPS + 1)
    knots, first = np.unique(np.quantile(known, shares), return_inverse=True)
    # A value that many rows have stands at the middle of their places.
    places = np.bincount(first, weights=shares) / np.bincount(first)
    if knots.size < 2:
        return None
    return Rank(name, line.fill, tuple(knots.tolist()), tuple(places.tolist()))


def _linear_of(name: str, values: np.ndarray) -> Linear | None:
    """The straight term of a number; None where it is constant after clipping and filling."""
    finite = np.clip(values[np.isfinite(values)], -WIDEST, WIDEST)
    if not finite.size:
        return None
    low, high = _clip_range(finite)
    line = Linear(name, low, high, float(np.clip(np.median(finite), low, high)))
    raw = {name: values}
    least = max(1e-12 * float(np.abs(line.basis(raw)).max()), NARROWEST)
    return line if deviation(line, raw) > least else None


def _clip_range(known: np.ndarray) -> tuple[float, float]:
    """The 1-99 % range; the whole range where a rare event would vanish from it."""
    low, high = np.quantile(thin(known), [0.01, 0.99])
    if low == high:  # a flag that fewer than one row in a hundred has
        low, high = known.min(), known.max()
    return float(low), float(high)


def thin(values: np.ndarray) -> np.ndarray:
    """At most 200,000 evenly spaced ones: quantiles of more cost time and change nothing."""
    return values[:: -(-values.size // _QUANTILE_ROWS)] if values.size > _QUANTILE_ROWS else values


def _blank_of(name: str, values: np.ndarray) -> Blank | None:
    return Blank(name) if _MIN_BLANKS <= np.isnan(values).sum() < values.size else None


def _curve_of(name: str, values: np.ndarray, pieces: int) -> Curve | None:
    """A broken line, knots at the quantiles of the clipped number; None where it is constant."""
    line = _linear_of(name, values)
    if line is None:
        return None
    # Quantiles that coincide (many rows of one value) leave fewer knots.
    clipped = np.clip(thin(values[np.isfinite(values)]), line.low, line.high)
    knots = np.unique(np.quantile(clipped, np.linspace(0, 1, pieces + 1)))
    return Curve(name, line.fill, tuple(knots.tolist())) if len(knots) > 1 else None


def _commonest_levels(name: str, texts: np.ndarray) -> Levels | None:
    """The 50 commonest levels of a text, missing being one; None where there are not two."""
    found = Counter(texts.tolist())
    if len(found) < 2:
        return None
    commonest = _by_frequency(found)[:_MOST_LEVELS]
    levels = sorted(commonest, key=lambda text: (text is None, text or ""))
    return Levels(name, tuple(levels), rest=False)


def _frequent_levels(name: str, texts: np.ndarray) -> Levels | None:
    """The levels with at least 10 rows and .05 %, at most 50; the rest share one column."""
    found = Counter(texts.tolist())
    least = max(_LEVEL_ROWS, _LEVEL_SHARE * texts.size)
    levels = tuple(text for text in _by_frequency(found)[:_MOST_LEVELS] if found[text] >= least)
    rest = len(found) > len(levels) > 0
    return Levels(name, levels, rest) if len(levels) + rest > 1 else None


def _by_frequency(found: Counter[str | None]) -> list[str | None]:
    return sorted(found, key=lambda text: (-found[text], text is None, text or ""))

"""Features: raw columns of a DataFrame -> the terms that the logistic regression adds up.

A *term* is one or more columns of the design matrix that are read together: a line, a curve, the
levels of a text, a region of two or more columns, a product of two. Each knows its columns on raw
values and, once the regression has given it weights, its form in the JSON model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    import pandas as pd

MIN_BLANKS = 5
ROWS_PER_PIECE, MOST_PIECES = 25, 8
MOST_LEVELS, LEVEL_ROWS, LEVEL_SHARE = 50, 10, 0.0005
PIECE_SCALE = 0.25
TERM_SCALE = 3.0
QUANTILE_ROWS = 200_000
WIDEST = float(np.finfo(np.float64).max / 4)  # differences of two clipped numbers stay finite
NARROWEST = float(np.finfo(np.float64).tiny)  # one over a smaller deviation is infinite
Raw = dict[str, np.ndarray]


def as_numbers(values: Any) -> np.ndarray:
    """A column as float64, missing as nan. Shape (n,)."""
    import pandas as pd

    return pd.to_numeric(pd.Series(values), errors="raise").to_numpy(np.float64, na_value=np.nan)


def as_texts(values: Any) -> np.ndarray:
    """A column as str objects, missing (None, nan, "") as None. Shape (n,)."""
    import pandas as pd

    series = pd.Series(values, dtype=object)
    texts = [
        None if blank or value == "" else str(value)
        for value, blank in zip(series, series.isna(), strict=True)
    ]
    return np.array(texts, dtype=object)


def raw_columns(X: pd.DataFrame, numbers: tuple[str, ...], texts: tuple[str, ...]) -> Raw:
    raw = {name: as_numbers(X[name]) for name in numbers}
    return raw | {name: as_texts(X[name]) for name in texts}


def filled(values: np.ndarray, fill: float) -> np.ndarray:
    return np.where(np.isnan(values), fill, values)


@dataclass(frozen=True)
class Linear:
    """A number clipped to [low, high], `fill` where it is missing, as one straight column."""

    column: str
    low: float
    high: float
    fill: float
    mean: float = 0.0
    scale: float = 1.0

    def columns(self, raw: Raw) -> np.ndarray:
        values = np.clip(filled(raw[self.column], self.fill), self.low, self.high)
        return ((values - self.mean) * self.scale)[:, None]

    def centred(self, raw: Raw) -> Linear:
        """With the mean and the scale that standardise it on these rows."""
        mean, deviation = _moments(replace(self, mean=0.0, scale=1.0).columns(raw)[:, 0])
        return replace(self, mean=mean, scale=1.0 / deviation)

    def names(self) -> list[str]:
        return [self.column]

    def record(self, weights: np.ndarray) -> dict[str, Any]:
        return {
            "kind": "line",
            "column": self.column,
            "low": self.low,
            "high": self.high,
            "fill": self.fill,
            "mean": self.mean,
            "slope": float(weights[0] * self.scale),
        }


@dataclass(frozen=True)
class Blank:
    """1 where a number is missing."""

    column: str
    mean: float = 0.0
    scale: float = 1.0

    def columns(self, raw: Raw) -> np.ndarray:
        return ((np.isnan(raw[self.column]) - self.mean) * self.scale)[:, None]

    def names(self) -> list[str]:
        return [f"{self.column} is missing"]

    def record(self, weights: np.ndarray) -> dict[str, Any]:
        weight = float(weights[0] * self.scale)
        return {
            "kind": "blank",
            "column": self.column,
            "missing": weight * (1.0 - self.mean),
            "present": -weight * self.mean,
        }


@dataclass(frozen=True)
class Levels:
    """A 0/1 column for each level of a text (None: missing), and one for the rest if `other`."""

    column: str
    levels: tuple[str | None, ...]
    other: bool
    means: tuple[float, ...] = ()
    scale: float = 1.0

    def indicators(self, raw: Raw) -> np.ndarray:
        places = {level: at for at, level in enumerate(self.levels)}
        at = np.array([places.get(text, len(places)) for text in raw[self.column]], dtype=np.intp)
        return (at[:, None] == np.arange(len(places) + self.other)).astype(np.float64)

    def columns(self, raw: Raw) -> np.ndarray:
        return (self.indicators(raw) - np.array(self.means)) * self.scale

    def centred(self, raw: Raw) -> Levels:
        return replace(self, means=tuple(self.indicators(raw).mean(axis=0).tolist()))

    def names(self) -> list[str]:
        rest = [f"{self.column} = (other)"] if self.other else []
        return [*(f"{self.column} = {level}" for level in self.levels), *rest]

    def record(self, weights: np.ndarray) -> dict[str, Any]:
        scaled = weights * self.scale
        base = -float(scaled @ np.array(self.means))
        values = {level: base + float(w) for level, w in zip(self.levels, scaled, strict=False)}
        missing = values.pop(None, None)
        rest = base + float(scaled[-1]) if self.other else base
        return {
            "kind": "levels",
            "column": self.column,
            "levels": values,
            "missing": rest if missing is None else missing,
            "other": rest,
        }


@dataclass(frozen=True)
class Curve:
    """A number as a broken line through `knots`: one column for the rise over each piece.

    A ridge on the rises shrinks the curve towards a flat one, and neighbours towards each other.
    """

    column: str
    knots: tuple[float, ...]
    fill: float
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    def pieces(self, raw: Raw) -> np.ndarray:
        return self.rises(raw).T

    def rises(self, raw: Raw) -> np.ndarray:
        """The pieces, one in each row: numpy is four times as fast along rows that are long."""
        values = filled(raw[self.column], self.fill)
        found = np.empty((len(self.knots) - 1, values.size))
        for piece, start, end in zip(found, self.knots[:-1], self.knots[1:], strict=True):
            np.clip(values, start, end, out=piece)
            piece -= start
            piece /= end - start
        return found

    def columns(self, raw: Raw) -> np.ndarray:
        found = self.rises(raw)
        for piece, mean, scale in zip(found, self.means, self.scales, strict=True):
            piece -= mean
            piece *= scale
        return found.T

    def centred(self, raw: Raw, strength: float) -> Curve:
        pieces = self.pieces(raw)
        scales = strength * PIECE_SCALE / np.maximum(pieces.std(axis=0), 1e-6)
        return replace(
            self, means=tuple(pieces.mean(axis=0).tolist()), scales=tuple(scales.tolist())
        )

    def names(self) -> list[str]:
        ends = zip(self.knots[:-1], self.knots[1:], strict=True)
        return [f"{self.column} from {low:.12g} to {high:.12g}" for low, high in ends]

    def record(self, weights: np.ndarray) -> dict[str, Any]:
        rises = weights * np.array(self.scales)
        start = -float(rises @ np.array(self.means))
        return {
            "kind": "curve",
            "column": self.column,
            "fill": self.fill,
            "knots": list(self.knots),
            "values": (start + np.concatenate([[0.0], np.cumsum(rises)])).tolist(),
        }


@dataclass(frozen=True)
class Condition:
    """One side of a region: a number at least or below a value, a text (not) of a level."""

    column: str
    sign: str
    value: Any
    fill: float = 0.0

    def holds(self, raw: Raw) -> np.ndarray:
        values = raw[self.column]
        if self.sign in ("is", "is not"):
            return (values == self.value) == (self.sign == "is")
        return (filled(values, self.fill) >= self.value) == (self.sign == "at least")

    def record(self) -> dict[str, Any]:
        kept = {"column": self.column, "sign": self.sign, "value": self.value}
        return kept if self.sign in ("is", "is not") else {**kept, "fill": self.fill}

    def __str__(self) -> str:
        shown = f"{self.value:.12g}" if isinstance(self.value, float) else str(self.value)
        return f"{self.column} {self.sign} {shown}"


@dataclass(frozen=True)
class Region:
    """1 where all conditions hold."""

    conditions: tuple[Condition, ...]
    mean: float = 0.0
    scale: float = TERM_SCALE

    def inside(self, raw: Raw) -> np.ndarray:
        return np.all([condition.holds(raw) for condition in self.conditions], axis=0)

    def columns(self, raw: Raw) -> np.ndarray:
        return ((self.inside(raw) - self.mean) * self.scale)[:, None]

    def centred(self, raw: Raw) -> Region:
        return replace(self, mean=float(self.inside(raw).mean()))

    def names(self) -> list[str]:
        return [" and ".join(map(str, self.conditions))]

    def record(self, weights: np.ndarray) -> dict[str, Any]:
        weight = float(weights[0] * self.scale)
        return {
            "kind": "region",
            "conditions": [c.record() for c in self.conditions],
            "inside": weight * (1.0 - self.mean),
            "outside": -weight * self.mean,
        }


@dataclass(frozen=True)
class Ramp:
    """A number as its soft rank in [-1, 1] among the knots; a level as 1, the others as -1."""

    column: str
    knots: tuple[float, ...] = ()
    fill: float = 0.0
    level: str | None = None

    def values(self, raw: Raw) -> np.ndarray:
        if not self.knots:
            return (raw[self.column] == self.level) * 2.0 - 1.0
        return np.interp(
            filled(raw[self.column], self.fill), self.knots, np.linspace(-1, 1, len(self.knots))
        )

    def record(self) -> dict[str, Any]:
        if not self.knots:
            return {"column": self.column, "level": self.level}
        return {"column": self.column, "knots": list(self.knots), "fill": self.fill}


@dataclass(frozen=True)
class Product:
    """Two ramps multiplied: the more of one, the steeper the other."""

    first: Ramp
    second: Ramp
    mean: float = 0.0
    scale: float = TERM_SCALE

    def product(self, raw: Raw) -> np.ndarray:
        return self.first.values(raw) * self.second.values(raw)

    def columns(self, raw: Raw) -> np.ndarray:
        return ((self.product(raw) - self.mean) * self.scale)[:, None]

    def centred(self, raw: Raw) -> Product:
        return replace(self, mean=float(self.product(raw).mean()))

    def names(self) -> list[str]:
        return [f"{self.first.column} with {self.second.column}"]

    def record(self, weights: np.ndarray) -> dict[str, Any]:
        return {
            "kind": "product",
            "first": self.first.record(),
            "second": self.second.record(),
            "mean": self.mean,
            "slope": float(weights[0] * self.scale),
        }


Term = Linear | Blank | Levels | Curve | Region | Product


def design(terms: list[Any], raw: Raw) -> np.ndarray:
    """The design matrix, shape (n, columns of all terms), each column in one piece of memory."""
    rows = len(next(iter(raw.values()), ()))
    found = np.empty((sum(len(term.names()) for term in terms), rows))
    at = 0
    for term in terms:
        columns = term.columns(raw).T
        found[at : at + len(columns)] = columns
        at += len(columns)
    return found.T


class Terms(TransformerMixin, BaseEstimator):
    """What both recipes share: `terms_` are found by fit, transform gives the design matrix."""

    terms_: list[Any]

    def __init__(self, numbers: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> None:
        self.numbers = numbers
        self.texts = texts

    def raw(self, X: pd.DataFrame) -> Raw:
        return raw_columns(X, self.numbers, self.texts)

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """The design matrix, shape (n, columns)."""
        check_is_fitted(self, "terms_")
        return design(self.terms_, self.raw(X)) if self.terms_ else np.zeros((len(X), 0))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return np.array([name for term in self.terms_ for name in term.names()], dtype=object)


class PlainTerms(Terms):
    """Clipped, filled, standardised numbers and one column per level: the small-data recipe.

    Numbers are clipped to the training 1-99 % range, filled by the median and standardised; five or
    more blanks add a flag. A text gives one centred column for each of its 50 commonest levels,
    blank being one; any other level adds nothing but their absence. Constant columns give no term.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> PlainTerms:
        self.terms_ = plain_terms(self.raw(X), self.numbers, self.texts)
        self.n_features_in_ = len(self.numbers) + len(self.texts)
        return self


def plain_terms(raw: Raw, numbers: tuple[str, ...], texts: tuple[str, ...]) -> list[Any]:
    """The terms of the small-data recipe on these rows."""
    terms: list[Any] = []
    for name in numbers:
        line = _line_of(name, raw[name])
        if line:
            terms.append(line.centred(raw))
        terms += _blank_of(name, raw[name])
    for name in texts:
        levels = _all_levels(name, raw[name])
        if levels:
            terms.append(levels.centred(raw))
    return terms


def _line_of(name: str, values: np.ndarray) -> Linear | None:
    """The straight term of a number; None where it is constant after clipping and filling."""
    finite = np.clip(values[np.isfinite(values)], -WIDEST, WIDEST)
    if not finite.size:
        return None
    low, high = clip_range(finite)
    line = Linear(name, low, high, float(np.clip(np.median(finite), low, high)))
    column = line.columns({name: values})[:, 0]
    least = max(1e-12 * float(np.abs(column).max()), NARROWEST)
    return line if _moments(column)[1] > least else None


def _moments(column: np.ndarray) -> tuple[float, float]:
    """(mean, deviation), also where the squares of the numbers would overflow or vanish."""
    peak = float(np.abs(column).max())
    unit = column / peak if peak else column
    return float(unit.mean()) * peak, float(unit.std()) * peak


def _blank_of(name: str, values: np.ndarray) -> list[Blank]:
    blank = np.isnan(values)
    if not MIN_BLANKS <= blank.sum() < values.size:
        return []
    return [Blank(name, float(blank.mean()), 1.0 / float(blank.std()))]


def clip_range(known: np.ndarray) -> tuple[float, float]:
    """The 1-99 % range; the whole range where a rare event would vanish from it."""
    low, high = np.quantile(thinned(known), [0.01, 0.99])
    if low == high:
        low, high = known.min(), known.max()
    return float(low), float(high)


def thinned(values: np.ndarray) -> np.ndarray:
    """At most 200,000 evenly spaced ones: quantiles of more cost time and change nothing."""
    return values[:: -(-values.size // QUANTILE_ROWS)] if values.size > QUANTILE_ROWS else values


def _all_levels(name: str, texts: np.ndarray) -> Levels | None:
    """The 50 commonest levels of a text, missing being one; None where there are not two."""
    found = Counter(texts.tolist())
    if len(found) < 2:
        return None
    order = sorted(found, key=lambda level: (-found[level], level is None, level or ""))
    levels = sorted(order[:MOST_LEVELS], key=lambda level: (level is None, level or ""))
    return Levels(name, tuple(levels), other=False)


def main_effects(
    raw: Raw, numbers: tuple[str, ...], texts: tuple[str, ...], smaller: int
) -> list[Any]:
    """A curve for every number and the frequent levels of every text, not yet centred."""
    pieces = int(np.clip(smaller // ROWS_PER_PIECE, 3, MOST_PIECES))
    terms: list[Any] = []
    for name in numbers:
        curve = curve_of(name, raw[name], pieces)
        terms += [curve] if curve else []
        terms += _blank_of(name, raw[name])
    for name in texts:
        levels = frequent_levels(name, raw[name])
        terms += [levels] if levels else []
    return terms


def curve_of(name: str, values: np.ndarray, pieces: int) -> Curve | None:
    """A broken line, knots at the quantiles of the clipped number; None where it is constant."""
    line = _line_of(name, values)
    if line is None:
        return None
    known = thinned(values[np.isfinite(values)])
    clipped = np.clip(known, line.low, line.high)
    knots = np.unique(np.quantile(clipped, np.linspace(0, 1, pieces + 1)))
    return Curve(name, tuple(knots.tolist()), line.fill) if len(knots) > 1 else None


def frequent_levels(name: str, texts: np.ndarray) -> Levels | None:
    """The levels with at least 10 rows and .05 %, at most 50; the rest share one column."""
    found = Counter(texts.tolist())
    least = max(LEVEL_ROWS, LEVEL_SHARE * texts.size)
    order = sorted(found, key=lambda level: (-found[level], level is None, level or ""))
    levels = tuple(level for level in order[:MOST_LEVELS] if found[level] >= least)
    other = len(found) > len(levels) > 0
    return Levels(name, levels, other) if len(levels) + other > 1 else None


def regularise(terms: list[Any], raw: Raw, strength: float) -> list[Any]:
    """The main effects centred on these rows, their columns scaled for a ridge of that strength."""
    root = float(np.sqrt(strength))
    found: list[Any] = []
    for term in terms:
        if isinstance(term, Curve):
            found.append(term.centred(raw, root))
        elif isinstance(term, Levels):
            found.append(replace(term.centred(raw), scale=root))
        else:
            found.append(replace(term, scale=term.scale * root))
    return found

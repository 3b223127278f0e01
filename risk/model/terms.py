"""The terms of a model: what each adds to a row's log-odds, its record in model.json, its words.

    linear   slope x (x clipped to [low, high] - mean)
    log      the same by the signed logarithm of x
    rank     slope x (the place of x among the training rows - mean)
    curve    a broken line through (knots, values)
    blank    `inside` where the number is missing, else `outside`
    levels   a value for each text (null: missing), `other` for any other
    region   `inside` where all conditions hold, else `outside`
    product  slope x (first ramp x second ramp - mean); a ramp runs from -1 to 1

A missing number counts as `fill` (the training median). Every term's mean over the training rows
(where these are more than 30,000, over a sample of them) is 0: what a term adds is above or below
the average client.

Regions and products are in joint_terms.py. A new kind is a class, a word in KINDS of model.py, and
what proposes it (main_effects.py, interactions.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from risk.model.profile import Profile, Usual, beside_usual

Raw = dict[str, np.ndarray]  # float64 with nan, or str objects with None
_PIECE_SCALE = 0.25  # how weakly the ridge holds a curve's pieces, beside a standardised number
LARGEST = float(np.finfo(np.float64).max)  # where the original recipe's lines end
_UNCLIPPED = 1e300  # a line that ends beyond clips nothing that people need to know
NARROWEST = float(np.finfo(np.float64).tiny)  # one over a smaller deviation is infinite


@dataclass(frozen=True)
class Term:
    """One summand of the log-odds: a constant plus a weighted sum of its `basis` columns.

    AMOUNTS: the fields that say what it adds; all others say where.
    """

    AMOUNTS: ClassVar[tuple[str, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that it reads, each once."""
        raise NotImplementedError

    def basis(self, raw: Raw) -> np.ndarray:
        """Its columns before any weight, a row each: numpy is four times as fast along rows that
        are long. Shape (columns, n)."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """A name for each column of the basis."""
        raise NotImplementedError

    def natural_scales(self, deviations: np.ndarray) -> np.ndarray:
        """What each column is multiplied by before a ridge of strength 1. Shape (columns,)."""
        return 1.0 / np.maximum(deviations, NARROWEST)

    def with_slopes(self, slopes: np.ndarray, means: np.ndarray) -> Self:
        """The term that adds slopes @ (basis - means)."""
        raise NotImplementedError

    def weights(self) -> tuple[float, list[float], list[float]]:
        """(constant, means, slopes) of what it adds: constant + slopes @ (basis - means)."""
        raise NotImplementedError

    def contribution(self, raw: Raw) -> np.ndarray:
        """What it adds to each row's log-odds. Shape (n,)."""
        raise NotImplementedError

    def place(self) -> Self:
        """It without what it adds: terms of equal places can be added up."""
        return self.times(0.0)

    def times(self, by: float) -> Self:
        amounts = {key: _each(lambda v: by * v, getattr(self, key)) for key in self.AMOUNTS}
        return replace(self, **amounts)

    def plus(self, other: Self) -> Self:
        """The sum of two terms of one place."""
        pairs = {key: (getattr(self, key), getattr(other, key)) for key in self.AMOUNTS}
        return replace(self, **{key: _each(operator.add, *pair) for key, pair in pairs.items()})

    def to_json(self) -> dict[str, object]:
        return {"kind": self.word(), **asdict(self)}

    @classmethod
    def word(cls) -> str:
        """What model.json calls this kind."""
        return cls.__name__.lower()

    def is_sound(self, columns: dict[str, str]) -> bool:
        """Whether its fields go together and its columns are of its kind of values."""
        raise NotImplementedError

    def reason_text(self, row: Raw, profile: Profile) -> str:
        """The row's own values beside the usual ones."""
        return " together with ".join(
            beside_usual(name, row[name][0], profile.get(name, {})) for name in self.columns
        )

    def corners(self) -> list[tuple[str, float]]:
        """What it adds where its columns meet, in words and log-odds; of two or more columns."""
        return []


@dataclass(frozen=True)
class ColumnTerm(Term):
    """A term of one column; of a number unless it says otherwise."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def is_sound(self, columns: dict[str, str]) -> bool:
        return columns[self.column] == "number"

    def bends(self, usual: Usual) -> set[float]:
        """The numbers at which what it adds changes its course, or that are usual."""
        return set()

    def counted_range(self) -> tuple[float, float] | None:
        """What numbers beyond it are counted as; None where it does not clip."""
        return None


@dataclass(frozen=True, kw_only=True)
class Sloped(Term):
    """slope x (the only column of the basis - mean)."""

    mean: float = 0.0
    slope: float = 0.0
    AMOUNTS = ("slope",)

    def with_slopes(self, slopes: np.ndarray, means: np.ndarray) -> Self:
        return replace(self, slope=float(slopes[0]), mean=float(means[0]))

    def weights(self) -> tuple[float, list[float], list[float]]:
        return 0.0, [self.mean], [self.slope]

    def contribution(self, raw: Raw) -> np.ndarray:
        return self.slope * (self.basis(raw)[0] - self.mean)


@dataclass(frozen=True, kw_only=True)
class Indicator(Term):
    """One value where something holds, another elsewhere."""

    inside: float = 0.0
    outside: float = 0.0
    AMOUNTS = ("inside", "outside")

    def holds(self, raw: Raw) -> np.ndarray:
        """Where it holds, shape (n,)."""
        raise NotImplementedError

    def basis(self, raw: Raw) -> np.ndarray:
        return self.holds(raw)[None].astype(np.float64)

    def with_slopes(self, slopes: np.ndarray, means: np.ndarray) -> Self:
        slope, mean = float(slopes[0]), float(means[0])
        return replace(self, inside=slope * (1.0 - mean), outside=-slope * mean)

    def weights(self) -> tuple[float, list[float], list[float]]:
        return self.outside, [0.0], [self.inside - self.outside]

    def contribution(self, raw: Raw) -> np.ndarray:
        return np.where(self.holds(raw), self.inside, self.outside)


@dataclass(frozen=True)
class Linear(Sloped, ColumnTerm):
    """A number clipped to [low, high], `fill` where it is missing, as one straight line."""

    low: float
    high: float
    fill: float

    def basis(self, raw: Raw) -> np.ndarray:
        return np.clip(fill_missing(raw[self.column], self.fill), self.low, self.high)[None]

    def names(self) -> list[str]:
        return [self.column]

    def is_sound(self, columns: dict[str, str]) -> bool:
        return columns[self.column] == "number" and self.low <= self.high

    def bends(self, usual: Usual) -> set[float]:
        quartiles = [usual.get(key) for key in ("least", "low", "median", "high", "most")]
        ends = [end for end in quartiles if isinstance(end, float)] or [self.fill]
        ends += [end for end in (self.low, self.high) if abs(end) < _UNCLIPPED]
        return set(np.clip(ends, self.low, self.high).tolist())

    def counted_range(self) -> tuple[float, float] | None:
        return (self.low, self.high) if self.high < _UNCLIPPED else None


@dataclass(frozen=True)
class Log(Linear):
    """A number clipped to [low, high] by its signed logarithm: tenfold counts alike at any size."""

    def basis(self, raw: Raw) -> np.ndarray:
        values = super().basis(raw)
        return np.sign(values) * np.log1p(np.abs(values))


@dataclass(frozen=True)
class Rank(Sloped, ColumnTerm):
    """A number by its place among the training rows: straight between (knots, places), 0 to 1."""

    fill: float
    knots: tuple[float, ...]
    places: tuple[float, ...]

    def basis(self, raw: Raw) -> np.ndarray:
        return np.interp(fill_missing(raw[self.column], self.fill), self.knots, self.places)[None]

    def names(self) -> list[str]:
        return [self.column]

    def is_sound(self, columns: dict[str, str]) -> bool:
        rising = all(low < high for low, high in zip(self.knots, self.knots[1:], strict=False))
        same = len(self.knots) == len(self.places) > 1
        return columns[self.column] == "number" and rising and same

    def bends(self, usual: Usual) -> set[float]:
        # Its own twenty knots are more than people read.
        quartiles = [usual.get(key) for key in ("least", "low", "median", "high", "most")]
        ends = [end for end in quartiles if isinstance(end, float)] or [self.fill]
        low, high = self.knots[0], self.knots[-1]
        return set(np.clip([*ends, low, high], low, high).tolist())

    def counted_range(self) -> tuple[float, float] | None:
        return (self.knots[0], self.knots[-1])


@dataclass(frozen=True)
class Curve(ColumnTerm):
    """A number as a broken line through (knots, values); its basis is the rise over each piece.

    A ridge on the rises shrinks the curve towards a flat one, and neighbours towards each other.
    """

    fill: float
    knots: tuple[float, ...]
    values: tuple[float, ...] = ()
    AMOUNTS = ("values",)

    def basis(self, raw: Raw) -> np.ndarray:
        values = fill_missing(raw[self.column], self.fill)
        found = np.empty((len(self.knots) - 1, values.size))
        # In place: pieces of 1e6 rows are large.
        for piece, start, end in zip(found, self.knots[:-1], self.knots[1:], strict=True):
            np.clip(values, start, end, out=piece)
            piece -= start
            piece /= end - start
        return found

    def names(self) -> list[str]:
        ends = zip(self.knots[:-1], self.knots[1:], strict=True)
        return [f"{self.column} from {low:.12g} to {high:.12g}" for low, high in ends]

    def natural_scales(self, deviations: np.ndarray) -> np.ndarray:
        return _PIECE_SCALE / np.maximum(deviations, 1e-6)

    def with_slopes(self, slopes: np.ndarray, means: np.ndarray) -> Curve:
        values = np.append(0.0, np.cumsum(slopes)) - float(slopes @ means)
        return replace(self, values=tuple(values.tolist()))

    def weights(self) -> tuple[float, list[float], list[float]]:
        return self.values[0], [0.0] * (len(self.knots) - 1), np.diff(self.values).tolist()

    def contribution(self, raw: Raw) -> np.ndarray:
        return np.interp(fill_missing(raw[self.column], self.fill), self.knots, self.values)

    def is_sound(self, columns: dict[str, str]) -> bool:
        same = len(self.knots) == len(self.values)
        return columns[self.column] == "number" and rises(self.knots) and same

    def bends(self, usual: Usual) -> set[float]:
        return set(self.knots)

    def counted_range(self) -> tuple[float, float]:
        return self.knots[0], self.knots[-1]


@dataclass(frozen=True)
class Blank(Indicator, ColumnTerm):
    """One value where a number is missing, another where it is not."""

    def holds(self, raw: Raw) -> np.ndarray:
        return np.isnan(raw[self.column])

    def names(self) -> list[str]:
        return [f"{self.column} is missing"]


@dataclass(frozen=True)
class Levels(ColumnTerm):
    """A value for each level of a text (None: missing), `other` for all the rest.

    rest: whether the rest have a column of their own in the basis; else they have the value of a
    row that is in none of them.
    """

    levels: tuple[str | None, ...]
    rest: bool
    values: tuple[float, ...] = ()
    other: float = 0.0
    AMOUNTS = ("values", "other")

    def basis(self, raw: Raw) -> np.ndarray:
        places = {level: at for at, level in enumerate(self.levels)}
        at = np.array([places.get(text, len(places)) for text in raw[self.column]], dtype=np.intp)
        return (at == np.arange(len(places) + self.rest)[:, None]).astype(np.float64)

    def names(self) -> list[str]:
        rest = [f"{self.column} = (other)"] if self.rest else []
        return [*(f"{self.column} = {level}" for level in self.levels), *rest]

    def natural_scales(self, deviations: np.ndarray) -> np.ndarray:
        # Not by the deviation: a rare level would be regularised less than a frequent one.
        return np.ones(deviations.size)

    def with_slopes(self, slopes: np.ndarray, means: np.ndarray) -> Levels:
        none = -float(slopes @ means)
        values = (none + slopes[: len(self.levels)]).tolist()
        other = none + float(slopes[-1]) if self.rest else none
        return replace(self, values=tuple(values), other=other)

    def weights(self) -> tuple[float, list[float], list[float]]:
        constant = 0.0 if self.rest else self.other
        slopes = [value - constant for value in self.values] + [self.other] * self.rest
        return constant, [0.0] * len(slopes), slopes

    def place(self) -> Levels:
        """Whatever the order of the levels, and whether the rest had a column."""
        levels = sorted(self.levels, key=lambda level: (level is None, level or ""))
        return Levels(self.column, tuple(levels), rest=True)

    def plus(self, other: Levels) -> Levels:
        more = dict(zip(other.levels, other.values, strict=True))
        values = [v + more[level] for level, v in zip(self.levels, self.values, strict=True)]
        return replace(
            self, values=tuple(values), other=self.other + other.other, rest=self.rest or other.rest
        )

    def contribution(self, raw: Raw) -> np.ndarray:
        known = dict(zip(self.levels, self.values, strict=True))
        return np.array([known.get(text, self.other) for text in raw[self.column]], dtype=float)

    def is_sound(self, columns: dict[str, str]) -> bool:
        each_once = len(set(self.levels)) == len(self.levels) == len(self.values)
        return columns[self.column] == "text" and each_once


def fill_missing(values: np.ndarray, fill: float) -> np.ndarray:
    return np.where(np.isnan(values), fill, values)


def rises(knots: tuple[float, ...]) -> bool:
    return len(knots) > 1 and all(a < b for a, b in zip(knots, knots[1:], strict=False))


def _each(change: Callable[..., float], *amounts: Any) -> Any:
    """The change of one number, or of each in tuples of them."""
    if isinstance(amounts[0], tuple):
        return tuple(change(*values) for values in zip(*amounts, strict=True))
    return change(*amounts)

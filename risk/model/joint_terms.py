"""The terms of two or more columns: regions and products, found by risk.model.interactions.

Each is a product of one factor a column. What of it belongs to one column alone (the factor's
deviation from its mean, times the means of the others) is told under that column, so that two
reasons about one column cannot contradict each other: functional ANOVA with independent columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, ClassVar, Self

import numpy as np

from risk.model.profile import Profile, beside_usual, column_text, digits_apart, value_text
from risk.model.terms import Indicator, Raw, Sloped, Term, fill_missing, rises

_TERM_SCALE = 3.0  # held more weakly than a standardised number: it has passed a test of its own


@dataclass(frozen=True)
class Condition:
    """One side of a region: a number at least or below a value, a text (not) of a level."""

    column: str
    sign: str
    value: float | str | None
    fill: float | None = None  # of a number

    SIGNS: ClassVar[dict[str, tuple[str, str]]] = {
        "number": ("at least", "below"),
        "text": ("is", "is not"),
    }

    def holds(self, raw: Raw) -> np.ndarray:
        values = raw[self.column]
        if self.fill is None:
            return (values == self.value) == (self.sign == "is")
        return (fill_missing(values, self.fill) >= self.value) == (self.sign == "at least")

    def is_sound(self, columns: dict[str, str]) -> bool:
        kind = columns[self.column]
        numbers = isinstance(self.value, float) and self.fill is not None
        texts = not isinstance(self.value, float) and self.fill is None
        return self.sign in self.SIGNS[kind] and (numbers if kind == "number" else texts)

    def __str__(self) -> str:
        shown = f"{self.value:.12g}" if isinstance(self.value, float) else str(self.value)
        return f"{self.column} {self.sign} {shown}"

    def text(self) -> str:
        """`at least 3`, `other than monthly`."""
        words = {"at least": "at least ", "below": "under ", "is": "", "is not": "other than "}
        return words[self.sign] + value_text(self.value)


@dataclass(frozen=True, kw_only=True)
class Joint(Term):
    """size x the product of the columns' factors + a constant.

    margins: the mean of each factor over the training rows, in the order of `columns`; () in models
    of before, which are told as a whole.
    """

    margins: tuple[float, ...] = ()

    @property
    def size(self) -> float:
        """What the product of the factors is multiplied by."""
        raise NotImplementedError

    def factor(self, column: str, raw: Raw) -> np.ndarray:
        """The factor of one of the columns, from that column alone. Shape (n,)."""
        raise NotImplementedError

    def with_margins(self, raw: Raw) -> Self:
        """The term with the factors' means over these rows."""
        means = (float(self.factor(name, raw).mean()) for name in self.columns)
        return replace(self, margins=tuple(means))

    def margin_of(self, column: str, factor: np.ndarray | float) -> np.ndarray | float:
        """What of its contribution belongs to the column alone, by the column's factor."""
        at = self.columns.index(column)
        others = prod(self.margins[:at] + self.margins[at + 1 :])
        return self.size * others * (factor - self.margins[at])

    def bends_of(self, column: str) -> set[float]:
        """The numbers at which the column's factor changes its course."""
        raise NotImplementedError

    def corner_factors(self) -> list[tuple[str, float, dict[str, float]]]:
        """Where its columns meet: (words, what it adds there, each column's factor there)."""
        raise NotImplementedError

    def margins_sum(self, factors: dict[str, Any]) -> Any:
        """The parts of all its columns together."""
        return sum(self.margin_of(name, one) for name, one in factors.items())


@dataclass(frozen=True)
class Margin:
    """What of a joint term belongs to one of its columns."""

    term: Joint
    column: str

    def contribution(self, raw: Raw) -> np.ndarray:
        found = self.term.margin_of(self.column, self.term.factor(self.column, raw))
        return np.asarray(found, dtype=np.float64)

    def reason_text(self, row: Raw, profile: Profile) -> str:
        return beside_usual(self.column, row[self.column][0], profile.get(self.column, {}))

    def bends(self) -> set[float]:
        """The numbers at which it changes its course; at those of a region it jumps."""
        return self.term.bends_of(self.column)

    def to_json(self) -> dict[str, object]:
        return {"kind": "margin", "column": self.column, "of": self.term.names()[0]}


@dataclass(frozen=True)
class Interaction:
    """What is left of a joint term without the parts of its single columns."""

    term: Joint

    def contribution(self, raw: Raw) -> np.ndarray:
        factors = {name: self.term.factor(name, raw) for name in self.term.columns}
        return self.term.contribution(raw) - np.asarray(self.term.margins_sum(factors))

    def reason_text(self, row: Raw, profile: Profile) -> str:
        return self.term.reason_text(row, profile)

    def to_json(self) -> dict[str, object]:
        return self.term.to_json()

    def corners(self) -> list[tuple[str, float]]:
        """What it adds where its columns meet, in words and log-odds."""
        return [
            (words, effect - float(self.term.margins_sum(factors)))
            for words, effect, factors in self.term.corner_factors()
        ]


@dataclass(frozen=True)
class Region(Indicator, Joint):
    """One value where all conditions hold, another elsewhere."""

    conditions: tuple[Condition, ...]

    @property
    def size(self) -> float:
        return self.inside - self.outside

    def factor(self, column: str, raw: Raw) -> np.ndarray:
        own = [condition.holds(raw) for condition in self.conditions if condition.column == column]
        return np.all(own, axis=0).astype(np.float64)

    def bends_of(self, column: str) -> set[float]:
        own = [c.value for c in self.conditions if c.column == column]
        return {value for value in own if isinstance(value, float)}

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(condition.column for condition in self.conditions))

    def holds(self, raw: Raw) -> np.ndarray:
        return np.all([condition.holds(raw) for condition in self.conditions], axis=0)

    def names(self) -> list[str]:
        return [" and ".join(map(str, self.conditions))]

    def natural_scales(self, deviations: np.ndarray) -> np.ndarray:
        return np.full(deviations.size, _TERM_SCALE)

    def is_sound(self, columns: dict[str, str]) -> bool:
        sized = len(self.margins) in (0, len(self.columns))
        return bool(self.conditions) and sized and all(c.is_sound(columns) for c in self.conditions)

    def _by_column(self, conditions: list[Condition]) -> dict[str, list[Condition]]:
        found: dict[str, list[Condition]] = {}
        for condition in conditions:
            found.setdefault(condition.column, []).append(condition)
        return found

    def reason_text(self, row: Raw, profile: Profile) -> str:
        """Each column's own value and on which side of the limits it lies; all columns, since of
        one alone it says nothing."""
        parts = []
        for name, conditions in self._by_column(list(self.conditions)).items():
            met = [bool(condition.holds(row)[0]) for condition in conditions]
            telling = [c for c, holds in zip(conditions, met, strict=True) if holds == all(met)]
            parts.append(f"{column_text(name)} {_beside_limits(row[name][0], telling, all(met))}")
        return " and ".join(parts)

    def corner_factors(self) -> list[tuple[str, float, dict[str, float]]]:
        """`tenure at least 3 and under 12 and contract other than monthly`, and what is next to it:
        (words, what the whole term adds there, the factors there)."""
        words = {
            name: f"{column_text(name)} {' and '.join(condition.text() for condition in own)}"
            for name, own in self._by_column(list(self.conditions)).items()
        }
        inside, outside = dict.fromkeys(words, 1.0), dict.fromkeys(words, 0.0)
        found = [(" and ".join(words.values()), self.inside, inside)]
        if len(words) == 2 and self.margins:
            found += [(f"{words[n]} alone", self.outside, outside | {n: 1.0}) for n in words]
        return [*found, ("neither" if found[1:] else "all others", self.outside, outside)]

    def corners(self) -> list[tuple[str, float]]:
        return [(words, effect) for words, effect, _ in self.corner_factors()]


def _beside_limits(value: Any, conditions: list[Condition], met: bool) -> str:
    """A number and the sides of the limits on which it lies; a text's own value says it all."""
    limits = [(c.sign, c.value) for c in conditions if isinstance(c.value, float)]
    if not limits:
        return value_text(value)
    digits = digits_apart(value, [limit for _, limit in limits])
    sides = [
        ("at least " if (sign == "at least") == met else "under ") + value_text(limit, digits)
        for sign, limit in limits
    ]
    counted = "counted as " if value != value else ""
    return f"{value_text(value, digits)} ({counted}{' and '.join(sides)})"


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
            fill_missing(raw[self.column], self.fill),
            self.knots,
            np.linspace(-1, 1, len(self.knots)),
        )

    def is_sound(self, columns: dict[str, str]) -> bool:
        if columns[self.column] == "text":
            return not self.knots
        return rises(self.knots) and self.level is None

    def ends(self) -> list[tuple[str, float]]:
        """Its two ends in words, -1 and 1."""
        name = column_text(self.column)
        if not self.knots:
            level = value_text(self.level)
            return [(f"{name} other than {level}", -1.0), (f"{name} {level}", 1.0)]
        low, high = value_text(self.knots[0]), value_text(self.knots[-1])
        return [(f"{name} up to {low}", -1.0), (f"{name} from {high}", 1.0)]


@dataclass(frozen=True)
class Product(Sloped, Joint):
    """Two ramps multiplied: the more of one, the steeper the other."""

    first: Ramp
    second: Ramp

    @property
    def columns(self) -> tuple[str, ...]:
        return self.first.column, self.second.column

    @property
    def size(self) -> float:
        return self.slope

    def factor(self, column: str, raw: Raw) -> np.ndarray:
        return self._ramp(column).values(raw)

    def bends_of(self, column: str) -> set[float]:
        return set(self._ramp(column).knots)

    def _ramp(self, column: str) -> Ramp:
        return self.first if column == self.first.column else self.second

    def basis(self, raw: Raw) -> np.ndarray:
        return (self.first.values(raw) * self.second.values(raw))[None]

    def names(self) -> list[str]:
        return [f"{self.first.column} with {self.second.column}"]

    def natural_scales(self, deviations: np.ndarray) -> np.ndarray:
        return np.full(deviations.size, _TERM_SCALE)

    def is_sound(self, columns: dict[str, str]) -> bool:
        sized = len(self.margins) in (0, 2)
        return sized and self.first.is_sound(columns) and self.second.is_sound(columns)

    def corner_factors(self) -> list[tuple[str, float, dict[str, float]]]:
        """(words, what the whole term adds there, the factors there) where the ramps end."""
        return [
            (
                f"{one} and {other}",
                self.slope * (a * b - self.mean),
                {self.first.column: a, self.second.column: b},
            )
            for (one, a), (other, b) in product(self.first.ends(), self.second.ends())
        ]

    def corners(self) -> list[tuple[str, float]]:
        return [(words, effect) for words, effect, _ in self.corner_factors()]

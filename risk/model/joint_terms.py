"""The terms of two or more columns: regions and products, found by risk.model.interactions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from risk.model.profile import Profile, column_text, digits_apart, value_text
from risk.model.terms import Indicator, Raw, Sloped, fill_missing, rises

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


@dataclass(frozen=True)
class Region(Indicator):
    """One value where all conditions hold, another elsewhere."""

    conditions: tuple[Condition, ...]

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
        return bool(self.conditions) and all(one.is_sound(columns) for one in self.conditions)

    def _by_column(self, conditions: list[Condition]) -> dict[str, list[Condition]]:
        found: dict[str, list[Condition]] = {}
        for condition in conditions:
            found.setdefault(condition.column, []).append(condition)
        return found

    def reason_text(self, row: Raw, profile: Profile) -> str:
        """The conditions that the row meets if it meets all, else those that it does not."""
        met = [bool(condition.holds(row)[0]) for condition in self.conditions]
        telling = [c for c, holds in zip(self.conditions, met, strict=True) if holds == all(met)]
        return " and ".join(
            f"{column_text(name)} {_beside_limits(row[name][0], conditions, all(met))}"
            for name, conditions in self._by_column(telling).items()
        )

    def corners(self) -> list[tuple[str, float]]:
        """`tenure at least 3 and under 12 and contract other than monthly`, and all others."""
        inside = " and ".join(
            f"{column_text(name)} {' and '.join(condition.text() for condition in conditions)}"
            for name, conditions in self._by_column(list(self.conditions)).items()
        )
        return [(inside, self.inside), ("all others", self.outside)]


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
class Product(Sloped):
    """Two ramps multiplied: the more of one, the steeper the other."""

    first: Ramp
    second: Ramp

    @property
    def columns(self) -> tuple[str, ...]:
        return self.first.column, self.second.column

    def basis(self, raw: Raw) -> np.ndarray:
        return (self.first.values(raw) * self.second.values(raw))[None]

    def names(self) -> list[str]:
        return [f"{self.first.column} with {self.second.column}"]

    def natural_scales(self, deviations: np.ndarray) -> np.ndarray:
        return np.full(deviations.size, _TERM_SCALE)

    def is_sound(self, columns: dict[str, str]) -> bool:
        return self.first.is_sound(columns) and self.second.is_sound(columns)

    def corners(self) -> list[tuple[str, float]]:
        return [
            (f"{one} and {other}", self.slope * (a * b - self.mean))
            for (one, a), (other, b) in product(self.first.ends(), self.second.ends())
        ]

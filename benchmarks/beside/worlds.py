"""Made-up worlds whose truth is known: files of rows, and what a model would cost in each of them.

The slopes are those of benchmarks/decisions.py. A world keeps every row's own probability of an
exit, so that "better in truth" needs no labels: the excess of a model is the mean of (its risk -
the true one) squared over fresh rows of a file's world.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from benchmarks.decisions import FEATURES, KINDS, _world
from risk.decide.evidence import risks
from risk.decide.replay import Stream
from risk.model.model import Model

NAMES = [f"x{n}" for n in range(FEATURES)]
YEAR = 52
SEASON = 0.7  # standard deviations that the features move by, there and back within a year
FRESH = 10_000
STUCK_FILES = 3
BEYOND = 5


@dataclass(frozen=True)
class Scenario:
    """A kind of world and how its rows come.

    files: after the first, which has `first` rows; rows: of each. delay: files until labels come.
    labelled: the share of rows that ever gets one. fault: "" or what befalls the second column.
    change: between which files the world changes. recipe: of the models ("original": a plain
    logistic regression, the cheap fit). quiet: no deployment is called for but by more rows.
    """

    name: str
    kind: str
    files: int = 26
    rows: int = 200
    first: int = 1000
    delay: int = 0
    labelled: float = 1.0
    fault: str = ""
    change: tuple[int, int] = (6, 14)
    recipe: str = "default"
    quiet: bool = False


@dataclass(frozen=True)
class Place:
    """What holds in a file: slopes, level, the shift of the features, what is broken."""

    slopes: tuple[float, ...]
    level: float
    shift: tuple[float, ...]
    fault: str = ""


@dataclass(frozen=True)
class Fresh:
    """Fresh rows of a file's world as a model sees them, and their true risks."""

    raw: dict[str, np.ndarray]
    true: np.ndarray


@dataclass
class World:
    """One scenario under one seed."""

    scenario: Scenario
    seed: int
    fresh_rows: int = FRESH
    _excess: dict[tuple[int, Place], tuple[Model, float]] = field(default_factory=dict)
    _fresh: dict[Place, Fresh] = field(default_factory=dict)

    @cached_property
    def change(self) -> int:
        """The file in which the world, or a fault, begins to be another."""
        return int(np.random.default_rng([self.seed, 1]).integers(*self.scenario.change))

    @cached_property
    def bends(self) -> np.ndarray:
        return np.random.default_rng([self.seed, 2]).normal(0, 0.6, FEATURES)

    @cached_property
    def places(self) -> list[Place]:
        """What holds in each file and a few beyond; the same slopes for every kind under a seed."""
        random = np.random.default_rng([self.seed, 3])
        first, second = random.normal(0, 0.8, FEATURES), random.normal(0, 0.8, FEATURES)
        base = float(random.uniform(-2, 0))
        return [self._place(file, first, second, base) for file in range(self.files + BEYOND)]

    def _place(self, file: int, first: np.ndarray, second: np.ndarray, base: float) -> Place:
        kind, unused = self.scenario.kind, np.random.default_rng(0)
        known = kind if kind in KINDS and kind != "covariate shift" else "stationary"
        slopes, level, shift = _world(known, file, self.change, first, second, base, unused)
        if kind == "harmless shift":
            shift = SEASON * np.sin(2 * np.pi * file / YEAR) * np.sign(first[::-1])
        lasts = {"x1000": 1, "stuck": STUCK_FILES}.get(self.scenario.fault, 0)
        broken = self.scenario.fault if 0 <= file - self.change < lasts else ""
        return Place(tuple(slopes.tolist()), float(level), tuple(shift.tolist()), broken)

    @property
    def files(self) -> int:
        return self.scenario.files + 1

    def drawn(
        self, place: Place, rows: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(features as they arrive, true risks) of rows of that place."""
        X = random.normal(0, 1, (rows, FEATURES)) + place.shift
        X[:, 1] = np.exp(X[:, 1] / 1.5)
        log_odds = place.level + X @ place.slopes + 0.5 * np.abs(X) @ self.bends
        if place.fault == "x1000":
            X[:, 1] *= 1000
        elif place.fault == "stuck":
            X[:, 1] = 1.0
        return X, risks(log_odds)

    @cached_property
    def parts(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(features, labels, which rows ever get their label) of each file."""
        found, scenario = [], self.scenario
        for file, place in enumerate(self.places[: self.files]):
            random = np.random.default_rng([self.seed, 4, file])
            X, true = self.drawn(place, scenario.rows if file else scenario.first, random)
            y = (random.random(true.size) < true).astype(np.int64)
            found.append((X, y, random.random(true.size) < (scenario.labelled if file else 1)))
        return found

    @cached_property
    def stream(self) -> Stream:
        """The rows that get a label, as a replay takes them."""
        X = np.concatenate([X[known] for X, _, known in self.parts])
        y = np.concatenate([y[known] for _, y, known in self.parts])
        periods = np.repeat(np.arange(self.files), [int(known.sum()) for *_, known in self.parts])
        return Stream(
            self.scenario.recipe,
            dict.fromkeys(NAMES, "number"),
            pd.DataFrame(X, columns=NAMES),
            y,
            np.arange(y.size).astype(str),
            periods,
            [str(file) for file in range(self.files)],
        )

    def fresh(self, file: int) -> Fresh:
        """Rows that nobody learns from, of the file's world."""
        place = self.places[file]
        if place not in self._fresh:
            random = np.random.default_rng([self.seed, 5])
            X, true = self.drawn(place, self.fresh_rows, random)
            self._fresh[place] = Fresh(dict(zip(NAMES, X.T, strict=True)), true)
        return self._fresh[place]

    def excess(self, model: Model, file: int) -> float:
        """What the model's Brier score would be above the best possible one in the file's world."""
        key = id(model), self.places[file]
        if key not in self._excess:
            fresh = self.fresh(file)
            said = risks(model.log_odds_of(fresh.raw, fresh.true.size))
            self._excess[key] = model, float(np.mean((said - fresh.true) ** 2))
        return self._excess[key][1]

    def least(self, file: int) -> float:
        """The best possible Brier score in the file's world."""
        true = self.fresh(file).true
        return float(np.mean(true * (1 - true)))

    def gain(self, old: Model, new: Model, files: list[int]) -> float:
        """By how much the new model's Brier score is lower in truth in these files' worlds."""
        gains = [self.excess(old, file) - self.excess(new, file) for file in files]
        return float(np.mean(gains))

    def untouched(self) -> World:
        """The same world with nothing fitted yet."""
        return replace(self, _excess={}, _fresh={})

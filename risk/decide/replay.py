"""A walk through dated rows as if each period's run had happened then: what would be deployed.

For every policy the periods are met in order. A period's rows are scored by what was deployed
when they came; their labels come `delay` periods later (0: with the rows), and then an
evaluation decides. Models are fitted once per evaluation and shared by all policies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from risk.decide.comparison import Forecasts, compare, forecast, start_comparison
from risk.decide.decision import NEW_BASE_MODELS, NONE, RECALIBRATE, RETRAIN
from risk.decide.evidence import RULE, Rule, risks
from risk.decide.judgement import rows_lacking
from risk.model.candidates import Candidates, LabelledRows
from risk.model.fit import are_enough
from risk.model.measures import brier
from risk.model.model import Model

if TYPE_CHECKING:
    import pandas as pd

NAIVE = ("never", "always, all past", "always, last file")
ORACLE = "oracle"


@dataclass
class Stream:
    """Labelled rows in the order of their periods.

    features: pandas; labels, clients, periods (0, 1, ...): shape (n,). names: of the periods.
    """

    recipe: str
    columns: dict[str, str]
    features: pd.DataFrame
    labels: np.ndarray
    clients: np.ndarray
    periods: np.ndarray
    names: list[str]
    _fits: dict[tuple[int, ...], Candidates] = field(default_factory=dict)

    @cached_property
    def whole(self) -> LabelledRows:
        ages = np.zeros(self.labels.size, dtype=np.int64)
        return LabelledRows(
            self.recipe, self.columns, self.features, self.labels, self.clients, ages
        )

    def candidates(self, evaluations: list[int]) -> Candidates:
        """Fits on the periods up to the last evaluation; evaluations: the last period of each."""
        key = tuple(evaluations)
        if key not in self._fits:
            rows = np.flatnonzero(self.periods <= evaluations[-1])
            ages = len(evaluations) - 1 - np.searchsorted(evaluations, self.periods[rows])
            self._fits[key] = Candidates(replace(self.whole.part(rows), ages=ages))
        return self._fits[key]

    def last_file(self, period: int) -> Candidates:
        """Fits on one period alone."""
        key, rows = (-1, period), self.rows(period)  # no evaluations begin with -1
        if key not in self._fits:
            self._fits[key] = Candidates(self.whole.part(rows))
        return self._fits[key]

    def rows(self, period: int) -> np.ndarray:
        return np.flatnonzero(self.periods == period)

    def log_odds(self, model: Model, period: int) -> np.ndarray:
        """The model's log-odds of the period's rows."""
        rows = self.rows(period)
        return model.log_odds_of(self.whole.rows(rows), rows.size)

    def first(self) -> int:
        """The first period after which training's minimum is met; the last one if none."""
        for period in range(len(self.names)):
            if are_enough(self.labels[self.periods <= period]):
                return period
        return len(self.names) - 1


@dataclass
class Walk:
    """What one policy did: Brier score by period, versions, deployments (period, action, why).

    wrong: deployments whose model did worse on the next two periods than the one it replaced.
    replaced: for each deployment what was deployed before and what from then on. models: what was
    deployed, by period. recalibrations: how often that was all that changed.
    """

    policy: str
    brier: dict[int, float] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    deployments: list[tuple[int, str, str]] = field(default_factory=list)
    wrong: int = 0
    recalibrations: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    replaced: list[tuple[Model, Model]] = field(default_factory=list)
    models: dict[int, Model] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over periods of the Brier score; nan where there was none."""
        return float(np.mean(list(self.brier.values()))) if self.brier else math.nan

    def score(self, stream: Stream, period: int, model: Model) -> None:
        """Note how the model does on the period, if there is one."""
        if period < len(stream.names):
            y = stream.labels[stream.rows(period)]
            self.brier[period] = brier(y, risks(stream.log_odds(model, period)))
            self.versions[period] = len(self.deployments) + 1
            self.models[period] = model


def lag_of(delay: int) -> int:
    """How many periods after its labels' period a model is deployed: at least the next one."""
    return max(delay, 1)


def replay_policy(stream: Stream, policy: str, delay: int, rule: Rule = RULE) -> Walk:
    """The walk of a policy by evidence, "fast" or "certified"."""
    return _Replay(stream, policy, delay, rule).walk


class _Replay:
    """A walk as it goes on: the comparison so far, and what was predicted of rows as they came."""

    def __init__(self, stream: Stream, policy: str, delay: int, rule: Rule) -> None:
        self.stream, self.rule, self.walk = stream, rule, Walk(policy)
        self.evaluations = [stream.first()]
        self.kept: dict[int, tuple[str, Forecasts]] = {}
        first, lag = stream.candidates(self.evaluations), lag_of(delay)
        model = first.model("all")
        self.comparison = start_comparison(policy, model, "version 1", first, {}, rule)
        self.forecast(self.evaluations[0] + lag)
        waiting: list[int] = []
        for period in range(self.evaluations[0] + 1, len(stream.names)):
            waiting.append(period)
            y = np.concatenate([stream.labels[stream.rows(p)] for p in waiting])
            if not rows_lacking(y.size, int(y.sum()), rule):
                self.evaluations.append(period)
                self.evaluate(waiting)
                waiting = []
            self.forecast(period + lag)

    def forecast(self, period: int) -> None:
        """Keep what every model predicts of the period's rows before their labels are known."""
        if period < len(self.stream.names):
            self.kept[period] = self.comparison.name, self.forecast_now(period)
            self.walk.score(self.stream, period, self.comparison.deployed)

    def forecast_now(self, period: int) -> Forecasts:
        rows = self.stream.rows(period)
        return forecast(self.comparison, self.stream.whole.rows(rows), rows.size)

    def predicted(self, period: int) -> Forecasts:
        """What was predicted of the period then; by the present models if the champion was another.

        These too were fixed before the labels came.
        """
        name, found = self.kept.get(period, ("", {}))
        return found if name == self.comparison.name else self.forecast_now(period)

    def evaluate(self, waiting: list[int]) -> None:
        """One evaluation of the waiting periods' labels; note what it did."""
        stream, walk, old = self.stream, self.walk, self.comparison
        newest = np.concatenate([stream.rows(period) for period in waiting])
        parts = [self.predicted(period) for period in waiting]
        before = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        candidates, now = stream.candidates(self.evaluations), self.evaluations[-1]
        outcome = compare(old, candidates, newest, before, self.rule)
        new, action, reason = outcome.comparison, outcome.action, outcome.judgement.reason
        walk.reasons[now] = reason
        if action == RECALIBRATE:
            walk.recalibrations += 1
        elif action != NONE:
            walk.wrong += _was_wrong(stream, old.deployed, new.deployed, now)
            walk.deployments.append((now, action, reason))
            walk.replaced.append((old.deployed, new.deployed))
        if action in NEW_BASE_MODELS:
            new = replace(new, name=f"version {len(walk.deployments) + 1}")
        self.comparison = new


def _was_wrong(stream: Stream, old: Model, new: Model, period: int) -> bool:
    """Whether the new model does worse on the next two periods than the one it replaced."""
    later = [p for p in (period + 1, period + 2) if p < len(stream.names)]
    y = np.concatenate([stream.labels[stream.rows(p)] for p in later] or [np.zeros(0)])
    if not y.size:
        return False
    before, after = (np.concatenate([stream.log_odds(m, p) for p in later]) for m in (old, new))
    return brier(y, risks(after)) > brier(y, risks(before))


def replay_naive(stream: Stream, policy: str, delay: int) -> Walk:
    """The walk of one of the rules that everybody knows."""
    lag, walk, first = lag_of(delay), Walk(policy), stream.first()
    model = stream.candidates([first]).model("all")
    walk.score(stream, first + lag, model)
    evaluations = [first]
    for period in range(first + 1, len(stream.names)):
        evaluations.append(period)
        if policy != "never":
            old = model
            if policy == "always, all past":
                model = stream.candidates(evaluations).model("all")
            elif are_enough(stream.labels[stream.rows(period)]):
                model = stream.last_file(period).model("all")
            if model is not old:  # the same where the file is too small for a model
                walk.deployments.append((period, RETRAIN, policy))
                walk.replaced.append((old, model))
                walk.wrong += _was_wrong(stream, old, model, period)
        walk.score(stream, period + lag, model)
    return walk


def oracle(walks: list[Walk]) -> Walk:
    """The best of the naive rules for each period, known only afterwards."""
    periods = walks[0].brier
    return Walk(ORACLE, {p: min(walk.brier[p] for walk in walks) for p in periods})

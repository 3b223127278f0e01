"""What a retraining rule does with a world, file by file, and what that was worth in truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.beside.detectors import (
    Adwin,
    PageHinkley,
    below_the_fence,
    below_two_deviations,
    ks_p,
    psi,
)
from benchmarks.beside.worlds import NAMES, World
from risk.decide.evidence import risks
from risk.decide.replay import Walk, lag_of, oracle, replay_naive, replay_policy
from risk.model.fit import are_enough
from risk.model.measures import brier, f1
from risk.model.model import Model

ALPHA, PSI_LIMIT, DRIFT_SHARE, LEAST_GAIN = 0.05, 0.1, 0.3, 0.05
HELD_OUT, LEAST_HISTORY, TEST_ROWS = 0.3, 5, 500
NEVER, ALWAYS, LAST = "never", "always, all past", "always, last file"
OURS = ("certified", "fast")


@dataclass
class Seen:
    """What a rule knows at an evaluation.

    rows: places of the newly labelled rows; labels: theirs; risks: by the deployed model. newest:
    features of the newest file that has come. trained: features that the deployed model knew.
    """

    period: int
    rows: np.ndarray
    labels: np.ndarray
    risks: np.ndarray
    newest: np.ndarray
    trained: np.ndarray

    @property
    def f1(self) -> float:
        return f1(self.labels, (self.risks >= 0.5).astype(int))

    @property
    def wrong(self) -> list[float]:
        """1 for each row on the wrong side of 1/2."""
        return ((self.risks >= 0.5) != self.labels).astype(float).tolist()

    @property
    def squares(self) -> list[float]:
        """The squared error of each row."""
        return ((self.risks - self.labels) ** 2).tolist()

    def drifted(self) -> float:
        """The share of features that differ at p < .05 by the KS test."""
        both = zip(self.trained.T, self.newest.T, strict=True)
        return float(np.mean([ks_p(old, new) < ALPHA for old, new in both]))

    def largest_psi(self) -> float:
        return max(psi(old, new) for old, new in zip(self.trained.T, self.newest.T, strict=True))


class Rule:
    """A rule that says when to retrain; `begin` is told of every model that is deployed."""

    def begin(self, test_f1: float) -> None:
        """test_f1: what the model scores on a test file of the first world."""

    def fires(self, seen: Seen) -> bool:
        raise NotImplementedError


class RawF1(Rule):
    """F1 on the new file is below the one stored at the deployment, on the test file."""

    def begin(self, test_f1: float) -> None:
        self.stored = test_f1

    def fires(self, seen: Seen) -> bool:
        return seen.f1 < self.stored


@dataclass
class Outlying(Rule):
    """F1 on the new file is an outlier below those of all earlier files (five at least)."""

    outlies: Callable[[float, list[float]], bool]
    history: list[float] = field(default_factory=list)

    def fires(self, seen: Seen) -> bool:
        now, before = seen.f1, self.history
        self.history = [*before, now]
        return len(before) >= LEAST_HISTORY and self.outlies(now, before)


class AnyKs(Rule):
    def fires(self, seen: Seen) -> bool:
        return seen.drifted() > 0


class AnyPsi(Rule):
    def fires(self, seen: Seen) -> bool:
        return seen.largest_psi() > PSI_LIMIT


@dataclass
class Rows(Rule):
    """A detector that is fed one error a row, and begins anew with every model."""

    make: Callable[[], PageHinkley | Adwin]
    errors: Callable[[Seen], list[float]]

    def begin(self, test_f1: float) -> None:
        self.detector = self.make()

    def fires(self, seen: Seen) -> bool:
        return self.detector.fires(self.errors(seen))


@dataclass
class Challenged(Rule):
    """A rule that also asks a challenger, fitted on all past and 70 % of the new rows, to win.

    share: of features that must have drifted. gain: by which share the challenger's Brier score
    must be lower than the deployed model's on the other 30 %.
    """

    share: float
    gain: float

    def fires(self, seen: Seen) -> bool:
        return self.share <= 0 or seen.drifted() > self.share


RULES: dict[str, Callable[[], Rule]] = {
    "raw F1": RawF1,
    "F1 below mean - 2 sd": lambda: Outlying(below_two_deviations),
    "F1 below Q1 - 1.5 IQR": lambda: Outlying(below_the_fence),
    "KS p < .05, any column": AnyKs,
    "PSI > .1, any column": AnyPsi,
    "drift share > .3, then 5 %": lambda: Challenged(DRIFT_SHARE, LEAST_GAIN),
    "Page-Hinkley 50, 0/1 error": lambda: Rows(PageHinkley, lambda seen: seen.wrong),
    "Page-Hinkley 5, Brier": lambda: Rows(lambda: PageHinkley(5.0), lambda seen: seen.squares),
    "ADWIN, 0/1 error": lambda: Rows(Adwin, lambda seen: seen.wrong),
    "paired holdout": lambda: Challenged(0.0, 0.0),
}
POLICIES = ("base rate", NEVER, ALWAYS, LAST, *RULES, *OURS, "oracle")


# ---------------------------------------------------------------- walks


def ruled(world: World, name: str, last_file: bool = False) -> Walk:
    """The walk of a rule that retrains on all past rows when it fires (or on the last file)."""
    stream, rule, walk = world.stream, RULES[name](), Walk(name)
    lag, evaluations = lag_of(world.scenario.delay), [stream.first()]
    model, trained = stream.candidates(evaluations).model("all"), stream.rows(evaluations[0])
    rule.begin(test_f1(world, model))
    walk.models[evaluations[0] + lag] = model
    for period in range(evaluations[0] + 1, world.files):
        evaluations.append(period)
        seen = seen_at(world, model, period, trained)
        new = model
        if seen.rows.size and rule.fires(seen):
            new = retrained(world, rule, evaluations, seen, model, last_file)
        if new is not model:
            walk.deployments.append((period, "retrained", name))
            walk.replaced.append((model, new))
            model, trained = new, trained_rows(world, period, last_file)
            rule.begin(test_f1(world, model))
        walk.models[period + lag] = model
    return walk


def seen_at(world: World, model: Model, period: int, trained: np.ndarray) -> Seen:
    stream = world.stream
    rows = stream.rows(period)
    newest = min(period + lag_of(world.scenario.delay) - 1, world.files - 1)
    features = stream.features.to_numpy()
    said = risks(stream.log_odds(model, period))
    return Seen(period, rows, stream.labels[rows], said, world.parts[newest][0], features[trained])


def trained_rows(world: World, period: int, last_file: bool) -> np.ndarray:
    periods = world.stream.periods
    return np.flatnonzero(periods == period if last_file else periods <= period)


def retrained(
    world: World, rule: Rule, evaluations: list[int], seen: Seen, old: Model, last_file: bool
) -> Model:
    """The model that the rule deploys; the old one where nothing comes of it."""
    stream = world.stream
    if isinstance(rule, Challenged):
        return challenged(world, rule, evaluations, seen, old)
    if not last_file:
        return stream.candidates(evaluations).model("all")
    return stream.last_file(evaluations[-1]).model("all") if are_enough(seen.labels) else old


def challenged(
    world: World, rule: Challenged, evaluations: list[int], seen: Seen, old: Model
) -> Model:
    """The challenger where it wins on the rows held out of the new ones, else the old model.

    Its terms are those found at the evaluation before: half of the time of finding them anew.
    """
    out, stream = held_out(world, seen), world.stream
    candidates = stream.candidates(evaluations)
    weight = np.ones(candidates.known.labels.size)
    weight[out] = 0
    new = candidates.fit(stream.candidates(evaluations[:-1]).terms, weight)
    raw, y = stream.whole.rows(out), stream.labels[out]
    scores = [brier(y, risks(model.log_odds_of(raw, out.size))) for model in (new, old)]
    return new if scores[0] < (1 - rule.gain) * scores[1] else old


def held_out(world: World, seen: Seen) -> np.ndarray:
    """The places of 30 % of the new rows, at least one, by a seeded lot."""
    random = np.random.default_rng([world.seed, 6, seen.period])
    mixed = random.permutation(seen.rows)
    return mixed[: max(round(HELD_OUT * mixed.size), 1)]


def test_f1(world: World, model: Model) -> float:
    """The F1 on a test file of the first world, the same for every model."""
    random = np.random.default_rng([world.seed, 7])
    X, true = world.drawn(world.places[0], TEST_ROWS, random)
    y = (random.random(TEST_ROWS) < true).astype(int)
    said = model.log_odds_of(dict(zip(NAMES, X.T, strict=True)), TEST_ROWS)
    return f1(y, (said >= 0).astype(int))


def flat(world: World) -> Walk:
    """The walk of a constant: the first file's share of exits."""
    stream, walk = world.stream, Walk("base rate")
    first = stream.first()
    rate = float(np.mean(stream.labels[stream.rows(first)]))
    model = Model(stream.columns, math.log(rate / (1 - rate)), [])
    lag = lag_of(world.scenario.delay)
    walk.models = dict.fromkeys(range(first + lag, world.files), model)
    return walk


def walk_of(world: World, policy: str, last_file: bool = False) -> Walk:
    """The walk of any policy but the oracle."""
    delay = world.scenario.delay
    if policy == "base rate":
        return flat(world)
    if policy in OURS:
        return replay_policy(world.stream, policy, delay)
    if policy in RULES:
        return ruled(world, policy, last_file)
    return replay_naive(world.stream, policy, delay)


# ---------------------------------------------------------------- what it was worth


@dataclass
class Worth:
    """What a policy's walk was worth in truth.

    brier: the mean that its models cost, over files. gains: of each deployment, in the next two
    files; periods: the evaluations that decided them; actions: how it calls them (ours tell a
    promotion from a scheduled retrain, a switch and a revert). evaluations: how often it could
    decide.
    cost: what its model cost above the best possible, by file.
    """

    brier: float
    evaluations: int
    periods: list[int]
    gains: list[float]
    cost: dict[int, float]
    actions: list[str] = field(default_factory=list)


def worths(world: World, last_file: bool = False) -> dict[str, Worth]:
    """Every policy's worth, by name."""
    walks = {name: walk_of(world, name, last_file) for name in POLICIES[:-1]}
    found = {name: worth(world, walk) for name, walk in walks.items()}
    best = oracle([Walk(name, costs(world, found[name])) for name in (NEVER, ALWAYS, LAST)])
    return found | {"oracle": Worth(best.mean, found[NEVER].evaluations, [], [], {})}


def costs(world: World, one: Worth) -> dict[int, float]:
    """The Brier score in truth of what was deployed, by file."""
    return {file: value + world.least(file) for file, value in one.cost.items()}


def worth(world: World, walk: Walk) -> Worth:
    lag = lag_of(world.scenario.delay)
    cost = {
        file: world.excess(model, file) for file, model in walk.models.items() if file < world.files
    }
    periods = [period for period, *_ in walk.deployments]
    gains = [
        world.gain(old, new, [period + lag, period + lag + 1])
        for period, (old, new) in zip(periods, walk.replaced, strict=True)
    ]
    first = world.stream.first()
    actions = [action for _, action, _ in walk.deployments]
    one = Worth(0.0, world.files - 1 - first, periods, gains, cost, actions)
    one.brier = float(np.mean(list(costs(world, one).values())))
    return one

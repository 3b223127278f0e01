"""A small stream walked: every number of a walk is one that could have been known by then."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from risk.decide import replay
from risk.decide.evidence import RULE
from risk.decide.replay import NAIVE, ORACLE, Stream, lag_of, oracle, replay_naive, replay_policy
from risk.model import fit as fitting
from risk.model.model import Model
from risk.model.pipelines import export, rows_of_frame

COLUMNS = {"activity": "number", "size": "number"}
SIZES = (160,) * 8


def stream(
    sizes: tuple[int, ...] = SIZES, turns: int | None = None, recipe: str = "default"
) -> Stream:
    """Periods of so many rows; from the one that `turns` the labels are turned over."""
    rng = np.random.default_rng(3)
    n, periods = sum(sizes), np.repeat(np.arange(len(sizes)), sizes)
    features = pd.DataFrame({name: rng.normal(size=n) for name in COLUMNS})
    score = 2 * features["activity"].to_numpy() - 0.5
    if turns is not None:
        score = np.where(periods >= turns, -score, score)
    labels = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(np.int64)
    clients = np.concatenate([[f"c{at}" for at in range(size)] for size in sizes])
    names = [f"month {at}" for at in range(len(sizes))]
    return Stream(recipe, COLUMNS, features, labels, clients, periods, names)


def cut(whole: Stream, periods: int) -> Stream:
    """The stream as it was after so many periods."""
    kept = whole.periods < periods
    return Stream(
        whole.recipe,
        whole.columns,
        whole.features[kept].reset_index(drop=True),
        whole.labels[kept],
        whole.clients[kept],
        whole.periods[kept],
        whole.names[:periods],
    )


def trained(whole: Stream, rows: np.ndarray) -> Model:
    """What training makes of these rows."""
    some, y = whole.features[rows], whole.labels[rows]
    made = fitting.fit(whole.recipe, COLUMNS, some, y, whole.clients[rows])
    return Model.from_bytes(export(made, COLUMNS, some, {}))


def brier_of(model: Model, whole: Stream, period: int) -> float:
    here = whole.periods == period
    risk = model.probabilities(rows_of_frame(whole.features[here], COLUMNS))
    return float(np.mean((risk - whole.labels[here]) ** 2))


@pytest.fixture(scope="module")
def steady() -> Stream:
    return stream()


@pytest.fixture(scope="module")
def turned() -> Stream:
    return stream(turns=4)


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("policy", NAIVE)
def test_a_naive_walk_is_the_one_made_by_hand(turned: Stream, policy: str, delay: int) -> None:
    walk = replay_naive(turned, policy, delay)

    expected = {}
    for period in range(max(delay, 1), 8):
        last = period - max(delay, 1)  # the newest period whose labels are known
        rows = {
            "never": turned.periods == 0,
            "always, all past": turned.periods <= last,
            "always, last file": turned.periods == last,
        }[policy]
        expected[period] = brier_of(trained(turned, rows), turned, period)
    assert walk.brier == pytest.approx(expected, abs=1e-6)
    assert [period for period, *_ in walk.deployments] == (
        [] if policy == "never" else list(range(1, 8))
    )
    assert walk.mean == pytest.approx(sum(expected.values()) / len(expected))


def test_a_file_that_is_too_small_to_train_on_deploys_nothing() -> None:
    whole = stream((160, 160, 8, 160))

    walk = replay_naive(whole, "always, last file", 0)

    assert [period for period, *_ in walk.deployments] == [1, 3]
    assert walk.versions == {1: 1, 2: 2, 3: 2}
    assert walk.brier[3] == pytest.approx(
        brier_of(trained(whole, whole.periods == 1), whole, 3), abs=1e-6
    )


def test_the_oracle_is_the_best_of_the_naive_rules_in_each_period(turned: Stream) -> None:
    walks = [replay_naive(turned, policy, 0) for policy in NAIVE]

    best = oracle(walks)

    assert best.policy == ORACLE
    assert best.brier == {
        period: min(walk.brier[period] for walk in walks) for period in range(1, 8)
    }
    assert best.mean < min(walk.mean for walk in walks)


def test_a_deployment_is_wrong_where_the_next_two_periods_say_so(turned: Stream) -> None:
    walk = replay_naive(turned, "always, last file", 0)

    wrong = 0
    models = [trained(turned, turned.periods == at) for at in range(8)]
    for period in range(1, 7):
        later = [at for at in (period + 1, period + 2) if at < 8]
        old, new = (
            sum(brier_of(models[at], turned, p) for p in later) for at in (period - 1, period)
        )
        wrong += new > old
    assert walk.wrong == wrong > 0


@pytest.mark.parametrize("policy", ["fast", "certified"])
@pytest.mark.parametrize("delay", [0, 2])
def test_no_walk_looks_ahead(turned: Stream, policy: str, delay: int) -> None:
    whole, before = (
        replay_policy(turned, policy, delay),
        replay_policy(cut(turned, 6), policy, delay),
    )

    assert before.brier == {at: brier for at, brier in whole.brier.items() if at < 6}
    assert before.deployments == [found for found in whole.deployments if found[0] < 6]
    assert before.reasons == {at: why for at, why in whole.reasons.items() if at < 6}
    assert len(before.brier) == 6 - lag_of(delay)


@pytest.mark.parametrize("delay", [1, 3])
def test_what_is_deployed_first_is_the_model_of_the_first_period(
    steady: Stream, delay: int
) -> None:
    first = brier_of(trained(steady, steady.periods == 0), steady, lag_of(delay))

    for policy in ("fast", "certified"):
        walk = replay_policy(steady, policy, delay)
        assert min(walk.brier) == lag_of(delay)
        assert walk.brier[lag_of(delay)] == pytest.approx(first, abs=1e-6)
        assert walk.versions[lag_of(delay)] == 1


@pytest.mark.parametrize("delay", [0, 2])
def test_a_world_that_turns_is_followed_as_soon_as_its_labels_are_known(delay: int) -> None:
    whole = stream((200,) * 10, turns=4)

    walk, slow = replay_policy(whole, "fast", delay), replay_naive(whole, "never", delay)

    jumps = [period for period, action, _ in walk.deployments if action == "switch"]
    assert jumps == [4]
    served = 4 + lag_of(delay)
    assert walk.brier[served - 1] > 0.3 and walk.brier[served] < 0.2
    assert slow.brier[9] > 0.3
    assert walk.versions[served] == walk.versions[served - 1] + 1


def test_labels_in_the_next_period_are_as_early_as_labels_with_the_rows(turned: Stream) -> None:
    assert replay_policy(turned, "fast", 0) == replay_policy(turned, "fast", 1)
    assert (lag_of(0), lag_of(1), lag_of(3)) == (1, 1, 3)


def test_the_forecasts_that_were_kept_are_judged_while_the_champion_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a delay, what was predicted when the rows came is judged, by the models of then."""
    judged: list[Any] = []
    told: list[Any] = []
    real_compare, real_forecasts = replay.compare, replay.forecast

    def spied(comparison: Any, candidates: Any, newest: np.ndarray, said: Any, rule: Any) -> Any:
        judged.append((comparison.name, newest, said))
        return real_compare(comparison, candidates, newest, said, rule)

    def forecasts(comparison: Any, raw: Any, rows: int) -> Any:
        found = real_forecasts(comparison, raw, rows)
        told.append((comparison.name, raw["activity"], found))
        return found

    monkeypatch.setattr(replay, "compare", spied)
    monkeypatch.setattr(replay, "forecast", forecasts)
    whole = stream()

    replay_policy(whole, "certified", 2)

    assert {name for name, *_ in judged} == {"version 1"}
    for _, newest, said in judged[1:]:
        rows = whole.features["activity"].to_numpy()[newest]
        first = next(found for _, raw, found in told if np.array_equal(raw, rows))
        assert all(np.array_equal(said[key], first[key]) for key in said)
    assert len(judged) == 7


def test_what_was_said_under_another_champion_is_not_held_against_the_new_one() -> None:
    """The rows between the turn and the jump were forecast by the one before, badly."""
    whole = stream((200,) * 10, turns=4)

    walk = replay_policy(whole, "fast", 3)

    assert [period for period, action, _ in walk.deployments if action == "switch"] == [4]
    assert not any(action == "revert" for _, action, _ in walk.deployments)


def test_periods_that_are_too_small_are_judged_together() -> None:
    whole = stream((160, 20, 20, 20, 160))

    walk = replay_policy(whole, "fast", 0)

    assert sorted(walk.reasons) == [3, 4]
    assert sorted(walk.brier) == [1, 2, 3, 4]
    assert walk.versions[1] == walk.versions[2] == walk.versions[3] == 1
    evaluations = {key for key in whole._fits if key[0] >= 0}
    assert evaluations == {(0,), (0, 3), (0, 3, 4)}
    candidates = whole.candidates([0, 3, 4])
    assert [int(np.sum(candidates.known.ages == age)) for age in range(3)] == [160, 60, 160]


def test_the_rule_of_a_walk_is_its_own_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, rule = stream((160, 20, 20, 20)), replace(RULE, least_rows=20, least_class=1)
    given: list[Any] = []
    monkeypatch.setattr(
        replay,
        "start_comparison",
        lambda *said, real=replay.start_comparison: given.append(said) or real(*said),
    )

    walk = replay_policy(whole, "fast", 0, rule)

    assert sorted(walk.reasons) == [1, 2, 3]
    assert given[0][-1] is rule


def test_the_first_model_waits_for_trainings_minimum() -> None:
    whole = stream((4, 4, 160, 160))

    assert whole.first() == 2
    assert sorted(replay_policy(whole, "fast", 0).brier) == [3]
    assert sorted(replay_naive(whole, "never", 0).brier) == [3]


def test_a_stream_of_one_period_deploys_nobody() -> None:
    walk = replay_policy(stream((160,)), "fast", 0)

    assert walk.brier == {} and math.isnan(walk.mean)
    assert math.isnan(replay_naive(stream((160,)), NAIVE[1], 0).mean)


def test_models_are_fitted_once_for_all_policies(steady: Stream) -> None:
    assert steady.candidates([0, 1]) is steady.candidates([0, 1])
    assert steady.last_file(3) is steady.last_file(3)
    assert steady.last_file(3) is not steady.last_file(4)


@pytest.mark.parametrize(
    ("evaluations", "ages"),
    [([0, 1, 2], [2, 1, 0]), ([2], [0, 0, 0]), ([0, 2], [1, 0, 0]), ([1, 2], [1, 1, 0])],
)
def test_a_row_is_as_old_as_the_evaluations_since(
    steady: Stream, evaluations: list[int], ages: list[int]
) -> None:
    known = steady.candidates(evaluations).known

    assert known.ages.tolist() == np.repeat(ages, 160).tolist()


def test_the_same_stream_is_walked_the_same(turned: Stream) -> None:
    assert replay_policy(stream(turns=4), "fast", 0) == replay_policy(turned, "fast", 0)


def test_the_original_recipe_is_walked_too() -> None:
    whole = stream(recipe="original")

    walk = replay_policy(whole, "fast", 0)

    assert 0.1 < walk.mean < replay_naive(whole, "never", 0).mean + 0.01

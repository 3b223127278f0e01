"""The benchmark beside other policies: its detectors do what they say, its truth is true."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.beside.detectors import (
    Adwin,
    PageHinkley,
    below_the_fence,
    below_two_deviations,
    ks_p,
    psi,
)
from benchmarks.beside.walks import (
    ALWAYS,
    NEVER,
    POLICIES,
    RULES,
    Challenged,
    Outlying,
    RawF1,
    Seen,
    challenged,
    held_out,
    seen_at,
    walk_of,
    worth,
    worths,
)
from benchmarks.beside.worlds import Scenario, World
from benchmarks.policies import median, poisson, rows_to_deployment, rows_to_half
from risk.decide.evidence import risks
from risk.model.measures import brier
from tests.checkout import ROOT

QUICK = Scenario("abrupt", "abrupt", files=5, first=300, change=(2, 3), recipe="original")


def errors(seed: int, rows: int = 1000, low: float = 0.2, high: float = 0.4) -> list[float]:
    """So many errors at the low rate, then as many at the high one."""
    random = np.random.default_rng(seed)
    return np.concatenate([random.random(rows) < low, random.random(rows) < high]).tolist()


def first_fired(detector: Adwin | PageHinkley, values: list[float]) -> int | None:
    return next((at for at, value in enumerate(values) if detector.plus(float(value))), None)


@pytest.mark.parametrize(
    ("seed", "adwin", "page_hinkley", "with_threshold_10"),
    [(0, 1119, 1219, 1026), (1, 1279, 1331, 266), (2, 1247, 1312, 1060)],
)
def test_adwin_and_page_hinkley_fire_where_those_of_river_do(
    seed: int, adwin: int, page_hinkley: int, with_threshold_10: int
) -> None:
    found = [
        first_fired(detector, errors(seed))
        for detector in (Adwin(), PageHinkley(), PageHinkley(10.0))
    ]

    assert found == [adwin, page_hinkley, with_threshold_10]


@pytest.mark.parametrize(
    ("seed", "rows", "low", "high", "river_says"),
    [(2, 300, 0.1, 0.5, 358), (5, 300, 0.1, 0.5, 359), (5, 30, 0.02, 0.98, None)],
)
def test_adwin_asked_at_every_row_fires_where_that_of_river_does(
    seed: int, rows: int, low: float, high: float, river_says: int | None
) -> None:
    assert first_fired(Adwin(clock=1), errors(seed, rows, low, high)) == river_says


@pytest.mark.parametrize("detector", [Adwin(), PageHinkley()])
def test_a_steady_error_fires_nothing(detector: Adwin | PageHinkley) -> None:
    values = (np.random.default_rng(5).random(3000) < 0.2).tolist()

    assert not detector.fires(values)


@pytest.mark.parametrize(("shift", "scipy_says"), [(0.0, 0.35440), (0.2, 0.14418), (0.5, 2.352e-4)])
def test_the_p_value_of_ks_is_that_of_scipy(shift: float, scipy_says: float) -> None:
    random = np.random.default_rng(9)
    old, new = random.normal(size=400), random.normal(size=150) + shift

    assert ks_p(old, new) == pytest.approx(scipy_says, rel=0.12)


def test_ks_knows_equal_samples() -> None:
    values = np.arange(50.0)

    assert ks_p(values, values) == 1.0


def test_psi_is_the_sum_over_bins_of_equal_shares() -> None:
    old = np.arange(1000.0)
    new = np.concatenate([np.arange(500.0), np.arange(500.0)])  # the lower half alone

    assert psi(old, old) == pytest.approx(0.0, abs=1e-12)
    assert psi(old, new) == pytest.approx(
        5 * 0.1 * np.log(2) + 5 * (1e-4 - 0.1) * np.log(1e-3), rel=0.02
    )


@pytest.mark.parametrize(
    ("outlies", "value", "fires"),
    [
        (below_two_deviations, 0.29, True),
        (below_two_deviations, 0.31, False),
        (below_the_fence, 0.09, True),
        (below_the_fence, 0.11, False),
    ],
)
def test_an_outlier_is_below_the_limit_of_the_earlier_scores(
    outlies: Callable[[float, list[float]], bool], value: float, fires: bool
) -> None:
    # mean .5, two deviations .2; quartiles .4 and .6
    assert outlies(value, [0.4, 0.6, 0.4, 0.6, 0.4, 0.6]) is fires


def seen(labels: list[int], said: list[float], trained: float = 0.0, newest: float = 0.0) -> Seen:
    random = np.random.default_rng(3)
    old, new = random.normal(size=(2000, 2)) + trained, random.normal(size=(2000, 2)) + newest
    return Seen(1, np.arange(len(labels)), np.array(labels), np.array(said), new, old)


def test_raw_f1_fires_below_the_stored_one_alone() -> None:
    rule, now = RawF1(), seen([1, 1, 0, 0], [0.9, 0.1, 0.2, 0.8])
    fired = {}
    for stored in (0.49, 0.5, 0.51):
        rule.begin(stored)
        fired[stored] = rule.fires(now)

    assert fired == {0.49: False, 0.5: False, 0.51: True}


def test_an_outlier_needs_five_earlier_scores() -> None:
    good, bad = seen([1, 0], [0.9, 0.1]), seen([1], [0.1])
    fired = []
    for earlier in (4, 5):
        rule = Outlying(below_two_deviations)
        fired.append([rule.fires(one) for one in [good] * earlier + [bad]])

    assert fired == [[False] * 5, [False] * 5 + [True]]


@pytest.mark.parametrize(
    "name", ["KS p < .05, any column", "PSI > .1, any column", "drift share > .3, then 5 %"]
)
@pytest.mark.parametrize(("moved", "fires"), [(0.0, False), (1.0, True)])
def test_rules_on_features_fire_when_features_move(name: str, moved: float, fires: bool) -> None:
    rule = RULES[name]()
    rule.begin(0.5)

    assert rule.fires(seen([1, 0], [0.9, 0.1], newest=moved)) is fires


@pytest.mark.parametrize("name", [name for name in RULES if "Page" in name or "ADWIN" in name])
def test_rules_on_errors_fire_when_errors_rise_and_begin_anew_with_a_model(name: str) -> None:
    rule = RULES[name]()
    rule.begin(0.5)
    good, bad = seen([0] * 500, [0.1] * 500), seen([1] * 500, [0.1] * 500)

    assert [rule.fires(good), rule.fires(bad)] == [False, True]
    rule.begin(0.5)
    assert not rule.fires(bad)


@pytest.mark.parametrize(("gain", "promotions"), [(-9.0, 5), (1.0, 0)])
def test_a_challenger_must_win_by_its_share(
    gain: float, promotions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RULES, "asked", lambda: Challenged(0.0, gain))

    assert len(walk_of(World(QUICK, 7), "asked").deployments) == promotions


def test_a_challenger_is_fitted_to_no_row_that_it_is_judged_on() -> None:
    found = []
    for flipped in (False, True):
        world = World(QUICK, 7)
        old = world.stream.candidates([0]).model("all")
        now = seen_at(world, old, 3, world.stream.rows(0))
        out = held_out(world, now)
        world.stream.labels[out] ^= flipped
        found.append(challenged(world, Challenged(0.0, -9.0), [0, 1, 2, 3], now, old))

    assert out.size == 60
    assert found[0] == found[1] != old


def test_features_are_compared_with_the_newest_file_that_has_come() -> None:
    late = World(Scenario(**(vars(QUICK) | {"delay": 3})), 7)
    soon = World(QUICK, 7)
    newest = []
    for world in (soon, late):
        model = world.stream.candidates([0]).model("all")
        newest.append(seen_at(world, model, 1, world.stream.rows(0)).newest)

    assert np.array_equal(newest[0], soon.parts[1][0])
    assert np.array_equal(newest[1], late.parts[3][0])


def test_labels_come_at_the_true_rates() -> None:
    world = World(Scenario("x", "stationary", files=1, first=20_000), 7)
    X, y, known = world.parts[0]
    fresh = world.fresh(0)

    assert known.all()
    assert y.mean() == pytest.approx(fresh.true.mean(), abs=0.01)
    assert world.least(0) < y.mean() * (1 - y.mean())


def test_a_model_of_many_rows_has_little_excess_and_a_constant_much() -> None:
    world = World(Scenario("x", "stationary", files=2, first=20_000), 7)
    model = world.stream.candidates([0]).model("all")
    flat = walk_of(world, "base rate").models[1]

    assert 0 < world.excess(model, 1) < 0.002 < 0.02 < world.excess(flat, 1)
    assert world.gain(flat, model, [1, 2]) == pytest.approx(
        world.excess(flat, 1) - world.excess(model, 1)
    )


def test_a_harmless_shift_moves_features_and_no_probability() -> None:
    scenario = Scenario("x", "harmless shift", files=13, rows=4000)
    world = World(scenario, 7)
    before, after = world.places[0], world.places[13]

    assert (before.slopes, before.level) == (after.slopes, after.level)
    assert np.abs(world.parts[13][0].mean(axis=0) - world.parts[0][0].mean(axis=0)).min() > 0.4


def test_a_fault_is_in_its_files_alone() -> None:
    for fault, files in (("x1000", 1), ("stuck", 3)):
        world = World(Scenario("x", "stationary", files=9, fault=fault, change=(3, 4)), 7)
        broken = [float(np.median(X[:, 1])) > 100 or np.ptp(X[:, 1]) == 0 for X, *_ in world.parts]
        assert broken == [3 <= file < 3 + files for file in range(10)]


def test_a_share_of_the_rows_never_gets_a_label() -> None:
    world = World(Scenario("x", "abrupt", files=20, labelled=0.3), 7)
    labelled = np.bincount(world.stream.periods)

    assert labelled[0] == 1000
    assert labelled[1:].mean() == pytest.approx(60, abs=6)
    assert {X.shape[0] for X, *_ in world.parts[1:]} == {200}


def test_the_models_that_a_replay_notes_are_those_it_deployed() -> None:
    world = World(QUICK, 7)
    for policy in ("fast", "certified", ALWAYS):
        walk = walk_of(world, policy)
        assert set(walk.models) == set(walk.brier)
        for period, model in walk.models.items():
            y = world.stream.labels[world.stream.rows(period)]
            assert brier(y, risks(world.stream.log_odds(model, period))) == walk.brier[period]


def test_every_policy_is_worth_something_and_the_dummies_bound_them() -> None:
    found = worths(World(QUICK, 7))

    assert tuple(found) == POLICIES
    assert found[NEVER].gains == [] and len(found[ALWAYS].gains) == 5
    assert all(len(one.gains) == len(one.periods) for one in found.values())
    assert found["oracle"].brier <= min(found[NEVER].brier, found[ALWAYS].brier)


def test_with_late_labels_a_deployment_comes_later_and_so_do_its_rows() -> None:
    soon, late = World(QUICK, 7), World(Scenario(**(vars(QUICK) | {"delay": 3})), 7)
    never = [worth(world, walk_of(world, NEVER)) for world in (soon, late)]
    always = [worth(world, walk_of(world, ALWAYS)) for world in (soon, late)]

    assert [rows_to_deployment(w, one) for w, one in zip((soon, late), always, strict=True)] == [
        200,
        600,
    ]
    assert rows_to_deployment(soon, never[0]) == rows_to_half(soon, never[0], never[0]) == np.inf
    assert min(always[0].cost) == 1 and min(always[1].cost) == 3


@pytest.mark.parametrize(
    ("events", "evaluations", "shown"),
    [(0, 1000, "0.0 (0.0 to 3.7)"), (10, 1000, "10.0 (4.8 to 18.4)"), (5, 100, "50.0 (16.1 to 1")],
)
def test_a_rate_comes_with_its_poisson_interval(events: int, evaluations: int, shown: str) -> None:
    assert poisson(events, evaluations).startswith(shown)


def test_a_median_counts_what_never_came() -> None:
    assert median([200, 400, np.inf]) == "400 (1 of 3 never)"
    assert median([200, np.inf, np.inf]) == "never (2 of 3 never)"


@pytest.mark.torture
def test_the_benchmark_runs_every_scenario_with_every_policy() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            str(ROOT / "benchmarks/policies.py"),
            "--smoke",
            "--jobs",
            "1",
        ],
        text=True,
        capture_output=True,
        timeout=300,
    )

    assert (done.returncode, done.stderr) == (0, "")
    tables = done.stdout.count("| policy |")
    assert tables == 14 + 3  # the scenarios, two overviews, the processor's time
    assert all(done.stdout.count(f"| {policy} |") == tables for policy in POLICIES[:-1])

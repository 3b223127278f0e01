"""Interactions that were planted are found where they lie; noise and sums give none."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from risk.model import interactions
from risk.model.design import design, standardise
from risk.model.interactions import (
    _Axis,
    _best_quadrant,
    _best_rectangle,
    _Gain,
    _number_axis,
    _quadrants,
    _Search,
    _strictest,
    find_interactions,
)
from risk.model.joint_terms import Condition, Product, Ramp, Region
from risk.model.main_effects import main_effects
from risk.model.terms import Curve, Raw


def numbers(n: int, columns: int, seed: int) -> Raw:
    x = np.random.default_rng(seed).normal(size=(n, columns))
    return {f"x{at}": x[:, at] for at in range(columns)}


def labels(score: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    return (rng.random(score.size) < 1 / (1 + np.exp(-score))).astype(np.int64)


def designed_in(raw: Raw, y: np.ndarray) -> list[Any]:
    """The interactions taken on top of curves and levels of every column."""
    texts = tuple(name for name, values in raw.items() if values.dtype == object)
    plain = tuple(name for name in raw if name not in texts)
    mains = main_effects(raw, plain, texts, int(min(y.sum(), (1 - y).sum())))
    return find_interactions([standardise(term, raw, 0.1) for term in mains], raw, y)


def found_in(*given: Any, **more: Any) -> list[Any]:
    """The terms alone."""
    return [one.term for one in designed_in(*given, **more)]


def limits(region: Region) -> dict[tuple[str, str], Any]:
    return {(c.column, c.sign): c.value for c in region.conditions}


@pytest.mark.parametrize(
    ("sign_a", "sign_b"),
    [("at least", "below"), ("below", "below"), ("at least", "at least"), ("below", "at least")],
)
@pytest.mark.parametrize("effect", [2.0, -2.5])
def test_a_planted_quadrant_is_found_where_it_lies(sign_a: str, sign_b: str, effect: float) -> None:
    raw = numbers(4000, 6, seed=1)
    planted = Region((Condition("x1", sign_a, 0.4, 0.0), Condition("x4", sign_b, -0.3, 0.0)))
    y = labels(effect * planted.basis(raw)[0] - 0.5 + 0.5 * raw["x0"], seed=1)
    first = found_in(raw, y)[0]
    assert isinstance(first, Region)
    # The four quadrants at a cut are the same question; any of them may carry the answer.
    assert {c.column for c in first.conditions} == {"x1", "x4"}
    at = {c.column: c.value for c in first.conditions}
    assert at["x1"] == pytest.approx(0.4, abs=0.2) and at["x4"] == pytest.approx(-0.3, abs=0.2)
    inside = first.basis(raw)[0]
    overlap = [np.mean(inside == side) for side in every_quadrant(raw, planted)]
    assert max(overlap) > 0.9


def every_quadrant(raw: Raw, region: Region) -> list[np.ndarray]:
    a, b = (condition.holds(raw) for condition in region.conditions)
    return [a & b, a & ~b, ~a & b, ~a & ~b]


def test_a_planted_rectangle_is_found_with_its_four_sides() -> None:
    raw = numbers(6000, 5, seed=2)
    inside = (np.abs(raw["x0"] - 0.2) < 0.6) & (np.abs(raw["x3"]) < 0.5)
    terms = found_in(raw, labels(3.0 * inside - 1.0, seed=2))
    assert isinstance(terms[0], Region)
    assert limits(terms[0]) == {
        ("x0", "at least"): pytest.approx(-0.4, abs=0.2),
        ("x0", "below"): pytest.approx(0.8, abs=0.2),
        ("x3", "at least"): pytest.approx(-0.5, abs=0.2),
        ("x3", "below"): pytest.approx(0.5, abs=0.2),
    }


@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_product_is_found(sign: int) -> None:
    raw = numbers(4000, 5, seed=3)
    terms = found_in(raw, labels(sign * raw["x1"] * raw["x2"] + 0.5 * raw["x0"], seed=3))
    assert isinstance(terms[0], Product)
    assert {terms[0].first.column, terms[0].second.column} == {"x1", "x2"}


def test_a_planted_box_of_three_columns_is_found() -> None:
    raw = numbers(6000, 6, seed=4)
    box = (raw["x0"] > 0.3) & (raw["x2"] < 0.2) & (raw["x5"] > -0.2)
    terms = found_in(raw, labels(3.0 * box - 1.2, seed=4))
    boxes = [
        term
        for term in terms
        if isinstance(term, Region) and {c.column for c in term.conditions} == {"x0", "x2", "x5"}
    ]
    assert boxes and limits(boxes[0]) == {
        ("x0", "at least"): pytest.approx(0.3, abs=0.2),
        ("x2", "below"): pytest.approx(0.2, abs=0.2),
        ("x5", "at least"): pytest.approx(-0.2, abs=0.2),
    }


@pytest.mark.parametrize("level", ["b", None])
def test_a_level_that_turns_a_number_round_is_found(level: str | None) -> None:
    raw = numbers(4000, 4, seed=5)
    raw["t"] = np.random.default_rng(5).choice(np.array(["a", "b", "c", None], dtype=object), 4000)
    turned = np.array([text == level for text in raw["t"]])
    terms = found_in(raw, labels(np.where(turned, -1.5, 0.8) * raw["x1"], seed=5))
    kinds = {
        part.column: part.level
        for term in terms
        if isinstance(term, Product)
        for part in (term.first, term.second)
    }
    assert kinds == {"x1": None, "t": level}


def test_the_same_rows_give_the_same_terms_twice() -> None:
    raw = numbers(3000, 6, seed=6)
    y = labels(2.0 * (raw["x0"] > 0) * (raw["x1"] > 0) + raw["x2"] * raw["x3"], seed=6)
    first = found_in(raw, y)
    assert len(first) >= 2 and found_in(raw, y) == first


def test_an_infinite_number_lies_beyond_every_cut() -> None:
    raw = numbers(3000, 3, seed=7)
    raw["x0"][np.random.default_rng(7).random(3000) < 0.2] = np.inf
    y = labels(3.0 * np.isinf(raw["x0"]) * (raw["x1"] > 0) - 1, seed=7)
    terms = found_in(raw, y)
    assert {c.column for c in terms[0].conditions} == {"x0", "x1"}
    assert all(np.isfinite(c.value) for c in terms[0].conditions)


@pytest.mark.parametrize(
    ("rows", "rate", "runs"),
    [
        (1500, 0.3, 40),
        pytest.param(1500, 0.1, 40, marks=pytest.mark.torture),
        pytest.param(12_000, 0.01, 20, marks=pytest.mark.torture),
    ],
)
def test_noise_hardly_ever_gives_a_term(rows: int, rate: float, runs: int) -> None:
    """Measured: 0 of 40, 0 of 40, 0 of 20. Without the skew of Gain: 0, 2 and 12 of 20."""
    taken = 0
    for seed in range(runs):
        y = (np.random.default_rng(seed + 500).random(rows) < rate).astype(np.int64)
        taken += bool(found_in(numbers(rows, 8, seed), y))
    assert taken <= 0.15 * runs


def test_sums_of_curves_hardly_ever_give_a_term() -> None:
    taken = 0
    for seed in range(10):
        raw = numbers(3000, 5, seed)
        score = np.sin(2 * raw["x0"]) + raw["x1"] - (raw["x2"] > 0.5) + 0.3 * raw["x3"] ** 2
        taken += len(found_in(raw, labels(score, seed)))
    assert taken <= 3


@pytest.mark.parametrize(("exits", "expected"), [(99, False), (100, True)])
def test_fewer_than_a_hundred_of_a_class_are_not_asked(exits: int, expected: bool) -> None:
    raw = numbers(2000, 3, seed=8)
    corner = np.minimum(raw["x0"], raw["x1"])
    y = np.zeros(2000, dtype=np.int64)
    y[np.argsort(-corner)[:exits]] = 1
    assert bool(found_in(raw, y)) is expected
    assert bool(found_in(raw, 1 - y)) is expected


@pytest.mark.parametrize(("setting", "at_most"), [("_EXITS_PER_TERM", 4), ("_MOST_TERMS", 6)])
def test_there_are_no_more_terms_than_the_exits_allow(
    setting: str, at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = numbers(3000, 14, seed=12)
    y = labels(sum(raw[f"x{a}"] * raw[f"x{a + 1}"] for a in range(0, 14, 2)), seed=12)
    smaller = int(min(y.sum(), (1 - y).sum()))
    value = smaller // at_most if setting == "_EXITS_PER_TERM" else at_most
    assert at_most < len(found_in(raw, y)) <= smaller // 10
    monkeypatch.setattr(interactions, setting, value)
    assert len(found_in(raw, y)) == at_most


def test_one_column_has_no_interaction() -> None:
    raw = numbers(1000, 1, seed=10)
    assert found_in(raw, labels(3 * raw["x0"] ** 2 - 2, seed=10)) == []


def test_every_region_and_its_outside_have_enough_rows() -> None:
    raw = numbers(3000, 6, seed=11)
    score = 4.0 * (raw["x0"] > 1.9) * (raw["x1"] > 0) + 2.0 * (raw["x2"] > 0) * (raw["x3"] > 0) - 1
    found = designed_in(raw, labels(score, seed=11))
    regions = [one for one in found if isinstance(one.term, Region)]
    least = max(interactions._MIN_ROWS, interactions._MIN_SHARE * 3000)
    assert regions
    for region in regions:
        inside = region.term.basis(raw)[0]
        assert least <= inside.sum() <= 3000 - least
        assert region.means[0] == pytest.approx(inside.mean())


def brute(grid: np.ndarray, i: int, j: int) -> list[float]:
    return [
        float(part.sum())
        for part in (
            grid[: i + 1, : j + 1],
            grid[: i + 1, j + 1 :],
            grid[i + 1 :, : j + 1],
            grid[i + 1 :, j + 1 :],
        )
    ]


def test_quadrants_are_the_sums_on_the_four_sides_of_every_pair_of_cuts() -> None:
    grid = np.random.default_rng(0).normal(size=(4, 6))
    found = _quadrants(grid)
    assert found.shape == (4, 3, 5)
    for i in range(3):
        for j in range(5):
            assert found[:, i, j] == pytest.approx(brute(grid, i, j))


def test_rectangles_are_the_sums_over_every_pair_of_intervals() -> None:
    grid = np.random.default_rng(1).normal(size=(4, 14))
    one, two = interactions._intervals(4), interactions._intervals(14)
    found = interactions._rectangles(grid, one, two)
    assert found.shape == (10, 78)
    for i, (a, b) in enumerate(zip(*one, strict=True)):
        for j, (c, d) in enumerate(zip(*two, strict=True)):
            assert found[i, j] == pytest.approx(grid[a:b, c:d].sum())


@pytest.mark.parametrize(
    ("rows", "columns", "sides"),
    [
        (slice(0, 2), slice(0, 3), ((7, 1, False), (9, 2, False))),
        (slice(2, 6), slice(3, 6), ((7, 1, True), (9, 2, True))),
        (slice(1, 4), slice(2, 5), ((7, 0, True), (7, 3, False), (9, 1, True), (9, 4, False))),
        (slice(0, 6), slice(2, 4), ((9, 1, True), (9, 3, False))),
    ],
)
def test_the_best_rectangle_is_the_one_with_all_the_residuals(
    rows: slice, columns: slice, sides: tuple[tuple[int, int, bool], ...]
) -> None:
    R, H = np.zeros((6, 6)), np.full((6, 6), 10.0)
    R[rows, columns] = 5.0
    found = _best_rectangle(7, 9, R, H, H * 5, _Gain(20, 0.0), pairs=10)
    cells = R[rows, columns].size
    assert found.sides == sides and found.axes == (7, 9)
    threshold = 2 * np.log(10 * 21**2) + interactions._MARGIN
    assert found.surplus == pytest.approx((5 * cells) ** 2 / (10 * cells) - threshold)


def test_the_whole_grid_is_no_rectangle() -> None:
    ones = np.ones((5, 5))
    assert _best_rectangle(0, 1, ones, ones, ones * 99, _Gain(1, 0.0), 1).surplus == -np.inf


@pytest.mark.parametrize(
    ("corner", "sides"),
    [
        ((slice(0, 2), slice(0, 3)), ((3, 1, False), (8, 2, False))),
        ((slice(0, 2), slice(3, 5)), ((3, 1, False), (8, 2, True))),
        ((slice(2, 4), slice(0, 3)), ((3, 1, True), (8, 2, False))),
        ((slice(2, 4), slice(3, 5)), ((3, 1, True), (8, 2, True))),
    ],
)
def test_the_best_quadrant_names_its_cuts_and_sides(
    corner: tuple[slice, slice], sides: tuple[tuple[int, int, bool], ...]
) -> None:
    R, H = np.zeros((4, 5)), np.full((4, 5), 4.0)
    R[corner] = -3.0
    found = _best_quadrant(3, 8, R, H, H * 10, _Gain(20, 0.5), threshold=2.0)
    assert found.sides == sides
    cells = R[corner].size
    assert found.surplus == pytest.approx((3 * cells) ** 2 / (4 * cells) - 2.0)


def test_a_quadrant_with_too_few_rows_in_any_corner_is_passed_over() -> None:
    R, H, rows = np.zeros((3, 3)), np.ones((3, 3)), np.full((3, 3), 50.0)
    R[1:, 1:] = 5.0
    best = ((0, 0, True), (1, 0, True))
    assert _best_quadrant(0, 1, R, H, rows, _Gain(20, 0.0), threshold=0.0).sides == best
    rows[0, 0] = 3.0
    assert _best_quadrant(0, 1, R, H, rows, _Gain(20, 0.0), threshold=0.0).sides != best


@pytest.mark.parametrize(
    ("r", "skew", "expected"),
    [(6.0, 0.0, 18.0), (6.0, 1.0, 9.0), (-6.0, 1.0, 18.0), (-6.0, -1.0, 9.0), (6.0, -1.0, 18.0)],
)
def test_an_excess_of_the_rarer_class_counts_for_less(
    r: float, skew: float, expected: float
) -> None:
    one = np.ones(1)
    assert _Gain(20, skew)(r * one, 2.0 * one, 20 * one) == pytest.approx([expected])
    assert _Gain(20, skew)(r * one, 2.0 * one, 19 * one).tolist() == [0.0]


def test_a_later_side_of_the_same_direction_replaces_the_looser_one() -> None:
    sides = [(0, 3, True), (1, 5, False), (0, 9, False), (0, 4, True)]
    assert _strictest(sides) == [(0, 4, True), (1, 5, False), (0, 9, False)]


def test_the_bins_of_a_number_are_the_sides_of_its_cuts() -> None:
    values = np.append(np.random.default_rng(2).integers(0, 40, 500).astype(float), np.nan)
    axis = _number_axis(Curve("x", 7.0, (0.0, 40.0)), {"x": values})
    assert axis is not None and 10 < axis.size <= interactions._BINS
    assert all(a < b for a, b in pairwise(axis.cuts)) and set(axis.bins) == set(range(axis.size))
    for cut in range(axis.size - 1):
        for above in (True, False):
            holds = axis.condition(cut, above).holds({"x": values})
            assert np.array_equal(holds, (axis.bins > cut) == above)


def test_a_level_has_two_bins() -> None:
    texts = np.array(["a", None, "b"], dtype=object)
    (term,) = main_effects({"t": np.repeat(texts, 100)}, (), ("t",), 100)
    axis = interactions._level_axis(term, None, {"t": texts})
    assert (axis.bins.tolist(), axis.size) == ([0, 1, 0], 2)
    assert axis.condition(0, True) == Condition("t", "is", None)
    assert axis.condition(0, False) == Condition("t", "is not", None)
    assert axis.ramp() == Ramp("t", (), 0.0, None)


def flag(column: str, ones: int, rows: int = 400) -> _Axis:
    bins = (np.arange(rows) < ones).astype(np.int64)
    return _Axis(column, bins, level="a")


def test_flags_and_rare_levels_are_not_multiplied() -> None:
    values = np.random.default_rng(3).normal(size=400)
    raw = {"x": values, "y": values[::-1], "s": np.zeros(400, object), "t": np.zeros(400, object)}
    curves = [_number_axis(Curve(n, 0.0, (-1.0, 1.0)), raw) for n in ("x", "y")]
    axes = [axis for axis in curves if axis] + [flag("s", 50), flag("t", 49)]
    search = _Search(axes, [(0, 1), (0, 2), (0, 3), (2, 3)], raw, np.arange(400) % 2)
    allowed = [search._may_multiply(a, b) for a, b in search.pairs]
    assert allowed == [True, True, False, False]


def test_a_round_uses_each_column_once_and_takes_five_terms_at_most() -> None:
    raw = numbers(3000, 14, seed=12)
    y = labels(sum(raw[f"x{a}"] * raw[f"x{a + 1}"] for a in range(0, 14, 2)), seed=12)
    mains = [standardise(term, raw, 0.1) for term in main_effects(raw, tuple(raw), (), 1000)]
    rounds = []
    real = _Search.best

    def watched(self: _Search, *args: Any) -> list[Any]:
        rounds.append(real(self, *args))
        return rounds[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Search, "best", watched)
        terms = find_interactions(mains, raw, y)
    assert [term for one in rounds for term in one] == terms and rounds[-1] == []
    assert len(rounds[0]) == interactions._PER_ROUND
    for one in rounds:
        products = [found.term for found in one if isinstance(found.term, Product)]
        used = [part.column for term in products for part in (term.first, term.second)]
        assert used or not one
        assert len(used) == len(set(used))


def test_each_refit_sees_the_main_effects_and_every_term_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = numbers(3000, 6, seed=12)
    y = labels(raw["x0"] * raw["x1"] + 0.7 * raw["x0"] * raw["x2"] + raw["x3"], seed=12)
    mains = [standardise(term, raw, 0.1) for term in main_effects(raw, tuple(raw), (), 1000)]
    seen = []

    def watched(Z: np.ndarray, *rest: Any) -> np.ndarray:
        seen.append(Z.copy())
        return real(Z, *rest)

    real = interactions.ridge
    monkeypatch.setattr(interactions, "ridge", watched)
    whole = design([*mains, *find_interactions(mains, raw, y)], raw)
    assert len(seen) > 2
    for Z in seen:
        assert np.array_equal(Z, whole[:, : Z.shape[1]])
    assert seen[-1].shape == whole.shape


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rows_that_say_the_same_again_are_no_proof_of_an_interaction(seed: int) -> None:
    """One leaving in a window over three exports makes three rows; the labels here are by lot."""
    once = numbers(900, 5, seed)
    y = labels(np.full(900, -1.5), seed)
    raw = {name: np.tile(values, 6) for name, values in once.items()}
    mains = [standardise(term, raw) for term in main_effects(raw, tuple(raw), (), 150)]
    assert find_interactions(mains, raw, np.tile(y, 6))  # taken for 5,400 rows
    assert not find_interactions(mains, raw, np.tile(y, 6), np.tile(np.arange(900), 6))


def test_clients_of_one_row_each_change_nothing() -> None:
    raw = numbers(3000, 4, 5)
    y = labels(2.0 * ((raw["x0"] > 0.3) & (raw["x1"] < 0)) - 1, 5)
    mains = [standardise(term, raw, 0.1) for term in main_effects(raw, tuple(raw), (), 500)]
    assert find_interactions(mains, raw, y, np.arange(3000)) == find_interactions(mains, raw, y)

"""Urns: chances that add up to 1, evidence that does not grow while nothing is wrong, distances."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from risk.drift import polya


@pytest.mark.parametrize("x", [1e-3, 0.5, 1.0, 2.5, 30.0, 1e4, 1e7])
def test_log_gamma_is_the_standard_librarys(x: float) -> None:
    assert polya.log_gamma(np.array([x]))[0] == pytest.approx(math.lgamma(x), rel=1e-12, abs=1e-11)


def test_a_chance_is_the_product_of_the_balls_drawn_one_by_one() -> None:
    start, drawn = np.array([2.0, 0.5, 3.0]), [0, 2, 2, 1, 0]
    urn, chance = start.copy(), 1.0
    for colour in drawn:
        chance *= urn[colour] / urn.sum()
        urn[colour] += 1
    counts = np.bincount(drawn, minlength=3).astype(float)
    assert polya.log_probability(start, counts) == pytest.approx(math.log(chance))


def test_the_ratios_have_the_mean_1_over_all_that_can_be_drawn() -> None:
    """Every order of five rows in three bins, each with its chance: exactly a test martingale."""
    whole, other = np.array([[20.0, 5.0, 1.0]]), np.array([[[2.0, 2.0, 0.3]]])
    mean = total = 0.0
    for drawn in product(range(3), repeat=5):
        counts = np.bincount(drawn, minlength=3).astype(float)[None]
        chance = math.exp(polya.log_probability(whole[0], counts[0]))
        total += chance
        mean += chance * math.exp(polya.log_ratios(counts, whole, other)[0, 0])
    assert total == pytest.approx(1)
    assert mean == pytest.approx(1)


def test_bins_that_an_urn_has_not_change_nothing() -> None:
    start, counts = np.array([[2.0, 3.0]]), np.array([[4.0, 1.0]])
    wide = np.array([[2.0, 3.0, 0.0]]), np.array([[4.0, 1.0, 0.0]])
    assert polya.log_probability(*wide) == pytest.approx(polya.log_probability(start, counts))


def test_no_new_row_is_no_evidence() -> None:
    ratios = polya.log_ratios(np.zeros((2, 3)), np.ones((2, 3)), np.ones((4, 2, 3)))
    assert ratios.tolist() == np.zeros((4, 2)).tolist()


def test_a_martingale_grows_by_the_stakes_alone_while_nothing_is_wrong() -> None:
    """4,000 streams of 30 evaluations of 10 rows, seed 11: a reference of 100 from the same truth.

    Stakes of 1/30 an evaluation; the mean is 1, and at most 1 in 8 streams ever reaches 8.
    """
    rng = np.random.default_rng(11)
    share = np.tile([0.5, 0.3, 0.2], (4000, 1))
    reference = rng.multinomial(100, share).astype(float) + 0.5
    log_values = np.full((1, 4000), polya.LEAST_LOG)
    seen, most = np.zeros_like(reference), np.full(4000, polya.LEAST_LOG)
    base = 20 * reference / reference.sum(axis=1, keepdims=True)
    for _ in range(30):
        counts = rng.multinomial(10, share).astype(float)
        ratios = polya.log_ratios(counts, reference + seen, (base + seen)[None])
        log_values = polya.next_log_values(log_values, np.full((1, 4000), 1 / 30), ratios)
        most = np.maximum(most, log_values[0])
        seen += counts
    assert 0.8 < np.exp(log_values).mean() < 1.15
    assert 0 < (most >= math.log(8)).mean() <= 1 / 8


def test_a_value_is_what_was_there_and_the_stake_times_the_ratio() -> None:
    before = np.log([[2.0], [0.25]])
    after = polya.next_log_values(before, np.array([[0.5], [0.0]]), np.log([[3.0], [4.0]]))
    assert np.exp(after)[:, 0].tolist() == pytest.approx([7.5, 1.0])
    assert np.exp(polya.log_sum(after))[0] == pytest.approx(8.5)


def test_a_value_stays_finite() -> None:
    after = polya.next_log_values(
        np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]]), np.array([[1e6, -1e6]])
    )
    assert after.tolist() == [[polya.MOST_LOG, polya.LEAST_LOG]]


def test_a_distance_is_0_for_equal_shares_and_1_for_shares_apart() -> None:
    then = np.array([[10.0, 30.0], [5.0, 0.0]])
    now = np.array([[1.0, 3.0], [0.0, 7.0]])
    assert polya.squared_distance(then, now).tolist() == pytest.approx([0.0, 1.0])


def test_a_distance_grows_with_the_shift() -> None:
    shifts = [
        float(polya.squared_distance(np.array([50.0, 50.0]), np.array([50.0 + by, 50.0 - by])))
        for by in range(0, 51, 5)
    ]
    assert shifts == sorted(set(shifts))
    assert 0 <= shifts[0] and shifts[-1] <= 1


def test_what_chance_gives_is_taken_from_a_distance() -> None:
    """2,000 samples of 2,000 and of 40, the same ten bins, seed 12: .012 is left of .035."""
    rng = np.random.default_rng(12)
    then = rng.multinomial(2000, np.full(10, 0.1), size=2000).astype(float)
    now = rng.multinomial(40, np.full(10, 0.1), size=2000).astype(float)
    raw, excess = polya.squared_distance(then, now), polya.excess_distance(then, now)
    assert excess.mean() < 0.4 * raw.mean()
    assert (excess == 0).mean() > 0.4


def test_a_distance_from_nothing_is_0() -> None:
    nothing, some = np.zeros((1, 3)), np.array([[1.0, 2.0, 3.0]])
    assert polya.excess_distance(nothing, some)[0] == polya.excess_distance(some, nothing)[0] == 0


def test_tilting_moves_the_mean_and_keeps_the_sum() -> None:
    shares, scores = np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.0, 1.0])
    means = [float(polya.tilt(shares, scores, by) @ scores) for by in (-0.5, 0.0, 0.5)]
    assert means == sorted(means)
    assert means[1] == pytest.approx(0.1)
    assert polya.tilt(shares, scores, 2.0).sum() == pytest.approx(1)

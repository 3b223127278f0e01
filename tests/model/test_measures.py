"""The measures equal scikit-learn's, and the interval holds what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from risk.model import measures


def cases() -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels and probabilities: smooth, tied, saturated, and one class only."""
    rng = np.random.default_rng(7)
    made = []
    for n in (3, 10, 57, 400):
        y = rng.integers(0, 2, n)
        made += [(y, rng.random(n)), (y, rng.integers(0, 4, n) / 3), (y, np.full(n, 0.5))]
    made += [(np.ones(9, dtype=int), rng.random(9)), (np.zeros(9, dtype=int), rng.random(9) / 3)]
    return made


@pytest.mark.parametrize(("y", "p"), cases())
def test_every_measure_equals_scikit_learns(y: np.ndarray, p: np.ndarray) -> None:
    found = measures.measure(y, p, 0.3)
    called = (p >= 0.5).astype(int)
    assert found["f1"] == metrics.f1_score(y, called, zero_division=0)
    confusion = metrics.confusion_matrix(y, called, labels=[0, 1]).ravel().tolist()
    assert [
        found[k] for k in ("true_negative", "false_positive", "false_negative", "true_positive")
    ] == confusion
    assert found["precision"] == (metrics.precision_score(y, called) if called.any() else None)
    assert found["recall"] == (metrics.recall_score(y, called) if y.any() else None)
    assert found["auc"] == (
        pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12) if len(set(y)) == 2 else None
    )
    assert found["brier"] == pytest.approx(np.mean((p - y) ** 2), abs=1e-15)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p, labels=[0, 1]), abs=1e-12)
    assert (found["n"], found["exits"], found["threshold"]) == (y.size, y.sum(), 0.5)


@pytest.mark.parametrize(("y", "p"), cases())
def test_the_dummies_are_what_knowing_nothing_scores(y: np.ndarray, p: np.ndarray) -> None:
    found = measures.measure(y, p, 0.3)
    flat = np.full(y.size, 0.3)
    assert found["everybody_exits"] == {
        "f1": metrics.f1_score(y, np.ones(y.size, dtype=int), zero_division=0)
    }
    assert found["base_rate"] == {
        "risk": 0.3,
        "f1": 0.0,
        "brier": pytest.approx(np.mean((flat - y) ** 2)),
        "log_loss": pytest.approx(metrics.log_loss(y, flat, labels=[0, 1])),
    }


def test_a_base_rate_of_half_calls_everybody_an_exit() -> None:
    y = np.array([1, 0, 0])
    assert measures.measure(y, np.zeros(3), 0.5)["base_rate"]["f1"] == 0.5


def test_a_certain_and_wrong_answer_has_a_finite_loss() -> None:
    found = measures.log_loss(np.array([1, 0]), np.array([0.0, 1.0]))
    assert found == pytest.approx(-math.log(np.finfo(float).eps))


@pytest.mark.parametrize(
    ("found", "wrong", "low", "high"),
    [
        # Wilson's interval of found / (found + wrong) carried to F1 = 2 s / (1 + s)
        (0, 5, 0.0, 0.606),
        (5, 0, 0.722, 1.0),
        (5, 5, 0.383, 0.866),
        (500, 500, 0.6386, 0.694),
    ],
)
def test_the_interval_is_wilsons(found: int, wrong: int, low: float, high: float) -> None:
    y = np.array([1] * found + [1] * wrong + [0] * 20)
    called = np.array([1] * found + [0] * wrong + [0] * 20)
    assert measures.f1_interval(y, called) == pytest.approx((low, high), abs=5e-4)


def test_nothing_to_find_and_nothing_called_says_nothing() -> None:
    assert measures.f1_interval(np.zeros(9, dtype=int), np.zeros(9, dtype=int)) == (0.0, 1.0)


@pytest.mark.parametrize("n", [20, 80, 400])
@pytest.mark.parametrize("rates", [(0.3, 0.6, 0.2), (0.1, 0.3, 0.05), (0.5, 0.95, 0.05)])
def test_the_interval_holds_the_true_f1_in_about_95_of_100_samples(
    n: int, rates: tuple[float, float, float]
) -> None:
    """2,000 samples, seed 0: share of exits, and of exits and of stays that are called exits."""
    exits, hit, false = rates
    truth = 2 * exits * hit / (exits * hit + exits + (1 - exits) * false)
    rng, held, runs = np.random.default_rng(0), 0, 2000
    for _ in range(runs):
        y = (rng.random(n) < exits).astype(int)
        called = (rng.random(n) < np.where(y == 1, hit, false)).astype(int)
        low, high = measures.f1_interval(y, called)
        held += low <= truth <= high
    assert 0.925 <= held / runs <= 1.0

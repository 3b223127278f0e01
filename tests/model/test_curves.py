"""ROC and precision-recall: the same as scikit-learn's, with bands that hold what they should."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from risk.model.curves import _GRID, _MOST_GROUPS, _groups_of_risk, _precision, _roc, curves


def made(n: int, seed: int, rate: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < rate).astype(int)
    return labels, 1 / (1 + np.exp(-(rng.normal(size=n) + 1.2 * labels)))


@pytest.mark.parametrize(("n", "digits"), [(300, None), (300, 1), (5000, None), (5000, 2)])
def test_the_roc_is_that_of_scikit_learn(n: int, digits: int | None) -> None:
    labels, risks = made(n, 1)
    risks = risks if digits is None else risks.round(digits)
    false, true, _ = roc_curve(labels, risks)

    found = curves(labels, risks)

    assert found is not None and found["n"] == n and found["exits"] == labels.sum()
    steep = np.interp(_GRID, false, true)
    assert np.abs(np.array(found["roc"]["value"]) - steep)[1:].max() < 0.012
    assert np.trapezoid(found["roc"]["value"], _GRID) == pytest.approx(
        roc_auc_score(labels, risks), abs=0.005
    )


def test_the_area_below_the_precision_is_the_average_precision() -> None:
    labels, risks = made(4000, 2)

    found = curves(labels, risks)

    assert found is not None
    area = np.trapezoid(found["precision"]["value"], _GRID)
    assert area == pytest.approx(average_precision_score(labels, risks), abs=0.01)
    assert found["precision"]["value"][-1] >= labels.mean()


def test_equal_risks_are_called_in_turn_by_lot() -> None:
    left, stayed = _groups_of_risk(np.array([1, 0, 0, 0, 1, 0, 0, 0]), np.full(8, 0.4))

    assert (left.tolist(), stayed.tolist()) == ([2], [6])
    assert _roc(left, stayed) == pytest.approx(_GRID)
    assert _precision(left, stayed) == pytest.approx(0.25)


def test_many_rows_are_few_groups_and_equal_risks_stay_together() -> None:
    labels, risks = made(20_000, 3)
    risks = np.where(risks > 0.8, 0.8, risks)

    left, stayed = _groups_of_risk(labels, risks)

    assert left.size <= _MOST_GROUPS and left.sum() + stayed.sum() == 20_000
    assert left[0] + stayed[0] >= (risks == 0.8).sum()


@pytest.mark.parametrize("labels", [np.zeros(9, dtype=int), np.ones(9, dtype=int), np.zeros(0)])
def test_one_class_has_no_curve(labels: np.ndarray) -> None:
    assert curves(labels, np.linspace(0, 1, labels.size)) is None


def test_few_rows_have_a_curve_and_no_band() -> None:
    found = curves(np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.1, 0.4, 0.5, 0.7]))

    assert found is not None and found["roc"]["low"] is None and found["precision"]["high"] is None


@pytest.mark.parametrize("name", ["roc", "precision"])
def test_a_perfect_order_is_not_taken_for_certain(name: str) -> None:
    labels = np.repeat([0, 1], 30)

    found = curves(labels, labels.astype(float))

    assert found is not None and found[name]["value"][25] == 1.0
    assert 0.7 < found[name]["low"][25] < 0.95 and found[name]["high"][25] == 1.0


def test_the_bands_hold_the_true_curve_at_about_95_of_100_points() -> None:
    """150 draws say .956 and .944 (n = 450, seed 7); 40 draws here."""
    truth = curves(*made(200_000, 1))
    assert truth is not None
    held = np.zeros(2)
    for seed in range(40):
        found = curves(*made(450, 100 + seed))
        assert found is not None
        for at, name in enumerate(("roc", "precision")):
            true, low, high = (
                np.array(one) for one in (truth[name]["value"], found[name]["low"],
                                          found[name]["high"])
            )  # fmt: skip
            held[at] += ((low <= true) & (true <= high))[1:-1].mean() / 40

    assert (held > 0.9).all() and (held < 0.995).all()


def test_the_same_rows_give_the_same_bands() -> None:
    assert curves(*made(300, 5)) == curves(*made(300, 5))

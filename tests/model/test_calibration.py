"""The intervals cover what they say, and few or one-sided rows give no nonsense."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from risk.model.measures import (
    _reliability,
    auc_interval,
    calibration,
    cumulative_gains,
    measure,
    wilson,
)


def drawn(rng: np.random.Generator, n: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(labels, risks that are right about them)."""
    p = 1 / (1 + np.exp(-rng.normal(size=n) * 1.2 - shift))
    return (rng.random(n) < p).astype(int), p


@pytest.mark.parametrize(("n", "exits"), [(60, 20), (300, 30), (300, 150)])
def test_the_auc_interval_covers_the_true_area_in_95_of_100_runs(n: int, exits: int) -> None:
    """400 runs, seed 5: two normal scores one deviation apart, whose area is Phi(1 / sqrt 2)."""
    rng, true = np.random.default_rng(5), 0.5 * (1 + math.erf(0.5))
    y = (np.arange(n) < exits).astype(int)
    ends = np.array([auc_interval(y, rng.normal(size=n) + y) for _ in range(400)])
    covered = (ends[:, 0] <= true) & (true <= ends[:, 1])
    assert 0.92 <= covered.mean() <= 0.985


def test_the_auc_interval_holds_the_area_and_narrows_with_rows() -> None:
    widths = []
    for n in (50, 500, 5000):
        y, p = drawn(np.random.default_rng(1), n)
        low, high = auc_interval(y, p) or (1.0, 0.0)
        assert 0 <= low < roc_auc_score(y, p) < high <= 1
        widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_the_auc_interval_of_turned_risks_is_the_turned_interval() -> None:
    y, p = drawn(np.random.default_rng(2), 300)
    low, high = auc_interval(y, p) or (1.0, 0.0)
    assert auc_interval(y, -p) == pytest.approx([1 - high, 1 - low])
    assert auc_interval(y, np.log(p)) == pytest.approx([low, high])


def test_tied_risks_count_half_whichever_way_they_are_turned() -> None:
    y = np.repeat([1, 0], [40, 60])
    p = np.repeat([0.5, 0.9, 0.1, 0.5], [30, 10, 20, 40])
    low, high = auc_interval(y, p) or (1.0, 0.0)
    assert auc_interval(y, -p) == pytest.approx([1 - high, 1 - low])
    # By hand: of the exits 30 stand above 2/3 of the stays, 10 above all; of the stays 20 below
    # all exits, 40 below 5/8.
    area, ups, downs = 0.75, [2 / 3] * 30 + [1.0] * 10, [1.0] * 20 + [5 / 8] * 40
    error = (np.var(ups, ddof=1) / 40 + np.var(downs, ddof=1) / 60) ** 0.5
    middle, half = np.log(area / (1 - area)), 1.959964 * error / (area * (1 - area))
    ends = [1 / (1 + np.exp(-middle + side * half)) for side in (1, -1)]
    assert [low, high] == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize(
    ("y", "p", "expected"),
    [
        ([1], [0.4], None),
        ([0, 0, 0], [0.1, 0.2, 0.3], None),
        ([1, 0], [0.9, 0.1], [0.0, 1.0]),
        ([1, 0, 0, 0], [0.9, 0.1, 0.2, 0.3], [0.0, 1.0]),
        ([1, 1, 0, 0], [0.9, 0.8, 0.1, 0.2], [0.0, 1.0]),
        ([1] * 30 + [0] * 60, [0.9] * 30 + [0.1] * 60, [0.9, 1.0]),
        ([0] * 30 + [1] * 60, [0.9] * 30 + [0.1] * 60, [0.0, 0.1]),
        ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], [0.5, 0.5]),
    ],
)
def test_the_auc_interval_of_few_rows(y: list[int], p: list[float], expected: Any) -> None:
    found = auc_interval(np.array(y), np.array(p))
    assert found is None if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hits", "rows", "expected"),
    [
        (0, 0, [0.0, 1.0]),
        (81, 263, [0.2553, 0.3662]),
        (15, 148, [0.0624, 0.1605]),
        (0, 20, [0.0, 0.1611]),
        (1, 29, [0.0061, 0.1718]),
    ],
)
def test_wilsons_interval_has_its_published_values(
    hits: int, rows: int, expected: list[float]
) -> None:
    """The four examples of Newcombe (1998), table I, method 3."""
    assert wilson(hits, rows) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize("rows", [1, 2, 17, 100_000])
def test_wilsons_interval_is_scipys(rows: int) -> None:
    for hits in {0, 1, rows // 3, rows}:
        found = binomtest(hits, rows).proportion_ci(method="wilson")
        assert wilson(hits, rows) == pytest.approx([found.low, found.high], abs=1e-12)


def test_the_slopes_interval_covers_one_for_right_risks() -> None:
    """300 runs of 400 rows, seed 7: slope and intercept of calibrated risks."""
    rng, slopes, shifts = np.random.default_rng(7), [], []
    for _ in range(300):
        found = calibration(*drawn(rng, 400, shift=-1.0))
        (low, high), (left, right) = found["slope"]["interval"], found["intercept"]["interval"]
        slopes.append(low <= 1 <= high)
        shifts.append(left <= 0 <= right)
    assert 0.92 <= np.mean(slopes) <= 0.985 and 0.92 <= np.mean(shifts) <= 0.985


@pytest.mark.parametrize(("slope", "shift"), [(0.5, 0.0), (2.0, 0.0), (1.0, 0.7)])
def test_the_line_finds_how_risks_are_wrong(slope: float, shift: float) -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=20_000)
    y = (rng.random(z.size) < 1 / (1 + np.exp(-slope * z - shift))).astype(int)
    found = calibration(y, 1 / (1 + np.exp(-z)))
    assert found["slope"]["value"] == pytest.approx(slope, abs=0.06)
    assert found["intercept"]["value"] == pytest.approx(shift, abs=0.06)


def test_the_line_is_scikit_learns_without_a_penalty() -> None:
    y, p = drawn(np.random.default_rng(4), 500)
    p = p**1.3
    line = LogisticRegression(C=np.inf, tol=1e-10).fit(np.log(p / (1 - p))[:, None], y)
    found = calibration(y, p)
    assert found["slope"]["value"] == pytest.approx(line.coef_[0, 0], abs=1e-5)
    assert found["intercept"]["value"] == pytest.approx(line.intercept_[0], abs=1e-5)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([1], [0.3]),
        ([0, 0, 0], [0.1, 0.2, 0.3]),
        ([1, 0, 1], [0.4, 0.4, 0.4]),
        ([1, 0], [0.9, 0.1]),
        ([1] * 20 + [0] * 20, [0.9, 0.8] * 10 + [0.1, 0.2] * 10),
        ([0] * 20 + [1] * 20, [0.9, 0.8] * 10 + [0.1, 0.2] * 10),
    ],
)
def test_no_line_is_drawn_where_none_can_be(y: list[int], p: list[float]) -> None:
    found = calibration(np.array(y), np.array(p))
    assert found["slope"] is None and found["intercept"] is None
    assert sum(part["n"] for part in found["bins"]) == len(y)


def test_risks_of_zero_and_one_have_a_line() -> None:
    y, p = drawn(np.random.default_rng(6), 400)
    p[:3], p[3:6] = 0.0, 1.0
    y[:3], y[3:6] = [0, 0, 1], [1, 1, 0]
    slope = calibration(y, p)["slope"]
    assert 0 < slope["value"] < 1 and np.all(np.isfinite(slope["interval"]))


@pytest.mark.parametrize(
    ("n", "groups"), [(1, 1), (2, 1), (19, 1), (20, 2), (95, 9), (100, 10), (1003, 10)]
)
def test_the_bins_hold_every_row_once_in_order_of_risk(n: int, groups: int) -> None:
    y, p = drawn(np.random.default_rng(n), n)
    bins = _reliability(y, p)
    sizes = [part["n"] for part in bins]
    assert len(bins) == groups and sum(sizes) == n and max(sizes) - min(sizes) <= 1
    assert [part["risk"] for part in bins] == sorted(part["risk"] for part in bins)
    assert sum(b["n"] * b["left"] for b in bins) == pytest.approx(y.sum())
    assert sum(b["n"] * b["risk"] for b in bins) == pytest.approx(p.sum())
    for part in bins:
        hits = round(part["n"] * part["left"])
        assert part["interval"] == wilson(hits, part["n"])


def test_the_bins_are_scikit_learns_quantile_bins() -> None:
    y, p = drawn(np.random.default_rng(8), 1000)
    left, risk = calibration_curve(y, p, n_bins=10, strategy="quantile")
    found = _reliability(y, p)
    assert [part["left"] for part in found] == pytest.approx(left.tolist())
    assert [part["risk"] for part in found] == pytest.approx(risk.tolist())


def test_longer_lists_reach_more_and_the_whole_list_reaches_all() -> None:
    y, p = drawn(np.random.default_rng(9), 800, shift=-1.5)
    found = cumulative_gains(y, p, (0.05, 0.1, 0.2, 0.3, 0.5, 1.0))
    for key in ("called", "left", "recall"):
        assert [e[key] for e in found] == sorted(e[key] for e in found)
    assert [e["called"] for e in found] == [40, 80, 160, 240, 400, 800]
    for entry in found:
        top = y[np.argsort(-p)][: entry["called"]]
        assert entry["left"] == top.sum() and entry["precision"] == top.mean()
        assert entry["recall"] == pytest.approx(top.sum() / y.sum())
        assert entry["lift"] == pytest.approx(top.mean() / y.mean())
        for key in ("precision", "recall", "lift"):
            low, high = entry[f"{key}_interval"]
            assert low <= entry[key] <= high
        assert entry["at_random"] == pytest.approx(
            {"precision": y.mean(), "recall": entry["called"] / 800}
        )
    assert found[-1]["recall"] == 1.0 and found[-1]["lift"] == pytest.approx(1.0)


def test_calling_by_equal_risks_takes_the_first_rows_and_at_least_one() -> None:
    found = cumulative_gains(np.array([1, 0, 0, 0]), np.full(4, 0.5), (0.05, 0.5))
    assert [(e["called"], e["left"], e["lift"]) for e in found] == [(1, 1, 4.0), (2, 1, 2.0)]


def test_without_an_exit_there_is_no_recall_and_no_lift() -> None:
    for entry in cumulative_gains(np.zeros(10, dtype=int), np.linspace(0, 1, 10)):
        assert (entry["recall"], entry["lift"], entry["lift_interval"]) == (None, None, None)
        assert entry["recall_interval"] == [0.0, 1.0] and entry["precision"] == 0.0


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([1], [0.5]),
        ([0], [0.0]),
        ([1, 0], [1.0, 0.0]),
        ([0, 0], [0.5, 0.5]),
        ([1] * 50, [1.0] * 50),
        ([1, 0] * 25, [0.3] * 50),
    ],
)
def test_every_measure_of_few_or_equal_rows_is_a_json_number_or_null(
    y: list[int], p: list[float]
) -> None:
    found = measure(np.array(y), np.array(p), 0.4)
    assert json.loads(json.dumps(found, allow_nan=False))["n"] == len(y)


def test_everything_is_judged_as_scikit_learn_does() -> None:
    y, p = drawn(np.random.default_rng(10), 400)
    found = measure(y, p, 0.4)
    assert found["auc"] == pytest.approx(roc_auc_score(y, p))
    assert found["brier"] == pytest.approx(brier_score_loss(y, p))
    assert found["log_loss"] == pytest.approx(log_loss(y, p))
    assert found["auc_interval"][0] < found["auc"] < found["auc_interval"][1]
    assert found["calibration"] == calibration(y, p) and found[
        "cumulative_gains"
    ] == cumulative_gains(y, p)

"""NannyML 0.13.1 (CBPE) was asked the same; its answers stand in the tables below.

Recipe: random = default_rng(seed); z = -1 + 1.2 random.standard_normal(n); risk = 1/(1+exp(-z));
label = random.random(n) < 1/(1+exp(-(a + c z))). Reference: seed 0, 20,000 rows. Predicted is a
risk of at least .5. CBPE(classification_binary, chunk_number=1).fit(reference).estimate(rows), once
with `needs_calibration` set to False (PLAIN, a = 0, c = 1), once by its own isotonic calibration
(ISOTONIC, a = .3, c = .6). Beside each value its sampling error, one standard deviation.
"""

import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from risk.calllist import expected as module
from risk.calllist.expected import (
    CalibrationLine,
    Measured,
    calibration_line,
    caveats_of,
    expected_measures,
)
from risk.calllist.facts import expected_words
from risk.calllist.types import Band, Expected
from risk.decide.evidence import calibration_in_the_large
from risk.model.measures import auc, brier, calibration, f1
from tests.conftest import ROOT

EXACT = CalibrationLine(evaluations=10_000)
UNMEASURED = {"slope": None, "intercept": None, "bins": []}


def told(seed, n, a=0.0, c=1.0):
    """(risks, labels) by the recipe above."""
    random = np.random.default_rng(seed)
    z = -1 + 1.2 * random.standard_normal(n)
    labels = random.random(n) < 1 / (1 + np.exp(-(a + c * z)))
    return 1 / (1 + np.exp(-z)), labels.astype(np.int64)


PLAIN = [
    (30, 1, "precision", 0.569409, 0.1914),
    (30, 1, "recall", 0.195614, 0.161241),
    (30, 1, "f1", 0.291192, 0.208011),
    (30, 1, "auc", 0.705997, 0.075035),
    (30, 1, "found", 1.708226, 1.86994),
    (200, 2, "precision", 0.637474, 0.074129),
    (200, 2, "recall", 0.400596, 0.062448),
    (200, 2, "f1", 0.492009, 0.080562),
    (200, 2, "auc", 0.768498, 0.029061),
    (200, 2, "found", 24.861482, 4.828165),
    (2000, 3, "precision", 0.649982, 0.023442),
    (2000, 3, "recall", 0.421111, 0.019748),
    (2000, 3, "f1", 0.511094, 0.025476),
    (2000, 3, "auc", 0.773229, 0.00919),
    (2000, 3, "found", 269.092486, 15.268),
    (20000, 4, "precision", 0.651239, 0.007413),
    (20000, 4, "recall", 0.416906, 0.006245),
    (20000, 4, "f1", 0.508369, 0.008056),
    (20000, 4, "auc", 0.773782, 0.002906),
    (20000, 4, "found", 2636.86854, 48.281655),
]


@pytest.mark.parametrize(("n", "seed", "name", "value", "error"), PLAIN)
def test_what_is_expected_agrees_with_nannyml(n, seed, name, value, error):
    risks, _ = told(seed, n)
    found = getattr(expected_measures(risks, risks >= 0.5, EXACT), name)
    # NannyML counts each client as half a pair with itself: .006 of the AUC of 30 clients.
    assert found.value == pytest.approx(value, abs=0.1 * error)
    if n <= 200 and name != "auc":
        assert found.value == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "seed", "name", "error"),
    [
        (n, seed, name, error)
        for n, seed, name, _, error in PLAIN
        if n >= 200 and name in ("precision", "auc")
    ],
)
def test_the_band_of_labels_alone_is_as_wide_as_nannymls_sampling_error(n, seed, name, error):
    risks, _ = told(seed, n)
    band = getattr(expected_measures(risks, risks >= 0.5, EXACT), name)
    assert (band.high - band.low) / 2 == pytest.approx(1.96 * error, rel=0.25)


ISOTONIC = [
    (200, 2, "precision", 0.662932, 0.073229),
    (200, 2, "recall", 0.300474, 0.050038),
    (200, 2, "f1", 0.41352, 0.070012),
    (200, 2, "auc", 0.680993, 0.028355),
    (2000, 3, "precision", 0.676559, 0.023157),
    (2000, 3, "recall", 0.32015, 0.015824),
    (2000, 3, "f1", 0.434631, 0.02214),
    (2000, 3, "auc", 0.68781, 0.008967),
]


@pytest.mark.parametrize(("n", "seed", "name", "value", "error"), ISOTONIC)
def test_miscalibrated_risks_agree_with_nannymls_isotonic_calibration(n, seed, name, value, error):
    known, labels = told(0, 20_000, 0.3, 0.6)
    line = calibration_line(calibration(labels, known), [{"intercept": 0.0, "error": 0.0}] * 1000)
    risks, _ = told(seed, n, 0.3, 0.6)
    found = getattr(expected_measures(risks, risks >= 0.5, line), name)
    assert found.value == pytest.approx(value, abs=error)


@pytest.mark.parametrize("n", [12, 30])
def test_expectation_and_band_are_those_of_labels_drawn_by_hand(n):
    random = np.random.default_rng(3)
    risks = random.choice([0.1, 0.25, 0.5, 0.5, 0.8], n)  # with ties
    called = random.random(n) < 0.4
    rows = []
    for _ in range(3000):
        y = (random.random(n) < risks).astype(np.int64)
        if 0 < y.sum() < n:
            rows.append(
                [
                    y[called].mean(),
                    y[called].sum() / y.sum(),
                    f1(y, called * 1),
                    auc(y, risks),
                    brier(y, risks),
                ]
            )
    drawn = np.array(rows)
    found = expected_measures(risks, called, EXACT)
    bands = [found.precision, found.recall, found.f1, found.auc, found.brier]
    means = drawn.mean(axis=0)
    assert [band.value for band in bands] == pytest.approx(means.tolist(), abs=0.015)
    for side, share in (("low", 0.025), ("high", 0.975)):
        ends = np.quantile(drawn, share, axis=0).tolist()
        assert [getattr(band, side) for band in bands] == pytest.approx(ends, abs=0.07)


def test_cells_of_many_clients_say_what_each_client_by_itself_does(monkeypatch):
    risks, _ = told(3, 2000)
    line = CalibrationLine(0.2, 0.8, ((0.04, 0.01), (0.01, 0.02)), 0.1, 5)
    grouped = expected_measures(risks, risks >= 0.5, line)
    monkeypatch.setattr(module, "CELLS", 5000)
    single = expected_measures(risks, risks >= 0.5, line)
    for name in ("found", "precision", "recall", "f1", "auc", "brier"):
        ours, exact = getattr(grouped, name), getattr(single, name)
        assert ours.value == pytest.approx(exact.value, rel=1e-3)
        wide = exact.high - exact.low
        assert [ours.low, ours.high] == pytest.approx([exact.low, exact.high], abs=0.15 * wide)


def test_the_same_seed_gives_the_same_and_another_nearly_the_same():
    risks, _ = told(2, 200)
    line = calibration_line(UNMEASURED)
    first = expected_measures(risks, risks >= 0.5, line, seed=1)
    assert first == expected_measures(risks, risks >= 0.5, line, seed=1)
    other = expected_measures(risks, risks >= 0.5, line, seed=2)
    assert other.precision.value == first.precision.value
    assert other != first


@pytest.mark.parametrize(
    "wider",
    [
        {"covariance": ((0.04, 0.0), (0.0, 0.0))},
        {"covariance": ((0.0, 0.0), (0.0, 0.04))},
        {"drift": 0.2},
    ],
)
def test_what_is_uncertain_widens_the_band(wider):
    risks, _ = told(3, 2000)
    narrow = expected_measures(risks, risks >= 0.5, EXACT).found
    wide = expected_measures(risks, risks >= 0.5, replace(EXACT, **wider)).found
    assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)


def test_the_correlation_of_the_line_matters():
    risks = np.full(2000, 0.8)  # log-odds 1.39: both errors add up, or cancel
    ends = [
        expected_measures(
            risks, risks > 0, CalibrationLine(covariance=((0.09, r), (r, 0.04)), evaluations=9)
        ).found
        for r in (-0.059, 0.059)
    ]
    assert ends[1].high - ends[1].low > 2 * (ends[0].high - ends[0].low)


# ---------------------------------------------------------------- clients at the edge


def test_nobody_called_has_no_precision():
    found = expected_measures(np.array([0.2, 0.4, 0.9]), np.zeros(3, dtype=bool), EXACT)
    assert (found.precision, found.called, found.found) == (None, 0, Band(0.0, 0.0, 0.0))
    assert found.exits.value == pytest.approx(1.5)


def test_everybody_called_finds_everybody():
    found = expected_measures(np.array([0.2, 0.4, 0.9]), np.ones(3, dtype=bool), EXACT)
    assert found.recall == Band(1.0, 1.0, 1.0)
    assert found.precision.value == pytest.approx(0.5)


def test_one_client_has_no_ranking():
    found = expected_measures(np.array([0.3]), np.array([True]), EXACT)
    assert (found.auc, found.n, found.exits) == (None, 1, Band(pytest.approx(0.3), 0.0, 1.0))


@pytest.mark.parametrize("risk", [0.0, 1.0])
def test_certain_risks_leave_nothing_to_measure(risk):
    found = expected_measures(np.full(50, risk), np.arange(50) < 5, EXACT)
    assert found.exits.value == pytest.approx(50 * risk, abs=1e-3)
    assert found.auc is None
    assert (found.recall is None) == (risk == 0.0)


def test_equal_risks_rank_nobody():
    found = expected_measures(np.full(1000, 0.3), np.arange(1000) < 100, EXACT)
    assert found.auc.value == pytest.approx(0.5)
    assert found.auc.low == found.auc.high == pytest.approx(0.5)


# ---------------------------------------------------------------- the line


def measured(rows=2000, a=0.4, c=0.7):
    risks, labels = told(0, rows, a, c)
    return risks, labels, calibration(labels, risks)


def test_the_line_is_the_measured_one_held_to_no_change():
    _, _, found = measured()
    exact = [{"intercept": 0.0, "error": 0.0}] * 100_000
    line = calibration_line(found, exact)
    assert line.intercept == pytest.approx(0.4, abs=0.2)
    assert line.slope == pytest.approx(0.7, abs=0.12)
    raw = measured(60, 1.5, 0.2)[2]
    assert raw["intercept"]["value"] > calibration_line(raw, exact).intercept + 0.1
    assert raw["slope"]["value"] < calibration_line(raw, exact).slope - 0.05


def test_the_covariance_of_the_line_comes_back_from_the_score():
    """The score keeps two intervals and ten groups; the information matrix of all rows agrees."""
    risks, _, found = measured()
    z = np.log(risks / (1 - risks))
    q = 1 / (1 + np.exp(-(found["intercept"]["value"] + found["slope"]["value"] * z)))
    Z = np.column_stack([np.ones(z.size), z])
    truth = np.linalg.inv((Z * (q * (1 - q))[:, None]).T @ Z)
    _, ours = module._measured(found)
    assert np.diag(ours) == pytest.approx(np.diag(truth), rel=0.01)
    assert ours[0, 1] == pytest.approx(truth[0, 1], rel=0.15)


@pytest.mark.parametrize(
    "score",
    [
        UNMEASURED,
        {
            "slope": {"value": 1.0, "interval": [1.0, 1.0]},
            "intercept": {"value": 0.0, "interval": [0.0, 0.0]},
        },
    ],
)
def test_without_a_measured_calibration_the_line_is_no_change_and_uncertain(score):
    line = calibration_line(score)
    assert (line.intercept, line.slope) == (0.0, 1.0)
    assert line.covariance == ((0.25, 0.0), (0.0, 0.25))


@pytest.mark.parametrize(
    ("past", "drift"),
    [
        ([], 0.2),
        ([{"intercept": 0.0, "error": 0.0}] * 9, 0.1),
        ([{"intercept": 0.5, "error": 0.3}, {"intercept": -0.5, "error": 0.3}], (0.44 / 5) ** 0.5),
        ([{"intercept": 0.0, "error": 0.5}] * 4, 0.0),
    ],
)
def test_the_drift_is_what_past_evaluations_shifted_beyond_their_errors(past, drift):
    line = calibration_line(UNMEASURED, past)
    assert line.drift == pytest.approx(drift)
    assert line.evaluations == len(past)


def test_the_test_rows_are_one_file_among_those_that_move():
    _, _, found = measured()
    still, moving = (
        calibration_line(found, [{"intercept": 0.0, "error": 0.0}] * 10_000),
        calibration_line(
            found, [{"intercept": 0.3, "error": 0.0}, {"intercept": -0.3, "error": 0.0}] * 5000
        ),
    )
    assert moving.drift == pytest.approx(0.3, abs=0.001)
    assert moving.covariance[0][0] > still.covariance[0][0] + 0.04


def test_an_evaluation_keeps_its_calibration_in_the_large():
    risks, labels = told(5, 5000, a=0.5)
    found = calibration_in_the_large(risks, labels)
    assert found["intercept"] == pytest.approx(0.5, abs=3 * found["error"])
    assert found["error"] == pytest.approx(0.034, abs=0.003)
    assert found["n"] == 5000


@pytest.mark.parametrize("labels", [0, 1])
def test_an_evaluation_of_one_class_has_a_shift_and_a_wide_error(labels):
    found = calibration_in_the_large(np.full(20, 0.3), np.full(20, labels))
    assert abs(found["intercept"]) < 3
    assert found["error"] > 0.5


# ---------------------------------------------------------------- words

BAND = Band(0.6, 0.4, 0.75)
FOUND = Expected(
    200,
    20,
    Band(45.2, 33.0, 60.0),
    Band(12.4, 8.0, 15.0),
    Band(0.15, 0.12, 0.18),
    BAND,
    Band(0.27, 0.2, 0.3),
    Band(0.37, 0.3, 0.4),
    Band(0.77, 0.7, 0.8),
)
GOOD = {
    "slope": {"value": 1.0, "interval": [0.8, 1.2]},
    "intercept": {"value": 0.0, "interval": [-0.1, 0.1]},
}
ROWS = Measured("labelled rows", 1000, GOOD)
CALM = {"outside": 0.0, "alarm": False, "past": 5, "measured": ROWS}


def test_the_sentence_says_who_is_expected_to_leave():
    assert expected_words(FOUND) == (
        "of the 20 called, 12 are expected to leave (8 to 15), of as many picked at random 5, of "
        "all 200 clients 45 (33 to 60); expected before any label is known (95 %): precision 0.600 "
        "(0.400 to 0.750), recall 0.270 (0.200 to 0.300), F1 0.370 (0.300 to 0.400), AUC 0.770 "
        "(0.700 to 0.800), Brier 0.150 "
        "(0.120 to 0.180)"
    )


def test_the_sentence_ends_with_what_speaks_against_it():
    assert expected_words(replace(FOUND, caveats=("a", "b"))).endswith(
        ". Not to be relied on: a; b"
    )


def test_the_sentence_of_a_list_of_nobody_names_no_precision():
    nobody = replace(FOUND, called=0, precision=None)
    text = expected_words(nobody)
    assert text.startswith("nobody is called; of 200 clients 45 (33 to 60) are expected to leave;")
    assert "recall" not in text
    assert "AUC 0.770" in text


def _off(name):
    """Rows that the risks do not agree with."""
    found = {**GOOD, name: {"value": 0.6, "interval": [0.4, 0.8]}}
    return replace(ROWS, calibration=found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alarm": True}, "drift alarm"),
        ({"outside": 0.25}, "25 % of the clients have a value outside the range of training"),
        (
            {"measured": replace(ROWS, n=199)},
            "the calibration was measured on 199 labelled rows alone",
        ),
        ({"past": 1}, "1 evaluation so far measured how the share of leavers drifts"),
        ({"past": 0}, "0 evaluations so far"),
        ({"measured": replace(ROWS, calibration=UNMEASURED)}, "could not be measured"),
        (
            {"measured": _off("slope")},
            "not calibrated (slope 0.60, 0.40 to 0.80, not 1)",
        ),
        (
            {"measured": _off("intercept")},
            "not calibrated (intercept 0.60, 0.40 to 0.80, not 0)",
        ),
    ],
)
def test_each_reason_to_doubt_is_said_once(change, words):
    reasons = caveats_of(FOUND, **(CALM | change))
    assert len(reasons) == 1
    assert words in reasons[0]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(FOUND, n=29), "only 29 clients"),
        (replace(FOUND, n=1), "only 1 client"),
        (replace(FOUND, precision=Band(0.5, 0.2, 0.8)), "so wide that it says little"),
    ],
)
def test_few_clients_and_a_wide_band_are_doubted(found, words):
    assert [words in reason for reason in caveats_of(found, **CALM)] == [True]


def test_nothing_is_doubted_where_nothing_is_wrong():
    assert caveats_of(FOUND, **CALM) == []
    assert caveats_of(replace(FOUND, precision=None), **CALM) == []


def test_what_is_expected_is_plain_numbers():
    risks, _ = told(2, 200)
    cells = asdict(expected_measures(risks, risks >= 0.5, EXACT)).values()
    assert {type(value) for value in cells} == {int, dict, tuple, str}


# ---------------------------------------------------------------- how often it is right


@pytest.mark.parametrize("a", [0.0, 0.3])
def test_the_truth_lies_in_the_band_as_often_as_it_says(a):
    known, labels = told(0, 1000, a)
    line = calibration_line(calibration(labels, known), [{"intercept": 0.0, "error": 0.0}] * 50)
    inside = 0
    for seed in range(1, 61):
        risks, y = told(seed, 200, a)
        band = expected_measures(risks, risks >= 0.5, line).f1
        inside += band.low <= f1(y, (risks >= 0.5) * 1) <= band.high
    assert inside >= 51  # fewer by chance once in 1,000 times where 95 % are promised


def test_the_benchmark_runs():
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "benchmarks/expected.py"), "--smoke"],
        text=True,
        capture_output=True,
        timeout=120,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 33
    assert all("precision" in line and "auc" in line for line in lines)

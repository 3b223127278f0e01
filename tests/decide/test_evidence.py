"""The rule against its own formulas: martingales, guards, every branch, the promise."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from risk.decide import evidence
from risk.decide import judgement as judgement_rules
from risk.decide.decision import ChallengerEvidence
from risk.decide.evidence import (
    _FRACTIONS,
    IDENTITY,
    RULE,
    Martingale,
    Rule,
    _betting_scores_by_margin,
    _fit_recalibration,
    _fit_shift,
    betting_scores,
    ensemble_weights,
    gain_in_ranking,
    log_mean_exp,
    mean_recalibration,
    recalibrations,
    recentre,
    risks,
    update_scores,
)
from risk.decide.judgement import (
    NEWEST,
    Batch,
    Counters,
    Judgement,
    _certified_threshold,
    _evidence_alone,
    _rows_still_needed,
    after_deployment,
    judge_certified,
    judge_fast,
    rows_lacking,
)
from risk.model.measures import auc, placements

RISK = st.floats(1e-6, 1 - 1e-6)


def logit(p: Any) -> Any:
    return np.log(p) - np.log1p(-np.asarray(p))


def drawn(p: np.ndarray, seed: int) -> np.ndarray:
    """Labels that are exits with these risks."""
    return (np.random.default_rng(seed).random(p.size) < p).astype(np.int64)


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, a champion's risks, a challenger's): the challenger is the truth."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1.5, n)
    q = 1 / (1 + np.exp(-score))
    p = 1 / (1 + np.exp(-(0.4 * score + rng.normal(0, 0.5, n))))
    return drawn(q, seed + 1), p, q


def test_the_bets_are_the_sum_of_the_logs_of_the_docstring() -> None:
    y, p, q = rows(40)
    expected = []
    for k in (0.125, 0.25, 0.5, 1.0):
        total = 0.0
        for label, served, other in zip(y.tolist(), p.tolist(), q.tolist(), strict=True):
            spread = (served + other) * (2 - served - other)
            total += math.log(1 + k / spread * ((served - label) ** 2 - (other - label) ** 2))
        expected.append(total)

    assert betting_scores(y, p, q) == pytest.approx(expected, rel=1e-12)


def test_the_careful_bets_are_those_of_the_design() -> None:
    y, p, q = rows(40)
    p[:3], q[:3] = [1e-6, 1 - 1e-6, 0.5], [1 - 1e-6, 1e-6, 0.5]
    expected = []
    for k in (0.125, 0.25, 0.5, 1.0):
        total = 0.0
        for label, served, other in zip(y.tolist(), p.tolist(), q.tolist(), strict=True):
            d = (served - label) ** 2 - (other - label) ** 2 - 0.001
            c = abs(served - other) * max(served + other, 2 - served - other) + 0.001
            total += math.log(1 + min(k / ((served + other) * (2 - served - other)), 0.95 / c) * d)
        expected.append(total)

    assert _betting_scores_by_margin(y, p, q, 0.001) == pytest.approx(expected, rel=1e-12)


def after(p: float, q: float, y: int, margin: float | None = None) -> np.ndarray:
    """What one row leaves of a log_wealth of 1, for each fraction."""
    one, other, label = np.array([p]), np.array([q]), np.array([y])
    won = (
        betting_scores(label, one, other)
        if margin is None
        else _betting_scores_by_margin(label, one, other, margin)
    )
    return np.exp(won)


@given(RISK, RISK)
@example(1e-6, 1 - 1e-6)
@example(1 - 1e-6, 1e-6)
def test_no_bet_gains_in_the_mean_while_the_deployed_risk_is_right(p: float, q: float) -> None:
    mean = p * after(p, q, 1) + (1 - p) * after(p, q, 0)

    assert mean.max() <= 1 + 1e-9


@given(RISK, RISK, RISK)
def test_a_bet_gains_in_the_mean_where_the_challenger_is_nearer_to_the_truth(
    truth: float, p: float, q: float
) -> None:
    mean = truth * after(p, q, 1) + (1 - truth) * after(p, q, 0)
    nearer = (p - truth) ** 2 - (q - truth) ** 2

    if abs(nearer) > 1e-9:
        assert set(np.sign(mean - 1)) == {np.sign(nearer)}


@given(RISK, RISK, RISK, st.sampled_from([0.0, 0.001, 0.05]))
def test_a_careful_bet_gains_in_the_mean_only_beyond_the_margin(
    truth: float, p: float, q: float, margin: float
) -> None:
    mean = truth * after(p, q, 1, margin) + (1 - truth) * after(p, q, 0, margin)
    nearer = (p - truth) ** 2 - (q - truth) ** 2 - margin

    if abs(nearer) > 1e-9:
        assert set(np.sign(mean - 1)) == {np.sign(nearer)}


@given(RISK, RISK, st.integers(0, 1), st.sampled_from([0.0, 0.001, 0.05]))
@example(1e-6, 1 - 1e-6, 0, 0.001)
def test_no_row_costs_a_martingale_with_a_margin_more_than_95_percent(
    p: float, q: float, y: int, margin: float
) -> None:
    assert after(p, q, y, margin + 1e-12).min() >= 0.05 * (1 - 1e-9)


@given(RISK, RISK, st.integers(0, 1))
@example(1e-6, 1 - 1e-6, 0)
@example(1 - 1e-6, 1e-6, 1)
def test_no_row_takes_the_whole_martingale(p: float, q: float, y: int) -> None:
    assert after(p, q, y).min() > 0


def test_equal_risks_bet_nothing_and_a_margin_costs_them() -> None:
    y, p, _ = rows(50)

    assert betting_scores(y, p, p).tolist() == [0.0] * 4
    assert _betting_scores_by_margin(y, p, p, 0.001).max() < 0


def test_risks_stay_a_millionth_away_from_certainty() -> None:
    found = risks(np.array([-np.inf, -800.0, -14.0, 0.0, 2.0, 14.0, 800.0, np.inf]))

    assert found[[0, 1, 2]] == pytest.approx([1e-6] * 3, rel=1e-9)
    assert found[[5, 6, 7]] == pytest.approx([1 - 1e-6] * 3, abs=1e-12)
    assert found[3] == 0.5 and found[4] == pytest.approx(1 / (1 + math.exp(-2)), rel=1e-12)


def test_the_e_value_is_the_mean_over_the_fractions_also_where_it_overflows() -> None:
    assert Martingale().log_e_value == 0.0
    assert Martingale((0.1, -0.4, 1.2, -3.0)).log_e_value == pytest.approx(
        math.log(sum(math.exp(b) for b in (0.1, -0.4, 1.2, -3.0)) / 4)
    )
    assert log_mean_exp(np.array([2000.0, 0.0, -5.0, 0.0])) == pytest.approx(2000 - math.log(4))


def test_martingales_add_up_over_evaluations() -> None:
    y, p, q = rows(90)
    once = evidence.bet(Martingale(), y, p, q)

    twice = evidence.bet(evidence.bet(Martingale(), y[:30], p[:30], q[:30]), y[30:], p[30:], q[30:])

    d = [(s - label) ** 2 - (c - label) ** 2 for label, s, c in zip(y, p, q, strict=True)]
    assert twice.log_wealth == pytest.approx(once.log_wealth, rel=1e-12)
    assert twice.rows == once.rows == 90
    assert twice.total == pytest.approx(sum(d)) == once.total
    assert twice.squares == pytest.approx(sum(x * x for x in d)) == once.squares


def test_the_rows_needed_follow_the_running_formula() -> None:
    d = np.array([0.3, -0.1, 0.2, -0.2, 0.1])
    martingale = Martingale((0.1, 0.2, 0.3, 0.1), d.size, float(d.sum()), float(d @ d))
    g, v = sum(d) / 5, sum(x * x for x in d) / 5 - (sum(d) / 5) ** 2

    needed = martingale.rows_needed(1e9)

    assert needed == round((math.log(1e9) - martingale.log_e_value) * 2 * v / g**2) > 100


@pytest.mark.parametrize(
    ("martingale", "needed"),
    [
        (Martingale(), None),
        (Martingale(rows=1, total=0.2, squares=0.04), None),
        (Martingale(rows=50, total=-0.1, squares=3.0), None),
        (Martingale(rows=50, total=0.0, squares=3.0), None),
        (Martingale(rows=50, total=10.0, squares=3.0), 100),
        (Martingale((9.0,) * 4, rows=50, total=1.0, squares=9.0), 100),
        (Martingale(rows=50, total=10.0, squares=50 * 0.2**2 - 1e-15), 100),
    ],
)
def test_the_rows_needed_are_at_least_100_and_unknown_without_evidence(
    martingale: Martingale, needed: int | None
) -> None:
    assert martingale.rows_needed(3.0) == needed


def test_the_rows_needed_are_reported_with_their_spread() -> None:
    assert (
        _rows_still_needed(ChallengerEvidence("c", 1, 10, rows_needed=2000))
        == "about 2,000 rows more (800 to 5,000)"
    )
    assert _rows_still_needed(ChallengerEvidence("c", 1, 10)) == "no evidence for it so far"


def naive_delong(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """AUC of q minus that of p, plus 1.645 deviations, by every pair of an exit and a stay."""

    def wins(scores: np.ndarray) -> list[list[float]]:
        exits, stays = scores[y == 1].tolist(), scores[y == 0].tolist()
        return [[0.5 * (e == s) + (e > s) for s in stays] for e in exits]

    gains = np.array(wins(q)) - np.array(wins(p))
    by_exit, by_stay = gains.mean(axis=1), gains.mean(axis=0)
    variance = sum((by_exit - gains.mean()) ** 2) / (by_exit.size - 1) / by_exit.size
    variance += sum((by_stay - gains.mean()) ** 2) / (by_stay.size - 1) / by_stay.size
    return float(gains.mean() + 1.645 * math.sqrt(variance))


@pytest.mark.parametrize("digits", [9, 1])
def test_the_gain_in_ranking_is_delongs_upper_bound_ties_counted_half(digits: int) -> None:
    y, p, q = rows(70, seed=3)
    p, q = np.round(p, digits), np.round(q, digits)

    assert gain_in_ranking(y, p, q) == pytest.approx(naive_delong(y, p, q), rel=1e-10)
    assert gain_in_ranking(y, q, p) == pytest.approx(naive_delong(y, q, p), rel=1e-10)


def test_the_gain_in_ranking_is_about_the_difference_of_the_aucs() -> None:
    y, p, q = rows(3000)

    bound = gain_in_ranking(y, p, q)

    assert bound > (auc(y, q) or 0) - (auc(y, p) or 1) > 0.01
    assert gain_in_ranking(y, q, p) < 0


def test_an_equal_ranking_is_no_worse_and_too_few_rows_say_nothing() -> None:
    y, p, _ = rows(100)

    assert gain_in_ranking(y, p, p**3) == 0.0
    assert gain_in_ranking(np.array([1, 0, 0, 0]), p[:4], 1 - p[:4]) == 1.0
    assert gain_in_ranking(np.array([1, 1, 1, 0]), p[:4], 1 - p[:4]) == 1.0
    assert gain_in_ranking(np.ones(9), p[:9], 1 - p[:9]) == 1.0


def test_placements_count_the_others_below() -> None:
    found = placements(np.array([0.0, 1.0, 2.0, 9.0]), np.array([3.0, 1.0, 1.0, 2.0]))

    assert found.tolist() == [0.0, 0.25, 0.625, 1.0]


def held_loss(a: float, c: float, x: np.ndarray, y: np.ndarray, prior: float) -> float:
    """The objective of a recalibration, by a plain loop."""
    total = prior / 2 * (a**2 + (c - 1) ** 2)
    for score, label in zip(x.tolist(), y.tolist(), strict=True):
        eta = a + c * score
        total += max(eta, 0.0) + math.log1p(math.exp(-abs(eta))) - label * eta
    return total


def odd_rows(seed: int, spread: float, shift: float, share: float) -> Any:
    """Log-odds and labels that agree little."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, spread, 200)
    return np.clip(x, -15, 15), (rng.random(200) < share + 0.3 * (x > shift)).astype(np.int64)


@pytest.mark.parametrize("prior", [0.5, 10.0])
@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (3.0, 1.0), (1.0, 5.0), (0.1, -4.0)])
def test_a_recalibration_is_where_loss_and_prior_are_least(
    spread: float, shift: float, prior: float
) -> None:
    x, y = odd_rows(1, spread, shift, 0.3)

    a, c = _fit_recalibration(x, y, prior)

    step = 1e-4
    slopes = [
        held_loss(a + step, c, x, y, prior) - held_loss(a - step, c, x, y, prior),
        held_loss(a, c + step, x, y, prior) - held_loss(a, c - step, x, y, prior),
    ]
    assert c > evidence._LEAST_SLOPE
    assert np.abs(slopes).max() / (2 * step) < 1e-4


def test_a_recalibration_undoes_a_known_distortion() -> None:
    y, _, q = rows(40_000)

    a, c = _fit_recalibration((logit(q) - 0.7) / 0.5, y, RULE.prior)

    assert (a, c) == pytest.approx((0.7, 0.5), abs=0.05)


def test_the_prior_holds_a_recalibration_to_the_model_as_it_is() -> None:
    x, y = odd_rows(2, 1.0, 1.0, 0.2)

    free, held, fixed = (_fit_recalibration(x, y, prior) for prior in (1e-6, 10.0, 1e9))

    assert fixed == pytest.approx(IDENTITY, abs=1e-5)
    distance = [math.hypot(a, c - 1) for a, c in (free, held)]
    assert distance[0] > 1.2 * distance[1] > 0.1


@pytest.mark.parametrize(
    ("spread", "shift"), [(2.0, 0.0), (6.0, 0.0), (1.0, 4.0), (1.0, 10.0), (0.0, 15.0)]
)
def test_a_recalibration_settles_where_nearly_all_risks_are_certain_and_wrong(
    spread: float, shift: float
) -> None:
    rng = np.random.default_rng(5)
    x = np.clip(rng.normal(shift, spread, 2000), -15, 15)
    y = (rng.random(2000) < 1 / (1 + np.exp(x))).astype(np.int64)

    a, c = _fit_recalibration(x, y, 10.0)

    loss, share = held_loss(a, c, x, y, 10.0), np.mean(y)
    assert -20 < a < 20 and c == evidence._LEAST_SLOPE
    assert loss < held_loss(0.0, 1.0, x, y, 10.0) / 2
    assert float(np.mean(risks(a + c * x))) == pytest.approx(share, abs=0.03)
    moved = [held_loss(a + step, c, x, y, 10.0) for step in (-0.01, 0.01)]
    assert loss < min(moved)


@pytest.mark.parametrize("shift", [0.5, 4.0, 15.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_shift_is_where_loss_and_prior_are_least(shift: float, sign: int) -> None:
    x = np.clip(np.random.default_rng(6).normal(sign * shift, 1.0, 1000), -15, 15)
    y = (np.arange(1000) % 10 < (1 if sign > 0 else 9)).astype(np.int64)

    a = _fit_shift(x, y, 10.0)

    wrong = sum(1 / (1 + math.exp(-(a + score))) for score in x.tolist()) - int(y.sum())
    assert wrong + 10.0 * a == pytest.approx(0.0, abs=1e-5)
    assert sign * a < -0.5


def test_a_model_is_recalibrated_only_on_enough_rows() -> None:
    y, p, _ = rows(300)
    x = logit(p)

    assert recalibrations(x[:299], y[:299]) == (IDENTITY, IDENTITY)
    assert recalibrations(x, y) == (IDENTITY, _fit_recalibration(x, y, 10.0))
    assert recalibrations(x, y, replace(RULE, recalibration_rows=301)) == (IDENTITY, IDENTITY)


def test_each_fold_is_recentred_by_what_the_other_shows() -> None:
    y, p, _ = rows(200)
    x, folds = logit(p), np.arange(200) % 2

    moved = recentre(x, y, folds, 10.0)

    by_other = [
        _fit_shift(x[folds == 1], y[folds == 1], 10.0),
        _fit_shift(x[folds == 0], y[folds == 0], 10.0),
    ]
    assert moved - x == pytest.approx(np.array(by_other)[folds], abs=1e-12)
    flipped = np.where(folds == 0, 1 - y, y)
    again = recentre(x, flipped, folds, 10.0)
    assert (again[folds == 0] == moved[folds == 0]).all()
    assert (again[folds == 1] != moved[folds == 1]).all()


def test_a_score_is_halved_and_takes_twice_the_brier_of_at_most_100_rows() -> None:
    y, p, q = rows(130)
    said = [logit(p), logit(q)]

    few = update_scores((3.0, 4.0), [x[:60] for x in said], y[:60], RULE)
    many = update_scores((3.0, 4.0), said, y, RULE)

    briers = [sum((r - label) ** 2 for r, label in zip(x, y, strict=True)) / 130 for x in (p, q)]
    assert many == pytest.approx([1.5 + 200 * briers[0], 2.0 + 200 * briers[1]], rel=1e-9)
    of_60 = sum((r - label) ** 2 for r, label in zip(p[:60], y[:60], strict=True))
    assert few[0] == pytest.approx(1.5 + 2 * of_60, rel=1e-9)


def test_scores_without_what_was_said_are_refused() -> None:
    y, p, _ = rows(60)
    with pytest.raises(ValueError):
        update_scores((0.0, 0.0), [logit(p)], y, RULE)


def test_weights_are_the_normalised_exponentials_whatever_the_level() -> None:
    expected = [math.exp(-s) for s in (1.0, 0.0, 2.5)]

    assert ensemble_weights((1.0, 0.0, 2.5)) == pytest.approx([x / sum(expected) for x in expected])
    assert ensemble_weights((901.0, 900.0, 902.5)) == pytest.approx(
        ensemble_weights((1.0, 0.0, 2.5)), rel=1e-9
    )
    assert ensemble_weights((0.0, 5000.0)).tolist() == [1.0, 0.0]


def test_the_ensemble_of_recalibrations_is_the_recalibration_of_the_ensemble() -> None:
    recalibrations, scores = ((0.0, 1.0), (0.6, 0.8)), (1.0, 0.4)
    x = np.linspace(-3, 3, 7)

    a, c = mean_recalibration(recalibrations, scores)

    shares = ensemble_weights(scores)
    assert a + c * x == pytest.approx(shares[0] * x + shares[1] * (0.6 + 0.8 * x), abs=1e-12)


@pytest.mark.parametrize(
    ("found", "exits", "lack"),
    [
        (50, 10, ""),
        (50, 40, ""),
        (49, 20, "49 of 50 rows"),
        (60, 9, "9 of 10 exits"),
        (60, 51, "9 of 10 stays"),
        (0, 0, "0 of 50 rows, 0 of 10 exits, 0 of 10 stays"),
        (1500, 0, "0 of 10 exits"),
        (12, 11, "12 of 50 rows, 1 of 10 stays"),
    ],
)
def test_what_rows_lack_to_be_evidence(found: int, exits: int, lack: str) -> None:
    assert rows_lacking(found, exits) == lack


def test_the_guard_takes_its_limits_from_the_rule() -> None:
    assert rows_lacking(80, 5, Rule(least_rows=100, least_class=5)) == "80 of 100 rows"


def entry(name: str, E: float, gain: float = 0.05, threshold: float = 60.0) -> ChallengerEvidence:
    return ChallengerEvidence(name, E, threshold, 0.2 - gain, 0.2)


YOUNG = Counters(evaluations=3, rows=1000, rows_at_deployment=900)
GROWN = Counters(evaluations=3, rows=1350, rows_at_deployment=900)
STRONG, WEAK, POOR = 15.0, 1.0, 0.1
FIT, FORMER = entry(NEWEST, 80), entry("version 2", 90)
FAST = [
    # counters, E of the challenger, its gain in ranking at most, switches -> action, target
    (YOUNG, WEAK, 0.1, [], "none", ""),
    (YOUNG, 9.999, 0.1, [], "none", ""),
    (YOUNG, 10.0, 0.1, [], "promote", "challenger"),
    (YOUNG, STRONG, 0.0, [], "promote", "challenger"),
    (YOUNG, STRONG, -0.001, [], "none", ""),
    (GROWN, WEAK, 0.1, [], "scheduled retrain", "challenger"),
    (GROWN, 0.3, 0.1, [], "scheduled retrain", "challenger"),
    (GROWN, 0.299, 0.1, [], "none", ""),
    (GROWN, WEAK, -0.001, [], "none", ""),
    (GROWN, STRONG, 0.1, [], "promote", "challenger"),
    (YOUNG, POOR, 0.1, [FIT], "switch", NEWEST),
    (YOUNG, STRONG, 0.1, [FIT], "switch", NEWEST),
    (YOUNG, POOR, -0.5, [FIT], "switch", NEWEST),
    (YOUNG, WEAK, 0.1, [entry(NEWEST, 59.9)], "none", ""),
    (YOUNG, WEAK, 0.1, [entry(NEWEST, 60.0)], "switch", NEWEST),
    (YOUNG, WEAK, 0.1, [entry(NEWEST, 80, gain=0.0099)], "none", ""),
    (YOUNG, STRONG, 0.1, [entry(NEWEST, 80, gain=0.0099)], "promote", "challenger"),
    (YOUNG, WEAK, 0.1, [entry(NEWEST, 80, gain=0.0101)], "switch", NEWEST),
    (YOUNG, WEAK, 0.1, [FORMER], "revert", "version 2"),
    (YOUNG, WEAK, 0.1, [entry("version 2", 59)], "none", ""),
    (YOUNG, WEAK, 0.1, [FORMER, FIT], "revert", "version 2"),
    (YOUNG, WEAK, 0.1, [FORMER, entry(NEWEST, 80, gain=0.0549)], "revert", "version 2"),
    (YOUNG, WEAK, 0.1, [FORMER, entry(NEWEST, 80, gain=0.0551)], "switch", NEWEST),
    (YOUNG, WEAK, 0.1, [FORMER, entry("version 1", 61, gain=0.06)], "revert", "version 1"),
    (YOUNG, WEAK, 0.1, [entry("version 1", 59, gain=0.06), FORMER], "revert", "version 2"),
    (YOUNG, WEAK, 0.1, [entry("version 1", 80, gain=0.001), FIT], "switch", NEWEST),
]


@pytest.mark.parametrize(("counters", "E", "ranking", "switches", "action", "target"), FAST)
def test_what_fast_does(
    counters: Counters, E: float, ranking: float, switches: list[Any], action: str, target: str
) -> None:
    main = replace(entry("challenger", E, threshold=RULE.thresholds[0]), rows_needed=200)

    found = judgement_rules._fast_action(counters, main, switches, ranking, RULE)

    assert found[:2] == (action, target)
    assert ("ranks worse" in found[2]) == (action == "none" and ranking < 0)
    assert ("grew from 900 to 1,350" in found[2]) == (action == "scheduled retrain")
    assert ("about 200 rows more" in found[2]) == (action == "none" and ranking >= 0)


@pytest.mark.parametrize(
    ("then", "now", "E", "evaluations", "deployments", "grown"),
    [
        (200, 300, 1.0, 1, 0, True),
        (6000, 8999, 1.0, 1, 0, False),
        (6000, 9000, 1.0, 1, 0, True),
        (1000, 1199, 1.0, 1, 0, False),
        (1000, 1201, 1.0, 1, 0, True),
        (1000, 1201, 0.29, 1, 0, False),
        (1000, 1201, 1.0, 1, 1, False),
        (1000, 1201, 1.0, 2, 1, True),
        (1000, 1201, 1.0, 9, 5, False),
        (1000, 1201, 1.0, 10, 5, True),
        (0, 1, 1.0, 1, 0, False),
        (0, 2, 1.0, 1, 0, True),
    ],
)
def test_when_rows_alone_promise_a_better_model(
    then: int, now: int, E: float, evaluations: int, deployments: int, grown: bool
) -> None:
    counters = Counters(
        evaluations=evaluations, deployments=deployments, rows=now, rows_at_deployment=then
    )

    assert judgement_rules._has_grown(counters, E, RULE) is grown


@pytest.mark.parametrize(
    ("promotions", "deployments", "evaluations", "threshold"),
    [(0, 0, 1, 10.0), (1, 1, 2, 3.0), (2, 2, 4, 1.0), (9, 3, 9, 1.0), (2, 4, 7, 10.0)],
)
def test_a_world_that_has_moved_is_followed_on_less_evidence(
    promotions: int, deployments: int, evaluations: int, threshold: float
) -> None:
    counters = Counters(evaluations=evaluations, deployments=deployments, promotions=promotions)

    assert judgement_rules._promotion_threshold(counters) == threshold


def fast_batch(n: int = 200, seed: int = 0, **others: Any) -> Batch:
    y, p, q = rows(n, seed)
    said = [logit(p), logit(p) * 0.9]
    candidates = [logit(q), logit(q) * 1.1, logit(p), logit(p) + 0.2]
    given = {"challengers": {"challenger": logit(q)}, "folds": np.arange(n) % 2} | others
    return Batch(y, said[0], said, candidates, **given)


def test_an_evaluation_moves_scores_martingales_and_counts_and_tells_its_numbers() -> None:
    batch = fast_batch()
    y, p, q = batch.labels, risks(batch.deployed), risks(batch.challengers["challenger"])
    old = Martingale((0.1, 0.2, 0.3, 0.4), rows=70, total=1.0, squares=2.0)
    before = Counters(
        candidate_scores=(1.0, 2.0, 3.0, 4.0),
        champion_scores=(5.0, 6.0),
        martingales={"challenger": old},
        evaluations=4,
        deployments=2,
        rows=1000,
        rows_at_deployment=950,
        promotions=1,
    )

    counters, judgement = judge_fast(before, batch)

    martingale = counters.martingales["challenger"]
    assert counters == Counters(
        candidate_scores=update_scores(before.candidate_scores, batch.candidates, y, RULE),
        champion_scores=update_scores(before.champion_scores, batch.champion, y, RULE),
        martingales={"challenger": martingale},
        evaluations=5,
        deployments=2,
        rows=1200,
        rows_at_deployment=950,
        promotions=1,
    )
    assert martingale.log_wealth == pytest.approx(
        np.array(old.log_wealth) + betting_scores(y, p, q), rel=1e-12
    )
    main = judgement.evidence[0]
    assert main.e_value == pytest.approx(math.exp(martingale.log_e_value))
    assert main.brier == pytest.approx(np.mean((q - y) ** 2))
    assert main.brier_deployed == pytest.approx(np.mean((p - y) ** 2))
    assert (main.threshold, main.rows_needed) == (3.0, martingale.rows_needed(3.0))
    assert judgement.details == {
        "rows_since_deployment": 270,
        "ranking_gain_at_most": gain_in_ranking(y, p, q),
    }
    assert (judgement.action, judgement.target) == ("promote", "challenger")
    json.dumps(asdict(judgement), allow_nan=False)


def test_evidence_beyond_all_floats_is_still_a_number() -> None:
    batch = fast_batch()
    huge = Counters((0.0,) * 4, martingales={"challenger": Martingale((5000.0,) * 4)})

    _, judgement = judge_fast(huge, batch)

    assert judgement.evidence[0].e_value == math.exp(700)


def test_switches_are_bets_on_these_rows_alone_both_sides_on_their_mean() -> None:
    y, p, q = rows(200)
    former = {"version 1": logit(q) - 3.0, "version 2": logit(p)}
    batch = fast_batch(former=former, cross_fitted=logit(q) * 0.8)

    found = {switch.name: switch for switch in _evidence_alone(batch, RULE)}

    assert list(found) == ["version 1", "version 2", NEWEST]
    assert {switch.threshold for switch in found.values()} == {3 / 0.05}
    level = risks(recentre(batch.deployed, y, np.arange(200) % 2, 10.0))
    expected = {
        "version 1": risks(recentre(former["version 1"], y, np.arange(200) % 2, 10.0)),
        "version 2": level,
        NEWEST: risks(logit(q) * 0.8),
    }
    for name, said in expected.items():
        assert found[name].e_value == pytest.approx(
            math.exp(log_mean_exp(betting_scores(y, level, said)))
        )
        assert found[name].brier == pytest.approx(np.mean((said - y) ** 2))
        assert found[name].brier_deployed == pytest.approx(np.mean((level - y) ** 2))
    assert found["version 2"].e_value == 1.0
    there = log_mean_exp(betting_scores(y, p, risks(former["version 1"])))
    assert found["version 1"].e_value > 100 * math.exp(there)


def test_without_former_ones_the_fit_on_these_rows_needs_one_over_alpha_and_150_rows() -> None:
    _, _, q = rows(200)
    batch = fast_batch(cross_fitted=logit(q))

    assert [switch.threshold for switch in _evidence_alone(batch, RULE)] == [1 / 0.05]
    assert _evidence_alone(batch, replace(RULE, fold_rows=201)) == []
    assert _evidence_alone(replace(batch, folds=None), RULE) == []
    assert _evidence_alone(replace(batch, cross_fitted=None), RULE) == []


def test_a_mean_that_moved_is_no_reason_to_switch() -> None:
    y, _, q = rows(1500)
    served = logit(q) + 2.0
    batch = Batch(
        y,
        served,
        [served, served],
        [],
        {"challenger": served},
        former={"version 1": logit(q)},
        folds=np.arange(1500) % 2,
    )

    (switch,) = _evidence_alone(batch, RULE)

    assert log_mean_exp(betting_scores(y, risks(served), q)) > 20
    assert switch.e_value < 3
    assert abs(switch.brier_deployed - switch.brier) < 0.001


def certified_batch(q: np.ndarray | None = None, **others: Any) -> Batch:
    y, p, better = rows(200)
    rivals = {"all past": better if q is None else q, "last file": p}
    own = [logit(p), logit(p)]
    return Batch(
        y, logit(p), own, [], {name: logit(said) for name, said in rivals.items()}, **others
    )


def test_the_chances_of_all_promotions_add_up_to_alpha() -> None:
    shares = [4 / _certified_threshold(promotions, 4) for promotions in range(20_000)]

    assert shares[0] == pytest.approx(0.05 * 6 / math.pi**2)
    assert shares[2] == pytest.approx(shares[0] / 9)
    assert 0.9999 * 0.05 < sum(shares) < 0.05
    assert _certified_threshold(0, 4) == pytest.approx(4 / 0.0304, rel=1e-3)


def test_a_certified_evaluation_bets_on_every_rival_against_its_own_threshold() -> None:
    y, p, q = rows(200)
    batch = certified_batch(former={"version 1": logit(q)})
    old = Martingale((1.0, 0.5, 0.2, 0.1), rows=60, total=0.5, squares=2.0)
    before = Counters((7.0,) * 6, (1.0, 2.0), {"last file": old}, 3, 1, 500, 400, promotions=1)

    counters, judgement = judge_certified(before, batch)

    assert [one.name for one in judgement.evidence] == ["all past", "last file", "version 1"]
    assert [one.threshold for one in judgement.evidence] == pytest.approx(
        [_certified_threshold(1, 2), _certified_threshold(1, 2), 20.0]
    )
    gains = _betting_scores_by_margin(y, p, q, 0.001)
    assert counters.martingales["all past"].log_wealth == pytest.approx(gains, rel=1e-12)
    assert counters.martingales["all past"].total == pytest.approx(
        sum((p - y) ** 2 - (q - y) ** 2 - 0.001)
    )
    worn = np.array(old.log_wealth) + _betting_scores_by_margin(y, p, p, 0.001)
    assert counters.martingales["last file"].log_wealth == pytest.approx(worn, rel=1e-12)
    assert counters.martingales["last file"].rows == 260
    assert counters.candidate_scores == before.candidate_scores
    assert counters.champion_scores == update_scores(
        before.champion_scores, batch.champion, y, RULE
    )
    assert (counters.evaluations, counters.rows, counters.promotions) == (4, 700, 1)
    assert judgement.evidence[1].rows_needed == counters.martingales["last file"].rows_needed(
        _certified_threshold(1, 2)
    )
    json.dumps(asdict(judgement), allow_nan=False)


CERTIFIED = [
    ("all past", 131.0, 131.5, 0.1, "none"),
    ("all past", 131.5, 131.5, 0.1, "promote"),
    ("all past", 900.0, 131.5, -0.001, "none"),
    ("version 1", 19.9, 20.0, 0.1, "none"),
    ("version 1", 20.0, 20.0, 0.1, "roll back"),
    ("version 1", 20.0, 20.0, -0.001, "none"),
]


@pytest.mark.parametrize(("name", "E", "threshold", "ranking", "action"), CERTIFIED)
def test_what_certified_does(
    name: str, E: float, threshold: float, ranking: float, action: str
) -> None:
    best = entry(name, E, threshold=threshold)
    batch = certified_batch(former={"version 1": np.zeros(200)})

    found = judgement_rules._certified_action(best, ranking, batch)

    assert found[:2] == (action, "" if action == "none" else name)
    assert name in found[2] and ("ranks worse" in found[2]) == (ranking < 0)
    assert ("no evidence for it so far" in found[2]) == (E < threshold)


def test_certified_takes_the_rival_that_is_furthest_beyond_its_own_threshold() -> None:
    won = {"all past": 150.0, "version 1": 60.0}
    strong = {name: Martingale((math.log(log_wealth),) * 4) for name, log_wealth in won.items()}
    y, p, _ = rows(200)
    rivals = {"all past": logit(p), "last file": logit(p)}
    batch = Batch(y, logit(p), [logit(p)] * 2, [], rivals, former={"version 1": logit(p)})

    _, judgement = judge_certified(Counters(martingales=strong), batch, replace(RULE, margin=0.0))

    assert (judgement.action, judgement.target) == ("roll back", "version 1")


def swaps_in(runs: int, seed: int, share: float) -> float:
    """The share of runs in which "certified", looking 20 times at 40 rows, ever promotions.

    share: how far the truth lies from the champion's risk towards that of the rival "all past".
    Without the margin, which only makes a swap rarer.
    """
    rng, rule, swapped = np.random.default_rng(seed), replace(RULE, margin=0.0), 0
    for _ in range(runs):
        counters = Counters()
        for _ in range(20):
            x = rng.normal(0, 1.2, 40)
            other = {
                "all past": x + 0.9,
                "last file": x * 1.3,
                "last three files": x - 0.3,
                "recalibrated": x * 0.75,
            }
            truth = (1 - share) * risks(x) + share * risks(other["all past"])
            y = (rng.random(40) < truth).astype(np.int64)
            counters, said = judge_certified(counters, Batch(y, x, [x, x], [], other), rule)
            if said.action == "promote":
                swapped += 1
                break
    return swapped / runs


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_champion_that_is_no_worse_is_hardly_ever_replaced_however_often_one_looks(
    share: float,
) -> None:
    assert swaps_in(60, 11, share) <= RULE.alpha


def test_a_champion_that_is_worse_is_replaced() -> None:
    assert swaps_in(15, 12, 1.0) == 1.0


def most_evidence(scores: Any, runs: int, seed: int, share: float) -> np.ndarray:
    """The highest log evidence on the way through 20 evaluations at 25 rows each, for each run.

    Half of the rows have a challenger above the champion, half below; share as above.
    """
    rng, found = np.random.default_rng(seed), np.zeros(runs)
    for run in range(runs):
        p = rng.uniform(0.35, 0.65, (20, 25))
        q = p + 0.3 * rng.choice([-1, 1], p.shape)
        y = (rng.random(p.shape) < (1 - share) * p + share * q).astype(np.int64)
        path = np.cumsum([scores(*rows) for rows in zip(y, p, q, strict=True)], axis=0)
        found[run] = max(log_mean_exp(log_wealth) for log_wealth in path)
    return found


def test_evidence_against_an_equal_champion_passes_one_over_alpha_in_at_most_alpha_of_runs() -> (
    None
):
    """The two are exactly equal in Brier: the hardest case in which the promise still holds."""
    highest = most_evidence(betting_scores, 1000, 13, 0.5)

    assert 0.005 < np.mean(highest >= math.log(1 / RULE.alpha)) <= RULE.alpha
    assert 0.02 < np.mean(highest >= math.log(RULE.thresholds[0])) <= 1 / RULE.thresholds[0]


def test_evidence_against_a_right_champion_passes_far_less_often() -> None:
    assert (
        np.mean(most_evidence(betting_scores, 300, 14, 0.0) >= math.log(RULE.thresholds[0])) < 0.03
    )


def test_careful_bets_keep_the_same_promise() -> None:
    def careful(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return _betting_scores_by_margin(y, p, q, 0.001)

    highest = most_evidence(careful, 500, 13, 0.5)

    assert 0.005 < np.mean(highest >= math.log(1 / RULE.alpha)) <= RULE.alpha


@pytest.mark.parametrize(
    ("action", "scores", "promotions"),
    [
        ("promote", (1.0, 2.0), 4),
        ("scheduled retrain", (1.0, 2.0), 3),
        ("switch", (0.0, 0.0), 4),
        ("revert", (0.0, 0.0), 2),
        ("roll back", (0.0, 0.0), 4),
    ],
)
def test_the_counters_of_a_new_champion(
    action: str, scores: tuple[float, float], promotions: int
) -> None:
    before = Counters(
        candidate_scores=(3.0, 2.0, 1.0, 5.0),
        champion_scores=(8.0, 9.0),
        martingales={"challenger": Martingale(rows=5)},
        evaluations=9,
        deployments=2,
        rows=700,
        rows_at_deployment=500,
        promotions=3,
    )

    assert after_deployment(before, action) == Counters(
        candidate_scores=before.candidate_scores,
        champion_scores=scores,
        martingales={},
        evaluations=9,
        deployments=3,
        rows=700,
        rows_at_deployment=700,
        promotions=promotions,
    )


def test_a_promotion_without_candidates_begins_both_recalibrations_alike() -> None:
    before = Counters(champion_scores=(4.0, 5.0))
    assert after_deployment(before, "promote").champion_scores == (0.0, 0.0)


def test_a_verdict_cannot_be_changed_after_it_was_given() -> None:
    with pytest.raises(AttributeError):
        Judgement("none", "", "", (), {}).action = "promote"  # type: ignore[misc]


def test_there_is_a_martingale_for_each_fraction() -> None:
    assert _FRACTIONS == (0.125, 0.25, 0.5, 1.0) and len(Martingale().log_wealth) == 4

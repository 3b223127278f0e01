"""The drift monitor: each kind of drift is found, nothing where nothing is wrong; its states."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from risk.config import PipelineError
from risk.drift import monitor
from risk.drift.monitor import (
    BinnedRows,
    DriftRow,
    MonitorState,
    bin_rows,
    evaluate_drift,
    initial_state,
)
from risk.drift.monitored import BUDGET, LABELLED, monitored_tests
from risk.drift.reference import UNKNOWN, make_reference
from risk.drift.window import Window, count_once
from tests.checkout import ROOT

KINDS = {"usage": "number", "seats": "number", "region": "text", "plan": "text"}
REGIONS = np.array(["north", "south", "east", "west"], dtype=object)
Table = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


def clients_of(
    n: int,
    seed: int,
    *,
    shift: float = 0.0,
    west: float = 0.1,
    gone: float = 0.1,
    exits: float = 0.0,
    slope: float = 1.0,
    new_plan: float = 0.0,
) -> Table:
    """(columns, risks, labels) of n new clients."""
    rng = np.random.default_rng(seed)
    usage = rng.normal(size=n)
    rest = (1 - west) / 3
    raw = {
        "usage": usage + shift,
        "seats": np.where(rng.random(n) < gone, math.nan, np.floor(rng.exponential(5, n))),
        "region": REGIONS[rng.choice(4, n, p=[rest, rest, rest, west])],
        "plan": np.where(
            rng.random(n) < new_plan, "new", np.array(["a", "b"], object)[rng.integers(0, 2, n)]
        ),
    }
    log_odds = -1 + usage
    truth = 1 / (1 + np.exp(-(-1 + slope * usage + exits)))
    risks = 1 / (1 + np.exp(-(log_odds + shift)))
    return raw, risks, (rng.random(n) < truth).astype(float)


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    raw, risks, labels = clients_of(2000, 1)
    return make_reference(raw, KINDS, risks, labels, out_of_fold=risks)


def day(at: int) -> str:
    return str(np.datetime64("2024-01-01T10:00") + 1440 * at) + "Z"


def monitored(
    reference: dict[str, Any],
    evaluations: int = 20,
    rows: int = 100,
    seed: int = 100,
    state: MonitorState | None = None,
    **change: Any,
) -> tuple[MonitorState, list[DriftRow]]:
    """The state and its table after so many daily evaluations."""
    state = state or initial_state(reference)
    table: list[DriftRow] = []
    for at in range(evaluations):
        raw, risks, labels = clients_of(rows, seed + at, **change)
        counts = bin_rows(raw, reference, risks, labels)
        state, table = evaluate_drift(state, reference, counts, day(at))
    return state, table


def named(table: list[DriftRow], name: str) -> DriftRow:
    return next(row for row in table if row.name == name)


def alerts(table: list[DriftRow]) -> set[str]:
    return {row.name for row in table if row.state == "alert"}


EVERYTHING = {"risk", *KINDS, "exits", "calibration", "labels given the risk"} | {
    f"missing: {name}" for name in KINDS
}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"shift": 0.5}, {"usage", "risk"}),
        ({"west": 0.3}, {"region"}),
        ({"gone": 0.25}, {"missing: seats"}),
        ({"gone": 0.0}, {"missing: seats"}),
        ({"exits": 0.9}, {"exits", "calibration", "labels given the risk"}),
        ({"slope": 0.0}, {"calibration", "labels given the risk"}),
        ({"slope": -1.0}, {"calibration", "labels given the risk"}),
        ({"new_plan": 0.2}, {"plan"}),
        ({"shift": 1e9}, {"usage", "risk"}),
    ],
)
def test_a_drift_is_found_where_it_is(
    reference: dict[str, Any], change: dict[str, float], found: set[str]
) -> None:
    table = monitored(reference, **change)[1]
    assert found <= alerts(table)
    others = {"usage", "seats", "region", "plan", "missing: usage", "missing: plan"} - found
    assert not others & alerts(table)
    assert table[0].name in found


@pytest.mark.parametrize("seed", [1000, 2000, 3000, 4000])
@pytest.mark.parametrize("rows", [20, 1000])
def test_nothing_is_found_where_nothing_is_wrong(
    reference: dict[str, Any], seed: int, rows: int
) -> None:
    table = monitored(reference, evaluations=15, rows=rows, seed=seed)[1]
    assert {row.name for row in table} == EVERYTHING
    assert {row.state for row in table} == {"steady"}


def test_a_small_reference_is_not_the_truth() -> None:
    """40 references of 60 rows, 3,000 rows each: none gives an alert, though most are far off."""
    found = []
    for seed in range(40):
        raw, risks, labels = clients_of(60, 5000 + seed)
        own = make_reference(raw, KINDS, risks, labels, out_of_fold=risks)
        found += alerts(monitored(own, evaluations=3, rows=1000, seed=6000 + 3 * seed)[1])
    assert len(found) <= 2


def test_more_of_a_drift_is_a_larger_effect(reference: dict[str, Any]) -> None:
    effects = [
        named(monitored(reference, shift=shift)[1], "usage").effect
        for shift in (0, 0.3, 0.6, 1.2, 9)
    ]
    assert effects == sorted(effects)
    assert effects[0] < 0.04 and 0.9 < effects[-1] <= 1


def test_more_rows_of_a_drift_are_a_smaller_p(reference: dict[str, Any]) -> None:
    ps = [
        named(monitored(reference, evaluations=n, west=0.2)[1], "region").p for n in (1, 6, 12, 18)
    ]
    assert ps == sorted(ps, reverse=True)
    assert ps[0] == 1 and ps[-1] < 1e-3


def test_a_drift_in_the_midst_is_found_and_dated(reference: dict[str, Any]) -> None:
    state, _ = monitored(reference, evaluations=30)
    state = replace(state, last_at=day(-1))
    table = monitored(reference, state=state, seed=900, west=0.3, evaluations=10)[1]
    row = named(table, "region")
    assert row.state == "alert"
    assert row.since is not None and day(0) <= row.since <= day(4)


def test_a_drift_that_is_gone_is_no_alert_any_more(reference: dict[str, Any]) -> None:
    state, table = monitored(reference, evaluations=10, west=0.3)
    assert "region" in alerts(table)
    table = monitored(reference, state=state, evaluations=30, rows=500, seed=700)[1]
    assert "region" not in alerts(table)


def test_a_change_smaller_than_the_least_effect_is_no_alert(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(100_000, 7)
    large = make_reference(raw, KINDS, risks, labels, out_of_fold=risks)
    row = named(monitored(large, evaluations=3, rows=100_000, west=0.107)[1], "region")
    assert row.p < 1e-4 and 0 < row.effect < monitor.LEAST_EFFECT
    assert row.state == "watching"


def test_an_alert_takes_two_evaluations(reference: dict[str, Any]) -> None:
    state, table = monitored(reference, evaluations=1, rows=2000, shift=1.0)
    assert named(table, "usage").state == "watching"
    empty = bin_rows({}, reference, np.empty(0), None)
    state, table = evaluate_drift(state, reference, empty, day(1))
    assert named(table, "usage").state == "watching"
    table = monitored(reference, evaluations=1, rows=2000, shift=1.0, seed=300, state=state)[1]
    assert named(table, "usage").state == "alert"


def test_a_few_rows_of_the_next_month_do_not_confirm_the_month_before(
    reference: dict[str, Any],
) -> None:
    raw, risks, labels = clients_of(600, 10, shift=1.0)
    who = [f"c{at}" for at in range(600)]
    counts = bin_rows(raw, reference, risks, labels, clients=who)
    state, table = evaluate_drift(initial_state(reference), reference, counts, day(0))
    assert named(table, "usage").state == "watching"
    state, table = evaluate_drift(state, reference, counts[np.arange(40)], day(30))
    assert (named(table, "usage").state, named(table, "usage").n) == ("watching", 600)
    table = evaluate_drift(state, reference, counts[np.arange(40, 600)], day(31))[1]
    assert named(table, "usage").state == "alert"


def test_an_evaluation_without_counts_changes_nothing(reference: dict[str, Any]) -> None:
    state, table = monitored(reference, evaluations=3, west=0.3)
    same, shown = evaluate_drift(state, reference, None, day(9))
    assert same.to_json() == state.to_json()
    assert shown == table


def test_no_row_is_no_data(reference: dict[str, Any]) -> None:
    table = evaluate_drift(initial_state(reference), reference, None, day(0))[1]
    assert {row.state for row in table} == {"no data"}
    assert table[0].name == "risk"
    assert {(row.n, row.p, row.effect, row.since) for row in table} == {(0, 1.0, 0.0, None)}


def test_few_rows_are_too_few(reference: dict[str, Any]) -> None:
    table = monitored(reference, evaluations=29, rows=1, shift=5.0)[1]
    assert {row.state for row in table} == {"too few rows"}


def test_single_rows_add_up(reference: dict[str, Any]) -> None:
    table = monitored(reference, evaluations=60, rows=1, shift=3.0)[1]
    assert {"usage", "risk"} <= alerts(table)


def test_rows_without_labels_say_nothing_of_labels(reference: dict[str, Any]) -> None:
    raw, risks, _ = clients_of(200, 3)
    counts = bin_rows(raw, reference, risks, None)
    table = evaluate_drift(initial_state(reference), reference, counts, day(0))[1]
    assert {row.state for row in table if row.kind in LABELLED} == {"no data"}
    assert named(table, "risk").n == 200


def test_labels_that_come_later_do_not_count_their_rows_again(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(200, 3)
    state, _ = evaluate_drift(
        initial_state(reference), reference, bin_rows(raw, reference, risks, None), day(0)
    )
    late = bin_rows({}, reference, risks, labels)
    table = evaluate_drift(state, reference, late, day(1))[1]
    assert {row.name: row.n for row in table if row.kind == "exits"} == {"exits": 200}
    assert named(table, "risk").n == named(table, "usage").n == 200


def test_a_column_that_is_not_there_has_no_data(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(200, 3)
    del raw["usage"]
    table = evaluate_drift(
        initial_state(reference), reference, bin_rows(raw, reference, risks, labels), day(0)
    )[1]
    assert named(table, "usage").state == named(table, "missing: usage").state == "no data"
    assert named(table, "region").state == "steady"


def test_a_tiny_reference_is_too_few_rows() -> None:
    raw, risks, labels = clients_of(20, 2)
    tiny = make_reference(raw, KINDS, risks, labels, out_of_fold=risks)
    table = monitored(tiny, evaluations=3, shift=9.0)[1]
    assert {row.state for row in table if row.kind not in LABELLED} == {"too few rows"}


def test_without_out_of_fold_risks_the_first_300_labelled_rows_are_the_reference() -> None:
    raw, risks, labels = clients_of(2000, 1)
    own = make_reference(raw, KINDS, risks, labels)
    state, table = monitored(own, evaluations=2)
    row = named(table, "calibration")
    assert (row.state, row.n) == ("too few rows", 0)
    assert row.sentence == "the next 100 labelled rows become the reference"
    assert named(table, "exits").n == 200
    state, table = monitored(own, evaluations=4, state=state, seed=400)
    assert named(table, "labels given the risk").n == 300
    assert "calibration" in alerts(monitored(own, state=state, slope=-0.5, seed=500)[1])


def one_column(old: np.ndarray, new: np.ndarray, kind: str) -> list[DriftRow]:
    """The table of a column x that had these values and has those now, in four evaluations."""
    risks = np.linspace(0.1, 0.9, len(old))
    own = make_reference({"x": old}, {"x": kind}, risks, None)
    state, table = initial_state(own), []
    for at, part in enumerate(np.array_split(new, 4)):
        counts = bin_rows({"x": part}, own, np.resize(risks, len(part)), None)
        state, table = evaluate_drift(state, own, counts, day(at))
    return table


def objects(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@pytest.mark.parametrize(
    ("old", "new", "kind", "state", "missing"),
    [
        (np.full(300, 5.0), np.full(200, 5.0), "number", "steady", "steady"),
        (np.full(300, 5.0), np.full(200, 6.0), "number", "alert", "steady"),
        (np.full(300, 5.0), np.full(200, 4.0), "number", "alert", "steady"),
        (np.full(300, math.nan), np.full(200, math.nan), "number", "no data", "steady"),
        (np.full(300, math.nan), np.full(200, 1.0), "number", "no data", "alert"),
        (np.full(300, 5.0), np.full(200, math.nan), "number", "no data", "alert"),
        (np.arange(300.0), np.full(200, math.inf), "number", "alert", "steady"),
        (np.arange(300.0), np.full(200, -math.inf), "number", "alert", "steady"),
        (objects(["a"] * 300), objects(["b"] * 200), "text", "alert", "steady"),
        (objects([None] * 300), objects(["b"] * 200), "text", "no data", "alert"),
        (objects(["a"] * 300), objects([None] * 200), "text", "no data", "alert"),
        (objects(["a"] * 300), objects(["a"] * 200), "text", "steady", "steady"),
    ],
)
def test_an_odd_column_has_its_state(
    old: np.ndarray, new: np.ndarray, kind: str, state: str, missing: str
) -> None:
    table = one_column(old, new, kind)
    assert (named(table, "x").state, named(table, "missing: x").state) == (state, missing)
    assert all(math.isfinite(row.effect) and 0 < row.p <= 1 for row in table)


def test_risks_that_are_not_numbers_are_left_out(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(100, 3)
    risks[:60] = math.nan
    table = evaluate_drift(
        initial_state(reference), reference, bin_rows(raw, reference, risks, labels), day(0)
    )[1]
    assert named(table, "risk").n == named(table, "exits").n == 40
    assert named(table, "usage").n == 100


def test_the_order_of_columns_does_not_matter(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(200, 3)
    turned = dict(reversed(raw.items()))
    one = evaluate_drift(
        initial_state(reference), reference, bin_rows(raw, reference, risks, labels), day(0)
    )
    other = evaluate_drift(
        initial_state(reference), reference, bin_rows(turned, reference, risks, labels), day(0)
    )
    assert one[1] == other[1]
    assert one[0].to_json() == other[0].to_json()


def test_parts_add_up_to_the_whole(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(300, 3)
    who = [f"c{at % 200}" for at in range(300)]
    whole = bin_rows(raw, reference, risks, labels, clients=who)

    def part(rows: slice) -> BinnedRows:
        some = {name: values[rows] for name, values in raw.items()}
        return bin_rows(some, reference, risks[rows], labels[rows], clients=who[rows])

    parts = part(slice(0, 70)) + part(slice(70, 70)) + part(slice(70, 300))
    one, other = (
        evaluate_drift(initial_state(reference), reference, c, day(0)) for c in (whole, parts)
    )
    assert one[0].to_json() == other[0].to_json()
    assert one[1] == other[1]


def months(
    reference: dict[str, Any], table: Table, who: list[str], evaluations: int, per_month: int
) -> list[DriftRow]:
    """The table after the same rows have come again and again, a month in so many evaluations."""
    state, rows = initial_state(reference), []
    counts = bin_rows(table[0], reference, table[1], table[2], clients=who)
    for at in range(evaluations):
        here = np.array_split(np.arange(len(who)), per_month)[at % per_month]
        state, rows = evaluate_drift(state, reference, counts[here], day(at * 30 // per_month))
    return rows


@pytest.mark.parametrize("per_month", [1, 10])
def test_the_references_clients_with_the_same_values_are_no_evidence(per_month: int) -> None:
    table = clients_of(300, 8)
    who = [f"c{at}" for at in range(300)]
    own = make_reference(table[0], KINDS, table[1], table[2], clients=who, out_of_fold=table[1])
    rows = months(own, table, who, 24, per_month)
    assert {row.state for row in rows} == {"steady"}
    assert {row.p for row in rows} == {1.0}
    assert named(rows, "risk").n == named(rows, "exits").n == 300


def test_other_clients_that_come_again_are_no_new_evidence_each_month() -> None:
    """200 clients for two years, 12 draws of them, against a large reference."""
    raw, risks, labels = clients_of(20_000, 9)
    large = make_reference(raw, KINDS, risks, labels, out_of_fold=risks)
    who = [f"c{at}" for at in range(200)]
    found = [alerts(months(large, clients_of(200, 40 + draw), who, 24, 1)) for draw in range(12)]
    assert sum(map(bool, found)) <= 1


def test_clients_that_come_again_changed_are_seen(reference: dict[str, Any]) -> None:
    table, who = clients_of(400, 10, shift=0.8), [f"c{at}" for at in range(400)]
    assert {"usage", "risk"} <= alerts(months(reference, table, who, 8, 4))


def test_a_client_counts_once_in_a_window(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(100, 3)
    who = [f"c{at % 40}" for at in range(100)]
    counts = bin_rows(raw, reference, risks, labels, clients=who)
    table = evaluate_drift(initial_state(reference), reference, counts, day(0))[1]
    assert named(table, "risk").n == named(table, "exits").n == 40


def test_a_window_ends_when_most_clients_are_known_ones() -> None:
    window = Window()
    first, again = np.arange(100), np.arange(50, 250)
    window, counted, began = count_once(window, first)
    assert (int(counted.sum()), began, window.clients) == (100, True, 100)
    window, counted, began = count_once(window, again)
    assert (int(counted.sum()), began, window.clients) == (150, False, 250)
    window, counted, began = count_once(window, again)
    assert (int(counted.sum()), began, window.clients) == (200, True, 200)


def test_a_window_ends_at_ten_thousand_clients() -> None:
    window, clients = replace(Window(), clients=9_990), np.arange(20)
    window, _, began = count_once(window, clients)
    assert (window.clients, began) == (10_010, False)
    window, _, began = count_once(window, clients + 100)
    assert (window.clients, began) == (20, True)


def test_each_window_has_its_own_risks(reference: dict[str, Any]) -> None:
    raw, _, labels = clients_of(200, 3)
    state, who = initial_state(reference), [f"c{at}" for at in range(200)]
    for at, risk in enumerate((0.6, 0.2)):
        counts = bin_rows(raw, reference, np.full(200, risk), labels, clients=who)
        state, table = evaluate_drift(state, reference, counts, day(30 * at))
    assert "now 20 % where" in named(table, "calibration").sentence


def test_rows_without_a_client_all_count() -> None:
    window, unknown = Window(), np.full(60, UNKNOWN)
    for _ in range(3):
        window, counted, _ = count_once(window, unknown)
        assert counted.all()
    assert window.clients == 180


def test_the_state_survives_json(reference: dict[str, Any]) -> None:
    state, _ = monitored(reference, evaluations=5, west=0.3)
    written = json.dumps(state.to_json(), allow_nan=False)
    again = MonitorState.from_json(json.loads(written))
    assert again.to_json() == state.to_json()
    raw, risks, labels = clients_of(100, 77)
    counts = bin_rows(raw, reference, risks, labels)
    one, other = (evaluate_drift(w, reference, counts, day(6)) for w in (state, again))
    assert one[1] == other[1]
    assert one[0].to_json() == other[0].to_json()


def test_the_state_stays_small() -> None:
    rng = np.random.default_rng(4)
    raw = {f"number {at}": rng.normal(size=2000) for at in range(15)}
    raw |= {
        f"text {at}": np.array([f"level {i}" for i in rng.integers(0, 30, 2000)], object)
        for at in range(15)
    }
    kinds, risks = {name: name.split()[0] for name in raw}, rng.random(2000)
    own = make_reference(raw, kinds, risks, None)
    state = initial_state(own)
    for at in range(6):
        who = [f"{at}-{i}" for i in range(2000)]
        counts = bin_rows(raw, own, risks, (risks > 0.5).astype(float), clients=who)
        state, _ = evaluate_drift(state, own, counts, day(at))
    assert len(json.dumps(state.to_json())) < 120_000


def test_a_state_of_another_reference_begins_anew(reference: dict[str, Any]) -> None:
    state, _ = monitored(reference, evaluations=5, west=0.3)
    raw, risks, labels = clients_of(500, 2)
    other = make_reference(raw, KINDS, risks, labels, out_of_fold=risks)
    fresh, table = evaluate_drift(state, other, None, day(9))
    assert fresh.to_json() == initial_state(other).to_json()
    assert {row.state for row in table} == {"no data"}


def test_a_reference_of_a_newer_version_is_refused(reference: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match="newer version"):
        initial_state({**reference, "format": 99})


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"shift": 0.8}, "usage", "values above"),
        ({"shift": -9}, "usage", "values below"),
        ({"west": 0.3}, "region", "west was"),
        ({"new_plan": 0.3}, "plan", "other levels than those known were"),
        ({"gone": 0.3}, "missing: seats", "missing was"),
        ({"exits": 1.0}, "exits", "exits were"),
        ({"slope": 0.0}, "calibration", "the mean risk was"),
        ({"slope": 0.0}, "labels given the risk", "at a risk of"),
    ],
)
def test_a_sentence_says_what_it_was_and_what_it_is(
    reference: dict[str, Any], change: dict[str, float], name: str, words: str
) -> None:
    sentence = named(monitored(reference, evaluations=10, **change)[1], name).sentence
    assert sentence.startswith(words)
    assert "reference" in sentence and "now" in sentence and sentence.count("%") >= 2


def test_the_numbers_of_a_sentence_are_those_of_the_rows(reference: dict[str, Any]) -> None:
    raw, risks, labels = clients_of(1000, 5, west=0.3)
    table = evaluate_drift(
        initial_state(reference), reference, bin_rows(raw, reference, risks, labels), day(0)
    )[1]
    share = round(100 * float((raw["region"] == "west").mean()))
    assert f"now {share} % of the newest 1,000" in named(table, "region").sentence
    row = named(table, "calibration").sentence
    assert f"now {round(100 * risks.mean())} % where {round(100 * labels.mean())} % leave" in row


def test_the_budget_adds_up_to_one_alert_a_year(reference: dict[str, Any]) -> None:
    tests = monitored_tests(reference)
    assert tests.budget.sum() == pytest.approx(BUDGET) == pytest.approx(1.0)
    assert tests.prior.sum(axis=0).tolist() == pytest.approx([1.0] * len(tests.tests))
    stakes = [monitor._stake(day(at), day(at + 1)) for at in range(365)]
    assert sum(stakes) == pytest.approx(1, abs=0.01)


def test_two_evaluations_are_worth_what_the_formulas_say(reference: dict[str, Any]) -> None:
    """The exits' first alternative (20 rows of the reference's shares, half-life 200)."""
    state, value, old = initial_state(reference), 0.0, np.zeros(2)
    stays, left = reference["exits"]
    start = np.array([stays, left])
    recent = np.zeros(2)
    for at, rows in enumerate((60, 40)):
        raw, risks, labels = clients_of(rows, 50 + at, exits=1.0)
        state, _ = evaluate_drift(
            state, reference, bin_rows(raw, reference, risks, labels), day(73 * at)
        )
        new = np.array([(labels == 0).sum(), (labels == 1).sum()], dtype=float)
        ratio = chance(20 * start / start.sum() + recent, new) / chance(start + old, new)
        stake = 0.2 * (1 / 12 if at == 0 else 73 / 365.25)
        value = (value + stake) * ratio
        old, recent = old + new, recent * 0.5 ** (rows / 200) + new
    exits = [name for _, name in monitored_tests(reference).tests].index("exits")
    assert math.exp(state.log_values[0, exits]) == pytest.approx(value, rel=1e-3)


def chance(urn: np.ndarray, counts: np.ndarray) -> float:
    """By the standard library's gamma function."""
    total = math.lgamma(urn.sum()) - math.lgamma(urn.sum() + counts.sum())
    return math.exp(
        total + sum(math.lgamma(a + n) - math.lgamma(a) for a, n in zip(urn, counts, strict=True))
    )


def test_evidence_does_not_grow_on_the_mean_while_nothing_is_wrong() -> None:
    """150 references of 100 rows, one evaluation of 60 more each, seeds from 20,000: stake 1/12."""
    value = []
    for seed in range(150):
        raw, risks, labels = clients_of(160, 20_000 + seed)
        old = {name: values[:100] for name, values in raw.items()}
        new = {name: values[100:] for name, values in raw.items()}
        own = make_reference(old, KINDS, risks[:100], labels[:100], out_of_fold=risks[:100])
        counts = bin_rows(new, own, risks[100:], labels[100:])
        state = monitor.add_rows(initial_state(own), monitored_tests(own), counts, day(0))
        value.append(np.exp(state.log_values).sum(axis=0))
    assert 0.5 < np.mean(value) * 12 < 1.25
    assert np.mean(value, axis=0).max() * 12 < 2


def test_the_benchmark_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "benchmarks/drift.py"), "--smoke"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "years with an alert" in done.stdout

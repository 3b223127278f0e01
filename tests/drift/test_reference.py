"""The reference: what is counted in it, and that the bins of new rows agree with it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from risk.drift.reference import (
    LEAST_ROWS,
    LEVELS,
    MISSING,
    bin_indices,
    client_hashes,
    level_name,
    make_reference,
    reference_checksum,
    row_weights,
)


def texts(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def reference(values: np.ndarray, kind: str, **more: Any) -> dict[str, Any]:
    """The reference of one column x, with risks spread evenly."""
    risks = np.linspace(0.05, 0.95, len(values))
    return make_reference({"x": values}, {"x": kind}, risks, more.pop("labels", None), **more)


def bins(values: np.ndarray, found: dict[str, Any]) -> list[int]:
    return bin_indices({"x": values}, np.full(len(values), 0.5), found)[:, 1].tolist()


def test_a_number_has_bins_of_equal_shares_and_one_gap_at_either_end() -> None:
    column = reference(np.arange(800.0), "number")["columns"]["x"]
    assert column["counts"] == [1, 99, *[100] * 7, 1]
    assert (column["least"], column["most"]) == (0, 799)


@pytest.mark.parametrize(
    ("value", "bin"),
    [(-1, 1), (-math.inf, 1), (0, 2), (99, 2), (99.5, 3), (799, 9), (800, 10), (math.inf, 10)],
)
def test_a_number_falls_into_its_bin(value: float, bin: int) -> None:
    found = reference(np.arange(800.0), "number")
    assert bins(np.array([value, math.nan]), found) == [bin, MISSING]


def test_a_new_value_falls_into_each_bin_with_the_chance_that_its_count_says() -> None:
    """2,000 references of 40 exponential values and one new one each, seed 21."""
    rng = np.random.default_rng(21)
    hits, chances = np.zeros(10), np.zeros(10)
    for _ in range(2000):
        values = rng.exponential(size=41)
        found = reference(values[:40], "number")
        counts = np.array(found["columns"]["x"]["counts"])
        chances += counts / counts.sum() / 2000
        hits[bins(values[40:], found)[0] - 1] += 1 / 2000
    assert np.abs(hits - chances).max() < 3.5 * math.sqrt(0.12 * 0.88 / 2000)


def test_a_constant_number_has_a_bin_for_less_and_one_for_more() -> None:
    found = reference(np.full(50, 7.0), "number")
    assert found["columns"]["x"]["counts"] == [1, 49, 1]
    assert bins(np.array([6.0, 7.0, 8.0]), found) == [1, 2, 3]


def test_many_equal_numbers_share_a_bin() -> None:
    values = np.concatenate([np.zeros(60), np.arange(1.0, 41.0)])
    column = reference(values, "number")["columns"]["x"]
    assert column["counts"][1] == 59
    assert sum(column["counts"]) == 101


@pytest.mark.parametrize(
    ("values", "kind"), [(np.full(40, math.nan), "number"), (texts([None, ""] * 20), "text")]
)
def test_a_column_without_a_value_has_its_missing_share_alone(
    values: np.ndarray, kind: str
) -> None:
    column = reference(values, kind)["columns"]["x"]
    assert column["counts"] == []
    assert column["missing"] == [0.5, 40.5]


def test_levels_are_counted_by_name_and_an_unseen_one_is_another() -> None:
    found = reference(texts(["b"] * 30 + ["a"] * 20 + [None] * 10), "text")
    assert found["columns"]["x"]["levels"] == ["a", "b"]
    assert found["columns"]["x"]["counts"] == [20, 30, 0.5]
    assert bins(texts(["a", "b", "c", None, ""]), found) == [1, 2, 3, 0, 0]


def test_levels_met_once_say_how_often_new_ones_are_to_be_expected() -> None:
    found = reference(texts(["a"] * 40 + ["b", "c", "d"]), "text")
    assert found["columns"]["x"]["counts"][-1] == 3.5


def test_levels_named_for_being_common_are_not_counted_where_they_were_named() -> None:
    """200 levels of the same share, 2,000 rows, seed 22: what is named counts no more than it is.

    Named and counted in the same rows the 20 commonest would hold 17 % of them, not 10.
    """
    rng = np.random.default_rng(22)
    column = reference(texts(rng.integers(0, 200, 2000).astype(str).tolist()), "text")["columns"]
    counts = np.array(column["x"]["counts"])
    assert len(counts) == LEVELS + 1
    assert 0.07 < counts[:-1].sum() / counts.sum() < 0.13


def test_long_levels_stay_short_and_apart() -> None:
    first, second = level_name("x" * 500 + "1"), level_name("x" * 500 + "2")
    assert first is not None and second is not None
    assert first != second
    assert max(len(first), len(second)) <= 40


def test_a_client_with_many_rows_counts_once() -> None:
    clients = ["one"] * 50 + [f"c{at}" for at in range(50)]
    found = reference(texts(["a"] * 50 + ["b"] * 50), "text", clients=clients)
    assert found["clients"] == 51
    assert found["columns"]["x"]["counts"][:2] == [1, 50]


def test_rows_without_a_client_count_each() -> None:
    assert row_weights(client_hashes(["a", "a", None, "", None], 5)).tolist() == [0.5, 0.5, 1, 1, 1]


def test_exits_and_labels_by_quarter_come_from_labelled_rows_with_out_of_fold_risks() -> None:
    labels = np.tile([0.0, 1.0, 0.0, np.nan], 50)
    risks = np.linspace(0.05, 0.95, 200)
    out_of_fold = np.where(np.arange(200) < 100, risks, np.nan)
    found = reference(np.arange(200.0), "number", labels=labels, out_of_fold=out_of_fold)
    assert found["exits"] == [100.5, 50.5]
    counts = np.array(found["labels"]["counts"])
    assert counts.sum() == 75 + 4
    assert counts[:, 1].sum() == 25 + 2
    assert max(found["labels"]["cuts"]) < 0.5


def test_without_out_of_fold_risks_the_label_reference_is_left_to_the_next_rows() -> None:
    found = reference(np.arange(200.0), "number", labels=np.zeros(200))
    assert found["labels"]["counts"] is None
    assert found["labels"]["cuts"] == pytest.approx([0.275, 0.5, 0.725])
    few = reference(np.arange(20.0), "number", labels=np.zeros(20))
    assert few["exits"] is None and LEAST_ROWS > 20


def test_thirty_columns_fit_into_40_kilobytes_and_json() -> None:
    rng = np.random.default_rng(23)
    raw = {f"number {at}": rng.normal(size=500) * 1e-7 for at in range(15)}
    raw |= {f"text {at}": texts([f"{i % 60:060d}" for i in range(500)]) for at in range(15)}
    kinds = {name: name.split()[0] for name in raw}
    found = make_reference(raw, kinds, rng.random(500), None)
    written = json.dumps(found, allow_nan=False)
    assert len(written) < 40_000
    assert json.loads(written) == found


def test_the_order_of_columns_does_not_matter() -> None:
    rng = np.random.default_rng(24)
    raw = {"a": rng.normal(size=60), "b": rng.normal(size=60)}
    risks, kinds = rng.random(60), {"a": "number", "b": "number"}
    one = make_reference(raw, kinds, risks, None)
    other = make_reference(dict(reversed(raw.items())), dict(reversed(kinds.items())), risks, None)
    assert reference_checksum(one) == reference_checksum(other)
    assert (
        bin_indices(raw, risks, one).tolist()
        == bin_indices(dict(reversed(raw.items())), risks, other).tolist()
    )


def test_a_reference_of_very_many_rows_is_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk.drift.reference.PROFILE_ROWS", 100)
    found = reference(np.arange(1000.0), "number")
    assert found["rows"] == 100


def test_an_empty_reference_is_one() -> None:
    found = make_reference({"x": np.empty(0)}, {"x": "number"}, np.empty(0), np.empty(0))
    assert found["rows"] == 0
    assert found["columns"]["x"]["counts"] == []

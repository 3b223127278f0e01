"""Whom to call: the length of the list, the cut by profit, the bands, and what they promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project

from risk.calllist.gains import best_profit, best_profit_words, gains_table, profit_of
from risk.calllist.policy import (
    Economics,
    band,
    capacity_of,
    choose_calls,
    client_values,
    economics_of,
    unknown_reason,
)
from risk.config import Config
from risk.model.measures import cumulative_gains

RISKS = np.array([0.9, 0.6, 0.5, 0.5, 0.2, 0.1, 0.05, 0.04, 0.03, 0.02])
SAME = np.full(RISKS.size, 100.0)
PLACED = [""] * RISKS.size
SPARSE = "3 of 4 values are missing"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Project(tmp_path).configure()


def called(config: Config, risks: np.ndarray = RISKS, values: np.ndarray = SAME) -> list[int]:
    return np.flatnonzero(choose_calls(config, risks, values, PLACED)[0]).tolist()


# ---------------------------------------------------------------- how many


@pytest.mark.parametrize(("capacity", "clients", "calls"), [
    (0, 0, 0), (0, 1, 1), (0, 9, 1), (0, 120, 12), (0, 500, 50), (0, 4139, 50),
    (7, 120, 7), (7, 3, 3), (200, 4139, 200), (7, 0, 0),
])  # fmt: skip
def test_a_tenth_is_called_at_most_50_at_least_one_or_as_many_as_configured(
    config: Config, capacity: int, clients: int, calls: int
) -> None:
    assert capacity_of(replace(config, capacity=capacity), clients) == calls


def test_without_money_the_highest_risks_are_called(config: Config) -> None:
    found, cut = choose_calls(replace(config, capacity=3), RISKS, SAME, PLACED)

    assert np.flatnonzero(found).tolist() == [0, 1, 2]  # of two equal risks, the first
    assert (cut.called, cut.of, cut.capacity) == (3, 10, 3)
    assert cut.how == "the 3 with the highest risk"


def test_a_list_of_nobody_calls_nobody_and_says_so(config: Config) -> None:
    found, cut = choose_calls(config, np.zeros(0), np.zeros(0), [])

    assert found.shape == (0,) and cut.called == 0
    assert cut.how == "there is no current client"


# ---------------------------------------------------------------- who cannot be placed


@pytest.mark.parametrize(("capacity", "calls", "how"), [
    (3, [1, 3, 4], "the 3 with the highest risk; 2 without enough data left out"),
    (9, [1, 3, 4, 5, 6, 7, 8, 9], "the 8 with the highest risk; 2 without enough data left out"),
])  # fmt: skip
def test_who_cannot_be_placed_is_not_called_and_the_next_one_is(
    config: Config, capacity: int, calls: list[int], how: str
) -> None:
    unknown = [SPARSE, "", SPARSE, *PLACED[3:]]

    found, cut = choose_calls(replace(config, capacity=capacity), RISKS, SAME, unknown)

    assert np.flatnonzero(found).tolist() == calls and cut.how == how
    assert cut.called == len(calls)


def test_a_call_that_would_pay_is_not_made_on_a_risk_that_cannot_be_placed(
    config: Config,
) -> None:
    unknown = [SPARSE, *PLACED[1:]]

    found, cut = choose_calls(replace(config, **MONEY), RISKS, SAME, unknown)

    assert np.flatnonzero(found).tolist() == [1, 2, 3]
    assert cut.how.endswith("more than it costs; 1 without enough data left out")


@pytest.mark.parametrize("money", [False, True])
def test_a_model_that_cannot_rank_has_nobody_called_and_the_cut_says_why(
    config: Config, money: bool
) -> None:
    doubt = unknown_reason(0, 4, [0.45, 0.7])
    settings: dict[str, Any] = {"capacity": 3, **(MONEY if money else {})}

    found, cut = choose_calls(replace(config, **settings), RISKS, SAME, [doubt] * 10)

    assert not found.any() and cut.called == 0
    assert cut.how == f"{doubt}; the list is in the order of risk all the same"


def test_where_every_client_lacks_values_it_is_said(config: Config) -> None:
    unknown = [SPARSE, "4 of 4 values are missing"]

    found, cut = choose_calls(config, RISKS[:2], SAME[:2], unknown)

    assert not found.any()
    assert cut.how == "more than half of the values of every client are missing"


# ---------------------------------------------------------------- money


MONEY = {"contact_cost": 20.0, "client_value": 100.0, "success_rate": 0.5}


@pytest.mark.parametrize(("changed", "calls"), [
    ({}, [0, 1, 2, 3]),                                   # pays from a risk of .4 on
    ({"capacity": 2}, [0, 1]),
    ({"capacity": 9}, [0, 1, 2, 3]),                      # never one that loses money
    ({"contact_cost": 25.0}, [0, 1]),                     # at .5 nothing is won
    ({"success_rate": 1.0}, [0, 1, 2, 3]),                # at .2 nothing is won
    ({"contact_cost": 1.0}, [0, 1, 2, 3, 4, 5, 6, 7, 8]),  # at .02 nothing is won
    ({"contact_cost": 60.0}, []),
    ({"success_rate": 0.0}, []),
    ({"contact_cost": 0.0}, [0]),                         # every call pays: a tenth
    ({"contact_cost": 0.0, "capacity": 5}, [0, 1, 2, 3, 4]),
])  # fmt: skip
def test_the_expected_profit_makes_the_cut(
    config: Config, changed: dict[str, Any], calls: list[int]
) -> None:
    assert called(replace(config, **MONEY | changed)) == calls


def test_it_is_said_how_the_profit_made_the_cut(config: Config) -> None:
    _, cut = choose_calls(replace(config, **MONEY), RISKS, SAME, PLACED)

    assert cut.how == "those whose call is expected to bring more than it costs"
    _, limited = choose_calls(replace(config, **MONEY, capacity=2), RISKS, SAME, PLACED)
    assert limited.how == "those whose call is expected to pay most, at most 2"


def test_where_no_call_pays_nobody_is_called_and_it_is_said(config: Config) -> None:
    found, cut = choose_calls(
        replace(config, **MONEY | {"contact_cost": 60.0}), RISKS, SAME, PLACED
    )

    assert not found.any() and cut.called == 0
    assert cut.how == "no call is expected to bring more than it costs"


def test_a_valuable_client_of_low_risk_is_called_before_a_cheap_one_of_high_risk(
    config: Config,
) -> None:
    values = np.where(np.arange(RISKS.size) == 5, 10_000.0, 100.0)

    assert called(replace(config, **MONEY, capacity=2), values=values) == [0, 5]


@pytest.mark.parametrize(("changed", "value_column", "known"), [
    ({}, "", False), ({"contact_cost": 5.0}, "", False), ({"client_value": 7.0}, "", True),
    ({"contact_cost": 5.0}, "fees", True), ({}, "fees", False),
])  # fmt: skip
def test_only_a_worth_beside_a_cost_makes_economics(
    tmp_path: Path, changed: dict[str, Any], value_column: str, known: bool
) -> None:
    columns = {"columns": {"value": value_column}} if value_column else {}
    config = Project(tmp_path).configure(**columns, **changed)

    assert (economics_of(config) is not None) == known


def test_an_unknown_value_counts_as_the_configured_worth() -> None:
    assert client_values([None, 5, 0], 30.0).tolist() == [30.0, 5.0, 0.0]


# ---------------------------------------------------------------- profit on the test data


def reached(share: float, n: int, precision: float) -> dict[str, Any]:
    return {
        "share": share, "called": n, "precision": precision,
        "precision_interval": [precision - 0.1, precision + 0.1],
        "at_random": {"precision": 0.2},
    }  # fmt: skip


REACHED = [reached(0.1, 10, 0.8), reached(0.2, 20, 0.7), reached(0.5, 50, 0.35)]


def test_the_most_profitable_share_has_an_interval_and_its_profit_at_random() -> None:
    found = best_profit(REACHED, 100, Economics(20.0, 100.0, 0.5))

    # 20 calls: 100 x (.5 x .7 x 100 - 20) x 20/100; ten bring 200, fifty lose money
    assert found["share"] == 0.2 and found["per_100_clients"] == pytest.approx(300)
    assert found["interval"] == pytest.approx([200, 400])
    assert found["at_random"] == pytest.approx(-200)


def test_where_every_share_loses_money_the_best_is_to_call_nobody() -> None:
    found = best_profit(REACHED, 100, Economics(60.0, 100.0, 0.5))

    assert (found["share"], found["per_100_clients"], found["interval"]) == (0, 0, [0, 0])


@pytest.mark.parametrize(("cost", "said"), [
    (20.0, "most profitable: calls to the riskiest 20% earn 300.00 per 100 clients "
     "(95 % 200.00 to 400.00), as many at random -200.00"),
    (60.0, "by the outcomes no share of clients is worth its calls"),
])  # fmt: skip
def test_the_best_profit_is_told_in_a_sentence(cost: float, said: str) -> None:
    assert best_profit_words(best_profit(REACHED, 100, Economics(cost, 100.0, 0.5))) == said


def test_the_profit_at_the_cut_may_be_a_loss() -> None:
    found = profit_of(REACHED[2], 200, Economics(20.0, 100.0, 0.5))

    # 50 of 200: 100 x (.5 x .35 x 100 - 20) x 50/200
    assert found["per_100_clients"] == pytest.approx(-62.5)
    assert found["interval"] == pytest.approx([-187.5, 62.5])
    assert found["at_random"] == pytest.approx(-250)


# ---------------------------------------------------------------- what calls reach


def test_the_table_of_the_reach_holds_every_share_the_list_and_the_calls_at_random() -> None:
    y = np.repeat([1, 0, 1, 0], [8, 2, 12, 78])
    shares = (0.05, 0.1, 0.5)
    entries = cumulative_gains(y, np.linspace(1, 0, 100), shares)

    lines = gains_table(entries, cumulative_gains(y, np.linspace(1, 0, 100), (0.075,))[0])

    assert [line[:20].strip() for line in lines] == [
        "riskiest", "5%", "7.5% (the list)", "10%", "50%", "at random"]  # fmt: skip
    ten, (low, high) = entries[1], entries[1]["precision_interval"]
    assert lines[3][22:].split("  ")[0] == f"80 ({100 * low:.0f} to {100 * high:.0f})"
    assert " 40 (22 to 61) " in lines[3] and lines[3].rstrip().endswith(
        f"4.0 ({low / 0.2:.1f} to {high / 0.2:.1f})")  # fmt: skip
    assert ten["recall"] == 0.4 and lines[-1].split()[2] == "20"


def test_the_table_says_unknown_where_nobody_left() -> None:
    lines = gains_table(
        cumulative_gains(np.zeros(20, dtype=int), np.linspace(1, 0, 20), (0.5,)), None
    )

    assert len(lines) == 3 and lines[1].split()[-2:] == ["unknown", "unknown"]


# ---------------------------------------------------------------- bands


@pytest.mark.parametrize(("risk", "on_list", "unknown", "word"), [
    (0.9, True, "", "high"),
    (0.01, True, "", "high"),
    (0.9, False, "", "raised"),
    (0.375, False, "", "raised"),
    (0.374, False, "", "low"),
    (0.9, True, "why", "not enough data"),
    (0.01, False, "why", "not enough data"),
])  # fmt: skip
def test_the_band_is_a_word(risk: float, on_list: bool, unknown: str, word: str) -> None:
    assert band(risk, called=on_list, average=0.25, unknown=unknown) == word


@pytest.mark.parametrize(("missing", "interval", "said"), [
    (0, [0.6, 0.9], ""),
    (2, [0.6, 0.9], ""),
    (3, [0.6, 0.9], "3 of 4 values are missing"),
    (3, None, "3 of 4 values are missing"),
    (0, [0.45, 0.7], "the model cannot tell who leaves from who stays yet: its AUC lies between "
     "0.45 and 0.70, and 0.5 is a guess"),
    (0, [0.5, 0.7], "the model cannot tell who leaves from who stays yet: its AUC lies between "
     "0.50 and 0.70, and 0.5 is a guess"),
    (0, [0.501, 0.7], ""),
    (4, [0.45, 0.7], "the model cannot tell who leaves from who stays yet: its AUC lies between "
     "0.45 and 0.70, and 0.5 is a guess"),
])  # fmt: skip
def test_not_enough_data_has_its_reason(
    missing: int, interval: list[float] | None, said: str
) -> None:
    assert unknown_reason(missing, 4, interval) == said

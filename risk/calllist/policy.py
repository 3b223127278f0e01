"""Whom to call: where the list is cut, and each client's band."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from risk.calllist.types import HIGH, LOW, RAISED_BAND, UNKNOWN, Cut
from risk.config import Config
from risk.files import read_optional_json

MOST_BY_DEFAULT, SHARE_BY_DEFAULT = 50, 0.1
RAISED, GUESS = 1.5, 0.5  # times the average client's risk; the AUC of a coin
NO_RANKING = "the model cannot tell who leaves from who stays yet"


@dataclass(frozen=True)
class Economics:
    """What a call costs, a kept client is worth, how often a call keeps one who would leave."""

    contact_cost: float
    client_value: float
    success_rate: float

    def profit(self, risks: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Expected profit of calling each client, in the currency of the cost. Shape (n,)."""
        return self.success_rate * risks * values - self.contact_cost


def economics_of(config: Config) -> Economics | None:
    """The economics of the config; None where it names no worth of a client, or neither a worth nor
    the cost of a call: then a call's profit is turnover alone, and a few large clients of low risk
    would fill the list (12 of 169 called left, of a company where 24 of 240 leave each month).
    """
    if not (config.client_value or (config.columns.value and config.contact_cost)):
        return None
    return Economics(config.contact_cost, config.client_value, config.success_rate)


def capacity_of(config: Config, clients: int) -> int:
    """How many can be called: as configured, else a tenth of the clients, at most 50."""
    if config.capacity:
        return min(config.capacity, clients)
    return min(MOST_BY_DEFAULT, max(1, round(SHARE_BY_DEFAULT * clients))) if clients else 0


def client_values(values: list[Any], default: float) -> np.ndarray:
    """Each client's value, the configured one where it is not known. Shape (n,)."""
    return np.array([default if value is None else value for value in values], dtype=np.float64)


def mean_economics(config: Config) -> Economics | None:
    """The economics for clients of unknown worth: that of the config, else the column's mean."""
    money = economics_of(config)
    if money is None or money.client_value:
        return money
    columns = read_optional_json(config.summary).get("columns", {})
    mean = columns.get(config.columns.value, {}).get("mean")
    return replace(money, client_value=mean) if mean else None


def choose_calls(
    config: Config, risks: np.ndarray, values: np.ndarray, unknown: list[str]
) -> tuple[np.ndarray, Cut]:
    """(which clients to call, how that was decided).

    risks: the highest first; of equal ones the first is called. With economics: those whose call
    is expected to pay, the most profitable first; without: those with the highest risk.
    unknown: why a client cannot be placed, "" if it can; nobody is called on a risk like that.
    """
    money = economics_of(config)
    gain = money.profit(risks, values) if money else risks
    placed = np.array([not why for why in unknown], dtype=bool)
    order = np.argsort(-gain, kind="stable")  # of equal gains the first by rank
    order = order[placed[order]][: _limit_of(config, risks.size)]
    if money:
        order = order[gain[order] > 0]  # also below the capacity: no call that costs more
    called = np.zeros(risks.size, dtype=bool)
    called[order] = True
    size, capacity = int(called.sum()), config.capacity or None
    return called, Cut(size, int(risks.size), capacity, _how_cut(config, size, unknown))


def _limit_of(config: Config, clients: int) -> int:
    """The most that are called: the capacity, or all where the cost of a call makes the cut.

    Where calls cost nothing every call pays, and a cut by profit would call everybody.
    """
    by_profit = economics_of(config) and config.contact_cost and not config.capacity
    return clients if by_profit else capacity_of(config, clients)


def _how_cut(config: Config, called: int, unknown: list[str]) -> str:
    """In words, how the list was cut; why nobody is to be called where that is so."""
    left_out, clients = len(unknown) - unknown.count(""), len(unknown)
    if not clients:
        return "there is no current client"
    if left_out == clients:
        # The first stands for all: this reason is the model's, not a client's.
        if unknown[0].startswith(NO_RANKING):
            return f"{unknown[0]}; the list is in the order of risk all the same"
        return "more than half of the values of every client are missing"
    if not called:
        return "no call is expected to bring more than it costs"
    limit = capacity_of(config, clients)
    if not economics_of(config):
        how = f"the {called:,} with the highest risk"
    elif _limit_of(config, clients) > limit:
        how = "those whose call is expected to bring more than it costs"
    else:
        how = f"those whose call is expected to pay most, at most {limit:,}"
    return f"{how}; {left_out:,} without enough data left out" if left_out else how


def band(risk: float, *, called: bool, average: float, unknown: str) -> str:
    """The word for a risk: on the call list, at least 1.5 times the average client's, or lower."""
    if unknown:
        return UNKNOWN
    if called:
        return HIGH
    return RAISED_BAND if risk >= RAISED * average else LOW


def unknown_reason(missing: int, features: int, auc_interval: list[float] | None) -> str:
    """Why a client cannot be placed, "" if it can."""
    # First: where the model ranks nobody, what a client lacks is not the reason.
    if auc_interval and auc_interval[0] <= GUESS:
        return (
            f"{NO_RANKING}: its AUC lies between "
            f"{auc_interval[0]:.2f} and {auc_interval[1]:.2f}, and 0.5 is a guess"
        )
    if missing * 2 > features:
        return f"{missing} of {features} values are missing"
    return ""

"""Whom to call: where the list is cut, what that is expected to bring, and each client's band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from risk.config import Config

MOST_BY_DEFAULT, SHARE_BY_DEFAULT = 50, 0.1
RAISED = 1.5
HIGH, RAISED_BAND, LOW, UNKNOWN = "high", "raised", "low", "not enough data"


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
    """The economics of the config; None where it names no worth of a client."""
    if not config.client_value and not config.columns.value:
        return None
    return Economics(config.contact_cost, config.client_value, config.success_rate)


def capacity_of(config: Config, clients: int) -> int:
    """How many can be called: as configured, else a tenth of the clients, at most 50."""
    if config.capacity:
        return min(config.capacity, clients)
    return min(MOST_BY_DEFAULT, max(1, round(SHARE_BY_DEFAULT * clients))) if clients else 0


def worth(values: list[Any], default: float) -> np.ndarray:
    """Each client's value, the configured one where it is not known. Shape (n,)."""
    return np.array([default if value is None else value for value in values], dtype=np.float64)


def chosen(
    config: Config, risks: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """(which clients to call, how that was decided and what it is expected to bring).

    risks: the highest first; of equal ones the first is called. With economics: those whose call
    is expected to pay, the most profitable first; without: those with the highest risk.
    """
    money = economics_of(config)
    gain = money.profit(risks, values) if money else risks
    order = np.argsort(-gain, kind="stable")[: limit_of(config, risks.size)]
    if money:
        order = order[gain[order] > 0]
    called = np.zeros(risks.size, dtype=bool)
    called[order] = True
    cut: dict[str, Any] = {
        "called": int(called.sum()),
        "of": int(risks.size),
        "capacity": config.capacity or None,
        "how": how_cut(config, int(called.sum()), risks.size),
    }
    cut |= _expected("leavers", risks, called)
    if money:
        cut |= _expected("profit", gain, called)
    return called, cut


def limit_of(config: Config, clients: int) -> int:
    """The most that are called: the capacity, or all where the cost of a call makes the cut.

    Where calls cost nothing every call pays, and a cut by profit would call everybody.
    """
    by_profit = economics_of(config) and config.contact_cost and not config.capacity
    return clients if by_profit else capacity_of(config, clients)


def how_cut(config: Config, called: int, clients: int) -> str:
    """In words, how the list was cut; why nobody is to be called where that is so."""
    if not clients:
        return "there is no current client"
    if not called:
        return "no call is expected to bring more than it costs"
    limit = capacity_of(config, clients)
    if not economics_of(config):
        return f"the {limit:,} with the highest risk"
    if limit_of(config, clients) > limit:
        return "those whose call is expected to bring more than it costs"
    return f"those whose call is expected to pay most, at most {limit:,}"


def _expected(what: str, amounts: np.ndarray, called: np.ndarray) -> dict[str, float]:
    """What calling these is expected to bring, and calling as many at random."""
    at_random = float(amounts.mean()) * int(called.sum()) if amounts.size else 0.0
    return {
        f"expected_{what}": round(float(amounts[called].sum()), 4),
        f"expected_{what}_at_random": round(at_random, 4),
    }


def best_profit(reached: list[dict[str, Any]], clients: int, money: Economics) -> dict[str, Any]:
    """The share of clients whose calls bring most, by outcomes: profit per 100 clients.

    reached: what calling each share reached (risk.model.calibration.reach). The 95 % interval is
    that of the precision; at_random is as many calls to clients drawn by lot. Where every share
    loses money: nobody, 0.
    """

    def per_hundred(entry: dict[str, Any], precision: float) -> float:
        one = money.success_rate * precision * money.client_value - money.contact_cost
        return round(100 * one * entry["called"] / clients, 4)

    best = max(reached, key=lambda entry: per_hundred(entry, entry["precision"]))
    if per_hundred(best, best["precision"]) <= 0:
        return {"share": 0.0, "per_100_clients": 0.0, "interval": [0.0, 0.0], "at_random": 0.0}
    return {
        "share": best["share"],
        "per_100_clients": per_hundred(best, best["precision"]),
        "interval": [per_hundred(best, end) for end in best["precision_interval"]],
        "at_random": per_hundred(best, best["at_random"]["precision"]),
    }


def band(risk: float, *, called: bool, average: float, unknown: str) -> str:
    """The word for a risk: on the call list, at least 1.5 times the average client's, or lower."""
    if unknown:
        return UNKNOWN
    if called:
        return HIGH
    return RAISED_BAND if risk >= RAISED * average else LOW


def unknown_reason(missing: int, features: int, auc_interval: list[float] | None) -> str:
    """Why a client cannot be placed, "" if it can."""
    if auc_interval and auc_interval[0] <= 0.5:
        return (
            "the model cannot tell leavers from stayers yet: its AUC lies between "
            f"{auc_interval[0]:.2f} and {auc_interval[1]:.2f}, and 0.5 is a guess"
        )
    if missing * 2 > features:
        return f"{missing} of {features} values are missing"
    return ""

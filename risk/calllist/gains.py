"""What calls reach and earn, by the labelled test rows: at every share and at the list's own cut.

A gain is what calling a share of the clients reached (risk.model.measures.cumulative_gains), a
profit what that earned by the economics of the config, in money per 100 clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from risk.calllist.facts import score_basis
from risk.calllist.policy import Economics, mean_economics
from risk.calllist.types import ListGain, Profit, read_list
from risk.config import Config
from risk.model.deployed import Deployed
from risk.model.measures import Gain


class BestProfit(Profit):
    """That of the share of clients whose calls earn most; share 0: no share is worth its calls."""

    share: float


class KnownGains(TypedDict):
    """What is known of calls: at each share, at the list's own cut, and where they earn most."""

    basis: str
    n: int
    cumulative_gains: list[Gain]
    list: ListGain | None
    profit: BestProfit | None


def known_gains(config: Config, deployed: Deployed) -> KnownGains:
    """What calling the riskiest clients reached at 5 to 50 % and at the list's own cut, and the
    most profitable share where a worth is configured."""
    score, listing, money = deployed.score, read_list(config), mean_economics(config)
    # Another model's list was cut by other risks: it is no cut of this one.
    own = listing is not None and listing.model_version == deployed.version
    gains = score["cumulative_gains"]
    return {
        "basis": score["basis"],
        "n": score["n"],
        "cumulative_gains": gains,
        "list": listing.cut.cumulative_gains if listing and own else None,
        "profit": best_profit(gains, score["n"], money) if money and gains else None,
    }


def gains_lines(found: KnownGains) -> list[str]:
    """The same as a table for a person."""
    gains = found["cumulative_gains"]
    if not gains:
        return []
    head = f"what calls reach, by {score_basis(found)} (95 % intervals)"
    profit = [f"  {best_profit_words(found['profit'])}"] if found["profit"] else []
    return [head, *gains_table(gains, found["list"]), *profit]


def gains_table(gains: Sequence[Gain], own: ListGain | None) -> list[str]:
    """What calling the riskiest share of clients reaches, as lines; own: at the list's own cut."""
    named = [(f"{gain['share']:.0%}", gain) for gain in gains]
    if own:
        named.append((f"{own['share']:.1%} (the list)", own))
    lines = [f"  {'riskiest':20}{'of 100 called left':26}{'of 100 leavers called':26}lift"]
    for name, gain in sorted(named, key=lambda pair: pair[1]["share"]):
        called_left = _cell(gain["precision"], gain["precision_interval"], 100, 0)
        leavers_called = _cell(gain["recall"], gain["recall_interval"], 100, 0)
        lift = _cell(gain["lift"], gain["lift_interval"], 1, 1)
        lines.append(f"  {name:20}{called_left:26}{leavers_called:26}{lift}")
    rate = gains[0]["at_random"]["precision"]
    return [*lines, f"  {'at random':20}{100 * rate:<26.0f}{'as many as are called':26}1"]


def _cell(value: float | None, interval: list[float] | None, unit: int, digits: int) -> str:
    if value is None or interval is None:
        return "unknown"
    low, high = interval
    return f"{unit * value:.{digits}f} ({unit * low:.{digits}f} to {unit * high:.{digits}f})"


def profit_of(gain: Gain, clients: int, money: Economics) -> Profit:
    """What calling a share earned by outcomes."""

    def per_hundred(precision: float) -> float:
        one = money.success_rate * precision * money.client_value - money.contact_cost
        return round(100 * one * gain["called"] / clients, 4)

    return {
        "per_100_clients": per_hundred(gain["precision"]),
        "interval": [per_hundred(end) for end in gain["precision_interval"]],
        "at_random": per_hundred(gain["at_random"]["precision"]),
    }


def best_profit(gains: Sequence[Gain], clients: int, money: Economics) -> BestProfit:
    """The share whose calls earned most; nobody, 0, where every share loses money."""
    found = [BestProfit(share=g["share"], **profit_of(g, clients, money)) for g in gains]
    best = max(found, key=lambda profit: profit["per_100_clients"])
    if best["per_100_clients"] <= 0:
        return {"share": 0.0, "per_100_clients": 0.0, "interval": [0.0, 0.0], "at_random": 0.0}
    return best


def profit_words(found: Profit) -> str:
    """`earn 90.00 per 100 clients (95 % 34.00 to 130.00), as many at random -20.00`."""
    low, high = found["interval"]
    return (
        f"earn {found['per_100_clients']:,.2f} per 100 clients (95 % {low:,.2f} to {high:,.2f}), "
        f"as many at random {found['at_random']:,.2f}"
    )


def best_profit_words(found: BestProfit) -> str:
    """The most profitable share for a person."""
    if not found["share"]:
        return "by the outcomes no share of clients is worth its calls"
    return f"most profitable: calls to the riskiest {found['share']:.0%} {profit_words(found)}"

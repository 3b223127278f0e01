"""Why: what each part of a row goes together with, in points and in words that stay the same.

Every term's contribution to the log-odds is exact; base + contributions = log-odds. For people they
are shown in points: a contribution's share of the distance between the client's risk and that of
the average client, sigmoid(base), so that the points of all parts add up to that distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from risk.model.logistic import expit
from risk.model.model import Model, Rows, row_count
from risk.model.parts import columns_of, contribution, holds
from risk.model.profile import DIGITS, value_text

MOST_UP, MOST_DOWN = 3, 1
LEAST_POINTS = 0.5
MOST_DIGITS = 17
NEAR = 0.02  # numbers further apart than this share differ in their first three digits
LARGEST = 1e304  # a thousand such contributions and their points are finite
UNCLIPPED = 1e300  # the original recipe's lines end at the largest float


@dataclass(frozen=True)
class Reason:
    """One part of a client's risk: points above (+) or below (-) the average, and its words."""

    points: float
    text: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Terms that are told as one: all of one column alone, or one region or product."""

    columns: tuple[str, ...]
    terms: tuple[int, ...]


def groups_of(model: Model) -> list[Group]:
    """The main effects by column, then the interactions, in the model's order."""
    mains: dict[str, list[int]] = {}
    joint: list[Group] = []
    for at, term in enumerate(model.terms):
        columns = columns_of(term)
        if len(columns) == 1:
            mains.setdefault(columns[0], []).append(at)
        else:
            joint.append(Group(columns, (at,)))
    return [*(Group((name,), tuple(terms)) for name, terms in mains.items()), *joint]


def points(model: Model, table: Rows) -> tuple[list[Group], np.ndarray, np.ndarray]:
    """(groups, points of each row and group, risk of each row); the points of a row add up to
    100 (risk - sigmoid(base)). Shapes (n, groups) and (n,)."""
    groups, raw = groups_of(model), model.raw(table)
    with np.errstate(over="ignore"):  # an infinite contribution is a certain answer
        parts = [sum(contribution(model.terms[at], raw) for at in group.terms) for group in groups]
    shares = np.column_stack(parts) if parts else np.zeros((row_count(table), 0))
    shares = np.clip(shares, -LARGEST, LARGEST)
    total, base = shares.sum(axis=1), expit(np.array([model.intercept]))[0]
    risk = expit(model.intercept + total)
    # Where everything cancels, the distance per log-odds is the slope of the logistic at the base.
    small = np.abs(total) < 1e-9
    per_unit = np.where(small, base * (1 - base), (risk - base) / np.where(small, 1.0, total))
    return groups, shares * per_unit[:, None] * 100, risk


def reasons(model: Model, table: Rows) -> list[list[Reason]]:
    """For each row the three parts that raise its risk most and the one that lowers it most."""
    groups, amounts, _ = points(model, table)
    raw = model.raw(table)
    return [_of_row(model, groups, amounts[row], _row(raw, row)) for row in range(len(amounts))]


def _row(raw: dict[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
    return {name: values[row : row + 1] for name, values in raw.items()}


def _of_row(
    model: Model, groups: list[Group], amounts: np.ndarray, row: dict[str, np.ndarray]
) -> list[Reason]:
    order = np.argsort(-amounts, kind="stable")
    up = [at for at in order if amounts[at] >= LEAST_POINTS][:MOST_UP]
    down = [at for at in order[::-1] if amounts[at] <= -LEAST_POINTS][:MOST_DOWN]
    return [
        Reason(
            round(float(amounts[at]), 1), reason_text(model, groups[at], row), groups[at].columns
        )
        for at in (*up, *down)
    ]


def reason_text(model: Model, group: Group, row: dict[str, np.ndarray]) -> str:
    """The row's own values beside the usual ones, or the conditions that it meets or does not."""
    term = model.terms[group.terms[0]]
    if term["kind"] == "region":
        return _region_words(term, row)
    return " together with ".join(
        value_words(name, row[name][0], model.profile.get(name, {})) for name in group.columns
    )


def _region_words(term: dict[str, Any], row: dict[str, np.ndarray]) -> str:
    met = [bool(holds(condition, row)[0]) for condition in term["conditions"]]
    told = [c for c, held in zip(term["conditions"], met, strict=True) if held == all(met)]
    return " and ".join(
        f"{column_text(name)} {_beside_limits(row[name][0], conditions, all(met))}"
        for name, conditions in by_column(told).items()
    )


def by_column(conditions: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A region's conditions by the column that they ask for, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for condition in conditions:
        found.setdefault(condition["column"], []).append(condition)
    return found


def _beside_limits(value: Any, conditions: list[dict[str, Any]], met: bool) -> str:
    """A number and the sides of the limits on which it lies; a text's own value says it all."""
    limits = [c for c in conditions if c["sign"] in ("at least", "below")]
    if not limits:
        return value_text(value)
    digits = digits_apart(value, [c["value"] for c in limits])
    sides = [
        ("at least " if (c["sign"] == "at least") == met else "under ")
        + value_text(c["value"], digits)
        for c in limits
    ]
    counted = "counted as " if value != value else ""
    return f"{value_text(value, digits)} ({counted}{' and '.join(sides)})"


def digits_apart(value: float, limits: list[float]) -> int:
    """As many digits as it takes to tell a value from the limits beside it."""
    others = [at for at in limits if at != value and math.isclose(at, value, rel_tol=NEAR)]
    for digits in range(DIGITS, MOST_DIGITS):
        if all(value_text(value, digits) != value_text(limit, digits) for limit in others):
            return digits
    return MOST_DIGITS


def value_words(name: str, value: Any, usual: dict[str, Any]) -> str:
    """`orders last month 3 (usually 12 to 40)`, `contract monthly (55% of clients)`."""
    share = usual.get("shares", {}).get(value_text(value))
    if share is not None:
        known = share_words(share)
    elif "low" in usual:
        low, high = value_text(usual["low"]), value_text(usual["high"])
        known = f"usually {low}" if low == high else f"usually {low} to {high}"
    elif "levels" in usual:
        known = share_words(usual["levels"].get("" if value is None else value, 0.0))
    else:
        known = ""
    return f"{column_text(name)} {value_text(value)}" + (f" ({known})" if known else "")


def share_words(share: float) -> str:
    return f"{share:.0%} of clients" if share >= 0.005 else "rare"


def column_text(name: str) -> str:
    return name.replace("_", " ")


def unusual_values(model: Model, table: Rows) -> list[list[str]]:
    """For each row, its numbers outside the training range and what they are counted as."""
    raw = model.raw(table)
    ends = {
        name: _counted_range(model, name)
        for name, kind in model.columns.items()
        if kind == "number"
    }
    notes: list[list[str]] = [[] for _ in range(row_count(table))]
    for name, limits in ends.items():
        usual = model.profile.get(name, {})
        if limits is None or "least" not in usual:
            continue
        values = raw[name]
        for row in np.flatnonzero((values < usual["least"]) | (values > usual["most"])):
            counted = float(np.clip(values[row], *limits))
            notes[row].append(
                f"{column_text(name)} {value_text(values[row])}: unusual value, counted as "
                f"{value_text(counted)}"
            )
    return notes


def _counted_range(model: Model, name: str) -> tuple[float, float] | None:
    for term in model.terms:
        if term["kind"] == "curve" and term["column"] == name:
            return term["knots"][0], term["knots"][-1]
        if term["kind"] == "line" and term["column"] == name and term["high"] < UNCLIPPED:
            return term["low"], term["high"]
    return None

"""What is usual in the training rows, and how a value is written for people beside it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, TypedDict

import numpy as np

Rows = dict[str, list[Any]]  # one list a column, missing as None
_USUAL_LEVELS = 50
PROFILE_ROWS = 200_000  # of more, so many sampled rows say what is usual
_DIGITS, _MOST_DIGITS = 3, 17
_NEAR = 0.02  # numbers further apart than this share differ in their first three digits
_RARE = 0.005  # a smaller share would be written 0 %


class Usual(TypedDict, total=False):
    """What is usual in one column: of a number its quartiles and range, of a text its levels.

    shares: of a number with at most two values, by the value's text. levels: "" is missing.
    """

    least: float
    low: float
    median: float
    high: float
    most: float
    shares: dict[str, float]
    levels: dict[str, float]


Profile = dict[str, Usual]


def profile_of(rows: Rows, columns: dict[str, str]) -> Profile:
    """What is usual in these rows, by column."""
    found: Profile = {}
    for name, kind in columns.items():
        if kind == "number":
            known = [value for value in rows[name] if value is not None]
            found[name] = _usual_number(np.array(known, dtype=np.float64))
        else:
            sizes = Counter("" if value is None else value for value in rows[name])
            commonest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
            shares = {text: round(n / len(rows[name]), 4) for text, n in commonest[:_USUAL_LEVELS]}
            found[name] = {"levels": shares}
    return found


def _usual_number(values: np.ndarray) -> Usual:
    values = values[np.isfinite(values)]
    if not values.size:
        return {}
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    usual: Usual = {
        "least": float(values.min()),
        "low": float(low),
        "median": float(middle),
        "high": float(high),
        "most": float(values.max()),
    }
    different, sizes = np.unique(values, return_counts=True)
    if different.size <= 2:  # yes and no: a range from 0 to 1 would say nothing
        shares = (sizes / values.size).round(4).tolist()
        usual["shares"] = {value_text(v): s for v, s in zip(different, shares, strict=True)}
    return usual


def value_text(value: Any, digits: int = _DIGITS) -> str:
    """A cell for people: whole numbers whole, others with so many digits that count."""
    if value is None or value != value:
        return "missing"
    if isinstance(value, str):
        return value
    size = abs(value)
    if size and not 1e-4 <= size < 1e15:
        return f"{value:.{digits}g}"
    if float(value).is_integer():
        return f"{int(value):,}"
    text = f"{value:,.{max(digits - 1 - math.floor(math.log10(size)), 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def column_text(name: str) -> str:
    return name.replace("_", " ")


def share_text(share: float) -> str:
    return f"{share:.0%} of clients" if share >= _RARE else "rare"


def digits_apart(value: float, limits: list[float]) -> int:
    """As many digits as it takes to tell a value from the limits beside it."""
    others = [at for at in limits if at != value and math.isclose(at, value, rel_tol=_NEAR)]
    for digits in range(_DIGITS, _MOST_DIGITS):
        if all(value_text(value, digits) != value_text(limit, digits) for limit in others):
            return digits
    return _MOST_DIGITS


def beside_usual(name: str, value: Any, usual: Usual) -> str:
    """`orders last month 3 (usually 12 to 40)`, `contract monthly (55% of clients)`."""
    share = usual.get("shares", {}).get(value_text(value))
    if share is None and "low" not in usual and "levels" in usual:
        share = usual["levels"].get("" if value is None else value, 0.0)
    known = ""
    if share is not None:
        known = share_text(share)
    elif "low" in usual:
        low, high = value_text(usual["low"]), value_text(usual["high"])
        known = f"usually {low}" if low == high else f"usually {low} to {high}"
    return f"{column_text(name)} {value_text(value)}" + (f" ({known})" if known else "")

"""What is usual in the training rows, and how a value is written for people."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

Table = dict[str, list[Any]]
USUAL_LEVELS = 50
PROFILE_ROWS = 200_000  # of more, so many sampled rows say what is usual
DIGITS = 3


def profile_of(table: Table, columns: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What is usual in the training rows: a number's quartiles and range, a text's shares."""
    found: dict[str, dict[str, Any]] = {}
    for name, kind in columns.items():
        known = [value for value in table[name] if value is not None]
        if kind == "number":
            found[name] = _usual_number(np.array(known, dtype=np.float64))
        else:
            found[name] = _usual_levels(["" if value is None else value for value in table[name]])
    return found


def _usual_number(values: np.ndarray) -> dict[str, Any]:
    values = values[np.isfinite(values)]
    if not values.size:
        return {}
    usual: dict[str, Any]
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    usual = {
        "least": float(values.min()),
        "low": float(low),
        "median": float(middle),
        "high": float(high),
        "most": float(values.max()),
    }
    different, sizes = np.unique(values, return_counts=True)
    if different.size <= 2:  # yes and no: a range from 0 to 1 would tell nobody anything
        shares = (sizes / values.size).round(4).tolist()
        usual["shares"] = {value_text(v): share for v, share in zip(different, shares, strict=True)}
    return usual


def _usual_levels(texts: list[str]) -> dict[str, Any]:
    commonest = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))[:USUAL_LEVELS]
    return {"levels": {level: round(rows / len(texts), 4) for level, rows in commonest}}


def value_text(value: Any, digits: int = DIGITS) -> str:
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

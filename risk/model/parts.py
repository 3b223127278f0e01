"""The terms of the JSON model: how each is checked, and what it adds to a row's log-odds.

    line     slope x (x clipped to [low, high] - mean)
    curve    a broken line through (knots, values)
    blank    one value where the number is missing, another where it is not
    levels   a value for each text, one for a missing and one for any other
    region   one value where all conditions hold, another elsewhere
    product  slope x (first ramp x second ramp - mean); a ramp runs from -1 to 1

A missing number counts as `fill` (the training median). Every term's mean over the training rows
(where these are more than 30,000, over a sample of them) is 0, the original recipe's lines apart.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Term = dict[str, Any]
Raw = dict[str, np.ndarray]
NUMBERS = {
    "line": ("low", "high", "fill", "mean", "slope"),
    "curve": ("fill",),
    "blank": ("missing", "present"),
    "levels": ("missing", "other"),
    "region": ("inside", "outside"),
    "product": ("mean", "slope"),
}
OTHERS = {
    "line": ("column",),
    "curve": ("column", "knots", "values"),
    "blank": ("column",),
    "levels": ("column", "levels"),
    "region": ("conditions",),
    "product": ("first", "second"),
}
SIDES = {"number": ("at least", "below"), "text": ("is", "is not")}


def columns_of(term: Term) -> tuple[str, ...]:
    """The raw columns that the term reads, each once."""
    match term["kind"]:
        case "region":
            return tuple(dict.fromkeys(c["column"] for c in term["conditions"]))
        case "product":
            return term["first"]["column"], term["second"]["column"]
        case _:
            return (term["column"],)


def contribution(term: Term, raw: Raw) -> np.ndarray:
    """What the term adds to each row's log-odds. Shape (n,)."""
    match term["kind"]:
        case "region":
            return _choice(_inside(term, raw), term["inside"], term["outside"])
        case "product":
            return term["slope"] * (
                _ramp_values(term["first"], raw) * _ramp_values(term["second"], raw) - term["mean"]
            )
    values = raw[term["column"]]
    match term["kind"]:
        case "line":
            clipped = np.clip(filled(values, term["fill"]), term["low"], term["high"])
            return term["slope"] * (clipped - term["mean"])
        case "curve":
            return np.interp(filled(values, term["fill"]), term["knots"], term["values"])
        case "blank":
            return _choice(np.isnan(values), term["missing"], term["present"])
        case _:
            known = {None: term["missing"], **term["levels"]}
            return np.array([known.get(text, term["other"]) for text in values], dtype=np.float64)


def _choice(which: np.ndarray, one: float, other: float) -> np.ndarray:
    """`one` where it holds, else `other`. Shape of which."""
    return np.array([other, one])[which.astype(np.intp)]


def filled(values: np.ndarray, fill: float) -> np.ndarray:
    return np.where(np.isnan(values), fill, values)


def _inside(term: Term, raw: Raw) -> np.ndarray:
    """Which rows meet all conditions of a region. Shape (n,)."""
    met: np.ndarray = np.all([holds(condition, raw) for condition in term["conditions"]], axis=0)
    return met


def holds(condition: dict[str, Any], raw: Raw) -> np.ndarray:
    values, sign = raw[condition["column"]], condition["sign"]
    if sign in SIDES["text"]:
        return (values == condition["value"]) == (sign == "is")
    return (filled(values, condition["fill"]) >= condition["value"]) == (sign == "at least")


def _ramp_values(part: dict[str, Any], raw: Raw) -> np.ndarray:
    values = raw[part["column"]]
    if "level" in part:
        return (values == part["level"]) * 2.0 - 1.0
    return np.interp(
        filled(values, part["fill"]), part["knots"], np.linspace(-1, 1, len(part["knots"]))
    )


def checked(term: Term, columns: dict[str, str]) -> Term:
    """The term with its numbers as floats; ValueError, KeyError or TypeError if it is not sound."""
    kind = term["kind"]
    if set(term) != {"kind", *NUMBERS[kind], *OTHERS[kind]}:
        raise ValueError(term)
    sound = dict(term) | {key: number(term[key]) for key in NUMBERS[kind]}
    match kind:
        case "region":
            sound["conditions"] = [_condition(c, columns) for c in term["conditions"]]
            _insist(bool(sound["conditions"]))
        case "product":
            sound |= {part: _ramp(term[part], columns) for part in ("first", "second")}
        case "levels":
            _insist(columns[term["column"]] == "text")
            sound["levels"] = {
                _text(level): number(value) for level, value in term["levels"].items()
            }
        case _:
            _insist(columns[term["column"]] == "number")
    if kind == "curve":
        sound |= {"knots": _rising(term["knots"]), "values": [number(v) for v in term["values"]]}
        _insist(len(sound["knots"]) == len(sound["values"]))
    if kind == "line":
        _insist(sound["low"] <= sound["high"])
    return sound


def _condition(condition: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    kind = columns[condition["column"]]
    _insist(condition["sign"] in SIDES[kind])
    if kind == "text":
        _insist(set(condition) == {"column", "sign", "value"})
        _insist(condition["value"] is None or isinstance(condition["value"], str))
        return dict(condition)
    _insist(set(condition) == {"column", "sign", "value", "fill"})
    return condition | {key: number(condition[key]) for key in ("value", "fill")}


def _ramp(part: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    if columns[part["column"]] == "text":
        _insist(set(part) == {"column", "level"})
        _insist(part["level"] is None or isinstance(part["level"], str))
        return dict(part)
    _insist(set(part) == {"column", "knots", "fill"})
    return part | {"knots": _rising(part["knots"]), "fill": number(part["fill"])}


def _rising(knots: list[Any]) -> list[float]:
    values = [number(knot) for knot in knots]
    _insist(len(values) > 1 and all(a < b for a, b in zip(values, values[1:], strict=False)))
    return values


def _text(value: Any) -> str:
    _insist(isinstance(value, str))
    return value


def _insist(sound: bool) -> None:
    if not sound:
        raise ValueError("unsound term")


def number(value: Any) -> float:
    """A finite JSON number as a float; ValueError for anything else."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)

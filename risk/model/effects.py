"""The model at a glance: what each value adds to the log-odds, the widest range first.

Like a row's reasons it is exact: every effect is what the terms themselves give for that value.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from risk.model.logistic import expit
from risk.model.model import Model, column_array
from risk.model.parts import Term, contribution
from risk.model.profile import value_text
from risk.model.reasons import (
    UNCLIPPED,
    Group,
    by_column,
    column_text,
    digits_apart,
    groups_of,
    share_words,
)

FLAT = 0.005  # a smaller effect is shown as 0.00
MOST_LINES = 12  # of one column; a text may have 50 levels
MOST_JOINT = 20  # joint effects told to a person; --json has all
QUARTILES = ("least", "low", "median", "high", "most")


def overview(model: Model) -> list[dict[str, Any]]:
    """Every column's and joint term's effects by value and their range, the widest range first.

    effect: log-odds above or below the average client; risk: that of a client who is average in
    all else.
    """
    found = []
    for group in groups_of(model):
        effects = _joint(model, group) if len(group.columns) > 1 else _alone(model, group)
        for entry in effects:
            entry["risk"] = float(expit(np.array([model.intercept + entry["effect"]]))[0])
        sizes = [entry["effect"] for entry in effects]
        found.append(
            {
                "columns": list(group.columns),
                "low": min(sizes),
                "high": max(sizes),
                "effects": effects,
                "terms": [model.terms[at] for at in group.terms],
            }
        )
    return sorted(found, key=lambda item: item["low"] - item["high"])


# ---------------------------------------------------------------- one column


def _alone(model: Model, group: Group) -> list[dict[str, Any]]:
    """A number's effects at its knots in their order; a text's by level, the highest first."""
    (name,), terms = group.columns, [model.terms[at] for at in group.terms]
    usual = model.profile.get(name, {})
    if model.columns[name] == "text":
        return _of_text(name, terms, usual)
    values: list[float | None] = [*sorted(_numbers(terms, usual))]
    if any(term["kind"] == "blank" for term in terms):
        values.append(None)
    known = [value for value in values if value is not None]
    return [
        {"value": value, "text": _number_words(value, known, usual), "effect": effect}
        for value, effect in zip(values, _effects(name, "number", terms, values), strict=True)
    ]


def _effects(name: str, kind: str, terms: list[Term], values: list[Any]) -> list[float]:
    raw = {name: column_array(values, kind)}
    total: np.ndarray = np.sum([contribution(term, raw) for term in terms], axis=0)
    return total.tolist()


def _numbers(terms: list[Term], usual: dict[str, Any]) -> set[float]:
    """Where a number's effects bend, or what is usual where they do not."""
    found: set[float] = set()
    for term in terms:
        if term["kind"] == "curve":
            found |= set(term["knots"])
        if term["kind"] == "line":
            ends = [usual[key] for key in QUARTILES if key in usual] or [term["fill"]]
            ends += [end for end in (term["low"], term["high"]) if abs(end) < UNCLIPPED]
            found |= set(np.clip(ends, term["low"], term["high"]).tolist())
    return found or {usual.get("median", 0.0)}


def _number_words(value: float | None, known: list[float], usual: dict[str, Any]) -> str:
    text = value_text(value, digits_apart(value, known)) if value is not None else value_text(None)
    share = usual.get("shares", {}).get(value_text(value))
    return text if share is None else f"{text} ({share_words(share)})"


def _of_text(name: str, terms: list[Term], usual: dict[str, Any]) -> list[dict[str, Any]]:
    levels = [level for term in terms for level in term["levels"]]
    other = "other"
    while other in levels:
        other += "_"
    values = [*levels, other, None]
    sizes = dict(zip(values, _effects(name, "text", terms, values), strict=True))
    shares = usual.get("levels", {})
    found = [
        {
            "value": level,
            "text": f"{value_text(level)} ({share_words(shares.get(level or '', 0.0))})",
            "effect": sizes[level],
        }
        for level in (*levels, None)
        if level or sizes[None] != sizes[other]
    ]
    found.append({"value": None, "text": "any other", "effect": sizes[other]})
    return sorted(found, key=lambda entry: -entry["effect"])


# ---------------------------------------------------------------- columns together


def _joint(model: Model, group: Group) -> list[dict[str, Any]]:
    """A region's effect inside and elsewhere; a product's at its four corners."""
    (term,) = [model.terms[at] for at in group.terms]
    if term["kind"] == "region":
        return [
            {"text": _region_words(term), "effect": term["inside"]},
            {"text": "all others", "effect": term["outside"]},
        ]
    return [
        {
            "text": f"{one} and {other}",
            "effect": term["slope"] * (a * b - term["mean"]),
        }
        for (one, a), (other, b) in product(_ends(term["first"]), _ends(term["second"]))
    ]


def _region_words(term: Term) -> str:
    """`tenure at least 3 and under 12 and contract other than monthly`."""
    return " and ".join(
        f"{column_text(name)} {' and '.join(_side(condition) for condition in conditions)}"
        for name, conditions in by_column(term["conditions"]).items()
    )


def _side(condition: dict[str, Any]) -> str:
    words = {"at least": "at least ", "below": "under ", "is": "", "is not": "other than "}
    return words[condition["sign"]] + value_text(condition["value"])


def _ends(part: dict[str, Any]) -> list[tuple[str, float]]:
    """The two ends of a product's ramp in words, -1 and 1."""
    name = column_text(part["column"])
    if "level" in part:
        level = value_text(part["level"])
        return [(f"{name} other than {level}", -1.0), (f"{name} {level}", 1.0)]
    low, high = part["knots"][0], part["knots"][-1]
    return [(f"{name} up to {value_text(low)}", -1.0), (f"{name} from {value_text(high)}", 1.0)]


# ---------------------------------------------------------------- for a person


def overview_text(model: Model, found: list[dict[str, Any]]) -> str:
    """The overview as a table: columns alone, then joint effects, each with its range."""
    average = float(expit(np.array([model.intercept]))[0])
    flat = [item for item in found if max(-item["low"], item["high"]) < FLAT]
    told = [item for item in found if item not in flat]
    single = [item for item in told if len(item["columns"]) == 1]
    both = [item for item in told if len(item["columns"]) > 1]
    lines = [
        "effect: log-odds above (+) or below (-) the average client; +0.7 doubles the odds of "
        "leaving, -0.7 halves them",
        f"risk: that of a client who is average in all else; the average client's is {average:.0%}",
        "between two numbers the effect changes steadily, beyond the last it stays; an effect goes "
        "together with leaving and need not be a cause",
        "\n  effect  risk  value",
        *(line for item in single for line in _item_lines(model, item)),
        *([f"\nno effect: {', '.join(_name(item) for item in flat)}"] if flat else []),
    ]
    if both:
        lines += ["\ncolumns together, on top of the effects of each alone"]
        lines += [line for item in both[:MOST_JOINT] for line in _item_lines(model, item)]
    if len(both) > MOST_JOINT:
        width = both[MOST_JOINT]["high"] - both[MOST_JOINT]["low"]
        lines.append(
            f"\nand {len(both) - MOST_JOINT} more with a range of at most {width:.2f}; "
            "--json has them all"
        )
    return "\n".join(lines)


def _name(item: dict[str, Any]) -> str:
    return " together with ".join(column_text(name) for name in item["columns"])


def _item_lines(model: Model, item: dict[str, Any]) -> list[str]:
    head = _name(item)
    usual = model.profile.get(item["columns"][0], {}) if len(item["columns"]) == 1 else {}
    if "low" in usual and "shares" not in usual:
        head += f" (usually {value_text(usual['low'])} to {value_text(usual['high'])})"
    effects, left_out = item["effects"], len(item["effects"]) - MOST_LINES
    lines = [_line(entry["text"], entry["effect"], entry["risk"]) for entry in effects]
    if left_out > 0:
        half = MOST_LINES // 2
        lines[half:-half] = [f"  ... {left_out} between"]
    return [f"\n{head}: {item['low']:+.2f} to {item['high']:+.2f}", *lines]


def _line(text: str, effect: float, risk: float) -> str:
    return f"  {round(effect, 2) + 0.0:+6.2f}  {risk:4.0%}  {text}"

"""The model at a glance: what each value adds to the log-odds, the widest range first.

Like a row's reasons it is exact: every effect is what the terms themselves give for that value.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

import numpy as np

from risk.model.joint_terms import Margin
from risk.model.logistic import expit
from risk.model.model import Model, column_array
from risk.model.profile import Usual, column_text, digits_apart, share_text, value_text
from risk.model.reasons import TermGroup, groups_of
from risk.model.terms import Blank, ColumnTerm, Levels

_FLAT = 0.005  # a smaller effect is shown as 0.00
_MOST_LINES = 12  # of one column; a text may have 50 levels
_MOST_JOINT = 20  # joint effects shown to a person; --json has all


class Effect(TypedDict):
    """What one value, or one corner of several columns, adds.

    effect: log-odds above or below the average client; risk: that of a client who is average in
    all else.
    """

    value: NotRequired[float | str | None]
    text: str
    effect: float
    risk: float


class ColumnEffects(TypedDict):
    """The effects of one column, or of columns together, with their range and the terms."""

    columns: list[str]
    low: float
    high: float
    effects: list[Effect]
    terms: list[dict[str, object]]


def overview(model: Model) -> list[ColumnEffects]:
    """Every column's and joint term's effects by value, the widest range first."""
    found: list[ColumnEffects] = []
    for group in groups_of(model):
        hidden: list[float] = []
        if len(group.columns) > 1:
            (term,) = group.terms
            assert not isinstance(term, Margin)  # that of a column stands under it
            effects = [_effect(model, *corner) for corner in term.corners()]
        elif model.columns[group.columns[0]] == "text":
            effects = _of_text(model, group)
        else:
            effects = _of_number(model, group)
            hidden = _before_jumps(group)
        sizes = [entry["effect"] for entry in effects] + hidden
        found.append(
            {
                "columns": list(group.columns),
                "low": min(sizes),
                "high": max(sizes),
                "effects": effects,
                "terms": [term.to_json() for term in group.terms],
            }
        )
    return sorted(found, key=lambda item: item["low"] - item["high"])


def _effect(model: Model, text: str, effect: float) -> Effect:
    risk = float(expit(np.array(model.intercept + effect)))
    return {"text": text, "effect": effect, "risk": risk}


def _of_number(model: Model, group: TermGroup) -> list[Effect]:
    """A number's effects where they bend, in their order, and that of a missing one."""
    (name,) = group.columns
    usual = model.profile.get(name, {})
    bends = [term.bends(usual) for term in group.terms if isinstance(term, ColumnTerm)]
    bends += [term.bends() for term in group.terms if isinstance(term, Margin)]
    known = sorted(set().union(*bends) or {usual.get("median", 0.0)})
    blank = any(isinstance(term, Blank) for term in group.terms)
    values: list[float | None] = [*known, *([None] if blank else [])]
    sizes = group.contribution({name: column_array(values, "number")}).tolist()
    effects: list[Effect] = []
    for value, size in zip(values, sizes, strict=True):
        text = value_text(value) if value is None else value_text(value, digits_apart(value, known))
        share = usual.get("shares", {}).get(value_text(value))
        text += "" if share is None else f" ({share_text(share)})"
        effects.append({"value": value, **_effect(model, text, size)})
    return effects


def _before_jumps(group: TermGroup) -> list[float]:
    """What it adds just below the numbers at which it jumps: no line of their own, since people
    would read the same number twice, but the range is not without them."""
    jumps = sorted({at for t in group.terms if isinstance(t, Margin) for at in t.bends()})
    below = np.nextafter(np.array(jumps), -np.inf)
    found: list[float] = group.contribution({group.columns[0]: below}).tolist()
    return found


def _of_text(model: Model, group: TermGroup) -> list[Effect]:
    """A text's effects by level, the highest first; a missing one where it is no other's."""
    (name,) = group.columns
    found = [level for t in group.terms if isinstance(t, Levels) for level in t.levels if level]
    levels = list(dict.fromkeys(found))
    other = "other"  # a text that is no level, to ask the terms what any other adds
    while other in levels:
        other += "_"
    values = [*levels, None, other]
    sizes = group.contribution({name: column_array(values, "text")}).tolist()
    shares = model.profile.get(name, {}).get("levels", {})
    effects: list[Effect] = []
    for level, size in zip(values[:-1], sizes[:-1], strict=True):
        if level or size != sizes[-1]:
            text = f"{value_text(level)} ({share_text(shares.get(level or '', 0.0))})"
            effects.append({"value": level, **_effect(model, text, size)})
    effects.append({"value": None, **_effect(model, "any other", sizes[-1])})
    return sorted(effects, key=lambda entry: -entry["effect"])


def overview_text(model: Model, found: list[ColumnEffects]) -> str:
    """The overview as a table: columns alone, then joint effects, each with its range."""
    average = float(expit(np.array(model.intercept)))
    flat = [item for item in found if max(-item["low"], item["high"]) < _FLAT]
    steep = [item for item in found if item not in flat]
    single = [item for item in steep if len(item["columns"]) == 1]
    joint = [item for item in steep if len(item["columns"]) > 1]
    lines = [
        "effect: log-odds above (+) or below (-) the average client; +0.7 doubles the odds of "
        "leaving, -0.7 halves them",
        f"risk: that of a client who is average in all else; the average client's is {average:.0%}",
        "between two numbers the effect changes steadily, beyond the last it stays; an effect goes "
        "together with leaving and need not be a cause",
        "\n  effect  risk  value",
        *(line for item in single for line in _item_lines(model, item)),
        *([f"\nno effect: {', '.join(map(_columns_text, flat))}"] if flat else []),
    ]
    if joint:
        lines += ["\ncolumns together, on top of the effects of each alone"]
        lines += [line for item in joint[:_MOST_JOINT] for line in _item_lines(model, item)]
    if len(joint) > _MOST_JOINT:
        width = joint[_MOST_JOINT]["high"] - joint[_MOST_JOINT]["low"]
        lines.append(
            f"\nand {len(joint) - _MOST_JOINT} more with a range of at most {width:.2f}; "
            "--json has them all"
        )
    return "\n".join(lines)


def _columns_text(item: ColumnEffects) -> str:
    return " together with ".join(column_text(name) for name in item["columns"])


def _item_lines(model: Model, item: ColumnEffects) -> list[str]:
    head = _columns_text(item)
    usual: Usual = model.profile.get(item["columns"][0], {}) if len(item["columns"]) == 1 else {}
    if "low" in usual and "shares" not in usual:
        head += f" (usually {value_text(usual['low'])} to {value_text(usual['high'])})"
    lines = [
        # + 0.0: an effect that rounds to -0.0 is shown as +0.00
        f"  {round(entry['effect'], 2) + 0.0:+6.2f}  {entry['risk']:4.0%}  {entry['text']}"
        for entry in item["effects"]
    ]
    left_out = len(lines) - _MOST_LINES
    if left_out > 0:
        half = _MOST_LINES // 2
        lines[half:-half] = [f"  ... {left_out} between"]
    return [f"\n{head}: {item['low']:+.2f} to {item['high']:+.2f}", *lines]

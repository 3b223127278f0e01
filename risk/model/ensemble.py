"""Models made from models: scaled, blended, and back to a scikit-learn pipeline; all stay additive.

A layer a + c x log-odds and a weighted mean of log-odds are sums of terms again, so that the JSON
model, the pickle and the reasons carry them exactly.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.model.model import Model

if TYPE_CHECKING:
    pass

# What a term adds, by kind; everything else in it is where it adds it.
AMOUNTS = {
    "line": ("slope",),
    "curve": ("values",),
    "blank": ("missing", "present"),
    "levels": ("levels", "missing", "other"),
    "region": ("inside", "outside"),
    "product": ("slope",),
}
Record = dict[str, Any]


def recalibrate(model: Model, layer: tuple[float, float]) -> Model:
    """The model whose log-odds are a + c x those of this one."""
    a, c = layer
    return replace(
        model,
        intercept=a + c * model.intercept,
        terms=[_mapped(term, lambda value: c * value) for term in model.terms],
    )


def weighted_mean(models: list[Model], shares: np.ndarray) -> Model:
    """The model whose log-odds are the weighted mean of theirs; the rest is the first one's.

    Terms that differ in what they add alone become one.
    """
    kept: dict[str, Record] = {}
    for model, share in zip(models, shares.tolist(), strict=True):
        for term in model.terms:
            amount = _mapped(term, lambda value, share=share: share * value)
            place = _place(term)
            kept[place] = _added(kept[place], amount) if place in kept else amount
    intercept = sum(m.intercept * s for m, s in zip(models, shares.tolist(), strict=True))
    return replace(models[0], intercept=intercept, terms=list(kept.values()))


def _place(term: Record) -> str:
    """Where a term adds something, as a key: terms of one place can be added up."""
    amounts = AMOUNTS[term["kind"]]
    where = {key: value for key, value in term.items() if key not in amounts}
    if term["kind"] == "levels":
        where["levels"] = sorted(term["levels"])
    return json.dumps(where, sort_keys=True)


def _mapped(term: Record, change: Any) -> Record:
    return term | {key: _each(term[key], change) for key in AMOUNTS[term["kind"]]}


def _each(amount: Any, change: Any) -> Any:
    match amount:
        case dict():
            return {key: change(value) for key, value in amount.items()}
        case list():
            return [change(value) for value in amount]
        case _:
            return change(amount)


def _added(one: Record, other: Record) -> Record:
    return one | {key: _sum(one[key], other[key]) for key in AMOUNTS[one["kind"]]}


def _sum(one: Any, other: Any) -> Any:
    match one:
        case dict():
            return {key: value + other[key] for key, value in one.items()}
        case list():
            return [a + b for a, b in zip(one, other, strict=True)]
        case _:
            return one + other

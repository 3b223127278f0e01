"""Models made from models: scaled, blended, and back to a scikit-learn pipeline; all stay additive.

A layer a + c x log-odds and a weighted mean of log-odds are sums of terms again, so that the JSON
model, the pickle and the reasons carry them exactly.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.model.portable import Model, numbers_and_texts

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from risk.model.terms import Ramp

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


def pipeline_of(model: Model) -> Pipeline:
    """The model as a fitted scikit-learn pipeline that ends in one LogisticRegression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    from risk.model.additive import AdditiveTerms

    first, last = AdditiveTerms(*numbers_and_texts(model.columns)), LogisticRegression()
    intercept, found, slopes = model.intercept, [], []
    for record in model.terms:
        term, constant, parts = _restored(record)
        intercept += constant
        found.append(term)
        slopes += parts
    first.terms_, first.n_features_in_ = found, len(model.columns)
    last.coef_, last.intercept_ = np.array([slopes], dtype=np.float64), np.array([intercept])
    last.classes_, last.n_features_in_ = np.array([0, 1]), len(slopes)
    last.n_iter_ = np.array([0], dtype=np.int32)
    return Pipeline([("terms", first), ("regression", last)])


def _restored(term: Record) -> tuple[Any, float, list[float]]:
    """(the term on raw columns, what it adds to every row, the slope of each of its columns)."""
    from risk.model.terms import Blank, Condition, Curve, Levels, Linear, Product, Region

    match term["kind"]:
        case "line":
            place = (term[key] for key in ("column", "low", "high", "fill", "mean"))
            return Linear(*place), 0.0, [term["slope"]]
        case "curve":
            pieces = len(term["knots"]) - 1
            curve = Curve(
                term["column"], tuple(term["knots"]), term["fill"], (0.0,) * pieces, (1.0,) * pieces
            )
            return curve, term["values"][0], np.diff(term["values"]).tolist()
        case "blank":
            return Blank(term["column"]), term["present"], [term["missing"] - term["present"]]
        case "levels":
            names = (*term["levels"], None)
            values = [*term["levels"].values(), term["missing"], term["other"]]
            return Levels(term["column"], names, True, (0.0,) * len(values)), 0.0, values
        case "region":
            sides = tuple(Condition(**condition) for condition in term["conditions"])
            return Region(sides, 0.0, 1.0), term["outside"], [term["inside"] - term["outside"]]
        case _:
            ramps = (_ramp(term["first"]), _ramp(term["second"]))
            return Product(*ramps, term["mean"], 1.0), 0.0, [term["slope"]]


def _ramp(part: Record) -> Ramp:
    from risk.model.terms import Ramp

    if "level" in part:
        return Ramp(part["column"], level=part["level"])
    return Ramp(part["column"], tuple(part["knots"]), part["fill"])

"""The model as a scikit-learn pipeline, and a fitted pipeline as the model that is served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import PipelineError
from risk.model.model import AGREEMENT, Model, Rows, check_rows, column_array, numbers_and_texts
from risk.model.parts import filled
from risk.model.profile import profile_of

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from risk.model.terms import Ramp

Record = dict[str, Any]


def export(
    pipeline: Pipeline, columns: dict[str, str], sample: pd.DataFrame, lineage: dict[str, Any]
) -> bytes:
    """The pipeline as JSON; refused unless both agree within 1e-12 on every row of the sample."""
    intercept, terms = parts_of(pipeline)
    table = rows_of_frame(sample, columns)
    intercept, terms = centred(intercept, terms, table)
    model = Model(columns, intercept, terms, lineage)
    ours, theirs = model.probabilities(table), pipeline.predict_proba(sample)[:, 1]
    worst = float(np.abs(ours - theirs).max(initial=0.0))
    if not worst <= AGREEMENT:
        raise PipelineError(
            f"the JSON model differs from the pipeline by {worst:.3g}; nothing was written"
        )
    model = replace(model, profile=profile_of(table, columns), checks=check_rows(table))
    return model.to_bytes()


def parts_of(pipeline: Pipeline) -> tuple[float, list[dict[str, Any]]]:
    """(intercept, terms as the JSON model holds them) of a fitted pipeline of either recipe."""
    regression, first = pipeline[-1], pipeline[0]
    weights, intercept = regression.coef_[0], float(regression.intercept_[0])
    if not hasattr(first, "terms_"):
        return intercept, _raw_terms(first, weights)
    return intercept, records_of(first.terms_, weights)


def records_of(terms: list[Any], weights: np.ndarray) -> list[dict[str, Any]]:
    """The terms as the JSON model holds them; weights: of all their columns."""
    records, at = [], 0
    for term in terms:
        width = len(term.names())
        records.append(term.record(weights[at : at + width]))
        at += width
    return records


def _raw_terms(columns: Any, weights: np.ndarray) -> list[dict[str, Any]]:
    """The original recipe: raw numbers, the median where one is missing, no clipping."""
    _, filler, names = columns.transformers_[0]
    widest = float(np.finfo(np.float64).max)
    line = {"kind": "line", "mean": 0.0, "low": -widest, "high": widest}
    return [
        {**line, "column": name, "fill": float(fill), "slope": float(weight)}
        for name, fill, weight in zip(names, filler.statistics_, weights, strict=True)
    ]


def centred(
    intercept: float, terms: list[dict[str, Any]], table: Rows
) -> tuple[float, list[dict[str, Any]]]:
    """The same sum with lines about their mean on these rows: the base is then the average client.

    The default recipe's lines have their mean already; the original recipe's are raw.
    """
    moved = []
    for term in terms:
        if term["kind"] == "line" and term["mean"] == 0.0:
            values = filled(column_array(table[term["column"]], "number"), term["fill"])
            mean = float(np.clip(values, -1e150, 1e150).mean()) if values.size else 0.0
            intercept += term["slope"] * mean
            term = {**term, "mean": mean}
        moved.append(term)
    return intercept, moved


def rows_of_frame(frame: pd.DataFrame, columns: dict[str, str]) -> Rows:
    """A DataFrame's feature columns as lists, missing as None."""
    found = {}
    for name, kind in columns.items():
        values, blank = frame[name], frame[name].isna()
        found[name] = [
            None if gone else (float(v) if kind == "number" else str(v))
            for v, gone in zip(values, blank, strict=True)
        ]
    return found


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

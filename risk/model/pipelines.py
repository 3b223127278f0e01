"""The model as a scikit-learn pipeline, and a fitted pipeline as the model that is served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import PipelineError
from risk.data.previous import earlier_names
from risk.model.design import DesignTerm, weighted_terms
from risk.model.model import AGREEMENT, Model, check_rows, numbers_and_texts
from risk.model.profile import Rows, profile_of
from risk.model.terms import LARGEST, Linear, Term

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


def export(
    pipeline: Pipeline, columns: dict[str, str], sample: pd.DataFrame, lineage: dict[str, Any]
) -> bytes:
    """The pipeline as JSON; refused unless both agree within 1e-12 on every row of the sample."""
    table = rows_of_frame(sample, columns)
    model = replace(model_of_pipeline(pipeline, columns).about_the_average(table), lineage=lineage)
    ours, theirs = model.probabilities(table), pipeline.predict_proba(sample)[:, 1]
    worst = float(np.abs(ours - theirs).max(initial=0.0))
    if not worst <= AGREEMENT:
        raise PipelineError(
            f"the JSON model differs from the pipeline by {worst:.3g}; nothing was written"
        )
    model = replace(model, profile=profile_of(table, columns), checks=check_rows(table))
    return model.to_bytes()


def model_of_pipeline(pipeline: Pipeline, columns: dict[str, str]) -> Model:
    """The fitted pipeline of either recipe as a model."""
    regression, first = pipeline[-1], pipeline[0]
    weights, intercept = regression.coef_[0], float(regression.intercept_[0])
    if hasattr(first, "terms_"):
        return Model(columns, intercept, weighted_terms(first.terms_, weights))
    # The original recipe: raw numbers, the median where one is missing, no clipping.
    _, filler, names = first.transformers_[0]
    terms: list[Term] = [
        Linear(name, -LARGEST, LARGEST, float(fill), slope=float(weight))
        for name, fill, weight in zip(names, filler.statistics_, weights, strict=True)
    ]
    return Model(columns, intercept, terms)


def rows_of_frame(frame: pd.DataFrame, columns: dict[str, str]) -> Rows:
    """A DataFrame's feature columns as lists, missing as None; its earlier values too."""
    found = {}
    numbers, _ = numbers_and_texts(columns)
    earlier = {name: "number" for name in earlier_names(numbers) if name in frame.columns}
    for name, kind in (columns | earlier).items():
        values, blank = frame[name], frame[name].isna()
        found[name] = [
            None if gone else (float(v) if kind == "number" else str(v))
            for v, gone in zip(values, blank, strict=True)
        ]
    return found


def pipeline_of_model(model: Model) -> Pipeline:
    """The model as a fitted scikit-learn pipeline that ends in one LogisticRegression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    from risk.model.additive import AdditiveTerms

    first, last = AdditiveTerms(*numbers_and_texts(model.columns)), LogisticRegression()
    intercept, terms, slopes = model.intercept, [], []
    for term in model.terms:
        constant, means, own = term.weights()
        intercept += constant
        terms.append(DesignTerm(term, tuple(means), (1.0,) * len(means)))
        slopes += own
    first.terms_, first.n_features_in_ = terms, len(model.columns)
    last.coef_, last.intercept_ = np.array([slopes], dtype=np.float64), np.array([intercept])
    # What scikit-learn's own fit would leave behind: predict_proba asks for all of it.
    last.classes_, last.n_features_in_ = np.array([0, 1]), len(slopes)
    last.n_iter_ = np.array([0], dtype=np.int32)
    return Pipeline([("terms", first), ("regression", last)])

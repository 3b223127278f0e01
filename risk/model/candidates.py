"""Candidate models: the same terms under several weightings of the rows, for a decision to choose.

all     every labelled row
half    a row's weight halves with every evaluation since its label became known
last    the newest rows alone
last3   the rows of the newest three evaluations
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from risk.model.design import DesignTerm, design, raw_columns, weighted_terms
from risk.model.fit import one_blas_thread, ridge_weights, solver_of, unfitted_pipeline
from risk.model.forms import find_terms
from risk.model.main_effects import WIDEST
from risk.model.model import Model, numbers_and_texts
from risk.model.newton import log_odds_of
from risk.model.sampling import SEED
from risk.model.terms import LARGEST, Linear, Raw

if TYPE_CHECKING:
    import pandas as pd

WEIGHTINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "all": lambda ages: np.ones(ages.size),
    "half": lambda ages: 0.5 ** ages.astype(np.float64),
    "last": lambda ages: (ages == 0).astype(np.float64),
    "last3": lambda ages: (ages < 3).astype(np.float64),
}
_LEAST_WEIGHT = 1e-4  # a row that counts less costs as much as any other and changes nothing


@dataclass
class LabelledRows:
    """The labelled rows that may be learned from, and how many evaluations ago each label came.

    features: the raw columns in pandas; labels, clients, ages: shape (n,), age 0 the newest.
    """

    recipe: str
    columns: dict[str, str]
    features: pd.DataFrame
    labels: np.ndarray
    clients: np.ndarray
    ages: np.ndarray

    @cached_property
    def raw(self) -> Raw:
        """The features as the terms take them."""
        return raw_columns(self.features, *numbers_and_texts(self.columns))

    def rows(self, chosen: np.ndarray) -> Raw:
        return {name: values[chosen] for name, values in self.raw.items()}

    def part(self, chosen: np.ndarray) -> LabelledRows:
        """These rows alone, by their places or a mask."""
        return replace(
            self,
            features=self.features.iloc[chosen],
            labels=self.labels[chosen],
            clients=self.clients[chosen],
            ages=self.ages[chosen],
        )


@dataclass
class Candidates:
    """The models of these rows, each fitted when it is first asked for."""

    known: LabelledRows
    _found: dict[str, Model] = field(default_factory=dict)

    @cached_property
    def terms(self) -> list[DesignTerm]:
        """The terms that all of them share: found on all rows."""
        known = self.known
        if known.recipe == "original":
            unfitted_pipeline(known.recipe, known.columns)  # refuses what it cannot take
            return _raw_lines(known.raw)
        columns = numbers_and_texts(known.columns)
        with one_blas_thread():  # not by the pipeline: to load scikit-learn takes 1.4 s
            return find_terms(known.raw, known.labels, *columns, known.clients)

    def model(self, name: str) -> Model:
        """The model of that weighting."""
        if name not in self._found:
            self._found[name] = self.fit(self.terms, WEIGHTINGS[name](self.known.ages))
        return self._found[name]

    def fit(self, terms: list[DesignTerm], weight: np.ndarray) -> Model:
        """The model of these terms on the rows under these weights."""
        known, chosen = self.known, np.flatnonzero(weight > _LEAST_WEIGHT)
        rows = known.rows(chosen)
        weights = _fit_recipe(known.recipe, terms, rows, known.labels[chosen], weight[chosen])
        model = Model(known.columns, float(weights[0]), weighted_terms(terms, weights[1:]))
        if known.recipe != "original":
            return model
        # About the mean of all rows, whatever the weights: candidates then have common terms.
        return model.about_the_average({name: v.tolist() for name, v in known.raw.items()})


def cross_fitted(
    terms: list[DesignTerm], known: LabelledRows, newest: np.ndarray, folds: np.ndarray
) -> np.ndarray | None:
    """Log-odds of the newest rows, each by a model fitted on the other fold of them. Shape (n,).

    terms: found before these rows were. None where a fold has but one class.
    """
    y = known.labels[newest]
    if any(len(set(y[folds == fold].tolist())) < 2 for fold in (0, 1)):
        return None
    predicted = np.zeros(y.size)
    for fold in (0, 1):
        seen, unseen = folds != fold, folds == fold
        part = known.rows(newest[seen])
        weights = _fit_recipe(known.recipe, terms, part, y[seen], np.ones(seen.sum()))
        predicted[unseen] = log_odds_of(design(terms, known.rows(newest[unseen])), weights)
    return predicted


def _fit_recipe(
    recipe: str, terms: list[DesignTerm], raw: Raw, y: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Weights of the terms' columns, intercept first, on rows that count by `weight`."""
    if recipe == "original":
        return _fit_original(terms, raw, y, weight)
    with one_blas_thread():
        return ridge_weights(terms, raw, y, weight)


def _raw_lines(raw: Raw) -> list[DesignTerm]:
    """The original recipe's terms: raw numbers, the median where one is missing."""
    return [
        DesignTerm(
            Linear(name, -LARGEST, LARGEST, float(np.nan_to_num(np.nanmedian(values)))),
            means=(0.0,),
            scales=(1.0,),
        )
        for name, values in raw.items()
        if np.isfinite(values).any()
    ]


def _fit_original(
    terms: list[DesignTerm], raw: Raw, y: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Weights by the original recipe's solver; it may stop early, as it does in training."""
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(solver="liblinear", random_state=SEED)
    with solver_of("original"):
        regression.fit(np.clip(design(terms, raw), -WIDEST, WIDEST), y, sample_weight=weight)
    return np.concatenate([regression.intercept_, regression.coef_[0]])

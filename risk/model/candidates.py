"""Models of the same terms under several weightings of the rows: what a decision chooses among.

all     every labelled row
half    a row's weight halves with every look since its label became known
last    the newest rows alone
last3   the rows of the newest three looks
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import PipelineError
from risk.model.fit import CHUNK_ROWS, STEP_ROWS, pipeline
from risk.model.model import Model, numbers_and_texts
from risk.model.newton import Chunk, closeness, log_odds_of, null_weights, ridge_in_chunks
from risk.model.pipelines import centred, records_of
from risk.model.sampling import SEED
from risk.model.terms import (
    WIDEST,
    Blank,
    Condition,
    Curve,
    Levels,
    Linear,
    Product,
    Ramp,
    Raw,
    Region,
    design,
    raw_columns,
)

if TYPE_CHECKING:
    import pandas as pd

WEIGHTINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "all": lambda ages: np.ones(ages.size),
    "half": lambda ages: 0.5 ** ages.astype(np.float64),
    "last": lambda ages: (ages == 0).astype(np.float64),
    "last3": lambda ages: (ages < 3).astype(np.float64),
}
LEAST_WEIGHT = 1e-4
KINDS = {kind.__name__: kind for kind in (Linear, Blank, Levels, Curve, Region, Product)}


@dataclass
class LabelledRows:
    """The labelled rows that may be learned from, and how many looks ago each label came.

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
    def terms(self) -> list[Any]:
        """The terms that all of them share: found on all rows."""
        known = self.known
        made = pipeline(known.recipe, known.columns)[0]
        if known.recipe == "original":
            return raw_lines(known.raw)
        with _one_blas_thread():
            return made.fit(known.features, known.labels, groups=known.clients).terms_

    def model(self, name: str) -> Model:
        """The model of that weighting."""
        if name not in self._found:
            weight = WEIGHTINGS[name](self.known.ages)
            self._found[name] = self.fitted(self.terms, weight)
        return self._found[name]

    def fitted(self, terms: list[Any], weight: np.ndarray) -> Model:
        """The model of these terms on the rows under these weights."""
        known, chosen = self.known, np.flatnonzero(weight > LEAST_WEIGHT)
        rows = known.rows(chosen)
        y, weight = known.labels[chosen], weight[chosen]
        if known.recipe != "original":
            with _one_blas_thread():
                return model_of(terms, ridge_on(terms, rows, y, weight), known.columns)
        model = model_of(terms, fit_original(terms, rows, y, weight), known.columns)
        # About the mean of all rows, whatever the weights: then experts still have common terms.
        table = {name: values.tolist() for name, values in known.raw.items()}
        intercept, lines = centred(model.intercept, model.terms, table)
        return replace(model, intercept=intercept, terms=lines)


def _one_blas_thread() -> Any:
    """Narrow products take twice as long in two BLAS threads, ten times on a busy machine."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def cross_fitted(
    terms: list[Any], known: LabelledRows, newest: np.ndarray, halves: np.ndarray
) -> np.ndarray | None:
    """Log-odds of the newest rows, each by a model fitted on the other half of them. Shape (n,).

    terms: found before these rows were. None where a half has but one class.
    """
    rows, y = known.rows(newest), known.labels[newest]
    if any(len(set(y[halves == half].tolist())) < 2 for half in (0, 1)):
        return None
    said = np.zeros(y.size)
    slopes = fit_original if known.recipe == "original" else ridge_on
    for half in (0, 1):
        seen, asked = np.flatnonzero(halves != half), np.flatnonzero(halves == half)
        part = {name: values[seen] for name, values in rows.items()}
        weights = slopes(terms, part, y[seen], np.ones(seen.size))
        other = {name: values[asked] for name, values in rows.items()}
        said[asked] = log_odds_of(design(terms, other), weights)
    return said


def ridge_on(terms: list[Any], raw: Raw, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights of the terms' columns, intercept first: ridge on rows that count by `weight`."""

    def chunk(rows: slice) -> Chunk:
        part = {name: values[rows] for name, values in raw.items()}
        return design(terms, part), y[rows], weight[rows]

    chunks = [
        partial(chunk, slice(first, first + STEP_ROWS)) for first in range(0, y.size, STEP_ROWS)
    ]
    if y.size <= CHUNK_ROWS:  # the design matrix of so many rows is kept between the steps
        chunks = [partial(tuple, made()) for made in chunks]
    columns = sum(len(term.names()) for term in terms)
    start = null_weights(np.array([np.average(y, weights=weight)]), columns)
    return ridge_in_chunks(chunks, start, closeness(y, weight))


def raw_lines(raw: Raw) -> list[Any]:
    """The original recipe's terms: raw numbers, the median where one is missing."""
    widest = float(np.finfo(np.float64).max)
    return [
        Linear(name, -widest, widest, float(np.nan_to_num(np.nanmedian(values))))
        for name, values in raw.items()
        if np.isfinite(values).any()
    ]


def fit_original(terms: list[Any], raw: Raw, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights by the original recipe's solver; it may stop early, as it does in training."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(solver="liblinear", random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            regression.fit(np.clip(design(terms, raw), -WIDEST, WIDEST), y, sample_weight=weight)
        except ValueError as error:  # liblinear's own limit, for one: no number above 1e30
            raise PipelineError(
                f"the recipe 'original' cannot be fitted to these rows: {error}"
            ) from None
    return np.concatenate([regression.intercept_, regression.coef_[0]])


def model_of(terms: list[Any], weights: np.ndarray, columns: dict[str, str]) -> Model:
    """The terms with their weights, intercept first, as a model."""
    return Model(columns, float(weights[0]), records_of(terms, weights[1:]))


# ---------------------------------------------------------------- terms kept between looks


def recorded(term: Any) -> dict[str, Any]:
    """A term as JSON takes it, its scales (how strongly the ridge holds it) with it."""
    return {"class": type(term).__name__, **asdict(term)}


def restored(record: dict[str, Any]) -> Any:
    """The term that was recorded; KeyError or TypeError if it is none."""
    values = {key: _frozen(value) for key, value in record.items() if key != "class"}
    if record["class"] == "Region":
        values["conditions"] = tuple(Condition(**c) for c in record["conditions"])
    if record["class"] == "Product":
        values |= {key: Ramp(**_tuples(record[key])) for key in ("first", "second")}
    return KINDS[record["class"]](**values)


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {key: _frozen(value) for key, value in record.items()}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

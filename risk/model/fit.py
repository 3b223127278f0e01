"""The fit: labelled rows -> a scikit-learn pipeline that ends in one LogisticRegression."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from risk.config import PipelineError
from risk.model.design import DesignTerm, design
from risk.model.measures import auc
from risk.model.model import numbers_and_texts
from risk.model.newton import ridge
from risk.model.sampling import SEED, folds, sample_of
from risk.model.terms import Raw

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

_CHUNK_ROWS = 100_000
_START_ROWS = 200_000  # a sample whose weights are the start of the fit on all rows
MIN_TRAINING_ROWS, MIN_TRAINING_CLASS = 10, 3  # in all; of the exits and of the stays
_NEARLY_THE_ANSWER = 0.99  # the AUC of one column alone that no honest column has


def unfitted_pipeline(recipe: str, columns: dict[str, str]) -> Pipeline:
    """The unfitted pipeline of the recipe for these features (name to "number" or "text").

    original: the published exercise, liblinear on raw numbers (it never met a blank: the median).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    numbers, texts = numbers_and_texts(columns)
    if recipe != "original":
        from risk.model.additive import AdditiveTerms

        exact = LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=100, tol=1e-8)
        return Pipeline([("terms", AdditiveTerms(numbers, texts)), ("regression", exact)])
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer

    if texts:
        raise PipelineError(
            f'"model": "original" takes numbers only, and {texts[0]!r} is a text; '
            'take it out of columns.features or set "model": "default"'
        )
    filler = SimpleImputer(strategy="median", keep_empty_features=True)
    first = ColumnTransformer([("numbers", filler, list(numbers))])
    last = LogisticRegression(solver="liblinear", random_state=SEED)
    return Pipeline([("raw", first), ("regression", last)])


def fit(
    recipe: str,
    columns: dict[str, str],
    X: pd.DataFrame,
    y: np.ndarray,
    groups: np.ndarray | None = None,
) -> Pipeline:
    """The pipeline fitted on rows with labels y (0 or 1); PipelineError if they are too few.

    groups: each row's client; what is chosen by held-out rows keeps a client's rows together.
    That the solver stopped early is for has_converged() to say.
    """
    refuse_too_few(y)
    made = unfitted_pipeline(recipe, columns)
    with one_blas_thread():
        made[0].fit(X, y, **({} if recipe == "original" else {"groups": groups}))
        few = sample_of(y.size, _CHUNK_ROWS)
        terms = made[0].transform(X.iloc[few])
        if not terms.size or not np.any(terms.max(axis=0) > terms.min(axis=0)):
            raise PipelineError(
                "no feature has two different values; nothing can be learned from them"
            )
        with solver_of(recipe):
            if few.size < y.size and recipe != "original":
                _fit_in_chunks(made, X, y)
            else:
                made[-1].fit(terms if few.size == y.size else made[0].transform(X), y)
    if not np.all(np.isfinite([*made[-1].coef_[0], *made[-1].intercept_])):
        raise PipelineError("the fit did not converge to finite coefficients; nothing was written")
    return made


def one_blas_thread() -> AbstractContextManager[object]:
    """Narrow products take twice as long in two BLAS threads, ten times on a busy machine."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


@contextmanager
def solver_of(recipe: str) -> Iterator[None]:
    """What the solver cannot do is one sentence; that it stops early is no warning of its own."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            yield
        except ValueError as error:  # liblinear's own limit, for one: no number above 1e30
            raise PipelineError(
                f"the recipe {recipe!r} cannot be fitted to these rows: {error}"
            ) from None


def _fit_in_chunks(made: Pipeline, X: pd.DataFrame, y: np.ndarray) -> None:
    """Fit the regression by Newton steps over all rows, from a sample's fit, chunks in memory.

    It ends at the same weights as a fit on all rows at once, in a fraction of time and memory: on
    1,000,000 rows a fifth of them come so near that two passes over all are enough.
    """
    terms, raw = made[0].terms_, made[0].raw(X)
    start = None
    few = sample_of(y.size, min(_START_ROWS, y.size // 4))
    if are_enough(y[few]):
        near = {name: column[few] for name, column in raw.items()}
        start = ridge_weights(terms, near, y[few], root=np.sqrt(y.size / few.size))
    weights = ridge_weights(terms, raw, y, start=start)
    regression = made[-1].fit(np.zeros((2, weights.size - 1)), [0, 1])  # for its attributes alone
    regression.intercept_, regression.coef_ = weights[:1].copy(), weights[None, 1:].copy()


def ridge_weights(
    terms: list[DesignTerm],
    raw: Raw,
    y: np.ndarray,
    counts: np.ndarray | None = None,
    start: np.ndarray | None = None,
    root: float = 1.0,
) -> np.ndarray:
    """The ridge's weights of the terms' columns, intercept first.

    counts: how often each row counts. root: the square root of how much more weakly a sample is
    regularised, whose loss is that part of all rows'; start: weights nearby, with a root of 1.
    """
    scaled = [replace(t, scales=tuple(root * scale for scale in t.scales)) for t in terms]

    def part(rows: slice) -> np.ndarray:
        return design(scaled, {name: column[rows] for name, column in raw.items()})

    # The design matrix of few rows is kept between the steps.
    found = ridge(part if y.size > _CHUNK_ROWS else part(slice(None)), y, start, counts)
    found[1:] *= root
    return found


def has_converged(fitted: Pipeline) -> bool:
    """Whether the solver ended by itself, not by its limit of iterations."""
    return int(np.max(fitted[-1].n_iter_)) < fitted[-1].max_iter


def refuse_too_few(y: np.ndarray) -> None:
    """Refuse labels that no model can be learned from."""
    if are_enough(y):
        return
    exits = int(np.sum(y == 1))
    raise PipelineError(
        f"{y.size} labelled rows ({exits} exits, {y.size - exits} stays) are too few: training "
        f"needs {MIN_TRAINING_ROWS} with {MIN_TRAINING_CLASS} of each; add files with labels to "
        "the input folder and ingest them"
    )


def are_enough(y: np.ndarray) -> bool:
    exits = int(np.sum(y == 1))
    return y.size >= MIN_TRAINING_ROWS and min(exits, y.size - exits) >= MIN_TRAINING_CLASS


def out_of_fold(
    recipe: str, columns: dict[str, str], X: pd.DataFrame, y: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Probabilities of each row by a model that saw no row of its client. Shape (n,)."""
    fold = folds(y, groups)
    risk = np.empty(y.size)
    for unseen in (fold == number for number in np.unique(fold)):
        known = y[~unseen]
        try:
            model = fit(recipe, columns, X[~unseen], known, groups[~unseen])
            risk[unseen] = model.predict_proba(X[unseen])[:, 1]
        except PipelineError:
            risk[unseen] = np.mean(known) if known.size else 0.5
    return risk


def suspects(columns: dict[str, str], X: pd.DataFrame, y: np.ndarray) -> list[str]:
    """Features whose values alone order the labels almost perfectly (AUC > .99): often a leak."""
    found = []
    for name, kind in columns.items():
        areas = [auc(y, scores) for scores in _scores(X[name], kind, y)]
        if any(max(area, 1 - area) > _NEARLY_THE_ANSWER for area in areas if area is not None):
            found.append(name)
    return found


def _scores(column: pd.Series, kind: str, y: np.ndarray) -> list[np.ndarray]:
    """A number with the missing below all others, and above: being missing can be the leak. Of a
    text each row's share of exits in its level (missing is one); [] if most levels are rare."""
    import pandas as pd

    if kind == "number":
        values = column.to_numpy(np.float64)
        return [np.where(np.isnan(values), end, values) for end in (-np.inf, np.inf)]
    at, levels = pd.factorize(column, use_na_sentinel=False)
    if len(levels) > y.size / 5:
        return []  # a level with a row or two carries its own label: that is no leak
    return [(np.bincount(at, weights=y) / np.bincount(at))[at]]

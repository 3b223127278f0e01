"""The fit: labelled rows -> a scikit-learn pipeline that ends in one LogisticRegression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import PipelineError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

SEED = 0
MIN_ROWS, MIN_CLASS = 10, 3
NEARLY_THE_ANSWER = 0.99


def pipeline(recipe: str, columns: dict[str, str]) -> Pipeline:
    """The unfitted pipeline of the recipe for these features (name to "number" or "text")."""
    if recipe == "original":
        return _original(columns)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    from risk.model.terms import PlainTerms

    numbers = tuple(name for name, kind in columns.items() if kind == "number")
    texts = tuple(name for name, kind in columns.items() if kind == "text")
    return Pipeline([
        ("terms", PlainTerms(numbers, texts)),
        ("regression", LogisticRegression(C=1.0, max_iter=1000)),
    ])


def _original(columns: dict[str, str]) -> Pipeline:
    """The published exercise: liblinear on the raw numbers (a blank, which it never met: the median)."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    texts = [name for name, kind in columns.items() if kind != "number"]
    if texts:
        raise PipelineError(
            f'"model": "original" takes numbers only, and {texts[0]!r} is a text; '
            'take it out of columns.features or set "model": "default"'
        )
    filler = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([
        ("raw", ColumnTransformer([("numbers", filler, list(columns))])),
        ("regression", LogisticRegression(solver="liblinear", random_state=SEED)),
    ])


def fit(recipe: str, columns: dict[str, str], X: pd.DataFrame, y: np.ndarray) -> Pipeline:
    """The pipeline fitted on rows with labels y (0 or 1); PipelineError where too little is known."""
    check_enough(y)
    fitted = pipeline(recipe, columns).fit(X, y)
    if not np.all(np.isfinite(fitted[-1].coef_)):
        raise PipelineError("the fit did not converge to finite coefficients; nothing was written")
    return fitted


def check_enough(y: np.ndarray) -> None:
    """Refuse labels that no model can be learned from."""
    if enough(y):
        return
    exits = int(np.sum(y == 1))
    raise PipelineError(
        f"{y.size} labelled rows ({exits} exits, {y.size - exits} stays) are too few: training needs "
        f"{MIN_ROWS} with {MIN_CLASS} of each; add files with labels to the input folder and ingest them"
    )


def enough(y: np.ndarray) -> bool:
    exits = int(np.sum(y == 1))
    return y.size >= MIN_ROWS and min(exits, y.size - exits) >= MIN_CLASS


def out_of_fold(recipe: str, columns: dict[str, str], X: pd.DataFrame, y: np.ndarray,
                groups: np.ndarray) -> np.ndarray:
    """Probabilities of each row by a model that saw no row of its client. Shape (n,)."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    folds = int(min(5, np.sum(y == 1), np.sum(y == 0)))
    splitter: Any = StratifiedKFold(folds, shuffle=True, random_state=SEED)
    if len(set(groups)) >= folds and len(set(groups)) < groups.size:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    risk = np.full(y.size, float(np.mean(y)))
    for seen, unseen in splitter.split(X, y, groups):
        if len(set(y[seen])) == 2:
            risk[unseen] = pipeline(recipe, columns).fit(X.iloc[seen], y[seen]).predict_proba(
                X.iloc[unseen])[:, 1]
    return risk


def suspects(columns: dict[str, str], X: pd.DataFrame, y: np.ndarray) -> list[str]:
    """Features whose values alone order the labels almost perfectly (AUC > .99): often a leak."""
    from risk.model.measures import auc

    found = []
    for name, kind in columns.items():
        if kind == "number":
            values = X[name].to_numpy(np.float64)
            values = np.where(np.isnan(values), np.nanmedian(values) if not np.all(np.isnan(values)) else 0,
                              values)
        else:
            rates = {level: float(np.mean(y[(X[name] == level).to_numpy()])) for level in X[name].unique()}
            values = X[name].map(rates).fillna(float(np.mean(y))).to_numpy(np.float64)
            if len(rates) > y.size / 5:
                continue  # a level with a row or two carries its own label: that is no leak
        area = auc(y, values)
        if area is not None and max(area, 1 - area) > NEARLY_THE_ANSWER:
            found.append(name)
    return found

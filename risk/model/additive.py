"""The scikit-learn transformer: a DataFrame -> the design matrix of the terms that fit found.

This is the one module of the room that loads scikit-learn when it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from risk.model.design import DesignTerm, design, raw_columns
from risk.model.forms import find_terms
from risk.model.terms import Raw

if TYPE_CHECKING:
    import pandas as pd


class AdditiveTerms(TransformerMixin, BaseEstimator):
    """Curves, levels and a few screened interactions: the default recipe; fit looks at labels."""

    terms_: list[DesignTerm]

    def __init__(self, numbers: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> None:
        self.numbers = numbers
        self.texts = texts

    def fit(self, X: pd.DataFrame, y: Any, groups: Any = None) -> AdditiveTerms:
        self.n_features_in_ = len(self.numbers) + len(self.texts)
        self.terms_ = find_terms(self.raw(X), np.asarray(y), self.numbers, self.texts, groups)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """The design matrix, shape (n, columns)."""
        check_is_fitted(self, "terms_")
        return design(self.terms_, self.raw(X)) if self.terms_ else np.zeros((len(X), 0))

    def raw(self, X: pd.DataFrame) -> Raw:
        return raw_columns(X, self.numbers, self.texts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return np.array([name for one in self.terms_ for name in one.term.names()], dtype=object)

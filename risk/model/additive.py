"""The scikit-learn transformer: a DataFrame -> the design matrix of the terms that fit found.

This is the one module of the room that loads scikit-learn when it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from risk.model.change_terms import change_terms
from risk.model.design import DesignTerm, design, raw_columns, standardise
from risk.model.interactions import find_interactions
from risk.model.logistic import expit
from risk.model.main_effects import log_of, main_effects, plain_terms, rank_of
from risk.model.measures import log_loss
from risk.model.newton import log_odds_of, ridge
from risk.model.sampling import folds, sample_of
from risk.model.terms import Blank, Levels, Linear, Log, Rank, Raw, Term

if TYPE_CHECKING:
    import pandas as pd

# With less, five folds cannot tell a curve from its noise: the plain terms at strength 1.
_FEW_ROWS, _FEW_OF_A_CLASS = 200, 50
# Of fewer exits five folds cannot tell a form from noise.
_LEAST_TO_CHOOSE, _FORMS, _FEW_STRENGTHS = 10, 3, (0.1, 1.0)
_CLEAR = 0.002  # of log loss that logarithms or ranks of all numbers have to gain
_WORTH = 0.0005  # of log loss that another form of one column has to gain
_CHANGE_Z = 3.0  # of twenty changes that say nothing one in twenty comes so far
_STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
_PLAIN_STRENGTHS = (0.1, 1.0)
_SAMPLE_ROWS = 30_000  # more rows choose the same strength and cost seven times five fits each


class AdditiveTerms(TransformerMixin, BaseEstimator):
    """Curves, levels and a few screened interactions: the default recipe.

    fit looks at the labels: it chooses the strength of the regularisation (five-fold log loss,
    clients kept together), whether curves beat straight lines there, and which regions and products
    the residuals ask for. Fewer than 200 rows or 50 of a class: the plain terms.
    """

    terms_: list[DesignTerm]

    def __init__(self, numbers: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> None:
        self.numbers = numbers
        self.texts = texts

    def fit(self, X: pd.DataFrame, y: Any, groups: Any = None) -> AdditiveTerms:
        raw, y = self.raw(X), np.asarray(y)
        self.n_features_in_ = len(self.numbers) + len(self.texts)
        smaller = int(min(np.sum(y == 1), np.sum(y == 0)))
        if y.size < _FEW_ROWS or smaller < _FEW_OF_A_CLASS:
            self.terms_ = self._few_terms(raw, y, smaller, groups)
            return self
        sample = sample_of(y.size, _SAMPLE_ROWS)
        near, known = {name: values[sample] for name, values in raw.items()}, y[sample]
        mains = main_effects(raw, self.numbers, self.texts, smaller)
        lines = plain_terms(near, self.numbers, ())
        lines += [term for term in mains if isinstance(term, Levels)]
        # The main effects' blanks are standardised on all rows: a sample may have none of them.
        options = [
            [standardise(t, raw if isinstance(t, Blank) else near, strength) for t in mains]
            for strength in _STRENGTHS
        ]
        forms = [_forms_of(term, near) for term in lines]
        # Straight lines as they are, by logarithms and by ranks: the gate of the curves.
        straight = [[own[min(form, len(own) - 1)] for own in forms] for form in range(_FORMS)]
        options += [
            [standardise(t, near, strength) for t in one]
            for one in straight
            for strength in _PLAIN_STRENGTHS
        ]
        clients = sample if groups is None else np.asarray(groups)[sample]
        if len(set(clients.tolist())) < 2:
            clients = sample  # the rows of one client alone cannot all be held out
        fold = folds(known, clients)
        chosen = min(
            options,
            key=lambda terms: (
                _held_out_loss(design(terms, near), known, fold)
                + _CLEAR * any(isinstance(one.term, Log | Rank) for one in terms)
            ),
        )
        chosen = _with_changes(chosen, near, self.numbers, known, fold)
        self.terms_ = chosen + find_interactions(chosen, raw, y) if chosen else chosen
        return self

    def _few_terms(self, raw: Raw, y: np.ndarray, smaller: int, groups: Any) -> list[DesignTerm]:
        """Of few rows: each number as it is, by its logarithm or by its rank, whichever held-out
        rows ask for; as it is where the rarer class is too small to ask."""
        lines = plain_terms(raw, self.numbers, self.texts)
        plain = [standardise(term, raw) for term in lines]
        if smaller < _LEAST_TO_CHOOSE or not plain:
            return plain
        clients = np.arange(y.size) if groups is None else np.asarray(groups)
        fold = folds(y, clients if len(set(clients.tolist())) > 1 else np.arange(y.size))
        forms = [_forms_of(term, raw) for term in lines]

        def loss(choice: tuple[int, ...], strength: float) -> float:
            pairs = zip(forms, choice, strict=True)
            terms = [standardise(own[at], raw, strength) for own, at in pairs]
            return _held_out_loss(design(terms, raw), y, fold)

        uniform = [tuple(min(form, len(own) - 1) for own in forms) for form in range(_FORMS)]
        tried = {(c, s): loss(c, s) for c in uniform for s in _FEW_STRENGTHS}
        # Without a clear gain a number stays as it is.
        best, strength = min(tried, key=lambda one: tried[one] + _CLEAR * (one[0] != uniform[0]))
        least = tried[best, strength]
        for at, own in enumerate(forms):
            for form in range(len(own)):
                other = (*best[:at], form, *best[at + 1 :])
                if other != best and (found := loss(other, strength)) < least - _WORTH:
                    best, least = other, found
        chosen = [standardise(own[at], raw, strength) for own, at in zip(forms, best, strict=True)]
        return _with_changes(chosen, raw, self.numbers, y, fold)

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """The design matrix, shape (n, columns)."""
        check_is_fitted(self, "terms_")
        return design(self.terms_, self.raw(X)) if self.terms_ else np.zeros((len(X), 0))

    def raw(self, X: pd.DataFrame) -> Raw:
        return raw_columns(X, self.numbers, self.texts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return np.array([name for one in self.terms_ for name in one.term.names()], dtype=object)


def _forms_of(term: Term, raw: Raw) -> list[Term]:
    """The forms of a straight term; any other has its own alone."""
    if not isinstance(term, Linear):
        return [term]
    values = raw[term.column]
    others = (log_of(term.column, values), rank_of(term.column, values))
    return [term, *(other for other in others if other is not None)]


def _with_changes(
    terms: list[DesignTerm], raw: Raw, numbers: tuple[str, ...], y: np.ndarray, fold: np.ndarray
) -> list[DesignTerm]:
    """The terms, and those of change that lower the held-out loss beyond its own noise, one after
    the other: the one that the held-out residuals go together with most is tried."""
    offers = [standardise(term, raw) for term in change_terms(raw, numbers)] if terms else []
    risk = _held_out_risk(design(terms, raw), y, fold) if offers else np.zeros(0)
    while offers:
        strength = [abs(_z_score(y - risk, offer.columns(raw)[0])) for offer in offers]
        best = offers.pop(int(np.argmax(strength)))
        trial = _held_out_risk(design([*terms, best], raw), y, fold)
        gains = _row_losses(y, risk) - _row_losses(y, trial)
        if max(strength) < _CHANGE_Z or gains.mean() < max(_WORTH, gains.std() / y.size**0.5):
            break
        terms, risk = [*terms, best], trial
    return terms


def _z_score(residuals: np.ndarray, values: np.ndarray) -> float:
    """How many standard deviations their sum of products is away from 0."""
    return float(residuals @ values / max(float(np.sqrt(residuals**2 @ values**2)), 1e-300))


def _row_losses(y: np.ndarray, risk: np.ndarray) -> np.ndarray:
    return -np.log(np.clip(np.where(y == 1, risk, 1 - risk), 1e-12, 1.0))


def _held_out_loss(Z: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """Mean log loss of each row by a ridge fitted without its fold."""
    return log_loss(y, _held_out_risk(Z, y, fold))


def _held_out_risk(Z: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The risk of each row by a ridge fitted without its fold. Shape (n,)."""
    risk = np.empty(y.size)
    weights = None  # each fold starts at the last one's, which spares it steps
    for number in np.unique(fold):
        unseen = fold == number
        weights = ridge(Z[~unseen], y[~unseen], weights)
        risk[unseen] = expit(log_odds_of(Z[unseen], weights))
    return risk

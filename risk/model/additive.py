"""The default recipe's terms: curves or lines, levels, and the interactions that are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from risk.model.interactions import screened
from risk.model.logistic import expit
from risk.model.measures import log_loss
from risk.model.newton import log_odds_of, ridge
from risk.model.sampling import folds, sample_of
from risk.model.terms import Levels, Raw, Terms, design, main_effects, plain_terms, regularise

if TYPE_CHECKING:
    import pandas as pd

FEW_ROWS, FEW_OF_A_CLASS = 200, 50
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
PLAIN_STRENGTHS = (0.1, 1.0)
SAMPLE_ROWS = 30_000


class AdditiveTerms(Terms):
    """Curves, levels and a few screened interactions: the default recipe.

    fit looks at the labels: it chooses how strongly the ridge holds (five-fold log loss, clients
    kept together), whether curves beat straight lines there, and which regions and products the
    residuals ask for. The strength is folded into the columns' scales, so that the regression
    behind it always has C = 1. Fewer than 200 rows or 50 of a class: the plain terms.
    """

    def fit(self, X: pd.DataFrame, y: Any, groups: Any = None) -> AdditiveTerms:
        raw, y = self.raw(X), np.asarray(y)
        self.n_features_in_ = len(self.numbers) + len(self.texts)
        smaller = int(min(np.sum(y == 1), np.sum(y == 0)))
        if y.size < FEW_ROWS or smaller < FEW_OF_A_CLASS:
            self.terms_ = plain_terms(raw, self.numbers, self.texts)
            return self
        sample = sample_of(y.size, SAMPLE_ROWS)
        near, known = {name: values[sample] for name, values in raw.items()}, y[sample]
        mains = main_effects(raw, self.numbers, self.texts, smaller)
        folded = None if groups is None else np.asarray(groups)[sample]
        chosen = _best_main_effects(mains, near, known, folded, self)
        self.terms_ = chosen + screened(chosen, raw, y) if chosen else chosen
        return self


def _best_main_effects(
    mains: list[Any], raw: Raw, y: np.ndarray, groups: np.ndarray | None, features: Terms
) -> list[Any]:
    """The main effects at the strength with the least held-out log loss.

    The plain recipe's straight lines take the curves' place where they lose less.
    """
    if groups is None or len(set(groups.tolist())) < 2:
        groups = np.arange(y.size)
    fold = folds(y, groups)
    options = [regularise(mains, raw, strength) for strength in STRENGTHS]
    lines = plain_terms(raw, features.numbers, ())
    levels = [term for term in mains if isinstance(term, Levels)]
    options += [regularise([*lines, *levels], raw, strength) for strength in PLAIN_STRENGTHS]
    losses = [held_out_loss(design(terms, raw), y, fold) for terms in options]
    return options[int(np.argmin(losses))]


def held_out_loss(Z: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """Mean log loss of each row by a ridge fitted without its fold."""
    risk = np.empty(y.size)
    weights = None
    for number in np.unique(fold):
        unseen = fold == number
        weights = ridge(Z[~unseen], y[~unseen], weights)
        risk[unseen] = expit(log_odds_of(Z[unseen], weights))
    return log_loss(y, risk)

"""Models made from models, recalibrated or averaged; they stay sums of terms.

A recalibration a + c x log-odds and a weighted mean of log-odds are sums of terms again, so that
the JSON model, the pickle and the reasons carry them exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from risk.model.model import Model
from risk.model.terms import Term


def recalibrate(model: Model, recalibration: tuple[float, float]) -> Model:
    """The model whose log-odds are a + c x those of this one."""
    a, c = recalibration
    terms = [term.times(c) for term in model.terms]
    return replace(model, intercept=a + c * model.intercept, terms=terms)


def weighted_mean(models: list[Model], shares: np.ndarray) -> Model:
    """The model whose log-odds are the weighted mean of theirs; the rest is the first one's.

    Terms that differ in what they add alone become one.
    """
    sums: dict[Term, Term] = {}  # candidates share their terms: one model's worth, not one each
    for model, share in zip(models, shares.tolist(), strict=True):
        for term in model.terms:
            part, place = term.times(share), term.place()
            sums[place] = sums[place].plus(part) if place in sums else part
    intercept = sum(m.intercept * s for m, s in zip(models, shares.tolist(), strict=True))
    return replace(models[0], intercept=intercept, terms=list(sums.values()))

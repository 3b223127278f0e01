"""Rows with labels -> the terms of the default recipe: their forms, strength and interactions."""

from __future__ import annotations

from typing import Any

import numpy as np

from risk.model.change_terms import change_terms
from risk.model.design import DesignTerm, design, standardise
from risk.model.interactions import find_interactions
from risk.model.logistic import expit
from risk.model.main_effects import log_of, main_effects, plain_terms, rank_of
from risk.model.newton import log_odds_of, ridge
from risk.model.sampling import folds, sample_of
from risk.model.terms import NARROWEST, Blank, Levels, Linear, Log, Rank, Raw, Term

# With less, five folds cannot tell a curve from its noise: the plain terms at strength 1.
_FEW_ROWS, _FEW_OF_A_CLASS = 200, 50
# Of fewer exits five folds cannot tell a form from noise.
_LEAST_TO_CHOOSE, _FEW_STRENGTHS = 10, (0.1, 1.0)
_SKEW = 1.0  # of a number, from which on its logarithm may suit it better
_WORTH, _SURE = 0.0005, 1.0  # of log loss, and of its standard error, that another form has to gain
_CHANGE_Z = 3.0  # of twenty changes that say nothing one in twenty comes so far
_STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
_PLAIN_STRENGTHS = (0.1, 1.0)
_SAMPLE_ROWS = 30_000  # more rows choose the same strength and cost seven times five fits each


def find_terms(
    raw: Raw, y: np.ndarray, numbers: tuple[str, ...], texts: tuple[str, ...], groups: Any = None
) -> list[DesignTerm]:
    """The terms of these rows.

    The labels choose the strength of the regularisation (five-fold log loss, clients kept
    together), whether curves or another form of the numbers beat the straight lines that suit their
    values there, and which regions and products the residuals ask for. Fewer than 200 rows or 50 of
    a class: the plain terms.
    """
    smaller = int(min(np.sum(y == 1), np.sum(y == 0)))
    if y.size < _FEW_ROWS or smaller < _FEW_OF_A_CLASS:
        return _few_terms(raw, y, numbers, texts, groups)
    sample = sample_of(y.size, _SAMPLE_ROWS)
    near, known = {name: values[sample] for name, values in raw.items()}, y[sample]
    mains = main_effects(raw, numbers, texts, smaller)
    lines = plain_terms(near, numbers, ())
    lines += [term for term in mains if isinstance(term, Levels)]
    forms = [_forms_of(term, near) for term in lines]
    # Straight lines, in the form that suits each number first, are the gate of the curves. The
    # main effects' blanks are standardised on all rows: a sample may have none of them.
    families = [
        [_in_forms(forms, choice, near, strength) for strength in _PLAIN_STRENGTHS]
        for choice in _common_forms(forms)
    ]
    curves = [
        [standardise(t, raw if isinstance(t, Blank) else near, strength) for t in mains]
        for strength in _STRENGTHS
    ]
    clients = sample if groups is None else np.asarray(groups)[sample]
    if len(set(clients.tolist())) < 2:
        clients = sample  # the rows of one client alone cannot all be held out
    fold = folds(known, clients)
    chosen, least = [], np.zeros(0)
    for family in [*families, curves]:
        losses = [_held_out_losses(design(terms, near), known, fold) for terms in family]
        best = min(range(len(family)), key=lambda at: losses[at].mean())
        if not least.size or _is_clear(least - losses[best], clients):
            chosen, least = family[best], losses[best]
    chosen = _with_changes(chosen, near, numbers, known, fold)
    own = None if groups is None else np.asarray(groups)
    return chosen + find_interactions(chosen, raw, y, own) if chosen else chosen


def _few_terms(
    raw: Raw, y: np.ndarray, numbers: tuple[str, ...], texts: tuple[str, ...], groups: Any
) -> list[DesignTerm]:
    """Of few rows: each number in the form that suits its values, or in another that held-out
    rows ask for beyond their own noise."""
    smaller = int(min(np.sum(y == 1), np.sum(y == 0)))
    forms = [_forms_of(term, raw) for term in plain_terms(raw, numbers, texts)]
    best, strength, least = (0,) * len(forms), 1.0, np.zeros(0)
    if smaller < _LEAST_TO_CHOOSE or not forms:
        return _in_forms(forms, best, raw, strength)
    clients = np.arange(y.size) if groups is None else np.asarray(groups)
    fold = folds(y, clients if len(set(clients.tolist())) > 1 else np.arange(y.size))

    def losses(choice: tuple[int, ...], strength: float) -> np.ndarray:
        return _held_out_losses(design(_in_forms(forms, choice, raw, strength), raw), y, fold)

    for choice in _common_forms(forms):
        tried = {s: losses(choice, s) for s in _FEW_STRENGTHS}
        own = min(tried, key=lambda s: tried[s].mean())
        if not least.size or _is_clear(least - tried[own], clients):
            best, strength, least = choice, own, tried[own]
    for at in range(len(forms)):
        for form in range(len(forms[at])):
            other = (*best[:at], form, *best[at + 1 :])
            found = losses(other, strength)
            if _is_clear(least - found, clients):
                best, least = other, found
    return _with_changes(_in_forms(forms, best, raw, strength), raw, numbers, y, fold)


def _forms_of(term: Term, raw: Raw) -> list[Term]:
    """The forms of a straight term, the one that suits its values first; any other has its own.

    A number that is much more skewed than its logarithm, as sizes and counts over decades are, goes
    by that: looking at no label, this choice has no noise, and the labels may ask for another.
    """
    if not isinstance(term, Linear):
        return [term]
    values = raw[term.column]
    log, rank = log_of(term.column, values), rank_of(term.column, values)
    if log is None:
        return [term]
    skew, other = (_skew(form.basis(raw)[0]) for form in (term, log))
    first = [log, term] if skew > _SKEW and abs(other) < skew - _SKEW / 2 else [term, log]
    return [*first, *([rank] if rank else [])]


def _skew(values: np.ndarray) -> float:
    unit = values / max(float(np.abs(values).max()), NARROWEST)  # squares of 1e300 overflow
    spread = float(unit.std())
    return float(np.mean(((unit - unit.mean()) / spread) ** 3)) if spread else 0.0


def _common_forms(forms: list[list[Term]]) -> list[tuple[int, ...]]:
    """Places in the forms of each term: those that suit best, all lines, all logarithms, all ranks;
    each choice once."""
    choices = [(0,) * len(forms)]
    for kind in (Linear, Log, Rank):
        places = [[at for at, form in enumerate(own) if type(form) is kind] for own in forms]
        choices.append(tuple(at[0] if at else 0 for at in places))
    return list(dict.fromkeys(choices))


def _in_forms(
    forms: list[list[Term]], choice: tuple[int, ...], raw: Raw, strength: float
) -> list[DesignTerm]:
    return [standardise(own[at], raw, strength) for own, at in zip(forms, choice, strict=True)]


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


def _held_out_losses(Z: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Log loss of each row by a ridge fitted without its fold. Shape (n,)."""
    return _row_losses(y, _held_out_risk(Z, y, fold))


def _is_clear(gains: np.ndarray, clients: np.ndarray) -> bool:
    """Whether the mean gain is worth a more special form, and beyond its noise between clients."""
    import pandas as pd

    apart = np.bincount(pd.factorize(clients)[0], weights=gains - gains.mean())
    noise = float(np.sqrt(apart @ apart)) / gains.size
    return bool(gains.mean() > max(_WORTH, _SURE * noise))


def _held_out_risk(Z: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The risk of each row by a ridge fitted without its fold. Shape (n,)."""
    risk = np.empty(y.size)
    weights = None  # each fold starts at the last one's, which spares it steps
    for number in np.unique(fold):
        unseen = fold == number
        weights = ridge(Z[~unseen], y[~unseen], weights)
        risk[unseen] = expit(log_odds_of(Z[unseen], weights))
    return risk

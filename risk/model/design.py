"""The design matrix: terms as standardised columns, to which a regression gives weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.data.previous import earlier_names
from risk.model.model import term_of
from risk.model.terms import Raw, Term
from risk.records import parse_record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DesignTerm:
    """A term whose columns are (basis - means) x scales; the larger a scale, the weaker the ridge.

    The strength of the regularisation is folded into the scales, so that the regression behind
    them always has C = 1.
    """

    term: Term
    means: tuple[float, ...]
    scales: tuple[float, ...]

    def columns(self, raw: Raw) -> np.ndarray:
        """Shape (columns, n)."""
        found = self.term.basis(raw)  # made for us: changed in place, which halves the memory
        for column, mean, scale in zip(found, self.means, self.scales, strict=True):
            column -= mean
            column *= scale
        return found

    def to_json(self) -> dict[str, object]:
        return {"term": self.term.to_json(), "means": self.means, "scales": self.scales}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> DesignTerm:
        """What to_json() gave; ValueError, KeyError or TypeError for anything else."""
        means, scales = (parse_record(tuple[float, ...], record[k]) for k in ("means", "scales"))
        return cls(term_of(record["term"]), means, scales)


def standardise(term: Term, raw: Raw, strength: float = 1.0) -> DesignTerm:
    """The term with the means of these rows, scaled for a ridge of that strength."""
    means, deviations = np.array([_moments(column) for column in term.basis(raw)]).T
    scales = float(np.sqrt(strength)) * term.natural_scales(deviations)
    return DesignTerm(term, tuple(means.tolist()), tuple(scales.tolist()))


def _moments(column: np.ndarray) -> tuple[float, float]:
    """(mean, deviation), also where the squares of the numbers would overflow or vanish."""
    peak = float(np.abs(column).max())  # 1.7e308 is a number that files hold
    unit = column / peak if peak else column
    return float(unit.mean()) * peak, float(unit.std()) * peak


def deviation(term: Term, raw: Raw) -> float:
    """The standard deviation of a term's only column."""
    return _moments(term.basis(raw)[0])[1]


def design(terms: Sequence[DesignTerm], raw: Raw) -> np.ndarray:
    """The design matrix, shape (n, columns of all terms), each column in one piece of memory."""
    rows = len(next(iter(raw.values()), ()))
    found, at = np.empty((sum(len(term.means) for term in terms), rows)), 0
    for term in terms:
        found[at : at + len(term.means)] = term.columns(raw)
        at += len(term.means)
    return found.T


def weighted_terms(terms: Sequence[DesignTerm], weights: np.ndarray) -> list[Term]:
    """The terms of a model; weights: of all columns of the design matrix."""
    ends = np.cumsum([len(term.means) for term in terms])[:-1]
    return [
        one.term.with_slopes(own * np.array(one.scales), np.array(one.means))
        for one, own in zip(terms, np.split(weights, ends), strict=True)
    ]


def raw_columns(X: pd.DataFrame, numbers: tuple[str, ...], texts: tuple[str, ...]) -> Raw:
    """The columns of a frame as the terms take them, earlier values too where it has them."""
    earlier = [name for name in earlier_names(numbers) if name in X.columns]
    found = {name: _numbers(X[name]) for name in (*numbers, *earlier)}
    return found | {name: _texts(X[name]) for name in texts}


def _numbers(values: Any) -> np.ndarray:
    """A column as float64, missing as nan. Shape (n,)."""
    import pandas as pd

    return pd.to_numeric(pd.Series(values), errors="raise").to_numpy(np.float64, na_value=np.nan)


def _texts(values: Any) -> np.ndarray:
    """A column as str objects, missing (None, nan, "") as None. Shape (n,)."""
    import pandas as pd

    series = pd.Series(values, dtype=object)
    cells = zip(series, series.isna(), strict=True)
    return np.array([None if blank or v == "" else str(v) for v, blank in cells], dtype=object)

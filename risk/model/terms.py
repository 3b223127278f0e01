"""Features: raw columns of a DataFrame -> the terms that the logistic regression adds up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    import pandas as pd

MIN_BLANKS = 5
MAX_LEVELS = 50
WIDEST = float(np.finfo(np.float64).max / 4)  # differences of two clipped numbers stay finite


@dataclass(frozen=True)
class Term:
    """One column of the design matrix: (f(x) - mean) / scale, with f by the term's kind.

    number: x clipped to [low, high], `fill` where it is missing.
    blank: 1 where the number is missing.
    level: 1 where the text equals `level` (None: where it is missing).
    """

    kind: str
    column: str
    mean: float
    scale: float
    low: float = 0.0
    high: float = 0.0
    fill: float = 0.0
    level: str | None = None

    @property
    def name(self) -> str:
        suffix = {"number": "", "blank": " is missing", "level": f" = {self.level}"}[self.kind]
        return f"{self.column}{suffix}"


def as_numbers(values: Any) -> np.ndarray:
    """A column as float64, missing as nan. Shape (n,)."""
    import pandas as pd

    return pd.to_numeric(pd.Series(values), errors="raise").to_numpy(np.float64, na_value=np.nan)


def as_texts(values: Any) -> np.ndarray:
    """A column as str objects, missing (None, nan, "") as None. Shape (n,)."""
    import pandas as pd

    series = pd.Series(values, dtype=object)
    texts = [
        None if blank or value == "" else str(value)
        for value, blank in zip(series, series.isna(), strict=True)
    ]
    return np.array(texts, dtype=object)


def term_values(term: Term, column: np.ndarray) -> np.ndarray:
    """The term's column of the design matrix, from the raw column. Shape (n,)."""
    if term.kind == "number":
        raw = np.clip(np.where(np.isnan(column), term.fill, column), term.low, term.high)
    elif term.kind == "blank":
        raw = np.isnan(column).astype(np.float64)
    else:
        raw = (column == term.level).astype(np.float64)
    return (raw - term.mean) / term.scale


class PlainTerms(TransformerMixin, BaseEstimator):
    """Clipped, filled, standardised numbers and one column per level: the small-data recipe.

    Numbers are clipped to the training 1-99 % range, filled by the median and standardised; five or
    more blanks add a flag. A text gives one centred column for each of its 50 commonest levels,
    blank being one; any other level adds nothing but their absence. Constant columns give no term.
    """

    def __init__(self, numbers: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> None:
        self.numbers = numbers
        self.texts = texts

    def fit(self, X: pd.DataFrame, y: Any = None) -> PlainTerms:
        terms: list[Term] = []
        for name in self.numbers:
            terms += number_terms(name, as_numbers(X[name]))
        for name in self.texts:
            terms += level_terms(name, as_texts(X[name]))
        self.terms_ = terms
        self.n_features_in_ = len(self.numbers) + len(self.texts)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """The design matrix, shape (n, terms)."""
        check_is_fitted(self, "terms_")
        raw = {name: as_numbers(X[name]) for name in self.numbers}
        raw |= {name: as_texts(X[name]) for name in self.texts}
        columns = [term_values(term, raw[term.column]) for term in self.terms_]
        return np.column_stack(columns) if columns else np.zeros((len(X), 0))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return np.array([term.name for term in self.terms_], dtype=object)


def number_terms(name: str, values: np.ndarray) -> list[Term]:
    """The terms of one numeric column; none where it is constant and never missing."""
    blank = np.isnan(values)
    finite = np.clip(values[np.isfinite(values)], -WIDEST, WIDEST)
    terms = []
    if finite.size:
        low, high = clip_range(finite)
        fill = float(np.clip(np.median(finite), low, high))
        terms += _standardised(Term("number", name, 0.0, 1.0, low, high, fill), values)
    if MIN_BLANKS <= blank.sum() < values.size:
        terms += _standardised(Term("blank", name, 0.0, 1.0), values)
    return terms


def clip_range(known: np.ndarray) -> tuple[float, float]:
    """The 1-99 % range; the whole range where a rare event would vanish from it."""
    low, high = np.quantile(known, [0.01, 0.99])
    if low == high:
        low, high = known.min(), known.max()
    return float(low), float(high)


def level_terms(name: str, texts: np.ndarray) -> list[Term]:
    """A centred 0/1 term for each of a text column's commonest levels, blank included."""
    found = Counter(texts.tolist())
    if len(found) < 2:
        return []
    common = sorted(found, key=lambda level: (-found[level], level is None, level or ""))[
        :MAX_LEVELS
    ]
    levels = sorted(common, key=lambda level: (level is None, level or ""))
    return [Term("level", name, found[level] / texts.size, 1.0, level=level) for level in levels]


def _standardised(term: Term, values: np.ndarray) -> list[Term]:
    """The term with the mean and deviation it has on these values; [] where it is constant."""
    raw = term_values(term, values)
    peak = float(np.abs(raw).max())
    if peak == 0.0:
        return []
    unit = raw / peak  # the squares of large numbers would overflow, and those of tiny ones vanish
    mean, scale = float(unit.mean()) * peak, float(unit.std()) * peak
    if scale <= 1e-12 * peak:
        return []
    return [Term(term.kind, term.column, mean, scale, term.low, term.high, term.fill)]

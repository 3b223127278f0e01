"""The model as JSON: its terms, checked at load, evaluated by numpy alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import PipelineError
from risk.files import checksum_holds, with_checksum
from risk.model.logistic import expit
from risk.model.parts import checked, contribution, number

if TYPE_CHECKING:
    pass

FORMAT = 1
MAX_BYTES = 8_000_000
AGREEMENT = 1e-12
SELF_CHECK_ROWS = 25
Rows = dict[str, list[Any]]


@dataclass(frozen=True)
class Model:
    """A logistic regression over terms; `columns` are its raw features and their kinds.

    profile: what is usual in the training rows, for the words of the reasons. checks: the rows that
    the file's self-check evaluates.
    """

    columns: dict[str, str]
    intercept: float
    terms: list[dict[str, Any]]
    lineage: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: Rows = field(default_factory=dict)

    def log_odds(self, table: Rows) -> np.ndarray:
        """The log-odds of an exit for each row. Shape (n,)."""
        return self.log_odds_of(self.raw(table), row_count(table))

    def log_odds_of(self, raw: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """The same from columns that are arrays already."""
        parts = (contribution(term, raw) for term in self.terms)
        with np.errstate(over="ignore"):  # an infinite log-odds is a certain answer
            return self.intercept + sum(parts, np.zeros(rows))

    def contributions(self, table: Rows) -> list[np.ndarray]:
        """What each term adds to each row's log-odds; they and the intercept add up."""
        raw = self.raw(table)
        return [contribution(term, raw) for term in self.terms]

    def raw(self, table: Rows) -> dict[str, np.ndarray]:
        """The feature columns as arrays: float64 with nan, or str objects with None."""
        return {name: column_array(table[name], kind) for name, kind in self.columns.items()}

    def probabilities(self, table: Rows) -> np.ndarray:
        """The probability of an exit for each row. Shape (n,)."""
        return expit(self.log_odds(table))

    def to_bytes(self) -> bytes:
        """model.json, which from_bytes() takes."""
        body = {
            "format": FORMAT,
            "columns": self.columns,
            "intercept": self.intercept,
            "terms": self.terms,
            "lineage": self.lineage,
            "profile": self.profile,
            "self_check": {"rows": self.checks, "log_odds": self.log_odds(self.checks).tolist()},
        }
        raw = (json.dumps(with_checksum(body), indent=1, allow_nan=False) + "\n").encode()
        if len(raw) > MAX_BYTES:
            raise PipelineError(
                f"the JSON model would be {len(raw)} bytes, more than {MAX_BYTES}; "
                "take the features with the longest texts out of columns.features"
            )
        return raw

    @classmethod
    def from_bytes(cls, raw: bytes) -> Model:
        """The model in the bytes; PipelineError unless checksum, terms and self-check rows hold."""
        if len(raw) > MAX_BYTES:
            raise _damaged(f"larger than {MAX_BYTES} bytes")
        try:
            body = json.loads(raw, parse_constant=_no_number)
            model = _checked(body)
            expected = np.array(body["self_check"]["log_odds"], dtype=np.float64)
            got = model.log_odds(dict(body["self_check"]["rows"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise _damaged("not a model of the known format") from None
        close = got.shape == expected.shape and np.abs(got - expected) <= AGREEMENT * (
            1 + np.abs(expected)
        )
        if not expected.size or not np.all(close):
            raise _damaged("its self-check rows do not come out as recorded")
        return model


def numbers_and_texts(columns: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the numbers, the texts) among the columns."""
    numbers = tuple(name for name, kind in columns.items() if kind == "number")
    return numbers, tuple(name for name, kind in columns.items() if kind == "text")


def row_count(table: Rows) -> int:
    return len(next(iter(table.values()), []))


def column_array(values: list[Any], kind: str) -> np.ndarray:
    """Raw values as the terms take them: float64 with nan, or str objects with None. Shape (n,)."""
    if kind == "number":
        return np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    column = np.empty(len(values), dtype=object)
    column[:] = [None if v is None or v == "" or v != v else str(v) for v in values]
    return column


def check_rows(table: Rows) -> Rows:
    """A few rows spread over the table: every later evaluation must give them what it gives now."""
    n = row_count(table)
    chosen = sorted({round(at) for at in np.linspace(0, n - 1, min(SELF_CHECK_ROWS, n))})
    return {name: [_finite_or_none(values[at]) for at in chosen] for name, values in table.items()}


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _no_number(name: str) -> float:
    raise ValueError(name)


def _checked(body: dict[str, Any]) -> Model:
    if type(body["format"]) is int and body["format"] > FORMAT:
        raise PipelineError("the model was written by a newer version of this software; update it")
    columns = dict(body["columns"])
    if (
        body["format"] != FORMAT
        or not checksum_holds(body)
        or not set(columns.values()) <= {"number", "text"}
    ):
        raise ValueError(columns)
    terms = [checked(term, columns) for term in body["terms"]]
    return Model(
        columns,
        number(body["intercept"]),
        terms,
        dict(body["lineage"]),
        dict(body["profile"]),
        dict(body["self_check"]["rows"]),
    )


def _damaged(what: str) -> PipelineError:
    return PipelineError(f"the JSON model is damaged ({what}); run training.py again")

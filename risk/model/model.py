"""The model as JSON: its terms, checked at load, evaluated by numpy alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import PipelineError
from risk.data.previous import PREVIOUS_DATE, earlier_names, earlier_values
from risk.files import checksum_holds, with_checksum
from risk.model.change_terms import Change
from risk.model.joint_terms import Joint, Product, Region
from risk.model.logistic import expit
from risk.model.profile import Profile, Rows
from risk.model.terms import Blank, Curve, Levels, Linear, Log, Rank, Raw, Term
from risk.records import insist, number, parse_record

if TYPE_CHECKING:
    import polars as pl

FORMAT = 1
_MAX_BYTES = 8_000_000  # read at each start of the server: a larger one is a mistake
AGREEMENT = 1e-12  # of probabilities: rounding of a few hundred terms stays below it
_SELF_CHECK_ROWS = 25  # of changed values, each a millionth, fewer than 40 % pass them
KINDS = {
    kind.word(): kind for kind in (Linear, Log, Rank, Curve, Blank, Levels, Change, Region, Product)
}


@dataclass(frozen=True)
class Model:
    """A logistic regression over terms; `columns` are its raw features and their kinds.

    profile: what is usual in the training rows, for the words of the reasons. checks: the rows that
    the file's self-check evaluates.
    """

    columns: dict[str, str]
    intercept: float
    terms: list[Term]
    lineage: dict[str, Any] = field(default_factory=dict)
    profile: Profile = field(default_factory=dict)
    checks: Rows = field(default_factory=dict)

    def log_odds(self, table: Rows) -> np.ndarray:
        """The log-odds of an exit for each row. Shape (n,)."""
        return self.log_odds_of(self.raw(table), row_count(table))

    def log_odds_of(self, raw: Raw, rows: int) -> np.ndarray:
        """The same from columns that are arrays already."""
        parts = (term.contribution(raw) for term in self.terms)
        with np.errstate(over="ignore"):  # an infinite log-odds is a certain answer
            return self.intercept + sum(parts, np.zeros(rows))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that it takes: its features, and of known clients the earlier values that its
        terms of change read."""
        earlier = [name for term in self.terms if isinstance(term, Change) for name in term.reads]
        return (*self.columns, *dict.fromkeys(earlier))

    @property
    def reads_earlier(self) -> bool:
        """Whether a term asks how a number has changed."""
        return len(self.inputs) > len(self.columns)

    def earlier_in(self, table: Rows, stored: pl.DataFrame, client: str) -> Rows:
        """The earlier values of rows that somebody sends, by the stored rows of their clients."""
        return earlier_values(table, stored, client, numbers_and_texts(self.columns)[0])

    def table(self, frame: pl.DataFrame) -> Rows:
        """Those of its columns that the frame has, as lists."""
        return {name: frame[name].to_list() for name in self.inputs if name in frame.columns}

    def raw(self, table: Rows) -> Raw:
        """The columns as arrays: float64 with nan, or str objects with None; of earlier values
        those that the table has."""
        return raw_of_table(table, self.columns)

    def probabilities(self, table: Rows) -> np.ndarray:
        """The probability of an exit for each row. Shape (n,)."""
        return expit(self.log_odds(table))

    def about_the_average(self, table: Rows) -> Model:
        """The same sum with lines about their mean on these rows: the base is then the average
        client. The default recipe's lines have their mean already; the original recipe's are raw.
        """
        raw, rows, intercept, terms = self.raw(table), row_count(table), self.intercept, []
        for term in self.terms:
            if isinstance(term, Linear) and term.mean == 0.0 and rows:
                mean = float(np.clip(term.basis(raw), -1e150, 1e150).mean())
                intercept, term = intercept + term.slope * mean, replace(term, mean=mean)
            terms.append(term)
        return replace(self, intercept=intercept, terms=terms)

    def to_json(self) -> dict[str, object]:
        """What from_json() takes."""
        # Candidate models that only a decision keeps have no rows to check.
        log_odds = self.log_odds(self.checks).tolist() if self.checks else []
        return {
            "columns": self.columns,
            "intercept": self.intercept,
            "terms": [term.to_json() for term in self.terms],
            "lineage": self.lineage,
            "profile": self.profile,
            "self_check": {"rows": self.checks, "log_odds": log_odds},
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Model:
        """The model in the record; ValueError, KeyError, TypeError or the like if it is unsound."""
        columns, terms = dict(body["columns"]), [term_of(record) for record in body["terms"]]
        insist(set(columns.values()) <= {"number", "text"})
        insist(all(term.is_sound(columns) for term in terms))
        return cls(
            columns,
            number(body["intercept"]),
            terms,
            dict(body["lineage"]),
            dict(body["profile"]),
            dict(body["self_check"]["rows"]),
        )

    def to_bytes(self) -> bytes:
        """model.json, which from_bytes() takes."""
        body = with_checksum({"format": FORMAT, **self.to_json()})
        raw = (json.dumps(body, indent=1, allow_nan=False) + "\n").encode()
        if len(raw) > _MAX_BYTES:
            raise PipelineError(
                f"the JSON model would be {len(raw)} bytes, more than {_MAX_BYTES}; "
                "take the features with the longest texts out of columns.features"
            )
        return raw

    @classmethod
    def from_bytes(cls, raw: bytes) -> Model:
        """The model in the bytes; PipelineError unless checksum, terms and self-check rows hold."""
        if len(raw) > _MAX_BYTES:
            raise _damaged(f"larger than {_MAX_BYTES} bytes")
        try:
            body = json.loads(raw, parse_constant=_no_number)
            if type(body["format"]) is int and body["format"] > FORMAT:
                raise PipelineError(
                    "the model was written by a newer version of this software; update it"
                )
            insist(body["format"] == FORMAT and checksum_holds(body))
            model = cls.from_json(body)
            expected = np.array(body["self_check"]["log_odds"], dtype=np.float64)
            got = model.log_odds(model.checks)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise _damaged("not a model of the known format") from None
        close = got.shape == expected.shape and np.allclose(got, expected, AGREEMENT, AGREEMENT)
        if not expected.size or not close:
            raise _damaged("its self-check rows do not come out as recorded")
        return model


def raw_of_table(table: Rows, columns: dict[str, str]) -> Raw:
    """The features as arrays, and with them what the table has of their earlier values."""
    earlier = (PREVIOUS_DATE, *earlier_names(n for n, kind in columns.items() if kind == "number"))
    kinds = columns | {name: "number" for name in earlier if name in table}
    return {name: column_array(table[name], kind) for name, kind in kinds.items()}


def term_of(record: dict[str, Any]) -> Term:
    """The term in the record; ValueError, KeyError or TypeError unless its fields are of their
    types. Whether they go together is for is_sound() to say."""
    fields = dict(record)
    kind = KINDS[fields.pop("kind")]
    if issubclass(kind, Joint):  # models of before know no margins
        fields = {"margins": []} | fields
    term: Term = parse_record(kind, fields)
    return term


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
    # v != v: nan, which is what pandas and polars make of a missing text
    column[:] = [None if v is None or v == "" or v != v else str(v) for v in values]
    return column


def check_rows(table: Rows) -> Rows:
    """A few rows spread over the table: every later evaluation must give them what it gives now."""
    n = row_count(table)
    chosen = sorted({round(at) for at in np.linspace(0, n - 1, min(_SELF_CHECK_ROWS, n))})
    return {name: [_finite_or_none(values[at]) for at in chosen] for name, values in table.items()}


def _finite_or_none(value: Any) -> Any:
    # JSON has no infinity; a missing value is as good a check.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _no_number(name: str) -> float:
    # json takes NaN and Infinity unless told otherwise; a term with one would give no risk.
    raise ValueError(name)


def _damaged(what: str) -> PipelineError:
    return PipelineError(f"the JSON model is damaged ({what}); run training.py again")

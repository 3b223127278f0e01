"""The model as JSON: written from the fitted terms, checked at load, evaluated by numpy alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.artifacts import is_sealed, seal
from risk.config import PipelineError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

FORMAT = 1
MAX_BYTES = 8_000_000
AGREEMENT = 1e-12
OWN = {"number": ("low", "high", "fill"), "blank": (), "level": ("level",)}
TEXTS = ("kind", "column", "level")
SELF_CHECK_ROWS = 5
Table = dict[str, list[Any]]


@dataclass(frozen=True)
class Model:
    """A logistic regression over terms; `columns` are its raw features and their kinds."""

    columns: dict[str, str]
    intercept: float
    terms: list[dict[str, Any]]
    lineage: dict[str, Any] = field(default_factory=dict)

    def log_odds(self, table: Table) -> np.ndarray:
        """The log-odds of an exit for each row. Shape (n,)."""
        with np.errstate(over="ignore"):  # an infinite log-odds is a certain answer
            return self.intercept + sum(self.contributions(table), np.zeros(rows_of(table)))

    def contributions(self, table: Table) -> list[np.ndarray]:
        """Per term, coefficient x centred value of each row; they and the intercept add up."""
        raw = {name: numpy_column(table[name], kind) for name, kind in self.columns.items()}
        return [term["coefficient"] * _value(term, raw[term["column"]]) for term in self.terms]

    def probabilities(self, table: Table) -> np.ndarray:
        """The probability of an exit for each row. Shape (n,)."""
        return logistic(self.log_odds(table))


def rows_of(table: Table) -> int:
    return len(next(iter(table.values()), []))


def logistic(log_odds: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def numpy_column(values: list[Any], kind: str) -> np.ndarray:
    """Raw values as the terms take them: float64 with nan, or str objects with None. Shape (n,)."""
    if kind == "number":
        return np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    column = np.empty(len(values), dtype=object)
    column[:] = [None if v is None or v == "" or v != v else str(v) for v in values]
    return column


def _value(term: dict[str, Any], column: np.ndarray) -> np.ndarray:
    match term["kind"]:
        case "number":
            filled = np.where(np.isnan(column), term["fill"], column)
            raw = np.clip(filled, term["low"], term["high"])
        case "blank":
            raw = np.isnan(column).astype(np.float64)
        case _:
            raw = (column == term["level"]).astype(np.float64)
    return (raw - term["mean"]) / term["scale"]


def export(
    pipeline: Pipeline, columns: dict[str, str], sample: pd.DataFrame, lineage: dict[str, Any]
) -> bytes:
    """The pipeline as JSON; refused unless both agree within 1e-12 on every row of the sample."""
    intercept, terms = parts_of(pipeline)
    model = Model(columns, intercept, terms, lineage)
    table = table_of(sample, columns)
    ours, theirs = model.probabilities(table), pipeline.predict_proba(sample)[:, 1]
    worst = float(np.abs(ours - theirs).max(initial=0.0))
    if not worst <= AGREEMENT:
        raise PipelineError(
            f"the JSON model differs from the pipeline by {worst:.3g}; nothing was written"
        )
    body = {
        "format": FORMAT,
        "columns": columns,
        "intercept": intercept,
        "terms": terms,
        "lineage": lineage,
        "self_check": self_check(model, table),
    }
    raw = (json.dumps(seal(body), indent=1, allow_nan=False) + "\n").encode()
    if len(raw) > MAX_BYTES:
        raise PipelineError(
            f"the JSON model would be {len(raw)} bytes, more than {MAX_BYTES}; "
            "take the features with the longest texts out of columns.features"
        )
    return raw


def self_check(model: Model, table: Table) -> dict[str, Any]:
    """A few rows spread over the table, and the log-odds that every later evaluation must give."""
    n = rows_of(table)
    chosen = sorted({round(at) for at in np.linspace(0, n - 1, min(SELF_CHECK_ROWS, n))})
    rows = {name: [_finite_or_none(values[at]) for at in chosen] for name, values in table.items()}
    return {"rows": rows, "log_odds": model.log_odds(rows).tolist()}


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parts_of(pipeline: Pipeline) -> tuple[float, list[dict[str, Any]]]:
    """(intercept, terms with their coefficients) of a fitted pipeline of either recipe."""
    regression = pipeline[-1]
    weights = regression.coef_[0]
    first = pipeline[0]
    if hasattr(first, "terms_"):
        plain = [_term_record(term) for term in first.terms_]
    else:
        plain = _raw_terms(first)
    return float(regression.intercept_[0]), [
        {**term, "coefficient": float(weight)} for term, weight in zip(plain, weights, strict=True)
    ]


def _term_record(term: Any) -> dict[str, Any]:
    shared = {"kind": term.kind, "column": term.column, "mean": term.mean, "scale": term.scale}
    return shared | {key: getattr(term, key) for key in OWN[term.kind]}


def _raw_terms(columns: Any) -> list[dict[str, Any]]:
    """The original recipe: raw numbers, the median where one is missing, no clipping."""
    _, filler, names = columns.transformers_[0]
    widest = np.finfo(np.float64).max
    return [
        {
            "kind": "number",
            "column": name,
            "mean": 0.0,
            "scale": 1.0,
            "low": -widest,
            "high": widest,
            "fill": float(fill),
        }
        for name, fill in zip(names, filler.statistics_, strict=True)
    ]


def table_of(frame: pd.DataFrame, columns: dict[str, str]) -> Table:
    """A DataFrame's feature columns as lists, missing as None."""
    found = {}
    for name, kind in columns.items():
        values, blank = frame[name], frame[name].isna()
        found[name] = [
            None if gone else (float(v) if kind == "number" else str(v))
            for v, gone in zip(values, blank, strict=True)
        ]
    return found


def parse(raw: bytes) -> Model:
    """The model in the bytes; PipelineError unless digest, schema and self-check rows hold."""
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


def _no_number(name: str) -> float:
    raise ValueError(name)


def _checked(body: dict[str, Any]) -> Model:
    if type(body["format"]) is int and body["format"] > FORMAT:
        raise PipelineError("the model was written by a newer version of this software; update it")
    columns = dict(body["columns"])
    if (
        body["format"] != FORMAT
        or not is_sealed(body)
        or not set(columns.values()) <= {"number", "text"}
    ):
        raise ValueError(columns)
    terms = [_checked_term(term, columns) for term in body["terms"]]
    return Model(columns, _number(body["intercept"]), terms, dict(body["lineage"]))


def _checked_term(term: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    wanted = {"kind", "column", "mean", "scale", "coefficient", *OWN[term["kind"]]}
    right_kind = (columns[term["column"]] == "text") == (term["kind"] == "level")
    if set(term) != wanted or not right_kind or not isinstance(term.get("level", ""), str | None):
        raise ValueError(term)
    checked = {key: value if key in TEXTS else _number(value) for key, value in term.items()}
    if checked["scale"] <= 0 or checked.get("low", 0.0) > checked.get("high", 0.0):
        raise ValueError(term)
    return checked


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _damaged(what: str) -> PipelineError:
    return PipelineError(f"the JSON model is damaged ({what}); run training.py again")

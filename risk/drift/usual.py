"""What is usual in the columns of a model's rows: what the data quality checks compare with."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any, TypedDict

import numpy as np

FORMAT = 1
LEAST_ROWS = 5  # fewer of a file cannot tell an issue from chance
CONSTANT_FILES = 0.2  # so many rows in files of one value: constant by its nature, as a month is
MAX_BYTES = 900  # of a column's texts; a column is 1 kB at most
GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
LOG_GRID = (0.05, 0.16, 0.5, 0.84, 0.95)  # .16 and .84: a standard deviation either way
COMMONEST = 4
Raw = dict[str, np.ndarray]


class Usual(TypedDict, total=False):
    """What is usual in one column, at most 1 kB as JSON.

    rows, known: all and those with a value. distinct: different values. common: the commonest, with
    their shares. points, below, upto: a number's quantiles, and the shares below and up to each.
    zero: share of zeros. logs: quantiles of ln of the size of the `nonzero` values, of which the
    share `negative` is below 0. once: a text's share of values that one row alone has. blank_file,
    constant, moves: from file to file, the most blanks, whether each has one value, how far the
    middle of the logs moves.
    """

    kind: str
    rows: int
    known: int
    distinct: int
    common: list[list[Any]]
    points: list[float]
    below: list[float]
    upto: list[float]
    zero: float
    logs: list[float]
    nonzero: int
    negative: float
    once: float
    blank_file: float
    constant: bool
    moves: float


class QualityReference(TypedDict):
    format: int
    columns: dict[str, Usual]


def quality_reference(
    raw: Raw, kinds: dict[str, str], files: np.ndarray | None = None
) -> QualityReference:
    """What is usual in each column, for quality.quality_issues().

    kinds: "number" or "text" by column. files: which file each row came from, shape (n,); with it
    what moves from file to file anyway is not taken for an issue.
    """
    columns: dict[str, Usual] = {}
    for name, kind in kinds.items():
        values, known = raw[name], known_values(raw[name])
        usual: Usual = {"rows": int(values.size), "known": int(known.size)}
        if known.size:
            usual |= _usual_number(np.sort(known)) if kind == "number" else _usual_text(known)
        if files is not None and values.size:
            _add_files(usual, values, files)
        columns[name] = usual | {"kind": kind}
    return {"format": FORMAT, "columns": columns}


def known_values(values: np.ndarray) -> np.ndarray:
    """The values that are not blank; a number that is not finite counts as blank."""
    if values.dtype == object:
        return values[np.array([value is not None for value in values], dtype=bool)]
    return values[np.isfinite(values)]


def _usual_number(known: np.ndarray) -> Usual:
    different, sizes = np.unique(known, return_counts=True)
    top = np.argsort(-sizes, kind="stable")[:COMMONEST]
    points = np.unique(np.quantile(known, GRID, method="nearest"))
    usual: Usual = {
        "distinct": int(different.size),
        "common": [[_short(different[i]), round(float(sizes[i] / known.size), 6)] for i in top],
        "points": [_short(point) for point in points],
        "below": [round(float(s), 6) for s in np.searchsorted(known, points, "left") / known.size],
        "upto": [round(float(s), 6) for s in np.searchsorted(known, points, "right") / known.size],
        "zero": round(float(np.mean(known == 0)), 6),
    }
    sizes_of = log_sizes(known)
    if sizes_of.size:
        usual["logs"] = [_short(q) for q in np.quantile(sizes_of, LOG_GRID)]
        usual["nonzero"] = int(sizes_of.size)
        usual["negative"] = round(float(np.mean(known[known != 0] < 0)), 6)
    return usual


def _usual_text(known: np.ndarray) -> Usual:
    levels = sorted(Counter(known.tolist()).items(), key=lambda item: (-item[1], item[0]))
    # Each takes 11 bytes at least: of the many texts of a column of names, few are written out.
    fitting = levels[: MAX_BYTES // 11]
    shares = [[level, round(float(rows / known.size), 6)] for level, rows in fitting]
    sizes = itertools.accumulate(len(json.dumps(share)) + 2 for share in shares)
    kept = [share for share, size in zip(shares, sizes, strict=True) if size <= MAX_BYTES]
    once = sum(rows == 1 for _, rows in levels) / known.size
    return {"distinct": len(levels), "common": kept, "once": round(float(once), 6)}


def _add_files(usual: Usual, values: np.ndarray, files: np.ndarray) -> None:
    """What moves from file to file: the blanks, a number's scale, files of one value alone."""
    parts = [values[files == file] for file in np.unique(files)]
    blanks = [1 - known_values(part).size / part.size for part in parts if part.size >= LEAST_ROWS]
    if blanks:
        usual["blank_file"] = round(float(np.quantile(blanks, 0.9)), 6)
    constant = sum(part.size for part in parts if known_values(part).size > 1 and is_constant(part))
    usual["constant"] = bool(constant / values.size >= CONSTANT_FILES)
    if "logs" in usual:
        logs = [log_sizes(known_values(part)) for part in parts]
        moves = [abs(np.median(x) - usual["logs"][2]) for x in logs if x.size >= LEAST_ROWS]
        usual["moves"] = _short(np.quantile(moves, 0.9)) if moves else 0.0


def is_constant(values: np.ndarray) -> bool:
    known = known_values(values)
    return bool((known == known[0]).all())


def log_sizes(known: np.ndarray) -> np.ndarray:
    """ln of the size of the values that are not 0."""
    return np.log(np.abs(known[known != 0]))


def _short(value: Any) -> float:
    """So many digits that whole numbers up to 9,999,999,999 stay whole."""
    return float(f"{float(value):.10g}")

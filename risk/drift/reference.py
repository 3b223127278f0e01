"""What the drift monitor compares with: counts per bin and level of the rows behind a model.

It travels with the release, so that no run reads old rows again. Counts are of clients: one that
has m of the rows adds 1/m for each, since a hundred rows of one client are not a hundred clients.

A number's bins end at quantiles of the reference; two more lie below its least and above its most
value. A new value falls into each of the n + 1 gaps between n values with the same chance, whatever
the distribution: a bin's count is its number of gaps. A text's levels are counted by name, the 20
commonest if there are more; these are then named by one half of the clients and counted on the
other, since a level that is named for being common in some rows is rarer in the next.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np

from risk.model.profile import PROFILE_ROWS
from risk.model.sampling import sample_of

FORMAT = 1
QUANTILES = 8  # with the two bins outside ten: more are each too thin with 300 rows
LEVELS = 20
LONGEST = 40  # characters of a level's name
GROUPS = 4  # quarters of the risk
LEAST_ROWS = 30  # fewer say nothing: of the reference, and of the rows since
ABSENT, MISSING = -1, 0  # bin indices of a cell without a value; its bin is 1, 2, ..
UNKNOWN = -1  # a row without a client


class ColumnReference(TypedDict, total=False):
    """A number's bins by cuts, least and most (None where no value is known); a text's by levels.

    counts: of each bin. missing: rows with and without a value, a half more each.
    """

    kind: str
    missing: list[float]
    counts: list[float]
    cuts: list[float]
    least: float | None
    most: float | None
    levels: list[str]


class LabelReference(TypedDict):
    """cuts: of the risk, into quarters. counts: stays and exits in each; risks: their sum."""

    cuts: list[float]
    counts: list[list[float]] | None
    risks: float


class Reference(TypedDict):
    """exits: stays and exits of all labelled rows, None with too few."""

    format: int
    rows: int
    clients: int
    columns: dict[str, ColumnReference]
    risk: ColumnReference
    exits: list[float] | None
    labels: LabelReference


def make_reference(
    raw: dict[str, np.ndarray],
    kinds: dict[str, str],
    risks: np.ndarray,
    labels: np.ndarray | None,
    *,
    clients: Sequence | None = None,
    out_of_fold: np.ndarray | None = None,
) -> Reference:
    """The reference, at most about 40 kB for 30 columns.

    raw: as Model.raw gives it; kinds: "number" or "text" by column; risks, labels and out_of_fold
    (risks by models that did not see the row), shape (n,), nan where there is none.
    """
    chosen = sample_of(len(risks), PROFILE_ROWS)
    nothing = np.full(len(risks), np.nan)
    labels, out_of_fold, risks = (
        np.asarray(nothing if values is None else values, dtype=np.float64)[chosen]
        for values in (labels, out_of_fold, risks)
    )
    hashes = client_hashes(clients, len(nothing))[chosen]
    weights = row_weights(hashes)
    columns = {
        name: _number_column(raw[name][chosen], weights)
        if kinds[name] == "number"
        else _text_column(raw[name][chosen], hashes, weights)
        for name in sorted(kinds)
    }
    known = ~np.isnan(labels)
    left = float((weights * labels)[known].sum())
    exits = (float(weights[known].sum()) - left + 0.5, left + 0.5)
    return {
        "format": FORMAT,
        "rows": int(chosen.size),
        "clients": round(float(weights.sum())),
        "columns": columns,
        "risk": _number_column(risks, weights),
        "exits": _rounded(exits) if known.sum() >= LEAST_ROWS else None,
        "labels": _label_reference(labels, out_of_fold, hashes, risks),
    }


def reference_checksum(reference: Reference) -> int:
    """Tells one reference from another."""
    return zlib.crc32(json.dumps(reference, sort_keys=True).encode())


def client_hashes(clients: Sequence | None, rows: int) -> np.ndarray:
    """A stable 32-bit number for each row's client, -1 where it has none. Shape (n,)."""
    if clients is None:
        return np.full(rows, UNKNOWN, dtype=np.int64)
    found = (
        UNKNOWN if client is None or client == "" else zlib.crc32(str(client).encode())
        for client in clients
    )
    return np.fromiter(found, np.int64, rows)


def row_weights(hashes: np.ndarray) -> np.ndarray:
    """1 / the number of the client's rows, 1 for a row without a client. Shape (n,)."""
    _, at, rows = np.unique(hashes, return_inverse=True, return_counts=True)
    return np.where(hashes == UNKNOWN, 1.0, 1.0 / np.maximum(rows[at], 1))


def _number_column(values: np.ndarray, weights: np.ndarray) -> ColumnReference:
    """Bins below the least value, up to each cut, up to the most, and above it."""
    values = np.asarray(values, dtype=np.float64)
    missing = _missing(~np.isnan(values), weights)
    column: ColumnReference = {"kind": "number", "missing": missing}
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {**column, "cuts": [], "least": None, "most": None, "counts": []}
    at = np.linspace(0, 1, QUANTILES + 1)[1:-1]
    cuts = np.unique(np.quantile(finite, at, method="inverted_cdf"))
    least, most = float(finite.min()), float(finite.max())
    column |= {"cuts": cuts[cuts < most].tolist(), "least": least, "most": most}
    bins = _number_bins(values, column)
    counts = np.bincount(bins, weights=weights, minlength=len(column["cuts"]) + 4)[1:]
    # From values to the gaps between them: one more at either end, one less after the least value.
    counts[0] += 1.0
    counts[-1] += 1.0
    counts[1] = max(counts[1] - 1.0, 0.5)
    return {**column, "counts": _rounded(counts)}


def _text_column(values: np.ndarray, hashes: np.ndarray, weights: np.ndarray) -> ColumnReference:
    """Levels by name, last all others: to be expected as often as levels that were met once."""
    named = [level_name(value) for value in values]
    present = np.array([level is not None for level in named], dtype=bool)
    counted = np.ones(len(named), dtype=bool)
    rows_of = Counter(level for level in named if level is not None)
    if len(rows_of) > LEVELS:
        # Named by clients with an even hash, counted on the others.
        counted = (np.where(hashes == UNKNOWN, np.arange(hashes.size), hashes) % 2).astype(bool)
        pairs = zip(named, counted, strict=True)
        rows_of = Counter(level for level, other in pairs if level is not None and not other)
    commonest = sorted(rows_of.items(), key=lambda item: (-item[1], item[0]))[:LEVELS]
    column: ColumnReference = {
        "kind": "text",
        "missing": _missing(present, weights),
        "levels": sorted(level for level, _ in commonest),
    }
    if not rows_of:
        return {**column, "counts": []}
    bins = _text_bins(values, column)[counted]
    length = len(column["levels"]) + 2
    counts = np.bincount(bins, weights=weights[counted], minlength=length)[1:]
    once = sum(1 for rows in rows_of.values() if rows == 1) if counted.all() else 0
    counts[-1] += 0.5 + once
    return {**column, "counts": _rounded(np.maximum(counts, 0.5))}


def _missing(present: np.ndarray, weights: np.ndarray) -> list[float]:
    return _rounded(weights[here].sum() + 0.5 for here in (present, ~present))


def _rounded(counts: Iterable[float]) -> list[float]:
    return [round(float(count), 4) for count in counts]


def _label_reference(
    labels: np.ndarray, out_of_fold: np.ndarray, hashes: np.ndarray, risks: np.ndarray
) -> LabelReference:
    """Stays and exits by quarter of the out-of-fold risk, and the sum of these risks.

    Without such risks: the quarters of the deployed model's risks, and counts of None. A model's
    risks of its own rows are too extreme to be held against labels.
    """
    known = ~np.isnan(labels) & np.isfinite(out_of_fold)
    enough = bool(known.sum() >= LEAST_ROWS)
    finite = out_of_fold[known] if enough else risks[np.isfinite(risks)]
    quarters = [0.25, 0.5, 0.75]
    cuts: list[float] = np.quantile(finite, quarters).tolist() if finite.size else quarters
    if not enough:
        return {"cuts": cuts, "counts": None, "risks": 0.0}
    weights = row_weights(hashes[known])
    counts, sums = label_counts(labels[known], out_of_fold[known], cuts, weights)
    return {
        "cuts": cuts,
        "counts": [_rounded(row) for row in counts + 0.5],
        "risks": round(float(sums.sum()), 4),
    }


def label_counts(
    labels: np.ndarray, risks: np.ndarray, cuts: list[float], weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(stays and exits by quarter of the risk, (4, 2); the sums of the risks there, (4,))."""
    quarter = np.searchsorted(cuts, risks, side="left")
    at = quarter * 2 + (labels > 0.5)
    counts = np.bincount(at, weights=weights, minlength=2 * GROUPS)
    sums = np.bincount(quarter, weights=risks * weights, minlength=GROUPS)
    return counts.reshape(GROUPS, 2), sums


def _number_bins(values: np.ndarray, column: ColumnReference) -> np.ndarray:
    """Each value's bin, 1 below the least, 0 where missing."""
    values = np.asarray(values, dtype=np.float64)
    gone = np.isnan(values)
    if column["least"] is None:  # none of the reference's values is known: only how many is
        return np.where(gone, MISSING, 1)
    bins = 2 + np.searchsorted(column["cuts"], values, side="left")
    bins = np.where(values < column["least"], 1, bins)
    bins = np.where(values > column["most"], len(column["cuts"]) + 3, bins)
    return np.where(gone, MISSING, bins)


def _text_bins(values: np.ndarray, column: ColumnReference) -> np.ndarray:
    """Each text's level, the last for every other one, 0 where missing."""
    levels = {level: index for index, level in enumerate(column["levels"], 1)}

    @functools.cache  # equal texts once: a third of the time
    def index_of(value: Any) -> int:
        level = level_name(value)
        return MISSING if level is None else levels.get(level, len(levels) + 1)

    return np.fromiter(map(index_of, values), np.int64, len(values))


def level_name(value: Any) -> str | None:
    """The text that stands for a level, None where missing; a long one is cut, with a checksum."""
    if value is None or value == "" or value != value:
        return None
    text = str(value)
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 9]}~{zlib.crc32(text.encode()):08x}"


def bin_indices(raw: dict[str, np.ndarray], risks: np.ndarray, reference: Reference) -> np.ndarray:
    """The bins of the risk and of each column by name, -1 where a column is absent. (n, 1 + C)."""
    columns = reference["columns"]
    bins = np.full((len(risks), 1 + len(columns)), ABSENT, dtype=np.int16)
    if raw or not columns:
        bins[:, 0] = _number_bins(risks, reference["risk"])
    for at, (name, column) in enumerate(sorted(columns.items()), 1):
        if name in raw:
            coded = _number_bins if column["kind"] == "number" else _text_bins
            bins[:, at] = coded(raw[name], column)
    return bins

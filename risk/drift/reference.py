"""What the watch compares with: counts per bin and level of the rows behind a model, as JSON.

It travels with the release, so that no look reads old rows again. Counts are of clients: one that
has m of the rows adds 1/m for each, since a hundred rows of one client are not a hundred clients.

A number's bins end at quantiles of the reference; two more lie below its least and above its most
value. A new value falls into each of the n + 1 gaps between n values with the same chance, whatever
the distribution: a bin's count is its number of gaps. A text's levels are counted by name, the 20
commonest if there are more; these are then named by one half of the clients and counted on the
other, since a level that is named for being common in some rows is rarer in the next.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from risk.model.profile import PROFILE_ROWS
from risk.model.sampling import sample_of

FORMAT = 1
QUANTILES = 8
LEVELS = 20
LONGEST = 40
GROUPS = 4
LEAST_ROWS = 30  # fewer say nothing: of the reference, and of the rows since
ABSENT, MISSING = -1, 0  # codes of a cell; its bin is 1, 2, ..
UNKNOWN = -1  # a row without a client


def make_reference(
    raw: dict[str, np.ndarray],
    kinds: dict[str, str],
    risks: np.ndarray,
    labels: np.ndarray | None,
    *,
    clients: Sequence | None = None,
    held_out: np.ndarray | None = None,
) -> dict[str, Any]:
    """The reference as JSON has it, at most about 40 kB for 30 columns.

    raw: as Model.raw gives it; kinds: "number" or "text" by column; risks, labels and held_out
    (out-of-fold risks), shape (n,), nan where there is none.
    """
    chosen = sample_of(len(risks), PROFILE_ROWS)
    hashes = client_hashes(clients, len(risks))[chosen]
    shares = row_weights(hashes)
    columns = {
        name: _column(raw[name][chosen], kinds[name], hashes, shares) for name in sorted(kinds)
    }
    risks = np.asarray(risks, dtype=np.float64)[chosen]
    labels = _floats(labels, chosen)
    return {
        "format": FORMAT,
        "rows": int(chosen.size),
        "clients": round(float(shares.sum())),
        "columns": columns,
        "risk": _number(risks, shares),
        "exits": _exits_of(labels, shares),
        "labels": _labels_of(labels, _floats(held_out, chosen), hashes, risks),
    }


def reference_checksum(reference: dict[str, Any]) -> int:
    """Tells one reference from another."""
    return zlib.crc32(json.dumps(reference, sort_keys=True).encode())


def _floats(values: np.ndarray | None, chosen: np.ndarray) -> np.ndarray:
    if values is None:
        return np.full(chosen.size, np.nan)
    return np.asarray(values, dtype=np.float64)[chosen]


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


def _column(
    values: np.ndarray, kind: str, hashes: np.ndarray, shares: np.ndarray
) -> dict[str, Any]:
    if kind == "number":
        return _number(values, shares)
    return _text(values, hashes, shares)


def _number(values: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
    """Bins below the least value, up to each cut, up to the most, and above it."""
    values = np.asarray(values, dtype=np.float64)
    present = ~np.isnan(values)
    body: dict[str, Any] = {"kind": "number", "missing": _missing(present, shares)}
    finite = values[np.isfinite(values)]
    if not finite.size:
        return body | {"cuts": [], "least": None, "most": None, "counts": []}
    at = np.linspace(0, 1, QUANTILES + 1)[1:-1]
    cuts = np.unique(np.quantile(finite, at, method="inverted_cdf"))
    least, most = float(finite.min()), float(finite.max())
    body |= {"cuts": cuts[cuts < most].tolist(), "least": least, "most": most}
    codes = _number_bins(values, body)
    counts = np.bincount(codes, weights=shares, minlength=len(body["cuts"]) + 4)[1:]
    return body | {"counts": _rounded(_gaps(counts))}


def _gaps(counts: np.ndarray) -> np.ndarray:
    """The gaps between the values: one more at either end, one less after the least value."""
    gaps = counts.copy()
    gaps[0] += 1.0
    gaps[-1] += 1.0
    gaps[1] = max(gaps[1] - 1.0, 0.5)
    return gaps


def _text(values: np.ndarray, hashes: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
    """Levels by name, last all others: to be expected as often as levels that were met once."""
    named = [level_name(value) for value in values]
    present = np.array([level is not None for level in named], dtype=bool)
    body: dict[str, Any] = {"kind": "text", "missing": _missing(present, shares)}
    different = Counter(level for level in named if level is not None)
    counted = np.ones(len(named), dtype=bool)
    if len(different) > LEVELS:
        counted = (np.where(hashes == UNKNOWN, np.arange(hashes.size), hashes) % 2).astype(bool)
        different = Counter(
            level
            for level, other in zip(named, counted, strict=True)
            if level is not None and not other
        )
    commonest = sorted(different.items(), key=lambda item: (-item[1], item[0]))[:LEVELS]
    body["levels"] = sorted(level for level, _ in commonest)
    if not different:
        return body | {"counts": []}
    codes = _text_bins(values, body)[counted]
    counts = np.bincount(codes, weights=shares[counted], minlength=len(body["levels"]) + 2)[1:]
    once = sum(1 for rows in different.values() if rows == 1) if counted.all() else 0
    counts[-1] += 0.5 + once
    return body | {"counts": _rounded(np.maximum(counts, 0.5))}


def _missing(present: np.ndarray, shares: np.ndarray) -> list[float]:
    gone = float(shares[~present].sum())
    return _rounded(np.array([float(shares[present].sum()) + 0.5, gone + 0.5]))


def _rounded(counts: np.ndarray) -> list[float]:
    return [round(float(count), 4) for count in counts]


def _exits_of(labels: np.ndarray, shares: np.ndarray) -> list[float] | None:
    """Clients that stayed and left, a half more each; None with too few labels."""
    known = ~np.isnan(labels)
    if known.sum() < LEAST_ROWS:
        return None
    left = float((shares * labels)[known].sum())
    return _rounded(np.array([float(shares[known].sum()) - left + 0.5, left + 0.5]))


def _labels_of(
    labels: np.ndarray, told: np.ndarray, hashes: np.ndarray, risks: np.ndarray
) -> dict[str, Any]:
    """Stays and exits by quarter of the out-of-fold risk, and the sum of these risks.

    Without such risks: the quarters of the deployed model's risks, and counts of None.
    """
    known = ~np.isnan(labels) & np.isfinite(told)
    enough = bool(known.sum() >= LEAST_ROWS)
    cuts = _quarters(told[known] if enough else risks)
    if not enough:
        return {"cuts": cuts, "counts": None, "risks": 0.0}
    shares = row_weights(hashes[known])
    counts, sums = label_counts(labels[known], told[known], cuts, shares)
    return {
        "cuts": cuts,
        "counts": [_rounded(row) for row in counts + 0.5],
        "risks": round(float(sums.sum()), 4),
    }


def _quarters(risks: np.ndarray) -> list[float]:
    finite = risks[np.isfinite(risks)]
    if not finite.size:
        return [0.25, 0.5, 0.75]
    return np.quantile(finite, [0.25, 0.5, 0.75]).tolist()


def label_counts(
    labels: np.ndarray, risks: np.ndarray, cuts: list[float], shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(stays and exits by quarter of the risk, (4, 2); the sums of the risks there, (4,))."""
    quarter = np.searchsorted(cuts, risks, side="left")
    at = quarter * 2 + (labels > 0.5)
    counts = np.bincount(at, weights=shares, minlength=2 * GROUPS)
    sums = np.bincount(quarter, weights=risks * shares, minlength=GROUPS)
    return counts.reshape(GROUPS, 2), sums


# ---------------------------------------------------------------- codes


def _number_bins(values: np.ndarray, column: dict[str, Any]) -> np.ndarray:
    """Each value's bin, 1 below the least, 0 where missing; all -1 without a reference."""
    values = np.asarray(values, dtype=np.float64)
    gone = np.isnan(values)
    if column["least"] is None:  # none of the reference's values is known: only how many is
        return np.where(gone, MISSING, 1)
    codes = 2 + np.searchsorted(column["cuts"], values, side="left")
    codes = np.where(values < column["least"], 1, codes)
    codes = np.where(values > column["most"], len(column["cuts"]) + 3, codes)
    return np.where(gone, MISSING, codes)


def _text_bins(values: np.ndarray, column: dict[str, Any]) -> np.ndarray:
    """Each text's level, the last for every other one, 0 where missing."""
    return np.fromiter(
        map(_LevelIndices(column["levels"]).__getitem__, values), np.int64, len(values)
    )


class _LevelIndices(dict[Any, int]):
    """The code of each text, worked out once for equal ones: a third of the time."""

    def __init__(self, levels: list[str]) -> None:
        super().__init__()
        self.levels = {level: code for code, level in enumerate(levels, 1)}

    def __missing__(self, value: Any) -> int:
        level = level_name(value)
        code = MISSING if level is None else self.levels.get(level, len(self.levels) + 1)
        self[value] = code
        return code


def level_name(value: Any) -> str | None:
    """The text that stands for a level, None where missing; a long one is cut, with a checksum."""
    if value is None or value == "" or value != value:
        return None
    text = str(value)
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 9]}~{zlib.crc32(text.encode()):08x}"


def bin_indices(
    raw: dict[str, np.ndarray], risks: np.ndarray, reference: dict[str, Any]
) -> np.ndarray:
    """The codes of the risk and of each column by name, -1 where a column is absent. (n, 1 + C)."""
    columns = reference["columns"]
    codes = np.full((len(risks), 1 + len(columns)), ABSENT, dtype=np.int16)
    if raw or not columns:
        codes[:, 0] = _number_bins(risks, reference["risk"])
    for at, (name, column) in enumerate(sorted(columns.items()), 1):
        if name in raw:
            coded = _number_bins if column["kind"] == "number" else _text_bins
            codes[:, at] = coded(raw[name], column)
    return codes

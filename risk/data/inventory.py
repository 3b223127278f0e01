"""What people and the API read of the store: ingestedfiles.txt, summary.json."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from risk.config import Config
from risk.data.schema import NUMBER, TARGET, Schema
from risk.data.state import COUNTS, Entry, StoreState
from risk.files import utc_now

if TYPE_CHECKING:
    import polars as pl

RECORD_HEADER = "directory,file,rows,accepted,duplicates,quarantined,size,sha256,ingested_at"


def ingest_record(config: Config, files: Mapping[str, Entry]) -> bytes:
    """ingestedfiles.txt: a line for every file that was read, refused and repeated ones too."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RECORD_HEADER.split(","))
    for entry in sorted(files.values(), key=lambda e: (e["data_version"], e["file"])):
        folder, _, name = f"{config.shown(config.input_folder)}/{entry['file']}".rpartition("/")
        for one in (entry, *([entry["refusal"]] if "refusal" in entry else [])):
            counts = [one[key] for key in COUNTS]
            writer.writerow([folder, name, *counts, one["size"], one["sha256"], one["ingested_at"]])
    # A file's name need not be UTF-8: it comes back as the bytes it is on disk.
    return out.getvalue().encode("utf-8", "surrogateescape")


def summary_of(state: StoreState, schema: Schema, rows: pl.DataFrame) -> dict[str, Any]:
    """summary.json: count, mean, median, sample deviation and missing share of every column."""
    return {
        "data_version": state["data_version"],
        "finaldata": state["finaldata"],
        "rows": rows.height,
        "measured_at": utc_now(),
        "columns": {c.name: _statistics(rows[c.name], c.kind) for c in schema.columns},
    }


def _statistics(values: pl.Series, kind: str | None) -> dict[str, float | None]:
    """Counts for any column; mean, median and deviation (n - 1) where it is a number."""
    # In one piece: sums by pieces differ in their last digit by how the rows were read.
    present = values.drop_nulls().rechunk()
    missing = values.null_count()
    share = round(100 * missing / values.len(), 4) if values.len() else 0.0
    found: dict[str, Any] = {"count": present.len(), "missing": missing, "missing_percent": share}
    if kind in (NUMBER, TARGET):
        found |= {"mean": present.mean(), "median": present.median(), "std": present.std()}
    # JSON has no infinity: a deviation beyond the largest double is reported as absent.
    return {k: v if v is not None and math.isfinite(v) else None for k, v in found.items()}

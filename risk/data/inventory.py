"""What people and the API read of the store: ingestedfiles.txt, summary.json."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from risk.config import Config
from risk.data.schema import NUMBER, TARGET, Schema
from risk.data.state import COUNTS, Entry, StoreState
from risk.files import read_optional_json, utc_now, write_atomic, write_json

if TYPE_CHECKING:
    import polars as pl

RECORD_HEADER = "directory,file,rows,accepted,duplicates,quarantined,size,sha256,ingested_at"


def write_ingest_record(config: Config, files: Mapping[str, Entry]) -> None:
    """ingestedfiles.txt, left as it is where nothing in it has changed."""
    raw = ingest_record(config, files).encode("utf-8", "surrogateescape")
    path = config.ingested_files
    if not path.exists() or path.read_bytes() != raw:
        write_atomic(path, raw)


def ingest_record(config: Config, files: Mapping[str, Entry]) -> str:
    """A line for every file that was read, refused and repeated ones too."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RECORD_HEADER.split(","))
    for entry in sorted(files.values(), key=lambda e: (e["data_version"], e["file"])):
        writer.writerow(_record_row(config, entry, entry))
        if "refusal" in entry:
            writer.writerow(_record_row(config, entry, entry["refusal"]))
    return out.getvalue()


def _record_row(config: Config, entry: Entry, counts: Entry) -> list[Any]:
    folder, _, name = f"{config.shown(config.input_folder)}/{entry['file']}".rpartition("/")
    return [
        folder,
        name,
        *(counts[key] for key in COUNTS),
        counts["size"],
        counts["sha256"],
        counts["ingested_at"],
    ]


def write_summary(
    config: Config, state: StoreState, schema: Schema, read: Callable[[], pl.DataFrame]
) -> None:
    """summary.json: count, mean, median, sample deviation and missing share of every column.

    The rows are read where the summary is not yet that of the state.
    """
    old = read_optional_json(config.summary)
    known = {key: state[key] for key in ("data_version", "finaldata")}
    if all(old.get(key) == value for key, value in known.items()):
        return
    rows = read()
    columns = {column.name: describe(rows[column.name], column.kind) for column in schema.columns}
    write_json(
        config.summary,
        {
            **known,
            "rows": rows.height,
            "measured_at": utc_now(),
            "columns": columns,
        },
    )


def describe(values: pl.Series, kind: str | None) -> dict[str, float | None]:
    """Counts for any column; mean, median and deviation (n - 1) where it is a number."""
    present = values.drop_nulls()
    found: dict[str, float | None] = {
        "count": present.len(),
        "missing": values.null_count(),
        "missing_percent": round(100 * values.null_count() / values.len(), 4)
        if values.len()
        else 0.0,
    }
    if kind in (NUMBER, TARGET):
        found |= {
            "mean": _finite(present.mean()),
            "median": _finite(present.median()),
            "std": _finite(present.std()),
        }
    return found


def _finite(value: Any) -> float | None:
    """JSON has no infinity: a deviation beyond the largest double is reported as absent."""
    return float(value) if value is not None and abs(float(value)) < float("inf") else None

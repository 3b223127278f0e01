"""What people and the API read of the store: ingestedfiles.txt, summary.json."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from risk.config import Config
from risk.data.schema import NUMBER, TARGET
from risk.data.state import COUNTS, Entry
from risk.files import read_optional_json, utc_now, write_atomic, write_json

if TYPE_CHECKING:
    import polars as pl

    from risk.data.store import Store

RECORD_HEADER = "directory,file,rows,accepted,duplicates,quarantined,size,sha256,ingested_at"


def write_ingest_record(store: Store) -> None:
    """ingestedfiles.txt: a line for every file that was read, refused and repeated ones too."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RECORD_HEADER.split(","))
    for entry in sorted(store.files.values(), key=lambda e: (e["data_version"], e["file"])):
        writer.writerow(_record_row(store.config, entry, entry))
        if "refusal" in entry:
            writer.writerow(_record_row(store.config, entry, entry["refusal"]))
    text = out.getvalue()
    path = store.config.ingested_files
    if not path.exists() or path.read_bytes() != text.encode("utf-8", "surrogateescape"):
        write_atomic(path, text)


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


def write_summary(store: Store) -> None:
    """summary.json: count, mean, median, sample deviation and missing share of every column."""
    old = read_optional_json(store.config.summary)
    if (
        old.get("data_version") == store.data_version
        and old.get("finaldata") == store.state["finaldata"]
    ):
        return
    rows = store.rows()
    columns = {
        column.name: describe(rows[column.name], column.kind) for column in store.schema.columns
    }
    write_json(
        store.config.summary,
        {
            "data_version": store.data_version,
            "finaldata": store.state["finaldata"],
            "rows": rows.height,
            "measured_at": utc_now(),
            "columns": columns,
        },
    )


def describe(values: pl.Series, kind: str | None) -> dict[str, Any]:
    """Counts for any column; mean, median and deviation (n - 1) where it is a number."""
    present = values.drop_nulls()
    found: dict[str, Any] = {
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

"""What the last runs measured: times, missing shares, packages, drift, statistics of the columns.

Nothing is measured here: the API answers from it within a millisecond, and a run of diagnostics.py
or fullprocess.py measures anew.
"""

from __future__ import annotations

from typing import Any

from risk.config import Config, PipelineError
from risk.drift.state import last_evaluation
from risk.files import read_json, read_optional_json
from risk.records import to_record
from risk.run.packages import last_packages
from risk.script import stage_times


def last_measured(config: Config) -> dict[str, Any]:
    """Times, missing shares, packages and drift, each with the time of its measurement."""
    summary = read_optional_json(config.summary)
    last = {
        stage: {"seconds": time["seconds"], "measured_at": time["measured_at"]}
        for stage, time in stage_times(config).items()
    }
    return {
        "timings": {stage: last.get(stage) for stage in ("ingestion", "training")},
        "missing_percent": {n: c["missing_percent"] for n, c in summary.get("columns", {}).items()},
        "missing_measured_at": summary.get("measured_at"),
        "packages": last_packages(config),
        "drift": to_record(last_evaluation(config)),
    }


def ingested_rows(config: Config) -> int:
    """How many rows the last ingestion left; PipelineError where no summary tells."""
    found = read_json(config.summary, "ingestion.py")
    if not {"rows", "measured_at", "columns"} <= set(found) or found.get("format", 1) != 1:
        raise PipelineError(
            f"{config.summary} is damaged or of another version of this software; run ingestion.py "
            "again"
        )
    return found["rows"]


def statistics(config: Config) -> dict[str, Any]:
    """Mean, median and sample deviation of each numeric column, as ingestion measured them."""
    summary = read_optional_json(config.summary)
    wanted = ("count", "mean", "median", "std")
    columns = {
        name: {key: c[key] for key in wanted}
        for name, c in summary.get("columns", {}).items()
        if "mean" in c
    }
    return {
        "rows": summary.get("rows", 0),
        "measured_at": summary.get("measured_at"),
        "columns": columns,
    }

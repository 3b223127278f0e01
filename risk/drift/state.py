"""The watch at a tick: rows that came since the deployment against the release's reference.

The reference is made at a deployment and is a file of the release: no tick reads old rows again.
What was seen since is `state/drift.json`, one write a look; a run that is cut off before it looks
again at the same rows and more, and comes to the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import Config, PipelineError
from risk.data.labels import usable_labels
from risk.data.snapshot import DataVersion, Snapshot, new_since
from risk.drift import monitor
from risk.drift.quality import DataQualityIssue, quality_issues, quality_reference
from risk.drift.reference import make_reference
from risk.files import (
    checksum_holds,
    read_optional_json,
    utc_now,
    with_checksum,
    write_json,
)
from risk.model.deployed import Deployed
from risk.model.logistic import expit
from risk.model.model import Model
from risk.model.profile import PROFILE_ROWS
from risk.model.sampling import sample_of
from risk.releases import IssueKey, base_version, read_deployment

if TYPE_CHECKING:
    import polars as pl

    from risk.data.schema import Schema

FORMAT = 1
REFERENCE_ROWS = 2000


# ---------------------------------------------------------------- at a deployment


def reference_bytes(model: Model, table: Snapshot, deployed: Deployed | None) -> bytes:
    """What the rows known to the model look like, as the release keeps it.

    A version that only moves the level of its risks keeps the reference of its ranking: what was
    seen since goes on counting.
    """
    body = _of_same_ranking(model, deployed) or _reference(model, table)
    marks = {"format": FORMAT, "trainedmodel_sha256": model.lineage["trainedmodel_sha256"]}
    return json.dumps(body | marks, sort_keys=True).encode()


def _reference(model: Model, table: Snapshot) -> dict[str, Any]:
    rows = table.rows.filter(table.rows["_data_version"] <= model.lineage["data_version"])
    sampled = rows[sample_of(rows.height, PROFILE_ROWS)]
    return {
        "drift": _drift_part(model, rows, table.schema),
        "faults": quality_reference(raw_columns(sampled, model), model.columns, _groups(sampled)),
    }


def _of_same_ranking(model: Model, deployed: Deployed | None) -> dict[str, Any] | None:
    """The deployed release's reference, where the model ranks as its model does."""
    ranking = model.lineage.get("base_model")
    if ranking is None or deployed is None or base_version(deployed.manifest) != ranking:
        return None
    return deployed.reference


def _drift_part(model: Model, rows: pl.DataFrame, schema: Schema) -> dict[str, Any]:
    """The newest rows: what came before them, the model has been judged to have left behind."""
    import datetime

    rows = _newest(rows, REFERENCE_ROWS)
    rows = rows[sample_of(rows.height, PROFILE_ROWS)]
    day = datetime.date.fromisoformat(model.lineage["day"])
    usable = usable_labels(rows, schema, model.lineage["horizon_days"], day).to_numpy()
    labels = rows[schema.named("target")].cast(float).to_numpy()
    return make_reference(
        raw_columns(rows, model),
        model.columns,
        _ranked_risks(model, rows),
        np.where(usable, labels, np.nan),
        clients=rows[schema.named("id")].to_list(),
    )


def _newest(rows: pl.DataFrame, least: int) -> pl.DataFrame:
    """The newest rows, whole ticks and dates, until there are so many."""
    sizes = rows.group_by("_data_version", "_date").len()
    sizes = sizes.sort("_data_version", "_date", descending=True, nulls_last=True)
    before = sizes["len"].cum_sum() - sizes["len"]
    pairs = sizes.filter(before < least).select("_data_version", "_date")
    return rows.join(pairs, on=["_data_version", "_date"], how="semi", nulls_equal=True)


def _groups(rows: pl.DataFrame) -> np.ndarray:
    """Which rows came together: a number for each tick and date. Shape (n,)."""
    together = rows.select("_data_version", "_date").to_struct()
    return together.rank("dense").to_numpy().astype(np.int64)


def raw_columns(rows: pl.DataFrame, model: Model) -> dict[str, np.ndarray]:
    """The columns of stored rows as the model takes them."""
    return model.raw({name: rows[name].to_list() for name in model.columns})


def _ranked_risks(model: Model, rows: pl.DataFrame) -> np.ndarray:
    """The risks by the model's ranking, without the layer that moves their level. Shape (n,)."""
    layer = model.lineage.get("recalibration") or {"intercept": 0.0, "slope": 1.0}
    log_odds = model.log_odds_of(raw_columns(rows, model), rows.height)
    return expit((log_odds - layer["intercept"]) / (layer["slope"] or 1.0))


@dataclass(frozen=True)
class DriftEvaluation:
    """What a look of the watch came to. rows: worst first; version: of the deployed release."""

    version: int
    at: str
    data_version: int
    rows: list[monitor.DriftRow]

    @property
    def alerts(self) -> list[str]:
        """What moved, a sentence each."""
        return [_told(vars(row)) for row in self.rows if row.state == "alert"]


def monitor_drift(
    config: Config, table: Snapshot, deployed: Deployed
) -> tuple[DriftEvaluation, dict[str, Any] | None]:
    """(one look at what came since the last one, the state to keep after it).

    None where there is nothing to keep: nothing is new, or the release is of before there was a
    reference.
    """
    at, version, data_version = utc_now(), deployed.version, table.version.number
    if deployed.reference is None:
        return DriftEvaluation(version, at, data_version, []), None
    reference, manifest = deployed.reference["drift"], deployed.manifest
    state, stand, begins = _state(config, reference, deployed, data_version)
    counts = _counts(table, deployed.model, reference, stand)
    if counts is None and not begins:
        return DriftEvaluation(version, at, data_version, []), None
    state, rows = monitor.evaluate_drift(state, reference, counts, at)
    seen = DriftEvaluation(version, at, data_version, rows)
    kept = {
        "stand": asdict(table.version),
        "state": monitor.state_to_json(state),
        "seen": asdict(seen),
    }
    return seen, {"format": FORMAT, "ranking": base_version(manifest), **kept}


def save_state(config: Config, body: dict[str, Any]) -> None:
    """Commit the state: from here on the rows of this look are old."""
    write_json(config.drift_state, with_checksum(body))


def _state(
    config: Config, reference: dict[str, Any], deployed: Deployed, data_version: int
) -> tuple[monitor.MonitorState, DataVersion, bool]:
    """(the state, where the data stood then, whether it begins: for another ranking it does)."""
    body = _read_state(config)
    same = body.get("ranking") == base_version(deployed.manifest)
    if same and body["stand"]["number"] <= data_version:
        return monitor.state_from_json(body["state"]), DataVersion(**body["stand"]), False
    return monitor.initial_state(reference), deployed.trained_at, True


def _counts(
    table: Snapshot, model: Model, reference: dict[str, Any], stand: DataVersion
) -> monitor.BinnedRows | None:
    """What came since: rows by what they hold, labels by the risks; None if nothing did.

    Rows of a file that replaces another are corrections of what was seen.
    """
    rows = table.rows.filter(
        (table.rows["_data_version"] > stand.number) & ~table.rows["_replaced"]
    )
    known = table.known.filter(new_since(table.known, stand) & ~table.known["_replaced"])
    if not rows.height and not known.height:
        return None
    here = monitor.bin_rows(
        raw_columns(rows, model),
        reference,
        _ranked_risks(model, rows),
        None,
        clients=rows[table.client].to_list(),
    )
    labels = known[table.schema.named("target")].cast(float).to_numpy()
    late = monitor.bin_rows(
        {}, reference, _ranked_risks(model, known), labels, clients=known[table.client].to_list()
    )
    return here + late


def _read_state(config: Config) -> dict[str, Any]:
    """The watch's state; {} where there is none or it is damaged; a newer one is refused."""
    body = read_optional_json(config.drift_state)
    if type(body.get("format")) is int and body["format"] > FORMAT:
        raise PipelineError(
            f"{config.drift_state} was written by a newer version; update the software"
        )
    return body if body and checksum_holds(body) else {}


def last_evaluation(config: Config) -> dict[str, Any]:
    """The last look's table as values: measured_at, model_version, rows; nothing is computed."""
    seen = _read_state(config).get("seen") or {}
    return {
        "measured_at": seen.get("at"),
        "model_version": seen.get("version"),
        "rows": seen.get("rows", []),
    }


def drift_table(seen: dict[str, Any]) -> str:
    """The table for a person, worst first."""
    if seen["measured_at"] is None:
        return "the watch has not looked yet; run fullprocess.py"
    head = ("state", "what", "distance", "p", "rows", "since")
    lines = [head, *(_cells(row) for row in seen["rows"])]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    told = [
        "  ".join(
            cell.rjust(width) if at in (2, 3, 4) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    said = [f"{row['state']}: {_told(row)}" for row in seen["rows"] if _is_told(row)]
    first = f"watched {seen['measured_at']}, against the rows of model version "
    return "\n".join([f"{first}{seen['model_version']}", *told, *said])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    said = row["state"] not in ("no data", "too few rows")
    since = (row["since"] or "")[:10]
    effect, p = (f"{row['effect']:.3f}", f"{row['p']:.2g}") if said else ("", "")
    return row["state"], row["name"], effect, p, f"{row['n']:,}", since


def _told(row: dict[str, Any]) -> str:
    return f"{row['name']}: {row['sentence']}"


def _is_told(row: dict[str, Any]) -> bool:
    return row["state"] in ("alert", "watching")


# ---------------------------------------------------------------- faults


def new_issues(
    config: Config, table: Snapshot, deployed: Deployed, data_version: int
) -> list[DataQualityIssue]:
    """The data faults of the files that came after the tick, but those that a person accepted."""
    if deployed.reference is None:
        return []
    accepted = read_deployment(config).accepted_in(deployed.manifest)
    found: list[DataQualityIssue] = []
    for file, rows in table.files_after(data_version).items():
        raw = raw_columns(rows, deployed.model)
        found += quality_issues(raw, deployed.reference["faults"], file=file)
    return [fault for fault in found if issue_key(fault) not in accepted]


def issue_key(fault: DataQualityIssue) -> IssueKey:
    """What is accepted of a fault: its kind and columns, in whatever file."""
    return fault.kind, fault.columns

"""The drift monitor in a run: the rows that came since the deployment against its reference.

What it counted is state/drift.json, one write an evaluation; a run that is cut off before it
evaluates again the same rows and more, and comes to the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from risk.config import Config
from risk.data.snapshot import DataVersion, Snapshot, new_since
from risk.drift import monitor
from risk.drift.monitor import BinnedRows, DriftRow, MonitorState
from risk.drift.quality import DataQualityIssue, quality_issues
from risk.drift.reference import Reference
from risk.drift.release import base_model_risks, model_inputs
from risk.files import StateFile, utc_now
from risk.model.deployed import Deployed
from risk.model.model import Model
from risk.records import parse_record, to_record
from risk.releases import base_version, read_deployment
from risk.words import aligned

FORMAT = 1


@dataclass(frozen=True)
class DriftEvaluation:
    """The table of one evaluation, worst first; of None: there was none yet."""

    measured_at: str | None = None
    model_version: int | None = None
    data_version: int = 0
    rows: tuple[DriftRow, ...] = ()

    @property
    def alerts(self) -> list[DriftRow]:
        return [row for row in self.rows if row.state == "alert"]


@dataclass(frozen=True)
class KeptState:
    """The content of state/drift.json. data: how far the data went when it was evaluated."""

    base_model: int
    data: DataVersion
    state: MonitorState
    evaluation: DriftEvaluation


def monitor_drift(config: Config, snapshot: Snapshot, deployed: Deployed) -> KeptState | None:
    """The evaluation of what came since the last one and the state after it; None: nothing did."""
    reference: Reference = deployed.reference["drift"]
    base, number = base_version(deployed.manifest), snapshot.version.number
    body = _drift_file(config).read_or_empty()
    state, data = monitor.initial_state(reference), deployed.trained_at
    # Another base model has another reference: the monitor begins at its training.
    begins = body.get("base_model") != base or body["data"]["number"] > number
    if not begins:
        kept: KeptState = parse_record(KeptState, body)
        state, data = kept.state, kept.data
    new = _new_rows(snapshot, deployed.model, reference, data)
    if new is None and not begins:
        return None
    now = utc_now()
    state, rows = monitor.evaluate_drift(state, reference, new, now)
    evaluation = DriftEvaluation(now, deployed.version, number, tuple(rows))
    return KeptState(base, snapshot.version, state, evaluation)


def save_state(config: Config, kept: KeptState) -> None:
    """Commit the state: from here on the rows of its evaluation are old."""
    _drift_file(config).write(to_record(kept))


def last_evaluation(config: Config) -> DriftEvaluation:
    """The last table; nothing is computed."""
    body = _drift_file(config).read_or_empty().get("evaluation")
    return parse_record(DriftEvaluation, body) if body else DriftEvaluation()


def _drift_file(config: Config) -> StateFile:
    return StateFile(config.drift_state, FORMAT)


def _new_rows(
    snapshot: Snapshot, model: Model, reference: Reference, data: DataVersion
) -> BinnedRows | None:
    """What came since: rows by what they hold, labels by the risks; None if nothing did.

    Rows of a file that replaces another are corrections of what was counted.
    """
    rows, known = snapshot.rows, snapshot.known
    rows = rows.filter((rows["_data_version"] > data.number) & ~rows["_replaced"])
    known = known.filter(new_since(known, data) & ~known["_replaced"])
    if not rows.height and not known.height:
        return None
    here = monitor.bin_rows(
        model_inputs(rows, model),
        reference,
        base_model_risks(model, rows),
        None,
        clients=rows[snapshot.client].to_list(),
    )
    labels = known[snapshot.schema.named("target")].cast(float).to_numpy()
    risks, clients = base_model_risks(model, known), known[snapshot.client].to_list()
    return here + monitor.bin_rows({}, reference, risks, labels, clients=clients)


def drift_table(evaluation: DriftEvaluation) -> str:
    """The table for a person, worst first."""
    if evaluation.measured_at is None:
        return "the drift monitor has not evaluated yet; run fullprocess.py"
    lines = [("state", "what", "distance", "p", "rows", "since")]
    for row in evaluation.rows:
        has_evidence = row.state not in ("no data", "too few rows")
        figures = (f"{row.effect:.3f}", f"{row.p:.2g}") if has_evidence else ("", "")
        lines.append((row.state, row.name, *figures, f"{row.n:,}", (row.since or "")[:10]))
    first = (
        f"evaluated {evaluation.measured_at}, against the rows of model version "
        f"{evaluation.model_version}"
    )
    notable = [row for row in evaluation.rows if row.state in ("alert", "watching")]
    sentences = [f"{row.state}: {row.name}: {row.sentence}" for row in notable]
    return "\n".join([first, *aligned(lines, right={2, 3, 4}), *sentences])


def new_issues(
    config: Config, snapshot: Snapshot, deployed: Deployed, data_version: int
) -> list[DataQualityIssue]:
    """The data quality issues of the files that came after that data version, but those that a
    person accepted."""
    accepted = read_deployment(config).accepted_in(deployed.manifest)
    found: list[DataQualityIssue] = []
    for file, rows in snapshot.files_after(data_version).items():
        raw = model_inputs(rows, deployed.model)
        found += quality_issues(raw, deployed.reference["quality"], file=file)
    found += _partial_snapshots(snapshot, data_version)
    return [issue for issue in found if issue.key not in accepted]


def _partial_snapshots(snapshot: Snapshot, data_version: int) -> list[DataQualityIssue]:
    """Files that lack far more of the clients before than files usually do: a region, say."""
    partial = snapshot.status.partial if snapshot.status else ()
    return [
        DataQualityIssue(
            "partial",
            (),
            str(one.date),
            f"the files of {one.date} lack {one.missing:,} of the {one.of:,} clients of the date "
            "before, far more than usual; look whether a part of the export is missing. Nobody "
            "counts as left by it until the next date's files lack them too",
            one.missing,
            holds=True,
        )
        for one in partial
        if one.data_version > data_version
    ]

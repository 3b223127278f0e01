"""Makes trainedmodel.pkl, and the JSON model beside it, from the labelled rows of the store."""

from __future__ import annotations

import argparse
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from risk.config import Config, Outcome, PipelineError
from risk.data.misread import measured_after_words
from risk.data.snapshot import Snapshot, TrainingRows, read_snapshot, training_rows
from risk.files import sha256, utc_now, write_atomic
from risk.model.sampling import SEED
from risk.script import report_progress, run

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from risk.model.deployed import Deployed
    from risk.model.model import Model


def train(config: Config, snapshot: Snapshot | None = None) -> tuple[Outcome, Model]:
    """Fit the recipe and write both forms of the model; nothing is overwritten by a refusal.

    snapshot: the rows, where the caller has read them already.
    """
    from risk.model.fit import fit
    from risk.model.pipelines import export
    from risk.model.profile import PROFILE_ROWS
    from risk.model.sampling import sample_of

    snapshot = snapshot or read_snapshot(config)
    rows = training_rows(config, snapshot)
    if len(rows.features) and rows.features.isna().to_numpy().all():
        raise PipelineError(
            "every feature is missing in every labelled row; nothing can be learned from them"
        )
    report_progress(f"{rows.lineage['rows']:,} labelled rows")
    fitted = fit(config.model, rows.columns, rows.features, rows.labels, rows.clients)
    warnings = _caveats(rows, fitted, measured_after_words(config, snapshot))
    pickled = pickle.dumps(fitted, protocol=5)
    lineage = {**rows.lineage, "trained_at": utc_now(), "warnings": warnings} | _made_by(pickled)
    shown = rows.features.iloc[sample_of(len(rows.features), PROFILE_ROWS)]
    portable = export(fitted, rows.columns, shown, lineage)
    model = _write(config, pickled, portable, snapshot, None)
    text = (
        f"trained on {rows.lineage['rows']} labelled rows ({rows.lineage['exits']} exits): "
        f"{config.shown(config.model_pickle)}"
    )
    lines = [text, *(f"  warning: {w}" for w in warnings)]
    return Outcome("\n".join(lines), lineage, attention=tuple(warnings)), model


def publish(
    config: Config, model: Model, snapshot: Snapshot, deployed: Deployed | None
) -> tuple[Outcome, Model]:
    """Write both forms of a model that was chosen among fitted ones, as train() does.

    The pickle is made from the JSON terms; refused unless both agree.
    """
    import numpy as np
    import pandas as pd

    from risk.model.model import AGREEMENT
    from risk.model.pipelines import pipeline_of_model

    fitted = pipeline_of_model(model)
    # The model keeps a few rows with what it predicted, for comparisons like this one.
    # Also what the checks have of earlier values, which are numbers.
    types = {n: object if model.columns.get(n) == "text" else float for n in model.checks}
    rows = pd.DataFrame({n: pd.Series(model.checks[n], dtype=kind) for n, kind in types.items()})
    apart = np.abs(fitted.predict_proba(rows)[:, 1] - model.probabilities(model.checks))
    # Not `>`: a nan, which is no agreement, would pass.
    if not float(apart.max(initial=0.0)) <= AGREEMENT:
        raise PipelineError(f"the pipeline differs from the model by {apart.max():.3g}")
    # Fixed: Python's default protocol differs between its versions.
    pickled = pickle.dumps(fitted, protocol=5)
    lineage = {"trained_at": utc_now(), "warnings": [], **model.lineage} | _made_by(pickled)
    portable = replace(model, lineage=lineage).to_bytes()
    written = _write(config, pickled, portable, snapshot, deployed)
    text = (
        f"made from models of {lineage['rows']} labelled rows ({lineage['exits']} exits): "
        f"{config.shown(config.model_pickle)}"
    )
    return Outcome(text, lineage), written


def _write(
    config: Config, pickled: bytes, portable: bytes, snapshot: Snapshot, deployed: Deployed | None
) -> Model:
    """The model as the JSON has it, after both forms were written, and what the drift monitor
    compares new rows with; the JSON last: it names the others."""
    from risk.drift.release import reference_bytes
    from risk.model.model import Model

    model = Model.from_bytes(portable)
    write_atomic(config.model_reference, reference_bytes(model, snapshot, deployed))
    write_atomic(config.model_pickle, pickled)
    write_atomic(config.model_json, portable)
    return model


def _made_by(pickled: bytes) -> dict[str, Any]:
    """What belongs to this very pickle: its digest, and what made it.

    The versions decide what a fit gives and whether the pickle loads.
    """
    import platform
    from importlib.metadata import version

    names = ("scikit-learn", "numpy", "pandas", "polars")
    versions = {"python": platform.python_version(), **{name: version(name) for name in names}}
    return {"seed": SEED, "versions": versions, "trainedmodel_sha256": sha256(pickled)}


def _caveats(rows: TrainingRows, fitted: Pipeline, measured_after: str) -> list[str]:
    """Sentences about what makes the model doubtful, though it was fitted.

    measured_after: that a column was measured after the clients had left, "" where none was.
    """
    from risk.model.fit import has_converged, suspects

    found = [measured_after] if measured_after else []
    found += [
        f"{name} alone orders the labels almost perfectly (AUC > .99); is it known before an exit?"
        for name in suspects(rows.columns, rows.features, rows.labels)
        if not measured_after.startswith(f"{name} is ")
    ]
    found += [
        f"{name} has no value in any labelled row; nothing is learned from it"
        for name in rows.columns
        if rows.features[name].isna().all()
    ]
    if not has_converged(fitted):
        found.append(
            "the solver stopped at its limit of iterations; the numbers are of very unlike size"
        )
    return found


def stage(config: Config, _: argparse.Namespace) -> Outcome:
    return train(config)[0]


if __name__ == "__main__":
    run(stage, __doc__)

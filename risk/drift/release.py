"""What a release carries of its model's rows, so that no later run reads old rows: reference.json.

It is made at training and deployed with the model: the reference of the drift monitor, and what the
data quality checks call usual.
"""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING

import numpy as np

from risk.data.labels import usable_labels
from risk.data.previous import earlier_names
from risk.data.snapshot import Snapshot
from risk.drift.reference import Reference, make_reference
from risk.drift.usual import quality_reference
from risk.model.deployed import Deployed
from risk.model.logistic import expit
from risk.model.model import Model
from risk.model.profile import PROFILE_ROWS
from risk.model.sampling import sample_of
from risk.releases import base_version

if TYPE_CHECKING:
    import polars as pl

    from risk.data.schema import Schema

REFERENCE_ROWS = 2000


def reference_bytes(model: Model, snapshot: Snapshot, deployed: Deployed | None) -> bytes:
    """reference.json of a model that was just trained.

    A version that only recalibrates keeps the reference of its base model: what was counted since
    goes on counting.
    """
    base = model.lineage.get("base_model")
    if deployed and base is not None and base_version(deployed.manifest) == base:
        body = deployed.reference
    else:
        rows = snapshot.rows
        rows = rows.filter(rows["_data_version"] <= model.lineage["data_version"])
        sampled = rows[sample_of(rows.height, PROFILE_ROWS)]
        # Which rows came together: what moves from file to file anyway is no issue.
        files = sampled.select("_data_version", "_date").to_struct().rank("dense").to_numpy()
        inputs, files = model_inputs(sampled, model), files.astype(np.int64)
        quality = quality_reference(inputs, model.columns, files)
        body = {"drift": _drift_reference(model, rows, snapshot.schema), "quality": quality}
    marks = {"format": 1, "trainedmodel_sha256": model.lineage["trainedmodel_sha256"]}
    return json.dumps({**body, **marks}, sort_keys=True).encode()


def _drift_reference(model: Model, rows: pl.DataFrame, schema: Schema) -> Reference:
    """Of the newest rows: what came before them, the model has been judged to have left behind."""
    # Whole files, until there are REFERENCE_ROWS: a part of one would be a sample by its order.
    sizes = rows.group_by("_data_version", "_date").len()
    sizes = sizes.sort("_data_version", "_date", descending=True, nulls_last=True)
    before = sizes["len"].cum_sum() - sizes["len"]
    pairs = sizes.filter(before < REFERENCE_ROWS).select("_data_version", "_date")
    rows = rows.join(pairs, on=["_data_version", "_date"], how="semi", nulls_equal=True)
    rows = rows[sample_of(rows.height, PROFILE_ROWS)]
    day = datetime.date.fromisoformat(model.lineage["day"])
    usable = usable_labels(rows, schema, model.lineage["horizon_days"], day).to_numpy()
    labels = rows[schema.named("target")].cast(float).to_numpy()
    return make_reference(
        model_inputs(rows, model),
        model.columns,
        base_model_risks(model, rows),
        np.where(usable, labels, np.nan),
        clients=rows[schema.named("id")].to_list(),
    )


def model_inputs(rows: pl.DataFrame, model: Model) -> dict[str, np.ndarray]:
    """The columns of stored rows as the model takes them, earlier values too: other models that are
    asked about the same rows may read them."""
    names = (*model.columns, *earlier_names(model.columns))
    return model.raw({name: rows[name].to_list() for name in names if name in rows.columns})


def base_model_risks(model: Model, rows: pl.DataFrame) -> np.ndarray:
    """The risks before any recalibration, so that one is no drift of the risk. Shape (n,)."""
    recalibration = model.lineage.get("recalibration") or {"intercept": 0.0, "slope": 1.0}
    log_odds = model.log_odds_of(model_inputs(rows, model), rows.height)
    return expit((log_odds - recalibration["intercept"]) / (recalibration["slope"] or 1.0))

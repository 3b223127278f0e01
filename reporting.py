"""Makes confusion_matrix.png and the list of current clients by risk, from the deployed model.

clients_at_risk.csv is for people, clients_at_risk.json the same for the API.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from risk.artifacts import OpenRelease, write_json, write_whole
from risk.config import Config, Outcome
from risk.data.holdout import TestRows
from risk.data.store import stored_rows
from risk.model import portable
from risk.model.measures import counts
from risk.model.rows import refuse_other_features
from risk.report.clients import client_list, csv_of
from risk.report.heldout import held_out_risks
from risk.runner import run


def report(config: Config) -> Outcome:
    """Write the picture and the list, both of the one release that is current now."""
    with OpenRelease(config) as release:
        model = portable.parse(release.verified("model.json"))
        stored = json.loads(release.verified("latestscore.json"))
    refuse_other_features(config, model.columns)
    matrix = confusion_of(config, model, stored)
    write_whole(config.confusion_matrix, picture(matrix, release.version))
    rows, schema, tick = stored_rows(config)
    held_out = held_out_risks(config, release.manifest, rows, schema)
    listing = client_list(config, model, release.manifest, rows, schema, tick, held_out)
    write_whole(config.clients_csv, csv_of(listing))
    write_json(config.clients_json, listing)
    found = len(listing["clients"])
    text = (
        f"{found} current clients by risk: {config.shown(config.clients_csv)} ({listing['note']})\n"
        f"confusion matrix: {config.shown(config.confusion_matrix)}"
    )
    about = {"model_version": release.version, "basis": listing["basis"], "confusion": matrix}
    return Outcome(text, {"clients": found, **about})


def confusion_of(config: Config, model: portable.Model, stored: dict[str, Any]) -> dict[str, Any]:
    """The four counts on the test data as they are now; those of the score where there are none."""
    rows, labels = TestRows(config, model.columns).labelled()
    if not labels.size:
        return {**stored, "basis": "training rows, by cross-validation"}
    threshold = stored["threshold"]
    found = counts(labels, (model.probabilities(rows) >= threshold).astype(int))
    return {**found, "n": int(labels.size), "threshold": threshold, "basis": "test rows"}


def picture(matrix: dict[str, Any], version: int) -> bytes:
    """The confusion matrix as PNG, its finding in the title."""
    from risk.report.figures import confusion_matrix, png

    leavers = matrix["true_positive"] + matrix["false_negative"]
    warnings = matrix["true_positive"] + matrix["false_positive"]
    title = (
        f"Found {matrix['true_positive']:,} of {leavers:,} clients who left\n"
        f"{matrix['false_positive']:,} of {warnings:,} warnings were false alarms"
    )
    basis = f"model version {version}, n = {matrix['n']:,} {matrix['basis']}"
    return png(confusion_matrix(matrix, title, basis))


def stage(config: Config, _: argparse.Namespace) -> Outcome:
    return report(config)


if __name__ == "__main__":
    run(stage, __doc__)

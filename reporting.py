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
from risk.report.clients import client_list, csv_of
from risk.runner import run


def report(config: Config) -> Outcome:
    """Write the picture and the list, both of the one release that is current now."""
    with OpenRelease(config) as release:
        model = portable.parse(release.verified("model.json"))
        stored = json.loads(release.verified("latestscore.json"))
    matrix = confusion_of(config, model, stored)
    write_whole(config.confusion_matrix, picture(matrix, release.version))
    rows, schema, tick = stored_rows(config)
    listing = client_list(model, release.version, rows, schema, tick)
    write_whole(config.clients_csv, csv_of(listing))
    write_json(config.clients_json, listing)
    text = (f"{len(listing['clients'])} current clients by risk: {config.shown(config.clients_csv)} "
            f"({listing['note']})\nconfusion matrix: {config.shown(config.confusion_matrix)}")
    return Outcome(text, {"clients": len(listing["clients"]), "model_version": release.version,
                          "basis": listing["basis"], "confusion": matrix})


def confusion_of(config: Config, model: portable.Model, stored: dict[str, Any]) -> dict[str, Any]:
    """The four counts on the test data as it is now; those of the score where there is none."""
    rows, labels = TestRows(config, model.columns).labelled()
    if not labels.size:
        return {**stored, "basis": "training rows, each predicted by a model that did not see it"}
    threshold = stored["threshold"]
    called = (model.probabilities(rows) >= threshold).astype(int)
    return {**counts(labels, called), "n": int(labels.size), "threshold": threshold, "basis": "test rows"}


def picture(matrix: dict[str, Any], version: int) -> bytes:
    """The confusion matrix as PNG, its finding in the title."""
    from risk.report.figures import confusion_matrix, png

    leavers = matrix["true_positive"] + matrix["false_negative"]
    called = matrix["true_positive"] + matrix["false_positive"]
    title = (f"Of {leavers:,} clients who left, the model called {matrix['true_positive']:,};\n"
             f"of {called:,} it called, {matrix['true_positive']:,} left")
    basis = f"model version {version}, n = {matrix['n']:,} {matrix['basis']}"
    return png(confusion_matrix(matrix, title, basis))


def stage(config: Config, _: argparse.Namespace) -> Outcome:
    return report(config)


if __name__ == "__main__":
    run(stage, __doc__)

"""Honest risks of clients the model was trained on: by models that did not see the client."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from risk.config import Config
from risk.data.labels import usable_labels
from risk.data.snapshot import Snapshot, features_of
from risk.files import DamagedFile, NewerFormat, StateFile, sha256
from risk.releases import Manifest

if TYPE_CHECKING:
    import polars as pl


def held_out_risks(
    config: Config, snapshot: Snapshot, manifest: Manifest, *, keep: bool = False
) -> dict[int, float]:
    """Position in the rows -> risk, for the rows that the deployed model was trained on.

    Only a list of clients who stayed needs them, {} for any other. Five fits, which are not done
    again until model or rows change if they are kept: with the lock held alone.
    """
    import polars as pl

    current, basis = snapshot.current
    if basis != "stayed" or not current.height:
        return {}
    # The rows that the model was trained on; of a file that was sent again since, all of them.
    day, rows = datetime.date.fromisoformat(manifest["day"]), snapshot.rows.with_row_index("_row")
    rows = rows.filter(usable_labels(rows, snapshot.schema, manifest["horizon_days"], day))
    rows = rows.filter((rows["_data_version"] <= manifest["data_version"]) | rows["_replaced"])
    if not rows.height:
        return {}
    names = [snapshot.client, *manifest["columns"], snapshot.target]
    # By the rows' own bytes: rows that came after the training cost no new fits.
    key = [manifest["trainedmodel_sha256"], sha256(rows.select(pl.col(names)).write_csv().encode())]
    state = StateFile(config.out_of_fold, 1)
    try:
        kept = state.read()
    except (DamagedFile, NewerFormat):
        kept = {}  # five fits are all that is lost, also of what a later version wrote
    risks = kept["risks"] if kept.get("key") == key else _out_of_fold(manifest, rows, snapshot)
    # A reader without the lock (the doctor) may be beside a run that writes the same file.
    if keep and kept.get("key") != key:
        state.write({"key": key, "risks": risks})
    return dict(zip(rows["_row"].to_list(), risks, strict=True))


def _out_of_fold(manifest: Manifest, rows: pl.DataFrame, snapshot: Snapshot) -> list[float]:
    """The risk of each row by a model of the same recipe that was trained without its client."""
    from risk.model.fit import out_of_fold

    columns = manifest["columns"]
    risks = out_of_fold(
        manifest["recipe"],
        columns,
        features_of(rows, columns),
        rows[snapshot.target].to_numpy().astype(int),
        rows[snapshot.client].to_numpy(),
    )
    return [round(float(risk), 9) for risk in risks]

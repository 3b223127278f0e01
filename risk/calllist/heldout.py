"""Honest risks of clients the model was trained on: by models that did not see the client."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from risk.config import Config
from risk.data.labels import usable_labels
from risk.data.snapshot import Snapshot, pandas_of
from risk.files import read_optional_json, sha256, write_json
from risk.releases import Manifest

if TYPE_CHECKING:
    import polars as pl


FORMAT = 1


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
    seen = _trained_on(manifest, snapshot)
    if not seen.height:
        return {}
    names = [snapshot.client, *manifest["columns"], snapshot.target]
    key = [manifest["trainedmodel_sha256"], sha256(seen.select(pl.col(names)).write_csv().encode())]
    known = read_optional_json(config.out_of_fold)
    if known.get("format") != FORMAT or known.get("key") != key:
        known = {"format": FORMAT, "key": key, "risks": _risks(manifest, seen, snapshot)}
        if keep:
            write_json(config.out_of_fold, known)
    return dict(zip(seen["_row"].to_list(), known["risks"], strict=True))


def _trained_on(manifest: Manifest, snapshot: Snapshot) -> pl.DataFrame:
    """The rows that the model was trained on; of a file that was sent again since, all of them."""
    day, rows = datetime.date.fromisoformat(manifest["day"]), snapshot.rows.with_row_index("_row")
    known = rows.filter(usable_labels(rows, snapshot.schema, manifest["horizon_days"], day))
    return known.filter((known["_data_version"] <= manifest["data_version"]) | known["_replaced"])


def _risks(manifest: Manifest, seen: pl.DataFrame, snapshot: Snapshot) -> list[float]:
    from risk.model.fit import out_of_fold

    columns = manifest["columns"]
    found = out_of_fold(
        manifest["recipe"],
        columns,
        pandas_of(seen.select(list(columns))),
        seen[snapshot.target].to_numpy().astype(int),
        seen[snapshot.client].to_numpy(),
    )
    return [round(float(risk), 9) for risk in found]

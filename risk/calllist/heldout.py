"""Honest risks of clients the model was trained on: by models that did not see the client."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from risk.config import Config
from risk.data.schema import Schema
from risk.data.snapshot import pandas_of
from risk.data.store import current_clients, labelled
from risk.files import read_optional_json, sha256, write_json
from risk.releases import Manifest

if TYPE_CHECKING:
    import polars as pl


FORMAT = 1


def held_out_risks(
    config: Config,
    manifest: Manifest,
    rows: pl.DataFrame,
    schema: Schema,
    *,
    keep: bool = False,
) -> dict[int, float]:
    """Position in the rows -> risk, for the rows that the deployed model was trained on.

    Only a list of clients who stayed needs them, {} for any other. Five fits, which are not done
    again until model or rows change if they are kept: with the lock held alone.
    """
    import polars as pl

    current, basis = current_clients(rows, schema)
    if basis != "stayed" or not current.height:
        return {}
    seen = _trained_on(manifest, rows.with_row_index("_row"), schema)
    if not seen.height:
        return {}
    names = [schema.named("id"), *manifest["columns"], schema.named("target")]
    key = [manifest["trainedmodel_sha256"], sha256(seen.select(pl.col(names)).write_csv().encode())]
    known = read_optional_json(config.out_of_fold)
    if known.get("format") != FORMAT or known.get("key") != key:
        known = {"format": FORMAT, "key": key, "risks": _risks(manifest, seen, schema)}
        if keep:
            write_json(config.out_of_fold, known)
    return dict(zip(seen["_row"].to_list(), known["risks"], strict=True))


def _trained_on(manifest: Manifest, rows: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The rows that the model was trained on; of a file that was sent again since, all of them."""
    day = datetime.date.fromisoformat(manifest["day"])
    known = labelled(rows, schema, manifest["horizon_days"], day)
    return known.filter((known["_data_version"] <= manifest["data_version"]) | known["_replaced"])


def _risks(manifest: Manifest, seen: pl.DataFrame, schema: Schema) -> list[float]:
    from risk.model.fit import out_of_fold

    columns = manifest["columns"]
    found = out_of_fold(
        manifest["recipe"],
        columns,
        pandas_of(seen.select(list(columns))),
        seen[schema.named("target")].to_numpy().astype(int),
        seen[schema.named("id")].to_numpy(),
    )
    return [round(float(risk), 9) for risk in found]

"""Honest risks of clients the model was trained on: by models that did not see the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from risk.artifacts import read_optional_json, sha256, write_json
from risk.config import Config
from risk.data.schema import Schema
from risk.model.rows import pandas_of
from risk.monitor.evidence import Stand, new_since

if TYPE_CHECKING:
    import polars as pl


def held_out_risks(
    config: Config, manifest: dict[str, Any], rows: pl.DataFrame, schema: Schema
) -> dict[int, float]:
    """Position in the rows -> risk, for the rows that the deployed model was trained on.

    Only a company that labels every row needs them; five fits, kept until model or rows change.
    """
    import polars as pl

    target = schema.named("target")
    if rows[target].null_count():
        return {}
    trained = Stand(manifest["tick"], manifest["day"], manifest["horizon_days"])
    seen = rows.with_row_index("_row").filter(~new_since(rows, trained))
    if not seen.height:
        return {}
    names = [schema.named("id"), *manifest["columns"], target]
    key = [manifest["trainedmodel_sha256"], sha256(seen.select(pl.col(names)).write_csv().encode())]
    known = read_optional_json(config.out_of_fold)
    if known.get("key") != key:
        known = {"key": key, "risks": _risks(manifest, seen, schema)}
        write_json(config.out_of_fold, known)
    return dict(zip(seen["_row"].to_list(), known["risks"], strict=True))


def _risks(manifest: dict[str, Any], seen: pl.DataFrame, schema: Schema) -> list[float]:
    from risk.model.recipe import out_of_fold

    columns = manifest["columns"]
    found = out_of_fold(
        manifest["recipe"],
        columns,
        pandas_of(seen.select(list(columns))),
        seen[schema.named("target")].to_numpy().astype(int),
        seen[schema.named("id")].to_numpy(),
    )
    return [round(float(risk), 9) for risk in found]

"""The list: current clients by the deployed model's risk, as values, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from risk.artifacts import utc_now
from risk.config import Config
from risk.data.schema import Schema
from risk.data.store import current_clients
from risk.model.portable import Model

if TYPE_CHECKING:
    import polars as pl

NOTES = {
    "unlabelled": "clients whose last row has no label yet",
    "stayed": "no row without a label was ever sent: clients whose last row says that they stayed; "
              "the model was trained on these rows too",
}


def client_list(model: Model, version: int, rows: pl.DataFrame, schema: Schema, tick: int) -> dict[str, Any]:
    """The ranked list with what it is based on; risks are probabilities of an exit."""
    current, basis = current_clients(rows, schema)
    table = {name: current[name].to_list() for name in model.columns}
    risks = model.probabilities(table).tolist() if current.height else []
    shown = _shown_columns(schema)
    clients = [
        {"client": row[0], "risk": round(risk, 6), "date": str(row[1] or ""), **dict(zip(shown, row[2:], strict=True))}
        for row, risk in zip(current.select(schema.named("id"), "_date", *shown.values()).iter_rows(),
                             risks, strict=True)
    ]
    clients.sort(key=lambda c: (-c["risk"], c["client"]))
    return {
        "format": 1, "model_version": version, "tick": tick, "basis": basis, "note": NOTES[basis],
        "scored_at": utc_now(), "data_date": max((c["date"] for c in clients), default=""),
        "clients": [{"rank": rank, **client} for rank, client in enumerate(clients, 1)],
    }


def _shown_columns(schema: Schema) -> dict[str, str]:
    """Parts that a person wants beside the name, where the config names such a column."""
    return {part: name for part in ("owner", "value") if (name := schema.named(part))}


def csv_of(listing: dict[str, Any]) -> str:
    """The list as CSV; cells that a spreadsheet would run as a formula get an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    extra = [part for part in ("owner", "value") if any(part in c for c in listing["clients"])]
    writer.writerow(["rank", "client", "risk", "date", "model_version", *extra])
    for c in listing["clients"]:
        cells = [c["rank"], c["client"], c["risk"], c["date"], listing["model_version"]]
        writer.writerow([harmless(cell) for cell in (*cells, *(c.get(part) for part in extra))])
    return out.getvalue()


def harmless(cell: Any) -> Any:
    """A text that no spreadsheet runs; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def read_list(config: Config) -> dict[str, Any]:
    """The list as it was written last, {} before the first."""
    from risk.artifacts import read_optional_json

    return read_optional_json(config.clients_json)

"""The list: current clients by the deployed model's risk, as values, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from risk.artifacts import read_optional_json, utc_now
from risk.config import Columns, Config
from risk.data.schema import Schema
from risk.data.store import current_clients
from risk.model.portable import Model

if TYPE_CHECKING:
    import polars as pl

NOTES = {
    "unlabelled": "clients whose last row has no label yet",
    "stayed": "no current client is without a label: clients whose last row says that they stayed; "
    "the model was trained on these rows too",
}
# What a spreadsheet takes for the beginning of a formula, also in its full-width form.
FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def client_list(
    model: Model, version: int, rows: pl.DataFrame, schema: Schema, columns: Columns, tick: int
) -> dict[str, Any]:
    """The ranked list with what it is based on; risks are probabilities of an exit."""
    current, basis = current_clients(rows, schema)
    risks = model.probabilities({name: current[name].to_list() for name in model.columns})
    extra = shown_columns(columns)
    parts = [current[name].to_list() for name in (columns.id, "_date", *extra.values())]
    clients = [
        {
            "client": client,
            "risk": round(risk, 6),
            "date": str(date or ""),
            **dict(zip(extra, more, strict=True)),
        }
        for risk, client, date, *more in zip(risks.tolist(), *parts, strict=True)
    ]
    clients.sort(key=lambda c: (-c["risk"], c["client"]))
    return {
        "format": 1,
        "model_version": version,
        "tick": tick,
        "basis": basis,
        "note": NOTES[basis],
        "scored_at": utc_now(),
        "data_date": max((c["date"] for c in clients), default=""),
        "shown": list(extra),
        "clients": [{"rank": rank, **client} for rank, client in enumerate(clients, 1)],
    }


def shown_columns(columns: Columns) -> dict[str, str]:
    """What a person wants beside the name, where the config names such a column."""
    named = {"owner": columns.owner, "value": columns.value}
    return {part: name for part, name in named.items() if name}


def csv_of(listing: dict[str, Any]) -> str:
    """The list as CSV; cells that a spreadsheet would run as a formula begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    extra = listing.get("shown", [])
    writer.writerow(["rank", "client", "risk", "date", "model_version", *extra])
    for c in listing["clients"]:
        cells = [c["rank"], c["client"], c["risk"], c["date"], listing["model_version"]]
        writer.writerow([harmless(cell) for cell in (*cells, *(c[part] for part in extra))])
    return out.getvalue()


def harmless(cell: Any) -> Any:
    """A text that no spreadsheet runs; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def read_list(config: Config) -> dict[str, Any]:
    """The list as it was written last, {} before the first."""
    return read_optional_json(config.clients_json)

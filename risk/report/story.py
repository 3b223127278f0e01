"""One client, or a file of rows, explained: risk, reasons and history."""

from __future__ import annotations

import csv
import difflib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import PipelineError
from risk.data.schema import Schema
from risk.model.measures import THRESHOLD
from risk.model.portable import Model, Table, logistic
from risk.model.reasons import reasons, unusual
from risk.report.clients import UP_COLUMNS, harmless, reason_cells, reason_text

if TYPE_CHECKING:
    import polars as pl


def explained(model: Model, table: Table) -> list[dict[str, Any]]:
    """For each row its risk, reasons and notes, as the client list shows them."""
    risks = model.probabilities(table).tolist()
    return [
        {"risk": risk, "reasons": [vars(reason) for reason in why], "notes": notes}
        for risk, why, notes in zip(
            risks, reasons(model, table), unusual(model, table), strict=True
        )
    ]


def explained_csv(model: Model, table: Table, clients: list[Any]) -> str:
    """The rows of a file with prediction, risk and reasons, in the file's order."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["client", "prediction", "risk", *UP_COLUMNS, "against", "notes"])
    for client, row in zip(clients, explained(model, table), strict=True):
        cells = [client, int(row["risk"] >= THRESHOLD), round(row["risk"], 6), *reason_cells(row)]
        writer.writerow([harmless(cell) for cell in cells])
    return out.getvalue().rstrip("\n")


def story(
    model: Model, version: int, rows: pl.DataFrame, schema: Schema, client: str
) -> dict[str, Any]:
    """All that is known of one client; PipelineError names the nearest ones where there is none."""
    import polars as pl

    name, target = schema.named("id"), schema.named("target")
    own = rows.filter(pl.col(name) == client).sort("_date", nulls_last=False, maintain_order=True)
    if not own.height:
        near = difflib.get_close_matches(client, rows[name].unique().sort().to_list(), 3, 0.0)
        raise PipelineError(f"no client {client!r}; the nearest names: {', '.join(near)}")
    found = explained(model, {column: own[column].to_list() for column in model.columns})
    history = [
        {"date": str(date or ""), "risk": row["risk"], "left": left}
        for date, left, row in zip(own["_date"], own[target], found, strict=True)
    ]
    average = float(logistic(np.array([model.intercept]))[0])
    return {
        "client": client,
        "model_version": version,
        "average_risk": average,
        "history": history,
        **found[-1],
    }


def story_text(found: dict[str, Any]) -> str:
    """The story for a person, the newest row first in words."""
    words = {None: "not known yet", 0: "stayed", 1: "left"}
    lines = [
        f"{found['client']}: risk {found['risk']:.0%} by model version {found['model_version']}; "
        f"the average client's is {found['average_risk']:.0%}",
        *(f"  {reason_text(reason)}" for reason in found["reasons"]),
        *(f"  note: {note}" for note in found["notes"]),
        "history, every row scored by this model",
        *(
            f"  {row['date'] or 'undated':10}  {row['risk']:4.0%}  {words[row['left']]}"
            for row in found["history"]
        ),
    ]
    return "\n".join(lines)

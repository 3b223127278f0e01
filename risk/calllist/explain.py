"""One client, or a file of rows, explained: risk, reasons and history."""

from __future__ import annotations

import csv
import difflib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.ranking import UP_COLUMNS, harmless, reason_cells, reason_text
from risk.config import PipelineError
from risk.data.schema import Schema
from risk.model.logistic import expit
from risk.model.measures import THRESHOLD
from risk.model.model import Model, Rows
from risk.model.reasons import reasons, unusual_values

if TYPE_CHECKING:
    import polars as pl

QUICKLY_COMPARED = 10_000


def explained(model: Model, table: Rows) -> list[dict[str, Any]]:
    """For each row its risk, reasons and notes, as the client list shows them."""
    risks = model.probabilities(table).tolist()
    return [
        {"risk": risk, "reasons": [vars(reason) for reason in why], "notes": notes}
        for risk, why, notes in zip(
            risks, reasons(model, table), unusual_values(model, table), strict=True
        )
    ]


def explained_csv(model: Model, table: Rows, clients: list[Any]) -> str:
    """The rows of a file with prediction, risk and reasons, in the file's order."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["client", "prediction", "risk", *UP_COLUMNS, "against", "notes"])
    for client, row in zip(clients, explained(model, table), strict=True):
        cells = [client, int(row["risk"] >= THRESHOLD), round(row["risk"], 6), *reason_cells(row)]
        writer.writerow([harmless(cell) for cell in cells])
    return out.getvalue().rstrip("\n")


def story(
    model: Model,
    version: int,
    rows: pl.DataFrame,
    schema: Schema,
    client: str,
    listing: dict[str, Any],
) -> dict[str, Any]:
    """All that is known of one client; PipelineError names the nearest ones where there is none.

    listing: the list that this model made of these rows, {} where there is none. The client's risk
    is that of the list: where the model was trained on the client's row, its own is another.
    """
    target = schema.named("target")
    own = rows_of_client(rows, schema, client)
    if not own.height:
        near = nearest(known_names(rows, schema), client)
        told = f"the nearest names: {', '.join(near)}" if near else "no name is like it"
        raise PipelineError(f"no client {client!r}; {told}")
    found = explained(model, {column: own[column].to_list() for column in model.columns})
    history = [
        {"date": str(date or ""), "risk": row["risk"], "left": left}
        for date, left, row in zip(own["_date"], own[target], found, strict=True)
    ]
    average = float(expit(np.array([model.intercept]))[0])
    listed = _listed(listing, client)
    notes = listed.pop("notes") if listed else found[-1]["notes"]  # why there is not enough data
    return {
        "client": client,
        "model_version": version,
        "average_risk": average,
        "listed": listed,
        "list_known": bool(listing),
        "history": history,
        **found[-1],
        "risk": listed["risk"] if listed else found[-1]["risk"],
        "notes": notes,
    }


def rows_of_client(rows: pl.DataFrame, schema: Schema, client: str) -> pl.DataFrame:
    """The client's rows, the newest last, without those that a label of their date supersedes."""
    import polars as pl

    own = rows.filter(pl.col(schema.named("id")) == client)
    known = pl.col(schema.named("target")).is_not_null()
    superseded = ~known & pl.col("_date").is_not_null() & known.any().over("_date")
    return own.filter(~superseded).sort("_date", nulls_last=False, maintain_order=True)


def known_names(rows: pl.DataFrame, schema: Schema) -> list[str]:
    """Every client's name, sorted."""
    return rows[schema.named("id")].unique().sort().to_list()


def nearest(known: list[str], asked: str) -> list[str]:
    """Up to three names that hold what was asked for, else those that are most like it."""
    near = [name for name in known if asked.strip() and asked.casefold() in name.casefold()][:3]
    return near or difflib.get_close_matches(
        asked, known, 3, cutoff=0.0 if len(known) <= QUICKLY_COMPARED else 0.6
    )


def _listed(listing: dict[str, Any], client: str) -> dict[str, Any] | None:
    """The client's place on the list, None where it has none."""
    clients = listing.get("clients", [])
    facts = ("rank", "risk", "band", "call", "notes")
    return next(
        (
            {key: c[key] for key in facts} | {"of": len(clients)}
            for c in clients
            if c["client"] == client
        ),
        None,
    )


def story_text(found: dict[str, Any]) -> str:
    """The story for a person: the newest row in words, then every row."""
    words = {None: "not known yet", 0: "stayed", 1: "left"}
    lines = [
        f"{found['client']}: risk {found['risk']:.0%} by model version {found['model_version']}; "
        f"the average client's is {found['average_risk']:.0%}",
        _place(found),
        *_reason_lines(found["reasons"]),
        *(f"note: {note}" for note in found["notes"]),
        "history; each row's risk is by this model, also where it was trained on the row",
        *(
            f"  {row['date'] or 'undated':10}  {row['risk']:4.0%}  {words[row['left']]}"
            for row in found["history"]
        ),
    ]
    return "\n".join(lines)


def _place(found: dict[str, Any]) -> str:
    """Where the client stands on the list, or why it is not there."""
    listed = found["listed"]
    if listed:
        call = "to be called" if listed["call"] else "not to be called"
        return f"rank {listed['rank']} of {listed['of']} on the list: {listed['band']}, {call}"
    if found["history"][-1]["left"] == 1:
        return "not on the list: the last row says that the client left"
    if not found["list_known"]:
        return "there is no list of this model and the present rows; run reporting.py"
    return "not on the list, which holds clients without a label"


def _reason_lines(reasons: list[dict[str, Any]]) -> list[str]:
    up = [reason for reason in reasons if reason["points"] > 0]
    down = [reason for reason in reasons if reason["points"] < 0]
    return [
        line
        for word, part in (("higher", up), ("lower", down))
        if part
        for line in (f"goes together with a {word} risk", *(f"  {reason_text(r)}" for r in part))
    ]

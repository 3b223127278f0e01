"""One client, or a file of rows, explained: risk, reasons and history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.types import REASON_COLUMNS, CallList, csv_text, reason_cells, reason_text
from risk.config import PipelineError
from risk.data.schema import Schema
from risk.data.snapshot import Snapshot
from risk.model.deployed import Deployed
from risk.model.logistic import expit
from risk.model.measures import THRESHOLD
from risk.model.model import Model
from risk.model.profile import Rows
from risk.model.reasons import Reason, reasons, unusual_values
from risk.words import nearest_names

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Explained:
    """A row's risk, reasons and notes, as the list shows them."""

    risk: float
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A client's place on the list."""

    rank: int
    risk: float
    band: str
    call: bool
    of: int


@dataclass(frozen=True)
class PastRow:
    """One of a client's rows: its risk by the present model, and what came of it (None: open)."""

    date: str
    risk: float
    left: int | None


@dataclass(frozen=True)
class Explanation:
    """All that is known of one client.

    listed: None where the client is not on the list. list_known: whether there is a list of this
    model and these rows.
    """

    client: str
    model_version: int
    average_risk: float
    listed: Place | None
    list_known: bool
    history: tuple[PastRow, ...]
    risk: float
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]


def explain_rows(model: Model, table: Rows) -> list[Explained]:
    """For each row its risk, reasons and notes, as the client list shows them."""
    risks = model.probabilities(table).tolist()
    why, notes = map(tuple, reasons(model, table)), map(tuple, unusual_values(model, table))
    return [Explained(*row) for row in zip(risks, why, notes, strict=True)]


def explained_csv(model: Model, table: Rows, clients: list[Any]) -> str:
    """The rows of a file with prediction, risk and reasons, in the file's order."""
    rows: list[list[Any]] = [["client", "prediction", "risk", *REASON_COLUMNS]]
    for client, row in zip(clients, explain_rows(model, table), strict=True):
        cells = [client, int(row.risk >= THRESHOLD), round(row.risk, 6)]
        rows.append([*cells, *reason_cells(row.reasons, row.notes)])
    return csv_text(rows).rstrip("\n")


def explain_client(
    deployed: Deployed, snapshot: Snapshot, client: str, listing: CallList | None
) -> Explanation:
    """All that is known of one client; PipelineError names the nearest ones where there is none.

    listing: the list that this model made of these rows, None where there is none. The client's
    risk is that of the list: where the model was trained on the client's row, its own is another.
    """
    model, rows, schema = deployed.model, snapshot.rows, snapshot.schema
    own = rows_of_client(rows, schema, client)
    if not own.height:
        near = nearest_names(known_names(rows, schema), client)
        hint = f"the nearest names: {', '.join(near)}" if near else "no name is like it"
        raise PipelineError(f"no client {client!r}; {hint}")
    found = explain_rows(model, model.table(own))
    history = tuple(
        PastRow(str(date or ""), row.risk, left)
        for date, left, row in zip(own["_date"], own[schema.named("target")], found, strict=True)
    )
    listed = listing.by_name.get(client) if listing else None
    place = None
    if listing and listed:
        place = Place(listed.rank, listed.risk, listed.band, listed.call, len(listing.clients))
    return Explanation(
        client,
        deployed.version,
        float(expit(np.array([model.intercept]))[0]),
        place,
        listing is not None,
        history,
        listed.risk if listed else found[-1].risk,
        found[-1].reasons,
        listed.notes if listed else found[-1].notes,  # on the list: why there is not enough data
    )


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


def explanation_text(found: Explanation) -> str:
    """The explanation for a person: the newest row in words, then every row."""
    words = {None: "not known yet", 0: "stayed", 1: "left"}
    lines = [
        f"{found.client}: risk {found.risk:.0%} by model version {found.model_version}; "
        f"the average client's is {found.average_risk:.0%}",
        _place_words(found),
    ]
    for word, sign in (("higher", 1), ("lower", -1)):
        part = [reason for reason in found.reasons if reason.points * sign > 0]
        lines += [f"goes together with a {word} risk"] if part else []
        lines += [f"  {reason_text(reason)}" for reason in part]
    lines += [
        *(f"note: {note}" for note in found.notes),
        "history; each row's risk is by this model, also where it was trained on the row",
        *(
            f"  {row.date or 'undated':10}  {row.risk:4.0%}  {words[row.left]}"
            for row in found.history
        ),
    ]
    return "\n".join(lines)


def _place_words(found: Explanation) -> str:
    """Where the client stands on the list, or why it is not there."""
    place = found.listed
    if place:
        call = "to be called" if place.call else "not to be called"
        return f"rank {place.rank} of {place.of} on the list: {place.band}, {call}"
    if found.history[-1].left == 1:
        return "not on the list: the last row says that the client left"
    if not found.list_known:
        return "there is no list of this model and the present rows; run reporting.py"
    return "not on the list, which holds clients without a label"

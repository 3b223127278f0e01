"""The list: current clients by the deployed model's risk, with reasons, as values, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.policy import (
    GUESS,
    HIGH,
    LOW,
    RAISED_BAND,
    UNKNOWN,
    band,
    chosen,
    economics_of,
    unknown_reason,
    worth,
)
from risk.config import Columns, Config, PipelineError
from risk.data.snapshot import Snapshot
from risk.files import read_optional_json, utc_now
from risk.model.deployed import Deployed
from risk.model.logistic import expit
from risk.model.model import Model, Rows
from risk.model.reasons import MOST_UP, Reason, reasons, unusual_values
from risk.record.history import entries
from risk.releases import Manifest

if TYPE_CHECKING:
    import polars as pl

NOTES = {
    "unlabelled": "clients whose last row has no label yet",
    "stayed": "no current client is without a label: clients whose last row says that they stayed; "
    "where the model was trained on that row, the risk is by a model that did not see the client, "
    "while the points are those of the deployed model",
}
# What a spreadsheet takes for the beginning of a formula, also in its full-width form.
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
RECENT_LOOKS = 40
UP_COLUMNS = tuple(f"reason_{n}" for n in range(1, MOST_UP + 1))


def client_list(
    config: Config, snapshot: Snapshot, deployed: Deployed, held_out: dict[int, float]
) -> dict[str, Any]:
    """The ranked list with what it is based on; risks are probabilities of an exit.

    held_out: for clients that the model was trained on, the position of their row and its risk by a
    model that did not see the client.
    """
    model, manifest = deployed.model, deployed.manifest
    current, basis = snapshot.current
    current, risks = _by_risk(current, model, held_out, snapshot.client)
    table: Rows = {name: current[name].to_list() for name in model.columns}
    known = {part: current[name].to_list() for part, name in _shown_columns(config.columns).items()}
    values = worth(known.get("value", [None] * current.height), config.client_value)
    unknown = _unknown_reasons(model, table, ranking_of(config, manifest))
    called, cut = chosen(config, risks, values, unknown)
    money = economics_of(config)
    if money:
        known["profit"] = [round(gain, 4) for gain in money.profit(risks, values).tolist()]
    clients = [
        {
            "client": client,
            "risk": float(risks[at]),
            "date": str(date or ""),
            **{part: cells[at] for part, cells in known.items()},
            "call": bool(called[at]),
            **({"value_at_risk": round(risks[at] * values[at], 4)} if money else {}),
        }
        for at, (client, date) in enumerate(current.select(config.columns.id, "_date").iter_rows())
    ]
    average = float(expit(np.array([model.intercept]))[0])
    _explain(clients, model, table, average, unknown)
    return {
        "format": 1,
        "model_version": manifest["version"],
        "data_version": snapshot.version.number,
        "basis": basis,
        "note": NOTES[basis],
        "scored_at": utc_now(),
        "data_date": max((c["date"] for c in clients), default=""),
        "average_risk": round(average, 6),
        "cut": cut,
        "bands": _bands_of(clients),
        "shown": list(known),
        "settings": settings_of(config),
        "clients": [{"rank": rank, **client} for rank, client in enumerate(clients, 1)],
    }


def settings_of(config: Config) -> list[Any]:
    """What the list depends on beside model and rows: after a change of these it is another."""
    money = (config.contact_cost, config.client_value, config.success_rate)
    return [config.capacity, *money, config.columns.owner, config.columns.value]


def _by_risk(
    current: pl.DataFrame, model: Model, held_out: dict[int, float], client: str
) -> tuple[pl.DataFrame, np.ndarray]:
    """(the clients, the highest risk first and equal ones by name; their risks to six digits)."""
    own = model.probabilities({name: current[name].to_list() for name in model.columns}).tolist()
    risks = [
        round(held_out.get(at, risk), 6) for at, risk in zip(current["_row"], own, strict=True)
    ]
    names = current[client].to_list()
    order = sorted(range(len(names)), key=lambda at: (-risks[at], names[at]))
    return current[order], np.array(risks)[order]


def _bands_of(clients: list[dict[str, Any]]) -> dict[str, int]:
    """How many clients there are in each band."""
    found = Counter(client["band"] for client in clients)
    return {word: found[word] for word in (HIGH, RAISED_BAND, LOW, UNKNOWN)}


def ranking_of(config: Config, manifest: Manifest) -> list[float] | None:
    """The interval of the AUC that tells whether the model can tell leavers from stayers.

    That on the test data; where it includes a guess, that on the rows of the last look: test data
    can be older than a change of the world that the deployed model has followed. A look that a
    data fault holds has judged nothing.
    """
    interval = manifest.get("auc_interval")
    if interval is None or interval[0] > GUESS:
        return interval
    try:
        looks = entries(config, RECENT_LOOKS)
    except PipelineError:  # it will be told where decisions are shown
        return interval
    seen = [
        look.details["auc_interval"]
        for look in looks
        if look.after == manifest["version"] and look.details.get("auc_interval")
    ]
    return seen[-1] if seen and seen[-1][0] > GUESS else interval


def _unknown_reasons(model: Model, table: Rows, auc_interval: list[float] | None) -> list[str]:
    """Why each client cannot be placed, "" where it can."""
    missing = np.sum([[value is None for value in table[name]] for name in model.columns], axis=0)
    return [unknown_reason(int(n), len(model.columns), auc_interval) for n in missing]


def _explain(
    clients: list[dict[str, Any]], model: Model, table: Rows, average: float, unknown: list[str]
) -> None:
    """Give every client its band, its reasons and what is unusual about its row."""
    told, odd = reasons(model, table), unusual_values(model, table)
    for at, client in enumerate(clients):
        client["band"] = band(
            client["risk"], called=client["call"], average=average, unknown=unknown[at]
        )
        client["reasons"] = [{"points": r.points, "text": r.text} for r in told[at]]
        client["notes"] = [*([unknown[at]] if unknown[at] else []), *odd[at]]


def _shown_columns(columns: Columns) -> dict[str, str]:
    """What a person wants beside the name, where the config names such a column."""
    named = {"owner": columns.owner, "value": columns.value}
    return {part: name for part, name in named.items() if name}


def csv_of(listing: dict[str, Any]) -> str:
    """The list as CSV; cells that a spreadsheet would run as a formula begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    extra = listing.get("shown", [])
    head = ["rank", "client", "risk", "date", "model_version", *extra, "band", "call"]
    worth_known = "profit" in extra
    last = ["change", *(["value_at_risk"] if worth_known else [])]
    writer.writerow([*head, *UP_COLUMNS, "against", "notes", *last])
    for c in listing["clients"]:
        cells = [c["rank"], c["client"], c["risk"], c["date"], listing["model_version"]]
        cells += [*(c[part] for part in extra), c["band"], "yes" if c["call"] else "no"]
        cells += [*reason_cells(c), (c.get("change") or {}).get("points")]
        cells += [c.get("value_at_risk")] if worth_known else []
        writer.writerow([harmless(cell) for cell in cells])
    return out.getvalue()


def reason_cells(client: dict[str, Any]) -> list[str]:
    """The reasons for, the one against and the notes, each in a cell of its own, words first."""
    up = [reason_text(r) for r in client["reasons"] if r["points"] > 0]
    down = [reason_text(r) for r in client["reasons"] if r["points"] < 0]
    return [*(up + [""] * MOST_UP)[:MOST_UP], *(down or [""])[:1], "; ".join(client["notes"])]


def reason_text(reason: dict[str, Any] | Reason) -> str:
    """`tenure 1 (usually 9 to 55): +19.8 points`."""
    found = reason if isinstance(reason, dict) else vars(reason)
    return f"{found['text']}: {found['points']:+.1f} points"


def harmless(cell: Any) -> Any:
    """A text that no spreadsheet runs; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def json_of(listing: dict[str, Any]) -> str:
    """The list as JSON, a client a line: a third of the size that indenting gives."""
    about = {key: value for key, value in listing.items() if key != "clients"}
    lines = (json.dumps(client, allow_nan=False) for client in listing["clients"])
    head = json.dumps(about, indent=1, allow_nan=False).removesuffix("\n}")
    return head + ',\n "clients": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def read_list(config: Config) -> dict[str, Any]:
    """The list as it was written last, {} before the first."""
    return read_optional_json(config.clients_json)

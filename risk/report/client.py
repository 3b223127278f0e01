"""The page of one client: its risk over time, why, and what was done, from list and release."""

from __future__ import annotations

from typing import Any

from werkzeug.datastructures import MultiDict

from risk.report import states
from risk.report.desk import Desk
from risk.report.states import Instead


def view(desk: Desk, args: MultiDict[str, str]) -> dict[str, Any]:
    """All that client.html lays out; Instead, with the nearest names, for an unknown client."""
    name = args.get("name", "")
    found = next((c for c in desk.clients() if c["client"] == name), None)
    if found is None:
        raise Instead(states.unknown_client(name, ()))
    return {"name": name, "client": found}


def note(desk: Desk, form: MultiDict[str, str]) -> None:
    """Keep what the form says of a client."""

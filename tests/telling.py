"""A project that tells people, for the tests of what it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from conftest import Project
from driver import edit_marker, run_driver
from receiving import Hook, Mailbox

from risk.files import with_checksum


def mail(box: Mailbox, **changed: Any) -> dict[str, Any]:
    people = {"to": ["ann@example.com"], "operators": ["ops@example.com"]}
    server = {"host": "127.0.0.1", "port": box.port, "tls": "none", "from": "risk@example.com"}
    return {**server, **people, **changed}


def tells(project: Project, box: Mailbox | None, hook: Hook | None = None, **changed: Any) -> None:
    """From now on the project tells these; the run that notices has nothing to say."""
    settings = {"mail": mail(box, **changed)} if box else {}
    project.configure(port=9, webhook_url=hook.url if hook else "", **settings)
    run_driver(project)


def changed_state(project: Project, **changed: Any) -> None:
    path = project.folder / "state/alerts.json"
    path.write_text(json.dumps(with_checksum({**json.loads(path.read_text()), **changed})))


def digest_is_due(project: Project, day: str = "2026-01-01", scoring: int | None = None) -> None:
    """As if the last digest were of another day; from the marker's view, its hour has come."""
    changed_state(project, digests={"day": day, "scoring": scoring})
    edit_marker(project, next_mail=1)


def state(project: Project) -> dict[str, Any]:
    return project.json("state/alerts.json")


def log(project: Project) -> str:
    return project.text("logs/fullprocess.log")


def broken(project: Project) -> Callable[[], None]:
    """Let every run fail in ingestion; what mends it."""
    path = project.folder / "sourcedata"
    path.rename(path.with_name("away"))
    return lambda: path.with_name("away").rename(path)  # type: ignore[return-value]

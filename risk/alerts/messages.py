"""What each message says, by mail and as JSON, and its sending by either."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from risk.alerts.digest import Compared, digest_of
from risk.alerts.mail import PASSWORD, SECRET, USER, Secrets, letter, send
from risk.alerts.outbox import MAIL, WEBHOOK, Waiting
from risk.alerts.webhook import Undelivered, post
from risk.calllist.changes import newly_called
from risk.calllist.types import load_list, read_list
from risk.config import Config, PipelineError
from risk.files import read_optional_json, utc_stamp
from risk.record.scores import scores_in, scorings
from risk.releases import current_version

FAILED = "The last run failed: this list is older than it should be."
TEST = "This is a test. Messages will arrive here."


@dataclass(frozen=True)
class Content:
    """A message as it is read; html: "" for text alone; items: the same for a program."""

    subject: str
    text: str
    html: str
    items: list[Any]


def secrets_in(environment: Mapping[str, str]) -> Secrets:
    return Secrets(*(environment.get(name, "") for name in (USER, PASSWORD, SECRET)))


def _content(config: Config, entry: Waiting) -> Content:
    """What the message says; a digest is made of the list as it is now."""
    if entry["event"] == "digest":
        return _digest_now(config, entry["base"])
    lines = [f"{entry['title']}:", *(f"- {text}" for text in entry["items"])]
    lines += [f"and {entry['more']} more"] if entry["more"] else []
    lines += ["", _link_of(config, entry["event"])] if config.public_url else []
    text = "\n".join([*lines, "", f"{config.root.name}, {entry['at']}", ""])
    return Content(entry["subject"], text, "", entry["items"])


def _link_of(config: Config, event: str) -> str:
    """The page that has more of it, "" where nobody said at what address the pages are."""
    pages = {"digest": "/", "test": "/", "deployed": "/decisions", "by_hand": "/decisions"}
    page = pages.get(event, "/status")
    return f"{config.public_url.rstrip('/')}{page}" if config.public_url else ""


def _digest_now(config: Config, base: int | None) -> Content:
    """The digest of the list on disk, compared with what the scoring of that number told."""
    outcomes = read_optional_json(config.outcomes)
    made = digest_of(
        load_list(config),
        compared_with(config, base),
        now=datetime.now(UTC),
        names=config.mail.names,
        link=_link_of(config, "digest"),
        trouble=FAILED if read_optional_json(config.run_marker).get("failed") else "",
        outcomes=outcomes["all"]["sentence"] if outcomes.get("enough") else "",
    )
    return Content(made.subject, made.text, made.html, list(made.items))


def compared_with(config: Config, base: int | None) -> Compared | None:
    """The list beside what that scoring told; None if it is not kept, or there was none."""
    then = {scoring.number: scoring for scoring in scorings(config)}.get(base or 0)
    if then is None:
        return None
    listing, before = load_list(config), scores_in(config, then.number)
    here = {client.client for client in listing.called}
    off = sum(score.called and name not in here for name, score in before.items())
    return Compared(then.day, newly_called(listing, before), off)


def _body_of(config: Config, entry: Waiting, said: Content) -> bytes:
    """The webhook's JSON; `text` alone is enough for a chat."""
    listing = read_list(config)
    text = f"{said.subject}\n\n{said.text}" if entry["event"] == "digest" else said.text
    body = {
        "event": entry["event"],
        "id": entry["id"],
        "at": entry["at"],
        "text": text.rstrip("\n"),
        "link": _link_of(config, entry["event"]) or None,
        "model_version": current_version(config),
        "data_as_of": listing.data_date if listing and listing.data_date else None,
        "items": said.items,
    }
    return json.dumps(body, allow_nan=False).encode()


def dispatch(config: Config, secrets: Secrets, entry: Waiting, channel: str) -> str:
    """Send one message by one channel; what is to be noted beside, "" if nothing. Undelivered."""
    try:
        said = _content(config, entry)
    except (PipelineError, KeyError, TypeError) as error:
        why = f"what it is made of cannot be read ({error}); see diagnostics.py --doctor"
        raise Undelivered(why, channel=False) from None
    if channel == WEBHOOK:
        post(config.webhook_url, _body_of(config, entry, said), entry["id"], secrets.webhook)
        return ""
    to = _addressees(config, entry["event"])
    at = datetime.fromisoformat(entry["at"])
    message = letter(config.mail, to, entry["id"], at, said.subject, said.text, said.html)
    return send(config.mail, secrets, message)


def _addressees(config: Config, event: str) -> tuple[str, ...]:
    """Who gets the mail of this event; a test goes to everybody."""
    mail = config.mail
    everybody = tuple(dict.fromkeys((*mail.to, *mail.operators)))
    return {"digest": mail.to, "test": everybody}.get(event, mail.operators)


# ---------------------------------------------------------------- tried by a person


def tried(config: Config, secrets: Secrets) -> tuple[list[str], bool]:
    """(what became of one test message by each channel, in sentences; whether all were sent)."""
    at = utc_stamp(time.time())
    entry = {"event": "test", "id": f"test-{at}", "at": at, "items": [TEST], "more": 0}
    entry |= {"subject": f"Test of {config.root.name}", "title": "Test"}
    lines, worked = [], True
    for channel, where in _places(config).items():
        try:
            beside = dispatch(config, secrets, entry, channel)
            lines.append(f"{where}: sent{beside and f', but {beside}'}")
            worked = worked and not beside
        except Undelivered as why:
            lines.append(f"{where}: not sent: {why}")
            worked = False
    return lines, worked


def _places(config: Config) -> dict[str, str]:
    """Channel -> where it leads, for a person; a webhook's path may be a secret."""
    mail, found = config.mail, {}
    if mail.host:
        to = ", ".join(_addressees(config, "test"))
        found[MAIL] = f"mail to {to} by {mail.host}:{mail.port}"
    if config.webhook_url:
        found[WEBHOOK] = f"webhook at {config.webhook_url.split('/')[2]}"
    return found

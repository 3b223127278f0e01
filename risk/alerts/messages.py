"""What waits to be sent and what was sent, what each message says, and its sending by mail or hook.

A message is on disk with its id before it is sent, so that a run killed in between repeats it with
the same id; nothing else is ever sent twice. A digest is written from the list when it is sent, so
that no client's name is kept with the messages.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from risk.alerts.digest import Content, compare_list, digest_of
from risk.alerts.mail import PASSWORD, SECRET, USER, Secrets, mail_message, send
from risk.alerts.webhook import Undelivered, post
from risk.calllist.types import load_list, read_list
from risk.config import Config, PipelineError
from risk.files import StateFile, epoch, read_optional_json, utc_stamp
from risk.record.outcomes import parse_outcomes
from risk.records import parse_record
from risk.releases import current_version
from risk.run.record import last_marker

FORMAT = 1  # of alerts.json
MAIL, WEBHOOK = "mail", "webhook"
TO_OWNER = "mail to "  # and the owner's name: a channel each, so that none is sent twice
PAUSES = (0.0, 1.0, 4.0)  # before each of the three tries of a run
FIRST_WAIT, LONGEST_WAIT, GIVEN_UP = 600.0, 6 * 3600.0, 2 * 86400.0
MOST_WAITING, MOST_SENT = 50, 200  # by what is in sent a digest of the same day is known again
FAILED = "The last run failed: this list is older than it should be."
TEST = "This is a test. Messages will arrive here."


@dataclass(frozen=True)
class Message:
    """One message and where it has still to go.

    event: digest, test, or one of due.py's. base: of a digest, the scoring it is compared with.
    items: what it reports, at most so many of them; more: how many there are beside.
    """

    id: str
    event: str
    at: str
    channels: tuple[str, ...] = ()
    title: str = ""
    subject: str = ""
    items: tuple[str, ...] = ()
    more: int = 0
    base: int | None = None
    tries: int = 0
    tried: str | None = None


@dataclass(frozen=True)
class SentMessage:
    """A message that went out by one channel."""

    id: str
    event: str
    by: str
    at: str


@dataclass(frozen=True)
class Condition:
    """Something wrong that lasts: since when, when it was reported last, and in which words."""

    since: str
    reported: str
    text: str


@dataclass(frozen=True)
class DigestsDone:
    """Up to which day digests are done, and the scoring that the last one was of."""

    day: str
    scoring: int | None


@dataclass
class AlertState:
    """alerts.json. lasting: kind -> key -> condition. reported: keys of the history's entries."""

    lasting: dict[str, dict[str, Condition]] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    digests: DigestsDone | None = None
    waiting: list[Message] = field(default_factory=list)
    sent: list[SentMessage] = field(default_factory=list)


def read_state(config: Config) -> AlertState | None:
    """What was sent and what waits; None where there is none or it is damaged."""
    try:
        return parse_record(AlertState, StateFile(config.alerts, FORMAT).read_or_empty())
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # begun anew, it repeats nothing of the past; refused, it would silence us


def write_state(config: Config, state: AlertState) -> None:
    StateFile(config.alerts, FORMAT).write(asdict(state))


def secrets_in(environment: Mapping[str, str]) -> Secrets:
    return Secrets(*(environment.get(name, "") for name in (USER, PASSWORD, SECRET)))


def channels_for(config: Config, event: str) -> tuple[str, ...]:
    """Where a message of this event goes; of a digest also by mail to each owner."""
    mail = (MAIL,) if config.mail.host and _addressees(config, event) else ()
    if event == "digest" and config.mail.host:
        mail = (*mail, *(f"{TO_OWNER}{owner}" for owner in config.mail.owners))
    return (*mail, WEBHOOK) if config.webhook_url else mail


def still_to_go(config: Config, waiting: list[Message]) -> list[Message]:
    """Each message to where it has not gone and the config still sends it; the newest of many."""
    open_ = [
        replace(m, channels=tuple(c for c in m.channels if c in channels_for(config, m.event)))
        for m in waiting
    ]
    return [message for message in open_ if message.channels][-MOST_WAITING:]


def deliver(config: Config, log: logging.Logger, state: AlertState, secrets: Secrets) -> None:
    """Try what waits, three times; what was sent is noted at once, the rest is left for later."""
    if not state.waiting:
        return
    closed: set[tuple[str, str]] = set()  # (message or "" for all, channel) not to try again now
    for pause in PAUSES:
        pairs = [(message, channel) for message in state.waiting for channel in message.channels]
        pairs = [(m, c) for m, c in pairs if not {(m.id, c), ("", c)} & closed]
        if pairs:
            time.sleep(pause)
            closed |= _try_once(config, log, state, secrets, pairs)
    now = time.time()  # the tries may have taken minutes
    for message in state.waiting:
        if now - epoch(message.at) > GIVEN_UP:
            log.warning("%s is given up after two days", message.id)
    state.waiting = [
        replace(message, tries=message.tries + 1, tried=utc_stamp(now))
        for message in state.waiting
        if now - epoch(message.at) <= GIVEN_UP
    ]
    write_state(config, state)


def _try_once(
    config: Config,
    log: logging.Logger,
    state: AlertState,
    secrets: Secrets,
    pairs: list[tuple[Message, str]],
) -> set[tuple[str, str]]:
    """Try each message by each channel; what this run need not try again.

    A channel that is out of order is not tried with the next message.
    """
    shut: set[str] = set()
    closed: set[tuple[str, str]] = set()
    for message, channel in pairs:
        if channel in shut:
            continue
        try:
            beside = dispatch(config, secrets, message, channel)
        except Undelivered as why:
            log.warning("%s not sent by %s: %s", message.id, channel, why)
            shut |= {channel} if why.channel else set()
            closed |= set() if why.again else {("" if why.channel else message.id, channel)}
        else:
            state.waiting = [
                replace(m, channels=tuple(c for c in m.channels if c != channel))
                if m.id == message.id
                else m
                for m in state.waiting
                if m.id != message.id or m.channels != (channel,)
            ]
            sent = SentMessage(message.id, message.event, channel, utc_stamp(time.time()))
            state.sent = [*state.sent, sent][-MOST_SENT:]
            # After each one: a run that is killed now must not send this one again.
            write_state(config, state)
            log.info("sent %s by %s%s", message.id, channel, beside and f"; {beside}")
    return closed


def retry_times(state: AlertState) -> list[float]:
    """When an idle run is to try each message again: after 10 minutes, 20, 40 and so on."""
    return [
        epoch(message.tried) + min(LONGEST_WAIT, FIRST_WAIT * 2 ** (message.tries - 1))
        for message in state.waiting
        if message.tried
    ]


def _content(config: Config, message: Message, owner: str = "") -> Content:
    """What the message says; a digest is made of the list as it is now. owner: whose clients alone
    it is of, "" for all."""
    if message.event == "digest":
        outcomes = parse_outcomes(read_optional_json(config.outcomes))
        listing = load_list(config)
        compared = compare_list(config, listing, message.base, owner)
        return digest_of(
            listing.of_owner(owner) if owner else listing,
            compared,
            now=datetime.now(UTC),
            names=config.mail.names,
            link=_link_of(config, "digest"),
            trouble=FAILED if (last := last_marker(config)) and last["failed"] else "",
            outcomes=outcomes["all"]["sentence"] if outcomes["all"] else "",
            owner=owner,
        )
    lines = [f"{message.title}:", *(f"- {text}" for text in message.items)]
    lines += [f"and {message.more} more"] if message.more else []
    lines += ["", _link_of(config, message.event)] if config.public_url else []
    text = "\n".join([*lines, "", f"{config.root.name}, {message.at}", ""])
    return Content(message.subject, text, "", message.items)


def _link_of(config: Config, event: str) -> str:
    """The page that has more of it, "" where nobody said at what address the pages are."""
    pages = {"digest": "/", "test": "/", "deployed": "/decisions", "by_hand": "/decisions"}
    page = pages.get(event, "/status")
    return f"{config.public_url.rstrip('/')}{page}" if config.public_url else ""


def dispatch(config: Config, secrets: Secrets, message: Message, channel: str) -> str:
    """Send one message by one channel; what is to be noted beside, "" if nothing. Undelivered."""
    owner = channel.removeprefix(TO_OWNER) if channel.startswith(TO_OWNER) else ""
    try:
        content = _content(config, message, owner)
    except (PipelineError, KeyError, TypeError) as error:
        why = f"what it is made of cannot be read ({error}); see diagnostics.py --doctor"
        raise Undelivered(why, channel=False) from None
    if channel == WEBHOOK:
        body = _body_of(config, message, content)
        post(config.webhook_url, body, message.id, secrets.webhook)
        return ""
    to, at = _addressees(config, message.event), datetime.fromisoformat(message.at)
    if owner:
        to = (config.mail.owners[owner],)
    made = mail_message(
        config.mail, to, message.id, at, content.subject, content.text, content.html
    )
    return send(config.mail, secrets, made)


def _body_of(config: Config, message: Message, content: Content) -> bytes:
    """The webhook's JSON; `text` alone is enough for a chat."""
    listing, is_digest = read_list(config), message.event == "digest"
    text = f"{content.subject}\n\n{content.text}" if is_digest else content.text
    body = {
        "event": message.event,
        "id": message.id,
        "at": message.at,
        "text": text.rstrip("\n"),
        "link": _link_of(config, message.event) or None,
        "model_version": current_version(config),
        "data_as_of": listing.data_date if listing and listing.data_date else None,
        "items": content.items,
    }
    return json.dumps(body, allow_nan=False).encode()


def _addressees(config: Config, event: str) -> tuple[str, ...]:
    """Who gets the mail of this event; a test goes to everybody."""
    mail = config.mail
    everybody = tuple(dict.fromkeys((*mail.to, *mail.operators, *mail.owners.values())))
    return {"digest": mail.to, "test": everybody}.get(event, mail.operators)


def send_test(config: Config, secrets: Secrets) -> tuple[list[str], bool]:
    """(what became of one test message by each channel, in sentences; whether all were sent)."""
    at, mail, places = utc_stamp(time.time()), config.mail, {}
    if mail.host:
        to = ", ".join(_addressees(config, "test"))
        places[MAIL] = f"mail to {to} by {mail.host}:{mail.port}"
    if config.webhook_url:
        # Without its path, which may be a secret.
        places[WEBHOOK] = f"webhook at {config.webhook_url.split('/')[2]}"
    message = Message(f"test-{at}", "test", at, (), "Test", f"Test of {config.root.name}", (TEST,))
    lines, worked = [], True
    for channel, where in places.items():
        try:
            beside = dispatch(config, secrets, message, channel)
            lines.append(f"{where}: sent{beside and f', but {beside}'}")
            worked = worked and not beside
        except Undelivered as why:
            lines.append(f"{where}: not sent: {why}")
            worked = False
    return lines, worked

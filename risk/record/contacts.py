"""Whom somebody has called, and what came of it: notes from the page and from a CSV of a CRM.

The notes are only ever added to; a client's newest one is its state. No note changes a risk.
"""

from __future__ import annotations

import datetime
import os
import time
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from risk.config import Config, PipelineError
from risk.data.asides import RowError
from risk.data.reader import read_rows
from risk.data.schema import TEXT, UNPRINTABLE, UNSAFE, Column, Schema, printable
from risk.data.sources import YOUNG_SECONDS
from risk.data.store import client_digest
from risk.data.values import Rule, parse_date
from risk.files import read_optional_json, sha256, utc_now, with_owner
from risk.record.scores import CONTACT, score_history, write_score_history

STATES = ("contacted", "not at risk", "left", "snoozed", "open")
CONTACTED, NOT_AT_RISK, LEFT, SNOOZED, OPEN = STATES
LONGEST = {"client": 500, "by": 80, "note": 500}
LONGEST_SNOOZE_DAYS = 3660  # ten years; a date beyond is a typing error
COLUMNS = ("client", "state", "until", "at")
SCHEMA = Schema(
    (Column("client", "id", TEXT), *(Column(name, "feature", TEXT) for name in COLUMNS[1:]))
)
# Or ignore: `source` is unique, so that a row that two processes read at once is kept once.
INSERT = f"INSERT OR IGNORE INTO contacts ({CONTACT}, source) VALUES (?, ?, ?, ?, ?, ?, ?)"
SHOWN_ERRORS = 5
PACKED = (b"PK", b"PAR1", b"\x1f\x8b")  # their last line ends nowhere
Day = datetime.date | str | None  # of a snooze


class BadContact(PipelineError):
    """What is wrong with a note, and in which field: client, state, until, at, by or note."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.why = field, why


@dataclass(frozen=True)
class Contact:
    """One note on a client. at: UTC, ends in Z. until: the day a snooze is over, else ""."""

    client: str
    state: str
    at: str
    until: str = ""
    by: str = ""
    note: str = ""


@dataclass(frozen=True)
class ContactsRead:
    """What was read from the CSV of contacts: how many notes were new, what is wrong.

    seen: size and time of the file if nothing in it is left for later, else None.
    """

    taken: int = 0
    errors: list[RowError] = field(default_factory=list)
    problem: str = ""
    seen: list[int] | None = None
    file: str = ""

    @property
    def notes(self) -> list[str]:
        """What a person should know of it, [] where there was nothing new."""
        notes = [f"{self.file}: {self.taken} contacts taken"] if self.taken else []
        notes += [f"{self.file}: {self.problem}"] if self.problem else []
        for error in self.errors[:SHOWN_ERRORS]:
            value = f" ({printable(error.value)!r})" if error.value else ""
            place = f"line {error.line}, {error.column or 'row'}"
            notes.append(f"{self.file}, {place}: {error.rule}{value}")
        rest = len(self.errors) - SHOWN_ERRORS
        return [*notes, f"{self.file}: {rest} more bad rows"] if rest > 0 else notes


def _checked(client: str, state: str, until: Day, at: str, by: str = "", note: str = "") -> Contact:
    """The note, if every part of it is what it may be; BadContact names the part that is not.

    at: UTC, ends in Z.
    """
    client, by, note = client.strip(" \t"), by.strip(), note.strip()
    for name, text in (("client", client), ("by", by), ("note", note)):
        if len(text) > LONGEST[name]:
            raise BadContact(name, f"longer than {LONGEST[name]} characters")
        # A client's name is as the data have it, direction marks too; other texts are typed.
        if (UNPRINTABLE if name == "client" else UNSAFE).search(text):
            raise BadContact(name, "holds a control character or a line break")
    if not client:
        raise BadContact("client", "empty; give the client's id as the list has it")
    state = state.strip().casefold()
    if state not in STATES:
        raise BadContact("state", f"not one of {', '.join(STATES)}")
    return Contact(client, state, at, _until(state, until, at), by, note)


def _until(state: str, until: Day, at: str) -> str:
    """The day on which a snooze is over, "" for any other state."""
    text = str(until or "").strip()
    if state != SNOOZED and not text:
        return ""
    if state != SNOOZED:
        raise BadContact("until", f"only {SNOOZED} has a date")
    if not text:
        raise BadContact("until", "a snooze needs the day on which it is over")
    try:
        day = parse_date(text)
    except Rule as rule:
        raise BadContact("until", str(rule)) from None
    limit = datetime.date.fromisoformat(at[:10]) + datetime.timedelta(days=LONGEST_SNOOZE_DAYS)
    if not at[:10] < day <= str(limit):
        raise BadContact("until", f"give a day after {at[:10]} and until {limit}")
    return day


def parse_moment(text: str, now: str) -> str:
    """The time as UTC that ends in Z, "" for none; a day is its beginning.

    A day ahead is let pass, since it may have begun where the file was made.
    """
    if not text:
        return ""
    try:
        found = datetime.datetime.fromisoformat(text)
        utc = found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
        moment = f"{utc.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError):
        raise BadContact("at", "not a time like 2026-01-31 or 2026-01-31T07:00:00Z") from None
    tomorrow = datetime.datetime.fromisoformat(now) + datetime.timedelta(days=1)
    if moment < "1970":
        raise BadContact("at", "before 1970")
    if moment > f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}":
        raise BadContact("at", "lies in the future")
    return moment


def add_contact(
    config: Config, client: str, state: str, until: Day = None, by: str = "", note: str = ""
) -> Contact:
    """Keep a note that somebody gave now, and return it; BadContact says what is wrong with it.

    Needs no lock: the write takes milliseconds, and waits up to five seconds for another.
    """
    contact = _checked(client, state, until, utc_now(), by, note)
    if client_digest(contact.client) in _erased(config):
        raise BadContact("client", "was erased; nothing is kept of it")
    write_score_history(config, lambda db: db.execute(INSERT, (*astuple(contact), None)))
    return contact


def _erased(config: Config) -> set[str]:
    """The digests of the clients that were erased."""
    found = read_optional_json(config.store_state).get("erased", [])
    return {digest for digest in found if isinstance(digest, str)}


def read_contacts(config: Config) -> ContactsRead:
    """Read the CSV of contacts that config.json names; each row is taken once, by its content.

    The file is never changed. Bad rows are reported, the good ones taken. A last line that may not
    be whole yet is left for the next time.
    """
    path = config.contacts_path
    if path is None:
        return ContactsRead()
    file = config.shown(path)
    try:
        before = path.stat()
    except FileNotFoundError:
        return ContactsRead(file=file)  # not there yet
    except OSError as error:
        return ContactsRead(file=file, problem=f"cannot be read, {with_owner(path, error)}")
    seen = [before.st_size, before.st_mtime_ns]
    try:
        data, whole = _whole_lines(path.read_bytes(), before, path)
    except OSError as error:
        return ContactsRead(file=file, problem=f"cannot be read, {with_owner(path, error)}")
    contacts, found = _parse_contacts(data, config, utc_now())
    known = {row[0] for row in score_history(config).read("SELECT source FROM contacts")}
    new = [(*astuple(contact), key) for key, contact in contacts.items() if key not in known]
    taken = 0
    if new:  # else nothing is written
        taken = int(write_score_history(config, lambda db: db.executemany(INSERT, new).rowcount))
    return replace(found, taken=taken, seen=seen if whole else None, file=file)


def _whole_lines(data: bytes, before: os.stat_result, path: Path) -> tuple[bytes, bool]:
    """(the data without a last line that somebody may still write, whether that is all)."""
    after = path.stat()
    still = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    young = not still or 0 <= time.time() - before.st_mtime < YOUNG_SECONDS
    if not young or not data or data.endswith(b"\n") or data.startswith(PACKED):
        return data, still
    return data[: data.rfind(b"\n") + 1], False


def _parse_contacts(
    data: bytes, config: Config, now: str
) -> tuple[dict[str, Contact], ContactsRead]:
    """(digest of a row -> its contact, what is wrong with the others)."""
    if not data.strip():
        return {}, ContactsRead()
    file = config.contacts_path.name if config.contacts_path else ""
    reading = read_rows(data, file, SCHEMA, config.csv, limit=False)
    if reading.refused:
        return {}, ContactsRead(problem=f"refused, {reading.refused}")
    erased, contacts, errors = _erased(config), {}, list(reading.errors)
    columns = [reading.values[name] for name in COLUMNS]
    for line, *cells in zip(reading.lines, *columns, strict=True):
        client, state, until, at = (str(cell or "") for cell in cells)
        if client_digest(client) in erased:
            errors.append(RowError(line, "client", "erased client", "", ""))
            continue
        try:
            moment = parse_moment(at, now)
            # A time ahead would hide every later note.
            contact = _checked(client, state, until, min(moment or now, now))
        except BadContact as bad:
            value = dict(zip(COLUMNS, (client, state, until, at), strict=True))[bad.field]
            errors.append(RowError(line, bad.field, bad.why, value[:200], ""))
            continue
        # A row without a time is known without: it would else be new whenever it is read.
        key = "\0".join((contact.client, contact.state, contact.until, moment))
        contacts[sha256(key.encode())] = contact
    errors.sort(key=lambda error: error.line)
    return contacts, ContactsRead(errors=errors)


def newest_contacts(config: Config, day: str | None = None) -> dict[str, Contact]:
    """Client -> its newest note; without those taken back and snoozes over on the day (today)."""
    day = day or utc_now()[:10]
    # Of a group's columns SQLite gives those of the row that has the maximum. The number, as a text
    # of equal lengths, decides between notes of the same second.
    query = (
        f"SELECT {CONTACT}, max(at || printf('%012d', number)) FROM contacts "
        "GROUP BY client ORDER BY client"
    )
    newest = (Contact(*row[:6]) for row in score_history(config).read(query))
    return {
        contact.client: contact
        for contact in newest
        if contact.state != OPEN and not (contact.state == SNOOZED and contact.until <= day)
    }


def contacts_of(config: Config, client: str) -> list[Contact]:
    """Every note on one client, the oldest first."""
    query = f"SELECT {CONTACT} FROM contacts WHERE client = ? ORDER BY at, number"
    return [Contact(*row) for row in score_history(config).read(query, (client,))]


def first_contacts(config: Config) -> dict[str, str]:
    """Client -> when it was contacted first; without those who never were."""
    query = "SELECT client, min(at) FROM contacts WHERE state = ? GROUP BY client"
    return {row[0]: row[1] for row in score_history(config).read(query, (CONTACTED,))}

"""What the client managers are sent: the call list as a short letter, from the list on disk.

One list of lines, each with its place in the letter, is the plain text and the HTML alike, so that
both say the same. No picture, nothing fetched, nothing that tells who has read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, NamedTuple

from risk.calllist.facts import headline
from risk.calllist.types import CallList, ListedClient
from risk.data.schema import printable
from risk.words import STEADY_BELOW, day, in_percent, stamp

MOST_NAMES = 10
LONGEST_NAME, LONGEST_REASON = 60, 100


class Line(NamedTuple):
    """One line of the letter: kind is head, text, link or row; a row has a cell for each column."""

    kind: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """The call list beside that of the last digest: since when, who is new, how many are off it."""

    since: str
    new: tuple[str, ...]
    off: int


@dataclass(frozen=True)
class Digest:
    """The letter. items: its clients as values, for a program; without names if so configured."""

    subject: str
    lines: tuple[Line, ...]
    items: tuple[dict[str, Any], ...]

    @property
    def text(self) -> str:
        return _text_of(self.lines)

    @property
    def html(self) -> str:
        return _html_of(self.lines, self.subject)


def digest_of(
    listing: CallList,
    compared: Compared | None,
    *,
    now: datetime,
    names: bool = True,
    link: str = "",
    trouble: str = "",
    outcomes: str = "",
) -> Digest:
    """The letter on this list, worst first.

    compared: None for the first one. trouble: why the list is older than it should be, "" if it is
    not. outcomes: what came of earlier lists, in a sentence.
    """
    called = listing.called
    new = frozenset(compared.new) if compared else frozenset()
    items = [_item_of(client, new, names=names) for client in called[:MOST_NAMES]]
    of = day(listing.data_date or listing.scored_at, now.date())
    counts = f"{len(called):,} to call"
    subject = f"{len(new):,} new, {counts}" if compared else counts
    lines = [Line("head", (headline(listing),))]
    lines += _texts(_basis(listing, of, now), _compared(compared, now), trouble)
    if not called:
        lines += _texts(f"Nobody to call: {listing.cut.how}.")
    elif names:
        lines += [Line("row", _cells_of(item)) for item in items]
        more = len(called) - len(items)
        lines += _texts(f"and {more:,} more" if more else "")
    lines += _texts(f"So far: {outcomes}." if outcomes else "")
    lines += [Line("link", (link,))] if link else []
    return Digest(f"Clients at risk: {subject} (data of {of})", tuple(lines), tuple(items))


def _texts(*texts: str) -> list[Line]:
    return [Line("text", (text,)) for text in texts if text]


def _basis(listing: CallList, of: str, now: datetime) -> str:
    made = stamp(listing.scored_at, now.date())
    return f"Data of {of}, list of {made}, model version {listing.model_version}."


def _compared(compared: Compared | None, now: datetime) -> str:
    if compared is None:
        return ""
    since, new = day(compared.since, now.date()), len(compared.new)
    return f"Since the list of {since}: {new:,} new, {compared.off:,} no longer on it."


def _item_of(client: ListedClient, new: frozenset[str], *, names: bool) -> dict[str, Any]:
    """What is told of one client; without names nothing by which it could be recognised."""
    item = {
        "rank": client.rank,
        "risk_percent": in_percent(client.risk),
        "new": client.client in new,
        "change_points": client.change.points if client.change else None,
    }
    if not names:
        return item
    return {
        "client": _cut(client.client, LONGEST_NAME),
        **item,
        "contact": client.contact.state if client.contact else None,
        "reason": _cut(client.raising[0].text, LONGEST_REASON) if client.raising else "",
    }


def _cut(text: str, longest: int) -> str:
    """The text on one line, nothing in it that steers, at most so long."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _cells_of(item: dict[str, Any]) -> tuple[str, ...]:
    """`1.`, the name, `72 %`, what is new about it, the first reason."""
    points = item["change_points"]
    moved = f"{points:+d} points" if points is not None and abs(points) >= STEADY_BELOW else ""
    news = ", ".join(filter(None, ["new" if item["new"] else "", moved, item["contact"] or ""]))
    return f"{item['rank']}.", item["client"], f"{item['risk_percent']} %", news, item["reason"]


# ---------------------------------------------------------------- laid out


def _text_of(lines: tuple[Line, ...]) -> str:
    """The letter as plain text."""
    told = "\n".join("  ".join(filter(None, line.cells)) for line in _spaced(lines))
    return told + "\n"


def _spaced(lines: tuple[Line, ...]) -> list[Line]:
    """The lines with an empty one between what does not stand in one table."""
    found: list[Line] = []
    for at, line in enumerate(lines):
        if at and not (line.kind == lines[at - 1].kind == "row"):
            found.append(Line("text", ("",)))
        found.append(line)
    return found


def _html_of(lines: tuple[Line, ...], title: str) -> str:
    """The letter as HTML: the same words, nothing that is fetched."""
    shown: dict[str, Callable[[tuple[str, ...]], str]] = {
        "head": lambda cells: f"<h1>{_safe(cells[0])}</h1>",
        "text": lambda cells: f"<p>{_safe(cells[0])}</p>",
        "link": lambda cells: f'<p><a href="{escape(cells[0])}">{_safe(cells[0])}</a></p>',
        "row": lambda cells: f"<tr>{''.join(f'<td>{_isolated(cell)}</td>' for cell in cells)}</tr>",
    }
    body, open_table = [], False
    for line in (*lines, Line("end", ())):
        if (line.kind == "row") is not open_table:
            open_table = not open_table
            body.append('<table cellpadding="4">' if open_table else "</table>")
        body += [shown[line.kind](line.cells)] if line.kind in shown else []
    head = f'<meta charset="utf-8"><title>{_safe(title)}</title>'
    inner = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{inner}\n</body></html>\n'


def _safe(text: str) -> str:
    return escape(text, quote=False)


def _isolated(text: str) -> str:
    """A name that is written from right to left must not turn the rest of its line."""
    return f"<bdi>{_safe(text)}</bdi>" if text else ""

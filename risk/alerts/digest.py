"""What the client managers are sent: the call list as a short message, from the list on disk.

One list of lines, each with its place in the message, is the plain text and the HTML alike, so that
both say the same. No picture, nothing fetched, nothing that tells who has read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import NamedTuple, NotRequired, TypedDict

from risk.calllist.changes import newly_called
from risk.calllist.facts import headline
from risk.calllist.types import CallList, ListedClient
from risk.config import Config
from risk.data.schema import printable
from risk.record.scores import scores_in, scorings
from risk.words import STEADY_BELOW, day, in_percent, stamp

MOST_NAMES = 10
LONGEST_NAME, LONGEST_REASON = 60, 100


class DigestLine(NamedTuple):
    """One line of the message. kind: head, text, link or row, which has a cell for each column."""

    kind: str
    cells: tuple[str, ...]


class DigestItem(TypedDict):
    """One client for a program; the last three where the config lets names out."""

    rank: int
    risk_percent: int
    new: bool
    change_points: int | None
    client: NotRequired[str]
    contact: NotRequired[str | None]
    reason: NotRequired[str]


@dataclass(frozen=True)
class Compared:
    """The call list beside that of the last digest: since when, who is new, how many are off it.

    data_date: that of the list of the last digest.
    """

    since: str
    new: tuple[str, ...]
    off: int
    data_date: str = ""


@dataclass(frozen=True)
class Content:
    """A message as it is read; html: "" for text alone; items: the same for a program."""

    subject: str
    text: str
    html: str
    items: tuple[DigestItem, ...] | tuple[str, ...]


def compare_list(config: Config, listing: CallList, base: int | None) -> Compared | None:
    """The list beside the scoring of that number; None if that is not kept, or there was none."""
    then = {scoring.number: scoring for scoring in scorings(config)}.get(base or 0)
    if then is None:
        return None
    before, here = scores_in(config, then.number), {client.client for client in listing.called}
    off = sum(score.called and name not in here for name, score in before.items())
    return Compared(then.day, newly_called(listing, before), off, then.data_date)


def digest_of(
    listing: CallList,
    compared: Compared | None,
    *,
    now: datetime,
    names: bool = True,
    link: str = "",
    trouble: str = "",
    outcomes: str = "",
) -> Content:
    """The message on this list, worst first.

    compared: None for the first one. trouble: why the list is older than it should be, "" if it is
    not. outcomes: what came of earlier lists, in a sentence.
    """
    called = listing.called
    new = frozenset(compared.new) if compared else frozenset()
    items = [_item_of(client, new, names=names) for client in called[:MOST_NAMES]]
    of = day(listing.data_date or listing.scored_at, now.date())
    counts = f"{len(called):,} to call"
    subject = f"{len(new):,} new, {counts}" if compared else counts
    lines = [DigestLine("head", (headline(listing),))]
    made = stamp(listing.scored_at, now.date())
    lines += _texts(f"Data of {of}, list of {made}, model version {listing.model_version}.")
    if compared:
        since = day(compared.since, now.date())
        off = f"{compared.off:,} no longer on it"
        lines += _texts(f"Since the list of {since}: {len(new):,} new, {off}.")
    lines += _texts(trouble)
    if not called:
        lines += _texts(f"Nobody to call: {listing.cut.how}.")
    elif names:
        lines += [DigestLine("row", _cells_of(item)) for item in items]
        more = len(called) - len(items)
        lines += _texts(f"and {more:,} more" if more else "")
    lines += _texts(f"So far: {outcomes}." if outcomes else "")
    lines += [DigestLine("link", (link,))] if link else []
    subject = f"Clients at risk: {subject} (data of {of})"
    return Content(subject, _text_of(lines), _html_of(lines, subject), tuple(items))


def _texts(*texts: str) -> list[DigestLine]:
    return [DigestLine("text", (text,)) for text in texts if text]


def _item_of(client: ListedClient, new: frozenset[str], *, names: bool) -> DigestItem:
    """What is reported of one client; without names nothing by which it could be recognised."""
    item = DigestItem(
        rank=client.rank,
        risk_percent=in_percent(client.risk),
        new=client.client in new,
        change_points=client.change.points if client.change else None,
    )
    if names:
        item["client"] = _cut(client.client, LONGEST_NAME)
        item["contact"] = client.contact.state if client.contact else None
        item["reason"] = _cut(client.raising[0].text, LONGEST_REASON) if client.raising else ""
    return item


def _cut(text: str, longest: int) -> str:
    """The text on one line, nothing in it that steers, at most so long."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _cells_of(item: DigestItem) -> tuple[str, ...]:
    """`1.`, the name, `72 %`, what is new about it, the first reason."""
    points = item["change_points"]
    moved = f"{points:+d} points" if points is not None and abs(points) >= STEADY_BELOW else ""
    news = ", ".join(filter(None, ["new" if item["new"] else "", moved, item["contact"] or ""]))
    return f"{item['rank']}.", item["client"], f"{item['risk_percent']} %", news, item["reason"]


def _text_of(lines: list[DigestLine]) -> str:
    """The message as plain text, an empty line between what does not stand in one table."""
    text = ""
    for before, line in zip((None, *lines), lines, strict=False):
        apart = before and not (line.kind == before.kind == "row")
        text += ("\n" if apart else "") + "  ".join(filter(None, line.cells)) + "\n"
    return text


def _html_of(lines: list[DigestLine], title: str) -> str:
    """The message as HTML: the same words, nothing that is fetched."""

    def table_cell(text: str) -> str:
        return f"<td><bdi>{_safe(text)}</bdi></td>" if text else "<td></td>"

    shown: dict[str, Callable[[tuple[str, ...]], str]] = {
        "head": lambda cells: f"<h1>{_safe(cells[0])}</h1>",
        "text": lambda cells: f"<p>{_safe(cells[0])}</p>",
        "link": lambda cells: f'<p><a href="{escape(cells[0])}">{_safe(cells[0])}</a></p>',
        # A name that is written from right to left must not turn the rest of its line: bdi.
        "row": lambda cells: f"<tr>{''.join(map(table_cell, cells))}</tr>",
    }
    body, open_table = [], False
    for line in (*lines, DigestLine("end", ())):
        if (line.kind == "row") is not open_table:
            open_table = not open_table
            body.append('<table cellpadding="4">' if open_table else "</table>")
        body += [shown[line.kind](line.cells)] if line.kind in shown else []
    head = f'<meta charset="utf-8"><title>{_safe(title)}</title>'
    inner = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{inner}\n</body></html>\n'


def _safe(text: str) -> str:
    return escape(text, quote=False)

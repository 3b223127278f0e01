"""What the client managers are sent: the call list as a short message, from the list on disk.

Plain text and HTML are made of the same sentences and cells, so that both say the same. No picture,
nothing fetched, nothing that tells who has read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import NotRequired, TypedDict

from risk.calllist.changes import newly_called
from risk.calllist.facts import headline
from risk.calllist.types import CallList, ListedClient
from risk.config import Config
from risk.data.schema import printable
from risk.record.scores import called_in, scorings
from risk.words import STEADY_BELOW, day, in_percent, stamp

MOST_NAMES = 10
LONGEST_NAME, LONGEST_REASON = 60, 100  # so a mail of hostile names stays below 30 kB
Cells = tuple[str, ...]


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


def compare_list(
    config: Config, listing: CallList, base: int | None, owner: str = ""
) -> Compared | None:
    """The list beside the scoring of that number; None if that is not kept, or there was none.

    owner: whose clients alone are counted, "" for all.
    """
    then = {scoring.number: scoring for scoring in scorings(config)}.get(base or 0)
    if then is None:
        return None
    before, here = called_in(config, then.number), {client.client for client in listing.called}
    if owner:
        own = {c.client for c in listing.clients if (c.owner or "") == owner}
        before, here = before & own, here & own
        new = tuple(name for name in newly_called(listing, before) if name in own)
        return Compared(then.day, new, len(before - here), then.data_date)
    off = len(before - here)
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
    owner: str = "",
) -> Content:
    """The message on this list, worst first. owner: whose clients these are, "" for all.

    compared: None for the first one. trouble: why the list is older than it should be, "" if it is
    not. outcomes: what came of earlier lists, in a sentence.
    """
    called, today = listing.called, now.date()
    new = frozenset(compared.new) if compared else frozenset()
    items = [_item_of(client, new, names=names) for client in called[:MOST_NAMES]]
    of, made = day(listing.data_date or listing.scored_at, today), stamp(listing.scored_at, today)
    counts = f"{len(called):,} to call"
    above = [f"Data of {of}, list of {made}, model version {listing.model_version}."]
    if compared:
        counts = f"{len(new):,} new, {counts}"
        off = f"{len(new):,} new, {compared.off:,} no longer on it"
        above.append(f"Since the list of {day(compared.since, today)}: {off}.")
    above += [trouble] if trouble else []
    above += [] if called else [f"Nobody to call: {listing.cut.how}."]
    rows = [_cells_of(item) for item in items if names]
    more = len(called) - len(rows)
    below = [f"and {more:,} more"] if rows and more else []
    below += [f"So far: {outcomes}."] if outcomes else []
    subject = f"Clients at risk: {counts} (data of {of})"
    head = f"{owner}: {headline(listing)}" if owner else headline(listing)
    table = "\n".join("  ".join(filter(None, cells)) for cells in rows)
    text = "\n\n".join(filter(None, [head, *above, table, *below, link])) + "\n"
    return Content(subject, text, _html_of(subject, head, above, rows, below, link), tuple(items))


def _item_of(client: ListedClient, new: frozenset[str], *, names: bool) -> DigestItem:
    """What is reported of one client; without names nothing by which it could be recognised."""
    item = DigestItem(
        rank=client.rank,
        risk_percent=in_percent(client.risk),
        new=client.client in new,
        change_points=client.change.points if client.change else None,
    )
    if names:
        item["client"] = _cut(client.called_name, LONGEST_NAME)
        item["contact"] = client.contact.state if client.contact else None
        item["reason"] = _cut(client.raising[0].text, LONGEST_REASON) if client.raising else ""
    return item


def _cut(text: str, longest: int) -> str:
    """The text on one line, nothing in it that steers, at most so long."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _cells_of(item: DigestItem) -> Cells:
    """`1.`, the name, `72 %`, what is new about it, the first reason."""
    points = item["change_points"]
    moved = f"{points:+d} points" if points is not None and abs(points) >= STEADY_BELOW else ""
    news = ", ".join(filter(None, ["new" if item["new"] else "", moved, item["contact"] or ""]))
    return f"{item['rank']}.", item["client"], f"{item['risk_percent']} %", news, item["reason"]


def _html_of(
    title: str, head: str, above: list[str], rows: list[Cells], below: list[str], link: str
) -> str:
    """The message as HTML: the same words, nothing that is fetched."""
    body = [f"<h1>{_safe(head)}</h1>", *(f"<p>{_safe(text)}</p>" for text in above)]
    if rows:
        # bdi: a name that is written from right to left must not turn the rest of its line.
        cells = [[f"<bdi>{_safe(cell)}</bdi>" if cell else "" for cell in row] for row in rows]
        table = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells]
        body += ['<table cellpadding="4">', *table, "</table>"]
    body += [f"<p>{_safe(text)}</p>" for text in below]
    body += [f'<p><a href="{escape(link)}">{_safe(link)}</a></p>'] if link else []
    meta, inner = f'<meta charset="utf-8"><title>{_safe(title)}</title>', "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{meta}</head><body>\n{inner}\n</body></html>\n'


def _safe(text: str) -> str:
    return escape(text, quote=False)  # between tags; the address in href is escaped whole

"""The page Today: whom to call, why, what changed, from the list; as values, and as CSV.

`today_of` makes what the page and the report show alike; `view` adds what belongs to a request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urlencode

from risk.calllist import facts
from risk.calllist.facts import BECAME, CONTACT_STATES, Fact
from risk.calllist.policy import NO_RANKING
from risk.calllist.types import HIGH, LOW, RAISED_BAND, UNKNOWN, CallList, ListedClient
from risk.record.contacts import OPEN, Contact
from risk.record.outcomes import Outcomes
from risk.releases import current_version
from risk.web import notices
from risk.web.context import PageContext, data_age, data_date
from risk.web.notices import Notice, ShowInstead
from risk.web.problem import Problem, bad_parameter, whole_number
from risk.web.svg import spark_path
from risk.words import amount, as_sentence, day, enumeration, in_percent, signed

PER_PAGE, MOST_ROWS, SHOWN_CHANGES, MOST_OWNERS = 50, 1000, 6, 12
CALL, ALL, NOBODY = "call", "all", "-"
EVERYBODY = "?owner="  # an address without a filter, which is remembered too
TO_CALL = "to call"  # the band of the called where a call's profit decides
BANDS = {CALL: "call list", RAISED_BAND: "raised", LOW: "low", UNKNOWN: UNKNOWN, ALL: "all"}
NAMES = ("q", "band", "owner", "contact", "sort", "page", "rows")
MARKED = "marked"  # in an address: the client whose state a click has just changed


@dataclass(frozen=True)
class Query:
    """What the address asks for; "" is no filter. A minus before `sort` turns the order round."""

    q: str = ""
    band: str = CALL
    owner: str = ""
    contact: str = ""
    sort: str = "rank"
    page: int = 1
    rows: int = PER_PAGE

    def address(self, **changed: Any) -> str:
        """The query of an address that asks for this with a change, without what is usual."""
        new, usual = replace(self, **changed), Query()
        asked = {n: getattr(new, n) for n in NAMES if getattr(new, n) != getattr(usual, n)}
        return f"?{urlencode(asked)}" if asked else ""

    @property
    def filtered(self) -> bool:
        return replace(self, sort="rank", page=1, rows=PER_PAGE) != Query()


def _asked(args: Mapping[str, str]) -> Query:
    """The query of an address; Problem 400 names what it does not know and what there is."""
    for name in args:
        if name not in (*NAMES, MARKED):
            raise bad_parameter(name, args[name], f"the page knows {enumeration(list(NAMES))}")
    args = {name: text for name, text in args.items() if text}  # a form sends its empty fields too
    band = args.get("band", CALL)
    # In the API `high` is the band of those on the call list.
    found = Query(
        q=args.get("q", "").strip(),
        band=CALL if band == HIGH else band,
        owner=args.get("owner", ""),
        contact=args.get("contact", ""),
        sort=args.get("sort", "rank"),
        page=whole_number(args, "page", 1),
        rows=min(whole_number(args, "rows", PER_PAGE), MOST_ROWS),
    )
    for name, value, choices in (
        ("band", found.band, list(BANDS)),
        ("contact", found.contact, ["", *CONTACT_STATES]),
        ("sort", found.sort.removeprefix("-"), list(SORTS)),
    ):
        if value not in choices:
            hint = f"choose {enumeration([c for c in choices if c], 'or')}"
            raise bad_parameter(name, value, hint)
    return found


def query_of(args: Mapping[str, str], listing: CallList) -> Query:
    """The same; where nobody is on the call list, everybody is shown unless a band is asked for."""
    query = _asked(args)
    return query if args.get("band") or listing.called else replace(query, band=ALL)


def _points_sort(points: float | None) -> float:
    """A rise before a fall, and who has no value at the end."""
    return 1e300 if points is None else -points


SORTS: dict[str, Callable[[ListedClient], Any]] = {
    "rank": lambda c: c.rank,
    "client": lambda c: c.called_name.casefold(),
    "change": lambda c: _points_sort(c.change.points if c.change else None),
    "contact": lambda c: (
        CONTACT_STATES.index(c.contact_state) if c.contact_state in CONTACT_STATES else 9
    ),
    "value": lambda c: _points_sort(c.value),
}


def _chosen(clients: Sequence[ListedClient], query: Query) -> list[ListedClient]:
    """The clients that the query asks for, in its order; equals by rank."""
    part, band = query.q.casefold(), query.band
    owner = "" if query.owner == NOBODY else query.owner
    found = [
        client
        for client in clients
        if (band == ALL or (client.call if band == CALL else client.band == band))
        and (not query.owner or (client.owner or "") == owner)
        and (not query.contact or client.contact_state == query.contact)
        and (not part or part in f"{client.called_name}\n{client.client}".casefold())
    ]
    order = SORTS[query.sort.removeprefix("-")]
    # reverse leaves equals in the order of the list, which is by rank.
    return sorted(found, key=order, reverse=query.sort.startswith("-"))


@dataclass(frozen=True)
class Row:
    """One client as the table shows it; up, down: (what was found, what is usual) by reason."""

    rank: int
    client: str
    name: str
    about: str
    percent: int
    band: str
    move: str
    split: str
    new: bool
    up: list[tuple[str, str]]
    down: list[tuple[str, str]]
    note: str
    history: tuple[int | None, ...]
    spark: str
    spark_words: str
    contact: str
    contact_when: str
    undoable: bool = False


@dataclass(frozen=True)
class Moved:
    """A client whose place or risk changed: (then, now) in words, or the parts of a move."""

    client: str
    name: str
    then: str = ""
    now: str = ""
    points: str = ""
    data: str = ""
    model: str = ""


@dataclass(frozen=True)
class Changed:
    """Who is new on the list, who is off it, who moved most: the first few, and how many in all."""

    then: str
    now: str
    new: list[Moved]
    new_count: int
    off: list[Moved]
    off_count: int
    moves: list[Moved]
    more_moves: int


@dataclass(frozen=True)
class Today:
    """What the list says, as today.html lays it out.

    average: the average client's risk in percent. since: the day that changes are against, "" for
    a first list. top: the upper end of all curves, in percent. found: how many clients the query
    finds; rows: those of this page.
    """

    heading: str
    title: str
    data_date: str
    model: int
    average: int | None
    since: str
    facts: list[Fact]
    query: Query
    top: int
    rows: list[Row]
    found: int
    first: int
    page: int
    page_count: int
    changed: Changed | None
    by_profit: bool = False


def today_of(
    listing: CallList, clients: Sequence[ListedClient], query: Query, today: date, top: int
) -> Today:
    """What to show of the list. clients: its clients with their contacts of now."""
    if query.owner:
        listing = listing.of_owner("" if query.owner == NOBODY else query.owner)
        clients = [c for c in clients if c.client in listing.by_name]
    found = _chosen(clients, query)
    pages = max(-(-len(found) // query.rows), 1)
    page = min(query.page, pages)
    first = (page - 1) * query.rows
    new = frozenset(listing.new)
    return Today(
        heading=_heading(listing, clients, query.owner),
        title=f"{amount(len(listing.called), 'client')} to call, data of {data_date(listing)}",
        data_date=data_date(listing),
        model=listing.model_version,
        average=in_percent(listing.average_risk),
        since=day(listing.since, today) if listing.since else "",
        facts=facts.list_facts(listing, clients, today),
        query=query,
        top=top,
        rows=[
            _row(client, new, top, today, listing) for client in found[first : first + query.rows]
        ],
        found=len(found),
        first=first,
        page=page,
        page_count=pages,
        changed=_changed(listing, today),
        by_profit=listing.by_profit,
    )


def view(context: PageContext, args: Mapping[str, str]) -> dict[str, Any]:
    """All that today.html lays out."""
    listing, clients = context.listing(), context.clients()
    query = query_of(args, listing)
    if not clients:
        raise ShowInstead(notices.NOTHING_TO_SCORE.of(note=listing.note))
    shown = today_of(listing, clients, query, context.now.date(), context.top())
    return {
        **vars(shown),
        "data_age": data_age(listing, context.now),
        "banners": _banners(context, listing),
        "choices": _choices(listing, clients, query.owner),
        "empty": None if shown.found else _no_hits(query, clients),
        "most": MOST_ROWS,
        "trust": _trust(context.outcomes(), listing),
        "marked": context.client(args.get(MARKED, "")),
    }


def _heading(listing: CallList, clients: Sequence[ListedClient], owner: str) -> str:
    """The page's answer in one sentence; owner: whose clients alone these are, "" for all."""
    whose = f"{'Nobody’s' if owner == NOBODY else owner}: " if owner else ""
    if not listing.called:
        why = "" if owner or facts.cannot_rank(listing) else f": {listing.cut.how}"
        return f"{whose}{facts.headline(listing)}{why}"
    still = sum(1 for client in clients if client.call and client.contact_state == OPEN)
    called = len(listing.called)
    return f"{whose}{facts.headline(listing)}" + (
        f", {still:,} of them not yet called" if still < called else ""
    )


def _row(
    client: ListedClient, new: frozenset[str], top: int, today: date, listing: CallList
) -> Row:
    """The client's line in the table."""
    value = listing.value_name or "value"
    worth = f"{value} {client.value:,.0f}" if client.value is not None else ""
    at_risk = client.value_at_risk if listing.by_profit else None
    loss = f"expected loss {at_risk:,.0f}" if at_risk is not None else ""
    own = client.client if client.name else ""
    pairs = zip(listing.details, client.details, strict=True)
    details = [f"{head} {text}" for head, text in pairs if text]
    known = [risk for risk in client.history if risk is not None]
    curve = f"{len(known)} snapshots, {known[0]} to {known[-1]} %" if len(known) > 1 else ""
    # "usually" is said once, in the first reason of a row.
    words = [(r.points, *_worded(r.text, again=at > 0)) for at, r in enumerate(client.reasons)]
    return Row(
        rank=client.rank,
        client=client.client,
        name=client.called_name,
        about=" · ".join(filter(None, [own, client.owner, worth, loss, *details])),
        percent=in_percent(client.risk),
        # By what a call pays a client of low risk may be called, who is not "high".
        band=TO_CALL if listing.by_profit and client.call else client.band,
        move=client.change.words if client.change else "",
        split=client.change.split if client.change else "",
        new=client.client in new,
        up=[(found, usual) for points, found, usual in words if points > 0],
        down=[(found, usual) for points, found, usual in words if points < 0],
        note="" if client.reasons and client.band != UNKNOWN else _note_of(client),
        history=client.history,
        spark=spark_path(client.history, top),
        spark_words=curve or "first seen",
        contact=client.contact_state,
        contact_when=contact_when(client.contact, today)
        + (f" by {client.contact.by}" if client.contact and client.contact.by else ""),
        undoable=bool(client.contact and client.contact.at[:10] == str(today)),
    )


def _note_of(client: ListedClient) -> str:
    """The client's own note; what holds for the whole list is said once, above it."""
    own = [note for note in client.notes if not note.startswith(NO_RANKING)]
    return own[0] if own else ""


def _worded(reason: str, again: bool) -> tuple[str, str]:
    """(what was found, what is usual): `orders 3 (usually 12 to 40)` cut at the bracket."""
    found, bracket, usual = reason.partition(" (")
    return found, f"{bracket}{usual.removeprefix('usually ') if again else usual}"


def contact_when(contact: Contact | None, today: date) -> str:
    """When somebody was in contact, or until when a client is left alone."""
    if contact is None:
        return ""
    if contact.state == "snoozed" and contact.until:
        return f"until {day(contact.until, today)}"
    return day(contact.at, today)


def _choices(listing: CallList, clients: Sequence[ListedClient], owner: str) -> dict[str, Any]:
    """The filter form's options with their counts, of the owner's clients where one is asked for;
    owners as a list while they are few."""
    own = listing.of_owner("" if owner == NOBODY else owner) if owner else listing
    counts = {CALL: len(own.called), ALL: len(own.clients)} | own.bands
    owned = "owner" in listing.shown
    owners = sorted({client.owner or NOBODY for client in clients}) if owned else []
    return {
        "bands": [(key, f"{word} ({counts.get(key, 0):,})") for key, word in BANDS.items()],
        "owners": owners if len(owners) <= MOST_OWNERS else [],
        "owned": owned,
        "contacts": CONTACT_STATES,
    }


def _no_hits(query: Query, clients: Sequence[ListedClient]) -> Notice:
    """What was asked for and not found, with the way out."""
    asked = [f"band {BANDS[query.band]}"]
    asked += [f"name with “{query.q}”"] if query.q else []
    asked += [f"owner {query.owner}"] if query.owner else []
    asked += [f"contact {query.contact}"] if query.contact else []
    wider = len(_chosen(clients, replace(query, band=ALL)))
    links = [("Clear the filter", EVERYBODY)]
    if wider and query.band != ALL:
        address = query.address(band=ALL, page=1)
        links.insert(0, (f"Look among all clients ({wider:,})", address))
    return replace(notices.NO_HITS.of(asked=", ".join(asked)), links=tuple(links))


def _changed(listing: CallList, today: date) -> Changed | None:
    """New on the list, off it, and the biggest moves; None for a first snapshot."""
    if not listing.since:
        return None
    by_name = listing.by_name

    def percent(risk: float, less: int = 0) -> str:
        return f"{in_percent(risk) - less} %"

    new = [by_name[name] for name in listing.new[:SHOWN_CHANGES]]
    return Changed(
        then=day(listing.since, today),
        now=day(listing.data_date, today) if listing.data_date else "now",
        new=[
            Moved(
                one.client,
                one.called_name,
                percent(one.risk, one.change.points) if one.change else "–",
                percent(one.risk),
            )
            for one in new
        ],
        new_count=len(listing.new),
        off=[
            Moved(
                one.client,
                listing.name_of(one.client),
                percent(one.risk),
                # Who was passed by others is still a client: the risk says more than the word.
                percent(by_name[one.client].risk)
                if one.became == "open" and one.client in by_name
                else BECAME[one.became],
            )
            for one in listing.off[:SHOWN_CHANGES]
        ],
        off_count=len(listing.off),
        moves=[
            Moved(
                one.client,
                listing.name_of(one.client),
                percent(one.risk, one.points),
                percent(one.risk),
                signed(one.points),
                *("?" if part is None else signed(part) for part in (one.data, one.model)),
            )
            for one in listing.moves[:SHOWN_CHANGES]
        ],
        more_moves=max(len(listing.moves) - SHOWN_CHANGES, 0),
    )


def _trust(outcomes: Outcomes, listing: CallList) -> dict[str, Any]:
    """Whether the lists were right: by outcomes where there are enough, and by the test rows."""
    enough, sentence = outcomes["enough"], facts.outcomes_sentence(outcomes)
    gains, (first, last) = listing.cut.cumulative_gains, (outcomes["from"], outcomes["to"])
    span = f", listed {day(first)} to {day(last)}" if first and last else ""
    known = f"{amount(outcomes['known'], 'outcome')} known{span}; in brackets the 95 % interval."
    return {
        "sentence": sentence if enough else "",
        "basis": known if enough else "",
        "notice": None if enough else notices.NO_OUTCOMES.of(why=sentence),
        # Test rows are told of until there are outcomes: two numbers for one list confuse.
        "tested": as_sentence(facts.gains_words(gains)) if gains and not enough else "",
    }


def _banners(context: PageContext, listing: CallList) -> list[Notice]:
    """What is wrong or special about the list that is still shown, the worst first."""
    broken, deployed = context.broken(), current_version(context.config)
    found = [broken] if broken else []
    when = data_date(listing)
    if context.trouble():
        trouble = as_sentence(context.trouble())
        found.append(notices.LAST_RUN_FAILED.of(trouble=trouble, data=when))
    rhythm = overdue(context.snapshot_days(), context.now.date())
    if rhythm:
        old = data_age(listing, context.now)
        found.append(notices.STALE.of(data=when, old=old, rhythm=rhythm))
    if deployed and deployed != listing.model_version:
        found.append(notices.OTHER_MODEL.of(listed=listing.model_version, deployed=deployed))
    if facts.cannot_rank(listing):
        return [*found, notices.CANNOT_RANK]
    return [*found, *context.provisional()]


def overdue(days: list[date], today: date) -> str:
    """In words, by what rhythm files came and how many are missing; "" where none is late.

    Two in a row have to be missing: one late file is no news. Of fewer than three days there is no
    rhythm to tell.
    """
    if len(days) < 3:
        return ""
    # The median: one long gap in the past does not change the rhythm.
    usual = median((later - one).days for one, later in zip(days, days[1:], strict=False))
    late = (today - days[-1]).days
    if late <= 2.5 * usual:
        return ""
    return f"A file came every {usual:.0f} days; {late // usual:,.0f} are missing."


def csv_text(context: PageContext, args: Mapping[str, str]) -> str:
    """The clients that the page shows, all of its pages, as the API's CSV has them."""
    listing = context.listing()
    query = query_of(args, listing)
    chosen = replace(listing, clients=tuple(_chosen(context.clients(), query)))
    return chosen.to_csv(*listing.written)


def back(to: str, client: str, listed: ListedClient | None) -> str:
    """Where a sent form leads to: the list's row that it was sent from, else the client's page.

    client: "" for a form that was about nobody.
    """
    if to.startswith("?") or not client:
        with contextlib.suppress(Problem):
            # Made anew from what is understood: no form leads to another site.
            query = _asked(dict(parse_qsl(to.removeprefix("?"))))
            if not client:
                return query.address()
            address = query.address() or "?"
            marked = urlencode({MARKED: listed.client if listed else client})
            place = f"#at-{listed.rank}" if listed else ""
            return f"{address}{'&' if address != '?' else ''}{marked}{place}"
    return f"client?{urlencode({'name': client})}#contact"

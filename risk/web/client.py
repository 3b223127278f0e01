"""The page of one client: its risk over time, why, and what was done, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.explain import known_names, nearest, rows_of_client
from risk.calllist.facts import CONTACT_STATES, Fact
from risk.calllist.types import UNKNOWN, CallList, ListedClient
from risk.config import PipelineError
from risk.model.logistic import expit
from risk.model.measures import RiskBin
from risk.model.model import Model
from risk.model.profile import Rows, column_text, value_text
from risk.model.reasons import TermGroup, points
from risk.record import contacts
from risk.record.contacts import BadContact, Contact, contacts_of
from risk.record.outcomes import Outcomes
from risk.record.scores import PastScore, Scoring, past_scores, scorings
from risk.web import notices
from risk.web.context import PageContext, data_age, data_date
from risk.web.notices import ShowInstead
from risk.web.problem import Problem, excerpt
from risk.web.svg import QuartileStrip, RiskChart, diverging_bars, quartile_strip, risk_chart
from risk.web.today import contact_when
from risk.words import day, in_percent, signed, stamp

if TYPE_CHECKING:
    import polars as pl

BAR_WIDTH, SPLIT_WIDTH = 200, 400
ALIKE, LEAST_ALIKE = 0.1, 30  # of risks that close, so many outcomes back "clients like this"
MOST_SCORINGS, MOST_CALLS = 60, 8
LEFT_WORDS = {None: "not known yet", 0: "stayed: a false alarm", 1: "left, as was feared"}


def view(context: PageContext, args: Mapping[str, str]) -> dict[str, Any]:
    """All that client.html lays out; Instead, with the nearest names, for an unknown client."""
    name = args.get("name", "")
    listing, listed = context.listing(), context.client(name)
    rows = _own_rows(context, name)
    if listed is None and (rows is None or not rows.height):
        raise ShowInstead(notices.unknown_client(excerpt(name), _near(context, name)))
    served, today = context.release(), context.now.date()
    reasons = _reasons_of(served.model, _last_row(served.model, rows), listed)
    past = _history(context, name)
    return {
        "name": name,
        "client": listed,
        "percent": in_percent(listed.risk) if listed else None,
        "heading": _expectation(listed, rows, context.config.columns.target, context.outcomes()),
        "basis_words": _grounds(listed, reasons.average, context.outcomes()),
        "crumb": _crumb(listed, len(listing.clients)),
        "data_date": data_date(listing),
        "data_age": data_age(listing, context.now),
        "facts": _facts(listed, listing, reasons, today) if listed else [],
        "reasons": reasons,
        "chart": _chart(past, reasons.average, today),
        "scores": [_score_line(one, score, today) for one, score in reversed(past)],
        "move": _move_of(listed, listing, today),
        "calls": _calls(past, rows, context.config.columns.target, _notes_of(context, name), today),
        "notes": [_note_line(one, today) for one in reversed(_notes_of(context, name))],
        "first": notices.ONE_SNAPSHOT,
        "contact_state": listed.contact_state if listed else "",
        "contacts": CONTACT_STATES,
    }


def _own_rows(context: PageContext, name: str) -> pl.DataFrame | None:
    """The client's rows, the newest last; None while an ingestion is changing them."""
    held = context.rows()
    return rows_of_client(*held, name) if held else None


def _last_row(model: Model, rows: pl.DataFrame | None) -> Rows | None:
    """The client's newest row as the model takes it; None where it cannot be had."""
    if rows is None or not rows.height or not set(model.columns) <= set(rows.columns):
        return None
    return {column: rows[column].tail(1).to_list() for column in model.columns}


def _near(context: PageContext, name: str) -> tuple[tuple[str, str], ...]:
    """The three nearest names with their addresses."""
    held = context.rows()
    known = known_names(*held) if held else [c.client for c in context.clients()]
    return tuple((one, context.client_address(one)) for one in nearest(known, name))


def _history(context: PageContext, name: str) -> list[tuple[Scoring, PastScore | None]]:
    """Every list with what it told of the client, None where the client was not on it."""
    try:
        known = {(one.at, one.data_version): one for one in past_scores(context.config, name)}
        every = [(one, known.get((one.at, one.data_version))) for one in scorings(context.config)]
    except PipelineError:  # a damaged score history; the doctor says so
        return []
    first = next((at for at, (_, one) in enumerate(every) if one), len(every))
    return every[first:][-MOST_SCORINGS:]


def _notes_of(context: PageContext, name: str) -> list[Contact]:
    try:
        return contacts_of(context.config, name)
    except PipelineError:
        return []


def _like(risk: float, outcomes: Outcomes) -> RiskBin | None:
    """What came of the clients whose lists said nearly the same; None where too few are known."""
    bins = outcomes["calibration"]["bins"] if outcomes["calibration"] else []
    close = [b for b in bins if abs(b["risk"] - risk) <= ALIKE and b["n"] >= LEAST_ALIKE]
    return min(close, key=lambda b: abs(b["risk"] - risk), default=None)


def _expectation(
    listed: ListedClient | None, rows: pl.DataFrame | None, target: str, outcomes: Outcomes
) -> str:
    """The words after the client's name: what is to be expected of it, or what came of it."""
    if listed is None:
        left = rows is not None and rows[target].tail(1).to_list() == [1]
        return "has left" if left else "is not on the list"
    if listed.band == UNKNOWN:
        return "not enough data for a risk"
    found = _like(listed.risk, outcomes)
    if found:
        return f"of 100 clients like this, {in_percent(found['left'])} left"
    return f"risk {in_percent(listed.risk)} %, estimated"


def _grounds(listed: ListedClient | None, average: int, outcomes: Outcomes) -> str:
    """What the heading rests on."""
    if listed is None:
        return "The list holds clients whose outcome is open."
    if listed.band == UNKNOWN:
        return f"{(listed.notes or ('No reason is given',))[0]}."
    times = listed.risk / (average / 100) if average else 0.0
    words = f"{times:.1f} times the average client’s {average} %. " if times else ""
    found = _like(listed.risk, outcomes)
    if not found:
        fewer = f"fewer than {LEAST_ALIKE} clients like this have a known outcome"
        return f"{words}By the model alone: {fewer}."
    risk, left, low, high = map(in_percent, (found["risk"], found["left"], *found["interval"]))
    return (
        f"{words}Basis: of {found['n']:,} clients whose list said about {risk} %, "
        f"{left} of 100 left (95 % interval {low} to {high})."
    )


def _crumb(listed: ListedClient | None, clients: int) -> str:
    if listed is None:
        return "not on the list"
    owner = f", {listed.owner}" if listed.owner else ""
    return f"rank {listed.rank:,} of {clients:,}{owner}"


def _facts(listed: ListedClient, listing: CallList, reasons: Reasons, today: date) -> list[Fact]:
    """The four numbers on top."""
    change, contact = listed.change, listed.contact
    since = f"Since {day(listing.since, today)}" if listing.since else "Change"
    why = "the first snapshot" if not listing.since else "not on the list then"
    found = [
        Fact("Rank", f"{listed.rank:,}", "on the call list" if listed.call else "not called"),
        Fact(since, change.words if change else "first seen", change.split if change else why),
    ]
    strongest = next((sign for sign in reasons.lines if sign.points > 0), None)
    if strongest:
        note = f"{strongest.usual}; " if strongest.usual else ""
        name, value = (strongest.name, strongest.own) if strongest.own else ("Sign", strongest.name)
        found.append(Fact(name, value, f"{note}the strongest sign, {strongest.points_text}"))
    when = contact_when(contact, today)
    return [*found, Fact("Contact", listed.contact_state, when or "nobody has noted a contact")]


@dataclass(frozen=True)
class ReasonLine:
    """One part of the risk: its name, the client's own value, what is usual, and its points."""

    name: str
    own: str
    usual: str
    strip: QuartileStrip | None
    points: float

    @property
    def points_text(self) -> str:
        return signed(self.points, 1)


@dataclass(frozen=True)
class Reasons:
    """The parts of a risk, the highest first, which add up from the average client's to it.

    rest: the points between the model's risk and the list's, and why there are any; 0 and "" where
    there are none. whole: whether every part is there, or the strongest alone.
    """

    average: int
    base: float
    lines: list[ReasonLine]
    rest: float
    total: float | None
    bars: tuple[float, list[tuple[float, float]]]
    whole: bool


def _reasons_of(model: Model, row: Rows | None, listed: ListedClient | None) -> Reasons:
    """Every part of the newest row's risk; those that the list has where the row cannot be had."""
    base = 100 * float(expit(np.array([model.intercept]))[0])
    if row is None:
        found = listed.reasons if listed else ()
        lines = [ReasonLine(*_cut(reason.text), None, reason.points) for reason in found]
        amounts = diverging_bars([line.points for line in lines], BAR_WIDTH)
        return Reasons(round(base), base, lines, 0.0, None, amounts, whole=False)
    groups, shares, risk = points(model, row)
    raw = {name: values[:1] for name, values in model.raw(row).items()}
    lines = [
        _reason_line(model, group, float(share), raw, row)
        for group, share in zip(groups, shares[0], strict=True)
    ]
    lines.sort(key=lambda line: -line.points)
    total = 100 * (listed.risk if listed else float(risk[0]))
    rest = round(total - 100 * float(risk[0]), 1)
    amounts = diverging_bars([*(line.points for line in lines), rest], BAR_WIDTH)
    return Reasons(round(base), base, lines, rest, total, amounts, whole=True)


def _cut(reason: str) -> tuple[str, str, str]:
    found, _, usual = reason.partition(" (")
    return found, "", usual.removesuffix(")")


def _reason_line(
    model: Model, group: TermGroup, share: float, raw: dict[str, np.ndarray], row: Rows
) -> ReasonLine:
    """One group of terms; several columns together in the words of the list."""
    if len(group.columns) > 1:
        return ReasonLine(group.text(raw, model.profile), "", "", None, share)
    name = group.columns[0]
    own, usual = row[name][0], model.profile.get(name, {})
    _, _, usual_text = _cut(group.text(raw, model.profile))
    drawn = "low" in usual and "shares" not in usual
    return ReasonLine(
        column_text(name),
        value_text(own),
        usual_text,
        quartile_strip(own, usual) if drawn else None,
        share,
    )


def _chart(
    past: list[tuple[Scoring, PastScore | None]], average: int, today: date
) -> RiskChart | None:
    """The risk over time; None before the second list."""
    if len(past) < 2:
        return None
    return risk_chart(
        [in_percent(score.risk) if score else None for _, score in past],
        [day(scoring.day, today) for scoring, _ in past],
        [scoring.model_version for scoring, _ in past],
        average,
    )


def _score_line(scoring: Scoring, score: PastScore | None, today: date) -> dict[str, str]:
    """One list's word on the client, for the table under the chart."""
    found = {"date": day(scoring.day, today), "model": str(scoring.model_version)}
    if score is None:
        return found | {"risk": "not in the file", "rank": "", "parts": ""}
    known = score.data is not None and score.model is not None
    parts = (
        f"data {signed(100 * (score.data or 0))}, model {signed(100 * (score.model or 0))}"
        if known
        else ""
    )
    place = f"{score.rank:,} of {score.of:,}"
    return found | {"risk": f"{in_percent(score.risk)} %", "rank": place, "parts": parts}


@dataclass(frozen=True)
class Move:
    """The last move in its two parts, as bars from the old risk to the new one."""

    then: int
    now: int
    since: str
    parts: tuple[tuple[str, str, float, float], ...]
    ends: tuple[float, float]
    words: str


def _move_of(listed: ListedClient | None, listing: CallList, today: date) -> Move | None:
    """How the last move splits; None where there was none, or its parts are not known."""
    change = listed.change if listed else None
    if not listed or not listing.since or not change:
        return None
    if change.data is None or change.model is None:
        return None
    now = in_percent(listed.risk)
    then = now - change.points
    middle = then + change.model
    low, high = min(then, middle, now), max(then, middle, now)
    scale = SPLIT_WIDTH / max(high - low, 10)

    def x(risk: float) -> float:
        return round((risk - low) * scale, 1)

    def bar(name: str, amount: int, start: int, end: int) -> tuple[str, str, float, float]:
        left = min(start, end)
        return name, signed(amount), x(left), round(abs(end - start) * scale, 1)

    parts = (
        bar("new model", change.model, then, middle),
        bar("your data", change.data, middle, now),
    )
    words = (
        f"From {then} % on {day(listing.since, today)} to {now} %. The new model’s part is what "
        "it says of the same row beside the old one; the rest came with the new row."
    )
    return Move(then, now, day(listing.since, today), parts, (x(then), x(now)), words)


def _calls(
    past: list[tuple[Scoring, PastScore | None]],
    rows: pl.DataFrame | None,
    target: str,
    notes: list[Contact],
    today: date,
) -> list[dict[str, str]]:
    """Each time that the client was on a call list: what was done, and what came of it."""
    dated = [] if rows is None else zip(map(str, rows["_date"]), rows[target], strict=True)
    labels, found = dict(dated), []
    for at, (scoring, score) in enumerate(past):
        if score is None or not score.called:
            continue
        until = past[at + 1][0].at if at + 1 < len(past) else "9"
        done = [one for one in notes if scoring.at <= one.at < until]
        found.append(
            {
                "date": day(scoring.day, today),
                "rank": f"{score.rank:,}",
                "risk": f"{in_percent(score.risk)} %",
                "model": str(score.model_version),
                "done": "; ".join(_note_line(one, today)["text"] for one in done)
                or "nothing noted",
                "came": LEFT_WORDS[labels.get(score.date or "None")],
            }
        )
    return found[::-1][:MOST_CALLS]


def _note_line(one: Contact, today: date) -> dict[str, str]:
    """One note as a line: when, what, by whom, in which words."""
    until = f" until {day(one.until, today)}" if one.until else ""
    by = f" by {one.by}" if one.by else ""
    return {"at": stamp(one.at, today), "text": f"{one.state}{until}{by}", "note": one.note}


def note(context: PageContext, form: Mapping[str, str]) -> None:
    """Keep what the form says of a client; Problem where the client or an entry is no good."""
    name = form.get("name", "")
    rows = _own_rows(context, name) if context.client(name) is None else None
    if context.client(name) is None and (rows is None or not rows.height):
        raise Problem(
            404,
            "no_such_client",
            f"no client is called {excerpt(name)!r}",
            "open the client's page and send its form",
        )
    fields = {key: form.get(key, "") for key in ("state", "until", "by", "note")}
    try:
        contacts.add_contact(context.config, name, **fields)
    except BadContact as bad:
        raise Problem(
            422,
            "bad_contact",
            f"{bad.field}: {bad.why}",
            "go back and mend that entry; nothing was kept",
        ) from None

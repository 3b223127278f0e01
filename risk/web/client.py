"""The page of one client: its risk over time, why, and what was done, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.explain import known_names, rows_of_client
from risk.calllist.facts import CONTACT_STATES, Fact
from risk.calllist.types import UNKNOWN, CallList, ListedClient
from risk.config import PipelineError
from risk.model.logistic import expit
from risk.model.model import Model
from risk.model.profile import Rows, column_text, value_text
from risk.model.reasons import TermGroup, points
from risk.record.contacts import Contact, contacts_of
from risk.record.outcomes import Outcomes
from risk.record.scores import PastScore, Scoring, past_scores, scorings
from risk.web import notices, svg
from risk.web.context import PageContext, data_age, data_date
from risk.web.notices import ShowInstead
from risk.web.problem import excerpt
from risk.web.today import contact_when
from risk.words import day, in_percent, nearest_names, signed, stamp

if TYPE_CHECKING:
    import polars as pl

# Units of the drawings in macros.html and client.html; words stand beside them there.
BAR_WIDTH, SPLIT_WIDTH = 200, 400
ALIKE, LEAST_ALIKE = 0.1, 30  # of risks that close, so many outcomes back "clients like this"
# 60 steps are 14 units each on RISK_PLOT.
MOST_SCORINGS, MOST_CALLS = 60, 8
Past = list[tuple[Scoring, PastScore | None]]
LEFT_WORDS = {None: "not known yet", 0: "stayed: a false alarm", 1: "left, as was feared"}


def view(context: PageContext, args: Mapping[str, str]) -> dict[str, Any]:
    """All that client.html lays out; Instead, with the nearest names, for an unknown client."""
    name, target = args.get("name", ""), context.config.columns.target
    listing, listed = context.listing(), context.client(name)
    name = listed.client if listed else name
    rows = _own_rows(context, name)
    if listed is None and (rows is None or not rows.height):
        held = context.rows()
        known = known_names(*held) if held else [c.client for c in context.clients()]
        near = tuple((one, context.client_address(one)) for one in nearest_names(known, name))
        raise ShowInstead(notices.unknown_client(excerpt(name), near))
    today = context.now.date()
    reasons = _reasons_of(context.release().model, rows, listed)
    past = _history(context, name)
    try:
        notes = contacts_of(context.config, name)
    except PipelineError:  # a page without its notes is better than none
        notes = []
    left = rows is not None and rows[target].tail(1).to_list() == [1]
    heading, basis = _expectation(listed, left, reasons.average, context.outcomes())
    parts = [listed.client if listed.name else "", listed.owner or ""] if listed else []
    about = "".join(f", {part}" for part in parts if part)
    rank = f"rank {listed.rank:,} of {len(listing.clients):,}{about}" if listed else ""
    return {
        "name": name,
        "called": listed.called_name if listed else name,
        "details": [*zip(listing.details, listed.details, strict=True)] if listed else [],
        "client": listed,
        "percent": in_percent(listed.risk) if listed else None,
        "heading": heading,
        "basis_words": basis,
        "crumb": rank or "not on the list",
        "data_date": data_date(listing),
        "data_age": data_age(listing, context.now),
        "facts": _facts(listed, listing, reasons, today) if listed else [],
        "reasons": reasons,
        "chart": _chart(past, reasons.average, today),
        "scores": [_score_line(one, score, today) for one, score in reversed(past)],
        "move": _move_of(listed, listing, today),
        "calls": _calls(past, rows, target, notes, today),
        "notes": [(*_note_words(one, today), one.note) for one in reversed(notes)],
        "first": notices.ONE_SNAPSHOT,
        "contact_state": listed.contact_state if listed else "",
        "contacts": CONTACT_STATES,
    }


def _own_rows(context: PageContext, name: str) -> pl.DataFrame | None:
    """The client's rows, the newest last; None while an ingestion is changing them."""
    held = context.rows()
    return rows_of_client(*held, name) if held else None


def _history(context: PageContext, name: str) -> Past:
    """Every list with what it said of the client, None where the client was not on it."""
    try:
        known = {(one.at, one.data_version): one for one in past_scores(context.config, name)}
        every = [(one, known.get((one.at, one.data_version))) for one in scorings(context.config)]
    except PipelineError:  # a damaged score history; the doctor says so
        return []
    first = next((at for at, (_, one) in enumerate(every) if one), len(every))
    return every[first:][-MOST_SCORINGS:]


def _expectation(
    listed: ListedClient | None, left: bool, average: int, outcomes: Outcomes
) -> tuple[str, str]:
    """(the words after the client's name: what to expect, or what came of it; their basis)."""
    if listed is None:
        became = "has left" if left else "is not on the list"
        return became, "The list holds clients whose outcome is open."
    if listed.band == UNKNOWN:
        why = (listed.notes or ("No reason is given",))[0]
        return "not enough data for a risk", f"{why}."
    times = listed.risk / (average / 100) if average else 0.0
    words = f"{times:.1f} times the average client’s {average} %. " if times else ""
    bins = outcomes["calibration"]["bins"] if outcomes["calibration"] else []
    close = [b for b in bins if abs(b["risk"] - listed.risk) <= ALIKE and b["n"] >= LEAST_ALIKE]
    if not close:
        fewer = f"fewer than {LEAST_ALIKE} clients like this have a known outcome"
        heading = f"risk {in_percent(listed.risk)} %, estimated"
        return heading, f"{words}By the model alone: {fewer}."
    found = min(close, key=lambda b: abs(b["risk"] - listed.risk))
    risk, share, low, high = map(in_percent, (found["risk"], found["left"], *found["interval"]))
    return f"of 100 clients like this, {share} left", (
        f"{words}Basis: of {found['n']:,} clients whose list said about {risk} %, "
        f"{share} of 100 left (95 % interval {low} to {high})."
    )


def _facts(listed: ListedClient, listing: CallList, reasons: Reasons, today: date) -> list[Fact]:
    """The four numbers on top."""
    change, contact = listed.change, listed.contact
    since = f"Since {day(listing.since, today)}" if listing.since else "Change"
    why = "the first snapshot" if not listing.since else "not on the list then"
    found = [
        Fact("Rank", f"{listed.rank:,}", "on the call list" if listed.call else "not called"),
        Fact(since, change.words if change else "first seen", change.split if change else why),
    ]
    strongest = next((reason for reason in reasons.lines if reason.points > 0), None)
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
    strip: svg.QuartileStrip | None
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


def _reasons_of(model: Model, rows: pl.DataFrame | None, listed: ListedClient | None) -> Reasons:
    """Every part of the newest row's risk; those that the list has where the row cannot be had."""
    base = 100 * float(expit(np.array([model.intercept]))[0])
    # The config may have dropped a column that the deployed model still reads.
    if rows is None or not rows.height or not set(model.columns) <= set(rows.columns):
        found = listed.reasons if listed else ()
        lines = [ReasonLine(*_cut(reason.text), None, reason.points) for reason in found]
        bars = svg.diverging_bars([line.points for line in lines], BAR_WIDTH)
        return Reasons(round(base), base, lines, 0.0, None, bars, whole=False)
    row = model.table(rows.tail(1))
    groups, shares, risk = points(model, row)
    raw = {name: values[:1] for name, values in model.raw(row).items()}
    lines = [
        _reason_line(model, group, float(share), raw, row)
        for group, share in zip(groups, shares[0], strict=True)
    ]
    lines.sort(key=lambda line: -line.points)
    total = 100 * (listed.risk if listed else float(risk[0]))
    # The list may be by another model or of an older row; the rest keeps the sum exact.
    rest = round(total - 100 * float(risk[0]), 1)
    bars = svg.diverging_bars([*(line.points for line in lines), rest], BAR_WIDTH)
    return Reasons(round(base), base, lines, rest, total, bars, whole=True)


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
    drawn = "low" in usual and "shares" not in usual  # shares: yes and no, 0 to 1 says nothing
    return ReasonLine(
        column_text(name),
        value_text(own),
        usual_text,
        svg.quartile_strip(own, usual) if drawn else None,
        share,
    )


def _chart(past: Past, average: int, today: date) -> svg.RiskChart | None:
    """The risk over time; None before the second list."""
    if len(past) < 2:
        return None
    return svg.risk_chart(
        [in_percent(score.risk) if score else None for _, score in past],
        [day(scoring.day, today) for scoring, _ in past],
        [scoring.model_version for scoring, _ in past],
        average,
    )


@dataclass(frozen=True)
class ScoreLine:
    """What one list said of the client, for the table under the chart."""

    date: str
    model: str
    risk: str = "not in the file"
    rank: str = ""
    parts: str = ""


def _score_line(scoring: Scoring, score: PastScore | None, today: date) -> ScoreLine:
    when, model = day(scoring.day, today), str(scoring.model_version)
    if score is None:
        return ScoreLine(when, model)
    parts = ""
    if score.data is not None and score.model is not None:
        parts = f"data {signed(100 * score.data)}, model {signed(100 * score.model)}"
    place = f"{score.rank:,} of {score.of:,}"
    return ScoreLine(when, model, f"{in_percent(score.risk)} %", place, parts)


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
    # From whole percents, so that the bars end where the words say.
    then = now - change.points
    middle = then + change.model
    low, high = min(then, middle, now), max(then, middle, now)
    # At least 10 points across: a move of one point would fill the whole width.
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


@dataclass(frozen=True)
class CallLine:
    """One call list that had the client on it: what was done, and what came of it."""

    date: str
    rank: str
    risk: str
    model: str
    done: str
    came: str


def _calls(
    past: Past, rows: pl.DataFrame | None, target: str, notes: list[Contact], today: date
) -> list[CallLine]:
    """Each time that the client was on a call list, the newest first."""
    dated = [] if rows is None else zip(map(str, rows["_date"]), rows[target], strict=True)
    labels, found = dict(dated), []
    for at, (scoring, score) in enumerate(past):
        if score is None or not score.called:
            continue
        # A note belongs to the last list before it; "9" sorts after every timestamp.
        until = past[at + 1][0].at if at + 1 < len(past) else "9"
        done = [_note_words(one, today)[1] for one in notes if scoring.at <= one.at < until]
        found.append(
            CallLine(
                day(scoring.day, today),
                f"{score.rank:,}",
                f"{in_percent(score.risk)} %",
                str(scoring.model_version),
                "; ".join(done) or "nothing noted",
                # An undated row's date is "None" in labels: str() of a null.
                LEFT_WORDS[labels.get(score.date or "None")],
            )
        )
    return found[::-1][:MOST_CALLS]


def _note_words(one: Contact, today: date) -> tuple[str, str]:
    """(when a note was made, what it says of whom)."""
    until = f" until {day(one.until, today)}" if one.until else ""
    by = f" by {one.by}" if one.by else ""
    return stamp(one.at, today), f"{one.state}{until}{by}"

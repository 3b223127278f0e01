"""The report as A4 pages: today, how far to trust it, then the rest of the call list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from risk.calllist.types import ListedClient, Move
from risk.data.quarantine import fault_words
from risk.report import charts
from risk.report.card import (
    PROVISIONAL,
    about_words,
    change_words,
    day,
    off_word,
    quiet,
    range_words,
    signed,
    signs,
)
from risk.report.figures import GREY, INK, MUTED, RED, pdf, style
from risk.report.typeset import (
    HEIGHT,
    INNER,
    MARGIN,
    NO_GLYPH,
    POINT,
    WIDTH,
    Sheet,
    broken,
    fitted,
    showable,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PAGES = 4
FOOT = HEIGHT - 12
SMALL, TEXT = 6.5, 7.5
STEP = SMALL * POINT * 1.32
# Where the list's columns begin, and how wide they are.
RANK, NAME, RISK, SINCE, WHY = 14.0, 21.0, 66.0, 98.0, 122.0
NAME_WIDE, RISK_WIDE, SINCE_WIDE = 43.0, 26.0, 22.0
BOXED = f"{NO_GLYPH}: a letter that this font lacks; report.html has the names as they are."
MOST_NAMES = 200
CHANGES, CHANGES_HIGH = 6, 43.5
BANDS = {
    "high": (RED, "#ffffff"),
    "raised": ("#ffd9a8", "#4a2f00"),
    "low": (GREY, INK),
    "not enough data": ("#ffffff", MUTED),
}


def pdf_of(card: dict[str, Any]) -> bytes:
    """The report as PDF; the same card gives the same bytes."""
    with style():
        return pdf(pages_of(card), card["headline"], card["made_at"])


def pages_of(card: dict[str, Any]) -> list[Figure]:
    """Two sheets, and the rest of the list on two more at most."""
    first, left = _today_sheet(card)
    sheets = [first, _trust_sheet(card)]
    while left and len(sheets) < MOST_PAGES:
        sheet = Sheet()
        y = _list_head(sheet, 24, card)
        sheet.text(MARGIN, 17, "Whom to call, continued", 11, bold=True)
        y, left = _list_rows(sheet, y, left, FOOT - 8, card)
        if left and len(sheets) == MOST_PAGES - 1:
            more = f"and {len(left):,} more, in clients_at_risk.csv"
            sheet.text(NAME, y + 1, more, TEXT, colour=MUTED)
        sheets.append(sheet)
    for number, sheet in enumerate(sheets, 1):
        _frame(sheet, card, number, len(sheets))
    return [sheet.figure for sheet in sheets]


def _frame(sheet: Sheet, card: dict[str, Any], number: int, of: int) -> None:
    """The line at the foot: what page of which list."""
    sheet.rule(FOOT)
    sheet.text(MARGIN, FOOT + 4, card["stamp"], SMALL, colour=MUTED, width=INNER - 20)
    right = WIDTH - MARGIN
    sheet.text(right, FOOT + 4, f"page {number} of {of}", SMALL, colour=MUTED, align="right")


# ---------------------------------------------------------------- today


def _today_sheet(card: dict[str, Any]) -> tuple[Sheet, Sequence[ListedClient]]:
    """(the first page, the clients that found no room on it)."""
    sheet = Sheet()
    sheet.text(MARGIN, 17, "Clients at risk", TEXT, bold=True)
    sheet.text(MARGIN, 27, card["headline"], 18, bold=True)
    y = sheet.block(MARGIN, 33, card["stamp"], INNER, 8, most=2, colour=MUTED)
    y = sheet.block(MARGIN, y, card["basis"], INNER, 7, most=3, colour=MUTED)
    y = _facts(sheet, y, card["facts"])
    calls = card["calls"]
    sheet.text(MARGIN, y + 6, calls["title"], 11, bold=True)
    y = sheet.block(MARGIN, y + 10.5, f"{calls['how']} {_legend(card)}", INNER, 7,
                    most=4, colour=MUTED)  # fmt: skip
    y = _list_head(sheet, y + 2, card)
    high = CHANGES_HIGH if card["changed"]["since"] else 14.0
    floor = FOOT - high - 12
    y, left = _list_rows(sheet, y, calls["clients"], floor - 4, card)
    if left:
        sheet.text(NAME, y + 1, f"and {len(left):,} more, from page 3 on", TEXT, colour=MUTED)
        y += 3
    elif not calls["clients"]:
        sheet.text(NAME, y + 1, "There is no current client.", TEXT, colour=MUTED)
    end = _changes(sheet, max(y + 9, 120.0) if not left else floor, card["changed"])
    sheet.rule(end)
    sheet.text(MARGIN, end + 5, card["trust"]["headline"] + ". Page 2 has the details.", TEXT,
               bold=True)  # fmt: skip
    return sheet, left


def _legend(card: dict[str, Any]) -> str:
    mean = f"{100 * card['calls']['average']:.0f} %"
    names = (client.client for client in card["calls"]["clients"][:MOST_NAMES])
    boxed = any(NO_GLYPH in showable(name) for name in names)
    return (
        f"Risk is the chance to leave; the mark on each bar is the average client, {mean}. Why: "
        "what goes together with the risk, ↑ up to three signs that raise it, ↓ the strongest "
        "that lowers it, with the usual values." + (f" {BOXED}" if boxed else "")
    )


def _facts(sheet: Sheet, y: float, found: list[dict[str, str]]) -> float:
    """Four numbers beside each other between two rules."""
    wide = INNER / len(found)
    sheet.rule(y)
    for at, fact in enumerate(found):
        x = MARGIN + at * wide + (3 if at else 0)
        if at:
            sheet.box(MARGIN + at * wide, y, 0.2, 19, GREY)
        sheet.text(x, y + 4.5, fact["name"], SMALL, colour=MUTED, width=wide - 4)
        sheet.text(x, y + 10.5, fact["value"], 14, bold=True, width=wide - 4)
        sheet.block(x, y + 14.3, fact["note"], wide - 5, SMALL, most=2, colour=MUTED)
    sheet.rule(y + 19)
    return y + 19


# ---------------------------------------------------------------- the list


def _list_head(sheet: Sheet, y: float, card: dict[str, Any]) -> float:
    since = card["calls"]["since"]
    heads = {RANK: "#", NAME: "Client", RISK: "Risk", WHY if since else SINCE: "Why"}
    if since:
        heads[SINCE] = f"Since {day(since)}"
    for x, text in heads.items():
        sheet.text(x, y, text, 6, bold=True, colour=MUTED)
    sheet.rule(y + 1.6, colour=MUTED)
    return y + 5.4


def _list_rows(
    sheet: Sheet, y: float, clients: Sequence[ListedClient], floor: float, card: dict[str, Any]
) -> tuple[float, Sequence[ListedClient]]:
    """(where the next row would begin, the clients for whom there was no room above the floor)."""
    for at, client in enumerate(clients):
        lines = Lines(client, WHY if card["calls"]["since"] else SINCE)
        if y + lines.high > floor:
            return y, clients[at:]
        _list_row(sheet, y, client, lines, card)
        y += lines.high
        sheet.rule(y - 3.4)
    return y, []


class Lines:
    """A client's texts, broken to the columns; `high`: of the row, in millimetres."""

    def __init__(self, client: ListedClient, why: float) -> None:
        wide = WIDTH - MARGIN - why - 3
        self.why = why
        self.name = broken(client.client, NAME_WIDE, TEXT, 2, bold=True)
        self.about = about_words(client)
        self.up = broken("; ".join(signs(client, up=True)), wide, SMALL, 3)
        self.down = broken("; ".join(signs(client, up=False)), wide, SMALL, 1)
        left = len(self.name) + bool(self.about)
        self.high = max(left, len(self.up) + len(self.down), 2) * STEP + 2.6


def _list_row(
    sheet: Sheet, y: float, client: ListedClient, lines: Lines, card: dict[str, Any]
) -> None:
    sheet.text(RANK + 4.5, y, str(client.rank), SMALL, colour=MUTED, align="right")
    for at, line in enumerate(lines.name):
        sheet.text(NAME, y + at * STEP, line, TEXT, bold=True, width=NAME_WIDE + 1)
    if lines.about:
        foot = y + len(lines.name) * STEP
        sheet.text(NAME, foot, lines.about, SMALL, colour=MUTED, width=NAME_WIDE)
    _risk_cell(sheet, y, client, card["calls"]["average"])
    if card["calls"]["since"]:
        _since_cell(sheet, y, client, card["calls"]["since"])
    for at, line in enumerate([*lines.up, *lines.down]):
        up = at < len(lines.up)
        if at in (0, len(lines.up)):
            arrow, colour = ("↑", RED) if up else ("↓", MUTED)
            sheet.text(lines.why, y + at * STEP, arrow, SMALL, colour=colour)
        sheet.text(lines.why + 3, y + at * STEP, line, SMALL, colour=INK if up else MUTED)


def _risk_cell(sheet: Sheet, y: float, client: ListedClient, average: float) -> None:
    """The risk in whole percent, its band as a word, a bar with the average client's mark."""
    risk = f"{100 * client.risk:.0f} %"
    sheet.text(RISK, y, risk, TEXT + 0.5, bold=True)
    fill, ink = BANDS[client.band]
    x = RISK + max(width_of(risk, TEXT + 0.5, True) + 1, 10)
    wide = width_of(client.band, 5.6, True) + 2
    sheet.box(x, y - 2.3, wide, 3.0, fill)
    sheet.text(x + 1, y - 0.15, client.band, 5.6, bold=True, colour=ink)
    sheet.box(RISK, y + 1.8, RISK_WIDE, 1.0, GREY)
    dark = RED if client.band == "high" else MUTED
    sheet.box(RISK, y + 1.8, RISK_WIDE * client.risk, 1.0, dark)
    sheet.box(RISK + RISK_WIDE * average - 0.15, y + 1.3, 0.3, 2.0, INK)


def _since_cell(sheet: Sheet, y: float, client: ListedClient, since: str | None) -> None:
    """The change, its two parts, and the risk at the last snapshots as a line."""
    word, split = change_words(client, since)
    sheet.text(SINCE, y, word, TEXT, bold=word not in ("", "steady"))
    sheet.text(SINCE, y + STEP, split, 5.8, colour=MUTED, width=SINCE_WIDE)
    past = client.history
    if len(past) > 1:
        _spark(sheet, SINCE + 10, y, past)


def _spark(sheet: Sheet, x: float, y: float, past: Sequence[int | None]) -> None:
    """Steps from left to right on one scale for all, 0 to 100 %; a gap is a gap."""
    wide, high = SINCE_WIDE - 11, 2.6
    step = wide / 11
    run: list[tuple[float, float]] = []
    for at, risk in enumerate([*past, None]):
        if risk is not None:
            run.append((x + (at + 12 - len(past)) * step, y - high * risk / 100))
        elif run:
            if len(run) > 1:
                sheet.line(run, INK, 0.7)
            run = []
    last = x + wide, y - high * (past[-1] or 0) / 100
    sheet.box(last[0] - 0.35, last[1] - 0.35, 0.7, 0.7, RED)


# ---------------------------------------------------------------- what changed


def _changes(sheet: Sheet, y: float, found: dict[str, Any]) -> float:
    """Three short tables; where the next thing may begin."""
    if not found["since"]:
        sheet.text(MARGIN, y + 5, "What changed", 11, bold=True)
        told = "This is the first list: from the next one on this says who is new and who moved."
        sheet.text(MARGIN, y + 10, told, TEXT, colour=MUTED)
        return y + 14
    sheet.text(MARGIN, y + 5, f"What changed since {found['since']}", 11, bold=True)
    wide = (INNER - 12) / 3
    new = [(one.client, f"{100 * one.risk:.0f} %") for one in found["new"]]
    off = [(one.client, f"{100 * one.risk:.0f} %, {off_word(one)}") for one in found["off"]]
    moves = [(one.client, _move_words(one)) for one in found["moves"]]
    tables = (
        (f"{len(new):,} new on the list", "risk", new),
        (f"{len(off):,} off the list", "risk then, now", off),
        ("Biggest moves", "to, points (data, model)", moves),
    )
    for at, (title, head, rows) in enumerate(tables):
        _change_table(sheet, MARGIN + at * (wide + 6), y + 10.5, wide, title, head, rows)
    return y + CHANGES_HIGH


def _move_words(one: Move) -> str:
    split = ""
    if one.data is not None and one.model is not None:
        split = f" ({signed(one.data)}, {signed(one.model)})"
    return f"{100 * one.risk:.0f} %  {signed(one.points)}{split}"


def _change_table(
    sheet: Sheet,
    x: float,
    y: float,
    wide: float,
    title: str,
    head: str,
    rows: list[tuple[str, str]],
) -> None:
    sheet.text(x, y, title, TEXT, bold=True)
    sheet.text(x + wide, y, head, 5.8, colour=MUTED, align="right")
    sheet.rule(y + 1.5, x, wide, MUTED)
    for at, (name, told) in enumerate(rows[:CHANGES]):
        foot = y + 5.4 + at * 4.3
        room = wide - width_of(showable(told), SMALL) - 2
        sheet.text(x, foot, name, SMALL, width=room)
        sheet.text(x + wide, foot, told, SMALL, align="right", colour=MUTED)
    if len(rows) > CHANGES:
        foot = y + 5.4 + CHANGES * 4.3
        sheet.text(x, foot, f"and {len(rows) - CHANGES:,} more", SMALL, colour=MUTED)
    if not rows:
        sheet.text(x, y + 5.4, "nobody", SMALL, colour=MUTED)


# ---------------------------------------------------------------- how far to trust it


def _trust_sheet(card: dict[str, Any]) -> Sheet:
    """The second page: what came true, the curves, what the model has learned, the cards."""
    sheet = Sheet()
    trust = card["trust"]
    sheet.text(MARGIN, 17, "Can I trust it?", TEXT, bold=True)
    shown = trust["listed"] is not None
    wide = INNER - (54 if shown else 0)
    y = sheet.block(MARGIN, 24, trust["headline"], wide, 13, most=2, bold=True)
    y = sheet.block(MARGIN, y, trust["text"], wide, TEXT, most=4)
    sheet.block(MARGIN, y + 0.4, trust["why"], wide, 7, most=2, colour=MUTED)
    if shown:
        _waffles(sheet, trust)
    _judged(sheet, 57, card)
    _learned(sheet, 112, card)
    sheet.rule(195)
    thirds = (INNER - 12) / 3
    _model_column(sheet, MARGIN, 200.5, thirds, card)
    _decision_column(sheet, MARGIN + thirds + 6, 200.5, thirds, card)
    _data_column(sheet, MARGIN + 2 * (thirds + 6), 200.5, thirds, card)
    return sheet


def _waffles(sheet: Sheet, trust: dict[str, Any]) -> None:
    for x, share, colour, word in (
        (WIDTH - MARGIN - 48, trust["listed"], RED, "listed"),
        (WIDTH - MARGIN - 22, trust["at_random"], MUTED, "by lot"),
    ):
        charts.waffle(sheet.axes(x, 16, 22, 22), share, colour)
        sheet.text(x, 41.5, f"{word}: {100 * share:.0f} of 100", 5.8, colour=MUTED)


def _judged(sheet: Sheet, y: float, card: dict[str, Any]) -> None:
    """Four charts beside each other."""
    sheet.rule(y - 11)
    wide, apart = 33.5, INNER / 4
    axes = [sheet.axes(MARGIN + 8 + at * (apart + 1), y, wide, 38) for at in range(4)]
    charts.calibration(axes[0], card["judged"])
    charts.reach(axes[1], card["reached"])
    charts.roc(axes[2], card["curves"], card["no_curves"], card["area"])
    charts.precision_recall(axes[3], card["curves"], card["no_curves"])


def _learned(sheet: Sheet, y: float, card: dict[str, Any]) -> None:
    """Up to eight columns with what they do to the average client's risk; the others in words."""
    found, average = card["effects"]["columns"], card["effects"]["average"]
    sheet.rule(y - 5)
    title = "What the model has learned"
    sheet.text(MARGIN, y, title, 9, bold=True)
    begin = width_of(title, 9, True) + 3
    told = (
        f"Risk by value of a client average in all else ({100 * average:.0f} %, the line); grey: "
        "the usual half. Signs, not causes."
    )
    sheet.text(MARGIN + begin, y, told, SMALL, colour=MUTED, width=INNER - begin)
    shown = found[:8]
    across = 4 if len(shown) > 4 else max(len(shown), 2)
    top, apart = charts.ceiling(shown, average), INNER / across
    wide, high = apart - 8.5, 22.0 if len(shown) > 4 else 55.0

    def fit(text: str, share: float, size: float, bold: bool) -> str:
        return fitted(text, share * wide, size, bold)

    for at, column in enumerate(shown):
        x = MARGIN + 6.5 + (at % across) * (apart + 0.6)
        axes = sheet.axes(x, y + 9.5 + (at // across) * 37, wide, high)
        charts.effect(axes, column, average, top, fit)
    rest = [f"{one['name']} ({range_words(one)})" for one in found[8:]]
    text = f"Less: {', '.join(rest)}." if rest else ""
    sheet.block(MARGIN, y + 77, text, INNER, SMALL, most=2, colour=MUTED)


def _pairs(
    sheet: Sheet, x: float, y: float, wide: float, rows: list[tuple[str, str]], most: dict[str, int]
) -> float:
    """Names and their texts beside each other; most: lines of a text, 2 where it says nothing."""
    for name, text in rows:
        sheet.text(x, y, name, SMALL, colour=MUTED, width=13)
        y = sheet.block(x + 14, y, text, wide - 14, SMALL, most=most.get(name, 2)) + 0.6
    return y


def _model_column(sheet: Sheet, x: float, y: float, wide: float, card: dict[str, Any]) -> None:
    sheet.text(x, y, "Model card", 9, bold=True)
    y = _pairs(sheet, x, y + 5.5, wide, card["model"], {"Trained": 3, "Sees": 3})
    sheet.text(x, y + 1.5, "Not to be used", 7, bold=True)
    y += 5
    for text in card["not_for"]:
        y = sheet.block(x, y, text, wide, SMALL, most=2) + 0.5


def _decision_column(sheet: Sheet, x: float, y: float, wide: float, card: dict[str, Any]) -> None:
    sheet.text(x, y, "Last decision", 9, bold=True)
    found = card["decision"]
    if found is None:
        y = sheet.block(x, y + 5.5, card["undecided"], wide, SMALL, most=4, colour=MUTED) + 2
    else:
        rows = [("When", found["at"]), ("What", found["what"]), ("Judged", found["judged"])]
        y = _pairs(sheet, x, y + 5.5, wide, [*rows, ("Why", found["reason"])], {"Why": 5})
        for one in found["evidence"][:4]:
            told = f"{one['E']} of {one['limit']}"
            sheet.text(x, y, f"evidence, {one['name']}", SMALL, width=wide - 26)
            sheet.text(x + wide, y, told, SMALL, colour=MUTED, align="right")
            y += STEP
        if found["provisional"]:
            y = sheet.block(x, y + 1, PROVISIONAL, wide, SMALL, most=3, bold=True)
    _watch_part(sheet, x, y + 3, wide, card["alerts"])


def _watch_part(sheet: Sheet, x: float, y: float, wide: float, watch: dict[str, Any]) -> None:
    """The first alerts that find room, and how many there are."""
    count = f": {len(watch['lines']):,} of {watch['watched']:,} moved" if watch["lines"] else ""
    sheet.text(x, y, f"The watch{count}", 9, bold=True)
    y += 5
    if not watch["lines"]:
        sheet.block(x, y, quiet(watch), wide, SMALL, most=2, colour=MUTED)
    for line in watch["lines"][:4]:
        if y < FOOT - 8:
            y = sheet.block(x, y, line, wide, SMALL, most=3) + 0.6


def _data_column(sheet: Sheet, x: float, y: float, wide: float, card: dict[str, Any]) -> None:
    data = card["data"]
    sheet.text(x, y, "Data card", 9, bold=True)
    y = sheet.block(x, y + 5.5, data["sentence"], wide, SMALL, most=3) + 1.5
    for text, at in (("newest files", 0), ("rows", 1), ("set aside", 2)):
        place = x if not at else x + wide - (2 - at) * 15
        sheet.text(place, y, text, 5.8, colour=MUTED, align="right" if at else "left")
    sheet.rule(y + 1.2, x, wide, MUTED)
    y += 4.4
    for one in data["files"][:7]:
        verdict = "" if one["verdict"] == "accepted" else f" ({one['verdict']})"
        sheet.text(x, y, one["file"] + verdict, SMALL, width=wide - 29)
        sheet.text(x + wide - 15, y, f"{one['rows']:,}", SMALL, align="right")
        sheet.text(x + wide, y, f"{one['quarantined']:,}", SMALL, align="right")
        y += STEP + 0.4
    if len(data["files"]) > 7:
        sheet.text(x, y, f"and {len(data['files']) - 7:,} more", SMALL, colour=MUTED)
        y += STEP + 0.4
    sheet.text(x, y + 2.5, "Why rows were set aside", 7, bold=True)
    y += 6
    if not data["reasons"]:
        sheet.text(x, y, "No row was.", SMALL, colour=MUTED)
    for one in data["reasons"]:
        if y < FOOT - 6:
            y = sheet.block(x, y, fault_words(one), wide, SMALL, most=2) + 0.4

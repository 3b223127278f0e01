"""The report as A4 pages: today, how far to trust it, then the rest of the call list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from risk.calllist.facts import Fact
from risk.report import charts, typeset
from risk.report.contents import NOT_FOR, Report
from risk.report.figures import GREY, INK, MUTED, RED, pdf, style
from risk.report.typeset import HEIGHT, INNER, MARGIN, NO_GLYPH, POINT, WIDTH, Sheet, broken
from risk.web.svg import SPARK_SIZE, spark_points
from risk.web.today import Row
from risk.words import as_sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PAGES = 4  # two of them the list: who needs more of it opens the CSV
FOOT = HEIGHT - 12
SMALL, TEXT = 6.5, 7.5
STEP = SMALL * POINT * 1.32
# Where the list's columns begin, and how wide they are.
RANK, NAME, RISK, SINCE, WHY = 14.0, 21.0, 66.0, 98.0, 122.0
NAME_WIDE, RISK_WIDE, SINCE_WIDE = 43.0, 26.0, 22.0
BOXED = f"{NO_GLYPH}: a letter that this font lacks; report.html has the names as they are."
FACTS_HIGH, CHANGES_HIGH = 25.0, 43.5
BANDS = {
    "high": (RED, "#ffffff"),
    "to call": (RED, "#ffffff"),
    "raised": ("#ffd9a8", "#4a2f00"),
    "low": (GREY, INK),
    "not enough data": ("#ffffff", MUTED),
}
THIRD = (INNER - 12) / 3
LINES = {"Trained": 3, "Sees": 3, "Measured": 3, "Why": 5}  # at most, of what is longer than two


def pdf_of(report: Report) -> bytes:
    """The report as PDF; the same report gives the same bytes."""
    with style():
        return pdf(pages_of(report), report.today.heading, report.made_at)


def pages_of(report: Report) -> list[Figure]:
    """Two sheets, and the rest of the list on two more at most."""
    first, left = _today_sheet(report)
    sheets = [first, _trust_sheet(report)]
    while left and len(sheets) < MOST_PAGES:
        sheet = Sheet()
        y = _list_head(sheet, 24, report)
        sheet.text(MARGIN, 17, "Whom to call, continued", 11, bold=True)
        y, left = _list_rows(sheet, y, left, FOOT - 8, report)
        more = len(left) + report.today.found - len(report.today.rows)
        if left and len(sheets) == MOST_PAGES - 1:
            sheet.text(NAME, y + 1, f"and {more:,} more, in clients_at_risk.csv", colour=MUTED)
        sheets.append(sheet)
    for number, sheet in enumerate(sheets, 1):
        sheet.rule(FOOT)
        sheet.text(MARGIN, FOOT + 4, report.stamp, SMALL, colour=MUTED, width=INNER - 20)
        place = f"page {number} of {len(sheets)}"
        sheet.text(WIDTH - MARGIN, FOOT + 4, place, SMALL, colour=MUTED, align="right")
    return [sheet.figure for sheet in sheets]


def _today_sheet(report: Report) -> tuple[Sheet, list[Row]]:
    """(the first page, the clients that found no room on it)."""
    sheet, today = Sheet(), report.today
    sheet.text(MARGIN, 17, "Clients at risk", bold=True)
    y = sheet.block(MARGIN, 27, today.heading, INNER, 18, most=2, bold=True) - 2.4
    y = sheet.block(MARGIN, y, report.stamp, INNER, 8, most=2, colour=MUTED)
    about = " ".join([report.about, *(one.what for one in report.banners)])
    y = sheet.block(MARGIN, y, about, INNER, 7, most=3, colour=MUTED)
    y = _facts(sheet, y, today.facts)
    title = "Whom to call, and why" if today.query.band == "call" else "The highest risks"
    sheet.text(MARGIN, y + 6, title, 11, bold=True)
    y = sheet.block(MARGIN, y + 10.5, _legend(report), INNER, 7, most=4, colour=MUTED)
    y = _list_head(sheet, y + 2, report)
    # What changed stands at the foot of the page, whatever the length of the list.
    floor = FOOT - (CHANGES_HIGH if today.changed else 14.0) - 12
    y, left = _list_rows(sheet, y, today.rows, floor - 4, report)
    if left:
        more = len(left) + today.found - len(today.rows)
        sheet.text(NAME, y + 1, f"and {more:,} more, from page 3 on", colour=MUTED)
    elif not today.rows:
        sheet.text(NAME, y + 1, "There is no current client.", colour=MUTED)
    end = _changes(sheet, floor if left else max(y + 9, 120.0), report)
    sheet.rule(end)
    trust = report.trust.like_this if not report.trust.enough else report.trust.heading
    words = as_sentence(trust or report.trust.heading)
    sheet.text(MARGIN, end + 5, f"{words} Page 2 has more.", bold=True)
    return sheet, left


def _legend(report: Report) -> str:
    mean = f"{report.today.average} %"
    boxed = any(NO_GLYPH in typeset.showable(row.name) for row in report.today.rows)
    return (
        f"Risk is the chance to leave; the mark on each bar is the average client, {mean}. Why: "
        "what goes together with the risk, ↑ up to three signs that raise it, ↓ the strongest "
        "that lowers it, with the usual values." + (f" {BOXED}" if boxed else "")
    )


def _facts(sheet: Sheet, y: float, found: list[Fact]) -> float:
    """Numbers beside each other between two rules."""
    wide = INNER / len(found)
    sheet.rule(y)
    for at, fact in enumerate(found):
        x = MARGIN + at * wide + (3 if at else 0)
        if at:
            sheet.box(MARGIN + at * wide, y, 0.2, FACTS_HIGH, GREY)
        sheet.text(x, y + 4.5, fact.name, SMALL, colour=MUTED, width=wide - 4)
        sheet.text(x, y + 10.5, fact.value, 14, bold=True, width=wide - 4)
        sheet.block(x, y + 14.3, fact.note, wide - 5, SMALL, most=4, colour=MUTED)
    sheet.rule(y + FACTS_HIGH)
    return y + FACTS_HIGH


def _list_head(sheet: Sheet, y: float, report: Report) -> float:
    since = report.today.since
    heads = {RANK: "#", NAME: "Client", RISK: "Risk", WHY if since else SINCE: "Why"}
    if since:
        heads[SINCE] = f"Since {since}"
    for x, text in heads.items():
        sheet.text(x, y, text, 6, bold=True, colour=MUTED)
    sheet.rule(y + 1.6, colour=MUTED)
    return y + 5.4


def _list_rows(
    sheet: Sheet, y: float, rows: list[Row], floor: float, report: Report
) -> tuple[float, list[Row]]:
    """(where the next row would begin, the clients for whom there was no room above the floor)."""
    for at, row in enumerate(rows):
        texts = RowTexts(row, WHY if report.today.since else SINCE)
        if y + texts.high > floor:
            return y, rows[at:]
        _list_row(sheet, y, row, texts, report)
        y += texts.high
        sheet.rule(y - 3.4)
    return y, []


class RowTexts:
    """A client's texts, broken to the columns; `high`: of the row, in millimetres."""

    def __init__(self, row: Row, why: float) -> None:
        wide = WIDTH - MARGIN - why - 3
        self.why = why
        self.name = broken(row.name, NAME_WIDE, TEXT, 2, bold=True)
        contact = "" if row.contact == "open" else f"{row.contact} {row.contact_when}"
        self.about = ", ".join(filter(None, [row.about, contact]))
        up, down = (", ".join(map("".join, reasons)) for reasons in (row.up, row.down))
        self.up = broken(", ".join(filter(None, [row.note, up])), wide, SMALL, 3)
        self.down = broken(down, wide, SMALL, 1)
        left = len(self.name) + bool(self.about)
        self.high = max(left, len(self.up) + len(self.down), 2) * STEP + 2.6


def _list_row(sheet: Sheet, y: float, row: Row, texts: RowTexts, report: Report) -> None:
    sheet.text(RANK + 4.5, y, str(row.rank), SMALL, colour=MUTED, align="right")
    for at, line in enumerate(texts.name):
        # A millimetre more: a line that was broken to fit is not cut again.
        sheet.text(NAME, y + at * STEP, line, bold=True, width=NAME_WIDE + 1)
    if texts.about:
        foot = y + len(texts.name) * STEP
        sheet.text(NAME, foot, texts.about, SMALL, colour=MUTED, width=NAME_WIDE)
    _risk_cell(sheet, y, row, report.average)
    if report.today.since:
        words = f"{row.move}{' new' if row.new else ''}" if row.move else "first seen"
        sheet.text(SINCE, y, words, bold=row.move not in ("", "steady"), width=SINCE_WIDE)
        sheet.text(SINCE, y + STEP, row.split, 5.8, colour=MUTED, width=SINCE_WIDE)
        # "steady new" reaches further than a number of points.
        begin = max(14.0, typeset.width_of(words, TEXT) + 1.5)
        _spark(sheet, SINCE + begin, y, SINCE_WIDE - begin, row, report.today.top)
    for at, line in enumerate([*texts.up, *texts.down]):
        up = at < len(texts.up)
        if at in (0, len(texts.up)):
            arrow, colour = ("↑", RED) if up else ("↓", MUTED)
            sheet.text(texts.why, y + at * STEP, arrow, SMALL, colour=colour)
        sheet.text(texts.why + 3, y + at * STEP, line, SMALL, colour=INK if up else MUTED)


def _risk_cell(sheet: Sheet, y: float, row: Row, average: float) -> None:
    """The risk in whole percent, its band as a word, a bar with the average client's mark."""
    risk = f"{row.percent} %"
    sheet.text(RISK, y, risk, TEXT + 0.5, bold=True)
    fill, ink = BANDS[row.band]
    x = RISK + max(typeset.width_of(risk, TEXT + 0.5, True) + 1, 10)
    wide = typeset.width_of(row.band, 5.6, True) + 2
    sheet.box(x, y - 2.3, wide, 3.0, fill)
    sheet.text(x + 1, y - 0.15, row.band, 5.6, bold=True, colour=ink)
    sheet.box(RISK, y + 1.8, RISK_WIDE, 1.0, GREY)
    dark = RED if row.band == "high" else MUTED
    sheet.box(RISK, y + 1.8, RISK_WIDE * row.percent / 100, 1.0, dark)
    sheet.box(RISK + RISK_WIDE * average - 0.15, y + 1.3, 0.3, 2.0, INK)


def _spark(sheet: Sheet, x: float, y: float, wide: float, row: Row, top: int) -> None:
    """The page's curve, its foot on the line of the text, its end marked."""
    high, (across, down) = 3.2, SPARK_SIZE
    curve = [
        [(x + wide * a / across, y + high * (b / down - 0.9)) for a, b in run]
        for run in spark_points(row.history, top)
    ]
    if sum(map(len, curve)) < 2:
        return
    for run in curve:
        sheet.line(run, INK, 0.7)
    left, foot = curve[-1][-1]
    sheet.box(left - 0.35, foot - 0.35, 0.7, 0.7, RED)


def _changes(sheet: Sheet, y: float, report: Report) -> float:
    """Three short tables; where the next thing may begin."""
    found = report.today.changed
    if not found:
        sheet.text(MARGIN, y + 5, "What changed", 11, bold=True)
        first = "This is the first list: from the next one on this says who is new and who moved."
        sheet.text(MARGIN, y + 10, first, colour=MUTED)
        return y + 14
    sheet.text(MARGIN, y + 5, f"What changed since {found.then}", 11, bold=True)
    heads = f"{found.then}, {found.now}"
    tables = (
        (f"{found.new_count:,} new on the list", heads, found.new, found.new_count),
        (f"{found.off_count:,} off the list", heads, found.off, found.off_count),
        ("Biggest moves", "points (data, model)", found.moves, len(found.moves)),
    )
    for at, (title, head, moved, of) in enumerate(tables):
        x = MARGIN + at * (THIRD + 6)
        sheet.text(x, y + 10.5, title, bold=True)
        rows = [
            (one.name, f"{one.points} ({one.data}, {one.model})")
            if one.points
            else (one.name, f"{one.then}, {one.now}")
            for one in moved
        ]
        foot = _table(sheet, x, y + 10.5, (THIRD,), rows, ("", head), 4.3)
        rest = f"and {of - len(rows):,} more" if of > len(rows) else "" if rows else "nobody"
        sheet.text(x, foot, rest, SMALL, colour=MUTED)
    return y + CHANGES_HIGH


def _table(
    sheet: Sheet, x: float, y: float, ends: tuple[float, ...], rows: Sequence[tuple[str, ...]],
    heads: tuple[str, ...] = (), step: float = STEP + 0.4, colour: str = MUTED,
) -> float:  # fmt: skip
    """Names, each with its values behind it, whose columns end so far right of x.

    Returns where the next line's foot would be.
    """
    for at, head in enumerate(heads):
        place, side = (x + ends[at - 1], "right") if at else (x, "left")
        sheet.text(place, y, head, 5.8, colour=MUTED, align=side)
    if heads:
        sheet.rule(y + 1.4, x, THIRD, MUTED)
        y += 1.1 + step
    for name, *values in rows:
        room = ends[0] - typeset.width_of(typeset.showable(values[0]), SMALL) - 2
        sheet.text(x, y, name, SMALL, width=room)
        for end, value in zip(ends, values, strict=True):
            sheet.text(x + end, y, value, SMALL, align="right", colour=colour)
        y += step
    return y


def _trust_sheet(report: Report) -> Sheet:
    """The second page: what came true, the curves, what the model has learned, the facts."""
    sheet, trust = Sheet(), report.trust
    sheet.text(MARGIN, 17, "Can I trust it?", bold=True)
    wide = INNER - 54
    y = sheet.block(MARGIN, 24, trust.heading, wide, 13, most=2, bold=True)
    y = sheet.block(MARGIN, y, "".join(words for words, _ in trust.lead), wide, most=4)
    caveat = trust.calls.note if trust.calls else ""
    more = " ".join(filter(None, [trust.like_this, trust.tested, caveat]))
    sheet.block(MARGIN, y + 0.4, more, wide, 6.5, most=3, colour=MUTED)
    # strict=False: a group without rows has no waffle.
    for x, squares, colour in zip((148, 174), trust.squares, (RED, MUTED), strict=False):
        charts.waffle(sheet.axes(x, 16, 22, 22), squares.percent, colour)
        words = f"{squares.word}: {squares.percent} of 100"
        sheet.text(x, 41.5, words, 5.8, colour=MUTED, width=25)
    sheet.rule(58)
    axes = [sheet.axes(MARGIN + 8 + at * (INNER / 4 + 1), 69, 33.5, 33) for at in range(4)]
    charts.calibration(axes[0], trust)
    charts.cumulative_gains(axes[1], trust)
    charts.roc(axes[2], report)
    charts.precision_recall(axes[3], report)
    slope = trust.calibration.slope if trust.calibration else ""
    known = " ".join(filter(None, [slope, trust.brier]))
    sheet.block(MARGIN, 110, known, INNER, 6, most=2, colour=MUTED)
    _learned(sheet, 119, report)
    sheet.rule(197)
    _model_column(sheet, MARGIN, 201.5, report)
    _decision_column(sheet, MARGIN + THIRD + 6, 201.5, report)
    _data_column(sheet, MARGIN + 2 * (THIRD + 6), 201.5, report)
    return sheet


def _learned(sheet: Sheet, y: float, report: Report) -> None:
    """Up to eight columns with what they do to the average client's risk; the others in words."""
    sheet.rule(y - 5)
    title = "What the model has learned"
    sheet.text(MARGIN, y, title, 9, bold=True)
    begin = typeset.width_of(title, 9, True) + 3
    note = (
        f"Risk by value of a client average in all else ({100 * report.average:.0f} %, the line); "
        "grey: the usual half. Signs, not causes."
    )
    sheet.text(MARGIN + begin, y, note, SMALL, colour=MUTED, width=INNER - begin)
    shown = report.learned[:8]
    across = 4 if len(shown) > 4 else max(len(shown), 2)
    top, apart = charts.ceiling(shown, report.average), INNER / across
    wide, high = apart - 8.5, 20.0 if len(shown) > 4 else 51.0

    def fit(text: str, share: float, size: float, bold: bool) -> str:
        return typeset.fitted(text, share * wide, size, bold)

    for at, column in enumerate(shown):
        x = MARGIN + 6.5 + (at % across) * (apart + 0.6)
        axes = sheet.axes(x, y + 9.5 + (at // across) * 35, wide, high)
        charts.effect(axes, column, report.average, top, fit)
    rest = ", ".join(f"{one.name} ({one.range})" for one in report.learned[8:])
    text = f"Less: {rest}." if rest else ""
    sheet.block(MARGIN, y + 72.5, text, INNER, SMALL, most=2, colour=MUTED)


def _pairs(sheet: Sheet, x: float, y: float, rows: Sequence[tuple[str, ...]]) -> float:
    """Names and their texts beside each other."""
    for name, text in rows:
        sheet.text(x, y, name, SMALL, colour=MUTED, width=13)
        y = sheet.block(x + 14, y, text, THIRD - 14, SMALL, most=LINES.get(name, 2)) + 0.6
    return y


def _model_column(sheet: Sheet, x: float, y: float, report: Report) -> None:
    sheet.text(x, y, "The model", 9, bold=True)
    y = _pairs(sheet, x, y + 5.5, report.model)
    sheet.text(x, y + 1.5, "Not to be used", 7, bold=True)
    y += 5
    for text in NOT_FOR:
        y = sheet.block(x, y, text, THIRD, SMALL, most=2) + 0.5


def _decision_column(sheet: Sheet, x: float, y: float, report: Report) -> None:
    """The last decision, and the first alerts that find room."""
    found = report.decision
    sheet.text(x, y, "Last decision", 9, bold=True)
    y = sheet.block(x, y + 5.5, found.heading, THIRD, SMALL, most=3, bold=True) + 0.6
    for notice in found.banners:
        y = sheet.block(x, y, f"{notice.what} {notice.why}", THIRD, SMALL, most=4) + 0.6
    for line in found.groups[0] if found.groups else ():
        counts = f"{line.rows:,} new labelled rows, {line.exits:,} left"
        what = f"{line.word}, {line.change}; {counts}"
        y = _pairs(sheet, x, y, [("When", line.at), ("What", what), ("Why", line.reason)])
        evidence = [
            (f"e-value, {one.name}", f"{one.e_value} of {one.threshold}")
            for one in line.evidence[:4]
        ]
        y = _table(sheet, x, y, (THIRD,), evidence, step=STEP)
    data = report.data
    alerts = data.moved
    sheet.text(x, y + 3, "Drift", 9, bold=True)
    count = f"{len(alerts):,} of {len(data.drift):,} moved. " if data.drift else ""
    watched = data.watched or "Not measured yet."
    y = sheet.block(x, y + 8, f"{count}{watched}", THIRD, SMALL, most=3, colour=MUTED) + 0.6
    for moved in alerts[:4]:
        if y < FOOT - 8:
            words = f"{moved.state}: {moved.name}: {moved.sentence}"
            y = sheet.block(x, y, words, THIRD, SMALL, most=3) + 0.6


def _data_column(sheet: Sheet, x: float, y: float, report: Report) -> None:
    """Rows read = accepted + duplicates + set aside, the files of last, why rows were set aside."""
    sheet.text(x, y, "The data", 9, bold=True)
    data = report.data.data
    if not data:
        return
    total = data.total
    sums = (
        f"{total.rows} rows, {data.total_files} = {total.accepted} accepted + "
        f"{total.duplicates} duplicates + {total.quarantined} set aside. Last taken in "
        f"{data.when}:"
    )
    y = sheet.block(x, y + 5.5, sums, THIRD, SMALL, most=4) + 1.5
    files = [(one.name + one.replaced, one.rows, one.quarantined) for one in data.files[:7]]
    heads = ("file", "rows", "set aside")
    y = _table(sheet, x, y, (THIRD - 15, THIRD), files, heads, colour=INK)
    more = len(data.files) - 7 + data.more
    if more > 0:
        sheet.text(x, y, f"and {more:,} more", SMALL, colour=MUTED)
        y += STEP + 0.4
    for name, why in data.refused[:2]:
        text = f"Not taken in: {name}: {why}"
        y = sheet.block(x, y, text, THIRD, SMALL, most=2) + 0.4
    sheet.text(x, y + 2.5, "Why rows were set aside", 7, bold=True)
    y += 6
    if not data.quarantine:
        sheet.text(x, y, "No row was.", SMALL, colour=MUTED)
    for rows, why, first in data.quarantine:
        if y < FOOT - 6:
            text = f"{rows} × {why}{f' (first in {first})' if first else ''}"
            y = sheet.block(x, y, text, THIRD, SMALL, most=2) + 0.4

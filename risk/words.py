"""Words for people: dates, ages, percents, points and counts, from values."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import textwrap
from collections.abc import Sequence
from datetime import UTC, date, datetime

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LINE = 100  # characters that a person reads on one line
_COMMAND = re.compile(r"`(\S*/python [^`]*)`")
STEADY_BELOW = 5  # points: a smaller move is no news
AGES = (  # from so many seconds on, of so many seconds each
    (2 * 31_557_600, 31_557_600, "year"),
    (60 * 86_400, 2_629_800, "month"),
    (86_400, 86_400, "day"),
    (3_600, 3_600, "hour"),
    (60, 60, "minute"),
)


def day(text: str, today: date | None = None) -> str:
    """`2026-10-31` as `31 Oct 2026`, without the year where it is today's; "" as `undated`."""
    if not text:
        return "undated"
    found = date.fromisoformat(text[:10])
    year = "" if today and found.year == today.year else f" {found.year}"
    return f"{found.day} {MONTHS[found.month - 1]}{year}"


def stamp(text: str, today: date | None = None) -> str:
    """`2026-11-24T07:00:00Z` as `24 Nov 2026 07:00 UTC`."""
    return f"{day(text, today)} {_instant(text):%H:%M} UTC"


def _instant(text: str) -> datetime:
    """A stamp or a day as a moment in UTC; a day is its beginning."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def ago(seconds: float) -> str:
    """How long ago that is, in the unit that a person would take: `3 hours ago`."""
    for least, size, unit in AGES:
        if seconds >= least:
            return f"{amount(int(seconds // size), unit)} ago"
    return "just now"


def age(text: str, now: datetime) -> str:
    """How long ago a stamp or a day was; a day counts in days: `today`, `yesterday`."""
    if len(text) > 10:
        return ago((now - _instant(text)).total_seconds())
    days = (now.date() - date.fromisoformat(text)).days
    return {0: "today", 1: "yesterday"}.get(days, ago(days * 86400) if days > 0 else "ahead of us")


def in_percent(risk: float) -> int:
    """A risk in whole percent."""
    return round(100 * risk)


def percent(share: float) -> str:
    """A share as `3 %`; near 0 and 100 with a decimal: `0.4 %`, `99.6 %`."""
    share = max(0.0, share)  # in this order, or -0.0 stays and shows
    digits = 1 if 0.0005 <= share < 0.0995 or 0.9005 < share < 0.9995 else 0
    return f"{100 * share:.{digits}f} %"


def percents(interval: Sequence[float] | None) -> str:
    """`59 to 84` for [0.59, 0.84], "" for none."""
    return f"{in_percent(interval[0])} to {in_percent(interval[1])}" if interval else ""


def signed(points: float, digits: int = 0) -> str:
    """Points with their sign, a real minus, and 0 without any: `+9`, `−3`, `0`."""
    text = f"{abs(points):.{digits}f}"
    if not float(text):
        return text
    return f"{'+' if points > 0 else '−'}{text}"


def amount(number: int, noun: str) -> str:
    """`1 client`, `4,312 clients`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def as_sentence(words: str) -> str:
    """The words with a capital and a full stop; "" stays so."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}." if words else ""


def enumeration(words: list[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def evidence_number(value: float) -> str:
    """An e-value for people: 0.31, 3.1, 74, 1,391; no digits where these say nothing any more."""
    if value >= 1e6:
        return "over a million"
    digits = 0 if value == round(value) else 2 if value < 1 else 1 if value < 20 else 0
    return f"{value:,.{digits}f}"


def wrapped(text: str, width: int = 0, step: str = "  ") -> str:
    """The text with no line longer than the width, what does not fit on a line of its own; a line
    that is a command stays whole, since it is copied.

    step: how much further in that is. width: 0 for that of the terminal, at most 100; the
    environment's COLUMNS decides alone.
    """
    width = width or line_width()
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        first = line.split(maxsplit=1)[0] if line.strip() else ""
        if len(line) <= width or first == "make" or first.endswith("/python"):
            lines.append(line)
            continue
        # A command within a sentence stands on a line of its own.
        words, command, rest = [*_COMMAND.split(line, 1), "", ""][:3]
        lines += textwrap.wrap(
            words,
            width,
            subsequent_indent=f"{indent}{step}",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += [f"{indent}{step}{command}"] if command else []
        lines += (
            wrapped(f"{indent}{step}{rest.lstrip('; ')}", width, "").splitlines() if rest else []
        )
    return "\n".join(lines)


def line_width() -> int:
    """How long a printed line may be."""
    if os.environ.get("COLUMNS", "").isdigit():
        return max(int(os.environ["COLUMNS"]), 40)
    return max(min(shutil.get_terminal_size((LINE, 24)).columns, LINE), 40)


def aligned(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell; right: columns of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


QUICKLY_COMPARED = 10_000  # names; of more difflib is asked for close ones alone


def nearest_names(known: Sequence[str], asked: str) -> list[str]:
    """Up to three names that hold what was asked for, else those that are most like it."""
    near = [name for name in known if asked.strip() and asked.casefold() in name.casefold()][:3]
    return near or difflib.get_close_matches(
        asked, known, 3, cutoff=0.0 if len(known) <= QUICKLY_COMPARED else 0.6
    )

"""The shapes of the figures about trust, decisions and runs: path data of SVG, from numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from risk.run import runlog

# ---------------------------------------------------------------- trust


def waffle_paths(percent: int) -> tuple[str, str]:
    """A hundred squares in rows of ten, on 197 x 197: (those that are filled, the rest)."""
    cells = [f"M{20 * (at % 10)} {20 * (at // 10)}h17v17h-17z" for at in range(100)]
    return "".join(cells[:percent]), "".join(cells[percent:])


@dataclass(frozen=True)
class Dot:
    """A share with its interval on a figure, in its units."""

    x: float
    y: float
    low: float
    high: float


SQUARE, SQUARE_LEFT, SQUARE_TOP = 240, 36, 8


def calibration_dots(bins: Sequence[dict[str, Any]]) -> list[Dot]:
    """The share that left (up) by the risk told (to the right), both 0 to 1, on a square."""
    return [
        Dot(_across(one["risk"]), _upward(one["left"]), _upward(low), _upward(high))
        for one in bins
        for low, high in [one["interval"]]
    ]


def _across(share: float) -> float:
    return round(SQUARE_LEFT + SQUARE * share, 1)


def _upward(share: float) -> float:
    return round(SQUARE_TOP + SQUARE * (1 - share), 1)


# ---------------------------------------------------------------- evidence

LEAST_E, MOST_E = 1e-3, 1e9
SCALE_WIDTH = 132


@dataclass(frozen=True)
class EvidenceScale:
    """Evidence beside its limit on a log scale, as x on 0 to SCALE_WIDTH; one: where E is 1."""

    one: float
    own: float
    limit: float


def evidence_scale(evidence: float, limit: float, widest: float) -> EvidenceScale:
    """From a tenth to three times the widest limit; what lies beyond is at the end."""
    low, high = -1.0, math.log10(3 * widest)

    def x(value: float) -> float:
        at = (math.log10(max(value, LEAST_E)) - low) / (high - low)
        return round(SCALE_WIDTH * min(max(at, 0.0), 1.0), 1)

    return EvidenceScale(x(1.0), x(evidence), x(limit))


@dataclass(frozen=True)
class EvidencePoint:
    """What the chart needs of a look: the day in words, what it bet, what it began anew.

    evidence: (E, limit) by name, of all rows since the last mark. alone: of this look's rows only.
    mark: words where the evidence began anew, "" where it goes on.
    """

    day: str
    evidence: dict[str, tuple[float, float]]
    alone: dict[str, tuple[float, float]]
    mark: str


@dataclass(frozen=True)
class EvidenceLine:
    """One challenger's path; ends: (x, y, words) behind its last point, if it is still in play."""

    name: str
    style: str
    path: str
    end: tuple[float, float, str] | None


@dataclass(frozen=True)
class EvidenceChart:
    """The evidence of several looks on a log axis; alone: of the rows of one look each."""

    grid: list[tuple[float, str]]
    lines: list[EvidenceLine]
    limit: str
    limit_label: tuple[float, float, str] | None
    marks: list[tuple[float, str]]
    crossings: list[tuple[float, float]]
    alone: list[tuple[float, float, str]]
    days: list[tuple[float, str]]


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1180, 330, 56, 170, 30, 30
LETTER, LINE_HEIGHT = 7.2, 15.0
STYLES = ("s-ink", "s-soft", "s-ink dash", "s-soft dash", "s-ink dots", "s-soft dots")


def evidence_chart(looks: Sequence[EvidencePoint]) -> EvidenceChart | None:
    """The evidence of the looks, oldest first; it starts at 1 after every mark.

    None where no look has any. The limit is that of the first challenger of each look.
    """
    bets = [{**look.evidence, **look.alone} for look in looks]
    told = [value for one in bets for pair in one.values() for value in pair]
    if not told:
        return None
    low = min(-1.0, math.floor(math.log10(max(min(told), LEAST_E))))
    high = math.ceil(math.log10(min(max(told), MOST_E)) + 0.2)
    each = (WIDTH - LEFT - RIGHT) / max(len(looks) - 1, 1)

    def x(at: float) -> float:
        return round(LEFT + each * at, 1)

    def y(value: float) -> float:
        at = (math.log10(min(max(value, LEAST_E), MOST_E)) - low) / (high - low)
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * at, 1)

    eras = _eras(looks)
    names = list(dict.fromkeys(name for look in looks for name in look.evidence))
    lines = [
        EvidenceLine(name, STYLES[min(at, len(STYLES) - 1)], *_line(name, looks, eras, x, y))
        for at, name in enumerate(names)
    ]
    limits = [
        (at, next(iter(look.evidence.values()))[1])
        for at, look in enumerate(looks)
        if look.evidence
    ]
    return EvidenceChart(
        [(y(10.0**power), f"{10.0**power:,g}") for power in _powers(int(low), int(high))],
        _spread(lines),
        _threshold_steps(limits, each, x, y),
        (x(limits[-1][0]), y(limits[-1][1]) - 6, f"limit {shown(limits[-1][1])}")
        if limits
        else None,
        clear([(x(at), look.mark) for at, look in enumerate(looks) if look.mark]),
        [(x(at), y(own)) for at, one in enumerate(bets) for own, top in one.values() if own >= top],
        [
            (x(at), y(own), f"{name} {shown(own)} of {shown(top)}")
            for at, look in enumerate(looks)
            for name, (own, top) in look.alone.items()
        ],
        clear([(x(at), look.day) for at, look in enumerate(looks)]),
    )


def _powers(low: int, high: int) -> range:
    return range(low, high + 1, max(1, -(-(high - low) // 6)))


def _eras(looks: Sequence[EvidencePoint]) -> list[tuple[int, int]]:
    """(first, last) places of the looks between two changes; the look that changed ends its era."""
    ends = [at for at, look in enumerate(looks) if look.mark] + [len(looks) - 1]
    starts = [0, *(end for end in ends[:-1])]
    return [pair for pair in zip(starts, ends, strict=True) if pair[0] <= pair[1]]


def _line(
    name: str,
    looks: Sequence[EvidencePoint],
    eras: list[tuple[int, int]],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> tuple[str, tuple[float, float, str] | None]:
    """(the path of one challenger, broken at each change; the words at its end)."""
    path: str = ""
    end: tuple[float, float, str] | None = None
    for era, (first, last) in enumerate(eras):
        # The look that deployed is the next era's start, where evidence is 1.
        begins = era > 0 or bool(looks[first].mark)
        points = [(first, 1.0)] if begins else []
        inside = range(first + 1 if era else first, last + 1)
        points += [(at, looks[at].evidence[name][0]) for at in inside if name in looks[at].evidence]
        if len(points) < 2 and (begins or not points):
            continue
        path += "M" + "L".join(f"{x(at):g} {y(value):g}" for at, value in points)
        path += "h0" if len(points) == 1 else ""
        if last == len(looks) - 1 and not looks[last].mark:
            at, value = points[-1]
            end = (x(at) + 8, y(value) + 4, f"{name} {shown(value)}")
    return path, end


def _threshold_steps(
    limits: list[tuple[int, float]],
    each: float,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """The limit as steps, half a look to both sides of each."""
    path = ""
    for at, limit in limits:
        start = max(x(at) - each / 2, LEFT)
        path += f"{'V' if path else f'M{start:g} '}{y(limit):g}H{x(at) + each / 2:g}"
    return path


def shown(value: float) -> str:
    """Evidence for people: 0.31, 3.1, 74, 1,391; 3e+12 where digits say nothing any more."""
    if value >= 1e6:
        return f"{value:.0e}"
    digits = 0 if value == round(value) else 2 if value < 1 else 1 if value < 20 else 0
    return f"{value:,.{digits}f}"


def _spread(lines: list[EvidenceLine]) -> list[EvidenceLine]:
    """The lines with the words at their ends moved apart, so that all can be read."""
    told = sorted((line.end[1], at) for at, line in enumerate(lines) if line.end)
    moved, free = list(lines), float(TOP)
    for wanted, at in told:
        line, free = lines[at], max(wanted, free)
        assert line.end
        moved[at] = replace(line, end=(line.end[0], round(free, 1), line.end[2]))
        free += LINE_HEIGHT
    return moved


def clear(labels: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The labels, "" for one that would run into a later one: the last is always told."""
    found: list[tuple[float, str]] = []
    free = math.inf
    for at, text in reversed(labels):
        half = LETTER * len(text) / 2
        told = at + half <= free
        found.append((at, text if told else ""))
        free = at - half - LETTER if told else free
    return found[::-1]


# ---------------------------------------------------------------- the strip of ticks

HOUR = 20  # units for an hour of the strip
NONE, IDLE, OK, FAILED, MISSING = "", "idle", "ok", "failed", "missing"


@dataclass(frozen=True)
class HourMarks:
    """The marks of one day's hours, a path for each shape: 24 places of HOUR units, 20 high."""

    ok: str
    idle: str
    failed: str
    missing: str


def hour_word(found: Sequence[int]) -> str:
    """The word of an hour by what became of its ticks: the worst of them, "" for none expected."""
    for kind, word in (
        (runlog.BROKEN, FAILED),
        (runlog.NONE, MISSING),
        (runlog.WORKED, OK),
        (runlog.IDLE, IDLE),
    ):
        if kind in found:
            return word
    return NONE


def hour_marks(words: Sequence[str]) -> HourMarks:
    """The strip of a day's hours, given their words."""

    def marks(word: str, shape: str) -> str:
        places = [at for at, one in enumerate(words) if one == word]
        return "".join(f"M{HOUR * at + 10} 10{shape}" for at in places)

    return HourMarks(
        marks(OK, "m-6-6h12v12h-12z"),
        marks(IDLE, "h0"),
        marks(FAILED, "m-5-5l10 10m0-10l-10 10"),
        marks(MISSING, "m-6-6h12v12h-12z"),
    )


# ---------------------------------------------------------------- times

CURVE_WIDTH, CURVE_HEIGHT = 142, 34


def seconds_curve(recent: Sequence[float]) -> str:
    """Seconds of the last runs as a curve from 0 to the longest; the last at the right."""
    most = max([*recent, 1e-9])
    step = (CURVE_WIDTH - 12) / 11
    first = CURVE_WIDTH - 6 - step * (len(recent) - 1)
    points = [
        f"{first + step * at:.0f} {4 + (CURVE_HEIGHT - 4) * (1 - one / most):.1f}"
        for at, one in enumerate(recent)
    ]
    return f"M{'L'.join(points)}{'h0' if len(points) == 1 else ''}" if points else ""

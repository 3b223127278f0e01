"""The evidence as drawn on Decisions: an e-value beside its threshold, and the chart of many.

Both are on a log axis, on which a test martingale that wins at a steady rate is a straight line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from risk.web.svg import Place, Plot
from risk.words import evidence_number

SCALE_WIDTH = 132  # of the 144 in figures.html: 6 at each end are for the dot
LEAST_E_VALUE, MOST_E_VALUE = 1e-3, 1e9  # what lies beyond is drawn at the edge


@dataclass(frozen=True)
class EvidenceScale:
    """An e-value beside its threshold on a log scale, as x on 0 to SCALE_WIDTH; one: for 1."""

    one: float
    own: float
    threshold: float


def evidence_scale(e_value: float, threshold: float, widest: float) -> EvidenceScale:
    """From a tenth to three times the widest threshold; what lies beyond is at the end."""
    low, high = -1.0, math.log10(3 * widest)

    def x(value: float) -> float:
        at = (math.log10(max(value, LEAST_E_VALUE)) - low) / (high - low)
        return round(SCALE_WIDTH * min(max(at, 0.0), 1.0), 1)

    return EvidenceScale(x(1.0), x(e_value), x(threshold))


@dataclass(frozen=True)
class EvidencePoint:
    """What the chart needs of an evaluation: its day in words, its e-values, what began anew.

    since: (e-value, threshold) by challenger, of all rows since the last mark. alone: the same of
    this evaluation's rows only. mark: words where the evidence began anew, "" where it goes on.
    """

    day: str
    since: dict[str, tuple[float, float]]
    alone: dict[str, tuple[float, float]]
    mark: str


@dataclass(frozen=True)
class EvidenceLine:
    """One challenger's path; end: (x, y, words) behind its last point, if it is still in play."""

    name: str
    style: str
    path: str
    end: tuple[float, float, str] | None


@dataclass(frozen=True)
class EvidenceChart:
    """The e-values of several evaluations on a log axis; alone: of the rows of one each."""

    grid: list[tuple[float, str]]
    lines: list[EvidenceLine]
    threshold: str
    threshold_label: tuple[float, float, str] | None
    marks: list[tuple[float, str]]
    crossings: list[tuple[float, float]]
    alone: list[tuple[float, float, str]]
    days: list[tuple[float, str]]


# The right edge has room for the words behind the lines' ends.
EVIDENCE_PLOT = Plot(width=1180, height=330, left=56, right=170, upper=30, lower=30)
LETTER, LINE_HEIGHT = 7.2, 15.0
# The legend tells six apart; a seventh challenger looks like the sixth.
STYLES = ("s-ink", "s-soft", "s-ink dash", "s-soft dash", "s-ink dots", "s-soft dots")


def evidence_chart(points: Sequence[EvidencePoint]) -> EvidenceChart | None:
    """The evidence, oldest first; it starts at 1 after every mark. None where there is none.

    The threshold drawn is that of the first challenger of each evaluation.
    """
    every = [[*one.since.items(), *one.alone.items()] for one in points]
    values = [value for pairs in every for _, pair in pairs for value in pair]
    if not values:
        return None
    # Whole powers of ten for the grid, and room above the highest for the words at its end.
    low = min(-1.0, math.floor(math.log10(max(min(values), LEAST_E_VALUE))))
    high = math.ceil(math.log10(min(max(values), MOST_E_VALUE)) + 0.2)
    plot = EVIDENCE_PLOT
    each = plot.inner / max(len(points) - 1, 1)

    def x(at: float) -> float:
        return round(plot.left + each * at, 1)

    def y(value: float) -> float:
        at = math.log10(min(max(value, LEAST_E_VALUE), MOST_E_VALUE))
        return plot.y((at - low) / (high - low))

    names = list(dict.fromkeys(name for one in points for name in one.since))
    lines = [
        EvidenceLine(name, STYLES[min(at, len(STYLES) - 1)], *_evidence_line(name, points, x, y))
        for at, name in enumerate(names)
    ]
    thresholds = [
        (at, next(iter(one.since.values()))[1]) for at, one in enumerate(points) if one.since
    ]
    last = thresholds[-1] if thresholds else None
    return EvidenceChart(
        grid=[
            (y(10.0**power), f"{10.0**power:,g}")
            # Seven powers at most are named.
            for power in range(int(low), int(high) + 1, max(1, -(-int(high - low) // 6)))
        ],
        lines=_spread(lines),
        threshold=_threshold_steps(thresholds, each, x, y),
        threshold_label=last
        and (x(last[0]), y(last[1]) - 6, f"threshold {evidence_number(last[1])}"),
        marks=labels_apart([(x(at), one.mark) for at, one in enumerate(points) if one.mark]),
        crossings=[
            (x(at), y(own)) for at, pairs in enumerate(every) for _, (own, t) in pairs if own >= t
        ],
        alone=[
            (x(at), y(own), f"{name} {evidence_number(own)} of {evidence_number(threshold)}")
            for at, one in enumerate(points)
            for name, (own, threshold) in one.alone.items()
        ],
        days=labels_apart([(x(at), one.day) for at, one in enumerate(points)]),
    )


def _evidence_line(
    name: str, points: Sequence[EvidencePoint], x: Place, y: Place
) -> tuple[str, tuple[float, float, str] | None]:
    """(the path of one challenger, broken at each mark; the words at its end)."""
    path, end = "", None
    # (first, last) places between two marks; the evaluation with the mark ends its stretch.
    ends = [at for at, one in enumerate(points) if one.mark] + [len(points) - 1]
    for number, (first, last) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        # The evaluation that deployed is the next stretch's start, where evidence is 1.
        begins = number > 0 or bool(points[first].mark)
        line = [(first, 1.0)] if begins else []
        inside = range(first + 1 if number else first, last + 1)
        line += [(at, points[at].since[name][0]) for at in inside if name in points[at].since]
        if len(line) < 2 and (begins or not line):
            continue
        path += "M" + "L".join(f"{x(at):g} {y(value):g}" for at, value in line)
        path += "h0" if len(line) == 1 else ""  # a step of no length shows the round cap
        if last == len(points) - 1 and not points[last].mark:
            at, value = line[-1]
            end = (x(at) + 8, y(value) + 4, f"{name} {evidence_number(value)}")
    return path, end


def _threshold_steps(thresholds: list[tuple[int, float]], each: float, x: Place, y: Place) -> str:
    """The threshold as steps, half an evaluation to both sides of each."""
    path = ""
    for at, threshold in thresholds:
        start = max(x(at) - each / 2, EVIDENCE_PLOT.left)
        path += f"{'V' if path else f'M{start:g} '}{y(threshold):g}H{x(at) + each / 2:g}"
    return path


def _spread(lines: list[EvidenceLine]) -> list[EvidenceLine]:
    """The lines with the words at their ends moved apart, so that all can be read."""
    by_height = sorted((line.end[1], at) for at, line in enumerate(lines) if line.end)
    moved, free = list(lines), float(EVIDENCE_PLOT.upper)
    for wanted, at in by_height:
        line, free = lines[at], max(wanted, free)
        assert line.end
        moved[at] = replace(line, end=(line.end[0], round(free, 1), line.end[2]))
        free += LINE_HEIGHT
    return moved


def labels_apart(labels: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The labels, "" for one that would run into a later one: the last is always shown."""
    found: list[tuple[float, str]] = []
    free = math.inf
    for at, text in reversed(labels):
        half = LETTER * len(text) / 2
        fits = at + half <= free
        found.append((at, text if fits else ""))
        free = at - half - LETTER if fits else free
    return found[::-1]

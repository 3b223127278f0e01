"""The shapes of the pages' figures: path data of SVG, from numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from risk.model.profile import Usual

SNAPSHOTS = 12
SPARK_SIZE = 198, 72
SPARK_STEP, SPARK_HIGH, SPARK_EDGE = 17, 60, 6  # whole numbers: a list has 50 curves of 12


Points = list[tuple[int, int]]
Place = Callable[[float], float]  # of a value or a step, in a chart's units


def spark_points(history: Sequence[int | None], top: int) -> list[Points]:
    """The curve of at most 12 risks in percent, the last at the right, cut where one is None.

    On SPARK_SIZE units, y downwards; y 6 is `top` percent, y 66 is 0.
    """
    shown = list(history)[-SNAPSHOTS:]
    # A gap cuts the curve: a line across it would show risks that nobody computed.
    runs: list[Points] = [[]]
    for at, risk in enumerate(shown, SNAPSHOTS - len(shown)):
        if risk is None:
            runs.append([])
        else:
            height = round(SPARK_HIGH * (1 - min(risk, top) / max(top, 1)))
            runs[-1].append((SPARK_EDGE + SPARK_STEP * at, SPARK_EDGE + height))
    return [run for run in runs if run]


def spark_path(history: Sequence[int | None], top: int) -> str:
    """The curve as path data, "" for no risk at all."""
    return "".join(_run(run) for run in spark_points(history, top))


def _run(points: Points) -> str:
    """One unbroken line in relative steps, which are shorter; a lone point is a dot."""
    (x, y), path = points[0], f"M{points[0][0]} {points[0][1]}"
    if len(points) == 1:
        return f"{path}h0"
    steps = []
    for nx, ny in points[1:]:
        # A minus parts two numbers by itself: a byte less for each step upwards.
        steps.append(f"{nx - x}{ny - y:+d}" if ny < y else f"{nx - x} {ny - y}")
        x, y = nx, ny
    return f"{path}l{' '.join(steps)}"


def top_of(histories: Sequence[Sequence[int | None]]) -> int:
    """The common scale's upper end: the largest risk, up to the next ten percent."""
    largest = max((risk for one in histories for risk in one if risk is not None), default=0)
    # Never below 10, or tiny risks would go up and down the whole height.
    return max(10, -(-largest // 10) * 10)


@dataclass(frozen=True)
class QuartileStrip:
    """A client's own number beside the usual ones, as x on 0 to 128."""

    low: int
    middle: int
    high: int
    own: int | None


# Of the 140 in macros.html: 6 at each end are for the dot.
STRIP_WIDTH, STRIP_REACH = 128, 2.0


def quartile_strip(own: float | None, usual: Usual) -> QuartileStrip:
    """The usual quartiles with twice their distance on both sides; what lies beyond is at the end.

    usual: least, low, median, high and most of the training rows.
    """
    reach = STRIP_REACH * (usual["high"] - usual["low"])
    first = max(usual["least"], usual["low"] - reach)
    last = min(usual["most"], usual["high"] + reach)

    def x(value: float) -> int:
        # Where all training rows were alike there is no range: in the middle.
        share = (value - first) / (last - first) if last > first else 0.5
        return round(STRIP_WIDTH * min(max(share, 0.0), 1.0))

    at = x(own) if own is not None and own == own else None  # NaN is no number of the client's
    return QuartileStrip(x(usual["low"]), x(usual["median"]), x(usual["high"]), at)


def diverging_bars(amounts: Sequence[float], width: int) -> tuple[float, list[tuple[float, float]]]:
    """(x of the zero, (x, width) of each amount: below 0 to the left of it, above to the right)."""
    most, least = max([0.0, *amounts]), min([0.0, *amounts])
    scale = width / (most - least) if most > least else 0.0
    zero = -least * scale
    bars = [(round(zero + min(a, 0.0) * scale, 1), round(abs(a) * scale, 1)) for a in amounts]
    return round(zero, 1), bars


@dataclass(frozen=True)
class RiskChart:
    """A step line: its path, the grid, marks where the model changed, gaps, days on the axis."""

    width: int
    height: int
    path: str
    grid: list[tuple[float, int]]
    average: float | None
    marks: list[tuple[float, str]]
    gaps: list[float]
    days: list[tuple[float, str]]
    end: tuple[float, float] | None


@dataclass(frozen=True)
class Plot:
    """The size of a chart and its edges, inside which the lines are drawn."""

    width: int
    height: int
    left: int
    right: int
    upper: int
    lower: int

    @property
    def inner(self) -> int:
        return self.width - self.left - self.right

    def y(self, share: float) -> float:
        """The height at which this share of the axis lies, 0 below and 1 above."""
        low = self.height - self.lower
        return round(low - (low - self.upper) * share, 1)


RISK_PLOT = Plot(width=908, height=216, left=40, right=8, upper=24, lower=28)
LABEL_APART = 64.0


def risk_chart(
    risks: Sequence[int | None], days: Sequence[str], models: Sequence[int], average: int | None
) -> RiskChart:
    """Risks in percent, one step each, on the days and by the models given; a None is a gap."""
    # Up to the next 20 percent, and never a scale that blows a few points up to the whole height.
    top = max(20, -(-max([average or 0, *(r for r in risks if r is not None)]) // 20) * 20)
    plot = RISK_PLOT
    each = plot.inner / max(len(risks), 1)

    def x(at: float) -> float:
        return round(plot.left + each * at, 1)

    def y(risk: float) -> float:
        return plot.y(risk / top)

    changes = [at for at in range(1, len(models)) if models[at] != models[at - 1]]
    turns = [at for at in range(len(days)) if at == 0 or days[at] != days[at - 1]]
    known = [at for at, risk in enumerate(risks) if risk is not None]
    # In the middle of each run of gaps between two known risks.
    gaps = [x((a + 1 + b) / 2) for a, b in pairwise(known) if b - a > 1]
    last = risks[-1] if risks else None
    return RiskChart(
        plot.width,
        plot.height,
        _risk_steps(risks, x, y),
        [(y(level), level) for level in range(0, top + 1, 20)],
        None if average is None else y(average),
        [(at, text) for at, text in _apart([(x(at), f"model {models[at]}") for at in changes])],
        gaps,
        [(at, text) for at, text in _apart([(x(at), days[at]) for at in turns]) if text],
        None if last is None else (x(len(risks)), y(last)),
    )


def _risk_steps(risks: Sequence[int | None], x: Place, y: Place) -> str:
    path, before = "", None
    for at, risk in enumerate(risks):
        if risk is not None:
            path += f"V{y(risk):g}" if before is not None else f"M{x(at):g} {y(risk):g}"
            path += f"H{x(at + 1):g}"
        before = risk
    return path


def _apart(labels: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The labels, "" for one that would run into the one before it."""
    found, free = [], -LABEL_APART
    for at, text in labels:
        clear = at - free >= LABEL_APART
        found.append((at, text if clear else ""))
        free = at if clear else free
    return found


def waffle_paths(percent: int) -> tuple[str, str]:
    """A hundred squares in rows of ten, on 197 x 197: (those that are filled, the rest)."""
    # 17 and a gap of 3: ten of them and nine gaps are 197.
    cells = [f"M{20 * (at % 10)} {20 * (at // 10)}h17v17h-17z" for at in range(100)]
    return "".join(cells[:percent]), "".join(cells[percent:])


# The axes' words stand in the rest of 292 x 286 (figures.html).
SQUARE, SQUARE_LEFT, SQUARE_TOP = 240, 36, 8


def calibration_dots(bins: Sequence[dict[str, Any]]) -> list[tuple[float, ...]]:
    """(x, y, low, high) of the share that left (up) and its interval, by the predicted risk (to the
    right), both 0 to 1, on a square."""
    return [
        (
            round(SQUARE_LEFT + SQUARE * one["risk"], 1),
            *(round(SQUARE_TOP + SQUARE * (1 - y), 1) for y in (one["left"], *one["interval"])),
        )
        for one in bins
    ]


HOUR = 20  # units for an hour of the strip
IDLE, OK, FAILED, MISSING = "idle", "ok", "failed", "missing"


def hour_marks(words: Sequence[str]) -> dict[str, str]:
    """The strip of a day's hours, given their words: a path for each kind, on 24 places of HOUR
    units, 20 high."""
    square, cross = "m-6-6h12v12h-12z", "m-5-5l10 10m0-10l-10 10"
    # The square of a missing run has a dashed outline and no filling, by its class.
    shapes = {OK: square, IDLE: "h0", FAILED: cross, MISSING: square}
    return {
        kind: "".join(f"M{HOUR * at + 10} 10{shape}" for at, w in enumerate(words) if w == kind)
        for kind, shape in shapes.items()
    }


CURVE_WIDTH, CURVE_HEIGHT = 142, 34


def seconds_curve(recent: Sequence[float]) -> str:
    """Seconds of the last runs as a curve from 0 to the longest; the last at the right."""
    most = max([*recent, 1e-9])
    # Twelve times are kept: eleven steps.
    step = (CURVE_WIDTH - 12) / 11
    first = CURVE_WIDTH - 6 - step * (len(recent) - 1)
    points = [
        f"{first + step * at:.0f} {4 + (CURVE_HEIGHT - 4) * (1 - one / most):.1f}"
        for at, one in enumerate(recent)
    ]
    return f"M{'L'.join(points)}{'h0' if len(points) == 1 else ''}" if points else ""

"""The shapes of the pages' figures: path data of SVG, from numbers."""

from __future__ import annotations

from collections.abc import Sequence

SNAPSHOTS = 12
SPARK_STEP, SPARK_HIGH, SPARK_EDGE = 17, 60, 6


def spark(history: Sequence[int | None], top: int) -> str:
    """The curve of at most 12 risks in percent, the last at the right; a None is a gap.

    Drawn on 198 x 72 units; y 6 is `top` percent, y 66 is 0.
    """
    shown = list(history)[-SNAPSHOTS:]
    first = SNAPSHOTS - len(shown)
    at = [SPARK_EDGE + SPARK_STEP * (first + place) for place in range(len(shown))]
    heights = [None if risk is None else _height(risk, top) for risk in shown]
    return "".join(_run(run) for run in _runs(list(zip(at, heights, strict=True))))


def _height(risk: int, top: int) -> int:
    return SPARK_EDGE + round(SPARK_HIGH * (1 - min(risk, top) / max(top, 1)))


def _runs(points: list[tuple[int, int | None]]) -> list[list[tuple[int, int]]]:
    """The points without those that have no height, cut where one has none."""
    runs: list[list[tuple[int, int]]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def _run(points: list[tuple[int, int]]) -> str:
    """One unbroken line in relative steps, which are shorter; a lone point is a dot."""
    (x, y), path = points[0], f"M{points[0][0]} {points[0][1]}"
    if len(points) == 1:
        return f"{path}h0"
    steps = []
    for nx, ny in points[1:]:
        steps.append(f"{nx - x}{ny - y:+d}" if ny < y else f"{nx - x} {ny - y}")
        x, y = nx, ny
    return f"{path}l{' '.join(steps)}"


def top_of(histories: Sequence[Sequence[int | None]]) -> int:
    """The common scale's upper end: the largest risk, up to the next ten percent."""
    largest = max((risk for one in histories for risk in one if risk is not None), default=0)
    return max(10, -(-largest // 10) * 10)

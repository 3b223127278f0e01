"""The report's charts, each drawn from values on axes that are given.

PDF and HTML draw the same ones. A title says what is shown, the line below it on what it is based.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from risk.model.curves import Band, Curves
from risk.report.contents import Learned, Report
from risk.report.figures import GREY, INK, MUTED, PALE, RED
from risk.web.trust import Share, Trust

MOST_BARS = 5
Fit = Callable[[str, float, float, bool], str]  # a text cut to a share of the axes' width
DASHES = (0, (3, 2))
LEFT = 21  # points from the frame to the axis' words


def _titled(axes: Any, title: str, basis: str, left: float = 0) -> None:
    """The title and its basis above the axes; left: points left of their edge."""
    for text, up, look in (
        (title, 13, {"fontsize": 7.5, "fontweight": "bold"}),
        (basis, 4.5, {"fontsize": 6, "color": MUTED}),
    ):
        axes.annotate(text, (0, 1), (-left, up), "axes fraction", "offset points", **look)


def _empty(axes: Any, why: str) -> None:
    """A chart that cannot be drawn says why."""
    axes.set_axis_off()
    words = textwrap.fill(why, 30)
    axes.text(-0.15, 0.9, words, transform=axes.transAxes, color=MUTED, va="top", fontsize=7)


def _percents(axes: Any, across: str, up: str) -> None:
    """Both axes from 0 to 100."""
    ticks, names = (0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.grid(True)
    axes.set_xlabel(across, fontsize=6.5, labelpad=2)
    axes.set_ylabel(up, fontsize=6.5, labelpad=1)
    axes.tick_params(pad=2, labelsize=6.5)


def roc(axes: Any, report: Report) -> None:
    """Leavers found against stayers called for nothing, with its band."""
    found = report.curves
    _titled(axes, "Finding leavers (ROC)", _test_rows(found), LEFT)
    if found is None:
        return _empty(axes, f"Not drawn: {report.no_curves}.")
    _curve(axes, found["grid"], found["roc"])
    _by_lot(axes)
    interval_below = report.auc.replace(" (", "\n(", 1)
    axes.text(0.97, 0.03, interval_below, fontsize=6.5, ha="right", va="bottom", linespacing=1.3)
    _percents(axes, "of 100 who stayed, called", "of 100 who left, called")


def precision_recall(axes: Any, report: Report) -> None:
    """How many of the called left, against how many of the leavers are called."""
    found = report.curves
    _titled(axes, "Precision and recall", _test_rows(found), LEFT)
    if found is None:
        return _empty(axes, f"Not drawn: {report.no_curves}.")
    own = found["precision"]
    # At no leaver called there is nothing to be a share of.
    low, high = (end and end[1:] for end in (own["low"], own["high"]))
    _curve(axes, found["grid"][1:], {"value": own["value"][1:], "low": low, "high": high})
    rate = found["exits"] / found["n"]
    axes.axhline(rate, color=MUTED, lw=0.9, ls=DASHES)
    # So near to the axis there is no room for the words below the line.
    above = rate < 0.1
    y, side = (rate + 0.015, "bottom") if above else (rate - 0.02, "top")
    axes.text(0.03, y, "by lot", color=MUTED, fontsize=6.5, va=side)
    _percents(axes, "of 100 who left, called", "of 100 called, left")


def _test_rows(found: Curves | None) -> str:
    if found is None:
        return "test data"
    band = "" if found["roc"]["low"] else "; too few for a band"
    return f"{found['n']:,} test rows, {found['exits']:,} left{band}"


def _curve(axes: Any, grid: list[float], curve: Band) -> None:
    if curve["low"]:
        axes.fill_between(grid, curve["low"], curve["high"], color=PALE, lw=0)
    axes.plot(grid, curve["value"], color=RED, lw=1.5)


def _by_lot(axes: Any) -> None:
    """What calling as many at random would reach."""
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=DASHES)
    axes.text(0.64, 0.56, "by lot", color=MUTED, fontsize=6.5)


def calibration(axes: Any, trust: Trust) -> None:
    """The risk that was predicted and the share that left, with intervals."""
    found = trust.calibration
    _titled(axes, "Do the percentages hold?", trust.source if found else "no labels", LEFT)
    if found is None:
        return _empty(axes, "Not drawn: no row with a label.")
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=DASHES)
    at, shares = [one.risk for one in found.bins], [one.share for one in found.bins]
    _dots(axes, at, shares)
    axes.text(0.05, 0.9, "left more", color=MUTED, fontsize=6.5)
    axes.text(0.97, 0.25, "left fewer", color=MUTED, fontsize=6.5, ha="right")
    _percents(axes, "risk we said, %", "of 100 like this, left")


def cumulative_gains(axes: Any, trust: Trust) -> None:
    """The share of the leavers that a list of each length reaches, with intervals."""
    steps = [(one.share / 100, one.recall) for one in trust.gains if one.recall]
    _titled(axes, "What a longer list reaches", trust.source if steps else "no leaver known", LEFT)
    if not steps:
        return _empty(axes, "Not drawn: nobody whose outcome is known left.")
    at, shares = [share for share, _ in steps], [recall for _, recall in steps]
    _by_lot(axes)
    axes.plot([0, *at], [0, *(one.value for one in shares)], color=RED, lw=1.1)
    _dots(axes, at, shares)
    _percents(axes, "of 100 clients, called", "of 100 who left, called")


def _dots(axes: Any, at: list[float], shares: list[Share]) -> None:
    """Shares with their intervals."""
    low, high = [one.low for one in shares], [one.high for one in shares]
    axes.vlines(at, low, high, color=RED, lw=1.1)
    # Dots at 0 and 100 are drawn whole.
    axes.plot(at, [one.value for one in shares], "o", color=RED, ms=3.2, clip_on=False)


def waffle(axes: Any, percent: int, colour: str) -> None:
    """A hundred squares, as many of them filled as of 100 clients left."""
    at = np.arange(100)
    axes.set_axis_off()
    axes.set_xlim(-0.5, 9.5)
    axes.set_ylim(9.5, -0.5)
    axes.set_aspect("equal")
    for shade, own in ((colour, at[:percent]), (GREY, at[percent:])):
        axes.bar(own % 10, np.full(own.size, 0.8), 0.8, own // 10 - 0.4, color=shade, lw=0)


def ceiling(columns: list[Learned], average: float) -> float:
    """The end of the risk's axis that all effects share."""
    most = max([average, *(column.high["risk"] for column in columns)])
    # 0.3 of a tenth: at least three points of room above the highest risk.
    return min(1.0, np.ceil(most * 10 + 0.3) / 10)


def effect(axes: Any, column: Learned, average: float, top: float, fit: Fit) -> None:
    """What a column does to the average client's risk: a curve, or bars for words."""
    _titled(axes, fit(column.name, 1.0, 7.5, True), column.range)
    axes.tick_params(pad=2, labelsize=6)
    known = [one for one in column.effects if one.get("value") is not None]
    if column.kind != "number" or len(known) < 3:
        return _effect_bars(axes, column, average, top, fit)
    at = [float(one["value"] or 0) for one in known]
    if column.usual:
        low, high = np.clip(column.usual, at[0], at[-1])
        axes.axvspan(low, high, color="#f1f1ef", lw=0)
    axes.axhline(average, color=MUTED, lw=0.8, ls=DASHES)
    axes.plot(at, [one["risk"] for one in known], color=RED, lw=1.5)
    axes.set_xlim(at[0], at[-1])
    axes.set_ylim(0, top)
    axes.set_yticks([0, average, top], ["0", f"{100 * average:.0f}", f"{100 * top:.0f} %"])
    # Beside the ends the average's own number would lie upon theirs.
    if not 0.15 * top < average < 0.85 * top:
        axes.set_yticks([0, top], ["0", f"{100 * top:.0f} %"])
    _two_ticks(axes, (at[0], at[-1]), (known[0]["text"], known[-1]["text"]))


def _effect_bars(axes: Any, column: Learned, average: float, top: float, fit: Fit) -> None:
    """The highest and the lowest of many, in their order."""
    shown = column.effects
    if column.kind == "joint":
        shown = sorted(shown, key=lambda one: -one["risk"])
    if len(shown) > MOST_BARS:
        shown = [*shown[: MOST_BARS - 2], *shown[-2:]]
    at = np.arange(len(shown))
    moved = np.array([one["risk"] for one in shown]) - average
    colours = [RED if size > 0 else MUTED for size in moved]
    axes.barh(at + 0.22, moved, 0.36, average, color=colours, lw=0)
    axes.vlines(np.full(at.size, average), at, at + 0.44, color=INK, lw=0.8)
    for row, one in zip(at, shown, strict=True):
        text = fit(one["text"], 0.98, 5.8, False)
        axes.text(0, row - 0.24, text, fontsize=5.8, va="center", color=INK)
    axes.set_xlim(0, top)
    # Room for three at least: two bars alone would be as thick as the chart.
    axes.set_ylim(max(len(shown), 3) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _two_ticks(axes, (0, top), ("0", f"{100 * top:.0f} %"))


def _two_ticks(axes: Any, at: tuple[float, float], words: tuple[str, str]) -> None:
    """The ends of the axis, each word inside the frame."""
    axes.set_xticks(at, words)
    for tick, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
        tick.set_horizontalalignment(side)

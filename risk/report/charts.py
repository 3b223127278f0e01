"""The report's charts, each drawn from values on axes that are given.

PDF and HTML draw the same ones. A title says what is shown, the line below it on what it is based.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from risk.report.card import within
from risk.report.figures import GREY, INK, MUTED, PALE, RED

MOST_BARS = 5
LEFT = 21  # points from the frame to the axis' words


def _titled(axes: Any, title: str, basis: str, left: float = 0) -> None:
    """The title and its basis above the axes; left: points left of their edge."""
    for text, up, look in (
        (title, 13, {"fontsize": 7.5, "fontweight": "bold"}),
        (basis, 4.5, {"fontsize": 6, "color": MUTED}),
    ):
        axes.annotate(text, (0, 1), (-left, up), "axes fraction", "offset points", **look)


def _noted(axes: Any, text: str) -> None:
    """A number with its interval in the lower right corner, the interval below."""
    told = text.replace(" (", "\n(", 1)
    axes.text(0.97, 0.03, told, fontsize=6.5, ha="right", va="bottom", linespacing=1.3)


def _empty(axes: Any, why: str) -> None:
    """A chart that cannot be drawn says why."""
    axes.set_axis_off()
    told = textwrap.fill(why, 30)
    axes.text(-0.15, 0.9, told, transform=axes.transAxes, color=MUTED, va="top", fontsize=7)


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


# ---------------------------------------------------------------- how good


def roc(axes: Any, found: dict[str, Any] | None, why: str, area: str) -> None:
    """Leavers found against stayers called for nothing, with its band."""
    _titled(axes, "Finding leavers (ROC)", _basis(found), LEFT)
    if found is None:
        return _empty(axes, f"Not drawn: {why}.")
    _curve(axes, found["grid"], found["roc"])
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (3, 2)))
    axes.text(0.64, 0.56, "by lot", color=MUTED, fontsize=6.5)
    _noted(axes, area)
    _percents(axes, "of 100 who stayed, called", "of 100 who left, called")


def precision_recall(axes: Any, found: dict[str, Any] | None, why: str) -> None:
    """How many of the called left, against how many of the leavers are called."""
    _titled(axes, "Precision and recall", _basis(found), LEFT)
    if found is None:
        return _empty(axes, f"Not drawn: {why}.")
    own = found["precision"]
    # At no leaver called there is nothing to be a share of.
    _curve(axes, found["grid"][1:], {key: ends and ends[1:] for key, ends in own.items()})
    rate = found["exits"] / found["n"]
    axes.axhline(rate, color=MUTED, lw=0.9, ls=(0, (3, 2)))
    above = rate < 0.1
    y, side = (rate + 0.015, "bottom") if above else (rate - 0.02, "top")
    axes.text(0.03, y, "by lot", color=MUTED, fontsize=6.5, va=side)
    _percents(axes, "of 100 who left, called", "of 100 called, left")


def _basis(found: dict[str, Any] | None) -> str:
    if found is None:
        return "test data"
    band = "" if found["roc"]["low"] else "; too few for a band"
    return f"{found['n']:,} test rows, {found['exits']:,} left{band}"


def _curve(axes: Any, grid: list[float], curve: dict[str, Any]) -> None:
    if curve["low"]:
        axes.fill_between(grid, curve["low"], curve["high"], color=PALE, lw=0)
    axes.plot(grid, curve["value"], color=RED, lw=1.5)


def calibration(axes: Any, found: dict[str, Any] | None) -> None:
    """The risk that was said and the share that left, with intervals."""
    _titled(axes, "Do the percentages hold?", found["basis"] if found else "no labels", LEFT)
    if found is None:
        return _empty(axes, "Not drawn: no row with a label.")
    bins = found["bins"]
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (3, 2)))
    at = [one["risk"] for one in bins]
    low, high = zip(*(one["interval"] for one in bins), strict=True)
    axes.vlines(at, low, high, color=RED, lw=1.1)
    axes.plot(at, [one["left"] for one in bins], "o", color=RED, ms=3.2, clip_on=False)
    axes.text(0.05, 0.9, "said too little", color=MUTED, fontsize=6.5)
    axes.text(0.97, 0.25, "said too much", color=MUTED, fontsize=6.5, ha="right")
    if found["slope"]:
        _noted(axes, f"slope {within(found['slope']['value'], found['slope']['interval'])}")
    _percents(axes, "risk we said, %", "of 100 like this, left")


def reach(axes: Any, found: dict[str, Any] | None) -> None:
    """The share of the leavers that a list of each length reaches, with intervals."""
    _titled(
        axes, "What a longer list reaches", found["basis"] if found else "no leaver known", LEFT
    )
    if found is None:
        return _empty(axes, "Not drawn: nobody whose outcome is known left.")
    steps = found["steps"]
    at = [step["share"] for step in steps]
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (3, 2)))
    axes.text(0.64, 0.56, "by lot", color=MUTED, fontsize=6.5)
    axes.plot([0, *at], [0, *(step["recall"] for step in steps)], color=RED, lw=1.1)
    low, high = zip(*(step["recall_interval"] for step in steps), strict=True)
    axes.vlines(at, low, high, color=RED, lw=1.1)
    axes.plot(at, [step["recall"] for step in steps], "o", color=RED, ms=3.2)
    _percents(axes, "of 100 clients, called", "of 100 who left, called")


def waffle(axes: Any, share: float, colour: str) -> None:
    """A hundred squares, as many of them filled as of 100 clients left."""
    filled = round(100 * share)
    at = np.arange(100)
    colours = np.where(at < filled, colour, GREY)
    axes.set_axis_off()
    axes.set_xlim(-0.5, 9.5)
    axes.set_ylim(9.5, -0.5)
    axes.set_aspect("equal")
    for shade in (colour, GREY):
        own = at[colours == shade]
        axes.bar(own % 10, np.full(own.size, 0.8), 0.8, own // 10 - 0.4, color=shade, lw=0)


# ---------------------------------------------------------------- what the model has learned


def ceiling(columns: list[dict[str, Any]], average: float) -> float:
    """The end of the risk's axis that all effects share."""
    most = max([average, *(column["high"] for column in columns)])
    return min(1.0, np.ceil(most * 10 + 0.3) / 10)


def effect(axes: Any, column: dict[str, Any], average: float, top: float, fit: Any) -> None:
    """What a column does to the average client's risk: a curve, or bars for words.

    fit: cuts a text to a width given as a share of the axes' own.
    """
    low, high = 100 * column["low"], 100 * column["high"]
    told = f"{low:.0f} to {high:.0f} %"
    _titled(axes, fit(column["name"], 1.0, 7.5, True), told)
    axes.tick_params(pad=2, labelsize=6)
    values = [one["value"] for one in column["effects"] if one["value"] is not None]
    if column["kind"] == "number" and len(values) > 2:
        return _effect_curve(axes, column, average, top)
    _effect_bars(axes, column, average, top, fit)


def _effect_curve(axes: Any, column: dict[str, Any], average: float, top: float) -> None:
    known = [one for one in column["effects"] if one["value"] is not None]
    at = [one["value"] for one in known]
    if column["usual"]:
        low, high = np.clip(column["usual"], at[0], at[-1])
        axes.axvspan(low, high, color="#f1f1ef", lw=0)
    axes.axhline(average, color=MUTED, lw=0.8, ls=(0, (3, 2)))
    axes.plot(at, [one["risk"] for one in known], color=RED, lw=1.5)
    axes.set_xlim(at[0], at[-1])
    axes.set_ylim(0, top)
    axes.set_yticks([0, average, top], ["0", f"{100 * average:.0f}", f"{100 * top:.0f} %"])
    # Beside the ends the average's own number would lie upon theirs.
    if not 0.15 * top < average < 0.85 * top:
        axes.set_yticks([0, top], ["0", f"{100 * top:.0f} %"])
    axes.set_xticks([at[0], at[-1]], [known[0]["text"], known[-1]["text"]])
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _bars_of(column: dict[str, Any]) -> list[dict[str, Any]]:
    """The highest and the lowest of many, in their order."""
    found = column["effects"]
    if column["kind"] == "joint":
        found = sorted(found, key=lambda one: -one["risk"])
    if len(found) <= MOST_BARS:
        return found
    return [*found[: MOST_BARS - 2], *found[-2:]]


def _effect_bars(axes: Any, column: dict[str, Any], average: float, top: float, fit: Any) -> None:
    shown = _bars_of(column)
    at = np.arange(len(shown))
    moved = np.array([one["risk"] for one in shown]) - average
    colours = [RED if size > 0 else MUTED for size in moved]
    axes.barh(at + 0.22, moved, 0.36, average, color=colours, lw=0)
    axes.vlines(np.full(at.size, average), at, at + 0.44, color=INK, lw=0.8)
    for row, one in zip(at, shown, strict=True):
        text = fit(one["text"], 0.98, 5.8, False)
        axes.text(0, row - 0.24, text, fontsize=5.8, va="center", color=INK)
    axes.set_xlim(0, top)
    axes.set_ylim(max(len(shown), 3) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xticks([0, top], ["0", f"{100 * top:.0f} %"])
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")

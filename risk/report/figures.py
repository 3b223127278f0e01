"""The look that all pictures share, the confusion matrix, and figures as PNG, SVG and PDF.

Drawn through Figure, so that no window system is ever asked. One hue beside greys, told apart by
lightness: it reads in print and to people who do not see red or green.
"""

from __future__ import annotations

import datetime
import io
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, RED = "#1b1f23", "#57606a", "#9a3412"
PALE, GREY, LINE, BLUE = "#f3d3c0", "#d9d6d0", "#e5e7eb", "#1f6feb"
FONT = "DejaVu Sans"  # comes with matplotlib: the same on every machine
# From this share on, white has more contrast with the cell's shade than ink.
DARK = 0.72
WORDS = (("stayed, not named", "false alarm"), ("left, missed", "left, named"))
RIGHT, WRONG = "✓ right", "✗ wrong"


def style() -> AbstractContextManager[None]:
    """Inside it everything is drawn in the one look; figures are made and saved in it."""
    # Here and below: it is slow to load, and most runs draw nothing.
    import matplotlib

    return matplotlib.rc_context(
        {
            "font.family": FONT,
            "font.size": 7.0,
            "text.color": INK,
            "text.hinting": "none",  # letters are as wide on a screen as in print
            "text.parse_math": False,  # a client or a column may have a $ in its name
            "axes.edgecolor": MUTED,
            "axes.labelcolor": MUTED,
            "axes.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "grid.color": LINE,
            "grid.linewidth": 0.6,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.major.size": 0.0,
            "ytick.major.size": 0.0,
            "lines.solid_capstyle": "butt",
            "pdf.fonttype": 42,  # TrueType, whose text can be searched
            "svg.fonttype": "none",
            "svg.hashsalt": "risk",  # without it ids are random and equal reports differ
        }
    )


def confusion_matrix(counts: dict[str, Any], title: str, basis: str) -> Figure:
    """Counts and row shares of the four outcomes; darker is more of the row's clients."""
    import numpy as np
    import seaborn as sns
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    cells = np.array(
        [
            [counts["true_negative"], counts["false_positive"]],
            [counts["false_negative"], counts["true_positive"]],
        ]
    )
    # A row without clients is a row of zeros, not of NaN.
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    shade = sns.light_palette(RED, as_cmap=True)
    look = {"vmin": 0, "vmax": 1, "cmap": shade, "cbar": False, "linecolor": "white"}
    with style():
        figure = Figure(figsize=(7.2, 5.6), dpi=150, layout="constrained")
        axes = figure.subplots()
        sns.heatmap(shares, linewidths=3, ax=axes, **look)
        for (row, column), count in np.ndenumerate(cells):
            ink = "white" if shares[row, column] > DARK else INK
            share = share_text(int(count), int(cells[row].sum()))
            is_right = row == column
            words = f"{RIGHT if is_right else WRONG}: {WORDS[row][column]}"
            if not is_right:
                # Not by colour alone, which is the share of the row: a dashed frame.
                frame = Rectangle(
                    (column + 0.04, row + 0.05), 0.92, 0.9, fill=False, ls="--", lw=1.5
                )
                frame.set_edgecolor(ink)
                axes.add_patch(frame)
            texts = ((0.38, f"{count:,}", 26), (0.59, share, 12), (0.75, words, 12))
            for down, text, size in texts:
                axes.text(
                    column + 0.5, row + down, text, ha="center", va="center", color=ink,
                    fontsize=size, fontweight="bold" if size == 26 else "normal",
                )  # fmt: skip
        axes.set_xticklabels(["stays", "leaves"], fontsize=13, color=INK)
        axes.set_yticklabels(["stayed", "left"], fontsize=13, color=INK, rotation=90, va="center")
        axes.set_xlabel(f"the model says ({counts['says']})", fontsize=12, color=MUTED)
        axes.set_ylabel("what happened", fontsize=12, color=MUTED)
        axes.tick_params(length=0)
        figure.suptitle(title, x=0.02, ha="left", fontsize=15, fontweight="bold", color=INK)
        axes.set_title(basis, loc="left", fontsize=10.5, color=MUTED, pad=12)
    return figure


def share_text(count: int, whole: int) -> str:
    """The share in words that never round a few clients to none, nor most to all."""
    if not whole:
        return "no client in this row"
    percent = 100 * count / whole
    if 0 < percent < 1:
        return "under 1% of the row"
    return "over 99% of the row" if 99 < percent < 100 else f"{percent:.0f}% of the row"


def png(figure: Figure) -> bytes:
    """The figure as a file; the same figure gives the same bytes."""
    out = io.BytesIO()
    # By default the file names matplotlib's version: an update would change its bytes.
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def svg(figure: Figure) -> str:
    """The figure as an SVG element with its texts as texts, in the font of the reader's system."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids of groups would be there twice where two figures share a page; nothing refers to them.
    text = re.sub(r' id="[A-Za-z][\w.]*_\d+"', "", text)
    return text[text.index("<svg") :].replace(f"'{FONT}'", "system-ui, sans-serif")


def pdf(figures: list[Figure], title: str, made_at: str) -> bytes:
    """The figures as pages, fonts embedded; equal figures of one time give equal bytes."""
    from matplotlib.backends.backend_pdf import PdfPages

    made = datetime.datetime.fromisoformat(made_at)
    about = {"Title": title, "CreationDate": made, "Creator": None, "Producer": None}
    out = io.BytesIO()
    with PdfPages(out, metadata=about) as pages:
        for figure in figures:
            pages.savefig(figure)
    return out.getvalue()

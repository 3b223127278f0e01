"""The plots, drawn through Figure so that no window system is ever asked."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, RED = "#1b1f23", "#57606a", "#9a3412"


def confusion_matrix(counts: dict[str, Any], title: str, basis: str) -> Figure:
    """Counts and row shares of the four outcomes; darker is more of the row's clients."""
    import numpy as np
    import seaborn as sns
    from matplotlib.figure import Figure

    cells = np.array([[counts["true_negative"], counts["false_positive"]],
                      [counts["false_negative"], counts["true_positive"]]])
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7.2, 5.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    sns.heatmap(shares, vmin=0, vmax=1, cmap=sns.light_palette(RED, as_cmap=True), cbar=False,
                linewidths=3, linecolor="white", ax=axes)
    words = [["stayed, not called", "stayed, called\n(false alarm)"], ["left, not called\n(missed)", "left, called"]]
    for row in range(2):
        for column in range(2):
            _cell(axes, column, row, int(cells[row, column]), shares[row, column], words[row][column])
    axes.set_xticklabels(["stays", "leaves"], fontsize=13)
    axes.set_yticklabels(["stayed", "left"], fontsize=13, rotation=90, va="center")
    axes.set_xlabel(f"the model says (leaves: risk of at least {counts['threshold']:.0%})", fontsize=12, color=MUTED)
    axes.set_ylabel("what happened", fontsize=12, color=MUTED)
    axes.tick_params(length=0)
    figure.suptitle(title, x=0.02, ha="left", fontsize=15, fontweight="bold", color=INK)
    axes.set_title(basis, loc="left", fontsize=10.5, color=MUTED, pad=12)
    return figure


def _cell(axes: Any, column: int, row: int, count: int, share: float, words: str) -> None:
    color = "white" if share > 0.55 else INK
    axes.text(column + 0.5, row + 0.38, f"{count:,}", ha="center", va="center", fontsize=26,
              fontweight="bold", color=color)
    axes.text(column + 0.5, row + 0.58, f"{share:.0%} of the row", ha="center", va="center", fontsize=12, color=color)
    axes.text(column + 0.5, row + 0.76, words, ha="center", va="center", fontsize=11, color=color)


def png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()

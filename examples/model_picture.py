"""Draws docs/model.png: the curves that the default recipe finds in the practice data.

python examples/model_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from risk.model import fit as fitting
from risk.model.model import Model
from risk.model.pipelines import export
from risk.model.terms import Curve

FEATURES = dict.fromkeys(
    ("lastmonth_activity", "lastyear_activity", "number_of_employees"), "number"
)
INK, MUTED, RED, PALE = "#1b1f23", "#57606a", "#9a3412", "#f3e3dc"


def fitted_model() -> tuple[Model, pd.DataFrame]:
    """The recipe on the practice data."""
    files = sorted((ROOT / "practicedata").glob("*.csv"))
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True).drop_duplicates()
    X, y = rows[list(FEATURES)].astype(float), rows["exited"].to_numpy(np.int64)
    fitted = fitting.fit("default", FEATURES, X, y, rows["corporation"].to_numpy())
    return Model.from_bytes(export(fitted, FEATURES, X, {})), X


def curve_panel(axes: Any, term: Curve, values: np.ndarray) -> None:
    """One curve with its knots, over the share of clients at each value."""
    knots, heights = np.array(term.knots), np.array(term.values)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    sizes, edges = np.histogram(np.clip(values, knots[0], knots[-1]), bins=24)
    low = min(heights.min(), 0) - 0.9
    axes.bar(
        edges[:-1], 0.7 * sizes / sizes.max(), np.diff(edges), bottom=low, align="edge", color=PALE
    )
    axes.plot(knots, heights, color=RED, linewidth=2.2, marker="o", markersize=4)
    axes.set_title(term.column.replace("_", " "), loc="left", fontsize=11, color=INK)
    axes.set_ylim(low, None)
    axes.tick_params(labelsize=9, colors=MUTED)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    from matplotlib.figure import Figure

    model, X = fitted_model()
    curves = [term for term in model.terms if isinstance(term, Curve)]
    figure = Figure(figsize=(10.5, 3.6), dpi=110, layout="constrained")
    for axes, term in zip(figure.subplots(1, len(curves)), curves, strict=True):
        curve_panel(axes, term, X[term.column].to_numpy())
    figure.supylabel("adds to the log-odds of leaving", fontsize=10, color=MUTED)
    figure.suptitle(
        "What each value adds; bars: how many clients have it", x=0.01, ha="left", fontsize=12
    )
    figure.savefig(ROOT / "docs" / "model.png", metadata={"Software": None})
    for term in model.terms:
        if len(term.columns) > 1:
            print(term)


if __name__ == "__main__":
    main()

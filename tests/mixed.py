"""Rows with numbers, blanks and texts, and the terms of every kind that there is, for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from risk.model.candidates import Candidates, LabelledRows
from risk.model.change_terms import Change
from risk.model.design import DesignTerm, standardise
from risk.model.joint_terms import Condition, Product, Ramp, Region
from risk.model.model import Model
from risk.model.pipelines import rows_of_frame
from risk.model.terms import Blank, Curve, Levels, Linear, Log, Rank, Raw, Term

COLUMNS = {"orders": "number", "revenue": "number", "branch": "text", "city": "text"}


def mixed(n: int, seed: int = 0, *, shift: float = 0.0) -> tuple[pd.DataFrame, np.ndarray]:
    """(rows, labels): orders are often blank, branch now and then; revenue and city decide most."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "orders": rng.poisson(3, n).astype(float),
            "revenue": rng.lognormal(2, 1, n),
            "branch": rng.choice(["north", "south", 'é, "west"'], n),
            "city": rng.choice([f"c{at}" for at in range(6)], n),
        }
    )
    frame.loc[rng.random(n) < 0.2, "orders"] = np.nan
    frame["branch"] = frame["branch"].astype(object).where(rng.random(n) > 0.2, None)
    frame["city"] = frame["city"].astype(object)
    few = frame["orders"].isna() | (frame["orders"] < 3)
    # By numbers of their own: the columns above stay what they were.
    frame["orders (previous)"] = np.random.default_rng([seed, 1]).poisson(3, n).astype(float)
    frame.loc[frame.index % 4 == 0, "orders (previous)"] = np.nan
    score = 1.5 * few - np.log(frame["revenue"]) / 2 + (frame["city"] == "c1") + shift
    return frame, (rng.random(n) < 1 / (1 + np.exp(-score.to_numpy()))).astype(np.int64)


def strange() -> pd.DataFrame:
    """Rows with infinities, huge and tiny numbers, blanks, unseen levels and empty texts."""
    odd = [np.inf, -np.inf, 1e300, -1e300, 1.7e308, 5e-324, 0.0, -0.0, np.nan, 3.0]
    frame = pd.DataFrame([(a, b) for a in odd for b in odd], columns=["orders", "revenue"])
    texts = ["north", "unseen", None, "", 'é, "west"', "c1", np.nan]
    frame["branch"] = pd.Series([texts[at % 7] for at in range(100)], dtype=object)
    frame["city"] = pd.Series([texts[at % 5 + 2] for at in range(100)], dtype=object)
    return frame


def known_of(
    n: int, seed: int = 0, ages: np.ndarray | None = None, *, recipe: str = "default"
) -> LabelledRows:
    """Mixed rows of as many clients; all of the newest evaluation unless ages are given."""
    frame, y = mixed(n, seed)
    columns = dict(COLUMNS)
    if recipe == "original":
        columns = {name: kind for name, kind in columns.items() if kind == "number"}
    ages = np.zeros(n, dtype=np.int64) if ages is None else ages
    clients = np.array([f"c{at}" for at in range(n)], dtype=object)
    if recipe == "original":
        frame = frame[list(columns)]
    return LabelledRows(recipe, columns, frame, y, clients, ages)


def every_kind(raw: Raw) -> list[DesignTerm]:
    """A term of every kind, with every kind of condition and ramp, centred on these rows."""
    regions = [
        (Condition("orders", "at least", 2.0, 3.0), Condition("revenue", "below", 9.0, 7.0)),
        (Condition("branch", "is", "north"), Condition("orders", "below", 4.0, 3.0)),
        (Condition("city", "is not", "c1"), Condition("branch", "is", None)),
    ]
    ramps = Ramp("orders", (0.0, 2.0, 5.0, 9.0), 3.0), Ramp("revenue", (1.0, 7.0, 30.0), 7.0)
    curve = Curve("revenue", 7.0, (0.5, 3.0, 7.0, 20.0, 60.0))
    others = [
        Linear("orders", 0.0, 8.0, 3.0),
        Linear("revenue", 0.5, 70.0, 7.0),
        Log("revenue", 0.5, 70.0, 7.0),
        Rank("orders", 3.0, (0.0, 2.0, 8.0), (0.0, 0.5, 1.0)),
        Change("orders", "orders (previous)", -1.0, 0.5, -0.1),
        Levels("branch", ("north", "south", 'é, "west"', None), rest=False),
        *(Region(conditions) for conditions in regions),
        Product(*ramps),
        Product(ramps[0], Ramp("city", level="c2")),
        Product(Ramp("branch", level=None), ramps[1]),
    ]
    return [
        *(standardise(term, raw) for term in others),
        DesignTerm(Blank("orders"), (0.2,), (2.5,)),
        standardise(Levels("city", ("c0", "c1", "c2"), rest=True), raw, 0.25),
        standardise(curve, raw, 0.09),
    ]


def fitted(n: int = 600, seed: int = 0) -> Model:
    """A model with every kind of term, fitted to mixed rows."""
    known = known_of(n, seed)
    return Candidates(known).fit(every_kind(known.raw), np.ones(n))


def tables() -> list[dict[str, list[Any]]]:
    """Ordinary and strange rows as a model takes them."""
    return [rows_of_frame(frame, COLUMNS) for frame in (mixed(400, seed=9)[0], strange())]


def contributions(model: Model, table: dict[str, list[Any]]) -> list[np.ndarray]:
    """What each term adds to each row's log-odds; they and the intercept add up."""
    raw = model.raw(table)
    return [term.contribution(raw) for term in model.terms]


def words(terms: list[Term]) -> list[str]:
    """What model.json calls the kind of each."""
    return [term.word() for term in terms]

"""Contributions add up to the log-odds and points to the distance, for all rows and all terms."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mixed import contributions, words

from risk.model import fit as fitting
from risk.model import forms
from risk.model.joint_terms import Condition, Interaction, Joint, Margin, Product, Ramp, Region
from risk.model.logistic import expit
from risk.model.model import Model
from risk.model.pipelines import export, rows_of_frame
from risk.model.profile import Rows, beside_usual, column_text, profile_of, value_text
from risk.model.reasons import (
    _LEAST_POINTS,
    _MOST_DOWN,
    MOST_UP,
    groups_of,
    points,
    reasons,
    unusual_values,
)
from risk.model.terms import Curve, Linear, Term

COLUMNS = {"orders": "number", "staff": "number", "city": "text", "x_y": "number"}


def made(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows with blanks and levels whose risk has a curve, a region and a product."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "orders": rng.poisson(20, n).astype(float),
            "staff": rng.lognormal(3, 1, n),
            "city": pd.Series(rng.choice(["oslo", "riga", "bonn", None], n), dtype=object),
            "x_y": rng.normal(size=n),
        }
    )
    few = (frame["orders"] < 18) & (frame["staff"] < 30)
    product = (np.log(frame["staff"]) - 3) * frame["x_y"]
    score = 2.5 * few + 1.3 * product + (frame["city"] == "riga") + np.abs(frame["x_y"]) - 1.5
    frame.loc[rng.random(n) < 0.1, "orders"] = np.nan
    return frame, (rng.random(n) < 1 / (1 + np.exp(-score))).astype(np.int64)


def json_model(recipe_name: str, frame: pd.DataFrame, y: np.ndarray) -> Model:
    columns = {n: "text" if frame[n].dtype == object else "number" for n in frame}
    fitted = fitting.fit(recipe_name, columns, frame, y)
    return Model.from_bytes(export(fitted, columns, frame, {}))


@pytest.fixture(scope="module")
def learned() -> tuple[Model, Rows]:
    """A model with every kind of term, and its 4,000 training rows."""
    frame, y = made(4000, 0)
    return json_model("default", frame, y), rows_of_frame(frame, COLUMNS)


def line(column: str, slope: float, mean: float = 0.0) -> Linear:
    return Linear(column, low=-1e9, high=1e9, fill=mean, mean=mean, slope=slope)


def side(column: str, sign: str, value: Any) -> Condition:
    return Condition(column, sign, value, None if sign in ("is", "is not") else 0.0)


def region(*conditions: Condition, inside: float = 2.0, outside: float = -0.5) -> Region:
    return Region(conditions, inside=inside, outside=outside)


def hand_made(*found: Term, profile: Any = None, intercept: float = -1.0) -> Model:
    return Model(COLUMNS, intercept, list(found), {}, profile or {})


def row(**cells: Any) -> Rows:
    return {name: [cells.get(name)] for name in COLUMNS}


def check_sums(model: Model, table: Rows) -> None:
    """base + contributions = log-odds, and points = 100 (risk - sigmoid(base)), for every row."""
    total = model.intercept + np.sum(contributions(model, table), axis=0)
    assert np.abs(total - model.log_odds(table)).max() <= 1e-9
    _, amounts, risk = points(model, table)
    assert np.abs(risk - model.probabilities(table)).max() <= 1e-12
    distance = 100 * (risk - expit(np.array([model.intercept])))
    assert np.abs(amounts.sum(axis=1) - distance).max() <= 1e-9


def test_every_kind_of_term_is_there(learned: tuple[Model, Rows]) -> None:
    assert set(words(learned[0].terms)) == {"curve", "blank", "levels", "region", "product"}


def test_points_add_up_over_all_training_rows(learned: tuple[Model, Rows]) -> None:
    check_sums(*learned)


def test_points_add_up_on_strange_rows(learned: tuple[Model, Rows]) -> None:
    model, _ = learned
    strange = [np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324, 0.0, None, 1e15]
    table = {
        "orders": strange,
        "staff": strange[::-1],
        "x_y": strange,
        "city": ["new", None, "oslo", "riga", "=1+1", "<b>", "bonn", "x" * 500],
    }
    check_sums(model, table)
    assert all(len(why) <= 4 for why in reasons(model, table))


def test_points_add_up_for_straight_lines() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    y = (rng.random(300) < 1 / (1 + np.exp(-2 * frame["a"]))).astype(np.int64)
    model = json_model("default", frame, y)
    assert set(words(model.terms)) <= {"linear", "log", "rank"}
    check_sums(model, rows_of_frame(frame, model.columns))


def test_points_add_up_for_the_original_recipe_also_with_huge_numbers() -> None:
    frame, y = made(500, 2)
    frame = frame[["orders", "staff", "x_y"]]
    model = json_model("original", frame, y)
    table = rows_of_frame(frame, model.columns)
    check_sums(model, table)
    check_sums(model, {"orders": [1e308, -1e308, np.inf], "staff": [1.0] * 3, "x_y": [0.0] * 3})


@pytest.mark.parametrize("slopes", [(1e3, 1e3), (1e3, -1e3), (-1e300, 1e300)])
def test_contributions_beyond_all_bounds_give_finite_points(slopes: tuple[float, float]) -> None:
    found = [line("orders", slopes[0]), line("staff", slopes[1])]
    model = hand_made(*(replace(term, low=-1.7e308, high=1.7e308) for term in found))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, amounts, risk = points(model, row(orders=1.7e308, staff=1.7e308))
    assert np.all(np.isfinite(amounts)) and 0.0 <= risk[0] <= 1.0
    if slopes[0] > 0 and slopes[1] > 0:
        assert amounts.sum() == pytest.approx(100 * (1 - expit(np.array([-1.0]))[0]))


def test_where_everything_cancels_points_are_the_slope_at_the_average() -> None:
    model = hand_made(line("orders", 1.0), line("staff", -1.0))
    _, amounts, risk = points(model, row(orders=2.0, staff=2.0))
    base = expit(np.array([-1.0]))[0]
    assert amounts[0] == pytest.approx([200 * base * (1 - base), -200 * base * (1 - base)])
    assert risk[0] == base


def test_no_rows_and_no_terms_have_no_reasons() -> None:
    model = hand_made(line("orders", 1.0))
    assert reasons(model, {name: [] for name in COLUMNS}) == []
    assert reasons(hand_made(), row(orders=1.0)) == [[]]


def test_at_most_three_raise_and_one_lowers_and_the_strongest_come_first(
    learned: tuple[Model, Rows],
) -> None:
    model, table = learned
    _, amounts, _ = points(model, table)
    told = reasons(model, table)
    assert len(told) == 4000 and max(map(len, told)) == MOST_UP + _MOST_DOWN
    for why, row_points in zip(told, amounts, strict=True):
        up = [r.points for r in why if r.points > 0]
        down = [r.points for r in why if r.points < 0]
        expected = sorted(row_points[row_points >= _LEAST_POINTS], reverse=True)[:MOST_UP]
        assert up == [round(float(p), 1) for p in expected]
        least = row_points.min()
        assert down == ([round(float(least), 1)] if least <= -_LEAST_POINTS else [])
        assert [r.points for r in why] == up + down


def test_a_columns_curve_blank_and_levels_are_reported_as_one(learned: tuple[Model, Rows]) -> None:
    model, _ = learned
    groups = groups_of(model)
    alone = [group.columns[0] for group in groups if len(group.columns) == 1]
    assert sorted(alone) == sorted(COLUMNS)
    own = {getattr(term, "term", term) for group in groups for term in group.terms}
    assert own == set(model.terms)
    orders = next(group for group in groups if group.columns == ("orders",))
    assert {"curve", "blank"} <= set(words([t for t in orders.terms if isinstance(t, Term)]))


def test_a_joint_term_is_told_under_its_columns_as_far_as_it_belongs_to_them(
    learned: tuple[Model, Rows],
) -> None:
    """Functional ANOVA: over independent draws of its columns an interaction has mean 0 at every
    value of each; with the columns' own parts it adds up to the term."""
    model, table = learned
    raw = model.raw(table)
    joint = [term for term in model.terms if isinstance(term, Joint)]
    assert joint and all(term.margins for term in joint)
    for term in joint:
        parts = [Margin(term, name).contribution(raw) for name in term.columns]
        total = Interaction(term).contribution(raw) + sum(parts)
        assert total == pytest.approx(term.contribution(raw), abs=1e-12)
        for name in term.columns:
            # Every other column as it is, this one at each of five values.
            for at in range(5):
                fixed = raw | {name: np.repeat(raw[name][at : at + 1], raw[name].size)}
                others = [n for n in term.columns if n != name]
                if len(others) == 1:
                    mean = Interaction(term).contribution(fixed).mean()
                    base = term.weights()[0] + term.size * np.prod(term.margins)
                    base -= term.size * getattr(term, "mean", 0.0)
                    assert mean == pytest.approx(base, abs=0.02)


def test_the_words_are_the_same_in_two_runs_and_in_any_company(
    learned: tuple[Model, Rows],
) -> None:
    model, table = learned
    few = {name: values[100:200] for name, values in table.items()}
    first = reasons(model, few)
    assert first == reasons(model, few) == reasons(model, table)[100:200]
    frame, y = made(4000, 0)
    assert reasons(json_model("default", frame, y), few) == first


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "missing"),
        (float("nan"), "missing"),
        ("oslo", "oslo"),
        ("<b>&", "<b>&"),
        (3.0, "3"),
        (0.0, "0"),
        (-0.0, "0"),
        (1234567.0, "1,234,567"),
        (1234.56, "1,235"),
        (999.6, "1,000"),
        (99.96, "100"),
        (12.345, "12.3"),
        (0.5, "0.5"),
        (-0.126, "-0.126"),
        (0.00123, "0.00123"),
        (0.00001234, "1.23e-05"),
        (1e300, "1e+300"),
        (-1.5e18, "-1.5e+18"),
        (float("inf"), "inf"),
        (5e-324, "4.94e-324"),
    ],
)
def test_a_cell_is_shown_for_people(value: Any, text: str) -> None:
    assert value_text(value) == text


USUAL = {"least": 0.0, "low": 12.0, "median": 20.0, "high": 40.0, "most": 90.0}


@pytest.mark.parametrize(
    ("name", "value", "usual", "text"),
    [
        ("orders_last_month", 3.0, USUAL, "orders last month 3 (usually 12 to 40)"),
        ("orders", np.nan, USUAL, "orders missing (usually 12 to 40)"),
        ("orders", 0.0, {"low": 0.0, "high": 0.0}, "orders 0 (usually 0)"),
        ("orders", 3.0, {}, "orders 3"),
        ("city", "oslo", {"levels": {"oslo": 0.55}}, "city oslo (55% of clients)"),
        ("city", "oslo", {"levels": {"oslo": 0.0049}}, "city oslo (rare)"),
        ("city", "new", {"levels": {"oslo": 1.0}}, "city new (rare)"),
        ("city", None, {"levels": {"": 0.2, "oslo": 0.8}}, "city missing (20% of clients)"),
        ("x_y", 2.5, {}, "x y 2.5"),
    ],
)
def test_a_value_is_shown_beside_what_is_usual(
    name: str, value: Any, usual: dict[str, Any], text: str
) -> None:
    assert beside_usual(name, value, usual) == text


BAND = (side("orders", "at least", 5.0), side("orders", "below", 9.0))


@pytest.mark.parametrize(
    ("term", "cells", "text"),
    [
        (
            region(side("orders", "below", 12.0), side("staff", "below", 20.0)),
            {"orders": 3.0, "staff": 8.0},
            "orders 3 (under 12) and staff 8 (under 20)",
        ),
        (
            region(side("orders", "below", 12.0), side("staff", "below", 20.0)),
            {"orders": 3.0, "staff": 25.0},
            "orders 3 (under 12) and staff 25 (at least 20)",
        ),
        (
            region(side("orders", "at least", 12.0), side("city", "is", "oslo")),
            {"orders": 12.0, "city": "oslo"},
            "orders 12 (at least 12) and city oslo",
        ),
        (
            region(side("orders", "at least", 12.0), side("city", "is", "oslo")),
            {"orders": 2.0, "city": "riga"},
            "orders 2 (under 12) and city riga",
        ),
        (
            region(side("city", "is not", None), side("staff", "below", 2.0)),
            {"city": None, "staff": 1.0},
            "city missing and staff 1 (under 2)",
        ),
        (
            region(*BAND, side("staff", "below", 20.0)),
            {"orders": 7.0, "staff": 8.0},
            "orders 7 (at least 5 and under 9) and staff 8 (under 20)",
        ),
        (
            region(*BAND, side("staff", "below", 20.0)),
            {"orders": 9.0, "staff": 8.0},
            "orders 9 (at least 9) and staff 8 (under 20)",
        ),
        (
            region(side("x_y", "below", 5.0), side("staff", "below", 20.0)),
            {"x_y": None, "staff": 8.0},
            "x y missing (counted as under 5) and staff 8 (under 20)",
        ),
        (
            region(side("orders", "below", 1234.2), side("staff", "below", 20.0)),
            {"orders": 1233.9, "staff": 19.99},
            "orders 1,233.9 (under 1,234.2) and staff 19.99 (under 20)",
        ),
        (
            Product(Ramp("orders", (0.0, 1.0)), Ramp("city", level="oslo"), slope=1.0),
            {"orders": 3.0, "city": "oslo"},
            "orders 3 (usually 12 to 40) together with city oslo (55% of clients)",
        ),
    ],
)
def test_regions_and_products_are_worded_by_the_clients_own_values(
    term: Term, cells: dict[str, Any], text: str
) -> None:
    model = hand_made(term, profile={"orders": USUAL, "city": {"levels": {"oslo": 0.55}}})
    (group,) = groups_of(model)
    assert group.text(model.raw(row(**cells)), model.profile) == text


def test_a_region_of_one_column_is_part_of_that_columns_effect() -> None:
    model = hand_made(line("orders", 0.01), region(*BAND), profile={"orders": USUAL})
    (why,) = reasons(model, row(orders=7.0))
    assert [r.text for r in why] == ["orders 7 (usually 12 to 40)"]
    assert why[0].columns == ("orders",)


def test_hostile_names_and_levels_are_shown_as_they_are() -> None:
    assert column_text("x_y") == "x y" and column_text("<script>") == "<script>"
    usual = {"levels": {"=cmd()": 0.5}}
    assert beside_usual("%s{0}", "=cmd()", usual) == "%s{0} =cmd() (50% of clients)"


def test_the_profile_has_quartiles_of_numbers_and_shares_of_levels() -> None:
    table = {
        "orders": [*map(float, range(101)), None, np.inf],
        "city": ["a"] * 60 + ["b"] * 20 + [None] * 20,
        "none": [None, None],
    }
    found = profile_of(table, {"orders": "number", "city": "text", "none": "number"})
    assert found["orders"] == {"least": 0, "low": 25, "median": 50, "high": 75, "most": 100}
    assert found["city"] == {"levels": {"a": 0.6, "": 0.2, "b": 0.2}}
    assert found["none"] == {}


def test_the_profile_keeps_fifty_levels_letter_by_letter() -> None:
    texts = [f"t{n % 60:02}" for n in range(600)] + ["a\0", "a", "a\0"]
    levels = profile_of({"city": texts}, {"city": "text"})["city"]["levels"]
    assert list(levels) == [f"t{n:02}" for n in range(50)]
    assert profile_of({"city": ["a\0", "a", "a\0"]}, {"city": "text"}) == {
        "city": {"levels": {"a\0": 0.6667, "a": 0.3333}}
    }


def test_the_profile_of_long_texts_takes_little_memory() -> None:
    import tracemalloc

    texts = ["x" * 100_000, *["y"] * 5000]
    tracemalloc.start()
    profile_of({"city": texts}, {"city": "text"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_value_outside_the_training_range_is_flagged_and_counted(
    learned: tuple[Model, Rows],
) -> None:
    model, table = learned
    assert unusual_values(model, table) == [[] for _ in range(4000)]
    usual = model.profile["orders"]
    curve = next(t for t in model.terms if isinstance(t, Curve) and t.column == "orders")
    values = [usual["most"], usual["most"] + 1, usual["least"] - 1, None, np.inf]
    cells = {n: [table[n][0]] * 5 for n in COLUMNS} | {"orders": values}
    low, high = value_text(curve.knots[0]), value_text(curve.knots[-1])
    assert unusual_values(model, cells) == [
        [],
        [f"orders {value_text(values[1])}: unusual value, counted as {high}"],
        [f"orders {value_text(values[2])}: unusual value, counted as {low}"],
        [],
        [f"orders inf: unusual value, counted as {high}"],
    ]
    counted = cells | {"orders": [*values[:1], *(curve.knots[at] for at in (-1, 0)), None, 1e9]}
    assert model.log_odds(cells) == pytest.approx(model.log_odds(counted))


def test_two_unusual_values_give_two_notes_and_unclipped_lines_none() -> None:
    clipped = replace(line("orders", 1.0), low=0.0, high=9.0)
    raw = replace(line("staff", 1.0), low=-1.7e308, high=1.7e308)
    ends = {"least": 0.0, "most": 10.0}
    model = hand_made(
        clipped,
        raw,
        replace(clipped, column="x_y"),
        profile=dict.fromkeys(("orders", "staff", "x_y"), ends),
    )
    (notes,) = unusual_values(model, row(orders=11.0, staff=11.0, x_y=-1.0))
    assert notes == [
        "orders 11: unusual value, counted as 9",
        "x y -1: unusual value, counted as 0",
    ]


def test_the_means_of_the_terms_are_zero_over_the_training_rows(
    learned: tuple[Model, Rows],
) -> None:
    model, table = learned
    assert len(table["orders"]) < forms._SAMPLE_ROWS
    for part in contributions(model, table):
        assert abs(part.mean()) < 1e-9

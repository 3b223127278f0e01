"""The model at a glance: every effect is the terms' own, the ranges hold every row, in words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from mixed import contributions
from test_reasons import COLUMNS, hand_made, json_model, line, made, region, side

from risk.model.effects import _MOST_JOINT, overview, overview_text
from risk.model.joint_terms import Product, Ramp
from risk.model.model import Model
from risk.model.pipelines import rows_of_frame
from risk.model.profile import Rows
from risk.model.reasons import groups_of
from risk.model.terms import Curve, Levels


@pytest.fixture(scope="module")
def learned() -> tuple[Model, Rows]:
    """A model with every kind of term, and its 4,000 training rows."""
    frame, y = made(4000, 0)
    return json_model("default", frame, y), rows_of_frame(frame, COLUMNS)


def text_lines(model: Model) -> list[str]:
    return overview_text(model, overview(model)).splitlines()


def block(model: Model, head: str) -> list[str]:
    """The lines below the one that begins like this, up to the next blank one."""
    lines = text_lines(model)
    at = next(n for n, text in enumerate(lines) if text.startswith(head))
    rest = [*lines[at + 1 :], ""]
    return rest[: rest.index("")]


def check_overview(model: Model, table: Rows) -> None:
    raw = model.raw(table)
    groups = {json.dumps([t.to_json() for t in group.terms]): group for group in groups_of(model)}
    found = overview(model)
    assert len(found) == len(groups)
    for item in found:
        own = groups[json.dumps(item["terms"])].contribution(raw)
        assert item["low"] - 1e-9 <= np.min(own) and np.max(own) <= item["high"] + 1e-9
    widths = [item["high"] - item["low"] for item in found]
    assert widths == sorted(widths, reverse=True)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))


def test_the_overview_holds_every_rows_contribution(learned: tuple[Model, Rows]) -> None:
    model, table = learned
    check_overview(model, table)
    strange = {n: [None, *values[:9]] for n, values in table.items()}
    strange |= {"orders": [*[1e300] * 5, *[-np.inf] * 5], "city": ["new"] * 10}
    check_overview(model, strange)


def test_the_overview_of_the_original_recipe_ends_with_the_training_range() -> None:
    frame, y = made(500, 3)
    frame = frame[["orders", "staff", "x_y"]]
    model = json_model("original", frame, y)
    check_overview(model, rows_of_frame(frame, model.columns))
    orders = next(item for item in overview(model) if item["columns"] == ["orders"])
    slope, usual = orders["terms"][0]["slope"], model.profile["orders"]
    assert orders["high"] - orders["low"] == pytest.approx(
        abs(slope) * (usual["most"] - usual["least"])
    )


def test_the_effects_of_a_column_are_what_the_model_adds_for_the_value(
    learned: tuple[Model, Rows],
) -> None:
    model, _ = learned
    found = {tuple(item["columns"]): item for item in overview(model)}
    for name, kind in COLUMNS.items():
        values = [e["value"] for e in found[name,]["effects"]]
        if kind == "text":
            values = [v if e["text"] != "any other" else "nowhere" for v, e in
                      zip(values, found[name,]["effects"], strict=True)]  # fmt: skip
        table = {n: values if n == name else [None] * len(values) for n in COLUMNS}
        raw = model.raw(table)
        # What regions and products add by this column alone stands under it too.
        own = next(g for g in groups_of(model) if g.columns == (name,)).contribution(raw)
        for entry, effect in zip(found[name,]["effects"], own, strict=True):
            assert entry["effect"] == pytest.approx(effect, abs=1e-12)
            log_odds = np.log(entry["risk"] / (1 - entry["risk"]))
            assert log_odds == pytest.approx(model.intercept + effect)


def test_a_number_has_its_knots_and_its_blank_a_text_its_levels(
    learned: tuple[Model, Rows],
) -> None:
    model, _ = learned
    found = {tuple(item["columns"]): item["effects"] for item in overview(model)}
    curve = next(t for t in model.terms if isinstance(t, Curve) and t.column == "orders")

    assert [e["value"] for e in found["orders",]] == [*curve.knots, None]
    assert found["orders",][-1]["text"] == "missing"
    assert {e["text"].split(" (")[0] for e in found["city",]} == {
        "oslo", "riga", "bonn", "missing", "any other"}  # fmt: skip
    sizes = [e["effect"] for e in found["city",]]
    assert sizes == sorted(sizes, reverse=True)


def test_a_products_range_is_reached_at_its_corners() -> None:
    ramp = Ramp("orders", (0.0, 1.0))
    model = hand_made(Product(ramp, replace(ramp, column="staff"), mean=0.2, slope=-2.0))
    corners = {n: [None] * 2 for n in COLUMNS} | {"orders": [0.0, 1.0], "staff": [1.0, 1.0]}
    found = overview(model)[0]
    assert (found["high"], found["low"]) == pytest.approx(tuple(contributions(model, corners)[0]))
    assert {e["text"] for e in found["effects"]} == {
        f"orders {a} and staff {b}" for a in ("up to 0", "from 1") for b in ("up to 0", "from 1")
    }
    by_words = {e["text"]: e["effect"] for e in found["effects"]}
    assert by_words["orders from 1 and staff from 1"] == found["low"]
    assert by_words["orders from 1 and staff up to 0"] == found["high"]


def test_a_level_named_other_is_not_any_other() -> None:
    term = Levels("city", ("other", "other_", None), True, (1.0, 2.0, -1.0), 0.25)

    found = overview(hand_made(term))[0]["effects"]

    assert [(e["text"].split(" (")[0], e["effect"]) for e in found] == [
        ("other_", 2.0), ("other", 1.0), ("any other", 0.25), ("missing", -1.0)]  # fmt: skip


def test_a_line_without_anything_usual_is_shown_at_its_ends_or_not_at_all() -> None:
    clipped = replace(line("orders", 2.0), low=-1.0, high=3.0)
    raw = replace(line("staff", 1.0, mean=5.0), low=-1.7e308, high=1.7e308)

    found = {item["columns"][0]: item for item in overview(hand_made(clipped, raw))}

    assert [(e["value"], e["effect"]) for e in found["orders"]["effects"]] == [
        (-1, -2), (0, 0), (3, 6)]  # fmt: skip
    assert [(e["value"], e["effect"]) for e in found["staff"]["effects"]] == [(5, 0)]


def test_a_clipped_line_ends_where_it_is_clipped() -> None:
    clipped = replace(line("orders", 1.0), low=1.0, high=8.0)
    usual = {"least": 0.0, "low": 2.0, "median": 3.0, "high": 7.0, "most": 900.0}

    found = overview(hand_made(clipped, profile={"orders": usual}))[0]["effects"]

    assert [e["value"] for e in found] == [1, 2, 3, 7, 8]


def test_the_text_has_the_effect_the_risk_and_the_value_of_every_knot() -> None:
    curve = Curve("orders", 12.0, (0.0, 12.0, 1250.0), (1.5, -0.001, -2.25))
    usual = {"least": 0.0, "low": 3.0, "median": 12.0, "high": 40.0, "most": 1250.0}

    lines = text_lines(hand_made(curve, line("staff", 0.0), profile={"orders": usual}))

    assert "the average client's is 27%" in lines[1]
    assert block(hand_made(curve), "orders") == [
        "   +1.50   62%  0", "   +0.00   27%  12", "   -2.25    4%  1,250"]  # fmt: skip
    assert "orders (usually 3 to 40): -2.25 to +1.50" in lines
    assert lines[-1] == "no effect: staff"


def test_the_widest_range_is_first_and_columns_together_come_last() -> None:
    narrow, wide = (replace(line(name, slope), low=-1.0, high=1.0)
                    for name, slope in (("orders", 0.5), ("x_y", 2.0)))  # fmt: skip
    both = region(side("orders", "below", 3.0), side("staff", "below", 9.0), inside=5.0)

    heads = [text for text in text_lines(hand_made(narrow, both, wide)) if text and text[0] != " "]

    assert heads[-4:] == [
        "x y: -2.00 to +2.00",
        "orders: -0.50 to +0.50",
        "columns together, on top of the effects of each alone",
        "orders together with staff: -0.50 to +5.00",
    ]


def test_a_region_is_worded_by_its_conditions() -> None:
    term = region(
        side("orders", "at least", 3.0), side("orders", "below", 12.0), side("city", "is", "oslo")
    )
    other = region(side("city", "is not", None), side("staff", "below", 9.0))

    assert block(hand_made(term), "orders together with city") == [
        "   +2.00   73%  orders at least 3 and under 12 and city oslo",
        "   -0.50   18%  all others",
    ]
    assert block(hand_made(other), "city together with staff")[0].endswith(
        "city other than missing and staff under 9")  # fmt: skip


def test_a_product_with_a_level_is_shown_at_its_corners() -> None:
    ramp = Ramp("staff", (5.0, 8.0, 900.0), 8.0)
    term = Product(Ramp("city", level="riga"), ramp, slope=1.0)

    assert block(hand_made(term), "city together with staff") == [
        "   +1.00   50%  city other than riga and staff up to 5",
        "   -1.00   12%  city other than riga and staff from 900",
        "   -1.00   12%  city riga and staff up to 5",
        "   +1.00   50%  city riga and staff from 900",
    ]


def test_of_many_levels_the_highest_and_the_lowest_are_shown() -> None:
    levels = tuple(f"c{n:02}" for n in range(50))
    values = tuple(n / 10 for n in range(50))
    term = Levels("city", (*levels, None), True, (*values, 0.0), -9.0)

    lines = block(hand_made(term), "city: -9.00 to +4.90")

    assert [text.split()[2] for text in lines[:6]] == ["c49", "c48", "c47", "c46", "c45", "c44"]
    assert lines[6] == "  ... 40 between" and lines[-1].endswith("any other") and len(lines) == 13


def test_of_many_joint_effects_the_widest_are_told_and_the_rest_counted() -> None:
    terms = [
        region(side("orders", "below", float(n)), side("staff", "below", 9.0), inside=n / 10)
        for n in range(1, _MOST_JOINT + 4)
    ]

    lines = text_lines(hand_made(*terms))

    assert sum(text.startswith("orders together with staff") for text in lines) == _MOST_JOINT
    assert lines[-1] == "and 3 more with a range of at most 0.80; --json has them all"


def test_close_knots_are_told_apart_and_a_yes_or_no_has_its_shares() -> None:
    curve = Curve("orders", 0.0, (0.12341, 0.12342), (1.0, -1.0))
    flag = Curve("x_y", 0.0, (0.0, 1.0), (-0.1, 0.4))
    usual = {"least": 0.0, "low": 0.0, "high": 1.0, "most": 1.0, "shares": {"0": 0.8, "1": 0.2}}
    model = hand_made(curve, flag, profile={"x_y": usual})

    assert [text.split()[-1] for text in block(model, "orders")] == ["0.12341", "0.12342"]
    assert [text[16:] for text in block(model, "x y: -0.10 to +0.40")] == [
        "0 (80% of clients)", "1 (20% of clients)"]  # fmt: skip


def test_the_text_of_a_learned_model_names_every_column(learned: tuple[Model, Rows]) -> None:
    model, _ = learned
    heads = "\n".join(text for text in text_lines(model) if text[:1] != " ")
    assert all(name in heads for name in ("orders", "staff", "city", "x y", " together with "))

"""The JSON model says what the pipeline says, and nothing else gets past its reader."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed import contributions
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from risk.config import PipelineError
from risk.files import with_checksum
from risk.model import fit as fitting
from risk.model.additive import AdditiveTerms
from risk.model.logistic import expit
from risk.model.main_effects import _MOST_LEVELS, _clip_range
from risk.model.model import _MAX_BYTES, Model
from risk.model.pipelines import export, rows_of_frame

COLUMNS = {
    "orders": "number",
    "revenue": "number",
    "flag": "number",
    "gone": "number",
    "size": "number",
    "branch": "text",
    "city": "text",
    "same": "text",
}
NUMBERS = {name: kind for name, kind in COLUMNS.items() if kind == "number"}


def table(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows with blanks, a rare flag, an all-missing and a constant column, texts; and labels."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "orders": rng.poisson(3, n).astype(float),
            "revenue": rng.lognormal(8, 2, n),
            "flag": (np.arange(n) % 97 == 0).astype(float),
            "gone": np.nan,
            "size": 7.0,
            "branch": rng.choice(["north", "south", 'é, "west"'], n),
            "city": rng.choice([f"c{i}" for i in range(9)], n),
            "same": "one",
        }
    )
    frame.loc[rng.random(n) < 0.2, "orders"] = np.nan
    frame["branch"] = frame["branch"].astype(object).where(rng.random(n) > 0.2, None)
    y = (rng.random(n) < 1 / (1 + np.exp(frame["orders"].fillna(5) - 3))).astype(int)
    return frame, y


def strange(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with infinities, huge and tiny numbers, new levels and empty texts among them."""
    changed = frame.copy()
    for at, value in enumerate(
        [np.inf, -np.inf, 1e300, -1e300, 1.7e308, 5e-324, 0.0, -0.0, np.nan]
    ):
        for name in ("orders", "revenue", "flag", "gone", "size"):
            changed.loc[at, name] = value
    changed.loc[3, "branch"], changed.loc[4, "branch"], changed.loc[5, "city"] = "unseen", "", None
    return changed


@pytest.fixture(scope="module")
def raw() -> bytes:
    """A JSON model of the default recipe."""
    frame, y = table(300)
    return export(fitting.fit("default", COLUMNS, frame, y), COLUMNS, frame, {"base_rate": 0.4})


@pytest.mark.parametrize("n", [26, 300, 3000])
def test_the_json_model_equals_the_pipeline_on_strange_rows(n: int) -> None:
    frame, y = table(n)
    fitted = fitting.fit("default", COLUMNS, frame, y)
    model = Model.from_bytes(export(fitted, COLUMNS, frame, {}))
    for rows in (frame, strange(frame), table(2000, seed=1)[0]):
        ours = model.probabilities(rows_of_frame(rows, COLUMNS))
        assert np.abs(ours - fitted.predict_proba(rows)[:, 1]).max() <= 1e-12


@pytest.fixture(scope="module")
def two_features() -> tuple[Any, Model]:
    """A pipeline on a number and a text, and its JSON model."""
    columns = {"orders": "number", "branch": "text"}
    frame, y = table(60)
    fitted = fitting.fit("default", columns, frame, y)
    return fitted, Model.from_bytes(export(fitted, columns, frame, {}))


def test_the_original_recipes_json_model_equals_its_pipeline() -> None:
    frame, y = table(300)
    frame = frame[list(NUMBERS)].assign(revenue=lambda f: f["revenue"] / 1000)
    fitted = fitting.fit("original", NUMBERS, frame, y)
    model = Model.from_bytes(export(fitted, NUMBERS, frame, {}))
    huge = frame.copy()
    huge.loc[0, "revenue"], huge.loc[1, "orders"], huge.loc[2, "size"] = 1e300, -1e300, 1.7e308
    for rows in (frame, huge):
        ours = model.probabilities(rows_of_frame(rows, NUMBERS))
        assert np.abs(ours - fitted.predict_proba(rows)[:, 1]).max() <= 1e-12


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=False)),
            st.one_of(st.none(), st.text(max_size=3)),
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_the_json_model_equals_the_pipeline_on_any_row(
    two_features: tuple[Any, Model], rows: list[tuple[float | None, str | None]]
) -> None:
    fitted, model = two_features
    given_rows = {"orders": [number for number, _ in rows], "branch": [text for _, text in rows]}
    asked = pd.DataFrame(
        {
            "orders": pd.Series(given_rows["orders"], dtype=float),
            "branch": pd.Series(given_rows["branch"], dtype=object),
        }
    )
    assert (
        np.abs(model.probabilities(given_rows) - fitted.predict_proba(asked)[:, 1]).max() <= 1e-12
    )


def test_contributions_and_intercept_add_up_to_the_log_odds(raw: bytes) -> None:
    model = Model.from_bytes(raw)
    rows = rows_of_frame(table(50, seed=3)[0], COLUMNS)
    total = model.intercept + np.sum(contributions(model, rows), axis=0)
    assert np.abs(total - model.log_odds(rows)).max() <= 1e-12
    assert np.abs(1 / (1 + np.exp(-total)) - model.probabilities(rows)).max() <= 1e-15


def test_no_rows_give_no_probabilities(raw: bytes) -> None:
    assert Model.from_bytes(raw).probabilities({name: [] for name in COLUMNS}).shape == (0,)


@pytest.mark.parametrize("x", [-1e308, -800.0, -1.0, 0.0, 800.0, math.inf, -math.inf])
def test_the_logistic_function_never_overflows(x: float) -> None:
    expected = 0.0 if x < -700 else 1.0 if x > 700 else 1 / (1 + math.exp(-x))
    assert expit(np.array([x]))[0] == pytest.approx(expected)


def test_the_terms_behave_as_a_scikit_learn_transformer() -> None:
    frame, y = table(300)
    terms = AdditiveTerms(("orders", "size"), ("branch",))
    copy = clone(terms)
    assert copy.get_params() == {"numbers": ("orders", "size"), "texts": ("branch",)}
    design = copy.fit_transform(frame[:190], y[:190])  # too few for anything but the plain terms
    names = copy.get_feature_names_out().tolist()
    assert names == [
        "orders",
        "orders is missing",
        "branch = north",
        "branch = south",
        'branch = é, "west"',
        "branch = None",
    ]
    assert design.shape == (190, len(names))
    assert np.abs(design.mean(axis=0)).max() < 1e-12
    assert design[:, :2].std(axis=0) == pytest.approx([1, 1])


def test_the_default_terms_behave_as_a_scikit_learn_transformer() -> None:
    frame, y = table(3000)
    copy = clone(AdditiveTerms(("orders", "revenue"), ("branch", "city")))
    design = copy.fit(frame, y).transform(frame)
    names = copy.get_feature_names_out().tolist()
    assert design.shape == (3000, len(names)) and len(set(names)) == len(names)
    assert np.abs(design.mean(axis=0)).max() < 1e-9
    assert {"orders is missing", "branch = None"} <= set(names)


def plain(numbers: pd.DataFrame) -> AdditiveTerms:
    """The terms of numbers alone, with too few exits for curves."""
    return AdditiveTerms(tuple(numbers)).fit(numbers, np.zeros(len(numbers)))


def test_numbers_are_clipped_to_the_training_range_and_filled_by_the_median() -> None:
    values = pd.DataFrame({"orders": [*range(100), np.nan]}).astype(float)
    term = plain(values).terms_[0].term
    assert (term.low, term.high, term.fill) == (pytest.approx(0.99), pytest.approx(98.01), 49.5)


def test_four_blanks_give_no_flag_and_five_do() -> None:
    for blanks, names in ((4, ["x"]), (5, ["x", "x is missing"])):
        frame = pd.DataFrame({"x": [np.nan] * blanks + list(range(30))}).astype(float)
        assert plain(frame).get_feature_names_out().tolist() == names


@pytest.mark.parametrize("values", [[0.1] * 30, [np.nan] * 30, [np.inf] * 30, [0.0] * 30])
def test_a_constant_column_gives_no_term(values: list[float]) -> None:
    assert plain(pd.DataFrame({"x": values})).terms_ == []


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e9, 1e300])
def test_a_column_of_any_size_gives_the_same_standardised_term(scale: float) -> None:
    values = np.random.default_rng(0).normal(size=200)
    small, large = (
        plain(frame).transform(frame)
        for frame in (pd.DataFrame({"x": values * by}) for by in (1.0, scale))
    )
    assert np.abs(small - large).max() < 1e-9


def test_the_largest_numbers_of_all_train_and_are_told_apart() -> None:
    values = pd.DataFrame({"x": [1.7e308] * 30 + [-1.7e308] * 10})
    design = plain(values).transform(values)
    assert design[:, 0] == pytest.approx([3**-0.5] * 30 + [-(3**0.5)] * 10)


def test_a_rare_event_keeps_its_range() -> None:
    assert _clip_range(np.array([0.0] * 999 + [1.0])) == (0.0, 1.0)


def test_only_the_commonest_levels_have_a_term_of_their_own() -> None:
    texts = [f"level {at:03}" for at in range(200) for _ in range(1 + at // 100)]
    terms = AdditiveTerms((), ("x",)).fit(pd.DataFrame({"x": texts}), np.zeros(300)).terms_
    assert terms[0].term.levels == tuple(f"level {at:03}" for at in range(100, 100 + _MOST_LEVELS))


class Shifted(Pipeline):
    """A pipeline that answers a little differently from its parts."""

    def predict_proba(self, X: Any, **_: Any) -> np.ndarray:
        return super().predict_proba(X) + 1e-11


def test_export_is_refused_when_the_two_disagree() -> None:
    frame, y = table(100)
    fitted = fitting.fit("default", COLUMNS, frame, y)
    with pytest.raises(
        PipelineError, match=r"differs from the pipeline by 1e-11; nothing was written"
    ):
        export(Shifted(fitted.steps), COLUMNS, frame, {})


def test_export_is_refused_when_the_file_would_be_too_large() -> None:
    frame, y = table(100)
    frame["branch"] = [f"{at % 20}" + "x" * 500_000 for at in range(100)]
    fitted = fitting.fit("default", {"branch": "text"}, frame, y)
    with pytest.raises(
        PipelineError, match="more than 8000000; take the features with the longest texts"
    ):
        export(fitted, {"branch": "text"}, frame, {})


def changed(raw: bytes, **values: Any) -> bytes:
    return json.dumps(with_checksum(json.loads(raw) | values)).encode()


def numbers_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to every number in nested lists and objects."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, part in items for found in numbers_in(part, (*path, key))]
    return [path] if isinstance(value, float) else []


def test_the_self_check_notices_changed_terms(raw: bytes) -> None:
    """A value that no self-check row meets may pass: the checksum and the manifest hold it."""
    body, taken = json.loads(raw), []
    places = numbers_in(body["terms"])
    for *path, last in places:
        terms = json.loads(json.dumps(body["terms"]))
        place = terms
        for key in path:
            place = place[key]
        place[last] = place[last] * 1.000001 + 1e-9
        try:
            Model.from_bytes(changed(raw, terms=terms))
            taken.append((*path, last))
        except PipelineError as error:
            assert "self-check rows do not come out" in str(error)
    assert len(places) > 40 and len(taken) < 0.4 * len(places)
    with pytest.raises(PipelineError, match="self-check"):
        Model.from_bytes(changed(raw, intercept=body["intercept"] + 1e-9))


def test_every_flipped_bit_is_refused_or_changes_no_value(raw: bytes) -> None:
    whole, wrong = json.loads(raw), []
    for at in range(len(raw)):
        damaged = raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :]
        try:
            Model.from_bytes(damaged)
        except PipelineError:
            continue
        if json.loads(damaged) != whole:
            wrong.append(at)
    assert wrong == []


def hostile(raw: bytes) -> dict[str, bytes]:
    """Bytes that are no model, by what is wrong with them; most of them are sealed."""
    body = json.loads(raw)
    check = body["self_check"]
    curve = next(term for term in body["terms"] if term["kind"] == "curve")
    levels = next(term for term in body["terms"] if term["kind"] == "levels")
    line = {"kind": "linear", "column": "size", "low": 0.0, "high": 1.0, "fill": 0.0}
    line |= {"mean": 0.0, "slope": 1.0}
    region = {"kind": "region", "inside": 1.0, "outside": 0.0}
    side = {"column": "size", "sign": "at least", "value": 1.0, "fill": 0.0}
    ramp = {"column": "size", "knots": [0.0, 1.0], "fill": 0.0, "level": None}
    product = {"kind": "product", "first": ramp, "second": ramp, "mean": 0.0, "slope": 1.0}
    terms = {
        "no terms' kind": {**curve, "kind": "code"},
        "a list as kind": {**curve, "kind": ["curve"]},
        "an unknown column": {**curve, "column": "absent"},
        "a text column": {**curve, "column": "city"},
        "an extra key": {**curve, "call": "os.system"},
        "falling knots": {**curve, "knots": curve["knots"][::-1]},
        "fewer values than knots": {**curve, "values": curve["values"][1:]},
        "one knot": {**curve, "knots": [1.0], "values": [1.0]},
        "a text as value": {**curve, "values": ["1", *curve["values"][1:]]},
        "true as value": {**curve, "values": [True, *curve["values"][1:]]},
        "a huge whole number": {**curve, "fill": 10**400},
        "no fill": {k: curve[k] for k in curve if k != "fill"},
        "low above high": {**line, "low": 9.0},
        "levels of a number": {**levels, "column": "size"},
        "a text as level's value": {**levels, "values": ["x", *levels["values"][1:]]},
        "levels with their values": {**levels, "levels": {"c1": 1.0}},
        "fewer values than levels": {**levels, "values": levels["values"][1:]},
        "a level twice": {**levels, "levels": [levels["levels"][1], *levels["levels"][1:]]},
        "a number as one of the levels": {**levels, "levels": [7, *levels["levels"][1:]]},
        "a text as flag": {**levels, "rest": "yes"},
        "no conditions": {**region, "conditions": []},
        "a text's sign on a number": {**region, "conditions": [{**side, "sign": "is"}]},
        "an unknown sign": {**region, "conditions": [{**side, "sign": "__import__"}]},
        "a number as level": {
            **region,
            "conditions": [{"column": "city", "sign": "is", "value": 7, "fill": None}],
        },
        "a condition of a number without a fill": {
            **region,
            "conditions": [{**side, "fill": None}],
        },
        "a condition of a text with a fill": {
            **region,
            "conditions": [{"column": "city", "sign": "is", "value": "c1", "fill": 0.0}],
        },
        "a condition that is a list": {**region, "conditions": [["size", "at least", 1.0]]},
        "a condition with more": {**region, "conditions": [{**side, "call": "x"}]},
        "a ramp without knots": {**product, "first": {**ramp, "knots": []}},
        "a ramp without a fill": {**product, "first": {"column": "size", "knots": [0.0, 1.0]}},
        "a ramp with a level on a number": {**product, "first": {**ramp, "level": "x"}},
        "a ramp of a text with knots": {**product, "second": {**ramp, "column": "city"}},
    }
    made = {
        f"a term with {what}": changed(raw, terms=[one, *body["terms"][1:]])
        for what, one in terms.items()
    }
    made |= {
        f"without {key}": json.dumps(
            with_checksum({k: v for k, v in body.items() if k != key})
        ).encode()
        for key in ("format", "columns", "intercept", "terms", "self_check", "profile")
    }
    made |= {
        f"{key} = {value!r}": changed(raw, **{key: value})
        for key in ("format", "columns", "intercept", "terms", "self_check", "lineage")
        for value in (None, -7, "x", [3])
    }
    made |= {
        "a value changed, checksum kept": raw.replace(b'"other": ', b'"other": 1', 1),
        "not a number": raw.replace(b'"intercept": ', b'"intercept": NaN, "x": ', 1),
        "infinity": raw.replace(b'"intercept": ', b'"intercept": 1e999, "x": ', 1),
        "no check rows": changed(
            raw, self_check={"rows": {name: [] for name in COLUMNS}, "log_odds": []}
        ),
        "ragged check rows": changed(
            raw, self_check=check | {"rows": check["rows"] | {"orders": [1.0]}}
        ),
        "check rows of text": changed(
            raw, self_check=check | {"rows": check["rows"] | {"orders": ["x"] * 5}}
        ),
        "a column of no kind": changed(raw, columns=body["columns"] | {"x": "code"}),
        "a column of a list": changed(raw, columns=body["columns"] | {"x": []}),
        "a deep list": b"[" * 1_000_000,
        "a deep object": b'{"a":' * 1_000_000,
        "a long number": b'{"format": ' + b"9" * 10_000 + b"}",
        "nothing": b"",
        "a list": b"[]",
        "null": b"null",
        "a pickle": b"\x80\x05\x95",
        "no text": b"\xff\xfe\x00",
        "zeros": bytes(100),
        "too large": b" " * (_MAX_BYTES + 1),
    }
    return made


def test_hostile_bytes_are_refused_and_nothing_else(raw: bytes) -> None:
    taken = []
    for what, data in hostile(raw).items():
        try:
            Model.from_bytes(data)
            taken.append(what)
        except PipelineError as error:
            assert "JSON model is damaged" in str(error), what
    assert taken == []
    assert Model.from_bytes(raw).columns == COLUMNS


def test_a_newer_format_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(
        PipelineError, match="written by a newer version of this software; update it"
    ):
        Model.from_bytes(changed(raw, format=2))


def test_the_original_recipe_is_liblinear_on_the_raw_columns() -> None:
    for seed in range(5):
        frame, y = table(200, seed)
        frame = frame[["revenue", "flag", "size"]]
        published = LogisticRegression(solver="liblinear", random_state=0).fit(frame.to_numpy(), y)
        fitted = fitting.fit("original", dict.fromkeys(frame, "number"), frame, y)
        assert np.array_equal(fitted[-1].coef_, published.coef_)
        assert np.array_equal(fitted[-1].intercept_, published.intercept_)
        assert np.array_equal(
            fitted.predict_proba(frame), published.predict_proba(frame.to_numpy())
        )

"""Raw columns become lines, curves and levels: their bends, what fills them, what gives none."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from risk.model import design, forms, main_effects
from risk.model import fit as fitting
from risk.model.additive import AdditiveTerms
from risk.model.design import DesignTerm
from risk.model.joint_terms import Condition, Ramp
from risk.model.main_effects import _curve_of, _frequent_levels
from risk.model.model import Model
from risk.model.pipelines import export
from risk.model.terms import Blank, Curve, Levels, Linear, Log, Rank, Raw

NAN = np.nan


def objects(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def labels(score: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels whose log-odds are the score."""
    rng = np.random.default_rng(seed)
    return (rng.random(score.size) < 1 / (1 + np.exp(-score))).astype(np.int64)


def kinds(frame: pd.DataFrame) -> dict[str, str]:
    return {name: "text" if frame[name].dtype == object else "number" for name in frame}


def fitted_terms(frame: pd.DataFrame, y: np.ndarray, groups: Any = None) -> list[Any]:
    names = kinds(frame)
    numbers, texts = (
        tuple(n for n, kind in names.items() if kind == want) for want in ("number", "text")
    )
    return AdditiveTerms(numbers, texts).fit(frame, y, groups).terms_


def test_a_curve_rises_piece_by_piece_between_its_knots() -> None:
    curve = Curve("x", 5.0, (0.0, 10.0, 30.0))
    raw = {"x": np.array([-np.inf, -1, 0, 5, 10, 15, 30, 31, np.inf, NAN])}
    pieces = [[0, 0], [0, 0], [0, 0], [0.5, 0], [1, 0], [1, 0.25], [1, 1], [1, 1], [1, 1], [0.5, 0]]
    assert curve.basis(raw).T.tolist() == pieces


@pytest.mark.parametrize("knots", [(0.0, 1e-300, 1e300), (-4e307, 4e307), (0.0, 5e-324, 1.0)])
def test_a_curve_meets_the_largest_and_smallest_numbers_without_a_warning(
    knots: tuple[float, ...],
) -> None:
    values = np.array([-1.7e308, 1.7e308, np.inf, -np.inf, 5e-324, 0.0, 1e-9])
    pieces = Curve("x", 0.0, knots).basis({"x": values}).T
    assert np.all((pieces >= 0) & (pieces <= 1))
    assert pieces[1].tolist() == [1.0] * (len(knots) - 1) and not pieces[0].any()


def test_a_curves_columns_are_its_pieces_about_their_means_at_their_scales() -> None:
    knots, means, scales = (0.0, 10.0, 30.0, 31.0), (0.3, 0.2, 0.1), (2.0, 3.0, 0.7)
    values = np.append(np.random.default_rng(0).normal(15, 20, 500), [NAN, np.inf, -np.inf])
    start, end = np.array(knots[:-1]), np.array(knots[1:])
    known = np.where(np.isnan(values), 5.0, values)[:, None]
    pieces = (np.clip(known, start, end) - start) / (end - start)
    found = DesignTerm(Curve("x", 5.0, knots), means, scales).columns({"x": values}).T
    assert np.array_equal(found, (pieces - np.array(means)) * np.array(scales))


def test_the_knots_are_quantiles_of_the_middle_98_in_100() -> None:
    values = np.append(np.arange(1000.0), [1e9, NAN, np.inf])
    curve = _curve_of("x", values, 4)
    assert curve is not None
    low, high = np.quantile(values[:1001], [0.01, 0.99])
    middle = np.quantile(np.clip(values[:1001], low, high), [0.25, 0.5, 0.75])
    assert curve.knots == pytest.approx([low, *middle, high])
    assert curve.fill == 500.0


def test_knots_that_coincide_are_one() -> None:
    curve = _curve_of("x", np.array([0.0] * 700 + [1.0] * 100 + [2.0] * 200), 8)
    assert curve is not None and curve.knots == (0.0, 1.0, 2.0)


def test_a_rare_flag_keeps_both_its_values() -> None:
    curve = _curve_of("x", np.array([0.0] * 995 + [1.0] * 5), 8)
    assert curve is not None and curve.knots == (0.0, 1.0)


@pytest.mark.parametrize(
    "values", [[3.0] * 400, [NAN] * 400, [np.inf] * 400, [0.1] * 399 + [NAN], [0.0, 5e-324] * 200]
)
def test_a_column_without_two_values_gives_no_curve(values: list[float]) -> None:
    assert _curve_of("x", np.array(values), 8) is None


@pytest.mark.parametrize(("smaller", "pieces"), [(50, 3), (100, 4), (199, 7), (5000, 8)])
def test_more_of_the_rarer_class_allow_more_pieces(smaller: int, pieces: int) -> None:
    raw = {"x": np.random.default_rng(0).normal(size=2000)}
    (curve,) = main_effects.main_effects(raw, ("x",), (), smaller)
    assert len(curve.knots) == pieces + 1


def test_columns_are_centred_on_the_rows_they_were_fitted_to() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=900), "b": rng.lognormal(size=900)})
    frame.loc[:80, "a"] = NAN
    frame["t"] = pd.Series(rng.choice(["u", "v", None], 900), dtype=object)
    y = labels(np.cos(3 * frame["b"].to_numpy()))
    matrix = AdditiveTerms(("a", "b"), ("t",)).fit(frame, y).transform(frame)
    assert np.abs(matrix.mean(axis=0)).max() < 1e-12


def test_each_level_has_its_column_and_the_others_share_one() -> None:
    levels = Levels("t", ("b", None), rest=True)
    raw = {"t": objects(["b", None, "c", "unseen", "b "])}
    assert levels.basis(raw).T.tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 1],
        [0, 0, 1],
    ]
    assert levels.names() == ["t = b", "t = None", "t = (other)"]


def test_without_others_an_unseen_level_is_none_of_them() -> None:
    found = Levels("t", ("a", "b"), rest=False).basis({"t": objects(["a", "c", None])}).T
    assert found.tolist() == [[1, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("counts", "levels", "other"),
    [
        ({"a": 500, "b": 490, "c": 10}, ("a", "b", "c"), False),
        ({"a": 500, "b": 491, "c": 9}, ("a", "b"), True),
        ({"a": 500, None: 500}, ("a", None), False),
        ({"a": 995, "b": 5}, ("a",), True),
        ({"b": 50, "a": 50}, ("a", "b"), False),
    ],
)
def test_levels_with_ten_rows_are_kept(
    counts: dict[str | None, int], levels: tuple[str | None, ...], other: bool
) -> None:
    found = _frequent_levels(
        "t", objects([level for level in counts for _ in range(counts[level])])
    )
    assert found is not None and (found.levels, found.rest) == (levels, other)


def test_in_many_rows_a_kept_level_has_its_share_of_them() -> None:
    least = 20
    rows = int(least / main_effects._LEVEL_SHARE)
    texts = objects(["a"] * (rows - 2 * least + 1) + ["b"] * least + ["c"] * (least - 1))
    found = _frequent_levels("t", texts)
    assert found is not None and (found.levels, found.rest) == (("a", "b"), True)


@pytest.mark.parametrize("texts", [["a"] * 400, [None] * 400, [f"t{n}" for n in range(400)]])
def test_a_text_with_one_or_only_rare_levels_gives_no_term(texts: list[str | None]) -> None:
    assert _frequent_levels("t", objects(texts)) is None


def test_of_thousands_of_levels_fifty_are_kept() -> None:
    rng = np.random.default_rng(0)
    texts = [f"t{n}" for n in (rng.pareto(0.7, 20_000) * 20).astype(int) % 5000]
    found = _frequent_levels("t", objects(texts))
    assert found is not None and len(found.levels) == main_effects._MOST_LEVELS and found.rest
    assert len(set(texts)) > 1500
    ordered = pd.Series(texts).value_counts()
    assert {*found.levels} <= {*ordered.index[ordered >= ordered.iloc[49]]}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Condition("t", "is", "a"), [1, 0, 0, 0]),
        (Condition("t", "is not", "a"), [0, 1, 1, 1]),
        (Condition("t", "is", None), [0, 1, 0, 0]),
        (Condition("t", "is not", None), [1, 0, 1, 1]),
        (Condition("x", "at least", 2.0, 1.0), [0, 1, 1, 0]),
        (Condition("x", "below", 2.0, 1.0), [1, 0, 0, 1]),
        (Condition("x", "at least", 2.0, 5.0), [0, 1, 1, 1]),
    ],
)
def test_a_condition_holds_row_by_row_also_beside_blanks(
    part: Condition, expected: list[int]
) -> None:
    raw = {"t": objects(["a", None, "b", "None"]), "x": np.array([1.9, 2.0, np.inf, NAN])}
    held = part.holds(raw)
    assert held.shape == (4,) and held.astype(int).tolist() == expected


def test_a_ramp_is_a_rank_for_numbers_and_a_side_for_levels() -> None:
    raw = {"t": objects(["a", None, "b"]), "x": np.array([-9.0, NAN, 3.0])}
    assert Ramp("x", (0.0, 2.0, 4.0), 2.0).values(raw).tolist() == [-1.0, 0.0, 0.5]
    assert Ramp("t", level="a").values(raw).tolist() == [1.0, -1.0, -1.0]
    assert Ramp("t", level=None).values(raw).tolist() == [-1.0, 1.0, -1.0]


def test_texts_of_any_kind_become_str_or_none() -> None:
    found = design._texts([None, NAN, "", "a", 7, "None", pd.NA])
    assert found.tolist() == [None, None, None, "a", "7", "None", None]


def test_numbers_of_any_kind_become_floats() -> None:
    found = design._numbers(pd.Series([1, None, 3], dtype="Int64"))
    assert found.dtype == np.float64 and np.array_equal(found, [1, NAN, 3], equal_nan=True)


@pytest.mark.parametrize(
    ("n", "exits", "curves"),
    [(199, 99, False), (200, 100, True), (400, 49, False), (400, 50, True), (400, 351, False)],
)
def test_few_rows_or_few_of_a_class_give_the_plain_terms(n: int, exits: int, curves: bool) -> None:
    x = np.random.default_rng(2).normal(size=n)
    y = np.zeros(n, dtype=np.int64)
    y[np.argsort(-np.abs(x))[:exits]] = 1
    frame = pd.DataFrame({"x": x})
    found = fitted_terms(frame, y)
    assert isinstance(found[0].term, Curve) is curves
    if not curves:  # one straight column, as it is, by its logarithm or by its rank
        assert [type(one.term) for one in found] in ([Linear], [Log], [Rank])


@pytest.mark.parametrize("seed", range(4))
def test_straight_lines_win_on_straight_data(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(600, 3))
    found = fitted_terms(pd.DataFrame(x, columns=list("abc")), labels(x @ [1.5, 1.0, -1.0], seed))
    assert [type(one.term) for one in found[:3]] == [Linear, Linear, Linear]


def test_curves_win_on_a_valley() -> None:
    x = np.random.default_rng(3).normal(size=2000)
    y, frame = labels(2 * x**2 - 2), pd.DataFrame({"x": x})
    fitted = fitting.fit("default", {"x": "number"}, frame, y)
    assert isinstance(fitted[0].terms_[0].term, Curve)
    risk = fitted.predict_proba(pd.DataFrame({"x": [-2.0, 0.0, 2.0]}))[:, 1]
    assert risk[0] > 0.9 and risk[1] < 0.25 and risk[2] > 0.9
    assert roc_auc_score(y, fitted.predict_proba(frame)[:, 1]) > 0.83


def test_what_decides_keeps_a_clients_rows_in_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    clients = objects([f"c{n % 90}" for n in range(600)])
    frame, seen = pd.DataFrame({"x": rng.normal(size=600)}), []
    real = forms._held_out_losses

    def watched(Z: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
        seen.append(fold)
        return real(Z, y, fold)

    monkeypatch.setattr(forms, "_held_out_losses", watched)
    fitted_terms(frame, labels(frame["x"].to_numpy()), clients)
    # A number goes as it is, by its logarithm and by its rank.
    assert len(seen) == len(forms._STRENGTHS) + 3 * len(forms._PLAIN_STRENGTHS)
    for fold in seen:
        assert len(set(fold)) == 5
        assert len(set(zip(clients, fold, strict=True))) == 90


@pytest.mark.parametrize("clients", [1, 2, 3])
def test_a_handful_of_clients_can_be_learned_from(clients: int) -> None:
    x = np.random.default_rng(5).normal(size=400)
    groups = objects([f"c{n % clients}" for n in range(400)])
    found = fitted_terms(pd.DataFrame({"x": x}), labels(x), groups)
    assert len(found) == 1 and np.all(np.isfinite(found[0].columns({"x": x})))


def test_the_loss_of_each_row_is_by_a_fit_without_its_fold() -> None:
    """A column that names the row helps on the rows fitted and on no other."""
    y = np.tile([0, 1], 60)
    apart, together = np.arange(120) % 5, np.zeros(120, dtype=int)
    together[60:] = 1
    column = np.where(np.arange(120) < 60, 1.0, -1.0)[:, None] * (2 * y - 1)[:, None]
    losses = forms._held_out_losses(column, y, apart)
    assert losses.shape == (120,) and losses.mean() == pytest.approx(np.log(2), abs=0.05)
    assert forms._held_out_losses(column, y, together).mean() > 1.5


@pytest.mark.parametrize("rows", [60, 400])
def test_a_number_over_decades_goes_by_its_logarithm_a_bell_as_it_is(rows: int) -> None:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"size": np.exp(rng.normal(4, 1.5, rows)), "bell": rng.normal(size=rows)})
    # 8 exits are too few to ask; of labels by lot no form is better than another.
    y = np.zeros(rows, dtype=np.int64)
    y[:: rows // 8 if rows < 100 else 5] = 1
    found = fitted_terms(frame, y)
    assert [type(one.term) for one in found] == [Log, Linear]


def test_another_form_is_taken_where_it_gains_beyond_the_noise_between_clients() -> None:
    rng = np.random.default_rng(9)
    gains = rng.normal(0.02, 0.2, 400)
    assert forms._is_clear(gains, np.arange(400))
    # The same gains of a fifth of the clients, five rows each, say less.
    again = np.repeat(gains[:16], 25)
    assert forms._is_clear(again - again.mean() + 0.02, np.arange(400))
    assert not forms._is_clear(again - again.mean() + 0.02, np.repeat(np.arange(16), 25))
    assert not forms._is_clear(np.full(400, 0.0004), np.arange(400))


def hard_tables() -> dict[str, tuple[pd.DataFrame, int]]:
    """Tables that some recipe trips over, by what is hard, with the number of terms expected."""
    rng = np.random.default_rng(6)
    n = 1000
    x = rng.normal(size=n)
    clean = pd.DataFrame({"x": x})
    many = objects([f"t{i}" for i in rng.integers(0, 4000, n)])
    blank = np.where(rng.random(n) < 0.97, NAN, rng.normal(size=n))
    return {
        "infinities": (clean.assign(a=np.where(rng.random(n) < 0.2, np.inf, x)), 2),
        "minus infinities": (clean.assign(a=np.where(rng.random(n) < 0.3, -np.inf, x)), 2),
        "the largest numbers": (clean.assign(a=rng.choice([1.7e308, -1.7e308, 0.0], n)), 2),
        "the smallest numbers": (clean.assign(a=rng.choice([0.0, 5e-324, 1e-320], n)), 1),
        "600 powers of ten": (clean.assign(a=10 ** rng.uniform(-300, 300, n)), 2),
        "a column four times": (clean.assign(a=x, b=x, c=-x), 4),
        "constants": (clean.assign(a=7.0, b=0.0, c="one"), 1),
        "an all-missing column": (clean.assign(a=NAN), 1),
        "a column of 30 values": (clean.assign(a=blank), 3),
        "thousands of levels": (clean.assign(t=many), 1),
        "dates as numbers": (clean.assign(a=20_240_000.0 + rng.integers(101, 1231, n)), 2),
    }


@pytest.mark.parametrize("what", list(hard_tables()))
def test_hard_tables_are_learned_without_a_warning(what: str) -> None:
    frame, expected = hard_tables()[what]
    frame = frame.astype({n: object for n in frame if not pd.api.types.is_numeric_dtype(frame[n])})
    y = labels(1.5 * frame["x"].to_numpy(), seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fitting.fit("default", kinds(frame), frame, y)
    names = fitted[0].get_feature_names_out()
    assert len(fitted[0].terms_) == expected and len(set(names)) == len(names)
    assert roc_auc_score(y, fitted.predict_proba(frame)[:, 1]) > 0.8
    model = Model.from_bytes(export(fitted, kinds(frame), frame, {}))
    assert len(model.terms) == expected


def test_copies_of_a_column_share_its_weight() -> None:
    x = np.random.default_rng(7).normal(size=1000)
    frame = pd.DataFrame({"a": x, "b": x})
    fitted = fitting.fit("default", kinds(frame), frame, labels(x))
    weights = fitted[-1].coef_[0]
    half = len(weights) // 2
    assert weights[:half] == pytest.approx(weights[half:], abs=1e-6)


def test_26_rows_give_a_finite_model_that_ranks() -> None:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.normal(size=(26, 3)), columns=list("abc"))
    frame["t"] = pd.Series(list("uv") * 13, dtype=object)
    y = (frame["a"] > 0.3).to_numpy().astype(np.int64)
    fitted = fitting.fit("default", kinds(frame), frame, y)
    assert roc_auc_score(y, fitted.predict_proba(frame)[:, 1]) > 0.9


def test_one_exit_in_a_hundred_is_ranked_and_calibrated_in_the_mean() -> None:
    rng = np.random.default_rng(9)
    frame = pd.DataFrame(rng.normal(size=(8000, 4)), columns=list("abcd"))
    y = labels(-5.6 + 1.5 * frame["a"].to_numpy(), seed=3)
    assert 0.005 < y.mean() < 0.02
    fitted = fitting.fit("default", kinds(frame), frame, y)
    risk = fitted.predict_proba(frame)[:, 1]
    assert risk.mean() == pytest.approx(y.mean(), rel=0.01)
    assert roc_auc_score(y, risk) > 0.8


def test_a_blank_that_goes_with_an_exit_is_a_term() -> None:
    rng = np.random.default_rng(10)
    x, gone = rng.normal(size=800), rng.random(800) < 0.3
    frame = pd.DataFrame({"x": np.where(gone, NAN, x)})
    fitted = fitting.fit("default", {"x": "number"}, frame, labels(3.0 * gone - 1))
    assert any(isinstance(one.term, Blank) for one in fitted[0].terms_)
    risk = fitted.predict_proba(pd.DataFrame({"x": [NAN, 0.0]}))[:, 1]
    assert risk[0] > 0.8 and risk[1] < 0.35


def test_a_clone_fitted_to_the_same_rows_has_the_same_terms() -> None:
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(rng.normal(size=(1500, 3)), columns=list("abc"))
    frame["t"] = pd.Series(rng.choice(["u", "v"], 1500), dtype=object)
    y = labels(frame["a"].to_numpy() * frame["b"].to_numpy() * 2)
    first = AdditiveTerms(("a", "b", "c"), ("t",)).fit(frame, y)
    second = clone(first).fit(frame, y)
    assert first.terms_ == second.terms_ and len(first.terms_) > 4


def test_terms_do_not_depend_on_the_order_of_their_features_columns() -> None:
    rng = np.random.default_rng(12)
    frame = pd.DataFrame(rng.normal(size=(500, 2)), columns=["a", "b"])
    y = labels(frame["a"].to_numpy())
    ahead = AdditiveTerms(("a", "b")).fit(frame, y).terms_
    behind = AdditiveTerms(("b", "a")).fit(frame[["b", "a"]], y).terms_
    assert {one.term.column: one for one in ahead} == {one.term.column: one for one in behind}


def test_no_rows_have_a_design_of_no_rows() -> None:
    raw: Raw = {"x": np.zeros(0), "t": objects([])}
    found = [
        DesignTerm(Curve("x", 0.5, (0.0, 1.0)), (0.5,), (1.0,)),
        DesignTerm(Levels("t", ("a", None), True), (0.1,) * 3, (1.0,) * 3),
    ]
    assert design.design(found, raw).shape == (0, 4) and design.design([], raw).shape == (0, 0)


def test_a_design_has_the_columns_of_its_terms_side_by_side() -> None:
    raw: Raw = {"x": np.arange(20.0), "t": objects(["a", "b", None, "c"] * 5)}
    found = [
        DesignTerm(Curve("x", 5.0, (0.0, 5.0, 19.0)), (0.5, 0.4), (1.0, 2.0)),
        DesignTerm(Levels("t", ("a", None), True), (0.1,) * 3, (1.0,) * 3),
        DesignTerm(Linear("x", 1.0, 18.0, 5.0), (0.0,), (1.0,)),
    ]
    expected = np.vstack([one.columns(raw) for one in found]).T
    assert np.array_equal(design.design(found, raw), expected)

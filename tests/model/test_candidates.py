"""Models of the same terms under several weightings, and what must be the same between them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mixed import COLUMNS, contributions, every_kind, known_of, mixed, strange, words

from risk.config import PipelineError
from risk.model import fit as fitting
from risk.model import newton
from risk.model.candidates import (
    _LEAST_WEIGHT,
    WEIGHTINGS,
    Candidates,
    LabelledRows,
    _fit_original,
    _raw_lines,
    cross_fitted,
)
from risk.model.design import DesignTerm, design, weighted_terms
from risk.model.fit import ridge_weights
from risk.model.model import Model
from risk.model.newton import sums
from risk.model.pipelines import export, model_of_pipeline, rows_of_frame

NUMBERS = {"orders": "number", "revenue": "number"}


def taken(known: LabelledRows, rows: np.ndarray) -> LabelledRows:
    """These rows of the known ones, also several times."""
    return LabelledRows(
        known.recipe,
        known.columns,
        known.features.iloc[rows].reset_index(drop=True),
        known.labels[rows],
        known.clients[rows],
        known.ages[rows],
    )


def amounts(model: Model) -> list[float]:
    """Intercept and every number of every term, in order."""
    texts = json.dumps([model.intercept, [t.to_json() for t in model.terms]], sort_keys=True)
    numbers: list[float] = []
    json.loads(texts, parse_float=lambda text: numbers.append(float(text)))
    return numbers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("all", [1, 1, 1, 1, 1]),
        ("half", [1, 0.5, 0.25, 0.125, 0.5**9]),
        ("last", [1, 0, 0, 0, 0]),
        ("last3", [1, 1, 1, 0, 0]),
    ],
)
def test_what_a_row_counts_by_its_age(name: str, expected: list[float]) -> None:
    assert WEIGHTINGS[name](np.array([0, 1, 2, 3, 9])).tolist() == expected


@pytest.mark.parametrize("make", [ridge_weights, _fit_original])
def test_a_whole_weight_is_a_row_that_often(make: Any) -> None:
    known = known_of(300, seed=1)
    times = np.random.default_rng(0).integers(0, 4, 300)
    rows = np.repeat(np.arange(300), times)
    terms = (
        every_kind(known.raw)
        if make is ridge_weights
        else _raw_lines(known_of(300, seed=1, recipe="original").raw)
    )

    weighed = make(
        terms,
        known.rows(np.flatnonzero(times)),
        known.labels[times > 0],
        times[times > 0].astype(np.float64),
    )
    repeated = make(terms, known.rows(rows), known.labels[rows], np.ones(rows.size))

    # liblinear stops at its own tolerance, on the way there by another path.
    assert weighed == pytest.approx(repeated, abs=1e-8 if make is ridge_weights else 5e-3)
    assert np.abs(weighed).max() > 0.1


def test_weighted_sums_of_ones_are_the_plain_ones() -> None:
    known = known_of(200)
    Z = design(every_kind(known.raw), known.raw)
    at = np.random.default_rng(0).normal(0, 0.3, Z.shape[1] + 1)

    plain = sums(Z, known.labels, at)
    weighed = sums(Z, known.labels, at, np.full(200, 2.5))

    for ours, theirs in zip(weighed, plain, strict=True):
        assert ours == pytest.approx(2.5 * np.asarray(theirs), rel=1e-12)


def test_the_weighted_gradient_is_the_slope_of_the_weighted_loss() -> None:
    known = known_of(120)
    Z = design(every_kind(known.raw), known.raw)
    rng = np.random.default_rng(1)
    at, weight = rng.normal(0, 0.3, Z.shape[1] + 1), rng.random(120)
    _, slope, bend = sums(Z, known.labels, at, weight)

    for place in range(at.size):
        step = np.zeros(at.size)
        step[place] = 1e-5
        up, down = (sums(Z, known.labels, at + s, weight) for s in (step, -step))
        assert (up[0] - down[0]) / 2e-5 == pytest.approx(slope[place], abs=1e-5)
        assert (up[1] - down[1]) / 2e-5 == pytest.approx(bend[place], abs=1e-5)


def test_each_candidate_is_the_fit_on_its_own_rows() -> None:
    ages = np.arange(600) % 5
    known = known_of(600, seed=2, ages=ages)
    all_of = Candidates(known)

    for name, rows in (("last", ages == 0), ("last3", ages < 3)):
        few = Candidates(taken(known, np.flatnonzero(rows)))
        alone = few.fit(all_of.terms, np.ones(int(rows.sum())))
        assert amounts(all_of.model(name)) == pytest.approx(amounts(alone), abs=1e-12)
    apart = [amounts(all_of.model(name)) for name in WEIGHTINGS]
    for at, one in enumerate(apart):
        for two in apart[at + 1 :]:
            assert np.abs(np.array(one) - two).max() > 1e-3


def test_rows_of_hardly_any_weight_are_left_out() -> None:
    ages = np.array([0] * 200 + [13] * 200 + [14] * 200)
    known = known_of(600, seed=3, ages=ages)
    assert 0.5**13 > _LEAST_WEIGHT > 0.5**14
    flipped = np.where(ages == 14, 1 - known.labels, known.labels)
    terms = every_kind(known.raw)
    half = WEIGHTINGS["half"](ages)

    before = Candidates(known).fit(terms, half)
    after = Candidates(replace(known, labels=flipped)).fit(terms, half)

    assert amounts(after) == amounts(before)


def test_a_model_is_fitted_once_and_kept() -> None:
    found = Candidates(known_of(60))

    assert found.model("all") is found.model("all")


@pytest.mark.parametrize("n", [60, 1200])
def test_all_rows_alike_is_what_training_fits(n: int) -> None:
    known = known_of(n, seed=4)
    ours = Candidates(known).model("all")

    theirs = fitting.fit("default", COLUMNS, known.features, known.labels, known.clients)
    trained = model_of_pipeline(theirs, COLUMNS)

    assert words(trained.terms) == words(ours.terms)
    assert amounts(ours) == pytest.approx(amounts(trained), abs=1e-6)


def test_the_terms_are_found_with_all_rows_of_a_client_in_one_fold() -> None:
    few = known_of(260, seed=10)
    known = taken(few, np.repeat(np.arange(260), 4))  # in folds of rows, each would be known before

    ours = Candidates(known).terms

    fit = fitting.fit("default", COLUMNS, known.features, known.labels, known.clients)
    rows_apart = fitting.fit("default", COLUMNS, known.features, known.labels)
    assert ours == fit[0].terms_ != rows_apart[0].terms_


def test_all_rows_alike_is_what_training_fits_by_the_original_recipe() -> None:
    known = known_of(400, seed=5, recipe="original")
    pipeline = fitting.fit("original", NUMBERS, known.features, known.labels)
    theirs = Model.from_bytes(export(pipeline, NUMBERS, known.features, {}))

    ours = Candidates(known).model("all")

    assert words(ours.terms) == ["linear", "linear"]
    assert amounts(ours) == pytest.approx(amounts(theirs), rel=1e-9, abs=1e-9)


def test_the_original_candidates_have_common_terms_about_the_average_client() -> None:
    known = replace(known_of(400, seed=6, recipe="original"), ages=np.arange(400) % 4)
    found = Candidates(known)

    models = [found.model(name) for name in WEIGHTINGS]

    table = rows_of_frame(known.features, NUMBERS)
    places = {tuple(term.place() for term in model.terms) for model in models}
    assert len(places) == 1
    assert contributions(models[0], table)[1].mean() == pytest.approx(0.0, abs=1e-12)
    part = found.fit(found.terms, WEIGHTINGS["last"](known.ages))
    raw = _fit_original(
        found.terms,
        known.rows(np.flatnonzero(known.ages == 0)),
        known.labels[known.ages == 0],
        np.ones(100),
    )
    rows = Model(NUMBERS, float(raw[0]), weighted_terms(found.terms, raw[1:]))
    assert part.log_odds(table) == pytest.approx(rows.log_odds(table), abs=1e-12)


def test_the_original_recipe_takes_no_text_and_says_so() -> None:
    known = replace(known_of(60), recipe="original")

    with pytest.raises(PipelineError, match="'branch' is a text"):
        Candidates(known).model("all")


def test_numbers_that_the_original_solver_refuses_end_in_one_sentence() -> None:
    known = known_of(60, recipe="original")
    known.features.loc[7, "revenue"] = 1e31

    with pytest.raises(PipelineError, match="'original' cannot be fitted to these rows"):
        Candidates(known).model("all")


def test_the_original_recipe_fills_with_the_median_and_leaves_out_what_was_never_known() -> None:
    raw = {"a": np.array([1.0, np.nan, 5.0, 9.0]), "b": np.full(4, np.nan)}

    (line,) = _raw_lines(raw)

    assert (line.term.columns, line.term.fill) == (("a",), 5.0)
    assert line.columns(raw)[0].tolist() == [1.0, 5.0, 5.0, 9.0]


@pytest.mark.parametrize("size", [7, 100, 299, 300])
def test_chunks_end_at_the_weights_of_one_piece(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_of(300, seed=7)
    terms, weight = every_kind(known.raw), np.random.default_rng(0).random(300) + 0.1
    whole = ridge_weights(terms, known.raw, known.labels, weight)

    monkeypatch.setattr(fitting, "_CHUNK_ROWS", size)
    monkeypatch.setattr(newton, "_MADE_ROWS", size)

    assert ridge_weights(terms, known.raw, known.labels, weight) == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_give_a_finite_model(label: int) -> None:
    known = known_of(80)
    model = Candidates(replace(known, labels=np.full(80, label))).fit(
        every_kind(known.raw), np.ones(80)
    )

    risk = model.probabilities(rows_of_frame(known.features, COLUMNS))
    assert np.abs(risk - label).max() < 0.05


@pytest.fixture(scope="module")
def folded() -> tuple[LabelledRows, np.ndarray, np.ndarray]:
    """(rows, the newest of them, which fold each is in)."""
    known = known_of(500, seed=8)
    newest = np.arange(500)[::2]
    return known, newest, np.random.default_rng(0).integers(0, 2, newest.size)


@pytest.mark.parametrize("name", ["default", "original"])
def test_no_cross_fitted_value_has_seen_a_label_of_its_own_fold(name: str, folded: Any) -> None:
    known, newest, folds = folded
    columns = COLUMNS if name == "default" else NUMBERS
    known = replace(known, recipe=name, columns=columns, features=known.features[list(columns)])
    terms = every_kind(known.raw) if name == "default" else _raw_lines(known.raw)
    before = cross_fitted(terms, known, newest, folds)
    assert before is not None and before.shape == newest.shape

    for fold in (0, 1):
        labels = known.labels.copy()
        labels[newest[np.flatnonzero(folds == fold)[:5]]] ^= 1
        after = cross_fitted(terms, replace(known, labels=labels), newest, folds)
        assert after is not None
        assert np.array_equal(after[folds == fold], before[folds == fold])
        assert not np.isclose(after[folds != fold], before[folds != fold], atol=1e-9).any()


def test_a_cross_fitted_value_is_that_of_the_model_of_the_other_fold(folded: Any) -> None:
    known, newest, folds = folded
    terms = every_kind(known.raw)

    predicted = cross_fitted(terms, known, newest, folds)

    assert predicted is not None
    for fold in (0, 1):
        seen, asked = newest[folds != fold], newest[folds == fold]
        model = Candidates(taken(known, seen)).fit(terms, np.ones(seen.size))
        theirs = model.log_odds(rows_of_frame(known.features.iloc[asked], COLUMNS))
        assert predicted[folds == fold] == pytest.approx(theirs, abs=1e-10)


def test_older_rows_have_no_say_in_cross_fitted_values(folded: Any) -> None:
    known, newest, folds = folded
    terms, labels = every_kind(known.raw), known.labels.copy()
    labels[1::2] ^= 1

    before = cross_fitted(terms, known, newest, folds)
    after = cross_fitted(terms, replace(known, labels=labels), newest, folds)

    assert np.array_equal(before, after)  # type: ignore[arg-type]


def test_nothing_is_cross_fitted_where_a_fold_has_but_one_class(folded: Any) -> None:
    known, newest, folds = folded
    labels = np.where(np.isin(np.arange(500), newest[folds == 1]), 1, known.labels)

    assert cross_fitted([], replace(known, labels=labels), newest, folds) is None


def found_terms() -> list[Any]:
    """Terms of every kind, those of raw numbers, and those that the recipe finds itself."""
    known = known_of(1500, seed=9)
    return [
        *every_kind(known.raw),
        *_raw_lines(known_of(60, recipe="original").raw),
        *Candidates(known).terms,
        *Candidates(known_of(60)).terms,
    ]


BLANK = {"kind": "blank", "column": "orders", "inside": 0.0, "outside": 0.0}


def test_terms_come_back_from_json_as_they_were() -> None:
    terms = found_terms()

    again = [
        DesignTerm.from_json(json.loads(json.dumps(term.to_json(), allow_nan=False)))
        for term in terms
    ]

    assert again == terms
    assert [hash(term) for term in again] == [hash(term) for term in terms]
    raw = LabelledRows(
        "default", COLUMNS, strange(), np.zeros(100), np.zeros(100), np.zeros(100)
    ).raw
    with np.errstate(over="ignore"):
        for ours, theirs in zip(again, terms, strict=True):
            assert np.array_equal(ours.columns(raw), theirs.columns(raw))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"term": {"kind": "spline", "column": "orders"}, "means": [0.0], "scales": [1.0]},
        {"term": {"kind": "blank", "column": "orders"}, "means": [0.0], "scales": [1.0]},
        {"term": BLANK | {"extra": 1}, "means": [0.0], "scales": [1.0]},
        {"term": BLANK | {"inside": "0"}, "means": [0.0], "scales": [1.0]},
        {"term": BLANK, "means": 0.0, "scales": [1.0]},
    ],
)
def test_what_is_no_term_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        DesignTerm.from_json(record)


def test_the_raw_columns_of_known_rows_are_those_of_the_model() -> None:
    frame, y = mixed(30)
    known = LabelledRows("default", COLUMNS, frame, y, np.arange(30), np.zeros(30))

    some = known.rows(np.array([3, 3, 7]))

    same = rows_of_frame(pd.concat([frame[3:4], frame[3:4], frame[7:8]]), COLUMNS)
    model = Model(COLUMNS, 0.0, []).raw(same)
    for name, values in some.items():
        assert all(a == b or a != a for a, b in zip(values, model[name], strict=True))

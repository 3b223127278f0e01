"""Models made from models say what the arithmetic on their log-odds says, on rows of every kind."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mixed import COLUMNS, contributions, fitted, known_of, mixed, strange, tables, words

from risk.model.candidates import Candidates
from risk.model.ensemble import recalibrate, weighted_mean
from risk.model.model import KINDS, Model, check_rows
from risk.model.pipelines import model_of_pipeline, pipeline_of_model, rows_of_frame
from risk.model.profile import profile_of
from risk.model.reasons import points, reasons
from risk.model.terms import Levels, Linear, Term

RECALIBRATIONS = [(0.0, 1.0), (0.7, 1.3), (-2.5, 0.05), (0.25, 0.0)]


@pytest.fixture(scope="module")
def one() -> Model:
    return fitted(600, seed=1)


@pytest.fixture(scope="module")
def other() -> Model:
    """Fitted to other rows: other centres, slopes and values, the same kinds of terms."""
    return fitted(500, seed=2)


@pytest.fixture(scope="module")
def found() -> Model:
    """What the default recipe finds in mixed rows."""
    return Candidates(known_of(1500, seed=3)).model("all")


def near(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal to 1e-12, relative where the log-odds are large."""
    return bool(np.all(np.abs(ours - theirs) <= 1e-12 * (1 + np.abs(theirs))))


def test_the_models_of_these_tests_have_every_kind_of_term(one: Model, found: Model) -> None:
    assert set(words(one.terms)) == set(KINDS)
    assert {"curve", "blank", "levels"} <= set(words(found.terms))


def test_a_terms_amounts_and_its_place_are_all_that_it_has(one: Model) -> None:
    for term in one.terms:
        doubled = recalibrate(Model(COLUMNS, 0.0, [term]), (0.0, 2.0)).terms[0]
        before, after = term.to_json(), doubled.to_json()
        changed = {key for key in before if after[key] != before[key]}
        assert changed <= set(term.AMOUNTS) and changed
        assert doubled.place() == term.place()


@pytest.mark.parametrize("recalibration", RECALIBRATIONS)
def test_a_recalibrated_model_is_a_model(one: Model, recalibration: tuple[float, float]) -> None:
    made = recalibrate(one, recalibration)

    for table in tables():
        assert near(made.log_odds(table), recalibration[0] + recalibration[1] * one.log_odds(table))


def test_a_model_under_a_recalibration_stays_what_it_was(one: Model) -> None:
    before = json.dumps(one.to_json())

    made = recalibrate(replace(one, lineage={"rows": 3}, profile={"orders": {}}), (1.0, 2.0))

    assert json.dumps(one.to_json()) == before
    assert (made.lineage, made.profile, made.columns) == ({"rows": 3}, {"orders": {}}, COLUMNS)


@pytest.mark.parametrize("shares", [(0.3, 0.5, 0.2), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)])
def test_a_blend_is_the_weighted_mean_of_the_log_odds(
    one: Model, other: Model, found: Model, shares: tuple[float, ...]
) -> None:
    models = [one, other, found]

    made = weighted_mean(models, np.array(shares))

    for table in tables():
        mean = sum(s * m.log_odds(table) for s, m in zip(shares, models, strict=True))
        assert near(made.log_odds(table), np.asarray(mean))


def test_models_of_common_terms_average_into_one_of_as_many(one: Model) -> None:
    known = known_of(300, seed=4)
    both = Candidates(replace(known, ages=np.arange(300) % 4))
    models = [both.model("all"), both.model("half"), both.model("last")]
    recalibrated = [recalibrate(model, (0.1, 0.9)) for model in models]

    made = weighted_mean([*models, *recalibrated], np.full(6, 1 / 6))

    assert len(made.terms) == len(models[0].terms)
    assert words(made.terms) == words(models[0].terms)


def levels(values: dict[str, float], missing: float = 0.0, other: float = 0.0) -> Levels:
    return Levels("city", (*values, None), True, (*values.values(), missing), other)


def model(*terms: Term) -> Model:
    return Model({"city": "text", "orders": "number"}, 0.5, list(terms))


def test_levels_of_one_set_are_added_whatever_their_order() -> None:
    first = model(levels({"a": 1.0, "b": 2.0}, 3.0, 4.0))
    second = model(levels({"b": 10.0, "a": 20.0}, 30.0, 40.0))

    made = weighted_mean([first, second], np.array([0.5, 0.5]))

    assert made.terms == [levels({"a": 10.5, "b": 6.0}, 16.5, 22.0)]


def test_levels_of_different_sets_stay_apart_and_still_add_up() -> None:
    first, second = model(levels({"a": 1.0}, 2.0, 3.0)), model(levels({"a": 10.0, "b": 4.0}))
    table = {"city": ["a", "b", None, "new", ""], "orders": [1.0] * 5}

    made = weighted_mean([first, second], np.array([0.5, 0.5]))

    assert len(made.terms) == 2
    assert made.log_odds(table).tolist() == [6.0, 4.0, 1.5, 2.0, 1.5]


@pytest.mark.parametrize(
    ("key", "value"), [("low", -1.0), ("high", 9.5), ("fill", 4.0), ("mean", 0.5)]
)
def test_lines_that_differ_in_place_stay_apart(key: str, value: float) -> None:
    line = Linear("orders", low=0.0, high=8.0, fill=3.0, mean=2.0, slope=1.0)
    moved = replace(line, **{key: value})

    made = weighted_mean([model(line), model(moved)], np.array([0.5, 0.5]))

    assert made.terms == [replace(line, slope=0.5), replace(moved, slope=0.5)]


def test_a_blend_keeps_the_first_models_columns_lineage_and_checks(one: Model) -> None:
    first = replace(one, lineage={"rows": 7}, checks={"orders": [1.0]})

    made = weighted_mean([first, fitted(300, seed=5)], np.array([0.5, 0.5]))

    assert (made.lineage, made.checks, made.columns) == ({"rows": 7}, {"orders": [1.0]}, COLUMNS)


def test_a_share_for_each_model_is_demanded(one: Model) -> None:
    with pytest.raises(ValueError):
        weighted_mean([one, one], np.array([1.0]))


@pytest.fixture(scope="module")
def averaged(one: Model, other: Model, found: Model) -> Model:
    """A weighted mean under a recalibration, ready to be written."""
    made = recalibrate(weighted_mean([one, other, found], np.array([0.3, 0.5, 0.2])), (0.4, 0.8))
    table = rows_of_frame(mixed(300, seed=1)[0], COLUMNS)
    return replace(made, profile=profile_of(table, COLUMNS), checks=check_rows(table))


@pytest.mark.parametrize("frame", [mixed(400, seed=6)[0], strange()], ids=["ordinary", "strange"])
def test_the_pipeline_of_a_blend_says_what_the_json_model_says(
    averaged: Model, frame: pd.DataFrame
) -> None:
    pipeline = pipeline_of_model(averaged)

    table = rows_of_frame(frame, COLUMNS)
    assert (
        np.abs(pipeline.predict_proba(frame)[:, 1] - averaged.probabilities(table)).max() <= 1e-12
    )
    assert near(pipeline.decision_function(frame), averaged.log_odds(table))


def test_the_pipeline_of_a_blend_survives_pickle_and_has_a_column_for_each_weight(
    averaged: Model,
) -> None:
    pipeline = pickle.loads(pickle.dumps(pipeline_of_model(averaged)))

    frame = mixed(50, seed=7)[0]
    names = pipeline[0].get_feature_names_out()
    assert pipeline[-1].coef_.shape == (1, len(names))
    assert set(pipeline.predict(frame).tolist()) <= {0, 1}
    again = model_of_pipeline(pipeline, COLUMNS)
    assert near(
        again.log_odds(rows_of_frame(frame, COLUMNS)),
        averaged.log_odds(rows_of_frame(frame, COLUMNS)),
    )


def test_a_blend_is_written_and_read_again(averaged: Model) -> None:
    read = Model.from_bytes(averaged.to_bytes())

    assert read == averaged
    for table in tables():
        assert np.array_equal(read.log_odds(table), averaged.log_odds(table))


def test_the_parts_of_a_blend_add_up_to_its_log_odds(averaged: Model) -> None:
    for table in tables():
        total = averaged.intercept + sum(contributions(averaged, table))
        assert near(total, averaged.log_odds(table))


def test_the_points_of_a_blend_add_up_to_the_distance_from_the_average_client(
    averaged: Model,
) -> None:
    table = rows_of_frame(mixed(200, seed=8)[0], COLUMNS)

    groups, amounts, risk = points(averaged, table)

    base = 1 / (1 + np.exp(-averaged.intercept))
    assert near(risk, averaged.probabilities(table))
    assert np.abs(amounts.sum(axis=1) - 100 * (risk - base)).max() < 1e-10
    assert len(groups) == amounts.shape[1]
    assert all(reasons(averaged, table))


def test_a_weighted_means_average_client_is_the_mean_of_the_average_clients() -> None:
    known = known_of(800, seed=9, ages=np.arange(800) % 3)
    found = Candidates(known)
    models = [found.model("all"), found.model("half")]

    made = weighted_mean(models, np.array([0.5, 0.5]))

    table = rows_of_frame(known.features, COLUMNS)
    assert made.intercept == pytest.approx((models[0].intercept + models[1].intercept) / 2)
    assert [float(np.abs(part.mean())) < 1e-9 for part in contributions(made, table)] == (
        [True] * len(made.terms)
    )

"""The page Trust: what outcomes claim, in numbers and words; before there are any, what is said."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from conftest import Project
from listed import clients, write_list
from past import NAMES, group, outcomes, share, too_few, write_outcomes
from serving import deployed_copy
from test_pages import getter, text_of

from risk.calllist.types import Band, Expected
from risk.web import trust
from risk.web.svg import waffle_paths


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page with enough outcomes."""
    project = deployed_copy(tmp_path_factory)
    write_outcomes(project, outcomes())
    return getter(project)("/trust")


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return deployed_copy(tmp_path_factory)


def test_the_heading_is_the_answer_with_both_numbers(told: Any) -> None:
    assert told.status_code == 200
    assert "Of 100 clients we listed, 62 left; of 100 picked at random, 31 would have" in text_of(
        told
    )


def test_what_it_stands_on_has_counts_interval_and_dates(told: Any) -> None:
    text = text_of(told)
    assert "112 of 180 listings on the call list left (55 to 69 of 100, 95 % interval)" in text
    assert "1,302 of all 4,201 listings of 31 Jan 2026 to 30 Jun 2026" in text
    assert "Outcomes known on 24 Nov 2026 07:00 UTC; 410 still wait" in text


@pytest.mark.parametrize(
    "sentence",
    [
        "112 listed and left A call was worth it.",
        "68 listed and stayed A false alarm, or the call helped.",
        "1,190 not listed and left Missed",
        "2,831 not listed and stayed Rightly left alone.",
    ],
)
def test_the_confusion_matrix_is_four_sentences(told: Any, sentence: str) -> None:
    assert sentence in text_of(told)


@pytest.mark.parametrize("percent", [0, 1, 62, 100])
def test_a_waffle_has_a_hundred_squares(percent: int) -> None:
    filled, rest = waffle_paths(percent)
    squares = re.findall(r"M\d+ \d+h17v17h-17z", filled + rest)
    assert (filled.count("M"), rest.count("M")) == (percent, 100 - percent)
    assert len(set(squares)) == 100


def test_the_two_waffles_are_named_with_their_counts(told: Any) -> None:
    body = told.get_data(as_text=True)
    assert 'aria-label="Listed: 62 of 100 left"' in body
    assert 'aria-label="Not listed: 30 of 100 left"' in body
    assert "Not listed: 1,190 of 4,021 left, 30 of 100 (28 to 31)" in text_of(told)


def test_the_trap_of_accuracy_is_named() -> None:
    few, many = group(112, 180, 1190, 4021), group(9, 10, 71, 90)
    assert "“nobody leaves” would be right for 69 of 100" in trust.nobody(few)
    assert "“everybody leaves” would be right for 80 of 100" in trust.nobody(many)


def test_reach_stands_beside_chance(told: Any) -> None:
    text = text_of(told)
    assert "Reaches, of the 1,302 who left" in text
    assert re.search(r"20 % 840 34 % \(32 to 36\) 20 % 53 \(50 to 70\)", text)


def test_a_group_whose_interval_misses_the_diagonal_is_named(told: Any) -> None:
    text = text_of(told)
    assert "No: only 3 of 4 intervals touch the diagonal." in text
    assert "40 % 400 208 52 % 47 to 57 left more" in text
    assert "62 % 400 240 60 % 55 to 65 touches" in text


@pytest.mark.parametrize(
    ("touching", "groups", "said"),
    [(10, 10, "Yes: all 10"), (9, 10, "Mostly: 9 of 10"), (7, 10, "No: only 7 of 10")],
)
def test_the_answer_follows_the_intervals(touching: int, groups: int, said: str) -> None:
    assert trust.answer(touching, groups).startswith(said)


@pytest.mark.parametrize(
    ("interval", "said"),
    [([0.4, 0.9], "too extreme"), ([1.1, 1.5], "too near to the average"), ([0.8, 1.1], "Neither")],
)
def test_the_slope_is_said_in_words(interval: list[float], said: str) -> None:
    assert said in trust.slope({"value": sum(interval) / 2, "interval": interval})


def test_misses_and_false_alarms_are_named_and_linked(told: Any) -> None:
    body, text = told.get_data(as_text=True), text_of(told)
    assert 'href="/client?name=Corvane%20Logistics"' in body
    assert "Left, and not on the list (the last 4 of 1,190)" in text
    assert "Listed, and stayed (the last 3 of 68)" in text
    assert "Corvane Logistics contacted 30 Jun 22 % 2 of 800" in text
    assert NAMES[3] in text and NAMES[3] not in body


def test_calling_is_compared_with_its_caveat(told: Any) -> None:
    text = text_of(told)
    assert "We cannot tell: the two intervals overlap." in text
    assert "contacted 55 of 96 57 % (47 to 67)" in text
    assert "not contacted 57 of 84 68 % (57 to 77)" in text
    assert "calls change outcomes" in text.lower() and "your choice and not the call" in text


@pytest.mark.parametrize(
    ("contacted", "others", "said"),
    [
        (None, group(57, 84, 1, 9), "nobody on the list was noted as contacted"),
        (group(55, 96, 1, 9), None, "everybody on the list was contacted"),
        (group(5, 96, 1, 9), group(57, 84, 1, 9), "contacted fewer left"),
        (group(95, 96, 1, 9), group(57, 84, 1, 9), "contacted more left"),
    ],
)
def test_a_difference_is_only_told_where_there_is_one(
    contacted: Any, others: Any, said: str
) -> None:
    found = trust.calls({"contacted": contacted, "not_contacted": others, "caveat": "x"})
    assert said in found.answer


def test_what_todays_list_is_expected_to_come_to_is_told_as_a_forecast(own: Project) -> None:
    band = Band(4, 2, 5)
    found = Expected(20, 5, band, band, band, None, None, None, None)
    expected = asdict(replace(found, sentence="of the 5 called, 4 are expected"))
    write_list(own, clients(20, 5), expected=expected)
    write_outcomes(own, outcomes())
    text = text_of(getter(own)("/trust"))
    assert "Of the 5 called, 4 are expected." in text and "It is a forecast." in text


def test_a_list_that_held_nobody_with_an_outcome_says_so(own: Project) -> None:
    write_outcomes(own, outcomes(all=group(0, 0, 12, 40), contacted=None))
    text = text_of(getter(own)("/trust"))
    assert "None of the clients with a known outcome was on the call list" in text
    assert "12 of all 40" in text


# ---------------------------------------------------------------- before there are outcomes


def test_too_few_outcomes_claim_nothing_and_show_the_test_data_as_such(own: Project) -> None:
    write_outcomes(own, too_few())
    page = getter(own)("/trust")
    text = text_of(page)
    assert "We cannot tell yet: 12 of 30 outcomes are known" in text
    assert "410 clients of earlier lists wait" in text
    assert "below is about the test data, 80 rows" in text
    assert text.count("on test data") >= 3
    assert "we listed" not in text and "Where we were wrong" not in text
    score = json.loads((own.config.production_folder / "latestscore.json").read_text())
    assert f"{score['true_positive']} said to leave and left" in text


def test_without_any_outcomes_the_page_is_the_same(own: Project) -> None:
    own.config.outcomes.unlink(missing_ok=True)
    assert "We cannot tell yet: no outcome is known" in text_of(getter(own)("/trust"))


def test_no_model_is_a_state(own: Project) -> None:
    (own.config.production_folder / "current").unlink()
    assert "No model yet" in text_of(getter(own)("/trust"))


def test_outcomes_stand_without_the_release(own: Project) -> None:
    write_outcomes(own, outcomes())
    (own.config.production_folder / "current" / "model.json").write_text("{")
    page = getter(own)("/trust")
    assert page.status_code == 200
    assert "62 left" in text_of(page) and "Before any outcome" not in text_of(page)


def test_the_test_rows_take_the_form_of_outcomes() -> None:
    score = {"true_positive": 30, "false_positive": 10, "false_negative": 20, "true_negative": 40}
    found = trust.of_test(score)["all"]
    assert (found["n"], found["left"]) == (100, 50)
    assert found["listed"] == share(30, 40) and found["not_listed"] == share(20, 60)
    assert trust.of_test({"f1": 0.5}) == {}

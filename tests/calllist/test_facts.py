"""One view of each fact: what stands in two places is the same in both."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from conftest import Project, client_rows
from driver import copy_of, first_deployed, undrawn
from listed import call_list, listed_client

import reporting
from diagnostics import diagnose
from ingestion import ingest
from risk.alerts.digest import digest_of
from risk.calllist.facts import (
    auc_words,
    changes_words,
    expected_short,
    expected_words,
    headline,
    list_facts,
    outcomes_sentence,
    score_words,
)
from risk.calllist.types import CallList, OffList, load_list
from risk.config import Outcome
from risk.run.summary import summary
from risk.web.context import PageContext
from risk.web.today import view

NOW = datetime(2025, 2, 28, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project with a second list, and what the report of it said; only read."""
    project = copy_of(first_deployed(tmp_path_factory), tmp_path_factory.mktemp("facts"))
    said = ""
    for day, seed in (("2025-01-31", 8), ("2025-02-28", 9)):
        rows = [row.rpartition(",")[0] + "," for row in client_rows(60, seed=seed, prefix="now")]
        project.write(f"sourcedata/{day}.csv", rows)
        ingest(project.config)
        with undrawn():
            said = reporting.report(project.config).text
    return project, said


def test_the_page_the_report_the_digest_and_the_summary_tell_the_same_list(
    reported: tuple[Project, str],
) -> None:
    project, said = reported
    listing = load_list(project.config)
    score = project.json("production_deployment/latestscore.json")
    page = view(PageContext(project.config), {})
    digest = digest_of(listing, None, now=NOW)
    told = summary(project.config, Outcome("kept", {"notes": said.splitlines()}), score)

    first = headline(listing)
    assert page["heading"] == first and digest.text.startswith(f"{first}\n")
    assert page["facts"] == list_facts(listing, today=datetime.now(UTC).date())
    names = [client.client for client in listing.called[:5]]
    assert [row.client for row in page["rows"][:5]] == names
    assert re.findall(r"now\d+_\d+", told)[-len(names) :] == names
    assert [item["client"] for item in digest.items[:5]] == names


def test_what_is_expected_is_told_once_and_alike(reported: tuple[Project, str]) -> None:
    project, said = reported
    listing = load_list(project.config)
    expected = listing.expected

    assert expected and expected.sentence == expected_words(expected)
    assert expected.sentence in diagnose(project.config).text
    fact = next(fact for fact in list_facts(listing) if fact.name == "Expected to leave")
    leave = expected.found
    assert fact.value == f"{leave.value:,.0f} of {expected.called}"
    assert f"{leave.low:,.0f} to {leave.high:,.0f}" in fact.note
    assert expected_short(expected) in said
    assert (
        f"{leave.value:,.0f} of the {expected.called} called are expected to leave "
        f"({leave.low:,.0f} to {leave.high:,.0f})" in said
    )


def test_the_score_has_one_sentence(reported: tuple[Project, str]) -> None:
    project, _ = reported
    score = project.json("production_deployment/latestscore.json")
    words = score_words(score)

    assert project.run("scoring.py").stdout.startswith(words)
    assert f"number: {score['f1']:.3f}" in summary(project.config, Outcome("kept"), score)
    assert f"F1 {score['f1']:.3f} (95 % " in words and auc_words(score) in words


def off(*became: str) -> CallList:
    return call_list(
        listed_client("Acme"),
        since="2026-11-17",
        new=("Acme",),
        off=tuple(OffList(f"client {at}", at, 0.5, word) for at, word in enumerate(became)),
    )


@pytest.mark.parametrize(
    ("became", "words", "left", "note"),
    [
        ((), "1 new on the call list, 0 off it", "0", "of those called then"),
        (("left",), "1 new on the call list, 1 off it: 1 left", "1", "of those called then"),
        (
            ("open", "left", "gone", "open"),
            "1 new on the call list, 4 off it: 1 left, 2 passed by others and 1 in no file any "
            "more",
            "1",
            "of those called then; 2 passed by others and 1 in no file any more",
        ),
    ],
)
def test_what_became_of_those_off_the_list_adds_up(
    became: tuple[str, ...], words: str, left: str, note: str
) -> None:
    listing = off(*became)

    assert changes_words(listing) == f"since 17 Nov 2026: {words}"
    fact = list_facts(listing)[2]
    assert (fact.name, fact.value, fact.note) == ("Left since 17 Nov 2026", left, note)


def test_a_first_list_has_nothing_to_compare_with() -> None:
    listing = call_list(listed_client("Acme"))

    assert changes_words(listing) == ""
    assert [fact.value for fact in list_facts(listing)] == ["1", "–", "–", "–", "31 %"]


def test_outcomes_are_a_sentence_also_while_there_are_none() -> None:
    none = {"enough": False, "all": None, "why": "no list has named a client yet"}
    assert outcomes_sentence(none) == "No list has named a client yet."
    known = {"enough": True, "all": {"sentence": "of 100 clients we listed, 62 left"}}
    assert outcomes_sentence(known) == "Of 100 clients we listed, 62 left."


def test_the_list_is_the_same_after_its_json(reported: tuple[Project, str]) -> None:
    project, _ = reported
    text = project.text("models/clients_at_risk.json")
    listing = CallList.from_json(json.loads(text))

    assert listing.to_json() == text
    assert listing.to_csv() == project.text("models/clients_at_risk.csv")

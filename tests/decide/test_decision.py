"""What a decision is called: one word and one sentence each, the same wherever it is told."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from conftest import Project
from driver import run_driver
from world import action, clients, history, run_after, world

from app import create_app
from risk.decide.decision import (
    DEPLOY,
    KEEP,
    PAUSED,
    PROMOTE,
    RECALIBRATE,
    REVERT,
    ChallengerEvidence,
    DecisionRecord,
    leading,
    sentence,
    word,
)
from risk.records import parse_record, to_record


def record(verdict: str, action: str = "none", before: int | None = 3) -> DecisionRecord:
    return DecisionRecord("a key", 4, "fast", verdict, action, "a reason", 60, 20, before)


@pytest.mark.parametrize(
    ("decided", "after", "told", "called"),
    [
        (record("wait", before=None), None, "No model is deployed yet", "wait"),
        (record(DEPLOY, "first", None), 1, "Model 1 is the first", "first model"),
        (record(KEEP), 3, "Model 3 stays", "keep"),
        (record(PAUSED), 3, "Model 3 stays, paused by hand", "paused"),
        (
            record("data issue"),
            3,
            "Model 3 stays, paused by a data quality issue",
            "data issue",
        ),
        (
            record(DEPLOY, PROMOTE),
            None,
            "Model 3 stays; what was decided is not done yet",
            "promoted",
        ),
        (
            record(DEPLOY, PROMOTE),
            4,
            "Model 4 took over from 3: it predicts better",
            "promoted",
        ),
        (
            record(DEPLOY, REVERT),
            4,
            "Model 4 took over from 3: an earlier model predicts better again",
            "reverted",
        ),
        (
            record(KEEP, RECALIBRATE),
            4,
            "Model 3 was recalibrated: model 4 ranks the clients as model 3 does, its percentages "
            "moved",
            "recalibrated",
        ),
        (record("by hand", "release hold"), 3, "Model 3 stays, and its hold ends", "hold released"),
    ],
)
def test_what_is_decided_has_one_word_and_one_sentence(
    decided: DecisionRecord, after: int | None, told: str, called: str
) -> None:
    assert (sentence(decided, after), word(decided)) == (told, called)


def test_a_record_comes_back_from_json_as_it_was() -> None:
    evidence = (ChallengerEvidence("challenger", 2.5, 10.0, 0.17, 0.18, rows_needed=480),)
    before = DecisionRecord(
        "a key", 4, "fast", KEEP, "none", "why", 60, 20, 3, evidence, {"provisional": True}
    )
    assert parse_record(DecisionRecord, to_record(before)) == before


def test_the_leading_challenger_is_the_nearest_to_its_own_threshold() -> None:
    near, far = ChallengerEvidence("near", 9.0, 10.0), ChallengerEvidence("far", 50.0, 60.0)
    assert leading([far, near]) is near
    assert leading([]) is None


@pytest.fixture(scope="module")
def recalibrated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of two runs: the second one moved the percentages and nothing else."""
    made = world(tmp_path_factory.mktemp("recalibrated"))
    run_driver(made)
    run = run_after(made, "2026-02-28", clients(60, 2, level=1.5, prefix="d"))
    assert (action(run), run.data["release"]) == (RECALIBRATE, 2)
    assert run.text.startswith(f"recalibrated: {history(made)[-1].sentence}; ")
    return made


def test_a_recalibration_is_one_sentence_in_every_place(recalibrated: Project) -> None:
    told = (
        "Model 1 was recalibrated: model 2 ranks the clients as model 1 does, its percentages moved"
    )
    client = create_app(recalibrated.config).test_client()
    page = client.get("/decisions", headers={"Accept": "text/html"}).get_data(as_text=True)
    heading = re.search("<h1>(.*?)</h1>", page, re.DOTALL)
    row = re.search('<td class="reason">(.*?)<details>', page, re.DOTALL)
    explained = recalibrated.run("fullprocess.py", "--explain").stdout
    shown = recalibrated.run("fullprocess.py", "--history").stdout.splitlines()

    assert heading and html.unescape(heading[1]).strip() == told
    assert row and html.unescape(row[1]) == f"{told}."
    assert explained.splitlines()[0].split(": ")[1].startswith("recalibrated (")
    assert explained.endswith(f"\n{told}.\n")
    # A line is cut at 120 characters; what is left of the sentence is its beginning.
    line = shown[-1]
    assert "  recalibrated  1 -> 2  " in line
    assert told.startswith(line[line.index("Model 1 was") :].removesuffix("..."))
    assert "stays" not in heading[1] + shown[-1] and "keep" not in explained.splitlines()[0]


def test_a_recalibration_is_the_same_sentence_in_the_files_and_messages(
    recalibrated: Project,
) -> None:
    from risk.alerts.due import _event_of

    last = history(recalibrated)[-1]
    recalibrated.run("reporting.py")  # the runs of these tests draw nothing
    report = Path(recalibrated.folder / "models/report.html").read_text()

    assert [event.text.startswith(f"{last.sentence}; ") for event in _event_of(last)] == [True]
    assert last.sentence in html.unescape(report)

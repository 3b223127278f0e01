"""What a person reads after a run: how long it is, in what order, and that its commands work."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Project
from driver import new_project, run_driver
from listed import call_list, listed_client

from risk.calllist.facts import cannot_rank, trust_sentence
from risk.config import Outcome
from risk.record.outcomes import parse_outcomes
from risk.run.summary import summary
from risk.words import wrapped

GAINS = {"share": 0.1, "precision": 0.73, "at_random": {"precision": 0.21}}


def lines_of(project: Project, *arguments: str) -> list[str]:
    done = project.run("fullprocess.py", "--now", "--summary", *arguments, COLUMNS="")
    return done.stdout.splitlines()


def test_the_summary_is_short_and_begins_with_the_list(project: Project) -> None:
    project.configure(port=9)
    lines = lines_of(project)

    # A path is never cut: a folder of a long name makes the line of its command longer.
    assert len(lines) <= 24
    long = ("CONFIG=", str(project.folder).lstrip("/"))  # typed from the root it has no slash
    assert all(len(line) <= 100 or any(path in line for path in long) for line in lines)
    assert "clients to call" in lines[0] or "client to call" in lines[0]
    text = "\n".join(lines)
    order = ["to call", "left, of 100 picked at random", "Decided: ", "Next", "F1, the exercise"]
    assert [text.index(words) for words in order] == sorted(text.index(w) for w in order)
    # The API that is down and packages are not for whoever calls clients.
    assert "cannot be reached" not in text and "outdated" not in text


def test_all_that_was_done_stands_behind_v_and_in_json(project: Project) -> None:
    project.configure(port=9)
    told = "\n".join(lines_of(project, "-v"))

    for words in ("read 120 rows of 2 files", "trained on", "outdated packages", "Releases"):
        assert (words in told) == (words != "Releases")
    # No line but a path's is longer, here neither.
    assert all(len(line) <= 100 or "/" in line for line in told.splitlines())


def test_no_line_of_the_log_is_longer_than_a_person_reads(project: Project) -> None:
    project.configure(port=9)
    lines_of(project)
    log = (project.folder / "logs" / "fullprocess.log").read_text().splitlines()

    assert log and max(map(len, log)) <= 100


def test_what_needs_somebody_is_named(tmp_path: Path) -> None:
    made = new_project(tmp_path, port=9)
    outcome = run_driver(made)
    told = summary(
        made.config, Outcome("kept", outcome.data | {"attention": ["a", "b", "c", "d"]}), None
    )

    assert "Look at: a\nLook at: b\n  and 2 more: -v" in told


def test_before_the_first_model_it_says_what_is_missing(tmp_path: Path) -> None:
    made = new_project(tmp_path, port=9)
    told = summary(made.config, Outcome("waited: no model yet: no row", {}), None)

    assert told.startswith("Decided: Waited: no model yet") and "files with outcomes into" in told


@pytest.mark.parametrize(("score", "words"), [
    ({"cumulative_gains": [GAINS]}, "Of 100 called like this 73 left, of 100 picked at random 21."),
    ({}, ""),
    (None, ""),
])  # fmt: skip
def test_before_outcomes_the_months_or_test_rows_say_how_far_to_trust(
    score: dict[str, object] | None, words: str
) -> None:
    listing = call_list(listed_client("Acme"))

    assert trust_sentence(listing, parse_outcomes({}), score) == words


def test_known_outcomes_speak_first() -> None:
    outcome = {"sentence": "of 100 clients we listed, 62 left"}
    known = parse_outcomes({"enough": True, "all": outcome})

    found = trust_sentence(call_list(listed_client("Acme")), known, {"cumulative_gains": [GAINS]})
    assert found == "Of 100 clients we listed, 62 left."


def test_a_list_with_somebody_on_it_can_be_relied_on() -> None:
    assert not cannot_rank(call_list(listed_client("Acme")))


@pytest.mark.parametrize(("text", "width", "lines"), [
    ("short", 40, ["short"]),
    ("  one two three four five six seven eight", 20,
     ["  one two three four", "    five six seven", "    eight"]),
    ("x" * 60, 40, ["x" * 60]),  # a path is never cut
    # Nor is a command, which is copied.
    ("  .venv/bin/python fullprocess.py --config our/config.json", 40,
     ["  .venv/bin/python fullprocess.py --config our/config.json"]),
    ("of two months or more type `/a/python /a/ingestion.py --labels status`; else go on", 30,
     ["of two months or more type", "  /a/python /a/ingestion.py --labels status", "  else go on"]),
])  # fmt: skip
def test_what_does_not_fit_goes_on_one_step_further_in(
    text: str, width: int, lines: list[str]
) -> None:
    assert wrapped(text, width).splitlines() == lines


def test_the_terminal_decides_how_long_a_line_is(project: Project) -> None:
    project.configure(port=9)
    done = project.run("ingestion.py", COLUMNS="60")

    assert max(map(len, done.stdout.splitlines())) <= 60


def test_the_commands_of_the_summary_can_be_typed(project: Project) -> None:
    project.configure(port=9)
    lines = lines_of(project)
    make = next(line for line in lines if "make" in line and "cron" in line)
    command = make.split("  the line")[0].strip()

    done = subprocess.run(command, shell=True, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0 and "fullprocess.sh" in done.stdout, done.stderr

"""What a run sends: the digest at its hour, operator events once, each message once for all."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, client_rows
from driver import copy_of, edit_marker, first_deployed, marker, outcome, run_driver, run_fully
from listed import clients, write_list
from receiving import TAKEN, Hook, Mailbox, closes, mail_server, says, web_hook
from telling import broken, changed_state, digest_is_due, log, mail, state, tells

from risk.alerts import messages
from risk.alerts.due import Event, digest_day, due_digest, lasting_news, send_due
from risk.alerts.mail import Secrets
from risk.alerts.messages import Condition, DigestsDone, read_state
from risk.config import PipelineError
from risk.files import epoch, utc_stamp
from risk.record.scores import scorings
from risk.run.record import RunRecord

WORSE = client_rows(60, seed=5, flip=True)
DAY = 86400
MONDAY = 1_795_420_800  # 2026-11-23T08:00:00Z


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_hook() as made:
        yield made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tries of one run without the pauses between them."""
    monkeypatch.setattr(messages, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with its first release, whom nobody has told anything."""
    return copy_of(first_deployed(tmp_path_factory), tmp_path / "clients")


# ---------------------------------------------------------------- nothing, and the digest


def test_who_configures_nothing_gets_no_file_and_no_time_to_wake_up(project: Project) -> None:
    run_fully(project)

    assert not (project.folder / "state/alerts.json").exists()
    assert marker(project)["next_mail"] == 0


def test_what_was_before_is_not_told_when_it_is_set_up(
    project: Project, box: Mailbox, hook: Hook
) -> None:
    os.utime(project.folder / "state/heartbeat", (1, 1))
    edit_marker(project, finished=None, stage="training")

    tells(project, box, hook)

    assert (box.subjects, hook.events) == ([], [])
    assert outcome(project) == "idle"
    assert 0 < marker(project)["next_mail"] - time.time() <= DAY


def test_the_digest_comes_at_its_hour_and_once(project: Project, box: Mailbox, hook: Hook) -> None:
    tells(project, box, hook)
    digest_is_due(project)

    assert outcome(project) != "idle"
    assert outcome(project) == "idle"

    [subject] = box.subjects
    assert re.fullmatch(r"Clients at risk: \d+ to call \(data of \d+ \w+\)", subject)
    assert box.mails[0]["To"] == "ann@example.com"
    assert hook.events == ["digest"]
    body = hook.bodies[0]
    assert body.keys() == {
        "event",
        "id",
        "at",
        "text",
        "link",
        "model_version",
        "data_as_of",
        "items",
    }
    assert body["text"].startswith(subject) and body["items"][0]["client"] in body["text"]


def test_the_digest_says_who_is_new_since_the_last_one(project: Project, box: Mailbox) -> None:
    tells(project, box)
    digest_is_due(project)
    run_driver(project)
    told = state(project)["digests"]["scoring"]
    project.write("sourcedata/now.csv", [row[:-1] for row in client_rows(30, seed=7, prefix="now")])
    changed_state(project, digests={"day": "2026-01-01", "scoring": told}, sent=[])

    run_driver(project)

    assert re.search(r"Clients at risk: 3 new, 3 to call", box.subjects[-1])
    assert "Since the list of" in box.mails[-1].get_body(("plain",)).get_content()


def test_each_owner_gets_the_own_clients_alone(project: Project, box: Mailbox) -> None:
    tells(project, box, owners={"Ann Bell": "bell@example.com", "Bo Carr": "carr@example.com"})
    made = clients(12, 6)
    for at, one in enumerate(made):
        one["owner"] = "Ann Bell" if at < 4 else "Bo Carr"
    write_list(project, made, shown=["owner"])
    digest_is_due(project)
    state = read_state(project.config)
    assert state is not None
    run = RunRecord(project.config)
    send_due(project.config, run, Secrets("", "", ""))

    texts = {mail["To"]: mail.get_body(("plain",)).get_content() for mail in box.mails}
    assert set(texts) == {"ann@example.com", "bell@example.com", "carr@example.com"}
    ann, bo = texts["bell@example.com"], texts["carr@example.com"]
    assert ann.startswith("Ann Bell: 4 of 4 clients to call")
    assert bo.startswith("Bo Carr: 2 of 8 clients to call")
    for at, one in enumerate(made[:6]):
        assert (one["client"] in ann) == (at < 4) and (one["client"] in bo) == (at >= 4)
    # Each is a way of its own: nobody gets it twice.
    send_due(project.config, run, Secrets("", "", ""))
    assert len(box.mails) == 3


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-24T06:59:59Z", "2026-11-23"),
        ("2026-11-24T07:00:00Z", "2026-11-24"),
        ("2026-11-24T23:59:59Z", "2026-11-24"),
        ("2026-11-25T00:00:00Z", "2026-11-24"),
    ],
)
def test_the_day_of_the_digest_begins_at_its_hour(moment: str, day: str) -> None:
    assert str(digest_day(epoch(moment), 7)) == day


def test_a_monday_has_its_digest_without_news_and_a_tuesday_has_none(
    project: Project, box: Mailbox
) -> None:
    tells(project, box)
    kept = read_state(project.config)
    kept.digests = DigestsDone("2026-11-20", scorings(project.config)[-1].number)
    monday, done = due_digest(project.config, kept, MONDAY)
    kept.digests = done
    tuesday, _ = due_digest(project.config, kept, MONDAY + DAY)

    assert [message.id for message in monday] == ["digest-2026-11-23"]
    assert (done.day, tuesday) == ("2026-11-23", [])


def test_names_may_stay_at_home(project: Project, box: Mailbox, hook: Hook) -> None:
    tells(project, box, hook, names=False)
    digest_is_due(project)
    run_driver(project)

    assert b"client1_" not in box.raw[0] and b"client2_" not in box.raw[0]
    assert b"client" not in json.dumps(hook.bodies[0]["items"]).encode()


# ---------------------------------------------------------------- to the operators


def fail(project: Project) -> None:
    with pytest.raises(PipelineError):
        run_fully(project)


def test_a_failed_run_is_told_once_then_daily_and_its_end_too(
    project: Project, box: Mailbox, hook: Hook
) -> None:
    tells(project, box, hook)
    mend = broken(project)
    fail(project)
    fail(project)
    [subject] = box.subjects
    assert subject.startswith("A run failed: ingestion: the input folder ")
    assert "sourcedata is not there; make it" in hook.bodies[0]["text"]
    assert box.mails[0]["To"] == "ops@example.com"

    yesterday = utc_stamp(time.time() - DAY)
    known = state(project)["lasting"]["run_failed"]["ingestion"]
    changed_state(project, lasting={"run_failed": {"ingestion": {**known, "reported": yesterday}}})
    fail(project)
    mend()
    run_fully(project)
    run_fully(project)

    assert hook.events == ["run_failed", "run_failed_lasts", "run_failed_over"]
    assert box.subjects[2].startswith("Runs end well again: ingestion: ")
    assert len({body["id"] for body in hook.bodies}) == 3


def test_a_deployment_says_its_version_and_why_and_a_rollback_by_hand_too(
    project: Project, hook: Hook
) -> None:
    tells(project, None, hook)
    project.configure(port=9, webhook_url=hook.url, public_url="https://risk.example.com")
    project.write("sourcedata/three.csv", WORSE)
    assert outcome(project) == "deploy"
    project.run("deployment.py", "--rollback")
    run_driver(project)

    assert hook.events == ["deployed", "by_hand"]
    assert hook.bodies[0]["text"].startswith("A model is deployed:\n- Model 2 took over from 1: ")
    assert "rollback by hand: version 1 is deployed again" in hook.bodies[1]["text"]
    assert [body["model_version"] for body in hook.bodies] == [2, 1]
    assert {body["link"] for body in hook.bodies} == {"https://risk.example.com/decisions"}


def test_a_data_fault_is_told_as_it_begins_and_as_it_ends(project: Project, hook: Hook) -> None:
    tells(project, None, hook)
    thousand = [
        ",".join([c[0], c[1], str(1000 * int(c[2])), *c[3:]])
        for c in (row.split(",") for row in client_rows(60, seed=9))
    ]
    project.write("sourcedata/three.csv", thousand)
    assert outcome(project) == "data issue"
    run_fully(project)
    project.run("deployment.py", "--release-hold")
    run_driver(project)

    assert hook.events[:1] == ["data_quality"]
    assert "lastyear_activity: the values are about 1,500 times as large" in hook.bodies[0]["text"]
    assert hook.events.count("data_quality") == 1
    assert {"data_quality_over", "by_hand"} <= set(hook.events)


def test_silence_is_told_by_the_next_run_even_if_it_has_nothing_else_to_do(
    project: Project, hook: Hook
) -> None:
    tells(project, None, hook)
    old = time.time() - 3 * 3600
    os.utime(project.folder / "state/heartbeat", (old, old))

    assert outcome(project) != "idle"
    assert outcome(project) == "idle"
    assert hook.events == ["late"]
    assert "for 3 hours" in hook.bodies[0]["text"]


def test_silence_is_no_news_where_runs_are_by_hand(project: Project, hook: Hook) -> None:
    tells(project, None, hook)
    project.configure(port=9, webhook_url=hook.url, run_every_minutes="by hand")
    old = time.time() - 30 * 86400
    os.utime(project.folder / "state/heartbeat", (old, old))

    run_driver(project)
    assert hook.events == []


def test_a_run_that_was_killed_is_told_by_the_next(project: Project, hook: Hook) -> None:
    tells(project, None, hook)
    edit_marker(project, finished=None, stage="training")

    run_driver(project)
    run_fully(project)

    assert hook.events == ["run_cut_off"]
    assert "stopped in training: it was cut off" in hook.bodies[0]["text"]


def test_what_lasts_is_told_as_it_begins_daily_and_as_it_ends() -> None:
    one, two = Event("drift", "region", "region moved"), Event("drift", "plan", "plan moved")
    told: list[list[tuple[str, list[str]]]] = []
    known: dict[str, dict[str, Condition]] = {}
    for hours, present in [(0, [one]), (1, [one, two]), (24, [one, two]), (25, [two]), (26, [])]:
        reports, known = lasting_news(known, present, MONDAY + 3600 * hours)
        told.append([(one.event, [e.key for e in one.events]) for one in reports])

    assert told == [
        [("drift", ["region"])],
        [("drift", ["plan"])],
        [("drift_lasts", ["region"])],
        [("drift_lasts", ["plan"]), ("drift_over", ["region"])],
        [("drift_over", ["plan"])],
    ]
    assert known == {}


def test_another_failure_takes_the_place_of_the_first() -> None:
    _, known = lasting_news({}, [Event("run_failed", "ingestion", "ingestion: x")], MONDAY)
    failure = Event("run_failed", "training", "training: y")
    reports, known = lasting_news(known, [failure], MONDAY + 600)

    assert [one.event for one in reports] == ["run_failed"]
    assert list(known["run_failed"]) == ["training"]


def known_since(days: float) -> dict[str, str]:
    moment = utc_stamp(time.time() - days * DAY)
    return {"since": moment, "reported": moment, "text": "it moved"}


# ---------------------------------------------------------------- receivers that fail


@pytest.mark.parametrize(
    "answers",
    [
        (says(b"HTTP/1.1 500 No\r\n\r\n"), closes, TAKEN),
        (closes, TAKEN),
    ],
    ids=["at the third try", "at the second"],
)
def test_a_receiver_that_recovers_within_the_run_gets_it_with_one_id(
    project: Project, answers: Any
) -> None:
    with web_hook(*answers) as hook:
        tells(project, None, hook)
        digest_is_due(project)
        run_driver(project)

        assert len({body["id"] for body in hook.bodies}) == 1
        assert len(hook.calls) == len(answers)
        assert state(project)["waiting"] == []


def test_a_receiver_that_is_down_holds_up_neither_the_run_nor_the_mail(
    project: Project, box: Mailbox
) -> None:
    with web_hook(says(b"HTTP/1.1 503 No\r\n\r\n")) as hook:
        tells(project, box, hook)
        digest_is_due(project)
        said = run_driver(project)
        assert said.code == 0 and len(hook.calls) == 3 and len(box.mails) == 1
        assert "digest-" in log(project) and "answered 503" in log(project)
        assert 500 < marker(project)["next_mail"] - time.time() <= 601
    with web_hook() as again:
        project.configure(port=9, mail=mail(box), webhook_url=again.url)
        run_driver(project)

    assert (again.events, len(box.mails)) == (["digest"], 1)
    assert again.bodies[0]["id"] == hook.bodies[0]["id"]


def test_many_messages_do_not_each_wait_for_a_receiver_that_is_down(project: Project) -> None:
    with web_hook(says(b"HTTP/1.1 503 No\r\n\r\n")) as hook:
        tells(project, None, hook)
        digest_is_due(project)
        broken(project)
        fail(project)

    assert len(state(project)["waiting"]) == 2
    assert len(hook.calls) == 3  # the first message's three tries stand for both


def test_what_could_not_be_sent_for_two_days_is_given_up(project: Project) -> None:
    with web_hook(says(b"HTTP/1.1 404 No\r\n\r\n")) as hook:
        tells(project, None, hook)
        digest_is_due(project)
        run_driver(project)
        assert len(hook.calls) == 1  # an address that is wrong is not tried again at once
        [entry] = state(project)["waiting"]
        changed_state(project, waiting=[{**entry, "at": utc_stamp(time.time() - 2 * DAY - 1)}])
        run_fully(project)

    assert state(project)["waiting"] == []
    assert f"{entry['id']} is given up after two days" in log(project)


def test_a_state_of_a_newer_version_sends_nothing_and_fails_no_run(
    project: Project, hook: Hook
) -> None:
    tells(project, None, hook)
    (project.folder / "state/alerts.json").write_text(json.dumps({"format": 2}))

    assert run_fully(project).code == 0
    assert state(project) == {"format": 2} and hook.calls == []
    assert "alerts.json was written by a newer version" in log(project)


def test_a_failure_is_told_though_the_history_cannot_be_read(project: Project, hook: Hook) -> None:
    tells(project, None, hook)
    changed_state(project, lasting={"drift": {"region": known_since(0)}})
    for name in ("history.sqlite", "clients.sqlite"):
        (project.folder / "state" / name).write_bytes(b"no database " * 100)
    broken(project)
    fail(project)

    assert hook.events == ["run_failed"]
    assert list(state(project)["lasting"]) == ["drift", "run_failed"]
    assert "not all could be reported: " in log(project)


def test_a_digest_whose_list_is_gone_holds_up_no_other_message(
    project: Project, hook: Hook
) -> None:
    tells(project, None, hook)
    digest_is_due(project)
    broken(project)
    (project.folder / "models/clients_at_risk.json").write_text('{"data_date": "2026-01-01"}')
    fail(project)

    assert hook.events == ["run_failed"]
    assert "no digest could be made" in log(project)


def test_a_damaged_state_begins_anew_without_repeating_the_past(
    project: Project, hook: Hook
) -> None:
    tells(project, None, hook)
    (project.folder / "state/alerts.json").write_text("{")

    run_fully(project)

    assert hook.calls == [] and state(project)["format"] == 1

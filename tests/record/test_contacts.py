"""Whom somebody has called: what a note may be, which one counts, and the file of a CRM."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project, age
from driver import copy_of, first_deployed, listing, run_driver, undrawn

import reporting
from ingestion import ingest
from risk.config import PipelineError
from risk.data.removal import erase
from risk.files import utc_now
from risk.record import contacts
from risk.record.contacts import (
    BadContact,
    Contact,
    add_contact,
    contacts_of,
    first_contacts,
    newest_contacts,
    parse_moment,
    read_contacts,
)
from risk.run.idle import idle_line

HEADER = "client,state,until,at"
FILE = "crm/contacts.csv"
NOW = "2026-06-10T12:00:00Z"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path, contacts_path=FILE)
    (tmp_path / "crm").mkdir()
    return made


def drop(project: Project, *rows: str, old: bool = True) -> Path:
    return project.write(FILE, rows, header=HEADER, old=old)


def day(ahead: int) -> str:
    return str(datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=ahead))


def test_a_note_comes_back_as_it_was_given(project: Project) -> None:
    given = add_contact(
        project.config, " Größe ≥ ½ ", "Snoozed", day(9), by=" Ann ", note="on leave "
    )

    assert (given.client, given.state, given.until) == ("Größe ≥ ½", "snoozed", day(9))
    assert (given.by, given.note, given.at[:10]) == ("Ann", "on leave", day(0))
    assert newest_contacts(project.config) == {"Größe ≥ ½": given}
    assert contacts_of(project.config, "Größe ≥ ½") == [given]


def test_the_newest_note_counts_and_open_takes_it_back(project: Project) -> None:
    config = project.config
    for state in ("contacted", "not at risk"):
        add_contact(config, "Acme", state)
    assert newest_contacts(config)["Acme"].state == "not at risk"
    add_contact(config, "Acme", "open")

    assert newest_contacts(config) == {}
    every = [one.state for one in contacts_of(config, "Acme")]
    assert every == ["contacted", "not at risk", "open"]


def test_a_snooze_is_over_on_its_day(project: Project) -> None:
    add_contact(project.config, "Acme", "snoozed", datetime.date.fromisoformat(day(2)))

    assert "Acme" in newest_contacts(project.config, day(1))
    assert newest_contacts(project.config, day(2)) == {}


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("client", {"client": " "}),
        ("client", {"client": "a\nb"}),
        ("client", {"client": "x" * 501}),
        ("state", {"state": "called"}),
        ("state", {"state": ""}),
        ("until", {"state": "snoozed"}),
        ("until", {"state": "snoozed", "until": "soon"}),
        ("until", {"state": "snoozed", "until": "2020-01-31"}),
        ("until", {"state": "snoozed", "until": utc_now()[:10]}),
        ("until", {"state": "snoozed", "until": "2999-01-01"}),
        ("until", {"state": "contacted", "until": "2999-01-01"}),
        ("by", {"by": "a\x1b[2J"}),
        ("by", {"by": "x" * 81}),
        ("note", {"note": "a\u202eb"}),
        ("note", {"note": "line\nbreak"}),
        ("note", {"note": "x" * 501}),
    ],
)
def test_what_a_note_may_not_be_is_refused_by_field_and_nothing_is_written(
    project: Project, field: str, given: dict[str, Any]
) -> None:
    with pytest.raises(BadContact, match=rf"^{field}: \w") as raised:
        add_contact(project.config, **{"client": "Acme", "state": "contacted"} | given)
    assert raised.value.field == field and isinstance(raised.value, PipelineError)
    assert not project.config.score_history.exists()


def test_a_client_that_was_erased_gets_no_note(project: Project) -> None:
    erase(project.config, "Gone")

    with pytest.raises(BadContact, match="^client: was erased"):
        add_contact(project.config, "Gone", "contacted")
    drop(project, "Gone,contacted,,2026-06-03", "Acme,contacted,,2026-06-03")
    taken = read_contacts(project.config)

    assert list(newest_contacts(project.config)) == ["Acme"]
    assert [(f.line, f.rule, f.value) for f in taken.errors] == [(2, "erased client", "")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("2026-06-03", "2026-06-03T00:00:00Z"),
        ("2026-06-03T09:12:00Z", "2026-06-03T09:12:00Z"),
        ("2026-06-03 09:12:30.9", "2026-06-03T09:12:30Z"),
        ("2026-06-03T01:00:00+02:00", "2026-06-02T23:00:00Z"),
        ("2026-06-11T11:00:00Z", "2026-06-11T11:00:00Z"),
    ],
)
def test_a_time_is_told_in_utc(text: str, said: str) -> None:
    assert parse_moment(text, NOW) == said


@pytest.mark.parametrize("text", ["3 June", "2026-13-01", "1969-12-31", "2026-06-12", "9999-12-31"])
def test_what_is_no_time_or_to_come_is_refused(text: str) -> None:
    with pytest.raises(BadContact, match="^at: "):
        parse_moment(text, NOW)


def test_each_row_of_the_file_is_taken_once_and_the_file_is_not_changed(project: Project) -> None:
    path = drop(project, "Acme,contacted,,2026-06-03T09:12:00Z", '"Borg, Inc",Left,,')
    before = path.read_bytes(), path.stat().st_mtime_ns

    first, again = read_contacts(project.config), read_contacts(project.config)
    assert before == (path.read_bytes(), path.stat().st_mtime_ns)
    drop(project, "Acme,contacted,,2026-06-03T09:12:00Z", "New,not at risk,,2026-06-04")
    third = read_contacts(project.config)

    assert (first.taken, again.taken, third.taken) == (2, 0, 1)
    assert first.notes == [f"{FILE}: 2 contacts taken"] and again.notes == []
    states = newest_contacts(project.config)
    assert {name: one.state for name, one in states.items()} == {
        "Acme": "contacted", "Borg, Inc": "left", "New": "not at risk"}  # fmt: skip
    assert states["Acme"].at == "2026-06-03T09:12:00Z"


def test_the_order_of_times_decides_not_that_of_rows(project: Project) -> None:
    drop(project, "Acme,left,,2026-06-09", "Acme,contacted,,2026-06-03")
    read_contacts(project.config)

    assert newest_contacts(project.config)["Acme"].state == "left"
    assert first_contacts(project.config) == {"Acme": "2026-06-03T00:00:00Z"}


def test_a_time_that_lies_ahead_does_not_hide_what_is_noted_now(project: Project) -> None:
    drop(project, f"Acme,left,,{day(1)}T00:00:00Z")
    assert read_contacts(project.config).taken == 1
    add_contact(project.config, "Acme", "contacted")

    assert newest_contacts(project.config)["Acme"].state == "contacted"
    assert read_contacts(project.config).taken == 0


def test_bad_rows_are_told_with_line_column_and_value_and_the_others_taken(
    project: Project,
) -> None:
    drop(
        project,
        "Acme,caled,,2026-06-03",
        "Borg,contacted,,2026-06-03",
        ",contacted,,2026-06-03",
        "Cody,snoozed,tomorrow,2026-06-03",
        "Dale,contacted,,yesterday",
        "Ever,contacted,2026-06-03",
        "F\x1bn,contacted,,",
    )
    taken = read_contacts(project.config)

    assert list(newest_contacts(project.config)) == ["Borg"]
    assert taken.taken == 1
    assert [(f.line, f.column, f.value) for f in taken.errors] == [
        (2, "state", "caled"), (4, "client", ""), (5, "until", "tomorrow"),
        (6, "at", "yesterday"), (7, "", ""), (8, "client", "F\x1bn")]  # fmt: skip
    assert taken.notes[1] == (
        f"{FILE}, line 2, state: not one of contacted, not at risk, left, snoozed, open ('caled')"
    )
    assert taken.notes[-1] == f"{FILE}: 1 more bad rows" and len(taken.notes) == 7
    assert "\x1b" not in "".join(taken.notes)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"client,state,at\nA,left,\n", "the column 'until' is missing"),
        (b"\x1f\x8b123", "cannot be unpacked by gzip"),
        (HEADER.encode() + b'\n"A,left,,\n', "a quote"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named(project: Project, raw: bytes, said: str) -> None:
    project.write(FILE, raw)
    (one,) = read_contacts(project.config).notes
    assert one.startswith(f"{FILE}: refused, ") and said in one


@pytest.mark.parametrize("raw", [b"", b"\n", HEADER.encode(), HEADER.encode() + b"\n"])
def test_an_empty_file_is_nothing_to_tell(project: Project, raw: bytes) -> None:
    project.write(FILE, raw)
    assert read_contacts(project.config).notes == []
    assert not project.config.score_history.exists()


def test_a_folder_in_its_place_is_named(project: Project) -> None:
    (project.folder / FILE).mkdir()
    assert read_contacts(project.config).notes == [f"{FILE}: cannot be read, Is a directory"]


def test_without_a_file_there_is_nothing_to_do(project: Project) -> None:
    assert read_contacts(project.config).notes == []
    assert read_contacts(project.configure()).notes == []
    assert not project.config.state_folder.exists()


def test_a_last_line_that_may_still_be_written_is_left_for_later(project: Project) -> None:
    path = project.write(FILE, f"{HEADER}\nAcme,left,,\nBorg Interna".encode(), old=False)
    first = read_contacts(project.config)
    with open(path, "ab") as file:
        file.write(b"tional,contacted,,")
    age(path)
    second = read_contacts(project.config)

    assert (first.taken, first.errors, first.seen) == (1, [], None)
    assert second.taken == 1 and second.seen == [path.stat().st_size, path.stat().st_mtime_ns]
    assert sorted(newest_contacts(project.config)) == ["Acme", "Borg International"]


def test_the_file_is_written_as_the_input_files_are(project: Project) -> None:
    style = {"delimiter": ";", "encoding": "cp1252", "decimal": ","}
    config = project.configure(contacts_path=FILE, csv=style)
    project.write(FILE, "client;state;until;at\r\nMüller;left;;\r\n".encode("cp1252"))

    assert read_contacts(config).taken == 1 and list(newest_contacts(config)) == ["Müller"]


@pytest.mark.parametrize("place", ["sourcedata/c.csv", "testdata/c.csv", "~/c.csv"])
def test_a_file_among_the_clients_rows_is_refused(project: Project, place: str) -> None:
    with pytest.raises(PipelineError, match="contacts_path"):
        project.configure(contacts_path=place)


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = copy_of(first_deployed(tmp_path_factory), tmp_path)
    made.configure(port=9, contacts_path=FILE)
    (tmp_path / "crm").mkdir()
    assert run_driver(made).data["outcome"] != "idle"
    assert run_driver(made).data["outcome"] == "idle"
    return made


def report(project: Project) -> None:
    with undrawn():
        reporting.report(project.config)


def test_a_run_takes_a_new_file_in_and_the_next_is_idle(deployed: Project) -> None:
    drop(deployed, "client1_1,contacted,,2026-06-03", "x,caled,,")

    said = run_driver(deployed)

    assert f"{FILE}: 1 contacts taken" in said.text
    assert f"{FILE}, line 3, state: not one of" in said.text
    assert newest_contacts(deployed.config)["client1_1"].state == "contacted"
    assert run_driver(deployed).data["outcome"] == "idle"
    os.unlink(deployed.folder / FILE)
    assert idle_line(["--config", str(deployed.folder / "config.json")]) is None


def test_the_list_shows_the_contact_and_neither_risk_nor_rank_changes(deployed: Project) -> None:
    plain = listing(deployed)["clients"]
    first = plain[0]["client"]
    add_contact(deployed.config, first, "contacted", by="Ann", note="will think about it")

    report(deployed)

    told = listing(deployed)["clients"]
    assert Contact(**told[0].pop("contact")).by == "Ann" and plain[0].pop("contact") is None
    assert [one["contact"] for one in told[1:]] == [None] * (len(told) - 1)
    assert told == plain


def test_erasing_takes_the_notes_too(deployed: Project) -> None:
    deployed.write("sourcedata/2025-01-31.csv", ["Gone Ltd,1,600,30,", "Acme,1,600,30,"])
    ingest(deployed.config)
    report(deployed)
    add_contact(deployed.config, "Gone Ltd", "contacted")

    deployed.run("ingestion.py", "--erase", "Gone Ltd")
    report(deployed)

    kept = [deployed.config.score_history, deployed.config.clients_json, deployed.config.outcomes]
    assert all(b"Gone Ltd" not in path.read_bytes() for path in kept)
    assert b"Acme" in deployed.config.score_history.read_bytes()
    assert listing(deployed)["clients"][0]["client"] == "Acme"


def test_the_vocabulary_is_the_documented_one() -> None:
    text = (ROOT / "docs/clients.md").read_text()
    assert all(f"`{state}`" in text for state in contacts.STATES)

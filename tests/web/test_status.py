"""The page Status: is it running, the week of runs, the last failure, the data, drift, times."""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conftest import ROOT, Project, client_rows
from past import drift_row, write_drift, write_marker, write_run_log
from serving import deployed_copy
from test_pages import getter, text_of

from risk.releases import BY_HAND, read_deployment, write_deployment
from risk.run import run_log
from risk.run.packages import Outdated, Packages
from risk.script import record_time, stage_times
from risk.web import data, status
from risk.web.svg import hour_marks, seconds_curve

NOW = datetime(2026, 11, 24, 10, 4, tzinfo=UTC)
EVER = int(NOW.timestamp()) // run_log.SECONDS


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = deployed_copy(tmp_path_factory)
    project.config.state_folder.mkdir(exist_ok=True)
    return project


def page_of(project: Project) -> str:
    page = getter(project)("/status")
    assert page.status_code == 200
    return text_of(page)


def beat(project: Project, minutes: float) -> None:
    """The last good run ended so many minutes ago."""
    then = datetime.now(UTC).timestamp() - 60 * minutes
    project.config.heartbeat.touch()
    os.utime(project.config.heartbeat, (then, then))


def finished(minutes: float) -> str:
    return f"{datetime.now(UTC) - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


# ---------------------------------------------------------------- the answer


def test_never_run_says_so_and_what_to_type(own: Project) -> None:
    own.config.heartbeat.unlink(missing_ok=True)
    text = page_of(own)
    assert (
        "No run has ended well yet" in text and f"make -C {ROOT} cron CONFIG={own.folder}" in text
    )


def test_an_idle_run_is_told_apart_from_one_with_work(own: Project) -> None:
    write_marker(own, started=finished(200.5), finished=finished(200))
    beat(own, 4)
    text = page_of(own)
    assert "Running: the last run was 4 minutes ago and had nothing to do" in text
    assert "took 30 seconds. Its outcome, “kept”: no news." in text
    write_marker(own, started=finished(5), finished=finished(4))
    assert "the last run was 4 minutes ago and kept" in page_of(own)


def test_what_is_not_read_and_what_was_remarked_is_named(own: Project) -> None:
    own.write("sourcedata/2026-11.xls", b"x")
    own.write("sourcedata/new.csv", [*client_rows(3, seed=8), "Total,1,2,3,"])
    own.run("ingestion.py")
    text = page_of(own)
    assert "2026-11.xls not read, save it as .xlsx or CSV" in text
    assert "new.csv line 5 set aside: a totals row" in text


def test_late_is_said_first_and_says_what_to_type(own: Project) -> None:
    write_marker(own)
    beat(own, 130)
    text = page_of(own)
    assert "Late: the last good run was 2 hours ago" in text and "crontab -l" in text


def test_a_failed_run_is_named_with_stage_and_message(own: Project) -> None:
    failed = {"stage": "training", "error": "no <space> left", "at": "2026-11-24T02:10:00Z"}
    write_marker(own, finished=None, failed=failed, failure=None)
    beat(own, 20)
    text = page_of(own)
    assert "The last run failed in training; the last good one was 20 minutes ago" in text
    assert "Training , 24 Nov 2026 02:10 UTC: no <space> left" in text
    assert "Still so" in text and f"diagnostics.py --doctor --config {own.folder}" in text


def test_a_run_that_was_cut_off_is_named(own: Project) -> None:
    write_marker(own, finished=None, stage="scoring")
    beat(own, 20)
    assert "The last run was cut off in scoring" in page_of(own)


def test_a_run_that_is_going_on_is_named(own: Project) -> None:
    write_marker(own, finished=None, stage="scoring")
    beat(own, 4)
    with open(own.config.lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        json.dump({"script": "fullprocess.py", "since": "now", "pid": 7}, lock)
        lock.flush()
        text = page_of(own)
    assert "A run is at work" in text and "running since now (process 7)" in text


def test_a_failure_that_is_over_says_since_when(own: Project) -> None:
    write_marker(own)
    beat(own, 4)
    text = page_of(own)
    assert "Ingestion , 19 Nov 2026 02:10 UTC, 3 runs in a row" in text
    assert "and over since 19 Nov 2026 02:40 UTC" in text


def test_a_hold_is_told_here_too(own: Project) -> None:
    beat(own, 4)
    now = read_deployment(own.config)
    write_deployment(own.config, replace(now, paused=BY_HAND))
    assert "Model 1 is paused by hand." in page_of(own)


# ---------------------------------------------------------------- the week


@pytest.fixture
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """10:00 worked; Sunday from 04:10 to 06:30 nothing; Thursday 02:10 to 02:30 broken."""
    at = {datetime(2026, 11, 24, 7, tzinfo=UTC): run_log.WORKED}
    sunday, thursday = (
        datetime(2026, 11, 22, 4, 10, tzinfo=UTC),
        datetime(2026, 11, 19, 2, 10, tzinfo=UTC),
    )
    at |= {sunday + timedelta(minutes=10 * n): run_log.NONE for n in range(15)}
    at |= {thursday + timedelta(minutes=10 * n): run_log.BROKEN for n in range(3)}
    changed = {EVER - int(when.timestamp()) // run_log.SECONDS: kind for when, kind in at.items()}
    project = deployed_copy(tmp_path_factory)
    write_run_log(project, NOW.timestamp(), changed)
    return project.config.run_log.read_bytes()


def test_the_strip_says_what_became_of_every_expected_run(raw: bytes) -> None:
    found = status.week(raw, NOW)
    days = {day.name: (day.bad, day.words) for day in found.days}
    assert list(days)[0] == "Tue 24 Nov" and list(days)[-1] == "Wed 18 Nov"
    assert days["Tue 24 Nov"] == ("", "1 ok and 60 idle")
    assert days["Sun 22 Nov"] == ("15 missing (04:10 to 06:30)", "129 idle")
    assert days["Thu 19 Nov"] == ("3 failed (02:10 to 02:30)", "141 idle")
    assert days["Wed 18 Nov"] == ("", "144 idle")
    assert found.counts == (
        "Of 925 expected runs 1 had something to do, 906 were idle, 3 failed and 15 are missing."
    )


def test_a_run_that_may_still_come_is_not_missing(raw: bytes) -> None:
    later = NOW + timedelta(minutes=10)
    assert "Of 925 " in status.week(raw, later).counts
    assert "16 are missing" in status.week(raw, later + timedelta(minutes=10)).counts


def test_a_run_is_missing_by_the_projects_own_rhythm() -> None:
    last = int(NOW.timestamp()) // run_log.SECONDS
    ring = bytearray([run_log.FORMAT]) + bytearray(run_log.SLOTS)
    due = [slot for slot in range(last - run_log.SLOTS + 1, last + 1) if slot % 6 == 2]
    for slot in due:
        if slot not in due[-8:-5]:  # each hour; three are left out
            ring[1 + slot % run_log.SLOTS] = run_log.IDLE * 64 + slot // run_log.SLOTS % 64
    hourly, by_hand = status.week(bytes(ring), NOW, 60), status.week(bytes(ring), NOW, 0)
    runs = sum(kind == run_log.IDLE for kind in run_log.kinds(bytes(ring), last - 924, last))
    assert hourly.counts == (
        f"Of {runs + 3} expected runs 0 had something to do, {runs} were idle, 0 failed and "
        "3 are missing."
    )
    assert by_hand.counts == f"Of {runs} runs 0 had something to do, {runs} were idle and 0 failed."


def test_before_the_run_log_there_is_nothing_to_miss(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project = deployed_copy(tmp_path_factory)
    run_log.begin(project.config.run_log)
    run_log.note(project.config.run_log, run_log.IDLE, NOW.timestamp(), NOW.timestamp())
    found = status.week(project.config.run_log.read_bytes(), NOW)
    assert found.counts.startswith("Of 1 expected runs 0 had something to do, 1 were idle")
    assert found.days[3].words == "nothing noted"
    assert not status.week(b"", NOW).known


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ([run_log.IDLE] * 6, "idle"),
        ([run_log.IDLE, run_log.WORKED], "ok"),
        ([run_log.IDLE, run_log.WORKED, run_log.NONE], "missing"),
        ([run_log.NONE, run_log.BROKEN], "failed"),
        ([run_log.BEFORE] * 6, ""),
    ],
)
def test_the_worst_of_an_hour_is_its_word(found: list[int], word: str) -> None:
    assert status.worst_word(found) == word


def test_each_word_has_a_shape_of_its_own() -> None:
    strip = hour_marks(["ok", "idle", "failed", "missing", ""])
    every = [strip[word] for word in ("ok", "idle", "failed", "missing")]
    assert [one.count("M") for one in every] == [1] * 4
    assert strip["ok"].startswith("M10 10") and strip["missing"].startswith("M70 10")


def test_without_a_run_log_the_page_says_that_nothing_is_noted(own: Project) -> None:
    beat(own, 4)
    own.config.run_log.unlink(missing_ok=True)
    assert "No run has been noted yet" in page_of(own)


# ---------------------------------------------------------------- the data


def test_the_counts_add_up_and_reasons_have_file_and_line(own: Project) -> None:
    rows = client_rows(12, seed=8)
    bad = ["a,many,2,3,0", "b,many,2,3,0", "c,1,2,-3,0", rows[0]]
    own.write("sourcedata/new.csv", [*rows, *bad])
    own.run("ingestion.py")
    text = page_of(own)
    assert "16 rows read = 12 accepted + 1 duplicates + 3 set aside." in text
    assert "In all 3 files: 136 = 132 + 1 + 3" in text
    assert "3 rows set aside in all files" in text
    assert "2 lastmonth_activity not a number new.csv line 14" in text
    assert "1 number_of_employees below 0 new.csv line 16" in text
    assert re.search(r"new\.csv 16 12 1 3 [0-9a-f]{8} ", text)


def test_a_file_that_was_not_taken_in_is_named(own: Project) -> None:
    own.write("sourcedata/none.csv", ["1,2"], header="what,ever")
    own.run("ingestion.py", check=False)
    text = page_of(own)
    assert "Files not taken in" in text and "none.csv" in text


def test_a_file_that_was_forgotten_is_named_as_such(own: Project) -> None:
    own.run("ingestion.py", "--forget", "two.csv")
    assert "two.csv taken out by hand" in page_of(own)


def test_a_quarantine_file_of_another_kind_is_no_trouble(own: Project) -> None:
    own.write("sourcedata/new.csv", [*client_rows(12, seed=8), "a,many,2,3,0"])
    own.run("ingestion.py")
    for path in own.config.quarantine.iterdir():
        path.write_text("no header of ours\n1\n")
    assert "12 accepted + 0 duplicates + 1 set aside" in page_of(own)


def test_missing_values_are_named_the_most_first() -> None:
    columns = {
        "a": {"missing_percent": 1.25},
        "b": {"missing_percent": 30.0},
        "c": {"missing_percent": 0.01},
    }
    assert data.missing(columns, ["a", "b", "c", "d"]) == "b 30.0 % and a 1.2 %"


# ---------------------------------------------------------------- drift, times, versions, log


def test_drift_is_worst_first_with_its_sentence_and_the_rest_folded(own: Project) -> None:
    write_drift(own)
    beat(own, 4)
    text = page_of(own)
    assert "One thing to look at: open tickets drifted" in text
    assert "open tickets since 3 Nov 2026 alert 0.310 0.0004 1,362 values above 3" in text
    assert text.index("open tickets since") < text.index("activity since") < text.index("column 0")
    assert "The other 6, all of them steady or without data" in text


def test_what_has_no_data_shows_no_distance(own: Project) -> None:
    write_drift(own, {**drift_row("exits", "no data", 0.9), "since": None})
    assert "exits no data 1,362" in page_of(own)


def test_drift_that_was_never_evaluated_says_so(own: Project) -> None:
    own.config.drift_state.unlink(missing_ok=True)
    assert "Drift has not been evaluated yet" in page_of(own)


def test_times_have_a_past(own: Project) -> None:
    own.run("ingestion.py", "--rebuild")
    own.run("ingestion.py", "--rebuild")
    kept = stage_times(own.config)
    last, recent = kept["ingestion"]["seconds"], kept["ingestion"]["recent"]
    assert len(recent) >= 2 and recent[-1] == pytest.approx(last, abs=0.001)
    shown = {stage: found for stage, *found in status.times(kept)}
    seconds, _, words = shown["Ingestion"]
    assert seconds == f"{last:.2f}\u00a0s" and "runs, up to" in words


def test_no_more_than_twelve_times_are_kept(own: Project) -> None:
    for at in range(20):
        record_time(own.config, "training", float(at))
    assert stage_times(own.config)["training"]["recent"] == [*range(8, 20)]


@pytest.mark.parametrize("recent", [[], [0.0], [1.0], [1.0, 2.0], [0.0] * 12])
def test_a_curve_of_times_stays_on_the_paper(recent: list[float]) -> None:
    numbers = [float(n) for n in re.findall(r"[\d.]+", seconds_curve(recent).replace("h0", ""))]
    assert len(numbers) == 2 * len(recent)
    assert all(0 <= n <= 142 for n in numbers)


def test_versions_say_which_newer_ones_are_out() -> None:
    outdated = [
        Outdated(package=name, version="1", latest=latest, type="wheel")
        for name, latest in (("numpy", "99.1"), ("odd", "2"))
    ]
    at = "2026-11-24T07:00:00Z"
    known = Packages(status="known", measured_at=at, outdated=outdated, reason="")
    found = status.versions(known, NOW)
    notes = {name: note for name, _, note in found.lines}
    assert (notes["numpy"], notes["flask"], found.others) == ("99.1 is out", "newest", "odd")
    assert found.when == "Looked up 3 hours ago."
    unknown = status.versions(
        known | {"status": "unknown", "reason": "no index", "outdated": []}, NOW
    )
    assert unknown.when == "Newer versions are not known: no index."
    assert {note for _, _, note in unknown.lines} == {""}


def test_what_was_sent_is_listed_newest_first_and_what_waits_is_counted(own: Project) -> None:
    days = [f"2026-11-{at:02d}T07:00:00Z" for at in range(1, 21)]
    sent = [{"id": day, "event": "run_failed", "by": "mail", "at": day} for day in days]
    own.config.alerts.write_text(json.dumps({"format": 1, "sent": sent, "waiting": [{}, {}]}))
    text = page_of(own)
    assert text.index("20 Nov") < text.index("13 Nov") and "12 Nov" not in text
    assert "2 still to go." in text and "run failed mail" in text


def test_that_nobody_is_told_is_said(own: Project) -> None:
    assert "Nobody is told: neither mail nor a webhook is set" in page_of(own)


def test_the_end_of_the_log_is_shown_as_it_is(own: Project) -> None:
    own.config.log_folder.mkdir(exist_ok=True)
    path = own.config.log_folder / "fullprocess.log"
    path.write_text("old\n" * 5000 + "2026-11-24T07:00:00Z kept: <b>no</b> \x1b[31mnews\n")
    page = getter(own)("/status").get_data(as_text=True)
    assert "kept: &lt;b&gt;no&lt;/b&gt;" in page and "\x1b" not in page
    assert page.count("old\n") < 25


def test_the_page_needs_no_model(own: Project) -> None:
    (own.config.production_folder / "current").unlink()
    own.config.clients_json.unlink()
    assert "The data" in page_of(own)

"""The driver: what each run decides and leaves, what a failure stops, what a person reads."""

from __future__ import annotations

import datetime
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest import mock

import pytest
from conftest import ROOT, Project, client_rows
from driver import (
    OFFLINE,
    copy_of,
    edit_marker,
    first_deployed,
    listing,
    marker,
    new_project,
    outcome,
    run_driver,
    run_fully,
    version,
)

from app import create_app
from risk import releases
from risk.config import PipelineError
from risk.data import holdout
from risk.files import project_lock
from risk.model.fit import MIN_TRAINING_CLASS, MIN_TRAINING_ROWS
from risk.model.measures import f1
from risk.model.model import Model
from risk.record import history
from risk.releases import OpenRelease, make_current
from risk.run.record import one_line

GOOD = client_rows(60, seed=24)
OTHER_WORLD = client_rows(60, seed=5, flip=True)
STAYS = [row[:-1] + "0" for row in client_rows(12, seed=6, prefix="stay")]
UNLABELLED = [row[:-1] for row in client_rows(12, seed=7, prefix="now")]


@pytest.fixture
def started(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after its first run: version 1 is deployed and nothing is new."""
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


@pytest.fixture
def raw(started: Project) -> Project:
    """The same project under the original's rule."""
    started.configure(port=9, policy="raw")
    return started


def log_lines(project: Project) -> list[str]:
    return project.text("logs/fullprocess.log").splitlines()


# ---------------------------------------------------------------- before the first deployment


def test_an_empty_input_folder_waits_and_says_what_to_do(tmp_path: Path) -> None:
    said = run_driver(new_project(tmp_path))

    assert said.code == 0
    assert said.text == (
        "waited: no model yet: no row was ingested yet; put CSV files with labelled rows "
        "into sourcedata"
    )


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        (client_rows(8, seed=1), "8 labelled rows"),
        (["a,1,2,3,1"], "1 labelled row"),
        ([row[:-1] + "1" for row in client_rows(20, seed=1)], "20 exits, 0 stays"),
        ([row[:-1] for row in client_rows(20, seed=1)], "0 labelled rows"),
        ([f"c{at},,,,{at % 2}" for at in range(20)], "two different values"),
        (["c,1,2,3,maybe"] * 12, "no row was ingested yet"),
    ],
    ids=["too few", "one row", "one class", "no label", "all missing", "a refused file"],
)
def test_rows_that_no_model_can_be_trained_on_wait_and_say_what_is_missing(
    tmp_path: Path, rows: list[str], missing: str
) -> None:
    project = new_project(tmp_path)
    project.write("sourcedata/one.csv", rows)

    said = run_driver(project)

    assert (said.data["outcome"], said.code) == ("wait", 0)
    assert missing in said.text.splitlines()[0]
    assert version(project) is None
    assert outcome(project) == "idle"


def test_the_first_run_deploys_and_leaves_everything_that_people_read(tmp_path: Path) -> None:
    project = new_project(tmp_path)
    project.write("sourcedata/one.csv", client_rows(60, seed=1))

    said = run_driver(project)

    assert said.text.splitlines()[0] == (
        "deployed version 1: the first model: there was none to compare with"
    )
    assert version(project) == 1
    present = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert {
        "ingesteddata/finaldata.csv",
        "ingesteddata/ingestedfiles.txt",
        "ingesteddata/summary.json",
        "models/trainedmodel.pkl",
        "models/model.json",
        "models/latestscore.txt",
        "models/confusion_matrix.png",
        "models/clients_at_risk.csv",
        "models/clients_at_risk.json",
        "models/apireturns.txt",
        "logs/latestscore.txt",
        "logs/fullprocess.log",
        "state/heartbeat",
        "production_deployment/trainedmodel.pkl",
        "production_deployment/manifest.json",
    } <= present
    timed = project.json("state/timings.json")
    assert {"ingestion", "training", "scoring", "deployment", "reporting"} <= timed.keys()
    assert marker(project)["finished"] and marker(project)["failed"] is None


def test_rows_that_were_too_few_count_once_there_are_more(tmp_path: Path) -> None:
    project = new_project(tmp_path)
    project.write("sourcedata/one.csv", client_rows(8, seed=1))
    run_driver(project)
    project.write("sourcedata/two.csv", client_rows(40, seed=2))

    said = run_driver(project)

    assert said.data["outcome"] == "deploy"
    assert project.json("production_deployment/manifest.json")["rows"] == 48


# ---------------------------------------------------------------- raw: did F1 fall?


def test_a_model_that_does_as_well_on_new_rows_is_kept_and_the_list_rewritten(
    raw: Project,
) -> None:
    before = listing(raw)
    raw.write("sourcedata/three.csv", GOOD)

    said = run_driver(raw)

    evidence, details = said.data["evidence"], said.data["evidence"]["details"]
    assert said.data["outcome"] == "keep"
    assert evidence["rows"] == 60 and details["f1_on_new_rows"] >= details["f1_of_deployed"]
    assert f"F1 {details['f1_on_new_rows']:.3f} on 60 new labelled rows" in said.text
    assert version(raw) == 1
    assert listing(raw)["data_version"] == before["data_version"] + 1
    assert {c["client"] for c in listing(raw)["clients"]} > {c["client"] for c in before["clients"]}
    assert outcome(raw) == "idle"


def test_a_model_that_does_worse_on_new_rows_is_replaced_by_one_trained_on_all(
    raw: Project,
) -> None:
    raw.write("sourcedata/three.csv", OTHER_WORLD)

    said = run_driver(raw)

    details = said.data["evidence"]["details"]
    assert said.text.startswith("deployed version 2: F1 ")
    assert (
        details["f1_on_new_rows"]
        < details["f1_of_deployed"]
        == pytest.approx(
            json.loads(
                (raw.folder / "production_deployment/releases/000001/manifest.json").read_text()
            )["f1"]
        )
    )
    assert raw.json("production_deployment/manifest.json")["rows"] == 180
    assert listing(raw)["model_version"] == 2
    assert outcome(raw) == "idle"


def test_a_verdict_is_not_asked_again(raw: Project) -> None:
    raw.write("sourcedata/three.csv", GOOD)
    run_driver(raw)
    raw.configure(port=9, policy="raw", max_rows=7)

    said = run_driver(raw)

    assert said.text.splitlines()[0] == "kept: no new labelled rows to judge by"


def test_new_rows_without_an_exit_wait_and_are_judged_with_the_next(raw: Project) -> None:
    raw.write("sourcedata/three.csv", STAYS)
    waited = run_driver(raw)
    idle = outcome(raw)
    raw.write("sourcedata/four.csv", GOOD)

    judged = run_driver(raw)

    assert (waited.data["outcome"], idle) == ("wait", "idle")
    assert "12 new labelled rows without an exit" in waited.text
    assert judged.data["evidence"]["rows"] == 72
    assert judged.data["outcome"] in ("keep", "deploy")


def test_current_clients_without_a_label_are_listed_while_the_model_waits(raw: Project) -> None:
    raw.write("sourcedata/three.csv", UNLABELLED)

    said = run_driver(raw)

    assert said.data["outcome"] == "wait" and "12 new rows without a usable label" in said.text
    assert listing(raw)["basis"] == "unlabelled"
    assert sorted(c["client"] for c in listing(raw)["clients"]) == sorted(
        row.partition(",")[0] for row in UNLABELLED
    )


def test_rows_of_a_replaced_file_are_never_judged(raw: Project) -> None:
    raw.write("sourcedata/one.csv", client_rows(60, seed=1, flip=True))

    said = run_driver(raw)

    assert said.text.splitlines()[0] == "kept: no new labelled rows to judge by"
    assert said.data["evidence"] == {}


def test_a_score_on_other_test_data_is_not_compared(raw: Project) -> None:
    raw.write("testdata/more.csv", client_rows(50, seed=8, flip=True))
    raw.write("sourcedata/three.csv", GOOD)

    said = run_driver(raw)

    with OpenRelease(raw.config) as release:
        model, old = Model.from_bytes(release.verified("model.json")), release.manifest["f1"]
    rows, labels = holdout.TestRows(raw.config, model.columns).labelled()
    now = f1(labels, (model.probabilities(rows) >= 0.5).astype(int))
    assert said.data["evidence"]["details"]["f1_of_deployed"] == now != old


def test_test_data_that_are_gone_leave_the_score_of_the_deployment(raw: Project) -> None:
    (raw.folder / "testdata/testdata.csv").unlink()
    raw.write("sourcedata/three.csv", GOOD)

    details = run_driver(raw).data["evidence"]["details"]

    assert details["f1_of_deployed"] == raw.json("production_deployment/manifest.json")["f1"]


def test_rows_ingested_by_hand_are_judged_by_the_next_run(raw: Project) -> None:
    raw.write("sourcedata/three.csv", GOOD)
    raw.run("ingestion.py")

    assert run_driver(raw).data["evidence"]["rows"] == 60


# ---------------------------------------------------------------- the other policies, and a hold


@pytest.mark.parametrize(
    ("policy", "rows", "verdict"),
    [
        ("never", OTHER_WORLD, "keep"),
        ("always", GOOD[:1], "deploy"),
        ("always", UNLABELLED, "wait"),
    ],
)
def test_the_other_policies_on_new_rows(
    started: Project, policy: str, rows: list[str], verdict: str
) -> None:
    started.configure(port=9, policy=policy)
    started.write("sourcedata/three.csv", rows)

    assert outcome(started) == verdict
    assert version(started) == (2 if verdict == "deploy" else 1)
    assert listing(started)["data_version"] == 2


def test_always_trains_on_all_rows_and_does_so_once(started: Project) -> None:
    started.configure(port=9, policy="always")
    started.write("sourcedata/three.csv", GOOD[:1])

    assert [outcome(started), outcome(started)] == ["deploy", "idle"]
    assert started.json("production_deployment/manifest.json")["rows"] == 121


def test_a_version_chosen_by_hand_is_held_until_it_is_released(raw: Project) -> None:
    raw.write("sourcedata/three.csv", OTHER_WORLD)
    run_driver(raw)
    raw.run("deployment.py", "--rollback")
    held = run_driver(raw)
    idle = outcome(raw)
    raw.write("sourcedata/four.csv", client_rows(60, seed=11, flip=True))
    held_again = run_driver(raw)
    listed = listing(raw)
    raw.run("deployment.py", "--release-hold")

    judged = run_driver(raw)

    assert [held.data["outcome"], idle, held_again.data["outcome"]] == ["paused", "idle", "paused"]
    assert "version 1 was chosen by hand" in held_again.text
    assert (listed["model_version"], listed["data_version"]) == (1, 3)
    assert judged.text.startswith("deployed version 3: ")
    assert judged.data["evidence"]["rows"] == 60


# ---------------------------------------------------------------- what people are told to do


def test_with_nine_labelled_rows_run_and_page_name_what_training_needs(tmp_path: Path) -> None:
    project = new_project(tmp_path)
    project.write("sourcedata/nine.csv", client_rows(9, seed=1))

    said = run_driver(project)
    page = create_app(project.config).test_client().get("/trust").get_data(as_text=True)
    project.write("sourcedata/tenth.csv", client_rows(12, seed=1)[9:])
    with mock.patch("risk.model.fit.MIN_TRAINING_CLASS", 1):
        enough = run_driver(project)

    needs = f"training needs {MIN_TRAINING_ROWS} with {MIN_TRAINING_CLASS} of each"
    assert said.text.startswith("waited: no model yet: 9 labelled rows") and needs in said.text
    assert (
        f"at least {MIN_TRAINING_ROWS} rows with an outcome, {MIN_TRAINING_CLASS} of each" in page
    )
    assert enough.data["outcome"] == "deploy"


# ---------------------------------------------------------------- labels that come later


def test_labels_wait_for_their_horizon_and_are_judged_when_they_mature(tmp_path: Path) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    project = new_project(tmp_path, policy="raw", horizon_days=10)
    old, young = today - datetime.timedelta(days=11), today - datetime.timedelta(days=10)
    project.write(f"sourcedata/{old}.csv", client_rows(60, seed=1))
    project.write(f"sourcedata/{young}.csv", GOOD)
    first = run_driver(project)
    idle = outcome(project)
    tomorrow = today + datetime.timedelta(days=1)
    assert (
        marker(project)["next_maturity"]
        == datetime.datetime.combine(tomorrow, datetime.time(), datetime.UTC).timestamp()
    )

    with mock.patch("risk.data.labels.today", return_value=tomorrow):
        matured = run_fully(project)

    assert (first.data["outcome"], idle) == ("deploy", "idle")
    assert project.json("production_deployment/manifest.json")["rows"] == 60
    assert matured.data["evidence"]["rows"] == 60
    assert marker(project)["next_maturity"] == 0


def test_a_longer_horizon_does_not_make_old_rows_new(tmp_path: Path) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    then, date = today - datetime.timedelta(days=2), today - datetime.timedelta(days=5)
    project = new_project(tmp_path, policy="raw", horizon_days=1)
    project.write(f"sourcedata/{date}.csv", client_rows(60, seed=1))
    with mock.patch("risk.data.labels.today", return_value=then):
        run_driver(project)
    project.configure(port=9, policy="raw", horizon_days=4)

    said = run_driver(project)

    # By four days they were not mature then; by the one that counted then they were trained on.
    assert said.text.splitlines()[0] == "kept: no new labelled rows to judge by"


# ---------------------------------------------------------------- failures


def in_the_way(name: str) -> Callable[[Project], Callable[[], None]]:
    """Put a folder where the stage writes this file; what comes back takes it away."""

    def damage(project: Project) -> Callable[[], None]:
        path = project.folder / name
        path.unlink(missing_ok=True)
        path.mkdir()
        return path.rmdir

    return damage


def no_input_folder(project: Project) -> Callable[[], None]:
    inputs, away = project.folder / "sourcedata", project.folder / "away"
    inputs.rename(away)
    return lambda: (away.rename(inputs), None)[1]


def damaged_release(project: Project) -> Callable[[], None]:
    path = project.folder / "production_deployment/releases/000001/model.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    return lambda: (path.write_bytes(whole), None)[1]


def damaged_test_file(project: Project) -> Callable[[], None]:
    path = project.write("testdata/more.csv", ["1,2"], header="corporation,employees")
    return path.unlink


def models_is_a_file(project: Project) -> Callable[[], None]:
    models, away = project.folder / "models", project.folder / "away"
    models.rename(away)
    models.write_text("")
    return lambda: (models.unlink(), away.rename(models), None)[2]


def full_disk(project: Project) -> Callable[[], None]:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "production_deployment")

    releases.make_current = refuse  # type: ignore[assignment]
    return lambda: setattr(releases, "make_current", make_current)


FAILURES = [
    ("ingestion", no_input_folder, "the input folder", 1),
    ("snapshot", damaged_release, "is damaged: model.json does not match its digest", 1),
    ("decision", damaged_test_file, "test file testdata/more.csv", 1),
    ("training", models_is_a_file, "models", 1),
    ("scoring", in_the_way("models/latestscore.json"), "latestscore.json: Is a directory", 1),
    ("deployment", full_disk, "production_deployment: No space left on device", 1),
    ("reporting", in_the_way("models/clients_at_risk.csv"), "clients_at_risk.csv", 2),
    ("diagnostics", in_the_way("state/packages.json"), "packages.json: Is a directory", 2),
    ("apicalls", in_the_way("models/apireturns.txt"), "apireturns.txt: Is a directory", 2),
]


@pytest.mark.parametrize(
    ("stage", "damage", "said", "deployed"),
    FAILURES,
    ids=[f"{stage} {getattr(damage, '__name__', '')}" for stage, damage, *_ in FAILURES],
)
def test_a_stage_that_fails_stops_the_run_and_the_next_one_completes_it(
    started: Project,
    stage: str,
    damage: Callable[[Project], Callable[[], None]],
    said: str,
    deployed: int,
) -> None:
    started.write("sourcedata/three.csv", OTHER_WORLD)
    before = started.json("state/timings.json")
    mend = damage(started)
    try:
        with pytest.raises(PipelineError) as failure:
            run_driver(started)
        after = started.json("state/timings.json")
        left = marker(started)
        deployed_then = version(started)
    finally:
        mend()

    assert str(failure.value).startswith(f"{stage}: ") and said in str(failure.value)
    assert "\n" not in str(failure.value)
    assert (left["failed"]["stage"], left["finished"], deployed_then) == (stage, None, deployed)
    order = ["ingestion", "training", "scoring", "deployment", "reporting", "apicalls"]
    later = order[order.index(stage) :] if stage in order else order[order.index("training") :]
    if stage == "diagnostics":
        later = ["apicalls"]
    assert {s: after.get(s) for s in later} == {s: before.get(s) for s in later}
    assert f"failed in {stage}: " in log_lines(started)[-1]

    assert any(
        f"failed in {stage}; this one completes it" in note
        for note in run_driver(started).data["notes"]
    )
    # A release that was built and not made current leaves its number unused.
    assert version(started) == listing(started)["model_version"] == 2 + (stage == "deployment")
    assert outcome(started) == "idle"


def test_other_features_than_the_deployed_model_has_are_refused_with_what_to_type(
    started: Project,
) -> None:
    started.configure(port=9, columns={"features": ["lastmonth_activity"]})
    started.run("ingestion.py", "--rebuild")

    with pytest.raises(
        PipelineError, match=r"decision: the model was trained with other features .* run training"
    ):
        run_driver(started)


def test_a_failed_run_exits_1_with_one_line_and_no_traceback(started: Project) -> None:
    no_input_folder(started)

    done = started.run("fullprocess.py", check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ingestion: the input folder ")
    assert len(done.stderr.splitlines()) == 1


def test_an_api_that_is_down_does_not_fail_the_run(started: Project) -> None:
    started.write("sourcedata/three.csv", GOOD)

    said = run_driver(started)

    assert said.code == 0 and "cannot be reached" in said.text
    assert {
        entry["status"]
        for entry in started.json("models/apireturns.txt").values()
        if isinstance(entry, dict)
    } == {"unreachable"}


def test_a_defect_of_ours_keeps_its_traceback_and_is_recorded(started: Project) -> None:
    started.write("sourcedata/three.csv", GOOD)

    with (
        pytest.raises(ZeroDivisionError),
        mock.patch("reporting.report", side_effect=ZeroDivisionError("x")),
    ):
        run_driver(started)

    assert marker(started)["failed"]["stage"] == "reporting"


# ---------------------------------------------------------------- one run at a time, and an end


def test_a_run_that_finds_a_run_going_on_says_since_when_and_exits_0(started: Project) -> None:
    started.write("sourcedata/three.csv", GOOD)
    with project_lock(started.config, "training.py", 0):
        done = started.run("fullprocess.py")
        since = json.loads(started.text("state/lock"))["since"]

    assert done.stdout.startswith(
        f"locked: training.py is running since {since} (process {os.getpid()})"
    )
    assert done.stderr == ""
    assert marker(started)["data_version"] == 1


HANGING = """
import subprocess, sys, time
sys.path.insert(0, {root!r})
sys.argv[0] = "fullprocess.py"
import ingestion, fullprocess
CHILD = "import time, signal; signal.signal(15, signal.SIG_IGN); time.sleep(99)"
def hang(config, patient):
    child = subprocess.Popen([sys.executable, "-c", CHILD])
    print(child.pid, flush=True)
    time.sleep(99)
ingestion.ingest = hang
fullprocess.main()
"""


def test_a_run_that_hangs_is_ended_with_its_children_and_completed_by_the_next(
    started: Project,
) -> None:
    started.configure(port=9, run_limit_minutes=0.02)
    started.write("sourcedata/three.csv", OTHER_WORLD)
    config = str(started.folder / "config.json")
    hung = subprocess.run(
        [sys.executable, "-c", HANGING.format(root=str(ROOT)), "--config", config],
        text=True,
        capture_output=True,
        timeout=60,  # without its limit the run would hang for 99
    )

    assert hung.returncode == -9
    assert hung.stderr == (
        "error: ingestion: the run was ended after 0.02 minutes, its limit; "
        "the next one completes it\n"
    )
    with pytest.raises(ProcessLookupError):
        for _ in range(500):  # a killed child of a killed parent waits for init to collect it
            os.kill(int(hung.stdout), 0)
            with suppress(FileNotFoundError):
                if (
                    Path(f"/proc/{int(hung.stdout)}/stat").read_text().rpartition(")")[2].split()[0]
                    == "Z"
                ):
                    raise ProcessLookupError
            time.sleep(0.01)
    status = started.run("diagnostics.py", "--status", check=False)
    assert status.returncode == 1
    assert "failed in ingestion: ended after 0.02 minutes, its limit" in status.stdout
    started.configure(port=9)
    assert outcome(started) == "deploy"
    assert (
        started.run("diagnostics.py", "--status").stdout == "ok: the last good run ended just now\n"
    )


def test_a_run_within_its_limit_leaves_no_watchdog_behind(started: Project) -> None:
    done = started.run("fullprocess.py", "--now", **OFFLINE)

    # The pipe that run() reads would still be open in a watchdog that lives on.
    assert done.stdout.startswith("kept: ")


# ---------------------------------------------------------------- cut off, and the log


def test_a_run_that_was_killed_is_told_by_the_one_that_completes_it(started: Project) -> None:
    edit_marker(started, finished=None, stage="reporting", started="2026-01-01T00:00:00Z")

    said = run_driver(started)

    note = "the run of 2026-01-01T00:00:00Z was cut off in reporting; this one completes it"
    assert note in said.data["notes"]
    assert any(note in line for line in log_lines(started))
    assert "to call: models/clients_at_risk.csv" in said.text  # perhaps it had not told anybody yet


def test_a_marker_of_a_newer_version_is_refused(started: Project) -> None:
    (started.folder / "state/run.json").write_text('{"format": 2}')

    with pytest.raises(PipelineError, match="newer version of this software; update"):
        run_driver(started)


def test_no_name_forges_a_line_of_the_log(started: Project) -> None:
    forged = "2026-01-01T00:00:00Z deployed version 9"
    name = f"x\n{forged}\r\x1b[2K\u2028{forged}.csv"
    started.write(f"sourcedata/{name}", ["1,2"], header="corporation,employees")

    said = run_driver(started)

    assert "refused" in said.text
    raw = started.text("logs/fullprocess.log")
    assert not any(line.startswith(forged) for line in raw.splitlines())
    assert "\x1b" not in raw and "\u2028" not in raw
    assert all(line[:4].isdigit() and line[19] == "Z" for line in raw.splitlines())


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\x0bb", "a\x85b", "a\u2028b"])
def test_a_line_of_the_log_is_one_line(text: str) -> None:
    assert one_line(text) == "a b"


def test_the_log_is_one_line_for_each_event_and_rotates(started: Project) -> None:
    path = started.folder / "logs/fullprocess.log"
    path.write_text("x" * 999_990 + "\n")
    started.write("sourcedata/three.csv", GOOD)

    told = run_driver(started).text

    assert (started.folder / "logs/fullprocess.log.1").stat().st_size > 900_000
    said = [line[21:] for line in log_lines(started)]
    assert [line for line in said if line.startswith("read 60 rows of 1 files")]
    assert " ".join("\n".join(said).split()).endswith(" ".join(told.splitlines()[0].split()))
    assert path.stat().st_size < 10_000


def test_logs_may_be_deleted(started: Project) -> None:
    for path in sorted((started.folder / "logs").iterdir()):
        path.unlink()
    (started.folder / "logs").rmdir()

    assert outcome(started) == "idle"
    started.write("sourcedata/three.csv", GOOD)
    assert run_driver(started).data["evidence"]["rows"] == 60


# ---------------------------------------------------------------- clocks


def test_a_clock_that_was_set_back_a_day_changes_nothing(started: Project) -> None:
    ahead = time.time() + 86400
    for path in sorted(p for p in started.folder.rglob("*") if p.is_file()):
        if path.name != "finaldata.csv" and path.parent.name != "sourcedata":
            os.utime(path, (ahead, ahead))
    idle = outcome(started)
    started.write("sourcedata/three.csv", OTHER_WORLD, old=False)
    os.utime(started.folder / "sourcedata/three.csv", (ahead, ahead))

    assert [idle, outcome(started), outcome(started)] == ["idle", "deploy", "idle"]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu"])
def test_the_time_zone_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    kept = []
    today = datetime.datetime.now(datetime.UTC).date()
    for where in ("UTC", zone):
        monkeypatch.setenv("TZ", where)
        time.tzset()
        project = new_project(tmp_path / where.replace("/", "-"), horizon_days=3)
        for days in (2, 3, 4, 5):
            date = today - datetime.timedelta(days=days)
            project.write(f"sourcedata/{date}.csv", client_rows(30, seed=days))
        verdicts = [outcome(project), outcome(project)]
        manifest = project.json("production_deployment/manifest.json")
        finaldata = project.text("ingesteddata/finaldata.csv")
        waiting = marker(project)["next_maturity"]
        kept.append((verdicts, finaldata, manifest["f1"], listing(project)["clients"], waiting))
    monkeypatch.undo()
    time.tzset()

    assert kept[0] == kept[1]
    assert kept[0][0] == ["deploy", "idle"] and manifest["rows"] == 60


# ---------------------------------------------------------------- what a person reads


def test_the_summary_says_what_was_decided_how_good_it_is_and_what_is_next(
    started: Project,
) -> None:
    started.write("sourcedata/three.csv", GOOD)

    said = started.run("fullprocess.py", "--now", "--serve", "--summary", **OFFLINE).stdout

    last = history.last_decision(started.config)
    assert last and f"Decided: {last.sentence}." in said
    assert "clients to call" in said and "picked at random" in said and " serve" in said
    answers = started.json("models/apireturns.txt")
    assert answers["scoring"]["status"] == 200
    assert answers["scoring"]["model_version"] == version(started)


def test_the_summary_of_a_project_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    said = new_project(tmp_path).run("fullprocess.py", "--now", "--summary").stdout

    assert "Decided: No model yet" in said and "sourcedata/, then type this again" in said
    assert "F1" not in said


def test_the_result_for_a_program_is_json(started: Project) -> None:
    said = json.loads(started.run("fullprocess.py", "--now", "--json").stdout)

    assert said["outcome"] == "keep" and said["release"] == 1
    assert {"reason", "evidence", "ingested", "notes"} <= said.keys()


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param("raw", marks=pytest.mark.torture),
        "fast",
        pytest.param("certified", marks=pytest.mark.torture),
    ],
)
def test_rows_that_come_after_the_store_was_deleted_are_judged(
    deployed: Project, policy: str
) -> None:
    deployed.configure(port=9, policy=policy)
    shutil.rmtree(deployed.folder / "ingesteddata")
    again = json.loads(deployed.run("fullprocess.py", "--json").stdout)

    deployed.write("sourcedata/three.csv", client_rows(60, seed=4))
    judged = json.loads(deployed.run("fullprocess.py", "--json").stdout)

    assert (again["reason"], again["evidence"]) == ("no new labelled rows to judge by", {})
    assert judged["evidence"]["rows"] == 60
    if policy == "raw":
        assert judged["evidence"]["details"]["f1_on_new_rows"] > 0.5

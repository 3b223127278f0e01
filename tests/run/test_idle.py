"""The idle check: what it takes for nothing new, and each cause that ends it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Project, age, client_rows
from driver import (
    copy_of,
    edit_marker,
    first_deployed,
    listing,
    marker,
    new_project,
    outcome,
    run_driver,
)

from risk.config import HOME, Config
from risk.data.sources import UNFINISHED
from risk.data.tables import SUFFIXES
from risk.files import project_lock
from risk.run import idle as idle_module
from risk.run.idle import idle_line
from risk.run.record import LATE_AFTER
from risk.settings import keys_of

CAUSES: dict[str, Callable[[Project], object]] = {}


def cause(change: Callable[[Project], object]) -> Callable[[Project], object]:
    CAUSES[change.__name__.replace("_", " ")] = change
    return change


@pytest.fixture
def idle(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose next run has nothing to do."""
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def rewrite(path: Path, **changed: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@cause
def a_new_file(p: Project) -> None:
    p.write("sourcedata/three.csv", client_rows(5, seed=9))


@cause
def a_new_sheet(p: Project) -> None:
    p.write("sourcedata/2026-11.xlsx", b"PK")


@cause
def a_file_that_is_not_read(p: Project) -> None:
    p.write("sourcedata/2026-11.xls", b"x")


@cause
def a_new_file_in_a_new_folder(p: Project) -> None:
    p.write("sourcedata/2026/three.CSV", client_rows(5, seed=9))


@cause
def changed_bytes_of_the_same_length_and_time(p: Project) -> None:
    path = p.folder / "sourcedata/one.csv"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"client1_0,", b"client1_X,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@cause
def a_touched_file(p: Project) -> None:
    age(p.folder / "sourcedata/one.csv", -1800)


@cause
def a_longer_file(p: Project) -> None:
    path = p.folder / "sourcedata/one.csv"
    before = path.stat()
    path.write_bytes(path.read_bytes() + b"late,1,2,3,0\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@cause
def an_edited_config(p: Project) -> None:
    p.configure(port=9, policy="always")


@cause
def an_edited_finaldata(p: Project) -> None:
    path = p.folder / "ingesteddata/finaldata.csv"
    path.write_bytes(path.read_bytes().replace(b"client1_0,", b"client1_X,"))


@cause
def a_shortened_finaldata(p: Project) -> None:
    path = p.folder / "ingesteddata/finaldata.csv"
    os.truncate(path, path.stat().st_size // 2)


@cause
def a_deleted_finaldata(p: Project) -> None:
    (p.folder / "ingesteddata/finaldata.csv").unlink()


@cause
def a_deleted_ingest_record(p: Project) -> None:
    (p.folder / "ingesteddata/ingestedfiles.txt").unlink()


@cause
def an_ingestion_that_was_cut_off(p: Project) -> None:
    (p.folder / "ingesteddata/intent.json").write_text('{"data_version": 0, "kind": "rebuild"}')


@cause
def rows_that_were_ingested_by_hand(p: Project) -> None:
    p.write("sourcedata/three.csv", client_rows(20, seed=9))
    p.run("ingestion.py")


@cause
def a_file_that_was_forgotten_by_hand(p: Project) -> None:
    p.run("ingestion.py", "--forget", "two.csv")


@cause
def a_model_that_was_deployed_by_hand(p: Project) -> None:
    p.run("deployment.py")


@cause
def a_deleted_list(p: Project) -> None:
    (p.folder / "models/clients_at_risk.csv").unlink()


@cause
def a_deleted_list_of_the_api(p: Project) -> None:
    (p.folder / "models/clients_at_risk.json").unlink()


@cause
def a_run_that_did_not_end(p: Project) -> None:
    edit_marker(p, finished=None)


@cause
def a_label_that_has_matured(p: Project) -> None:
    edit_marker(p, next_maturity=time.time() - 1)


@cause
def a_hold_that_was_released(p: Project) -> None:
    edit_marker(p, paused=True)


@cause
def a_damaged_marker(p: Project) -> None:
    (p.folder / "state/run.json").write_bytes(b'{"format": 1, "fin')


def config_of(project: Project) -> str:
    return str(project.folder / "config.json")


def test_a_run_after_a_completed_one_is_idle_and_leaves_a_sign_of_life(idle: Project) -> None:
    os.utime(idle.folder / "state/heartbeat", (1, 1))

    said = run_driver(idle)

    assert said.data["outcome"] == "idle"
    assert said.text == f"idle: nothing new since {marker(idle)['finished']}"
    assert time.time() - (idle.folder / "state/heartbeat").stat().st_mtime < 60


@pytest.mark.parametrize("name", CAUSES)
def test_idleness_is_ended_by_each_cause_and_returns_after_one_full_run(
    idle: Project, name: str
) -> None:
    CAUSES[name](idle)
    os.utime(idle.folder / "state/heartbeat", (1, 1))

    assert idle_line(["--config", config_of(idle)]) is None
    assert (idle.folder / "state/heartbeat").stat().st_mtime == 1
    outcome(idle)
    assert outcome(idle) == "idle"


def test_a_deleted_list_is_written_again(idle: Project) -> None:
    before = (idle.folder / "models/clients_at_risk.csv").read_bytes()
    a_deleted_list(idle)

    run_driver(idle)

    assert (idle.folder / "models/clients_at_risk.csv").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda p: (p.folder / "sourcedata/one.csv").unlink(),
        lambda p: (p.folder / "sourcedata/.hidden.csv").write_text("x"),
        lambda p: (p.folder / "sourcedata/~$clients.xlsx").write_text("x"),
        lambda p: p.write("sourcedata/.git/x.csv", ["x"]),
        lambda p: p.write("sourcedata/folder.csv/x.csv", ["x"]),
        lambda p: (p.folder / "sourcedata/dangling.csv").symlink_to("nowhere"),
        lambda p: os.mkfifo(p.folder / "sourcedata/pipe.csv"),
        lambda p: edit_marker(p, next_maturity=time.time() + 3600),
        lambda p: (p.folder / "state/deployment.json").write_bytes(b"{"),
    ],
    ids=[
        "a removed source file",
        "a hidden file",
        "a spreadsheet that is open",
        "a hidden folder",
        "a folder named like a file",
        "a dangling link",
        "a pipe",
        "a label that matures later",
        "a damaged note of the hold",
    ],
)
def test_a_run_stays_idle(idle: Project, change: Callable[[Project], object]) -> None:
    change(idle)

    assert outcome(idle) == "idle"


def test_an_input_folder_that_is_gone_is_not_nothing_new(idle: Project) -> None:
    (idle.folder / "sourcedata").rename(idle.folder / "elsewhere")

    assert idle_line(["--config", config_of(idle)]) is None


def test_an_empty_project_is_idle_after_its_first_run(tmp_path: Path) -> None:
    empty = new_project(tmp_path)

    assert [outcome(empty), outcome(empty)] == ["wait", "idle"]


@pytest.mark.parametrize("arguments", [["--now"], ["--serve"], ["-v"], ["--config"], ["x"]])
def test_any_other_option_asks_for_a_full_run(idle: Project, arguments: list[str]) -> None:
    assert idle_line([*arguments, f"--config={config_of(idle)}"]) is None
    assert idle_line([f"--config={config_of(idle)}"]) is not None


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", "[" * 100_000, '{"state_path": 7}', "\xff"])
def test_a_config_that_cannot_be_used_is_left_to_the_full_run(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))

    assert idle_line(["--config", str(path)]) is None


def test_a_config_behind_a_link_means_the_folder_of_the_link(
    idle: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("etc") / "settings.json"
    (idle.folder / "config.json").rename(elsewhere)
    (idle.folder / "config.json").symlink_to(elsewhere)

    assert outcome(idle) == "idle"


def test_a_run_beside_a_run_is_not_idle_and_beside_an_idle_check_is(idle: Project) -> None:
    with project_lock(idle.config, "training.py", 0):
        assert idle_line(["--config", config_of(idle)]) is None
    with open(idle.folder / "state/lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert idle_line(["--config", config_of(idle)]) is not None


def test_an_idle_run_changes_no_file_but_the_signs_of_life(idle: Project) -> None:
    def seen() -> dict[str, tuple[int, int]]:
        files = sorted(p for p in idle.folder.rglob("*") if p.is_file())
        return {
            str(p): (p.stat().st_size, p.stat().st_mtime_ns)
            for p in files
            if p.name not in ("heartbeat", "lock", "run_log")
        }

    before = seen()
    assert outcome(idle) == "idle"
    assert seen() == before


def test_an_idle_run_imports_os_sys_json_and_fcntl_alone(idle: Project) -> None:
    script = str(ROOT / "fullprocess.py")
    program = (
        f"import sys; sys.argv = [{script!r}, '--config', {config_of(idle)!r}]\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"exec(compile(open({script!r}).read(), {script!r}, 'exec'), "
        f"{{'__name__': '__main__', '__file__': {script!r}}})\n"
    )
    four = "import os, sys, json, fcntl, __future__; print('idle: not at all')\n"

    def loaded(code: str) -> set[str]:
        command = [sys.executable, "-I", "-c", code + "print(*sys.modules)"]
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        line, modules = done.stdout.splitlines()
        assert line.startswith("idle: ")
        return set(modules.split())

    assert loaded(program) - loaded(four) == {"risk", "risk.run", "risk.run.idle"}


def test_the_list_still_names_the_model_after_an_idle_run(idle: Project) -> None:
    outcome(idle)

    assert listing(idle)["model_version"] == marker(idle)["release"] == 1


def test_what_the_idle_module_repeats_is_as_its_owners_have_it() -> None:
    assert idle_module.LATE_AFTER == LATE_AFTER
    assert keys_of(Config)["run_every_minutes"].default == idle_module.EVERY_MINUTES
    assert (idle_module.SUFFIXES, idle_module.UNFINISHED) == (SUFFIXES, UNFINISHED)
    assert idle_module.HOME == str(HOME)

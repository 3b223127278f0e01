"""One run at a time: the lock, who holds it, and what becomes of it when its holder dies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Project

from risk.config import Busy
from risk.files import lock_holder, project_lock, write_json
from risk.releases import OpenRelease

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from risk.files import project_lock
from risk.config import load
with project_lock(load(sys.argv[1]), "training.py", 0):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holder(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the project's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(project.config.path), str(ROOT)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_writer_waits_ten_seconds_then_names_the_holder_and_exits_75(
    project: Project,
) -> None:
    with holder(project) as process:
        started = time.monotonic()
        done = project.run("training.py", check=False)
        waited = time.monotonic() - started
    assert done.returncode == 75
    assert re.fullmatch(
        r"error: training\.py is running since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ "
        rf"\(process {process.pid}\); "
        r"try again when it has ended\n",
        done.stderr,
    )
    assert waited >= 10


def test_a_writer_goes_on_as_soon_as_the_holder_is_killed(deployed: Project) -> None:
    with holder(deployed) as process:
        waiting = subprocess.Popen(
            [sys.executable, str(ROOT / "deployment.py"), "--config", str(deployed.config.path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.8)
        assert waiting.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        said = waiting.communicate(timeout=60)[0]
    assert said.startswith("deployed version 2 ")


def test_a_reader_never_waits(deployed: Project) -> None:
    with holder(deployed):
        done = deployed.run("deployment.py", "--list")  # one that waited would exit 75
    assert "current" in done.stdout


def test_the_lock_file_is_never_deleted_and_names_its_last_holder(deployed: Project) -> None:
    before = os.stat(deployed.folder / "state/lock").st_ino
    deployed.run("deployment.py")
    assert os.stat(deployed.folder / "state/lock").st_ino == before
    assert json.loads(deployed.text("state/lock"))["script"] == "deployment.py"


@pytest.mark.parametrize("note", ["", "{", "{}", '{"pid": 7}', "[1]", "\x00\x00"])
def test_a_holder_without_a_readable_note_is_still_busy(project: Project, note: str) -> None:
    config = project.config
    with project_lock(config, "first.py", 0):
        config.lock.write_text(note)
        with (
            pytest.raises(Busy, match=r"another run holds .*lock; try again"),
            project_lock(config, "second.py", 0),
        ):
            pass


def test_the_note_is_the_present_holders_alone(project: Project) -> None:
    with project_lock(project.config, "a_script_with_a_long_name.py", 0):
        pass
    with project_lock(project.config, "b.py", 0):
        assert lock_holder(project.config).startswith("b.py is running since 20")


def test_the_lock_is_free_after_a_stage_that_failed(project: Project) -> None:
    with pytest.raises(RuntimeError), project_lock(project.config, "first.py", 0):
        raise RuntimeError
    with project_lock(project.config, "second.py", 0):
        pass


def test_a_child_of_a_stage_does_not_keep_the_lock(project: Project) -> None:
    with project_lock(project.config, "first.py", 0):
        child = subprocess.Popen(["sleep", "30"])
    try:
        with project_lock(project.config, "second.py", 0):
            pass
    finally:
        child.kill()
        child.wait()


COUNTER = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from risk.files import read_json, write_json
from risk.config import Outcome
from risk.script import run

def stage(config, chosen):
    path = config.state_folder / "count.json"
    count = read_json(path, "the test")["count"] + 1
    write_json(path, {"count": count})
    return Outcome(str(count))

run(stage, "")
"""


def ends(commands: list[list[str]]) -> list[tuple[int, str, str]]:
    """(exit code, output, error) of commands that are started at once."""
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    said = [process.communicate(timeout=120) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def test_fifty_simultaneous_starts_are_served_one_after_the_other(project: Project) -> None:
    write_json(project.folder / "state/count.json", {"count": 0})
    command = [sys.executable, "-c", COUNTER, str(ROOT), "--config", str(project.config.path)]
    ended = ends([command] * 50)
    served = [int(said) for code, said, _ in ended if code == 0]
    assert all(
        code == 0 or (code == 75 and "is running since" in error) for code, _, error in ended
    ), ended
    assert sorted(served) == list(range(1, len(served) + 1)) and served
    assert project.json("state/count.json") == {"count": len(served)}


def test_simultaneous_deployments_each_publish_a_version_of_their_own(deployed: Project) -> None:
    command = [sys.executable, str(ROOT / "deployment.py"), "--config", str(deployed.config.path)]
    ended = ends([command] * 6)
    assert [code for code, _, _ in ended] == [0] * 6, ended
    assert sorted(int(said.split()[2]) for _, said, _ in ended) == [2, 3, 4, 5, 6, 7]
    with OpenRelease(deployed.config) as release:
        assert release.version == 7
        for name in release.manifest["files"]:
            release.verified(name)
    assert not list(Path(deployed.folder).rglob(".tmp-*"))

"""kill -9 at the system calls of an ingestion: the next run ends as if nothing had happened.

strace counts the calls that touch the project's folder, then ends a run at the N-th of them. A
sample of the points is tried; RISK_FULL_CRASH=1 tries every one.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project, client_rows

from risk.data.state import Intent, write_intent

CALLS = (
    "?rename,?renameat,?renameat2,fsync,?fdatasync,write,?unlink,?unlinkat,ftruncate,openat,"
    "?mkdir,?mkdirat"
)
SAMPLE = 4
FULL = os.environ.get("RISK_FULL_CRASH") == "1"


def strace(project: Project, log: Path, *options: str, arguments: tuple[str, ...] = ()) -> int:
    """Run ingestion.py under strace; its exit code, negative where a signal ended it."""
    command = [
        "strace",
        "-f",
        "-y",
        "-o",
        str(log),
        *options,
        sys.executable,
        str(ROOT / "ingestion.py"),
        "--config",
        str(project.folder / "config.json"),
        *arguments,
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "POLARS_MAX_THREADS": "1",
    }
    return subprocess.run(
        command, cwd="/", env=environment, capture_output=True, timeout=120
    ).returncode


@pytest.fixture(scope="module")
def _traceable(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not shutil.which("strace"):
        pytest.skip("NOT CHECKED: strace is not installed (apt-get install strace)")
    log = tmp_path_factory.mktemp("strace") / "log"
    tried = subprocess.run(["strace", "-o", str(log), "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"NOT CHECKED: strace may not trace here ({tried.stderr.strip()[:200]})")


def points(log: Path, folder: Path) -> list[tuple[str, int]]:
    """(call, N) for every traced call of the main thread that may change the folder."""
    counts: Counter[str] = Counter()
    found, main = [], log.read_text(errors="replace").split(maxsplit=1)[0]
    for line in log.read_text(errors="replace").splitlines():
        call = re.match(rf"{main} +(\w+)\(", line)
        if call:
            counts[call[1]] += 1
            if str(folder) in line and (
                call[1] != "openat" or "O_CREAT" in line or "O_RDWR" in line
            ):
                found.append((call[1], counts[call[1]]))
    return found


# ------------------------------------------------------------ what is interrupted


def nothing(_: Project) -> None:
    """Two files, bad rows among them, and no store yet."""


def one_more(project: Project) -> None:
    project.write("sourcedata/three.csv", [*client_rows(30, seed=3), "x,y,1,1,0"])
    project.write("sourcedata/refused.csv", b"corporation\na\n")


def changed(project: Project) -> None:
    project.write("sourcedata/one.csv", [*client_rows(20, seed=4), "z,1,1,-1,0"])


def edited(project: Project) -> None:
    with open(project.folder / "ingesteddata/finaldata.csv", "a") as file:
        file.write("mine,1,2,3,0\n")


SCENES: dict[str, tuple[Callable[[Project], None], bool, tuple[str, ...]]] = {
    "first ingestion": (nothing, False, ()),
    "append": (one_more, True, ()),
    "replacement": (changed, True, ()),
    "rebuild": (changed, True, ("--rebuild",)),
    "edited by hand": (edited, True, ()),
}


def scene(folder: Path, name: str) -> tuple[Project, tuple[str, ...]]:
    """A project as it is just before the run that is interrupted, and that run's arguments."""
    change, ingested, arguments = SCENES[name]
    folder.mkdir()
    project = Project(folder)
    project.write("sourcedata/one.csv", [*client_rows(40, seed=1), "bad,row"])
    project.write("sourcedata/sub/two_2026-01-31.csv", client_rows(40, seed=2))
    if ingested:
        project.run("ingestion.py")
    change(project)
    return project, arguments


def outcome(project: Project) -> dict[str, Any]:
    """What an ingestion leaves, without times: rows, record, state, and the names of all files.

    A segment is named by the data version that wrote it; a rebuild writes those anew that others
    keep.
    """
    folder = project.folder / "ingesteddata"
    record = [
        line.rsplit(",", 1)[0] for line in (folder / "ingestedfiles.txt").read_text().splitlines()
    ]
    state = json.loads((folder / "state.json").read_text())
    del state["checksum"]  # it is also of the times
    state["finaldata"] = state["finaldata"]["bytes"]
    for entry in state["files"].values():
        entry.pop("ingested_at")
        entry.pop("mtime_ns")
        entry["segment"] = plain_name(entry.get("segment", ""))
    names = sorted(plain_name(p.relative_to(folder).as_posix()) for p in folder.rglob("*"))
    return {
        "final": (folder / "finaldata.csv").read_text(),
        "record": record,
        "state": state,
        "names": names,
        "rows": json.loads((folder / "summary.json").read_text())["rows"],
    }


def plain_name(name: str) -> str:
    return re.sub(r"-[0-9]+\.parquet", ".parquet", re.sub(r"byhand-\w+", "byhand", name))


@pytest.mark.torture
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.usefixtures("_traceable")
def test_a_killed_ingestion_is_completed_by_the_next(tmp_path: Path, name: str) -> None:
    base, arguments = scene(tmp_path / "base", name)
    whole = Project(shutil.copytree(base.folder, tmp_path / "whole"))
    assert strace(whole, tmp_path / "log", "-e", f"trace={CALLS}", arguments=arguments) == 0
    every = points(tmp_path / "log", whole.folder)
    assert len(every) >= 15
    expected = outcome(whole)
    assert expected["rows"] == expected["final"].count("\n") - 1
    chosen = every if FULL else sorted(random.Random(name).sample(every, SAMPLE))
    killed = sum(survives(base, tmp_path / "try", point, expected, arguments) for point in chosen)
    print(f"{name}: killed at {killed} of {len(every)} points")
    # Calls of the start-up are counted too, and their number is not quite the same in every run.
    assert killed >= 0.9 * len(chosen) - 1


def survives(
    base: Project,
    folder: Path,
    point: tuple[str, int],
    expected: dict[str, Any],
    arguments: tuple[str, ...],
) -> bool:
    """Whether the run was killed at the point; fails if the next one does not end as expected."""
    tried = Project(shutil.copytree(base.folder, folder))
    call, number = point
    code = strace(
        tried,
        folder.with_name("killed"),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=SIGKILL:when={number}",
        arguments=arguments,
    )
    assert code in (0, -9), point
    tried.run("ingestion.py")
    assert outcome(tried) == expected, point
    assert tried.run("ingestion.py").stdout.startswith("nothing new"), point
    shutil.rmtree(folder)
    return code == -9


@pytest.mark.usefixtures("_traceable")
def test_every_row_is_on_disk_before_the_state_names_it(tmp_path: Path) -> None:
    project, _ = scene(tmp_path / "base", "append")
    assert strace(project, tmp_path / "log", "-e", f"trace={CALLS}") == 0
    lines = (tmp_path / "log").read_text(errors="replace").splitlines()

    def at(call: str, name: str) -> int:
        """Where the call names this file of the output folder first."""
        return next(n for n, line in enumerate(lines) if f" {call}" in line and name in line)

    segment = at("fsync(", "ingesteddata/segments/.tmp-")
    begun = at("rename", "ingesteddata/.tmp-intent.json")
    appended = at("fsync(", "ingesteddata/finaldata.csv>")
    committed = at("rename", "ingesteddata/.tmp-state.json")
    assert segment < begun < appended < committed
    assert committed < at("unlink", "ingesteddata/intent.json")
    assert committed < at("rename", "ingesteddata/.tmp-ingestedfiles.txt")


# ------------------------------------------------------------ what a power cut may leave


@pytest.mark.parametrize("tail", ["x", "x,1,2", "x,1,2,3,0\ny,1", "\0" * 8])
def test_a_torn_append_is_cut_back_and_never_a_row(tmp_path: Path, tail: str) -> None:
    project, _ = scene(tmp_path / "base", "append")
    finaldata = project.folder / "ingesteddata/finaldata.csv"
    before, size = finaldata.read_text(), finaldata.stat().st_size
    finaldata.write_text(before + tail)
    write_intent(project.config, Intent(2, span=(size, size + 1000)))
    for late in ("three.csv", "refused.csv"):
        (project.folder / "sourcedata" / late).unlink()
    done = project.run("ingestion.py")
    assert "an ingestion that was cut off has been taken back" in done.stdout
    assert finaldata.read_text() == before
    assert not list(project.folder.glob("ingesteddata/finaldata.byhand*"))
    assert not (project.folder / "ingesteddata/intent.json").exists()


def test_a_longer_file_than_the_open_append_could_leave_is_somebodys_work(tmp_path: Path) -> None:
    project, _ = scene(tmp_path / "base", "append")
    finaldata = project.folder / "ingesteddata/finaldata.csv"
    before, size = finaldata.read_text(), finaldata.stat().st_size
    finaldata.write_text(before + "mine,1,2,3,0\n")
    write_intent(project.config, Intent(2, span=(size, size + 3)))
    project.run("ingestion.py")
    (aside,) = project.folder.glob("ingesteddata/finaldata.byhand-*.csv")
    assert aside.read_text() == before + "mine,1,2,3,0\n"
    assert finaldata.read_text().startswith(before)


def test_leftovers_that_no_state_lists_are_removed(tmp_path: Path) -> None:
    project, _ = scene(tmp_path / "base", "append")
    folder = project.folder / "ingesteddata"
    left = [
        folder / "segments/000009-0123456789ab-2.parquet",
        folder / ".tmp-state.json",
        folder / "segments/.tmp-x.parquet",
        folder / "quarantine/gone.csv.0123456789ab.csv",
    ]
    for path in left:
        path.write_bytes(b"x")
    own = folder / "quarantine/notes.csv"
    own.write_text("somebody's")
    project.run("ingestion.py")
    assert [path for path in left if path.exists()] == []
    assert own.read_text() == "somebody's"

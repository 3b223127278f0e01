"""A deployment or a rollback that is killed, or fails, at any system call leaves one whole version.

strace kills the script, or fails its call, at one state-changing call after the other. A sample of
the calls by default; RISK_FULL_CRASH=1 takes them all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, Project, client_rows

import deployment
from ingestion import ingest
from risk.files import sha256
from risk.releases import RELEASE_FILES, OpenRelease, read_deployment

CALLS = (
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "ioctl",
    "sendfile",
    "copy_file_range",
    "flock",
)
READING = re.compile(r"O_RDONLY")
EVERY = 1 if os.environ.get("RISK_FULL_CRASH") else 9
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Call:
    """The number-th call of this name in the script, and its line in the trace."""

    name: str
    number: int
    line: str


def strace(project: Project, script: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "strace",
            "-y",
            "-s",
            "4096",
            "-o",
            str(project.folder / "trace"),
            *options,
            sys.executable,
            str(ROOT / "deployment.py"),
            "--config",
            str(project.config.path),
            *script,
        ],
        cwd="/",
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module", autouse=True)
def tracer() -> None:
    try:
        works = (
            subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode
            == 0
        )
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip(
            "CRASH SAFETY IS NOT TESTED HERE: strace is not installed (apt install strace) "
            "or may not trace"
        )


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 is deployed, a model on more rows is trained and scored: version 2 can come."""
    from scoring import score
    from training import train

    project = Project(tmp_path_factory.mktemp("ready"))
    project.write("sourcedata/one.csv", client_rows(60, seed=1))
    project.write("testdata/testdata.csv", client_rows(80, seed=3))
    project.pipeline()
    project.write("sourcedata/three.csv", client_rows(30, seed=5))
    for stage in (ingest, train, score):
        stage(project.config)
    return project.folder


@pytest.fixture(scope="module")
def twice(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 is deployed after version 1: a rollback can come."""
    folder = tmp_path_factory.mktemp("twice")
    shutil.copytree(ready, folder, symlinks=True, dirs_exist_ok=True)
    deployment.deploy(Project(folder).config)
    return folder


def copy_of(folder: Path, target: Path) -> Project:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    return Project(target)


def calls(folder: Path, target: Path, script: list[str]) -> list[Call]:
    """Every call that changes something below the project's folder, in order."""
    project = copy_of(folder, target)
    done = strace(project, script, "-e", f"trace={','.join(CALLS)}")
    assert done.returncode == 0, done.stderr
    numbers, found = Counter[str](), []
    for line in (project.folder / "trace").read_text().splitlines():
        name = line.partition("(")[0]
        numbers[name] += 1
        if name in CALLS and str(target) in line and not READING.search(line):
            found.append(Call(name, numbers[name], line))
    return found


def read_shown(production: Path, name: str) -> bytes:
    """A file of the release, by its plain name where it has one."""
    plain = production / name
    return (plain if name in RELEASE_FILES else production / "current" / name).read_bytes()


def shown(project: Project) -> tuple[int, dict[str, str]]:
    """(version, digests) as read through the original's names; they must be the manifest's."""
    production = project.folder / "production_deployment"
    manifest = json.loads((production / "manifest.json").read_bytes())
    found = {name: sha256(read_shown(production, name)) for name in manifest["files"]}
    assert found == manifest["files"]
    with OpenRelease(project.config) as release:
        assert release.version == manifest["version"]
        assert release.manifest.items() < manifest.items()  # but its format and checksum
    return manifest["version"], found


def temporary_files(project: Project) -> list[str]:
    return [str(path) for path in project.folder.rglob(".tmp-*")]


def sample(points: list[Call]) -> list[Call]:
    return points[::EVERY] + ([points[-1]] if EVERY > 1 else [])


def survey(
    folder: Path,
    target: Path,
    script: list[str],
    effect: str,
    allowed: set[int],
    points: list[Call],
) -> list[str]:
    """What broke when each of these calls killed the script or failed; [] is what we want."""
    broken = []
    for call in points:
        project = copy_of(folder, target)
        done = strace(
            project,
            script,
            "-e",
            f"trace={call.name}",
            "-e",
            f"inject={call.name}:{effect}:when={call.number}",
        )
        try:
            check_end(done, effect)
            version, _ = shown(project)
            assert version in allowed, version
            check_next_run(project, script, version)
        except (AssertionError, OSError) as error:
            broken.append(f"{effect} at {call.line}: {error!r}\n{done.stderr}")
    print(
        f"deployment.py {' '.join(script)}: {len(points)} points of {effect}, {len(broken)} breaks"
    )
    return broken


def check_end(done: subprocess.CompletedProcess[str], effect: str) -> None:
    """Killed, or one clear line; a call whose failure does not matter may also go unnoticed."""
    if "KILL" in effect:
        assert done.returncode == -9, done
        return
    assert done.returncode in (0, 1), done
    if done.returncode:
        assert re.fullmatch(
            r"error: .*(No space left|Input/output error).*; no file is half-written, free the "
            r"cause and run again\n"
            r"|error: state/history.sqlite: [^;]+; nothing in it has changed, free the cause, try "
            r"again\n",
            done.stderr,
        ), done.stderr


def check_next_run(project: Project, script: list[str], version: int) -> None:
    """The next run completes what is open, and leaves no temporary file."""
    if script:
        done = project.run("deployment.py", *script, check=False)
        assert done.returncode == (1 if version == 1 else 0), done.stderr
        assert read_deployment(project.config).by_hand
    else:
        project.run("deployment.py")
    after, _ = shown(project)
    assert after == 1 if script else after in (2, 3, 4)
    assert not temporary_files(project), temporary_files(project)


EFFECTS = ["signal=SIGKILL", "error=ENOSPC", "error=EIO"]


@pytest.mark.torture
@pytest.mark.parametrize("effect", EFFECTS)
def test_a_deployment_cut_off_anywhere_leaves_one_whole_version(
    ready: Path, tmp_path: Path, effect: str
) -> None:
    points = calls(ready, tmp_path / "p", [])
    assert len(points) > 60
    assert survey(ready, tmp_path / "p", [], effect, {1, 2}, sample(points)) == []


@pytest.mark.torture
@pytest.mark.parametrize("effect", EFFECTS)
def test_a_rollback_cut_off_anywhere_leaves_one_whole_version(
    twice: Path, tmp_path: Path, effect: str
) -> None:
    points = calls(twice, tmp_path / "p", ["--rollback", "1"])
    assert len(points) > 20
    assert survey(twice, tmp_path / "p", ["--rollback", "1"], effect, {1, 2}, sample(points)) == []


def test_all_is_on_disk_before_the_link_is_swapped(ready: Path, tmp_path: Path) -> None:
    """A power cut forgets what was not synced; no kill can show it, the order of calls does."""
    lines = [call.line for call in calls(ready, tmp_path / "p", [])]
    trace = [
        line for line in (tmp_path / "p/trace").read_text().splitlines() if str(tmp_path) in line
    ]
    building, releases = "releases/.tmp-000002", "production_deployment/releases"

    def first(pattern: str) -> int:
        return next(at for at, line in enumerate(trace) if re.search(pattern, line))

    published = first(rf'rename\(".*{building}", ".*/000002"\)')
    swapped = first(r'rename\(".*/\.tmp-current", ".*/current"\)')
    for name in (
        "trainedmodel.pkl",
        "model.json",
        "latestscore.txt",
        "latestscore.json",
        "ingestedfiles.txt",
        "finaldata.csv",
        r"\.tmp-manifest.json",
    ):
        written = max(
            at
            for at, line in enumerate(trace)
            if re.match(rf"write\(\d+<.*{building}/{name}>", line)
        )
        assert written < first(rf"fsync\(\d+<.*{building}/{name}>") < published, name
    assert first(rf"fsync\(\d+<.*{building}>") < published
    assert published < first(rf"fsync\(\d+<.*{releases}>") < swapped
    assert any(re.match(r"fsync\(\d+<.*production_deployment>", line) for line in trace[swapped:])
    assert lines

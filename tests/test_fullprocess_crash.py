"""Runs that are killed anywhere: the deployment stays whole, the next run ends as if nothing was.

RISK_FULL_CRASH=1 kills 156 runs at random times and one at each state-changing system call of a
whole run; without it a few of both are tried.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project, client_rows
from driver import OFFLINE, copy_of, first_deployed, new_project
from warm import Driver, warm_driver

from risk.releases import RELEASE_FILES

FULL = bool(os.environ.get("RISK_FULL_CRASH"))
SEED, KILLS, BATCHES = 20260131, 12, 13 if FULL else 1
CALLS = {"rename": 45, "fsync": 90, "symlink": 10, "unlink": 12, "mkdir": 4, "ftruncate": 2}
SAMPLES = [("rename", 4), ("rename", 19), ("fsync", 31), ("symlink", 1)]


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with warm_driver(draws=True) as made:
        yield made


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    """Projects whose next run deploys a first time, keeps, or redeploys and lists new clients."""
    folder = tmp_path_factory.mktemp("crash")
    first = new_project(folder / "first")
    first.write("sourcedata/one.csv", client_rows(60, seed=1))
    made = {"first": first}
    for name in ("keep", "redeploy"):
        made[name] = copy_of(first_deployed(tmp_path_factory), folder / name)
    made["keep"].configure(port=9, policy="certified")
    made["keep"].write("sourcedata/three.csv", client_rows(60, seed=24))
    made["redeploy"].write("sourcedata/three.csv", client_rows(60, seed=5, flip=True))
    made["redeploy"].write("sourcedata/two.csv", client_rows(61, seed=2))
    now = [row[:-1] for row in client_rows(30, seed=7, prefix="now")]
    made["redeploy"].write("sourcedata/zz/four.csv", now)
    return made


def results(project: Project) -> dict[str, Any]:
    """What a run is for, without times and without the number of the release."""
    manifest = project.json("production_deployment/manifest.json")
    listed = project.json("models/clients_at_risk.json")
    with open(project.folder / "ingesteddata/ingestedfiles.txt", newline="") as file:
        record = [row[:-1] for row in csv.reader(file)]
    return {
        "finaldata": project.text("ingesteddata/finaldata.csv"),
        "record": record,
        "score": [manifest["f1"], project.text("production_deployment/latestscore.txt")],
        "rows": manifest["rows"],
        "clients": listed["clients"],
        "list is of the deployed model": listed["model_version"] == manifest["version"],
        "summary": project.json("ingesteddata/summary.json")["columns"],
    }


def assert_whole(project: Project) -> None:
    """The deployment, seen through the original's names, is one version or not there yet."""
    production = project.folder / "production_deployment"
    if not (production / "current").is_symlink():
        return
    files = json.loads((production / "manifest.json").read_bytes())["files"]
    places = {name: name if name in RELEASE_FILES else f"current/{name}" for name in files}
    found = {
        name: hashlib.sha256((production / place).read_bytes()).hexdigest()
        for name, place in places.items()
    }
    assert found == files


def assert_recovers(driver: Driver, project: Project, expected: dict[str, Any]) -> None:
    """The next run ends by itself, as an uninterrupted one, and leaves nothing open or to do."""
    code, said = driver.run(project)
    assert code == 0, said
    assert results(project) == expected
    assert list(project.folder.rglob(".tmp-*")) == []
    assert driver.run(project)[1].startswith("idle: ")


@pytest.fixture(scope="module")
def expected(
    driver: Driver, cases: dict[str, Project], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[float, dict[str, Any]]]:
    """Case -> (seconds of an uninterrupted run, its results)."""
    found = {}
    for name, case in cases.items():
        project = copy_of(case, tmp_path_factory.mktemp("whole"))
        started = time.perf_counter()
        code, said = driver.run(project)
        found[name] = time.perf_counter() - started, results(project)
        assert code == 0 and said.startswith({"keep": "kept"}.get(name, "deployed")), said
    return found


@pytest.mark.torture
@pytest.mark.parametrize("batch", range(BATCHES))
def test_runs_killed_at_random_times_leave_one_version_and_are_completed(
    driver: Driver,
    cases: dict[str, Project],
    expected: dict[str, tuple[float, dict[str, Any]]],
    tmp_path: Path,
    batch: int,
) -> None:
    draw, killed = random.Random(SEED + batch), dict.fromkeys(cases, 0)
    for number in range(4 * KILLS):
        name = list(cases)[number % 3]
        seconds, results_then = expected[name]
        project = copy_of(cases[name], tmp_path / str(number))
        code, _ = driver.run(project, kill_after=draw.uniform(0, seconds))
        assert_whole(project)
        assert_recovers(driver, project, results_then)
        shutil.rmtree(project.folder)
        killed[name] += code == -signal.SIGKILL
        if sum(killed.values()) == KILLS:
            break

    print(f"killed: {killed} in {number + 1} runs")
    assert sum(killed.values()) == KILLS and all(killed.values())


@pytest.mark.torture
def test_a_killed_run_may_itself_be_completed_by_one_that_is_killed(
    driver: Driver,
    cases: dict[str, Project],
    expected: dict[str, tuple[float, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    draw = random.Random(SEED)
    seconds, results_then = expected["redeploy"]
    project = copy_of(cases["redeploy"], tmp_path)
    for _ in range(5):
        driver.run(project, kill_after=draw.uniform(seconds / 4, seconds))
        assert_whole(project)

    assert_recovers(driver, project, results_then)


# ---------------------------------------------------------------- at a system call


def strace() -> str:
    """Where strace is; the test is skipped, and says so, where it is not or may not trace."""
    found = shutil.which("strace")
    if not found:
        pytest.skip("strace is not installed: no kill at chosen system calls was tried")
    command = [found, "-f", "-e", "trace=none", "true"]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()[-200:]}")
    return found


def points() -> list[tuple[str, int]]:
    if not FULL:
        return SAMPLES
    return [(call, at) for call, most in CALLS.items() for at in range(1, most + 1)]


@pytest.mark.torture
@pytest.mark.parametrize(("call", "at"), points())
def test_a_run_killed_at_a_system_call_leaves_one_version_and_is_completed(
    driver: Driver,
    cases: dict[str, Project],
    expected: dict[str, tuple[float, dict[str, Any]]],
    tmp_path: Path,
    call: str,
    at: int,
) -> None:
    project = copy_of(cases["redeploy"], tmp_path)
    kill = ["-e", f"trace=/^{call}", "-e", f"inject=/^{call}:signal=SIGKILL:when={at}"]
    script = [str(ROOT / "fullprocess.py"), "--config", str(project.folder / "config.json")]

    done = subprocess.run(
        [strace(), "-f", "-qq", "-o", os.devnull, *kill, sys.executable, *script],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **OFFLINE},
    )

    assert_whole(project)
    if done.returncode == 0:
        pytest.skip(f"a run makes fewer than {at} calls of {call}")
    assert_recovers(driver, project, expected["redeploy"][1])

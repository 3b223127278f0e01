"""Looks that are cut off: the next run ends as an uncut one would, no bet is lost or repeated.

RISK_FULL_CRASH=1 cuts every case at every place and at each rename of a file; without it a few.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project
from driver import OFFLINE, copy_of, run_driver, version
from warm import Driver, Place, warm_driver
from world import action, clients, give, history, run_after, settings, world

FULL = bool(os.environ.get("RISK_FULL_CRASH"))
RENAMES = 40

# Where a run is killed: before or after the n-th call of a function.
PLACES = [
    ("risk.decide.forecasts.write_decision_state", "before", 1),
    ("risk.decide.forecasts.write_decision_state", "after", 1),
    ("risk.record.history.record", "before", 1),
    ("risk.record.history.record", "after", 1),
    ("training.publish", "after", 1),
    ("scoring.score", "after", 1),
    ("risk.releases.build_release", "after", 1),
    ("risk.releases.make_current", "after", 1),
    ("deployment.deploy", "after", 1),
    ("risk.record.history.record", "after", 2),
    ("risk.decide.evidence_file.record_deployment", "after", 1),
    ("reporting.report", "after", 1),
]
SAMPLES = {"switch": range(len(PLACES)), "none": (1, 2, 3, 10), "recalibrate": (1, 6, 7, 8)}


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with warm_driver(draws=False) as made:
        yield made


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    """Projects whose next evaluation jumps, does nothing, or moves the recalibration."""
    folder = tmp_path_factory.mktemp("cut")
    first = world(folder / "first")
    assert action(run_driver(first)) == "first"
    made = {name: copy_of(first, folder / name) for name in ("switch", "none", "recalibrate")}
    give(made["switch"], "2026-02-28", clients(300, 2, flip=True))
    give(made["none"], "2026-02-28", clients(60, 2))
    settings(made["none"], policy="certified")
    # Two that grow first, so that a third is not due yet.
    grown = [
        run_after(made["recalibrate"], f"2026-0{month}-28", clients(400, month)) for month in (2, 3)
    ]
    assert [action(one) for one in grown] == ["scheduled retrain", "scheduled retrain"]
    give(made["recalibrate"], "2026-04-28", clients(400, 4, level=1.2))
    return made


def ranking(manifest: dict[str, Any]) -> int:
    """The version that first had the deployed ranking."""
    return int(manifest.get("base_model") or manifest["version"])


def left(project: Project) -> dict[str, Any]:
    """What runs leave, without times; numbers of releases that a cut left unused made up for."""
    evidence = project.json("state/evidence.json")
    comparison = evidence["comparison"]
    manifest = project.json("production_deployment/manifest.json")
    entries = [
        (e.key, e.verdict, e.action, e.rows, e.exits, e.before, len(e.evidence))
        for e in history(project)
    ]
    assert history(project)[-1].after == manifest["version"] == evidence["release"]
    assert comparison["name"] == f"version {ranking(manifest)}"
    kept = (
        "policy",
        "champion",
        "counters",
        "recalibration",
        "champion_recalibrations",
        "recalibrations",
        "candidates",
        "former",
    )
    return {
        "entries": entries,
        "due": evidence["due"],
        "counters": {key: comparison[key] for key in kept},
        "base": [evidence[key] for key in ("better", "worse", "proven", "data_versions", "since")],
        "deployed": [
            manifest[key] for key in ("data_version", "rows", "exits", "f1", "data_sha256")
        ],
        "as": [
            manifest.get(key) for key in ("evaluation", "action", "recalibration", "base_model")
        ],
        "list": project.json("models/clients_at_risk.json")["clients"],
    }


@pytest.fixture(scope="module")
def uncut(
    driver: Driver, cases: dict[str, Project], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    found = {}
    for name, case in cases.items():
        project = copy_of(case, tmp_path_factory.mktemp("uncut"))
        code, said = driver.run(project)
        assert code == 0, said
        found[name] = left(project)
        assert found[name]["entries"][-1][2] == name
    return found


def chosen() -> list[tuple[str, Place]]:
    return [
        (name, PLACES[at])
        for name, some in SAMPLES.items()
        for at in (range(len(PLACES)) if FULL else some)
    ]


@pytest.mark.parametrize(
    ("name", "place"), chosen(), ids=[f"{name} {' '.join(map(str, p))}" for name, p in chosen()]
)
def test_an_evaluation_cut_off_anywhere_ends_as_an_uncut_one(
    driver: Driver,
    cases: dict[str, Project],
    uncut: dict[str, dict[str, Any]],
    tmp_path: Path,
    name: str,
    place: Place,
) -> None:
    project = copy_of(cases[name], tmp_path)
    code, said = driver.run(project, place)
    if code == 0 and name == "none" and FULL:
        pytest.skip("nothing is deployed here")
    assert code == -signal.SIGKILL, said

    code, said = driver.run(project)

    assert code == 0, said
    assert left(project) == uncut[name]
    assert driver.run(project)[1].startswith("idle: ")


@pytest.mark.parametrize("number", [1, 4] if not FULL else range(len(PLACES)))
def test_rows_that_come_after_a_cut_are_judged_by_the_next_run(
    driver: Driver, cases: dict[str, Project], tmp_path: Path, number: int
) -> None:
    later, cut = clients(60, 9, flip=True), copy_of(cases["switch"], tmp_path / "cut")
    whole = copy_of(cases["switch"], tmp_path / "whole")
    driver.run(whole)
    give(whole, "2026-03-28", later)
    driver.run(whole)
    driver.run(cut, PLACES[number])

    give(cut, "2026-03-28", later)
    code, said = driver.run(cut)

    assert code == 0, said
    assert [(e.key, e.rows) for e in history(cut)] == [(e.key, e.rows) for e in history(whole)]
    counters = [
        project.json("state/evidence.json")["comparison"]["counters"] for project in (cut, whole)
    ]
    assert counters[0] == counters[1]
    assert driver.run(cut)[1].startswith("idle: ")


def test_a_first_deployment_that_is_cut_off_is_in_the_history_with_its_version(
    driver: Driver, tmp_path: Path
) -> None:
    project = world(tmp_path)
    code, said = driver.run(project, ("deployment.deploy", "after", 1))
    assert code == -signal.SIGKILL, said

    driver.run(project)

    assert [(e.action, e.before, e.after) for e in history(project)] == [("first", None, 1)]
    assert project.json("state/evidence.json")["release"] == 1


def strace() -> str:
    found = shutil.which("strace")
    if not found:
        pytest.skip("strace is not installed: no kill at chosen renames was tried")
    command = [found, "-f", "-e", "trace=none", "true"]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()[-200:]}")
    return found


@pytest.mark.torture
@pytest.mark.parametrize("at", range(1, RENAMES + 1) if FULL else [14, 19])
def test_an_evaluation_killed_at_a_rename_ends_as_an_uncut_one(
    driver: Driver,
    cases: dict[str, Project],
    uncut: dict[str, dict[str, Any]],
    tmp_path: Path,
    at: int,
) -> None:
    project = copy_of(cases["switch"], tmp_path)
    kill = ["-e", "trace=/^rename", "-e", f"inject=/^rename:signal=SIGKILL:when={at}"]
    script = [str(ROOT / "fullprocess.py"), "--config", str(project.folder / "config.json")]
    environment = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1", **OFFLINE}
    done = subprocess.run(
        [strace(), "-f", "-qq", "-o", os.devnull, *kill, sys.executable, *script],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode == 0:
        pytest.skip(f"a run makes fewer than {at} renames")

    code, said = driver.run(project)

    assert code == 0, said
    found = left(project)
    found["list"] = uncut["switch"]["list"]
    assert found == uncut["switch"]
    assert re.match("idle: ", driver.run(project)[1]) and version(project)

"""--replay through the real process, beside what real runs over the same files do."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from risk.record.history import entries
from tests.conftest import HEADER, ROOT, Project, client_rows

DATES = [f"2026-0{month}-28" for month in range(1, 8)]
CHANGE = 4  # the file from which on many orders go with an exit


def dated(project: Project, at: int, folder: str) -> Path:
    rows = client_rows(200, seed=at + 10, flip=at >= CHANGE)
    return project.write(f"{folder}/clients_{DATES[at]}.csv", rows)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict]:
    """A project that replayed seven files, and what the replay said."""
    project = Project(tmp_path_factory.mktemp("replay"), port=9)
    for at in range(len(DATES)):
        dated(project, at, "past")
    before = sorted(p for p in project.folder.rglob("*") if p.is_file())
    done = project.run("fullprocess.py", "--replay", str(project.folder / "past"), "--json")
    after = sorted(p for p in project.folder.rglob("*") if p.is_file())
    new = [p.relative_to(project.folder).as_posix() for p in after if p not in before]
    return project, {"data": json.loads(done.stdout), "new": new}


def test_a_replay_shows_every_naive_rule_the_oracle_and_ours(replayed) -> None:
    policies = replayed[1]["data"]["policies"]

    assert list(policies) == [
        "never",
        "always, all past",
        "always, last file",
        "oracle",
        "fast",
        "certified",
    ]
    assert policies["oracle"]["brier"] <= min(one["brier"] for one in policies.values())
    assert [len(policies[p]["deployments"]) for p in ("never", "always, all past")] == [0, 6]


def test_a_replay_writes_a_table_and_a_chart_for_each_policy_and_nothing_else(replayed) -> None:
    project, found = replayed

    written = [name for name in found["new"] if not name.startswith("logs/")]
    assert written == [f"models/replay/{n}" for n in ("certified.png", "fast.png", "replay.csv")]
    for name in ("certified.png", "fast.png"):
        picture = (project.folder / "models/replay" / name).read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) > 20_000
    with open(project.folder / "models/replay/replay.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * len(DATES)
    served = [r for r in rows if r["policy"] == "fast" and r["brier"]]
    assert [r["period"] for r in served] == DATES[1:]
    assert {r["rows"] for r in rows} == {"200"}


@pytest.mark.torture
def test_a_replay_decides_as_the_runs_did(replayed, tmp_path: Path) -> None:
    expected = [
        (d["period"], d["action"]) for d in replayed[1]["data"]["policies"]["fast"]["deployments"]
    ]
    project = Project(tmp_path, port=9)
    for at in range(len(DATES)):
        dated(project, at, "sourcedata")
        project.run("fullprocess.py")

    evaluations = [entry for entry in entries(project.config) if entry.action != "first"]
    actions = [(at + 1, entry.action) for at, entry in enumerate(evaluations)]
    assert [
        (at, action) for at, action in actions if action not in ("none", "recalibrate")
    ] == expected
    assert any(action in ("switch", "promote") and at >= CHANGE for at, action in expected)


def test_labels_that_come_later_leave_fewer_periods_to_serve(replayed) -> None:
    project, _ = replayed

    done = project.run(
        "fullprocess.py",
        "--replay",
        str(project.folder / "past"),
        "--policy",
        "fast",
        "--label-delay",
        "3",
        "--json",
    )

    policies = json.loads(done.stdout)["policies"]
    assert "certified" not in policies
    with open(project.folder / "models/replay/replay.csv", newline="") as file:
        served = [r["period"] for r in csv.DictReader(file) if r["policy"] == "fast" and r["brier"]]
    assert served == DATES[3:]


REFUSED = {
    "no folder": (["nowhere"], {}, "nowhere"),
    "files without a date": (["past"], {"past/one.csv": 60, "past/two.csv": 60}, "date"),
    "two dates": (["past"], {f"past/c_{d}.csv": 60 for d in DATES[:2]}, "3 or more"),
    "a delay longer than the past": (
        ["past", "--label-delay", "9"],
        {f"past/c_{d}.csv": 60 for d in DATES[:3]},
        "--label-delay",
    ),
    "no labels": (["past"], {f"past/c_{d}.csv": 0 for d in DATES[:4]}, "label"),
}


@pytest.mark.parametrize(("words", "files", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_replayed_is_refused_in_a_sentence(
    tmp_path: Path, words: list[str], files: dict[str, int], said: str
) -> None:
    project = Project(tmp_path, port=9)
    for seed, (name, rows) in enumerate(files.items()):
        lines = client_rows(rows or 30, seed=seed)
        lines = [line.rpartition(",")[0] + "," for line in lines] if not rows else lines
        project.write(name, lines, header=HEADER)
    folder = str(project.folder / words[0])

    done = project.run("fullprocess.py", "--replay", folder, *words[1:], check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.folder / "models").exists()


def test_a_negative_delay_is_no_option(tmp_path: Path) -> None:
    done = Project(tmp_path).run(
        "fullprocess.py", "--replay", "x", "--label-delay", "-1", check=False
    )

    assert done.returncode == 2


def test_the_benchmark_of_decisions_runs_each_part() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "benchmarks/decisions.py"), "--smoke"],
        text=True,
        capture_output=True,
        timeout=300,
    )

    assert (done.returncode, done.stderr) == (0, "")
    for part in ("made-up drift", "always, last file", "nothing wrong", "shuffled labels"):
        assert part in done.stdout

"""A company's first months: exports that say who has left, dropped in one after the other."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project, age
from driver import new_project, run_driver

from app import create_app
from risk.data.snapshot import read_snapshot

SETTINGS = {
    name: value
    for name, value in json.loads((ROOT / "config.json").read_text()).items()
    if name in ("columns", "labels")
}
FILES = sorted((ROOT / "sourcedata").glob("*.csv"))[:4]


def give(project: Project, source: Path) -> str:
    """The next export; what the run says."""
    age(Path(shutil.copy(source, project.folder / "sourcedata" / source.name)))
    return run_driver(project).text


def statuses(source: Path) -> dict[str, str]:
    """Account -> its status in the export."""
    with open(source, newline="") as file:
        return {row["Account ID"]: row["Status"] for row in csv.DictReader(file)}


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / "models" / name).read_text())


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Four months: after each what was said, the list and the outcomes."""
    project = new_project(tmp_path_factory.mktemp("months"), **SETTINGS)
    (project.folder / "testdata" / "testdata.csv").unlink()
    months = []
    for source in FILES:
        text = give(project, source)
        there = (project.folder / "models" / "clients_at_risk.json").exists()
        names = ("clients_at_risk.json", "outcomes.json")
        months.append((text, *(read(project, name) if there else None for name in names)))
    return {"project": project, "months": months}


def test_the_first_export_tells_nobody_s_outcome(lived: dict[str, Any]) -> None:
    text, listing, _ = lived["months"][0]

    assert "who leaves is told by the next month's file" in text
    assert listing is None


@pytest.mark.parametrize("month", [1, 2, 3])
def test_every_active_account_is_listed_and_nobody_who_has_left(
    lived: dict[str, Any], month: int
) -> None:
    active = [name for name, word in statuses(FILES[month]).items() if word == "Active"]
    clients = lived["months"][month][1]["clients"]

    assert sorted(client["client"] for client in clients) == sorted(active)


@pytest.mark.parametrize("month", [2, 3])
def test_every_outcome_of_a_list_is_counted_a_month_later(
    lived: dict[str, Any], month: int
) -> None:
    before, outcomes = lived["months"][month - 1][1], lived["months"][month][2]
    names = [client["client"] for client in before["clients"]]
    now = statuses(FILES[month])

    earlier = lived["months"][month - 1][2]["known"]
    assert outcomes["known"] == earlier + len(names)
    left = sum(now[name] == "Churned" for name in names)
    earlier_left = 0 if month == 2 else lived["months"][2][2]["all"]["left"]
    assert outcomes["all"]["left"] == earlier_left + left


def test_the_rows_reconcile(lived: dict[str, Any]) -> None:
    project = lived["project"]
    snapshot = read_snapshot(project.config)
    assert snapshot.status is not None
    counts = snapshot.status.counts("Status")

    read_rows = sum(len(statuses(source)) for source in FILES)
    assert counts["observations"] + counts["events"] + counts["outcomes"] == read_rows
    assert counts["left"] + counts["stayed"] + counts["waiting"] == counts["observations"]
    assert counts["waiting"] == counts["current"] == len(lived["months"][3][1]["clients"])


def test_the_list_finds_who_will_leave(lived: dict[str, Any]) -> None:
    clients, now = lived["months"][2][1]["clients"], statuses(FILES[3])
    left = [now[client["client"]] == "Churned" for client in clients]  # by rank

    # 496 accounts of whom 38 leave: the half with the higher risk has nearly all of them.
    assert sum(left[: len(left) // 2]) >= 0.8 * sum(left)


def test_the_score_is_that_of_predicting_each_month_from_those_before(
    lived: dict[str, Any],
) -> None:
    found = read(lived["project"], "latestscore.json")

    assert found["basis"] == "next month"
    assert [month["date"] for month in found["months"]] == ["2026-05-31", "2026-06-30"]
    for month, at in zip(found["months"], (1, 2), strict=True):
        was, now = statuses(FILES[at]), statuses(FILES[at + 1])
        active = [name for name, word in was.items() if word == "Active"]
        left = sum(now[name] == "Churned" for name in active)
        assert (month["n"], month["exits"]) == (len(active), left)
        assert month["auc"] > 0.7
    text = (lived["project"].folder / "models" / "latestscore.txt").read_text()
    assert float(text) == found["f1"]


def test_the_api_predicts_the_newest_export_where_there_is_no_test_file(
    lived: dict[str, Any],
) -> None:
    answer = create_app(lived["project"].config).test_client().post("/prediction").get_json()

    assert answer["rows"] == len(statuses(FILES[3]))


# ------------------------------------------------ the same exports, their status taken as given


@pytest.fixture(scope="module")
def misread(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """Three months whose status was taken for each row's own label, and what the last run said."""
    project = new_project(tmp_path_factory.mktemp("misread"), **SETTINGS | {"labels": "given"})
    (project.folder / "testdata" / "testdata.csv").unlink()
    for source in FILES[:2]:
        give(project, source)
    return project, give(project, FILES[2])


def late(files: list[Path]) -> int:
    """How many accounts were active by one export and have left by a later one."""
    found = [statuses(source) for source in files]
    words = {name: [status[name] for status in found if name in status] for name in found[-1]}
    return sum("Active" in w and w[-1] != "Active" for w in words.values())


def test_outcomes_under_a_later_date_are_counted_and_told(misread: tuple[Project, str]) -> None:
    project, text = misread
    words = f"{late(FILES[:3])} clients have their outcome under a later date"

    assert words in text and "ingestion.py --labels status --config" in text
    browser = create_app(project.config).test_client()
    for page in ("/trust", "/status"):
        assert words in browser.get(page, headers={"Accept": "text/html"}).text
    assert words in read(project, "outcomes.json")["misread"]


def test_the_command_that_is_named_mends_it(misread: tuple[Project, str]) -> None:
    project, text = misread
    command = text.partition("type `")[2].partition("`")[0]
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    assert "labels made from the status" in done.stdout
    text = run_driver(project).text
    assert "under a later date" not in text
    # What the model had learned were other labels.
    assert "trained anew on labels made so" in text
    assert run_driver(project).data["outcome"] == "idle"
    page = create_app(project.config).test_client().get("/status", headers={"Accept": "text/html"})
    assert "Labels made from the status: " in page.text


def test_what_was_measured_after_leaving_is_said_by_training(tmp_path: Path) -> None:
    """One export alone: nobody can say from dates that its status is none of each row's labels."""
    project = new_project(tmp_path, **SETTINGS | {"labels": "given"})
    (project.folder / "testdata" / "testdata.csv").unlink()
    text = give(project, FILES[2])

    assert "looks as if it was measured after they had left" in text
    assert text.count("--labels status") == 1

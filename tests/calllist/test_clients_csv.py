"""clients_at_risk.csv for other tools: its columns, and that the API gives the same bytes."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from conftest import HEADER, Project, client_rows
from driver import copy_of, first_deployed, run_driver, run_fully

from app import create_app

OLD = ["rank", "client", "risk", "date", "model_version"]
REST = ["band", "call", "reason_1", "reason_2", "reason_3", "against", "notes"]


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def served(project: Project) -> bytes:
    return create_app(project.config).test_client().get("/clients?format=csv").get_data()


def rows_of(project: Project) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(project.text("models/clients_at_risk.csv"))))


@pytest.mark.parametrize(
    ("settings", "middle", "last"),
    [
        ({}, [], ["change"]),
        ({"client_value": 500, "contact_cost": 20}, ["profit"], ["change", "value_at_risk"]),
    ],
    ids=["plain", "with a worth"],
)
def test_the_file_and_the_api_give_the_same_columns_and_bytes(
    project: Project, settings: dict[str, Any], middle: list[str], last: list[str]
) -> None:
    project.configure(port=9, **settings)
    run_fully(project)

    raw = (project.folder / "models/clients_at_risk.csv").read_bytes()
    assert b"\xef\xbb\xbf" + served(project) == raw
    assert raw.decode("utf-8-sig").splitlines()[0].split(",") == [*OLD, *middle, *REST, *last]


def test_the_value_at_risk_is_the_risk_times_the_clients_own_value(project: Project) -> None:
    now = [f"now_{at},{at * 20},900,40,,{worth}" for at, worth in enumerate(["80", "", "1000"])]
    project.configure(port=9, client_value=500, columns={"value": "worth"})
    project.write("sourcedata/now.csv", now, header=f"{HEADER},worth")
    project.run("ingestion.py", "--rebuild")
    run_fully(project)

    found = {row["client"]: row for row in rows_of(project)}
    assert len(found) == 3
    for name, worth in {"now_0": 80, "now_1": 500, "now_2": 1000}.items():
        at_risk = float(found[name]["value_at_risk"])
        assert at_risk == pytest.approx(worth * float(found[name]["risk"]), abs=1e-3)


def test_the_change_is_that_of_the_json_and_empty_for_a_new_client(project: Project) -> None:
    before = [row[:-1] for row in client_rows(8, seed=7, prefix="now")]
    project.write("sourcedata/2025-01-31.csv", before)
    run_driver(project)
    project.write(
        "sourcedata/2025-02-28.csv",
        [*(",".join([r.split(",")[0], "1", "4000", "9", ""]) for r in before), "late,5,900,40,"],
    )
    run_driver(project)

    listed = {
        c["client"]: c["change"] for c in project.json("models/clients_at_risk.json")["clients"]
    }
    shown = {row["client"]: row["change"] for row in rows_of(project)}
    assert shown == {name: str(c["points"]) if c else "" for name, c in listed.items()}
    assert shown["late"] == "" and any(int(points) for points in shown.values() if points)

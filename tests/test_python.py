"""docs/python.md and its notebook: three functions that say what the API and the list say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pandas as pd
import polars as pl
import pytest
from conftest import ROOT, Project
from serving import deployed_copy

import risk
from app import create_app
from risk import clients, explain, predict
from risk.config import PipelineError

NAMES = ("corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees")
ROWS: list[dict[str, Any]] = [
    dict(zip(NAMES, cells, strict=True)) for cells in (("a", 12, 540.5, 30), ("b", 90, None, 3))
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = deployed_copy(tmp_path_factory)
    made.configure(port=9)
    made.run("reporting.py")
    return made


def test_the_notebook_runs_from_its_first_cell_to_its_last(project: Project) -> None:
    cells = json.loads((ROOT / "docs" / "python.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    asks = "assert list(answer.columns) == ['client', 'risk', 'prediction'] and len(whole) == 80"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{asks}\nprint(len(listed))"],
        cwd=project.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(project.json("models/clients_at_risk.json")["clients"])


def test_predictions_are_those_of_the_api_whatever_holds_the_rows(project: Project) -> None:
    config = project.folder / "config.json"
    call = create_app(project.config).test_client()
    expected = call.post("/prediction", json={"rows": ROWS}).get_json()
    for rows in (ROWS, pd.DataFrame(ROWS), pl.DataFrame(ROWS).with_columns(more=1)):
        found = predict(rows, config)
        assert found["client"].tolist() == ["a", "b"]
        assert found["risk"].tolist() == expected["probabilities"]
        assert found["prediction"].tolist() == expected["predictions"]


def test_a_company_with_decimal_commas_loses_none_in_a_frame(project: Project) -> None:
    plain = predict(ROWS, project.folder / "config.json")
    project.configure(port=9, csv={"delimiter": ";", "decimal": ","})
    try:
        assert predict(ROWS, project.folder / "config.json").equals(plain)
    finally:
        project.configure(port=9)


def test_the_list_and_a_client_are_those_of_the_files(project: Project) -> None:
    config = project.folder / "config.json"
    listed, written = clients(config), pd.read_csv(project.config.clients_csv)
    assert listed.columns.tolist() == written.columns.tolist()
    assert listed["client"].tolist() == written["client"].tolist()
    first = explain(listed["client"][0], config)
    assert first.listed is not None and first.listed.rank == 1
    assert first.risk == listed["risk"][0]
    assert first.reasons


def test_what_is_wrong_is_said_with_its_place(project: Project) -> None:
    config = project.folder / "config.json"
    with pytest.raises(PipelineError, match="rows: 1 bad rows, the first on line 3: lastmonth"):
        predict([ROWS[0], ROWS[1] | {"lastmonth_activity": "x"}], config)
    with pytest.raises(PipelineError, match="no client 'Nobody'; the nearest names"):
        explain("Nobody", config)
    with pytest.raises(PipelineError, match="nothing.csv: No such file"):
        predict("nothing.csv", config)
    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        risk.guess  # noqa: B018


def test_the_page_tells_every_function() -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    assert all(f"| `{name}(" in text for name in risk.PYTHON)

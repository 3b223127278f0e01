"""The doctor names each damaged artifact, and what it tells one to type mends it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, client_rows
from driver import copy_of, first_deployed, new_project, run_driver

from deployment import deploy
from ingestion import ingest
from reporting import report
from risk.calllist.sheets import csv_file
from risk.calllist.types import CallList
from risk.run.doctor import checks, doctor
from scoring import score
from training import train


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two releases, and everything else that a run leaves."""
    made = copy_of(first_deployed(tmp_path_factory), tmp_path_factory.mktemp("whole"))
    made.write("sourcedata/three.csv", client_rows(60, seed=5, flip=True))
    made.write("sourcedata/bad.csv", ["1,2"], header="corporation,exited")
    assert run_driver(made).data["outcome"] == "deploy"
    made.run("reporting.py")
    return made


@pytest.fixture
def project(whole: Project, tmp_path: Path) -> Project:
    return copy_of(whole, tmp_path)


def flip(path: Path, at: float = 0.5) -> None:
    """Change one bit in the file, at this share of its length, and leave its times as they were."""
    before, raw = path.stat(), bytearray(path.read_bytes())
    raw[int(at * (len(raw) - 1))] ^= 0x04
    path.write_bytes(raw)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def where(project: Project, file: str) -> Path:
    """The file; a bare name is one of the deployed release."""
    if file == "segment":
        return min((project.folder / "ingesteddata/segments").iterdir())
    return project.folder / (file if "/" in file else f"production_deployment/current/{file}")


def damaged(project: Project) -> dict[str, str]:
    found = doctor(project.config)
    assert found.code == int(any(not check["ok"] for check in found.data["checks"]))
    return {c["name"]: c["what"] for c in found.data["checks"] if not c["ok"]}


def obey(project: Project, what: str) -> None:
    """Do what the doctor says: delete what it names, run the scripts in the order it names them."""
    for path in re.findall(r"delete ([^ ;,]+)", what):
        target = project.folder / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    said = what.partition("run ")[2].partition("(or ")[0]
    for command in re.findall(r"[a-z]+\.py(?: --[a-z]+)?", said):
        SCRIPTS[command](project)


SCRIPTS: dict[str, Callable[[Project], object]] = {
    "ingestion.py": lambda p: ingest(p.config),
    "ingestion.py --rebuild": lambda p: ingest(p.config, again=True),
    "training.py": lambda p: train(p.config),
    "scoring.py": lambda p: score(p.config),
    "deployment.py": lambda p: deploy(p.config),
    "reporting.py": lambda p: report(p.config),
    "apicalls.py": lambda p: p.run("apicalls.py", check=False),
    "fullprocess.py": run_driver,
}
ALL = [
    ("ingesteddata/state.json", "finaldata.csv", "ingestion.py --rebuild"),
    ("ingesteddata/finaldata.csv", "finaldata.csv", "finaldata.csv and run ingestion.py"),
    ("segment", "finaldata.csv", "ingestion.py --rebuild"),
    ("ingesteddata/ingestedfiles.txt", "ingestedfiles.txt", "run ingestion.py"),
    ("ingesteddata/summary.json", "summary.json", "run ingestion.py"),
    ("models/trainedmodel.pkl", "trainedmodel.pkl, model.json", "run training.py and scoring.py"),
    ("models/model.json", "trainedmodel.pkl, model.json", "run training.py"),
    ("models/latestscore.txt", "latestscore.txt, latestscore.json", "run scoring.py"),
    ("models/latestscore.json", "latestscore.txt, latestscore.json", "run scoring.py"),
    ("trainedmodel.pkl", "production_deployment", "run deployment.py"),
    ("model.json", "production_deployment", "run deployment.py"),
    ("latestscore.txt", "production_deployment", "run deployment.py"),
    ("latestscore.json", "production_deployment", "run deployment.py"),
    ("ingestedfiles.txt", "production_deployment", "run deployment.py"),
    ("finaldata.csv", "production_deployment", "run deployment.py"),
    ("manifest.json", "production_deployment", "run deployment.py"),
    ("production_deployment/releases/000001/trainedmodel.pkl", "release 000001", "delete "),
    ("production_deployment/releases/000001/model.json", "release 000001", "delete "),
    ("production_deployment/releases/000001/manifest.json", "release 000001", "delete "),
    ("models/clients_at_risk.csv", "clients_at_risk.csv, .json", "run reporting.py"),
    ("models/clients_at_risk.json", "clients_at_risk.csv, .json", "run reporting.py"),
    ("models/confusion_matrix.png", "confusion_matrix.png", "run reporting.py"),
    ("models/apireturns.txt", "apireturns.txt", "run apicalls.py"),
]  # fmt: skip
# Each is mended by obeying the doctor, 2 s of it: one of each kind by default, all in torture.
FIRST = {
    "ingesteddata/state.json",
    "models/model.json",
    "manifest.json",
    "models/clients_at_risk.csv",
}
EACH = [
    pytest.param(*row, id=row[0], marks=() if row[0] in FIRST else pytest.mark.torture)
    for row in ALL
]


def test_a_project_that_is_well_is_said_to_be(project: Project) -> None:
    done = project.run("diagnostics.py", "--doctor")

    lines = done.stdout.splitlines()
    assert lines[-1] == "all is well"
    assert [line.split(":")[0] for line in lines[:-1]] == [
        f"ok      {name}" for name in checks(project.config)
    ]


def test_a_project_in_which_nothing_was_run_yet_is_well(tmp_path: Path) -> None:
    found = doctor(new_project(tmp_path).config)

    assert found.code == 0 and found.text.endswith("all is well")


@pytest.mark.parametrize(("file", "named", "said"), EACH)
def test_a_flipped_bit_is_named_and_what_is_said_to_be_typed_mends_it(
    project: Project, file: str, named: str, said: str
) -> None:
    # No digest is kept of what the API answered: only a file that is no JSON is noticed.
    flip(where(project, file), at=0.0 if file == "models/apireturns.txt" else 0.5)

    found = damaged(project)

    assert named in found and said in found[named]
    assert_mended_by_obeying(project)


def assert_mended_by_obeying(project: Project) -> None:
    for _ in range(4):  # what is mended may show that something else is of an older run
        found = damaged(project)
        for what in found.values():
            obey(project, what)
        if not found:
            return
    raise AssertionError(damaged(project))


UNNOTICED = {
    "models/confusion_matrix.png": "nothing says that there was one",
    "models/apireturns.txt": "nothing says that there was one",
    "finaldata.csv": "only the newest release keeps its rows",
}


@pytest.mark.parametrize(("file", "named", "said"), EACH)
def test_a_missing_file_is_named_and_mended(
    project: Project, file: str, named: str, said: str
) -> None:
    where(project, file).unlink()

    assert (named in damaged(project)) != (file in UNNOTICED)
    assert_mended_by_obeying(project)


@pytest.mark.parametrize("name", ["run.json", "deployment.json", "timings.json", "packages.json"])
def test_a_torn_file_of_the_state_is_named_and_mended(project: Project, name: str) -> None:
    path = project.folder / "state" / name
    path.write_bytes(path.read_bytes()[:9])

    said = f"{name} is damaged; delete state/{name} and run fullprocess.py"
    assert damaged(project)["state"] == said
    assert_mended_by_obeying(project)


@pytest.mark.torture
@pytest.mark.parametrize("at", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("file", [
    "model.json",
    "manifest.json",
    "trainedmodel.pkl",
    "models/model.json",
    "models/trainedmodel.pkl",
    "models/confusion_matrix.png",
    "segment",
])  # fmt: skip
def test_a_flipped_bit_is_noticed_wherever_it_is(project: Project, file: str, at: float) -> None:
    flip(where(project, file), at)

    assert damaged(project) != {}


def test_every_damaged_artifact_is_named_at_once(project: Project) -> None:
    for file in ("models/confusion_matrix.png", "ingesteddata/summary.json", "models/model.json"):
        flip(project.folder / file)

    assert {"confusion_matrix.png", "summary.json", "trainedmodel.pkl, model.json"} <= set(
        damaged(project)
    )


def test_a_link_that_became_a_file_is_named_and_mended_and_the_file_kept(project: Project) -> None:
    link = project.folder / "production_deployment/trainedmodel.pkl"
    link.unlink()
    link.write_text("mine")

    assert (
        "is not the link to current/trainedmodel.pkl" in damaged(project)["production_deployment"]
    )
    assert_mended_by_obeying(project)
    kept = [p.read_text() for p in link.parent.glob("trainedmodel.pkl.before-*")]
    assert kept == ["mine"]


def test_an_edited_list_and_one_of_an_older_model_are_named(project: Project) -> None:
    listing = project.json("models/clients_at_risk.json")
    listing["clients"][0]["risk"] = 0.123456
    (project.folder / "models/clients_at_risk.json").write_text(json.dumps(listing))
    (project.folder / "models/clients_at_risk.csv").write_bytes(
        csv_file(CallList.from_json(listing))
    )
    edited = damaged(project)
    project.run("reporting.py")
    project.run("deployment.py", "--rollback")
    older = damaged(project)

    assert list(edited) == list(older) == ["clients_at_risk.csv, .json"]
    assert "not the list of the deployed model" in older["clients_at_risk.csv, .json"]


def test_a_folder_where_a_file_belongs_is_named_and_no_traceback(project: Project) -> None:
    (project.folder / "models/clients_at_risk.json").unlink()
    (project.folder / "models/clients_at_risk.json").mkdir()
    (project.folder / "models/confusion_matrix.png").unlink()
    (project.folder / "models/confusion_matrix.png").mkdir()

    done = project.run("diagnostics.py", "--doctor", check=False)

    assert (done.returncode, done.stderr) == (1, "")
    # What is a folder holds nothing that could be damaged: it has to go by hand.
    told = "damaged: clients_at_risk.csv, .json; cannot be read: confusion_matrix.png"
    assert told in done.stdout and "Is a directory" in done.stdout

"""Where a right, a link, a home or a package is missing: one sentence, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import OFFLINE, ROOT, Project, client_rows

# Root reads everything; without these two rights it is like anybody else.
SETPRIV = shutil.which("setpriv")
STATUS, DOCTOR = "diagnostics.py --status", "diagnostics.py --doctor"
WITHOUT = "--bounding-set=-dac_override,-dac_read_search"
LIMITED = [SETPRIV, WITHOUT] if SETPRIV and not os.geteuid() else []
needs_setpriv = pytest.mark.skipif(
    not os.geteuid() and not SETPRIV, reason="root without setpriv reads everything"
)


@pytest.fixture
def own(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write("sourcedata/one.csv", client_rows(60, seed=1))
    project.write("testdata/testdata.csv", client_rows(60, seed=2))
    return project


def limited(
    project: Project, script: str, *options: str, python: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [*LIMITED, sys.executable, *python, str(ROOT / script)]
    return subprocess.run(
        [*command, "--config", str(project.folder / "config.json"), *options],
        cwd="/",
        env={"PATH": os.environ["PATH"], "COLUMNS": "10000", **OFFLINE, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@needs_setpriv
@pytest.mark.parametrize(
    ("pattern", "script", "options"),
    [
        ("ingesteddata/state.json", "training.py", []),
        ("ingesteddata/state.json", "ingestion.py", ["--rebuild"]),
        ("ingesteddata/state.json", "diagnostics.py", ["--doctor"]),
        ("ingesteddata/segments/*.parquet", "training.py", []),
        ("ingesteddata/segments/*.parquet", "diagnostics.py", ["--doctor"]),
        ("ingesteddata/finaldata.csv", "diagnostics.py", ["--doctor"]),
        ("production_deployment/releases/000001/manifest.json", "diagnostics.py", ["--doctor"]),
        ("production_deployment/releases/000001/trainedmodel.pkl", "diagnostics.py", ["--doctor"]),
        ("models/latestscore.txt", "diagnostics.py", ["--doctor"]),
    ],
)
def test_what_may_not_be_read_is_no_damage(
    own: Project, pattern: str, script: str, options: list[str]
) -> None:
    own.pipeline()
    (path,) = own.folder.glob(pattern)
    path.chmod(0)
    try:
        done = limited(own, script, *options)
    finally:
        path.chmod(0o644)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert f"{path.name}: Permission denied (owner {path.owner()})" in text
    assert "damage" not in text.lower() and "delete" not in text
    assert "--rebuild" not in text and "Traceback" not in text


def test_a_file_system_without_links_is_named_and_no_release_piles_up(
    own: Project, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import errno, os\n"
        "def symlink(*_, **__):\n"
        "    raise OSError(errno.ENOSYS, 'Function not implemented')\n"
        "os.symlink = symlink\n"
    )
    for script in ("ingestion.py", "training.py", "scoring.py"):
        own.run(script)
    for _ in range(2):
        done = limited(own, "deployment.py", PYTHONPATH=str(site))
        assert done.stderr == (
            f"error: {own.folder}/production_deployment: this file system has no symbolic links "
            "(Function not implemented); put prod_deployment_path on a Linux one, as ext4\n"
        )
        assert not [*own.folder.glob("production_deployment/**/*")]


def test_a_home_that_cannot_be_written_is_silent(own: Project) -> None:
    own.pipeline()
    done = limited(own, "reporting.py", HOME="/dev/null/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert (own.folder / "logs/matplotlib").is_dir()


@pytest.mark.parametrize("script", ["training.py", "fullprocess.py", "ingestion.py"])
def test_a_python_without_the_packages_says_which_to_use(own: Project, script: str) -> None:
    own.run("fullprocess.py", "--now")
    own.write("sourcedata/more.csv", client_rows(5, seed=8))
    bare = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run(
        [bare, "-S", str(ROOT / script), "--config", str(own.folder / "config.json")],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    script_typed = f"{ROOT}/.venv/bin/python {ROOT}/{script} --config {own.folder}/config.json"
    typed = script_typed if (ROOT / ".venv/bin/python").exists() else f"make -C {ROOT} run"
    assert done.stderr.count("\n") == 1 and done.stderr.endswith(f"; type: {typed}\n")


@needs_setpriv
@pytest.mark.parametrize("place", ["sourcedata", "sourcedata/2026", "sourcedata/2026/more.csv"])
def test_what_cannot_be_read_in_the_input_folder_fails_run_status_and_doctor(
    own: Project, place: str
) -> None:
    own.run("fullprocess.py", "--now")
    own.write("sourcedata/2026/more.csv", client_rows(20, seed=9))
    path = own.folder / place
    path.chmod(0)
    try:
        done = [limited(own, *words.split()) for words in (*["fullprocess.py"] * 2, STATUS, DOCTOR)]
    finally:
        path.chmod(0o755)
    assert [one.returncode for one in done] == [1, 1, 1, 1]
    for one in done:
        text = " ".join((one.stdout + one.stderr).split())
        assert f"Permission denied (owner {path.owner()})" in text and path.name in text
        assert "rebuild" not in text and "damage" not in text.lower()
    assert limited(own, "fullprocess.py").returncode == 0
    assert "2026,more.csv,20,20" in own.text("ingesteddata/ingestedfiles.txt")
    assert limited(own, *STATUS.split()).returncode == 0


def test_an_input_folder_that_is_empty_all_at_once_is_said_until_it_is_not(own: Project) -> None:
    own.run("fullprocess.py", "--now")
    (own.folder / "sourcedata").rename(own.folder / "away")
    (own.folder / "sourcedata").mkdir()  # as where a disk is not mounted
    said = "sourcedata: holds no file any more, of 1 file that were read; their rows stay"
    for words in ("fullprocess.py", "fullprocess.py", STATUS, DOCTOR):
        assert said in own.run(*words.split()).stdout
    assert own.run("fullprocess.py").stdout.startswith("idle: ")
    (own.folder / "away/one.csv").rename(own.folder / "sourcedata/one.csv")
    assert "any more" not in own.run("fullprocess.py").stdout
    assert "any more" not in own.run("fullprocess.py").stdout
    assert len(own.text("ingesteddata/finaldata.csv").splitlines()) == 61


@pytest.mark.parametrize("state", ["as it was", "damaged", "deleted"])
def test_a_rebuild_keeps_the_rows_of_files_that_are_gone_unless_told(
    own: Project, state: str
) -> None:
    own.write("sourcedata/two.csv", client_rows(30, seed=5))
    own.pipeline()
    before = own.text("ingesteddata/finaldata.csv")
    (own.folder / "sourcedata/two.csv").unlink()
    path = own.folder / "ingesteddata/state.json"
    if state == "damaged":
        path.write_text(path.read_text().replace("accepted", "acceptef", 1))
    elif state == "deleted":
        path.unlink()
    for _ in range(2):
        done = own.run("ingestion.py", "--rebuild", check=False)
        assert done.returncode == 1 and "would go" in done.stderr
        assert "ingestion.py --rebuild --drop-missing" in done.stderr
        assert own.text("ingesteddata/finaldata.csv") == before
    assert len([*own.folder.glob("ingesteddata/segments/*")]) == 2
    done = own.run("ingestion.py", "--rebuild", "--drop-missing")
    assert "gone" in done.stdout
    assert len(own.text("ingesteddata/finaldata.csv").splitlines()) == 61


@needs_setpriv
def test_a_closed_deployment_is_not_none(own: Project) -> None:
    own.pipeline()
    folder = own.folder / "production_deployment"
    folder.chmod(0)
    try:
        run, doctor = limited(own, "fullprocess.py"), limited(own, *DOCTOR.split())
        served = limited(own, "diagnostics.py", "--status")
    finally:
        folder.chmod(0o755)
    assert (run.returncode, doctor.returncode, served.returncode) == (1, 1, 1)
    assert "CLOSED  production_deployment: " in doctor.stdout
    assert "Permission denied" in run.stderr and "nothing is deployed" not in run.stderr
    assert "failed in" in served.stdout


@needs_setpriv
def test_closed_test_data_are_not_none(own: Project) -> None:
    own.pipeline()
    folder = own.folder / "testdata"
    folder.chmod(0)
    try:
        done = limited(own, "scoring.py")
    finally:
        folder.chmod(0o755)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot read {folder}: Permission denied (owner {folder.owner()})" in done.stderr

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
        env={"PATH": os.environ["PATH"], **OFFLINE, **environment},
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

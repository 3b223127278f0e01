"""How a script ends: one line for a person, JSON for a program, and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Project

import risk

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from risk.config import Outcome, PipelineError
from risk.script import run

def stage(config, chosen):
    {body}

if __name__ == "__main__":
    run(stage, "about", writes=lambda _: {writes})
"""


def ran(
    project: Project,
    body: str,
    *arguments: str,
    writes: bool = True,
    before: str = "",
    **streams: object,
) -> subprocess.CompletedProcess[str]:
    """A stage with this body, run as a script of its own."""
    script = project.folder / "stage.py"
    script.write_text(before + SCRIPT.format(root=str(ROOT), body=body, writes=writes))
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, str(script), "--config", str(project.folder / "config.json"), *arguments],
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        timeout=60,
        **piped,
    )


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("raise PipelineError('no rows; add some')", 1, "error: no rows; add some\n"),
        (
            "raise PipelineError('a name with\\na line break')",
            1,
            "error: a name with a line break\n",
        ),
        (
            "open('/nowhere/file')",
            1,
            "error: /nowhere/file: No such file or directory; no file is half-written, "
            "free the cause and run again\n",
        ),
        (
            "raise BrokenPipeError(32, 'Broken pipe')",
            1,
            "error: Broken pipe; no file is half-written, free the cause and run again\n",
        ),
        (
            "raise KeyboardInterrupt",
            130,
            "error: interrupted; the next run completes what is open\n",
        ),
        ("return Outcome('done', code=3)", 3, ""),
        ("return Outcome('done')", 0, ""),
    ],
)
def test_an_end_is_one_line_and_a_code(project: Project, body: str, code: int, said: str) -> None:
    done = ran(project, body)
    assert (done.returncode, done.stderr) == (code, said)


def test_an_unexpected_exception_keeps_its_traceback(project: Project) -> None:
    done = ran(project, "return {}['absent']")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback") and "KeyError: 'absent'" in done.stderr


def test_verbose_prints_the_folders_and_where_an_error_was_raised(project: Project) -> None:
    done = ran(project, "open('/nowhere/file')", "-v")
    lines = done.stderr.splitlines()
    assert lines[:2] == [
        f"config {project.folder}/config.json",
        f"input_folder_path {project.folder}/sourcedata",
    ]
    assert f"state_path {project.folder}/state" in lines
    assert "Traceback (most recent call last):" in lines and lines[-1].startswith(
        "error: /nowhere/file"
    )


@pytest.mark.parametrize(
    "script", sorted(p.name for p in ROOT.glob("*.py") if "script import run" in p.read_text())
)
def test_every_script_knows_its_version(script: str) -> None:
    command = [sys.executable, str(ROOT / script), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stdout) == (0, f"{script} {risk.__version__}\n")


def test_json_is_for_a_program(project: Project) -> None:
    done = ran(project, "return Outcome('words', {'f1': 0.5, 'place': config.path})", "--json")
    assert json.loads(done.stdout) == {"f1": 0.5, "place": f"{project.folder}/config.json"}


def test_a_text_is_for_a_person_and_an_empty_one_prints_nothing(project: Project) -> None:
    assert ran(project, "return Outcome('words', {'f1': 0.5})").stdout == "words\n"
    assert ran(project, "return Outcome('')").stdout == ""


@pytest.mark.parametrize("length", [10, 1_000_000])
def test_a_reader_that_went_away_is_no_error(project: Project, length: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = ran(project, f"return Outcome('x' * {length})", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("length", [10, 1_000_000])
def test_a_full_disk_under_the_output_is_one_line(project: Project, length: int) -> None:
    with open("/dev/full", "w") as full:
        done = ran(project, f"return Outcome('x' * {length})", stdout=full)
    assert (done.returncode, done.stderr) == (
        1,
        "error: the result could not be printed: No space left on device\n",
    )


def test_closed_streams_do_not_stop_a_stage(project: Project) -> None:
    script = project.folder / "stage.py"
    script.write_text(SCRIPT.format(root=str(ROOT), body="return Outcome('words')", writes=True))
    command = f'"{sys.executable}" "{script}" --config "{project.folder}/config.json" >&- 2>&-'
    assert subprocess.run(["sh", "-c", command]).returncode == 0
    assert json.loads((project.folder / "state/timings.json").read_text())["stage"]["seconds"] >= 0


def test_a_name_that_is_no_text_is_printed_all_the_same(project: Project) -> None:
    done = ran(project, r"return Outcome('caf\udce9.csv')")
    assert (done.returncode, done.stdout) == (0, "caf\\udce9.csv\n")


def test_only_a_stage_that_had_work_keeps_its_time(project: Project) -> None:
    ran(project, "return Outcome('idle', worked=False)")
    assert not (project.folder / "state/timings.json").exists()
    ran(project, "return Outcome('done')")
    kept = project.json("state/timings.json")["stage"]
    assert kept["seconds"] >= 0 and kept["measured_at"].endswith("Z")


@pytest.mark.parametrize("writes", [True, False])
def test_a_stage_that_writes_sweeps_what_a_killed_one_left(project: Project, writes: bool) -> None:
    left = project.write("models/.tmp-trainedmodel.pkl", b"half")
    ran(project, "return Outcome('done')", writes=writes)
    assert left.exists() != writes


def test_a_stage_that_only_reads_touches_nothing(project: Project) -> None:
    before = sorted(project.folder.iterdir())
    ran(project, "return Outcome('seen')", writes=False)
    assert sorted(project.folder.iterdir()) == sorted([*before, project.folder / "stage.py"])


@pytest.mark.parametrize("place", ["state_path", "output_model_path"])
def test_a_folder_that_cannot_be_made_is_one_line(deployed: Project, place: str) -> None:
    (deployed.folder / "a_file").write_text("")
    deployed.configure(**{place: "a_file/below"})
    done = deployed.run("training.py", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {deployed.folder}/a_file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["training.py", "scoring.py", "deployment.py"])
def test_every_script_tells_what_it_makes(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"], capture_output=True, text=True, cwd="/"
    )
    first = Path(ROOT / script).read_text().splitlines()[0].strip('"')
    assert done.returncode == 0 and first in done.stdout

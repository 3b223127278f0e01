"""ping_url: a start, then success or failure, with one id; idle runs too; it fails no run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import ROOT, Project, client_rows
from driver import copy_of, first_deployed, marker, run_driver
from receiving import Hook, closed_port, hangs, says, web_hook

from risk.config import PipelineError


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path / "project")


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_hook() as running:
        yield running


def pings(hook: Hook) -> list[tuple[str, str, str]]:
    """(path, run id, body) of each call."""
    parts = [urlsplit(path) for path, _, _ in hook.calls]
    ids = [parse_qs(part.query).get("rid", [""])[0] for part in parts]
    bodies = [body.decode() for _, _, body in hook.calls]
    return list(zip((part.path for part in parts), ids, bodies, strict=True))


def test_a_run_pings_its_start_and_its_end_with_one_id(project: Project, hook: Hook) -> None:
    project.configure(port=9, ping_url=f"http://127.0.0.1:{hook.port}/key/")
    project.write("sourcedata/three.csv", client_rows(20, seed=7))
    run_driver(project)
    (start, first, _), (end, second, words) = pings(hook)
    assert (start, end) == ("/key/start", "/key")
    assert first == second == marker(project)["id"]
    assert words == f"{marker(project)['outcome']}: {marker(project)['reason']}"


def test_a_failed_run_says_where_and_why(project: Project, hook: Hook) -> None:
    project.configure(port=9, ping_url=f"http://127.0.0.1:{hook.port}/key?a=1")
    (project.folder / "models").rename(project.folder / "was")
    (project.folder / "models").write_text("in the way")
    with pytest.raises(PipelineError):
        run_driver(project)
    assert [urlsplit(path).path for path, _, _ in hook.calls] == ["/key/start", "/key/fail"]
    assert "a=1&rid=" in hook.calls[0][0]
    stage = marker(project)["failed"]["stage"]
    assert pings(hook)[1][2].startswith(f"{stage}: ")


def test_an_idle_run_of_the_script_pings_too(project: Project, hook: Hook) -> None:
    project.configure(port=9, ping_url=f"http://127.0.0.1:{hook.port}/key")
    run_driver(project)
    hook.calls.clear()
    said = project.run("fullprocess.py").stdout
    assert said.startswith("idle: ")
    assert pings(hook) == [("/key", "", said.strip())]


@pytest.mark.parametrize("answer", [says(b"HTTP/1.1 500 no\r\n\r\n"), hangs])
def test_no_answer_fails_no_run(project: Project, answer: object) -> None:
    with web_hook(answer) as hook:  # type: ignore[arg-type]
        project.configure(port=9, ping_url=f"http://127.0.0.1:{hook.port}/s3cret")
        assert run_driver(project).code == 0
    log = project.text("logs/fullprocess.log")
    assert "ping_url was not told: " in log and "s3cret" not in log


def test_an_idle_run_does_not_mind_a_closed_port(project: Project) -> None:
    project.configure(port=9, ping_url=f"http://127.0.0.1:{closed_port()}/key")
    run_driver(project)
    done = project.run("fullprocess.py")
    assert done.stdout.startswith("idle: ") and done.stderr == ""


def test_a_run_that_hangs_is_told_as_failed(project: Project, hook: Hook) -> None:
    project.configure(port=9, ping_url=f"http://127.0.0.1:{hook.port}/key", run_limit_minutes=0.02)
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); sys.argv[1:] = sys.argv[2:];"
        "import fullprocess; fullprocess.Steps.ingest = lambda _: time.sleep(60);"
        "fullprocess.main()"
    )
    command = [sys.executable, "-c", code, str(ROOT), "--now", "--config"]
    subprocess.run([*command, str(project.folder / "config.json")], timeout=60, check=False)
    deadline = time.monotonic() + 20  # the watchdog is a process of its own
    while len(hook.calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [path.partition("?")[0] for path, _, _ in hook.calls] == ["/key/start", "/key/fail"]
    assert "ended after 0.02 minutes" in hook.calls[1][2].decode()


def test_the_log_as_json_has_time_level_run_and_words(project: Project, hook: Hook) -> None:
    project.configure(port=9, log_format="json", ping_url=f"http://127.0.0.1:{closed_port()}/")
    (project.folder / "logs/fullprocess.log").unlink(missing_ok=True)
    project.write("sourcedata/three.csv", client_rows(20, seed=7))
    said = run_driver(project).text.splitlines()[0]
    lines = [json.loads(line) for line in project.text("logs/fullprocess.log").splitlines()]
    assert {tuple(line) for line in lines} == {("at", "level", "run", "message")}
    assert {line["run"] for line in lines} == {marker(project)["id"]}
    assert {line["level"] for line in lines} == {"info", "warning"}
    assert said in [line["message"] for line in lines]
    assert all(line["at"][10] == "T" and line["at"].endswith("Z") for line in lines)

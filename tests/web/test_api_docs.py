"""docs/api.md: every line that it shows is typed against a real server, and nothing is left out."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import ROOT, Project
from serving import Server, deployed_copy, small_server

from risk.web.api import ROUTES
from risk.web.request import LOCATIONS

TEXT = (ROOT / "docs" / "api.md").read_text()
PLACE, TOKEN = "http://127.0.0.1:8000", "TOKEN"
CURLS = [
    line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) for line in block.splitlines()
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return deployed_copy(tmp_path_factory)


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    with small_server(project) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(project: Project) -> Iterator[Server]:
    with small_server(project, RISK_API_TOKEN=TOKEN) as running:
        yield running


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", CURLS)
def test_every_curl_line_is_answered(
    project: Project, server: Server, guarded: Server, line: str
) -> None:
    asks_token = TOKEN in line
    words = shlex.split(line.replace(PLACE, (guarded if asks_token else server).url))
    assert words[0] == "curl"
    done = subprocess.run(
        [*words, "--fail-with-body", "-sS"],
        cwd=project.folder,
        text=True,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    if asks_token:
        bare = [word.replace(TOKEN, "wrong") for word in words]
        refused = subprocess.run([*bare, "-sS"], text=True, capture_output=True, timeout=30)
        assert '"unauthorized"' in refused.stdout


def test_the_python_example_prints_the_clients_at_risk(project: Project, server: Server) -> None:
    example = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(example) == 1
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example[0].replace(PLACE, server.url)],
        text=True,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines and all(
        re.fullmatch(r"0\.[5-9]\d  client3_\d+|1\.00  client3_\d+", line) for line in lines
    )


def test_every_endpoint_has_a_line_to_type() -> None:
    typed = {re.search(re.escape(PLACE) + r"(/[\w.]*)", line)[1] for line in CURLS}  # type: ignore[index]
    assert typed == set(ROUTES)


def test_every_name_and_limit_and_status_is_explained() -> None:
    for word in (
        *LOCATIONS,
        "max_rows",
        "max_body_mb",
        "max_predictions",
        "allowed_paths",
        "RISK_CONFIG",
        "RISK_API_TOKEN",
        "RISK_API_TOKENS",
        "RISK_READ_TOKENS",
        "X-Model-Version",
        "min_risk",
        "top",
        "format",
        "q=",
    ):
        assert word in TEXT, word
    told = set(re.findall(r"^\| (\d{3}) \|", TEXT, re.M))
    assert told == {"400", "401", "403", "404", "405", "413", "415", "422", "429", "503"}

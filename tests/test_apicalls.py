"""apireturns.txt: what the API answered, what it did not, and the last good answer."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from serving import deployed_copy, small_server

import apicalls
from apicalls import ENDPOINTS, call_api, collect

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(apicalls, "PAUSES", (0.01, 0.01))
    return deployed_copy(tmp_path_factory)


class Fake(http.server.ThreadingHTTPServer):
    """A server that gives each path its answers in turn, the last one for ever; it notes calls."""

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        self.answers, self.calls = answers, []
        super().__init__(("127.0.0.1", 0), FakeHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class FakeHandler(http.server.BaseHTTPRequestHandler):
    server: Fake

    def do_GET(self) -> None:
        seen = sum(path == self.path for _, path, _ in self.server.calls)
        self.server.calls.append((self.command, self.path, dict(self.headers)))
        status, body = self.server.answers[min(seen, len(self.server.answers) - 1)]
        if status == 0:
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("X-Model-Version", "3")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def fake() -> Iterator[Any]:
    running: list[Fake] = []

    def start(*answers: tuple[int, bytes]) -> Fake:
        server = Fake(list(answers))
        running.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_the_script_keeps_the_answer_of_each_endpoint(project: Project) -> None:
    with small_server(project) as server:
        project.configure(api_url=server.url)
        said = project.run("apicalls.py").stdout
    found = project.json("models/apireturns.txt")
    assert said == "the API answered all 4 calls (model 1): models/apireturns.txt\n"
    assert list(found) == ["prediction", "scoring", "summarystats", "diagnostics"]
    for answer in found.values():
        assert (answer["status"], answer["model_version"], answer["answer"]["model_version"]) == (
            200,
            1,
            1,
        )
        assert answer["at"].endswith("Z") and "last_good" not in answer
    assert found["prediction"]["answer"]["rows"] == 80
    assert found["scoring"]["answer"]["f1"] == project.json("models/latestscore.json")["f1"]
    assert project.json("state/timings.json")["apicalls"]["seconds"] > 0


def test_the_script_can_bring_its_own_server_and_leaves_none(project: Project) -> None:
    project.configure(host="0.0.0.0", port=1)
    done = json.loads(project.run("apicalls.py", "--serve", "--json").stdout)
    assert done["statuses"] == dict.fromkeys(ENDPOINTS, 200)
    still = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(project.folder) in reading(p)]
    assert still == []


def reading(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_with_a_token_the_calls_show_it(
    project: Project, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = project.run("apicalls.py", "--serve", RISK_API_TOKEN="s3cret")
    assert "all 4 calls" in done.stdout
    server = fake((200, b"{}"))
    monkeypatch.setenv("RISK_API_TOKEN", "s3cret")
    call_api(project.config, server.url)
    assert {headers["Authorization"] for _, _, headers in server.calls} == {"Bearer s3cret"}


def test_without_an_api_the_script_fails_and_the_driver_goes_on(project: Project) -> None:
    project.configure(api_url=NOWHERE)
    done = project.run("apicalls.py", check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("the API at http://127.0.0.1:1 cannot be reached; start it with")
    assert collect(project.config, serve=False).code == 0
    found = project.json("models/apireturns.txt")
    assert {answer["status"] for answer in found.values()} == {"unreachable"}
    assert found["scoring"]["reason"] == "Connection refused"


def test_an_api_that_is_away_is_waited_for_once_and_not_by_every_endpoint(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    once = apicalls._once
    monkeypatch.setattr(apicalls, "_once", lambda *call: tried.append(call[2]) or once(*call))
    call_api(project.config, NOWHERE)
    assert [place.rpartition("/")[2] for place in tried] == [
        *["prediction"] * 3,
        "scoring",
        "summarystats",
        "diagnostics",
    ]


def test_the_last_good_answer_outlives_many_failures(project: Project, fake: Any) -> None:
    project.configure(api_url=fake((200, b'{"f1": 0.5}')).url)
    collect(project.config, serve=False)
    good = project.json("models/apireturns.txt")["scoring"]
    for url in (NOWHERE, fake((404, b"{}")).url, NOWHERE):
        project.configure(api_url=url)
        collect(project.config, serve=False)
        failed = project.json("models/apireturns.txt")["scoring"]
        assert failed["status"] in ("unreachable", 404)
        assert failed["last_good"] == {"at": good["at"], "model_version": 3, "answer": {"f1": 0.5}}
    project.configure(api_url=fake((200, b'{"f1": 0.7}')).url)
    collect(project.config, serve=False)
    assert project.json("models/apireturns.txt")["scoring"]["answer"] == {"f1": 0.7}
    assert "last_good" not in project.json("models/apireturns.txt")["scoring"]


@pytest.mark.parametrize(
    ("answers", "status", "calls"),
    [
        ([(503, b"{}"), (502, b"{}"), (200, b"{}")], 200, 3),
        ([(0, b""), (200, b"{}")], 200, 2),
        ([(503, b"{}")], 503, 3),
        ([(500, b"{}"), (200, b"{}")], 500, 1),
        ([(401, b"{}"), (200, b"{}")], 401, 1),
        ([(302, b"{}"), (200, b"{}")], 302, 1),
    ],
)
def test_what_may_pass_is_tried_twice_more(
    project: Project, fake: Any, answers: list[tuple[int, bytes]], status: int, calls: int
) -> None:
    server = fake(*answers)
    found = call_api(project.config, server.url)
    assert {answer["status"] for answer in found.values()} == {status}
    assert [path for _, path, _ in server.calls] == [
        f"/{name}" for name in ENDPOINTS for _ in range(calls)
    ]
    assert server.calls[0][0] == "POST" and server.calls[-1][0] == "GET"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"<html>502</html>", "<html>502</html>"),
        (b'{"a": NaN}', {"a": "NaN"}),
        (b"[" * 100_000, "[" * 2000),
    ],
)
def test_an_answer_that_is_no_json_is_kept_as_text(
    project: Project, fake: Any, body: bytes, kept: Any
) -> None:
    project.configure(api_url=fake((200, body)).url)
    collect(project.config, serve=False)
    answer = project.json("models/apireturns.txt")["scoring"]["answer"]
    assert answer == kept


def test_an_api_that_hangs_is_left_alone(
    project: Project, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apicalls, "READ_SECONDS", 0.05)
    monkeypatch.setattr(FakeHandler, "do_GET", lambda self: threading.Event().wait(0.5))
    monkeypatch.setattr(FakeHandler, "do_POST", FakeHandler.do_GET)
    found = call_api(project.config, fake((200, b"{}")).url)
    assert {answer["status"] for answer in found.values()} == {"no answer in time"}


@pytest.mark.parametrize(
    "url", ["http://", "nonsense", "ftp://x", "http://[", "http://127.0.0.1:99999"]
)
def test_an_address_that_is_none_is_said_and_not_a_traceback(project: Project, url: str) -> None:
    project.configure(api_url=url)
    done = project.run("apicalls.py", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "did not answer" in done.stdout


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(
    project: Project, fake: Any
) -> None:
    project.configure(api_url=fake((200, b"{}")).url)
    assert project.run("apicalls.py", http_proxy=NOWHERE, HTTP_PROXY=NOWHERE).returncode == 0


def test_a_server_that_cannot_start_is_an_error_in_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apicalls, "HOME", Path("/nowhere"))
    with pytest.raises(apicalls.PipelineError, match="the API did not start"):
        collect(project.config, serve=True)

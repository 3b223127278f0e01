"""Serving for real: slow and rude clients, new releases under load, refusals at start."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FIVE, ROOT, Project
from serving import ONE_ROW, SERVERS, Server, deployed_copy, gunicorn_server

from risk.model.model import Model
from risk.releases import current_version

BODY = json.dumps(ONE_ROW).encode()
TABLE: dict[str, list[Any]] = {name: [float(cell)] for name, cell in ONE_ROW["rows"][0].items()}
POST = (
    b"POST /prediction HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY
HALVES = {
    "half a request line": b"GET /predi",
    "half a header": b"POST /prediction HTTP/1.1\r\nHost: x\r\nContent-Ty",
    "half a body": POST[:-10],
    "nothing": b"",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return deployed_copy(tmp_path_factory)


def answered(server: Server) -> tuple[int, Any]:
    """(status, answer) of a normal call over a connection of its own."""
    head, _, body = server.raw(POST).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_half_sent_calls_keep_nobody_waiting_and_are_cut_off(project: Project) -> None:
    with contextlib.ExitStack() as held:
        servers = [held.enter_context(start(project)) for start in SERVERS.values()]
        half_sent = [held.enter_context(server.connect()) for server in servers for _ in range(200)]
        for at, connection in enumerate(half_sent):
            connection.sendall(list(HALVES.values())[at % len(HALVES)])
        time.sleep(0.5)
        for server in servers * 5:
            assert answered(server)[0] == 200
            assert select.select(half_sent, [], [], 0)[0] == []  # none of them was cut off first
        for connection in half_sent:
            connection.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(4096):
                    continue
        for server in servers:
            assert "Traceback" not in server.log and "rror" not in server.log


def test_clients_that_never_hang_up_keep_nobody_waiting(project: Project) -> None:
    with gunicorn_server(project) as server, contextlib.ExitStack() as held:
        for _ in range(60):
            held.enter_context(server.connect()).sendall(POST)
        time.sleep(0.3)
        for _ in range(5):
            assert answered(server)[0] == 200


@pytest.mark.torture
def test_a_client_that_reads_nothing_is_cut_off(project: Project) -> None:
    row = ONE_ROW["rows"][0] | {"corporation": "x" * 2000}  # more comes back than buffers hold
    many = json.dumps({"rows": [row] * 4000}).encode()
    head = POST.partition(b"Content-Length")[0] + b"Content-Length: %d\r\n\r\n"
    with gunicorn_server(project) as server, server.connect() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(head % len(many) + many)
        assert answered(server)[0] == 200
        assert connections(server) == 1
        wait_until(lambda: connections(server) == 0, 40)
        assert "Traceback" not in server.log


def workers(server: Server) -> list[int]:
    """The process ids of gunicorn's workers."""
    tasks = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in tasks.read_text().split()]


def connections(server: Server) -> int:
    """How many connections the workers hold open, as the kernel lists them."""
    mine = f"{server.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{mine}") and row[3] == "01" for row in rows)


def wait_until(holds: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# ---------------------------------------------------------------- a new release under load


@pytest.fixture
def two_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Path]]:
    """A project, and two trained and scored models folders for it whose answers differ."""
    made = deployed_copy(tmp_path_factory)
    kept = {"default": made.folder.parent / "default"}
    shutil.copytree(made.config.model_folder, kept["default"])
    made.configure(model="original")
    made.run("training.py")
    made.run("scoring.py")
    kept["original"] = made.folder.parent / "original"
    shutil.copytree(made.config.model_folder, kept["original"])
    return made, kept


def test_every_call_gets_the_release_of_its_moment_whole(
    two_models: tuple[Project, dict[str, Path]],
) -> None:
    made, kept = two_models
    config = made.config
    risk_of = {name: Model.from_bytes((f / "model.json").read_bytes()) for name, f in kept.items()}
    risk_of = {name: model.probabilities(TABLE).tolist() for name, model in risk_of.items()}
    answers: list[Any] = []
    failures: list[str] = []
    stop = threading.Event()
    with gunicorn_server(made) as server:

        def load() -> None:
            while not stop.is_set():
                time.sleep(0.01)
                before = current_version(config)
                try:
                    status, answer = answered(server)
                    answers.append((before, current_version(config), status, answer))
                except Exception as error:  # noqa: BLE001 - a failed call is what the test looks for
                    failures.append(repr(error))

        callers = [threading.Thread(target=load) for _ in range(4)]
        for thread in callers:
            thread.start()
        for version in range(2, 17):
            for file in kept["original" if version % 2 else "default"].glob("[lmrt]*"):
                shutil.copy(file, config.model_folder)
            made.run("deployment.py")
            assert current_version(config) == version
        stop.set()
        for thread in callers:
            thread.join()
        spent = [cpu_ticks(pid) for pid in workers(server)]
    assert failures == []
    assert len(spent) == 2 and min(spent) > 0.2 * max(spent), "both workers answered"
    assert {status for _, _, status, _ in answers} == {200} and len(answers) > 200
    assert risk_of["default"] != risk_of["original"]
    for before, after, _, answer in answers:
        version = answer["model_version"]
        assert before <= version <= after
        recipe = "original" if version % 2 and version > 1 else "default"
        assert answer["probabilities"] == risk_of[recipe]


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# ---------------------------------------------------------------- start and end


def refused(command: list[str], project: Project, cwd: Path = ROOT, **environment: str) -> str:
    """The error output of a server that must not start."""
    settings = {"PATH": os.environ["PATH"], "RISK_CONFIG": str(project.folder / "config.json")}
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=cwd,
        text=True,
        capture_output=True,
        env={**settings, **environment},
        timeout=60,
    )
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    return done.stderr


APP, GUNICORN = [str(ROOT / "app.py"), "--port", "0"], ["-m", "gunicorn", "wsgi:app"]


@pytest.mark.parametrize(
    "command",
    [
        [*APP, "--host", "0.0.0.0"],
        [*APP, "--host", "::"],
        [*GUNICORN, "-b", "0.0.0.0:0"],
        [*GUNICORN, "-b", "[::]:0"],
        [*GUNICORN, "-b", ":0"],
        [*GUNICORN, "-b", "127.0.0.1:0", "-b", "0.0.0.0:0"],
    ],
)
def test_an_open_address_without_a_token_is_refused_at_start(
    project: Project, command: list[str]
) -> None:
    said = refused(command, project)
    assert "RISK_API_TOKEN is not set" in said
    assert [line for line in said.splitlines() if line.startswith("error: ")] != []


@pytest.mark.parametrize("command", [APP, [*GUNICORN]])
def test_an_open_address_in_the_config_is_refused_too(
    tmp_path_factory: pytest.TempPathFactory, command: list[str]
) -> None:
    made = deployed_copy(tmp_path_factory)
    made.configure(host="0.0.0.0", port=0)
    assert "RISK_API_TOKEN is not set" in refused(command, made)
    assert "RISK_API_TOKEN is not set" in refused(command, made, RISK_API_TOKEN="  ")


@pytest.mark.parametrize("kind", SERVERS)
def test_with_a_token_the_door_may_be_open(
    tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    made = deployed_copy(tmp_path_factory)
    made.configure(host="0.0.0.0")
    with SERVERS[kind](made, RISK_API_TOKEN="t") as server:
        assert answered(server)[0] == 401


@pytest.mark.parametrize("command", [APP, [*GUNICORN, "-b", "127.0.0.1:0"]])
def test_a_bad_config_is_one_line(tmp_path: Path, command: list[str]) -> None:
    made = Project(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(FIVE | {"horizont_days": 3}))
    said = refused(command, made)
    assert said.count("\n") == 1 and "'horizont_days'; did you mean 'horizon_days'?" in said


def test_a_port_in_use_is_said_in_one_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = deployed_copy(tmp_path_factory)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made.configure(port=taken.getsockname()[1])
        said = refused(APP[:1], made)
    assert said.count("\n") == 1 and "in use" in said


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_ends_at_once_when_it_is_told_to(project: Project, kind: str) -> None:
    with SERVERS[kind](project) as server:
        assert answered(server)[0] == 200
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.log


def test_gunicorn_takes_the_address_from_the_config_and_opens_no_control_socket(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    made = deployed_copy(tmp_path_factory)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made.configure(port=port)
    command = ["-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"]
    environment = {
        "PATH": os.environ["PATH"],
        "RISK_CONFIG": str(made.folder / "config.json"),
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    with running(["-m", "gunicorn", *command], environment, port) as server:
        assert answered(server)[0] == 200
        assert len(workers(server)) == 2
        assert list(tmp_path.rglob("*")) == []


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], port: int) -> Iterator[Server]:
    """gunicorn started from /, until it answers on the port."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(f"http://127.0.0.1:{port}", process, Path(os.devnull))
    try:
        wait_until(lambda: answers_at(server), 20)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def answers_at(server: Server) -> bool:
    try:
        return answered(server)[0] == 200
    except OSError:
        return False


def counted(server: Server) -> int:
    """How many predictions all workers together have answered, by whichever answers now."""
    text = server.raw(b"GET /metrics HTTP/1.0\r\n\r\n").decode()
    found = re.search(r'requests_total\{path="/prediction",code="2xx"\} (\d+)', text)
    return int(found[1]) if found else 0


def workers_of(server: Server) -> set[int]:
    path = f"/proc/{server.process.pid}/task/{server.process.pid}/children"
    return set(map(int, Path(path).read_text().split()))


def test_all_workers_count_in_one_place_also_after_one_of_them_died(project: Project) -> None:
    with gunicorn_server(project) as server:
        for _ in range(20):
            answered(server)
        assert {counted(server) for _ in range(10)} == {20}
        before = workers_of(server)
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while workers_of(server) & before == before or len(workers_of(server)) < len(before):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(10):
            answered(server)
        assert {counted(server) for _ in range(10)} == {30}

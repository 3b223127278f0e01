"""Real servers on free ports, and copies of one deployed project, for the tests of the API."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project, client_rows

START_SECONDS = 30
ONE_ROW = {
    "rows": [{"lastmonth_activity": 12, "lastyear_activity": 540, "number_of_employees": 30}]
}


def deployed_copy(factory: pytest.TempPathFactory) -> Project:
    """A project of its own with a first release; the pipeline runs once per session."""
    template = factory.getbasetemp() / "deployed-template"
    if not template.exists():
        template.mkdir()
        made = Project(template)
        made.write("sourcedata/one.csv", client_rows(60, seed=1))
        made.write("sourcedata/two.csv", client_rows(60, seed=2))
        made.write("testdata/testdata.csv", client_rows(80, seed=3))
        made.pipeline()
        list_clients(
            made, [{"client": "Alganex Travel", "risk": 0.9}, {"client": "Beta", "risk": 0.2}]
        )
    folder = factory.mktemp("deployed") / "project"
    shutil.copytree(template, folder, symlinks=True)
    return Project(folder)


def list_clients(project: Project, clients: list[dict[str, Any]], version: int = 1) -> None:
    """Write the list as reporting.py does."""
    plain = {"date": "2026-10-31", "call": True, "band": "high", "reasons": [], "notes": []}
    ranked = [{"rank": at, **plain, **c} for at, c in enumerate(clients, 1)]
    called = sum(client["call"] for client in ranked)
    cut = {"called": called, "of": len(ranked), "capacity": None, "how": "the highest risks"}
    cut |= {"expected_leavers": 0.9, "expected_leavers_at_random": 0.4, "cumulative_gains": None}
    listing = {
        "format": 1,
        "model_version": version,
        "data_version": 1,
        "basis": "unlabelled",
        "note": "current clients",
        "scored_at": "2026-11-01T00:00:00Z",
        "data_date": "2026-10-31",
        "average_risk": 0.3,
        "cut": cut,
        "settings": [],
        "expected": None,
        "since": None,
        **{name: [] for name in ("snapshots", "new", "off", "moves")},
        "shown": [name for name in ("owner", "value") if name in ranked[0]],
        "clients": ranked,
    }
    project.config.clients_json.write_text(json.dumps(listing))


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below the folder: digest and mtime, links by their target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path), path.lstat().st_mtime_ns
        elif path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = digest, path.stat().st_mtime_ns
    return found


@dataclass
class Server:
    """A running server: where it listens, its process, and what it has logged."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def raw(self, data: bytes, seconds: float = 10.0) -> bytes:
        """Everything that the server answers to these bytes, which are all that it gets."""
        with self.connect() as connection:
            connection.settimeout(seconds)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    answer += part
            return answer

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@contextlib.contextmanager
def started(
    project: Project, command: list[str], says: str, **environment: str
) -> Iterator[Server]:
    """The command running in the checkout, from the line of its log that names the address on."""
    log_file = project.folder.parent / f"server-{time.monotonic_ns()}.log"
    settings = {"RISK_CONFIG": str(project.folder / "config.json")}
    with open(log_file, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"], **settings, **environment},
        )
    try:
        server = Server(address_in(log_file, process, says), process, log_file)
        server.raw(b"GET /health HTTP/1.0\r\n\r\n", seconds=START_SECONDS)  # a worker is up
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()


def address_in(log_file: Path, process: subprocess.Popen[bytes], says: str) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(says + r"(http://[\w.]+:\d+)", log_file.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"the server did not start:\n{log_file.read_text()}")


def small_server(project: Project, **environment: str) -> contextlib.AbstractContextManager[Server]:
    return started(project, [str(ROOT / "app.py"), "--port", "0"], "serving on ", **environment)


def gunicorn_server(
    project: Project, **environment: str
) -> contextlib.AbstractContextManager[Server]:
    command = ["-m", "gunicorn", "wsgi:app", "-b", "127.0.0.1:0"]
    return started(project, command, "Listening at: ", **environment)


SERVERS = {"app.py": small_server, "gunicorn": gunicorn_server}

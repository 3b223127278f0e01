"""What callers with bad intentions, or bad clients, send: refused, bounded, and nothing changes."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import HEADER, ROOT, Project, client_rows
from serving import ONE_ROW, Server, deployed_copy, small_server, snapshot

from app import create_app
from risk.web import access
from risk.web.access import read_location
from risk.web.problem import Problem, excerpt


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A deployed project whose input folder holds every kind of thing that is no plain CSV."""
    made = deployed_copy(tmp_path_factory)
    source, outside = made.folder / "sourcedata", made.folder.parent / "outside.csv"
    outside.write_text("\n".join([HEADER, *client_rows(2)]))
    (source / "out.csv").symlink_to(outside)
    (source / "outfolder").symlink_to(made.folder.parent)
    (source / "loop.csv").symlink_to("loop.csv")
    (source / "dangling.csv").symlink_to("nowhere.csv")
    (source / "null.csv").symlink_to("/dev/null")
    (source / "zero.csv").symlink_to("/dev/zero")
    (source / "folder.csv").mkdir()
    os.mkfifo(source / "fifo.csv")
    (made.folder / "sourcedata-private").mkdir()
    (made.folder / "sourcedata-private" / "x.csv").write_text("\n".join([HEADER, *client_rows(2)]))
    return made


HOSTILE = [
    "../outside.csv",
    "sourcedata/../../outside.csv",
    "sourcedata-private/x.csv",
    "sourcedata/out.csv",
    "sourcedata/outfolder/outside.csv",
    "sourcedata/loop.csv",
    "sourcedata/dangling.csv",
    "sourcedata/null.csv",
    "sourcedata/zero.csv",
    "sourcedata/folder.csv",
    "sourcedata/fifo.csv",
    "sourcedata",
    "testdata",
    "testdata/",
    ".",
    "..",
    "/",
    "//",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "/proc/self/root/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "config.json",
    "app.py",
    "production_deployment/trainedmodel.pkl",
    "production_deployment/finaldata.csv",
    "ingesteddata/finaldata.csv",
    "models/model.json",
    "state/lock",
    "http://127.0.0.1:1/x.csv",
    "https://example.org/x.csv",
    "file:///etc/passwd",
    "ftp://example.org/x",
    "s3://bucket/x.csv",
    "data:text/csv,a",
    "testdata/testdata.csv\0.txt",
    "\0",
    "testdata\\testdata.csv",
    "..\\..\\etc\\passwd",
    "%2e%2e/etc/passwd",
    "..%2f..%2fetc/passwd",
    "~/x.csv",
    "~root/.bashrc",
    "$HOME/x",
    "testdata/*.csv",
    "testdata/testdata.csv/..",
    "testdata/testdata.csv ",
    "| cat /etc/passwd",
    "`id`",
    "testdata/\u202etestdata.csv",
    "testdata/\ud800.csv",
    "a" * 10_000,
    "a/" * 2000,
    "../" * 1300 + "etc/passwd",
    "sourcedata/\nforged line",
    "testdata/TESTDATA.CSV",
]


@pytest.mark.parametrize("place", HOSTILE)
def test_a_hostile_location_reads_like_one_that_does_not_exist(
    project: Project, place: str
) -> None:
    client = create_app(project.config).test_client()
    response = client.post("/prediction", json={"filename": place})
    absent = client.post("/prediction", json={"filename": "testdata/none.csv"}).get_json()["error"]
    found = response.get_json()["error"]
    assert response.status_code == 404
    assert (found["code"], found["hint"]) == (absent["code"], absent["hint"])
    named = excerpt(place)
    assert found["message"] == absent["message"].replace("'testdata/none.csv'", repr(named))


def test_no_hostile_location_is_opened(project: Project) -> None:
    """The interpreter's own audit of every open and connection while all of them are asked for."""
    code = f"""
import json, os, sys
from app import create_app
from risk.config import load
client = create_app(load({str(project.folder / "config.json")!r})).test_client()
places = json.load(sys.stdin)
post = lambda place: client.post("/prediction", json={{"filename": place}}).status_code
ask = lambda: [post(place) for place in places]
ask()
seen = []
watched = ("open", "socket.connect", "socket.getaddrinfo", "os.listdir", "subprocess.Popen")
note = lambda event, given: event in watched and seen.append([event, str(given[0])])
sys.addaudithook(note)
statuses = ask()
print(json.dumps([sorted(set(statuses)), seen]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(HOSTILE),
        text=True,
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    statuses, seen = json.loads(done.stdout)
    inside = tuple(str(project.folder / name) for name in ("sourcedata", "testdata"))
    assert statuses == [404]
    assert [one for one in seen if one[0] != "open" or not one[1].startswith(inside)] == []
    assert seen, (
        "the FIFO and the folder inside are opened without waiting, so the hook does see opens"
    )


def test_a_folder_swapped_for_a_link_after_it_was_checked_is_not_followed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deployed_copy(tmp_path_factory)
    inner, outside = made.folder / "sourcedata/inner", made.folder.parent / "elsewhere"
    for folder in (inner, outside):
        folder.mkdir()
        (folder / "x.csv").write_text("\n".join([HEADER, *client_rows(2)]))
    opened = access.os.open

    def swapping(path: Any, flags: int) -> int:
        if str(path).endswith("inner/x.csv") and not inner.is_symlink():
            inner.rename(made.folder / "moved")
            inner.symlink_to(outside)
        return opened(path, flags)

    assert read_location(made.config, "sourcedata/inner/x.csv")[0] == "sourcedata/inner/x.csv"
    monkeypatch.setattr(access.os, "open", swapping)
    with pytest.raises(Problem) as refused:
        read_location(made.config, "sourcedata/inner/x.csv")
    assert refused.value.status == 404
    assert inner.is_symlink()


class Trap:
    """A pickle that leaves a mark where it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/csv",
        "text/plain",
        "application/json",
        "application/octet-stream",
        "application/x-pickle",
        "application/python-pickle",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "image/png",
        "upload",
        "located",
    ],
)
def test_a_pickle_is_refused_under_any_type_and_never_opened(
    project: Project, tmp_path: Path, protocol: int, kind: str | None
) -> None:
    mark = tmp_path / "mark"
    body = pickle.dumps(Trap(mark), protocol)
    more: dict[str, Any] = {"data": body, "content_type": kind}
    if kind == "upload":
        more = {"data": {"file": (io.BytesIO(body), "rows.csv")}}
    if kind == "located":
        (project.folder / "testdata/model.dat").write_bytes(body)
        more = {"json": {"file": "testdata/model.dat"}}
    response = create_app(project.config).test_client().post("/prediction", **more)
    assert response.status_code == 415 if protocol >= 2 else response.status_code in (400, 415, 422)
    assert not mark.exists()


def test_rows_that_name_huge_or_odd_things_are_bounded(project: Project) -> None:
    client = create_app(project.config).test_client()
    deep = '{"rows": [{"lastmonth_activity": ' + "[" * 5000 + "]" * 5000 + "}]}"
    bodies: list[tuple[bytes, str, set[int]]] = [
        (deep.encode(), "application/json", {400, 422}),
        (b'{"rows": [{"lastmonth_activity": ' + b"9" * 5000 + b"}]}", "application/json", {400}),
        (b'{"rows": [{"lastmonth_activity": 1e999}]}', "application/json", {422}),
        (
            b'{"rows": [{"corporation": "\\ud800", "lastmonth_activity": 1}]}',
            "application/json",
            {422},
        ),
        (b"a," * 4_000_000, "text/csv", {422}),
        (b'"' * 4_000_000, "text/csv", {422}),
        (b"\n" * 8_000_000 + b"a", "text/csv", {413}),
        (f"{HEADER}\n".encode() + b'"' * 5_000_000, "text/csv", {422}),
        (b"a=&" * 100_000, "application/x-www-form-urlencoded", {400}),
        (b"a=&" * 400_000, "application/x-www-form-urlencoded", {413}),
        (b"--x\r\n" * 5000, "multipart/form-data; boundary=x", {400, 413}),
    ]
    for body, kind, statuses in bodies:
        response = client.post("/prediction", data=body, content_type=kind)
        assert response.status_code in statuses, (body[:40], response.get_data(as_text=True)[:300])
        assert set(response.get_json()["error"]) >= {"code", "message", "hint"}


# ---------------------------------------------------------------- against a real server


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    with small_server(project) as running:
        yield running


def test_no_call_changes_a_file(project: Project, server: Server) -> None:
    import requests

    session = requests.Session()
    session.trust_env = False
    ask = f"{server.url}/prediction"
    session.get(f"{server.url}/diagnostics", timeout=10)  # the first one compiles a module
    before = snapshot(project.folder), snapshot_of_code()
    csv_body = "\n".join([HEADER, *client_rows(3)])
    statuses = []
    for path in (
        "/",
        "/prediction",
        "/scoring",
        "/summarystats",
        "/diagnostics",
        "/clients",
        "/health",
        "/metrics",
        "/openapi.json",
        "/clients?format=csv",
        "/none",
        "/clients?top=x",
    ):
        for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"):
            statuses.append(session.request(method, server.url + path, timeout=10).status_code)
    shapes: list[dict[str, Any]] = [
        {"params": {"filename": "testdata/testdata.csv"}},
        {"json": {"filepath": "/testdata/testdata.csv"}},
        {"data": {"file": "testdata/testdata.csv"}},
        {"json": "testdata/testdata.csv"},
        {"json": ONE_ROW},
        {"data": csv_body, "headers": {"Content-Type": "text/csv"}},
        {"files": {"file": ("x.csv", csv_body)}},
        {"headers": {"Content-Type": "application/json"}},
        {"data": bytes(17_000_000), "headers": {"Content-Type": "text/csv"}},
        {"data": pickle.dumps({})},
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        *(
            {"json": {"filename": place}}
            for place in HOSTILE
            if place.isprintable() and len(place) < 100
        ),
    ]
    statuses += [session.post(ask, timeout=20, **shape).status_code for shape in shapes]
    assert (snapshot(project.folder), snapshot_of_code()) == before
    assert set(statuses) == {200, 400, 404, 405, 413, 415}
    assert server.log.count("\n") == 1, (
        "the line that names the address, and nothing of what was sent"
    )


def snapshot_of_code() -> Any:
    """The checkout's own files, compiled ones left out."""
    names = [ROOT, ROOT / "risk", ROOT / "static"]
    files = [p for folder in names for p in folder.glob("*") if p.is_file()]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in files}


@pytest.mark.parametrize(
    "target",
    [
        "/prediction?file=x%0a2026-01-01T00:00:00Z%20forged",
        "/%0d%0aforged:%20line",
        "/x%1b[2Jforged",
        "/prediction?file=" + quote("sourcedata/\r\nforged"),
        "//[forged",
        "http://[forged/",
        "/\x80\xffforged",
        "*",
        "forged",
    ],
)
def test_what_a_caller_sends_never_reaches_the_log(server: Server, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: forged\r\n\r\n"
    head = server.raw(request.encode("latin-1")).split(b"\r\n")[0]
    assert head.split()[1] in (b"400", b"404"), head
    assert "forged" not in server.log and server.log.count("\n") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /prediction HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /prediction HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nshort",
    ],
)
def test_what_is_no_http_gets_a_short_no_and_no_traceback(
    server: Server, request_bytes: bytes
) -> None:
    answer = server.raw(request_bytes)
    assert b"Traceback" not in answer and b" 50" not in answer.split(b"\r\n")[0]
    assert answer == b"" or b'"error"' in answer or b"200 OK" in answer
    assert server.log.count("\n") == 1


def test_a_body_without_a_length_is_cut_off_at_the_limit(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = deployed_copy(tmp_path_factory)
    made.configure(max_body_mb=0.1)
    chunk = b"fa00\r\n" + b"a" * 0xFA00 + b"\r\n"
    head = b"POST /prediction HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with small_server(made) as running:
        answer = running.raw(head + chunk * 4 + b"0\r\n\r\n")
        assert (
            answer.startswith(b"HTTP/1.1 413 ")
            and b'"too_large"' not in answer.split(b"\r\n\r\n")[0]
        )
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["hint"].startswith(
            "send at most 0.1 MB"
        )

"""Makes apireturns.txt from what the API answers: one JSON object per endpoint.

    python apicalls.py              call the API at the config's address (RISK_API_TOKEN if it asks)
    python apicalls.py --serve      start the API on a free port for these calls, and end it

Each object holds status, time, model version and answer. An endpoint that fails says so and keeps
its last good answer under "last_good".
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict
from urllib.parse import urlsplit

from risk.config import HOME, Config, Outcome, PipelineError, is_loopback
from risk.files import read_optional_json, utc_now, write_json
from risk.script import run
from risk.web.callers import api_token

if TYPE_CHECKING:
    import requests

ENDPOINTS = {"prediction": "POST", "scoring": "GET", "summarystats": "GET", "diagnostics": "GET"}
CONNECT_SECONDS, READ_SECONDS = 3.0, 30.0
PAUSES = (0.3, 1.0)
PASSING = (502, 503, 504)  # a server that is just starting, or busy: asked again
START_SECONDS = 30.0
UNREACHABLE = "unreachable"


class GoodAnswer(TypedDict):
    """What an endpoint answered with status 200, when, by which model."""

    at: str
    model_version: int | None
    answer: Any


class Answer(GoodAnswer):
    """What became of one call. status: of HTTP, or why there is none."""

    status: int | str
    reason: NotRequired[str]
    last_good: NotRequired[GoodAnswer]


def call_api(config: Config, url: str | None = None) -> dict[str, Answer]:
    """What each endpoint answers now."""
    address = (url or config.url).rstrip("/")
    found: dict[str, Answer] = {}
    pauses: tuple[float, ...] = PAUSES
    with _session(address) as session:
        for name, method in ENDPOINTS.items():
            found[name] = _once(session, method, f"{address}/{name}")
            for pause in pauses:
                if found[name]["status"] in (UNREACHABLE, *PASSING):
                    time.sleep(pause)
                    found[name] = _once(session, method, f"{address}/{name}")
            if found[name]["status"] == UNREACHABLE:
                pauses = ()  # the others were waited for already
    return found


def _session(address: str) -> requests.Session:
    import requests

    session, host = requests.Session(), ""
    with contextlib.suppress(ValueError):  # no usable address; requests says so
        host = urlsplit(address).hostname or ""
    session.trust_env = not is_loopback(host)  # no proxy for what is on this machine
    session.headers["Accept"] = "application/json"
    token = api_token()

    def show_token(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {token}"
        return prepared

    if token:
        session.auth = show_token  # as a header alone, a .netrc would replace it
    return session


def _once(session: requests.Session, method: str, address: str) -> Answer:
    import requests

    def failed(status: str, reason: str = "") -> Answer:
        answer = Answer(status=status, at=utc_now(), model_version=None, answer=None)
        return Answer(**answer, reason=reason) if reason else answer

    try:
        # These endpoints never redirect: what does stands in between, and its 302 is kept.
        response = session.request(
            method, address, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False
        )
    # First: a ConnectTimeout is of both kinds, and what takes no call is unreachable.
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        return failed(UNREACHABLE, _cause(error))
    except requests.Timeout:
        return failed("no answer in time")
    except (requests.RequestException, ValueError) as error:
        return failed("not a usable address", str(error))
    try:
        answer = response.json(parse_constant=str)  # NaN as a word: the file holds strict JSON
    except (ValueError, RecursionError):
        answer = response.text[:2000]  # no JSON: a proxy's page, of which the beginning tells most
    # isascii below: isdigit alone takes a superscript two, at which int() fails.
    version = response.headers.get("X-Model-Version", "")
    return {
        "status": response.status_code,
        "at": utc_now(),
        "answer": answer,
        "model_version": int(version) if version.isascii() and version.isdigit() else None,
    }


def _cause(error: BaseException) -> str:
    """The innermost words of a failed connection: "Connection refused"."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error)


def collect(config: Config, *, serve: bool) -> Outcome:
    """Call the API, or one started for the purpose, and write what it answered."""
    with _server(config) if serve else contextlib.nullcontext(config.url) as url:
        before = read_optional_json(config.api_returns)
        found = call_api(config, url)
    for name, answer in found.items():
        old = before.get(name)
        if answer["status"] != 200 and isinstance(old, dict):
            # Handed on from failure to failure, so that it outlives any number of them.
            good = old.get("last_good")
            if old.get("status") == 200:
                good = {key: old.get(key) for key in ("at", "model_version", "answer")}
            if good:
                answer["last_good"] = good
    write_json(config.api_returns, found)
    statuses = {name: answer["status"] for name, answer in found.items()}
    return Outcome(_call_words(config, url, found), {"url": url, "statuses": statuses})


def _call_words(config: Config, url: str, found: dict[str, Answer]) -> str:
    """What was answered, for a person."""
    good = [answer for answer in found.values() if answer["status"] == 200]
    place = config.shown(config.api_returns)
    if len(good) == len(found):
        versions = sorted({str(answer["model_version"]) for answer in good})
        return f"the API answered all {len(good)} calls (model {', '.join(versions)}): {place}"
    failed = ", ".join(f"{name}: {a['status']}" for name, a in found.items() if a["status"] != 200)
    if all(answer["status"] == UNREACHABLE for answer in found.values()):
        return (
            f"the API at {url} cannot be reached; start it with `gunicorn wsgi:app` or "
            f"`python app.py`; the last good answers stay in {place}"
        )
    return f"the API at {url} did not answer every call ({failed}); see {place}"


@contextlib.contextmanager
def _server(config: Config) -> Iterator[str]:
    """The address of an API started for these calls; it ends with them, or with this process."""
    command = [sys.executable, str(HOME / "app.py"), "--config", str(config.path)]
    # Port 0: any free one. The API ends with its standard input, also where this process is killed.
    place = ["--host", "127.0.0.1", "--port", "0", "--end-with-stdin"]
    env = os.environ | {"RISK_CONFIG": str(config.path)}
    pipe = subprocess.PIPE
    child = subprocess.Popen([*command, *place], stdin=pipe, stdout=pipe, text=True, env=env)
    # readline() has no time-out of its own: this kill ends it, with an empty line.
    overdue = threading.Timer(START_SECONDS, child.kill)
    with child:
        try:
            overdue.start()
            assert child.stdout
            line = child.stdout.readline()
            overdue.cancel()
            if not line.startswith("serving on "):
                raise PipelineError(f"the API did not start; try {' '.join(command)}")
            yield line.removeprefix("serving on ").strip()
        finally:
            overdue.cancel()
            child.terminate()
            try:
                # The end of `with` waits without a limit, also for what ignores the signal.
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()


def options(parser: argparse.ArgumentParser) -> None:
    words = "start the API on a free port for these calls, and end it"
    parser.add_argument("--serve", action="store_true", help=words)


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    done = collect(config, serve=chosen.serve)
    answered = any(status == 200 for status in done.data["statuses"].values())
    # The driver calls collect() itself: an API that is down fails no run.
    return done if answered else Outcome(done.text, done.data, code=1)


if __name__ == "__main__":
    run(stage, __doc__, options=options)

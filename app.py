"""The HTTP API: predictions, score, statistics, diagnostics and the list of clients at risk.

    python app.py                 serve on the config's host and port
    python app.py --port 0        serve on any free port; the line it prints names it

For more than a look, `gunicorn wsgi:app`. RISK_CONFIG names the settings, RISK_API_TOKEN guards.
"""

from __future__ import annotations

import argparse
import contextlib
import hmac
import io
import json
import logging
import math
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.serving import WSGIRequestHandler, make_server

import scoring
from risk.calllist.ranking import csv_of
from risk.config import Config, Outcome, PipelineError, default_config_path, load
from risk.data.holdout import TestRows, test_files
from risk.data.schema import Rule, parse_number
from risk.files import current_version, read_json, utc_now
from risk.model.measures import THRESHOLD
from risk.model.model import row_count as count_rows
from risk.script import run
from risk.web.access import (
    MEGABYTE,
    Problem,
    api_token,
    printable,
    read_location,
    refuse_open_door,
)
from risk.web.context import PageContext
from risk.web.deployed import CachedValue, DeployedModel, deployed_key, load_deployed
from risk.web.pages import Pages, wants_page
from risk.web.request import Table, asked, csv_table, json_table, known_names, refuse_too_many

LOG = logging.getLogger("risk.api")
CLIENT_FILTERS = ("top", "min_risk", "q", "owner", "min_value", "page", "per_page", "format")
MAX_CLIENTS = 1000
LIST_FACTS = ("basis", "note", "scored_at", "data_date", "average_risk", "cut", "bands", "expected")
SLOT_SECONDS = 1.0
RECEIVE_SECONDS = 5.0
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SCORE_FIELDS = (
    "f1",
    "f1_interval",
    "n",
    "basis",
    "threshold",
    "precision",
    "recall",
    "auc",
    "brier",
    "log_loss",
    "everybody_exits",
    "base_rate",
    "rows_set_aside",
)


# ---------------------------------------------------------------- the endpoints


class Api:
    """The views, and what they remember between calls."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._release, self._score, self._list = CachedValue(), CachedValue(), CachedValue()
        self.pages = Pages(PageContext(config, self.deployed, self.listing), _page_secret())
        self._slots = threading.BoundedSemaphore(config.max_predictions)

    def deployed(self) -> DeployedModel:
        """The release that is current now; PipelineError where there is none, or a damaged one."""
        return self._release.get(deployed_key(self.config), lambda: load_deployed(self.config))

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """A place among the predictions that one process computes at once; 429 without one."""
        if not self._slots.acquire(timeout=SLOT_SECONDS):
            raise Problem(
                429,
                "busy",
                "too many predictions are being computed",
                "try again in a second, or send fewer rows at once",
            )
        try:
            yield
        finally:
            self._slots.release()

    def prediction(self) -> Response:
        kind, what = asked(request, _body_of(request))
        served = self.deployed()
        with self.slot():
            file, table = _rows_of(served, kind, what)
            risk = served.risks(table)
        client = served.schema.named("id")
        known = {"clients": table[client]} if any(table[client]) else {}
        return _answer(
            served.version,
            {
                "predictions": (risk >= THRESHOLD).astype(int).tolist(),
                "probabilities": risk.tolist(),
                "threshold": THRESHOLD,
                "rows": risk.size,
                "file": file,
                **known,
            },
        )

    def scoring(self) -> Response:
        served = self.deployed()
        files = [(str(path), path.stat()) for path in test_files(self.config)]
        key = (
            served.manifest["files"],
            served.version,
            [(name, seen.st_size, seen.st_mtime_ns, seen.st_ino) for name, seen in files],
        )
        found = self._score.get(key, lambda: _score_now(served))
        return _answer(
            served.version,
            {name: found.get(name) for name in SCORE_FIELDS} | {"scored_at": found["scored_at"]},
        )

    def summarystats(self) -> Response:
        served, summary = self.deployed(), self.summary()
        numeric = {
            name: {key: found[key] for key in ("count", "mean", "median", "std")}
            for name, found in summary["columns"].items()
            if "mean" in found
        }
        return _answer(
            served.version,
            {"rows": summary["rows"], "measured_at": summary["measured_at"], "columns": numeric},
        )

    def summary(self) -> dict[str, Any]:
        return _stage_file(self.config.summary, "ingestion.py", "rows", "measured_at", "columns")

    def diagnostics(self) -> Response:
        import diagnostics

        return _answer(self.deployed().version, diagnostics.last_measured(self.config))

    def clients(self) -> Response:
        known_names(request.args, CLIENT_FILTERS)
        wanted, as_csv = _chosen_clients(request.args), _wants_csv(request)
        listing = self.listing()
        _refuse_absent(request.args, listing.get("shown", []))
        matching = [c for c in listing["clients"] if wanted["keep"](c)][: wanted["top"]]
        shown = matching[wanted["first"] : wanted["first"] + wanted["per_page"]]
        if as_csv:
            paged = {"page", "per_page"} & set(request.args)
            return _csv_answer({**listing, "clients": shown if paged else matching})
        about = {key: listing.get(key) for key in LIST_FACTS}
        pages = -(-len(matching) // wanted["per_page"])
        return _answer(
            listing["model_version"],
            {
                **about,
                "total": len(matching),
                "page": wanted["page"],
                "pages": pages,
                "shown": len(shown),
                "clients": shown,
            },
        )

    def listing(self) -> dict[str, Any]:
        path = self.config.clients_json
        try:
            seen = path.stat()
        except OSError:
            seen = None
        key = seen and (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        return self._list.get(
            key, lambda: _stage_file(path, "reporting.py", "clients", "model_version")
        )

    def health(self) -> Response:
        try:
            return _answer(self.deployed().version, {"status": "ok"})
        except (PipelineError, OSError):
            # Asked without a token: nothing of the machine's paths in here.
            what = "no deployment" if current_version(self.config) is None else "damaged deployment"
            response = _failed(
                Problem(
                    503,
                    "not_ready",
                    f"there is no usable model: {what}",
                    "run fullprocess.py, or diagnostics.py --doctor",
                )
            )
            response.set_data(
                json.dumps({"status": what, "model_version": None} | response.get_json()) + "\n"
            )
            return response

    def metrics(self) -> Response:
        with contextlib.suppress(PipelineError, OSError):
            served = self.deployed()
            return _metrics_answer(
                served.version,
                self.measured()
                | {
                    "risk_model_version": served.version,
                    "risk_model_deployed_timestamp_seconds": _seconds(
                        served.manifest["deployed_at"]
                    ),
                    "risk_model_f1": served.manifest["f1"],
                },
            )
        return _metrics_answer(None, self.measured())

    def measured(self) -> dict[str, float]:
        """What can be told without a model."""
        found: dict[str, float] = {}
        with contextlib.suppress(PipelineError):
            found["risk_store_rows"] = self.summary()["rows"]
        with contextlib.suppress(OSError):
            age = _seconds(utc_now()) - self.config.heartbeat.stat().st_mtime
            found["risk_last_good_run_age_seconds"] = round(max(age, 0.0), 1)
        with contextlib.suppress(PipelineError):
            found["risk_clients_listed"] = len(self.listing()["clients"])
        return found

    def openapi(self) -> Response:
        path = Path(__file__).parent / "static" / "openapi.json"
        return Response(path.read_bytes(), mimetype="application/json")

    def index(self) -> Response:
        if wants_page(request):
            return self.pages.today()
        version = current_version(self.config)
        about = {
            path: {"methods": list(methods), "about": words}
            for path, (_, methods, words) in ROUTES.items()
        }
        return _answer(version, {"service": "Dynamic Risk Assessment System", "endpoints": about})


ROUTES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "/": ("index", ("GET",), "this list"),
    "/prediction": ("prediction", ("GET", "POST"), "the risk of each row of a data set"),
    "/scoring": ("scoring", ("GET", "POST"), "the deployed model's F1 on the test data, now"),
    "/summarystats": ("summarystats", ("GET", "POST"), "mean, median, deviation of each number"),
    "/diagnostics": ("diagnostics", ("GET", "POST"), "timings, missing values, outdated packages"),
    "/clients": ("clients", ("GET",), "the clients at risk, the highest risk first"),
    "/health": ("health", ("GET",), "whether a model is there and answers"),
    "/metrics": ("metrics", ("GET",), "numbers for Prometheus"),
    "/openapi.json": ("openapi", ("GET",), "this API as an OpenAPI document"),
}


def _stage_file(path: Path, made_by: str, *keys: str) -> dict[str, Any]:
    """The JSON object that a stage wrote; PipelineError where it is absent, damaged or newer."""
    found = read_json(path, made_by)
    if not set(keys) <= set(found) or found.get("format", 1) != 1:
        raise PipelineError(
            f"{path} is damaged or of another version of this software; run {made_by} again"
        )
    return found


def _body_of(call: Request) -> bytes:
    """The request's body, whole and within the limit; the stream of a form stays readable."""
    try:
        raw = call.get_data()
    except HTTPException:
        raise
    except Exception as broken:  # noqa: BLE001 - a server's parser raises what it likes
        raise Problem(
            400, "broken_body", f"the body cannot be read: {type(broken).__name__}", "send it again"
        ) from None
    # A body that came in chunks, without a length, is cut at the limit and not refused.
    if call.content_length is None and len(raw) >= (call.max_content_length or len(raw) + 1):
        raise RequestEntityTooLarge
    return raw


def _rows_of(served: DeployedModel, kind: str, what: Any) -> tuple[str | None, Table]:
    """(the file's name, None for rows that were sent; the rows as a checked table)."""
    match kind:
        case "rows":
            return None, json_table(what, served.schema, served.config)
        case "csv":
            return None, csv_table(what, served.schema, served.config)
        case "file":
            return _one_file(served, what)
    files = [str(path) for path in test_files(served.config)]
    if not files:
        raise Problem(404, "no_such_file", "there is no test file", "name a file, or send rows")
    read = [_one_file(served, path) for path in files]
    table = {name: [cell for _, one in read for cell in one[name]] for name in read[0][1]}
    refuse_too_many(count_rows(table), served.config)
    return (read[0][0] if len(read) == 1 else served.config.shown(served.config.test_folder)), table


def _one_file(served: DeployedModel, location: Any) -> tuple[str, Table]:
    if not isinstance(location, str) or not location.strip():
        raise Problem(
            400,
            "bad_location",
            "the file's location is empty or not a text",
            'name a file like "testdata/testdata.csv"',
        )
    name, data = read_location(served.config, location)
    return name, csv_table(data, served.schema, served.config)


def _score_now(served: DeployedModel) -> dict[str, Any]:
    """The measures on the test data, or those of the release where no test row has a label."""
    test = TestRows(served.config, served.model.columns)
    found = scoring.score_of(served.model, test)
    return served.score if found is None else found | {"scored_at": utc_now()}


def _chosen_clients(given: Any) -> dict[str, Any]:
    """Which clients to keep, how many, and which page of them; Problem 400 for nonsense."""
    top = _counted(given, "top")
    page, per_page = _counted(given, "page") or 1, _counted(given, "per_page") or MAX_CLIENTS
    if per_page > MAX_CLIENTS:
        raise _bad_parameter("per_page", str(per_page), f"give at most {MAX_CLIENTS}")
    least = _bounded(given, "min_risk", 0.0, 1.0, "give a number from 0 to 1")
    worth = _bounded(given, "min_value", -math.inf, math.inf, "give a number")
    part, owner = given.get("q", "").casefold(), given.get("owner")

    def keep(client: dict[str, Any]) -> bool:
        return (
            (least is None or client["risk"] >= least)
            and (worth is None or (client.get("value") is not None and client["value"] >= worth))
            and (owner is None or (client.get("owner") or "") == owner)
            and part in str(client["client"]).casefold()
        )

    return {
        "top": top,
        "keep": keep,
        "page": page,
        "per_page": per_page,
        "first": (page - 1) * per_page,
    }


def _refuse_absent(given: Any, shown: list[str]) -> None:
    """Problem 400 for a filter by what the list does not hold: it would find nobody, ever."""
    for name, part in (("owner", "owner"), ("min_value", "value")):
        if name in given and part not in shown:
            raise _bad_parameter(
                name,
                given[name],
                f"config.json names no column for it: "
                f"columns.{part}; set it and run ingestion.py --rebuild",
            )


def _counted(given: Any, name: str) -> int | None:
    """The parameter as a whole number of at least 1, None without it; Problem 400 if nonsense."""
    text = given.get(name)
    if text is not None and not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise _bad_parameter(name, text, "give a whole number of at least 1")
    return None if text is None else int(text)


def _bounded(given: Any, name: str, low: float, high: float, hint: str) -> float | None:
    """The parameter as a number in the range, None without it; Problem 400 if nonsense."""
    text = given.get(name)
    if text is None:
        return None
    try:
        number = parse_number(text)
    except Rule:
        number = None
    if number is None or not low <= number <= high:
        raise _bad_parameter(name, text, hint)
    return number


def _wants_csv(call: Request) -> bool:
    form = call.args.get("format")
    if form not in (None, "csv", "json"):
        raise _bad_parameter("format", form, "give csv or json")
    best = call.accept_mimetypes.best_match(["application/json", "text/csv"])
    return form == "csv" or (form is None and best == "text/csv")


def _bad_parameter(name: str, value: str, hint: str) -> Problem:
    return Problem(400, "bad_parameter", f"{name} is {printable(value)!r}", hint)


# ---------------------------------------------------------------- answers


def _answer(version: int | None, found: dict[str, Any]) -> Response:
    """A JSON answer that says which model it is of."""
    response = _json_answer({**found, "model_version": version})
    return _versioned(response, version)


def _versioned(response: Response, version: int | None) -> Response:
    if version is not None:
        response.headers["X-Model-Version"] = str(version)
    return response


def _json_answer(value: Any) -> Response:
    return Response(json.dumps(value, allow_nan=False) + "\n", mimetype="application/json")


def _csv_answer(listing: dict[str, Any]) -> Response:
    response = Response(csv_of(listing), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=clients_at_risk.csv"
    return _versioned(response, listing["model_version"])


def _metrics_answer(version: int | None, found: dict[str, float]) -> Response:
    known = {"risk_deployed": int(version is not None), **found}
    text = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in known.items())
    kind = "text/plain; version=0.0.4; charset=utf-8"
    return _versioned(Response(text, content_type=kind), version)


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _failed(problem: Problem) -> Response:
    """The one shape of every error."""
    more = {name: value for name, value in problem.more.items() if name != "allow"}
    error = {"code": problem.code, "message": problem.message, "hint": problem.hint, **more}
    response = _json_answer({"error": error})
    response.status_code = problem.status
    if "allow" in problem.more:
        response.headers["Allow"] = problem.more["allow"]
    if problem.status == 429:
        response.headers["Retry-After"] = "1"
    if problem.status == 401:
        response.headers.add("WWW-Authenticate", 'Basic realm="risk", charset="UTF-8"')
        response.headers.add("WWW-Authenticate", 'Bearer realm="risk"')
    return response


# ---------------------------------------------------------------- the application


def create_app(config: Config) -> Flask:
    """The application on one config; the deployment is not read before the first call."""
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # both redirect, with HTML
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = int(config.max_body_mb * MEGABYTE)
    api, token = Api(config), api_token()
    for path, (name, methods, _) in ROUTES.items():
        app.add_url_rule(path, name, getattr(api, name), methods=list(methods))
    api.pages.join(app)
    app.before_request(lambda: _refuse_strangers(request, token))
    app.after_request(lambda response: _finished(response, config))
    for kind, problem_of in (
        (Problem, lambda problem: problem),
        (HTTPException, lambda error: _refused(error, config)),
        (PipelineError, lambda error: _unready(error, config)),
        (Exception, _unexpected),
    ):
        app.register_error_handler(kind, lambda error, of=problem_of: _told(of(error), api.pages))
    return app


def _told(problem: Problem, pages: Pages) -> Response:
    """The error in the form of what was asked for: a page to a browser, unless it asked the API."""
    response = _failed(problem)
    if (request.path == "/" or request.path not in ROUTES) and wants_page(request):
        page = pages.refusal(problem)
        response.set_data(page.get_data())
        response.headers.update(page.headers)
    return response


def _page_secret() -> str:
    """What the forms' tokens are made of: gunicorn.conf.py's for all workers, else a new one."""
    return os.environ.get("RISK_PAGE_SECRET") or secrets.token_hex(32)


def configured_app() -> Flask:
    """The application on the settings that RISK_CONFIG names."""
    return create_app(load(_config_path()))


class MemoryRequest(Request):
    """A request whose files stay in memory: the body's limit bounds them, no disk is touched."""

    def _get_file_stream(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO()


def _refuse_strangers(call: Request, token: str) -> None:
    """Problem 401 unless the call shows the token, as bearer or as the password of HTTP Basic."""
    if not token or call.endpoint in ("health", "static"):
        return
    if not hmac.compare_digest(_token_in(call), token.encode()):
        raise Problem(
            401,
            "unauthorized",
            "this API asks for a token",
            "send the header Authorization: Bearer TOKEN",
        )


def _token_in(call: Request) -> bytes:
    """The token that the call shows, b"" for none; a header's bytes come as Latin-1."""
    shown = call.authorization
    if shown is None:
        return b""
    if shown.type == "bearer":
        return (shown.token or "").encode("latin-1", "replace")
    return (shown.password or "").encode("utf-8", "replace")


def _finished(response: Response, config: Config) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)  # a page has its own policy
    if response.status_code < 400 and "X-Model-Version" not in response.headers:
        _versioned(response, current_version(config))
    return response


def _refused(error: HTTPException, config: Config) -> Problem:
    """What Flask refuses by itself, in the shape of every error."""
    status, allowed = error.code or 500, ", ".join(getattr(error, "valid_methods", None) or ())
    hint = {
        404: "GET / lists the endpoints",
        405: f"use {allowed}",
        413: f"send at most {config.max_body_mb:g} MB, or 0.5 MB as form fields",
    }
    code = error.name.lower().replace(" ", "_")
    return Problem(
        status,
        code,
        error.description or error.name,
        hint.get(status, "see /openapi.json"),
        **({"allow": allowed} if allowed else {}),
    )


def _unready(error: PipelineError, config: Config) -> Problem:
    """The pipeline's own sentence, with paths as seen from the project's folder."""
    what, _, hint = str(error).replace(f"{config.root}/", "").partition("; ")
    return Problem(503, "not_ready", what, hint or "see diagnostics.py --doctor")


def _unexpected(error: Exception) -> Problem:
    """503 where the disk fails; else a fault of ours, logged with its traceback."""
    if isinstance(error, OSError):
        LOG.error("%r: %s", request.path, error)
        return Problem(
            503,
            "storage",
            f"the project's files cannot be read: {error.strerror}",
            "see diagnostics.py --doctor",
        )
    LOG.error("%s %r failed", request.method, request.path, exc_info=error)
    return Problem(500, "internal", "a fault in the server; its log tells more", "report it")


# ---------------------------------------------------------------- the small server


class Handler(WSGIRequestHandler):
    """No line per request, no banner, JSON for what is not HTTP, and no waiting for ever."""

    timeout = RECEIVE_SECONDS
    server_version = "risk"
    sys_version = ""

    def log(self, *_: Any) -> None:
        """Nothing: a caller's text never reaches the log."""

    def log_request(self, *_: Any) -> None:
        """Nothing; werkzeug's own parses the address, which may be none."""

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        except ValueError:  # a target like //[ that is no URL
            self.send_error(400, "the address is not a URL")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        said = message or self.responses[code][0]
        problem = Problem(int(code), "bad_request", printable(said), "send an HTTP/1.1 request")
        body = _failed(problem).get_data()
        self.send_response(code)
        for name, value in {
            **HEADERS,
            "Content-Type": "application/json",
            "Connection": "close",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _serve(config: Config, host: str, port: int) -> None:
    """Answer until SIGTERM or Ctrl-C; prints the one line that names the address."""
    refuse_open_door(host)
    with _listening(host, port) as listener:
        server = make_server(
            host,
            port,
            create_app(config),
            threaded=True,
            request_handler=Handler,
            fd=listener.fileno(),
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        place = f"[{host}]" if ":" in host else host
        print(f"serving on http://{place}:{server.port}", flush=True)
        server.serve_forever()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise PipelineError(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            "stop what uses it, or give --port 0 for a free one"
        ) from None


def _end_with_stdin() -> None:
    """Ask this process to end when whoever started it has closed our standard input, or died."""

    def wait() -> None:
        while os.read(0, 4096):  # sys.stdin would hold its lock when the interpreter ends
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(config=_config_path())
    parser.add_argument("--host", help="address to listen on (default: the config's)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one")
    parser.add_argument(
        "--end-with-stdin", action="store_true", help="end when standard input is closed"
    )


def _config_path() -> str:
    """The settings that app.py and wsgi.py use: RISK_CONFIG, or config.json beside this file."""
    return os.environ.get("RISK_CONFIG") or str(default_config_path())


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.end_with_stdin:
        _end_with_stdin()
    port = config.port if chosen.port is None else chosen.port
    _serve(config, config.host if chosen.host is None else chosen.host, port)
    return Outcome("", worked=False)


if __name__ == "__main__":
    run(stage, __doc__, options=options, writes=lambda _: False)

"""Serves the HTTP API and the pages from what is deployed: predictions, score, the list at risk.

    python app.py                 serve on the config's host and port
    python app.py --port 0        serve on any free port; the line it prints names it

For more than a look, `gunicorn wsgi:app`. RISK_CONFIG names the settings, RISK_API_TOKEN guards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time

from flask import Flask, Response, g, request

from risk.config import DEFAULT_CONFIG, Config, Outcome, PipelineError, load
from risk.releases import current_version
from risk.script import run
from risk.web.access import MEGABYTE
from risk.web.api import HEADERS, ROUTES, Api, name_version, problem_answer
from risk.web.callers import caller_of, callers_in
from risk.web.context import PageContext
from risk.web.metrics import RequestMeter
from risk.web.pages import PAGES, PARTS, Pages, wants_page
from risk.web.problem import problem_of
from risk.web.request import MemoryRequest
from risk.web.server import end_with_stdin, serve


def create_app(config: Config) -> Flask:
    """The application on one config; the deployment is not read before the first call."""
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # both redirect, with HTML
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = int(config.max_body_mb * MEGABYTE)
    context, known = PageContext(config), callers_in(os.environ)
    pages = Pages(context)
    meter = RequestMeter([*ROUTES, *(page.path for page in PAGES), *PARTS])
    api = Api(context, pages, meter)
    for path, endpoint in ROUTES.items():
        view = getattr(api, endpoint.view)
        app.add_url_rule(path, endpoint.view, view, methods=list(endpoint.methods))
    pages.join(app)
    app.before_request(lambda: setattr(g, "caller", caller_of(request, known)))

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)  # a page has its own policy
        # A view that names the release it has read is right: another may be current by now.
        if response.status_code < 400 and "X-Model-Version" not in response.headers:
            with contextlib.suppress(PipelineError):  # who could not tell has said so
                name_version(response, current_version(config))
        rule = request.url_rule.rule if request.url_rule else None
        meter.count(rule, response.status_code, time.perf_counter() - g.began)
        return response

    @app.errorhandler(Exception)
    def refuse(error: Exception) -> Response:
        """The error in the form of what was asked for: a page to a browser, else JSON."""
        problem = problem_of(error, config, f"{request.method} {request.path!r}")
        response = problem_answer(problem)
        # An endpoint answers in JSON whoever asks; of them / alone is a page as well.
        if (request.path == "/" or request.path not in ROUTES) and wants_page(request):
            page = pages.refusal(problem)
            response.set_data(page.get_data())
            response.headers.update(page.headers)
        return response

    return app


def configured_app() -> Flask:
    """The application on the settings that RISK_CONFIG names."""
    return create_app(load(_config_path()))


def _config_path() -> str:
    """RISK_CONFIG, or config.json beside this file."""
    return os.environ.get("RISK_CONFIG") or str(DEFAULT_CONFIG)


def options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(config=_config_path())
    parser.add_argument("--host", help="address to listen on (default: the config's)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one")
    ended = "end when standard input is closed"
    parser.add_argument("--end-with-stdin", action="store_true", help=ended)


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.end_with_stdin:
        end_with_stdin()
    port = config.port if chosen.port is None else chosen.port
    serve(lambda: create_app(config), config.host if chosen.host is None else chosen.host, port)
    return Outcome("", worked=False)


if __name__ == "__main__":
    # No lock: it would be held as long as the server runs, and no run could begin.
    run(stage, __doc__, options=options, writes=lambda _: False)

"""The small server of `python app.py`: one process, a thread for each call, for a look.

It lies behind nothing, so that it has to survive what gunicorn.conf.py handles for many: callers
that send no HTTP, or nothing at all.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from risk.config import PipelineError
from risk.web.api import HEADERS
from risk.web.callers import refuse_open_door
from risk.web.problem import Problem, excerpt

if TYPE_CHECKING:
    from flask import Flask

RECEIVE_SECONDS = 5.0  # without a byte; a thread is held for as long


class _Handler(WSGIRequestHandler):
    """No line per request, no banner, JSON for what is not HTTP, and no waiting for ever."""

    timeout = RECEIVE_SECONDS
    server_version = "risk"
    sys_version = ""  # the header Server names no version of Python

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
        what = excerpt(message or self.responses[code][0])
        problem = Problem(int(code), "bad_request", what, "send an HTTP/1.1 request")
        body = (json.dumps(problem.to_json()) + "\n").encode()
        self.send_response(code)
        for name, value in {
            **HEADERS,
            "Content-Type": "application/json",
            "Connection": "close",  # where the next call begins cannot be told
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def serve(make_app: Callable[[], Flask], host: str, port: int) -> None:
    """Answer until SIGTERM or Ctrl-C; prints the one line that names the address."""
    refuse_open_door(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Not werkzeug's own: where a port is in use that prints a text and exits.
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise PipelineError(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            "stop what uses it, or give --port 0 for a free one"
        ) from None
    with listener:
        handler, descriptor = _Handler, listener.fileno()
        server = make_server(
            host, port, make_app(), threaded=True, request_handler=handler, fd=descriptor
        )
        # As Ctrl-C does: serve_forever() ends with KeyboardInterrupt and the listener is closed.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        place = f"[{host}]" if ":" in host else host
        print(f"serving on http://{place}:{server.port}", flush=True)  # a pipe would hold it back
        server.serve_forever()


def end_with_stdin() -> None:
    """End this process when whoever started it has closed our standard input, or died."""

    def wait() -> None:
        while os.read(0, 4096):  # sys.stdin would hold its lock when the interpreter ends
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    # daemon: a thread that waits in read() cannot be told to end.
    threading.Thread(target=wait, daemon=True).start()

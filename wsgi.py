"""The application for gunicorn: `gunicorn wsgi:app`, on the settings that RISK_CONFIG names."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask


class Application:
    """A WSGI application that is built at its first use, so that importing it reads no file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a worker's threads may call first at once
        self._built: Flask | None = None

    def build(self) -> Flask:
        with self._lock:
            if self._built is None:
                from app import configured_app

                self._built = configured_app()
            return self._built

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self.build()(environ, start_response)


app = Application()

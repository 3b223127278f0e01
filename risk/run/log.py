"""logs/fullprocess.log: a line for each event, for people or as JSON for a program."""

from __future__ import annotations

import json
import logging
import logging.handlers
import time
from typing import Any

from risk.config import Config
from risk.files import make_folder
from risk.words import LINE, wrapped

STAMP = 21  # characters of a line before its words
TIME = "%Y-%m-%dT%H:%M:%S"


class _Stamped(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return time.strftime(datefmt or TIME, time.gmtime(record.created))


class _Lines(_Stamped):
    """The time and the words; what is no error is wrapped, each line with the time."""

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno > logging.INFO:
            return super().format(record)
        at = self.formatTime(record, self.datefmt)
        parts = wrapped(record.getMessage(), LINE - STAMP).splitlines()
        return "\n".join(f"{at}Z {part}" for part in parts)


class _JsonLines(_Stamped):
    """One object a line: at, level, run, message; `traceback` where there is one."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "at": f"{self.formatTime(record, TIME)}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "run": self.run,
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found)


def start_log(config: Config, run: str) -> logging.Logger:
    """A log file of at most 1 MB with four older ones. run: the id of the run that writes."""
    logging.raiseExceptions = False  # a full disk must not print logging's own traceback
    handler = logging.handlers.RotatingFileHandler(
        make_folder(config.log_folder) / "fullprocess.log",
        maxBytes=1_000_000,
        backupCount=4,
        encoding="utf-8",
        errors="backslashreplace",
    )
    plain = _Lines("%(asctime)sZ %(message)s", TIME)
    handler.setFormatter(_JsonLines(run) if config.log_format == "json" else plain)
    log = logging.getLogger("risk")
    for old in log.handlers:
        old.close()
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False  # what is above it would print on standard error
    return log

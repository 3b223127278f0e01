"""Why a call is not answered: one kind of refusal, and every other error as one of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from risk.config import Config, PipelineError

LOG = logging.getLogger("risk.api")


class Problem(Exception):
    """HTTP status, a code for programs, what is wrong, what to do; more: fields beside these.

    allow: the methods that the address takes, where another one was used.
    """

    def __init__(
        self, status: int, code: str, message: str, hint: str, allow: str = "", **more: Any
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.allow, self.more = status, code, allow, more
        self.message, self.hint = message, hint

    def to_json(self) -> dict[str, Any]:
        """The one shape of every error."""
        known = {"code": self.code, "message": self.message, "hint": self.hint}
        return {"error": known | self.more}


def problem_of(error: Exception, config: Config, call: str) -> Problem:
    """The error as a Problem; a fault of ours or of the disk is logged beside the call."""
    # Here, since the report imports this module by the pages and needs no server.
    from werkzeug.exceptions import HTTPException

    match error:
        case Problem():
            return error
        case HTTPException():
            status, methods = error.code or 500, getattr(error, "valid_methods", None)
            allow = ", ".join(sorted(methods or ()))
            hint = {
                404: "GET / lists the endpoints",
                405: f"use {allow}",
                413: f"send at most {config.max_body_mb:g} MB, or 0.5 MB as form fields",
            }.get(status, "see /openapi.json")
            code = error.name.lower().replace(" ", "_")
            plain = {404: "there is no such address", 405: "this address takes no such method"}
            said = (error.description or error.name).rstrip(".")
            return Problem(status, code, plain.get(status, said), hint, allow)
        case PipelineError():  # its own sentence, with paths as seen from the project's folder
            what, _, hint = str(error).replace(f"{config.root}/", "").partition("; ")
            return Problem(503, "not_ready", what, hint or "see diagnostics.py --doctor")
        case OSError():
            LOG.error("%s: %s", call, error)
            # strerror alone: the error as a text would name the machine's paths.
            what = f"the project's files cannot be read: {error.strerror}"
            return Problem(503, "storage", what, "see diagnostics.py --doctor")
    LOG.error("%s failed", call, exc_info=error)
    return Problem(500, "internal", "a fault in the server; its log tells more", "report it")


def excerpt(text: str, most: int = 200) -> str:
    """The text cut short, and what is no character written out, so that JSON can carry it."""
    return text[:most].encode("utf-8", "backslashreplace").decode()


def bad_parameter(name: str, value: str, hint: str) -> Problem:
    return Problem(400, "bad_parameter", f"{name} is {excerpt(value)!r}", hint)


def refuse_unknown_names(given: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Problem 400 for a parameter that would be ignored: the answer would not be what was asked."""
    for name in given:
        if name not in known:
            what = f"there is no parameter {excerpt(name)!r}"
            raise Problem(400, "unknown_parameter", what, f"known: {', '.join(known)}")


def whole_number(given: Mapping[str, str], name: str, usual: int) -> int:
    """The parameter as a whole number of at least 1, `usual` without it, else Problem 400."""
    text = given.get(name)
    if text is None:
        return usual
    # int() alone would take " 1 ", "1_000" and digits of other scripts too.
    if not re.fullmatch("0{0,9}[1-9][0-9]{0,8}", text):
        raise bad_parameter(name, text, "give a whole number of at least 1")
    return int(text)

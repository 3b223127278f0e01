"""Who is calling: the tokens that are asked for, what each may do, and whose name a note carries.

RISK_API_TOKEN is one token that may do all. RISK_API_TOKENS and RISK_READ_TOKENS hold more of them,
each with a name, as NAME=TOKEN with spaces in between; those of the second may only read.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from risk.config import PipelineError, is_loopback
from risk.data.schema import UNSAFE
from risk.record.contacts import LONGEST
from risk.web.problem import Problem

if TYPE_CHECKING:
    from flask import Request

TOKEN, NAMED, READING = "RISK_API_TOKEN", "RISK_API_TOKENS", "RISK_READ_TOKENS"
USABLE = re.compile(r"[A-Za-z0-9._~+/-]{8,}=*")  # RFC 6750: what a header can carry
OPEN_TO_ALL = ("health", "static")  # a monitor has no token, a page of a 401 needs its stylesheet


class Caller(NamedTuple):
    """name: of the token, or what a browser gave beside it; "" where nobody said. secret: to show.

    sure: whether the name is the token's own.
    """

    name: str = ""
    writes: bool = True
    sure: bool = False
    secret: str = ""


def callers_in(environment: Mapping[str, str]) -> tuple[Caller, ...]:
    """Whoever may call, () where everybody may; PipelineError for what cannot be meant."""
    one = environment.get(TOKEN, "").strip()
    found = [Caller(secret=one)] if one else []
    for variable in (NAMED, READING):
        for at, entry in enumerate(environment.get(variable, "").split(), 1):
            name, _, secret = entry.partition("=")
            # The entry itself is not repeated: the log is no place for a token.
            if not name or UNSAFE.search(name) or len(name) > LONGEST["by"]:
                raise PipelineError(f"{variable}: entry {at} has no name; write NAME=TOKEN")
            if not USABLE.fullmatch(secret):
                raise PipelineError(
                    f"{variable}: entry {at} is no token of 8 letters and digits or more; "
                    "make one with: openssl rand -hex 24"
                )
            found.append(Caller(name, variable == NAMED, True, secret))
    if len({caller.secret for caller in found}) < len(found):
        raise PipelineError(f"{TOKEN}, {NAMED} and {READING}: one token stands there twice")
    return tuple(found)


def api_token() -> str:
    """The token that our own calls show; "" where none is asked for."""
    return next((caller.secret for caller in callers_in(os.environ)), "")


def refuse_open_door(host: str) -> None:
    """PipelineError for an address that others reach while no token is asked of them."""
    if not callers_in(os.environ) and not is_loopback(host):
        raise PipelineError(
            f"{host or 'every address'} can be reached by others and {TOKEN} is not set; "
            f"set the environment variable {TOKEN}, or listen on 127.0.0.1"
        )


def caller_of(call: Request, known: tuple[Caller, ...]) -> Caller:
    """Who shows a token, as bearer or as the password of HTTP Basic; Problem 401 for none of ours.

    Where no token is set, everybody may do all.
    """
    if not known or call.endpoint in OPEN_TO_ALL:
        return Caller()
    found, shown = call.authorization, b""
    if found is not None and found.type == "bearer":  # a header's bytes come as Latin-1
        shown = (found.token or "").encode("latin-1", "replace")
    elif found is not None:
        shown = (found.password or "").encode("utf-8", "replace")
    # Bytes, since compare_digest refuses a str that is not ASCII; each of them, found or not.
    same = [one for one in known if hmac.compare_digest(shown, one.secret.encode())]
    if not same:
        hint = "send the header Authorization: Bearer TOKEN"
        raise Problem(401, "unauthorized", "this API asks for a token", hint)
    user = (found.username or "") if found is not None and found.type == "basic" else ""
    return same[0] if same[0].sure else same[0]._replace(name=user.strip()[: LONGEST["by"]])


def refuse_reader(caller: Caller) -> None:
    """Problem 403 for a token that may only read."""
    if not caller.writes:
        what, hint = "this token may only read", "use a token that may write; nothing was kept"
        raise Problem(403, "read_only", what, hint)


def name_on_note(caller: Caller, by: str) -> str:
    """Whose name a note carries: who is named in it, and the token's own name beside."""
    by = by.strip()
    if not caller.sure or by.casefold() == caller.name.casefold():
        return by or caller.name
    return f"{by} ({caller.name})" if by else caller.name

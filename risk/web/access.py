"""Who may ask and what they may have read: the token, the address to listen on, and the files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from risk.config import Config, PipelineError, is_loopback

TOKEN = "RISK_API_TOKEN"
MAX_LOCATION = 4096
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MEGABYTE = 1_000_000


class Problem(Exception):
    """Why a call is not answered: HTTP status, a code for programs, what is wrong, what to do."""

    def __init__(self, status: int, code: str, message: str, hint: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.more = status, code, more
        self.message, self.hint = message, hint


def api_token() -> str:
    """The token that callers must show; "" where none is set and loopback alone may ask."""
    return os.environ.get(TOKEN, "").strip()


def refuse_open_door(host: str) -> None:
    """PipelineError for an address that others reach while no token is asked of them."""
    if not is_loopback(host) and not api_token():
        raise PipelineError(
            f"{host or 'every address'} can be reached by others and {TOKEN} is not set; "
            f"set the environment variable {TOKEN}, or listen on 127.0.0.1"
        )


def _allowed_roots(config: Config) -> list[Path]:
    """The folders whose files a caller may name, with every link in them resolved."""
    practice = config.root / "practicedata"
    folders = (config.input_folder, config.test_folder, practice, *config.allowed_paths)
    return [Path(os.path.realpath(folder)) for folder in folders]


def read_location(config: Config, location: str) -> tuple[str, bytes]:
    """(the file as a person would type it, its bytes) for a location inside the allowed folders.

    Relative to config.json's folder; with a leading slash as it stands, then relative too, as the
    exercise wrote "/testdata/testdata.csv". One Problem for what is absent and what is forbidden.
    """
    roots = _allowed_roots(config)
    tried = [location, location.lstrip("/")] if location.startswith("/") else [location]
    for text in tried if len(location) <= MAX_LOCATION else ():
        try:
            real = Path(os.path.realpath(config.root / text))
            inside = any(real.is_relative_to(root) for root in roots)
            data = _content(real, int(config.max_body_mb * MEGABYTE)) if inside else None
        except (OSError, ValueError):  # NUL, a lone surrogate, a loop of links, no right to read
            continue
        if data is not None:
            return config.shown(real), data
    folders = ", ".join(sorted({config.shown(root) for root in roots if root.is_dir()}))
    raise Problem(
        404,
        "no_such_file",
        f"there is no file {printable(location)!r} that may be read",
        f"name a CSV file in one of these folders: {folders}",
    )


def _content(real: Path, limit: int) -> bytes | None:
    """The bytes of a regular file, None for anything else; Problem where it is too large."""
    descriptor = os.open(real, OPEN)
    try:
        opened = os.fstat(descriptor)
        # A folder on the way may have become a link since it was resolved.
        moved = os.path.realpath(real) != str(real) or not os.path.samestat(opened, os.stat(real))
        if moved or not stat.S_ISREG(opened.st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise Problem(
            413,
            "too_large",
            f"the file is larger than {limit / MEGABYTE:g} MB",
            'split it, or raise "max_body_mb" in config.json',
        )
    return data


def printable(text: str, most: int = 200) -> str:
    """The text cut short, and what is no character written out, so that JSON can carry it."""
    return text[:most].encode("utf-8", "backslashreplace").decode()

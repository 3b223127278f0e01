"""The files that a caller may have read by their location."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from risk.config import Config
from risk.web.problem import Problem, excerpt

MAX_LOCATION = 4096  # Linux opens no longer path
# No link at the end of a path, and no waiting for the other end of a named pipe.
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MEGABYTE = 1_000_000


def read_location(config: Config, location: str) -> tuple[str, bytes]:
    """(the file as a person would type it, its bytes) for a location inside the allowed folders.

    Relative to config.json's folder; with a leading slash as it stands, then relative too, as the
    exercise wrote "/testdata/testdata.csv". One Problem for what is absent and what is forbidden.
    """
    practice = config.root / "practicedata"
    folders = (config.input_folder, config.test_folder, practice, *config.allowed_paths)
    roots = [Path(os.path.realpath(folder)) for folder in folders]  # every link in them resolved
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
    known = ", ".join(sorted({config.shown(root) for root in roots if root.is_dir()}))
    what = f"there is no file {excerpt(location)!r} that may be read"
    hint = f"name a CSV file in one of these folders: {known}"
    raise Problem(404, "no_such_file", what, hint)


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
            data = file.read(limit + 1)  # fstat's size may be old: the file may be growing
    finally:
        os.close(descriptor)
    if len(data) > limit:
        what = f"the file is larger than {limit / MEGABYTE:g} MB"
        raise Problem(413, "too_large", what, 'split it, or raise "max_body_mb" in config.json')
    return data

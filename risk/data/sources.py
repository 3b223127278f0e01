"""The files in the input folder: which are there, which can be read, and which are whole."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from risk.config import Config, PipelineError
from risk.data.tables import file_kind, is_readable
from risk.files import unreadable, with_owner
from risk.words import amount

YOUNG_SECONDS = 60.0
AHEAD_SECONDS = 86_400.0
UNFINISHED = (".part", ".filepart", ".crdownload", ".tmp", "~", "Thumbs.db", "desktop.ini")
BINARY = (".gz", ".xlsx", ".xlsm", ".parquet")
WAIT_SECONDS = 1.0
CLOSED = ": cannot be read, "
EMPTIED = ": holds no file any more"


@dataclass(frozen=True)
class Source:
    """One file in the input folder: its path below the folder, and size and mtime as seen first."""

    file: str
    path: Path
    size: int
    mtime_ns: int


def find_sources(folder: Path) -> tuple[list[Source], list[str]]:
    """(the files that can be read, by path; sentences about all else in the folder)."""
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        raise PipelineError(
            f"the input folder {folder} is not there; make it and put files in"
        ) from None
    except OSError as error:
        raise unreadable(folder, error) from None
    found: list[Source] = []
    skipped: list[str] = []
    for path in _visible(folder, skipped):
        file = path.relative_to(folder).as_posix()
        if not is_readable(path.name):
            skipped += [f"{file}: not read, {how_to_read(path.name)}"] if path.is_file() else []
            continue
        try:
            seen = path.stat()
        except OSError as error:
            absent = error.errno in (errno.ENOENT, errno.ELOOP)  # a link to nothing, or to itself
            skipped.append(f"{file}: skipped, {error.strerror}" if absent else closed(file, error))
            continue
        if stat.S_ISREG(seen.st_mode):
            found.append(Source(file, path, seen.st_size, seen.st_mtime_ns))
        else:
            kind = "a folder" if stat.S_ISDIR(seen.st_mode) else "not a regular file"
            skipped.append(f"{file}: skipped, {kind}")
    return sorted(found, key=lambda s: s.file), sorted(skipped)


def _visible(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """Every file below the folder, and folders named like one; hidden and open ones are left."""

    def note(error: OSError) -> None:
        below = os.path.relpath(error.filename, folder)
        skipped.append(closed(below, error))

    for root, folders, files in os.walk(folder, onerror=note):
        shown = [name for name in folders if not is_hidden(name)]
        # In place: os.walk does not go into what is taken out here.
        folders[:] = [name for name in shown if not is_readable(name)]
        for name in folders:
            if Path(root, name).is_symlink():
                below = Path(root, name).relative_to(folder)
                skipped.append(f"{below}: skipped, a link to a folder")
        for name in [*files, *filter(is_readable, shown)]:
            if not is_hidden(name):
                yield Path(root, name)


def closed(file: str, error: OSError) -> str:
    """The sentence about what is there and cannot be read."""
    return f"{file}{CLOSED}{with_owner(Path(error.filename), error)}"


def emptied(folder: str, sources: list[Source], files: int) -> list[str]:
    """What to say where nothing is left of what was read: a disk that is not there looks so."""
    if sources or not files:
        return []
    return [f"{folder}{EMPTIED}, of {amount(files, 'file')} that were read; their rows stay"]


def input_trouble(config: Config, unread: Sequence[str]) -> str:
    """What keeps a run from reading the input folder now, "" where nothing does.

    unread: what the last ingestion could not read.
    """
    try:
        _, skipped = find_sources(config.input_folder)
    except PipelineError as error:
        return str(error)
    return "; ".join(dict.fromkeys(s for s in (*skipped, *unread) if CLOSED in s))


def is_hidden(name: str) -> bool:
    """What is not a person's finished file: hidden, half copied, or a spreadsheet's while open."""
    return name.startswith((".", "~$")) or name.endswith(UNFINISHED)


def how_to_read(name: str) -> str:
    """What to do with a file that is not read."""
    kind = file_kind(name)
    if kind in (".zip", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst"):
        return "unpack it"
    if kind in (".json", ".xml", ".feather", ".avro", ".orc", ".sqlite", ".db", ".sav", ".dta"):
        return "export it as CSV"
    if kind in (".pdf", ".doc", ".docx", ".html", ".htm"):
        return "save its table as .xlsx or CSV"
    return "save it as .xlsx or CSV"


def wait_until_written(sources: list[Source], *, patient: bool) -> tuple[list[Source], list[str]]:
    """(files that are whole as far as can be told, sentences about those that are still written).

    A young file is looked at twice, a second apart, one wait for all. patient: nobody waits for the
    result, so that a young file without its last newline is left until it is 60 s old.
    """
    now = time.time()
    # A time ahead is another machine's clock: the file may have been written this very second.
    young = [s for s in sources if now - s.mtime_ns / 1e9 < YOUNG_SECONDS]
    if not young:
        return sources, []
    time.sleep(WAIT_SECONDS)  # once for all: ten young files must not cost ten seconds
    waiting = {s.file: "is still growing" for s in young if not is_unchanged(s)}
    if patient:
        waiting |= {
            s.file: "has no line end yet"
            for s in young
            # A day ahead is no clock; nobody waits years for it.
            if s.file not in waiting
            and s.mtime_ns / 1e9 < now + AHEAD_SECONDS
            and not _ends_in_newline(s.path)
        }
    return (
        [s for s in sources if s.file not in waiting],
        [f"{file}: {why}; left for the next run" for file, why in waiting.items()],
    )


def is_unchanged(source: Source) -> bool:
    try:
        seen = source.path.stat()
    except OSError:
        return False
    return (seen.st_size, seen.st_mtime_ns) == (source.size, source.mtime_ns)


def _ends_in_newline(path: Path) -> bool:
    if path.name.lower().endswith(BINARY):  # they have none
        return True
    try:
        with open(path, "rb") as file:
            file.seek(-2, os.SEEK_END)  # OSError for an empty file: it has no line end either
            # UTF-16 as Windows writes it has a 0 behind the line end.
            return file.read(2).rstrip(b"\0")[-1:] in (b"\n", b"\r")
    except OSError:
        return False

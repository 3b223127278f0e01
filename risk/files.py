"""Atomic files, checksums, states kept as JSON, and the lock: what makes a crash harmless."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from risk.config import Busy, Config, PipelineError

TEMPORARY = ".tmp-"  # beside the file, since a rename is atomic within one file system alone


def utc_now() -> str:
    """The time as 2026-01-31T07:00:00Z."""
    return utc_stamp(time.time())


def utc_stamp(moment: float) -> str:
    """A moment, in seconds since 1970, as utc_now has it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(stamp: str) -> float:
    """Seconds since 1970 of a stamp."""
    return datetime.fromisoformat(stamp).timestamp()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    """The folder, made with its parents where it is absent; a new one survives a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    return folder


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name only when it is whole and on disk; an error leaves nothing."""
    make_folder(path.parent)
    name = path.parent / f"{TEMPORARY}{path.name}"
    try:
        with open(name, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # before the rename, or a power cut leaves an empty file there
        os.replace(name, path)
        sync_folder(path.parent)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write the file so that a reader, or a crash, sees the old content or the new one."""
    # Names of files need not be UTF-8; they come back as the bytes they are on disk.
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    with atomic_file(path) as file:
        file.write(raw)


def write_json(path: Path, value: Any) -> None:
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_bytes(path: Path, made_by: str) -> bytes:
    """The file's bytes; PipelineError names the script that makes it."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PipelineError(f"no {path.name} at {path}; run {made_by} first") from None
    except OSError as error:
        raise unreadable(path, error) from None


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    return parse_json(read_bytes(path, made_by), path, made_by)


def parse_json(raw: bytes, path: Path, made_by: str) -> dict[str, Any]:
    """The JSON object in the file's bytes; PipelineError names the script that makes it anew."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise PipelineError(f"{path} is damaged (not a JSON object); run {made_by} again")
    return value


def read_optional_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file; {} where it is absent or damaged (it can be made anew)."""
    try:
        value = json.loads(_bytes_if_there(path) or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class Unreadable(PipelineError):
    """The file is there and cannot be read; what it holds may be whole, so that it is no damage."""


def unreadable(path: Path, error: OSError) -> Unreadable:
    """The error to raise; whose file it is where the right to it is missing."""
    remedy = "free the cause and run again"
    if isinstance(error, PermissionError):
        remedy = "give this user the right to it, or run as its owner; nothing in it is lost"
    return Unreadable(f"cannot read {path}: {with_owner(path, error)}; {remedy}")


def with_owner(path: Path, error: OSError) -> str:
    """The error in words, with whose file it is where the right to it is missing."""
    owner = ""
    if isinstance(error, PermissionError):
        # The nearest that can be seen: of what lies in a closed folder nobody sees the owner.
        for place in (path, *path.parents):
            with contextlib.suppress(OSError, KeyError):
                whose = "owner" if place == path else f"owner of {place}"
                owner = f" ({whose} {place.owner()})"
                break
    return f"{error.strerror or error}{owner}"


def refuse_unreadable(error: OSError) -> None:
    """For os.walk, which passes over what it cannot list as if nothing were there."""
    raise unreadable(Path(error.filename), error)


def _bytes_if_there(path: Path) -> bytes | None:
    """The file's bytes, None where it is absent.

    One that cannot be read is neither: nobody may begin anew.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from None


def parse_number(raw: bytes, path: Path, made_by: str) -> float:
    """The finite number that the file holds and nothing else."""
    try:
        number = float(raw)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise PipelineError(f"{path} does not hold a number; run {made_by} again")
    return number


def with_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object with a checksum of all its values, so that a flipped bit is noticed."""
    # Sorted, since the same values must have the same checksum in whatever order they stand.
    body = {key: item for key, item in value.items() if key != "checksum"}
    return {**body, "checksum": sha256(json.dumps(body, sort_keys=True).encode())}


def checksum_holds(value: Mapping[str, Any]) -> bool:
    """Whether the object's values are those that its checksum was made from."""
    return value.get("checksum") == with_checksum(value)["checksum"]


class DamagedFile(PipelineError):
    """The file is there and readable, but not what was written."""


class NewerFormat(PipelineError):
    """The file is of a later version of this software; to write over it would lose what it says."""


@dataclass(frozen=True)
class StateFile:
    """A state kept as JSON: its place, the number of its format, what to do when it is damaged."""

    path: Path
    format: int
    remedy: str = "delete it and run fullprocess.py"

    def write(self, body: Mapping[str, Any]) -> None:
        """Put the body in the place of the one before; a crash leaves the old one or the new."""
        # By way of JSON, because the checksum sorts the keys: 10 is after 2, "10" before "2".
        plain = json.loads(json.dumps({**body, "format": self.format}, allow_nan=False))
        write_json(self.path, with_checksum(plain))

    def read(self) -> dict[str, Any]:
        """The body as it was written, {} where there is no file."""
        raw = _bytes_if_there(self.path)
        return {} if raw is None else self.parse(raw)

    def parse(self, raw: bytes) -> dict[str, Any]:
        """The body in the file's bytes."""
        try:
            body = dict(json.loads(raw))
            version = body["format"]
            newer = type(version) is int and version > self.format
            intact = newer or (version == self.format and checksum_holds(body))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self.damaged() from None
        if newer:
            raise NewerFormat(
                f"{self.path} was written by a newer version of this software; update the software"
            )
        if not intact:
            raise self.damaged()
        return {key: item for key, item in body.items() if key not in ("format", "checksum")}

    def read_or_empty(self) -> dict[str, Any]:
        """The body, {} also where the file is damaged: for a state that can be made anew."""
        try:
            return self.read()
        except DamagedFile:
            return {}

    def damaged(self) -> DamagedFile:
        """The error to raise, also for a body whose values make no sense to its owner."""
        return DamagedFile(f"{self.path} is damaged; {self.remedy}")


def remove_temporary_files(config: Config) -> None:
    """Remove the temporary files that a killed run left behind; call it with the lock held."""
    for folder in (*config.written_folders, config.production_folder / "releases"):
        for leftover in (*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"*/{TEMPORARY}*")):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def project_lock(config: Config, holder: str, wait_seconds: float) -> Iterator[None]:
    """Hold the project's one lock; Busy says who holds it and since when."""
    make_folder(config.state_folder)
    deadline = time.monotonic() + wait_seconds
    with open(config.lock, "a+b") as file:
        while not _locked(file):
            if time.monotonic() >= deadline:
                raise Busy(f"{lock_holder(config)}; try again when it has ended")
            time.sleep(0.1)  # flock has no time-out of its own
        file.truncate(0)  # only now: before, the note is that of whoever holds the lock
        note = {"pid": os.getpid(), "script": holder, "since": utc_now()}
        file.write(json.dumps(note).encode())
        file.flush()
        yield


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_holder(config: Config) -> str:
    """Who holds the lock and since when, for a person."""
    note = read_optional_json(config.lock)
    if not {"script", "since", "pid"} <= note.keys():
        return f"another run holds {config.lock}"
    return f"{note['script']} is running since {note['since']} (process {note['pid']})"


def copy_file(source: Path, target: Path, size: int | None = None) -> None:
    """A copy, sharing blocks where it can, never a hard link: sources are appended to."""
    with open(source, "rb") as reading, open(target, "xb") as writing:
        try:
            fcntl.ioctl(writing, 0x40049409, reading.fileno())  # FICLONE
        except OSError:
            shutil.copyfileobj(reading, writing, 1 << 20)
        if size is not None:
            writing.truncate(size)
        writing.flush()
        os.fsync(writing.fileno())

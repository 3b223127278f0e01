"""Whole-or-nothing files, digests, the lock, and releases: what makes a crash harmless."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from risk.config import Busy, Config, PipelineError

DRAFT = ".draft-"
KEPT_RELEASES = 5
RELEASE_FILES = (
    "trainedmodel.pkl",
    "model.json",
    "latestscore.txt",
    "latestscore.json",
    "ingestedfiles.txt",
    "finaldata.csv",
)


def utc_now() -> str:
    """The time as 2026-01-31T07:00:00Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- files


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def draft(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name only when it is whole and on disk; nothing stays after an error."""
    make_folder(path.parent)
    name = path.parent / f"{DRAFT}{path.name}"
    try:
        with open(name, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
        sync_folder(path.parent)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Write the file so that a reader, or a crash, sees the old content or the new one."""
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    with draft(path) as file:
        file.write(raw)


def write_json(path: Path, value: Any) -> None:
    write_whole(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_bytes(path: Path, made_by: str) -> bytes:
    """The file's bytes; PipelineError names the script that makes it."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PipelineError(f"no {path.name} at {path}; run {made_by} first") from None


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    raw = read_bytes(path, made_by)
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
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def number_in(raw: bytes, path: Path, made_by: str) -> float:
    """The finite number that the file holds and nothing else."""
    try:
        number = float(raw)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise PipelineError(f"{path} does not hold a number; run {made_by} again")
    return number


def sweep(config: Config) -> None:
    """Remove the drafts that a killed run left behind; call it with the lock held."""
    for folder in config.written_folders:
        for leftover in (*folder.glob(f"{DRAFT}*"), *folder.glob(f"*/{DRAFT}*")):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)


# ---------------------------------------------------------------- lock


@contextlib.contextmanager
def locked(config: Config, holder: str, wait_seconds: float) -> Iterator[None]:
    """Hold the project's one lock; Busy says who holds it and since when."""
    make_folder(config.state_folder)
    with open(config.lock, "a+b") as file:
        _wait_for(file, config, wait_seconds)
        file.truncate(0)
        note = {"pid": os.getpid(), "script": holder, "since": utc_now()}
        file.write(json.dumps(note).encode())
        file.flush()
        yield


def _wait_for(file: IO[bytes], config: Config, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR):
                raise
        if time.monotonic() >= deadline:
            raise Busy(f"{holder_of(config)}; try again when it has ended")
        time.sleep(0.1)


def holder_of(config: Config) -> str:
    note = read_optional_json(config.lock)
    if not note:
        return f"another run holds {config.lock}"
    return f"{note['script']} is running since {note['since']} (process {note['pid']})"


# ---------------------------------------------------------------- releases


@dataclass(frozen=True)
class Release:
    """One deployed version: its folder and its manifest."""

    version: int
    folder: Path
    manifest: dict[str, Any]


class OpenRelease:
    """The release that was current when it was opened; every read comes from that one folder."""

    def __init__(self, config: Config) -> None:
        self._shown = config.production_folder
        try:
            self._folder = os.open(config.production_folder / "current", os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            raise PipelineError(
                f"nothing is deployed in {config.production_folder}; run training.py, scoring.py "
                "and deployment.py, or fullprocess.py"
            ) from None
        try:
            self.manifest = self._checked_manifest()
        except BaseException:
            self.close()
            raise
        self.version: int = self.manifest["version"]

    def _checked_manifest(self) -> dict[str, Any]:
        try:
            manifest = json.loads(self._read("manifest.json"))
            if manifest["format"] > 1:
                raise self.damaged("manifest.json was written by a newer version of this software")
            if not all(isinstance(manifest["files"][name], str) for name in RELEASE_FILES):
                raise ValueError
            if type(manifest["version"]) is not int:
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise self.damaged("manifest.json is missing or damaged") from None
        return manifest

    def _read(self, name: str) -> bytes:
        with open(name, "rb", opener=lambda p, flags: os.open(p, flags, dir_fd=self._folder)) as file:
            return file.read()

    def damaged(self, what: str) -> PipelineError:
        return PipelineError(
            f"the deployed release in {self._shown} is damaged: {what}; "
            "see diagnostics.py --doctor, then deployment.py --rollback"
        )

    def verified(self, name: str) -> bytes:
        """The file's bytes, only if their digest is the manifest's."""
        try:
            data = self._read(name)
        except OSError as error:
            raise self.damaged(f"{name}: {error.strerror}") from None
        if sha256(data) != self.manifest["files"][name]:
            raise self.damaged(f"{name} does not match its digest")
        return data

    def close(self) -> None:
        os.close(self._folder)

    def __enter__(self) -> OpenRelease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def current_version(config: Config) -> int | None:
    """The deployed version by its link alone (one system call), None before the first."""
    try:
        return int(os.path.basename(os.readlink(config.production_folder / "current")))
    except (OSError, ValueError):
        return None


def releases(config: Config) -> list[Release]:
    """The kept releases, oldest first; one whose manifest cannot be read is left out."""
    found = []
    for folder in sorted((config.production_folder / "releases").glob("[0-9]*")):
        manifest = read_optional_json(folder / "manifest.json")
        if folder.name.isdigit() and manifest.get("version") == int(folder.name):
            found.append(Release(int(folder.name), folder, manifest))
    return found


def next_version(config: Config) -> int:
    numbers = [int(f.name) for f in config.production_folder.glob("releases/[0-9]*") if f.name.isdigit()]
    return max(numbers, default=0) + 1


def build_release(config: Config, sources: dict[str, bytes | Path], lineage: dict[str, Any]) -> Release:
    """A new release folder, whole and on disk, not yet current."""
    version = next_version(config)
    parent = make_folder(config.production_folder / "releases")
    folder, building = parent / f"{version:06d}", parent / f"{DRAFT}{version:06d}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        digests = {name: _place(source, building / name) for name, source in sources.items()}
        manifest = {
            **lineage, "format": 1, "version": version, "deployed_at": utc_now(), "files": digests,
            "finaldata_bytes": (building / "finaldata.csv").stat().st_size,
        }
        write_json(building / "manifest.json", manifest)
        sync_folder(building)
        os.rename(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    sync_folder(parent)
    return Release(version, folder, manifest)


def discard(release: Release) -> None:
    """Delete a release that was built and never made current."""
    doomed = release.folder.with_name(f"{DRAFT}{release.folder.name}")
    os.rename(release.folder, doomed)
    shutil.rmtree(doomed)


def _place(source: bytes | Path, target: Path) -> str:
    """Write or copy one file into a release being built; its SHA-256."""
    if isinstance(source, Path):
        copy_file(source, target)
        return file_sha256(target)
    with open(target, "xb") as file:
        file.write(source)
        file.flush()
        os.fsync(file.fileno())
    return sha256(source)


def copy_file(source: Path, target: Path, size: int | None = None) -> None:
    """A copy that shares blocks where the file system can, never a hard link: sources are appended to."""
    with open(source, "rb") as reading, open(target, "xb") as writing:
        try:
            fcntl.ioctl(writing, 0x40049409, reading.fileno())  # FICLONE
        except OSError:
            shutil.copyfileobj(reading, writing, 1 << 20)
        if size is not None:
            writing.truncate(size)
        writing.flush()
        os.fsync(writing.fileno())


def make_current(config: Config, version: int) -> None:
    """Swap the one link that decides what is deployed; before it nothing has changed, after it all."""
    production = make_folder(config.production_folder)
    for name in (*RELEASE_FILES, "manifest.json"):
        _show(production / name, f"current/{name}")
    _point(production / "current", f"releases/{version:06d}")
    sync_folder(production)


def _show(link: Path, target: str) -> None:
    if link.is_symlink() and os.readlink(link) == target:
        return
    if link.exists() and not link.is_symlink():
        # Files of an older set-up: nothing a person put there is overwritten.
        os.replace(link, link.with_name(f"{link.name}.before-{utc_now().replace(':', '')}"))
    _point(link, target)


def _point(link: Path, target: str) -> None:
    new = link.with_name(f"{DRAFT}{link.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, link)


def prune(config: Config, keep: set[int]) -> list[int]:
    """Delete all but the newest releases and those to keep; only the current one keeps finaldata.csv."""
    present = releases(config)
    newest = {release.version for release in present[-KEPT_RELEASES:]}
    current = current_version(config)
    dropped = []
    for release in present:
        if release.version not in newest | keep | {current}:
            discard(release)
            dropped.append(release.version)
        elif release.version != current:
            (release.folder / "finaldata.csv").unlink(missing_ok=True)
    return dropped

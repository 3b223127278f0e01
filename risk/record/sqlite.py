"""One SQLite file as this project keeps them: whole through kill -9, damage and a full disk.

A rollback journal and full sync, so that a commit is on disk when write() returns; readers create
no file. What is damaged is moved aside as it is by the next writer, and a new file begun.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from risk.config import PipelineError
from risk.files import make_folder, sync_folder

if TYPE_CHECKING:
    import sqlite3

LOG = logging.getLogger("risk")
WAIT_SECONDS = 5.0  # a reader for the writer, and the writer for readers
CHECKED_BYTES = 32_000_000  # forty years of daily entries; checking takes 1 to 2 ms a megabyte
ATTEMPTS = 100
JOURNAL = "-journal"
Row = tuple[Any, ...]
T = TypeVar("T")

# Where this process copies a database and closes the copy's source, the system drops every lock it
# holds on that file, those of another thread's reading or writing too.
_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class Database:
    """A file of these tables; `shown` and `cure` are for people who read that it is damaged.

    checked: whether readers, too, look for pages that contradict one another, which hide rows.
    """

    path: Path
    format: int
    tables: tuple[str, ...]
    shown: str
    cure: str
    checked: bool = True

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """What the change returns, made in one transaction and on disk; a damaged file is moved
        aside."""
        make_folder(self.path.parent)
        with self._alone():
            result = self._write_or_begin_anew(change)
        # SQLite does not after unlinking the journal; a power cut that brings the journal back
        # would undo the commit.
        sync_folder(self.path.parent)
        return result

    def compact(self) -> None:
        """Write the file anew, so that nothing deleted can be found in it."""
        with self._alone(), contextlib.closing(_connect(self.path, "rw")) as database:
            database.execute("PRAGMA synchronous = FULL")
            database.execute("VACUUM")
        sync_folder(self.path.parent)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread at a time; what SQLite has against it becomes a PipelineError."""
        import sqlite3

        try:
            with _ONE_AT_A_TIME:
                yield
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from None

    def _write_or_begin_anew(self, change: Callable[[sqlite3.Connection], T]) -> T:
        import sqlite3

        try:
            return self._write(change)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        with _locked(self.path.parent):
            try:
                return self._write(change)  # another process may have begun anew meanwhile
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                # A journal it had is played back or gone by now.
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
                aside = f"{self.path.stem}.damaged-{stamp}{self.path.suffix}"
                os.rename(self.path, self.path.with_name(aside))
                LOG.warning("%s was damaged (%s); it is now %s", self.path.name, error, aside)
            return self._write(change)

    def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        with contextlib.closing(_connect(self.path, "rwc")) as database:
            # Not WAL: its readers create files beside the database, and may have no right to.
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN IMMEDIATE")  # the lock first: what is checked is changed
            self._check(database, whole=True)
            for table in self.tables:
                database.execute(table)
            database.execute(f"PRAGMA user_version = {self.format}")
            result = change(database)
            database.execute("COMMIT")
        return result

    def _check(self, database: sqlite3.Connection, *, whole: bool) -> None:
        """Refuse a newer format, and pages that contradict one another: they hide rows, and
        writing among them would destroy more."""
        import sqlite3

        if database.execute("PRAGMA user_version").fetchone()[0] > self.format:
            name = self.path.name
            raise PipelineError(f"{name} was written by a newer version; update the software")
        if not whole or self.path.stat().st_size > CHECKED_BYTES:
            return
        found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            damage = sqlite3.DatabaseError(" ".join(found.split()))
            damage.sqlite_errorname = "SQLITE_CORRUPT"
            raise damage

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[Row]:
        """What the query finds; [] where there is no file. Nothing in the folder is changed.

        PipelineError if the file is damaged, written by a newer version, or held by a writer for
        five seconds. A journal that a killed writer has left must be played back before anything
        can be read. That changes the file, for which a reader has neither the task nor, often, the
        right: it does so in a copy, the next writer in the file.
        """
        import sqlite3

        if not self.path.exists():
            return []
        path = self.path.resolve()  # of a link the journal is beside the target
        with self._alone():
            for _ in range(ATTEMPTS):  # a further one means that a writer came in between
                try:
                    return self._select(path, "ro", query, values)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                        raise
                with tempfile.TemporaryDirectory() as folder:
                    copy = Path(folder, path.name)
                    if _copy(path, copy):
                        return self._select(copy, "rw", query, values)
        raise PipelineError(f"{path.name} changes all the time; try again")

    def _select(self, path: Path, mode: str, query: str, values: tuple[Any, ...]) -> list[Row]:
        import sqlite3

        with contextlib.closing(_connect(path, mode)) as database:
            database.execute("BEGIN")  # what is checked is what is read
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                return []  # the first writer was killed before its commit
            self._check(database, whole=self.checked)
            lenient, database.text_factory = database.text_factory, str  # in two thirds of the time
            try:
                return database.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "decode" not in str(error):
                    raise
            database.text_factory = lenient
            return database.execute(query, values).fetchall()

    def _explain(self, error: sqlite3.Error) -> PipelineError:
        if _is_damage(error):
            return self.damaged(str(error))
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            why = f" has been in use for {WAIT_SECONDS:g} seconds; try again"
        else:
            why = f": {error}; nothing in it has changed, free the cause, try again"
        return PipelineError(f"{self.shown}{why}")

    def damaged(self, why: str) -> PipelineError:
        return PipelineError(f"{self.shown} is damaged ({why}); {self.cure}")


def _is_damage(error: sqlite3.Error) -> bool:
    """SQLITE_ERROR: our statements do not fit what is there, so it is no file of ours."""
    name = error.sqlite_errorname
    return name == "SQLITE_ERROR" or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that begins no transaction by itself; closing it undoes an open one."""
    import sqlite3

    database = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, timeout=WAIT_SECONDS, isolation_level=None
    )
    database.text_factory = lambda raw: raw.decode(errors="replace")  # damage, which digests tell
    return database


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time moves a damaged file aside; else the second moves the new one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _copy(path: Path, copy: Path) -> bool:
    """Whether the copy, with its journal, leads back to the last commit.

    It does if the journal is the same before and after: all pages that were written meanwhile, by
    a writer or by the playing back, are in it, and are put right in the copy.
    """
    journal = Path(f"{path}{JOURNAL}")
    try:
        before = journal.read_bytes()
        shutil.copyfile(path, copy)
        Path(f"{copy}{JOURNAL}").write_bytes(before)
        return journal.read_bytes() == before
    except FileNotFoundError:
        return False

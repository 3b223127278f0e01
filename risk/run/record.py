"""What one run of the driver leaves: a marker on disk, lines in the log, notes for people."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import time
import uuid
from typing import Any, NotRequired, TypedDict, cast

from risk.config import Busy, Config, Outcome
from risk.data.schema import printable
from risk.data.snapshot import DataVersion
from risk.files import StateFile, lock_holder, project_lock, utc_now
from risk.run import run_log
from risk.run.log import start_log
from risk.script import enter_stage, os_error_text

LATE_AFTER = 2.5  # times run_every_minutes: two runs are missing by then


class RunFailure(TypedDict):
    """Where a run failed, and why. runs: how many in a row; over: when one ended well again."""

    stage: str
    error: str
    at: str
    runs: NotRequired[int]
    over: NotRequired[str]


class Marker(TypedDict):
    """How far a run came, and what was so when it ended: as long as it still is, a run is idle.

    judged: the data version of the last verdict. failure: the last one, of this run or before.
    """

    id: NotRequired[str]
    started: str
    finished: str | None
    failed: RunFailure | None
    stage: str
    config: str
    release: int | None
    paused: bool
    data_version: int
    next_maturity: float
    next_mail: float
    contacts: list[int] | None
    judged: dict[str, Any] | None
    outcome: str | None
    reason: str | None
    failure: RunFailure | None


def marker_file(config: Config) -> StateFile:
    return StateFile(config.run_marker, 1)


def last_marker(config: Config) -> Marker | None:
    """The marker of the last run; None where there is none or it is damaged."""
    return cast("Marker | None", marker_file(config).read_or_empty() or None)


def late_minutes(config: Config) -> float:
    """A last good run that is older than this is late; 0: none ever is, runs are by hand."""
    return LATE_AFTER * config.run_every_minutes


def is_late(config: Config, minutes: float) -> bool:
    return 0 < late_minutes(config) < minutes


def rhythm(config: Config) -> str:
    """`every 10 minutes`, as runs are expected; `by hand`."""
    every = config.run_every_minutes
    units = ((1440, "day"), (60, "hour"), (1, "minute"))
    size, unit = next((s, u) for s, u in units if every % s == 0 or s == 1)
    return f"every {every / size:g} {unit}{'' if every == size else 's'}" if every else "by hand"


class RunRecord:
    """The record of the run that is going on; `before` is the marker of the one before it.

    The marker says how far the run has come, so that one that hangs or is killed can be told from
    one that ended, and the next knows what it completes.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.id = config, str(uuid.uuid4())
        self.log = start_log(config, self.id)
        self.before = last_marker(config)
        self.last_good: float | None = None  # when a run last ended well, seconds of the epoch
        with contextlib.suppress(OSError):
            self.last_good = config.heartbeat.stat().st_mtime
        self.notes: list[str] = []
        self.details: list[str] = []
        self.attention: list[str] = []
        self.began = time.time()
        before = self.before
        self.marker: Marker = {
            "id": self.id,
            "started": utc_now(),
            "finished": None,
            "failed": None,
            "stage": "start",
            # The text itself, since an idle run compares it without reading its values.
            "config": config.path.read_bytes().decode().removeprefix("\ufeff"),
            "release": before["release"] if before else None,
            "paused": False,
            "data_version": 0,
            "next_maturity": 0,
            "next_mail": 0,
            "contacts": None,
            "judged": before["judged"] if before else None,
            "outcome": None,
            "reason": None,
            "failure": last_failure(before),
        }

    @property
    def completes(self) -> bool:
        """Whether the run before was not the first and did not end well."""
        return self.before is not None and not self.before["finished"]

    @property
    def judged(self) -> DataVersion:
        """Where the data stood at the last verdict on them; the beginning where there is none."""
        judged = self.before and self.before["judged"]
        return DataVersion(**judged) if judged else DataVersion(0, "", 0)

    def open(self) -> None:
        """The marker, unfinished, and a note if this run completes another."""
        self.enter("start")
        run_log.begin(self.config.run_log)
        self._note_in_log(run_log.BROKEN)  # until it has ended well
        if self.before and self.completes:
            how = "failed" if self.before["failed"] else "was cut off"
            where = f"the run of {self.before['started']} {how} in {self.before['stage']}"
            self.note(f"{where}; this one completes it")

    def enter(self, stage: str) -> None:
        enter_stage(self.config, stage)
        self._write(stage=stage)

    def note(self, text: str) -> None:
        """Keep the lines for the outcome, and each in the log."""
        for line in filter(None, map(one_line, text.splitlines())):
            self.notes.append(line)
            self.log.info("%s", line)

    def ask(self, sentence: str) -> None:
        """A note about what somebody has to look at."""
        self.note(sentence)
        self.attention.append(one_line(sentence))

    def keep(self, outcome: Outcome) -> None:
        """What a stage says, and what it asks somebody to look at."""
        self.note(outcome.text)
        self.details += outcome.details.splitlines()
        self.attention += [one_line(sentence) for sentence in outcome.attention]

    def close(self, outcome: str, reason: str, **state: object) -> None:
        """The run ended well: marker, signs of life, log."""
        ended = utc_now()
        over = {"over": ended, **failure} if (failure := self.marker["failure"]) else None
        self._write(outcome=outcome, reason=reason, finished=ended, failure=over, **state)
        self.config.heartbeat.touch()
        self._note_in_log(run_log.WORKED)
        self.log.info("%s", one_line(f"{outcome}: {reason}"))

    def await_mail(self, at: float) -> None:
        """From then on a run is not idle: something is to be sent. 0: never."""
        with contextlib.suppress(OSError):  # the run is over; a full disk may have ended it
            self._write(next_mail=at)

    def fail(self, error: Exception) -> str:
        """The run ended here: marker and log say so. The stage and what went wrong, in one line."""
        why = os_error_text(error) if isinstance(error, OSError) else str(error)
        why = one_line(why or type(error).__name__)
        stage = self.marker["stage"]
        self.log.error("failed in %s: %s", stage, why)
        with contextlib.suppress(OSError):  # a full disk may be what went wrong
            self._write(failed={"stage": stage, "error": why, "at": utc_now()})
        return f"{stage}: {why}"

    def _note_in_log(self, kind: int) -> None:
        run_log.note(self.config.run_log, kind, self.began, time.time())

    def _write(self, **changed: object) -> None:
        self.marker = cast(Marker, {**self.marker, **changed})
        marker_file(self.config).write(self.marker)


def last_failure(before: Marker | None) -> RunFailure | None:
    """The last failure that the marker of the run before knows, counted while it lasts."""
    if before is None or before["failed"] is None:
        return before["failure"] if before else None
    known, failed = before["failure"], before["failed"]
    # Each failing run adds one to the first: people are told once, and how often it was.
    if known is None or "over" in known:
        return {**failed, "runs": 1}
    return {**known, "runs": known.get("runs", 1) + 1}


def one_line(text: str) -> str:
    """The text on one line, control characters escaped: no name can forge a line of the log."""
    return printable(" ".join(text.split()))


def note_ended(config: Config) -> None:
    """What the watchdog says after it ended a run: to the caller, in the marker and in the log."""
    marker = last_marker(config)
    stage = marker["stage"] if marker else None
    why = f"ended after {config.run_limit_minutes:g} minutes, its limit"
    line = f"error: {stage}: the run was {why}; the next one completes it"
    print(line, file=sys.stderr, flush=True)
    # Another run may have begun meanwhile: it completes this one and says so.
    with contextlib.suppress(Busy, OSError), project_lock(config, "fullprocess.py", 5):
        marker = last_marker(config)
        if marker and not (marker["finished"] or marker["failed"]):
            log = start_log(config, marker.get("id", ""))
            log.error("failed in %s: %s", stage, why)
            failed = {"stage": stage, "error": why, "at": utc_now()}
            marker_file(config).write({**marker, "failed": failed})


def running(config: Config) -> str:
    """Who holds the lock now and since when, "" if nobody does."""
    try:
        with open(config.lock, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return lock_holder(config)
    return ""


def trouble(config: Config) -> str:
    """What is wrong with the last run, "" if it ended well or is still going on."""
    marker = last_marker(config)
    if marker is None:
        return ""
    the_run, failed = f"the run of {marker['started']}", marker["failed"]
    if failed:
        return f"{the_run} failed in {failed['stage']}: {failed['error']}"
    if not marker["finished"] and not running(config):
        return f"{the_run} was cut off in {marker['stage']}"
    return ""

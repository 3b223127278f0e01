"""What one run of the driver leaves: a marker on disk, lines in the log, notes for people."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import time
from typing import Any

from risk.config import Busy, Config, PipelineError
from risk.data.schema import printable
from risk.data.snapshot import DataVersion
from risk.files import lock_holder, project_lock, read_optional_json, utc_now, write_json
from risk.run import run_log
from risk.script import enter_stage, os_error_text, start_log

FORMAT = 1
LATE_MINUTES = 25  # cron ticks every 10: two are missing by then
LATE_SECONDS = 60 * LATE_MINUTES


class RunRecord:
    """The record of the run that is going on; `before` is the marker of the one before it.

    The marker says how far the run has come, so that one that hangs or is killed can be told from
    one that ended, and the next knows what it completes.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.log = config, start_log(config)
        self.before = _earlier_run(config)
        self.last_good = _last_good_run(config)
        self.notes: list[str] = []
        self.began = time.time()
        self.marker: dict[str, Any] = {
            "format": FORMAT,
            "started": utc_now(),
            "finished": None,
            "failed": None,
            "stage": "start",
            "config": config.path.read_bytes().decode().removeprefix("\ufeff"),
            "release": self.before.get("release"),
            "paused": False,
            "data_version": 0,
            "next_maturity": 0,
            "next_mail": 0,
            "judged": self.before.get("judged"),
            "outcome": None,
            "reason": None,
            "failure": last_failure(self.before),
        }

    @property
    def completes(self) -> bool:
        """Whether the run before was not the first and did not end well."""
        return bool(self.before) and not self.before.get("finished")

    @property
    def judged(self) -> DataVersion:
        """Where the data stood at the last verdict on them; the beginning where there is none."""
        try:
            return DataVersion(**self.before["judged"])
        except (KeyError, TypeError):
            return DataVersion(0, "", 0)

    def open(self) -> None:
        """The marker, unfinished, and a note if this run completes another."""
        self.enter("start")
        run_log.begin(self.config.run_log)
        self._tick(run_log.BROKEN)  # until it has ended well
        if self.completes:
            how = "failed" if self.before.get("failed") else "was cut off"
            stage, started = self.before.get("stage"), self.before.get("started")
            self.note(f"the run of {started} {how} in {stage}; this one completes it")

    def enter(self, stage: str) -> None:
        enter_stage(self.config, stage)
        self._write(stage=stage)

    def note(self, text: str) -> None:
        """Keep the lines for the outcome, and each in the log."""
        for line in filter(None, map(one_line, text.splitlines())):
            self.notes.append(line)
            self.log.info("%s", line)

    def close(self, outcome: str, reason: str, **stand: object) -> None:
        """The run ended well: marker, signs of life, log."""
        ended = utc_now()
        over = {"over": ended, **failure} if (failure := self.marker["failure"]) else None
        self._write(outcome=outcome, reason=reason, finished=ended, failure=over, **stand)
        self.config.heartbeat.touch()
        self._tick(run_log.WORKED)
        self.log.info("%s", one_line(f"{outcome}: {reason}"))

    def await_mail(self, at: float) -> None:
        """From then on a tick is not idle: something is to be sent. 0: never."""
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

    def _tick(self, kind: int) -> None:
        run_log.note(self.config.run_log, kind, self.began, time.time())

    def _write(self, **changed: object) -> None:
        self.marker |= changed
        write_json(self.config.run_marker, self.marker)


def _earlier_run(config: Config) -> dict[str, Any]:
    """The marker of the run before; {} where there is none or it is damaged."""
    marker = read_optional_json(config.run_marker)
    if type(marker.get("format")) is int and marker["format"] > FORMAT:
        raise PipelineError(
            f"{config.run_marker} was written by a newer version; update the software"
        )
    return marker


def last_failure(before: dict[str, Any]) -> dict[str, Any] | None:
    """The last failure that the marker of the run before knows, counted while it lasts.

    stage, error, at: of its first run; runs: how many failed in a row; over: when one ended well.
    """
    known, failed = before.get("failure"), before.get("failed")
    if not isinstance(failed, dict):
        return known if isinstance(known, dict) else None
    if not isinstance(known, dict) or "over" in known:
        return {**failed, "runs": 1}
    return {**known, "runs": known.get("runs", 1) + 1}


def _last_good_run(config: Config) -> float | None:
    """When a run last ended well, seconds of the epoch; None before the first."""
    try:
        return config.heartbeat.stat().st_mtime
    except OSError:
        return None


def one_line(text: str) -> str:
    """The text on one line, control characters escaped: no name can forge a line of the log."""
    return printable(" ".join(text.split()))


def note_ended(config: Config) -> None:
    """What the watchdog says after it ended a run: to the caller, in the marker and in the log."""
    stage = read_optional_json(config.run_marker).get("stage")
    why = f"ended after {config.run_limit_minutes:g} minutes, its limit"
    line = f"error: {stage}: the run was {why}; the next one completes it"
    print(line, file=sys.stderr, flush=True)
    with contextlib.suppress(Busy, OSError), project_lock(config, "fullprocess.py", 5):
        marker = read_optional_json(config.run_marker)
        if marker and not (marker.get("finished") or marker.get("failed")):
            start_log(config).error("failed in %s: %s", stage, why)
            failed = {"stage": stage, "error": why, "at": utc_now()}
            write_json(config.run_marker, {**marker, "failed": failed})


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
    marker = read_optional_json(config.run_marker)
    the_run, failed = f"the run of {marker.get('started')}", marker.get("failed")
    if isinstance(failed, dict):
        return f"{the_run} failed in {failed.get('stage')}: {failed.get('error')}"
    if marker and not marker.get("finished") and not running(config):
        return f"{the_run} was cut off in {marker.get('stage')}"
    return ""

"""How every script runs: options, config, lock, log, output for a person or program, exit code."""

from __future__ import annotations

import argparse
import json
import logging
import logging.handlers
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from risk import progress
from risk.config import FOLDERS, Config, Outcome, PipelineError, default_config_path, load
from risk.files import (
    make_folder,
    project_lock,
    read_optional_json,
    remove_temporary_files,
    utc_now,
    write_json,
)

LOG = logging.getLogger("risk")
WAIT_SECONDS = 10.0
KEPT_TIMES = 12
Stage = Callable[[Config, argparse.Namespace], Outcome]


def run(
    stage: Stage,
    about: str | None,
    *,
    options: Callable[[argparse.ArgumentParser], None] | None = None,
    writes: Callable[[argparse.Namespace], bool] = lambda _: True,
    before: Callable[[argparse.Namespace], Outcome | None] = lambda _: None,
    argv: Sequence[str] | None = None,
) -> None:
    """Run one stage as a script and leave the process with its exit code.

    writes: whether these options change files, so that the lock is taken.
    before: what needs no config; its outcome, if there is one, is all that happens.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config",
        default=default_config_path(),
        metavar="PATH",
        help="the settings (default: config.json beside this script)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the folders in use")
    if options:
        options(parser)
    chosen = parser.parse_args(argv)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        # A file's name need not be text in the terminal's encoding.
        stream.reconfigure(errors="backslashreplace")
    sys.exit(_guarded(stage, chosen, writes, before, Path(sys.argv[0]).name))


def _guarded(
    stage: Stage,
    chosen: argparse.Namespace,
    writes: Callable[..., bool],
    before: Callable[..., Outcome | None],
    name: str,
) -> int:
    try:
        outcome = before(chosen) or _configured(stage, chosen, writes(chosen), name)
    except PipelineError as error:
        return _failed(str(error), error.code)
    except OSError as error:
        if chosen.verbose:
            traceback.print_exc()
        return _failed(os_error_text(error), 1)
    except KeyboardInterrupt:
        return _failed("interrupted; the next run completes what is open", 130)
    return _printed(outcome, as_json=chosen.json)


def _printed(outcome: Outcome, *, as_json: bool) -> int:
    """The exit code; a reader that closed the pipe early is no error of ours, a full disk is."""
    try:
        _show(outcome, as_json=as_json)
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed again at exit
        if not isinstance(error, BrokenPipeError):
            return _failed(f"the result could not be printed: {error.strerror}", outcome.code or 1)
    return outcome.code


def _failed(why: str, code: int) -> int:
    print(f"error: {' '.join(why.splitlines())}", file=sys.stderr)
    return code


def _configured(stage: Stage, chosen: argparse.Namespace, writes: bool, name: str) -> Outcome:
    config = load(chosen.config)
    if chosen.verbose:
        print(_folders_text(config), file=sys.stderr)
    return _locked_stage(stage, config, chosen, name) if writes else stage(config, chosen)


def _locked_stage(stage: Stage, config: Config, chosen: argparse.Namespace, name: str) -> Outcome:
    with project_lock(config, name, WAIT_SECONDS):
        remove_temporary_files(config)
        own = name.removesuffix(".py")
        started = time.perf_counter()
        with progress.shown(own, usual_seconds(config, own)):
            outcome = stage(config, chosen)
        if outcome.worked:
            record_time(config, own, time.perf_counter() - started)
        return outcome


def usual_seconds(config: Config, stage: str) -> float:
    """How long the stage took when it last had work to do, 0 if that is not known."""
    known = read_optional_json(config.timings).get(stage)
    seconds = known.get("seconds") if isinstance(known, dict) else None
    return seconds if isinstance(seconds, int | float) else 0


def record_time(config: Config, stage: str, seconds: float) -> None:
    """Keep how long the stage took the last times when it had work to do; people are shown it."""
    times = read_optional_json(config.timings)
    recent: dict[str, list[float]] = times.setdefault("recent", {})
    recent[stage] = [*recent.get(stage, []), round(seconds, 3)][-KEPT_TIMES:]
    times[stage] = {"seconds": round(seconds, 6), "measured_at": utc_now()}
    write_json(config.timings, times)


def _show(outcome: Outcome, *, as_json: bool) -> None:
    text = json.dumps(outcome.data, indent=1, default=str) if as_json else outcome.text
    if text:
        print(text)


def os_error_text(error: OSError) -> str:
    """A full disk or a missing right, in one line; true before and after the swap of a release."""
    place = f"{error.filename}: " if error.filename else ""
    return (
        f"{place}{error.strerror or error}; no file is half-written, free the cause and run again"
    )


def _folders_text(config: Config) -> str:
    folders = dict(
        zip(
            FOLDERS,
            (
                config.input_folder,
                config.output_folder,
                config.test_folder,
                config.model_folder,
                config.production_folder,
            ),
            strict=True,
        )
    )
    folders |= {"state_path": config.state_folder, "log_path": config.log_folder}
    return "\n".join([f"config {config.path}", *(f"{k} {v}" for k, v in folders.items())])


def start_log(config: Config) -> logging.Logger:
    """A log file of at most 1 MB with four older ones; one line per event."""
    logging.raiseExceptions = False  # a full disk must not print logging's own traceback
    handler: Any = logging.handlers.RotatingFileHandler(
        make_folder(config.log_folder) / "fullprocess.log",
        maxBytes=1_000_000,
        backupCount=4,
        encoding="utf-8",
        errors="backslashreplace",
    )
    handler.setFormatter(logging.Formatter("%(asctime)sZ %(message)s", "%Y-%m-%dT%H:%M:%S"))
    handler.formatter.converter = time.gmtime
    for old in LOG.handlers:
        old.close()
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    return LOG

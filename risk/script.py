"""How every script runs: options, config, lock, progress, output for people or programs, exit code.

Progress is one line on standard error, drawn over itself with a carriage return and spaces alone.
Under cron, in a pipe or a file there is no such line: one line per event is in the log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO, TypedDict, cast

from risk import __version__
from risk.config import DEFAULT_CONFIG, HOME, Config, Outcome, PipelineError, load
from risk.files import StateFile, project_lock, remove_temporary_files, utc_now, with_owner
from risk.settings import FOLDER, keys_of
from risk.words import duration, wrapped

WAIT_SECONDS = 10.0  # for the lock: the example's runs end within 10 s, who needs longer is named
KEPT_TIMES = 12  # as many as the Status page draws
FIRST_SECONDS = 0.5  # a shorter stage draws no line
LEAST_SECONDS = 1.0  # before that no time left is guessed
Stage = Callable[[Config, argparse.Namespace], Outcome]


def run(
    stage: Stage,
    about: str | None,
    *,
    options: Callable[[argparse.ArgumentParser], None] | None = None,
    writes: Callable[[argparse.Namespace], bool] = lambda _: True,
    before: Callable[[argparse.Namespace], Outcome | None] = lambda _: None,
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
        default=DEFAULT_CONFIG,
        metavar="PATH",
        help="the settings (default: config.json beside this script)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    more = "print all that was done, and the folders in use"
    parser.add_argument("-v", "--verbose", action="store_true", help=more)
    if options:
        options(parser)
    chosen = parser.parse_args()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        # A file's name need not be text in the terminal's encoding.
        stream.reconfigure(errors="backslashreplace")
    try:
        outcome = before(chosen) or _outcome(stage, chosen, writes(chosen))
        code = _printed(outcome, as_json=chosen.json, verbose=chosen.verbose)
    except PipelineError as error:
        code = _failed(with_command(str(error), Path(chosen.config).absolute()), error.code)
    except OSError as error:
        if chosen.verbose:
            traceback.print_exc()
        code = _failed(os_error_text(error), 1)
    except KeyboardInterrupt:
        code = _failed("interrupted; the next run completes what is open", 130)
    sys.exit(code)


def _printed(outcome: Outcome, *, as_json: bool, verbose: bool) -> int:
    """The exit code; a reader that closed the pipe early is no error of ours, a full disk is."""
    text = wrapped("\n".join(filter(None, [outcome.text, outcome.details if verbose else ""])))
    if as_json:
        text = json.dumps(outcome.data, indent=1, default=str)
    try:
        if text:
            print(text)
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed again at exit
        if not isinstance(error, BrokenPipeError):
            return _failed(f"the result could not be printed: {error.strerror}", outcome.code or 1)
    return outcome.code


def _failed(why: str, code: int) -> int:
    # One line, whatever is in it: who reads a log by lines misses nothing of the error.
    print(f"error: {' '.join(why.splitlines())}", file=sys.stderr)
    return code


def _outcome(stage: Stage, chosen: argparse.Namespace, writes: bool) -> Outcome:
    """What the stage comes to; where it writes, under the lock, and with its time kept."""
    config, name = load(chosen.config), Path(sys.argv[0]).name
    _give_matplotlib_a_folder(config)
    if chosen.verbose:
        print("config", config.path, file=sys.stderr)
        for field, entry in keys_of(Config).items():
            if entry.kind is FOLDER:
                print(entry.name, getattr(config, field), file=sys.stderr)
        if config.ignored:
            print(config.ignored_note, file=sys.stderr)
    if not writes:
        return stage(config, chosen)
    with project_lock(config, name, WAIT_SECONDS):
        remove_temporary_files(config)
        own = name.removesuffix(".py")
        started = time.perf_counter()
        with progress_line(config, own):
            outcome = stage(config, chosen)
        if outcome.worked:
            record_time(config, own, time.perf_counter() - started)
        return outcome


def _give_matplotlib_a_folder(config: Config) -> None:
    """Where HOME cannot be written it says so on standard error, and cron would mail every run."""
    homes = [Path(os.path.expanduser("~"), name) for name in (".config", ".cache")]
    for home in homes:
        there = next(path for path in (home, *home.parents) if path.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            os.environ.setdefault("MPLCONFIGDIR", str(config.log_folder / "matplotlib"))


class StageTime(TypedDict):
    """How long a stage took when it last had work to do; recent: those times, the last one last."""

    seconds: float
    measured_at: str
    recent: list[float]


def stage_times(config: Config) -> dict[str, StageTime]:
    """Stage -> its times, of the stages that have had work to do."""
    return cast(dict[str, StageTime], _times_file(config).read_or_empty())


def record_time(config: Config, stage: str, seconds: float) -> None:
    """Keep how long the stage took; people are shown it."""
    times = stage_times(config)
    before = times[stage]["recent"] if stage in times else []
    times[stage] = StageTime(
        seconds=round(seconds, 6),
        measured_at=utc_now(),
        recent=[*before, round(seconds, 3)][-KEPT_TIMES:],
    )
    _times_file(config).write(times)


def _times_file(config: Config) -> StateFile:
    return StateFile(config.timings, 1)


def os_error_text(error: OSError) -> str:
    """A full disk or a missing right, in one line; true before and after the swap of a release."""
    place = f"{error.filename}: " if error.filename else ""
    what = with_owner(Path(os.fsdecode(error.filename)), error) if place else error.strerror
    return f"{place}{what or error}; no file is half-written, free the cause and run again"


class _Line:
    """The line of one stage. usual: the seconds it took last time, 0: not known."""

    def __init__(self, out: TextIO, stage: str, usual: float) -> None:
        self.out, self.stage, self.usual = out, stage, usual
        self.text, self.share, self.width = "", 0.0, 0
        self.started, self.over = time.monotonic(), threading.Event()
        self.clock = threading.Thread(target=self._draw_until_over, daemon=True)
        self.clock.start()

    def _draw_until_over(self) -> None:
        while not self.over.wait(FIRST_SECONDS):
            elapsed = time.monotonic() - self.started
            left = seconds_left(elapsed, self.share, self.usual)
            about = f"about {duration(left)} left" if left is not None else ""
            parts = ", ".join(filter(None, [self.text, about]))
            self._draw(f"{self.stage} {duration(elapsed)}{parts and ': '}{parts}")

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal was closed
            text = text[: os.get_terminal_size(self.out.fileno()).columns - 1]
            self.out.write(f"\r{text.ljust(self.width)}")
            self.out.flush()
            self.width = len(text)

    def end(self) -> None:
        """Take the line away."""
        self.over.set()
        self.clock.join()
        if self.width:
            self._draw("")
            self._draw("")


_line: _Line | None = None


def seconds_left(elapsed: float, share: float, usual: float) -> float | None:
    """By the share that is done; without one by how long it took last time; None: not known."""
    if elapsed < LEAST_SECONDS:
        return None
    if share > 0:
        return elapsed * (1 - share) / share
    return usual - elapsed if usual > elapsed else None


def enter_stage(config: Config, stage: str) -> None:
    """The stage that is at work from now on; on a terminal it has a line."""
    global _line
    _leave_stage()
    if sys.stderr and sys.stderr.isatty():
        times = stage_times(config)
        _line = _Line(sys.stderr, stage, times[stage]["seconds"] if stage in times else 0)


def report_progress(text: str, share: float = 0.0) -> None:
    """What the stage is at, and the share of its work that is done (0: not known)."""
    if _line:
        _line.text, _line.share = text, share


def _leave_stage() -> None:
    """Nothing is at work; what is printed from now on begins at the left."""
    global _line
    if _line:
        _line.end()
        _line = None


@contextlib.contextmanager
def progress_line(config: Config, stage: str) -> Iterator[None]:
    """The stage's line for as long as the block lasts, however it ends."""
    enter_stage(config, stage)
    try:
        yield
    finally:
        _leave_stage()


def typed_path(path: object) -> str:
    """The path as it can be typed from where the person stands: relative where that is shorter."""
    return shlex.quote(min(os.path.relpath(str(path)), str(path), key=len))


def make_command(target: str, config: Path) -> str:
    """`make serve` as it can be typed from there, with CONFIG= for another project than this."""
    elsewhere = [] if Path.cwd() == HOME else ["-C", str(HOME)]
    named = [] if config == DEFAULT_CONFIG else [f"CONFIG={config}"]
    return shlex.join(["make", *elsewhere, target, *named])


def script_command(script: str, config: Path, *words: str) -> str:
    """One of the scripts as it can be typed from anywhere, with this Python and the config."""
    named = [] if config == DEFAULT_CONFIG else ["--config", str(config)]
    return shlex.join([sys.executable, str(HOME / script), *words, *named])


def make_anywhere(target: str, config: Path) -> str:
    """`make serve` as it can be typed from anywhere."""
    named = [] if config == DEFAULT_CONFIG else [f"CONFIG={config}"]
    return shlex.join(["make", "-C", str(HOME), target, *named])


def typed_anywhere(words: str, config: Path) -> str:
    """`python reporting.py` or `make run` of our texts as it can be typed from anywhere; others
    stay as they are."""
    match words.split():
        case ["python", script, *rest]:
            return script_command(script, config, *rest)
        case ["make", target]:
            return make_anywhere(target, config)
    return words


def commands_in(text: str, config: Path) -> list[str]:
    """What the text advises to run, as it can be typed from anywhere; each once."""
    found = re.findall(r"\brun (\w+\.py)((?: --[a-z][a-z-]*)*)", text)
    return list(dict.fromkeys(script_command(one, config, *rest.split()) for one, rest in found))


def with_command(text: str, config: Path) -> str:
    """The error with the first command that it advises, unless it has one that can be typed."""
    commands = commands_in(text, config) if str(HOME) not in text else []
    return f"{text}; type: {commands[0]}" if commands else text

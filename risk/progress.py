"""A line on a terminal that says how far a long stage has come; nothing where nobody looks.

One line on standard error, drawn over itself with a carriage return and spaces alone. Under cron,
in a pipe or a file there is no such line: one line per event is in the log.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

FIRST_SECONDS = 0.5  # a shorter stage shows nothing
LEAST_SECONDS = 1.0  # before that no time left is guessed


class Line:
    """The line of one stage. usual: the seconds it took last time, 0: not known."""

    def __init__(self, out: TextIO, stage: str, usual: float) -> None:
        self.out, self.stage, self.usual = out, stage, usual
        self.text, self.share, self.width = "", 0.0, 0
        self.started, self.over = time.monotonic(), threading.Event()
        self.ticker = threading.Thread(target=self._tick, daemon=True)
        self.ticker.start()

    def _tick(self) -> None:
        while not self.over.wait(FIRST_SECONDS):
            self._draw(_said(self.stage, time.monotonic() - self.started, self))

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal was closed
            text = text[: os.get_terminal_size(self.out.fileno()).columns - 1]
            self.out.write(f"\r{text.ljust(self.width)}")
            self.out.flush()
            self.width = len(text)

    def end(self) -> None:
        """Take the line away."""
        self.over.set()
        self.ticker.join()
        if self.width:
            self._draw("")
            self._draw("")


_line: Line | None = None


def _said(stage: str, elapsed: float, line: Line) -> str:
    """`ingestion 12 s: 3 of 40 files, about 8 s left`."""
    left = seconds_left(elapsed, line.share, line.usual)
    about = f"about {lasting(left)} left" if left is not None else ""
    parts = ", ".join(filter(None, [line.text, about]))
    return f"{stage} {lasting(elapsed)}{parts and ': '}{parts}"


def seconds_left(elapsed: float, share: float, usual: float) -> float | None:
    """By the share that is done; without one by how long it took last time; None: not known."""
    if elapsed < LEAST_SECONDS:
        return None
    if share > 0:
        return elapsed * (1 - share) / share
    return usual - elapsed if usual > elapsed else None


def lasting(seconds: float) -> str:
    """`8 s`, `3 min 20 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def begin(stage: str, usual: float = 0) -> None:
    """The stage that is at work from now on; on a terminal it has a line."""
    global _line
    _end()
    if sys.stderr and sys.stderr.isatty():
        _line = Line(sys.stderr, stage, usual)


def tell(text: str, share: float = 0.0) -> None:
    """What the stage is at, and the share of its work that is done (0: not known)."""
    if _line:
        _line.text, _line.share = text, share


def _end() -> None:
    """Nothing is at work; what is printed from now on begins at the left."""
    global _line
    if _line:
        _line.end()
        _line = None


@contextlib.contextmanager
def shown(stage: str, usual: float = 0) -> Iterator[None]:
    """The line for as long as the block lasts, however it ends."""
    begin(stage, usual)
    try:
        yield
    finally:
        _end()

"""Ends a run that hangs, with its children: a process of its own that outlives what it watches."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable

LONGEST = 1e9  # seconds; select refuses much more


def watch(seconds: float, ended: Callable[[], None]) -> None:
    """Fork a process that kills this one and all its descendants after so many seconds.

    It leaves by itself as soon as its pipe shows that this process has gone, however it went. Call
    it before a lock is taken (a copy of the lock's descriptor would hold it) and before any thread
    starts. ended: called in that process after the killing.
    """
    reading, writing = os.pipe()  # this process's end closes `writing`, and nothing else does
    watched = os.getpid()
    if os.fork():
        os.close(reading)
        return
    try:
        os.close(writing)
        os.setsid()
        if not select.select([reading], [], [], min(seconds, LONGEST))[0]:
            _end_tree(watched)
            ended()
    except Exception:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(0)  # never back into the code of the process that was watched


def _end_tree(process: int) -> None:
    """Kill the process and all its descendants; stopped first, none can start another meanwhile."""
    doomed: list[int] = []
    while fresh := [p for p in (process, *_descendants(process)) if p not in doomed]:
        doomed += fresh
        for number in fresh:
            _send(number, signal.SIGSTOP)
    for number in doomed:
        _send(number, signal.SIGKILL)
    # Until the process's files are closed, and so its lock is free.
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (_stat(process) or [""])[0] not in ("", "Z", "X"):
        time.sleep(0.01)


def _send(process: int, what: signal.Signals) -> None:
    try:
        os.kill(process, what)
    except ProcessLookupError:
        pass


def _stat(process: int) -> list[str]:
    """State, parent and the rest of /proc's line on the process; [] where there is none."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []


def _descendants(process: int) -> list[int]:
    """Process numbers below the process, by /proc, without this one; [] where there is no /proc."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except FileNotFoundError:
        return []
    parents = {number: int(fields[1]) for number in numbers if (fields := _stat(number))}
    found: list[int] = []
    edge = {process}
    while edge:
        edge = {c for c, parent in parents.items() if parent in edge and c != os.getpid()}
        found += sorted(edge)
    return found

"""The real driver in a process that has paid for the imports, two thirds of a run: it forks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT, Project
from driver import OFFLINE

# Where a run is killed: before or after the n-th call of a function.
Place = tuple[str, str, int]
WARM = """
import importlib, json, os, signal, sys
sys.path.insert(0, {root!r})
import polars, pandas, sklearn.linear_model, sklearn.pipeline, seaborn, requests
import matplotlib.figure, matplotlib.backends.backend_agg
import apicalls, deployment, diagnostics, fullprocess, ingestion, reporting, scoring, training
import risk.run.record, risk.decide.evaluation, risk.run.watchdog, risk.run.summary
apicalls.PAUSES = ()
if not {draws}:
    reporting.picture = lambda *_: b"drawn"
    reporting.documents = lambda _: ("drawn", b"drawn")

def die():
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)

def cut(place, when, number):
    module, name = place.rpartition(".")[::2]
    module = importlib.import_module(module)
    real, calls = getattr(module, name), []
    def cutting(*given, **named):
        calls.append(1)
        if when == "before" and len(calls) == number:
            die()
        found = real(*given, **named)
        if when == "after" and len(calls) == number:
            die()
        return found
    setattr(module, name, cutting)

for line in sys.stdin:
    config, place = json.loads(line)
    sys.argv = ["fullprocess.py", "--config", config]
    said = os.open(config + ".out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    child = os.fork()
    if not child:
        os.dup2(said, 1)
        os.dup2(said, 2)
        code = 1
        try:
            if place:
                cut(*place)
            fullprocess.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(said)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass
class Driver:
    """Runs the real driver on a project's config, and may kill it."""

    warm: subprocess.Popen[str]

    def run(
        self, project: Project, place: Place | None = None, *, kill_after: float | None = None
    ) -> tuple[int, str]:
        """(exit code, output) of one run, killed at the place, or after so many seconds."""
        assert self.warm.stdin and self.warm.stdout
        config = str(project.folder / "config.json")
        self.warm.stdin.write(json.dumps([config, place]) + "\n")
        self.warm.stdin.flush()
        child = int(self.warm.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        code = int(self.warm.stdout.readline())
        return code, Path(f"{config}.out").read_text()


@contextmanager
def warm_driver(*, draws: bool) -> Iterator[Driver]:
    """The driver; draws: whether it draws its picture, most of a run's time."""
    with subprocess.Popen(
        [sys.executable, "-c", WARM.format(root=str(ROOT), draws=draws)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1", **OFFLINE},
    ) as warm:
        yield Driver(warm)

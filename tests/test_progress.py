"""The line of a long stage: on a real terminal, and nowhere else."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import ROOT, Project, client_rows
from driver import OFFLINE

from risk.script import record_time, seconds_left
from risk.words import duration

PROGRAM = f"""
import sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
from risk.config import load
from risk.script import progress_line, report_progress
with progress_line(load(sys.argv[1]), "training"):
    report_progress("12,000 rows of Zoë")
    time.sleep(1.8)
    report_progress("file 3 of 4", 0.75)
    time.sleep(0.8)
    print(threading.active_count(), "at work")
"""


def on_terminal(command: list[str], columns: int = 80, **environment: str) -> tuple[int, str]:
    """(exit code, all that standard error showed) with a real terminal as standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", **environment},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux: nobody has the other end any more
                break
            if not part:
                break
            shown += part
        os.close(ours)
        process.wait(60)
    return process.returncode, shown.decode()


def drawn(shown: str) -> list[str]:
    """What stood on the line, one after another."""
    return [text.rstrip() for text in shown.split("\r") if text.strip()]


def test_a_stage_shows_what_it_is_at_and_the_time_left_and_takes_its_line_away(
    project: Project,
) -> None:
    record_time(project.config, "training", 3600)
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(project.config.path)]
    code, shown = on_terminal(command)

    assert code == 0
    lines = drawn(shown)
    by_last_time = r"training \d s: 12,000 rows of Zoë, about (60 min 0|59 min 5\d) s left"
    by_share = r"training \d s: file 3 of 4, about 1 s left"
    for expected in (by_last_time, by_share):
        assert any(re.fullmatch(expected, line) for line in lines), lines
    assert shown.endswith("\r") and "\n" not in shown and "\x1b" not in shown
    assert shown.rsplit("\r", 2)[1].strip() == ""


def test_a_narrow_terminal_gets_one_line_too(project: Project) -> None:
    _, shown = on_terminal([sys.executable, "-c", PROGRAM, str(project.config.path)], columns=20)

    assert drawn(shown) and max(map(len, drawn(shown))) <= 19


def test_nobody_who_does_not_look_gets_a_line(project: Project) -> None:
    command = [sys.executable, "-c", PROGRAM, str(project.config.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("1 at work\n", "")


@pytest.mark.parametrize(
    ("elapsed", "share", "usual", "left"),
    [
        (0.5, 0.5, 10, None),
        (10, 0.5, 0, 10),
        (10, 0.25, 1, 30),
        (10, 0, 30, 20),
        (10, 0, 0, None),
        (40, 0, 30, None),
        (10, 1, 0, 0),
    ],
)
def test_the_time_left_is_by_the_work_done_else_by_the_last_time(
    elapsed: float, share: float, usual: float, left: float | None
) -> None:
    assert seconds_left(elapsed, share, usual) == left


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.6, "8 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s")]
)
def test_times_are_said_as_a_person_would(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_driver_shows_its_stages_and_then_its_outcome(tmp_path: Path) -> None:
    made = Project(tmp_path, port=9)
    for at in range(20):
        made.write(f"sourcedata/{at:02}.csv", client_rows(60, seed=at))
    made.write("testdata/testdata.csv", client_rows(80, seed=99))
    script = [str(ROOT / "fullprocess.py"), "--config", str(made.folder / "config.json")]

    code, shown = on_terminal([sys.executable, "-W", "error", *script], **OFFLINE)

    assert code == 0, shown
    stages = {line.split()[0] for line in drawn(shown)}
    assert "reporting" in stages, shown  # the one that takes over half a second on any machine
    assert any("1,200 rows" in line for line in drawn(shown))
    assert "\n" not in shown

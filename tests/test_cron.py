"""The crontab line, from its text to a real daemon that fires it."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import (
    BARE,
    ROOT,
    copy_checkout,
    cron_command,
    job_lines,
    lend_environment,
)

JOB = "/path/to/dynamic-risk/fullprocess.sh"


def minutes(field: str) -> list[int]:
    """The minutes of an hour at which a crontab field such as */10 or 5 fires."""
    hours, _, step = field.partition("/")
    first, last = (0, 59) if hours == "*" else (int(hours), int(hours))
    return list(range(first, last + 1, int(step or 1)))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose path holds what a shell and a crontab trip over."""
    folder = copy_checkout(tmp_path_factory.mktemp("cron") / "it's 100% ours")
    lend_environment(folder)
    return folder


@pytest.fixture(scope="module")
def line(checkout: Path) -> str:
    """The one line of `make cron` in that checkout."""
    done = subprocess.run(
        ["make", "-s", "cron", f"PYTHON={sys.executable}"],
        cwd=checkout,
        env=BARE,
        text=True,
        capture_output=True,
        check=True,
    )
    [line] = job_lines(done.stdout)
    return line


def run_line(line: str) -> subprocess.CompletedProcess[str]:
    """Run the line's command as cron does, with even less: no variable at all, from /."""
    return subprocess.run(
        ["env", "-i", "/bin/sh", "-c", cron_command(line)],
        cwd="/",
        text=True,
        capture_output=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def first_run(checkout: Path, line: str) -> subprocess.CompletedProcess[str]:
    """The first run on the data that ships."""
    return run_line(line)


def test_the_crontab_has_one_job_that_fires_every_ten_minutes():
    [line] = job_lines((ROOT / "cronjob.txt").read_text())
    minute, *others, command = line.split(None, 5)
    assert minutes(minute) == [0, 10, 20, 30, 40, 50]
    assert (others, command) == (["*"] * 4, JOB)


def test_crontab_itself_accepts_the_file():
    if not shutil.which("crontab"):
        pytest.skip("cron is not installed")
    usage = _crontab("-h")
    dry_run = re.search(r"(-n)\s+\(dry run|(-T)\b.*\(test", usage.stdout + usage.stderr)
    if dry_run is None:
        pytest.skip("this crontab has no dry run")
    assert _crontab(dry_run[1] or dry_run[2], str(ROOT / "cronjob.txt")).returncode == 0


def _crontab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["crontab", *words], text=True, capture_output=True)


def test_a_run_in_an_empty_environment_works_and_gives_cron_nothing_to_mail(checkout, first_run):
    assert (first_run.returncode, first_run.stdout, first_run.stderr) == (0, "", "")
    assert (checkout / "production_deployment" / "latestscore.txt").is_file()
    assert (checkout / "state" / "heartbeat").is_file()


def test_an_idle_run_beats_and_gives_cron_nothing_to_mail(checkout, first_run, line):
    heartbeat = checkout / "state" / "heartbeat"
    os.utime(heartbeat, (0, 0))
    done = run_line(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert heartbeat.stat().st_mtime > time.time() - 60


def test_an_idle_run_loads_what_its_four_imports_load_and_nothing_else(checkout, first_run):
    idle = loaded("-c", "import fcntl, json, os, sys")
    own = {"risk", "risk.run", "risk.run.idle"}
    found = loaded(str(checkout / "fullprocess.py")) - idle - own
    assert found <= {"__future__", "encodings.utf_8_sig"}


def loaded(*words: str) -> set[str]:
    """The modules that a Python process imports, as it tells them itself."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        cwd="/",
        env={},
        text=True,
        capture_output=True,
        check=True,
    ).stderr
    return set(re.findall(r"^import time: .*\| +(\S+)$", told, re.MULTILINE))


def test_through_a_symlink_a_person_at_a_terminal_sees_the_line(checkout, first_run, tmp_path):
    link = tmp_path / "data_version"
    link.symlink_to(checkout / "fullprocess.sh")
    screen, terminal = pty.openpty()
    done = subprocess.run(
        [link], cwd="/", env={}, stdout=terminal, stderr=subprocess.PIPE, timeout=60
    )
    os.close(terminal)
    shown = os.read(screen, 4096)
    os.close(screen)
    assert (done.returncode, done.stderr) == (0, b"")
    assert shown.startswith(b"idle: ")


def test_a_failing_run_exits_non_zero_with_one_line_to_mail(checkout, tmp_path):
    settings = tmp_path / "my settings.json"
    settings.write_text("{}")
    done = subprocess.run(
        [checkout / "fullprocess.sh", "--config", settings],
        cwd="/",
        env={},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    [mailed] = done.stderr.splitlines()
    assert mailed.startswith(f"error: {settings}: ")


def test_without_an_environment_of_its_own_the_python3_on_the_path_runs(tmp_path):
    shutil.copy(ROOT / "fullprocess.sh", tmp_path)
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$LC_ALL" "$OMP_NUM_THREADS" "$@" >&2\n')
    python.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "fullprocess.sh", "--config", "a b"],
        cwd="/",
        text=True,
        env={"PATH": f"{python.parent}:{os.defpath}"},
        capture_output=True,
    )
    script = str(tmp_path / "fullprocess.py")
    assert done.stderr.splitlines() == ["C.UTF-8", "2", script, "--config", "a b"]


PRIVATE_CRON = """
mount -t tmpfs none /var/spool/cron/crontabs && mount -t tmpfs none /etc/cron.d &&
mount -t tmpfs none /run && mount --bind /dev/null /etc/crontab || exit
printf '%s\n' '# mine' '7 7 * * * true' | crontab - && make -s cron INSTALL=1 PYTHON="$1" &&
crontab -l >table && sed 's,^[*]/10,*,' table | crontab - && exec cron -f
"""


@pytest.fixture
def daemon(checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A cron daemon with tables of its own, so that nobody's crontab is touched; the entry of
    `make cron INSTALL=1` is in them, every minute in place of every tenth."""
    if os.geteuid() or not shutil.which("cron") or not shutil.which("crontab"):
        pytest.skip("needs root and an installed cron daemon")
    mount = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount in a namespace of its own")
    private = ["unshare", "-m", "sh", "-c", PRIVATE_CRON, "sh", sys.executable]
    running = subprocess.Popen(private, cwd=checkout, env={"PATH": os.environ["PATH"]})
    yield running
    running.terminate()
    running.wait(10)


@pytest.mark.torture
def test_a_real_cron_daemon_fires_the_installed_line(checkout, first_run, line, request):
    heartbeat = checkout / "state" / "heartbeat"
    os.utime(heartbeat, (0, 0))
    daemon = request.getfixturevalue("daemon")
    deadline = time.monotonic() + 75
    while heartbeat.stat().st_mtime == 0 and time.monotonic() < deadline:
        assert daemon.poll() is None, "the cron daemon ended"
        time.sleep(0.2)
    assert heartbeat.stat().st_mtime > time.time() - 75
    assert job_lines((checkout / "table").read_text()) == ["7 7 * * * true", line]

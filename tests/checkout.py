"""A copy of this checkout in a folder of its own, for tests of what surrounds the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BARE = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def kept_files() -> list[str]:
    """What git has of this checkout or would take; the test is skipped without git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs git and a git checkout")
    names = os.fsdecode(listed.stdout).split("\0")
    return sorted(name for name in set(names) if (ROOT / name).is_file())


def copy_checkout(folder: Path) -> Path:
    """These files committed to a repository of their own in the folder."""
    for name in kept_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode)
    me = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "--quiet"], ["add", "."], [*me, "commit", "--quiet", "-m", "copy"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    return folder


def lend_environment(folder: Path) -> None:
    """A .venv that make takes for installed, whose python is the one that runs this test."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    runtime = (folder / "requirements.txt").read_text()
    development = (folder / "requirements-dev.txt").read_text()
    (folder / ".venv" / "installed-runtime").write_text(runtime + runtime)
    (folder / ".venv" / "installed-development").write_text(runtime + development)


def job_lines(text: str) -> list[str]:
    """The lines of a crontab that run something."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def cron_command(line: str) -> str:
    """The command as cron hands it to the shell: the sixth field up to a bare percent sign."""
    return re.split(r"(?<!\\)%", line.split(None, 5)[5])[0].replace("\\%", "%")


def changed_files(folder: Path) -> str:
    """`git status` of the copy, empty when nothing in the work tree has changed."""
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=folder, text=True, capture_output=True, check=True
    )
    return done.stdout

"""The demo shows what a company's months make of the model, and leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import copy_checkout


@pytest.mark.torture
def test_the_demo_shows_every_kind_of_run_and_leaves_no_trace(tmp_path: Path) -> None:
    copied = copy_checkout(tmp_path / "checkout")
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    done = subprocess.run(
        [sys.executable, "-W", "error", str(copied / "examples/demo.py")],
        cwd="/",
        env={"PATH": os.defpath, "TMPDIR": str(scratch)},
        text=True,
        capture_output=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    said = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert said == [
        *("waited:", "deployed", "deployed", "deployed"),  # April to July: the rows grow
        *("recalibrated:", "deployed", "recalibrated:", "idle:"),  # September: another world
    ]
    assert list(scratch.iterdir()) == []
    everything = ["git", "status", "--porcelain", "--ignored", "--untracked-files=all"]
    left = subprocess.run(everything, cwd=copied, text=True, capture_output=True, check=True)
    assert [line for line in left.stdout.splitlines() if "__pycache__/" not in line] == []

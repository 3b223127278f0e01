"""What one run reads: nothing that it has read, or made, already."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from conftest import client_rows
from driver import new_project, run_driver

from risk.files import sha256
from risk.model.model import Model
from risk.releases import OpenRelease

opened: Counter[str] | None = None


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and opened is not None and isinstance(arguments[0], str | os.PathLike):
        writes = (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        opened[os.fspath(arguments[0])] += not writes


@contextmanager
def files_read() -> Iterator[Counter[str]]:
    """Path -> how often this process opened it to read."""
    global opened
    sys.addaudithook(note)  # there is no way to take a hook away: outside it does nothing
    opened = found = Counter()
    try:
        yield found
    finally:
        opened = None


def test_a_run_that_deploys_reads_rows_twice_and_all_else_once(tmp_path: Path) -> None:
    project = new_project(tmp_path, policy="raw")
    project.write("sourcedata/one.csv", client_rows(60, seed=1))
    project.write("sourcedata/two.csv", client_rows(60, seed=2))
    assert run_driver(project).data["release"] == 1
    project.write("sourcedata/three.csv", client_rows(80, seed=5, flip=True))
    parsed: Counter[str] = Counter()
    releases: list[OpenRelease] = []
    parse, read = Model.from_bytes, OpenRelease.__init__

    def parsing(raw: bytes) -> Model:
        parsed[sha256(raw)] += 1
        return parse(raw)

    def reading(self: OpenRelease, *given: Any) -> None:
        releases.append(self)
        read(self, *given)

    with (
        mock.patch.object(Model, "from_bytes", parsing),
        mock.patch.object(OpenRelease, "__init__", reading),
        files_read() as found,
    ):
        said = run_driver(project)

    segments = {path: n for path, n in found.items() if Path(path).match("[0-9]*.parquet")}
    assert (said.data["outcome"], said.data["release"]) == ("deploy", 2)
    assert len({Path(path).name[:6] for path in segments}) == 3
    assert max(segments.values()) <= 2
    assert (len(parsed), set(parsed.values())) == (2, {1})
    assert found[str(tmp_path / "testdata" / "testdata.csv")] == 1
    assert len(releases) == 1

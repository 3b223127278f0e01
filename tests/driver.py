"""Runs of the driver for its tests: in this process, so that imports are paid once."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import OFFLINE, Project, client_rows

import apicalls
import fullprocess
from risk.config import Outcome
from risk.files import project_lock, remove_temporary_files, utc_now
from risk.releases import current_version
from risk.run.idle import idle_line
from risk.run.packages import packages_file
from risk.run.record import marker_file

SETTINGS: dict[str, Any] = {"port": 9}


def new_project(folder: Path, **settings: Any) -> Project:
    """A project whose runs ask nobody: no API at its port, packages looked up already."""
    folder.mkdir(exist_ok=True)
    made = Project(folder, **SETTINGS | settings)
    (folder / "state").mkdir()
    known = {"status": "known", "measured_at": utc_now(), "outdated": [], "reason": ""}
    packages_file(made.config).write(known)
    made.write("testdata/testdata.csv", client_rows(80, seed=3))
    return made


def run_driver(project: Project) -> Outcome:
    """What a run of cron does and says: all of it but the watchdog and the drawing."""
    line = idle_line(["--config", str(project.folder / "config.json")])
    if line is not None:
        return Outcome(line, {"outcome": "idle"}, worked=False)
    return run_fully(project)


def undrawn() -> Any:
    """Inside it nothing is drawn, which is most of a run's time."""
    return mock.patch.multiple(
        "reporting", picture=lambda *_: b"drawn", documents=lambda _: ("drawn", b"drawn")
    )


def run_fully(project: Project) -> Outcome:
    """The run after the idle check, under the lock."""
    config = project.config
    try:
        with (
            project_lock(config, "fullprocess.py", 0),
            mock.patch.dict(os.environ, OFFLINE),
            mock.patch.object(apicalls, "PAUSES", ()),
            undrawn(),
        ):
            remove_temporary_files(config)
            return fullprocess.run(config, serve=False)
    finally:
        log = logging.getLogger("risk")
        for handler in list(log.handlers):
            handler.close()
            log.removeHandler(handler)


def outcome(project: Project) -> str:
    return run_driver(project).data["outcome"]


def copy_of(project: Project, folder: Path) -> Project:
    """The project elsewhere, times of files and all."""
    shutil.copytree(project.folder, folder, symlinks=True, dirs_exist_ok=True)
    return _present(folder)


def _present(folder: Path) -> Project:
    """A project whose files are there already."""
    made = object.__new__(Project)
    made.folder = folder
    return made


def first_deployed(factory: pytest.TempPathFactory) -> Project:
    """A project after its first run, made once per session; copy it before changing it."""
    template = factory.getbasetemp() / "first-run-template"
    if not template.exists():
        made = new_project(template)
        made.write("sourcedata/one.csv", client_rows(60, seed=1))
        made.write("sourcedata/two.csv", client_rows(60, seed=2))
        assert outcome(made) == "deploy"
    return _present(template)


def version(project: Project) -> int | None:
    return current_version(project.config)


def edit_marker(project: Project, **changed: Any) -> None:
    """As if the last run had left this in its marker."""
    file = marker_file(project.config)
    file.write(file.read() | changed)


def marker(project: Project) -> dict[str, Any]:
    return project.json("state/run.json")


def listing(project: Project) -> dict[str, Any]:
    return project.json("models/clients_at_risk.json")

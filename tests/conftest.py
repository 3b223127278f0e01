"""What every test builds on: a small project of its own in tmp_path, and the real scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from risk.config import Config, load

ROOT = Path(__file__).resolve().parent.parent
# No index is asked what is outdated, and none could answer: a look-up that fails costs a run 15 s.
OFFLINE = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull}
HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited"
FIVE = {
    "input_folder_path": "sourcedata/",
    "output_folder_path": "ingesteddata/",
    "test_data_path": "testdata/",
    "output_model_path": "models/",
    "prod_deployment_path": "production_deployment/",
}


def client_rows(n: int, seed: int = 0, *, flip: bool = False, prefix: str = "client") -> list[str]:
    """n CSV lines of the original's columns; few orders last month go with an exit (flip: many)."""
    rng = np.random.default_rng(seed)
    year = rng.integers(50, 5000, n)
    month = (year * rng.uniform(0, 0.2, n)).astype(int)
    size = rng.integers(1, 500, n)
    low = month < 0.08 * year
    exited = (rng.random(n) < np.where(low != flip, 0.85, 0.15)).astype(int)
    return [
        f"{prefix}{seed}_{at},{month[at]},{year[at]},{size[at]},{exited[at]}" for at in range(n)
    ]


class Project:
    """A project folder: write its files, then run the real scripts on it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.configure(**settings)
        for name in ("sourcedata", "testdata"):
            (folder / name).mkdir(exist_ok=True)

    def configure(self, **settings: Any) -> Config:
        """Write config.json with the five entries and these settings."""
        (self.folder / "config.json").write_text(json.dumps(FIVE | settings))
        return self.config

    @property
    def config(self) -> Config:
        return load(self.folder / "config.json")

    def write(
        self, name: str, rows: Iterable[str] | bytes, *, header: str = HEADER, old: bool = True
    ) -> Path:
        """Write a CSV (lines below the header, or raw bytes); old: as if an hour had passed."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = rows if isinstance(rows, bytes) else "\n".join([header, *rows, ""]).encode()
        path.write_bytes(raw)
        if old:
            age(path)
        return path

    def run(
        self, script: str, *arguments: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts from / in a bare environment, warnings as errors."""
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                str(ROOT / script),
                "--config",
                str(self.folder / "config.json"),
                *arguments,
            ],
            cwd="/",
            env={"PATH": os.environ["PATH"], "COLUMNS": "10000", **OFFLINE, **environment},
            text=True,
            capture_output=True,
            timeout=120,
        )
        if check and done.returncode:
            raise AssertionError(f"{script} exited {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def pipeline(self) -> None:
        """Ingest, train, score and deploy what lies in the folders."""
        for script in ("ingestion.py", "training.py", "scoring.py", "deployment.py"):
            self.run(script)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8-sig")

    def json(self, name: str) -> Any:
        return json.loads(self.text(name))


def age(path: Path, seconds: float = 3600) -> None:
    """Set the file's mtime back, so that it does not count as one that is still being written."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - int(seconds * 1e9)))


@pytest.fixture(scope="session", autouse=True)
def wide_lines() -> Iterator[None]:
    """Sentences are printed and logged on one line; test_summary.py has how they are wrapped."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    yield
    os.environ.pop("COLUMNS")
    if before is not None:
        os.environ["COLUMNS"] = before


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two source files of 60 rows and a test file of 80, nothing run yet."""
    return small_project(tmp_path)


def small_project(folder: Path) -> Project:
    made = Project(folder)
    made.write("sourcedata/one.csv", client_rows(60, seed=1))
    made.write("sourcedata/two.csv", client_rows(60, seed=2))
    made.write("testdata/testdata.csv", client_rows(80, seed=3))
    return made


@pytest.fixture(scope="session")
def deployed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the four scripts were run once; never used itself, only copied."""
    folder = tmp_path_factory.mktemp("deployed")
    small_project(folder).pipeline()
    return folder


@pytest.fixture
def deployed(deployed_once: Path, tmp_path: Path) -> Project:
    """The project with its first release deployed: a copy, since four scripts take 3 s."""
    shutil.copytree(deployed_once, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Project(tmp_path)


def real_data(*parts: str) -> Path:
    """A file of the real data that RISK_REAL_DATA names; the test is skipped where it is absent."""
    folder = os.environ.get("RISK_REAL_DATA", "")
    path = Path(folder, *parts)
    if not folder or not path.exists():
        pytest.skip(f"set RISK_REAL_DATA to the folder that holds {'/'.join(parts)}")
    return path

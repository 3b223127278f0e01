"""The ring of runs: what is written is read, for as long as it should be and no longer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import Project, client_rows
from driver import copy_of, edit_marker, first_deployed, marker, outcome, run_driver

from risk.config import PipelineError
from risk.run import run_log
from risk.run.idle import _note_idle
from risk.run.run_log import A_DAY, BEFORE, BROKEN, IDLE, NONE, SECONDS, SLOTS, WORKED, kinds

LAST = 3_000_017  # a slot of the year 2027


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "run_log"
    run_log.begin(path)
    return path


def note(path: Path, kind: int, first: int, last: int | None = None) -> None:
    run_log.note(path, kind, first * SECONDS + 3, (first if last is None else last) * SECONDS + 9)


def test_what_is_noted_is_read_at_its_time(ring: Path) -> None:
    for ago, kind in ((7, IDLE), (5, WORKED), (1, BROKEN), (0, IDLE)):
        note(ring, kind, LAST - ago)
    assert kinds(ring.read_bytes(), LAST - 8, LAST) == [
        BEFORE,
        IDLE,
        NONE,
        WORKED,
        NONE,
        NONE,
        NONE,
        BROKEN,
        IDLE,
    ]


def test_a_run_that_takes_long_stands_in_all_its_slots(ring: Path) -> None:
    note(ring, WORKED, LAST - 3, LAST)
    assert kinds(ring.read_bytes(), LAST - 4, LAST) == [BEFORE, WORKED, WORKED, WORKED, WORKED]


def test_a_ring_that_went_round_knows_that_it_is_older_than_a_week(ring: Path) -> None:
    for slot in range(LAST - SLOTS - 50, LAST - 7 * A_DAY - 10):
        note(ring, IDLE, slot)
    found = kinds(ring.read_bytes(), LAST - 7 * A_DAY + 1, LAST)
    assert found == [NONE] * 7 * A_DAY


@pytest.mark.parametrize("rounds", [1, 2, 63])
def test_an_older_round_is_never_taken_for_this_one(ring: Path, rounds: int) -> None:
    note(ring, WORKED, LAST - rounds * SLOTS)
    assert kinds(ring.read_bytes(), LAST - 5, LAST) == [NONE] * 6


def test_the_ring_keeps_its_size(ring: Path) -> None:
    for slot in range(LAST, LAST + 2 * SLOTS, 7):
        note(ring, IDLE, slot)
    assert ring.stat().st_size == 1 + SLOTS


@pytest.mark.parametrize("raw", [b"", b"\x01short", b"\x02" + bytes(SLOTS)])
def test_a_ring_of_another_kind_tells_nothing(raw: bytes) -> None:
    assert kinds(raw, LAST - 1, LAST) == [BEFORE, BEFORE]


def test_a_short_ring_is_made_anew(ring: Path) -> None:
    ring.write_bytes(b"\x01\x02")
    run_log.begin(ring)
    assert ring.stat().st_size == 1 + SLOTS


@pytest.mark.parametrize("slot", [LAST, LAST + 1, LAST + SLOTS, LAST + 64 * SLOTS - 1])
def test_the_idle_run_writes_what_the_module_reads(ring: Path, slot: int) -> None:
    """fullprocess.py may not import the module for an idle run and has the sum of its own."""
    _note_idle(str(ring), slot)
    assert kinds(ring.read_bytes(), slot, slot) == [IDLE]


def test_an_idle_run_leaves_what_a_run_of_the_same_ten_minutes_noted(ring: Path) -> None:
    note(ring, WORKED, LAST)
    _note_idle(str(ring), LAST)
    assert kinds(ring.read_bytes(), LAST, LAST) == [WORKED]


def test_without_a_ring_the_idle_run_is_as_good(tmp_path: Path) -> None:
    _note_idle(str(tmp_path / "run_log"), LAST)
    assert not (tmp_path / "run_log").exists()


# ---------------------------------------------------------------- by real runs


def now_noted(project: Project) -> list[int]:
    """What the last two slots came to: the test may cross the border between them."""
    slot = int(time.time() // SECONDS)
    return [k for k in kinds(project.config.run_log.read_bytes(), slot - 1, slot) if k > 0]


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def test_an_idle_run_and_a_full_run_note_themselves(deployed: Project) -> None:
    deployed.config.run_log.unlink(missing_ok=True)
    run_log.begin(deployed.config.run_log)
    assert outcome(deployed) == "idle"
    assert set(now_noted(deployed)) == {IDLE}
    deployed.write("sourcedata/three.csv", client_rows(5, seed=9))
    assert outcome(deployed) != "idle"
    assert WORKED in now_noted(deployed)


def test_failures_are_noted_counted_and_end(deployed: Project) -> None:
    state = deployed.config.store_state
    whole = state.read_bytes()
    state.write_bytes(b"{")
    for _ in range(2):
        with pytest.raises(PipelineError, match="ingestion: "):
            run_driver(deployed)
    assert BROKEN in now_noted(deployed)
    assert marker(deployed)["failed"]["stage"] == "ingestion"
    state.write_bytes(whole)
    run_driver(deployed)
    ended = marker(deployed)
    assert (ended["failure"]["stage"], ended["failure"]["runs"]) == ("ingestion", 2)
    assert ended["failure"]["over"] == ended["finished"]


def test_an_older_failure_is_over_when_it_was(deployed: Project) -> None:
    failure = {
        "stage": "training",
        "error": "x",
        "at": "2026-01-01T00:00:00Z",
        "runs": 1,
        "over": "2026-01-02T00:00:00Z",
    }
    edit_marker(deployed, failure=failure)
    deployed.write("sourcedata/three.csv", client_rows(5, seed=9))
    run_driver(deployed)
    assert marker(deployed)["failure"] == failure

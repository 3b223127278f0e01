"""Files are whole or not there, a manifest vouches for every byte, and readers see one release."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

import deployment
from risk import files
from risk.config import PipelineError


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    files.write_atomic(path, "old\n")
    with pytest.raises(RuntimeError), files.atomic_file(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_reader_sees_the_old_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    files.write_atomic(path, "old\n")
    with files.atomic_file(path) as file:
        file.write(b"new\n")
        file.flush()
        seen = path.read_text()
    assert (seen, path.read_text()) == ("old\n", "new\n")


def test_json_that_has_no_finite_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "file.json", {"score": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("raw", [b"", b"0.5 0.6", b"nan", b"inf", b"F1 0.5", b"\xff", b"[0.5]"])
def test_a_score_file_that_holds_no_number_is_refused(raw: bytes) -> None:
    with pytest.raises(
        PipelineError, match=r"score\.txt does not hold a number; run scoring\.py again"
    ):
        files.parse_number(raw, Path("score.txt"), made_by="scoring.py")


def state_file(folder: Path) -> files.StateFile:
    return files.StateFile(folder / "state/some.json", 2, "run some.py")


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    state = state_file(tmp_path)
    assert state.read() == {}
    state.write({"names": ("a", "b"), "of": {10: 0.1, 2: None}})
    assert state.read() == {"names": ["a", "b"], "of": {"10": 0.1, "2": None}}
    assert json.loads(state.path.read_text()).keys() == {"names", "of", "format", "checksum"}


FLIPPED = {
    "nothing": lambda raw: b"",
    "half of it": lambda raw: raw[:20],
    "a list": lambda raw: b"[]",
    "too deep": lambda raw: b"[" * 100_000,
    "no text": lambda raw: b"\xff" + raw,
    "another value": lambda raw: raw.replace(b"41", b"43"),
    "another format": lambda raw: raw.replace(b'"format": 2', b'"format": 1'),
    "no format": lambda raw: raw.replace(b"format", b"formal"),
    "no checksum": lambda raw: raw.replace(b"checksum", b"checksun"),
}


@pytest.mark.parametrize("change", FLIPPED.values(), ids=FLIPPED)
def test_a_damaged_state_is_named_with_what_to_do(tmp_path: Path, change: Any) -> None:
    state = state_file(tmp_path)
    state.write({"count": 41})
    state.path.write_bytes(change(state.path.read_bytes()))
    with pytest.raises(files.DamagedFile, match=r"some\.json is damaged; run some\.py"):
        state.read()
    assert state.read_or_empty() == {}


def test_a_newer_state_is_refused_also_where_one_could_begin_anew(tmp_path: Path) -> None:
    state = state_file(tmp_path)
    files.write_json(state.path, {"format": 3, "new": True})
    for read in (state.read, state.read_or_empty):
        with pytest.raises(files.NewerFormat, match="newer version .* update the software"):
            read()


def test_a_state_that_cannot_be_read_is_neither_damaged_nor_absent(tmp_path: Path) -> None:
    state = state_file(tmp_path)
    state.path.mkdir(parents=True)
    with pytest.raises(PipelineError, match=r"cannot read .*some\.json: Is a directory") as caught:
        state.read_or_empty()
    assert not isinstance(caught.value, files.DamagedFile)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"[" * 100_000])
def test_a_damaged_json_file_is_named_with_its_maker(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(raw)
    with pytest.raises(PipelineError, match=r"state\.json is damaged .* run ingestion\.py again"):
        files.read_json(path, made_by="ingestion.py")
    assert files.read_optional_json(path) == {}


def test_an_absent_file_is_named_with_its_maker(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no model\.json at .*; run training\.py first"):
        files.read_bytes(tmp_path / "model.json", made_by="training.py")


def test_temporary_files_are_removed_wherever_a_killed_run_leaves_them(deployed: Project) -> None:
    names = [
        "models/.tmp-model.json",
        "ingesteddata/segments/.tmp-a.parquet",
        "state/.tmp-run.json",
        "production_deployment/.tmp-current",
        "logs/.tmp-latestscore.txt",
        "production_deployment/releases/000001/.tmp-finaldata.csv",
        "production_deployment/releases/.tmp-000003/model.json",
    ]
    deployment.deploy(deployed.config)  # or the link to version 1 would lead into its folder
    before = sorted(deployed.folder.rglob("*"))
    for name in names:
        (deployed.folder / name).parent.mkdir(exist_ok=True)
        (deployed.folder / name).write_text("half")
    files.remove_temporary_files(deployed.config)
    assert sorted(deployed.folder.rglob("*")) == before

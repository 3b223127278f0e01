"""Files are whole or not there, a manifest vouches for every byte, and readers see one release."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project

import deployment
from risk import files
from risk.config import PipelineError
from risk.files import OpenRelease


def manifest_of(project: Project) -> Path:
    return (project.folder / "production_deployment/manifest.json").resolve()


def flipped(raw: bytes, at: int, bit: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]


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


def test_nothing_deployed_says_what_to_run(project: Project) -> None:
    with pytest.raises(
        PipelineError, match="nothing is deployed in .*production_deployment; run training"
    ):
        OpenRelease(project.config)


def test_a_lost_release_folder_is_damage_and_not_a_fresh_start(deployed: Project) -> None:
    manifest_of(deployed).parent.rename(deployed.folder / "elsewhere")
    with pytest.raises(PipelineError, match="damaged: releases/000001: No such file"):
        OpenRelease(deployed.config)


def test_every_flipped_bit_of_the_model_is_refused(deployed: Project) -> None:
    path = deployed.folder / "production_deployment/model.json"
    raw, taken = path.read_bytes(), []
    with OpenRelease(deployed.config) as release:
        for at in range(len(raw)):
            path.write_bytes(flipped(raw, at, at % 8))
            try:
                release.verified("model.json")
            except PipelineError:
                continue
            taken.append(at)
        path.write_bytes(raw)
        assert release.verified("model.json") == raw
    assert taken == []


def test_every_flipped_bit_of_the_manifest_is_refused_or_changes_no_value(
    deployed: Project,
) -> None:
    raw, changed = manifest_of(deployed).read_bytes(), []
    for at in range(len(raw)):
        for bit in range(8):
            damaged = flipped(raw, at, bit)
            try:
                if files.manifest_in(damaged) != json.loads(raw):
                    changed.append((at, bit))
            except (PipelineError, ValueError):
                continue
    assert changed == []


@pytest.mark.parametrize(
    "change",
    [
        {"files": {}},
        {"files": None},
        {"version": "1"},
        {"version": None},
        {"format": None},
        {"format": 0},
        {"format": "2"},
    ],
)
def test_a_sealed_manifest_of_the_wrong_shape_is_refused(
    deployed: Project, change: dict[str, Any]
) -> None:
    path = manifest_of(deployed)
    path.write_text(json.dumps(files.with_checksum(json.loads(path.read_text()) | change)))
    with pytest.raises(PipelineError, match=r"damaged: manifest\.json is missing or damaged"):
        OpenRelease(deployed.config)


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b"[" * 100_000, b"\x80\x05", b'{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(deployed: Project, raw: bytes) -> None:
    manifest_of(deployed).write_bytes(raw)
    with pytest.raises(PipelineError, match=r"damaged: manifest\.json is missing or damaged"):
        OpenRelease(deployed.config)


def test_a_newer_manifest_is_refused_with_a_sentence(deployed: Project) -> None:
    path = manifest_of(deployed)
    path.write_text(json.dumps(files.with_checksum(json.loads(path.read_text()) | {"format": 2})))
    with pytest.raises(PipelineError, match="newer version of this software; update"):
        OpenRelease(deployed.config)
    done = deployed.run("deployment.py", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: manifest.json was written by a newer version of this software; "
        "update the software\n"
    )
    assert files.current_version(deployed.config) == 1


def test_a_file_changed_after_deployment_is_never_returned(deployed: Project) -> None:
    with OpenRelease(deployed.config) as release:
        path = (deployed.folder / "production_deployment/latestscore.txt").resolve()
        path.write_text("0.99\n")
        with pytest.raises(PipelineError, match=r"latestscore\.txt does not match its digest"):
            release.verified("latestscore.txt")
        path.unlink()
        with pytest.raises(PipelineError, match=r"latestscore\.txt: No such file"):
            release.verified("latestscore.txt")


def test_an_open_release_stays_the_one_it_was(deployed: Project) -> None:
    with OpenRelease(deployed.config) as release:
        before = release.verified("model.json")
        deployed.run("training.py")
        deployed.run("scoring.py")
        deployed.run("deployment.py")
        assert (release.version, release.verified("model.json")) == (1, before)
    with OpenRelease(deployed.config) as release:
        assert (release.version, release.verified("model.json") == before) == (2, False)


def test_an_open_release_leaves_no_descriptor_behind(deployed: Project) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with OpenRelease(deployed.config):
        pass
    manifest_of(deployed).write_text("{}")
    with pytest.raises(PipelineError):
        OpenRelease(deployed.config)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_release_with_a_damaged_manifest_is_not_listed(deployed: Project) -> None:
    assert [release.version for release in files.releases(deployed.config)] == [1]
    manifest_of(deployed).write_bytes(
        manifest_of(deployed).read_bytes().replace(b'"f1": 0.', b'"f1": 1.')
    )
    assert files.releases(deployed.config) == []


def test_folders_beside_the_releases_are_no_releases(deployed: Project) -> None:
    releases = deployed.folder / "production_deployment/releases"
    for name in ("7²", "9 copy", "000004"):
        (releases / name).mkdir()
    (releases / "000004/manifest.json").write_bytes(manifest_of(deployed).read_bytes())
    assert [release.version for release in files.releases(deployed.config)] == [1]


READER = """
import hashlib, sys
sys.path.insert(0, sys.argv[2])
from risk.files import OpenRelease
from risk.config import load

config, seen, reads = load(sys.argv[1]), set(), 0
print("ready", flush=True)
while b"new" not in seen:
    with OpenRelease(config) as release:
        score, model, _ = (release.verified(n) for n in sys.argv[3:])
        if release.manifest["lineage_mark"] != hashlib.sha256(model).hexdigest():
            sys.exit("mixed")
        seen.add(score.strip())
        reads += 1
print(reads, len(seen))
"""


def test_a_reader_sees_one_release_whole_through_a_hundred_deployments(deployed: Project) -> None:
    config = deployed.config
    names = [n for n in files.RELEASE_FILES if n != "finaldata.csv"]

    def deploy(mark: bytes) -> None:
        sources: dict[str, bytes | Path] = {name: mark * 1000 + name.encode() for name in names}
        sources |= {"latestscore.txt": mark, "finaldata.csv": config.finaldata}
        made = files.build_release(
            config,
            sources,
            {
                "data_sha256": files.file_sha256(config.finaldata),
                "lineage_mark": files.sha256(mark * 1000 + b"model.json"),
            },
        )
        files.make_current(config, made.version)
        files.prune(config, keep={made.version - 1})

    deploy(b"first")
    names_read = ("latestscore.txt", "model.json", "trainedmodel.pkl")
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(config.path), str(ROOT), *names_read],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
    for number in range(100):
        deploy(b"%d" % number)
    deploy(b"new")
    said = reader.communicate(timeout=30)[0]
    assert reader.returncode == 0, said
    reads, versions = map(int, said.split())
    assert reads >= 50 and versions >= 20

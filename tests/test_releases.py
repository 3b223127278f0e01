"""A release is whole: its manifest vouches for every byte, and readers see one release alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project

from risk import files, releases
from risk.config import PipelineError
from risk.releases import OpenRelease, kept_releases


def manifest_of(project: Project) -> Path:
    return (project.folder / "production_deployment/manifest.json").resolve()


def flipped(raw: bytes, at: int, bit: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]


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
    manifest = files.StateFile(manifest_of(deployed), 1)
    whole = manifest.read()
    for at in range(len(raw)):
        for bit in range(8):
            damaged = flipped(raw, at, bit)
            try:
                if manifest.parse(damaged) != whole:
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
    assert done.stderr.endswith(
        "/000001/manifest.json was written by a newer version of this software; "
        "update the software\n"
    )
    assert releases.current_version(deployed.config) == 1


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
    assert [release.version for release in kept_releases(deployed.config)] == [1]
    manifest_of(deployed).write_bytes(
        manifest_of(deployed).read_bytes().replace(b'"f1": 0.', b'"f1": 1.')
    )
    assert kept_releases(deployed.config) == []


def test_folders_beside_the_releases_are_no_releases(deployed: Project) -> None:
    releases = deployed.folder / "production_deployment/releases"
    for name in ("7²", "9 copy", "000004"):
        (releases / name).mkdir()
    (releases / "000004/manifest.json").write_bytes(manifest_of(deployed).read_bytes())
    assert [release.version for release in kept_releases(deployed.config)] == [1]


READER = """
import hashlib, sys
sys.path.insert(0, sys.argv[2])
from risk.config import load
from risk.releases import OpenRelease

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


def test_a_reader_sees_one_release_whole_through_a_hundred_deployments(
    deployed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a reader is not at work for more than five deployments in a row.
    monkeypatch.setattr(releases, "KEPT_RELEASES", 30)
    config = deployed.config
    names = [n for n in releases.RELEASE_FILES if n != "finaldata.csv"]

    def deploy(mark: bytes) -> None:
        sources: dict[str, bytes | Path] = {name: mark * 1000 + name.encode() for name in names}
        sources |= {"latestscore.txt": mark, "finaldata.csv": config.finaldata}
        made = releases.build_release(
            config,
            sources,
            {
                "data_sha256": files.file_sha256(config.finaldata),
                "lineage_mark": files.sha256(mark * 1000 + b"model.json"),
            },
        )
        releases.make_current(config, made.version)
        releases.prune(config, keep=made.version - 1)

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

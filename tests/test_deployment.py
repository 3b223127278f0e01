"""One release of all that belongs together, under the original's names, and the way back."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import ROOT, Project, client_rows

import deployment
from ingestion import ingest
from risk import releases
from risk.config import PipelineError
from risk.files import with_checksum
from risk.record.history import entries
from risk.releases import OpenRelease, current_version, kept_releases, read_deployment, release_hold

PARTS = [
    "finaldata.csv",
    "ingestedfiles.txt",
    "latestscore.json",
    "latestscore.txt",
    "model.json",
    "trainedmodel.pkl",
]


def production(project: Project) -> Path:
    return project.folder / "production_deployment"


def grow(project: Project, seed: int) -> None:
    """One more source file, and a model and a score that know it."""
    project.write(f"sourcedata/more{seed}.csv", client_rows(20, seed=seed))
    ingest(project.config)
    retrain(project)


def retrain(project: Project) -> None:
    from scoring import score
    from training import train

    train(project.config)
    score(project.config)


def deploy_again(project: Project, times: int) -> None:
    for _ in range(times):
        deployment.deploy(project.config)


def holders_of_rows(project: Project) -> list[int]:
    return [
        r.version for r in kept_releases(project.config) if (r.folder / "finaldata.csv").exists()
    ]


def versions(project: Project) -> list[int]:
    return [release.version for release in kept_releases(project.config)]


def test_a_release_holds_all_parts_and_their_digests(deployed: Project) -> None:
    manifest = deployed.json("production_deployment/manifest.json")
    found = {
        name: hashlib.sha256((production(deployed) / name).read_bytes()).hexdigest()
        for name in PARTS
    }
    kept = (production(deployed) / "current" / "reference.json").read_bytes()
    found["reference.json"] = hashlib.sha256(kept).hexdigest()
    assert manifest["files"] == found
    assert kept == (deployed.folder / "models" / "reference.json").read_bytes()
    sources = {
        "trainedmodel.pkl": "models",
        "model.json": "models",
        "latestscore.txt": "models",
        "latestscore.json": "models",
        "ingestedfiles.txt": "ingesteddata",
        "finaldata.csv": "ingesteddata",
    }
    for name, folder in sources.items():
        assert (production(deployed) / name).read_bytes() == (
            deployed.folder / folder / name
        ).read_bytes()


def test_the_manifest_says_version_score_and_origin(deployed: Project) -> None:
    manifest = deployed.json("production_deployment/manifest.json")
    score = deployed.json("models/latestscore.json")
    assert (manifest["version"], manifest["format"], manifest["rows"], manifest["recipe"]) == (
        1,
        1,
        120,
        "default",
    )
    assert manifest["f1"] == score["f1"] and manifest["test_sha256"] == score["test_sha256"]
    assert manifest["data_sha256"] == manifest["files"]["finaldata.csv"]
    assert manifest["trainedmodel_sha256"] == manifest["files"]["trainedmodel.pkl"]
    assert manifest["finaldata_bytes"] == os.path.getsize(deployed.config.finaldata)


def test_every_link_is_relative_and_stays_inside(deployed: Project) -> None:
    links = [path for path in production(deployed).iterdir() if path.is_symlink()]
    assert sorted(path.name for path in links) == sorted([*PARTS, "current", "manifest.json"])
    for path in links:
        assert not os.path.isabs(os.readlink(path)) and ".." not in os.readlink(path)


def test_the_project_can_be_moved(
    deployed: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moved = Project(Path(shutil.move(deployed.folder, tmp_path_factory.mktemp("new") / "home")))
    with OpenRelease(moved.config) as release:
        for name in PARTS:
            release.verified(name)
    assert moved.run("deployment.py").stdout.startswith("deployed version 2 ")
    assert moved.run("deployment.py", "--rollback").stdout.startswith("version 1 is deployed again")


def test_the_originals_names_are_read_by_plain_means(deployed: Project) -> None:
    rows = pd.read_csv(production(deployed) / "finaldata.csv")
    with open(production(deployed) / "trainedmodel.pkl", "rb") as file:
        model = pickle.load(file)
    with open(production(deployed) / "latestscore.txt") as file:
        score = float(file.read())
    with open(production(deployed) / "ingestedfiles.txt") as file:
        record = file.read().splitlines()
    assert model.predict_proba(rows).shape == (120, 2)
    assert 0 < score < 1
    assert [line.split(",")[1] for line in record] == ["file", "one.csv", "two.csv"]


def test_appending_to_the_source_does_not_change_the_release(deployed: Project) -> None:
    source, copy = deployed.config.finaldata, production(deployed) / "finaldata.csv"
    assert (copy.stat().st_nlink, source.stat().st_nlink) == (1, 1)
    assert copy.stat().st_ino != source.stat().st_ino
    before = copy.read_bytes()
    with open(source, "ab") as file:
        file.write(b"more,1,2,3,1\n")
    assert copy.read_bytes() == before


def test_five_releases_are_kept_and_the_newest_alone_has_the_rows(deployed: Project) -> None:
    deploy_again(deployed, 7)
    assert versions(deployed) == [4, 5, 6, 7, 8]
    assert holders_of_rows(deployed) == [8]
    assert sorted(os.listdir(production(deployed) / "releases")) == [
        f"{v:06d}" for v in range(4, 9)
    ]


def test_champion_and_former_are_kept_beside_the_five(deployed: Project) -> None:
    deploy_again(deployed, 5)
    assert versions(deployed) == [2, 3, 4, 5, 6]
    deployment.rollback(deployed.config, 2)
    assert (versions(deployed), holders_of_rows(deployed)) == ([2, 3, 4, 5, 6], [2])
    deploy_again(deployed, 1)
    assert (versions(deployed), read_deployment(deployed.config).former) == (
        [2, 3, 4, 5, 6, 7],
        2,
    )
    deploy_again(deployed, 1)
    assert versions(deployed) == [4, 5, 6, 7, 8]


def test_the_list_shows_what_is_kept_and_which_is_which(deployed: Project) -> None:
    deploy_again(deployed, 1)
    rows = [line.split() for line in deployed.run("deployment.py", "--list").stdout.splitlines()]
    f1 = f"{deployed.json('models/latestscore.json')['f1']:.3f}"
    assert rows[0] == ["version", "deployed", "F1", "rows", "trained"]
    assert [(row[0], row[2], row[3], row[5]) for row in rows[1:]] == [
        ("1", f1, "120", "former"),
        ("2", f1, "120", "current"),
    ]
    told = json.loads(deployed.run("deployment.py", "--list", "--json").stdout)
    assert (told["current"], told["former"], told["paused"]) == (2, 1, False)
    assert [release["version"] for release in told["releases"]] == [1, 2]


def test_an_empty_list_says_so(project: Project) -> None:
    assert project.run("deployment.py", "--list").stdout == "nothing is deployed yet\n"
    assert not production(project).exists()


def test_a_rollback_brings_every_part_back_and_holds_it(deployed: Project) -> None:
    before = {
        name: (production(deployed) / name).read_bytes() for name in [*PARTS, "manifest.json"]
    }
    grow(deployed, 7)
    deployment.deploy(deployed.config)
    assert (production(deployed) / "finaldata.csv").read_bytes() != before["finaldata.csv"]
    done = deployed.run("deployment.py", "--rollback")
    assert (
        done.stdout == "version 1 is deployed again and redeploying is paused until "
        "deployment.py --release-hold\n"
    )
    assert {name: (production(deployed) / name).read_bytes() for name in before} == before
    assert read_deployment(deployed.config).by_hand
    assert "current, paused" in deployed.run("deployment.py", "--list").stdout


def test_a_rollback_without_a_version_goes_to_the_former_one_and_back(deployed: Project) -> None:
    deploy_again(deployed, 2)
    assert [deployment.rollback(deployed.config, None).data["version"] for _ in range(3)] == [
        2,
        3,
        2,
    ]


def test_a_rollback_to_a_version_goes_there(deployed: Project) -> None:
    deploy_again(deployed, 3)
    found = deployment.rollback(deployed.config, 2).data
    assert found == {"version": 2, "former": 4, "paused": True, "finaldata": True}
    assert (current_version(deployed.config), holders_of_rows(deployed)) == (2, [2])


def test_the_hold_lasts_until_it_is_released(deployed: Project) -> None:
    deploy_again(deployed, 1)
    assert not read_deployment(deployed.config).by_hand
    deployment.rollback(deployed.config, None)
    deploy_again(deployed, 1)
    assert (current_version(deployed.config), read_deployment(deployed.config).by_hand) == (3, True)
    assert deployed.run("deployment.py", "--release-hold").stdout == (
        "version 3 is no longer paused; fullprocess.py may deploy again\n"
    )
    assert not read_deployment(deployed.config).by_hand
    assert read_deployment(deployed.config).former == 1
    assert deployed.run("deployment.py", "--release-hold").stdout == "nothing is paused\n"


def test_a_first_deployment_by_hand_is_not_held_and_is_in_the_history(deployed: Project) -> None:
    assert not read_deployment(deployed.config).by_hand
    (entry,) = entries(deployed.config)
    assert (entry.verdict, entry.action) == ("by hand", "deployment by hand")
    assert (entry.before, entry.after, entry.data_version) == (None, 1, 1)
    assert entry.reason.startswith("deployed version 1 (F1 0.")


def test_a_deployment_by_hand_over_a_release_is_held_and_in_the_history(
    deployed: Project,
) -> None:
    grow(deployed, 7)

    said = deployed.run("deployment.py").stdout

    assert said.endswith("in production_deployment, paused until deployment.py --release-hold\n")
    assert read_deployment(deployed.config).by_hand
    assert "current, paused" in deployed.run("deployment.py", "--list").stdout
    last = entries(deployed.config)[-1]
    assert (last.action, last.before, last.after, last.data_version) == (
        "deployment by hand",
        1,
        2,
        2,
    )
    assert last.reason == said.rstrip("\n")


def test_rollback_and_release_are_in_the_history_with_their_versions(deployed: Project) -> None:
    deploy_again(deployed, 1)
    for arguments in (["--rollback"], ["--release-hold"], ["--release-hold"], ["--list"]):
        deployed.run("deployment.py", *arguments)

    found = [(e.verdict, e.action, e.before, e.after) for e in entries(deployed.config)[1:]]

    assert found == [
        ("by hand", "rollback by hand", 2, 1),
        ("by hand", "release hold", None, 1),
    ]


def test_what_is_refused_is_not_in_the_history(deployed: Project) -> None:
    for arguments in (["--rollback", "7"], ["--rollback"]):
        assert deployed.run("deployment.py", *arguments, check=False).returncode == 1

    assert len(entries(deployed.config)) == 1


def test_rows_that_are_gone_are_said_to_be(deployed: Project) -> None:
    grow(deployed, 7)
    deployment.deploy(deployed.config)
    deployed.config.finaldata.write_text("another file\n" * 1000)
    done = deployed.run("deployment.py", "--rollback")
    assert done.stdout.endswith("--release-hold; its finaldata.csv is no longer kept\n")
    with OpenRelease(deployed.config) as release:
        assert release.version == 1 and release.verified("model.json")
    assert not list((production(deployed) / "releases/000001").glob("*finaldata*"))


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("9", r"version 9 is not kept; kept: 1, 2 \(deployment\.py --list\)"),
        ("-1", r"version -1 is not kept; kept: 1, 2"),
        ("2", r"version 2 is deployed already; kept: 1, 2"),
    ],
)
def test_a_rollback_to_nowhere_is_refused(deployed: Project, version: str, said: str) -> None:
    deploy_again(deployed, 1)
    with pytest.raises(PipelineError, match=said):
        deployment.rollback(deployed.config, int(version))
    assert (current_version(deployed.config), read_deployment(deployed.config).by_hand) == (
        2,
        False,
    )


def test_a_first_release_has_no_former_one(deployed: Project) -> None:
    done = deployed.run("deployment.py", "--rollback", check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: there is no former version; kept: 1 (deployment.py --list)\n",
    )


@pytest.mark.parametrize(
    "name", ["model.json", "trainedmodel.pkl", "latestscore.txt", "ingestedfiles.txt"]
)
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_damaged_version_is_not_rolled_back_to(deployed: Project, name: str, how: str) -> None:
    deploy_again(deployed, 2)
    path = production(deployed) / "releases/000002" / name
    path.write_bytes(path.read_bytes() + b" ") if how == "changed" else path.unlink()
    what = "does not match its digest" if how == "changed" else "is missing"
    with pytest.raises(
        PipelineError, match=rf"version 2 is damaged \({name} {what}\); choose another: 1$"
    ):
        deployment.rollback(deployed.config, None)
    assert current_version(deployed.config) == 3
    assert kept_releases(deployed.config)[1].damage() == [f"{name} {what}"]


def test_a_damaged_present_version_can_be_left(deployed: Project) -> None:
    deploy_again(deployed, 1)
    shutil.rmtree(production(deployed) / "releases/000002")
    assert deployed.run("deployment.py", "--rollback").stdout.startswith(
        "version 1 is deployed again"
    )


def test_a_version_of_other_features_is_not_rolled_back_to(deployed: Project) -> None:
    deploy_again(deployed, 1)
    deployed.configure(columns={"features": ["lastmonth_activity"]})
    with pytest.raises(PipelineError, match="trained with other features"):
        deployment.rollback(deployed.config, None)


def another_model(project: Project) -> None:
    config = project.config
    kept = (config.score.read_bytes(), config.score_json.read_bytes())
    grow(project, 8)
    config.score.write_bytes(kept[0])
    config.score_json.write_bytes(kept[1])


def other_pickle(project: Project) -> None:
    pickled = project.config.model_pickle.read_bytes()
    grow(project, 8)
    project.config.model_pickle.write_bytes(pickled)


def new_rows(project: Project) -> None:
    project.write("sourcedata/more.csv", client_rows(20, seed=8))
    ingest(project.config)


def edited_score(project: Project) -> None:
    project.config.score.write_text("0.99\n")


def half_a_score(project: Project) -> None:
    project.config.score_json.write_text(
        json.dumps(
            {
                "f1": 0.5,
                "trainedmodel_sha256": project.json("models/latestscore.json")[
                    "trainedmodel_sha256"
                ],
            }
        )
    )


def damaged_model(project: Project) -> None:
    raw = project.config.model_json.read_bytes()
    project.config.model_json.write_bytes(raw.replace(b'"intercept": ', b'"intercept": 1', 1))


def other_features(project: Project) -> None:
    project.configure(columns={"features": ["lastmonth_activity"]})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            another_model,
            r"latestscore\.txt is not the score of .*trainedmodel\.pkl; run scoring\.py",
        ),
        (
            other_pickle,
            r"trainedmodel\.pkl and model\.json are of different trainings; run training\.py",
        ),
        (
            new_rows,
            r"finaldata\.csv has changed since the model was trained; run training\.py",
        ),
        (edited_score, r"latestscore\.txt and latestscore\.json disagree; run scoring\.py again"),
        (half_a_score, r"latestscore\.json is incomplete; run scoring\.py again"),
        (damaged_model, r"the JSON model is damaged"),
        (other_features, r"the model was trained with other features"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    deployed: Project, spoil: Any, said: str
) -> None:
    spoil(deployed)
    before = sorted(production(deployed).rglob("*"))
    with pytest.raises(PipelineError, match=said):
        deployment.deploy(deployed.config)
    assert sorted(production(deployed).rglob("*")) == before
    assert current_version(deployed.config) == 1


@pytest.mark.parametrize(
    ("part", "maker"),
    [
        ("models/trainedmodel.pkl", "training.py"),
        ("models/model.json", "training.py"),
        ("models/latestscore.txt", "scoring.py"),
        ("models/latestscore.json", "scoring.py"),
        ("ingesteddata/ingestedfiles.txt", "ingestion.py"),
        ("ingesteddata/finaldata.csv", "ingestion.py"),
    ],
)
def test_a_missing_part_is_named_with_its_maker(deployed: Project, part: str, maker: str) -> None:
    (deployed.folder / part).unlink()
    with pytest.raises(PipelineError, match=f"no {Path(part).name} at .*{part}; run {maker} first"):
        deployment.deploy(deployed.config)
    assert current_version(deployed.config) == 1


def test_a_refusal_is_one_line_and_changes_nothing(deployed: Project) -> None:
    new_rows(deployed)
    done = deployed.run("deployment.py", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert versions(deployed) == [1]


def test_files_of_an_older_set_up_are_moved_aside(project: Project) -> None:
    folder = production(project)
    folder.mkdir()
    for name in ("trainedmodel.pkl", "latestscore.txt", "ingestedfiles.txt"):
        (folder / name).write_text(f"the old {name}")
    (folder / "current").mkdir()
    (folder / "current/notes.txt").write_text("mine")
    project.pipeline()
    aside = {path.name.partition(".before-")[0]: path for path in folder.glob("*.before-*")}
    assert sorted(aside) == ["current", "ingestedfiles.txt", "latestscore.txt", "trainedmodel.pkl"]
    assert aside["trainedmodel.pkl"].read_text() == "the old trainedmodel.pkl"
    assert (aside["current"] / "notes.txt").read_text() == "mine"
    with OpenRelease(project.config) as release:
        assert release.version == 1


def test_files_moved_aside_within_one_second_are_all_kept(
    deployed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "utc_now", lambda: "2026-01-31T07:00:00Z")
    link = production(deployed) / "latestscore.txt"
    for number in range(3):
        link.unlink()
        link.write_text(f"mine {number}")
        deployment.deploy(deployed.config)
    kept = sorted(production(deployed).glob("latestscore.txt.before-*"))
    assert [path.read_text() for path in kept] == ["mine 0", "mine 1", "mine 2"]


def test_a_link_that_was_deleted_comes_back(deployed: Project) -> None:
    (production(deployed) / "model.json").unlink()
    (production(deployed) / "finaldata.csv").unlink()
    (production(deployed) / "finaldata.csv").symlink_to("/etc/hostname")
    deployment.deploy(deployed.config)
    assert os.readlink(production(deployed) / "model.json") == "current/model.json"
    assert os.readlink(production(deployed) / "finaldata.csv") == "current/finaldata.csv"


def test_a_version_number_is_never_used_twice(deployed: Project) -> None:
    deploy_again(deployed, 2)
    deployment.rollback(deployed.config, 1)
    deploy_again(deployed, 1)
    assert current_version(deployed.config) == 4
    shutil.rmtree(production(deployed))
    deploy_again(deployed, 1)
    assert current_version(deployed.config) == 5


def test_a_crash_between_swap_and_note_loses_neither_former_nor_hold(deployed: Project) -> None:
    deploy_again(deployed, 2)
    deployment.rollback(deployed.config, None)
    note = deployed.config.deployment_state.read_bytes()
    deploy_again(deployed, 1)
    deployed.config.deployment_state.write_bytes(note)
    assert (current_version(deployed.config), read_deployment(deployed.config).former) == (4, 2)
    assert read_deployment(deployed.config).by_hand
    release_hold(deployed.config)
    assert deployment.rollback(deployed.config, None).data["version"] == 2


def test_an_older_software_does_not_deploy_over_a_newer_release(deployed: Project) -> None:
    path = production(deployed) / "releases/000007"
    path.mkdir()
    newer = deployed.json("production_deployment/manifest.json") | {"format": 2, "version": 7}
    (path / "manifest.json").write_text(json.dumps(with_checksum(newer)))
    for arguments in ([], ["--list"], ["--rollback"]):
        done = deployed.run("deployment.py", *arguments, check=False)
        assert done.returncode == 1 and done.stderr.endswith(
            "/000007/manifest.json was written by a newer version of this software; "
            "update the software\n"
        )
    assert current_version(deployed.config) == 1


def test_deploying_never_unpickles(deployed: Project) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv = ['deployment.py']\n"
        "import builtins, pickle\n"
        "def no(*_, **__): raise SystemExit('unpickled')\n"
        "pickle.load = pickle.loads = pickle.Unpickler = no\n"
        f"from risk.config import load; import deployment\n"
        f"deployment.deploy(load({str(deployed.config.path)!r}))\n"
        "assert not {'sklearn', 'pandas', 'polars'} & set(sys.modules)\n"
    )
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code) == 0

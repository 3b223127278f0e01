"""The score is scikit-learn's F1 on the test data, with all that puts it in its place."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Project, client_rows
from sklearn import metrics

import scoring
from ingestion import ingest
from risk.config import PipelineError
from risk.files import with_checksum
from risk.model import measures
from risk.model.model import Model
from risk.model.pipelines import rows_of_frame
from training import train


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a model was trained; only copied."""
    project = Project(tmp_path_factory.mktemp("trained"))
    project.write("sourcedata/one.csv", client_rows(120, seed=1))
    project.write("testdata/testdata.csv", client_rows(80, seed=3))
    ingest(project.config)
    train(project.config)
    return project.folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Project:
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path)


def truth(project: Project, *names: str) -> tuple[np.ndarray, np.ndarray]:
    """(labels, probabilities by the JSON model) of test files read by pandas."""
    frame = pd.concat([pd.read_csv(project.folder / "testdata" / name) for name in names])
    model = Model.from_bytes(project.config.model_json.read_bytes())
    return frame["exited"].to_numpy(), model.probabilities(rows_of_frame(frame, model.columns))


def no_test_rows(project: Project) -> None:
    (project.folder / "testdata/testdata.csv").unlink()


def test_the_score_file_is_scikit_learns_f1_and_nothing_else(trained: Project) -> None:
    done = trained.run("scoring.py")
    y, p = truth(trained, "testdata.csv")
    expected = metrics.f1_score(y, p >= 0.5)
    assert (
        trained.text("models/latestscore.txt")
        == f"{expected!r}\n"
        == trained.text("logs/latestscore.txt")
    )
    low, high = measures.f1_interval(y, p >= 0.5)
    least, most = measures.auc_interval(y, p)
    everybody = metrics.f1_score(y, np.ones(80, dtype=int))
    assert done.stdout == (
        f"F1 {expected:.3f} (95 % {low:.3f} to {high:.3f}) and "
        f"AUC {metrics.roc_auc_score(y, p):.3f} ({least:.3f} to {most:.3f}) on 80 test rows\n"
    )
    told = trained.run("scoring.py", "-v").stdout
    assert f"calling everybody an exit scores {everybody:.3f}\n" in told


def test_the_json_beside_it_holds_the_rest(trained: Project) -> None:
    outcome = scoring.score(trained.config)
    y, p = truth(trained, "testdata.csv")
    found, called = trained.json("models/latestscore.json"), (p >= 0.5).astype(int)
    assert found == outcome.data
    raw = (trained.folder / "testdata/testdata.csv").read_bytes()
    assert {
        key: found[key]
        for key in (
            "basis",
            "n",
            "exits",
            "f1",
            "precision",
            "recall",
            "test_files",
            "test_sha256",
            "rows_set_aside",
            "rows_equal_to_training",
            "trainedmodel_sha256",
        )
    } == {
        "basis": "test data",
        "n": 80,
        "exits": int(y.sum()),
        "f1": metrics.f1_score(y, called),
        "precision": metrics.precision_score(y, called),
        "recall": metrics.recall_score(y, called),
        "test_files": ["testdata.csv"],
        "test_sha256": hashlib.sha256(
            f"testdata.csv {hashlib.sha256(raw).hexdigest()}\n".encode()
        ).hexdigest(),
        "rows_set_aside": 0,
        "rows_equal_to_training": 0,
        "trainedmodel_sha256": hashlib.sha256(trained.config.model_pickle.read_bytes()).hexdigest(),
    }
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(y, p))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(y, p))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p))
    assert found["f1_interval"][0] < found["f1"] < found["f1_interval"][1]
    assert found["base_rate"]["risk"] == np.mean(
        [line[-1] == "1" for line in client_rows(120, seed=1)]
    )
    assert found["scored_at"].endswith("Z")


def test_several_test_files_are_joined_in_the_order_of_their_paths(trained: Project) -> None:
    trained.write("testdata/b/late.csv", client_rows(30, seed=5))
    trained.write("testdata/a.csv", client_rows(20, seed=6))
    found = scoring.score(trained.config).data
    y, p = truth(trained, "a.csv", "b/late.csv", "testdata.csv")
    assert (found["n"], found["test_files"]) == (130, ["a.csv", "b/late.csv", "testdata.csv"])
    assert found["f1"] == metrics.f1_score(y, p >= 0.5)


@pytest.mark.parametrize(("name", "change"), [("testdata.csv", "\n"), ("renamed.csv", "")])
def test_other_test_data_have_another_digest(trained: Project, name: str, change: str) -> None:
    before = scoring.score(trained.config).data["test_sha256"]
    path = trained.folder / "testdata/testdata.csv"
    path.write_text(path.read_text() + change)
    path.rename(path.with_name(name))
    assert scoring.score(trained.config).data["test_sha256"] != before


@pytest.mark.parametrize(
    "raw", [b"", b"one,two\n1,2\n", b"\x1f\x8b\x08\x00", b'corporation,"open\n']
)
def test_a_test_file_that_cannot_be_read_is_named(trained: Project, raw: bytes) -> None:
    trained.write("testdata/extra.csv", raw)
    with pytest.raises(PipelineError, match=r"test file testdata/extra\.csv: "):
        scoring.score(trained.config)
    assert not trained.config.score.exists()


def test_bad_rows_are_left_out_and_counted(trained: Project) -> None:
    trained.write(
        "testdata/testdata.csv", [*client_rows(80, seed=3), "x,-1,2,3,1", "y,1,2,3,7", ",1,2,3,1"]
    )
    found = scoring.score(trained.config).data
    assert (found["n"], found["rows_set_aside"]) == (80, 3)


def test_each_row_three_times_is_scored_as_once(trained: Project) -> None:
    path = trained.folder / "testdata/testdata.csv"
    head, *rows = path.read_text().splitlines()
    once = scoring.score(trained.config).data
    path.write_text("\n".join([head, *rows * 3, ""]))
    thrice = scoring.score(trained.config)
    measures = ("n", "exits", "f1", "f1_interval", "auc", "auc_interval", "brier")
    assert [thrice.data[key] for key in measures] == [once[key] for key in measures]
    assert "160 test rows repeat others and count once" in thrice.details


def test_rows_without_a_label_are_not_scored(trained: Project) -> None:
    trained.write("testdata/testdata.csv", [*client_rows(80, seed=3), "now1,1,2,3,", "now2,,,,"])
    assert scoring.score(trained.config).data["n"] == 80


def test_test_rows_that_were_trained_on_are_counted(trained: Project) -> None:
    trained.write(
        "testdata/testdata.csv", [*client_rows(80, seed=3), *client_rows(120, seed=1)[:7]]
    )
    assert scoring.score(trained.config).data["rows_equal_to_training"] == 7


@pytest.mark.parametrize("rows", [None, [], ["a,1,2,3,", "b,1,2,3,"]])
def test_without_a_labelled_test_row_the_basis_is_cross_validation(
    trained: Project, rows: list[str] | None
) -> None:
    no_test_rows(trained)
    if rows is not None:
        trained.write("testdata/testdata.csv", rows)
    said = trained.run("scoring.py").stdout
    found = trained.json("models/latestscore.json")
    assert (found["basis"], found["n"]) == ("cross-validation", 120)
    assert "on 120 training rows by cross-validation (there is no labelled test row)" in said
    assert 0.5 < found["f1"] < 0.95 and 0.7 < found["auc"] < 0.95
    assert trained.text("models/latestscore.txt") == f"{found['f1']!r}\n"


def test_cross_validation_gives_the_same_score_again(trained: Project) -> None:
    no_test_rows(trained)
    first, second = (scoring.score(trained.config).data for _ in range(2))
    assert first | {"scored_at": ""} == second | {"scored_at": ""}


def test_cross_validation_needs_the_rows_that_were_trained_on(trained: Project) -> None:
    no_test_rows(trained)
    trained.write("sourcedata/two.csv", client_rows(30, seed=2))
    ingest(trained.config)
    with pytest.raises(
        PipelineError, match="have changed since the model was trained; run training.py again"
    ):
        scoring.score(trained.config)


def test_a_model_of_another_recipe_is_not_cross_validated(trained: Project) -> None:
    no_test_rows(trained)
    with pytest.raises(PipelineError, match="the recipe have changed since the model was trained"):
        scoring.score(trained.configure(model="original"))


def test_the_two_forms_of_different_trainings_are_refused(trained: Project) -> None:
    pickled = trained.config.model_pickle.read_bytes()
    trained.write("sourcedata/two.csv", client_rows(30, seed=2))
    ingest(trained.config)
    train(trained.config)
    trained.config.model_pickle.write_bytes(pickled)
    done = trained.run("scoring.py", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: {trained.config.model_pickle} and model.json are of different trainings; "
        "run training.py again; type: "
    )
    assert not trained.config.score.exists()


@pytest.mark.parametrize("name", ["trainedmodel.pkl", "model.json"])
def test_a_missing_model_says_to_train(trained: Project, name: str) -> None:
    (trained.folder / "models" / name).unlink()
    with pytest.raises(PipelineError, match=f"no {name} at .*; run training.py first"):
        scoring.score(trained.config)


def test_scoring_never_unpickles(trained: Project) -> None:
    bomb = b"cos\nsystem\n(S'touch " + str(trained.folder / "ran").encode() + b"'\ntR."
    trained.config.model_pickle.write_bytes(bomb)
    body = json.loads(trained.config.model_json.read_bytes())
    body["lineage"]["trainedmodel_sha256"] = hashlib.sha256(bomb).hexdigest()
    trained.config.model_json.write_text(json.dumps(with_checksum(body)))
    trained.run("scoring.py")
    assert not (trained.folder / "ran").exists()


@pytest.mark.parametrize(
    "columns",
    [
        {"features": ["lastmonth_activity", "lastyear_activity"]},
        {"features": ["lastmonth_activity", "lastyear_activity", "number_of_employees", "orders"]},
        {
            "features": {
                "lastmonth_activity": "text",
                "lastyear_activity": "number",
                "number_of_employees": "number",
            },
            "non_negative": [],
        },
    ],
)
def test_a_model_of_other_features_is_refused(trained: Project, columns: dict[str, object]) -> None:
    with pytest.raises(
        PipelineError, match="trained with other features than .*config.json has now"
    ):
        scoring.score(trained.configure(columns=columns))


@pytest.mark.parametrize("rate", [None, "0.5", 1.5, True])
def test_a_model_without_its_base_rate_is_refused(trained: Project, rate: object) -> None:
    body = json.loads(trained.config.model_json.read_bytes())
    body["lineage"]["base_rate"] = rate
    trained.config.model_json.write_text(json.dumps(with_checksum(body)))
    with pytest.raises(PipelineError, match="does not say how many of its rows were exits"):
        scoring.score(trained.config)


def test_a_finaldata_changed_since_leaves_the_overlap_unknown(trained: Project) -> None:
    trained.config.finaldata.write_text("changed by hand\n")
    assert scoring.score(trained.config).data["rows_equal_to_training"] is None


def test_hidden_folders_hold_no_test_data(trained: Project) -> None:
    trained.write("testdata/.ipynb_checkpoints/testdata.csv", client_rows(80, seed=3))
    assert scoring.score(trained.config).data["n"] == 80


def test_test_rows_are_judged_only_when_the_horizon_has_passed(trained: Project) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    no_test_rows(trained)
    for days, rows in ((31, 40), (30, 20), (0, 10)):
        trained.write(
            f"testdata/{today - datetime.timedelta(days=days)}.csv", client_rows(rows, seed=days)
        )
    assert scoring.score(trained.configure(horizon_days=30)).data["n"] == 40
    assert scoring.score(trained.configure(horizon_days=0)).data["n"] == 70

"""Training fits what was asked, refuses what cannot be learned, and keeps the old model then."""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, Project, client_rows, real_data

from ingestion import ingest
from risk.config import Config, PipelineError
from risk.data.snapshot import TrainingRows, read_snapshot, training_rows
from risk.files import file_sha256
from risk.model import fit as fitting
from risk.model import sampling
from risk.model.model import Model
from risk.model.pipelines import rows_of_frame
from training import train

FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
UNPICKLE = """
import pickle, sys
import pandas as pd
frame = pd.read_csv(sys.argv[2])
model = pickle.load(open(sys.argv[1], "rb"))
straight = model.predict_proba(frame)[:, 1]
turned = model.predict_proba(frame[frame.columns[::-1]])[:, 1]
assert (straight == turned).all()
print(straight.tolist())
"""


def unpickled(project: Project, **environment: str) -> list[float] | str:
    """Probabilities of finaldata.csv by the pickle in a process far from here, or its error."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            UNPICKLE,
            str(project.config.model_pickle),
            str(project.config.finaldata),
        ],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found: list[float] = json.loads(done.stdout) if not done.returncode else []
    return found or done.stderr.splitlines()[-1]


def served(project: Project) -> np.ndarray:
    """Probabilities of finaldata.csv by the JSON model."""
    model = Model.from_bytes(project.config.model_json.read_bytes())
    frame = pd.read_csv(project.config.finaldata)
    return model.probabilities(rows_of_frame(frame, model.columns))


def ingested(project: Project, rows: Iterable[str], name: str = "rows.csv") -> Config:
    """The config after these rows, and no others, were ingested."""
    for path in (project.folder / "sourcedata").iterdir():
        path.unlink()
    project.write(f"sourcedata/{name}", rows)
    ingest(project.config)
    return project.config


@pytest.mark.parametrize(
    ("folder", "score"), [("practicedata", 0.5714285714285714), ("sourcedata", 0.3333333333333333)]
)
def test_the_originals_numbers_come_out(tmp_path: Path, folder: str, score: float) -> None:
    project = Project(
        tmp_path,
        model="original",
        input_folder_path=str(real_data("original", folder)),
        test_data_path=str(real_data("original", "testdata")),
    )
    for script in ("ingestion.py", "training.py", "scoring.py"):
        project.run(script)
    assert project.text("models/latestscore.txt") == f"{score!r}\n"
    assert project.text("logs/latestscore.txt") == f"{score!r}\n"
    assert project.json("models/latestscore.json")["n"] == 5


def test_the_originals_pickle_needs_scikit_learn_alone(project: Project) -> None:
    ingest(project.configure(model="original"))
    project.run("training.py")
    found = unpickled(project)
    assert isinstance(found, list) and np.abs(np.array(found) - served(project)).max() <= 1e-12


def test_the_default_pickle_needs_the_project_on_the_path(project: Project) -> None:
    ingest(project.config)
    project.run("training.py")
    assert unpickled(project) == "ModuleNotFoundError: No module named 'risk'"
    found = unpickled(project, PYTHONPATH=str(ROOT))
    assert isinstance(found, list) and np.abs(np.array(found) - served(project)).max() <= 1e-12


def test_the_model_says_where_it_comes_from(project: Project) -> None:
    ingest(project.config)
    done = project.run("training.py", "--json")
    lineage = json.loads(done.stdout)
    raw = project.config.model_pickle.read_bytes()
    assert lineage["data_sha256"] == file_sha256(project.config.finaldata)
    assert lineage["trainedmodel_sha256"] == hashlib.sha256(raw).hexdigest()
    assert (lineage["rows"], lineage["recipe"], lineage["seed"], lineage["data_version"]) == (
        120,
        "default",
        0,
        1,
    )
    assert lineage["base_rate"] == lineage["exits"] / 120
    assert lineage["trained_at"].endswith("Z") and lineage["warnings"] == []
    assert set(lineage["versions"]) == {"python", "scikit-learn", "numpy", "pandas", "polars"}
    assert Model.from_bytes(project.config.model_json.read_bytes()).lineage == lineage


def test_the_same_rows_give_the_same_pickle(project: Project) -> None:
    ingest(project.config)
    project.run("training.py")
    before = project.config.model_pickle.read_bytes()
    project.run("training.py")
    assert project.config.model_pickle.read_bytes() == before


def rows_with(labels: str) -> list[str]:
    return [
        f"c{at},{at * 7 % 11},{at * 5 % 13},{at},{label.strip()}" for at, label in enumerate(labels)
    ]


CONSTANT = [f"c{at},1,2,3,{at % 2}" for at in range(20)]
MISSING = [f"c{at},,,,{at % 2}" for at in range(20)]
TEXTS = [f"c{at},low,1,2,{at % 2}" for at in range(20)]


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (
            rows_with("010101010"),
            {},
            r"9 labelled rows \(4 exits, 5 stays\) are too few: training needs 10 with 3 ",
        ),
        (rows_with("110000000000"), {}, r"12 labelled rows \(2 exits, 10 stays\) are too few"),
        (rows_with("111111111100"), {}, r"12 labelled rows \(10 exits, 2 stays\) are too few"),
        (rows_with("1" * 20), {}, r"20 labelled rows \(20 exits, 0 stays\) are too few"),
        (rows_with(" " * 20), {}, r"0 labelled rows \(0 exits, 0 stays\) are too few"),
        ([], {}, r"0 labelled rows \(0 exits, 0 stays\) are too few"),
        (MISSING, {}, r"every feature is missing in every labelled row; nothing can be learned"),
        (CONSTANT, {}, r"no feature has two different values; nothing can be learned"),
        (CONSTANT, {"model": "original"}, r"no feature has two different values"),
        (
            TEXTS,
            {"model": "original", "columns": {"non_negative": []}},
            r'"model": "original" takes numbers only, and \'lastmonth_activity\' is a text',
        ),
        (
            [*rows_with("01" * 10), "c99,1e31,1,1,1"],
            {"model": "original"},
            r"the recipe 'original' cannot be fitted to these rows: .*1e30",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused_and_the_old_model_stays(
    project: Project, rows: list[str], settings: dict[str, Any], said: str
) -> None:
    project.configure(**settings)
    config = ingested(project, rows)
    for path in (config.model_pickle, config.model_json):
        path.parent.mkdir(exist_ok=True)
        path.write_text("the old model")
    with pytest.raises(PipelineError, match=said):
        train(config)
    assert {p.name: p.read_text() for p in config.model_folder.iterdir()} == {
        "trainedmodel.pkl": "the old model",
        "model.json": "the old model",
    }


def test_a_refusal_is_one_line_and_exit_code_1(project: Project) -> None:
    ingested(project, rows_with("1" * 20))
    done = project.run("training.py", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: 20 labelled rows (20 exits, 0 stays) are too few: training needs 10 "
        "with 3 of each; add files with labels to the input folder and ingest them\n"
    )


def test_ten_rows_with_three_of_a_class_train(project: Project) -> None:
    found, _ = train(ingested(project, rows_with("1110000000")))
    assert (
        found.text.splitlines()[0]
        == "trained on 10 labelled rows (3 exits): models/trainedmodel.pkl"
    )


def test_a_file_put_there_by_hand_trains_without_a_store(project: Project) -> None:
    path = project.write("ingesteddata/finaldata.csv", client_rows(40, seed=9))
    assert train(project.config)[0].text.startswith("trained on 40 labelled rows")
    lineage = Model.from_bytes(project.config.model_json.read_bytes()).lineage
    assert (lineage["data_version"], lineage["data_sha256"]) == (0, file_sha256(path))


def test_without_rows_training_says_to_ingest(project: Project) -> None:
    done = project.run("training.py", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    said, _, command = done.stderr.partition("; type: ")
    assert said == f"error: no rows at {project.config.finaldata}; run ingestion.py first"
    # As a person would, from anywhere.
    project.write("sourcedata/one.csv", client_rows(5))
    typed = subprocess.run(command, shell=True, cwd="/tmp", capture_output=True, text=True)
    assert (typed.returncode, typed.stderr) == (0, "")
    assert typed.stdout.startswith("read 65 rows of 2 files")


def rows_of(config: Config) -> TrainingRows:
    return training_rows(config, read_snapshot(config))


def test_rows_without_a_label_are_not_trained_on(project: Project) -> None:
    known = client_rows(40, seed=4)
    without = rows_of(ingested(project, known))
    project.write(
        "sourcedata/now.csv", [f"{line.rpartition(',')[0]}," for line in client_rows(30, seed=5)]
    )
    ingest(project.config)
    both = rows_of(project.config)
    assert both.features.equals(without.features)
    assert both.labels.tolist() == without.labels.tolist() == [int(line[-1]) for line in known]


def test_labels_are_used_only_when_the_horizon_has_passed(project: Project) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    for path in (project.folder / "sourcedata").iterdir():
        path.unlink()
    for days, seed in ((31, 1), (30, 2), (1, 3)):
        day = today - datetime.timedelta(days=days)
        project.write(f"sourcedata/{day}.csv", client_rows(30, seed=seed, prefix=f"d{days}_"))
    config = project.configure(horizon_days=30)
    ingest(config)
    assert {client.split("_")[0] for client in rows_of(config).clients} == {"d31"}
    assert len(rows_of(project.configure(horizon_days=0)).labels) == 90


def leaky(kind: str) -> list[str]:
    rng = np.random.default_rng(0)
    made = []
    for at in range(100):
        y = at % 3 == 0
        cell = {
            "number": f"{(5 if y else 50) + rng.integers(0, 9)}",
            "missing": "" if y else f"{rng.integers(9)}",
            "text": "closed" if y else ["open", "paused"][at % 2],
            "missing text": "" if y else f"t{at % 4}",
            "names": f"n{at}",
            "honest": f"{rng.integers(99)}",
        }[kind]
        made.append(f"c{at},{cell},{rng.integers(99)},{rng.integers(99)},{y:d}")
    return made


ALONE = "lastmonth_activity alone orders the labels almost perfectly (AUC > .99)"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("number", ALONE),
        # One value of it gives those away who left: as if it was measured afterwards.
        ("missing", "lastmonth_activity is empty for 34 of 34 who left and for 0 of 66 others"),
        ("text", "lastmonth_activity is closed for 34 of 34 who left and for 0 of 66 others"),
        ("missing text", "lastmonth_activity is empty for 34 of 34 who left and for 0 of 66"),
        ("names", ""),
        ("honest", ""),
    ],
)
def test_a_column_that_is_nearly_the_answer_is_warned_of(
    project: Project, kind: str, words: str
) -> None:
    project.configure(columns={"non_negative": []})
    said = train(ingested(project, leaky(kind)))[0].text
    warnings = Model.from_bytes(project.config.model_json.read_bytes()).lineage["warnings"]

    assert len(warnings) == bool(words) == said.count("warning: ")
    assert f"warning: {words}" in said or not words


def test_a_solver_that_stopped_early_is_said(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole = ingested(project, client_rows(100)), fitting.unfitted_pipeline
    limit = "the solver stopped at its limit of iterations; the numbers are of very unlike size"
    assert limit not in train(config)[0].text
    monkeypatch.setattr(
        fitting,
        "unfitted_pipeline",
        lambda *given: whole(*given).set_params(regression__max_iter=1),
    )
    assert f"warning: {limit}" in train(config)[0].text


def test_out_of_fold_judges_a_client_by_a_model_that_never_saw_it() -> None:
    rng = np.random.default_rng(0)
    clients = np.repeat([f"c{at}" for at in range(40)], 5)
    y = np.repeat(rng.integers(0, 2, 40), 5)
    frame = pd.DataFrame({"name": clients})
    fold = sampling.folds(y, clients)
    assert pd.Series(fold).groupby(clients).nunique().max() == 1
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]
    risk = fitting.out_of_fold("default", {"name": "text"}, frame, y, clients)
    # A text that names the client is worth nothing without that client's own rows.
    assert all(len(set(np.round(risk[fold == number], 9))) == 1 for number in range(5))


def test_folds_are_alike_in_size_and_in_exits() -> None:
    y = np.array([1] * 50 + [0] * 450)
    fold = sampling.folds(y, np.arange(500))
    assert np.bincount(fold).tolist() == [100] * 5
    assert np.bincount(fold, weights=y).tolist() == [10] * 5
    assert (fold == sampling.folds(y, np.arange(500))).all()


def test_out_of_fold_on_the_fewest_rows_still_answers() -> None:
    y = np.array([1, 1, 1] + [0] * 7)
    risk = fitting.out_of_fold(
        "default", {"x": "number"}, pd.DataFrame({"x": np.arange(10.0)}), y, np.arange(10)
    )
    assert risk.shape == (10,) and np.all((risk > 0) & (risk < 1))

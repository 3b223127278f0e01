"""Diagnostics: predictions, statistics, times, outdated packages, and whether runs are alive."""

from __future__ import annotations

import datetime
import io
import json
import os
import pickle
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import HEADER, Project, client_rows
from driver import OFFLINE, copy_of, edit_marker, first_deployed, new_project

import diagnostics
from risk.calllist.gains import known_gains
from risk.files import project_lock, utc_now
from risk.model.deployed import read_deployed
from risk.run import packages
from risk.run.alive import status
from risk.run.measured import last_measured, statistics

FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def pickled(project: Project, table: Path) -> Any:
    model = pickle.loads((project.folder / "production_deployment/trainedmodel.pkl").read_bytes())
    frame = pd.read_csv(table)
    return model.predict(frame[FEATURES]), model.predict_proba(frame[FEATURES])[:, 1]


# ---------------------------------------------------------------- predictions


def test_predictions_are_those_of_the_pickled_model_for_the_test_data(deployed: Project) -> None:
    classes, risks = pickled(deployed, deployed.folder / "testdata/testdata.csv")

    found = diagnostics.predictions(deployed.config)

    assert found["predictions"] == classes.tolist() and found["rows"] == 80
    assert found["probabilities"] == pytest.approx(risks.tolist(), abs=1e-12)
    assert (found["file"], found["model_version"]) == ("testdata", 1)


def test_a_file_of_ones_own_is_predicted_with_blanks_and_without_labels(deployed: Project) -> None:
    rows = [row.rpartition(",")[0] for row in client_rows(9, seed=4)]
    path = deployed.write("mine.csv", [*rows, "blank,,600,"], header=HEADER.rpartition(",")[0])
    classes, risks = pickled(deployed, path)

    done = deployed.run("diagnostics.py", "--file", str(path), "--json")

    found = json.loads(done.stdout)
    assert found["predictions"] == classes.tolist()
    assert found["probabilities"] == pytest.approx(risks.tolist(), abs=1e-12)
    assert found["clients"][-1] == "blank"


@pytest.mark.parametrize(("content", "said"), [
    (None, "cannot read {file}: No such file or directory"),
    ("corporation,lastmonth_activity\na,1\n", "{file}: "),
    (f"{HEADER}\na,1,2,3,\nb,x,2,3,\n",
     "{file}: 1 bad rows, the first on line 3: lastmonth_activity not a number (x)"),
], ids=["absent", "without the model's columns", "with a bad row"])  # fmt: skip
def test_a_file_that_cannot_be_predicted_is_refused_in_one_line(
    deployed: Project, content: str | None, said: str
) -> None:
    path = deployed.folder / "mine.csv"
    if content is not None:
        path.write_text(content)

    done = deployed.run("diagnostics.py", "--file", str(path), check=False)

    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert said.format(file=path) in done.stderr and done.stdout == ""


def test_a_file_is_shown_as_csv_with_reasons_that_pandas_reads_back(deployed: Project) -> None:
    path = deployed.write("mine.csv", client_rows(9, seed=4))
    classes, risks = pickled(deployed, path)

    done = deployed.run("diagnostics.py", "--file", str(path))

    found = pd.read_csv(io.StringIO(done.stdout))
    assert found["client"].tolist() == pd.read_csv(path)["corporation"].tolist()
    assert found["prediction"].tolist() == classes.tolist()
    assert found["risk"].tolist() == pytest.approx(risks.tolist(), abs=5.1e-7)
    assert found["reason_1"].str.contains(r" \(usually .*\): \+[0-9.]+ points$").any()


@pytest.mark.parametrize(("option", "said"), [
    (("--file", "{}/sourcedata/one.csv"), "client1_3"), (("--client", "client1_3"), "client1_3"),
    (("--model",), "model version 1"),
])  # fmt: skip
def test_explaining_waits_for_no_run_and_changes_no_file(
    deployed: Project, option: tuple[str, ...], said: str
) -> None:
    option = tuple(word.format(deployed.folder) for word in option)
    before = {p: p.stat().st_mtime_ns for p in deployed.folder.rglob("*") if "logs" not in p.parts}

    with project_lock(deployed.config, "training.py", 0):
        held = {p: p.stat().st_mtime_ns for p in before}
        done = deployed.run("diagnostics.py", *option)

    assert said in done.stdout
    assert {p: p.stat().st_mtime_ns for p in before} == held


@pytest.mark.parametrize("asked", [("--file", "x.csv"), ("--client", "x"), ("--model",)])
def test_explaining_without_a_model_says_what_to_type(
    tmp_path: Path, asked: tuple[str, str]
) -> None:
    done = new_project(tmp_path).run("diagnostics.py", *asked, check=False)

    assert done.returncode == 1 and done.stderr.startswith("error: nothing is deployed")


def test_the_deployed_model_is_shown_by_column_with_every_effect(deployed: Project) -> None:
    lineage = deployed.json("production_deployment/manifest.json")

    said = deployed.run("diagnostics.py", "--model").stdout
    found = json.loads(deployed.run("diagnostics.py", "--model", "--json").stdout)

    lines = said.splitlines()
    assert lines[0] == (
        f"model version 1 (default), trained on 120 rows, {found['exits']} of them exits"
    )
    assert (found["model_version"], found["rows"]) == (1, lineage["rows"])
    heads = [" ".join(item["columns"]).replace("_", " ") for item in found["effects"]]
    assert {*heads} == {name.replace("_", " ") for name in FEATURES}
    assert [line.split(" (")[0] for line in lines if " (usually " in line] == heads
    widths = [item["high"] - item["low"] for item in found["effects"]]
    assert widths == sorted(widths, reverse=True) and widths[0] > 1
    shown = [line for line in lines if line.startswith("   ")]
    entries = [entry for item in found["effects"] for entry in item["effects"]]
    assert shown == [f"  {round(e['effect'], 2) + 0.0:+6.2f}  {e['risk']:4.0%}  {e['text']}"
                     for e in entries]  # fmt: skip


def test_the_effects_of_a_client_add_up_to_the_risk(deployed: Project) -> None:
    """What --model shows is what a prediction is made of, here at the model's own values."""
    found = json.loads(deployed.run("diagnostics.py", "--model", "--json").stdout)
    chosen = {item["columns"][0]: item["effects"][1] for item in found["effects"]}
    row = ",".join(repr(chosen[name]["value"]) for name in FEATURES)
    path = deployed.write("mine.csv", [f"a,{row},"])

    (risk,) = diagnostics.predictions(deployed.config, path)["probabilities"]

    model = read_deployed(deployed.config).model
    total = model.intercept + sum(entry["effect"] for entry in chosen.values())
    assert np.log(risk / (1 - risk)) == pytest.approx(total, abs=1e-9)


# ---------------------------------------------------------------- what calls reach


def calls_lines(project: Project) -> list[str]:
    lines = project.run("diagnostics.py").stdout.splitlines()
    first = next(n for n, text in enumerate(lines) if text.startswith("what calls reach"))
    last = next(n for n, text in enumerate(lines) if "expected before any label" in text)
    return lines[first:last]


def test_what_calls_reach_is_shown_at_every_share_and_at_the_lists_own_cut(
    deployed: Project,
) -> None:
    score = deployed.json("production_deployment/latestscore.json")
    deployed.configure(port=9, capacity=3)
    deployed.run("reporting.py")

    found = json.loads(deployed.run("diagnostics.py", "--json").stdout)["calls"]
    lines = calls_lines(deployed)

    own = deployed.json("models/clients_at_risk.json")["cut"]["cumulative_gains"]
    assert found == {"basis": "test data", "n": 80, "list": own, "profit": None,
                     "cumulative_gains": score["cumulative_gains"]}  # fmt: skip
    assert lines[0] == "what calls reach, by 80 test rows (95 % intervals)"
    shares = [text.split("  ")[1] for text in lines[2:]]
    assert shares == [f"{own['share']:.1%} (the list)", "5%", "10%", "20%", "30%", "50%",
                      "at random"]  # fmt: skip
    half, (low, high) = (
        score["cumulative_gains"][-1],
        score["cumulative_gains"][-1]["lift_interval"],
    )
    assert lines[-2].endswith(f"{half['lift']:.1f} ({low:.1f} to {high:.1f})")


def test_the_best_profit_is_by_the_economics_of_now(deployed: Project) -> None:
    deployed.configure(port=9, contact_cost=30, client_value=200, success_rate=0.25)

    found = known_gains(deployed.config, read_deployed(deployed.config))

    assert found is not None
    best = {e["share"]: e for e in found["cumulative_gains"]}[found["profit"]["share"]]
    earned = 100 * (0.25 * 200 * best["left"] - 30 * best["called"]) / 80
    assert found["profit"]["per_100_clients"] == pytest.approx(earned)
    assert calls_lines(deployed)[-1].startswith("  most profitable: calls to the riskiest ")


def test_the_list_of_another_model_is_no_cut_of_this_one(deployed: Project) -> None:
    path = deployed.folder / "models/clients_at_risk.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_version": 2}))

    found = known_gains(deployed.config, read_deployed(deployed.config))

    assert found is not None and found["list"] is None


# ---------------------------------------------------------------- statistics


def test_mean_median_deviation_and_missing_are_those_of_pandas(tmp_path: Path) -> None:
    project = new_project(tmp_path)
    rows = [*client_rows(40, seed=1), "blank,,7,,1", "half,2.5,1e3,,0", "open,1,1,1,"]
    project.write("sourcedata/one.csv", rows)
    project.run("ingestion.py")
    frame = pd.read_csv(tmp_path / "ingesteddata/finaldata.csv")

    found = statistics(project.config)
    missing = last_measured(project.config)["missing_percent"]

    assert found["rows"] == 43 and set(found["columns"]) == {*FEATURES, "exited"}
    for name, column in found["columns"].items():
        assert column["mean"] == pytest.approx(frame[name].mean(), rel=1e-12)
        assert column["median"] == frame[name].median()
        assert column["std"] == pytest.approx(frame[name].std(), rel=1e-12)
        assert column["count"] == frame[name].count()
    expected = (frame.isna().mean() * 100).round(4).to_dict()
    assert missing == pytest.approx(expected) and missing["number_of_employees"] > 4


def test_before_the_first_ingestion_nothing_is_known_and_nothing_fails(tmp_path: Path) -> None:
    config = new_project(tmp_path).config

    assert statistics(config) == {"rows": 0, "measured_at": None, "columns": {}}
    known = last_measured(config)
    assert known["timings"] == {"ingestion": None, "training": None}
    assert known["missing_percent"] == {}


# ---------------------------------------------------------------- times


def test_the_times_are_those_of_the_last_run_that_had_work_to_do(deployed: Project) -> None:
    first = last_measured(deployed.config)["timings"]
    deployed.run("ingestion.py")
    same = last_measured(deployed.config)["timings"]
    deployed.run("training.py")
    trained = last_measured(deployed.config)["timings"]

    assert 0 < first["ingestion"]["seconds"] < 60 and first["ingestion"]["measured_at"][-1] == "Z"
    assert same == first
    assert trained["ingestion"] == first["ingestion"] and trained["training"] != first["training"]


def test_fresh_times_are_measured_elsewhere_and_change_nothing(deployed: Project) -> None:
    def state() -> dict[str, tuple[int, int]]:
        files = sorted(p for p in deployed.folder.rglob("*") if p.is_file())
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    before = state()

    found = json.loads(deployed.run("diagnostics.py", "--fresh", "--json").stdout)

    assert state() == before
    assert found.keys() == {"ingestion", "training"}
    assert all(0.05 < times["seconds"] < 60 for times in found.values())


def test_fresh_times_of_data_that_cannot_be_trained_on_say_why(tmp_path: Path) -> None:
    project = new_project(tmp_path)
    project.write("sourcedata/one.csv", client_rows(4, seed=1))

    done = project.run("diagnostics.py", "--fresh", check=False)

    assert done.returncode == 1
    assert "training.py fails on a scratch copy" in done.stderr and "too few" in done.stderr


# ---------------------------------------------------------------- packages


def answers(probe: int, listed: str) -> Any:
    """A pip that answers the question for one package, then the one for all."""

    def pip(*words: str) -> subprocess.CompletedProcess[str]:
        code = probe if words[0] == "index" else 0
        return subprocess.CompletedProcess(words, code, stdout=listed, stderr="")

    return pip


FLASK = {"name": "flask", "version": "2.0", "latest_version": "3.1", "latest_filetype": "wheel"}
OUTDATED = json.dumps([FLASK])


def test_an_index_that_cannot_be_reached_is_unknown_and_never_none(deployed: Project) -> None:
    (deployed.folder / "state/packages.json").unlink()

    done = deployed.run("diagnostics.py", "--json", **OFFLINE)

    found = json.loads(done.stdout)["packages"]
    assert found["status"] == "unknown" and found["outdated"] == []
    assert "cannot be reached" in found["reason"] and found["measured_at"]
    text = deployed.text("logs/outdated.txt")
    assert "unknown (the package index cannot be reached" in text and "none" not in text
    assert packages.last_packages(deployed.config) == found


def test_outdated_packages_are_named_with_version_latest_and_type(
    deployed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deployed.folder / "state/packages.json").unlink()
    monkeypatch.setattr(packages, "_pip", answers(0, OUTDATED))

    found = packages.refresh_packages(deployed.config)

    assert found["status"] == "known"
    assert found["outdated"] == [
        {"package": "flask", "version": "2.0", "latest": "3.1", "type": "wheel"}
    ]
    assert deployed.text("logs/outdated.txt").splitlines()[2].split() == [
        "flask", "2.0", "3.1", "wheel"]  # fmt: skip
    assert packages.packages_line(found) == "outdated packages: 1"


@pytest.mark.parametrize(("pip", "status", "line"), [
    (answers(0, "[]"), "known", "outdated packages: 0"),
    (answers(1, OUTDATED), "unknown", "cannot be reached, or pip is not installed"),
    (answers(0, ""), "unknown", "pip's answer could not be read"),
    (answers(0, '[{"nome": 1}]'), "unknown", "pip's answer could not be read"),
    (answers(0, "7"), "unknown", "pip's answer could not be read"),
])  # fmt: skip
def test_what_pip_answers(
    monkeypatch: pytest.MonkeyPatch, pip: Any, status: str, line: str
) -> None:
    monkeypatch.setattr(packages, "_pip", pip)

    found = packages.ask_pip()

    assert found["status"] == status and line in packages.packages_line(found)


def test_a_pip_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PIP_SECONDS", 0.01)

    found = packages.ask_pip()

    assert (found["status"], found["reason"]) == ("unknown", "pip did not answer within 0.01 s")


def looked_up(hours: float, **changed: Any) -> dict[str, Any]:
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
    known = {"status": "known", "measured_at": then.isoformat(), "outdated": [], "reason": ""}
    return {**known, **changed}


@pytest.mark.parametrize(("kept", "asked"), [
    (looked_up(1), False),
    (looked_up(20), False),
    (looked_up(24.1), True),
    (looked_up(-2), True),
    (looked_up(1, measured_at="yesterday"), True),
    (looked_up(1, measured_at=7), True),
    ({"measured_at": utc_now()}, True),
    ({}, True),
], ids=["an hour", "a day less", "a day more", "in the future", "no time", "a number", "halved",
        "damaged"])  # fmt: skip
def test_the_index_is_asked_at_most_once_a_day(
    deployed: Project, monkeypatch: pytest.MonkeyPatch, kept: dict[str, Any], asked: bool
) -> None:
    packages.packages_file(deployed.config).write(kept)
    monkeypatch.setattr(packages, "_pip", answers(0, OUTDATED))

    found = packages.refresh_packages(deployed.config)

    assert bool(found["outdated"]) == asked


def test_what_is_known_is_shown_without_asking_anybody(
    deployed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_pip", None)
    (deployed.folder / "state/packages.json").unlink()

    known = last_measured(deployed.config)["packages"]

    assert known["status"] == "unknown" and known["measured_at"] is None


def test_the_whole_text_has_every_part_with_its_time(deployed: Project) -> None:
    said = deployed.run("diagnostics.py").stdout

    lines = said.splitlines()
    predicted = sum(diagnostics.predictions(deployed.config)["predictions"])
    assert lines[0] == (
        f"testdata: {predicted} of 80 clients predicted to leave by model version 1"
    )
    assert lines[1].startswith("finaldata.csv, 120 rows, measured 20") and lines[1].endswith("Z")
    assert {line.split()[0] for line in lines[3:8]} == {"corporation", *FEATURES, "exited"}
    times = [re.match(r"(\w+): \d+\.\d{3} s on 20", line) for line in lines[8:10]]
    assert [found and found[1] for found in times] == ["ingestion", "training"]
    assert lines[10].startswith("outdated packages as of 20") and lines[10].endswith(": none")


def test_without_a_model_the_rest_is_shown(tmp_path: Path) -> None:
    project = new_project(tmp_path)

    done = project.run("diagnostics.py")

    assert done.stdout.startswith("no predictions: nothing is deployed")
    assert "training: not run yet" in done.stdout


# ---------------------------------------------------------------- is it alive?


@pytest.mark.parametrize(("minutes", "word", "code", "said"), [
    (0, "ok", 0, "just now"),
    (24, "ok", 0, "24 minutes ago"),
    (26, "late", 1, "26 minutes ago; one is expected every 10 minutes"),
    (3001, "late", 1, "2 days ago; one is expected every 10 minutes"),
    (-0.2, "ok", 0, "just now"),
    (-20, "ok", 0, "20 minutes in the future (the clock was set back)"),
    (-1440, "late", 1, "1440 minutes in the future (the clock was set back); "
     "one is expected every 10 minutes"),
])  # fmt: skip
def test_the_status_is_that_of_the_last_good_run(
    deployed: Project, minutes: float, word: str, code: int, said: str
) -> None:
    then = time.time() - 60 * minutes
    os.utime(deployed.folder / "state/heartbeat", (then, then))

    found = status(deployed.config)

    assert (found.data["state"], found.code) == (word, code)
    assert found.text == f"{word}: the last good run ended {said}"


@pytest.mark.parametrize(("every", "minutes", "said"), [
    (1440, 3000, "ok: the last good run ended 2 days ago\n"),
    (1440, 3700, "late: the last good run ended 2 days ago; one is expected every 1 day\n"),
    (90, 300, "late: the last good run ended 5 hours ago; one is expected every 90 minutes\n"),
    ("by hand", 100_000, "ok: the last good run ended 2 months ago\n"),
])  # fmt: skip
def test_late_is_by_the_projects_own_rhythm(
    deployed: Project, every: float | str, minutes: float, said: str
) -> None:
    deployed.configure(port=9, run_every_minutes=every)
    then = time.time() - 60 * minutes
    os.utime(deployed.folder / "state/heartbeat", (then, then))

    done = deployed.run("diagnostics.py", "--status", check=False)

    assert (done.stdout, done.returncode) == (said, int(said.startswith("late")))


def test_without_any_good_run_the_status_is_never(tmp_path: Path) -> None:
    done = new_project(tmp_path).run("diagnostics.py", "--status", check=False)

    assert (done.returncode, done.stdout) == (
        1, "no run of fullprocess.py has ended well yet\n")  # fmt: skip


def test_a_failure_since_the_last_good_run_is_named(deployed: Project) -> None:
    failed = {"stage": "training", "error": "no disk", "at": "2026-01-01T00:00:00Z"}
    edit_marker(deployed, finished=None, failed=failed, started="2026-01-01T00:00:00Z")

    found = status(deployed.config)

    assert (found.code, found.data["state"]) == (1, "failed")
    assert found.text.startswith("failed: the last good run ended ")
    assert found.text.endswith("; the run of 2026-01-01T00:00:00Z failed in training: no disk")


def test_a_killed_run_is_named_and_one_that_is_going_on_is_no_trouble(deployed: Project) -> None:
    edit_marker(deployed, finished=None, stage="scoring", started="2026-01-01T00:00:00Z")

    killed = status(deployed.config)
    with project_lock(deployed.config, "fullprocess.py", 0):
        going_on = status(deployed.config)

    assert killed.text.endswith("; the run of 2026-01-01T00:00:00Z was cut off in scoring")
    assert (killed.code, going_on.code) == (1, 0)
    assert going_on.data["trouble"] == ""
    assert "fullprocess.py is running since" in going_on.text


def test_the_doctor_and_the_status_do_not_wait_for_a_run(deployed: Project) -> None:
    with project_lock(deployed.config, "training.py", 0):
        status = deployed.run("diagnostics.py", "--status").stdout
        examined = deployed.run("diagnostics.py", "--doctor", check=False).stdout

    assert "training.py is running since" in status
    assert "training.py is running since" in examined and "may look damaged" in examined

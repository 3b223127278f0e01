"""What came true of what the list said, and what each client's move is made of: real scripts."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest
from conftest import Project, client_rows
from driver import copy_of, first_deployed, undrawn

import reporting
from deployment import deploy
from ingestion import ingest
from risk.calllist.types import CallList
from risk.data.snapshot import read_snapshot
from risk.model.measures import wilson
from risk.model.model import Model
from risk.record.contacts import add_contact
from risk.record.outcomes import (
    claims,
    effective_rows,
    group_figures,
    join_labels,
    mark_contacted,
    outcomes_of,
    random_figures,
    share_left,
)
from risk.record.scores import past_scores, scorings
from risk.releases import kept_releases
from risk.run.doctor import listed_clients
from risk.words import in_percent
from scoring import score
from training import train

FEATURES = ("lastmonth_activity", "lastyear_activity", "number_of_employees")
SEED = 5


@pytest.fixture
def deployed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_of(first_deployed(tmp_path_factory), tmp_path)


def current(n: int, seed: int) -> tuple[list[str], list[str]]:
    """(rows without a label, the same with it) of the clients now0 .. now(n-1)."""
    known = [f"now{at},{row.partition(',')[2]}" for at, row in enumerate(client_rows(n, seed=seed))]
    return [row[:-1] for row in known], known


def list_after(project: Project, *files: tuple[str, list[str]]) -> dict[str, Any]:
    """The list after these files came in."""
    for name, rows in files:
        project.write(f"sourcedata/{name}.csv", rows)
    ingest(project.config)
    with undrawn():
        reporting.report(project.config)
    return project.json("models/clients_at_risk.json")


def retrained(project: Project) -> None:
    for stage in (train, score, deploy):
        stage(project.config)


def outcomes_in(project: Project) -> dict[str, Any]:
    return project.json("models/outcomes.json")


def by_name(listing: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {client["client"]: client for client in listing["clients"]}


def test_the_first_list_has_nothing_to_compare_with(deployed: Project) -> None:
    (deployed.folder / "state/clients.sqlite").unlink()
    listing = list_after(deployed)

    assert listing["since"] is None
    assert listing["new"] == listing["off"] == listing["moves"] == []
    assert {c["change"] for c in listing["clients"]} == {None}
    assert all(c["history"] == [in_percent(c["risk"])] for c in listing["clients"])
    assert len(listing["snapshots"]) == 1


def test_a_move_is_split_by_the_old_model_on_the_new_row(deployed: Project) -> None:
    january, labels = current(60, seed=21)
    february, _ = current(60, seed=22)
    before = by_name(list_after(deployed, ("2025-01-31", january)))
    old_model = Model.from_bytes(
        (kept_releases(deployed.config)[-1].folder / "model.json").read_bytes()
    )
    deployed.write("sourcedata/2025-01-31 labels.csv", labels)
    deployed.write("sourcedata/2025-02-28.csv", february)
    ingest(deployed.config)
    retrained(deployed)

    listing = list_after(deployed)

    rows = {row.split(",")[0]: [float(cell) for cell in row.split(",")[1:4]] for row in february}
    names = sorted(before)
    cells = zip(*(rows[name] for name in names), strict=True)
    table = {column: list(values) for column, values in zip(FEATURES, cells, strict=True)}
    old_on_new = dict(zip(names, old_model.probabilities(table).tolist(), strict=True))
    assert (listing["model_version"], listing["since"]) == (2, "2025-01-31")
    moved = 0
    for name, client in by_name(listing).items():
        change, step = client["change"], past_scores(deployed.config, name)[-1]
        assert step.data == pytest.approx(old_on_new[name] - before[name]["risk"], abs=2e-6)
        assert step.data + step.model == pytest.approx(client["risk"] - before[name]["risk"])
        assert change["data"] + change["model"] == change["points"]
        assert change["points"] == in_percent(client["risk"]) - in_percent(before[name]["risk"])
        assert abs(change["data"] - 100 * step.data) <= 1
        assert client["history"][-2:] == [
            in_percent(before[name]["risk"]),
            in_percent(client["risk"]),
        ]
        moved += bool(change["model"]) and bool(change["data"])
    assert moved > 20
    assert [one["model_version"] for one in listing["snapshots"]][-2:] == [1, 2]
    assert listed_clients(deployed.config) == "60 clients"


def test_another_model_on_the_same_rows_moves_nothing_by_data(deployed: Project) -> None:
    january, _ = current(40, seed=23)
    before = by_name(list_after(deployed, ("2025-01-31", january)))
    list_after(deployed, ("2025-02-28", january[::-1]))  # the same bytes would be counted once
    extra = client_rows(60, seed=24)
    deployed.write("sourcedata/more.csv", extra)
    ingest(deployed.config)
    list_after(deployed)
    retrained(deployed)

    listing = list_after(deployed)

    changes = [client["change"] for client in listing["clients"]]
    assert listing["since"] == "2025-01-31"
    assert {change["data"] for change in changes} == {0}
    assert any(change["model"] for change in changes)
    for name, client in by_name(listing).items():
        points = in_percent(client["risk"]) - in_percent(before[name]["risk"])
        assert client["change"]["model"] == points


def test_where_the_old_model_is_gone_the_split_is_not_known(deployed: Project) -> None:
    january, labels = current(40, seed=25)
    list_after(deployed, ("2025-01-31", january))
    deployed.write("sourcedata/2025-01-31 labels.csv", labels)
    deployed.write("sourcedata/2025-02-28.csv", current(40, seed=26)[0])
    ingest(deployed.config)
    retrained(deployed)
    model = deployed.folder / "production_deployment/releases/000001/model.json"
    model.write_bytes(model.read_bytes().replace(b"0", b"1"))

    listing = list_after(deployed)

    for client in listing["clients"]:
        assert isinstance(client["change"]["points"], int)
        assert (client["change"]["data"], client["change"]["model"]) == (None, None)


def test_of_clients_who_stayed_only_a_row_the_old_model_had_not_seen_is_scored_by_it(
    deployed: Project,
) -> None:
    before = by_name(list_after(deployed))
    old_model = Model.from_bytes(
        (kept_releases(deployed.config)[-1].folder / "model.json").read_bytes()
    )
    stayed = sorted(before)[:3]
    more = [f"{stayed[0]},17,900,30,0", *client_rows(40, seed=36)]
    deployed.write("sourcedata/three.csv", more)
    two = deployed.text("sourcedata/two.csv").splitlines()[1:]
    deployed.write("sourcedata/two.csv", [*two, "another,1,600,30,1"])  # replaced: all seen
    ingest(deployed.config)
    retrained(deployed)

    list_after(deployed)

    new_row, old_row = (past_scores(deployed.config, name)[-1] for name in stayed[:2])
    by_old = old_model.probabilities({
        "lastmonth_activity": [17.0], "lastyear_activity": [900.0], "number_of_employees": [30.0],
    })[0]  # fmt: skip
    assert all(name.startswith("client1_") for name in stayed)
    assert new_row.data == pytest.approx(by_old - before[stayed[0]]["risk"], abs=2e-6)
    assert old_row.data == 0.0 and old_row.model != 0.0
    of_replaced = next(name for name in before if name.startswith("client2_"))
    assert past_scores(deployed.config, of_replaced)[-1].data is None


def test_who_is_new_on_the_call_list_and_what_became_of_those_off_it(deployed: Project) -> None:
    deployed.configure(port=9, capacity=4)
    rows = ["a,0,900,30,", "b,1,900,30,", "c,2,900,30,", "d,3,900,30,", "e,170,900,30,"]
    first = list_after(deployed, ("2025-01-31", rows))
    assert [c["client"] for c in first["clients"] if c["call"]] == ["a", "b", "c", "d"]
    labels = ["a,0,900,30,1", "b,1,900,30,0"]
    now = ["c,180,900,30,", "d,1,900,30,", "e,2,900,30,", "f,3,900,30,", "g,4,900,30,"]

    second = list_after(deployed, ("2025-01-31 labels", labels), ("2025-02-28", now))

    assert second["new"] == ["e", "f", "g"] and second["since"] == "2025-01-31"
    assert [(one["client"], one["became"]) for one in second["off"]] == [
        ("a", "left"), ("b", "stayed"), ("c", "open")]  # fmt: skip
    assert [one["rank"] for one in second["off"]] == [1, 2, 3]
    assert second["moves"][0]["client"] in ("c", "e")
    assert {"f", "g"}.isdisjoint(one["client"] for one in second["moves"])
    words = "3 new on the call list, 3 off it: 1 left, 1 stayed and 1 passed by others"
    assert words in deployed.run("reporting.py").stdout


def test_a_report_made_again_keeps_nothing_twice_and_is_the_same(deployed: Project) -> None:
    list_after(deployed, ("2025-01-31", current(30, seed=27)[0]))
    first = list_after(deployed, ("2025-02-28", current(30, seed=28)[0]))
    kept = scorings(deployed.config)

    again = list_after(deployed)

    assert scorings(deployed.config) == kept
    assert {**again, "scored_at": ""} == {**first, "scored_at": ""}
    assert CallList.from_json(again).to_csv() == deployed.text("models/clients_at_risk.csv")


def test_the_report_goes_on_without_a_past_where_the_score_history_is_damaged(
    deployed: Project,
) -> None:
    list_after(deployed, ("2025-01-31", current(30, seed=27)[0]))
    deployed.config.score_history.write_bytes(b"damaged" * 999)

    listing = list_after(deployed, ("2025-02-28", current(30, seed=28)[0]))

    assert listing["since"] is None and len(listing["clients"]) == 30
    assert len(list(deployed.config.state_folder.glob("clients.damaged-*.sqlite"))) == 1
    assert [one.data_date for one in scorings(deployed.config)] == ["2025-02-28"]


def test_only_what_was_predicted_before_its_label_counts(deployed: Project) -> None:
    january, labels = current(50, seed=29)
    said = by_name(list_after(deployed, ("2025-01-31", january)))
    assert (
        outcomes_in(deployed)["why"] == "no outcome is known yet of the 50 rows that were on a list"
    )
    came_with_label = [row.replace("client", "late") for row in client_rows(70, seed=30)]

    list_after(deployed, ("2025-01-31 labels", labels), ("2025-01-31 others", came_with_label))

    outcomes = outcomes_in(deployed)
    left = {row.split(",")[0]: int(row[-1]) for row in labels}
    listed = {name for name, client in said.items() if client["call"]}
    hits, misses = (sum(left[n] for n in part) for part in (listed, set(said) - listed))
    assert (outcomes["known"], outcomes["waiting"], outcomes["enough"]) == (50, 0, True)
    assert (outcomes["from"], outcomes["to"]) == ("2025-01-31", "2025-01-31")
    every = outcomes["all"]
    assert (every["hits"], every["misses"]) == (hits, misses)
    assert every["false_alarms"] == len(listed) - hits
    assert every["listed"]["interval"] == wilson(hits, len(listed))
    assert every["at_random"]["share"] == pytest.approx(sum(left.values()) / 50)
    y = np.array([left[name] for name in said])
    p = np.array([client["risk"] for client in said.values()])
    assert outcomes["brier"]["value"] == pytest.approx(np.mean((p - y) ** 2))
    assert outcomes["contacted"] is None and outcomes["not_contacted"] == every


def test_a_client_whom_a_later_list_called_before_the_label_was_listed(deployed: Project) -> None:
    deployed.configure(port=9, capacity=1, least_outcomes=10)
    january, labels = current(12, seed=35)
    first = list_after(deployed, ("2025-01-31", january))["clients"]
    known = {row.partition(",")[0]: row for row in labels}
    later = list_after(deployed, ("2025-01-31 one", [known.pop(first[0]["client"])]))["clients"]
    assert [later[0]["client"], later[0]["call"]] == [first[1]["client"], True]

    list_after(deployed, ("2025-01-31 others", list(known.values())))

    every = outcomes_in(deployed)["all"]
    assert (every["n"], every["listed"]["n"], every["not_listed"]["n"]) == (12, 2, 10)


def test_nothing_is_claimed_before_enough_outcomes(deployed: Project) -> None:
    january, labels = current(29, seed=31)
    list_after(deployed, ("2025-01-31", january))
    list_after(deployed, ("2025-01-31 labels", labels))

    outcomes = outcomes_in(deployed)

    assert outcomes["why"] == "29 outcomes so far; nothing is claimed before 30"
    claimed = ("all", "contacted", "not_contacted", "brier", "calibration", "cumulative_gains")
    assert {outcomes[key] for key in claimed} == {None} and not outcomes["enough"]
    assert outcomes["misses"] == outcomes["false_alarms"] == []


def test_a_project_whose_rows_all_have_a_label_reads_why_nothing_is_claimed(
    deployed: Project,
) -> None:
    list_after(deployed, ("three", client_rows(50, seed=32)))

    assert outcomes_in(deployed)["why"] == "no list has named a client before its outcome was known"


def test_a_label_counts_when_it_may_be_used(deployed: Project) -> None:
    january, labels = current(40, seed=33)
    deployed.configure(port=9, horizon_days=92)
    list_after(deployed, ("2020-01-31", january))
    list_after(deployed, ("2020-01-31 labels", labels))

    known = []
    for day in (2, 3):
        with mock.patch("risk.data.labels.today", return_value=datetime.date(2020, 5, day)):
            known.append(outcomes_of(deployed.config, read_snapshot(deployed.config))["known"])
    assert known == [0, 40]


def test_a_client_who_was_called_is_reported_apart(deployed: Project) -> None:
    january, labels = current(45, seed=34)
    listing = list_after(deployed, ("2025-01-31", january))
    called = [client["client"] for client in listing["clients"] if client["call"]]
    with mock.patch("risk.record.contacts.utc_now", return_value="2020-01-01T00:00:00Z"):
        for name in called:
            add_contact(deployed.config, name, "contacted")
        add_contact(
            deployed.config, listing["clients"][-1]["client"], "not at risk"
        )  # nobody called
    list_after(deployed, ("2025-01-31 labels", labels))
    with mock.patch("risk.record.contacts.utc_now", return_value="2099-01-01T00:00:00Z"):
        for client in listing["clients"]:
            add_contact(deployed.config, client["client"], "contacted")
    outcomes = outcomes_of(deployed.config, read_snapshot(deployed.config))

    assert outcomes["contacted"]["n"] == len(called) == outcomes["contacted"]["listed"]["n"]
    assert outcomes["not_contacted"]["n"] == 45 - len(called)
    assert all(one["contacted"] for one in outcomes["false_alarms"])
    assert not any(one["contacted"] for one in outcomes["misses"])
    assert outcomes["caveat"].startswith("calls change outcomes")


def frames(said: list[tuple[Any, ...]], labels: list[tuple[Any, ...]]) -> Any:
    """join_labels() of scores (client, date, scoring, data version; in scoring 2 called) and of
    labels (client, date, arrived, left)."""
    text, number = pl.String, pl.Int64
    words = pl.DataFrame(
        said,
        schema={"client": text, "date": text, "scoring": number, "data_version": number},
        orient="row",
    )
    known = pl.DataFrame(
        labels,
        schema={"client": text, "date": text, "arrived": number, "left": number},
        orient="row",
    )
    words = words.with_columns((pl.col("scoring") == 2).cast(number).alias("called"))
    outcome, waiting = join_labels(words, known)
    return outcome.select("client", "date", "scoring", "called", "left").rows(), waiting


@pytest.mark.parametrize(
    ("said", "labels", "known", "waiting"),
    [
        ([("a", "d1", 1, 1)], [], [], 1),
        ([("a", "d1", 1, 1)], [("a", "d1", 2, 1)], [("a", "d1", 1, 0, 1)], 0),
        ([("a", "d1", 1, 2)], [("a", "d1", 2, 1)], [], 1),  # said when the label was there
        ([("a", "d1", 1, 1)], [("a", "d2", 2, 1), ("b", "d1", 2, 1)], [], 1),
        ([("a", "d1", 1, 1), ("a", "d1", 2, 2)], [("a", "d1", 3, 0)], [("a", "d1", 1, 1, 0)], 0),
        ([("a", "d1", 1, 1), ("a", "d1", 2, 3)], [("a", "d1", 3, 0)], [("a", "d1", 1, 0, 0)], 1),
        (
            [("a", "d1", 1, 1), ("a", "d2", 2, 2)],
            [("a", "d1", 3, 0), ("a", "d2", 3, 1)],
            [("a", "d1", 1, 0, 0), ("a", "d2", 2, 1, 1)],
            0,
        ),
        (
            [("a", "", 1, 1), ("a", "", 2, 2), ("a", "", 3, 3), ("a", "", 4, 4), ("a", "", 5, 6)],
            [("a", "", 3, 0), ("a", "", 5, 1)],
            [("a", "", 1, 1, 0), ("a", "", 3, 0, 1)],
            1,
        ),
    ],
    ids=[
        "open",
        "came",
        "not before",
        "others",
        "called later",
        "called too late",
        "two dates",
        "undated",
    ],  # fmt: skip
)
def test_the_first_score_before_a_label_is_what_counts(
    said: list[Any], labels: list[Any], known: list[Any], waiting: int
) -> None:
    assert frames(said, labels) == (known, waiting)


def rows(left: list[int], called: list[int], **changed: Any) -> pl.DataFrame:
    n = len(left)
    return pl.DataFrame({
        "client": [f"c{at}" for at in range(n)], "date": ["2025-01-31"] * n, "scoring": [1] * n,
        "data_version": [1] * n, "at": ["2025-02-01T00:00:00Z"] * n, "risk": [0.5] * n,
        "rank": list(range(1, n + 1)), "of": [n] * n, "called": called, "arrived": [2] * n,
        "left": left, "contacted": [False] * n,
    } | changed)  # fmt: skip


def test_the_counts_and_the_sentence_of_a_group() -> None:
    found = group_figures(rows([1] * 6 + [0] * 4 + [1] * 2 + [0] * 8, [1] * 10 + [0] * 10))

    assert found is not None
    four = [found[key] for key in ("hits", "false_alarms", "misses", "rightly_not_listed")]
    assert four == [6, 4, 2, 8] and (found["n"], found["clients"], found["left"]) == (20, 20, 8)
    assert found["sentence"] == (
        "of 100 clients we listed, 60 left (31 to 83); of 100 picked at random, 40 would have "
        "(22 to 61)"
    )
    assert group_figures(rows([], [])) is None


def test_where_nobody_was_listed_the_sentence_says_so() -> None:
    found = group_figures(rows([1, 0], [0, 0]))
    assert found is not None and found["sentence"] == ("none of these clients was on the call list")
    assert found["listed"] == {"n": 0, "left": 0, "share": None, "interval": None}


def test_drawing_by_lot_is_done_on_each_date() -> None:
    dates = np.array(["a"] * 10 + ["b"] * 10)
    left = np.array([1] * 10 + [0] * 10, dtype=bool)
    called = np.array([1] * 9 + [0] * 10 + [1], dtype=bool)  # 9 of date a, 1 of date b
    found = random_figures(left, called, np.arange(20), dates)
    assert found["share"] == pytest.approx(0.9) and found["n"] == 20


def test_a_clients_repeated_rows_count_as_fewer() -> None:
    once = np.array([1, 0, 0, 1, 0, 0, 0, 0], dtype=bool)
    repeated, clients = np.repeat(once, 5), np.repeat(np.arange(8), 5)

    assert effective_rows(once, np.arange(8)) == 8
    assert effective_rows(repeated, clients) == pytest.approx(8)
    assert share_left(repeated, clients)["interval"] == pytest.approx(wilson(2, 8))
    assert effective_rows(np.ones(40, dtype=bool), clients) == 8


def test_intervals_over_repeated_clients_hold_what_they_promise() -> None:
    """2,000 draws of 60 clients with 4 equal rows each: Wilson on 240 rows holds 0.68."""
    draw, truth, held = np.random.default_rng(SEED), 0.3, 0
    clients = np.repeat(np.arange(60), 4)
    for _ in range(2000):
        low, high = share_left(np.repeat(draw.random(60) < truth, 4), clients)["interval"]
        held += low <= truth <= high
    assert 0.92 < held / 2000 < 0.98


def test_the_last_misses_and_false_alarms_are_named_at_most_ten() -> None:
    dates = [f"2025-{1 + at % 4:02d}-28" for at in range(60)]
    known = rows([1] * 30 + [0] * 30, [0] * 30 + [1] * 30, date=dates)

    found = claims(known, 7, 30)

    assert len(found["misses"]) == len(found["false_alarms"]) == 10
    assert {one["date"] for one in found["misses"][:7]} == {"2025-04-28"}
    assert [one["rank"] for one in found["misses"][:3]] == [4, 8, 12]
    assert set(found["misses"][0]) == {
        "client", "date", "predicted_at", "risk", "rank", "of", "contacted"}  # fmt: skip
    json.dumps(found, allow_nan=False)


def test_cumulative_gains_are_by_the_place_on_the_list_of_the_day() -> None:
    left, rank = [1, 1, 0, 0] * 25, [1, 2, 3, 4] * 25
    known = rows(left, [0] * 100, rank=rank, of=[4] * 100, risk=[0.9, 0.8, 0.7, 0.6] * 25)

    half = next(one for one in claims(known, 0, 30)["cumulative_gains"] if one["share"] == 0.5)
    assert (half["precision"], half["recall"], half["at_random"]["precision"]) == (1.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("first", "expected"),
    [({}, False), ({"c0": "2025-02-05T00:00:00Z"}, True), ({"c0": "2025-03-01T00:00:00Z"}, False)],
)
def test_only_a_call_before_the_label_came_counts(first: dict[str, str], expected: bool) -> None:
    found = mark_contacted(rows([1], [1]), first, {2: "2025-02-28T00:00:00Z"})
    assert found["contacted"].to_list() == [expected]

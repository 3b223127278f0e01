"""Labels made from a status: tiny histories of clients, and the labels that they must have."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Project

from ingestion import ingest
from risk.data.snapshot import new_since, read_snapshot
from risk.data.status import StatusLabels, make_labels

MONTH_ENDS = ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30"]
LEFT, HERE = 1, 0


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(f"2026-{text}")


def labels_of(rows: Sequence[tuple[Any, ...]], **options: Any) -> StatusLabels:
    """rows: (client, day, status), each month in a file and a data version of its own; a fourth
    value is the data version, the file's position with it."""
    full = [(*row, *([] if len(row) > 3 else [MONTH_ENDS.index(row[1]) + 1])) for row in rows]
    frame = pl.DataFrame(
        {
            "client": [row[0] for row in full],
            "left": pl.Series([row[2] for row in full], dtype=pl.Int8),
            "_date": [day(row[1]) for row in full],
            "_data_version": pl.Series([row[3] for row in full], dtype=pl.Int64),
            "_position": pl.Series([row[3] for row in full], dtype=pl.Int64),
        }
    )
    return make_labels(frame, "client", "left", **options)


def history(client: str, statuses: str) -> list[tuple[str, str, int]]:
    """A client's month ends: h here, L left, - in no file, b here with a blank status."""
    words = {"h": HERE, "b": None, "L": LEFT}
    return [
        (client, MONTH_ENDS[at], words[letter])  # type: ignore[misc]
        for at, letter in enumerate(statuses)
        if letter != "-"
    ]


def company(statuses: str, months: int) -> list[tuple[str, str, int]]:
    """The client A among nine others that are there all the time."""
    others = [row for n in range(9) for row in history(f"other {n}", "h" * months)]
    return [*history("A", statuses), *others]


def label_text(made: StatusLabels, client: str = "A") -> str:
    """The client's labels in the order of their dates, . for one that is not known."""
    own = made.rows.filter(pl.col("client") == client).sort("_date")["left"].to_list()
    return "".join("." if label is None else str(label) for label in own)


@pytest.mark.parametrize(
    ("statuses", "wanted", "vanished"),
    [
        ("hhh", "00.", "unknown"),
        ("hhL", "01", "unknown"),
        ("bbL", "01", "unknown"),
        ("hLL", "1", "unknown"),
        ("LLL", "", "unknown"),
        ("hLh", "1.", "unknown"),  # back again: a new observation
        ("hLhL", "11", "unknown"),
        ("hh-", "0.", "unknown"),
        ("hh--", "0.", "unknown"),
        ("hh-", "01", "left"),
        ("hh--", "01", "left"),
        ("h-hh", "10.", "left"),
        ("h-hh", "00.", "unknown"),  # seen again after the window's end
        ("--hh", "0.", "left"),
    ],
)
def test_the_next_snapshot_tells_who_left(statuses: str, wanted: str, vanished: str) -> None:
    made = labels_of(company(statuses, len(statuses)), vanished=vanished)

    assert label_text(made) == wanted


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ("hhhhhh", "000..."),
        ("hhhhhL", "001.."),
        ("hhLLLL", "11"),
        ("hhhLLL", "111"),
        ("hhhh", "0..."),
        ("hhL", ".."),  # before the window has ended nobody is known: leavers would be alone
    ],
)
def test_a_window_of_a_quarter_waits_for_its_end(statuses: str, wanted: str) -> None:
    made = labels_of(company(statuses, len(statuses)), window_days=90)

    assert (label_text(made), made.window_days) == (wanted, 90)


def test_rows_are_observations_or_events() -> None:
    rows = company("hhLL", 4)
    made = labels_of(rows)

    assert made.rows.height + made.events.height == len(rows)
    assert (made.events.height, made.window_days) == (2, 30)


def test_a_label_is_known_since_the_file_that_tells_it() -> None:
    made = labels_of(company("hhL", 3))

    versions = made.rows.filter(pl.col("client") == "A").sort("_date")["_label_version"]
    assert versions.to_list() == [2, 3]
    waiting = made.rows.filter(pl.col("left").is_null())
    assert waiting["_label_version"].unique().to_list() == [3]


def test_the_current_clients_are_those_of_the_newest_snapshot() -> None:
    made = labels_of(company("hhL", 3) + history("B", "hh-"))

    current = made.rows.filter("_is_current")
    assert sorted(current["client"]) == [f"other {n}" for n in range(9)]
    assert current["_date"].unique().to_list() == [day("03-31")]


def test_several_files_of_a_date_are_one_snapshot() -> None:
    north = [
        (f"n{n}", date, HERE, at) for n in range(5) for at, date in ((1, "01-31"), (3, "02-28"))
    ]
    south = [
        (f"s{n}", date, HERE, at) for n in range(5) for at, date in ((2, "01-31"), (4, "02-28"))
    ]
    made = labels_of([*north, *south], vanished="left")

    assert [label_text(made, name) for name in ("n0", "s0")] == ["0.", "0."]
    assert made.rows.filter("_is_current").height == 10


def test_a_snapshot_without_a_region_is_no_wave_of_exits() -> None:
    whole = [row for n in range(12) for row in history(f"n{n}", "hhh")]
    south = [row for n in range(8) for row in history(f"s{n}", "hh-")]
    made = labels_of([*whole, *south], vanished="left")

    assert [(p.date, p.missing, p.of) for p in made.partial] == [(day("03-31"), 8, 20)]
    assert [label_text(made, name) for name in ("n0", "s0")] == ["0..", "0."]
    assert made.rows.filter("_is_current").height == 20  # the region is still a client


@pytest.mark.parametrize(("later", "wanted"), [("h", "00."), ("-", "01")])
def test_the_snapshot_after_tells_a_gap_from_a_wave(later: str, wanted: str) -> None:
    north = [row for n in range(12) for row in history(f"n{n}", "hhhh")]
    south = [row for n in range(8) for row in history(f"s{n}", f"hh-{later}")]
    made = labels_of([*north, *south], vanished="left")

    assert label_text(made, "s0") == wanted
    if later == "-":  # known since the file that confirmed it
        own = made.rows.filter(pl.col("client") == "s0", pl.col("left") == 1)
        assert own["_label_version"].to_list() == [4]


def test_outcome_files_label_the_newest_row_before_them() -> None:
    rows = company("hh", 2)
    outcomes = [("A", "03-31", LEFT, 3), ("other 0", "03-31", HERE, 3)]
    made = labels_of([*rows, *outcomes], outcome_files={3})

    assert [label_text(made, n) for n in ("A", "other 0", "other 1")] == ["01", "00", "0."]
    assert (made.outcomes, made.rows.height) == (2, len(rows))
    known = made.rows.filter(pl.col("client") == "A").sort("_date")["_label_version"]
    assert known.to_list() == [2, 3]


def test_an_outcome_file_of_the_list_s_own_date_counts_for_that_list() -> None:
    outcomes = [("A", "02-28", LEFT, 3), ("other 0", "02-28", HERE, 3)]
    made = labels_of([*company("hh", 2), *outcomes], outcome_files={3})

    assert [label_text(made, name) for name in ("A", "other 0")] == ["01", "00"]


def test_outcomes_of_leavers_alone_wait_for_those_who_stayed() -> None:
    rows, leaver = company("hh", 2), ("A", "03-15", LEFT, 3)
    before = labels_of([*rows, leaver], outcome_files={3})
    after = labels_of(
        [*rows, leaver, *[(f"other {n}", "03-31", HERE, 4) for n in range(9)]], outcome_files={3}
    )

    assert (label_text(before), label_text(after)) == ("0.", "01")
    assert "A" not in before.rows.filter("_is_current")["client"]  # it has left all the same


def test_a_later_file_of_the_same_date_that_says_left_labels_that_row() -> None:
    rows = [*company("hh", 2), ("A", "02-28", LEFT, 3)]
    rows += [(f"other {n}", "03-31", HERE, 4) for n in range(9)]
    made = labels_of(rows)

    assert label_text(made) == "01"


def test_one_file_that_says_both_of_a_client_says_left() -> None:
    made = labels_of([*company("hh", 2), ("A", "02-28", LEFT, 2)])

    assert label_text(made) == "1"


# ------------------------------------------------------------ through the real ingestion

NAMES = [f"c{at}" for at in range(40)]
COLUMNS = {"id": "client", "target": "left", "features": ["visits"]}


def ingested(project: Project, name: str, header: str, rows: list[str]) -> list[str]:
    """What is said of the file."""
    project.write(f"sourcedata/{name}.csv", rows, header=header)
    return list(ingest(project.config).data["notes"])


def test_outcomes_alone_label_the_rows_that_wait(tmp_path: Path) -> None:
    project = Project(tmp_path, columns=COLUMNS)
    rows = [f"{name},{at},{'' if at < 30 else at % 2}" for at, name in enumerate(NAMES)]
    ingested(project, "clients_2026-09-30", "client,visits,left", rows)
    before = read_snapshot(project.config)
    notes = ingested(
        project,
        "outcomes_2026-10-15",
        "client,left",
        [f"{name},{at % 2}" for at, name in enumerate(NAMES[:20])],
    )
    after = read_snapshot(project.config)

    assert any(note.endswith("what became of them alone: taken as outcomes") for note in notes)
    assert (before.labels.size, after.labels.size, after.rows.height) == (10, 30, 40)
    new = after.known.filter(new_since(after.known, before.version))
    wanted = {name: at % 2 for at, name in enumerate(NAMES[:20])}
    assert dict(new.select("client", "left").rows()) == wanted
    assert sorted(after.current[0]["client"]) == sorted(NAMES[20:30])


def test_outcomes_alone_end_the_month_of_a_status(tmp_path: Path) -> None:
    project = Project(tmp_path, columns=COLUMNS, labels="status")
    ingested(project, "c_2026-09-30", "client,visits,left", [f"{n},5,0" for n in NAMES])
    ingested(project, "o_2026-09-30", "client,left", [f"{n},{int(n == 'c7')}" for n in NAMES[:39]])
    snapshot = read_snapshot(project.config)

    assert dict(snapshot.known.select("client", "left").rows()) == {
        name: int(name == "c7") for name in NAMES[:39]
    }
    assert snapshot.status is not None
    assert snapshot.status.counts("left")["outcomes"] == 39


def test_a_status_without_a_date_is_refused_with_what_to_do(tmp_path: Path) -> None:
    project = Project(tmp_path, columns=COLUMNS, labels="status")
    notes = ingested(project, "clients", "client,visits,left", ["a,1,0", "b,2,0"])

    assert "refused, of when its rows are nobody says; rename it with a date" in notes[0]


def test_a_feature_that_is_only_misspelt_is_no_file_of_outcomes(tmp_path: Path) -> None:
    project = Project(tmp_path, columns=COLUMNS)
    notes = ingested(project, "c", "client,visit,left", ["a,1,0"])

    assert "refused, the column 'visits' is missing" in notes[0]

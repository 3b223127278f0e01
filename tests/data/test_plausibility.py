"""What can hardly be so in a file: refused or remarked on, with the counts, never in silence."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from conftest import Project

from risk.data.labels import today
from risk.data.plausibility import far_dates, is_future
from risk.data.snapshot import read_snapshot

DAY = datetime.timedelta(days=1)


def rows(clients: range, label: str = "0", form: str = "c{}") -> list[str]:
    return [f"{form.format(n)},{n % 7},{n % 5},{n % 9 + 1},{label}" for n in clients]


def said(project: Project) -> str:
    return project.run("ingestion.py").stdout


@pytest.fixture
def own(tmp_path: Path) -> Project:
    return Project(tmp_path)


# ------------------------------------------------------------ dates


@pytest.mark.parametrize(
    ("days", "form", "future"),
    [
        (0, "yyyy-mm-dd", False),
        (1, "yyyy-mm-dd", False),  # east of here it is tomorrow
        (400, "dd/mm/yyyy", True),
    ],
)
def test_the_future_begins_after_tomorrow(days: int, form: str, future: bool) -> None:
    assert is_future(str(today() + days * DAY), form) is future


def test_a_period_that_has_begun_is_no_future() -> None:
    month_end = (today().replace(day=28) + 4 * DAY).replace(day=1) - DAY
    assert not is_future(str(month_end), "mmm yyyy")
    assert not is_future(f"{today().year}-12-31", "yyyy")
    assert is_future(f"{today().year + 1}-12-31", "yyyy")


@pytest.mark.parametrize(
    ("dates", "far"),
    [
        ([], set()),
        (["2026-01-31"], set()),
        (["2026-01-31", "1926-02-28", "2026-03-31"], {"1926-02-28"}),
        (["2026-01-31", "1926-02-28"], {"1926-02-28"}),  # of equally many the newest are right
        (["2000-01-31", "2015-01-31", "2026-01-31"], set()),  # a long history is none
        (["1998-01-31", "1998-02-28", "2021-03-31"], {"2021-03-31"}),
    ],
)
def test_dates_twenty_years_apart_from_most(dates: list[str], far: set[str]) -> None:
    assert far_dates(dates) == far


def test_a_file_named_in_the_future_is_refused_and_the_list_goes_on(own: Project) -> None:
    own.write("sourcedata/2026-09.csv", rows(range(30)))
    own.write("sourcedata/2062-10.csv", rows(range(30), ""))
    text = said(own)
    assert (
        "2062-10.csv: refused, by its name its rows are of 2062-10-31, a date in the future; "
        "rename it"
    ) in text
    assert "has 30 rows" in text


def test_a_file_a_hundred_years_before_the_others_is_refused(own: Project) -> None:
    own.write("sourcedata/1926-10.csv", rows(range(30)))
    own.write("sourcedata/2026-09.csv", rows(range(30, 60)))
    text = said(own)
    assert "1926-10.csv: refused, its rows are of 1926-10-31, over 20 years apart" in text
    assert "has 30 rows" in text


def test_rows_with_impossible_dates_are_set_aside_with_their_line(own: Project) -> None:
    own.configure(columns={"date": "day"})
    header = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited,day"
    lines = [f"{row},2026-0{n % 8 + 1}-15" for n, row in enumerate(rows(range(30)))]
    lines[3], lines[7] = lines[3][:-10] + "2062-01-15", lines[7][:-10] + "1926-01-15"
    own.write("sourcedata/all.csv", lines, header=header)
    assert "28 accepted" in said(own)
    (path,) = (own.folder / "ingesteddata/quarantine").glob("*.csv")
    text = path.read_text()
    assert "5,day,a date in the future,2062-01-15" in text
    assert "9,day,over 20 years apart from the other dates,1926-01-15" in text


# ------------------------------------------------------------ rows


def test_contradicting_rows_of_one_date_are_counted(own: Project) -> None:
    own.write("sourcedata/2026-10.csv", rows(range(60)) + rows(range(40), "1"))
    assert (
        "2026-10.csv: 40 clients have two rows of 2026-10-31 that contradict each other in "
        "'exited', such as 'c0'; both are learned from, and the last one says who is a client"
    ) in said(own)
    state = json.loads(own.text("ingesteddata/state.json"))
    assert state["notes"]["2026-10.csv"][0].startswith("40 clients have two rows")


def test_of_a_status_that_contradicts_itself_the_leaving_counts(own: Project) -> None:
    own.configure(labels="status")
    own.write("sourcedata/2026-10.csv", rows(range(60)) + rows(range(1), "1"))
    assert (
        "1 client has two rows of 2026-10-31 that contradict each other in 'exited', such as "
        "'c0'; who is said to have left has left"
    ) in said(own)


def test_rows_without_a_date_may_be_of_any_and_contradict_nothing(own: Project) -> None:
    own.write("sourcedata/all.csv", rows(range(60)) + rows(range(40), "1"))
    assert "contradict" not in said(own)


@pytest.mark.parametrize(
    ("form", "pair"),
    [
        ("C{}", "'c0' and 'C0'"),
        ("c {}", "'c0' and 'c 0'"),
        ("00c{}", "'c0' and '00c0'"),
        ("ｃ{}", "'c0' and 'ｃ0'"),
    ],
)
def test_clients_that_differ_by_their_spelling_alone_are_named(
    own: Project, form: str, pair: str
) -> None:
    own.write("sourcedata/2026-09.csv", rows(range(30)))
    assert "spelled" not in said(own)
    own.write("sourcedata/2026-10.csv", rows(range(25), form=form))
    text = said(own)
    assert "2026-10.csv: 25 clients are spelled in two ways that differ by capitals, spaces" in text
    assert f"such as {pair}; each counts as a client of its own" in text
    own.write("sourcedata/2026-11.csv", rows(range(25), form=form))
    assert "spelled" not in said(own)  # said once


def test_letters_composed_and_decomposed_are_told_apart_by_their_numbers(own: Project) -> None:
    own.write("sourcedata/all.csv", ["M\xfcller,1,2,3,0", "Mu\u0308ller,1,2,3,0"])
    assert r"'Mu\u0308ller' and 'M\xfcller'" in said(own)


def test_half_the_clients_of_the_files_before_are_remarked_on(own: Project) -> None:
    for month in ("07", "08", "09"):
        own.write(f"sourcedata/2026-{month}.csv", rows(range(100)))
    own.write("sourcedata/2026-10.csv", rows(range(50)))
    text = said(own)
    assert "2026-10.csv: 50 clients, where the files before it have 100; is a part missing?" in text
    assert text.count("is a part missing") == 1


def test_a_feature_without_a_value_is_named_where_it_is_read_and_learned(own: Project) -> None:
    lines = [f"c{n},{n},,3,{int(n % 3 == 0)}" for n in range(60)]
    own.write("sourcedata/all.csv", lines)
    assert "all.csv: the column 'lastyear_activity' is empty in all 60 rows" in said(own)
    assert (
        "warning: lastyear_activity has no value in any labelled row; nothing is learned from it"
    ) in own.run("training.py").stdout


@pytest.mark.parametrize(
    ("stayed", "without", "size", "basis"),
    [
        ("2026-10.csv", {"2026-10.csv": 1}, 71, "stayed"),
        ("all.csv", {"all.csv": 1}, 71, "stayed"),
        ("2026-10.csv", {"2026-10.csv": 2}, 2, "unlabelled"),  # one in 35 is no gap
        ("all.csv", {"new.csv": 1}, 1, "unlabelled"),  # a file of their own
        ("2026-09.csv", {"2026-10.csv": 1}, 1, "unlabelled"),
    ],
)
def test_a_gap_among_the_labels_is_not_the_whole_list(
    own: Project, stayed: str, without: dict[str, int], size: int, basis: str
) -> None:
    files = {stayed: rows(range(70))}
    for name, n in without.items():
        files[name] = files.get(name, []) + rows(range(900, 900 + n), "")
    for name, lines in files.items():
        own.write(f"sourcedata/{name}", lines)
    own.run("ingestion.py")
    found = read_snapshot(own.config).current
    assert (found[0].height, found[1]) == (size, basis)


def test_a_few_rows_without_a_label_are_remarked_on(own: Project) -> None:
    own.write("sourcedata/all.csv", rows(range(70)) + rows(range(90, 91), ""))
    assert (
        "all.csv: 1 of 71 rows has no 'exited'; so few are listed together with the clients who "
        "stayed"
    ) in said(own)

"""The real customers' snapshots: what each column means, and the files that come out of them."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from examples import customers
from tests.conftest import ROOT, real_data

DAY = "1998-03-31"
PURCHASES = [
    ("00007", "1997-03-31", 4, 40.00),  # a day too old for the twelve months
    ("00007", "1997-04-01", 1, 9.99),
    ("00007", "1997-12-31", 2, 20.00),  # a day too old for three months
    ("00007", "1998-01-01", 1, 10.10),
    ("00007", "1998-02-28", 1, 5.00),  # a day too old for the month
    ("00007", "1998-03-01", 2, 0.20),
    ("00007", "1998-03-01", 1, 0.10),
    ("00007", "1998-04-01", 50, 500.00),  # the future
]
EXPECTED = {
    "corporation": "00007",
    "lastmonth_activity": 0.30,
    "lastyear_activity": 45.39,
    "number_of_employees": 12,
    "orders": 7,
    "usd_3m": 15.40,
    "days_since_last": 30,
    "tenure_days": 365,
    "mean_order_usd": 12.20,  # 85.39 / 7
    "exited": 0,
}


def table(purchases: list[tuple[str, str, int, float]]) -> pd.DataFrame:
    made = pd.DataFrame(purchases, columns=["customer", "date", "cds", "dollars"])
    return made.assign(date=pd.to_datetime(made["date"]))


def bought(*dates: str, customer: str = "00007") -> list[tuple[str, str, int, float]]:
    return [(customer, date, 1, 10.0) for date in dates]


def test_the_hand_made_customer_has_every_column():
    assert list(customers.snapshot(table(PURCHASES), DAY).columns) == list(EXPECTED)
    assert list(EXPECTED) == customers.RICH


@pytest.mark.parametrize("column", EXPECTED)
def test_a_column_means_what_it_says(column):
    shown = customers.snapshot(table(PURCHASES), DAY)
    assert shown[column].tolist() == [EXPECTED[column]]


@pytest.mark.parametrize("column", [name for name in EXPECTED if name != "exited"])
def test_no_column_but_the_label_sees_the_future(column):
    known = [row for row in PURCHASES if row[1] <= DAY]
    future = customers.snapshot(table(PURCHASES), DAY)[column]
    assert future.tolist() == customers.snapshot(table(known), DAY)[column].tolist()


@pytest.mark.parametrize(
    ("day", "later", "exited"),
    [
        ("1998-03-31", [], 1),
        ("1998-03-31", ["1998-04-01"], 0),
        ("1998-03-31", ["1998-06-30"], 0),
        ("1998-03-31", ["1998-07-01"], 1),
        ("1998-02-28", ["1998-05-31"], 0),  # not the 28th
        ("1998-02-28", ["1998-06-01"], 1),
        ("1997-11-30", ["1998-02-28"], 0),
        ("1997-11-30", ["1998-03-01"], 1),
    ],
)
def test_exited_is_no_purchase_in_the_next_three_calendar_months(day, later, exited):
    shown = customers.snapshot(table(bought(day, *later)), day)
    assert shown["exited"].tolist() == [exited]


@pytest.mark.parametrize(
    ("dates", "listed"),
    [
        (["1998-03-31"], True),
        (["1997-10-01"], True),
        (["1997-09-30"], False),
        (["1997-09-30", "1998-04-01"], False),  # back only after the snapshot
        (["1997-01-05", "1998-03-31"], True),  # back in time
        (["1998-04-01"], False),
    ],
)
def test_listed_is_who_bought_in_the_last_six_calendar_months(dates, listed):
    shown = customers.snapshot(table(bought(*dates)), DAY)
    assert shown["corporation"].tolist() == ["00007"] * listed


def test_each_customer_has_a_row_of_their_own_in_the_order_of_the_names():
    three = [
        *bought(DAY, DAY, customer="00020"),
        *bought(DAY, customer="00003"),
        *bought("1998-01-31", customer="00100"),
    ]
    shown = customers.snapshot(table(three), DAY)
    assert shown[["corporation", "number_of_employees", "lastmonth_activity"]].values.tolist() == [
        ["00003", 1, 10.0],
        ["00020", 2, 20.0],
        ["00100", 1, 0.0],
    ]


def test_a_snapshot_leaves_the_purchases_as_they_were():
    given = table(PURCHASES)
    customers.snapshot(given, DAY)
    pd.testing.assert_frame_equal(given, table(PURCHASES))


def test_a_snapshot_is_refused_in_the_middle_of_a_month():
    with pytest.raises(ValueError, match="1998-03-30 is not the end of a month"):
        customers.snapshot(table(PURCHASES), "1998-03-30")


def test_the_thirteen_days_are_month_ends_one_after_the_other():
    days = pd.date_range("1997-03-31", "1998-03-31", freq="ME")
    assert customers.MONTH_ENDS == [f"{day:%Y-%m-%d}" for day in days]


def package(site: Path, *lines: str) -> Path:
    """A folder that looks like an installed lifetimes, one that cannot be imported."""
    described = site / "Lifetimes-0.11.3.dist-info" / "METADATA"
    purchases = site / "lifetimes" / "datasets" / "CDNOW_master.txt"
    for path in (described, purchases):
        path.parent.mkdir(parents=True)
    described.write_text("Metadata-Version: 2.1\nName: Lifetimes\nVersion: 0.11.3\n")
    (site / "lifetimes" / "__init__.py").write_text("raise SystemExit('imported')\n")
    if lines:
        purchases.write_text("\n".join([" customer_id  date number_of_cds  dollar_value", *lines]))
    return site


def run(folder: Path, *options: str, site: str = "") -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "examples" / "customers.py")
    return subprocess.run(
        [sys.executable, "-W", "error", script, str(folder), *options],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": site},
        text=True,
        capture_output=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("options", "columns", "row"),
    [
        ([], customers.FIVE, "00002,89.0,101.5,7,0"),
        (["--rich"], customers.RICH, "00002,89.0,101.5,7,3,101.5,19,78,33.83,0"),
    ],
)
def test_the_files_hold_the_snapshots_of_the_package_purchases(tmp_path, options, columns, row):
    site = package(
        tmp_path / "site",
        " 00002 19970112  1   12.50",
        " 00002 19970312  1   12.00",
        " 00002 19970312  5   77.00",
        " 00002 19970630  1    9.00",
    )
    done = run(tmp_path / "made" / "here", *options, site=str(site))
    assert done.stdout == "wrote 13 snapshots, cdnow_1997-03-31.csv to cdnow_1998-03-31.csv\n"
    assert done.stderr == ""
    made = sorted((tmp_path / "made" / "here").iterdir())
    assert [path.name for path in made] == [f"cdnow_{day}.csv" for day in customers.MONTH_ENDS]
    assert made[0].read_bytes().decode() == f"{','.join(columns)}\n{row}\n"


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["customers.py", str(tmp_path / "made")])
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(SystemExit) as stopped:
        customers.main()
    assert stopped.value.code == (
        "error: the purchases come with lifetimes 0.11.3, which is not installed; "
        "run `pip install -r requirements-dev.txt` first"
    )
    assert not (tmp_path / "made").exists()


def test_a_package_without_the_file_is_told_apart(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(package(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"lifetimes 0\.11\.3 has no .*CDNOW_master\.txt"):
        customers.purchase_file()


@pytest.fixture(scope="module")
def installed() -> Path:
    """The purchases of the installed package."""
    try:
        importlib.metadata.distribution("lifetimes")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(
            "REAL CUSTOMERS NOT TESTED: lifetimes is missing; pip install -r requirements-dev.txt"
        )
    return customers.purchase_file()


def test_the_package_has_the_purchases_that_the_readme_tells_of(installed):
    purchases = customers.read_purchases(installed)
    ends = [f"{day:%Y-%m-%d}" for day in (purchases["date"].min(), purchases["date"].max())]
    assert (len(purchases), purchases["customer"].nunique(), ends) == (
        69_659,
        23_570,
        ["1997-01-01", "1998-06-30"],
    )
    assert "69,659 purchases of 23,570 customers" in (ROOT / "examples/README.md").read_text()


def test_the_snapshots_have_the_figures_that_the_readme_tells(installed):
    purchases = customers.read_purchases(installed)
    made = [customers.snapshot(purchases, day) for day in customers.MONTH_ENDS]
    rates = [f"{shown['exited'].mean():.3f}".lstrip("0") for shown in made]
    rows = pd.concat(made)
    exits = rows["exited"].mean()
    readme = (ROOT / "examples/README.md").read_text()
    told = re.search(
        r"exits is (\S+) in March 1997, climbs to (\S+) in June, falls to (\S+) by S", readme
    )
    assert told
    assert [told[1], told[2], told[3]] == [rates[0], rates[3], rates[6]]
    assert all(0.58 <= float(rate) <= 0.62 for rate in rates[6:])
    assert f"13 files, {len(rows):,} rows" in readme
    assert f"only {len(rows[customers.FIVE].drop_duplicates()):,} rows" in readme
    assert f"F1 {2 * exits / (1 + exits):.3f} over all rows".replace("0.", ".", 1) in readme


@pytest.mark.parametrize(("options", "batches"), [([], "batches"), (["--rich"], "batches_rich")])
def test_the_files_are_the_known_ones_byte_for_byte(installed, tmp_path, options, batches):
    known = real_data("cdnow", batches)
    assert run(tmp_path, *options).returncode == 0
    names = sorted(path.name for path in known.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    differing = [
        name for name in names if (tmp_path / name).read_bytes() != (known / name).read_bytes()
    ]
    assert (len(names), differing) == (13, [])

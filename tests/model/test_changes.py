"""What a client's earlier rows say: the values before, the term of change, its words, the API."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import Project
from driver import new_project, run_driver

from app import create_app
from risk.data.previous import PREVIOUS_DATE, earlier_values, with_earlier
from risk.model.change_terms import Change, change_terms
from risk.model.deployed import read_deployed

OCT = (date(2026, 10, 31) - date(1970, 1, 1)).days
HEADER = "account,employees,logins,churned"
SETTINGS: dict[str, Any] = {
    "port": 9,
    "labels": "status",
    "columns": {"id": "account", "target": "churned", "features": ["employees", "logins"]},
}
MONTH_ENDS = [date(2026, m + 1, 1) - timedelta(days=1) for m in range(2, 8)]


# ---------------------------------------------------------------- the values before


def frame(*rows: tuple[str, str | None, float | None]) -> pl.DataFrame:
    days = [date.fromisoformat(day) if day else None for _, day, _ in rows]
    return pl.DataFrame(
        {"id": [r[0] for r in rows], "_date": days, "n": [r[2] for r in rows]},
        schema={"id": pl.String, "_date": pl.Date, "n": pl.Float64},
    )


def test_each_row_has_the_value_before_and_the_mean_of_all_before() -> None:
    rows = frame(
        ("b", "2026-02-28", 7.0), ("a", "2026-03-31", 2.0), ("a", "2026-01-31", 10.0),
        ("a", "2026-02-28", 20.0), ("c", None, 5.0), ("a", "2026-04-30", None),
        ("a", "2026-05-31", 1.0),
    )  # fmt: skip
    found = with_earlier(rows, "id", ["n"])

    assert found["n"].to_list() == rows["n"].to_list()
    assert found["n (previous)"].to_list() == [None, 20.0, None, 10.0, None, 2.0, None]
    means = [None, 15.0, None, 10.0, None, pytest.approx(32 / 3), pytest.approx(32 / 3)]
    assert found["n (mean before)"].to_list() == means
    first = found.filter(pl.col("id") == "a").sort("_date")[PREVIOUS_DATE].to_list()
    assert first[0] is None and first[1] == (date(2026, 1, 31) - date(1970, 1, 1)).days


def test_two_rows_of_one_date_are_no_change() -> None:
    rows = frame(("a", "2026-01-31", 1.0), ("a", "2026-01-31", 2.0), ("a", "2026-02-28", 3.0))

    assert with_earlier(rows, "id", ["n"])["n (previous)"].to_list() == [None, None, 2.0]


@pytest.mark.parametrize("rows", [
    frame(("a", "2026-01-31", 1.0), ("b", "2026-02-28", 2.0)),  # nobody twice
    frame(("a", None, 1.0), ("a", None, 2.0)),                  # of no date
    frame(("a", "2026-01-31", 1.0), ("a", "2026-02-28", 2.0)).with_columns(
        pl.lit(1.0).alias("n (previous)")),                     # a column of the company's own
])  # fmt: skip
def test_where_nothing_came_before_the_rows_stay_as_they_are(rows: pl.DataFrame) -> None:
    assert with_earlier(rows, "id", ["n"]).columns == rows.columns


def test_a_row_that_is_sent_is_known_by_its_client() -> None:
    stored = with_earlier(frame(("a", "2026-01-31", 10.0), ("a", "2026-02-28", 20.0)), "id", ["n"])
    sent = {"id": ["a", "a", "z", None], "n": [20.0, 5.0, 1.0, 1.0]}
    found = earlier_values(sent, stored, "id", ["n"])

    assert found["n (previous)"] == [10.0, 20.0, None, None]  # the newest row itself; a later one
    assert found["n (mean before)"] == [10.0, 15.0, None, None]


# ---------------------------------------------------------------- the term


def raw(now: list[float], before: list[float]) -> dict[str, np.ndarray]:
    return {
        "n": np.array(now),
        "n (previous)": np.array(before),
        PREVIOUS_DATE: np.full(len(now), float(OCT)),
    }


def test_a_change_that_is_not_known_adds_nothing() -> None:
    term = Change("n", "n (previous)", -2.0, 2.0, -0.5, mean=-0.5, slope=-1.5)
    found = term.contribution(raw([9.0, np.nan, 9.0], [99.0, 5.0, np.nan]))

    assert found.tolist() == [pytest.approx(-1.5 * (-2.0 + 0.5)), 0.0, 0.0]
    assert term.contribution({"n": np.array([3.0])}).tolist() == [0.0]


@pytest.mark.parametrize(("against", "words"), [
    ("n (previous)", "n 12 (was 60 in October)"),
    ("n (mean before)", "n 12 (60 on average before)"),
])  # fmt: skip
def test_a_change_is_told_by_both_values(against: str, words: str) -> None:
    row = raw([12.0], [60.0]) | {"n (mean before)": np.array([60.0])}

    assert Change("n", against, -2.0, 2.0, 0.0).reason_text(row, {}) == words


def test_a_date_within_a_month_is_told_as_it_is() -> None:
    row = raw([12.0], [60.0]) | {PREVIOUS_DATE: np.array([OCT - 17.0])}

    words = Change("n", "n (previous)", -2.0, 2.0, 0.0).reason_text(row, {})
    assert words == "n 12 (was 60 on 14 Oct)"


def test_few_known_changes_propose_nothing() -> None:
    before = np.full(400, np.nan)
    before[:29] = 5.0

    assert change_terms({"n": np.arange(400.0), "n (previous)": before}, ("n",)) == []


# ---------------------------------------------------------------- a company where change decides


def months(seed: int, n: int = 300) -> list[list[str]]:
    """Status exports; who logs in far less than the month before tends to leave. An account that
    has left stays in the files."""
    rng = np.random.default_rng(seed)
    habit, left = np.exp(rng.normal(3, 0.9, n)), np.zeros(n, dtype=bool)
    level, before, files = habit.copy(), None, []
    size = np.exp(rng.normal(4, 1.3, n)).astype(int) + 2
    for _ in MONTH_ENDS:
        setback = np.where(rng.random(n) < 0.15, np.exp(-rng.uniform(1, 2, n)), 1.0)
        level = (0.6 * level + 0.4 * habit) * setback
        logins = np.where(left, 0, rng.poisson(level))
        fall = np.log1p(logins) - np.log1p(logins if before is None else before)
        files.append([
            f"A{at:03},{size[at]},{logins[at]},{int(left[at])}" for at in range(n)
        ])  # fmt: skip
        log_odds = -3.3 - 2.0 * np.clip(fall, -2.5, 0.3)
        left |= rng.random(n) < 1 / (1 + np.exp(-log_odds))
        before = logins
    return files


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = new_project(tmp_path_factory.mktemp("changing"), **SETTINGS)
    (made.folder / "testdata" / "testdata.csv").unlink()
    for day, rows in zip(MONTH_ENDS, months(3), strict=True):
        made.write(f"sourcedata/accounts_{day}.csv", rows, header=HEADER)
        run_driver(made)
    return made


def list_of(project: Project) -> dict[str, Any]:
    return json.loads((project.folder / "models" / "clients_at_risk.json").read_text())


def test_a_fall_is_a_reason_in_the_words_of_an_account_manager(changing: Project) -> None:
    rows = months(3)
    was, now = (
        {cells[0]: cells[2] for cells in (row.split(",") for row in rows[at])} for at in (-2, -1)
    )
    first = list_of(changing)["clients"][:10]
    told = [
        (client["client"], reason["text"])
        for client in first for reason in client["reasons"] if "(was " in reason["text"]
    ]  # fmt: skip

    assert len(told) >= 5
    for client, text in told:
        assert text == f"logins {now[client]} (was {was[client]} in June)"


def test_the_prediction_of_a_known_client_is_that_of_the_list(changing: Project) -> None:
    browser = create_app(changing.config).test_client()
    newest = (changing.folder / "sourcedata" / f"accounts_{MONTH_ENDS[-1]}.csv").read_text()
    risks = {client["client"]: client["risk"] for client in list_of(changing)["clients"]}
    answer = browser.post("/prediction", data=newest, content_type="text/csv").json

    found = dict(zip(answer["clients"], answer["probabilities"], strict=True))
    for client, risk in risks.items():
        assert found[client] == pytest.approx(risk, abs=1e-6)
    # Of nobody in particular: the same values without an id have no past.
    first = next(iter(risks))
    line = next(row for row in newest.splitlines() if row.startswith(f"{first},"))
    cells = line.split(",")
    stranger = {"rows": [{"employees": int(cells[1]), "logins": int(cells[2])}]}
    assert browser.post("/prediction", json=stranger).json["probabilities"][0] != found[first]


def test_the_model_and_the_pickle_agree_about_changes(changing: Project) -> None:
    model = read_deployed(changing.config).model

    assert any(isinstance(term, Change) for term in model.terms)
    assert set(model.checks) >= {"logins (previous)", "logins (mean before)"}
    assert model.reads_earlier and "logins (previous)" in model.inputs


def test_where_change_says_nothing_none_is_kept() -> None:
    """Noise beside the labels, 20 draws: a change is taken in at most one."""
    from risk.model.additive import AdditiveTerms

    taken = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = 400
        x, before = np.exp(rng.normal(3, 1, (2, n)))
        y = (rng.random(n) < 1 / (1 + np.exp(1.5 + 0.8 * (np.log(x) - 3)))).astype(int)
        import pandas as pd

        table = pd.DataFrame({"n": x, "n (previous)": before, "n (mean before)": before * 1.1})
        terms = AdditiveTerms(("n",), ()).fit(table, y).terms_
        taken += any(isinstance(one.term, Change) for one in terms)
    assert taken <= 1

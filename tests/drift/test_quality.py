import json

import numpy as np
import pytest

from risk.drift.quality import DataQualityIssue, chernoff_nats, drift_allowance, quality_issues
from risk.drift.usual import quality_reference
from risk.model.model import column_array
from tests.conftest import real_data

BIG_CITY = np.arange(1, 201.0) ** -1


def texts(values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def clients(random, n):
    """Columns of every sort, in each row independent."""
    z, chance = random.standard_normal, random.random
    return {
        "narrow": 100 + 5 * z(n),
        "centred": z(n),
        "usd": np.round(np.exp(z(n) + 3), 2),
        "wide": np.exp(2 * z(n) + 5),
        "activity": np.where(chance(n) < 0.6, 0, np.round(np.exp(z(n) + 3), 2)),
        "calls": random.poisson(3, n).astype(float),
        "pareto": 10 * (1 + random.pareto(1.2, n)),
        "tenure": random.integers(1, 73, n).astype(float),
        "balance": 200 + 400 * z(n),
        "profit": 300 + 100 * z(n),
        "employees": np.round(np.exp(1.5 * z(n) + 2.5)) + 1,
        "half": (chance(n) < 0.5) * 1.0,
        "rare": (chance(n) < 0.03) * 1.0,
        "tenth": (chance(n) < 0.1) * 1.0,
        "constant": np.full(n, 7.0),
        "gaps": np.where(chance(n) < 0.3, np.nan, 50 + 10 * z(n)),
        "mostly blank": np.where(chance(n) < 0.9, np.nan, 50 + 10 * z(n)),
        "contract": texts(random.choice(["monthly", "one year", "two"], n, p=[0.5, 0.3, 0.2])),
        "payment": texts(random.choice(["card", "transfer", "check"], n, p=[0.4, 0.4, 0.2])),
        "city": texts([f"city {i}" for i in random.choice(200, n, p=BIG_CITY / BIG_CITY.sum())]),
        "name": texts([f"name {i}" for i in random.integers(0, 10**9, n)]),
    }


KINDS = {
    name: "text" if values.dtype == object else "number"
    for name, values in clients(np.random.default_rng(0), 1).items()
}
DEVIATION = {
    "narrow": 5,
    "centred": 1,
    "calls": 1.7,
    "tenure": 21,
    "balance": 400,
    "profit": 100,
    "gaps": 10,
    "mostly blank": 10,
}
LOG_DEVIATION = {"usd": 1.0, "wide": 2.0, "activity": 1.0, "pareto": 0.8, "employees": 1.5}
CENTRE = {
    "narrow": 100,
    "centred": 0,
    "calls": 3,
    "tenure": 36,
    "balance": 200,
    "profit": 300,
    "gaps": 50,
    "mostly blank": 50,
}


@pytest.fixture(scope="module")
def reference():
    return quality_reference(clients(np.random.default_rng(1), 2000), KINDS)


def shifted(raw, random, up):
    """Every number a standard deviation away, on its own scale."""
    return (
        raw
        | {n: raw[n] + up * d for n, d in DEVIATION.items()}
        | {n: raw[n] * np.exp(up * d) for n, d in LOG_DEVIATION.items()}
    )


def seasonal(raw, random, up):
    return raw | {n: raw[n] * 1.5**up for n in [*DEVIATION, *LOG_DEVIATION]}


def grown(raw, random, up):
    return raw | {n: raw[n] * 3.0**up for n in ("usd", "activity", "tenure", "employees", "pareto")}


def spread_out(raw, random, up):
    return raw | {n: CENTRE[n] + (raw[n] - CENTRE[n]) * 1.6**up for n in CENTRE}


def half_of_them(raw, random, up):
    """The upper or the lower half of the clients by each number."""
    many = clients(random, 400)
    found = {}
    for name in ["usd", "wide", *DEVIATION]:
        ordered = np.sort(many[name][np.isfinite(many[name])])
        half = np.array_split(ordered, 2)[int(up > 0)]
        values = random.choice(half, raw[name].size)
        found[name] = np.where(np.isnan(raw[name]), np.nan, values)
    return raw | found


def other_shares(raw, random, up):
    """Three rows in ten get another level, a new one among them; more zeros, more yeses."""
    found = {}
    for name, choice in (
        ("contract", ["new", "one year"]),
        ("payment", ["check", "app"]),
        ("city", ["new town", "city 3"]),
        ("half", [1.0]),
        ("rare", [0.0, 1.0]),
        ("tenth", [0.0, 1.0]),
        ("activity", [0.0]),
    ):
        found[name] = raw[name].copy()
        moved = random.random(raw[name].size) < 0.3
        found[name][moved] = random.choice(choice, int(moved.sum()))
    return raw | found


def more_blanks(raw, random, up):
    return raw | {
        n: np.where(random.random(raw[n].size) < 0.07, np.nan, raw[n])
        for n in KINDS
        if KINDS[n] == "number"
    }


DRIFTS = (shifted, seasonal, grown, spread_out, half_of_them, other_shares, more_blanks)


def false_issues(files, rows, drifts=(None,), seed=0, known=2000):
    """(files with an issue, files with one that would hold, files): nothing is wrong with them.

    With seed 11, references of 2,000 and of 60 rows, without drift and with it, of 4 x 2,100 files
    of 5 rows, 4 x 2,100 of 30, 4 x 1,400 of 200 and 4 x 105 of 20,000 (21 columns) none has one.
    """
    random = np.random.default_rng([seed, rows])
    reported = held = 0
    for file in range(files):
        if file % 20 == 0:
            usual = quality_reference(clients(random, known), KINDS)
        raw, drift = clients(random, rows), drifts[file % len(drifts)]
        found = quality_issues(drift(raw, random, random.choice([-1, 1])) if drift else raw, usual)
        reported += bool(found)
        held += any(issue.holds for issue in found)
    return reported, held, files


@pytest.mark.parametrize("rows", [5, 30, 200, 20_000])
def test_no_file_is_called_faulty_by_chance(rows):
    reported, _, _ = false_issues(100 if rows <= 200 else 4, rows)
    assert reported == 0


@pytest.mark.parametrize("rows", [5, 30, 200, 20_000])
def test_ordinary_drift_is_no_issue(rows):
    reported, _, _ = false_issues(105 if rows <= 200 else 7, rows, DRIFTS)
    assert reported == 0


@pytest.mark.parametrize("drift", DRIFTS)
def test_no_drift_of_this_kind_is_an_issue(drift):
    assert false_issues(40, 200, (drift,), known=60)[0] == 0


def times(factor):
    return lambda values: values * factor


def blanked(share):
    def some(values):
        found = values.copy()
        found[: round(share * values.size)] = None if values.dtype == object else np.nan
        return found

    return some


def filled(value, every):
    def some(values):
        found = values.copy()
        found[::every] = value
        return found

    return some


def stuck(values):
    return texts([values[0]] * values.size) if values.dtype == object else values * 0 + values[0]


def renamed(values):
    return texts([f"code {value[:2]}" for value in values])


FAULTS = [
    ("usd", times(1000), "unit", "1,000 times as large as before, as ones to thousands"),
    ("usd", times(100), "unit", "100 times as large as before, as cents to dollars"),
    ("usd", times(1 / 1000), "unit", "1,000 times smaller than before"),
    ("usd", times(-1000), "unit", "1,000 times as large"),
    ("narrow", times(12), "unit", "12 times as large as before, as a year to a month"),
    ("narrow", times(1 / 100), "unit", "100 times smaller"),
    ("narrow", times(150), "unit", "150 times as large"),
    ("activity", times(100), "unit", "100 times as large"),
    ("calls", times(60), "unit", "60 times as large as before, as minutes to hours"),
    ("tenure", times(30), "unit", "30 times as large as before, as days to months"),
    ("balance", times(1000), "unit", "1,000 times as large"),
    ("pareto", times(1000), "unit", "1,000 times as large"),
    ("gaps", times(100), "unit", "100 times as large"),
    ("wide", times(100_000), "unit", "88,000 times as large"),
    ("usd", times(-1), "sign", "are negative since"),
    ("profit", times(-1), "sign", "are negative since"),
    ("activity", times(-1), "sign", "100 % of"),
    ("usd", stuck, "stuck", "every one of 200 rows says"),
    ("calls", stuck, "stuck", "every one of 200 rows says"),
    ("half", stuck, "stuck", "every one of 200 rows says"),
    ("contract", stuck, "stuck", "every one of 200 rows says"),
    ("activity", times(0), "stuck", "every one of 200 rows says 0"),
    ("usd", blanked(1), "blank", "all 200 rows are blank since june.csv, usually 0 %"),
    ("usd", blanked(0.5), "blank", "50 % of 200 rows are blank since june.csv, usually 0 %"),
    ("gaps", blanked(1), "blank", "all 200 rows are blank"),
    ("contract", blanked(1), "blank", "all 200 rows are blank"),
    ("contract", blanked(0.6), "blank", "60 % of 200 rows"),
    ("narrow", filled(-999, 3), "filler", "say -999 since june.csv, which no row did before"),
    ("tenure", filled(9999, 3), "filler", "say 9,999"),
    ("contract", renamed, "renamed", "100 % of 200 rows have values never seen before"),
    ("payment", renamed, "renamed", '("code ca", "code tr", "code ch"; usually "'),
    ("half", lambda values: values + 1, "renamed", "never seen before since june.csv (2; usual"),
    ("tenth", times(100), "unit", "100 times as large"),
]


@pytest.mark.parametrize(("column", "spoil", "kind", "words"), FAULTS)
def test_an_issue_is_named_with_its_column_and_file(reference, column, spoil, kind, words):
    raw = clients(np.random.default_rng(3), 200)
    found = quality_issues(raw | {column: spoil(raw[column])}, reference, file="june.csv")
    assert [(issue.kind, issue.columns, issue.file, issue.holds) for issue in found] == [
        (kind, (column,), "june.csv", True)
    ]
    assert words in found[0].sentence
    assert found[0].sentence.startswith(f"{column}: ")
    assert found[0].sentence.count("since june.csv") == 1
    assert 1 <= found[0].n <= 200


@pytest.mark.parametrize(
    ("column", "spoil", "kind"),
    [
        ("usd", times(1000), "unit"),
        ("narrow", times(12), "unit"),
        ("tenure", times(365), "unit"),
        ("usd", times(-1), "sign"),
        ("narrow", stuck, "stuck"),
        ("narrow", blanked(1), "blank"),
        ("contract", blanked(1), "blank"),
        ("contract", renamed, "renamed"),
    ],
)
def test_five_rows_show_a_gross_issue(reference, column, spoil, kind):
    raw = clients(np.random.default_rng(5), 5)
    found = quality_issues(raw | {column: spoil(raw[column])}, reference)
    assert [(issue.kind, issue.columns) for issue in found] == [(kind, (column,))]


@pytest.mark.parametrize(
    "pair",
    [
        ("usd", "narrow"),
        ("tenure", "profit"),
        ("calls", "narrow"),
        ("contract", "payment"),
        ("half", "employees"),
        ("contract", "city"),
    ],
)
@pytest.mark.parametrize("rows", [30, 200])
def test_two_swapped_columns_are_one_issue(reference, pair, rows):
    one, other = pair
    raw = clients(np.random.default_rng(4), rows)
    found = quality_issues(raw | {one: raw[other], other: raw[one]}, reference, file="june.csv")
    assert [(issue.kind, sorted(issue.columns), issue.holds) for issue in found] == [
        ("swapped", sorted(pair), True)
    ]
    assert "each has the values that the other used to have since june.csv" in found[0].sentence


def test_a_column_that_the_file_lacks_is_blank(reference):
    raw = clients(np.random.default_rng(3), 200)
    del raw["usd"]
    assert [(issue.kind, issue.columns) for issue in quality_issues(raw, reference)] == [
        ("blank", ("usd",))
    ]


def test_several_issues_are_listed_in_the_order_of_the_columns(reference):
    raw = clients(np.random.default_rng(3), 200)
    found = quality_issues(
        raw | {"contract": renamed(raw["contract"]), "usd": raw["usd"] * 1000}, reference
    )
    assert [issue.kind for issue in found] == ["unit", "renamed"]


@pytest.mark.parametrize(
    ("column", "spoil", "kind", "words"),
    [
        ("usd", blanked(0.25), "blank", "25 % of 200 rows"),
        ("usd", filled(0.0, 3), "filler", "34 % of 200 rows say 0"),
        ("tenth", lambda values: 1 - values, "inverted", "changed the two values' meaning"),
        (
            "payment",
            lambda values: texts([v if v == "card" else f"{v}s" for v in values]),
            "renamed",
            "never seen before",
        ),
    ],
)
def test_what_may_be_drift_is_reported_and_holds_nothing(reference, column, spoil, kind, words):
    raw = clients(np.random.default_rng(3), 200)
    found = quality_issues(raw | {column: spoil(raw[column])}, reference)
    assert [(issue.kind, issue.columns, issue.holds) for issue in found] == [
        (kind, (column,), False)
    ]
    assert words in found[0].sentence


def test_texts_in_other_capitals_are_said_to_be_that(reference):
    raw = clients(np.random.default_rng(3), 200)
    shouted = texts([f"{value.upper()} " for value in raw["contract"]])
    found = quality_issues(raw | {"contract": shouted}, reference)
    assert "the same but for capitals and spaces" in found[0].sentence


def monthly(months, rows=60):
    """A column that is constant in every file, one whose scale moves, and the files' names."""
    random = np.random.default_rng(6)
    files = np.repeat(np.arange(months), rows)
    moved = np.exp(random.standard_normal(files.size) / 2 + random.choice([0, 4], months)[files])
    return {
        "month": texts([f"1997-{m:02d}" for m in files]),
        "number": files * 1.0,
        "orders": moved,
    }, files


def test_a_column_constant_in_every_file_is_not_stuck_where_files_are_known():
    raw, files = monthly(8)
    kinds = {"month": "text", "number": "number", "orders": "number"}
    june = {
        "month": texts(["1997-99"] * 60),
        "number": np.full(60, 99.0),
        "orders": raw["orders"][:60],
    }
    reported = quality_issues(june, quality_reference(raw, kinds))
    assert {issue.kind for issue in reported} == {"stuck"}
    assert quality_issues(june, quality_reference(raw, kinds, files)) == []


def test_a_scale_that_moves_from_file_to_file_is_no_unit():
    """Three small files of ten are e^4 times as large; so is the new one."""
    random = np.random.default_rng(7)
    sizes = [200] * 7 + [20] * 3
    files = np.repeat(np.arange(10), sizes)
    orders = np.exp(random.standard_normal(files.size) / 2 + 4 * (files >= 7))
    kinds, large = {"orders": "number"}, np.exp(random.standard_normal(60) / 2 + 4)
    reported = [
        quality_issues({"orders": large}, quality_reference({"orders": orders}, kinds, known))
        for known in (None, files)
    ]
    assert [[issue.kind for issue in found] for found in reported] == [["unit"], []]


def test_eight_times_as_much_is_no_unit_where_values_vary_by_more():
    random = np.random.default_rng(8)
    usual, new = (np.exp(s * random.standard_normal(20_000)) for s in (2.0, 2.0))
    reference = quality_reference({"usd": usual}, {"usd": "number"})
    assert quality_issues({"usd": 8 * new}, reference) == []
    assert [issue.kind for issue in quality_issues({"usd": 100 * new}, reference)] == ["unit"]


@pytest.mark.parametrize(("known", "rows"), [(2000, 4), (10, 200)])
def test_nothing_is_said_of_too_few_rows(known, rows):
    usual = quality_reference(clients(np.random.default_rng(1), known), KINDS)
    raw = clients(np.random.default_rng(3), rows)
    assert (
        quality_issues(raw | {"usd": raw["usd"] * 1e6, "half": raw["half"] * np.nan}, usual) == []
    )


def test_an_empty_file_has_no_issue(reference):
    assert (
        quality_issues(
            {name: values[:0] for name, values in clients(np.random.default_rng(0), 5).items()},
            reference,
        )
        == []
    )
    assert quality_issues({}, reference) == []


def test_infinite_numbers_and_odd_texts_break_nothing(reference):
    raw = clients(np.random.default_rng(3), 30)
    raw["usd"][:] = np.inf
    raw["contract"][:] = "{0} <where> %s"
    kinds = [issue.kind for issue in quality_issues(raw, reference, file="{june}.csv")]
    assert kinds == ["blank", "stuck"]


def test_the_reference_is_json_of_at_most_a_kilobyte_a_column():
    raw = clients(np.random.default_rng(1), 5000) | {
        "long": texts([f"{i % 90} " + "é" * 60 for i in range(5000)])
    }
    made = quality_reference(raw, KINDS | {"long": "text"}, np.arange(5000) // 100)
    text = json.dumps(made, allow_nan=False)
    assert json.loads(text) == made
    assert max(len(json.dumps(usual)) for usual in made["columns"].values()) <= 1100


def test_an_empty_reference_says_nothing():
    raw = clients(np.random.default_rng(1), 30)
    none = quality_reference({name: values[:0] for name, values in raw.items()}, KINDS)
    blank = quality_reference(raw | {"usd": np.full(30, np.nan)}, KINDS, np.zeros(30))
    assert quality_issues(raw, none) == []
    assert quality_issues(raw, blank) == []


@pytest.mark.parametrize(
    ("share", "limit", "n", "found"),
    [
        (1.0, 0.1, 5, 11.5129),
        (0.5, 0.5, 100, 0.0),
        (0.4, 0.5, 100, 0.0),
        (0.6, 0.5, 1000, 20.1355),
    ],
)
def test_evidence_is_chernoffs_bound(share, limit, n, found):
    assert chernoff_nats(share, limit, n) == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize(
    ("share", "reached"), [(0.0, 0.1), (0.02, 0.12), (0.5, 0.8), (0.9, 0.975), (1.0, 1.0)]
)
def test_a_share_may_drift_so_far(share, reached):
    assert drift_allowance(share) == pytest.approx(reached, abs=1e-5)


def test_an_issue_is_a_value():
    assert DataQualityIssue("unit", ("a",), "f", "s", 5, True) == DataQualityIssue(
        "unit", ("a",), "f", "s", 5, True
    )


def real_file(path):
    """The feature columns of a CSV file and their kinds."""
    import polars as pl

    table = pl.read_csv(path, infer_schema_length=None)
    names = [name for name in table.columns if name not in ("corporation", "flight_row", "exited")]
    kinds = {n: "text" if table[n].dtype == pl.String else "number" for n in names}
    return {name: column_array(table[name].to_list(), kinds[name]) for name in names}, kinds


@pytest.mark.parametrize(
    "folder", ["cdnow/batches", "cdnow/batches_rich", "streams/flights", "streams/grocery/batches"]
)
def test_no_real_file_is_faulty_by_the_files_before(folder):
    paths = sorted(real_data(*folder.split("/")).glob("*.csv"))
    parts, kinds = zip(*map(real_file, paths), strict=True)
    for new in range(1, len(parts)):
        for first in (0, new - 1):
            before = parts[first:new]
            joined = {n: np.concatenate([part[n] for part in before]) for n in kinds[0]}
            sizes = [next(iter(part.values())).size for part in before]
            for files in (np.repeat(np.arange(len(sizes)), sizes), None):
                usual = quality_reference(joined, kinds[0], files)
                assert quality_issues(parts[new], usual, file=paths[new].name) == []

"""The report: its numbers are the list's, every page holds what it should, whatever the world."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from conftest import Project, client_rows
from driver import copy_of, first_deployed, undrawn

import reporting
from ingestion import ingest
from risk.data.holdout import Holdout
from risk.model.deployed import read_deployed
from risk.report import card as cards
from risk.report.card import card_of
from risk.report.figures import style
from risk.report.html import MOST_CLIENTS, html_of
from risk.report.pdf import MOST_PAGES, pages_of, pdf_of
from risk.report.typeset import HEIGHT, NO_GLYPH, WIDTH, broken, fitted, width_of

HOSTILE = [
    "<script>alert(1)</script>", "$x_1^2$ \\frac{a}{b}", "株式会社テスト", "😀 emoji & Co",
    "שלום עולם", "مرحبا بالعالم 12 شركة", "x" * 400, "word " * 80, "=cmd()", "a\tb\nc\x07",
    '"\'>', "Ünïcödé ﬁ", " ", "\u202eright", "%s {0}", "/../etc", "Zoë\u0301",
]  # fmt: skip


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """A project with 60 current clients and its card; only copied, never changed."""
    project = copy_of(first_deployed(tmp_path_factory), tmp_path_factory.mktemp("told"))
    project.write("sourcedata/2030-01-31.csv", unlabelled(60, 8))
    ingest(project.config)
    with undrawn():
        reporting.report(project.config)
    return project, card_in(project)


@pytest.fixture
def card(told: tuple[Project, dict[str, Any]]) -> dict[str, Any]:
    return copy.deepcopy(told[1])


@pytest.fixture
def project(told: tuple[Project, dict[str, Any]], tmp_path: Path) -> Project:
    return copy_of(told[0], tmp_path)


def unlabelled(n: int, seed: int) -> list[str]:
    return [row.rpartition(",")[0] + "," for row in client_rows(n, seed=seed, prefix="now")]


def card_in(project: Project) -> dict[str, Any]:
    """The card of what lies in the model folder."""
    now = read_deployed(project.config)
    listing, outcomes = (project.json(f"models/{name}.json") for name in LISTS)
    known = reporting.tested(now.model, Holdout(project.config))
    return card_of(project.config, listing, outcomes, now.score, now.manifest, now.model, known)


LISTS = ("clients_at_risk", "outcomes")


# ---------------------------------------------------------------- what a page holds


def boxes_of(figure: Any) -> dict[str, np.ndarray]:
    """Every text on the page and its box (left, bottom, right, top) in millimetres."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    unit = figure.dpi / 25.4
    found = {}
    for number, text in enumerate(figure.findobj(Text)):
        if text.get_text().strip() and text.get_visible() and _is_drawn(text):
            box = text.get_window_extent()
            found[f"{number} {text.get_text()}"] = np.array(box.extents) / unit
    return found


def _is_drawn(text: Any) -> bool:
    """Whether the axes of a tick's text are switched on."""
    return text.axes is None or text.axes.axison or text in text.axes.texts


def check_page(figure: Any) -> list[str]:
    """Every text is on the page, and none lies upon another; the texts."""
    found = boxes_of(figure)
    box = np.array(list(found.values()))
    assert (box[:, 0] > 5).all() and (box[:, 1] > 5).all(), least(found, box[:, :2].min(axis=1))
    assert (box[:, 2] < WIDTH - 5).all(), least(found, -box[:, 2])
    assert (box[:, 3] < HEIGHT - 5).all()
    across = np.minimum(box[:, None, 2], box[None, :, 2]) - np.maximum(box[:, None, 0], box[:, 0])
    up = np.minimum(box[:, None, 3], box[None, :, 3]) - np.maximum(box[:, None, 1], box[:, 1])
    # Boxes are as high as the font's tallest letters: lines may share a third of a millimetre.
    upon = np.argwhere(np.triu((across > 0.3) & (up > 0.9), 1))
    names = list(found)
    assert [(names[one], names[other]) for one, other in upon] == []
    return [name.partition(" ")[2] for name in names]


def least(found: dict[str, Any], by: np.ndarray) -> tuple[str, Any]:
    name = list(found)[int(by.argmin())]
    return name, found[name]


class Balance(HTMLParser):
    """Tags that were opened and not closed; attributes that lead elsewhere."""

    VOID = {"meta", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def check_document(html: str) -> Balance:
    """Well-formed, under 1 MB, no script, nothing from elsewhere, no id twice; the parsed text."""
    assert len(html.encode()) < 1_000_000
    found = Balance()
    found.feed(html)
    assert found.open == []
    tags = {tag for tag, _ in found.seen}
    assert not tags & {"script", "iframe", "link", "object", "img", "form", "input"}
    attributes = [(key, value or "") for _, one in found.seen for key, value in one.items()]
    assert not [key for key, _ in attributes if key.startswith("on")]
    links = [value for key, value in attributes if key in ("src", "href", "xlink:href", "action")]
    assert all(link.startswith("#") for link in links)
    assert "url(http" not in html and "@import" not in html
    ids = [value for key, value in attributes if key == "id"]
    own = [one for one in ids if not re.fullmatch(r"[a-z][0-9a-f]{10}", one)]
    assert len(own) == len(set(own))
    return found


# ---------------------------------------------------------------- worlds


def called(card: dict[str, Any], n: int) -> None:
    """A call list of so many."""
    kinds = card["calls"]["clients"]
    card["calls"]["clients"] = [
        kinds[at % len(kinds)] | {"rank": at + 1, "client": f"client {at}"} for at in range(n)
    ]


def with_names(card: dict[str, Any]) -> None:
    """Hostile texts wherever somebody else's texts come in."""
    called(card, 40)
    for at, client in enumerate(card["calls"]["clients"]):
        name = HOSTILE[at % len(HOSTILE)]
        client |= {"client": name, "owner": name, "notes": [f"{name}: unusual value"]}
        told = f"{name} 3 (usually 1 to 2)"
        client["reasons"] = [{"points": points, "text": told} for points in (3, 2, -1)]
    card["calls"]["since"] = "2029-12-31"
    risks = {"risk": 0.5, "became": "left", "points": 12, "data": 9, "model": 3}
    people = [{"client": name} | risks for name in HOSTILE]
    card["changed"] = {"since": "31 Dec 2029", "new": people, "off": people, "moves": people}
    for at, column in enumerate(card["effects"]["columns"]):
        column["name"] = HOSTILE[at]
    card["effects"]["columns"].append({
        "name": HOSTILE[2], "kind": "text", "usual": None, "low": 0.1, "high": 0.6,
        "effects": [{"value": n, "text": n, "risk": 0.1 + at / 40} for at, n in enumerate(HOSTILE)],
    })  # fmt: skip
    card["model"] = [(key, f"{value} {HOSTILE[0]} {HOSTILE[6]}") for key, value in card["model"]]
    card["decision"]["reason"] = " ".join(HOSTILE)
    card["decision"]["evidence"] = [{"name": n, "E": "1e+12", "limit": "1,000.00"} for n in HOSTILE]
    entry = {"verdict": "refused", "rows": 1234567, "duplicates": 0, "quarantined": 1234567}
    card["data"]["files"] = [{"file": name} | entry for name in HOSTILE]
    fault = {"rows": 1234567, "first": f"{HOSTILE[6]} line 3"}
    card["data"]["reasons"] = [{"column": n, "rule": n} | fault for n in HOSTILE[:5]]
    card["alerts"] |= {"measured_at": "1 Jan 2030", "lines": [f"alert: {n}" * 3 for n in HOSTILE]}


def forty_columns(card: dict[str, Any]) -> None:
    column = card["effects"]["columns"][0]
    card["effects"]["columns"] = [
        column | {"name": f"a column with a rather long name {at}"} for at in range(40)
    ]


def five_rows(card: dict[str, Any]) -> None:
    y, p = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.1, 0.4, 0.5, 0.7])
    tried(card, y, p)


def one_class(card: dict[str, Any]) -> None:
    tried(card, np.zeros(30, dtype=int), np.linspace(0.1, 0.9, 30))


def no_rows(card: dict[str, Any]) -> None:
    tried(card, np.zeros(0, dtype=int), np.zeros(0))


def tried(card: dict[str, Any], y: np.ndarray, p: np.ndarray) -> None:
    """The card of a project whose test data are these."""
    from risk.model.measures import measure

    score = {"basis": "test data", "n": int(y.size), "f1": 0.5, "f1_interval": [0.1, 0.9]}
    score |= {"everybody_exits": {"f1": 0.4}, "brier": 0.2}
    score |= measure(y, p, 0.3) if y.size else {"basis": "cross-validation", "n": 30}
    card["curves"] = cards.curves(y, p) if y.size else None
    card["no_curves"] = cards.no_curves(y)
    card["area"] = cards.area_words(score)
    card["judged"] = cards.calibrated(NOTHING_CAME, score)
    card["reached"] = cards.reached(NOTHING_CAME, score, y, p)
    card["trust"] = cards.trust(NOTHING_CAME, score, None)


NOTHING_CAME = {
    "enough": False, "why": "no outcome is known yet", "all": None, "calibration": None,
    "reach": None, "known": 0, "waiting": 60,
}  # fmt: skip


def nobody(card: dict[str, Any]) -> None:
    card["headline"] = "Nobody to call of 60 clients"
    card["calls"] |= {"title": "The highest risks (no call is advised)", "how": "Why not. " * 20}
    card["calls"]["clients"] = [
        client | {"call": False, "band": "not enough data"} for client in card["calls"]["clients"]
    ]


def empty(card: dict[str, Any]) -> None:
    card["headline"] = "Nobody to call of 0 clients"
    card["calls"] |= {"how": "There is no current client.", "clients": []}


def undecided(card: dict[str, Any]) -> None:
    card |= {"decision": None, "undecided": "the history is damaged (" + "x" * 300 + ")"}


WORLDS: dict[str, Callable[[dict[str, Any]], None]] = {
    "as it is": lambda card: None,
    "hostile names": with_names,
    "10,000 to call": lambda card: called(card, 10_000),
    "nobody to call": nobody,
    "no client": empty,
    "40 columns": forty_columns,
    "5 test rows": five_rows,
    "one class": one_class,
    "no test row": no_rows,
    "no decision": undecided,
}


@pytest.mark.parametrize("world", WORLDS)
def test_no_text_leaves_its_page_or_lies_upon_another(card: dict[str, Any], world: str) -> None:
    WORLDS[world](card)

    with style():
        pages = pages_of(card)
        said = [check_page(page) for page in pages]

    assert len(pages) <= MOST_PAGES
    assert [line[-1] for line in said] == [f"page {n} of {len(pages)}" for n in
                                           range(1, len(pages) + 1)]  # fmt: skip
    assert card["headline"] in said[0]


@pytest.mark.parametrize("world", WORLDS)
def test_the_document_is_whole_small_and_asks_nobody(card: dict[str, Any], world: str) -> None:
    WORLDS[world](card)

    found = check_document(html_of(card))

    assert card["headline"] in found.texts
    rows = [tag for tag, _ in found.seen].count("bdi")
    assert rows >= min(len(card["calls"]["clients"]), MOST_CLIENTS)


def test_a_name_is_shown_as_it_is_and_never_as_a_tag(card: dict[str, Any]) -> None:
    with_names(card)

    html = html_of(card)

    found = check_document(html)
    names = ["".join(c for c in name if c.isprintable()) for name in HOSTILE if len(name) < 80]
    assert {name for name in names if name.strip()} <= set(found.texts)
    assert "<script" not in html and "株式会社テスト" in html


# ---------------------------------------------------------------- the same numbers


def test_the_report_says_what_the_list_says(told: tuple[Project, dict[str, Any]]) -> None:
    project, card = told
    listing = project.json("models/clients_at_risk.json")
    with style():
        said = [check_page(page) for page in pages_of(card)]
    html = check_document(html_of(card)).texts

    calls = [client for client in listing["clients"] if client["call"]]
    assert card["calls"]["clients"] == calls and len(calls) == 6
    assert card["headline"] == "6 of 60 clients to call"
    for client in calls:
        risk = f"{100 * client['risk']:.0f} %"
        assert {client["client"], risk} <= set(said[0]) and {client["client"], risk} <= set(html)
        assert {reason["text"] for reason in client["reasons"]} <= set(html)
    assert f"{listing['cut']['expected_leavers']:.1f}" in said[0]
    reach = listing["cut"]["cumulative_gains"]
    sentence = (
        f"Of 100 test clients called like this, {100 * reach['precision']:.0f} left; of 100 picked "
        f"at random, {100 * reach['at_random']['precision']:.0f} would have"
    )
    assert card["trust"]["headline"] == sentence and f"{sentence}." in html
    score = project.json("models/latestscore.json")
    assert f"AUC {score['auc']:.2f}" in card["area"]
    assert card["judged"]["bins"] == score["calibration"]["bins"]
    assert card["data"]["rows"] == sum(entry["rows"] for entry in card["data"]["files"]) == 180


def test_the_script_writes_both_names_them_and_dates_the_pdf_by_the_list(project: Project) -> None:
    said = project.run("reporting.py").stdout

    assert "report: models/report.html, models/report.pdf" in said
    raw = (project.folder / "models/report.pdf").read_bytes()
    made = project.json("models/clients_at_risk.json")["scored_at"]
    stamp = re.sub(r"[^0-9]", "", made)
    assert raw.startswith(b"%PDF-1.4") and f"(D:{stamp}".encode() in raw
    assert b"/FontFile2" in raw and b"/Type3" not in raw and b"/CIDFontType2" in raw
    check_document(project.text("models/report.html"))
    assert not [path for path in (project.folder / "models").iterdir() if ".tmp-" in path.name]


def test_the_same_card_gives_the_same_bytes(card: dict[str, Any]) -> None:
    called(card, 3)
    other = copy.deepcopy(card)

    assert pdf_of(card) == pdf_of(other) and html_of(card) == html_of(other)


@pytest.mark.skipif(which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_the_text_of_the_pdf_can_be_searched(card: dict[str, Any], tmp_path: Path) -> None:
    card["calls"]["clients"][0]["client"] = "Москва $x_1$ שלום"
    (tmp_path / "report.pdf").write_bytes(pdf_of(card))

    done = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"], capture_output=True, check=True
    )

    said = done.stdout.decode()
    assert card["headline"] in said and "Москва $x_1$" in said and "שלום" in said


@pytest.mark.parametrize("rows", [
    ["a,1,600,30,1", "b,500,600,30,0", "c,1,600,30,1", "d,400,900,20,0", "e,1,700,10,0"],
    ["a,1,600,30,0", "b,500,600,30,0"],
    [],
    None,
], ids=["five rows", "one class", "no row", "no file"])  # fmt: skip
def test_the_report_is_made_whatever_the_test_data(
    project: Project, rows: list[str] | None
) -> None:
    if rows is None:
        (project.folder / "testdata/testdata.csv").unlink()
    else:
        project.write("testdata/testdata.csv", rows)

    reporting.report(project.config)

    check_document(project.text("models/report.html"))
    assert (project.folder / "models/report.pdf").read_bytes().endswith(b"%%EOF\n")


def test_a_damaged_history_keeps_no_report_back(project: Project) -> None:
    (project.folder / "state/history.sqlite").write_bytes(b"no database" * 500)

    card = card_in(project)

    assert card["decision"] is None and "history.sqlite" in card["undecided"]


def test_rows_that_were_set_aside_are_counted_by_column_and_rule(project: Project) -> None:
    bad = ["x,one,2,3,", "y,two,2,3,", ",1,2,3,", "z,1,2,-3,"]
    project.write("sourcedata/2030-02-28.csv", [*unlabelled(5, 9), *bad])
    ingest(project.config)

    data = cards.data_card(project.config)

    assert data["rows"] == data["accepted"] + data["duplicates"] + data["quarantined"] == 189
    assert data["quarantined"] == sum(one["rows"] for one in data["reasons"]) == 4
    first = data["reasons"][0]
    assert (first["column"], first["rows"]) == ("lastmonth_activity", 2)
    assert first["first"] == "2030-02-28.csv line 7"
    assert data["sentence"].startswith("189 rows, 4 files = 185 accepted + 0 duplicates + 4 set")


# ---------------------------------------------------------------- can it be trusted


LISTED = {"n": 80, "left": 50, "share": 0.625, "interval": [0.51, 0.73]}
CAME = {
    "enough": True, "why": "", "known": 812, "waiting": 410, "from": "2026-01-31",
    "to": "2026-06-30", "caveat": "calls change outcomes", "calibration": {"bins": [1]},
    "cumulative_gains": [{"recall": 0.5}],
    "all": {"n": 812, "left": 252, "listed": LISTED, "at_random": {"share": 0.31}},
}  # fmt: skip
SCORED = {
    "basis": "test data", "n": 80, "auc": 0.8, "auc_interval": [0.7, 0.9], "f1": 0.6,
    "f1_interval": [0.5, 0.7], "everybody_exits": {"f1": 0.4}, "calibration": {"bins": [2]},
}  # fmt: skip
REACHED = {
    "left": 5, "called": 8, "precision": 0.625, "precision_interval": [0.3, 0.86],
    "at_random": {"precision": 0.3},
}  # fmt: skip
NEVER = CAME | {"all": CAME["all"] | {"listed": {"n": 0}}}


@pytest.mark.parametrize(("outcomes", "score", "test", "headline"), [
    (CAME, SCORED, REACHED,
     "Of 100 clients we listed, 62 left; of 100 picked at random, 31 would have"),
    (NOTHING_CAME, SCORED, REACHED,
     "Of 100 test clients called like this, 62 left; of 100 picked at random, 30 would have"),
    (NEVER, SCORED, REACHED,
     "Of 100 test clients called like this, 62 left; of 100 picked at random, 30 would have"),
    (NOTHING_CAME, SCORED, None, "No list has come true yet"),
    (NOTHING_CAME, SCORED | {"basis": "cross-validation"}, REACHED, "No list has come true yet"),
])  # fmt: skip
def test_outcomes_come_first_and_test_data_are_named_as_such(
    outcomes: dict[str, Any], score: dict[str, Any], test: dict[str, Any] | None, headline: str
) -> None:
    found = cards.trust(outcomes, score, test)

    assert found["headline"] == headline
    assert (found["listed"] is None) == headline.startswith("No list")
    if outcomes is CAME:
        assert "50 of 80 listed clients left (95 % interval 51 to 73 of 100)" in found["text"]
        assert "31 Jan 2026 to 30 Jun 2026" in found["text"]


@pytest.mark.parametrize(("outcomes", "basis"), [
    (CAME, "812 outcomes"), (NOTHING_CAME, "80 test rows"),
])  # fmt: skip
def test_calibration_and_reach_name_what_they_are_based_on(
    outcomes: dict[str, Any], basis: str
) -> None:
    y, p = np.tile([0, 1], 40), np.linspace(0, 1, 80)

    assert cards.calibrated(outcomes, SCORED)["basis"] == basis  # type: ignore[index]
    assert cards.reached(outcomes, SCORED, y, p)["basis"] == basis  # type: ignore[index]


# ---------------------------------------------------------------- texts to fit


@pytest.mark.parametrize("text", HOSTILE)
def test_a_fitted_text_is_never_wider_and_shows_what_the_font_has(text: str) -> None:
    line, lines = fitted(text, 20, 7), broken(text, 20, 7, 3)

    assert width_of(line, 7) <= 20 and len(lines) <= 3
    assert all(0 < width_of(part, 7) <= 20 for part in lines)
    assert "\n" not in line and "\t" not in line and "\x07" not in line
    if text.startswith("株"):
        assert set(line) == {NO_GLYPH}


def test_broken_lines_hold_all_words_where_there_is_room() -> None:
    text = "one two three four five six seven"

    assert " ".join(broken(text, 15, 7, 9)) == text
    assert broken(text, 15, 7, 2)[-1].endswith("…") and len(broken(text, 15, 7, 2)) == 2

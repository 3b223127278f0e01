"""The report: its numbers are the list's, every page holds what it should, whatever the world."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from conftest import Project, client_rows
from driver import copy_of, first_deployed, undrawn
from listed import clients, listing
from past import outcomes

import reporting
from ingestion import ingest
from risk.calllist.types import CallList
from risk.data.holdout import Holdout
from risk.model.deployed import Deployed, read_deployed
from risk.model.effects import Effect
from risk.report.contents import MOST_CLIENTS, Learned, Report, report_of
from risk.report.figures import style
from risk.report.html import html_of
from risk.report.pdf import MOST_PAGES, pages_of, pdf_of
from risk.report.typeset import HEIGHT, NO_GLYPH, WIDTH, broken, fitted, width_of
from risk.web import notices
from risk.web.data import DriftLine, FileLine
from risk.web.decisions import ChallengerLine
from risk.words import in_percent

HOSTILE = [
    "<script>alert(1)</script>", "$x_1^2$ \\frac{a}{b}", "株式会社テスト", "😀 emoji & Co",
    "שלום עולם", "مرحبا بالعالم 12 شركة", "x" * 400, "word " * 80, "=cmd()", "a\tb\nc\x07",
    '"\'>', "Ünïcödé ﬁ", " ", "\u202eright", "%s {0}", "/../etc", "Zoë\u0301",
]  # fmt: skip


@dataclass
class World:
    """What a report is made of; parts: what is put in place of what was made of it."""

    project: Project
    listing: dict[str, Any]  # as JSON has it
    outcomes: dict[str, Any]
    deployed: Deployed
    tested: tuple[np.ndarray, np.ndarray]
    parts: dict[str, Any]

    def report(self) -> Report:
        listing = CallList.from_json(self.listing)
        found = report_of(self.project.config, listing, self.outcomes, self.deployed, self.tested)
        return replace(found, **self.parts)

    @property
    def clients(self) -> list[dict[str, Any]]:
        return self.listing["clients"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A project with 60 current clients and what its report is made of; only copied."""
    project = copy_of(first_deployed(tmp_path_factory), tmp_path_factory.mktemp("told"))
    project.write("sourcedata/2025-01-31.csv", unlabelled(60, 8))
    ingest(project.config)
    with undrawn():
        reporting.report(project.config)
    return world_in(project)


@pytest.fixture
def world(made: World) -> World:
    return copy.deepcopy(made)


@pytest.fixture
def project(made: World, tmp_path: Path) -> Project:
    return copy_of(made.project, tmp_path)


def unlabelled(n: int, seed: int) -> list[str]:
    return [row.rpartition(",")[0] + "," for row in client_rows(n, seed=seed, prefix="now")]


def world_in(project: Project) -> World:
    """What the report of the list in the model folder is made of."""
    deployed = read_deployed(project.config)
    listing, outcomes = (project.json(f"models/{name}.json") for name in LISTS)
    tested = reporting.tested(deployed.model, Holdout(project.config))
    return World(project, listing, outcomes, deployed, tested, {})


LISTS = ("clients_at_risk", "outcomes")


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


def call(world: World, n: int) -> None:
    """A call list of so many, and nobody else."""
    kinds = [client for client in world.clients if client["call"]]
    world.listing["clients"] = [
        kinds[at % len(kinds)] | {"rank": at + 1, "client": f"client {at}"} for at in range(n)
    ]
    world.listing["cut"] |= {"called": n, "of": n}
    world.listing["new"] = []


def with_names(world: World) -> None:
    """Hostile texts wherever somebody else's texts come in."""
    call(world, 40)
    for at, client in enumerate(world.clients):
        name = HOSTILE[at % len(HOSTILE)]
        client |= {"client": name, "owner": name, "notes": [f"{name}: unusual value"]}
        reason = f"{name} 3 (usually 1 to 2)"
        client["reasons"] = [{"points": points, "text": reason} for points in (3, 2, -1)]
    people = [{"client": name, "rank": 1, "risk": 0.5} for name in HOSTILE]
    off = [one | {"became": "left"} for one in people]
    moves = [one | {"points": 12, "data": 9, "model": 3} for one in people]
    new = [client["client"] for client in world.clients][: len(HOSTILE)]
    world.listing |= {"since": "2024-12-31", "new": new, "off": off, "moves": moves}
    report = world.report()
    values: list[Effect] = [
        {"text": name, "effect": 0.0, "risk": 0.1 + at / 40} for at, name in enumerate(HOSTILE)
    ]
    learned = [replace(one, name=HOSTILE[at]) for at, one in enumerate(report.learned)]
    world.parts["learned"] = [*learned, Learned(HOSTILE[2], "text", None, values)]
    world.parts["model"] = [(key, f"{v} {HOSTILE[0]} {HOSTILE[6]}") for key, v in report.model]
    line = report.decision.groups[0][0]
    bets = [ChallengerLine(name, "1e+12", "1,000", "–", "–", "") for name in HOSTILE]
    line = replace(line, reason=" ".join(HOSTILE), evidence=bets, guards=HOSTILE)
    world.parts["decision"] = replace(report.decision, groups=[[line]])
    counts = ("1,234,567",) * 4
    assert report.data.data
    data = replace(
        report.data.data,
        files=[FileLine(*counts, name, "abcd1234", "") for name in HOSTILE],
        refused=[(name, name) for name in HOSTILE],
        quarantine=[("1,234,567", n, f"{HOSTILE[6]} line 3") for n in HOSTILE[:5]],
    )
    drift = [DriftLine(n, "alert", "0.3", 50, "0.1", "9", "", n * 3) for n in HOSTILE]
    world.parts["data"] = replace(report.data, data=data, drift=drift, shown_drift=len(drift))


def forty_columns(world: World) -> None:
    column = world.report().learned[0]
    world.parts["learned"] = [
        replace(column, name=f"a column with a rather long name {at}") for at in range(40)
    ]


def five_rows(world: World) -> None:
    try_on(world, np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.1, 0.4, 0.5, 0.7]))


def one_class(world: World) -> None:
    try_on(world, np.zeros(30, dtype=int), np.linspace(0.1, 0.9, 30))


def no_rows(world: World) -> None:
    try_on(world, np.zeros(0, dtype=int), np.zeros(0))


def try_on(world: World, y: np.ndarray, p: np.ndarray) -> None:
    """The world of a project whose test data are these."""
    from risk.model.measures import measure

    score = {"basis": "test data", "n": int(y.size), "f1": 0.5, "f1_interval": [0.1, 0.9]}
    score |= {"everybody_exits": {"f1": 0.4}, "brier": 0.2}
    score |= measure(y, p, 0.3) if y.size else {"basis": "cross-validation", "n": 30}
    world.tested, world.deployed = (y, p), replace(world.deployed, score=score)
    world.listing["cut"]["cumulative_gains"] = None


def nobody(world: World) -> None:
    world.listing["cut"] |= {"called": 0, "how": "why not. " * 20}
    world.listing["clients"] = [
        client | {"call": False, "band": "not enough data"} for client in world.clients
    ]


def empty(world: World) -> None:
    world.listing["cut"] |= {"called": 0, "of": 0, "how": "there is no current client"}
    world.listing |= {"clients": [], "new": [], "moves": []}


def undecided(world: World) -> None:
    damage = notices.HISTORY_DAMAGED.of(path="state/history.sqlite", why=f"X{'x' * 299}.")
    world.parts["decision"] = replace(
        world.report().decision, heading=damage.what, banners=[damage], groups=[], last=None
    )


def with_a_past(world: World) -> None:
    """Outcomes of earlier lists, changes, an expectation, a move in the model."""
    made = clients(90, 30)
    world.listing = world.listing | listing(made)
    world.outcomes = outcomes()


WORLDS: dict[str, Callable[[World], None]] = {
    "as it is": lambda world: None,
    "hostile names": with_names,
    "10,000 to call": lambda world: call(world, 10_000),
    "nobody to call": nobody,
    "no client": empty,
    "40 columns": forty_columns,
    "5 test rows": five_rows,
    "one class": one_class,
    "no test row": no_rows,
    "no decision": undecided,
    "a past": with_a_past,
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_text_leaves_its_page_or_lies_upon_another(world: World, name: str) -> None:
    WORLDS[name](world)
    report = world.report()

    with style():
        pages = pages_of(report)
        said = [check_page(page) for page in pages]

    assert len(pages) <= MOST_PAGES
    assert [line[-1] for line in said] == [f"page {n} of {len(pages)}" for n in
                                           range(1, len(pages) + 1)]  # fmt: skip
    assert report.today.heading.startswith(said[0][1].removesuffix("…"))


@pytest.mark.parametrize("name", WORLDS)
def test_the_document_is_whole_small_and_asks_nobody(world: World, name: str) -> None:
    WORLDS[name](world)
    report = world.report()

    found = check_document(html_of(report))

    assert report.today.heading in found.texts
    names = [tag for tag, _ in found.seen].count("bdi")
    called = sum(client["call"] for client in world.clients)
    assert names >= min(called, MOST_CLIENTS)


def test_a_name_is_shown_as_it_is_and_never_as_a_tag(world: World) -> None:
    with_names(world)

    html = html_of(world.report())

    found = check_document(html)
    names = {name for name in HOSTILE if len(name) <= 80 and name.strip()}
    assert names <= set(found.texts)
    assert "<script" not in html and "株式会社テスト" in html


def test_the_report_says_what_the_list_says(made: World) -> None:
    report, listing = made.report(), made.listing
    with style():
        said = [check_page(page) for page in pages_of(report)]
    html = check_document(html_of(report)).texts

    calls = [client for client in listing["clients"] if client["call"]]
    assert [row.client for row in report.today.rows] == [one["client"] for one in calls]
    assert len(calls) == 6 and report.today.heading == "6 of 60 clients to call"
    for client in calls:
        risk = f"{100 * client['risk']:.0f} %"
        assert {client["client"], risk} <= set(said[0]) and {client["client"], risk} <= set(html)
        assert {reason["text"].partition(" (")[0] for reason in client["reasons"]} <= set(html)
    reach = listing["cut"]["cumulative_gains"]
    like_this = report.trust.like_this
    assert f"100 test clients called like this, {in_percent(reach['precision'])} left" in like_this
    assert like_this in html
    score = made.project.json("models/latestscore.json")
    assert f"AUC {score['auc']:.3f}" in report.auc
    bins = score["calibration"]["bins"]
    assert [one.risk for one in report.trust.calibration.bins] == [one["risk"] for one in bins]
    assert report.data.data and report.data.data.total.rows == "180"


def test_the_script_writes_both_names_them_and_dates_the_pdf_by_the_list(project: Project) -> None:
    said = project.run("reporting.py").stdout

    assert "report: models/report.html, models/report.pdf" in said
    raw = (project.folder / "models/report.pdf").read_bytes()
    made = project.json("models/clients_at_risk.json")["scored_at"]
    stamp = re.sub(r"[^0-9]", "", made)
    assert raw.startswith(b"%PDF-1.4") and f"(D:{stamp}".encode() in raw
    assert b"/FontFile2" in raw and b"/Type3" not in raw and b"/CIDFontType2" in raw
    check_document(project.text("models/report.html"))
    assert not [path for path in (project.folder / "models").iterdir() if "draft" in path.name]


def test_the_same_list_gives_the_same_bytes(world: World) -> None:
    call(world, 3)
    one, other = world.report(), copy.deepcopy(world).report()

    assert pdf_of(one) == pdf_of(other) and html_of(one) == html_of(other)


@pytest.mark.skipif(which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_the_text_of_the_pdf_can_be_searched(world: World, tmp_path: Path) -> None:
    world.listing["new"] = []
    world.clients[0]["client"] = "Москва $x_1$ שלום"
    (tmp_path / "report.pdf").write_bytes(pdf_of(world.report()))

    done = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"], capture_output=True, check=True
    )

    said = done.stdout.decode()
    assert world.report().today.heading in said and "Москва $x_1$" in said and "שלום" in said


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

    decision = world_in(project).report().decision

    assert decision.groups == []
    assert "history" in decision.heading and "history.sqlite" in decision.banners[0].next


def test_rows_that_were_set_aside_are_counted_by_column_and_rule(project: Project) -> None:
    bad = ["x,one,2,3,", "y,two,2,3,", ",1,2,3,", "z,1,2,-3,"]
    project.write("sourcedata/2025-02-28.csv", [*unlabelled(5, 9), *bad])
    ingest(project.config)

    data = world_in(project).report().data.data
    assert data

    total = {key: int(value) for key, value in vars(data.total).items()}
    assert total == {"rows": 189, "accepted": 185, "duplicates": 0, "quarantined": 4}
    assert sum(int(rows) for rows, *_ in data.quarantine) == 4
    rows, why, first = data.quarantine[0]
    assert why.startswith("lastmonth_activity") and rows == "2"
    assert first == "2025-02-28.csv line 7"


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

"""The pages in a real browser: the ten checks that every page has to pass, in every state.

A page joins by a line in PAGES; nothing else is to be done.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus, urlsplit
from urllib.request import Request, urlopen

import past
import pytest
from browser import Window, window
from conftest import Project, client_rows
from listed import HOSTILE, clients, write_list
from past import write_marker
from serving import Server, deployed_copy, small_server

from risk.releases import BY_HAND, DATA_QUALITY, read_deployment, write_deployment

# Address -> what its heading has to hold.
PAGES = {
    "/": "clients to call",
    "/?band=all&q=field&sort=-change": "clients to call",
    "/client?name=Corvane+Logistics": "Corvane Logistics",
    "/client?name=" + quote_plus(HOSTILE[0]): "<script>",
    "/trust": "Of 100 clients we listed, 62 left",
    "/decisions": "is close to replacing it",
    "/status": "Running: the last run was",
    "/states": "What each state means",
    "/help": "How to read this",
}
# A state's name -> address in the world where it holds, HTTP status, what is to be read.
STATES = {
    "no model": ("/", 200, "No model yet"),
    "no list": ("/", 200, "No list yet"),
    "empty": ("/", 200, "No clients to score"),
    "first": ("/", 200, "This is the first snapshot"),
    "old": ("/", 200, "The list is old"),
    "failed": ("/", 200, "The last run failed"),
    "damaged list": ("/", 503, "cannot be read"),
    "damaged model": ("/client?name=Corvane+Logistics", 503, "cannot be read"),
    "no outcomes": ("/trust", 200, "We cannot tell yet: 12 of 30 outcomes are known"),
    "no model ": ("/trust", 200, "No model yet"),
    "no decision": ("/decisions", 200, "No decision yet."),
    "paused by hand": ("/decisions", 200, "Model 1 is paused by hand"),
    "paused by an issue": ("/decisions", 200, "Model 1 is paused by a data quality issue"),
    "damaged history": ("/decisions", 200, "The history of decisions cannot be read."),
    "never run": ("/status", 200, "No run has ended well yet"),
    "late": ("/status", 200, "Late: the last good run was 3 hours ago"),
    "failed ": ("/status", 200, "The last run failed in ingestion"),
    "token": ("/", 401, "needs the token"),
    "world": ("/?q=nobody+at+all", 200, "No client matches"),
    "world ": ("/client?name=Corvan", 404, "No client is called"),
    "world  ": ("/?band=most", 400, "Band is"),
    "world   ": ("/nowhere", 404, "no such page"),
}
BIG = 10_000
# Without any, a browser that nobody sits at shows nothing: it waits for a password.
WRONG = {"username": "anybody", "password": "guessed"}


def world(project: Project) -> None:
    """A list of 400, 120 to call, all the hostile names on it; one client has a past."""
    made = clients(400, 120)
    for at, name in enumerate(HOSTILE, 3):
        made[at]["client"] = name
    made[5]["contact"] = None
    made[200]["band"] = "raised"
    made[390]["band"], made[390]["reasons"] = "not enough data", []
    made[390]["notes"] = ["2 of 3 values are missing"]
    write_list(project, made)
    past.write_all(project, time.time())


def no_model(project: Project) -> None:
    for path in (project.config.production_folder / "current", project.config.clients_json):
        path.unlink()


def first(project: Project) -> None:
    made = clients(20, 5)
    for client in made:
        client["change"], client["history"] = None, client["history"][-1:]
    write_list(project, made, since=None, new=[], off=[], moves=[])


def old(project: Project) -> None:
    for day in ("2001-01-01", "2001-01-08", "2001-01-15"):
        project.write(f"sourcedata/{day}.csv", [*client_rows(3, seed=int(day[-2:])), "new,1,2,3,"])
    project.run("ingestion.py")
    project.run("reporting.py")


def failed(project: Project) -> None:
    write_list(project, clients(20, 5))
    failed = {"stage": "ingestion", "error": "permission denied", "at": "2026-11-24T02:30:10Z"}
    write_marker(project, started="2026-11-24T02:30:00Z", finished=None, failed=failed)


def no_outcomes(project: Project) -> None:
    past.write_outcomes(project, past.too_few())


def no_decision(project: Project) -> None:
    project.config.history.unlink()


def held(project: Project, why: str) -> None:
    past.write_past(project)
    now = read_deployment(project.config)
    write_deployment(project.config, replace(now, paused=why))


def late(project: Project) -> None:
    past.write_all(project, time.time())
    then = time.time() - 3.5 * 3600
    os.utime(project.config.heartbeat, (then, then))


def damaged_model(project: Project) -> None:
    write_list(project, clients(20, 5))
    path = project.config.production_folder / "current" / "model.json"
    path.write_bytes(path.read_bytes()[:-9])


WORLDS: dict[str, Any] = {
    "world": world,
    "big": lambda project: write_list(project, clients(BIG, 50)),
    "no model": no_model,
    "no list": lambda project: project.config.clients_json.unlink(),
    "empty": lambda project: write_list(project, clients(3, 1), clients=[]),
    "first": first,
    "old": old,
    "failed": failed,
    "damaged list": lambda project: project.config.clients_json.write_text("{"),
    "damaged model": damaged_model,
    "no outcomes": no_outcomes,
    "no decision": no_decision,
    "paused by hand": lambda project: held(project, BY_HAND),
    "paused by an issue": lambda project: held(project, DATA_QUALITY),
    "damaged history": lambda project: project.config.history.write_bytes(b"no database" * 99),
    "never run": lambda project: project.config.heartbeat.unlink(missing_ok=True),
    "late": late,
    "token": lambda project: write_list(project, clients(20, 5)),
}


class Street:
    """The worlds, each served by a real server from the first time that it is asked for."""

    def __init__(self, factory: pytest.TempPathFactory, stack: ExitStack) -> None:
        self.factory, self.stack = factory, stack
        self.servers: dict[str, Server] = {}
        self.projects: dict[str, Project] = {}

    def __getitem__(self, name: str) -> str:
        """The address of the world's server."""
        if name not in self.servers:
            project = self.projects[name] = deployed_copy(self.factory)
            WORLDS[name](project)
            more = {"RISK_API_TOKEN": "s3cret"} if name == "token" else {}
            self.servers[name] = self.stack.enter_context(small_server(project, **more))
        return self.servers[name].url


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with ExitStack() as stack:
        yield Street(tmp_path_factory, stack)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with window(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def read(url: str, **headers: str) -> bytes:
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        return bytes(answer.read())


# ---------------------------------------------------------------- 1 and 2: complete, and quiet


@pytest.mark.parametrize("path", PAGES)
def test_without_javascript_a_page_is_whole_and_asks_for_nothing_from_elsewhere(
    chromium: Window, street: Street, path: str
) -> None:
    with chromium.tab(street["world"] + path) as tab:
        assert PAGES[path] in tab.page.locator("h1").inner_text()
        assert {urlsplit(url).netloc for url in tab.requests} == {urlsplit(street["world"]).netloc}
        assert len(tab.requests) <= 5
        assert tab.said == []


def test_filter_sort_and_paging_work_without_javascript(chromium: Window, street: Street) -> None:
    with chromium.tab(street["world"]) as tab:
        page, rows = tab.page, tab.page.locator("table.list tbody tr")
        assert rows.count() == 50
        page.get_by_role("link", name="Next 50").click()
        assert rows.first.locator(".rank").inner_text() == "51"
        page.get_by_label("Band").select_option("all")
        page.get_by_label("Name contains").fill("FIELD")
        page.get_by_role("button", name="Show").click()
        api = json.loads(read(f"{street['world']}/clients?q=field"))
        assert rows.count() == min(api["total"], 50)
        page.get_by_role("link", name="Client", exact=True).click()
        names = [name.casefold() for name in page.locator("tbody th a").all_inner_texts()[:20]]
        assert names == sorted(names)
        assert "q=FIELD" in page.url and "band=all" in page.url


def test_a_contact_is_noted_by_one_click(chromium: Window, street: Street) -> None:
    with chromium.tab(street["world"]) as tab:
        row = tab.page.locator("table.list tbody tr").nth(1)
        row.get_by_role("button").click()
        assert tab.page.url.partition("?")[0].rstrip("/") == street["world"]
        assert "contacted" in row.locator(".contact").inner_text()
        # It stayed where it was, and can be taken back there.
        box, high = row.bounding_box(), tab.page.evaluate("innerHeight")
        assert box and 0 <= box["y"] < high
        row.get_by_role("button", name="undo").click()
        assert "taken back" in row.locator(".contact").inner_text()
        row.get_by_role("button").click()
        row.locator("th a").click()
        tab.page.get_by_label("State").select_option("open")
        tab.page.get_by_label("Note").fill("a slip of the mouse")
        tab.page.get_by_role("button", name="Save").click()
        assert "a slip of the mouse" in tab.page.locator("#contact").inner_text()
        assert tab.said == []


# ---------------------------------------------------------------- 3: for everybody


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_on_a_page_in_light_and_nothing_else_in_dark(
    chromium: Window, street: Street, path: str
) -> None:
    url = street["world"] + path
    assert chromium.violations(url) == []
    # Colours are all that differs.
    assert chromium.violations(url, rules=["color-contrast"], color_scheme="dark") == []


# A second or two of Chromium each: six by default, all in torture.
SOON = ("world", "first", "no model", "failed", "late", "damaged list")
EVERY_STATE = [
    pytest.param(name, marks=() if name in SOON else pytest.mark.torture) for name in STATES
]


@pytest.mark.parametrize("name", EVERY_STATE)
def test_every_state_is_provoked_and_axe_finds_nothing(
    chromium: Window, street: Street, name: str
) -> None:
    path, status, said = STATES[name]
    url = street[name.strip()] + path
    who: dict[str, Any] = {"http_credentials": WRONG} if name == "token" else {}
    with chromium.tab(street[name.strip()] + "/static/icon.svg", **who) as tab:
        answer = tab.page.goto(url)
        assert answer.status == status
        assert said in tab.page.locator("body").inner_text()
    assert chromium.violations(url, **who) == []
    assert chromium.violations(url, ["color-contrast"], color_scheme="dark", **who) == []


def test_the_token_opens_the_page_as_a_password(chromium: Window, street: Street) -> None:
    who = {"username": "anybody", "password": "s3cret"}
    with chromium.tab(street["token"], http_credentials=who) as tab:
        assert "clients to call" in tab.page.locator("h1").inner_text()


# ---------------------------------------------------------------- 4 and 5: without colour, by key


def test_bands_are_words_and_differ_without_colour(chromium: Window, street: Street) -> None:
    address = street["world"] + "/?band=all&rows=1000"
    with chromium.tab(address, script=True, forced_colors="active") as tab:
        found = tab.page.evaluate(
            """[...document.querySelectorAll('.band')].map(band => {
                 const style = getComputedStyle(band);
                 return [band.textContent, style.borderTopWidth + ' ' + style.borderTopStyle]})"""
        )
    borders = dict(found)
    assert set(borders) == {"high", "raised", "low", "? not enough data"}
    assert len(set(borders.values())) == 4


FOCUSED = """() => { const at = document.activeElement, style = getComputedStyle(at);
  return [at.tagName, (at.innerText || at.name || at.ariaLabel || '').trim().slice(0, 40),
          style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2] }"""


@pytest.mark.parametrize("path", PAGES)
def test_the_keyboard_goes_in_reading_order_and_is_seen(
    chromium: Window, street: Street, path: str
) -> None:
    with chromium.tab(street["world"] + path, script=True) as tab:
        visited = []
        for _ in range(12):
            tab.page.keyboard.press("Tab")
            tag, text, seen = tab.page.evaluate(FOCUSED)
            if tag == "BODY":
                break
            visited.append(text)
            assert seen, text
        assert visited[:3] == ["Skip to the content", "Clients at risk", "Today"]


def test_the_skip_link_leads_to_the_content(chromium: Window, street: Street) -> None:
    with chromium.tab(street["world"], script=True) as tab:
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.press("Enter")
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.closest('main') !== null")


# ---------------------------------------------------------------- 6: size and speed


def test_ten_thousand_clients_are_a_small_page_that_does_not_jump(
    chromium: Window, street: Street
) -> None:
    with chromium.tab(street["big"] + "/?band=all", script=True) as tab:
        tab.page.reload()  # the first one has read the list
        tab.page.wait_for_timeout(200)
        measured = tab.page.evaluate(
            """() => new Promise(done => {
                 let shift = 0;
                 new PerformanceObserver(list => list.getEntries().forEach(e => shift += e.value))
                   .observe({type: 'layout-shift', buffered: true});
                 const [at] = performance.getEntriesByType('navigation');
                 setTimeout(() => done({shift, nodes: document.querySelectorAll('*').length,
                   loaded: at.domContentLoadedEventEnd, bytes: at.decodedBodySize}), 200)})"""
        )
        assert tab.page.locator("table.list tbody tr").count() == 50
    assert measured["bytes"] <= 60_000
    assert measured["nodes"] <= 1_500
    assert measured["loaded"] < 500
    assert measured["shift"] == 0


# ---------------------------------------------------------------- 7: on paper


def printed(chromium: Window, url: str) -> list[str]:
    """The text of every sheet, each on one line."""
    from pypdf import PdfReader

    with chromium.tab(url) as tab:
        raw = tab.page.pdf(prefer_css_page_size=True)
    return [" ".join(sheet.extract_text().split()) for sheet in PdfReader(io.BytesIO(raw)).pages]


def test_a_print_of_120_rows_has_head_and_basis_on_every_sheet(
    chromium: Window, street: Street
) -> None:
    sheets = printed(chromium, street["world"] + "/?rows=1000")
    assert len(sheets) >= 4
    listed = [sheet for sheet in sheets if re.search(r"\d+ %", sheet) and "usually" in sheet]
    assert len(listed) >= 4
    for sheet in sheets:
        assert "Data of 24 Nov 2026, Model 1, deployed" in sheet
        assert f"of {len(sheets)}" in sheet
        assert "Show" not in sheet and "mark contacted" not in sheet
    for sheet in listed:
        assert "Client" in sheet and "Contact" in sheet
    assert sum(len(re.findall(r"\b\d+ %\s+high", sheet)) for sheet in sheets) == 120


# ---------------------------------------------------------------- 8: on every screen


@pytest.mark.parametrize("width", [320, 640, 768, 1280])
def test_nothing_scrolls_sideways(chromium: Window, street: Street, width: int) -> None:
    """640 is a screen of 1280 at 200 %."""
    with chromium.tab(street["world"], script=True, width=width) as tab:
        wide = {}
        for path in PAGES:
            tab.page.goto(street["world"] + path)
            wide[path] = tab.page.evaluate("document.documentElement.scrollWidth")
    assert wide == dict.fromkeys(PAGES, width)


# ---------------------------------------------------------------- 9: one truth


def test_page_json_csv_and_print_agree(chromium: Window, street: Street) -> None:
    api = json.loads(read(f"{street['world']}/clients?top=20"))["clients"]
    table = read(f"{street['world']}/today.csv").decode("utf-8-sig")
    paper = " ".join(printed(chromium, street["world"] + "/?rows=20"))
    with chromium.tab(street["world"]) as tab:
        rows = tab.page.locator("table.list tbody tr")
        for at, client in enumerate(api):
            row, percent = rows.nth(at), f"{round(100 * client['risk'])} %"
            assert row.locator("th a").inner_text() == client["client"]
            assert row.locator(".risk b").inner_text() == percent
            change = client["change"]
            assert change["data"] + change["model"] == change["points"]
            parts = row.locator(".move").inner_text().replace("−", "-")
            assert [int(n) for n in re.findall(r"(?:data|model) ([+-]?\d+)", parts)] == [
                change["data"],
                change["model"],
            ]
            assert f"{client['rank']}," in table and str(client["risk"]) in table
            assert percent in paper


def test_page_json_and_csv_agree_after_another_deployment(chromium: Window, street: Street) -> None:
    url = street["old"]
    project = street.projects["old"]
    for script in ("training.py", "scoring.py", "deployment.py", "reporting.py"):
        project.run(script)
    api = json.loads(read(f"{url}/clients"))
    assert api["model_version"] == 2
    with chromium.tab(url) as tab:
        assert "model 2" in tab.page.locator(".lead").inner_text()
        shown = tab.page.locator("table.list tbody tr .risk b").all_inner_texts()
    assert shown == [f"{round(100 * c['risk'])} %" for c in api["clients"] if c["call"]]


# ---------------------------------------------------------------- 10: hostile names


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_that_leads_to_its_page(
    chromium: Window, street: Street, name: str
) -> None:
    with chromium.tab(street["world"]) as tab:
        link = tab.page.locator("table.list tbody th a", has_text=name).first
        assert link.inner_text() == name
        link.click()
        assert tab.page.locator("h1 bdi").inner_text() == name
        assert tab.said == []


def test_a_name_from_right_to_left_does_not_turn_its_row(chromium: Window, street: Street) -> None:
    at = HOSTILE.index("شركة الاختبار العربية") + 3
    with chromium.tab(street["world"], script=True) as tab:
        row = tab.page.locator("table.list tbody tr").nth(at)
        name, risk = row.locator("th a").bounding_box(), row.locator(".risk").bounding_box()
    assert name and risk and name["x"] < risk["x"]

"""A headless Chromium for the pages' tests: found, started once, JavaScript off, all noise kept."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def installed() -> str:
    """Where the browser is; the test is skipped, and says so at the end, where there is none."""
    found = next((place for place in PLACES if Path(place).exists()), shutil.which("chromium"))
    if found is None:
        pytest.skip("NO BROWSER: install Debian's package chromium to test the pages in one")
    return found


def axe_source() -> str:
    """axe-core's script, as the package axe-playwright-python carries it."""
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec and spec.origin
    return Path(spec.origin).with_name("axe.min.js").read_text()


@dataclass
class Tab:
    """A page that was opened, and all that it asked for and said."""

    page: Any
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def watch(self) -> Tab:
        self.page.on("request", lambda sent: self.requests.append(sent.url))
        self.page.on("console", lambda line: self.said.append(line.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        return self


class Window:
    """One running browser; `tab` opens an address in a context of its own."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    @contextmanager
    def tab(
        self, url: str, *, script: bool = False, width: int = 1280, **options: Any
    ) -> Iterator[Tab]:
        """The address, loaded. script: whether JavaScript runs (the tests' own needs it not)."""
        context = self.browser.new_context(
            java_script_enabled=script, viewport={"width": width, "height": 900}, **options
        )
        try:
            tab = Tab(context.new_page()).watch()
            tab.page.goto(url)
            yield tab
        finally:
            context.close()

    def violations(self, url: str, rules: list[str] | None = None, **options: Any) -> list[str]:
        """What axe finds at the address: rule, and where. rules: these alone, not all of 2.2 AA."""
        only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": AXE_TAGS}
        with self.tab(url, script=True, bypass_csp=True, **options) as tab:
            tab.page.evaluate(axe_source())
            found = tab.page.evaluate("only => axe.run(document, {runOnly: only})", only)
            return [
                f"{one['id']}: {node['html'][:160]}"
                for one in found["violations"]
                for node in one["nodes"]
            ]


@contextmanager
def window(profile: Path) -> Iterator[Window]:
    """A browser with an empty profile, ended with the block."""
    place = installed()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=place, args=FLAGS, env={"HOME": str(profile), "TZ": "UTC"}
        )
        try:
            yield Window(browser)
        finally:
            browser.close()

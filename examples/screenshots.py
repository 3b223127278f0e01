"""Pictures of the pages, light and dark, from a made-up year of clients: for docs/ and the README.

    python examples/screenshots.py [--out docs/pages]     (make screenshots)

Thirteen month-end exports of a made-up company go through fullprocess.py in a scratch folder, each
at its own time; half of each call list is noted as contacted, and in the end other accounts than
before begin to leave. Needs the development packages and Chromium.
"""

from __future__ import annotations

import argparse
import calendar
import csv
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

from crm import HEADER, Row, exports  # noqa: E402
from make_data import company_names  # noqa: E402

SEED, MONTHS, CHANGED, CAPACITY = 11, 13, 8, 20
PAGES = {"today": "", "trust": "trust", "decisions": "decisions", "status": "status"}
WIDTH, HEIGHT = 1280, 960
COLOURS = 96
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pages")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        live(project)
        with pages_of(project) as address:
            for path in pictures(address, chosen.out, call_first(project)):
                print(f"{path} ({path.stat().st_size // 1000} kB)")


# ---------------------------------------------------------------- a year


def live(project: Path) -> None:
    """Let a year go by in the project, a run a month."""
    rng = np.random.RandomState(SEED)
    dates = month_ends(MONTHS)
    set_up(project)
    for date, rows in exports(rng, company_names(rng), dates, dates[CHANGED]):
        put(project / "sourcedata" / f"accounts_{date}.csv", rows)
        run_driver(project, f"{date + timedelta(days=1)}T07:00:00+00:00")
        if date > dates[1]:  # the first list comes with the second month
            contact(project, f"{date + timedelta(days=2)}T10:00:00+00:00", rng)
    fill_week(project)


def set_up(project: Path) -> None:
    (project / "sourcedata").mkdir()
    settings = json.loads((ROOT / "config.json").read_text())
    settings |= {"capacity": CAPACITY, "contacts_path": "contacts.csv"}
    (project / "config.json").write_text(json.dumps(settings))


def month_ends(count: int) -> list[datetime.date]:
    """The last so many month ends before today, oldest first."""
    today = datetime.now(UTC).date()
    found, year, month = [], today.year, today.month
    for _ in range(count):
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        found.append(today.replace(year=year, month=month, day=1))
    return [d.replace(day=calendar.monthrange(d.year, d.month)[1]) for d in reversed(found)]


def put(path: Path, some: list[Row]) -> None:
    """The rows as a file that is an hour old: whole, and not still being written."""
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([HEADER, *some])
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))


def run_driver(project: Path, at: str, *arguments: str) -> None:
    """One run of the driver as if it were then."""
    command = [sys.executable, __file__, "--at", at, str(project / "config.json"), "--now"]
    subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)


def contact(project: Path, at: str, rng: np.random.RandomState) -> None:
    """Half of the call list is contacted; the next run reads the file."""
    listing = json.loads((project / "models" / "clients_at_risk.json").read_text())
    called = [c["client"] for c in listing["clients"] if c["call"] and rng.random_sample() < 0.5]
    lines = ["client,state,until,at", *(f"{name},contacted,,{at[:19]}Z" for name in called)]
    (project / "contacts.csv").write_text("\n".join(lines) + "\n")
    run_driver(project, at)


def fill_week(project: Path) -> None:
    """Idle runs of the last week, as cron would have left them."""
    from risk.run import run_log

    path, now = project / "state" / "run_log", time.time()
    path.unlink(missing_ok=True)
    run_log.begin(path)
    for slot in range(run_log.SLOTS - 10):
        then = now - run_log.SECONDS * (run_log.SLOTS - 11 - slot)
        kind = run_log.WORKED if slot % run_log.A_DAY == 40 else run_log.IDLE
        run_log.note(path, kind, then, then)


def run_then(at: str, config: str, arguments: list[str]) -> None:
    """fullprocess.py in this process, its clock set to that time."""
    import risk.files

    risk.files.utc_now = lambda: f"{at[:19]}Z"
    sys.argv = ["fullprocess.py", "--config", config, *arguments]
    runpy.run_path(str(ROOT / "fullprocess.py"), run_name="__main__")


# ---------------------------------------------------------------- pictures


def call_first(project: Path) -> str:
    """The client at the top of the list."""
    listing = json.loads((project / "models" / "clients_at_risk.json").read_text())
    return str(listing["clients"][0]["client"])


class pages_of:
    """The project's pages on a free port, for as long as the block runs."""

    def __init__(self, project: Path) -> None:
        self.config = project / "config.json"

    def __enter__(self) -> str:
        environment = os.environ | {"RISK_CONFIG": str(self.config)}
        command = [sys.executable, str(ROOT / "app.py"), "--port", "0"]
        self.server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None
        return self.server.stdout.readline().split()[-1]

    def __exit__(self, *_: object) -> None:
        self.server.terminate()
        self.server.wait()


def pictures(address: str, out: Path, client: str) -> Iterator[Path]:
    """Every page in both schemes; the paths."""
    from urllib.parse import quote

    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    places = PAGES | {"client": f"client?name={quote(client)}"}
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or CHROMIUM
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        for scheme in ("light", "dark"):
            size = {"width": WIDTH, "height": HEIGHT}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            for name, place in places.items():
                page.goto(f"{address}/{place}")
                yield small(page.screenshot(), out / f"{name}-{scheme}.png")
        browser.close()


def small(picture: bytes, path: Path) -> Path:
    """The picture in few colours: a third of the bytes, and no eye tells."""
    import io

    from PIL import Image

    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--at"]:
        run_then(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        main()

"""The page Status: does it run, how did the last week go, what is wrong with data or runs."""

from __future__ import annotations

import contextlib
import platform
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from risk.alerts.due import is_wanted
from risk.data.schema import printable
from risk.run import run_log
from risk.run.packages import Packages, last_packages
from risk.run.record import Marker, RunFailure, last_failure, last_marker, rhythm, running
from risk.script import StageTime, stage_times
from risk.web import notices
from risk.web.context import PageContext, data_date
from risk.web.data import data_and_drift
from risk.web.decisions import pause_notices
from risk.web.notices import Notice
from risk.web.svg import FAILED, IDLE, MISSING, OK, hour_marks, seconds_curve
from risk.words import MONTHS, age, amount, as_sentence, enumeration, stamp

DAYS, AN_HOUR = 7, 6  # slots of the run log
SHOWN_SENT = 8
TAIL_BYTES, TAIL_LINES = 8_000, 20  # of a log of up to 1 MB
PACKAGES = ("numpy", "polars", "scikit-learn", "pandas", "flask", "matplotlib")
STAGES = ("ingestion", "training", "scoring", "deployment", "reporting", "apicalls")
# Not by strftime, whose names are those of the machine's locale.
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def view(context: PageContext, args: Mapping[str, str]) -> dict[str, Any]:
    """All that status.html lays out."""
    config, now, alerts = context.config, context.now, context.file(context.config.alerts)
    marker, beat, busy = last_marker(config), context.heartbeat(), running(config)
    found = data_and_drift(context)
    run_bytes = b""
    with contextlib.suppress(OSError):  # the run log may be deleted at any time
        run_bytes = config.run_log.read_bytes()
    return {
        "heading": _running_sentence(marker, beat, busy, context),
        "lead": _lead(marker, beat, busy, now),
        "alerts": [line.name for line in found.drift if line.state == "alert"],
        "banners": _banners(context, beat),
        "week": week(run_bytes, now, config.run_every_minutes),
        "rhythm": rhythm(config),
        "failure": _failure(last_failure(marker), now),
        **vars(found),
        "times": times(stage_times(config)),
        "versions": versions(last_packages(config), now),
        "disk": _disk(config.state_folder),
        "sent": [
            (stamp(one["at"], now.date()), printable(one["event"].replace("_", " ")), one["by"])
            for one in alerts.get("sent", [])[: -SHOWN_SENT - 1 : -1]
        ],
        "waiting": len(alerts.get("waiting", [])),
        "alerts_wanted": is_wanted(config),
        "tail": _tail(config.log_folder / "fullprocess.log"),
    }


def _running_sentence(
    marker: Marker | None, beat: datetime | None, busy: str, context: PageContext
) -> str:
    """Does it run? In one sentence, the worst that is true."""
    failed = marker and marker["failed"]
    if beat is None:
        if failed:
            return f"The last run failed in {failed['stage']}; none ended well yet"
        return "No run has ended well yet"
    last_good = context.age_of(beat)
    if failed:
        return f"The last run failed in {failed['stage']}; the last good one was {last_good}"
    if marker and context.trouble():
        return f"The last run was cut off in {marker['stage']}; the last good one was {last_good}"
    if context.is_late(beat):
        return f"Late: the last good run was {last_good}"
    if busy:
        return "A run is at work"
    worked = marker and not _was_idle(marker, beat) and marker["outcome"]
    return f"Running: the last run was {last_good} and {worked or 'had nothing to do'}"


def _was_idle(marker: Marker, beat: datetime) -> bool:
    """Whether the last sign of life is of a run that found nothing new; only such a run touches the
    heartbeat without writing the marker."""
    ended = marker["finished"]
    # Five seconds: a run with work writes the marker and touches the heartbeat close together.
    return ended is not None and (beat - datetime.fromisoformat(ended)).total_seconds() > 5


def _lead(
    marker: Marker | None, beat: datetime | None, busy: str, now: datetime
) -> list[tuple[str, bool]]:
    """The pieces of the second line: (words, whether they are the strong ones)."""
    found: list[tuple[str, bool]] = []
    if beat:
        kind = "idle" if marker and _was_idle(marker, beat) else "a full run"
        found.append((f"{beat:%H:%M} UTC, {kind}.", True))
    if marker and marker["finished"]:
        began, ended = map(datetime.fromisoformat, (marker["started"], marker["finished"]))
        took = amount(max(round((ended - began).total_seconds()), 1), "second")
        when = f"{stamp(marker['finished'])} ({age(marker['finished'], now)})"
        words = f" The last run with something to do was {when} and took {took}. Its outcome, "
        reason = printable(marker["reason"] or "")
        found.append((f"{words}“{marker['outcome']}”: {reason}.", False))
    if busy:
        found.append((f" {as_sentence(busy)}", False))
    return found


def _banners(context: PageContext, beat: datetime | None) -> list[Notice]:
    """What somebody has to do something about, the worst first."""
    found = []
    if beat is None:
        found.append(notices.NEVER_RUN)
    if context.trouble():
        when = data_date(context.listing()) if context.config.clients_json.exists() else "before"
        trouble = as_sentence(context.trouble())
        found.append(notices.LAST_RUN_FAILED.of(trouble=trouble, data=when))
    elif beat and context.is_late(beat):
        found.append(notices.LATE.of(ago=context.age_of(beat), rhythm=rhythm(context.config)))
    # Before the first deployment a release that is not there is no damage.
    deployed_once = (context.config.production_folder / "current").is_symlink()
    broken = context.broken() if deployed_once else None
    found += notices.misread(context.outcomes()["misread"])
    return [*found, *([broken] if broken else []), *pause_notices(context)]


@dataclass(frozen=True)
class Day:
    """One day of the strip: its name, the marks, the same in words, what was bad in words."""

    name: str
    strip: dict[str, str]
    words: str
    bad: str


@dataclass(frozen=True)
class Week:
    """The last 7 days, the newest first; counts: what became of all runs, in one sentence.

    known: whether any run has been noted.
    """

    days: list[Day]
    counts: str
    known: bool


# What became of ten minutes, the worst first; where no run is expected there is no word.
WORDS = {run_log.BROKEN: FAILED, run_log.NONE: MISSING, run_log.WORKED: OK, run_log.IDLE: IDLE}


def week(raw: bytes, now: datetime, every: float = 10) -> Week:
    """The strip of the last 7 days from the run log. every: minutes from run to run, 0 by hand."""
    today = datetime(now.year, now.month, now.day, tzinfo=UTC)
    first = int((today - timedelta(days=DAYS - 1)).timestamp()) // run_log.SECONDS
    last = int(now.timestamp()) // run_log.SECONDS
    # The run of these ten minutes may be still to come.
    found = run_log.kinds(raw, first, last)
    found[-1:] = [] if found[-1] == run_log.NONE else found[-1:]
    found = _expected(found, max(round(60 * every / run_log.SECONDS), 1) if every else 0)
    start = today.date() - timedelta(days=DAYS - 1)
    days = [
        _day(start + timedelta(days=at // run_log.A_DAY), found[at : at + run_log.A_DAY])
        for at in range(0, len(found), run_log.A_DAY)
    ]
    count = Counter(WORDS[kind] for kind in found if kind in WORDS)
    told = {OK: "had something to do", IDLE: "were idle", FAILED: "failed", MISSING: "are missing"}
    if not every:
        del told[MISSING]
    parts = enumeration([f"{count[word]:,} {what}" for word, what in told.items()])
    words = f"Of {sum(count.values()):,}{' expected' if every else ''} runs {parts}."
    return Week(days[::-1], words, any(kind > 0 for kind in found))


def _expected(found: Sequence[int], every: int) -> list[int]:
    """The slots with those of no run taken for missing only where one was expected.

    every: slots from one run to the next, 0 for none expected. A run that is late by half of that
    is not missing yet.
    """
    gap, slots = 0, list[int]()
    for kind in found:
        gap = gap + 1 if kind == run_log.NONE else 0
        due = gap - every // 2
        missing = gap and every and due >= every and due % every == 0
        slots.append(run_log.BEFORE if gap and every != 1 and not missing else kind)
    return slots


def _day(when: date, found: Sequence[int]) -> Day:
    hours = [found[at : at + AN_HOUR] for at in range(0, len(found), AN_HOUR)]
    name = f"{WEEKDAYS[when.weekday()]} {when.day} {MONTHS[when.month - 1]}"
    count = Counter(WORDS[kind] for kind in found if kind in WORDS)
    plain = enumeration([f"{count[w]} {w}" for w in (OK, IDLE) if count[w]]) or "nothing noted"
    bad = enumeration(
        [f"{count[w]} {w} ({_span(found, w)})" for w in (FAILED, MISSING) if count[w]]
    )
    marks = hour_marks([worst_word(hour) for hour in hours])
    return Day(name, marks, plain if count[OK] + count[IDLE] or not bad else "", bad)


def worst_word(found: Sequence[int]) -> str:
    """The word of an hour by what became of its runs, "" for none expected."""
    return next((word for kind, word in WORDS.items() if kind in found), "")


def _span(found: Sequence[int], word: str) -> str:
    """`04:10 to 06:30`: from the first to the last such run of the day."""
    at = [place for place, kind in enumerate(found) if WORDS.get(kind) == word]
    first, last = (f"{place // AN_HOUR:02d}:{place % AN_HOUR}0" for place in (at[0], at[-1]))
    return first if first == last else f"{first} to {last}"


def _failure(found: RunFailure | None, now: datetime) -> dict[str, str] | None:
    """The last failed run; runs, over: how many in a row and since when it is over, in words."""
    if found is None:
        return None
    runs, over = found.get("runs", 1), found.get("over")
    since = as_sentence(age(found["at"], now)).rstrip(".")
    return {
        "stage": found["stage"].capitalize(),
        "error": printable(found["error"]),
        "when": stamp(found["at"]),
        "runs": f", {runs} runs in a row" if runs > 1 else "",
        "over": f"{since}, and over since {stamp(over)}" if over else "",
    }


def times(found: Mapping[str, StageTime]) -> list[tuple[str, str, str, str]]:
    """(stage, its last seconds, the curve of the last runs that had work to do, these in words),
    in the order of a run; stages without a time are left out."""
    known = []
    for stage in (name for name in STAGES if name in found):
        last, past = found[stage]["seconds"], found[stage]["recent"]
        words = f"{amount(len(past), 'run')}, up to {_seconds(max(past))}"
        known.append((stage.capitalize(), _seconds(last), seconds_curve(past), words))
    return known


def _seconds(number: float) -> str:
    # No line may break between a number and its unit.
    return f"{number:.2f}\u00a0s" if number < 10 else f"{number:.0f}\u00a0s"


@dataclass(frozen=True)
class Versions:
    """lines: (package, installed version, whether a newer one is out); others: also newer."""

    lines: list[tuple[str, str, str]]
    others: str
    when: str


def versions(found: Packages, now: datetime) -> Versions:
    """The installed versions, and which newer ones are out as far as that was looked up."""
    newer = {one["package"]: one["latest"] for one in found["outdated"]}
    known, when = found["status"] == "known", found["measured_at"]
    lines = [("Python", platform.python_version(), "")]
    for name in PACKAGES:
        # By the metadata: the server never imports pandas or scikit-learn.
        with contextlib.suppress(metadata.PackageNotFoundError):
            note = f"{newer[name]} is out" if name in newer else "newest" if known else ""
            lines.append((name, metadata.version(name), note))
    shown = [name for name, _, _ in lines]
    others = enumeration(sorted(name for name in newer if name not in shown))
    looked_up = f"Looked up {age(when, now)}." if when and known else ""
    return Versions(lines, others, looked_up or f"Newer versions are not known: {found['reason']}.")


def _disk(folder: Path) -> tuple[str, bool]:
    """(how full the disk is that keeps the state, in words; whether that is too full)."""
    try:
        found = shutil.disk_usage(folder if folder.exists() else folder.parent)
    except OSError:
        return "not known", False
    # As df has it: blocks that are kept for root are neither used nor free.
    share = found.used / max(found.used + found.free, 1)
    free = f"{found.free / 1e9:,.1f} of {found.total / 1e9:,.1f} GB free"
    return f"{free}, {100 * share:.0f} % used", share > 0.9


def _tail(path: Path) -> str:
    """The last lines of the log, as they are."""
    try:
        with open(path, "rb") as file:
            file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
            text = file.read().decode(errors="replace")  # the tail may begin within a letter
    except OSError:
        return ""
    return "\n".join(printable(line) for line in text.splitlines()[-TAIL_LINES:])

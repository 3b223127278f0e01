"""What an operator has to know, from what the runs leave on disk: what lasts, and what happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from risk.config import Config
from risk.decide.decision import BY_HAND
from risk.drift.state import last_evaluation
from risk.files import epoch, utc_stamp
from risk.record.history import Entry, entries
from risk.releases import DATA_QUALITY, current_version, read_deployment
from risk.run.record import LATE_SECONDS, RunRecord

LOOKED_BACK = 20  # entries of the history; a tick makes two at most
JUDGED = ("keep", "deploy")


@dataclass(frozen=True)
class Event:
    """One thing to tell. kind: of TITLES or HAPPENED. key: the same thing has the same."""

    kind: str
    key: str
    text: str


# What lasts: as it begins, while it lasts, when it is over.
TITLES = {
    "run_failed": ("A run failed", "Runs still fail", "Runs end well again"),
    "data_fault": (
        "A data fault holds every deployment",
        "A data fault still holds every deployment",
        "The data fault is over",
    ),
    "watch": ("The watch gives an alert", "The watch's alert lasts", "The watch's alert is over"),
    "worse_than_base_rate": (
        "The model does worse than the share of exits alone",
        "The model still does worse than the share of exits alone",
        "The model no longer does worse than the share of exits alone",
    ),
}
# What happened, told once.
HAPPENED = {
    "deployed": "A model is deployed",
    "by_hand": "A person changed the deployment",
    "run_cut_off": "A run did not end",
    "late": "No run ended well for a while",
}
ONE_AT_A_TIME = ("run_failed",)  # another error takes the place of the first


def lasting(config: Config) -> list[Event]:
    """What is wrong beside the run itself; from disk, so that a failed run tells it too."""
    return [*_faults(config), *_watch_alerts(config), *_base_rate(config)]


def failure(run: RunRecord) -> list[Event]:
    """How this run failed, [] if it did not."""
    failed = run.marker["failed"]
    if not failed:
        return []
    return [Event("run_failed", failed["stage"], f"{failed['stage']}: {failed['error']}")]


def _faults(config: Config) -> list[Event]:
    """The faults that hold the deployment, in the words of the look that found them."""
    deployment = read_deployment(config)
    if deployment.paused != DATA_QUALITY:
        return []
    said = {_fault_key(f["kind"], f["columns"]): f["sentence"] for f in _told_faults(config)}
    keys = [_fault_key(kind, columns) for kind, columns in deployment.issues]
    return [Event("data_fault", key, said.get(key, key)) for key in keys]


def _fault_key(kind: str, columns: Iterable[str]) -> str:
    return f"{kind}: {', '.join(columns)}"


def _told_faults(config: Config) -> list[dict[str, Any]]:
    """All that the last looks said of faults, the newest last."""
    return [
        fault for entry in entries(config, LOOKED_BACK) for fault in entry.details.get("faults", [])
    ]


def _watch_alerts(config: Config) -> list[Event]:
    """The watch's table is that of the last look; a deployment begins another."""
    return [
        Event("watch", row.name, f"{row.name}: {row.sentence}")
        for row in last_evaluation(config).alerts
    ]


def _base_rate(config: Config) -> list[Event]:
    """The alarm of the last look that judged, where the version it judged is still deployed."""
    version = current_version(config)
    judged = [entry for entry in entries(config, LOOKED_BACK) if entry.verdict in JUDGED]
    last = judged[-1] if judged else None
    if last is None or not last.before == last.after == version:
        return []
    text = str(last.details.get("alarm") or "").removeprefix("alarm: ")
    return [Event("worse_than_base_rate", "model", text)] if text else []


# ---------------------------------------------------------------- what happened


def happened(config: Config, told: set[str]) -> tuple[list[Event], list[str]]:
    """(what was done to the deployment, the keys of the history's entries that are told by that).

    told: keys of before.
    """
    found = entries(config, LOOKED_BACK)
    events = [event for entry in found if entry.key not in told for event in _entry_event(entry)]
    # A deployment that was cut off gets its version, and is told, by a later run.
    return events, [e.key for e in found if e.after is not None or e.verdict != "deploy"]


def gaps(run: RunRecord, *, knows: bool) -> list[Event]:
    """What kept runs from ending well before this one; knows: that the last one failed is told."""
    return [*_silence(run), *_cut_off(run, knows=knows)]


def keys_before(config: Config, run: RunRecord) -> set[str]:
    """What is not told where nobody was told before: the entries of before this run."""
    started = run.marker["started"]
    return {entry.key for entry in entries(config, LOOKED_BACK) if entry.at < started}


def _entry_event(entry: Entry) -> list[Event]:
    if entry.verdict == BY_HAND:
        return [Event("by_hand", entry.key, f"{entry.action}: {entry.reason}")]
    if entry.after is None or entry.after == entry.before:
        return []
    return [Event("deployed", entry.key, f"{entry.sentence}; {entry.reason}")]


def _cut_off(run: RunRecord, *, knows: bool) -> list[Event]:
    """A run that was killed could not tell it itself, one that failed could."""
    before, failed = run.before, run.before.get("failed") or {}
    if not run.completes or (failed and knows):
        return []
    why = failed.get("error") or "it was cut off"
    text = f"the run of {before.get('started')} stopped in {before.get('stage')}: {why}"
    return [Event("run_cut_off", str(before.get("started")), text)]


def _silence(run: RunRecord) -> list[Event]:
    """That no run ended well for longer than it should; only the next run can see that."""
    last, started = run.last_good, epoch(run.marker["started"])
    failing = bool(run.before.get("failed"))
    if last is None or failing or started - last <= LATE_SECONDS:
        return []
    since = utc_stamp(last)
    minutes = (started - last) / 60
    long = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    text = f"no run ended well after {since}, for {long}; one is at work again"
    return [Event("late", since, text)]

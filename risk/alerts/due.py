"""What is to be sent after a run: the digest of the call list, and what an operator has to know.

All of it follows from what the runs leave on disk, so that a failed run reports it too. What lasts
is reported as it begins, again after a day, and when it is over; what happened is reported once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from risk.alerts.digest import compare_list
from risk.alerts.mail import Secrets
from risk.alerts.messages import (
    AlertState,
    Condition,
    DigestsDone,
    Message,
    channels_for,
    deliver,
    read_state,
    retry_times,
    still_to_go,
    write_state,
)
from risk.calllist.types import load_list
from risk.config import Config, PipelineError
from risk.data.schema import printable
from risk.decide.decision import BY_HAND
from risk.drift.state import last_evaluation
from risk.files import epoch, sha256, utc_stamp
from risk.record.history import Entry, entries
from risk.record.scores import scorings
from risk.releases import DATA_QUALITY, current_version, read_deployment
from risk.run.record import RunRecord, is_late

RECENT_ENTRIES = 20  # of the history; a run makes two at most
JUDGED = ("keep", "deploy")
DAY = 86400.0
MOST_ITEMS, LONGEST_TEXT = 30, 500
MONDAY = 0
# What lasts: as it begins, while it lasts, when it is over.
LASTING = {
    "run_failed": ("A run failed", "Runs still fail", "Runs end well again"),
    "data_quality": (
        "A data quality issue pauses every deployment",
        "A data quality issue still pauses every deployment",
        "The data quality issue is over",
    ),
    "drift": (
        "The drift monitor gives an alert",
        "The drift monitor's alert lasts",
        "The drift monitor's alert is over",
    ),
    "worse_than_base_rate": (
        "The model does worse than the share of exits alone",
        "The model still does worse than the share of exits alone",
        "The model no longer does worse than the share of exits alone",
    ),
}
ENDS = ("", "_lasts", "_over")
# What happened, reported once.
HAPPENED = {
    "deployed": "A model is deployed",
    "by_hand": "A person changed the deployment",
    "run_cut_off": "A run did not end",
    "late": "No run ended well for a while",
}


@dataclass(frozen=True)
class Event:
    """One thing to report. kind: of LASTING or HAPPENED. key: the same thing has the same."""

    kind: str
    key: str
    text: str


@dataclass(frozen=True)
class News:
    """What one message reports. event: a kind of LASTING with one of ENDS, or of HAPPENED."""

    event: str
    title: str
    events: tuple[Event, ...]


def is_wanted(config: Config) -> bool:
    """Whether anybody is to be sent anything."""
    return bool(config.mail.host or config.webhook_url)


def send_due(config: Config, run: RunRecord, secrets: Secrets) -> float:
    """Send what is to be sent; when there is something to send again, seconds of the epoch."""
    now = time.time()
    state = _with_due(config, run, read_state(config), now)
    write_state(config, state)  # with its id before it is sent: a repeat after a crash has the same
    deliver(config, run.log, state, secrets)
    # No idle run at the hour of the next digest, at a reminder, at a message to try again.
    day = datetime.combine(digest_day(now, config.mail.hour), datetime.min.time(), UTC)
    times = [(day + timedelta(days=1, hours=config.mail.hour)).timestamp()]
    for conditions in state.lasting.values():
        times += [epoch(one.reported) + DAY for one in conditions.values()]
    return min(times + retry_times(state))


def _with_due(config: Config, run: RunRecord, before: AlertState | None, now: float) -> AlertState:
    """The state with everything that is to be sent now among what waits; before: None at first.

    Where what is on disk cannot be read, that the run failed is reported all the same, and the rest
    when it can.
    """
    state = before or AlertState()
    fresh, present, digest = list[Event](), list[Event](), list[Message]()
    failed, kinds = run.marker["failed"], ["run_failed"]
    if failed:
        present += [Event("run_failed", failed["stage"], f"{failed['stage']}: {failed['error']}")]
    reported, digests = state.reported, state.digests or DigestsDone("", None)
    try:
        fresh, reported = _new_events(config, run, before)
        present += _lasting_events(config)
        kinds = list(LASTING)
    except PipelineError as error:
        run.log.warning("not all could be reported: %s", error)
    news, lasting = lasting_news(state.lasting, present, now, kinds)
    news += [
        News(kind, title, events)
        for kind, title in HAPPENED.items()
        if (events := tuple(event for event in fresh if event.kind == kind))
    ]
    try:
        digest, digests = due_digest(config, state, now)
    except PipelineError as error:
        run.log.warning("no digest could be made: %s", error)
    messages = [_message_of(config, one, now) for one in news]
    waiting = still_to_go(config, [*state.waiting, *messages, *digest])
    return AlertState(lasting, reported, digests, waiting, state.sent)


def lasting_news(
    known: dict[str, dict[str, Condition]],
    present: list[Event],
    now: float,
    kinds: Sequence[str] = tuple(LASTING),
) -> tuple[list[News], dict[str, dict[str, Condition]]]:
    """(what to report of what lasts, what is known to last from now on).

    known: by kind and key. kinds: those that are looked at, the others stay.
    """
    news: list[News] = []
    after = {kind: conditions for kind, conditions in known.items() if kind not in kinds}
    for kind in kinds:
        before = known.get(kind, {})
        here = {event.key: event for event in present if event.kind == kind}
        begun = [event for key, event in here.items() if key not in before]
        again = [
            event
            for key, event in here.items()
            # abs: a clock that was set back does not silence it for longer.
            if key in before and abs(now - epoch(before[key].reported)) >= DAY
        ]
        over = [
            Event(kind, key, f"{was.text} (since {was.since})")
            for key, was in before.items()
            if key not in here
        ]
        if here and kind == "run_failed":
            over = []  # another error takes the place of the first
        for events, end, title in zip((begun, again, over), ENDS, LASTING[kind], strict=True):
            news += [News(kind + end, title, tuple(events))] if events else []
        fresh = {event.key for event in (*begun, *again)}
        if here:
            after[kind] = {
                key: Condition(
                    since=before[key].since if key in before else utc_stamp(now),
                    reported=utc_stamp(now) if key in fresh else before[key].reported,
                    text=event.text[:LONGEST_TEXT],
                )
                for key, event in here.items()
            }
    return news, after


def _lasting_events(config: Config) -> list[Event]:
    """What is wrong now: issues that pause the deployment, alerts of the drift monitor, the alarm
    of the last evaluation that judged."""
    deployment, recent = read_deployment(config), entries(config, RECENT_ENTRIES)
    sentences = {  # the issues in the words of the evaluation that found them
        (issue["kind"], tuple(issue["columns"])): issue["sentence"]
        for entry in recent
        for issue in entry.details.get("issues", [])
    }
    found: list[Event] = []
    for kind, columns in deployment.issues if deployment.paused == DATA_QUALITY else ():
        key = f"{kind}: {', '.join(columns)}"
        found.append(Event("data_quality", key, sentences.get((kind, tuple(columns)), key)))
    # A deployment begins another drift table, which ends the alerts of the one before.
    for row in last_evaluation(config).alerts:
        found.append(Event("drift", row.name, f"{row.name}: {row.sentence}"))
    judged = [entry for entry in recent if entry.verdict in JUDGED]
    # An alarm says nothing of a model that came after it, or went since.
    if judged and judged[-1].before == judged[-1].after == current_version(config):
        if text := str(judged[-1].details.get("alarm") or "").removeprefix("alarm: "):
            found.append(Event("worse_than_base_rate", "model", text))
    return found


def _new_events(
    config: Config, run: RunRecord, state: AlertState | None
) -> tuple[list[Event], list[str]]:
    """(what happened since the last run, the keys of the history's entries reported by that).

    Nothing of before this run where nobody was sent anything before.
    """
    started, recent = run.marker["started"], entries(config, RECENT_ENTRIES)
    reported = set(state.reported) if state else {e.key for e in recent if e.at < started}
    events = [event for entry in recent if entry.key not in reported for event in _event_of(entry)]
    if state:
        events = [*_silence(run), *_cut_off(run, state), *events]
    # A deployment that was cut off gets its version, and is reported, by a later run.
    return events, [e.key for e in recent if e.after is not None or e.verdict != "deploy"]


def _event_of(entry: Entry) -> list[Event]:
    if entry.verdict == BY_HAND:
        return [Event("by_hand", entry.key, f"{entry.action}: {entry.reason}")]
    if entry.after is None or entry.after == entry.before:
        return []
    return [Event("deployed", entry.key, f"{entry.sentence}; {entry.reason}")]


def _silence(run: RunRecord) -> list[Event]:
    """That no run ended well for longer than it should; only the next run can see that."""
    last, started = run.last_good, epoch(run.marker["started"])
    failing = run.before is not None and run.before["failed"] is not None
    if last is None or failing or not is_late(run.config, (started - last) / 60):
        return []
    minutes = (started - last) / 60
    long = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    text = f"no run ended well after {utc_stamp(last)}, for {long}; one is at work again"
    return [Event("late", utc_stamp(last), text)]


def _cut_off(run: RunRecord, state: AlertState) -> list[Event]:
    """A run that was killed could not report it itself; one that failed most often did."""
    before = run.before
    if before is None or before["finished"]:
        return []
    failed = before["failed"]
    if failed and "run_failed" in state.lasting:
        return []
    why = failed["error"] if failed else "it was cut off"
    text = f"the run of {before['started']} stopped in {before['stage']}: {why}"
    return [Event("run_cut_off", before["started"], text)]


def _message_of(config: Config, news: News, now: float) -> Message:
    """The message as it waits; its id is of the moment and of what it is about."""
    texts = [printable(" ".join(e.text.split()))[:LONGEST_TEXT] for e in news.events]
    about = "\n".join([news.event, *(event.key for event in news.events)])
    mark = sha256(about.encode("utf-8", "replace"))[:8]
    return Message(
        id=f"{news.event}-{utc_stamp(now)}-{mark}",
        event=news.event,
        at=utc_stamp(now),
        channels=channels_for(config, news.event),
        title=news.title,
        subject=f"{news.title}: {texts[0]}" if len(texts) == 1 else news.title,
        items=tuple(texts[:MOST_ITEMS]),
        more=max(len(texts) - MOST_ITEMS, 0),
    )


def due_digest(config: Config, state: AlertState, now: float) -> tuple[list[Message], DigestsDone]:
    """(the digest if one is due, up to which day digests are done from now on).

    A day without change is done without one, but for a Monday. The first day is that after set-up.
    """
    day = digest_day(now, config.mail.hour)
    done = state.digests or DigestsDone(str(day), None)
    if done.day == str(day) or not config.clients_json.exists():
        return [], done
    listing = load_list(config)
    identity = f"digest-{day}"
    # A day comes twice where mail.hour was moved or the clock set back.
    repeated = identity in {one.id for one in state.sent} | {one.id for one in state.waiting}
    then = compare_list(config, listing, done.scoring)
    same = then and not (then.new or then.off) and then.data_date == listing.data_date
    # On Mondays it is sent anyway: a week without a mail then means that something is wrong.
    if repeated or (same and day.weekday() != MONDAY):
        # Still the list that was sent last: what is new adds up until a digest goes.
        return [], DigestsDone(str(day), done.scoring)
    past, channels = scorings(config), channels_for(config, "digest")
    message = Message(identity, "digest", utc_stamp(now), channels, base=done.scoring)
    return [message], DigestsDone(str(day), past[-1].number if past else None)


def digest_day(now: float, hour: int) -> date:
    """The day whose digest is due: yesterday until the hour has come, UTC."""
    return (datetime.fromtimestamp(now, UTC) - timedelta(hours=hour)).date()

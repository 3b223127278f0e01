"""What is to be sent after a run: the digest of the call list, and what an operator has to know.

A digest waits by its day alone and is written from the list when it is sent, so that no client's
name is kept with the messages.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from risk.alerts.events import (
    HAPPENED,
    ONE_AT_A_TIME,
    TITLES,
    Event,
    failure,
    gaps,
    happened,
    keys_before,
    lasting,
)
from risk.alerts.mail import Secrets
from risk.alerts.messages import compared_with, dispatch
from risk.alerts.outbox import (
    FORMAT,
    State,
    Waiting,
    channels,
    deliver,
    keep,
    read_state,
    retry_times,
    still_to_go,
)
from risk.calllist.types import load_list, read_list
from risk.config import Config, PipelineError
from risk.data.schema import printable
from risk.files import epoch, sha256, utc_stamp
from risk.record.scores import scorings
from risk.run.record import RunRecord

DAY = 86400.0
MOST_ITEMS, LONGEST_TEXT = 30, 500
ENDS = ("", "_lasts", "_over")
MONDAY = 0


def is_wanted(config: Config) -> bool:
    """Whether anybody is to be told anything."""
    return bool(config.mail.host or config.webhook_url)


def tell(config: Config, run: RunRecord, secrets: Secrets) -> float:
    """Send what is to be sent; when there is something to send again, seconds of the epoch."""
    now = time.time()
    state = _planned(config, run, read_state(config), now)
    keep(config, state)
    deliver(config, run.log, state, lambda entry, by: dispatch(config, secrets, entry, by))
    return _next_due(config, state, now)


def _planned(config: Config, run: RunRecord, state: State, now: float) -> State:
    """The state with everything that is to be sent now among what waits.

    Where what is on disk cannot be read, that the run failed is told all the same, and the rest
    when it can.
    """
    known, told = state.get("lasting", {}), state.get("told", [])
    present, kinds = failure(run), ["run_failed"]
    fresh: list[Event] = []
    try:
        fresh, told = _happened(config, run, state)
        present, kinds = [*present, *lasting(config)], list(TITLES)
    except PipelineError as error:
        run.log.warning("not all could be told: %s", error)
    messages, after = news(known, present, now, kinds)
    found = [_waiting_of(config, one, now) for one in (*messages, *_messages_of(fresh))]
    digest, done = _due_digest(config, run, state, now)
    return {
        "format": FORMAT,
        "lasting": after,
        "told": told,
        "digests": done,
        "waiting": still_to_go(config, [*state.get("waiting", []), *found, *digest]),
        "sent": state.get("sent", []),
    }


def _happened(config: Config, run: RunRecord, state: State) -> tuple[list[Event], list[str]]:
    """What happened since the last run; nothing of before there was a state."""
    if not state:
        return happened(config, keys_before(config, run))
    events, told = happened(config, set(state["told"]))
    return [*gaps(run, knows="run_failed" in state["lasting"]), *events], told


def _due_digest(
    config: Config, run: RunRecord, state: State, now: float
) -> tuple[list[Waiting], State]:
    """The digest, if one is due and the list's past can be read; else it stays due."""
    try:
        return due_digest(config, state, now)
    except PipelineError as error:
        run.log.warning("no digest could be made: %s", error)
        return [], state.get("digests", {"day": "", "scoring": None})


def _next_due(config: Config, state: State, now: float) -> float:
    """When a tick must not be idle: the hour of a digest, a reminder, a message to try again."""
    hour = timedelta(days=1, hours=config.mail.hour)
    times = [(_midnight(due_day(now, config.mail.hour)) + hour).timestamp()]
    for found in state["lasting"].values():
        times += [epoch(was["told"]) + DAY for was in found.values()]
    return min(times + retry_times(state))


# ---------------------------------------------------------------- to the operators


@dataclass(frozen=True)
class Message:
    """One message to the operators; event: a key of TITLES with one of ENDS, or one of HAPPENED."""

    event: str
    title: str
    events: tuple[Event, ...]


def news(
    known: State, present: list[Event], now: float, kinds: Sequence[str] = tuple(TITLES)
) -> tuple[list[Message], State]:
    """(what to say of what lasts, what is known to last from now on).

    known: kind -> key -> since, told, text. kinds: those that are looked at, the others stay.
    It is told as it begins, again after a day, and when it is over; where one failure takes the
    place of another no end is told.
    """
    messages: list[Message] = []
    after: State = {kind: found for kind, found in known.items() if kind not in kinds}
    for kind in kinds:
        titles = TITLES[kind]
        before, here = known.get(kind, {}), {e.key: e for e in present if e.kind == kind}
        begun = [event for key, event in here.items() if key not in before]
        due = [here[key] for key in here if key in before and _is_due(before[key]["told"], now)]
        replaced = here and kind in ONE_AT_A_TIME
        over = (
            [] if replaced else [_past(kind, k, was) for k, was in before.items() if k not in here]
        )
        for events, end, title in zip((begun, due, over), ENDS, titles, strict=True):
            messages += [Message(kind + end, title, tuple(events))] if events else []
        told = {event.key for event in (*begun, *due)}
        if here:
            after[kind] = {
                key: _known(before.get(key), event, now, told=key in told)
                for key, event in here.items()
            }
    return messages, after


def _is_due(told: str, now: float) -> bool:
    """Whether a day has passed; a clock that was set back does not silence it for longer."""
    return abs(now - epoch(told)) >= DAY


def _past(kind: str, key: str, was: dict[str, str]) -> Event:
    return Event(kind, key, f"{was['text']} (since {was['since']})")


def _known(was: dict[str, str] | None, event: Event, now: float, *, told: bool) -> dict[str, str]:
    """What is kept of something that lasts."""
    return {
        "since": was["since"] if was else utc_stamp(now),
        "told": utc_stamp(now) if told or not was else was["told"],
        "text": event.text[:LONGEST_TEXT],
    }


def _messages_of(found: list[Event]) -> list[Message]:
    """What happened, one message for each kind."""
    grouped = {kind: tuple(e for e in found if e.kind == kind) for kind in HAPPENED}
    return [Message(kind, HAPPENED[kind], events) for kind, events in grouped.items() if events]


def _waiting_of(config: Config, message: Message, now: float) -> Waiting:
    """The message as it waits on disk; its id is of the moment and of what it is about."""
    texts = [printable(" ".join(e.text.split()))[:LONGEST_TEXT] for e in message.events]
    about = "\n".join([message.event, *(event.key for event in message.events)])
    mark = sha256(about.encode("utf-8", "replace"))[:8]
    return {
        "id": f"{message.event}-{utc_stamp(now)}-{mark}",
        "event": message.event,
        "at": utc_stamp(now),
        "channels": channels(config, message.event),
        "title": message.title,
        "subject": f"{message.title}: {texts[0]}" if len(texts) == 1 else message.title,
        "items": texts[:MOST_ITEMS],
        "more": max(len(texts) - MOST_ITEMS, 0),
        "tries": 0,
        "tried": None,
    }


# ---------------------------------------------------------------- to the client managers


def due_digest(config: Config, state: State, now: float) -> tuple[list[Waiting], State]:
    """(the digest if one is due, up to which day digests are done and the scoring last told of).

    A day without change is done without one, but for a Monday. The first day is that after set-up.
    """
    day = str(due_day(now, config.mail.hour))
    done = state.get("digests", {"day": day, "scoring": None})
    if done["day"] == day or not read_list(config):
        return [], done
    identity, past = f"digest-{day}", scorings(config)
    repeated = identity in {entry["id"] for entry in (*state["sent"], *state["waiting"])}
    monday = date.fromisoformat(day).weekday() == MONDAY
    if repeated or not (monday or _has_changed(config, done["scoring"])):
        return [], {"day": day, "scoring": done["scoring"]}
    entry = {
        "id": identity,
        "event": "digest",
        "at": utc_stamp(now),
        "channels": channels(config, "digest"),
        "base": done["scoring"],
        "tries": 0,
        "tried": None,
    }
    return [entry], {"day": day, "scoring": past[-1].number if past else None}


def due_day(now: float, hour: int) -> date:
    """The day whose digest is due: yesterday until the hour has come, UTC."""
    return (datetime.fromtimestamp(now, UTC) - timedelta(hours=hour)).date()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _has_changed(config: Config, base: int | None) -> bool:
    """Whether anybody is new on the call list or off it since then, or the data are newer."""
    compared = compared_with(config, base)
    if compared is None:
        return True
    dates = {scoring.number: scoring.data_date for scoring in scorings(config)}
    newer = dates[base or 0] != load_list(config).data_date
    return bool(compared.new or compared.off or newer)

"""What waits to be sent, and what was sent: alerts.json, one try after another.

A message is on disk with its id before it is sent, so that a run killed in between repeats it with
the same id; nothing else is ever sent twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from risk.alerts.webhook import Undelivered
from risk.config import Config, PipelineError
from risk.files import (
    checksum_holds,
    epoch,
    read_optional_json,
    utc_stamp,
    with_checksum,
    write_json,
)

FORMAT = 1
MAIL, WEBHOOK = "mail", "webhook"
PAUSES = (0.0, 1.0, 4.0)  # before each of the three tries of a run
FIRST_WAIT, LONGEST_WAIT, GIVEN_UP = 600.0, 6 * 3600.0, 2 * 86400.0
MOST_WAITING, MOST_SENT = 50, 200
State = dict[str, Any]
Waiting = dict[str, Any]
Dispatch = Callable[[Waiting, str], str]


def read_state(config: Config) -> State:
    """What was sent and what waits; {} where there is none or it is damaged."""
    state = read_optional_json(config.alerts)
    if type(state.get("format")) is int and state["format"] > FORMAT:
        raise PipelineError(f"{config.alerts} was written by a newer version; update the software")
    return state if state and checksum_holds(state) else {}


def keep(config: Config, state: State) -> None:
    write_json(config.alerts, with_checksum(state))


def channels(config: Config, event: str) -> list[str]:
    """Where a message of this event goes."""
    to = config.mail.to if event == "digest" else config.mail.operators
    found = [MAIL] if config.mail.host and to else []
    return [*found, *([WEBHOOK] if config.webhook_url else [])]


def still_to_go(config: Config, waiting: list[Waiting]) -> list[Waiting]:
    """Each message to where it has not gone and the config still sends it; the newest of many."""
    left = []
    for entry in waiting:
        open_ = channels(config, entry["event"])
        left.append({**entry, "channels": [c for c in entry["channels"] if c in open_]})
    return [entry for entry in left if entry["channels"]][-MOST_WAITING:]


def deliver(config: Config, log: logging.Logger, state: State, dispatch: Dispatch) -> None:
    """Try what waits, three times; what was sent is noted at once, the rest is left to later runs.

    dispatch: sends a message by a channel, what is to be noted beside; Undelivered if it cannot.
    """
    if not state["waiting"]:
        return
    closed: set[tuple[str, str]] = set()
    for pause in PAUSES:
        pairs = [(entry, channel) for entry in state["waiting"] for channel in entry["channels"]]
        pairs = [(e, c) for e, c in pairs if not {(e["id"], c), ("", c)} & closed]
        if pairs:
            time.sleep(pause)
            _try_once(config, log, state, dispatch, pairs, closed)
    _note_tries(log, state, time.time())
    keep(config, state)


def _try_once(
    config: Config,
    log: logging.Logger,
    state: State,
    dispatch: Dispatch,
    pairs: list[tuple[Waiting, str]],
    closed: set[tuple[str, str]],
) -> None:
    """Try each message by each channel; one that is out of order is not tried with the next.

    closed: (message or "" for all, channel) that this run need not try again; it is added to.
    """
    shut: set[str] = set()
    for entry, channel in pairs:
        if channel in shut:
            continue
        try:
            said = dispatch(entry, channel)
        except Undelivered as why:
            log.warning("%s not sent by %s: %s", entry["id"], channel, why)
            shut |= {channel} if why.channel else set()
            closed |= set() if why.again else {("" if why.channel else entry["id"], channel)}
        else:
            _note_sent(state, entry, channel)
            keep(config, state)
            log.info("sent %s by %s%s", entry["id"], channel, said and f"; {said}")


def _note_sent(state: State, entry: Waiting, channel: str) -> None:
    entry["channels"] = [other for other in entry["channels"] if other != channel]
    state["waiting"] = [other for other in state["waiting"] if other["channels"]]
    sent = {"id": entry["id"], "event": entry["event"], "by": channel, "at": utc_stamp(time.time())}
    state["sent"] = [*state["sent"], sent][-MOST_SENT:]


def _note_tries(log: logging.Logger, state: State, now: float) -> None:
    """Count the tries; give up what could not be sent for two days."""
    for entry in state["waiting"]:
        entry |= {"tries": entry["tries"] + 1, "tried": utc_stamp(now)}
        if now - epoch(entry["at"]) > GIVEN_UP:
            log.warning("%s is given up after two days", entry["id"])
    state["waiting"] = [e for e in state["waiting"] if now - epoch(e["at"]) <= GIVEN_UP]


def retry_times(state: State) -> list[float]:
    """When an idle tick is to try each message again: after 10 minutes, 20, 40 and so on."""
    waits = [min(LONGEST_WAIT, FIRST_WAIT * 2 ** (e["tries"] - 1)) for e in state["waiting"]]
    return [epoch(e["tried"]) + wait for e, wait in zip(state["waiting"], waits, strict=True)]

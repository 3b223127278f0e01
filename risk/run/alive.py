"""Is it alive? When a run ended well last, and what is wrong since."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from risk.config import Config, Outcome
from risk.run.record import LATE_MINUTES, running, trouble


@dataclass(frozen=True)
class Liveness:
    """state: ok, late or never. minutes: since the last good run, None before the first."""

    state: str
    minutes: float | None
    trouble: str
    running: str


def liveness(config: Config) -> Liveness:
    """Whether the cron line is alive."""
    try:
        minutes = round((time.time() - config.heartbeat.stat().st_mtime) / 60, 1)
    except FileNotFoundError:
        return Liveness("never", None, trouble(config), running(config))
    # A little ahead is another machine's clock. More is a clock that was set back: the next run
    # recovers it, and until then nobody knows.
    state = "ok" if abs(minutes) <= LATE_MINUTES else "late"
    return Liveness(state, minutes, trouble(config), running(config))


def status(config: Config) -> Outcome:
    """The same for a person and a monitor: exit code 1 unless all is well."""
    found = liveness(config)
    if found.minutes is None:
        text = "no run of fullprocess.py has ended well yet"
    elif found.minutes < -1:
        ahead = f"{-found.minutes:.0f} minutes in the future (the clock was set back)"
        text = f"{found.state}: the last good run ended {ahead}"
    else:
        text = f"{found.state}: the last good run ended {max(found.minutes, 0):.0f} minutes ago"
    words = "; ".join(filter(None, [text, found.trouble, found.running]))
    return Outcome(words, asdict(found), code=int(found.state != "ok"))

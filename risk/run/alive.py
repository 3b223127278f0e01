"""Is it alive? When a run ended well last, and what is wrong since."""

from __future__ import annotations

import time

from risk.config import Config, Outcome
from risk.data.schema import printable
from risk.data.sources import EMPTIED, input_trouble
from risk.data.state import read_store_state
from risk.run.record import is_late, rhythm, running, trouble
from risk.words import ago


def status(config: Config) -> Outcome:
    """Whether the cron line is alive, for a person and a monitor: exit code 1 unless all is well.

    state: ok, late, failed (the last run) or never. minutes: since the last good run, None before
    the first.
    """
    minutes, busy = None, running(config)
    unread = read_store_state(config).get("unread", [])
    wrong = trouble(config) or input_trouble(config, unread)
    emptied = next((printable(text) for text in unread if EMPTIED in text), "")
    try:
        minutes = round((time.time() - config.heartbeat.stat().st_mtime) / 60, 1)
    except FileNotFoundError:
        state, text = "never", "no run of fullprocess.py has ended well yet"
    else:
        # A little ahead is another machine's clock. More is a clock that was set back: the next run
        # recovers it, and until then nobody knows.
        late = is_late(config, abs(minutes))
        state = "failed" if wrong else "late" if late else "ok"
        when = ago(max(60 * minutes, 0))
        if minutes < -1:
            when = f"{-minutes:.0f} minutes in the future (the clock was set back)"
        text = f"{state}: the last good run ended {when}"
        text += f"; one is expected {rhythm(config)}" if state == "late" else ""
    data = {"state": state, "minutes": minutes, "trouble": wrong, "running": busy}
    return Outcome(
        "; ".join(filter(None, [text, wrong, emptied, busy])), data, code=int(state != "ok")
    )

"""Prometheus's text of what is on disk and of the calls answered: each number with HELP and TYPE.

The calls of all of gunicorn's workers are counted in one piece of shared memory, a slot for each
worker that lives; a worker's slot goes on counting with the one that takes its place.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from risk.config import PipelineError
from risk.drift.state import last_evaluation
from risk.files import epoch
from risk.releases import BY_HAND, DATA_QUALITY, read_deployment
from risk.run.measured import ingested_rows
from risk.run.record import last_failure, last_marker, late_minutes, trouble
from risk.web.context import PageContext

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
CLASSES = ("2xx", "3xx", "4xx", "5xx")
OTHER = "other"  # addresses that there are not: a caller's text is no label
SLOTS, WIDTH, MOST_RULES = 32, len(CLASSES) + len(BUCKETS) + 2, 64
HELP = {
    "risk_deployed": "1 where a usable model is deployed",
    "risk_model_version": "version of the deployed model",
    "risk_model_deployed_timestamp_seconds": "when it was deployed",
    "risk_model_f1": "its F1 on the test data when it was deployed",
    "risk_store_rows": "rows that the last ingestion left",
    "risk_last_good_run_age_seconds": "since a run of fullprocess.py ended well last",
    "risk_late_after_seconds": "a last good run older than this is late; absent where run by hand",
    "risk_last_run_failed": "1 where the last run failed or was cut off",
    "risk_failed_runs": "runs that failed in a row, up to the last one",
    "risk_drift_alerts": "alerts of the drift monitor at its last evaluation",
    "risk_drift_monitored": "columns and measures that it looks at",
    "risk_data_quality_issues": "data quality issues that pause deployments",
    "risk_deployment_paused": "1 where deployments are paused, by reason",
    "risk_quarantined_rows": "rows set aside as bad, of all files that count",
    "risk_refused_files": "files that were not taken in",
    "risk_clients_listed": "clients on the list",
    "risk_clients_called": "clients on the call list",
    "risk_expected_leavers": "of those called, how many are expected to leave",
    "risk_outcomes_known": "rows of earlier lists whose outcome is known",
    "risk_outcomes_waiting": "rows of earlier lists whose outcome is still to come",
}
REQUESTS, SECONDS = "risk_http_requests", "risk_http_request_duration_seconds"


class Gauge(NamedTuple):
    """One value; label: `name="value"`, "" for none."""

    name: str
    value: float
    label: str = ""


def gauges(context: PageContext) -> Iterator[Gauge]:
    """What the files say now. What is not known is left out: a gauge of 0 would be a measure."""
    for part in (_model, _data, _runs, _deployment, _list):
        # One damaged file costs its own numbers and no others.
        with contextlib.suppress(PipelineError, OSError, KeyError, TypeError):
            yield from part(context)


def _model(context: PageContext) -> Iterator[Gauge]:
    try:
        deployed = context.deployed()
    except (PipelineError, OSError):
        yield Gauge("risk_deployed", 0)
        return
    yield Gauge("risk_deployed", 1)
    yield Gauge("risk_model_version", deployed.version)
    since = epoch(deployed.manifest["deployed_at"])
    yield Gauge("risk_model_deployed_timestamp_seconds", since)
    yield Gauge("risk_model_f1", deployed.manifest["f1"])


def _data(context: PageContext) -> Iterator[Gauge]:
    files = context.file(context.config.store_state).get("files", {}).values()
    yield Gauge("risk_quarantined_rows", sum(one.get("quarantined", 0) for one in files))
    yield Gauge("risk_refused_files", sum("refusal" in one for one in files))
    yield Gauge("risk_store_rows", ingested_rows(context.config))


def _runs(context: PageContext) -> Iterator[Gauge]:
    config, beat = context.config, context.heartbeat()
    if beat:  # a file's time may be ahead of ours: it is no negative age
        age = max(time.time() - beat.timestamp(), 0.0)
        yield Gauge("risk_last_good_run_age_seconds", round(age, 1))
    if late := late_minutes(config):
        yield Gauge("risk_late_after_seconds", 60 * late)
    marker = last_marker(config)
    if marker is None:
        return
    failure = last_failure(marker)
    lasts = failure is not None and "over" not in failure
    yield Gauge("risk_last_run_failed", int(bool(trouble(config))))
    yield Gauge("risk_failed_runs", failure.get("runs", 1) if failure and lasts else 0)


def _deployment(context: PageContext) -> Iterator[Gauge]:
    found, drift = read_deployment(context.config), last_evaluation(context.config)
    yield Gauge("risk_data_quality_issues", len(found.issues))
    for why in (BY_HAND, DATA_QUALITY):
        label = f'reason="{why.replace(" ", "_")}"'
        yield Gauge("risk_deployment_paused", int(found.paused == why), label)
    yield Gauge("risk_drift_alerts", len(drift.alerts))
    yield Gauge("risk_drift_monitored", len(drift.rows))


def _list(context: PageContext) -> Iterator[Gauge]:
    outcomes = context.outcomes()
    yield Gauge("risk_outcomes_known", outcomes["known"])
    yield Gauge("risk_outcomes_waiting", outcomes["waiting"])
    listing = context.call_list()
    yield Gauge("risk_clients_listed", len(listing.clients))
    yield Gauge("risk_clients_called", listing.cut.called)
    yield Gauge("risk_expected_leavers", listing.cut.expected_leavers)


# ---------------------------------------------------------------- calls

_shared: mmap.mmap | None = None
_slot = 0


def share() -> None:
    """Before workers are forked: from here on all of them count in one memory."""
    global _shared
    if _shared is None:  # a reload keeps what was counted
        _shared = mmap.mmap(-1, SLOTS * MOST_RULES * WIDTH * 8)


def take_slot(number: int) -> None:
    """In a worker: the slot that is its own."""
    global _slot
    _slot = number % SLOTS


class RequestMeter:
    """How many calls each address had, how they ended, and how long they took."""

    def __init__(self, rules: Sequence[str]) -> None:
        self._rules = [*sorted(set(rules))[: MOST_RULES - 1], OTHER]
        self._lock = threading.Lock()  # of this process's threads; others write elsewhere
        memory = _shared if _shared is not None else bytearray(SLOTS * MOST_RULES * WIDTH * 8)
        self._cells = memoryview(memory).cast("d")

    def count(self, rule: str | None, status: int, seconds: float) -> None:
        """Note one answered call of the address."""
        at = self._rules.index(rule if rule in self._rules else OTHER)
        first = (_slot * MOST_RULES + at) * WIDTH
        bucket = sum(seconds > most for most in BUCKETS)  # past the last one: +Inf
        with self._lock:
            self._cells[first + min(max(status // 100, 2), 5) - 2] += 1
            self._cells[first + len(CLASSES) + bucket] += 1
            self._cells[first + WIDTH - 1] += seconds

    def lines(self) -> Iterator[str]:
        """The counters and the histogram of every address that was called."""
        cells = [self._sums(at) for at in range(len(self._rules))]
        called = [(rule, sums) for rule, sums in zip(self._rules, cells, strict=True) if any(sums)]
        yield from _head(f"{REQUESTS}_total", "calls answered, by address and status", "counter")
        for rule, found in called:
            for kind, number in zip(CLASSES, found, strict=False):
                if number:
                    yield f'{REQUESTS}_total{{path="{rule}",code="{kind}"}} {number:.0f}'
        yield from _head(SECONDS, "how long the server took for a call", "histogram")
        for rule, found in called:
            yield from _histogram(rule, found[len(CLASSES) : -1], found[-1])

    def _sums(self, at: int) -> list[float]:
        """The cells of one address over all slots."""
        firsts = [(slot * MOST_RULES + at) * WIDTH for slot in range(SLOTS)]
        return [sum(self._cells[first + cell] for first in firsts) for cell in range(WIDTH)]


def _histogram(rule: str, counts: Sequence[float], seconds: float) -> Iterator[str]:
    below = 0.0
    for most, number in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
        below += number
        yield f'{SECONDS}_bucket{{path="{rule}",le="{most}"}} {below:.0f}'
    yield f'{SECONDS}_sum{{path="{rule}"}} {seconds:.6f}'
    yield f'{SECONDS}_count{{path="{rule}"}} {below:.0f}'


def _head(name: str, about: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def exposition(context: PageContext, meter: RequestMeter) -> str:
    """All of it, as Prometheus reads it."""
    lines, last = list[str](), ""
    for one in gauges(context):
        lines += _head(one.name, HELP[one.name], "gauge") if one.name != last else ()
        lines.append(f"{one.name}{f'{{{one.label}}}' if one.label else ''} {_number(one.value)}")
        last = one.name
    return "\n".join([*lines, *meter.lines(), ""])


def _number(value: Any) -> str:
    return repr(value) if isinstance(value, (int, float)) else str(float(value))

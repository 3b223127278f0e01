"""The watch: does what comes in still look like what the deployed model was built on?

It looks at the model's own score first, then at each column and how often it is missing, at the
share of exits, and at the labels given the risk. It explains and alerts; it never deploys.

    counts = counts_of(raw, reference, risks, labels, clients=clients)     what a tick adds
    watch, rows = look(watch, reference, counts, "2024-05-31T10:00Z")      the table, worst first

Evidence is that of risk.drift.polya, from the reference's counts and a block's: the rows since the
clients began to come again. Within a block a client counts once; the next block begins at nothing,
since the same clients once more are no new sample. The stakes of all looks of a year add up to
1, so that some block's evidence for one thing reaches s with a chance of at most 1/s in a year,
and 1 / (its share of the budget) is what an alert takes.
"""

from __future__ import annotations

import base64
import datetime
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from risk.config import PipelineError
from risk.drift import polya
from risk.drift import reference as references
from risk.drift.monitored import (
    ALTERNATIVES,
    HALF_LIVES,
    LABELLED,
    LEARNED_ROWS,
    MEMORY,
    MonitoredTests,
    monitored_tests,
)
from risk.drift.reference import GROUPS, LEAST_ROWS
from risk.drift.window import Window, count_once, empty_window
from risk.drift.words import drift_sentence

FORMAT = 1
FIRST_STAKE = 1 / 12  # the first look counts as a month
LEAST_EFFECT = 0.04
LEAST_LOOKS = 2
EFFECT = "Jensen-Shannon distance"
STATES = ("alert", "watching", "steady", "too few rows", "no data")
KINDS = ("risk", "exits", "calibration", "labels", "number", "text", "missing")


@dataclass(frozen=True)
class BinnedRows:
    """What one tick adds, row by row, so that parts add up to the whole.

    codes: of the risk and each column, shape (n, 1 + C). risks, labels: shape (n,), a label nan
    where it is unknown. clients: hashes, -1 where unknown.
    """

    codes: np.ndarray
    risks: np.ndarray
    labels: np.ndarray
    clients: np.ndarray

    def __add__(self, other: BinnedRows) -> BinnedRows:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__annotations__)
        return BinnedRows(*(np.concatenate(pair) for pair in pairs))

    def __getitem__(self, rows: np.ndarray) -> BinnedRows:
        return BinnedRows(*(getattr(self, name)[rows] for name in self.__annotations__))

    @property
    def rows(self) -> int:
        return int(self.risks.size)


@dataclass(frozen=True)
class DriftRow:
    """One line of the table; p = min(1, 1/E) at any look; since: when the evidence began."""

    name: str
    kind: str
    state: str
    effect: float
    effect_name: str
    p: float
    n: int
    since: str | None
    sentence: str


@dataclass(frozen=True)
class MonitorState:
    """The state between two looks, in the order of what panel_of(reference) watches.

    of: checksum of the reference. seen, shape (U, K), and recent, shape (2, U, K): the block's
    counts, whole and fading. log_wealth, shape (J, T). then_seen (the newest), then_evidence,
    then_rows: of the block before. risks, shape (3, 4): sums of the labelled rows' risks by
    quarter, fading likewise, and of the block before. lasting: looks with significance in a row.
    learned: what the first labelled rows are as label reference, where the release has none.
    """

    of: int
    last: str | None
    rows: Window
    labels: Window
    seen: np.ndarray
    recent: np.ndarray
    log_wealth: np.ndarray
    then_seen: np.ndarray
    then_evidence: np.ndarray
    then_rows: np.ndarray
    risks: np.ndarray
    lasting: np.ndarray
    since: tuple[str | None, ...]
    learned: np.ndarray
    learned_risks: float = 0.0


# ---------------------------------------------------------------- what a tick adds


def bin_rows(
    raw: dict[str, np.ndarray],
    reference: dict[str, Any],
    risks: np.ndarray,
    labels: np.ndarray | None,
    *,
    clients: Sequence | None = None,
) -> BinnedRows:
    """What these rows add; results of parts add up (+).

    labels: nan where unknown. Labels that came later than their rows: raw = {}, so that the
    rows' columns and risks are not counted twice.
    """
    risks = np.asarray(risks, dtype=np.float64)
    known = np.full(risks.size, np.nan) if labels is None else np.asarray(labels, np.float64)
    codes = references.bin_indices(raw, risks, reference)
    return BinnedRows(codes, risks, known, references.client_hashes(clients, risks.size))


def _row_counts(codes: np.ndarray, panel: MonitoredTests) -> np.ndarray:
    """The urns' new balls of the risk, the columns and the missing shares. Shape (U, K)."""
    found = np.zeros(panel.start.shape)
    columns, width = codes.shape[1], panel.start.shape[1] + 2
    flat = codes.astype(np.int64) + 1 + np.arange(columns) * width
    table = np.bincount(flat.ravel(), minlength=columns * width).reshape(columns, width)
    found[:columns] = table[:, 2:]
    gone = np.stack([table[1:, 2:].sum(axis=1), table[1:, 1]], axis=1)
    found[columns : 2 * columns - 1, :2] = gone
    return found


def _label_counts(
    counts: BinnedRows, reference: dict[str, Any], panel: MonitoredTests
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the urns' new balls of exits and labels, the quarters' counts, their sums of risks)."""
    found = np.zeros(panel.start.shape)
    cuts = reference["labels"]["cuts"]
    each = np.ones(counts.rows)
    quarters, risks = references.label_counts(counts.labels, counts.risks, cuts, each)
    first = len(found) - 2 * GROUPS
    found[first - 1, :2] = quarters.sum(axis=0)
    found[first:, :2] = np.concatenate([quarters, quarters])
    return found, quarters, risks


# ---------------------------------------------------------------- a look


def initial_state(reference: dict[str, Any]) -> MonitorState:
    """The watch of a release that was just deployed."""
    panel = monitored_tests(reference)
    tests = len(panel.tests)
    return MonitorState(
        of=references.reference_checksum(reference),
        last=None,
        rows=empty_window(),
        labels=empty_window(),
        seen=np.zeros(panel.start.shape),
        recent=np.zeros((len(HALF_LIVES), *panel.start.shape)),
        log_wealth=np.full((ALTERNATIVES, tests), polya.LEAST_LOG),
        then_seen=np.zeros(panel.start.shape),
        then_evidence=np.full(tests, polya.LEAST_LOG),
        then_rows=np.zeros(tests),
        risks=np.zeros((len(HALF_LIVES) + 1, GROUPS)),
        lasting=np.zeros(tests, dtype=np.int64),
        since=(None,) * tests,
        learned=np.zeros((GROUPS, 2)),
    )


def evaluate_drift(
    watch: MonitorState, reference: dict[str, Any], counts: BinnedRows | None, when: str
) -> tuple[MonitorState, list[DriftRow]]:
    """The watch after these rows, and the table, worst first; counts of None: the table alone.

    A watch of another reference begins anew. when: as "2024-05-31T10:00Z".
    """
    if watch.of != references.reference_checksum(reference):
        watch = initial_state(reference)
    if counts is not None and counts.rows:
        watch = add_rows(watch, reference, monitored_tests(reference, watch.learned), counts, when)
    return watch, _table(watch, reference, monitored_tests(reference, watch.learned))


def add_rows(
    watch: MonitorState,
    reference: dict[str, Any],
    panel: MonitoredTests,
    counts: BinnedRows,
    when: str,
) -> MonitorState:
    """The watch after the rows of one look."""
    watch, added = _with_rows(watch, panel, counts)
    watch, more = _with_labels(watch, reference, panel, counts)
    added = added + more
    ratios = polya.log_ratios(added, panel.start + watch.seen, panel.bases + watch.recent[MEMORY])
    ratios = np.where(panel.ready(), panel.per_test(ratios), 0.0)
    stakes = panel.prior * _stake(watch.last, when)
    watch = replace(
        watch,
        last=max(watch.last or when, when),
        log_wealth=polya.next_log_values(watch.log_wealth, stakes, ratios),
        seen=watch.seen + added,
        recent=_faded(watch.recent, added, added.sum(axis=1)),
    )
    return _with_verdicts(watch, panel, added, when)


def _stake(last: str | None, when: str) -> float:
    """The part of a year since the last look: over a year the stakes add up to 1."""
    if last is None:
        return FIRST_STAKE
    passed = datetime.datetime.fromisoformat(when) - datetime.datetime.fromisoformat(last)
    return max(passed.total_seconds(), 60.0) / (365.25 * 86_400)


def _with_rows(
    watch: MonitorState, panel: MonitoredTests, counts: BinnedRows
) -> tuple[MonitorState, np.ndarray]:
    there = (counts.codes != references.ABSENT).any(axis=1)
    if not there.any():
        return watch, np.zeros(panel.start.shape)
    counts = counts[there]
    block, counted, began = count_once(watch.rows, counts.clients)
    watch = replace(watch, rows=block)
    if began:
        watch = _closed(watch, panel, ~panel.labelled())
    return watch, _row_counts(counts.codes[counted], panel)


def _with_labels(
    watch: MonitorState, reference: dict[str, Any], panel: MonitoredTests, counts: BinnedRows
) -> tuple[MonitorState, np.ndarray]:
    known = ~np.isnan(counts.labels) & np.isfinite(counts.risks)
    if not known.any():
        return watch, np.zeros(panel.start.shape)
    counts = counts[known]
    block, counted, began = count_once(watch.labels, counts.clients)
    watch = replace(watch, labels=block)
    if began:
        watch = _closed(watch, panel, panel.labelled())
    added, quarters, risks = _label_counts(counts[counted], reference, panel)
    if reference["labels"]["counts"] is None and watch.learned.sum() < LEARNED_ROWS:
        added[len(added) - 2 * GROUPS - (reference["exits"] is None) :] = 0.0
        learned = watch.learned + quarters
        return replace(
            watch, learned=learned, learned_risks=watch.learned_risks + float(risks.sum())
        ), added
    fading = _faded(watch.risks[:2, :, None], risks[:, None], quarters.sum(axis=1))[:, :, 0]
    return replace(watch, risks=np.concatenate([fading, watch.risks[2:]])), added


def _closed(watch: MonitorState, panel: MonitoredTests, tests: np.ndarray) -> MonitorState:
    """The watch at the beginning of a block for these tests; what it had comes before it."""
    urns_of = tests[panel.test_of]
    risks = watch.risks
    if tests[-1]:
        risks = np.zeros_like(risks)
        risks[2] = watch.risks[_memory(watch)[-2]]
    return replace(
        watch,
        seen=np.where(urns_of[:, None], 0.0, watch.seen),
        recent=np.where(urns_of[:, None], 0.0, watch.recent),
        log_wealth=np.where(tests, polya.LEAST_LOG, watch.log_wealth),
        then_seen=np.where(urns_of[:, None], _newest(watch, panel), watch.then_seen),
        then_evidence=np.where(tests, polya.log_sum(watch.log_wealth), watch.then_evidence),
        then_rows=np.where(tests, panel.per_test(watch.seen.sum(axis=1)), watch.then_rows),
        risks=risks,
    )


def _memory(watch: MonitorState) -> np.ndarray:
    """Which half-life the alternative has that has earned most. Shape (T,)."""
    return np.asarray(MEMORY[watch.log_wealth.argmax(axis=0)])


def _newest(watch: MonitorState, panel: MonitoredTests) -> np.ndarray:
    """The fading counts of that alternative. Shape (U, K)."""
    fast = (_memory(watch) == 0)[panel.test_of]
    return np.asarray(np.where(fast[:, None], watch.recent[0], watch.recent[1]))


def _faded(recent: np.ndarray, added: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sums of each half-life, shape (2, U, K), after so many more rows of each urn, shape (U,)."""
    fade = 0.5 ** (rows[None, :] / np.array(HALF_LIVES)[:, None])
    return np.round(recent * fade[:, :, None] + added, 4)


@dataclass(frozen=True)
class CurrentEvidence:
    """What the table speaks of, by test: this block, or the one before while it is still more."""

    counts: np.ndarray
    log_evidence: np.ndarray
    rows: np.ndarray
    effect: np.ndarray
    before: np.ndarray


def current_evidence(watch: MonitorState, panel: MonitoredTests) -> CurrentEvidence:
    """Counts, log evidence, rows and effect of each test."""
    evidence = polya.log_sum(watch.log_wealth)
    rows = panel.per_test(watch.seen.sum(axis=1))
    before = (2 * rows < watch.then_rows) & (watch.then_evidence > evidence)
    now = np.where(before[panel.test_of][:, None], watch.then_seen, _newest(watch, panel))
    shares = now.sum(axis=1)
    distance = panel.per_test(shares * polya.excess_distance(panel.start, now))
    distance = distance / np.maximum(panel.per_test(shares), 1e-9)
    return CurrentEvidence(
        counts=now,
        log_evidence=np.where(before, watch.then_evidence, evidence),
        rows=np.where(before, watch.then_rows, rows),
        effect=np.sqrt(np.clip(distance, 0.0, 1.0)),
        before=before,
    )


def _with_verdicts(
    watch: MonitorState, panel: MonitoredTests, added: np.ndarray, when: str
) -> MonitorState:
    """Looks with significance in a row, and since when each test's evidence is above 1."""
    came = panel.per_test(added.sum(axis=1)) > 0
    shown = current_evidence(watch, panel)
    significant = _significant(shown, panel)
    told = came & ~shown.before  # what an earlier block showed is not shown again by fewer rows
    lasting = np.where(told, np.where(significant, watch.lasting + 1, 0), watch.lasting)
    since = tuple(
        (then or when) if evidence >= 0 else None
        for then, evidence in zip(watch.since, shown.log_evidence.tolist(), strict=True)
    )
    return replace(watch, lasting=np.minimum(lasting, 1000), since=since)


def _significant(shown: CurrentEvidence, panel: MonitoredTests) -> np.ndarray:
    return np.asarray(shown.log_evidence >= -np.log(panel.budget))


# ---------------------------------------------------------------- the table


def drift_states(watch: MonitorState, panel: MonitoredTests, shown: CurrentEvidence) -> list[str]:
    """Each test's state. Labelled rows that become the reference are data, but too few."""
    significant = _significant(shown, panel)
    firm = (watch.lasting >= LEAST_LOOKS) & (shown.effect >= LEAST_EFFECT)
    state = np.where(significant, np.where(firm, "alert", "watching"), "steady")
    state = np.where((shown.rows < LEAST_ROWS) | ~panel.ready(), "too few rows", state)
    learning = panel.labelled() & ~panel.ready() & (watch.learned.sum() > 0)
    nothing = (shown.rows == 0) | (panel.per_test(panel.start.sum(axis=1)) == 0)
    return [str(one) for one in np.where(nothing & ~learning, "no data", state)]


def _table(watch: MonitorState, reference: dict[str, Any], panel: MonitoredTests) -> list[DriftRow]:
    """A row for everything that is watched, worst first."""
    shown = current_evidence(watch, panel)
    states = drift_states(watch, panel, shown)
    rows = []
    for at, (kind, name) in enumerate(panel.tests):
        log_evidence = float(shown.log_evidence[at])
        said = states[at] in ("alert", "watching", "steady")
        rows.append(
            DriftRow(
                name=name,
                kind=kind,
                state=states[at],
                effect=round(float(shown.effect[at]), 4) if said else 0.0,
                effect_name=EFFECT,
                p=float(np.exp(-max(log_evidence, 0.0))) if said else 1.0,
                n=int(shown.rows[at]),
                since=watch.since[at] if states[at] in ("alert", "watching") else None,
                sentence=_sentence(at, watch, reference, panel, shown),
            )
        )
    return sorted(rows, key=_badness)


def _badness(row: DriftRow) -> tuple[int, float, int, float, str]:
    kind = KINDS.index(row.kind)
    return STATES.index(row.state), -row.effect * (row.p < 1), kind, -row.effect, row.name


def _sentence(
    at: int,
    watch: MonitorState,
    reference: dict[str, Any],
    panel: MonitoredTests,
    shown: CurrentEvidence,
) -> str:
    kind, name = panel.tests[at]
    missing = LEARNED_ROWS - watch.learned.sum()
    if kind in LABELLED and not panel.ready()[at] and missing > 0:
        return f"the next {missing:,.0f} labelled rows become the reference"
    urns_at = panel.test_of == at
    return drift_sentence(
        kind,
        name,
        reference,
        panel.start[urns_at],
        shown.counts[urns_at],
        _mean_risks(at, watch, reference, panel, shown),
    )


def _mean_risks(
    at: int,
    watch: MonitorState,
    reference: dict[str, Any],
    panel: MonitoredTests,
    shown: CurrentEvidence,
) -> tuple[float, float]:
    """The labelled rows' mean risk, of the reference and now."""
    then = reference["labels"]["risks"] or watch.learned_risks
    now = watch.risks[2 if shown.before[at] else int(_memory(watch)[at])].sum()
    here = panel.test_of == at
    rows = panel.start[here].sum() - GROUPS  # a half more in each bin
    return then / max(rows, 1.0), float(now) / max(float(shown.counts[here].sum()), 1.0)


# ---------------------------------------------------------------- as JSON


def state_to_json(watch: MonitorState) -> dict[str, Any]:
    """The watch as JSON has it."""
    body: dict[str, Any] = {"format": FORMAT}
    for name, value in vars(watch).items():
        if isinstance(value, Window):
            packed = base64.b64encode(zlib.compress(value.bits.tobytes(), 9)).decode()
            body[name] = {**vars(value), "bits": packed}
        else:
            body[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return body | {"since": list(watch.since)}


def state_from_json(body: dict[str, Any]) -> MonitorState:
    """The watch that body_of() wrote; PipelineError where it is of a newer format."""
    if body["format"] > FORMAT:
        raise PipelineError("the watch was written by a newer version; update the software")
    kept = {name: value for name, value in body.items() if name != "format"}
    for name in ("rows", "labels"):
        bits = zlib.decompress(base64.b64decode(body[name]["bits"]))
        kept[name] = Window(**body[name] | {"bits": np.frombuffer(bits, dtype=np.uint8)})
    arrays = ("seen", "recent", "log_wealth", "then_seen", "then_evidence", "then_rows")
    for name in (*arrays, "risks", "learned"):
        kept[name] = np.array(body[name], dtype=np.float64)
    kept["lasting"] = np.array(body["lasting"], dtype=np.int64)
    return MonitorState(**kept | {"since": tuple(body["since"])})

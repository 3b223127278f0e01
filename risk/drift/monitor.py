"""The drift monitor: does what comes in still look like what the deployed model was built on?

It tests the model's own score first, then each column and how often it is missing, the share of
exits, and the labels given the risk. It explains and alerts; it never deploys.

    rows = bin_rows(raw, reference, risks, labels, clients=clients)         what a run adds
    state, table = evaluate_drift(state, reference, rows, "2024-05-31T10:00Z")     worst first

Evidence is that of risk.drift.polya, from the reference's counts and a window's: the rows since the
clients began to come again. Within a window a client counts once; the next window begins at
nothing, since the same clients once more are no new sample. The stakes of all evaluations of a year
add up to 1, so that some window's evidence for one test reaches s with a chance of at most 1/s in a
year, and 1 / (the test's share of the budget) is what an alert takes.
"""

from __future__ import annotations

import base64
import datetime
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from risk.drift import polya
from risk.drift.monitored import (
    ALTERNATIVES,
    HALF_LIVES,
    LABELLED,
    LEARNED_ROWS,
    MEMORY,
    MonitoredTests,
    monitored_tests,
)
from risk.drift.reference import (
    ABSENT,
    GROUPS,
    LEAST_ROWS,
    Reference,
    bin_indices,
    client_hashes,
    label_counts,
    reference_checksum,
)
from risk.drift.window import Window, count_once
from risk.drift.words import drift_sentence

FIRST_STAKE = 1 / 12  # the first evaluation counts as a month
LEAST_EFFECT = 0.04  # about a tenth of a standard deviation, or 20 % becoming 23.5 %
LEAST_EVALUATIONS = 2  # in a row: one odd file alone is no alert
EFFECT = "Jensen-Shannon distance"
STATES = ("alert", "watching", "steady", "too few rows", "no data")
# Of equal effects the first kind stands first: what reaches the risk matters most.
KINDS = ("risk", "exits", "calibration", "labels", "number", "text", "missing")


@dataclass(frozen=True)
class BinnedRows:
    """What one run adds, row by row, so that parts add up to the whole.

    bins: of the risk and each column, shape (n, 1 + C). risks, labels: shape (n,), a label nan
    where it is unknown. clients: hashes, -1 where unknown.
    """

    bins: np.ndarray
    risks: np.ndarray
    labels: np.ndarray
    clients: np.ndarray

    def __add__(self, other: BinnedRows) -> BinnedRows:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__annotations__)
        return BinnedRows(*(np.concatenate(pair) for pair in pairs))

    def __getitem__(self, rows: np.ndarray) -> BinnedRows:
        return BinnedRows(*(getattr(self, name)[rows] for name in self.__annotations__))


@dataclass(frozen=True)
class DriftRow:
    """One line of the table. p = min(1, 1/e-value), valid at any time; since: when the evidence
    began."""

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
    """What is kept between two evaluations, in the order of monitored_tests(reference).

    reference: its checksum. counts, shape (U, K), and recent, shape (2, U, K): the window's counts,
    whole and fading. log_values, shape (J, T): of the test martingales. previous_*: the (newest)
    counts, the log evidence and the rows of the window before. risks, shape (3, 4): sums of the
    labelled rows' risks by quarter, fading likewise, and of the window before. significant:
    evaluations with significance in a row. learned: what the first labelled rows are as label
    reference, where the release has none; learned_risks: the sum of their risks.
    """

    reference: int
    last_at: str | None
    row_window: Window
    label_window: Window
    counts: np.ndarray
    recent: np.ndarray
    log_values: np.ndarray
    previous_counts: np.ndarray
    previous_evidence: np.ndarray
    previous_rows: np.ndarray
    risks: np.ndarray
    significant: np.ndarray
    since: tuple[str | None, ...]
    learned: np.ndarray
    learned_risks: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """10 to 120 kB: most of the windows' bits are 0 and compress."""
        body: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Window):
                packed = base64.b64encode(zlib.compress(value.bits.tobytes(), 9)).decode()
                body[name] = {**vars(value), "bits": packed}
            else:
                body[name] = value.tolist() if isinstance(value, np.ndarray) else value
        return body | {"since": list(self.since)}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> MonitorState:
        kept = body | {"since": tuple(body["since"])}
        for name, kind in cls.__annotations__.items():
            if kind == "Window":
                bits = zlib.decompress(base64.b64decode(body[name]["bits"]))
                kept[name] = Window(**body[name] | {"bits": np.frombuffer(bits, dtype=np.uint8)})
            elif kind == "np.ndarray":
                whole = name == "significant"
                kept[name] = np.array(body[name], dtype=np.int64 if whole else np.float64)
        return cls(**kept)


def bin_rows(
    raw: dict[str, np.ndarray],
    reference: Reference,
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
    bins = bin_indices(raw, risks, reference)
    return BinnedRows(bins, risks, known, client_hashes(clients, risks.size))


def initial_state(reference: Reference) -> MonitorState:
    """The state of a release that was just deployed."""
    tests = monitored_tests(reference)
    shape, number = tests.start.shape, len(tests.tests)
    return MonitorState(
        reference=reference_checksum(reference),
        last_at=None,
        row_window=Window(),
        label_window=Window(),
        counts=np.zeros(shape),
        recent=np.zeros((len(HALF_LIVES), *shape)),
        log_values=np.full((ALTERNATIVES, number), polya.LEAST_LOG),
        previous_counts=np.zeros(shape),
        previous_evidence=np.full(number, polya.LEAST_LOG),
        previous_rows=np.zeros(number),
        risks=np.zeros((len(HALF_LIVES) + 1, GROUPS)),
        significant=np.zeros(number, dtype=np.int64),
        since=(None,) * number,
        learned=np.zeros((GROUPS, 2)),
    )


def evaluate_drift(
    state: MonitorState, reference: Reference, rows: BinnedRows | None, when: str
) -> tuple[MonitorState, list[DriftRow]]:
    """The state after these rows, and the table, worst first; rows of None: the table alone.

    A state of another reference begins anew. when: as "2024-05-31T10:00Z".
    """
    if state.reference != reference_checksum(reference):
        state = initial_state(reference)
    if rows is not None and rows.risks.size:
        state = add_rows(state, monitored_tests(reference, state.learned), rows, when)
    # Made anew: labels that were learned just now may have completed the reference.
    return state, _table(state, monitored_tests(reference, state.learned))


def add_rows(
    state: MonitorState, tests: MonitoredTests, rows: BinnedRows, when: str
) -> MonitorState:
    """The state after the rows of one evaluation."""
    state, added = _add_columns(state, tests, rows)
    state, of_labels = _add_labels(state, tests, rows)
    added = added + of_labels
    null = tests.start + state.counts
    ratios = polya.log_ratios(added, null, tests.bases + state.recent[MEMORY])
    # Where the reference says nothing, nothing is staked: a log ratio of 0 keeps the value.
    ratios = np.where(tests.ready(), tests.per_test(ratios), 0.0)
    stakes = tests.prior * _stake(state.last_at, when)
    state = replace(
        state,
        last_at=max(state.last_at or when, when),
        log_values=polya.next_log_values(state.log_values, stakes, ratios),
        counts=state.counts + added,
        recent=_fade(state.recent, added, added.sum(axis=1)),
    )
    evidence = current_evidence(state, tests)
    # What an earlier window showed is not confirmed again by this one's fewer rows.
    counts = (tests.per_test(added.sum(axis=1)) > 0) & ~evidence.is_previous
    in_a_row = np.where(evidence.is_significant, state.significant + 1, 0)
    return replace(
        state,
        significant=np.minimum(np.where(counts, in_a_row, state.significant), 1000),
        since=tuple(
            (then or when) if log_evidence >= 0 else None
            for then, log_evidence in zip(state.since, evidence.log_evidence.tolist(), strict=True)
        ),
    )


def _stake(last: str | None, when: str) -> float:
    """The part of a year since the last evaluation: over a year the stakes add up to 1."""
    if last is None:
        return FIRST_STAKE
    passed = datetime.datetime.fromisoformat(when) - datetime.datetime.fromisoformat(last)
    # A clock that was set back may not make a stake of 0, whose logarithm is -inf.
    return max(passed.total_seconds(), 60.0) / (365.25 * 86_400)


def _add_columns(
    state: MonitorState, tests: MonitoredTests, rows: BinnedRows
) -> tuple[MonitorState, np.ndarray]:
    """(the state with these clients, the new counts of the risk, the columns and the missing
    shares, shape (U, K))."""
    added = np.zeros(tests.start.shape)
    present = (rows.bins != ABSENT).any(axis=1)
    if not present.any():
        return state, added
    rows = rows[present]
    window, counted, begins = count_once(state.row_window, rows.clients)
    state = replace(state, row_window=window)
    if begins:
        state = _close_window(state, tests, ~tests.labelled())
    bins = rows.bins[counted]
    # One bincount over all columns: each has a stretch of its own, for absent, missing and bins.
    columns, width = bins.shape[1], tests.start.shape[1] + 2
    flat = bins.astype(np.int64) + 1 + np.arange(columns) * width
    table = np.bincount(flat.ravel(), minlength=columns * width).reshape(columns, width)
    added[:columns] = table[:, 2:]
    missing = np.stack([table[1:, 2:].sum(axis=1), table[1:, 1]], axis=1)
    added[columns : 2 * columns - 1, :2] = missing
    return state, added


def _add_labels(
    state: MonitorState, tests: MonitoredTests, rows: BinnedRows
) -> tuple[MonitorState, np.ndarray]:
    """(the state with these clients, the new counts of exits and labels, shape (U, K)).

    While the reference has no labels, the first ones that come become it and are no evidence.
    """
    added = np.zeros(tests.start.shape)
    known = ~np.isnan(rows.labels) & np.isfinite(rows.risks)
    if not known.any():
        return state, added
    rows = rows[known]
    window, counted, begins = count_once(state.label_window, rows.clients)
    state = replace(state, label_window=window)
    if begins:
        state = _close_window(state, tests, tests.labelled())
    rows, labels = rows[counted], tests.reference["labels"]
    each = np.ones_like(rows.risks)
    quarters, risks = label_counts(rows.labels, rows.risks, labels["cuts"], each)
    learns = labels["counts"] is None and state.learned.sum() < LEARNED_ROWS
    first = len(added) - 2 * GROUPS
    if not learns or tests.reference["exits"] is not None:
        added[first - 1, :2] = quarters.sum(axis=0)
    if learns:
        learned_risks = state.learned_risks + float(risks.sum())
        return replace(state, learned=state.learned + quarters, learned_risks=learned_risks), added
    added[first:, :2] = np.concatenate([quarters, quarters])
    fading = _fade(state.risks[:2, :, None], risks[:, None], quarters.sum(axis=1))[:, :, 0]
    return replace(state, risks=np.concatenate([fading, state.risks[2:]])), added


def _close_window(state: MonitorState, tests: MonitoredTests, closed: np.ndarray) -> MonitorState:
    """The state at the beginning of a window for these tests; what it had is the previous one."""
    urns = closed[tests.test_of][:, None]
    evidence, rows = polya.log_sum(state.log_values), tests.per_test(state.counts.sum(axis=1))
    risks = state.risks
    if closed[-1]:  # the labels' tests, which come last, close together
        risks = np.zeros_like(risks)
        risks[2] = state.risks[_best_memory(state)[-2]]  # of "calibration", whose sentence it is
    return replace(
        state,
        counts=np.where(urns, 0.0, state.counts),
        recent=np.where(urns, 0.0, state.recent),
        log_values=np.where(closed, polya.LEAST_LOG, state.log_values),
        previous_counts=np.where(urns, _newest(state, tests), state.previous_counts),
        previous_evidence=np.where(closed, evidence, state.previous_evidence),
        previous_rows=np.where(closed, rows, state.previous_rows),
        risks=risks,
    )


def _best_memory(state: MonitorState) -> np.ndarray:
    """Which half-life the alternative has that has most evidence. Shape (T,)."""
    return np.asarray(MEMORY[state.log_values.argmax(axis=0)])


def _newest(state: MonitorState, tests: MonitoredTests) -> np.ndarray:
    """The fading counts of that alternative. Shape (U, K)."""
    fast = (_best_memory(state) == 0)[tests.test_of]
    return np.asarray(np.where(fast[:, None], state.recent[0], state.recent[1]))


def _fade(recent: np.ndarray, added: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sums of each half-life, shape (2, U, K), after so many more rows of each urn, shape (U,)."""
    fade = 0.5 ** (rows[None, :] / np.array(HALF_LIVES)[:, None])
    # Four decimals keep the state's JSON small; a count is at least a whole row.
    return np.round(recent * fade[:, :, None] + added, 4)


@dataclass(frozen=True)
class CurrentEvidence:
    """What the table speaks of, by test: this window, or the previous while it still says more."""

    counts: np.ndarray
    log_evidence: np.ndarray
    rows: np.ndarray
    effect: np.ndarray
    is_previous: np.ndarray
    is_significant: np.ndarray


def current_evidence(state: MonitorState, tests: MonitoredTests) -> CurrentEvidence:
    """Counts, log evidence, rows and effect of each test."""
    evidence = polya.log_sum(state.log_values)
    rows = tests.per_test(state.counts.sum(axis=1))
    # A month that has just begun shall not silence what the month before showed.
    previous = (2 * rows < state.previous_rows) & (state.previous_evidence > evidence)
    urns = previous[tests.test_of][:, None]
    now = np.where(urns, state.previous_counts, _newest(state, tests))
    # The labels' tests have four urns, weighted by their rows.
    shares = now.sum(axis=1)
    distance = tests.per_test(shares * polya.excess_distance(tests.start, now))
    distance = distance / np.maximum(tests.per_test(shares), 1e-9)
    evidence = np.where(previous, state.previous_evidence, evidence)
    return CurrentEvidence(
        counts=now,
        log_evidence=evidence,
        rows=np.where(previous, state.previous_rows, rows),
        effect=np.sqrt(np.clip(distance, 0.0, 1.0)),
        is_previous=previous,
        is_significant=np.asarray(evidence >= -np.log(tests.budget)),
    )


def drift_states(
    state: MonitorState, tests: MonitoredTests, evidence: CurrentEvidence
) -> list[str]:
    """Each test's state. Labelled rows that become the reference are data, but too few."""
    firm = (state.significant >= LEAST_EVALUATIONS) & (evidence.effect >= LEAST_EFFECT)
    states = np.where(firm, "alert", "watching")
    states = np.where(evidence.is_significant, states, "steady")
    states = np.where((evidence.rows < LEAST_ROWS) | ~tests.ready(), "too few rows", states)
    learning = tests.labelled() & ~tests.ready() & (state.learned.sum() > 0)
    nothing = (evidence.rows == 0) | (tests.per_test(tests.start.sum(axis=1)) == 0)
    return [str(one) for one in np.where(nothing & ~learning, "no data", states)]


def _table(state: MonitorState, tests: MonitoredTests) -> list[DriftRow]:
    """A row for each test, worst first."""
    evidence = current_evidence(state, tests)
    rows = []
    for at, name in enumerate(drift_states(state, tests, evidence)):
        has_evidence = name in ("alert", "watching", "steady")
        log_evidence = float(evidence.log_evidence[at])
        rows.append(
            DriftRow(
                name=tests.tests[at][1],
                kind=tests.tests[at][0],
                state=name,
                effect=round(float(evidence.effect[at]), 4) if has_evidence else 0.0,
                effect_name=EFFECT,
                p=float(np.exp(-max(log_evidence, 0.0))) if has_evidence else 1.0,
                n=int(evidence.rows[at]),
                since=state.since[at] if name in ("alert", "watching") else None,
                sentence=_row_sentence(at, state, tests, evidence),
            )
        )

    def order(row: DriftRow) -> tuple[int, float, int, float, str]:
        """Smaller is worse: the effect first, where there is any evidence for it."""
        kind = KINDS.index(row.kind)
        return STATES.index(row.state), -row.effect * (row.p < 1), kind, -row.effect, row.name

    return sorted(rows, key=order)


def _row_sentence(
    at: int, state: MonitorState, tests: MonitoredTests, evidence: CurrentEvidence
) -> str:
    kind, name = tests.tests[at]
    missing = LEARNED_ROWS - state.learned.sum()
    if kind in LABELLED and not tests.ready()[at] and missing > 0:
        return f"the next {missing:,.0f} labelled rows become the reference"
    urns = tests.test_of == at
    then, now = tests.start[urns], evidence.counts[urns]
    risks_then = tests.reference["labels"]["risks"] or state.learned_risks
    risks_now = state.risks[2 if evidence.is_previous[at] else int(_best_memory(state)[at])].sum()
    mean_risks = (
        risks_then / max(then.sum() - GROUPS, 1.0),  # the reference has a half more in each bin
        float(risks_now) / max(float(now.sum()), 1.0),
    )
    return drift_sentence(kind, name, tests.reference, then, now, mean_risks)

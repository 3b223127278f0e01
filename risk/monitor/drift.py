"""The watch: does what comes in still look like what the deployed model was built on?

It looks at the model's own score first, then at each column and how often it is missing, at the
share of exits, and at the labels given the risk. It explains and alerts; it never deploys.

    counts = counts_of(raw, reference, risks, labels, clients=clients)     what a tick adds
    watch, rows = look(watch, reference, counts, "2024-05-31T10:00Z")      the table, worst first

Evidence is that of risk.monitor.urns, from the reference's counts and a block's: the rows since the
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
from statistics import NormalDist
from typing import Any

import numpy as np

from risk.config import PipelineError
from risk.monitor import reference as references
from risk.monitor import urns
from risk.monitor.reference import GROUPS, LEAST_ROWS, UNKNOWN
from risk.monitor.words import sentence_of

FORMAT = 1
BUDGET = 1.0  # false alerts a year, over everything that is watched
SHARES = {
    "risk": 0.2,
    "columns": 0.35,
    "missing": 0.15,
    "exits": 0.1,
    "calibration": 0.1,
    "labels": 0.1,
}
FIRST_STAKE = 1 / 12  # the first look counts as a month
LEAST_EFFECT = 0.04
LEAST_LOOKS = 2
LEARNED_ROWS = 300
EFFECT = "Jensen-Shannon distance"

HALF_LIVES = (200.0, 2000.0)  # rows
MEMORY = np.array([0, 1, 1, 1, 0, 0])  # of each alternative, an index of HALF_LIVES
TILTS = (0.25, -0.25, 0.7, -0.7)  # standard deviations, if the column were normal
STRENGTHS = (20.0, 200.0, 1000.0, 150.0)  # rows: loose, firm; a small tilt, a large one
LEVEL, SLOPES = 0.4, (0.6, 1.5)  # log-odds, and slopes, that "calibration" bets on
ALTERNATIVES = 6

BITS = 65_536
MOST_CLIENTS = 10_000  # of a block; 14 % of the next would be taken for known ones
RECENT_ROWS = 20.0  # half-life of the share of clients that come again
STATES = ("alert", "watching", "steady", "too few rows", "no data")
KINDS = ("risk", "exits", "calibration", "labels", "number", "text", "missing")
LABELLED = ("exits", "calibration", "labels")


@dataclass(frozen=True)
class Counts:
    """What one tick adds, row by row, so that parts add up to the whole.

    codes: of the risk and each column, shape (n, 1 + C). risks, labels: shape (n,), a label nan
    where it is unknown. clients: hashes, -1 where unknown.
    """

    codes: np.ndarray
    risks: np.ndarray
    labels: np.ndarray
    clients: np.ndarray

    def __add__(self, other: Counts) -> Counts:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__annotations__)
        return Counts(*(np.concatenate(pair) for pair in pairs))

    def __getitem__(self, rows: np.ndarray) -> Counts:
        return Counts(*(getattr(self, name)[rows] for name in self.__annotations__))

    @property
    def rows(self) -> int:
        return int(self.risks.size)


@dataclass(frozen=True)
class Row:
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
class Block:
    """Who has come since the clients began to come again: a bit for each, and how many.

    recent, repeats: rows of late, and how many of them are of clients of this block.
    """

    bits: np.ndarray
    clients: int = 0
    recent: float = 0.0
    repeats: float = 0.0


@dataclass(frozen=True)
class Watch:
    """The state between two looks, in the order of what panel_of(reference) watches.

    of: checksum of the reference. seen, shape (U, K), and recent, shape (2, U, K): the block's
    counts, whole and fading. log_wealth, shape (J, T). then_seen, then_evidence: of the block
    before. risks, shape (3, 4): sums of the labelled rows' risks by quarter, fading in two ways
    likewise, and of the block before.
    lasting: looks with significance in a row. learned: the label reference that the first
    labelled rows become where the release has none.
    """

    of: int
    last: str | None
    rows: Block
    labels: Block
    seen: np.ndarray
    recent: np.ndarray
    log_wealth: np.ndarray
    then_seen: np.ndarray
    then_evidence: np.ndarray
    risks: np.ndarray
    lasting: np.ndarray
    since: tuple[str | None, ...]
    learned: np.ndarray
    learned_risks: float = 0.0


@dataclass(frozen=True)
class Panel:
    """What is watched: tests T (kind and name), each of one urn or, for the labels, of four.

    start, shape (U, K): the reference's urns. bases, shape (J, U, K): the alternatives'. prior,
    shape (J, T): each alternative's part of the stake. budget, shape (T,).
    """

    tests: tuple[tuple[str, str], ...]
    test_of: np.ndarray
    start: np.ndarray
    bases: np.ndarray
    prior: np.ndarray
    budget: np.ndarray

    def per_test(self, values: np.ndarray) -> np.ndarray:
        """Sums over each test's urns, on the last axis."""
        first = np.searchsorted(self.test_of, np.arange(len(self.tests)))
        return np.asarray(np.add.reduceat(values, first, axis=-1))

    def labelled(self) -> np.ndarray:
        """Which tests need labels. Shape (T,)."""
        return np.array([kind in LABELLED for kind, _ in self.tests])

    def ready(self) -> np.ndarray:
        """Which tests have a reference that says anything. Shape (T,)."""
        return self.per_test(self.start.sum(axis=1)) >= LEAST_ROWS


# ---------------------------------------------------------------- what is watched


def panel_of(reference: dict[str, Any], learned: np.ndarray | None = None) -> Panel:
    """The panel of a reference; learned: the first labelled rows' stays and exits, (4, 2)."""
    if reference["format"] > references.FORMAT:
        raise PipelineError("the release's reference is of a newer version; update the software")
    columns = sorted(reference["columns"].items())
    exits, labels = _label_start(reference, learned)
    tests = [("risk", "risk"), *((column["kind"], name) for name, column in columns)]
    starts = [reference["risk"]["counts"], *(column["counts"] for _, column in columns)]
    tests += [("missing", f"missing: {name}") for name, _ in columns]
    starts += [column["missing"] for _, column in columns]
    tests += [("exits", "exits"), ("calibration", "calibration")]
    tests += [("labels", "labels given the risk")]
    starts += [exits, *labels, *labels]
    groups = [1] * (len(tests) - 2) + [GROUPS, GROUPS]
    test_of = np.repeat(np.arange(len(tests)), groups)
    start = _padded(starts)
    kinds = [tests[at][0] for at in test_of]
    return Panel(
        tests=tuple(tests),
        test_of=test_of,
        start=start,
        bases=_bases(start, kinds),
        prior=np.array([_prior(kind) for kind, _ in tests]).T,
        budget=_budget([kind for kind, _ in tests]),
    )


def _label_start(
    reference: dict[str, Any], learned: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(stays and exits, the same by quarter of the risk), 0 while there is no reference."""
    kept = reference["labels"]["counts"]
    nothing = np.zeros((GROUPS, 2))
    full = learned is not None and learned.sum() >= LEARNED_ROWS
    quarters = nothing if kept is None else np.array(kept)
    if kept is None and full and learned is not None:
        quarters = learned + 0.5
    exits = reference["exits"]
    return np.array(exits) if exits is not None else quarters.sum(axis=0), quarters


def _padded(starts: list[Any]) -> np.ndarray:
    widest = max(2, *(len(start) for start in starts))
    found = np.zeros((len(starts), widest))
    for urn, start in enumerate(starts):
        found[urn, : len(start)] = start
    return found


def _prior(kind: str) -> np.ndarray:
    """Each alternative's part of the stake: loose, firm, two small tilts, two large ones."""
    if kind == "calibration":
        return np.array([0, 0, 0.25, 0.25, 0.25, 0.25])
    if kind in ("text", "labels"):
        return np.array([0.5, 0.5, 0, 0, 0, 0])
    return np.array([0.2, 0.2, 0.15, 0.15, 0.15, 0.15])


def _budget(kinds: list[str]) -> np.ndarray:
    """The false alerts a year that each test may give; they add up to the budget."""
    groups = ["columns" if kind in ("number", "text") else kind for kind in kinds]
    found = np.array([SHARES[group] / groups.count(group) for group in groups])
    return BUDGET * found / found.sum()


def _bases(start: np.ndarray, kinds: list[str]) -> np.ndarray:
    """What each alternative's urn begins as. Shape (J, U, K)."""
    totals = start.sum(axis=1)
    shares = start / np.maximum(totals, 1e-9)[:, None]
    loose, firm, small, large = (
        np.minimum(rows, np.maximum(totals / divisor, 1.0))[:, None]
        for rows, divisor in zip(STRENGTHS, (4, 2, 1, 1), strict=True)
    )
    bases = np.empty((ALTERNATIVES, *start.shape))
    bases[0], bases[1] = loose * shares, firm * shares
    moved = np.stack([_tilts(share) for share in shares], axis=1)
    at = [urn for urn, kind in enumerate(kinds) if kind == "calibration"]
    moved[:, at, :2] = _calibrations(shares[at, :2], totals[at])
    bases[2:4], bases[4:6] = small * moved[:2], large * moved[2:]
    return bases


def _tilts(shares: np.ndarray) -> np.ndarray:
    """One urn's shares tilted along the order of its bins. Shape (4, K)."""
    middles = np.clip(np.cumsum(shares) - shares / 2, 1e-4, 1 - 1e-4)
    scores = np.array([NormalDist().inv_cdf(middle) for middle in middles])
    return np.stack([urns.tilted(shares, scores, strength) for strength in TILTS])


def _calibrations(shares: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """The quarters' stays and exits with the log-odds moved up, down, pulled in, spread."""
    exits = np.clip(shares[:, 1], 1e-4, 1 - 1e-4)
    log_odds = np.log(exits / (1 - exits))
    middle = float(log_odds @ totals) / max(float(totals.sum()), 1e-9)
    moved = [log_odds + LEVEL, log_odds - LEVEL]
    moved += [middle + slope * (log_odds - middle) for slope in SLOPES]
    left = 1 / (1 + np.exp(-np.stack(moved)))
    return np.stack([1 - left, left], axis=-1)


# ---------------------------------------------------------------- what a tick adds


def counts_of(
    raw: dict[str, np.ndarray],
    reference: dict[str, Any],
    risks: np.ndarray,
    labels: np.ndarray | None,
    *,
    clients: Sequence | None = None,
) -> Counts:
    """What these rows add; results of parts add up (+).

    labels: nan where unknown. Labels that came later than their rows: raw = {}, so that the
    rows' columns and risks are not counted twice.
    """
    risks = np.asarray(risks, dtype=np.float64)
    known = np.full(risks.size, np.nan) if labels is None else np.asarray(labels, np.float64)
    codes = references.codes_of(raw, risks, reference)
    return Counts(codes, risks, known, references.hashed(clients, risks.size))


def _row_counts(codes: np.ndarray, panel: Panel) -> np.ndarray:
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
    counts: Counts, reference: dict[str, Any], panel: Panel
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


# ---------------------------------------------------------------- who has come


def _new_block() -> Block:
    return Block(np.zeros(BITS // 8, dtype=np.uint8))


def counted_once(block: Block, clients: np.ndarray) -> tuple[Block, np.ndarray, bool]:
    """(the block with these clients, which rows count, whether it is a new block). Shape (n,).

    The last row of a client counts. A new block begins when of late half of the rows are of
    clients who have been counted, or at 10,000 clients.
    """
    kept = _last_of_each(clients)
    at = clients & (BITS - 1)
    flags = np.unpackbits(block.bits).astype(bool)
    known = kept & (clients != UNKNOWN) & flags[at]
    fade = 0.5 ** (kept.sum() / RECENT_ROWS)
    recent = block.recent * fade + kept.sum()
    repeats = block.repeats * fade + known.sum()
    full = block.clients >= MOST_CLIENTS
    if full or (recent >= RECENT_ROWS / 2 and repeats > recent / 2):
        block, flags = _new_block(), np.zeros(BITS, dtype=bool)
        known, recent, repeats, full = np.zeros(kept.size, dtype=bool), 0.0, 0.0, True
    counted = kept & ~known
    flags[at[counted & (clients != UNKNOWN)]] = True
    total = block.clients + int(counted.sum())
    began = full or total == int(counted.sum()) > 0
    return Block(np.packbits(flags), total, float(recent), float(repeats)), counted, began


def _last_of_each(clients: np.ndarray) -> np.ndarray:
    """Which rows are their client's last among these; all without a client."""
    kept = clients == UNKNOWN
    _, first = np.unique(clients[::-1], return_index=True)
    last = np.zeros(clients.size, dtype=bool)
    last[clients.size - 1 - first] = True
    return np.asarray(kept | last)


# ---------------------------------------------------------------- a look


def begun(reference: dict[str, Any]) -> Watch:
    """The watch of a release that was just deployed."""
    panel = panel_of(reference)
    tests = len(panel.tests)
    return Watch(
        of=references.checksum(reference),
        last=None,
        rows=_new_block(),
        labels=_new_block(),
        seen=np.zeros(panel.start.shape),
        recent=np.zeros((len(HALF_LIVES), *panel.start.shape)),
        log_wealth=np.full((ALTERNATIVES, tests), urns.LEAST_LOG),
        then_seen=np.zeros(panel.start.shape),
        then_evidence=np.full(tests, urns.LEAST_LOG),
        risks=np.zeros((len(HALF_LIVES) + 1, GROUPS)),
        lasting=np.zeros(tests, dtype=np.int64),
        since=(None,) * tests,
        learned=np.zeros((GROUPS, 2)),
    )


def look(
    watch: Watch, reference: dict[str, Any], counts: Counts | None, when: str
) -> tuple[Watch, list[Row]]:
    """The watch after these rows, and the table, worst first; counts of None: the table alone.

    A watch of another reference begins anew. when: as "2024-05-31T10:00Z".
    """
    if watch.of != references.checksum(reference):
        watch = begun(reference)
    if counts is not None and counts.rows:
        watch = noted(watch, reference, panel_of(reference, watch.learned), counts, when)
    return watch, table(watch, reference, panel_of(reference, watch.learned))


def noted(
    watch: Watch, reference: dict[str, Any], panel: Panel, counts: Counts, when: str
) -> Watch:
    """The watch after the rows of one look."""
    watch, added = _with_rows(watch, panel, counts)
    watch, more = _with_labels(watch, reference, panel, counts)
    added = added + more
    ratios = urns.log_ratios(added, panel.start + watch.seen, panel.bases + watch.recent[MEMORY])
    ratios = np.where(panel.ready(), panel.per_test(ratios), 0.0)
    stakes = panel.prior * _stake(watch.last, when)
    watch = replace(
        watch,
        last=max(watch.last or when, when),
        log_wealth=urns.grown(watch.log_wealth, stakes, ratios),
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


def _with_rows(watch: Watch, panel: Panel, counts: Counts) -> tuple[Watch, np.ndarray]:
    there = (counts.codes != references.ABSENT).any(axis=1)
    if not there.any():
        return watch, np.zeros(panel.start.shape)
    counts = counts[there]
    block, counted, began = counted_once(watch.rows, counts.clients)
    watch = replace(watch, rows=block)
    if began:
        watch = _closed(watch, panel, ~panel.labelled())
    return watch, _row_counts(counts.codes[counted], panel)


def _with_labels(
    watch: Watch, reference: dict[str, Any], panel: Panel, counts: Counts
) -> tuple[Watch, np.ndarray]:
    known = ~np.isnan(counts.labels) & np.isfinite(counts.risks)
    if not known.any():
        return watch, np.zeros(panel.start.shape)
    counts = counts[known]
    block, counted, began = counted_once(watch.labels, counts.clients)
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


def _closed(watch: Watch, panel: Panel, tests: np.ndarray) -> Watch:
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
        log_wealth=np.where(tests, urns.LEAST_LOG, watch.log_wealth),
        then_seen=np.where(urns_of[:, None], _newest(watch, panel), watch.then_seen),
        then_evidence=np.where(tests, urns.log_sum(watch.log_wealth), watch.then_evidence),
        risks=risks,
    )


def _memory(watch: Watch) -> np.ndarray:
    """Which half-life the alternative has that has earned most. Shape (T,)."""
    return np.asarray(MEMORY[watch.log_wealth.argmax(axis=0)])


def _newest(watch: Watch, panel: Panel) -> np.ndarray:
    """The fading counts of that alternative. Shape (U, K)."""
    fast = (_memory(watch) == 0)[panel.test_of]
    return np.asarray(np.where(fast[:, None], watch.recent[0], watch.recent[1]))


def _faded(recent: np.ndarray, added: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sums of each half-life, shape (2, U, K), after so many more rows of each urn, shape (U,)."""
    fade = 0.5 ** (rows[None, :] / np.array(HALF_LIVES)[:, None])
    return np.round(recent * fade[:, :, None] + added, 4)


@dataclass(frozen=True)
class Shown:
    """What the table speaks of, by test: this block, or the one before while it is still more."""

    counts: np.ndarray
    log_evidence: np.ndarray
    rows: np.ndarray
    effect: np.ndarray
    before: np.ndarray


def shown_of(watch: Watch, panel: Panel) -> Shown:
    """Counts, log evidence, rows and effect of each test."""
    evidence = urns.log_sum(watch.log_wealth)
    rows = panel.per_test(watch.seen.sum(axis=1))
    rows_then = panel.per_test(watch.then_seen.sum(axis=1))
    before = (2 * rows < rows_then) & (watch.then_evidence > evidence)
    now = np.where(before[panel.test_of][:, None], watch.then_seen, _newest(watch, panel))
    shares = now.sum(axis=1)
    distance = panel.per_test(shares * urns.excess_distance(panel.start, now))
    distance = distance / np.maximum(panel.per_test(shares), 1e-9)
    return Shown(
        counts=now,
        log_evidence=np.where(before, watch.then_evidence, evidence),
        rows=np.where(before, rows_then, rows),
        effect=np.sqrt(np.clip(distance, 0.0, 1.0)),
        before=before,
    )


def _with_verdicts(watch: Watch, panel: Panel, added: np.ndarray, when: str) -> Watch:
    """Looks with significance in a row, and since when each test's evidence is above 1."""
    came = panel.per_test(added.sum(axis=1)) > 0
    shown = shown_of(watch, panel)
    significant = _significant(shown, panel)
    lasting = np.where(came, np.where(significant, watch.lasting + 1, 0), watch.lasting)
    since = tuple(
        (then or when) if evidence >= 0 else None
        for then, evidence in zip(watch.since, shown.log_evidence.tolist(), strict=True)
    )
    return replace(watch, lasting=np.minimum(lasting, 1000), since=since)


def _significant(shown: Shown, panel: Panel) -> np.ndarray:
    return np.asarray(shown.log_evidence >= -np.log(panel.budget))


# ---------------------------------------------------------------- the table


def states_of(watch: Watch, panel: Panel, shown: Shown) -> list[str]:
    """Each test's state. Labelled rows that become the reference are data, but too few."""
    significant = _significant(shown, panel)
    firm = (watch.lasting >= LEAST_LOOKS) & (shown.effect >= LEAST_EFFECT)
    state = np.where(significant, np.where(firm, "alert", "watching"), "steady")
    state = np.where((shown.rows < LEAST_ROWS) | ~panel.ready(), "too few rows", state)
    learning = panel.labelled() & ~panel.ready() & (watch.learned.sum() > 0)
    nothing = (shown.rows == 0) | (panel.per_test(panel.start.sum(axis=1)) == 0)
    return [str(one) for one in np.where(nothing & ~learning, "no data", state)]


def table(watch: Watch, reference: dict[str, Any], panel: Panel) -> list[Row]:
    """A row for everything that is watched, worst first."""
    shown = shown_of(watch, panel)
    states = states_of(watch, panel, shown)
    rows = []
    for at, (kind, name) in enumerate(panel.tests):
        log_evidence = float(shown.log_evidence[at])
        said = states[at] in ("alert", "watching", "steady")
        rows.append(
            Row(
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


def _badness(row: Row) -> tuple[int, float, int, float, str]:
    kind = KINDS.index(row.kind)
    return STATES.index(row.state), -row.effect * (row.p < 1), kind, -row.effect, row.name


def _sentence(at: int, watch: Watch, reference: dict[str, Any], panel: Panel, shown: Shown) -> str:
    kind, name = panel.tests[at]
    missing = LEARNED_ROWS - watch.learned.sum()
    if kind in LABELLED and not panel.ready()[at] and missing > 0:
        return f"the next {missing:,.0f} labelled rows become the reference"
    urns_at = panel.test_of == at
    return sentence_of(
        kind,
        name,
        reference,
        panel.start[urns_at],
        shown.counts[urns_at],
        _mean_risks(at, watch, reference, panel, shown),
    )


def _mean_risks(
    at: int, watch: Watch, reference: dict[str, Any], panel: Panel, shown: Shown
) -> tuple[float, float]:
    """The labelled rows' mean risk, of the reference and now."""
    then = reference["labels"]["risks"] or watch.learned_risks
    now = watch.risks[2 if shown.before[at] else int(_memory(watch)[at])].sum()
    here = panel.test_of == at
    rows = panel.start[here].sum() - GROUPS  # a half more in each bin
    return then / max(rows, 1.0), float(now) / max(float(shown.counts[here].sum()), 1.0)


# ---------------------------------------------------------------- as JSON


def body_of(watch: Watch) -> dict[str, Any]:
    """The watch as JSON has it."""
    body: dict[str, Any] = {"format": FORMAT}
    for name, value in vars(watch).items():
        if isinstance(value, Block):
            packed = base64.b64encode(zlib.compress(value.bits.tobytes(), 9)).decode()
            body[name] = {**vars(value), "bits": packed}
        else:
            body[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return body | {"since": list(watch.since)}


def watch_in(body: dict[str, Any]) -> Watch:
    """The watch that body_of() wrote; PipelineError where it is of a newer format."""
    if body["format"] > FORMAT:
        raise PipelineError("the watch was written by a newer version; update the software")
    kept = {name: value for name, value in body.items() if name != "format"}
    for name in ("rows", "labels"):
        bits = zlib.decompress(base64.b64decode(body[name]["bits"]))
        kept[name] = Block(**body[name] | {"bits": np.frombuffer(bits, dtype=np.uint8)})
    for name in ("seen", "recent", "log_wealth", "then_seen", "then_evidence", "risks", "learned"):
        kept[name] = np.array(body[name], dtype=np.float64)
    kept["lasting"] = np.array(body["lasting"], dtype=np.int64)
    return Watch(**kept | {"since": tuple(body["since"])})

"""What the drift monitor tests, from a reference: tests, their Polya urns, alternatives, budget."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from risk.config import PipelineError
from risk.drift import polya
from risk.drift.reference import FORMAT, GROUPS, LEAST_ROWS, Reference
from risk.model.logistic import expit, logit

BUDGET = 1.0  # false alerts a year, over all tests
# Of the budget. The model's own score has most: a drift that does not reach it does no harm yet.
SHARES = {
    "risk": 0.2,
    "columns": 0.35,
    "missing": 0.15,
    "exits": 0.1,
    "calibration": 0.1,
    "labels": 0.1,
}
LABELLED = ("exits", "calibration", "labels")
LEARNED_ROWS = 300  # become the label reference where the release has no out-of-fold risks

# An alternative forgets, so that it sees what is new and not the mean of a year: by half in so many
# rows. Two half-lives, since nobody knows how fast the world moves.
HALF_LIVES = (200.0, 2000.0)
MEMORY = np.array([0, 1, 1, 1, 0, 0])  # of each alternative, an index of HALF_LIVES
TILTS = (0.25, -0.25, 0.7, -0.7)  # standard deviations, if the column were normal
STRENGTHS = (20.0, 200.0, 1000.0, 150.0)  # rows: loose, firm; a small tilt, a large one
LEVEL, SLOPES = 0.4, (0.6, 1.5)  # log-odds, and slopes: the alternatives of "calibration"
ALTERNATIVES = 6
# Each alternative's part of the stake: loose, firm, two small tilts, two large. A text's levels
# have no order to be tilted along; the labels' tilts are those of "calibration", by the same urns.
PRIOR = (0.2, 0.2, 0.15, 0.15, 0.15, 0.15)
PRIORS = {
    "calibration": (0, 0, 0.25, 0.25, 0.25, 0.25),
    "text": (0.5, 0.5, 0, 0, 0, 0),
    "labels": (0.5, 0.5, 0, 0, 0, 0),
}


@dataclass(frozen=True)
class MonitoredTests:
    """Tests T (kind and name), each of one Polya urn or, for the labels, of four.

    start, shape (U, K): the reference's urns. bases, shape (J, U, K): the alternatives'. prior,
    shape (J, T): each alternative's part of the stake. budget, shape (T,).
    """

    reference: Reference
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


def monitored_tests(reference: Reference, learned: np.ndarray | None = None) -> MonitoredTests:
    """The tests of a reference; learned: the first labelled rows' stays and exits, (4, 2)."""
    if reference["format"] > FORMAT:
        raise PipelineError("the release's reference is of a newer version; update the software")
    columns = sorted(reference["columns"].items())
    # Stays and exits by quarter of the risk, 0 while there is no reference.
    labels, kept = np.zeros((GROUPS, 2)), reference["labels"]["counts"]
    if kept is not None:
        labels = np.array(kept)
    elif learned is not None and learned.sum() >= LEARNED_ROWS:
        labels = learned + 0.5  # as in a reference, so that no bin is impossible
    exits = labels.sum(axis=0) if reference["exits"] is None else np.array(reference["exits"])
    tests = [("risk", "risk"), *((column["kind"], name) for name, column in columns)]
    starts: list[Any] = [reference["risk"]["counts"], *(column["counts"] for _, column in columns)]
    tests += [("missing", f"missing: {name}") for name, _ in columns]
    starts += [column["missing"] for _, column in columns]
    tests += [("exits", "exits"), ("calibration", "calibration")]
    tests += [("labels", "labels given the risk")]
    starts += [exits, *labels, *labels]
    test_of = np.repeat(np.arange(len(tests)), [1] * (len(tests) - 2) + [GROUPS, GROUPS])
    start = np.zeros((len(starts), max(2, *map(len, starts))))
    for urn, counts in enumerate(starts):
        start[urn, : len(counts)] = counts
    kinds = [kind for kind, _ in tests]
    groups_of = ["columns" if kind in ("number", "text") else kind for kind in kinds]
    budget = np.array([SHARES[group] / groups_of.count(group) for group in groups_of])
    return MonitoredTests(
        reference=reference,
        tests=tuple(tests),
        test_of=test_of,
        start=start,
        bases=_bases(start, [kinds[at] for at in test_of]),
        prior=np.array([PRIORS.get(kind, PRIOR) for kind in kinds]).T,
        budget=BUDGET * budget / budget.sum(),  # false alerts a year that each test may give
    )


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
    # Tilted along the order of each urn's bins, as a shift of a normal column would tilt them.
    middles = np.clip(np.cumsum(shares, axis=1) - shares / 2, 1e-4, 1 - 1e-4)
    scores = np.vectorize(NormalDist().inv_cdf)(middles)
    moved = np.stack([polya.tilt(shares, scores, strength) for strength in TILTS])
    # The quarters' stays and exits with the log-odds moved up, down, pulled in, spread.
    at = [urn for urn, kind in enumerate(kinds) if kind == "calibration"]
    log_odds = logit(shares[at, 1], 1e-4)
    middle = float(log_odds @ totals[at]) / max(float(totals[at].sum()), 1e-9)
    spread = [middle + slope * (log_odds - middle) for slope in SLOPES]
    left = expit(np.stack([log_odds + LEVEL, log_odds - LEVEL, *spread]))
    moved[:, at, :2] = np.stack([1 - left, left], axis=-1)
    bases[2:4], bases[4:6] = small * moved[:2], large * moved[2:]
    return bases

"""The drift monitor: false alerts in a year with nothing wrong, and rows until a drift is seen.

    python benchmarks/drift.py --smoke    seconds: that it runs
    python benchmarks/drift.py            fewer runs (two minutes)
    python benchmarks/drift.py --full     as in docs/drift.md (several times as long)
    python benchmarks/drift.py --tune     other seeds: the ones on which the constants were chosen

Made-up clients with eight columns (four numbers, four texts; ties, rare levels, missing values), a
risk, and labels drawn by it. Independent: every row is a new client. Recurring: the same clients
come every month in random order, their values correlated by .95 from month to month, a reference
row standing for any of three earlier months of the same clients; "others": the reference is of
clients who do not come again.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from risk.drift import monitor
from risk.drift.monitored import monitored_tests
from risk.drift.reference import make_reference
from risk.model.measures import wilson

SEED, TUNING_SEED = 7_000, 1_000
KINDS = {f"number {i}": "number" for i in range(4)} | {f"text {i}": "text" for i in range(4)}
LATENT = 15  # columns, what is missing, the label
CORRELATION = 0.95  # from month to month
LEVELS = {
    0: np.array([0.4, 0.3, 0.2, 0.1]),
    1: np.array([0.7, 0.3]),
    2: 1 / np.arange(1, 41) / (1 / np.arange(1, 41)).sum(),
    3: np.full(12, 1 / 12),
}
GONE = {"number 2": 0.10, "text 3": 0.05, "number 1": 0.01}
GRID = np.linspace(-6, 6, 2001)
BELOW = np.array([NormalDist().cdf(z) for z in GRID])
MOST_ROWS = 12_000


@dataclass(frozen=True)
class Change:
    """What is wrong with the new rows, and in which line of the table it should be seen."""

    words: str
    line: str
    mean: float = 0.0
    level: float = 0.0
    missing: float = 0.0
    exits: float = 0.0
    slope: float = 1.0


NOTHING = Change("nothing", "")
CHANGES = [
    Change("mean + .2 sd", "number 0", mean=0.2),
    Change("mean + .5 sd", "number 0", mean=0.5),
    Change("mean + 1 sd", "number 0", mean=1.0),
    Change("a level 10 % to 20 %", "text 0", level=0.1),
    Change("a level 10 % to 40 %", "text 0", level=0.3),
    Change("missing 10 % to 15 %", "missing: number 2", missing=0.05),
    Change("missing 10 % to 30 %", "missing: number 2", missing=0.2),
    Change("exits + 5 points", "exits", exits=0.05),
    Change("exits + 15 points", "exits", exits=0.15),
    Change("calibration slope .5", "calibration", slope=0.5),
    Change("calibration slope 0", "calibration", slope=0.0),
    Change("calibration slope 0", "labels given the risk", slope=0.0),
]


@dataclass(frozen=True)
class Year:
    """A year of evaluations with data: rows in each, and how many."""

    rows: int
    evaluations: int

    @property
    def month(self) -> int:
        """Evaluations in a month, at least one."""
        return max(round(self.evaluations / 12), 1)


YEARS = [Year(5, 3650), Year(30, 1095), Year(200, 365), Year(20_000, 52)]


def table_of(
    z: np.ndarray, change: Change, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(columns, risks, labels) of clients with these latent values, shape (n, LATENT)."""
    raw: dict[str, np.ndarray] = {
        "number 0": z[:, 0] + change.mean,
        "number 1": np.floor(np.exp(z[:, 1])),
        "number 2": 50 + 10 * z[:, 2],
        "number 3": (z[:, 3] > 0.8).astype(float),
    }
    for at, shares in LEVELS.items():
        raw[f"text {at}"] = _level(z[:, 4 + at], shares)
    last = rng.random(len(z)) < change.level / 0.9
    raw["text 0"] = np.where(last, "3", raw["text 0"])
    log_odds = -1.2 + 0.8 * z[:, 0] + 0.5 * (raw["text 0"] == "3") + 0.5 * raw["number 3"]
    risks = 1 / (1 + np.exp(-log_odds))
    raw["number 0"] = raw["number 0"].copy()
    for at, (name, share) in enumerate(GONE.items(), 8):
        share += change.missing * (name == "number 2")
        gone = z[:, at] < NormalDist().inv_cdf(share)
        raw[name] = np.where(gone, np.nan if KINDS[name] == "number" else None, raw[name])
    return raw, risks, _labels(z[:, -1], log_odds, change, rng)


def _level(z: np.ndarray, shares: np.ndarray) -> np.ndarray:
    edges = [NormalDist().inv_cdf(share) for share in np.cumsum(shares)[:-1]]
    names = np.array([str(at) for at in range(shares.size)], dtype=object)
    return names[np.searchsorted(edges, z)]


def _labels(
    z: np.ndarray, log_odds: np.ndarray, change: Change, rng: np.random.Generator
) -> np.ndarray:
    middle = -1.0
    truth = 1 / (1 + np.exp(-(middle + change.slope * (log_odds - middle))))
    left = np.interp(z, GRID, BELOW) < truth
    return (left | (rng.random(z.size) < change.exits / 0.72)).astype(float)


def aged(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same clients a month later."""
    noise = rng.standard_normal(z.shape)
    return CORRELATION * z + math.sqrt(1 - CORRELATION**2) * noise


def reference_rows(
    rows: int, z: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(latent values, clients) of a reference: of new clients, or of these in three months."""
    if z is None:
        return rng.standard_normal((rows, LATENT)), np.arange(rows) + 10**8
    months = [z, aged(z, rng)]
    months.append(aged(months[-1], rng))
    picked = rng.choice(3 * len(z), min(rows, 3 * len(z)), replace=False)
    return np.concatenate(months)[picked], picked % len(z)


def months_of(
    year: Year, z: np.ndarray | None, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(latent values, clients) of the rows of each month of a year, in their order."""
    for month in range(math.ceil(year.evaluations / year.month)):
        n = year.rows * min(year.month, year.evaluations - month * year.month)
        if z is None:
            yield rng.standard_normal((n, LATENT)), month * 10**6 + np.arange(n)
        else:
            z = aged(z, rng)
            order = np.resize(rng.permutation(len(z)), n)
            yield z[order], order


def evaluations_of(
    reference: dict[str, Any],
    year: Year,
    z: np.ndarray | None,
    rng: np.random.Generator,
) -> Iterator[monitor.BinnedRows]:
    """What each evaluation of a year with nothing wrong adds."""
    for values, clients in months_of(year, z, rng):
        counts = counted(reference, values, NOTHING, rng, clients)
        for at in range(0, len(values), year.rows):
            yield counts[np.arange(at, at + year.rows)]


def counted(
    reference: dict[str, Any],
    values: np.ndarray,
    change: Change,
    rng: np.random.Generator,
    clients: np.ndarray | None = None,
) -> monitor.BinnedRows:
    raw, risks, labels = table_of(values, change, rng)
    who = None if clients is None else clients.tolist()
    return monitor.bin_rows(raw, reference, risks, labels, clients=who)


def made_reference(rows: int, z: np.ndarray | None, rng: np.random.Generator) -> dict[str, Any]:
    values, clients = reference_rows(rows, z, rng)
    raw, risks, labels = table_of(values, NOTHING, rng)
    return make_reference(raw, KINDS, risks, labels, clients=clients.tolist(), out_of_fold=risks)


def false_alerts(year: Year, rows: int, world: str, seed: int) -> tuple[int, int, list[str]]:
    """(alerts that began, lines ever significant, names of the alerts) of one year."""
    rng = np.random.default_rng(seed)
    people = min(year.rows * year.month, 20_000)
    z = None if world == "independent" else rng.standard_normal((people, LATENT))
    reference = made_reference(rows, z if world == "recurring" else None, rng)
    tests, state = monitored_tests(reference), monitor.initial_state(reference)
    on = np.zeros(len(tests.tests), dtype=bool)
    ever, begun, names = on.copy(), 0, []
    for at, counts in enumerate(evaluations_of(reference, year, z, rng)):
        state = monitor.add_rows(state, tests, counts, moment(at, year))
        shown = monitor.current_evidence(state, tests)
        alert = np.array(monitor.drift_states(state, tests, shown)) == "alert"
        fresh = alert & ~on
        begun += int(fresh.sum())
        names += [tests.tests[one][1] for one in np.flatnonzero(fresh)]
        ever |= shown.log_evidence >= -np.log(tests.budget)
        on = alert
    return begun, int(ever.sum()), names


def moment(at: int, year: Year) -> str:
    return str(np.datetime64("2024-01-01T00:00") + round(at * 525_960 / year.evaluations)) + "Z"


def yearly(runs: dict[int, int], worlds: list[tuple[str, int]], seed: int) -> None:
    """The table of false alerts: a line for each world, reference and size of an evaluation."""
    heads = ("clients", "reference", "rows each", "evaluations", "years", "with an alert", "95 %")
    print(f"\n| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    whole = [0, 0, 0, 0]
    for world, rows in worlds:
        for year in (year for year in YEARS if runs[year.rows]):
            years = [
                false_alerts(year, rows, world, seed + 97 * run) for run in range(runs[year.rows])
            ]
            with_any = sum(begun > 0 for begun, _, _ in years)
            whole[0] += len(years)
            whole[1] += with_any
            whole[2] += sum(begun for begun, _, _ in years)
            whole[3] += sum(ever > 0 for _, ever, _ in years)
            low, high = wilson(with_any, len(years))
            names = ", ".join(sorted({name for _, _, found in years for name in found}))
            print(
                f"| {world} | {rows:,} | {year.rows:,} | {year.evaluations:,} | {len(years)} | "
                f"{with_any} | {low:.2f} to {high:.2f} | {names}",
                flush=True,
            )
    low, high = wilson(whole[1], whole[0])
    print(
        f"\n{whole[1]} of {whole[0]} years with an alert ({low:.3f} to {high:.3f}), "
        f"{whole[2]} alerts in all ({whole[2] / whole[0]:.3f} a year, "
        f"{poisson(whole[2])[0] / whole[0]:.3f} to {poisson(whole[2])[1] / whole[0]:.3f}); "
        f"{whole[3]} years with evidence over the threshold"
    )


def poisson(k: int, z: float = 1.96) -> tuple[float, float]:
    """About the 95 % interval of a count (Byar's approximation)."""
    low = k * (1 - 1 / (9 * k) - z / (3 * math.sqrt(k))) ** 3 if k else 0.0
    more = k + 1
    return low, more * (1 - 1 / (9 * more) + z / (3 * math.sqrt(more))) ** 3


def rows_until(change: Change, rows: int, before: int, size: int, seed: int) -> float:
    """Rows after the change until its line alerts; inf if 12,000 do not suffice."""
    rng = np.random.default_rng(seed)
    reference = made_reference(rows, None, rng)
    tests, state = monitored_tests(reference), monitor.initial_state(reference)
    line = [name for _, name in tests.tests].index(change.line)
    year = Year(size, 3650)
    parts = [(NOTHING, before), (change, MOST_ROWS // 6), (change, MOST_ROWS - MOST_ROWS // 6)]
    came, at = -before, 0
    for now, n in parts:
        counts = counted(reference, rng.standard_normal((n, LATENT)), now, rng)
        for first in range(0, n, size):
            rows_here = np.arange(first, min(first + size, n))
            state = monitor.add_rows(state, tests, counts[rows_here], moment(at, year))
            came, at = came + rows_here.size, at + 1
            evidence = monitor.current_evidence(state, tests)
            if came > 0 and monitor.drift_states(state, tests, evidence)[line] == "alert":
                return came
    return math.inf


def detections(runs: int, seed: int) -> None:
    """The table of detection: rows until the alert, median and 90 %, evaluations of 30 rows."""
    starts = [(300, 0), (2000, 0), (2000, 3000)]
    heads = " | ".join(f"reference {rows:,}, after {before:,}" for rows, before in starts)
    print(f"\n| change | line | {heads} |\n|---|---|{'---|' * len(starts)}")
    for change in CHANGES:
        cells = []
        for rows, before in starts:
            found = [rows_until(change, rows, before, 30, seed + 31 * run) for run in range(runs)]
            cells.append(f"{_rows(found, 0.5)} ({_rows(found, 0.9)})")
        print(f"| {change.words} | {change.line} | {' | '.join(cells)} |", flush=True)


def _rows(found: list[float], part: float) -> str:
    value = sorted(found)[min(int(part * len(found)), len(found) - 1)]
    return f"{value:,.0f}" if math.isfinite(value) else f"over {MOST_ROWS:,}"


WORLDS = [
    ("independent", 300),
    ("independent", 2000),
    ("recurring", 300),
    ("recurring", 2000),
    ("others", 300),
    ("others", 2000),
]
RUNS = {
    "smoke": ({5: 0, 30: 0, 200: 1, 20_000: 0}, WORLDS[:1], 0),
    "default": ({5: 2, 30: 5, 200: 10, 20_000: 2}, WORLDS, 5),
    "full": ({5: 4, 30: 12, 200: 30, 20_000: 4}, WORLDS, 10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="seconds: that it runs")
    parser.add_argument("--full", action="store_true", help="as in docs/drift.md")
    parser.add_argument("--tune", action="store_true", help="the seeds of the choice of constants")
    options = parser.parse_args()
    runs, worlds, changes = RUNS[
        "smoke" if options.smoke else "full" if options.full else "default"
    ]
    seed, begin = TUNING_SEED if options.tune else SEED, time.perf_counter()
    print(f"seeds {seed} + 97 x run, and + 31 x run for the second table")
    yearly(runs, worlds, seed)
    if changes:
        detections(changes, seed)
    print(f"\n{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()

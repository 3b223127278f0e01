"""Our policies beside those that everybody knows: false deployments, reaction, regret, seconds.

    python benchmarks/policies.py               a few runs of each scenario (about 3 minutes)
    python benchmarks/policies.py --full        all that docs/policies.md shows (20 minutes)
    python benchmarks/policies.py --only WORD   the scenarios whose name has the word
    python benchmarks/policies.py --last-file   the known rules retrain on the last file alone

The worlds are made up, so that what is true is known: a deployment is *wrong* (where nothing calls
for one: *false*) if the new model is in truth no better than the old one in the next two files.
The known rules retrain on all past rows when they fire. The dummies (never, always, the
base rate) are always printed. Nothing of ours was tuned to these runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.beside.walks import NEVER, OURS, POLICIES, Worth, walk_of, worths
from benchmarks.beside.worlds import YEAR, Scenario, World
from benchmarks.decisions import interval, share_text
from risk.decide.replay import lag_of

SMALL: dict[str, Any] = {"rows": 5, "files": 300, "recipe": "original", "change": (80, 160)}
LARGE: dict[str, Any] = {
    "rows": 100_000,
    "first": 100_000,
    "files": 6,
    "recipe": "original",
    "change": (2, 3),
}
SCENARIOS = (
    Scenario("nothing changes", "stationary", files=YEAR, quiet=True),
    Scenario("harmless shift", "harmless shift", files=YEAR, quiet=True),
    Scenario("nothing changes, 5 rows", "stationary", quiet=True, **SMALL),
    Scenario("nothing changes, 100,000 rows", "stationary", quiet=True, **LARGE),
    Scenario("abrupt", "abrupt"),
    Scenario("gradual", "gradual"),
    Scenario("recurring", "recurring"),
    Scenario("prior shift", "prior shift"),
    Scenario("abrupt, labels 3 files later", "abrupt", delay=3),
    Scenario("abrupt, 70 % never labelled", "abrupt", labelled=0.3),
    Scenario("abrupt, 5 rows", "abrupt", **SMALL),
    Scenario("abrupt, 100,000 rows", "abrupt", **LARGE),
    Scenario("a column x1000 in one file", "stationary", fault="x1000"),
    Scenario("a column stuck for 3 files", "stationary", fault="stuck"),
)
FIRST_SEED = 401
WORTH_A_WORD = 0.001  # Brier
Z95 = 1.96
DRIFTS = ("abrupt", "gradual", "recurring", "prior shift")


@dataclass(frozen=True)
class Ran:
    """A scenario's runs: the worlds, and what each policy was worth in each of them."""

    scenario: Scenario
    worlds: list[World]
    found: list[dict[str, Worth]]

    def of(self, policy: str) -> list[Worth]:
        return [one[policy] for one in self.found]

    def regret(self, policy: str) -> np.ndarray:
        """The mean Brier score of what was deployed minus the oracle's, of each run."""
        return np.array([one[policy].brier - one["oracle"].brier for one in self.found])

    def false(self, policy: str) -> list[int]:
        """How many deployments of each run went to a model that is in truth no better."""
        return [sum(gain <= 0 for gain in one.gains) for one in self.of(policy)]

    def deployments(self, policy: str) -> int:
        return sum(len(one.gains) for one in self.of(policy))

    def evaluations(self, policy: str) -> int:
        return sum(one.evaluations for one in self.of(policy))

    def rows_to_deployment(self, policy: str) -> str:
        pairs = zip(self.worlds, self.of(policy), strict=True)
        return median(rows_to_deployment(world, one) for world, one in pairs)

    def rows_to_half(self, policy: str) -> str:
        both = zip(self.worlds, self.of(policy), self.of(NEVER), strict=True)
        return median(rows_to_half(world, one, never) for world, one, never in both)


def runs_of(scenario: Scenario, full: bool, smoke: bool) -> int:
    if smoke or scenario.rows == LARGE["rows"]:
        return 2 if full else 1
    if scenario.files == YEAR:
        return 16 if full else 2
    return 8 if full else 1 + (scenario.rows > SMALL["rows"])


def shortened(scenario: Scenario) -> Scenario:
    """The scenario for the quickest of runs."""
    rows = min(scenario.rows, 200)
    return replace(scenario, files=3, rows=rows, first=200, change=(1, 2))


def run(scenario: Scenario, last_file: bool, seed: int) -> dict[str, Worth]:
    return worths(World(scenario, seed), last_file)


# ---------------------------------------------------------------- rates and medians


def poisson(events: int, evaluations: int) -> str:
    """Events per 1,000 evaluations with a 95 % interval (Byar's), as if these were independent."""
    low, high = (
        m * (1 - 1 / (9 * m) + sign * Z95 / (3 * m**0.5)) ** 3 if m else 0.0
        for m, sign in ((events, -1), (events + 1, 1))
    )
    rate, low, high = (1000 * value / evaluations for value in (events, low, high))
    return f"{rate:.1f} ({low:.1f} to {high:.1f})"


def share(hits: int, runs: int) -> str:
    return share_text(hits, runs).replace("(-", "(") if runs else "-"


def mean(values: np.ndarray) -> str:
    return interval(values) if values.size > 1 else f"{values[0]:+.5f}"


def rows_to_deployment(world: World, one: Worth) -> float:
    """Rows that came from the change until another model was deployed; inf if none did."""
    since = [period for period in one.periods if period >= world.change]
    lag = lag_of(world.scenario.delay)
    files = min(since) + lag - world.change if since else np.inf
    return files * world.scenario.rows


def rows_to_half(world: World, one: Worth, never: Worth) -> float:
    """Rows from the change until what is deployed costs half of what never deploying does."""
    for file in sorted(one.cost):
        if file > world.change and one.cost[file] <= never.cost[file] / 2:
            return float((file - world.change) * world.scenario.rows)
    return np.inf


def median(values: Iterable[float]) -> str:
    """The median, and how many never came."""
    known = np.array(list(values))
    middle = np.quantile(known, 0.5, method="higher") if known.size else np.inf
    never = int(np.isinf(known).sum())
    shown = "never" if np.isinf(middle) else f"{middle:,.0f}"
    return shown + (f" ({never} of {known.size} never)" if never else "")


# ---------------------------------------------------------------- tables


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def table(columns: list[str], rows: Iterable[list[str]]) -> None:
    row(*columns)
    row(*["---"] * len(columns))
    for cells in rows:
        row(*cells)


def show(ran: Ran) -> None:
    """One scenario's table."""
    scenario, worlds = ran.scenario, ran.worlds
    best = np.mean([one["oracle"].brier for one in ran.found])
    print(
        f"\n{scenario.name}: {len(worlds)} runs, seeds {worlds[0].seed} to {worlds[-1].seed}, "
        f"{scenario.files} files of {scenario.rows:,} rows, recipe {scenario.recipe}; mean Brier "
        f"of the oracle {best:.4f}\n"
    )
    columns = ["policy", "regret", "deployments a run", "wrong of them"]
    if scenario.quiet:
        columns += [
            "deployments per 1,000 evaluations",
            "false per 1,000 evaluations",
            "runs with a false one",
            f"runs with one worse by over {WORTH_A_WORD}",
        ]
    elif scenario.kind == "abrupt":
        columns += ["rows to a deployment", "rows to half the loss"]
    table(columns, (cells_of(ran, policy) for policy in POLICIES[:-1]))
    print()
    for policy in OURS:
        print(f"{policy}: {by_action(ran.of(policy)) or 'no deployment'}")


def by_action(some: list[Worth]) -> str:
    """How many deployments there were by what they are called, and how many of them were wrong."""
    all_, wrong = Counter[str](), Counter[str]()
    for one in some:
        all_.update(one.actions)
        wrong.update(name for name, gain in zip(one.actions, one.gains, strict=True) if gain <= 0)
    return ", ".join(f"{name} {count} ({wrong[name]} wrong)" for name, count in all_.items())


def cells_of(ran: Ran, policy: str) -> list[str]:
    deployments, false, runs = ran.deployments(policy), ran.false(policy), len(ran.found)
    shown = [
        policy,
        mean(ran.regret(policy)),
        f"{deployments / runs:.1f}",
        share(sum(false), deployments),
    ]
    if ran.scenario.quiet:
        evaluations = ran.evaluations(policy)
        worse = sum(min(one.gains, default=0) < -WORTH_A_WORD for one in ran.of(policy))
        return [
            *shown,
            poisson(deployments, evaluations),
            poisson(sum(false), evaluations),
            share(sum(map(bool, false)), runs),
            share(worse, runs),
        ]
    if ran.scenario.kind == "abrupt":
        return [*shown, ran.rows_to_deployment(policy), ran.rows_to_half(policy)]
    return shown


def overview(results: dict[str, Ran]) -> None:
    """Every policy in every scenario: regret; and what docs/policies.md shows first."""
    print("\nmean regret in 1/10,000 Brier\n")
    table(
        ["policy", *results],
        (
            [policy, *(f"{1e4 * ran.regret(policy).mean():+.0f}" for ran in results.values())]
            for policy in POLICIES[:-1]
        ),
    )
    if set(DRIFTS) | {"nothing changes", "harmless shift"} <= set(results):
        print()
        table(
            [
                "policy",
                "nothing changes: false per 1,000 evaluations",
                "years with one",
                "harmless shift: false per 1,000 evaluations",
                "years with one",
                "abrupt: rows to a deployment",
                "to half the loss",
                "four drifts: deployments a run",
                "wrong of them",
            ],
            ([policy, *in_short(results, policy)] for policy in POLICIES[:-1]),
        )


def in_short(results: dict[str, Ran], policy: str) -> list[str]:
    shown = []
    for name in ("nothing changes", "harmless shift"):
        false = results[name].false(policy)
        shown += [
            poisson(sum(false), results[name].evaluations(policy)),
            share(sum(map(bool, false)), len(false)),
        ]
    drifts = [results[name] for name in DRIFTS]
    deployments, runs = (
        sum(ran.deployments(policy) for ran in drifts),
        sum(len(ran.found) for ran in drifts),
    )
    abrupt = results["abrupt"]
    return [
        *shown,
        abrupt.rows_to_deployment(policy),
        abrupt.rows_to_half(policy),
        f"{deployments / runs:.1f}",
        share(sum(sum(ran.false(policy)) for ran in drifts), deployments),
    ]


def processor_time(scenario: Scenario) -> None:
    """Seconds of processor time an evaluation, each policy by itself (the tables share fits)."""
    print(
        f"\nseconds of processor time an evaluation, {scenario.name}, seed {FIRST_SEED}, "
        f"{scenario.files} files of {scenario.rows:,} rows, recipe {scenario.recipe}\n"
    )
    table(
        ["policy", "seconds"],
        ([policy, f"{seconds_of(scenario, policy):.3f}"] for policy in POLICIES[:-1]),
    )


def seconds_of(scenario: Scenario, policy: str) -> float:
    world = World(scenario, FIRST_SEED)
    world.stream.candidates([world.stream.first()]).model("all")
    began = time.process_time()
    walk_of(world, policy)
    return (time.process_time() - began) / scenario.files


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="one tiny run of each scenario")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--last-file", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    scenarios = [one for one in SCENARIOS if chosen.only in one.name]
    results: dict[str, Ran] = {}
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for scenario in scenarios:
            runs = runs_of(scenario, chosen.full, chosen.smoke)
            scenario = shortened(scenario) if chosen.smoke else scenario
            seeds = range(FIRST_SEED, FIRST_SEED + runs)
            found = list(pool.map(partial(run, scenario, chosen.last_file), seeds))
            results[scenario.name] = Ran(scenario, [World(scenario, n) for n in seeds], found)
            show(results[scenario.name])
    overview(results)
    for scenario in scenarios:
        if scenario.name == "abrupt" or (chosen.full and scenario.name.startswith("abrupt, 100")):
            processor_time(shortened(scenario) if chosen.smoke else scenario)


if __name__ == "__main__":
    main()

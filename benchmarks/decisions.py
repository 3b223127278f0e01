"""How good is the decision to redeploy? Policies walked through streams, with intervals and seeds.

    python benchmarks/decisions.py                  a short run (about 3 minutes)
    python benchmarks/decisions.py --full           everything that docs/decisions.md shows
    python benchmarks/decisions.py --only NAME ...  these parts: made, nothing, shuffled, real
    python benchmarks/decisions.py --real FOLDER    with the real streams (public, not in this
                                                    repository; docs/decisions.md says which)

made: eight kinds of made-up drift. nothing: runs in which nothing is wrong, and how many of them
replaced the model all the same. shuffled: how fast a model trained on shuffled labels is undone.
real: dated streams of real customers and flights. The naive rules are always printed beside ours.
Constants were chosen on even seeds and the streams marked *; what counts are the others.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from risk.decide.comparison import compare, forecast, start_comparison
from risk.decide.evidence import risks
from risk.decide.replay import NAIVE, Stream, oracle, replay_naive, replay_policy
from risk.model.candidates import Candidates
from risk.model.measures import brier, wilson
from risk.model.model import Model

KINDS = (
    "stationary",
    "covariate shift",
    "abrupt",
    "gradual",
    "recurring",
    "prior shift",
    "file effects",
    "200 rows",
)
OURS = ("fast", "certified")
FILES, ROWS, FEATURES = 22, 600, 5
REACTIONS = ("promote", "switch", "revert", "roll back")
T95 = 1.96
PAST, TRUTH = 39, 40


# ---------------------------------------------------------------- streams


def made(kind: str, seed: int, files: int = FILES) -> Stream:
    """A made-up stream: five features, slopes with bends, changing as the kind says."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    rows = 200 if kind == "200 rows" else ROWS
    first, second = random.normal(0, 0.8, FEATURES), random.normal(0, 0.8, FEATURES)
    bends, base = random.normal(0, 0.6, FEATURES), random.uniform(-2, 0)
    change = int(random.integers(6, 14))
    parts = []
    for file in range(files):
        slopes, level, shift = _world(kind, file, change, first, second, base, random)
        X = random.normal(0, 1, (rows, FEATURES)) + shift
        X[:, 1] = np.exp(X[:, 1] / 1.5)
        log_odds = level + X @ slopes + 0.5 * np.abs(X) @ bends
        parts.append((X, (random.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)))
    return _stream_of(parts)


def _world(
    kind: str,
    file: int,
    change: int,
    first: np.ndarray,
    second: np.ndarray,
    base: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, float, np.ndarray]:
    """(slopes, level, shift of the features) of a file."""
    slopes, level, shift = first, base, np.zeros(FEATURES)
    match kind:
        case "covariate shift":
            shift = 0.1 * file * np.sign(first[::-1])
        case "abrupt" if file >= change:
            slopes = second
        case "gradual":
            share = float(np.clip((file - 4) / 12, 0, 1))
            slopes = (1 - share) * first + share * second
        case "recurring" if (file // 5) % 2:
            slopes = second
        case "prior shift" if file >= change:
            level = base + 1.2
        case "file effects":
            level = base + random.normal(0, 0.4)
        case "200 rows" if file >= change:
            slopes = 0.5 * first + 0.5 * second
    return slopes, level, shift


def _stream_of(parts: list[tuple[np.ndarray, np.ndarray]]) -> Stream:
    names = [f"x{n}" for n in range(FEATURES)]
    periods = np.repeat(np.arange(len(parts)), [len(y) for _, y in parts])
    clients = np.arange(periods.size).astype(str)
    return Stream(
        "default",
        dict.fromkeys(names, "number"),
        pd.DataFrame(np.concatenate([X for X, _ in parts]), columns=names),
        np.concatenate([y for _, y in parts]),
        clients,
        periods,
        [str(n) for n in range(len(parts))],
    )


def real(folder: Path, pattern: str, thin: float, seed: int) -> Stream:
    """Dated files of real rows; thin: the share of clients kept, by a seeded digest of their id."""
    frames = [pd.read_csv(path, dtype={0: str}) for path in sorted(folder.glob(pattern))]
    periods = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    whole = pd.concat(frames, ignore_index=True)
    client = whole.columns[0]
    lots = {
        c: int(hashlib.md5(f"{seed}{c}".encode()).hexdigest(), 16) % 10**6
        for c in whole[client].unique()
    }
    kept = (whole[client].map(lots) < thin * 10**6).to_numpy()
    whole, periods = whole[kept].reset_index(drop=True), periods[kept]
    features = whole.drop(columns=[client, "exited"])
    kinds = {name: "number" if features[name].dtype.kind in "if" else "text" for name in features}
    numbers = {name: float for name, kind in kinds.items() if kind == "number"}
    return Stream(
        "default",
        kinds,
        features.astype(numbers),
        whole["exited"].to_numpy(),
        whole[client].to_numpy(),
        periods,
        [str(n) for n in range(len(frames))],
    )


@dataclass(frozen=True)
class Task:
    """One stream with one delay; chosen: constants were chosen with it in sight."""

    name: str
    make: Callable[[], Stream]
    delay: int
    chosen: bool


class Made:
    """Makes a made-up stream in another process."""

    def __init__(self, kind: str, seed: int, files: int = FILES) -> None:
        self.kind, self.seed, self.files = kind, seed, files

    def __call__(self) -> Stream:
        return made(self.kind, self.seed, self.files)


class Real:
    """Reads a real stream in another process."""

    def __init__(self, folder: Path, pattern: str, thin: float = 1.0, seed: int = 0) -> None:
        self.parts = (folder, pattern, thin, seed)

    def __call__(self) -> Stream:
        return real(*self.parts)


def real_tasks(folder: Path) -> Iterator[Task]:
    """cdnow whole and thinned, with and without delay; flights; grocery."""
    for features, pattern in (("3", "cdnow/batches/*.csv"), ("8", "cdnow/batches_rich/*.csv")):
        for share, seeds in ((1.0, (0,)), (0.1, (0, 1)), (0.02, (0, 1, 2))):
            for seed in seeds:
                for delay in (0, 3):
                    name = f"cdnow {features} features {share:.0%} seed {seed}"
                    chosen = features == "3" and seed < 2
                    yield Task(name, Real(folder, pattern, share, seed), delay, chosen)
    yield Task("flights", Real(folder, "streams/flights/*.csv"), 0, True)
    for features, place in (("3", "batches"), ("8", "batches_rich")):
        for delay in (0, 2):
            pattern = f"streams/grocery/{place}/*.csv"
            yield Task(f"grocery {features} features", Real(folder, pattern), delay, False)


# ---------------------------------------------------------------- runs


def run(task: Task) -> dict[str, object]:
    """Every policy's walk through the stream."""
    stream = task.make()
    known = [replay_naive(stream, rule, task.delay) for rule in NAIVE]
    walks = [*known, oracle(known), *(replay_policy(stream, policy, task.delay) for policy in OURS)]
    return {
        "name": task.name,
        "delay": task.delay,
        "chosen": task.chosen,
        "brier": {walk.policy: walk.mean for walk in walks},
        "deployments": {walk.policy: len(walk.deployments) for walk in walks},
        "wrong": {walk.policy: walk.wrong for walk in walks},
    }


def quiet(task: tuple[int, int, int]) -> dict[str, list[float]]:
    """For each policy, what its deployments by evidence gained in truth where nothing changed.

    task: seed, files, and how many of them the first model is trained on. The truth: the Brier
    scores of both models on 40 further files of the same world.
    """
    seed, files, first = task
    whole = made("stationary", seed, files + TRUTH)
    later = np.flatnonzero(whole.periods >= files)
    raw, y = whole.whole.rows(later), whole.labels[later]
    stream = made("stationary", seed, files)
    stream.periods = np.maximum(stream.periods - first + 1, 0)
    stream.names = stream.names[: files - first + 1]
    gains = {}
    for policy in OURS:
        walk = replay_policy(stream, policy, 0)
        gains[policy] = [
            brier(y, risks(old.log_odds_of(raw, y.size)))
            - brier(y, risks(new.log_odds_of(raw, y.size)))
            for (_, action, _), (old, new) in zip(walk.deployments, walk.replaced, strict=True)
            if action in REACTIONS
        ]
    return gains


def undone(seed: int) -> int | None:
    """Labelled rows until a model trained on shuffled labels is replaced by "fast"; None: never.

    The model before it, trained on true labels, is the former champion, as after a deployment by
    hand that went wrong; files of 50 rows, the first 40 of them are the past.
    """
    stream = made("stationary", seed, files=8)
    size = 50
    stream.periods = np.arange(stream.labels.size) // size
    stream.names = [str(n) for n in range(int(stream.periods[-1]) + 1)]
    past = stream.candidates([PAST])
    good, bad = past.model("all"), _shuffled(stream, seed)
    comparison = start_comparison("fast", bad, "version 2", past, {"version 1": good})
    evaluations = [PAST]
    for period in range(PAST + 1, len(stream.names)):
        evaluations.append(period)
        rows = stream.rows(period)
        predicted = forecast(comparison, stream.whole.rows(rows), rows.size)
        outcome = compare(comparison, stream.candidates(evaluations), rows, predicted)
        if outcome.action in (*REACTIONS, "scheduled retrain"):
            return (period - PAST) * size
        comparison = outcome.comparison
    return None


def _shuffled(stream: Stream, seed: int) -> Model:
    """A model of the past's rows with their labels in another order."""
    rows = np.flatnonzero(stream.periods <= PAST)
    known = stream.whole.part(rows)
    known.labels = np.random.default_rng(seed).permutation(known.labels)
    return Candidates(known).model("all")


# ---------------------------------------------------------------- what is printed


def interval(values: np.ndarray) -> str:
    """The mean with a 95 % interval of the mean."""
    reach = T95 * values.std(ddof=1) / values.size**0.5 if values.size > 1 else np.nan
    return f"{values.mean():+.5f} ± {reach:.5f}"


def share_text(hits: int, runs: int) -> str:
    """A share with its 95 % interval."""
    if not runs:
        return "no run"
    low, high = wilson(hits, runs)
    return f"{hits} of {runs} ({100 * low:.1f} to {100 * high:.1f} %)"


def show(title: str, found: list[dict]) -> None:
    """One line a stream, then the means over those that nothing was chosen on, and over all."""
    print(f"\n{title}")
    names = ("never", "always, all past", "always, last file", "oracle", *OURS)
    print(
        f"{'stream':36} delay "
        + " ".join(f"{name[-9:]:>9}" for name in names)
        + "  deployed fast/cert/always  wrong  fast - best naive"
    )
    for one in found:
        print(_line(one, names), flush=True)
    for label, some in (("not chosen on", [o for o in found if not o["chosen"]]), ("all", found)):
        if some:
            _means(label, some, names)


def _best(one: dict) -> float:
    return min(one["brier"]["always, all past"], one["brier"]["always, last file"])


def _line(one: dict, names: tuple[str, ...]) -> str:
    mark = "*" if one["chosen"] else " "
    values = " ".join(f"{one['brier'][name]:9.4f}" for name in names)
    deployed = [one["deployments"][name] for name in (*OURS, "always, all past")]
    counts = "/".join(map(str, deployed))
    gap = one["brier"]["fast"] - _best(one)
    return (
        f"{one['name'][:35]:35}{mark} {one['delay']:5} {values}  {counts:>24}  "
        f"{one['wrong']['fast']:5}  {gap:+.4f}"
    )


def _means(label: str, some: list[dict], names: tuple[str, ...]) -> None:
    briers = {name: np.array([one["brier"][name] for one in some]) for name in names}
    gaps = np.array([one["brier"]["fast"] - _best(one) for one in some])
    deployed = {
        name: sum(one["deployments"][name] for one in some) for name in (*OURS, "always, all past")
    }
    wrong = {name: sum(one["wrong"][name] for one in some) for name in (*OURS, *NAIVE)}
    print(
        f"mean of {len(some)} ({label}): "
        + ", ".join(f"{name} {values.mean():.4f}" for name, values in briers.items())
    )
    for name in NAIVE[1:]:
        print(f"  fast - {name}: {interval(briers['fast'] - briers[name])}")
    near = share_text(int(np.sum(gaps <= 0.0005)), gaps.size)
    print(f"  within .0005 of the better naive rule: {near}; worst {gaps.max():+.4f}")
    print(
        f"  deployments: fast {deployed['fast']}, certified {deployed['certified']}, always "
        f"{deployed['always, all past']}; wrong of them: "
        + ", ".join(f"{name} {count}" for name, count in wrong.items())
    )


def reactions(label: str, found: list[dict]) -> None:
    """How many runs with nothing wrong deployed at all, and for a model that in truth is worse."""
    for policy in OURS:
        some = [one[policy] for one in found]
        replaced = sum(bool(deployments) for deployments in some)
        false = sum(any(gain <= 0 for gain in deployments) for deployments in some)
        gains = [gain for deployments in some for gain in deployments]
        mean = f"; in truth better by {np.mean(gains):.4f} Brier in the mean" if gains else ""
        print(
            f"  {label:28} {policy:10} runs with a promotion, switch or revert: "
            f"{share_text(replaced, len(some))}; with one to a model that is no better: "
            f"{share_text(false, len(some))}{mean}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="one tiny run of each part")
    parser.add_argument("--only", nargs="+", choices=("made", "nothing", "shuffled", "real"))
    parser.add_argument("--real", type=Path, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    parts = chosen.only or ["made", "nothing", "shuffled", *(["real"] if chosen.real else [])]
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for part in parts:
            PARTS[part](chosen, pool)


def _made(chosen: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
    seeds, files = (range(10), FILES) if chosen.full else ((1,), 12)
    seeds, files = ((1,), 4) if chosen.smoke else (seeds, files)
    kinds = KINDS[2:3] if chosen.smoke else KINDS
    tasks = [
        Task(f"{kind} {seed}", Made(kind, seed, files), 0, seed % 2 == 0)
        for kind in kinds
        for seed in seeds
    ]
    show(f"made-up drift, seeds {list(seeds)}, {files} files", list(pool.map(run, tasks)))


def _nothing(chosen: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
    runs, files = (100, FILES) if chosen.full else (4, 12)
    runs, files = (1, 4) if chosen.smoke else (runs, files)
    print(
        f"\nnothing wrong, seeds 101 to {100 + runs}, {files} files of {ROWS} rows; "
        f"which model is better is judged on {TRUTH * ROWS:,} further rows"
    )
    for first in (1, files // 2):
        found = list(pool.map(quiet, [(seed, files, first) for seed in range(101, 101 + runs)]))
        reactions(f"first model of {first} files", found)


def _shuffle(chosen: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
    runs = 100 if chosen.full else 6
    runs = 1 if chosen.smoke else runs
    found = list(pool.map(undone, range(201, 201 + runs)))
    rows = np.array([np.inf if n is None else n for n in found])
    high = np.quantile(rows, 0.95, method="higher")
    print(
        f"\na model of shuffled labels is undone after (seeds 201 to {200 + runs}, files of 50): "
        f"median {np.median(rows):.0f} rows, 95th percentile {high:.0f}, most {rows.max():.0f}, "
        f"never {int(np.isinf(rows).sum())} of {runs}"
    )


def _real(chosen: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
    if not chosen.real:
        sys.exit("error: --only real needs --real FOLDER")
    show("real streams", list(pool.map(run, real_tasks(chosen.real))))


PARTS = {"made": _made, "nothing": _nothing, "shuffled": _shuffle, "real": _real}

if __name__ == "__main__":
    main()

"""How often does the truth lie in the band that was expected before any label was known?

    python benchmarks/expected.py                  400 runs of each world and size (10 minutes)
    python benchmarks/expected.py --smoke          a few runs of each, to see that it works
    python benchmarks/expected.py --real FOLDER    the same on the real streams (public, not in this
                                                   repository; docs/decisions.md says which)

A run makes a model's risks whose truth is a + c x log-odds, 500 test rows to measure a and c on,
eight past files of 200 rows to measure the intercept's drift on, and n clients of today; of these
it expects, then draws their labels. Called is the fifth with the highest risks. Shares of runs are
shown with Wilson's interval, widths of bands by their median.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from risk.calllist.expected import calibration_line, expected_measures
from risk.calllist.types import Expected
from risk.decide.decision import Shift
from risk.decide.evidence import calibration_in_the_large
from risk.model.logistic import expit
from risk.model.measures import auc, brier, calibration, wilson

MEASURES = ("exits", "found", "precision", "recall", "f1", "auc", "brier")
SIZES = (30, 200, 2000)
RUNS, SMOKE_RUNS = 400, 1
TEST_ROWS, PAST_FILES, PAST_ROWS, CALLED = 500, 8, 200, 0.2
THIN = 0.1


@dataclass(frozen=True)
class World:
    """How the truth differs from the risks.

    line: standard deviations of a and c around (0, 1) from run to run. drift: of a, from file to
    file. evaluations: past files. shift: of the clients' mean log-odds. later: what is added to a
    and how c is scaled today alone, as after concept drift. test: rows the line is measured on.
    """

    name: str
    line: tuple[float, float] = (0.0, 0.0)
    drift: float = 0.0
    evaluations: int = PAST_FILES
    shift: float = 0.0
    later: tuple[float, float] = (0.0, 1.0)
    test: int = TEST_ROWS


WORLDS = (
    World("calibrated"),
    World("calibrated, no past evaluation", evaluations=0),
    World("miscalibrated, as the test rows show", line=(0.3, 0.15)),
    World("the same by 60 test rows", line=(0.3, 0.15), test=60),
    World("intercept drifts by .3", drift=0.3),
    World("intercept drifts by .3, no past evaluation", drift=0.3, evaluations=0),
    World("miscalibrated and drifting", line=(0.3, 0.15), drift=0.3),
    World("other clients, same rule", shift=1.0),
    World("concept drift: intercept up by 1", later=(1.0, 1.0)),
    World("concept drift: half the slope", later=(0.0, 0.5)),
    World("concept drift: ranking gone", later=(0.0, 0.0)),
)


def risks_of(random: np.random.Generator, n: int, shift: float = 0.0) -> np.ndarray:
    return expit(-1.0 + shift + 1.2 * random.standard_normal(n))


def labels_of(
    random: np.random.Generator, risks: np.ndarray, a: float, c: float, move: float
) -> np.ndarray:
    z = np.log(risks / (1 - risks))
    truth = expit(a + c * z + move * random.standard_normal())
    return (random.random(risks.size) < truth).astype(np.int64)


def run(world: World, n: int, seed: int) -> dict[str, tuple[bool, float] | None]:
    """For each measure whether the truth lay in the band, and the band's width."""
    random = np.random.default_rng([seed, n])
    a, c = np.array([0.0, 1.0]) + random.standard_normal(2) * world.line
    known = [risks_of(random, rows) for rows in [world.test] + [PAST_ROWS] * world.evaluations]
    outcomes = [labels_of(random, p, a, c, world.drift) for p in known]
    past = [calibration_in_the_large(p, y) for p, y in zip(known[1:], outcomes[1:], strict=True)]
    line = calibration_line(calibration(outcomes[0], known[0]), past)
    risks = risks_of(random, n, world.shift)
    called = highest(risks)
    labels = labels_of(random, risks, a + world.later[0], c * world.later[1], world.drift)
    return within(expected_measures(risks, called, line, seed=seed), labels, risks, called)


def highest(risks: np.ndarray) -> np.ndarray:
    """The fifth of the highest risks, as a mask."""
    return np.argsort(np.argsort(-risks, kind="stable")) < max(1, round(CALLED * risks.size))


def within(
    found: Expected, labels: np.ndarray, risks: np.ndarray, called: np.ndarray
) -> dict[str, tuple[bool, float] | None]:
    """The same for labels that are known by now; None where truth or band do not exist."""
    truth = true_measures(labels, risks, called)
    result: dict[str, tuple[bool, float] | None] = {}
    for name in MEASURES:
        band, value = getattr(found, name), truth[name]
        result[name] = None
        if band is not None and value is not None:
            inside = band.low - 1e-9 <= value <= band.high + 1e-9
            result[name] = (inside, band.high - band.low)
    return result


def true_measures(
    labels: np.ndarray, risks: np.ndarray, called: np.ndarray
) -> dict[str, float | None]:
    exits, found = int(labels.sum()), int(labels[called].sum())
    return {
        "exits": exits,
        "found": found,
        "precision": found / called.sum(),
        "recall": found / exits if exits else None,
        "f1": 2 * found / (called.sum() + exits),
        "auc": auc(labels, risks),
        "brier": brier(labels, risks),
    }


def walked(folder: Path) -> Iterator[tuple[str, list[dict[str, tuple[bool, float] | None]]]]:
    """Each real stream with what its files showed: a model of all files but the newest labelled
    one, whose line is measured on that, expects of the next file with an unknown label."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from decisions import real

    for name, pattern, delay, thin in (
        ("cdnow, 3 features, 3 files later", "cdnow/batches/*.csv", 3, THIN),
        ("cdnow, 8 features, 3 files later", "cdnow/batches_rich/*.csv", 3, THIN),
        ("flights", "streams/flights/*.csv", 0, 1.0),
        ("grocery, 3 features, 2 files later", "streams/grocery/batches/*.csv", 2, 1.0),
    ):
        stream = real(folder, pattern, thin, 0)
        yield name, list(files_of(stream, delay))


def files_of(stream, delay: int) -> Iterator[dict[str, tuple[bool, float] | None]]:
    shifts: list[Shift] = []
    for now in range(2 + delay, len(stream.names)):
        model = stream.experts([now - 2 - delay]).model("all")
        tested, today = stream.rows(now - 1 - delay), stream.rows(now)
        p = risks_on(stream, model, tested)
        line = calibration_line(
            calibration(stream.labels[tested], p), shifts[: max(len(shifts) - delay, 0)]
        )
        risks = risks_on(stream, model, today)
        called = highest(risks)
        yield within(expected_measures(risks, called, line), stream.labels[today], risks, called)
        shifts.append(calibration_in_the_large(risks, stream.labels[today]))


def risks_on(stream, model, rows: np.ndarray) -> np.ndarray:
    return expit(model.log_odds_of(stream.whole.rows(rows), rows.size))


def show(name: str, runs: list[dict[str, tuple[bool, float] | None]]) -> None:
    """One line: for each measure the share of runs inside, its interval, the median width."""
    cells = []
    for measure in MEASURES:
        found = [one[measure] for one in runs if one[measure] is not None]
        inside = sum(hit for hit, _ in found)
        low, high = wilson(inside, len(found))
        width = np.median([wide for _, wide in found]) if found else np.nan
        share = inside / len(found) if found else np.nan
        cells.append(f"{measure} {share:.3f} ({low:.2f}-{high:.2f}) w {width:.3g}")
    print(f"{name:42} {len(runs):4} runs  " + "  ".join(cells), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--smoke", action="store_true", help="a few runs of each")
    options.add_argument("--runs", type=int, default=RUNS, help="of each world and size")
    options.add_argument("--real", type=Path, help="the folder with the real streams")
    asked = options.parse_args()
    runs = SMOKE_RUNS if asked.smoke else asked.runs
    if asked.real:
        for name, files in walked(asked.real):
            show(name, files)
        return
    for world in WORLDS:
        for n in SIZES:
            show(f"{world.name}, n = {n}", [run(world, n, seed) for seed in range(runs)])


if __name__ == "__main__":
    main()

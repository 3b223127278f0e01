"""How good a list is before any label is known, from the risks and how they were calibrated.

If of the clients with risk q a share q leaves, then of the called sum(q) leave, and every measure
has an expectation without a label. Three things blur it, and the band (95 %) holds all of them:

    labels     given the risks, who leaves is chance
    line       the risks are right up to a + c x log-odds, known as well as the test rows show it
    drift      the intercept moves from file to file, as far as past evaluations saw it move

a, c and the drift are drawn, then the labels; a measure's band is where 95 % of the draws lie.
It is an honest band while the clients are like those the calibration was measured on. Whether other
things than before decide who leaves cannot be seen in risks: the caveats say what speaks for that.
docs/expected.md has the share of runs in which the truth lay in the band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.facts import expected_words
from risk.calllist.policy import client_values, economics_of
from risk.calllist.types import Band, CallList, Cut, Expected
from risk.config import Config, PipelineError
from risk.data.snapshot import DataVersion, Snapshot, new_since
from risk.decide.decision import Shift
from risk.decide.evidence import log_odds_of_risks
from risk.drift.state import last_evaluation
from risk.model.deployed import Deployed
from risk.model.logistic import expit
from risk.model.measures import Z95, Calibration, RiskBin, calibration
from risk.record.history import entries
from risk.releases import Manifest
from risk.words import amount

if TYPE_CHECKING:
    import polars as pl

DRAWS, CELLS = 1000, 250  # half a second for 500,000 clients, within .001 of each by itself
PRIOR = ((0.0, 1.0), (0.5, 0.5))  # a line before any test row: centre and standard deviations
CHOSEN = (0.2, 0.2)  # the same deviations where the newest outcomes have put the model right
RECENT = 6  # newest dates whose outcomes tell: of monthly lists half a year
DRIFT, DRIFT_WORTH = 0.2, 3  # between two files before any evaluation, worth three of them
FEW_CLIENTS, FEW_ROWS, FEW_EVALUATIONS = 30, 200, 3
MANY_OUTSIDE = 0.1
WIDE_BAND = 0.5
PAST_EVALUATIONS = 40
UNUSUAL = ": unusual value,"  # in a note of risk.model.reasons
CONCEPT = ("calibration", "labels")  # drift rows that need labels; others leave the risks right
Matrix = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class CalibrationLine:
    """intercept + slope x log-odds, what is known of both, and how the intercept drifts.

    covariance: of (intercept, slope). drift: the intercept's standard deviation between files.
    evaluations: how many past ones it was measured on.
    """

    intercept: float = 0.0
    slope: float = 1.0
    covariance: Matrix = ((0.0, 0.0), (0.0, 0.0))
    drift: float = 0.0
    evaluations: int = 0


@dataclass(frozen=True)
class _Cells:
    """Clients of about one risk, by their log-odds upwards: one each for up to 250 clients.

    log_odds, risk: means in the cell. called: 1 or 0. rows: clients in it. starts: where the cells
    of the next log-odds begin.
    """

    log_odds: np.ndarray
    risk: np.ndarray
    called: np.ndarray
    rows: np.ndarray
    starts: np.ndarray


def calibration_line(
    calibration: Calibration | None, past: Sequence[Shift] = ()
) -> CalibrationLine:
    """The line by the measured calibration, weighed against (0, 1), and by past evaluations.

    calibration: None for a model that was just chosen by outcomes. past: the calibration-in-the-
    large of each evaluation, the newest last.
    """
    centre = np.array(PRIOR[0])
    spread = np.diag(np.array(PRIOR[1] if calibration else CHOSEN) ** 2)
    measured, drift = calibration and _measured(calibration), _drift(past)
    if measured:
        mean, covariance = measured
        # The test rows are of a time too and have drifted away by as much as another file: without
        # that, 80 % of the bands held the truth where the intercept drifted by .3.
        covariance = covariance + np.diag([drift**2, 0.0])
        trust = np.linalg.inv(covariance) + np.linalg.inv(spread)
        pull = np.linalg.solve(covariance, mean) + np.linalg.solve(spread, centre)
        centre, spread = np.linalg.solve(trust, pull), np.linalg.inv(trust)
    (aa, ac), (_, cc) = spread.tolist()
    matrix = ((aa, ac), (ac, cc))
    return CalibrationLine(float(centre[0]), float(centre[1]), matrix, drift, len(past))


def _measured(calibration: Calibration) -> tuple[np.ndarray, np.ndarray] | None:
    """(intercept and slope, their covariance) as scoring measured them; None where it could not."""
    intercept, slope = calibration["intercept"], calibration["slope"]
    if not (intercept and slope):
        return None
    ends = np.array([intercept["interval"], slope["interval"]])
    errors = (ends[:, 1] - ends[:, 0]) / (2 * Z95)
    if not errors.min() > 0:
        return None
    line = np.array([intercept["value"], slope["value"]])
    both = _correlation(calibration["bins"], line) * errors[0] * errors[1]
    return line, np.array([[errors[0] ** 2, both], [both, errors[1] ** 2]])


def _correlation(bins: list[RiskBin], line: np.ndarray) -> float:
    """The correlation of intercept and slope: the score keeps their intervals alone, but its
    groups of rows with their mean risks give back the information matrix up to a factor."""
    if len(bins) < 2:
        return 0.0
    z = log_odds_of_risks(np.array([part["risk"] for part in bins]))
    q = expit(line[0] + line[1] * z)
    weight = np.array([part["n"] for part in bins]) * q * (1 - q)
    one, mixed, square = (float(np.sum(weight * z**power)) for power in (0, 1, 2))
    # Short of 1, since a covariance of correlation 1 has no inverse.
    return float(np.clip(-mixed / max((one * square) ** 0.5, 1e-12), -0.99, 0.99))


def _drift(past: Sequence[Shift]) -> float:
    """The standard deviation between files: shifts beyond their own errors, around 0."""
    beyond = sum(shift["intercept"] ** 2 - shift["error"] ** 2 for shift in past)
    total = DRIFT_WORTH * DRIFT**2 + beyond
    return float((max(total, 0.0) / (DRIFT_WORTH + len(past))) ** 0.5)


def expected_measures(
    risks: np.ndarray, called: np.ndarray, line: CalibrationLine, *, seed: int = 0
) -> Expected:
    """What to expect of these clients. risks: of the list, shape (n,), not empty; called: mask."""
    cells = _cells(np.asarray(risks, dtype=np.float64), np.asarray(called, dtype=bool))
    q = expit(line.intercept + line.slope * cells.log_odds)
    with np.errstate(invalid="ignore", divide="ignore"):  # draws without an exit, lists of nobody
        drawn = _measures(cells, _drawn_exits(cells, line, seed))
        # What is expected: the measures of the expected counts, as if the risks q were exact.
        mean = _measures(cells, (cells.rows * q)[None, :])
    middle = {name: float(values[0]) for name, values in mean.items()} | {
        "auc": _mean_auc(cells, q)
    }
    # Counts and Brier score always have a band, the other measures where they are defined.
    bands: dict[str, Any] = {name: _band(value, drawn[name]) for name, value in middle.items()}
    return Expected(int(cells.rows.sum()), int(cells.rows @ cells.called), **bands)


def _cells(risks: np.ndarray, called: np.ndarray) -> _Cells:
    """Clients in cells: neighbours by risk, called and not called apart."""
    groups: list[np.ndarray] = []
    for side in (True, False):
        places = np.flatnonzero(called == side)
        ordered = places[np.argsort(risks[places], kind="stable")]
        share = max(1, round(CELLS * places.size / risks.size))
        parts = places.size if risks.size <= CELLS else min(share, places.size)
        groups += np.array_split(ordered, parts) if parts else []
    z = log_odds_of_risks(risks)
    # Equal risks, called or not, are ties: the last bits of a mean must not order them.
    means = np.array([z[part].mean() for part in groups]).round(12)
    order = np.argsort(means, kind="stable")
    return _Cells(
        means[order],
        np.array([risks[part].mean() for part in groups])[order],
        np.array([float(called[part[0]]) for part in groups])[order],
        np.array([part.size for part in groups])[order],
        np.unique(means[order], return_index=True)[1],
    )


def _drawn_exits(cells: _Cells, line: CalibrationLine, seed: int) -> np.ndarray:
    """Drawn exits in each cell. Shape (draws, cells)."""
    random = np.random.default_rng(seed)  # fixed: the same list made again has the same bands
    # R.T @ R is the covariance; Cholesky's R fails where that is singular or 0.
    values, vectors = np.linalg.eigh(np.array(line.covariance))
    root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    lines = np.array([line.intercept, line.slope]) + random.standard_normal((DRAWS, 2)) @ root
    # Student's t: the deviation itself is known from a few evaluations alone.
    move = line.drift * random.standard_t(DRIFT_WORTH + line.evaluations, DRAWS)
    q = expit((lines[:, 0] + move)[:, None] + np.outer(lines[:, 1], cells.log_odds))
    drawn = random.random(q.shape) < q if cells.rows.max() == 1 else random.binomial(cells.rows, q)
    return drawn.astype(np.float64)


def _measures(cells: _Cells, exits: np.ndarray) -> dict[str, np.ndarray]:
    """The measures of exits of shape (draws, cells), each (draws,); nan where not defined."""
    total, found = exits.sum(axis=1), exits @ cells.called
    listed = cells.rows @ cells.called
    by_risk = np.add.reduceat(exits, cells.starts, axis=1)
    stays = np.add.reduceat(cells.rows, cells.starts) - by_risk
    below = np.cumsum(stays, axis=1) - stays / 2
    wrong = cells.rows @ cells.risk**2 + exits @ (1 - 2 * cells.risk)
    return {
        "exits": total,
        "found": found,
        "precision": found / listed if listed else np.full(total.shape, np.nan),
        "recall": found / total,
        "f1": 2 * found / (listed + total),
        "auc": (by_risk * below).sum(axis=1) / (total * (cells.rows.sum() - total)),
        "brier": wrong / cells.rows.sum(),
    }


def _mean_auc(cells: _Cells, q: np.ndarray) -> float:
    """Expected pairs in order over expected pairs; a client is no pair with itself."""
    leaving = np.add.reduceat(cells.rows * q, cells.starts)
    staying = np.add.reduceat(cells.rows * (1 - q), cells.starts)
    alone = np.add.reduceat(cells.rows * q * (1 - q), cells.starts)
    ordered = leaving @ (np.cumsum(staying) - staying / 2) - alone.sum() / 2
    pairs = leaving.sum() * staying.sum() - alone.sum()
    return float(ordered / pairs) if pairs > 0 else float("nan")


def _band(value: float, drawn: np.ndarray) -> Band | None:
    """The middle 95 % of the draws, and what is expected, which it always holds.

    None where the measure is undefined as a whole or in most of the draws.
    """
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or known.size < drawn.size / 2:
        return None
    # Outwards to values that were drawn: most of the measures are of whole counts.
    low = float(np.quantile(known, 0.025, method="lower"))
    high = float(np.quantile(known, 0.975, method="higher"))
    return Band(value, min(low, value), max(high, value))


@dataclass(frozen=True)
class Measured:
    """What tells how right the model's risks are: its calibration on n rows, in words."""

    rows: str
    n: int
    calibration: Calibration


def measured_by(config: Config, snapshot: Snapshot, deployed: Deployed) -> Measured | None:
    """By the outcomes that came after the model's rows; while there are too few, by its score.

    None for a model that the newest outcomes chose, where the score is of older test rows or of
    the recipe without the recalibration: it would count what these outcomes have put right already,
    or hold the expectation in the world before (2,160 outcomes said 77 of 100 called leave, 450
    older test rows 45).
    """
    score, manifest = deployed.score, deployed.manifest
    late = _newest_outcomes(snapshot, manifest)
    if late.height >= config.least_outcomes:
        labels = late[snapshot.target].to_numpy().astype(np.int64)
        found = calibration(labels, deployed.model.probabilities(deployed.model.table(late)))
        if found["intercept"] and found["slope"]:
            return Measured("newest outcomes", late.height, found)
    chosen, recalibrated = "evaluation" in manifest, manifest.get("base_model") is not None
    if chosen and (recalibrated or score["basis"] == "test data"):
        return None
    return Measured("labelled rows", score["n"], score["calibration"])


def _newest_outcomes(snapshot: Snapshot, manifest: Manifest) -> pl.DataFrame:
    """The rows of the newest dates whose label the model was not made of."""
    known = snapshot.known
    then = DataVersion(manifest["data_version"], manifest["day"], manifest["horizon_days"], 0)
    late = known.filter(new_since(known, then))
    dates = late["_date"].unique().drop_nulls().sort().tail(RECENT)
    return late.filter(late["_date"].is_in(dates.implode())) if dates.len() else late


def caveats_of(
    found: Expected, *, outside: float, alarm: bool, past: int, measured: Measured | None
) -> list[str]:
    """Why the expectation may be wrong, each a clause for people; [] where nothing speaks so.

    outside: share of clients with a value outside the training range. alarm: labels have shown
    concept drift. past: evaluations that measured the drift.
    """
    spread = found.precision.high - found.precision.low if found.precision else 0.0
    before = amount(past, "evaluation")
    caveats = (
        (
            alarm,
            "who leaves depends on other things than before (drift alarm), which no risk shows",
        ),
        (
            outside > MANY_OUTSIDE,
            f"{100 * outside:.0f} % of the clients have a value outside the range of training",
        ),
        (found.n < FEW_CLIENTS, f"only {amount(found.n, 'client')}"),
        (
            past < FEW_EVALUATIONS,
            f"{before} so far measured how the share of leavers drifts from file to file",
        ),
        (spread > WIDE_BAND, "the band of the precision is so wide that it says little"),
    )
    return [words for holds, words in caveats if holds] + (_doubts(measured) if measured else [])


def _doubts(measured_on: Measured) -> list[str]:
    """What speaks against the risks' calibration or against how it was measured."""
    n, rows = measured_on.n, measured_on.rows
    few = f"the calibration was measured on {n:,} {rows} alone"
    words = [few] if n < FEW_ROWS else []
    intercept, slope = measured_on.calibration["intercept"], measured_on.calibration["slope"]
    if not (intercept and slope):
        return [*words, "the calibration of the risks could not be measured"]
    return words + [
        f"on the {rows} the risks were not calibrated ({name} {measured['value']:.2f}, "
        f"{low:.2f} to {high:.2f}, not {right:g}), which is reckoned with"
        for name, right, measured in (("intercept", 0.0, intercept), ("slope", 1.0, slope))
        for low, high in [measured["interval"]]
        if not low <= right <= high
    ]


def with_expectation(
    config: Config, listing: CallList, snapshot: Snapshot, deployed: Deployed
) -> CallList:
    """The list with what is expected of it: the measures with their bands, what speaks against
    them, both in words, and the same count and profit at its cut. A list without clients as it is.
    """
    if not listing.clients:
        return listing
    past, measured = past_shifts(config), measured_by(config, snapshot, deployed)
    risks, called = np.array(listing.column("risk")), np.array(listing.column("call"))
    line = calibration_line(measured.calibration if measured else None, past)
    found = expected_measures(risks, called, line)
    caveats = caveats_of(
        found,
        outside=_share_outside(listing),
        alarm=_concept_alarm(config, listing.model_version),
        past=len(past),
        measured=measured,
    )
    found = replace(found, caveats=tuple(caveats))
    found = replace(found, sentence=expected_words(found))
    return replace(listing, expected=found, cut=_cut_with(config, listing, found, line))


def _cut_with(config: Config, listing: CallList, found: Expected, line: CalibrationLine) -> Cut:
    """The list's cut with what the calls are expected to bring, by the risks on the line."""
    share = found.called / found.n
    cut = replace(
        listing.cut,
        expected_leavers=round(found.found.value, 4),
        expected_leavers_at_random=round(found.exits.value * share, 4),
    )
    money = economics_of(config)
    if money is None:
        return cut
    called = np.array(listing.column("call"), dtype=bool)
    log_odds = log_odds_of_risks(np.array(listing.column("risk")))
    values = client_values(listing.column("value"), config.client_value)
    profit = money.profit(expit(line.intercept + line.slope * log_odds), values)
    return replace(
        cut,
        expected_profit=round(float(profit[called].sum()), 4),
        expected_profit_at_random=round(float(profit.mean()) * found.called, 4),
    )


def past_shifts(config: Config) -> list[Shift]:
    """The calibration-in-the-large of each evaluation that measured it, the newest last."""
    try:
        past = entries(config, PAST_EVALUATIONS)
    except PipelineError:  # it is reported where decisions are shown
        return []
    measured = (entry.details.get("calibration_in_the_large") for entry in past)
    return [shift for shift in measured if shift]


def _share_outside(listing: CallList) -> float:
    """The share of clients who have a value outside the range of the training rows."""
    outside = [any(UNUSUAL in note for note in notes) for notes in listing.column("notes")]
    return sum(outside) / len(outside)


def _concept_alarm(config: Config, version: int) -> bool:
    """Whether the drift monitor has seen labels that the risks do not explain any more."""
    last = last_evaluation(config)
    # Labels that another model's risks do not explain say nothing of these.
    return last.model_version == version and any(row.kind in CONCEPT for row in last.alerts)

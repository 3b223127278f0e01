"""What a decision is: a verdict, what is done about it, the evidence, and each of them in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from risk.words import amount

if TYPE_CHECKING:
    from risk.data.snapshot import DataVersion
    from risk.drift.quality import DataQualityIssue
    from risk.model.model import Model

KEEP, WAIT, DEPLOY = "keep", "wait", "deploy"
# Nothing is judged while a person or an issue of the data pauses deployments.
PAUSED, DATA_ISSUE, BY_HAND = "paused", "data issue", "by hand"

# What is done. "roll back" is the revert of "certified": it makes the next promotion harder, where
# one of "fast" takes the switch before it away.
NONE, FIRST, RETRAIN, RECALIBRATE = "none", "first", "retrain", "recalibrate"
PROMOTE, SCHEDULED, SWITCH = "promote", "scheduled retrain", "switch"
REVERT, ROLL_BACK = "revert", "roll back"
NEW_BASE_MODELS = (PROMOTE, SCHEDULED, SWITCH)

_AGAIN = "an earlier model predicts better again"
# Each as people read it, and why another model took over; a verdict without an action is called by
# its own word.
_WORDS = {
    FIRST: ("first model", ""),
    RETRAIN: ("retrained", "it was trained anew"),
    RECALIBRATE: ("recalibrated", ""),
    PROMOTE: ("promoted", "it predicts better"),
    SCHEDULED: ("scheduled retrain", "it has learned from many more rows"),
    SWITCH: (
        "switched",
        "it has learned from the newest rows alone, and predicts these better",
    ),
    REVERT: ("reverted", _AGAIN),
    ROLL_BACK: ("rolled back", _AGAIN),
    "rollback by hand": ("rollback by hand", "somebody went back to it"),
    "deployment by hand": ("deployed by hand", "somebody deployed it"),
    "release hold": ("hold released", ""),
}


@dataclass(frozen=True)
class ChallengerEvidence:
    """What labelled rows say for one model against the deployed one.

    brier, brier_deployed: of both on the rows of this evaluation. rows_needed: about how many rows
    more until the e-value reaches the threshold, None without evidence for it so far. alone: the
    rows of this evaluation speak alone; else the e-value is of all since the last deployment.
    """

    name: str
    e_value: float
    threshold: float
    brier: float | None = None
    brier_deployed: float | None = None
    rows_needed: int | None = None
    alone: bool = False

    @property
    def is_reached(self) -> bool:
        return self.e_value >= self.threshold

    @property
    def gain(self) -> float:
        """How much lower its Brier score is on these rows."""
        return (self.brier_deployed or 0.0) - (self.brier or 0.0)


def leading(evidence: Iterable[ChallengerEvidence]) -> ChallengerEvidence | None:
    """The challenger that is nearest to its threshold."""
    return max(evidence, key=lambda one: one.e_value / one.threshold, default=None)


class Shift(TypedDict):
    """Calibration-in-the-large: the best shift of all log-odds, its standard error, of n rows."""

    intercept: float
    error: float
    n: int


class Details(TypedDict, total=False):
    """All else behind a decision; the plain policies have the two F1s alone."""

    f1_of_deployed: float | None
    f1_on_new_rows: float | None
    issues: list[dict[str, Any]]
    rows_since_deployment: int
    ranking_gain_at_most: float
    base_model: str
    recalibration: list[float]
    scores: list[float]
    forecasts_judged: int
    labelled_rows: int
    evaluations: int
    deployments: int
    refit_refused: str
    guards: list[str]
    alarm: str
    provisional: bool
    champion_sha256: str
    calibration_in_the_large: Shift
    auc_interval: list[float] | None


@dataclass(frozen=True)
class DecisionRecord:
    """One evaluation that had something to decide, as the history keeps it.

    key: the same evaluation recorded again, after a crash, replaces itself. data_version: the
    store's. rows, exits: the labelled rows judged. before: the deployed version.
    """

    key: str
    data_version: int
    policy: str
    verdict: str
    action: str
    reason: str
    rows: int
    exits: int
    before: int | None
    evidence: tuple[ChallengerEvidence, ...] = ()
    details: Details = field(default_factory=Details)


@dataclass(frozen=True)
class Decision:
    """The verdict, why, and whether the new rows have been judged by it (else they wait)."""

    verdict: str
    reason: str
    judged: bool


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation came to: the verdict, how far the data go, and what is to be deployed.

    model: to be deployed, None if nothing (or if it is still to be trained). record: for the
    history, None if there was nothing to decide. alarm: a sentence where the deployed model does
    worse than the base rate, else "". completes: this is an earlier evaluation, of a run that was
    cut off before all that it decided was done; rows that came since are still to be judged.
    issues: those that pause everything until the data are mended.
    """

    decision: Decision
    data_version: DataVersion
    model: Model | None = None
    record: DecisionRecord | None = None
    alarm: str = ""
    completes: bool = False
    issues: tuple[DataQualityIssue, ...] = ()


def word(record: DecisionRecord) -> str:
    """What was done, in a word or two: keep, wait, promoted, recalibrated, rollback by hand."""
    if record.action == NONE:
        return record.verdict
    return action_word(record.action) or record.action


def action_word(action: str) -> str:
    """What the action is called, "" for one that is none of ours."""
    return _WORDS.get(action, ("", ""))[0]


def sentence(record: DecisionRecord, after: int | None) -> str:
    """What became of the deployed model; after: the version deployed from then on, if any."""
    before = record.before
    if after is None and before is None:
        return "No model is deployed yet"
    if after is None:
        what = "; what was decided is not done yet" if record.verdict == DEPLOY else ""
        return f"Model {before} stays{what}"
    if before is None:
        return f"Model {after} is the first"
    if before == after:
        why = {PAUSED: ", paused by hand", DATA_ISSUE: ", paused by a data quality issue"}.get(
            record.verdict, ""
        )
        why = ", and its hold ends" if record.action == "release hold" else why
        if record.verdict == KEEP and record.evidence and record.rows:
            why = f": no other was clearly better on the {amount(record.rows, 'newest outcome')}"
        return f"Model {after} stays{why}"
    if record.action == RECALIBRATE:
        return (
            f"Model {before} was recalibrated: model {after} ranks the clients as model {before} "
            "does, its percentages moved"
        )
    _, why = _WORDS.get(record.action, ("", ""))
    return f"Model {after} took over from {before}: {why or 'it predicts better'}"

"""The plain policies "raw", "always" and "never": what is on disk, and a verdict with reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

from risk.config import Config, PipelineError
from risk.data import labels
from risk.data.holdout import Holdout
from risk.data.snapshot import DataVersion, Snapshot, new_since, refuse_other_features
from risk.decide.decision import (
    DATA_ISSUE,
    DEPLOY,
    FIRST,
    KEEP,
    NONE,
    PAUSED,
    RETRAIN,
    WAIT,
    Decision,
    DecisionRecord,
    Details,
    EvaluationResult,
)
from risk.drift.state import new_issues
from risk.model.deployed import Deployed
from risk.model.fit import refuse_too_few
from risk.model.measures import THRESHOLD, f1
from risk.records import to_record
from risk.words import amount


@dataclass(frozen=True)
class _Inputs:
    """What a run knows when it decides.

    deployed: the deployed version, None before the first.
    deployed_f1: its F1 on the test data as they are now.
    fresh_f1: its F1 on the new labelled rows, which it was neither trained nor judged on before;
    None where they hold no exit (F1 says nothing then). rows, exits: how many they are.
    unseen: labelled rows that it was not trained on.
    unlabelled: new rows whose label is not known, or not mature, yet.
    trainable: "" if training's minimum is met, else what is missing.
    """

    deployed: int | None
    paused: bool
    deployed_f1: float | None = None
    fresh_f1: float | None = None
    rows: int = 0
    exits: int = 0
    unseen: int = 0
    unlabelled: int = 0
    trainable: str = ""


def evaluate_plain(
    config: Config,
    table: Snapshot | None,
    deployed: Deployed | None,
    test: Holdout,
    judged: DataVersion,
    *,
    paused: bool,
) -> EvaluationResult:
    """The verdict of a policy that weighs no evidence, and of every first deployment.

    table: None before the first row. judged: where the data stood when a verdict was last given on
    them.
    """
    if table is None:
        folder = config.shown(config.input_folder)
        lack = f"no row was ingested yet; put CSV files with labelled rows into {folder}"
        known = _Inputs(None, paused, trainable=lack)
        data_version = DataVersion(0, str(labels.today()), config.horizon_days)
    else:
        known, data_version = _Inputs(None, paused, trainable=_lack(table)), table.version
        if deployed:
            refuse_other_features(config, deployed.model.columns)
            known = _about_deployed(known, table, deployed, test, judged)
    policy = config.policy if config.policy in ("raw", "always") else "never"
    decision = decide(policy, known)
    is_recorded = decision.verdict == DEPLOY or (known.rows and decision.judged)
    record = _record(config, known, data_version, decision) if is_recorded else None
    return EvaluationResult(decision, data_version, record=record)


def _record(
    config: Config, known: _Inputs, data_version: DataVersion, decision: Decision
) -> DecisionRecord:
    """The verdict for the history; the version deployed is known only afterwards."""
    deploys = decision.verdict == DEPLOY
    return DecisionRecord(
        key=f"evaluation {data_version.number} {data_version.day}",
        data_version=data_version.number,
        policy=config.policy,
        verdict=decision.verdict,
        action=(FIRST if known.deployed is None else RETRAIN) if deploys else NONE,
        reason=decision.reason,
        rows=known.rows,
        exits=known.exits,
        before=known.deployed,
        details=Details(f1_of_deployed=known.deployed_f1, f1_on_new_rows=known.fresh_f1),
    )


def decide(policy: str, known: _Inputs) -> Decision:
    """The verdict of the configured policy: "raw" (F1 fell), "always" or "never"."""
    if known.deployed is None:
        if known.trainable:
            return _waiting(WAIT, f"no model yet: {known.trainable}")
        return Decision(DEPLOY, "the first model: there was none to compare with", judged=True)
    if known.paused:
        return paused_by_hand(known.deployed)
    if policy == "never":
        return Decision(KEEP, 'the policy is "never"', judged=True)
    if policy == "raw" and known.rows:
        return _raw(known)
    if policy == "always" and known.unseen:
        if known.trainable:
            return _waiting(WAIT, known.trainable)
        what = amount(known.unseen, "new labelled row")
        return Decision(DEPLOY, f'{what}, and the policy is "always"', judged=True)
    if known.unlabelled:
        what = amount(known.unlabelled, "new row")
        why = f"{what} without a usable label yet; the deployed model is judged when labels come"
        return _waiting(WAIT, why)
    return Decision(KEEP, "no new labelled rows to judge by", judged=True)


def anew(config: Config, table: Snapshot, deployed: Deployed) -> EvaluationResult | None:
    """That a model is trained anew where the labels mean something else than those that the
    deployed one learned from: nothing that was judged so far says anything of it. Else None."""
    if deployed.model.lineage.get("labels", "given") == config.labels:
        return None
    lack = _lack(table)
    why = f'"labels" is {config.labels!r} now, so that the model is trained anew on labels made so'
    decision = _waiting(WAIT, lack) if lack else Decision(DEPLOY, why, judged=True)
    known = _Inputs(deployed.version, paused=False)
    record = None if lack else _record(config, known, table.version, decision)
    return EvaluationResult(decision, table.version, record=record)


def paused_by_hand(version: int) -> Decision:
    stays = f"version {version} was chosen by hand and stays"
    return _waiting(PAUSED, f"{stays}; deployment.py --release-hold ends that")


def data_pause(
    config: Config, table: Snapshot, deployed: Deployed, data_version: int
) -> EvaluationResult | None:
    """The evaluation where rows that came after that version cannot be what they say; else None."""
    found = new_issues(config, table, deployed, data_version)
    issues = tuple(one for one in found if one.holds)
    if not issues:
        return None
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    decision = _waiting(
        DATA_ISSUE,
        f"{issues[0].sentence}{more}; nothing is judged or deployed until the file is mended, or "
        "deployment.py --release-hold takes its values as they are",
    )
    known = _Inputs(deployed.version, paused=False)
    record = replace(
        _record(config, known, table.version, decision),
        key=f"data issue {table.version.number}",
        details=Details(issues=[to_record(one) for one in issues]),
    )
    return EvaluationResult(decision, table.version, record=record, issues=issues)


def _waiting(verdict: str, reason: str) -> Decision:
    """A verdict after which the new rows are still to be judged."""
    return Decision(verdict, reason, judged=False)


def _raw(known: _Inputs) -> Decision:
    what = amount(known.rows, "new labelled row")
    if known.fresh_f1 is None:
        why = "without an exit, so that F1 says nothing; judged together with the next ones"
        return _waiting(WAIT, f"{what} {why}")
    if known.deployed_f1 is None:
        raise ValueError("a deployed model without a score")
    better = known.fresh_f1 >= known.deployed_f1
    reason = (
        f"F1 {known.fresh_f1:.3f} on {what} ({amount(known.exits, 'exit')}) is "
        f"{'not below' if better else 'below'} the deployed model's {known.deployed_f1:.3f}"
    )
    if better:
        return Decision(KEEP, reason, judged=True)
    if known.trainable:
        return _waiting(WAIT, f"{reason}, but {known.trainable}")
    return Decision(DEPLOY, reason, judged=True)


def _lack(table: Snapshot) -> str:
    """What training's minimum still lacks, "" if it is met."""
    try:
        refuse_too_few(table.labels)
    except PipelineError as error:
        if table.status is not None and not table.labels.size:
            return "nobody's outcome is known yet; who leaves is told by the next month's file"
        return str(error)
    if all(table.known[column.name].n_unique() < 2 for column in table.schema.features):
        return "no feature has two different values in the labelled rows"
    return ""


def _about_deployed(
    known: _Inputs, table: Snapshot, deployed: Deployed, test: Holdout, judged: DataVersion
) -> _Inputs:
    """With how the deployed model does on labelled rows that are new to it."""
    model, trained = deployed.model, deployed.trained_at
    unseen = table.known.filter(new_since(table.known, trained))
    fresh = unseen.filter(new_since(unseen, judged) & ~unseen["_replaced"])
    left = fresh[table.target].to_numpy()
    risks = model.probabilities(model.table(fresh))
    exits, last = int((left == 1).sum()), max(trained.number, judged.number)
    late, labelled = ((rows["_data_version"] > last).sum() for rows in (table.rows, table.known))
    return replace(
        known,
        deployed=deployed.version,
        deployed_f1=_score_to_beat(deployed, test),
        unseen=unseen.height,
        fresh_f1=f1(left, (risks >= THRESHOLD).astype(int)) if exits else None,
        rows=fresh.height,
        exits=exits,
        unlabelled=int(late) - int(labelled),
    )


def _score_to_beat(deployed: Deployed, test: Holdout) -> float:
    """The deployed model's F1 on the test data as they are now: across other test data F1s do not
    compare. That of its deployment where there is no labelled test row any more."""
    now = test.rows(deployed.model.columns)
    rows, left = now.labelled()
    if now.sha256 == deployed.manifest["test_sha256"] or not left.size:
        return float(deployed.manifest["f1"])
    return f1(left, (deployed.model.probabilities(rows) >= THRESHOLD).astype(int))

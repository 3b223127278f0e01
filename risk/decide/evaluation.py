"""One run's evaluation: rows whose labels are new, by what was predicted of them; what to deploy.

Policies "fast" and "certified". All is computed from the committed state and the store alone, so
that a run cut off anywhere comes to the same verdict again, and no row is lost or counted twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from risk.config import Config
from risk.data.holdout import Holdout
from risk.data.snapshot import (
    DataVersion,
    Snapshot,
    feature_kinds,
    features_of,
    lineage_of,
    new_since,
    refuse_other_features,
)
from risk.decide.comparison import (
    Comparison,
    ComparisonResult,
    compare,
    folds_of,
    model_to_deploy,
    promote,
    refit,
    start_comparison,
)
from risk.decide.decision import (
    DEPLOY,
    KEEP,
    NEW_BASE_MODELS,
    NONE,
    RECALIBRATE,
    WAIT,
    Decision,
    DecisionRecord,
    EvaluationResult,
)
from risk.decide.evidence import RULE, Martingale, bet, calibration_in_the_large, risks
from risk.decide.evidence_file import MODEL_PREFIX
from risk.decide.forecasts import commit_state, digest_of, keep_forecasts, predicted_of
from risk.decide.judgement import rows_lacking
from risk.decide.policies import data_pause, paused_by_hand
from risk.decide.state import DecisionState, read_decision_state
from risk.model.candidates import Candidates, LabelledRows
from risk.model.deployed import Deployed
from risk.model.measures import ONE_SIDED, auc_interval, brier
from risk.model.model import Model, check_rows
from risk.model.pipelines import rows_of_frame
from risk.model.profile import PROFILE_ROWS, profile_of
from risk.model.sampling import sample_of
from risk.releases import base_version, next_version
from risk.words import amount

if TYPE_CHECKING:
    import polars as pl

EVIDENCE_POLICIES = ("fast", "certified")
# How many of the newest evaluations a model learned from, where not from all.
_LEARNED = {"newest rows": 1, "last file": 1, "last three files": 3}


def evaluate(
    config: Config,
    table: Snapshot,
    deployed: Deployed,
    test: Holdout,
    *,
    paused: bool,
    commit: bool = True,
) -> EvaluationResult:
    """One evaluation. commit=False: the verdict alone, nothing is written."""
    refuse_other_features(config, deployed.model.columns)
    if paused:
        return EvaluationResult(paused_by_hand(deployed.version), table.version)
    state = _current_state(config, table, deployed)
    if state.due is not None:  # the last evaluation, with what is not deployed of it yet
        record = state.record
        assert record is not None  # an evaluation that is due has one
        is_due = state.due != NONE and deployed.manifest.get("evaluation") != state.evaluation
        model = _to_deploy(table, state) if is_due else None
        return _result(table, record, model, completes=True)
    pause = data_pause(config, table, deployed, state.data_versions[-1].number)
    return pause or _Evaluation(config, table, deployed, state).judge(test, commit=commit)


def _result(
    table: Snapshot, record: DecisionRecord, model: Model | None, *, completes: bool = False
) -> EvaluationResult:
    verdict, alarm = Decision(record.verdict, record.reason, judged=True), record.details["alarm"]
    return EvaluationResult(verdict, table.version, model, record, alarm, completes)


def _current_state(config: Config, table: Snapshot, deployed: Deployed) -> DecisionState:
    """The state on disk; a new one where somebody else has deployed, or the settings are others."""
    state = read_decision_state(config)
    if state is None:
        return _new_state(config, table, deployed, {}, ())
    last = deployed.manifest.get("evaluation")
    ours = deployed.version == state.release or last == state.evaluation
    same = state.comparison.policy == config.policy and state.recipe == config.model
    # A store that was deleted and filled again counts its runs from the deployed model's.
    same_store = state.data_versions[-1].number <= table.version.number
    if ours and same_store and (same or state.due is not None):
        return state
    former = dict(state.comparison.former)
    if not ours:
        former = {state.comparison.name: state.comparison.champion} | former
    judged = state.data_versions[-1:] if same_store else ()
    new = _new_state(config, table, deployed, former, judged)
    return new if not ours else replace(new, proven=state.proven)


def _new_state(
    config: Config,
    table: Snapshot,
    deployed: Deployed,
    former: dict[str, Model],
    judged: tuple[DataVersion, ...],
) -> DecisionState:
    """The evidence begun anew about the deployed model, on rows that are not bet on any more.

    Those are the rows that it was trained on, and the rows up to the last evaluation, if any: the
    former champions may have been trained on them.
    """
    model, version = deployed.model, deployed.version
    start = max((deployed.trained_at, *judged), key=lambda one: (one.number, one.day))
    rows = table.known.filter(~new_since(table.known, start))
    if not rows.height:  # those of its training are no longer in the store
        rows, start = table.known, table.version
    candidates = _candidates(config, table, rows, (start,))
    name = f"{MODEL_PREFIX}{base_version(deployed.manifest)}"
    alike = [
        (key, one) for key, one in former.items() if key != name and one.columns == model.columns
    ]
    kept = dict(alike[: RULE.former if config.policy == "fast" else 1])
    return DecisionState(
        evaluation=f"start {version} {config.policy} {config.model}",
        comparison=start_comparison(config.policy, model, name, candidates, kept),
        release=version,
        recipe=config.model,
        data_versions=(start,),
        since=start,
        base_rate=model.lineage.get("base_rate") or 0.5,
    )


def _candidates(
    config: Config, table: Snapshot, rows: pl.DataFrame, data_versions: tuple[DataVersion, ...]
) -> Candidates:
    """The candidate models of these labelled rows."""
    columns, labels = feature_kinds(table.schema), rows[table.target].to_numpy().astype(np.int64)
    features, clients = features_of(rows, columns), rows[table.client].to_numpy()
    ages = _ages_of(rows, labels, data_versions)
    return Candidates(LabelledRows(config.model, columns, features, labels, clients, ages))


def _ages_of(
    rows: pl.DataFrame, labels: np.ndarray, data_versions: tuple[DataVersion, ...]
) -> np.ndarray:
    """How many evaluations ago each row's label became usable, 0 the newest. Shape (n,).

    The rows of the first evaluation are aged by their dates, so that a past that was loaded in one
    go counts as the files that it came in.
    """
    at = np.full(rows.height, len(data_versions), dtype=np.int64)
    for number in range(len(data_versions) - 1, -1, -1):
        at[~new_since(rows, data_versions[number]).to_numpy()] = number
    ages = int(at.max(initial=0)) - at
    first = np.flatnonzero(at == 0)
    ages[first] += _ages_by_date(rows["_date"].gather(first), labels[first])
    return ages


def _ages_by_date(dates: pl.Series, labels: np.ndarray) -> np.ndarray:
    """0 for the newest date, 1 for the next, dates with too few rows joined. Shape (n,)."""
    if dates.null_count() or not labels.size:
        return np.zeros(labels.size, dtype=np.int64)
    days = dates.to_physical().to_numpy()
    ages, age, rows, exits = np.zeros(labels.size, dtype=np.int64), 0, 0, 0
    for day in np.unique(days)[::-1]:
        of_day = days == day
        ages[of_day] = age
        rows, exits = rows + int(of_day.sum()), exits + int(labels[of_day].sum())
        if not rows_lacking(rows, exits):
            age, rows, exits = age + 1, 0, 0
    return ages


def start_evidence(config: Config, table: Snapshot, deployed: Deployed) -> None:
    """Begin the evidence about a model that was just deployed, and forecast the waiting rows."""
    state = read_decision_state(config)
    if state is None or deployed.manifest.get("evaluation") != state.evaluation:
        keep_forecasts(config, table, _current_state(config, table, deployed))


@dataclass(frozen=True)
class _Evaluation:
    """One evaluation of the deployed model, from the state that the last one left."""

    config: Config
    table: Snapshot
    deployed: Deployed
    state: DecisionState

    def judge(self, test: Holdout, *, commit: bool) -> EvaluationResult:
        """The labels that are new, judged by what was predicted, and what the verdict asks for."""
        config, table, state = self.config, self.table, self.state
        fresh = self._fresh_rows()
        labels = table.labels[fresh]
        lack = rows_lacking(labels.size, int(labels.sum()))
        if lack:
            if commit:
                keep_forecasts(config, table, state)
            return EvaluationResult(self._waiting(labels.size, lack), table.version)
        predicted, kept = predicted_of(config, table, state, fresh)
        data_versions = (*state.data_versions, table.version)
        # After predicted_of(): these have learned from the very rows that are judged here.
        candidates = _candidates(config, table, table.known, data_versions)
        outcome = compare(state.comparison, candidates, fresh, predicted)
        outcome, refused = _guard(state, outcome, candidates, fresh, test)
        after = self._state_after(outcome, candidates)
        after, alarm = self._against_base_rate(after, labels, risks(predicted["deployed"]))
        record = self._record(after, outcome, labels, refused, alarm)
        record.details["forecasts_judged"] = kept
        shift = calibration_in_the_large(risks(predicted["deployed"]), labels)
        record.details["calibration_in_the_large"] = shift
        record.details["auc_interval"] = auc_interval(labels, outcome.out_of_sample)
        after = replace(after, record=record)
        if commit:
            after = commit_state(config, table, state, after)
        model = _to_deploy(table, after) if outcome.model is not None else None
        return _result(table, record, model)

    def _fresh_rows(self) -> np.ndarray:
        """The labelled rows to be bet on, by their places among the labelled: new, and one of a
        client and date that no evaluation has seen. Undated ones: one of a client for each
        champion."""
        import polars as pl

        table, last = self.table, self.state.data_versions[-1]
        known, pair = table.known.with_row_index("_at"), [table.client, "_date"]
        late = new_since(table.known, last)
        new = known.filter(late & ~table.known["_replaced"]).unique(pair, keep="first")
        dated = pl.col("_date").is_not_null()
        seen = known.filter(~late, dated | pl.lit(new_since(table.known, self.state.since)))
        new = new.join(seen.select(pair), on=pair, how="anti", nulls_equal=True)
        return new["_at"].sort().to_numpy().astype(np.int64)

    def _waiting(self, rows: int, lack: str) -> Decision:
        """The verdict where the rows are too few to be evidence."""
        if rows:
            what = amount(rows, "labelled row")
            return Decision(WAIT, f"{what} not judged yet, evidence needs {lack}", judged=False)
        late = self.table.rows["_data_version"] > self.state.data_versions[-1].number
        unlabelled = int((~self.table.usable & late).sum())
        if unlabelled:
            what = amount(unlabelled, "new row")
            why = f"{what} without a label to judge by; judged when labels come"
            return Decision(WAIT, why, judged=False)
        return Decision(KEEP, "no new labelled rows to judge by", judged=True)

    def _state_after(self, outcome: ComparisonResult, candidates: Candidates) -> DecisionState:
        """The state after the evaluation, before its forecasts."""
        comparison, version = outcome.comparison, self.table.version
        is_new = outcome.action not in (NONE, RECALIBRATE)
        if is_new and not comparison.champion.checks:  # a former champion has been described
            comparison = replace(comparison, champion=self._described(outcome, candidates.known))
        if outcome.action in NEW_BASE_MODELS:
            comparison = replace(comparison, name=f"{MODEL_PREFIX}{next_version(self.config)}")
        return replace(
            self.state,
            evaluation=f"{version.number} {version.day} {version.horizon_days}",
            comparison=comparison,
            release=self.deployed.version,
            data_versions=(*self.state.data_versions, version),
            since=version if is_new else self.state.since,
            due=outcome.action,
        )

    def _described(self, outcome: ComparisonResult, known: LabelledRows) -> Model:
        """The new champion with its lineage, and what is usual in the rows it was trained on."""
        champion, ages = outcome.comparison.champion, known.ages
        newest = int(champion is outcome.judged)  # it was there before these rows
        evaluations = _LEARNED.get(outcome.judgement.target, int(ages.max(initial=0)) + 1)
        learned = np.flatnonzero((ages >= newest) & (ages < newest + evaluations))
        learned = learned if learned.size else np.arange(ages.size)
        few = learned[sample_of(learned.size, PROFILE_ROWS)]
        rows = rows_of_frame(known.features.iloc[few], known.columns)
        return replace(
            champion,
            columns=known.columns,
            lineage=dict(lineage_of(self.config, self.table, self.table.known[learned])),
            profile=profile_of(rows, known.columns),
            checks=check_rows(rows),
        )

    def _against_base_rate(
        self, after: DecisionState, labels: np.ndarray, p: np.ndarray
    ) -> tuple[DecisionState, str]:
        """The state with the champion's martingale against the base rate; a sentence if it is
        worse."""
        before = self.state
        base = np.full(labels.size, np.clip(before.base_rate, 1e-6, 1 - 1e-6))
        better, worse = bet(before.better, labels, base, p), bet(before.worse, labels, p, base)
        threshold, alarm = math.log(1 / RULE.alpha), ""
        proven = before.proven or better.log_e_value >= threshold
        if worse.log_e_value >= threshold:
            alarm = (
                f"alarm: {before.comparison.name} does worse than the share of exits alone (Brier "
                f"{brier(labels, p):.3f} against {brier(labels, base):.3f} on the new rows)"
            )
        if after.due not in (NONE, RECALIBRATE):
            rate = after.comparison.champion.lineage.get("base_rate") or before.base_rate
            # Another champion has still to prove itself.
            better, worse, after = Martingale(), Martingale(), replace(after, base_rate=rate)
        return replace(after, better=better, worse=worse, proven=proven), alarm

    def _record(
        self,
        after: DecisionState,
        outcome: ComparisonResult,
        labels: np.ndarray,
        refused: str,
        alarm: str,
    ) -> DecisionRecord:
        """The evaluation for the history; the version deployed is known only afterwards."""
        comparison, judgement, exits = after.comparison, outcome.judgement, int(labels.sum())
        guards = [  # what could have blocked the evaluation, for a person
            f"{labels.size:,} new labelled rows ({RULE.least_rows} needed), {exits:,} exits and "
            f"{labels.size - exits:,} stays ({RULE.least_class} of each needed)",
            "ranking: the challenger's AUC is above the deployed one's by at most "
            f"{judgement.details['ranking_gain_at_most']:.3f}",
        ]
        return DecisionRecord(
            key=f"evaluation {after.evaluation}",
            data_version=self.table.version.number,
            policy=self.config.policy,
            verdict=KEEP if outcome.action in (NONE, RECALIBRATE) else DEPLOY,
            action=outcome.action,
            reason="; ".join(filter(None, [judgement.reason, refused, alarm])),
            rows=int(labels.size),
            exits=exits,
            before=after.release,
            evidence=judgement.evidence,
            details={
                **judgement.details,
                "base_model": self.state.comparison.name,
                "recalibration": list(comparison.recalibration),
                "scores": list(comparison.counters.candidate_scores),
                "labelled_rows": comparison.counters.rows,
                "evaluations": comparison.counters.evaluations,
                "deployments": comparison.counters.deployments,
                "refit_refused": refused,
                "guards": [*guards, *filter(None, [refused])],
                "alarm": alarm,
                "provisional": not after.proven,
                "champion_sha256": digest_of(comparison.champion),
            },
        )


def _guard(
    state: DecisionState,
    outcome: ComparisonResult,
    candidates: Candidates,
    fresh: np.ndarray,
    test: Holdout,
) -> tuple[ComparisonResult, str]:
    """The outcome, with the judged model in the refit's place where the refit is refused, and why.

    The refit may not do worse than the champion on the test data, by 95 % confidence. Test data
    can be older than a change that the new rows show: where the refit is better on these, judged
    out of fold, with the same confidence, they speak last. Without test data they speak alone.
    """
    if outcome.model is None or outcome.judged is None:
        return outcome, ""
    champion, refit = state.comparison.deployed, outcome.comparison.deployed
    rows, labels = test.rows(champion.columns).labelled()
    worse = labels.size and _is_worse(
        labels, champion.probabilities(rows), refit.probabilities(rows)
    )
    if labels.size and not worse:
        return outcome, ""
    y, p, q = _out_of_fold(state.comparison, outcome, candidates, fresh)
    if _is_worse(y, q, p) if worse else not _is_worse(y, p, q):
        return outcome, ""
    where = "the test data" if worse else "new rows out of fold"
    new = promote(outcome.refit, outcome.judged, outcome.judgement, candidates, RULE)
    return replace(outcome, comparison=new, model=new.deployed), (
        f"the refit does worse than the deployed model on {where}, so that the model that was "
        "judged is deployed instead"
    )


def _is_worse(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> bool:
    """Whether q's Brier score is above p's with 95 % confidence, one-sided."""
    d = (q - y) ** 2 - (p - y) ** 2
    error = float(d.std(ddof=1)) / math.sqrt(d.size) if d.size > 1 else math.inf
    return bool(d.mean() - ONE_SIDED * error > 0)


def _out_of_fold(
    comparison: Comparison, outcome: ComparisonResult, candidates: Candidates, fresh: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, the champion's risks, the refit's risks where it did not see the row's fold)."""
    known = candidates.known
    y, folds = known.labels[fresh], folds_of(known.clients[fresh])
    raw = known.rows(fresh)
    p, q = risks(comparison.deployed.log_odds_of(raw, fresh.size)), np.zeros(fresh.size)
    for fold in (0, 1):
        asked = fresh[folds == fold]
        others = Candidates(known.part(np.setdiff1d(np.arange(known.labels.size), asked)))
        scored = replace(comparison, counters=outcome.refit.counters)
        best, _ = model_to_deploy(
            refit(scored, others, RULE), comparison, outcome.judgement, others
        )
        q[folds == fold] = risks(best.log_odds_of(known.rows(asked), asked.size))
    return y, p, q


def _to_deploy(table: Snapshot, state: DecisionState) -> Model:
    """The model that the state's last evaluation has to deploy, with the lineage of its release."""
    comparison, action, version = state.comparison, state.due, state.data_versions[-1]
    lineage = {
        # The release holds the rows as they are now; the models know those up to their evaluation.
        "data_sha256": table.sha256,
        "data_version": version.number,
        "day": version.day,
        "horizon_days": version.horizon_days,
        "evaluation": state.evaluation,
        "action": action,
        "recalibration": dict(zip(("intercept", "slope"), comparison.recalibration, strict=True)),
        "base_model": None if action in NEW_BASE_MODELS else state.base_model,
    }
    return replace(comparison.deployed, lineage=comparison.champion.lineage | lineage)

"""One tick's look: rows whose labels are new, judged by what was said of them; what to deploy.

Policies "fast" and "certified". All is computed from the committed book and the store alone, so
that a run cut off anywhere comes to the same verdict again, and no bet is lost or counted twice.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from risk.config import Config
from risk.data.holdout import Holdout
from risk.data.schema import Schema
from risk.data.snapshot import (
    DataVersion,
    Snapshot,
    feature_kinds,
    lineage_of,
    new_since,
    pandas_of,
    refuse_other_features,
)
from risk.decide.comparison import (
    Comparison,
    ComparisonResult,
    Forecasts,
    compare,
    folds_of,
    forecast,
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
from risk.decide.evidence import (
    RULE,
    Judgement,
    Martingale,
    betting_scores,
    calibration_in_the_large,
    risks,
    rows_lacking,
)
from risk.decide.policies import data_pause, paused_by_hand
from risk.decide.state import (
    MODEL_PREFIX,
    DecisionState,
    read_decision_state,
    read_forecasts,
    write_decision_state,
)
from risk.drift.release import model_inputs
from risk.files import sha256
from risk.model.candidates import Candidates, LabelledRows
from risk.model.deployed import Deployed
from risk.model.measures import ONE_SIDED, auc_interval, brier
from risk.model.model import Model, check_rows
from risk.model.pipelines import rows_of_frame
from risk.model.profile import PROFILE_ROWS, profile_of
from risk.model.sampling import sample_of
from risk.releases import Manifest, next_version
from risk.words import amount

if TYPE_CHECKING:
    import polars as pl

EVIDENCE_POLICIES = ("fast", "certified")
# How many of the newest looks a model learned from, where not from all.
LEARNED = {"newest rows": 1, "last file": 1, "last three files": 3}


def evaluate(
    config: Config,
    table: Snapshot,
    deployed: Deployed,
    test: Holdout,
    *,
    held: bool,
    commit: bool = True,
) -> EvaluationResult:
    """One look. commit=False: the verdict alone, nothing is written."""
    model, manifest = deployed.model, deployed.manifest
    refuse_other_features(config, model.columns)
    if held:
        return EvaluationResult(paused_by_hand(manifest["version"]), table.version)
    book = _current_state(config, table, model, manifest)
    if book.due is not None:
        return _complete(config, table, book, manifest)
    fault = data_pause(config, table, deployed, book.stands[-1].number)
    if fault is not None:
        return fault
    return _judge(config, table, book, manifest, test, commit=commit)


def _complete(
    config: Config, table: Snapshot, book: DecisionState, manifest: Manifest
) -> EvaluationResult:
    """The book's last look, with what is not deployed of it yet."""
    record, decided = book.record, book.due != NONE and manifest.get("evaluation") != book.look
    assert record is not None  # an evaluation that is due has one
    verdict = Decision(record.verdict, record.reason, judged=True)
    model = _to_deploy(table, book) if decided else None
    alarm = record.details["alarm"]
    return EvaluationResult(verdict, table.version, model, record, alarm, completes=True)


def _current_state(
    config: Config, table: Snapshot, model: Model, manifest: Manifest
) -> DecisionState:
    """The book on disk; a new one where somebody else has deployed, or the settings are others."""
    book = read_decision_state(config)
    if book is None:
        return _new_state(config, table, model, manifest, {}, ())
    ours = manifest["version"] == book.release or manifest.get("evaluation") == book.look
    same = book.contest.policy == config.policy and book.recipe == config.model
    # A store that was deleted and filled again counts its ticks from the deployed model's.
    same_store = book.stands[-1].number <= table.version.number
    if ours and same_store and (same or book.due is not None):
        return book
    former = dict(book.contest.former)
    if not ours:
        former = {book.contest.name: book.contest.champion} | former
    judged = book.stands[-1:] if same_store else ()
    new = _new_state(config, table, model, manifest, former, judged)
    return new if not ours else replace(new, proven=book.proven)


def _new_state(
    config: Config,
    table: Snapshot,
    model: Model,
    manifest: Manifest,
    former: dict[str, Model],
    judged: tuple[DataVersion, ...],
) -> DecisionState:
    """The evidence begun anew about the deployed model, on rows that are not bet on any more.

    Those are the rows that it was trained on, and the rows up to the last look, if any: the former
    champions may have been trained on them.
    """
    trained = DataVersion(manifest["data_version"], manifest["day"], manifest["horizon_days"])
    start = max((trained, *judged), key=lambda stand: (stand.number, stand.day))
    rows = table.known.filter(~new_since(table.known, start))
    if not rows.height:
        rows, start = table.known, table.version
    experts = Candidates(_known_of(config, rows, table.schema, (start,)))
    name = f"{MODEL_PREFIX}{manifest.get('base_model') or manifest['version']}"
    alike = {
        key: kept for key, kept in former.items() if key != name and kept.columns == model.columns
    }
    kept = dict(list(alike.items())[: RULE.former if config.policy == "fast" else 1])
    contest = start_comparison(config.policy, model, name, experts, kept)
    return DecisionState(
        look=f"start {manifest['version']} {config.policy} {config.model}",
        contest=contest,
        release=manifest["version"],
        recipe=config.model,
        stands=(start,),
        since=start,
        base_rate=model.lineage.get("base_rate") or 0.5,
    )


def _known_of(
    config: Config, rows: pl.DataFrame, schema: Schema, stands: tuple[DataVersion, ...]
) -> LabelledRows:
    """Labelled rows as the experts take them."""
    columns = feature_kinds(schema)
    labels = rows[schema.named("target")].to_numpy().astype(np.int64)
    return LabelledRows(
        config.model,
        columns,
        pandas_of(rows.select(list(columns))),
        labels,
        rows[schema.named("id")].to_numpy(),
        _ages_of(rows, labels, stands),
    )


def _ages_of(rows: pl.DataFrame, labels: np.ndarray, stands: tuple[DataVersion, ...]) -> np.ndarray:
    """How many looks ago each row's label became usable, 0 the newest. Shape (n,).

    The rows of the first look are aged by their dates, so that a past that was loaded in one go
    counts as the files that it came in.
    """
    at = np.full(rows.height, len(stands), dtype=np.int64)
    for number in range(len(stands) - 1, -1, -1):
        at[~new_since(rows, stands[number]).to_numpy()] = number
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


# ---------------------------------------------------------------- the look


def _judge(
    config: Config,
    table: Snapshot,
    book: DecisionState,
    manifest: Manifest,
    test: Holdout,
    *,
    commit: bool,
) -> EvaluationResult:
    fresh = _fresh_rows(table, book)
    labels = table.labels[fresh]
    lack = rows_lacking(labels.size, int(labels.sum()))
    if lack:
        if commit:
            _keep_forecasts(config, table, book)
        return EvaluationResult(_waiting(table, book, labels.size, lack), table.version)
    said, told = _predicted(config, table, book, fresh)
    stands = (*book.stands, table.version)
    experts = Candidates(_known_of(config, table.known, table.schema, stands))
    outcome = compare(book.contest, experts, fresh, said)
    outcome, refused = _guard(book, outcome, experts, fresh, test)
    after = _state_after(config, table, book, outcome, experts, manifest)
    after, alarm = _against_base_rate(after, book, labels, said["served"], outcome.action)
    record = _record(config, book, after, outcome, labels, refused, told, alarm)
    shift = calibration_in_the_large(risks(said["served"]), labels)
    record.details["calibration_in_the_large"] = shift
    record.details["auc_interval"] = auc_interval(labels, outcome.seen)
    after = replace(after, record=record)
    if commit:
        after = write_decision_state(config, *_with_forecasts(config, table, book, after))
    model = _to_deploy(table, after) if outcome.model is not None else None
    decision = Decision(record.verdict, record.reason, judged=True)
    return EvaluationResult(decision, table.version, model, record, alarm)


def _fresh_rows(table: Snapshot, book: DecisionState) -> np.ndarray:
    """The labelled rows to be bet on, by their places among the labelled: new, and one of a client
    and date that no look has seen. Undated ones: one of a client for each champion."""
    import polars as pl

    known, pair = table.known.with_row_index("_at"), [table.client, "_date"]
    late = new_since(table.known, book.stands[-1])
    new = known.filter(late & ~table.known["_replaced"]).unique(pair, keep="first")
    dated = pl.col("_date").is_not_null()
    seen = known.filter(~late, dated | pl.lit(new_since(table.known, book.since)))
    new = new.join(seen.select(pair), on=pair, how="anti", nulls_equal=True)
    return new["_at"].sort().to_numpy().astype(np.int64)


def _waiting(table: Snapshot, book: DecisionState, rows: int, lack: str) -> Decision:
    """The verdict where the rows are too few to be evidence."""
    if rows:
        what = amount(rows, "labelled row")
        return Decision(WAIT, f"{what} not judged yet, evidence needs {lack}", judged=False)
    unlabelled = int((~table.usable & (table.rows["_data_version"] > book.stands[-1].number)).sum())
    if unlabelled:
        what = amount(unlabelled, "new row")
        why = f"{what} without a label to judge by; judged when labels come"
        return Decision(WAIT, why, judged=False)
    return Decision(KEEP, "no new labelled rows to judge by", judged=True)


def _predicted(
    config: Config, table: Snapshot, book: DecisionState, fresh: np.ndarray
) -> tuple[Forecasts, int]:
    """(what the models said of the rows before their labels were known, of how many it was kept).

    The kept forecasts where the row came without its label and the champion is still the same;
    else what the models of the last look say now: they too were fixed before the labels came.
    """
    rows = table.known[fresh]
    said = forecast(book.contest, model_inputs(rows, book.contest.champion), fresh.size)
    kept = read_forecasts(config, book)
    at, place = _matched(rows, table.client, kept, _digest(book.contest.champion))
    for name in said.keys() & set(kept.columns):
        then = kept[name].gather(place).to_numpy()
        told = np.isfinite(then)
        said[name][at[told]] = then[told]
    return said, int(at.size)


def _matched(
    rows: pl.DataFrame, client: str, kept: pl.DataFrame, champion: str
) -> tuple[np.ndarray, np.ndarray]:
    """(places of rows, places of their forecasts under this champion).

    A row's forecast is that of the same client and date; of undated ones the client's earliest.
    """
    import polars as pl

    ours = kept.with_row_index("_place").filter(pl.col("champion") == champion)
    ours = ours.unique(["_client", "_date"], keep="first", maintain_order=True)
    wanted = rows.select(pl.col(client).cast(pl.String).alias("_client"), "_date", "_data_version")
    found = wanted.with_row_index("_at").join(
        ours.select("_client", "_date", "_place", pl.col("_data_version").alias("_told")),
        on=["_client", "_date"],
        nulls_equal=True,
    )
    found = found.filter(
        pl.col("_date").is_not_null() | (pl.col("_told") < pl.col("_data_version"))
    )
    return tuple(found[name].to_numpy().astype(np.int64) for name in ("_at", "_place"))  # type: ignore[return-value]


# ---------------------------------------------------------------- the guard on the refit


def _guard(
    book: DecisionState,
    outcome: ComparisonResult,
    experts: Candidates,
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
    champion, refit = book.contest.served, outcome.contest.served
    rows, labels = test.rows(champion.columns).labelled()
    worse = labels.size and _is_worse(
        labels, champion.probabilities(rows), refit.probabilities(rows)
    )
    if labels.size and not worse:
        return outcome, ""
    y, p, q = _out_of_fold(book.contest, outcome, experts, fresh)
    if _is_worse(y, q, p) if worse else not _is_worse(y, p, q):
        return outcome, ""
    where = "the test data" if worse else "new rows out of fold"
    new = promote(outcome.refitted, outcome.judged, outcome.judgement, experts, RULE)
    return replace(outcome, contest=new, model=new.served), (
        f"the refit does worse than the deployed model on {where}, so that the model that was "
        "judged is deployed instead"
    )


def _is_worse(y: np.ndarray, p: np.ndarray, q: np.ndarray) -> bool:
    """Whether q's Brier score is above p's with 95 % confidence, one-sided."""
    d = (q - y) ** 2 - (p - y) ** 2
    error = float(d.std(ddof=1)) / math.sqrt(d.size) if d.size > 1 else math.inf
    return bool(d.mean() - ONE_SIDED * error > 0)


def _out_of_fold(
    contest: Comparison, outcome: ComparisonResult, experts: Candidates, fresh: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, the champion's risks, the refit's risks where it did not see the row's half)."""
    known = experts.known
    y, halves = known.labels[fresh], folds_of(known.clients[fresh])
    raw = known.rows(fresh)
    p, q = risks(contest.served.log_odds_of(raw, fresh.size)), np.zeros(fresh.size)
    for half in (0, 1):
        asked = fresh[halves == half]
        seen = np.setdiff1d(np.arange(known.labels.size), asked)
        others = Candidates(known.part(seen))
        scored = replace(contest, standing=outcome.refitted.standing)
        best, _ = model_to_deploy(refit(scored, others, RULE), contest, outcome.judgement, others)
        q[halves == half] = risks(best.log_odds_of(known.rows(asked), asked.size))
    return y, p, q


# ---------------------------------------------------------------- what the look leaves


def _state_after(
    config: Config,
    table: Snapshot,
    book: DecisionState,
    outcome: ComparisonResult,
    experts: Candidates,
    manifest: Manifest,
) -> DecisionState:
    """The book after the look, before its forecasts."""
    contest, stand = outcome.contest, table.version
    crown = outcome.action not in (NONE, RECALIBRATE)
    if crown and not contest.champion.checks:
        learned = _learned_from(outcome, experts.known.ages)
        champion = _described(config, contest.champion, experts, table, learned)
        contest = replace(contest, champion=champion)
    if outcome.action in NEW_BASE_MODELS:
        contest = replace(contest, name=f"{MODEL_PREFIX}{next_version(config)}")
    return replace(
        book,
        look=f"{stand.number} {stand.day} {stand.horizon_days}",
        contest=contest,
        release=manifest["version"],
        stands=(*book.stands, stand),
        since=stand if crown else book.since,
        due=outcome.action,
    )


def _learned_from(outcome: ComparisonResult, ages: np.ndarray) -> np.ndarray:
    """The rows that the new champion was trained on, by their places among the labelled."""
    newest = int(outcome.contest.champion is outcome.judged)  # it was there before these rows
    looks = LEARNED.get(outcome.judgement.target, int(ages.max(initial=0)) + 1)
    found = np.flatnonzero((ages >= newest) & (ages < newest + looks))
    return found if found.size else np.arange(ages.size)


def _described(
    config: Config, model: Model, experts: Candidates, table: Snapshot, chosen: np.ndarray
) -> Model:
    """The model with its lineage, and what is usual in the rows that it was trained on.

    chosen: those rows, by their places among the labelled.
    """
    known = experts.known
    few = chosen[sample_of(chosen.size, PROFILE_ROWS)]
    rows = rows_of_frame(known.features.iloc[few], known.columns)
    used = table.known[chosen]
    return replace(
        model,
        columns=known.columns,
        lineage=lineage_of(config, table, used),
        profile=profile_of(rows, known.columns),
        checks=check_rows(rows),
    )


def _to_deploy(table: Snapshot, book: DecisionState) -> Model:
    """The model that the book's last look has to deploy, with the lineage of its release."""
    contest, action, stand = book.contest, book.due, book.stands[-1]
    lineage = {
        # The release holds the rows as they are now; the models know those up to their look.
        "data_sha256": table.sha256,
        "data_version": stand.number,
        "day": stand.day,
        "horizon_days": stand.horizon_days,
        "evaluation": book.look,
        "action": action,
        "recalibration": {"intercept": contest.layer[0], "slope": contest.layer[1]},
        "base_model": None if action in NEW_BASE_MODELS else book.ranking,
    }
    return replace(contest.served, lineage=contest.champion.lineage | lineage)


def _against_base_rate(
    after: DecisionState, before: DecisionState, labels: np.ndarray, served: np.ndarray, action: str
) -> tuple[DecisionState, str]:
    """The book with the champion's bets against the base rate; a sentence if it loses them."""
    p, base = risks(served), np.full(labels.size, np.clip(before.base_rate, 1e-6, 1 - 1e-6))
    d = (base - labels) ** 2 - (p - labels) ** 2
    better = before.better.plus(betting_scores(labels, base, p), d)
    worse = before.worse.plus(betting_scores(labels, p, base), -d)
    limit = math.log(1 / RULE.alpha)
    proven = before.proven or better.log_evidence >= limit
    alarm = ""
    if worse.log_evidence >= limit:
        alarm = (
            f"alarm: {before.contest.name} does worse than the share of exits alone (Brier "
            f"{brier(labels, p):.3f} against {brier(labels, base):.3f} on the new rows)"
        )
    if action not in (NONE, RECALIBRATE):
        rate = after.contest.champion.lineage.get("base_rate") or before.base_rate
        return replace(
            after, better=Martingale(), worse=Martingale(), base_rate=rate, proven=proven
        ), alarm
    return replace(after, better=better, worse=worse, proven=proven), alarm


def _record(
    config: Config,
    book: DecisionState,
    after: DecisionState,
    outcome: ComparisonResult,
    labels: np.ndarray,
    refused: str,
    told: int,
    alarm: str,
) -> DecisionRecord:
    """The evaluation for the history; the version deployed is known only afterwards."""
    contest = after.contest
    return DecisionRecord(
        key=f"evaluation {after.look}",
        data_version=after.stands[-1].number,
        policy=config.policy,
        verdict=KEEP if outcome.action in (NONE, RECALIBRATE) else DEPLOY,
        action=outcome.action,
        reason="; ".join(filter(None, [outcome.judgement.reason, refused, alarm])),
        rows=int(labels.size),
        exits=int(labels.sum()),
        before=after.release,
        evidence=outcome.judgement.evidence,
        details={
            **outcome.judgement.details,
            "base_model": book.contest.name,
            "recalibration": list(contest.layer),
            "scores": list(contest.standing.experts),
            "forecasts_judged": told,
            "labelled_rows": contest.standing.rows,
            "evaluations": contest.standing.looks,
            "deployments": contest.standing.deployments,
            "refit_refused": refused,
            "guards": _guards(labels, outcome.judgement, refused),
            "alarm": alarm,
            "provisional": not after.proven,
            "champion_sha256": _digest(contest.champion),
        },
    )


def _guards(labels: np.ndarray, judgement: Judgement, refused: str) -> list[str]:
    """What could have blocked the look, for a person."""
    exits = int(labels.sum())
    rows = (
        f"{labels.size:,} new labelled rows ({RULE.least_rows} needed), {exits:,} exits and "
        f"{labels.size - exits:,} stays ({RULE.least_class} of each needed)"
    )
    at_most = judgement.details["ranking_gain_at_most"]
    ranking = f"ranking: the challenger's AUC is above the deployed one's by at most {at_most:.3f}"
    return [rows, ranking, *([refused] if refused else [])]


def _digest(model: Model) -> str:
    import json

    return sha256(
        json.dumps([model.intercept, [t.to_json() for t in model.terms]], sort_keys=True).encode()
    )


# ---------------------------------------------------------------- forecasts


def _keep_forecasts(config: Config, table: Snapshot, book: DecisionState) -> None:
    """Commit forecasts of rows that came without a usable label, where there are new ones."""
    stored = read_decision_state(config)
    if stored is None or stored.look != book.look or table.version.number > book.forecasted:
        write_decision_state(config, *_with_forecasts(config, table, book, book))


def _with_forecasts(
    config: Config, table: Snapshot, book: DecisionState, after: DecisionState
) -> tuple[DecisionState, pl.DataFrame]:
    """(the book, what is kept of its forecasts and those of the rows that are new to it)."""
    import polars as pl

    kept = read_forecasts(config, book)
    open_rows = table.rows.filter(~table.usable)
    new = open_rows.filter(pl.col("_data_version") > book.forecasted)
    kept = _in_store(kept, open_rows, table.client)
    kept, made = (
        _still_open(frame, table) for frame in (kept, _forecast_rows(after.contest, new, table))
    )
    frames = [frame for frame in (kept, made) if frame.height]
    whole = pl.concat(frames, how="diagonal") if frames else kept
    return replace(after, forecasted=table.version.number), whole


def _in_store(told: pl.DataFrame, open_rows: pl.DataFrame, client: str) -> pl.DataFrame:
    """Without those of rows that were taken out of the store."""
    import polars as pl

    pairs = open_rows.select(pl.col(client).cast(pl.String).alias("_client"), "_date")
    return told.join(pairs.unique(), on=["_client", "_date"], how="semi", nulls_equal=True)


def _still_open(told: pl.DataFrame, table: Snapshot) -> pl.DataFrame:
    """The forecasts whose label is still to come: a label of the same client and date ends them,
    of undated ones any later label of the client."""
    import polars as pl

    client, end = pl.col(table.client).cast(pl.String), pl.col("_data_version")
    labels = table.known.select(client.alias("_client"), "_date", end.alias("_end"))
    ends = labels.group_by("_client", "_date").max()
    found = told.join(ends, on=["_client", "_date"], how="left", nulls_equal=True)
    dated, end = pl.col("_date").is_not_null(), pl.col("_end")
    over = end.is_not_null() & (dated | (end > pl.col("_data_version")))
    return found.filter(~over).drop("_end")


def _forecast_rows(contest: Comparison, rows: pl.DataFrame, table: Snapshot) -> pl.DataFrame:
    import polars as pl

    said = forecast(contest, model_inputs(rows, contest.champion), rows.height)
    head = rows.select(
        pl.col(table.client).cast(pl.String).alias("_client"),
        "_date",
        "_data_version",
        pl.lit(_digest(contest.champion)).alias("champion"),
    )
    return head.with_columns([pl.Series(name, values) for name, values in said.items()])


def start_evidence(config: Config, table: Snapshot, deployed: Deployed) -> None:
    """Begin the evidence about a model that was just deployed, and forecast the waiting rows."""
    model, manifest = deployed.model, deployed.manifest
    book = read_decision_state(config)
    if book is not None and manifest.get("evaluation") == book.look:
        return
    _keep_forecasts(config, table, _current_state(config, table, model, manifest))

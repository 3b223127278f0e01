"""Makes latestscore.txt, the F1 of the trained model on the test data, and a JSON with the rest.

Without a labelled test row the F1 is, of labels made from a status, that of predicting each month
from what was known before it (`"basis": "next month"` in the JSON), else that of out-of-fold
predictions on the training rows (`"basis": "cross-validation"`).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from risk.calllist.facts import everybody_words, month_words, score_words
from risk.calllist.gains import best_profit, best_profit_words
from risk.calllist.policy import mean_economics
from risk.config import Config, Outcome, PipelineError
from risk.data.holdout import Holdout, TestRows
from risk.data.snapshot import Snapshot, read_snapshot, refuse_other_features, training_rows
from risk.files import read_bytes, sha256, utc_now, write_atomic, write_json
from risk.model.fit import are_enough, fit, out_of_fold
from risk.model.measures import THRESHOLD, auc, auc_interval, brier, f1, measure
from risk.model.model import Model
from risk.model.score import score_of
from risk.script import run

FEW_TEST_ROWS, MOST_FOLDED = 300, 5_000


def _trained_model(config: Config, model: Model | None) -> tuple[Model, str]:
    """(the model in models/, the pickle's digest), both checked to belong together."""
    raw = read_bytes(config.model_json, made_by="training.py")
    pickled = sha256(read_bytes(config.model_pickle, made_by="training.py"))
    model = model or Model.from_bytes(raw)
    if model.lineage.get("trainedmodel_sha256") != pickled:
        raise PipelineError(
            f"{config.model_pickle} and {config.model_json.name} are of different trainings; "
            "run training.py again"
        )
    refuse_other_features(config, model.columns)
    return model, pickled


def score(
    config: Config,
    model: Model | None = None,
    snapshot: Snapshot | None = None,
    test_data: Holdout | None = None,
) -> Outcome:
    """Write the trained model's F1 and the measures beside it.

    What the caller has at hand already is handed in: the model that was just trained, the rows, the
    test data.
    """
    model, pickled = _trained_model(config, model)
    test = (test_data or Holdout(config)).rows(model.columns)
    found = score_of(model, test)
    if found is None:
        snapshot = snapshot or read_snapshot(config)
        found = _next_month(config, model, test, snapshot) if snapshot.status else None
        found = found or _cross_validated(config, model, test, snapshot)
    else:
        found["rows_equal_to_training"] = _training_rows_in(config, model, test, snapshot)
        if found["n"] < FEW_TEST_ROWS:
            found["auc_interval_of_all"] = _interval_of_all(config, model, test, snapshot)
    found |= {"trainedmodel_sha256": pickled, "scored_at": utc_now()}
    money = mean_economics(config)
    if money:
        found["profit"] = best_profit(found["cumulative_gains"], found["n"], money)
    # !r: the shortest text of the very same double; deployment.py compares both.
    text = f"{found['f1']!r}\n"
    write_json(config.score_json, found)
    write_atomic(config.log_folder / "latestscore.txt", text)
    write_atomic(config.score, text)
    months = [f"  {month_words(month)}" for month in found.get("months", [])]
    details = [
        everybody_words(found),
        *months,
        *([best_profit_words(found["profit"])] if money else []),
        *([f"{test.repeated:,} test rows repeat others and count once"] if test.repeated else []),
    ]
    return Outcome(score_words(found), found, details="\n".join(details))


def _interval_of_all(
    config: Config, model: Model, test: TestRows, snapshot: Snapshot | None
) -> list[float] | None:
    """The AUC's interval on the test rows and on the training rows out of fold, all together: a few
    test rows alone can tell nobody whether the model tells leavers from stayers.

    None where the training rows are gone, or so many that their folds would take long.
    """
    try:
        rows = training_rows(config, snapshot or read_snapshot(config))
    except PipelineError:
        return None
    if config.model == "original" or rows.labels.size > MOST_FOLDED or not are_enough(rows.labels):
        return None
    tested, labels = test.labelled()
    own = out_of_fold(config.model, rows.columns, rows.features, rows.labels, rows.clients)
    risks = np.concatenate([model.probabilities(tested), own])
    return auc_interval(np.concatenate([labels, rows.labels]), risks)


def _training_rows_in(
    config: Config, model: Model, test: TestRows, snapshot: Snapshot | None
) -> int | None:
    """How many test rows are also labelled rows of the store; None where these are gone."""
    try:
        snapshot = snapshot or read_snapshot(config)
    except PipelineError:
        return None
    names = [snapshot.client, *model.columns, snapshot.target]
    # Whole rows, answer and all: a client's other months are no leak.
    seen = set(snapshot.known.select(names).iter_rows())
    tested, _ = test.labelled()
    return sum(row in seen for row in zip(*(tested[name] for name in names), strict=True))


def _next_month(
    config: Config, model: Model, test: TestRows, snapshot: Snapshot
) -> dict[str, Any] | None:
    """The measures of predicting each date's rows from the labels that were known by then, date by
    date; None before there is such a date.

    Every date is judged by a fit of the recipe that saw no later row: as the list of that day was.
    """
    rows, found = training_rows(config, snapshot), []
    dates, ends = snapshot.known["_date"], snapshot.window_ends
    for date in dates.unique().drop_nulls().sort():
        before, now = (ends <= date).fill_null(False).to_numpy(), (dates == date).to_numpy()
        if not are_enough(rows.labels[before]):
            continue
        seen = rows.features[before].reset_index(drop=True)
        try:
            made = fit(config.model, rows.columns, seen, rows.labels[before], rows.clients[before])
        except PipelineError:
            continue  # of one kind, or all alike: nobody could have been listed by them
        risks = made.predict_proba(rows.features[now].reset_index(drop=True))[:, 1]
        found.append((str(date), rows.labels[now], risks, float(rows.labels[before].mean())))
    if not found:
        return None
    labels, risks = (np.concatenate([part[at] for part in found]) for at in (1, 2))
    rate = float(np.average([part[3] for part in found], weights=[p[1].size for p in found]))
    return {
        "basis": "next month",
        **measure(labels, risks, rate),
        "months": [month_of(date, own, risk) for date, own, risk, _ in found],
        "test_sha256": test.sha256,
        "test_files": test.files,
        "rows_set_aside": test.bad,
        "rows_equal_to_training": None,
    }


def month_of(date: str, labels: np.ndarray, risks: np.ndarray) -> dict[str, Any]:
    """What one date's prediction was worth: n, exits, AUC (None with one kind alone), F1, Brier."""
    calls = (risks >= THRESHOLD).astype(int)
    return {
        "date": date,
        "n": int(labels.size),
        "exits": int(labels.sum()),
        "auc": auc(labels, risks),
        "f1": f1(labels, calls),
        "brier": brier(labels, risks),
    }


def _cross_validated(
    config: Config, model: Model, test: TestRows, snapshot: Snapshot
) -> dict[str, Any]:
    """The measures of the recipe on the training rows, each judged by a fit without its client."""
    rows = training_rows(config, snapshot)
    # A model chosen by evidence may be of fewer rows than there are: they are those of its recipe.
    chosen = "evaluation" in model.lineage
    same = ("data_sha256", "recipe") if chosen else ("data_sha256", "recipe", "rows", "exits")
    if any(model.lineage.get(key) != rows.lineage[key] for key in same):
        raise PipelineError(
            "the training rows or the recipe have changed since the model was trained; "
            "run training.py again"
        )
    risk = out_of_fold(config.model, rows.columns, rows.features, rows.labels, rows.clients)
    found = measure(rows.labels, risk, float(rows.labels.mean()))
    return {
        "basis": "cross-validation",
        **found,
        "test_sha256": test.sha256,
        "test_files": test.files,
        "rows_set_aside": test.bad,
        "rows_equal_to_training": None,
    }


def stage(config: Config, _: argparse.Namespace) -> Outcome:
    return score(config)


if __name__ == "__main__":
    run(stage, __doc__)

"""Makes latestscore.txt, the F1 of the trained model on the test data, and a JSON with the rest.

Without a labelled test row the F1 is that of out-of-fold predictions on the training rows; the JSON
then says `"basis": "cross-validation"`.
"""

from __future__ import annotations

import argparse
from typing import Any

from risk.calllist.facts import everybody_words, score_words
from risk.calllist.gains import best_profit, best_profit_words
from risk.calllist.policy import mean_economics
from risk.config import Config, Outcome, PipelineError
from risk.data.holdout import Holdout, TestRows
from risk.data.snapshot import Snapshot, read_snapshot, refuse_other_features, training_rows
from risk.files import read_bytes, sha256, utc_now, write_atomic, write_json
from risk.model.measures import measure
from risk.model.model import Model
from risk.model.score import score_of
from risk.script import run


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
        found = _cross_validated(config, model, test, snapshot or read_snapshot(config))
    else:
        found["rows_equal_to_training"] = _training_rows_in(config, model, test, snapshot)
    found |= {"trainedmodel_sha256": pickled, "scored_at": utc_now()}
    money = mean_economics(config)
    if money:
        found["profit"] = best_profit(found["cumulative_gains"], found["n"], money)
    # !r: the shortest text of the very same double; deployment.py compares both.
    text = f"{found['f1']!r}\n"
    write_json(config.score_json, found)
    write_atomic(config.log_folder / "latestscore.txt", text)
    write_atomic(config.score, text)
    lines = [
        f"{score_words(found)}; {everybody_words(found)}",
        *([best_profit_words(found["profit"])] if money else []),
        *([f"{test.repeated:,} test rows repeat others and count once"] if test.repeated else []),
    ]
    return Outcome("\n".join(lines), found)


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


def _cross_validated(
    config: Config, model: Model, test: TestRows, snapshot: Snapshot
) -> dict[str, Any]:
    """The measures of the recipe on the training rows, each judged by a fit without its client."""
    from risk.model.fit import out_of_fold

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

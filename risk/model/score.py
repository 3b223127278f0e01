"""How good a model is on the test data: the measures that latestscore.json and the API tell."""

from __future__ import annotations

from typing import Any

from risk.config import PipelineError
from risk.data.holdout import TestRows
from risk.model.measures import measure
from risk.model.model import Model


def score_of(model: Model, test: TestRows) -> dict[str, Any] | None:
    """The model's measures on the labelled test rows; None where there is none."""
    rows, labels = test.labelled()
    if not labels.size:
        return None
    # The share of exits among the rows that the model was trained on.
    rate = model.lineage.get("base_rate")
    if type(rate) is not float or not 0.0 <= rate <= 1.0:
        raise PipelineError(
            "the model does not say how many of its rows were exits; run training.py again"
        )
    return {
        "basis": "test data",
        **measure(labels, model.probabilities(rows), rate),
        "test_sha256": test.sha256,
        "test_files": test.files,
        "rows_set_aside": test.bad,
    }

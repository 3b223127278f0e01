"""The decision: every policy against every kind of evidence, with the numbers in its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from risk.decide.decision import Decision
from risk.decide.policies import _Inputs, decide
from risk.words import amount

NONE_YET = _Inputs(None, False)
DEPLOYED = _Inputs(7, False, deployed_f1=0.561)
NEW = replace(DEPLOYED, rows=463, exits=174, unseen=463)
FELL = replace(NEW, fresh_f1=0.273)
SAME = replace(NEW, fresh_f1=0.561)
ROSE = replace(NEW, fresh_f1=0.604)
NO_EXIT = replace(NEW, exits=0, fresh_f1=None)
UNLABELLED = replace(DEPLOYED, unlabelled=120)
REPLACED = replace(DEPLOYED, unseen=60)
LACKING = "8 labelled rows are too few"
RAW, ALWAYS, NEVER = "raw", "always", "never"

TABLE = [
    (RAW, NONE_YET, "deploy", True, ["the first model"]),
    (ALWAYS, NONE_YET, "deploy", True, ["the first model"]),
    (NEVER, NONE_YET, "deploy", True, ["the first model"]),
    (RAW, replace(NONE_YET, trainable=LACKING), "wait", False, ["no model yet", LACKING]),
    (ALWAYS, replace(NONE_YET, trainable=LACKING), "wait", False, [LACKING]),
    (NEVER, replace(NONE_YET, trainable=LACKING), "wait", False, [LACKING]),
    (RAW, DEPLOYED, "keep", True, ["no new labelled rows"]),
    (ALWAYS, DEPLOYED, "keep", True, ["no new labelled rows"]),
    (NEVER, DEPLOYED, "keep", True, ['"never"']),
    (RAW, FELL, "deploy", True, ["0.273", "463", "174", "below", "0.561"]),
    (RAW, SAME, "keep", True, ["0.561", "463", "174", "not below"]),
    (RAW, ROSE, "keep", True, ["0.604", "463", "174", "not below", "0.561"]),
    (RAW, replace(FELL, fresh_f1=0.0), "deploy", True, ["0.000"]),
    (RAW, replace(FELL, trainable=LACKING), "wait", False, ["0.273", "0.561", LACKING]),
    (ALWAYS, FELL, "deploy", True, ["463", '"always"']),
    (ALWAYS, ROSE, "deploy", True, ["463", '"always"']),
    (ALWAYS, replace(DEPLOYED, unseen=1), "deploy", True, ["1 new labelled row,"]),
    (ALWAYS, replace(FELL, trainable=LACKING), "wait", False, [LACKING]),
    (NEVER, FELL, "keep", True, ['"never"']),
    (RAW, NO_EXIT, "wait", False, ["463 new labelled rows", "without an exit"]),
    (ALWAYS, NO_EXIT, "deploy", True, ["463"]),
    (RAW, UNLABELLED, "wait", False, ["120 new rows"]),
    (ALWAYS, UNLABELLED, "wait", False, ["120 new rows"]),
    (NEVER, UNLABELLED, "keep", True, ['"never"']),
    (RAW, REPLACED, "keep", True, ["no new labelled rows"]),
    (ALWAYS, REPLACED, "deploy", True, ["60 new labelled rows"]),
    (RAW, replace(FELL, paused=True), "paused", False, ["version 7", "--release-hold"]),
    (ALWAYS, replace(FELL, paused=True), "paused", False, ["version 7", "--release-hold"]),
    (NEVER, replace(FELL, paused=True), "paused", False, ["version 7", "--release-hold"]),
]


@pytest.mark.parametrize(("policy", "known", "verdict", "judged", "said"), TABLE)
def test_the_verdict_of_every_policy_on_every_evidence(
    policy: str, known: _Inputs, verdict: str, judged: bool, said: list[str]
) -> None:
    decision = decide(policy, known)

    assert (decision.verdict, decision.judged) == (verdict, judged)
    assert [words for words in said if words not in decision.reason] == []
    assert "\n" not in decision.reason


def test_an_f1_that_is_lower_by_the_smallest_step_is_below() -> None:
    known = replace(NEW, fresh_f1=0.5, deployed_f1=0.5000000000000001)

    assert decide("raw", known).verdict == "deploy"


def test_a_model_without_a_score_is_no_case_of_good_enough() -> None:
    with pytest.raises(ValueError, match="without a score"):
        decide("raw", replace(ROSE, deployed_f1=None))


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 rows"), (1, "1 row"), (1234567, "1,234,567 rows")]
)
def test_counts_are_written_for_people(count: int, text: str) -> None:
    assert amount(count, "row") == text


def test_a_decision_cannot_be_changed_after_it_was_made() -> None:
    with pytest.raises(AttributeError):
        Decision("keep", "", True).verdict = "deploy"  # type: ignore[misc]

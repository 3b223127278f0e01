"""Should the deployed model be replaced? One decision, with its reason in words."""

from __future__ import annotations

from dataclasses import dataclass

KEEP, WAIT, DEPLOY, HELD = "keep", "wait", "deploy", "held"


@dataclass(frozen=True)
class Decision:
    """The verdict, why, and whether the new rows have been judged by it (else they wait)."""

    verdict: str
    reason: str
    judged: bool


@dataclass(frozen=True)
class Evidence:
    """What a tick knows when it decides.

    deployed: the deployed version, None before the first.
    deployed_f1: its F1 on the test data as it is now; fresh_f1: its F1 on the new labelled rows that
    it neither was trained on nor was judged on before, None where they hold no exit (F1 says nothing
    then); rows, exits: their number; unseen: labelled rows that it was not trained on; unlabelled: new
    rows whose label is not known, or not mature, yet.
    trainable: "" if training's minimum is met, else what is missing.
    """

    deployed: int | None
    held: bool
    deployed_f1: float | None = None
    fresh_f1: float | None = None
    rows: int = 0
    exits: int = 0
    unseen: int = 0
    unlabelled: int = 0
    trainable: str = ""


def decide(policy: str, known: Evidence) -> Decision:
    """The verdict of the configured policy: "raw" (F1 fell), "always" or "never"."""
    if known.deployed is None:
        return _first(known)
    if known.held:
        return Decision(HELD, f"version {known.deployed} was chosen by hand and is held; "
                              "deployment.py --release-hold ends that", judged=False)
    if policy == "never":
        return Decision(KEEP, 'the policy is "never"', judged=True)
    if policy == "always":
        return _always(known)
    return _raw(known)


def _first(known: Evidence) -> Decision:
    if known.trainable:
        return Decision(WAIT, f"no model yet: {known.trainable}", judged=False)
    return Decision(DEPLOY, "the first model: there was none to compare with", judged=True)


def _always(known: Evidence) -> Decision:
    if not known.unseen:
        return _nothing_labelled(known)
    if known.trainable:
        return Decision(WAIT, known.trainable, judged=False)
    return Decision(DEPLOY, f'{known.unseen} new labelled rows, and the policy is "always"', judged=True)


def _nothing_labelled(known: Evidence) -> Decision:
    if known.unlabelled:
        return Decision(WAIT, f"{known.unlabelled} new rows have no usable label yet; the deployed model "
                              "is judged when it comes", judged=False)
    return Decision(KEEP, "no new labelled rows to judge by", judged=True)


def _raw(known: Evidence) -> Decision:
    if not known.rows:
        return _nothing_labelled(known)
    if known.fresh_f1 is None:
        return Decision(WAIT, f"{known.rows} new labelled rows hold no exit, so that F1 says nothing; "
                              "they are judged together with the next ones", judged=False)
    compared = (f"F1 {known.fresh_f1:.3f} on {known.rows} new labelled rows ({known.exits} exits) is "
                f"{{}} the deployed model's {known.deployed_f1:.3f}")
    if known.deployed_f1 is None or known.fresh_f1 >= known.deployed_f1:
        return Decision(KEEP, compared.format("not below"), judged=True)
    if known.trainable:
        return Decision(WAIT, known.trainable, judged=False)
    return Decision(DEPLOY, compared.format("below"), judged=True)

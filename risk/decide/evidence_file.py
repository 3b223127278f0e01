"""The evidence's file as a deployment changes it: without the models in it, which state.py reads.

deployment.py notes here what a person did; with the models it would take ten times as long under
the lock.
"""

from __future__ import annotations

from risk.config import Config
from risk.decide.decision import NEW_BASE_MODELS
from risk.files import StateFile

MODEL_PREFIX = "version "


def evidence_file(config: Config) -> StateFile:
    return StateFile(config.evidence, 1)


def refuse_newer_evidence(config: Config) -> None:
    """PipelineError where a newer version of the software wrote the state."""
    evidence_file(config).read_or_empty()


def record_deployment(config: Config, key: str, version: int) -> None:
    """Note that what this record's evaluation decided is done, and this version deployed.

    It may have another number than was foreseen: a run that is cut off leaves its own unused.
    """
    body = evidence_file(config).read_or_empty()
    if body.get("due") is None or body["record"]["key"] != key:
        return
    if body["due"] in NEW_BASE_MODELS:
        body["comparison"]["name"] = f"{MODEL_PREFIX}{version}"
    evidence_file(config).write(body | {"due": None, "release": version})


def restart_evidence(config: Config) -> None:
    """Note that somebody deployed by hand: the next evaluation begins the evidence anew."""
    body = evidence_file(config).read_or_empty()
    if body:
        # No version has the number -1, so that whatever is deployed then is somebody else's.
        evidence_file(config).write(body | {"due": None, "release": -1, "evaluation": "by hand"})

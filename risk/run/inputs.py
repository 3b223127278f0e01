"""What the stages of one run work on: the snapshot, the deployed release, the test data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from risk.config import Config
from risk.data.holdout import Holdout
from risk.data.snapshot import DataVersion, read_snapshot
from risk.data.store import Store
from risk.model.deployed import read_deployed
from risk.releases import current_version

if TYPE_CHECKING:
    from risk.decide.decision import EvaluationResult


class RunInputs:
    """Read once after the ingestion, and handed on; a deployment puts its release here.

    snapshot: None before the first row. deployed: None before the first deployment.
    """

    def __init__(self, config: Config) -> None:
        begins = current_version(config) is None
        self.config = config
        # Before the first row: neither ingestion.py nor a person has put a finaldata.csv there.
        empty = not config.finaldata.exists() and not Store.open(config).state["schema_signature"]
        self.snapshot = None if begins and empty else read_snapshot(config)
        self.deployed = None if begins else read_deployed(config)
        self.test = Holdout(config)

    def evaluate(
        self, judged: DataVersion, *, paused: bool, commit: bool = True
    ) -> EvaluationResult:
        """The verdict of the configured policy, and what it asks to be deployed."""
        from risk.decide.evaluation import EVIDENCE_POLICIES, evaluate
        from risk.decide.policies import anew, data_pause, evaluate_plain

        config, snapshot, deployed = self.config, self.snapshot, self.deployed
        if snapshot is None or deployed is None:
            return evaluate_plain(config, snapshot, None, self.test, judged, paused=paused)
        other = None if paused else anew(config, snapshot, deployed)
        if other:
            return other
        if config.policy in EVIDENCE_POLICIES:
            return evaluate(config, snapshot, deployed, self.test, paused=paused, commit=commit)
        # The data quality checks are the evidence's own; a plain policy asks them here.
        since = max(deployed.trained_at.number, judged.number)
        pause = None if paused else data_pause(config, snapshot, deployed, since)
        return pause or evaluate_plain(config, snapshot, deployed, self.test, judged, paused=paused)

"""The deployed release as the stages take it: manifest, model, score, reference; read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from risk.config import Config
from risk.data.snapshot import DataVersion
from risk.model.model import Model
from risk.releases import Manifest, OpenRelease

REFERENCE = "reference.json"


@dataclass(frozen=True)
class Deployed:
    """What is deployed.

    reference: what was usual in the rows known to its model (drift.release.reference_bytes).
    former: what was deployed before, where the same run has deployed this one.
    """

    manifest: Manifest
    model: Model
    score: dict[str, Any]
    reference: dict[str, Any]
    former: Deployed | None = None

    @property
    def version(self) -> int:
        return self.manifest["version"]

    @property
    def sha256(self) -> str:
        """The digest of its model.json: the same model has the same in every release."""
        return self.manifest["files"]["model.json"]

    @property
    def trained_at(self) -> DataVersion:
        """How far the data went that the model was trained on."""
        m = self.manifest
        return DataVersion(m["data_version"], m["day"], m["horizon_days"])


def read_deployed(config: Config) -> Deployed:
    """The release that is current now, each file verified; PipelineError where there is none."""
    with OpenRelease(config) as release:
        return Deployed(
            release.manifest,
            Model.from_bytes(release.verified("model.json")),
            json.loads(release.verified("latestscore.json")),
            json.loads(release.verified(REFERENCE)),
        )

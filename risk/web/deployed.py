"""The deployed model as the API holds it: loaded once per release, checked, unchanging."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from risk.config import Config, PipelineError
from risk.data.schema import Schema
from risk.files import OpenRelease
from risk.model.model import Model
from risk.web.access import Problem
from risk.web.request import Table, config_of_model, prediction_schema


class CachedValue:
    """A value that is made once for a key; for another key it is made anew, never given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[Any, Any] | None = None

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if self._held is None or self._held[0] != key:
                self._held = key, make()
            return self._held[1]


@dataclass(frozen=True)
class DeployedModel:
    """One release as one call sees it; `config` and `schema` are those of the model's features."""

    version: int
    model: Model
    config: Config
    schema: Schema
    manifest: dict[str, Any]
    score: dict[str, Any]

    def risks(self, table: Table) -> np.ndarray:
        """The risk of each row, shape (n,); Problem 422 where huge numbers cancel to nothing."""
        with np.errstate(all="ignore"):
            found = self.model.probabilities(table)
        bad = np.flatnonzero(np.isnan(found))
        if bad.size:
            raise Problem(
                422,
                "bad_rows",
                f"row {bad[0] + 1}: its numbers are too large together",
                "correct the row or leave it out",
            )
        return found


def deployed_key(config: Config) -> Any:
    """What differs between any two deployments, also after production was begun anew: one stat."""
    try:
        seen = os.stat(config.production_folder / "current" / "manifest.json")
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_mtime_ns


def load_deployed(config: Config) -> DeployedModel:
    """The current release, verified; read again where it was replaced while it was being read."""
    while True:
        key = deployed_key(config)
        try:
            return _loaded(config)
        except PipelineError:
            if deployed_key(config) == key:
                raise


def _loaded(config: Config) -> DeployedModel:
    with OpenRelease(config) as release:
        model = Model.from_bytes(release.verified("model.json"))
        score = json.loads(release.verified("latestscore.json"))
        own = config_of_model(config, model.columns)
        return DeployedModel(
            release.version, model, own, prediction_schema(own), release.manifest, score
        )

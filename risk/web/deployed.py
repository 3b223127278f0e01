"""The deployed model as the API holds it: loaded once per release, checked, unchanging."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from risk.config import Config, PipelineError
from risk.data.schema import Schema, schema_of
from risk.model.model import Model
from risk.model.profile import Rows
from risk.releases import Manifest, OpenRelease
from risk.web.problem import Problem


@dataclass(frozen=True)
class DeployedModel:
    """One release as one call sees it; `config` and `schema` are those of the model's features."""

    version: int
    model: Model
    config: Config
    schema: Schema
    manifest: Manifest
    score: dict[str, Any]

    def risks(self, rows: Rows) -> np.ndarray:
        """The risk of each row, shape (n,); Problem 422 where huge numbers cancel to nothing."""
        # An overflow is no fault by itself; inf - inf is found below, as NaN.
        with np.errstate(all="ignore"):
            found = self.model.probabilities(rows)
        bad = np.flatnonzero(np.isnan(found))
        if bad.size:
            what = f"row {bad[0] + 1}: its numbers are too large together"
            raise Problem(422, "bad_rows", what, "correct the row or leave it out")
        return found


def file_stamp(path: Path) -> tuple[int, int, int, int] | None:
    """What a change of the file changes, by one stat; None where it is absent."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # Files are replaced by renaming: the inode tells two writes of one clock tick apart.
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def deployed_key(config: Config) -> tuple[int, ...] | None:
    """What differs between any two deployments, also after production was begun anew."""
    return file_stamp(config.production_folder / "current" / "manifest.json")


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
        # The config's columns with the model's own features, whatever config.json names by now.
        columns = config.columns
        known = (*model.columns, columns.value)
        columns = replace(
            columns,
            features=tuple(model.columns),
            kinds=dict(model.columns),
            non_negative=tuple(name for name in columns.non_negative if name in known),
        )
        own = replace(config, columns=columns)
        # What a prediction reads: the features, and the client's id where it is there.
        schema = schema_of(own)
        read = tuple(column for column in schema.columns if column.part in ("id", "feature"))
        schema = replace(schema, columns=read)
        return DeployedModel(release.version, model, own, schema, release.manifest, score)

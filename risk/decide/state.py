"""The evidence between two runs: one file that a crash leaves old or new.

The file is the moment at which an evaluation counts: what it decided, what is to be deployed and
which forecasts of rows without labels go with it are all in it, or none of it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from risk.config import Config
from risk.data.snapshot import DataVersion
from risk.decide.comparison import Comparison
from risk.decide.decision import DecisionRecord
from risk.decide.evidence import Martingale
from risk.decide.evidence_file import MODEL_PREFIX, evidence_file
from risk.records import parse_record, to_record

_KEPT_DATA_VERSIONS = 40  # an older row's weight is below 1e-12


@dataclass(frozen=True)
class DecisionState:
    """What the next evaluation starts from.

    evaluation: the last one's name. release: the version that was current when it was written.
    recipe: the candidates'. due: the action of an evaluation until it is deployed and in the
    history, None from then on. data_versions: of each evaluation, oldest first. since: that of the
    champion's deployment. forecast_until: the store's number up to which unlabelled rows have
    forecasts; forecasts_file: where these are. better, worse: the champion's martingale against the
    base rate, and the base rate's against it. proven: whether any champion has beaten the base
    rate. record: the last evaluation as the history has it.
    """

    evaluation: str
    comparison: Comparison
    release: int
    recipe: str
    data_versions: tuple[DataVersion, ...]
    since: DataVersion
    due: str | None = None
    forecast_until: int = 0
    forecasts_file: str | None = None
    base_rate: float = 0.5
    better: Martingale = Martingale()
    worse: Martingale = Martingale()
    proven: bool = False
    record: DecisionRecord | None = None

    @property
    def base_model(self) -> int:
        """The version that first had the champion's base model."""
        return int(self.comparison.name.removeprefix(MODEL_PREFIX))


def read_decision_state(config: Config) -> DecisionState | None:
    """The state; None where there is none, or it is damaged: the evidence then begins anew."""
    body = evidence_file(config).read_or_empty()
    try:
        return parse_record(DecisionState, body) if body else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def write_decision_state(config: Config, state: DecisionState) -> None:
    """Commit the state; its forecasts are on disk before it (forecasts.py)."""
    kept = replace(state, data_versions=state.data_versions[-_KEPT_DATA_VERSIONS:])
    evidence_file(config).write(to_record(kept))

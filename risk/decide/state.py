"""The evidence between two runs: one file that a crash leaves old or new.

The file is the moment at which an evaluation counts: what it decided, what is to be deployed and
which forecasts of rows without labels go with it are all in it, or none of it is.

Models are imported where they are needed: deployment.py notes here what a person did, and would
take ten times as long under the lock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from risk.config import Config
from risk.decide.decision import NEW_BASE_MODELS, DecisionRecord
from risk.files import StateFile

if TYPE_CHECKING:
    from risk.data.snapshot import DataVersion
    from risk.decide.comparison import Comparison
    from risk.decide.evidence import Martingale, Recalibration

_KEPT_DATA_VERSIONS = 40  # an older row's weight is below 1e-12
MODEL_PREFIX = "version "


def _new_martingale() -> Martingale:
    from risk.decide.evidence import Martingale

    return Martingale()


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
    better: Martingale = field(default_factory=_new_martingale)
    worse: Martingale = field(default_factory=_new_martingale)
    proven: bool = False
    record: DecisionRecord | None = None

    @property
    def base_model(self) -> int:
        """The version that first had the champion's base model."""
        return int(self.comparison.name.removeprefix(MODEL_PREFIX))


def _evidence_file(config: Config) -> StateFile:
    return StateFile(config.evidence, 1)


def read_decision_state(config: Config) -> DecisionState | None:
    """The state; None where there is none, or it is damaged: the evidence then begins anew."""
    body = _evidence_file(config).read_or_empty()
    try:
        return _from_json(body) if body else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def write_decision_state(config: Config, state: DecisionState) -> None:
    """Commit the state; its forecasts are on disk before it (forecasts.py)."""
    _evidence_file(config).write(_to_json(state))


def refuse_newer_evidence(config: Config) -> None:
    """PipelineError where a newer version of the software wrote the state."""
    _evidence_file(config).read_or_empty()


def record_deployment(config: Config, key: str, version: int) -> None:
    """Note that what this record's evaluation decided is done, and this version deployed.

    It may have another number than was foreseen: a run that is cut off leaves its own unused.
    """
    body = _evidence_file(config).read_or_empty()
    if body.get("due") is None or body["record"]["key"] != key:
        return
    if body["due"] in NEW_BASE_MODELS:
        body["comparison"]["name"] = f"{MODEL_PREFIX}{version}"
    _evidence_file(config).write(body | {"due": None, "release": version})


def restart_evidence(config: Config) -> None:
    """Note that somebody deployed by hand: the next evaluation begins the evidence anew."""
    body = _evidence_file(config).read_or_empty()
    if body:
        _evidence_file(config).write(body | {"due": None, "release": -1, "evaluation": "by hand"})


def _to_json(state: DecisionState) -> dict[str, Any]:
    comparison = state.comparison
    models = {
        key: {name: model.to_json() for name, model in getattr(comparison, key).items()}
        for key in ("candidates", "former")
    }
    plain = ("policy", "name", "recalibration", "champion_recalibrations", "recalibrations")
    return {
        **vars(state),
        **{key: asdict(getattr(state, key)) for key in ("since", "better", "worse")},
        "data_versions": [asdict(one) for one in state.data_versions[-_KEPT_DATA_VERSIONS:]],
        "record": state.record.to_json() if state.record else None,
        "comparison": {
            **{key: getattr(comparison, key) for key in plain},
            "champion": comparison.champion.to_json(),
            "counters": asdict(comparison.counters),
            **models,
            "terms": [term.to_json() for term in comparison.terms],
        },
    }


def _from_json(body: dict[str, Any]) -> DecisionState:
    from risk.data.snapshot import DataVersion

    known = body | {
        "data_versions": tuple(DataVersion(**one) for one in body["data_versions"]),
        "since": DataVersion(**body["since"]),
        "record": DecisionRecord.from_json(body["record"]) if body["record"] else None,
        "better": _martingale(body["better"]),
        "worse": _martingale(body["worse"]),
        "comparison": _comparison(body["comparison"]),
    }
    return DecisionState(**known)


def _comparison(body: dict[str, Any]) -> Comparison:
    from risk.decide.comparison import Comparison
    from risk.decide.judgement import Counters
    from risk.model.design import DesignTerm
    from risk.model.model import Model

    counters = body["counters"] | {
        "candidate_scores": tuple(body["counters"]["candidate_scores"]),
        "champion_scores": tuple(body["counters"]["champion_scores"]),
        "martingales": {
            name: _martingale(one) for name, one in body["counters"]["martingales"].items()
        },
    }
    recalibrations = {name: _pair(pair) for name, pair in body["recalibrations"].items()}
    known = body | {
        "champion": Model.from_json(body["champion"]),
        "counters": Counters(**counters),
        "recalibration": tuple(body["recalibration"]),
        "champion_recalibrations": _pair(body["champion_recalibrations"]),
        "candidates": {name: Model.from_json(model) for name, model in body["candidates"].items()},
        "recalibrations": recalibrations,
        "former": {name: Model.from_json(model) for name, model in body["former"].items()},
        "terms": tuple(DesignTerm.from_json(term) for term in body["terms"]),
    }
    return Comparison(**known)


def _pair(pair: list[list[float]]) -> tuple[Recalibration, Recalibration]:
    (a, c), (b, d) = pair
    return (a, c), (b, d)


def _martingale(body: dict[str, Any]) -> Martingale:
    from risk.decide.evidence import Martingale

    return Martingale(**{**body, "log_wealth": tuple(body["log_wealth"])})

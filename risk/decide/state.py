"""The evidence between two runs: one file that a crash leaves old or new, and forecasts beside it.

The file is the moment at which a look counts: what it decided, what is to be deployed and what the
models said of rows whose labels are still to come are all in it, or none of it is.

Models are imported where they are needed: deployment.py notes here what a person did, and would
take ten times as long under the lock.
"""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from risk.config import Config, PipelineError
from risk.decide.decision import NEW_BASE_MODELS, DecisionRecord
from risk.files import checksum_holds, read_optional_json, with_checksum, write_atomic, write_json

if TYPE_CHECKING:
    import polars as pl

    from risk.data.snapshot import DataVersion
    from risk.decide.comparison import Comparison
    from risk.decide.evidence import Martingale

FORMAT = 1
KEPT_DATA_VERSIONS = 40  # an older row's weight is below 1e-12
MODEL_PREFIX = "version "


def _new_martingale() -> Martingale:
    from risk.decide.evidence import Martingale

    return Martingale()


@dataclass(frozen=True)
class DecisionState:
    """What the next look starts from.

    look: the last one's name. release: the version that was current when it was written. recipe:
    the experts'. due: the action of a look that is not settled, that is deployed and in the
    history, yet; None once it is. stands: where the data stood at each look, oldest first. since:
    the same at the champion's deployment. forecasted: the store's data version up to which
    unlabelled rows have forecasts. better, worse: the champion's bets against the base rate, and
    the base rate's
    against it. proven: whether any champion has beaten the base rate. record: the last look as the
    history has it.
    """

    look: str
    contest: Comparison
    release: int
    recipe: str
    stands: tuple[DataVersion, ...]
    since: DataVersion
    due: str | None = None
    forecasted: int = 0
    forecasts: str | None = None
    base_rate: float = 0.5
    better: Martingale = field(default_factory=_new_martingale)
    worse: Martingale = field(default_factory=_new_martingale)
    proven: bool = False
    record: DecisionRecord | None = None

    @property
    def ranking(self) -> int:
        """The version that first had the champion's ranking."""
        return int(self.contest.name.removeprefix(MODEL_PREFIX))


def read_decision_state(config: Config) -> DecisionState | None:
    """The book; None where there is none, or it is damaged: the evidence then begins anew."""
    body = read_state_json(config)
    try:
        return _state_from(body) if body else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read_state_json(config: Config) -> dict[str, Any]:
    """The book as JSON has it, {} where there is none or it is damaged; a newer one is refused."""
    body = read_optional_json(config.evidence)
    if type(body.get("format")) is int and body["format"] > FORMAT:
        raise PipelineError(
            f"{config.evidence} was written by a newer version; update the software"
        )
    return body if body and checksum_holds(body) else {}


def write_decision_state(
    config: Config, book: DecisionState, forecasts: pl.DataFrame
) -> DecisionState:
    """Commit the book; the forecasts' file is on disk before it, the old one goes after."""
    named = replace(book, forecasts=_write_forecasts(config, book, forecasts))
    write_json(config.evidence, with_checksum({"format": FORMAT, **_json_of(named)}))
    for path in config.state_folder.glob("forecasts-*.parquet"):
        if path.name != named.forecasts:
            path.unlink()
    return named


def record_deployment(config: Config, key: str, version: int) -> None:
    """Note that what the look of this entry decided is done, and this version deployed.

    It may have another number than the look foresaw: one that is cut off leaves its own unused.
    """
    body = read_state_json(config)
    if body.get("due") is None or body["record"]["key"] != key:
        return
    if body["due"] in NEW_BASE_MODELS:
        body["contest"]["name"] = f"{MODEL_PREFIX}{version}"
    write_json(config.evidence, with_checksum(body | {"due": None, "release": version}))


def restart_evidence(config: Config) -> None:
    """Note that somebody deployed by hand: the next look begins the evidence anew."""
    body = read_state_json(config)
    if body:
        write_json(
            config.evidence, with_checksum(body | {"due": None, "release": -1, "look": "by hand"})
        )


def forget_forecasts(config: Config, client: str) -> None:
    """Take one client out of the kept forecasts, for good."""
    import polars as pl

    for path in sorted(config.state_folder.glob("forecasts-*.parquet")):
        try:
            told = pl.read_parquet(path)
        except pl.exceptions.PolarsError:
            path.unlink()
            continue
        others = told.filter(pl.col("_client") != client)
        if others.height < told.height:
            write_atomic(path, _parquet(others))


def _write_forecasts(config: Config, book: DecisionState, forecasts: pl.DataFrame) -> str | None:
    if not forecasts.height:
        return None
    today = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")
    name = f"forecasts-{book.forecasted}-{today}.parquet"
    write_atomic(config.state_folder / name, _parquet(forecasts))
    return name


def _parquet(frame: pl.DataFrame) -> bytes:
    import io

    out = io.BytesIO()
    frame.write_parquet(out, compression="zstd")
    return out.getvalue()


def read_forecasts(config: Config, book: DecisionState) -> pl.DataFrame:
    """What was said of rows without a label: _client, _date, _data_version, champion (its digest),
    and the log-odds."""
    import polars as pl

    empty = pl.DataFrame(
        schema={
            "_client": pl.String,
            "_date": pl.Date,
            "_data_version": pl.Int64,
            "champion": pl.String,
        }
    )
    if book.forecasts is None:
        return empty
    try:
        return pl.read_parquet(config.state_folder / book.forecasts)
    except (OSError, pl.exceptions.PolarsError):
        return empty  # lost: the present models speak instead, also fixed before the labels


# ---------------------------------------------------------------- as JSON


def _json_of(book: DecisionState) -> dict[str, Any]:
    body = {key: value for key, value in vars(book).items() if key not in ("contest", "stands")}
    body["stands"] = [asdict(stand) for stand in book.stands[-KEPT_DATA_VERSIONS:]]
    body |= {key: asdict(getattr(book, key)) for key in ("since", "better", "worse")}
    body["record"] = book.record.to_json() if book.record else None
    return body | {"contest": _comparison_json(book.contest)}


def _comparison_json(contest: Comparison) -> dict[str, Any]:
    return {
        **{key: getattr(contest, key) for key in ("policy", "name", "layer", "own", "layers")},
        "champion": contest.champion.to_json(),
        "standing": asdict(contest.standing),
        "experts": {name: model.to_json() for name, model in contest.experts.items()},
        "former": {name: model.to_json() for name, model in contest.former.items()},
        "terms": [term.to_json() for term in contest.terms],
    }


def _state_from(body: dict[str, Any]) -> DecisionState:
    from risk.data.snapshot import DataVersion

    kept = {key: value for key, value in body.items() if key not in ("format", "checksum")}
    kept["stands"] = tuple(DataVersion(**stand) for stand in body["stands"])
    kept["since"] = DataVersion(**body["since"])
    kept["record"] = DecisionRecord.from_json(body["record"]) if body["record"] else None
    kept |= {key: _martingale_from(body[key]) for key in ("better", "worse")}
    return DecisionState(**kept | {"contest": _comparison_from(body["contest"])})


def _comparison_from(body: dict[str, Any]) -> Comparison:
    from risk.decide.comparison import Comparison
    from risk.decide.evidence import Counters
    from risk.model.design import DesignTerm
    from risk.model.model import Model

    standing = dict(body["standing"])
    standing["experts"], standing["own"] = tuple(standing["experts"]), tuple(standing["own"])
    standing["stakes"] = {name: _martingale_from(one) for name, one in standing["stakes"].items()}
    return Comparison(
        policy=body["policy"],
        champion=Model.from_json(body["champion"]),
        name=body["name"],
        standing=Counters(**standing),
        layer=tuple(body["layer"]),
        own=_recalibrations_from(body["own"]),
        experts={name: Model.from_json(model) for name, model in body["experts"].items()},
        layers={name: _recalibrations_from(pair) for name, pair in body["layers"].items()},
        former={name: Model.from_json(model) for name, model in body["former"].items()},
        terms=tuple(DesignTerm.from_json(term) for term in body["terms"]),
    )


def _recalibrations_from(pair: list[list[float]]) -> Any:
    return tuple(tuple(layer) for layer in pair)


def _martingale_from(body: dict[str, Any]) -> Martingale:
    from risk.decide.evidence import Martingale

    return Martingale(**{**body, "wealth": tuple(body["wealth"])})

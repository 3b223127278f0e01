"""Puts model, score, ingest record and training data into production as one release.

python deployment.py                        deploy what training.py and scoring.py made
python deployment.py --list                 the kept releases
python deployment.py --rollback [VERSION]   back to the former (or that) one, and pause redeploying
python deployment.py --release-hold         let fullprocess.py deploy again, and take the values of
                                            a data quality issue as they are
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from risk.config import Config, Outcome, PipelineError
from risk.data.snapshot import refuse_other_features
from risk.files import parse_json, parse_number, read_bytes, sha256, utc_now
from risk.model.deployed import REFERENCE, Deployed
from risk.model.model import Model
from risk.releases import (
    Release,
    current_version,
    deploy_release,
    former_release,
    kept_releases,
    read_deployment,
    release_hold,
    roll_back,
)
from risk.script import run

PICKLE = "trainedmodel_sha256"
UNTIL = "until deployment.py --release-hold"


def deploy(
    config: Config, model: Model | None = None, *, pause: bool = False
) -> tuple[Outcome, Deployed]:
    """Publish the trained model, its score, its ingest record and the rows it was trained on.

    model: the trained model, where the caller has it at hand. pause: fullprocess.py is to leave
    the release until the hold is released.
    """
    sources, lineage, values = _matching_files(config, model)
    release = deploy_release(config, sources, lineage, pause=pause)
    now = read_deployment(config)
    place = config.shown(config.production_folder)
    text = f"deployed version {release.version} (F1 {lineage['f1']:.3f}) in {place}"
    text += f", paused {UNTIL}" if now.by_hand else ""
    outcome = Outcome(text, {"version": release.version, "former": now.former, **lineage})
    return outcome, Deployed(release.manifest, *values)


def _matching_files(
    config: Config, model: Model | None
) -> tuple[dict[str, bytes | Path], dict[str, Any], tuple[Model, dict[str, Any], dict[str, Any]]]:
    """(release file -> its content, lineage, model, score and reference as values), each read once
    and checked to belong together."""
    pickled = read_bytes(config.model_pickle, made_by="training.py")
    model_raw = read_bytes(config.model_json, made_by="training.py")
    reference = read_bytes(config.model_reference, made_by="training.py")
    score_raw = read_bytes(config.score, made_by="scoring.py")
    score_json = read_bytes(config.score_json, made_by="scoring.py")
    score = parse_json(score_json, config.score_json, made_by="scoring.py")
    record = read_bytes(config.ingested_files, made_by="ingestion.py")
    model = model or Model.from_bytes(model_raw)
    refuse_other_features(config, model.columns)
    digest = sha256(pickled)
    if model.lineage.get(PICKLE) != digest:
        raise PipelineError(
            f"{config.model_pickle} and {config.model_json.name} are of different "
            "trainings; run training.py and scoring.py again"
        )
    if score.get(PICKLE) != digest:
        raise PipelineError(
            f"{config.score} is not the score of {config.model_pickle}; run scoring.py"
        )
    usual = parse_json(reference, config.model_reference, made_by="training.py")
    if usual.get(PICKLE) != digest:
        raise PipelineError(
            f"{config.model_pickle} and {config.model_reference.name} are of different "
            "trainings; run training.py and scoring.py again"
        )
    kept = ("f1", "f1_interval", "n", "basis", "auc", "auc_interval", "brier", "test_sha256")
    if not set(kept) <= score.keys():
        raise PipelineError(f"{config.score_json} is incomplete; run scoring.py again")
    if parse_number(score_raw, config.score, made_by="scoring.py") != score["f1"]:
        raise PipelineError(
            f"{config.score} and {config.score_json.name} disagree; run scoring.py again"
        )
    if not config.finaldata.exists():
        raise PipelineError(f"no finaldata.csv at {config.finaldata}; run ingestion.py first")
    lineage = {**model.lineage, **{key: score[key] for key in kept}, "columns": model.columns}
    sources: dict[str, bytes | Path] = {
        "trainedmodel.pkl": pickled,
        "model.json": model_raw,
        "latestscore.txt": score_raw,
        "latestscore.json": score_json,
        "ingestedfiles.txt": record,
        "finaldata.csv": config.finaldata,
        REFERENCE: reference,
    }
    return sources, lineage, (model, score, usual)


def rollback(config: Config, version: int | None) -> Outcome:
    """Make a kept release current again and keep it; the present one becomes the former."""
    release = former_release(config, version)
    refuse_other_features(config, release.manifest["columns"])
    present = current_version(config)
    has_rows = roll_back(config, release)
    text = f"version {release.version} is deployed again and redeploying is paused {UNTIL}"
    text += "" if has_rows else "; its finaldata.csv is no longer kept"
    data = {"version": release.version, "former": present, "paused": True, "finaldata": has_rows}
    return Outcome(text, data)


def end_pause(config: Config) -> Outcome:
    """Let fullprocess.py deploy again; what paused it is taken as it is from now on."""
    before = release_hold(config)
    if before is None:
        return Outcome("nothing is paused", {"paused": False}, worked=False)
    text = f"version {before.current} is no longer paused; fullprocess.py may deploy again"
    if before.issues:
        names = sorted({name for _, columns in before.issues for name in columns})
        text += f"; the new values of {', '.join(names)} are taken as they are"
    return Outcome(text, {"paused": False, "version": before.current})


def list_releases(config: Config) -> Outcome:
    """The kept releases as a table, oldest first."""
    now, kept = read_deployment(config), kept_releases(config)
    marks = {now.former: "former", now.current: "current, paused" if now.by_hand else "current"}
    head = f"{'version':>7}  {'deployed':20}  {'F1':>6}  {'rows':>8}  trained"
    rows = [f"{_row(release)} {marks.get(release.version, '')}".rstrip() for release in kept]
    data = {
        "current": now.current,
        "former": now.former,
        "paused": now.by_hand,
        "releases": [release.manifest for release in kept],
    }
    return Outcome("\n".join([head, *rows]) if rows else "nothing is deployed yet", data)


def _row(release: Release) -> str:
    m = release.manifest
    about = f"{m['deployed_at']:20}  {m['f1']:6.3f}  {m['rows']:>8}  {m['trained_at']}"
    return f"{release.version:>7}  {about}"


def _by_hand(config: Config, outcome: Outcome, action: str) -> Outcome:
    """The outcome, after it was written into the history and the evidence was begun anew."""
    from risk.data.state import read_store_state
    from risk.decide.state import restart_evidence
    from risk.record.history import Entry, record

    restart_evidence(config)
    now, data = utc_now(), outcome.data
    record(
        config,
        Entry(
            key=f"{action} {data.get('version')} {now}",
            at=now,
            data_version=read_store_state(config)["data_version"],
            policy=config.policy,
            verdict="by hand",
            action=action,
            reason=outcome.text,
            rows=0,
            exits=0,
            before=data.get("former"),
            after=data.get("version"),
            evidence=(),
            details={},
        ),
    )
    return outcome


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--list", action="store_true", help="the kept releases")
    one.add_argument(
        "--rollback",
        nargs="?",
        const=0,
        type=int,
        metavar="VERSION",
        help="back to the former (or that) version, and pause redeploying",
    )
    one.add_argument("--release-hold", action="store_true", help="let fullprocess.py deploy again")


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    from risk.decide.state import refuse_newer_evidence

    if chosen.list:
        return list_releases(config)
    refuse_newer_evidence(config)  # a newer software's evidence is refused before anything changes
    if chosen.rollback is not None:
        return _by_hand(config, rollback(config, chosen.rollback or None), "rollback by hand")
    if chosen.release_hold:
        done = end_pause(config)
        return _by_hand(config, done, "release hold") if done.worked else done
    # What a person chose over another stays, else fullprocess.py would soon replace it.
    over_another = current_version(config) is not None
    return _by_hand(config, deploy(config, pause=over_another)[0], "deployment by hand")


if __name__ == "__main__":
    run(stage, __doc__, options=options, writes=lambda chosen: not chosen.list)

"""Puts model, score, ingest record and training data into production as one release.

python deployment.py                        deploy what training.py and scoring.py made
python deployment.py --list                 the kept releases
python deployment.py --rollback [VERSION]   back to the former (or that) one, and pause redeploying
python deployment.py --release-hold         let fullprocess.py deploy again, and take the values of
                                            a data quality issue as they are
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from risk.config import Config, Outcome, PipelineError
from risk.data.snapshot import refuse_other_features
from risk.files import parse_json, parse_number, read_bytes, sha256, utc_now
from risk.model.deployed import REFERENCE, Deployed
from risk.model.model import Model
from risk.releases import (
    current_version,
    deploy_release,
    former_release,
    kept_releases,
    read_deployment,
    release_hold,
    roll_back,
)
from risk.script import run
from risk.words import aligned

PICKLE = "trainedmodel_sha256"
UNTIL = "until deployment.py --release-hold"
# What of the score the manifest repeats, so that a release can be listed and judged by it alone.
SCORE_KEYS = ("f1", "f1_interval", "n", "basis", "auc", "auc_interval", "brier", "test_sha256")


@dataclass(frozen=True)
class _Made:
    """What the stages before made: a release's files but the rows, and three of them as values."""

    files: dict[str, bytes]
    model: Model
    score: dict[str, Any]
    reference: dict[str, Any]


def deploy(
    config: Config, model: Model | None = None, *, pause: bool = False
) -> tuple[Outcome, Deployed]:
    """Publish the trained model, its score, its ingest record and the rows it was trained on.

    model: the trained model, where the caller has it at hand. pause: fullprocess.py is to leave
    the release until the hold is released.
    """
    made = _read_files(config, model)
    _refuse_mixed(config, made)
    score = {key: made.score[key] for key in SCORE_KEYS}
    # Whether the list may be used is judged by all rows there are, not by a few test rows.
    score["auc_interval"] = made.score.get("auc_interval_of_all") or score["auc_interval"]
    lineage = {**made.model.lineage, **score, "columns": made.model.columns}
    release = deploy_release(
        config, {**made.files, "finaldata.csv": config.finaldata}, lineage, pause=pause
    )
    now = read_deployment(config)
    place = config.shown(config.production_folder)
    text = f"deployed version {release.version} (F1 {score['f1']:.3f}) in {place}"
    text += f", paused {UNTIL}" if now.by_hand else ""
    outcome = Outcome(text, {"version": release.version, "former": now.former, **lineage})
    return outcome, Deployed(release.manifest, made.model, made.score, made.reference)


def _read_files(config: Config, model: Model | None) -> _Made:
    """Each read once; PipelineError names the script that makes what is missing."""
    files = {
        "trainedmodel.pkl": read_bytes(config.model_pickle, made_by="training.py"),
        "model.json": read_bytes(config.model_json, made_by="training.py"),
        REFERENCE: read_bytes(config.model_reference, made_by="training.py"),
        "latestscore.txt": read_bytes(config.score, made_by="scoring.py"),
        "latestscore.json": read_bytes(config.score_json, made_by="scoring.py"),
        "ingestedfiles.txt": read_bytes(config.ingested_files, made_by="ingestion.py"),
    }
    if not config.finaldata.exists():
        raise PipelineError(f"no finaldata.csv at {config.finaldata}; run ingestion.py first")
    return _Made(
        files,
        model or Model.from_bytes(files["model.json"]),
        parse_json(files["latestscore.json"], config.score_json, made_by="scoring.py"),
        parse_json(files[REFERENCE], config.model_reference, made_by="training.py"),
    )


def _refuse_mixed(config: Config, made: _Made) -> None:
    """PipelineError where the files are not all of one training, or the config has other features.

    Whoever trains by hand and forgets to score would else deploy another model's score.
    """
    refuse_other_features(config, made.model.columns)
    digest = sha256(made.files["trainedmodel.pkl"])
    model, reference = config.model_json, config.model_reference
    for path, known in ((model, made.model.lineage), (reference, made.reference)):
        if known.get(PICKLE) != digest:
            raise PipelineError(
                f"{config.model_pickle} and {path.name} are of different trainings; "
                "run training.py and scoring.py again"
            )
    if made.score.get(PICKLE) != digest:
        raise PipelineError(
            f"{config.score} is not the score of {config.model_pickle}; run scoring.py"
        )
    if not set(SCORE_KEYS) <= made.score.keys():
        raise PipelineError(f"{config.score_json} is incomplete; run scoring.py again")
    # scoring.py writes the JSON first: cut off in between, the text is an older score.
    number = parse_number(made.files["latestscore.txt"], config.score, made_by="scoring.py")
    if number != made.score["f1"]:
        raise PipelineError(
            f"{config.score} and {config.score_json.name} disagree; run scoring.py again"
        )


def rollback(config: Config, version: int | None) -> Outcome:
    """Make a kept release current again and keep it; the present one becomes the former."""
    release = former_release(config, version)
    # A model of other columns could score nothing that comes in from now on.
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
    rows: list[tuple[str, ...]] = [("version", "deployed", "F1", "rows", "trained", "")]
    for m in (release.manifest for release in kept):
        cells = str(m["version"]), m["deployed_at"], f"{m['f1']:.3f}", str(m["rows"])
        rows.append((*cells, m["trained_at"], marks.get(m["version"], "")))
    table = "\n".join(aligned(rows, right={0, 2, 3}))
    data = {
        "current": now.current,
        "former": now.former,
        "paused": now.by_hand,
        "releases": [release.manifest for release in kept],
    }
    return Outcome(table if kept else "nothing is deployed yet", data)


def _by_hand(config: Config, outcome: Outcome, action: str) -> Outcome:
    """The outcome, after it was written into the history and the evidence was begun anew."""
    from risk.data.state import read_store_state
    from risk.decide.evidence_file import restart_evidence
    from risk.record.history import Entry, record

    restart_evidence(config)
    now, data = utc_now(), outcome.data
    record(
        config,
        Entry(
            # With the moment: the same rollback once more is another entry of the history.
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
    from risk.decide.evidence_file import refuse_newer_evidence

    if chosen.list:
        return list_releases(config)
    refuse_newer_evidence(config)  # a newer software's evidence is refused before anything changes
    # 0 is --rollback without a version, the former one: versions begin at 1.
    if chosen.rollback is not None:
        return _by_hand(config, rollback(config, chosen.rollback or None), "rollback by hand")
    if chosen.release_hold:
        done = end_pause(config)
        return _by_hand(config, done, "release hold") if done.worked else done
    # What a person chose over another stays, else fullprocess.py would soon replace it.
    over_another = current_version(config) is not None
    return _by_hand(config, deploy(config, pause=over_another)[0], "deployment by hand")


if __name__ == "__main__":
    # --list changes nothing, so that it need not wait for a run's lock.
    run(stage, __doc__, options=options, writes=lambda chosen: not chosen.list)

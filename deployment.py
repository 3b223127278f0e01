"""Puts model, score, ingest record and training data into production as one release.

python deployment.py                        deploy what training.py and scoring.py made
python deployment.py --list                 the kept releases
python deployment.py --rollback [VERSION]   back to the former (or that) one, and hold it
python deployment.py --release-hold         let fullprocess.py deploy again, and take the values of
                                            a data fault as they are
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from risk import files
from risk.config import Config, Outcome, PipelineError
from risk.data.snapshot import refuse_other_features
from risk.drift import state
from risk.drift.quality import DataQualityIssue
from risk.files import (
    Release,
    build_release,
    current_version,
    make_current,
    parse_json,
    parse_number,
    prune,
    read_bytes,
    read_optional_json,
    releases,
    sha256,
    utc_now,
    write_json,
)
from risk.model.model import Model
from risk.script import run

PICKLE = "trainedmodel_sha256"
BY_HAND, BACK_BY_HAND, RELEASED = "deployment by hand", "rollback by hand", "release hold"


def deploy(config: Config, *, hold: bool = False) -> Outcome:
    """Publish the trained model, its score, its ingest record and the rows it was trained on.

    hold: fullprocess.py is to leave it until the hold is released.
    """
    sources, lineage = _parts(config)
    releases(config)  # a newer software's release among them is refused before anything changes
    former = current_version(config)
    release = build_release(config, sources, lineage)
    make_current(config, release.version)
    held = hold or is_held(config)
    _note_deployment(config, current=release.version, former=former, held=held)
    prune(config, keep={former} if former else set())
    place = config.shown(config.production_folder)
    text = f"deployed version {release.version} (F1 {lineage['f1']:.3f}) in {place}"
    text += ", held until deployment.py --release-hold" if held else ""
    return Outcome(text, {"version": release.version, "former": former, **lineage})


def _deploy_by_hand(config: Config) -> Outcome:
    """Deploy what a person made, and hold it: fullprocess.py would else soon replace it.

    The first deployment is not held: there is nothing that the person chose it above.
    """
    return _told(config, deploy(config, hold=current_version(config) is not None), BY_HAND)


def _told(config: Config, outcome: Outcome, action: str) -> Outcome:
    """The outcome, after it was written into the history and the evidence was begun anew."""
    from risk.data.store import read_state
    from risk.decide.state import restart_evidence
    from risk.record.history import Entry, record

    restart_evidence(config)
    now, data = utc_now(), outcome.data
    record(
        config,
        Entry(
            key=f"{action} {data.get('version')} {now}",
            at=now,
            data_version=read_state(config)["data_version"],
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


def _parts(config: Config) -> tuple[dict[str, bytes | Path], dict[str, Any]]:
    """(release file -> its content, lineage), each read once and checked to belong together."""
    pickled = read_bytes(config.model_pickle, made_by="training.py")
    model_raw = read_bytes(config.model_json, made_by="training.py")
    reference = read_bytes(config.model_reference, made_by="training.py")
    score_raw = read_bytes(config.score, made_by="scoring.py")
    score_json = read_bytes(config.score_json, made_by="scoring.py")
    score = parse_json(score_json, config.score_json, made_by="scoring.py")
    record = read_bytes(config.ingested_files, made_by="ingestion.py")
    model = Model.from_bytes(model_raw)
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
    if parse_json(reference, config.model_reference, made_by="training.py").get(PICKLE) != digest:
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
    return {
        "trainedmodel.pkl": pickled,
        "model.json": model_raw,
        "latestscore.txt": score_raw,
        "latestscore.json": score_json,
        "ingestedfiles.txt": record,
        "finaldata.csv": config.finaldata,
        state.NAME: reference,
    }, lineage


def _note_deployment(
    config: Config,
    *,
    current: int,
    former: int | None,
    held: bool,
    accepted: dict[str, Any] | None = None,
) -> None:
    """Write what is deployed; accepted: data faults taken as they are, None for those so far."""
    if accepted is None:
        accepted = read_optional_json(config.deployment_state).get("accepted") or {}
    note = {"format": 1, "current": current, "former": former, "held": held, "at": utc_now()}
    write_json(config.deployment_state, note | ({"accepted": accepted} if accepted else {}))


def is_held(config: Config) -> bool:
    """Whether a version chosen by hand is to stay."""
    return hold_of(config) is True


def hold_of(config: Config) -> bool | str:
    """What holds the deployed version: True for a person, "data fault", False for nothing."""
    return read_optional_json(config.deployment_state).get("held") or False


def note_faults(config: Config, faults: tuple[DataQualityIssue, ...]) -> None:
    """Note which data faults hold the deployed version now, if any; a hold by hand stays."""
    note = read_optional_json(config.deployment_state)
    held = {"held": state.FAULT_HOLD} if faults else {"held": False}
    now = {**note, **held, "faults": [state.issue_key(fault) for fault in faults]}
    if note and note.get("held") is not True and note != now and (faults or note.get("faults")):
        write_json(config.deployment_state, now)


def former_version(config: Config) -> int | None:
    """The version that was current before this one, also after a crash between swap and note."""
    note, current = read_optional_json(config.deployment_state), current_version(config)
    return note.get("former") if note.get("current") == current else note.get("current")


def rollback(config: Config, version: int | None) -> Outcome:
    """Make a kept release current again and hold it; the present one becomes the former."""
    present = current_version(config)
    wanted = version if version is not None else former_version(config)
    kept = {release.version: release for release in releases(config)}
    if wanted is None or wanted not in kept or wanted == present:
        why = "is deployed already" if wanted is not None and wanted == present else "is not kept"
        what = f"version {wanted} {why}" if wanted is not None else "there is no former version"
        raise PipelineError(
            f"{what}; kept: {', '.join(map(str, kept)) or 'none'} (deployment.py --list)"
        )
    refuse_other_features(config, kept[wanted].manifest["columns"])
    broken = damage(kept[wanted])
    if broken:
        others = ", ".join(str(v) for v in kept if v not in (wanted, present)) or "none is left"
        raise PipelineError(f"version {wanted} is damaged ({broken[0]}); choose another: {others}")
    whole = _restore_finaldata(config, kept[wanted])
    _note_deployment(config, current=wanted, former=present, held=True)
    make_current(config, wanted)
    prune(config, keep={present} if present else set())
    missing = "" if whole else "; its finaldata.csv is no longer kept"
    return Outcome(
        f"version {wanted} is deployed again and held until deployment.py --release-hold{missing}",
        {"version": wanted, "former": present, "held": True, "finaldata": whole},
    )


def _restore_finaldata(config: Config, release: Release) -> bool:
    """Put the rows back that an older release was trained on: they are the beginning of today's."""
    target, digest = release.folder / "finaldata.csv", release.manifest["files"]["finaldata.csv"]
    if target.exists():
        return True
    size = release.manifest["finaldata_bytes"]
    if not config.finaldata.exists() or config.finaldata.stat().st_size < size:
        return False
    building = target.with_name(f"{files.TEMPORARY}finaldata.csv")
    try:
        files.copy_file(config.finaldata, building, size=size)
        if files.file_sha256(building) != digest:
            return False
        building.replace(target)
    finally:
        building.unlink(missing_ok=True)
    files.sync_folder(release.folder)
    return True


def damage(release: Release) -> list[str]:
    """What does not match its digest in a release; an older one need not hold its rows any more."""
    found = []
    for name, digest in release.manifest["files"].items():
        path = release.folder / name
        if not path.exists():
            if name != "finaldata.csv":
                found.append(f"{name} is missing")
        elif files.file_sha256(path) != digest:
            found.append(f"{name} does not match its digest")
    return found


def release_hold(config: Config) -> Outcome:
    note, current = read_optional_json(config.deployment_state), current_version(config)
    if not note.get("held") or current is None:
        return Outcome("nothing is held", {"held": False}, worked=False)
    accepted = state.accept_issues(config, note.get("faults", []))
    _note_deployment(
        config, current=current, former=former_version(config), held=False, accepted=accepted
    )
    text = f"version {current} is no longer held; fullprocess.py may deploy again"
    if note["held"] == state.FAULT_HOLD:
        names = sorted({name for _, columns in note["faults"] for name in columns})
        text += f"; the new values of {', '.join(names)} are taken as they are"
    return _told(config, Outcome(text, {"held": False, "version": current}), RELEASED)


def listing(config: Config) -> Outcome:
    """The kept releases as a table, oldest first."""
    current, former = current_version(config), former_version(config)
    rows = [_line(r, current, former, is_held(config)) for r in releases(config)]
    head = f"{'version':>7}  {'deployed':20}  {'F1':>6}  {'rows':>8}  trained              "
    data = {
        "current": current,
        "former": former,
        "held": is_held(config),
        "releases": [release.manifest for release in releases(config)],
    }
    return Outcome("\n".join([head.rstrip(), *rows]) if rows else "nothing is deployed yet", data)


def _line(release: Release, current: int | None, former: int | None, held: bool) -> str:
    m = release.manifest
    mark = {current: "current, held" if held else "current", former: "former"}.get(
        release.version, ""
    )
    return (
        f"{release.version:>7}  {m['deployed_at']:20}  {m['f1']:6.3f}  {m['rows']:>8}  "
        f"{m['trained_at']} {mark}"
    ).rstrip()


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--list", action="store_true", help="the kept releases")
    one.add_argument(
        "--rollback",
        nargs="?",
        const=0,
        type=int,
        metavar="VERSION",
        help="back to the former (or that) version, and hold it",
    )
    one.add_argument("--release-hold", action="store_true", help="let fullprocess.py deploy again")


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    from risk.decide.state import read_state_json

    if chosen.list:
        return listing(config)
    read_state_json(config)  # a newer software's evidence is refused before anything changes
    if chosen.rollback is not None:
        return _told(config, rollback(config, chosen.rollback or None), BACK_BY_HAND)
    return release_hold(config) if chosen.release_hold else _deploy_by_hand(config)


if __name__ == "__main__":
    run(stage, __doc__, options=options, writes=lambda chosen: not chosen.list)

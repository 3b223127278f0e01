"""Every artifact compared with its digest or its source: which is damaged, and what to type."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from risk.calllist.held_out import held_out_risks
from risk.calllist.ranking import client_list
from risk.calllist.sheets import csv_file
from risk.calllist.types import read_list
from risk.config import Config, Outcome, PipelineError
from risk.data.holdout import TestRows
from risk.data.inventory import ingest_record, summary_of
from risk.data.snapshot import read_snapshot, refuse_other_features
from risk.data.sources import CLOSED, emptied, find_sources, input_trouble
from risk.data.state import read_store_state
from risk.data.store import Store
from risk.files import (
    DamagedFile,
    StateFile,
    Unreadable,
    file_sha256,
    parse_json,
    parse_number,
    read_json,
    read_optional_json,
    unreadable,
)
from risk.model.deployed import read_deployed
from risk.model.model import Model
from risk.model.score import score_of
from risk.releases import (
    OpenRelease,
    current_version,
    read_release,
    refuse_broken_links,
    release_folders,
)
from risk.run.record import running
from risk.script import commands_in
from risk.words import amount

PNG = b"\x89PNG\r\n\x1a\n"
_CLOSED = re.compile(f"^cannot read |{CLOSED}")
NOT_YET = "not there yet"
Check = Callable[[Config], str]


def doctor(config: Config) -> Outcome:
    """What became of each artifact, a line each; exit code 1 where one is damaged."""
    found = [(name, *_examined(*check, config)) for name, check in checks(config).items()]
    bad = [name for name, well, _ in found if not well]
    # What nobody may read may be whole: only the right to it is missing.
    closed = {name for name, well, what in found if not well and _CLOSED.search(what)}
    words = {name: "ok     " if well else "DAMAGED" for name, well, _ in found}
    words |= dict.fromkeys(closed, "CLOSED ")
    lines = [f"{words[name]} {name}: {what}" for name, _, what in found]
    busy = running(config)
    if busy:
        lines.append(f"{busy}; what it is writing may look damaged, ask again when it has ended")
    lines += [config.ignored_note] if config.ignored else []
    broken = "; ".join(name for name in bad if name not in closed)
    verdicts = {"damaged": broken, "cannot be read": "; ".join(sorted(closed))}
    verdict = "; ".join(f"{word}: {names}" for word, names in verdicts.items() if names)
    verdict = verdict or "all is well"
    data = [{"name": name, "ok": well, "what": what} for name, well, what in found]
    cures = "\n".join(what for _, well, what in found if not well)
    typed = [f"type: {command}" for command in commands_in(cures, config.path)]
    text = "\n".join([*lines, verdict, *typed])
    return Outcome(text, {"checks": data, "running": busy}, code=int(bool(bad)))


def checks(config: Config) -> dict[str, tuple[Check, str]]:
    """Artifact -> (what says in words that it is well or raises, what makes it anew)."""
    return {
        "input folder": (_input_folder, "give this user the right to it"),
        "finaldata.csv": (_ingested_rows, "run ingestion.py --rebuild"),
        "ingestedfiles.txt": (_ingest_record, "run ingestion.py"),
        "summary.json": (_statistics, f"delete {config.shown(config.summary)}, run ingestion.py"),
        "trainedmodel.pkl, model.json": (_trained_model, "run training.py and scoring.py"),
        "latestscore.txt, latestscore.json": (_score, "run scoring.py"),
        "production_deployment": (_deployed_release, "run deployment.py"),
        **_older_checks(config),  # what a rollback would deploy
        "clients_at_risk.csv, .json": (listed_clients, "run reporting.py"),
        "confusion_matrix.png": (_picture, "run reporting.py"),
        "apireturns.txt": (_api_answers, "run apicalls.py"),
        "state": (_kept_state, "run fullprocess.py"),
    }


def _older_checks(config: Config) -> dict[str, tuple[Check, str]]:
    try:
        current, folders = current_version(config), release_folders(config)
    except (Unreadable, OSError):  # the check of the deployed one says so
        return {}
    return {
        f"release {folder.name}": (
            partial(_older_release, folder),
            f"delete {config.shown(folder)}",
        )
        for version, folder in folders.items()
        if version != current
    }


def _examined(check: Check, cure: str, config: Config) -> tuple[bool, str]:
    try:
        return True, check(config)
    except PipelineError as error:
        return False, str(error)
    except FileNotFoundError as error:
        return False, f"{error.filename}: {error.strerror}; {cure}"
    except OSError as error:  # the cure would take away what nobody has seen
        return False, str(unreadable(Path(str(error.filename)), error))
    # A damaged file fails wherever its reader comes upon the damage: the doctor itself never does.
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        return False, f"it cannot be understood ({error!r}); {cure}"


def _input_folder(config: Config) -> str:
    """Whether all of it can be read, and whether it still holds what was read from it."""
    stored = read_store_state(config)
    if wrong := input_trouble(config, stored.get("unread", [])):
        raise Unreadable(wrong)
    sources, _ = find_sources(config.input_folder)
    read = [entry for entry in stored["files"].values() if entry["verdict"] != "forgotten"]
    gone = emptied(config.shown(config.input_folder), sources, len(read))
    return gone[0] if gone else amount(len(sources), "file")


def _ingested_rows(config: Config) -> str:
    """The segments by their digests, and finaldata.csv by the segments."""
    store = Store.open(config)
    written = bool(store.state["schema_signature"])
    if not written and any(config.segments.glob("*.parquet")):
        raise PipelineError(
            f"{config.shown(config.store_state)} is missing; run ingestion.py --rebuild"
        )
    if not written and not config.finaldata.exists():
        return NOT_YET
    found = read_snapshot(config)
    # The store's own rows: those of a snapshot have labels that were made of the months.
    if written and store.finaldata_bytes() != config.finaldata.read_bytes():
        raise PipelineError(
            f"it differs from the rows in {config.shown(config.segments)}; delete "
            f"{config.shown(config.finaldata)} and run ingestion.py"
        )
    return f"{found.rows.height} rows"


def _ingest_record(config: Config) -> str:
    """The record as the store's state would write it."""
    store = Store.open(config)
    if not store.files:
        return NOT_YET
    expected = ingest_record(config, store.files)
    if not config.ingested_files.exists() or config.ingested_files.read_bytes() != expected:
        raise PipelineError("it is missing or not as the store has it; run ingestion.py")
    return f"{len(store.files)} files"


def _statistics(config: Config) -> str:
    """The summary as it would be computed from the rows."""
    store = Store.open(config)
    if not store.state["schema_signature"]:
        return NOT_YET
    if not config.summary.exists():
        raise PipelineError("it is missing; run ingestion.py")
    present = read_optional_json(config.summary)
    # The time is its own; all else must be as it would be computed now.
    expected = summary_of(store.state, store.schema, store.rows())
    if present | {"measured_at": ""} != expected | {"measured_at": ""}:
        raise PipelineError(
            f"it is not that of the rows; delete {config.shown(config.summary)} and run "
            "ingestion.py"
        )
    return f"measured {present['measured_at']}"


def _trained_model(config: Config) -> str:
    """model.json by its own digest, the pickle by the one that model.json names."""
    if not config.model_json.exists() and not config.model_pickle.exists():
        return NOT_YET
    model = Model.from_bytes(config.model_json.read_bytes())
    reference = read_json(config.model_reference, "training.py")
    digests = {reference.get("trainedmodel_sha256"), file_sha256(config.model_pickle)}
    if digests != {model.lineage.get("trainedmodel_sha256")}:
        raise PipelineError("they do not belong together; run training.py and scoring.py")
    return f"trained {model.lineage['trained_at']} on {model.lineage['rows']} rows"


def _score(config: Config) -> str:
    """The score computed again where the test data are the same, else the files by one another."""
    if not config.score.exists() and not config.score_json.exists():
        return NOT_YET
    found = read_json(config.score_json, made_by="scoring.py")
    number = parse_number(config.score.read_bytes(), config.score, made_by="scoring.py")
    model = Model.from_bytes(config.model_json.read_bytes())
    if found.get("trainedmodel_sha256") != model.lineage.get("trainedmodel_sha256"):
        raise PipelineError("it is not the score of trainedmodel.pkl; run scoring.py")
    test = TestRows(config, model.columns)
    scored = score_of(model, test) if test.sha256 == found.get("test_sha256") else None
    again = json.loads(json.dumps(scored or {}))  # as the file has it: lists for tuples
    if number != found.get("f1") or again != {key: found.get(key) for key in again}:
        raise PipelineError("it is not what the model scores; run scoring.py")
    return f"F1 {number:.3f} ({found['basis']})"


def _deployed_release(config: Config) -> str:
    """Every file of the current release by its manifest, and the links by which people see it."""
    # current_version: a closed folder looks to lexists as if nothing were in it.
    if current_version(config) is None and not os.path.lexists(
        config.production_folder / "current"
    ):
        return NOT_YET
    try:
        with OpenRelease(config) as release:
            if damage := read_release(release_folders(config)[release.version]).damage():
                raise release.damaged(damage[0])
            Model.from_bytes(release.verified("model.json"))
        refuse_broken_links(config)
    except PipelineError as error:
        what = str(error).partition("; ")[0]
        raise PipelineError(f"{what}; {_redeployed_by(config)}") from None
    return f"version {release.version}, every file as in its manifest"


def _redeployed_by(config: Config) -> str:
    """What to type when the deployment is damaged."""
    try:
        _trained_model(config)
        _score(config)
        lineage = Model.from_bytes(config.model_json.read_bytes()).lineage
        whole = lineage["data_sha256"] == file_sha256(config.finaldata)
    except (PipelineError, OSError):
        whole = False
    anew = "deployment.py" if whole else "training.py, scoring.py and deployment.py"
    return f"run {anew} (or deployment.py --rollback, see deployment.py --list)"


def _older_release(folder: Path, config: Config) -> str:
    """A former release by its manifest; it need not hold its rows any more."""
    cure = f"it cannot be rolled back to; delete {config.shown(folder)}"
    try:
        damage = read_release(folder).damage()
    except DamagedFile:
        raise PipelineError(f"manifest.json is missing or damaged; {cure}") from None
    if damage:
        raise PipelineError(f"{damage[0]}; {cure}")
    return "every file as in its manifest"


def listed_clients(config: Config) -> str:
    """The list as the deployed model would rank the present rows, in both forms."""
    version = current_version(config)
    if version is None or not (config.clients_json.exists() or config.clients_csv.exists()):
        return NOT_YET
    listing = read_list(config)
    if listing is None:
        raise PipelineError(f"{config.shown(config.clients_json)} is damaged; run reporting.py")
    csv = config.clients_csv.read_bytes() if config.clients_csv.exists() else b""
    if csv != csv_file(listing):
        raise PipelineError("they are not the same list; run reporting.py")
    deployed = read_deployed(config)
    refuse_other_features(config, deployed.model.columns)
    snapshot = read_snapshot(config)
    held_out = held_out_risks(config, snapshot, deployed.manifest)
    again = client_list(config, snapshot, deployed, held_out)
    if listing.ranked() != again.ranked():
        raise PipelineError(
            "not the list of the deployed model on the present rows; run reporting.py"
        )
    return f"{len(listing.clients)} clients"


def _picture(config: Config) -> str:
    """The picture by the checksums of its parts."""
    if not config.confusion_matrix.exists():
        return NOT_YET
    data = config.confusion_matrix.read_bytes()
    if not is_whole_png(data):
        raise PipelineError("it is no whole PNG; run reporting.py")
    return f"{len(data)} bytes"


def is_whole_png(data: bytes) -> bool:
    """Whether every part of the PNG has the checksum it names, up to the closing part."""
    at, kind = len(PNG), b""
    while data.startswith(PNG) and at + 12 <= len(data) and kind != b"IEND":
        size = int.from_bytes(data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 8 + size
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return False
        at = end + 4
    return kind == b"IEND" and at == len(data)


def _api_answers(config: Config) -> str:
    if not config.api_returns.exists():
        return NOT_YET
    parse_json(config.api_returns.read_bytes(), config.api_returns, made_by="apicalls.py")
    return "readable"


def _kept_state(config: Config) -> str:
    """What the runs keep between them; all but the history can be made anew."""
    from risk.record.history import entries
    from risk.record.scores import scorings

    entries(config, 1)  # it names a damaged file and what to do
    scorings(config)
    kept = (config.run_marker, config.deployment_state, config.timings, config.packages)
    for path in (*kept, config.decision, config.evidence, config.drift_state, config.alerts):
        try:
            StateFile(path, 1).read()
        except DamagedFile:
            raise PipelineError(
                f"{path.name} is damaged; delete {config.shown(path)} and run fullprocess.py"
            ) from None
    return config.shown(config.state_folder)

"""Whether a run of the driver has anything to do, from sizes, times and three small files.

143 of 144 runs a day have nothing, so that this imports four standard modules and no other (typing
alone would be a fifth of the time), and stands in a module of its own, which is compiled once: that
takes .91 of the processor time of the same lines in the script. What belongs elsewhere is told
twice therefore: folders as risk.config has them, the run log's byte, the files of an ingestion.
tests/run hold the two together.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LATE_AFTER, EVERY_MINUTES, BY_HAND = 2.5, 10, "by hand"  # as risk.run.record and config.py
# As risk.data.tables and risk.data.sources have them.
EMPTIED = ": holds no file any more"
UNFINISHED = (".part", ".filepart", ".crdownload", ".tmp", "~", "Thumbs.db", "desktop.ini")
SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".xlsx", ".xlsm", ".parquet", ".jsonl", ".ndjson")


def idle_line(arguments: list[str]) -> str | None:
    """What a run with these arguments says if it has nothing to do; None if there may be work."""
    config_path = _only_config(arguments)
    if config_path is None or not _has_packages():
        return None
    try:
        with open(config_path, "rb") as file:
            text = file.read().decode().removeprefix("\ufeff")
        settings = json.loads(text)
        root = os.path.realpath(os.path.dirname(config_path))
        state = _folder(root, settings.get("state_path", "state/"))
        with open(os.path.join(state, "lock"), "rb") as lock:
            # Shared, so that two idle runs never take each other for one that works.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # The file system's clock, which stamps the files that are compared with it.
            os.utime(lock.fileno())
            return _idle(text, settings, root, state, os.fstat(lock.fileno()).st_mtime)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def ping_url(arguments: list[str]) -> str:
    """Where an idle run with these arguments leaves a sign of life, "" for nowhere."""
    with open(_only_config(arguments) or "", "rb") as file:
        return str(json.loads(file.read().decode().removeprefix("\ufeff")).get("ping_url") or "")


def _has_packages() -> bool:
    """Whether this Python could do a run's work; one that cannot must not say that all is well."""
    return any(os.path.isdir(os.path.join(folder, "numpy")) for folder in sys.path)


def _only_config(arguments: list[str]) -> str | None:
    """The config of a run without options; any other option asks for a full run."""
    match arguments:
        case []:
            return os.path.join(HOME, "config.json")
        case ["--config", path]:
            return os.path.abspath(path)
        case [option] if option.startswith("--config="):
            return os.path.abspath(option.partition("=")[2])
    return None


def _folder(root: str, text: str) -> str:
    """As risk.config.resolve has it: a slash at both ends is relative to config.json's folder."""
    relative = text.strip("/") if text.startswith("/") and text.endswith("/") else text
    return os.path.realpath(os.path.join(root, relative))


def _idle(text: str, settings: dict[str, Any], root: str, state: str, now: float) -> str | None:
    """The line, if all is as the last completed run left it; a sign of life is left then."""
    marker, contacts = _read(os.path.join(state, "run.json")), settings.get("contacts_path")
    inputs, output, models, production = (
        _folder(root, settings[f"{name}_path"])
        for name in ("input_folder", "output_folder", "output_model", "prod_deployment")
    )
    stored = _store_state(output)
    emptied = next((text for text in stored.get("unread", []) if EMPTIED in text), "")
    lists = [os.path.join(models, f"clients_at_risk.{kind}") for kind in ("csv", "json")]
    same = (
        marker["format"] == 1
        and marker["finished"]
        and marker["config"] == text  # as it is typed: to compare costs less than to understand
        and marker.get("contacts") == (_stamp(_folder(root, contacts)) if contacts else None)
        and not (marker["next_maturity"] and now >= marker["next_maturity"])
        and not _is_mail_due(marker.get("next_mail"), settings, state, now)
        and marker["release"] == _release(production)
        and marker["paused"] == _paused(state)
        and (marker["release"] is None or all(map(os.path.exists, lists)))
        and stored["data_version"] == marker["data_version"]
        and _is_stored(stored, inputs, output, emptied)
    )
    if not same:
        return None
    os.utime(os.path.join(state, "heartbeat"))
    _note_idle(os.path.join(state, "run_log"), int(now // 600))
    return f"idle: nothing new since {marker['finished']}{emptied and '; '}{emptied}"


def _note_idle(path: str, slot: int) -> None:
    """One byte in risk.run.run_log's file, unless another run of these ten minutes has left one."""
    try:
        log = os.open(path, os.O_RDWR)
        place, turn = 1 + slot % 1152, slot // 1152 % 64
        known = os.pread(log, 1, place)
        if known < b"@" or known[0] % 64 != turn:
            os.pwrite(log, bytes([64 + turn]), place)
        os.close(log)
    except OSError:  # a note for people: without it the run is as good
        pass


def _is_mail_due(mail: float | None, settings: dict[str, Any], state: str, now: float) -> bool:
    """Whether a message is due; also that there was silence, which only a run can tell."""
    if not mail:
        return False
    every = settings.get("run_every_minutes", EVERY_MINUTES)
    silence = now - os.stat(os.path.join(state, "heartbeat")).st_mtime
    return now >= mail or (every != BY_HAND and silence > LATE_AFTER * 60 * every)


def _read(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        return json.load(file)


def _release(production: str) -> int | None:
    try:
        return int(os.path.basename(os.readlink(os.path.join(production, "current"))))
    except FileNotFoundError:
        return None


def _paused(state: str) -> bool:
    try:
        return bool(_read(os.path.join(state, "deployment.json"))["paused"])
    except (FileNotFoundError, ValueError):
        return False


def _store_state(output: str) -> dict[str, Any]:
    try:
        return _read(os.path.join(output, "state.json"))
    except FileNotFoundError:
        return {"data_version": 0, "finaldata": None, "files": {}}


def _is_stored(stored: dict[str, Any], inputs: str, output: str, emptied: str) -> bool:
    """Whether every file in the input folder is recorded, and none but said that it has none."""
    finaldata, others = stored["finaldata"], set[str]()
    latest = {name: entry.get("refusal", entry) for name, entry in stored["files"].items()}
    known = {name: [entry["size"], entry["mtime_ns"]] for name, entry in latest.items()}
    tables = dict(_tables(inputs, others))
    read = any(entry["verdict"] != "forgotten" for entry in stored["files"].values())
    return (
        bool(emptied) == (read and not tables)
        and os.path.isdir(inputs)
        and not os.path.exists(os.path.join(output, "intent.json"))
        and (not stored["files"] or os.path.exists(os.path.join(output, "ingestedfiles.txt")))
        and _stamp(os.path.join(output, "finaldata.csv"))
        == ([finaldata["bytes"], finaldata["mtime_ns"]] if finaldata else None)
        and all(stamp == known.get(name) for name, stamp in tables.items())
        # One more file of another kind is a sentence more for a person.
        and others <= {text.partition(": not read")[0] for text in stored.get("unread", [])}
    )


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _tables(folder: str, others: set[str]) -> Iterator[tuple[str, list[int] | None]]:
    """(path below the folder, [size, mtime_ns]) of every regular file that ingestion.py reads.

    others: takes the paths of those that it does not read.
    """
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not (_is_hidden(name) or _is_readable(name))]
        for name in files:
            path = os.path.join(place, name)
            if _is_hidden(name) or not os.path.isfile(path):
                continue
            below = os.path.relpath(path, folder)
            if _is_readable(name):
                yield below, _stamp(path)
            else:
                others.add(below)


def _refuse(error: OSError) -> None:
    raise error  # what cannot be listed is not empty: a full run says so


def _is_readable(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(SUFFIXES)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "~$")) or name.endswith(UNFINISHED)

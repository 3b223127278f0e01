"""Makes finaldata.csv and ingestedfiles.txt from every CSV in the input folder.

    python ingestion.py                         read what is new or changed
    python ingestion.py --init DIR FILE.csv     a project of your own from one table
    python ingestion.py --rebuild               read again what is in the input folder now
    python ingestion.py --forget FILE           take one file's rows out
    python ingestion.py --erase CLIENT          take one client's rows out

Bad rows go to ingesteddata/quarantine with file, line, column, rule and value; the good ones go on.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from risk.config import Config, Outcome, PipelineError
from risk.data.reader import Reading, numeric_counts, read_rows
from risk.data.removal import drop_erased, erase, forget
from risk.data.schema import TEXT, date_in_path, infer_kinds, printable, schema_of, schema_signature
from risk.data.sources import Source, find_sources, is_unchanged, wait_until_written
from risk.data.store import (
    COUNTS,
    Damaged,
    Entry,
    Store,
    check_counts,
    empty_state,
    fits,
    frame_of,
    read_state,
)
from risk.files import make_folder, read_optional_json, sha256, utc_now, write_atomic
from risk.script import report_progress, run

if TYPE_CHECKING:
    import polars as pl


@dataclass
class Found:
    """What one ingestion found: files to commit with their rows, and sentences for a person.

    former: the entries of the store that is rebuilt, whose slots and ticks the same files keep.
    looked: the entry of every file that was read, the refused ones too.
    leaving: the files whose old bytes are no longer theirs.
    lost_track: the old state was damaged, so that nobody knows which rows are new.
    """

    notes: list[str]
    former: dict[str, Entry] = field(default_factory=dict)
    files: dict[str, tuple[Entry, pl.DataFrame | None]] = field(default_factory=dict)
    looked: list[Entry] = field(default_factory=list)
    leaving: set[str] = field(default_factory=set)
    replaced: bool = False
    lost_track: bool = False


Contents = dict[str, tuple[Source, bytes, str]]


def ingest(config: Config, *, patient: bool = False, again: bool = False) -> Outcome:
    """Read what is new or changed since the last ingestion and commit it as one tick.

    patient: leave a young file without its last newline for later. again: read everything anew.
    """
    store, found = _emptied(config) if again else _opened(config)
    sources, skipped = find_sources(config.input_folder)
    ready, waiting = wait_until_written(
        [s for s in sources if _is_pending(store, s)], patient=patient
    )
    found.notes += skipped + waiting
    contents = _contents(ready, found)
    contents |= _contents(_widowed(store, sources, contents), found)
    found.leaving = {
        file
        for file, (_, _, digest) in contents.items()
        if file in store.files and store.files[file]["sha256"] != digest
    }
    _settle_kinds(store, found, contents)
    _take_all(store, found, contents)
    _commit(store, found, again=again)
    return _outcome(config, store, found)


def _opened(config: Config) -> tuple[Store, Found]:
    """The store as it was committed last; after it was deleted nobody knows which rows are new."""
    deleted = not config.store_state.exists()
    store = Store.open(config)
    return store, Found(store.recover(), lost_track=deleted and store.data_version > 0)


def _emptied(config: Config) -> tuple[Store, Found]:
    """An empty store with the old one's ticks and erasures, and the entries of the old one."""
    found, old = Found([]), empty_state()
    try:
        old = read_state(config)
    except Damaged:
        old, found.lost_track = _salvaged(config), True
        found.notes.append(
            f"{config.store_state} could not be read; it knew {len(old['erased'])} erased clients: "
            "were there more, erase them again"
        )
    found.former = {file: dict(entry) for file, entry in old["files"].items()}
    if old["schema_signature"] is None or not fits(old, schema_of(config, old["kinds"])):
        # The rows themselves change: nobody may take them for those that were judged before.
        for entry in found.former.values():
            entry["sha256"] = ""
    kept = {key: old[key] for key in ("data_version", "erased", "finaldata")}
    return Store(config, empty_state() | kept, schema_of(config)), found


def _salvaged(config: Config) -> dict[str, Any]:
    """What can be used of a damaged state: the tick and the erased clients."""
    raw, state = read_optional_json(config.store_state), empty_state()
    if type(raw.get("data_version")) is int:
        state["data_version"] = raw["data_version"]
    if isinstance(raw.get("erased"), list):
        state["erased"] = [digest for digest in raw["erased"] if isinstance(digest, str)]
    return state


def _order(former: Entry | None, file: str) -> tuple[bool, int, str]:
    """Old slots first, then new files by path, so that a rebuild gives the same bytes."""
    held = former is not None and former.get("segment") is not None
    return not held, former["slot"] if former and held else 0, file


def _is_pending(store: Store, source: Source) -> bool:
    entry = store.files.get(source.file)
    if entry is None:
        return True
    latest = entry.get("refusal", entry)
    same = (latest["size"], latest["mtime_ns"]) == (source.size, source.mtime_ns)
    return not same or _is_outdated(store, latest)


def _is_outdated(store: Store, entry: Entry) -> bool:
    """A refusal holds under the settings it was given under."""
    return entry["verdict"] == "refused" and entry["rules"] != _rules(store)


def _rules(store: Store) -> str:
    """A digest of the settings that decide whether a file can be read."""
    config = store.config
    said = [
        schema_signature(store.schema),
        sorted(config.columns.kinds.items()),
        list(astuple(config.csv)),
    ]
    return sha256(json.dumps(said).encode())[:12]


def _widowed(store: Store, sources: list[Source], contents: Contents) -> list[Source]:
    """Files that were counted once through another one which no longer has their bytes."""
    held = {
        entry["sha256"]
        for entry in store.live()
        if entry["file"] not in contents or contents[entry["file"]][2] == entry["sha256"]
    }
    repeated = {
        file
        for file, entry in store.files.items()
        if entry["verdict"] == "repeated" and entry["sha256"] not in held
    }
    return [s for s in sources if s.file in repeated and s.file not in contents]


def _contents(sources: list[Source], found: Found) -> Contents:
    """Bytes and digest of each file, read once; without those that somebody writes to."""
    contents = {}
    for source in sources:
        try:
            data = source.path.read_bytes()
        except OSError as error:
            found.notes.append(f"{source.file}: cannot be read, {error.strerror}")
            continue
        if len(data) != source.size or not is_unchanged(source):
            found.notes.append(f"{source.file}: is still growing; left for the next run")
            continue
        contents[source.file] = source, data, sha256(data)
    return contents


def _settle_kinds(store: Store, found: Found, contents: Contents) -> None:
    """Infer the kinds that are still open from all new files together."""
    kinds = store.schema.kinds()
    if all(kinds.values()):
        return
    totals: dict[str, tuple[int, int]] = {}
    for _, data, _ in contents.values():
        for name, (filled, numeric) in numeric_counts(data, store.schema, store.config.csv).items():
            before = totals.get(name, (0, 0))
            totals[name] = before[0] + filled, before[1] + numeric
    inferred = infer_kinds(store.schema, totals)
    texts = [name for name, kind in inferred.items() if kind == TEXT and kinds[name] is None]
    if texts:
        found.notes.append(f"taken as texts, not numbers: {', '.join(texts)}")
    store.schema = schema_of(store.config, inferred)


def _take_all(store: Store, found: Found, contents: Contents) -> None:
    """Take each file; old slots first. A person who waits sees how far it has come, by bytes."""
    done, size = 0, sum(len(data) for _, data, _ in contents.values())
    order = sorted(contents, key=lambda file: _order(found.former.get(file), file))
    for at, file in enumerate(order, 1):
        rows = sum(entry["rows"] for entry in found.looked)
        text = f"file {at:,} of {len(order):,}, {rows:,} rows"
        report_progress(text, done / size if size else 0)
        _take(store, found, *contents[file])
        done += len(contents[file][1])
    report_progress("writing")


def _take(store: Store, found: Found, source: Source, data: bytes, digest: str) -> None:
    """Decide what becomes of one file: known, repeated, refused or accepted."""
    known, twin = store.files.get(source.file), _twin(store, found, source.file, digest)
    if known and _is_settled(store, known, digest, twin):
        latest = known["refusal"] if known.get("refusal", {}).get("sha256") == digest else known
        latest |= {"size": source.size, "mtime_ns": source.mtime_ns}
        if latest is known:
            known.pop("refusal", None)
        return
    entry = _entry(store, found, source, digest)
    reading = read_rows(data, store.schema, store.config.csv)
    drop_erased(store, reading)
    entry |= {
        "rows": reading.rows,
        "accepted": reading.accepted,
        "quarantined": len(reading.errors),
    }
    found.looked.append(entry)
    if reading.refused:
        _refuse(store, found, known, entry, reading)
    elif twin:
        _repeat(found, known, entry, twin)
    else:
        _accept(store, found, known, entry, reading)


def _is_settled(store: Store, known: Entry, digest: str, twin: str | None) -> bool:
    """Whether these bytes were decided on before, and the decision still holds."""
    refusal = known.get("refusal")
    if refusal and refusal["sha256"] == digest:
        return not _is_outdated(store, refusal)
    if known["sha256"] != digest or _is_outdated(store, known):
        return False
    return known["verdict"] != "repeated" or twin is not None


def _entry(store: Store, found: Found, source: Source, digest: str) -> Entry:
    """The file's line in the state, before it was read; a rebuild keeps slot, tick and time."""
    former = found.former.get(source.file, {})
    entry: Entry = {
        "file": source.file,
        "sha256": digest,
        "size": source.size,
        "mtime_ns": source.mtime_ns,
        "data_version": store.data_version + 1,
        "replaced": found.lost_track or bool(former.get("segment")),
        "ingested_at": utc_now(),
        "verdict": "accepted",
        "reason": "",
        "rules": _rules(store),
        "duplicates": 0,
        "dates": [],
        "slot": former.get("slot"),
        "quarantine": "",
    }
    if former.get("sha256") == digest and former["verdict"] != "forgotten":
        entry |= {key: former[key] for key in ("data_version", "replaced", "ingested_at")}
    return entry


def _twin(store: Store, found: Found, file: str, digest: str) -> str | None:
    """Another file, of this run or an earlier one, that has the same bytes and holds the rows."""
    gone = found.leaving | found.files.keys()
    held = {e["sha256"]: e["file"] for e in store.live() if e["file"] not in gone}
    held |= {e["sha256"]: f for f, (e, frame) in found.files.items() if frame is not None}
    twin = held.get(digest)
    return twin if twin != file else None


def _refuse(
    store: Store, found: Found, known: Entry | None, entry: Entry, reading: Reading
) -> None:
    """Record the refusal; rows that an earlier version of the file gave stay."""
    entry |= {
        "verdict": "refused",
        "reason": reading.refused,
        "accepted": 0,
        "quarantined": reading.rows,
    }
    entry["quarantine"] = _write_quarantine(store.config, entry, reading).name
    found.notes.append(f"{entry['file']}: refused, {reading.refused}")
    if known and known.get("segment"):
        found.notes.append(f"{entry['file']}: the rows of its earlier version stay")
        known["refusal"] = entry
    else:
        found.files[entry["file"]] = (entry, None)


def _repeat(found: Found, known: Entry | None, entry: Entry, twin: str) -> None:
    entry |= {
        "verdict": "repeated",
        "reason": f"the same bytes as {twin}",
        "accepted": 0,
        "quarantined": 0,
        "duplicates": entry["rows"],
    }
    entry["slot"] = known["slot"] if known else entry["slot"]
    found.notes.append(f"{entry['file']}: the same bytes as {twin}, counted once")
    found.replaced |= bool(known and known.get("segment"))
    found.files[entry["file"]] = (entry, None)


def _accept(
    store: Store, found: Found, known: Entry | None, entry: Entry, reading: Reading
) -> None:
    if known and known.get("segment"):
        entry["replaced"] = found.replaced = True
        found.notes.append(f"{entry['file']}: changed, its rows are replaced")
    if known and known["slot"] is not None:
        entry["slot"] = known["slot"]
        found.replaced |= known["slot"] < _next_slot(store, found) - 1
    if entry["slot"] is None:
        entry["slot"] = _next_slot(store, found)
    if reading.errors:
        path = _write_quarantine(store.config, entry, reading)
        entry["quarantine"] = path.name
        where = store.config.shown(path)
        found.notes.append(f"{entry['file']}: {len(reading.errors)} bad rows set aside in {where}")
    found.notes += _remarks(entry["file"], store, reading)
    frame = frame_of(reading, store.schema, date_in_path(entry["file"]))
    found.files[entry["file"]] = (entry, frame)


def _next_slot(store: Store, found: Found) -> int:
    entries = [*store.files.values(), *found.former.values(), *(e for e, _ in found.files.values())]
    return max((e["slot"] for e in entries if e["slot"] is not None), default=-1) + 1


def _remarks(file: str, store: Store, reading: Reading) -> list[str]:
    """What a person should know of an accepted file's columns."""
    notes = []
    if reading.ignored:
        notes.append(f"{file}: columns ignored: {', '.join(reading.ignored)[:200]}")
    target = store.schema.named("target")
    if target in reading.absent:
        notes.append(f"{file}: no column {target!r}; all its rows are current clients")
    for name in reading.absent:
        if name != target:
            notes.append(f"{file}: no column {name!r}; left empty")
    if not reading.rows:
        notes.append(f"{file}: no rows below the header")
    return notes


def _write_quarantine(config: Config, entry: Entry, reading: Reading) -> Path:
    """The rejected rows of one file with their reasons; for a refused file its reason first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "line", "column", "rule", "value", "row"])
    if reading.refused:
        writer.writerow([entry["file"], "", "", f"refused: {reading.refused}", "", ""])
    for f in reading.errors:
        writer.writerow([entry["file"], f.line, f.column, f.rule, f.value, f.raw])
    # The name of a deep path may be longer than a file system takes (255 bytes).
    slug = os.fsencode(entry["file"].replace("/", "__"))[-120:].decode("utf-8", "ignore")
    path = make_folder(config.quarantine) / f"{slug}.{entry['sha256'][:12]}.csv"
    write_atomic(path, out.getvalue().encode("utf-8", "backslashreplace"))
    return path


def _commit(store: Store, found: Found, *, again: bool) -> None:
    """Write what was found; without rows only the state, and only where it changed."""
    has_rows = any(frame is not None for _, frame in found.files.values())
    if again:
        _check_rebuild(found, has_rows)
    if has_rows or found.replaced or (again and store.state["finaldata"]):
        if not store.state["schema_signature"]:
            found.notes += store.set_aside_changed()
        store.put(found.files, rebuild=again or found.replaced)
    else:
        check_counts(entry for entry, _ in found.files.values())
        store.files.update({file: entry for file, (entry, _) in found.files.items()})
        if again or store.state != read_state(store.config):
            store.save()
    if store.files:
        store.tidy()


def _check_rebuild(found: Found, has_rows: bool) -> None:
    """Rows of files that are gone go with a rebuild: say so, and never end with nothing."""
    held = {file: e["accepted"] for file, e in found.former.items() if e.get("segment")}
    if held and not has_rows:
        why = "; ".join(map(printable, found.notes[:3])) or "it holds no CSV file"
        raise PipelineError(f"nothing in the input folder can be read ({why}); the old rows stay")
    lost = {file: rows for file, rows in held.items() if file not in found.files}
    if lost:
        found.notes.append(
            f"no longer in the input folder, {sum(lost.values())} rows gone: "
            f"{', '.join(sorted(lost))[:200]}"
        )


def _outcome(config: Config, store: Store, found: Found) -> Outcome:
    entries = found.looked
    total = {key: sum(entry[key] for entry in entries) for key in COUNTS}
    kept = sum(e["accepted"] for e in store.live())
    if entries:
        head = (
            f"read {total['rows']} rows of {len(entries)} files: {total['accepted']} accepted, "
            f"{total['duplicates']} duplicates, {total['quarantined']} set aside; "
            f"{config.shown(config.finaldata)} has {kept} rows"
        )
    else:
        head = f"nothing new in {config.shown(config.input_folder)}; {kept} rows as before"
    notes = [printable(note) for note in found.notes]
    data = {
        "files": entries,
        "notes": notes,
        "kept": kept,
        "data_version": store.data_version,
        **total,
    }
    return Outcome("\n  ".join([head, *notes]), data, worked=bool(entries))


# ---------------------------------------------------------------- the script


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--rebuild", action="store_true", help="read the input folder again from nothing"
    )
    one.add_argument("--forget", metavar="FILE", help="take one file's rows out")
    one.add_argument("--erase", metavar="CLIENT", help="take one client's rows out, for good")
    one.add_argument(
        "--init", nargs=2, metavar=("DIR", "FILE.csv"), help="start a project of your own"
    )


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.forget is not None:
        return forget(config, chosen.forget)
    if chosen.erase is not None:
        return _erase_everywhere(config, chosen.erase)
    return ingest(config, again=chosen.rebuild)


def _erase_everywhere(config: Config, client: str) -> Outcome:
    """Take one client out of what is kept beside the rows, then out of the rows.

    After a crash in between the store still has the rows and asks again.
    """
    from risk.decide import forecasts
    from risk.record import scores

    name = client.strip(" \t")
    forecasts.forget_forecasts(config, name)
    asides = scores.forget_client(config, name) if name else []
    outcome = erase(config, client)
    note = f"May still name it: {', '.join(asides)}; delete what you no longer need."
    return replace(outcome, text=f"{outcome.text}\n  {note}") if asides else outcome


def before(chosen: argparse.Namespace) -> Outcome | None:
    """A new project needs no config: it gets one."""
    if chosen.init is None:
        return None
    from risk.data.starter import start

    return start(*map(Path, chosen.init))


if __name__ == "__main__":
    run(stage, __doc__, options=options, before=before)

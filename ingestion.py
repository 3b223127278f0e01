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
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from risk.artifacts import make_folder, read_optional_json, releases, sha256, utc_now, write_whole
from risk.config import Config, Outcome, PipelineError
from risk.data.reader import Fault, Reading, numeric_counts, read_rows
from risk.data.schema import date_in_path, infer_kinds, schema_of
from risk.data.store import Entry, Store, client_digest, empty_state, frame_of
from risk.runner import run

if TYPE_CHECKING:
    import polars as pl

YOUNG_SECONDS = 60.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Source:
    """One CSV in the input folder: its path below the folder, and size and mtime as seen first."""

    file: str
    path: Path
    size: int
    mtime_ns: int


def source_files(folder: Path) -> tuple[list[Source], list[str]]:
    """(regular CSV files sorted by path, sentences about what is named .csv but is none)."""
    found, skipped = [], []
    for path in _named_csv(folder):
        file = path.relative_to(folder).as_posix()
        try:
            seen = path.stat()
        except OSError as error:
            skipped.append(f"{file}: skipped, {error.strerror}")
            continue
        if stat.S_ISREG(seen.st_mode):
            found.append(Source(file, path, seen.st_size, seen.st_mtime_ns))
        else:
            kind = "a folder" if stat.S_ISDIR(seen.st_mode) else "not a regular file"
            skipped.append(f"{file}: skipped, {kind}")
    return sorted(found, key=lambda s: s.file), skipped


def _named_csv(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise PipelineError(f"the input folder {folder} is not there; make it and put CSV files in")
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*files, *folders]):
            if name.lower().endswith(".csv") and not name.startswith("."):
                yield Path(root, name)


def settled(sources: list[Source], *, patient: bool) -> tuple[list[Source], list[str]]:
    """(files that are whole as far as can be told, sentences about those that are still written).

    A young file is looked at twice, a second apart, one wait for all. patient: nobody waits for the
    result, so that a young file without its last newline is left until it is 60 s old.
    """
    now = time.time()
    young = [s for s in sources if 0 <= now - s.mtime_ns / 1e9 < YOUNG_SECONDS]
    if not young:
        return sources, []
    time.sleep(LOOK_SECONDS)
    waiting = {s.file: "is still growing" for s in young if not _same(s)}
    if patient:
        waiting |= {s.file: "has no line end yet" for s in young
                    if s.file not in waiting and not _ends_in_newline(s.path)}
    return ([s for s in sources if s.file not in waiting],
            [f"{file}: {why}; left for the next run" for file, why in waiting.items()])


def _same(source: Source) -> bool:
    try:
        seen = source.path.stat()
    except OSError:
        return False
    return (seen.st_size, seen.st_mtime_ns) == (source.size, source.mtime_ns)


def _ends_in_newline(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) in b"\n\r"
    except OSError:
        return False


@dataclass
class Found:
    """What one ingestion found: files to commit with their rows, and sentences for a person."""

    files: dict[str, tuple[Entry, pl.DataFrame | None]]
    notes: list[str]
    replaced: bool = False
    touched: bool = False


def ingest(config: Config, *, patient: bool = False, again: bool = False) -> Outcome:
    """Read what is new or changed since the last ingestion and commit it as one tick."""
    store = _fresh_store(config) if again else Store.open(config)
    notes = store.set_aside_changed() if again else store.heal()
    sources, skipped = source_files(config.input_folder)
    pending = [s for s in sources if not _as_recorded(s, store.files.get(s.file))]
    ready, waiting = settled(pending, patient=patient)
    found = Found({}, notes + skipped + waiting)
    contents = {s.file: (s, *read) for s in ready if (read := _read(s, found)) is not None}
    _settle_kinds(store, contents)
    for file in sorted(contents):
        _take(store, found, *contents[file], again=again)
    _commit(store, found, again)
    return _outcome(config, store, found)


def _fresh_store(config: Config) -> Store:
    """An empty store that continues the old one's ticks and erasures, as far as they can be read."""
    fresh = empty_state()
    old = read_optional_json(config.store_state)
    if isinstance(old.get("tick"), int) and isinstance(old.get("erased"), list):
        fresh |= {key: old.get(key) for key in ("tick", "erased", "finaldata")}
    return Store(config, fresh, schema_of(config))


def _as_recorded(source: Source, entry: Entry | None) -> bool:
    if entry is None:
        return False
    seen = entry.get("refusal", entry)
    return (seen["size"], seen["mtime_ns"]) == (source.size, source.mtime_ns)


def _read(source: Source, found: Found) -> tuple[bytes, str] | None:
    """The bytes and their digest, read once; None while somebody writes to the file."""
    try:
        with open(source.path, "rb") as file:
            data = file.read()
    except OSError as error:
        found.notes.append(f"{source.file}: cannot be read, {error.strerror}")
        return None
    if len(data) != source.size or not _same(source):
        found.notes.append(f"{source.file}: is still growing; left for the next run")
        return None
    return data, sha256(data)


def _settle_kinds(store: Store, contents: dict[str, tuple[Source, bytes, str]]) -> None:
    """Infer the kinds that are still open from all new files together, and record them."""
    if all(kind for kind in store.schema.kinds().values()):
        return
    totals: dict[str, tuple[int, int]] = {}
    for _, data, _ in contents.values():
        for name, (filled, numeric) in numeric_counts(data, store.schema, store.config.csv).items():
            before = totals.get(name, (0, 0))
            totals[name] = before[0] + filled, before[1] + numeric
    store.schema = schema_of(store.config, infer_kinds(store.schema, totals))


def _take(store: Store, found: Found, source: Source, data: bytes, digest: str, *, again: bool) -> None:
    """Decide what becomes of one file: known, repeated, refused or accepted."""
    known = store.files.get(source.file)
    if known and known["sha256"] == digest:
        known |= {"size": source.size, "mtime_ns": source.mtime_ns}
        known.pop("refusal", None)
        found.touched = True
        return
    entry: Entry = {
        "file": source.file, "sha256": digest, "size": source.size, "mtime_ns": source.mtime_ns,
        "tick": store.tick + 1, "replaced": again and store.tick > 0, "ingested_at": utc_now(),
        "verdict": "accepted", "reason": "", "duplicates": 0, "dates": [], "slot": None,
    }
    twin = _twin(store, found, source.file, digest)
    reading = read_rows(data, store.schema, store.config.csv)
    _drop_erased(store, reading)
    entry |= {"rows": reading.rows, "accepted": reading.accepted, "quarantined": len(reading.faults)}
    if reading.refused:
        _refuse(store, found, known, entry, reading)
    elif twin:
        _repeat(found, known, entry, twin)
    else:
        _accept(store, found, known, entry, reading)


def _twin(store: Store, found: Found, file: str, digest: str) -> str | None:
    """Another file, of this run or an earlier one, that has the same bytes and holds the rows."""
    held = {e["sha256"]: e["file"] for e in store.live() if e["file"] not in found.files}
    held |= {e["sha256"]: f for f, (e, frame) in found.files.items() if frame is not None}
    held = {key: name for key, name in held.items() if name != file}
    return held.get(digest)


def _drop_erased(store: Store, reading: Reading) -> None:
    """Rows of erased clients are set aside without their content."""
    erased = set(store.state["erased"])
    if not erased or reading.refused:
        return
    ids = reading.values[store.schema.named("id")]
    gone = {at for at, client in enumerate(ids) if client_digest(str(client)) in erased}
    if gone:
        reading.faults += [Fault(reading.lines[at], "", "erased client", "", "") for at in sorted(gone)]
        keep = [at for at in range(len(ids)) if at not in gone]
        reading.lines = [reading.lines[at] for at in keep]
        reading.values = {n: [cells[at] for at in keep] for n, cells in reading.values.items()}


def _refuse(store: Store, found: Found, known: Entry | None, entry: Entry, reading: Reading) -> None:
    """Record the refusal; rows that an earlier version of the file gave stay."""
    entry |= {"verdict": "refused", "reason": reading.refused, "accepted": 0, "quarantined": reading.rows}
    _write_quarantine(store.config, entry, reading)
    found.notes.append(f"{entry['file']}: refused, {reading.refused}")
    if known and known.get("segment"):
        found.notes.append(f"{entry['file']}: the rows of its earlier version stay")
        known["refusal"] = entry
        found.touched = True
    else:
        found.files[entry["file"]] = (entry, None)


def _repeat(found: Found, known: Entry | None, entry: Entry, twin: str) -> None:
    entry |= {"verdict": "repeated", "reason": f"the same bytes as {twin}", "accepted": 0,
              "quarantined": 0, "duplicates": entry["rows"]}
    found.notes.append(f"{entry['file']}: the same bytes as {twin}, counted once")
    found.replaced |= bool(known and known.get("segment"))
    found.files[entry["file"]] = (entry, None)


def _accept(store: Store, found: Found, known: Entry | None, entry: Entry, reading: Reading) -> None:
    replaced = bool(known and known.get("segment"))
    if known and replaced:
        entry |= {"slot": known["slot"], "replaced": True}
        found.replaced = True
        found.notes.append(f"{entry['file']}: changed, its rows are replaced")
    else:
        used = [e["slot"] for e in store.files.values() if e.get("slot") is not None]
        used += [e["slot"] for e, _ in found.files.values() if e["slot"] is not None]
        entry["slot"] = max(used, default=-1) + 1
    if reading.ignored:
        found.notes.append(f"{entry['file']}: columns ignored: {', '.join(reading.ignored)[:200]}")
    if reading.faults:
        where = store.config.shown(_write_quarantine(store.config, entry, reading))
        found.notes.append(f"{entry['file']}: {len(reading.faults)} bad rows set aside in {where}")
    found.files[entry["file"]] = (entry, frame_of(reading, store.schema, date_in_path(entry["file"])))


def _write_quarantine(config: Config, entry: Entry, reading: Reading) -> Path:
    """The rejected rows of one file with their reasons; for a refused file its reason first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "line", "column", "rule", "value", "row"])
    if reading.refused:
        writer.writerow([entry["file"], "", "", f"refused: {reading.refused}", "", ""])
    for f in reading.faults:
        writer.writerow([entry["file"], f.line, f.column, f.rule, f.value, f.raw])
    slug = entry["file"].replace("/", "__")[-120:]
    path = make_folder(config.quarantine) / f"{slug}.{entry['sha256'][:12]}.csv"
    write_whole(path, out.getvalue().encode("utf-8", "backslashreplace"))
    return path


def _commit(store: Store, found: Found, again: bool) -> None:
    has_rows = any(frame is not None for _, frame in found.files.values())
    if again or found.replaced or has_rows:
        store.put(found.files, rebuild=again or found.replaced)
    elif found.files or found.touched:
        store.files.update({file: entry for file, (entry, _) in found.files.items()})
        store.save()
    elif store.state["layout"]:
        store.tidy()
    _check_counts(found)


def _check_counts(found: Found) -> None:
    for file, (e, _) in found.files.items():
        if e["rows"] != e["accepted"] + e["duplicates"] + e["quarantined"]:
            raise AssertionError(f"{file}: the rows do not add up: {e}")


def _outcome(config: Config, store: Store, found: Found) -> Outcome:
    entries = [entry for entry, _ in found.files.values()]
    total = {key: sum(e[key] for e in entries) for key in ("rows", "accepted", "duplicates", "quarantined")}
    kept = sum(e["accepted"] for e in store.live())
    if entries:
        head = (f"read {total['rows']} rows of {len(entries)} files: {total['accepted']} accepted, "
                f"{total['duplicates']} duplicates, {total['quarantined']} set aside; "
                f"{config.shown(config.finaldata)} has {kept} rows")
    else:
        head = f"nothing new in {config.shown(config.input_folder)}; {kept} rows as before"
    data = {"files": entries, "notes": found.notes, "kept": kept, "tick": store.tick, **total}
    return Outcome("\n".join([head, *(f"  {note}" for note in found.notes)]), data, worked=bool(entries))


# ---------------------------------------------------------------- taking rows out


def forget(config: Config, file: str) -> Outcome:
    """Take one file's rows out; the same bytes are not read again under this name."""
    store = Store.open(config)
    store.heal()
    file = _known_file(config, store, file)
    entry = {k: v for k, v in store.files[file].items() if k not in ("segment", "refusal")}
    gone = entry["accepted"]
    entry |= {"verdict": "forgotten", "reason": "taken out by hand", "rows": 0, "accepted": 0,
              "duplicates": 0, "quarantined": 0, "slot": None, "tick": store.tick + 1}
    store.put({file: (entry, None)}, rebuild=True)
    text = f"{file}: {gone} rows taken out. {_still_carried(config)}"
    return Outcome(text, {"file": file, "rows": gone})


def _known_file(config: Config, store: Store, file: str) -> str:
    below = Path(file).absolute()
    if below.is_relative_to(config.input_folder):
        file = below.relative_to(config.input_folder).as_posix()
    if file not in store.files:
        known = ", ".join(sorted(store.files)[:8]) or "none"
        raise PipelineError(f"no file {file!r} was ingested; known: {known}")
    return file


def erase(config: Config, client: str) -> Outcome:
    """Take one client's rows out of the store, for good: later files that name it lose them too."""
    import polars as pl

    store = Store.open(config)
    store.heal()
    found: dict[str, tuple[Entry, pl.DataFrame | None]] = {}
    name, gone = store.schema.named("id"), 0
    for entry in store.live():
        frame = store.segment(entry)
        rows = frame.filter(pl.col(name) != client)
        if rows.height < frame.height:
            taken = frame.height - rows.height
            gone += taken
            fresh = {k: v for k, v in entry.items() if k != "segment"}
            fresh["quarantined"] += taken
            found[entry["file"]] = (fresh, rows)
    digest = client_digest(client)
    if digest not in store.state["erased"]:
        store.state["erased"].append(digest)
    store.put(found, rebuild=True)
    _erase_quarantine(config, client)
    places = _sources_naming(config, client)
    sources = f" Still in: {', '.join(places)}; delete it there yourself." if places else ""
    return Outcome(f"{gone} rows of this client taken out.{sources} {_still_carried(config)}",
                   {"rows": gone, "sources": places})


def _erase_quarantine(config: Config, client: str) -> None:
    for path in config.quarantine.glob("*.csv"):
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        if any(client in cell for row in rows for cell in row[4:]):
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(
                [*row[:4], "", ""] if any(client in cell for cell in row[4:]) else row for row in rows)
            write_whole(path, out.getvalue())


def _sources_naming(config: Config, client: str) -> list[str]:
    """Files that people own and that still hold the client: input, test data, set-aside copies."""
    raw, found = client.encode("utf-8", "surrogateescape"), []
    places = [*config.input_folder.rglob("*"), *config.test_folder.rglob("*"),
              *config.output_folder.glob("finaldata.byhand-*")]
    for path in places:
        if path.is_file() and raw in path.read_bytes():
            found.append(config.shown(path))
    return sorted(found)


def _still_carried(config: Config) -> str:
    kept = ", ".join(str(release.version) for release in releases(config))
    if not kept:
        return "No deployed model was trained on them."
    return (f"Still trained on them: the deployed models {kept} (the current one keeps a copy of the "
            "rows) and the lists made from them. Run training.py, scoring.py, deployment.py and "
            "reporting.py; older releases go as new ones come.")


# ---------------------------------------------------------------- the script


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--rebuild", action="store_true", help="read the input folder again from nothing")
    one.add_argument("--forget", metavar="FILE", help="take one file's rows out")
    one.add_argument("--erase", metavar="CLIENT", help="take one client's rows out, for good")
    one.add_argument("--init", nargs=2, metavar=("DIR", "FILE.csv"), help="start a project of your own")


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.forget is not None:
        return forget(config, chosen.forget)
    if chosen.erase is not None:
        return erase(config, chosen.erase)
    return ingest(config, again=chosen.rebuild)


if __name__ == "__main__":
    run(stage, __doc__, options=options)

"""One ingestion: which files are new, and what becomes of each: repeated, refused or accepted."""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING

from risk.data.columns import numeric_counts_of, read_columns
from risk.data.filedates import date_in_path, read_path_date
from risk.data.frames import frame_of
from risk.data.plausibility import (
    FUTURE,
    USUAL_FILES,
    contradictions,
    empty_features,
    far_dates,
    few_unlabelled,
    fewer_clients,
    is_future,
    near_ids_by_file,
)
from risk.data.quarantine import write_quarantine
from risk.data.reader import Reading
from risk.data.removal import drop_erased
from risk.data.schema import TEXT, infer_kinds, printable, schema_of, schema_signature
from risk.data.sources import (
    Source,
    closed,
    emptied,
    find_sources,
    is_unchanged,
    wait_until_written,
)
from risk.data.state import NOWHERE, Entry, read_store_state
from risk.data.store import Store, Taken
from risk.data.tables import Refused
from risk.files import sha256, utc_now
from risk.script import report_progress

if TYPE_CHECKING:
    import polars as pl

READER = 2  # raised where more files can be read: those refused before are tried again
Contents = dict[str, tuple[Source, bytes, str]]


@dataclass
class Intake:
    """The store, and what is found for it: files to commit with their rows, sentences for a person.

    former: the entries of the store that is rebuilt, whose positions and data versions the same
    files keep. read: the entry of every file that was read, the refused ones too. pending: the
    files that this run decides on. leaving: the files whose old bytes are no longer theirs.
    dated: (date, order, file) of the files of one date, sorted, once asked for; clients: how many
    some files have; remarks: where among the notes those of a file end. held: digest -> the file
    that has these rows, last: the last position, once asked for. replaced: whether rows go
    that stood in the store. lost_track: nobody knows which rows are new, since the old state was
    damaged or deleted.
    """

    store: Store
    notes: list[str] = field(default_factory=list)
    former: dict[str, Entry] = field(default_factory=dict)
    files: Taken = field(default_factory=dict)
    read: list[Entry] = field(default_factory=list)
    pending: set[str] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)
    dated: list[tuple[str, int, str]] | None = None
    clients: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)
    held: dict[str, str] | None = None
    last: int | None = None
    replaced: bool = False
    lost_track: bool = False

    def take_files(self, *, patient: bool) -> None:
        """Read what is new or changed, and decide on it."""
        store = self.store
        sources, skipped = find_sources(store.config.input_folder)
        pending = [source for source in sources if self._is_pending(source)]
        ready, waiting = wait_until_written(pending, patient=patient)
        read = [e for e in (self.former or store.files).values() if e["verdict"] != "forgotten"]
        skipped += emptied(store.config.shown(store.config.input_folder), sources, len(read))
        self.notes += skipped + waiting
        contents = self._contents(ready, skipped)
        contents |= self._contents(self._widowed(sources, contents), skipped)
        if skipped or store.state.get("unread"):
            store.state["unread"] = [printable(sentence) for sentence in skipped]
        known = {file: store.files[file]["sha256"] for file in contents if file in store.files}
        self.leaving = {file for file, old in known.items() if contents[file][2] != old}
        self.pending = set(contents)
        self._infer_kinds(contents)
        self._take_all(contents)

    def _is_pending(self, source: Source) -> bool:
        entry = self.store.files.get(source.file)
        if entry is None:
            return True
        latest = entry.get("refusal", entry)
        same = (latest["size"], latest["mtime_ns"]) == (source.size, source.mtime_ns)
        return not same or self._is_outdated(latest)

    def _is_outdated(self, entry: Entry) -> bool:
        """A refusal holds under the settings it was given under."""
        return entry["verdict"] == "refused" and entry["rules"] != self._rules()

    def _rules(self) -> str:
        """A digest of the settings that decide whether a file can be read."""
        config = self.store.config
        kinds = sorted(config.columns.kinds.items())
        forms, style = sorted(config.columns.formats.items()), list(astuple(config.csv))
        rules = [READER, schema_signature(self.store.schema), kinds, forms, style]
        return sha256(json.dumps(rules).encode())[:12]

    def _widowed(self, sources: list[Source], contents: Contents) -> list[Source]:
        """Files that were counted once through another one which no longer has their bytes."""
        present = {file: digest for file, (_, _, digest) in contents.items()}
        live = {entry["file"]: entry["sha256"] for entry in self.store.live()}
        held = {digest for file, digest in live.items() if present.get(file, digest) == digest}
        widowed = {
            file
            for file, entry in self.store.files.items()
            if entry["verdict"] == "repeated" and entry["sha256"] not in held
        }
        return [s for s in sources if s.file in widowed and s.file not in contents]

    def _contents(self, sources: list[Source], skipped: list[str]) -> Contents:
        """Bytes and digest of each file, read once; without those that somebody writes to.

        skipped: takes a sentence about each that cannot be read.
        """
        contents = {}
        for source in sources:
            try:
                data = source.path.read_bytes()
            except OSError as error:
                skipped.append(closed(source.file, error))
                self.notes.append(skipped[-1])
                continue
            # The size that was listed, and after the reading still: nobody wrote in between.
            if len(data) != source.size or not is_unchanged(source):
                self.notes.append(f"{source.file}: is still growing; left for the next run")
                continue
            contents[source.file] = source, data, sha256(data)
        return contents

    def _infer_kinds(self, contents: Contents) -> None:
        """Infer the kinds that are still open from all new files together."""
        store, kinds = self.store, self.store.schema.kinds()
        if all(kinds.values()):
            return
        # Not from the first file alone: a column may be blank, or by chance all numbers, in it.
        totals: dict[str, tuple[int, int]] = {}
        for source, data, _ in contents.values():
            try:
                counted = numeric_counts_of(data, source.file, store.schema, store.config.csv)
            except Refused:
                continue
            for name, (filled, numeric) in counted.items():
                before = totals.get(name, (0, 0))
                totals[name] = before[0] + filled, before[1] + numeric
        inferred = infer_kinds(store.schema, totals)
        # Said aloud: a number written as text by mistake would be learned as a category.
        texts = [name for name, kind in inferred.items() if kind == TEXT and kinds[name] is None]
        if texts:
            self.notes.append(f"taken as texts, not numbers: {', '.join(texts)}")
        store.schema = schema_of(store.config, inferred)

    def _take_all(self, contents: Contents) -> None:
        """Take each file; a person who waits sees how far it has come, by bytes."""
        done, rows, size = 0, 0, sum(len(data) for _, data, _ in contents.values())
        # Old positions first, then new files by path: so a rebuild gives the same bytes.
        old = {file: e["position"] for file, e in self.former.items() if e.get("segment")}
        order = sorted(contents, key=lambda file: (file not in old, old.get(file, 0), file))
        for at, file in enumerate(order, 1):
            text = f"file {at:,} of {len(order):,}, {rows:,} rows"
            report_progress(text, done / size if size else 0)
            before = len(self.read)
            self._take(*contents[file])
            rows += sum(entry["rows"] for entry in self.read[before:])
            done += len(contents[file][1])
        self._note_near_ids()
        report_progress("writing")

    def _take(self, source: Source, data: bytes, digest: str) -> None:
        """Decide what becomes of one file: known, repeated, refused or accepted."""
        store = self.store
        known, twin = store.files.get(source.file), self._twin(source.file, digest)
        # A file that was only touched: the new time is kept, so that it is not read each run.
        if known and self._is_decided(known, digest, twin):
            refusal = known.get("refusal")
            latest = refusal if refusal and refusal["sha256"] == digest else known
            latest["size"], latest["mtime_ns"] = source.size, source.mtime_ns
            if latest is known:
                known.pop("refusal", None)
            return
        reading = read_columns(data, source.file, store.schema, store.config.csv, outcomes=True)
        self._refuse_dates(source.file, reading)
        drop_erased(store, reading)
        entry = self._entry(source, digest, reading)
        self.read.append(entry)
        if reading.refused:
            self._refuse(known, entry, reading)
        elif twin:
            self._repeat(known, entry, twin)
        else:
            self._accept(known, entry, reading)

    def _refuse_dates(self, file: str, reading: Reading) -> None:
        """A file of no date could be before or after any other, where labels are made from dates;
        one of the future or of twenty years ago is a slip of the hand."""
        dated, path, wrong = self.store.schema.named("date"), read_path_date(file), ""
        if dated and dated not in reading.absent:
            own = {str(date) for date in reading.different(dated) if date}
        else:
            own = {path.date} if path.date else set()
            if self.store.config.labels == "status" and not own:
                wrong = "of when its rows are nobody says; rename it with a date, such as "
                wrong += "clients_2026-10-31.csv"
            elif path.date and is_future(path.date, path.form):
                wrong = f"by its name its rows are of {path.date}, {FUTURE}; rename it"
        if own and own <= far_dates([*own, *self._other_dates(file)]):
            wrong = wrong or (
                f"its rows are of {min(own)}, over 20 years apart from the other files'; mend the "
                "date, in its name or its rows"
            )
        reading.refused = reading.refused or wrong

    def _other_dates(self, file: str) -> list[str]:
        """The dates of all other files, of this run's new ones by their names."""
        others = [entry for entry in self.store.live() if entry["file"] != file]
        dates = [date for entry in others for date in entry["dates"] if date]
        named = {name: date_in_path(name) for name in self.pending if name != file}
        return dates + [date for date in named.values() if date and not is_future(date)]

    def _is_decided(self, known: Entry, digest: str, twin: str | None) -> bool:
        """Whether these bytes were decided on before, and the decision still holds."""
        refusal = known.get("refusal")
        if refusal and refusal["sha256"] == digest:
            return not self._is_outdated(refusal)
        if known["sha256"] != digest or self._is_outdated(known):
            return False
        return known["verdict"] != "repeated" or twin is not None

    def _entry(self, source: Source, digest: str, reading: Reading) -> Entry:
        """The file's entry as if it were accepted; a rebuild keeps position, version and time."""
        former = self.former.get(source.file)
        entry = Entry(
            file=source.file,
            sha256=digest,
            size=source.size,
            mtime_ns=source.mtime_ns,
            data_version=self.store.data_version + 1,
            replaced=self.lost_track or bool(former and former.get("segment")),
            ingested_at=utc_now(),
            verdict="accepted",
            reason="",
            rules=self._rules(),
            rows=reading.rows,
            accepted=reading.accepted,
            duplicates=0,
            quarantined=len(reading.set_aside),
            dates=[],
            position=former["position"] if former else NOWHERE,
            quarantine="",
            delimiter=reading.style.delimiter if reading.style else "",
            decimal=self.store.schema.written_decimal,
        )
        if reading.outcomes:
            entry["outcomes"] = True
        if former and former["sha256"] == digest and former["verdict"] != "forgotten":
            entry["data_version"] = former["data_version"]
            entry["replaced"] = former["replaced"]
            entry["ingested_at"] = former["ingested_at"]
        return entry

    def _twin(self, file: str, digest: str) -> str | None:
        """Another file, of this run or an earlier one, with the same bytes, that holds the rows."""
        if self.held is None:
            live = (e for e in self.store.live() if e["file"] not in self.leaving)
            self.held = {entry["sha256"]: entry["file"] for entry in live}
        twin = self.held.get(digest)
        if twin in self.files:  # decided on in this run: does it still have these rows?
            entry, frame = self.files[twin]
            twin = twin if frame is not None and entry["sha256"] == digest else None
        return twin if twin != file else None

    def _refuse(self, known: Entry | None, entry: Entry, reading: Reading) -> None:
        """Record the refusal; rows that an earlier version of the file gave stay."""
        file = entry["file"]
        entry["verdict"], entry["reason"] = "refused", reading.refused
        entry["accepted"], entry["quarantined"] = 0, reading.rows  # all of them, good ones too
        entry["quarantine"] = write_quarantine(self.store.config, entry, reading).name
        self.notes.append(f"{file}: refused, {reading.refused}")
        if known and known.get("segment"):
            self.notes.append(f"{file}: the rows of its earlier version stay")
            known["refusal"] = entry
        else:
            self.files[file] = (entry, None)

    def _repeat(self, known: Entry | None, entry: Entry, twin: str) -> None:
        entry["verdict"], entry["reason"] = "repeated", f"the same bytes as {twin}"
        entry["accepted"], entry["quarantined"], entry["duplicates"] = 0, 0, entry["rows"]
        entry["position"] = known["position"] if known else entry["position"]
        self.notes.append(f"{entry['file']}: the same bytes as {twin}, counted once")
        self.replaced |= bool(known and known.get("segment"))
        self.files[entry["file"]] = (entry, None)

    def _accept(self, known: Entry | None, entry: Entry, reading: Reading) -> None:
        store, file = self.store, entry["file"]
        if known and known.get("segment"):
            entry["replaced"] = self.replaced = True
            self.notes.append(f"{file}: changed, its rows are replaced")
        if known and known["position"] != NOWHERE:
            entry["position"] = known["position"]
            # Rows can be appended only where the file is the last; else all is written anew.
            self.replaced |= known["position"] < self._next_position() - 1
        # A file keeps its place when it changes: the order of finaldata.csv is that of arrival.
        if entry["position"] == NOWHERE:
            self.last = entry["position"] = self._next_position()
        if reading.set_aside:
            path = write_quarantine(store.config, entry, reading)
            entry["quarantine"] = path.name
            where = store.config.shown(path)
            what = f"{len(reading.errors)} bad rows" if reading.errors else "what is no row"
            self.notes.append(f"{file}: {what} set aside in {where}")
        frame = frame_of(reading, store.schema, read_path_date(file).date)
        self._remark(file, reading, frame)
        self.files[file] = (entry, frame)
        if self.held is not None:
            self.held[entry["sha256"]] = file

    def _remark(self, file: str, reading: Reading, frame: pl.DataFrame) -> None:
        """What a person should know of an accepted file's columns."""
        target, doubt = self.store.schema.named("target"), read_path_date(file).doubt
        undated = doubt and not self.store.schema.named("date")
        notes = reading.notes + ([f"{doubt}; rename it"] if undated else [])
        notes += [] if reading.outcomes else self._plausibility(file, frame, reading)
        self._keep(file, notes)
        self.remarks[file] = len(self.notes)
        if reading.ignored:
            self.notes.append(f"{file}: columns ignored: {', '.join(reading.ignored)[:200]}")
        if reading.outcomes:
            self._keep(
                file, [*reading.notes, "clients and what became of them alone: taken as outcomes"]
            )
            return
        if target in reading.absent:
            self.notes.append(f"{file}: no column {target!r}; all its rows are current clients")
        missing = [name for name in reading.absent if name != target]
        self.notes += [f"{file}: no column {name!r}; left empty" for name in missing]
        if not reading.rows:
            self.notes.append(f"{file}: no rows below the header")

    def _plausibility(self, file: str, frame: pl.DataFrame, reading: Reading) -> list[str]:
        """What can hardly be so in the file, by itself and beside the others."""
        store = self.store
        present = [c for c in store.schema.features if c.name not in reading.absent]
        status = store.config.labels == "status"
        labelled = store.schema.named("target") not in reading.absent
        found = contradictions(frame, store.schema, status=status)
        few = few_unlabelled(frame, store.schema) if labelled and not status else ""
        fewer = self._fewer_clients(file, frame)
        return [note for note in (found, *empty_features(frame, present), few, fewer) if note]

    def _fewer_clients(self, file: str, frame: pl.DataFrame) -> str:
        """Whether the file has far fewer clients than the files of the dates before it."""
        if self.dated is None:
            others = ((at, e) for at, e in enumerate(self._others()) if len(e["dates"]) == 1)
            self.dated = sorted((e["dates"][0], at, e["file"]) for at, e in others if e["dates"][0])
        dates = frame["_date"].unique()
        own = str(dates[0]) if len(dates) == 1 and dates[0] else ""
        if not own:
            return ""
        self.clients[file] = frame[self.store.schema.named("id")].n_unique()
        at = bisect_left(self.dated, (own,))
        recent = [name for _, _, name in self.dated[:at][-USUAL_FILES:]]
        insort(self.dated, (own, len(self.dated) + len(self.store.files), file))
        return fewer_clients(self.clients[file], [self._clients_of(name) for name in recent])

    def _clients_of(self, file: str) -> int:
        """How many clients an accepted file has."""
        if file not in self.clients:
            rows = self.store.segment(self.store.files[file])
            self.clients[file] = rows[self.store.schema.named("id")].n_unique()
        return self.clients[file]

    def _others(self) -> list[Entry]:
        """The files of clients that are there already and stay as they are."""
        gone = self.files.keys() | self.leaving
        return [e for e in self.store.live() if e["file"] not in gone and not e.get("outcomes")]

    def _note_near_ids(self) -> None:
        """Clients under two spellings: found for all files at once, told of each in its place."""
        client = self.store.schema.named("id")
        new = {
            file: frame[client]
            for file, (entry, frame) in self.files.items()
            if frame is not None and not entry.get("outcomes")
        }
        if not new:
            return
        known = [self.store.segment(entry)[client] for entry in self._others()]
        found = near_ids_by_file(known, list(new.values()))
        for file, note in reversed(list(zip(new, found, strict=True))):
            if note:
                self.notes.insert(self.remarks[file], f"{file}: {note}")
                kept = self.store.state.setdefault("notes", {})
                kept[file] = [*kept.get(file, []), printable(note)]

    def _keep(self, file: str, notes: list[str]) -> None:
        """Say it now, and keep it for the pages."""
        self.notes += [f"{file}: {note}" for note in notes]
        kept = self.store.state.get("notes", {})
        kept.pop(file, None)
        if notes:
            kept[file] = [printable(note) for note in notes]
        if kept or "notes" in self.store.state:
            self.store.state["notes"] = kept

    def _next_position(self) -> int:
        if self.last is None:
            entries = [*self.store.files.values(), *self.former.values()]
            self.last = max((entry["position"] for entry in entries), default=NOWHERE)
        return self.last + 1

    def commit(self, *, again: bool) -> None:
        """Write what was found; without rows only the state, and only where it changed.

        again: all that is kept is what was found.
        """
        store = self.store
        has_rows = any(frame is not None for _, frame in self.files.values())
        if has_rows or self.replaced or (again and store.state["finaldata"]):
            if not store.state["schema_signature"]:  # the first rows, or the first of a rebuild
                self.notes += store.set_aside_changed()
            store.put(self.files, rebuild=again or self.replaced)
        else:
            store.files.update({file: entry for file, (entry, _) in self.files.items()})
            # An ingestion without news changes no file.
            if again or store.state != read_store_state(store.config):
                store.save()
        if store.files:
            store.tidy()

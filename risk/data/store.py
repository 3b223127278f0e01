"""The ingested rows: Parquet segments, one state file, and finaldata.csv kept equal to them."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from risk.config import Config, PipelineError
from risk.data.frames import csv_bytes, frame_types
from risk.data.inventory import ingest_record, summary_of
from risk.data.quarantine import QUARANTINE_NAME
from risk.data.schema import Schema, schema_of, schema_signature
from risk.data.state import (
    Entry,
    Intent,
    StoreState,
    fits,
    read_intent,
    read_store_state,
    state_file,
    write_intent,
)
from risk.files import (
    read_optional_json,
    sha256,
    sync_folder,
    unreadable,
    utc_now,
    write_atomic,
    write_json,
)

if TYPE_CHECKING:
    import polars as pl

Taken = dict[str, tuple[Entry, "pl.DataFrame | None"]]  # file -> what became of it, its rows


def client_digest(client: str) -> str:
    """How an erased client is remembered, so that the name itself is not."""
    return hashlib.sha256(client.encode("utf-8", "surrogateescape")).hexdigest()


class Store:
    """The ingested rows of one config; ingestion alone writes them, with the lock held."""

    def __init__(self, config: Config, state: StoreState, schema: Schema) -> None:
        self.config, self.state, self.schema = config, state, schema
        # Segments by name, as they lie on disk: the summary needs all of them again.
        self._frames: dict[str, pl.DataFrame] = {}

    @classmethod
    def open(cls, config: Config) -> Store:
        """The store as it was committed last; an empty one where none is."""
        state = read_store_state(config)
        schema = schema_of(config, state["kinds"])
        if state["schema_signature"] is not None and not fits(state, schema):
            raise PipelineError(
                f"the columns in {config.path} are not those of the rows in "
                f"{config.output_folder}; put the old columns back, or run ingestion.py --rebuild "
                "to read the input folder again"
            )
        return cls(config, state, schema)

    @property
    def data_version(self) -> int:
        """How many ingestions have changed the store."""
        return self.state["data_version"]

    @property
    def files(self) -> dict[str, Entry]:
        return self.state["files"]

    def live(self) -> list[Entry]:
        """The entries that hold rows, in the order of their positions."""
        held = (entry for entry in self.files.values() if entry.get("segment"))
        return sorted(held, key=lambda entry: entry["position"])

    def segment(self, entry: Entry) -> pl.DataFrame:
        """All valid rows of one file, duplicates flagged, in the columns of the present schema."""
        import polars as pl

        name = entry["segment"]
        if name not in self._frames:
            path = self.config.segments / name
            try:
                raw = path.read_bytes()
            except FileNotFoundError as error:
                raise _damaged_segment(path, error.strerror or "absent") from None
            except OSError as error:
                raise unreadable(path, error) from None
            if sha256(raw) != entry["segment_sha256"]:
                raise _damaged_segment(path, "its digest differs")
            # From the bytes that were checked: the file could be another by now.
            self._frames[name] = pl.read_parquet(io.BytesIO(raw))
        frame, types = self._frames[name], frame_types(self.schema)
        return frame if dict(frame.schema) == types else frame.cast(pl.Schema(types))

    def segments(self) -> pl.DataFrame:
        """The rows of all files in the order of finaldata.csv, duplicates flagged."""
        import polars as pl

        # The empty one first, so that a store without a live file has its columns too.
        empty = pl.DataFrame(schema=frame_types(self.schema))
        return pl.concat([empty, *map(self.segment, self.live())])

    def rows(self, *, repeated: bool = False) -> pl.DataFrame:
        """The rows of finaldata.csv in its order, with _data_version, _replaced and _position.

        repeated: those that equal an earlier one too, flagged in _duplicate.
        """
        import polars as pl

        tags = pl.DataFrame(
            [
                (self.segment(e).height, e["data_version"], e["replaced"], e["position"])
                for e in self.live()
            ],
            schema={"height": pl.Int64, **{f"_{tag}": kind for tag, kind in _tag_types().items()}},
            orient="row",
        ).filter(pl.col("height") > 0)
        each = tags.select(pl.exclude("height").repeat_by("height").explode())
        rows = pl.concat([self.segments().drop("_line"), each], how="horizontal")
        return rows if repeated else rows.filter(~pl.col("_duplicate")).drop("_duplicate")

    def refuse_unfinished(self) -> None:
        """PipelineError unless the rows are as ingestion.py left them."""
        left = self._finaldata_as_recorded() or self._finaldata_is_the_rows()
        if self.config.store_intent.exists() or not left:
            raise PipelineError(
                f"{self.config.finaldata} is not as ingestion.py left it; run ingestion.py "
                "(it moves a changed file aside and rebuilds it)"
            )

    def put(self, found: Taken, *, rebuild: bool) -> None:
        """Commit files (entry, and rows or None) as one version; a crash leaves all or nothing."""
        data_version = self.data_version + 1
        new = {file: frame for file, (_, frame) in found.items() if frame is not None}
        self.files.update({file: entry for file, (entry, _) in found.items()})
        parts = [(self.files[file], frame) for file, frame in new.items()]
        if rebuild:
            parts += [(e, self.segment(e)) for e in self.live() if e["file"] not in new]
        parts.sort(key=lambda part: part[0]["position"])
        flags = self._flags([frame for _, frame in parts], among_old=not rebuild)
        written = [
            self._write_segment(e, f, flag, data_version)
            for (e, f), flag in zip(parts, flags, strict=True)
        ]
        self._publish(data_version, written, rebuild=rebuild or not self.state["schema_signature"])

    def _flags(self, frames: list[pl.DataFrame], *, among_old: bool) -> list[pl.Series]:
        """For each frame, which rows equal an earlier row in every column and in the date.

        among_old: earlier are also the rows that are kept already.
        """
        import polars as pl

        if not frames:
            return []
        names, before = [*self.schema.names, "_date"], []
        if among_old:
            # Only rows of the same dates can be equal: the other segments are not opened.
            dates = pl.concat([frame.select("_date") for frame in frames])["_date"].unique()
            texts = _date_texts(dates)
            dated = pl.col("_date").is_in(dates.implode(), nulls_equal=True)
            live = (entry for entry in self.live() if not texts.isdisjoint(entry["dates"]))
            old = list(map(self.segment, live))
            before = [pl.concat(old).filter(~pl.col("_duplicate") & dated)] if old else []
        repeated = _repeated(pl.concat([frame.select(names) for frame in (*before, *frames)]))
        start, flags = sum(frame.height for frame in before), []
        for frame in frames:
            flags.append(repeated.slice(start, frame.height))
            start += frame.height
        return flags

    def _write_segment(
        self, entry: Entry, frame: pl.DataFrame, flag: pl.Series, data_version: int
    ) -> pl.DataFrame:
        """Write the file's rows unless the segment stands already; the rows with their flags."""
        marked = frame.with_columns(flag.alias("_duplicate")).select(list(frame_types(self.schema)))
        entry["duplicates"] = int(flag.sum())
        entry["accepted"] = frame.height - entry["duplicates"]
        entry["dates"] = sorted(_date_texts(frame["_date"].unique()))
        stands = entry.get("segment") and "_duplicate" in frame and frame["_duplicate"].equals(flag)
        if not stands:
            out = io.BytesIO()
            marked.write_parquet(out, compression="zstd")
            # With the version in its name no segment is written over: a crash leaves the old one.
            stem = f"{entry['position']:06d}-{entry['sha256'][:12]}"
            entry["segment"] = f"{stem}-{data_version}.parquet"
            entry["segment_sha256"] = sha256(out.getvalue())
            write_atomic(self.config.segments / entry["segment"], out.getvalue())
            self._frames[entry["segment"]] = marked
        return marked

    def _publish(self, data_version: int, parts: list[pl.DataFrame], *, rebuild: bool) -> None:
        """finaldata.csv, then the state: the rename of the state is the moment that counts."""
        import polars as pl

        rows = pl.concat(parts) if parts else pl.DataFrame(schema=frame_types(self.schema))
        text = csv_bytes(rows.filter(~pl.col("_duplicate")), self.schema, header=rebuild)
        if rebuild:
            write_intent(self.config, Intent(data_version, sha256=sha256(text)))
            write_atomic(self.config.finaldata, text)
        elif text:
            self._append(data_version, text)
        self.state["data_version"] = data_version
        self.state["kinds"] = self.schema.kinds()
        self.state["schema_signature"] = schema_signature(self.schema)
        self._record_finaldata()
        # Last: an intent of a version that is committed is no longer taken back.
        self.config.store_intent.unlink(missing_ok=True)

    def _append(self, data_version: int, text: bytes) -> None:
        """Append under an intent, so that a crash in between is cut back and never half a row."""
        recorded = self.state["finaldata"]
        # Checked again: minutes may have passed since recover() did.
        if recorded is None or not self._finaldata_as_recorded():
            raise PipelineError(
                f"{self.config.finaldata} was changed while new rows were read; run ingestion.py "
                "again (it moves a changed file aside and rebuilds it)"
            )
        old = recorded["bytes"]
        write_intent(self.config, Intent(data_version, span=(old, old + len(text))))
        # Not "ab": what a crash may have left behind the old end is written over.
        with open(self.config.finaldata, "r+b") as file:
            file.seek(old)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def save(self) -> None:
        """Commit the state, if for every file rows read = accepted + duplicates + quarantined."""
        for entry in self.files.values():
            if entry["rows"] != entry["accepted"] + entry["duplicates"] + entry["quarantined"]:
                raise AssertionError(f"{entry['file']}: the rows do not add up: {entry}")
        state_file(self.config).write(self.state)

    def tidy(self) -> None:
        """Delete what the committed state does not list, then write the summary and the record."""
        self._delete_unlisted()
        old, state = read_optional_json(self.config.summary), self.state
        wanted = (state["data_version"], state["finaldata"])
        if (old.get("data_version"), old.get("finaldata")) != wanted:
            segments = self.segments()
            rows = segments.filter(~segments["_duplicate"])
            write_json(self.config.summary, summary_of(state, self.schema, rows))
        record = ingest_record(self.config, self.files)
        path = self.config.ingested_files
        if not path.exists() or path.read_bytes() != record:
            write_atomic(path, record)

    def _delete_unlisted(self) -> None:
        entries = [e for entry in self.files.values() for e in (entry, entry.get("refusal", {}))]
        segments = {entry.get("segment") for entry in entries}
        quarantined = {entry.get("quarantine") for entry in entries}
        for path in self.config.segments.glob("*.parquet"):
            if path.name not in segments:
                path.unlink()
        for path in self.config.quarantine.glob("*.csv"):
            if path.name not in quarantined and QUARANTINE_NAME.fullmatch(path.name):
                path.unlink()

    def recover(self) -> list[str]:
        """Complete or take back what a crash left open; move a hand-edited finaldata.csv aside.

        The sentences for a person; [] when all is as it was committed.
        """
        intent, notes = read_intent(self.config), []
        if intent is not None and intent.data_version > self.data_version:
            if self._left_by(intent):
                self._take_back(intent)
            notes.append("an ingestion that was cut off has been taken back")
        if self.config.store_intent.exists():  # also one that was not even written whole
            self.config.store_intent.unlink()
        if self.state["schema_signature"] and not self._finaldata_as_recorded():
            notes += self._recover_finaldata()
        if self.files or not self.data_version:  # else the state is lost and nobody knows whose
            self._delete_unlisted()
        return notes

    def _left_by(self, intent: Intent | None) -> bool:
        """Whether finaldata.csv is what an ingestion with this intent leaves when it is cut off."""
        finaldata = self.config.finaldata
        if intent is None or not finaldata.exists():
            return False
        if intent.span:
            return intent.span[0] <= finaldata.stat().st_size <= intent.span[1]
        return sha256(finaldata.read_bytes()) == intent.sha256

    def _take_back(self, intent: Intent) -> None:
        """Undo a cut-off change of finaldata.csv; recover() then compares and records it."""
        if intent.span:
            with open(self.config.finaldata, "r+b") as file:
                file.truncate(intent.span[0])
                os.fsync(file.fileno())
        elif self.state["schema_signature"]:
            write_atomic(self.config.finaldata, self.finaldata_bytes())
        else:
            self.config.finaldata.unlink()

    def _finaldata_as_recorded(self) -> bool:
        recorded = self.state["finaldata"]
        try:
            # Not a digest: each script that reads the rows asks, however many there are.
            stat = self.config.finaldata.stat()
        except FileNotFoundError:
            return False
        return recorded == {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}

    def _finaldata_is_the_rows(self) -> bool:
        """By its content: a backup brings a file back with another time."""
        recorded, path = self.state["finaldata"], self.config.finaldata
        same = recorded and path.exists() and path.stat().st_size == recorded["bytes"]
        return bool(same) and path.read_bytes() == self.finaldata_bytes()

    def finaldata_bytes(self) -> bytes:
        import polars as pl

        rows = self.segments().filter(~pl.col("_duplicate"))
        return csv_bytes(rows, self.schema, header=True)

    def _recover_finaldata(self) -> list[str]:
        expected, finaldata = self.finaldata_bytes(), self.config.finaldata
        present = finaldata.read_bytes() if finaldata.exists() else b""
        notes = []
        if present != expected:
            # A beginning of it is a copy cut short: nothing in it is a person's.
            if not expected.startswith(present):
                notes.append(f"{self._set_aside()} holds a finaldata.csv that was changed by hand")
            write_atomic(finaldata, expected)
            notes.append("finaldata.csv was rebuilt from the store")
        self._record_finaldata()
        return notes

    def _record_finaldata(self) -> None:
        """Commit the state with the size and time that finaldata.csv has now."""
        stat = self.config.finaldata.stat()
        self.state["finaldata"] = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        self.save()

    def set_aside_changed(self) -> list[str]:
        """Before finaldata.csv is written anew: keep one that ingestion did not write."""
        ours = self._finaldata_as_recorded() or self._left_by(read_intent(self.config))
        if ours or not self.config.finaldata.exists():
            return []
        return [f"{self._set_aside()} holds a finaldata.csv that ingestion did not write"]

    def _set_aside(self) -> str:
        stamp = utc_now().replace("-", "").replace(":", "")
        target = self.config.finaldata.with_name(f"finaldata.byhand-{stamp}.csv")
        while target.exists():  # a second one within the second
            target = target.with_name(target.name.replace(".csv", "x.csv"))
        os.rename(self.config.finaldata, target)
        sync_folder(target.parent)
        return target.name


def _repeated(rows: pl.DataFrame) -> pl.Series:
    """Which rows equal an earlier one in every column."""
    import polars as pl

    # Rows are compared only where their hashes are equal: a tenth of the time.
    hashes = rows.hash_rows()
    order = hashes.sort()
    twice = order.filter((order == order.shift(1)).fill_null(False)).unique()
    repeated = pl.repeat(False, rows.height, eager=True)
    if not twice.len():
        return repeated
    at = hashes.is_in(twice.implode()).arg_true()
    first = rows[at].select(pl.struct(pl.all()).is_first_distinct()).to_series()
    return repeated.scatter(at.filter(~first), True)


def _date_texts(dates: pl.Series) -> set[str]:
    return {str(date) if date else "" for date in dates.to_list()}


def tagged(frame: pl.DataFrame, data_version: int, position: int, replaced: bool) -> pl.DataFrame:
    """The rows with what is known of their file beside them, without their lines in it."""
    import polars as pl

    tags = zip(_tag_types().items(), (data_version, replaced, position), strict=True)
    return frame.drop("_line").with_columns(
        pl.lit(value, kind).alias(f"_{tag}") for (tag, kind), value in tags
    )


def _tag_types() -> dict[str, type[pl.DataType]]:
    """What a row is told of its file."""
    import polars as pl

    return {"data_version": pl.Int64, "replaced": pl.Boolean, "position": pl.Int64}


def _damaged_segment(path: Path, why: str) -> PipelineError:
    return PipelineError(f"{path} is missing or damaged ({why}); run ingestion.py --rebuild")

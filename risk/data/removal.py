"""Rows taken out of the store by hand: one file's, or one client's for good."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from risk.config import Config, Outcome, PipelineError
from risk.data.asides import RowError
from risk.data.decoding import Refused
from risk.data.quarantine import cleanse_quarantine, names_client
from risk.data.reader import Reading
from risk.data.state import NOWHERE, Entry, without_rows
from risk.data.store import Store, Taken, client_digest
from risk.data.tables import read_table
from risk.data.values import plain_cell
from risk.files import read_optional_json
from risk.releases import kept_releases
from risk.words import nearest_names


def forget(config: Config, file: str) -> Outcome:
    """Take one file's rows out, and those of other files with the same bytes."""
    store = Store.open(config)
    notes = store.recover()
    file = _known_file(config, store, file)
    # Files with the same bytes were counted once: the others would bring the rows back.
    digest = store.files[file]["sha256"]
    doomed = {f: e for f, e in store.files.items() if f == file or e["sha256"] == digest}
    gone = sum(entry["accepted"] for entry in doomed.values())
    since = min(_since(entry) for entry in doomed.values())
    found: Taken = {}
    for name, entry in doomed.items():
        kept = without_rows(entry)
        kept.pop("refusal", None)
        kept.pop("quarantine", None)
        kept |= {"verdict": "forgotten", "reason": "taken out by hand", "position": NOWHERE}
        kept |= {"data_version": store.data_version + 1, "dates": []}
        kept |= {"rows": 0, "accepted": 0, "duplicates": 0, "quarantined": 0}
        found[name] = kept, None
    _commit(store, found, changed=any(entry.get("segment") for entry in doomed.values()))
    also = [f"the same bytes, forgotten too: {', '.join(sorted(set(doomed) - {file}))}"]
    notes += also if len(doomed) > 1 else []
    text = (
        f"{file}: {gone} rows taken out; ingestion.py --rebuild reads it again while it lies in "
        f"the input folder. {_still_trained_on(config, since)}"
    )
    return Outcome("\n  ".join([text, *notes]), {"file": file, "rows": gone, "notes": notes})


def _known_file(config: Config, store: Store, file: str) -> str:
    """The file's path below the input folder, however a person typed it."""
    typed = [Path(file).absolute(), config.root / file]
    below = [
        Path(os.path.realpath(path.parent), path.name).relative_to(config.input_folder).as_posix()
        for path in typed
        if Path(os.path.realpath(path.parent)).is_relative_to(config.input_folder)
    ]
    for name in (file, *below):
        if name in store.files:
            return name
    near = ", ".join(nearest_names(sorted(store.files), file)) or "none was"
    raise PipelineError(f"no file {file!r} was ingested; the nearest names: {near}")


def erase(config: Config, client: str) -> Outcome:
    """Take one client's rows out, for good: later files that name it lose them too."""
    client = plain_cell(client)
    if not client:
        raise PipelineError("--erase needs the client's id as it stands in the id column")
    store = Store.open(config)
    notes = store.recover()
    found, gone, since = _without_client(store, client)
    # Quarantine first: after a crash in between, the store still has the rows and asks again.
    cleanse_quarantine(config, lambda text: text == client)
    digest = client_digest(client)
    before = digest in store.state["erased"]
    known = sorted({str(name) for name in store.rows()[store.schema.named("id")]})
    store.state["erased"] = sorted({*store.state["erased"], digest})
    _commit(store, found, changed=bool(found))
    places = _sources_naming(config, client)
    sources = f" Still in: {', '.join(places)}; delete it there yourself." if places else ""
    text = f"{gone} rows of this client taken out; later files lose them too.{sources}"
    carried = _still_trained_on(config, since) if gone else ""
    matched = bool(gone or places or before)
    if not matched:
        near = ", ".join(nearest_names(known, client)) or "there are none"
        text = (
            f"no row is of a client {client!r}; the nearest names: {near}. Files to come lose "
            "its rows all the same."
        )
    return Outcome(
        "\n  ".join([f"{text} {carried}".rstrip(), *notes]),
        {"rows": gone, "sources": places, "notes": notes},
        code=int(not matched),
    )


def _without_client(store: Store, client: str) -> tuple[Taken, int, int]:
    """(files that named the client, without its rows; rows gone; since which data version)."""
    import polars as pl

    found: Taken = {}
    gone, since = 0, store.data_version
    for entry in store.live():
        frame = store.segment(entry)
        rows = frame.filter(pl.col(store.schema.named("id")) != client)
        if rows.height < frame.height:
            taken = frame.height - rows.height
            gone, since = gone + taken, min(since, _since(entry))
            fresh = without_rows(entry)  # the old segment is deleted with the commit
            fresh["quarantined"] += taken  # save() wants every row that was read accounted for
            found[entry["file"]] = fresh, rows
    return found, gone, since


def _commit(store: Store, found: Taken, *, changed: bool) -> None:
    if changed:
        store.put(found, rebuild=True)
    else:
        store.files.update({file: entry for file, (entry, _) in found.items()})
        store.save()
    store.tidy()


def _since(entry: Entry) -> int:
    """Since when the file's rows may have been trained on; 0 where an earlier version had some."""
    return 0 if entry["replaced"] else entry["data_version"]


def drop_erased(store: Store, reading: Reading) -> None:
    """Set the rows of erased clients aside without their content, in errors as in valid rows."""
    erased = set(store.state["erased"])
    if not erased:  # a digest for each row of each file would be paid by everybody
        return

    def is_client(text: str) -> bool:
        return client_digest(text) in erased

    delimiter = store.config.csv.delimiter

    def cleanse(errors: list[RowError]) -> list[RowError]:
        return [
            replace(error, value="", raw="")
            if is_client(error.value) or names_client(error.raw, is_client, delimiter)
            else error
            for error in errors
        ]

    reading.errors, reading.aside = cleanse(reading.errors), cleanse(reading.aside)
    ids = reading.values.get(store.schema.named("id"), [])
    keep = [at for at, client in enumerate(ids) if not is_client(str(client))]
    if len(keep) < len(ids):
        gone = set(range(len(ids))) - set(keep)
        errors = [RowError(reading.lines[at], "", "erased client", "", "") for at in gone]
        reading.errors = sorted([*reading.errors, *errors], key=lambda error: error.line)
        reading.keep(keep)


def _sources_naming(config: Config, client: str) -> list[str]:
    """Files that people own and that still name the client: input, test data, set-aside copies."""
    places = [
        *config.input_folder.rglob("*"),
        *config.test_folder.rglob("*"),
        *config.output_folder.glob("finaldata.byhand-*"),
    ]
    return sorted({config.shown(p) for p in places if p.is_file() and _names(p, client, config)})


def _names(path: Path, client: str, config: Config) -> bool:
    """Whether a cell of the file is the client; whether it is named at all in what is no table."""
    data = path.read_bytes()
    try:
        table = read_table(data, path.name, config.csv, [config.columns.id])
    except Refused:
        return client.encode("utf-8", "surrogateescape") in data
    rows = (cells for _, cells in table.rows)
    if any(client in map(plain_cell, cells) for cells in rows if isinstance(cells, list)):
        return True
    lines = [table.raw(number) for number, cells in table.rows if isinstance(cells, str)]
    lines += [error.raw for error in table.aside]
    return any(names_client(line, lambda text: text == client) for line in lines)


def _still_trained_on(config: Config, since: int) -> str:
    """Which models may have learned from rows that came at the data version `since`."""
    # By data versions: a model does not keep whose rows it has seen.
    lineage = read_optional_json(config.model_json).get("lineage", {})
    carrying = [
        f"version {release.version} in {config.shown(config.production_folder)}"
        for release in kept_releases(config)
        if release.manifest.get("data_version", 0) >= since
    ]
    if lineage.get("data_version", -1) >= since:
        carrying.insert(0, config.shown(config.model_pickle))
    if not carrying:
        return "No model was trained on them."
    return (
        f"Still trained on them: {', '.join(carrying)} (the deployed one keeps a copy of the "
        "rows) and the lists made from them. Run training.py, scoring.py, deployment.py and "
        "reporting.py; older releases go as new ones come."
    )

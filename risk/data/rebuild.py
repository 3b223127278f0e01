"""An ingestion on the store as it stands or on an empty one; neither loses rows unasked."""

from __future__ import annotations

import re

from risk.config import Config, PipelineError
from risk.data.intake import Intake
from risk.data.schema import printable, schema_of
from risk.data.state import empty_state, fits, read_store_state, salvage
from risk.data.store import Store
from risk.files import DamagedFile

SEGMENT = re.compile(r"\d+-([0-9a-f]{12})-\d+\.parquet")  # as Store names them


def open_intake(config: Config) -> Intake:
    """On the store as it was committed last; what a crash left open is completed."""
    # After the store was deleted nobody knows which rows are new.
    deleted = not config.store_state.exists()
    store = Store.open(config)
    return Intake(store, store.recover(), lost_track=deleted and store.data_version > 0)


def restart_intake(config: Config) -> Intake:
    """On an empty store with the old one's data versions and erasures, and its old entries."""
    notes, lost_track = [], False
    try:
        old = read_store_state(config)
    except DamagedFile:
        old, lost_track = salvage(config), True
        notes.append(
            f"{config.store_state} could not be read; it knew {len(old['erased'])} erased clients: "
            "were there more, erase them again"
        )
    former = {file: entry.copy() for file, entry in old["files"].items()}
    if old["schema_signature"] is None or not fits(old, schema_of(config, old["kinds"])):
        # The rows themselves change: nobody may take them for those that were judged before.
        for entry in former.values():
            entry["sha256"] = ""
    state = empty_state(old["data_version"])
    state["erased"], state["finaldata"] = old["erased"], old["finaldata"]
    # Deleted, as in open_intake.
    lost_track = lost_track or (state["data_version"] > 0 and not config.store_state.exists())
    return Intake(Store(config, state, schema_of(config)), notes, former, lost_track=lost_track)


def refuse_lost_rows(intake: Intake, *, drop: bool) -> None:
    """PipelineError where rows would go whose files are gone; drop: they may, and it is said.

    Nothing at all in their place is refused in any case.
    """
    config = intake.store.config
    folder = config.shown(config.input_folder)
    held = {file: e["accepted"] for file, e in intake.former.items() if e.get("segment")}
    if held and not any(frame is not None for _, frame in intake.files.values()):
        why = "; ".join(map(printable, intake.notes[:3])) or "it holds no CSV file"
        raise PipelineError(f"nothing in {folder} can be read ({why}); the old rows stay")
    lost = sorted(held.keys() - intake.files.keys())
    if lost:
        rows = sum(held[file] for file in lost)
        what = f"no longer in {folder}, {{}}: {printable(', '.join(lost))[:200]}"
        if not drop:
            raise _loss(what.format(f"{rows} rows would go"))
        intake.notes.append(what.format(f"{rows} rows gone"))
    if orphans := _orphans(intake):
        what = f"{config.shown(config.segments)}: the rows of {len(orphans)} files that are not in"
        if not drop:
            raise _loss(f"{what} {folder} as they were would go")
        intake.notes.append(f"{what} {folder} are gone")


def _loss(what: str) -> PipelineError:
    return PipelineError(
        f"{what}; put the files back, or let their rows go: ingestion.py --rebuild --drop-missing"
    )


def _orphans(intake: Intake) -> list[str]:
    """The segments of which no state says whose they are, and that no file here would make."""
    if not intake.lost_track:
        return []
    made = {entry["sha256"][:12] for entry, _ in intake.files.values()}
    names = (SEGMENT.fullmatch(path.name) for path in intake.store.config.segments.glob("*"))
    return [name[0] for name in names if name and name[1] not in made]

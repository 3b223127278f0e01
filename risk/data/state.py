"""The store's state: what is known of each file, and what the rows were written with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NotRequired, TypedDict, cast

from risk.config import Config
from risk.data.schema import Schema, schema_signature
from risk.files import StateFile, read_optional_json

Count = Literal["rows", "accepted", "duplicates", "quarantined"]
NOWHERE = -1
COUNTS: tuple[Count, ...] = ("rows", "accepted", "duplicates", "quarantined")


class Entry(TypedDict):
    """What became of one file.

    verdict: accepted, repeated (the same bytes as another), refused or forgotten (by hand).
    data_version: the ingestion that took its rows in. replaced: whether rows of an earlier version
    of the file may have been judged before. rules: a digest of the settings that a refusal holds
    under. position: its place among the files, NOWHERE if it never had rows. segment: its rows,
    where it has any. delimiter, decimal: how it is written. refusal: of a later version of the
    file, whose earlier rows stay. outcomes: whether it holds clients and outcomes alone.
    """

    file: str
    sha256: str
    size: int
    mtime_ns: int
    data_version: int
    replaced: bool
    ingested_at: str
    verdict: str
    reason: str
    rules: str
    rows: int
    accepted: int
    duplicates: int
    quarantined: int
    dates: list[str]
    position: int
    quarantine: NotRequired[str]
    delimiter: NotRequired[str]
    decimal: NotRequired[str]
    segment: NotRequired[str]
    segment_sha256: NotRequired[str]
    refusal: NotRequired[Entry]
    outcomes: NotRequired[bool]


class StoreState(TypedDict):
    """What one ingestion commits.

    finaldata: the bytes and the mtime_ns of the file. erased: digests of clients whose rows are
    never taken in. unread: sentences about what lies in the input folder and is not read. notes:
    file -> what was remarked on it when it was read.
    """

    data_version: int
    kinds: dict[str, str | None]
    schema_signature: list[list[Any]] | None
    finaldata: dict[str, int] | None
    files: dict[str, Entry]
    erased: list[str]
    unread: NotRequired[list[str]]
    notes: NotRequired[dict[str, list[str]]]


def without_rows(entry: Entry) -> Entry:
    """A copy that names no segment, so that the rows it is committed with are written anew."""
    copy = entry.copy()
    copy.pop("segment", None)
    copy.pop("segment_sha256", None)
    return copy


def counts_of(*entries: Entry) -> dict[str, int]:
    """How many rows the files have, and what became of them."""
    return {key: sum(entry[key] for entry in entries) for key in COUNTS}


@dataclass(frozen=True)
class Intent:
    """What an ingestion is about to do to finaldata.csv, so that the next can take it back.

    span: its sizes before and after rows are appended; None where it is written anew, with this
    checksum.
    """

    data_version: int
    sha256: str = ""
    span: tuple[int, int] | None = None


def write_intent(config: Config, intent: Intent) -> None:
    StateFile(config.store_intent, 1).write(asdict(intent))


def read_intent(config: Config) -> Intent | None:
    """What was begun and not finished; None if nothing was, or it was not even written whole."""
    found = StateFile(config.store_intent, 1).read_or_empty()
    return Intent(**found) if found else None


def state_file(config: Config) -> StateFile:
    return StateFile(config.store_state, 1, "run ingestion.py --rebuild")


def empty_state(data_version: int = 0) -> StoreState:
    """The state before the first ingestion."""
    return {
        "data_version": data_version,
        "kinds": {},
        "schema_signature": None,
        "finaldata": None,
        "files": {},
        "erased": [],
    }


def read_store_state(config: Config) -> StoreState:
    """The committed state; an empty one where nothing was ingested yet."""
    state = state_file(config).read()
    if state:
        return cast(StoreState, state)
    # After the store was deleted its versions go on: the deployed model's rows are known by theirs.
    manifest = read_optional_json(config.production_folder / "current" / "manifest.json")
    version = manifest.get("data_version")
    return empty_state(version if type(version) is int else 0)


def salvage(config: Config) -> StoreState:
    """What can be used of a damaged state: the data version and the erased clients."""
    raw = read_optional_json(config.store_state)
    version, erased = raw.get("data_version"), raw.get("erased")
    # Erasures before all: without them the erased clients' rows would come back.
    state = empty_state(version if type(version) is int else 0)
    if isinstance(erased, list):
        state["erased"] = [digest for digest in erased if isinstance(digest, str)]
    return state


def fits(state: StoreState, schema: Schema) -> bool:
    """Whether rows of this schema can join those that the state lists."""
    # A kind that was not inferred yet may still become any.
    return schema_signature(schema) == state["schema_signature"] and all(
        schema.kinds().get(name) == kind for name, kind in state["kinds"].items() if kind
    )

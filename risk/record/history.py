"""Every look that had something to decide, with all that was behind it: SQLite in the state folder.

For people: `table` for many entries, `explained` for one.

An entry with four challengers and the usual details weighs 2.1 kB (measured): ten years of daily
looks 8 MB, of hourly ones 180 MB. Nothing is ever deleted. Recording takes 4 ms, reading 0.15 ms
an entry.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from risk.config import Config
from risk.data.schema import printable
from risk.decide.decision import (
    BY_HAND,
    RECALIBRATE,
    ChallengerEvidence,
    DecisionRecord,
    leading,
    sentence,
    word,
)
from risk.files import checksum_holds, make_folder, sync_folder, with_checksum, write_json
from risk.record.sqlite import Database
from risk.words import aligned

if TYPE_CHECKING:
    from risk.drift.state import DriftEvaluation

FORMAT = 1
WIDTH = 120
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL,
    data_version INTEGER NOT NULL,
    policy TEXT NOT NULL,
    verdict TEXT NOT NULL,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    rows INTEGER NOT NULL,
    exits INTEGER NOT NULL,
    before INTEGER,
    after INTEGER,
    evidence TEXT NOT NULL,
    details TEXT NOT NULL,
    checksum TEXT NOT NULL
)
"""
DRIFT_SCHEMA = """
CREATE TABLE IF NOT EXISTS drift (
    data_version INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    state TEXT NOT NULL,
    effect REAL NOT NULL,
    effect_name TEXT NOT NULL,
    p REAL NOT NULL,
    n INTEGER NOT NULL,
    since TEXT,
    sentence TEXT NOT NULL,
    PRIMARY KEY (data_version, version, kind, name)
)
"""


@dataclass(frozen=True)
class Entry(DecisionRecord):
    """One evaluation that had something to decide, or what was done by hand.

    verdict: keep, wait, deploy, held, fault (of the data) or by hand. action: as decision.py has
    it, or rollback by hand, deployment by hand or release hold. at: UTC, ends in Z. after: the
    version deployed from then on.
    """

    at: str = ""
    after: int | None = None

    @property
    def word(self) -> str:
        """What was done, in a word or two."""
        return word(self)

    @property
    def sentence(self) -> str:
        """What became of the deployed model."""
        return sentence(self, self.after)

    @property
    def why(self) -> str:
        """The reason; of a recalibration first what it is: the reason alone is why no more was."""
        if self.action == RECALIBRATE:
            return f"{self.sentence}; {self.reason}"
        return self.reason


NAMES = tuple(field.name for field in fields(Entry))
COLUMNS = (*NAMES, "checksum")
DRIFT_COLUMNS = (
    "data_version",
    "version",
    "kind",
    "name",
    "at",
    "state",
    "effect",
    "effect_name",
    "p",
    "n",
    "since",
    "sentence",
)
AS_JSON = ("evidence", "details")
SELECTED = ", ".join(COLUMNS)  # not in quotes: SQLite takes an unknown name in quotes for a text

# ---------------------------------------------------------------- written


def record(config: Config, entry: Entry) -> None:
    """Keep the entry in the history, then as decision.json; the caller holds the project's lock.

    A damaged history is moved aside as it is, and a new one begun. ValueError or TypeError, with
    nothing written, if a number in the entry is not Python's own or not finite.
    """
    decision = _sealed(entry)
    values = {**decision, **{name: json.dumps(decision[name]) for name in AS_JSON}}
    marks = ", ".join(f":{name}" for name in COLUMNS)
    statement = f"INSERT OR REPLACE INTO entries ({SELECTED}) VALUES ({marks})"
    make_folder(config.state_folder)
    # The entry comes last, and an earlier one of its key goes.
    _history(config).write(lambda database: database.execute(statement, values))
    # This also syncs the folder: SQLite does not after unlinking the journal, and a power cut that
    # brings the journal back undoes the commit.
    write_json(config.decision, decision)


def record_drift(config: Config, evaluation: DriftEvaluation) -> None:
    """Keep the table of one evaluation; the same evaluation again replaces its rows.

    30 columns weigh 13 kB an evaluation (measured): ten years of daily ones 48 MB.
    """
    about = {
        "data_version": evaluation.data_version,
        "version": evaluation.model_version,
        "at": evaluation.measured_at,
    }
    values = [_printable(vars(row)) | about for row in evaluation.rows]
    marks = ", ".join(f":{name}" for name in DRIFT_COLUMNS)
    names = ", ".join(DRIFT_COLUMNS)
    statement = f"INSERT OR REPLACE INTO drift ({names}) VALUES ({marks})"
    make_folder(config.state_folder)
    _history(config).write(lambda database: database.executemany(statement, values))
    sync_folder(config.state_folder)


def _sealed(entry: Entry) -> dict[str, Any]:
    """The entry as decision.json holds it; no text of its own can steer a terminal."""
    body = {"format": FORMAT, **_printable(entry.to_json())}
    return with_checksum(json.loads(json.dumps(body, allow_nan=False)))


def _printable(body: dict[str, Any]) -> dict[str, Any]:
    return {n: printable(v) if isinstance(v, str) else v for n, v in body.items()}


def _history(config: Config) -> Database:
    return Database(
        path=config.history,
        format=FORMAT,
        tables=(SCHEMA, DRIFT_SCHEMA),
        shown=config.shown(config.history),
        cure="rename it, and the next decision begins a new one (the last decision is in "
        f"{config.shown(config.decision)})",
    )


# ---------------------------------------------------------------- read


def entries(config: Config, last: int | None = None, skip: int = 0) -> list[Entry]:
    """The entries, or the last so many, oldest first; [] where there is no history.

    skip: so many of the newest are left out. Nothing in the state folder is created or changed.
    PipelineError if the history is damaged, written by a newer version, or held by its writer for
    five seconds.
    """
    return _selected(config, "", last, skip)


def count_entries(config: Config) -> int:
    """How many entries there are."""
    found = _history(config).read("SELECT COUNT(*) FROM entries")
    return int(found[0][0]) if found else 0


def last_decision(config: Config) -> Entry | None:
    """The last look; None where all was done by hand, or nothing yet."""
    by_hand = f"verdict = '{BY_HAND}' OR action = 'release hold'"
    found = _selected(config, f"WHERE NOT ({by_hand})", 1)
    return found[0] if found else None


def _selected(config: Config, where: str, last: int | None, skip: int = 0) -> list[Entry]:
    limit = f"LIMIT {-1 if last is None else last:d} OFFSET {skip:d}"
    query = f"SELECT {SELECTED} FROM entries {where} ORDER BY number DESC {limit}"
    return [_entry(config, row) for row in reversed(_history(config).read(query))]


def _entry(config: Config, row: tuple[Any, ...]) -> Entry:
    kept = {"format": FORMAT, **dict(zip(COLUMNS, row, strict=True))}
    try:
        kept |= {name: json.loads(kept[name]) for name in AS_JSON}
        whole = checksum_holds(kept)
    except (ValueError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise _history(config).damaged(f"the entry of {printable(str(kept['at']))}")
    values = {name: kept[name] for name in NAMES}
    return Entry.from_json(values)


# ---------------------------------------------------------------- shown


def history_table(entries: list[Entry]) -> str:
    """One line per entry, at most 120 characters wide."""
    if not entries:
        return "nothing was decided yet"
    head = ("when", "what", "version", "rows", "evidence", "why")
    lines = [(e.at, e.word, _change(e), f"{e.rows:,}", _leading(e), e.why) for e in entries]
    return "\n".join(map(_cut, aligned([head, *lines], right={3})))


def _change(entry: Entry) -> str:
    if entry.before == entry.after or entry.before is None:
        return "-" if entry.after is None else str(entry.after)
    return f"{entry.before} -> {'-' if entry.after is None else entry.after}"


def _leading(entry: Entry) -> str:
    """The challenger that is nearest to its threshold."""
    lead = leading(entry.evidence)
    if lead is None:
        return ""
    return f"{printable(lead.name)} {_number(lead.e_value)} of {_number(lead.threshold)}"


def _number(value: float) -> str:
    """Two decimals; 3e+12 where they say nothing any more."""
    return f"{value:,.2f}" if abs(value) < 1e6 else f"{value:.0e}"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3].rstrip()}..."


def explain_entry(entry: Entry) -> str:
    """Why this look did what it did: the reason, each challenger's evidence, guards, versions."""
    judged = f"{entry.rows:,} labelled rows, {entry.exits:,} exits"
    parts = [
        f"{entry.at}: {entry.word} (policy {entry.policy}, {judged})\n{entry.reason}",
        "\n".join(_challengers(entry.evidence)),
        "\n".join(f"guard: {text}" for text in _guards(entry.details.get("guards"))),
        f"{entry.sentence}.",
    ]
    return "\n\n".join(filter(None, parts))


def _challengers(evidence: tuple[ChallengerEvidence, ...]) -> list[str]:
    if not evidence:
        return []
    head = ("challenger", "e-value", "threshold", "Brier", "deployed", "rows still needed")
    lines = [
        (
            printable(one.name),
            _number(one.e_value),
            _number(one.threshold),
            _brier(one.brier),
            _brier(one.brier_deployed),
            _needed(one),
        )
        for one in evidence
    ]
    return aligned([head, *lines], right={1, 2, 3, 4})


def _brier(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _needed(one: ChallengerEvidence) -> str:
    """The forecast's own spread, a factor of 2.5 either way, is part of it."""
    if one.is_reached:
        return "none: the threshold is reached"
    if one.alone:
        return "none: judged by these rows alone"
    rows = one.rows_needed
    if rows is None:
        return "no evidence for it so far"
    return f"about {rows:,.0f} ({rows / 2.5:,.0f} to {2.5 * rows:,.0f})"


def _guards(guards: Any) -> list[str]:
    if isinstance(guards, dict):
        guards = [f"{name}: {text}" for name, text in guards.items()]
    return [printable(str(text)) for text in guards or ()]

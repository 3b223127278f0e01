"""Every evaluation that had something to decide, with all that was behind it: history.sqlite.

For people: `history_table` for many entries, `explain_entry` for one.

An entry with four challengers and the usual details weighs 2.1 kB (measured): ten years of daily
evaluations 8 MB, of hourly ones 180 MB. Nothing is ever deleted. Recording takes 4 ms, reading
0.15 ms an entry.
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
from risk.files import checksum_holds, with_checksum, write_json
from risk.record.sqlite import Database
from risk.records import parse_record, to_record
from risk.words import aligned, evidence_number

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from risk.drift.state import DriftEvaluation

FORMAT = 1
WIDTH = 120
TABLES = (
    """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, at TEXT NOT NULL,
    data_version INTEGER NOT NULL, policy TEXT NOT NULL, verdict TEXT NOT NULL,
    action TEXT NOT NULL, reason TEXT NOT NULL, rows INTEGER NOT NULL, exits INTEGER NOT NULL,
    before INTEGER, after INTEGER, evidence TEXT NOT NULL, details TEXT NOT NULL,
    checksum TEXT NOT NULL
)
""",
    """
CREATE TABLE IF NOT EXISTS drift (
    data_version INTEGER NOT NULL, version INTEGER NOT NULL, at TEXT NOT NULL, name TEXT NOT NULL,
    kind TEXT NOT NULL, state TEXT NOT NULL, effect REAL NOT NULL, effect_name TEXT NOT NULL,
    p REAL NOT NULL, n INTEGER NOT NULL, since TEXT, sentence TEXT NOT NULL,
    PRIMARY KEY (data_version, version, kind, name)
)
""",
)


@dataclass(frozen=True)
class Entry(DecisionRecord):
    """One evaluation that had something to decide, or what was done by hand.

    verdict: keep, wait, deploy, paused, data issue or by hand. action: as decision.py has
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


COLUMNS = (*(field.name for field in fields(Entry)), "checksum")
DRIFT_COLUMNS = "name, kind, state, effect, effect_name, p, n, since, sentence".split(", ")
AS_JSON = ("evidence", "details")
SELECTED = ", ".join(COLUMNS)  # not in quotes: SQLite takes an unknown name in quotes for a text


def record(config: Config, entry: Entry) -> None:
    """Keep the entry in the history, then as decision.json; the caller holds the project's lock.

    A damaged history is moved aside as it is, and a new one begun. ValueError or TypeError, with
    nothing written, if a number in the entry is not Python's own or not finite.
    """
    body = {"format": FORMAT, **_printable(to_record(entry))}
    # By way of JSON, so that the checksum is of the values as they are read.
    decision = with_checksum(json.loads(json.dumps(body, allow_nan=False)))
    values = [json.dumps(decision[n]) if n in AS_JSON else decision[n] for n in COLUMNS]
    # The entry comes last, and an earlier one of its key goes.
    _history(config).write(lambda database: _insert(database, "entries", COLUMNS, [values]))
    write_json(config.decision, decision)


def record_drift(config: Config, evaluation: DriftEvaluation) -> None:
    """Keep the table of one evaluation; the same evaluation again replaces its rows.

    30 columns weigh 13 kB an evaluation (measured): ten years of daily ones 48 MB.
    """
    about = (evaluation.data_version, evaluation.model_version, evaluation.measured_at)
    rows = map(_printable, map(vars, evaluation.rows))
    values = [[*about, *(row[name] for name in DRIFT_COLUMNS)] for row in rows]
    columns = ("data_version", "version", "at", *DRIFT_COLUMNS)
    _history(config).write(lambda database: _insert(database, "drift", columns, values))


def _insert(
    database: sqlite3.Connection, table: str, columns: Sequence[str], rows: list[list[Any]]
) -> None:
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    database.executemany(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", rows)


def _printable(body: dict[str, Any]) -> dict[str, Any]:
    """The record, none of whose own texts can steer a terminal."""
    return {n: printable(v) if isinstance(v, str) else v for n, v in body.items()}


def _history(config: Config) -> Database:
    return Database(
        path=config.history,
        format=FORMAT,
        tables=TABLES,
        shown=config.shown(config.history),
        cure="rename it, and the next decision begins a new one (the last decision is in "
        f"{config.shown(config.decision)})",
    )


def entries(
    config: Config, last: int | None = None, skip: int = 0, *, where: str = ""
) -> list[Entry]:
    """The entries, or the last so many, oldest first; [] where there is no history.

    skip: so many of the newest are left out. where: a condition in SQL. PipelineError if the
    history is damaged, written by a newer version, or held by its writer for five seconds.
    """
    limit = f"LIMIT {-1 if last is None else last:d} OFFSET {skip:d}"
    # Newest first, or a limit would keep the oldest.
    query = f"SELECT {SELECTED} FROM entries {where} ORDER BY number DESC {limit}"
    return [_entry(config, row) for row in reversed(_history(config).read(query))]


def count_entries(config: Config) -> int:
    """How many entries there are."""
    found = _history(config).read("SELECT COUNT(*) FROM entries")
    return int(found[0][0]) if found else 0


def last_decision(config: Config) -> Entry | None:
    """The last evaluation; None where all was done by hand, or nothing yet."""
    by_hand = f"verdict = '{BY_HAND}' OR action = 'release hold'"
    return next(iter(entries(config, 1, where=f"WHERE NOT ({by_hand})")), None)


def _entry(config: Config, row: tuple[Any, ...]) -> Entry:
    kept = {"format": FORMAT, **dict(zip(COLUMNS, row, strict=True))}
    try:
        kept |= {name: json.loads(kept[name]) for name in AS_JSON}
        intact = checksum_holds(kept)
    except (ValueError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise _history(config).damaged(f"the entry of {printable(str(kept['at']))}")
    entry: Entry = parse_record(Entry, {field.name: kept[field.name] for field in fields(Entry)})
    return entry


def history_table(entries: list[Entry]) -> str:
    """One line per entry, at most 120 characters wide."""
    if not entries:
        return "nothing was decided yet"
    head = ("when", "what", "version", "rows", "evidence", "why")
    lines = []
    for entry in entries:
        after = "-" if entry.after is None else str(entry.after)
        moved = entry.before is not None and entry.before != entry.after
        change, evidence = f"{entry.before} -> {after}" if moved else after, ""
        if lead := leading(entry.evidence):
            value, threshold = evidence_number(lead.e_value), evidence_number(lead.threshold)
            evidence = f"{printable(lead.name)} {value} of {threshold}"
        lines.append((entry.at, entry.word, change, f"{entry.rows:,}", evidence, entry.why))
    rows = aligned([head, *lines], right={3})
    return "\n".join(
        row if len(row) <= WIDTH else f"{row[: WIDTH - 3].rstrip()}..." for row in rows
    )


def explain_entry(entry: Entry) -> str:
    """Why it did what it did: the reason, each challenger's evidence, guards, versions."""
    judged = f"{entry.rows:,} labelled rows, {entry.exits:,} exits"
    guards = entry.details.get("guards") or ()
    head = ("challenger", "e-value", "threshold", "Brier", "deployed", "rows still needed")
    lines = [
        (
            printable(one.name),
            *map(evidence_number, (one.e_value, one.threshold)),
            *("-" if x is None else f"{x:.4f}" for x in (one.brier, one.brier_deployed)),
            _needed(one),
        )
        for one in entry.evidence
    ]
    challengers = aligned([head, *lines], right={1, 2, 3, 4}) if lines else []
    parts = [
        f"{entry.at}: {entry.word} (policy {entry.policy}, {judged})\n{entry.reason}",
        "\n".join(challengers),
        "\n".join(f"guard: {printable(text)}" for text in guards),
        f"{entry.sentence}.",
    ]
    return "\n\n".join(filter(None, parts))


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

"""The data that were read and whether they drifted: two sections of Status and of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from risk.data.quarantine import quarantine_reasons
from risk.data.schema import printable
from risk.drift.monitor import DriftRow
from risk.drift.state import last_evaluation
from risk.web.context import PageContext
from risk.words import age, amount, as_sentence, day, enumeration, stamp

SHOWN_FILES = 12
SHOWN_DRIFT, MOVED = 8, ("alert", "watching")
BAR_UNITS = 400  # the drift bar ends at .25; its stroke is at .04, see docs/drift.md
LEAST_MISSING = 0.05  # percent: less is shown as 0.0


@dataclass(frozen=True)
class RowCounts:
    """Rows read = accepted + duplicates + quarantined, as they are shown."""

    rows: str
    accepted: str
    duplicates: str
    quarantined: str


@dataclass(frozen=True)
class FileLine(RowCounts):
    """One file of the last ingestion; replaced: words where it took the place of an earlier one."""

    name: str
    sha256: str
    replaced: str


@dataclass(frozen=True)
class DataRead:
    """The files of the last ingestion that changed rows, and all files, with counts that add up.

    bar: where accepted and then duplicates end, in percent. more: files that are not shown.
    refused: (file, why it was not taken in). remarks: (file, what reading it came
    upon). quarantine: (rows, why, file and line of one).
    """

    when: str
    sums: RowCounts
    bar: tuple[float, float]
    files: list[FileLine]
    more: int
    total: RowCounts
    total_files: str
    outcomes: str
    missing: str
    refused: list[tuple[str, str]]
    quarantine: list[tuple[str, str, str]]
    folder: str
    remarks: list[tuple[str, str]] = field(default_factory=list)
    labels: str = ""


@dataclass(frozen=True)
class DriftLine:
    """One line of the drift table; effect and p are "" where there are too few rows to tell."""

    name: str
    state: str
    effect: str
    bar: int
    p: str
    n: str
    since: str
    sentence: str


@dataclass(frozen=True)
class DataAndDrift:
    """What data.html lays out, on this page and in the report.

    shown_drift: so many lines of the table, the worst, are not folded. watched: when drift was
    evaluated and against what.
    """

    data: DataRead | None
    drift: list[DriftLine]
    shown_drift: int
    watched: str
    watched_age: str

    @property
    def moved(self) -> list[DriftLine]:
        return [line for line in self.drift if line.state in MOVED]


def data_and_drift(context: PageContext) -> DataAndDrift:
    last = last_evaluation(context.config)
    drift = [_drift_line(row) for row in last.rows]
    model = f"against the rows that model {last.model_version} was built on."
    return DataAndDrift(
        data=_data_read(context),
        drift=drift,
        # What moved is never folded, however much it is.
        shown_drift=max(SHOWN_DRIFT, sum(line.state in MOVED for line in drift)),
        watched=f"As of {stamp(last.measured_at)}, {model}" if last.measured_at else "",
        watched_age=age(last.measured_at, context.now) if last.measured_at else "",
    )


def _data_read(context: PageContext) -> DataRead | None:
    config = context.config
    stored = context.file(config.store_state)
    entries = list(stored.get("files", {}).values())
    if not entries:
        return None
    # The last ingestion that changed rows; one that found nothing new leaves no version.
    newest = max(entry["data_version"] for entry in entries)
    last = [entry for entry in entries if entry["data_version"] == newest]
    rows, accepted, duplicates = (
        sum(entry[key] for entry in last) for key in ("rows", "accepted", "duplicates")
    )
    share = 100 / max(rows, 1)
    columns = context.file(config.summary).get("columns", {})
    target = columns.get(config.columns.target, {})
    reasons = context.made(
        "quarantine", config.store_state, lambda: quarantine_reasons(config, entries)
    )
    return DataRead(
        when=stamp(max(entry["ingested_at"] for entry in last)),
        sums=RowCounts(**_counted_rows(last)),
        bar=(round(share * accepted, 2), round(share * (accepted + duplicates), 2)),
        files=[
            FileLine(
                **_counted_rows([entry]),
                name=printable(entry["file"]),
                sha256=entry["sha256"][:8],
                replaced=" (replaced an earlier one)" if entry.get("replaced") else "",
            )
            for entry in last[:SHOWN_FILES]
        ],
        more=max(len(last) - SHOWN_FILES, 0),
        total=RowCounts(**_counted_rows(entries)),
        total_files=amount(len(entries), "file"),
        outcomes=f"{target.get('count', 0):,}",
        missing=missing(columns, config.columns.features),
        refused=[
            (printable(entry["file"]), printable(why or "refused"))
            for entry in entries
            # "refusal": a new file of that name was refused, the old one's rows stay.
            if "refusal" in entry or entry["verdict"] != "accepted"
            for why in [entry.get("refusal", entry).get("reason")]
        ]
        + [(file, why) for file, _, why in (s.partition(": ") for s in stored.get("unread", []))],
        remarks=[
            (printable(file), "; ".join(notes)) for file, notes in stored.get("notes", {}).items()
        ],
        quarantine=[
            (f"{rows:,}", f"{printable(column)} {rule}".strip(), printable(first))
            for rows, column, rule, first in reasons
        ],
        folder=config.shown(config.quarantine),
        labels=as_sentence(context.outcomes()["labels"]),
    )


def _counted_rows(entries: Sequence[Mapping[str, int]]) -> dict[str, str]:
    names = ("rows", "accepted", "duplicates", "quarantined")
    return {name: f"{sum(entry[name] for entry in entries):,}" for name in names}


def missing(columns: dict[str, Any], features: Sequence[str]) -> str:
    """Which features lack how much, the most first; "" where none does."""
    shares = {name: columns.get(name, {}).get("missing_percent") or 0 for name in features}
    worst = sorted(
        (name for name in shares if shares[name] >= LEAST_MISSING), key=lambda n: -shares[n]
    )
    return enumeration([f"{printable(name)} {shares[name]:.1f} %" for name in worst[:5]])


def _drift_line(row: DriftRow) -> DriftLine:
    known = row.state not in ("no data", "too few rows")
    return DriftLine(
        name=printable(row.name),
        state=row.state,
        effect=f"{row.effect:.3f}" if known else "",
        bar=min(round(BAR_UNITS * row.effect), 100) if known else 0,
        p=f"{row.p:.2g}" if known else "",
        n=f"{row.n:,}",
        since=day(row.since[:10]) if row.since and row.state != "steady" else "",
        sentence=printable(row.sentence),
    )

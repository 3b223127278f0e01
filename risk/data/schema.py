"""Which rows are valid: every column's part, type and rule, one cell at a time."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from risk.config import Columns, Config

NUMBER, TEXT, DATE, TARGET = "number", "text", "date", "target"
NUMERIC = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# The surrogates are what an undecodable byte was read as.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
# Marks of direction, too: they turn the rest of a terminal's line around.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ][0-9:.,]+(?:Z|[+-][0-9:]+)?)?")
COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
Cell = str | float | int | None


class Rule(ValueError):
    """The rule that a cell breaks, in words."""


@dataclass(frozen=True)
class Column:
    """One column that is kept: its name, its part, its kind, and whether it may be below 0."""

    name: str
    part: str
    kind: str | None
    non_negative: bool = False


@dataclass(frozen=True)
class Schema:
    """The kept columns in the order of finaldata.csv; kind None: not inferred yet."""

    columns: tuple[Column, ...]
    target_values: tuple[tuple[str, int], ...] = ()
    decimal: str = "."

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def features(self) -> list[Column]:
        return [column for column in self.columns if column.part == "feature"]

    def named(self, part: str) -> str:
        """The name of the column with this part, "" if there is none."""
        return next((column.name for column in self.columns if column.part == part), "")

    def kinds(self) -> dict[str, str | None]:
        return {column.name: column.kind for column in self.features}

    def parser(self, column: Column) -> Callable[[str], Cell]:
        """The function that turns the column's text into its value, or raises Rule."""
        if column.part == "id":
            return _parse_id
        match column.kind:
            case "date":
                return parse_date
            case "target":
                return lambda text: _parse_target(text, dict(self.target_values), self.decimal)
            case "number" | None:
                low = 0.0 if column.non_negative else -math.inf
                return lambda text: parse_number(text, low, self.decimal)
            case _:
                return _parse_text


def schema_of(config: Config, known_kinds: dict[str, str | None] | None = None) -> Schema:
    """The schema that the config asks for, with the kinds found earlier filled in."""
    columns = config.columns
    kinds = {name: (known_kinds or {}).get(name) for name in columns.features} | columns.kinds
    return Schema(
        tuple(_columns(columns, kinds)),
        tuple(sorted(columns.target_values.items())),
        config.csv.decimal,
    )


def _columns(columns: Columns, kinds: dict[str, str | None]) -> Iterable[Column]:
    negative_free = set(columns.non_negative)
    yield Column(columns.id, "id", TEXT)
    if columns.date:
        yield Column(columns.date, "date", DATE)
    for name in columns.features:
        yield Column(name, "feature", kinds[name], name in negative_free)
    if columns.value and columns.value not in columns.features:
        yield Column(columns.value, "value", NUMBER, columns.value in negative_free)
    if columns.owner and columns.owner not in columns.features:
        yield Column(columns.owner, "owner", TEXT)
    yield Column(columns.target, "target", TARGET)


def printable(text: str) -> str:
    """The text as one line that is safe in a terminal and a log: what steers them is escaped."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _parse_text(text: str) -> str | None:
    """The text, None for an empty cell."""
    # A line break or an undecodable byte in a cell is the trace of a damaged file.
    found = UNPRINTABLE.search(text)
    if found:
        undecodable = "\ud800" <= found[0] <= "\udfff"
        raise Rule("not in the file's encoding" if undecodable else "control character")
    return text or None


def _parse_id(text: str) -> str:
    if not (client := _parse_text(text)):
        raise Rule("empty id")
    return client


def parse_number(text: str, low: float = -math.inf, decimal: str = ".") -> float | None:
    """A finite decimal or scientific number; None for an empty cell (a missing value)."""
    if not text:
        return None
    if decimal != ".":
        text = "not a number" if "." in text else text.replace(decimal, ".")
    if not NUMERIC.fullmatch(text):
        raise Rule("not a number")
    value = float(text) + 0.0  # -0 and 0 are one value: they must be one duplicate
    if not math.isfinite(value):
        raise Rule("not finite")
    if value < low:
        raise Rule("below 0")
    return value


def _parse_target(text: str, words: dict[str, int], decimal: str = ".") -> int | None:
    """1, 0 or None (not known yet); the config's own words when it names them."""
    if not text:
        return None
    if words:
        if text in words:
            return words[text]
        raise Rule(f"not one of {', '.join(sorted(words))} or empty")
    try:
        value = parse_number(text, decimal=decimal)
    except Rule:
        value = None
    if value not in (0.0, 1.0):
        raise Rule("not 0, 1 or empty")
    return int(value)


def parse_date(text: str) -> str:
    """The date as YYYY-MM-DD; a month is its last day, since only then its snapshot is whole."""
    for pattern in (ISO, COMPACT, MONTH):
        found = pattern.fullmatch(text)
        if found and (date := _date(*found.groups())):
            return date
    raise Rule("empty date" if not text else "not a date like 2026-01-31")


def _date(year: str, month: str, day: str = "") -> str | None:
    try:
        if day:
            return datetime.date(int(year), int(month), int(day)).isoformat()
        # The first of the next month less a day: its last day, without a table of months.
        start = datetime.date(int(year) + int(month) // 12, int(month) % 12 + 1, 1)
        if not 1 <= int(month) <= 12:
            return None
        return (start - datetime.timedelta(days=1)).isoformat()
    except ValueError:
        return None


# A year of this century or the last, no digit beside it: else ids and counters would be dates.
IN_PATH = re.compile(
    r"(?<![0-9])(?:((?:19|20)[0-9]{2})-([0-9]{2})-([0-9]{2})|((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})"
    r"|((?:19|20)[0-9]{2})-([0-9]{2}))(?![0-9])"
)


def date_in_path(path: str) -> str | None:
    """The date in a file's path: the last one in its name, else in the nearest folder's name."""
    for part in reversed(path.split("/")):
        for found in reversed(list(IN_PATH.finditer(part))):
            date = _date(*[group for group in found.groups() if group])
            if date:
                return date
    return None


def infer_kinds(schema: Schema, counts: dict[str, tuple[int, int]]) -> dict[str, str | None]:
    """Kinds for features without one, from (filled cells, numeric cells) over the first files.

    Nine of ten filled cells must be numbers: the tenth may be the dirt that quarantine is for.
    A column without a filled cell stays open (None) until a file has one.
    """
    kinds = schema.kinds()
    for name, (filled, numeric) in counts.items():
        if kinds[name] is None and filled:
            kinds[name] = NUMBER if numeric >= 0.9 * filled else TEXT
    return kinds


def is_numeric(text: str, decimal: str) -> bool:
    try:
        return parse_number(text, decimal=decimal) is not None
    except Rule:
        return False


def schema_signature(schema: Schema) -> list[list[Any]]:
    """What must not change under a store: names, parts, rules and the declared words.

    A kind is compared apart, since one that is inferred later is no change.
    """
    rows: list[list[Any]] = [[c.name, c.part, c.non_negative] for c in schema.columns]
    return [*rows, [list(pair) for pair in schema.target_values]]

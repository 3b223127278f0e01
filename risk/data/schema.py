"""Which rows are valid: every column's part, type and rule, one cell at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from risk.config import Columns, Config, PipelineError
from risk.data.values import (
    DATE_FORMS,
    ISO_DAY,
    MISSING,
    MISSING_TEXT,
    NUMBER_FORMS,
    PLAIN,
    Raw,
    Rule,
    date_parser,
    number_parser,
    plain_cell,
    plain_numbers,
)

NUMBER, TEXT, DATE, TARGET = "number", "text", "date", "target"
# The surrogates are what an undecodable byte was read as.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
# Marks of direction, too: they turn the rest of a terminal's line around.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
Cell = str | float | int | None


@dataclass(frozen=True)
class Column:
    """One column that is kept: its name, its part, its kind, whether it may be below 0.

    form: how its numbers or dates are written, as risk.data.values names it; "" for the usual one.
    """

    name: str
    part: str
    kind: str | None
    non_negative: bool = False
    form: str = ""


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

    def parser(self, column: Column) -> Callable[[Raw], Cell]:
        """The function that turns the column's cell into its value, or raises Rule."""
        if column.part == "id":
            return _parse_id
        number = self.number_form(column)
        match column.kind:
            case "date":
                return date_parser(column.form if column.form in DATE_FORMS else ISO_DAY)
            case "target":
                return _target_parser(dict(self.target_values), number_parser(number))
            case "number" | None:
                return number_parser(number, 0.0 if column.non_negative else -math.inf)
            case _:
                return _parse_text

    def plain_values(self, column: Column, cells: Sequence[Raw]) -> list[Cell] | None:
        """The values of a column of plain numbers; None where its parser must look at each."""
        if column.kind not in (NUMBER, None) or NUMBER_FORMS[self.number_form(column)][1] != ".":
            return None
        low = 0.0 if column.non_negative else -math.inf
        return cast(list[Cell] | None, plain_numbers(cells, low))

    def number_form(self, column: Column) -> str:
        return column.form if column.form in NUMBER_FORMS else usual_form(self.decimal)

    @property
    def written_decimal(self) -> str:
        """The decimal sign of the files: of the columns that name a form, else the usual one."""
        signs = [NUMBER_FORMS[c.form][1] for c in self.columns if c.form in NUMBER_FORMS]
        return max(signs, key=signs.count) if signs else self.decimal


def usual_form(decimal: str) -> str:
    """The form of numbers with this decimal sign and nothing between thousands."""
    return "1234,5" if decimal == "," else PLAIN


def schema_of(config: Config, known_kinds: dict[str, str | None] | None = None) -> Schema:
    """The schema that the config asks for, with the kinds found earlier filled in."""
    columns = config.columns
    kinds = {name: (known_kinds or {}).get(name) for name in columns.features} | columns.kinds
    for name, form in columns.formats.items():
        known = DATE_FORMS if name == columns.date else NUMBER_FORMS
        if form not in known:
            raise PipelineError(
                f"{config.path}: columns.formats: {form!r} is no form that {name!r} can have; the "
                f"forms are {', '.join(known)}"
            )
    return Schema(
        tuple(_columns(columns, kinds)),
        tuple(sorted(columns.target_values.items())),
        config.csv.decimal,
    )


def _columns(columns: Columns, kinds: dict[str, str | None]) -> Iterable[Column]:
    low, forms = set(columns.non_negative), columns.formats

    def column(name: str, part: str, kind: str | None) -> Column:
        return Column(name, part, kind, name in low, forms.get(name, ""))

    yield column(columns.id, "id", TEXT)
    # Nothing is learned from them; a column that is shown may be a feature, too.
    if columns.name:
        yield column(columns.name, "name", TEXT)
    for name in columns.show:
        if name not in columns.features:
            yield column(name, "show", TEXT)
    if columns.date:
        yield column(columns.date, "date", DATE)
    for name in columns.features:
        yield column(name, "feature", kinds[name])
    if columns.value and columns.value not in columns.features:
        yield column(columns.value, "value", NUMBER)
    if columns.owner and columns.owner not in columns.features:
        yield column(columns.owner, "owner", TEXT)
    yield column(columns.target, "target", TARGET)


def printable(text: str) -> str:
    """The text as one line that is safe in a terminal and a log: what steers them is escaped."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _parse_text(raw: Raw) -> str | None:
    """The text, None for an empty cell."""
    text = raw.strip() if isinstance(raw, str) else plain_cell(raw)
    found = UNPRINTABLE.search(text)
    if found and found[0] in "\r\n":  # of a quoted cell over several lines
        text = plain_cell(text)
        found = UNPRINTABLE.search(text)
    # A control character or an undecodable byte in a cell is the trace of a damaged file.
    if found:
        undecodable = "\ud800" <= found[0] <= "\udfff"
        raise Rule("not in the file's encoding" if undecodable else "control character")
    return None if text in MISSING_TEXT else text


def _parse_id(raw: Raw) -> str:
    client = _parse_text(raw)
    if client is None or client in MISSING:
        raise Rule("no id" if client or plain_cell(raw) else "empty id")
    return client


# As sheets hold them, and as they are written from there in each language.
FLAGS = {
    **dict.fromkeys("true wahr vrai verdadero vero waar verdadeiro".split(), True),
    **dict.fromkeys("false falsch faux falso onwaar".split(), False),
}


def _target_parser(
    words: dict[str, int], number: Callable[[Raw], float | None]
) -> Callable[[Raw], int | None]:
    """1, 0 or None (not known yet); the config's own words when it names them."""
    # True and false mean what the config's words for them do, however a file writes them.
    flags = {FLAGS[word.casefold()]: value for word, value in words.items() if _is_flag(word)}
    flags = flags or ({} if words else {True: 1, False: 0})

    def parse(raw: Raw) -> int | None:
        text = plain_cell(raw)
        if text in words:
            return words[text]
        if text in MISSING:
            return None
        if _is_flag(text) and FLAGS[text.casefold()] in flags:
            return flags[FLAGS[text.casefold()]]
        if words:
            raise Rule(f"not one of {', '.join(sorted(words))} or empty")
        try:
            value = number(raw)
        except Rule:
            value = None
        if value not in (0.0, 1.0):
            raise Rule("not 0, 1 or empty")
        return int(value)

    return parse


def _is_flag(text: str) -> bool:
    return text.casefold() in FLAGS


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


def schema_signature(schema: Schema) -> list[list[Any]]:
    """What must not change under a store: names, parts, rules and the declared words.

    A kind is compared apart, since one that is inferred later is no change.
    """
    rows: list[list[Any]] = [[c.name, c.part, c.non_negative] for c in schema.columns]
    return [*rows, [list(pair) for pair in schema.target_values]]

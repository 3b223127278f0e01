"""One column of tables that nobody has described: its cells, and what they look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from risk.config import PipelineError
from risk.data import vocabulary as words
from risk.data.values import (
    DATE_FORMS,
    MISSING,
    NUMBER_FORMS,
    PLAIN,
    FormGuess,
    Raw,
    date_form,
    number_form,
    parse_number,
    plain_cell,
    typed_number,
)
from risk.data.vocabulary import folded, header_words


class Unsure(PipelineError):
    """Which role no column has for sure, the candidates, and the flag to type (exit code 2)."""

    code = 2


@dataclass(frozen=True)
class Hints:
    """What a person has decided by flags; "" and () for what is to be found.

    left, stayed: words of the target's cells. formats: column -> form.
    """

    id: str = ""
    name: str = ""
    target: str = ""
    date: str = ""
    owner: str = ""
    value: str = ""
    left: tuple[str, ...] = ()
    stayed: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    show: tuple[str, ...] = ()
    formats: dict[str, str] = field(default_factory=dict)

    @property
    def named(self) -> list[str]:
        """Every column that a flag names."""
        roles = (self.id, self.name, self.target, self.date, self.owner, self.value)
        return [name for name in (*roles, *self.ignore, *self.show, *self.formats) if name]


@dataclass
class Cells:
    """One column's cells over all rows, and what they look like."""

    name: str
    raws: Sequence[Raw]
    decimal: str = ""
    form: str = ""

    @cached_property
    def texts(self) -> list[str]:
        return [plain_cell(raw) for raw in self.raws]

    @cached_property
    def filled(self) -> list[str]:
        return [text for text in self.texts if text not in MISSING]

    @cached_property
    def counts(self) -> Counter[str]:
        """The filled cells, each different one with how often it stands there."""
        return Counter(self.filled)

    @cached_property
    def numbers(self) -> FormGuess:
        """The form of a column of numbers, "" for none."""
        if any(isinstance(raw, (int, float)) and not isinstance(raw, bool) for raw in self.raws):
            texts = [raw for raw in self.raws if isinstance(raw, str) and raw not in MISSING]
            return FormGuess("" if texts else PLAIN, len(self.filled), len(self.filled))
        return number_form(self.raws, self.decimal)

    @cached_property
    def dates(self) -> FormGuess:
        """The form of a column of dates, "" for none."""
        if self.form in DATE_FORMS:
            return FormGuess(self.form, len(self.filled), len(self.filled))
        found = date_form(self.counts)
        # Whole numbers of four or six digits are years or months only where the header says so.
        is_bare = found.form in ("yyyy", "yyyymm") and not self.says(words.SNAPSHOTS)
        return FormGuess() if is_bare or not self.filled else found

    @cached_property
    def tokens(self) -> list[str]:
        return header_words(self.name)

    def says(self, vocabulary: frozenset[str]) -> bool:
        """Whether the whole header is one of the words."""
        return folded(self.name) in vocabulary

    @property
    def is_number(self) -> bool:
        return bool(self.filled) and bool(self.number_form)

    @property
    def number_form(self) -> str:
        return self.form if self.form in NUMBER_FORMS else self.numbers.form

    @property
    def is_date(self) -> bool:
        return bool(self.dates.form)

    def values(self) -> list[float]:
        """The numbers among the cells."""
        found = []
        for raw in self.raws:
            try:
                value = (
                    parse_number(plain_cell(raw), form=self.number_form or PLAIN)
                    if isinstance(raw, str)
                    else typed_number(raw)
                )
            except ValueError:
                continue
            found += [] if value is None else [value]
        return found

    @cached_property
    def is_whole(self) -> bool:
        return self.is_number and all(value == int(value) for value in self.values())

    @cached_property
    def numbers_the_rows(self) -> bool:
        """Whether the numbers count the lines: 0, 1, 2 ... or 1, 2, 3 ..."""
        found = self.values() if self.is_number else []
        starts = ([float(at + start) for at in range(len(found))] for start in (0, 1))
        return len(found) == len(self.raws) > 2 and found in starts

    def sample(self, most: int = 3) -> list[str]:
        return list(self.counts)[:most]


Columns = dict[str, Cells]


def candidates_of(columns: Iterable[Cells]) -> str:
    """The columns with some of their cells, for a person to choose."""
    return "; ".join(f"{c.name!r} ({', '.join(c.sample(4))})" for c in columns)

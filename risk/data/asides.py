"""Rows that are no rows of the table -> set aside by name: descriptions, totals, lines below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from risk.data.values import MISSING, NUMBER_FORMS, Raw, Rule, parse_number, plain_cell

Rows = list[tuple[int, list[Raw] | str]]
Sums = dict[int, float]  # place in the row -> the sum there
LAST, LONGEST_FOOTER = 12, 10
TOTALS = frozenset(
    "total|totals|grand total|grandtotal|sum|sums|overall|overall total|subtotal|sub-total|"
    "summe|gesamt|gesamtsumme|gesamtergebnis|zwischensumme|endsumme|insgesamt|"
    "total général|total general|total generale|totale|totale generale|totale complessivo|somme|"
    "suma|suma total|totaal|eindtotaal|algemeen totaal|totais|total geral|totales|soma|summa|"
    "razem|celkem|итого|всего|合计|总计|合計|総計".split("|")
)
MEANS = frozenset(
    "average|avg|mean|durchschnitt|mittelwert|moyenne|promedio|media|gemiddelde|média|medel|"
    "median|count|anzahl|min|max|minimum|maximum".split("|")
)
# Of the last rows also what says more: Grand Totals (120 records), Total: 12, SAP's stars.
TOTAL_START = re.compile(r"(grand |sub)?(totals?|summe|gesamt|totale?|suma|totaal)\s*[(:=-]|\*+$")
TOTAL_PART = re.compile(r"[Tt]otal|TOTAL|[Ss]umme|[Ee]rgebnis|[Tt]otaal")
_CASES = (str, str.upper, str.capitalize, str.title)
TOTAL_WORDS = frozenset(
    f"{change(word)}{end}" for word in TOTALS | MEANS for change in _CASES for end in ("", ":", " ")
)
_COUNTED = (
    "rows|row|records|record|lines|entries|items|results|clients|customers|zeilen|datensätze|"
    "lignes|enregistrements|filas|registros|righe|rijen|records|linhas|строк"
)
COUNT_LINE = re.compile(
    rf"\(?(?:(?:total|number of|anzahl|nombre de|exported|showing)\s+)*(?:(?:{_COUNTED}|n)"
    rf"\s*[:=]?\s*[0-9][0-9.,']*|[0-9][0-9.,']*\s*(?:{_COUNTED}))"
    r"(?:\s*\([0-9.]+ \w+\)|\s+(?:affected|selected|returned|exported|in set.*))?\s*\)?\.?",
    re.IGNORECASE,
)
DESCRIPTIONS = frozenset(
    "string text str varchar char number numeric integer int bigint float double decimal date "
    "datetime timestamp bool boolean object int64 float64 zahl datum nombre fecha texto numero € $ "
    "£ % eur usd gbp chf days months years hours pcs count stk tage monate key id".split()
)
DATE_LIKE = re.compile(r"[0-9][-/:][0-9]")
TOTAL, BELOW = "a totals row", "a line below the table"


@dataclass(frozen=True)
class RowError:
    """Why one row is set aside; its line counts the header as line 1, raw is the whole line."""

    line: int
    column: str
    rule: str
    value: str
    raw: str


def number_of(cell: Raw) -> float | None:
    """The cell as a number in any form; None for what is none."""
    if isinstance(cell, (int, float)):
        return None if isinstance(cell, bool) else float(cell)
    if not isinstance(cell, str) or not any(sign.isdigit() for sign in cell):
        return None
    if DATE_LIKE.search(cell):
        return None
    for form in NUMBER_FORMS:
        try:
            return parse_number(plain_cell(cell), form=form)
        except Rule:
            continue
    return None


def word_of(cell: Raw) -> str:
    return plain_cell(cell).strip(" :.*").casefold() if isinstance(cell, str) else ""


def is_empty(cell: Raw) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


class NotEnough(Exception):
    """Of an excerpt it cannot be known: all rows are needed."""


def find_asides(names: Sequence[str], rows: Rows, *, excerpt: bool = False) -> dict[int, str]:
    """Place among the rows -> why the one there is no row of the table.

    excerpt: rows are the first, the last and all that may be none by their words; NotEnough where
    the others are needed.
    """
    found = _descriptions(names, rows) | _below(len(names), rows)
    width = len(names)
    whole = {
        at: cells
        for at, (_, cells) in enumerate(rows)
        if isinstance(cells, list) and len(cells) == width and at not in found
    }
    if whole:
        found |= _repeated_headers(list(names), whole)
        rest = {at: c for at, c in whole.items() if at not in found} if found else whole
        found |= _totals(rest, excerpt=excerpt)
    return found


def _repeated_headers(names: list[str], whole: dict[int, list[Raw]]) -> dict[int, str]:
    same = (at for at, cells in whole.items() if cells[0] == names[0])
    return {at: "the header again" for at in same if [*map(plain_cell, whole[at])] == names}


def _descriptions(names: Sequence[str], rows: Rows) -> dict[int, str]:
    """The first rows, where they say what the columns hold: types, units, questions."""
    found: dict[int, str] = {}
    for at, (_, cells) in enumerate(rows[:3]):
        below = [row for _, row in rows[at + 1 : at + 60] if isinstance(row, list)]
        if not isinstance(cells, list) or len(below) < 2 or not _describes(cells, below):
            break
        found[at] = "a line below the header that describes the columns"
    return found


def _describes(cells: list[Raw], below: list[list[Raw]]) -> bool:
    """Whether the row has words where all rows below it have numbers."""
    words = {word_of(cell).strip("[](){}") for cell in cells if not is_empty(cell)}
    if not words:
        return False
    if words <= DESCRIPTIONS:
        return True
    against = {
        at
        for at, cell in enumerate(cells)
        if not is_empty(cell) and number_of(cell) is None and not _is_blank(cell)
    }
    found = 0
    # The others first: nearly every row has a number there, and that is enough to know.
    for at in sorted(range(len(cells)), key=against.__contains__):
        column = [row[at] for row in below if at < len(row) and not _is_blank(row[at])]
        if len(column) >= 0.5 * len(below) and all(number_of(c) is not None for c in column):
            if at not in against:
                return False
            found += 1
    # One such cell may be a slip of the pen; two and no number are a description.
    return found >= 2


def _is_blank(cell: Raw) -> bool:
    return is_empty(cell) or plain_cell(cell) in MISSING


def _below(width: int, rows: Rows) -> dict[int, str]:
    """The last rows, where they are a few words and no row: counts, copyrights, who exported."""
    found: dict[int, str] = {}
    doubtful: list[int] = []  # a client of whom nothing is known, or a line behind an empty one?
    for at in range(len(rows) - 1, max(-1, len(rows) - 1 - LONGEST_FOOTER), -1):
        number, cells = rows[at]
        if not isinstance(cells, list) or width < 3:
            break
        filled = [cell for cell in cells if not is_empty(cell)]
        counted = any(COUNT_LINE.fullmatch(plain_cell(cell)) for cell in filled)
        short = len(cells) < width
        named = bool(filled) and word_of(filled[0]) in TOTALS
        if len(filled) > 2 or (len(filled) == 2 and not (short or counted or named)):
            break
        if counted or (short and (len(filled) == 1 or named)):
            found[at] = TOTAL if named else BELOW
        else:
            doubtful.append(at)
        if at and number - rows[at - 1][0] > 1:
            found |= {one: TOTAL if _is_named_total(rows[one][1]) else BELOW for one in doubtful}
            doubtful = []
    # Where they are all that there is, they are no footer but broken rows.
    whole = sum(len(cells) == width for at, (_, cells) in enumerate(rows) if at not in found)
    return found if whole > 1 else {}


def _is_named_total(cells: list[Raw] | str) -> bool:
    return any(word_of(cell) in TOTALS for cell in cells[:3])


def _totals(whole: dict[int, list[Raw]], *, excerpt: bool) -> dict[int, str]:
    """Rows that say that they are a total, as a client may be called; the last also by numbers."""
    found: dict[int, str] = {}
    last = list(whole)[-LAST:]
    sums = cache(lambda: _column_sums(whole, excerpt=excerpt))
    # By sets, since no row of nearly every file is one: word by word it would take a fifth of all.
    firsts = [
        {cells[place] for cells in whole.values()} for place in range(len(whole[last[0]]))[:3]
    ]
    said = TOTAL_WORDS & set().union(*firsts)
    for at in [at for at, cells in whole.items() if not said.isdisjoint(cells[:3])] if said else []:
        words = {word_of(cell) for cell in whole[at][:3]}
        gaps = any(map(is_empty, whole[at]))
        # In the midst of the rows a whole one is a client's: to add up for each would take hours.
        if words & TOTALS and (gaps or (at in last and _is_sum(whole[at], sums()))):
            found[at] = TOTAL
        elif at in last and gaps and words & MEANS:
            found[at] = TOTAL
    for at in last:
        if at not in found and any(TOTAL_START.match(_marked(cell)) for cell in whole[at][:3]):
            found |= {at: TOTAL} if any(map(is_empty, whole[at])) and len(whole) > 2 else {}
    groups = _subtotals(whole, firsts, found, excerpt=excerpt)
    return found | groups | _unlabelled(whole, last, found, sums)


def _subtotals(
    whole: dict[int, list[Raw]],
    firsts: list[set[Raw]],
    found: dict[int, str],
    *,
    excerpt: bool,
) -> dict[int, str]:
    """Rows like `EMEA Total`, where every number is the sum of the same rows above it."""
    texts = [cell for cells in firsts for cell in cells if isinstance(cell, str)]
    # All at once first: hardly any file has one.
    words = (
        {text for text in texts if TOTAL_PART.search(text)}
        if TOTAL_PART.search("\n".join(texts))
        else set()
    )
    groups: dict[int, str] = {}
    sums: Sums = {}  # of the group: since the last subtotal
    # A whole row is a client's, such as Total Energies'.
    maybe = {
        at
        for at, cells in (whole.items() if words else ())
        if at not in found and not words.isdisjoint(cells[:3]) and any(map(is_empty, cells))
    }
    if maybe and excerpt:
        raise NotEnough
    for at, cells in whole.items() if maybe else ():
        numbers = _filled_numbers(cells)
        if at in maybe and _adds_up(numbers, sums):
            groups[at] = TOTAL
        if at in found or at in groups:
            sums = {}
        else:
            _add(sums, numbers)
    return groups


def _adds_up(numbers: Sums, sums: Sums) -> bool:
    """Whether every number is its column's sum, by a hundredth."""
    near = all(
        abs(number - sums.get(place, 0.0)) <= 0.01 * abs(number)
        for place, number in numbers.items()
    )
    return near and any(numbers.values())


def _unlabelled(
    whole: dict[int, list[Raw]],
    last: list[int],
    found: dict[int, str],
    sums: Callable[[], Sums],
) -> dict[int, str]:
    """The last rows of numbers alone, as large as sums."""
    bare: dict[int, str] = {}
    for at in reversed(last[-3:]):
        if at not in found and not _is_unlabelled(whole, at, sums):
            break
        bare[at] = TOTAL
    return bare


def _marked(cell: Raw) -> str:
    return plain_cell(cell).casefold() if isinstance(cell, str) else ""


def _filled_numbers(cells: list[Raw]) -> Sums:
    return {place: n for place, cell in enumerate(cells) if (n := number_of(cell)) is not None}


def _add(sums: Sums, numbers: Sums) -> None:
    for place, number in numbers.items():
        sums[place] = sums.get(place, 0.0) + number


def _column_sums(whole: dict[int, list[Raw]], *, excerpt: bool) -> Sums:
    if excerpt:
        raise NotEnough
    sums: Sums = {}
    for cells in whole.values():
        _add(sums, _filled_numbers(cells))
    return sums


def _is_sum(cells: list[Raw], sums: Sums) -> bool:
    """Whether some number of the row is the sum of its column's others, by a hundredth."""
    others = ((number, sums[place] - number) for place, number in _filled_numbers(cells).items())
    return any(abs(number - rest) <= 0.01 * abs(rest) > 0 for number, rest in others)


def _is_unlabelled(whole: dict[int, list[Raw]], at: int, sums: Callable[[], Sums]) -> bool:
    """Whether the row has numbers alone, a sum among them, where all others have texts too."""
    others = [cells for one, cells in whole.items() if one < at][-200:]
    filled = [cell for cell in whole[at] if not is_empty(cell)]
    if len(others) < 3 or not filled or any(number_of(cell) is None for cell in filled):
        return False
    empty = (place for place, cell in enumerate(whole[at]) if is_empty(cell))
    named = (place for place in empty if not any(is_empty(cells[place]) for cells in others))
    return next(named, None) is not None and _is_sum(whole[at], sums())

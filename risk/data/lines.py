"""A file's text -> its records: lines, the sign between the cells, the header, the cells."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple, cast

from risk.data.decoding import Refused
from risk.data.values import Raw, is_numeric

DELIMITERS = ",;\t|"  # of two that fit equally well the first
SAMPLE, DEEPEST, MOST_LINES = 200, 30, 50
SEP_LINE = re.compile(r'\s*"?sep=(.)"?[\s,;]*', re.IGNORECASE)
RULE = set(" \t|+:=,;-")
OPEN = "a quote that is not closed"
Split = list[tuple[int, list[Raw] | str]]


def text_lines(text: str) -> list[str]:
    """The lines without their ends; a lone carriage return ends one where nothing else does."""
    lines = text.split("\n" if "\n" in text else "\r")
    if not lines[-1]:
        lines.pop()
    if "\r" in text:
        lines = [line.rstrip("\r") for line in lines]
    # The rules that SAP, psql and sqlcmd draw between header and rows.
    if "---" in text:
        lines = ["" if "---" in line and RULE >= set(line) else line for line in lines]
    return lines


@cache
def dialect(delimiter: str) -> type[csv.Dialect]:
    """How a record is split into cells: a quote that is not closed is an error, never a guess."""

    class Strict(csv.excel):
        strict = True
        skipinitialspace = True

    Strict.delimiter = delimiter
    return Strict


def fold(name: str) -> str:
    """A column's name without case, spaces, underscores and hyphens: `Customer ID`, customer_id."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFC", name).casefold())


class Layout(NamedTuple):
    """How the file is written: the header's place among the lines (from 0), how many lines it
    takes, its names; tie: another delimiter that fits as well."""

    delimiter: str
    head: int
    height: int
    names: list[str]
    tie: str = ""


def plain_quotes(lines: list[str]) -> list[str]:
    """The lines with their quotes doubled where they are escaped by backslashes, as MySQL does."""
    sample = list(islice((line for line in lines if '\\"' in line), SAMPLE))
    doubled = [line.replace('\\"', '""') for line in sample]
    gained = [sum(_width(line, ",") > 0 for line in tried) for tried in (sample, doubled)]
    return [line.replace('\\"', '""') for line in lines] if gained[1] > gained[0] else lines


def unwrap(lines: list[str]) -> list[str] | None:
    """The lines without the quotes round each of them; None where they have none."""
    sample = [line for line in lines if line.strip()][:SAMPLE]
    if sum(_inner(line) is not None for line in sample) < max(2, len(sample) / 2):
        return None
    found = []
    for line in lines:
        inner = _inner(line)
        found.append(line if inner is None else inner)
    return found


def _inner(line: str) -> str | None:
    """What a line holds that is one quoted cell with delimiters in it."""
    text = line.strip(" ,;\t")
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return None
    inner = text[1:-1].replace('""', "\0")
    split = any(mark in inner for mark in DELIMITERS)
    return inner.replace("\0", '"') if split and '"' not in inner else None


def find_layout(lines: list[str], delimiter: str, known: Collection[str]) -> Layout:
    """Delimiter and header: those that name most of the known columns, else those that fit best."""
    first = next((at for at, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise Refused("the file is empty")
    sep = SEP_LINE.fullmatch(lines[first])
    if sep:
        first, delimiter = first + 1, sep[1]
    marks = [delimiter] if sep else list(dict.fromkeys(filter(None, [delimiter, *DELIMITERS])))
    filled = (at for at in range(first, len(lines)) if lines[at].strip(" ,;\t|"))
    places = list(islice(filled, SAMPLE))
    if not places:
        raise Refused("the file is empty")
    named = _named(lines, places, marks, {fold(name) for name in known})
    # Where no line names a column it is refused by its first line: no need to look for the best.
    return named or _fitting(lines, places[:1] if known else places, marks)


def _named(lines: list[str], places: list[int], marks: list[str], known: set[str]) -> Layout | None:
    """The layout whose header names most of the known columns; None where no line names one."""
    best: tuple[int, Layout] | None = None
    for at in places[:DEEPEST] if known else []:
        for mark in marks:
            names, height = _names_at(lines, at, mark)
            hits = len(known & {fold(name) for name in names})
            if hits > (best[0] if best else 0):
                best = hits, Layout(mark, at, height, names)
            if hits == len(known):  # no other names more
                return best[1] if best else None
    return best[1] if best else None


def _names_at(lines: list[str], at: int, mark: str) -> tuple[list[str], int]:
    """(the cells of the record on this line, how many lines it takes); [] where it has none."""
    reader = csv.reader((f"{line}\n" for line in lines[at : at + 10]), dialect(mark))
    try:
        cells = next(reader)
    except csv.Error:
        return [], 1
    return [" ".join(cell.split()) for cell in cells], reader.line_num


class _Fit(NamedTuple):
    share: float
    width: int
    layout: Layout


def _fitting(lines: list[str], places: list[int], marks: list[str]) -> Layout:
    """The layout under which most of the first lines have the header's number of cells."""
    fits = [_fit(lines, places, mark) for mark in marks]
    best = max(fits, key=lambda fit: (round(fit.share, 2), fit.width))  # of equals the first
    equal = [f for f in fits if f is not best and f.share >= best.share > 0.9 and f.width > 2]
    if best.width > 1:
        return best.layout._replace(tie=equal[0].layout.delimiter if equal else "")
    at = places[0]
    try:
        names = next(csv.reader([lines[at]], dialect(marks[0])))
    except csv.Error as error:
        raise Refused(f"the header on line {at + 1} cannot be split: {error}") from None
    return Layout(marks[0], at, 1, [name.strip() for name in names])


def _fit(lines: list[str], places: list[int], mark: str) -> _Fit:
    """How well this delimiter fits, with the first line that looks like its header."""
    best = _Fit(0.0, 0, Layout(mark, places[0], 1, []))
    for order, at in enumerate(places[:DEEPEST]):
        names, height = _names_at(lines, at, mark)
        if len(names) < 2 or sum(map(bool, names)) < 0.5 * len(names):
            continue
        # A delimiter too many at the end of the rows, or of the header, is told later.
        below = _widths(lines, at + height, mark)
        near = [abs(width - len(names)) for width in below]
        same = near.count(0) + 0.95 * near.count(1)
        share = same / len(below) if below else float(not order)
        # A title above the table has fewer cells than the lines below it, and no header's names.
        if order and (share < 0.6 or not _are_names(names)):
            continue
        if share > best.share + (0.3 if best.share else 0.0) or _is_fuller(
            names, best.layout.names
        ):
            best = _Fit(share, len(names), Layout(mark, at, height, names))
        if share > 0.6 and len(names) - len(set(filter(None, names))) < 2:
            break
    return best


def _widths(lines: list[str], start: int, mark: str) -> list[int]:
    """How many cells each of the first records has; -1 for one that cannot be split."""
    text = (f"{line}\n" for line in lines[start : start + 3 * SAMPLE])
    records = islice(_records(csv.reader(text, dialect(mark)), start), SAMPLE)
    filled = (cells for _, _, cells in records if isinstance(cells, str) or any(cells))
    return [len(cells) if isinstance(cells, list) else -1 for cells in filled]


def _is_fuller(names: list[str], above: list[str]) -> bool:
    """Whether the line above names groups of columns, as sheets do, and this one the columns."""
    different = len(set(filter(None, above)))
    return len(names) == len(above) >= different + 2 and len(set(filter(None, names))) > different


def _are_names(names: list[str]) -> bool:
    filled = [name for name in names if name]
    return len(filled) >= len(names) - 2 and not any(is_numeric(name) for name in filled)


def _width(line: str, mark: str) -> int:
    try:
        return len(next(csv.reader([line], dialect(mark)), []))
    except csv.Error:
        return -1


def split_records(
    lines: list[str], start: int, delimiter: str, width: int, *, plain: bool = False
) -> tuple[Split, dict[int, int]]:
    """(line number and cells of each record, a text where it cannot be split; the last line of
    each record over several lines).

    A quoted cell may hold line breaks, but a lost quote must not swallow rows: the record must have
    the header's cells, few lines, and none that could be rows by themselves; else the file is
    refused. plain: no line has a quote or a carriage return.
    """
    reader = csv.reader(iter(lines[start:]), dialect(delimiter))
    if plain:
        try:  # every line is a record: nearly every file, at a third of the time
            rows = cast(Split, list(enumerate(reader, start + 1)))
        except csv.Error:  # a cell too long for csv
            pass
        else:
            return [row for row in rows if row[1] and (row[1][0] or any(row[1]))], {}
    # With line ends, which a quoted cell may hold.
    reader = csv.reader((f"{line}\n" for line in lines[start:]), dialect(delimiter))
    usual = Counter(_widths(lines, start, delimiter))
    widths = {width, *(other for other, _ in usual.most_common(1) if abs(other - width) == 1)}
    found, ends = Split(), dict[int, int]()
    for number, last, cells in _records(reader, start):
        if last > number or cells == OPEN:
            _check_record(lines[number - 1 : last], number, cells, delimiter, widths)
            ends[number] = last
        if isinstance(cells, str) or any(cells):
            found.append((number, cast(list[Raw] | str, cells)))
    return found, ends


def _records(reader: Iterator[list[str]], start: int) -> Iterator[tuple[int, int, list[str] | str]]:
    """(first line, last line, cells) of each record; a text says why it cannot be split."""
    number = start
    while True:
        try:
            cells: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = _why(str(error))
        last = start + reader.line_num  # type: ignore[attr-defined]
        yield number + 1, last, cells
        number = last


def _why(error: str) -> str:
    """csv's message in the words of a rule."""
    if "unexpected end of data" in error:
        return OPEN
    if "field larger than" in error:
        return "a cell of over 100,000 characters"
    return "a lone carriage return" if "new-line character" in error else "a stray quote"


def _check_record(
    lines: Sequence[str], number: int, cells: list[str] | str, delimiter: str, widths: set[int]
) -> None:
    """Refuse a record over several lines that a lost quote may have made of several rows."""
    whole = isinstance(cells, list) and len(cells) in widths and len(lines) <= MOST_LINES
    if not whole or all(_width(line.replace('"', ""), delimiter) in widths for line in lines):
        raise Refused(
            f"a quote opened on line {number} is not closed where its cell should end (a lost "
            f"quote, or a cell of over {MOST_LINES} lines); mend that line"
        )

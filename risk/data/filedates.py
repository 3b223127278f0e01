"""A file's path -> the date of its rows, as people write dates into names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from risk.data.values import ISO_DAY, MONTH_NUMBERS, Rule, bare_word, parse_date

_Y, _LEFT, _RIGHT = r"((?:19|20)[0-9]{2})", r"(?<![0-9])", r"(?![0-9])"
_Kinds = tuple[tuple[re.Pattern[str], str], ...]
_MONTH = "|".join(sorted(MONTH_NUMBERS, key=len, reverse=True))
# How a date is found, and the form of its parts put together. A year of this century or the last,
# no digit beside it: else ids and counters would be dates. The first kinds say most.
_DAYS = (
    (re.compile(rf"{_LEFT}{_Y}([-_. ]?)([0-9]{{2}})\2([0-9]{{2}}){_RIGHT}"), "ymd"),
    (re.compile(rf"{_LEFT}([0-9]{{1,2}})([-_. ])([0-9]{{1,2}})\2{_Y}{_RIGHT}"), "dmy"),
    (re.compile(rf"{_LEFT}([0-9]{{1,2}})[-_. ]*({_MONTH})[-_. ]*{_Y}{_RIGHT}"), "dby"),
)
_MONTHS = (
    (re.compile(rf"{_LEFT}{_Y}[-_. ]([0-9]{{2}}){_RIGHT}"), "ym"),
    (re.compile(rf"{_LEFT}([0-9]{{2}})[-_. ]{_Y}{_RIGHT}"), "my"),
    (re.compile(rf"(?<![a-z])({_MONTH})[-_. ]*{_Y}{_RIGHT}"), "by"),
    (re.compile(rf"{_LEFT}{_Y}[-_. ]*({_MONTH})(?![a-z])"), "yb"),
    (re.compile(rf"{_LEFT}{_Y}[-_. ]?q([1-4]){_RIGHT}"), "yq"),
    (re.compile(rf"(?<![a-z])q([1-4])[-_. ]?{_Y}{_RIGHT}"), "qy"),
    (re.compile(rf"{_LEFT}{_Y}[-_. ]?[wk]w?([0-9]{{1,2}}){_RIGHT}"), "yw"),
    (re.compile(rf"{_LEFT}{_Y}([0-9]{{2}}){_RIGHT}"), "ym"),
)
# Not what is left of a date that is none, as 2026-13-45.
_YEAR = ((re.compile(rf"(?<![0-9])(?<![0-9][-_. ]){_Y}(?![-_. ]?[0-9])"), "y"),)


class PathDate(NamedTuple):
    """date: YYYY-MM-DD or None; doubt: a sentence where it could be two; form: as written."""

    date: str | None = None
    doubt: str = ""
    form: str = ISO_DAY


def date_in_path(path: str) -> str | None:
    """The date in a file's path: the last one in its name, else in the nearest folder's name."""
    return read_path_date(path).date


def read_path_date(path: str) -> PathDate:
    """The same with the doubt: 03-04-2026 may be of March or of April, and is neither then."""
    parts = [bare_word(part) for part in reversed(path.split("/"))]
    exact = (_DAYS, *((kind,) for kind in _MONTHS))
    # A year alone only where no part of the path says more.
    found = (
        date for kinds in (exact, (_YEAR,)) for part in parts if (date := _in_name(part, kinds))
    )
    return next(found, PathDate())


def _in_name(name: str, exact: Iterable[_Kinds]) -> PathDate | None:
    """Days before months; of equal ones the last."""
    for kinds in exact:
        dates: list[tuple[int, PathDate]] = []
        for pattern, parts in kinds:
            for found in pattern.finditer(name):
                dates += [(found.end(), date)] if (date := _date(parts, found)) else []
        if dates:
            return max(dates)[1]
    return None


def _date(parts: str, found: re.Match[str]) -> PathDate | None:
    groups = [group for group in found.groups() if group and group.strip("-_. ")]
    cells = dict(zip(parts, groups, strict=True))
    if parts == "dmy":
        return _day_first(cells)
    text, form = {
        "ymd": ("{y}-{m}-{d}", "yyyy-mm-dd"),
        "dby": ("{d} {b} {y}", "dd mmm yyyy"),
        "ym": ("{y}-{m}", "yyyy-mm-dd"),
        "my": ("{y}-{m}", "yyyy-mm-dd"),
        "by": ("{b} {y}", "mmm yyyy"),
        "yb": ("{b} {y}", "mmm yyyy"),
        "yq": ("{y}Q{q}", "yyyy-qn"),
        "qy": ("{y}Q{q}", "yyyy-qn"),
        "yw": ("{y}W{w}", "yyyy-wnn"),
        "y": ("{y}", "yyyy"),
    }[parts]
    try:
        return PathDate(parse_date(text.format(**cells), form), form=form)
    except Rule:
        return None


def _day_first(cells: dict[str, str]) -> PathDate | None:
    """31-01-2026 and 01-31-2026; for 03-04-2026 the doubt."""
    first, second, year = cells["d"], cells["m"], cells["y"]
    read = set()
    for form in ("dd-mm-yyyy", "mm-dd-yyyy"):
        try:
            read.add(parse_date(f"{first}-{second}-{year}", form))
        except Rule:
            continue
    if len(read) == 2:
        days = " or ".join(sorted(read))
        return PathDate(
            None, f"{first}-{second}-{year} in its name may be {days}, so it is neither"
        )
    return PathDate(read.pop()) if read else None

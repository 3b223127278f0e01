"""Data quality issues by name, from the raw columns of one file and what was usual before it.

An issue is what a mistaken export does and customers do not: a column in another unit or with its
sign flipped, stuck at one value, suddenly blank, filled in with a value from nowhere, two columns
swapped, the values of a text renamed. Ordinary drift is none: a mean that moves by a standard
deviation, a season that scales by 1.5, growth, other shares. So a share must be far from the usual
one (odds beyond four times, and a tenth) before chance is asked about, and chance must then be
below e^-11 by Chernoff's bound, P(share >= s) <= exp(-n KL(s, p)), which holds for five rows as for
many. A column that is constant in a file by its nature (a month, a campaign) is known as such where
the reference was given which file each row came from.

Not found: a unit changed in a part of the rows only, by a factor below 6, or below a column's own
spread; two swapped columns that were alike; texts that changed places among themselves.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from risk.drift.usual import (
    LEAST_ROWS,
    LOG_GRID,
    QualityReference,
    Raw,
    Usual,
    is_constant,
    known_values,
    log_sizes,
)
from risk.model.measures import wilson
from risk.model.profile import value_text
from risk.releases import IssueKey

LEAST_REFERENCE = 20
LEAST_NATS = 11.0  # a chance below 1.7e-5 for each question asked
FACTOR, FLOOR = 4.0, 0.1  # how far a share may drift: its odds by that factor, at least a tenth
BLANKS_HOLD = 0.3  # so much more of a column blank holds a deployment
FILLED = 0.2  # the least share of rows with one value from nowhere
RENAMED, PARTLY = 0.9, 0.5  # shares of rows whose text is none of the known ones
OTHER_UNIT = math.log(6.0)  # less is growth or a season
IN_SPREADS = 1.5  # and the move is at least so many standard deviations on the log scale
NOISE = 5.0  # standard errors of a median, on top
COLLAPSE = 0.5  # a shift (not a factor) narrows the spread on the log scale
ONE_SIDED = 0.1
OTHER_PLACE, SAME_PLACE = 0.5, 0.25  # distances of distributions; one deviation's shift is .38
UNITS = {
    7.0: "as days to weeks",
    10.0: "a decimal place",
    12.0: "as a year to a month",
    24.0: "as hours to days",
    30.0: "as days to months",
    52.0: "as a year to a week",
    60.0: "as minutes to hours",
    100.0: "as cents to dollars or per cent to shares",
    365.0: "as days to years",
    1e3: "as ones to thousands",
    3600.0: "as seconds to hours",
    1e6: "as ones to millions",
}


@dataclass(frozen=True)
class DataQualityIssue:
    """One issue: its kind, the columns, the file, a sentence, the rows behind it.

    kind: "blank", "stuck", "filler", "unit", "sign", "swapped", "renamed" or "inverted". holds:
    sure enough to hold a deployment.
    """

    kind: str
    columns: tuple[str, ...]
    file: str
    sentence: str
    n: int
    holds: bool

    @property
    def key(self) -> IssueKey:
        """What a person accepts of it: its kind and columns, in whatever file."""
        return self.kind, self.columns


class _Finding(NamedTuple):
    """What a check found in a column: an issue that lacks its columns and file."""

    kind: str
    words: str
    n: int
    holds: bool = True


def drift_allowance(share: float) -> float:
    """The share that ordinary drift may reach: odds times four, and a tenth where there is room."""
    odds = FACTOR * share / (FACTOR * share + 1 - share)
    return max(odds, min(share + FLOOR, 1 - (1 - share) / FACTOR))


def chernoff_nats(share: float, limit: float, n: int) -> float:
    """-ln of Chernoff's bound on finding such a share among n rows where it is `limit`."""
    if share <= limit:
        return 0.0
    if limit <= 0:
        return math.inf
    rest = (1 - share) * math.log((1 - share) / (1 - limit)) if share < 1 else 0.0
    return n * (share * math.log(share / limit) + rest)


def _most(share: float, rows: int) -> float:
    """The largest share that so many rows of the reference leave possible, drift included."""
    return drift_allowance(wilson(round(share * rows), rows)[1])


def _may_be_chance(share: float, was: float, rows: int, n: int) -> bool:
    """Whether drift and chance may give such a share of n rows where it was `was` of `rows`."""
    return chernoff_nats(share, _most(was, rows), n) < LEAST_NATS


def _distance(values: np.ndarray, usual: Usual) -> float:
    """Kolmogorov's distance of the values from the usual distribution, at its stored points."""
    return max(abs(found - was) for found, was in _placed(values, usual))


def _placed(values: np.ndarray, usual: Usual) -> Iterator[tuple[float, float]]:
    """(share in the values, usual share) below and up to each stored point."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, usual["points"], "left") / values.size
    upto = np.searchsorted(ordered, usual["points"], "right") / values.size
    yield from zip(below.tolist(), usual["below"], strict=True)
    yield from zip(upto.tolist(), usual["upto"], strict=True)


def _unlike(values: np.ndarray, usual: Usual) -> float:
    """The largest chernoff_nats() of a share below or above a stored point."""
    sides = [side for a, b in _placed(values, usual) for side in ((a, b), (1 - a, 1 - b))]
    known = usual["known"]
    return max(chernoff_nats(share, _most(was, known), values.size) for share, was in sides)


def quality_issues(
    raw: Raw, reference: QualityReference, *, file: str = ""
) -> list[DataQualityIssue]:
    """The issues of a file, the columns in the reference's order, at most one for each column.

    raw: columns as Model.raw has them; one that is absent counts as blank. Nothing is said of a
    file of fewer than 5 rows, nor of a column that the reference knows from fewer than 20.
    """
    rows = max((values.size for values in raw.values()), default=0)
    if rows < LEAST_ROWS:
        return []
    where = f"since {file}" if file else "in this file"
    columns = {n: u for n, u in reference["columns"].items() if u["known"] >= LEAST_REFERENCE}
    known = {n: known_values(raw[n]) if n in raw else np.empty(0) for n in columns}
    found: dict[str, tuple[tuple[str, ...], _Finding]] = {}
    for name, usual in columns.items():
        if blank := _blank(known[name].size, rows, usual, where):
            found[name] = (name,), blank
    rest = [n for n in columns if n not in found and known[n].size >= LEAST_ROWS]
    rest = [n for n in rest if columns[n]["distinct"] > 1]
    for pair, swap in _swapped({n: known[n] for n in rest}, columns, where):
        found |= dict.fromkeys(pair, (pair, swap))
    for name in rest:
        checks = NUMBER_CHECKS if columns[name]["kind"] == "number" else TEXT_CHECKS
        findings = (check(known[name], columns[name], where) for check in checks)
        if name not in found and (first := next(filter(None, findings), None)):
            found[name] = (name,), first
    return [
        DataQualityIssue(kind, names, file, f"{' and '.join(names)}: {words}", n, holds)
        # Without repeats: both columns of a swap have found it.
        for names, (kind, words, n, holds) in dict.fromkeys(found[n] for n in columns if n in found)
    ]


def _quoted(text: Any) -> str:
    return f'"{text[:30]}"' if isinstance(text, str) else value_text(text)


def _pct(share: float) -> str:
    """Whole per cent; never 0 or 100 for a share that is neither."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return f"{min(round(100 * share), 99) if share < 1 else 100} %"


def _blank(known: int, rows: int, usual: Usual, where: str) -> _Finding | None:
    """Far more blanks than usual, or nothing but blanks."""
    share, was = 1 - known / rows, 1 - usual["known"] / usual["rows"]
    if _may_be_chance(share, max(was, usual.get("blank_file", 0.0)), usual["rows"], rows):
        return None
    what = f"{_pct(share)} of {rows:,} rows are" if known else f"all {rows:,} rows are"
    words = (
        f"{what} blank {where}, usually {_pct(was)}; look whether the export lost the column, "
        "then replace the file"
    )
    return _Finding("blank", words, rows, share >= was + BLANKS_HOLD)


def _stuck(known: np.ndarray, usual: Usual, where: str) -> _Finding | None:
    """One value in every row, where there used to be several."""
    if usual.get("constant") or not is_constant(known):
        return None
    value, listed = known[0], dict(usual["common"])
    # One that is not listed has at most the least share that is.
    least = 0.0 if len(listed) == usual["distinct"] else float(usual["common"][-1][1])
    was = float(listed.get(value, least))
    if _may_be_chance(1.0, was, usual["known"], known.size):
        return None
    words = (
        f"every one of {known.size:,} rows says {_quoted(value)} {where}, usually "
        f"{_pct(was)} {'or fewer ' if was else ''}do; look whether the export writes a "
        "default, then replace the file"
    )
    return _Finding("stuck", words, known.size)


def _filler(known: np.ndarray, usual: Usual, where: str) -> _Finding | None:
    """One value from nowhere in many rows: far outside the range, or 0 where none ever was."""
    least, most = usual["points"][0], usual["points"][-1]
    far = (known > 2 * most - least) | (known < 2 * least - most)
    odd = known[far | (known == 0)] if usual["zero"] == 0 else known[far]
    if not odd.size:
        return None
    different, sizes = np.unique(odd, return_counts=True)
    value, share = float(different[sizes.argmax()]), float(sizes.max() / known.size)
    others = known[(known != value) & (known != 0)]
    # Where most other values are elsewhere too it is no filler: all have moved.
    if share < FILLED or not others.size or ((others >= least) & (others <= most)).mean() < 0.5:
        return None
    if _may_be_chance(share, 0.0, usual["known"], known.size):
        return None
    words = (
        f"{_pct(share)} of {known.size:,} rows say {_quoted(value)} {where}, which no row did "
        "before; if it stands for a missing value, leave the cell empty and replace the file"
    )
    return _Finding("filler", words, known.size, value != 0)


def _unit(known: np.ndarray, usual: Usual, where: str) -> _Finding | None:
    """The sizes of the values all multiplied: a move on the log scale that keeps its spread."""
    logs = log_sizes(known)
    if "logs" not in usual or logs.size < LEAST_ROWS or usual["nonzero"] < LEAST_REFERENCE:
        return None
    spread, move = _spread(usual["logs"]), float(np.median(logs)) - usual["logs"][2]
    error = NOISE * max(spread, 0.1) * (1 / logs.size + 1 / usual["nonzero"]) ** 0.5
    least = max(OTHER_UNIT, IN_SPREADS * spread, 2 * usual.get("moves", 0.0))
    if abs(move) - error < least:
        return None
    # An added amount lets the spread on the log scale shrink, a factor never does.
    slack = COLLAPSE * min(1.0, (logs.size / 20) ** 0.5)
    if _spread(np.quantile(logs, LOG_GRID).tolist()) + 0.02 < slack * spread:
        return None
    now, was = np.median(known[known != 0]), math.exp(usual["logs"][2])
    words = (
        f"the values are {_times(move)} {where} ({value_text(abs(float(now)))} in the middle of "
        f"{logs.size:,} rows, usually {value_text(was)}); look whether the export changed the "
        "unit, then replace the file"
    )
    return _Finding("unit", words, logs.size)


def _spread(logs: list[float]) -> float:
    """A standard deviation on the log scale, by the wider of two pairs of quantiles."""
    return max((logs[3] - logs[1]) / 2, (logs[4] - logs[0]) / 3.3)


def _times(move: float) -> str:
    """The factor in words, by a usual one where one is near."""
    size = abs(move)
    near = min(UNITS, key=lambda unit: abs(math.log(unit) - size))
    named = abs(math.log(near) - size) < math.log(1.35)
    factor, why = (near, f", {UNITS[near]}") if named else (float(f"{math.exp(size):.2g}"), "")
    much = "as large" if move > 0 else "smaller"
    times = f"about {value_text(factor)} times {much}"
    return f"{times} as before{why}" if move > 0 else f"{times} than before{why}"


def _sign(known: np.ndarray, usual: Usual, where: str) -> _Finding | None:
    """The sign flipped in a column that used to have one sign."""
    nonzero = known[known != 0]
    if "logs" not in usual or nonzero.size < LEAST_ROWS:
        return None
    was, share = usual["negative"], float(np.mean(nonzero < 0))
    was, share, now = (was, share, "negative") if was < 0.5 else (1 - was, 1 - share, "positive")
    flipped = was <= ONE_SIDED and share >= 1 - 2 * ONE_SIDED
    if not flipped or _may_be_chance(share, was, usual["nonzero"], nonzero.size):
        return None
    if _distance(-known, usual) > OTHER_PLACE + known.size**-0.5:
        return None
    words = (
        f"{_pct(share)} of {nonzero.size:,} values are {now} {where}, usually "
        f"{_pct(was)}; look whether the export flipped the sign, then replace the file"
    )
    return _Finding("sign", words, nonzero.size)


def _renumbered(known: np.ndarray, usual: Usual, where: str) -> _Finding | None:
    """A yes-or-no column in other numbers: a value that always was there gone, another come."""
    if usual["distinct"] != 2:
        return None
    strange = ~np.isin(known, [value for value, _ in usual["common"]])
    gone = [(v, share) for v, share in usual["common"] if not (known == v).any()]
    if not strange.any() or not gone:
        return None
    if _may_be_chance(1.0, 1 - max(share for _, share in gone), usual["known"], known.size):
        return None
    return _Finding("renamed", _other_values(known[strange], known.size, usual, where), known.size)


def _renamed(known: np.ndarray, usual: Usual, where: str) -> _Finding | None:
    """Texts that are none of the known ones in nearly all rows; a report alone from half of them.

    One new text alone is not judged here: that is "stuck", or a new product.
    """
    strange = _strange(known, usual)
    share = float(strange.mean())
    if usual.get("constant") or share < PARTLY:
        return None
    if _may_be_chance(share, _unlisted(usual), usual["known"], known.size):
        return None
    holds = share >= RENAMED and len(set(known[strange].tolist())) > 1
    words = _other_values(known[strange], known.size, usual, where)
    return _Finding("renamed", words, known.size, holds)


def _strange(texts: np.ndarray, usual: Usual) -> np.ndarray:
    """Which texts are none of the listed ones; none where new ones are the rule. Shape (n,)."""
    if _unlisted(usual) >= 0.5:  # names, numbers of contracts
        return np.zeros(texts.size, dtype=bool)
    listed = {level for level, _ in usual["common"]}
    return np.array([text not in listed for text in texts], dtype=bool)


def _unlisted(usual: Usual) -> float:
    """The share of rows to expect outside the list: known to be, and not seen so far (the share of
    texts seen once: Good and Turing's estimate)."""
    return min(1.0, 1 - sum(share for _, share in usual["common"]) + float(usual["once"]))


def _other_values(strange: np.ndarray, rows: int, usual: Usual, where: str) -> str:
    now = [value for value, _ in sorted(Counter(strange.tolist()).items(), key=lambda i: -i[1])]
    was = [value for value, _ in usual["common"]]
    folded = {str(value).strip().casefold() for value in was}
    same = all(str(value).strip().casefold() in folded for value in now)
    how = ", the same but for capitals and spaces" if same else ""
    return (
        f"{_pct(strange.size / rows)} of {rows:,} rows have values never seen before "
        f"{where} ({_some(now)}; usually {_some(was)}){how}; look whether the export renamed "
        "them, then replace the file"
    )


def _some(values: list[Any]) -> str:
    text = ", ".join(_quoted(value) for value in values[:3])
    return f"{text} and {len(values) - 3} more" if len(values) > 3 else text


def _inverted(known: np.ndarray, usual: Usual, where: str) -> _Finding | None:
    """Yes and no changed places, as far as the shares can tell: reported, never a hold."""
    if usual["distinct"] != 2:
        return None
    value, was = usual["common"][1]
    share = float(np.mean(known == value))
    if abs(share + was - 1) > SAME_PLACE or was > 0.25 or share < 0.75:
        return None
    if _may_be_chance(share, was, usual["known"], known.size):
        return None
    words = (
        f"{_pct(share)} of {known.size:,} rows say {_quoted(value)} {where}, usually "
        f"{_pct(was)}; look whether the export changed the two values' meaning"
    )
    return _Finding("inverted", words, known.size, False)


_Check = Callable[[np.ndarray, Usual, str], _Finding | None]
NUMBER_CHECKS: tuple[_Check, ...] = (_renumbered, _stuck, _filler, _unit, _sign, _inverted)
TEXT_CHECKS: tuple[_Check, ...] = (_stuck, _renamed, _inverted)


def _swapped(
    known: Raw, columns: dict[str, Usual], where: str
) -> Iterator[tuple[tuple[str, str], _Finding]]:
    """Pairs of columns that have changed places; a column is in one pair at most."""
    free = []  # no longer where they used to be, beyond what drift does
    for name, values in known.items():
        usual = columns[name]
        if usual["kind"] == "text":
            left = _strange(values, usual).mean() >= OTHER_PLACE
        else:
            left = _distance(values, usual) >= OTHER_PLACE
            left = left and _unlike(values, usual) >= LEAST_NATS
        free += [name] if left else []
    for one, other in itertools.combinations(free.copy(), 2):
        if one in free and other in free and _in_place_of(one, other, known, columns):
            free = [name for name in free if name not in (one, other)]
            words = (
                f"each has the values that the other used to have {where}; look whether the "
                "export swapped the two columns, then replace the file"
            )
            n = int(min(known[one].size, known[other].size))
            yield (one, other), _Finding("swapped", words, n)


def _in_place_of(one: str, other: str, known: Raw, columns: dict[str, Usual]) -> bool:
    """Whether each of the two has the distribution that the other used to have."""
    if columns[one]["kind"] != columns[other]["kind"]:
        return False
    pairs = ((known[one], columns[other]), (known[other], columns[one]))
    if columns[one]["kind"] == "text":
        return all(_strange(x, usual).mean() <= _unlisted(usual) + SAME_PLACE for x, usual in pairs)
    return all(_distance(x, usual) <= SAME_PLACE + x.size**-0.5 for x, usual in pairs)

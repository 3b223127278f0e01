"""What can hardly be so in a file that can be read: refused where it cannot be, else remarked on.

A typo of 2062 would fix the list for ever; a client under two spellings is two clients.
"""

from __future__ import annotations

import datetime
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from risk.data import labels
from risk.data.values import ISO_DAY

if TYPE_CHECKING:
    import polars as pl

    from risk.data.schema import Column, Schema

FUTURE = "a date in the future"
FAR = datetime.timedelta(days=20 * 365.25)
LEAST_ROWS = 5  # in fewer a column is blank by chance
LEAST_CLIENTS, USUAL_FILES = 20, 5
# Forms without a day; the date that is read is the last day of what they say.
MONTHS = ("mmm yyyy", "mmm-yy", "yyyy-mmm", "mm/yyyy", "mm.yyyy", "mm-yyyy", "yyyy/mm", "yyyymm")


# ------------------------------------------------------------ dates


def first_day(date: datetime.date, form: str) -> datetime.date:
    """The first day of what a cell or a name of this form says, whose last day the date is."""
    is_month_end = (date + datetime.timedelta(days=1)).day == 1
    # An export of a month under its last day may come before that day.
    if form in MONTHS or (form == ISO_DAY and is_month_end):
        return date.replace(day=1)
    if form == "yyyy-qn":
        return date.replace(month=date.month - 2, day=1)
    if form == "yyyy-wnn":
        return date - datetime.timedelta(days=6)
    return date.replace(month=1, day=1) if form == "yyyy" else date


def is_future(date: str, form: str = ISO_DAY) -> bool:
    """Whether it has not begun tomorrow: east of here it is tomorrow already."""
    tomorrow = labels.today() + datetime.timedelta(days=1)
    return first_day(datetime.date.fromisoformat(date), form) > tomorrow


def far_dates(dates: Iterable[str]) -> set[str]:
    """Those over 20 years apart from where most are (of equally many, from the newest)."""
    counts = Counter(dates)  # of counts these
    groups: list[list[str]] = []
    for text in sorted(counts):
        day = datetime.date.fromisoformat(text)
        if not groups or day - datetime.date.fromisoformat(groups[-1][-1]) > FAR:
            groups.append([])
        groups[-1].append(text)
    main = max(groups, key=lambda group: (sum(counts[text] for text in group), group), default=[])
    return set(counts) - set(main)


def wrong_dates(dates: Iterable[str | None] | Counter[str], form: str) -> dict[str, str]:
    """Date -> the rule that it breaks, of a column's dates or how often each is there."""
    counts = dates if isinstance(dates, Counter) else Counter(date for date in dates if date)
    found = {date: FUTURE for date in counts if is_future(date, form)}
    known = Counter({date: n for date, n in counts.items() if date not in found})
    far = "over 20 years apart from the other dates"
    return found | dict.fromkeys(far_dates(known), far)


# ------------------------------------------------------------ rows


def contradictions(frame: pl.DataFrame, schema: Schema, *, status: bool) -> str:
    """Clients that a file says have left and have not, at one date; "" where there are none."""
    import polars as pl

    client, target = schema.named("id"), schema.named("target")
    if frame["_date"].null_count() == frame.height:
        return ""
    known = frame.filter(pl.col("_date").is_not_null() & pl.col(target).is_not_null())
    pairs = known.group_by(client, "_date").agg(pl.col(target).n_unique(), rows=pl.len())
    both = pairs.filter(pl.col(target) > 1)
    if not both.height:
        return ""
    dates = both["_date"].unique().sort().to_list()
    when = str(dates[0]) if len(dates) == 1 else f"one date (the first {dates[0]})"
    many = "two" if both["rows"].max() == 2 else "several"
    n = both[client].n_unique()
    which = (
        "who is said to have left has left"
        if status
        else "both are learned from, and the last one says who is a client"
    )
    return (
        f"{n:,} {'client has' if n == 1 else 'clients have'} {many} rows of {when} that contradict "
        f"each other in {target!r}, such as {both[client].min()!r}; {which}"
    )


def empty_features(frame: pl.DataFrame, features: Iterable[Column]) -> list[str]:
    """A sentence for each of these columns that has no value."""
    rows = frame.height
    empty = [column.name for column in features if frame[column.name].null_count() == rows]
    return [f"the column {n!r} is empty in all {rows:,} rows" for n in empty if rows >= LEAST_ROWS]


def few_unlabelled(frame: pl.DataFrame, schema: Schema) -> str:
    """What becomes of a few rows without a label among many with one."""
    target = schema.named("target")
    unlabelled = frame[target].null_count()
    if not labels.is_few(unlabelled, int((frame[target] == 0).sum())):
        return ""
    return (
        f"{unlabelled:,} of {frame.height:,} rows {'has' if unlabelled == 1 else 'have'} no "
        f"{target!r}; so few are listed together with the clients who stayed"
    )


def fewer_clients(clients: int, before: Sequence[int]) -> str:
    """Where a file has less than half of the clients that files usually have.

    before: how many the files of the last dates before its own have.
    """
    usual = sorted(before)[len(before) // 2] if before else 0
    if usual < LEAST_CLIENTS or 2 * clients > usual:
        return ""
    return f"{clients:,} clients, where the files before it have {usual:,}; is a part missing?"


def near_ids_by_file(known: Sequence[pl.Series], new: Sequence[pl.Series]) -> list[str]:
    """near_ids() of each new file beside all before it, without a look at most ids."""
    import polars as pl

    ids = pl.concat([*known, *new]).alias("id")
    keys = _plain_ids(ids)
    # As many keys as ids: no two are alike. The hashes are compared at a tenth of the time.
    if keys.hash().n_unique() == ids.hash().n_unique():
        return [""] * len(new)
    pairs = pl.DataFrame([ids, keys.alias("key")]).unique()
    alike = pairs.filter(pl.col("key").is_duplicated())["id"].implode()
    before, found = pl.concat([ids.clear(), *(s.alias("id") for s in known)]), list[str]()
    before = before.filter(before.is_in(alike)).unique()
    for one in new:
        own = one.filter(one.is_in(alike)).alias("id")
        found.append(near_ids(own, before) if own.len() else "")
        before = pl.concat([before, own]).unique()
    return found


def _plain_ids(ids: pl.Series) -> pl.Series:
    """The ids without what spellings of one client differ by."""
    if (ids.str.len_bytes() == ids.str.len_chars()).all():  # in ASCII four times as fast
        plain = ids.str.to_lowercase().str.replace_all(" ", "", literal=True)
    else:
        plain = ids.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"[\s\p{Cf}]", "")
    return plain.str.strip_chars_start("0")


def near_ids(new: pl.Series, known: pl.Series) -> str:
    """Clients that differ by their spelling alone, where the file has brought the pair; else ""."""
    import polars as pl

    ids = pl.concat([known, new]).unique(maintain_order=True).alias("id").to_frame()
    ids = ids.with_columns(_plain_ids(ids["id"]).alias("key"))
    ids = ids.with_columns(pl.col("id").is_in(known.implode()).alias("known"))
    alike = ids.filter((pl.len().over("key") > 1) & ~pl.col("known").all().over("key"))
    if not alike.height:
        return ""
    one, other = alike.sort("key", pl.col("known").not_(), "id")["id"].to_list()[:2]
    n = alike["key"].n_unique()
    # The same letters in other bytes look alike until they are written as numbers.
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        one, other = ascii(one).strip("'"), ascii(other).strip("'")
    return (
        f"{n:,} {'client is' if n == 1 else 'clients are'} spelled in two ways that differ by "
        f"capitals, spaces, leading zeros or kinds of letters alone, such as '{one}' and "
        f"'{other}'; each counts as a client of its own, write them alike"
    )

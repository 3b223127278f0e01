"""How clients move between dates -> what a column of who left means: given, or a status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from risk.words import amount, day

if TYPE_CHECKING:
    import polars as pl

LEAST_EXITS = 10  # training needs so many labelled rows
AFTER_LEAVING = 0.95  # the AUC of one value of a column that no model of the future has


MEASURED_AFTER = (
    "it looks as if it was measured after they had left, so that the list would find who has left "
    "and not who will"
)


class Meaning(NamedTuple):
    """The settings `labels` and `vanished`, and why they were taken, for a person."""

    labels: str
    vanished: str
    why: str


def guess_meaning(
    moments: Sequence[str],
    clients: Sequence[str],
    labels: Sequence[int | None],
    *,
    has_target: bool,
) -> Meaning:
    """What the labels mean, by how they move. moments: the date of each row, "" for none."""
    days = sorted(set(moments) - {""})
    seen: dict[str, dict[str, int | None]] = {moment: {} for moment in days}
    for moment, client, label in zip(moments, clients, labels, strict=True):
        if moment:
            seen[moment][client] = label
    left = {moment: {c for c, label in seen[moment].items() if label == 1} for moment in days}
    files = amount(max(len(days), 1), "date")
    if 1 not in labels:
        return _nobody_left(days, seen, files, has_target=has_target)
    if len(days) < 2:
        why = (
            "each row says who left after it; if it says who has left by its date, as a CRM's "
            "export does, add --labels status"
        )
        return Meaning("given", "unknown", why)
    again = sum(len(left[one] & left[other]) for one, other in zip(days, days[1:], strict=False))
    earlier = sum(len(left[moment]) for moment in days[:-1])
    if again > 0.5 * earlier or (not earlier and left[days[-1]]):
        first, last = days[0], days[-1]
        more = len(left[last] - left[first])
        why = (
            f"{len(left[first]):,} of {len(seen[first]):,} have left by {day(first)}, "
            f"{more:,} more by {day(last)}"
        )
        return Meaning("status", "unknown", why)
    rest = f"of {earlier:,} who left {again:,} are in the next file as left"
    why = f"each row says who left after it: {rest}"
    return Meaning("given", "unknown", why)


def _nobody_left(
    days: list[str], seen: dict[str, dict[str, int | None]], files: str, *, has_target: bool
) -> Meaning:
    """Current clients alone, whose leavers are in the next file no more; or nobody left yet."""
    pairs = list(zip(days, days[1:], strict=False))
    gone = sum(len(seen[one].keys() - seen[other].keys()) for one, other in pairs)
    if gone:
        why = f"nobody is marked as left, and {amount(gone, 'client')} of one date not in the next"
        return Meaning("status", "left", f"{why}: who is in no later file has left")
    why = f"no client has left yet in {files}; the first list comes when {LEAST_EXITS} rows can be "
    vanished = "left" if len(days) < 2 or not has_target else "unknown"
    return Meaning("status", vanished, f"{why}learned from")


def measured_after_leaving(features: Iterable[pl.Series], labels: pl.Series) -> str:
    """A column that looks as if it was measured after the clients had left, with the value that
    gives it away: `Logins last month is 0 for 35 of 36 who left`; "" where none does.

    labels: 1 for who left; anything else counts as an other.
    """
    has_left = (labels == 1).fill_null(False)
    of, others = int(has_left.sum()), int((~has_left).sum())
    if of < 5 or others < 5:
        return ""
    for values in features:
        common = values.filter(has_left).mode().sort()[0]
        is_common = values.eq_missing(common)
        own = int((is_common & has_left).sum())
        elsewhere = int(is_common.sum()) - own
        # The AUC of "has this value" as a score.
        if (1 + own / of - elsewhere / others) / 2 > AFTER_LEAVING:
            shown = f"{common:g}" if isinstance(common, float) else common or "empty"
            return (
                f"{values.name} is {shown} for {own:,} of {of:,} who left and for {elsewhere:,} of "
                f"{others:,} others"
            )
    return ""

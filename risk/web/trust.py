"""The page Trust: did those that we listed leave, do the percentages hold, does calling help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from risk.calllist.facts import gains_words, month_words, score_words
from risk.calllist.types import CallList
from risk.model.measures import wilson
from risk.record.outcomes import Outcomes
from risk.web import notices
from risk.web.context import PageContext
from risk.web.svg import calibration_dots, waffle_paths
from risk.words import amount, as_sentence, day, in_percent, percents, stamp

SHOWN_NAMES = 6
CAVEAT = (
    "You choose whom to call, so that a difference may be your choice and not the call. Only "
    "clients left uncalled by lot would tell: leave out a part of the list that a coin chooses."
)
Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Trust:
    """How good the lists were, as trust.html lays it out.

    enough: whether all is of outcomes; else of the test rows, named in source. lead: pieces of the
    sentence under the heading, each with whether it is a strong one. sentences: the confusion
    matrix as (how many, what they are, what that was). like_this: what calls like today's reached
    among the test rows.
    """

    enough: bool
    heading: str
    lead: list[tuple[str, bool]]
    source: str
    squares: list[Squares]
    sentences: list[tuple[str, str, str]]
    nobody: str
    gains: list[Gains]
    leavers: int
    calibration: Calibration | None
    brier: str
    wrong: list[Wrong]
    calls: Calls | None
    expected: str
    like_this: str
    tested: str
    months: list[str]


def view(context: PageContext, args: Mapping[str, str]) -> dict[str, Any]:
    """All that trust.html lays out; from the test rows while too few outcomes are known."""
    outcomes = context.outcomes()
    enough = outcomes["enough"]
    # Outcomes stand without the release; before them the test rows are all that there is.
    score = {} if enough and context.broken() else context.release().score
    try:
        # What came true needs no present list; only what to expect does.
        listing: CallList | None = context.listing()
    except notices.ShowInstead:
        listing = None
    counts = (outcomes["known"], outcomes["least"], outcomes["waiting"])
    banners = [] if enough else [notices.cannot_tell(*counts)]
    banners = [*notices.misread(outcomes["misread"]), *banners]
    shown = trust_of(outcomes, score, listing, context.now.date())
    return {**vars(shown), "banners": banners}


def trust_of(outcomes: Outcomes, score: Claims, listing: CallList | None, today: date) -> Trust:
    """What there is to say. score: of the deployed model, {} where it is not known; listing: the
    present list, None without one."""
    enough = outcomes["enough"]
    claims: Claims = outcomes if enough else of_test(score)
    group: Claims = claims.get("all") or {}
    gains = listing.cut.cumulative_gains if listing else None
    basis = score.get("basis")
    rows = {"test data": "test data", "next month": "months, each predicted from those before"}.get(
        str(basis), "training rows, by cross-validation"
    )
    until = [
        ("Until then all below is about the ", False),
        (f"{rows}, {score.get('n', 0):,} rows", True),
        (", by the deployed model: what can be expected, and not what came true.", False),
    ]
    tested = ""
    if enough and score.get("auc") is not None:
        tested = (
            f"{score_words(score)}. Of 100 pairs of a client who left and one who stayed, the one "
            f"who left had the higher risk in {in_percent(score['auc'])}."
        )
    return Trust(
        enough=enough,
        heading=_heading(outcomes, group),
        lead=_lead(outcomes) if enough else until,
        source="outcomes" if enough else rows,
        squares=_squares(group, listed=enough),
        sentences=_sentences(group, listed=enough),
        nobody=nobody(group),
        gains=[_gains(one) for one in claims.get("cumulative_gains") or []],
        leavers=group.get("left", 0),
        calibration=_calibration(claims.get("calibration")),
        brier=_brier(claims.get("brier")),
        wrong=_wrong(outcomes, today) if enough else [],
        calls=calls(outcomes) if enough else None,
        expected=as_sentence(listing.expected.sentence) if listing and listing.expected else "",
        like_this=as_sentence(gains_words(gains)) if gains and not enough else "",
        tested=tested,
        months=[month_words(month) for month in score.get("months", [])],
    )


def _heading(outcomes: Outcomes, group: Claims) -> str:
    """`Of 100 clients we listed, 62 left; of 100 picked at random, 31 would have`."""
    if not outcomes["enough"]:
        known, least = outcomes["known"], outcomes["least"]
        words = f"{known:,} of {least:,} outcomes are known" if least else "no outcome is known"
        return f"We cannot tell yet: {words}"
    listed, drawn = group["listed"], group["at_random"]
    if not listed["n"]:
        return "None of the clients with a known outcome was on the call list"
    return (
        f"Of 100 clients we listed, {in_percent(listed['share'])} left; of 100 picked at random, "
        f"{in_percent(drawn['share'])} would have"
    )


def _lead(outcomes: Claims) -> list[tuple[str, bool]]:
    """What the heading stands on, in pieces: (words, whether they are the strong ones)."""
    group, (first, last) = outcomes["all"], (outcomes.get("from"), outcomes.get("to"))
    span = f" of {day(first)} to {day(last)}" if first and last else ""
    listed = group["listed"]
    words = [
        (f"{group['left']:,} of all {group['n']:,}", True),
        (f" listings{span} left, of {amount(group['clients'], 'client')}.", False),
    ]
    if listed["n"]:
        within = f"{percents(listed['interval'])} of 100, 95 % interval"
        words = [
            (f"{listed['left']:,} of {listed['n']:,}", True),
            (f" listings on the call list left ({within}), against ", False),
            *words,
        ]
    known = f" Outcomes known on {stamp(outcomes['made_at'])}"
    return [*words, (f"{known}; {outcomes.get('waiting', 0):,} still wait for theirs.", False)]


def of_test(score: Claims) -> Claims:
    """The score in the form of outcomes: "listed" is who was said to be at the threshold or up."""
    names = ("true_positive", "false_positive", "false_negative", "true_negative")
    counts = [score[name] for name in names if score.get(name) is not None]
    if len(counts) < len(names):
        return {}
    hits, alarms, missed, rightly = counts
    left, n = hits + missed, sum(counts)

    def share(left: int, n: int) -> Claims:
        return {
            "n": n,
            "left": left,
            "share": left / n if n else None,
            "interval": wilson(left, n),
        }

    return {
        "all": {
            "n": n,
            "left": left,
            "listed": share(hits, hits + alarms),
            "not_listed": share(missed, missed + rightly),
            "at_random": share(left, n),
            "hits": hits,
            "false_alarms": alarms,
            "misses": missed,
            "rightly_not_listed": rightly,
        },
        "cumulative_gains": score.get("cumulative_gains"),
        "calibration": score.get("calibration"),
        "brier": {
            "value": score.get("brier"),
            "base_rate": (score.get("base_rate") or {}).get("brier"),
        },
    }


@dataclass(frozen=True)
class Squares:
    """One waffle: its word, what it says, the paths of the filled squares and of the others."""

    word: str
    says: str
    percent: int
    filled: str
    rest: str


def _squares(group: Claims, *, listed: bool) -> list[Squares]:
    """The two waffles; one without rows is left out."""
    on, off = ("Listed", "Not listed") if listed else ("Said to leave", "Said to stay")
    found = []
    for word, part in ((on, group.get("listed")), (off, group.get("not_listed"))):
        if part and part["n"]:
            percent = in_percent(part["share"])
            within = percents(part["interval"])
            says = f"{part['left']:,} of {part['n']:,} left, {percent} of 100 ({within})"
            found.append(Squares(word, says, percent, *waffle_paths(percent)))
    return found


# (count, on the list, what came of it, what that means of a list, of the test rows)
MATRIX = (
    ("hits", True, "left", "A call was worth it.", "Right."),
    ("false_alarms", True, "stayed", "A false alarm, or the call helped.", "A false alarm."),
    (
        "misses", False, "left",
        "Missed: the list is too short for all, or the predicted risk was too low.", "Missed.",
    ),
    ("rightly_not_listed", False, "stayed", "Rightly left alone.", "Right."),
)  # fmt: skip


def _sentences(group: Claims, *, listed: bool) -> list[tuple[str, str, str]]:
    """The confusion matrix as four sentences: (how many, what they are, what that was)."""
    on, off = ("listed", "not listed") if listed else ("said to leave", "said to stay")
    return [
        (f"{group[key]:,}", f"{on if called else off} and {came}", of_list if listed else of_rows)
        for key, called, came, of_list, of_rows in (MATRIX if group else ())
    ]


def nobody(group: Claims) -> str:
    """What saying the same of everybody would be right for: the trap of accuracy."""
    if not group or not group["n"]:
        return ""
    left = in_percent(group["left"] / group["n"])
    word = "nobody leaves" if left < 50 else "everybody leaves"
    return f"Saying “{word}” would be right for {max(left, 100 - left)} of 100, and of no use."


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval, as exact as it is known; in words whole percents."""

    value: float
    low: float
    high: float

    @property
    def percent(self) -> int:
        return in_percent(self.value)

    @property
    def interval(self) -> str:
        return percents([self.low, self.high])


@dataclass(frozen=True)
class Gains:
    """Calling so many clients, the highest risk first: the share of those who left that it reaches
    (None where nobody left), what as many at random would, and how many of 100 called left."""

    share: int
    called: int
    recall: Share | None
    random: int
    precision: Share


def _gains(one: Claims) -> Gains:
    known = one["recall"] is not None
    return Gains(
        in_percent(one["share"]),
        one["called"],
        Share(one["recall"], *one["recall_interval"]) if known else None,
        in_percent(one["at_random"]["recall"]),
        Share(one["precision"], *one["precision_interval"]),
    )


@dataclass(frozen=True)
class Bin:
    """One group of like risks: the mean risk that was predicted, how many, how many left."""

    risk: float
    n: int
    left: int
    share: Share

    @property
    def predicted(self) -> int:
        return in_percent(self.risk)

    @property
    def touches(self) -> bool:
        return self.share.low <= self.risk <= self.share.high


@dataclass(frozen=True)
class Calibration:
    """Whether the percentages hold: the groups, the same as dots, and the answer in words."""

    bins: list[Bin]
    dots: list[tuple[float, ...]]
    answer: str
    slope: str
    says: str


def _calibration(found: Claims | None) -> Calibration | None:
    """None where nothing is known."""
    if not found or not found.get("bins"):
        return None
    bins = [
        # The share is kept and not the count; round() undoes the division.
        Bin(b["risk"], b["n"], round(b["left"] * b["n"]), Share(b["left"], *b["interval"]))
        for b in found["bins"]
    ]
    touching = sum(one.touches for one in bins)
    return Calibration(
        bins,
        calibration_dots(found["bins"]),
        answer(touching, len(bins)),
        slope(found.get("slope")),
        f"{touching} of {len(bins)} intervals touch the diagonal",
    )


def answer(touching: int, groups: int) -> str:
    """Chance alone lets one in twenty intervals miss."""
    if touching == groups:
        return f"Yes: all {groups} intervals touch the diagonal."
    if touching >= 0.8 * groups:  # of ten right groups three miss in 1 of 87 cases
        return f"Mostly: {touching} of {groups} intervals touch the diagonal."
    return f"No: only {touching} of {groups} intervals touch the diagonal."


def slope(found: Claims | None) -> str:
    """Whether risks lie too near to 0 and 1, or too near to the average."""
    if not found:
        return ""
    low, high = found["interval"]
    words = f"slope {found['value']:.2f} ({low:.2f} to {high:.2f}; 1 is right)"
    if high < 1:
        return f"Risks are too extreme: {words}."
    if low > 1:
        return f"Risks are too near to the average: {words}."
    return f"Neither too extreme nor too near to the average: {words}."


def _brier(found: Claims | None) -> str:
    """The mean squared error beside that of telling everybody the average."""
    if not found or found.get("value") is None or found.get("base_rate") is None:
        return ""
    return (
        f"Mean squared error (Brier) {found['value']:.3f}; saying the average of everybody: "
        f"{found['base_rate']:.3f}."
    )


@dataclass(frozen=True)
class Mistake:
    """A client of whom the list was wrong, with what it said then."""

    client: str
    name: str
    when: str
    risk: str
    rank: str
    called: str


@dataclass(frozen=True)
class Wrong:
    """One kind of mistake: how many there were, and the last of them by name."""

    title: str
    of: int
    names: list[Mistake]


def _wrong(outcomes: Claims, today: date) -> list[Wrong]:
    """The last misses and the last false alarms by name."""
    kinds = (("Left, and not on the list", "misses"), ("Listed, and stayed", "false_alarms"))
    found = []
    for title, key in kinds:
        names = [
            Mistake(
                client=one["client"],
                name=one.get("name", one["client"]),
                when=day(one["date"] or one["predicted_at"], today),
                risk=f"{in_percent(one['risk'])} %",
                rank=f"{one['rank']:,} of {one['of']:,}",
                called="contacted" if one["contacted"] else "not contacted",
            )
            for one in outcomes[key][:SHOWN_NAMES]
        ]
        found.append(Wrong(title, outcomes["all"][key], names))
    return found


@dataclass(frozen=True)
class Called:
    """Of those on the list the contacted, or the others: how many left, and the share."""

    word: str
    count: str
    share: Share


@dataclass(frozen=True)
class Calls:
    """The contacted beside the others, whether they differ, and what that cannot say."""

    lines: list[Called]
    answer: str
    note: str
    n: int


def calls(outcomes: Claims) -> Calls:
    """Those of the list who were contacted beside those who were not."""
    parts = [
        (word, (outcomes.get(key) or {}).get("listed") or {"n": 0})
        for word, key in (("contacted", "contacted"), ("not contacted", "not_contacted"))
    ]
    caveat = outcomes.get("caveat") or ""
    return Calls(
        [
            Called(word, f"{p['left']:,} of {p['n']:,}", Share(p["share"], *p["interval"]))
            for word, p in parts
            if p["n"]
        ],
        _difference([part for _, part in parts]),
        f"{as_sentence(caveat)} {CAVEAT}".strip(),
        sum(part["n"] for _, part in parts),
    )


def _difference(parts: list[dict[str, Any]]) -> str:
    """One sentence: whether there is a difference that chance does not explain."""
    first, second = parts
    if not first["n"]:
        return "We cannot tell: nobody on the list was noted as contacted before the outcome came."
    if not second["n"]:
        return "We cannot tell: everybody on the list was contacted."
    (low, high), (least, most) = first["interval"], second["interval"]
    # A cautious test: two that overlap a little may differ all the same.
    if high >= least and most >= low:
        return "We cannot tell: the two intervals overlap."
    fewer = "fewer" if first["share"] < second["share"] else "more"
    return f"Of those who were contacted {fewer} left. That need not be the call’s doing."

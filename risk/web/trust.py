"""The page Trust: did those that we listed leave, do the percentages hold, does calling help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from werkzeug.datastructures import MultiDict

from risk.model.calibration import wilson
from risk.web import notices
from risk.web.context import PageContext
from risk.web.shapes import Dot, calibration_dots, waffle_paths
from risk.words import counted, day, stamp, whole

SHOWN_NAMES = 6
CAVEAT = (
    "You choose whom to call, so that a difference may be your choice and not the call. Only "
    "clients left uncalled by lot would tell: leave out a part of the list that a coin chooses."
)
Claims = dict[str, Any]


def view(context: PageContext, args: MultiDict[str, str]) -> dict[str, Any]:
    """All that trust.html lays out; from the test rows while too few outcomes are known."""
    outcomes = context.outcomes()
    enough = bool(outcomes.get("enough"))
    score = context.release().score if not enough else _score(context)
    claims = outcomes if enough else of_test(score)
    group: Claims = claims.get("all") or {}
    return {
        "enough": enough,
        "banners": [] if enough else [_untold(outcomes)],
        "heading": _heading(group) if enough else _untold_heading(outcomes),
        "lead": _lead(outcomes) if enough else _test_lead(score),
        "source": "outcomes" if enough else _basis_words(score),
        "group": group,
        "squares": _squares(group),
        "sentences": _sentences(group, listed=enough),
        "nobody": nobody(group),
        "reach": [_reached(one) for one in claims.get("reach") or []],
        "leavers": group.get("left", 0),
        "calibration": _calibration(claims.get("calibration")),
        "brier": _brier(claims.get("brier")),
        "wrong": _wrong(outcomes, context.now.date()) if enough else [],
        "calls": calls(outcomes) if enough else None,
        "expected": _expected(context),
        "tested": _tested(score) if enough and score else "",
    }


def _expected(context: PageContext) -> str:
    """What today's list is expected to come to, as reporting.py reckoned; "" where it did not."""
    try:
        told = (context.listing().get("expected") or {}).get("sentence") or ""
    except notices.ShowInstead:
        return ""
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def _score(context: PageContext) -> dict[str, Any]:
    """The deployed model's score, {} where the release cannot be read: outcomes stand without."""
    return {} if context.broken() else context.release().score


# ---------------------------------------------------------------- what is claimed


def _untold(outcomes: Claims) -> notices.Notice:
    """Why nothing is claimed of the lists yet."""
    known, least, waiting = (outcomes.get(key, 0) for key in ("known", "least", "waiting"))
    return notices.cannot_tell(known, least, waiting)


def _untold_heading(outcomes: Claims) -> str:
    known, least = outcomes.get("known", 0), outcomes.get("least")
    told = f"{known:,} of {least:,} outcomes are known" if least else "no outcome is known"
    return f"We cannot tell yet: {told}"


def _heading(group: Claims) -> str:
    """`Of 100 clients we listed, 62 left; of 100 picked at random, 31 would have`."""
    listed, drawn = group["listed"], group["at_random"]
    if not listed["n"]:
        return "None of the clients with a known outcome was on the call list"
    return (
        f"Of 100 clients we listed, {whole(listed['share'])} left; of 100 picked at random, "
        f"{whole(drawn['share'])} would have"
    )


def _lead(outcomes: Claims) -> list[tuple[str, bool]]:
    """What the heading stands on, in pieces: (words, whether they are the strong ones)."""
    group, (first, last) = outcomes["all"], (outcomes.get("from"), outcomes.get("to"))
    span = f" of {day(first)} to {day(last)}" if first and last else ""
    listed = group["listed"]
    told = [
        (f"{group['left']:,} of all {group['n']:,}", True),
        (f" listings{span} left, of {counted(group['clients'], 'client')}.", False),
    ]
    if listed["n"]:
        told = [
            (f"{listed['left']:,} of {listed['n']:,}", True),
            (
                f" listings on the call list left ({_interval(listed['interval'])} of 100, 95 % "
                "interval), against ",
                False,
            ),
            *told,
        ]
    known = f" Outcomes known on {stamp(outcomes['made_at'])}"
    return [*told, (f"{known}; {outcomes.get('waiting', 0):,} still wait for theirs.", False)]


def _interval(ends: list[float] | None) -> str:
    """`51 to 73`, in whole percent."""
    return "" if not ends else f"{whole(ends[0])} to {whole(ends[1])}"


# ---------------------------------------------------------------- from the test rows


def of_test(score: dict[str, Any]) -> Claims:
    """The score in the form of outcomes: "listed" is who was said to be at the threshold or up."""
    counts = [
        score.get(k) for k in ("true_positive", "false_positive", "false_negative", "true_negative")
    ]
    if None in counts:
        return {}
    hits, alarms, missed, rightly = map(int, counts)  # type: ignore[arg-type]
    left, n = hits + missed, hits + alarms + missed + rightly
    return {
        "all": {
            "n": n,
            "left": left,
            "listed": _share(hits, hits + alarms),
            "not_listed": _share(missed, missed + rightly),
            "at_random": _share(left, n),
            "hits": hits,
            "false_alarms": alarms,
            "misses": missed,
            "rightly_not_listed": rightly,
        },
        "reach": score.get("reach"),
        "calibration": score.get("calibration"),
        "brier": {
            "value": score.get("brier"),
            "base_rate": (score.get("base_rate") or {}).get("brier"),
        },
    }


def _share(left: int, n: int) -> dict[str, Any]:
    return {"n": n, "left": left, "share": left / n if n else None, "interval": wilson(left, n)}


def _basis_words(score: dict[str, Any]) -> str:
    return (
        "test data" if score.get("basis") == "test data" else "training rows, by cross-validation"
    )


def _test_lead(score: dict[str, Any]) -> list[tuple[str, bool]]:
    rows = f"{score.get('n', 0):,} rows"
    return [
        ("Until then all below is about the ", False),
        (f"{_basis_words(score)}, {rows}", True),
        (", by the deployed model: what can be expected, and not what came true.", False),
    ]


def _tested(score: dict[str, Any]) -> str:
    """What the test rows had said before any outcome was known."""
    if score.get("auc") is None:
        return ""
    area = score.get("auc_interval")
    within = f" ({100 * area[0]:.0f} to {100 * area[1]:.0f})" if area else ""
    return (
        f"On {score['n']:,} rows of the {_basis_words(score)}: of 100 pairs of a client who left "
        "and one who stayed, the one who left had the higher risk in "
        f"{100 * score['auc']:.0f}{within}. "
        f"F1 {score['f1']:.2f}."
    )


# ---------------------------------------------------------------- listed, and not listed


@dataclass(frozen=True)
class Squares:
    """One waffle: its word, what it says, the paths of the filled squares and of the others."""

    word: str
    says: str
    percent: int
    filled: str
    rest: str


def _squares(group: Claims) -> list[Squares]:
    """The two waffles; one without rows is left out."""
    if not group:
        return []
    return [
        _squares_of(word, group[key])
        for word, key in (("Listed", "listed"), ("Not listed", "not_listed"))
        if group[key]["n"]
    ]


def _squares_of(word: str, part: Claims) -> Squares:
    percent = whole(part["share"])
    within = _interval(part["interval"])
    says = f"{part['left']:,} of {part['n']:,} left, {percent} of 100 ({within})"
    return Squares(word, says, percent, *waffle_paths(percent))


def _sentences(group: Claims, *, listed: bool) -> list[tuple[str, str, str]]:
    """The confusion matrix as four sentences: (how many, what they are, what that was)."""
    if not group:
        return []
    on, off = ("listed", "not listed") if listed else ("said to leave", "said to stay")
    return [
        (f"{group['hits']:,}", f"{on} and left", "A call was worth it." if listed else "Right."),
        (
            f"{group['false_alarms']:,}",
            f"{on} and stayed",
            "A false alarm, or the call helped." if listed else "A false alarm.",
        ),
        (
            f"{group['misses']:,}",
            f"{off} and left",
            "Missed: the list is too short for all, or the risk was told too low."
            if listed
            else "Missed.",
        ),
        (
            f"{group['rightly_not_listed']:,}",
            f"{off} and stayed",
            "Rightly left alone." if listed else "Right.",
        ),
    ]


def nobody(group: Claims) -> str:
    """What saying the same of everybody would be right for: the trap of accuracy."""
    if not group or not group["n"]:
        return ""
    left = whole(group["left"] / group["n"])
    word = "nobody leaves" if left < 50 else "everybody leaves"
    return f"Saying “{word}” would be right for {max(left, 100 - left)} of 100, and of no use."


# ---------------------------------------------------------------- reach


def _reached(one: dict[str, Any]) -> dict[str, Any]:
    """One line of the reach: calling so many reaches that share of those who left."""
    random = one["at_random"]
    return {
        "share": whole(one["share"]),
        "called": f"{one['called']:,}",
        "recall": None if one["recall"] is None else whole(one["recall"]),
        "recall_interval": _interval(one["recall_interval"]),
        "random": whole(random["recall"]),
        "precision": whole(one["precision"]),
        "precision_interval": _interval(one["precision_interval"]),
    }


# ---------------------------------------------------------------- calibration


@dataclass(frozen=True)
class Bin:
    """One group of like risks: what was said, how many, how many left, the share, its interval."""

    said: int
    n: int
    left: int
    share: int
    interval: str
    touches: bool


def _calibration(found: Claims | None) -> dict[str, Any] | None:
    """Dots, the same as a table, and the answer in words; None where nothing is known."""
    if not found or not found.get("bins"):
        return None
    bins = [_bin(one) for one in found["bins"]]
    touching = sum(one.touches for one in bins)
    dots: list[Dot] = calibration_dots(found["bins"])
    return {
        "bins": bins,
        "dots": dots,
        "answer": answer(touching, len(bins)),
        "slope": slope(found.get("slope")),
        "says": f"{touching} of {len(bins)} intervals touch the diagonal",
    }


def _bin(one: dict[str, Any]) -> Bin:
    low, high = one["interval"]
    left = round(one["left"] * one["n"])
    return Bin(
        whole(one["risk"]),
        one["n"],
        left,
        whole(one["left"]),
        _interval(one["interval"]),
        low <= one["risk"] <= high,
    )


def answer(touching: int, groups: int) -> str:
    """Chance alone lets one in twenty intervals miss."""
    if touching == groups:
        return f"Yes: all {groups} intervals touch the diagonal."
    if touching >= 0.8 * groups:
        return f"Mostly: {touching} of {groups} intervals touch the diagonal."
    return f"No: only {touching} of {groups} intervals touch the diagonal."


def slope(found: Claims | None) -> str:
    """Whether risks lie too near to 0 and 1, or too near to the average."""
    if not found:
        return ""
    low, high = found["interval"]
    told = f"slope {found['value']:.2f} ({low:.2f} to {high:.2f}; 1 is right)"
    if high < 1:
        return f"Risks are too extreme: {told}."
    if low > 1:
        return f"Risks are too near to the average: {told}."
    return f"Neither too extreme nor too near to the average: {told}."


def _brier(found: Claims | None) -> str:
    """The mean squared error beside that of telling everybody the average."""
    if not found or found.get("value") is None or found.get("base_rate") is None:
        return ""
    return (
        f"Mean squared error (Brier) {found['value']:.3f}; saying the average of everybody: "
        f"{found['base_rate']:.3f}."
    )


# ---------------------------------------------------------------- where we were wrong


def _wrong(outcomes: Claims, today: date) -> list[dict[str, Any]]:
    """The last misses and the last false alarms by name."""
    group = outcomes["all"]
    return [
        {
            "title": "Left, and not on the list",
            "of": group["misses"],
            "names": [_named(one, today) for one in outcomes["misses"][:SHOWN_NAMES]],
        },
        {
            "title": "Listed, and stayed",
            "of": group["false_alarms"],
            "names": [_named(one, today) for one in outcomes["false_alarms"][:SHOWN_NAMES]],
        },
    ]


def _named(one: dict[str, Any], today: date) -> dict[str, Any]:
    when = one["date"] or one["said_at"]
    return {
        "client": one["client"],
        "when": day(when, today),
        "said": f"{whole(one['risk'])} %",
        "rank": f"{one['rank']:,} of {one['of']:,}",
        "called": "contacted" if one["contacted"] else "not contacted",
    }


# ---------------------------------------------------------------- does calling help


def calls(outcomes: Claims) -> dict[str, Any]:
    """Those of the list who were contacted beside those who were not, and what that cannot say."""
    parts = [
        (word, (outcomes.get(key) or {}).get("listed") or {"n": 0})
        for word, key in (("contacted", "contacted"), ("not contacted", "not_contacted"))
    ]
    lines = [_called(word, part) for word, part in parts if part["n"]]
    caveat = outcomes.get("caveat") or ""
    note = f"{caveat[:1].upper()}{caveat[1:]}. {CAVEAT}" if caveat else CAVEAT
    return {
        "lines": lines,
        "answer": _told_apart([part for _, part in parts]),
        "note": note,
        "n": sum(part["n"] for _, part in parts),
    }


def _called(word: str, part: dict[str, Any]) -> dict[str, Any]:
    low, high = part["interval"]
    return {
        "word": word,
        "count": f"{part['left']:,} of {part['n']:,}",
        "share": whole(part["share"]),
        "low": whole(low),
        "high": whole(high),
        "interval": _interval(part["interval"]),
    }


def _told_apart(parts: list[dict[str, Any]]) -> str:
    """One sentence: whether there is a difference that chance does not explain."""
    first, second = parts
    if not first["n"]:
        return "We cannot tell: nobody on the list was noted as contacted before the outcome came."
    if not second["n"]:
        return "We cannot tell: everybody on the list was contacted."
    (low, high), (least, most) = first["interval"], second["interval"]
    if high >= least and most >= low:
        return "We cannot tell: the two intervals overlap."
    fewer = "fewer" if first["share"] < second["share"] else "more"
    return f"Of those who were contacted {fewer} left. That need not be the call’s doing."

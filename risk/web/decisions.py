"""The page Decisions: every look that had something to decide, what was behind it, releases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from risk.config import PipelineError
from risk.data.schema import printable
from risk.decide.decision import (
    BY_HAND,
    FAULT,
    NONE,
    RECALIBRATE,
    REVERT,
    ROLL_BACK,
    ChallengerEvidence,
    action_word,
    leading,
)
from risk.record import history
from risk.record.history import Entry
from risk.releases import Release, current_version, kept_releases, read_deployment
from risk.web import notices
from risk.web.context import PageContext
from risk.web.evidence_svg import (
    EvidenceChart,
    EvidencePoint,
    EvidenceScale,
    evidence_chart,
    evidence_scale,
)
from risk.web.notices import Notice
from risk.web.problem import Problem
from risk.words import age, counted, evidence_number, stamp

PER_PAGE, NEAR = 50, 0.3
QUIET = ("keep", "wait")
GONE_BACK = ("rollback by hand", ROLL_BACK, REVERT)
SHAPES = {  # the sign beside the word, where it is not that of a deployment
    "rollback by hand": "back",
    ROLL_BACK: "back",
    REVERT: "back",
    RECALIBRATE: "keep",
    "release hold": "hand",
}


def view(context: PageContext, args: Mapping[str, str]) -> dict[str, Any]:
    """All that decisions.html lays out."""
    page = _asked(args)
    try:
        found = history.count_entries(context.config)
        page = min(page, max(-(-found // PER_PAGE), 1))
        kept = history.entries(context.config, PER_PAGE + 1, PER_PAGE * (page - 1))
        last = history.last_decision(context.config)
        damage: Notice | None = None
    except PipelineError as error:
        found, page, kept, last = 0, 1, [], None
        damage = _damaged(context, error)
    looks = looks_of(kept, _files_by_tick(context), context.now)
    return {
        "heading": _heading(context, last, found, damage),
        "last": _about_last(last, context.now) if last else None,
        "banners": _banners(context, damage, found),
        "items": grouped(looks[:PER_PAGE], page == 1),
        "found": found,
        "shown": min(len(looks), PER_PAGE),
        "first": PER_PAGE * (page - 1) + 1,
        "page": page,
        "page_count": max(-(-found // PER_PAGE), 1),
        "chart": charted(kept[-PER_PAGE:], context.now.date()),
        "chart_words": _chart_words(kept),
        "rule": RULES.get(kept[-1].policy if kept else context.config.policy, ""),
        "releases": _released(context, kept),
        "former": read_deployment(context.config).former,
    }


RULES = {
    "fast": "A challenger takes over when its line reaches the threshold. Rings are of one "
    "evaluation’s rows alone: a model of just these rows, or a former one, with a threshold of "
    "its own.",
    "certified": "After each promotion the next threshold is higher: however often we look, a "
    "model that is no worse is replaced with a chance of at most 5 %.",
}


def _asked(args: Mapping[str, str]) -> int:
    """The page that the address asks for; Problem 400 names what it does not know."""
    for name in args:
        if name != "page":
            raise Problem(
                400, "bad_parameter", f"{printable(name)!r} is unknown here", "the page knows page"
            )
    text = args.get("page") or "1"
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise Problem(
            400,
            "bad_parameter",
            f"page is {printable(text)!r}",
            "give a whole number of at least 1",
        )
    return int(text)


# ---------------------------------------------------------------- the answer


def _heading(context: PageContext, last: Entry | None, found: int, damage: Notice | None) -> str:
    """What is deployed, and whether that is about to change."""
    version = current_version(context.config)
    if damage:
        return damage.what
    if last is None or version is None:
        return "No decision yet" if version is None else f"Model {version} was deployed by hand"
    deployment = read_deployment(context.config)
    if deployment.paused:
        why = "by hand" if deployment.by_hand else "by a data fault"
        return f"Model {version} is held {why}"
    if last.after == version and last.before != version:
        return last.sentence
    lead = leading(last.evidence)
    if lead is None:
        return f"Model {version} stays"
    if lead.e_value >= NEAR * lead.threshold:
        return f"Model {version} stays, and {_named(lead)} is near its threshold"
    return f"Model {version} stays: no challenger is near its threshold"


def _about_last(last: Entry, now: datetime) -> dict[str, str]:
    """When the last look was, and what it said, in words."""
    lead = leading(last.evidence)
    told = ""
    if lead:
        told = f"Nearest to its threshold is {_named(lead)}: its e-value is "
        told += f"{evidence_number(lead.e_value)}, and it takes "
        told += f"{evidence_number(lead.threshold)}."
    return {
        "when": stamp(last.at),
        "age": age(last.at, now),
        "lead": told,
        "needed": needed(lead) if lead else "",
    }


def _named(one: ChallengerEvidence) -> str:
    """The challenger's name in a sentence."""
    return "the challenger" if one.name == "challenger" else f"“{printable(one.name)}”"


def needed(one: ChallengerEvidence) -> str:
    """How many more rows with outcomes it would take, with the spread of that guess."""
    if one.is_reached:
        return "The threshold is reached."
    if one.alone:
        return "By the rows of this evaluation alone."
    rows = one.rows_needed
    if rows is None:
        return "There is no evidence for it so far."
    return (
        f"At this pace that is about {_roughly(rows)} more rows with outcomes "
        f"({_roughly(rows / 2.5)} to {_roughly(2.5 * rows)})."
    )


def _roughly(number: float) -> str:
    """Two digits of it: the guess has no more."""
    least = 10 ** max(len(f"{number:.0f}") - 2, 0)
    return f"{round(number / least) * least:,}"


def _damaged(context: PageContext, error: PipelineError) -> Notice:
    why = str(error).replace(f"{context.config.root}/", "").partition("; ")[0]
    return notices.history_damaged(context.config.shown(context.config.history), why)


def _banners(context: PageContext, damage: Notice | None, found: int) -> list[Notice]:
    """What holds the deployed model or hides its past."""
    told = [damage] if damage else [] if found else [notices.no_decision()]
    return [*told, *held(context)]


def held(context: PageContext) -> list[Notice]:
    """The hold, by hand or by a data fault, with what ends it."""
    deployment = read_deployment(context.config)
    if deployment.by_hand:
        return [notices.paused_by_hand(deployment.current, f"on {stamp(deployment.at)}")]
    if not deployment.paused:
        return []
    faults = context.file(context.config.decision).get("details", {}).get("faults") or [{}]
    sentence = faults[0].get("sentence") or "the newest file cannot be what it says"
    return [notices.paused_by_fault(sentence.rstrip("."), faults[0].get("file") or "FILE")]


# ---------------------------------------------------------------- the log


@dataclass(frozen=True)
class Look:
    """One look as the log shows it."""

    at: str
    age: str
    word: str
    shape: str
    alert: bool
    change: str
    reason: str
    own: str
    limit: str
    lead: str
    scale: EvidenceScale | None
    over: bool
    rows: int
    exits: int
    evidence: list[dict[str, str]]
    guards: list[str]
    model_digest: str
    files: list[tuple[str, str]]
    quiet: bool


def _sentence(text: str) -> str:
    """With a capital at its beginning; what begins with a column's name stays as it is."""
    return f"{text[:1].upper()}{text[1:]}"


def _files_by_tick(context: PageContext) -> dict[int, list[tuple[str, str]]]:
    """Tick -> (file, the beginning of its digest) of the files that the store took in then."""
    found: dict[int, list[tuple[str, str]]] = {}
    for name, entry in sorted(context.file(context.config.store_state).get("files", {}).items()):
        found.setdefault(entry["data_version"], []).append((printable(name), entry["sha256"][:8]))
    return found


def looks_of(
    kept: Sequence[Entry], files: dict[int, list[tuple[str, str]]], now: datetime
) -> list[Look]:
    """The entries, oldest first, as looks, newest first, with the files since the one before."""
    widest = max((one.threshold for e in kept for one in e.evidence), default=10.0)
    ticks = [0, *(entry.data_version for entry in kept)]
    return [
        _look(
            entry,
            [
                one
                for data_version in range(before + 1, entry.data_version + 1)
                for one in files.get(data_version, [])
            ],
            widest,
            now,
        )
        for entry, before in zip(kept, ticks, strict=False)
    ][::-1]


def _look(entry: Entry, files: list[tuple[str, str]], widest: float, now: datetime) -> Look:
    lead, shape = leading(entry.evidence), shape_of(entry)
    return Look(
        at=stamp(entry.at),
        age=age(entry.at, now),
        word=entry.word,
        shape=shape,
        alert=shape in ("back", "held"),
        change=change_of(entry),
        reason=_sentence(entry.why) if entry.verdict != FAULT else entry.why,
        own=evidence_number(lead.e_value) if lead else "",
        limit=evidence_number(lead.threshold) if lead else "",
        lead=printable(lead.name) if lead else "",
        scale=evidence_scale(lead.e_value, lead.threshold, widest) if lead else None,
        over=bool(lead and lead.is_reached),
        rows=entry.rows,
        exits=entry.exits,
        evidence=[_challenger(one) for one in entry.evidence],
        guards=_guards(entry.details.get("guards")),
        model_digest=str(entry.details.get("champion_sha256") or "")[:8],
        files=files,
        quiet=entry.verdict in QUIET and entry.before == entry.after,
    )


def shape_of(entry: Entry) -> str:
    """The sign beside the word."""
    if entry.verdict == FAULT:
        return "held"
    if entry.action in SHAPES:
        return SHAPES[entry.action]
    if entry.verdict == BY_HAND:
        return "hand"
    return entry.verdict if entry.action == NONE else "deploy"


def change_of(entry: Entry) -> str:
    """`2 → 3`, `3 stays`, `3 is held`."""
    if entry.after is None or entry.before == entry.after or entry.action == "release hold":
        version = entry.after or entry.before
        return f"{version} stays" if version else "no model"
    if entry.before is None:
        return f"model {entry.after}"
    return f"{entry.before} → {entry.after}"


def _challenger(one: ChallengerEvidence) -> dict[str, str]:
    return {
        "name": printable(one.name),
        "own": evidence_number(one.e_value),
        "limit": evidence_number(one.threshold),
        "brier": _brier(one.brier),
        "served": _brier(one.brier_deployed),
        "needed": needed(one),
    }


def _brier(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _guards(guards: Any) -> list[str]:
    if isinstance(guards, dict):
        guards = [f"{name}: {text}" for name, text in guards.items()]
    return [printable(str(text)) for text in guards or ()]


def grouped(looks: list[Look], newest: bool) -> list[Look | list[Look]]:
    """The looks, with those that changed nothing gathered where two or more follow one another.

    newest: the first of them is the very last look, which always stands alone.
    """
    found: list[Look | list[Look]] = []
    for at, look in enumerate(looks):
        if not look.quiet or (newest and at == 0):
            found.append(look)
        elif found and isinstance(found[-1], list):
            found[-1].append(look)
        else:
            found.append([look])
    return [one[0] if isinstance(one, list) and len(one) == 1 else one for one in found]


# ---------------------------------------------------------------- the chart


def charted(kept: Sequence[Entry], today: date) -> EvidenceChart | None:
    """The evidence of these looks, oldest first; looks without any are left out."""
    return evidence_chart(
        [
            EvidencePoint(
                stamp(entry.at, today).rpartition(" ")[0].rpartition(" ")[0],
                _points(entry, alone=False),
                _points(entry, alone=True),
                _mark(entry),
            )
            for entry in kept
            if entry.evidence or _mark(entry)
        ]
    )


def _points(entry: Entry, *, alone: bool) -> dict[str, tuple[float, float]]:
    """Name -> (e-value, threshold), of all rows since the last deployment or of these alone."""
    return {
        printable(one.name): (one.e_value, one.threshold)
        for one in entry.evidence
        if one.alone is alone
    }


def _mark(entry: Entry) -> str:
    """Words where the evidence began anew, "" where it goes on: also over a recalibration."""
    if entry.action == "release hold":
        return "hold released"
    if entry.action in (RECALIBRATE, NONE) or entry.after is None:
        return ""
    older = entry.before is not None and entry.after < entry.before
    return f"back to {entry.after}" if older else f"model {entry.after}"


def _chart_words(kept: Sequence[Entry]) -> str:
    """What the chart shows, for who cannot see it."""
    judged = [entry for entry in kept if entry.evidence]
    if not judged:
        return ""
    lead = leading(judged[-1].evidence)
    assert lead
    changes = sum(entry.before != entry.after for entry in judged)
    return (
        f"Evidence on a log axis over {counted(len(judged), 'look')}, {changes} of which changed "
        f"the model. The last one’s best stands at {evidence_number(lead.e_value)} of "
        f"{evidence_number(lead.threshold)}"
    )


# ---------------------------------------------------------------- releases


def _released(context: PageContext, kept: Sequence[Entry]) -> list[dict[str, str]]:
    """The kept releases, newest first."""
    current, past = current_version(context.config), read_deployment(context.config).former
    why = {
        entry.after: entry.word
        for entry in kept
        if entry.after != entry.before and entry.action not in GONE_BACK
    }
    undone = {e.before for e in kept if e.action in GONE_BACK}
    lines = []
    for release in reversed(_kept_releases(context)):
        m, version = release.manifest, release.version
        state = (
            "served"
            if version == current
            else "former"
            if version == past
            else "taken back"
            if version in undone
            else "replaced"
        )
        lines.append(
            {
                "version": str(version),
                "at": stamp(m["deployed_at"]),
                "state": state,
                "why": why.get(version) or action_word(m.get("action") or "") or "–",
                "rows": f"{m['rows']:,}",
                "f1": f"{m['f1']:.3f}",
                "digest": m["files"]["model.json"][:8],
                "data": m["files"]["finaldata.csv"][:8],
            }
        )
    return lines


def _kept_releases(context: PageContext) -> list[Release]:
    """The kept releases, oldest first; they change when the deployment does."""
    return context.made(
        "releases",
        context.config.production_folder / "releases",
        lambda: kept_releases(context.config),
    )

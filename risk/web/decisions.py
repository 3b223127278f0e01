"""The page Decisions: every evaluation with something to decide, what was behind it, releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from risk.config import PipelineError
from risk.data.schema import printable
from risk.decide import decision
from risk.decide.decision import ChallengerEvidence, leading
from risk.record import history
from risk.record.history import Entry
from risk.releases import Deployment, Release, kept_releases, read_deployment
from risk.web import evidence_svg, notices
from risk.web.context import PageContext
from risk.web.evidence_svg import EvidencePoint, evidence_chart
from risk.web.notices import Notice
from risk.web.problem import refuse_unknown_names, whole_number
from risk.words import age, amount, as_sentence, evidence_number, stamp

PER_PAGE = 50
NEAR = 0.3  # of the threshold: from here on the heading says that a change is near
QUIET = ("keep", "wait")
GONE_BACK = ("rollback by hand", decision.ROLL_BACK, decision.REVERT)
SHAPES = {  # the sign beside the word, where it is not that of a deployment
    "rollback by hand": "back",
    decision.ROLL_BACK: "back",
    decision.REVERT: "back",
    decision.RECALIBRATE: "keep",
    "release hold": "hand",
}
RULES = {
    "fast": "A challenger takes over when its line reaches the threshold. Rings are of one "
    "evaluation’s rows alone: a model of just these rows, or a former one, with a threshold of "
    "its own.",
    "certified": "After each promotion the next threshold is higher: however often we look, a "
    "model that is no worse is replaced with a chance of at most 5 %.",
}


@dataclass(frozen=True)
class ChallengerLine:
    """What the rows said for one challenger, as the log shows it."""

    name: str
    e_value: str
    threshold: str
    brier: str
    brier_deployed: str
    needed: str


@dataclass(frozen=True)
class EvaluationLine:
    """One evaluation as the log shows it.

    shape: of the sign beside the word. leader, e_value, threshold, scale: of the challenger that is
    nearest to its threshold; over: whether it reached it. files: (name, digest) of those taken in
    since the evaluation before. quiet: nothing was changed.
    """

    at: str
    age: str
    word: str
    shape: str
    alert: bool
    change: str
    reason: str
    plain: str
    leader: str
    e_value: str
    threshold: str
    scale: evidence_svg.EvidenceScale | None
    over: bool
    rows: int
    exits: int
    evidence: list[ChallengerLine]
    guards: list[str]
    model_digest: str
    files: list[tuple[str, str]]
    quiet: bool


@dataclass(frozen=True)
class Decisions:
    """All that decisions.html lays out.

    last: when the last evaluation was, who is nearest to a change, and what that still takes.
    groups: the evaluations of this page, newest first; several in one group changed nothing.
    found: how many there are in all; first, shown: place of the first one here, and how many.
    rule: what the policy promises. former: the version that a rollback goes back to.
    """

    heading: str
    last: dict[str, str] | None
    banners: list[Notice]
    groups: list[list[EvaluationLine]]
    found: int
    first: int
    shown: int
    page: int
    page_count: int
    chart: evidence_svg.EvidenceChart | None
    chart_words: str
    rule: str
    releases: list[dict[str, str]]
    former: int | None


def view(context: PageContext, args: Mapping[str, str]) -> dict[str, Any]:
    refuse_unknown_names(args, ("page",))
    return vars(decisions_of(context, whole_number(args, "page", 1) if args.get("page") else 1))


def decisions_of(context: PageContext, page: int) -> Decisions:
    """The page of that number, or the last one; a damaged history hides nothing but itself."""
    config, now, deployment = context.config, context.now, read_deployment(context.config)
    damage: list[Notice] = []
    try:
        found = history.count_entries(config)
        page_count = max(-(-found // PER_PAGE), 1)
        page = min(page, page_count)  # an old link past the end shows the last page
        # One more than is shown: the files of the oldest are those since the one before it.
        kept = history.entries(config, PER_PAGE + 1, PER_PAGE * (page - 1))
        last = history.last_decision(config)
    except PipelineError as error:
        found, page, page_count, kept, last = 0, 1, 1, [], None
        why = as_sentence(str(error).replace(f"{config.root}/", "").partition("; ")[0])
        damage = [notices.HISTORY_DAMAGED.of(path=config.shown(config.history), why=why)]
    lines = log_lines(kept, _files_by_data_version(context), now)[:PER_PAGE]
    none_yet = [] if found or damage else [notices.NO_DECISION]
    return Decisions(
        heading=damage[0].what if damage else _deployed_sentence(deployment, last),
        last=_last_evaluation(last, now) if last else None,
        banners=[*damage, *none_yet, *pause_notices(context)],
        groups=groups_of(lines, page == 1),
        found=found,
        first=PER_PAGE * (page - 1) + 1,
        shown=len(lines),
        page=page,
        page_count=page_count,
        # Without the entry before this page, which is there for its files alone.
        chart=chart_of(kept[-PER_PAGE:], now.date()),
        chart_words=_chart_words(kept),
        rule=RULES.get(kept[-1].policy if kept else config.policy, ""),
        releases=_release_lines(context, deployment, kept),
        former=deployment.former,
    )


def _deployed_sentence(deployment: Deployment, last: Entry | None) -> str:
    """What is deployed, and whether that is about to change."""
    version = deployment.current
    if last is None or version is None:
        return "No decision yet" if version is None else f"Model {version} was deployed by hand"
    if deployment.paused:
        who = "hand" if deployment.by_hand else "a data quality issue"
        return f"Model {version} is paused by {who}"
    if last.after == version and last.before != version:
        return last.sentence
    leader = leading(last.evidence)
    if leader is None:
        return f"Model {version} stays"
    if leader.e_value >= NEAR * leader.threshold:
        return f"Model {version} stays, and another is close to replacing it"
    return last.sentence


def _last_evaluation(last: Entry, now: datetime) -> dict[str, str]:
    found = {"when": stamp(last.at), "age": age(last.at, now), "leader": "", "needed": ""}
    leader = leading(last.evidence)
    if leader:
        found["needed"] = still_needed(leader)
        found["leader"] = (
            f"Nearest to its threshold is {_named(leader)}: its e-value is "
            f"{evidence_number(leader.e_value)}, and it takes {evidence_number(leader.threshold)}."
        )
    return found


def _named(one: ChallengerEvidence) -> str:
    """The challenger's name in a sentence."""
    return "the challenger" if one.name == "challenger" else f"“{printable(one.name)}”"


def still_needed(one: ChallengerEvidence) -> str:
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
        # The same spread as the reasons of risk/decide/judgement.py give.
        f"({_roughly(rows / 2.5)} to {_roughly(2.5 * rows)})."
    )


def _roughly(number: float) -> str:
    """Two digits of it: the guess has no more."""
    least = 10 ** max(len(f"{number:.0f}") - 2, 0)
    return f"{round(number / least) * least:,}"


def pause_notices(context: PageContext) -> list[Notice]:
    """What pauses redeploying, by hand or by a data quality issue, with what ends it."""
    deployment = read_deployment(context.config)
    if deployment.by_hand:
        since = f"on {stamp(deployment.at)}"
        return [notices.PAUSED_BY_HAND.of(version=deployment.current, since=since)]
    if not deployment.paused:
        return []
    faults = context.file(context.config.decision).get("details", {}).get("issues") or [{}]
    sentence = faults[0].get("sentence") or "the newest file cannot be what it says"
    file = faults[0].get("file") or "FILE"
    return [notices.PAUSED_BY_ISSUE.of(sentence=sentence.rstrip("."), file=file)]


def _files_by_data_version(context: PageContext) -> dict[int, list[tuple[str, str]]]:
    """(file, the beginning of its digest) of the files that the store took in at each version."""
    found: dict[int, list[tuple[str, str]]] = {}
    for name, entry in sorted(context.file(context.config.store_state).get("files", {}).items()):
        found.setdefault(entry["data_version"], []).append((printable(name), entry["sha256"][:8]))
    return found


def log_lines(
    kept: Sequence[Entry], files: dict[int, list[tuple[str, str]]], now: datetime
) -> list[EvaluationLine]:
    """The entries, oldest first, as lines, newest first, with the files since the one before."""
    # One scale for all rows of the page, so that strokes can be compared down the column.
    widest = max((one.threshold for e in kept for one in e.evidence), default=10.0)
    found, before = [], 0
    for entry in kept:
        versions = range(before + 1, entry.data_version + 1)
        own = [file for version in versions for file in files.get(version, [])]
        found.append(_evaluation_line(entry, own, widest, now))
        before = entry.data_version
    return found[::-1]


def _evaluation_line(
    entry: Entry, files: list[tuple[str, str]], widest: float, now: datetime
) -> EvaluationLine:
    leader, shape, why = leading(entry.evidence), shape_of(entry), entry.why
    return EvaluationLine(
        at=stamp(entry.at),
        age=age(entry.at, now),
        word=entry.word,
        shape=shape,
        alert=shape in ("back", "paused"),
        change=change_of(entry),
        # A fault's sentence begins with a column's name, which stays as it is.
        reason=why if entry.verdict == decision.DATA_ISSUE else f"{why[:1].upper()}{why[1:]}",
        plain=f"{entry.sentence}.",
        leader=printable(leader.name) if leader else "",
        e_value=evidence_number(leader.e_value) if leader else "",
        threshold=evidence_number(leader.threshold) if leader else "",
        scale=evidence_svg.evidence_scale(leader.e_value, leader.threshold, widest)
        if leader
        else None,
        over=bool(leader and leader.is_reached),
        rows=entry.rows,
        exits=entry.exits,
        evidence=[
            ChallengerLine(
                name=printable(one.name),
                e_value=evidence_number(one.e_value),
                threshold=evidence_number(one.threshold),
                brier=_brier(one.brier),
                brier_deployed=_brier(one.brier_deployed),
                needed=still_needed(one),
            )
            for one in entry.evidence
        ],
        guards=[printable(text) for text in entry.details.get("guards") or ()],
        model_digest=str(entry.details.get("champion_sha256") or "")[:8],
        files=files,
        quiet=entry.verdict in QUIET and entry.before == entry.after,
    )


def shape_of(entry: Entry) -> str:
    """The sign beside the word."""
    if entry.verdict == decision.DATA_ISSUE:
        return "paused"
    if entry.action in SHAPES:
        return SHAPES[entry.action]
    if entry.verdict == decision.BY_HAND:
        return "hand"
    return entry.verdict if entry.action == decision.NONE else "deploy"


def change_of(entry: Entry) -> str:
    """`2 → 3`, `3 stays`, `3 is paused`."""
    if entry.after is None or entry.before == entry.after or entry.action == "release hold":
        version = entry.after or entry.before
        return f"{version} stays" if version else "no model"
    if entry.before is None:
        return f"model {entry.after}"
    return f"{entry.before} → {entry.after}"


def _brier(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def groups_of(lines: list[EvaluationLine], newest: bool) -> list[list[EvaluationLine]]:
    """The lines one by one, with those that changed nothing gathered where they follow one another.

    newest: the first of them is the very last evaluation, which always stands alone.
    """
    found: list[list[EvaluationLine]] = []
    for at, line in enumerate(lines):
        alone = not line.quiet or (newest and at == 0)
        if not alone and at > int(newest) and found[-1][-1].quiet:
            found[-1].append(line)
        else:
            found.append([line])
    return found


def chart_of(kept: Sequence[Entry], today: date) -> evidence_svg.EvidenceChart | None:
    """The evidence of these entries, oldest first; those without any are left out."""
    points = []
    for entry in kept:
        mark = _mark(entry)
        if entry.evidence or mark:
            when = stamp(entry.at, today).rpartition(" ")[0].rpartition(" ")[0]  # its day alone
            since, alone = (
                {
                    printable(o.name): (o.e_value, o.threshold)
                    for o in entry.evidence
                    if o.alone is own
                }
                for own in (False, True)
            )
            points.append(EvidencePoint(when, since, alone, mark))
    return evidence_chart(points)


def _mark(entry: Entry) -> str:
    """Words where the evidence began anew, "" where it goes on: also over a recalibration."""
    if entry.action == "release hold":
        return "hold released"
    if entry.action in (decision.RECALIBRATE, decision.NONE) or entry.after is None:
        return ""
    older = entry.before is not None and entry.after < entry.before
    return f"back to {entry.after}" if older else f"model {entry.after}"


def _chart_words(kept: Sequence[Entry]) -> str:
    """What the chart shows, for who cannot see it."""
    judged = [entry for entry in kept if entry.evidence]
    if not judged:
        return ""
    leader = leading(judged[-1].evidence)
    assert leader
    changes = sum(entry.before != entry.after for entry in judged)
    return (
        f"Evidence on a log axis over {amount(len(judged), 'evaluation')}, {changes} of which "
        f"changed the model. The last one’s best stands at {evidence_number(leader.e_value)} of "
        f"{evidence_number(leader.threshold)}"
    )


def _release_lines(
    context: PageContext, deployment: Deployment, kept: Sequence[Entry]
) -> list[dict[str, str]]:
    """The kept releases, newest first: what each is of, why it was deployed, what it is now."""
    config = context.config
    # They change when the deployment does.
    every: list[Release] = context.made(
        "releases", config.production_folder / "releases", lambda: kept_releases(config)
    )
    why = {
        entry.after: entry.word
        for entry in kept
        if entry.after != entry.before and entry.action not in GONE_BACK
    }
    states = {entry.before: "taken back" for entry in kept if entry.action in GONE_BACK}
    # Last, since a version that was taken back may be deployed again.
    states |= {deployment.former: "former", deployment.current: "deployed"}
    return [
        {
            "version": str(release.version),
            "at": stamp(m["deployed_at"]),
            "why": why.get(release.version) or decision.action_word(m.get("action") or "") or "–",
            "rows": f"{m['rows']:,}",
            "f1": f"{m['f1']:.3f}",
            "state": states.get(release.version, "replaced"),
            "model_digest": m["files"]["model.json"][:8],
            "data_digest": m["files"]["finaldata.csv"][:8],
        }
        for release in reversed(every)
        for m in [release.manifest]
    ]

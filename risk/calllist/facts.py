"""What is told of the list, the lists before it and the score: each fact in one way, for everybody.

The pages, report.html and report.pdf, the digest, the summary and the scripts take their numbers
and sentences from here, so that no two of them can differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from risk.calllist.policy import NO_RANKING
from risk.calllist.types import LOW, RAISED_BAND, UNKNOWN, Band, CallList, Expected, ListedClient
from risk.record.outcomes import Outcomes
from risk.words import amount, as_sentence, day, enumeration, in_percent, percents

BECAME = {
    "left": "left",
    "stayed": "stayed",
    "open": "passed by others",
    "gone": "in no file any more",
}
CONTACT_STATES = ("open", "contacted", "snoozed", "not at risk", "left")
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Fact:
    """One of the numbers on top: what it is, the number, and what it is made of."""

    name: str
    value: str
    note: str


def headline(listing: CallList) -> str:
    """`12 of 120 clients to call`."""
    of, called = amount(len(listing.clients), "client"), listing.called
    return f"{len(called):,} of {of} to call" if called else f"Nobody to call of {of}"


def cannot_rank(listing: CallList) -> bool:
    """Whether nobody is called since the model tells nobody who leaves."""
    return not listing.called and listing.cut.how.startswith(NO_RANKING)


def list_facts(
    listing: CallList, clients: Sequence[ListedClient] = (), today: date | None = None
) -> list[Fact]:
    """The numbers on top. clients: the list's with their contacts of now, where those are known."""
    bands, capacity = listing.bands, listing.cut.capacity
    spread = enumeration([f"{bands[b]:,} {b}" for b in (RAISED_BAND, LOW, UNKNOWN) if bands[b]])
    beside = f"beside the list {spread}" if spread else ""
    states = Counter(client.contact_state for client in clients or listing.called if client.call)
    words = ", ".join(f"{states[state]:,} {state}" for state in CONTACT_STATES if states[state])
    note = "; ".join(filter(None, [words, f"capacity {capacity:,}" if capacity else ""]))
    return [
        Fact("On the call list", f"{len(listing.called):,}", note),
        *_change_facts(listing, today),
        _expected_fact(listing),
        Fact("Average client’s risk", f"{in_percent(listing.average_risk)} %", beside),
    ]


def _change_facts(listing: CallList, today: date | None) -> list[Fact]:
    """New on the call list, and who of those called then left; or why that is not known yet."""
    if not listing.since:
        first = "the first list: changes appear from the second on"
        return [Fact("New on the list", "–", first), Fact("Left", "–", "known from the second on")]
    since, became = day(listing.since, today), _became(listing)
    rest = enumeration([f"{n:,} {BECAME[key]}" for key, n in became.items() if n and key != "left"])
    off = amount(len(listing.off), "client")
    called = "of those called then"
    return [
        Fact(f"New since {since}", f"{len(listing.new):,}", f"{off} off the list"),
        Fact(f"Left since {since}", f"{became['left']:,}", f"{called}; {rest}" if rest else called),
    ]


def _became(listing: CallList) -> dict[str, int]:
    found = Counter(one.became for one in listing.off)
    return {key: found[key] for key in BECAME}


def changes_words(listing: CallList, today: date | None = None) -> str:
    """`since 24 Nov: 3 new on the call list, 4 off it: 1 left and 3 stayed`, "" at first."""
    if not listing.since:
        return ""
    became = enumeration([f"{n:,} {BECAME[key]}" for key, n in _became(listing).items() if n])
    off = f"{len(listing.off):,} off it" + (f": {became}" if became else "")
    return f"since {day(listing.since, today)}: {len(listing.new):,} new on the call list, {off}"


def _expected_fact(listing: CallList) -> Fact:
    expected, cut = listing.expected, listing.cut
    if expected is None and listing.called:  # a part of the list
        return Fact("Expected to leave", "–", "known of all owners’ calls together")
    if not (expected and expected.called):
        return Fact("Expected to leave", "–", "nobody is called")
    note = f"95 % {_ends(expected.found)}; {_by_lot(expected)}"
    if cut.expected_profit is not None:
        note += f"; expected profit {cut.expected_profit:,.0f}"
    value = f"{expected.found.value:,.0f} of {expected.called:,}"
    return Fact("Expected to leave", value, note)


def _by_lot(expected: Expected) -> str:
    """How many of as many clients drawn by lot leave, by the same risks and the same line."""
    # By the calibrated risks, like the number beside it: the plain mean of the risks would favour
    # whichever of both the calibration moves.
    share = expected.called / expected.n
    return f"of as many picked at random {expected.exits.value * share:,.0f}"


def _ends(band: Band, digits: str = ",.0f") -> str:
    return f"{band.low:{digits}} to {band.high:{digits}}"


def expected_words(found: Expected) -> str:
    """What to expect for a person, and what speaks against it; kept as the list's sentence."""
    exits = f"{found.exits.value:,.0f} ({_ends(found.exits)})"
    if found.called:
        first = (
            f"of the {found.called:,} called, {found.found.value:,.0f} are expected to leave "
            f"({_ends(found.found)}), {_by_lot(found)}, of all {found.n:,} clients {exits}"
        )
    else:
        first = f"nobody is called; of {found.n:,} clients {exits} are expected to leave"
    of_calls = {"precision": found.precision, "recall": found.recall, "F1": found.f1}
    of_risks = {"AUC": found.auc, "Brier": found.brier}
    measures = [
        f"{name} {band.value:.3f} ({_ends(band, '.3f')})"
        for name, band in ((of_calls if found.called else {}) | of_risks).items()
        if band
    ]
    words = f"{first}; expected before any label is known (95 %): {', '.join(measures)}"
    return f"{words}. Not to be relied on: {'; '.join(found.caveats)}" if found.caveats else words


def expected_short(found: Expected) -> str:
    """`About 14 of the 45 called are expected to leave (6 to 23).`, "" where nobody is called."""
    if not found.called:
        return ""
    leave = found.found
    return (
        f"About {leave.value:,.0f} of the {found.called:,} called are expected to leave "
        f"({_ends(leave)})."
    )


def trust_sentence(listing: CallList | None, outcomes: Outcomes, score: Json | None) -> str:
    """How far to trust the list, for whoever has to call: by outcomes of lists, before there are
    enough by the test rows, or by the months before."""
    if listing is None or not listing.called:
        return ""
    if outcomes["enough"]:
        return outcomes_sentence(outcomes)
    gains: Json | None = listing.cut.cumulative_gains
    if gains is None and score and score.get("cumulative_gains"):
        share = listing.cut.called / listing.cut.of
        gains = min(score["cumulative_gains"], key=lambda one: abs(one["share"] - share))
    if gains is None:
        return ""
    return (
        f"Of 100 called like this {in_percent(gains['precision'])} left, of 100 picked at random "
        f"{in_percent(gains['at_random']['precision'])}."
    )


def gains_words(gains: Json) -> str:
    """What calls like these reached among the labelled test clients."""
    words = (
        f"of 100 test clients called like this, {in_percent(gains['precision'])} left "
        f"({percents(gains['precision_interval'])}); of 100 picked at random, "
        f"{in_percent(gains['at_random']['precision'])}"
    )
    if gains["recall"] is None:
        return words
    return (
        f"{words}; of 100 who left, {in_percent(gains['recall'])} were called "
        f"({percents(gains['recall_interval'])}), "
        f"at random {in_percent(gains['at_random']['recall'])}"
    )


def score_basis(score: Json) -> str:
    """The rows that the score is of: `450 test rows`."""
    if score["basis"] == "test data":
        return f"{score['n']:,} test rows"
    if score["basis"] == "next month":
        return f"{score['n']:,} rows, each month predicted from the months before it"
    return f"{score['n']:,} training rows by cross-validation (there is no labelled test row)"


def score_words(score: Json) -> str:
    """`F1 0.517 (95 % 0.420 to 0.613) and AUC 0.770 (0.721 to 0.815) on 450 test rows`."""
    low, high = score["f1_interval"]
    f1, auc = f"F1 {score['f1']:.3f} (95 % {low:.3f} to {high:.3f})", auc_words(score)
    return f"{f1}{auc and f' and {auc}'} on {score_basis(score)}"


def month_words(month: Json) -> str:
    """`2026-09-30: 63 of 474 left, AUC 0.812`."""
    area = f", AUC {month['auc']:.3f}" if month["auc"] is not None else ""
    return f"{month['date']}: {month['exits']:,} of {month['n']:,} left{area}"


def auc_words(score: Json) -> str:
    """`AUC 0.770 (0.721 to 0.815)`, "" where there is none."""
    if score.get("auc") is None:
        return ""
    ends = score.get("auc_interval")
    return f"AUC {score['auc']:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def everybody_words(score: Json) -> str:
    """What knowing nothing would score."""
    return f"calling everybody an exit scores {score['everybody_exits']['f1']:.3f}"


def outcomes_sentence(outcomes: Outcomes) -> str:
    """What came of the lists so far, or why nothing is claimed yet."""
    return as_sentence(outcomes["all"]["sentence"] if outcomes["all"] else outcomes["why"])

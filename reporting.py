"""Makes confusion_matrix.png, the list of current clients by risk, and a report of both.

clients_at_risk.csv is for people, clients_at_risk.json the same for the API, with each client's
change since the last snapshot. state/clients.sqlite keeps what the list says; outcomes.json has
what came of it. report.html and report.pdf have all of it on a few pages.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from risk.calllist.changes import present_of, record_list, with_changes
from risk.calllist.expected import with_expectation
from risk.calllist.facts import (
    changes_words,
    expected_short,
    gains_words,
    headline,
    outcomes_sentence,
)
from risk.calllist.gains import profit_of, profit_words
from risk.calllist.held_out import held_out_risks
from risk.calllist.policy import Economics, mean_economics
from risk.calllist.ranking import client_list
from risk.calllist.sheets import csv_file, sheet_file
from risk.calllist.types import CallList, Cut, ListGain
from risk.config import Config, Outcome
from risk.data.holdout import Holdout
from risk.data.snapshot import Snapshot, read_snapshot, refuse_other_features
from risk.files import write_atomic, write_json
from risk.model.deployed import Deployed, read_deployed
from risk.model.measures import confusion_counts, cumulative_gains
from risk.record.contacts import ContactsRead, read_contacts
from risk.record.outcomes import Outcomes, outcomes_of
from risk.record.scores import recover_score_history
from risk.report.contents import Report, report_of
from risk.report.html import html_of
from risk.report.pdf import pdf_of
from risk.script import report_progress, run

if TYPE_CHECKING:
    import numpy as np

    from risk.model.model import Model


Tested = tuple["np.ndarray", "np.ndarray"]


def report(
    config: Config,
    snapshot: Snapshot | None = None,
    deployed: Deployed | None = None,
    test: Holdout | None = None,
) -> Outcome:
    """Write picture, list, outcomes and report, all of the one release that is current now.

    What the caller has read already is handed in.
    """
    now = deployed or read_deployed(config)
    refuse_other_features(config, now.model.columns)
    test = test or Holdout(config)
    known = tested(now.model, test)
    snapshot = snapshot or read_snapshot(config)
    listing, outcomes, taken = _write_list(config, snapshot, now, known, test)
    cut = listing.cut
    # The exercise's recipe is judged as the exercise does, at a risk of one half.
    share = cut.called / cut.of if cut.called and config.model != "original" else None
    matrix = confusion_of(*known, now.score, share)
    write_atomic(config.confusion_matrix, picture(matrix, now.version))
    page, sheets = documents(report_of(config, listing, outcomes, now, known))
    write_atomic(config.report_html, page)
    write_atomic(config.report_pdf, sheets)
    found = len(listing.clients)
    lines = [
        f"{headline(listing)}: {config.shown(config.clients_csv)}",
        expected_short(listing.expected) if listing.expected else "",
        changes_words(listing),
        outcomes_sentence(outcomes),
        f"report: {config.shown(config.report_html)}, {config.shown(config.report_pdf)}; "
        f"confusion matrix: {config.shown(config.confusion_matrix)}",
    ]
    details = [
        f"listed: {listing.note}",
        *_call_lines(listing.cut, known=outcomes["enough"]),
        listing.expected.sentence if listing.expected else "",
    ]
    attention = [*filter(None, [outcomes["misread"]]), *taken.notes]
    about = {
        "model_version": listing.model_version,
        **{key: listing.about()[key] for key in ("basis", "cut", "bands")},
        "confusion": matrix,
        "contacts": {"taken": taken.taken, "notes": taken.notes},
    }
    return Outcome(
        "\n".join(filter(None, [*lines, *attention])),
        {"clients": found, **about},
        details="\n".join(filter(None, details)),
        attention=tuple(attention),
    )


def tested(model: Model, test: Holdout) -> Tested:
    """(labels, risks) of the test data as they are now, each of shape (n,)."""
    rows, labels = test.rows(model.columns).labelled()
    return labels, model.probabilities(rows)


def _write_list(
    config: Config, snapshot: Snapshot, now: Deployed, known: Tested, test: Holdout
) -> tuple[CallList, Outcomes, ContactsRead]:
    """(the list, what came true of earlier ones, the contacts that were taken), all written."""
    report_progress(f"{snapshot.rows.height:,} rows")
    held_out = held_out_risks(config, snapshot, now.manifest, keep=True)
    listing = client_list(config, snapshot, now, held_out, test)
    gains = _gains_of(listing.cut, *known, mean_economics(config))
    listing = replace(listing, cut=replace(listing.cut, cumulative_gains=gains))
    recover_score_history(config)  # before anything is read of it: it may be damaged
    listing = with_expectation(config, listing, snapshot, now)
    taken = read_contacts(config)
    present = present_of(config, listing, snapshot, now)
    listing = with_changes(config, listing, present, snapshot)
    # The JSON last: by it a run knows whether the list is stale, and makes both anew.
    write_atomic(config.clients_csv, csv_file(listing))
    write_atomic(config.clients_sheet, sheet_file(listing))
    write_atomic(config.clients_json, listing.to_json())
    # Only now: a list that never reached the disk is none to compare the next with.
    record_list(config, present)
    outcomes = outcomes_of(config, snapshot)
    write_json(config.outcomes, outcomes)
    return listing, outcomes, taken


def _gains_of(
    cut: Cut, labels: np.ndarray, risks: np.ndarray, money: Economics | None
) -> ListGain | None:
    """What calling the same share of the test rows reaches; None without a labelled test row."""
    if not (labels.size and cut.called):
        return None
    found = ListGain(**cumulative_gains(labels, risks, (cut.called / cut.of,))[0])
    if money:
        found["profit"] = profit_of(found, labels.size, money)
    return found


def _call_lines(cut: Cut, *, known: bool) -> list[str]:
    """Whom to call, and what such calls bring, for a person.

    known: outcomes of lists are, so that the test rows say nothing more.
    """
    if not cut.called:
        return [f"nobody to call: {cut.how}"]
    lines = [f"{cut.called:,} of {cut.of:,} to call: {cut.how}"]
    if cut.expected_profit is not None:
        lines.append(
            f"expected profit of the calls {cut.expected_profit:,.2f}, "
            f"of as many at random {cut.expected_profit_at_random:,.2f}"
        )
    gains = cut.cumulative_gains
    if gains and not known:
        lines.append(gains_words(gains))
        if "profit" in gains:
            lines.append(
                f"by the test clients' outcomes such calls {profit_words(gains['profit'])}"
            )
    return lines


def confusion_of(
    labels: np.ndarray, risks: np.ndarray, stored: dict[str, Any], share: float | None = None
) -> dict[str, Any]:
    """The four counts on the test rows; by the score's rows where there are none.

    share: of the clients that the list calls, whose own cut it is then; None: at the threshold.
    """
    import numpy as np

    threshold = stored["threshold"]
    says = f"it warns of a risk of {threshold:.0%} or more"
    if labels.size:
        called = risks >= threshold
        if share:
            called = np.zeros(labels.size, dtype=bool)
            order = np.argsort(-risks, kind="stable")
            called[order[: max(1, round(share * labels.size))]] = True
            says = f"it names the riskiest {called.mean():.0%}, as the list does"
        found = confusion_counts(labels, called.astype(int))
        about = {"n": int(labels.size), "threshold": threshold, "basis": "test rows"}
        return {**found, **about, "says": says}
    by_month = stored.get("basis") == "next month"
    rows = "rows, each month predicted from the months before it"
    basis = rows if by_month else "training rows, by cross-validation"
    gains = stored.get("cumulative_gains")
    if not (share and gains):
        return {**stored, "basis": basis, "says": says}
    # Of these rows the counts are kept at a few shares: the nearest is shown.
    near = min(gains, key=lambda one: abs(one["share"] - share))
    called, left, exits = near["called"], near["left"], stored["exits"]
    counts = {
        "true_positive": left,
        "false_positive": called - left,
        "false_negative": exits - left,
        "true_negative": stored["n"] - called - exits + left,
    }
    says = f"it names the riskiest {near['share']:.0%}, about as the list does"
    return {**stored, **counts, "basis": basis, "says": says}


def picture(matrix: dict[str, Any], version: int) -> bytes:
    """The confusion matrix as PNG, its finding in the title."""
    from risk.report.figures import confusion_matrix, png

    leavers = matrix["true_positive"] + matrix["false_negative"]
    warnings = matrix["true_positive"] + matrix["false_positive"]
    title = (
        f"Found {matrix['true_positive']:,} of {leavers:,} clients who left\n"
        f"{matrix['false_positive']:,} of {warnings:,} warnings were false alarms"
    )
    basis = f"model version {version}, n = {matrix['n']:,} {matrix['basis']}"
    return png(confusion_matrix(matrix, title, basis))


def documents(found: Report) -> tuple[str, bytes]:
    """(the report as HTML, the report as PDF)."""
    return html_of(found), pdf_of(found)


def stage(config: Config, _: argparse.Namespace) -> Outcome:
    return report(config)


if __name__ == "__main__":
    run(stage, __doc__)

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
    matrix = confusion_of(*known, now.score)
    write_atomic(config.confusion_matrix, picture(matrix, now.version))
    snapshot = snapshot or read_snapshot(config)
    listing, outcomes, taken = _write_list(config, snapshot, now, known, test)
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


def confusion_of(labels: np.ndarray, risks: np.ndarray, stored: dict[str, Any]) -> dict[str, Any]:
    """The four counts on the test rows; those of the score where there are none."""
    if not labels.size:
        by_month = stored.get("basis") == "next month"
        rows = "rows, each month predicted from the months before it"
        return {**stored, "basis": rows if by_month else "training rows, by cross-validation"}
    threshold = stored["threshold"]
    found = confusion_counts(labels, (risks >= threshold).astype(int))
    return {**found, "n": int(labels.size), "threshold": threshold, "basis": "test rows"}


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

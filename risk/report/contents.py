"""What the report says: the pages' own values on a list, and what the report alone has.

Today, Trust, the last decision, the data and the drift are what the pages show, so that no number
can stand in two of them and differ. The curves, the effects and the model's facts are made here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from risk.calllist.facts import auc_words, score_words
from risk.calllist.types import CallList
from risk.config import Config
from risk.model.curves import Curves, curves
from risk.model.deployed import Deployed
from risk.model.effects import ColumnEffects, Effect, overview
from risk.model.logistic import expit
from risk.model.model import Model
from risk.model.profile import column_text
from risk.record.outcomes import Outcomes
from risk.releases import Manifest
from risk.web.context import PageContext
from risk.web.data import DataAndDrift, data_and_drift
from risk.web.decisions import Decisions, decisions_of
from risk.web.notices import Notice
from risk.web.today import ALL, CALL, Query, Today, query_of, today_of
from risk.web.trust import Trust, trust_of
from risk.words import day, in_percent, stamp

HIGHEST = 10  # shown where nobody is to be called
MOST_CLIENTS = 200  # beyond them people stop reading; the CSV has all
NOT_FOR = (
    "To refuse, price or dismiss a person: it ranks clients for a call.",
    "As a cause: a sign goes together with leaving and need not bring it about.",
    "For clients unlike those it was trained on, or after a change that the new data do not show.",
    "To judge calls: a client who was called and stayed may be a success and no false alarm.",
)
RECIPES = {
    "default": "logistic regression on curves, levels and joint terms (docs/model.md)",
    "original": "logistic regression on the raw columns",
}


@dataclass(frozen=True)
class Learned:
    """What a column, or several together, do to the average client's risk.

    usual: the ends of the middle half of a number's values, None where there is no such half.
    """

    name: str
    kind: str
    usual: tuple[float, float] | None
    effects: list[Effect]

    @property
    def low(self) -> Effect:
        return min(self.effects, key=lambda one: one["risk"])

    @property
    def high(self) -> Effect:
        return max(self.effects, key=lambda one: one["risk"])

    @property
    def range(self) -> str:
        return f"{in_percent(self.low['risk'])} to {in_percent(self.high['risk'])} %"


@dataclass(frozen=True)
class Report:
    """All that report.html and report.pdf say.

    about: what the list is of, in sentences. curves: ROC and precision of the test rows, else None
    and no_curves says why. data: the values of data.html.
    """

    made_at: str
    stamp: str
    about: str
    banners: list[Notice]
    today: Today
    trust: Trust
    curves: Curves | None
    no_curves: str
    auc: str
    average: float
    learned: list[Learned]
    model: list[tuple[str, str]]
    decision: Decisions
    data: DataAndDrift


class _AtScoring(PageContext):
    """What the pages read, seen from when the list was made: the same list gives the same words."""

    def __init__(self, config: Config, listing: CallList) -> None:
        super().__init__(config)
        self._list = listing

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(self._list.scored_at)

    def call_list(self) -> CallList:
        return self._list


def report_of(
    config: Config,
    listing: CallList,
    outcomes: Outcomes,
    deployed: Deployed,
    tested: tuple[np.ndarray, np.ndarray],
) -> Report:
    """All that the report says; tested: labels and risks of the test data as they are now."""
    context = _AtScoring(config, listing)
    model, score, manifest = deployed.model, deployed.score, deployed.manifest
    labels, risks = tested
    query = query_of({}, listing)
    # A file has no second page: the first rows are all that it shows.
    query = Query(band=query.band, rows=HIGHEST if query.band == ALL else MOST_CLIENTS)
    # Of the clients to call alone where no other is shown: all rows would take 0.5 s of 230,000.
    clients = listing.called if query.band == CALL else listing.clients
    today = today_of(listing, clients, query, context.now.date(), context.top())
    since, made = stamp(manifest["deployed_at"]), stamp(listing.scored_at)
    no_curves = "" if labels.size else "no labelled test row"
    if labels.size and labels.min() == labels.max():
        no_curves = f"all {labels.size:,} test rows {'left' if labels[0] else 'stayed'}"
    # The newest evaluation always is a group of its own on the page Decisions.
    decision = decisions_of(context, 1)
    return Report(
        made_at=listing.scored_at,
        stamp=f"Data of {today.data_date}, model {today.model} (deployed {since}). Made {made}.",
        about=f"On the call list: {listing.cut.how}. Listed: {listing.note}.",
        banners=context.provisional(),
        today=today,
        trust=trust_of(outcomes, score, listing, context.now.date()),
        curves=curves(labels, risks) if labels.size else None,
        no_curves=no_curves,
        # It stands in the ROC's chart, which is of the test data always.
        auc=auc_words(score) if score["basis"] == "test data" else "",
        average=float(expit(np.array(model.intercept))),
        learned=[_learned(model, item) for item in overview(model)],
        model=_model_facts(manifest, score),
        decision=replace(decision, groups=decision.groups[:1], chart=None, releases=[]),
        data=data_and_drift(context),
    )


def _learned(model: Model, item: ColumnEffects) -> Learned:
    columns = item["columns"]
    usual = model.profile.get(columns[0], {}) if len(columns) == 1 else {}
    return Learned(
        " together with ".join(column_text(name) for name in columns),
        model.columns[columns[0]] if len(columns) == 1 else "joint",
        (usual["low"], usual["high"]) if "low" in usual else None,
        item["effects"],
    )


def _model_facts(manifest: Manifest, score: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, value) of the deployed model, for a table."""
    rows = f"{manifest['rows']:,} labelled rows, {manifest['exits']:,} of them exits"
    last = f", the newest of {day(manifest['last_date'])}" if manifest.get("last_date") else ""
    horizon = manifest.get("horizon_days")
    after = f", a label counts after {horizon:,} days" if horizon else ""
    return [
        ("Version", f"{manifest['version']}, deployed {stamp(manifest['deployed_at'])}"),
        ("Trained", f"{stamp(manifest['trained_at'])} on {rows}{last}{after}"),
        ("Recipe", RECIPES.get(manifest["recipe"], manifest["recipe"])),
        ("Sees", f"{len(manifest['columns']):,} columns: {', '.join(manifest['columns'])}"),
        ("Says", "the chance that a client leaves; the reasons add up to it exactly"),
        ("Measured", f"{score_words(score)}, Brier {score['brier']:.3f}"),
    ]

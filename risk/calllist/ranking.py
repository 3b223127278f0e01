"""Makes the list: current clients by the deployed model's risk, whom to call and the reasons."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.policy import (
    GUESS,
    band,
    choose_calls,
    client_values,
    economics_of,
    unknown_reason,
)
from risk.calllist.sheets import written_style
from risk.calllist.types import CallList, ListedClient, ListedColumns
from risk.config import Config, PipelineError
from risk.data.holdout import Holdout, with_clients_held_back
from risk.data.snapshot import Snapshot
from risk.files import utc_now
from risk.model.deployed import Deployed
from risk.model.logistic import expit
from risk.model.model import Model
from risk.model.profile import Rows
from risk.model.reasons import Reason, reasons, unusual_values
from risk.record.history import entries
from risk.releases import Manifest

if TYPE_CHECKING:
    import polars as pl

NOTES = {
    "unlabelled": "clients whose last row has no label yet",
    "stayed": "no current client is without a label: clients whose last row says that they stayed; "
    "where the model was trained on that row, the risk is by a model that did not see the client, "
    "while the points are those of the deployed model",
}
RECENT_EVALUATIONS = 40
WITH_REASONS = 1000  # clients; words take ten times as long as the risk


def client_list(
    config: Config,
    snapshot: Snapshot,
    deployed: Deployed,
    held_out: dict[int, float],
    test: Holdout | None = None,
) -> CallList:
    """The ranked list with what it is based on; risks are probabilities of an exit.

    held_out: for clients that the model was trained on, the position of their row and its risk by a
    model that did not see the client.
    """
    model, manifest = deployed.model, deployed.manifest
    current, basis = snapshot.current
    if basis == "stayed":
        # The model has not seen them: its own risk is as honest as the others'.
        tested = (test or Holdout(config)).rows(model.columns)
        current = with_clients_held_back(current, tested, snapshot)
    current, risks = _by_risk(current, model, held_out, snapshot.client)
    features = model.table(current)
    shown = _shown_columns(config, current)
    values = client_values(shown.get("value", [None] * current.height), config.client_value)
    interval, of = auc_interval_of(config, manifest), len(model.columns)
    words = [unknown_reason(missing, of, interval) for missing in range(of + 1)]
    unknown = [words[missing] for missing in _missing(current, model)]
    called, cut = choose_calls(config, risks, values, unknown)
    money = economics_of(config)
    if money:
        # Python's rounding: numpy's differs in the last digit of halves.
        shown["profit"] = [round(gain, 4) for gain in money.profit(risks, values).tolist()]
        shown["value_at_risk"] = (risks * values).round(4).tolist()
    average = float(expit(np.array([model.intercept]))[0])
    columns = {
        "rank": range(1, current.height + 1),
        "client": current[snapshot.client],
        "risk": risks.tolist(),
        "date": current["_date"].cast(str).fill_null(""),
        **shown,
        "call": called.tolist(),
        "band": [
            band(risk, called=call, average=average, unknown=why)
            for risk, call, why in zip(risks.tolist(), called.tolist(), unknown, strict=True)
        ],
        "reasons": _reasons(model, features, called),
        "notes": [
            (*filter(None, [why]), *odd)
            for why, odd in zip(unknown, unusual_values(model, features), strict=True)
        ],
    }
    others = (field for field in fields(ListedClient) if field.name not in columns)
    columns |= {field.name: [field.default] * current.height for field in others}
    return CallList(
        model_version=manifest["version"],
        data_version=snapshot.version.number,
        basis=basis,
        note=NOTES[basis],
        scored_at=utc_now(),
        data_date=max(columns["date"], default=""),
        average_risk=round(average, 6),
        cut=cut,
        shown=tuple(shown),
        settings=settings_of(config),
        details=config.columns.show,
        value_name=config.columns.value,
        written=written_style(snapshot.files),
        clients=ListedColumns(columns),
    )


def _missing(current: pl.DataFrame, model: Model) -> list[int]:
    """How many of the model's values each client lacks."""
    import polars as pl

    if not model.columns:
        return [0] * current.height
    lacks = pl.sum_horizontal(pl.col(name).is_null() for name in model.columns)
    return current.select(lacks).to_series().to_list()


def _reasons(model: Model, features: Rows, called: np.ndarray) -> list[tuple[Reason, ...]]:
    """Why, of the clients to call and the first ones; of the others whoever asks is told."""
    found: list[tuple[Reason, ...]] = [()] * called.size
    places = np.flatnonzero(called | (np.arange(called.size) < WITH_REASONS)).tolist()
    some = {name: [cells[at] for at in places] for name, cells in features.items()}
    for at, own in zip(places, reasons(model, some), strict=True):
        found[at] = tuple(own)
    return found


def _shown_columns(config: Config, current: pl.DataFrame) -> dict[str, list[Any]]:
    """What stands beside each client as its file has it: name, owner, value and the details."""
    columns = config.columns
    roles = {"name": columns.name, "owner": columns.owner, "value": columns.value}
    shown: dict[str, list[Any]] = {
        name: current[column].to_list() for name, column in roles.items() if column
    }
    if columns.show:
        texts = (current[name].cast(str).fill_null("").to_list() for name in columns.show)
        shown["details"] = list(zip(*texts, strict=True))
    return shown


def settings_of(config: Config) -> tuple[float | str, ...]:
    """What the list depends on beside model and rows: after a change of these it is another."""
    money = (config.contact_cost, config.client_value, config.success_rate)
    columns = config.columns
    return (config.capacity, *money, columns.owner, columns.value, columns.name, *columns.show)


def _by_risk(
    current: pl.DataFrame, model: Model, held_out: dict[int, float], client: str
) -> tuple[pl.DataFrame, np.ndarray]:
    """(the clients, the highest risk first and equal ones by name; their risks to six digits)."""
    import polars as pl

    own = model.probabilities(model.table(current)).tolist()
    risks = [
        # Six digits: noise in the last bits must not decide the order of equals.
        round(risk if at is None else held_out.get(at, risk), 6)
        for at, risk in zip(current["_row"], own, strict=True)
    ]
    ranked = current.with_columns(pl.Series("_risk", risks, pl.Float64)).sort(
        ["_risk", client], descending=[True, False]
    )
    return ranked, ranked["_risk"].to_numpy()


def auc_interval_of(config: Config, manifest: Manifest) -> list[float] | None:
    """The interval of the AUC that tells whether the model can tell leavers from stayers.

    That on the test data; where it includes a guess, that on the rows of the last evaluation: test
    data can be older than a change of the world that the deployed model has followed. An evaluation
    that a data quality issue stopped has judged nothing.
    """
    interval = manifest.get("auc_interval")
    if interval is None or interval[0] > GUESS:
        return interval
    try:
        recent = entries(config, RECENT_EVALUATIONS)
    except PipelineError:  # a damaged history is reported where decisions are shown
        return interval
    measured = [
        found
        for entry in recent
        if entry.after == manifest["version"] and (found := entry.details.get("auc_interval"))
    ]
    return measured[-1] if measured and measured[-1][0] > GUESS else interval

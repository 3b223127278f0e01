"""What a replay shows: a table of all policies, one chart for each, and every period as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import Config, Outcome, PipelineError
from risk.data.snapshot import feature_kinds, features_of, read_snapshot
from risk.decide.replay import (
    NAIVE,
    ORACLE,
    Stream,
    Walk,
    lag_of,
    oracle,
    replay_naive,
    replay_policy,
)
from risk.files import write_atomic
from risk.report.figures import BLUE, INK, MUTED, RED, png, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"never": "#8c959f", "always, all past": BLUE, "always, last file": "#0b2a5b"}
MARKS = {"promote": "s", "scheduled retrain": "o", "switch": "^", "revert": "v", "roll back": "v"}
LEAST_PERIODS = 3


def replay(config: Config, policies: list[str], delay: int) -> Outcome:
    """What each policy would have done with the files of the store; a table, a chart for each."""
    stream = stream_in(config)
    walks = walks_of(stream, policies, delay)
    target = config.model_folder / "replay"
    write_atomic(target / "replay.csv", csv_of(stream, walks))
    for walk in walks[-len(policies) :]:
        write_atomic(target / f"{walk.policy}.png", png(chart(stream, walk, walks, delay)))
    text = (
        f"{table(walks, delay)}\n\n"
        f"every period: {config.shown(target)}/replay.csv, a chart for each policy beside it"
    )
    return Outcome(text, {"policies": {walk.policy: figures_of(walk) for walk in walks}})


def stream_in(config: Config) -> Stream:
    """The ingested labelled rows of a folder of dated files, in the order of their dates."""
    snapshot = read_snapshot(config)
    known, schema = snapshot.known, snapshot.schema
    if known["_date"].null_count():
        raise PipelineError(
            "a replay needs a date for every row: a date column, or files named with one "
            "(clients_2026-01-31.csv)"
        )
    # Without maintain_order rows of one date come in any order, and figures differ.
    known = known.sort("_date", maintain_order=True)
    dates = known["_date"].cast(str).to_list()
    names = sorted(set(dates))
    if len(names) < LEAST_PERIODS:
        raise PipelineError(
            f"the labelled rows have {len(names)} dates; a replay needs {LEAST_PERIODS} or more"
        )
    columns = feature_kinds(schema)
    return Stream(
        config.model,
        columns,
        features_of(known, columns),
        known[schema.named("target")].to_numpy().astype(np.int64),
        known[schema.named("id")].to_numpy(),
        np.searchsorted(names, dates),
        names,
    )


def walks_of(stream: Stream, policies: list[str], delay: int) -> list[Walk]:
    """The walks of the naive rules and the oracle, and then of these policies."""
    if stream.first() + max(delay, 1) >= len(stream.names):
        raise PipelineError(
            f"of {len(stream.names)} dates none is left to be scored once the first model is "
            f"trained and labels take {delay} of them; give more files or a smaller --label-delay"
        )
    known = [replay_naive(stream, rule, delay) for rule in NAIVE]
    return [*known, oracle(known), *(replay_policy(stream, policy, delay) for policy in policies)]


def table(walks: list[Walk], delay: int) -> str:
    """For a person: the scores of each policy, what it deployed and lost."""
    best = next(walk for walk in walks if walk.policy == ORACLE).mean
    lines = [
        f"{'policy':18} {'Brier':>7} {'lost':>7} {'deployed':>9} {'wrong':>6} {'recalibrated':>13}"
    ]
    for walk in walks:
        # The oracle takes the best rule of each period: it deploys nothing of its own.
        counts = ("-", "-", "-")
        if walk.policy != ORACLE:
            counts = (str(len(walk.deployments)), str(walk.wrong), str(walk.recalibrations))
        deployed, wrong, recalibrated = counts
        means = f"{walk.policy:18} {walk.mean:7.4f} {walk.mean - best:7.4f}"
        lines.append(f"{means} {deployed:>9} {wrong:>6} {recalibrated:>13}")
    after = f", labels {delay} periods later" if delay else ""
    legend = (
        f"{len(walks[0].brier)} periods scored{after}. Brier: the mean over periods of what was "
        "deployed.",
        "lost: above the best naive rule of each period, which is known only afterwards (oracle).",
        "deployed: new models after the first. wrong: of them, those that did worse on the next",
        "two periods than what they replaced. recalibrated: how often only percentages moved.",
    )
    return "\n".join([*lines, *legend])


def figures_of(walk: Walk) -> dict[str, Any]:
    """The walk for a program."""
    return {
        "brier": walk.mean,
        "deployments": [
            {"period": period, "action": action, "reason": reason}
            for period, action, reason in walk.deployments
        ],
        "wrong": walk.wrong,
        "recalibrations": walk.recalibrations,
    }


def csv_of(stream: Stream, walks: list[Walk]) -> str:
    """Every period of every policy: its score, what was done and why."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["period", "rows", "policy", "brier", "version", "action", "reason"])
    for walk in walks:
        done = {period: (action, reason) for period, action, reason in walk.deployments}
        for period, name in enumerate(stream.names):
            action, reason = done.get(period, ("", walk.reasons.get(period, "")))
            score = walk.brier.get(period)  # none before the first model has its labels
            shown = "" if score is None else f"{score:.6f}"
            version, rows = walk.versions.get(period, ""), stream.rows(period).size
            writer.writerow([name, rows, walk.policy, shown, version, action, reason])
    return out.getvalue()


def chart(stream: Stream, walk: Walk, walks: list[Walk], delay: int) -> Figure:
    """The policy's scores beside those of the naive rules, and what it gained on them so far."""
    from matplotlib.figure import Figure

    others = [one for one in walks if one.policy in NAIVE]
    periods = sorted(walk.brier)
    with style():
        figure = Figure(figsize=(9.6, 6.4), dpi=120, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for one, colour, width in (
            *((one, COLOURS[one.policy], 1.4) for one in others),
            (walk, RED, 2.4),
        ):
            own = sorted(one.brier)
            heights = [one.brier[period] for period in own]
            above.plot(own, heights, color=colour, lw=width, label=one.policy, zorder=width)
        _mark_deployments(above, walk, lag_of(delay))
        for one in others:  # above 0 the policy has done better so far
            gained = np.cumsum([one.brier[p] - walk.brier[p] for p in periods])
            below.plot(periods, gained, color=COLOURS[one.policy], lw=1.6)
        below.axhline(0, color=INK, lw=0.8)
        _label(figure, stream, walk, others, delay)
    return figure


def _mark_deployments(axes: Any, walk: Walk, lag: int) -> None:
    """A mark at the first period of what was deployed."""
    for kind, mark in MARKS.items():
        at = [p + lag for p, action, _ in walk.deployments if action == kind]
        shown = [p for p in at if p in walk.brier]
        look = {"color": RED, "mec": "white", "ms": 9, "zorder": 5}
        if shown:
            heights = [walk.brier[p] for p in shown]
            axes.plot(shown, heights, mark, label=f"after: {kind}", **look)


def _label(figure: Figure, stream: Stream, walk: Walk, others: list[Walk], delay: int) -> None:
    above, below = figure.axes
    rest = ", ".join(f"{one.policy} {one.mean:.4f}" for one in others)
    title = f"{walk.policy}: mean Brier {walk.mean:.4f} with {len(walk.deployments)} deployments"
    figure.suptitle(title, x=0.02, ha="left", fontsize=14, fontweight="bold", color=INK)
    after = f"; labels {delay} periods later" if delay else ""
    above.set_title(f"{rest}{after}", loc="left", fontsize=10, color=MUTED)
    above.set_ylabel("Brier as deployed (lower is better)", fontsize=10)
    below.set_ylabel("gained so far on each rule", fontsize=10)
    above.legend(fontsize=8.5, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    shown = range(0, len(stream.names), -(-len(stream.names) // 13))  # more dates would overlap
    below.set_xticks(list(shown), [stream.names[p] for p in shown], rotation=35, ha="right")
    for axes in (above, below):
        axes.grid(axis="y")
        axes.tick_params(labelsize=9)

"""Shows how the deployed model, the data, the runs and the installed packages are doing.

python diagnostics.py               predictions, statistics, missing values, times, packages, calls
python diagnostics.py --file FILE   predictions with reasons for a table of yours, as CSV
python diagnostics.py --client NAME one client's risk, reasons and history
python diagnostics.py --model       what each value adds to the risk, by the deployed model
python diagnostics.py --drift       has the world moved since the deployment? worst first
python diagnostics.py --fresh       time ingestion and training now, on a scratch copy
python diagnostics.py --status      when was the last good run? exit 1 where late or failed
python diagnostics.py --doctor      check every artifact; exit 1 and what to type if one is damaged
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from risk.calllist.python import explained, risks_of, rows_in_file
from risk.config import Config, Outcome, PipelineError
from risk.data.holdout import TestRows
from risk.drift.state import drift_table, last_evaluation
from risk.model.deployed import Deployed, read_deployed
from risk.model.measures import THRESHOLD
from risk.records import to_record
from risk.run.measured import last_measured, statistics
from risk.run.packages import packages_table, refresh_packages
from risk.script import run

SWITCHES = {
    "drift": "has the world moved since the deployment",
    "model": "what each value adds to the risk",
    "fresh": "time ingestion and training on a scratch copy",
    "status": "when was the last good run",
    "doctor": "check every artifact",
}


def diagnose(config: Config) -> Outcome:
    """Look up the packages if that is a day ago, and show everything that is known."""
    from risk.calllist.gains import gains_lines, known_gains
    from risk.calllist.types import read_list

    refresh_packages(config)
    known, stats, listing = last_measured(config), statistics(config), read_list(config)
    predicted, calls = None, None
    try:
        deployed = read_deployed(config)
        predicted, calls = predictions(config, None, deployed), known_gains(config, deployed)
        head = (
            f"{predicted['file']}: {sum(predicted['predictions'])} of {predicted['rows']} clients "
            f"predicted to leave by model version {deployed.version}"
        )
    except PipelineError as error:
        # Without a model the statistics, times and packages are shown all the same.
        head = f"no predictions: {error}"
    lines = [
        head,
        *_column_lines(stats, known["missing_percent"]),
        *_time_lines(known["timings"]),
        packages_table(known["packages"]),
        *(gains_lines(calls) if calls else []),
        *([listing.expected.sentence] if listing and listing.expected else []),
    ]
    data = {"predictions": predicted, "statistics": stats, **known, "calls": calls}
    return Outcome("\n".join(lines), data)


def predictions(
    config: Config, file: Path | None = None, deployed: Deployed | None = None
) -> dict[str, Any]:
    """The model's 0/1 predictions and risks for a CSV's rows (default: the test data)."""
    deployed = deployed or read_deployed(config)
    columns = deployed.model.columns
    rows = rows_in_file(config, deployed, file) if file else TestRows(config, columns).table
    risks = risks_of(config, deployed, rows)
    return {
        "file": str(file) if file else config.shown(config.test_folder),
        "model_version": deployed.version,
        "rows": len(risks),
        "predictions": (risks >= THRESHOLD).astype(int).tolist(),
        "probabilities": risks.tolist(),
        "clients": rows[config.columns.id],
    }


def explain_file(config: Config, file: Path) -> Outcome:
    """The rows of a CSV with prediction, risk and reasons, as CSV."""
    from risk.calllist.explain import explained_csv

    deployed = read_deployed(config)
    rows = rows_in_file(config, deployed, file)
    text = explained_csv(deployed.model, rows, rows[config.columns.id])
    return Outcome(text, predictions(config, file, deployed))


def explain_model(config: Config) -> Outcome:
    """Each column's effects by value, the widest range first, and those of columns together."""
    from risk.model.effects import overview, overview_text

    deployed = read_deployed(config)
    model, version = deployed.model, deployed.version
    about = {"model_version": version, **{k: model.lineage[k] for k in ("recipe", "rows", "exits")}}
    head = (
        f"model version {version} ({about['recipe']}), trained on {about['rows']:,} rows, "
        f"{about['exits']:,} of them exits"
    )
    found = overview(model)
    return Outcome(f"{head}\n{overview_text(model, found)}", {**about, "effects": found})


def show_client(config: Config, client: str) -> Outcome:
    """One client's risk, reasons and history."""
    from risk.calllist.explain import explanation_text

    found, name = explained(config, client)
    text = explanation_text(found)
    return Outcome(f"{name} is client {text}" if name else text, asdict(found))


def _column_lines(stats: Mapping[str, Any], missing: Mapping[str, float]) -> list[str]:
    """Mean, median, deviation and missing values of each column, as a table."""
    lines = [
        f"finaldata.csv, {stats['rows']} rows, measured {stats['measured_at']}",
        f"  {'column':26} {'mean':>12} {'median':>12} {'deviation':>12} {'missing %':>10}",
    ]
    for name, share in missing.items():
        numbers = [stats["columns"].get(name, {}).get(key) for key in ("mean", "median", "std")]
        cells = ["" if number is None else f"{number:.6g}" for number in numbers]
        lines.append(f"  {name:26} {cells[0]:>12} {cells[1]:>12} {cells[2]:>12} {share:>10.2f}")
    return lines


def _time_lines(times: Mapping[str, Any]) -> list[str]:
    return [
        f"{stage}: {t['seconds']:.3f} s on {t['measured_at']}" if t else f"{stage}: not run yet"
        for stage, t in times.items()
    ]


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--file", type=Path, metavar="FILE", help="predictions with reasons, as CSV")
    one.add_argument("--client", metavar="NAME", help="one client's risk, reasons and history")
    for name, words in SWITCHES.items():
        one.add_argument(f"--{name}", action="store_true", help=words)


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    # What one of them needs is imported where it is chosen: --status is asked every few minutes.
    if chosen.status:
        from risk.run.alive import status

        return status(config)
    if chosen.doctor:
        from risk.run.doctor import doctor

        return doctor(config)
    if chosen.fresh:
        from risk.run.fresh import fresh_times

        times = fresh_times(config)
        lines = ["from nothing, as whole scripts:", *_time_lines(times)]
        return Outcome("\n".join(lines), dict(times))
    if chosen.file:
        return explain_file(config, chosen.file)
    if chosen.client is not None:
        return show_client(config, chosen.client)
    if chosen.model:
        return explain_model(config)
    if chosen.drift:
        evaluation = last_evaluation(config)
        return Outcome(drift_table(evaluation), to_record(evaluation))
    return diagnose(config)


def writes(chosen: argparse.Namespace) -> bool:
    # What only looks takes no lock: the status and the doctor must not wait for a run.
    return chosen.client is None and not any(getattr(chosen, name) for name in ("file", *SWITCHES))


if __name__ == "__main__":
    run(stage, __doc__, options=options, writes=writes)

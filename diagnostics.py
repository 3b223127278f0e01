"""Shows how the deployed model, the data, the runs and the installed packages are doing.

python diagnostics.py               predictions, statistics, missing values, times, packages, calls
python diagnostics.py --file FILE   predictions with reasons for a CSV of yours, as CSV
python diagnostics.py --client NAME one client's risk, reasons and history
python diagnostics.py --model       what each value adds to the risk, by the deployed model
python diagnostics.py --drift       has the world moved since the deployment? worst first
python diagnostics.py --fresh       time ingestion and training now, on a scratch copy
python diagnostics.py --status      when was the last good run? exit 1 after 25 minutes without
python diagnostics.py --doctor      check every artifact; exit 1 and what to type if one is damaged
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from risk.config import HOME, Config, Outcome, PipelineError
from risk.data.holdout import TestRows
from risk.data.reader import read_rows
from risk.data.schema import schema_of
from risk.drift.state import drift_table, last_evaluation
from risk.files import utc_now
from risk.model.measures import THRESHOLD
from risk.model.model import Model
from risk.model.profile import Rows
from risk.releases import OpenRelease
from risk.run.measured import last_measured, statistics
from risk.run.packages import packages_table, refresh_packages
from risk.run.record import LATE_MINUTES, running, trouble
from risk.script import run

# ---------------------------------------------------------------- predictions


def predictions(config: Config, file: Path | None = None) -> dict[str, Any]:
    """The deployed model's 0/1 predictions and risks for a CSV's rows (default: the test data)."""
    model, version = deployed_model(config)
    table = _table(config, model, file) if file else TestRows(config, model.columns).table
    return _predicted(config, model, version, table, file)


def deployed_model(config: Config) -> tuple[Model, int]:
    """(the deployed model, its version), verified."""
    with OpenRelease(config) as release:
        return Model.from_bytes(release.verified("model.json")), release.version


def _predicted(
    config: Config, model: Model, version: int, table: Rows, file: Path | None
) -> dict[str, Any]:
    risks = model.probabilities(table)
    return {
        "file": str(file) if file else config.shown(config.test_folder),
        "model_version": version,
        "rows": len(risks),
        "predictions": (risks >= THRESHOLD).astype(int).tolist(),
        "probabilities": risks.tolist(),
        "clients": table[config.columns.id],
    }


def _explain_file(config: Config, file: Path) -> Outcome:
    """The rows of a CSV with prediction, risk and reasons, as CSV."""
    from risk.calllist.explain import explained_csv

    model, version = deployed_model(config)
    table = _table(config, model, file)
    text = explained_csv(model, table, table[config.columns.id])
    return Outcome(text, _predicted(config, model, version, table, file))


def _explain_model(config: Config) -> Outcome:
    """Each column's effects by value, the widest range first, and those of columns together."""
    from risk.model.effects import overview, overview_text

    model, version = deployed_model(config)
    about = {"model_version": version, **{k: model.lineage[k] for k in ("recipe", "rows", "exits")}}
    head = (
        f"model version {version} ({about['recipe']}), trained on {about['rows']:,} rows, "
        f"{about['exits']:,} of them exits"
    )
    found = overview(model)
    return Outcome(f"{head}\n{overview_text(model, found)}", {**about, "effects": found})


def _explain_drift(config: Config) -> Outcome:
    """The drift table of the last evaluation, worst first; nothing is computed."""
    evaluation = last_evaluation(config)
    return Outcome(drift_table(evaluation), evaluation.to_json())


def client_explanation(config: Config, client: str) -> Outcome:
    """One client's risk, reasons and history."""
    from risk.calllist.explain import explain_client, explanation_text
    from risk.calllist.types import read_list
    from risk.data.snapshot import read_snapshot

    model, version = deployed_model(config)
    snapshot = read_snapshot(config)
    listing = read_list(config)
    if listing and (listing.model_version, listing.data_version) != (
        version,
        snapshot.version.number,
    ):
        listing = None
    found = explain_client(model, version, snapshot.rows, snapshot.schema, client, listing)
    return Outcome(explanation_text(found), asdict(found))


def _table(config: Config, model: Model, file: Path) -> Rows:
    schema = schema_of(config, dict(model.columns))
    try:
        reading = read_rows(file.read_bytes(), schema, config.csv, needed=frozenset(), limit=False)
    except OSError as error:
        raise PipelineError(f"cannot read {file}: {error.strerror}") from None
    if reading.refused:
        raise PipelineError(f"{file}: {reading.refused}")
    if reading.errors:
        f = reading.errors[0]
        raise PipelineError(
            f"{file}: {len(reading.errors)} bad rows, the first on line {f.line}: "
            f"{f.column or 'the line'} {f.rule} ({f.value}); mend them and ask again"
        )
    return reading.values


# ---------------------------------------------------------------- what calls reach


def calls_reach(config: Config) -> dict[str, Any] | None:
    """What calling the riskiest clients reached by outcomes: the deployed model's at 5 to 50 %, the
    list's at its own cut, and the most profitable share where a worth is configured."""
    from risk.calllist.policy import best_profit, mean_economics
    from risk.calllist.types import read_list

    with OpenRelease(config) as release:
        score = json.loads(release.verified("latestscore.json"))
    if not score.get("cumulative_gains"):  # deployed by an earlier version of this software
        return None
    listing, money = read_list(config), mean_economics(config)
    own = listing is not None and listing.model_version == release.version
    return {
        "basis": score["basis"],
        "n": score["n"],
        "cumulative_gains": score["cumulative_gains"],
        "list": listing.cut.cumulative_gains if listing and own else None,
        "profit": best_profit(score["cumulative_gains"], score["n"], money) if money else None,
    }


def _reach_lines(found: dict[str, Any] | None) -> list[str]:
    from risk.calllist.policy import best_profit_words, reach_table

    if not found:
        return []
    basis = "test rows" if found["basis"] == "test data" else "training rows, by cross-validation"
    head = f"what calls reach, by {found['n']} {basis} (95 % intervals)"
    profit = [f"  {best_profit_words(found['profit'])}"] if found["profit"] else []
    return [head, *reach_table(found["cumulative_gains"], found["list"]), *profit]


def _expected_lines(config: Config) -> list[str]:
    """What the present list is expected to reach, as the last report had it."""
    from risk.calllist.types import read_list

    listing = read_list(config)
    return [listing.expected.sentence] if listing and listing.expected else []


# ---------------------------------------------------------------- what was measured


def _fresh_times(config: Config) -> dict[str, Any]:
    """Seconds that ingestion.py and training.py take as whole scripts, from nothing, elsewhere."""
    with tempfile.TemporaryDirectory(prefix="risk-fresh-") as scratch:
        settings = json.loads(config.path.read_text(encoding="utf-8-sig"))
        settings |= {
            "input_folder_path": str(config.input_folder),
            "test_data_path": str(config.test_folder),
        }
        written = (
            "output_folder_path",
            "output_model_path",
            "prod_deployment_path",
            "state_path",
            "log_path",
        )
        settings |= {key: str(Path(scratch, key)) for key in written}
        copy = Path(scratch, "config.json")
        copy.write_text(json.dumps(settings), encoding="utf-8")
        return {stage: _timed_script(stage, copy) for stage in ("ingestion", "training")}


def _timed_script(stage: str, config_path: Path) -> dict[str, Any]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(HOME / f"{stage}.py"), "--config", str(config_path)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PipelineError(f"{stage}.py fails on a scratch copy: {done.stderr.strip()[-500:]}")
    return {"seconds": round(time.perf_counter() - started, 3), "measured_at": utc_now()}


# ---------------------------------------------------------------- status


def status(config: Config) -> Outcome:
    """Whether the cron line is alive: when a run ended well last, and what is wrong since."""
    wrong, busy = trouble(config), running(config)
    minutes = _minutes_since(config.heartbeat)
    if minutes is None:
        word, text = "never", "no run of fullprocess.py has ended well yet"
    else:
        # A little ahead is another machine's clock. More is a clock that was set back: the next
        # run mends it, and until then nobody knows.
        word = "ok" if abs(minutes) <= LATE_MINUTES else "late"
        text = f"{word}: the last good run ended {_ago(minutes)}"
    said = "; ".join([text, *filter(None, [wrong, busy])])
    data = {"state": word, "minutes": minutes, "trouble": wrong, "running": busy}
    return Outcome(said, data, code=int(word != "ok"))


def _minutes_since(heartbeat: Path) -> float | None:
    try:
        return round((time.time() - heartbeat.stat().st_mtime) / 60, 1)
    except FileNotFoundError:
        return None


def _ago(minutes: float) -> str:
    if minutes < -1:
        return f"{-minutes:.0f} minutes in the future (the clock was set back)"
    return f"{max(minutes, 0):.0f} minutes ago"


# ---------------------------------------------------------------- the script


def _diagnose(config: Config) -> Outcome:
    """Look up the packages if that is a day ago, and show everything that is known."""
    refresh_packages(config)
    known, stats = last_measured(config), statistics(config)
    try:
        predicted: dict[str, Any] | None = predictions(config)
        head, reached = _prediction_text(predicted), calls_reach(config)
    except PipelineError as error:
        predicted, head, reached = None, f"no predictions: {error}", None
    text = "\n".join(
        [
            head,
            _table_text(stats, known),
            *_time_lines(known["timings"]),
            packages_table(known["packages"]),
            *_reach_lines(reached),
            *_expected_lines(config),
        ]
    )
    data = {"predictions": predicted, "statistics": stats, **known, "calls": reached}
    return Outcome(text, data)


def _prediction_text(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    return (
        f"{found['file']}: {sum(found['predictions'])} of {found['rows']} clients predicted to "
        f"leave by model version {found['model_version']}"
    )


def _table_text(stats: dict[str, Any], known: dict[str, Any]) -> str:
    lines = [
        f"finaldata.csv, {stats['rows']} rows, measured {stats['measured_at']}",
        f"  {'column':26} {'mean':>12} {'median':>12} {'deviation':>12} {'missing %':>10}",
    ]
    for name, missing in known["missing_percent"].items():
        cells = [
            _shown(stats["columns"].get(name, {}).get(key)) for key in ("mean", "median", "std")
        ]
        lines.append(f"  {name:26} {cells[0]:>12} {cells[1]:>12} {cells[2]:>12} {missing:>10.2f}")
    return "\n".join(lines)


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _time_lines(times: dict[str, Any]) -> list[str]:
    return [
        f"{stage}: {t['seconds']:.3f} s on {t['measured_at']}" if t else f"{stage}: not run yet"
        for stage, t in times.items()
    ]


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--file", type=Path, metavar="FILE", help="predictions with reasons, as CSV")
    one.add_argument("--client", metavar="NAME", help="one client's risk, reasons and history")
    one.add_argument(
        "--drift", action="store_true", help="has the world moved since the deployment"
    )
    one.add_argument("--model", action="store_true", help="what each value adds to the risk")
    one.add_argument(
        "--fresh", action="store_true", help="time ingestion and training on a scratch copy"
    )
    one.add_argument("--status", action="store_true", help="when was the last good run")
    one.add_argument("--doctor", action="store_true", help="check every artifact")


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.status:
        return status(config)
    if chosen.doctor:
        from risk.run.doctor import doctor

        return doctor(config)
    if chosen.fresh:
        times = _fresh_times(config)
        return Outcome("\n".join(["from nothing, as whole scripts:", *_time_lines(times)]), times)
    if chosen.file:
        return _explain_file(config, chosen.file)
    if chosen.client is not None:
        return client_explanation(config, chosen.client)
    if chosen.model:
        return _explain_model(config)
    if chosen.drift:
        return _explain_drift(config)
    return _diagnose(config)


def writes(chosen: argparse.Namespace) -> bool:
    reads = ("file", "model", "drift", "fresh", "status", "doctor")
    return chosen.client is None and not any(getattr(chosen, name) for name in reads)


if __name__ == "__main__":
    run(stage, __doc__, options=options, writes=writes)

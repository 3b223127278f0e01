"""Shows how the deployed model, the data, the runs and the installed packages are doing.

    python diagnostics.py               predictions, statistics, missing values, times, packages
    python diagnostics.py --file FILE   predictions for a CSV of yours
    python diagnostics.py --fresh       time ingestion and training now, on a scratch copy
    python diagnostics.py --status      when was the last good run? exit 1 after 25 minutes without
    python diagnostics.py --doctor      check every artifact; exit 1 and what to type where one is damaged
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from risk.artifacts import OpenRelease, read_optional_json, utc_now, write_json, write_whole
from risk.config import HOME, Config, Outcome, PipelineError
from risk.data.holdout import TestRows
from risk.data.reader import read_rows
from risk.data.schema import schema_of
from risk.model import portable
from risk.runner import run

LATE_MINUTES = 25
PACKAGE_HOURS = 24
PIP_SECONDS = 60


# ---------------------------------------------------------------- predictions


def predictions(config: Config, file: Path | None = None) -> dict[str, Any]:
    """The deployed model's 0/1 predictions and risks for the rows of a CSV (default: the test data)."""
    with OpenRelease(config) as release:
        model, version = portable.parse(release.verified("model.json")), release.version
    table = _table(config, model, file) if file else TestRows(config, model.columns).table
    risks = model.probabilities(table)
    return {
        "file": str(file) if file else config.shown(config.test_folder), "model_version": version,
        "rows": len(risks), "predictions": (risks >= 0.5).astype(int).tolist(),
        "probabilities": risks.tolist(), "clients": table[config.columns.id],
    }


def _table(config: Config, model: portable.Model, file: Path) -> portable.Table:
    schema = schema_of(config, dict(model.columns))
    try:
        reading = read_rows(file.read_bytes(), schema, config.csv, needed=frozenset(), limit=False)
    except OSError as error:
        raise PipelineError(f"cannot read {file}: {error.strerror}") from None
    if reading.refused:
        raise PipelineError(f"{file}: {reading.refused}")
    if reading.faults:
        f = reading.faults[0]
        raise PipelineError(f"{file}: {len(reading.faults)} bad rows, the first on line {f.line}: "
                            f"{f.column or 'the line'} {f.rule} ({f.value}); mend them and ask again")
    return reading.values


# ---------------------------------------------------------------- what was measured


def last_measured(config: Config) -> dict[str, Any]:
    """Times, missing shares and packages as they were measured last; nothing is measured now."""
    times, summary = read_optional_json(config.timings), read_optional_json(config.summary)
    packages = read_optional_json(config.packages)
    never = {"status": "unknown", "measured_at": None, "outdated": [], "reason": "never looked up; run diagnostics.py"}
    return {
        "timings": {stage: times.get(stage) for stage in ("ingestion", "training")},
        "missing_percent": {n: c["missing_percent"] for n, c in summary.get("columns", {}).items()},
        "missing_measured_at": summary.get("measured_at"),
        "packages": packages or never,
    }


def statistics(config: Config) -> dict[str, Any]:
    """Mean, median and sample deviation of each numeric column, as ingestion measured them."""
    summary = read_optional_json(config.summary)
    wanted = ("mean", "median", "std", "count")
    columns = {name: {key: c[key] for key in wanted} for name, c in summary.get("columns", {}).items() if "mean" in c}
    return {"rows": summary.get("rows", 0), "measured_at": summary.get("measured_at"), "columns": columns}


def refresh_packages(config: Config) -> dict[str, Any]:
    """Which installed packages have newer versions, looked up at most once a day."""
    known = read_optional_json(config.packages)
    if known and _hours_since(known.get("measured_at")) < PACKAGE_HOURS:
        return known
    found = outdated_packages()
    write_json(config.packages, found)
    write_whole(config.log_folder / "outdated.txt", packages_text(found) + "\n")
    return found


def outdated_packages() -> dict[str, Any]:
    """What pip says; "unknown" with the reason when it cannot say.

    pip lists nothing as outdated when the index cannot be reached, so that it is asked first for the
    versions of one package, which fails then.
    """
    unknown = {"status": "unknown", "measured_at": utc_now(), "outdated": []}
    try:
        probe = _pip("index", "versions", "pip")
        if probe.returncode:
            return {**unknown, "reason": "the package index cannot be reached, or pip is not installed"}
        listed = _pip("list", "--outdated", "--format=json")
        outdated = [{"package": p["name"], "version": p["version"], "latest": p["latest_version"],
                     "type": p["latest_filetype"]} for p in json.loads(listed.stdout)]
    except subprocess.TimeoutExpired:
        return {**unknown, "reason": f"pip did not answer within {PIP_SECONDS} s"}
    except (OSError, ValueError, KeyError, TypeError):
        return {**unknown, "reason": "pip's answer could not be read"}
    return {"status": "known", "measured_at": utc_now(), "outdated": outdated, "reason": ""}


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    quick = ("--disable-pip-version-check", "--no-input", "--retries", "0", "--timeout", "5")
    return subprocess.run([sys.executable, "-m", "pip", *arguments, *quick], capture_output=True, text=True,
                          timeout=PIP_SECONDS, stdin=subprocess.DEVNULL)


def packages_text(found: dict[str, Any]) -> str:
    """The outdated packages as a table, with when that was looked up."""
    head = f"outdated packages as of {found['measured_at']}"
    if found["status"] == "unknown":
        return f"{head}: unknown ({found['reason']})"
    rows = [("package", "version", "latest", "type")]
    rows += [(p["package"], p["version"], p["latest"], p["type"]) for p in found["outdated"]]
    lines = [f"  {a:24} {b:16} {c:16} {d}" for a, b, c, d in rows]
    return "\n".join([f"{head}:", *lines]) if found["outdated"] else f"{head}: none"


def fresh_times(config: Config) -> dict[str, Any]:
    """Seconds that ingestion.py and training.py take from nothing, as whole scripts, on a scratch copy."""
    with tempfile.TemporaryDirectory(prefix="risk-fresh-") as scratch:
        settings = json.loads(config.path.read_text(encoding="utf-8-sig"))
        settings |= {"input_folder_path": str(config.input_folder), "test_data_path": str(config.test_folder)}
        written = ("output_folder_path", "output_model_path", "prod_deployment_path", "state_path", "log_path")
        settings |= {key: str(Path(scratch, key)) for key in written}
        copy = Path(scratch, "config.json")
        copy.write_text(json.dumps(settings), encoding="utf-8")
        return {stage: _timed_script(stage, copy) for stage in ("ingestion", "training")}


def _timed_script(stage: str, config_path: Path) -> dict[str, Any]:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, str(HOME / f"{stage}.py"), "--config", str(config_path)],
                          capture_output=True, text=True)
    if done.returncode:
        raise PipelineError(f"{stage}.py fails on a scratch copy: {done.stderr.strip()[-500:]}")
    return {"seconds": round(time.perf_counter() - started, 3), "measured_at": utc_now()}


def _hours_since(stamp: str | None) -> float:
    try:
        then = datetime.fromisoformat(stamp or "")
    except ValueError:
        return float("inf")
    hours = (datetime.now(UTC) - then).total_seconds() / 3600
    return hours if hours >= 0 else float("inf")


# ---------------------------------------------------------------- status and doctor


def status(config: Config) -> Outcome:
    """Whether the cron line is alive: the last good run, and what is wrong with the last one."""
    marker = read_optional_json(config.run_marker)
    failed = marker.get("failed") or {}
    trouble = f"; since then a run failed in {failed['stage']}: {failed['error']}" if failed else ""
    try:
        # The clock may have been set back: a beat in the future is as good as one now.
        minutes = max(0.0, (time.time() - config.heartbeat.stat().st_mtime) / 60)
    except FileNotFoundError:
        return Outcome(f"no run of fullprocess.py has ended well yet{trouble}",
                       {"state": "never", "minutes": None, "failed": failed}, code=1)
    late = minutes > LATE_MINUTES
    word = "late" if late else "ok"
    text = f"{word}: the last good run ended {minutes:.0f} minutes ago ({marker.get('reason') or 'nothing to do'})"
    return Outcome(text + trouble, {"state": word, "minutes": round(minutes, 1), "failed": failed}, code=int(late))


def doctor(config: Config) -> Outcome:
    """Every artifact checked against its digest or its source; what is damaged and what to type."""
    found = [(name, *_checked(check, config)) for name, check in CHECKS.items()]
    bad = [name for name, good, _ in found if not good]
    lines = [f"{'ok     ' if good else 'DAMAGED'} {name}: {what}" for name, good, what in found]
    verdict = "all is well" if not bad else f"damaged: {', '.join(bad)}"
    data = {"checks": [{"name": n, "ok": good, "what": what} for n, good, what in found]}
    return Outcome("\n".join([*lines, verdict]), data, code=int(bool(bad)))


def _checked(check: Any, config: Config) -> tuple[bool, str]:
    try:
        return True, check(config)
    except (PipelineError, OSError, ValueError, KeyError, TypeError) as error:
        return False, str(error) or type(error).__name__


def _check_store(config: Config) -> str:
    from risk.data.store import Store, csv_bytes, stored_rows

    if not config.store_state.exists():
        return "nothing was ingested yet"
    rows, schema, _ = stored_rows(config)
    if csv_bytes(rows, schema, header=True) != config.finaldata.read_bytes():
        raise PipelineError("finaldata.csv and the segments differ; run ingestion.py --rebuild")
    store = Store.open(config)
    if not config.ingested_files.exists():
        raise PipelineError("ingestedfiles.txt is missing; run ingestion.py")
    return f"{rows.height} rows of {len(store.live())} files"


def _check_model(config: Config) -> str:
    from risk.artifacts import sha256

    if not config.model_json.exists() and not config.model_pickle.exists():
        return "nothing was trained yet"
    model = portable.parse(config.model_json.read_bytes())
    if model.lineage.get("trainedmodel_sha256") != sha256(config.model_pickle.read_bytes()):
        raise PipelineError("trainedmodel.pkl and model.json do not belong together; run training.py, "
                            "then scoring.py")
    if config.score_json.exists():
        score = json.loads(config.score_json.read_bytes())
        if float(config.score.read_bytes()) != score["f1"]:
            raise PipelineError("latestscore.txt and latestscore.json disagree; run scoring.py")
    return f"trained {model.lineage['trained_at']} on {model.lineage['rows']} rows"


def _check_deployment(config: Config) -> str:
    from risk.artifacts import current_version

    if current_version(config) is None and not (config.production_folder / "current").is_symlink():
        return "nothing is deployed yet"
    with OpenRelease(config) as release:
        for name in release.manifest["files"]:
            if name != "finaldata.csv" or (config.production_folder / "current" / name).exists():
                release.verified(name)
        portable.parse(release.verified("model.json"))
        version = release.version
    for name in (*release.manifest["files"], "manifest.json"):
        link = config.production_folder / name
        if not link.is_symlink() or os.readlink(link) != f"current/{name}":
            raise PipelineError(f"{link} is no longer the link to current/{name}; run deployment.py")
    return f"version {version}, every file as in its manifest"


def _check_older_releases(config: Config) -> str:
    from risk.artifacts import current_version, file_sha256, releases

    kept = [r for r in releases(config) if r.version != current_version(config)]
    folders = {f.name for f in config.production_folder.glob("releases/[0-9]*")}
    named = {f"{r.version:06d}" for r in releases(config)}
    for name in sorted(folders - named):
        raise PipelineError(f"releases/{name} has no readable manifest; delete that folder")
    for release in kept:
        for name, digest in release.manifest["files"].items():
            path = release.folder / name
            if not path.exists() and name == "finaldata.csv":
                continue
            if not path.exists() or file_sha256(path) != digest:
                raise PipelineError(f"version {release.version}: {name} is damaged; it cannot be rolled "
                                    f"back to, delete {config.shown(release.folder)}")
    return f"{len(kept)} kept"


def _check_list(config: Config) -> str:
    from risk.artifacts import current_version
    from risk.report.clients import csv_of

    if not config.clients_json.exists():
        return "not written yet"
    listing = json.loads(config.clients_json.read_bytes())
    if config.clients_csv.read_text(encoding="utf-8") != csv_of(listing):
        raise PipelineError("clients_at_risk.csv and .json differ; run reporting.py")
    if listing["model_version"] != current_version(config):
        raise PipelineError("the list is of another model version; run reporting.py")
    return f"{len(listing['clients'])} clients"


def _check_state(config: Config) -> str:
    for path in (config.run_marker, config.deployment_state, config.timings, config.packages):
        if path.exists() and not read_optional_json(path):
            raise PipelineError(f"{config.shown(path)} is damaged; delete it and run fullprocess.py")
    return config.shown(config.state_folder)


CHECKS = {
    "ingested rows": _check_store,
    "trained model": _check_model,
    "deployed release": _check_deployment,
    "older releases": _check_older_releases,
    "client list": _check_list,
    "state": _check_state,
}


# ---------------------------------------------------------------- the script


def diagnose(config: Config) -> Outcome:
    """Look up the packages if that is a day ago, and show everything that is known."""
    refresh_packages(config)
    known, stats = last_measured(config), statistics(config)
    try:
        predicted: dict[str, Any] | None = predictions(config)
        head = _prediction_text(predicted)
    except PipelineError as error:
        predicted, head = None, f"no predictions: {error}"
    text = "\n".join([head, _table_text(stats, known), *_time_lines(known["timings"]),
                      packages_text(known["packages"])])
    return Outcome(text, {"predictions": predicted, "statistics": stats, **known})


def _prediction_text(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    return (f"{found['file']}: {sum(found['predictions'])} of {found['rows']} clients predicted to leave "
            f"by model version {found['model_version']}")


def _table_text(stats: dict[str, Any], known: dict[str, Any]) -> str:
    lines = [f"finaldata.csv, {stats['rows']} rows, measured {stats['measured_at']}",
             f"  {'column':26} {'mean':>12} {'median':>12} {'deviation':>12} {'missing %':>10}"]
    for name, missing in known["missing_percent"].items():
        cells = [_shown(stats["columns"].get(name, {}).get(key)) for key in ("mean", "median", "std")]
        lines.append(f"  {name:26} {cells[0]:>12} {cells[1]:>12} {cells[2]:>12} {missing:>10.2f}")
    return "\n".join(lines)


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _time_lines(times: dict[str, Any]) -> list[str]:
    return [f"{stage}: {t['seconds']:.3f} s on {t['measured_at']}" if t else f"{stage}: not run yet"
            for stage, t in times.items()]


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--file", type=Path, metavar="FILE", help="predictions for this CSV")
    one.add_argument("--fresh", action="store_true", help="time ingestion and training on a scratch copy")
    one.add_argument("--status", action="store_true", help="when was the last good run")
    one.add_argument("--doctor", action="store_true", help="check every artifact")


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.status:
        return status(config)
    if chosen.doctor:
        return doctor(config)
    if chosen.fresh:
        times = fresh_times(config)
        return Outcome("\n".join(["from nothing, as whole scripts:", *_time_lines(times)]), times)
    if chosen.file:
        found = predictions(config, chosen.file)
        rows = [f"{client or '':30} {risk:7.1%} {'leaves' if call else 'stays'}" for client, risk, call in zip(
            found["clients"], found["probabilities"], found["predictions"], strict=True)]
        return Outcome("\n".join([_prediction_text(found), *rows]), found)
    return diagnose(config)


def writes(chosen: argparse.Namespace) -> bool:
    return not (chosen.file or chosen.fresh or chosen.status or chosen.doctor)


if __name__ == "__main__":
    run(stage, __doc__, options=options, writes=writes)

"""One tick of the driver: is there anything new, and should the deployed model be replaced?

Ingest, judge the deployed model on the new labelled rows, decide, retrain and redeploy if so, then
rewrite the client list, diagnose and call the API. Cron runs this every 10 minutes; a tick with
nothing to do ends before anything heavy is imported. A run that was killed anywhere is completed by
the next one.

    python fullprocess.py                       what cron runs
    python fullprocess.py --now                 look at everything even if nothing seems new
    python fullprocess.py --now --serve         and start the API on a free port for the calls
"""

import fcntl
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def idle_line(arguments):
    """The line of a tick that has nothing to do or finds the lock held; None if a full look is due.

    Only os, sys, json and fcntl: 143 of 144 ticks a day end here.
    """
    config_path = _only_config(arguments)
    if config_path is None:
        return None
    try:
        with open(config_path, encoding="utf-8-sig") as file:
            text = file.read()
        settings = json.loads(text)
        root = os.path.dirname(os.path.realpath(config_path))
        state = _folder(root, settings.get("state_path", "state/"))
        with open(os.path.join(state, "lock"), "r+b") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            return _idle(text, settings, root, state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _only_config(arguments):
    match arguments:
        case []:
            return os.path.join(HERE, "config.json")
        case ["--config", path]:
            return os.path.abspath(path)
        case [option] if option.startswith("--config="):
            return os.path.abspath(option.partition("=")[2])
    return None


def _folder(root, text):
    """As risk.config.resolve does it: a slash at both ends is relative to config.json's folder."""
    relative = text.strip("/") if text.startswith("/") and text.endswith("/") else text
    return os.path.realpath(os.path.join(root, relative))


def _idle(text, settings, root, state):
    with open(os.path.join(state, "run.json"), "rb") as file:
        marker = json.load(file)
    output = _folder(root, settings["output_folder_path"])
    production = _folder(root, settings["prod_deployment_path"])
    models = _folder(root, settings["output_model_path"])
    heartbeat = os.path.join(state, "heartbeat")
    with open(os.path.join(output, "state.json"), "rb") as file:
        stored = json.load(file)
    unchanged = (
        marker["format"] == 1 and bool(marker["finished"]) and marker["config"] == text
        and marker["release"] == _release(production)
        and (marker["release"] is None or os.path.exists(os.path.join(models, "clients_at_risk.csv")))
        and os.path.exists(os.path.join(output, "ingestedfiles.txt"))
        and not os.path.exists(os.path.join(output, "intent.json"))
        and _seen(os.path.join(output, "finaldata.csv")) == _recorded(stored["finaldata"])
        and all(_known(*item, stored["files"]) for item in _csv_files(_folder(root, settings["input_folder_path"])))
    )
    if not unchanged:
        return None
    os.utime(heartbeat)
    if marker["next_maturity"] and os.stat(heartbeat).st_mtime >= marker["next_maturity"]:
        return None
    return f"idle: nothing new since {marker['finished']}"


def _release(production):
    try:
        return int(os.path.basename(os.readlink(os.path.join(production, "current"))))
    except OSError:
        return None


def _seen(path):
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _recorded(finaldata):
    return [finaldata["bytes"], finaldata["mtime_ns"]] if finaldata else None


def _csv_files(folder):
    """(path below the folder, [size, mtime_ns]) of every regular CSV, found as ingestion.py finds them."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = os.path.join(place, name)
            if name.lower().endswith(".csv") and not name.startswith(".") and os.path.isfile(path):
                yield os.path.relpath(path, folder).replace(os.sep, "/"), _seen(path)


def _known(name, seen, files):
    entry = files.get(name)
    entry = entry and entry.get("refusal", entry)
    return bool(entry) and [entry["size"], entry["mtime_ns"]] == seen


# ---------------------------------------------------------------- a full tick


def tick(config, chosen):
    """Run one tick under the lock; its outcome in one line, exit code 0 unless a stage failed."""
    from risk.artifacts import locked, sweep
    from risk.config import Busy, Outcome

    guard(config)
    try:
        with locked(config, "fullprocess.py", 0):
            sweep(config)
            return _recorded_run(config, chosen)
    except Busy as busy:
        return Outcome(f"locked: {busy}", {"outcome": "locked", "reason": str(busy)}, worked=False)


def _recorded_run(config, chosen):
    """The run between the opening and the closing of its marker, in the log whatever happens."""
    from risk.artifacts import make_folder, read_optional_json, utc_now, write_json
    from risk.config import PipelineError
    from risk.runner import start_log

    log = start_log(config)
    before = read_optional_json(config.run_marker)
    marker = {"format": 1, "started": utc_now(), "finished": None, "failed": None,
              "config": config.path.read_text(encoding="utf-8-sig"), "release": before.get("release"),
              "judged": before.get("judged") or {"tick": 0, "day": ""}, "next_maturity": 0,
              "outcome": None, "reason": None}
    write_json(config.run_marker, marker)
    run = Run(config, marker, complete=bool(before.get("finished")))
    try:
        outcome = run.all(serve=chosen.serve, summary=chosen.summary)
    except (PipelineError, OSError) as error:
        marker["failed"] = {"stage": run.stage, "error": str(error), "at": utc_now()}
        write_json(config.run_marker, marker)
        log.error("failed in %s: %s", run.stage, one_line(str(error)))
        raise
    write_json(config.run_marker, marker | {"finished": utc_now()})
    make_folder(config.state_folder)
    config.heartbeat.touch()
    log.info("%s: %s", marker["outcome"], one_line(marker["reason"]))
    return outcome


def one_line(text):
    """The text without line breaks: a name in the data must not forge a line of the log."""
    return " ".join(text.split())


class Run:
    """One full tick: each step reads what is on disk, so that a run cut off anywhere is completed."""

    def __init__(self, config, marker, *, complete):
        self.config, self.marker, self.complete = config, marker, complete
        self.stage = "start"
        self.notes = []

    def all(self, *, serve, summary):
        from risk.artifacts import current_version
        from risk.config import Outcome

        ingested = self.timed("ingestion", self._ingest)
        decision, evidence, place = self._decide()
        if decision.verdict == "deploy":
            self._redeploy()
        if decision.judged:
            self.marker["judged"] = {"tick": place["tick"], "day": place["day"]}
        version = current_version(self.config)
        # A run that was cut off may have deployed without telling anybody: the list shows it.
        if version and (ingested.worked or not self.complete or self._list_is_stale(version, place["tick"])):
            self._tell(serve=serve)
        elif version and serve:
            self._call(serve=True)
        words = {"keep": "kept", "wait": "waited", "deploy": f"deployed version {version}", "held": "held"}
        self.marker |= {"outcome": words[decision.verdict], "reason": decision.reason, "release": version,
                        "next_maturity": place["next_maturity"]}
        line = f"{words[decision.verdict]}: {decision.reason}"
        lines = [line, *(f"  {note}" for note in self.notes)]
        text = summary_text(self.config, line, self.notes) if summary else "\n".join(lines)
        return Outcome(text, {"outcome": decision.verdict, "reason": decision.reason, "release": version,
                              "ingested": ingested.data, "evidence": vars(evidence), "notes": self.notes})

    def timed(self, stage, step):
        """Run one stage, and keep its seconds when it had work to do."""
        import time

        from risk.runner import record_time

        self.stage, started = stage, time.perf_counter()
        outcome = step()
        if outcome.worked:
            record_time(self.config, stage, time.perf_counter() - started)
        return outcome

    def _ingest(self):
        from ingestion import ingest

        outcome = ingest(self.config, patient=True)
        self.notes += outcome.text.splitlines() if outcome.worked else outcome.data["notes"]
        return outcome

    def _decide(self):
        from risk.monitor.evidence import decide

        self.stage = "decision"
        evidence, place = gather(self.config, self.marker["judged"])
        return decide(self.config.policy, evidence), evidence, place

    def _redeploy(self):
        from deployment import deploy
        from scoring import score
        from training import train

        for stage, step in (("training", train), ("scoring", score), ("deployment", deploy)):
            outcome = self.timed(stage, lambda step=step: step(self.config))
            self.notes += outcome.text.splitlines()

    def _list_is_stale(self, version, store_tick):
        from risk.report.clients import read_list

        listing = read_list(self.config)
        return (listing.get("model_version"), listing.get("tick")) != (version, store_tick)

    def _tell(self, *, serve):
        from diagnostics import refresh_packages
        from reporting import report

        self.notes += self.timed("reporting", lambda: report(self.config)).text.splitlines()
        self.stage = "diagnostics"
        found = refresh_packages(self.config)
        self.notes.append(f"{len(found['outdated'])} outdated packages" if found["status"] == "known"
                          else f"outdated packages: unknown ({found['reason']})")
        self._call(serve=serve)

    def _call(self, *, serve):
        from apicalls import collect

        self.stage = "apicalls"
        self.notes += collect(self.config, serve=serve).text.splitlines()


def gather(config, judged):
    """(evidence for the decision, where in the data it stands), from what is on disk."""
    from deployment import is_held
    from risk.artifacts import current_version
    from risk.data.store import labelled, next_maturity, stored_rows, today
    from risk.monitor.evidence import Evidence

    deployed, day = current_version(config), today()
    if not config.store_state.exists() and not config.finaldata.exists():
        return Evidence(deployed, is_held(config), trainable="no rows were ingested yet"), {
            "tick": 0, "day": str(day), "next_maturity": 0}
    rows, schema, store_tick = stored_rows(config)
    known = labelled(rows, schema, config.horizon_days, day)
    found = judged_rows(config, rows, known, schema, judged) if deployed is not None else {}
    waiting = next_maturity(rows, schema, config.horizon_days, day)
    place = {"tick": store_tick, "day": str(day), "next_maturity": _epoch(waiting)}
    return Evidence(deployed, is_held(config), trainable=_lack(known, schema), **found), place


def _lack(known, schema):
    """What training's minimum still lacks, "" if it is met."""
    import numpy as np

    from risk.config import PipelineError
    from risk.model.recipe import check_enough

    try:
        check_enough(known[schema.named("target")].to_numpy().astype(np.int64))
    except PipelineError as error:
        return str(error)
    return ""


def judged_rows(config, rows, known, schema, judged):
    """How the deployed model does on labelled rows that are new to it."""
    from risk.artifacts import OpenRelease
    from risk.model import portable
    from risk.model.measures import THRESHOLD, f1

    with OpenRelease(config) as release:
        model, manifest = portable.parse(release.verified("model.json")), release.manifest
    unseen = known.filter(new_since(known, config, manifest["tick"], manifest["day"]))
    fresh = unseen.filter(new_since(unseen, config, judged["tick"], judged["day"]) & ~unseen["_replaced"])
    labels = fresh[schema.named("target")].to_numpy()
    risks = model.probabilities({name: fresh[name].to_list() for name in model.columns})
    exits = int((labels == 1).sum())
    later = rows["_tick"] > max(manifest["tick"], judged["tick"])
    return {
        "deployed_f1": score_to_beat(config, model, manifest), "unseen": unseen.height,
        "fresh_f1": f1(labels, (risks >= THRESHOLD).astype(int)) if exits else None,
        "rows": fresh.height, "exits": exits,
        "unlabelled": int(later.sum()) - int((known["_tick"] > max(manifest["tick"], judged["tick"])).sum()),
    }


def new_since(rows, config, known_tick, known_day):
    """Which labelled rows were not yet there, or not yet mature, at that tick and day."""
    import datetime

    from risk.data.store import mature

    late = rows["_tick"] > known_tick
    if not known_day or not config.horizon_days:
        return late
    return late | ~mature(rows, config.horizon_days, datetime.date.fromisoformat(known_day))


def score_to_beat(config, model, manifest):
    """The deployed model's F1 on the test data as it is now: scores on other test data do not compare."""
    from risk.data.holdout import TestRows
    from scoring import score_of

    test = TestRows(config, model.columns)
    if test.sha256 == manifest["test_sha256"]:
        return manifest["f1"]
    found = score_of(model, test)
    return found["f1"] if found else manifest["f1"]


def _epoch(day):
    import datetime

    if not day:
        return 0
    midnight = datetime.datetime.combine(datetime.date.fromisoformat(day), datetime.time(), datetime.UTC)
    return midnight.timestamp()


def summary_text(config, line, notes):
    """What a person who typed `make run` wants to know."""
    from deployment import listing
    from risk.artifacts import current_version, read_optional_json
    from risk.report.clients import read_list
    from scoring import sentence

    score = read_optional_json(config.production_folder / "current" / "latestscore.json")
    clients = read_list(config).get("clients", [])[:5]
    top = [f"  {c['rank']:>3}  {c['risk']:4.0%}  {c['client']}" for c in clients]
    parts = ["", "What was done", *(f"  {note.strip()}" for note in notes), "",
             "What was decided", f"  {line}"]
    if current_version(config) is None:
        return "\n".join([*parts, "", "What to type next", "  add labelled files to the input folder, "
                          "then python fullprocess.py"])
    files = [config.clients_csv, config.confusion_matrix, config.api_returns, config.finaldata,
             config.ingested_files, config.production_folder]
    parts += ["", "How good the deployed model is", f"  {sentence(score)}", "", "Who to call first", *top, "",
              "Where things are", *(f"  {config.shown(path)}" for path in files), "",
              "Releases", *(f"  {row}" for row in listing(config).text.splitlines())]
    own = "" if config.path.parent == config.root and config.path.name == "config.json" else f" --config {config.path}"
    return "\n".join([*parts, "", "What to type next",
                      "  make serve                                the API on port 8000",
                      "  make cron                                 the line for crontab",
                      f"  python diagnostics.py --status{own}        is it alive?",
                      "  python ingestion.py --init DIR FILE.csv   a project from a table of your own"])


# ---------------------------------------------------------------- the watchdog


def guard(config):
    """Fork a process that ends this run, with its children, after run_limit_minutes.

    It is forked before the lock is taken and before any thread starts, and leaves as soon as its
    pipe shows that this process has ended, however it did.
    """
    import select

    reading, writing = os.pipe()
    worker = os.getpid()
    if os.fork():
        os.close(reading)
        os.set_inheritable(writing, False)
        return
    os.close(writing)
    os.setsid()
    if not select.select([reading], [], [], config.run_limit_minutes * 60)[0]:
        sys.stderr.write(f"error: the run was ended after {config.run_limit_minutes:g} minutes, its limit; "
                         "the next run completes what is open\n")
        end_tree(worker)
    os._exit(0)


def end_tree(process):
    """Kill the process and all its descendants, the process first, so that it starts no other."""
    import signal

    doomed = [process, *descendants(process)]
    for number in doomed:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            pass


def descendants(process):
    """Process numbers below the process, by /proc."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    found, edge = [], {process}
    while edge:
        edge = {child for child, parent in parents.items() if parent in edge and child != os.getpid()}
        found += edge
    return found


def options(parser):
    parser.add_argument("--now", action="store_true", help="look at everything even if nothing seems new")
    parser.add_argument("--serve", action="store_true", help="start the API on a free port for the calls")
    parser.add_argument("--summary", action="store_true", help="end with a summary for a person")


def main():
    line = idle_line(sys.argv[1:])
    if line is not None:
        print(line)
        return
    from risk.runner import run

    run(tick, __doc__, options=options, writes=lambda _: False)


if __name__ == "__main__":
    main()

"""One tick of the driver: is there anything new, and should the deployed model be replaced?

Ingest, judge the deployed model on the new labelled rows, decide, retrain and redeploy if so, then
rewrite the client list, diagnose and call the API. Cron runs this every 10 minutes; a tick with
nothing to do ends before anything heavy is imported. A run that was killed anywhere is completed by
the next one.

    python fullprocess.py                       what cron runs
    python fullprocess.py --now                 look at everything even if nothing seems new
    python fullprocess.py --now --serve         and start the API on a free port for the calls
    python fullprocess.py --explain             why the last decision was what it was
    python fullprocess.py --history             every decision so far
    python fullprocess.py --dry-run             what the next tick would decide
    python fullprocess.py --replay FOLDER       what each policy would have done with dated files
    python fullprocess.py --test-alerts         send one test mail and webhook
"""

from __future__ import annotations

import fcntl
import json
import os
import sys

# 143 of 144 ticks a day are idle and import these four alone; typing would be a fifth.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from risk.config import Config, Outcome
    from risk.data.snapshot import DataVersion
    from risk.decide.decision import EvaluationResult
    from risk.model.deployed import Deployed
    from risk.model.model import Model
    from risk.run.journal import Journal

    # A stage's outcome, alone or before what it made.
    Made = TypeVar("Made", Outcome, tuple[Outcome, Any])

LATE_SECONDS = 25 * 60  # as risk.run.journal has it
HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = {
    "keep": "kept",
    "wait": "waited",
    "deploy": "deployed version {}",
    "held": "held",
    "fault": "held by a data fault",
}


def idle_line(arguments: list[str]) -> str | None:
    """The line of a tick that has nothing to do; None if a full look is due."""
    config_path = _only_config(arguments)
    if config_path is None:
        return None
    try:
        with open(config_path, "rb") as file:
            text = file.read().decode().removeprefix("\ufeff")
        settings = json.loads(text)
        root = os.path.realpath(os.path.dirname(config_path))
        state = _folder(root, settings.get("state_path", "state/"))
        with open(os.path.join(state, "lock"), "rb") as lock:
            # Shared, so that two idle ticks never take each other for a run.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.utime(lock.fileno())
            return _idle(text, settings, root, state, os.fstat(lock.fileno()).st_mtime)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _only_config(arguments: list[str]) -> str | None:
    match arguments:
        case []:
            return os.path.join(HERE, "config.json")
        case ["--config", path]:
            return os.path.abspath(path)
        case [option] if option.startswith("--config="):
            return os.path.abspath(option.partition("=")[2])
    return None


def _folder(root: str, text: str) -> str:
    """As risk.config.resolve has it: a slash at both ends is relative to config.json's folder."""
    relative = text.strip("/") if text.startswith("/") and text.endswith("/") else text
    return os.path.realpath(os.path.join(root, relative))


def _idle(text: str, settings: dict[str, Any], root: str, state: str, now: float) -> str | None:
    """The line, if all is as the last completed run left it; a sign of life is left then."""
    marker = _read(os.path.join(state, "run.json"))
    inputs, output, models, production = (
        _folder(root, settings[f"{name}_path"])
        for name in ("input_folder", "output_folder", "output_model", "prod_deployment")
    )
    same = (
        marker["format"] == 1
        and marker["finished"]
        and marker["config"] == text
        and _seen_contacts(root, settings) == marker.get("contacts")
        and not (marker["next_maturity"] and now >= marker["next_maturity"])
        and not (marker.get("next_mail") and _is_to_tell(marker["next_mail"], state, now))
        and marker["release"] == _release(production)
        and marker["held"] == _held(state)
        and (marker["release"] is None or _listed(models))
        and _stored(inputs, output, marker["data_version"])
    )
    if not same:
        return None
    os.utime(os.path.join(state, "heartbeat"))
    _note_idle(os.path.join(state, "run_log"), int(now // 600))
    return f"idle: nothing new since {marker['finished']}"


def _note_idle(path: str, slot: int) -> None:
    """One byte in the ring of risk.run.runlog, unless another tick of these ten minutes has."""
    try:
        ring = os.open(path, os.O_RDWR)
        place, turn = 1 + slot % 1152, slot // 1152 % 64
        known = os.pread(ring, 1, place)
        if known < b"@" or known[0] % 64 != turn:
            os.pwrite(ring, bytes([64 + turn]), place)
        os.close(ring)
    except OSError:  # a note for people: without it the tick is as good
        pass


def _is_to_tell(next_mail: float, state: str, now: float) -> bool:
    """Whether a message is due; also that there was silence, which only a run can tell."""
    silence = now - os.stat(os.path.join(state, "heartbeat")).st_mtime
    return now >= next_mail or silence > LATE_SECONDS


def _read(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        return json.load(file)


def _release(production: str) -> int | None:
    try:
        return int(os.path.basename(os.readlink(os.path.join(production, "current"))))
    except FileNotFoundError:
        return None


def _held(state: str) -> bool:
    try:
        return bool(_read(os.path.join(state, "deployment.json"))["paused"])
    except (FileNotFoundError, ValueError):
        return False


def _listed(models: str) -> bool:
    names = ("clients_at_risk.csv", "clients_at_risk.json")
    return all(os.path.exists(os.path.join(models, name)) for name in names)


def _stored(inputs: str, output: str, data_version: int) -> bool:
    """Whether every file in the input folder is recorded, and the store as it was at that tick."""
    try:
        stored = _read(os.path.join(output, "state.json"))
    except FileNotFoundError:
        stored = {"data_version": 0, "finaldata": None, "files": {}}
    finaldata = stored["finaldata"]
    return (
        stored["data_version"] == data_version
        and os.path.isdir(inputs)
        and not os.path.exists(os.path.join(output, "intent.json"))
        and (not stored["files"] or os.path.exists(os.path.join(output, "ingestedfiles.txt")))
        and _seen(os.path.join(output, "finaldata.csv"))
        == ([finaldata["bytes"], finaldata["mtime_ns"]] if finaldata else None)
        and all(_known(name, seen, stored["files"]) for name, seen in _csv_files(inputs))
    )


def _seen(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _seen_contacts(root: str, settings: dict[str, Any]) -> list[int] | None:
    path = settings.get("contacts_path")
    return _seen(_folder(root, path)) if path else None


def _csv_files(folder: str) -> Iterator[tuple[str, list[int] | None]]:
    """(path below the folder, [size, mtime_ns]) of every regular CSV that ingestion.py finds."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not (name.startswith(".") or _is_csv(name))]
        for name in filter(_is_csv, files):
            path = os.path.join(place, name)
            if os.path.isfile(path):
                yield os.path.relpath(path, folder), _seen(path)


def _is_csv(name: str) -> bool:
    return name.lower().endswith(".csv") and not name.startswith(".")


def _known(name: str, seen: list[int] | None, files: dict[str, Any]) -> bool:
    if name not in files:
        return False
    latest = files[name].get("refusal", files[name])
    return [latest["size"], latest["mtime_ns"]] == seen


# ---------------------------------------------------------------- a full tick


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    """What the command line asks for: a tick, unless it only asks what was or would be decided."""
    if chosen.replay:
        return _replayed(
            config, chosen.replay, chosen.policy or ["fast", "certified"], chosen.label_delay
        )
    if chosen.test_alerts:
        return _alerts_tried(config)
    if chosen.history or chosen.explain:
        return _told(config, explain=chosen.explain)
    return _foretold(config) if chosen.dry_run else _tick(config, chosen)


def _told(config: Config, *, explain: bool) -> Outcome:
    """The history as a table, or why the last tick did what it did."""
    from risk.config import Outcome
    from risk.record.history import entries, explain_entry, history_table, last_decision

    if not explain:
        found = entries(config)
        return Outcome(
            history_table(found) if found else "nothing was decided yet",
            {"history": [entry.to_json() for entry in found]},
        )
    last = last_decision(config)
    text = explain_entry(last) if last else "nothing was decided yet"
    return Outcome(text, last.to_json() if last else {})


def _replayed(config: Config, folder: str, policies: list[str], delay: int) -> Outcome:
    """What each policy would have done with the dated files of a folder, on a scratch copy."""
    import tempfile
    from dataclasses import replace
    from pathlib import Path

    from ingestion import ingest
    from risk.config import Outcome
    from risk.files import write_atomic
    from risk.report import replay as shown
    from risk.report.figures import png

    with tempfile.TemporaryDirectory() as scratch:
        copy = replace(
            config,
            input_folder=Path(folder).resolve(),
            output_folder=Path(scratch) / "ingesteddata",
            state_folder=Path(scratch) / "state",
        )
        read = ingest(copy)
        stream = shown.stream_in(copy)
        walks = shown.walks_of(stream, policies, delay)
    target = config.model_folder / "replay"
    write_atomic(target / "replay.csv", shown.csv_of(stream, walks))
    for walk in walks[-len(policies) :]:
        write_atomic(target / f"{walk.policy}.png", png(shown.chart(stream, walk, walks, delay)))
    text = (
        f"{read.text}\n\n{shown.table(walks, delay)}\n\n"
        f"every period: {config.shown(target)}/replay.csv, a chart for each policy beside it"
    )
    return Outcome(text, {"policies": {walk.policy: shown.figures_of(walk) for walk in walks}})


def _foretold(config: Config) -> Outcome:
    """What the next tick would decide: rows are taken in, nothing else is written."""
    from ingestion import ingest
    from risk.config import Outcome
    from risk.files import project_lock
    from risk.releases import read_deployment
    from risk.run.journal import Journal

    with project_lock(config, "fullprocess.py", 0):
        ingested = ingest(config, patient=True)
        judged = Journal(config).judged
        held = read_deployment(config).by_hand
        look = _decided(config, Inputs(config), judged, held=held, commit=False)
    verdict, reason = look.decision.verdict, look.decision.reason
    words = {"held": "would be held", "fault": "would be held by a data fault"}
    text = f"{words.get(verdict, f'would {verdict}')}: {reason}\n  {ingested.text}".rstrip()
    return Outcome(text, {"verdict": verdict, "reason": reason, "evidence": _evidence_of(look)})


def _tick(config: Config, chosen: argparse.Namespace) -> Outcome:
    """Run one tick under the lock; its outcome in one line, exit code 0 unless a stage failed."""
    from risk.config import Busy, Outcome
    from risk.files import project_lock, remove_temporary_files
    from risk.run.journal import note_ended
    from risk.run.watchdog import watch

    watch(config.run_limit_minutes * 60, lambda: note_ended(config))
    try:
        with project_lock(config, "fullprocess.py", 0):
            remove_temporary_files(config)
            return recorded(config, serve=chosen.serve, summary=chosen.summary)
    except Busy as busy:
        return Outcome(f"locked: {busy}", {"outcome": "locked", "reason": str(busy)}, worked=False)


def recorded(config: Config, *, serve: bool, summary: bool = False) -> Outcome:
    """The run between the opening and the closing of its marker, in the log whatever happens.

    What there is to tell people is sent at the very end: nothing waits for a mail server.
    """
    from dataclasses import replace

    from risk.config import PipelineError
    from risk.run.journal import Journal
    from risk.script import progress_line

    journal = Journal(config)
    try:
        with progress_line(config, "start"):
            journal.open()
            run = Run(config, journal)
            outcome = run.all(serve=serve)
    except (PipelineError, OSError) as error:
        why = journal.fail(error)
        _alert(config, journal)
        raise PipelineError(why) from error
    except Exception as error:
        journal.fail(error)
        _alert(config, journal)
        raise
    _alert(config, journal)
    if summary:
        outcome = replace(outcome, text=_summarised(config, outcome, run.inputs.deployed))
    return outcome


def _alert(config: Config, journal: Journal) -> None:
    """Tell people what is new; whatever goes wrong with that is in the log and fails no run."""
    import time

    from risk.alerts.due import is_wanted, tell
    from risk.alerts.messages import secrets_in
    from risk.config import PipelineError

    if not is_wanted(config):
        return
    due = time.time() + 3600
    try:
        due = tell(config, journal, secrets_in(os.environ))
    except (PipelineError, OSError) as error:
        journal.log.error("nothing could be sent: %s", error)
    except Exception:
        journal.log.exception("nothing could be sent")
    journal.await_mail(due)


def _alerts_tried(config: Config) -> Outcome:
    """What became of one test message by each way that the config names."""
    from risk.alerts.due import is_wanted
    from risk.alerts.messages import secrets_in, tried
    from risk.config import Outcome, PipelineError

    if not is_wanted(config):
        raise PipelineError(f"{config.path}: neither mail nor webhook_url is set; docs/alerts.md")
    lines, worked = tried(config, secrets_in(os.environ))
    return Outcome("\n".join(lines), {"sent": worked, "lines": lines}, code=0 if worked else 1)


class Inputs:
    """What the stages of one run work on: read once after the ingestion, and handed on.

    snapshot: None before the first row, deployed: None before the first deployment.
    """

    def __init__(self, config: Config) -> None:
        from risk.data.holdout import Holdout
        from risk.data.snapshot import nothing_ingested, read_snapshot
        from risk.model.deployed import read_deployed
        from risk.releases import current_version

        begins = current_version(config) is None
        self.snapshot = None if begins and nothing_ingested(config) else read_snapshot(config)
        self.deployed = None if begins else read_deployed(config)
        self.test = Holdout(config)


class Run:
    """One full run: what is to be done follows from what is on disk, so that a run that was cut off
    is completed."""

    inputs: Inputs

    def __init__(self, config: Config, journal: Journal) -> None:
        self.config, self.journal = config, journal

    def all(self, *, serve: bool) -> Outcome:
        """Every step of the tick, in order; its outcome."""
        from risk.releases import current_version, read_deployment

        ingested = self._timed("ingestion", self._ingest)
        contacts = self._contacts()
        self._mend_history()
        self.journal.enter("snapshot")
        self.inputs = Inputs(self.config)
        self._watch()
        watched, held = current_version(self.config), read_deployment(self.config).by_hand
        look = self._look(held=held)
        if look.completes:
            later = self._look(held=held)
            look = later if later.record else look
        version = current_version(self.config)
        if look.alarm:
            self.journal.note(look.alarm)
        held = self._note_faults(look)
        if version != watched:
            self._watch()
        # A run that was cut off may have told some and not others.
        due = self.journal.completes or self._is_list_stale(version, look.stand)
        if version is not None and (due or serve):
            self._tell(serve=serve, anew=due)
        decision, stand = look.decision, look.stand
        outcome = WORDS[decision.verdict].format(version)
        judged = vars(stand) if decision.judged else vars(self.journal.judged)
        self.journal.close(
            outcome,
            decision.reason,
            judged=judged,
            release=version,
            held=held,
            data_version=stand.number,
            next_maturity=stand.next_maturity,
            contacts=contacts,
            next_mail=self._mail_at_once(),
        )
        text = "\n  ".join([f"{outcome}: {decision.reason}", *self.journal.notes])
        return _outcome(
            text,
            outcome=decision.verdict,
            reason=decision.reason,
            release=version,
            ingested=ingested.data,
            evidence=_evidence_of(look),
            notes=self.journal.notes,
        )

    def _mail_at_once(self) -> float:
        """Until what there is to tell is sent, no tick is idle: this run may be killed before."""
        import time

        from risk.alerts.due import is_wanted

        return time.time() if is_wanted(self.config) else 0

    def _watch(self) -> None:
        """Evaluate drift where something is new; alerts in the log, the table in the history."""
        from risk.drift.state import monitor_drift, save_state
        from risk.record.history import record_drift

        snapshot, deployed = self.inputs.snapshot, self.inputs.deployed
        if snapshot is None or deployed is None:
            return
        self.journal.enter("watch")
        evaluation, kept = monitor_drift(self.config, snapshot, deployed)
        if kept is None:
            return
        record_drift(self.config, evaluation)
        save_state(self.config, kept)
        for row in evaluation.alerts:
            self.journal.note(f"alert: {row.name}: {row.sentence}")

    def _note_faults(self, look: EvaluationResult) -> bool:
        """Note which data faults hold the deployment; whether anything holds it now."""
        from risk.releases import pause_for, read_deployment

        pause_for(self.config, [issue.key for issue in look.issues])
        return bool(read_deployment(self.config).paused)

    def _look(self, *, held: bool) -> EvaluationResult:
        """Decide, and do what was decided; in the history before and after, settled at the end."""
        from risk.decide.state import record_deployment
        from risk.releases import current_version

        self.journal.enter("decision")
        look = _decided(self.config, self.inputs, self.journal.judged, held=held)
        self._remember(look)
        if look.model is not None:
            self._deploy(look.model)
        elif look.decision.verdict == "deploy" and not look.completes:
            self._deploy(None)
        version = current_version(self.config)
        self._remember(look, version)
        if look.record and version is not None:
            record_deployment(self.config, look.record.key, version)
        return look

    def _mend_history(self) -> None:
        """Note the version that a run deployed which was cut off before it could."""
        from dataclasses import replace

        from risk.record.history import entries, record
        from risk.releases import current_version

        version = current_version(self.config)
        for last in entries(self.config, 1) if self.journal.completes else []:
            if last.after is None and version not in (None, last.before):
                record(self.config, replace(last, after=version))

    def _remember(self, look: EvaluationResult, version: int | None = None) -> None:
        """Write the look into the history: before anything is deployed, and what became of it."""
        from risk.files import utc_now
        from risk.record.history import Entry, record

        if look.record:
            record(self.config, Entry(**vars(look.record), at=utc_now(), after=version))

    def _deploy(self, chosen: Model | None) -> None:
        """Deploy the model that the evidence chose; None: a model trained on all rows there are."""
        from dataclasses import replace

        from deployment import deploy
        from risk.decide.evaluation import EVIDENCE_POLICIES, start_evidence
        from scoring import score
        from training import publish, train

        config, inputs, former = self.config, self.inputs, self.inputs.deployed
        snapshot = inputs.snapshot
        assert snapshot is not None  # nothing is chosen without rows
        _, model = self._timed(
            "training",
            lambda: (
                publish(config, chosen, snapshot, former) if chosen else train(config, snapshot)
            ),
        )
        self._timed("scoring", lambda: score(config, model, snapshot, inputs.test))
        _, deployed = self._timed("deployment", lambda: deploy(config, model))
        inputs.deployed = replace(deployed, former=former)
        if chosen is None and config.policy in EVIDENCE_POLICIES:
            start_evidence(config, snapshot, deployed)

    def _timed(self, stage: str, step: Callable[[], Made]) -> Made:
        """Run one stage; keep its lines, and its seconds when it had work to do."""
        import time

        from risk.script import record_time

        self.journal.enter(stage)
        started = time.perf_counter()
        made = step()
        outcome = made[0] if isinstance(made, tuple) else made
        if outcome.worked:
            record_time(self.config, stage, time.perf_counter() - started)
            self.journal.note(outcome.text)
        return made

    def _ingest(self) -> Outcome:
        from ingestion import ingest

        outcome = ingest(self.config, patient=True)
        if not outcome.worked:
            self.journal.note("\n".join(outcome.data["notes"]))
        return outcome

    def _contacts(self) -> list[int] | None:
        """Take new contacts in; what of their file need not be looked at again."""
        from risk.record.contacts import read_contacts

        self.journal.enter("contacts")
        taken = read_contacts(self.config)
        self.journal.note("\n".join(taken.notes))
        return taken.seen

    def _is_list_stale(self, version: int | None, stand: DataVersion) -> bool:
        from risk.calllist.ranking import settings_of
        from risk.calllist.types import read_list

        listing = read_list(self.config)
        if listing is None or not self.config.clients_csv.exists():
            return True
        made_of = (listing.model_version, listing.data_version, listing.settings)
        return made_of != (version, stand.number, settings_of(self.config))

    def _tell(self, *, serve: bool, anew: bool) -> None:
        """Whoever waits for results gets them: the list and the picture, diagnostics, the API."""
        from apicalls import collect
        from reporting import report
        from risk.run.packages import packages_line, refresh_packages

        if anew:
            inputs = self.inputs
            self._timed(
                "reporting",
                lambda: report(self.config, inputs.snapshot, inputs.deployed, inputs.test),
            )
            self.journal.enter("diagnostics")
            found = refresh_packages(self.config)
            self.journal.note(packages_line(found))
        self._timed("apicalls", lambda: collect(self.config, serve=serve))


def _decided(
    config: Config, inputs: Inputs, judged: DataVersion, *, held: bool, commit: bool = True
) -> EvaluationResult:
    """The verdict of the configured policy, and what it asks to be deployed."""
    from risk.decide.evaluation import EVIDENCE_POLICIES, evaluate
    from risk.decide.policies import data_pause, evaluate_plain

    snapshot, deployed, test = inputs.snapshot, inputs.deployed, inputs.test
    if snapshot is None or deployed is None:
        return evaluate_plain(config, snapshot, None, test, judged, held=held)
    if config.policy in EVIDENCE_POLICIES:
        return evaluate(config, snapshot, deployed, test, held=held, commit=commit)
    since = max(deployed.trained_at.number, judged.number)
    fault = None if held else data_pause(config, snapshot, deployed, since)
    return fault or evaluate_plain(config, snapshot, deployed, test, judged, held=held)


def _evidence_of(look: EvaluationResult) -> dict[str, Any]:
    return look.record.to_json() if look.record else {}


def _outcome(text: str, **data: object) -> Outcome:
    from risk.config import Outcome

    return Outcome(text, data)


def _summarised(config: Config, outcome: Outcome, deployed: Deployed | None) -> str:
    """The outcome of the run with the state of things, for a person."""
    from deployment import list_releases
    from risk.run.summary import summary
    from scoring import sentence

    score = sentence(deployed.score) if deployed else ""
    return summary(config, outcome, score, list_releases(config).text)


def _whole(text: str) -> int:
    """A number of files from 0; ValueError for anything else."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--now", action="store_true", help="look at everything even if nothing seems new"
    )
    parser.add_argument(
        "--serve", action="store_true", help="start the API on a free port for the calls"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="why the last tick that had something to decide did what it did",
    )
    parser.add_argument("--history", action="store_true", help="every decision so far")
    parser.add_argument(
        "--dry-run", action="store_true", help="take new rows in and decide, but deploy nothing"
    )
    parser.add_argument(
        "--replay",
        metavar="FOLDER",
        help="walk through a folder of dated files as if each tick were then",
    )
    parser.add_argument(
        "--policy",
        nargs="+",
        choices=("fast", "certified"),
        help="the policies to replay (default: both)",
    )
    parser.add_argument(
        "--label-delay",
        type=_whole,
        default=0,
        metavar="N",
        help="a row's label comes N files later (default: 0, with the row)",
    )
    parser.add_argument(
        "--test-alerts",
        action="store_true",
        help="send one test mail and webhook, and say what became of them",
    )
    parser.add_argument("--summary", action="store_true", help="end with a summary for a person")


def main() -> None:
    line = idle_line(sys.argv[1:])
    if line is not None:
        print(line)
        return
    from risk.script import run

    run(stage, __doc__, options=options, writes=lambda _: False)


if __name__ == "__main__":
    main()

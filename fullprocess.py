"""One run of the driver: is there anything new, and should the deployed model be replaced?

It ingests new files; looks for drift; judges the deployed model on new labelled rows and decides;
trains, scores and deploys where that was decided; then makes list and report, diagnoses, calls the
API, and tells people. Cron starts it every 10 minutes: a run with nothing to do ends before
anything heavy is imported. What is to be done follows from what is on disk, so that a run that was
killed anywhere is completed by the next one.

    python fullprocess.py                       what cron runs
    python fullprocess.py --now                 a full run even if nothing seems new
    python fullprocess.py --now --serve         and start the API on a free port for the calls
    python fullprocess.py --explain             why the last decision was what it was
    python fullprocess.py --history             every decision so far
    python fullprocess.py --dry-run             what the next run would decide
    python fullprocess.py --replay FOLDER       what each policy would have done with dated files
    python fullprocess.py --test-alerts         send one test mail and webhook
"""

from __future__ import annotations

import os
import sys

from risk.run.idle import idle_line, ping_url

# All else is imported where it is used: an idle run pays for neither typing nor the stages.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any, TypeVar

    from risk.config import Config, Outcome
    from risk.decide.decision import EvaluationResult
    from risk.model.model import Model
    from risk.run.inputs import RunInputs
    from risk.run.record import RunRecord

    # A stage's outcome, alone or before what it made.
    Made = TypeVar("Made", Outcome, tuple[Outcome, Any])

OUTCOMES = {
    "keep": "kept",
    "wait": "waited",
    "deploy": "deployed version {}",
    "paused": "paused",
    "data issue": "paused by a data quality issue",
}


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    """What the command line asks for: a run, unless it only asks what was or would be decided."""
    if chosen.replay:
        policies = chosen.policy or ["fast", "certified"]
        return _replay(config, chosen.replay, policies, chosen.label_delay)
    if chosen.test_alerts:
        return _test_alerts(config)
    if chosen.history or chosen.explain:
        return _past_decisions(config, explain=chosen.explain)
    if chosen.dry_run:
        return _dry_run(config)
    return _run_under_lock(config, chosen)


def _run_under_lock(config: Config, chosen: argparse.Namespace) -> Outcome:
    """A run while nobody else changes the project; exit code 0 unless a stage failed."""
    from risk.config import Busy, Outcome
    from risk.files import project_lock
    from risk.run.watchdog import watch

    # Before the lock: the watchdog's copy of its descriptor would hold it on.
    watch(config.run_limit_minutes * 60, lambda: _end_hung(config))
    try:
        with project_lock(config, "fullprocess.py", 0):
            return run(config, serve=chosen.serve, summary=chosen.summary)
    except Busy as busy:
        return Outcome(f"locked: {busy}", {"outcome": "locked", "reason": str(busy)}, worked=False)


def run(config: Config, *, serve: bool, summary: bool = False) -> Outcome:
    """A run between the opening and the closing of its record, in the log whatever happens.

    What there is to tell people is sent at the very end: nothing waits for a mail server.
    """
    from dataclasses import replace

    from risk.config import PipelineError
    from risk.files import remove_temporary_files
    from risk.run.record import RunRecord
    from risk.script import progress_line

    record = RunRecord(config)
    steps = Steps(config, record)
    try:
        with progress_line(config, "start"):
            record.open()
            remove_temporary_files(config)  # here, so that a folder that is closed is on record
            _ping(config, record, "/start")
            outcome = steps.all(serve=serve)
    except Exception as error:
        why = record.fail(error)
        _ping(config, record, "/fail", why)
        _alert(config, record)
        if isinstance(error, (PipelineError, OSError)):
            raise PipelineError(why) from error  # a defect of ours keeps its traceback
        raise
    _ping(config, record, "", f"{record.marker['outcome']}: {record.marker['reason']}")
    _alert(config, record)
    if not summary:
        return outcome
    details = f"\n{outcome.text}\n{outcome.details}".rstrip()
    return replace(outcome, text=steps.summary(outcome), details=details)


class Steps:
    """The steps of a run; each leaves the record of how far it came."""

    inputs: RunInputs

    def __init__(self, config: Config, record: RunRecord) -> None:
        self.config, self.record = config, record

    def all(self, *, serve: bool) -> Outcome:
        """Every step, in order; the run's outcome."""
        from risk.releases import current_version, pause_for, read_deployment
        from risk.run.inputs import RunInputs

        config, record = self.config, self.record
        ingested = self.ingest()
        contacts = self.take_contacts()
        self.recover_history()
        record.enter("snapshot")
        self.inputs = RunInputs(config)
        self.monitor_drift()
        before, paused = current_version(config), read_deployment(config).by_hand
        result = self.decide(paused=paused)
        if result.completes:  # what a run that was cut off left; then the rows that came since
            later = self.decide(paused=paused)
            result = later if later.record else result
        if result.alarm:
            record.ask(result.alarm)
        pause_for(config, [issue.key for issue in result.issues])
        version = current_version(config)
        if version != before:  # drift is measured against what the deployed model has learned from
            self.monitor_drift()
        # A run that was cut off may have told some and not others.
        due = record.completes or self.is_list_stale(version)
        if version is not None and (due or serve):
            self.publish_results(serve=serve, anew=due)
        return self.close(result, ingested, contacts)

    def ingest(self) -> Outcome:
        from dataclasses import replace

        from ingestion import ingest

        outcome = self.timed("ingestion", lambda: ingest(self.config, patient=True))
        if not outcome.worked:
            self.record.keep(replace(outcome, text="\n".join(outcome.data["notes"])))
        return outcome

    def take_contacts(self) -> list[int] | None:
        """Take new contacts in; what of their file need not be looked at again."""
        from risk.record.contacts import read_contacts

        self.record.enter("contacts")
        found = read_contacts(self.config)
        self.record.note("\n".join(found.notes))
        return found.seen

    def recover_history(self) -> None:
        """Note the version that a run deployed which was cut off before it could."""
        from dataclasses import replace

        from risk.record.history import entries, record
        from risk.releases import current_version

        version = current_version(self.config)
        for last in entries(self.config, 1) if self.record.completes else []:
            if last.after is None and version not in (None, last.before):
                record(self.config, replace(last, after=version))

    def monitor_drift(self) -> None:
        """Evaluate drift where something is new; alerts in the log, the table in the history."""
        from risk.drift.state import monitor_drift, save_state
        from risk.record.history import record_drift

        snapshot, deployed = self.inputs.snapshot, self.inputs.deployed
        if snapshot is None or deployed is None:
            return
        self.record.enter("drift")
        kept = monitor_drift(self.config, snapshot, deployed)
        if kept is None:
            return
        record_drift(self.config, kept.evaluation)
        save_state(self.config, kept)
        for row in kept.evaluation.alerts:
            self.record.ask(f"alert: {row.name}: {row.sentence}")

    def decide(self, *, paused: bool) -> EvaluationResult:
        """Decide, and do what was decided.

        In the history before, so that a crash in between loses nothing, and again with what it led
        to; the decision state closes the evaluation last.
        """
        from risk.decide.evidence_file import record_deployment
        from risk.files import utc_now
        from risk.record.history import Entry, record
        from risk.releases import current_version

        self.record.enter("decision")
        result = self.inputs.evaluate(self.record.judged, paused=paused)
        decided = result.record
        if decided:
            record(self.config, Entry(**vars(decided), at=utc_now(), after=None))
        if result.model is not None:
            self.deploy(result.model)
        elif result.decision.verdict == "deploy" and not result.completes:
            self.deploy(None)
        version = current_version(self.config)
        if decided:
            record(self.config, Entry(**vars(decided), at=utc_now(), after=version))
            if version is not None:
                record_deployment(self.config, decided.key, version)
        return result

    def deploy(self, chosen: Model | None) -> None:
        """Deploy the model that the evidence chose; None: one trained on all rows there are."""
        from dataclasses import replace

        from deployment import deploy
        from risk.decide.evaluation import EVIDENCE_POLICIES, start_evidence
        from scoring import score
        from training import publish, train

        config, inputs, former = self.config, self.inputs, self.inputs.deployed
        snapshot = inputs.snapshot
        assert snapshot is not None  # nothing is chosen without rows

        def make() -> tuple[Outcome, Model]:
            return publish(config, chosen, snapshot, former) if chosen else train(config, snapshot)

        _, model = self.timed("training", make)
        self.timed("scoring", lambda: score(config, model, snapshot, inputs.test))
        _, deployed = self.timed("deployment", lambda: deploy(config, model))
        inputs.deployed = replace(deployed, former=former)
        # A model that the evidence chose has its state already: the evaluation wrote it.
        if chosen is None and config.policy in EVIDENCE_POLICIES:
            start_evidence(config, snapshot, deployed)

    def is_list_stale(self, version: int | None) -> bool:
        """Whether the list is of another model, other rows or other settings, or not whole."""
        from risk.calllist.ranking import settings_of
        from risk.calllist.types import read_about

        about, snapshot = read_about(self.config), self.inputs.snapshot
        if about is None or not self.config.clients_csv.exists():
            return True
        made_of = (about["model_version"], about["data_version"], tuple(about["settings"]))
        data_version = snapshot.version.number if snapshot else 0
        return made_of != (version, data_version, settings_of(self.config))

    def publish_results(self, *, serve: bool, anew: bool) -> None:
        """Whoever waits for results gets them: the list and the report, diagnostics, the API."""
        from apicalls import collect
        from reporting import report
        from risk.run.packages import packages_line, refresh_packages

        config, inputs = self.config, self.inputs
        if anew:
            snapshot, deployed = inputs.snapshot, inputs.deployed
            self.timed("reporting", lambda: report(config, snapshot, deployed, inputs.test))
            self.record.enter("diagnostics")
            self.record.details.append(packages_line(refresh_packages(config)))
        self.timed("apicalls", lambda: collect(config, serve=serve))

    def timed(self, stage: str, step: Callable[[], Made]) -> Made:
        """Do the step; keep its lines, and its seconds when it had work to do."""
        import time

        from risk.script import record_time

        self.record.enter(stage)
        started = time.perf_counter()
        made = step()
        outcome = made[0] if isinstance(made, tuple) else made
        if outcome.worked:
            record_time(self.config, stage, time.perf_counter() - started)
            self.record.keep(outcome)
        return made

    def close(
        self, result: EvaluationResult, ingested: Outcome, contacts: list[int] | None
    ) -> Outcome:
        """Close the record, from which the next run knows whether anything is new since."""
        import time

        from risk.alerts.due import is_wanted
        from risk.config import Outcome
        from risk.decide.decision import RECALIBRATE, sentence
        from risk.records import to_record
        from risk.releases import current_version, read_deployment
        from risk.words import as_sentence

        decision, data, record = result.decision, result.data_version, self.record
        version = current_version(self.config)
        outcome, reason = OUTCOMES[decision.verdict].format(version), decision.reason
        # In plain words where there was something to decide; else why there was not.
        plain = sentence(result.record, version) if result.record else as_sentence(reason)
        if result.record and result.record.action == RECALIBRATE:
            outcome, reason = "recalibrated", f"{sentence(result.record, version)}; {reason}"
        record.close(
            outcome,
            reason,
            judged=vars(data if decision.judged else record.judged),
            release=version,
            paused=bool(read_deployment(self.config).paused),
            data_version=data.number,
            next_maturity=data.next_maturity,
            contacts=contacts,
            # Until what there is to tell is sent, no run is idle: this one may be killed before.
            next_mail=time.time() if is_wanted(self.config) else 0,
        )
        return Outcome(
            "\n  ".join([f"{outcome}: {reason}", *record.notes]),
            {
                "outcome": decision.verdict,
                "reason": reason,
                "release": version,
                "ingested": ingested.data,
                "evidence": to_record(result.record) or {},
                "notes": [*record.notes, *record.details],
                "decision": plain,
                "attention": record.attention,
            },
            code=ingested.code,
            details="\n".join(record.details),
        )

    def summary(self, outcome: Outcome) -> str:
        """The outcome with the state of things, for a person."""
        from risk.run.summary import summary

        score = self.inputs.deployed.score if self.inputs.deployed else None
        return summary(self.config, outcome, score)


def _ping(config: Config, record: RunRecord, signal: str, words: str = "") -> None:
    """A sign of life at ping_url, if there is one; what goes wrong with it fails no run."""
    if config.ping_url:
        from risk.alerts.ping import ping

        why = ping(config.ping_url, signal, record.id, words)
        if why:
            record.log.warning("ping_url was not told: %s", why)


def _end_hung(config: Config) -> None:
    """What is left to do for a run that the watchdog has ended."""
    from risk.alerts.ping import FAIL, ping
    from risk.run.record import last_marker, note_ended

    note_ended(config)
    marker = last_marker(config)
    if config.ping_url and marker and marker["failed"]:
        ping(config.ping_url, FAIL, marker.get("id", ""), marker["failed"]["error"])


def _alert(config: Config, record: RunRecord) -> None:
    """Tell people what is new; whatever goes wrong with that is in the log and fails no run."""
    import time

    from risk.alerts.due import is_wanted, send_due
    from risk.alerts.messages import secrets_in
    from risk.config import PipelineError

    if not is_wanted(config):
        return
    due = time.time() + 3600  # of another try, where sending fails as a whole
    try:
        due = send_due(config, record, secrets_in(os.environ))
    except (PipelineError, OSError) as error:
        record.log.error("nothing could be sent: %s", error)
    except Exception:
        record.log.exception("nothing could be sent")
    record.await_mail(due)


def _past_decisions(config: Config, *, explain: bool) -> Outcome:
    """The history as a table, or why the last run did what it did."""
    from risk.config import Outcome
    from risk.record.history import entries, explain_entry, history_table, last_decision
    from risk.records import to_record

    if not explain:
        found = entries(config)
        return Outcome(history_table(found), {"history": to_record(found)})
    last = last_decision(config)
    text = explain_entry(last) if last else "nothing was decided yet"
    return Outcome(text, to_record(last) or {})


def _dry_run(config: Config) -> Outcome:
    """What the next run would decide: rows are taken in, nothing else is written."""
    from ingestion import ingest
    from risk.config import Outcome
    from risk.files import project_lock
    from risk.records import to_record
    from risk.releases import read_deployment
    from risk.run.inputs import RunInputs
    from risk.run.record import RunRecord

    with project_lock(config, "fullprocess.py", 0):
        ingested = ingest(config, patient=True)
        judged, paused = RunRecord(config).judged, read_deployment(config).by_hand
        result = RunInputs(config).evaluate(judged, paused=paused, commit=False)
    verdict, reason = result.decision.verdict, result.decision.reason
    words = {"paused": "would be paused", "data issue": "would be paused by a data quality issue"}
    return Outcome(
        f"{words.get(verdict, f'would {verdict}')}: {reason}\n  {ingested.text}".rstrip(),
        {"verdict": verdict, "reason": reason, "evidence": to_record(result.record) or {}},
    )


def _replay(config: Config, folder: str, policies: list[str], delay: int) -> Outcome:
    """What each policy would have done with the dated files of a folder, on a scratch copy."""
    import tempfile
    from dataclasses import replace
    from pathlib import Path

    from ingestion import ingest
    from risk.report.replay import replay

    with tempfile.TemporaryDirectory() as scratch:
        copy = replace(
            config,
            input_folder=Path(folder).resolve(),
            output_folder=Path(scratch) / "ingesteddata",
            state_folder=Path(scratch) / "state",
        )
        read = ingest(copy)
        outcome = replay(copy, policies, delay)
    return replace(outcome, text=f"{read.text}\n\n{outcome.text}")


def _test_alerts(config: Config) -> Outcome:
    """What became of one test message by each way that the config names."""
    from risk.alerts.due import is_wanted
    from risk.alerts.messages import secrets_in, send_test
    from risk.config import Outcome, PipelineError

    if not is_wanted(config):
        raise PipelineError(f"{config.path}: neither mail nor webhook_url is set; docs/alerts.md")
    lines, worked = send_test(config, secrets_in(os.environ))
    return Outcome("\n".join(lines), {"sent": worked, "lines": lines}, code=0 if worked else 1)


def _whole(text: str) -> int:
    """A number of files from 0; ValueError for anything else."""
    if int(text) < 0:
        raise ValueError(text)
    return int(text)


def options(parser: argparse.ArgumentParser) -> None:
    from functools import partial

    flag, option = partial(parser.add_argument, action="store_true"), parser.add_argument
    flag("--now", help="do a full run even if nothing seems new")
    flag("--serve", help="start the API on a free port for the calls")
    flag("--explain", help="why the last run that had something to decide did what it did")
    flag("--history", help="every decision so far")
    flag("--dry-run", help="take new rows in and decide, but deploy nothing")
    what = "walk through a folder of dated files as if each run were then"
    option("--replay", metavar="FOLDER", help=what)
    what = "the policies to replay (default: both)"
    option("--policy", nargs="+", choices=("fast", "certified"), help=what)
    what = "a row's label comes N files later (default: 0, with the row)"
    option("--label-delay", type=_whole, default=0, metavar="N", help=what)
    flag("--test-alerts", help="send one test mail and webhook, and say what became of them")
    flag("--summary", help="end with a summary for a person")


def main() -> None:
    line = idle_line(sys.argv[1:])
    if line is not None:
        print(line)
        if url := ping_url(sys.argv[1:]):
            from risk.alerts.ping import WELL, ping

            ping(url, WELL, words=line)  # the other side misses it where it does not arrive
        return
    from risk import script

    script.run(stage, __doc__, options=options, writes=lambda _: False)


if __name__ == "__main__":
    main()

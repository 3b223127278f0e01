"""Makes finaldata.csv and ingestedfiles.txt from every table in the input folder.

    python ingestion.py                         read what is new or changed
    python ingestion.py --init DIR FILE ...     a project of your own from your files
    python ingestion.py --guess FILE ...        what --init would take the columns for
    python ingestion.py --rebuild               read again what is in the input folder now
                        (--drop-missing: and let the rows go whose files are not)
    python ingestion.py --forget FILE           take one file's rows out
    python ingestion.py --erase CLIENT          take one client's rows out

Bad rows go to ingesteddata/quarantine with file, line, column, rule and value; the good ones go on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from risk.config import Config, Outcome, PipelineError, load
from risk.data.rebuild import open_intake, refuse_lost_rows, restart_intake
from risk.data.removal import erase, forget
from risk.data.schema import printable
from risk.data.sources import CLOSED
from risk.data.state import counts_of
from risk.data.status import counts_words
from risk.files import write_atomic, write_json
from risk.script import run

if TYPE_CHECKING:
    from risk.data.starter import Wanted


def ingest(
    config: Config, *, patient: bool = False, again: bool = False, drop: bool = False
) -> Outcome:
    """Read what is new or changed since the last ingestion and commit it as one data version.

    patient: leave a young file without its last newline for later. again: read everything anew.
    drop: without the rows whose files are gone. Code 1 where something could not be read.
    """
    intake = restart_intake(config) if again else open_intake(config)
    intake.take_files(patient=patient)
    if again or intake.lost_track:
        refuse_lost_rows(intake, drop=drop)
    intake.commit(again=again)
    store, entries = intake.store, intake.read
    total, kept = counts_of(*entries), counts_of(*store.live())["accepted"]
    if entries:
        head = (
            f"read {total['rows']} rows of {len(entries)} files: {total['accepted']} accepted, "
            f"{total['duplicates']} duplicates, {total['quarantined']} set aside; "
            f"{config.shown(config.finaldata)} has {kept} rows"
        )
    else:
        head = f"nothing new in {config.shown(config.input_folder)}; {kept} rows as before"
    # A file's name may hold what steers a terminal or forges a line of the log.
    attention = [printable(note) for note in intake.notes if note]
    status = _status_note(config) if entries and config.labels == "status" else ""
    ignored = printable(config.ignored_note) if entries else ""
    notes = [*attention, *filter(None, [status, ignored])]
    data = {"files": entries, "notes": notes, "kept": kept, "data_version": store.data_version}
    text = "\n  ".join([head, *notes])
    code = int(any(CLOSED in note for note in attention))
    return Outcome(text, data | total, bool(entries), code, attention=tuple(attention))


def _status_note(config: Config) -> str:
    """What the rows are since labels are made of them; "" before the first."""
    from risk.data.snapshot import read_snapshot  # with numpy, which nothing else here needs

    status = read_snapshot(config).status if config.finaldata.exists() else None
    return counts_words(status.counts(config.columns.target), status.window_days) if status else ""


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--rebuild", action="store_true", help="read the input folder again from nothing"
    )
    missing = "with --rebuild: let the rows go whose files are gone"
    parser.add_argument("--drop-missing", action="store_true", help=missing)
    one.add_argument("--forget", metavar="FILE", help="take one file's rows out")
    one.add_argument("--erase", metavar="CLIENT", help="take one client's rows out, for good")
    one.add_argument(
        "--init", nargs="+", metavar=("DIR", "FILE"), help="start a project from your files"
    )
    one.add_argument("--guess", nargs="+", metavar="FILE", help="what --init would take them for")
    parser.add_argument(
        "--labels",
        choices=("given", "status"),
        help="what the target column says: given, whether a client left after the row's date; "
        "status, whether it has left by then. Alone: change it and read everything again",
    )
    columns = parser.add_argument_group("which column is what, with --init and --guess")
    for part in ("id", "name", "target", "date", "owner", "value"):
        columns.add_argument(f"--{part}", default="", metavar="COLUMN")
    columns.add_argument("--left", nargs="+", default=[], metavar="WORD", help="the target's words")
    columns.add_argument("--stayed", nargs="+", default=[], metavar="WORD")
    columns.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN")
    columns.add_argument(
        "--show", nargs="+", default=[], metavar="COLUMN", help="shown, never learned from"
    )
    columns.add_argument(
        "--format", nargs="+", default=[], metavar="COLUMN=FORM", help="such as Renewal=dd/mm/yyyy"
    )
    columns.add_argument("--as-of", default="", metavar="DATE", help="of when an undated file is")


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.labels is not None:
        return _change_labels(config, chosen.labels, drop=chosen.drop_missing)
    if chosen.forget is not None:
        return forget(config, chosen.forget)
    if chosen.erase is not None:
        return _erase_everywhere(config, chosen.erase)
    return ingest(config, again=chosen.rebuild, drop=chosen.drop_missing)


def _erase_everywhere(config: Config, client: str) -> Outcome:
    """Take one client out of what is kept beside the rows, then out of the rows.

    After a crash in between the store still has the rows and asks again.
    """
    from risk.decide import forecasts
    from risk.record import contacts, scores

    name = client.strip(" \t")
    known = bool(name and (scores.past_scores(config, name) or contacts.contacts_of(config, name)))
    forecasts.forget_forecasts(config, name)
    asides = scores.forget_client(config, name) if name else []
    outcome = erase(config, client)
    if known:  # it was on lists, or somebody had noted something
        outcome = replace(outcome, code=0)
    note = f"May still name it: {', '.join(asides)}; delete what you no longer need."
    return replace(outcome, text=f"{outcome.text}\n  {note}") if asides else outcome


def before(chosen: argparse.Namespace) -> Outcome | None:
    """A new project needs no config: it gets one."""
    if chosen.init is None and chosen.guess is None:
        return None
    from risk.data.starter import preview, start

    wanted = _wanted(chosen)
    if chosen.guess is not None:
        return preview([Path(file) for file in chosen.guess], wanted)
    folder, *files = map(Path, chosen.init)
    return start(folder, files, wanted)


def _wanted(chosen: argparse.Namespace) -> Wanted:
    """What the flags decide; PipelineError for a date or a form that is none."""
    from risk.data.cells import Hints
    from risk.data.starter import Wanted
    from risk.data.values import FORMS, parse_date

    formats = dict(text.rpartition("=")[::2] for text in chosen.format)
    for name, form in formats.items():
        if not name or form not in FORMS:
            raise PipelineError(f"--format {name}={form}: known forms are {', '.join(FORMS)}")
    try:
        as_of = parse_date(chosen.as_of) if chosen.as_of else ""
    except ValueError as error:
        raise PipelineError(f"--as-of {chosen.as_of}: {error}") from None
    hints = Hints(
        chosen.id,
        chosen.name,
        chosen.target,
        chosen.date,
        chosen.owner,
        chosen.value,
        tuple(chosen.left),
        tuple(chosen.stayed),
        tuple(chosen.ignore),
        tuple(chosen.show),
        formats,
    )
    return Wanted(hints, as_of, chosen.labels or "")


def _change_labels(config: Config, labels: str, *, drop: bool) -> Outcome:
    """Change what the target column means, and read everything again."""
    before = config.path.read_text(encoding="utf-8-sig")
    if config.labels != labels:
        write_json(config.path, json.loads(before) | {"labels": labels})
    try:
        return ingest(load(config.path), again=True, drop=drop)
    except PipelineError:
        write_atomic(config.path, before)  # the rows are as before
        raise


if __name__ == "__main__":
    run(stage, __doc__, options=options, before=before)

"""Makes finaldata.csv and ingestedfiles.txt from every table in the input folder.

    python ingestion.py                         read what is new or changed
    python ingestion.py --init DIR FILE.csv     a project of your own from one table
    python ingestion.py --rebuild               read again what is in the input folder now
    python ingestion.py --forget FILE           take one file's rows out
    python ingestion.py --erase CLIENT          take one client's rows out

Bad rows go to ingesteddata/quarantine with file, line, column, rule and value; the good ones go on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from risk.config import Config, Outcome
from risk.data.intake import open_intake, restart_intake
from risk.data.removal import erase, forget
from risk.data.schema import printable
from risk.data.snapshot import read_snapshot
from risk.data.state import counts_of
from risk.data.status import counts_words
from risk.script import run


def ingest(config: Config, *, patient: bool = False, again: bool = False) -> Outcome:
    """Read what is new or changed since the last ingestion and commit it as one data version.

    patient: leave a young file without its last newline for later. again: read everything anew.
    """
    intake = restart_intake(config) if again else open_intake(config)
    intake.take_files(patient=patient)
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
    if entries and config.labels == "status":
        intake.notes.append(_status_note(config))
    # A file's name may hold what steers a terminal or forges a line of the log.
    notes = [printable(note) for note in intake.notes if note]
    data = {"files": entries, "notes": notes, "kept": kept, "data_version": store.data_version}
    return Outcome("\n  ".join([head, *notes]), data | total, worked=bool(entries))


def _status_note(config: Config) -> str:
    """What the rows are since labels are made of them; "" before the first."""
    status = read_snapshot(config).status if config.finaldata.exists() else None
    return counts_words(status.counts(config.columns.target), status.window_days) if status else ""


def options(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--rebuild", action="store_true", help="read the input folder again from nothing"
    )
    one.add_argument("--forget", metavar="FILE", help="take one file's rows out")
    one.add_argument("--erase", metavar="CLIENT", help="take one client's rows out, for good")
    one.add_argument(
        "--init", nargs=2, metavar=("DIR", "FILE.csv"), help="start a project of your own"
    )


def stage(config: Config, chosen: argparse.Namespace) -> Outcome:
    if chosen.forget is not None:
        return forget(config, chosen.forget)
    if chosen.erase is not None:
        return _erase_everywhere(config, chosen.erase)
    return ingest(config, again=chosen.rebuild)


def _erase_everywhere(config: Config, client: str) -> Outcome:
    """Take one client out of what is kept beside the rows, then out of the rows.

    After a crash in between the store still has the rows and asks again.
    """
    from risk.decide import forecasts
    from risk.record import scores

    name = client.strip(" \t")
    forecasts.forget_forecasts(config, name)
    asides = scores.forget_client(config, name) if name else []
    outcome = erase(config, client)
    note = f"May still name it: {', '.join(asides)}; delete what you no longer need."
    return replace(outcome, text=f"{outcome.text}\n  {note}") if asides else outcome


def before(chosen: argparse.Namespace) -> Outcome | None:
    """A new project needs no config: it gets one."""
    if chosen.init is None:
        return None
    from risk.data.starter import start

    return start(*map(Path, chosen.init))


if __name__ == "__main__":
    run(stage, __doc__, options=options, before=before)

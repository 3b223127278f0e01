"""A folder to begin with, from one table of one's own: config.json, sourcedata and testdata."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from risk.config import HOME, Outcome, PipelineError, load
from risk.data.guess import Guess, Table, guess, guessed_label, held_out, read_table
from risk.data.reader import Reading, read_rows
from risk.data.schema import printable, schema_of
from risk.data.tables import Refused
from risk.files import TEMPORARY, make_folder, write_atomic, write_json

FOLDERS = {
    "input_folder_path": "sourcedata/",
    "output_folder_path": "ingesteddata/",
    "test_data_path": "testdata/",
    "output_model_path": "models/",
    "prod_deployment_path": "production_deployment/",
}
STAGES = ("ingestion.py", "training.py", "scoring.py", "deployment.py", "reporting.py")


def start(folder: Path, file: Path) -> Outcome:
    """Make the folder with config.json, sourcedata and testdata, whole or not at all."""
    folder = _new_folder(folder)
    try:
        data = file.read_bytes()
        table = read_table(data, file.name)
        guessed = guess(table)
    except OSError as error:
        raise PipelineError(f"cannot read {file}: {error.strerror}") from None
    except Refused as refusal:
        raise PipelineError(f"{file}: {printable(str(refusal))}") from None
    name = f"{file.stem.lstrip('.') or 'clients'}.csv"
    # Beside its place, so that the renaming at the end stays within one file system.
    building = folder.with_name(f"{TEMPORARY}{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        reading = _as_ingested(building, guessed, data, file)
        aside = _write_rows(building, name, table, guessed, reading)
        os.rename(building, folder)
    # Ctrl-C too: else half a project stays beside the place that was named.
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return _project_outcome(folder, name, table, guessed, reading, aside)


def _new_folder(folder: Path) -> Path:
    folder = folder.absolute().resolve()
    if folder == Path.cwd():
        raise PipelineError("give the new folder a name; it cannot be the one you are in")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PipelineError(f"{folder} is not empty; name a new folder, so that nothing is mixed")
    make_folder(folder.parent)
    return folder


def _as_ingested(building: Path, guessed: Guess, data: bytes, file: Path) -> Reading:
    """Write config.json, and read the table by it as ingestion will."""
    write_json(building / "config.json", FOLDERS | guessed.settings())
    config = load(building / "config.json")
    reading = read_rows(data, file.name, schema_of(config), config.csv)
    if reading.refused:
        raise PipelineError(f"{file} cannot be used as it is: {reading.refused}")
    return reading


def _write_rows(
    building: Path, name: str, table: Table, guessed: Guess, reading: Reading
) -> set[int]:
    """The lines as they stand, in sourcedata or testdata; the numbers of those in testdata."""
    good = set(reading.lines)  # a row that ingestion sets aside would be missing from the score
    labels = [
        guessed_label(guessed, text) if number in good else None
        for number, text in zip(table.numbers, table.column(guessed.target), strict=True)
    ]
    aside = {table.numbers[at] for at in held_out(table.column(guessed.id), labels)}
    make_folder(building / "testdata")
    parts = {f"sourcedata/{name}": [n for n in table.below if n not in aside]}
    if aside:
        parts["testdata/testdata.csv"] = sorted(aside)
    for path, numbers in parts.items():
        lines = [table.header, *(table.below[number] for number in numbers), ""]
        write_atomic(building / path, "\n".join(lines).encode(table.style.encoding))
    return aside


def _project_outcome(
    folder: Path, name: str, table: Table, guessed: Guess, reading: Reading, aside: set[int]
) -> Outcome:
    """The parts as a small table, what lies where, and what to type next."""
    labels, warnings = reading.values[guessed.target], []
    if reading.errors:
        warnings = [
            f"{len(reading.errors)} rows will be set aside by ingestion, the first on "
            f"{reading.first_error}"
        ]
    known, current = sum(label is not None for label in labels), labels.count(None)
    roles, style = _roles(guessed), guessed.style
    parts = [(n, *roles[n]) for n in table.names]
    wide = max(len(printable(n)) for n in table.names)
    lines = [
        f"{folder} is ready; these are guesses, mend them in {folder / 'config.json'}:",
        *(f"  {printable(n):{wide}}  {part:8}  {why}".rstrip() for n, part, why in parts),
        f"  cells parted by {style.delimiter!r}, decimal {style.decimal!r}, {style.encoding}",
        *(f"  {warning}" for warning in warnings),
        f"  sourcedata/{name}: {len(table.below) - len(aside)} rows "
        f"({known - len(aside)} labelled, {current} current clients without a label)",
        f"  testdata/testdata.csv: {len(aside)} labelled rows, never trained on"
        if aside
        else f"  testdata/ is empty: {known} labelled rows are too few to set some aside; the "
        "score will be by cross-validation",
        "next, all at once:",
        f"  {_command('fullprocess.py', folder)}",
        "or one by one:",
        *(f"  {_command(script, folder)}" for script in STAGES),
        f"the list of clients is then in {folder / 'models' / 'clients_at_risk.csv'}",
    ]
    data = {
        "folder": str(folder),
        "config": str(folder / "config.json"),
        "settings": guessed.settings(),
        "left_out": guessed.left_out,
        "labelled": known,
        "current": current,
        "test_rows": len(aside),
        "notes": warnings,
    }
    return Outcome("\n".join(lines), data)


def _roles(guessed: Guess) -> dict[str, tuple[str, str]]:
    """Column -> (its role, what is to be said of it)."""
    roles = {name: ("left out", why) for name, why in guessed.left_out.items()}
    for name, kind in guessed.features.items():
        low = ", never below 0" if name in guessed.non_negative else ""
        roles[name] = "feature", f"{kind}{low}"
    words = ", ".join(f"{word} = {label}" for word, label in guessed.target_values.items())
    roles[guessed.target] = "target", f"1 left, 0 stayed{f' ({words})' if words else ''}"
    if guessed.date:  # "" is the name of a column without one
        roles[guessed.date] = "date", ""
    return roles | {guessed.id: ("client", "")}


def _command(script: str, folder: Path) -> str:
    words = [sys.executable, str(HOME / script), "--config", str(folder / "config.json")]
    return shlex.join(words)

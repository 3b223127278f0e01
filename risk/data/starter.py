"""A folder to begin with, from files of one's own: config.json, sourcedata and testdata."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from risk.config import HOME, Config, Outcome, PipelineError, load
from risk.data.cells import Hints, Unsure
from risk.data.filedates import read_path_date
from risk.data.guess import Export, Guess, guess, held_out
from risk.data.reader import Reading, read_rows
from risk.data.schema import printable, schema_of
from risk.data.tables import ANY, Refused, is_readable, read_table
from risk.files import TEMPORARY, make_folder, utc_stamp, write_atomic, write_json
from risk.script import make_command, typed_path
from risk.words import aligned, amount

FOLDERS = {
    "input_folder_path": "sourcedata/",
    "output_folder_path": "ingesteddata/",
    "test_data_path": "testdata/",
    "output_model_path": "models/",
    "prod_deployment_path": "production_deployment/",
}
OUTCOME_COLUMNS = 3  # the client, what became of it, perhaps a date
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")


@dataclass(frozen=True)
class Wanted:
    """What the flags say beside the columns. as_of: the date of an undated file; labels: "given",
    "status" or "" to be found."""

    hints: Hints = Hints()
    as_of: str = ""
    labels: str = ""


@dataclass(frozen=True)
class Source:
    """One file to begin with. note: how its date is known, where its name does not say it."""

    path: Path
    data: bytes
    export: Export
    note: str = ""


def preview(files: Sequence[Path], wanted: Wanted) -> Outcome:
    """What --init would take the columns for; nothing is made."""
    sources, outcomes = _parted(_sources(files, wanted))
    guessed = _guess(sources, wanted)
    _refuse_other_columns(outcomes, guessed)
    text = "\n".join([*_roles_table(guessed, sources), "nothing was made: this was a look alone"])
    return Outcome(text, _data(guessed))


def start(folder: Path, files: Sequence[Path], wanted: Wanted | None = None) -> Outcome:
    """Make the folder with config.json, sourcedata and testdata, whole or not at all."""
    wanted = wanted or Wanted()
    folder = _new_folder(folder)
    sources, outcomes = _parted(_sources(files, wanted))
    guessed = _guess(sources, wanted)
    _refuse_other_columns(outcomes, guessed)
    # Beside its place, so that the renaming at the end stays within one file system.
    building = folder.with_name(f"{TEMPORARY}{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        write_json(building / "config.json", FOLDERS | guessed.settings())
        config = load(building / "config.json")
        aside = _write_rows(config, sources, guessed)
        for source in outcomes:
            write_atomic(config.input_folder / source.path.name, source.data)
        readings = _as_ingested(config, sources)
        make_folder(folder.parent)
        os.rename(building, folder)
    # Ctrl-C too: else half a project stays beside the place that was named.
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return _project_outcome(folder, sources, guessed, readings, aside)


def _new_folder(folder: Path) -> Path:
    folder = folder.absolute().resolve()
    if (folder / "config.json").exists():
        raise Unsure(
            f"{folder} is a project already, and is left as it is; put new files into "
            f"{folder / 'sourcedata'}, or name a new folder"
        )
    if folder == Path.cwd():
        raise Unsure("give the new folder a name; it cannot be the one you are in")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Unsure(f"{folder} is not empty; name a new folder, so that nothing is mixed")
    return folder


def _sources(files: Sequence[Path], wanted: Wanted) -> list[Source]:
    """The files, those of folders too, the oldest first."""
    paths: list[Path] = []
    for path in files:
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else []
        here = [p for p in inside if is_readable(p.name) and not p.name.startswith(".")]
        if path.is_dir() and not here:
            raise Unsure(f"{path} holds no file that can be read; name files such as clients.csv")
        paths += here or [path]
    if not paths:
        raise Unsure("name the file or folder to begin with: ingestion.py --init DIR FILE")
    sources = [_source(path, wanted, several=len(paths) > 1) for path in paths]
    return sorted(sources, key=lambda source: source.export.date)


def _parted(sources: list[Source]) -> tuple[list[Source], list[Source]]:
    """(the exports, the files that hold a client and what became of it alone): of at most three
    columns, all of which are among those of a wider file."""
    names = [set(source.export.table.names) for source in sources]
    few = [len(own) <= OUTCOME_COLUMNS and any(own < other for other in names) for own in names]
    return (
        [source for source, is_few in zip(sources, few, strict=True) if not is_few],
        [source for source, is_few in zip(sources, few, strict=True) if is_few],
    )


def _refuse_other_columns(outcomes: list[Source], guessed: Guess) -> None:
    """Unsure for a narrow file that is none of outcomes."""
    own = {guessed.target.name, *guessed.named("client"), guessed.date}
    for source in outcomes:
        names = source.export.table.names
        if not set(names) <= own or guessed.target.name not in names:
            raise Unsure(
                f"{source.path}: it has {', '.join(map(printable, names))} alone; a file of "
                f"outcomes has the client and {guessed.target.name!r}; nothing was made"
            )


def _source(path: Path, wanted: Wanted, *, several: bool) -> Source:
    try:
        data = path.read_bytes()
        table = read_table(data, path.name, ANY)
        modified = utc_stamp(path.stat().st_mtime)[:10]
    except OSError as error:
        raise PipelineError(f"cannot read {path}: {error.strerror}") from None
    except Refused as refusal:
        raise PipelineError(f"{path}: {printable(str(refusal))}") from None
    dated = read_path_date(path.name)
    if dated.date:
        return Source(path, data, Export(path.name, table, dated.date))
    if wanted.as_of and not several:
        return Source(path, data, Export(path.name, table, wanted.as_of), "by --as-of")
    if several:
        doubt = dated.doubt or "its name has no date"
        return Source(path, data, Export(path.name, table), doubt)
    why = "when the file was written; type --as-of DATE if its rows are of another day"
    return Source(path, data, Export(path.name, table, modified), why)


def _guess(sources: list[Source], wanted: Wanted) -> Guess:
    try:
        guessed = guess([source.export for source in sources], wanted.hints, wanted.labels)
    except Refused as refusal:
        raise PipelineError(f"{sources[-1].path}: {printable(str(refusal))}") from None
    except Unsure as unsure:
        raise Unsure(f"{sources[-1].path}: {printable(str(unsure))}; nothing was made") from None
    undated = [source for source in sources if not source.export.date]
    if undated and not guessed.date:
        names = ", ".join(source.path.name for source in undated[:5])
        raise Unsure(
            f"of when are the rows of {names}? Several files need a date each: rename them, such "
            "as clients_2026-10-31.csv; nothing was made"
        )
    return guessed


def _file_name(source: Source, guessed: Guess, suffix: str) -> str:
    """The file's name in the project; with its date, where neither it nor a column says that."""
    stem = source.path.name.lstrip(".").partition(".")[0] or "clients"
    if guessed.date or read_path_date(source.path.name).date or not source.export.date:
        stem = source.path.name.lstrip(".")[: -len("".join(source.path.suffixes)) or None] or stem
        return f"{stem}{suffix}"
    return f"{stem}_{source.export.date}{suffix}"


def _write_rows(config: Config, sources: list[Source], guessed: Guess) -> int:
    """The files into sourcedata, and the rows that are set aside for the test into testdata; how
    many those are."""
    make_folder(config.test_folder)
    make_folder(config.input_folder)
    aside = _test_rows(config, sources, guessed) if guessed.meaning.labels == "given" else {}
    for source in sources:
        suffix = "".join(
            source.path.suffixes[-2:] if source.path.suffix == ".gz" else [source.path.suffix]
        )
        chosen = aside.get(source.path, set())
        if not chosen:
            path = config.input_folder / _file_name(source, guessed, suffix)
            write_atomic(path, source.data)
            continue
        kept = suffix if suffix.lower() in TEXT_SUFFIXES else ".csv"
        path = config.input_folder / _file_name(source, guessed, kept)
        write_atomic(path, _lines(source, _numbers(source) - chosen))
        name = "testdata.csv" if len(sources) == 1 else path.name
        write_atomic(config.test_folder / name, _lines(source, chosen))
    return sum(map(len, aside.values()))


def _test_rows(config: Config, sources: list[Source], guessed: Guess) -> dict[Path, set[int]]:
    """File -> the numbers of its rows for the test; only rows that ingestion accepts."""
    numbers: list[tuple[Path, int]] = []
    good: set[tuple[Path, int]] = set()
    for source in sources:
        reading = read_rows(source.data, source.path.name, schema_of(config), config.csv)
        good |= {(source.path, line) for line in reading.lines}
        numbers += [(source.path, number) for number, _ in source.export.rows]
    labels = [
        label if at in good else None for at, label in zip(numbers, guessed.labels, strict=True)
    ]
    found: dict[Path, set[int]] = {}
    for at in held_out(guessed.clients, labels):
        path, number = numbers[at]
        found.setdefault(path, set()).add(number)
    return found


def _numbers(source: Source) -> set[int]:
    """The numbers of all that stands below the header."""
    table = source.export.table
    return {number for number, _ in table.rows} | {error.line for error in table.aside}


def _lines(source: Source, numbers: set[int]) -> bytes:
    """The header and these rows as they stood in the file."""
    table = source.export.table
    lines = [table.raw(table.header), *(table.raw(number) for number in sorted(numbers)), ""]
    return "\n".join(lines).encode(table.style.encoding or "utf-8")


def _as_ingested(config: Config, sources: list[Source]) -> list[Reading]:
    """The new project's files read as ingestion will; PipelineError for one that it refuses."""
    readings = []
    for path in sorted(config.input_folder.iterdir()):
        data, schema = path.read_bytes(), schema_of(config)
        reading = read_rows(data, path.name, schema, config.csv, outcomes=True)
        if reading.refused:
            raise PipelineError(f"{path.name} cannot be used as it is: {reading.refused}")
        readings.append(reading)
    return readings


def _roles_table(guessed: Guess, sources: list[Source]) -> list[str]:
    """Every column with its role, how that is known, its form and three of its cells."""
    rows = [
        (
            printable(name),
            role.part,
            f"{role.why}{f', like {role.form}' if role.form else ''}"
            f"{', never below 0' if name in guessed.non_negative else ''}",
            ", ".join(printable(cell)[:24] for cell in role.sample),
        )
        for name, role in guessed.roles.items()
    ]
    words = ", ".join(f"{word} = {label}" for word, label in guessed.target.meanings.items())
    lines = [
        f"  {line}"
        for line in aligned([("column", "is", "because", "such as"), *rows], right=set())
    ]
    if words:
        lines.append(f"  {guessed.target.name}: {words} (1 left, 0 stayed)")
    lines.append(f"  labels: {guessed.meaning.labels}; {guessed.meaning.why}")
    if guessed.meaning.labels == "status":
        lines.append(f"  who is in no later file: {guessed.meaning.vanished} (vanished)")
    lines += [f"  {line}" for line in (*_dates(guessed, sources), *_notes(sources))]
    if guessed.warning:
        lines.append(f"  look out: {guessed.warning}")
    return lines


def _dates(guessed: Guess, sources: list[Source]) -> list[str]:
    """Of when the rows are, where no column says it."""
    if guessed.date:
        return []
    if len(sources) > 3:
        first, last = sources[0].export.date, sources[-1].export.date
        return [f"{len(sources)} files, of {first} to {last}"]
    return [
        f"{s.path.name}: rows of {s.export.date}{f' ({s.note})' if s.note else ''}" for s in sources
    ]


def _notes(sources: list[Source]) -> list[str]:
    """What was remarked of the files, the same once."""
    files: dict[str, list[str]] = {}
    for source in sources:
        for note in source.export.table.notes:
            files.setdefault(note, []).append(source.path.name)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {note}"
        for note, names in files.items()
    ]


def _project_outcome(
    folder: Path, sources: list[Source], guessed: Guess, readings: list[Reading], aside: int
) -> Outcome:
    """The parts as a small table, what lies where, and what to type next."""
    target, notes = guessed.target.name, []
    for reading in readings:
        if reading.errors:
            bad = amount(len(reading.errors), "row")
            notes.append(
                f"{bad} will be set aside by ingestion, the first on {reading.first_error}"
            )
    labels = [label for reading in readings for label in reading.values.get(target, [])]
    known, rows = sum(label is not None for label in labels), len(labels)
    config = folder / "config.json"
    lines = [
        f"{typed_path(folder)} is ready; what is wrong here, mend in {typed_path(config)}:",
        *_roles_table(guessed, sources),
        *(f"  {note}" for note in notes),
        f"  sourcedata/: {amount(rows, 'row')} in {amount(len(readings), 'file')} ({known} with a "
        f"label, {rows - known} without)",
    ]
    if aside:
        lines.append(f"  testdata/: {aside} labelled rows, never trained on")
    elif guessed.meaning.labels == "given":
        lines.append(
            f"  testdata/ is empty: {known} labelled rows are too few to set some aside; the score "
            "will be by cross-validation"
        )
    lines += [
        "next:",
        f"  {_command('fullprocess.py', config)} --summary",
        f"  {make_command('serve', config)}   then open http://127.0.0.1:8000/",
        f"  {make_command('cron', config)}    the line for crontab",
        f"the list of clients is then in {typed_path(folder / 'models' / 'clients_at_risk.csv')}",
    ]
    data = _data(guessed) | {
        "folder": str(folder),
        "config": str(config),
        "labelled": known,
        "current": rows - known,
        "test_rows": aside,
        "notes": notes,
    }
    return Outcome("\n".join(lines), data)


def _data(guessed: Guess) -> dict[str, object]:
    return {
        "settings": guessed.settings(),
        "roles": {name: role.part for name, role in guessed.roles.items()},
        "left_out": {n: guessed.roles[n].why for n in guessed.named("left out")},
        "labels": guessed.meaning.labels,
        "warning": guessed.warning,
    }


def _command(script: str, config: Path) -> str:
    python = Path(sys.executable)
    return " ".join([typed_path(python), typed_path(HOME / script), "--config", typed_path(config)])

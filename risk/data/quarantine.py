"""The rows that are set aside: written with their reasons, cleansed of a client, counted."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any

from risk.config import Config
from risk.data.lines import DELIMITERS, dialect
from risk.data.reader import Reading
from risk.data.schema import printable
from risk.data.state import Entry
from risk.data.values import plain_cell
from risk.files import make_folder, write_atomic

MOST_REASONS, MOST_FILES, MOST_ROWS = 5, 20, 20_000


HEADER = ["file", "line", "column", "rule", "value", "row"]
QUARANTINE_NAME = re.compile(r".*\.[0-9a-f]{12}\.csv", re.DOTALL)
IsClient = Callable[[str], bool]


def write_quarantine(config: Config, entry: Entry, reading: Reading) -> Path:
    """The rejected rows of one file with their reasons; for a refused file its reason first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    if reading.refused:
        writer.writerow([entry["file"], "", "", f"refused: {reading.refused}", "", ""])
    for error in reading.set_aside:
        writer.writerow([entry["file"], *astuple(error)])
    # The name of a deep path may be longer than a file system takes (255 bytes).
    slug = os.fsencode(entry["file"].replace("/", "__"))[-120:].decode("utf-8", "ignore")
    path = make_folder(config.quarantine) / f"{slug}.{entry['sha256'][:12]}.csv"
    # Bytes that were no text are lone surrogates by now, which UTF-8 cannot write.
    write_atomic(path, out.getvalue().encode("utf-8", "backslashreplace"))
    return path


def cleanse_quarantine(config: Config, is_client: IsClient) -> None:
    """Blank value and row of every quarantined line that names the client."""
    for path in sorted(config.quarantine.glob("*.csv")):
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file))
        clean = [
            [*row[:4], "", ""]  # file, line and rule stay: they name nobody
            if len(row) == len(HEADER)
            and (is_client(row[4]) or names_client(row[5], is_client, config.csv.delimiter))
            else row
            for row in rows
        ]
        if clean != rows:
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(clean)
            write_atomic(path, out.getvalue())


def names_client(line: str, is_client: IsClient, delimiter: str = "") -> bool:
    """Whether a cell of the raw line is the client, by whatever sign the cells are parted."""
    # Too many cells rather than too few: nobody's name may stay in a line because of a quote.
    whole = line[1:-1].replace('""', '"') if line[:1] == line[-1:] == '"' else line
    for sign in {*DELIMITERS, delimiter or ","}:
        for text in {line, whole}:
            try:
                cells = next(csv.reader(text.split("\n"), dialect(sign)), [])
            except csv.Error:
                cells = text.replace('"', "").split(sign)
            if any(is_client(plain_cell(cell)) for cell in cells):
                return True
    return False


def quarantine_reasons(
    config: Config, files: Iterable[Mapping[str, Any]]
) -> list[tuple[int, str, str, str]]:
    """(rows, column, the rule they broke there, `file line 7` of the first): the commonest reasons.

    Of the 20 files with most such rows, 20,000 rows each: more would say the same.
    """
    found: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for entry in sorted(files, key=lambda entry: -entry["quarantined"])[:MOST_FILES]:
        for row in _rows_of(config, entry.get("quarantine", "")):
            key = row["column"] or "", printable(row["rule"] or "")
            found[key] += 1
            first.setdefault(key, f"{row['file']} line {row['line']}" if row["line"] else "")
    common = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]
    return [(rows, *key, first[key]) for key, rows in common]


def _rows_of(config: Config, name: str) -> list[dict[str, str]]:
    """The first rows of a file of the quarantine; [] where somebody has taken it away."""
    if not name:  # a forgotten file has none
        return []
    try:
        path = config.quarantine / name
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(islice(csv.DictReader(file), MOST_ROWS))
    except (OSError, csv.Error):
        return []
    return [row for row in rows if all(isinstance(row.get(name), str) for name in HEADER[:4])]

"""The rows that were set aside: which column broke which rule, and in which files."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import islice
from typing import Any

from risk.config import Config
from risk.data.schema import printable

MOST_REASONS, MOST_FAULTY, FAULT_LINES = 5, 20, 20_000


def set_aside(config: Config, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The commonest reasons in the quarantine, with the file and line of one such row.

    Of the 20 files with most such rows, 20,000 rows each: more would say the same.
    """
    worst = sorted(files, key=lambda entry: -entry["quarantined"])[:MOST_FAULTY]
    found: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for entry in worst:
        for row in _quarantined(config, entry):
            key = row["column"] or "", printable(row["rule"] or "")
            found[key] += 1
            first.setdefault(key, f"{row['file']} line {row['line']}" if row["line"] else "")
    common = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]
    return [
        {"column": column, "rule": rule, "rows": rows, "first": first[column, rule]}
        for (column, rule), rows in common
    ]


def fault_words(one: dict[str, Any]) -> str:
    where = f"{one['column']}: " if one["column"] else ""
    first = f" (first in {one['first']})" if one["first"] else ""
    return f"{one['rows']:,} × {where}{one['rule']}{first}"


def _quarantined(config: Config, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The first rows of a file's quarantine; [] where somebody has taken it away."""
    if not entry.get("quarantine"):  # a forgotten file has none
        return []
    try:
        with open(
            config.quarantine / entry["quarantine"], newline="", encoding="utf-8", errors="replace"
        ) as file:
            rows = list(islice(csv.DictReader(file), FAULT_LINES))
    except (OSError, csv.Error):
        return []
    wanted = ("file", "line", "column", "rule")
    return [row for row in rows if all(isinstance(row.get(name), str) for name in wanted)]

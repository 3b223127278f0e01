"""Writes the tables of docs/configuration.md from the declarations in risk/config.py.

python docs/tables.py
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from risk.config import Columns, Config, Csv, Mail  # noqa: E402
from risk.settings import NEEDED, keys_of  # noqa: E402

DOCUMENT = ROOT / "docs" / "configuration.md"


def markdown_table(declared: type, *, needed: bool = False) -> str:
    """The keys with their defaults and meanings as documentation shows them; needed: the others."""
    keys = [k for k in keys_of(declared).values() if (k.default is NEEDED) == needed]
    lines = ["| key | meaning |", "|---|---|"] if needed else []
    lines = lines or ["| key | default | meaning |", "|---|---|---|"]
    for one in keys:
        limits = f" ({one.kind.limits})" if one.kind.limits else ""
        default = "" if needed else f" `{json.dumps(one.default)}` |"
        lines.append(f"| `{one.name}` |{default} {one.meaning}{limits} |")
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """The document with the first table under each of these headings made anew."""
    tables = {"Folders": markdown_table(Config, needed=True)}
    sections = {"Settings": Config, "Columns": Columns, "Files": Csv, "Mail": Mail}
    tables |= {heading: markdown_table(section) for heading, section in sections.items()}
    for heading, table in tables.items():
        before, under = text.split(f"\n## {heading}\n", 1)
        under = re.sub(
            r"(^\|.*\n)+", lambda _, table=table: f"{table}\n", under, count=1, flags=re.M
        )
        text = f"{before}\n## {heading}\n{under}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))

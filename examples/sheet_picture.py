"""Draws docs/your-data.svg: the sheet to export, and what each of its columns is for.

python examples/sheet_picture.py docs/your-data.svg
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

INK, MUTED, LINE, HEAD = "#1b1f23", "#57606a", "#d0d7de", "#f6f8fa"
ROLES = {"who": "#0969da", "shown on the list": "#57606a", "learned from": "#1a7f37"}
ROLES |= {"has it left?": "#9a3412"}
# Header, role, width, whether the cells are numbers, cells.
COLUMNS = (
    ("Account ID", "who", 106, False, "A-100000 A-100001 A-100002 A-100003"),
    ("Account Name", "who", 152, False, "Rosarath_Interiors Caluver_Consulting Vesugar_Textiles "
     "Tamond_Foods"),
    ("Account Manager", "shown on the list", 146, False, "Cy_Dunn Ann_Bell Di_Evans Ann_Bell"),
    ("ARR", "shown on the list", 88, True, "$2,700 $12,450 $6,750 $4,100"),
    ("Renewal date", "shown on the list", 122, False, "2026-11-01 2027-05-01 2026-12-01 "
     "2027-02-01"),
    ("Seats", "learned from", 72, True, "15 83 45 22"),
    ("Logins last month", "learned from", 156, True, "268 342 0 97"),
    ("Open tickets", "learned from", 120, True, "2 2 0 5"),
    ("Status", "has it left?", 100, False, "Active Active Churned Active"),
)  # fmt: skip
ROW, TOP, LEFT = 30, 76, 16


def text(x: float, y: float, words: str, colour: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" {more}>{escape(words)}</text>'


def sheet() -> str:
    """The picture as SVG: the file's name, the roles as brackets, the header and four rows."""
    parts, x, total = [], LEFT, sum(column[2] for column in COLUMNS)
    parts.append(text(LEFT, 24, "clients_2026-10-31.csv", INK, 'font-weight="600"'))
    parts.append(
        text(LEFT + 190, 24, "one row per client, one file per month, its date in the name", MUTED)
    )
    parts.append(f'<rect x="{LEFT}" y="{TOP}" width="{total}" height="{ROW}" fill="{HEAD}"/>')
    spans: dict[str, list[int]] = {}
    for header, role, width, is_number, cells in COLUMNS:
        spans.setdefault(role, [x, x])[1] = x + width
        at, anchor = (x + width - 10, "end") if is_number else (x + 10, "start")
        place = f'text-anchor="{anchor}"'
        parts.append(text(at, TOP + 20, header, INK, f'{place} font-weight="600"'))
        for row, cell in enumerate(cells.split(), 1):
            colour = ROLES[role] if cell == "Churned" else INK
            parts.append(text(at, TOP + row * ROW + 20, cell.replace("_", " "), colour, place))
        x += width
    for role, (start, end) in spans.items():
        parts.append(f'<path d="M{start + 5} {TOP - 6}H{end - 5}" stroke="{ROLES[role]}" '
                     'stroke-width="3" stroke-linecap="round"/>')  # fmt: skip
        parts.append(text(start + 5, TOP - 14, role, ROLES[role]))
    for row in range(6):
        y = TOP + row * ROW
        parts.append(f'<path d="M{LEFT} {y}H{LEFT + total}" stroke="{LINE}"/>')
    width, height = total + 2 * LEFT, TOP + 5 * ROW + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="system-ui, Segoe UI, Arial, sans-serif" '
        'font-size="13" role="img"><title>A sheet to export: who the client is, what the list '
        "shows, what is learned from, and who has left</title>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/sheet_picture.py FILE.svg")
    Path(sys.argv[1]).write_text(sheet(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""A small .xlsx, made by hand so that every cell is what its test says."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

START = datetime.datetime(1899, 12, 30)  # noqa: DTZ001 - a sheet knows no zone
NAMES = "http://schemas.openxmlformats.org"
STYLES = (
    f'<styleSheet xmlns="{NAMES}/spreadsheetml/2006/main"><fonts><font/></fonts><fills><fill/>'
    "</fills><borders><border/></borders><cellStyleXfs><xf/></cellStyleXfs><cellXfs>"
    '<xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
)


def xlsx(*rows: Sequence[object], more: Iterable[str] = ()) -> bytes:
    """The rows as the first sheet, `Clients`; more: names of empty sheets behind it."""
    sheets = ["Clients", *more]
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{NAMES}/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": _relations("officeDocument", ["xl/workbook.xml"]),
        "xl/workbook.xml": f'<workbook xmlns="{NAMES}/spreadsheetml/2006/main" '
        f'xmlns:r="{NAMES}/officeDocument/2006/relationships"><sheets>'
        + "".join(
            f'<sheet name="{name}" sheetId="{at}" r:id="r{at}"/>'
            for at, name in enumerate(sheets, 1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relations(
            "worksheet", [f"worksheets/sheet{at}.xml" for at in range(1, len(sheets) + 1)]
        ),
        "xl/styles.xml": STYLES,
    }
    for at in range(1, len(sheets) + 1):
        parts[f"xl/worksheets/sheet{at}.xml"] = _sheet(rows if at == 1 else ())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return out.getvalue()


def _relations(kind: str, targets: list[str]) -> str:
    links = "".join(
        f'<Relationship Id="r{at}" Type="{NAMES}/officeDocument/2006/relationships/{kind}" '
        f'Target="{target}"/>'
        for at, target in enumerate(targets, 1)
    )
    styles = (
        f'<Relationship Id="s" Type="{NAMES}/officeDocument/2006/relationships/styles" '
        'Target="styles.xml"/>'
    )
    return (
        f'<Relationships xmlns="{NAMES}/package/2006/relationships">{links}'
        f"{styles if kind == 'worksheet' else ''}</Relationships>"
    )


def _sheet(rows: Sequence[Sequence[object]]) -> str:
    lines = (
        f'<row r="{number}">'
        + "".join(_cell(f"{_letters(at)}{number}", cell) for at, cell in enumerate(row))
        + "</row>"
        for number, row in enumerate(rows, 1)
    )
    return (
        f'<worksheet xmlns="{NAMES}/spreadsheetml/2006/main"><sheetData>{"".join(lines)}'
        "</sheetData></worksheet>"
    )


def _letters(at: int) -> str:
    return (chr(64 + at // 26) if at >= 26 else "") + chr(65 + at % 26)


def _cell(place: str, cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return f'<c r="{place}" t="b"><v>{int(cell)}</v></c>'
        case int() | float():
            return f'<c r="{place}"><v>{cell!r}</v></c>'
        case datetime.date():
            moment = datetime.datetime.fromisoformat(cell.isoformat())
            return f'<c r="{place}" s="1"><v>{(moment - START) / datetime.timedelta(1)}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(cell))}</t></is></c>'

"""The data set that a caller names or sends -> a table of checked cells, by ingestion's rules."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from risk.config import Config
from risk.data.reader import read_rows
from risk.data.schema import Cell, Column, Rule, Schema, schema_of
from risk.web.access import Problem, printable

if TYPE_CHECKING:
    from flask import Request

LOCATIONS = (
    "filename",
    "filepath",
    "file",
    "path",
    "data_file",
    "data_path",
    "dataset_path",
    "data_file_path",
)
CSV_TYPES = ("text/csv", "text/plain", "application/csv", "application/octet-stream", "")
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
UNTYPED = (FORM, "text/plain", "")  # what curl -d, browsers and sockets say unless told otherwise
PICKLE = b"\x80"
FAULTS_SHOWN = 10
MAX_HEADER, MAX_FORM = 32_768, 500_000
Table = dict[str, list[Any]]
Fault = dict[str, Any]


# ---------------------------------------------------------------- what a call asks for


def asked(call: Request, raw: bytes) -> tuple[str, Any]:
    """("file", location), ("csv", bytes), ("rows", list); ("test", None) where nothing is said."""
    _refuse_pickle(raw)
    known_names(call.args, LOCATIONS)
    found = [("file", text) for name in LOCATIONS for text in call.args.getlist(name)]
    found += _sent(call, raw)
    if any(one != found[0] for one in found):
        raise Problem(
            400,
            "ambiguous",
            "the call names more than one data set",
            "give one location, or one file, or rows",
        )
    return found[0] if found else ("test", None)


def _sent(call: Request, raw: bytes) -> list[tuple[str, Any]]:
    """What the body holds, by its type and, since clients mislabel, by its first character."""
    kind = call.mimetype
    if kind == MULTIPART:
        parts = [part for same in call.files.listvalues() for part in same]
        found = [("csv", data) for part in parts if (data := part.read()) or part.filename]
        return found + _in_form(call, required=bool(raw) and not found)
    if not raw.strip():
        return []
    if call.is_json or (kind in UNTYPED and raw.lstrip().startswith(b"{")):
        return _in_json(raw)
    if kind in CSV_TYPES or (kind == FORM and b"\n" in raw.strip()):
        return [("csv", raw)]
    if kind == FORM and len(raw) <= MAX_FORM:
        return _in_form(call, required=True)
    if kind == FORM:
        raise Problem(
            413,
            "too_large",
            f"form fields of more than {MAX_FORM} bytes",
            "send rows as text/csv or application/json",
        )
    raise Problem(
        415,
        "unsupported_type",
        f"a body of type {printable(kind)} is not read",
        "send text/csv, application/json or multipart/form-data",
    )


def _in_form(call: Request, *, required: bool) -> list[tuple[str, Any]]:
    found = [("file", text) for name in LOCATIONS for text in call.form.getlist(name)]
    if required and not found:
        raise _unnamed(", ".join(call.form))
    return found


def _in_json(raw: bytes) -> list[tuple[str, Any]]:
    """The location or the rows in a JSON body; [] for null and {}."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Problem(
            400,
            "bad_json",
            f"the body is not JSON: {printable(str(error))}",
            'send {"filename": "..."} or {"rows": [{...}]}',
        ) from None
    if not isinstance(value, dict):
        return [] if value is None else [("file", value)]
    given = {name: value[name] for name in (*LOCATIONS, "rows") if value.get(name) is not None}
    if value and not given and not set(value) & {*LOCATIONS, "rows"}:
        raise _unnamed(", ".join(value))
    return [("rows" if name == "rows" else "file", what) for name, what in given.items()]


def _unnamed(names: str) -> Problem:
    return Problem(
        400,
        "unknown_name",
        f"no data set is named by {printable(names)!r}",
        f'name it by "filename" (or {", ".join(LOCATIONS[1:])}) or send "rows"',
    )


def known_names(given: Any, known: tuple[str, ...]) -> None:
    """Problem 400 for a parameter that would be ignored: the answer would not be what was asked."""
    for name in given:
        if name not in known:
            raise Problem(
                400,
                "unknown_parameter",
                f"there is no parameter {printable(name)!r}",
                f"known: {', '.join(known)}",
            )


# ---------------------------------------------------------------- rows


def config_of_model(config: Config, columns: dict[str, str]) -> Config:
    """The config with the model's own features, whatever config.json names by now."""
    kept = tuple(n for n in config.columns.non_negative if n in (*columns, config.columns.value))
    return replace(
        config,
        columns=replace(
            config.columns, features=tuple(columns), kinds=dict(columns), non_negative=kept
        ),
    )


def prediction_schema(config: Config) -> Schema:
    """What a prediction reads: the features, and the client's id where it is there."""
    schema = schema_of(config)
    return replace(schema, columns=tuple(c for c in schema.columns if c.part in ("id", "feature")))


def csv_table(data: bytes, schema: Schema, config: Config) -> Table:
    """The CSV's columns as lists, None for what is missing; Problem 413, 415 or 422."""
    _refuse_pickle(data)
    # Both before it is read: line ends alone, or names alone (0.3 s for 32 KB and squared from
    # there on), would cost minutes.
    refuse_too_many(data.rstrip(b"\r\n").count(b"\n"), config)
    if len(data.lstrip()[: MAX_HEADER + 1].partition(b"\n")[0]) > MAX_HEADER:
        raise Problem(
            422,
            "unreadable",
            f"not read: the header is longer than {MAX_HEADER} bytes",
            "send a CSV with one row per line",
        )
    reading = read_rows(data, schema, config.csv, needed=frozenset(), limit=False)
    if reading.refused:
        raise Problem(
            422,
            "unreadable",
            f"not read: {printable(reading.refused, 500)}",
            "send a CSV with a header that names the model's columns: "
            + ", ".join(c.name for c in schema.features),
        )
    _refuse_faults(
        [
            {
                "line": f.line,
                "column": printable(f.column),
                "rule": f.rule,
                "value": printable(f.value),
            }
            for f in reading.faults
        ],
        reading.rows,
    )
    return _filled(reading.values)


def json_table(rows: Any, schema: Schema, config: Config) -> Table:
    """The same for a list of {"column": value}; keys that are no column are ignored."""
    if not isinstance(rows, list):
        raise Problem(
            422, "bad_rows", '"rows" is not a list', 'send {"rows": [{"column": value, ...}, ...]}'
        )
    refuse_too_many(len(rows), config)
    parsers = [(column, schema.parser(column)) for column in schema.columns]
    table: Table = {column.name: [] for column in schema.columns}
    faults: list[Fault] = []
    for number, row in enumerate(rows, 1):
        cells, found = _cells(row, parsers, schema.decimal)
        faults += [{"row": number, **fault} for fault in found]
        for column, cell in zip(schema.columns, cells, strict=True):
            table[column.name].append(cell)
    _refuse_faults(faults, len(rows))
    return _filled(table)


def _cells(row: Any, parsers: list, decimal: str) -> tuple[list[Cell], list[Fault]]:
    """(a cell for every column, what is wrong with the row)."""
    blank: list[Cell] = [None] * len(parsers)
    if not isinstance(row, dict):
        return blank, [_fault("", "not an object of columns and values", row)]
    if all(row.get(column.name) is None for column, _ in parsers if column.part == "feature"):
        return blank, [_fault("", "none of the model's columns is given", "")]
    cells, faults = [], []
    for column, parse in parsers:
        value = row.get(column.name)
        try:
            cells.append(None if value is None else parse(_cell_text(value, column, decimal)))
        except Rule as rule:
            cells.append(None)
            faults.append(_fault(column.name, str(rule), value))
    return cells, faults


def _cell_text(value: Any, column: Column, decimal: str) -> str:
    """A JSON value as the text that a CSV cell would hold; Rule for what no cell can."""
    match value:
        case str():
            return value.strip(" \t")
        case bool():
            raise Rule("true or false, not a number or a text")
        case int() | float():
            if isinstance(value, float) and not math.isfinite(value):
                raise Rule("not finite")
            return repr(value) if column.kind == "text" else repr(value).replace(".", decimal)
        case _:
            raise Rule("a list or an object, not one value")


def _fault(column: str, rule: str, value: Any) -> Fault:
    shown = value if isinstance(value, str) else _plain(value)
    return {"column": column, "rule": rule, "value": printable(shown)}


def _plain(value: Any) -> str:
    match value:
        case list():
            return "[...]"
        case dict():
            return "{...}"
        case _:
            return json.dumps(value)


def _refuse_pickle(data: bytes) -> None:
    """Problem 415 for a pickle: opening one runs what its maker wrote into it."""
    if data.startswith(PICKLE):
        raise Problem(
            415,
            "pickle",
            "this is a pickle; none is ever opened",
            "send the rows as CSV or as JSON",
        )


def refuse_too_many(rows: int, config: Config) -> None:
    if rows > config.max_rows:
        raise Problem(
            413,
            "too_many_rows",
            f"more than {config.max_rows} rows in one call",
            'send them in parts, or raise "max_rows" in config.json',
        )


def _refuse_faults(faults: list[Fault], rows: int) -> None:
    """Problem 422 that names the first bad cells; nothing is scored by halves."""
    if not faults:
        return
    first = faults[0]
    where, at = next(iter(first.items()))
    cell = f"{first['column']}: {first['rule']}" if first["column"] else first["rule"]
    value = f" ({first['value']})" if first["value"] else ""
    raise Problem(
        422,
        "bad_rows",
        f"{where} {at}, {cell}{value}",
        f"{len(faults)} faults in {rows} rows; correct them or leave those rows out",
        faults=faults[:FAULTS_SHOWN],
    )


def _filled(table: Table) -> Table:
    if not next(iter(table.values())):
        raise Problem(422, "no_rows", "there is no row to score", "send at least one row")
    return table

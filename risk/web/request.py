"""The data set that a caller names or sends -> a table of checked cells, by ingestion's rules."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from flask import Request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from risk.config import Config
from risk.data.asides import RowError
from risk.data.holdout import test_files
from risk.data.reader import read_rows
from risk.data.schema import Column, Schema
from risk.data.sources import find_sources
from risk.data.tables import Refused, unpack
from risk.data.values import Raw, Rule
from risk.model.model import row_count
from risk.model.profile import Rows
from risk.web.access import read_location
from risk.web.deployed import DeployedModel
from risk.web.problem import Problem, excerpt, refuse_unknown_names

# Names of the exercise and of clients seen since; they all mean the same.
LOCATIONS = ("filename", "filepath", "file", "path") + tuple(
    "data_file data_path dataset_path data_file_path".split()
)
# Type of a body -> the suffix that a file of it has; "" is told by its first bytes.
TABLE_TYPES = {
    **dict.fromkeys(("text/csv", "text/plain", "application/csv"), ".csv"),
    **dict.fromkeys(("text/tab-separated-values", "application/octet-stream", ""), ""),
    **dict.fromkeys(("application/gzip", "application/x-gzip", "application/parquet"), ""),
    **dict.fromkeys(("application/vnd.apache.parquet", "application/vnd.ms-excel"), ""),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    **dict.fromkeys(("application/x-ndjson", "application/jsonl"), ".jsonl"),
}
GZIP, SHEETS = b"\x1f\x8b", (b"PK\x03\x04", b"PAR1")
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
UNTYPED = (FORM, "text/plain", "")  # what curl -d, browsers and sockets say unless told otherwise
PICKLE = b"\x80"  # how protocols 2 to 5 begin
ERRORS_SHOWN = 10
MAX_HEADER, MAX_FORM = 32_768, 500_000  # bytes; Flask refuses longer forms by itself


class MemoryRequest(Request):
    """A request whose files stay in memory: the body's limit bounds them, no disk is touched."""

    def _get_file_stream(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO()


class DataSet(NamedTuple):
    """ "file" and a location, "table" and bytes, "rows" and what JSON held, or "test" for nothing.

    name: of the file that was sent, for its suffix.
    """

    kind: Literal["file", "table", "rows", "test"]
    value: Any = None
    name: str = ""


def requested_data(call: Request) -> DataSet:
    """The one data set that the call names or sends; Problem for none that can be understood."""
    raw = _body_of(call)
    _refuse_pickle(raw)
    refuse_unknown_names(call.args, LOCATIONS)
    found = [DataSet("file", text) for name in LOCATIONS for text in call.args.getlist(name)]
    found += _sent(call, raw)
    if any(one != found[0] for one in found):
        what = "the call names more than one data set"
        raise Problem(400, "ambiguous", what, "give one location, or one file, or rows")
    return found[0] if found else DataSet("test")


def _body_of(call: Request) -> bytes:
    """The request's body, whole and within the limit; the stream of a form stays readable."""
    try:
        raw = call.get_data()
    except HTTPException:
        raise
    except Exception as broken:  # noqa: BLE001 - a server's parser raises what it likes
        what = f"the body cannot be read: {type(broken).__name__}"
        raise Problem(400, "broken_body", what, "send it again") from None
    # A body that came in chunks, without a length, is cut at the limit and not refused.
    if call.content_length is None and len(raw) >= (call.max_content_length or len(raw) + 1):
        raise RequestEntityTooLarge
    return raw


def _sent(call: Request, raw: bytes) -> list[DataSet]:
    """What the body holds, by its type and, since clients mislabel, by its first character."""
    kind = call.mimetype
    if kind == MULTIPART:
        parts = [part for same in call.files.listvalues() for part in same]
        found = [
            DataSet("table", data, part.filename or "")
            for part in parts
            if (data := part.read()) or part.filename
        ]
        return found + _in_form(call, required=bool(raw) and not found)
    if not raw.strip():
        return []
    if call.is_json or (kind in UNTYPED and raw.lstrip().startswith(b"{")):
        return _in_json(raw)
    # curl --data-binary calls a CSV a form; a form's own line ends come as %0A.
    if kind in TABLE_TYPES or (kind == FORM and b"\n" in raw.strip()):
        return [DataSet("table", raw, TABLE_TYPES.get(kind, ""))]
    if kind == FORM and len(raw) <= MAX_FORM:
        return _in_form(call, required=True)
    if kind == FORM:
        what = f"form fields of more than {MAX_FORM} bytes"
        raise Problem(413, "too_large", what, "send rows as text/csv or application/json")
    what, hint = f"a body of type {excerpt(kind)} is not read", "multipart/form-data"
    raise Problem(415, "unsupported_type", what, f"send text/csv, application/json or {hint}")


def _in_form(call: Request, *, required: bool) -> list[DataSet]:
    found = [DataSet("file", text) for name in LOCATIONS for text in call.form.getlist(name)]
    if required and not found:
        raise _unnamed(", ".join(call.form))
    return found


def _in_json(raw: bytes) -> list[DataSet]:
    """The location or the rows in a JSON body; [] for null and {}."""
    try:
        value = json.loads(raw)
    # RecursionError: a body of nothing but opening brackets.
    except (ValueError, RecursionError) as error:
        what = f"the body is not JSON: {excerpt(str(error))}"
        hint = 'send {"filename": "..."} or {"rows": [{...}]}'
        raise Problem(400, "bad_json", what, hint) from None
    if not isinstance(value, dict):
        return [] if value is None else [DataSet("file", value)]
    given = {name: value[name] for name in (*LOCATIONS, "rows") if value.get(name) is not None}
    if value and not given and not set(value) & {*LOCATIONS, "rows"}:
        raise _unnamed(", ".join(value))
    return [DataSet("rows" if name == "rows" else "file", what) for name, what in given.items()]


def _unnamed(names: str) -> Problem:
    hint = f'name it by "filename" (or {", ".join(LOCATIONS[1:])}) or send "rows"'
    return Problem(400, "unknown_name", f"no data set is named by {excerpt(names)!r}", hint)


def read_data_set(wanted: DataSet, deployed: DeployedModel) -> tuple[str | None, Rows]:
    """(the file's name, None for what was sent; the rows, checked, as columns for the model)."""
    match wanted.kind:
        case "rows":
            return None, _json_rows(wanted.value, deployed.schema, deployed.config)
        case "table":
            return None, _table_rows(wanted.value, wanted.name, deployed.schema, deployed.config)
        case "file":
            return _one_file(deployed, wanted.value)
    config = deployed.config
    newest = [source.path for source in find_sources(config.input_folder)[0][-1:]]
    paths = test_files(config) or newest
    files = [_one_file(deployed, str(path)) for path in paths]
    if not files:
        what = "there is no test file and no input file"
        raise Problem(404, "no_such_file", what, "name a file, or send rows")
    table = {name: [cell for _, one in files for cell in one[name]] for name in files[0][1]}
    _refuse_too_many(row_count(table), config)  # each file may be within the limit, all are not
    return (files[0][0] if len(files) == 1 else config.shown(config.test_folder)), table


def _one_file(deployed: DeployedModel, location: Any) -> tuple[str, Rows]:
    if not isinstance(location, str) or not location.strip():
        what = "the file's location is empty or not a text"
        raise Problem(400, "bad_location", what, 'name a file like "testdata/testdata.csv"')
    name, data = read_location(deployed.config, location)
    return name, _table_rows(data, name, deployed.schema, deployed.config)


def _table_rows(data: bytes, file: str, schema: Schema, config: Config) -> Rows:
    """The table's columns as lists, None for what is missing; Problem 413, 415 or 422."""
    _refuse_pickle(data)
    # Unpacked, a small body may be a very large table.
    most = int(4e6 * config.max_body_mb)
    if data.startswith(GZIP):
        data = _unpacked(data, most)
    if not data.startswith(SHEETS):
        _refuse_endless(data, config)
    # limit=False: every bad row is refused below, by name, not by their share.
    reading = read_rows(data, file, schema, config.csv, frozenset(), False, most)
    _refuse_too_many(reading.rows, config)
    if reading.refused:
        names = ", ".join(c.name for c in schema.features)
        hint = f"send a CSV with a header that names the model's columns: {names}"
        raise Problem(422, "unreadable", f"not read: {excerpt(reading.refused, 500)}", hint)
    _refuse_errors("line", reading.errors, reading.rows)
    return _filled(reading.values)


def _unpacked(data: bytes, most: int) -> bytes:
    try:
        return unpack(data, most)
    except Refused as refusal:
        raise Problem(422, "unreadable", f"not read: {refusal}", "send it in parts") from None


def _refuse_endless(data: bytes, config: Config) -> None:
    """Before a text is read: line ends alone, or names alone (0.3 s for 32 KB and squared from
    there on), would cost minutes."""
    _refuse_too_many(data.rstrip(b"\r\n").count(b"\n"), config)
    if len(data.lstrip()[: MAX_HEADER + 1].partition(b"\n")[0]) > MAX_HEADER:
        what = f"not read: the header is longer than {MAX_HEADER} bytes"
        raise Problem(422, "unreadable", what, "send a CSV with one row per line")


def _json_rows(rows: Any, schema: Schema, config: Config) -> Rows:
    """The same for a list of {"column": value}; keys that are no column are ignored."""
    if not isinstance(rows, list):
        hint = 'send {"rows": [{"column": value, ...}, ...]}'
        raise Problem(422, "bad_rows", '"rows" is not a list', hint)
    _refuse_too_many(len(rows), config)
    parsers = [(column, schema.parser(column)) for column in schema.columns]
    table: Rows = {column.name: [] for column in schema.columns}
    errors: list[RowError] = []

    def refuse(number: int, column: str, rule: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        if isinstance(value, (list, dict)):
            text = "[...]" if isinstance(value, list) else "{...}"
        errors.append(RowError(number, column, rule, text, raw=""))

    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            refuse(number, "", "not an object of columns and values", row)
            continue
        # Keys that are all misspelt would be scored as a client of whom nothing is known.
        if all(row.get(column.name) is None for column in schema.features):
            refuse(number, "", "none of the model's columns is given", "")
            continue
        for column, parse in parsers:
            value = row.get(column.name)
            try:
                cell = None if value is None else parse(_json_cell(value, column))
                table[column.name].append(cell)
            except Rule as rule:
                refuse(number, column.name, str(rule), value)
    _refuse_errors("row", errors, len(rows))
    return _filled(table)


def _json_cell(value: Any, column: Column) -> Raw:
    """A JSON value as a cell; Rule for what none can hold."""
    match value:
        case str():
            return value
        case bool():  # ahead of int, which True is in Python
            raise Rule("true or false, not a number or a text")
        case int() | float():
            if isinstance(value, float) and not math.isfinite(value):  # json takes NaN and Infinity
                raise Rule("not finite")
            return repr(value) if column.kind == "text" else value
        case _:
            raise Rule("a list or an object, not one value")


def _refuse_pickle(data: bytes) -> None:
    """Problem 415 for a pickle: opening one runs what its maker wrote into it."""
    if data.startswith(PICKLE):
        what = "this is a pickle; none is ever opened"
        raise Problem(415, "pickle", what, "send the rows as CSV or as JSON")


def _refuse_too_many(rows: int, config: Config) -> None:
    if rows > config.max_rows:
        what = f"more than {config.max_rows} rows in one call"
        hint = 'send them in parts, or raise "max_rows" in config.json'
        raise Problem(413, "too_many_rows", what, hint)


def _refuse_errors(place: str, errors: Sequence[RowError], rows: int) -> None:
    """Problem 422 that names the first bad cells by line or row; nothing is scored by halves."""
    if not errors:
        return
    faults = [
        {place: e.line, "column": excerpt(e.column), "rule": e.rule, "value": excerpt(e.value)}
        for e in errors[:ERRORS_SHOWN]
    ]
    first = faults[0]
    cell = f"{first['column']}: {first['rule']}" if first["column"] else first["rule"]
    value = f" ({first['value']})" if first["value"] else ""
    what = f"{place} {first[place]}, {cell}{value}"
    hint = f"{len(errors)} faults in {rows} rows; correct them or leave those rows out"
    raise Problem(422, "bad_rows", what, hint, faults=faults)


def _filled(table: Rows) -> Rows:
    if not next(iter(table.values())):
        raise Problem(422, "no_rows", "there is no row to score", "send at least one row")
    return table

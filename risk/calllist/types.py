"""The call list as a type: who is at risk, whom to call and why, and its JSON and CSV.

Everybody takes the list from here: the steps that make it (ranking, policy, changes) fill columns
of it, the pages, the report and the messages read its rows.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from json.encoder import encode_basestring_ascii
from typing import Any, NotRequired, TypedDict, overload

from risk.config import Config, PipelineError
from risk.files import read_json
from risk.model.measures import Gain
from risk.model.reasons import MOST_UP, Reason
from risk.record.contacts import OPEN, Contact
from risk.records import parse_record, to_record
from risk.words import STEADY_BELOW, signed

FORMAT = 1  # of clients_at_risk.json; a reader refuses another
BEGIN, END = ',\n "clients": [\n', "\n ]\n}\n"  # of the clients in it
HIGH, RAISED_BAND, LOW, UNKNOWN = "high", "raised", "low", "not enough data"
BANDS = (HIGH, RAISED_BAND, LOW, UNKNOWN)
REASON_COLUMNS = (*(f"reason_{n}" for n in range(1, MOST_UP + 1)), "against", "notes")
# What a spreadsheet takes for the beginning of a formula, also in its full-width form.
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# Columns that not every list has.
OPTIONAL = ("name", "owner", "value", "profit", "value_at_risk", "details")


@dataclass(frozen=True, slots=True)
class Change:
    """A move in whole percentage points, and the data's and the model's part (None: not known)."""

    since: str
    points: int
    data: int | None
    model: int | None

    def to_json(self) -> dict[str, str | int | None]:
        # asdict() takes five times as long, and there may be 200,000 of them.
        parts = {"data": self.data, "model": self.model}
        return {"since": self.since, "points": self.points, **parts}

    @property
    def words(self) -> str:
        """`+12`, or `steady` where it is less than five points."""
        return signed(self.points) if abs(self.points) >= STEADY_BELOW else "steady"

    @property
    def split(self) -> str:
        """`data +9, model +3`: what the move is made of, or that this is not known."""
        if self.data is None or self.model is None:
            return "split not known"
        return f"data {signed(self.data)}, model {signed(self.model)}"


# Slots: 10,000 clients take 16 MB in a server, 25 as dicts.
@dataclass(frozen=True, slots=True, kw_only=True)
class ListedClient:
    """One row of the list: a client, its risk and why, and what to do.

    change: since the list's `since`, None where the client was not listed then. history: the risk
    in percent at the last snapshots, the present one last, None for a gap. contact: the newest
    note, None where nobody has called. name: how people call the client, None where the id is all.
    details: the texts of the columns to show, in the order of the list's `details`.
    """

    rank: int
    client: str
    risk: float
    date: str
    name: str | None = None
    owner: str | None = None
    value: float | None = None
    profit: float | None = None
    call: bool
    value_at_risk: float | None = None
    band: str
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    change: Change | None = None
    history: tuple[int | None, ...] = ()
    contact: Contact | None = None
    details: tuple[str, ...] = ()

    @property
    def called_name(self) -> str:
        """What people call the client: its name, else its id."""
        return self.name or self.client

    @property
    def contact_state(self) -> str:
        """Whether somebody has called: the newest note's state, `open` without one."""
        return self.contact.state if self.contact else OPEN

    @property
    def raising(self) -> list[Reason]:
        return [reason for reason in self.reasons if reason.points > 0]


class ListedColumns(Sequence[ListedClient]):
    """Clients as columns of the same length, by the names of a ListedClient; a row is made when
    it is asked for: of 230,000 clients all rows would take 0.5 s and 100 MB."""

    def __init__(self, columns: Mapping[str, Iterable[Any]]) -> None:
        self.columns = {name: list(cells) for name, cells in columns.items()}
        self._size = len(self.columns["client"])
        assert all(len(cells) == self._size for cells in self.columns.values())

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> ListedClient: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[ListedClient, ...]: ...
    def __getitem__(self, at: int | slice) -> ListedClient | tuple[ListedClient, ...]:
        if isinstance(at, slice):
            return tuple(self[place] for place in range(*at.indices(self._size)))
        return ListedClient(**{name: cells[at] for name, cells in self.columns.items()})


class _ByName(Mapping[str, ListedClient]):
    """The clients by their ids."""

    def __init__(self, clients: Sequence[ListedClient], ids: list[str]) -> None:
        self._clients, self._places = clients, {client: at for at, client in enumerate(ids)}

    def __getitem__(self, client: str) -> ListedClient:
        return self._clients[self._places[client]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Profit(TypedDict):
    """Money per 100 clients with the 95 % interval of the precision, beside calls drawn by lot."""

    per_100_clients: float
    interval: list[float]
    at_random: float


class ListGain(Gain):
    """What calling as large a share of the test rows reached, and earned where a worth is known."""

    profit: NotRequired[Profit]


@dataclass(frozen=True)
class Cut:
    """Where the list is cut and what the calls are expected to bring (risk.calllist.expected).

    how: in words. expected_profit: None where the config names no worth. cumulative_gains: what
    calling the same share of the labelled test rows reached, None without one.
    """

    called: int
    of: int
    capacity: int | None
    how: str
    expected_leavers: float = 0.0
    expected_leavers_at_random: float = 0.0
    expected_profit: float | None = None
    expected_profit_at_random: float | None = None
    cumulative_gains: ListGain | None = None


@dataclass(frozen=True)
class Band:
    """An expected value and the ends of its 95 % band."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Expected:
    """What is expected of n clients of whom some are called; None where it is not defined.

    exits: how many of all leave; found: how many of the called. caveats: why it may be wrong.
    """

    n: int
    called: int
    exits: Band
    found: Band
    brier: Band
    precision: Band | None
    recall: Band | None
    f1: Band | None
    auc: Band | None
    caveats: tuple[str, ...] = ()
    sentence: str = ""


@dataclass(frozen=True)
class ListSnapshot:
    """One of the lists that the histories go through."""

    date: str
    at: str
    model_version: int


@dataclass(frozen=True)
class OffList:
    """Who was on the call list and is not: rank and risk then, and what became of the client.

    became: open (still a current client), left, stayed, or gone (in no file).
    """

    client: str
    rank: int
    risk: float
    became: str
    name: str = ""


@dataclass(frozen=True)
class Move:
    """One of the clients whose risk moved most, in points, and their two parts."""

    client: str
    rank: int
    risk: float
    points: int
    data: int | None
    model: int | None


@dataclass(frozen=True)
class CallList:
    """All current clients, the highest risk first.

    shown: which of OPTIONAL the clients have. settings: what of the config the list depends on.
    since: the day that it is compared with, None for a first list. new, off, moves: who is new on
    the call list since, who is off it, who moved most. details: the columns that are shown beside.
    written: how the company's own files part cells and write decimals. value_name: the column that
    says what a client is worth, "" for none.
    """

    model_version: int
    data_version: int
    basis: str
    note: str
    scored_at: str
    data_date: str
    average_risk: float
    cut: Cut
    shown: tuple[str, ...]
    settings: tuple[int | float | str, ...]  # int as well: the config's own numbers, as they are
    clients: tuple[ListedClient, ...] | ListedColumns
    expected: Expected | None = None
    since: str | None = None
    snapshots: tuple[ListSnapshot, ...] = ()
    new: tuple[str, ...] = ()
    off: tuple[OffList, ...] = ()
    moves: tuple[Move, ...] = ()
    details: tuple[str, ...] = ()
    written: tuple[str, ...] = (",", ".")
    value_name: str = ""

    @cached_property
    def called(self) -> tuple[ListedClient, ...]:
        """Those to call."""
        return tuple(self.clients[at] for at, call in enumerate(self.column("call")) if call)

    @cached_property
    def by_name(self) -> Mapping[str, ListedClient]:
        return _ByName(self.clients, self.column("client"))

    def name_of(self, client: str) -> str:
        """What people call the client with this id; the id where that is not known."""
        found = self.by_name.get(client)
        if found:
            return found.called_name
        return next((off.name for off in self.off if off.client == client and off.name), client)

    @property
    def by_profit(self) -> bool:
        """Whether whom to call is decided by what a call pays, and not by the risk alone."""
        return self.cut.expected_profit is not None

    def of_owner(self, owner: str) -> CallList:
        """The part of one owner's clients, "" of nobody's. What is expected is known of all."""
        own = tuple(client for client in self.clients if (client.owner or "") == owner)
        names = {client.client for client in own}
        return replace(
            self,
            clients=own,
            expected=None,
            new=tuple(name for name in self.new if name in names),
            off=tuple(off for off in self.off if off.client in names),
            moves=tuple(move for move in self.moves if move.client in names),
        )

    def find(self, text: str) -> ListedClient | None:
        """The client of this id, else the only one of this name."""
        named = [at for at, name in enumerate(self.column("name")) if name == text]
        return self.by_name.get(text) or (self.clients[named[0]] if len(named) == 1 else None)

    @cached_property
    def bands(self) -> dict[str, int]:
        """How many clients there are in each band."""
        found = self.column("band")
        return {word: found.count(word) for word in BANDS}

    def ranked(self) -> tuple[int, int, list[Any]]:
        """What model and rows alone make of it: the same again while neither changes."""
        later = ("change", "history", "contact")
        rows = [self.client_json(client) for client in self.clients]
        own = [{key: cell for key, cell in row.items() if key not in later} for row in rows]
        return self.model_version, self.data_version, own

    def column(self, name: str) -> list[Any]:
        """One column, a value for each client by rank."""
        if isinstance(self.clients, ListedColumns) and name in self.clients.columns:
            return self.clients.columns[name]
        return [getattr(client, name) for client in self.clients]

    def with_columns(self, **columns: Iterable[Any]) -> CallList:
        """The list with these columns filled anew, a value for each client by rank."""
        own = {field.name: self.column(field.name) for field in fields(ListedClient)}
        return replace(self, clients=ListedColumns(own | columns))

    def about(self) -> dict[str, Any]:
        """All but the clients, as JSON has it."""
        head = to_record(replace(self, clients=()))
        del head["clients"]
        if self.cut.expected_profit is None:
            del head["cut"]["expected_profit"], head["cut"]["expected_profit_at_random"]
        return {"format": FORMAT, "cut": head["cut"], "bands": self.bands} | head

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        names = (field.name for field in fields(ListedClient))
        return tuple(name for name in names if name not in OPTIONAL or name in self.shown)

    def client_json(self, client: ListedClient) -> dict[str, Any]:
        """One client as JSON has it, with the columns that the list shows."""
        return {name: _cell_json(getattr(client, name)) for name in self._columns}

    def to_json(self) -> str:
        """The list as JSON, a client a line: a third of the size that indenting gives."""
        names = self._columns
        line = "{" + ", ".join(f'"{name}": %s' for name in names) + "}"
        cells = (_json_texts(self.column(name)) for name in names)
        lines = (line % row for row in zip(*cells, strict=True))
        head = json.dumps(self.about(), indent=1, allow_nan=False).removesuffix("\n}")
        return head + BEGIN + ",\n".join(lines) + END

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> CallList:
        """The list that to_json() wrote; ValueError, KeyError or TypeError for anything else."""
        # Lists of before have none of these.
        found = {"details": [], "written": [",", "."], "value_name": ""} | found
        own = {name: found[name] for name in (field.name for field in fields(cls))}
        own["off"] = [{"name": ""} | off for off in found["off"]]
        no_profit = {"expected_profit": None, "expected_profit_at_random": None}
        head = parse_record(cls, own | {"cut": no_profit | found["cut"], "clients": []})
        # By hand: the parser takes ten times as long for a client, and there may be 200,000.
        return replace(head, clients=tuple(_client_in(one) for one in found["clients"]))

    def to_csv(self, delimiter: str = ",", decimal: str = ".") -> str:
        """The list as CSV, reasons and notes each in a cell of its own."""
        return _csv_of(([name, *cells] for name, cells in self.spread()), delimiter, decimal)

    def spread(self) -> list[tuple[str, list[Any]]]:
        """The list as a spreadsheet has it: a name and a cell for each client of every column."""
        named = [name for name in self.shown if name == "name"]
        extra = [name for name in self.shown if name not in ("name", "value_at_risk", "details")]
        last = [name for name in self.shown if name == "value_at_risk"]
        known = {
            "name": [n or c for n, c in zip(*map(self.column, ("name", "client")), strict=True)],
            "model_version": [self.model_version] * len(self.clients),
            "call": ["yes" if call else "no" for call in self.column("call")],
            "change": [change.points if change else None for change in self.column("change")],
        }
        why = {
            pair: reason_cells(*pair)
            for pair in set(zip(self.column("reasons"), self.column("notes"), strict=True))
        }
        own = [why[pair] for pair in zip(self.column("reasons"), self.column("notes"), strict=True)]
        reasons = [[cells[place] for cells in own] for place in range(len(REASON_COLUMNS))]
        head = ["rank", "client", *named, "risk", "date", "model_version", *extra, "band", "call"]
        details = [
            [cells[at] for cells in self.column("details")] for at in range(len(self.details))
        ]
        return [
            *((name, known.get(name) or self.column(name)) for name in head),
            *zip(REASON_COLUMNS, reasons, strict=True),
            *((name, known.get(name) or self.column(name)) for name in ("change", *last)),
            *zip(self.details, details, strict=True),
        ]


def _cell_json(cell: Any) -> Any:
    """A cell of a client as JSON has it."""
    if isinstance(cell, Change):
        return cell.to_json()
    if isinstance(cell, Contact):
        return vars(cell)
    if cell and isinstance(cell, tuple) and isinstance(cell[0], Reason):
        return [{"points": reason.points, "text": reason.text} for reason in cell]
    return cell


def _json_texts(cells: list[Any]) -> Iterable[str]:
    """Each cell of a column as JSON; every different one is written once."""
    # As json.dumps() does, at a tenth of the time.
    kinds = set(map(type, cells))
    if kinds == {str}:
        return map(encode_basestring_ascii, cells)
    if kinds == {int} or (kinds == {float} and all(map(math.isfinite, cells))):
        return map(repr, cells)
    # No nan: Python would write and read it, other readers of JSON refuse the file.
    known = {cell: json.dumps(_cell_json(cell), allow_nan=False) for cell in set(cells)}
    return map(known.__getitem__, cells)


def _client_in(found: dict[str, Any]) -> ListedClient:
    return ListedClient(
        **found
        | {
            # The columns of a reason are for the model's own use and not in the file.
            "reasons": tuple(Reason(r["points"], r["text"], ()) for r in found["reasons"]),
            "notes": tuple(found["notes"]),
            "details": tuple(found.get("details", ())),
            "change": Change(**found["change"]) if found.get("change") else None,
            "history": tuple(found.get("history", ())),
            "contact": Contact(**found["contact"]) if found.get("contact") else None,
        }
    )


def load_list(config: Config) -> CallList:
    """The list as it was written last; PipelineError where it is absent, damaged or newer."""
    path = config.clients_json
    found = read_json(path, "reporting.py")
    try:
        if found["format"] == FORMAT:
            return CallList.from_json(found)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise PipelineError(
        f"{path} is damaged or of another version of this software; run reporting.py again"
    )


def read_about(config: Config) -> dict[str, Any] | None:
    """All that the file says but the clients: parsing 230,000 takes 4 s; None where it is absent or
    was not written whole."""
    try:
        text = config.clients_json.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    head, begin, _ = text.partition(BEGIN)
    try:
        found: dict[str, Any] = json.loads(head + "\n}")
    except ValueError:
        return None
    return found if begin and text.endswith(END) and found.get("format") == FORMAT else None


def read_list(config: Config) -> CallList | None:
    """The same; None before the first, and where it has to be made anew."""
    try:
        return load_list(config)
    except PipelineError:
        return None  # whoever shows it does without; the next run makes it anew


def reason_text(reason: Reason) -> str:
    """`tenure 1 (usually 9 to 55): +19.8 points`."""
    return f"{reason.text}: {reason.points:+.1f} points"


def reason_cells(reasons: Sequence[Reason], notes: Sequence[str]) -> list[str]:
    """The cells of REASON_COLUMNS: the reasons for, the one against and the notes, words first."""
    up = [reason_text(r) for r in reasons if r.points > 0]
    down = [reason_text(r) for r in reasons if r.points < 0]
    return [*(up + [""] * MOST_UP)[:MOST_UP], *(down or [""])[:1], "; ".join(notes)]


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """The rows as CSV that no spreadsheet runs: such a text begins with an apostrophe."""
    return _csv_of([list(cells) for cells in zip(*rows, strict=True)])


def _csv_of(columns: Iterable[list[Any]], delimiter: str = ",", decimal: str = ".") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerows(zip(*(_written(cells, decimal) for cells in columns), strict=True))
    return out.getvalue()


def _written(cells: list[Any], decimal: str) -> list[Any]:
    kinds = set(map(type, cells))
    if float in kinds and decimal != ".":
        cells = [repr(c).replace(".", decimal) if isinstance(c, float) else c for c in cells]
    # Texts alone: a number below 0 begins with - too and is to stay a number.
    runs = {cell for cell in set(cells) if isinstance(cell, str) and cell.startswith(FORMULA)}
    return [f"'{cell}" if cell in runs else cell for cell in cells] if runs else cells

"""A table nobody has described -> which column is the client, who left, what to learn from."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from risk.config import RESERVED, Csv
from risk.data import tables
from risk.data.reader import plain_text
from risk.data.schema import usual_form
from risk.data.tables import Refused
from risk.data.values import Rule, is_numeric, parse_date, parse_number, plain_cell

TEST_SHARE, MIN_LABELLED, MIN_CLASS = 0.2, 20, 3
MAX_LEVELS = 50  # a text column of more different values is free text or another id
TARGETS = (
    "exited exit churn churned haschurned ischurned churnflag churnlabel churnvalue left hasleft "
    "attrition attritionflag attrited cancelled canceled iscancelled iscanceled closed lost "
    "terminated departed quit leaver unsubscribed defected target label outcome"
).split()
KEPT_TARGETS = "active isactive retained isretained stayed current iscurrent status".split()
LEFT = (
    "1 yes y true t churned churn left exited exit gone lost cancelled canceled closed attrited "
    "departed terminated quit leaver inactive ja oui si"
).split()
STAYED = (
    "0 no n false f active stayed stay current existing retained open loyal joined nein non"
).split()
PLAIN_ANSWERS = set("1 yes y true t ja oui si 0 no n false f nein non".split())
CLIENTS = "client customer corporation company account member subscriber user employee firm".split()
SNAPSHOTS = (
    "date day month period snapshot snapshotdate snapshotday asof asofdate observationdate "
    "reportdate reportingdate reportmonth statusdate"
).split()
COUNTED = (
    "activity age calls clients count days employees logins months num number orders products "
    "purchases quantity size tenure tickets users visits weeks years"
).split()


@dataclass(frozen=True)
class Table:
    """A file as text: all raw lines below the header by number, and the cells of the whole ones.

    numbers: for each row of cells the number of its line; a line of another width has no row.
    """

    style: Csv
    header: str
    names: list[str]
    below: dict[int, str]
    numbers: list[int]
    cells: list[list[str]]

    def column(self, name: str) -> list[str]:
        place = self.names.index(name)
        return [row[place] for row in self.cells]


@dataclass
class Guess:
    """Which column plays which part; left_out says why a column plays none."""

    style: Csv
    id: str
    target: str
    target_values: dict[str, int]
    date: str = ""
    features: dict[str, str] = field(default_factory=dict)
    non_negative: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """The entries `columns` and `csv` of config.json that say so."""
        columns: dict[str, Any] = {
            "id": self.id,
            "features": self.features,
            "target": self.target,
            **({"date": self.date} if self.date else {}),
            "non_negative": self.non_negative,
            **({"target_values": self.target_values} if self.target_values else {}),
        }
        usual = self.style == Csv(",", "utf-8", ".", "")
        written = {name: said for name, said in asdict(self.style).items() if said}
        return {"columns": columns} | ({} if usual else {"csv": written})


def read_table(data: bytes, file: str = "") -> Table:
    """The table in the bytes, its delimiter, decimal sign and encoding guessed; Refused if none."""
    found = tables.read_table(data, file, tables.ANY)
    _check_header(found.names)
    whole = [(at, c) for at, c in found.rows if isinstance(c, list) and len(c) == len(found.names)]
    rows = [[plain_cell(cell) for cell in cells] for _, cells in whole]
    numbers = sorted([*(at for at, _ in found.rows), *(error.line for error in found.aside)])
    style = replace(found.style, decimal=_decimal(found.style.delimiter, rows))
    below = {number: found.raw(number) for number in numbers}
    head = found.raw(found.header)
    return Table(style, head, found.names, below, [at for at, _ in whole], rows)


def _check_header(names: list[str]) -> None:
    """Refuse a first line that names no columns: without one, a row would."""
    if len(names) < 3:
        raise Refused(
            "a table needs a client column, a column that says who left and one more, in a first "
            f"line that names them; this one reads: {', '.join(names)[:200]}"
        )
    numbers = [name for name in names if is_numeric(name)]
    if numbers:
        raise Refused(f"the first line must name the columns, but {numbers[0]!r} is a number")
    repeated = [name for name, times in Counter(names).items() if times > 1 and name]
    if repeated:
        raise Refused(f"the first line names {repeated[0]!r} twice; rename one")


def _decimal(delimiter: str, rows: list[list[str]]) -> str:
    """A comma where more cells are written 1,5 than 1.5; never where it parts the cells."""
    if delimiter == ",":
        return "."
    found = Counter(
        sign.group(1)
        for row in rows
        for cell in row
        if (sign := re.fullmatch(r"[+-]?[0-9]+([.,])[0-9]+", cell))
    )
    return "," if found[","] > found["."] else "."


def guess(table: Table) -> Guess:
    """Every column's part; Refused where nobody can tell who left or who the client is."""
    target = _target(table)
    client = _client(table, target)
    guessed = Guess(table.style, client, target, _target_values(table, target))
    guessed.date = _date(table, guessed)
    labels = [guessed_label(guessed, text) for text in table.column(target)]
    for name in table.names:
        if name in (client, target, guessed.date):
            continue
        reason = _unfit(table, name, labels)
        if reason:
            guessed.left_out[name] = reason
        else:
            guessed.features[name] = _kind(table, name)
    # What counts something is whole, never below 0, and named so. Amounts of money stay free, since
    # a refund makes one negative.
    guessed.non_negative = [
        name
        for name, kind in guessed.features.items()
        if kind == "number" and set(_tokens(name)) & set(COUNTED) and _is_whole(table, name)
        if min(_numbers(table, name), default=0.0) >= 0.0
    ]
    if not guessed.features:
        reasons = "; ".join(f"{name}: {why}" for name, why in guessed.left_out.items())
        raise Refused(f"no column is left to learn from ({reasons[:300]})")
    return guessed


def _tokens(name: str) -> list[str]:
    """The words in a column's name: customerID, customer_id and Customer Id are two each."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [part.casefold() for part in re.split(r"[^A-Za-z0-9]+", parts) if part]


def _filled(table: Table, name: str) -> list[str]:
    return [text for text in table.column(name) if text]


def _target(table: Table) -> str:
    """The column that says who left: by its name, else the one column with two values."""
    ranks = {word: rank for rank, word in enumerate([*TARGETS, *KEPT_TARGETS])}
    known = [name for name in table.names if plain_text(name) in ranks]
    named = sorted(known, key=lambda name: ranks[plain_text(name)])
    readable = [name for name in named if _meanings(table, name)]
    if readable:
        return readable[0]
    two = [name for name in table.names if len(set(_filled(table, name))) == 2]
    readable = [name for name in two if _meanings(table, name)]
    if not named and len(readable) == 1:
        return readable[0]
    shown = named[:1] or readable or two
    if not shown:
        raise Refused("no column says who left: name it exited, with 1 (left), 0 (stayed) or empty")
    words = sorted(set(_filled(table, shown[0])))[:4]
    raise Refused(
        f"cannot tell which column says who left: {', '.join(map(repr, shown))} "
        f"({shown[0]!r} holds {', '.join(map(repr, words)) or 'nothing'}); name it exited, with 1 "
        "(left), 0 (stayed) or empty"
    )


def _meanings(table: Table, name: str) -> dict[str, int]:
    """The column's words and the label each stands for; {} where one is not understood."""
    words = sorted(set(_filled(table, name)))
    found = {word: _meaning(word, table.style.decimal, name) for word in words[:12]}
    if len(words) > 12 or None in found.values():
        return {}
    return {word: label for word, label in found.items() if label is not None}


def _meaning(word: str, decimal: str, name: str) -> int | None:
    """1 for a word that means left, 0 for stayed; None for any other.

    A column called active turns yes and no around, but not the word churned.
    """
    plain = plain_text(word)
    if is_numeric(word, usual_form(decimal)) and parse_number(word, form=usual_form(decimal)) in (
        0.0,
        1.0,
    ):
        plain = str(int(parse_number(word, form=usual_form(decimal)) or 0))
    turned = plain_text(name) in KEPT_TARGETS and plain in PLAIN_ANSWERS
    if plain in LEFT or plain in STAYED:
        return int((plain in LEFT) != turned)
    tokens = _tokens(word)
    # "not churned" would be taken for churned by its second word.
    if "not" in tokens or "non" in tokens:
        return 0 if any(token in LEFT for token in tokens) else None
    said = {int(token in LEFT) for token in tokens if token in (*LEFT, *STAYED)}
    return said.pop() if len(said) == 1 else None


def _target_values(table: Table, target: str) -> dict[str, int]:
    """The words for 1 and 0 that config.json needs; {} where they are numbers already."""
    found, decimal = _meanings(table, target), table.style.decimal
    numeric = all(is_numeric(word, usual_form(decimal)) for word in found)
    if numeric and all(
        parse_number(w, form=usual_form(decimal)) == label for w, label in found.items()
    ):
        return {}
    if set(found.values()) != {0, 1}:
        raise Refused(f"every row has the same {target!r}; nothing can be learned from one kind")
    return found


def guessed_label(guessed: Guess, text: str) -> int | None:
    """What a cell of the target says: 1 left, 0 stayed, None not known."""
    if guessed.target_values:
        return guessed.target_values.get(text)
    value = parse_number(text, form=usual_form(guessed.style.decimal))
    return None if value is None else int(value)


def _client(table: Table, target: str) -> str:
    """The column that names the client: by its name, else the first of all-different values."""
    rows = len(table.cells)
    open_names = [n for n in table.names if n and n != target and n not in RESERVED]
    full = [n for n in open_names if len(_filled(table, n)) >= 0.9 * rows and rows]
    named = [n for n in full if _says_client(n) and len(set(table.column(n))) > 1]
    if named:
        return max(named, key=_says_client)
    unique = [
        n
        for n in full
        if len(set(table.column(n))) == rows
        and not _is_row_number(table, n)
        and (_kind(table, n) == "text" or _is_whole(table, n))
    ]
    if not unique:
        raise Refused("no column names the client: name it corporation or customer_id")
    return unique[0]


def _says_client(name: str) -> int:
    """How surely a column's name says that it names the client: 0 not at all, 4 customer_id."""
    tokens = _tokens(name)
    plain = plain_text(name)
    if not tokens or plain_text(name) in ("rowid", "rownumber", "index"):
        return 0
    is_id = tokens[-1] in ("id", "no", "nr", "number", "code", "key") or plain == "uuid"
    about = any(token in CLIENTS or token.removesuffix("id") in CLIENTS for token in tokens)
    if about and (is_id or plain.endswith("id")) and "of" not in tokens:
        return 4
    if plain == "id" or plain in CLIENTS:
        return 3
    if about and tokens[-1] in ("name", *CLIENTS):
        return 2
    return int(plain == "name" or tokens[-1] in ("id", "uuid"))


def _date(table: Table, guessed: Guess) -> str:
    """The row's own date: named so, or the one that tells the rows of recurring clients apart."""
    others = [n for n in table.names if n and n not in (guessed.id, guessed.target)]
    # Every cell must be one: an empty date would set its row aside.
    dates = [n for n in others if table.cells and _are_dates(table.column(n))]
    named = [n for n in dates if plain_text(n) in SNAPSHOTS]
    if named:
        return named[0]
    clients = table.column(guessed.id)
    # Rows of one client at several dates: the table is of snapshots, and the date says of when.
    if len(dates) == 1 and len(set(clients)) < len(clients):
        pairs = set(zip(clients, table.column(dates[0]), strict=True))
        return dates[0] if len(pairs) == len(clients) else ""
    return ""


def _are_dates(texts: list[str]) -> bool:
    try:
        return all(parse_date(text) for text in texts)
    except Rule:
        return False


def _kind(table: Table, name: str) -> str:
    filled = _filled(table, name)
    numeric = sum(is_numeric(text, usual_form(table.style.decimal)) for text in filled)
    # As risk.data.schema.infer_kinds has it: the tenth may be dirt, which quarantine is for.
    return "number" if filled and numeric >= 0.9 * len(filled) else "text"


def _numbers(table: Table, name: str) -> list[float]:
    decimal = table.style.decimal
    texts = [text for text in _filled(table, name) if is_numeric(text, usual_form(decimal))]
    return [float(parse_number(text, form=usual_form(decimal)) or 0.0) for text in texts]


def _is_whole(table: Table, name: str) -> bool:
    return all(value == int(value) for value in _numbers(table, name))


def _is_row_number(table: Table, name: str) -> bool:
    """Whether the numbers count the lines: 0, 1, 2 ... or 1, 2, 3 ..."""
    values = _numbers(table, name) if _kind(table, name) == "number" else []
    return len(values) == len(table.cells) > 2 and values in (
        [float(n) for n in range(len(values))],
        [float(n) for n in range(1, len(values) + 1)],
    )


def _unfit(table: Table, name: str, labels: list[int | None]) -> str:
    """Why the model must not or need not see the column; "" for a feature."""
    filled, different = _filled(table, name), len(set(_filled(table, name)))
    if not name or name in RESERVED:
        return "it has no name" if not name else "the name is used by the store"
    if not filled:
        return "it is empty"
    if different == 1 and len(filled) == len(table.cells):
        return "it is the same in every row"
    if _is_row_number(table, name):
        return "it numbers the rows"
    if _gives_away(table.column(name), labels):
        return "it is known only once a client has left"
    if _are_dates(filled):
        return "a date that is not the row's own"
    if _kind(table, name) == "number":
        another = _says_client(name) and different > 0.9 * len(filled) and _is_whole(table, name)
        return "another id" if another else ""
    if different > max(MAX_LEVELS, len(filled) / 50) or different > max(2, len(filled) / 3):
        return f"free text or another id ({different} different values in {len(filled)} rows)"
    return ""


def _gives_away(texts: list[str], labels: list[int | None]) -> bool:
    """Whether two values, or being filled at all, say exactly who left."""
    known = [(text, label) for text, label in zip(texts, labels, strict=True) if label is not None]
    if len({label for _, label in known}) < 2:
        return False
    # A leaving date, say: there for whoever left, and for nobody else.
    filled = {bool(text) == bool(label) for text, label in known}
    pairs = set(known)
    return filled == {True} or (len(pairs) == 2 == len({text for text, _ in pairs}))


def held_out(clients: list[str], labels: list[int | None]) -> set[int]:
    """The rows for testdata: about a fifth of the labelled ones, of both kinds, by whole clients.

    None with fewer than 20 labelled rows, or where training would be left with fewer than 3 of a
    kind. The same table always gives the same rows.
    """
    # By clients: a client in both would be predicted by a model that has seen its answer.
    rows: dict[str, list[int]] = defaultdict(list)
    for at, (client, label) in enumerate(zip(clients, labels, strict=True)):
        if label is not None:
            rows[client].append(at)
    if sum(map(len, rows.values())) < MIN_LABELLED:
        return set()
    chosen: set[int] = set()
    for kind in (0, 1):
        group = [c for c in rows if max(labels[at] or 0 for at in rows[c]) == kind]
        wanted = max(1, round(TEST_SHARE * sum(len(rows[c]) for c in group)))
        taken = 0
        # By a digest of the name: any order would do that does not hang on the rows' order.
        digests = {c: hashlib.sha256(c.encode("utf-8", "replace")).digest() for c in group}
        for client in sorted(group, key=digests.__getitem__):
            if taken < wanted:
                chosen |= set(rows[client])
                taken += len(rows[client])
    counts = Counter((labels[at], at in chosen) for places in rows.values() for at in places)
    whole = all(counts[kind, True] and counts[kind, False] >= MIN_CLASS for kind in (0, 1))
    return chosen if whole else set()

"""Columns that nobody has described -> which is the client, what else they are for.

A role is taken only where a header word, the cells' words or uniqueness say so; where two columns
could have it, or none is sure, Unsure says which flags decide.
"""

from __future__ import annotations

from risk.config import RESERVED
from risk.data import vocabulary as words
from risk.data.cells import Cells, Columns, Hints, Unsure, candidates_of
from risk.data.target import is_about_leaving
from risk.data.values import ISO_DAY, MISSING, PLAIN
from risk.data.vocabulary import folded

MAX_LEVELS = 50  # a text column of more different values is free text or another id
ALMOST_UNIQUE = 0.97  # a client of a hundred may stand in two rows of a date
CONTACT = frozenset(
    "phone mobile fax telefon tel telephone telefono telefoon email mail url link website".split()
)


def says_client(cells: Cells) -> int:
    """How surely a header names the client's id: 0 not at all, 4 customer_id."""
    tokens, plain = cells.tokens, folded(cells.name)
    if not tokens or plain in ("rowid", "rownumber", "index", "unnamed0"):
        return 0
    if set(tokens) & (words.COUNTED - words.IDS - {"users", "clients", "customers"}):
        return 0
    is_id = _says_id(cells)
    about = any(
        token in words.CLIENTS
        or token.removesuffix("id") in words.CLIENTS
        or any(token.startswith(word) and len(word) > 4 for word in words.CLIENTS)
        for token in tokens
    )
    if about and is_id:
        return 4
    if plain in ("id", "uuid", "guid") or (is_id and plain in ("recordid", "crmid")):
        return 3
    return 2 if cells.says(words.NAME_HEADERS) else 1 if about and cells.says(words.CLIENTS) else 0


def _says_id(cells: Cells) -> bool:
    """Whether the header speaks of an id; "number of" counts something."""
    tokens = cells.tokens
    if not tokens or "of" in tokens or set(tokens) & (words.COUNTED - words.IDS - words.CLIENTS):
        return False
    ends = tokens[-1].endswith(("nummer", "id"))
    return ends or tokens[-1] in words.IDS or tokens[0] in words.IDS


def _open_columns(columns: Columns, taken: set[str]) -> list[Cells]:
    """The columns that are filled and no dates, and so could name the client."""
    return [
        c
        for c in columns.values()
        if c.name
        and c.name not in taken
        and c.name not in RESERVED
        and len(c.filled) >= 0.9 * len(c.raws) > 0
        and not c.is_date
    ]


def rated_clients(columns: Columns, taken: set[str]) -> list[Cells]:
    """The columns whose headers name the client best."""
    rated = [(says_client(c), c) for c in _open_columns(columns, taken) if len(c.counts) > 1]
    rated = [(score, c) for score, c in rated if score and not (score < 3 and c.numbers_the_rows)]
    top = max((score for score, _ in rated), default=0)
    return [c for score, c in rated if score == top]


def find_client(columns: Columns, moments: list[str], hints: Hints, taken: set[str]) -> str:
    """The column that names the client: unique within a date, and named so or the only such one.

    moments: each row's date, "" without one.
    """
    if hints.id:
        _refuse_repeats(columns[hints.id], moments, columns)
        return hints.id
    open_columns = _open_columns(columns, taken)
    best = rated_clients(columns, taken)
    unique = [c for c in best if is_unique(c, moments, columns)]
    if len(unique) > 1 and not _same_clients(unique):
        raise Unsure(
            f"two columns could name the client: {candidates_of(unique)}; type --id COLUMN"
        )
    if unique:
        return unique[0].name
    if best:
        _refuse_repeats(best[0], moments, columns)
    plain = [
        c
        for c in open_columns
        if is_unique(c, moments, columns)
        and not c.numbers_the_rows
        and not _is_contact(c)
        and (not c.is_number or (c.is_whole and _says_id(c)))
    ]
    if len(plain) == 1:
        return plain[0].name
    if plain:
        raise Unsure(
            f"several columns could name the client: {candidates_of(plain)}; type --id COLUMN"
        )
    raise Unsure(
        "no column names the client: add a column customer_id, e.g. 1, 2, 3 ..., that keeps its "
        "number for each client from file to file (or type --id COLUMN)"
    )


def _same_clients(columns: list[Cells]) -> bool:
    """Whether they name one another: the same id in two columns."""
    first = columns[0].texts
    return all(first == other.texts for other in columns[1:])


def _distinct_rows(columns: Columns) -> list[int]:
    """The places of rows that equal no earlier one; the column of an index does not count."""
    rows = [c.texts for c in columns.values() if c.name and not c.numbers_the_rows]
    seen: dict[tuple[str, ...], int] = {}
    for at, row in enumerate(zip(*rows, strict=True)):
        seen.setdefault(row, at)
    return list(seen.values())


def is_unique(cells: Cells, moments: list[str], columns: Columns) -> bool:
    rows = _distinct_rows(columns)
    pairs = {(moments[at], cells.texts[at]) for at in rows}
    return len(pairs) >= ALMOST_UNIQUE * len(rows)


def _refuse_repeats(cells: Cells, moments: list[str], columns: Columns) -> None:
    if is_unique(cells, moments, columns):
        return
    dated = "of one date " if any(moments) else ""
    raise Unsure(
        f"{cells.name!r} names the client but repeats: {len(cells.raws):,} rows {dated}have "
        f"{len(cells.counts):,} different values; one row per client and date is needed. Type "
        "--date COLUMN if one says of when each row is, or --id COLUMN if another names the client"
    )


def find_name(columns: Columns, client: str, hints: Hints, taken: set[str]) -> str:
    """The column with the client's display name, beside an id."""
    if hints.name:
        return hints.name
    fitting = [
        c
        for c in columns.values()
        if c.name not in (*taken, client)
        and not c.is_number
        and not c.is_date
        and len(c.counts) > 0.5 * len(set(columns[client].texts))
        and (
            c.says(words.NAME_HEADERS)
            or (set(c.tokens) & words.NAMES and set(c.tokens) & words.CLIENTS)
            or folded(c.name) in ("name", "nom", "nombre", "nome", "naam")
        )
    ]
    return fitting[0].name if fitting else ""


# ------------------------------------------------------------ the other roles


def find_date(columns: Columns, hints: Hints, taken: set[str]) -> str:
    """The column that is called as the row's own date is, with a date in every cell."""
    if hints.date:
        if not columns[hints.date].is_date:
            raise Unsure(f"{hints.date!r} holds no dates: {candidates_of([columns[hints.date]])}")
        return hints.date
    fitting = [
        c
        for c in columns.values()
        if c.name not in taken
        and c.says(words.SNAPSHOTS)
        and c.is_date
        and len(c.filled) == len(c.raws)
    ]
    if len(fitting) > 1:
        raise Unsure(
            f"two columns could say of when a row is: {candidates_of(fitting)}; type --date COLUMN"
        )
    return fitting[0].name if fitting else ""


def date_that_parts(columns: Columns, client: str, taken: set[str]) -> str:
    """The one date column that tells the rows of recurring clients apart."""
    clients = columns[client].texts
    if len(set(clients)) >= ALMOST_UNIQUE * len(clients):
        return ""
    fitting = [
        c
        for c in columns.values()
        if c.name not in taken
        and c.is_date
        and len(c.filled) == len(c.raws)
        and not set(c.tokens) & words.OTHER_DATES
        and len(set(zip(clients, c.texts, strict=True))) >= ALMOST_UNIQUE * len(clients)
    ]
    return fitting[0].name if len(fitting) == 1 else ""


def find_by_words(
    columns: Columns, vocabulary: frozenset[str], taken: set[str], *, number: bool
) -> str:
    """The first column whose header is one of the words and whose cells are of that kind."""
    fitting = [
        c
        for c in columns.values()
        if c.name not in taken
        and c.filled
        and c.is_number == number
        and not c.is_date
        and (c.says(vocabulary) or folded(c.name.partition("(")[0]) in vocabulary)
    ]
    return fitting[0].name if fitting else ""


def _is_contact(cells: Cells) -> bool:
    """Whether the cells are phone numbers, e-mail addresses or links."""
    some = cells.sample(20)
    kinds = ("@", "://", "www.")
    looks = sum(any(k in text for k in kinds) for text in some)
    tokens = set(cells.tokens) & CONTACT
    several = len(cells.counts) > 0.5 * len(cells.filled)  # phone service, yes or no, is none
    return bool(some) and (looks == len(some) or (bool(tokens) and several))


def shown_or_unfit(cells: Cells, labels: list[int | None], clients: int) -> tuple[str, str]:
    """("show" or "left out", why) for what the model must not or need not see; ("", "")."""
    if not cells.name or cells.name in RESERVED:
        return "left out", "it has no name" if not cells.name else "the name is used by the store"
    filled, different = cells.filled, len(cells.counts)
    if not filled:
        return "left out", "it is empty"
    if cells.numbers_the_rows:
        return "left out", "it numbers the rows"
    if is_about_leaving(cells) or _gives_away(cells.texts, labels):
        return "left out", "it is known only once a client has left, or predicts it already"
    if cells.is_date:
        return "show", "a date that is not the row's own"
    if _is_contact(cells):
        return "show", "a way to reach the client"
    if different == 1 and len(filled) == len(cells.raws):
        return "left out", "it is the same in every row"
    if cells.is_number:
        another = cells.is_whole and different > 0.9 * clients and _says_id(cells)
        return ("left out", "another id") if another else ("", "")
    if different > max(MAX_LEVELS, len(filled) / 50) or different > max(2, len(filled) / 3):
        why = f"free text or another id ({different} different values in {len(filled)} rows)"
        return "left out", why
    return "", ""


def _gives_away(texts: list[str], labels: list[int | None]) -> bool:
    """Whether two values, or being filled at all, say exactly who left."""
    known = [(text, label) for text, label in zip(texts, labels, strict=True) if label is not None]
    if len({label for _, label in known}) < 2:
        return False
    # A leaving date, say: there for whoever left, and for nobody else.
    filled = {(text not in MISSING) == bool(label) for text, label in known}
    pairs = set(known)
    return filled == {True} or (len(pairs) == 2 == len({text for text, _ in pairs}))


def counts_something(cells: Cells) -> bool:
    """Whether the numbers are whole, never below 0, and named so. Amounts of money stay free, since
    a refund makes one negative."""
    named = set(cells.tokens) & words.COUNTED
    return bool(named) and cells.is_whole and min(cells.values(), default=0.0) >= 0.0


def form_of(cells: Cells, *, date: bool, hints: Hints) -> str:
    """The form to write into config.json, "" for the usual; Unsure where it could be two."""
    if cells.name in hints.formats:
        return hints.formats[cells.name]
    guess, usual = (cells.dates, ISO_DAY) if date else (cells.numbers, PLAIN)
    if date and guess.is_ambiguous:
        forms = (guess.form, *guess.others)
        shown = " or ".join(f"--format {cells.name!r}={form}" for form in forms[:2])
        raise Unsure(
            f"the dates in {cells.name!r} ({', '.join(cells.sample())}) can be read in two ways; "
            f"type {shown}".replace("'", '"')
        )
    return "" if guess.form in ("", usual) else guess.form

"""Files that nobody has described -> the settings that say which column is what."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from risk.data import roles
from risk.data import vocabulary as words
from risk.data.cells import Cells, Columns, Hints, Unsure
from risk.data.movements import MEASURED_AFTER, Meaning, guess_meaning, measured_after_leaving
from risk.data.reader import nearest
from risk.data.tables import Refused, Table
from risk.data.target import Target, find_target, refuse_no_target
from risk.data.values import is_numeric, parse_date
from risk.data.vocabulary import folded

TEST_SHARE, MIN_LABELLED, MIN_CLASS = 0.2, 20, 3
NO_TARGET = "exited"  # how a column is called that no file has: an export of current clients


@dataclass(frozen=True)
class Export:
    """One file as it was read. date: YYYY-MM-DD, "" where neither its name nor anybody says it."""

    file: str
    table: Table
    date: str = ""

    @property
    def rows(self) -> list[tuple[int, list[Any]]]:
        """(number, cells) of the whole rows."""
        width = len(self.table.names)
        return [(n, c) for n, c in self.table.rows if isinstance(c, list) and len(c) == width]


@dataclass(frozen=True)
class Role:
    """What a column is for, how that is known, some of its cells, and their form ("": usual)."""

    part: str
    why: str
    sample: tuple[str, ...] = ()
    form: str = ""


@dataclass
class Guess:
    """Which column plays which part, in words and as settings.

    roles: by column, in the files' order. meaning: of the target. moments: each row's date, ""
    where it has none. warning: what a person must know of these rows, "" for nothing.
    """

    roles: dict[str, Role]
    id: str
    target: Target
    date: str
    meaning: Meaning
    moments: list[str]
    clients: list[str]
    labels: list[int | None]
    non_negative: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    encoding: str = ""
    warning: str = ""

    def named(self, part: str) -> list[str]:
        return [name for name, role in self.roles.items() if role.part == part]

    def settings(self) -> dict[str, Any]:
        """The entries of config.json that say so; without those that say the usual."""
        one = {part: next(iter(self.named(part)), "") for part in ("name", "owner", "value")}
        forms = {name: role.form for name, role in self.roles.items() if role.form}
        columns: dict[str, Any] = {"id": self.id} | {k: v for k, v in one.items() if v}
        columns |= {"features": self.kinds, "target": self.target.name}
        columns |= {"date": self.date} if self.date else {}
        columns |= {"show": shown} if (shown := self.named("show")) else {}
        columns["non_negative"] = self.non_negative
        if self.target.meanings and not _is_plain(self.target.meanings):
            columns["target_values"] = self._both_words()
        columns |= {"formats": forms} if forms else {}
        found: dict[str, Any] = {"columns": columns}
        found |= {"csv": {"encoding": self.encoding}} if self.encoding else {}
        if self.meaning.labels == "status":
            found |= {"labels": "status", "vanished": self.meaning.vanished}
        return found

    def _both_words(self) -> dict[str, int]:
        """The words for 1 and 0; where nobody has left yet, the words that may come."""
        found = dict(self.target.meanings)
        for label, likely in ((1, ("Yes", "Churned", "1")), (0, ("No", "Active", "0"))):
            if label not in found.values():
                found |= {word: label for word in likely if word not in found}
        return found


def _is_plain(meanings: dict[str, int]) -> bool:
    """Whether 1, 0 and their like are all that the target says, which needs no words."""
    return all(is_numeric(word) and float(word) == label for word, label in meanings.items())


def guess(exports: Sequence[Export], hints: Hints, meaning: str = "") -> Guess:
    """Every column's part; Unsure or Refused where nobody can tell.

    exports: the oldest first. meaning: of the target, "" to be found.
    """
    columns = _columns_of(exports, hints)
    target = find_target(columns, hints)
    taken = {target.name} if target else set()
    taken |= {name for name in hints.ignore if name in columns}
    date = roles.find_date(columns, hints, taken)
    if not date and not any(export.date for export in exports):
        for cells in roles.rated_clients(columns, taken):
            date = date or roles.date_that_parts(columns, cells.name, taken)
    moments = _moments(exports, columns, date, hints)
    taken |= {date} if date else set()
    client = roles.find_client(columns, moments, hints, taken)
    labels: list[int | None] = [None] * len(moments)
    if target:
        labels = target.labels(columns[target.name])
    clients = columns[client].texts
    found = guess_meaning(moments, clients, labels, has_target=target is not None)
    if target is None and (len(set(moments)) < 2 or found.vanished != "left"):
        refuse_no_target(columns)
    if meaning:
        found = Meaning(meaning, found.vanished, "flag")
    made = Guess(
        {}, client, target or Target(NO_TARGET, {}, ""), date, found, moments, clients, labels
    )
    made.roles = _roles_of(columns, made, hints, taken)
    _fill(made, columns, exports)
    return made


def _columns_of(exports: Sequence[Export], hints: Hints) -> Columns:
    """The columns over all files by the names of the newest; Refused or Unsure for a header that
    names none, or a flag that names another."""
    names = exports[-1].table.names
    _check_header(names)
    for name in hints.named:
        if name not in names:
            near = nearest(name, names)
            meant = f"; is {near!r} meant?" if near else f"; there are: {', '.join(names)[:300]}"
            raise Unsure(f"no column is called {name!r}{meant}")
    raws: dict[str, list[Any]] = {name: [] for name in names}
    for export in exports:
        here = {folded(name): at for at, name in enumerate(export.table.names)}
        for name in names:
            at = here.get(folded(name))
            raws[name] += [cells[at] if at is not None else None for _, cells in export.rows]
    decimal = _usual_decimal(raws)
    return {
        name: Cells(name, cells, decimal, hints.formats.get(name, ""))
        for name, cells in raws.items()
    }


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


def _usual_decimal(raws: dict[str, list[Any]]) -> str:
    """The decimal sign of the columns whose form leaves no doubt, "" where they disagree."""
    signs = set()
    for name, cells in raws.items():
        found = Cells(name, cells).numbers
        if found.form and not found.is_ambiguous and any("," in str(cell) for cell in cells):
            signs.add("," if found.form.endswith(",5") else ".")
    return signs.pop() if len(signs) == 1 else ""


def _moments(exports: Sequence[Export], columns: Columns, date: str, hints: Hints) -> list[str]:
    """Each row's date: by the column, else its file's."""
    if not date:
        return [export.date for export in exports for _ in export.rows]
    form = roles.form_of(columns[date], date=True, hints=hints) or "yyyy-mm-dd"
    found = []
    for text in columns[date].texts:
        try:
            found.append(parse_date(text, form))
        except ValueError:
            found.append("")
    return found


def _roles_of(columns: Columns, made: Guess, hints: Hints, taken: set[str]) -> dict[str, Role]:
    """The part of every column, with why."""
    sure = {made.id: "client", made.target.name: "target"} | (
        {made.date: "date"} if made.date else {}
    )
    used = {*taken, *sure}
    name = roles.find_name(columns, made.id, hints, used)
    used |= {name}
    owner = hints.owner or roles.find_by_words(columns, words.OWNERS, used, number=False)
    value = hints.value or roles.find_by_words(columns, words.VALUES, used | {owner}, number=True)
    sure |= {n: part for n, part in ((name, "name"), (owner, "owner"), (value, "value")) if n}
    flags = {hints.id, hints.name, hints.target, hints.date, hints.owner, hints.value}
    found: dict[str, Role] = {}
    for cells in columns.values():
        form, sample = "", tuple(cells.sample())
        if cells.name in hints.ignore:
            part, why = "left out", "flag"
        elif cells.name in sure:
            part, why = sure[cells.name], "flag" if cells.name in flags else "header word"
            if cells.name == made.id and not roles.says_client(cells):
                why = "flag" if cells.name in flags else "different in every row"
            why = made.target.why if part == "target" else why
        elif cells.name in hints.show:
            part, why = "show", "flag"
        else:
            part, why = roles.shown_or_unfit(cells, made.labels, len(set(made.clients)))
        if not part:
            part, why = "feature", "number" if cells.is_number else "text"
        if part in ("date", "value", "target") or (part == "feature" and cells.is_number):
            form = (
                roles.form_of(cells, date=part == "date", hints=hints) if part != "target" else ""
            )
        found[cells.name] = Role(part, why, sample, form)
    return found


def _fill(made: Guess, columns: Columns, exports: Sequence[Export]) -> None:
    """What follows from the roles: kinds, numbers never below 0, the encoding, the warning."""
    import polars as pl

    features = made.named("feature")
    if not features:
        left = made.named("left out")
        reasons = "; ".join(f"{name}: {made.roles[name].why}" for name in left)
        raise Refused(f"no column is left to learn from ({reasons[:300]})")
    made.kinds = {n: "number" if columns[n].is_number else "text" for n in features}
    counted = [n for n in features if made.kinds[n] == "number"]
    made.non_negative = [n for n in counted if roles.counts_something(columns[n])]
    encodings = {export.table.style.encoding.lower() for export in exports}
    other = sorted(encodings - {"", "utf-8", "utf-8-sig", "ascii", "utf-16"})
    made.encoding = other[0] if other else ""
    if made.meaning.labels == "given":
        texts = (pl.Series(n, columns[n].texts) for n in features)
        leak = measured_after_leaving(texts, pl.Series(made.labels, dtype=pl.Int8))
        if leak:
            made.warning = (
                f"{leak}: {MEASURED_AFTER}. Export every month and start anew with the files of "
                "two months or more, or type --labels status"
            )


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

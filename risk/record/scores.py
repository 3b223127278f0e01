"""The score history, clients.sqlite: what each list predicted of each client.

With it a move of a risk can be split exactly into the data's part and the model's. A scoring is one
writing of the list; a list that repeats the one before is not kept twice. Scores lie in the order
of scorings, so that recording appends and pruning cuts off: 10,000 clients take 0.2 s however long
the history is, and one client's past 0.02 ms a scoring.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from risk.config import Config
from risk.files import sha256
from risk.record.sqlite import Database

if TYPE_CHECKING:
    import sqlite3

FORMAT = 1
# Without rowid: a table of scores lies in the order of its key, scoring first.
TABLES = (
    """
CREATE TABLE IF NOT EXISTS scorings (
    number INTEGER PRIMARY KEY, data_version INTEGER NOT NULL, data_date TEXT NOT NULL,
    at TEXT NOT NULL, model_version INTEGER NOT NULL, model TEXT NOT NULL, basis TEXT NOT NULL,
    clients INTEGER NOT NULL, called INTEGER NOT NULL, digest TEXT NOT NULL
)
""",
    """
CREATE TABLE IF NOT EXISTS scores (
    scoring INTEGER NOT NULL, client TEXT NOT NULL, date TEXT NOT NULL, risk REAL NOT NULL,
    rank INTEGER NOT NULL, band TEXT NOT NULL, called INTEGER NOT NULL, former REAL,
    chain INTEGER NOT NULL, shift REAL NOT NULL, first INTEGER NOT NULL, reasons TEXT,
    PRIMARY KEY (scoring, client)
) WITHOUT ROWID
""",
    """
CREATE TABLE IF NOT EXISTS contacts (
    number INTEGER PRIMARY KEY, client TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
    until TEXT NOT NULL, by_whom TEXT NOT NULL, note TEXT NOT NULL, source TEXT UNIQUE
)
""",
    "CREATE INDEX IF NOT EXISTS contacts_of_client ON contacts (client, at)",
)
SCORE = "scoring, client, date, risk, rank, band, called, former, chain, shift, first, reasons"
CONTACT = "client, state, at, until, by_whom, note"


@dataclass(frozen=True)
class Scoring:
    """One writing of the list.

    model: the SHA-256 of model.json, since a version's number begins anew with the folder.
    data_date: of the newest row on the list, "" where none has a date. digest: of all that it says.
    """

    number: int
    data_version: int
    data_date: str
    at: str
    model_version: int
    model: str
    basis: str
    clients: int
    called: int
    digest: str

    @property
    def day(self) -> str:
        """The date by which people know the snapshot: the data's, else that of the scoring."""
        return self.data_date or self.at[:10]


SCORING = tuple(field.name for field in fields(Scoring))
# Of no row: SQLite refuses a column that is not there when it reads the statement.
PROBES = (
    f"SELECT {', '.join(SCORING)} FROM scorings LIMIT 0",
    f"SELECT {SCORE} FROM scores LIMIT 0",
    f"SELECT {CONTACT}, number, source FROM contacts LIMIT 0",
)


class ScoredClient(NamedTuple):
    """What a list says of a client, as far as it is kept; reasons: points and words of each."""

    client: str
    date: str
    risk: float
    rank: int
    band: str
    called: bool
    reasons: tuple[tuple[float, str], ...]


class Score(NamedTuple):
    """One client in one scoring.

    former: the risk of this row by the model of the scoring before, None where it is not known.
    chain, shift: since the scoring `chain` every step is known, and new models have moved the risk
    by `shift` in sum; so between two scorings of one chain the model's part is exact.
    """

    date: str
    risk: float
    rank: int
    called: bool
    former: float | None
    chain: int
    shift: float


class PastScore(NamedTuple):
    """One client in one of the scorings that there were.

    data, model: the parts of the move since the one before, None where they are not known. of: how
    many clients the list had. reasons: points and words of each.
    """

    at: str
    data_version: int
    data_date: str
    model_version: int
    date: str
    risk: float
    rank: int
    of: int
    band: str
    called: bool
    data: float | None
    model: float | None
    reasons: list[tuple[float, str]]


def scoring_of(
    scored: Sequence[ScoredClient],
    past: list[Scoring],
    *,
    data_version: int,
    data_date: str,
    at: str,
    model_version: int,
    model: str,
    basis: str,
) -> Scoring:
    """The scoring that the list is; its number is the next, or that of a last one like it."""
    present = Scoring(
        number=past[-1].number + 1 if past else 1,
        data_version=data_version,
        data_date=data_date,
        at=at,
        model_version=model_version,
        model=model,
        basis=basis,
        clients=len(scored),
        called=sum(one.called for one in scored),
        digest=sha256(json.dumps(scored).encode()),
    )
    # The same of the same rows by the same model: the version may begin anew, its digest does not.
    same = ("data_version", "data_date", "model", "digest")
    repeats = past and all(getattr(past[-1], name) == getattr(present, name) for name in same)
    return past[-1] if repeats else present


def scores_of(
    scored: Sequence[ScoredClient],
    number: int,
    before: Mapping[str, Score],
    formers: Mapping[str, float | None],
) -> dict[str, Score]:
    """Each client's score in this scoring.

    before: the scores of the scoring before. formers: the risk of each new row by its model.
    """
    scores = {}
    for name, date, risk, rank, _, called, _ in scored:
        last, former = before.get(name), formers.get(name)
        chain, shift = number, 0.0
        if last is not None and former is not None:
            chain, shift = last.chain, last.shift + (risk - former)
        scores[name] = Score(date, risk, rank, called, former, chain, shift)
    return scores


def split_move(old: Score, new: Score) -> tuple[float, float] | None:
    """(the data's, the model's) part of the move between two scorings; None: not known."""
    if old.chain != new.chain:
        return None
    model = new.shift - old.shift
    return new.risk - old.risk - model, model


def score_history(config: Config) -> Database:
    return Database(
        path=config.score_history,
        format=FORMAT,
        tables=TABLES,
        shown=config.shown(config.score_history),
        cure="run reporting.py, which moves it aside and begins a new one",
        checked=False,  # checking 32 MB takes 50 ms, a client's history 2; what is hit is noticed
    )


def write_score_history(config: Config, change: Callable[[sqlite3.Connection], Any]) -> Any:
    """What the change returns, made in one transaction and on disk."""

    def probed(database: sqlite3.Connection) -> Any:
        for probe in PROBES:  # tables of other columns are damage too, whatever the change touches
            database.execute(probe)
        return change(database)

    return score_history(config).write(probed)


def recover_score_history(config: Config) -> None:
    """Move a damaged history aside, so that the list is written without a past."""
    if config.score_history.exists():
        write_score_history(config, lambda _: None)


def record_scores(
    config: Config,
    scoring: Scoring,
    scores: Mapping[str, Score],
    scored: Sequence[ScoredClient],
    last: Scoring | None,
    before: Mapping[str, Score],
) -> None:
    """Keep what the list says, and drop what is older than score_log_days; with the lock held.

    last, before: the scoring before this one, and its scores.
    """
    rows = sorted(  # in the key's order: 10,000 clients are appended, not inserted
        (scoring.number, one.client, *_score_columns(one, scores, scoring, last, before))
        for one in scored
    )
    marks, of_score = ", ".join("?" * len(SCORING)), ", ".join("?" * len(SCORE.split(",")))
    limit = datetime.datetime.fromisoformat(scoring.at)
    limit -= datetime.timedelta(days=config.score_log_days)

    def insert_and_prune(database: sqlite3.Connection) -> None:
        values = [getattr(scoring, name) for name in SCORING]
        database.execute(f"INSERT INTO scorings ({', '.join(SCORING)}) VALUES ({marks})", values)
        database.executemany(f"INSERT INTO scores ({SCORE}) VALUES ({of_score})", rows)
        old, when = "FROM scorings WHERE at < ?", (f"{limit:%Y-%m-%dT%H:%M:%SZ}",)
        database.execute(f"DELETE FROM scores WHERE scoring IN (SELECT number {old})", when)
        database.execute(f"DELETE {old}", when)

    write_score_history(config, insert_and_prune)


def _score_columns(
    client: ScoredClient,
    scores: Mapping[str, Score],
    scoring: Scoring,
    last: Scoring | None,
    before: Mapping[str, Score],
) -> tuple[Any, ...]:
    """The row's columns after scoring and client.

    first: whether this is the first score of the row; of an undated one, which looks like any
    other, the first at this data version. reasons: None where they are those of the scoring before,
    which saves most of the bytes.
    """
    score, old = scores[client.client], before.get(client.client)
    same_row = same_reasons = False
    if last is not None and old is not None and old.date == score.date:
        same_row = bool(score.date) or last.data_version == scoring.data_version
        same_reasons = same_row and (old.risk, last.model) == (score.risk, scoring.model)
    date, risk, rank, called, *chained = score
    reasons = None if same_reasons else json.dumps(client.reasons, ensure_ascii=False)
    return (date, risk, rank, client.band, int(called), *chained, int(not same_row), reasons)


def forget_client(config: Config, client: str) -> list[str]:
    """Take one client out, for good; damaged files that were moved aside and may name it."""

    def delete(database: sqlite3.Connection) -> int:
        statements = (f"DELETE FROM {name} WHERE client = ?" for name in ("scores", "contacts"))
        return sum(database.execute(one, (client,)).rowcount for one in statements)

    if config.score_history.exists() and write_score_history(config, delete):
        score_history(config).compact()  # not every SQLite overwrites what it deletes
    asides = config.state_folder.glob(f"{config.score_history.stem}.damaged-*")
    return sorted(config.shown(path) for path in asides)


def scorings(config: Config) -> list[Scoring]:
    """Every scoring that is kept, the oldest first."""
    query = f"SELECT {', '.join(SCORING)} FROM scorings ORDER BY number"
    return [Scoring(*row) for row in score_history(config).read(query)]


def scores_in(config: Config, number: int) -> dict[str, Score]:
    """Client -> score in the scoring of this number."""
    columns = "client, date, risk, rank, called, former, chain, shift"
    rows = score_history(config).read(f"SELECT {columns} FROM scores WHERE scoring = ?", (number,))
    return {row[0]: Score._make((*row[1:4], bool(row[4]), *row[5:])) for row in rows}


def risks_in(config: Config, number: int) -> dict[str, float]:
    """Client -> risk in the scoring of this number."""
    # Not by scores_in: the list's small charts read a dozen scorings, and need the risk alone.
    query = "SELECT client, risk FROM scores WHERE scoring = ?"
    return dict(score_history(config).read(query, (number,)))


def past_scores(config: Config, client: str) -> list[PastScore]:
    """What every scoring said of this client, the oldest first."""
    query = (
        "SELECT at, data_version, data_date, model_version, date, risk, rank, clients, band, "
        "scores.called, chain, shift, former, reasons "
        "FROM scorings JOIN scores ON scoring = number AND client = ? ORDER BY number"
    )
    rows = score_history(config).read(query, (client,))
    found: list[PastScore] = []
    reasons: list[tuple[float, str]] = []
    older: Score | None = None
    for *about, of, band, called, chain, shift, former, kept in rows:
        if kept is not None:
            reasons = [(points, text) for points, text in json.loads(kept)]
        score = Score._make((*about[4:], bool(called), former, chain, shift))
        parts = (older and split_move(older, score)) or (None, None)
        found.append(PastScore._make((*about, of, band, score.called, *parts, reasons)))
        older = score
    return found

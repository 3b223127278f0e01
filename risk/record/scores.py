"""The score history, clients.sqlite: what each list predicted of each client.

With it a move of a risk can be split exactly into the data's part and the model's. A scoring is one
writing of the list; a list that repeats the one before is not kept twice. Scores lie in the order
of scorings, so that recording appends and pruning cuts off: 10,000 clients take 0.2 s however long
the history is, and one client's past 0.02 ms a scoring.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from risk.config import Config
from risk.files import sha256
from risk.record.sqlite import Database

if TYPE_CHECKING:
    import sqlite3

    import polars as pl

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
SCORES = ("client", "date", "risk", "rank", "called", "former", "chain", "shift")
SCORED = ("client", "date", "risk", "rank", "band", "called", "reasons")
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


def scored_frame(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """What a list says of its clients, as far as it is kept: client, date, risk, rank, band, called
    and reasons, each a tuple of (points, words)."""
    import polars as pl

    words = {own: json.dumps(own, ensure_ascii=False) for own in set(columns["reasons"])}
    kept = {**columns, "reasons": [words[own] for own in columns["reasons"]]}
    return pl.DataFrame({name: pl.Series(kept[name], dtype=_type(name)) for name in SCORED})


def _type(name: str) -> type[pl.DataType]:
    import polars as pl

    if name in ("risk", "former", "shift"):
        return pl.Float64
    if name in ("rank", "chain", "scoring", "data_version", "of"):
        return pl.Int64
    return pl.Boolean if name == "called" else pl.String


def scoring_of(
    scored: pl.DataFrame,
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
        clients=scored.height,
        called=int(scored["called"].sum()),
        digest=sha256(scored.write_csv().encode()),
    )
    # The same of the same rows by the same model: the version may begin anew, its digest does not.
    same = ("data_version", "data_date", "model", "digest")
    repeats = past and all(getattr(past[-1], name) == getattr(present, name) for name in same)
    return past[-1] if repeats else present


def scores_of(
    scored: pl.DataFrame, number: int, before: pl.DataFrame, formers: pl.DataFrame
) -> pl.DataFrame:
    """Each client's score in this scoring, in the order of the list.

    before: the scores of the scoring before. formers: client, former: the risk of each new row by
    its model.
    """
    import polars as pl

    last = before.select("client", pl.col("chain", "shift").name.prefix("last_"))
    scores = scored.select("client", "date", "risk", "rank", "called")
    scores = scores.join(formers, on="client", how="left", maintain_order="left")
    scores = scores.join(last, on="client", how="left", maintain_order="left")
    known = pl.col("last_chain").is_not_null() & pl.col("former").is_not_null()
    moved = pl.col("last_shift") + (pl.col("risk") - pl.col("former"))
    return scores.with_columns(
        pl.when(known).then("last_chain").otherwise(number).alias("chain"),
        pl.when(known).then(moved).otherwise(0.0).alias("shift"),
    ).select(SCORES)


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
    scores: pl.DataFrame,
    scored: pl.DataFrame,
    last: Scoring | None,
    before: pl.DataFrame,
) -> None:
    """Keep what the list says, and drop what is older than score_log_days; with the lock held.

    last, before: the scoring before this one, and its scores.
    """
    rows = _score_rows(scoring, scores, scored, last, before)
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


def _score_rows(
    scoring: Scoring,
    scores: pl.DataFrame,
    scored: pl.DataFrame,
    last: Scoring | None,
    before: pl.DataFrame,
) -> Iterable[tuple[Any, ...]]:
    """The rows as the table has them, in its order: they are appended, not inserted.

    first: whether this is the first score of the row; of an undated one, which looks like any
    other, the first at this data version. reasons: None where they are those of the scoring before,
    which saves most of the bytes.
    """
    import polars as pl

    own = scored.select("client", "band", "reasons")
    old = before.select("client", pl.col("date", "risk").name.prefix("last_"))
    rows = scores.join(own, on="client", how="left").join(old, on="client", how="left")
    again = last is not None and last.data_version == scoring.data_version
    same_row = (pl.col("last_date") == pl.col("date")) & ((pl.col("date") != "") | again)
    same_row = same_row.fill_null(False)
    same_model = last is not None and last.model == scoring.model
    same_reasons = same_row & (pl.col("last_risk") == pl.col("risk")) & same_model
    rows = rows.sort("client").with_columns(
        pl.lit(scoring.number).alias("scoring"),
        pl.col("called").cast(pl.Int8),
        (~same_row).cast(pl.Int8).alias("first"),
        pl.when(~same_reasons).then("reasons").alias("reasons"),
    )
    return zip(*(rows[name].to_list() for name in SCORE.split(", ")), strict=True)


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


def scores_in(config: Config, number: int) -> pl.DataFrame:
    """The scores of this number: client, then the columns of a Score."""
    query = f"SELECT {', '.join(SCORES)} FROM scores WHERE scoring = ?"
    return frame_of_rows(score_history(config).read(query, (number,)), SCORES)


def frame_of_rows(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> pl.DataFrame:
    """Rows of the tables as columns of these names."""
    import polars as pl

    kinds = {name: pl.Int64 if name == "called" else _type(name) for name in names}
    # Not zip(*rows): a million arguments take ten times as long.
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    frame = pl.DataFrame({n: pl.Series(own, dtype=kinds[n]) for n, own in columns.items()})
    return frame.cast({"called": pl.Boolean}) if "called" in names else frame


def called_in(config: Config, number: int) -> set[str]:
    """Who was on the call list in the scoring of this number."""
    query = "SELECT client FROM scores WHERE scoring = ? AND called"
    return {client for (client,) in score_history(config).read(query, (number,))}


def risks_in(config: Config, number: int) -> pl.DataFrame:
    """client, risk in the scoring of this number."""
    # Not by scores_in: the list's small charts read a dozen scorings, and need the risk alone.
    query = "SELECT client, risk FROM scores WHERE scoring = ?"
    return frame_of_rows(score_history(config).read(query, (number,)), ("client", "risk"))


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

"""The reader by columns beside the row reader, which says what is right, on random files."""

from __future__ import annotations

import datetime
import io
import os
import random
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from risk.config import Csv
from risk.data import columns
from risk.data.decoding import Refused
from risk.data.reader import Reading, numeric_counts, read_rows
from risk.data.schema import Column, Schema
from risk.data.tables import read_table

STYLE = Csv("", "", ".", "")
IDS = ("Total Energies", "Müller, Söhne", " Blank ", "NA", "none", "-", "a\tb", "total", "N'Ko")
TEXTS = ("EMEA", "north east", "NA", "", " ", "null", "–", "x" * 70, "Ergebnis", 'say "so"', "a,b")
PLAIN = (
    "1",
    "0",
    "-0",
    "+7",
    "12.50",
    ".5",
    "1.",
    "1e3",
    "007",
    "9007199254740993",
    "-3",
    "1E-400",
)
ODD = ("", " ", "NA", "?", "inf", "nan", "1_000", "0x10", "abc", "1e400", "12 %", "$5", "(3)", "4-")
FORMS = {
    "": PLAIN,
    "1,234.5": ("1,234.50", "12,34,567", "1234", "$1,200", "1,200.- ", "-1,234", "1,23", ".5"),
    "1234,5": ("1234,5", "5 €", "-0,0", "1e3", ",5", "12,", "1.5"),
    "1.234,5": ("1.234,50", "1.234", "1.23", "1234", "€ 5,5", "+1.000.000"),
    "1 234.5": ("1 234.5", "12 345", "1\u00a0234", "1 23"),
    "1'234.5": ("1'234.5", "1’234", "12'34"),
}
DATES = ("2026-01-31", "2026-02-28", "2026-03", "20260131", "2026-01-31 10:00", "31.1.2026", "")
LABELS = ("0", "1", "", "1.0", "true", "NA", "2", "no")
FOOTERS = (
    "", "", "", "Total,,5,,", "(12 rows)", "\n", ",,,,", "Grand Total,,,,\n", "Exported by me,,,,",
    ",,100,200,", "\n\nCopyright", "EMEA Total,,3,,",
)  # fmt: skip


def made_up(seed: int) -> tuple[bytes, Schema]:
    """(a file, the schema it is read by): mostly plain, with what files are found to have."""
    rng = random.Random(seed)
    form, mark = rng.choice(list(FORMS)), rng.choice(",,,;\t|")
    kind = rng.choice(("number", "number", None))
    schema = Schema(
        (
            Column("client", "id", "text"),
            Column("region", "feature", "text"),
            Column("use", "feature", kind, rng.random() < 0.5, form),
            Column("spend", "feature", "number"),
            *([Column("day", "date", "date")] if rng.random() < 0.4 else []),
            Column("left", "target", "target"),
        )
    )
    quotes, odd = rng.random() < 0.4, rng.choice((0, 0, 0.003, 0.05))
    names = list(schema.names)
    if rng.random() < 0.3:
        rng.shuffle(names)
    if rng.random() < 0.2:
        names.insert(rng.randrange(len(names) + 1), "beside")

    def cell(name: str, number: int) -> str:
        few = rng.random() < odd
        match name:
            case "client":
                return rng.choice(IDS) if few else f"Client {number}{rng.choice(['', ' é', ''])}"
            case "region":
                return rng.choice(TEXTS) if few else rng.choice(TEXTS[:2])
            case "day":
                return rng.choice(DATES) if few else rng.choice(DATES[:2])
            case "left":
                return rng.choice(LABELS) if few else rng.choice(LABELS[:3])
            case "use":
                return rng.choice((*ODD, *PLAIN)) if few else rng.choice(FORMS[form])
        return rng.choice(ODD) if few else rng.choice(PLAIN)

    def written(text: str) -> str:
        if quotes and (any(sign in text for sign in f'{mark}"') or rng.random() < 0.3):
            return '"' + text.replace('"', '""') + '"'
        return text if rng.random() < 0.99 else f" {text} "

    lines = [mark.join(names)]
    for number in range(rng.choice((3, 60, 500, 700))):
        row = [written(cell(name, number)) for name in names]
        if rng.random() < odd / 4:
            row = rng.choice((row[:-1], [*row, "more"], [], [""] * len(row), [*names]))
        lines.append(mark.join(row))
    lines += [rng.choice(FOOTERS).replace(",", mark)]
    text = "\n".join(lines) + rng.choice(("\n", ""))
    if rng.random() < 0.2:
        text = text.replace("\n", "\r\n")
    raw = text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "cp1252")), "replace")
    return mutated(raw, rng) if rng.random() < 0.25 else raw, schema


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """With a few bytes changed, taken out or put in."""
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 2, 20))):
        at, new = rng.randrange(len(changed)), rng.choice(b',;"\n\r\t |\x00\x1c\x85\xff0-T')
        match rng.randrange(3):
            case 0:
                changed[at] = new
            case 1:
                changed.insert(at, new)
            case _:
                del changed[at : at + rng.choice((1, 1, 30))]
    return bytes(changed)


def typed(seed: int) -> tuple[bytes, Schema]:
    """(a Parquet file, the schema it is read by), its columns of one type or another."""
    rng = random.Random(seed)
    size, odd = rng.choice((3, 400, 700)), rng.choice((0, 0, 0.01))
    kinds = {
        "client": (
            lambda at: f"Client {at}",
            lambda at: at * 7919,
            lambda at: rng.choice((*IDS, None)) if rng.random() < odd else f"c{at}",
            lambda at: at + 0.5,
        ),
        "region": (
            lambda at: rng.choice(TEXTS),
            lambda at: rng.choice(("Total", "x\ny", None, "EMEA Total")) if not at % 97 else "a",
            lambda at: at % 3,
            lambda at: at % 2 == 0,
        ),
        "use": (
            lambda at: float(rng.choice((1.5, -0.0, 1e-7, 1e300, float("nan"), float("inf")))),
            lambda at: rng.choice((1, -5, 2**53 + 1, None)),
            lambda at: rng.choice((*PLAIN, *ODD, None)),
            lambda at: at % 2 == 0,
        ),
        "day": (
            lambda at: datetime.date(2026, 1, 31),
            lambda at: datetime.datetime(2026, 1, rng.choice((30, 31)), 10),  # noqa: DTZ001
            lambda at: rng.choice((*DATES[:2], None)),
            lambda at: 20260131,
        ),
        "left": (
            lambda at: rng.choice((0, 1, None)),
            lambda at: rng.choice((True, False)),
            lambda at: rng.choice(LABELS),
            lambda at: rng.choice((0.0, 1.0, 2.0)) if odd else 1.0,
        ),
    }
    chosen = {name: rng.choice(ways) for name, ways in kinds.items()}
    frame = pl.DataFrame({n: [way(at) for at in range(size)] for n, way in chosen.items()})
    if rng.random() < 0.2:
        frame = frame.cast({"use": pl.Float32}, strict=False)
    out = io.BytesIO()
    frame.write_parquet(out)
    columns_ = (
        Column("client", "id", "text"),
        Column("region", "feature", "text"),
        Column("use", "feature", rng.choice(("number", None)), rng.random() < 0.5),
        Column("day", "date", "date"),
        Column("left", "target", "target"),
    )
    return out.getvalue(), Schema(columns_)


def as_lists(reading: Reading) -> Reading:
    values = {name: list(cells) for name, cells in reading.values.items()}
    return replace(reading, lines=list(reading.lines), values=values)


def outcome(read, *args):
    try:
        return read(*args)
    except Refused as error:  # the same refusal, whatever it is
        return type(error), str(error)


def check(seeds: range, make: Callable[[int], tuple[bytes, Schema]] = made_up) -> int:
    """How many of the files were read by columns; none differently."""
    quick = 0
    for seed in seeds:
        data, schema = make(seed)
        fast = columns.read_columns(data, "a.csv", schema, STYLE)
        quick += not isinstance(fast.lines, list)
        slow = read_rows(data, "a.csv", schema, STYLE)
        assert repr(as_lists(fast)) == repr(as_lists(slow)), seed  # repr: -0.0 is not 0.0
        counts = outcome(columns.numeric_counts_of, data, "a.csv", schema, STYLE)

        def count(data: bytes = data, schema: Schema = schema) -> dict[str, tuple[int, int]]:
            return numeric_counts(read_table(data, "a.csv", STYLE, schema.names), schema)

        assert counts == outcome(count), seed
    return quick


def test_columns_give_what_rows_give(monkeypatch):
    monkeypatch.setattr(columns, "LEAST_BYTES", 0)
    assert check(range(60)) > 15


def test_columns_of_types_give_what_their_rows_give(monkeypatch):
    monkeypatch.setattr(columns, "LEAST_BYTES", 0)
    assert check(range(30), typed) > 8


# So many files more in `make torture`; FUZZ_FILES=200000 takes hours.
MANY = int(os.environ.get("FUZZ_FILES", "3000"))


@pytest.mark.torture
@pytest.mark.parametrize("begin", range(1000, 1000 + MANY, 1000))
def test_columns_give_what_rows_give_of_many_files(monkeypatch, begin):
    monkeypatch.setattr(columns, "LEAST_BYTES", 0)
    assert check(range(begin, begin + 1000)) > 200
    assert check(range(begin, begin + 300), typed) > 75

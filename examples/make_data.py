"""The made-up clients that ship with the project, from a seed and nothing else.

    python examples/make_data.py [--out DIR]

Writes DIR/practicedata, DIR/sourcedata and DIR/testdata (DIR is the repository's root unless
given). The same seed gives the same bytes. README.md beside this file says what the numbers mean.
"""

import argparse
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path

import crm
import numpy as np

SEED = 4  # README.md says why this one
HEADER = ("corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees", "exited")
TEST_ROWS, PRACTICE_ROWS, PRACTICE_REPEATED = 450, 300, 40
BURN_IN = 6  # months before the first file, until leavers and newcomers balance
STEADY = 0.06  # share of newcomers with a standing order

FIRST = (
    "Al Bren Cal Dor El Fen Gar Hol Im Jas Kel Lor Mer Nor Os Pel Quin Ros Sel Tar Ul Ves Wil Yar "
    "Brov Crom Drav Grel Strel Trem"
)
MIDDLE = "a ba da ga i ko li mu ni o pa ro ta u vi zu"
LAST = (
    "bard brick dane dusk fell gar hame holt kin lund mond nex quist rath rell stow tine ver wick "
    "wend yorn zell"
)
TRADES = (
    "Logistics Foods Textiles Consulting Systems Motors Print Supplies Energy Interiors "
    "Packaging Clinics Tools Travel Media"
)

Row = tuple[str, int, int, int, int | str]


@dataclass(frozen=True)
class Clients:
    """Clients at one month end, one entry each; `orders` is clients x the last 12 months."""

    names: np.ndarray
    employees: np.ndarray
    usual: np.ndarray  # expected orders a month in ordinary times
    steady: np.ndarray  # a standing order: nothing about the client changes
    mood: np.ndarray  # log of this month's expected orders over `usual`
    orders: np.ndarray

    def only(self, chosen: np.ndarray) -> "Clients":
        """The clients that `chosen`, a mask or positions, picks."""
        return Clients(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def joined_by(self, others: "Clients") -> "Clients":
        """These clients, then the others."""
        pairs = ((getattr(self, field.name), getattr(others, field.name)) for field in fields(self))
        return Clients(*(np.concatenate(pair) for pair in pairs))


def company_names(rng: np.random.RandomState) -> Iterator[str]:
    """Invented company names; no two share their first word."""
    stems = np.array(["".join(s) for s in product(FIRST.split(), MIDDLE.split(), LAST.split())])
    stems = rng.permutation(stems)
    for stem in stems:
        partner, trade = rng.choice(stems), rng.choice(TRADES.split())
        yield rng.choice(
            [f"{stem} {trade}", f"{stem} & {partner}", f"{stem}-{partner} {trade}"],
            p=[0.84, 0.08, 0.08],
        )


def next_mood(rng: np.random.RandomState, mood: np.ndarray) -> np.ndarray:
    """A month later: 70 % of the mood stays, and one client in eight has a setback."""
    setback = 0.9 * (rng.random_sample(len(mood)) < 0.12)
    return 0.7 * mood + rng.normal(0.09, 0.25, len(mood)) - setback


def month_orders(
    rng: np.random.RandomState, usual: np.ndarray, steady: np.ndarray, mood: np.ndarray
) -> np.ndarray:
    """Orders of one month: Poisson around usual x e^mood, or the standing order."""
    return np.where(steady, np.rint(usual), rng.poisson(usual * np.exp(mood))).astype(int)


def newcomers(rng: np.random.RandomState, names: Iterator[str], count: int) -> Clients:
    """Clients with their first full year behind them."""
    size = rng.normal(0, 1, count)
    employees = np.maximum(1, np.rint(np.exp(3.6 + 1.0 * size))).astype(int)
    usual = np.exp(3.2 + 0.35 * size + rng.normal(0, 0.45, count))
    steady = rng.random_sample(count) < STEADY
    usual = np.where(steady, np.maximum(1, np.rint(usual / 5)), usual)
    mood, year = np.zeros(count), []
    for _ in range(12):
        mood = next_mood(rng, mood)
        year.append(month_orders(rng, usual, steady, mood))
    called = np.array([next(names) for _ in range(count)], dtype=object)
    return Clients(called, employees, usual, steady, mood, np.column_stack(year))


def month_later(rng: np.random.RandomState, clients: Clients) -> Clients:
    """The same clients one month on: new orders, and some with more or fewer employees."""
    mood = next_mood(rng, clients.mood)
    orders = month_orders(rng, clients.usual, clients.steady, mood)
    hires = (rng.random_sample(len(mood)) < 0.15) & ~clients.steady
    grown = np.rint(clients.employees * np.exp(rng.normal(0, 0.08, len(mood))))
    employees = np.maximum(1, np.where(hires, grown, clients.employees)).astype(int)
    year = np.column_stack([clients.orders[:, 1:], orders])
    return Clients(clients.names, employees, clients.usual, clients.steady, mood, year)


def exit_probability(clients: Clients) -> np.ndarray:
    """The chance to leave in the month after; README.md has the formula."""
    month, year = clients.orders[:, -1], clients.orders.sum(axis=1)
    ratio = np.log((month + 1) / (year / 12 + 1))
    size, busy = np.log(clients.employees / 37), np.log((year + 1) / 300)  # medians
    drop = np.minimum(ratio, 0.25)
    logit = -1.25 - 3.4 * drop - 0.9 * size - 0.4 * busy + 0.5 * drop * size
    return 1 / (1 + np.exp(-logit))


def rows(clients: Clients, labels: list[int | str]) -> list[Row]:
    """The clients as rows of a file, by name."""
    columns = (clients.names, clients.orders[:, -1], clients.orders.sum(axis=1), clients.employees)
    return sorted(zip(*(column.tolist() for column in columns), labels, strict=True))


def snapshot(rng: np.random.RandomState, names: Iterator[str], size: int) -> list[Row]:
    """Rows of clients of their own at one month end in which leavers and newcomers balance."""
    clients = newcomers(rng, names, size)
    for _ in range(BURN_IN + 1):
        clients = clients.joined_by(newcomers(rng, names, size - len(clients.names)))
        leaves = rng.random_sample(size) < exit_probability(clients)
        shown = rows(clients, leaves.astype(int).tolist())
        clients = month_later(rng, clients.only(~leaves))
    return shown


def practice_files(rng: np.random.RandomState, names: Iterator[str]) -> dict[str, list[Row]]:
    """practicedata: two undated files that share some rows."""
    drawn = snapshot(rng, names, 2 * PRACTICE_ROWS - PRACTICE_REPEATED)
    order = rng.permutation(len(drawn)).tolist()
    parts = order[:PRACTICE_ROWS], order[-PRACTICE_ROWS:]
    return {
        f"practicedata/dataset{number}.csv": [drawn[position] for position in sorted(part)]
        for number, part in enumerate(parts, start=1)
    }


def generate(seed: int = SEED) -> dict[str, list[tuple[int | str, ...]]]:
    """Path -> rows of every file, the header first."""
    # RandomState, not Generator: numpy promises that its stream never changes.
    rng = np.random.RandomState(seed)
    names = company_names(rng)
    plain = {
        **practice_files(rng, names),
        "testdata/testdata.csv": snapshot(rng, names, TEST_ROWS),
    }
    exports = crm.exports(rng, names)
    return {path: [HEADER, *some] for path, some in plain.items()} | {
        f"sourcedata/accounts_{day}.csv": [crm.HEADER, *some] for day, some in exports
    }


def write(files: dict[str, list[tuple[int | str, ...]]], out: Path) -> None:
    """Write the files as CSV under `out`."""
    for path, file_rows in files.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(file_rows)
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(text.getvalue().encode())


def main() -> None:
    """Write every file under --out."""
    parser = argparse.ArgumentParser(description="Write the made-up client data.")
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("--out", type=Path, default=root, help="folder to write to [%(default)s]")
    write(generate(), parser.parse_args().out)


if __name__ == "__main__":
    main()

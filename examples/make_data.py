"""The made-up clients that ship with the project, from a seed and nothing else.

    python examples/make_data.py [--out DIR]

Writes DIR/practicedata, DIR/sourcedata and DIR/testdata (DIR is the repository's root unless
given). The same seed gives the same bytes. README.md beside this file says what the numbers mean.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path

import numpy as np

SEED = 4  # README.md says why this one
HEADER = ("corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees", "exited")
ROWS = {  # month end -> clients in the file
    "2026-05-31": 424,
    "2026-06-30": 431,
    "2026-07-31": 442,
    "2026-08-31": 450,
    "2026-09-30": 463,
    "2026-10-31": 490,
}
CHANGED_FROM = "2026-09-30"  # ISO dates compare as text
UNLABELLED = 120  # clients in the newest file of whom it is not known yet whether they leave
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


def exit_probability(clients: Clients, changed: bool) -> np.ndarray:
    """The chance to leave in the month after; README.md has the formula."""
    month, year = clients.orders[:, -1], clients.orders.sum(axis=1)
    ratio = np.log((month + 1) / (year / 12 + 1))
    size, busy = np.log(clients.employees / 37), np.log((year + 1) / 300)  # medians
    if changed:
        logit = -1.15 - 3.0 * ratio + 0.8 * size + 0.7 * busy
    else:
        drop = np.minimum(ratio, 0.25)
        logit = -1.25 - 3.4 * drop - 0.9 * size - 0.4 * busy + 0.5 * drop * size
    return 1 / (1 + np.exp(-logit))


def months(
    rng: np.random.RandomState, names: Iterator[str], sizes: list[int], changed: list[bool]
) -> Iterator[tuple[Clients, np.ndarray]]:
    """(clients, mask of those who leave) at each month end; newcomers fill up to the size."""
    clients = newcomers(rng, names, sizes[0])
    for size, after_change in zip(sizes, changed, strict=True):
        missing = max(0, size - len(clients.names))
        clients = clients.joined_by(newcomers(rng, names, missing))
        leaves = rng.random_sample(len(clients.names)) < exit_probability(clients, after_change)
        yield clients, leaves
        clients = month_later(rng, clients.only(~leaves))


def rows(clients: Clients, labels: list[int | str]) -> list[Row]:
    """The clients as rows of a file, by name."""
    columns = (clients.names, clients.orders[:, -1], clients.orders.sum(axis=1), clients.employees)
    return sorted(zip(*(column.tolist() for column in columns), labels, strict=True))


def monthly_files(rng: np.random.RandomState, names: Iterator[str]) -> dict[str, list[Row]]:
    """sourcedata: one panel of clients, month after month."""
    dates = list(ROWS)
    sizes = [ROWS[dates[0]]] * BURN_IN + list(ROWS.values())
    changed = [False] * BURN_IN + [date >= CHANGED_FROM for date in dates]
    shown = list(months(rng, names, sizes, changed))[BURN_IN:]
    files = {}
    for date, (clients, leaves) in zip(dates, shown, strict=True):
        labels = leaves.astype(int).tolist()
        if date == dates[-1]:
            for position in rng.permutation(len(labels))[:UNLABELLED]:
                labels[position] = ""
        files[f"sourcedata/clients_{date}.csv"] = rows(clients, labels)
    return files


def snapshot(rng: np.random.RandomState, names: Iterator[str], size: int) -> list[Row]:
    """Rows of clients of their own, one month end of the world before the change."""
    *_, (clients, leaves) = months(rng, names, [size] * (BURN_IN + 1), [False] * (BURN_IN + 1))
    return rows(clients, leaves.astype(int).tolist())


def practice_files(rng: np.random.RandomState, names: Iterator[str]) -> dict[str, list[Row]]:
    """practicedata: two undated files that share some rows."""
    drawn = snapshot(rng, names, 2 * PRACTICE_ROWS - PRACTICE_REPEATED)
    order = rng.permutation(len(drawn)).tolist()
    parts = order[:PRACTICE_ROWS], order[-PRACTICE_ROWS:]
    return {
        f"practicedata/dataset{number}.csv": [drawn[position] for position in sorted(part)]
        for number, part in enumerate(parts, start=1)
    }


def generate(seed: int = SEED) -> dict[str, list[Row]]:
    """Path -> rows of every file."""
    # RandomState, not Generator: numpy promises that its stream never changes.
    rng = np.random.RandomState(seed)
    names = company_names(rng)
    return {
        **practice_files(rng, names),
        "testdata/testdata.csv": snapshot(rng, names, TEST_ROWS),
        **monthly_files(rng, names),
    }


def write(files: dict[str, list[Row]], out: Path) -> None:
    """Write the files as CSV under `out`."""
    for path, file_rows in files.items():
        lines = [",".join(map(str, row)) + "\n" for row in [HEADER, *file_rows]]
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes("".join(lines).encode())


def main() -> None:
    """Write every file under --out."""
    parser = argparse.ArgumentParser(description="Write the made-up client data.")
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("--out", type=Path, default=root, help="folder to write to [%(default)s]")
    write(generate(), parser.parse_args().out)


if __name__ == "__main__":
    main()

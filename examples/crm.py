"""The made-up company of sourcedata/: its CRM's export at each month end, from a seed.

make_data.py writes the files; README.md beside this file says how a client is made.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

HEADER = (
    "Account ID", "Account Name", "Account Manager", "ARR", "Segment", "Employees", "Seats",
    "Logins last month", "Logins last year", "Open tickets", "Renewal date", "Status",
)  # fmt: skip
MONTH_ENDS = tuple(
    datetime.date(2026, month + 1, 1) - datetime.timedelta(days=1) for month in range(4, 11)
)
CHANGED_AFTER = datetime.date(2026, 8, 31)  # from here on a competitor goes after large accounts
CLIENTS, NEW_A_MONTH = 560, 38
BURN_IN = 6  # months before the first export, until leavers and newcomers balance
MANAGERS = ("Ann Bell", "Bo Carr", "Cy Dunn", "Di Evans")
PRICES = {"SMB": 180, "Mid-market": 150, "Enterprise": 120}  # dollars a seat and year

Row = tuple[str | int, ...]


@dataclass(frozen=True)
class Accounts:
    """Accounts at one month end, one entry each; logins: accounts x the last 12 months."""

    number: np.ndarray
    name: np.ndarray
    manager: np.ndarray
    employees: np.ndarray
    seats: np.ndarray
    renewal: np.ndarray  # the month of the year, 1 to 12
    habit: np.ndarray  # expected logins a seat and month in ordinary times
    mood: np.ndarray  # log of this month's expected logins over the habit
    tickets: np.ndarray
    logins: np.ndarray
    left: np.ndarray

    def joined_by(self, others: Accounts) -> Accounts:
        """These accounts, then the others."""
        pairs = {n: (getattr(self, n), getattr(others, n)) for n in self.__dataclass_fields__}
        return Accounts(**{name: np.concatenate(pair) for name, pair in pairs.items()})


def newcomers(rng: np.random.RandomState, names: Iterator[str], first: int, count: int) -> Accounts:
    """Accounts with their first year behind them; their numbers begin at `first`."""
    size = rng.normal(0, 1, count)
    employees = np.maximum(2, np.rint(np.exp(4.2 + 1.4 * size))).astype(int)
    share = np.clip(np.exp(rng.normal(-1.2, 0.6, count)), 0.02, 1)
    seats = np.maximum(1, np.rint(employees * share)).astype(int)
    habit = np.exp(rng.normal(2.0, 0.5, count))
    mood, year = np.zeros(count), []
    for _ in range(12):
        mood = next_mood(rng, mood)
        year.append(rng.poisson(seats * habit * np.exp(mood)))
    return Accounts(
        number=np.arange(first, first + count),
        name=np.array([next(names) for _ in range(count)], dtype=object),
        manager=rng.choice(np.array(MANAGERS, dtype=object), count),
        employees=employees,
        seats=seats,
        renewal=rng.randint(1, 13, count),
        habit=habit,
        mood=mood,
        tickets=open_tickets(rng, mood),
        logins=np.column_stack(year),
        left=np.zeros(count, dtype=bool),
    )


def next_mood(rng: np.random.RandomState, mood: np.ndarray) -> np.ndarray:
    """A month later: 75 % of the mood stays, and one account in ten has a setback."""
    setback = 1.1 * (rng.random_sample(len(mood)) < 0.1)
    return 0.75 * mood + rng.normal(0.08, 0.22, len(mood)) - setback


def open_tickets(rng: np.random.RandomState, mood: np.ndarray) -> np.ndarray:
    return rng.poisson(np.exp(0.1 - 0.5 * mood))


def month_later(rng: np.random.RandomState, accounts: Accounts, leaves: np.ndarray) -> Accounts:
    """The same accounts one month on; who has left logs in no more."""
    left = accounts.left | leaves
    mood = next_mood(rng, accounts.mood)
    logins = np.where(left, 0, rng.poisson(accounts.seats * accounts.habit * np.exp(mood)))
    return replace(
        accounts,
        mood=mood,
        tickets=np.where(left, 0, open_tickets(rng, mood)),
        logins=np.column_stack([accounts.logins[:, 1:], logins]),
        left=left,
    )


def exit_probability(accounts: Accounts, *, changed: bool) -> np.ndarray:
    """The chance to leave in the month after; README.md has the formula."""
    month, year = accounts.logins[:, -1], accounts.logins.sum(axis=1)
    fall = np.minimum(np.log((month + 1) / (year / 12 + 1)), 0.3)
    size = np.log(accounts.employees / 66)  # the median
    logit = -3.5 - 2.3 * fall + 0.3 * np.minimum(accounts.tickets, 5)
    logit += 0.9 * size if changed else -0.45 * size
    return 1 / (1 + np.exp(-logit))


def exports(
    rng: np.random.RandomState,
    names: Iterator[str],
    days: Sequence[datetime.date] = MONTH_ENDS,
    changed_after: datetime.date = CHANGED_AFTER,
) -> Iterator[tuple[datetime.date, list[Row]]]:
    """(month end, the rows of its export by account number, who has left among them)."""
    accounts, first = newcomers(rng, names, 100_000, CLIENTS), 100_000 + CLIENTS
    for at, day in enumerate([*[days[0]] * BURN_IN, *days]):
        if at >= BURN_IN:
            yield day, rows(accounts, day)
        risk = exit_probability(accounts, changed=at >= BURN_IN and day >= changed_after)
        leaves = ~accounts.left & (rng.random_sample(len(risk)) < risk)
        accounts = month_later(rng, accounts, leaves)
        if at < BURN_IN:  # the CRM is new: who left before its first export is not in it
            accounts = only(accounts, ~accounts.left)
        accounts = accounts.joined_by(newcomers(rng, names, first, NEW_A_MONTH))
        first += NEW_A_MONTH


def only(accounts: Accounts, chosen: np.ndarray) -> Accounts:
    return Accounts(**{n: getattr(accounts, n)[chosen] for n in accounts.__dataclass_fields__})


def rows(accounts: Accounts, day: datetime.date) -> list[Row]:
    """The accounts as the CRM writes them."""
    return [_row(accounts, at, day) for at in range(len(accounts.number))]


def _row(accounts: Accounts, at: int, day: datetime.date) -> Row:
    employees, seats = int(accounts.employees[at]), int(accounts.seats[at])
    segment = "SMB" if employees < 100 else "Mid-market" if employees < 1000 else "Enterprise"
    month = int(accounts.renewal[at])
    renewal = datetime.date(day.year + (month <= day.month), month, 1)
    return (
        f"A-{accounts.number[at]}",
        accounts.name[at],
        accounts.manager[at],
        f"${seats * PRICES[segment]:,}",
        segment,
        employees,
        seats,
        int(accounts.logins[at, -1]),
        int(accounts.logins[at].sum()),
        int(accounts.tickets[at]),
        renewal.isoformat(),
        "Churned" if accounts.left[at] else "Active",
    )

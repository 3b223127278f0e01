"""How a number has changed: the term, its words, and which ones the training rows propose."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np

from risk.data.previous import PREVIOUS_DATE, mean_name, previous_name
from risk.model.profile import Profile, column_text, value_text
from risk.model.terms import ColumnTerm, Raw, Sloped

_LEAST_KNOWN, _LEAST_SHARE = 30, 0.05  # rows with an earlier value


@dataclass(frozen=True)
class Change(Sloped, ColumnTerm):
    """The signed logarithm of a number less that of an earlier one, clipped to [low, high]: the
    logarithm of their ratio where both are large. `fill` where either is missing, which adds 0."""

    against: str
    low: float
    high: float
    fill: float

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.against, PREVIOUS_DATE)

    def basis(self, raw: Raw) -> np.ndarray:
        known = _difference(raw, self.column, self.against)
        return np.where(np.isnan(known), self.fill, np.clip(known, self.low, self.high))[None]

    def names(self) -> list[str]:
        return [f"{self.column} against {self.against}"]

    def is_sound(self, columns: dict[str, str]) -> bool:
        of_column = self.against in (previous_name(self.column), mean_name(self.column))
        return columns[self.column] == "number" and of_column and self.low <= self.high

    def reason_text(self, row: Raw, profile: Profile) -> str:
        """`logins last month 12 (was 60 in October)`, `(60 on average before)`."""
        earlier = value_text(float(row[self.against][0]))
        if self.against == mean_name(self.column):
            known = f"{earlier} on average before"
        else:
            known = f"was {earlier} {_when(row.get(PREVIOUS_DATE))}"
        return f"{column_text(self.column)} {value_text(row[self.column][0])} ({known})"

    def is_known(self, row: Raw) -> bool:
        """Whether the only row has both values."""
        return bool(np.isfinite(_difference(row, self.column, self.against)[0]))


def _difference(raw: Raw, column: str, against: str) -> np.ndarray:
    """nan where either is missing, or where nobody gave the earlier values."""
    earlier = raw.get(against)
    if earlier is None:
        return np.full(raw[column].size, np.nan)
    return _signed_log(raw[column]) - _signed_log(earlier)


def _signed_log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def _when(days: np.ndarray | None) -> str:
    """`in October`, `on 14 Oct`, `before` where the date is not known."""
    if days is None or not np.isfinite(days[0]):
        return "before"
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=int(days[0]))
    is_month_end = (day + datetime.timedelta(days=1)).day == 1
    return f"in {day:%B}" if is_month_end else f"on {day.day} {day:%b}"


def change_terms(raw: Raw, numbers: tuple[str, ...]) -> list[Change]:
    """Each number against its earlier value and its own mean, as a whole and falls alone."""
    found = []
    for name in numbers:
        for against in (previous_name(name), mean_name(name)):
            differences = _difference(raw, name, against)
            known = differences[np.isfinite(differences)]
            if known.size < max(_LEAST_KNOWN, _LEAST_SHARE * differences.size):
                continue
            low, high = (float(end) for end in np.quantile(known, [0.01, 0.99]))
            bounds = [(low, high), (low, 0.0)] if low < 0 < high else [(low, high)]
            for least, most in bounds:
                clipped = np.clip(known, least, most)
                if clipped.std() > 1e-9:
                    found.append(Change(name, against, least, most, float(clipped.mean())))
    return found

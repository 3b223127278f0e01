"""Why: what each part of a row goes together with, in points and in words that stay the same.

Every term's contribution to the log-odds is exact; base + contributions = log-odds. For people they
are shown in points: a contribution's share of the distance between the client's risk and that of
the average client, expit(base), so that the points of all parts add up to that distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.model.change_terms import Change
from risk.model.joint_terms import Interaction, Joint, Margin
from risk.model.logistic import expit
from risk.model.model import Model, row_count
from risk.model.profile import Profile, Rows, column_text, value_text
from risk.model.terms import ColumnTerm, Raw, Term

MOST_UP, _MOST_DOWN = 3, 1  # a caller remembers three reasons, and one thing to praise
_LEAST_POINTS = 2.0  # a caller has no use for a smaller one
_LARGEST_SHARE = 1e304  # a thousand such contributions and their points are finite


@dataclass(frozen=True)
class Reason:
    """One part of a client's risk: points above (+) or below (-) the average, and its words."""

    points: float
    text: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class TermGroup:
    """Terms that are reported as one: all that belongs to one column alone, the parts of regions
    and products too, or what is left of one of these."""

    columns: tuple[str, ...]
    terms: tuple[Term | Margin | Interaction, ...]

    def contribution(self, raw: Raw) -> np.ndarray:
        """What they add to each row's log-odds together. Shape (n,)."""
        total: np.ndarray = np.sum([term.contribution(raw) for term in self.terms], axis=0)
        return total

    def text(self, row: Raw, profile: Profile) -> str:
        """The row's own values beside the usual ones, or beside what they were where that is most
        of what they add; or the conditions that it meets or not."""
        changes = [t for t in self.terms if isinstance(t, Change) and t.is_known(row)]
        if changes:
            sizes = {t: abs(float(t.contribution(row)[0])) for t in changes}
            rest = [t for t in self.terms if t not in sizes]
            beside = abs(sum(float(t.contribution(row)[0]) for t in rest))
            strongest = max(changes, key=lambda t: sizes[t])
            if sizes[strongest] > beside:
                return strongest.reason_text(row, profile)
        return self.terms[0].reason_text(row, profile)


def groups_of(model: Model) -> list[TermGroup]:
    """The main effects by column, then the interactions, in the model's order."""
    mains: dict[str, list[Term | Margin]] = {}
    joint: list[TermGroup] = []
    for term in model.terms:
        if len(term.columns) == 1:  # a region of one column too
            mains.setdefault(term.columns[0], []).append(term)
        elif isinstance(term, Joint) and term.margins:
            for name in term.columns:
                mains.setdefault(name, []).append(Margin(term, name))
            joint.append(TermGroup(term.columns, (Interaction(term),)))
        else:
            joint.append(TermGroup(term.columns, (term,)))
    return [*(TermGroup((name,), tuple(terms)) for name, terms in mains.items()), *joint]


def points(model: Model, table: Rows) -> tuple[list[TermGroup], np.ndarray, np.ndarray]:
    """(groups, points of each row and group, risk of each row); the points of a row add up to
    100 (risk - expit(base)). Shapes (n, groups) and (n,)."""
    groups, raw = groups_of(model), model.raw(table)
    with np.errstate(over="ignore"):  # an infinite contribution is a certain answer
        parts = [group.contribution(raw) for group in groups]
    shares = np.column_stack(parts) if parts else np.zeros((row_count(table), 0))
    shares = np.clip(shares, -_LARGEST_SHARE, _LARGEST_SHARE)
    total, base = shares.sum(axis=1), expit(np.array([model.intercept]))[0]
    risk = expit(model.intercept + total)
    # Where everything cancels, the distance per log-odds is the slope of the logistic at the base.
    small = np.abs(total) < 1e-9
    per_unit = np.where(small, base * (1 - base), (risk - base) / np.where(small, 1.0, total))
    return groups, shares * per_unit[:, None] * 100, risk


def reasons(model: Model, table: Rows) -> list[list[Reason]]:
    """For each row the three parts that raise its risk most and the one that lowers it most."""
    groups, amounts, _ = points(model, table)
    raw = model.raw(table)
    found: list[list[Reason]] = []
    for number, own in enumerate(amounts):
        row = {name: values[number : number + 1] for name, values in raw.items()}
        order = np.argsort(-own, kind="stable")
        up = [at for at in order if own[at] >= _LEAST_POINTS][:MOST_UP]
        down = [at for at in order[::-1] if own[at] <= -_LEAST_POINTS][:_MOST_DOWN]
        found.append([])
        for at in (*up, *down):
            text = groups[at].text(row, model.profile)
            found[-1].append(Reason(round(float(own[at]), 1), text, groups[at].columns))
    return found


def unusual_values(model: Model, table: Rows) -> list[list[str]]:
    """For each row, its numbers outside the training range and what they are counted as."""
    raw = model.raw(table)
    ranges: dict[str, tuple[float, float]] = {}
    for term in model.terms:
        limits = term.counted_range() if isinstance(term, ColumnTerm) else None
        if limits:
            ranges.setdefault(term.columns[0], limits)
    notes: list[list[str]] = [[] for _ in range(row_count(table))]
    for name in model.columns:
        usual = model.profile.get(name, {})
        if name not in ranges or "least" not in usual:
            continue
        values = raw[name]
        for row in np.flatnonzero((values < usual["least"]) | (values > usual["most"])):
            counted = float(np.clip(values[row], *ranges[name]))
            notes[row].append(
                f"{column_text(name)} {value_text(values[row])}: unusual value, counted as "
                f"{value_text(counted)}"
            )
    return notes

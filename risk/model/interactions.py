"""Interactions: which regions and products the residuals of the main effects ask for.

For each pair of columns the sums of residuals r = y - p and of h = p (1 - p) over a grid of bins
are made once; every quadrant and rectangle is then a sum over that grid. A proposal's gain is
R^2 / H, about the chi-square by which it would lower the deviance; it must pass a threshold that
grows with the number of proposals looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from risk.model.design import DesignTerm, design, standardise
from risk.model.joint_terms import Condition, Product, Ramp, Region
from risk.model.logistic import expit
from risk.model.main_effects import WIDEST, thin
from risk.model.newton import log_odds_of, ridge
from risk.model.sampling import sample_of
from risk.model.terms import Curve, Levels, Linear, Raw, fill_missing

_MIN_CLASS = 100  # of the rarer class; what noise gives is measured down to 120 exits
# 60 axes are 1,770 pairs, and each pair costs its grids in the first round; later rounds look at
# those that came nearest, for the others hardly ever rise.
_MOST_AXES, _MOST_PAIRS_AGAIN = 60, 300
_BINS, _EDGES = 24, 12  # 576 cells a pair; 13 edges a side are 78 x 78 rectangles
_ROUNDS, _PER_ROUND, _MOST_TERMS = 24, 5, 120  # ten terms a round were no better
_EXITS_PER_TERM = 10  # the usual ten events a variable
_MOST_CONDITIONS = 4  # what a person still reads as one sentence
_MARGIN = 3.0  # above what the best of so many proposals reaches by chance; + 0 was no better
_MIN_ROWS, _MIN_SHARE = 20, 0.005
_FEW_LEVEL_ROWS = 50
_ROWS_FOR_MANY, _ROWS_FOR_FEW = 50_000, 100_000  # many pairs are searched on fewer rows


@dataclass(frozen=True)
class _Axis:
    """One axis of the grid: a number cut into bins, or a level against the others (two bins)."""

    column: str
    bins: np.ndarray
    cuts: tuple[float, ...] = ()  # of a number
    knots: tuple[float, ...] = ()
    fill: float = 0.0
    level: str | None = None

    @property
    def size(self) -> int:
        return len(self.cuts) + 1 if self.cuts else 2

    def condition(self, cut: int, above: bool) -> Condition:
        """Rows in the bins above (or up to) the cut, in words of the raw column."""
        if not self.cuts:
            return Condition(self.column, "is" if above else "is not", self.level)
        return Condition(self.column, "at least" if above else "below", self.cuts[cut], self.fill)

    def ramp(self) -> Ramp:
        return Ramp(self.column, self.knots, self.fill, self.level)


@dataclass(frozen=True)
class _Proposal:
    """A term that the residuals ask for: its gain above the threshold, its axes, its sides."""

    surplus: float
    axes: tuple[int, int]
    sides: tuple[tuple[int, int, bool], ...]


def find_interactions(
    mains: list[DesignTerm], raw: Raw, y: np.ndarray, groups: np.ndarray | None = None
) -> list[DesignTerm]:
    """The interactions to add, strongest first; [] with fewer than 100 of a class.

    groups: each row's client, where the rows of one may say the same thing again.
    """
    smaller = int(min(np.sum(y == 1), np.sum(y == 0)))
    if smaller < _MIN_CLASS:
        return []
    sample = sample_of(y.size, _ROWS_FOR_FEW)
    raw, y = {name: values[sample] for name, values in raw.items()}, y[sample]
    Z = design(mains, raw)
    weights = ridge(Z, y)
    echo = 1.0
    if groups is not None:
        echo = _echo(y - expit(log_odds_of(Z, weights)), groups[sample])
    axes = _strongest_axes(mains, raw, Z, weights)
    pairs = _pairs_of(axes)
    if len(pairs) > 100 and y.size > _ROWS_FOR_MANY:
        few = sample_of(y.size, _ROWS_FOR_MANY)
        raw, y, Z = {n: v[few] for n, v in raw.items()}, y[few], Z[few]
        weights = ridge(Z, y, weights)
        axes = _strongest_axes(mains, raw, Z, weights)
        pairs = _pairs_of(axes)
    if not pairs:
        return []
    most = min(_MOST_TERMS, smaller // _EXITS_PER_TERM)
    return _Search(axes, pairs, raw, y, echo).run(Z, weights, most)


def _echo(residuals: np.ndarray, groups: np.ndarray) -> float:
    """How much more the residuals vary than those of as many independent rows; at least 1.

    A client's rows may share a label, one leaving in a window over three exports makes three: their
    sums then vary threefold, and noise would pass for interactions.
    """
    import pandas as pd

    own = np.bincount(pd.factorize(groups)[0], weights=residuals)
    return max(1.0, float(own @ own) / max(float(residuals @ residuals), 1e-9))


def _pairs_of(axes: list[_Axis]) -> list[tuple[int, int]]:
    """The pairs of axes of two different columns, by their places."""
    places = combinations(range(len(axes)), 2)
    return [(a, b) for a, b in places if axes[a].column != axes[b].column]


def _strongest_axes(
    mains: list[DesignTerm], raw: Raw, Z: np.ndarray, weights: np.ndarray
) -> list[_Axis]:
    """At most 60 axes, those whose main effect varies most over the rows."""
    found: list[tuple[float, _Axis]] = []
    ends = np.cumsum([len(one.means) for one in mains])[:-1]
    effects = np.split(Z * weights[1:], ends, axis=1)
    for one, effect in zip(mains, effects, strict=True):
        term = one.term
        if isinstance(term, Curve | Linear):
            axis = _number_axis(term, raw)
            found += [(float(effect.sum(axis=1).var()), axis)] if axis else []
        elif isinstance(term, Levels):
            found += [
                (float(effect[:, n].var()), _level_axis(term, level, raw))
                for n, level in enumerate(term.levels)
            ]
    found.sort(key=lambda item: -item[0])
    return [axis for _, axis in found[:_MOST_AXES]]


def _number_axis(term: Curve | Linear, raw: Raw) -> _Axis | None:
    """The number in at most 24 bins of about equal rows; None where there is but one."""
    values = np.clip(fill_missing(raw[term.column], term.fill), -WIDEST, WIDEST)
    cuts = np.unique(np.quantile(thin(values), np.linspace(0, 1, _BINS + 1)[1:-1]))
    cuts = cuts[cuts > values.min()]
    if not cuts.size:
        return None
    knots = term.knots if isinstance(term, Curve) else (float(values.min()), *cuts.tolist())
    bins = np.searchsorted(cuts, values, side="right")
    return _Axis(term.column, bins, tuple(cuts.tolist()), knots, term.fill)


def _level_axis(term: Levels, level: str | None, raw: Raw) -> _Axis:
    return _Axis(term.column, (raw[term.column] == level).astype(np.int64), level=level)


class _Search:
    """Rounds of: look at every pair, take the best few terms, refit, until nothing passes."""

    def __init__(
        self,
        axes: list[_Axis],
        pairs: list[tuple[int, int]],
        raw: Raw,
        y: np.ndarray,
        echo: float = 1.0,
    ) -> None:
        self.axes, self.pairs, self.raw, self.y = axes, pairs, raw, y
        self.gain = _Gain(max(_MIN_ROWS, _MIN_SHARE * y.size), 1.0 - 2.0 * float(y.mean()), echo)
        cuts = np.mean([(axes[a].size - 1) * (axes[b].size - 1) for a, b in pairs])
        self.threshold = 2 * np.log(len(pairs) * cuts) + _MARGIN
        self.side_threshold = 2 * np.log(sum(axis.size for axis in axes)) + _MARGIN
        self.ramps = [axis.ramp().values(raw) for axis in axes]
        self.rows = [self._grid(a, b, None) for a, b in pairs]

    def run(self, Z: np.ndarray, weights: np.ndarray, most: int) -> list[DesignTerm]:
        terms: list[DesignTerm] = []
        columns = np.empty((Z.shape[1] + most, len(Z)))  # new ones are put behind, nothing copied
        columns[: Z.shape[1]] = Z.T
        for number in range(_ROUNDS):
            risk = expit(log_odds_of(Z, weights))
            # 1e-6: rows that are as good as certain would divide a wrong label by nothing
            r, h = self.y - risk, np.maximum(risk * (1 - risk), 1e-6)
            found = self.proposals(r, h)
            if number == 0:
                self._keep_promising(found)
            new = self.best(found, r, h, most - len(terms))
            if not new:
                break
            terms += new
            known, all_known = Z.shape[1], Z.shape[1] + len(new)
            columns[known:all_known] = design(new, self.raw).T
            Z = columns[:all_known].T
            weights = ridge(Z, self.y, np.append(weights, np.zeros(len(new))))
        return terms

    def _keep_promising(self, found: list[_Proposal]) -> None:
        """Later rounds look at the pairs that came nearest: the others hardly ever rise."""
        best: dict[tuple[int, int], float] = {}
        for proposal in found:
            best[proposal.axes] = max(best.get(proposal.axes, -np.inf), proposal.surplus)
        order = sorted(range(len(self.pairs)), key=lambda n: -best.get(self.pairs[n], -np.inf))
        kept = sorted(order[:_MOST_PAIRS_AGAIN])
        self.pairs = [self.pairs[n] for n in kept]
        self.rows = [self.rows[n] for n in kept]

    def _grid(self, a: int, b: int, weights: np.ndarray | None) -> np.ndarray:
        """Sums of the weights over the bins of two axes, shape (size of a, size of b)."""
        one, two = self.axes[a], self.axes[b]
        cells = one.bins * two.size + two.bins
        return np.bincount(cells, weights, one.size * two.size).reshape(one.size, two.size)

    def proposals(self, r: np.ndarray, h: np.ndarray) -> list[_Proposal]:
        """The best quadrant, rectangle and product of every pair, whether they pass or not."""
        found = []
        for (a, b), rows in zip(self.pairs, self.rows, strict=True):
            R, H = self._grid(a, b, r), self._grid(a, b, h)
            found += [_best_quadrant(a, b, R, H, rows, self.gain, self.threshold)]
            if min(rows.shape) > 3:
                found += [_best_rectangle(a, b, R, H, rows, self.gain, len(self.pairs))]
            if self._may_multiply(a, b):
                slope = self.ramps[a] * self.ramps[b]
                gain = float(r @ slope) ** 2 / max(float(h @ slope**2), 1e-9) / self.gain.echo
                found += [_Proposal(gain - self.threshold, (a, b), ())]
        return found

    def _may_multiply(self, a: int, b: int) -> bool:
        axes = self.axes[a], self.axes[b]
        rare = any(not axis.cuts and axis.bins.sum() < _FEW_LEVEL_ROWS for axis in axes)
        return not rare and not all(axis.size == 2 for axis in axes)

    def best(
        self, found: list[_Proposal], r: np.ndarray, h: np.ndarray, room: int
    ) -> list[DesignTerm]:
        """At most five terms that pass, each axis used once."""
        taken: list[DesignTerm] = []
        used: set[int] = set()
        for proposal in sorted(found, key=lambda c: -c.surplus):
            if proposal.surplus <= 0 or len(taken) >= min(_PER_ROUND, room):
                break
            if not used & set(proposal.axes):
                term = self.term(proposal, r, h).with_margins(self.raw)
                taken.append(standardise(term, self.raw))
                used |= set(proposal.axes)
        return taken

    def term(self, proposal: _Proposal, r: np.ndarray, h: np.ndarray) -> Region | Product:
        if not proposal.sides:
            a, b = proposal.axes
            return Product(self.axes[a].ramp(), self.axes[b].ramp())
        sides = list(proposal.sides)
        inside = np.all([self._side(side) for side in sides], axis=0)
        while len(sides) < _MOST_CONDITIONS:
            side = self._further(inside, r, h)
            if side is None:
                break
            sides.append(side)
            inside &= self._side(side)
        return Region(
            tuple(self.axes[axis].condition(cut, above) for axis, cut, above in _strictest(sides))
        )

    def _side(self, side: tuple[int, int, bool]) -> np.ndarray:
        axis, cut, above = side
        return (self.axes[axis].bins > cut) == above

    def _further(
        self, inside: np.ndarray, r: np.ndarray, h: np.ndarray
    ) -> tuple[int, int, bool] | None:
        """One more condition that raises the region's gain by more than its own threshold."""
        r, h = r[inside], h[inside]
        now = self.gain(r.sum(), h.sum(), np.array(r.size))
        best, side = float(now) + self.side_threshold, None
        for number, axis in enumerate(self.axes):
            bins = axis.bins[inside]
            below = [np.cumsum(np.bincount(bins, w, axis.size))[:-1] for w in (r, h, None)]
            whole = (r.sum(), h.sum(), len(r))
            above = [total - part for total, part in zip(whole, below, strict=True)]
            for is_above, (R, H, rows) in ((False, below), (True, above)):
                gains = self.gain(R, H, rows)
                if gains.max() > best:
                    best, side = float(gains.max()), (number, int(gains.argmax()), is_above)
        return side


@dataclass(frozen=True)
class _Gain:
    """R^2 / H where there are enough rows, else 0; H is raised where the rarer class is in excess.

    A sum of few rare exits has a longer tail than the normal one: on 12,000 rows of pure noise
    with 1 % exits the plain R^2 / H took a term in 60 % of runs. With H + skew R / 3 the gain
    agrees with the tail to third order; skew is 1 - 2 x the share of exits.
    """

    least: float
    skew: float
    echo: float = 1.0  # by which sums of residuals vary more than those of independent rows

    def __call__(self, R: np.ndarray, H: np.ndarray, rows: np.ndarray) -> np.ndarray:
        spread = np.maximum(H, 1e-9) + np.maximum(self.skew * R, 0.0) / 3
        return np.where(rows >= self.least, R**2 / spread / self.echo, 0.0)


def _strictest(sides: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """The sides without those that a later one of the same axis and direction makes idle."""
    last = {(axis, above): (axis, cut, above) for axis, cut, above in sides}
    return list(last.values())


def _best_quadrant(
    a: int, b: int, R: np.ndarray, H: np.ndarray, rows: np.ndarray, gain: _Gain, threshold: float
) -> _Proposal:
    """The strongest quadrant at the pair of cuts whose four quadrants explain most together."""
    gains = gain(_quadrants(R), _quadrants(H), _quadrants(rows))
    whole = np.where((_quadrants(rows) >= gain.least).all(axis=0), gains.sum(axis=0), 0.0)
    i, j = np.unravel_index(int(whole.argmax()), whole.shape)
    corner = int(gains[:, i, j].argmax())
    sides = ((a, int(i), corner >= 2), (b, int(j), corner % 2 == 1))
    return _Proposal(float(whole[i, j]) - threshold, (a, b), sides)


def _quadrants(grid: np.ndarray) -> np.ndarray:
    """Sums (low low, low high, high low, high high) at each pair of cuts. Shape (4, cuts, cuts)."""
    c = np.cumsum(np.cumsum(grid, axis=0), axis=1)
    both, one, two = c[:-1, :-1], c[:-1, -1:], c[-1:, :-1]
    return np.stack([both, one - both, two - both, c[-1, -1] - one - two + both])


def _best_rectangle(
    a: int, b: int, R: np.ndarray, H: np.ndarray, rows: np.ndarray, gain: _Gain, pairs: int
) -> _Proposal:
    """The rectangle, on at most 12 intervals a side, that explains most."""
    one, two = _intervals(R.shape[0]), _intervals(R.shape[1])
    sums = [_rectangles(grid, one, two) for grid in (R, H, rows)]
    gains = gain(*sums)
    i, j = np.unravel_index(int(gains.argmax()), gains.shape)
    sides = (
        *_interval_sides(a, one[0][i], one[1][i], R.shape[0]),
        *_interval_sides(b, two[0][j], two[1][j], R.shape[1]),
    )
    surplus = float(gains[i, j]) - 2 * np.log(pairs * gains.size) - _MARGIN
    return _Proposal(surplus if sides else -np.inf, (a, b), sides)


def _intervals(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(first bin, bin after the last) of every interval between at most 13 edges."""
    at = np.unique(np.linspace(0, size, min(size, _EDGES) + 1).round().astype(int))
    low, high = np.triu_indices(len(at), 1)
    return at[low], at[high]


def _rectangles(
    grid: np.ndarray, one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Sums over every rectangle, by the summed-area table. Shape (intervals, intervals)."""
    c = np.zeros((grid.shape[0] + 1, grid.shape[1] + 1))
    c[1:, 1:] = np.cumsum(np.cumsum(grid, axis=0), axis=1)
    strips = c[one[1]] - c[one[0]]
    return strips[:, two[1]] - strips[:, two[0]]


def _interval_sides(axis: int, low: int, high: int, size: int) -> tuple[tuple[int, int, bool], ...]:
    """The sides of an interval of bins; none where it reaches the end."""
    lower = ((axis, int(low) - 1, True),) if low > 0 else ()
    return lower + (((axis, int(high) - 1, False),) if high < size else ())

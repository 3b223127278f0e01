"""Can the risks be believed, how far does a list reach: intervals beside every number."""

from __future__ import annotations

from typing import Any

import numpy as np

from risk.model.measures import Z95, auc, measures, placements

BINS, LEAST_IN_BIN = 10, 10
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
EDGE = 1e-9


def judged(y: np.ndarray, p: np.ndarray, base_rate: float) -> dict[str, Any]:
    """Every measure of the risks p on labels y: F1 and its like, calibration, a list's reach."""
    return {
        **measures(y, p, base_rate),
        "auc_interval": auc_interval(y, p),
        "calibration": calibration(y, p),
        "reach": reach(y, p),
    }


def wilson(hits: float, rows: float) -> list[float]:
    """A 95 % interval of a share; [0, 1] without rows. Rows that count as fewer may be a part."""
    if not rows:
        return [0.0, 1.0]
    share, shrink = hits / rows, 1 + Z95**2 / rows
    middle = (share + Z95**2 / (2 * rows)) / shrink
    reach = Z95 * (share * (1 - share) / rows + (Z95 / (2 * rows)) ** 2) ** 0.5 / shrink
    return [max(middle - reach, 0.0), min(middle + reach, 1.0)]


def auc_interval(y: np.ndarray, score: np.ndarray) -> list[float] | None:
    """A 95 % interval of the AUC (DeLong's variance on the logit scale); None with one class only.

    Perfect order has no variance to show; there the interval reaches down by the rule of three.
    """
    area = auc(y, score)
    if area is None:
        return None
    exits, stays = score[y == 1], score[y == 0]
    if min(exits.size, stays.size) < 2:
        return [0.0, 1.0]
    if area in (0.0, 1.0):
        far = min(1.0, 3.0 / min(exits.size, stays.size))
        return [1.0 - far, 1.0] if area else [0.0, far]
    above, below = placements(exits, stays), 1.0 - placements(stays, exits)
    error = (above.var(ddof=1) / exits.size + below.var(ddof=1) / stays.size) ** 0.5
    centre, reach = np.log(area / (1 - area)), Z95 * error / (area * (1 - area))
    return [float(1 / (1 + np.exp(-(centre + side * reach)))) for side in (-1, 1)]


def calibration(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """How risks and outcomes agree: slope and intercept on the log-odds with 95 % intervals
    (1 and 0 are right), and in tenths of the rows the mean risk beside the share that left."""
    z = np.log(np.clip(p, EDGE, 1 - EDGE) / (1 - np.clip(p, EDGE, 1 - EDGE)))
    line = _line(z, y) if 0 < np.sum(y) < y.size and z.std() > 0 else None
    return {"slope": line and line[1], "intercept": line and line[0], "bins": reliability(y, p)}


def _line(z: np.ndarray, y: np.ndarray) -> list[dict[str, Any]] | None:
    """[intercept, slope] of y on the log-odds z, each with its interval; None where it diverges."""
    Z, weights = np.column_stack([np.ones_like(z), z]), np.array([0.0, 1.0])
    for _ in range(50):
        risk = 1 / (1 + np.exp(-np.clip(Z @ weights, -35, 35)))
        hessian = (Z * (risk * (1 - risk))[:, None]).T @ Z
        if np.linalg.cond(hessian) > 1e12:
            return None
        step = np.linalg.solve(hessian, Z.T @ (risk - y))
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            errors = Z95 * np.sqrt(np.diag(np.linalg.inv(hessian)))
            return [
                {"value": float(w), "interval": [float(w - e), float(w + e)]}
                for w, e in zip(weights, errors, strict=True)
            ]
    return None


def reliability(y: np.ndarray, p: np.ndarray) -> list[dict[str, Any]]:
    """Up to ten groups of about equal rows: n, mean risk, share that left and its interval."""
    groups = int(np.clip(y.size // LEAST_IN_BIN, 1, BINS))
    return [
        {
            "n": int(part.size),
            "risk": float(p[part].mean()),
            "left": float(y[part].mean()),
            "interval": wilson(int(y[part].sum()), part.size),
        }
        for part in np.array_split(np.argsort(p, kind="stable"), groups)
        if part.size
    ]


def reach(y: np.ndarray, p: np.ndarray, shares: tuple[float, ...] = SHARES) -> list[dict[str, Any]]:
    """For each share of the clients called, highest risk first: precision, recall and lift with
    95 % intervals, beside what calling as many at random would reach."""
    order, exits = np.argsort(-p, kind="stable"), int(np.sum(y == 1))
    rate = exits / y.size if y.size else 0.0
    found = []
    for share in shares:
        called = max(1, round(share * y.size))
        hits = int(y[order[:called]].sum())
        precision = wilson(hits, called)
        found.append(
            {
                "share": share,
                "called": called,
                "left": hits,
                "precision": hits / called,
                "precision_interval": precision,
                "recall": hits / exits if exits else None,
                "recall_interval": wilson(hits, exits),
                "lift": hits / called / rate if rate else None,
                "lift_interval": [end / rate for end in precision] if rate else None,
                "at_random": {"precision": rate, "recall": called / y.size},
            }
        )
    return found

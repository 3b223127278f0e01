"""Log-odds and probabilities: the one logistic function of the tree and its inverse."""

from __future__ import annotations

import numpy as np


def expit(log_odds: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def logit(risks: np.ndarray, edge: float = 1e-9) -> np.ndarray:
    """log(p / (1 - p)), p kept `edge` away from 0 and 1, where the log-odds are infinite."""
    p = np.clip(risks, edge, 1 - edge)
    return np.log(p / (1 - p))

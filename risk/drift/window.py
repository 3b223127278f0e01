"""Who has been counted, so that a client counts once a window however often it comes again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from risk.drift.reference import UNKNOWN

# A bit for each client keeps who was counted in 8 kB, whatever the ids are. A client that hits
# another's bit is left out, which costs rows and never adds evidence.
BITS = 65_536
MOST_CLIENTS = 10_000  # of a window; 14 % of the next would be taken for known ones
RECENT_ROWS = 20.0  # half-life of the share of clients that come again
# What single rows come to: one large evaluation would be remembered for too long.
MOST_RECENT = 30.0


@dataclass(frozen=True)
class Window:
    """Who has come since the clients began to come again: a bit for each, and how many.

    recent, repeats: rows of late, and how many of them are of clients of this window.
    """

    bits: np.ndarray = field(default_factory=lambda: np.zeros(BITS // 8, dtype=np.uint8))
    clients: int = 0
    recent: float = 0.0
    repeats: float = 0.0


def count_once(window: Window, clients: np.ndarray) -> tuple[Window, np.ndarray, bool]:
    """(the window with these clients, which rows count, whether it is a new window). Shape (n,).

    The last row of a client counts. A new window begins when of late half of the rows are of
    clients who have been counted, or at 10,000 clients.
    """
    _, first = np.unique(clients[::-1], return_index=True)
    kept = clients == UNKNOWN
    kept[clients.size - 1 - first] = True  # the last row is how the client is now
    at = clients & (BITS - 1)
    flags = np.unpackbits(window.bits).astype(bool)
    known = kept & (clients != UNKNOWN) & flags[at]
    # Of late: 20 rows are enough to see that the next month has begun.
    fade = 0.5 ** (kept.sum() / RECENT_ROWS)
    weight = min(1.0, MOST_RECENT / max(int(kept.sum()), 1))
    recent = window.recent * fade + weight * kept.sum()
    repeats = window.repeats * fade + weight * known.sum()
    full = window.clients >= MOST_CLIENTS
    if full or (recent >= RECENT_ROWS / 2 and repeats > recent / 2):
        window, flags = Window(), np.zeros(BITS, dtype=bool)
        known, recent, repeats, full = np.zeros(kept.size, dtype=bool), 0.0, 0.0, True
    counted = kept & ~known
    flags[at[counted & (clients != UNKNOWN)]] = True
    total = window.clients + int(counted.sum())
    began = full or total == int(counted.sum()) > 0
    return Window(np.packbits(flags), total, float(recent), float(repeats)), counted, began

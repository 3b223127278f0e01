"""When the driver ran of late and how it ended: a byte for every ten minutes, in a ring of a file.

A byte holds what a run came to and which round of the ring it is of, so that nothing is ever
cleared and a run writes one byte: it knows the place and the round from the time alone. After 64
rounds of eight days an old byte would be taken for a new one. The file is a note for the page
Status: nothing is decided from it, it is not synced, and it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

FORMAT = 1  # the first byte
SECONDS = 600  # cron starts a run every ten minutes
A_DAY = 144
SLOTS, ROUNDS = 8 * A_DAY, 64
# What became of a run. The last two are never written.
IDLE, WORKED, BROKEN, NONE, BEFORE = 1, 2, 3, 0, -1


def begin(path: Path) -> None:
    """Make the ring where there is no whole one; a full disk is no reason not to run."""
    with contextlib.suppress(OSError):
        if not path.exists() or path.stat().st_size != 1 + SLOTS:
            path.write_bytes(bytes([FORMAT]) + bytes(SLOTS))


def note(path: Path, kind: int, start: float, end: float) -> None:
    """Write what became of the run over its slots: a run that takes long stands in several."""
    first, last = int(start // SECONDS), int(end // SECONDS)
    with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:
        for slot in range(max(first, last - SLOTS + 1), last + 1):
            file.seek(1 + slot % SLOTS)
            file.write(bytes([kind * ROUNDS + slot // SLOTS % ROUNDS]))


def kinds(raw: bytes, first: int, last: int) -> list[int]:
    """What became of the runs of the slots from first to last, whose times are slot x SECONDS.

    NONE: no run. BEFORE: the log did not exist yet. At most SLOTS of them.
    """
    if len(raw) != 1 + SLOTS or raw[0] != FORMAT:
        return [BEFORE] * (last - first + 1)
    found = [_kind(raw, slot) for slot in range(first, last + 1)]
    if any(byte and byte % ROUNDS != _round_at(at, last) for at, byte in enumerate(raw[1:])):
        return found  # an earlier round is in it, so that it is older than these slots
    began = next((at for at, kind in enumerate(found) if kind), len(found))
    return [BEFORE] * began + found[began:]


def _kind(raw: bytes, slot: int) -> int:
    byte = raw[1 + slot % SLOTS]
    return byte // ROUNDS if byte % ROUNDS == slot // SLOTS % ROUNDS else NONE


def _round_at(at: int, last: int) -> int:
    """The round of the newest slot at this place of the ring, up to the last slot."""
    return (last - (last - at) % SLOTS) // SLOTS % ROUNDS

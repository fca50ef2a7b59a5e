"""What a node of the design `gossip` knows of one key's offsets. No I/O, no clock of its own.

Offsets are given out densely by a counter, so each one below `end_offset` is one of

    known      its record or tombstone is stored; kept in memory above `pruned_offset`
    pruned     below `pruned_offset`: consumers are past it; if asked for, it is read by its name
    missing    given out, and not seen yet: a writer is slow, or dead, or our view is old

- I1  Forgetting what is known is always safe: it is asked for again.
- I2  A missing offset is overdue only when it was given out at least `HOLE_PATIENCE_S` ago. Only
      overdue offsets are settled; settling one too soon costs its writer a new offset, no more.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

HOLE_PATIENCE_S = 1.5
"""How long a missing record is waited for before its offset is settled with a tombstone."""

KNOWN_OFFSETS_MAX = 16_384
"""Offsets of one key that are kept while nobody commits; beyond that the lowest are pruned."""


class OffsetIndex:
    """The offsets of one key."""

    def __init__(self) -> None:
        # Every offset below it has been given out. Grows as this node learns.
        self.end_offset = 0
        # When `end_offset` was last known to be current, in loop time; None: never.
        self.checked_at: float | None = None
        self.pruned_offset = 0
        # Offsets at or above `pruned_offset` where something is stored, ascending.
        self._known: list[int] = []
        # What was missing below this offset had been given out at that time.
        self._suspected_offset = 0
        self._suspected_at = 0.0

    def __len__(self) -> int:
        return len(self._known)

    def learn_end(self, end_offset: int) -> None:
        """Note that every offset below `end_offset` has been given out."""
        self.end_offset = max(self.end_offset, end_offset)

    def add(self, offset: int) -> None:
        """Note that a record or tombstone is stored at `offset`."""
        self.learn_end(offset + 1)
        if offset >= self.pruned_offset and not self._is_known(offset):
            insort(self._known, offset)
            if len(self._known) > KNOWN_OFFSETS_MAX:
                self.prune(self._known[1])

    def prune(self, below: int) -> None:
        """Forget the known offsets below `below`."""
        self.pruned_offset = max(self.pruned_offset, below)
        del self._known[: bisect_left(self._known, self.pruned_offset)]

    def overdue(self, missing: Iterable[int], now: float) -> list[int]:
        """Return those of the `missing` offsets, ascending, that have been waited for enough (I2).

        Call it whenever a poll found some missing: that starts the clock.
        """
        holes = [offset for offset in missing if not self._is_known(offset)]
        if not holes:
            return []
        if holes[0] >= self._suspected_offset:
            self._suspected_offset = self.end_offset
            self._suspected_at = now
        if now < self._suspected_at + HOLE_PATIENCE_S:
            return []
        return [offset for offset in holes if offset < self._suspected_offset]

    def _is_known(self, offset: int) -> bool:
        position = bisect_left(self._known, offset)
        return self._known[position : position + 1] == [offset]

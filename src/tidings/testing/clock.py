"""A node's wall clock: the loop's time, and whatever it was set to."""

from collections.abc import Callable
from typing import Final

from tidings.ports import Clock

EPOCH_MS: Final = 1_700_000_000_000
"""What clocks show when a run starts."""


class SimClock:
    """The `Clock` port on virtual time."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.ahead_ms = 0

    def now_ms(self) -> int:
        """See `Clock`."""
        return EPOCH_MS + self.ahead_ms + int(1000 * self._now_s())


_clock: type[Clock] = SimClock

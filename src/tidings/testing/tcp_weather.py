"""What becomes of the bytes on simulated connections."""

from random import Random
from typing import Final

from tidings.testing.plan import Plan
from tidings.testing.trace import Trace
from tidings.testing.weather import Weather

RETRANSMIT_S: Final = 1.0
"""A segment that was lost, or could not pass, comes again within this time."""

SPLIT_SHARE: Final = 0.1
"""The share of writes that arrive in two pieces."""


class TcpWeather(Weather):
    """Draws what becomes of segments."""

    def __init__(self, plan: Plan, trace: Trace) -> None:
        super().__init__(plan, trace)
        self._segments = Random(f"{plan.seed}/segments")

    def segment_delay_s(self) -> float:
        """Return how long a segment is under way; what is lost is sent again."""
        rng = self._segments
        delay_s = self._delay_s(rng)
        if self._strikes(rng, "message-lost"):
            delay_s += rng.uniform(0.2, RETRANSMIT_S)
        if self._strikes(rng, "message-slow"):
            delay_s += rng.uniform(0, 1)
        return delay_s

    def resets(self) -> bool:
        """Whether a connection breaks now."""
        return self._strikes(self._segments, "connection-reset")

    def retransmit_s(self) -> float:
        """Return when what was held back comes again."""
        return self._segments.uniform(0, RETRANSMIT_S)

    def split(self, size: int) -> int:
        """Return how much of a write arrives by itself; 0: all of it arrives together."""
        is_split = size > 1 and self._segments.random() < SPLIT_SHARE
        return self._segments.randrange(1, size) if is_split else 0

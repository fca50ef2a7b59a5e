"""Which node should publish: a hint that spares messages, never a matter of safety.

Every node ranks all nodes alike (rendezvous hashing, Thaler & Ravishankar 1998) and prefers the
highest that it does not suspect. Suspicion comes from use alone: a node that was asked to publish
and did not in time is passed over for a while, twice as long each time in a row.
"""

import zlib
from collections.abc import Sequence

from tidings.engine.settings import Settings

SMOOTHING = 0.2
"""Weight of the newest outcome in the smoothed time to an outcome."""

PATIENCE_FACTOR = 4
"""A preferred publisher gets this many times the usual time to an outcome."""


class Preference:
    """One node's view of who should publish."""

    def __init__(
        self, node_id: str, node_ids: Sequence[str], journal: str, settings: Settings
    ) -> None:
        self._node_id = node_id
        self._settings = settings
        self._ranked = sorted(node_ids, key=lambda name: _weight(journal, name), reverse=True)
        # Until when (loop time) a node is passed over, and for how long the next time.
        self._suspected: dict[str, tuple[float, float]] = {}
        # Smoothed seconds from forwarding to the outcome.
        self._usual_s = settings.forward_patience_max_s / PATIENCE_FACTOR

    def preferred(self, now: float) -> str:
        """Return the node that should publish; it may be this one."""
        for name in self._ranked:
            if name == self._node_id or self._suspected.get(name, (0.0, 0.0))[0] <= now:
                return name
        raise AssertionError("a node never suspects itself, so somebody is left")

    @property
    def patience_s(self) -> float:
        """How long to wait for a preferred publisher before publishing oneself."""
        wanted = PATIENCE_FACTOR * self._usual_s
        low, high = self._settings.forward_patience_min_s, self._settings.forward_patience_max_s
        return min(max(wanted, low), high)

    def suspect(self, name: str, now: float) -> None:
        """Note that a node was asked to publish and did not in time."""
        _, last_s = self._suspected.get(name, (0.0, 0.0))
        span_s = min(2 * last_s or self._settings.suspicion_min_s, self._settings.suspicion_max_s)
        self._suspected[name] = (now + span_s, span_s)
        self._usual_s = min(2 * self._usual_s, self._settings.forward_patience_max_s)

    def trust(self, name: str, took_s: float) -> None:
        """Note that a node published in time, and how long that took."""
        self._suspected.pop(name, None)
        self._usual_s += SMOOTHING * (took_s - self._usual_s)


def _weight(journal: str, name: str) -> tuple[int, str]:
    return zlib.crc32(f"{journal}/{name}".encode()), name

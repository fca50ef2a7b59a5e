"""Which node should publish: a hint that spares messages, never a matter of safety.

Every node ranks all nodes alike (rendezvous hashing, Thaler & Ravishankar 1998) and prefers the
highest that it does not suspect. Suspicion comes from use alone: a node that was asked to publish
and did not in time is passed over until it answers a ping, which proves both ways open.
"""

import hashlib
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
        """Prefer some of `node_ids`, whose contents may change: it is looked at each time."""
        self._node_id = node_id
        self._settings = settings
        self._journal = journal
        self._node_ids = node_ids
        # What `node_ids` held when it was ranked, and the most preferred first.
        self._ranked_ids: list[str] = []
        self._ranked: list[str] = []
        # The nodes that are passed over, and when (loop time) each may be pinged next.
        self._suspected: dict[str, float] = {}
        # Smoothed seconds from forwarding to the outcome.
        self._usual_s = settings.forward_patience_max_s / PATIENCE_FACTOR

    def preferred(self) -> str:
        """Return the node that should publish; it may be this one."""
        for name in self._ranking():
            if name == self._node_id or name not in self._suspected:
                return name
        raise AssertionError("a node never passes itself over, so somebody is left")

    def _ranking(self) -> list[str]:
        """Return all nodes, the most preferred first."""
        if self._ranked_ids != self._node_ids:
            self._ranked_ids = list(self._node_ids)
            self._ranked = sorted(self._ranked_ids, key=self._weight, reverse=True)
            # Who left and comes again is another one.
            for name in [name for name in self._suspected if name not in self._ranked_ids]:
                del self._suspected[name]
        return self._ranked

    def _weight(self, name: str) -> bytes:
        """Return what ranks a node: a hash that mixes well, or some would be favoured."""
        return hashlib.blake2b(f"{self._journal}/{name}".encode(), digest_size=16).digest()

    @property
    def is_own(self) -> bool:
        """Whether this node should publish."""
        return self.preferred() == self._node_id

    @property
    def patience_s(self) -> float:
        """How long to wait for a preferred publisher before publishing oneself."""
        wanted = PATIENCE_FACTOR * self._usual_s
        low, high = self._settings.forward_patience_min_s, self._settings.forward_patience_max_s
        return min(max(wanted, low), high)

    def suspect(self, name: str, now: float) -> None:
        """Note that a node was asked to publish and did not in time."""
        self._suspected[name] = now
        # Perhaps everything has become slower.
        self._usual_s = min(2 * self._usual_s, self._settings.forward_patience_max_s)

    def due_pings(self, now: float) -> list[str]:
        """Return the suspected nodes to ping now: those that would be preferred, now and then."""
        due = [name for name in self._better() if self._suspected.get(name, now + 1) <= now]
        for name in due:
            self._suspected[name] = now + self._settings.ping_interval_s
        return due

    def _better(self) -> list[str]:
        ranked = self._ranking()
        return ranked[: ranked.index(self._node_id)]

    def trust(self, name: str) -> None:
        """Note that a node answered: it is no longer passed over."""
        self._suspected.pop(name, None)

    def note_outcome(self, took_s: float) -> None:
        """Note how long a preferred publisher took that published in time."""
        self._usual_s += SMOOTHING * (took_s - self._usual_s)

"""Lists in seq-kv that only grow, by compare-and-swap.

As no list ever comes back, a swap from an old value can never succeed late, and the length tells
which of two values is newer.
"""

import random

from tidings.maelstrom.committed_offsets import CALL_TIMEOUT_S
from tidings.maelstrom.design import Network
from tidings.maelstrom.freshness import Freshness
from tidings.stores.maelstrom_kv import KeyValue
from tidings.types import Json


class GrowingLists:
    """Reads and extends such lists. Every method raises Indeterminate or Unavailable."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._kv = KeyValue(network, "seq-kv", timeout_s=CALL_TIMEOUT_S)
        self._freshness = Freshness(network, self._kv, rng)

    async def run(self) -> None:
        """Keep the view of seq-kv fresh while somebody polls."""
        await self._freshness.run()

    async def poll(self, name: str) -> list[Json]:
        """Return the list in some recent state; repeated polls see every change in the end."""
        self._freshness.want()
        return await self.read(name)

    async def read(self, name: str, *, outdated: list[Json] | None = None) -> list[Json]:
        """Return the list in some recent state; empty if it does not exist there.

        Given an `outdated` value, return the one that replaced it, if there is one.
        """
        found: list[Json] = await self._kv.read(name, default=[])
        if outdated is not None and len(found) <= len(outdated):
            await self._freshness.renew()
            found = await self._kv.read(name, default=[])
        return found

    async def extend(self, name: str, old: list[Json], new: list[Json]) -> bool:
        """Make the list `new` if it is still `old`; return whether that was done just now.

        After an attempt without an answer, False may mean that it was done before.
        """
        return await self._kv.compare_and_swap(name, old, new, create=not old)

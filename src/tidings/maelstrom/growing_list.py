"""Lists in seq-kv that only grow, by compare-and-swap.

As no list ever comes back, a swap from an old value can never succeed late, and the length tells
which of two values is newer.
"""

import asyncio
import random

from tidings.errors import TidingsError
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

    async def read(self, name: str) -> list[Json]:
        """Return the list in some recent state; empty if it does not exist there."""
        found: list[Json] = await self._kv.read(name, default=[])
        return found

    async def read_newest(self, name: str) -> list[Json]:
        """Return the list in the newest state, or at least in one that may be it.

        The renewal and the read travel together. When the read comes first, it may still be
        answered from an old state; waiting for the renewal would make the answer older as well.
        """
        found: list[list[Json]] = []
        failures: list[TidingsError] = []

        async def read() -> None:
            try:
                found.append(await self.read(name))
            except TidingsError as failure:
                failures.append(failure)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._freshness.try_renew())
            tasks.create_task(read())
        if failures:
            raise failures[0]
        return found[0]

    async def extend(self, name: str, old: list[Json], new: list[Json]) -> bool:
        """Make the list `new` if it is still `old`; return whether that was done just now.

        After an attempt without an answer, False may mean that it was done before.
        """
        return await self._kv.compare_and_swap(name, old, new, create=not old)

"""Seeing the newest state of seq-kv.

seq-kv may answer a read from an old state, for as long as the reader changes nothing itself: the
last write of a run could stay invisible for ever. A change by this node brings it to the newest
state. So the node writes a value that nobody wrote before to a key of its own.
"""

import asyncio
import contextlib
import random

from tidings.errors import TidingsError
from tidings.maelstrom.design import Network
from tidings.maelstrom.layout import nonce_name
from tidings.stores.maelstrom_kv import KeyValue

RENEWAL_INTERVAL_S = 0.4
"""Between two renewals in the background, while somebody polls."""


class Freshness:
    """Renews this node's view of seq-kv, at once or soon."""

    def __init__(self, network: Network, kv: KeyValue, rng: random.Random) -> None:
        self._kv = kv
        self._key = nonce_name(network.node_id)
        # Tells this process from the one that had the same node id before it.
        self._incarnation = f"{rng.getrandbits(64):016x}"
        self._count = 0
        self._wanted = asyncio.Event()

    async def try_renew(self) -> None:
        """Show reads that follow at least the present state of seq-kv, unless it is away."""
        self._count += 1
        with contextlib.suppress(TidingsError):
            await self._kv.write(self._key, f"{self._incarnation}-{self._count}")

    def want(self) -> None:
        """Have the view renewed soon, in the background."""
        self._wanted.set()

    async def run(self) -> None:
        """Renew when wanted, every `RENEWAL_INTERVAL_S` at most, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self.try_renew()
            await asyncio.sleep(RENEWAL_INTERVAL_S)

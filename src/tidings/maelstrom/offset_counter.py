"""Offsets from a counter in lin-kv: `next_<key>`."""

import random

from tidings.errors import TidingsError
from tidings.maelstrom.committed_offsets import CALL_TIMEOUT_S
from tidings.maelstrom.concurrently import Backoff
from tidings.maelstrom.layout import next_offset_name
from tidings.stores.maelstrom_kv import Caller, KeyValue


class OffsetCounter:
    """Gives out offsets, each once. One that is given out may never be used."""

    def __init__(self, caller: Caller, rng: random.Random) -> None:
        self._kv = KeyValue(caller, "lin-kv", timeout_s=CALL_TIMEOUT_S)
        self._rng = rng

    async def read(self, key: str) -> int:
        """Return how many offsets of `key` have been given out.

        Raises:
            Indeterminate: No answer in time.
            Unavailable: lin-kv refused.
        """
        end_offset: int = await self._kv.read(next_offset_name(key), default=0)
        return end_offset

    async def take(self, key: str, count: int, *, guess: int) -> range:
        """Take the next `count` offsets; one call when `guess` is the counter's value.

        Tries until cancelled. When the answer to a swap is lost, the offsets are lost as well: if
        it took place, nobody uses them.
        """
        backoff = Backoff(self._rng)
        start_offset = guess
        while True:
            try:
                if await self._swap(key, start_offset, start_offset + count):
                    return range(start_offset, start_offset + count)
            except TidingsError:
                pass
            await backoff.pause()
            start_offset = await self._read_until_known(key, backoff)

    async def _swap(self, key: str, old: int, new: int) -> bool:
        absent = old == 0
        return await self._kv.compare_and_swap(
            next_offset_name(key), None if absent else old, new, create=absent
        )

    async def _read_until_known(self, key: str, backoff: Backoff) -> int:
        while True:
            try:
                return await self.read(key)
            except TidingsError:
                await backoff.pause()

"""Committed offsets in lin-kv, the same in every design of the notes: `co_<key>`."""

import random
from collections.abc import Mapping, Sequence

from tidings.errors import Indeterminate, TidingsError
from tidings.maelstrom.bounded import LruCache
from tidings.maelstrom.concurrently import Backoff, for_each
from tidings.maelstrom.design import Network
from tidings.maelstrom.layout import committed_name
from tidings.stores.maelstrom_kv import KeyValue

CALL_TIMEOUT_S = 2.0
"""How long one call to lin-kv may take."""

KNOWN_KEYS_MAX = 65_536
"""Keys whose committed offset is remembered, to spare a read."""


class CommittedOffsets:
    """Commits and lists. A commit is one call when no other node has committed since the last."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._kv = KeyValue(network, "lin-kv", timeout_s=CALL_TIMEOUT_S)
        self._rng = rng
        # What lin-kv held when this node last looked. It only grows, so each is a lower bound.
        self._known: LruCache[str, int] = LruCache(KNOWN_KEYS_MAX)

    async def commit(self, offsets: Mapping[str, int]) -> None:
        """Raise each key's committed offset to the given one, unless it is there already.

        Raises:
            Indeterminate: Some keys may not have been committed.
        """
        failures: list[TidingsError] = []

        async def commit_one(item: tuple[str, int]) -> None:
            try:
                await self._raise_to(*item)
            except TidingsError as failure:
                failures.append(failure)

        await for_each(offsets.items(), commit_one)
        if failures:
            raise Indeterminate(f"{len(failures)} keys may be uncommitted: {failures[0]}")

    async def _raise_to(self, key: str, offset: int) -> None:
        backoff = Backoff(self._rng)
        known = self._known.get(key)
        while known is None or known < offset:
            if await self._swap(key, known, offset):
                known = offset
                break
            await backoff.pause()
            known = await self._kv.read(committed_name(key))
        self._known.put(key, known)

    async def _swap(self, key: str, known: int | None, offset: int) -> bool:
        try:
            return await self._kv.compare_and_swap(
                committed_name(key), known, offset, create=known is None
            )
        except Indeterminate:
            return False  # the read that follows tells

    async def list(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the committed offset of each key that has one, as current as lin-kv.

        Raises:
            Indeterminate: No answer for some key in time; nothing was changed.
            Unavailable: lin-kv refused.
        """
        found: dict[str, int] = {}
        failures: list[TidingsError] = []

        async def read_one(key: str) -> None:
            try:
                offset = await self._kv.read(committed_name(key))
            except TidingsError as failure:
                failures.append(failure)
                return
            if offset is not None:
                found[key] = offset

        await for_each(dict.fromkeys(keys), read_one)
        if failures:
            raise failures[0]
        return found

"""A bounded cache that loads what it lacks, each key once however many ask."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Loading:
    """A load under way, for those that wait for it."""

    def __init__(self) -> None:
        # Set when the load has ended: in success, in failure, or because it was cancelled.
        self.ended = asyncio.Event()
        self.failure: Exception | None = None


class Cache(Generic[K, V]):
    """Least recently used values, bounded by the sum of their sizes.

    Only a single value that is larger than the bound goes over it: the newest is always held.
    """

    def __init__(self, size_max: int) -> None:
        """Take the bound of all sizes together."""
        self._size_max = size_max
        self.size = 0
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def put(self, key: K, value: V, size: int) -> None:
        """Hold a value as the newest; what was held longest without use makes room."""
        replaced = self._held.pop(key, None)
        self.size += size - (replaced[1] if replaced else 0)
        self._held[key] = (value, size)
        while self.size > self._size_max and len(self._held) > 1:
            self.size -= self._held.popitem(last=False)[1][1]

    def drop(self, key: K) -> None:
        """Hold a value no more."""
        dropped = self._held.pop(key, None)
        self.size -= dropped[1] if dropped else 0

    def get(self, key: K) -> V | None:
        """Return a value that is held, else None."""
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]


class LoadingCache(Cache[K, V]):
    """A cache that loads what it lacks, each key once however many ask."""

    def __init__(self, load: Callable[[K], Awaitable[tuple[V, int]]], size_max: int) -> None:
        """Take `load`, which returns a value and its size, and the bound of all sizes together."""
        super().__init__(size_max)
        self._load = load
        # Keys that somebody is loading. Set and cleared by `_load_and_hold`.
        self._loading: dict[K, _Loading] = {}

    async def fetch(self, key: K) -> V:
        """Return a value, loading it if it is not held.

        Raises:
            Exception: What loading raised, to all who waited for it. If who was loading is
                cancelled, another of them loads instead.
        """
        while True:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
                return found[0]
            loading = self._loading.get(key)
            if loading is None:
                return await self._load_and_hold(key)
            await loading.ended.wait()
            if loading.failure is not None:
                raise loading.failure

    async def _load_and_hold(self, key: K) -> V:
        loading = self._loading[key] = _Loading()
        try:
            value, size = await self._load(key)
        except Exception as error:
            loading.failure = error
            raise
        finally:
            del self._loading[key]
            loading.ended.set()
        self.put(key, value, size)
        return value

"""A cache that keeps what was used last, up to a number of items."""

from collections import OrderedDict
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """Forgets the item that was used longest ago when there are more than `count_max`."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._items: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Key) -> Value | None:
        """Return the value of `key`, or None when it is not here (any more)."""
        value = self._items.get(key)
        if value is not None:
            self._items.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Keep `value` for `key`."""
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self._count_max:
            self._items.popitem(last=False)

    def newest(self, count: int) -> list[tuple[Key, Value]]:
        """Return the `count` items that were used last, the last one first."""
        return list(islice(reversed(self._items.items()), count))

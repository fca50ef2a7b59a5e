"""Work that comes again and again, a bounded part of it each time."""

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Rounds(Generic[T]):
    """Goes through what there is, some of it at a time, and begins again at the end."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._next = 0

    def take(self, everything: Sequence[T]) -> Sequence[T]:
        """Return what is next of `everything`, which may have changed since the last time."""
        start = self._next if self._next < len(everything) else 0
        taken = everything[start : start + self._count_max]
        self._next = start + len(taken)
        return taken

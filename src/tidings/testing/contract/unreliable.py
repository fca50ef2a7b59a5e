"""Clients of a store whose calls are slow, go without an answer, or arrive long after.

They wrap the port and not the wire, so that every store can be tried. What arrives late runs in
the task group that the client is given; when that has ended, nothing is under way any more.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from tidings.errors import Indeterminate, TidingsError, Unavailable
from tidings.ports import AppendOutcome, BlobStore, OrderStore, Trimmed, Unsettled
from tidings.types import Slot

T = TypeVar("T")

PAUSE_S_MAX = 0.004
"""How long a call may be on its way to the store, and its answer on the way back."""

LATE_S_MAX = 0.05
"""How long after its caller gave up a call may still arrive."""

LATE_CHANCE = 0.15
LOST_REPLY_CHANCE = 0.15


class _Lost(Exception):
    """No answer came."""


TRIES_MAX = 100
"""After so many calls in a row without an answer, a store is taken to be away."""


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a read until the store answers.

    Raises:
        Unavailable: It never did.
    """
    for _ in range(TRIES_MAX - 1):
        with contextlib.suppress(Unavailable):
            return await call()
    return await call()


class Link:
    """The way of one client to its store; every fate is drawn from `rng`."""

    def __init__(self, rng: Random, tasks: asyncio.TaskGroup) -> None:
        self._rng = rng
        self._tasks = tasks

    async def read(self, call: Callable[[], Awaitable[T]]) -> T:
        """Carry a call that changes nothing: it is only slow."""
        await self._pause(PAUSE_S_MAX)
        answer = await call()
        await self._pause(PAUSE_S_MAX)
        return answer

    async def change(self, call: Callable[[], Awaitable[T]]) -> T:
        """Carry a call that changes something.

        Raises:
            _Lost: It was carried out, or still will be.
        """
        fate = self._rng.random()
        if fate < LATE_CHANCE:
            self._tasks.create_task(self._arrive_late(call))
            raise _Lost
        answer = await self.read(call)
        if fate < LATE_CHANCE + LOST_REPLY_CHANCE:
            raise _Lost
        return answer

    async def _arrive_late(self, call: Callable[[], Awaitable[object]]) -> None:
        await self._pause(LATE_S_MAX)
        with contextlib.suppress(TidingsError):
            await call()

    async def _pause(self, s_max: float) -> None:
        await asyncio.sleep(self._rng.uniform(0, s_max))


class UnreliableOrderStore:
    """A client of an order store over such a link."""

    def __init__(self, inner: OrderStore, link: Link) -> None:
        self.entry_bytes_max = inner.entry_bytes_max
        self.inline_bytes_max = inner.inline_bytes_max
        self.can_trim = inner.can_trim
        self.is_exclusive = inner.is_exclusive
        self._inner = inner
        self._link = link

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        try:
            return await self._link.change(lambda: self._inner.append(slot, entry))
        except _Lost:
            return Unsettled("no answer")

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        return await self._link.read(lambda: self._inner.read(start, count_max))

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        try:
            await self._link.change(lambda: self._inner.trim(below))
        except _Lost:
            raise Unavailable("no answer") from None

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        return await self._link.read(lambda: self._inner.read_cell(name))

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        try:
            return await self._link.change(lambda: self._inner.swap_cell(name, old, new))
        except _Lost:
            raise Indeterminate("no answer") from None


class UnreliableBlobStore:
    """A client of a blob store over such a link."""

    def __init__(self, inner: BlobStore, link: Link) -> None:
        self.can_delete = inner.can_delete
        self._inner = inner
        self._link = link

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        try:
            await self._link.change(lambda: self._inner.put(name, data))
        except _Lost:
            raise Unavailable("no answer") from None

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        return await self._link.read(lambda: self._inner.get(name))

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        return await self._link.read(lambda: self._inner.get_range(name, position, size_bytes))

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        try:
            await self._link.change(lambda: self._inner.delete(name))
        except _Lost:
            raise Unavailable("no answer") from None

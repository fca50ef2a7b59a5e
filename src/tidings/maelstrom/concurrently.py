"""Doing the same thing to many items at once, and waiting between attempts."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

AT_ONCE_MAX = 512
"""Items of one `for_each` that are being worked on."""

BACKOFF_FIRST_S = 0.01
BACKOFF_MAX_S = 0.3
"""The longest pause between two attempts, before jitter."""

Item = TypeVar("Item")


async def for_each(
    items: Iterable[Item], action: Callable[[Item], Awaitable[None]], *, at_once: int = AT_ONCE_MAX
) -> None:
    """Do `action` to every item, `at_once` of them at a time; return when all are done.

    An action keeps its expected failures to itself: one that raises cancels the others.
    """
    room = asyncio.Semaphore(at_once)

    async def in_turn(item: Item) -> None:
        async with room:
            await action(item)

    async with asyncio.TaskGroup() as tasks:
        for item in items:
            tasks.create_task(in_turn(item))


class Backoff:
    """Growing, jittered pauses between the attempts of one operation."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._limit_s = BACKOFF_FIRST_S

    async def pause(self) -> None:
        """Sleep for up to twice as long as the last time could take."""
        await asyncio.sleep(self._rng.uniform(0, self._limit_s))
        self._limit_s = min(2 * self._limit_s, BACKOFF_MAX_S)

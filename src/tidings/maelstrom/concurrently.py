"""Doing the same thing to many items at once, and waiting between attempts."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

AT_ONCE_MAX = 64
"""Items of one `for_each` that are being worked on."""

BACKOFF_FIRST_S = 0.01
BACKOFF_MAX_S = 0.2
"""The longest pause between two attempts, before jitter."""

Item = TypeVar("Item")


async def for_each(
    items: Collection[Item],
    action: Callable[[Item], Awaitable[None]],
    *,
    at_once: int = AT_ONCE_MAX,
) -> None:
    """Do `action` to every item, `at_once` of them at a time; return when all are done.

    An action keeps its expected failures to itself: one that raises cancels the others.
    """
    remaining = iter(items)

    async def work() -> None:
        for item in remaining:
            await action(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(at_once, len(items))):
            tasks.create_task(work())


class Backoff:
    """Growing, jittered pauses between the attempts of one operation.

    A pause may be as long as the attempt before it. Where latency is constant, contenders would
    otherwise stay in step, and the same ones would lose every time.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._limit_s = BACKOFF_FIRST_S
        self._attempt_began_at = asyncio.get_running_loop().time()

    async def pause(self) -> None:
        """Sleep before the next attempt."""
        loop = asyncio.get_running_loop()
        attempt_s = loop.time() - self._attempt_began_at
        await asyncio.sleep(self._rng.uniform(0, min(self._limit_s + attempt_s, BACKOFF_MAX_S)))
        self._limit_s *= 2
        self._attempt_began_at = loop.time()

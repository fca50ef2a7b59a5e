"""An embedded log in memory, on virtual time."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tidings.embedded import EmbeddedLog
from tidings.embedded.opening import running
from tidings.kafka.standalone import in_memory
from tidings.testing.clock import EPOCH_MS, SimClock
from tidings.testing.loop import run

NOW_MS = EPOCH_MS

T = TypeVar("T")


def with_log(act: Callable[[EmbeddedLog], Awaitable[T]]) -> T:
    """Let something happen to a new log; return what it returns."""

    async def main() -> T:
        clock = SimClock(lambda: 0.0)
        async with in_memory() as storage, running(storage, clock, random.Random("log")) as log:
            return await act(log)

    return run(main())

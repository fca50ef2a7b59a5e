"""Whether an embedded log is open, and what is under way in it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tidings.engine.watch import Watch
from tidings.errors import InvalidRequest

CLOSE_PATIENCE_S = 10.0
"""How long closing waits for what others have under way."""


class Lifetime:
    """From the opening of a log to its end."""

    def __init__(self) -> None:
        self.is_open = True
        self._under_way = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        # Whoever waits for records; told when there will be no more.
        self._waiting: dict[Watch, None] = {}

    def check(self) -> None:
        """Raise InvalidRequest after the end."""
        if not self.is_open:
            raise InvalidRequest("the log was closed: use it inside `async with tidings.open(…)`")

    @contextmanager
    def write(self) -> Iterator[None]:
        """Say that something is to be written, which the end waits for.

        Raises:
            InvalidRequest: It is too late for that.
        """
        self.check()
        self._under_way += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._is_idle.set()

    @contextmanager
    def waiting(self, watch: Watch) -> Iterator[None]:
        """Have a watch stirred at the end, too."""
        self._waiting[watch] = None
        try:
            yield
        finally:
            del self._waiting[watch]

    def end(self) -> None:
        """Let nothing begin any more, and tell those who wait."""
        self.is_open = False
        for watch in self._waiting:
            watch.stir()

    async def drain(self) -> None:
        """Wait for what is under way, within bounds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_PATIENCE_S):
                await self._is_idle.wait()

"""Trouble for a server while clients use it: killed and started again, paused and resumed.

What happens next depends on what the clients did, not on time: after so many calls comes a fault,
and after so many calls that failed it is over.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import databases

from tidings.errors import Indeterminate, Unavailable
from tidings.ports import AppendOutcome, BlobStore, OrderStore, Trimmed, Unsettled
from tidings.testing.contract.check import Make
from tidings.types import Slot

T = TypeVar("T")

FAULTS = ("kill", "pause", "kill", "pause")
CALLS_BETWEEN_FAULTS = 40
FAILURES_OF_A_FAULT = 3
"""So many calls fail, or hang, before the server comes back."""

TIMEOUT_S = 0.3
"""The deadline of the stores in trouble: short, so that a pause costs little."""


class Trouble:
    """What befalls one server."""

    def __init__(self, server: databases.Server) -> None:
        self._server = server
        self._calls = 0
        self._failures = 0
        # At so many failures it is over.
        self._enough = 0
        self._stirred = asyncio.Condition()
        self._calm = asyncio.Event()
        self._calm.set()
        self._is_stopped = False
        self.faults: list[str] = []

    async def run(self) -> None:
        """Trouble the server until told to stop; it runs when this returns."""
        for fault in FAULTS:
            next_fault = self._calls + CALLS_BETWEEN_FAULTS
            await self._until(lambda: self._calls >= next_fault)  # noqa: B023 -- awaited here
            if self._is_stopped:
                return
            self._calm.clear()
            self._enough = self._failures + FAILURES_OF_A_FAULT
            end = self._begin(fault)
            await self._until(lambda: self._failures >= self._enough)
            await asyncio.get_running_loop().run_in_executor(None, end)
            self.faults.append(fault)
            self._calm.set()

    async def stop(self) -> None:
        """Have `run` return."""
        self._is_stopped = True
        await self._note()

    def _begin(self, fault: str) -> Callable[[], None]:
        """Begin a fault; return what ends it, and blocks."""
        if fault == "kill":
            self._server.kill()
            return self._server.start
        self._server.pause()
        return self._server.resume

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._stirred:
            await self._stirred.wait_for(lambda: self._is_stopped or condition())

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of a client; one that failed comes back when the trouble is over."""
        await self._note(calls=1)
        try:
            answer = await call()
        except (Unavailable, Indeterminate):
            await self._wait()
            raise
        if isinstance(answer, Unsettled):
            await self._wait()
        return answer

    async def _wait(self) -> None:
        await self._note(failures=1)
        if self._failures >= self._enough:
            await self._calm.wait()

    async def _note(self, calls: int = 0, failures: int = 0) -> None:
        async with self._stirred:
            self._calls += calls
            self._failures += failures
            self._stirred.notify_all()


class TroubledOrderStore:
    """A client of an order store whose server is in trouble."""

    def __init__(self, inner: OrderStore, trouble: Trouble) -> None:
        self.entry_bytes_max = inner.entry_bytes_max
        self.inline_bytes_max = inner.inline_bytes_max
        self.can_trim = inner.can_trim
        self.is_exclusive = inner.is_exclusive
        self._inner = inner
        self._trouble = trouble

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`; what was refused definitely is tried again."""
        while True:
            try:
                return await self._trouble.call(lambda: self._inner.append(slot, entry))
            except Unavailable:
                continue

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        return await self._trouble.call(lambda: self._inner.read(start, count_max))

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        await self._trouble.call(lambda: self._inner.trim(below))

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        return await self._trouble.call(lambda: self._inner.read_cell(name))

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        return await self._trouble.call(lambda: self._inner.swap_cell(name, old, new))


class TroubledBlobStore:
    """A client of a blob store whose server is in trouble."""

    def __init__(self, inner: BlobStore, trouble: Trouble) -> None:
        self.can_delete = inner.can_delete
        self._inner = inner
        self._trouble = trouble

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        await self._trouble.call(lambda: self._inner.put(name, data))

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        return await self._trouble.call(lambda: self._inner.get(name))

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        return await self._trouble.call(lambda: self._inner.get_range(name, position, size_bytes))

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        await self._trouble.call(lambda: self._inner.delete(name))


def in_trouble(
    make: Make[T], wrap: Callable[[T, Trouble], T], server: databases.Server
) -> tuple[Make[T], list[str]]:
    """Return what makes clients of a store while its server is troubled, and what befell it."""
    faults: list[str] = []

    @asynccontextmanager
    async def troubled(client_count: int) -> AsyncIterator[Sequence[T]]:
        trouble = Trouble(server)
        trouble.faults = faults
        async with make(client_count) as clients, asyncio.TaskGroup() as tasks:
            tasks.create_task(trouble.run())
            try:
                yield [wrap(client, trouble) for client in clients]
            finally:
                await trouble.stop()

    return troubled, faults

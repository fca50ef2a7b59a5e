"""Gathers a node's own operations into submissions, and gives each to a free lane.

While all lanes have a submission on its way, the next one gathers. With one lane, operations are
applied in the order in which they were submitted. More lanes cost that order, and shorten the time
that an operation waits for those before it, where a publish takes long.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from tidings.core.entry import Operation, operation_size
from tidings.core.results import Result
from tidings.engine.journal import Journal
from tidings.engine.lane import Lane
from tidings.engine.settings import Settings
from tidings.engine.sizes import Sizes, sizes_of
from tidings.errors import Indeterminate, InvalidRequest, Unavailable


class Request(NamedTuple):
    """Operations of one caller, to be applied together."""

    operations: Sequence[Operation]
    results: asyncio.Future[list[Result]]
    """Where their results go."""
    sizes: Sizes


class Submitter:
    """The way from a node's clients into the journal."""

    def __init__(self, journal: Journal, lanes: Sequence[Lane], settings: Settings) -> None:
        self._journal = journal
        self._lanes = lanes
        self._settings = settings
        self._queue: deque[Request] = deque()
        self._queued_operations = 0
        self._queued_bytes = 0
        self._stirred = asyncio.Event()

    async def submit(self, operations: Sequence[Operation]) -> list[Result]:
        """Have operations applied together, in order; return what became of each.

        If the caller is cancelled, the operations may or may not take effect.

        Raises:
            InvalidRequest: They do not fit one entry.
            Unavailable: Too much is waiting already, or their blob could not be stored; they
                certainly have no effect.
            Indeterminate: They took effect or not, but what became of them is lost.
        """
        return await self.submit_soon(operations)

    def submit_soon(self, operations: Sequence[Operation]) -> asyncio.Future[list[Result]]:
        """Begin what `submit` does; return where the results go, or what it raises.

        To cancel the future is to leave: the operations may or may not take effect.

        Raises:
            InvalidRequest, Unavailable: See `submit`; so far as it is known at once.
        """
        store = self._journal.store
        sizes = sizes_of(operations, store.inline_bytes_max)
        size, entry_bytes_max = sizes.total, store.entry_bytes_max
        if (
            (sizes.bare if self._settings.spill_bytes_max else sizes.inline) > entry_bytes_max
            or size > self._settings.queued_bytes_max
            or len(operations) > self._settings.queued_operations_max
        ):
            raise InvalidRequest(
                f"the request is too large: send at most {entry_bytes_max} bytes at once, not "
                f"counting large record batches, and {self._settings.queued_bytes_max} in all"
            )
        if (
            self._queued_operations + len(operations) > self._settings.queued_operations_max
            or self._queued_bytes + size > self._settings.queued_bytes_max
        ):
            raise Unavailable("too many operations are waiting to be published: try again later")
        self._queued_operations += len(operations)
        self._queued_bytes += size
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._queue.append(Request(operations, future, sizes))
        self._stirred.set()
        return future

    async def submit_in_parts(self, operations: Sequence[Operation]) -> list[Result]:
        """Have operations applied in order, together where they fit one entry and the queue.

        Raises:
            InvalidRequest, Unavailable, Indeterminate: See `submit`; those before have been
                applied, those after are not submitted.
        """
        results: list[Result] = []
        for part in self._parts(operations):
            results += await self.submit(part)
        return results

    def _parts(self, operations: Sequence[Operation]) -> list[list[Operation]]:
        parts: list[list[Operation]] = []
        left = 0
        for operation in operations:
            size = operation_size(operation)
            if not parts or size > left or len(parts[-1]) == self._settings.queued_operations_max:
                parts.append([])
                left = self._journal.store.entry_bytes_max
            parts[-1].append(operation)
            left -= size
        return parts

    async def run(self) -> None:
        """Gather and submit until cancelled."""
        await self._journal.recovered.wait()
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(self._serve(lane))

    async def _serve(self, lane: Lane) -> None:
        while True:
            while not self._queue:
                self._stirred.clear()
                await self._stirred.wait()
            if requests := self._gather():
                await self._see_through(lane, requests)

    def _gather(self) -> list[Request]:
        """Take the next submission's requests; those whose callers have left are dropped."""
        gathered: list[Request] = []
        count = inline = bare = 0
        while self._queue and count < self._settings.submission_operations_max:
            request = self._queue[0]
            sizes = request.sizes
            if gathered and not self._fit(inline + sizes.inline, bare + sizes.bare):
                break
            self._queue.popleft()
            self._queued_operations -= len(request.operations)
            self._queued_bytes -= sizes.total
            if not request.results.cancelled():
                gathered.append(request)
                count += len(request.operations)
                inline += sizes.inline
                bare += sizes.bare
        return gathered

    def _fit(self, inline_bytes: int, bare_bytes: int) -> bool:
        """Whether requests of these sizes make one submission."""
        bytes_max = self._settings.submission_bytes_max
        if inline_bytes <= bytes_max:
            return True
        return inline_bytes <= self._settings.spill_bytes_max and bare_bytes <= bytes_max

    async def _see_through(self, lane: Lane, requests: list[Request]) -> None:
        operations = [operation for request in requests for operation in request.operations]
        try:
            results = await lane.see_through(operations)
        except (Unavailable, Indeterminate) as error:
            for request in requests:
                if not request.results.done():
                    request.results.set_exception(type(error)(str(error)))
            return
        start = 0
        for request in requests:
            end = start + len(request.operations)
            if not request.results.done():
                request.results.set_result(results[start:end])
            start = end

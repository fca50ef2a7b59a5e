"""Group commit: while one batch of a key is being published, the next one gathers."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tidings.errors import Indeterminate, TidingsError, Unavailable
from tidings.types import Json

PUBLISH_TIMEOUT_S = 4.2
"""How long one batch may take: a little less than the node gives a request."""

BATCH_MESSAGES_MAX = 256
PENDING_MESSAGES_MAX = 8_192
"""Messages of all keys that wait for their batch."""

Publish = Callable[[str, Sequence[Json]], Awaitable[Sequence[int]]]
"""Appends messages to a key and returns their offsets; may raise any `TidingsError`."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Pending:
    message: Json
    offset: "asyncio.Future[int]"


class GroupCommit:
    """Publishes the messages of each key batch after batch; different keys at the same time.

    A batch's work belongs to `run` and not to one of the requests in it: a request that is given
    up does not take the others with it.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        # What waits, for each key that is being published; a key without a batch has no entry.
        self._pending: dict[str, deque[_Pending]] = {}
        self._pending_count = 0
        # Keys that nobody publishes yet.
        self._idle_keys: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                key = await self._idle_keys.get()
                tasks.create_task(self._publish_all(key))

    async def send(self, key: str, message: Json) -> int:
        """Return the message's offset once its batch is published.

        Raises:
            Unavailable: Too many messages are waiting; this one was not taken.
            Indeterminate: Its batch may or may not have been published.
        """
        if self._pending_count >= PENDING_MESSAGES_MAX:
            raise Unavailable(f"{PENDING_MESSAGES_MAX} messages are waiting; try again later")
        if key not in self._pending:
            self._pending[key] = deque()
            self._idle_keys.put_nowait(key)
        pending = _Pending(message, asyncio.get_running_loop().create_future())
        self._pending[key].append(pending)
        self._pending_count += 1
        return await pending.offset

    async def _publish_all(self, key: str) -> None:
        while self._pending[key]:
            batch = self._take(key)
            if batch:
                await self._publish_batch(key, batch)
        del self._pending[key]

    def _take(self, key: str) -> list[_Pending]:
        queue = self._pending[key]
        taken = [queue.popleft() for _ in range(min(len(queue), BATCH_MESSAGES_MAX))]
        self._pending_count -= len(taken)
        return [pending for pending in taken if not pending.offset.done()]

    async def _publish_batch(self, key: str, batch: Sequence[_Pending]) -> None:
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                offsets = await self._publish(key, [pending.message for pending in batch])
        except TimeoutError:
            text = f"not published within {PUBLISH_TIMEOUT_S} s; it may still be"
            _fail(batch, Indeterminate(text))
        except TidingsError as failure:
            # However definite its last step was, an earlier one may have taken effect.
            _fail(batch, Indeterminate(f"not known to be published: {failure}"))
        except Exception as error:
            log.exception("a batch of %r failed", key)
            _fail(batch, error)
        else:
            for pending, offset in zip(batch, offsets, strict=True):
                if not pending.offset.done():
                    pending.offset.set_result(offset)


def _fail(batch: Sequence[_Pending], error: Exception) -> None:
    for pending in batch:
        if not pending.offset.done():
            pending.offset.set_exception(error)

"""What waits to be sent to one node: bounded, and the oldest goes first when it is too much."""

import asyncio
from collections import deque

from tidings.peers.settings import QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX


class Outbox:
    """A queue whose writer never waits. News is worth more than what has waited for long."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        # Set while there are messages.
        self._filled = asyncio.Event()
        self.size_bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: bytes) -> None:
        """Let a message wait, and drop the oldest ones if these are too many."""
        self._messages.append(message)
        self.size_bytes += len(message)
        while len(self._messages) > QUEUE_MESSAGES_MAX or self.size_bytes > QUEUE_BYTES_MAX:
            self.take()
            self.dropped += 1
        if self._messages:
            self._filled.set()

    async def wait(self) -> None:
        """Wait until there is a message to take."""
        await self._filled.wait()

    def take(self) -> bytes:
        """Return the oldest message; there is one."""
        message = self._messages.popleft()
        self.size_bytes -= len(message)
        if not self._messages:
            self._filled.clear()
        return message

"""All connections of a broker, and what they may hold together.

Memory is bounded without a deadlock: when what was received and is not answered, together with what
is not sent, goes over the bound, no connection is read any more but one, the *favoured*, which is
in the middle of a request. When it has that whole, another is favoured, until requests were
answered and there is room for all. A favoured client that takes its time is cut off.
"""

import asyncio
import logging
from typing import Protocol

from tidings.kafka.settings import BrokerSettings

logger = logging.getLogger(__name__)

FAVOURED_PATIENCE_S = 5.0
"""How long all others wait for the rest of one request, at most."""

SWEEP_INTERVAL_S = 5.0
"""Between two looks for connections that are idle or stalled."""


class Held(Protocol):
    """What a connection is to the others."""

    def is_amid_request(self) -> bool:
        """Whether the beginning of a request has arrived, and its end has not."""

    def go_on(self) -> None:
        """Do what can be done now: there may be room."""

    def check_patience(self, now_s: float) -> None:
        """Close if the client lets the broker wait for too long."""

    def requests_at_work(self) -> list[str]:
        """Return the APIs of what was begun and is not answered."""

    def stop(self) -> None:
        """Take no more requests; close when those at work are answered."""

    def abort(self) -> None:
        """Close at once."""


class Connections:
    """Counts connections and bytes."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._open: dict[Held, None] = {}
        self._nobody = asyncio.Event()
        self._nobody.set()
        # Bytes received and not answered, and bytes not sent.
        self._held_bytes = 0
        # The connection that is read although memory is full.
        self._favoured: Held | None = None
        self._favoured_until: asyncio.TimerHandle | None = None
        # Those that are not read because memory is full, in order.
        self._stalled: dict[Held, None] = {}

    def add(self, connection: Held) -> bool:
        """Let a connection in; False if there are too many."""
        if len(self._open) >= self._settings.connections_max:
            return False
        self._open[connection] = None
        self._nobody.clear()
        return True

    def remove(self, connection: Held, held_bytes: int) -> None:
        """Forget a connection that was closed, and what it held."""
        self._open.pop(connection, None)
        self._stalled.pop(connection, None)
        if connection is self._favoured:
            self._end_favour()
        self.release(held_bytes)
        if not self._open:
            self._nobody.set()

    def hold(self, size: int) -> None:
        """Count bytes that were received, or that could not be sent."""
        self._held_bytes += size

    def release(self, size: int) -> None:
        """Take back a `hold`."""
        self._held_bytes -= size
        assert self._held_bytes >= 0, "nobody gives back what it did not take"
        if self._stalled:
            self._wake()

    def may_read(self, connection: Held) -> bool:
        """Whether there is room for more from this connection; if not, it is told when there is."""
        if connection is self._favoured and not connection.is_amid_request():
            self._end_favour()
        if self._held_bytes <= self._settings.memory_bytes_max:
            return True
        if self._favoured is None and connection.is_amid_request():
            self._favour(connection)
        if connection is self._favoured:
            return True
        self._stalled[connection] = None
        return False

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def held_bytes(self) -> int:
        """Bytes received and not answered, and bytes not sent."""
        return self._held_bytes

    @property
    def answer_bytes_max(self) -> int:
        """How large an answer should be at most, by what is left."""
        return max(0, self._settings.memory_bytes_max - self._held_bytes) // 4

    async def sweep(self) -> None:
        """Close what is idle or stalled, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            for connection in list(self._open):
                connection.check_patience(loop.time())

    def requests_at_work(self) -> list[str]:
        """Return the APIs of what was begun and is not answered, of all connections."""
        return [api for connection in self._open for api in connection.requests_at_work()]

    async def drain(self, patience_s: float) -> list[str]:
        """Let all finish what is at work, and close; those that take too long are cut.

        Return the APIs of the requests that were cut off.
        """
        for connection in list(self._open):
            connection.stop()
        try:
            async with asyncio.timeout(patience_s):
                await self._nobody.wait()
        except TimeoutError:
            cut = self.requests_at_work()
            for connection in list(self._open):
                connection.abort()
            return cut
        return []

    def _favour(self, connection: Held) -> None:
        self._favoured = connection
        loop = asyncio.get_running_loop()
        self._favoured_until = loop.call_later(FAVOURED_PATIENCE_S, connection.abort)

    def _end_favour(self) -> None:
        assert self._favoured_until is not None, "there is a time with every favour"
        self._favoured = None
        self._favoured_until.cancel()
        self._wake()

    def _wake(self) -> None:
        """Let stalled connections try again: all if there is room, else until one is favoured."""
        for connection in list(self._stalled):
            has_room = self._held_bytes <= self._settings.memory_bytes_max
            if not has_room and self._favoured is not None:
                break
            if connection in self._stalled:
                del self._stalled[connection]
                connection.go_on()

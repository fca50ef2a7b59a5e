"""One client's connection: requests in, answers out, in the order in which they were asked.

Requests wait for their turn. Those of a pipelined API begin while earlier ones of the same API are
still at work, so that many Produce requests of one client end up in one entry of the journal; any
other begins when all before it are answered and sent. Nothing begins while the client does not
read.

What a connection holds is bounded: the frames that wait, what has arrived of the next, the answers
at work, and what the transport has not sent.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import cast

from tidings.errors import InvalidRequest
from tidings.kafka.answering import Buffers, Peer, Pending, accept, answer
from tidings.kafka.broker import Address, Broker
from tidings.kafka.framing import FrameReader

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Slot:
    """The place of one answer in the order of answers; None until it is known."""

    pending: Pending
    buffers: Buffers | None = None


class Connections:
    """All that are open."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._open: dict[Connection, None] = {}
        self._nobody = asyncio.Event()
        self._nobody.set()

    def add(self, connection: "Connection") -> bool:
        """Let a connection in; False if there are too many."""
        if len(self._open) >= self._count_max:
            return False
        self._open[connection] = None
        self._nobody.clear()
        return True

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that was closed."""
        self._open.pop(connection, None)
        if not self._open:
            self._nobody.set()

    async def drain(self, patience_s: float) -> None:
        """Let all finish what is at work, and close; those that take too long are cut."""
        for connection in list(self._open):
            connection.stop()
        try:
            async with asyncio.timeout(patience_s):
                await self._nobody.wait()
        except TimeoutError:
            for connection in list(self._open):
                connection.abort()


class Connection(asyncio.Protocol):
    """Speaks Kafka's protocol over one transport."""

    def __init__(self, broker: Broker, tasks: asyncio.TaskGroup, connections: Connections) -> None:
        """`connections` is where this one enters and leaves by itself."""
        self._broker = broker
        self._tasks = tasks
        self._connections = connections
        self._frames = FrameReader(broker.settings.request_bytes_max)
        # Frames whose turn has not come, in order.
        self._waiting: deque[memoryview] = deque()
        # Requests at work, in order, and the task of each.
        self._slots: deque[_Slot] = deque()
        self._at_work: dict[_Slot, asyncio.Task[None]] = {}
        # Whether the client reads what it is sent.
        self._is_writable = True
        # Whether no more is taken from the client: it is wrong, or the broker stops.
        self._is_closing = False
        self._is_reading = True
        self._peer: Peer
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not asserted: the transports of uvloop are of no class of asyncio's.
        self._transport = wire = cast("asyncio.Transport", transport)
        host, port = wire.get_extra_info("sockname")[:2]
        settings = self._broker.settings
        listener = Address(settings.advertised_host or host, settings.advertised_port or port)
        self._peer = Peer(wire.get_extra_info("peername")[0], listener)
        if not self._connections.add(self):
            logger.warning("refused a connection: %d are open", settings.connections_max)
            self._is_closing = True
            wire.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._is_closing = True
        self._connections.remove(self)
        self._waiting.clear()
        self._slots.clear()
        for task in self._at_work.values():
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_closing:
            return
        try:
            self._waiting.extend(self._frames.feed(data))
        except InvalidRequest as error:
            self._refuse(error)
            return
        self._go_on()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_writable = True
        self._go_on()

    def stop(self) -> None:
        """Take no more requests; close when those at work are answered."""
        self._is_closing = True
        self._waiting.clear()
        self._close_if_done()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _go_on(self) -> None:
        """Begin the requests whose turn has come, and read on if there is room for more."""
        while self._waiting and self._is_writable and not self._is_closing:
            try:
                pending = accept(self._waiting[0])
            except InvalidRequest as error:
                if not self._slots:
                    self._refuse(error)
                break
            if not self._may_begin(pending):
                break
            self._waiting.popleft()
            self._begin(pending)
        self._read_if_room()

    def _may_begin(self, pending: Pending) -> bool:
        if not self._slots:
            return True
        # All at work are of one API: see where they began.
        return (
            pending.api.is_pipelined
            and pending.api.key == self._slots[0].pending.api.key
            and len(self._slots) < self._broker.settings.pipelined_requests_max
        )

    def _begin(self, pending: Pending) -> None:
        slot = _Slot(pending)
        self._slots.append(slot)
        self._at_work[slot] = self._tasks.create_task(self._work(slot))

    async def _work(self, slot: _Slot) -> None:
        try:
            slot.buffers = await answer(self._broker, self._peer, slot.pending)
        except InvalidRequest as error:
            self._refuse(error)
        except Exception:
            # A bug must not take the broker down, nor show the client more than a closed door.
            logger.exception("a %s request failed", slot.pending.api.module)
            self.abort()
        finally:
            del self._at_work[slot]
        self._send_what_is_ready()

    def _send_what_is_ready(self) -> None:
        while self._slots and (buffers := self._slots[0].buffers) is not None:
            self._slots.popleft()
            if buffers:
                self._transport.writelines(buffers)
        self._close_if_done()
        self._go_on()

    def _close_if_done(self) -> None:
        if self._is_closing and not self._slots:
            self._transport.close()

    def _refuse(self, error: InvalidRequest) -> None:
        logger.info("closed the connection of %s: %s", self._peer.host, error)
        self._is_closing = True
        self._transport.abort()

    def _read_if_room(self) -> None:
        has_room = (
            self._is_writable and len(self._waiting) < self._broker.settings.pipelined_requests_max
        )
        if has_room == self._is_reading or self._is_closing:
            return
        self._is_reading = has_room
        if has_room:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

"""One client's connection: requests in, answers out, in the order in which they were asked.

Requests wait for their turn. Those of a pipelined API begin while earlier ones of the same API are
still at work, so that many Produce requests of one client end up in one entry of the journal; any
other begins when all before it are answered and sent. Nothing begins while the client does not
read.

What a connection holds is bounded: the frames that wait or are at work, what has arrived of the
next, and what the transport has not sent; and all connections together are
(`tidings.kafka.connections`).
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import cast

from tidings.errors import InvalidRequest, Unavailable
from tidings.kafka.answering import ANSWERER, Answerer, Begun, Peer, Pending, accept
from tidings.kafka.broker import Broker
from tidings.kafka.codec import Buffers
from tidings.kafka.connections import Connections, Held
from tidings.kafka.framing import SIZE_BYTES, FrameReader
from tidings.kafka.known_brokers import Address
from tidings.kafka.settings import ListenerSettings

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Slot:
    """The place of one answer in the order of answers."""

    pending: Pending
    work: asyncio.Task[None] | Begun | None = None
    buffers: Buffers | None = None
    """None until it is known."""


class Connection(asyncio.Protocol):
    """Speaks Kafka's protocol over one transport."""

    def __init__(
        self,
        broker: Broker,
        tasks: asyncio.TaskGroup,
        connections: Connections,
        answerer: Answerer = ANSWERER,
        listener: ListenerSettings | None = None,
    ) -> None:
        """Requests are handled in `tasks`; this one enters and leaves `connections` by itself.

        `listener` is where it came in; None: the one without a name.
        """
        self._broker = broker
        self._answerer = answerer
        self._settings = broker.settings
        self._listener = listener or broker.settings.every_listener[0]
        self._tasks = tasks
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader(broker.settings.request_bytes_max)
        # Frames whose turn has not come, in order.
        self._waiting: deque[bytes | memoryview] = deque()
        # Requests at work, in order; all of one API.
        self._slots: deque[_Slot] = deque()
        # Bytes received and not answered: what lies in the three above.
        self._received_bytes = 0
        # Bytes that the client has not read; 0 while it reads well.
        self._unsent_bytes = 0
        # Whether no more is taken from the client: it is wrong, or the broker stops.
        self._is_closing = False
        # Whether nothing can be sent any more either.
        self._is_cut = False
        self._is_writable = True
        self._is_reading = True
        # When the client last did something, or was last let do it.
        self._last_s = self._loop.time()
        self._peer: Peer
        self._transport: asyncio.Transport

    # What the transport says -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not asserted: the transports of uvloop are of no class of asyncio's.
        self._transport = wire = cast("asyncio.Transport", transport)
        address = Address(*wire.get_extra_info("sockname")[:2])
        settings = self._settings
        self._peer = Peer(wire.get_extra_info("peername")[0], self._listener.reached_at(address))
        if not self._connections.add(self):
            logger.warning("refused a connection: %d are open", settings.connections_max)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._is_closing = True
        for slot in self._slots:
            if slot.work is not None:
                slot.work.cancel()
        self._waiting.clear()
        self._slots.clear()
        self._connections.remove(self, self._received_bytes + self._unsent_bytes)
        self._received_bytes = self._unsent_bytes = 0

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_closing:
            return
        was_amid = self._frames.buffered_bytes > 0
        self._received_bytes += len(data)
        self._connections.hold(len(data))
        try:
            frames = self._frames.feed(data)
        except InvalidRequest as error:
            self._refuse(error)
            return
        # While a request arrives, its beginning is what counts.
        if frames or not was_amid:
            self._last_s = self._loop.time()
        self._waiting.extend(frames)
        self.go_on()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_writable = False
        self._last_s = self._loop.time()
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._connections.hold(self._unsent_bytes)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_writable = True
        self._last_s = self._loop.time()
        sent, self._unsent_bytes = self._unsent_bytes, 0
        self._connections.release(sent)
        self.go_on()

    # What the others say ---------------------------------------------------------------------

    def is_amid_request(self) -> bool:
        """See `Held`."""
        return self._frames.buffered_bytes > 0

    def check_patience(self, now_s: float) -> None:
        """See `Held`."""
        settings = self._settings
        patience_s = settings.stall_patience_s
        if not self._is_writable:
            patience_s += self._unsent_bytes / settings.stall_bytes_per_s
        elif self._slots or self._waiting or not self._is_reading:
            # It is the client that waits.
            return
        elif self.is_amid_request():
            patience_s += self._frames.wanted_bytes / settings.stall_bytes_per_s
        else:
            patience_s = settings.idle_patience_s
        if now_s - self._last_s > patience_s:
            logger.info("closed the connection of %s, which did nothing", self._peer.host)
            self.abort()

    def requests_at_work(self) -> list[str]:
        """See `Held`."""
        return [slot.pending.api.module for slot in self._slots]

    def stop(self) -> None:
        """See `Held`."""
        self._is_closing = True
        self._close_if_done()

    def abort(self) -> None:
        """See `Held`."""
        self._is_closing = True
        self._is_cut = True
        self._transport.abort()

    def go_on(self) -> None:
        """See `Held`: begin the requests whose turn has come, and read if there is room."""
        while self._waiting and self._is_writable and not self._is_closing:
            try:
                pending = accept(self._waiting[0], self._settings)
            except InvalidRequest as error:
                if not self._slots:
                    self._refuse(error)
                break
            if not self._may_begin(pending):
                break
            self._waiting.popleft()
            slot = _Slot(pending)
            self._slots.append(slot)
            self._begin(slot)
        if not self._is_closing:
            self._read_if_room()

    # Requests --------------------------------------------------------------------------------

    def _may_begin(self, pending: Pending) -> bool:
        if not self._slots:
            return True
        return (
            pending.api.is_pipelined
            and pending.api.key == self._slots[0].pending.api.key
            and len(self._slots) < self._settings.pipelined_requests_max
        )

    def _begin(self, slot: _Slot) -> None:
        """Begin a request, without a task if it needs none."""
        try:
            work = self._answerer.begin(self._broker, self._peer, slot.pending)
        except Exception as error:  # noqa: BLE001 -- `_fail` tells a bug from a bad request
            self._fail(slot, error)
            return
        if work is None:
            slot.work = self._tasks.create_task(self._work(slot))
        else:
            slot.work = work
            work.results.add_done_callback(partial(self._end, slot, work))

    def _end(self, slot: _Slot, work: Begun, _results: object) -> None:
        try:
            slot.buffers = work.answer()
        except Exception as error:  # noqa: BLE001 -- `_fail` tells a bug from a bad request
            self._fail(slot, error)
        else:
            self._send_what_is_ready()

    async def _work(self, slot: _Slot) -> None:
        try:
            slot.buffers = await self._answerer.answer(
                self._broker, self._peer, slot.pending, self._connections.answer_bytes_max
            )
        except Exception as error:  # noqa: BLE001 -- `_fail` tells a bug from a bad request
            self._fail(slot, error)
        else:
            self._send_what_is_ready()

    def _fail(self, slot: _Slot, error: Exception) -> None:
        if isinstance(error, InvalidRequest):
            self._refuse(error)
            return
        if isinstance(error, Unavailable):
            # Clients connect again, and may reach a broker that can answer.
            logger.warning("a %s request cannot be answered: %s", slot.pending.api.module, error)
            self.abort()
            return
        # A bug must not take the broker down, nor show the client more than a closed door.
        logger.error("a %s request failed", slot.pending.api.module, exc_info=error)
        self.abort()

    def _send_what_is_ready(self) -> None:
        slots = self._slots
        while slots and (buffers := slots[0].buffers) is not None:
            answered = slots.popleft().pending
            if buffers and not self._is_cut:
                self._transport.writelines(buffers)
            size = SIZE_BYTES + len(answered.frame)
            self._received_bytes -= size
            self._connections.release(size)
        if self._is_closing:
            self._close_if_done()
        elif self._waiting or not self._is_reading:
            self.go_on()

    def _close_if_done(self) -> None:
        if self._is_closing and not self._slots:
            self._transport.close()

    def _refuse(self, error: InvalidRequest) -> None:
        logger.info("closed the connection of %s: %s", self._peer.host, error)
        self.abort()

    def _read_if_room(self) -> None:
        settings = self._settings
        has_room = (
            self._is_writable
            and len(self._waiting) < settings.pipelined_requests_max
            and (self._received_bytes - self._frames.buffered_bytes < settings.pipelined_bytes_max)
            and self._connections.may_read(self)
        )
        if has_room == self._is_reading:
            return
        self._is_reading = has_room
        if has_room:
            self._last_s = self._loop.time()
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()


_held: type[Held] = Connection

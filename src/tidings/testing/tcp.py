"""TCP on virtual time: streams of bytes between simulated processes.

What is written arrives in order, late, in other pieces, or never; which it is, the writer is told
late or never. A link that is cut holds bytes back: they come when it is mended, or the writer gives
up. A process that ends has its connections reset; if its host vanishes with it, the other side
hears nothing until it says something and the host is back (a half-open connection).
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple

from tidings.testing.process import Process, ProcessLoop, ProtocolFactory, current_process
from tidings.testing.tcp_weather import RETRANSMIT_S, TcpWeather
from tidings.testing.trace import Trace

GIVE_UP_S: Final = 6.0
"""A side whose bytes get no answer for so long takes its connection for broken."""

BUFFER_BYTES: Final = 64 * 1024
"""What is on its way beyond this waits in the writer's process."""

FIRST_PORT: Final = 40_000
"""The first of those that are taken where any will do."""

Address = tuple[str, int]


class _End(NamedTuple):
    """The last segment of a stream; with an error the connection was reset."""

    error: OSError | None


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "connection reset by peer")


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(
        self, network: "TcpNetwork", process: Process, own: Address, other: Address
    ) -> None:
        super().__init__({"peername": other, "sockname": own})
        self.process = process
        self.peer: SimTransport
        self.is_lost = False
        self._network = network
        self._protocol: Any = None
        self._stream = _Stream(network, self)
        self._is_closing = False
        self._is_reading = True
        self._is_full = False
        # Arrived while nobody read.
        self._unread: deque[bytes | _End] = deque()

    # What protocols ask for ---------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See `asyncio`."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See `asyncio`."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio`."""
        if self._is_closing or self.is_lost or not data:
            return
        self._stream.send(bytes(data))
        if not self._is_full and self.get_write_buffer_size() > BUFFER_BYTES:
            self._is_full = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """See `asyncio`."""
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        """See `asyncio`: what no buffer of the system has room for."""
        return max(0, self._stream.size_bytes - BUFFER_BYTES)

    def is_closing(self) -> bool:
        """See `asyncio`; what a run leaves behind needs no closing."""
        return self._is_closing or self.process.is_over or self._network.loop.is_closed()

    def close(self) -> None:
        """See `asyncio`."""
        self._finish(_End(None))

    def abort(self) -> None:
        """See `asyncio`."""
        self._finish(_End(_reset()))

    def _finish(self, end: _End) -> None:
        if not self._is_closing:
            self._stream.send(end)
            self.lose(None)

    def is_reading(self) -> bool:
        """See `asyncio`."""
        return self._is_reading

    def pause_reading(self) -> None:
        """See `asyncio`."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """See `asyncio`."""
        self._is_reading = True
        while self._is_reading and self._unread:
            self._hand_over(self._unread.popleft())

    # What the network does ----------------------------------------------------------------------

    def lose(self, error: OSError | None) -> None:
        """End this side; nothing is heard or said any more."""
        if self.is_lost:
            return
        self.is_lost = self._is_closing = True
        self._network.forget(self)
        if self._protocol is not None and not self.process.is_over:
            loop = self._network.loop
            loop.call_soon(self._protocol.connection_lost, error, context=self.process.context)

    def take(self, segment: bytes | _End) -> None:
        """Take what arrived; runs as a part of its process."""
        if self.is_lost or self.process.is_over:
            return
        if self._is_reading and not self._unread and self._protocol is not None:
            self._hand_over(segment)
        else:
            self._unread.append(segment)

    def _hand_over(self, segment: bytes | _End) -> None:
        if self.is_lost:
            return
        if isinstance(segment, bytes):
            self.peer.note_read(len(segment))
            self._protocol.data_received(segment)
        elif segment.error is not None:
            self.lose(segment.error)
        elif not self._protocol.eof_received():
            self.close()

    def note_read(self, size_bytes: int) -> None:
        """Have room again for what the other side has read."""
        self._stream.size_bytes -= size_bytes
        if self._is_full and not self.get_write_buffer_size() and not self.is_lost:
            self._is_full = False
            loop = self._network.loop
            loop.call_soon(self._protocol.resume_writing, context=self.process.context)


class _Stream:
    """One direction of a connection."""

    def __init__(self, network: "TcpNetwork", sender: SimTransport) -> None:
        self._network = network
        self._sender = sender
        # What is on its way, in order, each with the time at which it arrives.
        self._segments: deque[tuple[float, bytes | _End]] = deque()
        self._last_s = 0.0
        self.size_bytes = 0

    def send(self, segment: bytes | _End) -> None:
        """Put a segment on its way."""
        network, sender = self._network, self._sender
        if sender.process.is_over:
            return
        if isinstance(segment, bytes):
            self.size_bytes += len(segment)
            if network.weather.resets():
                network.trace.add(sender.process.host, "connection breaks")
                network.call_later(0, partial(sender.peer.lose, _reset()))
                network.call_later(0, partial(sender.lose, _reset()))
                return
            first = network.weather.split(len(segment))
            if first:
                self._put(segment[:first])
                segment = segment[first:]
        self._put(segment)

    def _put(self, segment: bytes | _End) -> None:
        network = self._network
        now = network.loop.time()
        self._last_s = max(self._last_s, now + network.weather.segment_delay_s())
        self._segments.append((self._last_s, segment))
        if len(self._segments) == 1:
            network.call_later(self._last_s - now, self._arrive)

    def _arrive(self) -> None:
        """Hand over the first segment, unless it cannot pass."""
        network, receiver = self._network, self._sender.peer
        if receiver.is_lost and not receiver.process.is_over:
            # Closed there: whatever comes is answered with a reset.
            self._segments.clear()
            network.reset_soon(self._sender)
            return
        if not network.passes(self._sender.process.host, receiver.process.host):
            network.hold_back(self._sender, self._arrive_again)
            return
        if receiver.process.is_over:
            self._segments.clear()
            network.reset_soon(self._sender)
            return
        _, segment = self._segments.popleft()
        network.loop.call_soon(receiver.take, segment, context=receiver.process.context)
        self._arrive_again()

    def _arrive_again(self) -> None:
        if self._segments:
            at_s, _ = self._segments[0]
            self._network.call_later(max(0, at_s - self._network.loop.time()), self._arrive)


class TcpListening:
    """Stands for a listening socket, and for the server on it."""

    def __init__(self, network: "TcpNetwork", process: Process, address: Address) -> None:
        self.process = process
        self.factory: ProtocolFactory | None = None
        self._network = network
        self._address = address

    def getsockname(self) -> Address:
        """See `socket`."""
        return self._address

    def serve(self, factory: ProtocolFactory) -> None:
        """See `Listening`."""
        self.factory = factory

    def close(self) -> None:
        """See `Listening`."""
        self.factory = None
        self._network.listening.pop(self._address, None)


class TcpNetwork:
    """All connections."""

    def __init__(self, loop: ProcessLoop, weather: TcpWeather, trace: Trace) -> None:
        self.loop = loop
        self.weather = weather
        self.trace = trace
        # Pairs (source, receiver) of hosts between which nothing passes now.
        self.cut: dict[tuple[str, str], None] = {}
        # Hosts that do not even say that there is no such process.
        self.vanished: dict[str, None] = {}
        self.listening: dict[Address, TcpListening] = {}
        self._ends: dict[SimTransport, None] = {}
        # Ends whose stream is held back, since when, and how it goes on.
        self._held_back: dict[SimTransport, tuple[float, Callable[[], object]]] = {}
        self._next_port = FIRST_PORT
        loop.connect = self.connect

    def call_later(self, delay_s: float, do: Callable[[], object]) -> None:
        """Do something that belongs to no process."""
        self.loop.call_later(delay_s, do, context=self.loop.outside)

    def reset_soon(self, end: SimTransport) -> None:
        """Have a side hear that the other is no more."""
        self.call_later(self.weather.segment_delay_s(), partial(end.lose, _reset()))

    def passes(self, source: str, receiver: str) -> bool:
        """Whether anything gets from a host to another now."""
        return (source, receiver) not in self.cut and receiver not in self.vanished

    # Connecting ---------------------------------------------------------------------------------

    def listen(self, host: str, port: int) -> TcpListening:
        """Take an address for the process that calls; port 0 takes any.

        Raises:
            OSError: It is taken.
        """
        if port == 0:
            port = self._new_port()
        if (host, port) in self.listening:
            raise OSError(errno.EADDRINUSE, "address in use")
        listening = TcpListening(self, current_process(), (host, port))
        self.listening[host, port] = listening
        return listening

    def _new_port(self) -> int:
        self._next_port += 1
        return self._next_port

    async def connect(
        self, factory: ProtocolFactory, host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect the process that calls to a host.

        Raises:
            OSError: Nobody listens there, or nobody answers.
        """
        process = current_process()
        own = (process.host, self._new_port())
        client = SimTransport(self, process, own, (host, port))
        answer: asyncio.Future[None] = self.loop.create_future()
        delay_s = self.weather.segment_delay_s()
        until_s = self.loop.time() + GIVE_UP_S
        self.call_later(delay_s, partial(self._knock, client, (host, port), answer, until_s))
        try:
            await answer
        except asyncio.CancelledError:
            if hasattr(client, "peer"):
                client.abort()
            client.is_lost = True
            raise
        if client.is_lost:
            raise _reset()
        protocol = factory()
        client.set_protocol(protocol)
        protocol.connection_made(client)
        if client.is_reading():
            client.resume_reading()
        return client, protocol

    def _knock(
        self, client: SimTransport, address: Address, answer: asyncio.Future[None], until_s: float
    ) -> None:
        """Arrive at who is to be connected to."""
        source, host = client.process.host, address[0]
        if answer.done() or client.process.is_over:
            return
        if not self.passes(source, host) or not self.passes(host, source):
            if self.loop.time() > until_s:
                answer.set_exception(TimeoutError(errno.ETIMEDOUT, "connection timed out"))
            else:
                again = partial(self._knock, client, address, answer, until_s)
                self.call_later(RETRANSMIT_S, again)
            return
        listening = self.listening.get(address)
        delay_s = self.weather.segment_delay_s()
        if listening is None or listening.factory is None:
            refusal = ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")
            self.call_later(delay_s, partial(_tell, answer, refusal))
            return
        own = client.get_extra_info("sockname")
        server = SimTransport(self, listening.process, address, own)
        client.peer, server.peer = server, client
        self._ends[client] = self._ends[server] = None
        context = listening.process.context
        self.loop.call_soon(self._accept, listening, server, context=context)
        self.call_later(delay_s, partial(_tell, answer, None))

    def _accept(self, listening: TcpListening, server: SimTransport) -> None:
        if listening.factory is None or server.is_lost:
            server.abort()
            return
        protocol = listening.factory()
        server.set_protocol(protocol)
        protocol.connection_made(server)

    # Trouble ------------------------------------------------------------------------------------

    def hold_back(self, sender: SimTransport, go_on: Callable[[], object]) -> None:
        """Keep what a side sent until it can pass, or that side gives up."""
        now = self.loop.time()
        self.trace.count("message-cut-off")
        self._held_back[sender] = (now, go_on)
        self.call_later(GIVE_UP_S, partial(self._give_up, sender, now))

    def _give_up(self, sender: SimTransport, since_s: float) -> None:
        held = self._held_back.get(sender)
        if held is not None and held[0] == since_s:
            del self._held_back[sender]
            self.trace.count("connection timed out")
            sender.lose(TimeoutError(errno.ETIMEDOUT, "no answer"))

    def mend(self) -> None:
        """Let pass what can pass again."""
        for sender in list(self._held_back):
            if self.passes(sender.process.host, sender.peer.process.host):
                _, go_on = self._held_back.pop(sender)
                self.call_later(self.weather.retransmit_s(), go_on)

    def end(self, process: Process, *, vanishes: bool) -> None:
        """End all that a process has to do with the network; mark it as over before."""
        if vanishes:
            self.vanished[process.host] = None
        for address, listening in list(self.listening.items()):
            if listening.process is process:
                del self.listening[address]
        for end in [end for end in self._ends if end.process is process]:
            del self._ends[end]
            self._held_back.pop(end, None)
            if not vanishes and self.passes(process.host, end.peer.process.host):
                self.reset_soon(end.peer)

    def come_back(self, host: str) -> None:
        """Have a host answer again."""
        self.vanished.pop(host, None)
        self.mend()

    def forget(self, end: SimTransport) -> None:
        """Drop a side that is no more."""
        self._ends.pop(end, None)


def _tell(answer: asyncio.Future[None], error: OSError | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)

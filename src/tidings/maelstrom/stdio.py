"""The node's stdin and stdout: bytes in, bytes out, never a wait that stops the event loop.

Stdin may be a pipe, a socket, a terminal, a file or /dev/null. What is written within one turn of
the loop leaves in one system call. While the reader of stdout is behind by
`OUTPUT_BYTES_MAX`, no more input is read.
"""

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import Callable

from tidings.maelstrom.node import Node
from tidings.maelstrom.protocol import LineSplitter

READ_BYTES = 256 * 1024
"""At most this much is read at once."""

OUTPUT_BYTES_MAX = 64 * 1024 * 1024
"""Output that the other side has not taken yet; more of it stops the reading of input."""

FLUSH_TIMEOUT_S = 1.0
"""How long the end of the process waits for the other side to take the last output."""


class Output:
    """Collects lines and writes them to a file descriptor, in order."""

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._pending = bytearray()
        # Whether a flush is due: at the end of this turn, or when the descriptor is writable.
        self._scheduled = False
        # Set when the other side has gone: what is written then is thrown away.
        self._broken = False
        # Set while nothing is pending.
        self.empty = asyncio.Event()
        self.empty.set()
        if _can_wait(descriptor):
            os.set_blocking(descriptor, False)

    def write(self, line: bytes) -> None:
        """Take one line; it is written at the end of this turn of the loop, or when it can be."""
        if self._broken:
            return
        self._pending += line
        self.empty.clear()
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    @property
    def is_full(self) -> bool:
        """Whether the other side is too far behind."""
        return len(self._pending) > OUTPUT_BYTES_MAX

    def _flush(self) -> None:
        try:
            written = os.write(self._descriptor, self._pending)
        except BlockingIOError:
            written = 0
        except OSError:
            self._break()
            return
        del self._pending[:written]
        if self._pending:
            self._loop.add_writer(self._descriptor, self._resume)
        else:
            self._scheduled = False
            self.empty.set()

    def _resume(self) -> None:
        self._loop.remove_writer(self._descriptor)
        self._flush()

    def _break(self) -> None:
        self._broken = True
        self._pending.clear()
        self.empty.set()
        self._on_broken()

    async def close(self) -> None:
        """Write what is pending, waiting at most `FLUSH_TIMEOUT_S`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self.empty.wait()
        if _can_wait(self._descriptor):
            with contextlib.suppress(OSError):
                os.set_blocking(self._descriptor, True)


def _can_wait(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:  # closed; the first write will tell
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class Input:
    """Reads lines from a file descriptor and gives each to `take_line`; then calls `on_end`."""

    def __init__(
        self,
        descriptor: int,
        take_line: Callable[[bytes], None],
        on_end: Callable[[], None],
        output: Output,
    ) -> None:
        self._descriptor = descriptor
        self._take_line = take_line
        self._on_end = on_end
        self._output = output
        self._splitter = LineSplitter()
        self._loop = asyncio.get_running_loop()
        self._ended = False

    async def run(self) -> None:
        """Read until the end."""
        while not self._ended:
            await self._output_has_room()
            await self._readable()
            self._read()

    async def _output_has_room(self) -> None:
        if self._output.is_full:
            await self._output.empty.wait()

    async def _readable(self) -> None:
        readable = self._loop.create_future()
        try:
            self._loop.add_reader(self._descriptor, _wake, readable)
        except OSError:  # a file or /dev/null: no selector takes it, for it is always readable
            await asyncio.sleep(0)
            return
        try:
            await readable
        finally:
            self._loop.remove_reader(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal or socket that has gone is an end, too
            data = b""
        if data:
            lines = self._splitter.feed(data)
        else:
            self._ended = True
            lines = [self._splitter.finish()]
        for line in filter(None, lines):
            self._take_line(line)
        if self._ended:
            self._on_end()


def _wake(readable: "asyncio.Future[None]") -> None:
    if not readable.done():
        readable.set_result(None)


async def serve(make_node: Callable[[Callable[[bytes], None]], Node]) -> None:
    """Run a node on stdin and stdout until stdin ends, stdout breaks, or SIGTERM or SIGINT comes.

    Raises:
        ExceptionGroup: The design's background work failed.
    """
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    output = Output(1, finished.set)
    node = make_node(output.write)
    reading = Input(0, node.receive, finished.set, output)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, finished.set)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(node.run())
            reader = tasks.create_task(reading.run())
            await finished.wait()
            reader.cancel()
            node.finish()
    finally:
        await output.close()

"""A node as a process of the operating system: JSON lines on stdin and stdout.

A process gets its own process group, so that what it starts ends with it and so that an interrupt
of the terminal reaches only us. Everything it does wrong becomes one `NodeFailed` that carries
what it last said on stderr.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from os import killpg
from typing import BinaryIO, Final, cast

import msgspec

from tidings.workbench.network import Message, UnknownDestination

LINE_BYTES_MAX: Final = 16 * 2**20
"""A longer line on a node's stdout is garbage."""

STDIN_BYTES_MAX: Final = 64 * 2**20
"""What may wait for a node that does not read; beyond it, messages to the node are lost."""

LOG_BYTES_MAX: Final = 64 * 2**20
"""How much of a node's stderr is kept in its log file."""

STDERR_TAIL_BYTES: Final = 2000
"""How much of a node's stderr a failure shows."""

TERMINATION_S: Final = 2.0
"""How long a node has from SIGTERM to SIGKILL."""

PIPE_CLOSE_S: Final = 1.0
"""How long the last output of a process that has exited is waited for."""

_SHOWN_LINE_CHARS: Final = 200

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Message).decode


class NodeFailed(Exception):
    """A node did what no node may do; the text says what, and shows its stderr."""


class NodeProcess(asyncio.SubprocessProtocol):
    """One incarnation of a node. Made by `start_process`.

    Attributes:
        node_id: The node's name; the only source its messages may have.
    """

    def __init__(
        self,
        node_id: str,
        *,
        send: Callable[[Message], None],
        fail: Callable[[NodeFailed], None],
        log: BinaryIO,
        echo: Callable[[str], None] | None,
    ) -> None:
        self.node_id = node_id
        self._send = send
        self._fail = fail
        self._log = log
        self._echo = echo
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._exited = self._loop.create_future()
        # Whether we are the ones who end it; from then on nothing it does is a failure.
        self._is_ending = False
        # Lines for stdin that are written together at the end of this turn of the loop.
        self._outgoing: list[bytes] = []
        # The beginning of a line on stdout whose end has not come yet.
        self._partial = b""
        self._stderr_tail = b""

    # What the rest of the workbench asks of it.

    def receive(self, message: Message) -> None:
        """Give `message` to the node's stdin, soon."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(_encode(message))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started."""
        transport = self._transport
        if transport is not None and transport.get_returncode() is None:
            _signal_group(transport.get_pid(), number)

    async def kill(self) -> None:
        """End the process at once, as a crash would; return when it is gone."""
        self._is_ending = True
        self.signal(signal.SIGKILL)
        await asyncio.shield(self._exited)

    async def stop(self) -> None:
        """End the process politely, then by force; return when it is gone."""
        self._is_ending = True
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(TERMINATION_S):
                await asyncio.shield(self._exited)
        except TimeoutError:
            await self.kill()

    def close(self) -> None:
        """End the process at once without waiting; for when there is no time left."""
        self._is_ending = True
        self.signal(signal.SIGKILL)

    # What asyncio reports.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; see `asyncio.SubprocessProtocol`."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what the process wrote to stdout or stderr."""
        if fd == 1:
            self._read_stdout(data)
        else:
            self._read_stderr(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Notice a closed pipe; only a closed stdin matters."""
        del exc
        if fd == 0:
            self._stdin = None

    def process_exited(self) -> None:
        """End what the process left behind; its last output may still be under way."""
        assert self._transport is not None
        _signal_group(self._transport.get_pid(), signal.SIGKILL)
        self._loop.call_later(PIPE_CLOSE_S, self._finish)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notice that the process is gone and all it said has been read."""
        del exc
        self._finish()

    def _finish(self) -> None:
        if self._exited.done():
            return
        assert self._transport is not None
        self._exited.set_result(None)
        self._transport.close()
        if not self._is_ending:
            self._report(f"exited by itself with {_status(self._transport.get_returncode())}")

    def _flush(self) -> None:
        lines = b"\n".join(self._outgoing) + b"\n"
        self._outgoing.clear()
        stdin = self._stdin
        if stdin is not None and stdin.get_write_buffer_size() + len(lines) <= STDIN_BYTES_MAX:
            stdin.write(lines)

    def _read_stdout(self, data: bytes) -> None:
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            self._read_line(line)
        if len(self._partial) > LINE_BYTES_MAX:
            self._report(f"printed a line of more than {LINE_BYTES_MAX} bytes", self._partial)

    def _read_line(self, line: bytes) -> None:
        if self._is_ending:
            return
        try:
            message = _decode(line)
            if bytes(message.body)[:1] != b"{":
                self._report("printed a message whose body is not an object", line)
            elif message.src != self.node_id:
                self._report(f"printed a message whose src is not {self.node_id}", line)
            else:
                self._send(message)
        except UnknownDestination as unknown:
            self._report(f"printed a message to {unknown}, which does not exist", line)
        except msgspec.DecodeError as error:
            self._report(f"printed a line that is no message ({error})", line)

    def _read_stderr(self, data: bytes) -> None:
        self._stderr_tail = (self._stderr_tail + data)[-STDERR_TAIL_BYTES:]
        if self._log.tell() + len(data) <= LOG_BYTES_MAX:
            self._log.write(data)
        if self._echo is not None:
            for line in data.decode(errors="replace").splitlines():
                self._echo(f"{self.node_id}: {line}")

    def _report(self, what: str, line: bytes | None = None) -> None:
        if self._is_ending:
            return
        self.close()
        text = f"node {self.node_id} {what}"
        if line is not None:
            shown = line[:_SHOWN_LINE_CHARS].decode(errors="replace")
            text += f":\n    {shown}\nOnly messages may go to stdout; print the rest to stderr."
        self._fail(NodeFailed(self.explain(text)))

    def explain(self, what: str) -> str:
        """Return `what` with the last lines of the node's stderr."""
        said = self._stderr_tail.decode(errors="replace").strip()
        if not said:
            return f"{what}\nIt said nothing on stderr."
        lines = "\n".join(f"    {line}" for line in said.splitlines())
        return f"{what}\nIts last words on stderr ({self._log.name}):\n{lines}"


def _signal_group(process_group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it was quicker
        killpg(process_group, number)


def _status(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"signal {signal.Signals(-returncode).name}"
    return f"status {returncode}"


async def start_process(process: NodeProcess, command: Sequence[str]) -> None:
    """Start `command` as `process`.

    Raises:
        NodeFailed: The operating system refused.
    """
    try:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: process, *command, start_new_session=True
        )
    except OSError as error:
        raise NodeFailed(
            f"node {process.node_id} did not start: {error.strerror} ({command[0]}).\n"
            "--bin must name an executable file with a valid first line (#!…)."
        ) from error


def first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one exception of a group of them, however deep it lies."""
    first = failures.exceptions[0]
    return first_failure(first) if isinstance(first, BaseExceptionGroup) else first

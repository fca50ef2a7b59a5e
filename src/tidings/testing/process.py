"""Simulated processes, and a loop that knows which of them each callback belongs to.

A task runs with the variables of whoever made it, and so does all that it sets in motion. So what a
process does, and when its timers go off, can be held back as a whole, as SIGSTOP does; and a
connection that it opens is known to be from it, though the code that opens it says nothing of that.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from tidings.testing.loop import STEPS_MAX, LivelockError, SimHandle, SimLoop

_PROCESS: Final[contextvars.ContextVar["Process | None"]] = contextvars.ContextVar(
    "process", default=None
)


class Process:
    """A process on a host of its own."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.is_stopped = False
        # Whether it has ended; nothing of it is seen any more.
        self.is_over = False
        # With these variables everything runs that belongs to it.
        self.context = contextvars.copy_context()
        self.context.run(_PROCESS.set, self)
        self.held: list[SimHandle] = []


def current_process() -> Process:
    """Return the process to which the calling code belongs."""
    process = _PROCESS.get()
    assert process is not None, "only processes connect and listen"
    return process


ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Listening(Protocol):
    """What stands for a listening socket, and for the server on it."""

    def serve(self, factory: ProtocolFactory) -> None:
        """Accept connections from now on."""

    def close(self) -> None:
        """Take no more."""


Connect = Callable[
    [ProtocolFactory, str, int], Awaitable[tuple[asyncio.Transport, asyncio.BaseProtocol]]
]


class ProcessLoop(SimLoop):
    """A loop of several processes, with a network between them."""

    def __init__(self) -> None:
        super().__init__()
        # The variables of what belongs to no process.
        self.outside = contextvars.copy_context()
        # Processes of which something is held back.
        self._stopped: dict[Process, None] = {}
        self._is_ending = False
        # Set by who makes the network.
        self.connect: Connect

    def _run_until_done(self, wanted: asyncio.Future[Any]) -> None:
        ready = self._ready
        while not wanted.done():
            handle = ready.popleft() if ready else self._next_timer()
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise LivelockError(f"time stands still at {self._now} s; next {handle!r}")
            if handle.is_cancelled:
                continue
            process = handle.variables.get(_PROCESS)
            if process is not None and process.is_stopped and not self._is_ending:
                self._stopped[process] = None
                process.held.append(handle)
                continue
            try:
                handle.variables.run(handle.do, *handle.arguments)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 -- nobody else is told
                self.call_exception_handler({"message": repr(handle), "exception": error})

    def go_on(self, process: Process) -> None:
        """Let a process that was stopped do what became due meanwhile."""
        process.is_stopped = False
        held, process.held = process.held, []
        self._stopped.pop(process, None)
        self._ready.extend(held)

    def cancel_all(self) -> None:
        """See `SimLoop`; whoever stands still has to go on for that."""
        self._is_ending = True
        for process in list(self._stopped):
            self.go_on(process)
        super().cancel_all()

    async def create_connection(  # type: ignore[override]  # of what asyncio can, what is used
        self, protocol_factory: ProtocolFactory, host: str, port: int, **_options: object
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """See `asyncio`."""
        return await self.connect(protocol_factory, host, port)

    async def create_server(  # type: ignore[override]  # of what asyncio can, what is used
        self,
        protocol_factory: ProtocolFactory,
        _host: None = None,
        _port: None = None,
        *,
        sock: Listening,
        **_options: object,
    ) -> Listening:
        """See `asyncio`; `sock` is what the network gave for a socket."""
        sock.serve(protocol_factory)
        return sock


def new_process_loop() -> ProcessLoop:
    """Return a loop at time 0."""
    return ProcessLoop()  # type: ignore[abstract]  # see `tidings.testing.loop.new_loop`

"""Listens, and keeps the connections."""

import asyncio
import socket

from tidings.kafka.answering import ANSWERER, Answerer
from tidings.kafka.broker import Address, Broker
from tidings.kafka.connection import Connection
from tidings.kafka.connections import Connections

_BACKLOG = 1024
"""Connections that the system accepts before the broker has seen them."""


def listen(host: str, port: int) -> socket.socket:
    """Take an address; port 0 takes any that is free.

    Raises:
        OSError: It is taken, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


class Server:
    """What listens on a socket, and the connections that came in through it."""

    def __init__(
        self, broker: Broker, tasks: asyncio.TaskGroup, answerer: Answerer = ANSWERER
    ) -> None:
        """Requests are handled in `tasks`, and never make them fail."""
        self._broker = broker
        self._answerer = answerer
        self._tasks = tasks
        self.connections = Connections(broker.settings)
        self._listener: asyncio.Server | None = None
        self._sweep: asyncio.Task[None] | None = None

    async def start(self, listening: socket.socket) -> Address:
        """Begin to serve on a socket from `listen`; return where that is."""
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._broker, self._tasks, self.connections, self._answerer),
            sock=listening,
            backlog=_BACKLOG,
        )
        self._sweep = self._tasks.create_task(self.connections.sweep(), name="sweep")
        host, port = listening.getsockname()[:2]
        return Address(host, port)

    async def stop(self) -> None:
        """Take no more connections and requests; return when those at work are answered or cut."""
        if self._listener is not None:
            self._listener.close()
        if self._sweep is not None:
            self._sweep.cancel()
        await self.connections.drain(self._broker.settings.shutdown_patience_s)

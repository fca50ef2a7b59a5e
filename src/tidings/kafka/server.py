"""Listens, and keeps the connections."""

import asyncio
import logging
import socket
from collections import Counter

from tidings.kafka.answering import ANSWERER, Answerer
from tidings.kafka.broker import Broker
from tidings.kafka.connection import Connection
from tidings.kafka.connections import Connections
from tidings.kafka.known_brokers import Address

logger = logging.getLogger(__name__)

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
        patience_s = self._broker.settings.shutdown_patience_s
        at_work = Counter(self.connections.requests_at_work())
        logger.info(
            "stopping: %d connections; requests at work, which have up to %g s: %s",
            self.connections.count,
            patience_s,
            _told(at_work),
            extra={"fields": {"connections": self.connections.count, "at_work": at_work}},
        )
        cut = Counter(await self.connections.drain(patience_s))
        logger.info(
            "all connections are closed; requests cut off: %s",
            _told(cut),
            extra={"fields": {"cut_off": cut}},
        )


def _told(requests: Counter[str]) -> str:
    return ", ".join(f"{count} {api}" for api, count in sorted(requests.items())) or "none"

"""Accepts, and keeps the connections."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from functools import partial

from tidings.kafka.answering import ANSWERER, Answerer
from tidings.kafka.broker import Broker
from tidings.kafka.connection import Connection
from tidings.kafka.connections import Connections
from tidings.kafka.listening import BACKLOG, Listening
from tidings.kafka.settings import ListenerSettings

logger = logging.getLogger(__name__)


class Server:
    """What listens, and the connections that came in."""

    def __init__(
        self, broker: Broker, tasks: asyncio.TaskGroup, answerer: Answerer = ANSWERER
    ) -> None:
        """Requests are handled in `tasks`, and never make them fail."""
        self._broker = broker
        self._answerer = answerer
        self._tasks = tasks
        self.connections = Connections(broker.settings)
        self._listeners: list[asyncio.Server] = []
        self._sweep: asyncio.Task[None] | None = None

    async def start(self, listening: Iterable[Listening]) -> None:
        """Begin to serve."""
        for each in listening:
            connection = partial(self._connection, each.settings)
            server = await asyncio.get_running_loop().create_server(
                connection, sock=each.socket, backlog=BACKLOG
            )
            self._listeners.append(server)
        self._sweep = self._tasks.create_task(self.connections.sweep(), name="sweep")

    def _connection(self, listener: ListenerSettings) -> Connection:
        return Connection(self._broker, self._tasks, self.connections, self._answerer, listener)

    async def stop(self) -> None:
        """Take no more connections and requests; return when those at work are answered or cut."""
        for listener in self._listeners:
            listener.close()
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

"""Listens, and keeps the connections."""

import asyncio

from tidings.kafka.broker import Address, Broker
from tidings.kafka.connection import Connection, Connections

_BACKLOG = 1024
"""Connections that the system accepts before the broker has seen them."""


class Server:
    """A listening socket and what came in through it; usable while `run` runs."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connections = Connections(broker.settings.connections_max)
        self._stop = asyncio.Event()
        # Done once the broker listens, with the address.
        self._listening: asyncio.Future[Address] = asyncio.get_running_loop().create_future()

    async def listening(self) -> Address:
        """Wait until clients can connect; return where."""
        return await asyncio.shield(self._listening)

    def stop(self) -> None:
        """Let `run` return once what is in flight is answered, or patience ends."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            OSError: The address cannot be listened on (in an exception group).
        """
        settings = self._broker.settings
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            listener = await loop.create_server(
                lambda: Connection(self._broker, tasks, self._connections),
                settings.host,
                settings.port,
                backlog=_BACKLOG,
            )
            host, port = listener.sockets[0].getsockname()[:2]
            self._listening.set_result(Address(host, port))
            try:
                await self._stop.wait()
            finally:
                listener.close()
                await self._connections.drain(settings.shutdown_patience_s)

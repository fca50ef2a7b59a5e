"""A simulated client's connections to brokers: Kafka's protocol through the codec that all use."""

import asyncio

from tidings.client.connection import Connection, connect
from tidings.errors import Unavailable
from tidings.kafka.schema import Entity
from tidings.testing.cluster_world import CLIENT_PORT


class NoAnswer(Exception):
    """A request got no answer.

    Attributes:
        was_sent: Whether it may have been carried out, or may still be.
    """

    def __init__(self, text: str, *, was_sent: bool) -> None:
        super().__init__(text)
        self.was_sent = was_sent


class KafkaCaller:
    """Connections to brokers, one to each that was asked."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._connections: dict[str, Connection] = {}

    async def ask(self, host: str, module: str, timeout_s: float = 0, **values: object) -> Entity:
        """Ask a broker, and return the response; `module` is kio's name of the API.

        Raises:
            NoAnswer: It was not reached, or did not answer in time.
        """
        was_sent = False
        try:
            async with asyncio.timeout(timeout_s or self.timeout_s):
                connection = await self._connection(host)
                was_sent = True
                return await connection.ask(module, **values)
        except (TimeoutError, Unavailable) as error:
            self.hang_up(host)
            raise NoAnswer(str(error) or "no answer in time", was_sent=was_sent) from error
        except asyncio.CancelledError:
            self.hang_up(host)
            raise

    async def _connection(self, host: str) -> Connection:
        if host not in self._connections:
            self._connections[host] = await connect(host, CLIENT_PORT)
        return self._connections[host]

    def hang_up(self, host: str) -> None:
        """Close the connection to a broker: an answer that comes late must be nobody's."""
        connection = self._connections.pop(host, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        for host in list(self._connections):
            self.hang_up(host)

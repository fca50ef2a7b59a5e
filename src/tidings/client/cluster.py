"""A cluster of brokers, found through one of them: who leads what, who coordinates whom."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from kio.schema.errors import ErrorCode

from tidings.client.connection import Connection, connect
from tidings.client.errors import BrokerRefused, check
from tidings.kafka.schema import Entity

RETRY_PAUSE_S = 0.2
RETRY_PATIENCE_S = 15.0
"""How long something that will pass, such as a leader being chosen, is waited for."""

T = TypeVar("T")


class Broker(NamedTuple):
    """Where a broker says it is."""

    host: str
    port: int


class Cluster:
    """Connections to the brokers of a cluster; made by `join`."""

    def __init__(self, first: Connection) -> None:
        self.first = first
        self._connections: dict[Broker, Connection] = {}
        self._brokers: dict[int, Broker] = {}

    async def metadata(self, topics: Iterable[str] | None, *, creates: bool = False) -> Entity:
        """Ask for topics, None for all; `creates` lets a broker create those that are missing.

        Raises:
            Unavailable: No answer.
        """
        named = None if topics is None else [{"name": name} for name in topics]
        found = await self.first.ask("metadata", topics=named, allow_auto_topic_creation=creates)
        self._brokers = {one.node_id: Broker(one.host, one.port) for one in found.brokers}
        return found

    async def leaders(self, topic: str, *, creates: bool = False) -> dict[int, int]:
        """Return the leader of each partition of a topic, by node id.

        Raises:
            BrokerRefused: There is no such topic, or it has no leader.
            Unavailable: No answer.
        """

        async def find() -> dict[int, int]:
            (found,) = (await self.metadata([topic], creates=creates)).topics
            check(f"topic {topic}", found.error_code)
            for partition in found.partitions:
                check(f"partition {partition.partition_index} of {topic}", partition.error_code)
            return {one.partition_index: one.leader_id for one in found.partitions}

        waits_for = [ErrorCode.leader_not_available]
        if creates:
            waits_for.append(ErrorCode.unknown_topic_or_partition)
        return dict(sorted((await patiently(find, waits_for)).items()))

    async def broker(self, node_id: int) -> Connection:
        """Return a connection to a broker that metadata named."""
        return await self._connection(self._brokers[node_id])

    async def brokers(self) -> list[Connection]:
        """Return a connection to every broker."""
        await self.metadata([])
        return [await self._connection(broker) for broker in self._brokers.values()]

    async def coordinator(self, group: str) -> Connection:
        """Return a connection to the coordinator of a group."""

        async def find() -> Connection:
            found = await self.first.ask("find_coordinator", key=group, key_type=0)
            check(f"group {group}", found.error_code)
            return await self._connection(Broker(found.host, found.port))

        return await patiently(find, [ErrorCode.coordinator_not_available])

    async def _connection(self, broker: Broker) -> Connection:
        if broker not in self._connections:
            self._connections[broker] = await connect(broker.host, broker.port)
        return self._connections[broker]

    def close(self) -> None:
        """Close all connections."""
        for connection in [self.first, *self._connections.values()]:
            connection.close()


async def patiently(ask: Callable[[], Awaitable[T]], passing: Iterable[ErrorCode]) -> T:
    """Ask until the broker no longer refuses with a code that will pass, or time is up."""
    codes = list(passing)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + RETRY_PATIENCE_S
    while True:
        try:
            return await ask()
        except BrokerRefused as refused:
            if refused.code not in codes or loop.time() > until_s:
                raise
        await asyncio.sleep(RETRY_PAUSE_S)


@asynccontextmanager
async def join(host: str, port: int) -> AsyncIterator[Cluster]:
    """Find a cluster through one of its brokers.

    Raises:
        Unavailable: It cannot be reached.
    """
    cluster = Cluster(await connect(host, port))
    try:
        yield cluster
    finally:
        cluster.close()

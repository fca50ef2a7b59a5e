"""A connection without a network, and a handler that answers when the test says so."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from broker_in_memory import broker_on, request_frame
from memory_transport import MemoryTransport
from topics_log import TopicsLog

from tidings.kafka.answering import ANSWERER
from tidings.kafka.apis import API_OF_KEY, Answer, Api
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import Encoded
from tidings.kafka.connection import Connection
from tidings.kafka.connections import Connections
from tidings.kafka.schema import Entity
from tidings.kafka.settings import ListenerSettings
from tidings.testing.loop import run

API_VERSIONS = 18
METADATA = 3


class Gate:
    """A handler that answers each request with its client id, when the test says so."""

    def __init__(self) -> None:
        # Client ids in the order in which their requests began.
        self.begun: list[str | None] = []
        self.cancelled: list[str | None] = []
        self._open: dict[str | None, asyncio.Event] = {}

    def open(self, client_id: str) -> None:
        self._event(client_id).set()

    def _event(self, client_id: str | None) -> asyncio.Event:
        return self._open.setdefault(client_id, asyncio.Event())

    async def handle(self, broker: Broker, context: Context, request: Entity) -> Answer:
        del broker, request
        self.begun.append(context.client_id)
        try:
            await self._event(context.client_id).wait()
        except asyncio.CancelledError:
            self.cancelled.append(context.client_id)
            raise
        assert context.client_id is not None
        return None if context.client_id == "silent" else Encoded([context.client_id.encode()])


def frame(module: str, version: int, client_id: str = "tests", **values: Any) -> bytes:
    data = request_frame(module, version, values, client_id=client_id)
    return len(data).to_bytes(4, "big") + data


def asking(client_id: str) -> bytes:
    """Return a frame for the gate, which stands in for Metadata."""
    return frame("metadata", 1, client_id, topics=[])


def answering(client_id: str) -> bytes:
    body = client_id.encode()
    return (4 + len(body)).to_bytes(4, "big") + (7).to_bytes(4, "big") + body


def stand_in(monkeypatch: pytest.MonkeyPatch, *, is_pipelined: bool = False) -> Gate:
    """Put a gate in the place of Metadata."""
    gate = Gate()
    api = Api(METADATA, "metadata", 0, 1, gate.handle, is_pipelined=is_pipelined)
    monkeypatch.setitem(API_OF_KEY, METADATA, api)
    return gate


async def settle() -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(20):
        await asyncio.sleep(0)


class Scene:
    """A connection, its transport and the others."""

    def __init__(self, tasks: asyncio.TaskGroup, **settings: Any) -> None:
        self.tasks = tasks
        self.broker = broker_on(TopicsLog(a=1), **settings)
        self.connections = Connections(self.broker.settings)
        self.connection, self.transport = self.connect()

    def connect(
        self, listener: ListenerSettings | None = None
    ) -> tuple[Connection, MemoryTransport]:
        connection = Connection(self.broker, self.tasks, self.connections, ANSWERER, listener)
        transport = MemoryTransport(connection)
        connection.connection_made(transport)
        return connection, transport

    async def receive(self, data: bytes) -> None:
        self.connection.data_received(data)
        await settle()


def play(act: Callable[[Scene], Any], **settings: Any) -> Any:
    async def main() -> Any:
        async with asyncio.TaskGroup() as tasks:
            return await act(Scene(tasks, **settings))

    return run(main())

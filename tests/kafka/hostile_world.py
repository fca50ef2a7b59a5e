"""A whole broker in memory for clients that send anything; it must outlive them unharmed."""

import asyncio
import logging
from collections.abc import Sequence
from random import Random

from broker_in_memory import broker_on, request_frame
from memory_transport import MemoryTransport

from tidings.engine.log import Log
from tidings.kafka.apis import APIS
from tidings.kafka.connection import Connection
from tidings.kafka.connections import Connections
from tidings.kafka.standalone import Alone
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.clock import SimClock
from tidings.testing.loop import new_loop

REQUEST_BYTES_MAX = 100_000
PATIENCE_S = 1.0
"""How long a client waits, on virtual time; a long poll may take longer."""


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def requests() -> list[bytes]:
    """Return one request of each version of each API, with nothing in it."""
    return [
        framed(request_frame(api.module, version, {}))
        for api in APIS
        for version in range(api.lowest, api.highest + 1)
    ]


class _Errors(logging.Handler):
    """Keeps what the broker takes for a bug of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class HostileWorld:
    """One broker, and any number of clients one after the other."""

    def __init__(self) -> None:
        self._loop = new_loop()
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        clock = SimClock(self._loop.time)
        log = Log(
            MemoryOrderStore(is_exclusive=True),
            MemoryBlobStore(),
            peers=Alone("n1"),
            clock=clock,
            rng=Random("1/n1"),
        )
        self._broker = broker_on(
            log, request_bytes_max=REQUEST_BYTES_MAX, memory_bytes_max=4 * REQUEST_BYTES_MAX
        )
        self._connections = Connections(self._broker.settings)
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._tasks.create_task(log.run())
        await log.barrier()

    def send(self, chunks: Sequence[bytes]) -> MemoryTransport:
        """Let a client send these, wait, and go; return what it got.

        Fails if the broker had an error that it did not expect, or still holds something of the
        client.
        """
        errors = _Errors()
        logger = logging.getLogger("tidings.kafka")
        logger.addHandler(errors)
        try:
            return self._loop.run_until_complete(self._be_client(chunks))
        finally:
            logger.removeHandler(errors)
            for record in errors.records:
                raise AssertionError(record.getMessage()) from (
                    record.exc_info[1] if record.exc_info else None
                )

    async def _be_client(self, chunks: Sequence[bytes]) -> MemoryTransport:
        connection = Connection(self._broker, self._tasks, self._connections)
        transport = MemoryTransport(connection)
        connection.connection_made(transport)
        for chunk in chunks:
            connection.data_received(chunk)
            await asyncio.sleep(0)
        await asyncio.sleep(PATIENCE_S)
        transport.abort()
        await asyncio.sleep(0)
        room = self._connections.answer_bytes_max * 4
        assert room == self._broker.settings.memory_bytes_max, "it holds something of nobody"
        return transport

"""Maelstrom's services behind a wire that delays, and perhaps loses, what goes over it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from tidings.errors import Indeterminate
from tidings.ports import BlobStore, OrderStore
from tidings.stores.maelstrom_kv import (
    TIMEOUT_S,
    CallFailed,
    MaelstromBlobStore,
    MaelstromOrderStore,
)
from tidings.testing.contract import Make
from tidings.types import Json
from tidings.workbench.services import LinKV, SeqKV, Service

Body = dict[str, Json]

LATENCY_S_MAX = 0.02
LATE_S_MAX = 2 * TIMEOUT_S
"""How long a delayed message may take: often longer than its caller waits."""


class SlowWire:
    """The services, and the way of every client to them and back."""

    def __init__(self, seed: int, late_chance: float) -> None:
        self._services: dict[str, Service] = {
            "lin-kv": LinKV(),
            "seq-kv": SeqKV(Random(f"{seed}/seq-kv")),
        }
        self._rng = Random(f"{seed}/wire")
        self._late_chance = late_chance

    def _delay_s(self) -> float:
        is_late = self._rng.random() < self._late_chance
        return self._rng.uniform(0, LATE_S_MAX if is_late else LATENCY_S_MAX)

    async def call(self, client: str, service: str, body: Body, timeout_s: float) -> Body:
        """Return the reply; a request goes on also when its caller has given up."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Body] = loop.create_future()

        def arrive() -> None:
            loop.call_later(self._delay_s(), tell, self._services[service].handle(client, body))

        def tell(reply: Body) -> None:
            if not answer.done():
                answer.set_result(reply)

        loop.call_later(self._delay_s(), arrive)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await answer
        except TimeoutError:
            raise Indeterminate(f"{service} did not answer") from None
        if reply["type"] == "error":
            raise CallFailed(reply["code"], reply["text"])
        return reply


class SlowCaller:
    """One node's end of the wire."""

    def __init__(self, wire: SlowWire, client: str) -> None:
        self._wire = wire
        self._client = client

    async def call(self, destination: str, body: Body, *, timeout_s: float) -> Body:
        return await self._wire.call(self._client, destination, body, timeout_s)


def order_stores(seed: int, late_chance: float) -> Make[OrderStore]:
    @asynccontextmanager
    async def make(count: int) -> AsyncIterator[Sequence[OrderStore]]:
        wire = SlowWire(seed, late_chance)
        yield [MaelstromOrderStore(SlowCaller(wire, f"n{n}"), "journal") for n in range(count)]

    return make


def blob_stores(seed: int, late_chance: float) -> Make[BlobStore]:
    @asynccontextmanager
    async def make(count: int) -> AsyncIterator[Sequence[BlobStore]]:
        wire = SlowWire(seed, late_chance)
        yield [
            MaelstromBlobStore(
                SlowCaller(wire, name), "journal", name, Random(f"{seed}/blobs/{name}")
            )
            for name in (f"n{number}" for number in range(count))
        ]

    return make

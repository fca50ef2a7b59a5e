"""A broker on a real log in memory, and what asks it: through bytes both ways, on virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker_in_memory import broker_on

from tidings.engine.log import Log
from tidings.kafka.broker import Broker
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.clock import SimClock


class Alone:
    """The peers of a single node: nobody."""

    def __init__(self) -> None:
        self.node_id = "n0"
        self.node_ids = ["n0"]

    def send(self, node_id: str, message: bytes) -> None:
        raise AssertionError(f"there is no {node_id} to tell {message!r}")


@asynccontextmanager
async def lone_broker(**settings: Any) -> AsyncIterator[Broker]:
    """Run a broker whose stores are in memory."""
    log = Log(
        MemoryOrderStore(),
        MemoryBlobStore(),
        peers=Alone(),
        clock=SimClock(lambda: 0.0),
        rng=random.Random("broker/n0"),
    )
    async with asyncio.TaskGroup() as tasks:
        node = tasks.create_task(log.run())
        yield broker_on(log, **settings)
        node.cancel()

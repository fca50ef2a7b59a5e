"""A broker that has not read its journal is not ready."""

import asyncio
import random

from tidings.clock import SystemClock
from tidings.engine.log import Log
from tidings.kafka.broker import Broker
from tidings.kafka.metrics.http import Page
from tidings.kafka.metrics.service import readiness
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.standalone import Alone, new_memory
from tidings.ports import Trimmed
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Slot


def test_broker_is_ready_once_it_has_read_its_journal() -> None:
    async def main() -> list[Page]:
        memory = new_memory("cluster")
        clock = SystemClock()
        rng = random.Random("readiness")
        log = Log(memory.order, memory.blobs, peers=Alone("n1"), clock=clock, rng=rng)
        broker = Broker(log, clock, BrokerSettings(), "cluster")
        before = await readiness(broker)
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(log.run())
            await log.barrier()
            after = await readiness(broker)
            node.cancel()
        return [before, after]

    before, after = run(main())
    assert (before.status, after.status) == (503, 200)
    assert b"journal" in before.body


def test_broker_whose_order_store_hangs_is_not_ready_and_says_so() -> None:
    class Hanging(MemoryOrderStore):
        hangs = False

        async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
            if self.hangs:
                await asyncio.sleep(1e9)
            return await super().read(start, count_max)

    async def main() -> Page:
        order = Hanging()
        clock = SystemClock()
        rng = random.Random("readiness")
        log = Log(order, MemoryBlobStore(), peers=Alone("n1"), clock=clock, rng=rng)
        broker = Broker(log, clock, BrokerSettings(), "cluster")
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(log.run())
            await log.barrier()
            order.hangs = True
            found = await readiness(broker)
            node.cancel()
        return found

    assert run(main()) == Page(503, b"the order store does not answer in 2 s\n")

"""Whether the blob store can be used: what follows from probes, and what they ask."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tidings.clock import SystemClock
from tidings.engine.log import Log
from tidings.errors import Unavailable
from tidings.kafka.broker import Broker
from tidings.kafka.metrics.blob_probe import INTERVAL_S, PATIENCE_S, PROBE, RETRY_S, BlobProbe
from tidings.kafka.metrics.http import Page
from tidings.kafka.metrics.service import readiness
from tidings.kafka.metrics.stores import CountedBlobStore, StoreMetrics
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.standalone import Alone, new_memory
from tidings.stores.memory import MemoryBlobStore
from tidings.testing.loop import run

NO_GET, NO_PUT = "no get today", "no put today"


class Blobs(MemoryBlobStore):
    """A blob store in whatever trouble; it notes what is asked of it, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, float]] = []
        self.fails: dict[str, bool] = {}
        self.hangs = False

    async def get(self, name: str) -> bytes | None:
        await self._be_called("get")
        return await super().get(name)

    async def put(self, name: str, data: bytes) -> None:
        await self._be_called("put")
        await super().put(name, data)

    async def _be_called(self, call: str) -> None:
        self.calls.append((call, asyncio.get_running_loop().time()))
        if self.hangs:
            await asyncio.sleep(1e9)
        if self.fails.get(call):
            raise Unavailable(f"no {call} today")


class Scene:
    """A probe at work on a blob store, and the way in which a broker uses that."""

    def __init__(self) -> None:
        self.blobs = Blobs()
        metrics = StoreMetrics(lambda: 0.0, lambda: 0)
        self.counted = CountedBlobStore(self.blobs, metrics)
        self.probe = BlobProbe(self.blobs, metrics)

    async def trouble_after(self, *probes: bool) -> list[str | None]:
        """Let get and put fail in probes, one after the other; return what was told after each."""
        told = []
        for fails in probes:
            self.blobs.fails = {"get": fails, "put": fails}
            await self.probe.look()
            told.append(self.probe.trouble)
        return told


@asynccontextmanager
async def at_work() -> AsyncIterator[Scene]:
    """Let the probe run."""
    found = Scene()
    async with asyncio.TaskGroup() as tasks:
        probing = tasks.create_task(found.probe.run())
        yield found
        probing.cancel()


def test_probe_of_a_store_that_is_well_gets_a_blob_that_is_not_there_now_and_then() -> None:
    async def main() -> None:
        async with at_work() as found:
            await asyncio.sleep(2.5 * INTERVAL_S)
            assert found.blobs.calls == [("get", 0), ("get", INTERVAL_S), ("get", 2 * INTERVAL_S)]
            assert found.probe.trouble is None

    run(main())


def test_trouble_is_told_after_two_failures_and_ends_after_two_successes() -> None:
    told = run(Scene().trouble_after(False, True, True, False, False))
    assert told == [None, None, NO_GET, NO_GET, None]


def test_failures_that_come_singly_change_nothing() -> None:
    async def main() -> None:
        found = Scene()
        assert not any(await found.trouble_after(*[True, False] * 5))
        assert (await found.trouble_after(True, True))[-1] == NO_GET
        assert all(await found.trouble_after(*[False, True] * 5))

    run(main())


def test_store_that_hangs_is_in_trouble_and_is_asked_again_soon() -> None:
    async def main() -> None:
        async with at_work() as found:
            found.blobs.hangs = True
            await asyncio.sleep(2 * PATIENCE_S + 2 * RETRY_S + 1)
            assert found.probe.trouble == "no answer in 5 s"
            assert [at_s for _, at_s in found.blobs.calls] == [
                0,
                PATIENCE_S + RETRY_S,
                2 * (PATIENCE_S + RETRY_S),
            ]
            found.blobs.hangs = False
            await asyncio.sleep(PATIENCE_S + 3 * RETRY_S)
            assert found.probe.trouble is None

    run(main())


def test_put_that_failed_is_tried_with_a_few_bytes_until_one_is_taken() -> None:
    async def main() -> None:
        async with at_work() as found:
            found.blobs.fails = {"put": True}
            with pytest.raises(Unavailable):
                await found.counted.put("of the broker", b"x")
            await asyncio.sleep(INTERVAL_S + 1.5 * RETRY_S)
            told = [found.probe.trouble]
            found.blobs.fails = {}
            begun = len(found.blobs.calls)
            await asyncio.sleep(2.5 * RETRY_S)
            told.append(found.probe.trouble)
            assert told == [NO_PUT, None]
            assert [call for call, _ in found.blobs.calls[begun:]] == ["put", "get"]
            assert await found.blobs.get(PROBE)

    run(main())


def test_put_of_the_broker_that_is_taken_ends_the_suspicion() -> None:
    async def main() -> None:
        async with at_work() as found:
            found.blobs.fails = {"put": True}
            with pytest.raises(Unavailable):
                await found.counted.put("of the broker", b"x")
            found.blobs.fails = {}
            await found.counted.put("of the broker", b"x")
            await asyncio.sleep(2 * INTERVAL_S)
            assert await found.blobs.get(PROBE) is None

    run(main())


def test_broker_is_not_ready_while_its_blob_store_is_in_trouble_and_says_why() -> None:
    async def main() -> list[Page]:
        memory, clock = new_memory("cluster"), SystemClock()
        rng = random.Random("probe")
        log = Log(memory.order, memory.blobs, peers=Alone("n1"), clock=clock, rng=rng)
        broker = Broker(log, clock, BrokerSettings(), "cluster")
        found = Scene()
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(log.run())
            await log.barrier()
            pages = [await readiness(broker, found.probe)]
            await found.trouble_after(True, True)
            pages.append(await readiness(broker, found.probe))
            node.cancel()
        return pages

    well, ill = run(main())
    assert well.status == 200
    assert ill == Page(503, b"the blob store cannot be used: no get today\n")

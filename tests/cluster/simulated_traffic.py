"""Nodes of the engine under steady traffic on virtual time, with their store calls counted."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tidings.clock import SystemClock
from tidings.engine.log import Log, NewBatch
from tidings.errors import UnknownTopicOrPartition
from tidings.kafka.cluster.cost import Limits, Traffic
from tidings.kafka.metrics.stores import CountedBlobStore, CountedOrderStore, StoreMetrics
from tidings.ports import AppendOutcome
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Offset, Slot, TopicPartition

GOSSIP_S = 0.0005
"""How long a message between nodes takes."""

PARTITIONS = 12

READ_INTERVAL_S = 0.1

FETCH_BYTES_MAX = 16 * 1024 * 1024


class SlowOrder(MemoryOrderStore):
    """Answers an append after some time."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(inline_bytes_max=limits.inline_bytes_max)
        self._append_s = limits.append_s

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        await asyncio.sleep(self._append_s)
        return await super().append(slot, entry)


class SlowBlobs(MemoryBlobStore):
    """Answers a put after some time."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._put_s = limits.put_s

    async def put(self, name: str, data: bytes) -> None:
        await asyncio.sleep(self._put_s)
        await super().put(name, data)


@dataclass
class Wire:
    """The peers of one node: all messages arrive, a moment later."""

    node_id: str
    node_ids: list[str]
    receivers: dict[str, Callable[[str, bytes], None]]

    def send(self, node_id: str, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(GOSSIP_S, lambda: self.receivers[node_id](self.node_id, message))


def counted_calls(
    traffic: Traffic, limits: Limits, seconds: float, *, is_read: bool = False
) -> dict[tuple[str, str], float]:
    """Return calls a second by store and call, and by store and `bytes`, under a traffic.

    With `is_read` the last node is asked for all records, soon after they were produced.
    """
    return run(_counted(traffic, limits, seconds, is_read=is_read))


async def _counted(
    traffic: Traffic, limits: Limits, seconds: float, *, is_read: bool
) -> dict[tuple[str, str], float]:
    loop = asyncio.get_running_loop()
    metrics = StoreMetrics(loop.time, lambda: 0)
    order = CountedOrderStore(SlowOrder(limits), metrics)
    blobs = CountedBlobStore(SlowBlobs(limits), metrics)
    names = [f"n{number}" for number in range(limits.brokers)]
    receivers: dict[str, Callable[[str, bytes], None]] = {}
    logs = []
    for name in names:
        log = Log(
            order,
            blobs,
            peers=Wire(name, names, receivers),
            clock=SystemClock(),
            rng=Random(name),
            settings=limits.engine,
        )
        receivers[name] = log.handle_message
        logs.append(log)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(log.run()) for log in logs]
        for log in logs:
            await log.journal.recovered.wait()
        await logs[0].create_topic("t", PARTITIONS)
        if is_read:
            running.append(tasks.create_task(_read(logs[-1])))
        await _produce(logs, traffic, seconds / 4)
        before = _counts(metrics)
        await _produce(logs, traffic, seconds)
        after = _counts(metrics)
        for task in running:
            task.cancel()
    return {key: (after[key] - before.get(key, 0.0)) / seconds for key in after}


async def _produce(logs: list[Log], traffic: Traffic, seconds: float) -> None:
    """Append batches to any node, at random times."""
    loop = asyncio.get_running_loop()
    rng = Random("arrivals")
    data = bytes(traffic.batch_bytes)
    end = loop.time() + seconds
    due = loop.time()
    for number in itertools.count():
        due += rng.expovariate(traffic.bytes_per_s / traffic.batch_bytes)
        if due > end:
            break
        await asyncio.sleep(due - loop.time())
        place = TopicPartition("t", number % PARTITIONS)
        _ = rng.choice(logs).append_soon([NewBatch(place, data)])


async def _read(log: Log) -> None:
    """Read all partitions to their ends, over and over."""
    offsets = dict.fromkeys(range(PARTITIONS), Offset(0))
    while True:
        await asyncio.sleep(READ_INTERVAL_S)
        for partition, offset in offsets.items():
            place = TopicPartition("t", partition)
            with contextlib.suppress(UnknownTopicOrPartition):
                for batch in await log.fetch(place, offset, FETCH_BYTES_MAX):
                    offsets[partition] = Offset(batch.last_offset + 1)


def _counts(metrics: StoreMetrics) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for family in metrics.families():
        for sample in family.samples:
            if family.name == "tidings_store_call_duration_seconds" and sample.suffix == "_count":
                found[sample.labels["store"], sample.labels["call"]] = sample.value
            if family.name == "tidings_store_call_bytes_total":
                key = (sample.labels["store"], "bytes")
                found[key] = found.get(key, 0.0) + sample.value
    return found

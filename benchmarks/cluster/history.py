"""A broker that starts when much has happened: how long until it serves."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import SystemRandom
from statistics import median

import lifetime
import members
import processes
from measures import Figures

from cluster.batches import batch_of
from tidings.clock import SystemClock
from tidings.engine.log import Log, NewBatch
from tidings.errors import TidingsError
from tidings.kafka.cluster.storage import open_shared
from tidings.kafka.standalone import Alone
from tidings.types import TopicPartition

TOPIC = "old"
PARTITIONS = 10

TOGETHER = 500
"""Batches that are appended with one call; each is a batch of its own in the journal."""

AT_A_TIME = 8

STARTS = 3

SETTLE_S = 1.0
"""How long upkeep goes on after the last append."""


def measure(urls: tuple[str, str], batches: tuple[int, ...]) -> Figures:
    """Let the journal grow to each of these sizes, and start brokers on it."""
    figures: Figures = {}
    first = 0
    for count in batches:
        asyncio.run(_grow(urls, first, count))
        first = count
        starts = [_start(urls) for _ in range(STARTS)]
        for name in starts[0]:
            figures[f"start after {count:,} batches, {name}"] = median(
                start[name] for start in starts
            )
    return figures


@asynccontextmanager
async def _log(urls: tuple[str, str]) -> AsyncIterator[Log]:
    """Have the log as a broker has it that is the only one; it has recovered."""
    async with open_shared(*urls) as storage, asyncio.TaskGroup() as tasks:
        log = Log(
            storage.order,
            storage.blobs,
            peers=Alone("n0"),
            clock=SystemClock(),
            rng=SystemRandom(),
            settings=storage.engine,
        )
        running = tasks.create_task(log.run())
        await log.journal.recovered.wait()
        yield log
        await asyncio.sleep(SETTLE_S)
        running.cancel()


async def _grow(urls: tuple[str, str], first: int, end: int) -> None:
    """Append through the engine, which no client could do as fast."""
    data = batch_of(100)
    starts = iter(range(first, end, TOGETHER))

    async def work(log: Log) -> None:
        for start in starts:
            numbers = range(start, min(start + TOGETHER, end))
            batches = [
                NewBatch(TopicPartition(TOPIC, number % PARTITIONS), data) for number in numbers
            ]
            for outcome in await log.append_all(batches):
                assert not isinstance(outcome, TidingsError), outcome

    async with _log(urls) as log:
        if first == 0:
            await log.create_topic(TOPIC, PARTITIONS)
        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_A_TIME):
                workers.create_task(work(log))


def _start(urls: tuple[str, str]) -> Figures:
    """Start a broker, and let it acknowledge a record of the topic that is there."""
    order, blobs = urls
    with contextlib.ExitStack() as stack:
        broker = members.member(stack, ["--order", order, "--blobs", blobs, "--retention-ms", "-1"])
        started = time.perf_counter()
        broker.begin_start()
        lifetime.acknowledge_one(broker.address, TOPIC)
        taken = time.perf_counter() - started
        broker.await_ready()
        process, *_ = broker.process_ids()
        figures = {
            "s until it acknowledges a record": taken,
            "its CPU s until then": processes.cpu_s(process),
            "its memory, MB": processes.resident_mb(process),
        }
        broker.stop()
        return figures

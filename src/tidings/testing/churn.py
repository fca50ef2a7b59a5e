"""Topics that come and go beside the workload: what deletes records, sections, pages and blobs.

The workload's clients read everything from the beginning in the end, so nothing of theirs may be
deleted. These topics are for that. What is read of them is judged afterwards (A6).
"""

import asyncio
from random import Random
from typing import Final

from tidings.engine.log import Log
from tidings.errors import Corrupt, OffsetOutOfRange, TidingsError
from tidings.testing.world import SimNode, World
from tidings.types import Offset, TopicPartition

CHURN: Final = ("churn-0", "churn-1")
"""Topics whose records are deleted, and that are deleted themselves."""

KEPT: Final = "kept"
"""A topic with retention, from which nobody else deletes."""

KEPT_BYTES: Final = 40

STAYS: Final = "stays"
"""A topic from which nothing is deleted, and of which nothing is committed."""

CHURNERS: Final = 3
"""Through each node: one that waits for an answer does nothing else."""

OPERATIONS_PER_S: Final = 10.0
"""Of each churner, if it need not wait."""

CALL_S: Final = 3.0
"""How long an operation may take before it is given up."""

FETCH_BYTES_MAX: Final = 200


async def churn(world: World, node: SimNode, number: int) -> None:
    """Append, read and delete through one node, until cancelled."""
    rng = Random(f"{world.plan.seed}/churn/{node.node_id}/{number}")
    while True:
        await asyncio.sleep(rng.expovariate(OPERATIONS_PER_S))
        if node.life is None or node.log is None or node.life.gate.is_shut:
            continue
        topic = rng.choice((*CHURN, KEPT, STAYS))
        try:
            async with asyncio.timeout(CALL_S):
                await _operate(world, node.log, topic, rng)
        except Corrupt as error:
            world.auditor.lost.append(str(error))
        except (TidingsError, TimeoutError):
            world.trace.count("churn failed")


async def _operate(world: World, log: Log, topic: str, rng: Random) -> None:
    name = TopicPartition(topic, 0)
    chosen = rng.random()
    if chosen < 0.6:
        if topic not in log.state.topics:
            configs = {"retention.bytes": str(KEPT_BYTES)} if topic == KEPT else {}
            await log.create_topic(topic, configs=configs)
        await log.append(name, b"%d" % rng.getrandbits(rng.choice((4, 60))))
        world.trace.count("churn append")
    elif chosen < 0.8:
        await _read(world, log, name, rng)
    elif topic in (KEPT, STAYS):
        return
    elif chosen < 0.96:
        start, end = log.state.log_start_offset(name), log.state.end_offset(name)
        await log.delete_records(name, Offset(rng.randint(start, end)))
        world.trace.count("churn delete records")
    else:
        await log.delete_topic(topic)
        world.trace.count("churn delete topic")


async def read_what_stays(world: World, node: SimNode) -> None:
    """Read all of it through one node, and note what was there."""
    assert node.log is not None, f"{node.node_id} is down though all healed"
    name = TopicPartition(STAYS, 0)
    topic = node.log.state.topics.get(STAYS)
    offset = Offset(0)
    while topic is not None and offset < node.log.state.end_offset(name):
        for batch in await node.log.fetch(name, offset, FETCH_BYTES_MAX):
            world.auditor.read[topic.topic_id, batch.base_offset] = batch.data
            offset = Offset(batch.last_offset + 1)


async def _read(world: World, log: Log, name: TopicPartition, rng: Random) -> None:
    """Read from somewhere, and note what was there."""
    before = log.state.topics.get(name.topic)
    start, end = log.state.log_start_offset(name), log.state.end_offset(name)
    if before is None or start >= end:
        return
    try:
        found = await log.fetch(name, Offset(rng.randrange(start, end)), FETCH_BYTES_MAX)
    except OffsetOutOfRange:
        world.trace.count("churn read too late")
        return
    after = log.state.topics.get(name.topic)
    if after is not None and after.topic_id == before.topic_id:
        for batch in found:
            world.auditor.read[before.topic_id, batch.base_offset] = batch.data
        world.trace.count("churn read")

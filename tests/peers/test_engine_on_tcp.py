"""Nodes of the engine that talk over TCP: what one fills, the others hear of without a store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from tcp_nodes import Node, introduce, run_real, until

from tidings.clock import SystemClock
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.types import Offset, TopicPartition

NEWS = TopicPartition("news", 0)
NEVER_S = 3600.0
SETTINGS = Settings(anti_entropy_s=NEVER_S, anti_entropy_idle_s=NEVER_S)
"""Nodes do not ask the store for what they have not heard of."""


@asynccontextmanager
async def cluster(names: list[str]) -> AsyncIterator[list[Log]]:
    """Run nodes on one journal in memory."""
    order, blobs = MemoryOrderStore(), MemoryBlobStore()
    nodes = [Node(name) for name in names]
    introduce(*nodes)
    logs = [
        Log(
            order,
            blobs,
            peers=node.peers,
            clock=SystemClock(),
            rng=Random(node.peers.node_id),
            settings=SETTINGS,
        )
        for node in nodes
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(log.run()) for log in logs]
        for node, log in zip(nodes, logs, strict=True):
            tasks.append(group.create_task(node.peers.run(node.listening, log.handle_message)))
        try:
            await until(
                lambda: all(len(node.peers.connected()) == len(nodes) - 1 for node in nodes)
            )
            yield logs
        finally:
            for task in tasks:
                task.cancel()


def test_engine_nodes_hear_over_tcp_of_what_another_appended() -> None:
    async def scene() -> None:
        async with cluster(["n0", "n1", "n2"]) as logs:
            for writer in logs:
                offset = await writer.append(NEWS, b"news", create_topic=True)
                for reader in logs:
                    with reader.watch([NEWS]) as watch:
                        while await reader.known_end_offset(NEWS) <= offset:
                            await watch.wait()
            for reader in logs:
                batches = await reader.fetch(NEWS, Offset(0), 1000)
                assert [batch.data for batch in batches] == [b"news"] * 3

    run_real(scene())

"""Nodes that talk over TCP on this machine."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tidings.peers import PeerAddress, PeerSettings, TcpPeers
from tidings.testing.contract import PeersNode

PATIENCE_S = 30
"""What a test may take at most; nothing is measured with it."""

CLUSTER = "cluster-of-a-test"
SECRET = b"a secret of 32 bytes, made up by"

QUICK = PeerSettings(retry_min_s=0.01, retry_max_s=0.02)
"""Connects again at once."""


def run_real(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the loop that production uses."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await main

    asyncio.run(bounded())


def listening_socket(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def address_of(listening: socket.socket) -> PeerAddress:
    return PeerAddress(*listening.getsockname()[:2])


async def until(condition: Callable[[], object]) -> None:
    """Let others go on until something holds; `run_real` ends this if it never does."""
    while not condition():  # noqa: ASYNC110 -- what it waits for has no event of its own
        await asyncio.sleep(0.001)


class Node:
    """One node, what it received, and where it listens."""

    def __init__(
        self,
        name: str,
        *,
        port: int = 0,
        secret: bytes = SECRET,
        cluster: str = CLUSTER,
        settings: PeerSettings = QUICK,
    ) -> None:
        self.listening = listening_socket(port)
        self.address = address_of(self.listening)
        self.received: list[tuple[str, bytes]] = []
        self.peers = TcpPeers(
            name, cluster=cluster, secret=secret, rng=random.SystemRandom(), settings=settings
        )

    async def run(self) -> None:
        await self.peers.run(
            self.listening, lambda source, message: self.received.append((source, message))
        )


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    """Run nodes as long as the block lasts."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(node.run()) for node in nodes]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        # Connections that were accepted in the last moment are closed once they have begun.
        for _ in range(3):
            await asyncio.sleep(0)
        for node in nodes:
            # A node that was ended before it began has not closed it.
            node.listening.close()


def introduce(*nodes: Node) -> None:
    """Tell all nodes of each other."""
    addresses = {node.peers.node_id: node.address for node in nodes}
    for node in nodes:
        node.peers.tell(addresses)


@asynccontextmanager
async def tcp_networks(count: int) -> AsyncIterator[Sequence[PeersNode]]:
    """Make a network for the contract suite."""
    nodes = [Node(f"n{number}") for number in range(count)]
    async with running(*nodes):
        introduce(*nodes)
        yield [PeersNode(node.peers, node.peers.close, node.received) for node in nodes]

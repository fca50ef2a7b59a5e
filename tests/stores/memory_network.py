"""A network in memory, and networks that are each wrong in one place."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import TypeVar

from tidings.ports import Peers
from tidings.testing.contract import Make, PeersNode

LATENCY_S_MAX = 0.05


class MemoryNetwork:
    """Delivers after a while; in another order, perhaps twice, perhaps never."""

    def __init__(self, seed: int, *, loss: float = 0, doubling: float = 0) -> None:
        self._rng = Random(f"{seed}/network")
        self._loss = loss
        self._doubling = doubling
        self.nodes: dict[str, PeersNode] = {}

    def send(self, source: str, target: str, message: bytes) -> None:
        if self._rng.random() < self._loss:
            return
        for _ in range(1 + (self._rng.random() < self._doubling)):
            delay_s = self._rng.uniform(0, LATENCY_S_MAX)
            loop = asyncio.get_running_loop()
            loop.call_later(delay_s, self.arrive, source, target, message)

    def arrive(self, source: str, target: str, message: bytes) -> None:
        if target in self.nodes:
            self.nodes[target].received.append((source, message))

    def stop(self, node_id: str) -> None:
        self.nodes.pop(node_id, None)

    def join(self, peers: Peers) -> PeersNode:
        node = PeersNode(peers, stop=partial(self.stop, peers.node_id))
        self.nodes[peers.node_id] = node
        return node


class MemoryPeers:
    """One node's way to the others."""

    def __init__(self, network: MemoryNetwork, node_id: str, node_ids: list[str]) -> None:
        self._network = network
        self.node_id = node_id
        self.node_ids = node_ids

    def send(self, node_id: str, message: bytes) -> None:
        self._network.send(self.node_id, node_id, message)


def networks(
    network: Callable[[], MemoryNetwork], peers: type[MemoryPeers] = MemoryPeers
) -> Make[PeersNode]:
    @asynccontextmanager
    async def make(count: int) -> AsyncIterator[Sequence[PeersNode]]:
        made = network()
        names = [f"n{number}" for number in range(count)]
        yield [made.join(peers(made, name, list(names))) for name in names]

    return make


# Bugs -------------------------------------------------------------------------------------------

BUGS: list[tuple[str, str, type[MemoryNetwork]]] = []
"""The check that must see it, the bug's name, and the network."""

B = TypeVar("B", bound=type[MemoryNetwork])


def caught_by(check: str) -> Callable[[B], B]:
    def register(bug: B) -> B:
        BUGS.append((check, bug.__name__, bug))
        return bug

    return register


@caught_by("nodes_know_each_other")
class ListsOnlyTheOthers(MemoryNetwork):
    def join(self, peers: Peers) -> PeersNode:
        peers.node_ids.remove(peers.node_id)
        return super().join(peers)


@caught_by("messages_arrive_as_they_were_sent")
class SendsText(MemoryNetwork):
    def send(self, source: str, target: str, message: bytes) -> None:
        super().send(source, target, message.decode(errors="replace").encode())


@caught_by("messages_arrive_as_they_were_sent")
class NamesTheReceiverAsTheSender(MemoryNetwork):
    def arrive(self, source: str, target: str, message: bytes) -> None:
        super().arrive(target if source == "n2" else source, target, message)


@caught_by("messages_arrive_as_they_were_sent")
class DeliversToAll(MemoryNetwork):
    def arrive(self, source: str, target: str, message: bytes) -> None:
        for name in [target, *self.nodes]:
            super().arrive(source, name, message)


@caught_by("largest_message_is_whole_or_lost")
class CutsMessages(MemoryNetwork):
    def send(self, source: str, target: str, message: bytes) -> None:
        super().send(source, target, message[:1_000_000])


@caught_by("message_to_nobody_is_lost")
class RaisesForUnknownNames(MemoryNetwork):
    def send(self, source: str, target: str, message: bytes) -> None:
        if target not in ("n0", "n1", "n2"):
            raise KeyError(target)
        super().send(source, target, message)


@caught_by("message_to_a_node_that_is_away_is_lost")
class RaisesForNodesThatAreAway(MemoryNetwork):
    def send(self, source: str, target: str, message: bytes) -> None:
        if target in ("n0", "n1", "n2") and target not in self.nodes:
            raise ConnectionRefusedError(target)
        super().send(source, target, message)


@caught_by("everything_arrives")
class LosesTheEmptyMessage(MemoryNetwork):
    def send(self, source: str, target: str, message: bytes) -> None:
        if message:
            super().send(source, target, message)


@caught_by("everything_arrives")
class RefusesLargeMessages(MemoryNetwork):
    def send(self, source: str, target: str, message: bytes) -> None:
        if len(message) < 1_000_000:
            super().send(source, target, message)

"""The nemesis: what goes wrong during a run, and when.

Each fault has its own rhythm: it begins, ends, begins, …, one step every `interval_s` on average.
All of them end before the quiet time.

- `partition`: one node alone, a minority against a majority, or overlapping majorities in a ring,
  where some pairs do not hear each other. Only nodes are kept apart, never services or clients.
- `kill`: some nodes crash (SIGKILL); they come back with empty memory, the same names, a new init.
- `pause`: some nodes stand still (SIGSTOP) and go on later as if nothing had been.

Source: jepsen.nemesis and jepsen.nemesis.combined, with the faults kept independent.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from tidings.types import Json
from tidings.workbench.cluster import Cluster, NodeState
from tidings.workbench.network import Network
from tidings.workbench.settings import Fault

Unheard = dict[str, list[str]]
"""For each receiver the senders whose messages it drops."""

Note = Callable[[str, Json], None]
"""Takes what the nemesis did, and to whom."""


def split(one_side: Sequence[str], other_side: Sequence[str]) -> Unheard:
    """Keep two groups of nodes apart."""
    return {
        **{node: list(other_side) for node in one_side},
        **{node: list(one_side) for node in other_side},
    }


def isolate_one(nodes: Sequence[str], rng: Random) -> Unheard:
    """Keep one node apart from all others."""
    alone, *others = rng.sample(nodes, len(nodes))
    return split([alone], others)


def halve(nodes: Sequence[str], rng: Random) -> Unheard:
    """Keep a random minority (or half) apart from the rest."""
    shuffled = rng.sample(nodes, len(nodes))
    middle = len(nodes) // 2
    return split(shuffled[:middle], shuffled[middle:])


def ring_of_majorities(nodes: Sequence[str], rng: Random) -> Unheard:
    """Let each node hear a majority, but no two of them the same one."""
    shuffled = rng.sample(nodes, len(nodes))
    size = len(nodes) // 2 + 1
    unheard: Unheard = {}
    for start in range(len(shuffled)):
        turned = shuffled[start:] + shuffled[:start]
        heard, center = turned[:size], turned[size // 2]
        unheard[center] = [node for node in nodes if node not in heard]
    return unheard


PARTITIONS = (isolate_one, halve, ring_of_majorities)


def some_nodes(nodes: Sequence[str], rng: Random) -> list[str]:
    """Choose one node, a minority, a majority or all of `nodes`; at least one if there is any."""
    if not nodes:
        return []
    majority = len(nodes) // 2 + 1
    count = rng.choice((1, majority - 1, majority, len(nodes), rng.randint(1, len(nodes))))
    return sorted(rng.sample(nodes, max(1, count)))


class Nemesis(Protocol):
    """One fault."""

    async def begin(self) -> None:
        """Break something."""

    async def end(self) -> None:
        """Mend it; harmless when nothing is broken."""


class PartitionNemesis:
    """Breaks the network between nodes."""

    def __init__(self, network: Network, nodes: Sequence[str], rng: Random, note: Note) -> None:
        self._network = network
        self._nodes = nodes
        self._rng = rng
        self._note = note

    async def begin(self) -> None:
        """Partition the nodes in one of the ways."""
        unheard = self._rng.choice(PARTITIONS)(self._nodes, self._rng)
        self._network.partition(unheard)
        self._note("start-partition", unheard)

    async def end(self) -> None:
        """Let everybody hear everybody."""
        self._network.partition({})
        self._note("stop-partition", None)


class KillNemesis:
    """Crashes nodes."""

    def __init__(self, cluster: Cluster, rng: Random, note: Note) -> None:
        self._cluster = cluster
        self._rng = rng
        self._note = note

    async def begin(self) -> None:
        """Kill some of the nodes that are up."""
        victims = some_nodes(self._cluster.in_state(NodeState.RUNNING, NodeState.PAUSED), self._rng)
        self._note("kill", victims)
        for node_id in victims:
            await self._cluster.kill(node_id)

    async def end(self) -> None:
        """Start every node that is down."""
        self._note("start", self._cluster.in_state(NodeState.DOWN))
        await self._cluster.start()


class PauseNemesis:
    """Stops nodes for a while."""

    def __init__(self, cluster: Cluster, rng: Random, note: Note) -> None:
        self._cluster = cluster
        self._rng = rng
        self._note = note

    async def begin(self) -> None:
        """Pause some of the nodes that are up."""
        victims = some_nodes(self._cluster.in_state(NodeState.RUNNING), self._rng)
        self._note("pause", victims)
        for node_id in victims:
            self._cluster.pause(node_id)

    async def end(self) -> None:
        """Resume every node that is paused."""
        paused = self._cluster.in_state(NodeState.PAUSED)
        self._note("resume", paused)
        for node_id in paused:
            self._cluster.resume(node_id)


def make_nemesis(
    fault: Fault, *, network: Network, cluster: Cluster, rng: Random, note: Note
) -> Nemesis:
    """Return the nemesis that does `fault`."""
    match fault:
        case Fault.PARTITION:
            return PartitionNemesis(network, list(cluster.states), rng, note)
        case Fault.KILL:
            return KillNemesis(cluster, rng, note)
        case Fault.PAUSE:
            return PauseNemesis(cluster, rng, note)


async def haunt(nemesis: Nemesis, rng: Random, interval_s: float, over: asyncio.Event) -> None:
    """Begin and end the fault in turn until `over` is set, and end it then."""
    is_broken = False
    while not await _is_set_within(over, rng.uniform(0, 2 * interval_s)):
        await (nemesis.end if is_broken else nemesis.begin)()
        is_broken = not is_broken
    if is_broken:
        await nemesis.end()


async def _is_set_within(event: asyncio.Event, delay_s: float) -> bool:
    try:
        async with asyncio.timeout(delay_s):
            return await event.wait()
    except TimeoutError:
        return False

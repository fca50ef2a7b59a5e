"""The kinds of partitions: who drops whose messages.

    halves    a random minority (or half) and the rest do not hear each other
    bridge    two halves do not hear each other, but one node hears both and is heard by both
    one       one node hears nobody, and nobody hears it
    one-way   some nodes do not hear the others, who hear them
    ring      each node hears a majority, but no two nodes the same one

Only nodes are kept apart, never services or clients.

Source: jepsen.nemesis, for all but one-way.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tidings.workbench.settings import PartitionKind

Unheard = dict[str, list[str]]
"""For each receiver the senders whose messages it drops."""


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


def bridge(nodes: Sequence[str], rng: Random) -> Unheard:
    """Keep two groups apart, but for one node that hears both; no effect on fewer than three."""
    between, *others = rng.sample(nodes, len(nodes))
    middle = len(others) // 2
    return {between: [], **split(others[:middle], others[middle:])}


def deafen(nodes: Sequence[str], rng: Random) -> Unheard:
    """Let some nodes, at most half, not hear the others, who hear them."""
    shuffled = rng.sample(nodes, len(nodes))
    count = rng.randint(1, max(1, len(nodes) // 2))
    deaf, heard = shuffled[:count], shuffled[count:]
    return {**{node: list(heard) for node in deaf}, **{node: [] for node in heard}}


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


PARTITIONS: Final[dict[PartitionKind, Callable[[Sequence[str], Random], Unheard]]] = {
    PartitionKind.HALVES: halve,
    PartitionKind.BRIDGE: bridge,
    PartitionKind.ONE: isolate_one,
    PartitionKind.ONE_WAY: deafen,
    PartitionKind.RING: ring_of_majorities,
}

NODES_MIN: Final = {PartitionKind.BRIDGE: 3, PartitionKind.RING: 3}
"""With fewer nodes these kinds cut nothing; the others need two."""

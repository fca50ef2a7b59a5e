"""What will go wrong during a run, and when: drawn before it begins, from the seed alone.

Each fault has its own rhythm: it begins, ends, begins, …, one step every `nemesis_interval_s` on
average. Nothing here depends on what the nodes do, so the same settings give the same schedule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tidings.types import Json
from tidings.workbench.partitions import NODES_MIN, PARTITIONS
from tidings.workbench.settings import Fault, PartitionKind, Settings

LOSSES: Final = (0.05, 0.2, 0.5)
"""The parts of messages that are lost."""

SLOWDOWNS: Final = (3.0, 10.0, 30.0)
"""What latency is multiplied with."""

DUPLICATIONS: Final = (0.1, 0.5, 1.0)
"""The parts of messages between nodes that come twice."""


@dataclass(frozen=True, slots=True)
class Spell:
    """One time of trouble."""

    begin_s: float
    """Seconds since the start of the operations."""
    end_s: float
    """It ends earlier if the operations do."""
    target: Json
    """What is done, and to whom. A partition: who hears whom not; kill and pause: names of nodes;
    loss, slow and duplicate: a number."""


def plan_fault(fault: Fault, settings: Settings) -> list[Spell]:
    """Return the spells of one fault, in order of time."""
    rng = Random(f"{settings.seed}/{fault}")
    draw_target = _targets(fault, settings, rng)
    longest_gap_s = 2 * settings.nemesis_interval_s
    spells: list[Spell] = []
    begin_s = rng.uniform(0, longest_gap_s)
    while begin_s < settings.time_limit_s:
        end_s = begin_s + rng.uniform(0, longest_gap_s)
        spells.append(Spell(begin_s, end_s, draw_target()))
        begin_s = end_s + rng.uniform(0, longest_gap_s)
    return spells


def _targets(fault: Fault, settings: Settings, rng: Random) -> Callable[[], Json]:
    node_ids = settings.node_ids
    match fault:
        case Fault.PARTITION:
            kinds = _kinds(settings)
            return lambda: PARTITIONS[rng.choice(kinds)](node_ids, rng)
        case Fault.KILL | Fault.PAUSE:
            return lambda: some_nodes(node_ids, rng)
        case Fault.LOSS:
            return lambda: rng.choice(LOSSES)
        case Fault.SLOW:
            return lambda: rng.choice(SLOWDOWNS)
        case Fault.DUPLICATE:
            return lambda: rng.choice(DUPLICATIONS)


def _kinds(settings: Settings) -> Sequence[PartitionKind]:
    """Return the kinds of partitions that cut anything among so few nodes, if any does."""
    count = settings.node_count
    cutting = [kind for kind in settings.partition_kinds if count >= NODES_MIN.get(kind, 2)]
    return cutting or settings.partition_kinds


def some_nodes(nodes: Sequence[str], rng: Random) -> list[str]:
    """Choose one node, a minority, a majority or all of `nodes`."""
    majority = len(nodes) // 2 + 1
    count = rng.choice((1, majority - 1, majority, len(nodes), rng.randint(1, len(nodes))))
    return sorted(rng.sample(nodes, max(1, count)))

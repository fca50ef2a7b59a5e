"""The nemesis: does what the schedule says, and mends it.

- `partition`: some nodes do not hear others; see `tidings.workbench.partitions`.
- `kill`: some nodes crash (SIGKILL); they come back with empty memory, the same names, a new init.
- `pause`: some nodes stand still (SIGSTOP) and go on later as if nothing had been.
- `loss`: part of the messages between servers is lost.
- `slow`: latency between servers is a multiple of what it was.
- `duplicate`: part of the messages between nodes comes twice.

Several faults may be on at once. All of them end before the quiet time.

Source: jepsen.nemesis and jepsen.nemesis.combined, with the faults kept independent.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from tidings.types import Json
from tidings.workbench.cluster import Cluster, NodeState
from tidings.workbench.network import Network
from tidings.workbench.schedule import Spell
from tidings.workbench.settings import Fault

Note = Callable[[str, Json], None]
"""Takes what the nemesis did, and to whom."""


class Nemesis(Protocol):
    """One fault."""

    async def begin(self, target: Json) -> None:
        """Break something."""

    async def end(self) -> None:
        """Mend it; harmless when nothing is broken."""


class NetworkNemesis:
    """Breaks the network: `change` is called with the target, and with `unbroken` to mend it."""

    def __init__(
        self, name: str, change: Callable[[Json], None], unbroken: Json, note: Note
    ) -> None:
        self._name = name
        self._change = change
        self._unbroken = unbroken
        self._note = note

    async def begin(self, target: Json) -> None:
        """Break what the target says."""
        self._change(target)
        self._note(f"start-{self._name}", target)

    async def end(self) -> None:
        """Let the network be as it was."""
        self._change(self._unbroken)
        self._note(f"stop-{self._name}", None)


class KillNemesis:
    """Crashes nodes; one that is down when its turn comes is passed over."""

    def __init__(self, cluster: Cluster, note: Note) -> None:
        self._cluster = cluster
        self._note = note

    async def begin(self, target: list[str]) -> None:
        """Kill those nodes of `target` that are up."""
        up = self._cluster.in_state(NodeState.RUNNING, NodeState.PAUSED)
        victims = [node_id for node_id in target if node_id in up]
        self._note("kill", victims)
        for node_id in victims:
            await self._cluster.kill(node_id)

    async def end(self) -> None:
        """Start every node that is down."""
        self._note("start", self._cluster.in_state(NodeState.DOWN))
        await self._cluster.start()


class PauseNemesis:
    """Stops nodes for a while; one that is not running when its turn comes is passed over."""

    def __init__(self, cluster: Cluster, note: Note) -> None:
        self._cluster = cluster
        self._note = note

    async def begin(self, target: list[str]) -> None:
        """Pause those nodes of `target` that are running."""
        running = self._cluster.in_state(NodeState.RUNNING)
        victims = [node_id for node_id in target if node_id in running]
        self._note("pause", victims)
        for node_id in victims:
            self._cluster.pause(node_id)

    async def end(self) -> None:
        """Resume every node that is paused."""
        paused = self._cluster.in_state(NodeState.PAUSED)
        self._note("resume", paused)
        for node_id in paused:
            self._cluster.resume(node_id)


def make_nemesis(fault: Fault, *, network: Network, cluster: Cluster, note: Note) -> Nemesis:
    """Return the nemesis that does `fault`."""
    match fault:
        case Fault.PARTITION:
            return NetworkNemesis("partition", network.partition, {}, note)
        case Fault.KILL:
            return KillNemesis(cluster, note)
        case Fault.PAUSE:
            return PauseNemesis(cluster, note)
        case Fault.LOSS:
            return NetworkNemesis("loss", network.lose, 0.0, note)
        case Fault.SLOW:
            return NetworkNemesis("slow", network.slow, 1.0, note)
        case Fault.DUPLICATE:
            return NetworkNemesis("duplicate", network.duplicate, 0.0, note)


async def haunt(
    nemesis: Nemesis, spells: Sequence[Spell], started_s: float, over: asyncio.Event
) -> None:
    """Carry out the spells until `over` is set, and mend everything then.

    Args:
        nemesis: The fault.
        spells: When it is on, and what it does then.
        started_s: The loop's time when the operations began.
        over: Set when they end.
    """
    for spell in spells:
        if await _is_set_by(over, started_s + spell.begin_s):
            return
        await nemesis.begin(spell.target)
        await _is_set_by(over, started_s + spell.end_s)
        await nemesis.end()


async def _is_set_by(event: asyncio.Event, deadline_s: float) -> bool:
    try:
        async with asyncio.timeout_at(deadline_s):
            return await event.wait()
    except TimeoutError:
        return False

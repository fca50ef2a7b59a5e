"""Nodes of this project inside the test's own loop, under the workbench's network and workload.

Only the processes are left out: the same `Node`, the same designs, the same services, clients,
nemeses and checker, on virtual time. One seed decides everything.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import cast

import msgspec

from tidings.checker.kafka import check
from tidings.checker.verdict import Verdict
from tidings.maelstrom.designs import load
from tidings.maelstrom.node import Node
from tidings.testing import loop as virtual_time
from tidings.workbench.client import Connection, InitOk
from tidings.workbench.cluster import Cluster, NodeState
from tidings.workbench.network import Latency, Message, Network, default_services
from tidings.workbench.runner import Outcome, Run
from tidings.workbench.settings import Fault, LatencyDistribution, Settings

RECOVERY_S = 5.0
"""The quiet time before the final polls."""

FINAL_POLLS_S = 10.0
"""How long clients may read in the end; some of them wait for a lost reply before that."""

Intercept = Callable[["SimulatedCluster", Message], bool]
"""Sees each message that a node sends; returns whether it goes out."""


class Incarnation:
    """One node from its start to its end."""

    def __init__(self, node_id: str, node: Node) -> None:
        self.node_id = node_id
        self.node = node
        self.task: asyncio.Task[None] | None = None
        self.dead = False
        # What waits while the node is paused: what it would hear, and what it would say.
        self.paused = False
        self.unheard: list[Message] = []
        self.unsaid: list[Message] = []

    def receive(self, message: Message) -> None:
        if self.paused:
            self.unheard.append(message)
        elif not self.dead:
            self.node.receive(msgspec.json.encode(message))


class SimulatedCluster:
    """Stands in for `tidings.workbench.cluster.Cluster`."""

    def __init__(
        self, settings: Settings, design: str, network: Network, intercept: Intercept | None = None
    ) -> None:
        self._settings = settings
        self._make_design = load(design)
        self._network = network
        self._intercept = intercept
        self._tasks: asyncio.TaskGroup | None = None
        self._incarnations: dict[str, Incarnation] = {}
        self._start_count = 0
        self.states = dict.fromkeys(settings.node_ids, NodeState.DOWN)

    async def __aenter__(self) -> "SimulatedCluster":
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._tasks is not None
        for incarnation in self._incarnations.values():
            self._end(incarnation)
        await self._tasks.__aexit__(None, None, None)

    def in_state(self, *states: NodeState) -> list[str]:
        return [node_id for node_id, state in self.states.items() if state in states]

    async def start(self) -> None:
        for node_id in self.in_state(NodeState.DOWN):
            await self._start(node_id)

    async def _start(self, node_id: str) -> None:
        assert self._tasks is not None
        self._start_count += 1
        rng = Random(f"{self._settings.seed}/node/{self._start_count}")

        def write_line(line: bytes) -> None:
            self._say(incarnation, msgspec.json.decode(line, type=Message))

        incarnation = Incarnation(node_id, Node(self._make_design, rng, write_line))
        incarnation.task = self._tasks.create_task(self._live(incarnation))
        await asyncio.sleep(0)
        self._incarnations[node_id] = incarnation
        self._network.attach_node(node_id, incarnation.receive)
        connection = Connection(self._network, node_id)
        node_ids = list(self._settings.node_ids)
        init = {"type": "init", "node_id": node_id, "node_ids": node_ids}
        await connection.request(init, InitOk, timeout_s=1)
        connection.close()
        self.states[node_id] = NodeState.RUNNING

    async def _live(self, incarnation: Incarnation) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await incarnation.node.run()

    def _say(self, incarnation: Incarnation, message: Message) -> None:
        if incarnation.dead:
            return
        if incarnation.paused:
            incarnation.unsaid.append(message)
        elif self._intercept is None or self._intercept(self, message):
            self._network.send(message)

    async def kill(self, node_id: str) -> None:
        self.crash(node_id)

    def crash(self, node_id: str) -> None:
        self.states[node_id] = NodeState.DOWN
        self._network.detach_node(node_id)
        self._end(self._incarnations[node_id])

    def _end(self, incarnation: Incarnation) -> None:
        incarnation.dead = True
        if incarnation.task is not None:
            incarnation.task.cancel()

    def pause(self, node_id: str) -> None:
        self.states[node_id] = NodeState.PAUSED
        self._incarnations[node_id].paused = True

    def resume(self, node_id: str) -> None:
        self.states[node_id] = NodeState.RUNNING
        incarnation = self._incarnations[node_id]
        incarnation.paused = False
        for message in incarnation.unsaid:
            self._say(incarnation, message)
        for message in incarnation.unheard:
            incarnation.receive(message)
        incarnation.unsaid.clear()
        incarnation.unheard.clear()


def simulate(
    design: str,
    seed: int,
    *,
    node_count: int = 3,
    workers_per_node: int = 2,
    time_limit_s: float = 10.0,
    rate: float = 25.0,
    latency_ms: float = 0.0,
    distribution: LatencyDistribution = LatencyDistribution.CONSTANT,
    faults: tuple[Fault, ...] = (),
    nemesis_interval_s: float = 3.0,
    intercept: Intercept | None = None,
) -> tuple[Verdict, Outcome]:
    """Run the kafka workload on `design`; return what the checker says, and what happened."""
    settings = Settings(
        command=(),
        store=Path(),
        node_count=node_count,
        concurrency=workers_per_node * node_count,
        time_limit_s=time_limit_s,
        rate=rate,
        latency_ms=latency_ms,
        latency_distribution=distribution,
        faults=faults,
        nemesis_interval_s=nemesis_interval_s,
        recovery_s=RECOVERY_S,
        final_polls_s=FINAL_POLLS_S,
        seed=seed,
    )
    outcome = virtual_time.run(_simulate(settings, design, intercept))
    return check(outcome.history), outcome


async def _simulate(settings: Settings, design: str, intercept: Intercept | None) -> Outcome:
    seed = settings.seed
    network = Network(
        services=default_services(seed),
        latency=Latency(
            Random(f"{seed}/latency"), settings.latency_distribution, settings.latency_ms
        ),
        rng=Random(f"{seed}/network"),
        # Even without latency a message is not there before it is sent.
        call_later=asyncio.get_running_loop().call_later,
    )
    outcome = Outcome(traffic=network.traffic)
    async with SimulatedCluster(settings, design, network, intercept) as cluster:
        run = Run(settings, network, cast("Cluster", cluster), outcome, _ignore)
        await run.carry_out()
    return outcome


def _ignore(line: str) -> None:
    """Show nothing."""
    del line

"""A small world: nodes of the engine, faulty stores and network, a nemesis, clients, a judge.

One seed decides everything. `run_world` returns once the faults have healed and every node has
served all that was acknowledged, or fails.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from clients import KEYS, Clients, Record, name_of
from faulty_ports import (
    LATE_S_MAX,
    Chances,
    FaultyBlobStore,
    FaultyLink,
    FaultyOrderStore,
    Gate,
    Weather,
    at_once,
)

from tidings.checker.kafka import check
from tidings.core.entry import Append, CreateTopic, Entry, InBlob, Inline, Submission, encode_entry
from tidings.engine.journal import CHECKPOINT_CELL
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.ports import Appended
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Slot

FINAL_S = 30.0
"""Within this time after all faults healed, every node serves everything and takes new records."""


@dataclass(kw_only=True)
class Plan:
    """What a run is made of."""

    seed: int
    node_count: int = 3
    client_count: int = 6
    operations_per_s: float = 10.0
    """Of each client."""
    time_limit_s: float = 6.0
    settings: Settings = field(default_factory=Settings)
    inline_bytes_max: int = 16 * 1024
    """Negative: all record bytes go into blobs."""
    filled_slots: int = 0
    """Slots that hold one record each before the nodes start."""
    trims: bool = False
    """Whether somebody trims the order store below the newest checkpoint; needs all in blobs."""
    chances: Chances = field(default_factory=Chances)
    nemesis: Sequence[str] = ()
    """Of partition, crash, crash all, pause."""
    nemesis_interval_s: float = 1.0


class Steps:
    """A wall clock that only counts."""

    def __init__(self) -> None:
        self._now_ms = 0

    def now_ms(self) -> int:
        self._now_ms += 1
        return self._now_ms


class Node:
    """A node, through all its lives."""

    def __init__(self, world: "World", node_id: str) -> None:
        self.node_id = node_id
        self.log: Log | None = None
        self.connections: dict[asyncio.Timeout, None] = {}
        self.gate = Gate()
        self._world = world
        self._task: asyncio.Task[None] | None = None
        self._life = 0

    def start(self) -> None:
        world = self._world
        self._life += 1
        self.gate = Gate()
        link = FaultyLink(world.weather, self.gate)
        self.log = Log(
            FaultyOrderStore(world.order, link),
            FaultyBlobStore(world.blobs, link),
            peers=WorldPeers(world, self, self.gate),
            clock=world.clock,
            rng=Random(f"{world.plan.seed}/{self.node_id}/{self._life}"),
            settings=world.plan.settings,
        )
        self._task = world.tasks.create_task(self._live(self.log))

    async def _live(self, log: Log) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await log.run()

    def crash(self) -> None:
        """Forget everything; calls on their way to a store go on."""
        assert self._task is not None
        self._task.cancel()
        self.log = None
        for connection in self.connections:
            connection.reschedule(0)
        self.connections.clear()

    def receive(self, source: str, message: bytes) -> None:
        log = self.log

        def hear() -> None:
            if log is not None and log is self.log:
                log.handle_message(source, message)

        self.gate.pass_through(hear)


class WorldPeers:
    """One node's way to the others."""

    def __init__(self, world: "World", node: Node, gate: Gate) -> None:
        self.node_id = node.node_id
        self.node_ids = [f"n{number}" for number in range(world.plan.node_count)]
        self._world = world
        self._gate = gate

    def send(self, node_id: str, message: bytes) -> None:
        self._gate.pass_through(lambda: self._world.carry(self.node_id, node_id, message))


class World:
    """Everything there is."""

    def __init__(self, plan: Plan, tasks: asyncio.TaskGroup) -> None:
        self.plan = plan
        self.tasks = tasks
        self.weather = Weather(plan.seed, plan.chances)
        self.order = MemoryOrderStore(inline_bytes_max=plan.inline_bytes_max)
        self.blobs = MemoryBlobStore()
        self.clock = Steps()
        self.nodes = [Node(self, f"n{number}") for number in range(plan.node_count)]
        # Which side of a partition a node is on.
        self._sides: dict[str, int] = {}
        self._rng = Random(f"{plan.seed}/nemesis")

    def carry(self, source: str, node_id: str, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        (node,) = (node for node in self.nodes if node.node_id == node_id)
        chances, weather = self.plan.chances, self.weather

        def arrive() -> None:
            if self._sides.get(source, 0) == self._sides.get(node_id, 0):
                node.receive(source, message)
            else:
                weather.happened["message cut off"] += 1

        for _ in range(1 + weather.strikes(chances.message_doubled, "message doubled")):
            if not weather.strikes(chances.message_lost, "message lost"):
                loop.call_later(weather.latency_s(), arrive)

    def fill(self, slots: int, clients: Clients) -> None:
        """Fill the first slots of the journal with one record each."""
        for slot in range(slots):
            value = clients.next_value()
            append = Append(name_of(KEYS[0]), 1, self._payload(str(value).encode()))
            submission = Submission(
                "old/1", slot + 1, Slot(slot), [CreateTopic(KEYS[0], 1), append]
            )
            entry = encode_entry(Entry("old/1", 0, [submission]))
            assert at_once(self.order.append(Slot(slot), entry)) == Appended()
            clients.note_sent(KEYS[0], slot, value)

    def _payload(self, data: bytes) -> Inline | InBlob:
        if len(data) <= self.order.inline_bytes_max:
            return Inline(data)
        name = f"old/{data.decode()}"
        at_once(self.blobs.put(name, data))
        return InBlob(name, 0, len(data))

    async def trim(self) -> None:
        """Trim what the newest checkpoint holds, again and again, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            if (named := at_once(self.order.read_cell(CHECKPOINT_CELL))) is not None:
                at_once(self.order.trim(Slot(int(named))))
                self.weather.happened["trimmed"] += 1

    # The nemesis --------------------------------------------------------------------------------

    async def disturb(self) -> None:
        """Bring trouble and mend it, until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(0, 2 * self.plan.nemesis_interval_s))
            trouble = self._rng.choice(self.plan.nemesis)
            self.weather.happened[trouble] += 1
            mend = self._bring(trouble)
            await asyncio.sleep(self._rng.uniform(0, 2 * self.plan.nemesis_interval_s))
            mend()

    def _bring(self, trouble: str) -> Callable[[], None]:
        node = self._rng.choice(self.nodes)
        match trouble:
            case "partition":
                self._sides = {node.node_id: self._rng.randrange(2) for node in self.nodes}
                return self._sides.clear
            case "crash":
                node.crash()
                return node.start
            case "crash all":
                for each in self.nodes:
                    each.crash()
                return self.start
            case "pause":
                node.gate.is_shut = True
                return node.gate.open
            case _:
                raise AssertionError(f"no such trouble: {trouble}")

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def heal(self) -> None:
        self.plan.chances.heal()
        self._sides.clear()
        for node in self.nodes:
            node.gate.open()
            if node.log is None:
                node.start()


def run_world(plan: Plan) -> Record:
    """Run a world to its end, judge what its clients saw, and return it."""
    try:
        record = run(_run(plan))
        verdict = check(record.events)
        assert verdict.valid, f"{verdict.bad}: {verdict.anomalies}"
        assert verdict.tallies["send"].ok, "nothing was sent"
        assert verdict.tallies["poll"].ok, "nothing was polled"
    except BaseException as error:
        error.add_note(f"seed {plan.seed}, {plan}")
        raise
    return record


async def _run(plan: Plan) -> Record:
    async with asyncio.TaskGroup() as tasks:
        world = World(plan, tasks)
        clients = Clients(plan.seed, world.nodes)
        world.fill(plan.filled_slots, clients)
        world.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(plan.time_limit_s), asyncio.TaskGroup() as busy:
                if plan.trims:
                    busy.create_task(world.trim())
                if plan.nemesis:
                    busy.create_task(world.disturb())
                for _ in range(plan.client_count):
                    busy.create_task(clients.work(1 / plan.operations_per_s))
        world.heal()
        async with asyncio.timeout(FINAL_S):
            for node in world.nodes:
                await clients.read_all(node)
        # Late calls still bring records; the judge wants them seen before the last operation.
        await asyncio.sleep(2 * LATE_S_MAX)
        async with asyncio.timeout(FINAL_S):
            for node in world.nodes[:2]:
                await clients.read_all(node)
        clients.record.happened = world.weather.happened
        for node in world.nodes:
            node.crash()
    return clients.record

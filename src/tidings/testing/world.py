"""Everything there is in a run: nodes through all their lives, storage, network, weather.

Every node is the `Node` that production runs, with its design; the world gives it its stores, its
messages and its time.
"""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Final

import msgspec

from tidings.core.blob_numbers import data_blob
from tidings.core.entry import (
    Append,
    BlobRange,
    CreateTopic,
    Entry,
    InBlob,
    Inline,
    ReserveBlobs,
    Submission,
    encode_entry,
)
from tidings.core.limits import TOPIC_ID_BYTES
from tidings.engine.log import Log
from tidings.errors import Corrupt
from tidings.maelstrom.design import Design, Network, Polled
from tidings.maelstrom.designs import load
from tidings.maelstrom.designs.journal import Journal, Peers
from tidings.maelstrom.node import Node
from tidings.ports import BlobStore, OrderStore
from tidings.stores.maelstrom_kv import MaelstromBlobStore, MaelstromOrderStore
from tidings.testing.audit import Auditor
from tidings.testing.clock import EPOCH_MS, SimClock
from tidings.testing.faulty_stores import FaultyBlobStore, FaultyOrderStore
from tidings.testing.life import Life
from tidings.testing.network import SimNetwork
from tidings.testing.plan import Plan
from tidings.testing.storage import JOURNAL, MemoryStorage, ServiceStorage, history_rng
from tidings.testing.trace import Trace
from tidings.testing.weather import Weather
from tidings.types import Slot, TopicPartition
from tidings.workbench.network import Message

RECORDS_SHARE: Final = 0.25
"""The share of the slots filled beforehand that hold a record."""

RESTART_S_MAX: Final = 2.0
"""How long a node is down that died in a call."""

OLD: Final = "old/1"
"""The life that filled the first slots."""


class SimNode:
    """A node: the life it has now, and what it keeps through all of them."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.clock = SimClock(asyncio.get_running_loop().time)
        self.life_count = 0
        # None while it is down.
        self.life: Life | None = None
        # Only of the `journal` design, while it is up.
        self.log: Log | None = None
        self.peers: Peers | None = None

    def forget(self, node_id: str) -> None:
        """Take a node for one that left."""
        if self.peers is not None and node_id in self.peers.node_ids:
            self.peers.node_ids.remove(node_id)

    def meet(self, node_ids: list[str]) -> None:
        """Know of all these nodes."""
        if self.peers is not None:
            self.peers.node_ids[:] = node_ids


class _AuditedJournal(Journal):
    """The design, telling of reads that failed for good: here no store ever loses anything."""

    def __init__(self, log: Log, auditor: Auditor) -> None:
        super().__init__(log)
        self._auditor = auditor

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        try:
            return await super().poll(offsets)
        except Corrupt as error:
            self._auditor.lost.append(str(error))
            raise


class World:
    """The nodes and what surrounds them."""

    def __init__(self, plan: Plan, tasks: asyncio.TaskGroup, trace: Trace) -> None:
        self.plan = plan
        self.trace = trace
        self.weather = Weather(plan, trace)
        self.auditor = Auditor(trace)
        self.memory = None if plan.on_services else MemoryStorage(plan)
        self.services = ServiceStorage(plan, trace)
        self.storage = self.memory or self.services
        self.network = SimNetwork(self.services.services, self.weather, trace)
        self.nodes = [SimNode(f"n{number}") for number in range(plan.node_count)]
        self.is_healed = False
        # Whether no node may start any more, not even one that died and was to come back.
        self._is_over = False
        self._tasks = tasks
        self._create = load(plan.design)
        self._restarts = Random(f"{plan.seed}/restarts")
        # Who sends `init` and does not listen.
        self._operator = self.network.attach_client(lambda _: None)

    @property
    def node_ids(self) -> list[str]:
        """All nodes."""
        return [node.node_id for node in self.nodes]

    # Lives --------------------------------------------------------------------------------------

    def start(self, node: SimNode) -> None:
        """Start a node with empty memory, unless it is up or all has ended."""
        if node.life is not None or self._is_over:
            return
        node.life_count += 1
        life = Life(
            node.node_id,
            node.life_count,
            weather=self.weather,
            trace=self.trace,
            crash=self._crash_in_call,
        )
        node.life = life
        rng = Random(f"{self.plan.seed}/{node.node_id}/{life.number}")
        life.node = Node(
            lambda network, rng: self._make_design(node, life, network, rng),
            rng,
            lambda line: self.network.take_line(life, line),
        )
        life.task = self._tasks.create_task(self._live(life), name=f"{node.node_id}/{life.number}")
        self.network.attach(life)
        self.trace.add(node.node_id, "starts", f"life {life.number}")
        self.network.send(Message(self._operator, node.node_id, self._init(node.node_id)))

    def _init(self, node_id: str) -> msgspec.Raw:
        init = {"type": "init", "node_id": node_id, "node_ids": self.node_ids, "msg_id": 1}
        return msgspec.Raw(msgspec.json.encode(init))

    async def _live(self, life: Life) -> None:
        try:
            await life.node.run()
        except asyncio.CancelledError:
            if not life.is_over:
                raise

    def _make_design(self, node: SimNode, life: Life, network: Network, rng: Random) -> Design:
        if self.plan.design != "journal":
            return self._create(network, rng)
        order: OrderStore
        blobs: BlobStore
        memory = self.memory
        if memory is None:
            order = MaelstromOrderStore(network, JOURNAL)
            blobs = MaelstromBlobStore(network, JOURNAL, network.node_id, rng)
        else:
            order = FaultyOrderStore(memory.order, life, self.trace)
            blobs = FaultyBlobStore(memory.blobs, life, self.trace, memory.owners)
        node.peers = Peers(network)
        node.log = Log(
            order,
            blobs,
            peers=node.peers,
            clock=node.clock,
            rng=rng,
            settings=self.plan.settings,
            journal=JOURNAL,
            page_format=self.plan.page_format,
        )
        self.auditor.watch(node.node_id, node.log)
        if memory is not None:
            node.log.journal.jump_observers.append(lambda: memory.disown(life))
        return _AuditedJournal(node.log, self.auditor)

    def crash(self, node: SimNode) -> None:
        """End a node's life, if it is up; calls on their way to a store go on."""
        life, node.life, node.log, node.peers = node.life, None, None, None
        if life is not None:
            self.trace.add(node.node_id, "dies")
            life.is_over = True
            life.task.cancel()

    def _crash_in_call(self, life: Life, fault: str) -> None:
        node = next(node for node in self.nodes if node.node_id == life.node_id)
        if node.life is not life:
            return
        self.trace.add(node.node_id, fault)
        self.crash(node)
        delay_s = self._restarts.uniform(0, RESTART_S_MAX)
        self._tasks.create_task(self._restart(node, delay_s))

    async def _restart(self, node: SimNode, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self.start(node)

    def start_all(self) -> None:
        """Start every node that is down."""
        for node in self.nodes:
            self.start(node)

    def heal(self) -> None:
        """End all trouble."""
        self.is_healed = True
        self.trace.add("world", "heals")
        self.weather.heal()
        self.network.cut.clear()
        self.storage.fill_up(order=False, blobs=False)
        for node in self.nodes:
            node.meet(self.node_ids)
            if node.life is not None:
                node.life.reach_stores()
                node.life.gate.open()
        self.start_all()

    def end(self) -> None:
        """End every node, for good."""
        self._is_over = True
        for node in self.nodes:
            self.crash(node)

    # Before the nodes start ---------------------------------------------------------------------

    def fill(self) -> list[tuple[str, int, int]]:
        """Fill the first slots of the journal; return the (key, offset, message) of its records."""
        rng = history_rng(self.plan)
        records: list[tuple[str, int, int]] = []
        ends: dict[str, int] = {}
        for slot in range(self.plan.filled_slots):
            submissions: list[Submission] = []
            if rng.random() < RECORDS_SHARE:
                key, message = str(rng.randrange(10)), -len(records) - 1
                offset = ends.get(key, 0)
                ends[key] = offset + 1
                records.append((key, offset, message))
                submissions = self._submissions(slot, key, message)
            entry = encode_entry(Entry(OLD, EPOCH_MS, submissions))
            self.storage.fill(Slot(slot), entry)
        return records

    def _submissions(self, slot: int, key: str, message: int) -> list[Submission]:
        """Append a record, after reserving the number of its blob if it is in one."""
        number, last_slot = slot + 1, Slot(slot)
        data = str(message).encode()
        payload: Inline | InBlob = Inline(data)
        if len(data) > self.storage.inline_bytes_max:
            payload = InBlob(data_blob(OLD, number), 0, len(data))
            self.storage.put(payload.name, data)
        append = Append(TopicPartition(key, 0), 1, payload)
        create = CreateTopic(key, 1, key.encode().ljust(TOPIC_ID_BYTES))
        if isinstance(payload, Inline) or not self.plan.trims:
            return [Submission(OLD, 2 * number, last_slot, [create, append])]
        reserve = ReserveBlobs(BlobRange(OLD, number, number + 1))
        return [
            Submission(OLD, 2 * number - 1, last_slot, [reserve]),
            Submission(OLD, 2 * number, last_slot, [create, append], number),
        ]

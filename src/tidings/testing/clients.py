"""Clients of a simulated run: the kafka workload in the main phase, proofs of progress at its end.

They are the workbench's clients and its workload, which are Maelstrom's; here they also note what
they were promised.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final, TypeVar

from tidings.checker.history import Event
from tidings.errors import Unavailable
from tidings.testing.world import SimNode, World
from tidings.types import Json, TopicPartition
from tidings.workbench.client import (
    CommitOk,
    CommittedOk,
    Connection,
    InitOk,
    KafkaClient,
    PollOk,
    RequestFailed,
    SendOk,
)
from tidings.workbench.operations import Completion, Operation, Recorder
from tidings.workbench.settings import CLIENT_TIMEOUT_S
from tidings.workbench.workload import LIVE_KEYS, KafkaWorkload, polled_offsets, sent_offsets

_Reply = TypeVar("_Reply", InitOk, SendOk, PollOk, CommitOk, CommittedOk)

SERVE_S: Final = 30.0
"""Within this time after all faults healed, every node takes a record …"""

READ_S: Final = 60.0
"""… and within this time more, every node has given all that was acknowledged."""

RETRY_S: Final = 0.1

ASK_END_SHARE: Final = 0.02
"""The share of operations before which a client asks where a partition ends."""

FIRST_PROOF: Final = 1_000_000
"""The first of the messages that are sent once all faults healed."""

MESSAGES_PER_KEY: Final = 64


@asynccontextmanager
async def within(timeout_s: float, what: str) -> AsyncIterator[None]:
    """Demand progress.

    Raises:
        AssertionError: The body took longer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise AssertionError(f"no progress: not within {timeout_s:g} s: {what}") from None


class Promises:
    """What clients were told, which nobody may be told otherwise later."""

    def __init__(self) -> None:
        self.committed: dict[str, int] = {}
        # The first offset after what was acknowledged of each key.
        self.ends: dict[str, int] = {}


class _CheckedConnection(Connection):
    """Checks what is told of committed offsets (A4), and counts requests by how they ended."""

    def __init__(self, world: World, node_id: str, promises: Promises) -> None:
        super().__init__(world.network, node_id)
        self._trace = world.trace
        self._committed = promises.committed

    async def request(
        self, body: dict[str, Json], reply_type: type[_Reply], *, timeout_s: float
    ) -> _Reply:
        floor = dict(self._committed)
        kind = body["type"]
        try:
            reply = await super().request(body, reply_type, timeout_s=timeout_s)
        except RequestFailed as failed:
            self._trace.count(f"{kind} {'fail' if failed.definite else 'info'}")
            raise
        self._trace.count(f"{kind} ok")
        if isinstance(reply, CommitOk):
            for key, offset in body["offsets"].items():
                self._committed[key] = max(offset, self._committed.get(key, -1))
        elif isinstance(reply, CommittedOk):
            for key in body["keys"]:
                told, before = reply.offsets.get(key, -1), floor.get(key, -1)
                assert told >= before, f"A4: {key} is committed to {told}, but was to {before}"
        return reply


class Clients:
    """All clients of a world, and the history that they write."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = asyncio.get_running_loop()
        self.promises = Promises()
        self.recorder = Recorder(self._loop.time)
        self._workload = KafkaWorkload(
            Random(f"{world.plan.seed}/workload"),
            concurrency=world.plan.client_count,
            max_writes_per_key=MESSAGES_PER_KEY,
        )
        self._process = world.plan.client_count
        self._proof = FIRST_PROOF
        self.is_over = False

    def note_sent(self, key: str, offset: int, message: int) -> None:
        """Write down a record that was there before."""
        operation = Operation("send", [["send", key, message]])
        process = self.next_process()
        self.recorder.invoke(process, operation)
        completion = Completion("ok", [["send", key, [offset, message]]])
        self.observe(self.recorder.complete(process, operation, completion))

    def next_process(self) -> int:
        """Return the number of a new process."""
        self._process += 1
        return self._process

    def observe(self, event: Event) -> None:
        """Learn from a completed operation."""
        self._workload.observe(event)
        if event.type == "ok":
            for key, offset in sent_offsets(event).items():
                self.promises.ends[key] = max(offset + 1, self.promises.ends.get(key, 0))

    # The main phase -----------------------------------------------------------------------------

    async def work(self, number: int) -> None:
        """Be one client after the other until `is_over`."""
        rng = Random(f"{self._world.plan.seed}/client/{number}")
        rate = 1 / self._world.plan.operation_interval_s
        while not self.is_over:
            up = [node for node in self._world.nodes if node.life is not None]
            node = rng.choice(up or self._world.nodes)
            client = Client(self, self._world, node, self._world.plan.client_timeout_s)
            await client.perform(Operation("assign", _some_keys(rng, self._workload)))
            while client.is_sound and not self.is_over:
                await asyncio.sleep(rng.expovariate(rate))
                if rng.random() < ASK_END_SHARE:
                    await self._ask_end(client.node, str(rng.randrange(10)))
                await client.perform(self._workload.next_operation(self._loop.time()))
            client.close()

    async def _ask_end(self, node: SimNode, key: str) -> None:
        """See that a barrier shows all that was acknowledged before; not part of the history."""
        floor = self.promises.ends.get(key, 0)
        life, log = node.life, node.log
        if life is None or log is None or life.gate.is_shut:
            return
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                end = await log.end_offset(TopicPartition(key, 0))
        except (TimeoutError, Unavailable):
            self._world.trace.count("end_offset info")
        else:
            self._world.trace.count("end_offset ok")
            assert end >= floor, f"{key} ends at {end}, but {floor} records were acknowledged"

    # The end ------------------------------------------------------------------------------------

    async def prove_service(self, node: SimNode) -> None:
        """Have a node take a record, however often that must be tried.

        Raises:
            AssertionError: It did not within `SERVE_S`.
        """
        async with within(SERVE_S, f"{node.node_id} takes a record"):
            while True:
                if await self._send_proof(node):
                    return
                await asyncio.sleep(RETRY_S)

    async def _send_proof(self, node: SimNode) -> bool:
        self._proof += 1
        client = Client(self, self._world, node)
        operation = Operation("send", [["send", str(self._proof % LIVE_KEYS), self._proof]])
        event = await client.perform(operation)
        client.close()
        return event.type == "ok"

    async def read_all(self, node: SimNode) -> dict[str, dict[int, Json]]:
        """Read everything from the beginning through a node; return messages by key and offset.

        Raises:
            AssertionError: It did not give all that was acknowledged within `READ_S`.
        """
        targets = self._workload.highest_offsets
        found: dict[str, dict[int, Json]] = {key: {} for key in targets}
        client = Client(self, self._world, node)
        await client.perform(Operation("assign", list(targets), seek_to_beginning=True))
        async with within(READ_S, f"{node.node_id} gives all that was acknowledged"):
            while any(max(found[key], default=-1) < targets[key] for key in targets):
                event = await client.perform(Operation("poll", [["poll"]]))
                if event.type == "ok":
                    [[_, polled]] = event.value
                    for key, records in polled.items():
                        found[key].update(records)
                    if polled_offsets(event):
                        continue
                await asyncio.sleep(RETRY_S)
                if not client.is_sound:
                    client.close()
                    found = {key: {} for key in targets}
                    client = Client(self, self._world, node)
                    again = Operation("assign", list(targets), seek_to_beginning=True)
                    await client.perform(again)
        client.close()
        return found


def _some_keys(rng: Random, workload: KafkaWorkload) -> list[str]:
    """Choose what a new client reads: the workload alone would leave most with nothing."""
    keys = [str(number) for number in range(LIVE_KEYS)]
    newest = [key for key in workload.highest_offsets if key not in keys]
    return rng.sample(keys, rng.randint(1, LIVE_KEYS)) + newest


class Client:
    """One process of the history; once `is_sound` is false it is of no more use."""

    def __init__(
        self,
        clients: Clients,
        world: World,
        node: SimNode,
        timeout_s: float = CLIENT_TIMEOUT_S,
    ) -> None:
        self.node = node
        self._clients = clients
        self._trace = world.trace
        self._process = clients.next_process()
        connection = _CheckedConnection(world, node.node_id, clients.promises)
        self._client = KafkaClient(connection, timeout_s=timeout_s)
        self.is_sound = True

    def close(self) -> None:
        """Throw the client away."""
        self._client.close()

    async def perform(self, operation: Operation) -> Event:
        """Do an operation and write it down."""
        recorder = self._clients.recorder
        self._tell("invoke", operation.f, operation.value)
        recorder.invoke(self._process, operation)
        completion = await self._client.perform(operation)
        event = recorder.complete(self._process, operation, completion)
        self._trace.count(f"{event.f} {event.type}")
        self._tell(event.type, event.f, event.value if event.error is None else event.error)
        self._clients.observe(event)
        # A poll whose commit was refused has moved on: what it read would look skipped.
        self.is_sound = event.type == "ok" or (event.type == "fail" and event.f != "poll")
        return event

    def _tell(self, kind: str, f: str, value: Json) -> None:
        if self._trace.is_kept:
            self._trace.add(f"p{self._process}", f"{f} {kind}", f"{self.node.node_id} {value}")

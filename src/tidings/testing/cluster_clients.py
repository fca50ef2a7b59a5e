"""The kafka workload on a simulated cluster of brokers, and the proofs of progress at its end."""

import asyncio
from random import Random
from typing import Final

from tidings.checker.history import Event
from tidings.testing.clients import FIRST_PROOF, READ_S, RETRY_S, SERVE_S, within
from tidings.testing.cluster_world import TOPIC, ClusterWorld, SimBroker
from tidings.testing.kafka_caller import KafkaCaller, NoAnswer
from tidings.testing.kafka_process import KafkaProcess
from tidings.types import Json
from tidings.workbench.operations import Operation, Recorder
from tidings.workbench.workload import KafkaWorkload, polled_offsets

PATIENCE_S: Final = 5.0
"""How long a client waits for an answer once all faults healed."""


class ClusterClients:
    """All clients of a cluster, and the history that they write."""

    def __init__(self, world: ClusterWorld) -> None:
        self._world = world
        self._loop = asyncio.get_running_loop()
        self.recorder = Recorder(self._loop.time)
        plan = world.plan
        self._workload = KafkaWorkload(
            Random(f"{plan.seed}/workload"),
            concurrency=plan.client_count,
            max_writes_per_key=2**31,
        )
        self._process = plan.client_count
        self._proof = FIRST_PROOF
        self.is_over = False

    @property
    def ends(self) -> dict[str, int]:
        """The offset after the highest that is known of each key."""
        return {key: at + 1 for key, at in self._workload.highest_offsets.items()}

    async def create_topic(self) -> None:
        """Create the topic, before there is any trouble."""
        calls = KafkaCaller(PATIENCE_S)
        topic = {
            "name": TOPIC,
            "num_partitions": self._world.plan.partition_count,
            "replication_factor": 1,
            "assignments": [],
            "configs": [],
        }
        while True:
            try:
                answer = await calls.ask(
                    self._world.hosts[0], "create_topics", topics=[topic], timeout=5_000
                )
            except NoAnswer:
                await asyncio.sleep(RETRY_S)
                continue
            if answer.topics[0].error_code in (0, 36):
                calls.close()
                return

    async def work(self, number: int) -> None:
        """Be one client after the other until `is_over`."""
        plan = self._world.plan
        rng = Random(f"{plan.seed}/client/{number}")
        while not self.is_over:
            client = _Client(self, self._world, rng, plan.client_timeout_s)
            keys = [str(each) for each in range(plan.partition_count)]
            await client.perform(Operation("assign", rng.sample(keys, rng.randint(1, len(keys)))))
            while client.is_sound and not self.is_over:
                await asyncio.sleep(rng.expovariate(1 / plan.operation_interval_s))
                await client.perform(self._next_operation())
            client.close()

    def _next_operation(self) -> Operation:
        """Return what the workload wants, on the partitions that there are."""
        operation = self._workload.next_operation(self._loop.time())
        count = self._world.plan.partition_count
        if operation.f == "send":
            [[_, key, _]] = operation.value
            self._proof += 1
            return Operation("send", [["send", str(int(key) % count), self._proof]])
        if operation.f == "assign":
            keys = dict.fromkeys(str(int(key) % count) for key in operation.value)
            return Operation("assign", list(keys))
        return operation

    def next_process(self) -> int:
        """Return the number of a new process."""
        self._process += 1
        return self._process

    def observe(self, event: Event) -> None:
        """Learn from a completed operation."""
        self._workload.observe(event)

    # The end ------------------------------------------------------------------------------------

    async def prove_service(self, broker: SimBroker) -> None:
        """Have a broker take a record, however often that must be tried.

        Raises:
            AssertionError: It did not within `SERVE_S`.
        """
        rng = Random(f"{self._world.plan.seed}/proof/{broker.host}")
        async with within(SERVE_S, f"{broker.host} takes a record"):
            while True:
                self._proof += 1
                key = str(rng.randrange(self._world.plan.partition_count))
                client = _Client(self, self._world, rng, PATIENCE_S, broker.host)
                event = await client.perform(Operation("send", [["send", key, self._proof]]))
                client.close()
                if event.type == "ok":
                    return
                await asyncio.sleep(RETRY_S)

    async def read_all(self, broker: SimBroker) -> dict[str, dict[int, Json]]:
        """Read everything from the beginning through a broker; return messages by key and offset.

        Raises:
            AssertionError: It did not give all that was acknowledged within `READ_S`.
        """
        targets = self.ends
        found: dict[str, dict[int, Json]] = {key: {} for key in targets}
        rng = Random(f"{self._world.plan.seed}/reader/{broker.host}")
        client = _Client(self, self._world, rng, PATIENCE_S, broker.host)
        await client.perform(Operation("assign", list(targets), seek_to_beginning=True))
        async with within(READ_S, f"{broker.host} gives all that was acknowledged"):
            while any(max(found[key], default=-1) + 1 < targets[key] for key in targets):
                event = await client.perform(Operation("poll", [["poll"]]))
                if event.type == "ok":
                    [[_, polled]] = event.value
                    for key, records in polled.items():
                        found[key].update(records)
                    if polled_offsets(event):
                        continue
                await asyncio.sleep(RETRY_S)
        client.close()
        return found


class _Client:
    """One process of the history; once `is_sound` is false it is of no more use."""

    def __init__(
        self,
        clients: ClusterClients,
        world: ClusterWorld,
        rng: Random,
        timeout_s: float,
        only: str | None = None,
    ) -> None:
        self._clients = clients
        self._trace = world.trace
        self._process = clients.next_process()
        self._client = KafkaProcess(world, rng, timeout_s, only)
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
        self.is_sound = event.type in {"ok", "fail"}
        return event

    def _tell(self, kind: str, f: str, value: Json) -> None:
        if self._trace.is_kept:
            self._trace.add(f"p{self._process}", f"{f} {kind}", value)

"""A process of the kafka workload as a client of Kafka: produces, fetches, keeps its own offsets.

Half of them produce as idempotent producers do: what got no answer, or an error that passes, is
sent again unchanged, to this broker or another, until it is acknowledged. The others try once.
"""

import asyncio
from random import Random
from typing import Final

from kio.schema.errors import ErrorCode

from tidings.client.consuming import records_of
from tidings.kafka.record_batch import Compression
from tidings.kafka.records import NO_PRODUCER, RecordFields, encode_batch
from tidings.testing.cluster_world import TOPIC, ClusterWorld
from tidings.testing.kafka_caller import KafkaCaller, NoAnswer
from tidings.types import Json
from tidings.workbench.operations import Completion, Operation

RETRY_S: Final = 0.1

GIVE_UP_S: Final = 8.0
"""How long an idempotent producer tries to send a record."""

PRODUCE_TIMEOUT_MS: Final = 1_000

PARTITION_BYTES_MAX: Final = 2_000

PREFERRED_SHARE: Final = 0.7
"""The share of requests that go to the leader; any broker must do."""

NOT_DONE: Final = (ErrorCode.kafka_storage_error, ErrorCode.unknown_topic_or_partition)
"""Errors after which a record is certainly not stored."""

PASSING: Final = (*NOT_DONE, ErrorCode.request_timed_out)


class _Failed(Exception):
    """An operation brought no result; `definite` if it certainly did not happen."""

    def __init__(self, text: str, *, definite: bool) -> None:
        super().__init__(text)
        self.definite = definite


class KafkaProcess:
    """One process of the history."""

    def __init__(
        self, world: ClusterWorld, rng: Random, timeout_s: float, only: str | None = None
    ) -> None:
        """Ask any broker, or one alone."""
        self._world = world
        self._rng = rng
        self._only = only
        self._calls = KafkaCaller(timeout_s)
        self._is_idempotent = rng.random() < 0.5
        self._producer: tuple[int, int] | None = None
        self._sequences: dict[str, int] = {}
        # The next offset to read of each assigned key.
        self._offsets: dict[str, int] = {}
        # Whom metadata calls the leader of each partition, by host.
        self._leaders: dict[str, str] = {}

    def close(self) -> None:
        """Throw the client away."""
        self._calls.close()

    async def perform(self, operation: Operation) -> Completion:
        """Do an operation of the workload and say how it ended."""
        try:
            match operation.f:
                case "send":
                    value = await self._send(operation)
                case "poll":
                    value = await self._poll()
                case "assign":
                    value = self._assign(operation)
                case "crash":
                    return Completion("info", operation.value)
                case unknown:
                    raise AssertionError(f"the workload makes no {unknown}")
        except _Failed as failed:
            return Completion("fail" if failed.definite else "info", operation.value, str(failed))
        return Completion("ok", value)

    def _some_broker(self) -> str:
        return self._only or self._rng.choice(self._world.hosts)

    async def _broker_for(self, key: str) -> str:
        """Return the leader that metadata tells of, or another."""
        if self._only or self._rng.random() > PREFERRED_SHARE:
            return self._some_broker()
        if key not in self._leaders:
            await self._learn_leaders()
        return self._leaders.get(key) or self._some_broker()

    async def _learn_leaders(self) -> None:
        try:
            found = await self._calls.ask(self._some_broker(), "metadata", topics=[{"name": TOPIC}])
        except NoAnswer:
            return
        hosts = {each.node_id: each.host for each in found.brokers}
        self._leaders = {
            str(each.partition_index): hosts[each.leader_id]
            for topic in found.topics
            for each in topic.partitions
        }

    # Producing ----------------------------------------------------------------------------------

    async def _send(self, operation: Operation) -> Json:
        [[_, key, message]] = operation.value
        if not self._is_idempotent:
            offset = await self._produce(await self._broker_for(key), key, message, NO_PRODUCER)
            return [["send", key, [offset, message]]]
        loop = asyncio.get_running_loop()
        until_s = loop.time() + GIVE_UP_S
        await self._learn_producer_id(until_s)
        assert self._producer is not None, "it was just learned"
        producer = (*self._producer, self._sequences.get(key, 0))
        may_be_done = False
        while True:
            try:
                offset = await self._produce(await self._broker_for(key), key, message, producer)
            except _Failed as failed:
                may_be_done |= not failed.definite
                self._leaders.clear()
                if loop.time() > until_s:
                    raise _Failed(str(failed), definite=not may_be_done) from failed
                self._world.trace.count("batch sent again")
                await asyncio.sleep(RETRY_S)
            else:
                self._sequences[key] = producer[2] + 1
                return [["send", key, [offset, message]]]

    async def _learn_producer_id(self, until_s: float) -> None:
        while self._producer is None:
            try:
                found = await self._calls.ask(
                    self._some_broker(),
                    "init_producer_id",
                    transactional_id=None,
                    transaction_timeout_ms=0,
                )
            except NoAnswer as error:
                if asyncio.get_running_loop().time() > until_s:
                    raise _Failed(str(error), definite=True) from error
            else:
                if found.error_code == ErrorCode.none:
                    self._producer = (found.producer_id, found.producer_epoch)
                    return
            await asyncio.sleep(RETRY_S)

    async def _produce(
        self, host: str, key: str, message: Json, producer: tuple[int, int, int]
    ) -> int:
        record = RecordFields(1_700_000_000_000, None, str(message).encode(), ())
        data = encode_batch([record], Compression.NONE, producer)
        try:
            answer = await self._calls.ask(
                host,
                "produce",
                acks=-1,
                timeout=PRODUCE_TIMEOUT_MS,
                topic_data=[
                    {"name": TOPIC, "partition_data": [{"index": int(key), "records": data}]}
                ],
            )
        except NoAnswer as error:
            raise _Failed(str(error), definite=not error.was_sent) from error
        [[produced]] = [topic.partition_responses for topic in answer.responses]
        code = ErrorCode(produced.error_code)
        if code is not ErrorCode.none:
            assert code in PASSING, f"{host} refused message {message} of {key}: {code.name}"
            raise _Failed(code.name, definite=code in NOT_DONE)
        offset: int = produced.base_offset
        return offset

    # Fetching -----------------------------------------------------------------------------------

    def _assign(self, operation: Operation) -> Json:
        keys: list[str] = operation.value
        held = {} if operation.seek_to_beginning else self._offsets
        self._offsets = {key: held.get(key, 0) for key in keys}
        return keys

    async def _poll(self) -> Json:
        if not self._offsets:
            return [["poll", {}]]
        try:
            found = await fetch(self._calls, self._some_broker(), self._offsets)
        except NoAnswer as error:
            raise _Failed(str(error), definite=True) from error
        for key, pairs in found.items():
            self._offsets[key] = pairs[-1][0] + 1
        return [["poll", found]]


async def fetch(
    calls: KafkaCaller, host: str, offsets: dict[str, int]
) -> dict[str, list[list[int]]]:
    """Return [offset, message] of what comes next of each key, where there is something.

    Raises:
        NoAnswer: None came, or one that says nothing.
    """
    partitions = [
        {
            "partition": int(key),
            "current_leader_epoch": -1,
            "fetch_offset": offset,
            "partition_max_bytes": PARTITION_BYTES_MAX,
        }
        for key, offset in offsets.items()
    ]
    answer = await calls.ask(
        host,
        "fetch",
        replica_id=-1,
        max_wait=50,
        min_bytes=1,
        max_bytes=20 * PARTITION_BYTES_MAX,
        session_epoch=-1,
        topics=[{"topic": TOPIC, "partitions": partitions}],
    )
    found: dict[str, list[list[int]]] = {}
    for each in [each for response in answer.responses for each in response.partitions]:
        code = ErrorCode(each.error_code)
        if code is not ErrorCode.none:
            assert code in PASSING, f"{host} refused to give {each.partition_index}: {code.name}"
            raise NoAnswer(code.name, was_sent=True)
        key = str(each.partition_index)
        pairs = [
            [record.offset, int(record.fields.value or b"")]
            for record in records_of(each.partition_index, bytes(each.records or b""))
            if record.offset >= offsets[key]
        ]
        if pairs:
            found[key] = pairs
    return found

"""Producing records: each once, or an error that says how far it came."""

import asyncio
from collections.abc import Mapping, Sequence

from tidings.client.cluster import Cluster
from tidings.client.errors import check
from tidings.kafka.partitioning import partition_of
from tidings.kafka.record_batch import Compression
from tidings.kafka.records import RecordFields, encode_batch

TIMEOUT_MS = 30_000

_ALL = -1


class Producer:
    """Sends records of one topic; never twice, so that an error leaves it open what was stored."""

    def __init__(
        self, cluster: Cluster, topic: str, leaders: Mapping[int, int], compression: Compression
    ) -> None:
        """Send to the partitions of a topic, whose leaders are known."""
        self._cluster = cluster
        self._topic = topic
        self._leaders = dict(leaders)
        self._compression = compression
        self._turn = 0

    async def send(self, records: Sequence[RecordFields]) -> None:
        """Send records; return when all are acknowledged by all replicas.

        Those with a key go where Kafka's Java client would put them, the others to one partition
        together, to the next one with the next call.

        Raises:
            BrokerRefused: A batch was refused; others may be stored.
            Unavailable: No answer; they may be stored.
        """
        numbers = list(self._leaders)
        without_key = numbers[self._turn % len(numbers)]
        self._turn += 1
        by_leader: dict[int, dict[int, list[RecordFields]]] = {}
        for record in records:
            number = without_key
            if record.key is not None:
                number = numbers[partition_of(record.key, len(numbers))]
            of_leader = by_leader.setdefault(self._leaders[number], {})
            of_leader.setdefault(number, []).append(record)
        async with asyncio.TaskGroup() as tasks:
            for leader, by_partition in by_leader.items():
                tasks.create_task(self._send(leader, by_partition))

    async def _send(self, leader: int, by_partition: Mapping[int, Sequence[RecordFields]]) -> None:
        connection = await self._cluster.broker(leader)
        batches = [
            {"index": number, "records": encode_batch(records, self._compression)}
            for number, records in by_partition.items()
        ]
        answer = await connection.ask(
            "produce",
            acks=_ALL,
            timeout=TIMEOUT_MS,
            topic_data=[{"name": self._topic, "partition_data": batches}],
        )
        for partition in answer.responses[0].partition_responses:
            check(
                f"partition {partition.index} of {self._topic}",
                partition.error_code,
                getattr(partition, "error_message", None),
            )

"""kafka-python, which is written in Python throughout."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from kafka_python_admin import KafkaPythonAdmin
from python_client import (
    EARLIEST,
    HEARTBEAT_MS,
    LATEST,
    SESSION_MS,
    ClientRecord,
    Library,
    Member,
    Reader,
)

# By name: the type checker takes the folder of tests of that name for the package.
kafka: Any = import_module("kafka")

PATIENCE_S = 30.0
PATIENCE_MS = 30_000


class _Reader:
    def __init__(self, address: str, topic: str, start: int) -> None:
        self._partition = kafka.TopicPartition(topic, 0)
        self._consumer = kafka.KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
        self._consumer.assign([self._partition])
        if start == EARLIEST:
            self._consumer.seek_to_beginning(self._partition)
        elif start == LATEST:
            # Where it is now; to seek to the end would be decided when something is read.
            self._consumer.seek(self._partition, self.end())
        else:
            self._consumer.seek(self._partition, start)

    def read(self, count: int) -> list[ClientRecord]:
        found: list[ClientRecord] = []
        while len(found) < count:
            polled = self._consumer.poll(PATIENCE_MS, max_records=count - len(found))
            if not polled:
                break
            found += [_record(record) for record in polled[self._partition]]
        return found

    def end(self) -> int:
        return int(self._consumer.end_offsets([self._partition])[self._partition])

    def offset_for_time(self, timestamp_ms: int) -> int | None:
        found = self._consumer.offsets_for_times({self._partition: timestamp_ms})[self._partition]
        return found.offset if found else None

    def close(self) -> None:
        self._consumer.close()


GROUP_POLL_MS = 12_000
"""A poll of a member that ends while the member is being assigned its partitions leaves it without
any, for ever (kafka-python 3.0.12). So it is long, and the program is told of them meanwhile."""


class _Listener(kafka.ConsumerRebalanceListener):  # type: ignore[misc]  # it comes as Any
    def __init__(self, on_assigned: Callable[[], None]) -> None:
        self._on_assigned = on_assigned

    def on_partitions_revoked(self, revoked: object) -> None:
        pass

    def on_partitions_assigned(self, assigned: object) -> None:
        del assigned
        self._on_assigned()


class _Member:
    def __init__(
        self, address: str, topic: str, group: str, on_assigned: Callable[[], None]
    ) -> None:
        self._consumer = kafka.KafkaConsumer(
            bootstrap_servers=address,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        self._consumer.subscribe([topic], listener=_Listener(on_assigned))

    def poll(self) -> Sequence[bytes | None]:
        polled = self._consumer.poll(GROUP_POLL_MS)
        return [record.value for records in polled.values() for record in records]

    def commit(self) -> None:
        self._consumer.commit()

    def assigned(self) -> list[int]:
        return sorted(one.partition for one in self._consumer.assignment())

    def leave(self) -> None:
        self._consumer.close()


class _Library:
    def __init__(self, address: str) -> None:
        self._address = address

    def produce(
        self,
        topic: str,
        records: Sequence[ClientRecord],
        *,
        compression: str = "none",
        is_idempotent: bool = False,
        one_by_one: bool = False,
    ) -> list[int]:
        producer = kafka.KafkaProducer(
            bootstrap_servers=self._address,
            compression_type=None if compression == "none" else compression,
            enable_idempotence=is_idempotent,
            linger_ms=20,
        )
        futures = []
        for record in records:
            future = producer.send(
                topic,
                partition=0,
                key=record.key,
                value=record.value,
                timestamp_ms=record.timestamp_ms,
                headers=list(record.headers),
            )
            if one_by_one:
                future.get(PATIENCE_S)
            futures.append(future)
        offsets = [future.get(PATIENCE_S).offset for future in futures]
        producer.close()
        return offsets

    def reader(self, topic: str, start: int) -> Reader:
        return _Reader(self._address, topic, start)

    def member(
        self, topic: str, group: str, on_assigned: Callable[[], None] = lambda: None
    ) -> Member:
        return _Member(self._address, topic, group, on_assigned)

    def admin(self) -> KafkaPythonAdmin:
        return KafkaPythonAdmin(self._address)


def _record(record: Any) -> ClientRecord:
    return ClientRecord(record.key, record.value, record.timestamp, record.headers, record.offset)


def library(address: str) -> Library:
    return _Library(address)

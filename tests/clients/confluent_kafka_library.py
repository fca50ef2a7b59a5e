"""confluent-kafka, which is librdkafka."""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, Producer, TopicPartition
from confluent_kafka_admin import ConfluentAdmin
from python_client import (
    EARLIEST,
    HEARTBEAT_MS,
    LATEST,
    POLL_S,
    SESSION_MS,
    ClientRecord,
    Library,
    Member,
    Reader,
)

PATIENCE_S = 30.0
_STARTS = {EARLIEST: OFFSET_BEGINNING, LATEST: OFFSET_END}


class _Reader:
    def __init__(self, address: str, topic: str, start: int) -> None:
        self._partition = TopicPartition(topic, 0)
        self._consumer = Consumer(
            {
                "bootstrap.servers": address,
                "group.id": "unused",
                "enable.auto.commit": False,
                # What is read next is then what was produced next, not what came before the seek.
                "auto.offset.reset": "error",
            }
        )
        if start == LATEST:
            start = self.end()
        self._consumer.assign([TopicPartition(topic, 0, _STARTS.get(start, start))])

    def read(self, count: int) -> list[ClientRecord]:
        found: list[ClientRecord] = []
        while len(found) < count:
            message = self._consumer.poll(PATIENCE_S)
            if message is None:
                break
            assert not message.error(), message.error()
            found.append(_record(message))
        return found

    def end(self) -> int:
        _, end = self._consumer.get_watermark_offsets(self._partition, timeout=PATIENCE_S)
        return int(end)

    def offset_for_time(self, timestamp_ms: int) -> int | None:
        wanted = TopicPartition(self._partition.topic, 0, timestamp_ms)
        (found,) = self._consumer.offsets_for_times([wanted], timeout=PATIENCE_S)
        return found.offset if found.offset >= 0 else None

    def close(self) -> None:
        self._consumer.close()


class _Member:
    def __init__(self, address: str, topic: str, group: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": address,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": HEARTBEAT_MS,
            }
        )
        self._consumer.subscribe([topic])

    def poll(self) -> Sequence[bytes | None]:
        messages = self._consumer.consume(100, POLL_S)
        return [message.value() for message in messages if not message.error()]

    def commit(self) -> None:
        self._consumer.commit(asynchronous=False)

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
        producer = Producer(
            {
                "bootstrap.servers": self._address,
                "compression.type": compression,
                "enable.idempotence": is_idempotent,
                "linger.ms": 20,
            }
        )
        offsets: list[int] = []

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            offsets.append(message.offset())

        for record in records:
            producer.produce(
                topic,
                partition=0,
                key=record.key,
                value=record.value,
                timestamp=record.timestamp_ms,
                headers=list(record.headers),
                on_delivery=delivered,
            )
            if one_by_one:
                producer.flush(PATIENCE_S)
        producer.flush(PATIENCE_S)
        return offsets

    def reader(self, topic: str, start: int) -> Reader:
        return _Reader(self._address, topic, start)

    def member(
        self, topic: str, group: str, on_assigned: Callable[[], None] = lambda: None
    ) -> Member:
        del on_assigned
        return _Member(self._address, topic, group)

    def admin(self) -> ConfluentAdmin:
        return ConfluentAdmin(self._address)


def _record(message: Any) -> ClientRecord:
    _, timestamp_ms = message.timestamp()
    headers = message.headers() or ()
    return ClientRecord(message.key(), message.value(), timestamp_ms, headers, message.offset())


def library(address: str) -> Library:
    return _Library(address)

"""aiokafka, which speaks old versions of the protocol only; behind calls that wait."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import (  # type: ignore[import-untyped]  # it comes without types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from aiokafka_admin import AiokafkaAdmin
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

PATIENCE_MS = 30_000


class _Reader:
    def __init__(self, runner: asyncio.Runner, address: str, topic: str, start: int) -> None:
        self._run = runner.run
        self._partition = TopicPartition(topic, 0)
        self._consumer = self._run(_consumer(address, self._partition))
        if start == EARLIEST:
            self._run(self._consumer.seek_to_beginning(self._partition))
        else:
            self._consumer.seek(self._partition, self.end() if start == LATEST else start)

    def read(self, count: int) -> list[ClientRecord]:
        found: list[ClientRecord] = []
        while len(found) < count:
            more = self._consumer.getmany(timeout_ms=PATIENCE_MS, max_records=count - len(found))
            polled = self._run(more)
            if not polled:
                break
            found += [_record(record) for record in polled[self._partition]]
        return found

    def end(self) -> int:
        return int(self._run(self._consumer.end_offsets([self._partition]))[self._partition])

    def offset_for_time(self, timestamp_ms: int) -> int | None:
        wanted = {self._partition: timestamp_ms}
        found = self._run(self._consumer.offsets_for_times(wanted))[self._partition]
        return found.offset if found else None

    def close(self) -> None:
        self._run(self._consumer.stop())


async def _consumer(address: str, partition: TopicPartition) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([partition])
    return consumer


class _Member:
    def __init__(self, runner: asyncio.Runner, address: str, topic: str, group: str) -> None:
        self._run = runner.run
        self._consumer = self._run(_group_consumer(address, topic, group))

    def poll(self) -> Sequence[bytes | None]:
        polled = self._run(self._consumer.getmany(timeout_ms=round(POLL_S * 1000)))
        return [record.value for records in polled.values() for record in records]

    def commit(self) -> None:
        self._run(self._consumer.commit())

    def assigned(self) -> list[int]:
        return sorted(one.partition for one in self._consumer.assignment())

    def leave(self) -> None:
        self._run(self._consumer.stop())


async def _group_consumer(address: str, topic: str, group: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
    )
    await consumer.start()
    return consumer


class _Library:
    def __init__(self, address: str) -> None:
        self._address = address
        self._runner = asyncio.Runner()

    def produce(
        self,
        topic: str,
        records: Sequence[ClientRecord],
        *,
        compression: str = "none",
        is_idempotent: bool = False,
        one_by_one: bool = False,
    ) -> list[int]:
        async def send() -> list[int]:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._address,
                compression_type=None if compression == "none" else compression,
                enable_idempotence=is_idempotent,
                linger_ms=20,
            )
            await producer.start()
            sent = []
            for record in records:
                future = await producer.send(
                    topic,
                    partition=0,
                    key=record.key,
                    value=record.value,
                    timestamp_ms=record.timestamp_ms,
                    headers=list(record.headers),
                )
                if one_by_one:
                    await future
                sent.append(future)
            offsets = [(await future).offset for future in sent]
            await producer.stop()
            return offsets

        return self._runner.run(send())

    def reader(self, topic: str, start: int) -> Reader:
        return _Reader(self._runner, self._address, topic, start)

    def member(
        self, topic: str, group: str, on_assigned: Callable[[], None] = lambda: None
    ) -> Member:
        del on_assigned
        return _Member(self._runner, self._address, topic, group)

    def admin(self) -> AiokafkaAdmin:
        return AiokafkaAdmin(self._runner, self._address)


def _record(record: Any) -> ClientRecord:
    return ClientRecord(record.key, record.value, record.timestamp, record.headers, record.offset)


def library(address: str) -> Library:
    return _Library(address)

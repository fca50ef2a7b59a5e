"""One folder, by turns in the hands of the library and of a broker with Kafka's clients."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import tidings
from tidings.embedded import NewRecord, Record

kafka: Any = import_module("kafka")
pytestmark = pytest.mark.real

PATIENCE_S = 60.0
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
HEADERS = [("h", b"1"), ("h", b"")]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tidings", "serve", "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            match = re.search(r"listens on (\S+:\d+)", process.stdout.readline())
            assert match
            yield match[1]
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


async def write(folder: Path) -> list[Record]:
    async with tidings.open(folder) as log:
        await log.create_topic("news")
        written = [await log.append("news", None, key=b"gone", timestamp_ms=7)]
        for name in COMPRESSIONS:
            new = [NewRecord(b"%s %d" % (name.encode(), n), b"k", HEADERS, 8) for n in range(3)]
            written += await log.append_many("news", new, compression=name)  # type: ignore[arg-type] # it is one
        await log.commit("readers", *written[:4])
        return written


async def read(folder: Path) -> tuple[list[Record], dict[int, int]]:
    async with tidings.open(folder) as log:
        records = [record async for record in log.read("news")]
        return records, await log.committed("readers", "news")


def headers_of(message: Any) -> list[tuple[str, bytes | None]]:
    return message.headers() or []


def read_with_confluent(address: str, count: int) -> list[Record]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "another"})
    consumer.assign([TopicPartition("news", 0, OFFSET_BEGINNING)])
    messages = consumer.consume(count, timeout=PATIENCE_S)
    consumer.close()
    return [
        Record(
            message.topic() or "",
            message.partition() or 0,
            message.offset() or 0,
            message.timestamp()[1],
            message.key(),
            message.value(),
            tuple(headers_of(message)),
        )
        for message in messages
    ]


def go_on_with_kafka_python(address: str, count: int) -> list[Record]:
    """Read what comes after what the group committed, and commit that."""
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=address, group_id="readers", enable_auto_commit=False
    )
    consumer.assign([kafka.TopicPartition("news", 0)])
    records = [
        Record(
            one.topic,
            one.partition,
            one.offset,
            one.timestamp,
            one.key,
            one.value,
            tuple(one.headers),
        )
        for one in (next(consumer) for _ in range(count))
    ]
    consumer.commit()
    consumer.close()
    return records


def produce(address: str) -> list[bytes]:
    """Produce with each client and compression; return the values."""
    values = []
    for name in COMPRESSIONS:
        values += [f"{client} {name}".encode() for client in ("confluent", "kafka-python")]
        confluent = Producer({"bootstrap.servers": address, "compression.type": name})
        confluent.produce("news", values[-2], b"k", headers=list(HEADERS), timestamp=9)
        assert confluent.flush(PATIENCE_S) == 0
        kafka_python = kafka.KafkaProducer(
            bootstrap_servers=address, compression_type=None if name == "none" else name
        )
        sending = kafka_python.send("news", values[-1], b"k", headers=HEADERS, timestamp_ms=9)
        sending.get(PATIENCE_S)
        kafka_python.close()
    return values


def test_clients_read_what_the_library_wrote_and_the_library_what_they_wrote(
    tmp_path: Path,
) -> None:
    written = asyncio.run(write(tmp_path))
    with serving(tmp_path) as address:
        assert read_with_confluent(address, len(written)) == written
        assert go_on_with_kafka_python(address, len(written) - 4) == written[4:]
        values = produce(address)
    records, committed = asyncio.run(read(tmp_path))
    assert committed == {0: len(written)}
    assert records[: len(written)] == written
    assert [record.value for record in records[len(written) :]] == values
    assert {(record.key, record.timestamp_ms) for record in records[len(written) :]} == {(b"k", 9)}
    assert all(record.headers == tuple(HEADERS) for record in records[1:])

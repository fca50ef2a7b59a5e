"""A disk that is full: a real one, of some megabytes, under a broker with real clients."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_broker import START_PATIENCE_S, FolderBroker
from chaos_clients import PATIENCE_S, create_topics, open_consumer
from confluent_kafka import KafkaException, Producer, TopicPartition

pytestmark = pytest.mark.real

MIB = 1024 * 1024
DISK_BYTES = 32 * MIB
BALLAST_BYTES = 16 * MIB
SMALL, LARGE = 200, 200_000
"""Values that are kept in the journal, and as a blob."""

TOPIC = "full"
HERE = TopicPartition(TOPIC, 0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own; skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    command = [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def broker(disk: Path, tmp_path: Path) -> Iterator[FolderBroker]:
    broker = FolderBroker(disk / "data", tmp_path / "broker.log")
    broker.start()
    try:
        assert broker.is_ready_within(START_PATIENCE_S)
        create_topics(broker.address, [TOPIC], partition_count=1)
        yield broker
    finally:
        broker.kill()


def fill(path: Path, size_bytes: int | None = None) -> None:
    """Write a file of so many bytes, or as large as there is space."""
    step = bytes(4096)
    try:
        with path.open("wb", buffering=0) as file:
            while size_bytes is None or file.tell() < size_bytes:
                file.write(step)
    except OSError:
        assert size_bytes is None, "the disk is too small for this test"


class Tried:
    """A producer that tries once."""

    def __init__(self, address: str) -> None:
        settings = {"message.send.max.retries": 0, "message.timeout.ms": 1000 * int(PATIENCE_S)}
        self._producer = Producer({"bootstrap.servers": address, **settings})
        self.acknowledged: list[bytes] = []
        """What was acknowledged, in order."""

    def error_of(self, value: bytes) -> str:
        """Produce one record; return the name of the error, nothing if it was acknowledged."""
        answers: list[Any] = []
        self._producer.produce(
            TOPIC, value, partition=0, on_delivery=lambda e, _: answers.append(e)
        )
        self._producer.flush(PATIENCE_S)
        (error,) = answers
        if error is None:
            self.acknowledged.append(value)
            return ""
        name: str = error.name()
        return name

    def fill_up(self, size_bytes: int) -> str:
        """Produce such records until one is refused; return the name of the error."""
        for number in range(DISK_BYTES // SMALL):
            if error := self.error_of(b"%d " % number + bytes(size_bytes)):
                return error
        pytest.fail("the disk does not get full")


def read_all(address: str, count: int) -> list[bytes | None]:
    """Return the values of the first records."""
    consumer = open_consumer(address, "readers", {})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    values: list[bytes | None] = []
    while len(values) < count and (records := consumer.consume(count - len(values), PATIENCE_S)):
        assert all(record.error() is None for record in records)
        values += [record.value() for record in records]
    consumer.close()
    return values


def test_full_disk_refuses_produces_serves_reads_and_recovers(
    disk: Path, broker: FolderBroker
) -> None:
    fill(disk / "ballast", BALLAST_BYTES)
    producer = Tried(broker.address)
    assert producer.fill_up(LARGE) == "KAFKA_STORAGE_ERROR"
    fill(disk / "rest")
    assert producer.fill_up(SMALL) == "KAFKA_STORAGE_ERROR"
    held = list(producer.acknowledged)
    assert read_all(broker.address, len(held)) == held

    (disk / "ballast").unlink()
    assert producer.error_of(b"again") == ""
    assert producer.error_of(b"large" + bytes(LARGE)) == ""
    assert read_all(broker.address, len(held) + 2) == producer.acknowledged

    broker.kill()
    assert broker.verify()[0]
    broker.start()
    assert broker.is_ready_within(START_PATIENCE_S)
    assert read_all(broker.address, len(held) + 2) == producer.acknowledged


def test_full_disk_broker_that_starts_on_it_serves_reads_and_recovers(
    disk: Path, broker: FolderBroker
) -> None:
    fill(disk / "ballast", BALLAST_BYTES)
    producer = Tried(broker.address)
    assert producer.error_of(b"large" + bytes(LARGE)) == ""
    fill(disk / "rest")
    assert producer.fill_up(SMALL) == "KAFKA_STORAGE_ERROR"
    broker.kill()
    broker.start()
    assert broker.is_ready_within(START_PATIENCE_S)
    assert read_all(broker.address, len(producer.acknowledged)) == producer.acknowledged
    assert producer.error_of(b"still") == "KAFKA_STORAGE_ERROR"

    (disk / "ballast").unlink()
    assert producer.error_of(b"again") == ""
    assert read_all(broker.address, len(producer.acknowledged)) == producer.acknowledged


def test_full_disk_refuses_commits_and_takes_them_when_space_returns(
    disk: Path, broker: FolderBroker
) -> None:
    producer = Tried(broker.address)
    assert producer.error_of(b"first") == ""
    consumer = open_consumer(broker.address, "group", {})
    fill(disk / "ballast")
    assert producer.fill_up(SMALL) == "KAFKA_STORAGE_ERROR"
    with pytest.raises(KafkaException):
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, 1)], asynchronous=False)

    (disk / "ballast").unlink()
    consumer.commit(offsets=[TopicPartition(TOPIC, 0, 1)], asynchronous=False)
    (told,) = consumer.committed([HERE], PATIENCE_S)
    assert told.offset == 1
    consumer.close()


def test_full_disk_idempotent_producer_goes_on_when_space_returns(
    disk: Path, broker: FolderBroker
) -> None:
    values = [b"%d " % number + bytes(SMALL) for number in range(100)]
    errors: list[Any] = []
    producer = Producer({"bootstrap.servers": broker.address, "enable.idempotence": True})
    producer.produce(TOPIC, b"first", partition=0)
    assert producer.flush(PATIENCE_S) == 0
    fill(disk / "ballast")
    tried = Tried(broker.address)
    assert tried.fill_up(SMALL) == "KAFKA_STORAGE_ERROR"
    for value in values:
        producer.produce(TOPIC, value, partition=0, on_delivery=lambda e, _: errors.append(e))
    assert producer.flush(1.0) == len(values), "nothing is acknowledged while the disk is full"

    (disk / "ballast").unlink()
    assert producer.flush(PATIENCE_S) == 0
    assert errors == [None] * len(values)
    expected = [b"first", *tried.acknowledged, *values]
    assert read_all(broker.address, len(expected)) == expected

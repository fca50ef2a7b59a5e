"""Idempotent producers of real clients, whose connections are cut before they get their answers."""

import asyncio
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from confluent_kafka import Producer

from tidings.testing import broker
from tidings.testing.real_broker import RunningBroker

aiokafka: Any = import_module("aiokafka")
kafka_python: Any = import_module("kafka")

pytestmark = pytest.mark.real

PATIENCE_S = 60.0
CUTS = 4
VALUES = [b"v%d" % number for number in range(200)]


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningBroker]:
    with broker() as running:
        yield running


def with_confluent_kafka(address: str) -> None:
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 0})
    for value in VALUES:
        producer.produce("news", value, partition=0)
        producer.poll(0)
    assert producer.flush(PATIENCE_S) == 0


def with_kafka_python(address: str) -> None:
    producer = kafka_python.KafkaProducer(
        bootstrap_servers=address, enable_idempotence=True, batch_size=100, retry_backoff_ms=10
    )
    sending = [producer.send("news", value, partition=0) for value in VALUES]
    for sent in sending:
        sent.get(PATIENCE_S)
    producer.close()


def with_aiokafka(address: str) -> None:
    async def main() -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=address,
            enable_idempotence=True,
            max_batch_size=100,
            retry_backoff_ms=10,
        )
        async with producer:
            sending = [await producer.send("news", value, partition=0) for value in VALUES]
            for sent in sending:
                await sent

    asyncio.run(main())


@pytest.mark.parametrize("produce", [with_confluent_kafka, with_kafka_python, with_aiokafka])
def test_idempotent_producer_writes_each_record_once_in_order(
    shared: RunningBroker, produce: Callable[[str], None]
) -> None:
    shared.reset()
    shared.create_topic("news")
    with shared.cut_before_reply("Produce", times=CUTS) as lost:
        produce(shared.bootstrap_servers)
    assert lost.hits == CUTS
    assert [record.value for record in shared.records("news")] == VALUES

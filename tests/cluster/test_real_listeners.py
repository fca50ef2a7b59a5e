"""Two brokers that are reached in two ways, inside and outside, and real clients of each way."""

import asyncio
import contextlib
from collections.abc import Iterator
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

import databases
import pytest
from brokers import free_port
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from members import member
from obtaining import obtained
from real_cluster import PARTITIONS, PATIENCE_S, quiet, until

from tidings.client.cluster import join

# By name: the type checker takes the folder of tests of that name for the package.
kafka_python: Any = import_module("kafka")

pytestmark = pytest.mark.real

INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.2"
"""Two of the addresses of the loopback, so that the address tells the way."""

_numbers = count()


class Way(NamedTuple):
    """How some clients reach the brokers."""

    host: str
    bootstrap: str
    addresses: list[str]


@contextlib.contextmanager
def two_brokers() -> Iterator[list[Way]]:
    """Run brokers with two listeners each; yield the ways to them, inside and outside."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(databases.postgres())
        options = ["--store", databases.postgres_url(store.address)]
        brokers, ports = [], []
        for _ in range(2):
            ports.append(free_port())
            listening = ["--listen", f"outside=0.0.0.0:{ports[-1]}"]
            told = ["--advertise", f"outside={OUTSIDE}:{ports[-1]}"]
            brokers.append(member(stack, [*options, *listening, *told]))
        for broker in brokers:
            broker.begin_start()
        for broker in brokers:
            broker.await_ready()
        inside = sorted(broker.address for broker in brokers)
        outside = sorted(f"{OUTSIDE}:{port}" for port in ports)
        ways = [Way(INSIDE, inside[0], inside), Way(OUTSIDE, outside[0], outside)]
        until(lambda: all(told_brokers(way) == way.addresses for way in ways))
        yield ways


@pytest.fixture(scope="module")
def ways() -> Iterator[list[Way]]:
    with obtained(two_brokers) as found:
        yield found


def told_brokers(way: Way) -> list[str]:
    """Return where clients that come this way are told that the brokers are."""
    metadata = AdminClient(quiet({"bootstrap.servers": way.bootstrap})).list_topics(
        timeout=PATIENCE_S
    )
    return sorted(f"{each.host}:{each.port}" for each in metadata.brokers.values())


def new_topic(way: Way) -> str:
    topic = f"news-{next(_numbers)}"
    admin = AdminClient(quiet({"bootstrap.servers": way.bootstrap}))
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(PATIENCE_S)
    return topic


def test_clients_are_told_the_addresses_of_the_listener_on_which_they_ask(
    ways: list[Way],
) -> None:
    for way in ways:
        assert told_brokers(way) == way.addresses
        admin = AdminClient(quiet({"bootstrap.servers": way.bootstrap}))
        described = admin.describe_cluster().result(PATIENCE_S)
        assert sorted(f"{each.host}:{each.port}" for each in described.nodes) == way.addresses
        assert asyncio.run(told_coordinators(way)) == way.addresses


async def told_coordinators(way: Way) -> list[str]:
    """Return who coordinates any of so many groups that all brokers do."""
    host, _, port = way.bootstrap.rpartition(":")
    async with join(host, int(port)) as cluster:
        found = [
            await cluster.first.ask("find_coordinator", key=f"group {number}", key_type=0)
            for number in range(20)
        ]
    return sorted({f"{each.host}:{each.port}" for each in found})


@pytest.mark.parametrize(("written", "read"), [(0, 1), (1, 0)])
def test_what_comes_in_one_way_is_read_by_a_group_that_comes_the_other(
    written: int, read: int, ways: list[Way]
) -> None:
    topic = new_topic(ways[written])
    producer = Producer(quiet({"bootstrap.servers": ways[written].bootstrap}))
    values = [b"%d" % number for number in range(60)]
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % PARTITIONS)
    assert producer.flush(PATIENCE_S) == 0
    consumer = Consumer(
        quiet(
            {
                "bootstrap.servers": ways[read].bootstrap,
                "group.id": f"readers of {topic}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
    )
    consumer.subscribe([topic])
    found: list[bytes] = []

    def has_all() -> bool:
        found.extend(record.value() or b"" for record in consumer.consume(60, 0.1))
        return len(found) >= len(values)

    until(has_all)
    consumer.commit(asynchronous=False)
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    committed = consumer.committed(places, timeout=PATIENCE_S)
    consumer.close()
    assert sorted(found, key=int) == values
    assert [each.offset for each in committed] == [10] * PARTITIONS


@pytest.mark.parametrize("place", [0, 1])
def test_client_in_python_produces_and_reads_each_way(place: int, ways: list[Way]) -> None:
    way = ways[place]
    topic = new_topic(way)
    producer = kafka_python.KafkaProducer(bootstrap_servers=way.bootstrap)
    for partition in range(PARTITIONS):
        producer.send(topic, b"%d" % partition, partition=partition).get(PATIENCE_S)
    producer.close()
    consumer = kafka_python.KafkaConsumer(
        bootstrap_servers=way.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([kafka_python.TopicPartition(topic, each) for each in range(PARTITIONS)])
    found: list[bytes] = []

    def has_all() -> bool:
        for records in consumer.poll(1000).values():
            found.extend(record.value for record in records)
        return len(found) >= PARTITIONS

    until(has_all)
    consumer.close()
    assert sorted(found) == [b"%d" % partition for partition in range(PARTITIONS)]

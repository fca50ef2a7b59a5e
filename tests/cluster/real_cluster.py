"""Brokers as processes on shared stores as processes, and real clients of theirs."""

import contextlib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import databases
from brokers import free_port
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from databases import Server
from members import member

BROKERS = 3
PARTITIONS = 6
PATIENCE_S = 60.0
"""What anything may take; nothing is measured with it."""

SESSION_MS = 6_000
"""What members of groups ask for: the least that brokers grant."""


@dataclass(frozen=True, slots=True)
class RealCluster:
    """A cluster."""

    order: Server
    blobs: Server
    """May be the same."""
    brokers: list[Server]
    metrics_ports: list[int]

    def trouble(self, place: int) -> str:
        """Return why the broker at a place of the list says that it is not ready; "" if it is."""
        return self._says(place, "readyz")

    def is_ready(self, place: int) -> bool:
        return not self.trouble(place)

    def is_healthy(self, place: int) -> bool:
        return not self._says(place, "healthz")

    def _says(self, place: int, page: str) -> str:
        """Return what a page says, if it is not that all is well."""
        try:
            url = f"http://127.0.0.1:{self.metrics_ports[place]}/{page}"
            with urllib.request.urlopen(url, timeout=PATIENCE_S):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()

    @property
    def bootstrap(self) -> str:
        """All brokers, as clients are told of them at first."""
        return ",".join(broker.address for broker in self.brokers)

    def broker_at(self, address: str) -> Server:
        return next(broker for broker in self.brokers if broker.address == address)


@contextlib.contextmanager
def cluster_on(kind: str) -> Iterator[RealCluster]:
    """Run brokers on new stores.

    Raises:
        Missing: The servers below cannot be had.
    """
    with contextlib.ExitStack() as stack:
        if kind == "postgres":
            order = blobs = stack.enter_context(databases.postgres())
            options = ["--store", databases.postgres_url(order.address)]
        else:
            order = stack.enter_context(databases.etcd())
            blobs = stack.enter_context(databases.s3())
            options = ["--order", f"etcd://{order.address}"]
            options += ["--blobs", databases.s3_url(blobs.address)]
        metrics_ports = [free_port() for _ in range(BROKERS)]
        found = [member(stack, [*options, "--metrics-port", str(port)]) for port in metrics_ports]
        for broker in found:
            broker.begin_start()
        for broker in found:
            broker.await_ready()
        cluster = RealCluster(order, blobs, found, metrics_ports)
        until(lambda: all_know(found, BROKERS))
        yield cluster


def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S  # noqa: TID251 -- real processes
    while not condition():
        assert time.monotonic() < deadline, "it never came true"  # noqa: TID251 -- as above
        time.sleep(0.05)


def printed(broker: Server) -> str:
    """Return what a broker has said since it was started last."""
    return broker._printed().decode()


# Clients ------------------------------------------------------------------------------------------


def quiet(config: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
    """Have a client log nothing: brokers that are away are what is tried here."""
    return {"log_level": 0, **config}


def admin_of(address: str) -> AdminClient:
    return AdminClient(quiet({"bootstrap.servers": address}))


def leaders_known_by(broker: Server) -> list[str]:
    """Return the addresses of all brokers that one tells its clients of."""
    metadata = admin_of(broker.address).list_topics(timeout=PATIENCE_S)
    return sorted(f"{each.host}:{each.port}" for each in metadata.brokers.values())


def all_know(brokers: Sequence[Server], count: int) -> bool:
    """Whether each of these brokers tells its clients of so many.

    They learn of it by turns, within a second; librdkafka fails calls to a broker that another one
    has not heard of.
    """
    return all(len(leaders_known_by(each)) == count for each in brokers)


def create_topic(cluster: RealCluster, topic: str) -> None:
    admin = admin_of(cluster.bootstrap)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(PATIENCE_S)


def leaders_of(cluster: RealCluster, topic: str) -> dict[int, str]:
    """Return who leads each partition, by address."""
    metadata = admin_of(cluster.bootstrap).list_topics(topic, timeout=PATIENCE_S)
    addresses = {each.id: f"{each.host}:{each.port}" for each in metadata.brokers.values()}
    partitions = metadata.topics[topic].partitions
    return {partition: addresses[found.leader] for partition, found in partitions.items()}


@dataclass
class Load:
    """A producer with a client's defaults that writes all the time, to all partitions."""

    cluster: RealCluster
    topic: str
    is_idempotent: bool = False
    """Else what got no answer may be there twice."""
    acknowledged: list[bytes] = field(default_factory=list)
    failures: list[KafkaError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._producer = Producer(
            quiet(
                {
                    "bootstrap.servers": self.cluster.bootstrap,
                    "enable.idempotence": self.is_idempotent,
                }
            )
        )
        self._is_over = threading.Event()
        self._number = 0

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            value = message.value()
            assert value is not None
            self.acknowledged.append(value)
        else:
            self.failures.append(error)

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._producer.produce(
                self.topic,
                b"%d" % self._number,
                partition=self._number % PARTITIONS,
                on_delivery=self._delivered,
            )
            self._number += 1
            self._producer.poll(0)
            self._is_over.wait(0.002)
        assert self._producer.flush(PATIENCE_S) == 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        """Write until the block ends, and wait for the last answer."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            thread.join()

    def await_more(self, count: int = 300) -> None:
        """Wait until so much more was acknowledged, in every partition."""
        before = len(self.acknowledged)
        until(lambda: len(self.acknowledged) >= before + count)


def read_all(address: str, topic: str) -> list[bytes]:
    """Return all records of a topic, as one broker tells and serves them at first."""
    consumer = Consumer(
        quiet({"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False})
    )
    found: list[bytes] = []
    try:
        for partition in range(PARTITIONS):
            place = TopicPartition(topic, partition, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=PATIENCE_S)
            consumer.assign([place])
            records = 0
            while records < end:
                for message in consumer.consume(1000, timeout=0.05):
                    assert message.error() is None, message.error()
                    assert message.offset() == records, "an offset is missing"
                    records += 1
                    found.append(message.value() or b"")
    finally:
        consumer.close()
    return found


def read_known(address: str, topic: str, count: int) -> list[bytes]:
    """Return so many records of a topic without asking where it ends."""
    consumer = Consumer(
        quiet({"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False})
    )
    found: list[bytes] = []
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])

        def has_all() -> bool:
            for message in consumer.consume(1000, timeout=0.05):
                assert message.error() is None, message.error()
                found.append(message.value() or b"")
            return len(found) >= count

        until(has_all)
    finally:
        consumer.close()
    return found


def numbers(values: list[bytes]) -> list[int]:
    return sorted(int(value) for value in values)


# Groups -------------------------------------------------------------------------------------------


@dataclass
class Member:
    """A member of a group, with a client's defaults but for its sessions and its commits."""

    cluster: RealCluster
    topic: str
    group: str
    values: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._is_over = threading.Event()
        self._consumer = Consumer(
            quiet(
                {
                    "bootstrap.servers": self.cluster.bootstrap,
                    "group.id": self.group,
                    "auto.offset.reset": "earliest",
                    "session.timeout.ms": SESSION_MS,
                    "heartbeat.interval.ms": 500,
                    "enable.auto.commit": False,
                }
            )
        )

    def _run(self) -> None:
        self._consumer.subscribe([self.topic])
        while not self._is_over.is_set():
            for message in self._consumer.consume(1000, timeout=0.05):
                if message.error() is None:
                    self.values.append(message.value() or b"")
            # One at a time: librdkafka repeats commits, and then an old one may be the last.
            with contextlib.suppress(KafkaException):
                self._consumer.commit(asynchronous=False)
        self._consumer.close()

    @contextlib.contextmanager
    def running(self) -> Iterator["Member"]:
        """Read until the block ends, and leave."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            thread.join()


def coordinator_of(cluster: RealCluster, group: str) -> str:
    """Return the address of a group's coordinator."""
    admin = admin_of(cluster.bootstrap)
    described = admin.describe_consumer_groups([group])[group].result(PATIENCE_S)
    return f"{described.coordinator.host}:{described.coordinator.port}"


def committed(cluster: RealCluster, group: str, topic: str) -> dict[int, int]:
    """Return the offsets that a group has committed, by partition; nothing where it has not."""
    consumer = Consumer(quiet({"bootstrap.servers": cluster.bootstrap, "group.id": group}))
    try:
        wanted = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        found = consumer.committed(wanted, timeout=PATIENCE_S)
        return {each.partition: each.offset for each in found if each.offset >= 0}
    finally:
        consumer.close()

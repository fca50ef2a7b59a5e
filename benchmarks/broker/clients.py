"""What is measured with librdkafka (confluent-kafka): one producer, one consumer."""

import contextlib
import itertools
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.synchronize import Barrier
from threading import Thread

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PATIENCE_S = 120.0
"""How long one step may take; a broker that takes longer has failed."""

POLL_MESSAGES = 10_000
# An offset for the oldest: to look up which it is, librdkafka waits for half a second.
OLDEST, NEWEST = 0, -1
TIMED_BYTES = 100


class Failed(Exception):
    """A broker did not do what was asked; the text says what."""


def create_topic(address: str, topic: str, partitions: int) -> None:
    """Create a topic, and wait until clients can be told of it."""
    admin = AdminClient({"bootstrap.servers": address})
    (created,) = admin.create_topics([NewTopic(topic, partitions, 1)]).values()
    created.result(PATIENCE_S)
    deadline = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < deadline:
        known = admin.list_topics(timeout=PATIENCE_S).topics.get(topic)
        if known is not None and len(known.partitions) == partitions:
            return
    raise Failed(f"the topic {topic} did not come into being")


def touch(address: str, topic: str, partitions: int) -> None:
    """Produce a record to each partition: in Kafka, they need a moment until they take some."""
    producer = _producer(address)
    for partition in range(partitions):
        producer.produce(topic, b"first", partition=partition)
    if producer.flush(PATIENCE_S):
        raise Failed(f"not every partition of {topic} took a record")


def produce(
    address: str, topic: str, count: int, size: int, *, is_idempotent: bool = False
) -> float:
    """Produce as fast as possible; return the seconds until all was acknowledged."""
    producer = _producer(address, is_idempotent=is_idempotent)
    value = random.Random(size).randbytes(size)
    failures: list[str] = []
    started = time.perf_counter()
    for _ in range(count):
        while True:
            try:
                producer.produce(topic, value, on_delivery=lambda e, _: failures.append(str(e)))
                break
            except BufferError:
                producer.poll(0.01)
    left = producer.flush(PATIENCE_S)
    taken = time.perf_counter() - started
    if left or failures:
        raise Failed(f"{left} records were not acknowledged, {len(failures)} failed {failures[:1]}")
    return taken


def _producer(address: str, *, is_idempotent: bool = False, linger_ms: float = 5) -> Producer:
    settings = {
        "bootstrap.servers": address,
        "acks": "all",
        "enable.idempotence": is_idempotent,
        "linger.ms": linger_ms,
        "queue.buffering.max.messages": 1_000_000,
        "enable.metrics.push": False,
        # A callback for each of a million records would measure the client.
        "delivery.report.only.error": True,
    }
    return Producer(settings)


@contextlib.contextmanager
def _consumer(address: str, topic: str, partitions: int, start: int) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "benchmark",
            "enable.auto.commit": False,
            "enable.metrics.push": False,
        }
    )
    consumer.assign([TopicPartition(topic, number, start) for number in range(partitions)])
    try:
        yield consumer
    finally:
        consumer.close()


def _take(consumer: Consumer, deadline: float) -> Sequence[Message]:
    messages: list[Message] = consumer.consume(POLL_MESSAGES, timeout=0.1)
    if time.perf_counter() > deadline:
        raise Failed(f"not all records came within {PATIENCE_S:g} s")
    return [message for message in messages if _is_record(message)]


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 -- its name
        raise Failed(str(error))
    return error is None


def consume(address: str, topic: str, count: int, partitions: int) -> float:
    """Read a topic from the beginning; return the seconds until so many records came."""
    started = time.perf_counter()
    with _consumer(address, topic, partitions, OLDEST) as consumer:
        _take_all(consumer, count)
    return time.perf_counter() - started


def _take_all(consumer: Consumer, count: int) -> None:
    deadline = time.perf_counter() + PATIENCE_S
    while count > 0:
        count -= len(_take(consumer, deadline))


def consume_tail(address: str, topic: str, count: int, size: int, partitions: int) -> float:
    """Read what another process produces meanwhile; return the seconds until all was read."""
    spawning = multiprocessing.get_context("spawn")
    ready = spawning.Barrier(2)
    other = spawning.Process(target=_produce_when_ready, args=(ready, address, topic, count, size))
    with _consumer(address, topic, partitions, NEWEST) as consumer:
        other.start()
        # The first record proves that the consumer stands at the tail.
        _stand_at_tail(consumer, address, topic)
        ready.wait(PATIENCE_S)
        started = time.perf_counter()
        _take_all(consumer, count)
        taken = time.perf_counter() - started
    other.join(PATIENCE_S)
    return taken


def _produce_when_ready(ready: Barrier, address: str, topic: str, count: int, size: int) -> None:
    ready.wait(PATIENCE_S)
    produce(address, topic, count, size)


def _stand_at_tail(consumer: Consumer, address: str, topic: str) -> None:
    """Produce records until one comes, and take all that were produced."""
    producer = _producer(address, linger_ms=0)
    deadline = time.perf_counter() + PATIENCE_S
    sent = taken = 0
    while taken == 0:
        producer.produce(topic, b"first")
        producer.flush(PATIENCE_S)
        sent += 1
        taken += len(_take(consumer, deadline))
    quiet_s = time.perf_counter() + 2
    while taken < sent and time.perf_counter() < quiet_s:
        taken += len(_take(consumer, deadline))


def one_by_one(address: str, topic: str, count: int, size: int = 100) -> list[float]:
    """Produce records, each when the one before was acknowledged; return the seconds of each."""
    producer = _producer(address, linger_ms=0)
    value = random.Random(size).randbytes(size)
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        producer.produce(topic, value)
        if producer.flush(PATIENCE_S):
            raise Failed("a record was not acknowledged")
        taken.append(time.perf_counter() - started)
    return taken[count // 10 :]


def end_to_end(
    address: str, topic: str, rate: float, seconds: float, partitions: int
) -> list[float]:
    """Produce at a rate, read at the tail; return the seconds from one to the other."""
    producer = _producer(address, linger_ms=0)
    count = int(rate * seconds)
    producing = partial(_produce_times, producer, topic, rate, count)
    return read_times(address, topic, partitions, count=count, seconds=seconds, producing=producing)


def read_times(
    address: str,
    topic: str,
    partitions: int,
    *,
    count: int,
    seconds: float,
    producing: Callable[[], object],
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> list[float]:
    """Read at the tail what `producing` produces; return the seconds from one to the other.

    That are `count` records in so many seconds, which begin with the time by `clock_ns`.
    """
    with _consumer(address, topic, partitions, NEWEST) as consumer:
        _stand_at_tail(consumer, address, topic)
        thread = Thread(target=producing)
        thread.start()
        taken: list[float] = []
        deadline = time.perf_counter() + seconds + PATIENCE_S
        while len(taken) < count:
            message = consumer.poll(1)
            now = clock_ns()
            if message is not None and _is_record(message):
                value = message.value() or b""
                if len(value) == TIMED_BYTES:
                    taken.append((now - int.from_bytes(value[:8], "big")) / 1e9)
            if time.perf_counter() > deadline:
                raise Failed(f"{count - len(taken)} of {count} records did not come")
        thread.join()
    return taken[count // 10 :]


def _produce_times(producer: Producer, topic: str, rate: float, count: int) -> None:
    """Produce records that begin with the time at which they were due."""
    started = time.perf_counter()
    for number in range(count):
        due = started + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        now = time.perf_counter_ns()
        producer.produce(topic, now.to_bytes(8, "big").ljust(TIMED_BYTES, b"\0"))
        producer.poll(0)
    producer.flush(PATIENCE_S)


@contextlib.contextmanager
def laggard(address: str, topic: str, partitions: int) -> Iterator[None]:
    """Have another process read a topic from the beginning, over and over."""
    other = multiprocessing.get_context("spawn").Process(
        target=_read_over_and_over, args=(address, topic, partitions), daemon=True
    )
    other.start()
    try:
        yield
    finally:
        other.kill()
        other.join()


def _read_over_and_over(address: str, topic: str, partitions: int) -> None:
    for _ in itertools.count():
        with _consumer(address, topic, partitions, OLDEST) as consumer:
            idle = 0
            while idle < 5:
                idle = 0 if _take(consumer, float("inf")) else idle + 1


def read_in_group(address: str, topic: str) -> None:
    """Join a group, and read one record from the beginning."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": f"benchmark {topic}",
            "auto.offset.reset": "earliest",
            "enable.metrics.push": False,
        }
    )
    consumer.subscribe([topic])
    deadline = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < deadline:
        message = consumer.poll(0.1)
        if message is not None and _is_record(message):
            # Not closed: leaving the group is not what is measured, and the broker ends anyway.
            return
    raise Failed(f"a group read nothing within {PATIENCE_S:g} s")

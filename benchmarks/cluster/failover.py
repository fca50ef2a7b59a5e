"""A broker is killed: how long until a produce through another one is acknowledged."""

import asyncio
import threading
import time
from statistics import median

from confluent_kafka import KafkaError, Message, Producer
from databases import Server
from measures import Figures

import clients
from cluster.apart import leaders
from cluster.batches import batch_of
from cluster.brokers import Brokers
from tidings.client.connection import connect

PARTITIONS = 12

INTERVAL_S = 0.005
"""Between two records of the client that goes on all the time."""

WARM_S = 1.0

PRODUCE_MS = 30_000


def measure(brokers: Brokers, kills: int) -> Figures:
    """Kill the broker that publishes for all, so often; start another one each time."""
    direct_s, client_s = [], []
    for _ in range(kills):
        direct, client = _kill_once(brokers)
        direct_s.append(direct)
        client_s.append(client)
        brokers.grow()
    return {
        "kill -9 to an acknowledgement of another broker, s": median(direct_s),
        "kill -9 to one of librdkafka's next records for a partition that it led, s": median(
            client_s
        ),
    }


def _kill_once(brokers: Brokers) -> tuple[float, float]:
    victim = max(brokers.servers, key=brokers.published)
    topic = brokers.new_topic(PARTITIONS)
    clients.touch(brokers.address, topic, PARTITIONS)
    led = leaders(brokers, topic).index(victim.address)
    other = next(server for server in brokers.servers if server is not victim)
    client = _Client(brokers.address, topic, led)
    client.start()
    try:
        time.sleep(WARM_S)
        direct_s = asyncio.run(_produce_after_kill(brokers, victim, other, topic, client))
        return direct_s, client.await_acknowledged_s()
    finally:
        client.end()


async def _produce_after_kill(
    brokers: Brokers, victim: Server, other: Server, topic: str, client: "_Client"
) -> float:
    """Kill; return the seconds until the other broker acknowledges what it is sent at once."""
    host, _, port = other.address.rpartition(":")
    async with await connect(host, int(port)) as connection:
        batch = batch_of(100)
        client.killed_s = time.perf_counter()
        brokers.kill(victim)
        started = time.perf_counter()
        answer = await connection.ask(
            "produce",
            acks=-1,
            timeout=PRODUCE_MS,
            topic_data=[{"name": topic, "partition_data": [{"index": 0, "records": batch}]}],
        )
        taken = time.perf_counter() - started
    if code := answer.responses[0].partition_responses[0].error_code:
        raise clients.Failed(f"the other broker refused a record: error code {code}")
    return taken


class _Client(threading.Thread):
    """A producer with librdkafka's defaults that writes to one partition all the time."""

    def __init__(self, address: str, topic: str, partition: int) -> None:
        super().__init__(daemon=True)
        # Nothing is logged: that brokers are away is what is measured here.
        self._producer = Producer({"bootstrap.servers": address, "log_level": 0})
        self._topic = topic
        self._partition = partition
        self._is_over = threading.Event()
        self._is_acknowledged = threading.Event()
        self._acknowledged_s = 0.0
        # When the broker was killed; infinite before.
        self.killed_s = float("inf")

    def run(self) -> None:
        """Produce until the end."""
        while not self._is_over.is_set():
            self._produce(time.perf_counter())
            self._producer.poll(INTERVAL_S)

    def _produce(self, produced_s: float) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None and produced_s > self.killed_s and not self._is_acknowledged.is_set():
                self._acknowledged_s = time.perf_counter() - self.killed_s
                self._is_acknowledged.set()

        self._producer.produce(
            self._topic, bytes(100), partition=self._partition, on_delivery=delivered
        )

    def await_acknowledged_s(self) -> float:
        """Return the time from the kill to the first acknowledged record produced after it."""
        if not self._is_acknowledged.wait(clients.PATIENCE_S):
            raise clients.Failed("a client did not get on after a broker was killed")
        return self._acknowledged_s

    def end(self) -> None:
        """Stop, and wait for what is on its way."""
        self._is_over.set()
        self.join()
        self._producer.flush(clients.PATIENCE_S)

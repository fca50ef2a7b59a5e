"""What is measured: each scenario asks one running broker for some figures."""

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median, quantiles

import brokers
import fetched
import processes

import clients

PARTITIONS = 4
MANY_PARTITIONS = 1000
LOAD_PATIENCE_S = 120.0
END_TO_END_RATE = 1000.0

Figures = dict[str, float]
"""By what they are called in the table, unit included."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is done in each scenario."""

    small: int = 200_000
    """Records of 100 B."""
    medium: int = 50_000
    """Records of 1 KiB."""
    large: int = 1_000
    """Records of 100 KiB."""
    singles: int = 1_000
    """Records that wait for each other."""
    seconds: float = 3.0
    """Of what goes on for a while."""


QUICK = Load(small=20_000, medium=5_000, large=100, singles=100, seconds=1.0)

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Running:
    """A broker that runs, with what it holds."""

    address: str
    process_id: int

    @classmethod
    def of(cls, broker: brokers.Broker) -> "Running":
        """Take a broker over that was just started."""
        return cls(broker.address, broker.process.pid)

    def new_topic(self, partitions: int = PARTITIONS) -> str:
        """Create a topic of a name that is used for nothing else."""
        topic = f"benchmark-{next(_numbers)}"
        clients.create_topic(self.address, topic, partitions)
        return topic


Scenario = Callable[[Running, Load], Figures]


def produce_small(broker: Running, load: Load) -> Figures:
    """100 B records."""
    return _produce_small(broker, load, is_idempotent=False, title="100 B")


def produce_small_idempotent(broker: Running, load: Load) -> Figures:
    """100 B records of an idempotent producer."""
    return _produce_small(broker, load, is_idempotent=True, title="100 B idempotent")


def _produce_small(broker: Running, load: Load, *, is_idempotent: bool, title: str) -> Figures:
    topic = broker.new_topic()
    cpu_s = processes.cpu_s(broker.process_id)
    taken = clients.produce(broker.address, topic, load.small, 100, is_idempotent=is_idempotent)
    cpu_s = processes.cpu_s(broker.process_id) - cpu_s
    return {
        f"produce {title}, records/s": load.small / taken,
        f"produce {title}, broker CPU s per million": cpu_s / load.small * 1e6,
    }


def produce_medium(broker: Running, load: Load) -> Figures:
    """1 KiB records."""
    taken = clients.produce(broker.address, broker.new_topic(), load.medium, 1024)
    return {"produce 1 KiB, MB/s": load.medium * 1024 / taken / 1e6}


def produce_large(broker: Running, load: Load) -> Figures:
    """100 KiB records."""
    taken = clients.produce(broker.address, broker.new_topic(), load.large, 100 * 1024)
    return {"produce 100 KiB, MB/s": load.large * 100 * 1024 / taken / 1e6}


def disk_limit(load: Load, folder: Path) -> Figures:
    """Append 100 KiB to a plain file and wait for the disk, again and again."""
    data = Random(1).randbytes(100 * 1024)
    path = folder / "plain"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    started = time.perf_counter()
    for _ in range(load.large):
        os.write(file, data)
        os.fdatasync(file)
    taken = time.perf_counter() - started
    os.close(file)
    path.unlink()
    return {"produce 100 KiB, MB/s": load.large * len(data) / taken / 1e6}


def consume(broker: Running, load: Load) -> Figures:
    """Read 100 B and 100 KiB records from the beginning."""
    small, large = broker.new_topic(), broker.new_topic()
    clients.produce(broker.address, small, load.small, 100)
    clients.produce(broker.address, large, load.large, 100 * 1024)
    small_s = clients.consume(broker.address, small, load.small, PARTITIONS)
    large_s = clients.consume(broker.address, large, load.large, PARTITIONS)
    return {
        "consume 100 B, records/s": load.small / small_s,
        "consume 100 KiB, MB/s": load.large * 100 * 1024 / large_s / 1e6,
    }


def consume_tail(broker: Running, load: Load) -> Figures:
    """Read 100 B records while they are produced."""
    topic = broker.new_topic()
    taken = clients.consume_tail(broker.address, topic, load.small, 100, PARTITIONS)
    return {"produce and consume at the tail 100 B, records/s": load.small / taken}


def one_by_one(broker: Running, load: Load) -> Figures:
    """Wait for each record of 100 B."""
    taken = clients.one_by_one(broker.address, broker.new_topic(), load.singles)
    return latencies("one record of 100 B", taken)


def end_to_end(broker: Running, load: Load) -> Figures:
    """From producer to consumer at a steady rate."""
    return latencies("end to end at 1,000/s", _end_to_end(broker, load))


def end_to_end_beside_laggard(broker: Running, load: Load) -> Figures:
    """The same while another consumer reads old records as fast as it can."""
    old = broker.new_topic()
    clients.produce(broker.address, old, load.small, 100)
    with clients.laggard(broker.address, old, PARTITIONS):
        return latencies("the same beside a consumer far behind", _end_to_end(broker, load))


def _end_to_end(broker: Running, load: Load) -> list[float]:
    topic = broker.new_topic()
    return clients.end_to_end(broker.address, topic, END_TO_END_RATE, load.seconds, PARTITIONS)


def latencies(title: str, taken: Sequence[float]) -> Figures:
    """Return the median and the 99th percentile of seconds."""
    return {
        f"{title}, p50 ms": median(taken) * 1e3,
        f"{title}, p99 ms": quantiles(taken, n=100)[98] * 1e3,
    }


def connections_50(broker: Running, load: Load) -> Figures:
    """50 connections, each with one request in flight."""
    return _connections(broker, load, 50)


def connections_200(broker: Running, load: Load) -> Figures:
    """200 connections, each with one request in flight."""
    return _connections(broker, load, 200)


def _connections(broker: Running, load: Load, count: int) -> Figures:
    topic = broker.new_topic()
    clients.touch(broker.address, topic, PARTITIONS)
    cpu_s = processes.cpu_s(broker.process_id)
    told = generate(broker.address, topic, connections=count, seconds=load.seconds)
    cpu_s = processes.cpu_s(broker.process_id) - cpu_s
    requests = told["requests_per_s"] * told["seconds"]
    return {
        **closed_loop_figures(told, count),
        f"{count} connections, broker CPU us per request": cpu_s / requests * 1e6,
    }


def closed_loop_figures(told: dict[str, float], count: int) -> Figures:
    """Return the figures of so many connections from what the generator told."""
    requests = told["requests_per_s"] * told["seconds"]
    return {
        f"{count} connections, requests/s": told["requests_per_s"],
        f"{count} connections, p99 ms": told["p99_ms"],
        f"{count} connections, generator CPU us per request": told["own_cpu_s"] / requests * 1e6,
    }


def connections_1000(broker: Running, load: Load) -> Figures:
    """1,000 connections, each with one request a second."""
    topic = broker.new_topic()
    clients.touch(broker.address, topic, PARTITIONS)
    told = generate(broker.address, topic, connections=1000, seconds=load.seconds, rate=1)
    title = "1,000 connections at 1 request/s"
    return {f"{title}, p50 ms": told["p50_ms"], f"{title}, p99 ms": told["p99_ms"]}


def generate(
    address: str,
    topic: str,
    *,
    connections: int,
    seconds: float,
    rate: float = 0,
    partitions: int = PARTITIONS,
    is_stamped: bool = False,
    size: int = 100,
) -> dict[str, float]:
    """Run the load generator; return what it tells.

    Requests have one record of `size` bytes. With `is_stamped` it begins with the time at which it
    was sent, in nanoseconds since 1970.

    Raises:
        Failed: A request failed.
    """
    options = {"connections": connections, "seconds": seconds, "rate": rate}
    options |= {"partitions": partitions, "stamped": int(is_stamped), "bytes": size}
    words = [f"-{name}={value}" for name, value in options.items()]
    command = [str(fetched.load_generator()), "-address", address, "-topic", topic, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + LOAD_PATIENCE_S, check=False
    )
    if done.returncode:
        raise clients.Failed(done.stderr.strip())
    told: dict[str, float] = json.loads(done.stdout)
    return told


@contextmanager
def answering() -> Iterator[str]:
    """Run a server that does nothing but answer; yield its address."""
    port = brokers.free_port()
    with subprocess.Popen([str(fetched.load_generator()), "-answer", str(port)]) as process:
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def generator_limit(load: Load, count: int) -> Figures:
    """What the load generator reaches with a server that only answers."""
    with answering() as address:
        told = generate(address, "", connections=count, seconds=load.seconds)
        return closed_loop_figures(told, count)


def many_partitions(broker: Running, load: Load) -> Figures:
    """A topic of 1,000 partitions: created, filled and read."""
    started = time.perf_counter()
    topic = broker.new_topic(MANY_PARTITIONS)
    created_s = time.perf_counter() - started
    taken = clients.produce(broker.address, topic, load.small // 4, 100)
    consumed = clients.consume(broker.address, topic, load.small // 4, MANY_PARTITIONS)
    return {
        "1,000 partitions, s to create": created_s,
        "1,000 partitions, produce 100 B, records/s": load.small // 4 / taken,
        "1,000 partitions, consume 100 B, records/s": load.small // 4 / consumed,
    }


SCENARIOS: dict[str, Scenario] = {
    "produce-small": produce_small,
    "produce-idempotent": produce_small_idempotent,
    "produce-medium": produce_medium,
    "produce-large": produce_large,
    "consume": consume,
    "tail": consume_tail,
    "one-by-one": one_by_one,
    "end-to-end": end_to_end,
    "laggard": end_to_end_beside_laggard,
    "connections-50": connections_50,
    "connections-200": connections_200,
    "connections-1000": connections_1000,
    "partitions": many_partitions,
}

LIMITS: dict[str, Callable[[Load, Path], Figures]] = {
    "produce-large": disk_limit,
    "connections-50": lambda load, _: generator_limit(load, 50),
    "connections-200": lambda load, _: generator_limit(load, 200),
}
"""What can be reached at all in a scenario; the folder is on the disk that the brokers use."""

"""What a cluster takes, and what it asks of its stores meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import measures
import processes
from measures import Figures, latencies

import clients
from cluster import floors
from cluster.brokers import Brokers
from cluster.stacks import Stack, cpu_s

PARTITIONS = 12
CONNECTIONS = 200
STEADY_CONNECTIONS = 20
STEADY_RATE = 10.0

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Load:
    """How much is done each time."""

    seconds: float = 5.0
    """Of what goes on for a while."""
    small: int = 200_000
    """Records of 100 B."""
    medium: int = 50_000
    """Records of 1 KiB."""
    singles: int = 400
    """Batches that wait for each other; a quarter of them where they are large."""
    kills: int = 3
    """How often a broker is killed in a round."""
    histories: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    """Batches before a broker starts."""


QUICK = Load(
    seconds=2.0, small=50_000, medium=10_000, singles=100, kills=1, histories=(1_000, 100_000)
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one cluster, for three tables."""

    reached: Figures
    """Throughput and latencies."""
    cores: Figures
    """Who works at full load."""
    asked: Figures
    """What 1,000 batches cost the stores at full load."""


def measure(stack: Stack, brokers: Brokers, load: Load) -> Measured:
    """Produce to all brokers: at the limit, at a steady rate, one by one, and with librdkafka."""
    topic = brokers.new_topic(PARTITIONS)
    clients.touch(brokers.address, topic, PARTITIONS)
    full = _full_load(stack, brokers, topic, load)
    steady = measures.generate(
        brokers.address,
        topic,
        connections=STEADY_CONNECTIONS,
        seconds=load.seconds,
        rate=STEADY_RATE,
        partitions=PARTITIONS,
    )
    address = brokers.address
    single_s = clients.one_by_one(address, topic, load.singles)
    large_s = clients.one_by_one(address, topic, load.singles // 4, floors.LARGE_BYTES)
    small_s = clients.produce(address, topic, load.small, 100)
    medium_s = clients.produce(address, topic, load.medium, 1024)
    reached = {
        **full.reached,
        "200 batches/s of 100 B, p50 ms": steady["p50_ms"],
        "200 batches/s of 100 B, p99 ms": steady["p99_ms"],
        **latencies(floors.SINGLE, single_s),
        **latencies(floors.LARGE, large_s),
        "librdkafka 100 B, records/s": load.small / small_s,
        "librdkafka 1 KiB, MB/s": load.medium * 1024 / medium_s / 1e6,
    }
    return replace(full, reached=reached)


def _full_load(stack: Stack, brokers: Brokers, topic: str, load: Load) -> Measured:
    """Produce as fast as it is acknowledged, and look at who works meanwhile."""
    idle_s, used_s = processes.idle_s(), _cpu_s(stack, brokers)
    calls, counters = brokers.store_counters(), stack.counters()
    address = brokers.address
    told = measures.generate(
        address, topic, connections=CONNECTIONS, seconds=load.seconds, partitions=PARTITIONS
    )
    idle_s = processes.idle_s() - idle_s
    used_s = _difference(_cpu_s(stack, brokers), used_s)
    calls = _difference(brokers.store_counters(), calls)
    counters = _difference(stack.counters(), counters)
    seconds = told["seconds"]
    batches = told["requests_per_s"] * seconds
    cores = {role: used / seconds for role, used in used_s.items()}
    cores |= {"clients": told["own_cpu_s"] / seconds, "idle": idle_s / seconds}
    appending = calls.get(("seconds", "order", "append"), 0.0) / seconds
    title = f"{CONNECTIONS} connections"
    return Measured(
        {
            f"{title}, batches/s of 100 B": told["requests_per_s"],
            f"{title}, p50 ms": told["p50_ms"],
            f"{title}, p99 ms": told["p99_ms"],
        },
        cores | {"share of the time with an append on its way": appending},
        _for_1000(batches, _asked(calls)) | _for_1000(batches, counters),
    )


def _cpu_s(stack: Stack, brokers: Brokers) -> dict[str, float]:
    return {"brokers": cpu_s(brokers.servers), **stack.cpu_s()}


def _difference(after: Mapping[Key, float], before: Mapping[Key, float]) -> dict[Key, float]:
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def _asked(calls: Mapping[tuple[str, str, str], float]) -> Figures:
    """Return what brokers asked of their stores: calls by kind, and bytes."""
    figures: Figures = {}
    for (what, store, call), count in sorted(calls.items()):
        if what == "calls":
            figures[f"{store} {call}, calls"] = count
        elif what == "bytes":
            title = f"{store}, kB there and back"
            figures[title] = figures.get(title, 0.0) + count / 1e3
    return figures


def _for_1000(batches: float, figures: Figures) -> Figures:
    return {title: figure / batches * 1000 for title, figure in figures.items() if figure}

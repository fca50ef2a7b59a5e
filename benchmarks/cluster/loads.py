"""What a cluster takes, and what it asks of its stores meanwhile."""

from dataclasses import dataclass

import measures
from measures import Figures, latencies

import clients
from cluster import floors
from cluster.brokers import Brokers
from cluster.stacks import Stack
from cluster.watching import PARTITIONS, watch

CONNECTIONS = 200
STEADY_CONNECTIONS = 20
STEADY_RATE = 10.0


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

TINY = Load(seconds=0.3, small=500, medium=500, singles=20, kills=1, histories=(1_000,))
"""To see that everything works."""


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
    address = brokers.address
    clients.touch(address, topic, PARTITIONS)
    full = watch(stack, brokers, topic, connections=CONNECTIONS, seconds=load.seconds)
    steady = measures.generate(
        address,
        topic,
        connections=STEADY_CONNECTIONS,
        seconds=load.seconds,
        rate=STEADY_RATE,
        partitions=PARTITIONS,
    )
    single_s = clients.one_by_one(address, topic, load.singles)
    large_s = clients.one_by_one(address, topic, load.singles // 4, floors.LARGE_BYTES)
    small_s = clients.produce(address, topic, load.small, 100)
    medium_s = clients.produce(address, topic, load.medium, 1024)
    reached = {
        f"{CONNECTIONS} connections, batches/s of 100 B": full.told["requests_per_s"],
        f"{CONNECTIONS} connections, p50 ms": full.told["p50_ms"],
        f"{CONNECTIONS} connections, p99 ms": full.told["p99_ms"],
        "200 batches/s of 100 B, p50 ms": steady["p50_ms"],
        "200 batches/s of 100 B, p99 ms": steady["p99_ms"],
        **latencies(floors.SINGLE, single_s),
        **latencies(floors.LARGE, large_s),
        "librdkafka 100 B, records/s": load.small / small_s,
        "librdkafka 1 KiB, MB/s": load.medium * 1024 / medium_s / 1e6,
    }
    return Measured(reached, full.cores, full.asked)

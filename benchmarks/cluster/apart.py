"""A producer and a consumer on different brokers: how long a record takes from one to the other."""

import time
from functools import partial

import measures
from confluent_kafka.admin import AdminClient
from measures import Figures, latencies

import clients
from cluster.brokers import Brokers
from cluster.loads import Load

UNREACHABLE = "127.0.0.1:1"
"""Where nobody listens: brokers that tell the others to connect there are without gossip."""

WITHOUT_GOSSIP = ("--gossip-advertise", UNREACHABLE)

CONNECTIONS = 20
RATE = 25.0
"""A second on each connection: slow enough that they need not wait for the answer before."""


def measure(brokers: Brokers, load: Load, title: str) -> Figures:
    """Produce to a broker that does not lead the partition, and read from the one that does."""
    topic = brokers.new_topic(1)
    clients.touch(brokers.address, topic, 1)
    leader = leaders(brokers, topic)[0]
    other = next(server.address for server in brokers.servers if server.address != leader)
    producing = partial(
        measures.generate,
        other,
        topic,
        connections=CONNECTIONS,
        seconds=load.seconds,
        rate=RATE,
        partitions=1,
        is_stamped=True,
    )
    taken = clients.read_times(
        leader,
        topic,
        1,
        count=int(CONNECTIONS * RATE * load.seconds),
        seconds=load.seconds,
        producing=producing,
        clock_ns=time.time_ns,
    )
    return latencies(title, taken)


def leaders(brokers: Brokers, topic: str) -> list[str]:
    """Return the address of the leader of each partition, as clients are told."""
    admin = AdminClient({"bootstrap.servers": brokers.address})
    metadata = admin.list_topics(topic, timeout=clients.PATIENCE_S)
    addresses = {each.id: f"{each.host}:{each.port}" for each in metadata.brokers.values()}
    partitions = metadata.topics[topic].partitions
    return [addresses[partitions[number].leader] for number in range(len(partitions))]

"""Three brokers as processes on real stores: killed, restarted, paused, without their stores."""

from collections.abc import Iterator
from itertools import count

import pytest
from confluent_kafka import KafkaError, Producer
from obtaining import obtained
from real_cluster import (
    BROKERS,
    PARTITIONS,
    PATIENCE_S,
    Load,
    Member,
    RealCluster,
    all_know,
    cluster_on,
    committed,
    coordinator_of,
    create_topic,
    leaders_of,
    numbers,
    quiet,
    read_all,
    read_known,
    until,
)

pytestmark = pytest.mark.real

LARGE = bytes(200_000)
"""Too large for an entry of either store."""

RETRIABLE = (
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.KAFKA_STORAGE_ERROR,
    # Said by the client itself, when the answer is late because the machine is busy.
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
)
"""What clients with their defaults try again."""

_topic_numbers = count()


@pytest.fixture(scope="module", params=["postgres", "etcd and s3"])
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    with obtained(lambda: cluster_on(request.param)) as found:
        yield found


@pytest.fixture
def topic(cluster: RealCluster) -> str:
    """Return the name of a new topic."""
    until(lambda: all_know(cluster.brokers, BROKERS))
    name = f"news-{next(_topic_numbers)}"
    create_topic(cluster, name)
    return name


def test_cluster_clients_spread_and_read_on_each_broker_what_was_written_on_any(
    cluster: RealCluster, topic: str
) -> None:
    assert len(dict.fromkeys(leaders_of(cluster, topic).values())) > 1
    with Load(cluster, topic).running() as load:
        load.await_more()
    assert load.failures == []
    for broker in cluster.brokers:
        assert numbers(read_all(broker.address, topic)) == numbers(load.acknowledged)


def test_cluster_goes_on_without_a_broker_that_was_killed(cluster: RealCluster, topic: str) -> None:
    victim = cluster.brokers[1]
    with Load(cluster, topic, is_idempotent=True).running() as load:
        load.await_more()
        victim.kill()
        until(lambda: all_know([cluster.brokers[0], cluster.brokers[2]], BROKERS - 1))
        load.await_more()
        victim.start()
        load.await_more()
        until(lambda: all_know(cluster.brokers, BROKERS))
    assert load.failures == []
    assert numbers(read_all(cluster.bootstrap, topic)) == numbers(load.acknowledged)


def test_cluster_is_restarted_broker_by_broker_without_a_failed_produce(
    cluster: RealCluster, topic: str
) -> None:
    with Load(cluster, topic).running() as load:
        for broker in cluster.brokers:
            load.await_more()
            broker.stop()
            broker.start()
    assert load.failures == []
    until(lambda: all_know(cluster.brokers, BROKERS))
    assert {*read_all(cluster.bootstrap, topic)} == {*load.acknowledged}


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_group_goes_on_with_another_coordinator(
    cluster: RealCluster, topic: str, fault: str
) -> None:
    group = f"group of {topic}"
    with (
        Member(cluster, topic, group).running() as first,
        Member(cluster, topic, group).running() as second,
    ):
        with Load(cluster, topic, is_idempotent=True).running() as load:
            until(lambda: first.values and second.values)
            victim = cluster.broker_at(coordinator_of(cluster, group))
            until(lambda: len(committed(cluster, group, topic)) == PARTITIONS)
            before = committed(cluster, group, topic)
            victim.kill() if fault == "kill" else victim.pause()
            others = [broker for broker in cluster.brokers if broker is not victim]
            until(lambda: all_know(others, BROKERS - 1))
            until(lambda: has_moved_on(cluster, group, topic, before))
            after = committed(cluster, group, topic)
            victim.start() if fault == "kill" else victim.resume()
            until(lambda: all_know(cluster.brokers, BROKERS))
            until(lambda: has_moved_on(cluster, group, topic, after))
        until(lambda: {*load.acknowledged} <= {*first.values, *second.values})
    assert load.failures == []


def has_moved_on(cluster: RealCluster, group: str, topic: str, before: dict[int, int]) -> bool:
    """Whether a group has committed more in each partition; it must never have gone back."""
    now = committed(cluster, group, topic)
    assert all(now[name] >= offset for name, offset in before.items()), f"{before} {now}"
    return all(now[partition] > offset for partition, offset in before.items())


@pytest.mark.parametrize("store", ["order", "blobs"])
@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_cluster_without_a_store_refuses_for_now_reads_what_it_has_and_recovers(
    cluster: RealCluster, topic: str, store: str, fault: str
) -> None:
    server = cluster.order if store == "order" else cluster.blobs
    if store == "blobs" and server is cluster.order:
        pytest.skip("it is both stores, and was tried as the other one")
    with Load(cluster, topic).running() as load:
        load.await_more()
    server.kill() if fault == "kill" else server.pause()
    try:
        refusal = refusal_of(cluster, topic)
        assert refusal is not None
        assert refusal.code() in RETRIABLE, refusal
        known = read_known(cluster.bootstrap, topic, len(load.acknowledged))
        assert {*known} >= {*load.acknowledged}
        until(lambda: f"the {store.removesuffix('s')} store " in cluster.trouble(0))
        assert cluster.is_healthy(0)
    finally:
        server.start() if fault == "kill" else server.resume()
    until(lambda: refusal_of(cluster, topic) is None)
    until(lambda: all(map(cluster.is_ready, range(BROKERS))))


def refusal_of(cluster: RealCluster, topic: str) -> KafkaError | None:
    """Append a record that is too large for an entry, without repeating; return what is said."""
    producer = Producer(
        quiet(
            {
                "bootstrap.servers": cluster.bootstrap,
                "retries": 0,
                "request.timeout.ms": 5_000,
                "message.timeout.ms": 20_000,
            }
        )
    )
    said: list[KafkaError | None] = []
    producer.produce(topic, LARGE, on_delivery=lambda error, _: said.append(error))
    assert producer.flush(PATIENCE_S) == 0
    return said[0]

"""What clients are told where there are several brokers, also while the order store is away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from broker_in_memory import CLUSTER_ID, call, call_on
from groups_log import GroupsLog
from kio.schema.errors import ErrorCode
from topics_log import TopicsLog

from tidings.errors import Unavailable
from tidings.kafka.broker import CATCH_UP_PATIENCE_S, Broker
from tidings.kafka.known_brokers import KnownBroker, Listener, group_thing, partition_thing
from tidings.kafka.settings import BrokerSettings
from tidings.testing.clock import SimClock
from tidings.testing.loop import run

BROKERS = [KnownBroker(1, "one", 9092), KnownBroker(2, "two", 9093, "rack")]


class Two:
    """Two brokers that are alive; the second is preferred for what ends with an odd number."""

    node_ids = (1, 2)

    def live(self, listener: Listener) -> Sequence[KnownBroker]:
        return [each for each in BROKERS if each.node_id == 2 or listener.name != "second alone"]

    def preferred(self, thing: str, listener: Listener | None = None) -> int:
        if listener and listener.name == "second alone":
            return 2
        return 1 + int(thing[-1]) % 2


@dataclass
class Recovered:
    recovered: asyncio.Event = field(default_factory=asyncio.Event)


class ClusterLog(TopicsLog):
    """A log whose order store may not answer."""

    def __init__(self, **partition_counts: int) -> None:
        super().__init__(**partition_counts)
        self.journal = Recovered()
        self.journal.recovered.set()
        self.hangs = False

    async def barrier(self) -> None:
        if self.error:
            raise self.error
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        await super().barrier()


def cluster_broker(log: Any) -> Broker:
    return Broker(log, SimClock(lambda: 0.0), BrokerSettings(node_id=2), CLUSTER_ID, Two())


def ask(log: Any, module: str, version: int, **values: Any) -> Any:
    return run(call(cluster_broker(log), module, version, **values))


def test_metadata_names_all_brokers_and_spreads_partitions_over_them() -> None:
    answer = ask(ClusterLog(a=4), "metadata", 12, topics=[{"name": "a"}])
    told = [(each.node_id, each.host, each.port, each.rack) for each in answer.brokers]
    assert told == [tuple(each) for each in BROKERS]
    assert answer.controller_id == 2
    (topic,) = answer.topics
    leaders = [partition.leader_id for partition in topic.partitions]
    assert leaders == [Two().preferred(partition_thing("a", number)) for number in range(4)]
    assert [partition.isr_nodes for partition in topic.partitions] == [(1,), (2,), (1,), (2,)]


def test_description_of_the_cluster_and_of_partitions_says_the_same() -> None:
    cluster = ask(ClusterLog(), "describe_cluster", 1)
    told = [(each.broker_id, each.host, each.port, each.rack) for each in cluster.brokers]
    assert told == [tuple(each) for each in BROKERS]
    topics = [{"name": "a"}]
    answer = ask(
        ClusterLog(a=2),
        "describe_topic_partitions",
        0,
        topics=topics,
        response_partition_limit=9,
        cursor=None,
    )
    assert [each.leader_id for each in answer.topics[0].partitions] == [1, 2]


def test_coordinator_of_each_group_is_the_broker_that_is_preferred_for_it() -> None:
    answer = ask(ClusterLog(), "find_coordinator", 4, coordinator_keys=["g0", "g1"])
    for found in answer.coordinators:
        node_id = Two().preferred(group_thing(found.key))
        assert (found.node_id, found.host, found.port) == BROKERS[node_id - 1][:3]
    assert [found.node_id for found in answer.coordinators] == [1, 2]


def test_client_on_a_listener_that_one_broker_lacks_is_sent_to_the_others() -> None:
    async def main() -> None:
        broker, listener = cluster_broker(ClusterLog(a=4)), Listener("there", 1, "second alone")
        found = await call_on(listener, broker, "metadata", 12, topics=[{"name": "a"}])
        assert [each.node_id for each in found.brokers] == [2]
        assert {each.leader_id for each in found.topics[0].partitions} == {2}
        described = await call_on(listener, broker, "describe_cluster", 1)
        assert [each.broker_id for each in described.brokers] == [2]
        topics = [{"name": "a"}]
        partitions = await call_on(
            listener,
            broker,
            "describe_topic_partitions",
            0,
            topics=topics,
            response_partition_limit=9,
            cursor=None,
        )
        assert {each.leader_id for each in partitions.topics[0].partitions} == {2}

    run(main())


def test_coordinator_that_lacks_the_listener_is_asked_for_again() -> None:
    async def main() -> None:
        broker, listener = cluster_broker(ClusterLog()), Listener("there", 1, "second alone")
        found = await call_on(
            listener, broker, "find_coordinator", 4, coordinator_keys=["g0", "g1"]
        )
        codes = [each.error_code for each in found.coordinators]
        assert codes == [ErrorCode.coordinator_not_available, ErrorCode.none]

    run(main())


@pytest.mark.parametrize("hangs", [False, True])
def test_metadata_tells_what_is_known_while_the_order_store_is_away(*, hangs: bool) -> None:
    async def main() -> None:
        log = ClusterLog(a=1)
        log.hangs, log.error = hangs, None if hangs else Unavailable("away")
        answer = await call(cluster_broker(log), "metadata", 12, topics=None)
        assert [topic.name for topic in answer.topics] == ["a"]
        now = asyncio.get_running_loop().time()
        assert now == (CATCH_UP_PATIENCE_S if hangs else 0)

    run(main())


def test_metadata_waits_for_a_broker_that_has_not_read_the_journal_yet() -> None:
    async def main() -> None:
        log = ClusterLog(a=1)
        log.journal.recovered.clear()
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(call(cluster_broker(log), "metadata", 12, topics=None))
            await asyncio.sleep(10 * CATCH_UP_PATIENCE_S)
            assert not asked.done()
            log.journal.recovered.set()
        assert [topic.name for topic in asked.result().topics] == ["a"]

    run(main())


class AwayLog(GroupsLog):
    async def barrier(self) -> None:
        raise Unavailable("away")


@pytest.mark.parametrize("version", [2, 7])
def test_committed_offsets_of_one_group_are_asked_for_again_while_the_store_is_away(
    version: int,
) -> None:
    topics = [{"name": "a", "partition_indexes": [0]}]
    answer = ask(AwayLog(), "offset_fetch", version, group_id="g", topics=topics)
    assert answer.error_code == ErrorCode.coordinator_not_available
    (partition,) = answer.topics[0].partitions
    assert partition.error_code == ErrorCode.coordinator_not_available
    assert partition.committed_offset == -1


def test_committed_offsets_of_groups_are_asked_for_again_while_the_store_is_away() -> None:
    groups = [{"group_id": "g", "topics": None}, {"group_id": "h", "topics": []}]
    answer = ask(AwayLog(), "offset_fetch", 8, groups=groups, require_stable=False)
    told = [(group.group_id, group.error_code) for group in answer.groups]
    assert told == [(name, ErrorCode.coordinator_not_available) for name in ("g", "h")]

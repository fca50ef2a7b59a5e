"""DescribeCluster, DescribeTopicPartitions and DescribeLogDirs, answered as Kafka 4.2 does."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from broker_in_memory import CLUSTER_ID, call
from kio.schema.errors import ErrorCode
from lone_broker import lone_broker

from tidings.kafka.broker import Broker
from tidings.kafka.handlers.cluster import PARTITIONS_PER_ANSWER_MAX
from tidings.testing.loop import run
from tidings.types import TopicPartition

Cursor = tuple[str, int]


def with_topics(scenario: Callable[[Broker], Awaitable[None]], **counts: int) -> None:
    async def main() -> None:
        async with lone_broker() as broker:
            for name, count in counts.items():
                await broker.log.create_topic(name, count)
            await scenario(broker)

    run(main())


@pytest.mark.parametrize("version", range(3))
def test_describe_cluster_in_every_version_tells_this_broker(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        answer = await call(
            broker, "describe_cluster", version, include_cluster_authorized_operations=True
        )
        assert (answer.error_code, answer.cluster_id) == (ErrorCode.none, CLUSTER_ID)
        assert answer.controller_id == 1
        (told,) = answer.brokers
        assert (told.broker_id, told.host, told.port) == (1, "broker.test", 9092)
        assert answer.cluster_authorized_operations == 8096

    with_topics(scenario)


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [(2, ErrorCode.mismatched_endpoint_type), (3, ErrorCode.unsupported_endpoint_type)],
)
def test_describe_cluster_of_controllers_is_refused(endpoint: int, code: ErrorCode) -> None:
    async def scenario(broker: Broker) -> None:
        answer = await call(broker, "describe_cluster", 2, endpoint_type=endpoint)
        assert (answer.error_code, answer.brokers, answer.controller_id) == (code, (), -1)

    with_topics(scenario)


async def partitions(
    broker: Broker, *names: str, limit: int = 2000, cursor: Cursor | None = None
) -> tuple[list[tuple[str, str, list[int]]], Cursor | None]:
    """Return each topic's name, code and partitions, and where to go on."""
    answer = await call(
        broker,
        "describe_topic_partitions",
        0,
        topics=[{"name": name} for name in names],
        response_partition_limit=limit,
        cursor=cursor and {"topic_name": cursor[0], "partition_index": cursor[1]},
    )
    told = [
        (topic.name, topic.error_code.name, [p.partition_index for p in topic.partitions])
        for topic in answer.topics
    ]
    after = answer.next_cursor
    return told, after and (after.topic_name, after.partition_index)


def test_describe_partitions_of_all_topics_goes_by_name() -> None:
    async def scenario(broker: Broker) -> None:
        told, cursor = await partitions(broker)
        assert told == [("a", "none", [0]), ("b", "none", [0, 1])]
        assert cursor is None

    with_topics(scenario, b=2, a=1)


def test_describe_partitions_names_this_broker_as_leader() -> None:
    async def scenario(broker: Broker) -> None:
        answer = await call(broker, "describe_topic_partitions", 0, topics=[{"name": "a"}])
        (topic,) = answer.topics
        (partition,) = topic.partitions
        assert topic.topic_id.bytes == broker.log.state.topics["a"].topic_id
        assert topic.topic_authorized_operations == 3576
        assert (partition.leader_id, partition.leader_epoch) == (1, 0)
        assert partition.replica_nodes == partition.isr_nodes == (1,)
        assert partition.eligible_leader_replicas == partition.offline_replicas == ()

    with_topics(scenario, a=1)


@pytest.mark.parametrize(
    ("names", "limit", "cursor", "told", "after"),
    [
        ("cab", 2, None, [("a", [0]), ("b", [0])], ("b", 1)),
        ("cab", 5, None, [("a", [0]), ("b", [0, 1, 2, 3])], ("c", 0)),
        ("cab", 6, None, [("a", [0]), ("b", [0, 1, 2, 3]), ("c", [0])], None),
        ("bc", 2, ("b", 2), [("b", [2, 3])], ("c", 0)),
        ("", 2, ("b", 1), [("b", [1, 2])], ("b", 3)),
        ("b", 2, ("b", 9), [("b", [])], None),
        ("b", 0, None, [("b", [0])], ("b", 1)),
        ("b", -1, None, [("b", [0])], ("b", 1)),
        ("bb", 9, None, [("b", [0, 1, 2, 3])], None),
    ],
)
def test_describe_partitions_stops_at_the_limit_and_goes_on_at_the_cursor(
    names: str, limit: int, cursor: Cursor | None, told: Any, after: Cursor | None
) -> None:
    async def scenario(broker: Broker) -> None:
        found, where = await partitions(broker, *names, limit=limit, cursor=cursor)
        assert [(name, indexes) for name, code, indexes in found if code == "none"] == told
        assert where == after

    with_topics(scenario, a=1, b=4, c=1)


@pytest.mark.parametrize("cursor", [("b", 0), ("a", -1)])
def test_describe_partitions_with_a_cursor_that_was_never_given_is_refused(cursor: Cursor) -> None:
    async def scenario(broker: Broker) -> None:
        told, after = await partitions(broker, "a", "c", cursor=cursor)
        assert told == [("a", "invalid_request", []), ("c", "invalid_request", [])]
        assert after is None

    with_topics(scenario, a=1, b=4, c=1)


def test_describe_partitions_of_unknown_topics_says_so() -> None:
    async def scenario(broker: Broker) -> None:
        told, _ = await partitions(broker, "a b", "nope")
        assert told == [
            ("a b", "invalid_topic_exception", []),
            ("nope", "unknown_topic_or_partition", []),
        ]

    with_topics(scenario)


def test_describe_partitions_beyond_the_bound_of_one_answer_are_told_in_the_next() -> None:
    async def scenario(broker: Broker) -> None:
        told, after = await partitions(broker, limit=2**31 - 1)
        assert [len(indexes) for _, _, indexes in told] == [PARTITIONS_PER_ANSWER_MAX]
        assert after == ("a", PARTITIONS_PER_ANSWER_MAX)

    with_topics(scenario, a=PARTITIONS_PER_ANSWER_MAX + 1)


async def sizes(broker: Broker, topics: Any, version: int = 4) -> dict[TopicPartition, int]:
    answer = await call(broker, "describe_log_dirs", version, topics=topics)
    (folder,) = answer.results
    assert folder.error_code == ErrorCode.none
    return {
        TopicPartition(topic.name, partition.partition_index): partition.partition_size
        for topic in folder.topics
        for partition in topic.partitions
    }


@pytest.mark.parametrize("version", range(1, 5))
def test_describe_log_dirs_in_every_version_tells_sizes_of_all_partitions(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        await broker.log.append(TopicPartition("b", 1), bytes(100))
        assert await sizes(broker, None, version) == {("a", 0): 0, ("b", 0): 0, ("b", 1): 100}

    with_topics(scenario, b=2, a=1)


def test_describe_log_dirs_of_some_partitions_leaves_out_what_is_not_there() -> None:
    async def scenario(broker: Broker) -> None:
        wanted = [
            {"topic": "b", "partitions": [1, 2, -1]},
            {"topic": "a", "partitions": []},
            {"topic": "nope", "partitions": [0]},
        ]
        assert await sizes(broker, wanted) == {("b", 1): 0}
        assert await sizes(broker, []) == {}

    with_topics(scenario, b=2, a=1)

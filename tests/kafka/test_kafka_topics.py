"""Creating, growing and deleting topics, on a real log. Codes are those of Apache Kafka 4.2."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from broker_in_memory import call
from kio.schema.errors import ErrorCode
from lone_broker import lone_broker

from tidings.kafka.broker import Broker
from tidings.kafka.handlers.topics import PARTITION_COUNT_MAX
from tidings.testing.loop import run

Values = dict[str, Any]


def with_broker(scenario: Callable[[Broker], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with lone_broker(**settings) as broker:
            await scenario(broker)

    run(main())


def topic(name: str = "t", count: int = 1, copies: int = 1, **values: Any) -> Values:
    configs = [{"name": key, "value": value} for key, value in values.pop("configs", {}).items()]
    return {
        "name": name,
        "num_partitions": count,
        "replication_factor": copies,
        "configs": configs,
        **values,
    }


def assigned(*placements: tuple[int, list[int]], count: int = -1, copies: int = -1) -> Values:
    assignments = [{"partition_index": index, "broker_ids": ids} for index, ids in placements]
    return topic(count=count, copies=copies, assignments=assignments)


async def create(broker: Broker, *topics: Values, version: int = 7, **values: Any) -> Any:
    answer = await call(broker, "create_topics", version, topics=topics, **values)
    return answer.topics


async def create_one(broker: Broker, wanted: Values, **values: Any) -> Any:
    (created,) = await create(broker, wanted, **values)
    return created


@pytest.mark.parametrize("version", range(2, 8))
def test_create_topic_in_every_version_makes_it(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        wanted = topic("t", 3, configs={"retention.ms": " 5 "})
        created = await create_one(broker, wanted, version=version)
        known = broker.log.state.topics["t"]
        assert (created.name, created.error_code) == ("t", ErrorCode.none)
        assert (known.partition_count, known.configs) == (3, {"retention.ms": "5"})
        if version >= 5:
            assert (created.num_partitions, created.replication_factor) == (3, 1)
            configs = {config.name: config for config in created.configs}
            assert len(configs) == 33
            assert (configs["retention.ms"].value, configs["retention.ms"].config_source) == (
                "5",
                1,
            )
            assert configs["segment.bytes"].config_source == 5
        if version >= 7:
            assert created.topic_id.bytes == known.topic_id

    with_broker(scenario)


def test_create_topic_with_defaults_takes_those_of_the_broker() -> None:
    async def scenario(broker: Broker) -> None:
        created = await create_one(broker, topic(count=-1, copies=-1))
        assert (created.num_partitions, created.replication_factor) == (4, 1)

    with_broker(scenario, num_partitions=4)


def test_create_topic_only_validated_tells_the_same_and_makes_none() -> None:
    async def scenario(broker: Broker) -> None:
        created = await create_one(broker, topic(count=3), validate_only=True)
        assert (created.error_code, created.num_partitions) == (ErrorCode.none, 3)
        assert not broker.log.state.topics
        refused = await create_one(broker, topic(count=0), validate_only=True)
        assert refused.error_code == ErrorCode.invalid_partitions

    with_broker(scenario)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (topic(""), ErrorCode.invalid_topic_exception),
        (topic("a b"), ErrorCode.invalid_topic_exception),
        (topic("a" * 250), ErrorCode.invalid_topic_exception),
        (topic("old"), ErrorCode.topic_already_exists),
        (topic("old", 0, configs={"nope": "1"}), ErrorCode.topic_already_exists),
        (topic("dotted_name"), ErrorCode.invalid_topic_exception),
        (topic(count=0), ErrorCode.invalid_partitions),
        (topic(count=-2), ErrorCode.invalid_partitions),
        (topic(count=PARTITION_COUNT_MAX + 1), ErrorCode.policy_violation),
        (topic(copies=0), ErrorCode.invalid_replication_factor),
        (topic(copies=3), ErrorCode.invalid_replication_factor),
        (topic(configs={"nope": "1"}), ErrorCode.invalid_config),
        (topic(count=0, copies=9, configs={"nope": "1"}), ErrorCode.invalid_config),
        (topic(configs={"retention.ms": None}), ErrorCode.invalid_config),
        (topic(configs={"compression.type": "gzip"}), ErrorCode.invalid_config),
        (assigned((0, [1]), count=1), ErrorCode.invalid_request),
        (assigned((0, [1]), copies=1), ErrorCode.invalid_request),
        (assigned((1, [1])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [1]), (0, [1])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [2])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [1, 1])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [])), ErrorCode.invalid_replica_assignment),
    ],
)
def test_create_topic_that_cannot_be_has_the_code_of_kafka(wanted: Values, code: ErrorCode) -> None:
    async def scenario(broker: Broker) -> None:
        await create(broker, topic("old"), topic("dotted.name"))
        refused = await create_one(broker, wanted)
        assert refused.error_code == code
        assert refused.error_message
        assert (refused.num_partitions, refused.configs or ()) == (-1, ())
        assert sorted(broker.log.state.topics) == ["dotted.name", "old"]

    with_broker(scenario)


def test_create_topic_with_assignments_in_any_order_makes_as_many_partitions() -> None:
    async def scenario(broker: Broker) -> None:
        created = await create_one(broker, assigned((1, [1]), (0, [1])))
        assert (created.error_code, created.num_partitions) == (ErrorCode.none, 2)

    with_broker(scenario)


def test_create_topics_of_one_request_are_independent() -> None:
    async def scenario(broker: Broker) -> None:
        asked = [topic("twice"), topic("good"), topic("bad", 0), topic("twice", 2)]
        created = await create(broker, *asked)
        assert [(each.name, each.error_code) for each in created] == [
            ("twice", ErrorCode.invalid_request),
            ("good", ErrorCode.none),
            ("bad", ErrorCode.invalid_partitions),
        ]
        assert list(broker.log.state.topics) == ["good"]

    with_broker(scenario)


def test_create_topics_that_collide_in_one_request_make_the_first() -> None:
    async def scenario(broker: Broker) -> None:
        first, second = await create(broker, topic("a.b"), topic("a_b"))
        assert (first.error_code, second.error_code) == (
            ErrorCode.none,
            ErrorCode.invalid_topic_exception,
        )

    with_broker(scenario)


def test_create_topics_whose_partitions_are_too_many_together_make_the_first() -> None:
    async def scenario(broker: Broker) -> None:
        half = PARTITION_COUNT_MAX // 2 + 1
        created = await create(broker, topic("a", half), topic("b", half), validate_only=True)
        assert [each.error_code for each in created] == [ErrorCode.none, ErrorCode.policy_violation]

    with_broker(scenario)


async def delete(broker: Broker, *wanted: Values, version: int = 6) -> Any:
    answer = await call(broker, "delete_topics", version, topics=wanted)
    return answer.responses


@pytest.mark.parametrize("version", range(1, 6))
def test_delete_topics_by_name_in_older_versions_removes_them(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        await create(broker, topic("a"), topic("b"), topic("c"))
        answer = await call(broker, "delete_topics", version, topic_names=["b", "nope", "a"])
        assert {each.name: each.error_code for each in answer.responses} == {
            "a": ErrorCode.none,
            "b": ErrorCode.none,
            "nope": ErrorCode.unknown_topic_or_partition,
        }
        assert list(broker.log.state.topics) == ["c"]

    with_broker(scenario)


def test_delete_topic_by_id_removes_it_and_tells_its_name() -> None:
    async def scenario(broker: Broker) -> None:
        created = await create_one(broker, topic("a"))
        (deleted,) = await delete(broker, {"name": None, "topic_id": created.topic_id})
        assert deleted.error_code == ErrorCode.none
        assert (deleted.name, deleted.topic_id) == ("a", created.topic_id)
        assert not broker.log.state.topics

    with_broker(scenario)


def test_delete_topic_that_is_not_there_has_the_code_of_kafka() -> None:
    async def scenario(broker: Broker) -> None:
        unknown = uuid.UUID(int=99)
        by_name, by_id, by_nothing = sorted(
            await delete(
                broker, {"name": "nope"}, {"name": None, "topic_id": unknown}, {"name": None}
            ),
            key=lambda answer: (answer.name is None, answer.topic_id is None),
        )
        assert by_name.error_code == ErrorCode.unknown_topic_or_partition
        assert (by_id.error_code, by_id.topic_id) == (ErrorCode.unknown_topic_id, unknown)
        assert by_nothing.error_code == ErrorCode.invalid_request

    with_broker(scenario)


def test_delete_topic_named_in_two_ways_or_twice_deletes_it_at_most_once() -> None:
    async def scenario(broker: Broker) -> None:
        a = (await create_one(broker, topic("a"))).topic_id
        (both,) = await delete(broker, {"name": "a", "topic_id": a})
        assert both.error_code == ErrorCode.invalid_request
        (twice,) = await delete(broker, {"name": "a"}, {"name": "a"})
        assert twice.error_code == ErrorCode.invalid_request
        assert list(broker.log.state.topics) == ["a"]
        answers = await delete(broker, {"name": "a"}, {"name": None, "topic_id": a})
        codes = sorted(answer.error_code for answer in answers)
        assert codes == [ErrorCode.none, ErrorCode.invalid_request]

    with_broker(scenario)


def test_topic_that_is_created_again_is_another_one() -> None:
    async def scenario(broker: Broker) -> None:
        old = await create_one(broker, topic("a"))
        await delete(broker, {"name": "a"})
        new = await create_one(broker, topic("a"))
        assert old.topic_id != new.topic_id
        (stale,) = await delete(broker, {"name": None, "topic_id": old.topic_id})
        assert stale.error_code == ErrorCode.unknown_topic_id

    with_broker(scenario)


def growth(count: int, *assignments: list[int], name: str = "a", **values: Any) -> Values:
    given = [{"broker_ids": ids} for ids in assignments] or None
    return {"name": name, "count": count, "assignments": given, **values}


async def grow(broker: Broker, *wanted: Values, version: int = 3, **values: Any) -> Any:
    answer = await call(broker, "create_partitions", version, topics=wanted, **values)
    return answer.results


@pytest.mark.parametrize("version", range(4))
def test_create_partitions_in_every_version_grows_the_topic(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        await create(broker, topic("a", 2))
        (grown,) = await grow(broker, growth(4), version=version)
        assert (grown.name, grown.error_code) == ("a", ErrorCode.none)
        assert broker.log.state.topics["a"].partition_count == 4

    with_broker(scenario)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (growth(3), ErrorCode.none),
        (growth(3, [1]), ErrorCode.none),
        (growth(2), ErrorCode.invalid_partitions),
        (growth(1), ErrorCode.invalid_partitions),
        (growth(-1), ErrorCode.invalid_partitions),
        (growth(PARTITION_COUNT_MAX + 1), ErrorCode.invalid_partitions),
        (growth(3, name="nope"), ErrorCode.unknown_topic_or_partition),
        (growth(4, [1]), ErrorCode.invalid_replica_assignment),
        ({**growth(4), "assignments": []}, ErrorCode.invalid_replica_assignment),
        (growth(3, [2]), ErrorCode.invalid_replica_assignment),
        (growth(3, [1, 1]), ErrorCode.invalid_replica_assignment),
    ],
)
def test_create_partitions_only_validated_has_the_code_of_kafka_and_changes_nothing(
    wanted: Values, code: ErrorCode
) -> None:
    async def scenario(broker: Broker) -> None:
        await create(broker, topic("a", 2))
        (answer,) = await grow(broker, wanted, validate_only=True)
        assert answer.error_code == code
        assert (answer.error_message is None) == (code == ErrorCode.none)
        assert broker.log.state.topics["a"].partition_count == 2

    with_broker(scenario)


def test_create_partitions_of_a_topic_named_twice_changes_only_the_others() -> None:
    async def scenario(broker: Broker) -> None:
        await create(broker, topic("a"), topic("b"))
        results = await grow(broker, growth(3), growth(2, name="b"), growth(4))
        assert [(each.name, each.error_code) for each in results] == [
            ("a", ErrorCode.invalid_request),
            ("b", ErrorCode.none),
        ]
        counts = [each.partition_count for each in broker.log.state.topics.values()]
        assert counts == [1, 2]

    with_broker(scenario)

import uuid
from typing import Any

import pytest
from broker_in_memory import CLUSTER_ID, broker_on, call
from kio.schema.errors import ErrorCode
from topics_log import TopicsLog

from tidings.errors import Indeterminate
from tidings.kafka.apis import API_OF_KEY
from tidings.testing.loop import run

VERSIONS = range(API_OF_KEY[3].lowest, API_OF_KEY[3].highest + 1)
AUTHORIZED = -(2**31)


def ask(log: TopicsLog, version: int, *, settings: dict[str, Any] | None = None, **v: Any) -> Any:
    return run(call(broker_on(log, **(settings or {})), "metadata", version, **v))


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_of_a_topic_in_every_version_names_this_broker_as_leader(version: int) -> None:
    answer = ask(TopicsLog(a=2), version, topics=named("a"))
    (broker,) = answer.brokers
    assert (broker.node_id, broker.host, broker.port) == (1, "broker.test", 9092)
    (topic,) = answer.topics
    assert (topic.error_code, topic.name) == (ErrorCode.none, "a")
    assert [p.partition_index for p in topic.partitions] == [0, 1]
    for partition in topic.partitions:
        assert partition.error_code == ErrorCode.none
        assert partition.leader_id == 1
        assert partition.replica_nodes == partition.isr_nodes == (1,)
    if version >= 1:
        assert answer.controller_id == 1
    if version >= 2:
        assert answer.cluster_id == CLUSTER_ID
    if version >= 7:
        assert topic.partitions[0].leader_epoch == 0
    if version >= 10:
        assert topic.topic_id == uuid.UUID(int=1)


@pytest.mark.parametrize(("version", "topics"), [(0, []), (1, None), (12, None)])
def test_metadata_of_all_topics_lists_them_by_name(version: int, topics: Any) -> None:
    answer = ask(TopicsLog(b=1, a=1), version, topics=topics)
    assert [topic.name for topic in answer.topics] == ["a", "b"]


def test_metadata_of_no_topics_lists_none() -> None:
    assert ask(TopicsLog(a=1), 12, topics=[]).topics == ()


def test_metadata_is_read_behind_a_barrier() -> None:
    log = TopicsLog()
    ask(log, 12, topics=None)
    assert log.barriers == 1


def test_metadata_of_a_missing_topic_creates_it() -> None:
    log = TopicsLog()
    answer = ask(log, 12, topics=named("new"), settings={"num_partitions": 3})
    (topic,) = answer.topics
    assert topic.error_code == ErrorCode.none
    assert len(topic.partitions) == 3
    assert list(log.state.topics) == ["new"]


def test_metadata_of_a_missing_topic_asked_for_twice_answers_once() -> None:
    assert len(ask(TopicsLog(), 12, topics=named("new", "new")).topics) == 1


@pytest.mark.parametrize(
    ("version", "allowed", "settings"),
    [(12, False, {}), (12, True, {"auto_create_topics": False})],
)
def test_metadata_of_a_missing_topic_where_creation_is_off_is_an_error(
    version: int, allowed: bool, settings: dict[str, Any]
) -> None:
    log = TopicsLog()
    answer = ask(
        log, version, topics=named("new"), allow_auto_topic_creation=allowed, settings=settings
    )
    assert [t.error_code for t in answer.topics] == [ErrorCode.unknown_topic_or_partition]
    assert log.state.topics == {}


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a" * 250, "é"])
def test_metadata_of_an_impossible_name_creates_nothing(name: str) -> None:
    log = TopicsLog()
    answer = ask(log, 12, topics=named(name))
    assert [t.error_code for t in answer.topics] == [ErrorCode.invalid_topic_exception]
    assert log.state.topics == {}


def test_metadata_of_a_topic_that_may_have_been_created_says_timed_out() -> None:
    log = TopicsLog()
    log.error = Indeterminate("no answer")
    answer = ask(log, 12, topics=named("new", "b"))
    assert [t.error_code for t in answer.topics] == [ErrorCode.request_timed_out] * 2


def test_metadata_by_id_finds_the_topic() -> None:
    answer = ask(TopicsLog(a=1, b=2), 12, topics=[{"topic_id": uuid.UUID(int=2), "name": None}])
    assert [(t.name, len(t.partitions)) for t in answer.topics] == [("b", 2)]


@pytest.mark.parametrize("version", [10, 12])
def test_metadata_by_an_unknown_id_is_an_error(version: int) -> None:
    answer = ask(TopicsLog(), version, topics=[{"topic_id": uuid.UUID(int=9), "name": None}])
    (topic,) = answer.topics
    assert (topic.error_code, topic.topic_id) == (ErrorCode.unknown_topic_id, uuid.UUID(int=9))
    assert not topic.name


def test_metadata_operations_are_told_to_those_who_ask() -> None:
    log = TopicsLog(a=1)
    silent = ask(log, 8, topics=named("a", "a b"))
    assert silent.cluster_authorized_operations == AUTHORIZED
    assert silent.topics[0].topic_authorized_operations == AUTHORIZED
    told = ask(
        log,
        8,
        topics=named("a", "a b"),
        include_cluster_authorized_operations=True,
        include_topic_authorized_operations=True,
    )
    # The bits that Apache Kafka gives without an authorizer.
    assert told.cluster_authorized_operations == 8096
    assert [t.topic_authorized_operations for t in told.topics] == [3576, AUTHORIZED]

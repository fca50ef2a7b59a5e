"""DescribeCluster and DescribeTopicPartitions.

DescribeCluster v1: the kind of endpoint; v2: fenced brokers. DescribeTopicPartitions goes through
topics by name, tells a bounded number of partitions at a time, and where to go on.
"""

from typing import Any, NamedTuple

from kio.schema.errors import ErrorCode

from tidings.core.topics import Topic
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.handlers.metadata import CLUSTER_OPERATIONS, TOPIC_OPERATIONS, partition_row
from tidings.kafka.schema import Entity
from tidings.kafka.topic_names import name_refusal

PARTITIONS_PER_ANSWER_MAX = 2000
"""The most partitions in one answer to DescribeTopicPartitions; clients may ask for fewer."""

_ENDPOINT_BROKER = 1
_ENDPOINT_CONTROLLER = 2
_OPERATIONS_NOT_ASKED = -(2**31)

Values = dict[str, Any]


async def describe_cluster(broker: Broker, context: Context, request: Entity) -> Values:
    """Tell the cluster's id and its brokers."""
    endpoint_type = field(request, "endpoint_type", _ENDPOINT_BROKER)
    if endpoint_type != _ENDPOINT_BROKER:
        return _wrong_endpoint(endpoint_type)
    return {
        "error_code": ErrorCode.none,
        "endpoint_type": _ENDPOINT_BROKER,
        "cluster_id": broker.cluster_id,
        "controller_id": broker.settings.node_id,
        "brokers": [
            {"broker_id": each.node_id, "host": each.host, "port": each.port, "rack": each.rack}
            for each in broker.brokers.live(context.listener)
        ],
        "cluster_authorized_operations": (
            CLUSTER_OPERATIONS
            if request.include_cluster_authorized_operations
            else _OPERATIONS_NOT_ASKED
        ),
    }


def _wrong_endpoint(endpoint_type: int) -> Values:
    known = endpoint_type == _ENDPOINT_CONTROLLER
    return {
        "error_code": (
            ErrorCode.mismatched_endpoint_type if known else ErrorCode.unsupported_endpoint_type
        ),
        "error_message": "this is a broker; ask for endpoint type 1",
        "endpoint_type": _ENDPOINT_BROKER,
        "controller_id": -1,
        "cluster_authorized_operations": _OPERATIONS_NOT_ASKED,
    }


class _Place(NamedTuple):
    """A partition in the order in which DescribeTopicPartitions goes through them."""

    topic: str
    partition: int


async def describe_topic_partitions(broker: Broker, context: Context, request: Entity) -> Values:
    """Tell partitions of topics, all or those that are named, from the cursor on."""
    await broker.catch_up()
    names = sorted({topic.name for topic in request.topics} or broker.log.state.topics)
    start = _Place("", 0)
    if request.cursor is not None:
        start = _Place(request.cursor.topic_name, request.cursor.partition_index)
        if start.partition < 0 or (request.topics and start.topic not in names):
            return {"topics": [_refused_cursor(name) for name in names]}
    limit = min(max(1, request.response_partition_limit), PARTITIONS_PER_ANSWER_MAX)
    return _from_place(
        broker, context, [name for name in names if name >= start.topic], start, limit
    )


def _refused_cursor(name: str) -> Values:
    return {
        "error_code": ErrorCode.invalid_request,
        "name": name,
        "topic_authorized_operations": _OPERATIONS_NOT_ASKED,
    }


def _from_place(
    broker: Broker, context: Context, names: list[str], start: _Place, limit: int
) -> Values:
    topics: list[Values] = []
    for name in names:
        if limit == 0:
            return {"topics": topics, "next_cursor": _cursor(_Place(name, 0))}
        first = start.partition if name == start.topic else 0
        topic = broker.log.state.topics.get(name)
        if topic is None:
            topics.append(_unknown_topic(name))
            continue
        end = min(topic.partition_count, first + limit)
        topics.append(_topic(broker, context, name, topic, range(first, end)))
        if end < topic.partition_count:
            return {"topics": topics, "next_cursor": _cursor(_Place(name, end))}
        limit -= max(0, end - first)
    return {"topics": topics, "next_cursor": None}


def _cursor(place: _Place) -> Values:
    return {"topic_name": place.topic, "partition_index": place.partition}


def _unknown_topic(name: str) -> Values:
    invalid = name_refusal(name) is not None
    return {
        "error_code": (
            ErrorCode.invalid_topic_exception if invalid else ErrorCode.unknown_topic_or_partition
        ),
        "name": name,
        "topic_authorized_operations": TOPIC_OPERATIONS,
    }


def _topic(broker: Broker, context: Context, name: str, topic: Topic, partitions: range) -> Values:
    return {
        "error_code": ErrorCode.none,
        "name": name,
        "topic_id": topic.topic_id,
        "topic_authorized_operations": TOPIC_OPERATIONS,
        "partitions": [
            {
                **partition_row(broker, context, name, partition),
                "eligible_leader_replicas": [],
                "last_known_elr": [],
            }
            for partition in partitions
        ],
    }

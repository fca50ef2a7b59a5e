"""Metadata: which brokers there are, which topics, and who leads their partitions.

Any broker serves any partition. The one that is called the leader is the one preferred for it, so
that clients spread.

v0: an empty list means all topics; from v1 on null does. v4: the client says whether topics may be
created. v8 to v10: authorized operations. v10: topic ids in answers; v12: in requests, too.
"""

import uuid
from typing import Any

from kio.schema.errors import ErrorCode

from tidings.core.topics import Topic
from tidings.errors import TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.errors import code_of
from tidings.kafka.known_brokers import partition_thing
from tidings.kafka.schema import Entity
from tidings.kafka.topic_names import name_refusal

LEADER_EPOCH = 0
"""Leadership never changes hands: every broker can append to every partition."""

_OPERATIONS_NOT_ASKED = -(2**31)

# One bit for each operation, by its number in Kafka's AclOperation. There are no access rules, so
# whoever asks may do all that the resource knows: READ 3, WRITE 4, CREATE 5, DELETE 6, ALTER 7,
# DESCRIBE 8, CLUSTER_ACTION 9, DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11, IDEMPOTENT_WRITE 12.
TOPIC_OPERATIONS = sum(1 << operation for operation in (3, 4, 5, 6, 7, 8, 10, 11))
CLUSTER_OPERATIONS = sum(1 << operation for operation in (5, 7, 8, 9, 10, 11, 12))


async def metadata(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Answer for all topics, or for those that are named, creating what is missing."""
    topics = await _topics(broker, context, request)
    wants_operations = field(request, "include_topic_authorized_operations", default=False)
    for topic in topics:
        known = wants_operations and topic["error_code"] == ErrorCode.none
        topic["topic_authorized_operations"] = TOPIC_OPERATIONS if known else _OPERATIONS_NOT_ASKED
    wants_cluster = field(request, "include_cluster_authorized_operations", default=False)
    return {
        "brokers": [each._asdict() for each in broker.brokers.live(context.listener)],
        "cluster_id": broker.cluster_id,
        "controller_id": broker.settings.node_id,
        "topics": topics,
        "cluster_authorized_operations": (
            CLUSTER_OPERATIONS if wants_cluster else _OPERATIONS_NOT_ASKED
        ),
    }


async def _topics(broker: Broker, context: Context, request: Entity) -> list[dict[str, Any]]:
    await broker.catch_up()
    if request.topics is None or (context.api_version == 0 and not request.topics):
        known = broker.log.state.topics
        return [_topic(broker, context, name, known[name]) for name in sorted(known)]
    may_create = broker.settings.auto_create_topics and field(
        request, "allow_auto_topic_creation", default=True
    )
    # A topic that is asked for twice is answered once.
    wanted = dict.fromkeys(
        (topic.name, field(topic, "topic_id", default=None)) for topic in request.topics
    )
    return [
        _topic_by_id(broker, context, topic_id)
        if name is None
        else await _topic_by_name(broker, context, name, may_create=may_create)
        for name, topic_id in wanted
    ]


def _topic_by_id(broker: Broker, context: Context, topic_id: uuid.UUID | None) -> dict[str, Any]:
    name = broker.log.state.topic_ids.get(topic_id.bytes) if topic_id else None
    if name is None:
        no_name = None if context.api_version >= 12 else ""
        return {"error_code": ErrorCode.unknown_topic_id, "name": no_name, "topic_id": topic_id}
    return _topic(broker, context, name, broker.log.state.topics[name])


async def _topic_by_name(
    broker: Broker, context: Context, name: str, *, may_create: bool
) -> dict[str, Any]:
    if name_refusal(name):
        return {"error_code": ErrorCode.invalid_topic_exception, "name": name}
    if name not in broker.log.state.topics and may_create:
        try:
            await broker.log.create_topic(name, broker.settings.num_partitions)
        except TidingsError as error:
            return {"error_code": code_of(error), "name": name}
    topic = broker.log.state.topics.get(name)
    if topic is None:
        return {"error_code": ErrorCode.unknown_topic_or_partition, "name": name}
    return _topic(broker, context, name, topic)


def partition_row(broker: Broker, context: Context, topic: str, partition: int) -> dict[str, Any]:
    """Return who leads a partition, as Metadata and DescribeTopicPartitions tell it."""
    leader_id = broker.brokers.preferred(partition_thing(topic, partition), context.listener)
    return {
        "error_code": ErrorCode.none,
        "partition_index": partition,
        "leader_id": leader_id,
        "leader_epoch": LEADER_EPOCH,
        "replica_nodes": [leader_id],
        "isr_nodes": [leader_id],
    }


def _topic(broker: Broker, context: Context, name: str, topic: Topic) -> dict[str, Any]:
    return {
        "error_code": ErrorCode.none,
        "name": name,
        "topic_id": topic.topic_id,
        "partitions": [
            partition_row(broker, context, name, partition)
            for partition in range(topic.partition_count)
        ],
    }

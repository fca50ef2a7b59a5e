"""OffsetCommit, OffsetFetch, OffsetDelete: how far groups have read.

A committed offset is the next one to read. It may go back: a client that seeks back commits so.
There are no transactions, so that every offset is stable (v7 of OffsetFetch asks).
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from kio.schema.errors import ErrorCode

from tidings.core.membership.messages import GroupError
from tidings.errors import TidingsError, Unavailable
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.group_errors import code_of_failure, code_of_refusal
from tidings.kafka.group_log import Committed
from tidings.kafka.handlers.groups import claim_of
from tidings.kafka.schema import Entity
from tidings.types import Offset, TopicPartition

METADATA_BYTES_MAX = 4096
"""The longest text that a client may leave with an offset (offset.metadata.max.bytes)."""

NO_OFFSET = {"committed_offset": -1, "committed_leader_epoch": -1, "metadata": ""}
"""What is answered where nothing was committed."""

Codes = dict[TopicPartition, ErrorCode]


# Topics by name or by id ------------------------------------------------------------------------


def _name_of(broker: Broker, topic: Entity) -> str | None:
    """Return the name of a topic that a request may name by its id; None for an unknown id."""
    topic_id: uuid.UUID | None = field(topic, "topic_id", None)
    name: str | None = field(topic, "name", None)
    if name is None and topic_id is not None:
        name = broker.log.state.topic_ids.get(topic_id.bytes)
    return name


def _has_partition(broker: Broker, name: TopicPartition) -> bool:
    topic = broker.log.state.topics.get(name.topic)
    return topic is not None and 0 <= name.partition < topic.partition_count


# Committing -------------------------------------------------------------------------------------


async def offset_commit(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Commit offsets. v6: leader epochs. v7: static members. v10: topics by id."""
    del context
    codes: Codes = {}
    offsets: dict[TopicPartition, Offset] = {}
    details: dict[TopicPartition, tuple[int, str]] = {}
    for name, partition in _partitions_to_commit(broker, request):
        codes[name] = _check_commit(broker, name, partition)
        if codes[name] is ErrorCode.none:
            offsets[name] = Offset(partition.committed_offset)
            leader_epoch = field(partition, "committed_leader_epoch", -1)
            details[name] = (leader_epoch, partition.committed_metadata or "")
    if offsets:
        code = await _commit(broker, request, offsets, details)
        codes |= dict.fromkeys(offsets, code)
    return {"topics": [_committed(broker, topic, codes) for topic in request.topics]}


def _partitions_to_commit(
    broker: Broker, request: Entity
) -> Iterator[tuple[TopicPartition, Entity]]:
    for topic in request.topics:
        topic_name = _name_of(broker, topic)
        if topic_name is not None:
            for partition in topic.partitions:
                yield TopicPartition(topic_name, partition.partition_index), partition


def _check_commit(broker: Broker, name: TopicPartition, partition: Entity) -> ErrorCode:
    if not _has_partition(broker, name):
        return ErrorCode.unknown_topic_or_partition
    if len((partition.committed_metadata or "").encode()) > METADATA_BYTES_MAX:
        return ErrorCode.offset_metadata_too_large
    if partition.committed_offset < 0:
        return ErrorCode.invalid_request
    return ErrorCode.none


async def _commit(
    broker: Broker,
    request: Entity,
    offsets: Mapping[TopicPartition, Offset],
    details: Mapping[TopicPartition, tuple[int, str]],
) -> ErrorCode:
    try:
        refusal = await broker.groups.commit(
            request.group_id,
            claim_of(request),
            request.generation_id_or_member_epoch,
            offsets,
            details,
        )
    except TidingsError as error:
        return code_of_failure(error)
    return code_of_refusal(refusal)


def _committed(broker: Broker, topic: Entity, codes: Codes) -> dict[str, Any]:
    topic_name = _name_of(broker, topic)
    return {
        "name": topic_name,
        "topic_id": field(topic, "topic_id", None),
        "partitions": [
            {
                "partition_index": partition.partition_index,
                "error_code": ErrorCode.unknown_topic_id
                if topic_name is None
                else codes[TopicPartition(topic_name, partition.partition_index)],
            }
            for partition in topic.partitions
        ],
    }


# Fetching ---------------------------------------------------------------------------------------


async def offset_fetch(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Return committed offsets. v2: of all topics. v8: of several groups. v10: topics by id."""
    try:
        await broker.log.barrier()
    except Unavailable as error:
        return _not_fetched(context, request, code_of_failure(error))
    if context.api_version >= 8:
        groups = [_fetch(broker, context, group) for group in request.groups]
        return {"groups": groups}
    return _fetch(broker, context, request)


def _not_fetched(context: Context, request: Entity, code: ErrorCode) -> dict[str, Any]:
    if context.api_version >= 8:
        return {"groups": [_failed(group, code) for group in request.groups]}
    return _failed(request, code)


def _failed(group: Entity, code: ErrorCode) -> dict[str, Any]:
    """Say of everything that was asked that it cannot be told now; v1 has no place but these."""
    return {
        "group_id": group.group_id,
        "error_code": code,
        "topics": [
            {
                "name": field(topic, "name", None),
                "topic_id": field(topic, "topic_id", None),
                "partitions": [_offset(index, None, code) for index in topic.partition_indexes],
            }
            for topic in group.topics or ()
        ],
    }


def _fetch(broker: Broker, context: Context, group: Entity) -> dict[str, Any]:
    stored = broker.log.state.groups.get(group.group_id)
    committed: Mapping[TopicPartition, Committed] = stored.committed if stored else {}
    if group.topics is None:
        topics = _all_topics(broker, context, committed)
    else:
        topics = [_topic_to_fetch(broker, topic, committed) for topic in group.topics]
    return {"group_id": group.group_id, "error_code": ErrorCode.none, "topics": topics}


def _all_topics(
    broker: Broker, context: Context, committed: Mapping[TopicPartition, Committed]
) -> list[dict[str, Any]]:
    partitions: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(committed):
        found = _offset(name.partition, committed[name], ErrorCode.none)
        partitions.setdefault(name.topic, []).append(found)
    topics = broker.log.state.topics
    return [
        {
            "name": name,
            "topic_id": topics[name].topic_id if name in topics else None,
            "partitions": found,
        }
        for name, found in partitions.items()
        if name in topics or context.api_version < 10
    ]


def _topic_to_fetch(
    broker: Broker, topic: Entity, committed: Mapping[TopicPartition, Committed]
) -> dict[str, Any]:
    name = _name_of(broker, topic)
    code = ErrorCode.unknown_topic_id if name is None else ErrorCode.none
    return {
        "name": name,
        "topic_id": field(topic, "topic_id", None),
        "partitions": [
            _offset(index, committed.get(TopicPartition(name or "", index)), code)
            for index in topic.partition_indexes
        ],
    }


def _offset(partition: int, committed: Committed | None, code: ErrorCode) -> dict[str, Any]:
    found = NO_OFFSET
    if committed is not None:
        found = {
            "committed_offset": committed.offset,
            "committed_leader_epoch": committed.leader_epoch,
            "metadata": committed.metadata,
        }
    return {"partition_index": partition, "error_code": code, **found}


# Deleting ---------------------------------------------------------------------------------------


async def offset_delete(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Forget committed offsets of topics that no member of the group reads."""
    del context
    wanted = [
        TopicPartition(topic.name, partition.partition_index)
        for topic in request.topics
        for partition in topic.partitions
    ]
    known = [name for name in wanted if _has_partition(broker, name)]
    try:
        outcomes = await broker.groups.delete_offsets(request.group_id, known)
    except TidingsError as error:
        return {"error_code": code_of_failure(error), "topics": []}
    if isinstance(outcomes, GroupError):
        return {"error_code": code_of_refusal(outcomes), "topics": []}
    codes = dict.fromkeys(wanted, ErrorCode.unknown_topic_or_partition)
    codes |= {name: code_of_refusal(outcome) for name, outcome in outcomes.items()}
    return {
        "error_code": ErrorCode.none,
        "topics": [
            {
                "name": topic.name,
                "partitions": [
                    {
                        "partition_index": partition.partition_index,
                        "error_code": codes[TopicPartition(topic.name, partition.partition_index)],
                    }
                    for partition in topic.partitions
                ],
            }
            for topic in request.topics
        ],
    }

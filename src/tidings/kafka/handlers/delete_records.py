"""DeleteRecords: moves log start offsets forward (KIP-107)."""

import asyncio
from typing import Any

from kio.schema.errors import ErrorCode

from tidings.core.state import State
from tidings.engine.log import Log
from tidings.errors import OffsetOutOfRange, TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.errors import code_of
from tidings.kafka.schema import Entity
from tidings.types import Offset, TopicPartition

TO_HIGH_WATERMARK = -1
"""The offset that stands for all records there are."""

_NO_OFFSET = -1
_DELETE = "delete"


async def delete_records(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Delete the records below an offset, for each partition of the request."""
    del context
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.timeout.total_seconds()
    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [
                    await _answer(broker.log, topic.name, partition, deadline)
                    for partition in topic.partitions
                ],
            }
            for topic in request.topics
        ]
    }


async def _answer(log: Log, topic: str, partition: Entity, deadline: float) -> dict[str, Any]:
    name = TopicPartition(topic, partition.partition_index)
    low_watermark = _NO_OFFSET
    error_code = _check(log.state, name)
    if error_code == ErrorCode.none:
        try:
            async with asyncio.timeout_at(deadline):
                low_watermark = await _delete(log, name, partition.offset)
        except TimeoutError:
            error_code = ErrorCode.request_timed_out
        except TidingsError as error:
            error_code = code_of(error)
    return {
        "partition_index": partition.partition_index,
        "low_watermark": low_watermark,
        "error_code": error_code,
    }


def _check(state: State, name: TopicPartition) -> ErrorCode:
    if not state.has_partition(name):
        return ErrorCode.unknown_topic_or_partition
    policies = state.topics[name.topic].configs.get("cleanup.policy", _DELETE)
    if _DELETE not in policies.split(","):
        return ErrorCode.policy_violation
    return ErrorCode.none


async def _delete(log: Log, name: TopicPartition, offset: int) -> Offset:
    """Delete the records of a partition below an offset; return the new log start offset."""
    if offset < TO_HIGH_WATERMARK:
        raise OffsetOutOfRange(f"offset {offset} does not exist")
    await log.barrier()
    end = log.state.end_offset(name)
    before = end if offset == TO_HIGH_WATERMARK else Offset(offset)
    if before > end:
        raise OffsetOutOfRange(f"offset {before} lies beyond the end, which is {end}")
    return await log.delete_records(name, before)

"""OffsetForLeaderEpoch: where the records of a leader's epoch end (KIP-320).

There is one epoch, which lasts: a client that asks for it learns the end of the log, so that
nothing looks truncated.
"""

from typing import Any

from kio.schema.errors import ErrorCode

from tidings.core.state import State
from tidings.engine.log import Log
from tidings.errors import TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.errors import code_of
from tidings.kafka.partitions import NO_LEADER_EPOCH, check_leader_epoch
from tidings.kafka.record_batch import LEADER_EPOCH
from tidings.kafka.schema import Entity
from tidings.types import TopicPartition

_NO_OFFSET = -1


async def offset_for_leader_epoch(
    broker: Broker, context: Context, request: Entity
) -> dict[str, Any]:
    """Return the end offset of an epoch for each partition of the request."""
    del context
    failure = await _barrier(broker.log)
    return {
        "topics": [
            {
                "topic": topic.topic,
                "partitions": [
                    _answer(broker.log.state, topic.topic, partition, failure)
                    for partition in topic.partitions
                ],
            }
            for topic in request.topics
        ]
    }


async def _barrier(log: Log) -> ErrorCode:
    try:
        await log.barrier()
    except TidingsError as error:
        return code_of(error)
    return ErrorCode.none


def _answer(state: State, topic: str, partition: Entity, failure: ErrorCode) -> dict[str, Any]:
    name = TopicPartition(topic, partition.partition)
    error_code = failure or check_leader_epoch(partition.current_leader_epoch)
    if not state.has_partition(name):
        error_code = failure or ErrorCode.unknown_topic_or_partition
    is_known = error_code == ErrorCode.none and partition.leader_epoch == LEADER_EPOCH
    return {
        "error_code": error_code,
        "partition": partition.partition,
        "leader_epoch": LEADER_EPOCH if is_known else NO_LEADER_EPOCH,
        "end_offset": state.end_offset(name) if is_known else _NO_OFFSET,
    }

"""ListOffsets: where a partition begins, ends, or reaches a time.

Negative timestamps are names: -1 the end, -2 the beginning, -3 the record with the highest
timestamp, -4 the beginning of what is on local disks (here: of all), -5 and -6 the end of what is
in remote storage, and of what is to go there (here: nothing).
"""

from typing import Any

from kio.schema.errors import ErrorCode

from tidings.engine.log import Log
from tidings.errors import TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.errors import code_of
from tidings.kafka.offsets_by_time import NOTHING, Found, first_at, newest
from tidings.kafka.partitions import NO_LEADER_EPOCH, check_leader_epoch
from tidings.kafka.record_batch import LEADER_EPOCH
from tidings.kafka.schema import Entity
from tidings.types import TopicPartition

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3
EARLIEST_LOCAL = -4
LATEST_TIERED = -5
EARLIEST_PENDING_UPLOAD = -6

_VERSION_MIN = {
    LATEST: 1,
    EARLIEST: 1,
    MAX_TIMESTAMP: 7,
    EARLIEST_LOCAL: 8,
    LATEST_TIERED: 9,
    EARLIEST_PENDING_UPLOAD: 11,
}
"""From which version on a name may be used."""


async def list_offsets(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Return an offset for each partition of the request."""
    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [
                    await _answer(broker.log, context.api_version, topic.name, partition)
                    for partition in topic.partitions
                ],
            }
            for topic in request.topics
        ]
    }


async def _answer(log: Log, version: int, topic: str, partition: Entity) -> dict[str, Any]:
    try:
        error_code, found = await _find(log, version, topic, partition)
    except TidingsError as error:
        error_code, found = code_of(error), NOTHING
    return {
        "partition_index": partition.partition_index,
        "error_code": error_code,
        "timestamp": found.timestamp_ms,
        "offset": found.offset,
        "leader_epoch": NO_LEADER_EPOCH if found == NOTHING else LEADER_EPOCH,
    }


async def _find(log: Log, version: int, topic: str, partition: Entity) -> tuple[ErrorCode, Found]:
    name = TopicPartition(topic, partition.partition_index)
    timestamp_ms = partition.timestamp
    if timestamp_ms < 0 and version < _VERSION_MIN.get(timestamp_ms, version + 1):
        return ErrorCode.unsupported_version, NOTHING
    await log.barrier()
    if not log.state.has_partition(name):
        return ErrorCode.unknown_topic_or_partition, NOTHING
    epoch = field(partition, "current_leader_epoch", NO_LEADER_EPOCH)
    epoch_code = check_leader_epoch(epoch)
    if epoch_code != ErrorCode.none:
        return epoch_code, NOTHING
    return ErrorCode.none, await _offset(log, name, timestamp_ms)


async def _offset(log: Log, name: TopicPartition, timestamp_ms: int) -> Found:
    match timestamp_ms:
        case -1:
            return Found(log.state.end_offset(name))
        case -2 | -4:
            return Found(log.state.log_start_offset(name))
        case -3:
            return await newest(log, name)
        case -5 | -6:
            return NOTHING
        case _:
            return await first_at(log, name, timestamp_ms)

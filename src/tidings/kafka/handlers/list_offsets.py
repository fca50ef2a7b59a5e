"""ListOffsets: where a partition begins, ends, or reaches a time.

Negative timestamps are names: -1 the end, -2 the beginning, -3 the record with the highest
timestamp, -4 the beginning of what is on local disks (here: of all), -5 and -6 the end of what is
in remote storage, and of what is to go there (here: nothing).
"""

from typing import Any, NamedTuple

from kio.schema.errors import ErrorCode

from tidings.engine.log import Log
from tidings.engine.reader import RecordBatch
from tidings.errors import InvalidRequest, TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.errors import code_of
from tidings.kafka.partitions import NO_LEADER_EPOCH, check_leader_epoch
from tidings.kafka.record_batch import LEADER_EPOCH
from tidings.kafka.record_times import record_times
from tidings.kafka.schema import Entity
from tidings.types import Offset, TopicPartition

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


class _Found(NamedTuple):
    """An offset, and the timestamp of its record where a record was looked for."""

    offset: int = -1
    timestamp_ms: int = -1


_NOTHING = _Found()


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
        error_code, found = code_of(error), _NOTHING
    return {
        "partition_index": partition.partition_index,
        "error_code": error_code,
        "timestamp": found.timestamp_ms,
        "offset": found.offset,
        "leader_epoch": NO_LEADER_EPOCH if found == _NOTHING else LEADER_EPOCH,
    }


async def _find(log: Log, version: int, topic: str, partition: Entity) -> tuple[ErrorCode, _Found]:
    name = TopicPartition(topic, partition.partition_index)
    timestamp_ms = partition.timestamp
    if timestamp_ms < 0 and version < _VERSION_MIN.get(timestamp_ms, version + 1):
        return ErrorCode.unsupported_version, _NOTHING
    await log.barrier()
    if not log.state.has_partition(name):
        return ErrorCode.unknown_topic_or_partition, _NOTHING
    epoch = field(partition, "current_leader_epoch", NO_LEADER_EPOCH)
    epoch_code = check_leader_epoch(epoch)
    if epoch_code != ErrorCode.none:
        return epoch_code, _NOTHING
    return ErrorCode.none, await _offset(log, name, timestamp_ms)


async def _offset(log: Log, name: TopicPartition, timestamp_ms: int) -> _Found:
    match timestamp_ms:
        case -1:
            return _Found(log.state.end_offset(name))
        case -2 | -4:
            return _Found(log.state.log_start_offset(name))
        case -3:
            return await _newest(log, name)
        case -5 | -6:
            return _NOTHING
        case _:
            return await _first_at(log, name, timestamp_ms)


async def _newest(log: Log, name: TopicPartition) -> _Found:
    """Return the first of the records with the highest timestamp."""
    batch = await log.newest_batch_by_time(name)
    if batch is None:
        return _NOTHING
    found = _readable(batch, log.state.log_start_offset(name))
    return max(found, key=lambda record: record.timestamp_ms)


async def _first_at(log: Log, name: TopicPartition, timestamp_ms: int) -> _Found:
    """Return the first record of that time or a later one.

    If the batch that claims to have one has none, because its producer lied or the record has been
    deleted, it is where the batch begins: a consumer that starts there misses nothing.
    """
    batch = await log.batch_for_time(name, timestamp_ms)
    if batch is None:
        return _NOTHING
    records = _readable(batch, log.state.log_start_offset(name))
    later = (record for record in records if record.timestamp_ms >= timestamp_ms)
    return next(later, records[0])


def _readable(batch: RecordBatch, log_start_offset: Offset) -> list[_Found]:
    """Return the records of a batch that were not deleted; at least one, its first if need be."""
    records = []
    try:
        for delta, timestamp_ms in record_times(batch.data):
            offset = batch.base_offset + delta
            if log_start_offset <= offset <= batch.last_offset:
                records.append(_Found(offset, timestamp_ms))
    except InvalidRequest:
        # Batches are stored as they came; this one's records cannot be read by anybody.
        pass
    return records or [_Found(max(batch.base_offset, log_start_offset))]

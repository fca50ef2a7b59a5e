"""From times to offsets: which record of a partition is the first of a time, and which the newest.

A batch says only the highest time of its records; the one that may hold the record is looked into.
"""

from typing import NamedTuple

from tidings.engine.log import Log
from tidings.engine.reader import RecordBatch
from tidings.errors import InvalidRequest
from tidings.kafka.record_times import record_times
from tidings.types import Offset, TopicPartition


class Found(NamedTuple):
    """An offset, and the timestamp of its record where a record was looked for."""

    offset: int = -1
    timestamp_ms: int = -1


NOTHING = Found()


async def newest(log: Log, name: TopicPartition) -> Found:
    """Return the first of the records with the highest timestamp."""
    batch = await log.newest_batch_by_time(name)
    if batch is None:
        return NOTHING
    found = _readable(batch, log.state.log_start_offset(name))
    return max(found, key=lambda record: record.timestamp_ms)


async def first_at(log: Log, name: TopicPartition, timestamp_ms: int) -> Found:
    """Return the first record of that time or a later one.

    If the batch that claims to have one has none, because its producer lied or the record has been
    deleted, it is where the batch begins: a consumer that starts there misses nothing.
    """
    batch = await log.batch_for_time(name, timestamp_ms)
    if batch is None:
        return NOTHING
    records = _readable(batch, log.state.log_start_offset(name))
    later = (record for record in records if record.timestamp_ms >= timestamp_ms)
    return next(later, records[0])


def _readable(batch: RecordBatch, log_start_offset: Offset) -> list[Found]:
    """Return the records of a batch that were not deleted; at least one, its first if need be."""
    records = []
    try:
        for delta, timestamp_ms in record_times(batch.data):
            offset = batch.base_offset + delta
            if log_start_offset <= offset <= batch.last_offset:
                records.append(Found(offset, timestamp_ms))
    except InvalidRequest:
        # Batches are stored as they came; this one's records cannot be read by anybody.
        pass
    return records or [Found(max(batch.base_offset, log_start_offset))]

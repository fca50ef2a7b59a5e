"""Which record of a batch has which time: the only look that the broker takes at records.

A record is its length (a zigzag varint), one byte of attributes, the timestamp delta and the offset
delta (varints), then key, value and headers, which are skipped.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tidings.errors import InvalidRequest
from tidings.kafka.compression import decompress
from tidings.kafka.record_batch import HEADER_BYTES, read_header
from tidings.kafka.varints import read_varint


class RecordTime(NamedTuple):
    """A record's place in its batch, and its time."""

    offset_delta: int
    timestamp_ms: int


def record_times(data: bytes) -> Iterator[RecordTime]:
    """Yield the time of each record of a batch, in their order.

    Raises:
        InvalidRequest: The records are not what the header says; some may have been yielded.
    """
    header = read_header(data)
    if header.has_log_append_time:
        for delta in range(header.last_offset_delta + 1):
            yield RecordTime(delta, header.max_timestamp_ms)
        return
    records = decompress(header.compression_code, memoryview(data)[HEADER_BYTES:])
    position = 0
    for _ in range(header.record_count):
        length, start = read_varint(records, position)
        position = start + length
        if length < 1 or position > len(records):
            raise InvalidRequest(f"a record of {length} bytes does not fit its batch")
        timestamp_delta, start = read_varint(records, start + 1)
        offset_delta, _ = read_varint(records, start)
        yield RecordTime(offset_delta, header.base_timestamp_ms + timestamp_delta)

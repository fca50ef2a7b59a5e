"""Which record of a batch has which time, and whether all have keys: the broker looks at no more.

A record is its length (a zigzag varint), one byte of attributes, the timestamp delta and the offset
delta (varints), then key, value and headers: of the key only the length is read, -1 for none.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tidings.errors import InvalidRequest
from tidings.kafka.compression import decompress
from tidings.kafka.record_batch import HEADER_BYTES, BatchHeader, read_header
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
    for records, start in _starts(data, header):
        timestamp_delta, position = read_varint(records, start)
        offset_delta, _ = read_varint(records, position)
        yield RecordTime(offset_delta, header.base_timestamp_ms + timestamp_delta)


def first_without_key(data: bytes) -> int | None:
    """Return the place in its batch of the first record without a key; None if all have one.

    Raises:
        InvalidRequest: The records are not what the header says.
    """
    for place, (records, start) in enumerate(_starts(data, read_header(data))):
        _, position = read_varint(records, start)
        _, position = read_varint(records, position)
        key_bytes, _ = read_varint(records, position)
        if key_bytes < 0:
            return place
    return None


def _starts(data: bytes, header: BatchHeader) -> Iterator[tuple[bytes | memoryview, int]]:
    """Yield all records, and where in them the timestamp delta of each stands."""
    records = decompress(header.compression_code, memoryview(data)[HEADER_BYTES:])
    position = 0
    for _ in range(header.record_count):
        length, start = read_varint(records, position)
        position = start + length
        if length < 1 or position > len(records):
            raise InvalidRequest(f"a record of {length} bytes does not fit its batch")
        yield records, start + 1

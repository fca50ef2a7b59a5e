"""Which record of a batch has which time: the only look that the broker takes at records.

A record is its length (a zigzag varint), one byte of attributes, the timestamp delta and the offset
delta (varints), then key, value and headers, which are skipped.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tidings.errors import InvalidRequest
from tidings.kafka.compression import decompress
from tidings.kafka.record_batch import HEADER_BYTES, read_header

_VARINT_BYTES_MAX = 10


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
        length, start = _read_varint(records, position)
        position = start + length
        if length < 1 or position > len(records):
            raise InvalidRequest(f"a record of {length} bytes does not fit its batch")
        timestamp_delta, start = _read_varint(records, start + 1)
        offset_delta, _ = _read_varint(records, start)
        yield RecordTime(offset_delta, header.base_timestamp_ms + timestamp_delta)


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return a zigzag varint, and the place after it."""
    value = 0
    for place, byte in enumerate(data[position : position + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position + place + 1
    raise InvalidRequest("a varint does not end")

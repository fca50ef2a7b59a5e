"""The records inside a batch: written for those who append without a client, and read for them.

A record is its length (a zigzag varint), one byte of attributes that says nothing, the timestamp
delta and the offset delta (varints), key and value (a length and bytes; -1 for null), and headers:
their count, and of each the key (UTF-8) and the value, which may be null. The batch around them is
described in `tidings.kafka.record_batch`.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cramjam

from tidings.crc import crc32c
from tidings.errors import InvalidRequest
from tidings.kafka.compression import decompress
from tidings.kafka.record_batch import HEADER_BYTES, MAGIC, Compression, read_header
from tidings.kafka.varints import read_varint, varint

Headers = Sequence[tuple[str, bytes | None]]

_BEGINNING = struct.Struct(">qiibI")
"""Base offset, length of what follows it, leader epoch, magic, CRC-32C of what follows that."""

_COVERED = struct.Struct(">hiqqqhii")
"""Attributes, last offset delta, base and max timestamp, producer id, epoch, sequence, count."""

_AFTER_LENGTH_BYTES = 9
_NO_EPOCH = -1
NO_PRODUCER = (-1, -1, -1)
_NULL = varint(-1)
_NO_ATTRIBUTES = b"\x00"


class RecordFields(NamedTuple):
    """What a record says, in or out of a batch."""

    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class PlacedRecord(NamedTuple):
    """A record of a batch, and its place there."""

    offset_delta: int
    fields: RecordFields


def encode_batch(
    records: Sequence[RecordFields],
    compression: Compression,
    producer: tuple[int, int, int] = NO_PRODUCER,
) -> bytes:
    """Return a batch as a producer sends it: one that is idempotent says id, epoch and sequence.

    Raises:
        InvalidRequest: A header's key is no text that UTF-8 can hold.
    """
    base_ms = records[0].timestamp_ms
    plain = b"".join(_encode(delta, base_ms, record) for delta, record in enumerate(records))
    covered = _COVERED.pack(
        compression,
        len(records) - 1,
        base_ms,
        max(record.timestamp_ms for record in records),
        *producer,
        len(records),
    ) + _compress(compression, plain)
    length = _AFTER_LENGTH_BYTES + len(covered)
    return _BEGINNING.pack(0, length, _NO_EPOCH, MAGIC, crc32c(covered)) + covered


def decode_batch(data: bytes) -> Iterator[PlacedRecord]:
    """Yield the records of a batch, in order.

    Raises:
        InvalidRequest: The records are not what the header says; some may have been yielded.
    """
    header = read_header(data)
    records = bytes(decompress(header.compression_code, memoryview(data)[HEADER_BYTES:]))
    append_ms = header.max_timestamp_ms if header.has_log_append_time else None
    position = 0
    for _ in range(header.record_count):
        length, start = read_varint(records, position)
        position = start + length
        if length < 1 or position > len(records):
            raise InvalidRequest(f"a record of {length} bytes does not fit its batch")
        yield _decode(records, start + 1, header.base_timestamp_ms, append_ms)


def _encode(delta: int, base_ms: int, record: RecordFields) -> bytes:
    body = b"".join(
        (
            _NO_ATTRIBUTES,
            varint(record.timestamp_ms - base_ms),
            varint(delta),
            _sized(record.key),
            _sized(record.value),
            varint(len(record.headers)),
            *(_sized(_text(key)) + _sized(value) for key, value in record.headers),
        )
    )
    return varint(len(body)) + body


def _sized(content: bytes | None) -> bytes:
    return _NULL if content is None else varint(len(content)) + content


def _text(key: str) -> bytes:
    try:
        return key.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"the header {key!r} has no UTF-8: {error.reason}") from error


def _decode(data: bytes, position: int, base_ms: int, append_ms: int | None) -> PlacedRecord:
    timestamp_delta, position = read_varint(data, position)
    offset_delta, position = read_varint(data, position)
    key, position = _read_sized(data, position)
    value, position = _read_sized(data, position)
    count, position = read_varint(data, position)
    headers = []
    for _ in range(count):
        name, position = _read_sized(data, position)
        content, position = _read_sized(data, position)
        headers.append(((name or b"").decode(errors="replace"), content))
    time_ms = base_ms + timestamp_delta if append_ms is None else append_ms
    return PlacedRecord(offset_delta, RecordFields(time_ms, key, value, tuple(headers)))


def _read_sized(data: bytes, position: int) -> tuple[bytes | None, int]:
    length, start = read_varint(data, position)
    if length < 0:
        return None, start
    if start + length > len(data):
        raise InvalidRequest(f"{length} bytes do not fit their batch")
    return data[start : start + length], start + length


def _compress(compression: Compression, data: bytes) -> bytes:
    match compression:
        case Compression.NONE:
            return data
        case Compression.GZIP:
            return bytes(cramjam.gzip.compress(data))
        case Compression.SNAPPY:
            return bytes(cramjam.snappy.compress_raw(data))
        case Compression.LZ4:
            # Kafka's Java clients refuse a frame whose blocks refer to earlier ones.
            compressor = cramjam.lz4.Compressor(block_linked=False)
            compressor.compress(data)
            return bytes(compressor.finish())
        case Compression.ZSTD:
            return bytes(cramjam.zstd.compress(data))

"""Record batches as a producer makes them, and as none should."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import cramjam
from crc32c import crc32c

from tidings.kafka.record_batch import Compression

FIRST_MS = 1_700_000_000_000


class MadeRecord(NamedTuple):
    timestamp_ms: int = FIRST_MS
    value: bytes | None = b"value"
    key: bytes | None = None


def varint(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def sized(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content


def record_bytes(delta: int, base_ms: int, record: MadeRecord) -> bytes:
    beginning = b"\x00" + varint(record.timestamp_ms - base_ms) + varint(delta)
    body = beginning + sized(record.key) + sized(record.value) + varint(0)
    return varint(len(body)) + body


def xerial(data: bytes, block_bytes: int = 32) -> bytes:
    """Snappy as snappy-java frames it, in blocks that are small, so that there are several."""
    out = [b"\x82SNAPPY\x00", struct.pack(">ii", 1, 1)]
    for start in range(0, len(data), block_bytes):
        block = bytes(cramjam.snappy.compress_raw(data[start : start + block_bytes]))
        out += [struct.pack(">i", len(block)), block]
    return b"".join(out)


def compress(code: int, data: bytes) -> bytes:
    match code:
        case Compression.GZIP:
            return bytes(cramjam.gzip.compress(data))
        case Compression.SNAPPY:
            return bytes(cramjam.snappy.compress_raw(data))
        case Compression.LZ4:
            return bytes(cramjam.lz4.compress(data))
        case Compression.ZSTD:
            return bytes(cramjam.zstd.compress(data))
        case _:
            return data


def batch_of(
    records: Sequence[MadeRecord] = (MadeRecord(),),
    *,
    base_offset: int = 0,
    leader_epoch: int = -1,
    magic: int = 2,
    attributes: int = 0,
    last_offset_delta: int | None = None,
    max_timestamp_ms: int | None = None,
    producer: tuple[int, int, int] = (-1, -1, -1),
    record_count: int | None = None,
    payload: bytes | None = None,
) -> bytes:
    """Return a batch; what is named replaces what follows from the records."""
    count = len(records)
    base_ms = records[0].timestamp_ms if records else -1
    if payload is None:
        plain = b"".join(
            record_bytes(delta, base_ms, record) for delta, record in enumerate(records)
        )
        payload = compress(attributes & 7, plain)
    if max_timestamp_ms is None:
        max_timestamp_ms = max((record.timestamp_ms for record in records), default=-1)
    covered = (
        struct.pack(
            ">hiqqqhii",
            attributes,
            count - 1 if last_offset_delta is None else last_offset_delta,
            base_ms,
            max_timestamp_ms,
            *producer,
            count if record_count is None else record_count,
        )
        + payload
    )
    before = struct.pack(">iBI", leader_epoch, magic, crc32c(covered))
    length = len(before) + len(covered)
    return struct.pack(">qi", base_offset, length) + before + covered


def with_changed_byte(data: bytes, position: int, change: int = 1) -> bytes:
    """Return bytes with one of them altered."""
    changed = bytearray(data)
    changed[position] ^= change
    return bytes(changed)

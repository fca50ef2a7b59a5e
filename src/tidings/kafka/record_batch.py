"""The record batch of Kafka, magic 2 (KIP-98): its header, what makes it acceptable, its stamps.

Records are opaque here: a batch is stored and served as it came. Only its first 61 bytes are read.

    position  size  field                    remark
           0     8  base offset              0 from producers; stamped when served
           8     4  batch length             of what follows these twelve bytes
          12     4  partition leader epoch   stamped when served
          16     1  magic                    2
          17     4  CRC-32C                  of everything from the attributes on
          21     2  attributes               see below
          23     4  last offset delta        record count - 1
          27     8  base timestamp           of the first record, ms since 1970
          35     8  max timestamp            of all records
          43     8  producer id              -1: not idempotent
          51     2  producer epoch
          53     4  base sequence
          57     4  record count
          61        records, compressed together

Attributes: bits 0-2 compression (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd), bit 3 log-append time,
bit 4 transactional, bit 5 control batch. All numbers are big-endian.

The base offset and the leader epoch lie outside the CRC, so that a broker can set them without
reading the rest.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.core.entry import ProducerStamp
from tidings.crc import crc32c
from tidings.types import Offset

MAGIC = 2
HEADER_BYTES = 61
RECORD_BYTES_MIN = 7
"""The smallest record: six fields of one byte each after its length, which takes another."""

LEADER_EPOCH = 0
"""The epoch of every partition: nobody else ever led it."""

NO_PRODUCER_ID = -1

_LENGTH_PREFIX_BYTES = 12
_LEGACY_OVERHEAD_BYTES = 14
_MAGIC_POSITION = 16
_CRC_POSITION = 17
_ATTRIBUTES_POSITION = 21
_BASE_TIMESTAMP_POSITION = 27
_MAX_TIMESTAMP_END = 43
_STAMPED_BYTES = 16
"""From the base offset to the partition leader epoch."""

_COMPRESSION_MASK = 0x07
_COMPRESSION_MAX = 4
_LOG_APPEND_TIME_BIT = 0x08
_TRANSACTIONAL_BIT = 0x10
_CONTROL_BIT = 0x20

_ZSTD_PRODUCE_VERSION_MIN = 7
"""KIP-110: older clients could be served what they cannot read."""

_HEADER = struct.Struct(">qiibIhiqqqhii")
_PLAIN = struct.Struct(">qi4xbIhi8xqqhii")
"""The same without leader epoch and base timestamp."""

_LENGTH = struct.Struct(">i")
_STAMP = struct.Struct(">q4si")
_CRC = struct.Struct(">I")
_ATTRIBUTES = struct.Struct(">h")
_TIMESTAMP = struct.Struct(">q")


class Compression(IntEnum):
    """How the records of a batch are compressed."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class BatchHeader(NamedTuple):
    """The first 61 bytes of a record batch."""

    base_offset: int
    length_bytes: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp_ms: int
    max_timestamp_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def compression_code(self) -> int:
        """The number of the compression; one of `Compression` in any batch that was checked."""
        return self.attributes & _COMPRESSION_MASK

    @property
    def has_log_append_time(self) -> bool:
        """Whether the max timestamp is the time of every record, set by the broker."""
        return bool(self.attributes & _LOG_APPEND_TIME_BIT)

    @property
    def is_idempotent(self) -> bool:
        """Whether the producer wants each batch to be appended only once."""
        return self.producer_id > NO_PRODUCER_ID


PlainBatch = tuple[int, int, ProducerStamp | None]
"""Of a batch the record count, the highest timestamp, and who wants it appended only once."""


class Refusal(NamedTuple):
    """Why a batch is not appended."""

    error_code: ErrorCode
    text: str


def read_header(data: bytes) -> BatchHeader:
    """Return the header of a batch that is in the log."""
    return BatchHeader._make(_HEADER.unpack_from(data))


def check(
    data: bytes | None, *, produce_version: int, size_bytes_max: int
) -> BatchHeader | Refusal:
    """Say whether the records of a partition in a Produce request may be appended.

    They must be exactly one batch of magic 2, whole, unaltered and without contradictions. The
    order of the checks, and the codes, are those of Kafka 4.
    """
    data = data or b""
    refusal = _check_shape(data)
    if refusal is not None:
        return refusal
    header = BatchHeader._make(_HEADER.unpack_from(data))
    return (
        _check_compression(header, produce_version)
        or _check_alone(header, len(data))
        or _check_whole(header, data, size_bytes_max)
        or _check_flags(header)
        or _check_counts(header, len(data))
        or header
    )


def read_plain(data: bytes) -> PlainBatch | None:
    """Return what matters of a batch to which `check` has no objection; None to have it checked.

    It does not look at the size limit. Nearly all batches pass here, in one go.
    """
    size = len(data)
    if size < HEADER_BYTES:
        return None
    (
        base_offset,
        length_bytes,
        magic,
        crc,
        attributes,
        last_offset_delta,
        max_timestamp_ms,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    ) = _PLAIN.unpack_from(data)
    if (
        magic != MAGIC
        or base_offset != 0
        or length_bytes != size - _LENGTH_PREFIX_BYTES
        or not 0 <= attributes <= _COMPRESSION_MAX
        or record_count < 1
        or last_offset_delta != record_count - 1
        or (attributes == 0 and record_count > (size - HEADER_BYTES) // RECORD_BYTES_MIN)
        or crc32c(memoryview(data)[_ATTRIBUTES_POSITION:]) != crc
    ):
        return None
    producer = None
    if producer_id > NO_PRODUCER_ID:
        if producer_epoch < 0 or base_sequence < 0:
            return None
        producer = ProducerStamp(producer_id, producer_epoch, base_sequence)
    return record_count, max_timestamp_ms, producer


def stamped(data: bytes, base_offset: Offset) -> tuple[bytes, memoryview]:
    """Return a batch as it is served, in two pieces: the stamped beginning, and all the rest.

    The rest is a view: nothing of it is copied.
    """
    beginning = _STAMP.pack(base_offset, data[8:12], LEADER_EPOCH)
    return beginning, memoryview(data)[_STAMPED_BYTES:]


def add_stamped(out: bytearray, data: bytes, base_offset: Offset) -> None:
    """Put a copy of a batch, stamped, at the end of a buffer: for small ones cheaper than views."""
    position = len(out)
    out += data
    _STAMP.pack_into(out, position, base_offset, data[8:12], LEADER_EPOCH)


def with_log_append_time(data: bytes, header: BatchHeader, now_ms: int) -> bytes:
    """Return a batch whose records all have the time `now_ms`, as the broker's own."""
    rest = memoryview(data)
    covered = b"".join(
        (
            _ATTRIBUTES.pack(header.attributes | _LOG_APPEND_TIME_BIT),
            rest[_ATTRIBUTES_POSITION + _ATTRIBUTES.size : 35],
            _TIMESTAMP.pack(now_ms),
            rest[_MAX_TIMESTAMP_END:],
        )
    )
    return b"".join((rest[:_CRC_POSITION], _CRC.pack(crc32c(covered)), covered))


def _check_shape(data: bytes) -> Refusal | None:
    """Refuse what does not begin with a whole batch of magic 2."""
    if len(data) <= _MAGIC_POSITION:
        return Refusal(ErrorCode.invalid_record, "there is no record batch")
    (length,) = _LENGTH.unpack_from(data, 8)
    magic = data[_MAGIC_POSITION]
    if length < _LEGACY_OVERHEAD_BYTES or magic > 2:
        return Refusal(ErrorCode.corrupt_message, "these bytes are no record batch")
    if length + _LENGTH_PREFIX_BYTES > len(data):
        return Refusal(ErrorCode.invalid_record, "the record batch is cut off")
    if magic < 2:
        return Refusal(
            ErrorCode.invalid_record,
            f"record batches have magic 2, not {magic}; use a client of Kafka 0.11 or newer",
        )
    if length + _LENGTH_PREFIX_BYTES < HEADER_BYTES:
        return Refusal(ErrorCode.corrupt_message, "the record batch is shorter than its header")
    return None


def _check_compression(header: BatchHeader, produce_version: int) -> Refusal | None:
    code = header.compression_code
    if code > Compression.ZSTD:
        text = f"compression {code} is unknown; use none, gzip, snappy, lz4 or zstd"
        return Refusal(ErrorCode.unsupported_compression_type, text)
    if code == Compression.ZSTD and produce_version < _ZSTD_PRODUCE_VERSION_MIN:
        text = f"zstd needs Produce {_ZSTD_PRODUCE_VERSION_MIN} or newer"
        return Refusal(ErrorCode.unsupported_compression_type, text)
    return None


def _check_alone(header: BatchHeader, size_bytes: int) -> Refusal | None:
    if header.length_bytes + _LENGTH_PREFIX_BYTES != size_bytes:
        text = "send exactly one record batch for each partition"
        return Refusal(ErrorCode.invalid_record, text)
    if header.base_offset != 0:
        text = f"the base offset in a Produce request is 0, not {header.base_offset}"
        return Refusal(ErrorCode.invalid_record, text)
    return None


def _check_whole(header: BatchHeader, data: bytes, size_bytes_max: int) -> Refusal | None:
    if len(data) > size_bytes_max:
        text = f"the record batch has {len(data)} bytes; max.message.bytes is {size_bytes_max}"
        return Refusal(ErrorCode.message_too_large, text)
    if crc32c(memoryview(data)[_ATTRIBUTES_POSITION:]) != header.crc:
        return Refusal(ErrorCode.corrupt_message, "the record batch fails its CRC-32C")
    return None


def _check_flags(header: BatchHeader) -> Refusal | None:
    if header.attributes & _CONTROL_BIT:
        return Refusal(ErrorCode.invalid_record, "clients may not write control batches")
    if header.attributes & _TRANSACTIONAL_BIT:
        text = "transactions are not supported; use a producer without a transactional.id"
        return Refusal(ErrorCode.transactional_id_authorization_failed, text)
    if header.has_log_append_time:
        text = "producers may not set log-append time"
        return Refusal(ErrorCode.invalid_timestamp, text)
    return None


def _check_counts(header: BatchHeader, size_bytes: int) -> Refusal | None:
    count = header.record_count
    if count < 1 or header.last_offset_delta != count - 1:
        text = f"{count} records and a last offset delta of {header.last_offset_delta} do not fit"
        return Refusal(ErrorCode.invalid_record, text)
    room = (size_bytes - HEADER_BYTES) // RECORD_BYTES_MIN
    if header.compression_code == Compression.NONE and count > room:
        text = f"{size_bytes} bytes have no room for {count} records"
        return Refusal(ErrorCode.invalid_record, text)
    if header.is_idempotent and (header.base_sequence < 0 or header.producer_epoch < 0):
        text = "a batch with a producer id needs an epoch and a sequence number"
        return Refusal(ErrorCode.invalid_record, text)
    return None

"""Fetch responses, written by hand: record bytes go to the socket from where they are.

`encode` knows the layouts of versions 4 to 18:

    before     throttle time; 7: error code, session id
    topics     name (13: id), partitions
    partition  index, error code, high watermark, last stable offset; 5: log start offset;
               aborted transactions; 11: preferred read replica; records; 12: compact and tagged

The tests compare it with the schema library's reader.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.kafka.encoding import write_uvarint
from tidings.kafka.record_batch import add_stamped, stamped
from tidings.types import Offset

FLEXIBLE_FROM = 12
TOPIC_IDS_FROM = 13
_SESSIONS_FROM = 7
_LOG_START_OFFSET_FROM = 5
_PREFERRED_REPLICA_FROM = 11

NO_OFFSET = -1
NO_SESSION = 0

COPIED_BYTES_MAX = 4096
"""A smaller batch is copied: a buffer of its own would cost more than its bytes."""

_COUNT = struct.Struct(">i")
_SIZE = struct.Struct(">h")
_BEFORE = struct.Struct(">ihi")
_PARTITION = struct.Struct(">ihqq")
_LOG_START_OFFSET = struct.Struct(">q")
_NO_THROTTLE = bytes(4)
_NO_PREFERRED_REPLICA = b"\xff\xff\xff\xff"
_NULL_ARRAY = b"\xff\xff\xff\xff"
_EMPTY_ARRAY = bytes(4)


class FetchedBatch(NamedTuple):
    """A batch as it was appended, and where it is."""

    base_offset: Offset
    data: bytes


class FetchedPartition(NamedTuple):
    """What a fetch found in one partition."""

    partition: int
    error_code: ErrorCode
    high_watermark: int = NO_OFFSET
    last_stable_offset: int = NO_OFFSET
    log_start_offset: int = NO_OFFSET
    batches: Sequence[FetchedBatch] = ()

    @property
    def size_bytes(self) -> int:
        """The size of its records."""
        return sum(len(batch.data) for batch in self.batches) if self.batches else 0


class FetchedTopic(NamedTuple):
    """What a fetch found in one topic."""

    name: str
    topic_id: bytes
    """16 bytes; used from version 13 on, instead of the name."""
    partitions: Sequence[FetchedPartition]


class _Output:
    """Buffers in the making: what is small is gathered, what is large is passed on as a view."""

    def __init__(self) -> None:
        self.gathered = bytearray()
        self._buffers: list[bytes | memoryview] = []

    def add_batch(self, batch: FetchedBatch) -> None:
        if len(batch.data) <= COPIED_BYTES_MAX:
            add_stamped(self.gathered, batch.data, batch.base_offset)
            return
        beginning, rest = stamped(batch.data, batch.base_offset)
        self.gathered += beginning
        self._buffers.append(bytes(self.gathered))
        self._buffers.append(rest)
        self.gathered.clear()

    def finish(self) -> list[bytes | memoryview]:
        self._buffers.append(bytes(self.gathered))
        return self._buffers


def encode(
    version: int,
    topics: Sequence[FetchedTopic],
    *,
    error_code: ErrorCode = ErrorCode.none,
    lists_aborted: bool = False,
) -> list[bytes | memoryview]:
    """Return the body of a Fetch response, as buffers to be sent one after the other.

    With `lists_aborted` (for who reads committed records only) the list of aborted transactions is
    there, and empty; else it is null.
    """
    out = _Output()
    if version < _SESSIONS_FROM:
        out.gathered += _NO_THROTTLE
    else:
        out.gathered += _BEFORE.pack(0, error_code, NO_SESSION)
    if version < FLEXIBLE_FROM:
        _write_topics(out, version, topics, _EMPTY_ARRAY if lists_aborted else _NULL_ARRAY)
    else:
        _write_flexible_topics(out, version, topics, b"\x01" if lists_aborted else b"\x00")
        out.gathered.append(0)
    return out.finish()


def _write_topics(
    out: _Output, version: int, topics: Sequence[FetchedTopic], aborted: bytes
) -> None:
    out.gathered += _COUNT.pack(len(topics))
    for topic in topics:
        name = topic.name.encode()
        out.gathered += _SIZE.pack(len(name))
        out.gathered += name
        out.gathered += _COUNT.pack(len(topic.partitions))
        for partition in topic.partitions:
            out.gathered += _PARTITION.pack(*partition[:4])
            if version >= _LOG_START_OFFSET_FROM:
                out.gathered += _LOG_START_OFFSET.pack(partition.log_start_offset)
            out.gathered += aborted
            if version >= _PREFERRED_REPLICA_FROM:
                out.gathered += _NO_PREFERRED_REPLICA
            out.gathered += _COUNT.pack(partition.size_bytes)
            for batch in partition.batches:
                out.add_batch(batch)


def _write_flexible_topics(
    out: _Output, version: int, topics: Sequence[FetchedTopic], aborted: bytes
) -> None:
    write_uvarint(out.gathered, len(topics) + 1)
    for topic in topics:
        if version >= TOPIC_IDS_FROM:
            out.gathered += topic.topic_id
        else:
            name = topic.name.encode()
            write_uvarint(out.gathered, len(name) + 1)
            out.gathered += name
        write_uvarint(out.gathered, len(topic.partitions) + 1)
        for partition in topic.partitions:
            out.gathered += _PARTITION.pack(*partition[:4])
            out.gathered += _LOG_START_OFFSET.pack(partition.log_start_offset)
            out.gathered += aborted
            out.gathered += _NO_PREFERRED_REPLICA
            write_uvarint(out.gathered, partition.size_bytes + 1)
            for batch in partition.batches:
                out.add_batch(batch)
            out.gathered.append(0)
        out.gathered.append(0)

"""Produce responses, written by hand: with small batches they cost as much as the rest.

`encode` knows the layouts of versions 3 to 13:

    topics     name (13: id), partitions
    partition  index, error code, base offset, log append time; 5: log start offset;
               8: record errors, error message; 9: compact and tagged
    then       throttle time

The tests compare it with the schema library's reader.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.kafka.encoding import write_uvarint

FLEXIBLE_FROM = 9
TOPIC_IDS_FROM = 13
_LOG_START_OFFSET_FROM = 5
_ERROR_MESSAGE_FROM = 8

NO_OFFSET = -1
"""What stands for an offset where there is none: a failed produce never carries a plausible one."""

NO_TIME_MS = -1

_COUNT = struct.Struct(">i")
_SIZE = struct.Struct(">h")
_PARTITION = struct.Struct(">ihqq")
_LOG_START_OFFSET = struct.Struct(">q")
_ONE = 2
"""How a compact array says that it has one item."""
_ONE_BEFORE = struct.Struct(">iiBB")
_ONE_PARTITION = struct.Struct(">Bihqqq")
_NO_RECORD_ERRORS = bytes(4)
_NULL_STRING = b"\xff\xff"
_NO_THROTTLE = bytes(4)
_ONE_END = b"\x01\x00\x00\x00" + _NO_THROTTLE + b"\x00"
"""No record errors, no error message, no tagged fields of partition and topic; and of the rest."""


class ProducedPartition(NamedTuple):
    """What became of the batch for one partition."""

    partition: int
    error_code: ErrorCode
    base_offset: int = NO_OFFSET
    log_append_time_ms: int = NO_TIME_MS
    log_start_offset: int = NO_OFFSET
    error_text: str | None = None


class ProducedTopic(NamedTuple):
    """What became of the batches for one topic."""

    name: str
    topic_id: bytes
    """16 bytes; used from version 13 on, instead of the name."""
    partitions: Sequence[ProducedPartition]


def encode(version: int, topics: Sequence[ProducedTopic]) -> bytes:
    """Return the body of a Produce response."""
    out = bytearray()
    if version < FLEXIBLE_FROM:
        _write_topics(out, version, topics)
        out += _NO_THROTTLE
    else:
        _write_flexible_topics(out, version, topics)
        out += _NO_THROTTLE
        out.append(0)
    return bytes(out)


def one_appended(
    correlation_id: int, topic: bytes, partition: int, *, base_offset: int, log_start_offset: int
) -> bytes:
    """Return a whole response, size and header included, that one batch was appended.

    As in version 9 and all later ones; `topic` is its name, compact, or its id.
    """
    size = _ONE_BEFORE.size - 4 + len(topic) + _ONE_PARTITION.size + len(_ONE_END)
    return b"".join(
        (
            _ONE_BEFORE.pack(size, correlation_id, 0, _ONE),
            topic,
            _ONE_PARTITION.pack(_ONE, partition, 0, base_offset, NO_TIME_MS, log_start_offset),
            _ONE_END,
        )
    )


def _write_topics(out: bytearray, version: int, topics: Sequence[ProducedTopic]) -> None:
    out += _COUNT.pack(len(topics))
    for topic in topics:
        _write_string(out, topic.name)
        out += _COUNT.pack(len(topic.partitions))
        for partition in topic.partitions:
            out += _PARTITION.pack(*partition[:4])
            if version >= _LOG_START_OFFSET_FROM:
                out += _LOG_START_OFFSET.pack(partition.log_start_offset)
            if version >= _ERROR_MESSAGE_FROM:
                out += _NO_RECORD_ERRORS
                _write_string(out, partition.error_text)


def _write_string(out: bytearray, text: str | None) -> None:
    if text is None:
        out += _NULL_STRING
        return
    data = text.encode()
    out += _SIZE.pack(len(data))
    out += data


def _write_flexible_topics(out: bytearray, version: int, topics: Sequence[ProducedTopic]) -> None:
    write_uvarint(out, len(topics) + 1)
    for topic in topics:
        if version >= TOPIC_IDS_FROM:
            out += topic.topic_id
        else:
            _write_compact_string(out, topic.name)
        write_uvarint(out, len(topic.partitions) + 1)
        for partition in topic.partitions:
            out += _PARTITION.pack(*partition[:4])
            out += _LOG_START_OFFSET.pack(partition.log_start_offset)
            out.append(1)
            _write_compact_string(out, partition.error_text)
            out.append(0)
        out.append(0)


def _write_compact_string(out: bytearray, text: str | None) -> None:
    if text is None:
        out.append(0)
        return
    data = text.encode()
    write_uvarint(out, len(data) + 1)
    out += data

"""The Produce request that most are: records for one partition, without a transaction or tags.

It is read in one go, many times as fast as by the general reader, which gets all others. From
version 9 on a whole request is:

    8  API key, version, correlation id
    2  size of the client id          1..  size + 1 and name of the topic (13: 16 bytes of its id)
       and the client id               1    2: one partition
    1  0: no tagged fields             4    its index
    1  0: no transactional id
    2  acks                            1..  size + 1 and records
    4  timeout                         3    0, 0, 0: no tagged fields of partition, topic, request
    1  2: one topic

The *head* is what lies between the correlation id and the records. Who has sent one sends the same
again and again, so those of late are kept together with what they say.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

from tidings.types import TopicPartition

FLEXIBLE_FROM = 9
TOPIC_IDS_FROM = 13

HEADS_MAX = 2048
"""Heads that are kept …"""

HEAD_BYTES_MAX = 512
"""… and their size; a request with a longer one is not of this kind."""

_NULL = 0xFFFF
_BEFORE = struct.Struct(">BBhiB")
_AFTER = struct.Struct(">Bi")
_ID_BYTES = 16
_TOPIC_AFTER_NULL = 10 + _BEFORE.size
"""Where the topic stands if there is no client id."""

_ONE = 2
"""How a compact array says that it has one item."""

_NO_TAGS = b"\x00\x00\x00"
_UVARINT_BYTES_MAX = 5


class Head(NamedTuple):
    """What such a request says before its records."""

    acks: int
    timeout_ms: int
    topic: bytes
    """As it stands in the request: size + 1 and name, or, from version 13 on, its id."""
    partition: TopicPartition
    """From version 13 on without the topic's name."""


def read_one_batch(version: int, frame: bytes | memoryview) -> tuple[Head, bytes] | None:
    """Return head and records of a request without its size; None if it is not of this kind."""
    try:
        client_id_size = frame[8] << 8 | frame[9]
        topic = _TOPIC_AFTER_NULL if client_id_size == _NULL else _TOPIC_AFTER_NULL + client_id_size
        end = topic + _AFTER.size + (frame[topic] if version < TOPIC_IDS_FROM else _ID_BYTES)
        if end > HEAD_BYTES_MAX or version < FLEXIBLE_FROM:
            return None
        size, start = frame[end], end + 1
        if size >= 0x80:
            size, start = _read_long_uvarint(frame, end)
        head = _read_head(version, bytes(frame[8:end]))
    except (IndexError, ValueError, struct.error):
        return None
    end = start + size - 1
    if head is None or size < 1 or frame[end : end + len(_NO_TAGS)] != _NO_TAGS:
        return None
    return head, bytes(frame[start:end])


@lru_cache(HEADS_MAX)
def _read_head(version: int, head: bytes) -> Head | None:
    """Read a head that ends where that should end; None if it has anything that is not usual."""
    after = len(head) - _AFTER.size
    size = head[0] << 8 | head[1]
    before = 2 if size == _NULL else 2 + size
    # Only to refuse what is no text, as the general reader does.
    str(head[2:before], "utf-8")
    tags, transactional_id, acks, timeout_ms, topics = _BEFORE.unpack_from(head, before)
    partitions, partition = _AFTER.unpack_from(head, after)
    if tags or transactional_id or topics != _ONE or partitions != _ONE:
        return None
    topic = head[before + _BEFORE.size : after]
    if version >= TOPIC_IDS_FROM:
        return Head(acks, timeout_ms, topic, TopicPartition("", partition))
    if not 0 < topic[0] < 0x80:
        # Null, or a size that takes two bytes.
        return None
    name = str(topic[1:], "utf-8")
    return Head(acks, timeout_ms, topic, TopicPartition(name, partition))


def _read_long_uvarint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return an unsigned varint of two bytes or more, and the position behind it."""
    high = data[position + 1]
    value = data[position] & 0x7F | (high & 0x7F) << 7
    if high < 0x80:
        return value, position + 2
    for place in range(2, _UVARINT_BYTES_MAX):
        byte = data[position + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position + place + 1
    raise ValueError("a varint does not end")

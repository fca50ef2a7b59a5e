"""The Produce request that most are: records for one partition, without a transaction or tags.

It is read in one go, several times as fast as by the general reader, which gets all others. From
version 9 on:

    1  0: no transactional id          1..  size + 1 and name of the topic (13: 16 bytes of its id)
    2  acks                            1    2: one partition
    4  timeout                         4    its index
    1  2: one topic                    1..  size + 1 and records
                                       3    0, 0, 0: no tagged fields of partition, topic, request
"""

import struct
import uuid
from types import SimpleNamespace

from tidings.errors import InvalidRequest
from tidings.kafka.decoding import Cursor, duration
from tidings.kafka.schema import Entity

FLEXIBLE_FROM = 9
TOPIC_IDS_FROM = 13

_BEFORE = struct.Struct(">BhiB")
_PARTITION = struct.Struct(">Bi")
_NO_TAGS = b"\x00\x00\x00"
_ONE = 2
"""How a compact array says that it has one item."""


def read_usual(version: int, cursor: Cursor) -> Entity | None:
    """Return the body at the cursor; None, and the cursor unmoved, if it is not the usual one."""
    start = cursor.position
    try:
        body = _read(version, cursor)
    except (InvalidRequest, ValueError, struct.error):
        body = None
    if body is None:
        cursor.position = start
    return body


def _read(version: int, cursor: Cursor) -> Entity | None:
    transactional_id, acks, timeout_ms, topics = _BEFORE.unpack_from(cursor.data, cursor.position)
    if version < FLEXIBLE_FROM or transactional_id or topics != _ONE:
        return None
    cursor.position += _BEFORE.size
    topic = SimpleNamespace(partition_data=())
    if version < TOPIC_IDS_FROM:
        topic.name = str(cursor.take(cursor.uvarint() - 1), "utf-8")
    else:
        topic.topic_id = uuid.UUID(bytes=bytes(cursor.take(16)))
    partitions, index = _PARTITION.unpack_from(cursor.data, cursor.position)
    cursor.position += _PARTITION.size
    size = cursor.uvarint() - 1
    if partitions != _ONE or size < 0:
        return None
    records = bytes(cursor.take(size))
    if cursor.take(len(_NO_TAGS)) != _NO_TAGS:
        return None
    topic.partition_data = (SimpleNamespace(index=index, records=records),)
    return SimpleNamespace(
        transactional_id=None,
        acks=acks,
        timeout=duration(timeout_ms),
        topic_data=(topic,),
    )

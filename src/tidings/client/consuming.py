"""Consuming a topic: partition by partition in order, to the end or for ever."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import NamedTuple

from tidings.client.cluster import Cluster
from tidings.client.errors import check
from tidings.errors import Unavailable
from tidings.kafka.decoding import Cursor
from tidings.kafka.record_batch import HEADER_BYTES, MAGIC, read_header
from tidings.kafka.records import RecordFields, decode_batch
from tidings.kafka.schema import Entity

MAX_WAIT_MS = 500
FETCH_BYTES_MAX = 8 * 1024 * 1024
PARTITION_BYTES_MAX = 1024 * 1024

_LENGTH_PREFIX_BYTES = 12
_CONTROL_BIT = 0x20


class Consumed(NamedTuple):
    """A record, and its place."""

    partition: int
    offset: int
    fields: RecordFields


async def consume(
    cluster: Cluster,
    topic: str,
    leaders: Mapping[int, int],
    positions: dict[int, int],
    ends: Mapping[int, int] | None,
) -> AsyncIterator[Consumed]:
    """Yield records from `positions` on, up to `ends`, or without an end.

    `positions` follows: when the next record is asked for, it is behind the one before.

    Raises:
        BrokerRefused: An offset is out of range, say.
        Unavailable: No answer.
    """
    while True:
        wanted = {
            number: offset
            for number, offset in positions.items()
            if ends is None or offset < ends[number]
        }
        if not wanted:
            return
        for number, data in await _fetch(cluster, topic, leaders, wanted):
            for record in records_of(number, data):
                is_wanted = ends is None or record.offset < ends[number]
                if record.offset >= positions[number] and is_wanted:
                    yield record
                    positions[number] = record.offset + 1
            # Behind what is no record of a producer's, such as markers of transactions.
            positions[number] = max(positions[number], _end_of(data))


async def _fetch(
    cluster: Cluster, topic: str, leaders: Mapping[int, int], wanted: Mapping[int, int]
) -> list[tuple[int, bytes]]:
    """Ask all leaders at the same time; return what there is of each partition."""
    by_leader: dict[int, list[dict[str, int]]] = {}
    for number, offset in wanted.items():
        by_leader.setdefault(leaders[number], []).append(
            {
                "partition": number,
                "current_leader_epoch": -1,
                "fetch_offset": offset,
                "partition_max_bytes": PARTITION_BYTES_MAX,
            }
        )
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(_fetch_from(cluster, leader, topic, partitions))
            for leader, partitions in by_leader.items()
        ]
    return [found for one in asked for found in one.result()]


async def _fetch_from(
    cluster: Cluster, leader: int, topic: str, partitions: list[dict[str, int]]
) -> list[tuple[int, bytes]]:
    connection = await cluster.broker(leader)
    answer = await connection.ask(
        "fetch",
        replica_id=-1,
        max_wait=MAX_WAIT_MS,
        min_bytes=1,
        max_bytes=FETCH_BYTES_MAX,
        session_epoch=-1,
        topics=[{"topic": topic, "partitions": partitions}],
    )
    check("Fetch", getattr(answer, "error_code", 0))
    return [_found(topic, one) for response in answer.responses for one in response.partitions]


def _found(topic: str, partition: Entity) -> tuple[int, bytes]:
    number: int = partition.partition_index
    check(f"partition {number} of {topic}", partition.error_code)
    return number, bytes(partition.records or b"")


def records_of(number: int, data: bytes) -> Iterator[Consumed]:
    """Yield the records of producers in what a broker sent of a partition."""
    for base_offset, batch in _batches(data):
        if read_header(batch).attributes & _CONTROL_BIT:
            continue
        for delta, fields in decode_batch(batch):
            yield Consumed(number, base_offset + delta, fields)


def _batches(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield whole batches and their base offsets; what is cut off at the end comes again."""
    cursor = Cursor(data)
    while cursor.position + HEADER_BYTES <= len(data):
        header = read_header(data[cursor.position : cursor.position + HEADER_BYTES])
        size = _LENGTH_PREFIX_BYTES + header.length_bytes
        if cursor.position + size > len(data):
            return
        if header.magic != MAGIC:
            raise Unavailable("the broker serves records of a form that ended with Kafka 0.11")
        yield header.base_offset, bytes(cursor.take(size))


def _end_of(data: bytes) -> int:
    return max(
        (base + read_header(batch).last_offset_delta + 1 for base, batch in _batches(data)),
        default=0,
    )

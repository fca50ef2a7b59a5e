"""Fetch: reads partitions until there is enough, or the client has waited long enough (KIP-74).

A request gets at least one batch if any of its partitions has one, however small its limits; that
holds for the request, not for each partition. Batches are whole: an offset in the middle of one
gets all of it, and clients skip what they did not ask for.

There are no fetch sessions (KIP-227): every answer has session id 0, which tells clients to ask for
everything each time. Nothing is transactional, so the last stable offset is the high watermark.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.core.state import State
from tidings.engine.log import Log
from tidings.errors import TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import Encoded, field
from tidings.kafka.errors import code_of
from tidings.kafka.fetch_response import (
    FetchedBatch,
    FetchedPartition,
    FetchedTopic,
    encode,
)
from tidings.kafka.partitions import (
    NO_LEADER_EPOCH,
    NamedTopic,
    check_leader_epoch,
    named_topic,
)
from tidings.kafka.schema import Entity
from tidings.types import Offset, TopicPartition

_FULL_FETCH_EPOCHS = (0, -1)
"""Of a client that asks for a session, and of one that wants none or ends one."""

_READ_COMMITTED = 1


class _Wanted(NamedTuple):
    """One partition of a request."""

    topic: NamedTopic
    name: TopicPartition
    offset: Offset
    size_bytes_max: int
    leader_epoch: int


class _Turn(NamedTuple):
    """What one request may take, and from whom first."""

    wanted: Sequence[_Wanted]
    first: int
    """The place of the partition that is looked at first.

    It moves from request to request, so that no partition always gets what the others left.
    """
    size_bytes_max: int


async def fetch(broker: Broker, context: Context, request: Entity) -> Encoded:
    """Return record batches, or what is wrong with the asking."""
    lists_aborted = request.isolation_level == _READ_COMMITTED
    error_code = _check_session(request)
    if error_code != ErrorCode.none:
        return Encoded(encode(context.api_version, (), error_code=error_code))
    wanted = _wanted(broker.log.state, request)
    first = next(broker.fetch_turns) % len(wanted) if wanted else 0
    turn = _Turn(wanted, first, min(request.max_bytes, context.answer_bytes_max))
    fetched = await _fetch_patiently(broker.log, request, turn)
    topics = _by_topic(wanted, fetched)
    return Encoded(encode(context.api_version, topics, lists_aborted=lists_aborted))


def _check_session(request: Entity) -> ErrorCode:
    if field(request, "session_epoch", _FULL_FETCH_EPOCHS[0]) in _FULL_FETCH_EPOCHS:
        return ErrorCode.none
    return ErrorCode.fetch_session_id_not_found


def _wanted(state: State, request: Entity) -> list[_Wanted]:
    wanted: list[_Wanted] = []
    for topic_data in request.topics:
        topic = named_topic(state, topic_data, "topic")
        wanted += [
            _Wanted(
                topic,
                TopicPartition(topic.name, data.partition),
                Offset(data.fetch_offset),
                data.partition_max_bytes,
                field(data, "current_leader_epoch", NO_LEADER_EPOCH),
            )
            for data in topic_data.partitions
        ]
    return wanted


async def _fetch_patiently(log: Log, request: Entity, turn: _Turn) -> list[FetchedPartition]:
    """Fetch until there are `min_bytes`, something is wrong, or the time is up."""
    fetched = await _fetch_all(log, turn)
    wait_s = request.max_wait.total_seconds()
    if wait_s <= 0 or _is_enough(fetched, request.min_bytes):
        return fetched
    # To read takes a while, in which more may have come; where nothing was read, all is as it was.
    is_old = any(
        partition.high_watermark != item.offset
        for item, partition in zip(turn.wanted, fetched, strict=True)
    )
    try:
        async with asyncio.timeout(wait_s):
            with log.watch([item.name for item in turn.wanted]) as watch:
                while True:
                    if is_old:
                        fetched = await _fetch_all(log, turn)
                    if _is_enough(fetched, request.min_bytes):
                        return fetched
                    await watch.wait()
                    is_old = True
    except TimeoutError:
        return fetched


def _is_enough(fetched: Sequence[FetchedPartition], min_bytes: int) -> bool:
    if any(partition.error_code != ErrorCode.none for partition in fetched):
        return True
    return not fetched or sum(partition.size_bytes for partition in fetched) >= min_bytes


async def _fetch_all(log: Log, turn: _Turn) -> list[FetchedPartition]:
    """Fetch from every partition once, in a circle that begins at the first of this turn.

    Awaits nothing if there is nothing to read.
    """
    left_bytes = turn.size_bytes_max
    fetched: dict[int, FetchedPartition] = {}
    has_batch = False
    for step in range(len(turn.wanted)):
        place = (turn.first + step) % len(turn.wanted)
        item = turn.wanted[place]
        partition = _without_reading(log.state, item)
        if partition is None:
            partition = await _fetch_one(log, item, left_bytes, may_exceed=not has_batch)
            left_bytes -= partition.size_bytes
            has_batch = has_batch or bool(partition.batches)
        fetched[place] = partition
    return [fetched[place] for place in range(len(turn.wanted))]


def _without_reading(state: State, item: _Wanted) -> FetchedPartition | None:
    """Return what there is to say of a partition if nothing has to be read for that."""
    error_code = _check(state, item)
    if error_code is not None:
        return FetchedPartition(item.name.partition, error_code)
    end = state.end_offset(item.name)
    if item.offset != end:
        return None
    start = state.log_start_offset(item.name)
    return FetchedPartition(item.name.partition, ErrorCode.none, end, end, start)


async def _fetch_one(
    log: Log, item: _Wanted, left_bytes: int, *, may_exceed: bool
) -> FetchedPartition:
    """Read from one partition; with `may_exceed` at least one batch, if there is one."""
    name = item.name
    size_bytes_max = min(item.size_bytes_max, left_bytes)
    batches: list[FetchedBatch] = []
    if size_bytes_max > 0 or may_exceed:
        try:
            batches = await _read(log, item, size_bytes_max)
        except TidingsError as error:
            return FetchedPartition(name.partition, code_of(error))
        if batches and not may_exceed and len(batches[0].data) > size_bytes_max:
            batches = []
    end = log.state.end_offset(name)
    start = log.state.log_start_offset(name)
    return FetchedPartition(name.partition, ErrorCode.none, end, end, start, batches)


def _check(state: State, item: _Wanted) -> ErrorCode | None:
    """Return what is wrong with the asking itself."""
    if not state.has_partition(item.name):
        return item.topic.unknown
    if item.leader_epoch == NO_LEADER_EPOCH:
        return None
    error_code = check_leader_epoch(item.leader_epoch)
    return None if error_code == ErrorCode.none else error_code


async def _read(log: Log, item: _Wanted, size_bytes_max: int) -> list[FetchedBatch]:
    found = await log.fetch(item.name, item.offset, max(size_bytes_max, 0))
    return [FetchedBatch(batch.base_offset, batch.data) for batch in found]


def _by_topic(wanted: Sequence[_Wanted], fetched: Sequence[FetchedPartition]) -> list[FetchedTopic]:
    """Group what was fetched as the request did."""
    topics: list[tuple[NamedTopic, list[FetchedPartition]]] = []
    for item, partition in zip(wanted, fetched, strict=True):
        if not topics or topics[-1][0] is not item.topic:
            topics.append((item.topic, []))
        topics[-1][1].append(partition)
    return [FetchedTopic(topic.name, topic.topic_id, parts) for topic, parts in topics]

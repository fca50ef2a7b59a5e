"""Produce: checks the batches of a request, and appends them all at once.

A batch that is refused leaves the others of its request alone. All that is checked is checked
before the first await, so that requests which are handled side by side are appended in the order
in which they came: an idempotent producer has several in flight.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.core.entry import ProducerStamp
from tidings.core.state import State
from tidings.engine.log import NewBatch
from tidings.errors import Indeterminate, InvalidRequest, TidingsError
from tidings.kafka.append_rules import Accepted, accept, rules_of
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import Encoded
from tidings.kafka.errors import code_of
from tidings.kafka.partitions import NamedTopic, named_topic
from tidings.kafka.produce_response import ProducedPartition, ProducedTopic, encode
from tidings.kafka.record_batch import Refusal
from tidings.kafka.schema import Entity
from tidings.types import Offset, TopicPartition

ACKS = (-1, 0, 1)
"""All, none, the leader. A record is on disk before it is acknowledged with -1 or 1."""

TIMEOUT_S_MIN = 1.0
"""A shorter time-out is taken for this one: there are no replicas that would not need the time."""

_TRANSACTIONAL = Refusal(
    ErrorCode.transactional_id_authorization_failed,
    "transactions are not supported; use a producer without a transactional.id",
)


class _Item(NamedTuple):
    """The records for one partition, and what is to be done with them."""

    topic: NamedTopic
    partition: int
    outcome: Accepted | Refusal


async def produce(broker: Broker, context: Context, request: Entity) -> Encoded | None:
    """Append record batches.

    Raises:
        InvalidRequest: No response is wanted (acks=0), and something was not appended: only a
            closed connection tells the producer.
    """
    items = _check(broker, context.api_version, request)
    timeout_s = max(request.timeout.total_seconds(), TIMEOUT_S_MIN)
    produced = await _append(broker, items, timeout_s)
    if request.acks == 0:
        _raise_unless_all_appended(produced)
        return None
    return Encoded([encode(context.api_version, _by_topic(items, produced))])


def _check(broker: Broker, version: int, request: Entity) -> list[_Item]:
    """Say of the records for each partition whether they can be appended."""
    refused = _refuse_all(request)
    now_ms = broker.clock.now_ms()
    state = broker.log.state
    items = []
    for topic_data in request.topic_data:
        topic = named_topic(state, topic_data, "name")
        known = state.topics.get(topic.name)
        rules = rules_of(known.configs) if known else None
        for data in topic_data.partition_data:
            if refused:
                outcome: Accepted | Refusal = refused
            elif rules is None or not state.has_partition(TopicPartition(topic.name, data.index)):
                outcome = Refusal(topic.unknown, "there is no such topic or partition")
            else:
                outcome = accept(data.records, rules, produce_version=version, now_ms=now_ms)
            items.append(_Item(topic, data.index, outcome))
    return items


def _refuse_all(request: Entity) -> Refusal | None:
    if request.acks not in ACKS:
        text = f"acks is {request.acks}; it can be 0, 1 or -1 (all)"
        return Refusal(ErrorCode.invalid_required_acks, text)
    return _TRANSACTIONAL if request.transactional_id is not None else None


async def _append(
    broker: Broker, items: Sequence[_Item], timeout_s: float
) -> list[ProducedPartition]:
    """Append what was accepted; return what became of everything."""
    batches = [
        _new_batch(item, item.outcome) for item in items if isinstance(item.outcome, Accepted)
    ]
    results = iter(await _append_in_time(broker, batches, timeout_s) if batches else ())
    return [
        _produced(broker.log.state, item, item.outcome, next(results))
        if isinstance(item.outcome, Accepted)
        else ProducedPartition(
            item.partition, item.outcome.error_code, error_text=item.outcome.text
        )
        for item in items
    ]


def _new_batch(item: _Item, accepted: Accepted) -> NewBatch:
    header = accepted.header
    return NewBatch(
        TopicPartition(item.topic.name, item.partition),
        accepted.data,
        header.record_count,
        ProducerStamp(header.producer_id, header.producer_epoch, header.base_sequence)
        if header.is_idempotent
        else None,
        accepted.max_timestamp_ms,
    )


async def _append_in_time(
    broker: Broker, batches: Sequence[NewBatch], timeout_s: float
) -> Sequence[Offset | TidingsError]:
    """Append batches together; what fails for all of them is returned for each."""
    try:
        async with asyncio.timeout(timeout_s):
            return await broker.log.append_all(batches)
    except TimeoutError:
        failure: TidingsError = Indeterminate(
            f"no outcome within {timeout_s} s; the batch may be appended still"
        )
    except TidingsError as error:
        failure = error
    return [failure] * len(batches)


def _produced(
    state: State, item: _Item, accepted: Accepted, result: Offset | TidingsError
) -> ProducedPartition:
    if isinstance(result, TidingsError):
        return ProducedPartition(item.partition, code_of(result), error_text=str(result))
    start = state.log_start_offset(TopicPartition(item.topic.name, item.partition))
    return ProducedPartition(
        item.partition, ErrorCode.none, result, accepted.log_append_time_ms, start
    )


def _raise_unless_all_appended(produced: Sequence[ProducedPartition]) -> None:
    for partition in produced:
        if partition.error_code != ErrorCode.none:
            raise InvalidRequest(
                f"a batch without acknowledgement was not appended: {partition.error_text}"
            )


def _by_topic(items: Sequence[_Item], produced: Sequence[ProducedPartition]) -> list[ProducedTopic]:
    """Group what became of the batches as the request did."""
    topics: list[tuple[NamedTopic, list[ProducedPartition]]] = []
    for item, partition in zip(items, produced, strict=True):
        if not topics or topics[-1][0] is not item.topic:
            topics.append((item.topic, []))
        topics[-1][1].append(partition)
    return [ProducedTopic(topic.name, topic.topic_id, parts) for topic, parts in topics]

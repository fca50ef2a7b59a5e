"""Produce: checks the batches of a request, and appends them all at once.

A batch that is refused leaves the others of its request alone. All that is checked is checked
at once, so that requests which are at work side by side are appended in the order in which they
came: an idempotent producer has several in flight.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from kio.schema.errors import ErrorCode

from tidings.core.entry import ProducerStamp
from tidings.core.state import State
from tidings.engine.log import NewBatch
from tidings.errors import InvalidRequest, TidingsError
from tidings.kafka.append_rules import Accepted, accept, rules_of
from tidings.kafka.at_work import AtWork, Outcome
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import Encoded
from tidings.kafka.errors import code_of
from tidings.kafka.partitions import NamedTopic, named_topic
from tidings.kafka.produce_response import ProducedPartition, ProducedTopic, encode
from tidings.kafka.record_batch import Refusal
from tidings.kafka.schema import Entity
from tidings.types import TopicPartition

T = TypeVar("T")

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


def begin(
    broker: Broker, context: Context, request: Entity, respond: Callable[[Encoded | None], T]
) -> AtWork[T]:
    """Append record batches; what is at work answers what `respond` makes of the body.

    That raises:
        InvalidRequest: No response is wanted (acks=0), and something was not appended: only a
            closed connection tells the producer.
    """
    items = _check(broker, context.api_version, request)
    batches = [
        _new_batch(item, item.outcome) for item in items if isinstance(item.outcome, Accepted)
    ]

    def answer_of(outcomes: Sequence[Outcome]) -> T:
        produced = _produced(broker.log.state, items, outcomes)
        if request.acks == 0:
            _raise_unless_all_appended(produced)
            return respond(None)
        return respond(Encoded([encode(context.api_version, _by_topic(items, produced))]))

    timeout_s = max(request.timeout.total_seconds(), TIMEOUT_S_MIN)
    return AtWork(broker.log, batches, timeout_s, answer_of)


async def produce(broker: Broker, context: Context, request: Entity) -> Encoded | None:
    """Do what `begin` does, and return the body.

    Raises:
        InvalidRequest: See `begin`.
    """
    return await begin(broker, context, request, lambda body: body).wait()


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


def _produced(
    state: State, items: Sequence[_Item], outcomes: Sequence[Outcome]
) -> list[ProducedPartition]:
    """Return what became of everything; `outcomes` are of what was accepted, in order."""
    left = iter(outcomes)
    return [
        _appended(state, item, item.outcome, next(left))
        if isinstance(item.outcome, Accepted)
        else ProducedPartition(
            item.partition, item.outcome.error_code, error_text=item.outcome.text
        )
        for item in items
    ]


def _appended(state: State, item: _Item, accepted: Accepted, outcome: Outcome) -> ProducedPartition:
    if isinstance(outcome, TidingsError):
        return ProducedPartition(item.partition, code_of(outcome), error_text=str(outcome))
    start = state.log_start_offset(TopicPartition(item.topic.name, item.partition))
    return ProducedPartition(
        item.partition, ErrorCode.none, outcome, accepted.log_append_time_ms, start
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

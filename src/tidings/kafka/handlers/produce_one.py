"""Produce as it mostly is: one batch to which nobody objects, for a topic without special wishes.

A request that is not like this, and every refusal, is left to `tidings.kafka.handlers.produce`,
which does the same for all. Here nothing is done that only others need.
"""

from collections.abc import Sequence
from functools import partial

from tidings.errors import TidingsError
from tidings.kafka.append_rules import accept_plain, rules_of
from tidings.kafka.at_work import AtWork, Outcome
from tidings.kafka.broker import Broker
from tidings.kafka.codec import PRODUCE_KEY, Buffers, Prefix, response_head
from tidings.kafka.errors import code_of
from tidings.kafka.handlers.produce import TIMEOUT_S_MIN
from tidings.kafka.produce_request import TOPIC_IDS_FROM, Head, read_one_batch
from tidings.kafka.produce_response import (
    ProducedPartition,
    ProducedTopic,
    encode,
    one_appended,
)
from tidings.types import TopicPartition

_WANTS_ANSWER = (-1, 1)


def begin(broker: Broker, prefix: Prefix, frame: bytes | memoryview) -> AtWork[Buffers] | None:
    """Append the batch of a request of this kind; None, and nothing done, if it is of another.

    What is at work answers with a whole response, size and header included.
    """
    read = read_one_batch(prefix.api_version, frame)
    if read is None:
        return None
    head, data = read
    state = broker.log.state
    name = head.partition
    if prefix.api_version >= TOPIC_IDS_FROM:
        name = TopicPartition(state.topic_ids.get(head.topic, ""), name.partition)
    topic = state.topics.get(name.topic)
    if topic is None or head.acks not in _WANTS_ANSWER or not state.has_partition(name):
        return None
    batch = accept_plain(name, data, rules_of(topic.configs), broker.clock.now_ms())
    if batch is None:
        return None
    timeout_s = max(head.timeout_ms / 1000, TIMEOUT_S_MIN)
    return AtWork(broker.log, [batch], timeout_s, partial(_answer, broker, prefix, head, name))


def _answer(
    broker: Broker, prefix: Prefix, head: Head, name: TopicPartition, outcomes: Sequence[Outcome]
) -> Buffers:
    (outcome,) = outcomes
    if isinstance(outcome, TidingsError):
        return _refusal(prefix, head, name, outcome)
    return (
        one_appended(
            prefix.correlation_id,
            head.topic,
            name.partition,
            base_offset=outcome,
            log_start_offset=broker.log.state.log_start_offset(name),
        ),
    )


def _refusal(prefix: Prefix, head: Head, name: TopicPartition, error: TidingsError) -> Buffers:
    partition = ProducedPartition(name.partition, code_of(error), error_text=str(error))
    body = encode(prefix.api_version, [ProducedTopic(name.topic, head.topic, [partition])])
    return (
        response_head(
            PRODUCE_KEY,
            flexible=True,
            correlation_id=prefix.correlation_id,
            body_bytes=len(body),
        ),
        body,
    )

"""CreateTopics, DeleteTopics and CreatePartitions.

CreateTopics v5: answers tell partition count and configs; v7: the topic's id. DeleteTopics v6:
topics by id. Items of one request are independent: one may fail while others succeed. There is one
broker and one copy of everything, so a manual assignment can only name this broker, once.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kio.schema.errors import ErrorCode

from tidings.errors import UnknownTopicOrPartition
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.handlers.configs import describe_topic_configs
from tidings.kafka.refusal import REFUSALS, Refused, error_fields, repeated
from tidings.kafka.schema import Entity
from tidings.kafka.topic_configs import parse_configs
from tidings.kafka.topic_names import colliding_name, name_refusal

PARTITION_COUNT_MAX = 10_000
"""The most partitions of a topic, and the most that one request may create."""

_DEFAULT = -1
_NO_ID = uuid.UUID(int=0)
_NOTHING: tuple[Entity, ...] = ()

Values = dict[str, Any]


class _NewTopic(NamedTuple):
    name: str
    partition_count: int
    configs: Mapping[str, str]


async def create_topics(broker: Broker, context: Context, request: Entity) -> Values:
    """Create topics, or only say whether they could be created."""
    del context
    await broker.log.barrier()
    names = [topic.name for topic in request.topics]
    twice = repeated(names)
    answers: list[Values] = [_named_twice({"name": name}) for name in twice]
    plans: list[_NewTopic] = []
    for topic in request.topics:
        if topic.name in twice:
            continue
        try:
            plans.append(_plan_topic(broker, topic, plans))
        except REFUSALS as refusal:
            answers.append({"name": topic.name, **error_fields(refusal)})
    # All at once, so that they are published together.
    async with asyncio.TaskGroup() as tasks:
        creations = [
            tasks.create_task(_create(broker, plan, validate_only=request.validate_only))
            for plan in plans
        ]
    answers += [creation.result() for creation in creations]
    return {"topics": sorted(answers, key=lambda answer: names.index(answer["name"]))}


def _named_twice(who: Values) -> Values:
    text = "the request names this more than once; name it once"
    return {**who, **error_fields(Refused(ErrorCode.invalid_request, text))}


def _plan_topic(broker: Broker, topic: Entity, planned: Sequence[_NewTopic]) -> _NewTopic:
    """Check everything that can be wrong with a topic, in the order in which Kafka checks it.

    Raises:
        Refused: The topic cannot be created so.
        InvalidConfig: One of its configs is refused.
    """
    _check_name(broker, topic.name, planned)
    configs = parse_configs({config.name: config.value for config in topic.configs})
    count = _partition_count(broker, topic)
    if count + sum(plan.partition_count for plan in planned) > PARTITION_COUNT_MAX:
        raise Refused(
            ErrorCode.policy_violation,
            f"a request may create at most {PARTITION_COUNT_MAX} partitions; ask for fewer",
        )
    return _NewTopic(topic.name, count, configs)


def _check_name(broker: Broker, name: str, planned: Sequence[_NewTopic]) -> None:
    if reason := name_refusal(name):
        raise Refused(ErrorCode.invalid_topic_exception, reason)
    topics = broker.log.state.topics
    if name in topics:
        raise _already_exists(name)
    other = colliding_name(name, [*topics, *(plan.name for plan in planned)])
    if other is not None:
        raise Refused(
            ErrorCode.invalid_topic_exception,
            f"{name} and {other} differ only in '.' and '_'; choose another name",
        )


def _already_exists(name: str) -> Refused:
    return Refused(ErrorCode.topic_already_exists, f"the topic {name} exists already")


def _partition_count(broker: Broker, topic: Entity) -> int:
    if topic.assignments:
        return _assigned_count(broker, topic)
    if topic.replication_factor not in (_DEFAULT, 1):
        raise Refused(
            ErrorCode.invalid_replication_factor,
            "brokers keep no copies, so the replication factor is 1, or -1 for the default, not "
            f"{topic.replication_factor}",
        )
    if topic.num_partitions == _DEFAULT:
        return broker.settings.num_partitions
    if topic.num_partitions < 1:
        raise Refused(
            ErrorCode.invalid_partitions,
            f"a topic has at least 1 partition, or -1 for the default, not {topic.num_partitions}",
        )
    count: int = topic.num_partitions
    return count


def _assigned_count(broker: Broker, topic: Entity) -> int:
    if topic.num_partitions != _DEFAULT or topic.replication_factor != _DEFAULT:
        raise Refused(
            ErrorCode.invalid_request,
            "with a manual assignment, partition count and replication factor have to be -1",
        )
    partitions = sorted(assignment.partition_index for assignment in topic.assignments)
    if partitions != list(range(len(partitions))):
        raise Refused(
            ErrorCode.invalid_replica_assignment,
            "a manual assignment names each partition from 0 on exactly once",
        )
    for assignment in topic.assignments:
        _check_assignment(broker, assignment.broker_ids)
    return len(partitions)


def _check_assignment(broker: Broker, broker_ids: Sequence[int]) -> None:
    """Take any one broker that is there: all serve every partition, whatever is wished."""
    known = list(broker.brokers.node_ids)
    if len(broker_ids) != 1 or broker_ids[0] not in known:
        raise Refused(
            ErrorCode.invalid_replica_assignment,
            f"a partition is assigned to one broker of {known}, not to {list(broker_ids)}",
        )


async def _create(broker: Broker, plan: _NewTopic, *, validate_only: bool) -> Values:
    name = plan.name
    try:
        if not validate_only and not await broker.log.create_topic(
            name, plan.partition_count, configs=plan.configs
        ):
            raise _already_exists(name)
    except REFUSALS as refusal:
        return {"name": name, **error_fields(refusal)}
    topic = broker.log.state.topics.get(name)
    return {
        "name": name,
        "topic_id": topic.topic_id if topic else None,
        "error_code": ErrorCode.none,
        "error_message": None,
        "num_partitions": plan.partition_count,
        "replication_factor": 1,
        "configs": describe_topic_configs(plan.configs, broker.settings),
    }


async def delete_topics(broker: Broker, context: Context, request: Entity) -> Values:
    """Delete topics by name or, from v6 on, by id."""
    del context
    await broker.log.barrier()
    wanted = [(topic.name, _id(topic)) for topic in field(request, "topics", _NOTHING)]
    wanted += [(name, None) for name in field(request, "topic_names", _NOTHING)]
    twice = repeated(wanted)
    answers = [_named_twice(_answer_key(*who)) for who in twice if who != (None, None)]
    resolved: list[str] = []
    for who in [who for who in wanted if who not in twice or who == (None, None)]:
        try:
            name = _resolve(broker, *who, resolved)
            resolved.append(name)
        except REFUSALS as refusal:
            answers.append({**_answer_key(*who), **error_fields(refusal)})
    async with asyncio.TaskGroup() as tasks:
        deletions = [tasks.create_task(_delete(broker, name)) for name in resolved]
    return {"responses": answers + [deletion.result() for deletion in deletions]}


def _id(topic: Entity) -> uuid.UUID | None:
    return None if topic.topic_id in (None, _NO_ID) else topic.topic_id


def _answer_key(name: str | None, topic_id: uuid.UUID | None) -> Values:
    return {"name": name, "topic_id": topic_id}


def _resolve(
    broker: Broker, name: str | None, topic_id: uuid.UUID | None, resolved: Sequence[str]
) -> str:
    """Return the name of a topic to delete.

    Raises:
        Refused: There is none, or the request does not say well which one.
    """
    if (name is None) == (topic_id is None):
        raise Refused(ErrorCode.invalid_request, "name a topic by its name or by its id")
    state = broker.log.state
    if topic_id is not None:
        name = state.topic_ids.get(topic_id.bytes)
        if name is None:
            raise Refused(ErrorCode.unknown_topic_id, f"there is no topic with the id {topic_id}")
    if name is None or name not in state.topics:
        raise Refused(ErrorCode.unknown_topic_or_partition, f"there is no topic {name}")
    if name in resolved:
        raise Refused(ErrorCode.invalid_request, f"{name} is named by its name and by its id")
    return name


async def _delete(broker: Broker, name: str) -> Values:
    topic = broker.log.state.topics.get(name)
    answer: Values = {"name": name, "topic_id": topic.topic_id if topic else None}
    try:
        await broker.log.delete_topic(name)
    except REFUSALS as refusal:
        return {**answer, **error_fields(refusal)}
    return {**answer, "error_code": ErrorCode.none, "error_message": None}


async def create_partitions(broker: Broker, context: Context, request: Entity) -> Values:
    """Add partitions to topics, or only say whether they could be added."""
    del context
    await broker.log.barrier()
    twice = repeated(topic.name for topic in request.topics)
    results = [_named_twice({"name": name}) for name in twice]
    for topic in request.topics:
        if topic.name in twice:
            continue
        try:
            _check_growth(broker, topic)
            if not request.validate_only:
                await broker.log.create_partitions(topic.name, topic.count)
        except REFUSALS as refusal:
            results.append({"name": topic.name, **error_fields(refusal)})
        else:
            results.append(
                {"name": topic.name, "error_code": ErrorCode.none, "error_message": None}
            )
    return {"results": results}


def _check_growth(broker: Broker, wanted: Entity) -> None:
    topic = broker.log.state.topics.get(wanted.name)
    if topic is None:
        raise UnknownTopicOrPartition(f"there is no topic {wanted.name}")
    if not topic.partition_count < wanted.count <= PARTITION_COUNT_MAX:
        raise Refused(
            ErrorCode.invalid_partitions,
            f"{wanted.name} has {topic.partition_count} partitions; ask for a new total above that "
            f"and at most {PARTITION_COUNT_MAX}, not {wanted.count}",
        )
    if wanted.assignments is None:
        return
    added = wanted.count - topic.partition_count
    if len(wanted.assignments) != added:
        raise Refused(
            ErrorCode.invalid_replica_assignment,
            f"{added} partitions would be added, but {len(wanted.assignments)} are assigned",
        )
    for assignment in wanted.assignments:
        _check_assignment(broker, assignment.broker_ids)

"""What requests about partitions have in common: names, ids, and epochs."""

from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.core.state import State
from tidings.kafka.record_batch import LEADER_EPOCH
from tidings.kafka.schema import Entity

NO_LEADER_EPOCH = -1
_NO_TOPIC_ID = bytes(16)


class NamedTopic(NamedTuple):
    """A topic as a request names it: by name, or, in newer versions, by id."""

    name: str
    """Empty if there is no topic of that id."""
    topic_id: bytes
    """16 bytes; zeros if the request gives a name."""
    unknown: ErrorCode
    """What to say if there is no such topic or partition."""


def named_topic(state: State, topic: Entity, name_field: str) -> NamedTopic:
    """Return what a topic in a request is called, known or not; `state` is the log's."""
    name = getattr(topic, name_field, None)
    if name is not None:
        return NamedTopic(name, _NO_TOPIC_ID, ErrorCode.unknown_topic_or_partition)
    topic_id = topic.topic_id.bytes if topic.topic_id else _NO_TOPIC_ID
    found = state.topic_ids.get(topic_id)
    if found is None:
        return NamedTopic("", topic_id, ErrorCode.unknown_topic_id)
    return NamedTopic(found, topic_id, ErrorCode.unknown_topic_or_partition)


def check_leader_epoch(epoch: int) -> ErrorCode:
    """Say whether a client that believes in this epoch of a partition's leader is right."""
    if epoch in {NO_LEADER_EPOCH, LEADER_EPOCH}:
        return ErrorCode.none
    if epoch < LEADER_EPOCH:
        return ErrorCode.fenced_leader_epoch
    return ErrorCode.unknown_leader_epoch

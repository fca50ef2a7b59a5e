"""Topics: their names, ids, partitions and configs. What stands in partitions is not here.

A topic that is deleted and created again is another one: it has another id, and its partitions
begin at offset 0.
"""

import msgspec

from tidings.core.entry import AlterTopic, CreatePartitions, CreateTopic
from tidings.core.results import Done, Reason, Refused
from tidings.types import Slot, TopicPartition

_UNKNOWN = Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
_INVALID = Refused(Reason.INVALID)


class Topic(msgspec.Struct, frozen=True, array_like=True):
    """One topic."""

    topic_id: bytes
    """16 bytes."""
    partition_count: int
    configs: dict[str, str]
    created_slot: Slot
    created_page: int
    """The index page that was open when it was created: older ones hold nothing of it."""


class Topics:
    """All topics that exist."""

    def __init__(self, by_name: dict[str, Topic] | None = None) -> None:
        self.by_name = by_name or {}
        # The name of each topic, by its id.
        self.names = {topic.topic_id: name for name, topic in self.by_name.items()}

    def has_partition(self, name: TopicPartition) -> bool:
        """Whether the topic exists and has this partition."""
        topic = self.by_name.get(name.topic)
        return topic is not None and 0 <= name.partition < topic.partition_count

    def create(self, operation: CreateTopic, slot: Slot, page: int) -> Done | Refused:
        """Make a topic, unless its name is taken."""
        if operation.topic in self.by_name:
            return Done(changed=False)
        if operation.topic_id in self.names:
            return _INVALID
        self.by_name[operation.topic] = Topic(
            operation.topic_id, operation.partition_count, operation.configs, slot, page
        )
        self.names[operation.topic_id] = operation.topic
        return Done()

    def delete(self, name: str) -> Topic | None:
        """Forget a topic; return what it was."""
        topic = self.by_name.pop(name, None)
        if topic is not None:
            del self.names[topic.topic_id]
        return topic

    def create_partitions(self, operation: CreatePartitions) -> Done | Refused:
        """Raise a topic's partition count."""
        topic = self.by_name.get(operation.topic)
        if topic is None:
            return _UNKNOWN
        if operation.partition_count <= topic.partition_count:
            return _INVALID
        self.by_name[operation.topic] = msgspec.structs.replace(
            topic, partition_count=operation.partition_count
        )
        return Done()

    def alter(self, operation: AlterTopic) -> Done | Refused:
        """Change a topic's configs."""
        topic = self.by_name.get(operation.topic)
        if topic is None:
            return _UNKNOWN
        merged = {**topic.configs, **operation.configs}
        configs = {key: value for key, value in merged.items() if value is not None}
        self.by_name[operation.topic] = msgspec.structs.replace(topic, configs=configs)
        return Done(configs != topic.configs)

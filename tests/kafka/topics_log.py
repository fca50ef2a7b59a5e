"""What stands in for a log where only topics matter."""

from dataclasses import dataclass, field

from tidings.errors import TidingsError


@dataclass
class Topic:
    topic_id: bytes
    partition_count: int


@dataclass
class TopicsState:
    topics: dict[str, Topic] = field(default_factory=dict)
    topic_ids: dict[bytes, str] = field(default_factory=dict)


class TopicsLog:
    """Creates topics, whose ids count up from 1."""

    def __init__(self, **partition_counts: int) -> None:
        self.state = TopicsState()
        self.barriers = 0
        self.error: TidingsError | None = None
        for name, partition_count in partition_counts.items():
            self._add(name, partition_count)

    async def barrier(self) -> None:
        self.barriers += 1

    async def create_topic(self, topic: str, partition_count: int = 1) -> bool:
        if self.error:
            raise self.error
        self._add(topic, partition_count)
        return True

    def _add(self, name: str, partition_count: int) -> None:
        topic = Topic((len(self.state.topics) + 1).to_bytes(16, "big"), partition_count)
        self.state.topics[name] = topic
        self.state.topic_ids[topic.topic_id] = name

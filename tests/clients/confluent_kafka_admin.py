"""The administration of confluent-kafka."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.cimpl import NewPartitions, NewTopic
from python_admin import SOURCES

# Most of its names are not exported as the type checker wants it.
admin: Any = import_module("confluent_kafka.admin")

PATIENCE_S = 30.0


def _result(futures: Mapping[Any, Any]) -> Any:
    (future,) = futures.values()
    return future.result(PATIENCE_S)


def _code(ask: Callable[[], Any]) -> int:
    try:
        ask()
    except KafkaException as error:
        return int(error.args[0].code())
    return 0


class ConfluentAdmin:
    """See `python_admin.Admin`."""

    def __init__(self, address: str) -> None:
        self._admin = admin.AdminClient({"bootstrap.servers": address})

    def create_topic(self, topic: str, partitions: int, copies: int = 1) -> int:
        new = NewTopic(topic, partitions, copies)
        return _code(lambda: _result(self._admin.create_topics([new])))

    def partition_count(self, topic: str) -> int:
        return len(self._admin.list_topics(topic, PATIENCE_S).topics[topic].partitions)

    def grow(self, topic: str, partitions: int) -> int:
        new = NewPartitions(topic, partitions)
        return _code(lambda: _result(self._admin.create_partitions([new])))

    def delete_topic(self, topic: str) -> int:
        return _code(lambda: _result(self._admin.delete_topics([topic])))

    def config(self, topic: str, name: str) -> tuple[str, str]:
        resource = admin.ConfigResource(admin.ResourceType.TOPIC, topic)
        found = _result(self._admin.describe_configs([resource]))[name]
        return found.value, SOURCES[int(found.source)]

    def set_config(self, topic: str, name: str, value: str) -> int:
        entry = admin.ConfigEntry(name, value, incremental_operation=admin.AlterConfigOpType.SET)
        resource = admin.ConfigResource(
            admin.ResourceType.TOPIC, topic, incremental_configs=[entry]
        )
        return _code(lambda: _result(self._admin.incremental_alter_configs([resource])))

    def group(self, group: str) -> tuple[str, int]:
        found = _result(self._admin.describe_consumer_groups([group]))
        return found.state.name.capitalize(), len(found.members)

    def groups(self) -> list[str]:
        return [one.group_id for one in self._admin.list_consumer_groups().result(PATIENCE_S).valid]

    def committed(self, group: str, topic: str) -> int:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
        (found,) = _result(self._admin.list_consumer_group_offsets([asked])).topic_partitions
        return int(found.offset)

    def delete_group(self, group: str) -> int:
        return _code(lambda: _result(self._admin.delete_consumer_groups([group])))

    def delete_records(self, topic: str, before: int) -> tuple[int, int]:
        low_watermark = -1

        def ask() -> None:
            nonlocal low_watermark
            partition = TopicPartition(topic, 0, before)
            low_watermark = _result(self._admin.delete_records([partition])).low_watermark

        return _code(ask), low_watermark

    def start(self, topic: str) -> int:
        asked = {TopicPartition(topic, 0): admin.OffsetSpec.earliest()}
        return int(_result(self._admin.list_offsets(asked)).offset)

"""The administration of kafka-python."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

# By name: the type checker takes the folder of tests of that name for the package.
kafka: Any = import_module("kafka")
kafka_admin: Any = import_module("kafka.admin")


def _code(ask: Callable[[], Any]) -> int:
    try:
        ask()
    except kafka.errors.BrokerResponseError as error:
        return int(error.errno)
    return 0


def _code_of(answer: str) -> int:
    """Return the code of an answer that is OK, or has the name of an error."""
    name = re.search(r"\w+Error\b", answer)
    assert name or answer == "OK", answer
    return int(getattr(kafka.errors, name[0]).errno) if name else 0


class KafkaPythonAdmin:
    """See `python_admin.Admin`."""

    def __init__(self, address: str) -> None:
        self._admin = kafka_admin.KafkaAdminClient(bootstrap_servers=address)

    def create_topic(self, topic: str, partitions: int, copies: int = 1) -> int:
        new = kafka_admin.NewTopic(topic, partitions, copies)
        return _code(lambda: self._admin.create_topics([new]))

    def partition_count(self, topic: str) -> int:
        (found,) = self._admin.describe_topics([topic])
        return len(found["partitions"])

    def grow(self, topic: str, partitions: int) -> int:
        return _code(lambda: self._admin.create_partitions({topic: partitions}))

    def delete_topic(self, topic: str) -> int:
        return _code(lambda: self._admin.delete_topics([topic]))

    def config(self, topic: str, name: str) -> tuple[str, str]:
        resource = kafka_admin.ConfigResource("TOPIC", topic, None)
        described = self._admin.describe_configs([resource], config_filter="all")
        (topics,) = described.values()
        return topics[topic][name]["value"], topics[topic][name]["config_source"]

    def set_config(self, topic: str, name: str, value: str) -> int:
        resource = kafka_admin.ConfigResource("TOPIC", topic, {name: value})
        (answers,) = self._admin.alter_configs([resource], raise_on_unknown=False).values()
        return _code_of(answers[topic])

    def group(self, group: str) -> tuple[str, int]:
        found = self._admin.describe_groups([group])[group]
        return found["group_state"], len(found["members"])

    def groups(self) -> list[str]:
        return [one["group_id"] for one in self._admin.list_groups()]

    def committed(self, group: str, topic: str) -> int:
        found = self._admin.list_group_offsets(group)[group]
        return int(found[kafka.TopicPartition(topic, 0)].offset)

    def delete_group(self, group: str) -> int:
        return _code_of(self._admin.delete_groups([group])[group])

    def delete_records(self, topic: str, before: int) -> tuple[int, int]:
        low_watermark = -1
        partition = kafka.TopicPartition(topic, 0)

        def ask() -> None:
            nonlocal low_watermark
            answer = self._admin.delete_records({partition: before})[partition]
            low_watermark = answer["low_watermark"]

        return _code(ask), low_watermark

    def start(self, topic: str) -> int:
        partition = kafka.TopicPartition(topic, 0)
        found = self._admin.list_partition_offsets({partition: kafka_admin.OffsetSpec.EARLIEST})
        return int(found[partition].offset)

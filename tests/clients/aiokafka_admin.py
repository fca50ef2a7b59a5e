"""The administration of aiokafka, which gives many answers as they came."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import (  # type: ignore[import-untyped]  # it comes without types
    AIOKafkaConsumer,
    TopicPartition,
)
from aiokafka.admin import (  # type: ignore[import-untyped]  # as above
    AIOKafkaAdminClient,
    NewPartitions,
    NewTopic,
    RecordsToDelete,
)
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]  # as above
    ConfigResource,
    ConfigResourceType,
)
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # as above
from python_admin import SOURCES, Unable


class AiokafkaAdmin:
    """See `python_admin.Admin`."""

    def __init__(self, runner: asyncio.Runner, address: str) -> None:
        self._runner = runner
        self._address = address

    def _do(self, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._address)
            await admin.start()
            try:
                return await ask(admin)
            finally:
                await admin.close()

        return self._runner.run(main())

    def create_topic(self, topic: str, partitions: int, copies: int = 1) -> int:
        new = NewTopic(topic, partitions, copies)
        return int(self._do(lambda admin: admin.create_topics([new])).topic_errors[0][1])

    def partition_count(self, topic: str) -> int:
        (found,) = self._do(lambda admin: admin.describe_topics([topic]))
        return len(found["partitions"])

    def grow(self, topic: str, partitions: int) -> int:
        wanted = {topic: NewPartitions(partitions)}
        try:
            self._do(lambda admin: admin.create_partitions(wanted))
        except KafkaError as error:
            return int(error.errno)
        return 0

    def delete_topic(self, topic: str) -> int:
        answer = self._do(lambda admin: admin.delete_topics([topic]))
        return int(answer.topic_error_codes[0][1])

    def config(self, topic: str, name: str) -> tuple[str, str]:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (answer,) = self._do(lambda admin: admin.describe_configs([resource]))
        (_, _, _, _, configs), *_ = answer.resources
        ((value, source),) = [(one[1], one[3]) for one in configs if one[0] == name]
        return value, SOURCES[source]

    def set_config(self, topic: str, name: str, value: str) -> int:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})
        (answer,) = self._do(lambda admin: admin.alter_configs([resource]))
        return int(answer.resources[0][0])

    def group(self, group: str) -> tuple[str, int]:
        (answer,) = self._do(lambda admin: admin.describe_consumer_groups([group]))
        ((_, _, state, _, _, members, *_),) = answer.groups
        return state, len(members)

    def groups(self) -> list[str]:
        return [name for name, *_ in self._do(lambda admin: admin.list_consumer_groups())]

    def committed(self, group: str, topic: str) -> int:
        found = self._do(lambda admin: admin.list_consumer_group_offsets(group))
        return int(found[TopicPartition(topic, 0)].offset)

    def delete_group(self, group: str) -> int:
        raise Unable(f"it deletes no groups, not even {group}")

    def delete_records(self, topic: str, before: int) -> tuple[int, int]:
        partition = TopicPartition(topic, 0)
        wanted = {partition: RecordsToDelete(before)}
        try:
            answer = self._do(lambda admin: admin.delete_records(wanted))
        except KafkaError as error:
            return int(error.errno), -1
        return 0, int(answer[partition])

    def start(self, topic: str) -> int:
        async def main() -> int:
            partition = TopicPartition(topic, 0)
            consumer = AIOKafkaConsumer(bootstrap_servers=self._address)
            await consumer.start()
            try:
                return int((await consumer.beginning_offsets([partition]))[partition])
            finally:
                await consumer.stop()

        return self._runner.run(main())

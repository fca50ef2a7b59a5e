"""Topics and groups, as the command line shows them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.client.cluster import Cluster, patiently
from tidings.client.connection import Connection
from tidings.client.errors import check
from tidings.kafka.schema import Entity

TIMEOUT_MS = 30_000

EARLIEST = -2
LATEST = -1

_PASSING = (
    ErrorCode.coordinator_load_in_progress,
    ErrorCode.coordinator_not_available,
    ErrorCode.not_coordinator,
)
"""What a coordinator says that has just been chosen."""

_TOPIC = 2
"""The kind of resource in DescribeConfigs."""


class Partition(NamedTuple):
    """One partition of a topic."""

    partition: int
    leader: int
    replicas: list[int]
    log_start_offset: int
    end_offset: int


class Lag(NamedTuple):
    """How far a group is in one partition."""

    topic: str
    partition: int
    committed_offset: int
    end_offset: int
    lag: int


class GroupInfo(NamedTuple):
    """A group, and its members."""

    group: str
    state: str
    members: list[str]


async def topics(cluster: Cluster) -> dict[str, int]:
    """Return the number of partitions of each topic, by name; internal ones are left out."""
    found = await cluster.metadata(None)
    return {
        topic.name: len(topic.partitions)
        for topic in sorted(found.topics, key=lambda topic: str(topic.name))
        if not topic.is_internal
    }


async def describe_topic(cluster: Cluster, topic: str) -> list[Partition]:
    """Return the partitions of a topic.

    Raises:
        BrokerRefused: There is no such topic.
    """
    leaders = await cluster.leaders(topic)
    (found,) = (await cluster.metadata([topic])).topics
    replicas = {one.partition_index: list(one.replica_nodes) for one in found.partitions}
    starts = await offsets(cluster, topic, leaders, EARLIEST)
    ends = await offsets(cluster, topic, leaders, LATEST)
    return [
        Partition(number, leader, replicas[number], starts[number], ends[number])
        for number, leader in leaders.items()
    ]


async def topic_configs(cluster: Cluster, topic: str) -> dict[str, str]:
    """Return the configs that were set for a topic."""
    resource = {"resource_type": _TOPIC, "resource_name": topic, "configuration_keys": None}
    (found,) = (await cluster.first.ask("describe_configs", resources=[resource])).results
    check(f"topic {topic}", found.error_code, found.error_message)
    return {
        config.name: config.value for config in found.configs if config.config_source == _SET_HERE
    }


_SET_HERE = 1
"""Of a config: it was set for the topic itself."""


async def create_topic(
    cluster: Cluster, topic: str, partitions: int, replicas: int, configs: Mapping[str, str]
) -> None:
    """Create a topic; -1 leaves a number to the broker.

    Raises:
        BrokerRefused: It exists, or is refused.
    """
    wanted = {
        "name": topic,
        "num_partitions": partitions,
        "replication_factor": replicas,
        "assignments": [],
        "configs": [{"name": name, "value": value} for name, value in configs.items()],
    }
    controller = await _controller(cluster)
    (answer,) = (await controller.ask("create_topics", topics=[wanted], timeout=TIMEOUT_MS)).topics
    check(f"topic {topic}", answer.error_code, answer.error_message)


async def delete_topic(cluster: Cluster, topic: str) -> None:
    """Delete a topic.

    Raises:
        BrokerRefused: There is no such topic.
    """
    controller = await _controller(cluster)
    answers = await controller.ask("delete_topics", topic_names=[topic], timeout=TIMEOUT_MS)
    (answer,) = answers.responses
    check(f"topic {topic}", answer.error_code)


async def _controller(cluster: Cluster) -> Connection:
    return await cluster.broker((await cluster.metadata([])).controller_id)


async def offsets(
    cluster: Cluster, topic: str, leaders: Mapping[int, int], timestamp_ms: int
) -> dict[int, int]:
    """Return an offset of each partition: `EARLIEST`, `LATEST`, or the first at a time.

    -1 where no record is of that time or later.
    """
    found: dict[int, int] = {}
    for leader in dict.fromkeys(leaders.values()):
        asked = [
            {"partition_index": number, "current_leader_epoch": -1, "timestamp": timestamp_ms}
            for number, its_leader in leaders.items()
            if its_leader == leader
        ]
        connection = await cluster.broker(leader)
        answer = await connection.ask(
            "list_offsets",
            replica_id=-1,
            isolation_level=0,
            topics=[{"name": topic, "partitions": asked}],
        )
        for partition in answer.topics[0].partitions:
            check(f"partition {partition.partition_index} of {topic}", partition.error_code)
            found[partition.partition_index] = partition.offset
    return dict(sorted(found.items()))


async def groups(cluster: Cluster) -> list[str]:
    """Return the names of all groups, of every broker."""

    async def find() -> list[str]:
        names: list[str] = []
        for connection in await cluster.brokers():
            answer = await connection.ask("list_groups", states_filter=[])
            check("groups", answer.error_code)
            names += [group.group_id for group in answer.groups]
        return names

    return sorted(dict.fromkeys(await patiently(find, _PASSING)))


async def describe_group(cluster: Cluster, group: str) -> GroupInfo:
    """Return a group's state and the clients that are its members."""

    async def find() -> Entity:
        coordinator = await cluster.coordinator(group)
        (found,) = (await coordinator.ask("describe_groups", groups=[group])).groups
        check(f"group {group}", found.error_code)
        return found

    found = await patiently(find, _PASSING)
    members = [f"{one.client_id}@{one.client_host.removeprefix('/')}" for one in found.members]
    return GroupInfo(group, found.group_state, sorted(members))


async def committed(
    cluster: Cluster, group: str, topics: Mapping[str, Sequence[int]] | None = None
) -> dict[tuple[str, int], int]:
    """Return what a group committed, by topic and partition, of some topics or all."""
    wanted = (
        None
        if topics is None
        else [{"name": name, "partition_indexes": list(found)} for name, found in topics.items()]
    )

    async def find() -> dict[tuple[str, int], int]:
        coordinator = await cluster.coordinator(group)
        answer = await coordinator.ask("offset_fetch", group_id=group, topics=wanted)
        check(f"group {group}", getattr(answer, "error_code", 0))
        found: dict[tuple[str, int], int] = {}
        for topic in answer.topics:
            for partition in topic.partitions:
                check(f"group {group}", partition.error_code)
                found[topic.name, partition.partition_index] = partition.committed_offset
        return found

    found = await patiently(find, _PASSING)
    return {place: offset for place, offset in sorted(found.items()) if offset >= 0}


async def commit(cluster: Cluster, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Commit offsets as somebody who is no member.

    Raises:
        BrokerRefused: The group has members, whose offsets these are.
    """
    told = [
        {"partition_index": number, "committed_offset": offset, "committed_metadata": ""}
        for number, offset in offsets.items()
    ]

    async def tell() -> None:
        coordinator = await cluster.coordinator(group)
        answer = await coordinator.ask(
            "offset_commit",
            group_id=group,
            generation_id_or_member_epoch=-1,
            member_id="",
            topics=[{"name": topic, "partitions": told}],
        )
        for partition in answer.topics[0].partitions:
            check(f"group {group}", partition.error_code)

    await patiently(tell, _PASSING)


async def lags(cluster: Cluster, group: str) -> list[Lag]:
    """Return how far a group is, wherever it committed something."""
    found = await committed(cluster, group)
    ends: dict[str, dict[int, int]] = {}
    for topic, _ in found:
        if topic not in ends:
            ends[topic] = await offsets(cluster, topic, await cluster.leaders(topic), LATEST)
    return [
        Lag(topic, number, offset, ends[topic][number], max(ends[topic][number] - offset, 0))
        for (topic, number), offset in found.items()
    ]


async def delete_group(cluster: Cluster, group: str) -> None:
    """Delete a group and what it committed.

    Raises:
        BrokerRefused: There is no such group, or it has members.
    """

    async def tell() -> None:
        coordinator = await cluster.coordinator(group)
        (answer,) = (await coordinator.ask("delete_groups", groups_names=[group])).results
        check(f"group {group}", answer.error_code)

    await patiently(tell, _PASSING)

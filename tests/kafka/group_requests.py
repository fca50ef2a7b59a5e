"""Requests of groups, as clients send them, to a broker whose log is a fake."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from broker_in_memory import broker_on, call
from groups_log import GroupsLog, State
from kio.schema.errors import ErrorCode

from tidings.kafka.apis import API_OF_KEY
from tidings.kafka.broker import Broker
from tidings.testing.loop import run

T_ID = uuid.UUID(int=1)
OTHER_ID = uuid.UUID(int=2)
SUBSCRIPTION = b"\0\1\0\0\0\1\0\1t"


@dataclass
class Topic:
    topic_id: bytes
    partition_count: int


@dataclass
class BrokerState(State):
    topics: dict[str, Topic] = field(default_factory=dict)
    topic_ids: dict[bytes, str] = field(default_factory=dict)


class TopicsAndGroupsLog(GroupsLog):
    """A log with the topic `t` of two partitions."""

    def __init__(self) -> None:
        super().__init__()
        self.state: BrokerState = BrokerState(
            topics={"t": Topic(T_ID.bytes, 2)}, topic_ids={T_ID.bytes: "t"}
        )


@asynccontextmanager
async def serving(log: GroupsLog | None = None, **settings: Any) -> AsyncIterator[Broker]:
    broker = broker_on(log or TopicsAndGroupsLog(), **settings)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(broker.run())
        yield broker
        running.cancel()


def in_every_version(
    *keys: int,
) -> Callable[[Callable[[int], Coroutine[None, None, None]]], Callable[[int], None]]:
    """Run a test on virtual time with every version of an API."""
    versions = {
        key: list(range(API_OF_KEY[key].lowest, API_OF_KEY[key].highest + 1)) for key in keys
    }

    def decorate(test: Callable[[int], Coroutine[None, None, None]]) -> Callable[[int], None]:
        @pytest.mark.parametrize("version", versions[keys[0]])
        def runs(version: int) -> None:
            run(test(version))

        runs.__name__, runs.__doc__ = test.__name__, test.__doc__
        return runs

    return decorate


def once(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run a test on virtual time."""

    def runs() -> None:
        run(test())

    runs.__name__, runs.__doc__ = test.__name__, test.__doc__
    return runs


async def join(broker: Broker, version: int = 9, **values: Any) -> Any:
    return await call(
        broker,
        "join_group",
        version,
        **{
            "group_id": "g",
            "session_timeout": 10_000,
            "rebalance_timeout": 20_000,
            "member_id": "",
            "protocol_type": "consumer",
            "protocols": [{"name": "range", "metadata": SUBSCRIPTION}],
            **values,
        },
    )


async def become_stable(broker: Broker, instance: str | None = "i1") -> str:
    """Let one member be the group `g`; return its id."""
    place = await join(broker, group_instance_id=instance)
    if place.error_code is ErrorCode.member_id_required:
        place = await join(broker, member_id=place.member_id)
    answer = await sync(broker, member_id=place.member_id, group_instance_id=instance)
    assert answer.error_code is ErrorCode.none
    return str(place.member_id)


async def sync(broker: Broker, version: int = 5, **values: Any) -> Any:
    return await call(
        broker,
        "sync_group",
        version,
        **{
            "group_id": "g",
            "generation_id": 1,
            "protocol_type": "consumer",
            "protocol_name": "range",
            "assignments": [{"member_id": values["member_id"], "assignment": b"all"}],
            **values,
        },
    )


def topic_of(version: int, name: str, partitions: list[Any], key: str) -> dict[str, Any]:
    ids = {"t": T_ID, "other": OTHER_ID}
    return {"name": name, "topic_id": ids[name] if version >= 10 else None, key: partitions}


async def commit(broker: Broker, version: int, offset: int = 7, **values: Any) -> Any:
    partition = {
        "partition_index": 1,
        "committed_offset": offset,
        "committed_leader_epoch": 3,
        "committed_metadata": values.pop("metadata", "mine"),
    }
    topics = [topic_of(version, "t", [partition], "partitions")]
    defaults = {"group_id": "g", "topics": topics, "retention_time": -1}
    return await call(broker, "offset_commit", version, **{**defaults, **values})


async def fetch(broker: Broker, version: int, topics: list[Any] | None) -> Any:
    if version < 8:
        return await call(broker, "offset_fetch", version, group_id="g", topics=topics)
    groups = [{"group_id": "g", "topics": topics}]
    answer = await call(broker, "offset_fetch", version, groups=groups)
    (group,) = answer.groups
    assert group.group_id == "g"
    return group

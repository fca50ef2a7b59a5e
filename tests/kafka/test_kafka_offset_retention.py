"""When committed offsets of groups without members are forgotten."""

import asyncio
import random

from groups_log import Committed, GroupsLog, StoredGroup

from tidings.core.membership.document import (
    GroupDocument,
    MemberDocument,
    Protocol,
    encode_group,
)
from tidings.errors import Unavailable
from tidings.kafka.coordinator import Coordinator
from tidings.kafka.offset_retention import CHECK_INTERVAL_S, OffsetRetention
from tidings.testing.clock import EPOCH_MS, SimClock
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

A, B = TopicPartition("t", 0), TopicPartition("t", 1)
RETENTION_MS = 3_600_000
OLD_MS = EPOCH_MS - RETENTION_MS
NEW_MS = OLD_MS + 1


def committed(**when_ms: int) -> dict[TopicPartition, Committed]:
    names = {"a": A, "b": B}
    return {names[key]: Committed(Offset(1), -1, "", at_ms) for key, at_ms in when_ms.items()}


def empty_since(saved_ms: int) -> bytes:
    return encode_group(
        GroupDocument(3, "consumer", None, None, is_assigned=False, members=[], saved_ms=saved_ms)
    )


def after_a_look(log: GroupsLog) -> dict[str, list[TopicPartition]]:
    """Return what each group has committed once retention has looked at all."""

    async def look() -> None:
        clock = SimClock(lambda: 0.0)
        coordinator = Coordinator(log, clock, random.Random(1))
        retention = OffsetRetention(coordinator, log, clock, RETENTION_MS)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(coordinator.run()), tasks.create_task(retention.run())]
            await asyncio.sleep(CHECK_INTERVAL_S + 1)
            for task in running:
                task.cancel()

    run(look())
    return {group: list(stored.committed) for group, stored in log.state.groups.items()}


def test_offsets_without_members_ever_are_forgotten_one_by_one_and_then_the_group() -> None:
    log = GroupsLog()
    log.state.groups["some"] = StoredGroup(committed(a=OLD_MS, b=NEW_MS))
    log.state.groups["all"] = StoredGroup(committed(a=OLD_MS))
    log.state.groups["none"] = StoredGroup(committed(a=NEW_MS))
    assert after_a_look(log) == {"some": [B], "none": [A]}


def test_offsets_are_kept_until_members_have_been_away_for_long() -> None:
    log = GroupsLog()
    log.state.groups["new"] = StoredGroup(committed(a=OLD_MS), 1, empty_since(NEW_MS))
    log.state.groups["old"] = StoredGroup(committed(a=OLD_MS), 1, empty_since(OLD_MS))
    log.state.groups["bare"] = StoredGroup({}, 1, empty_since(OLD_MS))
    log.state.groups["fresh"] = StoredGroup({}, 1, empty_since(NEW_MS))
    assert after_a_look(log) == {"new": [A], "fresh": []}


def test_offsets_of_a_group_with_members_are_kept() -> None:
    log = GroupsLog()
    protocols = [Protocol("range", b"")]
    member = MemberDocument("a", None, "", "", 2 * RETENTION_MS, 60_000, protocols, b"")
    document = GroupDocument(3, "consumer", "range", "a", is_assigned=True, members=[member])
    log.state.groups["g"] = StoredGroup(committed(a=OLD_MS), 1, encode_group(document))
    assert after_a_look(log) == {"g": [A]}


def test_what_cannot_be_forgotten_now_does_not_stop_the_rest() -> None:
    class Failing(GroupsLog):
        async def delete_group(self, group: str, *, version: int = -1) -> bool:
            if group == "bad":
                raise Unavailable("a full disk")
            return await super().delete_group(group, version=version)

    log = Failing()
    log.state.groups["bad"] = StoredGroup(committed(a=OLD_MS))
    log.state.groups["good"] = StoredGroup(committed(a=OLD_MS))
    assert after_a_look(log) == {"bad": [A]}

"""The coordinator on virtual time: waiting, saving, failing to save, restarting, deleting."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from groups_log import GroupsLog, StoredGroup

from tidings.core.membership.document import Protocol, decode_group
from tidings.core.membership.generations import GroupLimits, GroupState
from tidings.core.membership.messages import (
    Claim,
    GroupError,
    JoinAnswer,
    JoinRequest,
    SyncAnswer,
    SyncRequest,
)
from tidings.errors import Corrupt, Fenced, Indeterminate, TidingsError, Unavailable
from tidings.kafka import live_groups as module
from tidings.kafka.coordinator import Coordinator
from tidings.testing.clock import SimClock
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

A = TopicPartition("t", 0)
SESSION_S = 10
CLOCK = SimClock(lambda: 0.0)
AWAY = GroupError.COORDINATOR_NOT_AVAILABLE


@asynccontextmanager
async def coordinating(
    log: GroupsLog, limits: GroupLimits | None = None
) -> AsyncIterator[Coordinator]:
    """Run a coordinator; leaving is its crash."""
    coordinator = Coordinator(log, CLOCK, random.Random(1), limits)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(coordinator.run())
        yield coordinator
        running.cancel()


def on_virtual_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run a test on a loop whose time is virtual."""

    def runs() -> None:
        run(test())

    runs.__name__, runs.__doc__ = test.__name__, test.__doc__
    return runs


def join(name: str = "", *, new: str = "", metadata: bytes = b"") -> JoinRequest:
    return JoinRequest(
        member_id=name,
        new_member_id=new,
        session_timeout_ms=SESSION_S * 1000,
        rebalance_timeout_ms=60_000,
        protocol_type="consumer",
        protocols=(Protocol("range", metadata),),
        must_know_id=False,
    )


async def become_stable(coordinator: Coordinator, name: str = "a") -> JoinAnswer:
    """Let a member be the only one of a stable group `g`."""
    place = await coordinator.join("g", join(new=name))
    assert place.error is GroupError.NONE
    answer = await assign(coordinator, name, place.generation)
    assert answer.error is GroupError.NONE
    return place


async def assign(coordinator: Coordinator, name: str, generation: int) -> SyncAnswer:
    assignments = ((name, name.encode()),)
    request = SyncRequest(claim=Claim(name), generation=generation, assignments=assignments)
    return await coordinator.sync("g", request)


async def state_of(coordinator: Coordinator) -> GroupState | None:
    description = await coordinator.describe("g")
    return description.state if description else None


async def commit(coordinator: Coordinator, name: str, generation: int) -> GroupError:
    details = {A: (3, "mine")}
    return await coordinator.commit("g", Claim(name), generation, {A: Offset(7)}, details)


@on_virtual_time
async def test_member_without_others_is_stable_with_two_saves() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        place = await become_stable(coordinator)
        assert (place.generation, place.leader) == (1, "a")
        assert log.save_count == 2
        assert asyncio.get_running_loop().time() == 0


@on_virtual_time
async def test_members_wait_for_each_other() -> None:
    async with coordinating(GroupsLog()) as coordinator, asyncio.TaskGroup() as tasks:
        first = await become_stable(coordinator)
        second = tasks.create_task(coordinator.join("g", join(new="b")))
        await asyncio.sleep(1)
        assert not second.done()
        beat = await coordinator.heartbeat("g", Claim("a"), first.generation)
        assert beat is GroupError.REBALANCE_IN_PROGRESS
        again = await coordinator.join("g", join("a"))
        assert (await second).generation == again.generation == 2


@on_virtual_time
async def test_h1_nothing_is_heard_of_before_it_is_durable() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator, asyncio.TaskGroup() as tasks:
        log.may_save.clear()
        joining = tasks.create_task(coordinator.join("g", join(new="a")))
        await asyncio.sleep(5)
        assert not joining.done()
        log.may_save.set()
        await joining
        log.may_save.clear()
        syncing = tasks.create_task(assign(coordinator, "a", 1))
        await asyncio.sleep(5)
        assert not syncing.done()
        repeated = tasks.create_task(assign(coordinator, "a", 1))
        await asyncio.sleep(1)
        assert not repeated.done(), "its answer comes after the same save"
        log.may_save.set()
        assert (await syncing).assignment == (await repeated).assignment == b"a"


@pytest.mark.parametrize("error", [Unavailable("full"), Indeterminate("slow"), Fenced("another")])
def test_h2_after_a_failed_save_those_who_wait_are_sent_away_and_may_come_again(
    error: TidingsError,
) -> None:
    async def scenario() -> None:
        log = GroupsLog()
        async with coordinating(log) as coordinator:
            log.failure = error
            assert (await coordinator.join("g", join(new="a"))).error is AWAY
            assert log.state.groups == {}
            log.failure = None
            await become_stable(coordinator)

    run(scenario())


@on_virtual_time
async def test_h2_group_goes_on_from_the_journal_after_a_failed_save() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
        log.failure = Unavailable("full")
        # The leader joins again: the next generation cannot be saved.
        assert (await coordinator.join("g", join("a"))).error is AWAY
        log.failure = None
        assert await coordinator.heartbeat("g", Claim("a"), 1) is GroupError.NONE
        assert (await coordinator.join("g", join("a"))).generation == 2


@on_virtual_time
async def test_group_that_somebody_else_saved_is_read_anew() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
        log.state.groups["g"].version += 1
        assert (await coordinator.join("g", join("a"))).generation == 2


@on_virtual_time
async def test_group_that_somebody_else_saves_meanwhile_is_read_anew() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator, asyncio.TaskGroup() as tasks:
        await become_stable(coordinator)
        log.may_save.clear()
        joining = tasks.create_task(coordinator.join("g", join("a")))
        await asyncio.sleep(1)
        log.state.groups["g"].version += 1
        log.may_save.set()
        assert (await joining).error is AWAY
        assert (await coordinator.join("g", join("a"))).generation == 2


@on_virtual_time
async def test_silent_member_is_given_up_when_its_session_ends() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
        await asyncio.sleep(SESSION_S - 1)
        assert await coordinator.heartbeat("g", Claim("a"), 1) is GroupError.NONE
        await asyncio.sleep(SESSION_S - 0.001)
        assert await state_of(coordinator) is GroupState.STABLE
        await asyncio.sleep(0.002)
        assert await state_of(coordinator) is GroupState.EMPTY
        assert await coordinator.heartbeat("g", Claim("a"), 1) is GroupError.UNKNOWN_MEMBER_ID
        saved = decode_group(log.state.groups["g"].document)
        assert (saved.generation, saved.members) == (2, [])


@on_virtual_time
async def test_deadline_that_comes_before_the_one_awaited_is_kept() -> None:
    async with coordinating(GroupsLog()) as coordinator:
        patient = JoinRequest(
            new_member_id="a",
            instance_id="i1",
            session_timeout_ms=1_000_000,
            rebalance_timeout_ms=60_000,
            protocol_type="consumer",
            protocols=(Protocol("range", b""),),
        )
        await coordinator.join("g", patient)
        sync = SyncRequest(claim=Claim("a", "i1"), generation=1)
        await coordinator.sync("g", sync)
        await asyncio.sleep(100)
        # The static member is away, and keeps its place; nobody waits longer than it may take.
        assert (await coordinator.join("g", join(new="b"))).generation == 2
        assert asyncio.get_running_loop().time() == 160


@on_virtual_time
async def test_member_goes_on_after_a_restart_and_is_awaited_though_nobody_asks() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
    async with coordinating(log) as coordinator:
        assert await coordinator.heartbeat("g", Claim("a"), 1) is GroupError.NONE
        assert await commit(coordinator, "a", 1) is GroupError.NONE
        assert await commit(coordinator, "a", 0) is GroupError.ILLEGAL_GENERATION
    async with coordinating(log):
        await asyncio.sleep(2 * SESSION_S)
        assert decode_group(log.state.groups["g"].document).members == []


@on_virtual_time
async def test_generations_are_counted_on_after_a_restart() -> None:
    log = GroupsLog()
    for generation in (1, 3, 5):
        async with coordinating(log) as coordinator:
            place = await become_stable(coordinator)
            assert place.generation == generation
            await coordinator.leave("g", [Claim("a")])


@on_virtual_time
async def test_those_who_wait_when_it_ends_are_sent_away() -> None:
    log = GroupsLog()
    async with asyncio.TaskGroup() as tasks:
        async with coordinating(log) as coordinator:
            await become_stable(coordinator)
            waiting = tasks.create_task(coordinator.join("g", join(new="b")))
            await asyncio.sleep(1)
        assert (await waiting).error is AWAY


@on_virtual_time
async def test_request_that_goes_away_leaves_nothing_behind() -> None:
    async with coordinating(GroupsLog()) as coordinator, asyncio.TaskGroup() as tasks:
        await become_stable(coordinator)
        waiting = tasks.create_task(coordinator.join("g", join(new="b")))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(0)
        assert coordinator._groups._waiting == {}
        assert (await coordinator.join("g", join("a"))).generation == 2


@on_virtual_time
async def test_requests_wait_until_the_journal_is_there() -> None:
    log = GroupsLog()
    coordinator = Coordinator(log, CLOCK, random.Random(1))
    async with asyncio.TaskGroup() as tasks:
        early = tasks.create_task(coordinator.join("g", join(new="a")))
        await asyncio.sleep(1)
        assert not early.done()
        running = tasks.create_task(coordinator.run())
        assert (await early).generation == 1
        running.cancel()


# Offsets and whole groups ------------------------------------------------------------------------


@on_virtual_time
async def test_commit_is_stored_with_its_details_and_may_go_back() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
        assert await commit(coordinator, "a", 1) is GroupError.NONE
        found = log.state.groups["g"].committed[A]
        assert (found.offset, found.leader_epoch, found.metadata) == (7, 3, "mine")


@on_virtual_time
async def test_commit_to_a_group_without_members_needs_no_generation() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        assert await commit(coordinator, "a", 1) is GroupError.ILLEGAL_GENERATION
        assert "g" not in log.state.groups
        assert await commit(coordinator, "", -1) is GroupError.NONE
        assert await commit(coordinator, "a", 1) is GroupError.UNKNOWN_MEMBER_ID
        assert await commit(coordinator, "", -1) is GroupError.NONE


@on_virtual_time
async def test_commit_of_a_stranger_to_a_group_with_members_is_refused() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
        assert await commit(coordinator, "", -1) is GroupError.UNKNOWN_MEMBER_ID
        assert log.state.groups["g"].committed == {}


@on_virtual_time
async def test_group_without_members_is_not_in_memory() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
        await coordinator.leave("g", [Claim("a")])
        await coordinator.heartbeat("g", Claim("a"), 1)
        await coordinator.heartbeat("other", Claim("a"), 1)
        assert (await coordinator.join("other", join("a"))).error is GroupError.UNKNOWN_MEMBER_ID
        assert list(coordinator._groups) == []


@on_virtual_time
async def test_group_is_described_and_listed() -> None:
    log = GroupsLog()
    log.state.groups["simple"] = StoredGroup()
    async with coordinating(log) as coordinator:
        assert await coordinator.describe("g") is None
        await become_stable(coordinator)
        found = await coordinator.list_groups()
        assert [(name, what.state) for name, what in found.items()] == [
            ("simple", GroupState.EMPTY),
            ("g", GroupState.STABLE),
        ]
        assert found["g"].document.members[0].assignment == b"a"
        assert found["simple"].document.members == []


@on_virtual_time
async def test_nobody_can_leave_a_group_that_does_not_exist() -> None:
    async with coordinating(GroupsLog()) as coordinator:
        answer = await coordinator.leave("g", [Claim("a")])
        assert answer.error is GroupError.UNKNOWN_MEMBER_ID


@on_virtual_time
async def test_only_a_group_without_members_can_be_deleted() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        assert await coordinator.delete("g") is GroupError.GROUP_ID_NOT_FOUND
        await become_stable(coordinator)
        assert await coordinator.delete("g") is GroupError.NON_EMPTY_GROUP
        await coordinator.leave("g", [Claim("a")])
        assert await coordinator.delete("g") is GroupError.NONE
        assert log.state.groups == {}
        assert (await become_stable(coordinator)).generation == 1


@on_virtual_time
async def test_group_that_is_being_deleted_sends_away_who_comes() -> None:
    log = GroupsLog()
    log.state.groups["g"] = StoredGroup()
    async with coordinating(log) as coordinator, asyncio.TaskGroup() as tasks:
        deleting = tasks.create_task(coordinator.delete("g"))
        await asyncio.sleep(0)
        assert (await coordinator.join("g", join(new="a"))).error is AWAY
        assert await deleting is GroupError.NONE
        await become_stable(coordinator)


@on_virtual_time
async def test_group_whose_last_save_is_under_way_can_be_deleted_without_a_trace() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator, asyncio.TaskGroup() as tasks:
        await become_stable(coordinator)
        leaving = tasks.create_task(coordinator.leave("g", [Claim("a")]))
        await asyncio.sleep(0)
        assert await coordinator.delete("g") is GroupError.NONE
        await leaving
        await asyncio.sleep(1)
        assert log.state.groups == {}


@on_virtual_time
async def test_offsets_of_topics_that_members_read_are_kept() -> None:
    log = GroupsLog()
    b = TopicPartition("other", 0)
    async with coordinating(log) as coordinator:
        assert await coordinator.delete_offsets("g", [A]) is GroupError.GROUP_ID_NOT_FOUND
        subscription = b"\0\1\0\0\0\1\0\1t"
        place = await coordinator.join("g", join(new="a", metadata=subscription))
        await assign(coordinator, "a", place.generation)
        await coordinator.commit("g", Claim("a"), 1, {A: Offset(1), b: Offset(2)}, {})
        assert await coordinator.delete_offsets("g", [A, b]) == {
            A: GroupError.GROUP_SUBSCRIBED_TO_TOPIC,
            b: GroupError.NONE,
        }
        assert list(log.state.groups["g"].committed) == [A]
        await coordinator.leave("g", [Claim("a")])
        assert await coordinator.delete_offsets("g", [A]) == {A: GroupError.NONE}


@on_virtual_time
async def test_offsets_of_a_group_of_another_kind_are_kept_while_it_has_members() -> None:
    log = GroupsLog()
    async with coordinating(log) as coordinator:
        request = JoinRequest(
            new_member_id="a",
            session_timeout_ms=6_000,
            rebalance_timeout_ms=6_000,
            protocol_type="connect",
            protocols=(Protocol("x", b""),),
            must_know_id=False,
        )
        await coordinator.join("g", request)
        assert await coordinator.delete_offsets("g", [A]) is GroupError.NON_EMPTY_GROUP


# Bounds and bad data -----------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["WAITING_MAX", "LIVE_GROUPS_MAX"])
def test_who_finds_the_coordinator_full_is_sent_away(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with coordinating(GroupsLog()) as coordinator:
            monkeypatch.setattr(module, bound, 0)
            assert (await coordinator.join("g", join(new="a"))).error is AWAY

    run(scenario())


@on_virtual_time
async def test_group_that_cannot_be_read_does_not_stop_the_others() -> None:
    log = GroupsLog()
    log.state.groups["bad"] = StoredGroup(version=1, document=b"G\x63????")
    async with coordinating(log) as coordinator:
        await become_stable(coordinator)
        with pytest.raises(Corrupt, match="layout 63"):
            await coordinator.join("bad", join(new="a"))


def test_member_ids_are_new_each_time() -> None:
    coordinator = Coordinator(GroupsLog(), CLOCK, random.Random(1))
    first, second = coordinator.new_member_id("c"), coordinator.new_member_id("c")
    assert first.startswith("c-")
    assert first != second

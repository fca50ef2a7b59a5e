"""Two coordinators on one journal, of which one does not know yet what the other has done."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from groups_log import GroupsLog
from simulated_coordinators import Fold
from simulated_group import UnsettledLog

from tidings.core.membership.document import Protocol, decode_group
from tidings.core.membership.generations import GroupState
from tidings.core.membership.messages import (
    Claim,
    GroupError,
    JoinAnswer,
    JoinRequest,
    SyncRequest,
)
from tidings.errors import Unavailable
from tidings.kafka.coordinator import Coordinator
from tidings.testing.clock import SimClock
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

A = TopicPartition("t", 0)
G = "g"
SESSION_S = 10


def on_virtual_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run a test on a loop whose time is virtual."""

    def runs() -> None:
        run(test())

    runs.__name__, runs.__doc__ = test.__name__, test.__doc__
    return runs


class Rival:
    """A coordinator among others, and what it believes."""

    def __init__(self, shared: UnsettledLog, *, is_own: bool) -> None:
        self.is_own = is_own
        self.fold = Fold(shared, random.Random(1))
        self.coordinator = Coordinator(
            self.fold,
            SimClock(lambda: 0.0),
            random.Random(id(self) % 2),
            is_own=lambda _: self.is_own,
        )

    def learn(self, *, is_own: bool) -> None:
        """Hear of who coordinates the group."""
        self.is_own = is_own
        self.coordinator.look_again()

    async def commit(self, member: str, generation: int, offset: int = 7) -> GroupError:
        return await self.coordinator.commit(G, Claim(member), generation, {A: Offset(offset)}, {})


@asynccontextmanager
async def rivals() -> AsyncIterator[tuple[UnsettledLog, Rival, Rival]]:
    """Run two coordinators, of which the first has the group."""
    shared = UnsettledLog(random.Random(1))
    first, second = Rival(shared, is_own=True), Rival(shared, is_own=False)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each.coordinator.run()) for each in (first, second)]
        yield shared, first, second
        for task in running:
            task.cancel()


def request(member: str = "", *, new: str = "") -> JoinRequest:
    return JoinRequest(
        member_id=member,
        new_member_id=new,
        session_timeout_ms=SESSION_S * 1000,
        rebalance_timeout_ms=60_000,
        protocol_type="consumer",
        protocols=(Protocol("range", b""),),
        must_know_id=False,
    )


async def become_stable(rival: Rival, name: str = "a") -> JoinAnswer:
    """Let a member be the only one of a stable group."""
    place = await rival.coordinator.join(G, request(new=name))
    assert place.error is GroupError.NONE
    sync = SyncRequest(claim=Claim(name), generation=place.generation, assignments=((name, b""),))
    assert (await rival.coordinator.sync(G, sync)).error is GroupError.NONE
    return place


def committed(log: GroupsLog) -> int:
    return log.state.groups[G].committed[A].offset


@on_virtual_time
async def test_coordinator_takes_up_a_group_with_its_members_and_their_generation() -> None:
    async with rivals() as (_, first, second):
        await become_stable(first)
        first.learn(is_own=False)
        second.learn(is_own=True)
        await asyncio.sleep(1)
        assert await second.coordinator.heartbeat(G, Claim("a"), 1) is GroupError.NONE
        assert await second.commit("a", 1) is GroupError.NONE
        description = await second.coordinator.describe(G)
        assert description is not None
        assert description.state is GroupState.STABLE


@on_virtual_time
async def test_coordinator_that_is_not_preferred_sends_everybody_away() -> None:
    away = GroupError.NOT_COORDINATOR
    async with rivals() as (_, first, second):
        await become_stable(first)
        theirs = second.coordinator
        assert (await theirs.join(G, request("a"))).error is away
        sync = SyncRequest(claim=Claim("a"), generation=1, assignments=())
        assert (await theirs.sync(G, sync)).error is away
        assert (await theirs.leave(G, [Claim("a")])).error is away
        assert await theirs.heartbeat(G, Claim("a"), 1) is away
        assert await second.commit("a", 1) is away
        assert await theirs.delete_offsets(G, [A]) is away
        assert await theirs.delete(G) is away
        assert await theirs.list_groups() == {}
        assert list(await first.coordinator.list_groups()) == [G]


@on_virtual_time
async def test_members_that_wait_are_sent_away_when_their_group_moves() -> None:
    async with rivals() as (_, first, second), asyncio.TaskGroup() as tasks:
        await become_stable(first)
        joining = tasks.create_task(first.coordinator.join(G, request(new="b")))
        await asyncio.sleep(1)
        assert not joining.done()
        first.learn(is_own=False)
        second.learn(is_own=True)
        assert (await joining).error is GroupError.NOT_COORDINATOR


@on_virtual_time
async def test_h3_commit_through_a_coordinator_that_lost_the_group_is_refused() -> None:
    async with rivals() as (shared, first, second):
        await become_stable(first)
        assert await first.commit("a", 1, 5) is GroupError.NONE
        # The first hears of nothing from now on but its member, whom the second gives up.
        second.learn(is_own=True)
        for _ in range(SESSION_S + 1):
            await asyncio.sleep(1)
            assert await first.coordinator.heartbeat(G, Claim("a"), 1) is GroupError.NONE
        await become_stable(second, "b")
        assert await second.commit("b", 3, 20) is GroupError.NONE
        assert await first.commit("a", 1, 6) is GroupError.COORDINATOR_NOT_AVAILABLE
        assert committed(shared) == 20


@on_virtual_time
async def test_h3_coordinator_is_fenced_as_soon_as_another_has_taken_up_its_group() -> None:
    async with rivals() as (shared, first, second):
        await become_stable(first)
        version = shared.state.groups[G].version
        second.learn(is_own=True)
        await asyncio.sleep(1)
        saved = shared.state.groups[G]
        assert saved.version == version + 1
        assert decode_group(saved.document).generation == 1
        answer = await first.coordinator.join(G, request("a"))
        assert answer.error is GroupError.COORDINATOR_NOT_AVAILABLE
        assert shared.state.groups[G].version == version + 1


@on_virtual_time
async def test_h3_group_that_has_members_elsewhere_is_not_deleted() -> None:
    async with rivals() as (shared, first, second):
        await become_stable(first)
        await first.commit("a", 1, 5)
        await first.coordinator.leave(G, [Claim("a")])
        second.learn(is_own=True)
        await become_stable(second, "b")
        stale = first.fold.state.groups[G].version
        assert stale < shared.state.groups[G].version
        # It has no such group in memory, and its barrier shows it nothing new.
        first.fold.catch_up = lambda: None  # type: ignore[method-assign] # cut off
        assert await first.coordinator.delete(G) is GroupError.NON_EMPTY_GROUP
        assert await first.coordinator.delete_offsets(G, [A]) is not GroupError.NONE
        assert committed(shared) == 5


@on_virtual_time
async def test_coordinator_goes_on_when_the_store_answers_again() -> None:
    async with rivals() as (shared, first, second):
        await become_stable(first)
        barrier = second.fold.barrier

        async def no_answer() -> None:
            raise Unavailable("no answer")

        second.fold.barrier = no_answer  # type: ignore[method-assign] # the store is away
        second.learn(is_own=True)
        await asyncio.sleep(2)
        with pytest.raises(Unavailable):
            await second.coordinator.heartbeat(G, Claim("a"), 1)
        second.fold.barrier = barrier  # type: ignore[method-assign] # it is back
        await asyncio.sleep(1)
        assert await second.coordinator.heartbeat(G, Claim("a"), 1) is GroupError.NONE
        assert decode_group(shared.state.groups[G].document).members

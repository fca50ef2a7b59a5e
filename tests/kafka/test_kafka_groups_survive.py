"""Groups on the real log: what a broker that died leaves to the next one on the same stores."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker_in_memory import broker_on, call
from group_requests import become_stable, commit, fetch, join, once, sync, topic_of
from kio.schema.errors import ErrorCode
from lone_broker import Alone

from tidings.engine.log import Log
from tidings.kafka.broker import Broker
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.clock import SimClock


class Stores:
    """What outlives every broker."""

    def __init__(self) -> None:
        self._order = MemoryOrderStore(is_exclusive=True)
        self._blobs = MemoryBlobStore()
        self._lives = 0

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        """Run a broker; leaving kills it."""
        self._lives += 1
        rng = random.Random(f"life/{self._lives}")
        clock = SimClock(asyncio.get_running_loop().time)
        log = Log(self._order, self._blobs, peers=Alone(), clock=clock, rng=rng)
        async with asyncio.TaskGroup() as tasks:
            broker = broker_on(log)
            running = [tasks.create_task(log.run()), tasks.create_task(broker.run())]
            await log.create_topic("t", 2)
            yield broker
            for task in running:
                task.cancel()


async def commit_code(broker: Broker, member_id: str, generation: int) -> ErrorCode:
    answer = await commit(broker, 9, member_id=member_id, generation_id_or_member_epoch=generation)
    code = answer.topics[0].partitions[0].error_code
    assert isinstance(code, ErrorCode)
    return code


async def heartbeat_code(broker: Broker, member_id: str, generation: int) -> ErrorCode:
    claim = {"member_id": member_id, "generation_id": generation}
    answer = await call(broker, "heartbeat", 4, group_id="g", **claim)
    code = answer.error_code
    assert isinstance(code, ErrorCode)
    return code


@once
async def test_member_goes_on_after_a_restart_and_an_older_generation_stays_refused() -> None:
    stores = Stores()
    async with stores.broker() as broker:
        member_id = await become_stable(broker, None)
        # As the leader it assigns again: generation 2.
        again = await join(broker, member_id=member_id)
        assert again.generation_id == 2
        await sync(broker, member_id=member_id, generation_id=2)
        assert await commit_code(broker, member_id, 2) is ErrorCode.none
    async with stores.broker() as broker:
        assert await heartbeat_code(broker, member_id, 2) is ErrorCode.none
        assert await commit_code(broker, member_id, 1) is ErrorCode.illegal_generation
        assert await commit_code(broker, "stranger", 2) is ErrorCode.unknown_member_id
        assert await commit_code(broker, member_id, 2) is ErrorCode.none
        answer = await sync(broker, member_id=member_id, generation_id=2)
        assert answer.assignment == b"all"


@once
async def test_committed_offsets_are_there_after_a_restart_with_all_that_was_said_of_them() -> None:
    stores = Stores()
    async with stores.broker() as broker:
        await commit(broker, 9)
    async with stores.broker() as broker:
        found = await fetch(broker, 9, [topic_of(9, "t", [1], "partition_indexes")])
        (partition,) = found.topics[0].partitions
        assert (partition.committed_offset, partition.metadata) == (7, "mine")
        assert partition.committed_leader_epoch == 3


@once
async def test_group_whose_members_died_with_the_broker_counts_on() -> None:
    stores = Stores()
    async with stores.broker() as broker:
        member_id = await become_stable(broker, None)
    async with stores.broker() as broker:
        await asyncio.sleep(11)
        assert await heartbeat_code(broker, member_id, 1) is ErrorCode.unknown_member_id
        place = await join(broker, 0)
        assert place.generation_id == 3


@once
async def test_group_that_was_deleted_stays_deleted_after_a_restart() -> None:
    stores = Stores()
    async with stores.broker() as broker:
        await commit(broker, 9)
        answer = await call(broker, "delete_groups", 2, groups_names=["g"])
        assert answer.results[0].error_code is ErrorCode.none
    async with stores.broker() as broker:
        assert (await call(broker, "list_groups", 5)).groups == ()
        assert (await fetch(broker, 9, None)).topics == ()


@once
async def test_commit_that_came_before_a_new_generation_is_seen_by_who_fetches_in_it() -> None:
    async with Stores().broker() as broker, asyncio.TaskGroup() as tasks:
        member_id = await become_stable(broker, None)
        committing = tasks.create_task(commit_code(broker, member_id, 1))
        await asyncio.sleep(0)
        place = await join(broker, member_id=member_id)
        assert place.generation_id == 2
        found = await fetch(broker, 9, None)
        assert found.topics[0].partitions[0].committed_offset == 7
        assert await committing is ErrorCode.none

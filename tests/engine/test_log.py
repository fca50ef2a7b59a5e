"""What faces ask of the log besides appending and fetching: topics, groups, times, watching."""

import asyncio

import pytest
from lone_node import A, WatchedBlobs, WatchedOrder, make_log, read_all, running
from test_upkeep import BUSY, fill_pages

from tidings.core.entry import ProducerStamp
from tidings.core.groups import Committed
from tidings.engine.log import Log, NewBatch, outcome
from tidings.engine.settings import Settings
from tidings.errors import (
    Fenced,
    InvalidRequest,
    TidingsError,
    Unavailable,
    UnknownTopicOrPartition,
)
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

UNKNOWN = TopicPartition("nowhere", 0)


def new_log(settings: Settings | None = None) -> Log:
    order = WatchedOrder()
    return make_log(order, WatchedBlobs(order), settings=settings)


def test_topic_is_created_altered_grown_and_deleted() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log):
            assert await log.create_topic("a", 2, configs={"x": "1"})
            assert not await log.create_topic("a")
            await log.alter_topic("a", {"x": None, "y": "2"})
            await log.create_partitions("a", 3)
            topic = log.state.topics["a"]
            assert (topic.partition_count, topic.configs) == (3, {"y": "2"})
            with pytest.raises(InvalidRequest):
                await log.create_partitions("a", 3)
            await log.delete_topic("a")
            assert await log.create_topic("a")
            assert log.state.topics["a"].topic_id != topic.topic_id
            for change in (
                log.delete_topic("b"),
                log.alter_topic("b", {}),
                log.create_partitions("b", 9),
                log.delete_records(UNKNOWN, Offset(0)),
            ):
                with pytest.raises(UnknownTopicOrPartition):
                    await change

    run(main())


def test_topic_created_again_reads_nothing_of_the_old_though_that_was_pruned() -> None:
    async def main() -> None:
        log = new_log(BUSY)
        async with running(log):
            await fill_pages(log, 2)
            await log.delete_topic("a")
            await log.create_topic("a")
            assert await read_all(log) == []
            await log.append(A, b"new")
            assert await read_all(log) == [b"new"]
            await log.append(A, b"newer")
            assert await read_all(log) == [b"new", b"newer"]

    run(main())


def test_append_all_tells_of_each_batch_what_became_of_it() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.create_topic("a")
            old, new = ProducerStamp(7, 0, 0), ProducerStamp(7, 1, 0)
            before = len(order.entries())
            results = await log.append_all(
                [
                    NewBatch(A, b"0", 3, new),
                    NewBatch(UNKNOWN, b""),
                    NewBatch(A, b"", 1, old),
                    NewBatch(A, b"0", 3, new),
                    NewBatch(A, b"1"),
                ]
            )
            assert len(order.entries()) == before + 1
            kinds = [type(each) if isinstance(each, TidingsError) else each for each in results]
            assert kinds == [0, UnknownTopicOrPartition, Fenced, 0, 3]
            assert [batch.data for batch in await log.fetch(A, Offset(0), 100)] == [b"0", b"1"]

    run(main())


def test_append_soon_is_in_order_at_once_and_can_be_left() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log):
            await log.create_topic("a")
            left, first, refused, second = (
                log.append_soon([NewBatch(name, data)])
                for name, data in [(A, b"left"), (A, b"1"), (UNKNOWN, b""), (A, b"2")]
            )
            left.cancel()
            results = [*await second, *await refused, *await first]
            assert [outcome(results[0]), outcome(results[2])] == [1, 0]
            assert isinstance(outcome(results[1]), UnknownTopicOrPartition)
            assert await read_all(log) == [b"1", b"2"]

    run(main())


def test_append_soon_of_too_much_is_refused_at_once() -> None:
    async def main() -> None:
        log = new_log(Settings(queued_operations_max=1))
        async with running(log):
            await log.create_topic("a")
            first = log.append_soon([NewBatch(A, b"1")])
            with pytest.raises(Unavailable):
                _ = log.append_soon([NewBatch(A, b"2")])
            with pytest.raises(InvalidRequest):
                _ = log.append_soon([NewBatch(A, b""), NewBatch(A, b"")])
            assert [outcome(result) for result in await first] == [0]

    run(main())


def test_producer_ids_are_given_out_once() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log):
            assert [await log.allocate_producer_id() for _ in range(3)] == [0, 1, 2]

    run(main())


def test_group_keeps_details_and_its_document() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log):
            await log.create_topic("a", 2)
            other = TopicPartition("a", 1)
            offsets = {A: Offset(3), other: Offset(4)}
            await log.commit_offsets("g", offsets, details={other: (7, "text")})
            assert await log.committed_offsets("g", [A, other, UNKNOWN]) == offsets
            assert log.state.groups["g"].committed[A] == Committed(Offset(3), -1, "", 0)
            assert log.state.groups["g"].committed[other] == Committed(Offset(4), 7, "text", 0)
            await log.save_group("g", 1, b"document")
            with pytest.raises(Fenced):
                await log.save_group("g", 1, b"other")
            await log.delete_offsets("g", [A])
            assert await log.committed_offsets("g", [A, other]) == {other: 4}
            assert await log.delete_group("g")
            assert not await log.delete_group("g")

    run(main())


# Times ------------------------------------------------------------------------------------------


async def time_of(log: Log, timestamp_ms: int) -> int | None:
    found = await log.batch_for_time(A, timestamp_ms)
    return None if found is None else found.base_offset


@pytest.mark.parametrize("is_pruned", [False, True])
def test_batch_for_time_is_the_first_that_is_not_earlier(is_pruned: bool) -> None:
    async def main() -> None:
        log = new_log(BUSY)
        async with running(log):
            await log.create_topic("a")
            for timestamp_ms in (10, 30, 20, 40, 40):
                await log.append(A, b"%d" % timestamp_ms, max_timestamp_ms=timestamp_ms)
            if is_pruned:
                await log.create_topic("other")
                while log.state.durable_pages == 0:
                    await log.create_topic("other")
                assert log.state.partitions[A].start_offset == 5
            found = [await time_of(log, at) for at in (0, 10, 11, 30, 31, 40, 41)]
            assert found == [0, 0, 1, 1, 3, 3, None]
            newest = await log.newest_batch_by_time(A)
            assert newest is not None
            assert (newest.base_offset, newest.data) == (3, b"40")

    run(main())


@pytest.mark.parametrize("is_pruned", [False, True])
def test_batch_for_time_looks_only_at_what_may_be_read(is_pruned: bool) -> None:
    async def main() -> None:
        log = new_log(BUSY)
        async with running(log):
            await log.create_topic("a")
            for timestamp_ms in (99, 10, 30, 20):
                await log.append(A, b"", max_timestamp_ms=timestamp_ms)
            if is_pruned:
                while log.state.durable_pages == 0:
                    await log.create_topic("other")
            await log.delete_records(A, Offset(1))
            assert [await time_of(log, at) for at in (0, 11, 30, 31, 99)] == [1, 2, 2, None, None]
            newest = await log.newest_batch_by_time(A)
            assert newest is not None
            assert newest.base_offset == 2

    run(main())


def test_batch_for_time_of_an_empty_partition_is_none() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log):
            await log.create_topic("a")
            assert await log.batch_for_time(A, 0) is None
            assert await log.newest_batch_by_time(A) is None
            with pytest.raises(UnknownTopicOrPartition):
                await log.batch_for_time(UNKNOWN, 0)

    run(main())


# Watching ---------------------------------------------------------------------------------------


def test_watch_returns_when_one_of_its_partitions_gets_records() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.create_topic("a", 3)
            watched = [TopicPartition("a", number) for number in (0, 1, 0)]
            with log.watch(watched) as watch:
                waiting = tasks.create_task(watch.wait())
                await log.append(TopicPartition("a", 2), b"elsewhere")
                await asyncio.sleep(1)
                assert not waiting.done()
                await log.append(TopicPartition("a", 1), b"here")
                await waiting
                waiting = tasks.create_task(watch.wait())
                await asyncio.sleep(1)
                assert not waiting.done()
                await log.append(A, b"here as well")
                await waiting
            await log.append(A, b"nobody is there")
            assert log._watchers._open == {}

    run(main())


def test_watch_notices_what_arrived_before_it_waits() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log):
            await log.create_topic("a")
            with log.watch([A]) as watch, log.watch([A]) as other:
                await log.append(A, b"x")
                await watch.wait()
                await other.wait()

    run(main())


def test_watch_returns_when_a_topic_is_deleted() -> None:
    async def main() -> None:
        log = new_log()
        async with running(log):
            await log.create_topic("a")
            with log.watch([A]) as watch:
                await log.delete_topic("a")
                await watch.wait()

    run(main())

"""Retention and collecting: what goes, what stays, and that all of it stays bounded."""

import asyncio
from dataclasses import replace
from random import Random

import pytest
from lone_node import A, Mailbox, WatchedBlobs, WatchedOrder, read_all, running

from tidings.core.pages import PageFormat
from tidings.engine.log import Log, NewBatch
from tidings.engine.settings import Settings
from tidings.errors import OffsetOutOfRange
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

FORMAT = PageFormat(10, 1000, 10**6, has_segments=True)
KEEPING = Settings(
    linger_s=0,
    checkpoint_pages=1,
    index_entries_max=0,
    retention_interval_s=1,
    collect_interval_s=1,
)


class LoopClock:
    """A wall clock that shows the loop's time."""

    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


def keeping_log(
    order: WatchedOrder, blobs: WatchedBlobs, settings: Settings = KEEPING, life: int = 1
) -> Log:
    return Log(
        order,
        blobs,
        peers=Mailbox(),
        clock=LoopClock(),
        rng=Random(f"life {life}"),
        settings=settings,
        page_format=FORMAT,
    )


async def append(log: Log, *timestamps_ms: int) -> None:
    for timestamp_ms in timestamps_ms:
        await log.append(A, b"12345", max_timestamp_ms=timestamp_ms)


@pytest.mark.parametrize("is_pruned", [False, True])
def test_batches_that_are_too_old_go_from_the_front(is_pruned: bool) -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = keeping_log(order, WatchedBlobs(order))
        async with running(log):
            await log.create_topic("a", configs={"retention.ms": "100000"})
            await append(log, 10_000, 30_000, 20_000, 60_000)
            if is_pruned:
                for _ in range(20):
                    await log.create_topic("other")
            await asyncio.sleep(105)
            assert log.state.log_start_offset(A) == 0
            await asyncio.sleep(10)
            assert log.state.log_start_offset(A) == 1
            # The third is older, but the second keeps it.
            await asyncio.sleep(10)
            assert log.state.log_start_offset(A) == 1
            await asyncio.sleep(10)
            assert log.state.log_start_offset(A) == 3
            assert log.state.partitions[A].size_bytes == 5
            await asyncio.sleep(30)
            assert log.state.log_start_offset(A) == 4
            assert log.state.partitions[A].size_bytes == 0

    run(main())


def test_batch_from_the_future_keeps_nobody_once_it_is_deleted() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = keeping_log(order, WatchedBlobs(order))
        async with running(log):
            await log.create_topic("a", configs={"retention.ms": "5000"})
            await append(log, 10**12, 1, 2)
            await asyncio.sleep(20)
            assert log.state.log_start_offset(A) == 0
            await log.delete_records(A, Offset(1))
            await asyncio.sleep(2)
            assert log.state.log_start_offset(A) == 3

    run(main())


@pytest.mark.parametrize(("limit", "start"), [(0, 4), (4, 3), (5, 3), (6, 2), (20, 0), (21, 0)])
def test_batches_beyond_the_bytes_that_are_kept_go(limit: int, start: int) -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = keeping_log(order, WatchedBlobs(order))
        async with running(log):
            await log.create_topic("a", configs={"retention.bytes": str(limit)})
            await append(log, 0, 0, 0, 0)
            await asyncio.sleep(2)
            assert log.state.log_start_offset(A) == start

    run(main())


def test_all_partitions_are_looked_at_in_each_interval_however_few_go_at_once() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = keeping_log(order, WatchedBlobs(order), replace(KEEPING, retention_partitions_max=1))
        names = [TopicPartition("many", partition) for partition in range(5)]
        async with running(log):
            await log.create_topic("many", 5, configs={"retention.ms": "5000"})
            for name in names:
                await log.append(name, b"12345", max_timestamp_ms=1000)
            await asyncio.sleep(10)
            assert [log.state.log_start_offset(name) for name in names] == [1] * 5

    run(main())


def test_topic_without_limits_takes_those_of_the_node_or_none() -> None:
    async def main() -> None:
        order = WatchedOrder()
        settings = replace(KEEPING, retention_bytes=5)
        log = keeping_log(order, WatchedBlobs(order), settings)
        other = TopicPartition("other", 0)
        async with running(log):
            await log.create_topic("a")
            await log.create_topic("other", configs={"retention.bytes": "-1"})
            await append(log, 0, 0)
            await log.append(other, b"12345")
            await log.append(other, b"12345")
            await asyncio.sleep(2)
            assert log.state.log_start_offset(A) == 1
            assert log.state.log_start_offset(other) == 0

    run(main())


def test_what_is_appended_while_the_index_is_read_stays() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = keeping_log(order, blobs, replace(KEEPING, page_cache_bytes=1))
        async with running(log):
            await log.create_topic("a", configs={"retention.ms": "1000"})
            await append(log, *[0] * 9)
            await asyncio.sleep(0.5)
            assert log.state.partitions[A].start_offset == 9
            get = blobs.get

            async def slow_get(name: str) -> bytes | None:
                await append(log, 10**12)
                return await get(name)

            blobs.get = slow_get  # type: ignore[method-assign]
            await asyncio.sleep(1)
            blobs.get = get  # type: ignore[method-assign]
            await asyncio.sleep(5)
            assert log.state.log_start_offset(A) == 9

    run(main())


# Collecting -------------------------------------------------------------------------------------


def kinds(blobs: WatchedBlobs) -> dict[str, int]:
    names = [name.split("/")[0] for name in blobs.names()]
    return {kind: names.count(kind) for kind in dict.fromkeys(names)}


def test_blobs_of_deleted_records_go_and_those_of_others_stay() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        log = keeping_log(order, blobs)
        async with running(log):
            await log.create_topic("a")
            for number in range(60):
                await log.append(A, b"large" if number % 2 else b"x")
            await asyncio.sleep(10)
            assert kinds(blobs)["data"] == 30
            await log.delete_records(A, Offset(40))
            await asyncio.sleep(10)
            left = kinds(blobs)
            assert 10 <= left["data"] <= 15
            assert left["segment"] <= 3
            with pytest.raises(OffsetOutOfRange):
                await log.fetch(A, Offset(39), 1)
            found = await log.fetch(A, Offset(40), 10**6)
            assert [batch.base_offset for batch in found] == list(range(40, 60))
        async with running(late := keeping_log(order, blobs, life=2)):
            found = await late.fetch(A, Offset(40), 10**6)
            assert [batch.data for batch in found] == [b"x", b"large"] * 10

    run(main())


def test_blobs_of_a_deleted_topic_go() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        log = keeping_log(order, blobs)
        async with running(log):
            await log.create_topic("a")
            for number in range(60):
                await log.append(A, b"large" if number % 2 else b"x")
            await log.delete_topic("a")
            await log.create_topic("a")
            # What is in the open page goes once that is sealed.
            for _ in range(10):
                await log.create_topic("other")
            await log.append(A, b"large")
            await asyncio.sleep(10)
            assert kinds(blobs) == {"data": 1, "checkpoint": 1}
            assert await read_all(log) == [b"large"]

    run(main())


def test_all_stays_bounded_while_appends_go_on_at_full_speed() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=50)
        blobs = WatchedBlobs(order)
        settings = replace(KEEPING, retention_interval_s=0.05, collect_interval_s=0.05)
        log = keeping_log(order, blobs, settings)
        partitions, rounds = 4, 3000
        names = [TopicPartition("t", number) for number in range(partitions)]
        async with running(log):
            await log.create_topic("t", partitions, configs={"retention.bytes": "1000"})
            for number in range(rounds):
                large = number % 10 == 0
                await log.append_all(
                    [NewBatch(name, bytes(100 if large else 10)) for name in names]
                )
                await asyncio.sleep(0.002)
                if number % 100 == 99:
                    check_bounds(log, order, blobs)
            assert log.state.end_offset(names[0]) == rounds
            assert log.state.open_page > 300
            for name in names:
                start = log.state.log_start_offset(name)
                assert start > rounds - 200
                found = await log.fetch(name, start, 10**6)
                assert found[0].base_offset == start
                assert found[-1].last_offset == rounds - 1

    run(main())


def test_collector_that_is_behind_does_not_pause() -> None:
    async def main() -> None:
        order = WatchedOrder()
        settings = replace(KEEPING, collect_interval_s=1000, collect_sections_max=3)
        log = keeping_log(order, WatchedBlobs(order), settings)
        names = [TopicPartition("t", number) for number in range(5)]
        async with running(log):
            await log.create_topic("t", len(names))
            for _ in range(200):
                await log.append_all([NewBatch(name, b"12345") for name in names])
            for name in names:
                await log.delete_records(name, Offset(200))
            before = list(log.state.collection.live_sections.values())
            assert sum(before) > 30 * settings.collect_sections_max
            await asyncio.sleep(1001)
            # What is in the open page is not sealed, so not collected.
            assert all(
                part.collected_offset == part.dead_offset for part in log.state.partitions.values()
            )
            assert not log.state.collection.live_sections
            # It pauses now.
            slot = log.state.next_slot
            await asyncio.sleep(900)
            assert log.state.next_slot == slot

    run(main())


def check_bounds(log: Log, order: WatchedOrder, blobs: WatchedBlobs) -> None:
    """See that nothing grows with what was ever appended."""
    state = log.state
    assert state.index_size < 1000
    assert len(order.inner._slots) < 100
    assert len(blobs.names()) < 200
    assert len(state.collection.live_sections) + len(state.collection.dead_pages) < 100
    assert all(partition.size_bytes < 4000 for partition in state.partitions.values())
    assert all(len(partition.spine) < 12 for partition in state.partitions.values())


@pytest.mark.parametrize(
    ("policy", "start"), [("compact", 0), ("", 0), ("compact, delete", 2), ("delete", 2)]
)
def test_topic_keeps_everything_unless_its_cleanup_policy_is_to_delete(
    policy: str, start: int
) -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = keeping_log(order, WatchedBlobs(order))
        limits = {"retention.ms": "1000", "retention.bytes": "5"}
        async with running(log):
            await log.create_topic("a", configs={"cleanup.policy": policy, **limits})
            await append(log, 0, 0, 10_000_000)
            await asyncio.sleep(100)
            assert log.state.log_start_offset(A) == start

    run(main())

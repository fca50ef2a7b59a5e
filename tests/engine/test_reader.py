"""Reading: from memory, from pages, from entries and blobs; bounded, and honest when it cannot."""

import asyncio

import pytest
from lone_node import A, WatchedBlobs, WatchedOrder, make_log, running
from test_upkeep import fill_pages

from tidings.core.pages import IndexEntry
from tidings.engine.journal import Missing
from tidings.engine.reader import Reader
from tidings.engine.settings import Settings
from tidings.errors import Corrupt, OffsetOutOfRange, Unavailable, UnknownTopicOrPartition
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition


def test_fetch_of_what_memory_holds_asks_no_store() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.append(A, b"in", create_topic=True)
            order.calls.clear()
            (batch,) = await log.fetch(A, Offset(0), 100)
            assert (batch.base_offset, batch.last_offset, batch.data) == (0, 0, b"in")
            assert order.calls == []

    run(main())


def test_fetch_starts_with_the_batch_that_holds_the_offset() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.append(A, b"0-4", 5, create_topic=True)
            await log.append(A, b"5-9", 5)
            for offset, expected in {0: b"0-4", 4: b"0-4", 5: b"5-9", 9: b"5-9"}.items():
                assert (await log.fetch(A, Offset(offset), 1))[0].data == expected
            assert await log.fetch(A, Offset(10), 100) == []

    run(main())


def test_fetch_from_a_negative_offset_is_out_of_range() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.append(A, b"x", create_topic=True)
            with pytest.raises(OffsetOutOfRange):
                await log.fetch(A, Offset(-1), 100)

    run(main())


def test_fetch_of_an_unknown_partition_is_refused() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            with pytest.raises(UnknownTopicOrPartition):
                await log.fetch(TopicPartition("nowhere", 3), Offset(0), 100)

    run(main())


def test_fetch_beyond_the_end_is_refused_only_once_the_node_is_sure() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log, other = make_log(order, blobs), make_log(order, blobs, life=2)
        async with running(log, other):
            await other.append(A, b"x", create_topic=True)
            await other.append(A, b"y")
            assert log.state.end_offset(A) == 0
            assert await log.fetch(A, Offset(2), 100) == []
            with pytest.raises(OffsetOutOfRange):
                await log.fetch(A, Offset(3), 100)

    run(main())


def test_fetch_below_the_log_start_offset_is_out_of_range() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            for _ in range(4):
                await log.append(A, b"xyz", 2, create_topic=True)
            assert await log.delete_records(A, Offset(3)) == 3
            assert log.state.partitions[A].size_bytes == 9
            with pytest.raises(OffsetOutOfRange):
                await log.fetch(A, Offset(2), 100)
            assert (await log.fetch(A, Offset(3), 100))[0].base_offset == 2
            assert await log.delete_records(A, Offset(8)) == 8
            assert log.state.partitions[A].size_bytes == 0
            assert await log.fetch(A, Offset(8), 100) == []
            with pytest.raises(OffsetOutOfRange):
                await log.delete_records(A, Offset(9))

    run(main())


def test_fetch_is_bounded_in_bytes_but_never_empty_handed() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            for _ in range(5):
                await log.append(A, bytes(10), create_topic=True)
            counts = [len(await log.fetch(A, Offset(0), size)) for size in (1, 10, 19, 20, 35, 99)]
            assert counts == [1, 1, 1, 2, 3, 5]

    run(main())


def test_fetch_is_bounded_in_batches_across_pages() -> None:
    async def main() -> None:
        order = WatchedOrder()
        settings = Settings(
            linger_s=0, checkpoint_pages=1, index_entries_max=0, fetch_batches_max=300
        )
        log = make_log(order, WatchedBlobs(order), settings=settings)
        async with running(log):
            await fill_pages(log, 3)
            assert log.journal.state.index_size == 0
            batches = await log.fetch(A, Offset(100), 10**9)
            assert [batch.base_offset for batch in batches] == list(range(100, 400))

    run(main())


def test_fetch_of_pruned_records_without_an_answer_is_unavailable_and_works_later() -> None:
    async def main() -> None:
        order = WatchedOrder()
        settings = Settings(
            linger_s=0, checkpoint_pages=1, index_entries_max=0, entry_cache_bytes=1
        )
        log = make_log(order, WatchedBlobs(order), settings=settings)
        async with running(log):
            await fill_pages(log, 1)
            order.script = ["unavailable"] * 1000
            with pytest.raises(Unavailable):
                await log.fetch(A, Offset(0), 100)
            order.script = []
            assert (await log.fetch(A, Offset(0), 1))[0].data == b"0"

    run(main())


def test_fetch_of_a_blob_that_is_gone_is_corrupt() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        log = make_log(order, blobs, settings=Settings(fresh_blob_bytes=0))
        async with running(log):
            await log.append(A, b"large", create_topic=True)
            blobs._blobs.clear()
            with pytest.raises(Corrupt):
                await log.fetch(A, Offset(0), 100)

    run(main())


def test_fetch_of_a_batch_that_no_index_entry_has_is_corrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finds = 0

    async def find_nothing(*_: object) -> list[IndexEntry]:
        nonlocal finds
        finds += 1
        assert finds < 100, "it looks for ever, and lets nobody else do anything"
        return []

    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.append(A, b"x", create_topic=True)
            monkeypatch.setattr(Reader, "find", find_nothing)
            with pytest.raises(Corrupt, match="offset 0"):
                await log.fetch(A, Offset(0), 100)

    run(main())


def test_fetch_of_many_batches_of_which_one_or_another_always_moves_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = Reader.load

    async def find_one_moved(reader: Reader, index: list[IndexEntry]) -> list[bytes]:
        if len(index) > 1:
            raise Missing("one of them is not there any more")
        return await load(reader, index)

    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.append(A, b"old", create_topic=True)
            await log.append(A, b"new")
            monkeypatch.setattr(Reader, "load", find_one_moved)
            assert [batch.data for batch in await log.fetch(A, Offset(0), 100)] == [b"old"]

    run(main())


def test_fetch_waits_until_the_node_has_recovered() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        async with running(log := make_log(order, blobs)):
            await log.append(A, b"x", create_topic=True)
        order.is_open.clear()
        late = make_log(order, blobs, life=2)
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(late.run())
            fetch = tasks.create_task(late.fetch(A, Offset(0), 100))
            await asyncio.sleep(10)
            assert not fetch.done()
            order.is_open.set()
            assert [batch.data for batch in await fetch] == [b"x"]
            node.cancel()

    run(main())

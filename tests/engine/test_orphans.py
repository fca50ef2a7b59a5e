"""Orphans: blobs that nothing names go, and nobody's record goes with them."""

import asyncio
from dataclasses import replace

import pytest
from lone_node import A, WatchedBlobs, WatchedOrder, entry_of, make_log, read_all, running

from tidings.core.entry import BlobRange, DoomBlobs, ReserveBlobs
from tidings.core.pages import IN_PLACE, PageFormat
from tidings.engine.journal import CHECKPOINT_CELL
from tidings.engine.log import Log, NewBatch
from tidings.engine.settings import Settings
from tidings.errors import InvalidRequest, Unavailable
from tidings.testing.clock import SimClock
from tidings.testing.loop import run

FORMAT = PageFormat(1000, 1000, 10**6, has_segments=True)
COLLECTING = Settings(
    linger_s=0,
    checkpoint_pages=1,
    blob_patience_s=1.0,
    blobs_reserved=3,
    collect_interval_s=10.0,
    collect_orphans_after_s=100.0,
)
A_WHILE_S = 120.0


def collecting_log(
    order: WatchedOrder,
    blobs: WatchedBlobs,
    *,
    settings: Settings = COLLECTING,
    page_format: PageFormat = FORMAT,
    life: int = 1,
) -> Log:
    return make_log(
        order,
        blobs,
        settings=settings,
        life=life,
        page_format=page_format,
        clock=SimClock(asyncio.get_running_loop().time),
    )


def stores() -> tuple[WatchedOrder, WatchedBlobs]:
    order = WatchedOrder(inline_bytes_max=3)
    return order, WatchedBlobs(order)


def origin_of(log: Log) -> str:
    """The origin of the only one that reserved anything."""
    (origin,) = log.state.blob_numbers.reserved
    return origin


def test_numbers_are_reserved_once_for_many_blobs() -> None:
    async def main() -> None:
        order, blobs = stores()
        log = collecting_log(order, blobs)
        async with running(log):
            await log.create_topic("a")
            order.calls.clear()
            for _ in range(4):
                await log.append(A, b"large")
            assert order.calls == [
                *["append 1", "put data", "append 2", "put data", "append 3", "put data"],
                *["append 4", "append 5", "put data", "append 6"],
            ]
            assert await read_all(log) == [b"large"] * 4

    run(main())


def test_small_records_and_stores_that_cannot_delete_reserve_nothing() -> None:
    async def main() -> None:
        order, blobs = stores()
        async with running(log := collecting_log(order, blobs)):
            await log.append(A, b"xyz", create_topic=True)
            assert log.state.next_slot == 1
        order, blobs = stores()
        async with running(log := collecting_log(order, blobs, page_format=IN_PLACE)):
            await log.append(A, b"large", create_topic=True)
            assert log.state.next_slot == 1
            (entry,) = order.entries()
            assert entry.submissions[0].blob_number == 0

    run(main())


def test_blob_that_was_given_up_is_deleted_though_its_put_came_to_be() -> None:
    async def main() -> None:
        order, blobs = stores()
        log = collecting_log(order, blobs)
        async with running(log):
            await log.append(A, b"first", create_topic=True)
            blobs.lost_puts, blobs.stores_lost_puts = 10**6, True
            with pytest.raises(Unavailable):
                await log.append(A, b"lost")
            blobs.lost_puts = 0
            await log.append(A, b"third")
            assert len(blobs.names()) == 3
            await asyncio.sleep(A_WHILE_S)
            assert len(blobs.names()) == 2
            await asyncio.sleep(2 * A_WHILE_S)
            assert not log.state.blob_numbers.reserved
            assert not log.state.blob_numbers.doomed
            assert await read_all(log) == [b"first", b"third"]

    run(main())


def test_blob_of_an_entry_that_was_refused_is_deleted_at_once() -> None:
    async def main() -> None:
        order, blobs = stores()
        log = collecting_log(order, blobs)
        async with running(log):
            await log.append(A, b"first", create_topic=True)
            order.script = ["refused"]
            with pytest.raises(Unavailable, match="the disk is full"):
                await log.append(A, b"refused")
            assert len(blobs.names()) == 1
            await log.append(A, b"third")
            assert await read_all(log) == [b"first", b"third"]

    run(main())


def test_blob_of_a_writer_that_died_is_deleted_by_another() -> None:
    async def main() -> None:
        order, blobs = stores()
        async with running(log := collecting_log(order, blobs)):
            await log.append(A, b"first", create_topic=True)
            order.is_open.clear()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(log.append(A, b"orphan"))
                await asyncio.sleep(1)
                task.cancel()
        assert len(blobs.names()) == 2
        order.is_open.set()
        async with running(log := collecting_log(order, blobs, life=2)):
            assert await read_all(log) == [b"first"]
            await asyncio.sleep(A_WHILE_S)
            assert len(blobs.names()) == 2, "V3: deleted as soon as it was doomed"
            await asyncio.sleep(A_WHILE_S)
            assert len(blobs.names()) == 1
            assert not log.state.blob_numbers.doomed
            assert await read_all(log) == [b"first"]

    run(main())


def test_blob_that_was_doomed_while_its_writer_slept_is_stored_anew() -> None:
    """All of the submission, in its order, also what is small, and one time."""

    async def main() -> None:
        order, blobs = stores()
        log = collecting_log(order, blobs)
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.append(A, b"first", create_topic=True)
            order.is_open.clear()
            batches = [NewBatch(A, data) for data in (b"1", b"large 2", b"3", b"large 4")]
            append = tasks.create_task(log.append_all(batches))
            await asyncio.sleep(1)
            assert len(blobs.names()) == 2
            (doomed,) = (name for name in blobs.names() if name.endswith("/2"))
            doom = DoomBlobs([BlobRange(origin_of(log), 1, 3)])
            order.fill(entry_of(doom))
            order.is_open.set()
            assert await append == [1, 2, 3, 4]
            assert await read_all(log) == [b"first", b"1", b"large 2", b"3", b"large 4"]
            assert doomed not in blobs.names()
            assert len(blobs.names()) == 2

    run(main())


def test_append_is_refused_while_too_many_blobs_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.core.blob_numbers.BLOB_RANGES_MAX", 1)

    async def main() -> None:
        order, blobs = stores()
        order.fill(entry_of(ReserveBlobs(BlobRange("n9/1.0", 1, 2))))
        async with running(log := collecting_log(order, blobs)):
            with pytest.raises(Unavailable, match="wait to be deleted"):
                await log.append(A, b"large", create_topic=True)
            assert blobs.names() == []
            await asyncio.sleep(3 * A_WHILE_S)
            assert await log.append(A, b"large", create_topic=True) == 0

    run(main())


def test_clock_that_was_far_ahead_does_not_keep_orphans() -> None:
    async def main() -> None:
        order, blobs = stores()
        year_ms = 365 * 24 * 3600 * 1000
        clock = SimClock(asyncio.get_running_loop().time)
        reserve = ReserveBlobs(BlobRange("n9/1.0", 1, 2))
        order.fill(entry_of(reserve, ms=clock.now_ms() + year_ms))
        await blobs.put("data/n9/1.0/1", b"orphan")
        async with running(log := collecting_log(order, blobs)):
            await asyncio.sleep(3 * A_WHILE_S)
            assert blobs.names() == []
            assert not log.state.blob_numbers.doomed

    run(main())


def test_collecting_blobs_is_done_a_part_at_a_time() -> None:
    async def main() -> None:
        order, blobs = stores()
        for number in range(1, 6):
            reserve = ReserveBlobs(BlobRange(f"n{number}/1.0", 1, 3))
            order.fill(entry_of(reserve, number=number))
            await blobs.put(f"data/n{number}/1.0/1", b"orphan")
        settings = replace(COLLECTING, collect_blobs_max=1, collect_interval_s=300.0)
        async with running(collecting_log(order, blobs, settings=settings)):
            left = []
            for _ in range(8):
                await asyncio.sleep(300)
                left.append(len(blobs.names()))
            assert left == [5, 4, 3, 2, 1, 0, 0, 0]

    run(main())


def test_v4_checkpoint_of_a_writer_that_died_is_deleted_and_the_named_one_stays() -> None:
    async def main() -> None:
        order, blobs = stores()
        pages = PageFormat(10, 1000, 10**6, has_segments=True)
        log = collecting_log(order, blobs, page_format=pages)
        async with running(log):
            for _ in range(25):
                await log.append(A, b"x", create_topic=True)
            await asyncio.sleep(1)
        # As if it had died before it deleted one, and after it stored one that is not named yet.
        for slot in (10, 30):
            await blobs.put(f"checkpoint/{slot}", b"left")
        async with running(collecting_log(order, blobs, page_format=pages, life=2)):
            await asyncio.sleep(A_WHILE_S)
            assert await order.inner.read_cell(CHECKPOINT_CELL) == b"20"
            kept = [name for name in blobs.names() if name.startswith("checkpoint")]
            assert kept == ["checkpoint/20", "checkpoint/30"]

    run(main())


def test_checkpoints_are_forgotten_with_the_next_page() -> None:
    async def main() -> None:
        order, blobs = stores()
        pages = PageFormat(10, 1000, 10**6, has_segments=True)
        async with running(log := collecting_log(order, blobs, page_format=pages)):
            for _ in range(60):
                await log.append(A, b"x", create_topic=True)
                await asyncio.sleep(1)
            assert len(log.state.collection.checkpoints) <= 2

    run(main())


class CountedOrder(WatchedOrder):
    """Counts how often a cell is read."""

    cell_reads = 0

    async def read_cell(self, name: str) -> bytes | None:
        self.cell_reads += 1
        return await super().read_cell(name)


def test_checkpoint_cell_is_not_read_again_while_it_names_the_newest() -> None:
    async def main() -> None:
        order = CountedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        pages = PageFormat(10, 1000, 10**6, has_segments=True)
        async with running(log := collecting_log(order, blobs, page_format=pages)):
            for _ in range(25):
                await log.append(A, b"x", create_topic=True)
            await asyncio.sleep(A_WHILE_S)
            before = order.cell_reads
            await asyncio.sleep(A_WHILE_S)
            assert order.cell_reads == before
            for _ in range(10):
                await log.append(A, b"x")
            await asyncio.sleep(A_WHILE_S)
            assert [name for name in blobs.names() if "checkpoint" in name] == ["checkpoint/30"]

    run(main())


def test_v4_checkpoint_that_was_overtaken_is_deleted_by_its_writer() -> None:
    async def main() -> None:
        order, blobs = stores()
        pages = PageFormat(10, 1000, 10**6, has_segments=True)
        settings = replace(COLLECTING, collect_interval_s=1e6)
        async with running(
            log := collecting_log(order, blobs, page_format=pages, settings=settings)
        ):
            for _ in range(9):
                await log.append(A, b"x", create_topic=True)
            await order.swap_cell(CHECKPOINT_CELL, None, b"20")
            await log.append(A, b"x")
            await asyncio.sleep(A_WHILE_S)
            assert "put checkpoint" in order.calls
            assert "checkpoint/10" not in blobs.names()

    run(main())


@pytest.mark.parametrize("count", [0, 1025])
def test_reserving_more_than_the_fold_takes_is_refused_at_the_start(count: int) -> None:
    with pytest.raises(InvalidRequest, match="blobs_reserved"):
        Settings(blobs_reserved=count)

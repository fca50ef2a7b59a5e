"""Segments and trimming: what lets go of entries, and readers that come too late."""

import asyncio
from dataclasses import replace

import pytest
from lone_node import A, WatchedBlobs, WatchedOrder, make_log, read_all, running

from tidings.core.pages import IN_PLACE, PageFormat
from tidings.engine.journal import CHECKPOINT_CELL
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.errors import Corrupt
from tidings.ports import Trimmed
from tidings.testing.loop import run
from tidings.types import Offset, Slot

FORMAT = PageFormat(10, 1000, 10**6, has_segments=True)
TRIMMING = Settings(
    linger_s=0, checkpoint_pages=1, index_entries_max=0, entry_cache_bytes=1, page_cache_bytes=1
)


def trimming_log(order: WatchedOrder, blobs: WatchedBlobs, life: int = 1) -> Log:
    return make_log(order, blobs, settings=TRIMMING, life=life, page_format=FORMAT)


async def fill(log: Log, count: int) -> list[bytes]:
    """Append so many records, one to a slot, and let upkeep end; return all there are."""
    start = log.state.end_offset(A)
    for number in range(start, start + count):
        await log.append(A, b"%d" % number, create_topic=True)
    await asyncio.sleep(10)
    return [b"%d" % number for number in range(start + count)]


async def trimmed_slots(order: WatchedOrder) -> int:
    slot = Slot(0)
    while isinstance(await order.inner.read(slot, 1), Trimmed):
        slot = Slot(slot + 1)
    return slot


def test_journal_is_trimmed_below_the_checkpoint_and_everything_can_be_read() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = trimming_log(order, blobs)
        async with running(log):
            expected = await fill(log, 35)
            assert await read_all(log) == expected
            assert await trimmed_slots(order) == 30
        async with running(late := trimming_log(order, blobs, life=2)):
            assert await read_all(late) == expected

    run(main())


def test_k3_segment_is_durable_before_its_page_and_the_page_before_the_mark() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = trimming_log(order, WatchedBlobs(order))
        async with running(log):
            await fill(log, 10)
            steps = [call for call in order.calls if not call.startswith(("read", "append"))]
            assert steps == [
                "put segment",
                "put index",
                "put checkpoint",
                f"swap {CHECKPOINT_CELL} 10",
                "trim 10",
            ]
            assert order.calls.index("put index") < order.calls.index("append 10")

    run(main())


def test_checkpoint_that_another_took_the_place_of_is_deleted() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = trimming_log(order, blobs)
        async with running(log):
            await fill(log, 35)
            assert [name for name in blobs.names() if "checkpoint" in name] == ["checkpoint/30"]

    run(main())


def test_nothing_is_trimmed_while_pages_cannot_be_stored() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = trimming_log(order, blobs)
        async with running(log):
            blobs.lost_puts = 10**9
            expected = await fill(log, 35)
            assert await trimmed_slots(order) == 0
            blobs.lost_puts = 0
            await asyncio.sleep(10)
            assert await read_all(log) == expected

    run(main())


def test_reader_whose_entry_was_trimmed_looks_again() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = trimming_log(order, blobs)
        deaf = replace(TRIMMING, anti_entropy_s=1e6, anti_entropy_idle_s=1e6)
        late = make_log(order, blobs, settings=deaf, life=2, page_format=FORMAT)
        async with running(log, late):
            await fill(log, 5)
            await late.barrier()
            await fill(log, 30)
            assert late.state.next_slot < 10
            found = await late.fetch(A, Offset(0), 1)
            assert [batch.data for batch in found] == [b"0"]

    run(main())


def test_entry_that_is_missing_though_nobody_trimmed_it_is_corrupt() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = trimming_log(order, WatchedBlobs(order))
        async with running(log):
            await fill(log, 5)
            await order.inner.trim(Slot(3))
            with pytest.raises(Corrupt):
                await log.fetch(A, Offset(0), 100)

    run(main())


def test_append_whose_slot_was_trimmed_before_its_outcome_was_known_is_settled() -> None:
    async def main() -> None:
        order = WatchedOrder()
        order.tells_entry = False
        blobs = WatchedBlobs(order)
        log, other = trimming_log(order, blobs), trimming_log(order, blobs, life=2)
        async with running(log, other), asyncio.TaskGroup() as tasks:
            await log.create_topic("a")
            order.script = ["lost reply"]
            append = tasks.create_task(log.append(A, b"0"))
            await asyncio.sleep(0)
            await fill(other, 0)
            for _ in range(30):
                await other.append(A, b"1")
            await append
            await asyncio.sleep(10)
            assert (await read_all(other)).count(b"0") == 1

    run(main())


def test_journal_with_pages_of_another_format_is_refused() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        async with running(log := trimming_log(order, blobs)):
            await fill(log, 15)
        other = make_log(order, blobs, life=2, page_format=IN_PLACE)
        with pytest.raises(ExceptionGroup) as caught:
            await other.run()
        assert caught.group_contains(Corrupt, match="open it as it was made")

    run(main())


def test_memory_lets_go_of_entries_whose_records_have_moved() -> None:
    async def main() -> None:
        order = WatchedOrder()
        settings = replace(TRIMMING, entry_cache_bytes=10**6)
        log = make_log(order, WatchedBlobs(order), settings=settings, page_format=FORMAT)
        async with running(log):
            expected = await fill(log, 34)
            held = [slot for slot in range(40) if log.journal.entries.get(Slot(slot))]
            assert held == list(range(log.state.durable_slot, log.state.next_slot))
            assert await read_all(log) == expected

    run(main())

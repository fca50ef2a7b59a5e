"""Pages and checkpoints: what is durable before what, and who does it when somebody dies."""

import asyncio

from lone_node import A, WatchedBlobs, WatchedOrder, make_log, read_all, running

from tidings.core.entry import MarkPagesDurable
from tidings.core.pages import PAGE_SLOTS
from tidings.engine.journal import CHECKPOINT_CELL
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.testing.loop import run
from tidings.types import Offset

BUSY = Settings(linger_s=0, checkpoint_pages=1, index_entries_max=0)


async def fill_pages(log: Log, count: int) -> None:
    """Append a record to each slot up to the end of the page after so many, and let upkeep end."""
    end = (log.journal.state.next_slot // PAGE_SLOTS + count) * PAGE_SLOTS
    while log.journal.state.next_slot < end:
        number = log.journal.state.end_offset(A)
        await log.append(A, b"%d" % number, create_topic=True)
    await asyncio.sleep(10)


def marks(order: WatchedOrder) -> list[tuple[int, int]]:
    """Return the slots that say that pages are durable, and which page."""
    return [
        (slot, operation.page)
        for slot, entry in enumerate(order.entries())
        for submission in entry.submissions
        for operation in submission.operations
        if isinstance(operation, MarkPagesDurable)
    ]


def test_page_is_durable_before_the_operation_that_says_so() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=BUSY)
        async with running(log):
            await fill_pages(log, 2)
            found = marks(order)
            assert [page for _, page in found] == [0, 1]
            puts = [place for place, call in enumerate(order.calls) if call == "put index"]
            for put, (slot, _) in zip(puts, found, strict=True):
                assert put < order.calls.index(f"append {slot}")

    run(main())


def test_page_that_cannot_be_stored_is_never_called_durable() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = make_log(order, blobs, settings=BUSY)
        async with running(log):
            blobs.lost_puts = 10**9
            await fill_pages(log, 2)
            assert marks(order) == []
            assert log.journal.state.index_size == log.journal.state.end_offset(A)
            blobs.lost_puts = 0
            await asyncio.sleep(10)
            assert marks(order) == [(2 * PAGE_SLOTS, 1)]
            assert log.journal.state.index_size == 0

    run(main())


def test_checkpoint_is_durable_before_its_cell_names_it_and_only_moves_forward() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=BUSY)
        async with running(log):
            await fill_pages(log, 3)
            steps = [call for call in order.calls if "checkpoint" in call]
            assert steps == [
                step
                for slot in (PAGE_SLOTS, 2 * PAGE_SLOTS, 3 * PAGE_SLOTS)
                for step in ("put checkpoint", f"swap {CHECKPOINT_CELL} {slot}")
            ]

    run(main())


def test_checkpoint_behind_the_one_that_is_named_is_dropped() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=BUSY)
        async with running(log):
            await order.inner.swap_cell(CHECKPOINT_CELL, None, b"99999")
            await fill_pages(log, 1)
            assert await order.read_cell(CHECKPOINT_CELL) == b"99999"

    run(main())


def test_nothing_is_trimmed_while_entries_hold_records() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=BUSY)
        async with running(log):
            await fill_pages(log, 8)
            assert not [call for call in order.calls if call.startswith("trim")]

    run(main())


def test_pages_of_a_node_that_died_are_written_by_the_next() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        first = make_log(order, blobs, settings=BUSY)
        async with running(first):
            blobs.lost_puts = 10**9
            await fill_pages(first, 1)
        blobs.lost_puts = 0
        second = make_log(order, blobs, settings=BUSY, life=2)
        async with running(second):
            assert second.journal.state.durable_pages == 0
            await fill_pages(second, 1)
            assert second.journal.state.durable_pages == 2
            assert {"index/0", "index/1"} <= set(blobs.names())
            expected = [b"%d" % number for number in range(second.journal.state.end_offset(A))]
            assert await read_all(second) == expected

    run(main())


def test_all_nodes_at_once_may_forget_everything() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=2)
        blobs = WatchedBlobs(order)
        expected: list[bytes] = []
        for life in range(6):
            log = make_log(order, blobs, settings=BUSY, life=life)
            async with running(log):
                assert not expected or await read_all(log) == expected
                for _ in range(100):
                    expected.append(b"%d" % len(expected))
                    assert await log.append(A, expected[-1], create_topic=True) == len(expected) - 1
                await log.commit_offsets("g", {A: Offset(len(expected))})
                assert await read_all(log) == expected

    run(main())

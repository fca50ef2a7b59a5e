"""From callers to submissions and back: order, bounds, and what each caller is told."""

import asyncio
from contextlib import nullcontext

import pytest
from lone_node import (
    A,
    WatchedBlobs,
    WatchedOrder,
    create_of,
    entry_of,
    make_log,
    read_all,
    running,
)

from tidings.core.entry import Entry, InBlob
from tidings.engine.log import Log, NewBatch
from tidings.engine.settings import Settings
from tidings.errors import InvalidRequest, Unavailable
from tidings.stores.memory import MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition


def rival(number: int) -> Entry:
    return entry_of(create_of(f"t{number}"), number=number)


def test_blob_is_durable_before_its_entry_is_appended() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            order.calls.clear()
            await log.append(A, b"large", create_topic=True)
            assert order.calls == ["put data", "append 0"]
            assert await read_all(log) == [b"large"]

    run(main())


def test_blob_that_cannot_be_stored_makes_a_definite_failure() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        log = make_log(order, blobs)
        async with running(log):
            blobs.lost_puts = 1000
            with pytest.raises(Unavailable):
                await log.append(A, b"large", create_topic=True)
            blobs.lost_puts = 0
            assert order.entries() == []
            assert await log.append(A, b"other", create_topic=True) == 0
            assert await read_all(log) == [b"other"]

    run(main())


def test_request_that_fits_no_entry_is_refused_and_nothing_of_it_happens() -> None:
    async def main() -> None:
        order = WatchedOrder(MemoryOrderStore(entry_bytes_max=1000))
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.append(A, b"first", create_topic=True)
            everything = {TopicPartition("a" * 50, number): Offset(1) for number in range(20)}
            with pytest.raises(InvalidRequest, match="too large"):
                await log.commit_offsets("group", everything)
            assert len(order.entries()) == 1

    run(main())


def test_request_larger_than_the_queue_is_refused_for_good() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=Settings(queued_bytes_max=1000))
        async with running(log):
            with pytest.raises(InvalidRequest, match="too large"):
                await log.append(A, b"x" * 2000, create_topic=True)

    run(main())


def test_blob_put_that_was_lost_but_done_leaves_its_name_to_its_bytes() -> None:
    """A name that is used twice may still get the first bytes, whenever they arrive."""

    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        log = make_log(order, blobs)
        async with running(log):
            blobs.lost_puts, blobs.stores_lost_puts = 1000, True
            with pytest.raises(Unavailable):
                await log.append(A, b"first", create_topic=True)
            blobs.lost_puts = 0
            await log.append(A, b"second", create_topic=True)
            assert await read_all(log) == [b"second"]

    run(main())


def test_blob_holds_the_large_batches_of_a_submission_side_by_side() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        log = make_log(order, blobs)
        async with running(log), asyncio.TaskGroup() as tasks:
            order.is_open.clear()
            tasks.create_task(log.append(A, b"0", create_topic=True))
            await asyncio.sleep(1)
            data = [b"large 1", b"in", b"large 2"]
            for each in data:
                tasks.create_task(log.append(A, each))
            await asyncio.sleep(1)
            order.is_open.set()
        async with running(log):
            assert await read_all(log) == [b"0", *data]
        assert len(blobs.names()) == 1
        index = log.journal.state.partitions[A].entries
        places = [entry.where for entry in index if isinstance(entry.where, InBlob)]
        assert [(place.position, place.size_bytes) for place in places] == [(0, 7), (7, 7)]

    run(main())


async def appended_together(log: Log, order: WatchedOrder, data: list[bytes]) -> None:
    """Append batches that gather while another one is on its way."""
    async with asyncio.TaskGroup() as tasks:
        order.is_open.clear()
        tasks.create_task(log.append(A, b"0", create_topic=True))
        await asyncio.sleep(1)
        for each in data:
            tasks.create_task(log.append(A, each))
        await asyncio.sleep(1)
        order.is_open.set()


def test_small_batches_that_are_too_many_for_an_entry_spill_into_one_blob() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        spilling = Settings(submission_bytes_max=5000, spill_bytes_max=50_000)
        log = make_log(order, blobs, settings=spilling)
        data = [b"%d" % number * 900 for number in range(20)]
        async with running(log):
            await appended_together(log, order, data)
            assert len(order.entries()) == 2
            assert len(blobs.names()) == 1
            assert await read_all(log) == [b"0", *data]

    run(main())


def test_small_batches_that_fit_an_entry_do_not_spill() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = make_log(
            order, blobs, settings=Settings(submission_bytes_max=5000, spill_bytes_max=50_000)
        )
        async with running(log):
            await appended_together(log, order, [b"%d" % number * 900 for number in range(4)])
            assert len(order.entries()) == 2
            assert blobs.names() == []

    run(main())


def test_batches_beyond_what_may_spill_wait_for_the_next_submission() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        log = make_log(
            order, blobs, settings=Settings(submission_bytes_max=5000, spill_bytes_max=10_000)
        )
        async with running(log):
            await appended_together(log, order, [b"%d" % number * 900 for number in range(20)])
            assert len(order.entries()) == 3
            assert len(blobs.names()) == 2

    run(main())


def test_batches_whose_places_alone_fill_an_entry_wait_for_the_next_submission() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(
            order,
            WatchedBlobs(order),
            settings=Settings(submission_bytes_max=2000, spill_bytes_max=10**6),
        )
        async with running(log):
            await appended_together(log, order, [b"x" * 100] * 40)
            assert len(order.entries()) > 4
            assert all(
                submission.size_bytes <= 2000
                for entry in order.entries()
                for submission in entry.submissions
            )

    run(main())


def test_request_of_small_batches_that_fits_no_entry_is_taken_where_it_may_spill() -> None:
    async def main() -> None:
        order = WatchedOrder(MemoryOrderStore(entry_bytes_max=5000, inline_bytes_max=1000))
        log = make_log(order, WatchedBlobs(order), settings=Settings(spill_bytes_max=10**6))
        batches = [NewBatch(A, b"%d" % number * 900) for number in range(10)]
        async with running(log):
            await log.create_topic("a")
            assert await log.append_all(batches) == list(range(10))
            assert await read_all(log) == [batch.data for batch in batches]

    run(main())


def test_operations_beyond_the_queue_are_refused_and_never_happen() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=Settings(queued_operations_max=3))
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.create_topic("a")
            order.is_open.clear()
            first = tasks.create_task(log.append(A, b"in flight"))
            await asyncio.sleep(1)
            queued = [tasks.create_task(log.append(A, b"queued")) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(Unavailable):
                await log.append(A, b"too many")
            order.is_open.set()
            await first
            for task in queued:
                await task
            assert await log.append(A, b"later") == 4
            assert b"too many" not in await read_all(log)

    run(main())


@pytest.mark.parametrize(
    ("queued_operations_max", "entry_bytes_max", "entries"),
    [(3, 10**6, 3), (100, 350, 3), (100, 10**6, 1)],
)
def test_operations_that_fit_no_entry_or_queue_together_are_submitted_in_parts(
    queued_operations_max: int, entry_bytes_max: int, entries: int
) -> None:
    async def main() -> None:
        order = WatchedOrder(MemoryOrderStore(entry_bytes_max=entry_bytes_max))
        settings = Settings(queued_operations_max=queued_operations_max)
        log = make_log(order, WatchedBlobs(order), settings=settings)
        names = [f"topic {number}" for number in range(8)]
        async with running(log):
            operations = [create_of(name) for name in names]
            with pytest.raises(InvalidRequest) if entries > 1 else nullcontext():
                await log._submitter.submit(operations)
            results = await log._submitter.submit_in_parts(operations)
            assert len(results) == len(names)
            assert list(log.state.topics) == names
            assert len(order.entries()) == (entries if entries > 1 else 2)

    run(main())


def test_bytes_beyond_the_queue_are_refused_until_it_is_shorter() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=Settings(queued_bytes_max=1000))
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.create_topic("a")
            order.is_open.clear()
            tasks.create_task(log.append(A, b"in flight"))
            await asyncio.sleep(1)
            tasks.create_task(log.append(A, bytes(500)))
            await asyncio.sleep(0)
            with pytest.raises(Unavailable):
                await log.append(A, bytes(500))
            order.is_open.set()
            await asyncio.sleep(1)
            assert await log.append(A, bytes(500)) == 2

    run(main())


def test_caller_that_leaves_the_queue_takes_its_operations_along() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=Settings(queued_operations_max=2))
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.create_topic("a")
            order.is_open.clear()
            first = tasks.create_task(log.append(A, b"first"))
            await asyncio.sleep(1)
            leaver = tasks.create_task(log.append(A, b"leaver"))
            await asyncio.sleep(1)
            leaver.cancel()
            order.is_open.set()
            assert await first == 0
            assert [await log.append(A, b"next") for _ in range(3)] == [1, 2, 3]
            assert b"leaver" not in await read_all(log)

    run(main())


def test_caller_that_leaves_in_flight_disturbs_nobody() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.create_topic("a")
            order.is_open.clear()
            leaver = tasks.create_task(log.append(A, b"leaver"))
            await asyncio.sleep(1)
            leaver.cancel()
            other = tasks.create_task(log.append(A, b"other"))
            await asyncio.sleep(1)
            order.is_open.set()
            assert await other == 1

    run(main())


def test_submission_that_expired_is_submitted_again_and_answered_once() -> None:
    """The journal passes the last slot while the append is under way to a slot that is taken."""

    async def main() -> None:
        order = WatchedOrder()
        log = make_log(
            order, WatchedBlobs(order), settings=Settings(submission_window_slots=2, gossip=False)
        )
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.create_topic("a")
            order.is_open.clear()
            append = tasks.create_task(log.append(A, b"x"))
            await asyncio.sleep(0.1)
            order.fill(*(rival(number) for number in range(1, 9)))
            order.is_open.set()
            assert await append == 0
            assert await read_all(log) == [b"x"]
            numbers = [
                submission.number
                for entry in order.entries()
                for submission in entry.submissions
                if submission.origin != "n9/1"
            ]
            assert numbers[-1] > 2, "it was not submitted again"

    run(main())

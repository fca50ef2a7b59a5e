"""Filling slots: what is acknowledged is in the store, once, whatever the store says or hides."""

import asyncio
from random import Random

import pytest
from lone_node import (
    CREATE_A,
    A,
    Mailbox,
    WatchedBlobs,
    WatchedOrder,
    append_of,
    entry_of,
    make_log,
    read_all,
    running,
)

from tidings.core.entry import Submission
from tidings.engine.publisher import Publisher
from tidings.engine.settings import Settings
from tidings.errors import Unavailable
from tidings.testing.clock import SimClock
from tidings.testing.loop import run
from tidings.types import Slot


def test_append_is_acknowledged_only_once_its_entry_is_in_the_store() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log), asyncio.TaskGroup() as tasks:
            await log.create_topic("a")
            order.is_open.clear()
            append = tasks.create_task(log.append(A, b"x"))
            await asyncio.sleep(100)
            assert not append.done()
            assert await read_all(log) == []
            order.is_open.set()
            assert await append == 0
            assert len(order.entries()) == 2

    run(main())


@pytest.mark.parametrize("tells_entry", [True, False])
@pytest.mark.parametrize(
    "script", [["lost reply"], ["unsettled", "lost reply"], ["lost reply", "unsettled"]], ids=str
)
def test_append_whose_outcome_was_lost_is_settled_not_doubled(
    script: list[str], tells_entry: bool
) -> None:
    async def main() -> None:
        order = WatchedOrder()
        order.tells_entry = tells_entry
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            order.script = [*script]
            assert await log.append(A, b"x", create_topic=True) == 0
            assert await log.append(A, b"y") == 1
            assert [call for call in order.calls if call == "append 1"] == ["append 1"]
            assert len(order.entries()) == 2
            assert await read_all(log) == [b"x", b"y"]

    run(main())


@pytest.mark.parametrize("tells_entry", [True, False])
def test_append_that_lost_its_slot_while_unsettled_takes_the_next_one(tells_entry: bool) -> None:
    async def main() -> None:
        order = WatchedOrder()
        order.tells_entry = tells_entry
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            order.script = ["unsettled"]
            rivals = [entry_of(CREATE_A, append_of(b"rival"))]

            def overtake(_slot: int) -> None:
                if not order.script and rivals:
                    order.fill(rivals.pop())

            order.before_append = overtake
            assert await log.append(A, b"x", create_topic=True) == 1
            assert await read_all(log) == [b"rival", b"x"]

    run(main())


def test_append_that_never_reached_the_store_is_repeated_unchanged() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            order.script = ["unsettled"] * 5
            assert await log.append(A, b"x", create_topic=True) == 0
            assert order.calls.count("append 0") == 6
            assert len(order.entries()) == 1

    run(main())


def test_operations_gather_while_an_append_is_in_flight() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log), asyncio.TaskGroup() as tasks:
            order.is_open.clear()
            first = tasks.create_task(log.append(A, b"0", create_topic=True))
            await asyncio.sleep(1)
            others = [tasks.create_task(log.append(A, b"x")) for _ in range(50)]
            await asyncio.sleep(1)
            order.is_open.set()
            assert await first == 0
            assert [await task for task in others] == list(range(1, 51))
            assert len(order.entries()) == 2

    run(main())


def test_slot_that_was_trimmed_is_left_for_the_end_of_the_journal() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        sleeper, other = make_log(order, blobs), make_log(order, blobs, life=2)
        async with running(sleeper):
            async with running(other):
                await other.create_topic("a")
                for _ in range(300 * 4):
                    await other.commit_offsets("g", {A: 0})  # type: ignore[dict-item]
            cell = await order.read_cell("checkpoint")
            assert cell is not None
            await order.trim(int(cell))  # type: ignore[arg-type]
            assert sleeper.journal.state.next_slot < int(cell)
            assert await sleeper.append(A, b"x") == 0
            assert sleeper.journal.state.next_slot > int(cell)

    run(main())


def test_u4_append_that_a_full_store_refuses_fails_for_certain_and_the_next_succeeds() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.create_topic("a")
            order.script = ["refused", "refused"]
            for data in (b"x", b"y"):
                with pytest.raises(Unavailable, match="the disk is full"):
                    await log.append(A, data)
            assert await log.append(A, b"z") == 0
            assert await read_all(log) == [b"z"]

    run(main())


def test_u4_append_whose_first_try_is_open_is_not_handed_back() -> None:
    async def main() -> None:
        order = WatchedOrder()
        order.tells_entry = False
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.create_topic("a")
            order.script = ["lost reply", "refused", "refused"]
            assert await log.append(A, b"x") == 0
            assert await read_all(log) == [b"x"]

    run(main())


def test_u4_submission_that_another_node_was_asked_to_publish_is_not_handed_back() -> None:
    async def main() -> None:
        order = WatchedOrder()
        peers = Mailbox("n0", ("n0", "n1", "n2", "n3"))
        log = make_log(order, WatchedBlobs(order), peers=peers)
        async with running(log):
            order.script = ["refused", "refused"]
            assert await log.append(A, b"x", create_topic=True) == 0
            assert peers.sent, "this node was to be preferred by none: choose other names"
            assert not order.script

    run(main())


@pytest.mark.parametrize("is_first_refusable", [True, False])
def test_u4_submission_is_not_handed_back_because_the_one_before_it_is(
    *, is_first_refusable: bool
) -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        publisher = Publisher("p", log.journal, SimClock(lambda: 0.0), Random("p"), Settings())
        refused: list[Unavailable] = []
        first = Submission("n0", 1, Slot(9), [CREATE_A])
        second = Submission("n0", 2, Slot(9), [append_of(b"x")])

        def offer_second(_slot: Slot) -> None:
            # The first was learned of from elsewhere, while it was being tried here.
            publisher.offer(second, None if is_first_refusable else refused.append)

        publisher.offer(first, refused.append if is_first_refusable else None)
        order.before_append = offer_second
        order.script = ["refused"]
        async with running(log), asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(publisher.run())
            await asyncio.sleep(60.0)
            publishing.cancel()
        assert not refused
        assert [entry.submissions for entry in order.entries()] == [[second]]

    run(main())

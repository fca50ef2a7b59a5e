"""Filling slots: what is acknowledged is in the store, once, whatever the store says or hides."""

import asyncio

import pytest
from lone_node import (
    CREATE_A,
    A,
    WatchedBlobs,
    WatchedOrder,
    append_of,
    entry_of,
    make_log,
    read_all,
    running,
)

from tidings.testing.loop import run


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

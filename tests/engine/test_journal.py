"""Learning what the journal holds: gaps, barriers, recovery, and what must stop a node."""

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

from tidings.core.entry import Entry, encode_entry
from tidings.core.pages import PAGE_SLOTS
from tidings.engine.journal import CHECKPOINT_CELL, Journal
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.errors import Corrupt, Indeterminate, Unavailable
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Offset, Slot

NEVER_S = 1e9

DEAF = Settings(anti_entropy_s=NEVER_S, anti_entropy_idle_s=NEVER_S)
"""A node that asks the store for nothing by itself."""


def records(count: int) -> list[Entry]:
    """Return entries of another node, with one record each, the first of which creates topic a."""
    return [
        entry_of(CREATE_A, append_of(b"%d" % number), number=number)
        for number in range(1, count + 1)
    ]


def encoded(entries: list[Entry]) -> list[bytes]:
    return [encode_entry(entry) for entry in entries]


def reads(order: WatchedOrder) -> int:
    return sum(call.startswith("read") for call in order.calls)


# Learning ---------------------------------------------------------------------------------------


def test_entries_learned_out_of_order_and_twice_are_folded_in_order_once() -> None:
    journal = Journal(WatchedOrder(), MemoryBlobStore(), DEAF)
    folded: list[int] = []
    journal.observers.append(lambda slot, _entry, _applied: folded.append(slot))
    data = encoded(records(6))
    journal.learn(Slot(4), data[4:])
    journal.learn(Slot(2), data[2:5])
    assert folded == []
    journal.learn(Slot(0), data[:3])
    journal.learn(Slot(0), data)
    assert folded == [0, 1, 2, 3, 4, 5]
    assert journal.state.end_offset(A) == 6
    assert journal.filled == 6


def test_entries_learned_in_turn_are_all_folded_however_few_may_be_held_ahead() -> None:
    journal = Journal(WatchedOrder(), MemoryBlobStore(), Settings(ahead_slots_max=2))
    journal.learn(Slot(0), encoded(records(20)))
    assert journal.state.next_slot == 20


def test_entries_far_ahead_are_not_held_but_known_to_exist() -> None:
    journal = Journal(WatchedOrder(), MemoryBlobStore(), Settings(ahead_slots_max=2))
    journal.learn(Slot(1), encoded(records(20))[1:])
    assert len(journal._ahead) == 1
    assert journal.filled == 20


def test_entries_up_to_a_corrupt_one_are_folded() -> None:
    journal = Journal(WatchedOrder(), MemoryBlobStore(), DEAF)
    with pytest.raises(Corrupt):
        journal.learn(Slot(0), [*encoded(records(2)), b"?", *encoded(records(1))])
    assert journal.state.next_slot == 2
    assert journal.filled == 2


def test_gap_is_closed_from_the_store() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=DEAF)
        async with running(log):
            order.fill(*records(5))
            log.journal.learn(Slot(4), encoded(records(5))[4:])
            assert log.journal.state.next_slot == 0
            await asyncio.sleep(1)
            assert log.journal.state.next_slot == 5

    run(main())


def test_gap_that_gossip_closes_in_time_costs_no_read() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=DEAF)
        async with running(log):
            order.calls.clear()
            data = encoded(records(2))
            log.journal.learn(Slot(1), data[1:])
            await asyncio.sleep(DEAF.gap_patience_s / 2)
            log.journal.learn(Slot(0), data[:1])
            await asyncio.sleep(100)
            assert log.journal.state.next_slot == 2
            assert reads(order) == 0

    run(main())


def test_look_ahead_reads_on_with_or_without_a_gap() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=DEAF)
        async with running(log):
            order.fill(*records(4))
            log.journal.look_ahead()
            await asyncio.sleep(0.01)
            assert log.journal.state.next_slot == 4
            order.fill(*records(8)[4:])
            log.journal.learn(Slot(5), encoded(records(6))[5:])
            log.journal.look_ahead()
            await asyncio.sleep(0.01)
            assert log.journal.state.next_slot == 8

    run(main())


def test_wide_gap_is_read_at_once_after_one_patience() -> None:
    async def main() -> None:
        order = WatchedOrder()
        settings = Settings(gap_patience_s=1.0, read_slots_max=1, anti_entropy_s=NEVER_S)
        log = make_log(order, WatchedBlobs(order), settings=settings)
        async with running(log):
            order.fill(*records(9))
            log.journal.learn(Slot(8), encoded(records(9))[8:])
            await asyncio.sleep(0.9)
            assert log.journal.state.next_slot == 0
            await asyncio.sleep(0.2)
            assert log.journal.state.next_slot == 9

    run(main())


def test_silence_makes_a_node_ask_the_store() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=Settings(gossip=False))
        async with running(log):
            await asyncio.sleep(100)
            order.fill(*records(5))
            await asyncio.sleep(2 * log.journal._settings.anti_entropy_idle_s)
            assert await read_all(log) == [b"1", b"2", b"3", b"4", b"5"]

    run(main())


def test_old_news_do_not_keep_a_node_from_asking_the_store() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            data = encoded(records(3))
            log.journal.learn(Slot(0), data[:1])
            order.fill(*records(3))
            for _ in range(200):
                await asyncio.sleep(0.1)
                log.journal.learn(Slot(0), data[:1])
            assert log.journal.state.next_slot == 3

    run(main())


def test_store_that_does_not_answer_is_asked_again() -> None:
    async def main() -> None:
        order = WatchedOrder()
        order.fill(*records(3))
        order.script = ["unavailable"] * 5
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            assert log.journal.state.next_slot == 3
            order.fill(*records(4)[3:])
            order.script = ["unavailable"] * 5
            await asyncio.sleep(60)
            assert log.journal.state.next_slot == 4

    run(main())


def test_corrupt_entry_in_the_store_stops_the_node() -> None:
    async def main() -> None:
        order = WatchedOrder()
        order.fill(*records(3))
        order.spoil(1)
        await make_log(order, WatchedBlobs(order)).run()

    with pytest.raises(ExceptionGroup) as raised:
        run(main())
    assert raised.value.subgroup(Corrupt) is not None


# Barriers ---------------------------------------------------------------------------------------


def test_barrier_sees_all_that_was_settled_before_it() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=DEAF)
        async with running(log):
            order.fill(*records(100))
            assert await log.end_offset(A) == 100

    run(main())


def test_barrier_is_shared_by_those_who_wait_for_it_and_not_by_those_who_come_later() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=DEAF)
        async with running(log), asyncio.TaskGroup() as tasks:
            order.calls.clear()
            order.is_open.clear()
            early = [tasks.create_task(log.end_offset(A)) for _ in range(10)]
            await asyncio.sleep(1)
            assert reads(order) == 1
            order.fill(*records(1))
            late = [tasks.create_task(log.end_offset(A)) for _ in range(10)]
            await asyncio.sleep(1)
            order.is_open.set()
            assert [await end for end in late] == [1] * 10
            for end in early:
                await end
            assert reads(order) == 3, "one for the early, two for the late: an entry, then none"

    run(main())


def test_barrier_without_an_answer_is_unavailable_and_the_next_one_works() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=DEAF)
        async with running(log):
            order.script = ["unavailable"]
            with pytest.raises(Unavailable):
                await log.end_offset(A)
            assert await log.end_offset(A) == 0

    run(main())


def test_barrier_waiter_that_leaves_disturbs_nobody() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = make_log(order, WatchedBlobs(order), settings=DEAF)
        async with running(log), asyncio.TaskGroup() as tasks:
            order.is_open.clear()
            leaver, stayer = (tasks.create_task(log.end_offset(A)) for _ in range(2))
            await asyncio.sleep(1)
            leaver.cancel()
            await asyncio.sleep(1)
            order.is_open.set()
            assert await stayer == 0
            assert await log.end_offset(A) == 0

    run(main())


# Recovery ---------------------------------------------------------------------------------------


async def checkpointed(order: WatchedOrder, blobs: WatchedBlobs, *, trims: bool) -> None:
    """Bring the journal past a checkpoint."""
    settings = Settings(checkpoint_pages=1, linger_s=0)
    log = make_log(order, blobs, settings=settings, life=2)
    async with running(log):
        await log.append(A, b"x" * 2000, create_topic=True)
        for _ in range(PAGE_SLOTS):
            await log.commit_offsets("g", {A: Offset(1)})
        await asyncio.sleep(1)
    named = await order.read_cell(CHECKPOINT_CELL)
    assert named == b"%d" % PAGE_SLOTS
    if trims:
        await order.trim(Slot(PAGE_SLOTS))


@pytest.mark.parametrize("trims", [False, True])
def test_node_recovers_from_the_newest_checkpoint(trims: bool) -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        await checkpointed(order, blobs, trims=trims)
        order.calls.clear()
        log = make_log(order, blobs)
        async with running(log):
            assert order.calls[0] == f"read {PAGE_SLOTS}"
            assert await read_all(log) == [b"x" * 2000]
            assert await log.committed_offsets("g", [A]) == {A: 1}
            assert await log.append(A, b"y") == 1

    run(main())


def test_node_that_slept_through_trimming_goes_on_from_the_checkpoint() -> None:
    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        sleeper = make_log(order, blobs, settings=DEAF)
        async with running(sleeper):
            await checkpointed(order, blobs, trims=True)
            assert await sleeper.end_offset(A) == 1
            assert await read_all(sleeper) == [b"x" * 2000]

    run(main())


def test_append_that_was_skipped_over_is_indeterminate() -> None:
    """The journal moved past its last slot, and nobody can say any more what the slots held."""

    async def main() -> None:
        order = WatchedOrder()
        blobs = WatchedBlobs(order)
        settings = Settings(
            anti_entropy_s=NEVER_S, anti_entropy_idle_s=NEVER_S, submission_window_slots=8
        )
        sleeper = make_log(order, blobs, settings=settings)
        other_order = WatchedOrder(order.inner)
        async with running(sleeper), asyncio.TaskGroup() as tasks:
            order.is_open.clear()
            append = tasks.create_task(_fate(sleeper))
            await asyncio.sleep(1)
            await checkpointed(other_order, blobs, trims=True)
            order.is_open.set()
            assert await append is Indeterminate
            assert await sleeper.append(A, b"y") == 1

    run(main())


async def _fate(log: Log) -> type[Exception] | None:
    try:
        await log.append(A, b"x", create_topic=True)
    except Indeterminate as error:
        return type(error)
    return None


def test_slot_trimmed_without_a_checkpoint_stops_the_node() -> None:
    async def main() -> None:
        order = WatchedOrder()
        order.fill(*records(3))
        await order.trim(Slot(2))
        await make_log(order, WatchedBlobs(order)).run()

    with pytest.raises(ExceptionGroup) as raised:
        run(main())
    assert raised.value.subgroup(Corrupt) is not None


def test_barrier_where_nobody_else_writes_asks_nothing() -> None:
    async def main() -> None:
        order = WatchedOrder(MemoryOrderStore(is_exclusive=True))
        log = make_log(order, WatchedBlobs(order))
        async with running(log):
            await log.append(A, b"x", create_topic=True)
            order.calls.clear()
            assert await log.end_offset(A) == 1
            await asyncio.sleep(100)
            assert order.calls == []

    run(main())


def test_barrier_where_nobody_else_writes_waits_for_recovery() -> None:
    async def main() -> None:
        order = WatchedOrder(MemoryOrderStore(is_exclusive=True))
        blobs = WatchedBlobs(order)
        async with running(log := make_log(order, blobs)):
            await log.append(A, b"x", create_topic=True)
        late = make_log(order, blobs, life=2)
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(late.run())
            assert await late.end_offset(A) == 1
            node.cancel()

    run(main())

"""Memory is bounded by what is not committed plus fixed caches, however long the log is."""

import asyncio
from random import Random

from lone_node import Mailbox, Midnight, WatchedBlobs, WatchedOrder, append_of

from tidings.core.pages import IN_PLACE, PAGE_SLOTS
from tidings.engine.log import Log
from tidings.engine.settings import KIB, Settings
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

MESSAGES = 200_000
PARTITIONS = 200
ROUND = 125
"""Messages submitted at once: they fill one slot, and their commit another."""

BURST = 250
"""Messages sent to one partition before it is the next one's turn."""

SETTINGS = Settings(
    linger_s=0,
    entry_cache_bytes=256 * KIB,
    page_cache_bytes=2048 * KIB,
    blob_cache_bytes=256 * KIB,
    index_entries_max=1000,
    fetch_batches_max=BURST,
)

A_MOMENT_S = 0.001
"""Nothing in this world takes time by itself, and the loop takes that for a livelock."""

INDEX_ENTRIES_BOUND = 3 * PAGE_SLOTS * ROUND
"""The open page, one that is being written, and one until its operation is folded."""


def name_of(number: int) -> TopicPartition:
    return TopicPartition("t", number // BURST % PARTITIONS)


async def send_and_commit(log: Log) -> None:
    for start in range(0, MESSAGES, ROUND):
        numbers = range(start, start + ROUND)
        await asyncio.sleep(0.001)
        await log._submitter.submit([append_of(b"%d" % n, name_of(n)) for n in numbers])
        name = name_of(start)
        await log.commit_offsets("g", {name: log.journal.state.end_offset(name)})
        check_bounds(log)
        await asyncio.sleep(A_MOMENT_S)


def check_bounds(log: Log) -> None:
    journal, reader = log.journal, log._reader
    assert journal.state.index_size <= INDEX_ENTRIES_BOUND
    assert journal.entries.size <= SETTINGS.entry_cache_bytes
    assert reader._pages.size <= SETTINGS.page_cache_bytes
    assert reader._bytes.size_bytes <= SETTINGS.blob_cache_bytes
    assert len(journal.state.unwritten) <= 2
    assert len(journal.state.origins) <= 1
    assert not journal._ahead


def check_index_size(log: Log) -> None:
    state = log.journal.state
    held = sum(len(partition.entries) for partition in state.partitions.values())
    assert held == state.index_size


async def read_everything(log: Log) -> None:
    """See that all is there, complete and in order; in bursts, as it was written."""
    for burst_start in range(0, MESSAGES, BURST):
        name = name_of(burst_start)
        offset = Offset(burst_start // (PARTITIONS * BURST) * BURST)
        await asyncio.sleep(0.001)
        batches = await log.fetch(name, offset, 64 * KIB)
        assert [batch.base_offset for batch in batches] == list(range(offset, offset + BURST))
        numbers = range(burst_start, burst_start + BURST)
        assert [batch.data for batch in batches] == [b"%d" % number for number in numbers]
        check_bounds(log)
        await asyncio.sleep(A_MOMENT_S)
    for partition in range(PARTITIONS):
        end = Offset(MESSAGES // PARTITIONS)
        assert await log.fetch(TopicPartition("t", partition), end, KIB) == []


def test_memory_stays_bounded_while_200_000_messages_are_sent_and_committed() -> None:
    async def main() -> None:
        order = WatchedOrder()
        log = Log(
            order.inner,
            WatchedBlobs(order),
            peers=Mailbox(),
            clock=Midnight(),
            rng=Random("memory"),
            settings=SETTINGS,
            page_format=IN_PLACE,
        )
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(log.run())
            await log.create_topic("t", PARTITIONS)
            await send_and_commit(log)
            check_index_size(log)
            slots = log.journal.state.next_slot
            assert slots > 10 * PAGE_SLOTS, "nearly everything lies in pages"
            await read_everything(log)
            node.cancel()

    run(main())

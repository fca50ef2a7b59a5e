"""Rewriting pages: what is kept takes little room, however much is deleted beside it."""

import asyncio
from dataclasses import replace

import pytest
from lone_node import A, WatchedBlobs, WatchedOrder, make_log, read_all, running

from tidings.core.pages import PageFormat, covers
from tidings.engine.journal import Missing
from tidings.engine.log import Log, NewBatch
from tidings.engine.settings import Settings
from tidings.errors import Corrupt
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

FORMAT = PageFormat(10, 1000, 10**6, has_segments=True)
SETTINGS = Settings(
    linger_s=0,
    checkpoint_pages=1,
    retention_interval_s=1000,
    collect_interval_s=1,
    rewrite_dead_bytes_min=1,
)
BUSY = TopicPartition("busy", 0)
ROUNDS = 40
KEPT = [b"kept %d" % number for number in range(ROUNDS)]


class Node:
    """A node on stores that outlive it."""

    def __init__(self, settings: Settings = SETTINGS, inline_bytes_max: int = 2000) -> None:
        self.order = WatchedOrder(inline_bytes_max=inline_bytes_max)
        self.blobs = WatchedBlobs(self.order)
        self.settings = settings
        self._lives = 0

    def log(self) -> Log:
        self._lives += 1
        return make_log(
            self.order,
            self.blobs,
            settings=self.settings,
            life=self._lives,
            page_format=FORMAT,
        )

    @property
    def stored_bytes(self) -> int:
        """What all blobs take together."""
        return sum(len(data) for data in self.blobs._blobs.values())


async def fill(log: Log) -> None:
    """Put little into a topic that is kept, and a thousand times as much beside it; end pages."""
    await log.create_topic("a")
    await log.create_topic("busy")
    for kept in KEPT:
        await log.append_all([NewBatch(A, kept), NewBatch(BUSY, bytes(1000))])
    await end_pages(log)


async def end_pages(log: Log) -> None:
    for _ in range(10):
        await log.create_topic("a")


async def delete_busy(log: Log) -> None:
    await log.delete_records(BUSY, log.state.end_offset(BUSY))


async def settle(log: Log) -> None:
    """Wait until nothing is left to do: entries that tell of it fill pages as well."""
    for _ in range(5):
        await end_pages(log)
        await asyncio.sleep(5)


@pytest.mark.parametrize("inline_bytes_max", [2000, 500, -1])
def test_what_is_kept_takes_little_room_and_can_be_read(inline_bytes_max: int) -> None:
    async def main() -> None:
        node = Node(inline_bytes_max=inline_bytes_max)
        log = node.log()
        async with running(log):
            await fill(log)
            await asyncio.sleep(5)
            assert node.stored_bytes > 1000 * ROUNDS
            await delete_busy(log)
            await settle(log)
            assert node.stored_bytes < 250 * ROUNDS
            assert log.state.collection.unswept == []
            assert len(log.state.collection.live_sections) >= ROUNDS // 10
            assert await read_all(log) == KEPT
        again = node.log()
        async with running(again):
            assert await read_all(again) == KEPT

    run(main())


def test_all_blobs_go_once_the_rest_is_deleted_as_well() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        async with running(log):
            await fill(log)
            await delete_busy(log)
            await settle(log)
            rewritten = dict(log.state.collection.rewritten)
            assert rewritten
            await log.delete_records(A, log.state.end_offset(A))
            await settle(log)
            assert not {where.name for where in rewritten.values()} & set(node.blobs.names())
            assert log.state.collection.rewritten.keys().isdisjoint(rewritten)

    run(main())


def test_document_goes_with_its_page_when_nothing_was_copied() -> None:
    async def main() -> None:
        node = Node(inline_bytes_max=500)
        log = node.log()
        async with running(log):
            await log.create_topic("a")
            await log.create_topic("busy")
            await log.append(A, bytes(600))
            await log.append(BUSY, bytes(2000))
            await end_pages(log)
            await delete_busy(log)
            await settle(log)
            document = log.state.collection.rewritten[0].name
            assert document in node.blobs.names()
            await log.delete_records(A, Offset(1))
            await settle(log)
            assert document not in node.blobs.names()

    run(main())


def test_page_that_dies_before_its_former_blobs_are_deleted_takes_them_along() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        async with running(log):
            await fill(log)
            await delete_busy(log)
            node.blobs.keeps_all = True
            await settle(log)
            unswept = list(log.state.collection.unswept)
            assert unswept
            await log.delete_records(A, log.state.end_offset(A))
            await settle(log)
            assert set(unswept) <= set(log.state.collection.dead_pages)
            node.blobs.keeps_all = False
            await settle(log)
            left = {name.split("/")[0] for name in node.blobs.names()}
            assert left == {"checkpoint"}

    run(main())


def test_page_is_rewritten_again_when_half_of_what_was_kept_is_deleted() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        names = [TopicPartition("many", number) for number in range(8)]
        async with running(log):
            await log.create_topic("busy")
            await log.create_topic("many", len(names))
            await log.append_all([NewBatch(BUSY, bytes(10_000))])
            await log.append_all([NewBatch(name, bytes(100)) for name in names])
            await end_pages(log)
            await delete_busy(log)
            await settle(log)
            first = log.state.collection.rewritten[0]
            for name in names[2:]:
                await log.delete_records(name, Offset(1))
            await settle(log)
            assert log.state.collection.rewritten[0] != first
            assert first.name not in node.blobs.names()
            for name in names[:2]:
                assert await read_all(log, name) == [bytes(100)]

    run(main())


@pytest.mark.parametrize(
    "setting",
    [{"rewrite_dead_bytes_min": 10**6}, {"collect_interval_s": 10**6}],
    ids=["little is dead", "it is not time"],
)
def test_page_is_not_rewritten_for_little(setting: dict[str, int]) -> None:
    async def main() -> None:
        node = Node(replace(SETTINGS, **setting))  # type: ignore[arg-type]
        log = node.log()
        async with running(log):
            await fill(log)
            await delete_busy(log)
            await settle(log)
            assert log.state.collection.rewritten == {}

    run(main())


def test_page_that_is_mostly_alive_is_not_rewritten() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        async with running(log):
            await log.create_topic("a")
            await log.create_topic("busy")
            await log.append_all([NewBatch(A, bytes(1000)), NewBatch(BUSY, bytes(900))])
            await end_pages(log)
            await delete_busy(log)
            await settle(log)
            assert log.state.collection.rewritten == {}

    run(main())


def test_reader_whose_memory_is_older_than_the_rewriting_looks_again() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        async with running(log):
            await fill(log)
            await delete_busy(log)
            # Nobody committed, so the index in memory still says where batches were.
            assert log.state.partitions[A].entries
            await settle(log)
            assert log.state.collection.rewritten
            assert await read_all(log) == KEPT

    run(main())


def test_section_that_went_while_its_reader_was_on_the_way_is_missing() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        async with running(log):
            await fill(log)
            spine = log.state.partitions[BUSY].spine
            await delete_busy(log)
            await settle(log)
            with pytest.raises(Missing, match="has no section of"):
                await log._reader.find_section(BUSY, spine, covers(Offset(0)))

    run(main())


def test_batch_that_is_nowhere_is_still_called_lost() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        async with running(log):
            await fill(log)
            await delete_busy(log)
            await settle(log)
            where = log.state.collection.rewritten[0]
        again = node.log()
        async with running(again):
            del node.blobs._blobs[where.name]
            with pytest.raises(Corrupt, match="page 0 is durable, but"):
                await read_all(again)

    run(main())


def test_several_nodes_that_rewrite_at_once_leave_one_document_of_each_page() -> None:
    async def main() -> None:
        node = Node()
        # Each knows only itself, so each takes all upkeep for its own.
        logs = [node.log() for _ in range(3)]
        async with running(*logs):
            await fill(logs[0])
            await delete_busy(logs[0])
            for log in logs:
                await settle(log)
            for log in logs:
                await log.journal.barrier()
                assert await read_all(log) == KEPT
            assert logs[0].state.collection.rewritten
            assert logs[0].state.collection.unswept == []
            assert node.stored_bytes < 250 * ROUNDS

    run(main())


def test_node_that_dies_before_it_deletes_leaves_that_to_the_next() -> None:
    async def main() -> None:
        node = Node()
        log = node.log()
        async with running(log):
            await fill(log)
            await asyncio.sleep(2.5)
            await delete_busy(log)
            # One look releases, the next rewrites, and the one after that would delete.
            await asyncio.sleep(2)
            assert log.state.collection.unswept
        assert node.stored_bytes > 1000 * ROUNDS
        again = node.log()
        async with running(again):
            await settle(again)
            assert node.stored_bytes < 250 * ROUNDS
            assert await read_all(again) == KEPT

    run(main())

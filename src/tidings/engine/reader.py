"""Reading record batches: from memory when they are there, else from the stores.

Where a batch is comes from the partition's index; what was pruned from it is found through index
pages. The bytes come from the cache of entries and blobs. Nothing here changes the state.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import chain, repeat
from operator import attrgetter
from typing import TypeVar

from tidings.core.entry import InBlob
from tidings.core.pages import (
    IndexEntry,
    Page,
    Reaches,
    Section,
    Spine,
    covers,
    decode_section,
    find_tree,
    step_down,
)
from tidings.core.partition import START, Partition
from tidings.core.rewriting import call_own_blob
from tidings.core.topics import Topic
from tidings.engine.cache import LoadingCache
from tidings.engine.fresh_blobs import FreshBlobs
from tidings.engine.index_pages import IndexPages
from tidings.engine.journal import Journal, Missing
from tidings.engine.record_bytes import RecordBytes
from tidings.engine.settings import Settings
from tidings.errors import Corrupt, OffsetOutOfRange, UnknownTopicOrPartition
from tidings.ports import BlobStore
from tidings.types import Offset, TopicPartition

T = TypeVar("T")

MOVES_MAX = 5
"""A batch moves to its segment, moves on when its page is rewritten, once or twice, and may then be
deleted; a reader can be too slow for all of that, after it was too slow for another batch."""

_timestamp = attrgetter("max_timestamp_ms")


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A record batch as it was appended."""

    base_offset: Offset
    last_offset: Offset
    appended_ms: int
    """Wall clock of the publisher that put it into the journal, milliseconds since 1970."""
    data: bytes


class Reader:
    """Reads what the journal's fold says is there."""

    def __init__(
        self, journal: Journal, blobs: BlobStore, fresh: FreshBlobs, settings: Settings
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._index_pages = IndexPages(blobs)
        self._pages = LoadingCache(self._index_pages.load_parts, settings.page_cache_bytes)
        self._reads = asyncio.Semaphore(settings.concurrent_reads_max)
        self._bytes = RecordBytes(journal, blobs, fresh, settings=settings, reads=self._reads)

    async def fetch(
        self, name: TopicPartition, offset: Offset, size_bytes_max: int
    ) -> list[RecordBatch]:
        """Return batches in order from the one that holds `offset` on, as far as this node knows.

        At least one, if there is one; more while they fit `size_bytes_max`.

        Raises:
            UnknownTopicOrPartition: This node knows of no such partition.
            OffsetOutOfRange: The offset is below the log start offset, or beyond the end that this
                node knows of.
            Unavailable: A store that had to be asked gave no answer.
            Corrupt: A store holds something else than what was put there.
        """
        # Of many batches one or another may have moved each time; a single one comes to rest.
        limits = chain((size_bytes_max,), repeat(0))

        async def read() -> list[RecordBatch]:
            return await self._read_all(await self._locate(name, offset, next(limits)))

        return await self._surely(name, read)

    async def _surely(self, name: TopicPartition, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` does, looking places up again if what was there has moved since."""
        for _ in range(MOVES_MAX):
            try:
                return await read()
            except Missing:
                await self._journal.barrier()
                self._journal.state.forget_places(name)
        try:
            return await read()
        except Missing as error:
            raise Corrupt(str(error)) from error

    async def batch_for_time(self, name: TopicPartition, timestamp_ms: int) -> RecordBatch | None:
        """Return the first batch with a record of this time or a later one; None if there is none.

        Raises:
            UnknownTopicOrPartition, Unavailable, Corrupt: See `fetch`.
        """
        return await self._surely(name, lambda: self._batch_for_time(name, timestamp_ms))

    async def _batch_for_time(self, name: TopicPartition, timestamp_ms: int) -> RecordBatch | None:
        start = self._partition(name).log_start_offset
        while True:
            found = await self.find(name, _later(start, timestamp_ms))
            if not found:
                return None
            # The highest timestamp so far may be that of a batch below the log start offset.
            for entry in found:
                if entry.max_timestamp_ms >= timestamp_ms:
                    return (await self._read_all([entry]))[0]
            start = Offset(found[-1].last_offset + 1)

    async def newest_batch_by_time(self, name: TopicPartition) -> RecordBatch | None:
        """Return the first batch that holds the highest timestamp of all; None if there is none.

        Raises:
            UnknownTopicOrPartition, Unavailable, Corrupt: See `fetch`.
        """
        return await self._surely(name, lambda: self._newest_batch_by_time(name))

    async def _newest_batch_by_time(self, name: TopicPartition) -> RecordBatch | None:
        partition = self._partition(name)
        found = await self._batch_for_time(name, partition.highest_ms)
        if found is not None:
            return found
        # It was that of a batch below the log start offset: look at all that is left.
        newest: IndexEntry | None = None
        offset = partition.log_start_offset
        while index := await self.find(name, covers(offset), self._settings.fetch_batches_max):
            newest = max(*([newest] if newest else ()), *index, key=_timestamp)
            offset = Offset(index[-1].last_offset + 1)
        return (await self._read_all([newest]))[0] if newest else None

    # Where ---------------------------------------------------------------------------------------

    def _partition(self, name: TopicPartition) -> Partition:
        """Return what the state holds of a partition."""
        if not self._journal.state.has_partition(name):
            raise UnknownTopicOrPartition(f"there is no partition {name.partition} of {name.topic}")
        return self._journal.state.partitions.get(name) or Partition()

    def _readable(self, name: TopicPartition, offset: Offset) -> Partition:
        partition = self._partition(name)
        if not partition.log_start_offset <= offset <= partition.end_offset:
            raise OffsetOutOfRange(
                f"offset {offset} does not exist: there are {partition.log_start_offset} to "
                f"{partition.end_offset - 1}"
            )
        return partition

    async def _locate(
        self, name: TopicPartition, offset: Offset, size_bytes_max: int
    ) -> list[IndexEntry]:
        """Return the index entries of the batches that a fetch returns."""
        chosen: list[IndexEntry] = []
        count_max = self._settings.fetch_batches_max
        topic = self._journal.state.topics.get(name.topic)
        while len(chosen) < count_max:
            if chosen and not self._is_still_there(name, topic, offset):
                break
            if offset == self._readable(name, offset).end_offset:
                break
            found = await self.find(name, covers(offset), count_max - len(chosen))
            if chosen and not self._is_still_there(name, topic, offset):
                break
            if not found:
                raise Missing(f"offset {offset} of {name} is in no index entry")
            for entry in found[: count_max - len(chosen)]:
                size_bytes_max -= entry.where.size_bytes
                if chosen and size_bytes_max < 0:
                    return chosen
                chosen.append(entry)
            offset = Offset(chosen[-1].last_offset + 1)
        return chosen

    def _is_still_there(self, name: TopicPartition, topic: Topic | None, offset: Offset) -> bool:
        """Whether neither the topic nor this offset was deleted since the topic was looked up."""
        now = self._journal.state.topics.get(name.topic)
        return (
            now is not None
            and topic is not None
            and now.topic_id == topic.topic_id
            and offset >= self._journal.state.log_start_offset(name)
        )

    async def find(
        self, name: TopicPartition, reaches: Reaches, count_max: int = 1
    ) -> list[IndexEntry]:
        """Return index entries from the first that reaches on; none if none does.

        At most `count_max`, and perhaps fewer than there are.

        Raises:
            UnknownTopicOrPartition, Unavailable, Corrupt: See `fetch`.
        """
        partition = self._partition(name)
        held = partition.locate(reaches, count_max)
        if partition.start_offset == START or (held and held[0] is not partition.entries[0]):
            return held
        # The first in memory reaches, or none does: what was pruned may reach as well.
        found = await self.find_section(name, partition.spine, reaches)
        if found is None:
            return held
        _, section = found
        first = bisect_left(section.entries, 1, key=reaches)
        return section.entries[first : first + count_max]

    async def bytes_before(self, name: TopicPartition, offset: Offset) -> int:
        """Return the record bytes that ever were in the batches before the one with `offset`.

        Raises:
            UnknownTopicOrPartition, Unavailable, Corrupt: See `fetch`.
        """
        found = await self._surely(name, lambda: self.find(name, covers(offset)))
        if found:
            return found[0].end_bytes - found[0].where.size_bytes
        return self._partition(name).end_bytes

    async def find_section(
        self, name: TopicPartition, spine: Spine, reaches: Reaches
    ) -> tuple[int, Section] | None:
        """Return the first section with an entry that reaches, and its page; None if none has.

        Raises:
            Missing, Unavailable, Corrupt: See `fetch`.
        """
        tree = find_tree(spine, reaches)
        while tree is not None:
            section = await self._section(tree.page, name)
            child = step_down(section, reaches)
            if child is None:
                return tree.page, section
            tree = child
        return None

    async def page(self, number: int) -> Page | None:
        """Return a durable page, as it was rewritten last; None if it is not there any more."""
        return await self._index_pages.page(number, self._rewritten.get(number))

    async def load(self, index: list[IndexEntry]) -> list[bytes]:
        """Return the record bytes of batches, in order.

        Raises:
            Missing, Unavailable, Corrupt: See `fetch`.
        """
        return await self._bytes.load(index)

    @property
    def _rewritten(self) -> dict[int, InBlob]:
        return self._journal.state.collection.rewritten

    async def _section(self, page: int, name: TopicPartition) -> Section:
        unwritten = self._journal.state.unwritten.get(page)
        if unwritten is not None:
            return next(part.section for part in unwritten.sections if part.partition == name)
        document = self._rewritten.get(page)
        async with self._reads:
            stored = (await self._pages.fetch((page, document))).get(name)
        if stored is None:
            # Released, and the page rewritten, while the reader was on its way there.
            raise Missing(f"page {page} has no section of {name}")
        section = decode_section(stored)
        return call_own_blob(section, document.name) if document else section

    # What ----------------------------------------------------------------------------------------

    async def _read_all(self, index: list[IndexEntry]) -> list[RecordBatch]:
        return [
            RecordBatch(entry.base_offset, entry.last_offset, entry.appended_ms, data)
            for entry, data in zip(index, await self.load(index), strict=True)
        ]


def _later(start: Offset, timestamp_ms: int) -> Reaches:
    return lambda part: part.last_offset >= start and part.highest_ms >= timestamp_ms

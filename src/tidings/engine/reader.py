"""Reading record batches: from memory when they are there, else from the stores.

Where a batch is comes from the partition's index; what was pruned from it is found through index
pages. The bytes come from the cache of entries and blobs. Nothing here changes the state.
"""

import asyncio
from dataclasses import dataclass

from tidings.core.entry import Append, Entry, InBlob, Inline
from tidings.core.pages import (
    IndexEntry,
    InEntry,
    PageSection,
    Section,
    Spine,
    decode_page,
    find_tree,
    step_down,
)
from tidings.engine.cache import LoadingCache
from tidings.engine.journal import Journal
from tidings.engine.settings import Settings
from tidings.errors import Corrupt, OffsetOutOfRange, TidingsError
from tidings.ports import BlobStore
from tidings.types import Offset, TopicPartition

Sections = dict[TopicPartition, Section]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A record batch as it was appended."""

    base_offset: Offset
    last_offset: Offset
    appended_ms: int
    """Wall clock of the publisher that put it into the journal, milliseconds since 1970."""
    data: bytes


def page_blob(number: int) -> str:
    """The name of an index page's blob."""
    return f"index/{number}"


class Reader:
    """Reads what the journal's fold says is there."""

    def __init__(self, journal: Journal, blobs: BlobStore, settings: Settings) -> None:
        self._journal = journal
        self._blobs = blobs
        self._settings = settings
        self._pages = LoadingCache(self._load_page, settings.page_cache_bytes)
        self._data = LoadingCache(self._load_data, settings.blob_cache_bytes)
        self._reads = asyncio.Semaphore(settings.concurrent_reads_max)

    async def fetch(
        self, name: TopicPartition, offset: Offset, size_bytes_max: int
    ) -> list[RecordBatch]:
        """Return batches in order from the one that holds `offset` on, as far as this node knows.

        At least one, if there is one; more while they fit `size_bytes_max`.

        Raises:
            OffsetOutOfRange: The offset is negative.
            Unavailable: A store that had to be asked gave no answer.
            Corrupt: A store holds something else than what was put there.
        """
        if offset < 0:
            raise OffsetOutOfRange(f"offset {offset} does not exist: offsets start at 0")
        index = await self._locate(name, offset, size_bytes_max)
        held = [self._held(entry) for entry in index]
        if None in held:
            held = await self._load(index)
        return [
            RecordBatch(entry.base_offset, entry.last_offset, entry.appended_ms, data)
            for entry, data in zip(index, held, strict=True)
            if data is not None
        ]

    # Where ---------------------------------------------------------------------------------------

    async def _locate(
        self, name: TopicPartition, offset: Offset, size_bytes_max: int
    ) -> list[IndexEntry]:
        """Return the index entries of the batches that a fetch returns."""
        chosen: list[IndexEntry] = []
        count_max = self._settings.fetch_batches_max
        while len(chosen) < count_max:
            partition = self._journal.state.partitions.get(name)
            if partition is None or offset >= partition.end_offset:
                break
            if offset >= partition.start_offset:
                found = partition.locate(offset, count_max - len(chosen))
            else:
                found = await self._locate_in_pages(name, partition.spine, offset)
            for entry in found[: count_max - len(chosen)]:
                size_bytes_max -= entry.where.size_bytes
                if chosen and size_bytes_max < 0:
                    return chosen
                chosen.append(entry)
            offset = Offset(chosen[-1].last_offset + 1)
        return chosen

    async def _locate_in_pages(
        self, name: TopicPartition, spine: Spine, offset: Offset
    ) -> list[IndexEntry]:
        """Return the index entries from the one that holds `offset` to the end of its section."""
        tree = find_tree(spine, offset)
        assert tree is not None, f"S1: offset {offset} of {name} is in no page of {spine}"
        while True:
            section = await self._section(tree.page, name)
            if offset >= tree.start_offset:
                return [entry for entry in section.entries if entry.last_offset >= offset]
            tree = step_down(section, offset)

    async def _section(self, page: int, name: TopicPartition) -> Section:
        unwritten = self._journal.state.unwritten.get(page)
        if unwritten is not None:
            return _sections(unwritten.sections)[name]
        async with self._reads:
            return (await self._pages.fetch(page))[name]

    async def _load_page(self, number: int) -> tuple[Sections, int]:
        data = await self._get(page_blob(number))
        return _sections(decode_page(data).sections), len(data)

    # What ----------------------------------------------------------------------------------------

    def _held(self, entry: IndexEntry) -> bytes | None:
        """Return a batch's bytes if they are in memory."""
        match entry.where:
            case InEntry(slot) as place:
                held = self._journal.entries.get(slot)
                return _inline_data(held[1], place) if held else None
            case InBlob(name) as part:
                blob = self._data.get(name)
                return _part(blob, part) if blob is not None else None

    async def _load(self, index: list[IndexEntry]) -> list[bytes | None]:
        """Return the bytes of batches, loading those that are not in memory side by side."""
        loaded: list[bytes | None] = [None] * len(index)
        failures: list[TidingsError] = []

        async def load(position: int) -> None:
            try:
                async with self._reads:
                    loaded[position] = await self._read(index[position])
            except TidingsError as error:
                failures.append(error)

        async with asyncio.TaskGroup() as tasks:
            for position in range(len(index)):
                tasks.create_task(load(position))
        if failures:
            raise failures[0]
        return loaded

    async def _read(self, entry: IndexEntry) -> bytes:
        match entry.where:
            case InEntry(slot) as place:
                _, filled = await self._journal.entries.fetch(slot)
                return _inline_data(filled, place)
            case InBlob(name) as part:
                return _part(await self._data.fetch(name), part)

    async def _load_data(self, name: str) -> tuple[bytes, int]:
        data = await self._get(name)
        return data, len(data)

    async def _get(self, name: str) -> bytes:
        data = await self._blobs.get(name)
        if data is None:
            raise Corrupt(f"the journal names blob {name}, which the blob store does not hold")
        return data


def _sections(parts: list[PageSection]) -> Sections:
    return {part.partition: part.section for part in parts}


def _inline_data(entry: Entry, place: InEntry) -> bytes:
    match entry.submissions[place.submission].operations[place.operation]:
        case Append(payload=Inline(data)):
            return data
        case other:
            raise Corrupt(f"the index says that {place} is inline record bytes, it is {other}")


def _part(blob: bytes, part: InBlob) -> bytes:
    data = blob[part.position : part.position + part.size_bytes]
    if len(data) != part.size_bytes:
        raise Corrupt(f"blob {part.name} has {len(blob)} bytes, too few for {part}")
    return data

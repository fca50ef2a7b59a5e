"""The bytes of record batches: from memory when they are there, else from the stores.

Batches that lie side by side in one blob are read together.
"""

import asyncio
from collections.abc import Sequence
from itertools import accumulate

from tidings.core.entry import Append, Entry, InBlob, Inline
from tidings.core.pages import IndexEntry, InEntry
from tidings.engine.cache import LoadingCache
from tidings.engine.fresh_blobs import FreshBlobs
from tidings.engine.journal import Journal, Missing
from tidings.engine.settings import Settings
from tidings.errors import Corrupt, TidingsError
from tidings.ports import BlobStore

Piece = tuple[InEntry | InBlob, list[int]]
"""What is read at once, and the sizes of the batches in it."""


class RecordBytes:
    """Gets the bytes of batches."""

    def __init__(
        self,
        journal: Journal,
        blobs: BlobStore,
        fresh: FreshBlobs,
        *,
        settings: Settings,
        reads: asyncio.Semaphore,
    ) -> None:
        self._journal = journal
        self._blobs = blobs
        self._fresh = fresh
        self._reads = reads
        # Parts of blobs, as they were read.
        self._parts = LoadingCache(self._load_part, settings.blob_cache_bytes)

    @property
    def size_bytes(self) -> int:
        """The size of what is held."""
        return self._parts.size

    async def load(self, index: Sequence[IndexEntry]) -> list[bytes]:
        """Return the bytes of batches, in order.

        Raises:
            Missing: They are not where the index says.
            Unavailable: A store gave no answer.
            Corrupt: A store holds something else than what was put there.
        """
        pieces = _pieces(index)
        held = [self._held(where) for where, _ in pieces]
        if None in held:
            held = await self._load_all(pieces)
        found: list[bytes] = []
        for (_, sizes), data in zip(pieces, held, strict=True):
            assert data is not None, "a load that fails raises"
            if len(sizes) == 1:
                found.append(data)
            else:
                ends = accumulate(sizes)
                found += [data[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        return found

    def _held(self, where: InEntry | InBlob) -> bytes | None:
        """Return a piece's bytes if they are in memory."""
        if isinstance(where, InBlob):
            return self._fresh.part(where) or self._parts.get(where)
        held = self._journal.entries.get(where.slot)
        return inline_data(held[1], where) if held else None

    async def _load_all(self, pieces: list[Piece]) -> list[bytes | None]:
        """Return the bytes of pieces, loading those that are not in memory side by side."""
        loaded: list[bytes | None] = [None] * len(pieces)
        failures: list[TidingsError] = []

        async def load(position: int) -> None:
            try:
                async with self._reads:
                    loaded[position] = await self._fetch(pieces[position][0])
            except TidingsError as error:
                failures.append(error)

        if len(pieces) == 1:
            await load(0)
        else:
            async with asyncio.TaskGroup() as tasks:
                for position in range(len(pieces)):
                    tasks.create_task(load(position))
        if failures:
            raise failures[0]
        return loaded

    async def _fetch(self, where: InEntry | InBlob) -> bytes:
        if isinstance(where, InBlob):
            return await self._parts.fetch(where)
        _, entry = await self._journal.entries.fetch(where.slot)
        return inline_data(entry, where)

    async def _load_part(self, part: InBlob) -> tuple[bytes, int]:
        data = await self._blobs.get_range(part.name, part.position, part.size_bytes)
        if data is None:
            raise Missing(f"the journal names blob {part.name}, which the blob store does not hold")
        if len(data) != part.size_bytes:
            raise Corrupt(f"blob {part.name} is too short for {part}")
        return data, len(data)


def _pieces(index: Sequence[IndexEntry]) -> list[Piece]:
    """Put together what lies side by side in one blob."""
    pieces: list[Piece] = []
    for where in (entry.where for entry in index):
        last = pieces[-1][0] if pieces else None
        if (
            isinstance(where, InBlob)
            and isinstance(last, InBlob)
            and where.name == last.name
            and where.position == last.position + last.size_bytes
        ):
            joined = InBlob(last.name, last.position, last.size_bytes + where.size_bytes)
            pieces[-1][1].append(where.size_bytes)
            pieces[-1] = (joined, pieces[-1][1])
        else:
            pieces.append((where, [where.size_bytes]))
    return pieces


def inline_data(entry: Entry, place: InEntry) -> bytes:
    """Return the record bytes at a place in an entry; raise `Corrupt` if there are none."""
    match entry.submissions[place.submission].operations[place.operation]:
        case Append(payload=Inline(data)):
            return data
        case other:
            raise Corrupt(f"the index says that {place} is inline record bytes, it is {other}")

"""One partition: its dense offsets and what memory knows of where its records are.

Definitions. The *end offset* is the next to be given out; since a record is readable as soon as it
has one, it is the high watermark too. An index entry is *sealed* once it is part of an index page,
*durable* once that page is known to be in the blob store, *pruned* once memory has dropped it.

    P1  offsets are dense: a batch's base offset is the end offset before it;
    P2  the entries in memory cover start_offset … end_offset without a gap;
    P3  an entry is pruned only when durable: everything below start_offset is in pages;
    P4  offsets, end bytes and highest timestamps of entries never go down; nor does the log start
        offset, which is never beyond the end.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from operator import attrgetter

from tidings.core.entry import InBlob
from tidings.core.pages import (
    IndexEntry,
    InEntry,
    Reaches,
    Section,
    Spine,
    covers,
    drop_trees,
    push_section,
)
from tidings.core.producers import Producers
from tidings.types import Offset

START = Offset(0)
"""Where every partition begins."""


class Partition:
    """The state of one partition."""

    def __init__(
        self, end_offset: Offset = START, spine: Spine = (), producers: Producers | None = None
    ) -> None:
        # The next offset to be given out, and the record bytes and highest timestamp before it.
        self.end_offset = end_offset
        self.end_bytes = spine[0].end_bytes if spine else 0
        self.highest_ms = spine[0].highest_ms if spine else 0
        # The first offset that may be read, and the record bytes before its batch. Go up only.
        self.log_start_offset = START
        self.start_bytes = 0
        # The sections below are released; see `tidings.core.collection`.
        self.collected_offset = START
        # Index entries in memory, ascending. Appended by `append`, dropped by `prune`.
        self.entries: list[IndexEntry] = []
        # The trees of sealed sections.
        self.spine = spine
        self.producers = producers or Producers()
        # Everything below is in pages that are durable.
        self.durable_offset = end_offset
        # Everything below is in pages; (page, offset where it ends) of those not yet durable.
        self._sealed_offset = end_offset
        self._sealed: deque[tuple[int, Offset]] = deque()

    @property
    def start_offset(self) -> Offset:
        """The first offset that the index in memory covers."""
        return self.entries[0].base_offset if self.entries else self.end_offset

    @property
    def sealed_offset(self) -> Offset:
        """Everything below is in pages, durable or not."""
        return self._sealed_offset

    @property
    def dead_offset(self) -> Offset:
        """Everything below is in pages and may not be read any more."""
        return min(self.log_start_offset, self._sealed_offset)

    def release(self, to_offset: Offset) -> None:
        """Drop the trees all of whose sections are released."""
        assert self.collected_offset <= to_offset <= self.dead_offset, f"E2: {to_offset} is alive"
        self.collected_offset = to_offset
        self.spine = drop_trees(self.spine, to_offset)

    @property
    def size_bytes(self) -> int:
        """The record bytes that may be read, whole batches."""
        return self.end_bytes - self.start_bytes

    def append(
        self, record_count: int, appended_ms: int, where: InEntry | InBlob, timestamp_ms: int = -1
    ) -> Offset:
        """Give a batch the next offsets; return the first of them."""
        base = self.end_offset
        if timestamp_ms < 0:
            timestamp_ms = appended_ms
        self.end_offset = Offset(base + record_count)
        self.end_bytes += where.size_bytes
        self.highest_ms = max(self.highest_ms, timestamp_ms)
        last = Offset(self.end_offset - 1)
        self._add(
            IndexEntry(
                base, last, appended_ms, where, timestamp_ms, self.highest_ms, self.end_bytes
            )
        )
        return base

    def delete_records(self, before_offset: Offset, before_bytes: int) -> None:
        """Let nobody read below an offset, which is not beyond the end."""
        assert before_offset <= self.end_offset, f"P4: {before_offset} is beyond the end"
        if before_offset > self.log_start_offset:
            self.log_start_offset = before_offset
            self.start_bytes = max(self.start_bytes, min(before_bytes, self.end_bytes))

    def _add(self, entry: IndexEntry) -> None:
        assert not self.entries or self.entries[-1].last_offset + 1 == entry.base_offset, (
            f"P2: {entry} does not follow {self.entries[-1]}"
        )
        self.entries.append(entry)

    def seal(self, page: int) -> Section:
        """Make the section of this page from what was appended since the one before."""
        unsealed = self.locate(covers(self._sealed_offset), len(self.entries))
        assert unsealed, f"P2: page {page} would hold an empty section"
        self.spine, section = push_section(self.spine, page, unsealed)
        self._sealed_offset = self.end_offset
        self._sealed.append((page, self.end_offset))
        return section

    def restore(self, page: int, section: Section) -> None:
        """Take back into memory a section that was sealed but not durable at a checkpoint."""
        if not self.entries:
            self.durable_offset = section.entries[0].base_offset
        for entry in section.entries:
            self._add(entry)
        self._sealed.append((page, Offset(section.entries[-1].last_offset + 1)))

    def mark_durable(self, page: int, entries: Sequence[IndexEntry] = ()) -> None:
        """Note that every page up to this one is in the blob store, and where batches are now."""
        while self._sealed and self._sealed[0][0] <= page:
            self.durable_offset = self._sealed.popleft()[1]
        if entries:
            start = bisect_left(self.entries, entries[0].last_offset, key=_last_offset)
            end = start + len(entries)
            assert self.entries[start].base_offset == entries[0].base_offset, (
                "T1: other batches are moved"
            )
            assert self.entries[end - 1].last_offset == entries[-1].last_offset, (
                "T1: other batches are moved"
            )
            self.entries[start:end] = entries

    def prune(self, below: Offset) -> int:
        """Drop from memory the durable entries that lie wholly below; return how many."""
        count = bisect_left(self.entries, min(below, self.durable_offset), key=_last_offset)
        del self.entries[:count]
        return count

    def locate(self, reaches: Reaches, count_max: int) -> list[IndexEntry]:
        """Return the entries in memory from the first that reaches on."""
        position = bisect_left(self.entries, 1, key=reaches)
        return self.entries[position : position + count_max]


_last_offset = attrgetter("last_offset")

"""One partition: its dense offsets and what memory knows of where its records are.

Definitions. The *end offset* is the next to be given out; since a record is readable as soon as it
has one, it is the high watermark too. An index entry is *sealed* once it is part of an index page,
*durable* once that page is known to be in the blob store, *pruned* once memory has dropped it.

    P1  offsets are dense: a batch's base offset is the end offset before it;
    P2  the entries in memory cover start_offset … end_offset without a gap;
    P3  an entry is pruned only when durable: everything below start_offset is in pages.
"""

from bisect import bisect_left
from collections import deque
from operator import attrgetter

from tidings.core.entry import InBlob
from tidings.core.pages import IndexEntry, InEntry, Section, Spine, push_section
from tidings.core.producers import Producers
from tidings.types import Offset

_last_offset = attrgetter("last_offset")


START = Offset(0)
"""Where every partition begins."""


class Partition:
    """The state of one partition."""

    def __init__(
        self, end_offset: Offset = START, spine: Spine = (), producers: Producers | None = None
    ) -> None:
        # The next offset to be given out.
        self.end_offset = end_offset
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

    def append(self, record_count: int, appended_ms: int, where: InEntry | InBlob) -> Offset:
        """Give a batch the next offsets; return the first of them."""
        base = self.end_offset
        self.end_offset = Offset(base + record_count)
        self._add(IndexEntry(base, Offset(self.end_offset - 1), appended_ms, where))
        return base

    def _add(self, entry: IndexEntry) -> None:
        assert not self.entries or self.entries[-1].last_offset + 1 == entry.base_offset, (
            f"P2: {entry} does not follow {self.entries[-1]}"
        )
        self.entries.append(entry)

    def seal(self, page: int) -> Section:
        """Make the section of this page from what was appended since the one before."""
        unsealed = self.locate(self._sealed_offset, len(self.entries))
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

    def mark_durable(self, page: int) -> None:
        """Note that every page up to this one is in the blob store."""
        while self._sealed and self._sealed[0][0] <= page:
            self.durable_offset = self._sealed.popleft()[1]

    def prune(self, below: Offset) -> int:
        """Drop from memory the durable entries that lie wholly below; return how many."""
        cut = min(below, self.durable_offset)
        count = bisect_left(self.entries, cut, key=_last_offset)
        del self.entries[:count]
        return count

    def locate(self, offset: Offset, count_max: int) -> list[IndexEntry]:
        """Return the entries from the one that holds `offset` on; it must not be pruned."""
        assert offset >= self.start_offset, f"P2: offset {offset} was pruned"
        position = bisect_left(self.entries, offset, key=_last_offset)
        return self.entries[position : position + count_max]

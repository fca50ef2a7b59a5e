"""Which pages nobody needs any more.

A page is needed while one of its sections may be read. A section is *dead* once all its offsets lie
below its partition's log start offset, or its topic was deleted; it is *released* once an operation
has said so. A page whose sections are all released is dead: its blobs are deleted, and then it is
forgotten. So the state holds one number for each page that is left, not its sections: whoever
collects reads them from the pages, partition by partition, from where the last one stopped.

A checkpoint is needed while the order store names it. Whoever stores one may die before it is
named, or be overtaken, so the state remembers where there may be some.

    E1  a section is released at most once: releases of a partition follow each other without a gap;
    E2  a section is released only when dead.
"""

from itertools import pairwise

import msgspec

from tidings.core.entry import ForgetCheckpoints, ForgetPages
from tidings.core.pages import Spine
from tidings.core.results import Done
from tidings.types import Offset, Slot, TopicPartition


class Condemned(msgspec.Struct, array_like=True):
    """A partition of a deleted topic some of whose sections are not released."""

    name: TopicPartition
    spine: Spine
    collected_offset: Offset
    sealed_offset: Offset


class Collection(msgspec.Struct, array_like=True):
    """What is to be collected."""

    live_sections: dict[int, int] = {}
    """Of each page the sections that are not released; only of pages that have any."""
    dead_pages: list[int] = []
    """Pages whose blobs can be deleted once they are durable."""
    condemned: dict[int, Condemned] = {}
    """By a number that is used once."""
    next_condemned: int = 0
    checkpoints: list[Slot] = []
    """Where pages end, ascending: for each of these slots somebody may have stored a checkpoint."""

    def seal(self, page: int, section_count: int) -> None:
        """Note a new page."""
        if section_count:
            self.live_sections[page] = section_count
        else:
            self.dead_pages.append(page)

    def condemn(self, partition: Condemned) -> None:
        """Note a partition whose topic was deleted."""
        self.condemned[self.next_condemned] = partition
        self.next_condemned += 1

    def release(self, pages: list[int]) -> None:
        """Release one section of each of these pages."""
        for page in pages:
            left = self.live_sections.pop(page) - 1
            self.seal(page, left)

    def has_sections(self, pages: list[int]) -> bool:
        """Whether each of these pages, which go up, has a section to release."""
        rising = all(before < after for before, after in pairwise(pages))
        return rising and all(page in self.live_sections for page in pages)

    def forget(self, operation: ForgetPages) -> Done:
        """Forget dead pages whose blobs were deleted."""
        before = len(self.dead_pages)
        gone = dict.fromkeys(operation.pages)
        self.dead_pages = [page for page in self.dead_pages if page not in gone]
        return Done(len(self.dead_pages) < before)

    def forget_checkpoints(self, operation: ForgetCheckpoints) -> Done:
        """Forget checkpoints whose blobs were deleted."""
        before = len(self.checkpoints)
        self.checkpoints = [slot for slot in self.checkpoints if slot >= operation.below]
        return Done(len(self.checkpoints) < before)

"""Which pages nobody needs any more.

A page is needed while one of its sections may be read. A section is *dead* once all its offsets lie
below its partition's log start offset, or its topic was deleted; it is *released* once an operation
has said so. A page whose sections are all released is dead: its blobs are deleted, and then it is
forgotten. So the state holds one number for each page that is left, not its sections: whoever
collects reads them from the pages, partition by partition, from where the last one stopped.

One section that lives on would keep all that its page takes. So a page that holds little besides
what is dead is rewritten (see `core.rewriting`): from then on it is what another document says, and
the blobs that it does not need any more are deleted.

A checkpoint is needed while the order store names it. Whoever stores one may die before it is
named, or be overtaken, so the state remembers where there may be some.

    E1  a section is released at most once: releases of a partition follow each other without a gap;
    E2  a section is released only when dead;
    E3  a page is rewritten only from what it was last, and only once nothing is left to delete of
        what it was before: whoever is too late changes nothing.
"""

from itertools import pairwise

import msgspec

from tidings.core.entry import (
    ForgetCheckpoints,
    ForgetFormerBlobs,
    ForgetPages,
    InBlob,
    RewritePage,
)
from tidings.core.pages import PageSection, Spine, stored_size
from tidings.core.results import Done
from tidings.types import Offset, Slot, TopicPartition


class Condemned(msgspec.Struct, array_like=True):
    """A partition of a deleted topic some of whose sections are not released."""

    name: TopicPartition
    spine: Spine
    collected_offset: Offset
    sealed_offset: Offset
    created_page: int = 0
    """The page that was open when the topic was created: none before it has a section of it."""


class PageSize(msgspec.Struct, array_like=True, gc=False):
    """About how many bytes a page takes, in its document and in blobs (`pages.stored_size`)."""

    live: int
    """Of the sections that are not released."""
    stored: int


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
    sizes: dict[int, PageSize] = {}
    """Of the pages that have sections which are not released."""
    rewritten: dict[int, InBlob] = {}
    """Where the documents are of pages that were rewritten."""
    unswept: list[int] = []
    """Pages that were rewritten, and whose former blobs are not all deleted."""

    def seal(self, page: int, sections: list[PageSection], stored_bytes: int) -> None:
        """Note a new page, and what was stored for it, also what no section has."""
        if sections:
            self.live_sections[page] = len(sections)
            live = sum(stored_size(part.section.entries) for part in sections)
            self.sizes[page] = PageSize(live, max(live, stored_bytes))
        else:
            self.dead_pages.append(page)

    def condemn(self, partition: Condemned) -> None:
        """Note a partition whose topic was deleted."""
        self.condemned[self.next_condemned] = partition
        self.next_condemned += 1

    def release(self, pages: list[int], sizes: list[int]) -> None:
        """Release one section of each of these pages."""
        for page, size in zip(pages, sizes or [0] * len(pages), strict=True):
            self.live_sections[page] -= 1
            if page in self.sizes:
                self.sizes[page].live = max(0, self.sizes[page].live - size)
            if not self.live_sections[page]:
                del self.live_sections[page]
                self.sizes.pop(page, None)
                self.dead_pages.append(page)

    def has_sections(self, pages: list[int]) -> bool:
        """Whether each of these pages, which go up, has a section to release."""
        rising = all(before < after for before, after in pairwise(pages))
        return rising and all(page in self.live_sections for page in pages)

    def forget(self, operation: ForgetPages) -> Done:
        """Forget dead pages whose blobs were deleted."""
        before = len(self.dead_pages)
        gone = {page: None for page in operation.pages if page not in self.live_sections}
        self.dead_pages = [page for page in self.dead_pages if page not in gone]
        self.unswept = [page for page in self.unswept if page not in gone]
        for page in gone:
            self.rewritten.pop(page, None)
        return Done(len(self.dead_pages) < before)

    def rewrite(self, operation: RewritePage, blob: InBlob) -> bool:
        """Have a page be what a blob says, unless somebody else was first (E3)."""
        page = operation.page
        size = self.sizes.get(page)
        if size is None or page in self.unswept or self.rewritten.get(page) != operation.before:
            return False
        size.stored = operation.stored_bytes
        start = operation.document_position
        self.rewritten[page] = InBlob(blob.name, start, blob.size_bytes - start)
        self.unswept.append(page)
        return True

    def forget_former_blobs(self, operation: ForgetFormerBlobs) -> Done:
        """Forget that there were blobs which rewritten pages do not need, as they are deleted."""
        gone = {
            page: None
            for page, name in operation.documents.items()
            if page in self.rewritten and self.rewritten[page].name == name
        }
        before = len(self.unswept)
        self.unswept = [page for page in self.unswept if page not in gone]
        return Done(len(self.unswept) < before)

    def forget_checkpoints(self, operation: ForgetCheckpoints) -> Done:
        """Forget checkpoints whose blobs were deleted."""
        before = len(self.checkpoints)
        self.checkpoints = [slot for slot in self.checkpoints if slot >= operation.below]
        return Done(len(self.checkpoints) < before)

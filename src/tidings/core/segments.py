"""Segments: where the inline record bytes of a page go when its entries are trimmed.

The segment of a page holds the bytes of all its batches that lie inline in entries, section after
section, so that what belongs to one partition lies side by side. Its layout follows from the page
alone. This is also how small batches are merged: a reader gets many of them with one read.

    T1  every node moves the same batches to the same places, and at the same slot: that of the
        operation which says that page and segment are durable.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from tidings.core.entry import InBlob
from tidings.core.pages import IndexEntry, InEntry, Page, PageSection


def segment_blob(page: int) -> str:
    """The name of the blob with a page's inline record bytes."""
    return f"segment/{page}"


def inline_places(page: Page) -> Iterator[InEntry]:
    """Yield where the parts of the page's segment are now, in the segment's order."""
    for part in page.sections:
        for entry in part.section.entries:
            if isinstance(entry.where, InEntry):
                yield entry.where


def move_to_segment(page: Page) -> Page:
    """Return the page as it is stored: with its inline batches in its segment."""
    name = segment_blob(page.number)
    position = 0

    def moved(entry: IndexEntry) -> IndexEntry:
        nonlocal position
        if not isinstance(entry.where, InEntry):
            return entry
        where = InBlob(name, position, entry.where.size_bytes)
        position += where.size_bytes
        return replace(entry, where=where)

    sections = [
        PageSection(
            part.partition,
            replace(part.section, entries=[moved(entry) for entry in part.section.entries]),
        )
        for part in page.sections
    ]
    return replace(page, sections=sections)

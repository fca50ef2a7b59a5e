"""Rewriting a page without what was released of it.

The new document keeps the sections that are not released, and says where their record bytes are
now. Of the blobs that held record bytes for the page, those stay that are still needed for more
than a certain share, say half; what is needed of the others is copied in front of the document,
into the same blob. So a page takes at most about twice of what its sections do, and what is copied
once is not copied again before half of it is dead.

Sections keep their place in the trees: a section is reached only through newer ones of its
partition, which are released after it.

    T2  a rewritten page keeps exactly the sections that are not released, with the same batches.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from tidings.core.entry import InBlob
from tidings.core.pages import ENTRY_BYTES, IndexEntry, Page, PageSection, Section
from tidings.core.state import State
from tidings.types import Offset, TopicPartition

OWN_BLOB = ""
"""How a document calls the blob that it is in: the name is chosen when all else is known."""


class Rewriting(NamedTuple):
    """How a page is rewritten."""

    moved: list[IndexEntry]
    """The batches whose bytes go in front of the document, in this order."""
    page: Page
    """The new document."""
    stored_bytes: int
    """About how many bytes the page takes then."""


def unreleased_sections(state: State, page: Page) -> list[PageSection]:
    """Return the sections of a page that are not released.

    Args:
        state: What the page is compared with.
        page: As it is stored, read without a rewriting since.
    """
    ends: dict[TopicPartition, Offset] = {}
    for name in (part.partition for part in page.sections):
        end = _released_end(state, name, page.number)
        if end is not None:
            ends[name] = end
    kept = [
        part
        for part in page.sections
        if part.partition in ends and part.section.entries[-1].last_offset >= ends[part.partition]
    ]
    count = state.collection.live_sections.get(page.number, 0)
    assert len(kept) == count, f"T2: {count} sections of page {page.number} live, not {len(kept)}"
    return kept


def _released_end(state: State, name: TopicPartition, page: int) -> Offset | None:
    """Return up to where the partition is released whose section a page holds; None for all."""
    topic = state.topics.get(name.topic)
    if topic is not None and topic.created_page <= page and name in state.partitions:
        return state.partitions[name].collected_offset
    # Topics of one name came one after the other, and so did their pages.
    for each in state.collection.condemned.values():
        if each.name == name and each.created_page <= page <= each.spine[0].page:
            return each.collected_offset
    return None


def rewrite(
    page: Page,
    kept: list[PageSection],
    document_blob: str,
    *,
    live_share: float,
    copied_bytes_max: int,
) -> Rewriting:
    """Return what a page becomes.

    Args:
        page: The page as it is stored.
        kept: Its sections that are not released.
        document_blob: The blob with its document.
        live_share: Copy from blobs of which no more than this share is alive.
        copied_bytes_max: Copy no more from one blob and the next, but from one in any case.
    """
    held = _held_bytes(page)
    needed = _bytes_by_blob(kept)
    copied: dict[str, None] = {}
    copied_bytes = 0
    for name, size in needed.items():
        is_room = not copied or copied_bytes + size <= copied_bytes_max
        if size <= live_share * held[name] and size < held[name] and is_room:
            copied[name] = None
            copied_bytes += size
    left = {name: size for name, size in held.items() if name in needed and name not in copied}
    moved: list[IndexEntry] = []
    sections = _move(kept, copied, moved)
    stored_bytes = sum(left.values()) + copied_bytes
    if copied_bytes:
        left[OWN_BLOB] = copied_bytes
    former = [name for name in (*held, document_blob) if name not in left]
    return Rewriting(
        moved,
        Page(
            page.number,
            page.end_slot,
            sections,
            blobs=list(left),
            blob_bytes=list(left.values()),
            former=list(dict.fromkeys(former)),
        ),
        stored_bytes + ENTRY_BYTES * sum(len(part.section.entries) for part in kept),
    )


def _held_bytes(page: Page) -> dict[str, int]:
    """Return the blobs with record bytes for a page, and how many each holds, dead or alive."""
    if page.blob_bytes:
        return dict(zip(page.blobs, page.blob_bytes, strict=True))
    return dict.fromkeys(page.blobs, 0) | _bytes_by_blob(page.sections)


def _bytes_by_blob(sections: Iterable[PageSection]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for entry in (entry for part in sections for entry in part.section.entries):
        assert isinstance(entry.where, InBlob), f"page with segments names {entry.where}"
        sizes[entry.where.name] = sizes.get(entry.where.name, 0) + entry.where.size_bytes
    return sizes


def _move(
    sections: list[PageSection], copied: dict[str, None], moved: list[IndexEntry]
) -> list[PageSection]:
    """Return sections with the batches of some blobs where they will be; add these to `moved`."""
    position = 0

    def new_place(entry: IndexEntry) -> IndexEntry:
        nonlocal position
        assert isinstance(entry.where, InBlob), f"page with segments names {entry.where}"
        if entry.where.name not in copied:
            return entry
        moved.append(entry)
        where = InBlob(OWN_BLOB, position, entry.where.size_bytes)
        position += where.size_bytes
        return replace(entry, where=where)

    return [
        PageSection(
            part.partition,
            replace(part.section, entries=[new_place(entry) for entry in part.section.entries]),
        )
        for part in sections
    ]


def call_own_blob(section: Section, name: str) -> Section:
    """Return a section of a rewritten page as it is meant, given the blob with the document."""
    return replace(section, entries=[_with_own_blob(entry, name) for entry in section.entries])


def call_own_blob_in_page(page: Page, name: str) -> Page:
    """Return a rewritten page as it is meant, given the blob with the document."""
    return replace(
        page,
        sections=[
            PageSection(part.partition, call_own_blob(part.section, name)) for part in page.sections
        ],
        blobs=[blob or name for blob in page.blobs],
    )


def _with_own_blob(entry: IndexEntry, name: str) -> IndexEntry:
    where = entry.where
    if not isinstance(where, InBlob) or where.name != OWN_BLOB:
        return entry
    return replace(entry, where=InBlob(name, where.position, where.size_bytes))

r"""Index pages: where a partition's records are, when memory no longer says.

Page *n* covers the slots n·256 … n·256 + 255 (`PAGE_SLOTS`). It is sealed by the fold of its last
slot and holds, for each partition that got records there, one *section*: the partition's index
entries from those slots. Every node that folds the journal makes the same page, so it does not
matter who writes it, or how often.

The sections of one partition form a skew-binary random access list (Okasaki, "Purely functional
data structures", 9.3.2): a list of perfect binary trees, newest first. In memory a partition keeps
only the roots, its *spine*: about log2(sections) references. Any offset is found in about as many
page reads.

    spine   ●          ●                 ●            newest first; every tree is older than
            5 (1)      4 (3)             1 …          the one before it
                      /   \
                     3     2                          a root is newer than its children,
                                                      `newer` newer than `older`

    S1  the trees of a spine cover the partition's sealed offsets without gap or overlap;
    S2  weights strictly increase along a spine, except that the first two may be equal.
"""

import msgspec

from tidings.core import documents
from tidings.core.entry import InBlob
from tidings.types import Offset, Slot, TopicPartition

PAGE_SLOTS = 256
"""Part of the stored format: every node must cut pages at the same slots."""


class InEntry(msgspec.Struct, frozen=True, array_like=True, tag=0, gc=False):
    """Record bytes that are inline in a journal entry."""

    slot: Slot
    submission: int
    """Which of the entry's submissions, from 0."""
    operation: int
    """Which of the submission's operations, from 0."""
    size_bytes: int


class IndexEntry(msgspec.Struct, frozen=True, array_like=True):
    """One record batch of a partition, and where its bytes are."""

    base_offset: Offset
    last_offset: Offset
    appended_ms: int
    where: InEntry | InBlob


class SectionRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The root of a tree of sections."""

    page: int
    """The page that holds the root's section."""
    start_offset: Offset
    """First offset of the root's own section, the newest of the tree."""
    low_offset: Offset
    """First offset of the tree's oldest section."""
    weight: int
    """Number of sections in the tree."""


class Section(msgspec.Struct, frozen=True, array_like=True):
    """One partition's part of a page, and the trees that hang below it."""

    entries: list[IndexEntry]
    """Ascending, without gaps, not empty."""
    newer: SectionRef | None
    older: SectionRef | None


class PageSection(msgspec.Struct, frozen=True, array_like=True):
    """A section and the partition it belongs to."""

    partition: TopicPartition
    section: Section


class Page(msgspec.Struct, frozen=True, array_like=True):
    """All sections of one range of slots, in the order in which partitions appeared."""

    number: int
    sections: list[PageSection]


Spine = tuple[SectionRef, ...]


def push_section(spine: Spine, page: int, entries: list[IndexEntry]) -> tuple[Spine, Section]:
    """Put a partition's newest entries on its spine; return the new spine and the section."""
    start = entries[0].base_offset
    if len(spine) >= 2 and spine[0].weight == spine[1].weight:
        newer, older = spine[:2]
        weight = 1 + newer.weight + older.weight
        root = SectionRef(page, start, older.low_offset, weight)
        return (root, *spine[2:]), Section(entries, newer, older)
    return (SectionRef(page, start, start, 1), *spine), Section(entries, None, None)


def find_tree(spine: Spine, offset: Offset) -> SectionRef | None:
    """Return the tree that covers `offset`, which must lie below the spine's end; None if none."""
    return next((tree for tree in spine if offset >= tree.low_offset), None)


def step_down(section: Section, offset: Offset) -> SectionRef:
    """Return the child tree of `section` that covers `offset`, which lies before the section."""
    assert section.newer is not None, f"S1: offset {offset} is not below {section}"
    assert section.older is not None, "S2: a section has two trees below it or none"
    return section.newer if offset >= section.newer.low_offset else section.older


_decoder = msgspec.msgpack.Decoder(Page)


def encode_page(page: Page) -> bytes:
    """Return the bytes of the page's blob."""
    return documents.encode(documents.Kind.PAGE, page)


def decode_page(data: bytes) -> Page:
    """Return the page in a blob's bytes; raise `Corrupt` if they are not one."""
    return documents.decode(documents.Kind.PAGE, data, _decoder)

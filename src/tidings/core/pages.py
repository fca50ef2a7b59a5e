r"""Index pages: where a partition's records are, when memory no longer says.

A page covers the slots from the end of the one before to where it is full (`PageFormat`). It is
sealed by the fold of its last slot and holds, for each partition that got records there, one
*section*: the partition's index entries from those slots. Every node that folds the journal makes
the same page, so it does not matter who writes it, or how often.

The entries of a partition are ordered by offset, by the bytes up to their end and by the highest
timestamp up to them. So the first that is far enough in any of these, or in several, is found
by one search: `Reaches`.

The sections of one partition form a skew-binary random access list (Okasaki, "Purely functional
data structures", 9.3.2): a list of perfect binary trees, newest first. In memory a partition keeps
only the roots, its *spine*: about log2(sections) references. Any entry is found in about as many
page reads.

    spine   ●          ●                 ●            newest first; every tree is older than
            5 (1)      4 (3)             1 …          the one before it
                      /   \
                     3     2                          a root is newer than its children,
                                                      `newer` newer than `older`

    S1  the trees of a spine cover the partition's sealed offsets without gap or overlap, down to
        where they were released;
    S2  weights strictly increase along a spine, except that the first two may be equal.
"""

from collections.abc import Callable, Sequence

import msgspec

from tidings.core import documents
from tidings.core.entry import InBlob
from tidings.errors import Corrupt
from tidings.types import Offset, Slot, TopicPartition

MIB = 1024 * 1024


class PageFormat(msgspec.Struct, frozen=True, array_like=True):
    """Where pages end, and whether they take record bytes along.

    Part of the stored format: every node must cut pages at the same slots, so that all nodes of a
    journal need the same, for ever. A page is full with the first slot that reaches a bound.
    """

    slots_max: int
    batches_max: int
    inline_bytes_max: int
    """Record bytes that are inline in the page's entries."""
    has_segments: bool
    """Whether inline record bytes move to segments, so that entries can be trimmed."""


IN_PLACE = PageFormat(256, 2**31, 2**31, has_segments=False)
"""For stores that cannot trim: record bytes stay where they are."""

IN_SEGMENTS = PageFormat(4096, 8192, 16 * MIB, has_segments=True)
"""For stores that can. The bounds keep what a node does at once for a page to some milliseconds."""

PAGE_SLOTS = IN_PLACE.slots_max


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
    max_timestamp_ms: int
    """The highest timestamp of its records; `appended_ms` if nobody said."""
    highest_ms: int
    """The highest timestamp of its records and all before it."""
    end_bytes: int
    """The record bytes of this batch and all before it."""


class SectionRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The root of a tree of sections."""

    page: int
    """The page that holds the root's section, the newest of the tree."""
    last_offset: Offset
    highest_ms: int
    end_bytes: int
    """As of the tree's last index entry."""
    weight: int
    """Number of sections in the tree."""


Reaches = Callable[[IndexEntry | SectionRef], bool]
"""Whether an entry, or the last entry of a tree, is far enough; then so are all after it."""


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
    """All sections of one range of slots, in the order in which partitions appeared.

    Of one that was rewritten, only the sections that were not released; see `core.rewriting`.
    """

    number: int
    end_slot: Slot
    """The first slot after it."""
    sections: list[PageSection]
    blobs: list[str]
    """The data blobs that its slots name, whatever became of the batches; only with segments."""
    blob_bytes: list[int] = []
    """Of one that was rewritten: the record bytes that each of these blobs held for it."""
    former: list[str] = []
    """Of one that was rewritten: the blobs that it needed before, and nobody needs any more."""


Spine = tuple[SectionRef, ...]


def push_section(spine: Spine, page: int, entries: list[IndexEntry]) -> tuple[Spine, Section]:
    """Put a partition's newest entries on its spine; return the new spine and the section."""
    last = entries[-1]
    weight, newer, older = 1, None, None
    if len(spine) >= 2 and spine[0].weight == spine[1].weight:
        newer, older, *spine_left = spine
        weight += newer.weight + older.weight
        spine = tuple(spine_left)
    root = SectionRef(page, last.last_offset, last.highest_ms, last.end_bytes, weight)
    return (root, *spine), Section(entries, newer, older)


ENTRY_BYTES = 64
"""About what an index entry takes in a page."""


def stored_size(entries: Sequence[IndexEntry]) -> int:
    """About how many bytes a section takes, in its page and in the blobs with its records."""
    first, last = entries[0], entries[-1]
    return last.end_bytes - first.end_bytes + first.where.size_bytes + ENTRY_BYTES * len(entries)


def drop_trees(spine: Spine, below: Offset) -> Spine:
    """Return a spine without the trees that lie wholly below an offset."""
    return tuple(tree for tree in spine if tree.last_offset >= below)


def covers(offset: Offset) -> Reaches:
    """Return the search for the entry that holds `offset`."""
    return lambda part: part.last_offset >= offset


def find_tree(spine: Spine, reaches: Reaches) -> SectionRef | None:
    """Return the tree in which the first entry lies that reaches; None if none does."""
    return next((tree for tree in reversed(spine) if reaches(tree)), None)


def step_down(section: Section, reaches: Reaches) -> SectionRef | None:
    """Return the tree below a root in which that entry lies; None if it lies in the root itself."""
    children = (section.older, section.newer)
    return next((tree for tree in children if tree is not None and reaches(tree)), None)


class _Parts(msgspec.Struct, frozen=True, array_like=True):
    """A page whose sections are not decoded."""

    number: int
    end_slot: Slot
    sections: list[tuple[TopicPartition, msgspec.Raw]]


_decoder = msgspec.msgpack.Decoder(Page)
_parts_decoder = msgspec.msgpack.Decoder(_Parts)
_section_decoder = msgspec.msgpack.Decoder(Section)


def encode_page(page: Page) -> bytes:
    """Return the bytes of the page's blob."""
    return documents.encode(documents.Kind.PAGE, page)


def decode_page(data: bytes) -> Page:
    """Return the page in a blob's bytes; raise `Corrupt` if they are not one."""
    return documents.decode(documents.Kind.PAGE, data, _decoder)


def split_page(data: bytes) -> dict[TopicPartition, msgspec.Raw]:
    """Return the sections in a page's blob as they are stored; raise `Corrupt` if it is none.

    A page may hold many sections of which a reader wants one: the others need no decoding.
    """
    return dict(documents.decode(documents.Kind.PAGE, data, _parts_decoder).sections)


def decode_section(stored: msgspec.Raw) -> Section:
    """Return one section of a page that was split; raise `Corrupt` if it is none."""
    try:
        return _section_decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"section has an unexpected shape: {error}") from error

"""The fold of the stored journal, made once more from slot 0, and what must follow from it.

The invariants stand in `tidings.testing.audit`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tidings.core.blob_numbers import data_blob
from tidings.core.checkpoint import decode_checkpoint, restore_checkpoint
from tidings.core.entry import (
    Append,
    BlobRange,
    CommitOffsets,
    CreateTopic,
    DeleteRecords,
    DeleteTopic,
    DoomBlobs,
    ForgetBlobs,
    ForgetCheckpoints,
    InBlob,
    Inline,
    Operation,
    RewritePage,
    Submission,
    decode_entry,
)
from tidings.core.pages import IndexEntry, Page, PageFormat, decode_page, encode_page
from tidings.core.results import Done, Placed, Reason, RecordsDeleted, Refused, Result
from tidings.core.rewriting import call_own_blob_in_page, unreleased_sections
from tidings.core.segments import inline_places, move_to_segment, segment_blob
from tidings.core.state import State
from tidings.engine.index_pages import page_blob
from tidings.engine.journal import CHECKPOINT_CELL, checkpoint_blob, checkpoint_slot
from tidings.engine.record_bytes import inline_data
from tidings.testing.audit import digest
from tidings.testing.churn import KEPT, KEPT_BYTES
from tidings.testing.storage import Storage
from tidings.testing.trace import Trace
from tidings.types import Offset, Slot, TopicPartition


class Held(NamedTuple):
    """What a node holds."""

    node_id: str
    next_slot: Slot
    digest: bytes


class Reference:
    """Folds the stored journal once more, from slot 0, and checks what it names."""

    def __init__(self, storage: Storage, trace: Trace, page_format: PageFormat) -> None:
        self._storage = storage
        self._trace = trace
        self.state = State(page_format)
        self._topic_ids: dict[str, bytes] = {}
        # Of each partition that exists the ends of its batches: end offset, end bytes.
        self._ends: dict[TopicPartition, list[tuple[int, int]]] = {}
        self._committed: dict[tuple[str, TopicPartition], Offset] = {}
        # Of each data blob that applied operations name: the page it belongs to.
        self._named: dict[str, int] = {}
        # Of each data blob whose number was taken: its page; and origins that were refused one.
        self._taken: dict[str, int] = {}
        self._refused: dict[str, None] = {}
        # Every batch of a partition 0, by topic id and base offset.
        self._appended: dict[tuple[bytes, int], Inline | InBlob] = {}
        self._pages: dict[int, bytes] = {}
        # Of every blob that a page has or names: the page.
        self._owners: dict[str, int] = {}
        self._segments: dict[int, bytes] = {}
        # Of pages that were rewritten: what they are now; and the blobs that they do not need any
        # more, or for a time.
        self._rewritten: dict[int, Page] = {}
        self._former: dict[str, int] = {}
        # What nodes hold that have folded all slots below this one.
        self._digests = {Slot(0): digest(self.state)}

    def check(
        self, entries: list[bytes], read: dict[tuple[bytes, int], bytes], held: Sequence[Held]
    ) -> None:
        """Fold `entries`; then check pages, blobs, checkpoint, what was read, what nodes hold."""
        checkpoint = checkpoint_slot(self._storage.cell(CHECKPOINT_CELL))
        wanted = {checkpoint, *(each.next_slot for each in held)}
        for number, data in enumerate(entries):
            page = self.state.open_page
            for submission, results in self.state.apply(Slot(number), decode_entry(data)):
                if results is None:
                    self._trace.count("submission dropped")
                else:
                    self._check_blob_number(submission, results, page)
                for operation, result in zip(submission.operations, results or (), strict=False):
                    self._check_operation(operation, result, page)
            if self.state.is_at_page_boundary:
                self._keep_page(self.state.unwritten[page], entries)
            if self.state.next_slot in wanted:
                self._digests[self.state.next_slot] = digest(self.state)
        self._check_pages()
        self._check_blobs()
        self._check_leftovers(checkpoint)
        if checkpoint:
            self._check_checkpoint(checkpoint)
        for place, data in read.items():
            assert self._bytes(self._appended[place]) == data, f"A6: another record at {place}"
        for each in held:
            expected = self._digests[each.next_slot]
            assert each.digest == expected, f"A2: {each.node_id} holds another state"

    @property
    def _has_segments(self) -> bool:
        return self.state.page_format.has_segments

    def _is_dead(self, page: int) -> bool:
        """Whether the blobs of a sealed page may be deleted."""
        sections = self.state.collection.live_sections
        return self._has_segments and page < self.state.durable_pages and page not in sections

    def _check_pages(self) -> None:
        for number in range(self.state.durable_pages):
            if self._is_dead(number):
                forgotten = number not in self.state.collection.dead_pages
                self._trace.count("page collected" if forgotten else "page dead")
                continue
            if number in self._rewritten:
                self._check_rewritten(self._rewritten[number])
                continue
            assert self._storage.blob(page_blob(number)) == self._pages[number], (
                f"A5: page {number} is called durable and is not stored"
            )
            segment = self._segments.get(number, b"")
            assert self._storage.blob(segment_blob(number)) == (segment or None), (
                f"A5: the segment of page {number} is not stored, or is another"
            )
            self._trace.count("page durable")
            if segment:
                self._trace.count("segment durable")

    def _check_rewritten(self, page: Page) -> None:
        document = self.state.collection.rewritten[page.number]
        for name in (document.name, *page.blobs):
            assert self._storage.blob(name) is not None, f"A5: {name} of {page.number} is missing"
        self._trace.count("page rewritten")

    def _check_blobs(self) -> None:
        for name, page in self._named.items():
            if not self._is_dead(page) and name not in self._former:
                assert self._storage.blob(name) is not None, f"A5: blob {name} is not stored"

    def _check_leftovers(self, checkpoint: int) -> None:
        """Look for what nobody will ever delete."""
        if not self._has_segments:
            return
        remembered = self._remembered()
        for name in self._storage.blob_names():
            page = self._owners.get(name)
            if page is not None:
                is_gone = self._is_useless(name, page)
            else:
                is_gone = (
                    name not in self._taken
                    and name not in remembered
                    and name != checkpoint_blob(checkpoint)
                )
            if is_gone:
                assert self._storage.has_come_back(name), f"A7: {name} is left for good"
                is_of_a_page = page is not None
                assert is_of_a_page or not self._storage.has_owner(name), (
                    f"A7: {name} came back, and its writer left it"
                )
                self._trace.count("blob came back")

    def _is_useless(self, name: str, page: int) -> bool:
        """Whether nobody needs a blob that a page has or had, and nobody remembers to delete it."""
        collection = self.state.collection
        if self._is_dead(page):
            return page not in collection.dead_pages
        if page not in self._rewritten or page in collection.unswept:
            return False
        return name not in (collection.rewritten[page].name, *self._rewritten[page].blobs)

    def _remembered(self) -> dict[str, None]:
        """Return the blobs that nothing names and that somebody will delete if there are any."""
        numbers = self.state.blob_numbers
        ranges = [each.numbers for each in numbers.doomed] + [
            BlobRange(origin, each.next_number, each.end_number)
            for origin, each in numbers.reserved.items()
        ]
        names = [checkpoint_blob(slot) for slot in self.state.collection.checkpoints]
        return dict.fromkeys([*names, *(name for each in ranges for name in _names(each))])

    def _check_checkpoint(self, checkpoint: int) -> None:
        self._trace.count("checkpoint named")
        blob = self._storage.blob(checkpoint_blob(checkpoint))
        assert blob is not None, f"A5: checkpoint {checkpoint} is named and not stored"
        restored = restore_checkpoint(decode_checkpoint(blob))
        assert digest(restored) == self._digests[Slot(checkpoint)], (
            f"A2: checkpoint {checkpoint} differs"
        )

    def _keep_page(self, page: Page, entries: list[bytes]) -> None:
        names = (page_blob(page.number), segment_blob(page.number), *page.blobs)
        self._owners |= dict.fromkeys(names, page.number)
        if self._has_segments:
            parts = [
                inline_data(decode_entry(entries[place.slot]), place)
                for place in inline_places(page)
            ]
            self._segments[page.number] = b"".join(parts)
            page = move_to_segment(page)
        self._pages[page.number] = encode_page(page)

    def _rewrite(self, operation: RewritePage) -> None:
        """Hold a page that was rewritten against what it was (T2)."""
        number = operation.page
        document = self.state.collection.rewritten[number]
        blob = self._storage.blob_ever(document.name)
        page = call_own_blob_in_page(decode_page(blob[document.position :]), document.name)
        before = self._rewritten.get(number) or decode_page(self._pages[number])
        kept = {part.partition: part.section for part in page.sections}
        for part in unreleased_sections(self.state, before):
            name, section = part.partition, part.section
            found = kept[name]
            assert (found.newer, found.older) == (section.newer, section.older), f"S1: {name}"
            for new, old in zip(found.entries, section.entries, strict=True):
                assert replace(new, where=old.where) == old, f"T2: {new} was {old}"
                assert self._batch(new) == self._batch(old), f"T2: {name} {old} has other bytes"
                needed = new.where.name if isinstance(new.where, InBlob) else None
                assert needed in page.blobs, f"A5: page {number} does not name {needed}"
        assert not set(page.blobs) & set(page.former), f"A5: page {number} needs what it does not"
        self._rewritten[number] = page
        self._owners[document.name] = number
        self._former |= dict.fromkeys(page.former, number)

    def _batch(self, entry: IndexEntry) -> bytes:
        where = entry.where
        assert isinstance(where, InBlob), f"A5: {entry} is not in a blob"
        return self._bytes(where)

    def _bytes(self, payload: Inline | InBlob) -> bytes:
        if isinstance(payload, Inline):
            return payload.data
        blob = self._storage.blob_ever(payload.name)
        return blob[payload.position : payload.position + payload.size_bytes]

    # Submissions and operations -------------------------------------------------------------------

    def _check_blob_number(self, submission: Submission, results: list[Result], page: int) -> None:
        if not submission.blob_number:
            return
        name = data_blob(submission.origin, submission.blob_number)
        if Refused(Reason.BLOB_DOOMED) in results:
            self._trace.count("doomed blob refused")
            self._refused[submission.origin] = None
            return
        assert name not in self._taken, f"X1: {name} is named again"
        self._taken[name] = page
        if submission.origin in self._refused:
            del self._refused[submission.origin]
            self._trace.count("doomed blob stored anew")

    def _check_operation(self, operation: Operation, result: Result, page: int) -> None:
        match operation, result:
            case Append(name, _, payload), Placed(base, False):
                self._check_append(operation, base)
                if isinstance(payload, InBlob):
                    self._trace.count("blob named")
                    self._named[payload.name] = page
                    blob = self._storage.blob_ever(payload.name)
                    assert len(blob) >= payload.position + payload.size_bytes, f"A5: {payload}"
            case CommitOffsets(group, offsets, False), Done():
                for name, _ in offsets:
                    now = self.state.groups[group].committed[name].offset
                    before = self._committed.get((group, name), now)
                    assert now >= before, f"A4: {name} went back from {before} to {now}"
                    self._committed[group, name] = now
            case DoomBlobs(), Done(True):
                self._trace.count("reservation doomed")
            case ForgetBlobs(ranges), Done(True):
                for stored in (one for each in ranges for one in _names(each)):
                    if self._storage.was_stored(stored):
                        self._trace.count("orphan deleted")
            case ForgetCheckpoints(), Done(True):
                self._trace.count("checkpoints deleted")
            case RewritePage(), Done(True):
                self._rewrite(operation)
            case RewritePage(), Done(False):
                self._trace.count("page rewritten by another")
            case CreateTopic(topic, _, topic_id), Done(True):
                self._topic_ids[topic] = topic_id
            case DeleteTopic(topic), Done():
                self._ends = {name: ends for name, ends in self._ends.items() if name[0] != topic}
            case DeleteRecords(name), RecordsDeleted(start) if name.topic == KEPT:
                self._check_retention(name, start)
            case _:
                pass

    def _check_append(self, operation: Append, base: Offset) -> None:
        name, payload = operation.partition, operation.payload
        size = len(payload.data) if isinstance(payload, Inline) else payload.size_bytes
        ends = self._ends.setdefault(name, [(0, 0)])
        end_offset, end_bytes = ends[-1]
        assert base == end_offset, f"A3: {name} continues at {base}"
        ends.append((base + operation.record_count, end_bytes + size))
        self._appended[self._topic_ids[name.topic], base] = payload

    def _check_retention(self, name: TopicPartition, start: Offset) -> None:
        ends = self._ends.get(name, [(0, 0)])
        gone_bytes = max(end_bytes for end, end_bytes in ends if end <= start)
        left = ends[-1][1] - gone_bytes
        assert start == 0 or left >= KEPT_BYTES, f"A6: retention left {left} bytes of {name}"
        self._trace.count("retention")


def _names(numbers: BlobRange) -> Iterator[str]:
    for number in range(numbers.first_number, numbers.end_number):
        yield data_blob(numbers.origin, number)

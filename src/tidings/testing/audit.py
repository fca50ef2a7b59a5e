"""What must hold across nodes, besides what the code asserts inside itself and clients can see.

A1  every node that folds a slot folds the same bytes and draws the same results;
A2  the fold of the stored journal is what every node holds in the end;
A3  offsets are dense: of each partition, each applied append gets the next ones;
A4  a committed offset never goes back, nor does one that a client is told of;
A5  whatever an applied operation, a durable page or the checkpoint cell names, is stored.
"""

import msgspec

from tidings.core.checkpoint import decode_checkpoint, restore_checkpoint
from tidings.core.entry import Append, CommitOffsets, Entry, InBlob, Operation, decode_entry
from tidings.core.pages import Page, PageFormat, encode_page
from tidings.core.results import Done, Placed, Result
from tidings.core.segments import inline_places, move_to_segment, segment_blob
from tidings.core.state import Applied, State
from tidings.engine.journal import CHECKPOINT_CELL, checkpoint_blob, checkpoint_slot
from tidings.engine.log import Log
from tidings.engine.reader import page_blob
from tidings.engine.record_bytes import inline_data
from tidings.testing.storage import Storage
from tidings.testing.trace import Trace
from tidings.types import Offset, Slot, TopicPartition


class Auditor:
    """Watches all lives of all nodes of the `journal` design."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        # Reads that found nothing where something must be.
        self.lost: list[str] = []
        # What the first node that folded a slot found there and made of it.
        self._folded: dict[Slot, tuple[bytes, list[Applied]]] = {}

    def watch(self, node_id: str, log: Log) -> None:
        """Check whatever this life folds."""

        def observe(slot: Slot, entry: Entry, applied: list[Applied]) -> None:
            held = log.journal.entries.get(slot)
            assert held is not None, f"slot {slot} was folded and is not at hand"
            seen = self._folded.setdefault(slot, (held[0], applied))
            assert seen[0] == held[0], f"A1: {node_id} read other bytes in slot {slot}"
            assert seen[1] == applied, f"A1: {node_id} made something else of slot {slot}"
            if self._trace.is_kept:
                self._trace.add(node_id, "folded", f"slot {slot} of {entry.publisher}")

        def observe_jump() -> None:
            self._trace.count("jumped to a checkpoint")
            self._trace.add(node_id, "jumped", f"to slot {log.journal.state.next_slot}")

        log.journal.observers.insert(0, observe)
        log.journal.jump_observers.append(observe_jump)

    def entries(self, storage: Storage) -> list[bytes]:
        """Return the whole journal, also what was trimmed meanwhile."""
        kept: list[bytes] = []
        while (seen := self._folded.get(Slot(len(kept)))) is not None:
            kept.append(seen[0])
        rest = storage.entries(Slot(len(kept)))
        assert rest is not None, f"slot {len(kept)} was trimmed before anybody folded it"
        return kept + rest


def digest(state: State) -> bytes:
    """Return what two nodes that folded the same slots agree on; memory may be pruned."""
    partitions = [
        (name, part.end_offset, part.log_start_offset, part.size_bytes, part.spine)
        for name, part in state.partitions.items()
    ]
    origins = list(state.origins.items())
    pages = [encode_page(page) for page in state.unwritten.values()]
    slots = (state.next_slot, state.durable_pages)
    return msgspec.msgpack.encode(
        (slots, list(state.topics.items()), partitions, list(state.groups.items()), origins, pages)
    )


class Reference:
    """Folds the stored journal once more, from slot 0, and checks what it names."""

    def __init__(self, storage: Storage, trace: Trace, page_format: PageFormat) -> None:
        self._storage = storage
        self._trace = trace
        self.state = State(page_format)
        self._ends: dict[TopicPartition, int] = {}
        self._committed: dict[tuple[str, TopicPartition], Offset] = {}
        self._named: dict[str, None] = {}
        self._pages: dict[int, bytes] = {}
        self._segments: dict[int, bytes] = {}
        self._at_checkpoint = b""

    def check(self, entries: list[bytes]) -> None:
        """Fold `entries`, then check pages and checkpoint."""
        checkpoint = checkpoint_slot(self._storage.cell(CHECKPOINT_CELL))
        for number, data in enumerate(entries):
            for submission, results in self.state.apply(Slot(number), decode_entry(data)):
                if results is None:
                    self._trace.count("submission dropped")
                for operation, result in zip(submission.operations, results or (), strict=False):
                    self._check_operation(operation, result)
            if self.state.is_at_page_boundary:
                self._keep_page(self.state.unwritten[self.state.open_page - 1], entries)
            if self.state.next_slot == checkpoint:
                self._at_checkpoint = digest(self.state)
        for number in range(self.state.durable_pages):
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
        for name in self._storage.blob_names():
            if name.startswith("data/") and name not in self._named:
                self._trace.count("blob never named")
        if checkpoint:
            self._trace.count("checkpoint named")
            blob = self._storage.blob(checkpoint_blob(checkpoint))
            assert blob is not None, f"A5: checkpoint {checkpoint} is named and not stored"
            restored = restore_checkpoint(decode_checkpoint(blob))
            assert digest(restored) == self._at_checkpoint, f"A2: checkpoint {checkpoint} differs"

    def _keep_page(self, page: Page, entries: list[bytes]) -> None:
        if self.state.page_format.has_segments:
            parts = [
                inline_data(decode_entry(entries[place.slot]), place)
                for place in inline_places(page)
            ]
            self._segments[page.number] = b"".join(parts)
            page = move_to_segment(page)
        self._pages[page.number] = encode_page(page)

    def _check_operation(self, operation: Operation, result: Result) -> None:
        match operation, result:
            case Append(name, count, payload), Placed(base, False):
                assert base == self._ends.get(name, 0), f"A3: {name} continues at {base}"
                self._ends[name] = base + count
                if isinstance(payload, InBlob):
                    self._trace.count("blob named")
                    self._named[payload.name] = None
                    blob = self._storage.blob(payload.name)
                    assert blob is not None, f"A5: blob {payload.name} is named and not stored"
                    assert len(blob) >= payload.position + payload.size_bytes, f"A5: {payload}"
            case CommitOffsets(group, offsets, False), Done():
                for name, _ in offsets:
                    now = self.state.groups[group].committed[name].offset
                    before = self._committed.get((group, name), now)
                    assert now >= before, f"A4: {name} went back from {before} to {now}"
                    self._committed[group, name] = now
            case _:
                pass

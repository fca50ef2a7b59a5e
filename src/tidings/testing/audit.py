"""What must hold across nodes, besides what the code asserts inside itself and clients can see.

A1  every node that folds a slot folds the same bytes and draws the same results;
A2  what every node holds in the end is the fold of the stored journal, as far as it has come;
A3  offsets are dense: of each partition, each applied append gets the next ones;
A4  a committed offset never goes back, nor does one that a client is told of;
A5  whatever an applied operation, a durable page or the checkpoint cell names, is stored, unless
    the page to which it belongs is dead;
A6  what was read is what was appended there, and retention leaves what it must;
A7  where stores can delete: in the end no blob is left that is dead, that nobody came to name, or
    that is a checkpoint older than the one that is named. What is left only because there was no
    time yet, the state still remembers. One exception: a put that came after the blob had been
    deleted, if its writer died before it could delete it once more, or got no answer; pages and
    segments that came back stay in any case.
"""

import msgspec

from tidings.core.entry import Entry
from tidings.core.pages import encode_page
from tidings.core.state import Applied, State
from tidings.engine.log import Log
from tidings.testing.storage import Storage
from tidings.testing.trace import Trace
from tidings.types import Slot


class Auditor:
    """Watches all lives of all nodes of the `journal` design."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        # Reads that found nothing where something must be.
        self.lost: list[str] = []
        # What was read of topics of `churn`, by topic id and offset.
        self.read: dict[tuple[bytes, int], bytes] = {}
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
        (
            name,
            part.end_offset,
            part.log_start_offset,
            part.collected_offset,
            part.size_bytes,
            part.spine,
        )
        for name, part in state.partitions.items()
    ]
    origins = list(state.origins.items())
    pages = [encode_page(page) for page in state.unwritten.values()]
    slots = (state.next_slot, state.durable_pages)
    known = (list(state.topics.items()), list(state.groups.items()), origins)
    unneeded = (state.collection, state.blob_numbers)
    return msgspec.msgpack.encode((slots, known, partitions, pages, unneeded))

"""Counts what this broker publishes, as the journal is folded.

In a cluster every broker folds everything; what each counts adds up to what was appended.
"""

from collections.abc import Iterator

from tidings.core.entry import Append, Entry, InBlob, Inline
from tidings.core.results import Placed
from tidings.core.state import Applied
from tidings.engine.gossip import node_of
from tidings.kafka.metrics.exposition import Family, Histogram, Sample
from tidings.types import Slot

_BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class AppendMetrics:
    """An observer of the journal."""

    def __init__(self, node_id: str) -> None:
        """Count the entries of the node with this name."""
        self._node_id = node_id
        self._batches = Histogram(_BATCHES)
        self._records = 0
        self._bytes = 0

    def observe(self, _slot: Slot, entry: Entry, applied: list[Applied]) -> None:
        """Count what an entry appended."""
        if node_of(entry.publisher) != self._node_id:
            return
        batches = 0
        for submission, results in applied:
            for operation, result in zip(submission.operations, results or (), strict=False):
                if isinstance(operation, Append) and isinstance(result, Placed):
                    batches += 1
                    self._records += operation.record_count
                    self._bytes += _size_bytes(operation.payload)
        if batches:
            self._batches.observe(batches)

    def families(self) -> Iterator[Family]:
        """Yield what was counted."""
        yield Family(
            "tidings_publish_batches",
            "histogram",
            "Record batches in an entry of the journal that has any: how well group commit works.",
            self._batches.samples({}),
        )
        yield Family(
            "tidings_appended_records_total",
            "counter",
            "Records in entries that this broker published.",
            [Sample(self._records)],
        )
        yield Family(
            "tidings_appended_bytes_total",
            "counter",
            "Bytes of record batches in these, as their producers compressed them.",
            [Sample(self._bytes)],
        )


def _size_bytes(payload: Inline | InBlob) -> int:
    return len(payload.data) if isinstance(payload, Inline) else payload.size_bytes

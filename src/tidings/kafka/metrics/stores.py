"""Counts what is asked of the stores, around them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidings.engine.journal import CHECKPOINT_CELL, checkpoint_slot
from tidings.errors import Unavailable
from tidings.kafka.metrics.exposition import Family, Histogram, Sample
from tidings.kafka.metrics.requests import DURATIONS_S
from tidings.kafka.standalone import Storage, Stores
from tidings.ports import AppendOutcome, BlobStore, OrderStore, Trimmed
from tidings.types import Slot

_ENTRY_BYTES = tuple(256.0 * 4**power for power in range(8))
"""Upper bounds, from 256 bytes to 4 MiB."""


class StoreMetrics:
    """How the calls to both stores went, and what they say of checkpoints."""

    def __init__(self, now_s: Callable[[], float], wall_ms: Callable[[], int]) -> None:
        """`now_s` is a clock that does not jump, `wall_ms` the wall clock."""
        self._now_s = now_s
        self._wall_ms = wall_ms
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._bytes: dict[tuple[str, str], int] = {}
        self.publishes: dict[str, int] = {}
        self.entry_bytes = Histogram(_ENTRY_BYTES)
        self.checkpoint_slot = 0
        # None: none was made in this life.
        self._checkpoint_ms: int | None = None
        self.put_failure: str | None = None
        """Why the last put of a blob failed; None: it did not."""

    def around(self, storage: Storage) -> Storage:
        """Return the same storage, counted."""
        return Stores(
            CountedOrderStore(storage.order, self),
            CountedBlobStore(storage.blobs, self),
            storage.cluster_id,
        )

    @contextmanager
    def call(self, store: str, name: str) -> Iterator[None]:
        """Count a call to a store."""
        begun_s = self._now_s()
        key = (store, name)
        try:
            yield
        except Exception:
            self._failures[key] = self._failures.get(key, 0) + 1
            raise
        finally:
            if key not in self._durations:
                self._durations[key] = Histogram(DURATIONS_S)
            self._durations[key].observe(self._now_s() - begun_s)

    def carried(self, store: str, name: str, size_bytes: int) -> None:
        """Count bytes that a call to a store took there, or brought from it."""
        key = (store, name)
        self._bytes[key] = self._bytes.get(key, 0) + size_bytes

    def published(self, outcome: str) -> None:
        """Count what became of a conditional append."""
        self.publishes[outcome] = self.publishes.get(outcome, 0) + 1

    def checkpointed(self, cell: bytes) -> None:
        """Note a checkpoint that was named."""
        self.checkpoint_slot = checkpoint_slot(cell)
        self._checkpoint_ms = self._wall_ms()

    def families(self) -> Iterator[Family]:
        """Yield what was counted."""
        yield Family(
            "tidings_store_call_duration_seconds",
            "histogram",
            "Calls to the stores; an append to the order store is a sync of the disk.",
            [
                sample
                for (store, call), durations in sorted(self._durations.items())
                for sample in durations.samples({"store": store, "call": call})
            ],
        )
        yield Family(
            "tidings_store_call_failures_total",
            "counter",
            "Calls to the stores that failed: a full disk, say.",
            [
                Sample(count, {"store": store, "call": call})
                for (store, call), count in sorted(self._failures.items())
            ],
        )
        yield Family(
            "tidings_store_call_bytes_total",
            "counter",
            "Bytes that calls to the stores took there, or brought from them.",
            [
                Sample(count, {"store": store, "call": call})
                for (store, call), count in sorted(self._bytes.items())
            ],
        )
        yield Family(
            "tidings_publishes_total",
            "counter",
            "Conditional appends to the journal by outcome; all but 'appended' are tried again.",
            [Sample(count, {"outcome": name}) for name, count in sorted(self.publishes.items())],
        )
        yield Family(
            "tidings_publish_bytes",
            "histogram",
            "Size of published entries.",
            self.entry_bytes.samples({}),
        )
        yield Family(
            "tidings_checkpoint_slot",
            "gauge",
            "The slot below which the newest checkpoint reaches.",
            [Sample(self.checkpoint_slot)],
        )
        if self._checkpoint_ms is not None:
            yield Family(
                "tidings_checkpoint_timestamp_seconds",
                "gauge",
                "When this process last named a checkpoint, in seconds since 1970.",
                [Sample(self._checkpoint_ms / 1000)],
            )


class CountedOrderStore:
    """An order store whose calls are counted."""

    def __init__(self, store: OrderStore, metrics: StoreMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self.entry_bytes_max = store.entry_bytes_max
        self.can_trim = store.can_trim
        self.is_exclusive = store.is_exclusive
        self.inline_bytes_max = store.inline_bytes_max

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        self._metrics.entry_bytes.observe(len(entry))
        self._metrics.carried("order", "append", len(entry))
        outcome_name = "refused"
        try:
            with self._metrics.call("order", "append"):
                outcome = await self._store.append(slot, entry)
            outcome_name = type(outcome).__name__.lower()
        finally:
            self._metrics.published(outcome_name)
        return outcome

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        with self._metrics.call("order", "read"):
            found = await self._store.read(start, count_max)
        if not isinstance(found, Trimmed):
            self._metrics.carried("order", "read", sum(map(len, found)))
        return found

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        with self._metrics.call("order", "trim"):
            await self._store.trim(below)

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        with self._metrics.call("order", "read_cell"):
            value = await self._store.read_cell(name)
        self._metrics.carried("order", "read_cell", len(value or b""))
        if name == CHECKPOINT_CELL:
            self._metrics.checkpoint_slot = checkpoint_slot(value)
        return value

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        self._metrics.carried("order", "swap_cell", len(new))
        with self._metrics.call("order", "swap_cell"):
            is_set = await self._store.swap_cell(name, old, new)
        if is_set and name == CHECKPOINT_CELL:
            self._metrics.checkpointed(new)
        return is_set


class CountedBlobStore:
    """A blob store whose calls are counted."""

    def __init__(self, store: BlobStore, metrics: StoreMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self.can_delete = store.can_delete

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        self._metrics.carried("blob", "put", len(data))
        with self._metrics.call("blob", "put"):
            try:
                await self._store.put(name, data)
            except Unavailable as error:
                self._metrics.put_failure = str(error)
                raise
        self._metrics.put_failure = None

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        with self._metrics.call("blob", "get"):
            data = await self._store.get(name)
        self._metrics.carried("blob", "get", len(data or b""))
        return data

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        with self._metrics.call("blob", "get_range"):
            data = await self._store.get_range(name, position, size_bytes)
        self._metrics.carried("blob", "get_range", len(data or b""))
        return data

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        with self._metrics.call("blob", "delete"):
            await self._store.delete(name)


_order_store: type[OrderStore] = CountedOrderStore
_blob_store: type[BlobStore] = CountedBlobStore

"""Stores that live in this process: the reference for every other, and good for tests.

Several nodes may share one pair of them; nothing outlives the process.
"""

from tidings.ports import Appended, AppendOutcome, BlobStore, Occupied, OrderStore, Trimmed
from tidings.types import Slot

ENTRY_BYTES_MAX = 1024 * 1024
INLINE_BYTES_MAX = 16 * 1024


class MemoryOrderStore:
    """An order store in a dict."""

    can_trim = True

    def __init__(
        self,
        *,
        entry_bytes_max: int = ENTRY_BYTES_MAX,
        inline_bytes_max: int = INLINE_BYTES_MAX,
        is_exclusive: bool = False,
    ) -> None:
        self.entry_bytes_max = entry_bytes_max
        self.inline_bytes_max = inline_bytes_max
        self.is_exclusive = is_exclusive
        self._slots: dict[Slot, bytes] = {}
        # Slots below were trimmed.
        self._trimmed = Slot(0)
        # The first slot that was never filled.
        self._end = Slot(0)
        self._cells: dict[str, bytes] = {}

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        if slot < self._trimmed:
            return Trimmed()
        if slot < self._end:
            return Occupied(self._slots[slot])
        assert slot == self._end, f"slot {slot} would leave a gap after {self._end}"
        self._slots[slot] = entry
        self._end = Slot(slot + 1)
        return Appended()

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        if start < self._trimmed:
            return Trimmed()
        end = min(self._end, start + count_max)
        return [self._slots[Slot(slot)] for slot in range(start, end)]

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        below = min(below, self._end)
        for slot in range(self._trimmed, below):
            del self._slots[Slot(slot)]
        self._trimmed = max(self._trimmed, below)

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        return self._cells.get(name)

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        if self._cells.get(name) != old:
            return False
        self._cells[name] = new
        return True


class MemoryBlobStore:
    """A blob store in a dict."""

    can_delete = True

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        held = self._blobs.setdefault(name, data)
        assert held == data, f"blob {name} was written twice, with different bytes"

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        return self._blobs.get(name)

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        data = self._blobs.get(name)
        return None if data is None else data[position : position + size_bytes]

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        self._blobs.pop(name, None)


_order_store: type[OrderStore] = MemoryOrderStore
_blob_store: type[BlobStore] = MemoryBlobStore

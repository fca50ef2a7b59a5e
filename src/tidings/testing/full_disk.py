"""Stores whose disk can be filled: they refuse what would need room, and serve what is there."""

from tidings.errors import Unavailable
from tidings.kafka.standalone import Storage, Stores
from tidings.ports import AppendOutcome, BlobStore, OrderStore, Trimmed
from tidings.types import Slot

_FULL = "the disk is full (a test filled it)"


class Disk:
    """Whether there is room."""

    def __init__(self) -> None:
        self.is_full = False

    def need_room(self) -> None:
        """Raise Unavailable if there is none."""
        if self.is_full:
            raise Unavailable(_FULL)


class OrderStoreOnDisk:
    """An order store, as long as there is room."""

    def __init__(self, store: OrderStore, disk: Disk) -> None:
        self._store = store
        self._disk = disk
        self.entry_bytes_max = store.entry_bytes_max
        self.can_trim = store.can_trim
        self.is_exclusive = store.is_exclusive
        self.inline_bytes_max = store.inline_bytes_max

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        self._disk.need_room()
        return await self._store.append(slot, entry)

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        return await self._store.read(start, count_max)

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        await self._store.trim(below)

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        return await self._store.read_cell(name)

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        self._disk.need_room()
        return await self._store.swap_cell(name, old, new)


class BlobStoreOnDisk:
    """A blob store, as long as there is room."""

    def __init__(self, store: BlobStore, disk: Disk) -> None:
        self._store = store
        self._disk = disk
        self.can_delete = store.can_delete

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        self._disk.need_room()
        await self._store.put(name, data)

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        return await self._store.get(name)

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        return await self._store.get_range(name, position, size_bytes)

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        await self._store.delete(name)


def on_disk(storage: Storage, disk: Disk) -> Storage:
    """Return storage that has what `storage` has, as long as there is room."""
    return Stores(
        OrderStoreOnDisk(storage.order, disk),
        BlobStoreOnDisk(storage.blobs, disk),
        storage.cluster_id,
    )


_order_store: type[OrderStore] = OrderStoreOnDisk
_blob_store: type[BlobStore] = BlobStoreOnDisk

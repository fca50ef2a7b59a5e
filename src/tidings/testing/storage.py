"""What outlives every node: the stores in memory, or the services."""

from base64 import b64decode, b64encode
from random import Random
from typing import Protocol

from tidings.errors import Unavailable
from tidings.ports import AppendOutcome, Trimmed
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.faulty_stores import at_once
from tidings.testing.life import Life
from tidings.testing.plan import Plan
from tidings.testing.trace import Trace
from tidings.testing.watched_service import WatchedService
from tidings.types import Slot
from tidings.workbench.network import default_services

JOURNAL = "journal"
SERVICES = ("lin-kv", "seq-kv")


class Storage(Protocol):
    """The stored journal as it is now, without faults."""

    inline_bytes_max: int

    def fill(self, slot: Slot, entry: bytes) -> None:
        """Fill the next slot."""

    def put(self, name: str, data: bytes) -> None:
        """Store a blob."""

    def entries(self, start: Slot) -> list[bytes] | None:
        """Return the entries from a slot on; None if it was trimmed."""

    def blob(self, name: str) -> bytes | None:
        """Return a blob."""

    def blob_ever(self, name: str) -> bytes:
        """Return a blob that was stored once, even if it has been deleted since."""

    def was_stored(self, name: str) -> bool:
        """Whether there is, or ever was, such a blob."""

    def blob_names(self) -> list[str]:
        """Return the names of all blobs that are there."""

    def has_come_back(self, name: str) -> bool:
        """Whether a blob was stored by a put that came after it was deleted, so far as it was."""

    def has_owner(self, name: str) -> bool:
        """Whether a node that lives knows that it has stored a blob, and never deleted it."""

    def cell(self, name: str) -> bytes | None:
        """Return what a cell holds."""

    def fill_up(self, *, order: bool, blobs: bool) -> None:
        """Have slots and cells, or blobs, take nothing new from now on, or take it again."""


class _BoundedSlots(MemoryOrderStore):
    """Can be full."""

    is_full = False

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        # Without a look at the slot, which may hold this very entry.
        self._take_room()
        return await super().append(slot, entry)

    async def trim(self, below: Slot) -> None:
        # What is to be forgotten must be written down as well.
        self._take_room()
        await super().trim(below)

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        self._take_room()
        return await super().swap_cell(name, old, new)

    def _take_room(self) -> None:
        if self.is_full:
            raise Unavailable("no space is left for slots and cells")


class _BoundedBlobs(MemoryBlobStore):
    """Can be full; remembers all blobs that ever were."""

    is_full = False

    def __init__(self) -> None:
        super().__init__()
        self.ever: dict[str, bytes] = {}
        # Names that were deleted, whether there were such blobs or not; and of these, blobs that
        # were stored later.
        self.deleted: dict[str, None] = {}
        self.back: dict[str, None] = {}

    async def put(self, name: str, data: bytes) -> None:
        if self.is_full:
            raise Unavailable("no space is left for blobs")
        if name in self.deleted and name not in self._blobs:
            self.back[name] = None
        await super().put(name, data)
        self.ever[name] = data

    async def delete(self, name: str) -> None:
        self.deleted[name] = None
        await super().delete(name)

    @property
    def names(self) -> list[str]:
        return list(self._blobs)


class MemoryStorage:
    """The stores in memory."""

    def __init__(self, plan: Plan) -> None:
        self.order = _BoundedSlots(inline_bytes_max=plan.inline_bytes_max)
        self.blobs = _BoundedBlobs()
        self.inline_bytes_max = plan.inline_bytes_max
        # See `FaultyBlobStore`.
        self.owners: dict[str, Life] = {}

    def disown(self, life: Life) -> None:
        """Note that a life has jumped: it does not learn what became of its blobs."""
        for name in [name for name, owner in self.owners.items() if owner is life]:
            del self.owners[name]

    def fill(self, slot: Slot, entry: bytes) -> None:
        """See `Storage`."""
        at_once(self.order.append(slot, entry))

    def put(self, name: str, data: bytes) -> None:
        """See `Storage`."""
        at_once(self.blobs.put(name, data))

    def entries(self, start: Slot) -> list[bytes] | None:
        """See `Storage`."""
        found = at_once(self.order.read(start, 2**40))
        return None if isinstance(found, Trimmed) else found

    def blob(self, name: str) -> bytes | None:
        """See `Storage`."""
        return at_once(self.blobs.get(name))

    def blob_ever(self, name: str) -> bytes:
        """See `Storage`."""
        assert name in self.blobs.ever, f"A5: blob {name} is named and was never stored"
        return self.blobs.ever[name]

    def was_stored(self, name: str) -> bool:
        """See `Storage`."""
        return name in self.blobs.ever

    def blob_names(self) -> list[str]:
        """See `Storage`."""
        return self.blobs.names

    def has_come_back(self, name: str) -> bool:
        """See `Storage`."""
        return name in self.blobs.back

    def has_owner(self, name: str) -> bool:
        """See `Storage`."""
        owner = self.owners.get(name)
        return owner is not None and not owner.is_over

    def cell(self, name: str) -> bytes | None:
        """See `Storage`."""
        return at_once(self.order.read_cell(name))

    def fill_up(self, *, order: bool, blobs: bool) -> None:
        """See `Storage`."""
        self.order.is_full, self.blobs.is_full = order, blobs


class ServiceStorage:
    """The services lin-kv and seq-kv, as the `journal` design uses them."""

    inline_bytes_max = 4096

    def __init__(self, plan: Plan, trace: Trace) -> None:
        inner = default_services(plan.seed)
        self.services = {name: WatchedService(name, inner[name], trace) for name in SERVICES}
        self._order = self.services["lin-kv"].newest
        self._blobs = self.services["seq-kv"].newest

    def fill(self, slot: Slot, entry: bytes) -> None:
        """See `Storage`."""
        self._write("lin-kv", str(slot), entry)

    def put(self, name: str, data: bytes) -> None:
        """See `Storage`."""
        self._write("seq-kv", name, data)

    def _write(self, service: str, name: str, data: bytes) -> None:
        text = b64encode(data).decode()
        request = {"type": "write", "key": f"{JOURNAL}/{name}", "value": text}
        self.services[service].handle("before", request)

    def entries(self, start: Slot) -> list[bytes] | None:
        """See `Storage`."""
        found: list[bytes] = []
        while (text := self._order.get(f"{JOURNAL}/{start + len(found)}")) is not None:
            found.append(b64decode(text))
        return found

    def blob(self, name: str) -> bytes | None:
        """See `Storage`."""
        text = self._blobs.get(f"{JOURNAL}/{name}")
        return None if text is None else b64decode(text)

    def blob_ever(self, name: str) -> bytes:
        """See `Storage`."""
        blob = self.blob(name)
        assert blob is not None, f"A5: blob {name} is named and was never stored"
        return blob

    def was_stored(self, name: str) -> bool:
        """See `Storage`."""
        return self.blob(name) is not None

    def blob_names(self) -> list[str]:
        """See `Storage`."""
        return [key.removeprefix(f"{JOURNAL}/") for key in self._blobs]

    def has_come_back(self, name: str) -> bool:
        """See `Storage`. Nothing is ever deleted."""
        del name
        return False

    def has_owner(self, name: str) -> bool:
        """See `Storage`. Nobody asks."""
        raise NotImplementedError(name)

    def cell(self, name: str) -> bytes | None:
        """See `Storage`."""
        text = self._order.get(f"{JOURNAL}/cell/{name}")
        return None if text is None else b64decode(text)

    def fill_up(self, *, order: bool, blobs: bool) -> None:
        """See `Storage`."""
        self.services["lin-kv"].is_full, self.services["seq-kv"].is_full = order, blobs


def history_rng(plan: Plan) -> Random:
    """Return what decides the slots that are filled before the nodes start."""
    return Random(f"{plan.seed}/history")

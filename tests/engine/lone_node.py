"""One node of the engine on stores that a test can stop, spoil and watch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

from tidings.core.entry import (
    Append,
    CreateTopic,
    Entry,
    Inline,
    Operation,
    Submission,
    decode_entry,
    encode_entry,
)
from tidings.core.pages import IN_PLACE, PageFormat
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.errors import Unavailable
from tidings.ports import AppendOutcome, Clock, Occupied, OrderStore, Trimmed, Unsettled
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.types import Offset, Slot, TopicPartition

A = TopicPartition("a", 0)
ALL = 1_000_000
LIFE_S = 3600.0
"""Whoever still waits for something after this time waits for ever."""


class WatchedOrder:
    """An order store that writes down the calls it gets, and holds them while it is shut."""

    def __init__(
        self, inner: MemoryOrderStore | None = None, *, inline_bytes_max: int = 1000
    ) -> None:
        self.inner = inner or MemoryOrderStore(inline_bytes_max=inline_bytes_max)
        self.entry_bytes_max = self.inner.entry_bytes_max
        self.inline_bytes_max = self.inner.inline_bytes_max
        self.can_trim = self.inner.can_trim
        self.is_exclusive = self.inner.is_exclusive
        self.calls: list[str] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        # What the next appends are told; taken from the front. "unsettled" and "refused" do
        # nothing, "lost reply" appends but does not say so.
        self.script: list[str] = []
        # Whether an occupied slot's entry is told, which is up to a store.
        self.tells_entry = True
        # Called before each append is carried out.
        self.before_append: Callable[[Slot], None] = lambda _slot: None

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        self.calls.append(f"append {slot}")
        await self.is_open.wait()
        step = self.script.pop(0) if self.script else ""
        self.before_append(slot)
        if step == "unsettled":
            return Unsettled()
        if step == "refused":
            raise Unavailable("the disk is full")
        outcome = await self.inner.append(slot, entry)
        if step == "lost reply":
            return Unsettled()
        return Occupied() if isinstance(outcome, Occupied) and not self.tells_entry else outcome

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        self.calls.append(f"read {start}")
        found = await self.inner.read(start, count_max)
        await self.is_open.wait()
        if self.script and self.script[0] == "unavailable":
            self.script.pop(0)
            raise Unavailable("no answer")
        return found

    async def trim(self, below: Slot) -> None:
        self.calls.append(f"trim {below}")
        await self.inner.trim(below)

    async def read_cell(self, name: str) -> bytes | None:
        return await self.inner.read_cell(name)

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        self.calls.append(f"swap {name} {new.decode()}")
        return await self.inner.swap_cell(name, old, new)

    def fill(self, *entries: Entry) -> None:
        """Fill the next slots, as another node would."""
        for entry in entries:
            self.inner._slots[self.inner._end] = encode_entry(entry)
            self.inner._end = Slot(self.inner._end + 1)

    def entries(self) -> list[Entry]:
        """Return what all slots hold."""
        return [decode_entry(data) for data in self.inner._slots.values()]

    def spoil(self, slot: int) -> None:
        """Change the bytes of a slot, which no store should do."""
        self.inner._slots[Slot(slot)] += b"?"


class WatchedBlobs(MemoryBlobStore):
    """A blob store that writes its calls into an order store's list and may fail."""

    def __init__(self, order: WatchedOrder) -> None:
        super().__init__()
        self._order = order
        # How many puts from now on are not answered, and whether they are carried out anyway.
        self.lost_puts = 0
        self.stores_lost_puts = False
        # Whether deletes are refused.
        self.keeps_all = False

    async def delete(self, name: str) -> None:
        if self.keeps_all:
            raise Unavailable("no answer")
        await super().delete(name)

    async def put(self, name: str, data: bytes) -> None:
        self._order.calls.append(f"put {name.split('/', maxsplit=1)[0]}")
        if self.lost_puts:
            self.lost_puts -= 1
            if self.stores_lost_puts:
                await super().put(name, data)
            raise Unavailable("no answer")
        await super().put(name, data)

    def names(self) -> list[str]:
        return list(self._blobs)


class Mailbox:
    """Peers that only keep what they are sent."""

    def __init__(self, node_id: str = "n0", node_ids: tuple[str, ...] = ("n0",)) -> None:
        self.node_id = node_id
        self.node_ids = list(node_ids)
        self.sent: list[tuple[str, bytes]] = []

    def send(self, node_id: str, message: bytes) -> None:
        self.sent.append((node_id, message))


class Midnight:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return 0


def make_log(
    order: OrderStore,
    blobs: MemoryBlobStore,
    *,
    peers: Mailbox | None = None,
    settings: Settings | None = None,
    life: int = 1,
    page_format: PageFormat = IN_PLACE,
    clock: Clock | None = None,
) -> Log:
    return Log(
        order,
        blobs,
        peers=peers or Mailbox(),
        clock=clock or Midnight(),
        rng=Random(f"life {life}"),
        settings=settings or Settings(),
        page_format=page_format,
    )


@asynccontextmanager
async def running(*logs: Log) -> AsyncIterator[None]:
    """Run nodes, recovered, for as long as the body takes, but not for ever."""
    async with asyncio.timeout(LIFE_S), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(log.run()) for log in logs]
        for log in logs:
            await log.journal.recovered.wait()
        yield
        for task in running:
            task.cancel()


def entry_of(*operations: Operation, origin: str = "n9/1", number: int = 1, ms: int = 0) -> Entry:
    """Return an entry of another node that holds one submission."""
    return Entry(origin, ms, [Submission(origin, number, Slot(4000), list(operations))])


def append_of(data: bytes, name: TopicPartition = A) -> Append:
    return Append(name, 1, Inline(data))


def create_of(topic: str) -> CreateTopic:
    return CreateTopic(topic, 1, topic.encode().ljust(16, b"."))


CREATE_A = create_of("a")


async def read_all(log: Log, name: TopicPartition = A) -> list[bytes]:
    """Return every batch of a partition that the node knows of."""
    found: list[bytes] = []
    while batches := await log.fetch(name, Offset(len(found)), ALL):
        assert batches[0].base_offset == len(found)
        found += [batch.data for batch in batches]
    return found

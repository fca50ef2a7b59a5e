"""The journal as one node knows it: the folded state, and how the node learns what comes next.

Entries come from the node's own publisher, from gossip and from the order store, in any order and
more than once; they are folded in slot order, each once. The store is asked when there is a gap,
when nothing was heard for a while (anti-entropy), and when somebody needs to be sure (barrier).

    J1  `state` is the fold of the slots below `state.next_slot`; it only ever grows, so what a
        node knows may be short but is never different from what another knows;
    J2  every slot below `filled` is filled, whether this node has seen its entry yet or not.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from tidings.core.checkpoint import decode_checkpoint, restore_checkpoint
from tidings.core.entry import Entry, decode_entry
from tidings.core.pages import IN_PLACE, PageFormat
from tidings.core.state import Applied, State
from tidings.engine.backoff import Backoff
from tidings.engine.cache import LoadingCache
from tidings.engine.settings import Settings
from tidings.errors import Corrupt, Unavailable
from tidings.ports import BlobStore, OrderStore, Trimmed
from tidings.types import Slot

log = logging.getLogger(__name__)

CHECKPOINT_CELL = "checkpoint"

Observer = Callable[[Slot, Entry, list[Applied]], None]
"""Called, synchronously and in slot order, for each entry that this node folds."""


def checkpoint_blob(slot: int) -> str:
    """The name of the blob with the state of all slots below `slot`."""
    return f"checkpoint/{slot}"


def checkpoint_slot(cell: bytes | None) -> int:
    """Return the slot below which the newest checkpoint reaches; 0 if there is none.

    Raises:
        Corrupt: The cell holds something else.
    """
    if cell is None:
        return 0
    if not cell.isdigit():
        raise Corrupt(f"the checkpoint cell holds {cell!r:.60}, which is no slot")
    return int(cell)


class Missing(Corrupt):
    """What was named is not stored: it has moved or was deleted meanwhile, or it was lost.

    After a barrier a node knows: who looks the place up again and still misses it, has lost it.
    """


class Journal:
    """One journal, folded as far as this node knows it."""

    def __init__(
        self,
        store: OrderStore,
        blobs: BlobStore,
        settings: Settings,
        page_format: PageFormat = IN_PLACE,
    ) -> None:
        self.store = store
        self._blobs = blobs
        self._settings = settings
        # Replaced only by `_jump`; always reach it through the journal.
        self.state = State(page_format)
        # J2. At least state.next_slot; raised by whoever sees a slot filled.
        self.filled = Slot(0)
        # Entries of slots at or after state.next_slot that arrived before their turn.
        self._ahead: dict[Slot, tuple[bytes, Entry]] = {}
        # Recent entries and those read again: for readers, and for peers that lack them.
        self.entries = LoadingCache(self._load_entry, settings.entry_cache_bytes)
        self.observers: list[Observer] = []
        # Called when the state was replaced by a checkpoint instead of being folded forward.
        self.jump_observers: list[Callable[[], None]] = []
        # Set once the node has caught up for the first time.
        self.recovered = asyncio.Event()
        # Set when `filled` or `state` moves or something is urgent; the follower clears it.
        self._moved = asyncio.Event()
        # Whether somebody cannot go on before the gap is closed.
        self._urgent = False
        # How many slots after the gap to read with it, in case they are filled as well.
        self._look_ahead_slots = 0
        self._barrier_waiters: list[asyncio.Future[None]] = []
        self._barrier_wanted = asyncio.Event()

    # Learning -----------------------------------------------------------------------------------

    def take(self, slot: Slot, data: bytes, entry: Entry) -> None:
        """Take the entry of one slot that is at hand in both forms; fold what can be folded."""
        ahead = slot - self.state.next_slot
        if 0 <= ahead < self._settings.ahead_slots_max and slot not in self._ahead:
            self._ahead[slot] = (data, entry)
        self.filled = max(self.filled, Slot(slot + 1))
        self._fold()
        # If nobody else writes, the follower is needed only where something is missing.
        if not self.store.is_exclusive or self.filled > self.state.next_slot:
            self._moved.set()

    def learn(self, start: Slot, entries: Sequence[bytes]) -> None:
        """Take the entries of consecutive slots from `start` on; fold what can be folded.

        Raises:
            Corrupt: Bytes that are no entry; nothing after them was taken.
        """
        for place, data in enumerate(entries):
            slot = Slot(start + place)
            if slot >= self.state.next_slot and slot not in self._ahead:
                self.take(slot, data, decode_entry(data))
            else:
                self.note_filled(slot)

    def note_filled(self, slot: Slot, *, urgent: bool = False) -> None:
        """Note that a slot is filled though its entry may not be here; `urgent` to fetch it now."""
        if slot >= self.filled:
            self.filled = Slot(slot + 1)
            self._moved.set()
        if urgent and slot >= self.state.next_slot:
            self._urgent = True
            self._moved.set()

    def look_ahead(self) -> None:
        """Have the gap closed now, if any, and the slots after it read: the end may be far away."""
        self._look_ahead_slots = self._settings.look_ahead_slots
        self._urgent = True
        self._moved.set()

    def _fold(self) -> None:
        while (held := self._ahead.pop(self.state.next_slot, None)) is not None:
            data, entry = held
            slot = self.state.next_slot
            self.entries.put(slot, (data, entry), len(data))
            applied = self.state.apply(slot, entry)
            for observe in self.observers:
                observe(slot, entry, applied)

    async def _load_entry(self, slot: Slot) -> tuple[tuple[bytes, Entry], int]:
        found = await self.store.read(slot, 1)
        if isinstance(found, Trimmed) or not found:
            raise Missing(f"slot {slot} was filled, but the order store no longer holds its entry")
        return (found[0], decode_entry(found[0])), len(found[0])

    # Following ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then follow the journal until cancelled."""
        await self._recover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve_barriers())
            tasks.create_task(self._follow())

    async def _recover(self) -> None:
        backoff = Backoff(self._settings)
        while True:
            try:
                await self._jump()
                await self.catch_up()
            except Unavailable as error:
                log.warning("cannot recover yet: %s", error)
                await backoff.pause()
            else:
                self.recovered.set()
                return

    async def _follow(self) -> None:
        backoff = Backoff(self._settings)
        idle_s = self._settings.anti_entropy_s
        while True:
            start = self.state.next_slot
            try:
                if self.filled + self._look_ahead_slots > start:
                    await self._close_gap(start)
                elif not await self._moves_within(idle_s) and not self.store.is_exclusive:
                    await self.catch_up()
                backoff.reset()
            except Unavailable as error:
                log.warning("cannot read the journal: %s", error)
                await backoff.pause()
            if self.state.next_slot > start:
                idle_s = self._settings.anti_entropy_s
            else:
                idle_s = min(2 * idle_s, self._settings.anti_entropy_idle_s)

    async def _close_gap(self, start: Slot) -> None:
        """Give the entry of `start` a moment to arrive by itself, then read what is missing."""
        try:
            async with asyncio.timeout(self._settings.gap_patience_s):
                while self.state.next_slot == start and not self._urgent:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass
        if self.state.next_slot > start:
            return
        # Patience is for one gap, not for each of its slots: read all of it.
        end = self.filled + self._look_ahead_slots
        self._urgent, self._look_ahead_slots = False, 0
        while (count := end - self.state.next_slot) > 0:
            count = min(count, self._settings.read_slots_max)
            if await self._read_on(count) < count:
                return

    async def _moves_within(self, timeout_s: float) -> bool:
        """Wait until something was learned; return False if nothing was in this time."""
        self._moved.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def catch_up(self) -> None:
        """Read the journal from the store up to its first empty slot.

        Raises:
            Unavailable: The store gave no answer.
            Corrupt: The store holds something that is no entry.
        """
        count = 1
        while True:
            # What is known to be there is asked for at once; beyond that the window doubles.
            count = max(count, self.filled - self.state.next_slot)
            count = min(count, self._settings.read_slots_max)
            if await self._read_on(count) < count:
                return
            count *= 2

    async def _read_on(self, count: int) -> int:
        """Read at most `count` slots from the first not folded; return how many were filled.

        Raises:
            Unavailable: The store gave no answer.
            Corrupt: The store holds something that is no entry.
        """
        start = self.state.next_slot
        found = await self.store.read(start, count)
        if isinstance(found, Trimmed):
            await self._jump()
            if self.state.next_slot == start:
                raise Corrupt(f"slot {start} was trimmed, but no checkpoint reaches it")
            return count
        self.learn(start, found)
        return len(found)

    async def _jump(self) -> None:
        """Go on from the newest checkpoint, if it is ahead of this node.

        Raises:
            Unavailable: A store gave no answer.
            Corrupt: The checkpoint cannot be read.
        """
        cell = await self.store.read_cell(CHECKPOINT_CELL)
        slot = checkpoint_slot(cell)
        if slot <= self.state.next_slot:
            return
        data = await self._blobs.get(checkpoint_blob(slot))
        if data is None:
            if await self.store.read_cell(CHECKPOINT_CELL) != cell:
                raise Unavailable("a newer checkpoint has taken the place of the one being read")
            raise Corrupt(f"the order store names checkpoint {slot}, which has no blob")
        if slot <= self.state.next_slot:
            return
        state = restore_checkpoint(decode_checkpoint(data))
        if state.page_format != self.state.page_format:
            raise Corrupt(
                f"this journal has pages of {state.page_format}, this node would make pages of "
                f"{self.state.page_format}: open it as it was made"
            )
        self.state = state
        self.filled = max(self.filled, self.state.next_slot)
        self._ahead = {
            slot: held for slot, held in self._ahead.items() if slot >= self.state.next_slot
        }
        for observe in self.jump_observers:
            observe()
        self._fold()

    # Barriers -----------------------------------------------------------------------------------

    async def barrier(self) -> None:
        """Return once this node has folded all that was settled when the call began.

        Concurrent callers share one read of the store; there is none if nobody else writes.

        Raises:
            Unavailable: The store gave no answer.
        """
        if self.store.is_exclusive and self.recovered.is_set():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._barrier_waiters.append(waiter)
        self._barrier_wanted.set()
        await waiter

    async def _serve_barriers(self) -> None:
        while True:
            await self._barrier_wanted.wait()
            self._barrier_wanted.clear()
            # Who comes after this line waits for the next read: this one may be too old for them.
            waiters, self._barrier_waiters = self._barrier_waiters, []
            try:
                await self.catch_up()
            except Unavailable as error:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(Unavailable(str(error)))
            else:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)

"""Upkeep: what keeps memory and start-up bounded. Any node may do it at any time.

Whoever fills a page's last slot writes the page, and any older one that nobody is known to have
written; then an operation tells everybody that it is durable, and all may prune. Now and then it
also writes a checkpoint. If that node dies half-way, whoever fills the next page's last slot does
it instead.

    K1  a page is durable BEFORE the operation that says so is submitted;
    K2  a checkpoint's blob is durable BEFORE the cell names it, and the cell only moves forward;
    K3  a page's segment is durable BEFORE the page is;
    K4  slots are trimmed only below the named checkpoint and below the end of the durable pages:
        what their entries did is in the one, and where their records are in the others.
"""

import asyncio
import logging

from tidings.core.checkpoint import encode_checkpoint, take_checkpoint
from tidings.core.entry import Entry, MarkPagesDurable
from tidings.core.pages import Page, encode_page
from tidings.core.segments import inline_places, move_to_segment, segment_blob
from tidings.core.state import Applied
from tidings.engine.backoff import Backoff
from tidings.engine.index_pages import page_blob
from tidings.engine.journal import (
    CHECKPOINT_CELL,
    Journal,
    Missing,
    checkpoint_blob,
    checkpoint_slot,
)
from tidings.engine.orphans import Orphans
from tidings.engine.record_bytes import inline_data
from tidings.engine.settings import Settings
from tidings.engine.submitter import Submitter
from tidings.errors import Indeterminate, Unavailable
from tidings.ports import BlobStore
from tidings.types import Slot

log = logging.getLogger(__name__)


class Upkeep:
    """The upkeep that falls to this node."""

    def __init__(
        self,
        incarnation: str,
        journal: Journal,
        blobs: BlobStore,
        orphans: Orphans,
        *,
        submitter: Submitter,
        settings: Settings,
    ) -> None:
        self._incarnation = incarnation
        self._journal = journal
        self._blobs = blobs
        self._orphans = orphans
        self._submitter = submitter
        self._settings = settings
        # Set when this node has filled a page's last slot.
        self._due = asyncio.Event()
        # The newest checkpoint taken and not yet written: (next slot, bytes).
        self._checkpoint: tuple[Slot, bytes] | None = None
        # Checkpoints of this node that may be stored, ascending: the newest one, and those before
        # it that are not deleted yet.
        self._stored: list[Slot] = []
        self._durable_pages = 0
        self._durable_slot = Slot(0)
        journal.observers.append(self._observe)

    def _observe(self, _slot: Slot, entry: Entry, _applied: list[Applied]) -> None:
        state = self._journal.state
        if state.durable_pages != self._durable_pages:
            self._durable_pages = state.durable_pages
            state.prune(self._settings.index_entries_max)
            self._drop_moved_entries(state.durable_slot)
        if not state.is_at_page_boundary or entry.publisher != self._incarnation:
            return
        if state.open_page % self._settings.checkpoint_pages == 0:
            # Now, for the state will have moved on when the task below runs.
            self._checkpoint = (state.next_slot, encode_checkpoint(take_checkpoint(state)))
        self._due.set()

    def _drop_moved_entries(self, durable_slot: Slot) -> None:
        """Let memory go of entries whose records are read from segments from now on."""
        if self._journal.state.page_format.has_segments:
            for slot in range(self._durable_slot, durable_slot):
                self._journal.entries.drop(Slot(slot))
        self._durable_slot = durable_slot

    async def run(self) -> None:
        """Do what falls due until cancelled."""
        backoff = Backoff(self._settings)
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._write_pages()
                await self._write_checkpoint()
                backoff.reset()
            except (Unavailable, Indeterminate) as error:
                log.warning("upkeep is put off: %s", error)
                await backoff.pause()
                self._due.set()

    async def _write_pages(self) -> None:
        pages = list(self._journal.state.unwritten.values())
        for page in pages:
            await self._write_page(page)
        if pages:
            await self._submitter.submit(
                [MarkPagesDurable(pages[-1].number), *self._orphans.forget_checkpoints()]
            )

    async def _write_page(self, page: Page) -> None:
        """Write a page, after its segment if the format has any; nothing if somebody else has."""
        if self._journal.state.page_format.has_segments:
            try:
                segment = await self._segment(page)
            except Missing:
                # Trimmed, so it is durable, or else lost.
                await self._journal.barrier()
                if page.number >= self._journal.state.durable_pages:
                    raise
                return
            if segment:
                await self._blobs.put(segment_blob(page.number), segment)
            page = move_to_segment(page)
        await self._blobs.put(page_blob(page.number), encode_page(page))

    async def _segment(self, page: Page) -> bytes:
        """Return the inline record bytes of a page, as its segment has them."""
        places = list(inline_places(page))
        by_slot: dict[Slot, list[int]] = {}
        for number, place in enumerate(places):
            by_slot.setdefault(place.slot, []).append(number)
        parts = [b""] * len(places)
        for slot, numbers in by_slot.items():
            _, entry = await self._journal.entries.fetch(slot)
            for number in numbers:
                parts[number] = inline_data(entry, places[number])
        return b"".join(parts)

    async def _write_checkpoint(self) -> None:
        if self._checkpoint is None:
            return
        slot, data = self._checkpoint
        if slot not in self._stored:
            self._stored.append(slot)
        await self._blobs.put(checkpoint_blob(slot), data)
        named = await self._name(slot)
        if named == slot:
            await self._trim(slot)
            await self._orphans.delete_checkpoints()
        # Whoever collects may have been there before these were stored.
        while self._stored and self._stored[0] < named:
            await self._blobs.delete(checkpoint_blob(self._stored[0]))
            del self._stored[0]
        if self._checkpoint == (slot, data):
            self._checkpoint = None

    async def _name(self, slot: Slot) -> int:
        """Have the cell name a checkpoint, unless it names a newer one; return which it names."""
        while True:
            named = await self._journal.store.read_cell(CHECKPOINT_CELL)
            if checkpoint_slot(named) >= slot:
                return checkpoint_slot(named)
            if await self._journal.store.swap_cell(CHECKPOINT_CELL, named, b"%d" % slot):
                return slot

    async def _trim(self, checkpoint: int) -> None:
        """Let go of the slots that nobody needs besides a checkpoint and the durable pages."""
        state = self._journal.state
        if not state.page_format.has_segments:
            return
        below = Slot(min(checkpoint, state.durable_slot))
        assert state.durable_slot <= state.open_slot, f"K4: {state.durable_slot} is not sealed"
        await self._journal.store.trim(below)

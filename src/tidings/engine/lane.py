"""One way from a node into the journal: submissions, numbered, one after the other.

One submission of a lane is outstanding at a time. It goes to the preferred publisher, which may be
this node; if that does not publish it in time, this node does.

    B1  blobs are durable BEFORE the submission that names them is offered to anybody;
    B2  an operation is answered only with what the fold of the journal made of it;
    B3  numbers go up by one and last slots never go down, so that the fold can drop repeats;
    B4  a submission that was offered fails only when it certainly never happened: when the journal
        has passed its last slot, and its operations form a new submission; or when the order store
        refused it (U4) and no other node was ever asked to publish it;
    B5  a blob's name is used once; where stores can delete, its number is one that the fold, as far
        as this node knows it, holds as reserved (X1).
"""

import asyncio
import logging

import msgspec

from tidings.core.blob_numbers import data_blob
from tidings.core.entry import (
    Append,
    BlobRange,
    Entry,
    InBlob,
    Inline,
    Operation,
    ReserveBlobs,
    RewritePage,
    Submission,
)
from tidings.core.results import Reason, Refused, Result
from tidings.core.state import Applied
from tidings.engine.backoff import Backoff
from tidings.engine.gossip import Gossip, node_of
from tidings.engine.journal import Journal
from tidings.engine.preference import Preference
from tidings.engine.publisher import Publisher
from tidings.engine.settings import Settings
from tidings.engine.sizes import sizes_of
from tidings.errors import Indeterminate, Unavailable
from tidings.ports import BlobStore
from tidings.types import Slot

log = logging.getLogger(__name__)

_DOOMED = Refused(Reason.BLOB_DOOMED)


class Lane:
    """An origin of submissions. Operations of different lanes have no order among them."""

    def __init__(
        self,
        origin: str,
        journal: Journal,
        blobs: BlobStore,
        *,
        publisher: Publisher,
        gossip: Gossip,
        preference: Preference,
        settings: Settings,
    ) -> None:
        self._origin = origin
        self._node_id = node_of(origin)
        self._journal = journal
        self._blobs = blobs
        self._publisher = publisher
        self._gossip = gossip
        self._preference = preference
        self._settings = settings
        self._number = 0
        # The newest blob's; goes up with each try to make a submission that has one.
        self._blob_number = 0
        # The first number after all that this lane ever wanted to reserve.
        self._reserved_end = 1
        self._last_slot = Slot(0)
        # The submission on its way, and where its outcome goes: results, or None if it expired.
        self._outstanding: Submission | None = None
        self._outcome: asyncio.Future[list[Result] | None] | None = None
        journal.observers.append(self._observe)
        journal.jump_observers.append(self._observe_jump)

    async def see_through(self, operations: list[Operation]) -> list[Result]:
        """Have operations applied together, in order; return what became of each.

        Raises:
            Unavailable: Their blob or their entry was refused; they certainly have no effect.
            Indeterminate: They took effect or not, but what became of them is lost.
        """
        inline_bytes_max = self._inline_bytes_max(operations)
        if not any(_is_large(operation, inline_bytes_max) for operation in operations):
            return await self._settle(operations)
        while True:
            number = await self._next_number()
            name = data_blob(self._origin, number)
            moved, data = _move_to_blob(operations, name, inline_bytes_max)
            await self._put(name, data)
            if any(isinstance(operation, Append) for operation in operations):
                # Somebody may wait for these records.
                self._gossip.spread_blob(name, data)
            try:
                results = await self._settle(moved, number if self._reserves else 0)
            except Unavailable:
                # Nobody has it, so nobody will name the blob.
                await self._delete(name)
                raise
            if results[0] != _DOOMED:
                return results
            # The number was doomed while this node slept, so none of it happened. The blob may have
            # been stored after it was collected.
            await self._delete(name)

    def _inline_bytes_max(self, operations: list[Operation]) -> int:
        """Return up to which size record batches stay in the entry; below 0 if none does."""
        inline_bytes_max = self._journal.store.inline_bytes_max
        if self._settings.spill_bytes_max:
            inline_bytes = sizes_of(operations, inline_bytes_max).inline
            if inline_bytes > self._settings.submission_bytes_max:
                return -1
        return inline_bytes_max

    @property
    def _reserves(self) -> bool:
        """Whether blobs can be deleted, so that their numbers are reserved."""
        return self._journal.state.page_format.has_segments

    async def _next_number(self) -> int:
        """Return a number for a blob: a new one, for a put that was lost may still arrive."""
        if not self._reserves:
            self._blob_number += 1
            return self._blob_number
        while True:
            # What the fold holds, not what was reserved once: anybody may have doomed it since.
            held = self._journal.state.blob_numbers.reserved.get(self._origin)
            number = max(self._blob_number + 1, held.next_number if held else 0)
            if held is not None and number < held.end_number:
                self._blob_number = number
                return number
            await self._reserve()

    async def _reserve(self) -> None:
        """Reserve numbers, or try to.

        Raises:
            Unavailable: Refused, here or by the fold.
        """
        first = self._reserved_end
        self._reserved_end = first + self._settings.blobs_reserved
        wanted = ReserveBlobs(BlobRange(self._origin, first, self._reserved_end))
        try:
            (result,) = await self._settle([wanted])
        except Indeterminate:
            # The state knows.
            return
        if isinstance(result, Refused):
            raise Unavailable(result.reason.value)

    async def _put(self, name: str, data: bytes) -> None:
        backoff = Backoff(self._settings)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.blob_patience_s
        while True:
            try:
                await self._blobs.put(name, data)
            except Unavailable as error:
                if loop.time() > deadline:
                    raise Unavailable(f"record bytes could not be stored: {error}") from error
                await backoff.pause()
            else:
                return

    async def _delete(self, name: str) -> None:
        """Delete a blob that nobody will name; if that fails, it may stay."""
        try:
            await self._blobs.delete(name)
        except Unavailable as error:
            log.warning("blob %s, which nothing names, is left for now: %s", name, error)

    async def _settle(self, operations: list[Operation], blob_number: int = 0) -> list[Result]:
        """Submit operations, again each time they expired, until the journal holds them."""
        while True:
            self._number += 1
            window = self._settings.submission_window_slots
            self._last_slot = max(self._last_slot, Slot(self._journal.filled + window))
            submission = Submission(
                self._origin, self._number, self._last_slot, operations, blob_number
            )
            results = await self._deliver(submission)
            if results is not None:
                return results

    async def _deliver(self, submission: Submission) -> list[Result] | None:
        """Get a submission into the journal; return its results, or None once it has expired."""
        loop = asyncio.get_running_loop()
        self._outstanding = submission
        self._outcome = loop.create_future()
        preferred = self._node_id
        if self._gossip.has_peers:
            preferred = self._choose_publisher(loop.time())
        if preferred != self._node_id:
            started = loop.time()
            self._gossip.forward(preferred, submission)
            if await self._outcome_within(self._preference.patience_s):
                self._preference.note_outcome(loop.time() - started)
                return self._outcome.result()
            self._preference.suspect(preferred, loop.time())
            self._publisher.offer(submission)
        else:
            self._publisher.offer(submission, self._refused)
        return await self._outcome

    def _refused(self, error: Unavailable) -> None:
        """Take the outstanding submission back: it certainly reached nobody."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)

    def _choose_publisher(self, now: float) -> str:
        for name in self._preference.due_pings(now):
            self._gossip.ping(name)
        return self._preference.preferred()

    async def _outcome_within(self, patience_s: float) -> bool:
        assert self._outcome is not None
        try:
            async with asyncio.timeout(patience_s):
                await asyncio.shield(self._outcome)
        except TimeoutError:
            return False
        return True

    def _observe(self, slot: Slot, _entry: Entry, applied: list[Applied]) -> None:
        """Take the outcome of the outstanding submission from the fold."""
        outstanding, outcome = self._outstanding, self._outcome
        if outstanding is None or outcome is None or outcome.done():
            return
        for submission, results in applied:
            if results is not None and _same(submission, outstanding):
                outcome.set_result(results)
                return
        if slot >= outstanding.last_slot:
            outcome.set_result(None)

    def _observe_jump(self) -> None:
        """Give up on results that lie in slots which this node will never fold."""
        outstanding, outcome = self._outstanding, self._outcome
        if outstanding is None or outcome is None or outcome.done():
            return
        state = self._journal.state
        if state.is_settled(outstanding.origin, outstanding.number):
            outcome.set_exception(Indeterminate("published, but the outcome was skipped over"))
        elif state.next_slot > outstanding.last_slot:
            outcome.set_exception(Indeterminate("may have been published and skipped over"))


def _same(one: Submission, other: Submission) -> bool:
    return (one.origin, one.number) == (other.origin, other.number)


def _is_large(operation: Operation, inline_bytes_max: int) -> bool:
    """Whether an operation brings bytes that are too many for an entry, or do not belong there."""
    match operation:
        case Append(payload=Inline(data)):
            return len(data) > inline_bytes_max
        case RewritePage():
            return True
        case _:
            return False


def _move_to_blob(
    operations: list[Operation], name: str, inline_bytes_max: int
) -> tuple[list[Operation], bytes]:
    """Put references to a blob in the place of what is large; return its bytes as well."""
    parts: list[bytes] = []
    position = 0
    moved: list[Operation] = []
    for operation in operations:
        match operation:
            case Append(payload=Inline(data)) if len(data) > inline_bytes_max:
                payload = InBlob(name, position, len(data))
                moved.append(msgspec.structs.replace(operation, payload=payload))
                parts.append(data)
                position += len(data)
            case RewritePage(blob=Inline(data)):
                blob = InBlob(name, position, len(data))
                moved.append(msgspec.structs.replace(operation, blob=blob))
                parts.append(data)
                position += len(data)
            case _:
                moved.append(operation)
    return moved, b"".join(parts)

"""Orphans: deletes blobs that were stored and that nothing names.

A data blob is an orphan if its writer died or gave up before its entry was in the journal; an old
checkpoint, if whoever should have deleted it died. The state knows where there may be some (see
`core.blob_numbers` and `core.collection`). Any node may look, also several at once; what was done
already changes nothing.

    V3  the blob of a number is deleted only once the fold has doomed the number;
    V4  a checkpoint is deleted only if the order store names a newer one.
"""

from tidings.core.blob_numbers import data_blob
from tidings.core.entry import BlobRange, DoomBlobs, ForgetBlobs, ForgetCheckpoints, Operation
from tidings.engine.journal import CHECKPOINT_CELL, Journal, checkpoint_blob, checkpoint_slot
from tidings.engine.settings import Settings
from tidings.ports import BlobStore, Clock
from tidings.types import Slot


class Orphans:
    """The orphans of all nodes, dead or alive."""

    def __init__(
        self,
        journal: Journal,
        blobs: BlobStore,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._journal = journal
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        # This node has deleted the checkpoints below, as far as it knew where there may be some.
        self._deleted_below = Slot(0)
        # Where the newest page ended when it was last seen that no checkpoint is left to delete.
        self._cleared = Slot(0)

    async def collect(self) -> list[Operation]:
        """Delete some orphans; return what has them forgotten, and dooms what may be the next.

        Raises:
            Unavailable: A store gave no answer; it will be tried again.
        """
        await self.delete_checkpoints()
        return [*await self._delete_doomed(), *self._doom()]

    async def delete_checkpoints(self) -> None:
        """Delete all checkpoints that are older than the one that is named.

        Raises:
            Unavailable: A store gave no answer.
        """
        checkpoints = self._journal.state.collection.checkpoints
        if not checkpoints or checkpoints[-1] <= self._cleared:
            return
        newest = checkpoints[-1]
        named = checkpoint_slot(await self._journal.store.read_cell(CHECKPOINT_CELL))
        for slot in self._journal.state.collection.checkpoints:
            if self._deleted_below <= slot < named:
                await self._blobs.delete(checkpoint_blob(slot))
                self._deleted_below = Slot(slot + 1)
        # Until then one of those that this node knows may yet be overtaken.
        if named >= newest:
            self._cleared = newest

    def forget_checkpoints(self) -> list[Operation]:
        """Return what has the checkpoints forgotten that this node deleted.

        For the entry that says that pages are durable: it is as often as there is something, and
        one of its own for each page would fill pages.
        """
        checkpoints = self._journal.state.collection.checkpoints
        is_left = bool(checkpoints) and checkpoints[0] < self._deleted_below
        return [ForgetCheckpoints(self._deleted_below)] if is_left else []

    def _doom(self) -> list[Operation]:
        """Doom what has been reserved for long. Should its writer only sleep, it takes another."""
        reserved = self._journal.state.blob_numbers.reserved
        old = [
            BlobRange(origin, each.next_number, each.end_number)
            for origin, each in reserved.items()
            if self._is_old(each.reserved_ms)
        ]
        return [DoomBlobs(old[: self._settings.collect_blobs_max])] if old else []

    async def _delete_doomed(self) -> list[Operation]:
        ranges = self._old_doomed()
        for numbers in ranges:
            for number in range(numbers.first_number, numbers.end_number):
                await self._blobs.delete(data_blob(numbers.origin, number))
        return [ForgetBlobs(ranges)] if ranges else []

    def _old_doomed(self) -> list[BlobRange]:
        """Return doomed ranges whose blobs, if any, have been stored by now; one at least."""
        left = self._settings.collect_blobs_max
        ranges: list[BlobRange] = []
        for each in self._journal.state.blob_numbers.doomed:
            if left <= 0:
                break
            if self._is_old(each.doomed_ms):
                ranges.append(each.numbers)
                left -= each.numbers.end_number - each.numbers.first_number
        return ranges

    def _is_old(self, then_ms: int) -> bool:
        """Whether something was long ago, by the clocks of two nodes.

        If it is as far in the future, one of them was wrong, and waiting would not help.
        """
        return abs(self._clock.now_ms() - then_ms) > 1000 * self._settings.collect_orphans_after_s

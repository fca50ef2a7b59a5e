"""Which data blobs may be stored though no entry names them.

A blob is stored BEFORE the submission that names it, so some are never named: their writer died, or
gave up. No store can be asked which blobs it holds. So an origin reserves numbers before it stores
blobs under them, and of each number the state knows what became of it:

    reserved ──► named by a submission: from then on it belongs to a page, see `collection`
        │
        └──────► doomed: nobody will name it ──► its blob is deleted ──► forgotten

An origin's numbers go up: to name one, or to reserve more, dooms those before that are not named.
Any node may doom what has been reserved for long; should its writer only have slept, the submission
is refused (X1), and the writer stores the same bytes under another number.

    X1  a submission that names a blob has an effect only if its number is reserved, and takes it;
    X2  a number that was reserved and not named is doomed until somebody says that its blob is
        deleted.
"""

import msgspec

from tidings.core.entry import BlobRange, DoomBlobs, ForgetBlobs
from tidings.core.results import Done, Reason, Refused

BLOB_RANGES_MAX = 16_384
"""Reservations and doomed ranges, all together; nothing more is reserved beyond it."""


def data_blob(origin: str, number: int) -> str:
    """The name of the blob with record bytes that an origin stores under a number."""
    return f"data/{origin}/{number}"


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Numbers of one origin that may still be named."""

    next_number: int
    end_number: int
    """The first after them."""
    reserved_ms: int
    """The time of the entry that reserved them."""


class Doomed(msgspec.Struct, frozen=True, array_like=True):
    """Numbers that nobody will name; under some of them there may be blobs."""

    numbers: BlobRange
    doomed_ms: int
    """The time of the entry that doomed them."""


class BlobNumbers(msgspec.Struct, array_like=True):
    """The numbers that no submission has named."""

    reserved: dict[str, Reservation] = {}
    """By origin; each has at most one reservation, and none once all of it is named."""
    doomed: list[Doomed] = []
    """In the order in which they were doomed."""

    def reserve(self, wanted: BlobRange, now_ms: int) -> Done | Refused:
        """Reserve numbers, instead of what is left of those that the origin had."""
        before = self.reserved.get(wanted.origin)
        if before is not None and wanted.first_number < before.end_number:
            return Refused(Reason.INVALID)
        if len(self.reserved) + len(self.doomed) >= BLOB_RANGES_MAX:
            return Refused(Reason.TOO_MANY_BLOBS)
        self._doom_below(wanted.origin, wanted.first_number, now_ms)
        self.reserved[wanted.origin] = Reservation(wanted.first_number, wanted.end_number, now_ms)
        return Done()

    def take(self, origin: str, number: int, now_ms: int) -> bool:
        """Take the number of a blob that is about to be named; False if it is not reserved (X1)."""
        found = self.reserved.get(origin)
        if found is None or not found.next_number <= number < found.end_number:
            return False
        self._doom_below(origin, number, now_ms)
        self._leave(origin, number + 1)
        return True

    def doom(self, operation: DoomBlobs, now_ms: int) -> Done:
        """Doom what is still reserved of some numbers."""
        changed = [
            self._doom_below(wanted.origin, wanted.end_number, now_ms)
            for wanted in operation.ranges
        ]
        return Done(any(changed))

    def forget(self, operation: ForgetBlobs) -> Done:
        """Forget doomed numbers whose blobs were deleted."""
        before = len(self.doomed)
        gone = dict.fromkeys(operation.ranges)
        self.doomed = [each for each in self.doomed if each.numbers not in gone]
        return Done(len(self.doomed) < before)

    def _doom_below(self, origin: str, number: int, now_ms: int) -> bool:
        """Doom the reserved numbers of an origin below one (X2); return whether there were any."""
        found = self.reserved.get(origin)
        if found is None or number <= found.next_number:
            return False
        end = min(number, found.end_number)
        self.doomed.append(Doomed(BlobRange(origin, found.next_number, end), now_ms))
        self._leave(origin, end)
        return True

    def _leave(self, origin: str, next_number: int) -> None:
        """Keep the reserved numbers of an origin from one on."""
        found = self.reserved[origin]
        if next_number == found.end_number:
            del self.reserved[origin]
        else:
            self.reserved[origin] = msgspec.structs.replace(found, next_number=next_number)

"""What the fold makes of an operation."""

from enum import Enum

import msgspec

from tidings.types import Offset


class Reason(Enum):
    """Why an operation had no effect."""

    UNKNOWN_TOPIC_OR_PARTITION = "there is no such topic or partition: create it first"
    FENCED = "somebody newer has taken over: a producer of a newer epoch, or a later group document"
    OUT_OF_ORDER_SEQUENCE = "the producer's sequence number is not the next one"
    INVALID = "the operation makes no sense"
    OFFSET_OUT_OF_RANGE = "the offset lies beyond the end of the partition"
    BLOB_DOOMED = "its blob is not reserved any more: store the record bytes in another"
    TOO_MANY_BLOBS = "too many blobs wait to be deleted: try again later"


class Placed(msgspec.Struct, frozen=True, gc=False):
    """The batch has offsets; `duplicate` when it already had them."""

    base_offset: Offset
    duplicate: bool = False


class Done(msgspec.Struct, frozen=True, gc=False):
    """The operation took effect; `changed` is False when there was nothing left to do."""

    changed: bool = True


class RecordsDeleted(msgspec.Struct, frozen=True, gc=False):
    """Records were deleted, if there were any to delete; the partition begins here now."""

    log_start_offset: Offset


class ProducerIdAllocated(msgspec.Struct, frozen=True, gc=False):
    """Nobody else has this producer id."""

    producer_id: int


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The operation had no effect."""

    reason: Reason


Result = Placed | Done | RecordsDeleted | ProducerIdAllocated | Refused

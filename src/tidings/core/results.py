"""What the fold makes of an operation."""

from dataclasses import dataclass
from enum import Enum

from tidings.types import Offset


class Reason(Enum):
    """Why an operation had no effect."""

    UNKNOWN_TOPIC_OR_PARTITION = "there is no such topic or partition: create it first"
    FENCED = "a newer epoch of this producer exists: this producer must stop"
    OUT_OF_ORDER_SEQUENCE = "the producer's sequence number is not the next one"
    INVALID = "the operation makes no sense"


@dataclass(frozen=True, slots=True)
class Placed:
    """The batch has offsets; `duplicate` when it already had them."""

    base_offset: Offset
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The operation took effect; `changed` is False when there was nothing left to do."""

    changed: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The operation had no effect."""

    reason: Reason


Result = Placed | Done | Refused

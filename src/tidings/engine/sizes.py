"""How much room operations take: in the queue, in an entry, and in an entry that has a blob."""

from collections.abc import Iterable
from typing import NamedTuple

from tidings.core.entry import Append, Inline, Operation, operation_size

BLOB_PLACE_BYTES = 128
"""About what an entry says of a batch that is in a blob."""


class Sizes(NamedTuple):
    """Bytes, about."""

    total: int
    """With all record bytes."""
    inline: int
    """In an entry, once batches that are too large for it are in a blob."""
    bare: int
    """In an entry, once all batches are in a blob."""


def sizes_of(operations: Iterable[Operation], inline_bytes_max: int) -> Sizes:
    """Return the sizes of operations; batches above `inline_bytes_max` are too large for an entry.

    Not counted is what an entry says of these, unless all are in a blob.
    """
    total = large = moved = batches = 0
    for operation in operations:
        total += operation_size(operation)
        if isinstance(operation, Append) and isinstance(operation.payload, Inline):
            data_bytes = len(operation.payload.data)
            moved += data_bytes
            batches += 1
            if data_bytes > inline_bytes_max:
                large += data_bytes
    return Sizes(total, total - large, total - moved + batches * BLOB_PLACE_BYTES)

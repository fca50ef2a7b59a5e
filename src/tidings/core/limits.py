"""What an operation may ask for, whatever the state is.

An entry may come from a node with a bug or from a newer version of Tidings. What lies outside these
limits is refused by the fold, on every node alike; nothing inside them can outgrow the 64 bits of
the stored format, or Kafka's field widths.
"""

from tidings.core.entry import (
    Append,
    CommitOffsets,
    CreateTopic,
    InBlob,
    Inline,
    MarkPagesDurable,
    Operation,
    ProducerStamp,
)

OFFSET_MAX = 2**63 - 1
"""The largest end offset and committed offset."""

RECORD_COUNT_MAX = 2**31 - 1
"""Records in one batch."""

TOPIC_PARTITIONS_MAX = 10_000

PRODUCER_ID_MAX = 2**63 - 1
PRODUCER_EPOCH_MAX = 2**15 - 1
SEQUENCE_MAX = 2**31 - 1

SUBMISSION_SLOTS_MAX = 4096
"""A submission is applied at the earliest this many slots before its last slot.

So an origin is remembered for a bounded number of slots, whatever last slot it claims.
"""


def is_within_limits(operation: Operation) -> bool:
    """Whether an operation makes sense by itself."""
    match operation:
        case Append():
            return (
                1 <= operation.record_count <= RECORD_COUNT_MAX
                and _is_place(operation.payload)
                and (operation.producer is None or _is_stamp(operation.producer))
            )
        case CommitOffsets(offsets=offsets):
            return all(0 <= offset <= OFFSET_MAX for _, offset in offsets)
        case CreateTopic(topic, partition_count):
            return topic != "" and 1 <= partition_count <= TOPIC_PARTITIONS_MAX
        case MarkPagesDurable(page):  # pragma: no branch: the last kind of operation
            return page >= 0


def _is_place(payload: Inline | InBlob) -> bool:
    return isinstance(payload, Inline) or (payload.position >= 0 and payload.size_bytes >= 0)


def _is_stamp(stamp: ProducerStamp) -> bool:
    return (
        0 <= stamp.producer_id <= PRODUCER_ID_MAX
        and 0 <= stamp.epoch <= PRODUCER_EPOCH_MAX
        and 0 <= stamp.base_sequence <= SEQUENCE_MAX
    )

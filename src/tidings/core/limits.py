"""What an operation may ask for, whatever the state is.

An entry may come from a node with a bug or from a newer version of Tidings. What lies outside these
limits is refused by the fold, on every node alike; nothing inside them can outgrow the 64 bits of
the stored format, or Kafka's field widths.
"""

from tidings.core.entry import (
    ANY_VERSION,
    AllocateProducerId,
    AlterTopic,
    Append,
    CommitOffsets,
    CreatePartitions,
    CreateTopic,
    DeleteGroup,
    DeleteOffsets,
    DeleteRecords,
    DeleteTopic,
    DoomBlobs,
    ForgetBlobs,
    ForgetCheckpoints,
    ForgetFormerBlobs,
    ForgetPages,
    InBlob,
    Inline,
    MarkPagesDurable,
    Operation,
    ProducerStamp,
    ReleaseSections,
    ReserveBlobs,
    RewritePage,
    SaveGroup,
)

OFFSET_MAX = 2**63 - 1
"""The largest end offset and committed offset."""

RECORD_COUNT_MAX = 2**31 - 1
"""Records in one batch."""

BATCH_BYTES_MAX = 2**31 - 1
"""Record bytes of one batch."""

BYTES_MAX = 2**63 - 1
"""Record bytes that a partition ever had."""

TIMESTAMP_MS_MAX = 2**63 - 1

TOPIC_PARTITIONS_MAX = 10_000

TOPIC_ID_BYTES = 16

LEADER_EPOCH_MAX = 2**31 - 1

GROUP_VERSION_MAX = 2**63 - 1

PRODUCER_ID_MAX = 2**63 - 1
PRODUCER_EPOCH_MAX = 2**15 - 1
SEQUENCE_MAX = 2**31 - 1

BLOB_NUMBER_MAX = 2**63 - 1

RESERVED_BLOBS_MAX = 1024
"""Blob numbers that an origin reserves at once."""

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
                and -1 <= operation.max_timestamp_ms <= TIMESTAMP_MS_MAX
                and (operation.producer is None or _is_stamp(operation.producer))
            )
        case CommitOffsets(_, offsets, _, details, version):
            return (
                _is_version(version)
                and all(0 <= offset <= OFFSET_MAX for _, offset in offsets)
                and len(details) in (0, len(offsets))
                and all(-1 <= epoch <= LEADER_EPOCH_MAX for epoch, _ in details)
            )
        case CreateTopic(topic, partition_count, topic_id):
            return (
                topic != ""
                and 1 <= partition_count <= TOPIC_PARTITIONS_MAX
                and len(topic_id) == TOPIC_ID_BYTES
            )
        case CreatePartitions(_, partition_count):
            return partition_count <= TOPIC_PARTITIONS_MAX
        case DeleteRecords(_, before_offset, before_bytes):
            return 0 <= before_offset <= OFFSET_MAX and 0 <= before_bytes <= BYTES_MAX
        case SaveGroup(_, version):
            return version <= GROUP_VERSION_MAX
        case DeleteOffsets(version=version) | DeleteGroup(version=version):
            return _is_version(version)
        case MarkPagesDurable(page):
            return page >= 0
        case ReserveBlobs(numbers):
            return (
                1 <= numbers.first_number < numbers.end_number <= BLOB_NUMBER_MAX
                and numbers.end_number - numbers.first_number <= RESERVED_BLOBS_MAX
            )
        case ReleaseSections(pages=pages, sizes=sizes):
            return len(sizes) in (0, len(pages)) and all(0 <= size <= BYTES_MAX for size in sizes)
        case RewritePage(page, _, blob, document_position, stored_bytes):
            return (
                page >= 0
                and _is_place(blob)
                and isinstance(blob, InBlob)
                and blob.position == 0
                and 0 <= document_position < blob.size_bytes
                and 0 <= stored_bytes <= BYTES_MAX
            )
        case (
            DeleteTopic()
            | AlterTopic()
            | AllocateProducerId()
            | ForgetPages()
            | DoomBlobs()
            | ForgetBlobs()
            | ForgetCheckpoints()
            | ForgetFormerBlobs()
        ):  # pragma: no branch: the last kinds of operation
            return True


def _is_version(version: int) -> bool:
    return ANY_VERSION <= version <= GROUP_VERSION_MAX


def _is_place(payload: Inline | InBlob) -> bool:
    return isinstance(payload, Inline) or (
        payload.position >= 0 and 0 <= payload.size_bytes <= BATCH_BYTES_MAX
    )


def _is_stamp(stamp: ProducerStamp) -> bool:
    return (
        0 <= stamp.producer_id <= PRODUCER_ID_MAX
        and 0 <= stamp.epoch <= PRODUCER_EPOCH_MAX
        and 0 <= stamp.base_sequence <= SEQUENCE_MAX
    )

"""What an operation may ask for: the last value on each side of each limit."""

import pytest

from tidings.core.entry import (
    AllocateProducerId,
    AlterTopic,
    Append,
    BlobRange,
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
    ForgetPages,
    InBlob,
    Inline,
    MarkPagesDurable,
    Operation,
    ProducerStamp,
    ReleaseSections,
    ReserveBlobs,
    SaveGroup,
)
from tidings.core.limits import TOPIC_PARTITIONS_MAX, is_within_limits
from tidings.types import Offset, Slot

from .building import A, B, create

INLINE = Inline(b"")


def stamped(producer_id: int, epoch: int, base_sequence: int) -> Append:
    return Append(A, 1, INLINE, ProducerStamp(producer_id, epoch, base_sequence))


def commit(*offsets: int) -> CommitOffsets:
    return CommitOffsets("g", [(B, Offset(offset)) for offset in offsets])


@pytest.mark.parametrize(
    "operation",
    [
        Append(A, 1, INLINE),
        Append(A, 2**31 - 1, INLINE),
        Append(A, 1, InBlob("", 0, 0)),
        stamped(0, 0, 0),
        stamped(2**63 - 1, 2**15 - 1, 2**31 - 1),
        commit(),
        commit(0, 2**63 - 1),
        create("a", 1),
        create("a", TOPIC_PARTITIONS_MAX),
        MarkPagesDurable(0),
        Append(A, 1, INLINE, max_timestamp_ms=-1),
        Append(A, 1, INLINE, max_timestamp_ms=2**63 - 1),
        Append(A, 1, InBlob("", 2**63 - 1, 2**31 - 1)),
        CommitOffsets("g", [(A, Offset(1))], details=[(-1, "")]),
        CommitOffsets("g", [(A, Offset(1))], details=[(2**31 - 1, "text")]),
        CreatePartitions("a", TOPIC_PARTITIONS_MAX),
        DeleteRecords(A, Offset(0), 0, b""),
        DeleteRecords(A, Offset(2**63 - 1), 2**63 - 1, b""),
        SaveGroup("g", 2**63 - 1, b""),
        DeleteTopic("a"),
        AlterTopic("a", {}),
        AllocateProducerId(),
        DeleteOffsets("g", [], -1),
        DeleteGroup("g", 2**63 - 1),
        CommitOffsets("g", [], version=2**63 - 1),
        ReleaseSections(A, b"", -1, Offset(0), Offset(1), []),
        ForgetPages([]),
        ReserveBlobs(BlobRange("", 1, 2)),
        ReserveBlobs(BlobRange("", 2**63 - 1025, 2**63 - 1)),
        DoomBlobs([]),
        ForgetBlobs([]),
        ForgetCheckpoints(Slot(0)),
    ],
    ids=repr,
)
def test_operation_inside_its_limits_is_taken(operation: Operation) -> None:
    assert is_within_limits(operation)


@pytest.mark.parametrize(
    "operation",
    [
        Append(A, 0, INLINE),
        Append(A, -1, INLINE),
        Append(A, 2**31, INLINE),
        Append(A, 1, InBlob("", -1, 0)),
        Append(A, 1, InBlob("", 0, -1)),
        stamped(-1, 0, 0),
        stamped(2**63, 0, 0),
        stamped(0, -1, 0),
        stamped(0, 2**15, 0),
        stamped(0, 0, -1),
        stamped(0, 0, 2**31),
        commit(0, -1),
        commit(2**63, 0),
        create("", 1),
        create("a", 0),
        create("a", TOPIC_PARTITIONS_MAX + 1),
        MarkPagesDurable(-1),
        Append(A, 1, INLINE, max_timestamp_ms=-2),
        Append(A, 1, INLINE, max_timestamp_ms=2**63),
        Append(A, 1, InBlob("", 0, 2**31)),
        CreateTopic("a", 1, bytes(15)),
        CommitOffsets("g", [(A, Offset(1))], details=[(-1, ""), (-1, "")]),
        CommitOffsets("g", [(A, Offset(1))], details=[(-2, "")]),
        CommitOffsets("g", [(A, Offset(1))], details=[(2**31, "")]),
        CreatePartitions("a", TOPIC_PARTITIONS_MAX + 1),
        DeleteRecords(A, Offset(-1), 0, b""),
        DeleteRecords(A, Offset(2**63), 0, b""),
        DeleteRecords(A, Offset(0), -1, b""),
        DeleteRecords(A, Offset(0), 2**63, b""),
        SaveGroup("g", 2**63, b""),
        CommitOffsets("g", [], version=-2),
        DeleteOffsets("g", [], -2),
        DeleteGroup("g", 2**63),
        ReserveBlobs(BlobRange("", 0, 1)),
        ReserveBlobs(BlobRange("", 1, 1)),
        ReserveBlobs(BlobRange("", 1, 1026)),
        ReserveBlobs(BlobRange("", 2**63 - 1, 2**63)),
    ],
    ids=repr,
)
def test_operation_outside_its_limits_is_not_taken(operation: Operation) -> None:
    assert not is_within_limits(operation)

"""Entries: their stored form, and how large they are taken to be."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core import documents
from tidings.core.entry import (
    OPERATION_BYTES,
    PAGE_NUMBER_BYTES,
    RANGE_BYTES,
    TEXT_BYTES,
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
    Entry,
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
    Submission,
    decode_entry,
    encode_entry,
    operation_size,
)
from tidings.errors import Corrupt
from tidings.types import Offset, Slot, TopicPartition

from .building import A, B, submission, topic_id_of

EVERY_OPERATION: list[Operation] = [
    Append(A, 2, Inline(b"xyz"), ProducerStamp(5, 0, 2**31 - 1)),
    Append(TopicPartition("ä", 3), 1, InBlob("data/n0/1", 10, 20), None, 12345),
    CreateTopic("b", 4, topic_id_of("b"), {"k": "v"}),
    CommitOffsets("g", [(A, Offset(2)), (B, Offset(0))], True, [(7, "m"), (-1, "")], 3),
    MarkPagesDurable(9),
    DeleteTopic("b"),
    CreatePartitions("b", 6),
    AlterTopic("b", {"k": None, "other": "w"}),
    DeleteRecords(A, Offset(7), 99, topic_id_of("a")),
    AllocateProducerId(),
    SaveGroup("g", 3, b"members"),
    DeleteOffsets("g", [A], 3),
    DeleteGroup("g", 3),
    ReleaseSections(A, topic_id_of("a"), -1, Offset(0), Offset(7), [2, 2**63], [2**63, 2**63]),
    ForgetPages([2**63]),
    ReserveBlobs(BlobRange("n0/1", 1, 2**63)),
    DoomBlobs([BlobRange("n0/1", 1, 2**63)]),
    ForgetBlobs([BlobRange("ä", 2**63, 2**63), BlobRange("b", 2**63, 2**63)]),
    ForgetCheckpoints(Slot(9)),
    RewritePage(2**63, InBlob("ä", 2**63, 2**63), InBlob("n", 2**63, 2**63), 2**63, 2**63),
    ForgetFormerBlobs({2**63: "ä", 0: "b"}),
]

any_int = st.integers(-(2**63), 2**64 - 1)
any_name = st.builds(TopicPartition, st.text(max_size=3), any_int)
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(
        Append,
        any_name,
        any_int,
        st.builds(Inline, st.binary(max_size=4))
        | st.builds(InBlob, st.text(max_size=3), any_int, any_int),
        st.none() | st.builds(ProducerStamp, any_int, any_int, any_int),
    ),
    st.builds(
        CreateTopic,
        st.text(max_size=3),
        any_int,
        st.binary(max_size=16),
        st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    ),
    st.builds(
        CommitOffsets,
        st.text(max_size=3),
        st.lists(st.tuples(any_name, any_int.map(Offset)), max_size=2),
        st.booleans(),
    ),
    st.builds(MarkPagesDurable, any_int),
    st.builds(DeleteRecords, any_name, any_int.map(Offset), any_int, st.binary(max_size=3)),
    st.builds(SaveGroup, st.text(max_size=3), any_int, st.binary(max_size=3)),
)
entries = st.builds(
    Entry,
    st.text(max_size=3),
    any_int,
    st.lists(
        st.builds(
            Submission,
            st.text(max_size=3),
            any_int,
            any_int.map(Slot),
            st.lists(operations, max_size=3),
        ),
        max_size=2,
    ),
)


def test_layout_of_an_entry_is_as_documented() -> None:
    # Written out by hand: a change here is a change of the stored format.
    entry = Entry("n0/1", 7, [Submission("n0/1", 1, Slot(9), EVERY_OPERATION, 5)])
    a, b = ["a", 0], ["b", 0]
    assert msgspec.msgpack.decode(encode_entry(entry)[documents.HEADER_BYTES :]) == [
        "n0/1",
        7,
        [
            [
                "n0/1",
                1,
                9,
                [
                    [0, a, 2, [0, b"xyz"], [5, 0, 2**31 - 1], -1],
                    [0, ["ä", 3], 1, [1, "data/n0/1", 10, 20], None, 12345],
                    [1, "b", 4, topic_id_of("b"), {"k": "v"}],
                    [2, "g", [[a, 2], [b, 0]], True, [[7, "m"], [-1, ""]], 3],
                    [3, 9],
                    [4, "b"],
                    [5, "b", 6],
                    [6, "b", {"k": None, "other": "w"}],
                    [7, a, 7, 99, topic_id_of("a")],
                    [8],
                    [9, "g", 3, b"members"],
                    [10, "g", [a], 3],
                    [11, "g", 3],
                    [12, a, topic_id_of("a"), -1, 0, 7, [2, 2**63], [2**63, 2**63]],
                    [13, [2**63]],
                    [14, ["n0/1", 1, 2**63]],
                    [15, [["n0/1", 1, 2**63]]],
                    [16, [["ä", 2**63, 2**63], ["b", 2**63, 2**63]]],
                    [17, 9],
                    [18, 2**63, [1, "ä", 2**63, 2**63], [1, "n", 2**63, 2**63], 2**63, 2**63],
                    [19, {2**63: "ä", 0: "b"}],
                ],
                5,
            ]
        ],
    ]


@given(entries)
def test_decode_of_an_encoded_entry_returns_it(entry: Entry) -> None:
    assert decode_entry(encode_entry(entry)) == entry


@given(entries, st.integers(0))
def test_decode_of_a_damaged_entry_raises_corrupt(entry: Entry, place: int) -> None:
    data = bytearray(encode_entry(entry))
    data[place // 8 % len(data)] ^= 1 << place % 8
    with pytest.raises(Corrupt):
        decode_entry(bytes(data))


def test_decode_of_an_unknown_operation_raises_corrupt() -> None:
    class Unknown(msgspec.Struct, array_like=True, tag=99):
        name: str

    class Later(msgspec.Struct, array_like=True):
        publisher: str
        published_ms: int
        submissions: list[tuple[str, int, int, list[Unknown]]]

    later = Later("n0/1", 0, [("n0/1", 1, 9, [Unknown("a")])])
    with pytest.raises(Corrupt, match="Invalid value 99"):
        decode_entry(documents.encode(documents.Kind.ENTRY, later))


def test_sizes_of_operations_count_what_grows() -> None:
    sizes = [operation_size(operation) - OPERATION_BYTES for operation in EVERY_OPERATION]
    blob = len("data/n0/1")
    names = OPERATION_BYTES + 1
    text = 2 * TEXT_BYTES
    assert sizes == [
        1 + 3,
        2 + blob,
        1 + text + 2,
        1 + 1 + 2 * names,
        0,
        1,
        1,
        1 + text + 1 + text + 6,
        1,
        0,
        1 + len(b"members"),
        1 + names,
        1,
        1 + 4 * PAGE_NUMBER_BYTES,
        PAGE_NUMBER_BYTES,
        len("n0/1"),
        RANGE_BYTES + len("n0/1"),
        2 * RANGE_BYTES + 2 + 1,
        0,
        2 + 1,
        2 * PAGE_NUMBER_BYTES + 2 + 1,
    ]


@pytest.mark.parametrize("operation", EVERY_OPERATION, ids=lambda each: type(each).__name__)
def test_size_of_an_operation_is_not_below_its_stored_form(operation: Operation) -> None:
    assert len(msgspec.msgpack.encode(operation)) <= operation_size(operation)


def test_size_of_a_submission_is_the_sum_of_its_operations() -> None:
    each = map(operation_size, EVERY_OPERATION)
    assert submission(*EVERY_OPERATION).size_bytes == sum(each)

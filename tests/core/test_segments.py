"""Segments: T1, and pages that end where their format says."""

import pytest
from msgspec.structs import replace

from tidings.core.blob_numbers import data_blob
from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import Append, BlobRange, InBlob, MarkPagesDurable, ReserveBlobs
from tidings.core.pages import PageFormat
from tidings.core.segments import inline_places, move_to_segment
from tidings.core.state import State
from tidings.types import Slot

from .building import (
    A,
    B,
    apply,
    batch,
    create,
    fold,
    fold_until,
    read_index,
    section_of,
    submission,
)

FORMAT = PageFormat(10, 1000, 1000, has_segments=True)


def state_of(page_format: PageFormat) -> State:
    state = State(page_format)
    fold(state, create("a"), create("b"))
    return state


def test_page_ends_with_the_slot_that_fills_it() -> None:
    state = state_of(PageFormat(5, 4, 10, has_segments=False))
    ends = []
    for data in (b"x", b"x", b"x", b"x", b"", b"", b"", b"", b"1234567890", b"", b"x"):
        fold(state, batch(data=data))
        if state.is_at_page_boundary:
            ends.append(state.next_slot)
    # Five slots (the first created the topics), four batches, ten bytes.
    assert ends == [5, 9, 10]
    assert [page.end_slot for page in state.unwritten.values()] == ends
    assert (state.open_page, state.open_slot) == (3, 10)


def test_segment_holds_inline_batches_side_by_side_in_each_partition() -> None:
    state = state_of(FORMAT)
    blob = InBlob(data_blob("n0/1", 1), 5, 6)
    fold(state, ReserveBlobs(BlobRange("n0/1", 1, 2)))
    large = submission(batch(A, data=b"12"), batch(B, data=b"345"), Append(A, 1, blob))
    apply(state, replace(large, blob_number=1))
    fold(state, batch(B, data=b"6"), batch(A, data=b"7890"))
    fold_until(state, 10)
    page = state.unwritten[0]
    moved = move_to_segment(page)
    in_segment = [[entry.where for entry in section_of(moved, name).entries] for name in (A, B)]
    assert in_segment == [
        [InBlob("segment/0", 0, 2), blob, InBlob("segment/0", 2, 4)],
        [InBlob("segment/0", 6, 3), InBlob("segment/0", 9, 1)],
    ]
    assert [(place.slot, place.operation) for place in inline_places(page)] == [
        (2, 0),
        (3, 1),
        (2, 1),
        (3, 0),
    ]
    assert page.blobs == moved.blobs == ["data/n0/1/1"]


def test_t1_index_moves_to_the_segment_when_it_is_called_durable() -> None:
    state = state_of(FORMAT)
    fold(state, batch(A), batch(B), batch(A))
    fold_until(state, 10)
    fold(state, batch(A))
    before = read_index(state, {}, A)
    moved = move_to_segment(state.unwritten[0])
    assert fold(state, MarkPagesDurable(0)) is not None
    assert read_index(state, {}, A) == [*section_of(moved, A).entries, before[-1]]
    assert state.durable_slot == 10


def test_t1_restored_state_moves_the_same() -> None:
    state = state_of(FORMAT)
    fold(state, batch(A), batch(B), batch(A))
    fold_until(state, 10)
    restored = restore_checkpoint(decode_checkpoint(encode_checkpoint(take_checkpoint(state))))
    for each in (state, restored):
        fold(each, batch(A), MarkPagesDurable(0))
    assert read_index(restored, {}, A) == read_index(state, {}, A)
    assert (restored.open_page, restored.open_slot) == (1, 10)
    assert restored.page_format == FORMAT


def test_blobs_of_refused_batches_belong_to_the_page_too() -> None:
    state = state_of(FORMAT)
    fold(state, ReserveBlobs(BlobRange("n0/1", 1, 2)))
    refused = Append(A._replace(partition=9), 1, InBlob(data_blob("n0/1", 1), 0, 1))
    apply(state, replace(submission(refused), blob_number=1))
    fold_until(state, 20)
    assert state.unwritten[0].blobs == [data_blob("n0/1", 1)]
    assert state.unwritten[1].blobs == []


@pytest.mark.parametrize("slot", [1, 9, 11])
def test_c1_state_off_a_page_boundary_says_so(slot: int) -> None:
    state = state_of(FORMAT)
    fold_until(state, slot)
    assert not state.is_at_page_boundary
    assert state.open_slot == slot // 10 * 10


def test_durable_slot_of_a_state_without_durable_pages_is_zero() -> None:
    state = state_of(FORMAT)
    fold_until(state, 10)
    assert state.durable_slot == Slot(0)

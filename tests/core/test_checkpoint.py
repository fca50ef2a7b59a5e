"""Checkpoints: C1, and that going on from one is going on from the state."""

import pytest

from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import Append, CommitOffsets, Inline, MarkPagesDurable, ProducerStamp
from tidings.core.pages import PAGE_SLOTS, covers
from tidings.core.results import Done, Placed
from tidings.core.state import State
from tidings.errors import Corrupt
from tidings.types import Offset

from .building import (
    A,
    B,
    apply,
    batch,
    fold,
    fold_until,
    state_with_topics,
    submission,
)


def stored(state: State) -> bytes:
    return encode_checkpoint(take_checkpoint(state))


def restored(state: State) -> State:
    return restore_checkpoint(decode_checkpoint(stored(state)))


def busy_state() -> State:
    """Three pages, the first durable, records of two partitions in all kinds of places."""
    state = state_with_topics("a", "b")
    fold(state, batch(A, 2), batch(B))
    fold_until(state, PAGE_SLOTS)
    fold(state, batch(A, 3), Append(A, 1, Inline(b"y"), ProducerStamp(7, 1, 0)))
    fold(state, CommitOffsets("g", [(A, Offset(4)), (B, Offset(1))]), MarkPagesDurable(0))
    fold_until(state, 2 * PAGE_SLOTS)
    fold(state, batch(A), batch(B))
    apply(state, submission(origin="n1/1", number=9, last_slot=4 * PAGE_SLOTS))
    fold_until(state, 3 * PAGE_SLOTS)
    return state


def test_c1_checkpoint_off_a_page_boundary_is_a_bug() -> None:
    state = State()
    fold_until(state, PAGE_SLOTS + 1)
    with pytest.raises(AssertionError, match="C1"):
        take_checkpoint(state)


def test_c1_checkpoint_at_a_page_boundary_holds_every_entry_that_no_durable_page_holds() -> None:
    state = busy_state()
    checkpoint = take_checkpoint(state)
    assert [page.number for page in checkpoint.unwritten] == [1, 2]
    assert checkpoint.durable_pages == 1


def test_restored_state_is_the_state_that_was_stored() -> None:
    state = busy_state()
    again = restored(state)
    assert again.next_slot == state.next_slot
    assert again.topics == state.topics
    assert again.groups == state.groups
    assert again.origins == state.origins == {"n1/1": (9, 4 * PAGE_SLOTS)}
    assert again.unwritten == state.unwritten
    assert again.durable_pages == state.durable_pages == 1
    assert list(again.partitions) == list(state.partitions)
    for name, partition in state.partitions.items():
        assert again.partitions[name].end_offset == partition.end_offset
        assert again.partitions[name].spine == partition.spine
        assert again.partitions[name].producers.known == partition.producers.known
    assert stored(again) == stored(state)


def test_restored_state_holds_the_index_of_pages_that_are_not_durable() -> None:
    state = busy_state()
    again = restored(state)
    assert (again.partitions[A].start_offset, again.partitions[B].start_offset) == (2, 1)
    assert again.index_size == 4
    for name in (A, B):
        start = again.partitions[name].start_offset
        found = again.partitions[name].locate(covers(start), 10)
        assert found == state.partitions[name].locate(covers(start), 10)


def test_restored_state_goes_on_as_the_one_that_was_stored() -> None:
    state = busy_state()
    again = restored(state)
    for each in (state, again):
        assert fold(each, batch(A), MarkPagesDurable(1)) == [Placed(Offset(7)), Done()]
        fold_until(each, 4 * PAGE_SLOTS)
        each.prune(0)
        assert each.index_size == 3
    assert stored(again) == stored(state)


def test_checkpoint_does_not_depend_on_what_was_pruned() -> None:
    state, other = busy_state(), busy_state()
    assert other.prune(0) == 2
    assert stored(other) == stored(state)


def test_stored_checkpoint_does_not_follow_the_state() -> None:
    state = busy_state()
    data = stored(state)
    again = restore_checkpoint(decode_checkpoint(data))
    for each in (state, again):
        fold(each, batch(A), CommitOffsets("g", [(A, Offset(5))]))
    fold_until(again, 4 * PAGE_SLOTS)
    assert stored(busy_state()) == data


def test_checkpoint_of_an_empty_journal_restores() -> None:
    assert stored(restored(State())) == stored(State())


def test_decode_of_no_checkpoint_raises_corrupt() -> None:
    with pytest.raises(Corrupt):
        decode_checkpoint(b"P" + stored(State())[1:])

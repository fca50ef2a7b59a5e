"""Collecting: E1 and E2, dead pages, partitions of deleted topics, and that checkpoints know."""

import pytest

from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import (
    DeleteRecords,
    DeleteTopic,
    ForgetPages,
    MarkPagesDurable,
    ReleaseSections,
)
from tidings.core.pages import IN_PLACE, PageFormat
from tidings.core.results import Done, Reason, Refused
from tidings.core.state import State
from tidings.types import Offset, TopicPartition

from .building import A, B, batch, create, fold, fold_until, topic_id_of

FORMAT = PageFormat(10, 1000, 1000, has_segments=True)
INVALID = Refused(Reason.INVALID)
UNCHANGED = Done(changed=False)


def release(
    start: int, end: int, *pages: int, name: TopicPartition = A, condemned: int = -1
) -> ReleaseSections:
    return ReleaseSections(
        name, topic_id_of(name.topic), condemned, Offset(start), Offset(end), list(pages)
    )


def three_pages() -> State:
    """Pages 0 and 1 with two batches of `a`, page 0 with one of `b`, and page 2 with none."""
    state = State(FORMAT)
    fold(state, create("a"), create("b"))
    fold(state, batch(A), batch(A), batch(B))
    fold_until(state, 10)
    fold(state, batch(A), batch(A))
    fold_until(state, 30)
    return state


def delete_records(state: State, before: int) -> None:
    fold(state, DeleteRecords(A, Offset(before), before, topic_id_of("a")))


def test_sections_are_counted_and_an_empty_page_is_dead_at_once() -> None:
    state = three_pages()
    assert state.collection.live_sections == {0: 2, 1: 1}
    assert state.collection.dead_pages == [2]


def test_nothing_is_counted_where_nothing_can_be_deleted() -> None:
    state = State(IN_PLACE)
    fold(state, create("a"), batch(A))
    fold_until(state, 256)
    fold(state, DeleteTopic("a"))
    assert state.collection == State().collection


def test_page_is_dead_once_all_its_sections_are_released() -> None:
    state = three_pages()
    delete_records(state, 4)
    assert fold(state, release(0, 4, 0, 1)) == [Done()]
    assert state.collection.live_sections == {0: 1}
    assert state.collection.dead_pages == [2, 1]
    assert state.partitions[A].collected_offset == 4
    assert state.partitions[A].spine == ()


def test_e1_release_that_comes_again_changes_nothing() -> None:
    state = three_pages()
    delete_records(state, 4)
    assert fold(state, release(0, 2, 0), release(0, 2, 0)) == [Done(), UNCHANGED]
    assert fold(state, release(0, 4, 0, 1), release(2, 4, 1)) == [UNCHANGED, Done()]
    assert state.collection.live_sections == {0: 1}


@pytest.mark.parametrize(
    "operation",
    [
        release(0, 4, 0, 1),
        release(0, 3, 0, 1),
        release(0, 0),
        release(0, 2, 0, 0),
        release(0, 2, 1, 0),
        release(0, 2, 7),
    ],
    ids=repr,
)
def test_e2_release_of_what_is_alive_is_refused(operation: ReleaseSections) -> None:
    state = three_pages()
    delete_records(state, 2)
    assert fold(state, operation) == [INVALID]
    assert state.collection.live_sections == {0: 2, 1: 1}


def test_e2_records_of_the_open_page_are_never_released() -> None:
    state = three_pages()
    fold(state, batch(A))
    delete_records(state, 5)
    assert state.partitions[A].dead_offset == 4
    assert fold(state, release(0, 5, 0, 1)) == [INVALID]


def test_release_for_a_topic_that_was_created_again_changes_nothing() -> None:
    state = three_pages()
    fold(state, DeleteTopic("a"))
    other = ReleaseSections(A, topic_id_of("a"), -1, Offset(0), Offset(2), [0])
    fold(state, create("b"))
    assert fold(state, other) == [UNCHANGED]


def test_sections_of_a_deleted_topic_are_released_part_by_part() -> None:
    state = three_pages()
    delete_records(state, 1)
    fold(state, DeleteTopic("a"), DeleteTopic("b"))
    assert [gone.name for gone in state.collection.condemned.values()] == [A, B]
    assert fold(state, release(0, 2, 0, condemned=0)) == [Done()]
    assert state.collection.condemned[0].collected_offset == 2
    assert fold(state, release(2, 5, 1, condemned=0)) == [INVALID]
    assert fold(state, release(2, 4, 1, condemned=0)) == [Done()]
    assert fold(state, release(0, 1, 0, name=B, condemned=1)) == [Done()]
    assert state.collection.condemned == {}
    assert state.collection.dead_pages == [2, 1, 0]
    assert fold(state, release(0, 2, 0, condemned=0)) == [UNCHANGED]


def test_deleted_topic_whose_sections_were_all_released_is_not_condemned() -> None:
    state = three_pages()
    delete_records(state, 4)
    fold(state, release(0, 4, 0, 1), DeleteTopic("a"))
    assert state.collection.condemned == {}


def test_forgotten_pages_are_gone() -> None:
    state = three_pages()
    assert fold(state, ForgetPages([0, 2, 9]), ForgetPages([2])) == [Done(), UNCHANGED]
    assert state.collection.dead_pages == []
    assert state.collection.live_sections == {0: 2, 1: 1}


def test_restored_state_goes_on_collecting() -> None:
    state = three_pages()
    delete_records(state, 2)
    fold(state, release(0, 2, 0), MarkPagesDurable(2), DeleteTopic("b"))
    fold_until(state, 40)
    stored = encode_checkpoint(take_checkpoint(state))
    restored = restore_checkpoint(decode_checkpoint(stored))
    assert restored.collection == state.collection
    for each in (state, restored):
        delete_records(each, 4)
        assert fold(each, release(2, 4, 1), release(0, 1, 0, name=B, condemned=0)) == [
            Done(),
            Done(),
        ]
        assert sorted(each.collection.dead_pages) == [0, 1, 2, 3]

"""The fold, case by case: F1 to F4, pages and pruning, and what no entry may do to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import (
    Append,
    CommitOffsets,
    CreatePartitions,
    CreateTopic,
    DeleteRecords,
    DeleteTopic,
    Entry,
    InBlob,
    Inline,
    MarkPagesDurable,
    Operation,
    ProducerStamp,
    SaveGroup,
    decode_entry,
    encode_entry,
)
from tidings.core.limits import SUBMISSION_SLOTS_MAX
from tidings.core.pages import PAGE_SLOTS, IndexEntry, InEntry, Page, decode_page, encode_page
from tidings.core.results import Done, Placed, Reason, Refused
from tidings.core.state import PRODUCER_IDLE_MS_MAX, State
from tidings.types import Offset, Slot, TopicPartition

from .building import (
    EMPTY,
    A,
    B,
    apply,
    batch,
    create,
    fold,
    fold_until,
    read_index,
    section_of,
    state_with_topics,
    submission,
    topic_id_of,
)
from .test_entry import any_int, any_name

UNKNOWN = Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
INVALID = Refused(Reason.INVALID)


def commit(*offsets: tuple[TopicPartition, int], back: bool = False) -> CommitOffsets:
    return CommitOffsets("g", [(name, Offset(offset)) for name, offset in offsets], back)


# Entries and submissions ------------------------------------------------------------------------


def test_f1_entry_of_another_slot_than_the_next_is_a_bug() -> None:
    state = State()
    state.apply(Slot(0), EMPTY)
    for slot in (0, 2):
        with pytest.raises(AssertionError, match="F1"):
            state.apply(Slot(slot), EMPTY)


def test_results_come_in_the_order_of_operations_and_submissions() -> None:
    state = State()
    one = submission(create("a", 1), batch(count=2), origin="n0/1")
    other = submission(batch(B), batch(), origin="n1/1")
    assert state.apply(Slot(0), Entry("n0/1", 0, [one, other])) == [
        (one, [Done(), Placed(Offset(0))]),
        (other, [UNKNOWN, Placed(Offset(2))]),
    ]


def test_f2_submission_that_comes_again_is_dropped() -> None:
    state = state_with_topics("a")
    again = submission(batch())
    assert apply(state, again, again) == [[Placed(Offset(0))], None]
    assert apply(state, again) == [None]
    assert state.end_offset(A) == 1


def test_f2_submission_with_an_older_number_is_dropped() -> None:
    state = state_with_topics("a")
    assert apply(state, submission(batch(), number=3)) == [[Placed(Offset(0))]]
    assert apply(state, submission(batch(), number=2)) == [None]
    assert apply(state, submission(batch(), number=4)) == [[Placed(Offset(1))]]


def test_f2_numbers_of_other_origins_do_not_matter() -> None:
    state = state_with_topics("a")
    apply(state, submission(batch(), number=3))
    other = submission(batch(), origin="n0/2", number=1)
    assert apply(state, other) == [[Placed(Offset(1))]]


def test_f2_submission_is_applied_up_to_its_last_slot() -> None:
    state = state_with_topics("a")
    fold_until(state, 10)
    assert apply(state, submission(batch(), number=1, last_slot=10)) == [[Placed(Offset(0))]]
    assert apply(state, submission(batch(), number=2, last_slot=10)) == [None]
    assert not state.is_settled("n0/1", 2)


def test_f2_submission_is_not_applied_long_before_its_last_slot() -> None:
    state = state_with_topics("a")
    last_slot = SUBMISSION_SLOTS_MAX + 2
    assert apply(state, submission(batch(), last_slot=last_slot)) == [None]
    assert apply(state, submission(batch(), last_slot=last_slot)) == [[Placed(Offset(0))]]


def test_f2_submission_is_dropped_after_its_origin_was_forgotten() -> None:
    state = state_with_topics("a")
    early = submission(batch(), last_slot=5)
    apply(state, early)
    fold_until(state, PAGE_SLOTS)
    assert "n0/1" not in state.origins
    assert apply(state, early) == [None]


def test_f2_origin_whose_last_slots_go_down_cannot_be_applied_twice() -> None:
    state = state_with_topics("a")
    first = submission(batch(), number=1, last_slot=PAGE_SLOTS + 9)
    apply(state, first)
    apply(state, submission(batch(), number=2, last_slot=5))
    fold_until(state, PAGE_SLOTS)
    assert apply(state, first) == [None]


def test_is_settled_after_this_number_or_a_later_one_was_applied() -> None:
    state = State()
    assert not state.is_settled("n0/1", 1)
    apply(state, submission(number=2))
    assert state.is_settled("n0/1", 1)
    assert state.is_settled("n0/1", 2)
    assert not state.is_settled("n0/1", 3)


def test_origins_in_memory_are_those_of_the_last_slots() -> None:
    state = State()
    for number in range(4 * PAGE_SLOTS):
        slot = state.next_slot
        apply(state, submission(origin=f"n{number}", last_slot=slot + 2**60))
        apply(state, submission(origin=f"n{number}", last_slot=slot + 10))
    assert state.next_slot % PAGE_SLOTS == 0
    assert len(state.origins) == 5


# Topics and appends -----------------------------------------------------------------------------


def test_create_makes_partitions_from_zero_on() -> None:
    state = State()
    assert fold(state, create("a", 2)) == [Done()]
    found = [state.has_partition(TopicPartition("a", number)) for number in (-1, 0, 1, 2)]
    assert found == [False, True, True, False]
    assert not state.has_partition(B)


def test_create_of_a_topic_that_exists_changes_nothing() -> None:
    state = State()
    assert fold(state, create("a", 2), create("a", 3)) == [Done(), Done(changed=False)]
    assert state.topics["a"].partition_count == 2


def test_append_gives_dense_offsets_in_each_partition() -> None:
    state = state_with_topics("a", "b")
    placed = fold(state, batch(A, 3), batch(B), batch(A))
    assert placed == [Placed(Offset(0)), Placed(Offset(0)), Placed(Offset(3))]
    assert (state.end_offset(A), state.end_offset(B)) == (4, 1)


def test_end_offset_of_a_partition_without_records_is_zero() -> None:
    assert state_with_topics("a").end_offset(A) == 0


@pytest.mark.parametrize("name", [B, TopicPartition("a", 1), TopicPartition("a", -1)])
def test_append_to_an_unknown_partition_is_refused(name: TopicPartition) -> None:
    state = state_with_topics("a")
    assert fold(state, batch(name)) == [UNKNOWN]
    assert state.partitions == {}


def test_f4_index_says_where_in_the_journal_each_batch_is() -> None:
    state = state_with_topics("a")
    blob = InBlob("data/n0/1", 5, 6)
    apply(
        state,
        submission(batch(B), batch(A, 2, b"xyz"), origin="n1/1"),
        submission(batch(B), origin="n2/1"),
        submission(batch(A, 0), Append(A, 4, blob), batch(A), origin="n3/1"),
        ms=77,
    )
    assert read_index(state, {}, A) == [
        IndexEntry(Offset(0), Offset(1), 77, InEntry(Slot(1), 0, 1, 3), 77, 77, 3),
        IndexEntry(Offset(2), Offset(5), 77, blob, 77, 77, 9),
        IndexEntry(Offset(6), Offset(6), 77, InEntry(Slot(1), 2, 2, 1), 77, 77, 10),
    ]
    assert state.index_size == 3


def stamped(sequence: int, epoch: int = 0, name: TopicPartition = A) -> Append:
    return Append(name, 2, Inline(b""), ProducerStamp(7, epoch, sequence))


def test_r1_batch_that_a_producer_repeats_gets_the_offset_it_has() -> None:
    state = state_with_topics("a", "b")
    fold(state, batch(), stamped(0))
    assert fold(state, stamped(0)) == [Placed(Offset(1), duplicate=True)]
    assert state.end_offset(A) == 3
    assert state.index_size == 2
    assert fold(state, stamped(0, name=B)) == [Placed(Offset(0))]


def test_r2_and_r3_batches_that_do_not_fit_are_refused() -> None:
    state = state_with_topics("a")
    fold(state, stamped(0, epoch=1))
    assert fold(state, stamped(3, epoch=1)) == [Refused(Reason.OUT_OF_ORDER_SEQUENCE)]
    assert fold(state, stamped(0, epoch=0)) == [Refused(Reason.FENCED)]
    assert state.end_offset(A) == 2


def test_producer_idle_for_too_long_is_forgotten_when_a_page_is_sealed() -> None:
    state = state_with_topics("a")
    fold(state, stamped(0), ms=1000)
    fold_until(state, PAGE_SLOTS, ms=1000 + PRODUCER_IDLE_MS_MAX)
    assert fold(state, stamped(0)) == [Placed(Offset(0), duplicate=True)]
    fold_until(state, 2 * PAGE_SLOTS - 1)
    fold(state, batch(), ms=1001 + PRODUCER_IDLE_MS_MAX)
    assert fold(state, stamped(0)) == [Placed(Offset(3))]


# Committed offsets ------------------------------------------------------------------------------


def test_commit_sets_the_offsets_of_its_group() -> None:
    state = state_with_topics("a", "b")
    assert fold(state, commit((A, 3), (B, 0))) == [Done()]
    assert state.committed_offset("g", A) == 3
    assert state.committed_offset("g", B) == 0
    assert state.committed_offset("other", A) is None


def test_f3_committed_offset_does_not_go_back() -> None:
    state = state_with_topics("a", "b")
    fold(state, commit((A, 3)))
    assert fold(state, commit((A, 2))) == [Done(changed=False)]
    assert fold(state, commit((A, 3))) == [Done(changed=False)]
    assert fold(state, commit((A, 2), (B, 1))) == [Done()]
    assert state.committed_offset("g", A) == 3
    assert state.committed_offset("g", B) == 1


def test_f3_committed_offset_goes_back_when_asked_to() -> None:
    state = state_with_topics("a")
    fold(state, commit((A, 3)))
    assert fold(state, commit((A, 1), back=True)) == [Done()]
    assert state.committed_offset("g", A) == 1
    assert fold(state, commit((A, 1), back=True)) == [Done(changed=False)]


def test_commit_that_names_a_partition_twice_takes_both_in_order() -> None:
    state = state_with_topics("a")
    fold(state, commit((A, 5), (A, 3)))
    assert state.committed_offset("g", A) == 5
    fold(state, commit((A, 5), (A, 3), back=True))
    assert state.committed_offset("g", A) == 3


@pytest.mark.parametrize("bad", [(B, 1), (TopicPartition("a", 1), 1)])
def test_commit_with_an_unknown_partition_commits_nothing(bad: tuple[TopicPartition, int]) -> None:
    state = state_with_topics("a")
    assert fold(state, commit((A, 3), bad)) == [UNKNOWN]
    assert state.groups == {}


def test_commit_of_nothing_makes_no_group() -> None:
    state = State()
    assert fold(state, commit()) == [Done(changed=False)]
    assert state.groups == {}


# Pages and pruning ------------------------------------------------------------------------------


def test_page_is_sealed_with_its_last_slot_and_holds_what_came_in_its_slots() -> None:
    state = state_with_topics("a", "b")
    fold(state, batch(B))
    fold(state, batch(A, 2))
    fold_until(state, PAGE_SLOTS - 1)
    assert state.unwritten == {}
    fold(state, batch(B))
    assert list(state.unwritten) == [0]
    page = state.unwritten[0]
    assert [part.partition for part in page.sections] == [B, A]
    assert section_of(page, A).entries == read_index(state, {}, A)
    assert section_of(page, B).entries == read_index(state, {}, B)


def test_page_without_records_has_no_sections() -> None:
    state = state_with_topics("a")
    fold(state, batch())
    fold_until(state, 2 * PAGE_SLOTS)
    assert state.unwritten[1] == Page(1, Slot(2 * PAGE_SLOTS), [], [])


@pytest.mark.parametrize(
    ("slot", "page"),
    [
        (0, 0),
        (1, 0),
        (PAGE_SLOTS - 1, 0),
        (PAGE_SLOTS, 1),
        (PAGE_SLOTS + 1, 1),
        (PAGE_SLOTS, 2**60),
    ],
)
def test_mark_of_a_page_that_is_not_sealed_is_refused(slot: int, page: int) -> None:
    state = State()
    fold_until(state, slot)
    assert fold(state, MarkPagesDurable(page)) == [INVALID]
    fold_until(state, 3 * PAGE_SLOTS)
    assert list(state.unwritten) == [0, 1, 2]


def test_mark_covers_all_pages_up_to_it_once() -> None:
    state = State()
    fold_until(state, 3 * PAGE_SLOTS)
    assert fold(state, MarkPagesDurable(1)) == [Done()]
    assert list(state.unwritten) == [2]
    assert state.durable_pages == 2
    again = fold(state, MarkPagesDurable(0), MarkPagesDurable(1), MarkPagesDurable(2))
    assert again == [Done(changed=False), Done(changed=False), Done()]


def state_with_sealed_batches() -> tuple[State, dict[int, Page]]:
    """Ten batches in each of two partitions and another in `a`, not yet sealed."""
    state = state_with_topics("a", "b")
    for _ in range(10):
        fold(state, batch(A), batch(B))
    fold_until(state, PAGE_SLOTS)
    pages = dict(state.unwritten)
    fold(state, batch(A))
    return state, pages


def test_p3_prune_drops_nothing_before_pages_are_durable() -> None:
    state, _ = state_with_sealed_batches()
    fold(state, commit((A, 5)))
    assert state.prune(0) == 0
    assert state.index_size == 21


def test_prune_drops_what_lies_below_the_lowest_committed_offset() -> None:
    state, pages = state_with_sealed_batches()
    whole = read_index(state, {}, A)
    other = CommitOffsets("other", [(A, Offset(3))])
    fold(state, commit((A, 5)), other, MarkPagesDurable(0))
    assert state.prune(100) == 3
    assert state.prune(100) == 0
    assert state.index_size == 18
    assert state.partitions[A].start_offset == 3
    assert state.partitions[B].start_offset == 0
    assert read_index(state, pages, A) == whole


def test_prune_keeps_what_lies_above_though_more_is_committed_than_appended() -> None:
    state, pages = state_with_sealed_batches()
    whole = read_index(state, {}, A)
    fold(state, commit((A, 1000)), MarkPagesDurable(0))
    assert state.prune(100) == 10
    assert state.partitions[A].start_offset == 10
    assert read_index(state, pages, A) == whole


def test_prune_under_pressure_drops_durable_entries_that_nobody_committed() -> None:
    state, pages = state_with_sealed_batches()
    before = {name: read_index(state, {}, name) for name in (A, B)}
    fold(state, MarkPagesDurable(0))
    assert state.prune(15) == 10
    assert state.prune(0) == 10
    assert state.prune(0) == 0
    assert state.index_size == 1
    assert {name: read_index(state, pages, name) for name in (A, B)} == before


# What no entry may do ---------------------------------------------------------------------------

hostile_int = st.sampled_from(
    [-(2**63), -(2**31), -1, 0, 1, 2, 255, 256, 300, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1]
)
hostile_name = st.sampled_from([A, B]) | any_name
hostile_operation: st.SearchStrategy[Operation] = st.one_of(
    st.builds(
        Append,
        hostile_name,
        hostile_int,
        st.just(Inline(b"")) | st.builds(InBlob, st.just(""), hostile_int, hostile_int),
        st.none() | st.builds(ProducerStamp, st.just(7) | hostile_int, hostile_int, hostile_int),
    ),
    st.builds(
        CreateTopic,
        st.sampled_from(["", "a", "c"]),
        hostile_int,
        st.sampled_from([b"", topic_id_of("a"), topic_id_of("c")]),
    ),
    st.builds(DeleteTopic, st.sampled_from(["", "a"])),
    st.builds(CreatePartitions, st.sampled_from(["", "a"]), hostile_int),
    st.builds(
        DeleteRecords, hostile_name, hostile_int.map(Offset), hostile_int, st.just(topic_id_of("a"))
    ),
    st.builds(SaveGroup, st.just("g"), hostile_int, st.just(b"x")),
    st.builds(
        CommitOffsets,
        st.sampled_from(["", "g"]),
        st.lists(st.tuples(hostile_name, hostile_int.map(Offset)), max_size=3),
        st.booleans(),
    ),
    st.builds(MarkPagesDurable, hostile_int),
)
hostile_entry = st.builds(
    Entry,
    st.just("n0/1"),
    any_int,
    st.lists(
        st.builds(
            submission,
            hostile_operation,
            hostile_operation,
            origin=st.sampled_from(["", "n0/1"]),
            number=hostile_int,
            last_slot=hostile_int,
        ),
        max_size=3,
    ),
)


@settings(max_examples=300)
@given(
    st.sampled_from([2, PAGE_SLOTS - 1, PAGE_SLOTS, PAGE_SLOTS + 1, 2 * PAGE_SLOTS]),
    st.lists(hostile_entry, min_size=1, max_size=4),
)
def test_any_entry_that_decodes_can_be_folded_and_stored(slot: int, entries: list[Entry]) -> None:
    state = state_with_topics("a", "b")
    fold(state, batch(), stamped(0))
    fold_until(state, slot)
    for entry in entries:
        state.apply(state.next_slot, decode_entry(encode_entry(entry)))
    fold_until(state, 3 * PAGE_SLOTS)
    for page in state.unwritten.values():
        assert decode_page(encode_page(page)) == page
    data = encode_checkpoint(take_checkpoint(state))
    restored = restore_checkpoint(decode_checkpoint(data))
    assert encode_checkpoint(take_checkpoint(restored)) == data


@pytest.mark.parametrize(
    "operation",
    [
        batch(count=0),
        Append(A, 1, InBlob("", -1, 5)),
        create("c", 0),
        commit((A, -1)),
        MarkPagesDurable(-1),
        MarkPagesDurable(0),
    ],
    ids=repr,
)
def test_operation_that_makes_no_sense_is_refused(operation: Operation) -> None:
    state = state_with_topics("a")
    assert fold(state, operation) == [INVALID]


def test_append_beyond_the_largest_offset_is_refused() -> None:
    state = state_with_topics("a")
    fold(state, batch(count=5))
    # Four thousand million full batches later.
    state.partitions[A].end_offset = Offset(2**63 - 3)
    state.partitions[A].entries.clear()
    assert fold(state, batch(count=3)) == [INVALID]
    assert fold(state, batch(count=2)) == [Placed(Offset(2**63 - 3))]
    assert fold(state, batch(count=1)) == [INVALID]

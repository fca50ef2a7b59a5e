"""Topics: creating, deleting, growing and changing them, and what deleting takes along."""

import pytest

from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import (
    AllocateProducerId,
    AlterTopic,
    Append,
    CommitOffsets,
    CreatePartitions,
    CreateTopic,
    DeleteRecords,
    DeleteTopic,
    InBlob,
    MarkPagesDurable,
    ProducerStamp,
)
from tidings.core.pages import PAGE_SLOTS
from tidings.core.results import (
    Done,
    Placed,
    ProducerIdAllocated,
    Reason,
    RecordsDeleted,
    Refused,
)
from tidings.core.state import State
from tidings.types import Offset, TopicPartition

from .building import (
    A,
    B,
    batch,
    create,
    fold,
    fold_until,
    read_index,
    section_of,
    state_with_topics,
    topic_id_of,
)

UNKNOWN = Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
INVALID = Refused(Reason.INVALID)


def delete_records(name: TopicPartition, before: int, before_bytes: int = 0) -> DeleteRecords:
    return DeleteRecords(name, Offset(before), before_bytes, topic_id_of(name.topic))


def test_topic_is_found_by_its_name_and_its_id() -> None:
    state = State()
    fold_until(state, PAGE_SLOTS + 3)
    fold(state, CreateTopic("a", 2, topic_id_of("a"), {"retention.ms": "7"}))
    topic = state.topics["a"]
    assert (topic.partition_count, topic.configs) == (2, {"retention.ms": "7"})
    assert (topic.created_slot, topic.created_page) == (PAGE_SLOTS + 3, 1)
    assert state.topic_ids == {topic_id_of("a"): "a"}


def test_create_with_an_id_that_is_taken_is_refused() -> None:
    state = state_with_topics("a")
    assert fold(state, CreateTopic("b", 1, topic_id_of("a"))) == [INVALID]
    assert list(state.topics) == ["a"]


def test_create_partitions_adds_to_those_that_are_there() -> None:
    state = state_with_topics("a")
    fold(state, batch())
    assert fold(state, CreatePartitions("a", 3)) == [Done()]
    assert state.has_partition(TopicPartition("a", 2))
    assert fold(state, batch(TopicPartition("a", 2)), batch()) == [
        Placed(Offset(0)),
        Placed(Offset(1)),
    ]


@pytest.mark.parametrize("count", [-1, 0, 1, 2])
def test_create_partitions_that_adds_none_is_refused(count: int) -> None:
    state = State()
    fold(state, create("a", 2))
    assert fold(state, CreatePartitions("a", count)) == [INVALID]


def test_alter_sets_and_removes_configs() -> None:
    state = State()
    fold(state, CreateTopic("a", 1, topic_id_of("a"), {"x": "1", "y": "2"}))
    change = AlterTopic("a", {"x": None, "y": "3", "z": "4", "unset": None})
    assert fold(state, change, change) == [Done(), Done(changed=False)]
    assert state.topics["a"].configs == {"y": "3", "z": "4"}


@pytest.mark.parametrize(
    "operation",
    [DeleteTopic("b"), CreatePartitions("b", 2), AlterTopic("b", {}), delete_records(B, 0)],
    ids=repr,
)
def test_change_of_an_unknown_topic_is_refused(
    operation: DeleteTopic | CreatePartitions | AlterTopic | DeleteRecords,
) -> None:
    assert fold(state_with_topics("a"), operation) == [UNKNOWN]


# Deleting ---------------------------------------------------------------------------------------


def test_deleted_topic_is_gone_with_all_that_is_known_of_it() -> None:
    state = state_with_topics("a", "b")
    fold(state, batch(A), batch(B))
    fold(state, CommitOffsets("g", [(A, Offset(1)), (B, Offset(1))]))
    assert fold(state, DeleteTopic("a"), batch(A)) == [Done(), UNKNOWN]
    assert list(state.topics) == list(state.topic_ids.values()) == ["b"]
    assert list(state.partitions) == [B]
    assert state.index_size == 1
    assert state.committed_offset("g", A) is None
    assert state.committed_offset("g", B) == 1


def test_topic_created_again_begins_at_zero_and_sees_nothing_of_the_old() -> None:
    state = state_with_topics("a")
    stamp = ProducerStamp(7, 0, 0)
    placed = Append(A, 5, InBlob("data/n0/1", 0, 9), stamp)
    fold(state, placed)
    fold(state, DeleteTopic("a"), create("a"))
    assert fold(state, placed) == [Placed(Offset(0))]
    assert state.partitions[A].size_bytes == 9


def test_page_holds_only_what_was_there_when_it_was_sealed() -> None:
    state = state_with_topics("a", "b")
    fold(state, batch(A, 5), batch(B))
    fold(state, DeleteTopic("a"), DeleteTopic("b"), create("a"))
    fold(state, batch(A, 2))
    fold_until(state, PAGE_SLOTS)
    assert [part.partition for part in state.unwritten[0].sections] == [A]
    assert section_of(state.unwritten[0], A).entries == read_index(state, {}, A)


def test_page_of_a_topic_that_was_deleted_meanwhile_becomes_durable() -> None:
    state = state_with_topics("a", "b")
    fold(state, batch(A), batch(B))
    fold_until(state, PAGE_SLOTS)
    fold(state, DeleteTopic("a"), DeleteTopic("b"), create("a"))
    fold(state, batch(A))
    assert fold(state, MarkPagesDurable(0)) == [Done()]
    assert state.prune(0) == 0
    assert state.index_size == 1
    assert state.partitions[A].durable_offset == 0


@pytest.mark.parametrize("created_again", ["never", "in the same page", "in the next page"])
def test_checkpoint_with_pages_of_a_deleted_topic_restores_nothing_of_it(
    created_again: str,
) -> None:
    state = state_with_topics("a")
    fold(state, batch(A, 5))
    if created_again == "in the same page":
        fold(state, DeleteTopic("a"), create("a"))
        fold(state, batch(A))
    fold_until(state, PAGE_SLOTS)
    if created_again == "never":
        fold(state, DeleteTopic("a"))
    if created_again == "in the next page":
        fold(state, DeleteTopic("a"), create("a"))
        fold(state, batch(A))
    fold_until(state, 2 * PAGE_SLOTS)
    restored = restore_checkpoint(take_checkpoint(state))
    assert restored.index_size == state.index_size == (0 if created_again == "never" else 1)
    assert read_index(restored, {}, A) == read_index(state, {}, A)


# Deleting records -------------------------------------------------------------------------------


def test_delete_records_moves_the_log_start_offset_forward_only() -> None:
    state = state_with_topics("a")
    fold(state, batch(count=2, data=b"xx"), batch(count=2, data=b"yyy"))
    assert fold(state, delete_records(A, 2, 2)) == [RecordsDeleted(Offset(2))]
    assert fold(state, delete_records(A, 1, 0)) == [RecordsDeleted(Offset(2))]
    assert state.log_start_offset(A) == 2
    assert state.partitions[A].size_bytes == 3
    assert fold(state, delete_records(A, 4, 5)) == [RecordsDeleted(Offset(4))]
    assert fold(state, batch()) == [Placed(Offset(4))]


def test_delete_records_beyond_the_end_is_refused() -> None:
    state = state_with_topics("a", "b")
    fold(state, batch(count=2))
    beyond = Refused(Reason.OFFSET_OUT_OF_RANGE)
    assert fold(state, delete_records(A, 3), delete_records(B, 1)) == [beyond, beyond]
    assert state.log_start_offset(A) == 0


def test_delete_records_of_an_empty_partition_changes_nothing() -> None:
    state = state_with_topics("a")
    assert fold(state, delete_records(A, 0)) == [RecordsDeleted(Offset(0))]
    assert state.log_start_offset(A) == 0
    assert state.partitions == {}


def test_delete_records_of_a_topic_that_was_created_again_is_refused() -> None:
    state = state_with_topics("a")
    fold(state, DeleteTopic("a"), CreateTopic("a", 1, topic_id_of("other")), batch())
    assert fold(state, delete_records(A, 1)) == [UNKNOWN]
    assert state.log_start_offset(A) == 0


def test_prune_drops_durable_entries_below_the_log_start_offset() -> None:
    state = state_with_topics("a")
    fold(state, batch(), batch(), batch())
    fold_until(state, PAGE_SLOTS)
    fold(state, delete_records(A, 2, 2))
    assert state.prune(100) == 0
    fold(state, MarkPagesDurable(0))
    assert state.prune(100) == 2
    assert state.partitions[A].start_offset == 2


def test_restored_state_knows_log_start_offsets_and_sizes() -> None:
    state = state_with_topics("a")
    fold(state, batch(count=2, data=b"xx"), batch(count=2, data=b"yyy"), delete_records(A, 2, 2))
    fold(state, AllocateProducerId())
    fold_until(state, PAGE_SLOTS)
    restored = restore_checkpoint(decode_checkpoint(encode_checkpoint(take_checkpoint(state))))
    for each in (state, restored):
        assert each.log_start_offset(A) == 2
        assert each.partitions[A].size_bytes == 3
        assert each.partitions[A].highest_ms == 0
        assert fold(each, AllocateProducerId()) == [ProducerIdAllocated(1)]


# Producer ids -----------------------------------------------------------------------------------


def test_producer_ids_are_given_out_once() -> None:
    state = State()
    allocated = fold(state, AllocateProducerId(), AllocateProducerId())
    assert allocated == [ProducerIdAllocated(0), ProducerIdAllocated(1)]
    assert fold(state, AllocateProducerId()) == [ProducerIdAllocated(2)]

"""One partition: P1, P2, P3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.entry import InBlob
from tidings.core.pages import IndexEntry, InEntry, Section, covers, find_tree
from tidings.core.partition import START, Partition
from tidings.types import Offset, Slot

from .building import index_entry

WHERE = InEntry(Slot(0), 0, 0, 1)


def partition_with(*record_counts: int) -> Partition:
    partition = Partition()
    for count in record_counts:
        partition.append(count, 0, WHERE)
    return partition


def bounds(entries: list[IndexEntry]) -> list[tuple[int, int]]:
    return [(entry.base_offset, entry.last_offset) for entry in entries]


@given(st.lists(st.integers(1, 2**31 - 1)))
def test_p1_base_offset_of_each_batch_is_the_end_offset_before_it(counts: list[int]) -> None:
    partition = Partition()
    for count in counts:
        before = partition.end_offset
        assert partition.append(count, 0, WHERE) == before
        assert partition.end_offset == before + count


def test_append_notes_when_and_where() -> None:
    partition = Partition()
    blob = InBlob("data/n0/1", 0, 10)
    partition.append(3, 77, blob)
    assert partition.entries == [IndexEntry(START, Offset(2), 77, blob, 77, 77, 10)]


def test_locate_returns_from_the_batch_that_holds_the_offset() -> None:
    partition = partition_with(2, 3, 1)
    everything = [(0, 1), (2, 4), (5, 5)]
    starts = [0, 0, 1, 1, 1, 2]
    for offset, start in enumerate(starts):
        assert bounds(partition.locate(covers(Offset(offset)), 10)) == everything[start:]
    assert partition.locate(covers(Offset(6)), 10) == []


def test_append_adds_up_bytes_and_keeps_the_highest_timestamp() -> None:
    partition = Partition()
    partition.append(1, 50, WHERE, 70)
    partition.append(1, 51, InBlob("data/n0/1", 0, 10), 60)
    partition.append(1, 52, WHERE)
    assert [
        (entry.max_timestamp_ms, entry.highest_ms, entry.end_bytes) for entry in partition.entries
    ] == [(70, 70, 1), (60, 70, 11), (52, 70, 12)]
    assert (partition.highest_ms, partition.size_bytes) == (70, 12)


def test_p4_log_start_offset_and_size_only_move_one_way() -> None:
    partition = partition_with(2, 3, 1)
    partition.delete_records(Offset(2), 1)
    assert (partition.log_start_offset, partition.size_bytes) == (2, 2)
    partition.delete_records(Offset(1), 3)
    assert (partition.log_start_offset, partition.size_bytes) == (2, 2)
    partition.delete_records(Offset(3), 0)
    assert (partition.log_start_offset, partition.size_bytes) == (3, 2)
    partition.delete_records(Offset(6), 1000)
    assert (partition.log_start_offset, partition.size_bytes) == (6, 0)


def test_locate_returns_no_more_than_asked_for() -> None:
    assert bounds(partition_with(2, 3, 1).locate(covers(Offset(1)), 2)) == [(0, 1), (2, 4)]


def test_p2_entries_cover_start_to_end_without_a_gap() -> None:
    partition = partition_with(2, 3, 1)
    partition.seal(0)
    partition.mark_durable(0)
    partition.prune(Offset(2))
    assert (partition.start_offset, partition.end_offset) == (2, 6)
    assert bounds(partition.entries) == [(2, 4), (5, 5)]


def test_p2_entry_that_leaves_a_gap_is_a_bug() -> None:
    partition = partition_with(2)
    gap = index_entry(3)
    with pytest.raises(AssertionError, match="P2"):
        partition.restore(0, Section([gap], None, None))


def test_p2_sealing_an_empty_section_is_a_bug() -> None:
    partition = partition_with(1)
    partition.seal(0)
    with pytest.raises(AssertionError, match="P2: page 1"):
        partition.seal(1)


def test_seal_takes_what_came_since_the_page_before() -> None:
    partition = partition_with(2, 3)
    assert bounds(partition.seal(0).entries) == [(0, 1), (2, 4)]
    partition.append(1, 0, WHERE)
    assert bounds(partition.seal(4).entries) == [(5, 5)]
    tree = find_tree(partition.spine, covers(Offset(5)))
    assert tree is not None
    assert (tree.page, tree.last_offset) == (4, 5)


def test_p3_nothing_is_pruned_before_its_page_is_durable() -> None:
    partition = partition_with(1, 1)
    assert partition.prune(partition.end_offset) == 0
    partition.seal(0)
    assert partition.prune(partition.end_offset) == 0
    partition.append(1, 0, WHERE)
    partition.mark_durable(0)
    assert partition.durable_offset == 2
    assert partition.prune(partition.end_offset) == 2
    assert bounds(partition.entries) == [(2, 2)]


def test_p3_page_that_is_durable_says_nothing_of_later_pages() -> None:
    partition = partition_with(1)
    partition.seal(1)
    partition.append(1, 0, WHERE)
    partition.seal(3)
    partition.mark_durable(0)
    assert partition.durable_offset == 0
    partition.mark_durable(2)
    assert partition.durable_offset == 1
    partition.mark_durable(3)
    assert partition.durable_offset == 2


def test_prune_keeps_the_batch_that_holds_the_offset() -> None:
    partition = partition_with(2, 3, 1)
    partition.seal(0)
    partition.mark_durable(0)
    assert partition.prune(Offset(4)) == 1
    assert partition.start_offset == 2
    assert partition.prune(Offset(5)) == 1
    assert partition.prune(Offset(5)) == 0


def test_start_of_a_partition_without_entries_is_its_end() -> None:
    partition = Partition(Offset(7))
    assert partition.start_offset == partition.durable_offset == 7


def test_restore_takes_back_sections_that_are_not_durable() -> None:
    original = partition_with(2)
    original.seal(0)
    original.append(3, 0, WHERE)
    later = [original.seal(1)]
    original.append(1, 0, WHERE)
    later.append(original.seal(2))
    restored = Partition(original.end_offset, original.spine)
    for page, section in enumerate(later, 1):
        restored.restore(page, section)
    assert (restored.start_offset, restored.end_offset) == (2, 6)
    assert restored.durable_offset == 2
    restored.mark_durable(1)
    assert restored.durable_offset == 5
    restored.append(1, 0, WHERE)
    assert bounds(restored.seal(3).entries) == [(6, 6)]

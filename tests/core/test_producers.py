"""Idempotence: R1, R2, R3 and what is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.entry import ProducerStamp
from tidings.core.producers import REMEMBERED_BATCHES, PlacedBatch, Producers, Verdict
from tidings.types import Offset

LAST = 2**31 - 1


def place(
    producers: Producers,
    sequence: int,
    count: int = 1,
    *,
    offset: int = 0,
    epoch: int = 0,
    ms: int = 0,
) -> PlacedBatch | Verdict | None:
    """Offer producer 7's batch and record it if it passes."""
    stamp = ProducerStamp(7, epoch, sequence)
    verdict = producers.check(stamp, count)
    if verdict is None:
        producers.record(stamp, count, Offset(offset), ms)
    return verdict


@pytest.mark.parametrize("sequence", [0, 5, LAST])
def test_first_batch_of_an_unknown_producer_passes_with_any_sequence(sequence: int) -> None:
    assert place(Producers(), sequence) is None


def test_r1_repeated_batch_is_answered_with_the_offset_it_got() -> None:
    producers = Producers()
    place(producers, 0, 3, offset=10)
    place(producers, 3, 2, offset=20)
    assert place(producers, 0, 3) == PlacedBatch(0, 2, Offset(10))
    assert place(producers, 3, 2) == PlacedBatch(3, 4, Offset(20))


def test_r1_batch_older_than_those_remembered_is_out_of_order() -> None:
    producers = Producers()
    for sequence in range(REMEMBERED_BATCHES + 1):
        assert place(producers, sequence, offset=sequence) is None
    assert place(producers, 0) is Verdict.OUT_OF_ORDER
    assert place(producers, 1) == PlacedBatch(1, 1, Offset(1))


def test_r1_batch_with_a_placed_base_and_another_length_is_out_of_order() -> None:
    producers = Producers()
    place(producers, 0, 3)
    assert place(producers, 0, 2) is Verdict.OUT_OF_ORDER
    assert place(producers, 1, 2) is Verdict.OUT_OF_ORDER


@pytest.mark.parametrize("sequence", [2, 4, LAST])
def test_r2_batch_that_leaves_a_gap_is_out_of_order(sequence: int) -> None:
    producers = Producers()
    place(producers, 0, 3)
    assert place(producers, sequence) is Verdict.OUT_OF_ORDER
    assert place(producers, 3) is None


def test_r2_sequence_wraps_to_zero_after_its_largest_value() -> None:
    producers = Producers()
    place(producers, LAST)
    assert place(producers, 0) is None


def test_r2_batch_across_the_wrap_is_followed_by_what_comes_after_it() -> None:
    producers = Producers()
    place(producers, LAST - 1, 5, offset=3)
    assert place(producers, LAST - 1, 5) == PlacedBatch(LAST - 1, 2, Offset(3))
    assert place(producers, 4) is Verdict.OUT_OF_ORDER
    assert place(producers, 3) is None


@given(st.integers(0, LAST), st.lists(st.integers(1, LAST), min_size=1, max_size=8))
def test_r2_any_batches_in_a_row_pass_once(sequence: int, counts: list[int]) -> None:
    producers = Producers()
    for offset, count in enumerate(counts):
        assert place(producers, sequence, count, offset=offset) is None
        repeated = place(producers, sequence, count)
        assert isinstance(repeated, PlacedBatch)
        assert repeated.base_offset == offset
        sequence = (sequence + count) % 2**31


def test_r3_older_epoch_is_fenced() -> None:
    producers = Producers()
    place(producers, 0, epoch=1)
    assert place(producers, 0, epoch=0) is Verdict.FENCED
    assert place(producers, 1, epoch=1) is None


def test_r3_newer_epoch_starts_at_sequence_zero_and_forgets_the_older() -> None:
    producers = Producers()
    place(producers, 0, offset=10)
    assert place(producers, 1, epoch=1) is Verdict.OUT_OF_ORDER
    assert place(producers, 0, epoch=1, offset=20) is None
    assert place(producers, 0, epoch=1) == PlacedBatch(0, 0, Offset(20))
    assert place(producers, 1, epoch=0) is Verdict.FENCED


def test_r3_recording_an_older_epoch_is_a_bug() -> None:
    producers = Producers()
    place(producers, 0, epoch=1)
    with pytest.raises(AssertionError, match="R3"):
        producers.record(ProducerStamp(7, 0, 0), 1, Offset(0), 0)


def test_producers_are_told_apart() -> None:
    producers = Producers()
    place(producers, 0)
    assert producers.check(ProducerStamp(8, 0, 0), 1) is None


def test_forget_drops_only_producers_idle_since_before() -> None:
    producers = Producers()
    place(producers, 0, ms=100)
    producers.forget(100)
    assert place(producers, 0) == PlacedBatch(0, 0, Offset(0))
    producers.forget(101)
    assert producers.known == {}


def test_forget_goes_by_the_latest_time_though_clocks_differ() -> None:
    producers = Producers()
    place(producers, 0, ms=100)
    place(producers, 1, ms=50)
    producers.forget(100)
    assert place(producers, 1) == PlacedBatch(1, 1, Offset(0))


def test_memory_of_one_producer_is_bounded() -> None:
    producers = Producers()
    for sequence in range(100):
        place(producers, sequence)
    assert len(producers.known[7].recent) == REMEMBERED_BATCHES

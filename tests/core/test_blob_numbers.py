"""Numbers of data blobs: X1 and X2, and that checkpoints know them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.blob_numbers import (
    BLOB_RANGES_MAX,
    BlobNumbers,
    Doomed,
    Reservation,
    data_blob,
)
from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import (
    Append,
    BlobRange,
    DoomBlobs,
    ForgetBlobs,
    ForgetCheckpoints,
    InBlob,
    Inline,
    ReserveBlobs,
    Submission,
)
from tidings.core.pages import IN_PLACE, PageFormat
from tidings.core.results import Done, Placed, Reason, Refused, Result
from tidings.core.state import State
from tidings.types import Offset, Slot

from .building import A, apply, create, fold, fold_until

FORMAT = PageFormat(10, 1000, 1000, has_segments=True)
ORIGIN = "n0/1.0"
DOOMED = Refused(Reason.BLOB_DOOMED)
INVALID = Refused(Reason.INVALID)
UNCHANGED = Done(changed=False)


def numbers(first: int, end: int, origin: str = ORIGIN) -> BlobRange:
    return BlobRange(origin, first, end)


def state_with(first: int, end: int) -> State:
    """A state with a topic `a` in which numbers are reserved."""
    state = State(FORMAT)
    fold(state, create("a"), ReserveBlobs(numbers(first, end)), ms=5)
    return state


def naming(number: int, *more: Append, submission_number: int = 1) -> Submission:
    """A submission with one batch in the blob of a number, and more after it."""
    append = Append(A, 1, InBlob(data_blob(ORIGIN, number), 0, 1))
    return Submission(ORIGIN, submission_number, Slot(1000), [append, *more], number)


def name(state: State, number: int, *more: Append, submission_number: int) -> list[Result] | None:
    (results,) = apply(
        state, naming(number, *more, submission_number=submission_number), ms=state.next_slot
    )
    return results


def test_x1_blob_of_a_reserved_number_is_named_once() -> None:
    state = state_with(1, 3)
    assert name(state, 1, submission_number=1) == [Placed(Offset(0))]
    assert state.blob_numbers.reserved == {ORIGIN: Reservation(2, 3, 5)}
    assert name(state, 1, submission_number=2) == [DOOMED]
    assert name(state, 2, submission_number=3) == [Placed(Offset(1))]
    assert state.blob_numbers == BlobNumbers()


@pytest.mark.parametrize("number", [-1, 3, 4, 10])
def test_x1_blob_whose_number_is_not_reserved_is_refused_with_all_beside_it(number: int) -> None:
    state = state_with(4, 10)
    fold(state, DoomBlobs([numbers(4, 5)]))
    before = state.blob_numbers
    small = Append(A, 1, Inline(b"x"))
    assert name(state, number, small, submission_number=1) == [DOOMED, DOOMED]
    assert state.end_offset(A) == 0
    assert state.blob_numbers == before
    fold_until(state, 10)
    assert state.unwritten[0].blobs == []


def test_x1_submission_that_was_refused_is_not_applied_when_it_comes_again() -> None:
    state = state_with(1, 3)
    fold(state, DoomBlobs([numbers(1, 2)]))
    assert name(state, 1, submission_number=1) == [DOOMED]
    assert name(state, 2, submission_number=1) is None
    assert name(state, 2, submission_number=2) == [Placed(Offset(0))]


def test_x1_submission_that_comes_again_takes_nothing() -> None:
    state = state_with(1, 3)
    twice = naming(1)
    assert apply(state, twice, twice) == [[Placed(Offset(0))], None]
    late = Submission(ORIGIN, 7, Slot(0), twice.operations, 2)
    assert apply(state, late) == [None]
    assert state.blob_numbers.reserved == {ORIGIN: Reservation(2, 3, 5)}


def test_x1_operation_that_names_another_blob_than_its_submission_is_refused() -> None:
    state = state_with(1, 3)
    other = Append(A, 1, InBlob(data_blob(ORIGIN, 2), 0, 1))
    same = Append(A, 1, InBlob(data_blob(ORIGIN, 1), 1, 1))
    assert name(state, 1, other, same, submission_number=1) == [
        Placed(Offset(0)),
        INVALID,
        Placed(Offset(1)),
    ]
    assert fold(state, same) == [INVALID]
    fold_until(state, 10)
    assert state.unwritten[0].blobs == [data_blob(ORIGIN, 1)]


def test_x2_naming_a_number_dooms_those_before_it() -> None:
    state = state_with(1, 9)
    name(state, 4, submission_number=1)
    assert state.blob_numbers.reserved == {ORIGIN: Reservation(5, 9, 5)}
    assert state.blob_numbers.doomed == [Doomed(numbers(1, 4), 1)]


def test_x2_reserving_more_dooms_what_is_left() -> None:
    state = state_with(1, 9)
    assert fold(state, ReserveBlobs(numbers(9, 12)), ms=7) == [Done()]
    assert state.blob_numbers.reserved == {ORIGIN: Reservation(9, 12, 7)}
    assert state.blob_numbers.doomed == [Doomed(numbers(1, 9), 7)]


def test_reserving_what_was_reserved_is_refused() -> None:
    state = state_with(5, 9)
    for wanted in (numbers(5, 9), numbers(8, 20), numbers(1, 3)):
        assert fold(state, ReserveBlobs(wanted)) == [INVALID]
    assert state.blob_numbers == BlobNumbers({ORIGIN: Reservation(5, 9, 5)})


def test_only_what_is_still_reserved_is_doomed() -> None:
    state = state_with(1, 9)
    name(state, 1, submission_number=1)
    assert fold(state, DoomBlobs([numbers(1, 4)]), DoomBlobs([numbers(1, 4)]), ms=7) == [
        Done(),
        UNCHANGED,
    ]
    assert fold(state, DoomBlobs([numbers(1, 9, "n9/1"), numbers(1, 99)]), ms=8) == [Done()]
    assert state.blob_numbers.reserved == {}
    assert state.blob_numbers.doomed == [Doomed(numbers(2, 4), 7), Doomed(numbers(4, 9), 8)]


def test_x2_doomed_numbers_stay_until_they_are_forgotten() -> None:
    state = state_with(1, 9)
    fold(state, DoomBlobs([numbers(1, 4)]), DoomBlobs([numbers(4, 9)]))
    assert fold(state, ForgetBlobs([numbers(1, 9)])) == [UNCHANGED]
    assert fold(state, ForgetBlobs([numbers(4, 9), numbers(5, 6)])) == [Done()]
    assert [each.numbers for each in state.blob_numbers.doomed] == [numbers(1, 4)]
    assert fold(state, ForgetBlobs([numbers(1, 4)]), ForgetBlobs([numbers(1, 4)])) == [
        Done(),
        UNCHANGED,
    ]


def test_reserving_is_refused_while_too_much_waits_to_be_deleted() -> None:
    state = state_with(1, 2)
    state.blob_numbers.doomed = [Doomed(numbers(1, 2, "n9/1"), 0)] * (BLOB_RANGES_MAX - 1)
    assert fold(state, ReserveBlobs(numbers(2, 3))) == [Refused(Reason.TOO_MANY_BLOBS)]
    del state.blob_numbers.doomed[0]
    assert fold(state, ReserveBlobs(numbers(2, 3))) == [Done()]


def test_nothing_is_reserved_where_nothing_can_be_deleted() -> None:
    state = State(IN_PLACE)
    fold(state, create("a"))
    assert fold(state, ReserveBlobs(numbers(1, 3))) == [INVALID]
    blob = InBlob(data_blob(ORIGIN, 1), 0, 1)
    assert fold(state, Append(A, 1, blob)) == [Placed(Offset(0))]
    assert state.blob_numbers == BlobNumbers()


def test_restored_state_knows_the_numbers() -> None:
    state = state_with(1, 9)
    name(state, 3, submission_number=1)
    fold_until(state, 10)
    restored = restore_checkpoint(decode_checkpoint(encode_checkpoint(take_checkpoint(state))))
    assert restored.blob_numbers == state.blob_numbers != BlobNumbers()
    for each in (state, restored):
        assert name(each, 1, submission_number=2) == [DOOMED]
        assert name(each, 4, submission_number=3) == [Placed(Offset(1))]


def test_checkpoints_may_be_where_pages_end_until_they_are_forgotten() -> None:
    state = State(FORMAT)
    fold_until(state, 40)
    assert state.collection.checkpoints == [10, 20, 30, 40]
    assert fold(state, ForgetCheckpoints(Slot(21)), ForgetCheckpoints(Slot(20))) == [
        Done(),
        UNCHANGED,
    ]
    assert state.collection.checkpoints == [30, 40]


steps = st.lists(st.tuples(st.sampled_from("rndf"), st.integers(1, 12), st.integers(1, 12)))


@given(steps)
def test_x2_every_number_is_reserved_named_doomed_or_deleted(
    steps: list[tuple[str, int, int]],
) -> None:
    held = BlobNumbers()
    ever: dict[int, None] = {}
    done: dict[int, None] = {}
    for kind, first, count in steps:
        wanted = numbers(first, first + count)
        if kind == "r":
            # A lane never wants a number again.
            wanted = numbers(max(ever, default=0) + 1, max(ever, default=0) + 1 + count)
            held.reserve(wanted, 0)
            ever |= dict.fromkeys(range(wanted.first_number, wanted.end_number))
        elif kind == "n" and held.take(ORIGIN, first, 0):
            assert first not in done
            done[first] = None
        elif kind == "d":
            held.doom(DoomBlobs([wanted]), 0)
        elif kind == "f" and held.doomed:
            gone = held.doomed[first % len(held.doomed)].numbers
            held.forget(ForgetBlobs([gone]))
            done |= dict.fromkeys(range(gone.first_number, gone.end_number))
    left = [each.numbers for each in held.doomed]
    left += [
        BlobRange(ORIGIN, each.next_number, each.end_number) for each in held.reserved.values()
    ]
    known = [number for each in left for number in range(each.first_number, each.end_number)]
    assert sorted([*known, *done]) == list(ever)

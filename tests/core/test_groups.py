"""Groups: details of commits, the document that is replaced by compare-and-swap, and deleting."""

from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import (
    CommitOffsets,
    DeleteGroup,
    DeleteOffsets,
    DeleteTopic,
    Operation,
    SaveGroup,
)
from tidings.core.groups import Committed
from tidings.core.pages import PAGE_SLOTS
from tidings.core.results import Done, Reason, Refused
from tidings.core.state import State
from tidings.types import Offset

from .building import A, B, fold, fold_until, state_with_topics

FENCED = Refused(Reason.FENCED)
UNCHANGED = Done(changed=False)


def commit(offset: int, epoch: int = -1, metadata: str = "") -> CommitOffsets:
    return CommitOffsets("g", [(A, Offset(offset))], details=[(epoch, metadata)])


def committed(state: State) -> Committed:
    return state.groups["g"].committed[A]


def test_commit_keeps_the_details_and_its_time() -> None:
    state = state_with_topics("a")
    fold(state, commit(3, 7, "text"), ms=50)
    assert committed(state) == Committed(Offset(3), 7, "text", 50)


def test_commit_without_details_says_so() -> None:
    state = state_with_topics("a")
    fold(state, CommitOffsets("g", [(A, Offset(3))]), ms=50)
    assert committed(state) == Committed(Offset(3), -1, "", 50)


def test_commit_of_the_same_offset_takes_its_details_and_time() -> None:
    state = state_with_topics("a")
    fold(state, commit(3), ms=50)
    assert fold(state, commit(3, 1), commit(3, 1, "text"), ms=51) == [Done(), Done()]
    assert fold(state, commit(3, 1, "text"), ms=52) == [UNCHANGED]
    assert committed(state) == Committed(Offset(3), 1, "text", 52)


def test_f3_commit_that_would_go_back_leaves_the_details_as_well() -> None:
    state = state_with_topics("a")
    fold(state, commit(3, 1, "text"), ms=50)
    assert fold(state, commit(2, 2, "other"), ms=51) == [UNCHANGED]
    assert committed(state) == Committed(Offset(3), 1, "text", 50)


def test_document_is_replaced_only_by_the_version_that_follows() -> None:
    state = State()
    assert fold(state, SaveGroup("g", 2, b"x"), SaveGroup("g", 0, b"x")) == [FENCED, FENCED]
    assert "g" not in state.groups
    assert fold(state, SaveGroup("g", 1, b"one"), SaveGroup("g", 1, b"x")) == [Done(), FENCED]
    assert fold(state, SaveGroup("g", 2, b"two"), SaveGroup("g", 4, b"x")) == [Done(), FENCED]
    assert (state.groups["g"].version, state.groups["g"].document) == (2, b"two")


def test_delete_offsets_forgets_only_those() -> None:
    state = state_with_topics("a", "b")
    fold(state, CommitOffsets("g", [(A, Offset(1)), (B, Offset(2))]))
    assert fold(state, DeleteOffsets("g", [A]), DeleteOffsets("g", [A])) == [Done(), UNCHANGED]
    assert list(state.groups["g"].committed) == [B]
    assert fold(state, DeleteOffsets("other", [A])) == [UNCHANGED]


def test_group_of_which_nothing_is_left_is_forgotten() -> None:
    state = state_with_topics("a")
    fold(state, commit(1))
    fold(state, DeleteOffsets("g", [A]))
    assert state.groups == {}
    fold(state, commit(1))
    fold(state, DeleteTopic("a"))
    assert state.groups == {}


def test_group_with_a_document_outlives_its_offsets() -> None:
    state = state_with_topics("a")
    fold(state, commit(1), SaveGroup("g", 1, b"x"))
    fold(state, DeleteTopic("a"))
    assert state.groups["g"].committed == {}
    assert fold(state, SaveGroup("g", 2, b"y")) == [Done()]


def test_deleted_group_begins_again() -> None:
    state = state_with_topics("a")
    fold(state, commit(5), SaveGroup("g", 1, b"x"))
    assert fold(state, DeleteGroup("g"), DeleteGroup("g")) == [Done(), UNCHANGED]
    assert state.committed_offset("g", A) is None
    assert fold(state, SaveGroup("g", 1, b"x"), commit(2)) == [Done(), Done()]


def test_groups_are_stored_in_checkpoints() -> None:
    state = state_with_topics("a")
    fold(state, commit(5, 2, "text"), SaveGroup("g", 1, b"x"), ms=9)
    fold_until(state, PAGE_SLOTS)
    data = encode_checkpoint(take_checkpoint(state))
    assert restore_checkpoint(decode_checkpoint(data)).groups == state.groups


def test_what_follows_from_another_document_than_there_is_does_nothing() -> None:
    state = state_with_topics("a")
    fold(state, SaveGroup("g", 1, b"one"), commit(5), SaveGroup("g", 2, b"two"))
    known = state.groups["g"].version
    assert known == 2
    for version in (0, 1, 3):
        late: list[Operation] = [
            CommitOffsets("g", [(A, Offset(3))], may_move_back=True, version=version),
            DeleteOffsets("g", [A], version),
            DeleteGroup("g", version),
        ]
        assert fold(state, *late) == [FENCED] * 3
    assert committed(state).offset == 5
    assert state.groups["g"].document == b"two"


def test_what_follows_from_the_document_that_there_is_is_done() -> None:
    state = state_with_topics("a")
    first = CommitOffsets("g", [(A, Offset(3))], version=0)
    assert fold(state, first, SaveGroup("g", 1, b"")) == [Done(), Done()]
    second = CommitOffsets("g", [(A, Offset(4))], version=1)
    assert fold(state, second, DeleteOffsets("g", [A], 1), DeleteGroup("g", 1)) == [Done()] * 3
    assert "g" not in state.groups


def test_what_follows_from_a_document_of_a_group_that_is_gone_does_nothing() -> None:
    state = state_with_topics("a")
    assert fold(state, CommitOffsets("g", [(A, Offset(3))], version=7)) == [FENCED]
    assert state.groups == {}

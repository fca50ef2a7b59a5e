"""What the judge of simulated consumer groups takes for wrong."""

import pytest

from tidings.testing.group_judge import GroupJudge
from tidings.testing.trace import Trace


def judge() -> GroupJudge:
    return GroupJudge(Trace(is_kept=False))


def test_y1_partition_with_two_owners_in_one_generation_is_found() -> None:
    group = judge()
    group.owns("a", 1, [0, 1])
    group.owns("b", 1, [2])
    group.owns("b", 2, [0])
    with pytest.raises(AssertionError, match="Y1: b and c own partition 0 in generation 2"):
        group.owns("c", 2, [0])


def test_y2_commit_in_a_generation_after_the_next_was_given_out_is_found() -> None:
    group = judge()
    group.owns("a", 1, [0])
    group.committed("a", 1, {0: 5}, newest=1)
    # Given out while the commit was under way.
    group.owns("b", 2, [0])
    group.committed("a", 1, {0: 6}, newest=1)
    with pytest.raises(AssertionError, match="Y2: a committed in generation 1 when 2 had owners"):
        group.committed("a", 1, {0: 7}, newest=2)


def test_y3_committed_offset_that_goes_back_is_found() -> None:
    group = judge()
    group.tries({0: 7})
    group.committed("a", 1, {0: 5}, newest=1)
    floor = dict(group.known)
    group.told("a", {0: 7}, floor)
    # Asked for before that was told.
    group.told("b", {0: 5}, floor)
    with pytest.raises(AssertionError, match="Y3: b was told 5 of partition 0; 7 was committed"):
        group.told("b", {0: 5}, dict(group.known))


def test_y3_committed_offset_that_nobody_tried_is_found() -> None:
    group = judge()
    group.told("a", {0: 0}, {})
    group.tries({0: 3})
    with pytest.raises(AssertionError, match="3 is the highest that was tried"):
        group.told("a", {0: 4}, {})

"""Which member of etcd is asked next."""

import asyncio

import pytest

from tidings.stores.etcd.members import AVOID_S, PATIENCE_DOUBLINGS_MAX, SILENCE_SHARE, Members
from tidings.testing.loop import run

TIMEOUT_S = 5.0
FIRST_S = TIMEOUT_S * SILENCE_SHARE


class Time:
    """Loop time, as a test tells it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def members(time: Time) -> Members:
    return Members(3, timeout_s=TIMEOUT_S, now=time)


def silent(members: Members, time: Time, place: int) -> None:
    """Ask a member that does not answer."""
    asked_at = time()
    time.now_s += members.patience_s(place)
    members.note_silence(place, asked_at)


def test_member_that_was_silent_comes_last_for_a_while(members: Members, time: Time) -> None:
    assert members.in_order() == [0, 1, 2]
    silent(members, time, 0)
    assert members.in_order() == [1, 2, 0]
    members.move_to(1)
    silent(members, time, 1)
    assert members.in_order() == [2, 0, 1]
    members.move_to(2)
    time.now_s += AVOID_S
    assert members.in_order() == [2, 0, 1]
    members.move_on(2)
    assert members.in_order() == [0, 1, 2]


def test_members_that_were_all_silent_are_asked_again_in_turn(members: Members, time: Time) -> None:
    for place in (0, 1, 2):
        silent(members, time, place)
    assert members.in_order() == [0, 1, 2]


def test_member_that_answers_is_not_avoided(members: Members, time: Time) -> None:
    silent(members, time, 0)
    members.note_answer(0, time())
    assert members.in_order() == [0, 1, 2]


def test_silence_of_many_calls_of_one_moment_counts_once(members: Members, time: Time) -> None:
    asked_at = time()
    time.now_s += FIRST_S
    for _ in range(10):
        members.note_silence(0, asked_at)
    assert members.patience_s(0) == 2 * FIRST_S


def test_patience_grows_with_silence_up_to_the_deadline(members: Members, time: Time) -> None:
    found = []
    for _ in range(PATIENCE_DOUBLINGS_MAX + 2):
        found.append(members.patience_s(0))
        silent(members, time, 0)
    assert found[:4] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]
    assert found[-1] == TIMEOUT_S


def test_patience_stays_long_with_answers_that_come_late(members: Members, time: Time) -> None:
    silent(members, time, 0)
    asked_at = time()
    time.now_s += 1.5 * FIRST_S
    members.note_answer(0, asked_at)
    assert members.patience_s(0) == 2 * FIRST_S
    members.note_answer(0, time())
    assert members.patience_s(0) == FIRST_S


def test_only_member_gets_the_whole_deadline(time: Time) -> None:
    assert Members(1, timeout_s=TIMEOUT_S, now=time).patience_s(0) == TIMEOUT_S


def test_who_watches_a_member_is_told_when_calls_leave_it(members: Members) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(members.left(0))
            await asyncio.sleep(1)
            assert not leaving.done()
            members.move_on(1)
            await asyncio.sleep(1)
            assert not leaving.done()
            members.move_on(0)

    run(main())
    assert members.current == 1

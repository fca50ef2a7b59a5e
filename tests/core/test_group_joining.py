"""Joining a group: who is taken in, which protocol is chosen, who is waited for."""

import pytest

from tidings.core.membership.generations import PENDING_PATIENCE_MS, GroupLimits, GroupState
from tidings.core.membership.messages import Claim, GroupError, JoinRequest

from .group_driver import (
    REBALANCE_MS,
    SESSION_MS,
    Driver,
    join_request,
    protocols,
    subscription,
)

# Joining ----------------------------------------------------------------------------------------


def test_first_member_without_delay_leads_at_once() -> None:
    driver = Driver()
    answer = driver.joined(driver.join(join_request(new="a")))
    assert (answer.error, answer.generation, answer.leader) == (GroupError.NONE, 1, "a")
    assert [member.member_id for member in answer.members] == ["a"]
    assert answer.members[0].metadata == subscription("t")
    assert (answer.protocol_type, answer.protocol) == ("consumer", "range")


def test_somebody_new_who_must_know_its_id_is_told_it_and_joins_with_it() -> None:
    driver = Driver()
    told = driver.joined(driver.join(join_request(new="a", must_know_id=True)))
    assert (told.error, told.member_id) == (GroupError.MEMBER_ID_REQUIRED, "a")
    assert driver.group.state is GroupState.EMPTY
    assert driver.joined(driver.join(join_request("a", must_know_id=True))).generation == 1


def test_member_id_that_nobody_was_told_is_refused() -> None:
    driver = Driver()
    assert driver.error(driver.join(join_request("x"))) is GroupError.UNKNOWN_MEMBER_ID
    driver.form("a")
    assert driver.error(driver.join(join_request("x"))) is GroupError.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("session_ms", [5_999, 1_800_001])
def test_session_timeout_out_of_bounds_is_refused(session_ms: int) -> None:
    driver = Driver()
    ticket = driver.join(join_request(new="a", session_ms=session_ms))
    assert driver.error(ticket) is GroupError.INVALID_SESSION_TIMEOUT


@pytest.mark.parametrize(
    "request_",
    [
        join_request(new="b", kind="connect"),
        join_request(new="b", knows=protocols("sticky")),
        join_request(new="b", knows=()),
    ],
)
def test_join_that_shares_no_protocol_is_refused(request_: JoinRequest) -> None:
    driver = Driver()
    driver.form("a")
    assert driver.error(driver.join(request_)) is GroupError.INCONSISTENT_GROUP_PROTOCOL
    assert driver.group.state is GroupState.STABLE


@pytest.mark.parametrize("request_", [join_request(new="a", knows=()), join_request(kind="")])
def test_first_join_without_a_protocol_is_refused(request_: JoinRequest) -> None:
    driver = Driver()
    assert driver.error(driver.join(request_)) is GroupError.INCONSISTENT_GROUP_PROTOCOL


def test_protocol_is_the_one_that_most_prefer_among_those_that_all_know() -> None:
    driver = Driver()
    driver.join(join_request(new="a", knows=protocols("x", "range", "sticky")))
    driver.join(join_request(new="b", knows=protocols("sticky", "range")))
    driver.join(join_request(new="c", knows=protocols("sticky", "range", "x")))
    ticket = driver.join(join_request("a", knows=protocols("x", "range", "sticky")))
    assert driver.joined(ticket).protocol == "sticky"


def test_protocol_named_twice_counts_once() -> None:
    driver = Driver()
    driver.join(join_request(new="a", knows=protocols("x", "x", "range")))
    driver.join(join_request(new="b", knows=protocols("range")))
    ticket = driver.join(join_request("a", knows=protocols("x", "x", "range")))
    assert driver.joined(ticket).protocol == "range"


def test_new_member_lets_the_others_join_again() -> None:
    driver = Driver()
    first = driver.form("a")
    waiting = driver.join(join_request(new="b"))
    assert waiting in driver.asked
    assert driver.heartbeat("a", first) is GroupError.REBALANCE_IN_PROGRESS
    again = driver.join(join_request("a"))
    assert driver.joined(waiting).generation == driver.joined(again).generation == first + 1
    assert driver.joined(waiting).members == ()
    assert [member.member_id for member in driver.joined(again).members] == ["a", "b"]


def test_member_that_does_not_join_in_time_is_out() -> None:
    driver = Driver()
    first = driver.form("a")
    waiting = driver.join(join_request(new="b"))
    for _ in range(REBALANCE_MS // SESSION_MS * 2 - 1):
        driver.wait(SESSION_MS // 2)
        assert driver.heartbeat("a", first) is GroupError.REBALANCE_IN_PROGRESS
    assert waiting in driver.asked
    driver.wait(SESSION_MS // 2)
    assert driver.joined(waiting).leader == "b"
    assert driver.heartbeat("a", first) is GroupError.UNKNOWN_MEMBER_ID


def test_leader_that_joins_again_lets_everybody_join_again() -> None:
    driver = Driver()
    driver.form("a", "b")
    assert driver.join(join_request("a")) in driver.asked
    assert driver.group.state is GroupState.PREPARING_REBALANCE


def test_follower_that_joins_again_unchanged_gets_its_place() -> None:
    driver = Driver()
    generation = driver.form("a", "b")
    assert driver.joined(driver.join(join_request("b"))).generation == generation
    assert driver.group.state is GroupState.STABLE


def test_follower_that_wants_something_else_lets_everybody_join_again() -> None:
    driver = Driver()
    driver.form("a", "b")
    changed = protocols("range", metadata=subscription("other"))
    assert driver.join(join_request("b", knows=changed)) in driver.asked
    assert driver.group.state is GroupState.PREPARING_REBALANCE


def test_join_repeated_before_the_assignment_gets_the_same_place() -> None:
    driver = Driver()
    first = driver.joined(driver.join(join_request(new="a")))
    assert driver.joined(driver.join(join_request("a"))) == first


def test_m1_second_join_of_a_waiting_member_sends_the_first_away() -> None:
    driver = Driver()
    driver.form("a", "b")
    first = driver.join(join_request("a"))
    second = driver.join(join_request("a"))
    assert driver.error(first) is GroupError.REBALANCE_IN_PROGRESS
    assert second in driver.asked


# Waiting for the first generation ----------------------------------------------------------------


def test_first_generation_with_a_delay_waits_for_more() -> None:
    driver = Driver(GroupLimits(initial_rebalance_delay_ms=3_000))
    first = driver.join(join_request(new="a"))
    driver.wait(2_000)
    second = driver.join(join_request(new="b"))
    driver.wait(2_999)
    assert {first, second} == set(driver.asked)
    driver.wait(1)
    assert driver.joined(first).generation == driver.joined(second).generation == 1


def test_first_generation_waits_no_longer_than_its_first_member_allows() -> None:
    driver = Driver(GroupLimits(initial_rebalance_delay_ms=3_000))
    first = driver.join(join_request(new="a", rebalance_ms=4_000))
    driver.wait(2_000)
    driver.join(join_request(new="b"))
    driver.wait(2_000)
    assert driver.joined(first).generation == 1


def test_first_generation_waits_a_little_for_those_who_were_told_an_id() -> None:
    driver = Driver()
    driver.join(join_request(new="b", must_know_id=True))
    first = driver.join(join_request(new="a"))
    assert first in driver.asked
    second = driver.join(join_request("b"))
    assert driver.joined(first).generation == driver.joined(second).generation == 1


def test_first_generation_does_not_wait_long_for_those_who_were_told_an_id() -> None:
    driver = Driver()
    driver.join(join_request(new="b", must_know_id=True))
    first = driver.join(join_request(new="a"))
    driver.wait(PENDING_PATIENCE_MS)
    assert driver.joined(first).generation == 1


def test_later_generation_waits_for_those_who_were_told_an_id_until_they_are_late() -> None:
    driver = Driver()
    driver.form("a")
    driver.join(join_request(new="b", must_know_id=True))
    again = driver.join(join_request("a"))
    driver.wait(SESSION_MS - 1)
    assert again in driver.asked
    driver.wait(1)
    assert driver.joined(again).generation == 2


# Bounds ------------------------------------------------------------------------------------------


def test_full_group_takes_nobody_in() -> None:
    driver = Driver(GroupLimits(size_max=2))
    driver.form("a", "b")
    ticket = driver.join(join_request(new="c"))
    assert driver.error(ticket) is GroupError.GROUP_MAX_SIZE_REACHED
    assert driver.group.state is GroupState.STABLE


def test_member_that_finds_its_place_taken_is_out() -> None:
    driver = Driver(GroupLimits(size_max=2))
    driver.form("a", "b")
    driver.leave(Claim("b"))
    first = driver.join(join_request(new="c"))
    second = driver.join(join_request(new="d"))
    late = driver.join(join_request("a"))
    assert driver.error(late) is GroupError.GROUP_MAX_SIZE_REACHED
    assert driver.joined(first).leader == driver.joined(second).leader == "c"


def test_those_who_were_told_an_id_are_bounded_and_the_oldest_is_forgotten() -> None:
    driver = Driver(GroupLimits(size_max=2))
    for name in ("a", "b", "c"):
        driver.join(join_request(new=name, must_know_id=True))
    assert driver.error(driver.join(join_request("a"))) is GroupError.UNKNOWN_MEMBER_ID
    driver.join(join_request("b"))
    assert driver.joined(driver.join(join_request("c"))).generation == 1

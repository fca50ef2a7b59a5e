"""One group with dynamic members: syncing, leaving, silence, restarts."""

import pytest

from tidings.core.membership.generations import GroupState
from tidings.core.membership.group import NEW_MEMBER_JOIN_MS
from tidings.core.membership.messages import Claim, GroupError, Save, SyncRequest, Ticket

from .group_driver import (
    REBALANCE_MS,
    SESSION_MS,
    Driver,
    join_request,
    protocols,
)

# Assignments -------------------------------------------------------------------------------------


def test_assignments_reach_those_who_wait_and_those_who_come_later() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    driver.join(join_request("b"))
    early = driver.fetch_assignment("b", 3)
    assert early in driver.asked
    leader = driver.assign("a", 3, a=b"1", b=b"2", gone=b"3")
    assert driver.synced(leader).assignment == b"1"
    assert driver.synced(early).assignment == b"2"
    again = driver.fetch_assignment("b", 3)
    assert driver.synced(again).assignment == b"2"
    assert (driver.synced(again).protocol_type, driver.synced(again).protocol) == (
        "consumer",
        "range",
    )


def test_member_that_the_leader_forgot_gets_an_empty_assignment() -> None:
    driver = Driver()
    driver.join(join_request(new="a"))
    assert driver.synced(driver.assign("a", 1)).assignment == b""


def test_m3_second_assignment_of_a_generation_is_not_taken() -> None:
    driver = Driver()
    generation = driver.form("a")
    again = driver.assign("a", generation, a=b"other")
    assert driver.synced(again).assignment == b"a"


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (SyncRequest(claim=Claim("x"), generation=1), GroupError.UNKNOWN_MEMBER_ID),
        (SyncRequest(claim=Claim("a"), generation=0), GroupError.ILLEGAL_GENERATION),
        (SyncRequest(claim=Claim("a"), generation=2), GroupError.ILLEGAL_GENERATION),
        (
            SyncRequest(claim=Claim("a"), generation=1, protocol="sticky"),
            GroupError.INCONSISTENT_GROUP_PROTOCOL,
        ),
        (
            SyncRequest(claim=Claim("a"), generation=1, protocol_type="connect"),
            GroupError.INCONSISTENT_GROUP_PROTOCOL,
        ),
    ],
)
def test_sync_that_does_not_fit_is_refused(request_: SyncRequest, error: GroupError) -> None:
    driver = Driver()
    driver.form("a")
    assert driver.error(driver.sync(request_)) is error


def test_sync_during_a_rebalance_is_sent_away() -> None:
    driver = Driver()
    generation = driver.form("a")
    driver.join(join_request(new="b"))
    ticket = driver.fetch_assignment("a", generation)
    assert driver.error(ticket) is GroupError.REBALANCE_IN_PROGRESS


def test_those_who_wait_for_a_leader_that_leaves_are_sent_away() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    driver.join(join_request("b"))
    waiting = driver.fetch_assignment("b", 3)
    assert driver.leave(Claim("a")) == [GroupError.NONE]
    assert driver.error(waiting) is GroupError.REBALANCE_IN_PROGRESS
    assert driver.joined(driver.join(join_request("b"))).leader == "b"


def test_leader_that_never_assigns_is_given_up() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    driver.join(join_request("b"))
    waiting = driver.fetch_assignment("b", 3)
    for _ in range(REBALANCE_MS // SESSION_MS * 2):
        driver.heartbeat("a", 3)
        driver.wait(SESSION_MS // 2)
    assert driver.error(waiting) is GroupError.REBALANCE_IN_PROGRESS
    assert driver.heartbeat("a", 3) is GroupError.UNKNOWN_MEMBER_ID


def test_m1_second_sync_of_a_waiting_member_sends_the_first_away() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    driver.join(join_request("b"))
    first = driver.fetch_assignment("b", 3)
    second = driver.fetch_assignment("b", 3)
    assert driver.error(first) is GroupError.REBALANCE_IN_PROGRESS
    assert second in driver.asked


# Heartbeats and commits --------------------------------------------------------------------------


def test_member_that_is_heard_of_stays_and_a_silent_one_goes() -> None:
    driver = Driver()
    generation = driver.form("a", "b")
    for _ in range(3):
        driver.wait(SESSION_MS // 2)
        driver.heartbeat("a", generation)
    assert driver.heartbeat("a", generation) is GroupError.REBALANCE_IN_PROGRESS
    assert driver.heartbeat("b", generation) is GroupError.UNKNOWN_MEMBER_ID


def test_commit_counts_as_a_heartbeat() -> None:
    driver = Driver()
    generation = driver.form("a")
    for _ in range(3):
        driver.wait(SESSION_MS // 2)
        assert driver.commit("a", generation) is GroupError.NONE
    assert driver.group.state is GroupState.STABLE


def test_heartbeat_of_a_generation_that_waits_for_its_assignment_is_welcome() -> None:
    driver = Driver()
    driver.join(join_request(new="a"))
    assert driver.heartbeat("a", 1) is GroupError.NONE


def test_member_that_waits_stays_though_it_was_heard_of_long_ago() -> None:
    driver = Driver()
    generation = driver.form("a", "b")
    waiting = driver.join(join_request("a"))
    driver.heartbeat("a", generation)
    for _ in range(4):
        driver.wait(SESSION_MS // 2)
        driver.heartbeat("b", generation)
    assert waiting in driver.asked
    assert "a" in driver.group.members


@pytest.mark.parametrize(
    ("member_id", "generation", "error"),
    [
        ("a", 1, GroupError.NONE),
        ("a", 0, GroupError.ILLEGAL_GENERATION),
        ("a", -1, GroupError.ILLEGAL_GENERATION),
        ("x", 1, GroupError.UNKNOWN_MEMBER_ID),
        ("", -1, GroupError.UNKNOWN_MEMBER_ID),
    ],
)
def test_commit_is_checked_against_the_generation(
    member_id: str, generation: int, error: GroupError
) -> None:
    driver = Driver()
    driver.form("a")
    assert driver.commit(member_id, generation) is error


def test_commit_without_a_generation_is_welcome_while_there_are_no_members() -> None:
    driver = Driver()
    assert driver.commit("", -1) is GroupError.NONE
    assert driver.commit("a", 0) is GroupError.UNKNOWN_MEMBER_ID


def test_commit_in_a_rebalance_is_welcome_until_the_next_generation() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("b", knows=protocols("range", metadata=b"")))
    driver.join(join_request(new="c"))
    assert driver.commit("a", 2) is GroupError.NONE
    driver.join(join_request("b"))
    driver.join(join_request("a"))
    assert driver.commit("a", 2) is GroupError.ILLEGAL_GENERATION
    assert driver.commit("a", 3) is GroupError.REBALANCE_IN_PROGRESS


# Leaving -----------------------------------------------------------------------------------------


def test_last_member_that_leaves_empties_the_group() -> None:
    driver = Driver()
    generation = driver.form("a")
    assert driver.leave(Claim("a"), Claim("x")) == [
        GroupError.NONE,
        GroupError.UNKNOWN_MEMBER_ID,
    ]
    assert driver.group.state is GroupState.EMPTY
    assert driver.group.is_idle
    assert driver.saved[-1].generation == generation + 1
    assert driver.saved[-1].members == []
    assert driver.group.next_deadline_ms is None


def test_member_that_leaves_lets_the_others_join_again() -> None:
    driver = Driver()
    generation = driver.form("a", "b")
    driver.leave(Claim("a"))
    assert driver.heartbeat("b", generation) is GroupError.REBALANCE_IN_PROGRESS
    assert driver.joined(driver.join(join_request("b"))).leader == "b"


def test_somebody_who_was_told_an_id_may_leave_with_it() -> None:
    driver = Driver()
    driver.form("a")
    driver.join(join_request(new="b", must_know_id=True))
    again = driver.join(join_request("a"))
    assert driver.leave(Claim("b")) == [GroupError.NONE]
    assert driver.joined(again).generation == 2


def test_member_that_leaves_while_it_waits_is_answered() -> None:
    driver = Driver()
    driver.form("a", "b")
    waiting = driver.join(join_request("a"))
    driver.leave(Claim("a"))
    assert driver.error(waiting) is GroupError.UNKNOWN_MEMBER_ID


def test_new_member_that_waits_very_long_is_given_up() -> None:
    driver = Driver()
    generation = driver.form("a")
    waiting = driver.join(join_request(new="b", rebalance_ms=2 * NEW_MEMBER_JOIN_MS))
    slow = driver.join(join_request("a", rebalance_ms=3 * NEW_MEMBER_JOIN_MS))
    assert driver.joined(slow).generation == generation + 1
    late = driver.join(join_request(new="c", rebalance_ms=2 * NEW_MEMBER_JOIN_MS))
    for _ in range(2 * NEW_MEMBER_JOIN_MS // SESSION_MS):
        driver.heartbeat("a", generation + 1)
        driver.heartbeat("b", generation + 1)
        driver.wait(SESSION_MS // 2)
    assert driver.error(late) is GroupError.UNKNOWN_MEMBER_ID
    assert driver.joined(waiting).generation == generation + 1


# What is durable ---------------------------------------------------------------------------------


def test_m2_generation_is_saved_before_anybody_hears_of_it() -> None:
    driver = Driver()
    effects = driver.group.join(Ticket(1), join_request(new="a"), 0)
    assert isinstance(effects[0], Save)
    assert (effects[0].document.generation, effects[0].document.is_assigned) == (1, False)
    assert len(effects) == 2


def test_m3_assignment_is_saved_before_anybody_hears_of_it() -> None:
    driver = Driver()
    driver.join(join_request(new="a"))
    sync = SyncRequest(claim=Claim("a"), generation=1, assignments=(("a", b"1"),))
    effects = driver.group.sync(Ticket(99), sync, 0)
    assert isinstance(effects[0], Save)
    assert effects[0].document.is_assigned
    assert effects[0].document.members[0].assignment == b"1"
    assert len(effects) == 2


def test_stable_group_goes_on_after_a_restart() -> None:
    driver = Driver()
    generation = driver.form("a", "b")
    driver.restart()
    assert driver.heartbeat("a", generation) is GroupError.NONE
    assert driver.synced(driver.fetch_assignment("b", generation)).assignment == b"b"
    assert driver.commit("b", generation) is GroupError.NONE
    assert driver.commit("b", generation - 1) is GroupError.ILLEGAL_GENERATION


def test_members_that_do_not_come_back_after_a_restart_are_given_up() -> None:
    driver = Driver()
    generation = driver.form("a", "b")
    driver.restart()
    driver.wait(SESSION_MS + REBALANCE_MS)
    assert driver.group.state is GroupState.EMPTY
    assert driver.saved[-1].generation == generation + 1


def test_generation_that_waits_for_its_assignment_goes_on_after_a_restart() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    driver.join(join_request("b"))
    driver.restart()
    waiting = driver.fetch_assignment("b", 3)
    driver.assign("a", 3, b=b"2")
    assert driver.synced(waiting).assignment == b"2"


def test_leader_that_never_assigns_is_given_up_after_a_restart_too() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    driver.join(join_request("b"))
    driver.restart()
    waiting = driver.fetch_assignment("b", 3)
    for _ in range(REBALANCE_MS // SESSION_MS * 2):
        driver.heartbeat("a", 3)
        driver.wait(SESSION_MS // 2)
    assert driver.error(waiting) is GroupError.REBALANCE_IN_PROGRESS


def test_new_generation_has_no_assignments_of_the_old() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    assert [member.assignment for member in driver.group.document.members] == [b"a", b"b"]
    driver.join(join_request("b"))
    assert [member.assignment for member in driver.saved[-1].members] == [b"", b""]


def test_empty_group_goes_on_counting_after_a_restart() -> None:
    driver = Driver()
    generation = driver.form("a")
    driver.leave(Claim("a"))
    driver.restart()
    assert driver.group.state is GroupState.EMPTY
    assert driver.joined(driver.join(join_request(new="b"))).generation == generation + 2


# Ending ------------------------------------------------------------------------------------------


def test_closed_group_sends_everybody_away() -> None:
    driver = Driver()
    generation = driver.form("a", "b")
    waiting = driver.join(join_request("a"))
    driver.do(driver.group.close())
    gone = GroupError.COORDINATOR_NOT_AVAILABLE
    assert driver.error(waiting) is gone
    assert driver.error(driver.join(join_request(new="c"))) is gone
    assert driver.error(driver.fetch_assignment("b", generation)) is gone
    assert driver.heartbeat("b", generation) is gone
    assert driver.commit("b", generation) is gone
    ticket = driver.ticket("b")
    driver.do(driver.group.leave(ticket, [Claim("b")], driver.now_ms))
    assert driver.error(ticket) is gone


def test_closed_group_sends_those_away_who_wait_for_an_assignment() -> None:
    driver = Driver()
    driver.form("a", "b")
    driver.join(join_request("a"))
    driver.join(join_request("b"))
    waiting = driver.fetch_assignment("b", 3)
    driver.do(driver.group.close())
    assert driver.error(waiting) is GroupError.COORDINATOR_NOT_AVAILABLE
    assert driver.group.next_deadline_ms is None


# What members read -------------------------------------------------------------------------------


def test_group_knows_which_topics_its_members_read() -> None:
    driver = Driver()
    driver.form("a")
    assert driver.group.is_subscribed("t")
    assert not driver.group.is_subscribed("u")


def test_group_whose_members_cannot_be_understood_may_read_anything() -> None:
    driver = Driver()
    driver.join(join_request(new="a", knows=protocols("range", metadata=b"?")))
    assert driver.group.is_subscribed("t")


def test_group_of_another_kind_reads_no_topics() -> None:
    driver = Driver()
    driver.join(join_request(new="a", kind="connect"))
    assert not driver.group.is_subscribed("t")

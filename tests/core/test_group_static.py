"""Static members (KIP-345): they come back under a new id, and who had the old one is fenced."""

import pytest

from tidings.core.membership.generations import GroupLimits, GroupState
from tidings.core.membership.messages import Claim, GroupError

from .group_driver import REBALANCE_MS, SESSION_MS, Driver, join_request, protocols, subscription


def grown(*names: str) -> tuple[Driver, int]:
    """Return a stable group of static members, `i1` for the first name, and its generation."""
    driver = Driver()
    instances = tuple(f"i{number + 1}" for number in range(len(names)))
    return driver, driver.form(*names, instances=instances)


def test_static_member_joins_at_once_without_being_told_an_id() -> None:
    driver = Driver()
    ticket = driver.join(join_request(new="a", instance="i1", must_know_id=True))
    assert driver.joined(ticket).member_id == "a"
    assert driver.joined(ticket).members[0].instance_id == "i1"


def test_static_follower_that_comes_back_keeps_its_assignment() -> None:
    driver, generation = grown("a", "b")
    owned = protocols("range", metadata=subscription("t", owned=b"elsewhere"))
    answer = driver.joined(driver.join(join_request(new="b2", instance="i2", knows=owned)))
    assert (answer.generation, answer.member_id, answer.leader) == (generation, "b2", "a")
    assert not answer.skip_assignment
    ticket = driver.fetch_assignment("b2", generation, "i2")
    assert driver.synced(ticket).assignment == b"b"
    assert driver.group.state is GroupState.STABLE


def test_static_leader_that_comes_back_need_not_assign_again() -> None:
    driver, generation = grown("a", "b")
    answer = driver.joined(driver.join(join_request(new="a2", instance="i1")))
    assert (answer.generation, answer.leader, answer.skip_assignment) == (generation, "a2", True)
    assert sorted(member.member_id for member in answer.members) == ["a2", "b"]


def test_static_leader_that_knows_no_skipping_is_told_that_its_old_self_leads() -> None:
    driver, generation = grown("a", "b")
    request = join_request(new="a2", instance="i1", can_skip_assignment=False)
    answer = driver.joined(driver.join(request))
    assert (answer.generation, answer.leader, answer.members) == (generation, "a", ())
    assert not answer.skip_assignment


def test_static_member_that_comes_back_is_saved_before_it_is_answered() -> None:
    driver, generation = grown("a", "b")
    driver.join(join_request(new="b2", instance="i2"))
    driver.restart()
    assert driver.heartbeat("b2", generation, "i2") is GroupError.NONE
    assert driver.heartbeat("b", generation, "i2") is GroupError.FENCED_INSTANCE_ID


def test_old_self_of_a_static_member_is_fenced_everywhere() -> None:
    driver, generation = grown("a", "b")
    driver.join(join_request(new="b2", instance="i2"))
    fenced = GroupError.FENCED_INSTANCE_ID
    assert driver.heartbeat("b", generation, "i2") is fenced
    assert driver.commit("b", generation, "i2") is fenced
    assert driver.error(driver.fetch_assignment("b", generation, "i2")) is fenced
    assert driver.error(driver.join(join_request("b", instance="i2"))) is fenced
    assert driver.leave(Claim("b", "i2")) == [fenced]


def test_old_self_that_waits_is_fenced_at_once() -> None:
    driver, _ = grown("a", "b")
    old = driver.join(join_request("a", instance="i1"))
    new = driver.join(join_request(new="a2", instance="i1"))
    assert driver.error(old) is GroupError.FENCED_INSTANCE_ID
    assert new in driver.asked


def test_unknown_instance_id_is_an_unknown_member() -> None:
    driver, generation = grown("a")
    assert driver.heartbeat("a", generation, "i9") is GroupError.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    "knows",
    [
        protocols("range", metadata=subscription("other")),
        protocols("range", metadata=b"not a subscription"),
        protocols("range", "sticky"),
    ],
)
def test_static_member_that_wants_something_else_lets_everybody_join_again(
    knows: tuple[object, ...],
) -> None:
    driver, _ = grown("a", "b")
    ticket = driver.join(join_request(new="b2", instance="i2", knows=knows))  # type: ignore[arg-type]  # parametrised
    assert ticket in driver.asked
    assert driver.group.state is GroupState.PREPARING_REBALANCE


def test_static_member_that_changes_the_agreed_protocol_lets_everybody_join_again() -> None:
    driver = Driver()
    both, other_way = protocols("x", "y"), protocols("y", "x")
    driver.join(join_request(new="a", instance="i1", knows=both))
    driver.assign("a", 1)
    ticket = driver.join(join_request(new="a2", instance="i1", knows=other_way))
    assert driver.joined(ticket).generation == 2
    assert driver.joined(ticket).protocol == "y"


def test_static_member_that_comes_back_tips_no_tie_of_votes() -> None:
    driver = Driver()
    driver.join(join_request(new="a", instance="i1", knows=protocols("x", "y")))
    driver.join(join_request(new="b", instance="i2", knows=protocols("y", "x")))
    driver.join(join_request("a", instance="i1", knows=protocols("x", "y")))
    driver.fetch_assignment("b", 2, "i2")
    driver.assign("a", 2)
    ticket = driver.join(join_request(new="a2", instance="i1", knows=protocols("x", "y")))
    assert (driver.joined(ticket).generation, driver.joined(ticket).protocol) == (2, "x")


def test_static_member_that_comes_back_before_the_assignment_lets_everybody_join_again() -> None:
    driver, generation = grown("a", "b")
    driver.join(join_request("a", instance="i1"))
    driver.join(join_request("b", instance="i2"))
    waiting = driver.fetch_assignment("b", generation + 1, "i2")
    back = driver.join(join_request(new="a2", instance="i1"))
    assert driver.error(waiting) is GroupError.REBALANCE_IN_PROGRESS
    driver.join(join_request("b", instance="i2"))
    assert driver.joined(back).generation == generation + 2


def test_static_member_that_is_away_stays_in_the_next_generation() -> None:
    driver, generation = grown("a", "b")
    driver.join(join_request("a", instance="i1", rebalance_ms=6_000, session_ms=6_000))
    driver.heartbeat("b", generation, "i2")
    driver.group.members.by_id["b"].deadline_ms = REBALANCE_MS * 10
    driver.wait(REBALANCE_MS)
    assert driver.group.document.generation == generation + 1
    assert sorted(driver.group.members.by_id) == ["a", "b"]
    driver.assign("a", generation + 1, b=b"new")
    back = driver.join(join_request(new="b2", instance="i2"))
    assert driver.joined(back).generation == generation + 1
    ticket = driver.fetch_assignment("b2", generation + 1, "i2")
    assert driver.synced(ticket).assignment == b"new"


def test_leader_that_is_away_hands_over_to_somebody_who_waits() -> None:
    driver, generation = grown("a", "b")
    driver.group.members.by_id["a"].deadline_ms = REBALANCE_MS * 10
    changed = protocols("range", metadata=subscription("other"))
    ticket = driver.join(join_request("b", instance="i2", knows=changed))
    driver.wait(REBALANCE_MS)
    assert driver.joined(ticket).leader == "b"
    assert driver.joined(ticket).generation == generation + 1


def test_group_whose_static_members_are_all_away_waits_for_their_sessions() -> None:
    driver = Driver()
    long_ms = 4 * REBALANCE_MS
    driver.join(join_request(new="a", instance="i1", session_ms=long_ms))
    driver.assign("a", 1)
    waiting = driver.join(join_request(new="b"))
    driver.leave(Claim("b"))
    assert driver.error(waiting) is GroupError.UNKNOWN_MEMBER_ID
    driver.wait(long_ms - 1)
    assert list(driver.group.members.by_id) == ["a"]
    driver.wait(REBALANCE_MS)
    assert driver.group.state is GroupState.EMPTY


def test_somebody_new_does_not_wait_for_the_session_of_a_static_member_that_is_away() -> None:
    driver = Driver()
    driver.join(join_request(new="a", instance="i1", session_ms=20 * REBALANCE_MS))
    driver.assign("a", 1)
    driver.join(join_request(new="b"))
    driver.leave(Claim("b"))
    driver.wait(2 * REBALANCE_MS)
    ticket = driver.join(join_request(new="c"))
    driver.wait(REBALANCE_MS)
    assert driver.joined(ticket).leader == "c"


def test_static_member_leaves_by_its_instance_id() -> None:
    driver, _ = grown("a", "b")
    assert driver.leave(Claim("", "i2"), Claim("", "i9")) == [
        GroupError.NONE,
        GroupError.UNKNOWN_MEMBER_ID,
    ]
    assert list(driver.group.members.by_id) == ["a"]


def test_static_member_that_comes_back_finds_its_place_in_a_full_group() -> None:
    driver = Driver(GroupLimits(size_max=2))
    generation = driver.form("a", "b", instances=("i1", "i2"))
    back = driver.join(join_request(new="b2", instance="i2"))
    assert driver.joined(back).generation == generation


def test_static_member_that_stays_silent_is_given_up() -> None:
    driver, generation = grown("a", "b")
    driver.wait(SESSION_MS - 1)
    driver.heartbeat("a", generation, "i1")
    driver.wait(1)
    assert list(driver.group.members.by_id) == ["a"]

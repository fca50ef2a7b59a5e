"""How far polls were behind: conservative, and never a fault."""

import pytest
from recorded import EVENT_GAP_NS, Recorded

from tidings.checker.kafka import check
from tidings.checker.lag import worst_realtime_lag
from tidings.checker.operations import read_operations
from tidings.checker.verdict import Lag

EVENT_GAP_S = EVENT_GAP_NS / 1e9


def lag_of(history: Recorded) -> Lag | None:
    return worst_realtime_lag(read_operations(history.events))


def test_poll_of_the_newest_record_has_no_lag() -> None:
    history = Recorded()
    history.assign(1, "k")
    history.send(0, "k", 1, at=0)
    history.poll(1, {"k": [(0, 1)]})
    assert lag_of(history) is None


def test_poll_that_returns_nothing_lags_since_the_first_record_was_known() -> None:
    history = Recorded()
    history.assign(1, "k")
    acknowledged = history.send(0, "k", 1, at=0)
    poll = history.poll(1, {})
    assert lag_of(history) == Lag(
        lag_s=(poll - 1 - acknowledged) * EVENT_GAP_S,
        key="k",
        process=1,
        time_s=(poll - 1) * EVENT_GAP_S,
        event_index=poll,
    )
    history.poll(1, {"k": [(0, 1)]})
    assert check(history.events).valid


def test_poll_lags_since_the_record_after_its_last_was_known() -> None:
    history = Recorded()
    history.assign(1, "j", "k")
    history.send(0, "k", 1, at=0)
    second = history.send(0, "k", 2, at=5)
    history.send(0, "k", 3, at=6)
    poll = history.poll(1, {"k": [(0, 1)]})
    lag = lag_of(history)
    assert lag is not None
    assert (lag.lag_s, lag.key) == ((poll - 1 - second) * EVENT_GAP_S, "k")


@pytest.mark.parametrize("f", ["assign", "subscribe"])
def test_key_that_was_given_up_does_not_lag(f: str) -> None:
    history = Recorded()
    history.assign(1, "k")
    history.invoke(1, f, [])
    history.complete(1)
    history.send(0, "k", 1, at=0)
    history.poll(1, {})
    assert lag_of(history) is None


def test_poll_that_began_before_the_record_was_known_has_no_lag() -> None:
    history = Recorded()
    history.assign(1, "k")
    history.invoke(1, "poll", [["poll"]])
    history.send(0, "k", 1, at=0)
    history.complete(1, [["poll", {}]])
    assert lag_of(history) is None


def test_only_polls_that_ended_ok_lag() -> None:
    history = Recorded()
    history.assign(1, "k")
    history.send(0, "k", 1, at=0)
    history.poll(1, {}, ends="info")
    history.poll(1, {}, ends="fail")
    assert lag_of(history) is None


def test_key_that_is_assigned_again_keeps_its_position() -> None:
    history = Recorded()
    history.assign(1, "k")
    history.send(0, "k", 1, at=0)
    history.poll(1, {"k": [(0, 1)]})
    history.assign(1, "k")
    history.poll(1, {})
    assert lag_of(history) is None


def test_failed_poll_makes_no_record_known() -> None:
    history = Recorded()
    history.assign(1, "k")
    history.poll(2, {"k": [(0, 1)]}, ends="fail")
    history.poll(1, {})
    assert lag_of(history) is None
